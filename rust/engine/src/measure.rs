//! What the engine counts of its own work, for metrics: atomics only, so whoever measures waits for nobody.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use alloy_consensus::ReceiptEnvelope;

/// Upper bounds of the buckets of a block's phases, in microseconds; the last bucket has none.
const PHASE_BOUNDS_US: [u64; 12] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000,
];
/// The same for the time from the pool to a block: parts of a slot, slots, and what waits for long.
const INCLUSION_BOUNDS_US: [u64; 12] = [
    500_000,
    1_000_000,
    2_000_000,
    3_000_000,
    4_000_000,
    6_000_000,
    10_000_000,
    20_000_000,
    60_000_000,
    300_000_000,
    1_800_000_000,
    10_800_000_000,
];
/// Kinds of EIP-2718 transactions, 0 to 4.
const TRANSACTION_TYPES: usize = 5;

/// Durations by bucket.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds_us: &'static [u64],
    buckets: Box<[AtomicU64]>,
    total_us: AtomicU64,
}

/// A histogram at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Durations {
    /// Upper bounds in microseconds.
    pub bounds_us: &'static [u64],
    /// One for each bound, one for what is longer. Not cumulative.
    pub buckets: Vec<u64>,
    pub total_us: u64,
}

impl Histogram {
    fn new(bounds_us: &'static [u64]) -> Self {
        Self {
            bounds_us,
            buckets: (0..=bounds_us.len()).map(|_| AtomicU64::new(0)).collect(),
            total_us: AtomicU64::new(0),
        }
    }

    /// For the time from the pool to a block.
    pub(crate) fn of_inclusion() -> Self {
        Self::new(&INCLUSION_BOUNDS_US)
    }

    pub(crate) fn record(&self, took: Duration) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = self.bounds_us.partition_point(|bound| *bound < took_us);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.total_us.fetch_add(took_us, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Durations {
        let load = |count: &AtomicU64| count.load(Relaxed);
        Durations {
            bounds_us: self.bounds_us,
            buckets: self.buckets.iter().map(load).collect(),
            total_us: load(&self.total_us),
        }
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new(&PHASE_BOUNDS_US)
    }
}

/// The engine's work on blocks.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Choosing and running the transactions of an own block, and encoding it.
    pub(crate) build: Histogram,
    /// Of another's block all but the next two: decoding, signatures, rules.
    pub(crate) validate: Histogram,
    pub(crate) execute: Histogram,
    /// State root and receipts root, of own blocks too.
    pub(crate) state_root: Histogram,
    /// Making a decided block durable and visible.
    pub(crate) commit: Histogram,
    /// The part of it that the store takes.
    pub(crate) store_commit: Histogram,
    gas_per_second: AtomicU64,
    /// Of decided blocks: by type, those that reverted and those that did not.
    transactions: [[AtomicU64; 2]; TRANSACTION_TYPES],
}

/// Figures for metrics; counters since the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkStatistics {
    /// Phases of the work on blocks by name.
    pub phases: Vec<(&'static str, Durations)>,
    /// Commits of the store.
    pub store_commit: Durations,
    /// Gas of the latest block that had some, over the time that running it took.
    pub gas_per_second: u64,
    /// Transactions of decided blocks: type, whether they succeeded, how many.
    pub transactions: Vec<(usize, bool, u64)>,
}

impl Work {
    /// A block's transactions were run.
    pub(crate) fn record_gas(&self, gas_used: u64, took: Duration) {
        let took_ns = took.as_nanos();
        if gas_used > 0 && took_ns > 0 {
            let rate = u128::from(gas_used) * 1_000_000_000 / took_ns;
            let rate = u64::try_from(rate).unwrap_or(u64::MAX);
            self.gas_per_second.store(rate, Relaxed);
        }
    }

    /// A block was decided.
    pub(crate) fn count_transactions(&self, receipts: &[ReceiptEnvelope]) {
        for receipt in receipts {
            if let Some(by_status) = self.transactions.get(receipt.tx_type() as usize) {
                by_status[usize::from(receipt.status())].fetch_add(1, Relaxed);
            }
        }
    }

    pub(crate) fn snapshot(&self) -> WorkStatistics {
        let phases = [
            ("build", &self.build),
            ("validate", &self.validate),
            ("execute", &self.execute),
            ("state_root", &self.state_root),
            ("commit", &self.commit),
        ];
        let counted = self.transactions.iter().enumerate();
        WorkStatistics {
            phases: phases
                .map(|(name, phase)| (name, phase.snapshot()))
                .to_vec(),
            store_commit: self.store_commit.snapshot(),
            gas_per_second: self.gas_per_second.load(Relaxed),
            transactions: counted
                .flat_map(|(kind, [reverted, succeeded])| {
                    [
                        (kind, false, reverted.load(Relaxed)),
                        (kind, true, succeeded.load(Relaxed)),
                    ]
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_goes_into_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for took_us in [0, 500, 501, 5_000_000, 5_000_001] {
            histogram.record(Duration::from_micros(took_us));
        }
        let Durations {
            buckets, total_us, ..
        } = histogram.snapshot();
        assert_eq!(buckets, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(total_us, 10_001_002);
    }

    #[test]
    fn a_block_without_gas_tells_nothing_of_speed() {
        let work = Work::default();
        work.record_gas(30_000_000, Duration::from_millis(500));
        work.record_gas(0, Duration::from_millis(1));
        assert_eq!(work.snapshot().gas_per_second, 60_000_000);
    }
}
