//! Why a simulation is refused: the codes that execution-apis gives these errors, and geth's texts.

use std::cmp::Ordering;

use alloy_primitives::Address;
use revm::context_interface::result::InvalidTransaction;

use crate::api::RpcError;

const NONCE_TOO_LOW: i32 = -38010;
const NONCE_TOO_HIGH: i32 = -38011;
const BASE_FEE_TOO_LOW: i32 = -38012;
const INTRINSIC_GAS: i32 = -38013;
const INSUFFICIENT_FUNDS: i32 = -38014;
const BLOCK_GAS_LIMIT: i32 = -38015;
const BLOCK_NUMBER_ORDER: i32 = -38020;
const BLOCK_TIMESTAMP_ORDER: i32 = -38021;
const SENDER_IS_CONTRACT: i32 = -38024;
const INIT_CODE_SIZE: i32 = -38025;
const INTERNAL: i32 = -32603;
const INVALID_PARAMS: i32 = -32602;
/// Inside a result: the call's code failed other than by a revert.
pub(super) const CALL_FAILED: i32 = -32015;

fn refusal(code: i32, message: String) -> RpcError {
    RpcError {
        code,
        message,
        data: None,
    }
}

pub(super) fn too_many_blocks() -> RpcError {
    RpcError::client_limit("too many blocks")
}

pub(super) fn block_number_order(number: impl std::fmt::Display, parent: u64) -> RpcError {
    refusal(
        BLOCK_NUMBER_ORDER,
        format!("block numbers must be in order: {number} <= {parent}"),
    )
}

pub(super) fn block_timestamp_order(timestamp: u64, parent: u64) -> RpcError {
    refusal(
        BLOCK_TIMESTAMP_ORDER,
        format!("block timestamps must be in order: {timestamp} <= {parent}"),
    )
}

pub(super) fn block_gas_limit(remaining: u64, required: u64) -> RpcError {
    refusal(
        BLOCK_GAS_LIMIT,
        format!("block gas limit reached: remaining: {remaining}, required: {required}"),
    )
}

/// Why a call with so much gas could not start.
fn not_started(code: i32, text: &str, gas: u64) -> RpcError {
    refusal(code, format!("err: {text} (supplied gas {gas})"))
}

/// Hold the nonce of a call with so much gas against its sender's.
pub(super) fn check_nonce(
    sender: Address,
    nonce: u64,
    account: u64,
    gas: u64,
) -> Result<(), RpcError> {
    let (code, what) = match nonce.cmp(&account) {
        Ordering::Less => (NONCE_TOO_LOW, "too low"),
        Ordering::Greater => (NONCE_TOO_HIGH, "too high"),
        // The official case wants the code of an internal error, although the caller chose the nonce.
        Ordering::Equal if nonce == u64::MAX => {
            let text = format!("nonce has max value: address {sender}, nonce: {nonce}");
            return Err(not_started(INTERNAL, &text, gas));
        }
        Ordering::Equal => return Ok(()),
    };
    let text = format!("nonce {what}: address {sender}, tx: {nonce} state: {account}");
    Err(not_started(code, &text, gas))
}

/// A call with so much gas that no block could hold; `text` says why.
pub(super) fn invalid_call(error: &InvalidTransaction, text: &str, gas: u64) -> RpcError {
    use InvalidTransaction as E;
    let code = match error {
        E::GasPriceLessThanBasefee => BASE_FEE_TOO_LOW,
        E::CallGasCostMoreThanGasLimit { .. } | E::GasFloorMoreThanGasLimit { .. } => INTRINSIC_GAS,
        E::LackOfFundForMaxFee { .. } | E::OverflowPaymentInTransaction => INSUFFICIENT_FUNDS,
        E::RejectCallerWithCode => SENDER_IS_CONTRACT,
        E::CreateInitCodeSizeLimit => INIT_CODE_SIZE,
        _ => INVALID_PARAMS,
    };
    not_started(code, text, gas)
}
