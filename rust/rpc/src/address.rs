//! What each remote address uses: connections, filters, requests a second, costly calls and room for large answers.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use alloy_primitives::map::HashMap;
use parking_lot::Mutex;

use crate::budget::Budget;
use crate::config::Limits;
use crate::error::RpcError;

/// Addresses remembered before the idle ones are forgotten.
const REMEMBERED_MAX: usize = 4_096;

/// The use of one address, or of one IPv6 /64, which is what one subscriber of a provider gets.
#[derive(Debug)]
pub(crate) struct Address {
    /// Loopback and trusted proxies stand for many users: nothing here limits them.
    pub(crate) exempt: bool,
    pub(crate) connections: AtomicU32,
    pub(crate) filters: Arc<AtomicU32>,
    share: Share,
    bucket: Mutex<Bucket>,
}

/// What a caller gets of what all callers share.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    /// Who takes turns with the other callers.
    pub(crate) caller: u64,
    /// Its costly calls that may wait at once.
    pub(crate) heavy_queued_max: usize,
    /// Where its large answers find room.
    pub(crate) answers: Arc<Budget>,
}

impl Share {
    /// For the answers of one request: no more waits for it than its response may have.
    pub(crate) fn of_response(&self, bytes_max: usize) -> Self {
        Self {
            answers: Budget::share(&self.answers, bytes_max, RpcError::response_too_large),
            ..*self
        }
    }
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Address {
    /// Takes one request from the address's allowance.
    pub(crate) fn may_request(&self, per_second: Option<u32>, now: Instant) -> bool {
        let Some(per_second) = per_second.map(f64::from) else {
            return true;
        };
        if self.exempt {
            return true;
        }
        let mut bucket = self.bucket.lock();
        let gained = now.saturating_duration_since(bucket.filled).as_secs_f64() * per_second;
        bucket.tokens = (bucket.tokens + gained).min(2.0 * per_second);
        bucket.filled = now;
        let allowed = bucket.tokens >= 1.0;
        if allowed {
            bucket.tokens -= 1.0;
        }
        allowed
    }
}

/// The addresses that are connected or were lately.
#[derive(Debug)]
pub(crate) struct Addresses {
    known: Mutex<HashMap<IpAddr, Arc<Address>>>,
    callers: AtomicU64,
    /// Room for the large answers of all.
    answers: Arc<Budget>,
}

impl Addresses {
    pub(crate) fn new(answers: Arc<Budget>) -> Self {
        Self {
            known: Mutex::default(),
            callers: AtomicU64::new(0),
            answers,
        }
    }

    /// What a connection of `address` gets. Behind an exempt address are many users, so each of its connections has its turns.
    pub(crate) fn share_of(&self, address: &Address) -> Share {
        let mut share = address.share.clone();
        if address.exempt {
            share.caller = self.next_caller();
        }
        share
    }

    fn next_caller(&self) -> u64 {
        self.callers.fetch_add(1, Relaxed)
    }

    fn new_share(&self, exempt: bool, limits: &Limits) -> Share {
        let caller = self.next_caller();
        if exempt {
            return Share {
                caller,
                heavy_queued_max: limits.heavy_queued_max,
                answers: Arc::clone(&self.answers),
            };
        }
        Share {
            caller,
            heavy_queued_max: limits.heavy_queued_per_address_max,
            answers: Budget::share(
                &self.answers,
                limits.responses_held_per_address_bytes_max,
                RpcError::busy,
            ),
        }
    }

    /// Counts a new connection; `None` if the address has too many.
    pub(crate) fn connect(&self, peer: IpAddr, limits: &Limits) -> Option<Arc<Address>> {
        let mut known = self.known.lock();
        if known.len() >= REMEMBERED_MAX {
            known.retain(|_, address| {
                Arc::strong_count(address) > 1 || address.filters.load(Relaxed) > 0
            });
        }
        let address = known.entry(group(peer)).or_insert_with(|| {
            let tokens = limits
                .requests_per_address_per_second
                .map_or(0.0, |rate| 2.0 * f64::from(rate));
            let exempt = is_exempt(peer, limits);
            Arc::new(Address {
                exempt,
                share: self.new_share(exempt, limits),
                connections: AtomicU32::new(0),
                filters: Arc::default(),
                bucket: Mutex::new(Bucket {
                    tokens,
                    filled: Instant::now(),
                }),
            })
        });
        if !address.exempt
            && address.connections.load(Relaxed) >= limits.connections_per_address_max
        {
            return None;
        }
        address.connections.fetch_add(1, Relaxed);
        Some(Arc::clone(address))
    }
}

fn is_exempt(peer: IpAddr, limits: &Limits) -> bool {
    let peer = peer.to_canonical();
    peer.is_loopback()
        || limits
            .trusted_proxies
            .iter()
            .any(|network| network.contains(peer))
}

/// The key of an address.
fn group(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(
            address.to_bits() & !u128::from(u64::MAX),
        )),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn connect_all(addresses: &Addresses, peers: &[&str], limits: &Limits) -> Vec<bool> {
        peers
            .iter()
            .map(|peer| addresses.connect(peer.parse().unwrap(), limits).is_some())
            .collect()
    }

    #[test]
    fn an_address_has_a_limit_unless_it_is_exempt() {
        let limits = Limits {
            connections_per_address_max: 1,
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            ..Limits::default()
        };
        for (peers, second) in [
            (["192.0.2.1", "192.0.2.1"], false),
            (["192.0.2.1", "192.0.2.2"], true),
            (["::ffff:192.0.2.1", "192.0.2.1"], false),
            (["2001:db8::1", "2001:db8::2"], false),
            (["2001:db8::1", "2001:db8:0:1::1"], true),
            (["127.0.0.1", "127.0.0.1"], true),
            (["::1", "::1"], true),
            (["10.1.1.1", "10.1.1.1"], true),
        ] {
            assert_eq!(
                connect_all(&Addresses::new(Budget::new(0)), &peers, &limits),
                [true, second],
                "{peers:?}"
            );
        }
    }

    #[test]
    fn the_allowance_has_a_burst_of_two_seconds_and_fills_again() {
        let limits = Limits {
            requests_per_address_per_second: Some(5),
            ..Limits::default()
        };
        let address = Addresses::new(Budget::new(0))
            .connect("192.0.2.1".parse().unwrap(), &limits)
            .unwrap();
        let now = Instant::now();
        let allowed = |at: Instant, tries: u32| {
            (0..tries)
                .filter(|_| address.may_request(Some(5), at))
                .count()
        };
        assert_eq!(allowed(now, 20), 10);
        assert_eq!(allowed(now + Duration::from_secs(1), 20), 5);
        assert_eq!(allowed(now + Duration::from_secs(100), 20), 10);
    }

    #[test]
    fn an_address_has_one_share_and_an_exempt_one_a_turn_for_each_connection() {
        let limits = Limits {
            heavy_queued_per_address_max: 3,
            responses_held_per_address_bytes_max: 6,
            ..Limits::default()
        };
        let addresses = Addresses::new(Budget::new(10));
        let share = |peer: &str| {
            let address = addresses.connect(peer.parse().unwrap(), &limits).unwrap();
            addresses.share_of(&address)
        };
        let (one, again, other) = (share("192.0.2.1"), share("192.0.2.1"), share("192.0.2.2"));
        assert_eq!(one.caller, again.caller);
        assert_ne!(one.caller, other.caller);
        assert_eq!(one.heavy_queued_max, 3);
        let held = one.answers.take(5).unwrap();
        assert!(again.answers.take(2).is_none());
        assert!(other.answers.take(5).is_some());
        let (local, second) = (share("127.0.0.1"), share("127.0.0.1"));
        assert_ne!(local.caller, second.caller);
        assert_eq!(local.heavy_queued_max, limits.heavy_queued_max);
        drop(held);
        assert!(local.answers.take(10).is_some());
    }
}
