//! Running a block: system calls, transactions, withdrawals and requests, by alloy-evm's executor for Ethereum.

use std::{borrow::Cow, sync::Arc};

use alloy_consensus::{
    Eip658Value, Header, ReceiptEnvelope, TxEnvelope, TxReceipt, proofs, transaction::Recovered,
};
use alloy_eips::{
    eip4895::Withdrawal, eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, eip7685::Requests,
};
use alloy_evm::{
    Evm, EvmEnv,
    block::{
        BlockExecutionError, BlockExecutionResult, BlockExecutor, BlockExecutorFactory,
        BlockValidationError,
    },
    eth::{
        EthBlockExecutionCtx, EthBlockExecutor, EthBlockExecutorFactory, EthEvm, EthEvmFactory,
        receipt_builder::AlloyReceiptBuilder,
    },
    precompiles::PrecompilesMap,
};
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{Address, B256, Bloom};
use revm::{
    DatabaseRef,
    context_interface::result::InvalidTransaction,
    database::{BundleState, State, WrapDatabaseRef, states::bundle_state::BundleRetention},
    inspector::NoOpInspector,
};

use crate::{
    Block, ChainSpec, EngineError, Result,
    block::invalid,
    deposits::validate_deposit_events,
    header::expect_equal,
    instructions::{self, Rules, created_by},
    overlay::Overlay,
    proof_of_work::apply_dao_fork,
    store::Store,
    trie::StateTrie,
};

pub(crate) type ExecutorFactory =
    EthBlockExecutorFactory<AlloyReceiptBuilder, Arc<ChainSpec>, EthEvmFactory>;
pub(crate) type OverlayState<'a> = State<WrapDatabaseRef<&'a Overlay>>;
pub(crate) type OverlayExecutor<'a, 'b> = EthBlockExecutor<
    'a,
    EthEvm<&'a mut OverlayState<'b>, NoOpInspector, PrecompilesMap>,
    &'a Arc<ChainSpec>,
    &'a AlloyReceiptBuilder,
>;

pub(crate) fn executor_factory(spec: Arc<ChainSpec>) -> ExecutorFactory {
    EthBlockExecutorFactory::new(
        AlloyReceiptBuilder::default(),
        spec,
        EthEvmFactory::default(),
    )
}

/// What running a block gave.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) receipts: Vec<ReceiptEnvelope>,
    pub(crate) requests: Requests,
    pub(crate) gas_used: u64,
    pub(crate) blob_gas_used: u64,
    pub(crate) bundle: BundleState,
}

/// What an outcome commits to in the header.
#[derive(Debug)]
pub(crate) struct OutcomeRoots {
    pub(crate) trie: StateTrie,
    pub(crate) receipts_root: B256,
    pub(crate) logs_bloom: Bloom,
}

/// The part of a block's surroundings that the executor wants to know.
pub(crate) fn execution_context<'a>(
    header: &Header,
    withdrawals: &'a [Withdrawal],
    transactions: usize,
) -> EthBlockExecutionCtx<'a> {
    EthBlockExecutionCtx {
        parent_hash: header.parent_hash,
        parent_beacon_block_root: header.parent_beacon_block_root,
        ommers: &[],
        withdrawals: header
            .withdrawals_root
            .is_some()
            .then_some(Cow::Borrowed(withdrawals)),
        extra_data: header.extra_data.clone(),
        tx_count_hint: Some(transactions),
        slot_number: None,
    }
}

pub(crate) fn overlay_state(overlay: &Overlay) -> OverlayState<'_> {
    State::builder()
        .with_database_ref(overlay)
        .with_bundle_update()
        .build()
}

pub(crate) fn create_executor<'a, 'b: 'a>(
    factory: &'a ExecutorFactory,
    state: &'a mut OverlayState<'b>,
    env: EvmEnv,
    context: EthBlockExecutionCtx<'a>,
) -> OverlayExecutor<'a, 'b> {
    factory.create_executor(
        instructions::create_evm(factory.spec(), state, env),
        context,
    )
}

/// Where the state roots between transactions come from, which receipts have before Byzantium.
#[derive(Debug)]
pub(crate) struct PostStates<'a> {
    store: &'a Store,
    parent: &'a StateTrie,
}

impl<'a> PostStates<'a> {
    pub(crate) fn new(store: &'a Store, parent: &'a StateTrie) -> Self {
        Self { store, parent }
    }

    fn root_after(&self, bundle: &BundleState) -> Result<B256> {
        Ok(self.store.root_after(self.parent, bundle)?.root())
    }
}

/// Run a block whose header and body were checked.
pub(crate) fn execute(
    factory: &ExecutorFactory,
    overlay: &Overlay,
    block: &Block,
    post_states: &PostStates<'_>,
) -> Result<Outcome> {
    let spec = factory.spec();
    let mut state = overlay_state(overlay);
    apply_dao_fork(spec, overlay, &mut state, block.header.number)?;
    let context = EthBlockExecutionCtx {
        ommers: &block.ommers,
        ..execution_context(&block.header, &block.withdrawals, block.transactions.len())
    };
    let mut executor = create_executor(factory, &mut state, spec.evm_env(&block.header), context);
    executor
        .apply_pre_execution_changes()
        .map_err(|error| fault_or(overlay, error, None))?;
    for (index, (transaction, sender)) in block.transactions.iter().zip(&block.senders).enumerate()
    {
        run_transaction(
            &mut executor,
            overlay,
            post_states,
            index,
            transaction,
            *sender,
        )?;
    }
    let result = executor
        .finish()
        .map(|(_, result)| result)
        .map_err(|error| fault_or(overlay, error, None))?;
    finish(spec, overlay, state, &block.header, result)
}

/// Run the next transaction of a block, or of a transition.
pub(crate) fn run_transaction(
    executor: &mut OverlayExecutor<'_, '_>,
    overlay: &Overlay,
    post_states: &PostStates<'_>,
    index: usize,
    transaction: &TxEnvelope,
    sender: Address,
) -> Result<()> {
    let rules = Rules::at(executor.spec, executor.evm.block().number.saturating_to());
    let reserved = rules.reserve(executor.evm.db_mut(), created_by(transaction, sender));
    let ran =
        executor.execute_transaction_without_commit(Recovered::new_unchecked(transaction, sender));
    if let Some(reserved) = reserved {
        instructions::release(executor.evm.db_mut(), reserved);
    }
    let mut output = ran.map_err(|error| fault_or(overlay, error, Some(index)))?;
    if let Some(account) = reserved.and_then(|address| output.result.state.get_mut(&address)) {
        account.info.nonce = 0;
    }
    executor.commit_transaction(output);
    let number = executor.evm.block().number.saturating_to();
    if !executor.spec.is_byzantium_active_at_block(number) {
        let state = executor.evm_mut().db_mut();
        state.merge_transitions(BundleRetention::PlainState);
        let root = post_states.root_after(&state.bundle_state)?;
        // EIP-658 put the status there; typed transactions, which have other receipts, are younger.
        if let Some(ReceiptEnvelope::Legacy(receipt)) = executor.receipts.last_mut() {
            receipt.receipt.status = Eip658Value::PostState(root);
        }
    }
    Ok(())
}

/// Take the changes out of the state.
pub(crate) fn take_changes(overlay: &Overlay, mut state: OverlayState<'_>) -> Result<BundleState> {
    state.merge_transitions(BundleRetention::Reverts);
    match overlay.fault() {
        Some(fault) => Err(fault.clone()),
        None => Ok(state.take_bundle()),
    }
}

/// Take the changes out of the state after the executor has finished.
pub(crate) fn finish(
    spec: &ChainSpec,
    overlay: &Overlay,
    state: OverlayState<'_>,
    header: &Header,
    result: BlockExecutionResult<ReceiptEnvelope>,
) -> Result<Outcome> {
    let bundle = take_changes(overlay, state)?;
    if spec.is_prague_active_at_timestamp(header.timestamp) {
        validate_request_contracts(overlay, &bundle)?;
        validate_deposit_events(spec.deposit_contract, &result.receipts)?;
    }
    if let Some(fault) = overlay.fault() {
        return Err(fault.clone());
    }
    let BlockExecutionResult {
        receipts,
        requests,
        gas_used,
        blob_gas_used,
    } = result;
    Ok(Outcome {
        receipts,
        requests,
        gas_used,
        blob_gas_used,
        bundle,
    })
}

/// EIP-7002 and EIP-7251: a block is invalid while one of the contracts has no code. The executor does not check it.
fn validate_request_contracts(overlay: &Overlay, bundle: &BundleState) -> Result<()> {
    for address in [
        WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
        CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
    ] {
        let account = match bundle.account(&address) {
            Some(account) => account.account_info(),
            None => overlay.basic_ref(address)?,
        };
        if account.is_none_or(|account| account.is_empty_code_hash()) {
            return Err(invalid(
                "system_contract",
                format!("no code at the system contract {address}"),
            ));
        }
    }
    Ok(())
}

/// State root, receipts root and bloom of an outcome; the first two at the same time.
pub(crate) fn outcome_roots(
    store: &Store,
    threads: &rayon::ThreadPool,
    parent: &StateTrie,
    outcome: &Outcome,
) -> Result<OutcomeRoots> {
    let (trie, (receipts_root, logs_bloom)) = threads.join(
        || store.root_after(parent, &outcome.bundle),
        || {
            (
                proofs::calculate_receipt_root(&outcome.receipts),
                logs_bloom(&outcome.receipts),
            )
        },
    );
    Ok(OutcomeRoots {
        trie: trie?,
        receipts_root,
        logs_bloom,
    })
}

pub(crate) fn logs_bloom(receipts: &[ReceiptEnvelope]) -> Bloom {
    receipts
        .iter()
        .fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom())
}

/// Compare what a block's header says about its outcome with what running it gave.
pub(crate) fn validate_outcome(
    block: &Block,
    outcome: &Outcome,
    roots: &OutcomeRoots,
) -> Result<()> {
    let header = &block.header;
    expect_equal("gas_used", header.gas_used, outcome.gas_used)?;
    expect_equal("receipts_root", header.receipts_root, roots.receipts_root)?;
    expect_equal("logs_bloom", header.logs_bloom, roots.logs_bloom)?;
    if header.requests_hash.is_some() {
        expect_equal("requests_hash", &block.requests, &outcome.requests)?;
    }
    expect_equal("state_root", header.state_root, roots.trie.root())
}

/// The storage fault behind an execution error, else the error itself as the block's fault.
pub(crate) fn fault_or(
    overlay: &Overlay,
    error: BlockExecutionError,
    index: Option<usize>,
) -> EngineError {
    if let Some(fault) = overlay.fault() {
        return fault.clone();
    }
    match error {
        BlockExecutionError::Validation(error) => match (index, transaction_error(&error)) {
            (Some(index), Some(code)) => invalid(code, format!("transaction {index}: {error}")),
            (Some(index), None) => invalid("transaction", format!("transaction {index}: {error}")),
            (None, _) => invalid("execution", error.to_string()),
        },
        // Not the block's fault as far as we can tell, so no vote may rest on it.
        BlockExecutionError::Internal(error) => {
            EngineError::Storage(format!("execution failed: {error}"))
        }
    }
}

/// A code for the faults of a transaction that people ask about.
fn transaction_error(error: &BlockValidationError) -> Option<&'static str> {
    match error {
        BlockValidationError::TransactionGasLimitMoreThanAvailableBlockGas { .. } => {
            Some("transaction_block_gas")
        }
        BlockValidationError::InvalidTx { error, .. } => Some(match error.as_invalid_tx_err()? {
            InvalidTransaction::NonceTooLow { .. } => "transaction_nonce_too_low",
            InvalidTransaction::NonceTooHigh { .. } => "transaction_nonce_too_high",
            InvalidTransaction::LackOfFundForMaxFee { .. }
            | InvalidTransaction::OverflowPaymentInTransaction => "transaction_funds",
            InvalidTransaction::NonceOverflowInTransaction => "transaction_nonce_max",
            InvalidTransaction::GasPriceLessThanBasefee => "transaction_base_fee",
            InvalidTransaction::PriorityFeeGreaterThanMaxFee => "transaction_priority_fee",
            InvalidTransaction::InvalidChainId | InvalidTransaction::MissingChainId => {
                "transaction_chain_id"
            }
            InvalidTransaction::RejectCallerWithCode => "transaction_sender_code",
            InvalidTransaction::TxGasLimitGreaterThanCap { .. } => "transaction_gas_limit",
            InvalidTransaction::CallerGasLimitMoreThanBlock => "transaction_block_gas",
            InvalidTransaction::CallGasCostMoreThanGasLimit { .. }
            | InvalidTransaction::GasFloorMoreThanGasLimit { .. } => "transaction_intrinsic_gas",
            InvalidTransaction::CreateInitCodeSizeLimit => "transaction_initcode",
            InvalidTransaction::BlobGasPriceGreaterThanMax { .. } => "transaction_blob_fee",
            InvalidTransaction::EmptyBlobs
            | InvalidTransaction::BlobCreateTransaction
            | InvalidTransaction::TooManyBlobs { .. }
            | InvalidTransaction::BlobVersionNotSupported => "transaction_blobs",
            InvalidTransaction::EmptyAuthorizationList
            | InvalidTransaction::AuthorizationListInvalidFields => "transaction_authorizations",
            InvalidTransaction::AccessListNotSupported
            | InvalidTransaction::MaxFeePerBlobGasNotSupported
            | InvalidTransaction::BlobVersionedHashesNotSupported
            | InvalidTransaction::AuthorizationListNotSupported
            | InvalidTransaction::Eip2930NotSupported
            | InvalidTransaction::Eip1559NotSupported
            | InvalidTransaction::Eip4844NotSupported
            | InvalidTransaction::Eip7702NotSupported => "transaction_type",
            _ => "transaction",
        }),
        _ => None,
    }
}

/// Whether a transaction was refused only because its nonce was used already: later ones of its sender may still fit.
pub(crate) fn is_stale_nonce(error: &BlockExecutionError) -> bool {
    matches!(
        error,
        BlockExecutionError::Validation(BlockValidationError::InvalidTx { error, .. })
            if matches!(error.as_invalid_tx_err(), Some(InvalidTransaction::NonceTooLow { .. }))
    )
}
