//! The two sides that answer requests: the engine in this process, and handlers outside the server.

use std::net::IpAddr;
use std::sync::Arc;

use openrpc::Declaration;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::budget::Permit;
use crate::config::ListenerKind;
use crate::error::RpcError;
use crate::response::{Made, Room};

/// The result of one call: JSON as it goes into the response, or an error object.
pub type Answer = Result<Box<RawValue>, RpcError>;

/// Who waits for the answer of a heavy call, as those who work on it see it.
pub trait Waiting: Send + Sync {
    /// Whether nobody waits any more: the caller has gone, or was told that it took too long.
    fn is_abandoned(&self) -> bool;

    /// Whether the work may hold so many bytes in all, until it is done. What all calls hold has a bound; who is told no
    /// gives up, or goes on with what it has.
    fn may_hold(&self, bytes: usize) -> bool;
}

/// Where a method runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Microseconds: answered on the thread that read the request.
    Read,
    /// As `Read`, but as `Heavy` where the parameters name the block `pending`, which has to be run first.
    ReadUnlessPending,
    /// Adds to a queue of the engine: calls of all connections are gathered and handed over together.
    Write,
    /// May take milliseconds to seconds: runs on a bounded pool, and is refused while the node sheds load.
    Heavy,
}

impl Cost {
    /// What it is for these parameters: never `ReadUnlessPending`.
    pub(crate) fn with(self, params: Option<&RawValue>) -> Self {
        match self {
            Self::ReadUnlessPending if params.is_some_and(may_be_pending) => Self::Heavy,
            Self::ReadUnlessPending => Self::Read,
            other => other,
        }
    }
}

/// Whether a block in the parameters can be `pending`. JSON can hide a word behind escapes; who needs none writes none.
fn may_be_pending(params: &RawValue) -> bool {
    params.get().contains("pending") || params.get().contains('\\')
}

/// Stateless methods answered in this process without Python, such as the engine's `eth_` API.
pub trait Methods: Send + Sync + 'static {
    /// Every method this side answers.
    fn declarations(&self) -> Vec<Declaration>;

    /// Where `method`, one of those declared, runs.
    fn cost(&self, method: &str) -> Cost;

    /// Number of the newest block that `call` shows. Who subscribes or makes a filter now is told of later ones only,
    /// although news of this one may still be on its way.
    fn head(&self) -> u64;

    /// Answers one call.
    fn call(&self, method: &str, params: Option<&RawValue>) -> Answer;

    /// As `call`, for a call on the heavy lane: its work may stop as soon as nobody is waiting.
    fn call_unless(
        &self,
        method: &str,
        params: Option<&RawValue>,
        waiting: Arc<dyn Waiting>,
    ) -> Answer {
        drop(waiting);
        self.call(method, params)
    }

    /// Answers gathered calls of one `Cost::Write` method, in order.
    fn call_many(&self, method: &str, params: &[Option<Box<RawValue>>]) -> Vec<Answer> {
        params
            .iter()
            .map(|one| self.call(method, one.as_deref()))
            .collect()
    }
}

/// Methods whose handlers live outside the server, behind a bounded queue.
pub trait Outside: Send + Sync + 'static {
    /// Every method this side answers; one that others have too is answered here.
    fn declarations(&self) -> Vec<Declaration>;

    /// Takes a request without waiting; gives it back when the queue is full.
    fn forward(&self, request: Forwarded) -> Result<(), Forwarded>;
}

/// A request on its way to an outside handler.
#[derive(Debug)]
pub struct Forwarded {
    /// The method's name, one of `Outside::declarations`.
    pub method: String,
    /// The parameters as they were sent.
    pub params: Option<Box<RawValue>>,
    /// The kind of listener it came through.
    pub listener: ListenerKind,
    /// The address of the connection, or of the user behind a trusted proxy.
    pub peer: IpAddr,
    /// Whether the limits of one address hold for it: not for loopback and trusted proxies.
    pub is_limited: bool,
    /// Where the answer goes. Dropping it answers "internal error".
    pub reply: Reply,
}

/// The way back to a waiting caller.
#[derive(Debug)]
pub struct Reply {
    pub(crate) made: oneshot::Sender<Made>,
    /// Where the answer finds room.
    pub(crate) room: Arc<Room>,
    /// That of the request, whose parameters are with who answers it.
    pub(crate) place: Option<Arc<Permit>>,
}

impl Reply {
    /// Hands the answer over; nobody may be waiting any more.
    pub fn send(self, answer: Answer) {
        drop(self.place);
        let _ = self.made.send(Made::new(answer, &self.room));
    }

    /// Refuses a call that is over a rate, named as callers read it.
    pub(crate) fn send_too_early(self, rate: &str, retry_after_s: u64) {
        drop(self.place);
        let _ = self.made.send(Made::too_early(rate, retry_after_s));
    }

    /// Waits until the caller has gone or given up.
    pub async fn abandoned(&mut self) {
        self.made.closed().await;
    }

    /// Whether the caller has gone or given up.
    pub fn is_abandoned(&self) -> bool {
        self.made.is_closed()
    }
}

/// No methods: for a node whose execution client is external.
#[derive(Debug, Default)]
pub struct NoMethods;

impl Methods for NoMethods {
    fn declarations(&self) -> Vec<Declaration> {
        Vec::new()
    }

    fn cost(&self, _: &str) -> Cost {
        Cost::Read
    }

    /// What an external client shows is not known here: whatever is published counts as new.
    fn head(&self) -> u64 {
        0
    }

    fn call(&self, method: &str, _: Option<&RawValue>) -> Answer {
        Err(RpcError::method_not_found(method))
    }
}

/// No handlers outside the server.
#[derive(Debug, Default)]
pub struct NoOutside;

impl Outside for NoOutside {
    fn declarations(&self) -> Vec<Declaration> {
        Vec::new()
    }

    fn forward(&self, request: Forwarded) -> Result<(), Forwarded> {
        Err(request)
    }
}
