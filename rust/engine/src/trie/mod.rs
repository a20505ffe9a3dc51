//! The state trie: an immutable tree with shared nodes, loaded lazily and updated in batches.
//!
//! The trie of a block is the parent's trie with new nodes on the changed paths, so undecided proposals cost only what
//! they change. Nodes that are not in memory are read from the key-value store by path; the hash that the parent holds
//! says whether they are the right ones.

mod branch;
mod node;
mod persist;
mod proof;
mod record;
mod source;
#[cfg(test)]
mod tests;
mod update;

use std::{fmt, sync::Arc};

use alloy_primitives::B256;

#[cfg(any(test, feature = "testing"))]
pub(crate) use self::{
    node::{AccountLeaf as AccountValue, LeafValue, StorageValue},
    record::{read_branch, write_branch},
};
use crate::{Result, state::StateChanges};
use node::{AccountLeaf, Child};
pub(crate) use source::{NodeKey, TrieNodes};
use update::{Gone, Update, update_trie};

/// The account trie at one block. Cloning is cheap; an update gives a new tree that shares what did not change.
#[derive(Clone)]
pub struct StateTrie {
    root: Child<AccountLeaf>,
    hash: B256,
    /// One more than the number of the block; 0 before genesis.
    version: u64,
    /// No node up to this version is in memory unless a later one needed it: disk has them.
    unloaded: u64,
    update: Arc<TrieUpdate>,
}

/// How a trie came from its parent.
#[derive(Debug, Default)]
pub(crate) struct TrieUpdate {
    pub(crate) changes: StateChanges,
    pub(crate) gone: Gone,
}

impl StateTrie {
    pub fn root(&self) -> B256 {
        self.hash
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Up to which version the trie was unloaded.
    pub(crate) fn unloaded(&self) -> u64 {
        self.unloaded
    }

    /// Whether this is the trie of the same block as `other`, however much of either is in memory.
    pub(crate) fn is_same_block(&self, other: &Self) -> bool {
        self.version == other.version && self.hash == other.hash
    }

    pub(crate) fn update(&self) -> &Arc<TrieUpdate> {
        &self.update
    }

    /// The same trie as that of another version; its next trie follows from there.
    pub(crate) fn renumbered(self, version: u64) -> Self {
        Self { version, ..self }
    }

    fn from_root(root: Child<AccountLeaf>, version: u64, update: TrieUpdate) -> Self {
        Self {
            hash: root.root_hash(),
            root,
            version,
            unloaded: 0,
            update: Arc::new(update),
        }
    }

    /// The trie of the next block.
    pub(crate) fn next(&self, changes: StateChanges, nodes: &TrieNodes) -> Result<Self> {
        let version = self.version + 1;
        let update = Update::new(nodes, version);
        let root = update_trie(self.root.clone(), &changes.accounts, B256::ZERO, &update)?;
        let gone = update.into_gone();
        let mut next = Self::from_root(root, version, TrieUpdate { changes, gone });
        next.unloaded = self.unloaded;
        Ok(next)
    }
}

impl Default for StateTrie {
    /// The empty trie, before genesis.
    fn default() -> Self {
        Self::from_root(Child::Empty, 0, TrieUpdate::default())
    }
}

impl fmt::Debug for StateTrie {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("StateTrie")
            .field("root", &self.hash)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
