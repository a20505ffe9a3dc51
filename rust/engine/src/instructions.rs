//! Two rules of the EVM that revm leaves out, because no public chain needs them, for the chains that do.
//!
//! EIP-7610: no contract is created where storage is already. Such an account has neither code nor nonce, so it can come only
//! from the allocation of a genesis, and only chains with one pay for the check. EIP-1283: the fees of SSTORE in the blocks
//! of Constantinople before Petersburg took them back.

use std::sync::Arc;

use alloy_consensus::{Transaction, TxEnvelope};
use alloy_evm::{
    EvmEnv,
    eth::{EthEvm, EthEvmBuilder, EthEvmContext},
    precompiles::PrecompilesMap,
};
use alloy_primitives::Address;
use revm::{
    Database,
    bytecode::opcode,
    context::ContextTr,
    context_interface::{
        Cfg,
        cfg::gas_params::{GasId, GasParams},
        journaled_state::JournalTr,
    },
    inspector::NoOpInspector,
    interpreter::{
        CreateScheme, FrameInput, Instruction, InstructionContext, InstructionExecResult,
        InstructionResult, InterpreterAction,
        instructions::{contract, host::sstore_with_gas_accounting},
        interpreter::EthInterpreter,
        interpreter_types::LoopControl,
    },
    primitives::{constants::CALL_STACK_LIMIT, hardfork::SpecId},
    state::AccountInfo,
};

use crate::{ChainSpec, execute::OverlayState, overlay::Overlay};

type Host<'a, 'b> = EthEvmContext<&'a mut OverlayState<'b>>;
type OverlayEvm<'a, 'b> = EthEvm<&'a mut OverlayState<'b>, NoOpInspector, PrecompilesMap>;

/// Prices of EIP-1283: an SSTORE costs 200, and what it changes the rest of 20,000 or 5,000.
const NET_SSTORE_PRICES: [(GasId, u64); 6] = [
    (GasId::sstore_static(), 200),
    (GasId::sstore_set_without_load_cost(), 19_800),
    (GasId::sstore_reset_without_cold_load_cost(), 4_800),
    (GasId::sstore_set_refund(), 19_800),
    (GasId::sstore_reset_refund(), 4_800),
    (GasId::sstore_clearing_slot_refund(), 15_000),
];

/// The rules of Constantinople alone: Petersburg's, with the prices of EIP-1283.
pub(crate) fn set_constantinople(env: &mut EvmEnv) {
    env.cfg_env
        .set_spec_and_mainnet_gas_params(SpecId::PETERSBURG);
    let mut prices = GasParams::new_spec(SpecId::PETERSBURG);
    prices.override_gas(NET_SSTORE_PRICES);
    env.cfg_env.set_gas_params(prices);
}

/// The EVM that runs a block.
pub(crate) fn create_evm<'a, 'b>(
    spec: &Arc<ChainSpec>,
    state: &'a mut OverlayState<'b>,
    env: EvmEnv,
) -> OverlayEvm<'a, 'b> {
    let is_constantinople_alone =
        spec.is_constantinople_alone(env.block_env.number.saturating_to());
    let mut evm = EthEvmBuilder::new(state, env).build().into_inner();
    if is_constantinople_alone {
        evm.instruction
            .insert_instruction(opcode::SSTORE, Instruction::new(net_sstore), 0);
    }
    if spec.has_storage_without_code {
        let table = evm.instruction.instruction_table_mut();
        table[opcode::CREATE as usize] = Instruction::new(create::<false>);
        table[opcode::CREATE2 as usize] = Instruction::new(create::<true>);
    }
    EthEvm::new(evm, false)
}

fn net_sstore(
    context: InstructionContext<'_, Host<'_, '_>, EthInterpreter>,
) -> InstructionExecResult {
    sstore_with_gas_accounting(context, |context, _, load| {
        let prices = context.host.cfg().gas_params();
        let cost = prices.sstore_dynamic_gas(true, &load.data, load.is_cold);
        let refund = prices.sstore_refund(true, &load.data);
        if !context.interpreter.gas.record_regular_cost(cost) {
            return Err(InstructionResult::OutOfGas);
        }
        context.interpreter.gas.record_refund(refund);
        Ok(())
    })
}

fn create<const IS_CREATE2: bool>(
    context: InstructionContext<'_, Host<'_, '_>, EthInterpreter>,
) -> InstructionExecResult {
    let InstructionContext { interpreter, host } = context;
    let result = contract::create::<IS_CREATE2, _, _>(InstructionContext {
        interpreter: &mut *interpreter,
        host: &mut *host,
    });
    let depth = interpreter.input.depth;
    if let Some(InterpreterAction::NewFrame(FrameInput::Create(inputs))) =
        interpreter.bytecode.action()
    {
        let caller = inputs.caller();
        let journal = host.journal_mut();
        let Some(info) = journal
            .state
            .get(&caller)
            .map(|account| account.info.clone())
        else {
            return result;
        };
        let created = inputs.created_address(info.nonce);
        let is_reached = depth < CALL_STACK_LIMIT as usize
            && info.balance >= inputs.value()
            && info.nonce < u64::MAX;
        if is_reached && is_taken(journal.database, created) {
            // What a creation that is tried always does: the address is warm from now on (EIP-2929). A fault shows at the end.
            let _ = journal.load_account(created);
            // The creator has code, so creating it collides as it should, with all that follows.
            inputs.set_scheme(CreateScheme::Custom { address: caller });
        }
    }
    result
}

/// Whether storage alone stands against a contract at an address: code and nonce are revm's to look at.
fn is_taken(state: &mut OverlayState<'_>, address: Address) -> bool {
    let is_bare = |info: &AccountInfo| info.nonce == 0 && info.is_empty_code_hash();
    // The overlay remembers faults, and the block is given up for them.
    matches!(state.basic(address), Ok(Some(info)) if is_bare(&info)) && has_storage(state, address)
}

fn has_storage(state: &OverlayState<'_>, address: Address) -> bool {
    let cached = state.cache.accounts.get(&address);
    if let Some(cached) = cached.filter(|cached| cached.status.is_storage_known()) {
        return cached
            .account
            .as_ref()
            .is_some_and(|account| account.storage.values().any(|value| !value.is_zero()));
    }
    let overlay: &Overlay = state.database.0;
    overlay.has_storage(address).unwrap_or_default()
}

/// The account that the creation of a transaction would take although it has storage. It gets a nonce until the transaction
/// has run, against which revm lets the creation fail.
pub(crate) fn reserve(
    spec: &ChainSpec,
    state: &mut OverlayState<'_>,
    transaction: &TxEnvelope,
    sender: Address,
) -> Option<Address> {
    if !spec.has_storage_without_code || !transaction.is_create() {
        return None;
    }
    let created = sender.create(transaction.nonce());
    is_taken(state, created).then(|| {
        set_nonce(state, created, 1);
        created
    })
}

/// Undo [`reserve`] after the transaction.
pub(crate) fn release(state: &mut OverlayState<'_>, reserved: Address) {
    set_nonce(state, reserved, 0);
}

fn set_nonce(state: &mut OverlayState<'_>, address: Address, nonce: u64) {
    let cached = state.cache.accounts.get_mut(&address);
    if let Some(account) = cached.and_then(|cached| cached.account.as_mut()) {
        account.info.nonce = nonce;
    }
}
