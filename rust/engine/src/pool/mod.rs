//! The transaction pool: what this node knows and no block holds yet.
//!
//! A transaction is *pending* when its nonce follows on from its account's state, *queued* when nonces before it are
//! missing. Decoding and signature recovery happen outside the pool's lock; the lock is held for one or two
//! microseconds a transaction, and for one reference count a sender when a block is built.

mod account;
mod config;
mod error;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::{TxEnvelope, transaction::Recovered};
use alloy_primitives::{Address, B256, Bytes};

pub use self::{
    account::{Account, AccountCode, AccountReader},
    config::PoolConfig,
    error::{InvalidSender, PoolError},
};
use crate::{Block, Result};

/// Where a transaction came from; it decides whether this node forwards it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This node's own RPC: forwarded.
    Local,
    /// A peer whose transactions this node has to forward: on a validator a peer that is none, on a follower any.
    Relayed,
    /// A peer that forwards to everybody itself: not forwarded again.
    Gossip,
}

/// A transaction of the pool; immutable, shared in `Arc`.
#[derive(Debug)]
pub struct PooledTransaction {
    pub transaction: Recovered<TxEnvelope>,
    /// The EIP-2718 encoding as it arrived.
    pub raw: Bytes,
    pub hash: B256,
    pub origin: Origin,
    pub added: Instant,
}

/// What the pool has to know of the chain's head.
#[derive(Clone)]
pub struct PoolHead {
    pub number: u64,
    /// Of the next block, in wei per gas.
    pub next_base_fee: u64,
    pub next_gas_limit: u64,
    /// The state after the head.
    pub accounts: Arc<dyn AccountReader>,
}

/// Transactions by account and nonce.
pub type ByAccount = BTreeMap<Address, Vec<Arc<PooledTransaction>>>;

/// Everything in the pool, by account and nonce.
#[derive(Debug, Default)]
pub struct PoolContent {
    pub pending: ByAccount,
    pub queued: ByAccount,
}

/// Counts of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolStatus {
    pub pending: usize,
    pub queued: usize,
}

/// Figures for metrics; counters since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PoolStatistics {
    pub pending: usize,
    pub queued: usize,
    pub senders: usize,
    pub bytes: usize,
    pub added: u64,
    /// Refusals by reason.
    pub refused: Vec<(&'static str, u64)>,
    /// Removals by reason: mined, replaced, evicted, expired, stale, funds, gas.
    pub removed: Vec<(&'static str, u64)>,
}

/// Transactions for peers: one RLP list of EIP-2718 byte strings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GossipBatch {
    pub list: Bytes,
    pub count: usize,
}

/// The pool. Safe to share between threads.
pub struct TransactionPool {}

impl std::fmt::Debug for TransactionPool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("TransactionPool")
            .finish_non_exhaustive()
    }
}

impl TransactionPool {
    /// An empty pool over `head`. `threads` recover the signatures of batches.
    pub fn new(
        _config: PoolConfig,
        _chain_id: u64,
        _threads: Arc<rayon::ThreadPool>,
        _head: PoolHead,
    ) -> Self {
        unimplemented!()
    }

    /// Be told of the transactions that became pending, once a batch, after they can be seen. Set once, at the start.
    pub fn set_listener(&self, _listener: Box<dyn Fn(Vec<Arc<PooledTransaction>>) + Send + Sync>) {
        unimplemented!()
    }

    /// Admit many transactions: decoded and recovered in parallel, then inserted together. One answer each, in order.
    pub fn add(
        &self,
        _raws: &[Bytes],
        _origin: Origin,
    ) -> Vec<std::result::Result<B256, PoolError>> {
        unimplemented!()
    }

    /// Admit one transaction. Recovery runs on the calling thread; what arrives meanwhile is inserted together.
    pub fn add_one(&self, _raw: Bytes, _origin: Origin) -> std::result::Result<B256, PoolError> {
        unimplemented!()
    }

    /// Admit a peer's batch as [`GossipBatch`] encodes it. A list that is no canonical RLP is refused as a whole.
    pub fn add_gossip(
        &self,
        _list: &Bytes,
        _origin: Origin,
    ) -> std::result::Result<Vec<std::result::Result<B256, PoolError>>, PoolError> {
        unimplemented!()
    }

    /// The pending transactions by effective tip, each account's by nonce. A snapshot: the pool goes on meanwhile.
    pub fn best(&self, _base_fee: u64) -> BestTransactions {
        unimplemented!()
    }

    /// Follow the chain: drop what `block` holds, check again the accounts it changed, promote and demote.
    pub fn on_new_head(
        &self,
        _block: &Block,
        _changed: impl IntoIterator<Item = Address>,
        _head: PoolHead,
    ) {
        unimplemented!()
    }

    pub fn get(&self, _hash: &B256) -> Option<Arc<PooledTransaction>> {
        unimplemented!()
    }

    /// The sender of a transaction that is, or lately was, in the pool: recovered once, used again for blocks.
    pub fn sender(&self, _hash: &B256) -> Option<Address> {
        unimplemented!()
    }

    /// The nonce after the account's last pending transaction; `None` if it has none.
    pub fn pending_nonce(&self, _address: Address) -> Option<u64> {
        unimplemented!()
    }

    pub fn status(&self) -> PoolStatus {
        unimplemented!()
    }

    pub fn statistics(&self) -> PoolStatistics {
        unimplemented!()
    }

    pub fn content(&self) -> PoolContent {
        unimplemented!()
    }

    pub fn content_from(&self, _address: Address) -> PoolContent {
        unimplemented!()
    }

    /// The hashes of all pending transactions, for pending-transaction filters and tests.
    pub fn pending_hashes(&self) -> Vec<B256> {
        unimplemented!()
    }

    /// The next transactions to forward (origin local or relayed), taken from the queue; `None` when it is empty.
    pub fn take_gossip(&self, _bytes_max: usize) -> Option<GossipBatch> {
        unimplemented!()
    }

    /// Pending transactions older than `age` in turn, to be sent again: a peer may have missed them.
    pub fn take_rebroadcast(&self, _age: Duration, _bytes_max: usize) -> Option<GossipBatch> {
        unimplemented!()
    }

    /// All pending transactions, best first, in batches: what a new connection is told.
    pub fn pending_batches(&self, _bytes_max: usize) -> Vec<GossipBatch> {
        unimplemented!()
    }

    /// Drop everything. For tools and tests.
    pub fn clear(&self) {
        unimplemented!()
    }
}

/// The pending transactions by effective tip, each account's by nonce.
#[derive(Debug)]
pub struct BestTransactions {}

impl BestTransactions {
    /// Leave out what else the sender of the transaction yielded last has: it failed, so the rest would.
    pub fn skip_sender(&mut self) {
        unimplemented!()
    }
}

impl Iterator for BestTransactions {
    type Item = Arc<PooledTransaction>;

    fn next(&mut self) -> Option<Self::Item> {
        unimplemented!()
    }
}

/// The byte strings of a gossip list.
pub fn decode_gossip(_list: &Bytes) -> Result<Vec<Bytes>> {
    unimplemented!()
}
