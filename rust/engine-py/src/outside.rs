//! The way of a request to a Python handler and of its answer back.
//!
//! Requests wait in a bounded table. One thread takes the GIL for as many of them as there are and calls the Python
//! callback, which has to return at once; the answer comes later, by its id, from any thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rpc::{Answer, Declaration, Forwarded, Outside, Reply};
use std::collections::HashMap;

/// Requests that wait for Python at once: each may be a task of the event loop, so not thousands.
const UNANSWERED_MAX: usize = 256;

/// A request as the callback gets it.
pub(crate) struct Question {
    id: u64,
    asked: Asked,
}

struct Asked {
    listener: &'static str,
    peer: String,
    method: String,
    params: Option<Box<serde_json::value::RawValue>>,
}

/// Requests that Python has not answered yet.
pub(crate) struct Unanswered {
    methods: Vec<Declaration>,
    replies: Mutex<HashMap<u64, Reply>>,
    next_id: AtomicU64,
    /// `None` once the server has stopped, which ends the thread that asks.
    questions: Mutex<Option<Sender<Question>>>,
}

impl Unanswered {
    pub(crate) fn new(methods: Vec<Declaration>) -> (Arc<Self>, Receiver<Question>) {
        let (questions, asked) = bounded(UNANSWERED_MAX);
        let table = Self {
            methods,
            replies: Mutex::default(),
            next_id: AtomicU64::new(0),
            questions: Mutex::new(Some(questions)),
        };
        (Arc::new(table), asked)
    }

    /// Takes no more requests, which ends the thread that asks.
    pub(crate) fn close(&self) {
        self.questions.lock().take();
        self.replies.lock().clear();
    }

    /// Hands an answer over; `false` when nobody waits for it any more.
    pub(crate) fn answer(&self, id: u64, answer: Answer) -> bool {
        let reply = self.replies.lock().remove(&id);
        reply.is_some_and(|reply| {
            let is_awaited = !reply.is_abandoned();
            reply.send(answer);
            is_awaited
        })
    }
}

/// The server's side of the table.
pub(crate) struct ToPython(pub(crate) Arc<Unanswered>);

impl Outside for ToPython {
    fn declarations(&self) -> Vec<Declaration> {
        self.0.methods.clone()
    }

    fn forward(&self, request: Forwarded) -> Result<(), Forwarded> {
        let table = &*self.0;
        let questions = table.questions.lock();
        let mut replies = table.replies.lock();
        if replies.len() >= UNANSWERED_MAX {
            // Callers that gave up leave a place, whether Python answers them or not.
            replies.retain(|_, reply| !reply.is_abandoned());
        }
        let Some(questions) = questions.as_ref().filter(|queue| !queue.is_full()) else {
            return Err(request);
        };
        if replies.len() >= UNANSWERED_MAX {
            return Err(request);
        }
        let id = table.next_id.fetch_add(1, Relaxed);
        let Forwarded {
            method,
            params,
            listener,
            peer,
            reply,
            ..
        } = request;
        let asked = Asked {
            listener: listener.name(),
            peer: peer.to_string(),
            method,
            params,
        };
        replies.insert(id, reply);
        // There is room, since all senders hold the lock; without a reader the reply goes, and the caller is told.
        if questions.try_send(Question { id, asked }).is_err() {
            replies.remove(&id);
        }
        Ok(())
    }
}

/// Passes requests to `callback` until the server is gone.
pub(crate) fn ask_python(questions: &Receiver<Question>, callback: &Py<PyAny>, table: &Unanswered) {
    while let Ok(first) = questions.recv() {
        // Without an interpreter there is nobody to ask.
        let asked = Python::try_attach(|py| {
            for question in std::iter::once(first).chain(questions.try_iter()) {
                let id = question.id;
                if ask(py, callback, question).is_err() {
                    table.answer(id, Err(rpc::RpcError::internal()));
                }
            }
        });
        if asked.is_none() {
            return;
        }
    }
}

fn ask(py: Python<'_>, callback: &Py<PyAny>, question: Question) -> PyResult<()> {
    let Asked {
        listener,
        peer,
        method,
        params,
    } = question.asked;
    let params = params.as_ref().map_or("[]", |params| params.get());
    let arguments = (
        question.id,
        listener,
        peer,
        method,
        PyBytes::new(py, params.as_bytes()),
    );
    callback.call1(py, arguments).map(drop)
}
