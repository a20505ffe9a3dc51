//! Running code for a request: `eth_call`, and what estimates and access lists share with it.
//!
//! A [`Session`] is one block's state and environment with the request's overrides applied; it runs a call any number
//! of times, each from the same state, under one deadline.

mod failure;
mod footprint;
mod replay;
mod request;
mod watch;

use std::time::Instant;

use alloy_consensus::constants::EIP4844_TX_TYPE_ID;
use alloy_evm::EvmEnv;
use alloy_primitives::{Address, Bytes};
use revm::{
    Context, Database as _, ExecuteEvm, InspectEvm, Inspector, Journal,
    context::{BlockEnv, CfgEnv, Evm, FrameStack, TxEnv, result::EVMError},
    context_interface::result::{ExecutionResult, HaltReason, ResultAndState},
    database::CacheDB,
    handler::EthFrame,
    primitives::hardfork::SpecId,
};

use self::watch::WatchedInstructions;
pub(super) use self::{
    failure::{Attempted, Failure, Sizes, halt_text},
    footprint::{give_own_pages, run_bytes},
    replay::{Allowance, transaction_env},
    request::CallRequest,
    watch::Watch,
};
use super::{
    Answer, Api, Caller, RpcError,
    block_id::BlockId,
    block_state::BlockState,
    overrides::{BlockOverrides, StateOverrides},
    params::Params,
    precompiles::Movable,
};
use crate::{
    EngineError,
    instructions::{self, Rules},
    tracing::{NO_ROOM, TOO_LARGE},
};

/// How an inspector of revm-inspectors ends a run whose trace is too large.
const RECORDED_TOO_MUCH: &str = "trace recorded byte limit exceeded";

/// The state a call sees: one block's, under the request's overrides.
pub(super) type CallState = CacheDB<BlockState>;
pub(super) type CallContext =
    Context<BlockEnv, TxEnv, CfgEnv, CallState, Journal<CallState>, Watch>;
type CallEvm<I> = Evm<CallContext, I, WatchedInstructions, Movable, EthFrame>;

impl Api {
    pub(super) fn eth_call(&self, params: &Params<'_>) -> Answer {
        let request = params.required::<CallRequest>(0)?;
        let mut session = self.session(params)?;
        let transaction = session.transaction(&request, session.gas_max)?;
        let gas = transaction.gas_limit;
        let result = session.run(transaction).map_err(|failure| {
            failure.into_error(|text| format!("err: {text} (supplied gas {gas})"))
        })?;
        params.caller().data_json(&output(result, &session)?)
    }

    /// The state and environment that the arguments after the call name: block, state overrides, block overrides.
    pub(super) fn session(&self, params: &Params<'_>) -> Result<Session, RpcError> {
        let id = params.optional::<BlockId>(1)?.unwrap_or_default();
        let state_overrides = params.optional::<StateOverrides>(2)?;
        let block_overrides = params.optional::<BlockOverrides>(3)?;
        let mut session = self.session_at(id)?;
        session.caller = params.caller().clone();
        if let Some(overrides) = block_overrides {
            overrides.apply(&mut session.env.block_env)?;
        }
        if let Some(overrides) = state_overrides {
            overrides.check_size(self.limits.override_entries_max)?;
            overrides.apply(&mut session.state, &mut session.precompiles.map)?;
        }
        Ok(session)
    }

    pub(super) fn session_at(&self, id: BlockId) -> Result<Session, RpcError> {
        let state = self.state(id)?;
        let header = state.header(self.engine.store())?;
        let mut env = self.engine.evm_env(&header.0);
        relax(&mut env);
        Ok(Session {
            precompiles: Movable::of(env.cfg_env.spec),
            state: CacheDB::new(state),
            env,
            rules: Rules::at(self.engine.spec(), header.0.number),
            gas_max: self.engine.config().gas_ceiling,
            deadline: Instant::now() + self.limits.call_timeout,
            timeout: self.limits.call_timeout,
            caller: Caller::default(),
            sizes: Sizes::default(),
        })
    }
}

/// A call is no transaction: its sender needs no nonce, may be a contract, and the block's and the transaction's gas
/// caps do not bind it.
fn relax(env: &mut EvmEnv) {
    env.cfg_env.disable_nonce_check = true;
    env.cfg_env.disable_eip3607 = true;
    env.cfg_env.disable_block_gas_limit = true;
    env.cfg_env.tx_gas_limit_cap = Some(u64::MAX);
}

/// Whether a call is of the type for blobs, or has some. One of that type without any is refused for that, and not for its price.
pub(super) fn is_for_blobs(transaction: &TxEnv) -> bool {
    transaction.tx_type == EIP4844_TX_TYPE_ID || !transaction.blob_hashes.is_empty()
}

/// Output of a successful call; a revert or a halt is the error that the caller gets.
fn output(result: ExecutionResult, session: &Session) -> Result<Bytes, RpcError> {
    match result {
        ExecutionResult::Success { output, .. } => Ok(output.into_data()),
        ExecutionResult::Revert { output, .. } => {
            Err(RpcError::reverted(&output, &session.caller)?)
        }
        ExecutionResult::Halt { reason, .. } => Err(RpcError::server(session.halt_text(&reason))),
    }
}

/// One block's state and environment, for any number of runs from the same state.
pub(super) struct Session {
    pub(super) env: EvmEnv,
    pub(super) state: CallState,
    pub(super) precompiles: Movable,
    pub(super) gas_max: u64,
    rules: Rules,
    deadline: Instant,
    timeout: std::time::Duration,
    /// Who waits for it.
    caller: Caller,
    /// Of the last run.
    sizes: Sizes,
}

impl Session {
    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Why the last run ended that ended so.
    pub(super) fn halt_text(&self, reason: &HaltReason) -> String {
        halt_text(reason, self.sizes)
    }

    /// Let calls run where transactions ran.
    pub(super) fn relax(&mut self) {
        relax(&mut self.env);
    }

    /// The request as a transaction with at most `gas_max` gas.
    pub(super) fn transaction(
        &self,
        request: &CallRequest,
        gas_max: u64,
    ) -> Result<TxEnv, RpcError> {
        request.to_transaction(gas_max, self.env.cfg_env.chain_id)
    }

    pub(super) fn balance(&mut self, address: Address) -> Result<alloy_primitives::U256, RpcError> {
        let account = self.state.basic(address)?;
        Ok(account.map_or_else(Default::default, |account| account.balance))
    }

    pub(super) fn has_code(&mut self, address: Address) -> Result<bool, RpcError> {
        let account = self.state.basic(address)?;
        Ok(account.is_some_and(|account| !account.is_empty_code_hash()))
    }

    /// Run a transaction; the state stays as it was.
    pub(super) fn run(&mut self, transaction: TxEnv) -> Result<ExecutionResult, Failure> {
        self.execute(transaction, (), |evm, transaction| {
            evm.transact(transaction)
        })
        .map(|(done, ())| done.result)
    }

    /// Run a transaction under an inspector.
    pub(super) fn inspect<I: Inspector<CallContext>>(
        &mut self,
        transaction: TxEnv,
        inspector: I,
    ) -> Result<(ExecutionResult, I), Failure> {
        self.trace(transaction, inspector)
            .map(|(done, inspector)| (done.result, inspector))
    }

    /// As [`Session::inspect`], with the accounts as the transaction leaves them.
    pub(super) fn trace<I: Inspector<CallContext>>(
        &mut self,
        transaction: TxEnv,
        inspector: I,
    ) -> Result<(ResultAndState, I), Failure> {
        self.execute(transaction, inspector, |evm, transaction| {
            evm.inspect_tx(transaction)
        })
    }

    /// What the transaction would create although it has storage (EIP-7610).
    fn reserve(&mut self, transaction: &TxEnv) -> Result<Option<Address>, Failure> {
        if !self.rules.checks_storage || !transaction.kind.is_create() {
            return Ok(None);
        }
        let creator = self.state.basic(transaction.caller);
        let creator = creator.map_err(Failure::Engine)?;
        let nonce = creator.map_or(0, |creator| creator.nonce);
        let created = transaction.caller.create(nonce);
        Ok(self.rules.reserve(&mut self.state, Some(created)))
    }

    fn execute<I>(
        &mut self,
        transaction: TxEnv,
        inspector: I,
        run: impl FnOnce(&mut CallEvm<I>, TxEnv) -> Result<ResultAndState, EVMError<EngineError>>,
    ) -> Result<(ResultAndState, I), Failure> {
        let watch = Watch::until(self.deadline, self.caller.clone());
        // Short code ends before its first look: thousands of such transactions would never look.
        if watch.is_over() {
            return Err(Failure::TimedOut(self.timeout));
        }
        let attempted = Attempted::of(&transaction);
        let mut env = self.env.clone();
        // A call that offers no price runs as in a block without a base fee; the same for blobs, of calls that are for some: to all
        // others BLOBBASEFEE is the block's.
        if transaction.gas_price == 0 {
            env.block_env.basefee = 0;
        }
        if transaction.max_fee_per_blob_gas == 0
            && is_for_blobs(&transaction)
            && let Some(blobs) = &mut env.block_env.blob_excess_gas_and_price
        {
            blobs.blob_gasprice = 0;
        }
        let base_fee = env.block_env.basefee;
        let reserved = self.reserve(&transaction)?;
        let spec = env.cfg_env.spec;
        // The EVM owns its state and precompiles while it runs; they come back below.
        let placeholder = CacheDB::new(self.state.db.clone());
        let state = std::mem::replace(&mut self.state, placeholder);
        let placeholder = Movable::of(SpecId::HOMESTEAD);
        let precompiles = std::mem::replace(&mut self.precompiles, placeholder);
        let context = Context::<BlockEnv, TxEnv, CfgEnv, CallState>::new(state, spec)
            .with_chain(watch)
            .with_cfg(env.cfg_env)
            .with_block(env.block_env);
        let mut evm = Evm {
            ctx: context,
            inspector,
            instruction: WatchedInstructions::new(spec, self.rules),
            precompiles,
            // Each frame comes with a stack of 32 KiB: make more when the code calls.
            frame_stack: FrameStack::new_prealloc(1),
        };
        let outcome = run(&mut evm, transaction);
        let expired = evm.ctx.chain.is_expired();
        self.sizes = evm.ctx.chain.sizes();
        self.state = evm.ctx.journaled_state.database;
        self.precompiles = evm.precompiles;
        if let Some(reserved) = reserved {
            instructions::release(&mut self.state, reserved);
        }
        match outcome {
            _ if expired => Err(Failure::TimedOut(self.timeout)),
            Ok(mut done) => {
                if let Some(account) = reserved.and_then(|one| done.state.get_mut(&one)) {
                    account.info.nonce = 0;
                }
                Ok((done, evm.inspector))
            }
            Err(EVMError::Transaction(error)) => Err(Failure::Refused {
                text: attempted.text(&error, base_fee),
                error,
            }),
            Err(EVMError::Database(error)) => Err(Failure::Engine(error)),
            Err(EVMError::Custom(text)) if text == TOO_LARGE || text == RECORDED_TOO_MUCH => {
                Err(Failure::TooLarge)
            }
            Err(EVMError::Custom(text)) if text == NO_ROOM => Err(Failure::NoRoom),
            Err(other) => Err(Failure::Internal(other.to_string())),
        }
    }
}
