//! What can be looked up without the pool's lock: transactions by hash, accounts that have some, senders seen lately.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use alloy_primitives::{Address, B256};
use parking_lot::{Mutex, RwLock};

use super::PooledTransaction;

/// Enough that a handful of threads seldom meet.
const SHARDS: usize = 16;

/// Recovered senders kept for transactions that are not, or no longer, in the pool: two generations of this many.
/// Each is over five full blocks of transfers; 52 bytes each sender.
const RECENT_SENDERS: usize = 16_384;

/// Changed only under the pool's lock, read by everybody. Hashes and addresses are chosen by strangers, so the maps
/// are seeded.
#[derive(Debug, Default)]
pub(super) struct Index {
    transactions: [RwLock<HashMap<B256, Arc<PooledTransaction>>>; SHARDS],
    senders: [RwLock<HashSet<Address>>; SHARDS],
    recent: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<B256, Address>,
    old: HashMap<B256, Address>,
}

impl Index {
    pub(super) fn insert(&self, transaction: Arc<PooledTransaction>) {
        self.transactions[shard(transaction.hash.as_slice())]
            .write()
            .insert(transaction.hash, transaction);
    }

    pub(super) fn remove(&self, hash: &B256) {
        self.transactions[shard(hash.as_slice())]
            .write()
            .remove(hash);
    }

    pub(super) fn get(&self, hash: &B256) -> Option<Arc<PooledTransaction>> {
        self.transactions[shard(hash.as_slice())]
            .read()
            .get(hash)
            .cloned()
    }

    pub(super) fn contains(&self, hash: &B256) -> bool {
        self.transactions[shard(hash.as_slice())]
            .read()
            .contains_key(hash)
    }

    pub(super) fn add_sender(&self, address: Address) {
        self.senders[shard(address.as_slice())]
            .write()
            .insert(address);
    }

    pub(super) fn remove_sender(&self, address: &Address) {
        self.senders[shard(address.as_slice())]
            .write()
            .remove(address);
    }

    pub(super) fn has_sender(&self, address: &Address) -> bool {
        self.senders[shard(address.as_slice())]
            .read()
            .contains(address)
    }

    /// Whether any account has transactions.
    pub(super) fn has_senders(&self) -> bool {
        self.senders.iter().any(|shard| !shard.read().is_empty())
    }

    /// Remember who signed a transaction that the pool does not keep: a block may hold it all the same.
    pub(super) fn remember(&self, hash: B256, sender: Address) {
        let mut recent = self.recent.lock();
        if recent.young.len() >= RECENT_SENDERS {
            recent.old = std::mem::take(&mut recent.young);
        }
        recent.young.insert(hash, sender);
    }

    pub(super) fn sender(&self, hash: &B256) -> Option<Address> {
        if let Some(transaction) = self.transactions[shard(hash.as_slice())].read().get(hash) {
            return Some(transaction.sender());
        }
        let recent = self.recent.lock();
        recent
            .young
            .get(hash)
            .or_else(|| recent.old.get(hash))
            .copied()
    }
}

/// Whoever steers all keys to one shard gains a shared lock, nothing more.
fn shard(key: &[u8]) -> usize {
    usize::from(key[0]) % SHARDS
}
