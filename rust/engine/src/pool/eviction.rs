//! Which pending transactions go when the pool is full: the cheapest chain ends, so that no gap arises.
//!
//! The end of a chain is worth what its cheapest link offers, since no proposer gets it without the others. The heap is
//! made when the pool is first full at a base fee and follows the ends from then on; a pool with room pays nothing.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use alloy_primitives::Address;

use super::{
    ledger::{Sender, Slot},
    transaction::Rank,
};

/// An end: its rank, its arrival (of equals the latest goes first), its account and the length of the chain up to it.
/// One that is no longer the end is passed over.
type End = Reverse<(Rank, Reverse<u64>, Address, usize)>;

#[derive(Debug)]
pub(super) struct Evictor {
    base_fee: u64,
    ends: BinaryHeap<End>,
}

impl Evictor {
    pub(super) fn new(base_fee: u64, senders: &HashMap<Address, Sender>) -> Self {
        let ends: Vec<End> = senders
            .iter()
            .filter_map(|(address, sender)| end_of(base_fee, *address, sender, 0))
            .collect();
        Self {
            base_fee,
            ends: BinaryHeap::from(ends),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// An account's chain has a new end.
    pub(super) fn follow(&mut self, address: Address, sender: &Sender) {
        self.ends.extend(end_of(self.base_fee, address, sender, 0));
    }

    /// Choose ends worth less than `rank`, cheapest first, until `count` and `bytes` are freed. Returns how many each
    /// account loses, or `None`, having changed nothing, when what is cheaper does not suffice.
    pub(super) fn choose(
        &mut self,
        senders: &HashMap<Address, Sender>,
        rank: Rank,
        mut count: usize,
        mut bytes: usize,
    ) -> Option<HashMap<Address, usize>> {
        let mut losses: HashMap<Address, usize> = HashMap::new();
        let mut chosen: Vec<End> = Vec::new();
        while count > 0 || bytes > 0 {
            let Some(end) = self.ends.pop() else {
                self.ends.extend(chosen);
                return None;
            };
            let Reverse((end_rank, _, address, length)) = end;
            let Some(sender) = senders.get(&address) else {
                continue;
            };
            let lost = losses.get(&address).copied().unwrap_or(0);
            if end_of(self.base_fee, address, sender, lost) != Some(end) {
                continue;
            }
            if end_rank >= rank {
                self.ends.push(end);
                self.ends.extend(chosen);
                return None;
            }
            count = count.saturating_sub(1);
            bytes = bytes.saturating_sub(sender.pending[length - 1].transaction.raw.len());
            chosen.push(end);
            losses.insert(address, lost + 1);
            self.ends
                .extend(end_of(self.base_fee, address, sender, lost + 1));
        }
        Some(losses)
    }
}

/// The end of an account's chain when its last `lost` links are gone.
fn end_of(base_fee: u64, address: Address, sender: &Sender, lost: usize) -> Option<End> {
    let length = sender.pending.len().checked_sub(lost)?;
    let Slot { transaction, floor } = sender.pending.get(length.checked_sub(1)?)?;
    Some(Reverse((
        floor.rank(base_fee),
        Reverse(transaction.sequence),
        address,
        length,
    )))
}
