//! Counters of a gateway, for metrics.

use serde::Serialize;

/// The nodes and the chain, at one moment. What callers ask is in `rpc::Statistics`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GatewayStatistics {
    /// In the order of the configuration.
    pub nodes: Vec<NodeStatistics>,
    /// The newest block that callers see.
    pub visible: u64,
    /// Nodes that have it.
    pub nodes_at_head: usize,
    /// Blocks told to subscribers, or that would have been.
    pub blocks: u64,
    /// Of them, fetched because no node told of them.
    pub blocks_fetched: u64,
    /// Not told, after a long silence of all nodes.
    pub blocks_skipped: u64,
    /// Blocks whose logs no node gave.
    pub blocks_without_logs: u64,
    /// Calls that a second node was asked.
    pub retries: u64,
    /// Calls for which there was no node.
    pub unavailable: u64,
    /// Calls that no node answered in time.
    pub timed_out: u64,
    /// Transactions refused because their sender has sent as many as it may in a time.
    pub over_rate_of_sender: u64,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeStatistics {
    /// Whether it can be asked.
    pub up: bool,
    /// The newest block that it has; 0 while that is not known.
    pub head: u64,
    /// Calls that it was asked.
    pub calls: u64,
    /// Calls that it did not answer.
    pub failures: u64,
    /// Times that it was reached.
    pub connections: u64,
    /// Calls that it has not answered yet.
    pub in_flight: usize,
    /// Whether it last told of another chain, or another block, than the others have.
    pub disagrees: bool,
}
