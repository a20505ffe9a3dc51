//! Watches the EVM and tells a tracer what go-ethereum's EVM would tell it.

use alloy_primitives::{Address, Bytes, Log, U256};
use revm::{
    Database as _, Inspector,
    bytecode::opcode,
    context::JournalTr,
    context_interface::CreateScheme,
    context_interface::{ContextTr, context::ContextError},
    inspector::JournalExt,
    interpreter::{
        CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome, FrameInput,
        InstructionResult, Interpreter, InterpreterAction, InterpreterResult,
        interpreter_types::{
            InputsTr, Jumps, LegacyBytecode, LoopControl, ReturnData, RuntimeFlag,
        },
    },
};

use super::{
    Entered, Exited, FrameKind, MemoryWanted, Peek, Step, Tracer, Wants,
    fault::{Fault, Price, frame_error, opcode_fault},
    gas::{Machine, constant_cost, unpaid_cost},
    precompile::precompile_error,
};
use crate::api::{Caller, Holding};

/// The error of a run that was stopped because its trace has more bytes than allowed.
pub(crate) const TOO_LARGE: &str = "trace too large";
/// The error of a run for which there is no more memory.
pub(crate) const NO_ROOM: &str = "no room";

/// An opcode takes no more from the stack.
const TOP_MAX: usize = 7;
/// Opcodes whose price depends on what was touched before cost less than this: below it, the machine is looked at.
const TOUCH_COST_MAX: u64 = 40_000;

/// An inspector with one tracer.
#[derive(Debug)]
pub(crate) struct TraceInspector {
    tracer: Tracer,
    wants: Wants,
    bytes_max: usize,
    caller: Caller,
    /// What earlier traces of the same call hold.
    held_before: usize,
    frames: Vec<Frame>,
    /// Gas that authorizations gave back before the first frame.
    refund_before: u64,
    before: Before,
}

/// A frame that is open.
#[derive(Debug)]
struct Frame {
    gas: u64,
    refund: i64,
    fault: Option<String>,
    /// Address and input of a precompile.
    precompile: Option<(Address, Bytes)>,
    /// Whether its code ended by itself.
    is_finished: bool,
}

/// The machine before the opcode that runs now.
#[derive(Debug, Default)]
struct Before {
    pc: usize,
    opcode: u8,
    gas: u64,
    stack_height: usize,
    /// The topmost entries of the stack, nearest first, as far as prices and faults depend on them.
    top: Vec<U256>,
    stack: Vec<U256>,
    memory: Vec<u8>,
    memory_bytes: usize,
    return_data: Bytes,
    is_cold: bool,
    /// Whether there is no code at all, which go-ethereum does not run.
    is_nothing: bool,
    /// Of an SSTORE: the slot's value before the transaction and now.
    slot: Option<(U256, U256)>,
    makes_account: bool,
    /// What a SELFDESTRUCT gives to whom.
    inheritance: Option<(Address, U256)>,
}

impl TraceInspector {
    /// `refund_before` is what authorizations gave back; the run stops when the trace has more than `bytes_max` bytes.
    pub(crate) fn new(tracer: Tracer, refund_before: u64, bytes_max: usize) -> Self {
        Self {
            wants: tracer.wants(),
            tracer,
            bytes_max,
            caller: Caller::default(),
            held_before: 0,
            frames: Vec::new(),
            refund_before,
            before: Before::default(),
        }
    }

    /// Hold what the caller of the trace may hold, of which earlier traces hold some already.
    pub(crate) fn held_by(self, caller: &Caller, held_before: usize) -> Self {
        Self {
            caller: caller.clone(),
            held_before,
            ..self
        }
    }

    pub(crate) fn into_tracer(self) -> Tracer {
        self.tracer
    }

    /// End the whole run when the trace is too large; a failed frame would let its callers go on.
    fn check_size(&self, context: &mut impl ContextTr) -> bool {
        let held = self.held_before + self.tracer.memory_bytes();
        let why = if self.tracer.bytes() > self.bytes_max {
            TOO_LARGE
        } else if !self.caller.may_hold(Holding::Trace, held) {
            NO_ROOM
        } else {
            return true;
        };
        let error = context.error();
        if error.is_ok() {
            *error = Err(ContextError::Custom(why.to_owned()));
        }
        false
    }

    fn enter(&mut self, frame: &Entered) {
        self.tracer.enter(frame);
        self.frames.push(Frame {
            gas: frame.gas,
            refund: 0,
            fault: None,
            precompile: frame.is_precompile.then(|| (frame.to, frame.input.clone())),
            is_finished: false,
        });
    }

    fn exit(&mut self, result: &InterpreterResult, is_nonce_spent: bool) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        let error = if is_nonce_spent {
            frame_error(InstructionResult::NonceOverflow, 0, None, false)
        } else if let (InstructionResult::PrecompileError, Some((address, input))) =
            (result.result, &frame.precompile)
        {
            Some(precompile_error(*address, input, frame.gas).to_owned())
        } else {
            frame_error(
                result.result,
                result.output.len(),
                frame.fault.as_deref(),
                frame.is_finished,
            )
        };
        let gas_used = if result.result.is_halt() {
            frame.gas
        } else {
            frame.gas.saturating_sub(result.gas.remaining())
        };
        self.tracer.exit(&Exited {
            depth: self.frames.len(),
            output: result.output.clone(),
            gas_used,
            error,
        });
    }

    fn refund(&self) -> u64 {
        let frames: i64 = self.frames.iter().map(|frame| frame.refund).sum();
        self.refund_before.saturating_add_signed(frames)
    }

    fn cost(
        &self,
        interp: &Interpreter,
        action: Option<&InterpreterAction>,
        fault: Option<&Fault>,
    ) -> u64 {
        let before = &self.before;
        let spec = interp.runtime_flag.spec_id();
        if let Some(fault) = fault
            && let Some(price) = fault.price
        {
            return match price {
                Price::Constant => constant_cost(before.opcode, spec),
                Price::Whole => unpaid_cost(
                    before.opcode,
                    Machine {
                        top: &before.top,
                        memory_bytes: before.memory_bytes,
                        gas: before.gas,
                        is_cold: before.is_cold,
                        slot: before.slot,
                        makes_account: before.makes_account,
                        spec,
                    },
                ),
            };
        }
        let spent = before.gas.saturating_sub(interp.gas.remaining());
        match action {
            // What a creation gives to its frame is no part of its price; what a call gives is.
            Some(InterpreterAction::NewFrame(FrameInput::Create(create))) => {
                spent.saturating_sub(create.gas_limit())
            }
            _ => spent,
        }
    }
}

impl<CTX: ContextTr<Journal: JournalExt>> Inspector<CTX> for TraceInspector {
    fn step(&mut self, interp: &mut Interpreter, context: &mut CTX) {
        let before = &mut self.before;
        before.opcode = interp.bytecode.opcode();
        before.stack_height = interp.stack.len();
        before.top.clear();
        before
            .top
            .extend(interp.stack.data().iter().rev().take(TOP_MAX));
        before.inheritance = None;
        before.gas = interp.gas.remaining();
        if before.opcode == opcode::SELFDESTRUCT {
            let heir = interp.stack.data().last().copied().unwrap_or_default();
            let own = interp.input.target_address();
            let balance = balance(context, own);
            before.inheritance = Some((Address::from_word(heir.into()), balance));
        }
        before.is_nothing = interp.bytecode.bytecode_len() == 0;
        if !self.wants.steps {
            return;
        }
        before.pc = interp.bytecode.pc();
        before.stack.clear();
        before.stack.extend_from_slice(interp.stack.data());
        before.return_data = interp.return_data.buffer().clone();
        let memory = interp.memory.context_memory();
        before.memory_bytes = memory.len();
        before.memory.clear();
        let is_read = match self.wants.memory {
            MemoryWanted::Never => false,
            MemoryWanted::AtCreate2 => before.opcode == opcode::CREATE2,
            MemoryWanted::Always => true,
        };
        if is_read {
            before.memory.extend_from_slice(&memory);
        }
        let contract = interp.input.target_address();
        let is_near_the_end = before.gas < TOUCH_COST_MAX;
        before.is_cold = is_near_the_end && is_cold(context, before.opcode, contract, &before.top);
        before.slot = None;
        before.makes_account = is_near_the_end
            && before
                .inheritance
                .is_some_and(|(heir, value)| !value.is_zero() && !Peeker(context).exists(heir));
        if is_near_the_end
            && before.opcode == opcode::SSTORE
            && let Some(slot) = before.top.first()
        {
            before.slot = Some(slot_values(context, contract, *slot));
        }
    }

    fn step_end(&mut self, interp: &mut Interpreter, context: &mut CTX) {
        let result = interp.bytecode.instruction_result();
        if result == Some(InstructionResult::FatalExternalError) {
            return;
        }
        let fault = result.and_then(|result| {
            opcode_fault(
                self.before.opcode,
                result,
                self.before.stack_height,
                &self.before.top,
                self.before.gas,
            )
        });
        if let Some(frame) = self.frames.last_mut() {
            frame.refund = interp.gas.refunded();
            frame.is_finished = result.is_some_and(|result| result.is_ok());
            frame.fault = fault.as_ref().map(|fault| fault.text.clone());
        }
        if self.wants.steps && !self.before.is_nothing {
            let action = interp.bytecode.action().take();
            let cost = self.cost(interp, action.as_ref(), fault.as_ref());
            *interp.bytecode.action() = action;
            let step = Step {
                pc: self.before.pc,
                opcode: self.before.opcode,
                gas: self.before.gas,
                cost,
                depth: self.frames.len(),
                refund: self.refund(),
                contract: interp.input.target_address(),
                stack: &self.before.stack,
                memory: &self.before.memory,
                return_data: &self.before.return_data,
                error: fault
                    .as_ref()
                    .filter(|fault| fault.is_uncharged)
                    .map(|fault| fault.text.as_str()),
            };
            self.tracer.step(&step, &mut Peeker(context));
        }
        if result == Some(InstructionResult::SelfDestruct)
            && let Some((heir, balance)) = self.before.inheritance.take()
        {
            self.enter(&Entered {
                depth: self.frames.len(),
                kind: FrameKind::SelfDestruct,
                from: interp.input.target_address(),
                to: heir,
                is_precompile: false,
                input: Bytes::new(),
                gas: 0,
                value: Some(balance),
            });
            self.frames.pop();
            self.tracer.exit(&Exited {
                depth: self.frames.len(),
                output: Bytes::new(),
                gas_used: 0,
                error: None,
            });
        }
        if !self.check_size(context) {
            // Whatever the opcode wanted to do next is given up.
            interp.bytecode.action().take();
            interp.bytecode.reset_action();
            interp.halt_fatal();
        }
    }

    fn log(&mut self, context: &mut CTX, log: Log) {
        // A frame that fails takes its logs back, and with them their numbers.
        let index = context.journal_ref().logs().len().saturating_sub(1);
        self.tracer.log(&log, index);
    }

    fn call(&mut self, context: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        let (kind, from, to, value) = match inputs.scheme {
            CallScheme::Call => (
                FrameKind::Call,
                inputs.caller,
                inputs.target_address,
                Some(inputs.call_value()),
            ),
            CallScheme::StaticCall => (
                FrameKind::StaticCall,
                inputs.caller,
                inputs.target_address,
                None,
            ),
            CallScheme::CallCode => (
                FrameKind::CallCode,
                inputs.target_address,
                inputs.bytecode_address,
                Some(inputs.call_value()),
            ),
            CallScheme::DelegateCall => (
                FrameKind::DelegateCall,
                inputs.target_address,
                inputs.bytecode_address,
                Some(inputs.call_value()),
            ),
        };
        let is_precompile = context.journal_ref().precompile_addresses().contains(&to);
        self.enter(&Entered {
            depth: self.frames.len(),
            kind,
            from,
            to,
            is_precompile,
            input: inputs.input.bytes(context),
            gas: inputs.gas_limit,
            value,
        });
        self.check_size(context);
        None
    }

    fn call_end(&mut self, context: &mut CTX, _: &CallInputs, outcome: &mut CallOutcome) {
        self.exit(&outcome.result, false);
        self.check_size(context);
    }

    fn create(&mut self, context: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        let kind = match inputs.scheme() {
            CreateScheme::Create2 { .. } => FrameKind::Create2,
            _ => FrameKind::Create,
        };
        let nonce = Peeker(context).nonce(inputs.caller());
        self.enter(&Entered {
            depth: self.frames.len(),
            kind,
            from: inputs.caller(),
            to: inputs.created_address(nonce),
            is_precompile: false,
            input: inputs.init_code().clone(),
            gas: inputs.gas_limit(),
            value: Some(inputs.value()),
        });
        self.check_size(context);
        None
    }

    fn create_end(
        &mut self,
        context: &mut CTX,
        inputs: &CreateInputs,
        outcome: &mut CreateOutcome,
    ) {
        // The EVM gives a creation whose creator has no nonce left as one that succeeded without an address.
        let is_nonce_spent = outcome.address.is_none()
            && outcome.result.result == InstructionResult::Return
            && Peeker(context).nonce(inputs.caller()) == u64::MAX;
        self.exit(&outcome.result, is_nonce_spent);
        self.check_size(context);
    }
}

fn balance(context: &mut impl ContextTr<Journal: JournalExt>, address: Address) -> U256 {
    context
        .journal_ref()
        .evm_state()
        .get(&address)
        .map_or(U256::ZERO, |account| account.info.balance)
}

/// Whether the opcode is the first to touch the slot or account at the top of the stack.
fn is_cold(
    context: &mut impl ContextTr<Journal: JournalExt>,
    code: u8,
    contract: Address,
    top: &[U256],
) -> bool {
    let top = top.first().copied().unwrap_or_default();
    let journal = context.journal_ref();
    match code {
        opcode::SLOAD | opcode::SSTORE => journal
            .evm_state()
            .get(&contract)
            .is_none_or(|account| !account.storage.contains_key(&top)),
        opcode::BALANCE
        | opcode::EXTCODESIZE
        | opcode::EXTCODEHASH
        | opcode::EXTCODECOPY
        | opcode::SELFDESTRUCT => {
            let address = Address::from_word(top.into());
            !journal.evm_state().contains_key(&address)
                && !journal.precompile_addresses().contains(&address)
        }
        _ => false,
    }
}

/// A slot's value before the transaction, and now.
fn slot_values(
    context: &mut impl ContextTr<Journal: JournalExt>,
    contract: Address,
    slot: U256,
) -> (U256, U256) {
    let loaded = context
        .journal_ref()
        .evm_state()
        .get(&contract)
        .and_then(|account| account.storage.get(&slot))
        .map(|slot| (slot.original_value, slot.present_value));
    loaded.unwrap_or_else(|| {
        let value = Peeker(context).storage(contract, slot);
        (value, value)
    })
}

/// Reads beside the journal: what the journal has not loaded is read from below it, and stays cold.
struct Peeker<'a, CTX>(&'a mut CTX);

impl<CTX: ContextTr<Journal: JournalExt>> Peek for Peeker<'_, CTX> {
    fn nonce(&mut self, address: Address) -> u64 {
        if let Some(account) = self.0.journal_ref().evm_state().get(&address) {
            return account.info.nonce;
        }
        let account = self.0.db_mut().basic(address).ok().flatten();
        account.map_or(0, |account| account.nonce)
    }

    fn exists(&mut self, address: Address) -> bool {
        if let Some(account) = self.0.journal_ref().evm_state().get(&address) {
            return !account.is_empty();
        }
        let account = self.0.db_mut().basic(address).ok().flatten();
        account.is_some_and(|account| !account.is_empty())
    }

    fn storage(&mut self, address: Address, slot: U256) -> U256 {
        if let Some(account) = self.0.journal_ref().evm_state().get(&address) {
            if let Some(slot) = account.storage.get(&slot) {
                return slot.present_value;
            }
            if account.is_created() {
                return U256::ZERO;
            }
        }
        self.0.db_mut().storage(address, slot).unwrap_or_default()
    }

    fn delegate(&mut self, address: Address) -> Option<Address> {
        let loaded = self.0.journal_ref().evm_state().get(&address);
        let info = match loaded {
            Some(account) => account.info.clone(),
            None => self.0.db_mut().basic(address).ok().flatten()?,
        };
        let code = match info.code {
            Some(code) => code,
            None => self.0.db_mut().code_by_hash(info.code_hash).ok()?,
        };
        code.eip7702_address()
    }
}
