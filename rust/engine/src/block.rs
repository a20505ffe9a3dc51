//! A block with what was computed from it: senders, hash, and after execution receipts and state changes.

use alloy_consensus::{Header, ReceiptEnvelope, TxEnvelope};
use alloy_eips::{eip4895::Withdrawal, eip7685::Requests};
use alloy_primitives::{Address, B256};
use revm::database::BundleState;

use crate::trie::StateTrie;

/// A decoded block. `senders[i]` signed `transactions[i]`.
#[derive(Debug, Clone)]
pub struct Block {
    pub header: Header,
    pub hash: B256,
    pub transactions: Vec<TxEnvelope>,
    pub senders: Vec<Address>,
    pub withdrawals: Vec<Withdrawal>,
    pub ommers: Vec<Header>,
    /// The EIP-7685 requests, carried beside the RLP.
    pub requests: Requests,
    /// Length of the block's RLP in bytes.
    pub size: usize,
}

/// A block and everything its execution gave; immutable, shared in `Arc`.
#[derive(Debug)]
pub struct ExecutedBlock {
    pub block: Block,
    pub receipts: Vec<ReceiptEnvelope>,
    pub bundle: BundleState,
    /// The state trie after the block.
    pub trie: StateTrie,
}
