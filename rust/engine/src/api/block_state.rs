//! The state that a request reads: that after a decided block, or after the pending one.

use std::sync::Arc;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rpc_types_eth::EIP1186AccountProofResponse;
use revm::{
    DatabaseRef,
    bytecode::Bytecode,
    primitives::{StorageKey, StorageValue},
    state::AccountInfo,
};

use super::{RpcError, pending::PendingBlock};
use crate::{
    EngineError, Result,
    overlay::BaseState,
    store::{StateView, Store},
    trie::StateTrie,
};

/// The state after one block.
#[derive(Debug, Clone)]
pub(super) enum BlockState {
    Decided(StateView),
    Pending(Arc<PendingBlock>),
}

impl BlockState {
    /// The header of the block whose state this is, with its hash.
    pub(super) fn header(
        &self,
        store: &Store,
    ) -> std::result::Result<Arc<(Header, B256)>, RpcError> {
        match self {
            Self::Decided(view) => {
                let number = view.number();
                store.header(number)?.ok_or_else(|| {
                    RpcError::internal(format!("block {number} has state and no header"))
                })
            }
            Self::Pending(pending) => Ok(Arc::clone(pending.header())),
        }
    }

    pub(super) fn account(&self, address: Address) -> Result<Option<AccountInfo>> {
        self.basic_ref(address)
    }

    pub(super) fn storage(&self, address: Address, slot: U256) -> Result<U256> {
        self.storage_ref(address, slot)
    }

    /// The account's code; empty where there is none.
    pub(super) fn code(&self, address: Address) -> Result<Bytes> {
        match self {
            Self::Decided(view) => view.code(address),
            Self::Pending(pending) => match pending.state().basic_ref(address)? {
                Some(account) => {
                    let code = pending.state().code_by_hash_ref(account.code_hash)?;
                    Ok(code.original_bytes())
                }
                None => Ok(Bytes::new()),
            },
        }
    }

    pub(super) fn trie(&self, store: &Store) -> Result<StateTrie> {
        match self {
            Self::Decided(view) => store.trie_after(view.number()),
            Self::Pending(pending) => Ok(pending.trie().clone()),
        }
    }

    pub(super) fn proof(
        &self,
        store: &Store,
        address: Address,
        slots: &[B256],
    ) -> Result<EIP1186AccountProofResponse> {
        match self {
            Self::Decided(view) => store.proof(view.number(), address, slots),
            Self::Pending(pending) => store.proof_in(pending.trie(), address, slots),
        }
    }
}

impl DatabaseRef for BlockState {
    type Error = EngineError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>> {
        match self {
            Self::Decided(view) => view.basic_ref(address),
            Self::Pending(pending) => pending.state().basic_ref(address),
        }
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode> {
        match self {
            Self::Decided(view) => view.code_by_hash_ref(code_hash),
            Self::Pending(pending) => pending.state().code_by_hash_ref(code_hash),
        }
    }

    fn storage_ref(&self, address: Address, slot: StorageKey) -> Result<StorageValue> {
        match self {
            Self::Decided(view) => view.storage_ref(address, slot),
            Self::Pending(pending) => pending.state().storage_ref(address, slot),
        }
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256> {
        match self {
            Self::Decided(view) => view.block_hash_ref(number),
            Self::Pending(pending) => pending.state().block_hash_ref(number),
        }
    }
}

impl BaseState for BlockState {
    fn has_storage(&self, address: Address) -> Result<bool> {
        match self {
            Self::Decided(view) => view.has_storage(address),
            Self::Pending(pending) => pending.state().has_storage(address),
        }
    }
}
