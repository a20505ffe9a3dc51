//! Making room: who has to go for a better offer.

use std::{cmp::Reverse, sync::Arc};

use alloy_primitives::Address;

use super::{
    super::{
        PoolError, PooledTransaction, counters::Removal, eviction::Evictor, transaction::Price,
    },
    Ledger,
};

/// Queued transactions by what they offer, the cheapest first, of equals the latest.
pub(super) type QueuedKey = (u128, u128, Reverse<u64>, Address, u64);

pub(super) fn queued_key(transaction: &PooledTransaction) -> QueuedKey {
    let Price { fee, tip } = transaction.price;
    (
        fee,
        tip,
        Reverse(transaction.sequence),
        transaction.sender(),
        transaction.nonce(),
    )
}

impl Ledger {
    /// Free a place among the pending ones, and bytes. Gapped transactions give way first, then cheaper chain ends.
    pub(super) fn make_room_in_pending(
        &mut self,
        floor: Price,
        bytes: usize,
    ) -> Result<(), PoolError> {
        let count = (self.pending + 1).saturating_sub(self.config.pending_max);
        let mut excess = (self.bytes + bytes).saturating_sub(self.config.bytes_max);
        if count == 0 && excess == 0 {
            return Ok(());
        }
        let mut gapped = Vec::new();
        for key in &self.queued_by_price {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(self.queued_bytes(key));
            gapped.push(*key);
        }
        if count > 0 || excess > 0 {
            let base_fee = self.head.next_base_fee;
            let mut evictor = self
                .evictor
                .take()
                .unwrap_or_else(|| Evictor::new(base_fee, &self.senders));
            let losses = evictor.choose(&self.senders, floor.rank(base_fee), count, excess);
            self.evictor = Some(evictor);
            for (address, lost) in losses.ok_or(PoolError::Underpriced)? {
                for _ in 0..lost {
                    self.remove_end(address, Removal::Evicted);
                }
            }
        }
        for key in gapped {
            self.remove_queued(key.3, key.4, Removal::Evicted);
        }
        Ok(())
    }

    /// Free a place among the queued ones: `own`, or cheaper ones. Pending ones stay.
    pub(super) fn make_room_in_queued(
        &mut self,
        price: Price,
        bytes: usize,
        own: Option<&Arc<PooledTransaction>>,
    ) -> Result<(), PoolError> {
        let freed = own.map_or(0, |own| own.raw.len());
        let mut count =
            (self.queued + 1 - usize::from(own.is_some())).saturating_sub(self.config.queued_max);
        let mut excess = (self.bytes + bytes).saturating_sub(self.config.bytes_max + freed);
        let mut victims: Vec<(Address, u64)> =
            own.iter().map(|own| (own.sender(), own.nonce())).collect();
        for key in &self.queued_by_price {
            if count == 0 && excess == 0 {
                break;
            }
            if (key.0, key.1) >= (price.fee, price.tip) {
                return Err(PoolError::Underpriced);
            }
            if victims.first() == Some(&(key.3, key.4)) {
                continue;
            }
            count = count.saturating_sub(1);
            excess = excess.saturating_sub(self.queued_bytes(key));
            victims.push((key.3, key.4));
        }
        if count > 0 || excess > 0 {
            return Err(PoolError::Full);
        }
        for (address, nonce) in victims {
            self.remove_queued(address, nonce, Removal::Evicted);
        }
        Ok(())
    }

    fn queued_bytes(&self, key: &QueuedKey) -> usize {
        let transaction = self
            .senders
            .get(&key.3)
            .and_then(|sender| sender.queued.get(&key.4));
        transaction.map_or(0, |transaction| transaction.raw.len())
    }
}
