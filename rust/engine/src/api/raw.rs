//! `debug_getRaw*`: the consensus encodings of blocks, headers, transactions and receipts.

use alloy_eips::Encodable2718;
use alloy_primitives::Bytes;

use super::{
    Answer, Api, RpcError,
    block_id::{BlockId, BlockNumber},
    json, null,
    params::Params,
};
use crate::store::StoredBlock;
use std::sync::Arc;

impl Api {
    pub(super) fn get_raw_header(&self, params: &Params<'_>) -> Answer {
        let stored = self.raw_block(params.required(0)?)?;
        json(&stored.map_or_else(Bytes::new, |stored| {
            alloy_rlp::encode(&stored.block.header).into()
        }))
    }

    pub(super) fn get_raw_block(&self, params: &Params<'_>) -> Answer {
        let stored = self.raw_block(params.required(0)?)?;
        json(&stored.map_or_else(Bytes::new, |stored| stored.block.encode()))
    }

    pub(super) fn get_raw_receipts(&self, params: &Params<'_>) -> Answer {
        let id = params.required(0)?;
        if id == BlockId::Number(BlockNumber::Pending) {
            return json::<[Bytes]>(&[]);
        }
        let Some(stored) = self.raw_block(id)? else {
            return null();
        };
        let encoded: Vec<Bytes> = stored
            .receipts
            .iter()
            .map(|receipt| receipt.encoded_2718().into())
            .collect();
        json(&encoded)
    }

    /// As in geth, a hash without its block is an error, and so is the block that is still pending; a number without one has no bytes.
    fn raw_block(&self, id: BlockId) -> Result<Option<Arc<StoredBlock>>, RpcError> {
        if id == BlockId::Number(BlockNumber::Pending) {
            return Err(RpcError::server("block pending not found"));
        }
        match (self.find_block(id)?, id) {
            (None, BlockId::Hash(hash)) => Err(RpcError::server(format!("block {hash} not found"))),
            (stored, _) => Ok(stored),
        }
    }
}
