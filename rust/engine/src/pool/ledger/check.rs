//! The rules of the ledger, checked; for tests.

use alloy_primitives::U256;

use super::{super::transaction::Price, Ledger, bounds::queued_key};

impl Ledger {
    pub(in crate::pool) fn expire_now(&mut self) {
        self.drop_expired();
    }

    /// Check the rules that the module states.
    pub(in crate::pool) fn check(&self) {
        let (mut pending, mut queued, mut bytes) = (0, 0, 0);
        for (address, sender) in &self.senders {
            assert!(sender.len() > 0, "an account without transactions is kept");
            assert!(self.index.has_sender(address));
            let mut cost = U256::ZERO;
            let mut floor: Option<Price> = None;
            for (place, slot) in sender.pending.iter().enumerate() {
                assert_eq!(
                    slot.transaction.nonce(),
                    sender.account.nonce + place as u64,
                    "pending has a gap"
                );
                floor = Some(floor.map_or(slot.transaction.price, |floor| {
                    floor.min(slot.transaction.price)
                }));
                assert_eq!(Some(slot.floor), floor);
            }
            let all = sender
                .pending
                .iter()
                .map(|slot| &slot.transaction)
                .chain(sender.queued.values());
            for transaction in all {
                cost += transaction.cost;
                bytes += transaction.raw.len();
                assert!(
                    self.index.contains(&transaction.hash),
                    "the index lacks a transaction"
                );
                assert_eq!(transaction.sender(), *address);
            }
            for (nonce, transaction) in &sender.queued {
                assert_eq!(*nonce, transaction.nonce());
                assert!(*nonce >= sender.next_nonce(), "queued below pending");
                assert!(
                    *nonce > sender.next_nonce()
                        || sender.pending.len() >= self.config.account_pending_max,
                    "an executable transaction is queued"
                );
                assert!(self.queued_by_price.contains(&queued_key(transaction)));
            }
            assert_eq!(cost, sender.cost);
            assert!(
                cost <= sender.account.balance,
                "an account owes more than it has"
            );
            assert!(sender.pending.len() <= self.config.account_pending_max);
            assert!(sender.queued.len() <= self.config.account_queued_max);
            pending += sender.pending.len();
            queued += sender.queued.len();
        }
        assert_eq!(
            (pending, queued, bytes),
            (self.pending, self.queued, self.bytes)
        );
        assert_eq!(self.queued_by_price.len(), queued);
        assert!(pending <= self.config.pending_max && queued <= self.config.queued_max);
        assert!(bytes <= self.config.bytes_max);
    }
}
