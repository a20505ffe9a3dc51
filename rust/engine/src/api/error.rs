//! The error object of an answer: codes and texts as geth gives them, because client libraries match on both.

use serde_json::Value;

use super::Caller;
use crate::EngineError;

/// A JSON-RPC error: what the caller did wrong, or that we could not answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct RpcError {
    pub code: i32,
    pub message: String,
    pub data: Option<Value>,
}

/// The block, state or pool answers "no"; also geth's code for errors without one of their own.
pub(crate) const SERVER_ERROR: i32 = -32000;
const REQUEST_TIMED_OUT: i32 = -32002;
const LIMIT_EXCEEDED: i32 = -32005;
/// As the server answers a result of too many bytes.
const TOO_LARGE: i32 = -32003;
/// execution-apis' code for what is more than a client answers at once.
const CLIENT_LIMIT: i32 = -38026;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const INTERNAL: i32 = -32603;
const EXECUTION_REVERTED: i32 = 3;
/// go-ethereum's code for blocks that a node does not keep.
const PRUNED_HISTORY: i32 = 4444;

impl RpcError {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    pub fn method_not_found(method: &str) -> Self {
        // A method name of a megabyte must not come back as a megabyte.
        let shown: String = method.chars().take(200).collect();
        Self::new(
            METHOD_NOT_FOUND,
            format!("the method {shown} does not exist/is not available"),
        )
    }

    pub fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, message)
    }

    /// A request that is well formed and cannot be served: unknown block, transaction refused, call that failed.
    pub fn server(message: impl Into<String>) -> Self {
        Self::new(SERVER_ERROR, message)
    }

    /// A range of blocks that are not all there yet.
    pub(super) fn beyond_head(head: u64) -> Self {
        Self::invalid_params(format!(
            "block range extends beyond current head block {head}"
        ))
    }

    pub fn limit_exceeded(message: impl Into<String>) -> Self {
        Self::new(LIMIT_EXCEEDED, message)
    }

    /// More than a client answers at once, where execution-apis has a code for it.
    pub(super) fn client_limit(message: impl Into<String>) -> Self {
        Self::new(CLIENT_LIMIT, message)
    }

    pub fn timed_out(message: impl Into<String>) -> Self {
        Self::new(REQUEST_TIMED_OUT, message)
    }

    pub fn too_large() -> Self {
        Self::new(TOO_LARGE, "response too large")
    }

    /// What a call does or is answered takes more memory than is left for calls.
    pub fn no_room() -> Self {
        Self::new(
            LIMIT_EXCEEDED,
            "the call needs more memory than is free for calls now: try again later, or ask for less at once",
        )
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(INTERNAL, message)
    }

    /// A block before the snapshot that this node began from.
    pub fn pruned_history(number: u64, first: u64) -> Self {
        Self::new(
            PRUNED_HISTORY,
            format!(
                "pruned history unavailable: block {number}; this node began from a snapshot, its first block is {first}"
            ),
        )
    }

    /// A call that reverted: code 3 with the bytes in `data`, from which libraries decode custom errors. The error is that there is no
    /// room for it.
    pub(super) fn reverted(output: &[u8], caller: &Caller) -> Result<Self, Self> {
        let message = super::revert_reason::decode(output).map_or_else(
            || "execution reverted".to_owned(),
            |reason| format!("execution reverted: {reason}"),
        );
        let data = caller.data_text(output, message.len())?;
        Ok(Self {
            code: EXECUTION_REVERTED,
            message,
            data: Some(Value::String(data)),
        })
    }
}

impl From<EngineError> for RpcError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::NotFound(_)
            | EngineError::Pruned { .. }
            | EngineError::InvalidBlock { .. } => Self::server(error.to_string()),
            EngineError::InvalidInput(message) => Self::invalid_params(message),
            EngineError::LimitExceeded(message) => Self::limit_exceeded(message),
            EngineError::Cancelled => Self::timed_out("request timed out"),
            // The detail can name files of this machine: it belongs into the log, not into an answer.
            EngineError::Storage(_) | EngineError::Corruption(_) => {
                Self::internal("internal error: the node's storage failed")
            }
        }
    }
}
