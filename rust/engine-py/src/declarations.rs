//! What methods take and give, between Python and the server.

use engine::api::Api;
use pyo3::{exceptions::PyValueError, prelude::*};
use rpc::{Declaration, own_declarations};

/// A method that Python answers: name, signature, summary.
pub(crate) type Declared = (String, String, String);

pub(crate) fn declarations(methods: Vec<Declared>) -> Vec<Declaration> {
    methods
        .into_iter()
        .map(|(name, signature, summary)| Declaration {
            name: name.into(),
            signature: signature.into(),
            summary: summary.into(),
        })
        .collect()
}

/// The OpenRPC document, as JSON, of all that a node answers: the engine, the server, and `methods`.
#[pyfunction]
pub(crate) fn openrpc_document(methods: Vec<Declared>) -> PyResult<Vec<u8>> {
    // The server answers what the engine has too.
    let mut all: Vec<Declaration> = own_declarations()
        .chain(declarations(methods))
        .chain(Api::declarations().cloned())
        .collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all.dedup_by(|later, kept| later.name == kept.name);
    let document =
        openrpc::document(&all).map_err(|error| PyValueError::new_err(error.to_string()))?;
    serde_json::to_vec(&document).map_err(|error| PyValueError::new_err(error.to_string()))
}
