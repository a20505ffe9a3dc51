//! What watches a simulated call: the clock, and the logs, with transfers of ether among them if they are wanted.

use std::time::Instant;

use alloy_primitives::{Address, B256, Log, LogData, U256, address, b256};
use revm::{
    Inspector,
    context_interface::{ContextTr, JournalTr, context::ContextError},
    inspector::JournalExt,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter, InterpreterTypes,
    },
};

use crate::{
    api::{
        Caller, Holding,
        call::{Sizes, give_own_pages, run_bytes},
    },
    tracing::NO_ROOM,
};

/// Where the logs of transfers seem to come from.
const TRANSFERS: Address = address!("0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
/// keccak256 of `Transfer(address,address,uint256)`.
const TRANSFER: B256 = b256!("0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");
/// Instructions between two looks at the clock: some microseconds.
const STEPS_BETWEEN_LOOKS: u64 = 1_024;
/// A log without its data.
const LOG_BYTES: usize = 200;

/// Keeps the logs of frames that did not fail, and ends the call when it is too late.
#[derive(Debug)]
pub(super) struct Watcher {
    deadline: Instant,
    steps: u64,
    next_look: u64,
    pub(super) expired: bool,
    /// The run takes more memory than is left for calls.
    pub(super) has_no_room: bool,
    caller: Caller,
    /// Of the last creation.
    pub(super) sizes: Sizes,
    wants_transfers: bool,
    /// The logs of each open frame.
    frames: Vec<Vec<Log>>,
    /// Those of the finished call.
    logs: Vec<Log>,
}

impl Watcher {
    pub(super) fn new(deadline: Instant, caller: &Caller, wants_transfers: bool) -> Self {
        Self {
            deadline,
            steps: 0,
            next_look: STEPS_BETWEEN_LOOKS,
            expired: false,
            has_no_room: false,
            caller: caller.clone(),
            sizes: Sizes::default(),
            wants_transfers,
            frames: Vec::new(),
            logs: Vec::new(),
        }
    }

    /// The logs of the last call, in order.
    pub(super) fn take_logs(&mut self) -> Vec<Log> {
        self.frames.clear();
        std::mem::take(&mut self.logs)
    }

    fn keep(&mut self, log: Log) {
        match self.frames.last_mut() {
            Some(frame) => frame.push(log),
            None => self.logs.push(log),
        }
    }

    fn transfer(&mut self, from: Address, to: Address, value: U256) {
        if self.wants_transfers && !value.is_zero() {
            self.keep(Log {
                address: TRANSFERS,
                data: LogData::new_unchecked(
                    vec![TRANSFER, from.into_word(), to.into_word()],
                    value.to_be_bytes::<32>().into(),
                ),
            });
        }
    }

    fn leave(&mut self, succeeded: bool) {
        let logs = self.frames.pop().unwrap_or_default();
        if succeeded {
            match self.frames.last_mut() {
                Some(caller) => caller.extend(logs),
                None => self.logs.extend(logs),
            }
        }
    }

    /// Why the call has to end, if it has to.
    fn look(&mut self, context: &impl ContextTr<Journal: JournalExt>) -> Option<&'static str> {
        self.expired |= Instant::now() >= self.deadline || self.caller.is_abandoned();
        if self.expired {
            return Some("timeout");
        }
        let logs = self.frames.iter().map(Vec::len).sum::<usize>() * LOG_BYTES;
        self.has_no_room |= !self
            .caller
            .may_hold(Holding::Run, run_bytes(context) + logs);
        if self.has_no_room {
            return Some(NO_ROOM);
        }
        give_own_pages(context, 0);
        None
    }
}

impl<C: ContextTr<Journal: JournalExt>, I: InterpreterTypes> Inspector<C, I> for Watcher {
    fn step(&mut self, interpreter: &mut Interpreter<I>, context: &mut C) {
        self.steps += 1;
        if self.steps < self.next_look {
            return;
        }
        self.next_look = self.steps + STEPS_BETWEEN_LOOKS;
        if let Some(why) = self.look(context) {
            // An error of the context ends all frames; a failed frame would let its callers go on.
            *context.error() = Err(ContextError::Custom(why.to_owned()));
            interpreter.halt_fatal();
        }
    }

    fn log(&mut self, _: &mut C, log: Log) {
        self.keep(log);
    }

    fn call(&mut self, context: &mut C, inputs: &mut CallInputs) -> Option<CallOutcome> {
        // Recursion without a loop, and precompiles, take few steps.
        self.steps += STEPS_BETWEEN_LOOKS / 8;
        let _ = context;
        self.frames.push(Vec::new());
        if let Some(value) = inputs.transfer_value() {
            self.transfer(inputs.transfer_from(), inputs.transfer_to(), value);
        }
        None
    }

    fn call_end(&mut self, _: &mut C, _: &CallInputs, outcome: &mut CallOutcome) {
        self.leave(outcome.result.is_ok());
    }

    fn create(&mut self, context: &mut C, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.frames.push(Vec::new());
        if self.wants_transfers && !inputs.value().is_zero() {
            let caller = context.journal_mut().load_account(inputs.caller()).ok();
            let nonce = caller.map_or(0, |caller| caller.data.info.nonce);
            self.transfer(
                inputs.caller(),
                inputs.created_address(nonce),
                inputs.value(),
            );
        }
        None
    }

    fn create_end(&mut self, _: &mut C, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.sizes.returned = outcome.result.output.len() as u64;
        self.leave(outcome.result.is_ok());
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.transfer(contract, target, value);
    }
}
