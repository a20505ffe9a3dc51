//! What a transaction's own bytes decide: that they are its one encoding, and who signed it under the rules of a fork.

use alloy_consensus::{
    EthereumTxEnvelope, Transaction, TxEip4844Variant, TxEnvelope, transaction::SignerRecoverable,
};
use alloy_eips::eip2718::Decodable2718;
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{Address, U256};
use alloy_rlp::{Decodable, Encodable, Header};

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
    let transaction = TxEnvelope::decode_2718_exact(encoded)
        .map_err(|error| overpriced(encoded).unwrap_or_else(|| Refusal::new("rlp", error)))?;
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

/// A fee is a number of up to 256 bits in the encoding, and of 128 here: more than that for one gas, nobody can pay. What is a
/// transaction but for such a fee is refused for what it costs, not for its form.
fn overpriced(encoded: &[u8]) -> Option<Refusal> {
    let (kind, list, fees): (&[u8], &[u8], &[usize]) = match encoded.first()? {
        0xc0.. => (&[], encoded, &[1]),
        1 => (&encoded[..1], &encoded[1..], &[2]),
        2..=4 => (&encoded[..1], &encoded[1..], &[2, 3]),
        _ => return None,
    };
    let mut rest = list;
    let mut payload = Header::decode_bytes(&mut rest, true).ok()?;
    let mut cheaper = Vec::with_capacity(payload.len());
    let (mut gas_limit, mut fee) = (U256::ZERO, U256::ZERO);
    for index in 0.. {
        if payload.is_empty() {
            break;
        }
        let before = payload;
        let item = Header::decode(&mut payload).ok()?;
        let (content, after) = payload.split_at_checked(item.payload_length)?;
        payload = after;
        if fees.contains(&index) {
            let price = U256::decode(&mut &before[..before.len() - after.len()]).ok()?;
            fee = fee.max(price);
            price.min(U256::from(u128::MAX)).encode(&mut cheaper);
            continue;
        }
        if fees.last().is_some_and(|last| index == last + 1) {
            gas_limit = U256::try_from_be_slice(content)?;
        }
        cheaper.extend_from_slice(&before[..before.len() - after.len()]);
    }
    let mut candidate = kind.to_vec();
    let header = Header {
        list: true,
        payload_length: cheaper.len(),
    };
    header.encode(&mut candidate);
    candidate.extend(cheaper);
    if !rest.is_empty() || TxEnvelope::decode_2718_exact(&candidate).is_err() {
        return None;
    }
    Some(match fee.checked_mul(gas_limit) {
        Some(cost) => Refusal::new(
            "transaction_funds",
            format!("its gas costs up to {cost} wei"),
        ),
        None => Refusal::new(
            "transaction_fee",
            "its gas costs more than 256 bits can say",
        ),
    })
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

#[cfg(test)]
mod tests {
    use alloy_consensus::{TxEip1559, TxLegacy};
    use alloy_eips::eip2718::Encodable2718;

    use super::*;
    use crate::testing::{Account, CHAIN_ID};

    fn code(encoded: &[u8]) -> Option<&'static str> {
        decode(encoded).err().map(|refusal| refusal.code)
    }

    /// The encoding with the 16 bytes of a fee of 2^128 - 1 made `more` bytes longer.
    fn with_longer_fee(encoded: &[u8], more: usize) -> Vec<u8> {
        let fee = [&[0x90][..], &[0xff; 16]].concat();
        let at = encoded
            .windows(17)
            .position(|window| window == fee)
            .unwrap();
        let kind_bytes = usize::from(encoded[0] < 0xc0);
        let mut list = &encoded[kind_bytes..];
        let payload = Header::decode_bytes(&mut list, true).unwrap();
        let at = at - (encoded.len() - payload.len());
        let mut longer = payload[..at].to_vec();
        longer.push(0x90 + more as u8);
        longer.extend(vec![0xff; 16 + more]);
        longer.extend_from_slice(&payload[at + 17..]);
        let mut out = encoded[..kind_bytes].to_vec();
        Header {
            list: true,
            payload_length: longer.len(),
        }
        .encode(&mut out);
        [out, longer].concat()
    }

    #[test]
    fn a_fee_that_nobody_can_pay_is_not_a_fault_of_form() {
        let sender = Account::of(1);
        let legacy = sender.sign_transaction(TxLegacy {
            gas_price: u128::MAX,
            gas_limit: 21_000,
            ..TxLegacy::default()
        });
        let dynamic = sender.sign_transaction(TxEip1559 {
            chain_id: CHAIN_ID,
            max_fee_per_gas: u128::MAX,
            gas_limit: 21_000,
            ..TxEip1559::default()
        });
        for transaction in [legacy, dynamic] {
            let encoded = transaction.encoded_2718();
            assert_eq!(code(&encoded), None);
            assert_eq!(
                code(&with_longer_fee(&encoded, 1)),
                Some("transaction_funds")
            );
            assert_eq!(
                code(&with_longer_fee(&encoded, 16)),
                Some("transaction_fee")
            );
            assert_eq!(code(&with_longer_fee(&encoded, 17)), Some("rlp"));
            let damaged = [&with_longer_fee(&encoded, 1)[..], &[0]].concat();
            assert_eq!(code(&damaged), Some("rlp"));
            assert_eq!(code(&encoded[..encoded.len() - 1]), Some("rlp"));
        }
    }
}
