//! Counts of what was added, refused and removed since the start.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Origin, PoolError, error::REASONS};
use crate::measure::{Durations, Histogram};

/// Why a transaction left the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// A block holds it.
    Mined,
    /// Another transaction of its sender took its nonce, in a block.
    Stale,
    /// A better offer for its nonce came.
    Replaced,
    /// The pool was full.
    Evicted,
    /// Its account was silent for the lifetime of gapped transactions.
    Expired,
    /// Its sender can no longer pay.
    Funds,
    /// The block gas limit fell below its gas.
    Gas,
}

const REMOVALS: [(Removal, &str); 7] = [
    (Removal::Mined, "mined"),
    (Removal::Stale, "stale"),
    (Removal::Replaced, "replaced"),
    (Removal::Evicted, "evicted"),
    (Removal::Expired, "expired"),
    (Removal::Funds, "funds"),
    (Removal::Gas, "gas"),
];

#[derive(Debug)]
pub(super) struct Counters {
    added_local: AtomicU64,
    added_remote: AtomicU64,
    refused: [AtomicU64; REASONS.len()],
    removed: [AtomicU64; REMOVALS.len()],
    /// From arrival here to a block.
    inclusion: Histogram,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            added_local: AtomicU64::default(),
            added_remote: AtomicU64::default(),
            refused: Default::default(),
            removed: Default::default(),
            inclusion: Histogram::of_inclusion(),
        }
    }
}

impl Counters {
    pub(super) fn count<T>(&self, answer: &Result<T, PoolError>, origin: Origin) {
        match answer {
            Ok(_) if origin == Origin::Local => &self.added_local,
            Ok(_) => &self.added_remote,
            Err(error) => &self.refused[error.reason_index()],
        }
        .fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_removal(&self, removal: Removal) {
        self.removed[removal as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_inclusion(&self, waited: std::time::Duration) {
        self.inclusion.record(waited);
    }

    pub(super) fn inclusion(&self) -> Durations {
        self.inclusion.snapshot()
    }

    /// Of this node's own RPC, and of peers.
    pub(super) fn added(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(&self.added_local), load(&self.added_remote))
    }

    pub(super) fn refused(&self) -> Vec<(&'static str, u64)> {
        let counts = self
            .refused
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        REASONS.into_iter().zip(counts).collect()
    }

    pub(super) fn removed(&self) -> Vec<(&'static str, u64)> {
        let counts = self
            .removed
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        REMOVALS.iter().map(|(_, name)| *name).zip(counts).collect()
    }
}
