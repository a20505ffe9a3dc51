//! The transaction pool.

use std::{sync::Arc, time::Instant};

use alloy_consensus::{TxEnvelope, transaction::Recovered};
use alloy_primitives::{Address, B256, Bytes};

/// Limits of the pool.
#[derive(Debug, Clone, Default)]
pub struct PoolConfig {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Local,
    Gossip,
}

#[derive(Debug)]
pub struct PooledTransaction {
    pub transaction: Recovered<TxEnvelope>,
    pub raw: Bytes,
    pub hash: B256,
    pub origin: Origin,
    pub added: Instant,
}

#[derive(Debug)]
pub struct TransactionPool {}

impl TransactionPool {
    pub fn new(_config: PoolConfig, _chain_id: u64, _threads: Arc<rayon::ThreadPool>) -> Self {
        Self {}
    }

    /// The sender of a pooled transaction, recovered when it was admitted.
    pub fn sender(&self, _hash: &B256) -> Option<Address> {
        None
    }
}
