//! The limits of the pool. Each default says why it is what it is.

use std::time::Duration;

/// Limits of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolConfig {
    /// Executable transactions in all. 65,536 are 23 blocks of 60 M gas full of transfers, or three bursts of 20,000.
    pub pending_max: usize,
    /// Transactions behind a nonce gap in all. They are of no use yet and cost their sender nothing, so they get an
    /// eighth of the room; geth keeps one fifth.
    pub queued_max: usize,
    /// Executable transactions of one account: a block and a half of transfers, so that a load generator with one key
    /// is not refused between two blocks, and sixteen accounts are needed to fill the pool.
    pub account_pending_max: usize,
    /// Gapped transactions of one account. Batches of 100 that travel on parallel connections may arrive in any order;
    /// 256 lets two of them wait for a third.
    pub account_queued_max: usize,
    /// Encoded bytes of all transactions. Decoding about doubles them; with 65,536 transfers (7 MiB) it is not felt.
    pub bytes_max: usize,
    /// Encoded bytes of one transaction, as geth's: four slots of 32 KiB.
    pub transaction_bytes_max: usize,
    /// Least priority fee in wei per gas, on admission and, above the base fee, in a block.
    pub tip_min: u128,
    /// A replacement must offer this much more of both fees, in percent.
    pub price_bump_percent: u128,
    /// A gapped transaction is dropped when its account was silent for so long.
    pub queued_lifetime: Duration,
    /// What this node forwards and no block took for so long is sent again, in turn: a peer that was away, or whose
    /// queue was full, may lack it. Fifteen blocks.
    pub forward_again_after: Duration,
    /// Whether blob transactions are taken, when their blobs are sent with them: on the network of an imported chain only, as
    /// blocks of our own have none. The engine sets it by its `chain_import`.
    pub takes_blobs: bool,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            pending_max: 65_536,
            queued_max: 8_192,
            account_pending_max: 4_096,
            account_queued_max: 256,
            bytes_max: 64 << 20,
            transaction_bytes_max: 128 << 10,
            tip_min: 1,
            price_bump_percent: 10,
            queued_lifetime: Duration::from_secs(3 * 60 * 60),
            forward_again_after: Duration::from_secs(30),
            takes_blobs: false,
        }
    }
}
