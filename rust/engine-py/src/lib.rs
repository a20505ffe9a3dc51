//! Python's door to the engine and the JSON-RPC server: arguments are converted, the GIL is released, errors are
//! mapped. No logic lives here.

use pyo3::prelude::*;

mod outside;
mod server;
mod server_config;

/// The compiled part of Metanode.
#[pymodule]
mod _engine {
    #[pymodule_export]
    use crate::server::RpcServer;
}
