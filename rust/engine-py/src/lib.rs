//! Python's door to the engine and the JSON-RPC server: arguments are converted, the GIL is released, errors are
//! mapped. No logic lives here.
//!
//! Hashes, addresses, transactions and blocks are `bytes`, numbers are `int`. Every call that may take more than some
//! 20 microseconds runs without the GIL.

use pyo3::prelude::*;

mod convert;
mod declarations;
mod encoding;
mod engine;
mod errors;
mod events;
mod gateway;
mod outside;
mod reader;
mod restoration;
mod server;
mod server_config;
mod serving;
mod transition;

/// The compiled part of Metanode.
#[pymodule]
mod _engine {
    use super::{Bound, PyModule, PyResult, errors};

    #[pymodule_export]
    use crate::{
        declarations::openrpc_document,
        encoding::{
            encoding_digest, keccak256, ordered_root, rlp_decode, rlp_encode, rlp_integer,
            rlp_item_span, rlp_list_of_encoded, rlp_parse_integer, trie_root,
        },
        engine::{Built, Engine, Head},
        events::{Events, Transactions},
        gateway::RpcGateway,
        reader::RlpReader,
        restoration::Restoration,
        server::RpcServer,
        transition::run_transition,
    };

    /// Nesting of lists in one decoded value.
    #[pymodule_export]
    const RLP_DEPTH_MAX: usize = crate::encoding::DEPTH_MAX;
    /// Strings and lists in one decoded value.
    #[pymodule_export]
    const RLP_ITEMS_MAX: usize = crate::encoding::ITEMS_MAX;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        errors::register(module)
    }
}
