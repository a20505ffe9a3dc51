//! What Otterscan asks about a transaction: a list of its calls, and whether an address takes part in it.

use alloy_primitives::{Address, Bytes, U256};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Entered, Exited, FrameKind, json};
use crate::EngineError;

/// What an entry weighs besides its bytes.
const ENTRY_BYTES: usize = 250;

/// A call, creation or self-destruction.
#[derive(Debug, Serialize)]
struct Entry {
    r#type: &'static str,
    depth: usize,
    from: Address,
    to: Address,
    value: Option<U256>,
    input: Bytes,
    output: Bytes,
}

/// Lists the frames in the order in which they began, without those of precompiles.
#[derive(Debug, Default)]
pub(crate) struct EntryTracer {
    entries: Vec<Entry>,
    /// The entries of open frames; `None` for one that is not listed.
    open: Vec<Option<usize>>,
    bytes: usize,
}

impl EntryTracer {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn enter(&mut self, frame: &Entered) {
        if frame.is_precompile {
            self.open.push(None);
            return;
        }
        self.bytes += ENTRY_BYTES + frame.input.len() * 2;
        self.open.push(Some(self.entries.len()));
        self.entries.push(Entry {
            r#type: frame.kind.name(),
            depth: frame.depth,
            from: frame.from,
            to: frame.to,
            // What a delegated call shows as its value is its caller's.
            value: frame
                .value
                .filter(|_| frame.kind != FrameKind::DelegateCall),
            input: frame.input.clone(),
            output: Bytes::new(),
        });
    }

    pub(super) fn exit(&mut self, frame: &Exited) {
        if let Some(entry) = self
            .open
            .pop()
            .flatten()
            .and_then(|index| self.entries.get_mut(index))
        {
            self.bytes += frame.output.len() * 2;
            entry.output = frame.output.clone();
        }
    }

    pub(super) fn finish(self) -> Result<Box<RawValue>, EngineError> {
        json::write(&self.entries)
    }
}

/// Looks for an address among those that call or are called.
#[derive(Debug)]
pub(crate) struct MentionTracer {
    wanted: Address,
    is_found: bool,
    /// Who created the wanted address, if it was created.
    creator: Option<Address>,
    /// The open creations of the wanted address, by depth and creator.
    creating: Vec<(usize, Address)>,
}

impl MentionTracer {
    pub(crate) fn new(wanted: Address) -> Self {
        Self {
            wanted,
            is_found: false,
            creator: None,
            creating: Vec::new(),
        }
    }

    pub(crate) fn is_found(&self) -> bool {
        self.is_found
    }

    /// Who created the address, as far as the creation did not fail by itself.
    pub(crate) fn creator(&self) -> Option<Address> {
        self.creator
    }

    pub(super) fn enter(&mut self, frame: &Entered) {
        self.is_found |= frame.from == self.wanted || frame.to == self.wanted;
        if frame.kind.is_create() && frame.to == self.wanted {
            self.creating.push((frame.depth, frame.from));
        }
    }

    pub(super) fn exit(&mut self, frame: &Exited) {
        if let Some((depth, creator)) = self.creating.last().copied()
            && depth == frame.depth
        {
            self.creating.pop();
            if frame.error.is_none() {
                self.creator = Some(creator);
            }
        }
    }
}
