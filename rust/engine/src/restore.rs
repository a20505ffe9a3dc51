//! An engine's data made from a snapshot: the state, the block that it is the state of, and the hashes before that block.
//!
//! Nothing is believed but the head block's hash, which the caller has from a certificate: the state must have the root that
//! the block's header names, the receipts and the body theirs, and the ancestors must lead to the block's parent.

use std::path::PathBuf;

use alloy_consensus::{Header, ReceiptEnvelope, proofs};
use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::Decodable;

use crate::{
    Block, EngineError, Result,
    body::validate_body,
    engine::thread_pool,
    genesis::GenesisBlock,
    header::expect_equal,
    store::{ANCESTORS, Head, Restoring, StoreOptions},
};

/// Data of an engine that is being made.
pub struct Restoration {
    genesis: GenesisBlock,
    restoring: Restoring,
    threads: std::sync::Arc<rayon::ThreadPool>,
}

impl Restoration {
    /// Begin in an empty directory; `None` works in memory.
    pub fn begin(genesis_json: &[u8], path: Option<PathBuf>, cache_bytes: u64) -> Result<Self> {
        let genesis = GenesisBlock::parse(genesis_json)?;
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let threads = thread_pool("restore", threads)?;
        let restoring = Restoring::begin(StoreOptions {
            path,
            cache_bytes,
            threads: Some(threads.clone()),
            ..StoreOptions::default()
        })?;
        Ok(Self {
            genesis,
            restoring,
            threads,
        })
    }

    /// Add the next entries of the state.
    pub fn add(&mut self, entries: &[u8]) -> Result<()> {
        self.restoring.add(entries)
    }

    /// The state's root so far.
    pub fn root(&self) -> B256 {
        self.restoring.root()
    }

    /// Check that everything belongs together, and make it a chain that an engine opens. `ancestors` are headers, ascending.
    pub fn finish(
        self,
        rlp: &[u8],
        requests: &[Bytes],
        receipts_rlp: &[u8],
        ancestors: &[Bytes],
    ) -> Result<Head> {
        let block = Block::decode(&self.genesis.spec, rlp, requests, &|_| None, &self.threads)?;
        validate_body(&self.genesis.spec, &block, true)?;
        let receipts = decode_receipts(receipts_rlp)?;
        if receipts.len() != block.transactions.len() {
            return Err(refused(format!(
                "{} receipts for {} transactions",
                receipts.len(),
                block.transactions.len()
            )));
        }
        expect_equal(
            "receipts_root",
            block.header.receipts_root,
            proofs::calculate_receipt_root(&receipts),
        )?;
        let hashes = self.ancestor_hashes(&block, ancestors)?;
        self.restoring
            .finish(&self.genesis.block, &block, &receipts, &hashes)
    }

    fn ancestor_hashes(&self, block: &Block, ancestors: &[Bytes]) -> Result<Vec<B256>> {
        let number = block.header.number;
        let expected = number.min(ANCESTORS);
        if ancestors.len() as u64 != expected {
            return Err(refused(format!(
                "{} headers before block {number}, expected {expected}",
                ancestors.len()
            )));
        }
        let mut child = (number, block.header.parent_hash);
        let mut hashes = Vec::with_capacity(ancestors.len());
        for rlp in ancestors.iter().rev() {
            let hash = keccak256(rlp);
            let header = Header::decode(&mut &rlp[..])
                .map_err(|error| refused(format!("a header before block {number}: {error}")))?;
            if hash != child.1 || header.number.checked_add(1) != Some(child.0) {
                return Err(refused(format!(
                    "the header of block {} is {hash}, but block {} follows {}",
                    header.number, child.0, child.1
                )));
            }
            child = (header.number, header.parent_hash);
            hashes.push(hash);
        }
        if child.0 == 0 && hashes.last() != Some(&self.genesis.block.hash) {
            return Err(refused(format!(
                "block {number} stands on another genesis than {}",
                self.genesis.block.hash
            )));
        }
        hashes.reverse();
        Ok(hashes)
    }
}

/// Receipts in their one encoding. alloy-eips takes a typed receipt whatever length its string says.
pub(crate) fn decode_receipts(rlp: &[u8]) -> Result<Vec<ReceiptEnvelope>> {
    let receipts = Vec::<ReceiptEnvelope>::decode(&mut &*rlp)
        .map_err(|error| refused(format!("receipts: {error}")))?;
    if alloy_rlp::encode(&receipts) != rlp {
        return Err(refused(
            "receipts: these bytes are not their encoding".to_owned(),
        ));
    }
    Ok(receipts)
}

fn refused(detail: String) -> EngineError {
    EngineError::InvalidInput(format!("snapshot: {detail}"))
}
