//! The clock inside a running call. Code cannot run for long without a jump destination or a call, so these
//! instructions count, and every so often look at the clock; when it is too late the whole call ends at once.
//! An inspector could do the same at several times the price.

use std::{fmt, sync::Arc, time::Instant};

use revm::{
    bytecode::opcode,
    context_interface::context::ContextError,
    handler::instructions::InstructionProvider,
    interpreter::{
        Instruction, InstructionContext, InstructionExecResult, InstructionResult,
        instructions::{GasTable, InstructionTable, contract, gas_table_spec, instruction_table},
        interpreter::EthInterpreter,
    },
    primitives::hardfork::SpecId,
};

use super::{CallContext, CallState};
use crate::instructions::{self, Rules};

/// Jumps between two looks at the clock: between two jumps lie microseconds at most, outside of calls.
const STEPS_BETWEEN_LOOKS: u32 = 256;
/// A call counts for more, because a precompile can take milliseconds.
const STEPS_OF_A_CALL: u32 = 32;
const STEPS_OF_A_JUMP: u32 = 1;

/// Tells whether nobody waits for the answer any more. By default somebody always does.
#[derive(Clone, Default)]
pub struct Abandonment(Option<Arc<dyn Fn() -> bool + Send + Sync>>);

impl Abandonment {
    /// `is_abandoned` is asked every few thousand opcodes.
    pub fn told_by(is_abandoned: Arc<dyn Fn() -> bool + Send + Sync>) -> Self {
        Self(Some(is_abandoned))
    }

    pub(in super::super) fn is_abandoned(&self) -> bool {
        self.0.as_ref().is_some_and(|is_abandoned| is_abandoned())
    }
}

impl fmt::Debug for Abandonment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Abandonment({})", self.is_abandoned())
    }
}

/// When a call has to end.
#[derive(Debug)]
pub(in super::super) struct Watch {
    deadline: Instant,
    abandonment: Abandonment,
    steps_left: u32,
    expired: bool,
}

impl Watch {
    pub(super) fn until(deadline: Instant, abandonment: Abandonment) -> Self {
        Self {
            deadline,
            abandonment,
            steps_left: STEPS_BETWEEN_LOOKS,
            expired: false,
        }
    }

    pub(super) fn is_expired(&self) -> bool {
        self.expired
    }

    fn step(&mut self, weight: u32) -> bool {
        match self.steps_left.checked_sub(weight) {
            Some(left) => self.steps_left = left,
            None => {
                self.steps_left = STEPS_BETWEEN_LOOKS;
                self.expired = Instant::now() >= self.deadline || self.abandonment.is_abandoned();
            }
        }
        !self.expired
    }
}

type Watched<'a> = InstructionContext<'a, CallContext, EthInterpreter>;

type Table = InstructionTable<EthInterpreter, CallContext>;

/// By whether SSTORE is that of EIP-1283, and by whether creations look for storage (EIP-7610).
static INSTRUCTIONS: [[Table; 2]; 2] = [
    [table(false, false), table(false, true)],
    [table(true, false), table(true, true)],
];

/// The EVM's instructions, with those counting that every loop and every recursion needs.
const fn table(has_net_sstore: bool, checks_storage: bool) -> Table {
    let mut table = instruction_table::<EthInterpreter, CallContext>();
    table[opcode::JUMPDEST as usize] = Instruction::new(jumpdest);
    table[opcode::CALL as usize] = Instruction::new(call::<{ opcode::CALL }>);
    table[opcode::CALLCODE as usize] = Instruction::new(call::<{ opcode::CALLCODE }>);
    table[opcode::DELEGATECALL as usize] = Instruction::new(call::<{ opcode::DELEGATECALL }>);
    table[opcode::STATICCALL as usize] = Instruction::new(call::<{ opcode::STATICCALL }>);
    if checks_storage {
        table[opcode::CREATE as usize] = Instruction::new(create_checked::<false>);
        table[opcode::CREATE2 as usize] = Instruction::new(create_checked::<true>);
    } else {
        table[opcode::CREATE as usize] = Instruction::new(create::<false>);
        table[opcode::CREATE2 as usize] = Instruction::new(create::<true>);
    }
    if has_net_sstore {
        table[opcode::SSTORE as usize] =
            Instruction::new(instructions::net_sstore::<CallState, Watch>);
    }
    table
}

/// The instructions with the gas prices of one fork.
pub(super) struct WatchedInstructions {
    table: &'static Table,
    gas: GasTable,
}

impl WatchedInstructions {
    pub(super) fn new(spec: SpecId, rules: Rules) -> Self {
        let of_stores = &INSTRUCTIONS[usize::from(rules.has_net_sstore)];
        Self {
            table: &of_stores[usize::from(rules.checks_storage)],
            gas: gas_table_spec(spec),
        }
    }
}

impl InstructionProvider for WatchedInstructions {
    type Context = CallContext;
    type InterpreterTypes = EthInterpreter;

    fn instruction_table(&self) -> &Table {
        self.table
    }

    fn gas_table(&self) -> &GasTable {
        &self.gas
    }
}

fn jumpdest(context: Watched<'_>) -> InstructionExecResult {
    check(context.host, STEPS_OF_A_JUMP)
}

fn call<const KIND: u8>(context: Watched<'_>) -> InstructionExecResult {
    check(context.host, STEPS_OF_A_CALL)?;
    contract::call::<KIND, _, _>(context)
}

fn create<const IS_CREATE2: bool>(context: Watched<'_>) -> InstructionExecResult {
    check(context.host, STEPS_OF_A_CALL)?;
    contract::create::<IS_CREATE2, _, _>(context)
}

fn create_checked<const IS_CREATE2: bool>(context: Watched<'_>) -> InstructionExecResult {
    check(context.host, STEPS_OF_A_CALL)?;
    instructions::create::<IS_CREATE2, CallState, Watch>(context)
}

/// An error of the context ends all frames; a failed frame would let its callers go on.
fn check(context: &mut CallContext, weight: u32) -> InstructionExecResult {
    if context.chain.step(weight) {
        return Ok(());
    }
    context.error = Err(ContextError::Custom("timeout".to_owned()));
    Err(InstructionResult::FatalExternalError)
}
