//! Counters of the server, for metrics.
//!
//! Only names that are served get their own counters: what callers invent is counted as "other".

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::Serialize;

/// Upper bounds of the duration buckets in microseconds; the last bucket has none.
pub const DURATION_BOUNDS_US: [u64; 11] = [
    100, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000,
];

/// Counters of one method.
#[derive(Debug, Default)]
pub(crate) struct MethodCounters {
    errors: AtomicU64,
    total_us: AtomicU64,
    buckets: [AtomicU64; DURATION_BOUNDS_US.len() + 1],
}

impl MethodCounters {
    pub(crate) fn record(&self, took: Duration, failed: bool) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = DURATION_BOUNDS_US
            .iter()
            .position(|bound| took_us <= *bound)
            .unwrap_or(DURATION_BOUNDS_US.len());
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.total_us.fetch_add(took_us, Relaxed);
        if failed {
            self.errors.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn snapshot(&self, method: &str) -> MethodStatistics {
        let buckets: Vec<u64> = self
            .buckets
            .iter()
            .map(|bucket| bucket.load(Relaxed))
            .collect();
        MethodStatistics {
            method: method.to_owned(),
            requests: buckets.iter().sum(),
            errors: self.errors.load(Relaxed),
            total_us: self.total_us.load(Relaxed),
            buckets,
        }
    }
}

/// Counters of the whole server.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) http_connections: AtomicI64,
    pub(crate) websocket_connections: AtomicI64,
    pub(crate) subscriptions: AtomicI64,
    pub(crate) in_flight: AtomicI64,
    pub(crate) refused_connections: AtomicU64,
    pub(crate) refused_requests: AtomicU64,
    pub(crate) shed: AtomicU64,
    pub(crate) events_dropped: AtomicU64,
    pub(crate) slow_subscribers: AtomicU64,
}

/// Adds one to a gauge for as long as it lives.
#[derive(Debug)]
pub(crate) struct Held<'a>(&'a AtomicI64);

impl<'a> Held<'a> {
    pub(crate) fn new(gauge: &'a AtomicI64) -> Self {
        gauge.fetch_add(1, Relaxed);
        Self(gauge)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// The server's counters at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statistics {
    /// Methods that were called, and "other".
    pub methods: Vec<MethodStatistics>,
    /// Open connections that speak HTTP.
    pub http_connections: i64,
    /// Open WebSocket connections.
    pub websocket_connections: i64,
    /// Open subscriptions.
    pub subscriptions: i64,
    /// Filters that have not expired.
    pub filters: usize,
    /// Requests being answered.
    pub in_flight: i64,
    /// Connections closed at once because of a limit.
    pub refused_connections: u64,
    /// HTTP requests refused before they were read: host, origin, type, size, time.
    pub refused_requests: u64,
    /// Calls answered with "server is busy".
    pub shed: u64,
    /// Events lost because subscribers and filters could not be told fast enough.
    pub events_dropped: u64,
    /// Connections closed because they did not read their notifications.
    pub slow_subscribers: u64,
}

/// Counters of one method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MethodStatistics {
    /// The method's name, or "other".
    pub method: String,
    /// Calls answered.
    pub requests: u64,
    /// Of these, with an error object.
    pub errors: u64,
    /// Time from reading to answering, summed.
    pub total_us: u64,
    /// Calls by duration: one bucket for each of `DURATION_BOUNDS_US`, one for longer ones. Not cumulative.
    pub buckets: Vec<u64>,
}
