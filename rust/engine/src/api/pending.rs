//! The block `pending`: the one that would follow, as far as it is known before its proposer builds it.

use alloy_consensus::{Header, Transaction as _};
use alloy_eips::eip7685::{EMPTY_REQUESTS_HASH, Requests};
use alloy_primitives::{Address, B256, Bytes};
use alloy_rpc_types_eth::Transaction;
use serde::Serialize;
use serde_json::Value;

use super::{Answer, Api, RpcError, json, null, objects, params::Quantity};
use crate::{Block, BuildAttributes, build::child_header};

impl Api {
    /// The pool's best transactions up to the gas limit. The state root is the head's, the other roots are empty; which consensus block
    /// comes before it is not known.
    pub(super) fn preview(&self) -> Result<Block, RpcError> {
        let head = self.head_block()?;
        let parent = &head.block.header;
        let attributes = BuildAttributes {
            timestamp: parent.timestamp + 1,
            fee_recipient: Address::ZERO,
            prev_randao: parent.mix_hash,
            withdrawals: Vec::new(),
            parent_beacon_block_root: B256::ZERO,
            gas_limit: parent.gas_limit,
            extra_data: Bytes::new(),
        };
        let spec = self.engine.spec();
        let header = child_header(spec, parent, head.block.hash, &attributes);
        let base_fee = header.base_fee_per_gas.unwrap_or_default();
        let mut block = Block {
            header: Header {
                state_root: parent.state_root,
                parent_beacon_block_root: None,
                requests_hash: parent.requests_hash.map(|_| EMPTY_REQUESTS_HASH),
                ..header
            },
            hash: B256::ZERO,
            transactions: Vec::new(),
            senders: Vec::new(),
            withdrawals: Vec::new(),
            ommers: Vec::new(),
            requests: Requests::default(),
            size: 0,
        };
        let mut gas_left = parent.gas_limit;
        for pooled in self.engine.pool().best(base_fee) {
            // Before execution the limits are all that is known of the gas.
            let Some(left) = gas_left.checked_sub(pooled.transaction.gas_limit()) else {
                break;
            };
            gas_left = left;
            block.size += pooled.raw.len();
            block.senders.push(pooled.transaction.signer());
            block.transactions.push(pooled.transaction.inner().clone());
        }
        Ok(block)
    }

    /// As with geth hash, nonce and miner are null.
    pub(super) fn pending_block(&self, full: bool) -> Answer {
        let mut value = value_of(&objects::block(&self.preview()?, full))?;
        for field in ["hash", "nonce", "miner"] {
            value[field] = Value::Null;
        }
        if full && let Some(transactions) = value["transactions"].as_array_mut() {
            transactions.iter_mut().for_each(open_place);
        }
        json(&value)
    }

    pub(super) fn pending_transaction_at(&self, index: Quantity) -> Answer {
        let block = self.preview()?;
        let Some(index) = place_in(&block, index) else {
            return null();
        };
        let transaction: Transaction = objects::transaction(&block, index);
        let mut value = value_of(&transaction)?;
        open_place(&mut value);
        json(&value)
    }
}

/// The index of a transaction that the block has.
pub(super) fn place_in(block: &Block, index: Quantity) -> Option<usize> {
    let index = usize::try_from(index.0).ok()?;
    (index < block.transactions.len()).then_some(index)
}

/// No block has it yet.
fn open_place(transaction: &mut Value) {
    for field in ["blockHash", "blockNumber", "transactionIndex"] {
        transaction[field] = Value::Null;
    }
}

fn value_of<T: Serialize>(of: &T) -> Result<Value, RpcError> {
    serde_json::to_value(of).map_err(|error| RpcError::internal(error.to_string()))
}
