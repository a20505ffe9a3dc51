//! `callTracer`: the tree of calls.

use alloy_primitives::{Address, B256, Bytes, Log, U64, U256};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Ended, Entered, Exited, FrameKind, REVERTED, Traced, json};
use crate::{EngineError, api::revert_text};

/// What a frame weighs besides its bytes.
const FRAME_BYTES: usize = 400;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CallOptions {
    pub(crate) only_top_call: bool,
    pub(crate) with_log: bool,
}

/// A call with those it made. The order of the fields is that of the JSON.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CallFrame {
    pub(super) from: Address,
    pub(super) gas: U64,
    pub(super) gas_used: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) to: Option<Address>,
    pub(super) input: Bytes,
    #[serde(skip_serializing_if = "is_empty")]
    pub(super) output: Bytes,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) revert_reason: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) calls: Vec<CallFrame>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) logs: Vec<CallLog>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<U256>,
    #[serde(rename = "type", serialize_with = "kind")]
    pub(super) kind: FrameKind,
    #[serde(skip)]
    pub(super) is_precompile: bool,
}

fn kind<S: serde::Serializer>(kind: &FrameKind, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(kind.name())
}

fn is_empty(bytes: &Bytes) -> bool {
    bytes.is_empty()
}

/// A log, with the number of calls that its frame had made before it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CallLog {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
    index: U64,
    position: U64,
}

#[derive(Debug)]
pub(crate) struct CallTracer {
    options: CallOptions,
    gas_limit: u64,
    /// The frames that are open, and at the end the one of the transaction.
    open: Vec<CallFrame>,
    top: Option<CallFrame>,
    depth: usize,
    logs_before: u64,
    bytes: usize,
}

impl CallTracer {
    pub(super) fn new(options: CallOptions, traced: &Traced) -> Self {
        Self {
            options,
            gas_limit: traced.gas_limit,
            open: Vec::new(),
            top: None,
            depth: 0,
            logs_before: traced.logs_before,
            bytes: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn enter(&mut self, frame: &Entered) {
        self.depth = frame.depth;
        if self.options.only_top_call && frame.depth > 0 {
            return;
        }
        self.bytes += FRAME_BYTES + frame.input.len() * 2;
        let gas = if frame.depth == 0 {
            self.gas_limit
        } else {
            frame.gas
        };
        self.open.push(CallFrame {
            from: frame.from,
            gas: U64::from(gas),
            gas_used: U64::ZERO,
            to: Some(frame.to),
            input: frame.input.clone(),
            output: Bytes::new(),
            error: None,
            revert_reason: None,
            calls: Vec::new(),
            logs: Vec::new(),
            value: frame.value,
            kind: frame.kind,
            is_precompile: frame.is_precompile,
        });
    }

    pub(super) fn exit(&mut self, exited: &Exited) {
        self.depth = exited.depth.saturating_sub(1);
        if self.options.only_top_call && exited.depth > 0 {
            return;
        }
        let Some(mut frame) = self.open.pop() else {
            return;
        };
        // There are thousands, which would keep room for more calls.
        frame.calls.shrink_to_fit();
        self.bytes += exited.output.len() * 2;
        frame.gas_used = U64::from(exited.gas_used);
        frame.end_with(exited);
        match self.open.last_mut() {
            Some(parent) => parent.calls.push(frame),
            None => self.top = Some(frame),
        }
    }

    /// Take back the frame that ended last, as if it had not been.
    pub(super) fn forget_last(&mut self, wanted: impl Fn(&CallFrame) -> bool) {
        if let Some(parent) = self.open.last_mut()
            && parent.calls.last().is_some_and(wanted)
        {
            parent.calls.pop();
        }
    }

    pub(super) fn log(&mut self, log: &Log, index: usize) {
        if !self.options.with_log || (self.options.only_top_call && self.depth > 0) {
            return;
        }
        if let Some(frame) = self.open.last_mut() {
            self.bytes += FRAME_BYTES + log.data.data.len() * 2;
            frame.logs.push(CallLog {
                address: log.address,
                topics: log.topics().to_vec(),
                data: log.data.data.clone(),
                index: U64::from(self.logs_before + index as u64),
                position: U64::from(frame.calls.len()),
            });
        }
    }

    /// The tree, with what the whole transaction used at its top.
    pub(super) fn into_tree(self, ended: &Ended<'_>) -> Result<CallFrame, EngineError> {
        let Some(mut top) = self.top else {
            return Err(EngineError::InvalidInput(
                "incorrect number of top-level calls".to_owned(),
            ));
        };
        top.gas_used = U64::from(ended.gas_used);
        if self.options.with_log {
            top.drop_failed_logs(false);
        }
        Ok(top)
    }

    pub(super) fn finish(self, ended: &Ended<'_>) -> Result<Box<RawValue>, EngineError> {
        json::write(&self.into_tree(ended)?)
    }
}

impl CallFrame {
    fn end_with(&mut self, exited: &Exited) {
        let Some(error) = &exited.error else {
            self.output = exited.output.clone();
            return;
        };
        self.error = Some(error.clone());
        if self.kind.is_create() {
            self.to = None;
        }
        if error == REVERTED && !exited.output.is_empty() {
            self.output = exited.output.clone();
            self.revert_reason = revert_text(&exited.output);
        }
    }

    /// A frame that failed has logged nothing, nor has what it called.
    fn drop_failed_logs(&mut self, parent_failed: bool) {
        let failed = parent_failed || self.error.is_some();
        if failed {
            self.logs.clear();
        }
        for call in &mut self.calls {
            call.drop_failed_logs(failed);
        }
    }
}
