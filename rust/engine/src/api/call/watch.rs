//! The clock inside a running call. Code cannot run for long without a jump destination or a call, so these
//! instructions count, and every so often look at the clock; when it is too late the whole call ends at once.
//! An inspector could do the same at several times the price. At the same places they look at the memory that the call takes, and where
//! it writes a slot or a log: code of half a megabyte holds much of these without a jump.

use std::time::Instant;

use revm::{
    bytecode::opcode,
    context_interface::context::ContextError,
    handler::instructions::InstructionProvider,
    interpreter::{
        Instruction, InstructionContext, InstructionExecResult, InstructionResult, Stack,
        instructions::{
            GasTable, InstructionTable, contract, control, gas_table_spec, host, instruction_table,
        },
        interpreter::EthInterpreter,
    },
    primitives::hardfork::SpecId,
};

use super::{
    super::{Caller, Holding},
    CallContext, CallState,
    failure::Sizes,
    footprint::{LARGE_BYTES, call_bytes, give_own_pages},
};
use crate::{
    instructions::{self, Rules},
    tracing::NO_ROOM,
};

/// Jumps between two looks at the clock: between two jumps lie microseconds at most, outside of calls.
const STEPS_BETWEEN_LOOKS: u32 = 256;
/// A call counts for more, because a precompile can take milliseconds.
const STEPS_OF_A_CALL: u32 = 32;
const STEPS_OF_A_JUMP: u32 = 1;
/// A slot that is written, or a log: some hundred bytes.
const STEPS_OF_A_CHANGE: u32 = 1;
/// More memory than the gas of any call pays for.
const OUTPUT_BYTES_MAX: usize = 64 << 20;

/// When a call has to end.
#[derive(Debug)]
pub(in super::super) struct Watch {
    deadline: Instant,
    caller: Caller,
    steps_left: u32,
    expired: bool,
    sizes: Sizes,
}

impl Watch {
    pub(super) fn until(deadline: Instant, caller: Caller) -> Self {
        Self {
            deadline,
            caller,
            steps_left: STEPS_BETWEEN_LOOKS,
            expired: false,
            sizes: Sizes::default(),
        }
    }

    pub(super) fn sizes(&self) -> Sizes {
        self.sizes
    }

    pub(super) fn is_expired(&self) -> bool {
        self.expired
    }

    /// Whether it is too late now, or nobody waits any more.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.deadline || self.caller.is_abandoned()
    }

    /// Count a step; false when it is time to look.
    fn step(&mut self, weight: u32) -> bool {
        match self.steps_left.checked_sub(weight) {
            Some(left) => self.steps_left = left,
            None => {
                self.steps_left = STEPS_BETWEEN_LOOKS;
                return false;
            }
        }
        true
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
    table[opcode::RETURN as usize] = Instruction::new(ret);
    table[opcode::REVERT as usize] = Instruction::new(revert);
    table[opcode::TSTORE as usize] = Instruction::new(tstore);
    table[opcode::LOG0 as usize] = Instruction::new(log::<0>);
    table[opcode::LOG1 as usize] = Instruction::new(log::<1>);
    table[opcode::LOG2 as usize] = Instruction::new(log::<2>);
    table[opcode::LOG3 as usize] = Instruction::new(log::<3>);
    table[opcode::LOG4 as usize] = Instruction::new(log::<4>);
    if checks_storage {
        table[opcode::CREATE as usize] = Instruction::new(create_checked::<false>);
        table[opcode::CREATE2 as usize] = Instruction::new(create_checked::<true>);
    } else {
        table[opcode::CREATE as usize] = Instruction::new(create::<false>);
        table[opcode::CREATE2 as usize] = Instruction::new(create::<true>);
    }
    table[opcode::SSTORE as usize] = if has_net_sstore {
        Instruction::new(net_sstore)
    } else {
        Instruction::new(sstore)
    };
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
    check_frame(context.host)?;
    contract::call::<KIND, _, _>(context)
}

fn create<const IS_CREATE2: bool>(context: Watched<'_>) -> InstructionExecResult {
    check_creation(context.host, &context.interpreter.stack)?;
    contract::create::<IS_CREATE2, _, _>(context)
}

fn create_checked<const IS_CREATE2: bool>(context: Watched<'_>) -> InstructionExecResult {
    check_creation(context.host, &context.interpreter.stack)?;
    instructions::create::<IS_CREATE2, CallState, Watch>(context)
}

/// RETURN copies a part of the memory, which it may enlarge to that end: megabytes without a loop or a call.
fn ret(mut context: Watched<'_>) -> InstructionExecResult {
    check_output(&mut context)?;
    control::ret(context)
}

fn revert(mut context: Watched<'_>) -> InstructionExecResult {
    check_output(&mut context)?;
    control::revert(context)
}

fn sstore(context: Watched<'_>) -> InstructionExecResult {
    check(context.host, STEPS_OF_A_CHANGE)?;
    host::sstore(context)
}

fn net_sstore(context: Watched<'_>) -> InstructionExecResult {
    check(context.host, STEPS_OF_A_CHANGE)?;
    instructions::net_sstore::<CallState, Watch>(context)
}

fn tstore(context: Watched<'_>) -> InstructionExecResult {
    check(context.host, STEPS_OF_A_CHANGE)?;
    host::tstore(context)
}

fn log<const TOPICS: usize>(context: Watched<'_>) -> InstructionExecResult {
    check(context.host, STEPS_OF_A_CHANGE)?;
    host::log::<TOPICS, _>(context)
}

fn check(context: &mut CallContext, weight: u32) -> InstructionExecResult {
    if context.chain.step(weight) {
        return Ok(());
    }
    let watch = &mut context.chain;
    watch.expired = watch.is_over();
    if watch.expired {
        return end(context, "timeout");
    }
    check_memory(context, 0)
}

/// A frame more: with few steps many of them can hold much.
fn check_frame(context: &mut CallContext) -> InstructionExecResult {
    check(context, STEPS_OF_A_CALL)?;
    let memory = context.local.shared_memory_buffer.borrow().len();
    if memory < LARGE_BYTES {
        return Ok(());
    }
    check_memory(context, 0)
}

/// The code to run is the third on the stack of both opcodes.
fn check_creation(context: &mut CallContext, stack: &Stack) -> InstructionExecResult {
    if let Ok(length) = stack.peek(2) {
        context.chain.sizes.init_code = length.saturating_to();
    }
    check_frame(context)
}

fn check_output(context: &mut Watched<'_>) -> InstructionExecResult {
    let Ok(length) = context.interpreter.stack.peek(1) else {
        return Ok(());
    };
    context.host.chain.sizes.returned = length.saturating_to();
    // More than its gas can pay ends in geth's words; so does a stack that is too short.
    match usize::try_from(length) {
        Ok(length) if (LARGE_BYTES..OUTPUT_BYTES_MAX).contains(&length) => {
            check_memory(context.host, 2 * length)
        }
        _ => Ok(()),
    }
}

/// Whether there is room for what the call holds, and for so much more.
fn check_memory(context: &mut CallContext, more: usize) -> InstructionExecResult {
    let bytes = call_bytes(context) + more;
    if context.chain.caller.may_hold(Holding::Run, bytes) {
        give_own_pages(context, more);
        return Ok(());
    }
    end(context, NO_ROOM)
}

/// An error of the context ends all frames; a failed frame would let its callers go on.
fn end(context: &mut CallContext, why: &str) -> InstructionExecResult {
    context.error = Err(ContextError::Custom(why.to_owned()));
    Err(InstructionResult::FatalExternalError)
}
