//! Python's door to the engine and the JSON-RPC server: arguments are converted, the GIL is released, errors are
//! mapped. No logic lives here.
//!
//! Hashes, addresses, transactions and blocks are `bytes`, numbers are `int`. Every call that may take more than some
//! 20 microseconds runs without the GIL.

use pyo3::prelude::*;

mod convert;
mod declarations;
mod engine;
mod errors;
mod events;
mod outside;
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
        engine::{Built, Engine, Head},
        events::{Events, Transactions},
        restoration::Restoration,
        server::RpcServer,
        transition::run_transition,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        errors::register(module)
    }
}
