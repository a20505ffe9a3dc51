//! What a transaction did, in the forms that go-ethereum's tracers give it.
//!
//! [`TraceInspector`] watches the EVM and tells a [`Tracer`] what go-ethereum would tell its own: frames entered and
//! left, opcodes once they are charged, logs. The order of fields, the texts of errors and the numbers are part of the
//! form, because tools read them. `trace_` has the forms of Parity, which the crate revm-inspectors writes.
//!
//! Nothing here reads the chain or knows JSON-RPC: `api::debug` finds the state and runs the transactions.

mod call;
mod duration;
mod fault;
mod flat;
mod four_byte;
mod gas;
mod inspector;
mod json;
mod mux;
mod options;
mod otterscan;
mod precompile;
mod prestate;
mod struct_log;

use alloy_primitives::{Address, B256, Bytes, U256};
use revm::{DatabaseRef, state::EvmState};
use serde_json::value::RawValue;

use self::{
    call::CallTracer, flat::FlatCallTracer, four_byte::FourByteTracer, mux::MuxTracer,
    prestate::PrestateTracer, struct_log::StructLogger,
};
pub(crate) use self::{
    duration::parse_duration,
    inspector::{NO_ROOM, TOO_LARGE, TraceInspector},
    options::{StructLogOptions, TracerKind},
    otterscan::{EntryTracer, MentionTracer},
};
use crate::EngineError;

/// The transaction that is traced, and where it stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traced {
    /// `None` for a call that is in no block.
    pub(crate) block_hash: Option<B256>,
    pub(crate) block_number: u64,
    pub(crate) transaction_hash: Option<B256>,
    pub(crate) transaction_index: u64,
    pub(crate) sender: Address,
    /// Whom it calls; the new contract's address where it creates one.
    pub(crate) to: Address,
    pub(crate) is_create: bool,
    pub(crate) gas_limit: u64,
    pub(crate) coinbase: Address,
    /// Whether accounts can delegate their code (EIP-7702).
    pub(crate) has_delegations: bool,
    /// Whether SELFDESTRUCT deletes only what the same transaction created (EIP-6780).
    pub(crate) keeps_destroyed: bool,
    /// Who signed an authorization of EIP-7702.
    pub(crate) authorities: Vec<Address>,
    /// Where the code of the called account is delegated to.
    pub(crate) delegate: Option<Address>,
    /// Gas that authorizations give back before the first opcode runs.
    pub(crate) refund: u64,
    /// Logs that the block has before those of the transaction.
    pub(crate) logs_before: u64,
}

/// What is called or created, as an opcode names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Call,
    CallCode,
    DelegateCall,
    StaticCall,
    Create,
    Create2,
    SelfDestruct,
}

impl FrameKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Call => "CALL",
            Self::CallCode => "CALLCODE",
            Self::DelegateCall => "DELEGATECALL",
            Self::StaticCall => "STATICCALL",
            Self::Create => "CREATE",
            Self::Create2 => "CREATE2",
            Self::SelfDestruct => "SELFDESTRUCT",
        }
    }

    pub(crate) fn is_create(self) -> bool {
        matches!(self, Self::Create | Self::Create2)
    }
}

/// A frame that begins. A self-destruction is a frame too, which ends at once.
#[derive(Debug, Clone)]
pub(crate) struct Entered {
    /// 0 for the transaction itself.
    pub(crate) depth: usize,
    pub(crate) kind: FrameKind,
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) is_precompile: bool,
    pub(crate) input: Bytes,
    pub(crate) gas: u64,
    /// `None` for a STATICCALL.
    pub(crate) value: Option<U256>,
}

/// A frame that ends.
#[derive(Debug, Clone)]
pub(crate) struct Exited {
    pub(crate) depth: usize,
    pub(crate) output: Bytes,
    pub(crate) gas_used: u64,
    pub(crate) error: Option<String>,
}

/// The text of a revert, which tracers treat apart from other errors.
pub(crate) const REVERTED: &str = "execution reverted";

/// An opcode that has been charged, with the state of the machine before it ran.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) pc: usize,
    pub(crate) opcode: u8,
    /// Gas before the opcode.
    pub(crate) gas: u64,
    pub(crate) cost: u64,
    /// 1 for the code of the transaction's own call.
    pub(crate) depth: usize,
    pub(crate) refund: u64,
    /// Whose storage the code works on.
    pub(crate) contract: Address,
    pub(crate) stack: &'a [U256],
    pub(crate) memory: &'a [u8],
    pub(crate) return_data: &'a [u8],
    /// Why it could not even be charged.
    pub(crate) error: Option<&'a str>,
}

impl Step<'_> {
    /// The stack's entry `back` from the top.
    pub(crate) fn back(&self, back: usize) -> Option<U256> {
        let index = self.stack.len().checked_sub(back + 1)?;
        self.stack.get(index).copied()
    }

    pub(crate) fn back_address(&self, back: usize) -> Option<Address> {
        self.back(back)
            .map(|word| Address::from_word(B256::from(word)))
    }
}

/// Looks at the state in the midst of a transaction without warming anything.
pub(crate) trait Peek {
    fn nonce(&mut self, address: Address) -> u64;
    fn exists(&mut self, address: Address) -> bool;
    fn storage(&mut self, address: Address, slot: U256) -> U256;
    /// Where the account's code is delegated to.
    fn delegate(&mut self, address: Address) -> Option<Address>;
}

/// How the transaction ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended<'a> {
    pub(crate) gas_used: u64,
    /// Accounts as the transaction leaves them; those it did not touch are as before.
    pub(crate) state: &'a EvmState,
}

/// What a tracer wants to see, so that the rest costs nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    pub(crate) steps: bool,
    pub(crate) memory: MemoryWanted,
}

/// At which steps a tracer reads the memory: copying it costs its size at each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MemoryWanted {
    #[default]
    Never,
    /// Where the address of a new contract depends on it.
    AtCreate2,
    Always,
}

/// A tracer at work on one transaction.
#[derive(Debug)]
pub(crate) enum Tracer {
    StructLogs(StructLogger),
    Calls(CallTracer),
    FlatCalls(FlatCallTracer),
    Prestate(PrestateTracer),
    FourByte(FourByteTracer),
    Mux(MuxTracer),
    Entries(EntryTracer),
    Mention(MentionTracer),
    Noop,
}

impl Tracer {
    pub(crate) fn wants(&self) -> Wants {
        match self {
            Self::StructLogs(tracer) => tracer.wants(),
            Self::Prestate(_) => Wants {
                steps: true,
                memory: MemoryWanted::AtCreate2,
            },
            Self::Mux(tracer) => tracer.wants(),
            _ => Wants::default(),
        }
    }

    pub(crate) fn enter(&mut self, frame: &Entered) {
        match self {
            Self::Calls(tracer) => tracer.enter(frame),
            Self::FlatCalls(tracer) => tracer.enter(frame),
            Self::FourByte(tracer) => tracer.enter(frame),
            Self::Mux(tracer) => tracer.each(|tracer| tracer.enter(frame)),
            Self::Entries(tracer) => tracer.enter(frame),
            Self::Mention(tracer) => tracer.enter(frame),
            Self::StructLogs(_) | Self::Prestate(_) | Self::Noop => {}
        }
    }

    pub(crate) fn exit(&mut self, frame: &Exited) {
        match self {
            Self::StructLogs(tracer) => tracer.exit(frame),
            Self::Calls(tracer) => tracer.exit(frame),
            Self::FlatCalls(tracer) => tracer.exit(frame),
            Self::Mux(tracer) => tracer.each(|tracer| tracer.exit(frame)),
            Self::Entries(tracer) => tracer.exit(frame),
            Self::Mention(tracer) => tracer.exit(frame),
            Self::Prestate(_) | Self::FourByte(_) | Self::Noop => {}
        }
    }

    pub(crate) fn step(&mut self, step: &Step<'_>, state: &mut dyn Peek) {
        match self {
            Self::StructLogs(tracer) => tracer.step(step, state),
            Self::Prestate(tracer) => tracer.step(step, state),
            Self::Mux(tracer) => tracer.each(|tracer| tracer.step(step, state)),
            _ => {}
        }
    }

    /// `index` is the number of the transaction's logs that stand before it.
    pub(crate) fn log(&mut self, log: &alloy_primitives::Log, index: usize) {
        match self {
            Self::Calls(tracer) => tracer.log(log, index),
            Self::Mux(tracer) => tracer.each(|tracer| tracer.log(log, index)),
            _ => {}
        }
    }

    /// Bytes that the trace holds by now, about what it will have as JSON.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::StructLogs(tracer) => tracer.bytes(),
            Self::Calls(tracer) => tracer.bytes(),
            Self::FlatCalls(tracer) => tracer.bytes(),
            Self::Prestate(tracer) => tracer.bytes(),
            Self::FourByte(tracer) => tracer.bytes(),
            Self::Mux(tracer) => tracer.bytes(),
            Self::Entries(tracer) => tracer.bytes(),
            Self::Mention(_) | Self::Noop => 0,
        }
    }

    /// What it takes of the machine's memory with the text that it becomes.
    pub(crate) fn memory_bytes(&self) -> usize {
        match self {
            // It is that text, which is there twice while it grows.
            Self::StructLogs(_) => self.bytes() * 2,
            // Values are larger than their JSON, and are there until it is written.
            _ => self.bytes() * 4,
        }
    }

    /// The trace as JSON. `before` is the state that the transaction began with.
    pub(crate) fn finish(
        self,
        ended: &Ended<'_>,
        before: &impl DatabaseRef<Error = EngineError>,
    ) -> Result<Box<RawValue>, EngineError> {
        match self {
            Self::StructLogs(tracer) => tracer.finish(ended),
            Self::Calls(tracer) => tracer.finish(ended),
            Self::FlatCalls(tracer) => tracer.finish(ended),
            Self::Prestate(tracer) => tracer.finish(ended, before),
            Self::FourByte(tracer) => tracer.finish(),
            Self::Mux(tracer) => tracer.finish(ended, before),
            Self::Entries(tracer) => tracer.finish(),
            Self::Mention(tracer) => json::write(&tracer.is_found()),
            Self::Noop => json::write(&serde_json::Map::new()),
        }
    }
}
