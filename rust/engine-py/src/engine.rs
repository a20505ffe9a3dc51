//! The class `Engine`: one chain with its state, pool and `eth_` API.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{B256, Bytes, U256};
use engine::{
    BuildAttributes, Durations, EngineConfig, EngineError,
    api::{Api, ApiLimits, SyncInfo},
    pool::{Origin, PoolConfig, PoolError},
};
use parking_lot::RwLock;
use pyo3::{
    IntoPyObjectExt,
    exceptions::PyValueError,
    prelude::*,
    types::{PyBytes, PyDict},
};
use serde_json::value::RawValue;

use crate::{
    convert::{ByteList, address, byte_list, hash, to_py_list},
    errors::{refused, to_exception},
    events::Events,
};

/// Error code of a transaction that the pool refuses, as geth gives it.
const SERVER_ERROR: i32 = -32_000;

/// The latest decided block.
#[pyclass(frozen, module = "metanode._engine")]
pub(crate) struct Head {
    #[pyo3(get)]
    number: u64,
    hash: B256,
    state_root: B256,
    #[pyo3(get)]
    timestamp: u64,
}

impl From<engine::store::Head> for Head {
    fn from(head: engine::store::Head) -> Self {
        Self {
            number: head.number,
            hash: head.hash,
            state_root: head.state_root,
            timestamp: head.timestamp,
        }
    }
}

#[pymethods]
impl Head {
    #[getter]
    fn hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.hash.as_slice())
    }

    #[getter]
    fn state_root<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.state_root.as_slice())
    }

    fn __repr__(&self) -> String {
        format!("Head(number={}, hash={})", self.number, self.hash)
    }
}

/// A block that was built.
#[pyclass(frozen, module = "metanode._engine")]
pub(crate) struct Built {
    hash: B256,
    rlp: Bytes,
    requests: Vec<Bytes>,
    #[pyo3(get)]
    transactions: usize,
    #[pyo3(get)]
    gas_used: u64,
}

#[pymethods]
impl Built {
    #[getter]
    fn hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.hash.as_slice())
    }

    #[getter]
    fn rlp<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.rlp)
    }

    #[getter]
    fn requests<'py>(&self, py: Python<'py>) -> ByteList<'py> {
        to_py_list(py, &self.requests)
    }
}

/// One chain. Safe to use from several threads; deciding is serial inside.
#[pyclass(frozen, module = "metanode._engine")]
pub(crate) struct Engine {
    /// Empty once closed, so that the data can be opened again although Python still holds this object.
    open: RwLock<Option<Opened>>,
    /// Set when a call panicked: what it left behind is not to be trusted until the process starts again.
    is_broken: AtomicBool,
}

/// The engine and its API.
#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) engine: Arc<engine::Engine>,
    pub(crate) api: Arc<Api>,
}

impl Engine {
    /// The engine, for those who keep it; fails once it is closed.
    pub(crate) fn opened(&self) -> PyResult<Opened> {
        if self.is_broken.load(Ordering::Acquire) {
            return Err(to_exception(&broken()));
        }
        let opened = self.open.read().clone();
        opened.ok_or_else(|| to_exception(&EngineError::Cancelled))
    }

    /// Run without the GIL.
    fn run<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&engine::Engine) -> engine::Result<T> + Send,
    ) -> PyResult<T> {
        let opened = self.opened()?;
        let result = py.detach(move || catch_unwind(AssertUnwindSafe(|| work(&opened.engine))));
        result
            .unwrap_or_else(|_| {
                self.is_broken.store(true, Ordering::Release);
                Err(broken())
            })
            .map_err(|error| to_exception(&error))
    }
}

fn broken() -> EngineError {
    EngineError::Corruption(
        "the engine stopped in the middle of a call; the process has to be started again".into(),
    )
}

#[pymethods]
impl Engine {
    /// Open the chain of a geth-format genesis; `path` None keeps everything in memory. `chain_import` is for chains of others
    /// that begin before the merge: their blocks are only imported, and their proof of work is not checked.
    #[staticmethod]
    #[pyo3(signature = (genesis, *, path=None, cache_bytes=None, threads=None, history_blocks=None,
                        sync_every_blocks=1, gas_ceiling=None, pool_pending_max=None, pool_queued_max=None,
                        pool_tip_min_wei=None, client_version="Metanode".to_owned(), chain_import=false))]
    #[expect(
        clippy::too_many_arguments,
        reason = "they are keywords for the caller"
    )]
    fn open(
        py: Python<'_>,
        genesis: &[u8],
        path: Option<PathBuf>,
        cache_bytes: Option<u64>,
        threads: Option<usize>,
        history_blocks: Option<u64>,
        sync_every_blocks: u32,
        gas_ceiling: Option<u64>,
        pool_pending_max: Option<usize>,
        pool_queued_max: Option<usize>,
        pool_tip_min_wei: Option<u128>,
        client_version: String,
        chain_import: bool,
    ) -> PyResult<Self> {
        let default = EngineConfig::default();
        let config = EngineConfig {
            path,
            cache_bytes: cache_bytes.unwrap_or(default.cache_bytes),
            threads: threads.unwrap_or(default.threads),
            history_blocks,
            sync_every_blocks,
            gas_ceiling: gas_ceiling.unwrap_or(default.gas_ceiling),
            chain_import,
            pool: PoolConfig {
                pending_max: pool_pending_max.unwrap_or(default.pool.pending_max),
                queued_max: pool_queued_max.unwrap_or(default.pool.queued_max),
                tip_min: pool_tip_min_wei.unwrap_or(default.pool.tip_min),
                ..default.pool
            },
        };
        let inner = py
            .detach(|| engine::Engine::open(genesis, config))
            .map_err(|error| to_exception(&error))?;
        let api = Arc::new(Api::new(
            inner.clone(),
            ApiLimits::default(),
            client_version,
        ));
        Ok(Self {
            open: RwLock::new(Some(Opened { engine: inner, api })),
            is_broken: AtomicBool::new(false),
        })
    }

    /// Write everything to disk and let go of it. Closing again does nothing; other calls then raise Cancelled.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let Some(opened) = self.open.write().take() else {
            return Ok(());
        };
        py.detach(move || opened.engine.close())
            .map_err(|error| to_exception(&error))
    }

    fn head(&self) -> PyResult<Head> {
        Ok(self.opened()?.engine.head().into())
    }

    #[getter]
    fn chain_id(&self) -> PyResult<u64> {
        Ok(self.opened()?.engine.spec().chain_id)
    }

    /// Build a block on `parent` from the pool's best transactions. `withdrawals` are (index, validator index,
    /// address, amount in gwei).
    #[pyo3(signature = (parent, *, timestamp, fee_recipient, prev_randao, withdrawals, parent_beacon_block_root,
                        gas_limit, extra_data, deadline_s))]
    #[expect(
        clippy::too_many_arguments,
        reason = "they are keywords for the caller"
    )]
    fn build(
        &self,
        py: Python<'_>,
        parent: &[u8],
        timestamp: u64,
        fee_recipient: &[u8],
        prev_randao: &[u8],
        withdrawals: Vec<(u64, u64, Bound<'_, PyBytes>, u64)>,
        parent_beacon_block_root: &[u8],
        gas_limit: u64,
        extra_data: &[u8],
        deadline_s: f64,
    ) -> PyResult<Built> {
        let parent = hash("parent", parent)?;
        let withdrawal =
            |(index, validator_index, to, amount): (u64, u64, Bound<'_, PyBytes>, u64)| {
                address("address of a withdrawal", to.as_bytes()).map(|address| Withdrawal {
                    index,
                    validator_index,
                    address,
                    amount,
                })
            };
        let attributes = BuildAttributes {
            timestamp,
            fee_recipient: address("fee_recipient", fee_recipient)?,
            prev_randao: hash("prev_randao", prev_randao)?,
            withdrawals: withdrawals
                .into_iter()
                .map(withdrawal)
                .collect::<PyResult<_>>()?,
            parent_beacon_block_root: hash("parent_beacon_block_root", parent_beacon_block_root)?,
            gas_limit,
            extra_data: Bytes::copy_from_slice(extra_data),
        };
        let time = Duration::try_from_secs_f64(deadline_s)
            .map_err(|error| PyValueError::new_err(format!("deadline_s: {error}")))?;
        self.run(py, |engine| {
            let executed = engine.build(parent, &attributes, Instant::now() + time)?;
            let block = &executed.block;
            Ok(Built {
                hash: block.hash,
                rlp: block.encode(),
                requests: block.requests.iter().cloned().collect(),
                transactions: block.transactions.len(),
                gas_used: block.header.gas_used,
            })
        })
    }

    /// Check every rule of a block and keep it. Raises InvalidBlock, or NotFound when its parent is not known. Without
    /// `requests` they are those that running the block gives.
    #[pyo3(signature = (rlp, requests))]
    fn validate(&self, py: Python<'_>, rlp: &[u8], requests: Option<ByteList<'_>>) -> PyResult<()> {
        let requests = requests.as_ref().map(byte_list);
        self.run(py, |engine| {
            match &requests {
                Some(requests) => engine.validate(rlp, requests),
                None => engine.validate_alone(rlp),
            }
            .map(drop)
        })
    }

    /// Make a kept block the head.
    fn finalize(&self, py: Python<'_>, block_hash: &[u8]) -> PyResult<Head> {
        let block_hash = hash("block_hash", block_hash)?;
        self.run(py, |engine| engine.finalize(block_hash))
            .map(Head::from)
    }

    /// Validate and finalize blocks in order; each is (RLP, requests).
    fn import_blocks(
        &self,
        py: Python<'_>,
        blocks: Vec<(Bound<'_, PyBytes>, ByteList<'_>)>,
    ) -> PyResult<Head> {
        let block = |(rlp, requests): &(Bound<'_, PyBytes>, ByteList<'_>)| {
            (Bytes::copy_from_slice(rlp.as_bytes()), byte_list(requests))
        };
        let blocks: Vec<_> = blocks.iter().map(block).collect();
        self.run(py, |engine| engine.import(&blocks))
            .map(Head::from)
    }

    /// Validate and finalize blocks in order, without their requests beside them, as files of chains have them.
    fn import_chain(&self, py: Python<'_>, blocks: ByteList<'_>) -> PyResult<Head> {
        let blocks = byte_list(&blocks);
        self.run(py, |engine| engine.import_alone(&blocks))
            .map(Head::from)
    }

    /// RLP and requests of a decided block; None if there is none.
    fn payload<'py>(
        &self,
        py: Python<'py>,
        number: u64,
    ) -> PyResult<Option<(Bound<'py, PyBytes>, ByteList<'py>)>> {
        let payload = self.run(py, |engine| engine.payload(number))?;
        Ok(payload.map(|(rlp, requests)| (PyBytes::new(py, &rlp), to_py_list(py, &requests))))
    }

    /// The RLP list of a decided block's receipts; None if there is none.
    fn receipts<'py>(&self, py: Python<'py>, number: u64) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let receipts = self.run(py, |engine| engine.receipts(number))?;
        Ok(receipts.map(|rlp| PyBytes::new(py, &rlp)))
    }

    /// The part of the head's state that follows `after`, of about `bytes_max` bytes, and what the next part follows; None
    /// after the last one. Empty `after` begins. Nothing may be decided meanwhile.
    fn state_chunk<'py>(
        &self,
        py: Python<'py>,
        after: &[u8],
        bytes_max: usize,
    ) -> PyResult<(Bound<'py, PyBytes>, Option<Bound<'py, PyBytes>>)> {
        let chunk = self.run(py, |engine| engine.state_chunk(after, bytes_max))?;
        let next = chunk.next.map(|next| PyBytes::new(py, &next));
        Ok((PyBytes::new(py, &chunk.entries), next))
    }

    /// Offer a transaction of this node's own. Returns its hash; raises InvalidTransaction.
    fn add_transaction<'py>(&self, py: Python<'py>, raw: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let raw = Bytes::copy_from_slice(raw);
        let added = self.run(py, |engine| Ok(engine.pool().add_one(raw, Origin::Local)))?;
        added
            .map(|hash| PyBytes::new(py, hash.as_slice()))
            .map_err(|error| refused(&error))
    }

    /// Offer transactions of peers; `relay` if others have to hear of them from us. One answer each, in order: the hash,
    /// or (code, reason).
    #[pyo3(signature = (raws, *, relay=false))]
    fn submit<'py>(
        &self,
        py: Python<'py>,
        raws: ByteList<'py>,
        relay: bool,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let raws = byte_list(&raws);
        let answers = self.run(py, |engine| Ok(engine.pool().add(&raws, origin(relay))))?;
        answers
            .into_iter()
            .map(|answer| admitted(py, answer))
            .collect()
    }

    /// The same for a peer's batch as one RLP list; how many were taken. Raises InvalidTransaction for a malformed list.
    #[pyo3(signature = (transactions_rlp, *, relay=false))]
    fn submit_batch(
        &self,
        py: Python<'_>,
        transactions_rlp: &[u8],
        relay: bool,
    ) -> PyResult<usize> {
        let answers = self.run(py, |engine| {
            Ok(engine.pool().add_gossip(transactions_rlp, origin(relay)))
        })?;
        let answers = answers.map_err(|error| refused(&error))?;
        Ok(answers.iter().filter(|answer| answer.is_ok()).count())
    }

    /// All executable transactions for a new peer, best first, as RLP lists of at most `bytes_max` bytes.
    fn pending_batches<'py>(&self, py: Python<'py>, bytes_max: usize) -> PyResult<ByteList<'py>> {
        let batches = self.run(py, |engine| Ok(engine.pool().pending_batches(bytes_max)))?;
        Ok(batches
            .iter()
            .map(|batch| PyBytes::new(py, &batch.list))
            .collect())
    }

    /// Answer a JSON-RPC method: the member `"result":…` or `"error":…` of the response, to be put into its envelope.
    fn rpc<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        params: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        let api = self.opened()?.api;
        let member = self.run(py, move |_| Ok(answer(&api, method, params)))?;
        Ok(PyBytes::new(py, member.as_bytes()))
    }

    /// Subscribe to decided blocks and to transactions for peers.
    #[pyo3(signature = (*, gossip_bytes_max=131_072))]
    fn subscribe(&self, gossip_bytes_max: usize) -> PyResult<Events> {
        Ok(Events::new(&self.opened()?.engine, gossip_bytes_max))
    }

    /// Go back to block `number`; later ones are forgotten. For an operator's recovery only.
    fn rewind(&self, py: Python<'_>, number: u64) -> PyResult<Head> {
        self.run(py, |engine| engine.rewind(number)).map(Head::from)
    }

    /// Answer `eth_syncing` with this progress from now on; `highest` None: with false.
    #[pyo3(signature = (starting, current, highest))]
    fn set_syncing(&self, starting: u64, current: u64, highest: Option<u64>) -> PyResult<()> {
        let progress = highest.map(|highest| SyncInfo {
            starting_block: U256::from(starting),
            current_block: U256::from(current),
            highest_block: U256::from(highest),
            ..SyncInfo::default()
        });
        self.opened()?.api.set_syncing(progress);
        Ok(())
    }

    /// Counts and sizes for metrics.
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (pool, store, undecided, work) = self.run(py, |engine| {
            Ok((
                engine.pool().statistics(),
                engine.store().stats(),
                engine.undecided(),
                engine.work(),
            ))
        })?;
        let figures = PyDict::new(py);
        figures.set_item("pool_pending", pool.pending)?;
        figures.set_item("pool_queued", pool.queued)?;
        figures.set_item("pool_senders", pool.senders)?;
        figures.set_item("pool_bytes", pool.bytes)?;
        figures.set_item("pool_pending_local", pool.pending_local)?;
        figures.set_item("pool_queued_local", pool.queued_local)?;
        let oldest_s = pool.oldest_pending.map(|age| age.as_secs_f64());
        figures.set_item("pool_oldest_pending_s", oldest_s)?;
        figures.set_item("pool_added_local", pool.added_local)?;
        figures.set_item("pool_added_remote", pool.added_remote)?;
        figures.set_item("pool_inclusion", durations(&pool.inclusion))?;
        figures.set_item("pool_refused", counts(py, &pool.refused)?)?;
        figures.set_item("pool_removed", counts(py, &pool.removed)?)?;
        let phases = PyDict::new(py);
        for (phase, taken) in &work.phases {
            phases.set_item(phase, durations(taken))?;
        }
        figures.set_item("phases", phases)?;
        figures.set_item("store_commit", durations(&work.store_commit))?;
        figures.set_item("gas_per_second", work.gas_per_second)?;
        figures.set_item("transactions", work.transactions)?;
        figures.set_item("undecided_blocks", undecided)?;
        figures.set_item("oldest_state", store.oldest_state)?;
        figures.set_item("disk_bytes", store.disk_bytes)?;
        figures.set_item("log_bytes", store.log_bytes)?;
        figures.set_item("buffered_blocks", store.buffered_blocks)?;
        figures.set_item("buffered_bytes", store.buffered_bytes)?;
        Ok(figures)
    }
}

/// Upper bounds in seconds, counts of the buckets (not cumulative, one more than bounds), and the sum in seconds.
fn durations(taken: &Durations) -> (Vec<f64>, Vec<u64>, f64) {
    let seconds = |us: u64| us as f64 / 1e6;
    let bounds = taken.bounds_us.iter().map(|bound| seconds(*bound));
    (
        bounds.collect(),
        taken.buckets.clone(),
        seconds(taken.total_us),
    )
}

fn counts<'py>(py: Python<'py>, by_reason: &[(&'static str, u64)]) -> PyResult<Bound<'py, PyDict>> {
    let counts = PyDict::new(py);
    for (reason, count) in by_reason {
        counts.set_item(reason, count)?;
    }
    Ok(counts)
}

fn origin(relay: bool) -> Origin {
    if relay {
        Origin::Relayed
    } else {
        Origin::Gossip
    }
}

fn admitted<'py>(py: Python<'py>, answer: Result<B256, PoolError>) -> PyResult<Bound<'py, PyAny>> {
    match answer {
        Ok(hash) => Ok(PyBytes::new(py, hash.as_slice()).into_any()),
        Err(PoolError::State(error)) => Err(to_exception(&error)),
        Err(error) => (SERVER_ERROR, error.to_string()).into_bound_py_any(py),
    }
}

fn answer(api: &Api, method: &str, params: &[u8]) -> String {
    let params = match serde_json::from_slice::<&RawValue>(params) {
        Ok(params) => params,
        Err(error) => return error_member(-32_700, &format!("parse error: {error}"), None),
    };
    match api.call(method, Some(params)) {
        Ok(result) => format!("\"result\":{}", result.get()),
        Err(error) => error_member(error.code, &error.message, error.data),
    }
}

fn error_member(code: i32, message: &str, data: Option<serde_json::Value>) -> String {
    let mut object = serde_json::json!({ "code": code, "message": message });
    if let Some(data) = data {
        object["data"] = data;
    }
    format!("\"error\":{object}")
}
