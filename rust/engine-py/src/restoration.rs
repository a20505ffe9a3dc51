//! The class `Restoration`: an engine's data made from a snapshot.

use std::path::PathBuf;

use engine::EngineError;
use parking_lot::Mutex;
use pyo3::prelude::*;

use crate::{
    convert::{ByteList, byte_list},
    engine::Head,
    errors::to_exception,
};

/// Data that is being made. After `finish`, or an error of it, or `close`, other calls raise Cancelled.
#[pyclass(frozen, module = "metanode._engine")]
pub(crate) struct Restoration {
    open: Mutex<Option<engine::Restoration>>,
}

impl Restoration {
    fn run<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut engine::Restoration) -> engine::Result<T> + Send,
    ) -> PyResult<T> {
        py.detach(|| {
            let mut open = self.open.lock();
            work(open.as_mut().ok_or(EngineError::Cancelled)?)
        })
        .map_err(|error| to_exception(&error))
    }
}

#[pymethods]
impl Restoration {
    /// Begin in an empty directory; `path` None works in memory.
    #[staticmethod]
    #[pyo3(signature = (genesis, *, path=None, cache_bytes=67_108_864))]
    fn begin(
        py: Python<'_>,
        genesis: &[u8],
        path: Option<PathBuf>,
        cache_bytes: u64,
    ) -> PyResult<Self> {
        let begun = py.detach(|| engine::Restoration::begin(genesis, path, cache_bytes));
        let begun = begun.map_err(|error| to_exception(&error))?;
        Ok(Self {
            open: Mutex::new(Some(begun)),
        })
    }

    /// Add the next entries of the state.
    fn add(&self, py: Python<'_>, entries: &[u8]) -> PyResult<()> {
        self.run(py, |restoration| restoration.add(entries))
    }

    /// Check that state, block, receipts and the headers before it belong together, and make them a chain that an engine opens.
    fn finish(
        &self,
        py: Python<'_>,
        block_rlp: &[u8],
        requests: ByteList<'_>,
        receipts_rlp: &[u8],
        ancestors: ByteList<'_>,
    ) -> PyResult<Head> {
        let (requests, ancestors) = (byte_list(&requests), byte_list(&ancestors));
        py.detach(|| {
            let open = self.open.lock().take().ok_or(EngineError::Cancelled)?;
            open.finish(block_rlp, &requests, receipts_rlp, &ancestors)
        })
        .map(Head::from)
        .map_err(|error| to_exception(&error))
    }

    /// Let go of the files. Closing again does nothing.
    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(self.open.lock().take()));
    }
}
