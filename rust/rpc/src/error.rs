//! What a caller is told when a request fails, and why the server could not start.

use std::net::SocketAddr;

use serde_json::value::{RawValue, to_raw_value};

/// The body was not JSON.
pub const PARSE_ERROR: i32 = -32700;
/// The body was JSON, but not a JSON-RPC request.
pub const INVALID_REQUEST: i32 = -32600;
/// Unknown here, or not available on this listener: the caller cannot tell which.
pub const METHOD_NOT_FOUND: i32 = -32601;
/// The parameters do not fit the method.
pub const INVALID_PARAMS: i32 = -32602;
/// A fault of ours.
pub const INTERNAL_ERROR: i32 = -32603;
/// The general server error of Ethereum clients.
pub const SERVER_ERROR: i32 = -32000;
/// The answer did not come in time (the code geth uses).
pub const TIMED_OUT: i32 = -32002;
/// Nobody is there who could answer; the code that EIP-1474 gives it, which is also that of a timeout.
pub const UNAVAILABLE: i32 = TIMED_OUT;
/// The answer is over the response limit (the code geth uses).
pub const RESPONSE_TOO_LARGE: i32 = -32003;
/// A limit of the server is reached, the request may be repeated later (EIP-1474).
pub const LIMIT_EXCEEDED: i32 = -32005;

/// Longest part of a caller's text that an error message repeats.
const ECHO_CHARS_MAX: usize = 100;

/// The data of an error that time heals.
#[derive(serde::Serialize)]
struct RetryAfter {
    #[serde(rename = "retryAfterSeconds")]
    seconds: u64,
}

/// A JSON-RPC error object.
#[derive(Debug, Clone)]
pub struct RpcError {
    /// JSON-RPC 2.0, EIP-1474 or EIP-838 code.
    pub code: i32,
    /// One sentence for people; libraries match some of these texts.
    pub message: String,
    /// JSON that explains more, such as the bytes of a revert.
    pub data: Option<Box<RawValue>>,
}

impl RpcError {
    /// An error without data.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// The answer to unknown and to forbidden methods alike, so that a scan learns nothing.
    pub fn method_not_found(method: &str) -> Self {
        let name = echo(method);
        Self::new(
            METHOD_NOT_FOUND,
            format!("the method {name} does not exist/is not available"),
        )
    }

    /// The parameters do not fit; `detail` says which and why.
    pub fn invalid_params(detail: impl Into<String>) -> Self {
        Self::new(INVALID_PARAMS, detail)
    }

    /// The server has as much work as it accepts.
    pub fn busy() -> Self {
        Self::new(LIMIT_EXCEEDED, "server is busy, try again later")
    }

    /// More was asked than a rate allows, and in how many seconds it may be tried again.
    pub(crate) fn too_early(rate: &str, retry_after_s: u64) -> Self {
        let data = RetryAfter {
            seconds: retry_after_s,
        };
        Self {
            data: to_raw_value(&data).ok(),
            ..Self::new(LIMIT_EXCEEDED, format!("{rate} exceeded"))
        }
    }

    /// A fault of ours; details stay in the node's log.
    pub fn internal() -> Self {
        Self::new(INTERNAL_ERROR, "internal error")
    }

    /// The answer did not come in time.
    pub fn timed_out() -> Self {
        Self::new(TIMED_OUT, "request timed out")
    }

    pub(crate) fn response_too_large() -> Self {
        Self::new(RESPONSE_TOO_LARGE, "response too large")
    }
}

/// A caller's text, cut to a length that cannot fill a log or a screen.
pub(crate) fn echo(text: &str) -> &str {
    match text.char_indices().nth(ECHO_CHARS_MAX) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// What a decoder says, without the megabytes that it may repeat of what it was given.
pub(crate) fn brief(error: &serde_json::Error) -> String {
    const BRIEF_CHARS_MAX: usize = 200;
    let mut text = error.to_string();
    if let Some((end, _)) = text.char_indices().nth(BRIEF_CHARS_MAX) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A value of the configuration that cannot be served.
    #[error("{0}")]
    Configuration(String),
    /// The operating system refused the address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Threads could not be started.
    #[error("cannot start the threads of the RPC server: {0}")]
    Threads(std::io::Error),
}
