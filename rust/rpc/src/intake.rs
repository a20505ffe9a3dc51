//! What callers send: a large request takes its place in a budget while it arrives, and keeps it until it is answered.

use std::sync::Arc;

use crate::budget::{Budget, Permit};

/// Requests below this cost no place: the usual ones, and few bytes a connection.
pub(crate) const SMALL_BYTES: usize = 64 << 10;

/// One request as far as it has arrived.
#[derive(Debug)]
pub(crate) struct Intake {
    budget: Arc<Budget>,
    bytes: usize,
    permit: Option<Permit>,
}

impl Intake {
    pub(crate) fn new(budget: &Arc<Budget>) -> Self {
        Self {
            budget: Arc::clone(budget),
            bytes: 0,
            permit: None,
        }
    }

    /// Counts bytes that have arrived. False when there is no room for them.
    pub(crate) fn add(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        if self.bytes < SMALL_BYTES {
            return true;
        }
        // Parameters that wait for a thread are kept beside the request.
        let wanted = 2 * self.bytes.next_multiple_of(SMALL_BYTES);
        match &mut self.permit {
            Some(permit) => match wanted.checked_sub(permit.bytes()) {
                Some(more) => permit.grow(more),
                None => true,
            },
            None => {
                self.permit = self.budget.take(wanted);
                self.permit.is_some()
            }
        }
    }

    /// So many of the bytes belong to no request.
    pub(crate) fn forget(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.bytes < SMALL_BYTES {
            self.permit = None;
        }
    }

    /// The request is whole: gives its place away, for as long as it is answered.
    pub(crate) fn finish(&mut self) -> Option<Permit> {
        self.bytes = 0;
        self.permit.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_requests_are_free_and_large_ones_find_room_or_are_refused() {
        let budget = Budget::new(1 << 20);
        let (mut one, mut other) = (Intake::new(&budget), Intake::new(&budget));
        assert!((0..100).all(|_| {
            let is_taken = one.add(SMALL_BYTES - 1);
            one.finish();
            is_taken
        }));
        assert!((0..6).all(|_| one.add(SMALL_BYTES)), "six of eight");
        assert!(other.add(SMALL_BYTES) && other.add(SMALL_BYTES));
        assert!(!other.add(1), "no more is left");
        let place = one.finish();
        assert!(!other.add(1), "it is answered still");
        drop(place);
        assert!(other.add(1));
    }

    #[test]
    fn what_belongs_to_no_request_takes_no_place_however_much_comes_of_it() {
        let budget = Budget::new(4 * SMALL_BYTES);
        let mut intake = Intake::new(&budget);
        for _ in 0..10_000 {
            assert!(intake.add(131));
            intake.forget(131);
        }
        // It came before the rest of a large request, and was counted with it until it was seen.
        assert!(intake.add(SMALL_BYTES - 1) && intake.add(131));
        assert!(budget.take(3 * SMALL_BYTES).is_none());
        intake.forget(131);
        assert!(budget.take(4 * SMALL_BYTES).is_some());
    }
}
