//! The class `RlpReader`: a decoded list, field by field, with errors that name the field.

use pyo3::{
    prelude::*,
    types::{PyBytes, PyList, PyString},
};

use crate::encoding::{InvalidEncoding, number};

const ADDRESS_BYTES: usize = 20;
const HASH_BYTES: usize = 32;

/// Takes the fields of one decoded list in order, with checked types; `end()` refuses what is left over.
#[pyclass(module = "metanode._engine")]
pub(crate) struct RlpReader {
    items: Py<PyList>,
    name: Py<PyString>,
    next: usize,
}

#[pymethods]
impl RlpReader {
    #[new]
    fn new(item: &Bound<'_, PyAny>, name: Bound<'_, PyString>) -> PyResult<Self> {
        if let Ok(text) = item.cast::<PyBytes>() {
            let found = text.as_bytes().len();
            return Err(InvalidEncoding::new_err(format!(
                "{name}: expected a list, found a string of {found} bytes"
            )));
        }
        Ok(Self {
            items: item.cast::<PyList>()?.clone().unbind(),
            name: name.unbind(),
            next: 0,
        })
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        self.items.bind(py).len().saturating_sub(self.next)
    }

    /// Return the next item as it is.
    fn item<'py>(
        &mut self,
        py: Python<'py>,
        field: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let items = self.items.bind(py);
        if self.next >= items.len() {
            let found = items.len();
            return Err(self.refuse(
                py,
                field,
                format_args!("missing, the list has {found} items"),
            ));
        }
        let item = items.get_item(self.next)?;
        self.next += 1;
        Ok(item)
    }

    /// Return the next item as a string of exactly `length` or at most `length_max` bytes.
    #[pyo3(signature = (field, *, length = None, length_max = None))]
    fn bytes<'py>(
        &mut self,
        py: Python<'py>,
        field: &Bound<'py, PyString>,
        length: Option<usize>,
        length_max: Option<usize>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let text = self.text(py, field)?;
        let found = text.as_bytes().len();
        if let Some(length) = length
            && found != length
        {
            return Err(self.refuse(
                py,
                field,
                format_args!("expected {length} bytes, found {found}"),
            ));
        }
        if let Some(length_max) = length_max
            && found > length_max
        {
            return Err(self.refuse(
                py,
                field,
                format_args!("expected at most {length_max} bytes, found {found}"),
            ));
        }
        Ok(text)
    }

    /// Return the next item as a hash.
    fn hash32<'py>(
        &mut self,
        py: Python<'py>,
        field: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, field, Some(HASH_BYTES), None)
    }

    /// Return the next item as an address.
    fn address<'py>(
        &mut self,
        py: Python<'py>,
        field: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, field, Some(ADDRESS_BYTES), None)
    }

    /// Return the next item as a number of at most `bits`.
    #[pyo3(signature = (field, *, bits = 64))]
    fn integer<'py>(
        &mut self,
        py: Python<'py>,
        field: &Bound<'py, PyString>,
        bits: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        let text = self.text(py, field)?;
        number(py, text.as_bytes(), bits, || {
            format!("{}.{field}", self.name.bind(py))
        })
    }

    /// Return the next item as a list of at most `length_max` items.
    #[pyo3(signature = (field, *, length_max))]
    fn list<'py>(
        &mut self,
        py: Python<'py>,
        field: &Bound<'py, PyString>,
        length_max: usize,
    ) -> PyResult<Bound<'py, PyList>> {
        let item = self.item(py, field)?;
        if let Ok(text) = item.cast::<PyBytes>() {
            let found = text.as_bytes().len();
            return Err(self.refuse(
                py,
                field,
                format_args!("expected a list, found a string of {found} bytes"),
            ));
        }
        let list = item.cast_into::<PyList>()?;
        if list.len() > length_max {
            let found = list.len();
            return Err(self.refuse(
                py,
                field,
                format_args!("expected at most {length_max} items, found {found}"),
            ));
        }
        Ok(list)
    }

    /// Return a reader of the next item, a list.
    fn reader(&mut self, py: Python<'_>, field: &Bound<'_, PyString>) -> PyResult<Self> {
        let item = self.item(py, field)?;
        let name = format!("{}.{field}", self.name.bind(py));
        Self::new(&item, PyString::new(py, &name))
    }

    /// Refuse items that nobody asked for.
    fn end(&self, py: Python<'_>) -> PyResult<()> {
        let found = self.items.bind(py).len();
        if self.next == found {
            return Ok(());
        }
        let (name, expected) = (self.name.bind(py), self.next);
        Err(InvalidEncoding::new_err(format!(
            "{name}: expected {expected} items, found {found}"
        )))
    }
}

impl RlpReader {
    fn text<'py>(
        &mut self,
        py: Python<'py>,
        field: &Bound<'py, PyString>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let item = self.item(py, field)?;
        if let Ok(list) = item.cast::<PyList>() {
            let found = list.len();
            return Err(self.refuse(
                py,
                field,
                format_args!("expected a string, found a list of {found}"),
            ));
        }
        Ok(item.cast_into::<PyBytes>()?)
    }

    fn refuse(
        &self,
        py: Python<'_>,
        field: &Bound<'_, PyString>,
        reason: std::fmt::Arguments<'_>,
    ) -> PyErr {
        InvalidEncoding::new_err(format!("{}.{field}: {reason}", self.name.bind(py)))
    }
}
