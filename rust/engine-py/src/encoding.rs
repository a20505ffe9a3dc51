//! Hashes, RLP and roots of lists, for the pure layers of the Python side.
//!
//! Short calls keep the GIL: to give it up costs more than they do. What is refused is `metanode.errors.InvalidEncoding`.

use encoding::{
    rlp::{self, Build, Limits, Malformed, NotANumber},
    trie,
};
use pyo3::{
    exceptions::{PyRecursionError, PyValueError},
    prelude::*,
    types::{PyByteArray, PyBytes, PyInt, PyList, PyMemoryView, PyTuple},
};

use crate::convert::ByteList;

pyo3::import_exception!(metanode.errors, InvalidEncoding);

/// Nesting of lists in one decoded value, unless a caller says less.
pub(crate) const DEPTH_MAX: usize = 16;
/// Strings and lists in one decoded value, unless a caller says less.
pub(crate) const ITEMS_MAX: usize = 100_000;
/// From so many bytes on a hash or a root takes long enough to let other threads run.
const SHORT_BYTES_MAX: usize = 16 * 1024;

/// Return the 32-byte Keccak hash (the one before FIPS 202) of bytes.
#[pyfunction]
#[pyo3(signature = (data, /))]
pub(crate) fn keccak256<'py>(py: Python<'py>, data: &[u8]) -> Bound<'py, PyBytes> {
    let hash = if data.len() > SHORT_BYTES_MAX {
        py.detach(|| encoding::keccak256(data))
    } else {
        encoding::keccak256(data)
    };
    PyBytes::new(py, &hash)
}

/// Return a digest of the code behind these functions, for those who keep results that depend on it.
#[pyfunction]
pub(crate) fn encoding_digest(py: Python<'_>) -> Bound<'_, PyBytes> {
    let ours = [include_str!("encoding.rs"), include_str!("reader.rs")];
    let texts = [&encoding::SOURCES[..], &ours].concat().concat();
    PyBytes::new(py, &encoding::keccak256(texts.as_bytes()))
}

/// Return the RLP of bytes or of a nested sequence of bytes.
#[pyfunction]
#[pyo3(signature = (item, /))]
pub(crate) fn rlp_encode<'py>(item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let mut encoded = Vec::with_capacity(256);
    put_item(item, rlp::DEPTH_MAX, &mut encoded)?;
    Ok(PyBytes::new(item.py(), &encoded))
}

fn put_item(item: &Bound<'_, PyAny>, depth: usize, to: &mut Vec<u8>) -> PyResult<()> {
    if let Ok(content) = item.cast::<PyBytes>() {
        rlp::encode_string(content.as_bytes(), to);
        return Ok(());
    }
    let Some(below) = depth.checked_sub(1) else {
        return Err(PyRecursionError::new_err(
            "rlp: lists are nested too deeply",
        ));
    };
    let start = to.len();
    if let Ok(list) = item.cast::<PyList>() {
        for child in list.iter() {
            put_item(&child, below, to)?;
        }
    } else if let Ok(tuple) = item.cast::<PyTuple>() {
        for child in tuple.iter_borrowed() {
            put_item(&child, below, to)?;
        }
    } else if item.is_instance_of::<PyByteArray>() || item.is_instance_of::<PyMemoryView>() {
        let content = item.py().get_type::<PyBytes>().call1((item,))?;
        rlp::encode_string(content.cast::<PyBytes>()?.as_bytes(), to);
        return Ok(());
    } else {
        for child in item.try_iter()? {
            put_item(&child?, below, to)?;
        }
    }
    rlp::close_list(start, to);
    Ok(())
}

/// Return the RLP of a list whose items, already encoded, are the payload.
#[pyfunction]
#[pyo3(signature = (payload, /))]
pub(crate) fn rlp_list_of_encoded<'py>(py: Python<'py>, payload: &[u8]) -> Bound<'py, PyBytes> {
    let mut encoded = Vec::with_capacity(payload.len() + 9);
    rlp::encode_list_prefix(payload.len(), &mut encoded);
    encoded.extend_from_slice(payload);
    PyBytes::new(py, &encoded)
}

/// Return the string that RLP uses for a number: big-endian without leading zeros, empty for zero.
#[pyfunction]
#[pyo3(signature = (value, /))]
pub(crate) fn rlp_integer<'py>(value: &Bound<'py, PyInt>) -> PyResult<Bound<'py, PyBytes>> {
    if let Ok(number) = value.extract::<u64>() {
        let bytes = number.to_be_bytes();
        return Ok(PyBytes::new(value.py(), rlp::number_bytes(&bytes)));
    }
    // Of a negative number `to_bytes` says what is wrong.
    let bits: usize = value.call_method0("bit_length")?.extract()?;
    let bytes = value.call_method1("to_bytes", (bits.div_ceil(8), "big"))?;
    Ok(bytes.cast_into()?)
}

/// Return the value of canonical RLP; raises InvalidEncoding for anything else, trailing bytes included.
#[pyfunction]
#[pyo3(signature = (data, /, *, items_max = ITEMS_MAX, depth_max = DEPTH_MAX))]
pub(crate) fn rlp_decode<'py>(
    py: Python<'py>,
    data: &[u8],
    items_max: usize,
    depth_max: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let limits = Limits {
        items: items_max,
        depth: depth_max,
    };
    rlp::decode(data, limits, &Objects(py)).map_err(Refused::into)
}

/// Makes `bytes` and `list`.
struct Objects<'py>(Python<'py>);

enum Refused {
    Malformed(Malformed),
    /// Memory is gone.
    Python(PyErr),
}

impl From<Malformed> for Refused {
    fn from(reason: Malformed) -> Self {
        Self::Malformed(reason)
    }
}

impl From<Refused> for PyErr {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Malformed(reason) => InvalidEncoding::new_err(reason.to_string()),
            Refused::Python(error) => error,
        }
    }
}

impl<'py> Build for Objects<'py> {
    type Value = Bound<'py, PyAny>;
    type Error = Refused;

    fn string(&self, content: &[u8]) -> Result<Self::Value, Refused> {
        Ok(PyBytes::new(self.0, content).into_any())
    }

    fn list(&self, items: Vec<Self::Value>) -> Result<Self::Value, Refused> {
        let list = PyList::new(self.0, items).map_err(Refused::Python)?;
        Ok(list.into_any())
    }
}

/// Return (is it a list, where its content starts, where it ends) of the item at `start`, without looking into it.
///
/// Raises InvalidEncoding when the prefix is not canonical or the item does not end at or before `end`.
#[pyfunction]
#[pyo3(signature = (data, start, end, /))]
pub(crate) fn rlp_item_span(
    data: &[u8],
    start: usize,
    end: usize,
) -> PyResult<(bool, usize, usize)> {
    match rlp::span(data, start, end) {
        Ok(found) => Ok((found.is_list, found.start, found.end)),
        Err(reason) => Err(Refused::from(reason).into()),
    }
}

/// Return the number of an RLP string; raises InvalidEncoding for leading zeros or more than `bits`.
#[pyfunction]
#[pyo3(signature = (value, /, *, bits = 64, field = "integer"))]
pub(crate) fn rlp_parse_integer<'py>(
    py: Python<'py>,
    value: &[u8],
    bits: usize,
    field: &str,
) -> PyResult<Bound<'py, PyAny>> {
    number(py, value, bits, || field.to_owned())
}

/// The number of a string, or an error with the field's name.
pub(crate) fn number<'py>(
    py: Python<'py>,
    content: &[u8],
    bits: usize,
    field: impl FnOnce() -> String,
) -> PyResult<Bound<'py, PyAny>> {
    if let Err(reason) = rlp::check_number(content, bits) {
        let field = field();
        return Err(InvalidEncoding::new_err(match reason {
            NotANumber::LeadingZeros => format!("{field}: a number has leading zeros"),
            NotANumber::TooManyBytes(found) => {
                format!("{field}: expected at most {bits} bits, found {found} bytes")
            }
            NotANumber::TooManyBits(found) => {
                format!("{field}: expected at most {bits} bits, found {found}")
            }
        }));
    }
    if content.len() > size_of::<u64>() {
        let from_bytes = py.get_type::<PyInt>().getattr("from_bytes")?;
        return from_bytes.call1((content, "big"));
    }
    let small = content
        .iter()
        .fold(0u64, |number, &byte| number << 8 | u64::from(byte));
    Ok(small.into_pyobject(py)?.into_any())
}

/// Return the root of a trie from rlp(index) to item; without the GIL where it takes long.
#[pyfunction]
#[pyo3(signature = (items, /))]
pub(crate) fn ordered_root<'py>(py: Python<'py>, items: ByteList<'py>) -> Bound<'py, PyBytes> {
    let items: Vec<&[u8]> = items.iter().map(|item| item.as_bytes()).collect();
    let root = if items.iter().map(|item| item.len()).sum::<usize>() > SHORT_BYTES_MAX {
        py.detach(|| trie::ordered_root(&items))
    } else {
        trie::ordered_root(&items)
    };
    PyBytes::new(py, &root)
}

/// Return the root of a trie from distinct keys to values that are not empty; without the GIL.
#[pyfunction]
#[pyo3(signature = (entries, /))]
pub(crate) fn trie_root<'py>(
    py: Python<'py>,
    entries: Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>,
) -> PyResult<Bound<'py, PyBytes>> {
    let slices: Vec<(&[u8], &[u8])> = entries
        .iter()
        .map(|(key, value)| (key.as_bytes(), value.as_bytes()))
        .collect();
    let root = py.detach(|| trie::root(slices));
    match root {
        Ok(root) => Ok(PyBytes::new(py, &root)),
        Err(reason) => Err(PyValueError::new_err(reason.to_string())),
    }
}
