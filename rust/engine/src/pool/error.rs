//! Why a transaction was refused. The texts are geth's, word for word: wallets and libraries recognise them.

use alloy_primitives::{Address, U256};

/// Why a transaction was refused. The pool is then as it was before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    #[error("already known")]
    AlreadyKnown,
    /// The bytes are no transaction; the text is that of geth's decoder where it has one.
    #[error("{0}")]
    Malformed(String),
    #[error("transaction type not supported")]
    UnknownType,
    #[error("transaction type not supported: tx type {0} not supported by this pool")]
    UnsupportedType(u8),
    /// What a blob transaction brings with it is not what it says.
    #[error("{0}")]
    Blobs(String),
    #[error("only replay-protected (EIP-155) transactions allowed over RPC")]
    Unprotected,
    #[error("oversized data: transaction size {size}, limit {limit}")]
    Oversized { size: usize, limit: usize },
    #[error("max initcode size exceeded: code size {size}, limit {limit}")]
    InitCodeOversized { size: usize, limit: usize },
    #[error("transaction gas limit too high (cap: {cap}, tx: {gas})")]
    GasLimitTooHigh { cap: u64, gas: u64 },
    #[error("exceeds block gas limit")]
    ExceedsBlockGasLimit,
    #[error("max priority fee per gas higher than max fee per gas")]
    TipAboveFeeCap,
    #[error("invalid sender: {0}")]
    InvalidSender(InvalidSender),
    #[error("nonce has max value")]
    NonceMax,
    #[error("intrinsic gas too low: gas {gas}, minimum needed {needed}")]
    IntrinsicGas { gas: u64, needed: u64 },
    #[error("insufficient gas for floor data gas cost: gas {gas}, minimum needed {needed}")]
    FloorDataGas { gas: u64, needed: u64 },
    #[error("transaction gas price below minimum: gas tip cap {tip}, minimum needed {needed}")]
    TipTooLow { tip: u128, needed: u128 },
    #[error("set code tx must have at least one authorization tuple")]
    NoAuthorizations,
    #[error("sender not an eoa: address {address}, len(code): {code_bytes}")]
    SenderNotEoa { address: Address, code_bytes: usize },
    #[error("nonce too low: next nonce {next}, tx nonce {nonce}")]
    NonceTooLow { next: u64, nonce: u64 },
    #[error("insufficient funds for gas * price + value: balance {balance}, tx cost {cost}, overshot {}", .cost.saturating_sub(*.balance))]
    InsufficientFunds { balance: U256, cost: U256 },
    #[error("insufficient funds for gas * price + value: balance {balance}, queued cost {queued}, tx cost {cost}, overshot {}", .queued.saturating_add(*.cost).saturating_sub(*.balance))]
    InsufficientFundsTogether {
        balance: U256,
        queued: U256,
        cost: U256,
    },
    #[error("insufficient funds for gas * price + value: balance {balance}, queued cost {queued}, tx bumped {bump}, overshot {}", .queued.saturating_add(*.bump).saturating_sub(*.balance))]
    InsufficientFundsForReplacement {
        balance: U256,
        queued: U256,
        bump: U256,
    },
    #[error("replacement transaction underpriced")]
    ReplacementUnderpriced,
    #[error("transaction underpriced")]
    Underpriced,
    #[error("txpool is full")]
    Full,
    #[error("account limit exceeded: pooled {0} txs")]
    AccountLimit(usize),
    #[error("in-flight transaction limit reached for delegated accounts")]
    DelegatedInFlight,
    #[error("gapped-nonce tx from delegated accounts")]
    DelegatedGap,
    #[error("authority already reserved")]
    AuthorityReserved,
    /// The state could not be read: nobody's transaction is at fault.
    #[error("{0}")]
    State(crate::EngineError),
}

/// What is wrong with a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSender {
    /// `r`, `s` or `v` out of range, a high `s` (EIP-2), or no point on the curve.
    #[error("invalid transaction v, r, s values")]
    Signature,
    #[error("invalid chain id for signer: have {have} want {want}")]
    ChainId { have: u64, want: u64 },
}

impl PoolError {
    /// A short stable name, for metrics.
    pub fn reason(&self) -> &'static str {
        REASONS[self.reason_index()]
    }

    pub(super) fn reason_index(&self) -> usize {
        match self {
            Self::AlreadyKnown => 0,
            Self::Malformed(_) | Self::UnknownType => 1,
            Self::UnsupportedType(_) | Self::Blobs(_) => 2,
            Self::Unprotected => 3,
            Self::Oversized { .. } | Self::InitCodeOversized { .. } => 4,
            Self::GasLimitTooHigh { .. }
            | Self::ExceedsBlockGasLimit
            | Self::IntrinsicGas { .. }
            | Self::FloorDataGas { .. } => 5,
            Self::TipAboveFeeCap | Self::TipTooLow { .. } | Self::Underpriced => 6,
            Self::InvalidSender(_) => 7,
            Self::NonceMax | Self::NonceTooLow { .. } => 8,
            Self::NoAuthorizations
            | Self::DelegatedInFlight
            | Self::DelegatedGap
            | Self::AuthorityReserved => 9,
            Self::SenderNotEoa { .. } => 10,
            Self::InsufficientFunds { .. }
            | Self::InsufficientFundsTogether { .. }
            | Self::InsufficientFundsForReplacement { .. } => 11,
            Self::ReplacementUnderpriced => 12,
            Self::Full => 13,
            Self::AccountLimit(_) => 14,
            Self::State(_) => 15,
        }
    }
}

/// The reasons of refusals, in the order of [`PoolError::reason_index`].
pub(super) const REASONS: [&str; 16] = [
    "already_known",
    "malformed",
    "type",
    "unprotected",
    "oversized",
    "gas_limit",
    "underpriced",
    "signature",
    "nonce_low",
    "delegation",
    "sender_code",
    "funds",
    "replacement_underpriced",
    "pool_full",
    "account_limit",
    "state",
];
