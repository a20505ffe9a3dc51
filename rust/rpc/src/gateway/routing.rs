//! Which node is asked, and which next when it does not answer.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use crate::error::RpcError;
use crate::error::{INTERNAL_ERROR, LIMIT_EXCEEDED, UNAVAILABLE};
use crate::methods::Answer;
use crate::server::Server;
use alloy_primitives::{B256, keccak256};
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::chain::Chain;
use super::config::{SenderRate, Timing};
use super::node::{Genesis, Links, Node};
use super::pending::Pending;
use super::sender_rates::SenderRates;

/// All nodes, and what is known of their chain.
pub(crate) struct Network {
    pub(crate) nodes: Vec<Node>,
    pub(crate) chain: Chain,
    pub(crate) pending: Pending,
    pub(crate) sender_rates: SenderRates,
    pub(crate) timing: Timing,
    pub(crate) chain_id: u64,
    pub(crate) lag_blocks_max: u64,
    pub(crate) counters: RoutingCounters,
    genesis: Genesis,
    server: OnceLock<Weak<Server>>,
    /// Counts what may have made a node fit for a call.
    changes: watch::Sender<u64>,
    turn: AtomicUsize,
}

#[derive(Default)]
pub(crate) struct RoutingCounters {
    /// Calls that a second node was asked.
    pub(crate) retries: AtomicU64,
    /// Calls for which there was no node.
    pub(crate) unavailable: AtomicU64,
    /// Calls that no node answered in time.
    pub(crate) timed_out: AtomicU64,
}

/// A call as nodes are asked it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) params: Option<&'a RawValue>,
    /// The block that a node must have.
    pub(crate) at_least: u64,
    pub(crate) is_heavy: bool,
    /// Whose calls of this kind go to one node, so that they see what they sent before.
    pub(crate) of: Option<IpAddr>,
}

/// What became of asking one node.
pub(crate) enum Attempt {
    Answered(usize, Answer),
    /// The link broke, or the time was over.
    Failed(usize),
    /// There is none.
    NoNode,
}

impl Network {
    pub(crate) fn new(
        nodes: Vec<Node>,
        chain: Chain,
        timing: Timing,
        chain_id: u64,
        lag_blocks_max: u64,
        sender_rate: Option<SenderRate>,
    ) -> Self {
        Self {
            nodes,
            chain,
            pending: Pending::default(),
            sender_rates: SenderRates::new(sender_rate),
            timing,
            chain_id,
            lag_blocks_max,
            counters: RoutingCounters::default(),
            genesis: Genesis::default(),
            server: OnceLock::new(),
            changes: watch::Sender::new(0),
            turn: AtomicUsize::new(0),
        }
    }

    pub(crate) fn serves(&self, server: &Arc<Server>) {
        let _ = self.server.set(Arc::downgrade(server));
    }

    /// The server whose callers these nodes answer, until it has stopped.
    pub(crate) fn server(&self) -> Option<Arc<Server>> {
        self.server.get().and_then(Weak::upgrade)
    }

    pub(crate) fn is_genesis(&self, hash: B256) -> bool {
        self.genesis.is(hash)
    }

    pub(crate) fn tell_changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The oldest newest block that a node may have and still be asked.
    pub(crate) fn oldest(&self) -> u64 {
        self.chain.visible().saturating_sub(self.lag_blocks_max)
    }

    /// Whether a node is there that has what callers see.
    pub(crate) fn is_available(&self) -> bool {
        let visible = self.chain.visible();
        self.nodes
            .iter()
            .any(|node| node.is_up() && node.head() >= visible)
    }

    /// Whether half of the nodes that are there are so far, or nearly.
    pub(crate) fn is_believable(&self, number: u64, missed_max: u64) -> bool {
        let up: Vec<&Node> = self.nodes.iter().filter(|node| node.is_up()).collect();
        let agree = up
            .iter()
            .filter(|node| node.head().saturating_add(missed_max) >= number);
        2 * agree.count() >= up.len()
    }

    /// Whether this node tells of transactions that wait: the first that is there does, while somebody listens.
    pub(crate) fn is_source_of_pending(&self, index: usize) -> bool {
        let first = self
            .nodes
            .iter()
            .find(|node| node.is_up() && node.head() >= self.oldest());
        first.is_some_and(|node| node.index == index)
            && self
                .server()
                .is_some_and(|server| server.interest().pending)
    }

    /// Asks a node, and another one when the first does not answer.
    pub(crate) async fn ask(&self, asked: Asked<'_>) -> Answer {
        let begun = Instant::now();
        let deadline = begun + self.timing.call;
        let first = if asked.is_heavy {
            2 * self.timing.first_attempt
        } else {
            self.timing.first_attempt
        };
        let first = self.attempt(asked, None, deadline.min(begun + first)).await;
        let (failed, kept) = match first {
            Attempt::Answered(node, answer) if is_worth_asking_again(&answer) => {
                (node, Some(answer))
            }
            Attempt::Answered(node, answer) => {
                self.look_at(node, &answer);
                return answer;
            }
            Attempt::Failed(node) => (node, None),
            Attempt::NoNode => return Err(self.unavailable()),
        };
        self.counters.retries.fetch_add(1, Relaxed);
        match self.attempt(asked, Some(failed), deadline).await {
            Attempt::Answered(node, answer) => {
                self.look_at(node, &answer);
                answer
            }
            Attempt::NoNode => kept.unwrap_or_else(|| Err(self.unavailable())),
            Attempt::Failed(_) => kept.unwrap_or_else(|| {
                self.counters.timed_out.fetch_add(1, Relaxed);
                Err(RpcError::timed_out())
            }),
        }
    }

    /// Asks one node that has the block, but not `avoided`.
    pub(crate) async fn attempt(
        &self,
        asked: Asked<'_>,
        avoided: Option<usize>,
        deadline: Instant,
    ) -> Attempt {
        let until = deadline.min(Instant::now() + self.timing.for_node);
        let Some((node, links)) = self.find(&asked, avoided, until).await else {
            return Attempt::NoNode;
        };
        self.ask_node(node, &links, asked, deadline).await
    }

    pub(crate) async fn ask_node(
        &self,
        node: &Node,
        links: &Links,
        asked: Asked<'_>,
        deadline: Instant,
    ) -> Attempt {
        let Some(link) = links.choose(asked.is_heavy) else {
            return Attempt::NoNode;
        };
        node.counters.calls.fetch_add(1, Relaxed);
        match timeout_at(deadline, link.call(asked.method, asked.params)).await {
            Ok(Ok(answer)) => Attempt::Answered(node.index, answer),
            Ok(Err(_)) => {
                node.counters.failures.fetch_add(1, Relaxed);
                Attempt::Failed(node.index)
            }
            Err(_) => {
                node.counters.failures.fetch_add(1, Relaxed);
                if !asked.is_heavy {
                    node.suspend(self.timing.suspended);
                }
                Attempt::Failed(node.index)
            }
        }
    }

    /// Waits for a node, but not when none is there at all.
    async fn find(
        &self,
        asked: &Asked<'_>,
        avoided: Option<usize>,
        until: Instant,
    ) -> Option<(&Node, Arc<Links>)> {
        let mut changes = self.changes.subscribe();
        loop {
            changes.mark_unchanged();
            if let Some(found) = self.choose(asked, avoided) {
                return Some(found);
            }
            let is_hopeless = !self
                .nodes
                .iter()
                .any(|node| node.is_up() && Some(node.index) != avoided);
            if is_hopeless || !matches!(timeout_at(until, changes.changed()).await, Ok(Ok(()))) {
                return None;
            }
        }
    }

    fn choose(&self, asked: &Asked<'_>, avoided: Option<usize>) -> Option<(&Node, Arc<Links>)> {
        let is_fit = |node: &&Node| {
            Some(node.index) != avoided && node.is_up() && node.head() >= asked.at_least
        };
        let turn = self.turn.fetch_add(1, Relaxed);
        let count = self.nodes.len();
        let node = self.nodes.iter().filter(is_fit).min_by_key(|node| {
            let order = match asked.of {
                Some(client) => (0, preference(client, node.index)),
                None => {
                    let turns = (node.index + count - turn % count) % count;
                    (node.in_flight(), turns as u64)
                }
            };
            (node.is_suspended(), order)
        })?;
        Some((node, node.links()?))
    }

    /// The nodes that may take a transaction: first the one that `client` sees its own in.
    pub(crate) fn for_writes(&self, client: IpAddr) -> Vec<(&Node, Arc<Links>)> {
        let oldest = self.oldest();
        let mut nodes: Vec<&Node> = self
            .nodes
            .iter()
            .filter(|node| node.is_up() && node.head() >= oldest)
            .collect();
        let visible = self.chain.visible();
        nodes.sort_by_key(|node| {
            (
                node.is_suspended(),
                node.head() < visible,
                preference(client, node.index),
            )
        });
        nodes
            .into_iter()
            .filter_map(|node| Some((node, node.links()?)))
            .collect()
    }

    /// An answer may show a block before its node has told of it.
    fn look_at(&self, node: usize, answer: &Answer) {
        let Ok(result) = answer else { return };
        if let Some(number) = super::blocks::shown(result.get()) {
            self.show(node, number);
        }
    }

    /// A caller is shown this block of that node.
    pub(crate) fn show(&self, node: usize, number: u64) {
        if number > self.chain.visible() && self.chain.show(number) {
            self.nodes[node].has(number);
        }
    }

    pub(crate) fn unavailable(&self) -> RpcError {
        self.counters.unavailable.fetch_add(1, Relaxed);
        RpcError::new(
            UNAVAILABLE,
            "no node of the network can answer at the moment, try again in a second",
        )
    }
}

/// Faults of one node, which another may not have.
fn is_worth_asking_again(answer: &Answer) -> bool {
    matches!(answer, Err(error) if matches!(error.code, INTERNAL_ERROR | LIMIT_EXCEEDED))
}

/// The lowest is a client's node. Others keep theirs when one goes.
fn preference(client: IpAddr, node: usize) -> u64 {
    let hash = keccak256(format!("{client} {node}"));
    u64::from_be_bytes(hash[..8].try_into().unwrap_or_default())
}

/// The least time between two looks at whether the gateway is ready.
pub(crate) const READY_EVERY: Duration = Duration::from_millis(500);

/// Tells balancers whether anybody can be answered, for as long as the gateway runs.
pub(crate) async fn tell_ready(network: Arc<Network>) {
    let mut changes = network.changes();
    loop {
        changes.mark_unchanged();
        let Some(server) = network.server() else {
            return;
        };
        server.set_ready(network.is_available());
        drop(server);
        let _ = tokio::time::timeout(READY_EVERY, changes.changed()).await;
    }
}
