//! Versioned values in memory: what committed blocks changed and disk does not have yet, over a cache of what disk has.
//!
//! The rules that make a read at a pinned block consistent without holding a lock:
//! - A commit adds versions for its own block only, so older readers pass over them.
//! - A flush writes disk in one atomic batch, then, shard by shard, moves flushed versions into the cache.
//! - A reader that found nothing here reads the present value on disk. If a flush beyond its block had begun by then, it asks
//!   the history afterwards: the history of every change that the present value may show is on disk with it.
//! - A value read from disk enters the cache only if its shard was not flushed since the reader looked.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
};

use alloy_primitives::{B256, map::FbBuildHasher};
use parking_lot::RwLock;
use quick_cache::sync::Cache;

use super::keys::SlotKey;
use crate::Result;

/// Enough that readers and a commit rarely meet on one lock.
const SHARDS: usize = 64;

/// A key of a table.
pub(crate) trait TableKey: Copy + Eq + Hash {
    /// A byte that is evenly spread.
    fn spread(&self) -> u8;
}

impl TableKey for B256 {
    fn spread(&self) -> u8 {
        self[31]
    }
}

impl TableKey for SlotKey {
    fn spread(&self) -> u8 {
        self.slot[31] ^ self.account[31]
    }
}

/// What is on disk below a table.
pub(crate) trait OnDisk<K, V> {
    /// The present value.
    fn load(&self, key: &K) -> Result<V>;
    /// The value after block `number`, if the key changed later and that is on disk.
    fn load_at(&self, key: &K, number: u64) -> Result<Option<V>>;
    /// The last block that disk holds or is about to hold.
    fn newest(&self) -> u64;
}

/// The values of one kind of key: the unflushed versions and the cache.
pub(crate) struct Table<K, V> {
    shards: Vec<RwLock<Shard<K, V>>>,
    cache: Cache<K, V>,
}

struct Shard<K, V> {
    versions: HashMap<K, Versions<V>, FbBuildHasher<32>>,
    /// The block that disk held when this shard was last trimmed.
    flushed: u64,
    /// Counts the trims.
    generation: u64,
}

struct Versions<V> {
    /// The value on disk.
    base: V,
    /// Block and value after it, ascending.
    changes: Vec<(u64, V)>,
}

impl<K: TableKey, V: Copy> Table<K, V> {
    pub(crate) fn new(cached_items: usize) -> Self {
        let shard = || {
            RwLock::new(Shard {
                versions: HashMap::default(),
                flushed: 0,
                generation: 0,
            })
        };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            cache: Cache::new(cached_items),
        }
    }

    fn shard(&self, key: &K) -> &RwLock<Shard<K, V>> {
        &self.shards[usize::from(key.spread()) % SHARDS]
    }

    /// The value after block `number`, which must be committed.
    pub(crate) fn at(&self, key: &K, number: u64, disk: &impl OnDisk<K, V>) -> Result<V> {
        let (generation, base) = {
            let shard = self.shard(key).read();
            let base = match shard.versions.get(key) {
                None => None,
                Some(versions) => {
                    let newest = versions.changes.iter().rev().find(|(at, _)| *at <= number);
                    match newest {
                        Some((_, value)) => return Ok(*value),
                        None if number >= shard.flushed => return Ok(versions.base),
                        None => Some(versions.base),
                    }
                }
            };
            (shard.generation, base)
        };
        let present = match base.or_else(|| self.cache.get(key)) {
            Some(present) => present,
            None => {
                let present = disk.load(key)?;
                let shard = self.shard(key).read();
                if shard.generation == generation {
                    self.cache.insert(*key, present);
                }
                present
            }
        };
        if disk.newest() <= number {
            return Ok(present);
        }
        Ok(disk.load_at(key, number)?.unwrap_or(present))
    }

    /// Note that block `number` changed `key` from `old` to `new`.
    pub(crate) fn change(&self, key: K, number: u64, old: V, new: V) {
        let mut shard = self.shard(&key).write();
        match shard.versions.entry(key) {
            Entry::Occupied(mut versions) => versions.get_mut().changes.push((number, new)),
            Entry::Vacant(place) => {
                let changes = vec![(number, new)];
                place.insert(Versions { base: old, changes });
            }
        }
    }

    /// Disk now holds everything up to block `number`.
    pub(crate) fn flushed(&self, number: u64) {
        for shard in &self.shards {
            let mut shard = shard.write();
            shard.flushed = number;
            shard.generation += 1;
            shard.versions.retain(|key, versions| {
                let count = versions.changes.partition_point(|(at, _)| *at <= number);
                if let Some((_, value)) = versions.changes.drain(..count).next_back() {
                    versions.base = value;
                    self.cache.insert(*key, value);
                }
                !versions.changes.is_empty()
            });
            if shard.versions.is_empty() {
                shard.versions.shrink_to(16);
            }
        }
    }

    /// Forget everything; disk holds block `number` and nothing later.
    pub(crate) fn reset(&self, number: u64) {
        for shard in &self.shards {
            let mut shard = shard.write();
            shard.flushed = number;
            shard.generation += 1;
            shard.versions.clear();
        }
        self.cache.clear();
    }

    /// The unflushed keys that `wanted` picks.
    pub(crate) fn unflushed(&self, wanted: impl Fn(&K) -> bool) -> Vec<K> {
        let mut keys = Vec::new();
        for shard in &self.shards {
            let shard = shard.read();
            keys.extend(shard.versions.keys().filter(|key| wanted(key)));
        }
        keys
    }

    /// How many values the cache holds.
    pub(crate) fn cached(&self) -> usize {
        self.cache.len()
    }
}
