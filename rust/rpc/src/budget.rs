//! Memory that callers can make grow, held to a sum: each piece is taken from a budget and comes back when it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::error::RpcError;

/// Bytes that may be held at once.
///
/// A share of another budget takes from both.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: usize,
    left: AtomicUsize,
    whole: Option<Arc<Budget>>,
    /// What a caller is told when too little is left.
    refusal: fn() -> RpcError,
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
            bytes_max,
            left: AtomicUsize::new(bytes_max),
            whole: None,
            refusal: RpcError::busy,
        })
    }

    /// A part of `whole` that never takes more than so many bytes of it.
    pub(crate) fn share(
        whole: &Arc<Self>,
        bytes_max: usize,
        refusal: fn() -> RpcError,
    ) -> Arc<Self> {
        Arc::new(Self {
            bytes_max,
            left: AtomicUsize::new(bytes_max),
            whole: Some(Arc::clone(whole)),
            refusal,
        })
    }

    /// Takes so many bytes; `None` when fewer are left.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Option<Permit> {
        self.subtract(bytes).then(|| Permit {
            budget: Arc::clone(self),
            bytes,
        })
    }

    /// Why so many bytes of an answer are not there: where they never can be, it would be no use to try again.
    pub(crate) fn refuse(&self, bytes: usize) -> RpcError {
        match &self.whole {
            _ if bytes > self.bytes_max => RpcError::response_too_large(),
            Some(whole) if self.left.load(Relaxed) >= bytes => whole.refuse(bytes),
            _ => (self.refusal)(),
        }
    }

    fn subtract(&self, bytes: usize) -> bool {
        let taken = self
            .left
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes));
        if taken.is_err() {
            return false;
        }
        let is_taken = self
            .whole
            .as_ref()
            .is_none_or(|whole| whole.subtract(bytes));
        if !is_taken {
            self.left.fetch_add(bytes, Relaxed);
        }
        is_taken
    }

    fn add(&self, bytes: usize) {
        self.left.fetch_add(bytes, Relaxed);
        if let Some(whole) = &self.whole {
            whole.add(bytes);
        }
    }
}

impl Permit {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes so many bytes more. False when fewer are left: then it stays as it was.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let is_taken = self.budget.subtract(bytes);
        if is_taken {
            self.bytes += bytes;
        }
        is_taken
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.add(self.bytes);
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
        let mut grown = budget.take(4).unwrap();
        assert!(grown.grow(5) && !grown.grow(2));
        assert_eq!(grown.bytes(), 9);
        assert!(budget.take(2).is_none());
        drop(grown);
        assert!(budget.take(10).is_some());
    }

    #[test]
    fn what_is_never_there_is_too_large_and_what_others_hold_is_busy() {
        let whole = Budget::new(10);
        let share = Budget::share(&whole, 8, RpcError::busy);
        let held = whole.take(9).unwrap();
        for (bytes, expected) in [
            (5, RpcError::busy()),
            (8, RpcError::busy()),
            (9, RpcError::response_too_large()),
            (11, RpcError::response_too_large()),
        ] {
            assert!(share.take(bytes).is_none());
            assert_eq!(share.refuse(bytes).code, expected.code, "{bytes}");
        }
        assert_eq!(whole.refuse(10).code, RpcError::busy().code);
        drop(held);
        assert!(share.take(8).is_some());
    }

    #[test]
    fn a_share_takes_of_the_whole_and_leaves_the_rest_to_others() {
        let whole = Budget::new(10);
        let share = |bytes, refusal: fn() -> RpcError| Budget::share(&whole, bytes, refusal);
        let (one, other) = (
            share(6, RpcError::response_too_large),
            share(6, RpcError::busy),
        );
        let first = one.take(6).unwrap();
        assert!(one.take(1).is_none(), "its share is used up");
        assert_eq!(one.refuse(1).code, RpcError::response_too_large().code);
        assert!(other.take(5).is_none(), "the whole has four left");
        assert_eq!(other.refuse(5).code, RpcError::busy().code);
        let second = other.take(4).unwrap();
        drop(first);
        assert!(other.take(3).is_none(), "what was not given was not taken");
        drop((other.take(2).unwrap(), second));
        assert!(whole.take(10).is_some());
    }
}
