//! The execution engine of Metanode: EVM, state, store, transaction pool and the `eth_` API. No network, no Python.
#![forbid(unsafe_code)]

pub mod block;
pub mod error;
pub mod state;
pub mod store;
pub mod trie;

pub use block::{Block, ExecutedBlock};
pub use error::{EngineError, Result};
