//! A rate with a burst: a bucket of tokens that come back steadily.

use std::time::Instant;

/// How fast a bucket fills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    pub(crate) burst: f64,
}

impl Rate {
    /// A burst of two seconds.
    pub(crate) fn with_two_seconds(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self {
            per_second,
            burst: 2.0 * per_second,
        }
    }
}

/// What is left of a rate.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    pub(crate) fn full(rate: Rate, now: Instant) -> Self {
        Self {
            tokens: rate.burst,
            filled: now,
        }
    }

    pub(crate) fn fill(&mut self, rate: Rate, now: Instant) {
        let gained = now.saturating_duration_since(self.filled).as_secs_f64() * rate.per_second;
        self.tokens = (self.tokens + gained).min(rate.burst);
        self.filled = self.filled.max(now);
    }

    /// Takes tokens, also more than there are: then they are owed.
    pub(crate) fn take(&mut self, tokens: f64) {
        self.tokens -= tokens;
    }

    pub(crate) fn tokens(&self) -> f64 {
        self.tokens
    }

    /// Seconds until so many tokens are there.
    pub(crate) fn wait_s(&self, tokens: f64, rate: Rate) -> f64 {
        ((tokens - self.tokens) / rate.per_second.max(f64::MIN_POSITIVE)).max(0.0)
    }
}

pub(crate) fn whole_seconds(seconds: f64) -> u64 {
    seconds.ceil() as u64
}
