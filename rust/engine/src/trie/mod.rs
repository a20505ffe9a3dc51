//! The state trie: an immutable tree with shared nodes, loaded lazily and updated in batches.

use alloy_primitives::B256;
use alloy_trie::EMPTY_ROOT_HASH;

/// The account trie at one block. Cloning is cheap; an update gives a new tree that shares what did not change.
#[derive(Debug, Clone)]
pub struct StateTrie {
    root: B256,
}

impl StateTrie {
    pub fn root(&self) -> B256 {
        self.root
    }
}

impl Default for StateTrie {
    fn default() -> Self {
        Self {
            root: EMPTY_ROOT_HASH,
        }
    }
}
