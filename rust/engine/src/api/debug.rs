//! `debug_trace*`: what transactions and calls did, in geth's forms.
//!
//! The transactions of a block before the one that is asked for run again, on the state that the block began with.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_eips::eip7702::constants::{PER_AUTH_BASE_COST, PER_EMPTY_ACCOUNT_COST};
use alloy_primitives::{Address, B256, TxKind, U256};
use revm::{
    DatabaseRef,
    context::{TxEnv, either::Either},
    primitives::hardfork::SpecId,
    state::{AccountInfo, EvmState},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Answer, Api, RpcError,
    block_id::{BlockId, BlockNumber},
    call::{Allowance, CallRequest, CallState, Failure, Session, transaction_env},
    objects,
    overrides::{BlockOverrides, StateOverrides},
    params::{Argument, Params, Quantity, object},
};
use crate::{
    Block,
    store::StoredBlock,
    tracing::{Ended, StructLogOptions, TraceInspector, Traced, TracerKind, parse_duration},
};

/// The options of a trace, as callers write them. Unknown ones, and `reexec`, are ignored as geth ignores them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TraceOptions {
    enable_memory: Option<bool>,
    disable_stack: Option<bool>,
    disable_storage: Option<bool>,
    enable_return_data: Option<bool>,
    limit: Option<i64>,
    tracer: Option<String>,
    tracer_config: Option<Box<RawValue>>,
    timeout: Option<String>,
    state_overrides: Option<Box<RawValue>>,
    block_overrides: Option<Box<RawValue>>,
    tx_index: Option<String>,
}

impl Argument for TraceOptions {
    fn read(json: &str) -> Result<Self, String> {
        object(json, "an object of trace options")
    }
}

impl TraceOptions {
    fn kind(&self) -> Result<TracerKind, RpcError> {
        match &self.tracer {
            Some(name) => {
                TracerKind::named(name, self.tracer_config.as_deref()).map_err(RpcError::server)
            }
            None => Ok(TracerKind::StructLogs(StructLogOptions {
                memory: self.enable_memory.unwrap_or_default(),
                no_stack: self.disable_stack.unwrap_or_default(),
                no_storage: self.disable_storage.unwrap_or_default(),
                return_data: self.enable_return_data.unwrap_or_default(),
                limit_bytes: self.limit.unwrap_or_default(),
            })),
        }
    }

    fn timeout(&self, default: Duration) -> Result<Duration, RpcError> {
        match &self.timeout {
            Some(text) => parse_duration(text).map_err(RpcError::server),
            None => Ok(default),
        }
    }
}

/// What stands around the trace of one transaction of a block.
const NAME_BYTES: usize = r#"{"txHash":"","result":},"#.len() + 2 + 2 * B256::len_bytes();

/// One transaction of a traced block.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TransactionTrace {
    tx_hash: B256,
    result: Box<RawValue>,
}

impl Api {
    pub(super) fn trace_transaction(&self, params: &Params<'_>) -> Answer {
        let hash = params.required::<B256>(0)?;
        let options = params.optional::<TraceOptions>(1)?.unwrap_or_default();
        let Some((stored, index)) = self.find_transaction(hash)? else {
            return Err(RpcError::server("transaction not found"));
        };
        let (kind, allowance) = self.tracer(&options, params)?;
        let mut session = self.session_before(&stored.block, index, &allowance)?;
        session.allow(&allowance);
        let mut traces = Traces::new(kind, self.limits.trace_bytes_max);
        let (trace, _) = traces.of_block(&mut session, &stored, index)?;
        Ok(trace)
    }

    pub(super) fn trace_block_by_number(&self, params: &Params<'_>) -> Answer {
        let number = params.required::<BlockNumber>(0)?;
        if number == BlockNumber::Pending {
            return Err(pending());
        }
        self.trace_whole_block(BlockId::Number(number), params)
    }

    pub(super) fn trace_block_by_hash(&self, params: &Params<'_>) -> Answer {
        let hash = params.required::<B256>(0)?;
        self.trace_whole_block(BlockId::Hash(hash), params)
    }

    fn trace_whole_block(&self, id: BlockId, params: &Params<'_>) -> Answer {
        let options = params.optional::<TraceOptions>(1)?.unwrap_or_default();
        let stored = self.traceable_block(id)?;
        let (kind, allowance) = self.tracer(&options, params)?;
        let block = &stored.block;
        let mut session = self.session_of(block, &allowance)?;
        let mut traces = Traces::new(kind, self.limits.trace_bytes_max);
        let mut results = Vec::with_capacity(block.transactions.len());
        for index in 0..block.transactions.len() {
            session.allow(&allowance);
            let (result, state) = traces.of_block(&mut session, &stored, index)?;
            session.commit(state);
            results.push(TransactionTrace {
                tx_hash: *block.transactions[index].hash(),
                result,
            });
        }
        let bytes = traces.bytes_taken + results.len() * NAME_BYTES + 2;
        params.caller().json_of(&results, bytes)
    }

    pub(super) fn trace_call(&self, params: &Params<'_>) -> Answer {
        let request = params.required::<CallRequest>(0)?;
        let id = params.optional::<BlockId>(1)?.unwrap_or_default();
        let options = params.optional::<TraceOptions>(2)?.unwrap_or_default();
        if id == BlockId::Number(BlockNumber::Pending) {
            return Err(RpcError::server(
                "tracing on top of pending is not supported",
            ));
        }
        let stored = self.traceable_block(id)?;
        let (kind, allowance) = self.tracer(&options, params)?;
        let mut session = match &options.tx_index {
            Some(text) => {
                let index = field::<Quantity>("txIndex", &format!("{text:?}"))?.0;
                let count = stored.block.transactions.len();
                let index = usize::try_from(index).ok().filter(|index| *index < count);
                let Some(index) = index else {
                    return Err(RpcError::server(format!(
                        "transaction index {text} out of range for block {}",
                        stored.block.hash
                    )));
                };
                let mut session = self.session_before(&stored.block, index, &allowance)?;
                session.relax();
                session
            }
            None => self.session_at(BlockId::Hash(stored.block.hash))?,
        };
        if let Some(json) = &options.block_overrides {
            let overrides = field::<BlockOverrides>("blockOverrides", json.get())?;
            overrides.apply(&mut session.env.block_env)?;
        }
        if let Some(json) = &options.state_overrides {
            let overrides = field::<StateOverrides>("stateOverrides", json.get())?;
            overrides.check_size(self.limits.override_entries_max)?;
            overrides.apply(&mut session.state, &mut session.precompiles.map)?;
        }
        session.allow(&allowance);
        let transaction = session.transaction(&request, session.gas_max)?;
        let mut traces = Traces::new(kind, self.limits.trace_bytes_max);
        traces
            .of(&mut session, transaction, Traced::default())
            .map(|(trace, _)| trace)
    }

    /// The state and environment in which transaction `index` of a decided block ran.
    pub(super) fn session_before(
        &self,
        block: &Block,
        index: usize,
        allowance: &Allowance,
    ) -> Result<Session, RpcError> {
        let mut session = self.session_of(block, allowance)?;
        for earlier in 0..index {
            session
                .apply(transaction_env(block, earlier))
                .map_err(failed)?;
        }
        Ok(session)
    }

    /// A block as tracing wants it: known and not the genesis block, which no transaction made.
    pub(super) fn traceable_block(&self, id: BlockId) -> Result<Arc<StoredBlock>, RpcError> {
        match self.find_block(id)? {
            Some(stored) => Ok(stored),
            None => Err(RpcError::server(match id {
                BlockId::Hash(hash) => format!("block {hash} not found"),
                BlockId::Number(BlockNumber::Number(number)) => {
                    format!("block #{number} not found")
                }
                BlockId::Number(_) => "block not found".to_owned(),
            })),
        }
    }

    fn tracer(
        &self,
        options: &TraceOptions,
        params: &Params<'_>,
    ) -> Result<(TracerKind, Allowance), RpcError> {
        let timeout = options.timeout(self.limits.trace_timeout)?;
        Ok((options.kind()?, self.allowance(timeout, params)))
    }

    /// How long a request may take that wants `timeout` for each transaction.
    pub(super) fn allowance(&self, timeout: Duration, params: &Params<'_>) -> Allowance {
        let max = self.limits.trace_timeout_max;
        Allowance {
            timeout: timeout.min(max),
            end: Instant::now() + max,
            caller: params.caller().clone(),
        }
    }
}

/// Traces of one request, which share a bound of bytes.
struct Traces {
    kind: TracerKind,
    bytes_left: usize,
    bytes_taken: usize,
}

impl Traces {
    fn new(kind: TracerKind, bytes_max: usize) -> Self {
        Self {
            kind,
            bytes_left: bytes_max,
            bytes_taken: 0,
        }
    }

    /// The trace of transaction `index` and the accounts as it leaves them; the session stands before it.
    fn of_block(
        &mut self,
        session: &mut Session,
        stored: &StoredBlock,
        index: usize,
    ) -> Result<(Box<RawValue>, EvmState), RpcError> {
        let block = &stored.block;
        let place = Traced {
            block_hash: Some(block.hash),
            block_number: block.header.number,
            transaction_hash: Some(*block.transactions[index].hash()),
            transaction_index: index as u64,
            logs_before: objects::logs_before(stored, index),
            ..Traced::default()
        };
        self.of(session, transaction_env(block, index), place)
    }

    fn of(
        &mut self,
        session: &mut Session,
        transaction: TxEnv,
        place: Traced,
    ) -> Result<(Box<RawValue>, EvmState), RpcError> {
        let traced = describe(session, &transaction, place)?;
        let inspector =
            TraceInspector::new(self.kind.start(&traced), traced.refund, self.bytes_left)
                .held_by(session.caller(), self.bytes_taken);
        let (done, inspector) = session.trace(transaction, inspector).map_err(failed)?;
        let ended = Ended {
            gas_used: done.result.tx_gas_used(),
            state: &done.state,
        };
        let trace = inspector.into_tracer().finish(&ended, &session.state)?;
        match self.bytes_left.checked_sub(trace.get().len()) {
            Some(left) => self.bytes_left = left,
            None => return Err(RpcError::too_large()),
        }
        self.bytes_taken += trace.get().len();
        Ok((trace, done.state))
    }
}

/// What tracers know of a transaction before it runs.
fn describe(session: &Session, transaction: &TxEnv, place: Traced) -> Result<Traced, RpcError> {
    let spec = session.env.cfg_env.spec;
    let sender = transaction.caller;
    let nonce = account(&session.state, sender)?.nonce;
    let (to, is_create) = match transaction.kind {
        TxKind::Call(to) => (to, false),
        TxKind::Create => (sender.create(nonce), true),
    };
    let has_delegations = spec.is_enabled_in(SpecId::PRAGUE);
    let delegate = if has_delegations && !is_create {
        delegate(&session.state, to)?
    } else {
        None
    };
    let (authorities, refund) = authorities(session, transaction, nonce)?;
    Ok(Traced {
        sender,
        to,
        is_create,
        gas_limit: transaction.gas_limit,
        coinbase: session.env.block_env.beneficiary,
        has_delegations,
        keeps_destroyed: spec.is_enabled_in(SpecId::CANCUN),
        authorities,
        delegate,
        refund,
        ..place
    })
}

fn account(state: &CallState, address: Address) -> Result<AccountInfo, RpcError> {
    Ok(state.basic_ref(address)?.unwrap_or_default())
}

fn delegate(state: &CallState, address: Address) -> Result<Option<Address>, RpcError> {
    let info = account(state, address)?;
    let code = match info.code {
        Some(code) => code,
        None => state.code_by_hash_ref(info.code_hash)?,
    };
    Ok(code.eip7702_address())
}

/// Who signed authorizations, and the gas that those give back for accounts that exist already.
fn authorities(
    session: &Session,
    transaction: &TxEnv,
    sender_nonce: u64,
) -> Result<(Vec<Address>, u64), RpcError> {
    let chain_id = U256::from(session.env.cfg_env.chain_id);
    let mut signers = Vec::new();
    let mut nonces = BTreeMap::from([(transaction.caller, sender_nonce.saturating_add(1))]);
    let mut refund = 0;
    for authorization in &transaction.authorization_list {
        let (inner, signer) = match authorization {
            Either::Left(signed) => (signed.inner(), signed.recover_authority().ok()),
            Either::Right(recovered) => (&**recovered, recovered.authority()),
        };
        let Some(signer) = signer else { continue };
        signers.push(signer);
        if (!inner.chain_id.is_zero() && inner.chain_id != chain_id) || inner.nonce == u64::MAX {
            continue;
        }
        let info = account(&session.state, signer)?;
        let is_delegated = delegate(&session.state, signer)?.is_some();
        let touched = nonces.get(&signer).copied();
        if (!info.is_empty_code_hash() && !is_delegated)
            || touched.unwrap_or(info.nonce) != inner.nonce
        {
            continue;
        }
        if touched.is_some() || !info.is_empty() {
            refund += PER_EMPTY_ACCOUNT_COST - PER_AUTH_BASE_COST;
        }
        nonces.insert(signer, inner.nonce + 1);
    }
    Ok((signers, refund))
}

/// Read an argument that stands inside the options.
fn field<T: Argument>(name: &str, json: &str) -> Result<T, RpcError> {
    T::read(json)
        .map_err(|error| RpcError::invalid_params(format!("invalid argument 2: {name}: {error}")))
}

fn pending() -> RpcError {
    RpcError::server("tracing on top of pending is not supported")
}

/// The error of a trace in geth's words.
pub(super) fn failed(failure: Failure) -> RpcError {
    match failure {
        Failure::TimedOut(_) => RpcError::server("execution timeout"),
        other => other.into_error(|text| format!("tracing failed: {text}")),
    }
}
