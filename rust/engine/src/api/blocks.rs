//! Blocks by number and by hash, from a cache of their JSON.

use std::sync::Arc;

use alloy_consensus::{Header, Transaction as _};
use alloy_eips::eip7685::Requests;
use alloy_primitives::{Address, B256, Bytes, U64};
use alloy_rpc_types_eth::Block as RpcBlock;
use quick_cache::{Weighter, sync::Cache};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

use super::{
    Answer, Api, RpcError,
    block_id::{BlockId, BlockNumber},
    json, json_or_null, null, objects,
    params::{Params, Quantity},
};
use crate::{Block, BuildAttributes, build::child_header, store::StoredBlock};

/// A block's hash and whether its transactions are whole. By hash, so that an entry is never stale.
pub(super) type BlockKey = (B256, bool);

/// Weighs cached JSON by its bytes.
#[derive(Debug, Clone)]
pub(super) struct ByLength;

impl Weighter<BlockKey, Arc<RawValue>> for ByLength {
    fn weight(&self, _: &BlockKey, json: &Arc<RawValue>) -> u64 {
        json.get().len() as u64
    }
}

pub(super) fn cache(bytes_max: u64) -> Cache<BlockKey, Arc<RawValue>, ByLength> {
    /// Few, so that the cache has few shards: an entry of megabytes must fit into one.
    const BLOCKS_EXPECTED: usize = 64;
    Cache::with_weighter(BLOCKS_EXPECTED, bytes_max, ByLength)
}

impl Api {
    pub(super) fn get_block_by_number(&self, params: &Params<'_>) -> Answer {
        let number = params.required::<BlockNumber>(0)?;
        let full = params.required::<bool>(1)?;
        if number == BlockNumber::Pending {
            return self.pending_block(full);
        }
        if number == BlockNumber::Latest {
            let head = self.engine.store().head();
            return owned_or_null(self.cached_block_json(head.number, head.hash, full)?);
        }
        match self.find_number(BlockId::Number(number))? {
            Some(number) => owned_or_null(self.block_json_of(number, full)?),
            None => null(),
        }
    }

    pub(super) fn get_block_by_hash(&self, params: &Params<'_>) -> Answer {
        let hash = params.required::<B256>(0)?;
        let full = params.required::<bool>(1)?;
        match self.engine.store().number_of(hash)? {
            Some(number) => owned_or_null(self.cached_block_json(number, hash, full)?),
            None => null(),
        }
    }

    pub(super) fn block_json_of(
        &self,
        number: u64,
        full: bool,
    ) -> Result<Option<Arc<RawValue>>, RpcError> {
        match self.engine.store().header(number)? {
            Some(header) => self.cached_block_json(number, header.1, full),
            None => Ok(None),
        }
    }

    fn cached_block_json(
        &self,
        number: u64,
        hash: B256,
        full: bool,
    ) -> Result<Option<Arc<RawValue>>, RpcError> {
        let key = (hash, full);
        if let Some(found) = self.block_json.get(&key) {
            return Ok(Some(found));
        }
        // When a new head is asked for by many at once, one of them writes it and the others wait for that.
        let written = self.block_json.get_or_insert_with(&key, || {
            let stored = self
                .engine
                .store()
                .block(number)?
                .ok_or_else(|| RpcError::internal(format!("block {number} has no body")))?;
            to_raw_value(&objects::block(&stored.block, full))
                .map(Arc::from)
                .map_err(|error| RpcError::internal(error.to_string()))
        })?;
        Ok(Some(written))
    }

    /// The block that would follow, as far as it is known before its proposer builds it: the pool's best transactions
    /// up to the gas limit. As with geth hash, nonce and miner are null; the state root is the head's, the other roots are empty.
    fn pending_block(&self, full: bool) -> Answer {
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
        let mut value = serde_json::to_value(objects::block(&block, full))
            .map_err(|error| RpcError::internal(error.to_string()))?;
        for field in ["hash", "nonce", "miner"] {
            value[field] = Value::Null;
        }
        if full && let Some(transactions) = value["transactions"].as_array_mut() {
            for transaction in transactions {
                for field in ["blockHash", "blockNumber", "transactionIndex"] {
                    transaction[field] = Value::Null;
                }
            }
        }
        json(&value)
    }

    /// The block that `id` means; `pending` gives the head.
    pub(super) fn find_block(&self, id: BlockId) -> Result<Option<Arc<StoredBlock>>, RpcError> {
        match self.find_number(id)? {
            Some(number) => Ok(self.engine.store().block(number)?),
            None => Ok(None),
        }
    }

    pub(super) fn head_block(&self) -> Result<Arc<StoredBlock>, RpcError> {
        self.find_block(BlockId::default())?
            .ok_or_else(|| RpcError::internal("the head has no body"))
    }

    pub(super) fn get_header_by_number(&self, params: &Params<'_>) -> Answer {
        self.header_of(params.required(0)?)
    }

    pub(super) fn header_of(&self, number: BlockNumber) -> Answer {
        if number == BlockNumber::Pending {
            return null();
        }
        let block = self.find_block(BlockId::Number(number))?;
        json_or_null(block.map(|stored| objects::header(&stored.block)))
    }

    pub(super) fn get_header_by_hash(&self, params: &Params<'_>) -> Answer {
        let block = self.find_block(BlockId::Hash(params.required(0)?))?;
        json_or_null(block.map(|stored| objects::header(&stored.block)))
    }

    pub(super) fn get_block_transaction_count_by_number(&self, params: &Params<'_>) -> Answer {
        let block = self.find_block(BlockId::Number(params.required(0)?))?;
        json_or_null(block.map(|stored| U64::from(stored.block.transactions.len())))
    }

    pub(super) fn get_block_transaction_count_by_hash(&self, params: &Params<'_>) -> Answer {
        let block = self.find_block(BlockId::Hash(params.required(0)?))?;
        json_or_null(block.map(|stored| U64::from(stored.block.transactions.len())))
    }

    pub(super) fn get_uncle_count_by_number(&self, params: &Params<'_>) -> Answer {
        let block = self.find_block(BlockId::Number(params.required(0)?))?;
        json_or_null(block.map(|stored| U64::from(stored.block.ommers.len())))
    }

    pub(super) fn get_uncle_count_by_hash(&self, params: &Params<'_>) -> Answer {
        let block = self.find_block(BlockId::Hash(params.required(0)?))?;
        json_or_null(block.map(|stored| U64::from(stored.block.ommers.len())))
    }

    pub(super) fn get_uncle_by_number_and_index(&self, params: &Params<'_>) -> Answer {
        let block = self.find_block(BlockId::Number(params.required(0)?))?;
        uncle(block, params.required(1)?)
    }

    pub(super) fn get_uncle_by_hash_and_index(&self, params: &Params<'_>) -> Answer {
        let block = self.find_block(BlockId::Hash(params.required(0)?))?;
        uncle(block, params.required(1)?)
    }
}

/// An uncle as a block without transactions. Blocks of this chain have none; imported older chains may.
fn uncle(block: Option<Arc<StoredBlock>>, index: Quantity) -> Answer {
    let header = block.and_then(|stored| {
        let index = usize::try_from(index.0).ok()?;
        stored.block.ommers.get(index).cloned()
    });
    json_or_null(header.map(RpcBlock::<()>::uncle_from_header))
}

fn owned_or_null(json: Option<Arc<RawValue>>) -> Answer {
    json.map_or_else(null, |json| Ok((*json).to_owned()))
}
