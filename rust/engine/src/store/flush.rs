//! The flush: committed blocks from memory to the key-value store, in one atomic batch.

use std::{
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
};

use crossbeam_channel::{Sender, bounded};
use parking_lot::Mutex;

use super::{
    Inner,
    blocks::Blocks,
    delta::{ChangedKeys, Delta},
    flat::{drop_history, write_flat},
    keys,
    kv::Batch,
    open::encode_head,
};
use crate::{EngineError, Result};

/// The history of at most this many blocks is deleted in one flush, for the batch is made in memory.
const PRUNED_BLOCKS_MAX: u64 = 4_096;

/// The thread that flushes in the background.
pub(crate) struct Flusher {
    thread: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

impl Flusher {
    pub(crate) fn start(inner: Arc<Inner>) -> Result<Self> {
        // One waiting request is enough: a flush takes all there is.
        let (sender, requests) = bounded::<()>(1);
        let run = move || {
            for () in requests {
                // Whoever commits next is told what has failed.
                let _ = inner.flush();
            }
        };
        let thread = std::thread::Builder::new()
            .name("store-flush".into())
            .spawn(run)
            .map_err(|error| EngineError::Storage(format!("start the flush thread: {error}")))?;
        Ok(Self {
            thread: Mutex::new(Some((sender, thread))),
        })
    }

    pub(crate) fn request(&self) {
        if let Some((sender, _)) = &*self.thread.lock() {
            // Full: a request is waiting already.
            let _ = sender.try_send(());
        }
    }

    /// Let a running flush end, and start no other.
    pub(crate) fn stop(&self) {
        if let Some((sender, thread)) = self.thread.lock().take() {
            drop(sender);
            // A panic of the thread was reported when it happened; the log still has everything.
            let _ = thread.join();
        }
    }
}

impl Inner {
    /// Write every committed block to the key-value store.
    ///
    /// A flush that failed is the last one of this life, even if the disk would take the next: readers were told of it before it was written, and nobody
    /// knows how much of it is there. What it leaves out is in the log, and opening executes it again.
    pub(crate) fn flush(&self) -> Result<()> {
        let _flushing = self.flushing.lock();
        if let Some(error) = &self.writer.lock().failed {
            return Err(error.clone());
        }
        self.write_committed().inspect_err(|error| {
            self.writer.lock().failed.get_or_insert(error.clone());
        })
    }

    fn write_committed(&self) -> Result<()> {
        let (deltas, published) = {
            let writer = self.writer.lock();
            let deltas: Vec<Arc<Delta>> = writer.deltas.iter().cloned().collect();
            (deltas, self.published.read().clone())
        };
        let Some(last) = deltas.last() else {
            return Ok(());
        };
        // The state must never be newer than what the log has for sure.
        self.blocks.log.sync()?;
        let since = self.flat.flushed() + 1;
        let head = published.head;
        let oldest = self.oldest_after(head.number);
        let forgotten = self.oldest();
        // Before the history goes, so that a reader who misses it finds out.
        self.oldest.store(oldest, Ordering::SeqCst);
        self.flat.flush_begins(head.number);

        let mut batch = Batch::default();
        write_flat(&deltas, oldest, &mut batch);
        Blocks::write_index(&deltas, &mut batch);
        published
            .trie
            .write_dirty(since, &self.nodes, &mut |key, record| {
                batch.put(key.bytes(), record);
                Ok(())
            })?;
        for delta in &deltas {
            for (hash, code) in &delta.trie.changes.codes {
                batch.put(keys::code(hash), code);
            }
            for key in &delta.trie.gone.branches {
                batch.delete_unless_written(key.bytes());
            }
            for owner in &delta.trie.gone.storages {
                self.kv.scan(&keys::storage_trie(owner), &mut |key, _| {
                    batch.delete_unless_written(key);
                    Ok(true)
                })?;
            }
        }
        for number in forgotten + 1..=oldest.min(since - 1) {
            if let Some(changed) = self.kv.get(&keys::changed_in(number))? {
                drop_history(number, &ChangedKeys::decode(&changed)?, &mut batch);
            }
        }
        // A store of an older version has rows from its first flush by this one on.
        let rows_from = self.blocks.rows.first().unwrap_or(deltas[0].number);
        batch.put(keys::META_LOG_ROWS, rows_from.to_be_bytes());
        let root = published.trie.root_record();
        batch.put(keys::META_TRIE_ROOT, root);
        batch.put(keys::META_OLDEST, oldest.to_be_bytes());
        let place = encode_head(&head, last.location);
        batch.put(keys::META_HEAD, place);
        self.kv.write(batch)?;

        self.flat.flush_ended(head.number);
        self.blocks.rows.keep(rows_from, head.number);
        self.blocks.flushed(&deltas);
        let mut writer = self.writer.lock();
        let mut fresh_codes = self.fresh_codes.write();
        for delta in writer.deltas.drain(..deltas.len()) {
            for (hash, _) in &delta.trie.changes.codes {
                fresh_codes.remove(hash);
            }
        }
        drop(fresh_codes);
        writer.buffered_bytes = writer.deltas.iter().map(|delta| delta.weight()).sum();
        writer.stored_version = head.number + 1;
        let mut published = self.published.write();
        published.trie = published.trie.without_stored(writer.stored_version);
        Ok(())
    }

    fn oldest_after(&self, head: u64) -> u64 {
        let window = self.options.history_blocks.unwrap_or(u64::MAX);
        let wanted = head.saturating_sub(window);
        let oldest = self.oldest();
        // A window that was made smaller is reached over several flushes.
        wanted
            .min(oldest.saturating_add(PRUNED_BLOCKS_MAX))
            .max(oldest)
    }
}
