//! The facade: one chain with its state, its pool and its undecided blocks.
//!
//! Undecided blocks are kept by hash as overlays over the head; `finalize` makes one of them the head and drops its
//! siblings. Everything here blocks; the caller chooses the thread.

use std::{path::PathBuf, sync::Arc, time::Instant};

use alloy_consensus::Header;
use alloy_eips::eip4895::Withdrawal;
use alloy_evm::EvmEnv;
use alloy_primitives::{Address, B256, Bytes};
use crossbeam_channel::Receiver;

use crate::{
    ChainSpec, ExecutedBlock, Result,
    pool::{PoolConfig, PooledTransaction, TransactionPool},
    store::{Head, Store, StoredBlock},
};

/// How to open an engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Directory of the data; `None` keeps everything in memory.
    pub path: Option<PathBuf>,
    /// Bytes for the store's caches together.
    pub cache_bytes: u64,
    /// Threads for signature recovery and state roots.
    pub threads: usize,
    /// Blocks of state history to keep; `None` keeps all (archive).
    pub history_blocks: Option<u64>,
    pub pool: PoolConfig,
    /// Upper bound of gas for a call or an estimate of the api.
    pub gas_ceiling: u64,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            path: None,
            cache_bytes: 64 << 20,
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            history_blocks: None,
            pool: PoolConfig::default(),
            gas_ceiling: 50_000_000,
        }
    }
}

/// What consensus decides about a block before it is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildAttributes {
    /// Seconds since the Unix epoch; greater than the parent's.
    pub timestamp: u64,
    pub fee_recipient: Address,
    pub prev_randao: B256,
    pub withdrawals: Vec<Withdrawal>,
    pub parent_beacon_block_root: B256,
    pub gas_limit: u64,
    /// At most 32 bytes.
    pub extra_data: Bytes,
}

/// What subscribers are told. A block is announced after it and its state are visible.
#[derive(Debug, Clone)]
pub enum EngineEvent {
    NewHead(Arc<StoredBlock>),
    PendingTransactions(Vec<Arc<PooledTransaction>>),
}

/// One chain. Safe to share between threads.
#[derive(Debug)]
pub struct Engine {}

impl Engine {
    /// Open the chain of a geth-format genesis; a directory of another genesis is refused.
    pub fn open(_genesis_json: &[u8], _config: EngineConfig) -> Result<Arc<Self>> {
        unimplemented!()
    }

    pub fn head(&self) -> Head {
        unimplemented!()
    }

    pub fn spec(&self) -> &Arc<ChainSpec> {
        unimplemented!()
    }

    pub fn config(&self) -> &EngineConfig {
        unimplemented!()
    }

    pub fn store(&self) -> &Arc<Store> {
        unimplemented!()
    }

    pub fn pool(&self) -> &Arc<TransactionPool> {
        unimplemented!()
    }

    /// The engine's own threads; never the global pool of rayon.
    pub fn threads(&self) -> &Arc<rayon::ThreadPool> {
        unimplemented!()
    }

    /// Build a block on `parent` from the pool's best transactions; it is kept, so that validating it is free.
    pub fn build(
        &self,
        _parent: B256,
        _attributes: &BuildAttributes,
        _deadline: Instant,
    ) -> Result<Arc<ExecutedBlock>> {
        unimplemented!()
    }

    /// Check every rule of a block whose parent is the head or a kept block; it is kept by hash.
    pub fn validate(&self, _rlp: &[u8], _requests: &[Bytes]) -> Result<Arc<ExecutedBlock>> {
        unimplemented!()
    }

    /// Make a kept block the head; its siblings are dropped, pool and subscribers are told.
    pub fn finalize(&self, _hash: B256) -> Result<Head> {
        unimplemented!()
    }

    /// Validate and finalize blocks in order, recovering signatures ahead of execution.
    pub fn import(&self, _blocks: &[(Bytes, Vec<Bytes>)]) -> Result<Head> {
        unimplemented!()
    }

    /// RLP and requests of a decided block.
    pub fn payload(&self, _number: u64) -> Result<Option<(Bytes, Vec<Bytes>)>> {
        unimplemented!()
    }

    /// A bounded queue of events; a reader that falls behind loses the oldest ones.
    pub fn subscribe(&self) -> Receiver<EngineEvent> {
        unimplemented!()
    }

    /// The environment in which `header`'s own transactions ran.
    pub fn evm_env(&self, _header: &Header) -> EvmEnv {
        unimplemented!()
    }

    /// The environment of a block on top of `parent`, as `build` would make it.
    pub fn next_env(&self, _parent: &Header, _attributes: &BuildAttributes) -> EvmEnv {
        unimplemented!()
    }
}
