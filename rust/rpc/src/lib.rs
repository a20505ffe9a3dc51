//! The JSON-RPC server of a node: HTTP and WebSocket, limits, filters and subscriptions.
//!
//! `gateway` puts the same server before several nodes.
//!
//! It knows nothing of the engine. What it cannot answer itself goes to one of two sides: `Methods`, which
//! answers in this process, and `Outside`, a bounded queue to handlers elsewhere. News comes in through
//! `Server::publish`. Everything a caller can make grow has a limit in `config`.
//!
//! The life of a request: `connection` takes the TCP connection, `http` and `websocket` check and read the request,
//! `envelope` turns bytes into calls, `router` finds who answers, `lanes` keeps slow calls away from the threads
//! that read.
#![forbid(unsafe_code)]

mod access;
mod activity;
mod address;
mod body;
mod bucket;
mod budget;
mod config;
mod connection;
mod criteria;
mod data;
mod envelope;
pub mod error;
mod event;
mod filters;
mod forwarding;
mod fragments;
pub mod gateway;
#[cfg(test)]
mod growth;
mod http;
mod ids;
mod intake;
mod lanes;
mod methods;
mod own;
mod priority;
mod response;
mod router;
mod sending;
mod server;
mod session;
mod statistics;
mod subscriptions;
mod syncing;
mod together;
mod turns;
mod websocket;

pub use config::{Allowance, Limits, ListenerConfig, ListenerKind, Network, ServerConfig};
pub use error::{RpcError, StartError};
pub use event::{Event, Head, Interest, Pending, Receipt};
pub use methods::{
    Answer, Cost, Forwarded, Methods, NoMethods, NoOutside, Outside, Reply, Waiting,
};
pub use openrpc::Declaration;
pub use own::own_declarations;
pub use server::Server;
pub use statistics::{
    BATCH_BOUNDS, BatchStatistics, DURATION_BOUNDS_US, ERROR_CODES, FINE_BOUNDS_US,
    MethodStatistics, SUBSCRIPTION_TYPES, Statistics, TransportStatistics,
};
