//! The rules a header must obey on top of its parent, each with a stable error code.
//!
//! Only rules of the execution layer are here. What consensus decides (proposer, slot, withdrawals, randomness) is
//! checked by consensus. Headers before the merge, which only imported chains have, differ in a few places; what is theirs
//! alone is in `proof_of_work`.

use alloy_consensus::{Header, constants::EMPTY_OMMER_ROOT_HASH};
use alloy_eips::{
    eip1559::{DEFAULT_ELASTICITY_MULTIPLIER, INITIAL_BASE_FEE},
    eip4844::DATA_GAS_PER_BLOB,
};
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{B64, B256, U256};

use crate::{
    ChainSpec, Result,
    block::invalid,
    proof_of_work::validate_proof_of_work,
    spec::{EXTRA_DATA_BYTES_MAX, GAS_LIMIT_MAXIMUM, GAS_LIMIT_MINIMUM},
};

/// A gas limit may move by less than this part of the parent's.
const GAS_LIMIT_STEP_DIVISOR: u64 = 1_024;

/// Check a header against its parent.
pub fn validate_header(
    spec: &ChainSpec,
    header: &Header,
    parent: &Header,
    parent_hash: B256,
) -> Result<()> {
    validate_position(header, parent, parent_hash)?;
    validate_gas(spec, header, parent)?;
    if spec.is_paris_active_at_block(header.number) {
        validate_proof_of_stake_constants(header)?;
    } else {
        validate_proof_of_work(spec, header)?;
    }
    validate_fork_fields(spec, header)?;
    validate_blob_gas(spec, header, parent)
}

fn validate_position(header: &Header, parent: &Header, parent_hash: B256) -> Result<()> {
    expect_equal("parent_hash", header.parent_hash, parent_hash)?;
    expect_equal("number", Some(header.number), parent.number.checked_add(1))?;
    if header.timestamp <= parent.timestamp {
        return Err(invalid(
            "timestamp",
            format!(
                "timestamp {} is not after the parent's {}",
                header.timestamp, parent.timestamp
            ),
        ));
    }
    if header.extra_data.len() > EXTRA_DATA_BYTES_MAX {
        return Err(invalid(
            "extra_data",
            format!(
                "extra data has {} bytes, over {EXTRA_DATA_BYTES_MAX}",
                header.extra_data.len()
            ),
        ));
    }
    Ok(())
}

fn validate_gas(spec: &ChainSpec, header: &Header, parent: &Header) -> Result<()> {
    validate_gas_limit(header.gas_limit, gas_limit_before(spec, parent))?;
    if header.gas_used > header.gas_limit {
        return Err(invalid(
            "gas_used",
            format!(
                "gas used {} is over the gas limit {}",
                header.gas_used, header.gas_limit
            ),
        ));
    }
    expect_equal(
        "base_fee",
        header.base_fee_per_gas,
        next_base_fee(spec, parent),
    )
}

/// The gas limit that a child of `parent` may differ little from: with London it doubles, as its target becomes half (EIP-1559).
pub fn gas_limit_before(spec: &ChainSpec, parent: &Header) -> u64 {
    if parent.base_fee_per_gas.is_none() && is_london_next(spec, parent) {
        parent
            .gas_limit
            .saturating_mul(DEFAULT_ELASTICITY_MULTIPLIER)
    } else {
        parent.gas_limit
    }
}

fn is_london_next(spec: &ChainSpec, parent: &Header) -> bool {
    spec.is_london_active_at_block(parent.number.saturating_add(1))
}

/// A gas limit moves by less than 1/1024 of the parent's and keeps its bounds.
pub fn validate_gas_limit(gas_limit: u64, parent_gas_limit: u64) -> Result<()> {
    let step = parent_gas_limit / GAS_LIMIT_STEP_DIVISOR;
    if gas_limit.abs_diff(parent_gas_limit) >= step {
        let direction = if gas_limit > parent_gas_limit {
            "above"
        } else {
            "below"
        };
        return Err(invalid(
            "gas_limit",
            format!(
                "gas limit {gas_limit} is 1/{GAS_LIMIT_STEP_DIVISOR} or more {direction} the parent's {parent_gas_limit}"
            ),
        ));
    }
    if !(GAS_LIMIT_MINIMUM..=GAS_LIMIT_MAXIMUM).contains(&gas_limit) {
        return Err(invalid(
            "gas_limit",
            format!("gas limit {gas_limit} is outside {GAS_LIMIT_MINIMUM} to {GAS_LIMIT_MAXIMUM}"),
        ));
    }
    Ok(())
}

/// EIP-3675: what proof of work used is constant now. The mix hash is the randomness and may be anything.
fn validate_proof_of_stake_constants(header: &Header) -> Result<()> {
    expect_equal("difficulty", header.difficulty, U256::ZERO)?;
    expect_equal("nonce", header.nonce, B64::ZERO)?;
    expect_equal("ommers", header.ommers_hash, EMPTY_OMMER_ROOT_HASH)
}

/// Each fork adds its fields; before it they must be absent.
fn validate_fork_fields(spec: &ChainSpec, header: &Header) -> Result<()> {
    let is_shanghai = spec.is_shanghai_active_at_timestamp(header.timestamp);
    let is_cancun = spec.is_cancun_active_at_timestamp(header.timestamp);
    let is_prague = spec.is_prague_active_at_timestamp(header.timestamp);
    for (code, is_present, is_expected) in [
        (
            "withdrawals_root",
            header.withdrawals_root.is_some(),
            is_shanghai,
        ),
        ("blob_gas_used", header.blob_gas_used.is_some(), is_cancun),
        (
            "excess_blob_gas",
            header.excess_blob_gas.is_some(),
            is_cancun,
        ),
        (
            "parent_beacon_block_root",
            header.parent_beacon_block_root.is_some(),
            is_cancun,
        ),
        ("requests_hash", header.requests_hash.is_some(), is_prague),
        (
            "block_access_list_hash",
            header.block_access_list_hash.is_some(),
            false,
        ),
        ("slot_number", header.slot_number.is_some(), false),
    ] {
        if is_present != is_expected {
            let text = if is_expected {
                "is missing"
            } else {
                "is not allowed by the active fork"
            };
            return Err(invalid(code, format!("the header field {text}")));
        }
    }
    Ok(())
}

fn validate_blob_gas(spec: &ChainSpec, header: &Header, parent: &Header) -> Result<()> {
    let Some(params) = spec.blob_params_at(header.timestamp) else {
        return Ok(());
    };
    let used = header.blob_gas_used.unwrap_or_default();
    if used > params.max_blob_gas_per_block() || !used.is_multiple_of(DATA_GAS_PER_BLOB) {
        return Err(invalid(
            "blob_gas_used",
            format!(
                "blob gas used {used} is over {} or no multiple of {DATA_GAS_PER_BLOB}",
                params.max_blob_gas_per_block()
            ),
        ));
    }
    expect_equal(
        "excess_blob_gas",
        header.excess_blob_gas,
        next_excess_blob_gas(spec, parent, header.timestamp),
    )
}

/// EIP-1559: the base fee that a child of `parent` must have; `None` before London.
pub fn next_base_fee(spec: &ChainSpec, parent: &Header) -> Option<u64> {
    if !is_london_next(spec, parent) {
        return None;
    }
    let next = parent.next_block_base_fee(spec.base_fee_params());
    Some(next.unwrap_or(INITIAL_BASE_FEE))
}

/// EIP-4844 with the parameters of the child's fork (EIP-7892) and the reserve price of EIP-7918; `None` before Cancun.
pub fn next_excess_blob_gas(spec: &ChainSpec, parent: &Header, timestamp: u64) -> Option<u64> {
    let params = spec.blob_params_at(timestamp)?;
    // The first block with blobs has a parent without: nothing was used before it.
    Some(
        parent
            .next_block_excess_blob_gas(params)
            .unwrap_or_default(),
    )
}

pub(crate) fn expect_equal<T: PartialEq + std::fmt::Debug>(
    code: &'static str,
    found: T,
    expected: T,
) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(invalid(
        code,
        format!("found {found:?}, expected {expected:?}"),
    ))
}
