//! What the server is told when it starts: where it listens, what it serves there, and its limits.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use crate::error::StartError;

/// Everything `Server::start` needs beside the two answering sides.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where to listen; at least one.
    pub listeners: Vec<ListenerConfig>,
    /// Bounds of everything a caller can make grow.
    pub limits: Limits,
    /// Answer of `web3_clientVersion`: name/version/os/language.
    pub client_version: String,
    /// Answer of `net_version`; equals the chain id.
    pub network_id: u64,
    /// Threads that read requests, answer cheap ones and write responses.
    pub worker_threads: usize,
    /// Threads for heavy calls, which is also how many run at once.
    pub heavy_threads: usize,
    /// The only methods that are served; `None` serves all of the namespaces.
    pub methods: Option<BTreeSet<String>>,
    /// Stands before other nodes: says by status 429 and 503 that nothing of a body was answered, as balancers and
    /// libraries expect, and answers GET /healthz and /readyz.
    pub is_gateway: bool,
}

/// What one client may ask in a time, as a bucket that fills steadily.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// Units a second; 0 is no limit.
    pub units_per_second: u32,
    /// Units that a client who was quiet may use at once.
    pub burst_units: u32,
    /// Units of a call; one where nothing is said.
    pub weights: BTreeMap<String, u32>,
    /// Calls a second of single methods, with a burst of two seconds, beside the units.
    pub calls_per_second: BTreeMap<String, u32>,
    /// Units a second of all clients together, with a burst of two seconds; 0 is no limit.
    pub units_per_second_of_all: u32,
}

impl Allowance {
    /// So many calls a second, whatever they are, with a burst of two seconds.
    pub fn of_calls(per_second: u32) -> Self {
        Self {
            units_per_second: per_second,
            burst_units: per_second.saturating_mul(2),
            weights: BTreeMap::new(),
            calls_per_second: BTreeMap::new(),
            units_per_second_of_all: 0,
        }
    }
}

/// One address and what is served on it.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// Who can reach it. Decides the namespaces and which checks apply.
    pub kind: ListenerKind,
    /// Serve JSON-RPC over HTTP.
    pub http: bool,
    /// Serve JSON-RPC over WebSocket.
    pub websocket: bool,
    /// Served namespaces; `None` takes the default of the kind.
    pub namespaces: Option<Vec<String>>,
    /// Web origins that may read answers; `*` means any, without credentials. Not for a private listener.
    pub cors_origins: Vec<String>,
    /// Web origins that may open a WebSocket; `None` takes `cors_origins`.
    pub websocket_origins: Option<Vec<String>>,
    /// Names accepted in the Host header beside literal addresses; `*` means any.
    pub hosts: Vec<String>,
}

impl ListenerConfig {
    /// HTTP and WebSocket on `address` with the defaults of its kind.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            kind: ListenerKind::of(address.ip()),
            http: true,
            websocket: true,
            namespaces: None,
            cors_origins: Vec::new(),
            websocket_origins: None,
            hosts: vec!["localhost".to_owned()],
        }
    }
}

/// Who can reach a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListenerKind {
    /// Any address but loopback.
    Public,
    /// A loopback address: the people and programs of this machine.
    Loopback,
    /// The operator only: the sole kind that serves `admin_` and validator votes. Loopback too.
    Private,
}

impl ListenerKind {
    /// The kind of an address that nobody declared private.
    pub fn of(address: IpAddr) -> Self {
        if address.is_loopback() {
            Self::Loopback
        } else {
            Self::Public
        }
    }

    /// The name used in configuration, in metrics and by outside handlers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
        }
    }
}

/// Bounds, each with the reason for its default.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections on all listeners that are not private. Besu allows 80 + 80, reth 500.
    pub connections_max: usize,
    /// Open connections on private listeners, kept apart so that a flood elsewhere does not lock the operator out.
    pub private_connections_max: usize,
    /// Open connections of one address, or of one IPv6 /64. Not for loopback and trusted proxies.
    pub connections_per_address_max: u32,
    /// Requests a second of one address, batch items counted, with a burst of two seconds. `None`: no limit.
    pub requests_per_address_per_second: Option<u32>,
    /// The same with weights; goes before `requests_per_address_per_second`.
    pub allowance: Option<Allowance>,
    /// Addresses in front of many users, exempt from the limits of one address.
    pub trusted_proxies: Vec<Network>,
    /// Whether the user behind a trusted proxy, as X-Forwarded-For names it, has the limits of an address.
    pub forwarded_for: bool,
    /// A request body or WebSocket message. Room for a 128 KB transaction in hex, or a batch of small ones.
    pub body_bytes_max: usize,
    /// One response, or the sum of a batch. geth allows 25 MB a batch.
    pub response_bytes_max: usize,
    /// What calls hold in all: large requests, the memory and the changes of code that runs, traces, answers that are made, and
    /// those that are not yet taken. One call may have all of it; what is small does not count. Whatever callers do, a node may
    /// grow by 50 MB; this is what of it can be counted.
    pub calls_held_bytes_max: usize,
    /// Of that, what all callers together hold whom the limits of one address hold for, so that strangers cannot shut out the operator.
    /// Room for two of the largest answers, as a search for logs of several addresses has them: the rest is for loopback and trusted
    /// proxies.
    pub strangers_held_bytes_max: usize,
    /// Of what strangers hold, and of what the others do, large responses (over 64 KiB) that are made and not yet taken by their callers: what callers who do not read can
    /// make the node keep. One of the largest, and some; the rest is left for code that runs.
    pub responses_held_bytes_max: usize,
    /// What of them one address may hold, so that others find room: one of the largest, and some. Not for loopback and
    /// trusted proxies.
    pub responses_held_per_address_bytes_max: usize,
    /// Of the same, large requests (over 64 KiB) that arrive or are answered, at twice their size: a handful of the
    /// largest at one moment.
    pub requests_held_bytes_max: usize,
    /// What of them one address may hold: two of the largest. Not for loopback and trusted proxies.
    pub requests_held_per_address_bytes_max: usize,
    /// Requests in one batch.
    pub batch_items_max: usize,
    /// From the first byte of a request's head to its last.
    pub head_timeout: Duration,
    /// From the end of the head to the end of the body.
    pub body_timeout: Duration,
    /// How long a peer may take no byte of a response.
    pub write_timeout: Duration,
    /// How long a kept-alive connection may do nothing.
    pub idle_timeout: Duration,
    /// Time between WebSocket pings, and how long the pong may take.
    pub ping_interval: Duration,
    /// Subscriptions of one connection.
    pub subscriptions_per_connection_max: usize,
    /// Notifications that wait for one connection; one more closes it.
    pub notifications_queued_max: usize,
    /// Requests of one WebSocket connection that are answered at once; then it is not read.
    pub websocket_requests_in_flight_max: usize,
    /// Filters of one address.
    pub filters_per_address_max: u32,
    /// Filters in all.
    pub filters_max: usize,
    /// Entries that wait in one filter; one more removes it.
    pub filter_entries_max: usize,
    /// Entries that wait in all filters, 16 bytes each beside the texts, which they share; those that hold most are removed.
    pub filter_entries_in_all_max: usize,
    /// How long a filter lives without being asked.
    pub filter_timeout: Duration,
    /// Addresses, and alternatives of each topic, in one log filter (geth: 1,000).
    pub filter_criteria_max: usize,
    /// Memory of all log filters and subscriptions with large criteria (over 4 KiB of JSON), at twice their JSON: two
    /// dozen of the largest that make sense.
    pub filter_criteria_bytes_max: usize,
    /// Heavy calls that wait for a thread. Callers take turns, address by address.
    pub heavy_queued_max: usize,
    /// Heavy calls of one address that wait: a WebSocket's requests in flight. Not for loopback and trusted proxies.
    pub heavy_queued_per_address_max: usize,
    /// How long a caller waits for a heavy call. The engine stops it after 5 s by itself.
    pub heavy_timeout: Duration,
    /// Writing calls that wait to be gathered.
    pub writes_queued_max: usize,
    /// How long a caller waits for an outside handler.
    pub outside_timeout: Duration,
    /// Events that wait to be told to subscribers and filters.
    pub events_queued_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 200,
            private_connections_max: 16,
            connections_per_address_max: 20,
            requests_per_address_per_second: None,
            allowance: None,
            trusted_proxies: Vec::new(),
            forwarded_for: false,
            body_bytes_max: 1 << 20,
            response_bytes_max: 10 << 20,
            calls_held_bytes_max: 22 << 20,
            strangers_held_bytes_max: 19 << 20,
            responses_held_bytes_max: 14 << 20,
            responses_held_per_address_bytes_max: 12 << 20,
            requests_held_bytes_max: 8 << 20,
            requests_held_per_address_bytes_max: 4 << 20,
            batch_items_max: 100,
            head_timeout: Duration::from_secs(5),
            body_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            ping_interval: Duration::from_secs(30),
            subscriptions_per_connection_max: 32,
            notifications_queued_max: 1_000,
            websocket_requests_in_flight_max: 64,
            filters_per_address_max: 100,
            filters_max: 10_000,
            filter_entries_max: 10_000,
            filter_entries_in_all_max: 500_000,
            filter_timeout: Duration::from_secs(300),
            filter_criteria_max: 1_000,
            filter_criteria_bytes_max: 16 << 20,
            heavy_queued_max: 256,
            heavy_queued_per_address_max: 64,
            heavy_timeout: Duration::from_secs(30),
            writes_queued_max: 4_096,
            outside_timeout: Duration::from_secs(10),
            events_queued_max: 4_096,
        }
    }
}

/// An address, or a range such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Network {
    /// Whether `address` lies in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.prefix_bits);
                u32::from(own).checked_shr(shift) == u32::from(other).checked_shr(shift)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.prefix_bits);
                u128::from(own).checked_shr(shift) == u128::from(other).checked_shr(shift)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = StartError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            let found = crate::error::echo(text);
            StartError::Configuration(format!(
                "{found:?} is not an address or a range such as 10.0.0.0/8"
            ))
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = match prefix {
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|bits| *bits <= bits_max)
                .ok_or_else(wrong)?,
            None => bits_max,
        };
        Ok(Self {
            address,
            prefix_bits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses_and_no_others() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("192.168.1.7", "192.168.1.7", true),
            ("192.168.1.7", "192.168.1.8", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("0.0.0.0/0", "::1", false),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(
                network.contains(address.parse().unwrap()),
                expected,
                "{network:?} {address}"
            );
        }
    }

    #[test]
    fn a_malformed_network_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "host",
            "10.0.0.0/-1",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
