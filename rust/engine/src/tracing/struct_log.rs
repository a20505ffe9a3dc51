//! Every opcode with the machine before it: the default of `debug_trace*`.

use std::collections::{BTreeMap, HashMap};

use alloy_primitives::{Address, Bytes, U256};
use revm::bytecode::opcode::{self, OpCode};
use serde_json::value::RawValue;

use super::{Ended, Exited, MemoryWanted, Peek, REVERTED, Step, Wants, json};
use crate::EngineError;

/// What of the machine to show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StructLogOptions {
    pub(crate) memory: bool,
    pub(crate) no_stack: bool,
    pub(crate) no_storage: bool,
    pub(crate) return_data: bool,
    /// Stop to add opcodes once their JSON has more bytes; 0 for no end, and below it none is added.
    pub(crate) limit_bytes: i64,
}

/// Writes each opcode as JSON as soon as it is seen.
#[derive(Debug, Default)]
pub(crate) struct StructLogger {
    options: StructLogOptions,
    logs: String,
    /// Bytes of the opcodes without what stands between them.
    logs_bytes: i64,
    /// The slots that each contract has read or written so far.
    storage: HashMap<Address, BTreeMap<U256, U256>>,
    output: Bytes,
    error: Option<String>,
}

impl StructLogger {
    pub(super) fn new(options: StructLogOptions) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    pub(super) fn wants(&self) -> Wants {
        Wants {
            steps: true,
            memory: if self.options.memory {
                MemoryWanted::Always
            } else {
                MemoryWanted::Never
            },
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.logs.len()
    }

    pub(super) fn step(&mut self, step: &Step<'_>, state: &mut dyn Peek) {
        let limit = self.options.limit_bytes;
        if limit != 0 && self.logs_bytes > limit {
            return;
        }
        if !self.logs.is_empty() {
            self.logs.push(',');
        }
        let before = self.logs.len();
        self.write(step, state);
        self.logs_bytes += i64::try_from(self.logs.len() - before).unwrap_or_default();
    }

    fn write(&mut self, step: &Step<'_>, state: &mut dyn Peek) {
        let out = &mut self.logs;
        out.push_str("{\"pc\":");
        json::push_number(out, step.pc as u64);
        out.push_str(",\"op\":\"");
        push_name(out, step.opcode);
        out.push_str("\",\"gas\":");
        json::push_number(out, step.gas);
        out.push_str(",\"gasCost\":");
        json::push_number(out, step.cost);
        out.push_str(",\"depth\":");
        json::push_number(out, step.depth as u64);
        if let Some(error) = step.error {
            out.push_str(",\"error\":");
            json::push_text(out, error);
        }
        if !self.options.no_stack {
            out.push_str(",\"stack\":[");
            for (index, word) in step.stack.iter().enumerate() {
                if index != 0 {
                    out.push(',');
                }
                json::push_quantity(out, *word);
            }
            out.push(']');
        }
        if self.options.return_data && !step.return_data.is_empty() {
            out.push_str(",\"returnData\":");
            json::push_data(out, step.return_data);
        }
        if self.options.memory && !step.memory.is_empty() {
            out.push_str(",\"memory\":[");
            for (index, word) in step.memory.chunks(32).enumerate() {
                if index != 0 {
                    out.push(',');
                }
                let mut padded = [0; 32];
                padded[..word.len()].copy_from_slice(word);
                json::push_data(out, &padded);
            }
            out.push(']');
        }
        if !self.options.no_storage {
            write_storage(out, &mut self.storage, step, state);
        }
        if step.refund != 0 {
            out.push_str(",\"refund\":");
            json::push_number(out, step.refund);
        }
        out.push('}');
    }

    pub(super) fn exit(&mut self, frame: &Exited) {
        if frame.depth == 0 {
            self.output = frame.output.clone();
            self.error = frame.error.clone();
        }
    }

    pub(super) fn finish(self, ended: &Ended<'_>) -> Result<Box<RawValue>, EngineError> {
        let failed = self.error.is_some();
        // What another failure than a revert leaves behind is nothing that the caller sees.
        let shown = !failed || self.error.as_deref() == Some(REVERTED);
        let output = if shown { &self.output[..] } else { &[] };
        let mut out = String::with_capacity(output.len() * 2 + 100);
        out.push_str("{\"gas\":");
        json::push_number(&mut out, ended.gas_used);
        out.push_str(",\"failed\":");
        out.push_str(if failed { "true" } else { "false" });
        out.push_str(",\"returnValue\":");
        json::push_data(&mut out, output);
        out.push_str(",\"structLogs\":[");
        // Megabytes that are there already are not written again.
        let mut logs = self.logs;
        logs.insert_str(0, &out);
        logs.push_str("]}");
        json::raw(logs)
    }
}

/// All slots that the contract has touched so far, at the two opcodes that touch one.
fn write_storage(
    out: &mut String,
    storage: &mut HashMap<Address, BTreeMap<U256, U256>>,
    step: &Step<'_>,
    state: &mut dyn Peek,
) {
    let (slot, value) = match (step.opcode, step.back(0), step.back(1)) {
        (opcode::SLOAD, Some(slot), _) => (slot, state.storage(step.contract, slot)),
        (opcode::SSTORE, Some(slot), Some(value)) => (slot, value),
        _ => return,
    };
    let slots = storage.entry(step.contract).or_default();
    slots.insert(slot, value);
    out.push_str(",\"storage\":{");
    for (index, (slot, value)) in slots.iter().enumerate() {
        if index != 0 {
            out.push(',');
        }
        json::push_data(out, &slot.to_be_bytes::<32>());
        out.push(':');
        json::push_data(out, &value.to_be_bytes::<32>());
    }
    out.push('}');
}

/// The opcode as go-ethereum spells it.
pub(super) fn name(opcode: u8) -> String {
    let mut out = String::new();
    push_name(&mut out, opcode);
    out
}

fn push_name(out: &mut String, code: u8) {
    match (code, OpCode::new(code)) {
        (opcode::KECCAK256, _) => out.push_str("KECCAK256"),
        (opcode::INVALID, _) => out.push_str("INVALID"),
        (_, Some(known)) => out.push_str(known.as_str()),
        (_, None) => out.push_str(&format!("opcode {code:#x} not defined")),
    }
}
