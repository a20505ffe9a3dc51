//! Transactions that wait for a block, as one node tells of them, for all who subscribed.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Event, Pending as Told};
use alloy_primitives::B256;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::routing::Network;

/// How often it is looked whether somebody wants to hear of them.
pub(crate) const WANTED_EVERY: Duration = Duration::from_millis(250);
/// Transactions that are remembered, so that none is told twice when another node takes over: some of the largest blocks.
const REMEMBERED_MAX: usize = 8_192;

/// What was told lately.
#[derive(Default)]
pub(crate) struct Pending {
    told: Mutex<(HashSet<B256>, VecDeque<B256>)>,
}

#[derive(Deserialize)]
struct Hashed {
    hash: B256,
}

impl Pending {
    /// Tells of a transaction, unless it was told already or is none.
    pub(crate) fn tell(&self, network: &Network, transaction: Box<RawValue>) {
        let Ok(Hashed { hash }) = serde_json::from_str(transaction.get()) else {
            return;
        };
        if !self.is_new(hash) {
            return;
        }
        if let Some(server) = network.server() {
            server.publish(Event::Pending(Arc::new(Told {
                hashes: vec![hash],
                full: Box::new(move || vec![transaction.clone()]),
            })));
        }
    }

    fn is_new(&self, hash: B256) -> bool {
        let mut told = self.told.lock();
        let (known, order) = &mut *told;
        if !known.insert(hash) {
            return false;
        }
        order.push_back(hash);
        if order.len() > REMEMBERED_MAX
            && let Some(oldest) = order.pop_front()
        {
            known.remove(&oldest);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_new_once_and_few_are_remembered() {
        let pending = Pending::default();
        let hash = |number: usize| B256::from(alloy_primitives::U256::from(number));
        assert!(pending.is_new(hash(0)));
        assert!(!pending.is_new(hash(0)));
        assert!((1..=REMEMBERED_MAX).all(|number| pending.is_new(hash(number))));
        assert!(pending.is_new(hash(0)), "the oldest is forgotten");
        assert_eq!(pending.told.lock().0.len(), REMEMBERED_MAX);
    }
}
