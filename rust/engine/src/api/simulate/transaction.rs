//! A call as the unsigned transaction that a simulated block holds.

use alloy_consensus::{
    Signed, TxEip1559, TxEip2930, TxEip4844, TxEip4844Variant, TxEip7702, TxEnvelope, TxLegacy,
};
use alloy_eips::{eip2718::Encodable2718, eip7594::BlobTransactionSidecarVariant};
use alloy_primitives::{Bytes, Signature, TxKind, U256, keccak256};
use alloy_rlp::{Encodable, Header as RlpHeader};

use crate::api::{
    RpcError,
    call::CallRequest,
    params::{Object, U256Field},
};

/// A transaction without a signature, and the bytes that stand for it in the block.
pub(super) struct Unsigned {
    pub(super) envelope: TxEnvelope,
    pub(super) raw: Bytes,
}

/// What a block fills into a call that leaves it open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults {
    pub(super) nonce: u64,
    pub(super) gas_limit: u64,
    pub(super) chain_id: u64,
    /// Before London there are only gas prices.
    pub(super) has_base_fee: bool,
}

impl Unsigned {
    /// The transaction of the newest kind that the call's fields allow; a gas price makes it the oldest.
    pub(super) fn of(call: &CallRequest, defaults: Defaults) -> Result<Self, RpcError> {
        call.check_fields(defaults.chain_id)?;
        // Refuses both kinds of fees together.
        let (gas_price, _) = call.fees()?;
        let Defaults {
            nonce,
            gas_limit,
            chain_id,
            has_base_fee,
        } = defaults;
        let (value, input, access_list) = (call.value(), call.data(), call.access_list());
        let to = call.to().map_or(TxKind::Create, TxKind::Call);
        let max_fee_per_gas = wei(&call.max_fee_per_gas);
        let max_priority_fee_per_gas = wei(&call.max_priority_fee_per_gas);
        if call.gas_price.is_some() || !has_base_fee {
            if call.access_list.is_some() {
                return Ok(Self::typed(TxEip2930 {
                    chain_id,
                    nonce,
                    gas_price,
                    gas_limit,
                    to,
                    value,
                    access_list,
                    input,
                }));
            }
            return Ok(Self::legacy(TxLegacy {
                chain_id: None,
                nonce,
                gas_price,
                gas_limit,
                to,
                value,
                input,
            }));
        }
        let address = call.to().unwrap_or_default();
        if let Some(signed) = &call.authorization_list {
            let authorization_list = signed.iter().map(|Object(one)| one.clone()).collect();
            return Ok(Self::typed(TxEip7702 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to: address,
                value,
                access_list,
                authorization_list,
                input,
            }));
        }
        if let Some(hashes) = &call.blob_versioned_hashes {
            return Ok(Self::typed(
                TxEip4844Variant::<BlobTransactionSidecarVariant>::TxEip4844(TxEip4844 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to: address,
                    value,
                    access_list,
                    blob_versioned_hashes: hashes.iter().map(|hash| hash.0).collect(),
                    max_fee_per_blob_gas: wei(&call.max_fee_per_blob_gas),
                    input,
                }),
            ));
        }
        Ok(Self::typed(TxEip1559 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to,
            value,
            access_list,
            input,
        }))
    }

    fn typed<T>(transaction: T) -> Self
    where
        TxEnvelope: From<Signed<T>>,
    {
        let envelope = TxEnvelope::from(Signed::new_unhashed(transaction, no_signature()));
        let raw = envelope.encoded_2718().into();
        Self { envelope, raw }
    }

    /// The encoding of a legacy transaction has v, r and s in it: all zero here, which no signature has.
    fn legacy(transaction: TxLegacy) -> Self {
        let mut payload = Vec::new();
        transaction.nonce.encode(&mut payload);
        transaction.gas_price.encode(&mut payload);
        transaction.gas_limit.encode(&mut payload);
        transaction.to.encode(&mut payload);
        transaction.value.encode(&mut payload);
        transaction.input.encode(&mut payload);
        for _ in 0..3 {
            0_u8.encode(&mut payload);
        }
        let mut raw = Vec::new();
        RlpHeader {
            list: true,
            payload_length: payload.len(),
        }
        .encode(&mut raw);
        raw.extend(payload);
        let hash = keccak256(&raw);
        Self {
            envelope: Signed::new_unchecked(transaction, no_signature(), hash).into(),
            raw: raw.into(),
        }
    }
}

fn no_signature() -> Signature {
    Signature::new(U256::ZERO, U256::ZERO, false)
}

/// A fee as transactions hold it. Nobody has the funds for one of more than 128 bits, so cutting it changes nothing.
fn wei(fee: &Option<U256Field>) -> u128 {
    fee.as_ref().map_or(0, |fee| fee.0.saturating_to())
}
