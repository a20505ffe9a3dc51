//! The commit: durable first, then visible.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
};

use alloy_primitives::{B256, U256};

use super::{
    Head, Inner, Published, StoredBlock,
    blocks::encode_record,
    delta::{Change, Delta},
    keys::SlotKey,
    log::Location,
    log_rows::LogRows,
};
use crate::{EngineError, ExecutedBlock, Result, state::AccountChange, trie::StateTrie};

/// A writer this many times over the flush thresholds flushes itself, which slows it down to what disk can take.
const OVERFULL_FACTOR: u64 = 4;

/// The state of the one writer.
#[derive(Default)]
pub(crate) struct Writer {
    /// Committed and not flushed, oldest first.
    pub(crate) deltas: VecDeque<Arc<Delta>>,
    pub(crate) buffered_bytes: u64,
    /// The version of the trie that the last flush wrote.
    pub(crate) stored_version: u64,
    /// Blocks of the log above the head, from before a crash.
    pub(crate) pending: VecDeque<(Location, B256)>,
    unsynced: u32,
    closed: bool,
    /// Why nothing can be committed any more.
    pub(crate) failed: Option<EngineError>,
}

impl Writer {
    pub(crate) fn pending_locations(&self) -> Vec<Location> {
        self.pending.iter().map(|(location, _)| *location).collect()
    }

    pub(crate) fn buffered(&self) -> (u64, u64) {
        (self.deltas.len() as u64, self.buffered_bytes)
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.closed {
            return Err(EngineError::Storage("the store is closed".into()));
        }
        Ok(())
    }
}

impl Inner {
    /// Returns whether it is time for a flush.
    pub(crate) fn commit(&self, executed: &Arc<ExecutedBlock>, is_synced: bool) -> Result<bool> {
        let mut writer = self.writer.lock();
        writer.check_open()?;
        let block = &executed.block;
        let head = self.published.read().head;
        self.check_extends(executed, &head)?;
        let head_view = head.number;
        let (accounts, slots) = self.changes_since(head_view, &executed.trie)?;

        let location = match writer.pending.front() {
            Some((location, hash)) if *hash == block.hash => *location,
            Some((_, hash)) => {
                return Err(EngineError::Corruption(format!(
                    "the block log has decided block {hash} at number {}, not {}",
                    block.header.number, block.hash
                )));
            }
            None => {
                let record = encode_record(block, &executed.receipts);
                let location = self.blocks.log.append(&record)?;
                writer.unsynced += 1;
                if is_synced && writer.unsynced >= self.options.sync_every_blocks.max(1) {
                    self.sync_log(&mut writer)?;
                }
                location
            }
        };
        writer.pending.pop_front();

        let delta = Arc::new(Delta {
            number: block.header.number,
            hash: block.hash,
            location,
            transactions: block.transactions.iter().map(|tx| *tx.tx_hash()).collect(),
            logs: LogRows::of(block, &executed.receipts),
            accounts,
            slots,
            trie: Arc::clone(executed.trie.update()),
        });
        let stored = Arc::new(StoredBlock {
            block: block.clone(),
            receipts: executed.receipts.clone(),
        });
        self.flat.apply(&delta);
        if !delta.trie.changes.codes.is_empty() {
            let codes = delta.trie.changes.codes.iter().cloned();
            self.fresh_codes.write().extend(codes);
        }
        self.blocks.add(stored, &delta);
        writer.buffered_bytes += delta.weight();
        writer.deltas.push_back(delta);
        // A block that was executed before the last flush ended brings back nodes that the flush let go.
        let trie = if executed.trie.unloaded() < writer.stored_version {
            executed.trie.without_stored(writer.stored_version)
        } else {
            executed.trie.clone()
        };
        let head = Head::of(&block.header, block.hash);
        *self.published.write() = Published { head, trie };
        self.head_number
            .store(block.header.number, Ordering::Release);
        Ok(self.is_due(&writer, 1))
    }

    /// Wait until every committed block is on disk.
    pub(crate) fn sync(&self) -> Result<()> {
        let mut writer = self.writer.lock();
        if writer.unsynced == 0 {
            return Ok(());
        }
        writer.check_open()?;
        self.sync_log(&mut writer)
    }

    fn sync_log(&self, writer: &mut Writer) -> Result<()> {
        if let Err(error) = self.blocks.log.sync() {
            // The block may or may not be on disk, so another must not take its place.
            writer.failed = Some(error.clone());
            return Err(error);
        }
        writer.unsynced = 0;
        Ok(())
    }

    fn is_due(&self, writer: &Writer, factor: u64) -> bool {
        let (blocks, bytes) = writer.buffered();
        blocks >= factor * u64::from(self.options.flush_every_blocks.max(1))
            || bytes >= factor * self.options.flush_every_bytes
    }

    pub(crate) fn is_overfull(&self) -> bool {
        self.is_due(&self.writer.lock(), OVERFULL_FACTOR)
    }

    fn check_extends(&self, executed: &ExecutedBlock, head: &Head) -> Result<()> {
        let header = &executed.block.header;
        let refuse = |detail: String| Err(EngineError::InvalidInput(format!("commit: {detail}")));
        let version = executed.trie.version();
        if self.published.read().trie.version() == 0 {
            return refuse("the store has no genesis".into());
        }
        if header.parent_hash != head.hash || header.number != head.number + 1 {
            return refuse(format!(
                "block {} with parent {} does not extend the head {} ({})",
                header.number, header.parent_hash, head.number, head.hash
            ));
        }
        if executed.trie.root() != header.state_root || version != header.number + 1 {
            return refuse(format!(
                "the trie with root {} and version {version} is not that of block {} with state root {}",
                executed.trie.root(),
                header.number,
                header.state_root
            ));
        }
        Ok(())
    }

    /// What really changes, with the values from before: a block may also write what is there already.
    #[allow(
        clippy::type_complexity,
        reason = "a name for it would be used here only"
    )]
    fn changes_since(
        &self,
        head: u64,
        trie: &StateTrie,
    ) -> Result<(
        Vec<Change<B256, Option<crate::state::AccountRecord>>>,
        Vec<Change<SlotKey, U256>>,
    )> {
        let mut accounts = Vec::new();
        let mut slots = Vec::new();
        for change in &trie.update().changes.accounts {
            let key = change.hashed;
            let old = self.flat.account(&key, head)?;
            if old != change.account {
                let new = change.account;
                accounts.push(Change { key, old, new });
            }
            for (key, new) in self.slots_after(change, old.is_some())? {
                let old = self.flat.slot(&key, head)?;
                if old != new {
                    slots.push(Change { key, old, new });
                }
            }
        }
        Ok((accounts, slots))
    }

    /// The slots that a change sets. A wiped account loses those that it does not set again.
    fn slots_after(&self, change: &AccountChange, existed: bool) -> Result<Vec<(SlotKey, U256)>> {
        let account = change.hashed;
        let mut slots: Vec<(SlotKey, U256)> = change
            .slots
            .iter()
            .map(|(slot, value)| {
                (
                    SlotKey {
                        account,
                        slot: *slot,
                    },
                    *value,
                )
            })
            .collect();
        if change.wiped && existed {
            let trie = self.published.read().trie.clone();
            if trie.has_storage(account, &self.nodes)? {
                let set = slots.len();
                for key in self.flat.slots_of(&account)? {
                    if slots[..set]
                        .binary_search_by_key(&key, |(key, _)| *key)
                        .is_err()
                    {
                        slots.push((key, U256::ZERO));
                    }
                }
            }
        }
        Ok(slots)
    }
}
