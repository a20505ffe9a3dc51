//! The store in memory, for tests and for nodes that keep nothing.

use std::{collections::BTreeMap, ops::Bound};

use parking_lot::RwLock;

use super::{Batch, Kv, Pair, Visit};
use crate::Result;

#[derive(Debug, Default)]
pub(crate) struct MemoryKv {
    entries: RwLock<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Kv for MemoryKv {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.entries.read().get(key).cloned())
    }

    fn first(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>> {
        if from >= to {
            return Ok(None);
        }
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        let entries = self.entries.read();
        let first = entries.range::<[u8], _>(bounds).next();
        Ok(first.map(|(key, value)| (key.clone(), value.clone())))
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        let entries = self.entries.read();
        let bounds = (Bound::Included(prefix), Bound::Unbounded);
        let within = entries
            .range::<[u8], _>(bounds)
            .take_while(|(key, _)| key.starts_with(prefix));
        for (key, value) in within {
            if !visit(key, value)? {
                break;
            }
        }
        Ok(())
    }

    fn range(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        if from >= to {
            return Ok(());
        }
        let bounds = (Bound::Included(from), Bound::Excluded(to));
        for (key, value) in self.entries.read().range::<[u8], _>(bounds) {
            if !visit(key, value)? {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, mut batch: Batch) -> Result<()> {
        let mut entries = self.entries.write();
        for (key, value) in batch.sorted() {
            match value {
                Some(value) => entries.insert(key.to_vec(), value.to_vec()),
                None => entries.remove(key),
            };
        }
        Ok(())
    }

    fn disk_bytes(&self) -> u64 {
        0
    }
}
