//! The JSON-RPC server as a Python object.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use alloy_primitives::B256;
use parking_lot::Mutex;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use rpc::{Event, Head, Methods, NoMethods, Pending, Receipt, RpcError, Server, StartError};
use serde_json::value::RawValue;

use crate::declarations::{Declared, declarations};
use crate::engine::Engine;
use crate::outside::{ToPython, Unanswered, ask_python};
use crate::server_config::Settings;
use crate::serving::{EngineMethods, Feed};

/// A running JSON-RPC server. Answers from the engine without the GIL; other methods go to a callback.
#[pyclass(frozen, module = "metanode._engine")]
pub(crate) struct RpcServer {
    /// `None` once stopped: then nothing here keeps the engine open.
    server: Mutex<Option<Arc<Server>>>,
    addresses: Vec<(String, u16)>,
    unanswered: Arc<Unanswered>,
    feed: Mutex<Option<Feed>>,
    asking: Mutex<Option<thread::JoinHandle<()>>>,
}

#[pymethods]
impl RpcServer {
    /// Listens and serves. `callback(id, listener, peer, method, params)` is called for `methods`, each (name, signature,
    /// summary), and must not block; one that the engine has too goes to the callback.
    #[staticmethod]
    #[pyo3(signature = (config, engine, methods, callback))]
    fn start(
        py: Python<'_>,
        config: &[u8],
        engine: Option<&Engine>,
        methods: Vec<Declared>,
        callback: Py<PyAny>,
    ) -> PyResult<Self> {
        let config = Settings::decode(config).map_err(to_python)?;
        let engine = engine.map(Engine::opened).transpose()?;
        let (unanswered, questions) = Unanswered::new(declarations(methods));
        let answering: Arc<dyn Methods> = match &engine {
            Some(engine) => Arc::new(EngineMethods(Arc::clone(&engine.api))),
            None => Arc::new(NoMethods),
        };
        let outside = Arc::new(ToPython(Arc::clone(&unanswered)));
        let server = py
            .detach(|| Server::start(config, answering, outside))
            .map(Arc::new)
            .map_err(to_python)?;
        let feed = match &engine {
            Some(engine) => Some(Feed::start(
                &engine.engine,
                Arc::clone(&engine.api),
                Arc::clone(&server),
            )?),
            None => None,
        };
        let table = Arc::clone(&unanswered);
        let asking = thread::Builder::new()
            .name("rpc-python".to_owned())
            .spawn(move || ask_python(&questions, &callback, &table))?;
        let address = |address: &SocketAddr| (address.ip().to_string(), address.port());
        Ok(Self {
            addresses: server.addresses().iter().map(address).collect(),
            server: Mutex::new(Some(server)),
            unanswered,
            feed: Mutex::new(feed),
            asking: Mutex::new(Some(asking)),
        })
    }

    /// Where it listens, in the order of the configuration: (address, port).
    fn addresses(&self) -> Vec<(String, u16)> {
        self.addresses.clone()
    }

    /// Answers a request with a result. False when nobody waits for it any more.
    fn respond(&self, request_id: u64, result: Vec<u8>) -> PyResult<bool> {
        let result = json("result", result)?;
        Ok(self.unanswered.answer(request_id, Ok(result)))
    }

    /// Answers a request with an error object. False when nobody waits for it any more.
    #[pyo3(signature = (request_id, code, message, data = None))]
    fn fail(
        &self,
        request_id: u64,
        code: i32,
        message: String,
        data: Option<Vec<u8>>,
    ) -> PyResult<bool> {
        let data = data.map(|data| json("data", data)).transpose()?;
        Ok(self.unanswered.answer(
            request_id,
            Err(RpcError {
                code,
                message,
                data,
            }),
        ))
    }

    /// Tells subscribers and filters of a block. For execution clients outside this process.
    fn publish_head(
        &self,
        number: u64,
        hash: &[u8],
        header: Vec<u8>,
        logs: &[u8],
        receipts: Vec<Vec<u8>>,
    ) -> PyResult<()> {
        let logs = serde_json::from_slice(logs)
            .map_err(|error| PyValueError::new_err(format!("logs: {error}")))?;
        let receipts = receipts
            .into_iter()
            .map(|one| {
                Receipt::read(json("receipt", one)?).ok_or_else(|| {
                    PyValueError::new_err("receipt: expected an object with transactionHash")
                })
            })
            .collect::<PyResult<Vec<_>>>()?;
        let head = Head {
            number,
            hash: to_hash(hash)?,
            header: json("header", header)?,
            logs,
            receipts,
        };
        self.publish(Event::Head(Arc::new(head)));
        Ok(())
    }

    /// Tells subscribers and filters of new executable transactions. For execution clients outside this process.
    fn publish_pending(&self, hashes: Vec<Vec<u8>>, full: Vec<Vec<u8>>) -> PyResult<()> {
        let hashes = hashes
            .iter()
            .map(|hash| to_hash(hash))
            .collect::<PyResult<Vec<B256>>>()?;
        let full = full
            .into_iter()
            .map(|one| json("transaction", one))
            .collect::<PyResult<Vec<_>>>()?;
        let pending = Pending {
            hashes,
            full: Box::new(move || full.clone()),
        };
        self.publish(Event::Pending(Arc::new(pending)));
        Ok(())
    }

    /// Sets the answer of net_peerCount.
    fn set_peer_count(&self, peers: u64) {
        self.with(|server| server.set_peer_count(peers));
    }

    /// Sets the answer of net_listening.
    fn set_listening(&self, listening: bool) {
        self.with(|server| server.set_listening(listening));
    }

    /// While set, heavy calls are refused as "busy".
    fn set_shedding(&self, shedding: bool) {
        self.with(|server| server.set_shedding(shedding));
    }

    /// The counters as JSON.
    fn statistics(&self, py: Python<'_>) -> PyResult<Vec<u8>> {
        let encode = |server: &Server| serde_json::to_vec(&server.statistics());
        match py.detach(|| self.with(encode)) {
            Some(json) => json.map_err(|error| PyRuntimeError::new_err(error.to_string())),
            None => Err(PyRuntimeError::new_err("the RPC server has stopped")),
        }
    }

    /// Stops listening, lets open requests end within three seconds, closes everything.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| self.shut_down());
    }
}

impl RpcServer {
    /// Does something with a server that has not stopped.
    fn with<T>(&self, action: impl FnOnce(&Server) -> T) -> Option<T> {
        let server = self.server.lock().clone();
        server.as_deref().map(action)
    }

    fn publish(&self, event: Event) {
        self.with(|server| server.publish(event));
    }

    /// To be called without the GIL: the thread that asks Python may need it to end.
    fn shut_down(&self) {
        if let Some(server) = self.server.lock().take() {
            server.stop();
        }
        self.feed.lock().take();
        self.unanswered.close();
        if let Some(asking) = self.asking.lock().take() {
            // It has nothing to tell; a panic in it was printed.
            let _ = asking.join();
        }
    }
}

impl Drop for RpcServer {
    fn drop(&mut self) {
        // Only an interpreter that is ending is not there any more; then the threads end with the process.
        Python::try_attach(|py| py.detach(|| self.shut_down()));
    }
}

pub(crate) fn to_python(error: StartError) -> PyErr {
    match error {
        StartError::Configuration(_) => PyValueError::new_err(error.to_string()),
        StartError::Listen { .. } | StartError::Threads(_) => PyOSError::new_err(error.to_string()),
    }
}

fn json(name: &str, bytes: Vec<u8>) -> PyResult<Box<RawValue>> {
    let text = String::from_utf8(bytes)
        .map_err(|error| PyValueError::new_err(format!("{name}: {error}")))?;
    RawValue::from_string(text).map_err(|error| PyValueError::new_err(format!("{name}: {error}")))
}

fn to_hash(bytes: &[u8]) -> PyResult<B256> {
    B256::try_from(bytes).map_err(|_| {
        PyValueError::new_err(format!("hash: expected 32 bytes, found {}", bytes.len()))
    })
}
