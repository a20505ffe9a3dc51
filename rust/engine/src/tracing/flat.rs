//! `flatCallTracer`: the calls as a list, in Parity's fields.

use alloy_primitives::{Address, B256, Bytes, U64, U256};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    Ended, Entered, Exited, FrameKind, REVERTED, Traced,
    call::{CallFrame, CallOptions, CallTracer},
    json,
};
use crate::EngineError;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FlatCallOptions {
    pub(crate) convert_parity_errors: bool,
    pub(crate) include_precompiles: bool,
}

#[derive(Debug)]
pub(crate) struct FlatCallTracer {
    options: FlatCallOptions,
    calls: CallTracer,
    place: Place,
}

/// Where the transaction stands, the same in each entry.
#[derive(Debug, Clone, Copy)]
struct Place {
    block_hash: Option<B256>,
    block_number: u64,
    transaction_hash: Option<B256>,
    transaction_position: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FlatFrame {
    action: Action,
    block_hash: Option<B256>,
    block_number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Outcome>,
    subtraces: usize,
    trace_address: Vec<usize>,
    transaction_hash: Option<B256>,
    transaction_position: u64,
    r#type: &'static str,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Action {
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<U256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    creation_method: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gas: Option<U64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    init: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<U256>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Bytes>,
    gas_used: U64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Bytes>,
}

impl FlatCallTracer {
    pub(super) fn new(options: FlatCallOptions, traced: &Traced) -> Self {
        Self {
            options,
            calls: CallTracer::new(CallOptions::default(), traced),
            place: Place {
                block_hash: traced.block_hash,
                block_number: traced.block_number,
                transaction_hash: traced.transaction_hash,
                transaction_position: traced.transaction_index,
            },
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.calls.bytes()
    }

    pub(super) fn enter(&mut self, frame: &Entered) {
        if frame.depth > 0 && frame.value.is_none() {
            // Parity's calls have a value always.
            self.calls.enter(&Entered {
                value: Some(U256::ZERO),
                ..frame.clone()
            });
        } else {
            self.calls.enter(frame);
        }
    }

    pub(super) fn exit(&mut self, frame: &Exited) {
        self.calls.exit(frame);
        if frame.depth > 0 && !self.options.include_precompiles {
            self.calls.forget_last(|call| {
                call.is_precompile && matches!(call.kind, FrameKind::Call | FrameKind::StaticCall)
            });
        }
    }

    pub(super) fn finish(self, ended: &Ended<'_>) -> Result<Box<RawValue>, EngineError> {
        let mut frames = Vec::new();
        let top = self.calls.into_tree(ended)?;
        flatten(top, Vec::new(), self.options, self.place, &mut frames);
        json::write(&frames)
    }
}

/// A call, then those it made.
fn flatten(
    call: CallFrame,
    trace_address: Vec<usize>,
    options: FlatCallOptions,
    place: Place,
    out: &mut Vec<FlatFrame>,
) {
    let CallFrame {
        from,
        gas,
        gas_used,
        to,
        input,
        output,
        error,
        calls,
        value,
        kind,
        ..
    } = call;
    let (action, result, name) = match kind {
        FrameKind::Create | FrameKind::Create2 => (
            Action {
                creation_method: Some(lower(kind)),
                from: Some(from),
                gas: Some(gas),
                init: Some(input),
                value,
                ..Action::default()
            },
            Some(Outcome {
                address: to,
                code: Some(output),
                gas_used,
                output: None,
            }),
            "create",
        ),
        FrameKind::SelfDestruct => (
            Action {
                address: Some(from),
                balance: value,
                refund_address: to,
                ..Action::default()
            },
            None,
            "suicide",
        ),
        FrameKind::Call | FrameKind::CallCode | FrameKind::DelegateCall | FrameKind::StaticCall => {
            (
                Action {
                    call_type: Some(lower(kind)),
                    from: Some(from),
                    gas: Some(gas),
                    input: Some(input),
                    to,
                    value,
                    ..Action::default()
                },
                Some(Outcome {
                    gas_used,
                    output: Some(output),
                    ..Outcome::default()
                }),
                "call",
            )
        }
    };
    // What a revert returns says why; what other failures leave does not.
    let is_kept = error.as_deref().is_none_or(|error| error == REVERTED);
    out.push(FlatFrame {
        action,
        block_hash: place.block_hash,
        block_number: place.block_number,
        error: error.map(|error| {
            if options.convert_parity_errors {
                parity_error(&error).map_or(error, str::to_owned)
            } else {
                error
            }
        }),
        result: result.filter(|_| is_kept),
        subtraces: calls.len(),
        trace_address: trace_address.clone(),
        transaction_hash: place.transaction_hash,
        transaction_position: place.transaction_position,
        r#type: name,
    });
    for (index, call) in calls.into_iter().enumerate() {
        let mut address = trace_address.clone();
        address.push(index);
        flatten(call, address, options, place, out);
    }
}

fn lower(kind: FrameKind) -> &'static str {
    match kind {
        FrameKind::Call => "call",
        FrameKind::CallCode => "callcode",
        FrameKind::DelegateCall => "delegatecall",
        FrameKind::StaticCall => "staticcall",
        FrameKind::Create => "create",
        FrameKind::Create2 => "create2",
        FrameKind::SelfDestruct => "selfdestruct",
    }
}

/// Parity's words for an error, as far as it had its own.
fn parity_error(error: &str) -> Option<&'static str> {
    Some(match error {
        "contract creation code storage out of gas" | "gas uint64 overflow" => "Out of gas",
        "invalid jump destination" => "Bad jump destination",
        REVERTED => "Reverted",
        "return data out of bounds" => "Out of bounds",
        "stack limit reached 1024 (1023)" => "Out of stack",
        "precompiled failed" | "invalid input length" => "Built-in failed",
        _ if error.starts_with("out of gas") => "Out of gas",
        _ if error.starts_with("invalid opcode:") => "Bad instruction",
        _ if error.starts_with("stack underflow") => "Stack underflow",
        _ => return None,
    })
}
