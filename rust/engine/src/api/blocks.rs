//! Blocks by number and by hash, from a cache of their JSON.

use std::sync::Arc;

use alloy_primitives::{B256, U64};
use alloy_rpc_types_eth::Block as RpcBlock;
use quick_cache::{Weighter, sync::Cache};
use serde_json::value::{RawValue, to_raw_value};

use super::{
    Answer, Api, RpcError,
    block_id::{BlockId, BlockNumber},
    json, json_or_null, null, objects,
    params::{Params, Quantity},
};
use crate::store::StoredBlock;

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
            return self.pending_block(full, params.caller());
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

    /// The decided block that `id` means; `pending` gives the head.
    pub(super) fn find_block(&self, id: BlockId) -> Result<Option<Arc<StoredBlock>>, RpcError> {
        match self.find_number(id)? {
            Some(number) => Ok(self.engine.store().block(number)?),
            None => Ok(None),
        }
    }

    pub(super) fn get_header_by_number(&self, params: &Params<'_>) -> Answer {
        self.header_of(params.required(0)?)
    }

    pub(super) fn header_of(&self, number: BlockNumber) -> Answer {
        if number == BlockNumber::Pending {
            return self.pending_header();
        }
        let block = self.find_block(BlockId::Number(number))?;
        json_or_null(block.map(|stored| objects::header(&stored.block)))
    }

    pub(super) fn get_header_by_hash(&self, params: &Params<'_>) -> Answer {
        let block = self.find_block(BlockId::Hash(params.required(0)?))?;
        json_or_null(block.map(|stored| objects::header(&stored.block)))
    }

    pub(super) fn get_block_transaction_count_by_number(&self, params: &Params<'_>) -> Answer {
        let number = params.required(0)?;
        if number == BlockNumber::Pending {
            let pending = self.pending();
            return json_or_null(pending.map(|one| U64::from(one.block().transactions.len())));
        }
        let block = self.find_block(BlockId::Number(number))?;
        json_or_null(block.map(|stored| U64::from(stored.block.transactions.len())))
    }

    pub(super) fn get_block_transaction_count_by_hash(&self, params: &Params<'_>) -> Answer {
        let block = self.find_block(BlockId::Hash(params.required(0)?))?;
        json_or_null(block.map(|stored| U64::from(stored.block.transactions.len())))
    }

    pub(super) fn get_uncle_count_by_number(&self, params: &Params<'_>) -> Answer {
        let number = params.required(0)?;
        if number == BlockNumber::Pending {
            return json(&U64::ZERO);
        }
        let block = self.find_block(BlockId::Number(number))?;
        json_or_null(block.map(|stored| U64::from(stored.block.ommers.len())))
    }

    pub(super) fn get_uncle_count_by_hash(&self, params: &Params<'_>) -> Answer {
        let block = self.find_block(BlockId::Hash(params.required(0)?))?;
        json_or_null(block.map(|stored| U64::from(stored.block.ommers.len())))
    }

    pub(super) fn get_uncle_by_number_and_index(&self, params: &Params<'_>) -> Answer {
        let number = params.required(0)?;
        let index = params.required(1)?;
        if number == BlockNumber::Pending {
            return null();
        }
        uncle(self.find_block(BlockId::Number(number))?, index)
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
