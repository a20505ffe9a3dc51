//! `4byteTracer`: which functions were called, by selector and size of the arguments.

use std::collections::BTreeMap;

use alloy_primitives::hex;
use serde_json::value::RawValue;

use super::{Entered, FrameKind, json};
use crate::EngineError;

/// What an entry weighs.
const ENTRY_BYTES: usize = 40;

#[derive(Debug, Default)]
pub(crate) struct FourByteTracer {
    calls: BTreeMap<String, u64>,
}

impl FourByteTracer {
    pub(super) fn bytes(&self) -> usize {
        self.calls.len() * ENTRY_BYTES
    }

    pub(super) fn enter(&mut self, frame: &Entered) {
        let is_call = !frame.kind.is_create() && frame.kind != FrameKind::SelfDestruct;
        if !is_call || frame.is_precompile {
            return;
        }
        if let Some((selector, arguments)) = frame.input.split_at_checked(4) {
            let key = format!("{}-{}", hex::encode_prefixed(selector), arguments.len());
            *self.calls.entry(key).or_default() += 1;
        }
    }

    pub(super) fn finish(self) -> Result<Box<RawValue>, EngineError> {
        json::write(&self.calls)
    }
}
