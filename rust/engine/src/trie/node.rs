//! Trie nodes in memory. Nodes are immutable and shared; each knows how its parent refers to it.
//!
//! An extension and a leaf are part of their parent's stored record; only a branch has a record of its own. A reference
//! to a record ([`Child::Stored`]) therefore always means a branch, and a collapse never has to look into a sibling.

use std::sync::Arc;

use alloy_primitives::{B256, U256, keccak256};
use alloy_rlp::Encodable;
use alloy_trie::{
    EMPTY_ROOT_HASH, Nibbles, TrieAccount,
    nodes::{ExtensionNodeRef, LeafNodeRef, RlpNode},
};

use crate::{
    state::AccountRecord,
    trie::{
        branch::Branch,
        record::{ReadRecord, WriteRecord},
        source::CachedBranch,
    },
};

/// An account takes at most 110 bytes of RLP.
pub(crate) const VALUE_BYTES_MAX: usize = 128;

/// What a leaf holds: an account, or the value of a slot.
pub(crate) trait LeafValue:
    Clone + PartialEq + Send + Sync + std::fmt::Debug + WriteRecord + ReadRecord + 'static
{
    /// Write the bytes that the trie commits to, and say how many they are.
    fn rlp(&self, out: &mut [u8; VALUE_BYTES_MAX]) -> usize;
    /// The trie below this leaf, for accounts.
    fn storage(&self) -> Option<&Child<StorageValue>>;
    fn with_storage(&self, storage: Child<StorageValue>) -> Self;
    /// As the cache holds a branch of this kind of trie.
    fn cached(branch: Arc<Branch<Self>>) -> CachedBranch;
    fn from_cached(cached: CachedBranch) -> Option<Arc<Branch<Self>>>;
}

fn encode_into(value: &impl Encodable, out: &mut [u8; VALUE_BYTES_MAX]) -> usize {
    let mut rest = &mut out[..];
    value.encode(&mut rest);
    VALUE_BYTES_MAX - rest.len()
}

/// The value of a storage slot; never zero.
pub(crate) type StorageValue = U256;

/// An account as the trie holds it: the record and the trie of its storage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AccountLeaf {
    pub(crate) record: AccountRecord,
    pub(crate) storage: Child<StorageValue>,
}

impl LeafValue for AccountLeaf {
    fn rlp(&self, out: &mut [u8; VALUE_BYTES_MAX]) -> usize {
        let account = TrieAccount::new(
            self.record.nonce,
            self.record.balance,
            self.storage.root_hash(),
            self.record.code_hash,
        );
        encode_into(&account, out)
    }

    fn storage(&self) -> Option<&Child<StorageValue>> {
        Some(&self.storage)
    }

    fn with_storage(&self, storage: Child<StorageValue>) -> Self {
        Self {
            record: self.record,
            storage,
        }
    }

    fn cached(branch: Arc<Branch<Self>>) -> CachedBranch {
        CachedBranch::Account(branch)
    }

    fn from_cached(cached: CachedBranch) -> Option<Arc<Branch<Self>>> {
        match cached {
            CachedBranch::Account(branch) => Some(branch),
            CachedBranch::Storage(_) => None,
        }
    }
}

impl LeafValue for StorageValue {
    fn rlp(&self, out: &mut [u8; VALUE_BYTES_MAX]) -> usize {
        encode_into(self, out)
    }

    fn storage(&self) -> Option<&Child<StorageValue>> {
        None
    }

    fn with_storage(&self, _storage: Child<StorageValue>) -> Self {
        *self
    }

    fn cached(branch: Arc<Branch<Self>>) -> CachedBranch {
        CachedBranch::Storage(branch)
    }

    fn from_cached(cached: CachedBranch) -> Option<Arc<Branch<Self>>> {
        match cached {
            CachedBranch::Account(_) => None,
            CachedBranch::Storage(branch) => Some(branch),
        }
    }
}

/// One side of a node: what hangs below a nibble, or a whole trie.
#[derive(Debug, Clone, Default)]
pub(crate) enum Child<V> {
    #[default]
    Empty,
    /// A branch that is not in memory, by its hash; its record is found by its path.
    Stored(Arc<B256>),
    Leaf(Arc<Leaf<V>>),
    Extension(Arc<Extension<V>>),
    Branch(Arc<Branch<V>>),
}

#[derive(Debug)]
pub(crate) struct Leaf<V> {
    /// The whole hashed key; the node's own path is its end.
    pub(crate) key: B256,
    pub(crate) value: V,
    pub(crate) reference: RlpNode,
}

#[derive(Debug)]
pub(crate) struct Extension<V> {
    pub(crate) path: Nibbles,
    /// A branch, in memory or stored.
    pub(crate) child: Child<V>,
    pub(crate) reference: RlpNode,
}

/// Nodes are equal when their parents would refer to them alike: the reference commits to everything below.
impl<V: LeafValue> PartialEq for Child<V> {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || self.reference() == other.reference()
    }
}

impl<V: LeafValue> Child<V> {
    pub(crate) fn leaf(key: B256, depth: usize, value: V) -> Self {
        let reference = RlpNode::from_rlp(&leaf_rlp(&key, depth, &value));
        Self::Leaf(Arc::new(Leaf {
            key,
            value,
            reference,
        }))
    }

    /// `child` with `path` before it: a leaf or an extension takes the path in, a branch gets an extension.
    /// `depth` is where `path` begins.
    pub(crate) fn prefixed(path: Nibbles, child: Self, depth: usize) -> Self {
        if path.is_empty() {
            return child;
        }
        match child {
            Self::Empty => Self::Empty,
            Self::Leaf(leaf) => Self::leaf(leaf.key, depth, leaf.value.clone()),
            Self::Extension(extension) => {
                Self::extension(path.join(&extension.path), extension.child.clone())
            }
            branch @ (Self::Stored(_) | Self::Branch(_)) => Self::extension(path, branch),
        }
    }

    pub(crate) fn extension(path: Nibbles, child: Self) -> Self {
        let reference = RlpNode::from_rlp(&extension_rlp(&path, &child));
        Self::Extension(Arc::new(Extension {
            path,
            child,
            reference,
        }))
    }

    pub(crate) fn branch(children: [Self; 16], version: u64) -> Self {
        Self::Branch(Arc::new(Branch::new(children, version)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    pub(crate) fn is_branch(&self) -> bool {
        matches!(self, Self::Stored(_) | Self::Branch(_))
    }

    /// Whether both are the same node, not merely equal ones.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Empty, Self::Empty) => true,
            (Self::Stored(a), Self::Stored(b)) => a == b,
            (Self::Leaf(a), Self::Leaf(b)) => Arc::ptr_eq(a, b),
            (Self::Extension(a), Self::Extension(b)) => Arc::ptr_eq(a, b),
            (Self::Branch(a), Self::Branch(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }

    /// How a parent refers to this node: its hash, or the node itself where that is shorter than a hash.
    pub(crate) fn reference(&self) -> RlpNode {
        match self {
            Self::Empty => RlpNode::from_rlp(&[alloy_rlp::EMPTY_STRING_CODE]),
            Self::Stored(hash) => RlpNode::word_rlp(hash),
            Self::Leaf(leaf) => leaf.reference.clone(),
            Self::Extension(extension) => extension.reference.clone(),
            Self::Branch(branch) => branch.reference().clone(),
        }
    }

    /// The root hash of the trie whose root this is: a root is hashed however short it is.
    pub(crate) fn root_hash(&self) -> B256 {
        match self {
            Self::Empty => EMPTY_ROOT_HASH,
            Self::Stored(hash) => **hash,
            _ => {
                let reference = self.reference();
                reference
                    .as_hash()
                    .unwrap_or_else(|| keccak256(reference.as_slice()))
            }
        }
    }

    pub(crate) fn empty_children() -> [Self; 16] {
        std::array::from_fn(|_| Self::Empty)
    }
}

pub(crate) fn leaf_rlp<V: LeafValue>(key: &B256, depth: usize, value: &V) -> Vec<u8> {
    let path = Nibbles::unpack(key).slice(depth..);
    let mut buffer = [0; VALUE_BYTES_MAX];
    let length = value.rlp(&mut buffer);
    let mut out = Vec::with_capacity(160);
    LeafNodeRef::new(&path, &buffer[..length]).encode(&mut out);
    out
}

pub(crate) fn extension_rlp<V: LeafValue>(path: &Nibbles, child: &Child<V>) -> Vec<u8> {
    let mut out = Vec::with_capacity(72);
    ExtensionNodeRef::new(path, child.reference().as_slice()).encode(&mut out);
    out
}

/// The nibble of `key` at `depth`.
pub(crate) fn nibble(key: &B256, depth: usize) -> usize {
    let byte = key[depth / 2];
    usize::from(if depth.is_multiple_of(2) {
        byte >> 4
    } else {
        byte & 0x0f
    })
}

/// The first `depth` nibbles of `key`.
pub(crate) fn prefix(key: &B256, depth: usize) -> Nibbles {
    Nibbles::unpack(key).slice(..depth)
}

/// How many nibbles of `a` and `b` agree from `depth` on.
pub(crate) fn shared_from(a: &B256, b: &B256, depth: usize) -> usize {
    (depth..64)
        .take_while(|at| nibble(a, *at) == nibble(b, *at))
        .count()
}
