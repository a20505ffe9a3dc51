//! `testing_buildBlockV1`: a block as this node would build it, of chosen transactions, for tests of other software.
//!
//! Nothing is kept: the chain and the pool stay as they were. The namespace is served only where a configuration names it.

use std::time::Instant;

use alloy_consensus::{
    Transaction as _, TxEnvelope,
    transaction::{Recovered, SignerRecoverable as _},
};
use alloy_eips::{Decodable2718 as _, Encodable2718 as _};
use alloy_primitives::{B256, Bytes, U64, U256};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer, Api, RpcError, json as answer,
    overrides::WithdrawalField,
    params::{AddressField, Argument, HashField, Params, U64Field, object},
};
use crate::{BuildAttributes, EngineError, ExecutedBlock};

/// The gas limit that blocks step towards.
const GAS_LIMIT_TARGET: u64 = 60_000_000;
/// A block's gas limit may differ from its parent's by less than this part of it.
const GAS_LIMIT_STEPS: u64 = 1_024;

/// Engine API's PayloadAttributesV3.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attributes {
    timestamp: U64Field,
    prev_randao: HashField,
    suggested_fee_recipient: AddressField,
    withdrawals: Vec<WithdrawalField>,
    parent_beacon_block_root: HashField,
}

impl Argument for Attributes {
    fn read(json: &str) -> Result<Self, String> {
        object(json, "an object of payload attributes")
    }
}

impl Api {
    pub(super) fn build_block(&self, params: &Params<'_>) -> Answer {
        let parent = params.required::<B256>(0)?;
        let attributes = params.required::<Attributes>(1)?;
        let raws = params.optional::<Vec<Bytes>>(2)?;
        let extra_data = params.optional::<Bytes>(3)?.unwrap_or_default();
        let transactions = raws.map(|raws| raws.iter().enumerate().map(decode).collect());
        let transactions = transactions.transpose()?;
        let attributes = BuildAttributes {
            timestamp: attributes.timestamp.0,
            fee_recipient: attributes.suggested_fee_recipient.0,
            prev_randao: attributes.prev_randao.0,
            withdrawals: attributes
                .withdrawals
                .iter()
                .map(WithdrawalField::to_withdrawal)
                .collect(),
            parent_beacon_block_root: attributes.parent_beacon_block_root.0,
            gas_limit: self.gas_limit_after(parent)?,
            extra_data,
        };
        let deadline = Instant::now() + self.limits.call_timeout;
        let executed = self
            .engine
            .preview(parent, &attributes, transactions, deadline);
        match executed {
            Ok(executed) => answer(&envelope(&executed)),
            Err(EngineError::NotFound(_)) => Err(self.wrong_parent(parent)?),
            Err(error) => Err(error.into()),
        }
    }

    /// The head and undecided blocks above it can be parents. Blocks are final one by one, so one below the head has its only child.
    /// Callers are told of the head alone: only consensus knows the hashes of undecided blocks.
    fn wrong_parent(&self, parent: B256) -> Result<RpcError, RpcError> {
        let found = match self.engine.store().number_of(parent)? {
            Some(number) => format!("block {number}"),
            None => "no block of this chain".to_owned(),
        };
        let head = self.engine.head();
        Ok(RpcError::server(format!(
            "invalid argument 0: parent: found {parent}, {found}; expected {}, the head, block {}: ask eth_getBlockByNumber for \"latest\" and give its hash",
            head.hash, head.number
        )))
    }

    /// One step from the parent's gas limit towards the usual one. An unknown parent is refused later, by the builder.
    fn gas_limit_after(&self, parent: B256) -> Result<u64, RpcError> {
        let store = self.engine.store();
        let number = store.number_of(parent)?;
        let header = number.map(|number| store.header(number)).transpose()?;
        let Some(header) = header.flatten() else {
            return Ok(GAS_LIMIT_TARGET);
        };
        let limit = header.0.gas_limit;
        let step = (limit / GAS_LIMIT_STEPS).saturating_sub(1);
        Ok(GAS_LIMIT_TARGET.clamp(limit.saturating_sub(step), limit.saturating_add(step)))
    }
}

fn decode((index, raw): (usize, &Bytes)) -> Result<Recovered<TxEnvelope>, RpcError> {
    let wrong = |what: String| RpcError::invalid_params(format!("transaction {index}: {what}"));
    let transaction =
        TxEnvelope::decode_2718_exact(raw).map_err(|error| wrong(error.to_string()))?;
    let signer = transaction.recover_signer();
    let signer = signer.map_err(|error| wrong(error.to_string()))?;
    Ok(Recovered::new_unchecked(transaction, signer))
}

/// The block as `engine_getPayloadV4` gives one.
fn envelope(executed: &ExecutedBlock) -> Value {
    let block = &executed.block;
    let header = &block.header;
    let transactions: Vec<Bytes> = block
        .transactions
        .iter()
        .map(|transaction| transaction.encoded_2718().into())
        .collect();
    let optional = |number: Option<u64>| U64::from(number.unwrap_or_default());
    json!({
        "executionPayload": {
            "parentHash": header.parent_hash,
            "feeRecipient": header.beneficiary,
            "stateRoot": header.state_root,
            "receiptsRoot": header.receipts_root,
            "logsBloom": header.logs_bloom,
            "prevRandao": header.mix_hash,
            "blockNumber": U64::from(header.number),
            "gasLimit": U64::from(header.gas_limit),
            "gasUsed": U64::from(header.gas_used),
            "timestamp": U64::from(header.timestamp),
            "extraData": header.extra_data,
            "baseFeePerGas": optional(header.base_fee_per_gas),
            "blockHash": block.hash,
            "transactions": transactions,
            "withdrawals": block.withdrawals,
            "blobGasUsed": optional(header.blob_gas_used),
            "excessBlobGas": optional(header.excess_blob_gas),
        },
        "blockValue": tips(executed),
        "blobsBundle": {"commitments": [], "proofs": [], "blobs": []},
        "executionRequests": block.requests.iter().collect::<Vec<_>>(),
        "shouldOverrideBuilder": false,
    })
}

/// What the fee recipient gets.
fn tips(executed: &ExecutedBlock) -> U256 {
    let block = &executed.block;
    let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
    let mut gas_before = 0;
    let tip = |(transaction, receipt): (&TxEnvelope, &alloy_consensus::ReceiptEnvelope)| {
        let gas = receipt.cumulative_gas_used() - gas_before;
        gas_before = receipt.cumulative_gas_used();
        let tip = transaction.effective_tip_per_gas(base_fee);
        U256::from(tip.unwrap_or_default()) * U256::from(gas)
    };
    let pairs = block.transactions.iter().zip(&executed.receipts);
    pairs.map(tip).sum()
}
