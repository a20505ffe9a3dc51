//! One JSON-RPC and WebSocket endpoint before several nodes of one network.
//!
//! Callers talk to the same `Server` as a node's, with its limits, filters and subscriptions; this is the side that
//! answers them.
//! `node` keeps a connection to each node and hears of its blocks, `chain` makes one sequence of them, `routing` finds a
//! node that has what a call is about, `blocks` says which block that is, `sending` hands transactions over as `submitted` has
//! read them, as many of each key as `sender_rates` allows.
//!
//! Two promises: what a caller has seen of the chain is never taken back, for a call about the newest block is asked
//! with its number, of a node that has it; and who subscribes hears of every block once, in order, whatever node dies.
//! What nodes are called and where they are appears in no answer.
mod answering;
mod blocks;
mod chain;
mod config;
mod door;
mod link;
mod node;
mod pending;
mod routing;
mod sender_rates;
mod sending;
mod statistics;
mod submitted;

pub use config::{GatewayConfig, NodeAddress, SenderRate, Timing};
pub use door::Gateway;
pub use statistics::{GatewayStatistics, NodeStatistics};
