//! The state as a stream of entries: out of a store at its head, and into a new store.
//!
//! Codes come first, then accounts, then slots, each by ascending hash, so that a reader can check each entry against what
//! came before it. An entry: kind (1), key (32, of a slot 64), length of the value (4, little-endian), value. Keys and
//! values are those of the key-value store.

use std::sync::Arc;

use alloy_consensus::ReceiptEnvelope;
use alloy_primitives::{B256, keccak256};

use super::{
    Head, Store, StoreOptions,
    blocks::{Blocks, encode_record},
    delta::Delta,
    flat::{decode_account, decode_slot, write_account, write_slot},
    keys::{self, SlotKey},
    kv::Batch,
    log_rows::LogRows,
    open::encode_head,
};
use crate::{
    Block, EngineError, Result,
    state::{AccountChange, AccountRecord, StateChanges, take},
    trie::StateTrie,
};

/// The kinds of entries in their order; each is also the first byte of its keys in the store.
const KINDS: [u8; 3] = *b"cas";
/// So many blocks before the first one can be asked for by BLOCKHASH.
pub const ANCESTORS: u64 = 256;
/// EIP-170 allows 24 KiB; genesis may hold more, and the file nothing without end.
const CODE_BYTES_MAX: usize = 16 << 20;

/// A part of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChunk {
    pub entries: Vec<u8>,
    /// What the next part follows; `None` after the last one.
    pub next: Option<Vec<u8>>,
}

impl Store {
    /// The part of the state at the head that follows `after`, of about `bytes_max` bytes; empty `after` begins.
    ///
    /// Everything has to be flushed, and nothing committed meanwhile: the parts must be of one block.
    pub fn state_chunk(&self, after: &[u8], bytes_max: usize) -> Result<StateChunk> {
        let head = self.head();
        if self.is_empty() || self.inner.flat.flushed() != head.number {
            return Err(EngineError::InvalidInput(format!(
                "the state of block {} is not flushed, or the head has moved on",
                head.number
            )));
        }
        let begun = match after.first() {
            None => 0,
            Some(kind) => KINDS
                .iter()
                .position(|known| known == kind)
                .ok_or_else(|| EngineError::InvalidInput("no place in the state".into()))?,
        };
        let mut entries = Vec::new();
        let mut last = after.to_vec();
        for kind in &KINDS[begun..] {
            let from = if last.first() == Some(kind) {
                [&last[..], &[0]].concat()
            } else {
                vec![*kind]
            };
            let mut is_full = false;
            self.inner
                .kv
                .range(&from, &[*kind + 1], &mut |key, value| {
                    put_entry(key, value, &mut entries);
                    last = key.to_vec();
                    is_full = entries.len() >= bytes_max;
                    Ok(!is_full)
                })?;
            if is_full {
                let next = Some(last);
                return Ok(StateChunk { entries, next });
            }
        }
        Ok(StateChunk {
            entries,
            next: None,
        })
    }
}

fn put_entry(key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    out.extend_from_slice(value);
}

/// A store that is being filled from a stream. Until `finish` it has no head: a process that dies leaves what no store opens as a chain.
pub struct Restoring {
    store: Store,
    trie: StateTrie,
    /// The key of the last entry.
    last: Vec<u8>,
}

/// Some consecutive entries of one kind, checked.
#[derive(Default)]
struct Group {
    batch: Batch,
    changes: StateChanges,
}

impl Restoring {
    /// Begin in an empty place.
    pub fn begin(options: StoreOptions) -> Result<Self> {
        let store = Store::open(options)?;
        let pending = !store.inner.writer.lock().pending.is_empty();
        if !store.is_empty() || pending || store.inner.kv.first(b"a", b"b")?.is_some() {
            return Err(EngineError::InvalidInput(
                "restore: the directory holds a chain already".into(),
            ));
        }
        Ok(Self {
            store,
            trie: StateTrie::default(),
            last: Vec::new(),
        })
    }

    /// Add the next entries. Memory is bounded by what one call brings.
    pub fn add(&mut self, mut entries: &[u8]) -> Result<()> {
        while let Some(kind) = entries.first().copied() {
            // Codes before the accounts that have them, accounts before their slots: each kind is on disk before the next.
            let mut group = Group::default();
            while entries.first() == Some(&kind) {
                self.take_entry(kind, &mut entries, &mut group)?;
            }
            self.write(group)?;
        }
        Ok(())
    }

    fn take_entry(&mut self, kind: u8, entries: &mut &[u8], group: &mut Group) -> Result<()> {
        let cut = |_| refused("an entry is cut off");
        let rank = rank(kind).ok_or_else(|| refused(&format!("an entry of kind {kind}")))?;
        let key_bytes = if kind == b's' { 65 } else { 33 };
        let key = take(entries, key_bytes).map_err(cut)?;
        let length = take(entries, 4).map_err(cut)?;
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let value = take(entries, length).map_err(cut)?;
        let before = self.last.first().and_then(|kind| self::rank(*kind));
        if before.is_some_and(|before| (before, &self.last[..]) >= (rank, key)) {
            return Err(refused("the entries are not in order"));
        }
        self.last = key.to_vec();
        let hash = B256::from_slice(&key[1..33]);
        match kind {
            b'c' => take_code(hash, value, group),
            b'a' => self.take_account(hash, value, group),
            _ => self.take_slot(hash, B256::from_slice(&key[33..]), value, group),
        }
    }

    fn take_account(&self, hashed: B256, value: &[u8], group: &mut Group) -> Result<()> {
        let record = decode_account(value).ok().flatten();
        let record = record
            .filter(|record| is_canonical(record, value))
            .ok_or_else(|| refused(&format!("the account {hashed} has no valid record")))?;
        let code = record.code_hash;
        if record.has_code() && self.store.inner.kv.get(&keys::code(&code))?.is_none() {
            return Err(refused(&format!(
                "the code {code} of the account {hashed} is missing"
            )));
        }
        write_account(&hashed, Some(record), &mut group.batch);
        group.changes.accounts.push(AccountChange {
            hashed,
            account: Some(record),
            wiped: false,
            slots: Vec::new(),
        });
        Ok(())
    }

    fn take_slot(&self, account: B256, slot: B256, bytes: &[u8], group: &mut Group) -> Result<()> {
        let value = decode_slot(bytes).ok();
        let value = value
            .filter(|value| !value.is_zero() && value.to_be_bytes_trimmed_vec() == bytes)
            .ok_or_else(|| refused(&format!("the slot {slot} of {account} has no valid value")))?;
        write_slot(&SlotKey { account, slot }, value, &mut group.batch);
        if let Some(change) = group.changes.accounts.last_mut()
            && change.hashed == account
        {
            change.slots.push((slot, value));
            return Ok(());
        }
        let record = self.store.inner.kv.get(&keys::account(&account))?;
        let record = record
            .map(|record| decode_account(&record))
            .transpose()?
            .flatten();
        let record = record.ok_or_else(|| {
            refused(&format!(
                "a slot of the account {account}, which does not exist"
            ))
        })?;
        group.changes.accounts.push(AccountChange {
            hashed: account,
            account: Some(record),
            wiped: false,
            slots: vec![(slot, value)],
        });
        Ok(())
    }

    /// Write a group with the trie nodes that it makes, as a flush does.
    fn write(&mut self, group: Group) -> Result<()> {
        let Group { mut batch, changes } = group;
        let inner = &self.store.inner;
        if !changes.accounts.is_empty() {
            let since = self.trie.version();
            let next = || inner.next_trie(&self.trie, changes);
            let trie = match &inner.options.threads {
                Some(threads) => threads.install(next),
                None => next(),
            }?;
            trie.write_dirty(since, &inner.nodes, &mut |key, record| {
                batch.put(key.bytes(), record);
                Ok(())
            })?;
            for key in &trie.update().gone.branches {
                batch.delete_unless_written(key.bytes());
            }
            self.trie = trie.without_stored(trie.version());
        }
        inner.kv.write(batch)
    }

    /// The root of what has come so far.
    pub fn root(&self) -> B256 {
        self.trie.root()
    }

    /// Make `head` the head, once the state is found to be the one that its header names.
    ///
    /// `ancestors` are the hashes of the blocks right before it, ascending; the caller has checked them, the block and its receipts.
    pub fn finish(
        self,
        genesis: &Block,
        head: &Block,
        receipts: &[ReceiptEnvelope],
        ancestors: &[B256],
    ) -> Result<Head> {
        let number = head.header.number;
        if number == 0 || ancestors.len() as u64 > number {
            return Err(refused(
                "the head must come after genesis and its ancestors",
            ));
        }
        if self.trie.root() != head.header.state_root {
            return Err(refused(&format!(
                "the state has the root {}, the header of block {number} says {}",
                self.trie.root(),
                head.header.state_root
            )));
        }
        let inner = &self.store.inner;
        let genesis_location = inner.blocks.log.append(&encode_record(genesis, &[]))?;
        let location = inner.blocks.log.append(&encode_record(head, receipts))?;
        inner.blocks.log.sync()?;
        let transactions = head.transactions.iter().map(|tx| *tx.tx_hash());
        let delta = |block: &Block, receipts: &[ReceiptEnvelope], location, transactions| {
            Arc::new(Delta {
                number: block.header.number,
                hash: block.hash,
                location,
                transactions,
                logs: LogRows::of(block, receipts),
                accounts: Vec::new(),
                slots: Vec::new(),
                trie: Arc::default(),
            })
        };
        let mut batch = Batch::default();
        Blocks::write_index(
            &[
                delta(genesis, &[], genesis_location, Vec::new()),
                delta(head, receipts, location, transactions.collect()),
            ],
            &mut batch,
        );
        for (ancestor, hash) in (number - ancestors.len() as u64..).zip(ancestors) {
            batch.put(keys::ancestor(ancestor), hash);
        }
        let number_bytes = number.to_be_bytes().to_vec();
        batch.put(keys::META_TRIE_ROOT, self.trie.root_record());
        batch.put(keys::META_OLDEST, number_bytes.clone());
        batch.put(keys::META_FIRST, number_bytes.clone());
        batch.put(keys::META_LOG_ROWS, number_bytes);
        let head = Head::of(&head.header, head.hash);
        batch.put(keys::META_HEAD, encode_head(&head, location));
        inner.kv.write(batch)?;
        self.store.close()?;
        Ok(head)
    }
}

fn take_code(hash: B256, code: &[u8], group: &mut Group) -> Result<()> {
    if code.is_empty() || code.len() > CODE_BYTES_MAX || keccak256(code) != hash {
        return Err(refused(&format!("the code {hash} has another hash")));
    }
    group.batch.put(keys::code(&hash), code);
    Ok(())
}

fn rank(kind: u8) -> Option<usize> {
    KINDS.iter().position(|known| *known == kind)
}

fn is_canonical(record: &AccountRecord, bytes: &[u8]) -> bool {
    let mut again = Vec::with_capacity(bytes.len());
    record.encode(&mut again);
    again == bytes
}

fn refused(what: &str) -> EngineError {
    EngineError::InvalidInput(format!("snapshot: {what}"))
}
