//! Transactions and receipts.

use std::sync::Arc;

use alloy_eips::Encodable2718;
use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_eth::TransactionReceipt;

use super::{
    Answer, Api, RpcError,
    block_id::{BlockId, BlockNumber},
    json, json_or_null, null, objects,
    params::{Params, Quantity},
    pending::place_in,
};
use crate::store::StoredBlock;

impl Api {
    pub(super) fn get_transaction_by_hash(&self, params: &Params<'_>) -> Answer {
        let hash = params.required::<B256>(0)?;
        if let Some((stored, index)) = self.find_transaction(hash)? {
            return json(&objects::transaction(&stored.block, index));
        }
        let pooled = self.engine.pool().get(&hash);
        json_or_null(pooled.map(|pooled| objects::pending_transaction(&pooled)))
    }

    pub(super) fn get_transaction_by_block_number_and_index(&self, params: &Params<'_>) -> Answer {
        let (number, index) = (params.required(0)?, params.required(1)?);
        if number == BlockNumber::Pending {
            return self.pending_transaction_at(index);
        }
        let at = at_index(self.find_block(BlockId::Number(number))?, index);
        json_or_null(at.map(|(stored, index)| objects::transaction(&stored.block, index)))
    }

    pub(super) fn get_transaction_by_block_hash_and_index(&self, params: &Params<'_>) -> Answer {
        let block = self.find_block(BlockId::Hash(params.required(0)?))?;
        let at = at_index(block, params.required(1)?);
        json_or_null(at.map(|(stored, index)| objects::transaction(&stored.block, index)))
    }

    /// geth answers `0x`, not `null`, for what does not exist; so do we, here and below.
    pub(super) fn get_raw_transaction_by_hash(&self, params: &Params<'_>) -> Answer {
        let hash = params.required::<B256>(0)?;
        if let Some(at) = self.find_transaction(hash)? {
            return json(&encoded(&at));
        }
        let pooled = self.engine.pool().get(&hash);
        json(&pooled.map(|pooled| pooled.raw.clone()).unwrap_or_default())
    }

    pub(super) fn get_raw_transaction_by_block_number_and_index(
        &self,
        params: &Params<'_>,
    ) -> Answer {
        let (number, index) = (params.required(0)?, params.required(1)?);
        if number == BlockNumber::Pending {
            return self.pending_raw_transaction_at(index);
        }
        let at = at_index(self.find_block(BlockId::Number(number))?, index);
        json(&at.as_ref().map(encoded).unwrap_or_default())
    }

    pub(super) fn get_raw_transaction_by_block_hash_and_index(
        &self,
        params: &Params<'_>,
    ) -> Answer {
        let block = self.find_block(BlockId::Hash(params.required(0)?))?;
        let at = at_index(block, params.required(1)?);
        json(&at.as_ref().map(encoded).unwrap_or_default())
    }

    pub(super) fn get_transaction_receipt(&self, params: &Params<'_>) -> Answer {
        let Some((stored, index)) = self.find_transaction(params.required(0)?)? else {
            return null();
        };
        json(&objects::receipt(
            &stored,
            index,
            objects::logs_before(&stored, index),
            self.blob_gas_price(&stored),
        ))
    }

    pub(super) fn get_block_receipts(&self, params: &Params<'_>) -> Answer {
        let id = params.required::<BlockId>(0)?;
        if id == BlockId::Number(BlockNumber::Pending) {
            return self.pending_receipts();
        }
        let block = self.find_block(id)?;
        json_or_null(block.map(|stored| self.receipts(&stored)))
    }

    pub(super) fn receipts(&self, stored: &StoredBlock) -> Vec<TransactionReceipt> {
        let blob_gas_price = self.blob_gas_price(stored);
        let mut first_log = 0;
        (0..stored.receipts.len())
            .map(|index| {
                let receipt = objects::receipt(stored, index, first_log, blob_gas_price);
                first_log += receipt.inner.logs().len() as u64;
                receipt
            })
            .collect()
    }

    /// A decided transaction: its block and its index there.
    pub(super) fn find_transaction(
        &self,
        hash: B256,
    ) -> Result<Option<(Arc<StoredBlock>, usize)>, RpcError> {
        let store = self.engine.store();
        let Some((number, index)) = store.transaction_location(hash)? else {
            return Ok(None);
        };
        let stored = store
            .block(number)?
            .ok_or_else(|| RpcError::internal(format!("block {number} has no body")))?;
        Ok(at_index(Some(stored), Quantity(index.into())))
    }

    pub(super) fn blob_gas_price(&self, stored: &StoredBlock) -> Option<u128> {
        let header = &stored.block.header;
        let blobs = self.engine.spec().blob_params_at(header.timestamp)?;
        header
            .excess_blob_gas
            .map(|excess| blobs.calc_blob_fee(excess))
    }
}

fn at_index(block: Option<Arc<StoredBlock>>, index: Quantity) -> Option<(Arc<StoredBlock>, usize)> {
    let stored = block?;
    let index = place_in(&stored.block, index)?;
    Some((stored, index))
}

fn encoded((stored, index): &(Arc<StoredBlock>, usize)) -> Bytes {
    stored.block.transactions[*index].encoded_2718().into()
}
