//! The tip of the decided chain and the undecided blocks above it.

use std::{collections::HashMap, sync::Arc};

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes};

use crate::{
    EngineError, ExecutedBlock, Result,
    overlay::Overlay,
    store::{Head, StateView, Store},
    trie::StateTrie,
};

/// Undecided blocks kept at once. One round of consensus has one proposal; this is 32 rounds of a bad height.
const UNDECIDED_BLOCKS_MAX: usize = 32;

/// The head with the state after it, consistent with each other.
#[derive(Debug, Clone)]
pub(crate) struct Tip {
    pub(crate) head: Head,
    pub(crate) header: Header,
    view: StateView,
    trie: StateTrie,
    /// The head block itself, if this process executed it.
    executed: Option<Undecided>,
}

impl Tip {
    /// Read the tip; the caller makes sure that nothing is committed meanwhile.
    pub(crate) fn load(store: &Store) -> Result<Self> {
        let head = store.head();
        let header = store.header(head.number)?.ok_or_else(|| {
            EngineError::Corruption(format!("the header of the head {} is missing", head.number))
        })?;
        Ok(Self {
            head,
            header: header.0.clone(),
            view: store.latest(),
            trie: store.trie(),
            executed: None,
        })
    }

    pub(crate) fn view(&self) -> StateView {
        self.view.clone()
    }
}

/// A block that is valid and waits for a decision.
#[derive(Debug, Clone)]
pub(crate) struct Undecided {
    pub(crate) executed: Arc<ExecutedBlock>,
    pub(crate) rlp: Bytes,
}

impl Undecided {
    fn is(&self, rlp: &[u8], requests: Option<&[Bytes]>) -> bool {
        // The hash covers the header only: a body that does not belong to it must not pass for the block.
        *self.rlp == *rlp
            && requests.is_none_or(|requests| self.executed.block.requests.iter().eq(requests))
    }
}

/// What a new block stands on.
#[derive(Debug)]
pub(crate) struct Parent {
    pub(crate) header: Header,
    pub(crate) hash: B256,
    pub(crate) trie: StateTrie,
    pub(crate) overlay: Overlay,
}

/// The tip and what stands on it. One lock of the engine guards it.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) tip: Tip,
    undecided: HashMap<B256, Undecided>,
    /// Hashes in the order of arrival, to drop the oldest.
    arrivals: Vec<B256>,
}

impl Chain {
    pub(crate) fn new(tip: Tip) -> Self {
        Self {
            tip,
            undecided: HashMap::new(),
            arrivals: Vec::new(),
        }
    }

    /// The parent of a new block: the tip or an undecided block above it.
    pub(crate) fn parent(&self, hash: B256) -> Result<Parent> {
        let mut ancestors = Vec::new();
        let mut next = hash;
        while next != self.tip.head.hash {
            let Some(ancestor) = self.undecided.get(&next) else {
                return Err(EngineError::NotFound(format!(
                    "the parent block {hash} above the head"
                )));
            };
            next = ancestor.executed.block.header.parent_hash;
            ancestors.push(ancestor.executed.clone());
        }
        let (header, trie) = match ancestors.first() {
            Some(parent) => (parent.block.header.clone(), parent.trie.clone()),
            None => (self.tip.header.clone(), self.tip.trie.clone()),
        };
        Ok(Parent {
            header,
            hash,
            trie,
            overlay: Overlay::new(Arc::new(self.tip.view.clone()), ancestors),
        })
    }

    pub(crate) fn get(&self, hash: B256) -> Option<&Undecided> {
        if hash == self.tip.head.hash {
            return self.tip.executed.as_ref();
        }
        self.undecided.get(&hash)
    }

    /// A block that was executed before, if it is the same in every byte.
    pub(crate) fn find(
        &self,
        hash: B256,
        rlp: &[u8],
        requests: Option<&[Bytes]>,
    ) -> Option<Arc<ExecutedBlock>> {
        self.get(hash)
            .filter(|kept| kept.is(rlp, requests))
            .map(|kept| kept.executed.clone())
    }

    /// Keep a block, unless a decision made meanwhile has left it without a parent.
    pub(crate) fn keep(&mut self, block: Undecided) {
        let parent_hash = block.executed.block.header.parent_hash;
        if parent_hash != self.tip.head.hash && !self.undecided.contains_key(&parent_hash) {
            return;
        }
        let hash = block.executed.block.hash;
        if self.undecided.insert(hash, block).is_none() {
            self.arrivals.push(hash);
        }
        if self.arrivals.len() > UNDECIDED_BLOCKS_MAX {
            let oldest = self.arrivals.remove(0);
            self.undecided.remove(&oldest);
            self.drop_orphans();
        }
    }

    /// Move the tip to an undecided child of it and drop what does not stand on it.
    pub(crate) fn advance(&mut self, mut tip: Tip) {
        tip.executed = self.undecided.remove(&tip.head.hash);
        self.tip = tip;
        self.drop_orphans();
    }

    /// Forget all undecided blocks.
    pub(crate) fn reset(&mut self, tip: Tip) {
        *self = Self::new(tip);
    }

    pub(crate) fn undecided(&self) -> usize {
        self.undecided.len()
    }

    fn drop_orphans(&mut self) {
        loop {
            let orphans: Vec<B256> = self
                .undecided
                .values()
                .map(|kept| &kept.executed.block)
                .filter(|block| {
                    let parent = block.header.parent_hash;
                    parent != self.tip.head.hash && !self.undecided.contains_key(&parent)
                })
                .map(|block| block.hash)
                .collect();
            if orphans.is_empty() {
                break;
            }
            for hash in orphans {
                self.undecided.remove(&hash);
            }
        }
        self.arrivals
            .retain(|hash| self.undecided.contains_key(hash));
    }
}
