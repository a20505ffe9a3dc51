//! How many transactions each key may send, whatever addresses they come from.
//!
//! What counts is what a node has taken. Anybody can send again what somebody else has signed, and nodes refuse that or have it
//! already: so little of a key's rate is used up by others, no more than nodes lack its transactions or fail to answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use alloy_primitives::Address;
use alloy_primitives::map::HashMap;
use parking_lot::Mutex;

use super::config::SenderRate;
use crate::bucket::{Bucket, Rate, whole_seconds};

/// Keys that are remembered: 10 MB. One that is over its rate is forgotten when so many others have had transactions taken
/// since, and whoever has so many keys with coins needs none of them forgotten.
const REMEMBERED_MAX: usize = 65_536;

/// The senders of a gateway.
pub(crate) struct SenderRates {
    /// `None` limits nobody.
    rate: Option<Rate>,
    lately: Mutex<Lately>,
    /// Transactions that were refused.
    pub(crate) refused: AtomicU64,
}

/// Who has sent, the least recent first to be forgotten.
#[derive(Default)]
struct Lately {
    known: HashMap<Address, Sent>,
    /// By the turn of their last transactions.
    order: BTreeMap<u64, Address>,
    turns: u64,
}

/// What one key has sent.
struct Sent {
    left: Bucket,
    turn: u64,
}

impl SenderRates {
    pub(crate) fn new(rate: Option<SenderRate>) -> Self {
        let rate = rate.map(|rate| Rate {
            per_second: f64::from(rate.transactions_per_minute) / 60.0,
            burst: f64::from(rate.burst_transactions),
        });
        Self {
            rate,
            lately: Mutex::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// Whether keys have a limit.
    pub(crate) fn are_limited(&self) -> bool {
        self.rate.is_some()
    }

    /// Whether a key may send; the error is in how many seconds it may.
    pub(crate) fn allow(&self, sender: Address, now: Instant) -> Result<(), u64> {
        let Some(rate) = self.rate else { return Ok(()) };
        let mut lately = self.lately.lock();
        let Some(sent) = lately.known.get_mut(&sender) else {
            return Ok(());
        };
        sent.left.fill(rate, now);
        let wait_s = sent.left.wait_s(1.0, rate);
        drop(lately);
        if wait_s > 0.0 {
            self.refused.fetch_add(1, Relaxed);
            return Err(whole_seconds(wait_s).max(1));
        }
        Ok(())
    }

    /// Counts a transaction that a node has taken. What was on its way at the same moment is owed.
    pub(crate) fn count(&self, sender: Address, now: Instant) {
        let Some(rate) = self.rate else { return };
        self.lately.lock().count(sender, rate, now, REMEMBERED_MAX);
    }
}

impl Lately {
    fn count(&mut self, sender: Address, rate: Rate, now: Instant, remembered_max: usize) {
        self.turns += 1;
        let turn = self.turns;
        let sent = self.known.entry(sender).or_insert_with(|| Sent {
            left: Bucket::full(rate, now),
            turn,
        });
        sent.left.fill(rate, now);
        sent.left.take(1.0);
        self.order.remove(&sent.turn);
        sent.turn = turn;
        self.order.insert(turn, sender);
        if self.known.len() > remembered_max
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ALICE: Address = Address::repeat_byte(1);
    const BOB: Address = Address::repeat_byte(2);

    #[test]
    fn a_key_has_a_burst_and_a_rate_and_what_is_taken_beyond_is_owed() {
        let rates = SenderRates::new(Some(SenderRate {
            transactions_per_minute: 60,
            burst_transactions: 3,
        }));
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let sent = |seconds| {
            let takes = |_: &u32| {
                let allowed = rates.allow(ALICE, at(seconds)).is_ok();
                if allowed {
                    rates.count(ALICE, at(seconds));
                }
                allowed
            };
            (0..20).filter(takes).count()
        };
        assert_eq!(sent(0), 3);
        assert_eq!(rates.allow(ALICE, at(0)), Err(1));
        assert_eq!(rates.allow(BOB, at(0)), Ok(()), "others have their own");
        assert_eq!((sent(1), sent(3), sent(1_000)), (1, 2, 3));
        // Allowed one after the other, taken together.
        (0..4).for_each(|_| rates.count(ALICE, at(1_000)));
        assert_eq!(rates.allow(ALICE, at(1_000)), Err(5));
        assert_eq!(rates.allow(ALICE, at(1_005)), Ok(()));
    }

    #[test]
    fn who_asks_is_not_remembered_and_of_those_who_sent_the_least_recent_is_forgotten() {
        let rate = Rate::with_two_seconds(1);
        let now = Instant::now();
        let mut lately = Lately::default();
        let key = |byte: usize| Address::left_padding_from(&byte.to_be_bytes());
        for byte in [0, 1, 2, 0, 3] {
            lately.count(key(byte), rate, now, 3);
        }
        let known = |lately: &Lately| {
            let known = (0..4).filter(|byte| lately.known.contains_key(&key(*byte)));
            known.collect::<Vec<_>>()
        };
        assert_eq!(known(&lately), [0, 2, 3]);
        assert_eq!(lately.known[&key(0)].left.wait_s(1.0, rate), 1.0);
        for byte in 0..1_000 {
            lately.count(key(byte), rate, now, 3);
        }
        assert_eq!((lately.known.len(), lately.order.len()), (3, 3));

        let rates = SenderRates::new(Some(SenderRate {
            transactions_per_minute: 1,
            burst_transactions: 1,
        }));
        rates.allow(ALICE, now).unwrap();
        assert!(rates.lately.lock().known.is_empty());
    }
}
