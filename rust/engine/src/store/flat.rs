//! The flat state: accounts and slots by hashed key, at the head and at every block of the history.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use alloy_primitives::{B256, U256};

use super::{
    delta::{ChangedKeys, Delta},
    keys::{self, SlotKey},
    kv::{Batch, Kv},
    table::{OnDisk, Table},
};
use crate::{
    Result,
    state::{AccountRecord, corrupt},
};

/// Bytes of a cached account or slot with its bookkeeping.
const CACHED_BYTES: u64 = 200;

/// Accounts and slots with their history.
pub(crate) struct FlatState {
    accounts: Table<B256, Option<AccountRecord>>,
    slots: Table<SlotKey, U256>,
    disk: Disk,
}

struct Disk {
    kv: Arc<dyn Kv>,
    /// The block that disk holds, or will hold when the running flush is done.
    newest: AtomicU64,
}

impl FlatState {
    pub(crate) fn new(kv: Arc<dyn Kv>, cache_bytes: u64) -> Self {
        let items = (cache_bytes / 2 / CACHED_BYTES).max(64) as usize;
        Self {
            accounts: Table::new(items),
            slots: Table::new(items),
            disk: Disk {
                kv,
                newest: AtomicU64::new(0),
            },
        }
    }

    /// The account after block `number`, which must be committed and within the history.
    pub(crate) fn account(&self, hashed: &B256, number: u64) -> Result<Option<AccountRecord>> {
        self.accounts.at(hashed, number, &self.disk)
    }

    pub(crate) fn slot(&self, key: &SlotKey, number: u64) -> Result<U256> {
        self.slots.at(key, number, &self.disk)
    }

    /// Every slot of an account that is not zero after block `number`, or may be: also some that are.
    pub(crate) fn slots_of(&self, account: &B256) -> Result<Vec<SlotKey>> {
        let mut found = self.slots.unflushed(|key| key.account == *account);
        self.disk.kv.scan(&keys::slots_of(account), &mut |key, _| {
            let slot = key.get(33..).filter(|slot| slot.len() == 32);
            let slot = slot.ok_or_else(|| corrupt("the key of a slot"))?;
            found.push(SlotKey {
                account: *account,
                slot: B256::from_slice(slot),
            });
            Ok(true)
        })?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Make a block's changes readable, for views of this block and later ones.
    pub(crate) fn apply(&self, delta: &Delta) {
        for change in &delta.accounts {
            self.accounts
                .change(change.key, delta.number, change.old, change.new);
        }
        for change in &delta.slots {
            self.slots
                .change(change.key, delta.number, change.old, change.new);
        }
    }

    /// Say that a flush up to block `number` begins; before its batch is written.
    pub(crate) fn flush_begins(&self, number: u64) {
        self.disk.newest.store(number, Ordering::SeqCst);
    }

    /// The block that disk holds, or will hold when the running flush is done.
    pub(crate) fn flushed(&self) -> u64 {
        self.disk.newest.load(Ordering::SeqCst)
    }

    /// Say that disk holds everything up to block `number`.
    pub(crate) fn flush_ended(&self, number: u64) {
        self.accounts.flushed(number);
        self.slots.flushed(number);
    }

    /// Forget what is in memory; disk holds block `number` and nothing later.
    pub(crate) fn reset(&self, number: u64) {
        self.flush_begins(number);
        self.accounts.reset(number);
        self.slots.reset(number);
    }

    pub(crate) fn cached_bytes(&self) -> u64 {
        (self.accounts.cached() + self.slots.cached()) as u64 * CACHED_BYTES
    }
}

impl OnDisk<B256, Option<AccountRecord>> for Disk {
    fn load(&self, key: &B256) -> Result<Option<AccountRecord>> {
        let value = self.kv.get(&keys::account(key))?;
        decode_account(value.as_deref().unwrap_or_default())
    }

    fn load_at(&self, key: &B256, number: u64) -> Result<Option<Option<AccountRecord>>> {
        let from = keys::account_history(key, number.saturating_add(1));
        let found = self
            .kv
            .first(&from, &keys::account_history(key, u64::MAX))?;
        found.map(|(_, value)| decode_account(&value)).transpose()
    }

    fn newest(&self) -> u64 {
        self.newest.load(Ordering::SeqCst)
    }
}

impl OnDisk<SlotKey, U256> for Disk {
    fn load(&self, key: &SlotKey) -> Result<U256> {
        let value = self.kv.get(&keys::slot(key))?;
        decode_slot(value.as_deref().unwrap_or_default())
    }

    fn load_at(&self, key: &SlotKey, number: u64) -> Result<Option<U256>> {
        let from = keys::slot_history(key, number.saturating_add(1));
        let found = self.kv.first(&from, &keys::slot_history(key, u64::MAX))?;
        found.map(|(_, value)| decode_slot(&value)).transpose()
    }

    fn newest(&self) -> u64 {
        self.newest.load(Ordering::SeqCst)
    }
}

/// Put the last of the changes of `deltas` as the present state, and, from block `oldest` + 1 on, their history.
pub(crate) fn write_flat(deltas: &[Arc<Delta>], oldest: u64, batch: &mut Batch) {
    for delta in deltas {
        for change in &delta.accounts {
            write_account(&change.key, change.new, batch);
        }
        for change in &delta.slots {
            write_slot(&change.key, change.new, batch);
        }
        if delta.number <= oldest {
            continue;
        }
        for change in &delta.accounts {
            let before = encode_account(change.old);
            batch.put(keys::account_history(&change.key, delta.number), before);
        }
        for change in &delta.slots {
            let before = change.old.to_be_bytes_trimmed_vec();
            batch.put(keys::slot_history(&change.key, delta.number), before);
        }
        let changed = delta.changed_keys();
        if changed.len() > 0 {
            batch.put(keys::changed_in(delta.number), changed.encode());
        }
    }
}

pub(crate) fn write_account(key: &B256, value: Option<AccountRecord>, batch: &mut Batch) {
    match value {
        Some(_) => batch.put(keys::account(key), encode_account(value)),
        None => batch.delete(keys::account(key)),
    }
}

pub(crate) fn write_slot(key: &SlotKey, value: U256, batch: &mut Batch) {
    if value.is_zero() {
        batch.delete(keys::slot(key));
    } else {
        batch.put(keys::slot(key), value.to_be_bytes_trimmed_vec());
    }
}

/// Delete the history of block `number`: states before it can no longer be read.
pub(crate) fn drop_history(number: u64, keys_changed: &ChangedKeys, batch: &mut Batch) {
    for key in &keys_changed.accounts {
        batch.delete(keys::account_history(key, number));
    }
    for key in &keys_changed.slots {
        batch.delete(keys::slot_history(key, number));
    }
    batch.delete(keys::changed_in(number));
}

fn encode_account(account: Option<AccountRecord>) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(account) = account {
        account.encode(&mut out);
    }
    out
}

/// Empty bytes say that there is no account.
pub(crate) fn decode_account(mut bytes: &[u8]) -> Result<Option<AccountRecord>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let account = AccountRecord::decode(&mut bytes)?;
    if bytes.is_empty() {
        Ok(Some(account))
    } else {
        Err(corrupt("bytes after an account"))
    }
}

pub(crate) fn decode_slot(bytes: &[u8]) -> Result<U256> {
    U256::try_from_be_slice(bytes).ok_or_else(|| corrupt("a slot over 256 bits"))
}
