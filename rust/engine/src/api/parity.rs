//! `trace_`: what transactions and calls did, in the forms of Parity that explorers and indexers read.
//!
//! Forms and gas are those of revm-inspectors, which reth answers with. There are no block rewards to trace.

use alloy_consensus::{TxEnvelope, transaction::SignerRecoverable as _};
use alloy_eips::Decodable2718 as _;
use alloy_evm::FromRecoveredTx as _;
use alloy_primitives::{Address, B256, Bytes, map::HashSet};
use alloy_rpc_types_eth::TransactionInfo;
use alloy_rpc_types_trace::{
    filter::{TraceFilter, TraceFilterMatcher, TraceFilterMode},
    parity::{LocalizedTransactionTrace, TraceResults, TraceResultsWithTransactionHash, TraceType},
};
use revm::{
    Inspector,
    context::TxEnv,
    context_interface::{ContextTr, context::ContextError, result::ExecutionResult},
    interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter},
    state::EvmState,
};
use revm_inspectors::tracing::{
    ParityTraceBuilder, TraceLimitBehavior, TraceLimits, TracingInspector, TracingInspectorConfig,
};
use serde::{Deserialize, Serialize};

use super::{
    Answer, Api, Caller, Holding, RpcError,
    block_id::{BlockId, BlockNumber},
    call::{Allowance, CallRequest, Session, transaction_env},
    debug::failed,
    null,
    params::{AddressField, Argument, Params, Quantity, object},
};
use crate::{
    Block,
    store::StoredBlock,
    tracing::{NO_ROOM, TOO_LARGE},
};

/// What an opcode of a `vmTrace` weighs at least as JSON: so many fit into an answer.
const STEP_BYTES: usize = 100;
/// What an opcode and a call of a trace take of the machine's memory, as they are recorded and as they are given.
const STEP_MEMORY_BYTES: usize = 500;
const FRAME_MEMORY_BYTES: usize = 1_500;
/// Indices of one trace_get.
const TRACE_ADDRESS_MAX: usize = 1_024;

/// Which of the three forms are wanted.
struct TraceTypes(HashSet<TraceType>);

impl Argument for TraceTypes {
    fn read(json: &str) -> Result<Self, String> {
        let names = Vec::<String>::read(json)?;
        let types = names.iter().map(|name| match name.as_str() {
            "trace" => Ok(TraceType::Trace),
            "vmTrace" => Ok(TraceType::VmTrace),
            "stateDiff" => Ok(TraceType::StateDiff),
            other => {
                let shown: String = other.chars().take(40).collect();
                Err(format!(
                    "trace type {shown:?} is not known: there are trace, vmTrace and stateDiff"
                ))
            }
        });
        types.collect::<Result<_, String>>().map(Self)
    }
}

/// A call of trace_callMany with the forms that are wanted of it.
struct TypedCall {
    request: CallRequest,
    types: HashSet<TraceType>,
}

impl Argument for TypedCall {
    fn read(json: &str) -> Result<Self, String> {
        let pair: Vec<&serde_json::value::RawValue> =
            serde_json::from_str(json).map_err(|error| super::params::plain(&error))?;
        let [call, types] = pair[..] else {
            return Err("expected a call and its trace types".to_owned());
        };
        Ok(Self {
            request: CallRequest::read(call.get())?,
            types: TraceTypes::read(types.get())?.0,
        })
    }
}

/// Which traces trace_filter wants.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Filter {
    from_block: Option<String>,
    to_block: Option<String>,
    from_address: Option<Vec<AddressField>>,
    to_address: Option<Vec<AddressField>>,
    mode: Option<TraceFilterMode>,
    after: Option<usize>,
    count: Option<usize>,
}

impl Argument for Filter {
    fn read(json: &str) -> Result<Self, String> {
        object(json, "an object of criteria")
    }
}

impl Filter {
    fn matcher(&self) -> TraceFilterMatcher {
        let addresses = |list: &Option<Vec<AddressField>>| -> Vec<Address> {
            list.iter().flatten().map(|address| address.0).collect()
        };
        TraceFilter::default()
            .from_address(addresses(&self.from_address))
            .to_address(addresses(&self.to_address))
            .mode(self.mode.unwrap_or_default())
            .matcher()
    }
}

impl Api {
    pub(super) fn parity_block(&self, params: &Params<'_>) -> Answer {
        let id = params.required::<BlockId>(0)?;
        refuse_pending(id)?;
        let Some(stored) = self.find_block(id)? else {
            return null();
        };
        let mut tracing = self.parity_tracing(params);
        params.caller().json(&tracing.block(self, &stored)?)
    }

    pub(super) fn parity_transaction(&self, params: &Params<'_>) -> Answer {
        let hash = params.required::<B256>(0)?;
        match self.parity_traces_of(hash, params)? {
            Some(traces) => params.caller().json(&traces),
            None => null(),
        }
    }

    pub(super) fn parity_get(&self, params: &Params<'_>) -> Answer {
        let hash = params.required::<B256>(0)?;
        let address = params.required::<Vec<Quantity>>(1)?;
        if address.len() > TRACE_ADDRESS_MAX {
            return Err(RpcError::invalid_params(format!(
                "invalid argument 1: at most {TRACE_ADDRESS_MAX} indices"
            )));
        }
        let Some(traces) = self.parity_traces_of(hash, params)? else {
            return null();
        };
        let found = traces.into_iter().find(|trace| {
            let at = trace.trace.trace_address.iter();
            at.map(|index| *index as u64)
                .eq(address.iter().map(|index| index.0))
        });
        super::json_or_null(found)
    }

    fn parity_traces_of(
        &self,
        hash: B256,
        params: &Params<'_>,
    ) -> Result<Option<Vec<LocalizedTransactionTrace>>, RpcError> {
        let Some((stored, index)) = self.find_transaction(hash)? else {
            return Ok(None);
        };
        let mut tracing = self.parity_tracing(params);
        let mut session = self.session_before(&stored.block, index, &tracing.allowance)?;
        session.allow(&tracing.allowance);
        let (traces, _) = tracing.localized(&mut session, &stored.block, index)?;
        Ok(Some(traces))
    }

    pub(super) fn parity_filter(&self, params: &Params<'_>) -> Answer {
        let filter = params.required::<Filter>(0)?;
        let head = self.engine.store().head().number;
        let number = |text: &Option<String>, default: u64| -> Result<u64, RpcError> {
            let Some(text) = text else {
                return Ok(default);
            };
            let id = BlockNumber::read(text).map_err(|error| {
                RpcError::invalid_params(format!("invalid argument 0: block: {error}"))
            })?;
            refuse_pending(BlockId::Number(id))?;
            Ok(match id {
                BlockNumber::Number(number) => number,
                BlockNumber::Earliest => 0,
                BlockNumber::Latest | BlockNumber::Pending => head,
            })
        };
        let (from, to) = (
            number(&filter.from_block, 0)?,
            number(&filter.to_block, head)?,
        );
        // Of a block that is not there yet nothing is known: no traces of it would read like a block without any. The start is looked
        // at first, since a range without an end ends with the head.
        if from > head || to > head {
            return Err(RpcError::beyond_head(head));
        }
        if from > to {
            return Err(RpcError::invalid_params("invalid block range"));
        }
        let max = self.limits.trace_filter_blocks_max;
        if to - from >= max {
            return Err(RpcError::limit_exceeded(format!(
                "blocks {from} to {to} are too many to trace, at most {max}"
            )));
        }
        let matcher = filter.matcher();
        let mut tracing = self.parity_tracing(params);
        let (mut left_out, mut found) = (filter.after.unwrap_or(0), Vec::new());
        let wanted = filter.count.unwrap_or(usize::MAX);
        for number in from..=to {
            if found.len() >= wanted {
                break;
            }
            self.check_kept(number)?;
            let Some(stored) = self.engine.store().block(number)? else {
                continue;
            };
            for trace in tracing.block(self, &stored)? {
                if !matcher.matches(&trace.trace) {
                    continue;
                }
                if left_out > 0 {
                    left_out -= 1;
                } else if found.len() < wanted {
                    found.push(trace);
                }
            }
        }
        params.caller().json(&found)
    }

    pub(super) fn parity_call(&self, params: &Params<'_>) -> Answer {
        let request = params.required::<CallRequest>(0)?;
        let TraceTypes(types) = params.required(1)?;
        let id = params.optional::<BlockId>(2)?.unwrap_or_default();
        refuse_pending(id)?;
        let mut tracing = self.parity_tracing(params);
        let mut session = self.session_at(id)?;
        session.allow(&tracing.allowance);
        let transaction = session.transaction(&request, session.gas_max)?;
        let (results, _) = tracing.results(&mut session, transaction, &types)?;
        params.caller().json(&results)
    }

    /// Each call runs on the state that the one before it has left.
    pub(super) fn parity_call_many(&self, params: &Params<'_>) -> Answer {
        let calls = params.required::<Vec<TypedCall>>(0)?;
        let max = self.limits.trace_calls_max;
        if calls.len() > max {
            return Err(RpcError::limit_exceeded(format!(
                "too many calls: {}, at most {max}",
                calls.len()
            )));
        }
        let id = params.optional::<BlockId>(1)?.unwrap_or_default();
        refuse_pending(id)?;
        let mut tracing = self.parity_tracing(params);
        let mut session = self.session_at(id)?;
        let mut all = Vec::with_capacity(calls.len());
        for TypedCall { request, types } in calls {
            session.allow(&tracing.allowance);
            let transaction = session.transaction(&request, session.gas_max)?;
            let (results, state) = tracing.results(&mut session, transaction, &types)?;
            session.commit(state);
            all.push(results);
        }
        params.caller().json(&all)
    }

    /// A signed transaction as if it came next; it is sent to nobody.
    pub(super) fn parity_raw_transaction(&self, params: &Params<'_>) -> Answer {
        let raw = params.required::<Bytes>(0)?;
        let TraceTypes(types) = params.required(1)?;
        let id = params.optional::<BlockId>(2)?.unwrap_or_default();
        refuse_pending(id)?;
        let transaction = TxEnvelope::decode_2718_exact(&raw)
            .map_err(|error| RpcError::server(format!("transaction could not be read: {error}")))?;
        let sender = transaction
            .recover_signer()
            .map_err(|_| RpcError::server("invalid transaction signature"))?;
        let mut tracing = self.parity_tracing(params);
        let mut session = self.session_at(id)?;
        session.allow(&tracing.allowance);
        let transaction = TxEnv::from_recovered_tx(&transaction, sender);
        let (results, _) = tracing.results(&mut session, transaction, &types)?;
        params.caller().json(&results)
    }

    pub(super) fn parity_replay_transaction(&self, params: &Params<'_>) -> Answer {
        let hash = params.required::<B256>(0)?;
        let TraceTypes(types) = params.required(1)?;
        let Some((stored, index)) = self.find_transaction(hash)? else {
            return Err(RpcError::server("transaction not found"));
        };
        let mut tracing = self.parity_tracing(params);
        let mut session = self.session_before(&stored.block, index, &tracing.allowance)?;
        session.allow(&tracing.allowance);
        let transaction = transaction_env(&stored.block, index);
        let (results, _) = tracing.results(&mut session, transaction, &types)?;
        params.caller().json(&results)
    }

    pub(super) fn parity_replay_block_transactions(&self, params: &Params<'_>) -> Answer {
        let id = params.required::<BlockId>(0)?;
        let TraceTypes(types) = params.required(1)?;
        refuse_pending(id)?;
        let Some(stored) = self.find_block(id)? else {
            return null();
        };
        let block = &stored.block;
        let mut all = Vec::with_capacity(block.transactions.len());
        if !block.transactions.is_empty() {
            let mut tracing = self.parity_tracing(params);
            let mut session = self.session_of(block, &tracing.allowance)?;
            for (index, transaction) in block.transactions.iter().enumerate() {
                session.allow(&tracing.allowance);
                let env = transaction_env(block, index);
                let (full_trace, state) = tracing.results(&mut session, env, &types)?;
                session.commit(state);
                all.push(TraceResultsWithTransactionHash {
                    full_trace,
                    transaction_hash: *transaction.hash(),
                });
            }
        }
        params.caller().json(&all)
    }

    fn parity_tracing(&self, params: &Params<'_>) -> ParityTracing {
        ParityTracing {
            allowance: self.allowance(self.limits.trace_timeout, params),
            bytes_left: self.limits.trace_bytes_max,
            bytes_taken: 0,
        }
    }
}

/// Traces of one request, which share its time and its bytes.
struct ParityTracing {
    allowance: Allowance,
    bytes_left: usize,
    bytes_taken: usize,
}

impl ParityTracing {
    /// All traces of a block. Nothing was run in the genesis block.
    fn block(
        &mut self,
        api: &Api,
        stored: &StoredBlock,
    ) -> Result<Vec<LocalizedTransactionTrace>, RpcError> {
        let block = &stored.block;
        let mut traces = Vec::new();
        if block.transactions.is_empty() {
            return Ok(traces);
        }
        let mut session = api.session_of(block, &self.allowance)?;
        for index in 0..block.transactions.len() {
            session.allow(&self.allowance);
            let (found, state) = self.localized(&mut session, block, index)?;
            session.commit(state);
            traces.extend(found);
        }
        Ok(traces)
    }

    /// The calls of transaction `index` of a block; the session stands before it.
    fn localized(
        &mut self,
        session: &mut Session,
        block: &Block,
        index: usize,
    ) -> Result<(Vec<LocalizedTransactionTrace>, EvmState), RpcError> {
        let config = TracingInspectorConfig::default_parity();
        let (builder, _, state) = self.run(session, transaction_env(block, index), config)?;
        let info = TransactionInfo {
            hash: Some(*block.transactions[index].hash()),
            index: Some(index as u64),
            block_hash: Some(block.hash),
            block_number: Some(block.header.number),
            ..TransactionInfo::default()
        };
        let traces = builder.into_localized_transaction_traces(info);
        self.take(&traces)?;
        Ok((traces, state))
    }

    fn results(
        &mut self,
        session: &mut Session,
        transaction: TxEnv,
        types: &HashSet<TraceType>,
    ) -> Result<(TraceResults, EvmState), RpcError> {
        let config = TracingInspectorConfig::from_parity_config(types);
        let (builder, result, state) = self.run(session, transaction, config)?;
        let results =
            builder.into_trace_results_with_state_parts(&result, &state, types, &session.state)?;
        self.take(&results)?;
        Ok((results, state))
    }

    fn run(
        &self,
        session: &mut Session,
        transaction: TxEnv,
        config: TracingInspectorConfig,
    ) -> Result<(ParityTraceBuilder, ExecutionResult, EvmState), RpcError> {
        let steps_max = (self.bytes_left / STEP_BYTES).max(1);
        let limits = TraceLimits::default();
        let limits = limits
            .set_max_recorded_bytes(Some(self.bytes_left))
            .set_behavior(TraceLimitBehavior::Halt);
        let inspector = TracingInspector::new(config).with_limits(limits);
        let bound = StepBound {
            caller: session.caller().clone(),
            held: 2 * self.bytes_taken,
            steps_left: steps_max,
            records_steps: config.record_steps,
        };
        let (done, (inspector, _)) = session
            .trace(transaction, (inspector, bound))
            .map_err(failed)?;
        let builder = inspector
            .into_parity_builder()
            .with_transaction_gas_used(done.result.tx_gas_used());
        Ok((builder, done.result, done.state))
    }

    /// Count a part of the answer.
    fn take<T: Serialize>(&mut self, part: &T) -> Result<(), RpcError> {
        let mut counter = Counter(0);
        serde_json::to_writer(&mut counter, part)
            .map_err(|error| RpcError::internal(error.to_string()))?;
        match self.bytes_left.checked_sub(counter.0) {
            Some(left) => self.bytes_left = left,
            None => return Err(RpcError::too_large()),
        }
        self.bytes_taken += counter.0;
        Ok(())
    }
}

/// Ends a run with more opcodes than an answer holds, or with more of them and of calls than there is memory for: the recorder
/// bounds bytes alone.
struct StepBound {
    steps_left: usize,
    caller: Caller,
    /// What the traces of the call hold by now.
    held: usize,
    records_steps: bool,
}

impl StepBound {
    /// Count what is recorded next; the error is why it cannot be.
    fn record(&mut self, bytes: usize) -> Result<(), &'static str> {
        self.held += bytes;
        if self.caller.may_hold(Holding::Trace, self.held) {
            Ok(())
        } else {
            Err(NO_ROOM)
        }
    }
}

/// Ends all frames; a failed frame would let its callers go on.
fn end(context: &mut impl ContextTr, why: &str) {
    let error = context.error();
    if error.is_ok() {
        *error = Err(ContextError::Custom(why.to_owned()));
    }
}

impl<CTX: ContextTr> Inspector<CTX> for StepBound {
    fn step(&mut self, interp: &mut Interpreter, context: &mut CTX) {
        if !self.records_steps {
            return;
        }
        let recorded = match self.steps_left.checked_sub(1) {
            Some(left) => {
                self.steps_left = left;
                self.record(STEP_MEMORY_BYTES)
            }
            None => Err(TOO_LARGE),
        };
        if let Err(why) = recorded {
            end(context, why);
            interp.halt_fatal();
        }
    }

    fn call(&mut self, context: &mut CTX, _: &mut CallInputs) -> Option<CallOutcome> {
        if let Err(why) = self.record(FRAME_MEMORY_BYTES) {
            end(context, why);
        }
        None
    }

    fn create(&mut self, context: &mut CTX, _: &mut CreateInputs) -> Option<CreateOutcome> {
        if let Err(why) = self.record(FRAME_MEMORY_BYTES) {
            end(context, why);
        }
        None
    }
}

/// Counts bytes and keeps none.
struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn refuse_pending(id: BlockId) -> Result<(), RpcError> {
    if id == BlockId::Number(BlockNumber::Pending) {
        return Err(RpcError::server(
            "tracing on top of pending is not supported",
        ));
    }
    Ok(())
}
