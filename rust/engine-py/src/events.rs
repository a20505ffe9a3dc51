//! News of the engine for a thread that waits for them.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded, select};
use engine::{EngineEvent, Subscription};
use parking_lot::Mutex;
use pyo3::{exceptions::PyValueError, prelude::*, types::PyBytes};

use crate::engine::Head;

/// Events that one call of `wait` returns at most.
const EVENTS_PER_WAIT_MAX: usize = 256;

/// Transactions of this node's own callers that peers should hear of.
#[pyclass(frozen, module = "metanode._engine")]
pub(crate) struct Transactions {
    #[pyo3(get)]
    count: usize,
    list: alloy_primitives::Bytes,
}

#[pymethods]
impl Transactions {
    /// One RLP list of EIP-2718 byte strings.
    #[getter]
    fn transactions_rlp<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.list)
    }
}

enum News {
    Head(engine::store::Head),
    Transactions {
        count: usize,
        list: alloy_primitives::Bytes,
    },
}

/// A subscription. One thread waits on it; `close` from any other ends the wait.
#[pyclass(frozen, module = "metanode._engine")]
pub(crate) struct Events {
    /// Not owned: a subscription must not keep a closed engine's data locked.
    pool: Weak<engine::pool::TransactionPool>,
    subscription: Subscription,
    gossip_bytes_max: usize,
    /// Dropped to wake the waiting thread.
    open: Mutex<Option<Sender<()>>>,
    closed: Receiver<()>,
}

impl Events {
    pub(crate) fn new(engine: &engine::Engine, gossip_bytes_max: usize) -> Self {
        let (open, closed) = bounded(0);
        Self {
            subscription: engine.subscribe(),
            pool: Arc::downgrade(engine.pool()),
            gossip_bytes_max,
            open: Mutex::new(Some(open)),
            closed,
        }
    }

    fn collect(&self, timeout: Duration) -> Vec<News> {
        let mut news = Vec::new();
        let mut has_transactions = false;
        let deadline = Instant::now() + timeout;
        select! {
            recv(self.subscription) -> event => self.note(event.ok(), &mut news, &mut has_transactions),
            recv(self.closed) -> _ => return news,
            default(deadline.saturating_duration_since(Instant::now())) => return news,
        }
        while news.len() < EVENTS_PER_WAIT_MAX {
            let Ok(event) = self.subscription.try_recv() else {
                break;
            };
            self.note(Some(event), &mut news, &mut has_transactions);
        }
        if has_transactions && let Some(pool) = self.pool.upgrade() {
            let batches = std::iter::from_fn(|| pool.take_gossip(self.gossip_bytes_max));
            news.extend(batches.map(|batch| News::Transactions {
                count: batch.count,
                list: batch.list,
            }));
        }
        news
    }

    fn note(&self, event: Option<EngineEvent>, news: &mut Vec<News>, has_transactions: &mut bool) {
        match event {
            Some(EngineEvent::NewHead(stored)) => {
                let header = &stored.block.header;
                news.push(News::Head(engine::store::Head {
                    number: header.number,
                    hash: stored.block.hash,
                    state_root: header.state_root,
                    timestamp: header.timestamp,
                }));
                // With a head the pool forwards old transactions once more.
                *has_transactions = true;
            }
            Some(EngineEvent::PendingTransactions(_)) => *has_transactions = true,
            // The engine is gone: nothing will come any more.
            None => self.close(),
        }
    }
}

#[pymethods]
impl Events {
    /// What happened, at the latest after `timeout_s` seconds, when the list may be empty.
    fn wait(&self, py: Python<'_>, timeout_s: f64) -> PyResult<Vec<Py<PyAny>>> {
        let timeout = Duration::try_from_secs_f64(timeout_s)
            .map_err(|error| PyValueError::new_err(format!("timeout_s: {error}")))?;
        let news = py.detach(|| self.collect(timeout));
        let to_object = |item| match item {
            News::Head(head) => Ok(Py::new(py, Head::from(head))?.into_any()),
            News::Transactions { count, list } => {
                Ok(Py::new(py, Transactions { count, list })?.into_any())
            }
        };
        news.into_iter().map(to_object).collect()
    }

    /// End the subscription; a waiting thread returns at once.
    fn close(&self) {
        self.open.lock().take();
    }

    #[getter]
    fn closed(&self) -> bool {
        self.open.lock().is_none()
    }
}
