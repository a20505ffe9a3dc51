//! The order in which a block takes transactions.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use super::{PooledTransaction, ledger::Slot};

/// The pending transactions by effective tip, each account's by nonce, equals by arrival. A snapshot: what it yields
/// was pending when it was made.
#[derive(Debug)]
pub struct BestTransactions {
    base_fee: u64,
    tip_min: u128,
    lanes: Vec<Lane>,
    /// The first transaction of each lane that has one to offer.
    heads: BinaryHeap<(u128, Reverse<u64>, usize)>,
    /// The lane of what was yielded last; its next transaction is offered when the caller comes again.
    current: Option<usize>,
}

/// The transactions of one account.
#[derive(Debug)]
struct Lane {
    slots: Arc<Vec<Slot>>,
    next: usize,
}

impl BestTransactions {
    pub(super) fn new(base_fee: u64, tip_min: u128, accounts: Vec<Arc<Vec<Slot>>>) -> Self {
        let lanes: Vec<Lane> = accounts
            .into_iter()
            .map(|slots| Lane { slots, next: 0 })
            .collect();
        let mut best = Self {
            base_fee,
            tip_min,
            heads: BinaryHeap::with_capacity(lanes.len()),
            lanes,
            current: None,
        };
        let heads: Vec<_> = (0..best.lanes.len())
            .filter_map(|lane| best.offer(lane))
            .collect();
        best.heads = BinaryHeap::from(heads);
        best
    }

    /// Leave out what else the sender of the transaction yielded last has: it failed, so the rest would.
    pub fn skip_sender(&mut self) {
        self.current = None;
    }

    /// The entry of a lane's next transaction. One that does not pay holds back those behind it.
    fn offer(&self, lane: usize) -> Option<(u128, Reverse<u64>, usize)> {
        let Lane { slots, next } = &self.lanes[lane];
        let transaction = &slots.get(*next)?.transaction;
        let tip = transaction.price.effective_tip(self.base_fee)?;
        (tip >= self.tip_min).then_some((tip, Reverse(transaction.sequence), lane))
    }
}

impl Iterator for BestTransactions {
    type Item = Arc<PooledTransaction>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(lane) = self.current.take()
            && let Some(entry) = self.offer(lane)
        {
            self.heads.push(entry);
        }
        let (_, _, lane) = self.heads.pop()?;
        self.current = Some(lane);
        let Lane { slots, next } = &mut self.lanes[lane];
        let transaction = Arc::clone(&slots[*next].transaction);
        *next += 1;
        Some(transaction)
    }
}
