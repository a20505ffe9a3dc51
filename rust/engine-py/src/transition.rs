//! The function `run_transition`: transactions on a given state, for tests and for comparing engines.

use std::panic::catch_unwind;

use engine::EngineError;
use pyo3::{prelude::*, types::PyBytes};

use crate::errors::to_exception;

/// Run transactions on a state: JSON in, JSON out; see `engine::transition` for their members.
///
/// Raises InvalidInput for a transition that cannot be read, InvalidBlock for a block that cannot be.
#[pyfunction]
pub(crate) fn run_transition<'py>(
    py: Python<'py>,
    transition: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let run = || -> engine::Result<Vec<u8>> {
        let read = serde_json::from_slice(transition)
            .map_err(|error| EngineError::InvalidInput(format!("transition: {error}")))?;
        let result = engine::transition::run_transition(&read)?;
        serde_json::to_vec(&result)
            .map_err(|error| EngineError::InvalidInput(format!("transition: {error}")))
    };
    let result = py.detach(|| catch_unwind(run)).unwrap_or_else(|_| {
        Err(EngineError::Corruption(
            "the engine stopped in the middle of a transition".into(),
        ))
    });
    let json = result.map_err(|error| to_exception(&error))?;
    Ok(PyBytes::new(py, &json))
}
