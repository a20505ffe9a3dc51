//! Memory that callers can make grow, held to a sum: each piece is taken from a budget and comes back when it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes that may be held at once.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicUsize,
}

/// Bytes taken from a budget, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicUsize::new(bytes_max),
        })
    }

    /// Takes so many bytes; `None` when fewer are left.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Option<Permit> {
        let taken = self
            .left
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes));
        taken.ok().map(|_| Permit {
            budget: Arc::clone(self),
            bytes,
        })
    }
}

impl Permit {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back_and_never_more_is_given_than_there_is() {
        let budget = Budget::new(10);
        let first = budget.take(7).unwrap();
        assert_eq!(first.bytes(), 7);
        assert!(budget.take(4).is_none());
        let rest = budget.take(3).unwrap();
        assert!(budget.take(1).is_none());
        drop(first);
        assert!(budget.take(8).is_none());
        drop((rest, budget.take(7).unwrap()));
        assert!(budget.take(10).is_some());
    }
}
