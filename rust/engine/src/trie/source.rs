//! Where stored nodes come from: a cache of loaded branches over the key-value store.

use std::sync::Arc;

use alloy_primitives::B256;
use alloy_trie::Nibbles;
use quick_cache::{OptionsBuilder, Weighter, sync::Cache};

use super::{
    node::{AccountLeaf, Branch, Child, Leaf, LeafValue, StorageValue},
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

pub(crate) type BranchCache<V> = Cache<NodeKey, Arc<Branch<V>>, BranchWeight>;

/// The bytes that a cached branch takes.
#[derive(Debug, Clone)]
pub(crate) struct BranchWeight;

impl<V: LeafValue> Weighter<NodeKey, Arc<Branch<V>>> for BranchWeight {
    fn weight(&self, _key: &NodeKey, branch: &Arc<Branch<V>>) -> u64 {
        let entry = size_of::<NodeKey>() + size_of::<Branch<V>>() + 64;
        (entry + branch.leaf_count() * (size_of::<Leaf<V>>() + 16)) as u64
    }
}

/// Loads stored branches of all tries.
pub(crate) struct TrieNodes {
    kv: Arc<dyn Kv>,
    accounts: BranchCache<AccountLeaf>,
    storage: BranchCache<StorageValue>,
}

impl TrieNodes {
    pub(crate) fn new(kv: Arc<dyn Kv>, cache_bytes: u64) -> Result<Self> {
        Ok(Self {
            kv,
            accounts: branch_cache(cache_bytes / 2)?,
            storage: branch_cache(cache_bytes / 2)?,
        })
    }

    pub(crate) fn accounts(&self) -> &BranchCache<AccountLeaf> {
        &self.accounts
    }

    pub(crate) fn storage(&self) -> &BranchCache<StorageValue> {
        &self.storage
    }

    /// Bytes of all cached branches.
    pub(crate) fn cached_bytes(&self) -> u64 {
        self.accounts.weight() + self.storage.weight()
    }

    /// The branch at `path` of `owner`'s trie, whose hash its parent gives as `hash`.
    pub(crate) fn load<V: LeafValue>(
        &self,
        owner: B256,
        path: Nibbles,
        hash: B256,
    ) -> Result<Arc<Branch<V>>> {
        let key = NodeKey { owner, path };
        let cache = V::cache(self);
        if let Some(branch) = cache.get(&key).filter(|branch| branch.hash() == Some(hash)) {
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
                cache.insert(key, Arc::clone(&branch));
                Ok(branch)
            }
            found => Err(lost(&key, hash, &format!("{found:?}"))),
        }
    }

    /// Remember a branch that was just stored, without what hangs below it.
    pub(crate) fn remember<V: LeafValue>(&self, key: NodeKey, branch: Branch<V>) {
        debug_assert!(
            !branch
                .children
                .iter()
                .any(|child| matches!(child, Child::Branch(below) if below.hash().is_some()))
        );
        V::cache(self).insert(key, Arc::new(branch));
    }
}

fn branch_cache<V: LeafValue>(bytes: u64) -> Result<BranchCache<V>> {
    const TYPICAL_BRANCH_BYTES: u64 = 1_500;
    let options = OptionsBuilder::new()
        .weight_capacity(bytes)
        .estimated_items_capacity((bytes / TYPICAL_BRANCH_BYTES) as usize)
        .shards(8)
        .build()
        .map_err(|error| EngineError::InvalidInput(format!("trie cache: {error}")))?;
    Ok(Cache::with_options(
        options,
        BranchWeight,
        Default::default(),
        Default::default(),
    ))
}

fn lost(key: &NodeKey, expected: B256, found: &str) -> EngineError {
    EngineError::Corruption(format!(
        "trie node of {} at {:?}: expected hash {expected}, found {found}",
        key.owner, key.path
    ))
}
