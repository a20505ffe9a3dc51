//! The JSON-RPC methods that the engine answers: everything of `eth_` that needs the chain, `txpool_`, `debug_getRaw*`,
//! `debug_trace*`, `trace_`, `ots_` and the two of `web3_`. Subscriptions, filters and `net_` belong to the server;
//! namespaces of consensus to Python.
//!
//! One table a namespace names each method once, with its signature, its cost and its handler. A handler reads its
//! arguments strictly, looks at one consistent state and gives JSON; nothing here writes but `eth_sendRawTransaction`.
//! Names and fields follow execution-apis, error texts follow geth.

mod access_list;
mod block_id;
mod block_state;
mod blocks;
mod call;
mod caller;
mod chain;
mod debug;
mod error;
mod estimate;
mod fees;
mod forks;
mod limits;
mod log_json;
mod log_scan;
mod log_search;
mod logs;
mod methods;
mod objects;
mod otterscan;
mod overrides;
mod params;
mod parity;
mod pending;
mod precompiles;
mod proofs;
mod raw;
mod revert_reason;
mod simulate;
mod state;
mod submit;
mod testing;
mod transactions;
mod txpool;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use alloy_primitives::B256;
pub use alloy_rpc_types_eth::SyncInfo;
use alloy_rpc_types_eth::{Log, SyncStatus};
use openrpc::Declaration;
use parking_lot::RwLock;
use quick_cache::sync::Cache;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

pub(crate) use self::caller::Holding;
pub(crate) use self::revert_reason::decode as revert_text;
use self::{
    blocks::BlockKey, fees::TipOracle, methods::Method, params::Params, pending::PendingCache,
};
pub use self::{
    caller::{Caller, Waiting},
    error::RpcError,
    limits::ApiLimits,
};
use crate::{Engine, pool::PooledTransaction, store::StoredBlock};

/// What a handler gives: the `result` of the answer, or its `error`.
pub type Answer = Result<Box<RawValue>, RpcError>;

/// How long a method can take, for the server to choose where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Microseconds: a lookup or a cached answer; may run where the request was read.
    Read,
    /// As `Read`, but as `Heavy` where the block asked for is `pending`, which has to be run first.
    ReadUnlessPending,
    /// Adds to the pool: the calls of all connections are better gathered and given to [`Api::call_many`].
    Write,
    /// Runs code or scans blocks: needs a thread of its own and a bound on how many run.
    Heavy,
}

/// The engine's methods over one chain. Safe to share between threads.
#[derive(Debug)]
pub struct Api {
    engine: Arc<Engine>,
    limits: ApiLimits,
    client_version: String,
    syncing: RwLock<Box<RawValue>>,
    /// The JSON of recent blocks; bounded by bytes.
    block_json: Cache<BlockKey, Arc<RawValue>, blocks::ByLength>,
    tip_oracle: TipOracle,
    pending: PendingCache,
}

impl Api {
    pub fn new(engine: Arc<Engine>, limits: ApiLimits, client_version: String) -> Self {
        let block_json = blocks::cache(limits.block_cache_bytes);
        Self {
            engine,
            limits,
            client_version,
            syncing: RwLock::new(false_json()),
            block_json,
            tip_oracle: TipOracle::default(),
            pending: PendingCache::default(),
        }
    }

    /// Answer one request. `params` is the request's `params`, if it had one.
    pub fn call(&self, method: &str, params: Option<&RawValue>) -> Answer {
        self.call_unless(method, params, Caller::default())
    }

    /// As [`Api::call`], but what works for the answer is stopped when nobody waits for it any more, or when there is no more memory
    /// for it.
    pub fn call_unless(&self, method: &str, params: Option<&RawValue>, caller: Caller) -> Answer {
        let Some(Method {
            arguments_max,
            handler,
            ..
        }) = methods::find(method)
        else {
            return Err(RpcError::method_not_found(method));
        };
        let params = Params::parse(params, *arguments_max)?.of(caller);
        handler(self, &params)
    }

    /// Answer requests of one method in order. Transactions are checked in parallel and enter the pool together.
    pub fn call_many(&self, method: &str, params: &[Option<Box<RawValue>>]) -> Vec<Answer> {
        if method == methods::SUBMIT {
            return self.send_raw_transactions(params);
        }
        params
            .iter()
            .map(|params| self.call(method, params.as_deref()))
            .collect()
    }

    /// What all methods take and give, sorted by name.
    pub fn declarations() -> impl Iterator<Item = &'static Declaration> {
        methods::all().map(|method| &method.declaration)
    }

    /// The cost of a method; `None` for one that is not the engine's.
    pub fn cost(method: &str) -> Option<Cost> {
        methods::find(method).map(|method| method.cost)
    }

    /// Set what `eth_syncing` answers; `None` when the node follows the head.
    pub fn set_syncing(&self, progress: Option<SyncInfo>) {
        let status = progress.map_or(SyncStatus::None, |info| SyncStatus::Info(Box::new(info)));
        if let Ok(json) = to_raw_value(&status) {
            *self.syncing.write() = json;
        }
    }

    /// Number of the newest block that callers can read.
    pub fn head(&self) -> u64 {
        self.engine.store().head().number
    }

    /// The header as `eth_subscribe("newHeads")` gives it.
    pub fn header_json(&self, block: &StoredBlock) -> Answer {
        json(&objects::header(&block.block))
    }

    /// The block as `eth_getBlockByHash` gives it; `None` if it is unknown.
    pub fn block_json(&self, number: u64, full: bool) -> Result<Option<Arc<RawValue>>, RpcError> {
        self.block_json_of(number, full)
    }

    /// All logs of a block in order, for subscriptions and filters.
    pub fn logs(&self, block: &StoredBlock) -> Vec<Log> {
        objects::logs(block).collect()
    }

    /// The receipts of a block's transactions, each as `eth_getTransactionReceipt` gives it, with the transaction's hash.
    pub fn receipts_json(
        &self,
        block: &StoredBlock,
    ) -> Result<Vec<(B256, Box<RawValue>)>, RpcError> {
        let receipts = self.receipts(block).into_iter();
        receipts
            .map(|receipt| Ok((receipt.transaction_hash, json(&receipt)?)))
            .collect()
    }

    /// A transaction of the pool as `eth_getTransactionByHash` gives it.
    pub fn pending_transaction_json(&self, transaction: &PooledTransaction) -> Answer {
        json(&objects::pending_transaction(transaction))
    }
}

/// Write a value as JSON.
fn json<T: Serialize + ?Sized>(value: &T) -> Answer {
    to_raw_value(value).map_err(|error| RpcError::internal(error.to_string()))
}

/// The answer for what does not exist.
fn null() -> Answer {
    Ok(RawValue::NULL.to_owned())
}

fn false_json() -> Box<RawValue> {
    RawValue::FALSE.to_owned()
}

/// Write a value, or `null` for what does not exist.
fn json_or_null<T: Serialize>(value: Option<T>) -> Answer {
    value.map_or_else(null, |value| json(&value))
}
