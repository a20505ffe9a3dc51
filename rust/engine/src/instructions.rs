//! Two rules of the EVM that revm leaves out, because no public chain needs them, for the chains that do.
//!
//! EIP-7610: no contract is created where storage is already. Such an account has neither code nor nonce, so it can come only
//! from the allocation of a genesis, and only chains with one pay for the check. EIP-1283: the fees of SSTORE in the blocks
//! of Constantinople before Petersburg took them back.

use std::sync::Arc;

use alloy_consensus::{Transaction, TxEnvelope};
use alloy_evm::{
    EvmEnv,
    eth::{EthEvm, EthEvmBuilder},
    precompiles::PrecompilesMap,
};
use alloy_primitives::Address;
use revm::{
    Context, Database, Journal,
    bytecode::opcode,
    context::{BlockEnv, CfgEnv, ContextTr, TxEnv},
    context_interface::{
        Cfg,
        cfg::gas_params::{GasId, GasParams},
        journaled_state::JournalTr,
    },
    database::CacheDB,
    handler::instructions::EthInstructions,
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

use crate::{
    ChainSpec,
    execute::OverlayState,
    overlay::{BaseState, Overlay},
};

/// What code runs in: any state, and anything beside it.
type Surroundings<S, C> = Context<BlockEnv, TxEnv, CfgEnv, S, Journal<S>, C>;
type Running<'a, S, C> = InstructionContext<'a, Surroundings<S, C>, EthInterpreter>;
type OverlayEvm<'a, 'b> = EthEvm<&'a mut OverlayState<'b>, NoOpInspector, PrecompilesMap>;

/// A state that knows more of an account than the EVM asks for.
pub(crate) trait CreationState: Database {
    /// Whether an account with neither code nor nonce has storage. A fault is no, and shows elsewhere.
    fn has_storage(&self, address: Address) -> bool;
    /// Change the nonce of an account that was read, and nothing else.
    fn set_nonce(&mut self, address: Address, nonce: u64);
}

/// Which of the two rules hold in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) has_net_sstore: bool,
    pub(crate) checks_storage: bool,
}

impl Rules {
    pub(crate) fn at(spec: &ChainSpec, number: u64) -> Self {
        Self {
            has_net_sstore: spec.is_constantinople_alone(number),
            checks_storage: spec.has_storage_without_code,
        }
    }

    /// Teach them to an EVM.
    pub(crate) fn apply<S: CreationState, C>(
        self,
        instructions: &mut EthInstructions<EthInterpreter, Surroundings<S, C>>,
    ) {
        if self.has_net_sstore {
            instructions.insert_instruction(opcode::SSTORE, Instruction::new(net_sstore), 0);
        }
        if self.checks_storage {
            let table = instructions.instruction_table_mut();
            table[opcode::CREATE as usize] = Instruction::new(create::<false, S, C>);
            table[opcode::CREATE2 as usize] = Instruction::new(create::<true, S, C>);
        }
    }

    /// The account that a transaction would create although it has storage. It gets a nonce until the transaction has run,
    /// against which revm lets the creation fail.
    pub(crate) fn reserve(
        self,
        state: &mut impl CreationState,
        created: Option<Address>,
    ) -> Option<Address> {
        let taken = created.filter(|created| self.checks_storage && is_taken(state, *created))?;
        state.set_nonce(taken, 1);
        Some(taken)
    }
}

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
    let rules = Rules::at(spec, env.block_env.number.saturating_to());
    let mut evm = EthEvmBuilder::new(state, env).build().into_inner();
    rules.apply(&mut evm.instruction);
    EthEvm::new(evm, false)
}

/// SSTORE by EIP-1283.
pub(crate) fn net_sstore<S: Database, C>(context: Running<'_, S, C>) -> InstructionExecResult {
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

/// CREATE or CREATE2 by EIP-7610.
pub(crate) fn create<const IS_CREATE2: bool, S: CreationState, C>(
    context: Running<'_, S, C>,
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
        if is_reached && is_taken(&mut journal.database, created) {
            // What a creation that is tried always does: the address is warm from now on (EIP-2929). A fault shows at the end.
            let _ = journal.load_account(created);
            // The creator has code, so creating it collides as it should, with all that follows.
            inputs.set_scheme(CreateScheme::Custom { address: caller });
        }
    }
    result
}

/// Whether storage alone stands against a contract at an address: code and nonce are revm's to look at.
fn is_taken(state: &mut impl CreationState, address: Address) -> bool {
    let is_bare = |info: &AccountInfo| info.nonce == 0 && info.is_empty_code_hash();
    // Every state here remembers faults or meets them again, and what runs is given up for them.
    matches!(state.basic(address), Ok(Some(info)) if is_bare(&info)) && state.has_storage(address)
}

/// The account that a transaction of a block creates.
pub(crate) fn created_by(transaction: &TxEnvelope, sender: Address) -> Option<Address> {
    transaction
        .is_create()
        .then(|| sender.create(transaction.nonce()))
}

/// Undo [`Rules::reserve`] after the transaction.
pub(crate) fn release(state: &mut impl CreationState, reserved: Address) {
    state.set_nonce(reserved, 0);
}

impl CreationState for OverlayState<'_> {
    fn has_storage(&self, address: Address) -> bool {
        let cached = self.cache.accounts.get(&address);
        if let Some(cached) = cached.filter(|cached| cached.status.is_storage_known()) {
            return cached
                .account
                .as_ref()
                .is_some_and(|account| account.storage.values().any(|value| !value.is_zero()));
        }
        let overlay: &Overlay = self.database.0;
        overlay.has_storage(address).unwrap_or_default()
    }

    fn set_nonce(&mut self, address: Address, nonce: u64) {
        let cached = self.cache.accounts.get_mut(&address);
        if let Some(account) = cached.and_then(|cached| cached.account.as_mut()) {
            account.info.nonce = nonce;
        }
    }
}

impl<S: BaseState> CreationState for CacheDB<S> {
    fn has_storage(&self, address: Address) -> bool {
        if let Some(cached) = self.cache.accounts.get(&address) {
            let is_set = cached.storage.values().any(|value| !value.is_zero());
            if is_set || cached.account_state.is_storage_cleared() {
                return is_set;
            }
        }
        self.db.has_storage(address).unwrap_or_default()
    }

    fn set_nonce(&mut self, address: Address, nonce: u64) {
        if let Some(account) = self.cache.accounts.get_mut(&address) {
            account.info.nonce = nonce;
        }
    }
}

impl<S: CreationState> CreationState for &mut S {
    fn has_storage(&self, address: Address) -> bool {
        (**self).has_storage(address)
    }

    fn set_nonce(&mut self, address: Address, nonce: u64) {
        (**self).set_nonce(address, nonce);
    }
}
