//! Why a call did not run to an end of its own, in geth's words.

use std::time::Duration;

use alloy_eips::eip4844::VERSIONED_HASH_VERSION_KZG;
use alloy_primitives::Address;
use revm::{
    context::TxEnv,
    context_interface::result::{HaltReason, InvalidTransaction},
    primitives::{eip170::MAX_CODE_SIZE, eip3860::MAX_INITCODE_SIZE},
};

use super::RpcError;
use crate::EngineError;

/// Why a call has no result.
#[derive(Debug)]
pub(in super::super) enum Failure {
    /// The transaction could not start; `text` says why with its addresses and amounts.
    Refused {
        error: InvalidTransaction,
        text: String,
    },
    TimedOut(Duration),
    /// The trace has more bytes than an answer may have.
    TooLarge,
    /// The run takes more memory than is left for calls.
    NoRoom,
    Engine(EngineError),
    Internal(String),
}

impl Failure {
    /// The error for the caller; `wrap` adds the method's own words to a refusal.
    pub(in super::super) fn into_error(self, wrap: impl FnOnce(&str) -> String) -> RpcError {
        match self {
            Self::Refused { text, .. } => RpcError::server(wrap(&text)),
            Self::TimedOut(timeout) => {
                RpcError::server(format!("execution aborted (timeout = {timeout:?})"))
            }
            Self::TooLarge => RpcError::too_large(),
            Self::NoRoom => RpcError::no_room(),
            Self::Engine(error) => error.into(),
            Self::Internal(text) => RpcError::internal(text),
        }
    }
}

/// What of a transaction the texts of its refusal name.
pub(in super::super) struct Attempted {
    sender: Address,
    fee_cap: u128,
    tip: u128,
    data_bytes: usize,
    /// The first blob hash of a version that does not exist.
    odd_blob: Option<usize>,
}

impl Attempted {
    pub(in super::super) fn of(transaction: &TxEnv) -> Self {
        let mut blobs = transaction.blob_hashes.iter();
        Self {
            sender: transaction.caller,
            fee_cap: transaction.gas_price,
            tip: transaction.gas_priority_fee.unwrap_or_default(),
            data_bytes: transaction.data.len(),
            odd_blob: blobs.position(|hash| hash[0] != VERSIONED_HASH_VERSION_KZG),
        }
    }

    pub(in super::super) fn text(&self, error: &InvalidTransaction, base_fee: u64) -> String {
        let Self {
            sender,
            fee_cap,
            tip,
            data_bytes,
            odd_blob,
        } = self;
        use InvalidTransaction as E;
        match error {
            E::CallGasCostMoreThanGasLimit {
                initial_gas,
                gas_limit,
            } => format!("intrinsic gas too low: have {gas_limit}, want {initial_gas}"),
            E::GasFloorMoreThanGasLimit {
                gas_floor,
                gas_limit,
            } => {
                format!(
                    "insufficient gas for floor data gas cost: have {gas_limit}, want {gas_floor}"
                )
            }
            E::LackOfFundForMaxFee { fee, balance } => format!(
                "insufficient funds for gas * price + value: address {sender} have {balance} want {fee}"
            ),
            E::OverflowPaymentInTransaction => format!(
                "insufficient funds for gas * price + value: address {sender} required balance exceeds 256 bits"
            ),
            E::PriorityFeeGreaterThanMaxFee => format!(
                "max priority fee per gas higher than max fee per gas: address {sender}, maxPriorityFeePerGas: {tip}, maxFeePerGas: {fee_cap}"
            ),
            E::GasPriceLessThanBasefee => format!(
                "max fee per gas less than block base fee: address {sender}, maxFeePerGas: {fee_cap}, baseFee: {base_fee}"
            ),
            E::CreateInitCodeSizeLimit => {
                format!(
                    "max initcode size exceeded: code size {data_bytes} limit {MAX_INITCODE_SIZE}"
                )
            }
            E::TxGasLimitGreaterThanCap { gas_limit, cap } => {
                format!("transaction gas limit too high (cap: {cap}, tx: {gas_limit})")
            }
            E::EmptyBlobs => "blob transaction missing blob hashes".to_owned(),
            E::BlobCreateTransaction => "blob transaction of type create".to_owned(),
            E::BlobGasPriceGreaterThanMax {
                block_blob_gas_price,
                tx_max_fee_per_blob_gas,
            } => format!(
                "max fee per blob gas less than block blob gas fee: address {sender} blobGasFeeCap: {tx_max_fee_per_blob_gas}, blobBaseFee: {block_blob_gas_price}"
            ),
            E::TooManyBlobs { max, have } => {
                format!("blob transaction has too many blobs: have {have}, max {max}")
            }
            E::EmptyAuthorizationList => {
                format!("EIP-7702 transaction with empty auth list (sender {sender})")
            }
            E::BlobVersionNotSupported => format!(
                "blob {} has invalid hash version",
                odd_blob.unwrap_or_default()
            ),
            other => other.to_string(),
        }
    }
}

/// Sizes that a run came across last, which go-ethereum names when they are too large.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Sizes {
    /// What RETURN gave.
    pub(in super::super) returned: u64,
    /// What CREATE or CREATE2 was to run.
    pub(in super::super) init_code: u64,
}

pub(in super::super) fn halt_text(reason: &HaltReason, sizes: Sizes) -> String {
    let text = match reason {
        HaltReason::OutOfGas(_) => "out of gas",
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => "invalid opcode",
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID",
        HaltReason::StackOverflow => "stack limit reached 1024 (1023)",
        HaltReason::OutOfOffset => "return data out of bounds",
        HaltReason::CreateCollision => "contract address collision",
        HaltReason::NonceOverflow => "nonce uint64 overflow",
        HaltReason::CreateContractSizeLimit => {
            return format!(
                "max code size exceeded: code size {} limit {MAX_CODE_SIZE}",
                sizes.returned
            );
        }
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef",
        // Of a transaction's own code it is a refusal; an opcode finds out when it asks for its price.
        HaltReason::CreateInitCodeSizeLimit => {
            return format!(
                "out of gas: max initcode size exceeded: code size {} limit {MAX_INITCODE_SIZE}",
                sizes.init_code
            );
        }
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => {
            "write protection"
        }
        HaltReason::OutOfFunds | HaltReason::OverflowPayment => "insufficient balance for transfer",
        HaltReason::CallTooDeep => "max call depth exceeded",
        other => return other.to_string(),
    };
    text.to_owned()
}
