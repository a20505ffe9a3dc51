//! Proofs at past blocks, and the way back.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, atomic::Ordering},
};

use alloy_primitives::{Address, B256};
use alloy_rpc_types_eth::EIP1186AccountProofResponse;

use super::{
    Head, Inner, Published, StateView,
    delta::ChangedKeys,
    flat::{drop_history, write_account, write_slot},
    keys,
    kv::Batch,
    log_rows::LogRows,
    open::encode_head,
};
use crate::{
    EngineError, Result,
    state::{AccountChange, StateChanges},
    trie::StateTrie,
};

/// A proof at a past block undoes what changed since; this many keys take some tenths of a second.
const UNDONE_KEYS_MAX: usize = 100_000;
/// How often a proof begins again because disk moved on under it.
const PROOF_ATTEMPTS: usize = 3;

impl Inner {
    pub(crate) fn proof(
        self: &Arc<Self>,
        number: u64,
        address: Address,
        slots: &[B256],
    ) -> Result<EIP1186AccountProofResponse> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            self.check_within_history(number)?;
            let (head, trie, unflushed) = self.snapshot();
            let proof = self
                .trie_at(number, head.number, &trie, &unflushed)
                .and_then(|past| past.proof(address, slots, &self.nodes));
            match proof {
                Err(EngineError::Corruption(_))
                    if attempt < PROOF_ATTEMPTS && self.is_superseded(&trie) => {}
                result => return result,
            }
        }
    }

    /// The trie after block `number`.
    pub(crate) fn trie_after(self: &Arc<Self>, number: u64) -> Result<StateTrie> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            self.check_within_history(number)?;
            let (head, trie, unflushed) = self.snapshot();
            match self.trie_at(number, head.number, &trie, &unflushed) {
                Err(EngineError::Corruption(_))
                    if attempt < PROOF_ATTEMPTS && self.is_superseded(&trie) => {}
                result => return result,
            }
        }
    }

    /// The head with its trie, and the keys that unflushed blocks changed.
    fn snapshot(&self) -> (Head, StateTrie, BTreeMap<u64, ChangedKeys>) {
        let writer = self.writer.lock();
        let deltas = writer.deltas.iter();
        let unflushed = deltas
            .map(|delta| (delta.number, delta.changed_keys()))
            .collect();
        let published = self.published.read();
        (published.head, published.trie.clone(), unflushed)
    }

    /// The trie after block `number`: the head's, with everything undone that changed since.
    fn trie_at(
        self: &Arc<Self>,
        number: u64,
        head: u64,
        trie: &StateTrie,
        unflushed: &BTreeMap<u64, ChangedKeys>,
    ) -> Result<StateTrie> {
        if number == head {
            return Ok(trie.clone());
        }
        let view = StateView::new(Arc::clone(self), number);
        let mut past: BTreeMap<B256, AccountChange> = BTreeMap::new();
        let mut undone = 0;
        for later in number + 1..=head {
            let changed = match unflushed.get(&later) {
                Some(changed) => changed.clone(),
                None => {
                    let stored = self.kv.get(&keys::changed_in(later))?;
                    stored.map_or(Ok(ChangedKeys::default()), |keys| {
                        ChangedKeys::decode(&keys)
                    })?
                }
            };
            undone += changed.len();
            if undone > UNDONE_KEYS_MAX {
                return Err(EngineError::LimitExceeded(format!(
                    "a proof at block {number} would undo more than {UNDONE_KEYS_MAX} changes; ask for a later block"
                )));
            }
            let accounts = changed.accounts.iter().copied();
            for account in accounts.chain(changed.slots.iter().map(|key| key.account)) {
                if let Entry::Vacant(place) = past.entry(account) {
                    place.insert(AccountChange {
                        hashed: account,
                        account: view.record_of(&account)?,
                        wiped: false,
                        slots: Vec::new(),
                    });
                }
            }
            for key in &changed.slots {
                let value = view.slot_of(key)?;
                if let Some(change) = past.get_mut(&key.account) {
                    change.slots.push((key.slot, value));
                }
            }
        }
        let mut accounts: Vec<AccountChange> = past.into_values().collect();
        for change in &mut accounts {
            change.slots.sort_unstable_by_key(|(slot, _)| *slot);
            change.slots.dedup_by_key(|(slot, _)| *slot);
        }
        let codes = Vec::new();
        let past = trie.next(StateChanges { accounts, codes }, &self.nodes)?;
        let header = self.header(number)?;
        let expected = header.map(|header| header.0.state_root);
        if Some(past.root()) != expected {
            return Err(EngineError::Corruption(format!(
                "undoing later blocks gives block {number} the state root {}, its header says {expected:?}",
                past.root()
            )));
        }
        Ok(past)
    }

    pub(crate) fn rewind(self: &Arc<Self>, to: u64) -> Result<Head> {
        self.check_within_history(to)?;
        self.flush()?;
        let _flushing = self.flushing.lock();
        let mut writer = self.writer.lock();
        writer.check_open()?;
        let published = self.published.read().clone();
        let from = published.head.number;
        if !writer.deltas.is_empty() || !writer.pending.is_empty() {
            return Err(EngineError::InvalidInput(
                "rewind: blocks are still coming in".into(),
            ));
        }
        let header = self.header(to)?;
        let header = header.ok_or_else(|| EngineError::NotFound(format!("block {to}")))?;
        let head = Head::of(&header.0, header.1);
        let location = self.blocks.location(to)?;
        let location = location.ok_or_else(|| EngineError::NotFound(format!("block {to}")))?;
        if to == from {
            return Ok(head);
        }

        let trie = self.trie_at(to, from, &published.trie, &BTreeMap::new())?;
        let trie = trie.renumbered(to + 1);
        let mut batch = Batch::default();
        for change in &trie.update().changes.accounts {
            write_account(&change.hashed, change.account, &mut batch);
            for (slot, value) in &change.slots {
                let account = change.hashed;
                write_slot(
                    &keys::SlotKey {
                        account,
                        slot: *slot,
                    },
                    *value,
                    &mut batch,
                );
            }
        }
        for number in to + 1..=from {
            if let Some(changed) = self.kv.get(&keys::changed_in(number))? {
                drop_history(number, &ChangedKeys::decode(&changed)?, &mut batch);
            }
            if let Some(stored) = self.blocks.block(number)? {
                batch.delete(keys::location(number));
                batch.delete(keys::number_of(&stored.block.hash));
                for transaction in &stored.block.transactions {
                    batch.delete(keys::transaction(transaction.tx_hash()));
                }
                for (address, _) in LogRows::of(&stored.block, &stored.receipts).iter() {
                    batch.delete(keys::log_row(address, number));
                }
            }
        }
        trie.write_dirty(from + 1, &self.nodes, &mut |key, record| {
            batch.put(key.bytes(), record);
            Ok(())
        })?;
        for key in &trie.update().gone.branches {
            batch.delete_unless_written(key.bytes());
        }
        for owner in &trie.update().gone.storages {
            self.kv.scan(&keys::storage_trie(owner), &mut |key, _| {
                batch.delete_unless_written(key);
                Ok(true)
            })?;
        }
        batch.put(keys::META_TRIE_ROOT, trie.root_record());
        batch.put(keys::META_HEAD, encode_head(&head, location));
        // Should we die before the log is cut, opening cuts it.
        batch.put(keys::META_CUT, location.encode());
        self.kv.write(batch)?;
        self.blocks.log.cut(location.end())?;
        let mut batch = Batch::default();
        batch.delete(keys::META_CUT);
        self.kv.write(batch)?;

        self.blocks.reset();
        self.blocks.rows.cut(to);
        self.flat.reset(to);
        let trie = trie.without_stored(u64::MAX);
        writer.stored_version = to + 1;
        *self.published.write() = Published { head, trie };
        self.head_number.store(to, Ordering::Release);
        Ok(head)
    }
}
