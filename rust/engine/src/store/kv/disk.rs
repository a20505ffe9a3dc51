//! The store on disk: one fjall keyspace.
//!
//! A batch is written as a sorted table of its own ("ingestion") and becomes visible by one change of the manifest. That
//! is atomic, needs neither journal nor write buffer (our state buffer is one already), and leaves no journal whose damage
//! could pass for a torn tail.

use std::{path::Path, sync::Arc, time::Duration};

use fjall::{
    AbstractTree, CompressionType, Database, Keyspace, KeyspaceCreateOptions,
    compaction::Leveled,
    config::{BlockSizePolicy, CompressionPolicy},
};

use super::{Batch, Kv, Pair, Visit};
use crate::{EngineError, Result};

/// Small tables, so that merging a batch into an idle node's little state rewrites little.
const TABLE_BYTES: u64 = 16 << 20;
/// Open files kept at hand; a table is a file.
const OPEN_FILES_MAX: usize = 200;
/// Batches that are merged together. More make merging cheaper and reading dearer.
const UNMERGED_GOAL: u8 = 4;
/// Unmerged batches at which a writer waits for the merging: each of them costs every read of an absent key.
const UNMERGED_MAX: usize = 16;
const UNMERGED_WAIT: Duration = Duration::from_millis(5);
/// A writer that waited this often goes on all the same: slow is better than stuck.
const UNMERGED_WAITS_MAX: usize = 2_000;

pub(crate) struct DiskKv {
    keyspace: Keyspace,
    database: Database,
}

impl DiskKv {
    pub(crate) fn open(path: &Path, cache_bytes: u64) -> Result<Self> {
        let database = Database::builder(path)
            .cache_size(cache_bytes)
            .worker_threads(1)
            .max_cached_files(Some(OPEN_FILES_MAX))
            .open()
            .map_err(|error| fault("open", &error))?;
        let options = || {
            KeyspaceCreateOptions::default()
                .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
                .data_block_size_policy(BlockSizePolicy::all(4 << 10))
                .compaction_strategy(Arc::new(
                    Leveled::default()
                        .with_l0_threshold(UNMERGED_GOAL)
                        .with_table_target_size(TABLE_BYTES),
                ))
        };
        let keyspace = database
            .keyspace("engine", options)
            .map_err(|error| fault("open", &error))?;
        Ok(Self { keyspace, database })
    }

    /// Let go of tables that were merged away. The store keeps them for readers of older versions until it is told how far
    /// those are, which it is in a flush of its write buffer; and that we never use.
    fn drop_old_tables(&self) -> fjall::Result<()> {
        let tracker = &self.database.supervisor.snapshot_tracker;
        let mut versions = self.keyspace.tree.get_version_history_lock();
        versions.maintenance(self.keyspace.path(), tracker.get_seqno_safe_to_gc())?;
        Ok(())
    }

    fn wait_for_merging(&self) {
        for _ in 0..UNMERGED_WAITS_MAX {
            if self.keyspace.l0_table_count() < UNMERGED_MAX {
                return;
            }
            std::thread::sleep(UNMERGED_WAIT);
        }
    }
}

impl Kv for DiskKv {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let value = self
            .keyspace
            .get(key)
            .map_err(|error| fault("read", &error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn first(&self, from: &[u8], to: &[u8]) -> Result<Option<Pair>> {
        if from >= to {
            return Ok(None);
        }
        match self.keyspace.range(from..to).next() {
            None => Ok(None),
            Some(entry) => {
                let (key, value) = entry.into_inner().map_err(|error| fault("read", &error))?;
                Ok(Some((key.to_vec(), value.to_vec())))
            }
        }
    }

    fn scan(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        for entry in self.keyspace.prefix(prefix) {
            let (key, value) = entry.into_inner().map_err(|error| fault("read", &error))?;
            if !visit(&key, &value)? {
                break;
            }
        }
        Ok(())
    }

    fn range(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        if from >= to {
            return Ok(());
        }
        for entry in self.keyspace.range(from..to) {
            let (key, value) = entry.into_inner().map_err(|error| fault("read", &error))?;
            if !visit(&key, &value)? {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, mut batch: Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        self.wait_for_merging();
        let mut write = || {
            let mut table = self.keyspace.start_ingestion()?;
            for (key, value) in batch.sorted() {
                match value {
                    Some(value) => table.write(key, value)?,
                    None => table.write_tombstone(key)?,
                }
            }
            table.finish()?;
            self.drop_old_tables()
        };
        write().map_err(|error| fault("write", &error))
    }

    fn disk_bytes(&self) -> u64 {
        // The journal is preallocated and stays empty, so the tables are all there is.
        self.keyspace.disk_space()
    }
}

impl Drop for DiskKv {
    fn drop(&mut self) {
        // A failure here loses nothing: each batch was synced when it was written.
        let _ = self.database.persist(fjall::PersistMode::SyncAll);
    }
}

fn fault(what: &str, error: &fjall::Error) -> EngineError {
    EngineError::Storage(format!("{what} of the key-value store: {error}"))
}
