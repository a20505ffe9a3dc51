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

/// The same with what a gateway's targets are about in between; the last bucket has none.
pub const FINE_BOUNDS_US: [u64; 13] = [
    100, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000,
];

/// Upper bounds of the buckets of batch sizes; the last bucket has none.
pub const BATCH_BOUNDS: [u64; 7] = [1, 2, 5, 10, 20, 50, 100];
/// Error codes that are counted by themselves; every other one is counted as "other".
pub const ERROR_CODES: [i32; 11] = [
    -32700, -32600, -32601, -32602, -32603, -32000, -32002, -32003, -32004, -32005, 3,
];
/// What can be subscribed to, as `eth_subscribe` names it.
pub const SUBSCRIPTION_TYPES: [&str; 5] = [
    "newHeads",
    "logs",
    "newPendingTransactions",
    "syncing",
    "transactionReceipts",
];

/// How a call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Http,
    WebSocket,
}

/// How a call that was not answered with a result ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It was tried, or could not be understood.
    Error,
    /// The listener does not offer the method.
    Denied,
    /// A limit of rate or load.
    Limited,
}

/// Counters of one method. An answered call costs two atomic additions; only failures touch more.
#[derive(Debug, Default)]
pub(crate) struct MethodCounters {
    http: TransportCounters,
    websocket: TransportCounters,
    codes: [AtomicU64; ERROR_CODES.len() + 1],
}

#[derive(Debug, Default)]
struct TransportCounters {
    total_us: AtomicU64,
    /// Of `FINE_BOUNDS_US`.
    buckets: [AtomicU64; FINE_BOUNDS_US.len() + 1],
    failures: [AtomicU64; 3],
}

impl TransportCounters {
    fn buckets(&self) -> Vec<u64> {
        self.buckets
            .iter()
            .map(|bucket| bucket.load(Relaxed))
            .collect()
    }

    fn snapshot(&self, transport: &'static str) -> TransportStatistics {
        let [error, denied, limited] = [Failure::Error, Failure::Denied, Failure::Limited]
            .map(|failure| self.failures[failure as usize].load(Relaxed));
        let answered: u64 = self.buckets().iter().sum();
        TransportStatistics {
            transport,
            ok: answered.saturating_sub(error + denied + limited),
            error,
            denied,
            limited,
        }
    }
}

impl MethodCounters {
    /// Counts a call; `failed` tells how it failed and with which code.
    pub(crate) fn record(
        &self,
        transport: Transport,
        took: Duration,
        failed: Option<(Failure, i32)>,
    ) {
        let counters = match transport {
            Transport::Http => &self.http,
            Transport::WebSocket => &self.websocket,
        };
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = FINE_BOUNDS_US
            .iter()
            .position(|bound| took_us <= *bound)
            .unwrap_or(FINE_BOUNDS_US.len());
        counters.buckets[bucket].fetch_add(1, Relaxed);
        counters.total_us.fetch_add(took_us, Relaxed);
        if let Some((failure, code)) = failed {
            counters.failures[failure as usize].fetch_add(1, Relaxed);
            let place = ERROR_CODES
                .iter()
                .position(|known| *known == code)
                .unwrap_or(ERROR_CODES.len());
            self.codes[place].fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn snapshot(&self, method: &str) -> MethodStatistics {
        let fine_buckets: Vec<u64> = self
            .http
            .buckets()
            .into_iter()
            .zip(self.websocket.buckets())
            .map(|(http, websocket)| http + websocket)
            .collect();
        let names = ERROR_CODES
            .iter()
            .map(i32::to_string)
            .chain(["other".to_owned()]);
        let counts = self.codes.iter().map(|count| count.load(Relaxed));
        MethodStatistics {
            method: method.to_owned(),
            requests: fine_buckets.iter().sum(),
            total_us: self.http.total_us.load(Relaxed) + self.websocket.total_us.load(Relaxed),
            buckets: merge(&fine_buckets),
            fine_buckets,
            transports: [
                self.http.snapshot("http"),
                self.websocket.snapshot("websocket"),
            ],
            codes: names.zip(counts).filter(|(_, count)| *count > 0).collect(),
        }
    }
}

/// The counts of `FINE_BOUNDS_US` as those of `DURATION_BOUNDS_US`, which have some of the bounds.
fn merge(fine: &[u64]) -> Vec<u64> {
    let mut merged = Vec::with_capacity(DURATION_BOUNDS_US.len() + 1);
    let mut gathered = 0;
    for (place, count) in fine.iter().enumerate() {
        gathered += count;
        let bound = FINE_BOUNDS_US.get(place);
        if bound.is_none_or(|bound| DURATION_BOUNDS_US.contains(bound)) {
            merged.push(std::mem::take(&mut gathered));
        }
    }
    merged
}

/// Counters of the whole server.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) http_connections: AtomicI64,
    pub(crate) websocket_connections: AtomicI64,
    /// In the order of `SUBSCRIPTION_TYPES`.
    pub(crate) subscriptions: [AtomicI64; SUBSCRIPTION_TYPES.len()],
    pub(crate) in_flight: AtomicI64,
    pub(crate) refused_connections: AtomicU64,
    pub(crate) refused_requests: AtomicU64,
    pub(crate) shed: AtomicU64,
    pub(crate) over_rate_of_client: AtomicU64,
    pub(crate) over_rate_of_all: AtomicU64,
    pub(crate) events_dropped: AtomicU64,
    pub(crate) slow_subscribers: AtomicU64,
    pub(crate) batches: BatchCounters,
}

/// How many calls batches hold.
#[derive(Debug, Default)]
pub(crate) struct BatchCounters {
    calls: AtomicU64,
    buckets: [AtomicU64; BATCH_BOUNDS.len() + 1],
}

impl BatchCounters {
    pub(crate) fn record(&self, calls: usize) {
        let calls = calls as u64;
        let bucket = BATCH_BOUNDS
            .iter()
            .position(|bound| calls <= *bound)
            .unwrap_or(BATCH_BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.calls.fetch_add(calls, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> BatchStatistics {
        BatchStatistics {
            calls: self.calls.load(Relaxed),
            buckets: self
                .buckets
                .iter()
                .map(|bucket| bucket.load(Relaxed))
                .collect(),
        }
    }
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
    /// The same by type: each of `SUBSCRIPTION_TYPES`.
    pub subscriptions_by_type: Vec<(&'static str, i64)>,
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
    /// Calls refused because their client has asked as much as it may in a time, or that method as often.
    pub over_rate_of_client: u64,
    /// Calls refused because all clients together have.
    pub over_rate_of_all: u64,
    /// Events lost because subscribers and filters could not be told fast enough.
    pub events_dropped: u64,
    /// Connections closed because they did not read their notifications.
    pub slow_subscribers: u64,
    /// Batches that were answered.
    pub batches: BatchStatistics,
}

/// How many calls batches hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchStatistics {
    /// Calls in all batches together.
    pub calls: u64,
    /// Batches by size: one bucket for each of `BATCH_BOUNDS`, one for larger ones. Not cumulative.
    pub buckets: Vec<u64>,
}

/// Counters of one method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MethodStatistics {
    /// The method's name, or "other".
    pub method: String,
    /// Calls answered.
    pub requests: u64,
    /// Time from reading to answering, summed.
    pub total_us: u64,
    /// Calls by duration: one bucket for each of `DURATION_BOUNDS_US`, one for longer ones. Not cumulative.
    pub buckets: Vec<u64>,
    /// The same for `FINE_BOUNDS_US`.
    pub fine_buckets: Vec<u64>,
    /// How they ended, by how they came: HTTP, WebSocket.
    pub transports: [TransportStatistics; 2],
    /// Error objects by code, without those that never occurred: each of `ERROR_CODES`, "other".
    pub codes: Vec<(String, u64)>,
}

/// Calls of one method over one transport.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TransportStatistics {
    /// "http" or "websocket".
    pub transport: &'static str,
    /// Answered with a result.
    pub ok: u64,
    /// Answered with an error.
    pub error: u64,
    /// Not offered by the listener.
    pub denied: u64,
    /// Refused because of a limit of rate or load.
    pub limited: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_in_the_buckets_of_its_duration() {
        let counters = MethodCounters::default();
        for took_us in [
            100, 101, 9_000, 20_000, 30_000, 240_000, 400_000, 60_000_000,
        ] {
            counters.record(Transport::Http, Duration::from_micros(took_us), None);
        }
        let taken = counters.snapshot("eth_call");
        assert_eq!(taken.requests, 8);
        assert_eq!(
            taken.fine_buckets,
            [1, 1, 0, 0, 0, 1, 1, 1, 0, 1, 1, 0, 0, 1]
        );
        assert_eq!(taken.buckets, [1, 1, 0, 0, 0, 1, 2, 0, 2, 0, 0, 1]);
        assert!(
            DURATION_BOUNDS_US
                .iter()
                .all(|bound| FINE_BOUNDS_US.contains(bound))
        );
    }
}
