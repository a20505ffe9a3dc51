//! What an opcode would have cost that could not be paid: the EVM stops without telling.

use alloy_primitives::U256;
use revm::{
    bytecode::opcode,
    interpreter::instructions::{GasTable, gas_table_spec},
    primitives::hardfork::SpecId,
};

use super::fault::memory_ranges;

/// What the price depends on besides the opcode, all from before it ran.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine<'a> {
    /// The stack's topmost entries, nearest first.
    pub(super) top: &'a [U256],
    pub(super) memory_bytes: usize,
    pub(super) gas: u64,
    /// Whether the account or slot that the opcode names is touched for the first time.
    pub(super) is_cold: bool,
    /// Of an SSTORE: the slot's value before the transaction and now.
    pub(super) slot: Option<(U256, U256)>,
    /// Whether a SELFDESTRUCT gives to an account that is not there.
    pub(super) makes_account: bool,
    pub(super) spec: SpecId,
}

/// The price that go-ethereum shows: the constant part alone where even that is too much.
pub(super) fn unpaid_cost(code: u8, machine: Machine<'_>) -> u64 {
    let constant = constant_cost(code, machine.spec);
    if machine.gas < constant {
        return constant;
    }
    constant.saturating_add(dynamic_cost(code, machine).unwrap_or(0))
}

/// The part of the price that depends on nothing but the opcode, as go-ethereum splits it.
pub(super) fn constant_cost(code: u8, spec: SpecId) -> u64 {
    match code {
        opcode::SLOAD if spec.is_enabled_in(SpecId::BERLIN) => 0,
        opcode::SSTORE | opcode::EXP | opcode::LOG0..=opcode::LOG4 => 0,
        opcode::CREATE | opcode::CREATE2 => 32_000,
        _ => {
            let table: GasTable = gas_table_spec(spec);
            u64::from(table[usize::from(code)])
        }
    }
}

fn dynamic_cost(code: u8, machine: Machine<'_>) -> Option<u64> {
    let back = |index: usize| machine.top.get(index).copied();
    let words = |index: usize| {
        back(index)
            .and_then(|size| u64::try_from(size).ok())
            .map(|size| size.div_ceil(32))
    };
    let cold_account = if machine.is_cold { 2_500 } else { 0 };
    let own = match code {
        opcode::KECCAK256 => words(1)?.checked_mul(6)?,
        opcode::CALLDATACOPY | opcode::CODECOPY | opcode::RETURNDATACOPY | opcode::MCOPY => {
            words(2)?.checked_mul(3)?
        }
        opcode::EXTCODECOPY => words(3)?.checked_mul(3)?.checked_add(cold_account)?,
        opcode::LOG0..=opcode::LOG4 => u64::try_from(back(1)?)
            .ok()?
            .checked_mul(8)?
            .checked_add(375 * (1 + u64::from(code - opcode::LOG0)))?,
        opcode::EXP => 10 + 50 * back(1)?.bit_len().div_ceil(8) as u64,
        opcode::SLOAD if machine.is_cold => 2_100,
        opcode::SLOAD => 100,
        opcode::SSTORE => sstore(machine, back(1)?)?,
        opcode::SELFDESTRUCT => {
            let cold = if machine.is_cold { 2_600 } else { 0 };
            cold + if machine.makes_account { 25_000 } else { 0 }
        }
        opcode::BALANCE | opcode::EXTCODESIZE | opcode::EXTCODEHASH => cold_account,
        opcode::CREATE => words(2)?.checked_mul(2)?,
        opcode::CREATE2 => words(2)?.checked_mul(8)?,
        _ => 0,
    };
    own.checked_add(expansion(code, machine)?)
}

/// EIP-2200 with EIP-2929.
fn sstore(machine: Machine<'_>, new: U256) -> Option<u64> {
    let (original, current) = machine.slot?;
    let cold = if machine.is_cold { 2_100 } else { 0 };
    Some(
        cold + match () {
            () if current == new => 100,
            () if current != original => 100,
            () if original.is_zero() => 20_000,
            () => 2_900,
        },
    )
}

/// What it costs to make the memory reach as far as the opcode wants.
fn expansion(code: u8, machine: Machine<'_>) -> Option<u64> {
    let mut end = 0_u64;
    for (offset, size) in memory_ranges(code, machine.top) {
        if !size.is_zero() {
            end = end.max(u64::try_from(offset.checked_add(size)?).ok()?);
        }
    }
    let (old, new) = ((machine.memory_bytes as u64).div_ceil(32), end.div_ceil(32));
    if new <= old {
        return Some(0);
    }
    let cost = |words: u64| Some(3 * words + words.checked_mul(words)? / 512);
    cost(new)?.checked_sub(cost(old)?)
}
