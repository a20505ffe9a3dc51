//! Python values to the engine's types and back.

use alloy_primitives::{Address, B256, Bytes};
use pyo3::{exceptions::PyValueError, prelude::*, types::PyBytes};

/// A list of byte strings as Python gives it.
pub(crate) type ByteList<'py> = Vec<Bound<'py, PyBytes>>;

pub(crate) fn hash(name: &str, bytes: &[u8]) -> PyResult<B256> {
    B256::try_from(bytes).map_err(|_| wrong_length(name, bytes.len(), 32))
}

pub(crate) fn address(name: &str, bytes: &[u8]) -> PyResult<Address> {
    Address::try_from(bytes).map_err(|_| wrong_length(name, bytes.len(), 20))
}

pub(crate) fn byte_list(list: &ByteList<'_>) -> Vec<Bytes> {
    list.iter()
        .map(|item| Bytes::copy_from_slice(item.as_bytes()))
        .collect()
}

pub(crate) fn to_py_list<'py>(py: Python<'py>, list: &[Bytes]) -> ByteList<'py> {
    list.iter().map(|item| PyBytes::new(py, item)).collect()
}

fn wrong_length(name: &str, found: usize, expected: usize) -> PyErr {
    PyValueError::new_err(format!("{name} has {found} bytes, expected {expected}"))
}
