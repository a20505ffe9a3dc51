//! The state after one block, as the EVM and the API read it.

use std::{fmt, sync::Arc};

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use revm::{
    DatabaseRef,
    bytecode::Bytecode,
    primitives::{StorageKey, StorageValue},
    state::AccountInfo,
};

use super::{Inner, keys::SlotKey};
use crate::{EngineError, Result, overlay::BaseState, state::AccountRecord};

/// The state after one block. It stays the same when later blocks commit, for as long as the block is within the history.
#[derive(Clone)]
pub struct StateView {
    store: Arc<Inner>,
    number: u64,
}

impl StateView {
    pub(super) fn new(store: Arc<Inner>, number: u64) -> Self {
        Self { store, number }
    }

    /// The block whose state this is.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Nonce, balance and code hash; `None` where there is no account.
    pub fn record(&self, address: Address) -> Result<Option<AccountRecord>> {
        self.record_of(&keccak256(address))
    }

    /// As [`StateView::record`], in revm's form without the code.
    pub fn account(&self, address: Address) -> Result<Option<AccountInfo>> {
        let record = self.record(address)?;
        Ok(record.map(|record| AccountInfo {
            nonce: record.nonce,
            balance: record.balance,
            code_hash: record.code_hash,
            code: None,
            account_id: None,
        }))
    }

    pub fn storage(&self, address: Address, slot: U256) -> Result<U256> {
        self.slot_of(&SlotKey {
            account: keccak256(address),
            slot: keccak256(slot.to_be_bytes::<32>()),
        })
    }

    /// The account's code; empty where there is none.
    pub fn code(&self, address: Address) -> Result<Bytes> {
        match self.record(address)? {
            Some(record) => Ok(self.store.code(record.code_hash)?.original_bytes()),
            None => Ok(Bytes::new()),
        }
    }

    pub(super) fn record_of(&self, hashed: &B256) -> Result<Option<AccountRecord>> {
        let record = self.store.flat.account(hashed, self.number)?;
        self.still_kept()?;
        Ok(record)
    }

    pub(super) fn slot_of(&self, key: &SlotKey) -> Result<U256> {
        let value = self.store.flat.slot(key, self.number)?;
        self.still_kept()?;
        Ok(value)
    }

    /// Asked after a read: history is deleted only after the window has moved on.
    fn still_kept(&self) -> Result<()> {
        let oldest = self.store.oldest();
        if self.number < oldest {
            let number = self.number;
            return Err(EngineError::Pruned { number, oldest });
        }
        Ok(())
    }
}

impl DatabaseRef for StateView {
    type Error = EngineError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>> {
        self.account(address)
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode> {
        self.store.code(code_hash)
    }

    fn storage_ref(&self, address: Address, index: StorageKey) -> Result<StorageValue> {
        self.storage(address, index)
    }

    /// The EVM asks for the last 256 blocks only; a block that is not there has no hash.
    fn block_hash_ref(&self, number: u64) -> Result<B256> {
        if number > self.number {
            return Ok(B256::ZERO);
        }
        Ok(self.store.block_hash(number)?.unwrap_or_default())
    }
}

impl BaseState for StateView {
    /// Such an account has its storage from genesis, and keeps both for ever: the trie of the head tells it, unless a contract
    /// was created there since, which proves that it had none.
    fn has_storage(&self, address: Address) -> Result<bool> {
        let hashed = keccak256(address);
        let published = self.store.published.read().clone();
        if published.head.number > self.number {
            let now = self.store.flat.account(&hashed, published.head.number)?;
            if now.is_none_or(|now| now.has_code() || now.nonce != 0) {
                return Ok(false);
            }
        }
        published.trie.has_storage(hashed, &self.store.nodes)
    }
}

impl fmt::Debug for StateView {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("StateView")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}
