//! What a gateway is told when it starts.

use std::str::FromStr;
use std::time::Duration;

use crate::config::ServerConfig;
use crate::error::StartError;
use openrpc::Declaration;

/// Everything a gateway needs.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Where it listens, what it serves there, and the limits of callers.
    pub server: ServerConfig,
    /// The nodes that answer; at least one.
    pub nodes: Vec<NodeAddress>,
    /// A node of another chain is not asked.
    pub chain_id: u64,
    /// What the methods take and give. One that is served and not declared is described as taking anything.
    pub declarations: Vec<Declaration>,
    /// A node that is further behind is asked for nothing.
    pub lag_blocks_max: u64,
    /// Blocks of one `eth_getLogs`.
    pub log_blocks_max: u64,
    /// Nodes that a transaction is handed to.
    pub copies_of_writes: usize,
    /// What each key may send; `None` limits nobody. Not for loopback and trusted proxies.
    pub sender_rate: Option<SenderRate>,
    /// Calls that wait for nodes, of all callers.
    pub calls_max: usize,
    /// Time limits.
    pub timing: Timing,
}

/// Transactions of one key, as a bucket that fills steadily.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderRate {
    /// That nodes take in a minute.
    pub transactions_per_minute: u32,
    /// That they take at once of a key that was quiet.
    pub burst_transactions: u32,
}

/// How long what may take.
#[derive(Debug, Clone)]
pub struct Timing {
    /// To reach a node and to be answered who it is.
    pub connect: Duration,
    /// A caller's whole call.
    pub call: Duration,
    /// Until another node is asked what the first does not answer.
    pub first_attempt: Duration,
    /// For a node that has the block a call is about.
    pub for_node: Duration,
    /// A node that did not answer in time is asked last for so long.
    pub suspended: Duration,
    /// Before a node that went away is tried again: at first, and at most.
    pub reconnect: (Duration, Duration),
    /// Without a word from a node, its pong included.
    pub silence: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            call: Duration::from_secs(10),
            first_attempt: Duration::from_secs(4),
            for_node: Duration::from_millis(1_500),
            suspended: Duration::from_secs(2),
            reconnect: (Duration::from_millis(200), Duration::from_secs(3)),
            silence: Duration::from_secs(10),
        }
    }
}

/// Where a node serves WebSocket.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeAddress {
    /// host:port.
    pub(crate) authority: String,
    pub(crate) path: String,
}

/// Not shown: what is logged of errors must not tell where nodes are.
impl std::fmt::Debug for NodeAddress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("NodeAddress")
    }
}

impl FromStr for NodeAddress {
    type Err = StartError;

    /// Reads `http://HOST:PORT` or `ws://HOST:PORT`, with a path or without.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            StartError::Configuration(
                "node: expected http://HOST:PORT or ws://HOST:PORT; nodes are reached without TLS, over a network of their own"
                    .to_owned(),
            )
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        if !matches!(scheme, "http" | "ws") {
            return Err(wrong());
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        if authority.is_empty() || authority.contains('@') {
            return Err(wrong());
        }
        let has_port = authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port {
            authority.to_owned()
        } else {
            format!("{authority}:80")
        };
        Ok(Self {
            authority,
            path: path.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_nodes_are_read_and_others_refused_without_being_shown() {
        for (text, expected) in [
            ("http://127.0.0.1:8545", Some(("127.0.0.1:8545", "/"))),
            ("ws://node-1:8546/", Some(("node-1:8546", "/"))),
            ("http://node/rpc?key=1", Some(("node:80", "/rpc?key=1"))),
            ("http://[::1]:8545", Some(("[::1]:8545", "/"))),
            ("https://node:443", None),
            ("http://user:secret@node:1", None),
            ("node:8545", None),
            ("http://", None),
        ] {
            match (text.parse::<NodeAddress>(), expected) {
                (Ok(found), Some((authority, path))) => {
                    assert_eq!((&*found.authority, &*found.path), (authority, path));
                }
                (Err(error), None) => assert!(!error.to_string().contains("secret")),
                (found, _) => panic!("{text}: {}", found.is_ok()),
            }
        }
    }
}
