//! Where stored nodes come from: a cache of loaded branches over the key-value store.

use std::sync::Arc;

use alloy_primitives::B256;
use alloy_trie::Nibbles;
use quick_cache::{OptionsBuilder, Weighter, sync::Cache};

use super::{
    branch::Branch,
    node::{AccountLeaf, Child, Leaf, LeafValue, StorageValue},
    record::read_branch,
};
use crate::{
    EngineError, Result,
    store::{keys, kv::Kv},
};

/// The place of a stored branch: whose trie (zero for the accounts' own), and the path in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeKey {
    pub(crate) owner: B256,
    pub(crate) path: Nibbles,
}

impl NodeKey {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        keys::trie_node(&self.owner, &self.path)
    }
}

/// A loaded branch of either kind of trie, whose branches below are not loaded.
#[derive(Debug, Clone)]
pub(crate) enum CachedBranch {
    Account(Arc<Branch<AccountLeaf>>),
    Storage(Arc<Branch<StorageValue>>),
}

/// The bytes that a cached branch takes.
#[derive(Debug, Clone)]
struct BranchWeight;

impl Weighter<NodeKey, CachedBranch> for BranchWeight {
    fn weight(&self, _key: &NodeKey, cached: &CachedBranch) -> u64 {
        let node = match cached {
            CachedBranch::Account(branch) => bytes_of(branch),
            CachedBranch::Storage(branch) => bytes_of(branch),
        };
        const BOOKKEEPING: usize = 64;
        (size_of::<NodeKey>() + node + BOOKKEEPING) as u64
    }
}

fn bytes_of<V: LeafValue>(branch: &Branch<V>) -> usize {
    const COUNTS: usize = 16;
    const ALLOCATION: usize = 8;
    let child = |child: &Child<V>| match child {
        Child::Empty => 0,
        Child::Leaf(_) => size_of::<Leaf<V>>() + COUNTS + ALLOCATION,
        _ => size_of::<B256>() + COUNTS + ALLOCATION,
    };
    branch.bytes() + 3 * COUNTS + branch.held().map(child).sum::<usize>()
}

/// Loads stored branches of all tries.
pub(crate) struct TrieNodes {
    kv: Arc<dyn Kv>,
    cache: Cache<NodeKey, CachedBranch, BranchWeight>,
}

impl TrieNodes {
    pub(crate) fn new(kv: Arc<dyn Kv>, cache_bytes: u64) -> Result<Self> {
        const TYPICAL_BRANCH_BYTES: u64 = 1_200;
        let options = OptionsBuilder::new()
            .weight_capacity(cache_bytes)
            .estimated_items_capacity((cache_bytes / TYPICAL_BRANCH_BYTES) as usize)
            .build()
            .map_err(|error| EngineError::InvalidInput(format!("trie cache: {error}")))?;
        let cache = Cache::with_options(
            options,
            BranchWeight,
            Default::default(),
            Default::default(),
        );
        Ok(Self { kv, cache })
    }

    /// Bytes of all cached branches.
    pub(crate) fn cached_bytes(&self) -> u64 {
        self.cache.weight()
    }

    /// The branch at `path` of `owner`'s trie, whose hash its parent gives as `hash`.
    pub(crate) fn load<V: LeafValue>(
        &self,
        owner: B256,
        path: Nibbles,
        hash: B256,
    ) -> Result<Arc<Branch<V>>> {
        let key = NodeKey { owner, path };
        let cached = self.cache.get(&key).and_then(V::from_cached);
        if let Some(branch) = cached.filter(|branch| branch.hash() == Some(hash)) {
            return Ok(branch);
        }
        let bytes = self
            .kv
            .get(&key.bytes())?
            .ok_or_else(|| lost(&key, hash, "none"))?;
        let mut input = &bytes[..];
        let branch = Arc::new(read_branch::<V>(&mut input, &path)?);
        match branch.hash() {
            Some(found) if found == hash && input.is_empty() => {
                self.cache.insert(key, V::cached(Arc::clone(&branch)));
                Ok(branch)
            }
            found => Err(lost(&key, hash, &format!("{found:?}"))),
        }
    }

    /// Remember a branch that was just stored, without what hangs below it.
    pub(crate) fn remember<V: LeafValue>(&self, key: NodeKey, branch: Arc<Branch<V>>) {
        self.cache.insert(key, V::cached(branch));
    }

    /// Whether no cached branch keeps another one in memory that has a record of its own.
    #[cfg(test)]
    pub(crate) fn is_shallow(&self) -> bool {
        self.cache.iter().all(|(_, cached)| match cached {
            CachedBranch::Account(branch) => !branch.held().any(holds_a_branch),
            CachedBranch::Storage(branch) => !branch.held().any(holds_a_branch),
        })
    }
}

#[cfg(test)]
fn holds_a_branch<V: LeafValue>(child: &Child<V>) -> bool {
    match child {
        Child::Empty | Child::Stored(_) => false,
        Child::Leaf(leaf) => leaf.value.storage().is_some_and(holds_a_branch),
        Child::Extension(extension) => holds_a_branch(&extension.child),
        Child::Branch(branch) => branch.hash().is_some() || branch.held().any(holds_a_branch),
    }
}

fn lost(key: &NodeKey, expected: B256, found: &str) -> EngineError {
    EngineError::Corruption(format!(
        "trie node of {} at {:?}: expected hash {expected}, found {found}",
        key.owner, key.path
    ))
}
