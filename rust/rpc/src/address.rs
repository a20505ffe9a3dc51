//! What each remote address uses: connections, filters, requests a second, costly calls and room for large answers.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use alloy_primitives::map::HashMap;
use parking_lot::Mutex;

use crate::bucket::{Bucket, Rate, whole_seconds};
use crate::budget::Budget;
use crate::config::{Allowance, Limits};
use crate::error::RpcError;
use crate::response::Room;
use crate::together::Together;

/// Addresses remembered before the idle ones are forgotten.
const REMEMBERED_MAX: usize = 4_096;
/// Over so many, also those are forgotten whose allowance is not full again: some 20 MB.
const RECENT_MAX: usize = 65_536;

/// The use of one address, or of one IPv6 /64, which is what one subscriber of a provider gets.
#[derive(Debug)]
pub(crate) struct Address {
    /// Loopback and trusted proxies stand for many users: nothing here limits them.
    pub(crate) exempt: bool,
    pub(crate) connections: AtomicU32,
    pub(crate) filters: Arc<AtomicU32>,
    share: Share,
    allowed: Mutex<Allowed>,
}

/// Who calls: the address of a connection, or that of the user behind a proxy.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) ip: IpAddr,
    pub(crate) address: Arc<Address>,
    /// What it may take up.
    pub(crate) share: Share,
}

/// What a caller gets of what all callers share.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    /// Who takes turns with the other callers.
    pub(crate) caller: u64,
    /// Its costly calls that may wait at once.
    pub(crate) heavy_queued_max: usize,
    /// Where its answers find room.
    pub(crate) answers: Arc<Room>,
    /// Where its large requests do.
    pub(crate) requests: Arc<Budget>,
    /// Of which its calls take while they run.
    pub(crate) memory: Arc<Budget>,
}

impl Share {
    /// For the answers of one request: no more waits for it than its response may have.
    pub(crate) fn of_response(&self, bytes_max: usize) -> Self {
        Self {
            answers: Arc::new(self.answers.of_response(bytes_max)),
            ..self.clone()
        }
    }
}

/// What an address has used of its allowance.
#[derive(Debug, Default)]
struct Allowed {
    units: Option<Bucket>,
    /// Of the few methods that have a limit of their own.
    methods: Vec<(String, Bucket)>,
}

/// A call that came too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooEarly {
    /// Whose rate it is over.
    pub(crate) over: Over,
    pub(crate) retry_after_s: u64,
}

/// Whose rate a call is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    OfClient,
    OfAll,
}

/// How an address stands with its allowance, as headers tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) burst_units: u32,
    /// In which an empty bucket is full again.
    pub(crate) window_s: u64,
    pub(crate) left_units: u64,
    /// Until it is full again.
    pub(crate) full_after_s: u64,
}

impl Address {
    /// Takes a call of `method` from the address's allowance, and from what all have together. A call that comes too early takes
    /// nothing of either.
    pub(crate) fn take(
        &self,
        allowance: Option<&Allowance>,
        together: Option<&Together>,
        method: &str,
        now: Instant,
    ) -> Result<(), TooEarly> {
        let Some(allowance) = allowance else {
            return Ok(());
        };
        if self.exempt {
            return Ok(());
        }
        let too_early = |over, wait_s| TooEarly {
            over,
            retry_after_s: whole_seconds(wait_s).max(1),
        };
        let mut weight = f64::from(allowance.weights.get(method).copied().unwrap_or(1));
        let mut wait_s = 0.0;
        let mut allowed = self.allowed.lock();
        let Allowed { units, methods } = &mut *allowed;
        let units = rate_of(allowance).map(|rate| {
            // More than the bucket holds would never be answered.
            weight = weight.min(rate.burst);
            let units = units.get_or_insert_with(|| Bucket::full(rate, now));
            units.fill(rate, now);
            wait_s = units.wait_s(weight, rate);
            units
        });
        let own = allowance.calls_per_second.get(method).map(|calls| {
            let rate = Rate::with_two_seconds(*calls);
            let known = methods.iter().position(|(name, _)| name == method);
            let place = known.unwrap_or_else(|| {
                methods.push((method.to_owned(), Bucket::full(rate, now)));
                methods.len() - 1
            });
            let own = &mut methods[place].1;
            own.fill(rate, now);
            wait_s = wait_s.max(own.wait_s(1.0, rate));
            own
        });
        if wait_s > 0.0 {
            return Err(too_early(Over::OfClient, wait_s));
        }
        if let Some(together) = together {
            together
                .take(weight, now)
                .map_err(|wait_s| too_early(Over::OfAll, wait_s))?;
        }
        if let Some(units) = units {
            units.take(weight);
        }
        if let Some(own) = own {
            own.take(1.0);
        }
        Ok(())
    }

    /// How it stands; `None` for those that have no limit.
    pub(crate) fn standing(&self, allowance: Option<&Allowance>, now: Instant) -> Option<Standing> {
        let allowance = allowance.filter(|_| !self.exempt)?;
        let rate = rate_of(allowance)?;
        let mut allowed = self.allowed.lock();
        let units = allowed.units.get_or_insert_with(|| Bucket::full(rate, now));
        units.fill(rate, now);
        Some(Standing {
            burst_units: allowance.burst_units,
            window_s: whole_seconds(rate.burst / rate.per_second.max(f64::MIN_POSITIVE)),
            left_units: units.tokens().max(0.0) as u64,
            full_after_s: whole_seconds(units.wait_s(rate.burst, rate)),
        })
    }

    /// Whether forgetting it would give it back what it has used lately.
    fn is_in_debt(&self, allowance: Option<&Allowance>, now: Instant) -> bool {
        let Some(allowance) = allowance.filter(|_| !self.exempt) else {
            return false;
        };
        let owes = |bucket: &mut Bucket, rate: Rate| {
            bucket.fill(rate, now);
            bucket.tokens() < rate.burst
        };
        let mut allowed = self.allowed.lock();
        let Allowed { units, methods } = &mut *allowed;
        let owes_units = units
            .as_mut()
            .zip(rate_of(allowance))
            .is_some_and(|(bucket, rate)| owes(bucket, rate));
        owes_units
            || methods.iter_mut().any(|(name, bucket)| {
                let calls = allowance.calls_per_second.get(name);
                calls.is_some_and(|calls| owes(bucket, Rate::with_two_seconds(*calls)))
            })
    }
}

fn rate_of(allowance: &Allowance) -> Option<Rate> {
    (allowance.units_per_second > 0).then(|| Rate {
        per_second: f64::from(allowance.units_per_second),
        burst: f64::from(allowance.burst_units),
    })
}

/// The addresses that are connected or were lately.
#[derive(Debug)]
pub(crate) struct Addresses {
    known: Mutex<HashMap<IpAddr, Arc<Address>>>,
    callers: AtomicU64,
    /// So many are remembered before somebody is forgotten.
    forget_at: AtomicUsize,
    /// What those have together for whom the limits of one address hold.
    strangers: Common,
    /// And the others.
    exempt: Common,
}

/// What many callers have together.
#[derive(Debug)]
struct Common {
    /// All of it.
    memory: Arc<Budget>,
    /// Room for large answers.
    answers: Arc<Budget>,
    /// And for large requests.
    requests: Arc<Budget>,
}

impl Common {
    fn new(memory: Arc<Budget>, limits: &Limits) -> Self {
        let share = |bytes_max| Budget::share(&memory, bytes_max, RpcError::busy);
        Self {
            answers: share(limits.responses_held_bytes_max),
            requests: share(limits.requests_held_bytes_max),
            memory,
        }
    }
}

impl Addresses {
    pub(crate) fn new(limits: &Limits) -> Self {
        let all = Budget::new(limits.calls_held_bytes_max);
        let strangers = Budget::share(&all, limits.strangers_held_bytes_max, RpcError::busy);
        Self {
            known: Mutex::default(),
            callers: AtomicU64::new(0),
            forget_at: AtomicUsize::new(REMEMBERED_MAX),
            strangers: Common::new(strangers, limits),
            exempt: Common::new(all, limits),
        }
    }

    /// Somebody who has no connection of its own: a user behind a proxy.
    pub(crate) fn user(&self, ip: IpAddr, limits: &Limits) -> Client {
        let address = self.remembered(ip, limits);
        Client {
            ip,
            share: self.share_of(&address),
            address,
        }
    }

    /// What a connection of `address` gets. Behind an exempt address are many users, so each of its connections has its turns.
    pub(crate) fn share_of(&self, address: &Address) -> Share {
        let mut share = Share {
            answers: Arc::new(address.share.answers.of_connection()),
            ..address.share.clone()
        };
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
                answers: Arc::new(Room::new(&self.exempt.answers)),
                requests: Arc::clone(&self.exempt.requests),
                memory: Arc::clone(&self.exempt.memory),
            };
        }
        Share {
            caller,
            heavy_queued_max: limits.heavy_queued_per_address_max,
            answers: Arc::new(Room::new(&Budget::share(
                &self.strangers.answers,
                limits.responses_held_per_address_bytes_max,
                RpcError::busy,
            ))),
            requests: Budget::share(
                &self.strangers.requests,
                limits.requests_held_per_address_bytes_max,
                RpcError::busy,
            ),
            memory: Arc::clone(&self.strangers.memory),
        }
    }

    fn remembered(&self, peer: IpAddr, limits: &Limits) -> Arc<Address> {
        let mut known = self.known.lock();
        let key = group(peer);
        if known.len() >= self.forget_at.load(Relaxed) && !known.contains_key(&key) {
            let now = Instant::now();
            let is_crowded = known.len() >= RECENT_MAX;
            known.retain(|_, address| {
                Arc::strong_count(address) > 1
                    || address.filters.load(Relaxed) > 0
                    || !is_crowded && address.is_in_debt(limits.allowance.as_ref(), now)
            });
            // Looking through all of them again for each newcomer would be slow.
            let next = (2 * known.len()).clamp(REMEMBERED_MAX, RECENT_MAX);
            self.forget_at.store(next, Relaxed);
        }
        let address = known.entry(key).or_insert_with(|| {
            let exempt = is_exempt(peer, limits);
            Arc::new(Address {
                exempt,
                share: self.new_share(exempt, limits),
                connections: AtomicU32::new(0),
                filters: Arc::default(),
                allowed: Mutex::default(),
            })
        });
        Arc::clone(address)
    }

    /// Counts a new connection; `None` if the address has too many.
    pub(crate) fn connect(&self, peer: IpAddr, limits: &Limits) -> Option<Arc<Address>> {
        let address = self.remembered(peer, limits);
        if !address.exempt
            && address.connections.load(Relaxed) >= limits.connections_per_address_max
        {
            return None;
        }
        address.connections.fetch_add(1, Relaxed);
        Some(address)
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
pub(crate) fn group(peer: IpAddr) -> IpAddr {
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
                connect_all(&Addresses::new(&limits), &peers, &limits),
                [true, second],
                "{peers:?}"
            );
        }
    }

    #[test]
    fn the_allowance_has_a_burst_of_two_seconds_and_fills_again() {
        let address = Addresses::new(&Limits::default())
            .connect("192.0.2.1".parse().unwrap(), &Limits::default())
            .unwrap();
        let allowance = Allowance::of_calls(5);
        let now = Instant::now();
        let allowed = |at: Instant, tries: u32| {
            (0..tries)
                .filter(|_| address.take(Some(&allowance), None, "m", at).is_ok())
                .count()
        };
        assert_eq!(allowed(now, 20), 10);
        assert_eq!(allowed(now + Duration::from_secs(1), 20), 5);
        assert_eq!(allowed(now + Duration::from_secs(100), 20), 10);
    }

    #[test]
    fn calls_have_weights_and_single_methods_a_limit_of_their_own() {
        let allowance = Allowance {
            units_per_second: 10,
            burst_units: 30,
            weights: [("logs".to_owned(), 20), ("huge".to_owned(), 1_000)].into(),
            calls_per_second: [("rare".to_owned(), 1)].into(),
            units_per_second_of_all: 0,
        };
        let addresses = Addresses::new(&Limits::default());
        let user = |ip: &str| addresses.user(ip.parse().unwrap(), &Limits::default());
        let (one, other) = (user("192.0.2.1"), user("192.0.2.2"));
        let now = Instant::now();
        let take = |client: &Client, method: &str, after_s: u64| {
            let at = now + Duration::from_secs(after_s);
            let taken = client.address.take(Some(&allowance), None, method, at);
            taken.map_err(|early| early.retry_after_s)
        };
        assert_eq!(take(&one, "logs", 0), Ok(()));
        assert_eq!(take(&one, "logs", 0), Err(1), "ten of thirty are left");
        assert_eq!(take(&one, "read", 0), Ok(()));
        assert_eq!(take(&other, "logs", 0), Ok(()), "others have their own");
        assert_eq!(take(&one, "huge", 0), Err(3), "a full bucket answers it");
        assert_eq!(take(&one, "huge", 3), Ok(()));
        for expected in [Ok(()), Ok(()), Err(1)] {
            assert_eq!(take(&one, "rare", 6), expected);
        }
        let standing = one
            .address
            .standing(Some(&allowance), now + Duration::from_secs(6))
            .unwrap();
        assert_eq!(
            (
                standing.left_units,
                standing.window_s,
                standing.full_after_s
            ),
            (28, 3, 1)
        );
        let local = user("127.0.0.1");
        assert!((0..100).all(|_| take(&local, "logs", 0).is_ok()));
        assert_eq!(local.address.standing(Some(&allowance), now), None);
    }

    #[test]
    fn a_call_that_is_over_one_rate_takes_nothing_of_the_other() {
        let allowance = Allowance {
            units_per_second: 10,
            burst_units: 20,
            weights: [("logs".to_owned(), 15)].into(),
            ..Allowance::of_calls(0)
        };
        let addresses = Addresses::new(&Limits::default());
        let user = |ip: &str| addresses.user(ip.parse().unwrap(), &Limits::default());
        let now = Instant::now();
        let all = Together::new(10, now).unwrap();
        let take = |client: &Client, method: &str| {
            client
                .address
                .take(Some(&allowance), Some(&all), method, now)
        };
        let early = |over, retry_after_s| {
            Err(TooEarly {
                over,
                retry_after_s,
            })
        };
        let (one, other, local) = (user("192.0.2.1"), user("192.0.2.2"), user("127.0.0.1"));
        assert_eq!(take(&one, "logs"), Ok(()));
        assert_eq!(take(&one, "logs"), early(Over::OfClient, 1));
        // Of the twenty of all five are left, and the call of fifteen that finds them owes ten.
        assert_eq!(take(&other, "logs"), Ok(()));
        assert_eq!(take(&one, "read"), early(Over::OfAll, 2));
        let standing = one.address.standing(Some(&allowance), now).unwrap();
        assert_eq!(standing.left_units, 5);
        assert!((0..100).all(|_| take(&local, "logs").is_ok()));
    }

    #[test]
    fn a_client_without_a_limit_of_units_has_those_of_methods_and_of_all() {
        let allowance = Allowance {
            units_per_second: 0,
            calls_per_second: [("rare".to_owned(), 1)].into(),
            ..Allowance::of_calls(0)
        };
        let addresses = Addresses::new(&Limits::default());
        let client = addresses.user("192.0.2.1".parse().unwrap(), &Limits::default());
        let now = Instant::now();
        let all = Together::new(50, now).unwrap();
        let taken = |method: &str| {
            let take = || {
                client
                    .address
                    .take(Some(&allowance), Some(&all), method, now)
            };
            (0..200).filter(|_| take().is_ok()).count()
        };
        assert_eq!((taken("rare"), taken("read")), (2, 98));
        assert_eq!(client.address.standing(Some(&allowance), now), None);
    }

    #[test]
    fn who_has_used_its_allowance_is_not_forgotten_with_the_idle() {
        let limits = Limits {
            allowance: Some(Allowance {
                units_per_second: 1,
                burst_units: 1_000,
                ..Allowance::of_calls(1)
            }),
            ..Limits::default()
        };
        let addresses = Addresses::new(&limits);
        let now = Instant::now();
        let user = |ip: u32| addresses.user(IpAddr::V4(ip.into()), &limits);
        let busy = user(0x0a00_0001).address;
        for _ in 0..900 {
            busy.take(limits.allowance.as_ref(), None, "m", now)
                .unwrap();
        }
        drop(busy);
        for ip in 0..3 * REMEMBERED_MAX as u32 {
            user(0x0b00_0000 + ip);
        }
        let left = user(0x0a00_0001)
            .address
            .standing(limits.allowance.as_ref(), now)
            .unwrap();
        assert!(left.left_units < 200, "{left:?}");
        assert!(addresses.known.lock().len() <= 2 * REMEMBERED_MAX);
    }

    #[test]
    fn who_has_used_a_methods_own_limit_is_not_forgotten_either() {
        for units_per_second in [0, 1_000_000] {
            let limits = Limits {
                allowance: Some(Allowance {
                    calls_per_second: [("rare".to_owned(), 100)].into(),
                    ..Allowance::of_calls(units_per_second)
                }),
                ..Limits::default()
            };
            let addresses = Addresses::new(&limits);
            let user = |ip: u32| addresses.user(IpAddr::V4(ip.into()), &limits);
            // Later than any look of this test, so that nothing comes back meanwhile.
            let then = Instant::now() + Duration::from_secs(600);
            let taken = |ip: u32| {
                let address = user(ip).address;
                let take = || address.take(limits.allowance.as_ref(), None, "rare", then);
                (0..1_000).filter(|_| take().is_ok()).count()
            };
            assert_eq!(taken(0x0a00_0001), 200);
            for ip in 0..3 * REMEMBERED_MAX as u32 {
                user(0x0b00_0000 + ip);
            }
            assert_eq!(taken(0x0a00_0001), 0, "{units_per_second}");
            assert!(addresses.known.lock().len() <= 2 * REMEMBERED_MAX);
        }
    }

    #[test]
    fn an_address_has_one_share_and_an_exempt_one_a_turn_for_each_connection() {
        let limits = Limits {
            heavy_queued_per_address_max: 3,
            calls_held_bytes_max: 1_200_000,
            strangers_held_bytes_max: 1_000_000,
            responses_held_bytes_max: 1_200_000,
            responses_held_per_address_bytes_max: 600_000,
            ..Limits::default()
        };
        let addresses = Addresses::new(&limits);
        let share = |peer: &str| {
            let address = addresses.connect(peer.parse().unwrap(), &limits).unwrap();
            addresses.share_of(&address)
        };
        let (one, again, other) = (share("192.0.2.1"), share("192.0.2.1"), share("192.0.2.2"));
        assert_eq!(one.caller, again.caller);
        assert_ne!(one.caller, other.caller);
        assert_eq!(one.heavy_queued_max, 3);
        let held = one.answers.take(500_000).unwrap();
        assert!(again.answers.take(200_000).is_err());
        let rest = other.answers.take(500_000).unwrap();
        assert!(
            other.memory.take(1).is_none(),
            "strangers have taken what they may"
        );
        let (local, second) = (share("127.0.0.1"), share("127.0.0.1"));
        assert_ne!(local.caller, second.caller);
        assert_eq!(local.heavy_queued_max, limits.heavy_queued_max);
        assert!(local.answers.take(200_000).is_ok(), "some is left");
        drop((held, rest));
        assert!(local.answers.take(1_200_000).is_ok());
    }
}
