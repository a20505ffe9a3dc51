//! The execution engine of Metanode: EVM, state, store, transaction pool and the `eth_` API. No network, no Python.
#![forbid(unsafe_code)]

pub mod api;
pub mod block;
pub mod engine;
pub mod error;
pub mod genesis;
pub mod header;
pub mod pool;
pub mod spec;
pub mod state;
pub mod store;
pub mod trie;

pub use block::{Block, ExecutedBlock};
pub use engine::{BuildAttributes, Engine, EngineConfig, EngineEvent};
pub use error::{EngineError, Result};
pub use spec::ChainSpec;
