//! Why a frame or an opcode failed, in go-ethereum's words.

use alloy_primitives::U256;
use revm::{
    bytecode::opcode::{self, OpCode},
    interpreter::InstructionResult,
    primitives::{eip170::MAX_CODE_SIZE, eip3860::MAX_INITCODE_SIZE},
};

use super::{REVERTED, struct_log::name};

const STACK_LIMIT: usize = 1_024;

/// An opcode that ended its frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) text: String,
    /// Whether it failed before it was charged: only such opcodes show the error themselves.
    pub(super) is_uncharged: bool,
    /// What to show as its cost; `None` for what was taken.
    pub(super) price: Option<Price>,
}

/// Which part of an opcode's price was known when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Price {
    Constant,
    Whole,
}

/// Why the opcode failed, with the stack's height and topmost entries before it; `None` if it did not.
pub(super) fn opcode_fault(
    code: u8,
    result: InstructionResult,
    stack_height: usize,
    top: &[U256],
    gas: u64,
) -> Option<Fault> {
    use InstructionResult as R;
    if matches!(result, R::Stop | R::Return | R::SelfDestruct) {
        return None;
    }
    let uncharged = |text: &str, price: Price| {
        Some(Fault {
            text: text.to_owned(),
            is_uncharged: true,
            price: Some(price),
        })
    };
    let charged = |text: &str| {
        Some(Fault {
            text: text.to_owned(),
            is_uncharged: false,
            price: None,
        })
    };
    if result == R::Revert {
        return charged(REVERTED);
    }
    if let Some(text) = stack_fault(code, stack_height) {
        // The stack is looked at before anything is charged.
        return uncharged(&text, Price::Constant);
    }
    match result {
        R::OutOfGas
        | R::MemoryOOG
        | R::MemoryLimitOOG
        | R::PrecompileOOG
        | R::InvalidOperandOOG => {
            match memory_reach(code, top) {
                Reach::Overflow => uncharged("gas uint64 overflow", Price::Constant),
                Reach::TooFar => uncharged("out of gas: gas uint64 overflow", Price::Constant),
                // A call finds out in the midst of its price, and says so twice.
                Reach::Payable if is_call(code) && gas >= CALL_CONSTANT_GAS => {
                    uncharged("out of gas: out of gas", Price::Constant)
                }
                Reach::Payable => uncharged("out of gas", Price::Whole),
            }
        }
        R::ReentrancySentryOOG => uncharged(
            "out of gas: not enough gas for reentrancy sentry",
            Price::Constant,
        ),
        // Gas for the opcode itself and the memory are looked at first.
        R::CreateInitCodeSizeLimit if gas < CREATE_CONSTANT_GAS => {
            uncharged("out of gas", Price::Constant)
        }
        R::CreateInitCodeSizeLimit => match memory_reach(code, top) {
            Reach::Overflow => uncharged("gas uint64 overflow", Price::Constant),
            Reach::TooFar => uncharged("out of gas: gas uint64 overflow", Price::Constant),
            Reach::Payable => {
                let size = top.get(2).copied().unwrap_or_default();
                let text = format!(
                    "out of gas: max initcode size exceeded: code size {size} limit {MAX_INITCODE_SIZE}"
                );
                uncharged(&text, Price::Constant)
            }
        },
        R::OpcodeNotFound | R::NotActivated | R::InvalidFEOpcode | R::InvalidImmediateEncoding => {
            charged(&format!("invalid opcode: {}", name(code)))
        }
        R::InvalidJump => charged("invalid jump destination"),
        R::OutOfOffset => Some(Fault {
            text: "return data out of bounds".to_owned(),
            is_uncharged: false,
            price: Some(Price::Whole),
        }),
        R::StateChangeDuringStaticCall
            if matches!(code, opcode::TSTORE | opcode::LOG0..=opcode::LOG4) =>
        {
            Some(Fault {
                text: "write protection".to_owned(),
                is_uncharged: false,
                price: Some(Price::Whole),
            })
        }
        // These find it out while their price is made.
        R::CallNotAllowedInsideStatic | R::StateChangeDuringStaticCall => {
            uncharged("out of gas: write protection", Price::Constant)
        }
        _ => None,
    }
}

/// The constant part of a call's price since Berlin.
const CALL_CONSTANT_GAS: u64 = 100;

/// The constant part of a creation's price.
const CREATE_CONSTANT_GAS: u64 = 32_000;

fn is_call(code: u8) -> bool {
    matches!(
        code,
        opcode::CALL | opcode::CALLCODE | opcode::DELEGATECALL | opcode::STATICCALL
    )
}

/// How far into the memory an opcode wants to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// As far as gas may pay for.
    Payable,
    /// Where the price itself has no number of 64 bits.
    TooFar,
    /// Where the end has no number of 64 bits.
    Overflow,
}

/// The largest memory whose price is calculated at all.
const MEMORY_BYTES_MAX: u64 = 0x1f_ffff_ffe0;

fn memory_reach(code: u8, top: &[U256]) -> Reach {
    let mut reach = Reach::Payable;
    for (offset, size) in memory_ranges(code, top) {
        if size.is_zero() {
            continue;
        }
        let end = offset
            .checked_add(size)
            .and_then(|end| u64::try_from(end).ok());
        match end {
            None => return Reach::Overflow,
            Some(end) if end > MEMORY_BYTES_MAX => reach = Reach::TooFar,
            Some(_) => {}
        }
    }
    reach
}

/// The ranges of the memory that an opcode uses, as offset and size.
pub(super) fn memory_ranges(code: u8, top: &[U256]) -> Vec<(U256, U256)> {
    let of = |pairs: &[(usize, usize)]| {
        pairs
            .iter()
            .filter_map(|(offset, size)| Some((*top.get(*offset)?, *top.get(*size)?)))
            .collect()
    };
    let fixed = |size: u64| top.first().map(|offset| (*offset, U256::from(size)));
    match code {
        opcode::MLOAD | opcode::MSTORE => fixed(32).into_iter().collect(),
        opcode::MSTORE8 => fixed(1).into_iter().collect(),
        opcode::RETURN | opcode::REVERT | opcode::KECCAK256 | opcode::LOG0..=opcode::LOG4 => {
            of(&[(0, 1)])
        }
        opcode::CALLDATACOPY | opcode::CODECOPY | opcode::RETURNDATACOPY => of(&[(0, 2)]),
        opcode::MCOPY => of(&[(0, 2), (1, 2)]),
        opcode::EXTCODECOPY => of(&[(1, 3)]),
        opcode::CREATE | opcode::CREATE2 => of(&[(1, 2)]),
        opcode::CALL | opcode::CALLCODE => of(&[(3, 4), (5, 6)]),
        opcode::DELEGATECALL | opcode::STATICCALL => of(&[(2, 3), (4, 5)]),
        _ => Vec::new(),
    }
}

fn stack_fault(opcode: u8, height: usize) -> Option<String> {
    let known = OpCode::new(opcode)?;
    // DUP and SWAP reach deeper than they take.
    let needed = match opcode {
        opcode::DUP1..=opcode::DUP16 => usize::from(opcode - opcode::DUP1) + 1,
        opcode::SWAP1..=opcode::SWAP16 => usize::from(opcode - opcode::SWAP1) + 2,
        _ => usize::from(known.inputs()),
    };
    if height < needed {
        return Some(format!("stack underflow ({height} <=> {needed})"));
    }
    let after = height + usize::from(known.outputs()) - usize::from(known.inputs());
    if after > STACK_LIMIT {
        // The height that would have been low enough.
        let most = STACK_LIMIT + usize::from(known.inputs()) - usize::from(known.outputs());
        return Some(format!("stack limit reached {height} ({most})"));
    }
    None
}

/// Why a frame failed, given the size of its output and the opcode's fault if one ended it.
pub(crate) fn frame_error(
    result: InstructionResult,
    output_bytes: usize,
    fault: Option<&str>,
    ran_to_its_end: bool,
) -> Option<String> {
    use InstructionResult as R;
    let text = match result {
        R::Stop | R::Return | R::SelfDestruct | R::Suspend => return None,
        R::Revert => REVERTED,
        R::CallTooDeep => "max call depth exceeded",
        R::OutOfFunds | R::OverflowPayment => "insufficient balance for transfer",
        R::CreateCollision => "contract address collision",
        R::NonceOverflow => "nonce uint64 overflow",
        R::CreateContractSizeLimit => {
            return Some(format!(
                "max code size exceeded: code size {output_bytes} limit {MAX_CODE_SIZE}"
            ));
        }
        R::CreateContractStartingWithEF => "invalid code: must not begin with 0xef",
        // The constructor had returned: it is the new code that was too dear.
        R::OutOfGas if ran_to_its_end => "contract creation code storage out of gas",
        R::PrecompileError => "precompiled failed",
        _ => fault.unwrap_or("out of gas"),
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stack_is_judged_before_the_gas() {
        let cases = [
            (
                opcode::ADD,
                1,
                InstructionResult::OutOfGas,
                "stack underflow (1 <=> 2)",
            ),
            (
                opcode::DUP3,
                2,
                InstructionResult::StackUnderflow,
                "stack underflow (2 <=> 3)",
            ),
            (
                opcode::SWAP1,
                1,
                InstructionResult::StackUnderflow,
                "stack underflow (1 <=> 2)",
            ),
            (
                opcode::PUSH1,
                1_024,
                InstructionResult::StackOverflow,
                "stack limit reached 1024 (1023)",
            ),
            (
                opcode::DUP1,
                1_024,
                InstructionResult::StackOverflow,
                "stack limit reached 1024 (1023)",
            ),
            (opcode::ADD, 2, InstructionResult::OutOfGas, "out of gas"),
        ];
        for (code, height, result, expected) in cases {
            let fault = opcode_fault(code, result, height, &[], 0).expect("a fault");
            assert_eq!(fault.text, expected);
            assert!(fault.is_uncharged, "{expected}");
        }
        let invalid =
            opcode_fault(0x0c, InstructionResult::OpcodeNotFound, 0, &[], 0).expect("a fault");
        assert_eq!(invalid.text, "invalid opcode: opcode 0xc not defined");
        assert!(!invalid.is_uncharged);
        assert_eq!(
            opcode_fault(opcode::STOP, InstructionResult::Stop, 0, &[], 0),
            None
        );
    }
}
