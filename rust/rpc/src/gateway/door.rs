//! The gateway as a program sees it: start, statistics, stop.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use crate::error::StartError;
use crate::server::Server;
use crate::statistics::Statistics;

use super::answering::{Known, Nodes};
use super::chain::{self, Chain};
use super::config::GatewayConfig;
use super::node::{self, Node};
use super::routing::{Network, tell_ready};
use super::statistics::{GatewayStatistics, NodeStatistics};

/// So long a balancer hears that this gateway goes, while calls are taken as before: one that asks every second sends nothing to
/// where nobody listens. With what open calls have it is less than the five seconds in which a service stops.
const NOTICE: Duration = Duration::from_secs(1);

/// A running gateway. Stops when dropped.
pub struct Gateway {
    server: Arc<Server>,
    network: Arc<Network>,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Gateway")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl Gateway {
    /// Listens, and keeps connections to the nodes from now on. Works before any of them is there: callers are told so.
    pub fn start(config: GatewayConfig) -> Result<Self, StartError> {
        let wrong = |what: &str| Err(StartError::Configuration(format!("gateway: {what}")));
        if config.nodes.is_empty() {
            return wrong("expected at least one node");
        }
        let Some(served) = config.server.methods.clone() else {
            return wrong("expected the methods that are served");
        };
        let (chain, proposed) = Chain::new();
        let nodes = config.nodes.into_iter().enumerate();
        let network = Arc::new(Network::new(
            nodes
                .map(|(index, address)| Node::new(index, address))
                .collect(),
            chain,
            config.timing,
            config.chain_id,
            config.lag_blocks_max,
            config.sender_rate,
        ));
        let mut server = config.server;
        server.is_gateway = true;
        let namespaces: BTreeSet<String> = served
            .iter()
            .filter_map(|name| Some(name.split_once('_')?.0.to_owned()))
            .collect();
        for listener in &mut server.listeners {
            listener.namespaces = Some(namespaces.iter().cloned().collect());
        }
        let known = Known::new(Arc::clone(&network), &config.declarations);
        let nodes = Nodes::new(
            Arc::clone(&network),
            &config.declarations,
            &served,
            (
                config.calls_max,
                config.copies_of_writes,
                config.log_blocks_max,
            ),
        );
        let server = Arc::new(Server::start(server, Arc::new(known), Arc::new(nodes))?);
        server.set_ready(false);
        network.serves(&server);
        // It has just been started.
        if let Some(threads) = server.handle() {
            for index in 0..network.nodes.len() {
                threads.spawn(node::keep(Arc::clone(&network), index));
            }
            threads.spawn(chain::follow(Arc::clone(&network), proposed));
            threads.spawn(tell_ready(Arc::clone(&network)));
        }
        Ok(Self { server, network })
    }

    /// Where it listens, with the real ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    /// What callers asked.
    pub fn calls(&self) -> Statistics {
        self.server.statistics()
    }

    /// The nodes and the chain.
    pub fn statistics(&self) -> GatewayStatistics {
        let network = &self.network;
        let visible = network.chain.visible();
        let nodes: Vec<NodeStatistics> = network
            .nodes
            .iter()
            .map(|node| NodeStatistics {
                up: node.is_up(),
                head: node.head(),
                calls: node.counters.calls.load(Relaxed),
                failures: node.counters.failures.load(Relaxed),
                connections: node.counters.connections.load(Relaxed),
                in_flight: node.in_flight(),
                disagrees: node.counters.disagrees.load(Relaxed),
            })
            .collect();
        let count = |counter: &AtomicU64| counter.load(Relaxed);
        GatewayStatistics {
            nodes_at_head: nodes
                .iter()
                .filter(|node| node.up && node.head >= visible)
                .count(),
            nodes,
            visible,
            blocks: count(&network.chain.counters.blocks),
            blocks_fetched: count(&network.chain.counters.fetched),
            blocks_skipped: count(&network.chain.counters.skipped),
            blocks_without_logs: count(&network.chain.counters.without_logs),
            retries: count(&network.counters.retries),
            unavailable: count(&network.counters.unavailable),
            timed_out: count(&network.counters.timed_out),
            over_rate_of_sender: count(&network.sender_rates.refused),
        }
    }

    /// Says so at /readyz for a second, if anybody asks there; then takes no more connections, lets open calls end within three seconds, and
    /// closes everything. Waits for that.
    pub fn stop(&self) {
        if self.server.leave() {
            thread::sleep(NOTICE);
        }
        self.server.stop();
    }
}
