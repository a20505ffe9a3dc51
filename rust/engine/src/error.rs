//! The one error of the crate. A storage fault is never an invalid block: the first halts a node, the second is a vote.

use revm::database_interface::DBErrorMarker;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    #[error("{0} not found")]
    NotFound(String),
    #[error("state of block {number} is pruned; the oldest kept is {oldest}")]
    Pruned { number: u64, oldest: u64 },
    /// `code` is stable and short; `detail` says what was found and what was expected.
    #[error("invalid block ({code}): {detail}")]
    InvalidBlock { code: &'static str, detail: String },
    #[error("{0}")]
    InvalidInput(String),
    #[error("{0}")]
    LimitExceeded(String),
    #[error("cancelled")]
    Cancelled,
    #[error("storage: {0}")]
    Storage(String),
    #[error("corruption: {0}")]
    Corruption(String),
}

impl DBErrorMarker for EngineError {}

pub type Result<T> = std::result::Result<T, EngineError>;
