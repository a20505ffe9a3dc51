//! What a transaction's own bytes decide: that they are its one encoding, and who signed it under the rules of a fork.

use alloy_consensus::{
    EthereumTxEnvelope, Transaction, TxEip4844Variant, TxEnvelope, transaction::SignerRecoverable,
};
use alloy_eips::eip2718::Decodable2718;
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::Address;

use crate::{ChainSpec, EngineError, block::invalid};

/// Why the bytes are no transaction, or nobody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    code: &'static str,
    detail: String,
}

impl Refusal {
    fn new(code: &'static str, detail: impl ToString) -> Self {
        Self {
            code,
            detail: detail.to_string(),
        }
    }

    /// As the fault of the block that has it at `index`.
    pub(crate) fn of_transaction(self, index: usize) -> EngineError {
        invalid(self.code, format!("transaction {index}: {}", self.detail))
    }
}

/// Decode what stands in a block: the EIP-2718 encoding, without a sidecar.
pub(crate) fn decode(encoded: &[u8]) -> Result<TxEnvelope, Refusal> {
    let transaction =
        TxEnvelope::decode_2718_exact(encoded).map_err(|error| Refusal::new("rlp", error))?;
    if let EthereumTxEnvelope::Eip4844(signed) = &transaction
        && matches!(signed.tx(), TxEip4844Variant::TxEip4844WithSidecar(_))
    {
        return Err(Refusal::new(
            "rlp",
            "a blob sidecar does not belong in a block",
        ));
    }
    Ok(transaction)
}

/// Which signatures a block's fork knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SenderRules {
    /// Before Homestead each signature had a twin with the other s (EIP-2).
    is_high_s_allowed: bool,
    /// From Spurious Dragon on a chain id may be signed (EIP-155); before it such a `v` is no signature.
    is_chain_id_allowed: bool,
}

impl SenderRules {
    pub(crate) fn at(spec: &ChainSpec, number: u64) -> Self {
        Self {
            is_high_s_allowed: !spec.is_homestead_active_at_block(number),
            is_chain_id_allowed: spec.is_spurious_dragon_active_at_block(number),
        }
    }

    /// Check what can be checked without knowing who signed.
    pub(crate) fn validate(&self, transaction: &TxEnvelope) -> Result<(), Refusal> {
        if transaction.is_legacy() && transaction.chain_id().is_some() && !self.is_chain_id_allowed
        {
            return Err(Refusal::new(
                "transaction_signature",
                "it names a chain before the fork that allows it (EIP-155)",
            ));
        }
        Ok(())
    }

    /// Who signed the transaction.
    pub(crate) fn recover(&self, transaction: &TxEnvelope) -> Result<Address, Refusal> {
        self.validate(transaction)?;
        let recovered = if self.is_high_s_allowed {
            transaction.recover_signer_unchecked()
        } else {
            transaction.recover_signer()
        };
        recovered.map_err(|error| Refusal::new("transaction_signature", error))
    }
}
