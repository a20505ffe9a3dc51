//! The transaction pool: what this node knows and no block holds yet.
//!
//! A transaction is *pending* when its nonce follows on from its account's state, *queued* when nonces before it are
//! missing. Decoding, hashing and recovery (nine tenths of the work) happen outside the pool's lock, on the threads of
//! whoever calls; under it a transaction takes a microsecond or two, and making a block's snapshot one reference count
//! an account. So intake is bounded by recovery, and single calls from many threads need no batching: the lock is free
//! nineteen times in twenty.
//!
//! The pool keeps its own reader of the head's state. An account that was read before a new head arrived is read again.

mod account;
mod admission;
mod best;
mod blobs;
mod config;
mod counters;
mod error;
mod eviction;
mod gossip;
mod index;
mod ledger;
mod outbox;
#[cfg(test)]
mod tests;
mod transaction;

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::{Arc, OnceLock},
    time::Duration,
};

use alloy_primitives::{Address, B256, Bytes};
use parking_lot::{Mutex, RwLock};
use rayon::prelude::*;

pub use self::{
    account::{Account, AccountCode, AccountReader, changed_accounts},
    best::BestTransactions,
    config::PoolConfig,
    error::{InvalidSender, PoolError},
    gossip::GossipBatch,
    transaction::{Origin, PooledTransaction},
};
#[cfg(any(test, feature = "testing"))]
pub(crate) use self::{admission::decode as decode_raw, gossip::decode_batch};
use self::{
    admission::{Admission, Candidate},
    counters::Counters,
    index::Index,
    ledger::{Afterwards, Ledger, Slot},
};
use crate::{Block, Durations};

/// Below this many transactions handing them to other threads costs more than it saves.
const PARALLEL_MIN: usize = 4;

/// Transactions recovered in one go: five milliseconds of two threads, so that a block that is to be checked on the same
/// threads does not wait for a whole batch of a peer.
const PREPARE_CHUNK: usize = 256;

/// Transactions inserted under one hold of the lock: a quarter of a millisecond.
const INSERT_CHUNK: usize = 128;

/// Removed transactions that are freed at once; more are freed by another thread.
const GARBAGE_INLINE_MAX: usize = 64;

/// The answer to one transaction.
pub type Admitted = std::result::Result<B256, PoolError>;

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

/// A head and which one it is.
struct HeadState {
    head: PoolHead,
    generation: u64,
}

impl std::ops::Deref for HeadState {
    type Target = PoolHead;

    fn deref(&self) -> &PoolHead {
        &self.head
    }
}

impl std::fmt::Debug for HeadState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("HeadState")
            .field("number", &self.head.number)
            .finish_non_exhaustive()
    }
}

/// Transactions by account, in the order of their nonces.
pub type ByAccount = BTreeMap<Address, Vec<Arc<PooledTransaction>>>;

/// Everything in the pool, or of one account.
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
    /// Accounts that have transactions here.
    pub senders: usize,
    /// Encoded bytes.
    pub bytes: usize,
    /// Those of `pending` that came through this node's own RPC.
    pub pending_local: usize,
    /// Those of `queued` that did.
    pub queued_local: usize,
    /// How long the oldest pending transaction has been here.
    pub oldest_pending: Option<Duration>,
    /// Taken from this node's own RPC.
    pub added_local: u64,
    /// Taken from peers.
    pub added_remote: u64,
    /// Refusals by reason.
    pub refused: Vec<(&'static str, u64)>,
    /// Removals by reason.
    pub removed: Vec<(&'static str, u64)>,
    /// How long those that a block holds were here before.
    pub inclusion: Durations,
}

type Listener = Box<dyn Fn() + Send + Sync>;

/// The pool. Safe to share between threads.
pub struct TransactionPool {
    config: PoolConfig,
    admission: Admission,
    threads: Arc<rayon::ThreadPool>,
    head: RwLock<Arc<HeadState>>,
    index: Arc<Index>,
    counters: Arc<Counters>,
    ledger: Mutex<Ledger>,
    listener: OnceLock<Listener>,
}

impl std::fmt::Debug for TransactionPool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("TransactionPool")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl TransactionPool {
    /// An empty pool over `head`. `threads` recover the signatures of batches.
    pub fn new(
        config: PoolConfig,
        chain_id: u64,
        threads: Arc<rayon::ThreadPool>,
        head: PoolHead,
    ) -> Self {
        let head = Arc::new(HeadState {
            head,
            generation: 0,
        });
        let index = Arc::new(Index::default());
        let counters = Arc::new(Counters::default());
        let ledger = Ledger::new(
            config.clone(),
            Arc::clone(&head),
            Arc::clone(&index),
            Arc::clone(&counters),
        );
        Self {
            admission: Admission::new(&config, chain_id),
            config,
            threads,
            head: RwLock::new(head),
            index,
            counters,
            ledger: Mutex::new(ledger),
            listener: OnceLock::new(),
        }
    }

    /// Be woken when transactions became pending and none waited to be taken; `take_fresh` then gives them. The
    /// listener must be quick: it runs on the thread that brought the transaction. Only the first call counts.
    pub fn set_listener(&self, listener: impl Fn() + Send + Sync + 'static) {
        if self.listener.set(Box::new(listener)).is_ok() {
            self.ledger.lock().outbox.listen();
        }
    }

    /// What became pending since the last call, in order. Kept only when there is a listener, and at most a pool full.
    pub fn take_fresh(&self) -> Vec<Arc<PooledTransaction>> {
        self.ledger.lock().outbox.take_fresh().into()
    }

    // Intake.

    /// Admit one transaction, on the calling thread.
    pub fn add_one(&self, raw: Bytes, origin: Origin) -> Admitted {
        let head = Arc::clone(&self.head.read());
        let mut answer = Err(PoolError::AlreadyKnown);
        match self.prepare(&head, raw, origin) {
            Ok(candidate) => {
                let afterwards = self
                    .ledger
                    .lock()
                    .insert_all([candidate], |result| answer = result);
                self.finish(afterwards);
            }
            Err(error) => answer = Err(error),
        }
        self.counters.count(&answer, origin);
        answer
    }

    /// Admit many transactions: prepared in parallel, then inserted. One answer each, in the given order.
    pub fn add(&self, raws: &[Bytes], origin: Origin) -> Vec<Admitted> {
        self.add_batch(raws, Bytes::clone, origin)
    }

    /// Admit a peer's batch as [`GossipBatch`] has it. What is no canonical RLP list of strings is refused as a whole.
    pub fn add_gossip(
        &self,
        list: &[u8],
        origin: Origin,
    ) -> std::result::Result<Vec<Admitted>, PoolError> {
        // Copied one by one: a slice would keep the whole batch in memory for one transaction.
        Ok(self.add_batch(
            &gossip::decode_batch(list)?,
            |raw| Bytes::copy_from_slice(raw),
            origin,
        ))
    }

    fn add_batch<R: Sync>(
        &self,
        raws: &[R],
        bytes: impl Fn(&R) -> Bytes + Sync,
        origin: Origin,
    ) -> Vec<Admitted> {
        let head = Arc::clone(&self.head.read());
        let prepare = |raw: &R| self.prepare(&head, bytes(raw), origin);
        let mut prepared = Vec::with_capacity(raws.len());
        for chunk in raws.chunks(PREPARE_CHUNK) {
            if chunk.len() < PARALLEL_MIN {
                prepared.extend(chunk.iter().map(prepare));
            } else {
                let chunk = || {
                    chunk
                        .par_iter()
                        .with_min_len(2)
                        .map(prepare)
                        .collect::<Vec<_>>()
                };
                prepared.append(&mut self.threads.install(chunk));
            }
        }

        let mut answers = Vec::with_capacity(prepared.len());
        let mut candidates = Vec::with_capacity(prepared.len());
        for (place, candidate) in prepared.into_iter().enumerate() {
            match candidate {
                Ok(candidate) => {
                    candidates.push((place, candidate));
                    // Stands until the candidate is inserted.
                    answers.push(Err(PoolError::AlreadyKnown));
                }
                Err(error) => answers.push(Err(error)),
            }
        }
        // By nonce, so that a shuffled batch does not meet the bound of gapped transactions.
        candidates.sort_by_key(|(_, candidate)| candidate.transaction.nonce());
        let places: Vec<usize> = candidates.iter().map(|(place, _)| *place).collect();
        let mut places = places.into_iter();
        let mut candidates = candidates.into_iter().map(|(_, candidate)| candidate);
        while candidates.len() > 0 {
            let chunk = candidates.by_ref().take(INSERT_CHUNK);
            let afterwards = self.ledger.lock().insert_all(chunk, |answer| {
                if let Some(place) = places.next() {
                    answers[place] = answer;
                }
            });
            self.finish(afterwards);
        }
        for answer in &answers {
            self.counters.count(answer, origin);
        }
        answers
    }

    /// Everything that needs no lock.
    fn prepare(
        &self,
        head: &HeadState,
        raw: Bytes,
        origin: Origin,
    ) -> std::result::Result<Candidate, PoolError> {
        let (raw, carried) = self.admission.split(raw)?;
        let hash = self.admission.hash(&raw)?;
        if self.index.contains(&hash) {
            return Err(PoolError::AlreadyKnown);
        }
        let mut transaction = self
            .admission
            .examine(raw, hash, origin, head.next_gas_limit)?;
        // The pool knows the account of whoever has something here.
        let account = if transaction.transaction.is_eip7702()
            || !self.index.has_sender(&transaction.sender())
        {
            let account = admission::read_state(&mut transaction, head)
                .inspect_err(|_| self.index.remember(hash, transaction.sender()))?;
            Some((head.generation, account))
        } else {
            None
        };
        if let Some(carried) = carried {
            carried.check()?;
        }
        Ok(Candidate {
            transaction,
            account,
        })
    }

    /// Called without the lock.
    fn finish(&self, afterwards: Afterwards) {
        if afterwards.wake
            && let Some(listener) = self.listener.get()
        {
            listener();
        }
        // Freeing thousands of transactions takes milliseconds, for which nobody has to wait.
        if afterwards.garbage.len() > GARBAGE_INLINE_MAX {
            self.threads.spawn(move || drop(afterwards));
        }
    }

    // The chain.

    /// Follow the chain: drop what `block` holds, check again the accounts it changed (every sender is one), promote and
    /// demote. `changed` tells an account where the caller knows it, as [`changed_accounts`] does; the others are read.
    pub fn on_new_head(
        &self,
        block: &Block,
        changed: impl IntoIterator<Item = (Address, Option<Account>)>,
        head: PoolHead,
    ) {
        let generation = self.head.read().generation + 1;
        let head = Arc::new(HeadState { head, generation });
        // Those of the pool's accounts that are not known are read before the lock is taken: they may be on the disk.
        let known_or_read = |(address, account): (Address, Option<Account>)| {
            let read = || {
                let is_here = self.index.has_sender(&address);
                is_here.then(|| ledger::account_or_end(&head, address))
            };
            (address, account.or_else(read))
        };
        let changed: Vec<(Address, Option<Account>)> =
            changed.into_iter().map(known_or_read).collect();
        let mined: HashSet<B256> = if self.index.has_senders() {
            let hashes = block.transactions.iter();
            hashes.map(|transaction| *transaction.tx_hash()).collect()
        } else {
            HashSet::new()
        };
        let afterwards = {
            let mut ledger = self.ledger.lock();
            let afterwards = ledger.advance(Arc::clone(&head), &mined, changed);
            *self.head.write() = head;
            afterwards
        };
        self.finish(afterwards);
    }

    /// Drop everything: the chain was set back.
    pub fn clear(&self) {
        let afterwards = self.ledger.lock().clear();
        self.finish(afterwards);
    }

    /// The pending transactions by effective tip, each account's by nonce. A snapshot: the pool goes on meanwhile.
    pub fn best(&self, base_fee: u64) -> BestTransactions {
        let chains = self.ledger.lock().chains();
        BestTransactions::new(base_fee, self.config.tip_min, chains)
    }

    // Reading.

    pub fn get(&self, hash: &B256) -> Option<Arc<PooledTransaction>> {
        self.index.get(hash)
    }

    /// The sender of a transaction that is, or lately was, in the pool: recovered once, used again for blocks.
    pub fn sender(&self, hash: &B256) -> Option<Address> {
        self.index.sender(hash)
    }

    /// The nonce after the account's last pending transaction; `None` if it has none.
    pub fn pending_nonce(&self, address: Address) -> Option<u64> {
        if !self.index.has_sender(&address) {
            return None;
        }
        self.ledger.lock().pending_nonce(&address)
    }

    pub fn status(&self) -> PoolStatus {
        let size = self.ledger.lock().size();
        PoolStatus {
            pending: size.pending,
            queued: size.queued,
        }
    }

    pub fn statistics(&self) -> PoolStatistics {
        let (size, chains) = {
            let ledger = self.ledger.lock();
            (ledger.size(), ledger.chains())
        };
        // Counted when somebody asks, without the lock, and not kept up to date on every way in and out.
        let pending = || chains.iter().flat_map(|chain| chain.iter());
        let is_local = |slot: &&Slot| slot.transaction.origin == Origin::Local;
        let pending_local = pending().filter(is_local).count();
        let oldest = pending().map(|slot| slot.transaction.added).min();
        let (added_local, added_remote) = self.counters.added();
        PoolStatistics {
            pending: size.pending,
            queued: size.queued,
            senders: size.senders,
            bytes: size.bytes,
            pending_local,
            queued_local: size.local.saturating_sub(pending_local),
            oldest_pending: oldest.map(|added| added.elapsed()),
            added_local,
            added_remote,
            refused: self.counters.refused(),
            removed: self.counters.removed(),
            inclusion: self.counters.inclusion(),
        }
    }

    pub fn config(&self) -> &PoolConfig {
        &self.config
    }

    pub fn content(&self) -> PoolContent {
        let (chains, queued) = {
            let ledger = self.ledger.lock();
            (ledger.chains(), ledger.all_queued())
        };
        let mut content = PoolContent::default();
        for slot in chains.iter().flat_map(|chain| chain.iter()) {
            let transactions = content
                .pending
                .entry(slot.transaction.sender())
                .or_default();
            transactions.push(Arc::clone(&slot.transaction));
        }
        for transaction in queued {
            content
                .queued
                .entry(transaction.sender())
                .or_default()
                .push(transaction);
        }
        content
    }

    pub fn content_from(&self, address: Address) -> PoolContent {
        let (chain, queued) = {
            let ledger = self.ledger.lock();
            (ledger.chain_of(&address), ledger.queued_of(&address))
        };
        let mut content = PoolContent::default();
        let pending: Vec<_> = chain
            .iter()
            .flat_map(|chain| chain.iter())
            .map(|slot| Arc::clone(&slot.transaction))
            .collect();
        if !pending.is_empty() {
            content.pending.insert(address, pending);
        }
        if !queued.is_empty() {
            content.queued.insert(address, queued);
        }
        content
    }

    /// The hashes of all pending transactions, in no order.
    pub fn pending_hashes(&self) -> Vec<B256> {
        let chains = self.ledger.lock().chains();
        chains
            .iter()
            .flat_map(|chain| chain.iter())
            .map(|slot| slot.transaction.hash)
            .collect()
    }

    // Peers.

    /// The next transactions to forward (those of origin local or relayed that became pending, and old ones once more),
    /// at most `bytes_max` encoded, at least one; `None` when there is nothing. Worth asking after each new head.
    pub fn take_gossip(&self, bytes_max: usize) -> Option<GossipBatch> {
        let mut waiting = self.ledger.lock().outbox.take_outgoing().into_iter();
        // What left the pool meanwhile is of no use to others.
        let mut wanted = waiting
            .by_ref()
            .filter(|transaction| self.index.contains(&transaction.hash))
            .peekable();
        let batch = gossip::encode_batch(&mut wanted, bytes_max);
        let first_left = wanted.next();
        let rest: VecDeque<_> = first_left.into_iter().chain(waiting).collect();
        if !rest.is_empty() {
            self.ledger.lock().outbox.return_outgoing(rest);
        }
        batch
    }

    /// All executable transactions, best first, in batches of at most `bytes_max`: what a new connection is told.
    pub fn pending_batches(&self, bytes_max: usize) -> Vec<GossipBatch> {
        let base_fee = self.head.read().next_base_fee;
        // Without its blobs no peer would take it.
        let mut best = self
            .best(base_fee)
            .filter(|pooled| !pooled.transaction.is_eip4844())
            .peekable();
        std::iter::from_fn(|| gossip::encode_batch(&mut best, bytes_max)).collect()
    }
}
