//! What all callers together may ask in a time, beside what each of them may.

use std::time::Instant;

use parking_lot::Mutex;

use crate::bucket::{Bucket, Rate};

/// One bucket for all callers that have limits.
#[derive(Debug)]
pub(crate) struct Together {
    rate: Rate,
    units: Mutex<Bucket>,
}

impl Together {
    /// `None` when they have no limit.
    pub(crate) fn new(units_per_second: u32, now: Instant) -> Option<Self> {
        let rate = Rate::with_two_seconds(units_per_second);
        (units_per_second > 0).then(|| Self {
            rate,
            units: Mutex::new(Bucket::full(rate, now)),
        })
    }

    /// Takes what a call costs; the error is in how many seconds it may be tried again.
    ///
    /// Whoever finds one unit gets all that its call costs, and the rest is owed: if it had to find them all, cheap calls of
    /// others would take them before, again and again. No call owes more than the burst, so none keeps all others out for longer
    /// than two seconds, whatever it costs.
    pub(crate) fn take(&self, units: f64, now: Instant) -> Result<(), f64> {
        let mut left = self.units.lock();
        left.fill(self.rate, now);
        let wait_s = left.wait_s(1.0, self.rate);
        if wait_s > 0.0 {
            return Err(wait_s);
        }
        left.take(units.min(self.rate.burst));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn all_have_a_burst_of_two_seconds_and_a_costly_call_is_paid_for_afterwards() {
        let begun = Instant::now();
        let at = |milliseconds| begun + Duration::from_millis(milliseconds);
        let all = Together::new(10, begun).unwrap();
        let taken = |units, now| (0..100).filter(|_| all.take(units, now).is_ok()).count();
        assert_eq!(taken(1.0, at(0)), 20);
        assert_eq!(all.take(15.0, at(0)), Err(0.1));
        assert_eq!(all.take(15.0, at(100)), Ok(()), "one unit is enough");
        assert_eq!(all.take(1.0, at(100)), Err(1.5), "and 14 more are owed");
        assert_eq!(taken(1.0, at(1_500)), 0);
        assert_eq!(taken(1.0, at(2_650)), 11);
        assert_eq!(taken(1.0, at(1_000_000)), 20);
    }

    #[test]
    fn one_call_owes_no_more_than_the_burst_whatever_it_costs() {
        let begun = Instant::now();
        let all = Together::new(10, begun).unwrap();
        assert_eq!(all.take(1_000_000.0, begun), Ok(()));
        assert_eq!(all.take(1.0, begun), Err(0.1));
        let later = begun + Duration::from_secs(2);
        assert_eq!(all.take(19.0, later), Ok(()));
        assert_eq!(all.take(1_000_000.0, later), Ok(()));
        assert_eq!(all.take(1.0, later), Err(2.0), "one was left, 19 are owed");
    }

    #[test]
    fn nought_limits_nobody() {
        assert!(Together::new(0, Instant::now()).is_none());
    }
}
