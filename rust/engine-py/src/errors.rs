//! The one mapping from the engine's errors to exceptions.

use engine::{EngineError as Error, pool::PoolError};
use pyo3::{create_exception, exceptions::PyException, prelude::*};

create_exception!(
    _engine,
    EngineError,
    PyException,
    "Anything the engine refuses or fails to do."
);
create_exception!(
    _engine,
    NotFound,
    EngineError,
    "The engine does not have what was asked for."
);
create_exception!(
    _engine,
    PrunedState,
    EngineError,
    "The state of that block is no longer kept."
);
create_exception!(
    _engine,
    InvalidBlock,
    EngineError,
    "A block breaks a rule; `code` names it, `detail` explains."
);
create_exception!(
    _engine,
    InvalidInput,
    EngineError,
    "An argument, a configuration or a genesis is wrong."
);
create_exception!(
    _engine,
    InvalidTransaction,
    EngineError,
    "The pool refuses a transaction."
);
create_exception!(
    _engine,
    LimitExceeded,
    EngineError,
    "A limit of the engine was reached."
);
create_exception!(_engine, Cancelled, EngineError, "The work was given up.");
create_exception!(
    _engine,
    StorageError,
    EngineError,
    "The disk, or something else of this node, failed."
);
create_exception!(
    _engine,
    Corruption,
    EngineError,
    "Stored data is damaged, or the engine stopped in the middle of a change."
);

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("EngineError", py.get_type::<EngineError>())?;
    module.add("NotFound", py.get_type::<NotFound>())?;
    module.add("PrunedState", py.get_type::<PrunedState>())?;
    module.add("InvalidBlock", py.get_type::<InvalidBlock>())?;
    module.add("InvalidInput", py.get_type::<InvalidInput>())?;
    module.add("InvalidTransaction", py.get_type::<InvalidTransaction>())?;
    module.add("LimitExceeded", py.get_type::<LimitExceeded>())?;
    module.add("Cancelled", py.get_type::<Cancelled>())?;
    module.add("StorageError", py.get_type::<StorageError>())?;
    module.add("Corruption", py.get_type::<Corruption>())
}

pub(crate) fn to_exception(error: &Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::NotFound(_) => NotFound::new_err(text),
        Error::Pruned { .. } => PrunedState::new_err(text),
        Error::InvalidBlock { code, detail } => invalid_block(code, detail),
        Error::InvalidInput(_) => InvalidInput::new_err(text),
        Error::LimitExceeded(_) => LimitExceeded::new_err(text),
        Error::Cancelled => Cancelled::new_err(text),
        Error::Storage(_) => StorageError::new_err(text),
        Error::Corruption(_) => Corruption::new_err(text),
    }
}

fn invalid_block(code: &str, detail: &str) -> PyErr {
    let error = InvalidBlock::new_err(format!("{code}: {detail}"));
    Python::attach(|py| {
        let value = error.value(py);
        // Setting an attribute of a fresh exception fails only when memory is gone; the text has both parts anyway.
        let _ = value.setattr("code", code);
        let _ = value.setattr("detail", detail);
    });
    error
}

pub(crate) fn refused(error: &PoolError) -> PyErr {
    match error {
        PoolError::State(error) => to_exception(error),
        other => InvalidTransaction::new_err(other.to_string()),
    }
}
