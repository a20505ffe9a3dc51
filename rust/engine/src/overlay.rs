//! The state that a block runs on: the committed state of the head, under the changes of undecided ancestors.

use std::sync::{Arc, OnceLock};

use alloy_primitives::{Address, B256};
use revm::{
    DatabaseRef,
    bytecode::Bytecode,
    primitives::{StorageKey, StorageValue},
    state::AccountInfo,
};

use crate::{EngineError, ExecutedBlock, Result};

/// The committed state under an execution: a view of the store.
pub(crate) trait BaseState:
    DatabaseRef<Error = EngineError> + std::fmt::Debug + Send + Sync
{
    /// Whether any slot is set of an account that has neither code nor nonce.
    fn has_storage(&self, address: Address) -> Result<bool>;
}

/// A read-only state for one execution. It remembers the first storage fault it met, because the layers above turn some
/// faults into plain text and would make a bad disk look like a bad block.
#[derive(Debug)]
pub(crate) struct Overlay {
    base: Arc<dyn BaseState>,
    /// Undecided blocks between the base and the block to run, newest first.
    ancestors: Vec<Arc<ExecutedBlock>>,
    fault: OnceLock<EngineError>,
}

impl Overlay {
    pub(crate) fn new(base: Arc<dyn BaseState>, ancestors: Vec<Arc<ExecutedBlock>>) -> Self {
        Self {
            base,
            ancestors,
            fault: OnceLock::new(),
        }
    }

    /// The undecided blocks under the block to run, newest first.
    pub(crate) fn ancestors(&self) -> &[Arc<ExecutedBlock>] {
        &self.ancestors
    }

    /// Whether any slot of an account is set.
    pub(crate) fn has_storage(&self, address: Address) -> Result<bool> {
        for ancestor in &self.ancestors {
            if let Some(account) = ancestor.bundle.account(&address)
                && account.status.is_storage_known()
            {
                let mut slots = account.storage.values();
                return Ok(slots.any(|slot| !slot.present_value.is_zero()));
            }
        }
        self.base(self.base.has_storage(address))
    }

    /// The first storage fault of this execution.
    pub(crate) fn fault(&self) -> Option<&EngineError> {
        self.fault.get()
    }

    fn base<T>(&self, read: Result<T>) -> Result<T> {
        read.inspect_err(|error| {
            // Only the first is kept: the others follow from it.
            let _ = self.fault.set(error.clone());
        })
    }
}

impl DatabaseRef for Overlay {
    type Error = EngineError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>> {
        for ancestor in &self.ancestors {
            if let Some(account) = ancestor.bundle.account(&address) {
                return Ok(account.account_info());
            }
        }
        self.base(self.base.basic_ref(address))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode> {
        for ancestor in &self.ancestors {
            if let Some(code) = ancestor.bundle.bytecode(&code_hash) {
                return Ok(code);
            }
        }
        self.base(self.base.code_by_hash_ref(code_hash))
    }

    fn storage_ref(&self, address: Address, slot: StorageKey) -> Result<StorageValue> {
        for ancestor in &self.ancestors {
            // A created or destroyed account answers zero for what it does not hold: nothing below counts.
            if let Some(value) = ancestor
                .bundle
                .account(&address)
                .and_then(|account| account.storage_slot(slot))
            {
                return Ok(value);
            }
        }
        self.base(self.base.storage_ref(address, slot))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256> {
        for ancestor in &self.ancestors {
            if ancestor.block.header.number == number {
                return Ok(ancestor.block.hash);
            }
        }
        self.base(self.base.block_hash_ref(number))
    }
}
