//! What a committed block does to the store, until a flush has written it.

use std::sync::Arc;

use alloy_primitives::{B256, U256};

use super::{keys::SlotKey, log::Location, log_rows::LogRows};
use crate::{
    EngineError, Result,
    state::{AccountRecord, take},
    trie::TrieUpdate,
};

/// A change of one key: before and after the block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<K, V> {
    pub(crate) key: K,
    pub(crate) old: V,
    pub(crate) new: V,
}

/// One committed block that disk does not have yet.
#[derive(Debug)]
pub(crate) struct Delta {
    pub(crate) number: u64,
    pub(crate) hash: B256,
    pub(crate) location: Location,
    pub(crate) transactions: Vec<B256>,
    pub(crate) logs: LogRows,
    pub(crate) accounts: Vec<Change<B256, Option<AccountRecord>>>,
    /// Sorted by account.
    pub(crate) slots: Vec<Change<SlotKey, U256>>,
    /// How the trie came from its parent's.
    pub(crate) trie: Arc<TrieUpdate>,
}

impl Delta {
    /// Bytes that the delta, the buffered versions and the new trie nodes take, roughly.
    pub(crate) fn weight(&self) -> u64 {
        const CHANGE: usize = 400;
        const NODES_OF_A_CHANGE: usize = 1_600;
        const TRANSACTION: usize = 100;
        let changes = self.accounts.len() + self.slots.len();
        let codes: usize = self
            .trie
            .changes
            .codes
            .iter()
            .map(|(_, code)| code.len())
            .sum();
        let bytes = changes * (CHANGE + NODES_OF_A_CHANGE)
            + self.transactions.len() * TRANSACTION
            + codes
            + self.logs.weight()
            + 2_000;
        bytes as u64
    }

    pub(crate) fn changed_keys(&self) -> ChangedKeys {
        ChangedKeys {
            accounts: self.accounts.iter().map(|change| change.key).collect(),
            slots: self.slots.iter().map(|change| change.key).collect(),
        }
    }
}

/// The keys that a block changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ChangedKeys {
    pub(crate) accounts: Vec<B256>,
    /// Those of one account stand together.
    pub(crate) slots: Vec<SlotKey>,
}

impl ChangedKeys {
    pub(crate) fn len(&self) -> usize {
        self.accounts.len() + self.slots.len()
    }

    /// Count and accounts; then for each account with slots: account, count, slots.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + 32 * self.len() + 36);
        out.extend_from_slice(&(self.accounts.len() as u32).to_be_bytes());
        for account in &self.accounts {
            out.extend_from_slice(account.as_slice());
        }
        for slots in self.slots.chunk_by(|a, b| a.account == b.account) {
            out.extend_from_slice(slots[0].account.as_slice());
            out.extend_from_slice(&(slots.len() as u32).to_be_bytes());
            for key in slots {
                out.extend_from_slice(key.slot.as_slice());
            }
        }
        out
    }

    pub(crate) fn decode(mut input: &[u8]) -> Result<Self> {
        let mut keys = Self::default();
        let word = |input: &mut &[u8]| Ok::<_, EngineError>(B256::from_slice(take(input, 32)?));
        for _ in 0..take_count(&mut input)? {
            keys.accounts.push(word(&mut input)?);
        }
        while !input.is_empty() {
            let account = word(&mut input)?;
            for _ in 0..take_count(&mut input)? {
                let slot = word(&mut input)?;
                keys.slots.push(SlotKey { account, slot });
            }
        }
        Ok(keys)
    }
}

fn take_count(input: &mut &[u8]) -> Result<u32> {
    let bytes = take(input, 4)?;
    Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    proptest! {
        #[test]
        fn changed_keys_decode_to_themselves_and_never_when_cut(
            accounts in vec(any::<[u8; 32]>(), 0..5),
            slots in vec((0u8..3, any::<[u8; 32]>()), 0..9),
        ) {
            let mut slots: Vec<SlotKey> = slots
                .into_iter()
                .map(|(account, slot)| SlotKey { account: B256::repeat_byte(account), slot: slot.into() })
                .collect();
            slots.sort();
            let keys = ChangedKeys { accounts: accounts.into_iter().map(B256::from).collect(), slots };
            let bytes = keys.encode();
            prop_assert_eq!(&ChangedKeys::decode(&bytes).unwrap(), &keys);
            for length in 0..bytes.len() {
                prop_assert_ne!(ChangedKeys::decode(&bytes[..length]).ok(), Some(keys.clone()));
            }
        }
    }
}
