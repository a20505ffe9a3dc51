//! The store: blocks, receipts, state, history and trie of the decided chain. One writer, many readers.

use std::{path::PathBuf, sync::Arc};

use alloy_consensus::{Header, ReceiptEnvelope};
use alloy_eips::eip7685::Requests;
use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rpc_types_eth::EIP1186AccountProofResponse;
use revm::{
    DatabaseRef,
    bytecode::Bytecode,
    database::BundleState,
    primitives::{StorageKey, StorageValue},
    state::AccountInfo,
};

use crate::{Block, EngineError, ExecutedBlock, Result, trie::StateTrie};

/// How to open a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Directory of the data; `None` keeps everything in memory.
    pub path: Option<PathBuf>,
    /// Bytes for all caches together: records, trie nodes and the key-value engine's blocks.
    pub cache_bytes: u64,
    /// How many blocks of state history are kept; `None` keeps all (archive).
    pub history_blocks: Option<u64>,
    /// The block log is synced to disk at every n-th commit; 1 makes each commit durable.
    pub sync_every_blocks: u32,
    /// Committed blocks collect in memory and reach the key-value engine in one batch of this many.
    pub flush_every_blocks: u32,
    /// The same bound in bytes, whichever comes first.
    pub flush_every_bytes: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            path: None,
            cache_bytes: 64 << 20,
            history_blocks: None,
            sync_every_blocks: 1,
            flush_every_blocks: 64,
            flush_every_bytes: 32 << 20,
        }
    }
}

/// The last decided block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    pub number: u64,
    pub hash: B256,
    pub state_root: B256,
    pub timestamp: u64,
}

/// A block of the chain as it is kept.
#[derive(Debug)]
pub struct StoredBlock {
    pub block: Block,
    pub receipts: Vec<ReceiptEnvelope>,
}

/// Sizes and counts for metrics.
#[derive(Debug, Clone, Default)]
pub struct StoreStats {
    pub head: u64,
    pub oldest_state: u64,
    pub disk_bytes: u64,
    pub log_bytes: u64,
    pub buffered_blocks: u64,
    pub buffered_bytes: u64,
}

/// The store of one chain; shared in `Arc`.
#[derive(Debug)]
pub struct Store {}

impl Store {
    pub fn open(_options: StoreOptions) -> Result<Self> {
        unimplemented!()
    }
    /// Whether no genesis was written yet.
    pub fn is_empty(&self) -> bool {
        unimplemented!()
    }
    /// Write genesis; checks `header.state_root` against the allocation.
    pub fn initialise(&self, _genesis: Block, _alloc: &[(Address, GenesisAccount)]) -> Result<()> {
        unimplemented!()
    }
    /// The state root of an allocation, to compute a genesis header.
    pub fn genesis_root(_alloc: &[(Address, GenesisAccount)]) -> B256 {
        unimplemented!()
    }
    /// Blocks of the log above the head, oldest first: after a crash the engine executes them again and commits them.
    pub fn unapplied(&self) -> Result<Vec<(Bytes, Requests)>> {
        unimplemented!()
    }
    pub fn head(&self) -> Head {
        unimplemented!()
    }
    /// The state after the head, pinned: it stays the same when later blocks commit.
    pub fn latest(&self) -> StateView {
        unimplemented!()
    }
    /// The state after block `number`; `Pruned` outside the history window.
    pub fn state_at(&self, _number: u64) -> Result<StateView> {
        unimplemented!()
    }
    /// The state trie at the head.
    pub fn trie(&self) -> StateTrie {
        unimplemented!()
    }
    /// The trie after `bundle` on top of `parent`, which may be an undecided block's.
    pub fn root_after(&self, _parent: &StateTrie, _bundle: &BundleState) -> Result<StateTrie> {
        unimplemented!()
    }
    /// Make a block durable and then visible, with its receipts, indexes and history. Its parent must be the head.
    pub fn commit(&self, _executed: &Arc<ExecutedBlock>) -> Result<()> {
        unimplemented!()
    }
    pub fn header(&self, _number: u64) -> Result<Option<Arc<(Header, B256)>>> {
        unimplemented!()
    }
    pub fn number_of(&self, _hash: B256) -> Result<Option<u64>> {
        unimplemented!()
    }
    pub fn block(&self, _number: u64) -> Result<Option<Arc<StoredBlock>>> {
        unimplemented!()
    }
    pub fn block_rlp(&self, _number: u64) -> Result<Option<(Bytes, Requests)>> {
        unimplemented!()
    }
    /// Block number and index of a transaction.
    pub fn transaction_location(&self, _hash: B256) -> Result<Option<(u64, u32)>> {
        unimplemented!()
    }
    /// Account and storage proof after block `number` (eth_getProof), also for what does not exist.
    pub fn proof(
        &self,
        _number: u64,
        _address: Address,
        _slots: &[B256],
    ) -> Result<EIP1186AccountProofResponse> {
        unimplemented!()
    }
    /// Go back to block `to` (for development): later blocks are forgotten.
    pub fn rewind(&self, _to: u64) -> Result<()> {
        unimplemented!()
    }
    /// Write everything buffered to disk.
    pub fn flush(&self) -> Result<()> {
        unimplemented!()
    }
    pub fn close(&self) -> Result<()> {
        unimplemented!()
    }
    pub fn stats(&self) -> StoreStats {
        unimplemented!()
    }
}

/// The state after one block; consistent for as long as it is held.
#[derive(Debug, Clone)]
pub struct StateView {
    number: u64,
}

impl StateView {
    /// The block whose state this is.
    pub fn number(&self) -> u64 {
        self.number
    }
    /// Nonce, balance and code hash; `None` where there is no account.
    pub fn account(&self, _address: Address) -> Result<Option<AccountInfo>> {
        unimplemented!()
    }
    pub fn storage(&self, _address: Address, _slot: U256) -> Result<U256> {
        unimplemented!()
    }
    /// The account's code; empty where there is none.
    pub fn code(&self, _address: Address) -> Result<Bytes> {
        unimplemented!()
    }
}

impl DatabaseRef for StateView {
    type Error = EngineError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>> {
        self.account(address)
    }
    fn code_by_hash_ref(&self, _code_hash: B256) -> Result<Bytecode> {
        unimplemented!()
    }
    fn storage_ref(&self, address: Address, index: StorageKey) -> Result<StorageValue> {
        self.storage(address, index)
    }
    fn block_hash_ref(&self, _number: u64) -> Result<B256> {
        unimplemented!()
    }
}
