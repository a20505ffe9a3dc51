//! Simulated blocks, one on top of the other.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::{Header, TxReceipt, proofs, transaction::Recovered};
use alloy_eips::{eip4895::Withdrawal, eip7685::Requests};
use alloy_evm::{
    EthEvm, Evm as _, EvmFactory as _, FromRecoveredTx as _,
    block::{BlockExecutionError, BlockExecutor as _, BlockValidationError},
    eth::{EthBlockExecutionCtx, EthBlockExecutor},
};
use alloy_hardforks::EthereumHardforks as _;
use alloy_primitives::{Address, B256, Bloom, Bytes, U64, U256};
use alloy_rpc_types_eth::Log;
use alloy_trie::root::ordered_trie_root_with_encoder;
use revm::{
    Database as _, DatabaseCommit as _,
    context::{BlockEnv, TxEnv},
    context_interface::result::ExecutionResult,
    database::{
        BundleAccount, BundleState, bal::EvmDatabaseError, states::bundle_state::BundleRetention,
    },
    state::{Account, AccountInfo, EvmStorageSlot, TransactionId},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    BlockResult,
    plan::BlockPlan,
    refusal,
    transaction::{Defaults, Unsigned},
    watcher::Watcher,
};
use crate::{
    Block, Engine, EngineError,
    api::{
        Caller, Holding, RpcError,
        block_state::BlockState,
        call::{Attempted, CallRequest, Sizes, halt_text, is_for_blobs},
        objects,
        overrides::{Overridable, Slots},
        precompiles::Movable,
    },
    execute::{self, OverlayState},
    header::{next_base_fee, next_excess_blob_gas},
    instructions::{self, Rules},
    overlay::Overlay,
};

/// A log without its data, as the EVM leaves it and as an answer has it.
const LOG_BYTES: usize = 1_000;

/// Everything that the blocks of one simulation share.
pub(super) struct Simulator<'a> {
    pub(super) engine: &'a Engine,
    pub(super) validation: bool,
    pub(super) trace_transfers: bool,
    /// Whole transactions instead of hashes.
    pub(super) full: bool,
    pub(super) caller: &'a Caller,
    /// What the results take of the machine's memory so far.
    pub(super) held: usize,
    pub(super) deadline: Instant,
    pub(super) timeout: Duration,
    /// What all calls together may still use.
    pub(super) gas_left: u64,
}

/// What one call gave.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CallResult {
    return_data: Bytes,
    logs: Vec<Log>,
    gas_used: U64,
    /// Before refunds.
    max_used_gas: U64,
    status: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
}

/// A call that ran: its logs do not know their block yet.
struct Called {
    result: ExecutionResult,
    logs: Vec<alloy_primitives::Log>,
    sizes: Sizes,
}

impl Simulator<'_> {
    pub(super) fn run(
        &mut self,
        base: BlockState,
        header: &(Header, B256),
        plans: Vec<BlockPlan>,
    ) -> Result<Vec<BlockResult>, RpcError> {
        let store = self.engine.store();
        let base_trie = base.trie(store)?;
        let mut trie = base_trie.clone();
        let overlay = Overlay::new(Arc::new(base), Vec::new());
        let mut state = execute::overlay_state(&overlay);
        let (mut parent, mut parent_hash) = header.clone();
        let mut results = Vec::with_capacity(plans.len());
        for plan in plans {
            if Instant::now() >= self.deadline {
                return Err(self.timed_out());
            }
            let withdrawals = plan.withdrawals();
            let mut header = self.header(&plan, &parent, parent_hash, &withdrawals);
            let ran = self.execute(&overlay, &mut state, &header, plan, &withdrawals);
            let (filled, receipts, requests) = match (ran, overlay.fault()) {
                (_, Some(fault)) => return Err(fault.clone().into()),
                (ran, None) => ran?,
            };
            let mut own = BundleState::default();
            if let Some(transitions) = &state.transition_state {
                own.apply_transitions_and_create_reverts(
                    transitions.clone(),
                    BundleRetention::PlainState,
                );
            }
            state.merge_transitions(BundleRetention::PlainState);
            // A block's own changes on the trie of the one before cost what the block did, all changes since the base more with each
            // block. But an account that was once destroyed has that in its later changes too, though storage of between stays.
            trie = if state
                .bundle_state
                .state
                .values()
                .any(BundleAccount::was_destroyed)
            {
                store.root_after(&base_trie, &state.bundle_state)?
            } else {
                store.root_after(&trie, &own)?
            };
            header.state_root = trie.root();
            debug_assert_eq!(
                Some(header.state_root),
                store
                    .root_after(&base_trie, &state.bundle_state)
                    .ok()
                    .map(|whole| whole.root()),
                "block by block is what all changes at once give"
            );
            header.receipts_root = proofs::calculate_receipt_root(&receipts);
            header.logs_bloom = receipts
                .iter()
                .fold(Bloom::ZERO, |bloom, one| bloom | one.bloom());
            header.gas_used = receipts.last().map_or(0, TxReceipt::cumulative_gas_used);
            header.transactions_root =
                ordered_trie_root_with_encoder(&filled.raws, |raw, out| out.extend_from_slice(raw));
            if header.blob_gas_used.is_some() {
                header.blob_gas_used = Some(filled.blob_gas_used);
            }
            if self
                .engine
                .spec()
                .is_prague_active_at_timestamp(header.timestamp)
            {
                header.requests_hash = Some(requests.requests_hash());
            }
            let Filled {
                transactions,
                senders,
                called,
                ..
            } = filled;
            let block = Block::from_parts(header, transactions, senders, withdrawals, requests);
            state.block_hashes.insert(block.header.number, block.hash);
            (parent, parent_hash) = (block.header.clone(), block.hash);
            results.push(BlockResult {
                calls: results_of(&block, called, self.caller)?,
                block: self.json(&block)?,
            });
        }
        Ok(results)
    }

    /// The block as it is answered.
    fn json(&self, block: &Block) -> Result<Value, RpcError> {
        let block = serde_json::to_value(objects::block(block, self.full));
        let mut block = block.map_err(|error| RpcError::internal(error.to_string()))?;
        let transactions = block["transactions"].as_array_mut().into_iter().flatten();
        for transaction in transactions.filter(|one| one["type"] == "0x0") {
            // Nobody signed it. The type has no place for that, and would say that the parity is even, which is 27.
            transaction["v"] = json!("0x0");
        }
        Ok(block)
    }

    /// The header as far as the block's calls do not matter.
    fn header(
        &self,
        plan: &BlockPlan,
        parent: &Header,
        parent_hash: B256,
        withdrawals: &[Withdrawal],
    ) -> Header {
        let spec = self.engine.spec();
        let (number, timestamp, block) = (plan.number, plan.timestamp, &plan.block);
        let is_cancun = spec.is_cancun_active_at_timestamp(timestamp);
        // Without validation a call that offers no price is not held against a base fee.
        let base_fee = match &block.base_fee_per_gas {
            Some(fee) => Some(fee.0.saturating_to()),
            None if self.validation => next_base_fee(spec, parent),
            None => Some(0),
        };
        Header {
            parent_hash,
            beneficiary: block
                .fee_recipient
                .as_ref()
                .map_or(parent.beneficiary, |one| one.0),
            difficulty: if spec.is_paris_active_at_block(number) {
                U256::ZERO
            } else {
                block
                    .difficulty
                    .as_ref()
                    .map_or(parent.difficulty, |one| one.0)
            },
            number,
            gas_limit: block
                .gas_limit
                .as_ref()
                .map_or(parent.gas_limit, |one| one.0),
            timestamp,
            mix_hash: block.prev_randao.as_ref().map_or(B256::ZERO, |one| one.0),
            base_fee_per_gas: base_fee.filter(|_| spec.is_london_active_at_block(number)),
            withdrawals_root: spec
                .is_shanghai_active_at_timestamp(timestamp)
                .then(|| proofs::calculate_withdrawals_root(withdrawals)),
            blob_gas_used: is_cancun.then_some(0),
            excess_blob_gas: next_excess_blob_gas(spec, parent, timestamp).filter(|_| is_cancun),
            parent_beacon_block_root: is_cancun
                .then(|| block.beacon_root.as_ref().map_or(B256::ZERO, |one| one.0)),
            ..Header::default()
        }
    }

    /// Run the overrides, the system calls and the calls of a block.
    fn execute(
        &mut self,
        overlay: &Overlay,
        state: &mut OverlayState<'_>,
        header: &Header,
        plan: BlockPlan,
        withdrawals: &[Withdrawal],
    ) -> Result<(Filled, Vec<alloy_consensus::ReceiptEnvelope>, Requests), RpcError> {
        let spec = self.engine.spec();
        let factory = execute::executor_factory(Arc::clone(spec));
        let mut env = spec.evm_env(header);
        // Nonces are checked before prices, which the EVM does in the other order.
        env.cfg_env.disable_nonce_check = true;
        env.cfg_env.disable_eip3607 = true;
        env.cfg_env.tx_gas_limit_cap = Some(u64::MAX);
        if let (Some(fee), Some(blobs)) = (
            &plan.block.blob_base_fee,
            &mut env.block_env.blob_excess_gas_and_price,
        ) {
            blobs.blob_gasprice = fee.0.saturating_to();
        }
        let (fork, block_env) = (env.cfg_env.spec, env.block_env.clone());
        let watcher = Watcher::new(self.deadline, self.caller, self.trace_transfers);
        let mut evm = factory
            .evm_factory()
            .create_evm_with_inspector(state, env, watcher)
            .into_inner();
        let rules = Rules::at(spec, header.number);
        rules.apply(&mut evm.instruction);
        let evm = revm::context::Evm {
            precompiles: Movable::of(fork),
            ctx: evm.ctx,
            inspector: evm.inspector,
            instruction: evm.instruction,
            frame_stack: evm.frame_stack,
        };
        let evm = EthEvm::new(evm, true);
        let context = EthBlockExecutionCtx {
            parent_hash: header.parent_hash,
            parent_beacon_block_root: header.parent_beacon_block_root,
            ommers: &[],
            withdrawals: header
                .withdrawals_root
                .is_some()
                .then_some(std::borrow::Cow::Borrowed(withdrawals)),
            extra_data: Bytes::new(),
            tx_count_hint: Some(plan.calls.len()),
            slot_number: None,
        };
        let mut executor = EthBlockExecutor::new(evm, context, spec, factory.receipt_builder());
        if let Some(overrides) = plan.state {
            let (state, _, precompiles) = executor.evm.components_mut();
            overrides.apply(*state, &mut precompiles.map)?;
        }
        let failed = |error: BlockExecutionError| self.refuse(error, None, &block_env);
        executor.apply_pre_execution_changes().map_err(failed)?;
        let mut filled = Filled::default();
        for call in &plan.calls {
            let gas_used = executor.cumulative_tx_gas_used;
            let sender = call.from();
            let account = executor.evm.db_mut().basic(sender)?;
            let nonce = account.map_or(0, |account| account.nonce);
            let gas_limit = self.gas_limit(call, header.gas_limit, gas_used)?;
            let unsigned = Unsigned::of(
                call,
                Defaults {
                    nonce: call.nonce().unwrap_or(nonce),
                    gas_limit,
                    chain_id: spec.chain_id,
                    has_base_fee: header.base_fee_per_gas.is_some(),
                },
            )?;
            let mut environment = TxEnv::from_recovered_tx(&unsigned.envelope, sender);
            if self.validation {
                refusal::check_nonce(sender, environment.nonce, nonce, gas_limit)?;
            }
            // Checked, or of no matter: the EVM refuses the greatest whatever it is told.
            environment.nonce = environment.nonce.min(u64::MAX - 1);
            let attempted = Attempted::of(&environment);
            self.excuse(&mut executor.evm, &environment, &block_env);
            let recovered = Recovered::new_unchecked(&unsigned.envelope, sender);
            let created = call.to().is_none().then(|| sender.create(nonce));
            let reserved = rules.reserve(executor.evm.db_mut(), created);
            let ran = executor.execute_transaction_without_commit((environment, recovered));
            if let Some(reserved) = reserved {
                instructions::release(executor.evm.db_mut(), reserved);
            }
            if executor.evm.inspector().expired {
                return Err(self.timed_out());
            }
            if executor.evm.inspector().has_no_room {
                return Err(RpcError::no_room());
            }
            let mut ran = ran.map_err(|error| {
                if let Some(fault) = overlay.fault() {
                    return fault.clone().into();
                }
                self.refuse(error, Some((&attempted, gas_limit)), &block_env)
            })?;
            if let Some(account) = reserved.and_then(|one| ran.result.state.get_mut(&one)) {
                account.info.nonce = 0;
            }
            if nonce == u64::MAX && call.to().is_some() {
                // Nobody minds here that the next nonce does not fit: it starts again, as in geth.
                if let Some(account) = ran.result.state.get_mut(&sender) {
                    account.info.nonce = 0;
                }
            }
            let result = ran.result.result.clone();
            self.gas_left = self.gas_left.saturating_sub(result.tx_gas_used());
            executor.commit_transaction(ran);
            let logs = executor.evm.inspector_mut().take_logs();
            self.held += result_bytes(&result, &logs);
            if !self.caller.may_hold(Holding::Trace, self.held) {
                return Err(RpcError::no_room());
            }
            let sizes = executor.evm.inspector().sizes;
            filled.called.push(Called {
                result,
                logs,
                sizes,
            });
            filled.senders.push(sender);
            filled.raws.push(unsigned.raw);
            filled.transactions.push(unsigned.envelope);
        }
        let (_, result) = executor
            .finish()
            .map_err(|error| self.refuse(error, None, &block_env))?;
        filled.blob_gas_used = result.blob_gas_used;
        Ok((filled, result.receipts, result.requests))
    }

    /// The gas of a call: what it asks for, or what the block has left; never more than is left of the simulation's.
    fn gas_limit(&self, call: &CallRequest, limit: u64, used: u64) -> Result<u64, RpcError> {
        let left = limit.saturating_sub(used);
        let wanted = call.gas().unwrap_or(left);
        if wanted > left {
            return Err(refusal::block_gas_limit(left, wanted));
        }
        Ok(wanted.min(self.gas_left))
    }

    /// Without validation a call that offers no price runs below the base fee; the same for blobs, of calls that are for some.
    fn excuse<DB: alloy_evm::Database, I, P>(
        &self,
        evm: &mut EthEvm<DB, I, P>,
        transaction: &TxEnv,
        block: &BlockEnv,
    ) {
        let tip = transaction.gas_priority_fee.unwrap_or_default();
        let is_free = !self.validation && transaction.gas_price == 0 && tip == 0;
        let has_free_blobs =
            !self.validation && transaction.max_fee_per_blob_gas == 0 && is_for_blobs(transaction);
        let context = evm.ctx_mut();
        context.cfg.disable_base_fee = is_free;
        context.block.blob_excess_gas_and_price = block.blob_excess_gas_and_price;
        if let Some(blobs) = &mut context.block.blob_excess_gas_and_price
            && has_free_blobs
        {
            blobs.blob_gasprice = 0;
        }
    }

    fn refuse(
        &self,
        error: BlockExecutionError,
        attempted: Option<(&Attempted, u64)>,
        block: &BlockEnv,
    ) -> RpcError {
        if let BlockExecutionError::Validation(BlockValidationError::InvalidTx { error, .. }) =
            &error
            && let (Some(error), Some((attempted, gas))) = (error.as_invalid_tx_err(), attempted)
        {
            return refusal::invalid_call(error, &attempted.text(error, block.basefee), gas);
        }
        RpcError::server(error.to_string())
    }

    fn timed_out(&self) -> RpcError {
        RpcError::server(format!("execution aborted (timeout = {:?})", self.timeout))
    }
}

/// What a result takes of the machine's memory: once from the EVM and once in its block's receipts.
fn result_bytes(result: &ExecutionResult, logs: &[alloy_primitives::Log]) -> usize {
    let output = result.output().map_or(0, |output| output.len());
    let data: usize = logs.iter().map(|log| log.data.data.len()).sum();
    // Its text is twice as long, and is there beside it in the end.
    2 * output + logs.len() * LOG_BYTES + 2 * data
}

/// The calls of a block, as transactions and as results.
#[derive(Default)]
struct Filled {
    transactions: Vec<alloy_consensus::TxEnvelope>,
    raws: Vec<Bytes>,
    senders: Vec<Address>,
    called: Vec<Called>,
    blob_gas_used: u64,
}

fn results_of(
    block: &Block,
    called: Vec<Called>,
    caller: &Caller,
) -> Result<Vec<CallResult>, RpcError> {
    let mut log_index = 0;
    let number = |(index, called): (usize, Called)| -> Result<CallResult, RpcError> {
        let gas = called.result.gas();
        let (gas_used, max_used_gas) = (gas.tx_gas_used(), gas.total_gas_spent());
        let (return_data, status, error) = match called.result {
            ExecutionResult::Success { output, .. } => (output.into_data(), 1, None),
            ExecutionResult::Revert { output, .. } => {
                let RpcError {
                    code,
                    message,
                    data,
                } = RpcError::reverted(&output, caller)?;
                let error = json!({"code": code, "message": message, "data": data});
                (Bytes::new(), 0, Some(error))
            }
            ExecutionResult::Halt { reason, .. } => {
                let error = json!({"code": refusal::CALL_FAILED, "message": halt_text(&reason, called.sizes)});
                (Bytes::new(), 0, Some(error))
            }
        };
        let logs = called.logs.into_iter().map(|log| {
            log_index += 1;
            objects::log(block, index, log_index - 1, log)
        });
        Ok(CallResult {
            return_data,
            logs: logs.collect(),
            gas_used: U64::from(gas_used),
            max_used_gas: U64::from(max_used_gas.max(gas_used)),
            status: U64::from(status),
            error,
        })
    };
    called.into_iter().enumerate().map(number).collect()
}

impl Overridable for OverlayState<'_> {
    fn account(&mut self, address: Address) -> Result<AccountInfo, RpcError> {
        Ok(self.basic(address)?.unwrap_or_default())
    }

    fn set_account(&mut self, address: Address, info: AccountInfo) -> Result<(), RpcError> {
        self.basic(address)?;
        let account = Account::default().with_info(info).with_touched_mark();
        self.commit([(address, account)].into_iter().collect());
        Ok(())
    }

    fn set_storage(&mut self, address: Address, slots: Slots) -> Result<(), RpcError> {
        let mut info = self.account(address)?;
        if info.code.is_none() {
            info.code = Some(self.code_by_hash(info.code_hash)?);
        }
        // Gone and made again: nothing of the old storage is left.
        let gone = Account::default()
            .with_info(info.clone())
            .with_touched_mark()
            .with_selfdestruct_mark();
        self.commit([(address, gone)].into_iter().collect());
        let slots = slots
            .into_iter()
            .map(|(slot, value)| (slot, changed(U256::ZERO, value)));
        let made = Account::default()
            .with_info(info)
            .with_storage(slots)
            .with_touched_mark()
            .with_created_mark();
        self.commit([(address, made)].into_iter().collect());
        Ok(())
    }

    fn set_slots(&mut self, address: Address, slots: Slots) -> Result<(), RpcError> {
        let info = self.account(address)?;
        let mut storage = Vec::with_capacity(slots.len());
        for (slot, value) in slots {
            storage.push((slot, changed(self.storage(address, slot)?, value)));
        }
        let account = Account::default()
            .with_info(info)
            .with_storage(storage.into_iter())
            .with_touched_mark();
        self.commit([(address, account)].into_iter().collect());
        Ok(())
    }
}

impl From<EvmDatabaseError<EngineError>> for RpcError {
    fn from(error: EvmDatabaseError<EngineError>) -> Self {
        match error {
            EvmDatabaseError::Database(error) => error.into(),
            EvmDatabaseError::Bal(error) => Self::internal(error.to_string()),
        }
    }
}

fn changed(before: U256, value: U256) -> EvmStorageSlot {
    EvmStorageSlot::new_changed(before, value, TransactionId::ZERO)
}
