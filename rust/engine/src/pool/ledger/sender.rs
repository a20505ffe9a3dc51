//! An account's transactions.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use alloy_primitives::U256;

use super::super::{PooledTransaction, account::Account, transaction::Price};

/// A pending transaction and the least that it and those before it offer.
#[derive(Debug, Clone)]
pub(in crate::pool) struct Slot {
    pub(in crate::pool) transaction: Arc<PooledTransaction>,
    pub(in crate::pool) floor: Price,
}

/// An account with transactions in the pool.
#[derive(Debug)]
pub(in crate::pool) struct Sender {
    /// As of the pool's head.
    pub(super) account: Account,
    /// Shared with the snapshots that blocks are built from; copied when changed meanwhile.
    pub(in crate::pool) pending: Arc<Vec<Slot>>,
    pub(super) queued: BTreeMap<u64, Arc<PooledTransaction>>,
    /// What all of them can take together, in wei.
    pub(super) cost: U256,
    pub(super) last_seen: Instant,
}

impl Sender {
    pub(super) fn new(account: Account) -> Self {
        Self {
            account,
            pending: Arc::default(),
            queued: BTreeMap::new(),
            cost: U256::ZERO,
            last_seen: Instant::now(),
        }
    }

    pub(super) fn next_nonce(&self) -> u64 {
        self.account.nonce + self.pending.len() as u64
    }

    /// The place of a nonce among the pending ones.
    pub(super) fn pending_place(&self, nonce: u64) -> Option<usize> {
        let place = usize::try_from(nonce.checked_sub(self.account.nonce)?).ok()?;
        (place < self.pending.len()).then_some(place)
    }

    pub(super) fn get(&self, nonce: u64) -> Option<&Arc<PooledTransaction>> {
        match self.pending_place(nonce) {
            Some(place) => Some(&self.pending[place].transaction),
            None => self.queued.get(&nonce),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len() + self.queued.len()
    }

    pub(super) fn floor_with(&self, price: Price) -> Price {
        self.pending
            .last()
            .map_or(price, |last| last.floor.min(price))
    }

    pub(super) fn push(&mut self, transaction: Arc<PooledTransaction>) {
        let floor = self.floor_with(transaction.price);
        Arc::make_mut(&mut self.pending).push(Slot { transaction, floor });
    }

    /// Calculate the floors again from `place` on.
    pub(super) fn restore_floors(&mut self, place: usize) {
        let slots = Arc::make_mut(&mut self.pending);
        for index in place..slots.len() {
            let price = slots[index].transaction.price;
            slots[index].floor = if index == 0 {
                price
            } else {
                slots[index - 1].floor.min(price)
            };
        }
    }
}
