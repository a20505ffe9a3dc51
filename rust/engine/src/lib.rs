//! The execution engine of Metanode: EVM, state, store, transaction pool and the `eth_` API. No network, no Python.
#![forbid(unsafe_code)]

pub mod api;
pub mod block;
mod body;
mod build;
mod chain;
#[cfg(any(test, feature = "testing"))]
pub mod decoders;
mod deposits;
pub mod engine;
pub mod error;
mod events;
mod execute;
pub mod genesis;
pub mod header;
mod instructions;
mod measure;
mod overlay;
pub mod pool;
mod proof_of_work;
mod restore;
pub mod spec;
pub mod state;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(any(test, feature = "testing"))]
pub mod trace_cases;
mod tracing;
mod transaction;
pub mod transition;
pub mod trie;

pub use block::{Block, ExecutedBlock};
pub use engine::{BuildAttributes, Engine, EngineConfig, EngineEvent, Subscription};
pub use error::{EngineError, Result};
pub use measure::{Durations, WorkStatistics};
pub use restore::Restoration;
pub use spec::ChainSpec;

#[cfg(test)]
mod engine_tests;
#[cfg(test)]
mod header_tests;
#[cfg(test)]
mod official_tests;
