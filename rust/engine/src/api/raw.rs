//! `debug_getRaw*`: the consensus encodings of blocks, headers, transactions and receipts.

use alloy_eips::Encodable2718;
use alloy_primitives::Bytes;

use super::{Answer, Api, RpcError, block_id::BlockId, json, params::Params};
use crate::store::StoredBlock;
use std::sync::Arc;

impl Api {
    pub(super) fn get_raw_header(&self, params: &Params<'_>) -> Answer {
        let stored = self.existing_block(params.required(0)?)?;
        json(&Bytes::from(alloy_rlp::encode(&stored.block.header)))
    }

    pub(super) fn get_raw_block(&self, params: &Params<'_>) -> Answer {
        let stored = self.existing_block(params.required(0)?)?;
        json(&stored.block.encode())
    }

    pub(super) fn get_raw_receipts(&self, params: &Params<'_>) -> Answer {
        let stored = self.existing_block(params.required(0)?)?;
        let encoded: Vec<Bytes> = stored
            .receipts
            .iter()
            .map(|receipt| receipt.encoded_2718().into())
            .collect();
        json(&encoded)
    }

    /// Here, as in geth, an unknown block is an error and not `null`.
    pub(super) fn existing_block(&self, id: BlockId) -> Result<Arc<StoredBlock>, RpcError> {
        self.find_block(id)?.ok_or_else(|| {
            RpcError::server(match id {
                BlockId::Hash(hash) => format!("block {hash} not found"),
                BlockId::Number(_) => "header not found".to_owned(),
            })
        })
    }
}
