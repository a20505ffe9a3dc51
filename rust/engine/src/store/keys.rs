//! The keys of the key-value store. One ordered space; the first byte says what follows. Numbers are big-endian.
//!
//! | key | value |
//! |---|---|
//! | `a` account | account record |
//! | `s` account, slot | value without leading zeros |
//! | `c` code hash | code |
//! | `A` account, number | the account record before that block, empty for none |
//! | `S` account, slot, number | the value before that block |
//! | `k` number | the accounts and slots that the block changed |
//! | `t` path | a branch of the account trie |
//! | `u` account, path | a branch of a storage trie |
//! | `n` number | where the block stands in the log |
//! | `h` block hash | number |
//! | `x` transaction hash | number and index |
//! | `l` address, number | the logs of the address in that block; empty when they are too long for a row |
//! | `b` number | the hash of a block before the first one of a store that began from a snapshot |
//! | `m` name | everything there is one of |
//!
//! Accounts and slots are keccak256 hashes, addresses are themselves; a path has one byte for each nibble.

use alloy_primitives::{Address, B256};
use alloy_trie::Nibbles;

pub(crate) const META_HEAD: &[u8] = b"mhead";
pub(crate) const META_TRIE_ROOT: &[u8] = b"mroot";
pub(crate) const META_FORMAT: &[u8] = b"mformat";
pub(crate) const META_OLDEST: &[u8] = b"moldest";
pub(crate) const META_FIRST: &[u8] = b"mfirst";
pub(crate) const META_CUT: &[u8] = b"mcut";
/// The first block from which on rows of logs are kept; stores of older versions have none.
pub(crate) const META_LOG_ROWS: &[u8] = b"mlogrows";

/// An account's or a slot's place in the flat state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SlotKey {
    pub(crate) account: B256,
    pub(crate) slot: B256,
}

fn join(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut key = Vec::with_capacity(length);
    key.push(kind);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

pub(crate) fn account(account: &B256) -> Vec<u8> {
    join(b'a', &[account.as_slice()])
}

pub(crate) fn slot(key: &SlotKey) -> Vec<u8> {
    join(b's', &[key.account.as_slice(), key.slot.as_slice()])
}

/// The start of all slots of an account.
pub(crate) fn slots_of(account: &B256) -> Vec<u8> {
    join(b's', &[account.as_slice()])
}

pub(crate) fn code(hash: &B256) -> Vec<u8> {
    join(b'c', &[hash.as_slice()])
}

pub(crate) fn account_history(account: &B256, number: u64) -> Vec<u8> {
    join(b'A', &[account.as_slice(), &number.to_be_bytes()])
}

pub(crate) fn slot_history(key: &SlotKey, number: u64) -> Vec<u8> {
    join(
        b'S',
        &[
            key.account.as_slice(),
            key.slot.as_slice(),
            &number.to_be_bytes(),
        ],
    )
}

pub(crate) fn changed_in(number: u64) -> Vec<u8> {
    join(b'k', &[&number.to_be_bytes()])
}

pub(crate) fn trie_node(owner: &B256, path: &Nibbles) -> Vec<u8> {
    let path = path.to_vec();
    if owner.is_zero() {
        join(b't', &[&path])
    } else {
        join(b'u', &[owner.as_slice(), &path])
    }
}

/// The start of all branches of an account's storage trie.
pub(crate) fn storage_trie(owner: &B256) -> Vec<u8> {
    join(b'u', &[owner.as_slice()])
}

pub(crate) fn location(number: u64) -> Vec<u8> {
    join(b'n', &[&number.to_be_bytes()])
}

pub(crate) fn number_of(hash: &B256) -> Vec<u8> {
    join(b'h', &[hash.as_slice()])
}

pub(crate) fn ancestor(number: u64) -> Vec<u8> {
    join(b'b', &[&number.to_be_bytes()])
}

pub(crate) fn transaction(hash: &B256) -> Vec<u8> {
    join(b'x', &[hash.as_slice()])
}

pub(crate) fn log_row(address: &Address, number: u64) -> Vec<u8> {
    join(b'l', &[address.as_slice(), &number.to_be_bytes()])
}
