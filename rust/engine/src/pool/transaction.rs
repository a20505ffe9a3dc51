//! A transaction of the pool.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use alloy_consensus::{Transaction, TxEnvelope, transaction::Recovered};
use alloy_primitives::{Address, B256, Bytes, U256};

/// Where a transaction came from; it decides whether this node forwards it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// This node's own RPC: forwarded.
    Local,
    /// A peer whose transactions this node has to forward: on a validator a peer that is none, on a follower any.
    Relayed,
    /// A peer that forwards to everybody itself: not forwarded again.
    Gossip,
}

/// A transaction of the pool; immutable, shared in `Arc`.
#[derive(Debug)]
pub struct PooledTransaction {
    pub transaction: Recovered<TxEnvelope>,
    /// The EIP-2718 encoding as a block has it: as it arrived, but for what came with blobs.
    pub raw: Bytes,
    pub hash: B256,
    pub origin: Origin,
    pub added: Instant,
    /// Order of arrival; breaks ties between equal prices.
    pub(super) sequence: u64,
    pub(super) price: Price,
    /// The most that it can take from its sender, in wei; saturates.
    pub(super) cost: U256,
    /// Who signed its EIP-7702 authorizations.
    pub(super) authorities: Box<[Address]>,
    /// Whether it has been pending, and so been told to subscribers and peers.
    pub(super) announced: AtomicBool,
}

impl PooledTransaction {
    pub fn sender(&self) -> Address {
        self.transaction.signer()
    }

    pub fn nonce(&self) -> u64 {
        self.transaction.nonce()
    }

    /// Mark as told; true the first time.
    pub(super) fn announce(&self) -> bool {
        !self.announced.swap(true, Ordering::Relaxed)
    }
}

/// What a transaction, or the dearest demand on a chain of them, offers, in wei per gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Price {
    /// `max_fee_per_gas`, or the gas price of types 0 and 1.
    pub(super) fee: u128,
    /// `max_priority_fee_per_gas`, or the gas price of types 0 and 1.
    pub(super) tip: u128,
}

impl Price {
    pub(super) fn of(transaction: &impl Transaction) -> Self {
        let fee = transaction.max_fee_per_gas();
        Self {
            fee,
            tip: transaction.max_priority_fee_per_gas().unwrap_or(fee),
        }
    }

    /// What the proposer earns above the base fee; `None` if the transaction does not pay the base fee.
    pub(super) fn effective_tip(self, base_fee: u64) -> Option<u128> {
        self.fee
            .checked_sub(u128::from(base_fee))
            .map(|above| above.min(self.tip))
    }

    /// What a chain that has both offers: nobody gets the second without the first.
    pub(super) fn min(self, other: Self) -> Self {
        Self {
            fee: self.fee.min(other.fee),
            tip: self.tip.min(other.tip),
        }
    }

    /// The order in which transactions are worth keeping at this base fee.
    pub(super) fn rank(self, base_fee: u64) -> Rank {
        Rank {
            effective_tip: self.effective_tip(base_fee),
            fee: self.fee,
        }
    }

    /// Whether this offers at least `percent` more than `other`, in both fees.
    pub(super) fn bumps(self, other: Self, percent: u128) -> bool {
        let enough = |new: u128, old: u128| {
            let threshold = old / 100 * (100 + percent) + old % 100 * (100 + percent) / 100;
            new > old && new >= threshold
        };
        enough(self.fee, other.fee) && enough(self.tip, other.tip)
    }
}

/// See [`Price::rank`]; greater is better. Below the base fee (`None`) comes last, by fee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    effective_tip: Option<u128>,
    fee: u128,
}
