//! What a block (or genesis) does to the state, under hashed keys and sorted, as trie and store want it.

use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use rayon::prelude::*;
use revm::database::{BundleAccount, BundleState};

use super::AccountRecord;

/// Fewer accounts than this are hashed on the calling thread: handing them out would cost more.
const PARALLEL_MIN: usize = 64;

/// The new content of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountChange {
    /// keccak256 of the address.
    pub hashed: B256,
    /// `None` removes the account and its storage.
    pub account: Option<AccountRecord>,
    /// All earlier storage is gone; `slots` is the whole new storage.
    pub wiped: bool,
    /// keccak256 of the slot and its new value, sorted; zero removes the slot.
    pub slots: Vec<(B256, U256)>,
}

/// All changes of a block: accounts sorted by hashed address, and code not seen before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateChanges {
    pub accounts: Vec<AccountChange>,
    pub codes: Vec<(B256, Bytes)>,
}

/// The changes that a block's execution left in revm's bundle.
///
/// Each slot's present value is taken, also where revm holds it unchanged: a bundle made on top of an undecided parent
/// compares with the state before the parent, and writing a value that is already there changes nothing.
pub(crate) fn changes_of_bundle(bundle: &BundleState) -> StateChanges {
    let touched: Vec<(&Address, &BundleAccount)> = bundle.state.iter().collect();
    let convert = |(address, account): &(&Address, &BundleAccount)| {
        // An empty account is there only before EIP-161: after it, revm gives none.
        let present = account.info.as_ref().map(AccountRecord::from);
        let mut slots: Vec<(B256, U256)> = match present {
            None => Vec::new(),
            Some(_) => account
                .storage
                .iter()
                .map(|(slot, value)| (keccak256(slot.to_be_bytes::<32>()), value.present_value))
                .collect(),
        };
        slots.sort_unstable_by_key(|(slot, _)| *slot);
        AccountChange {
            hashed: keccak256(address),
            account: present,
            wiped: account.was_destroyed() || present.is_none(),
            slots,
        }
    };
    let mut accounts: Vec<AccountChange> = if touched.len() < PARALLEL_MIN {
        touched.iter().map(convert).collect()
    } else {
        touched
            .par_iter()
            .with_min_len(PARALLEL_MIN / 4)
            .map(convert)
            .collect()
    };
    accounts.sort_unstable_by_key(|change| change.hashed);

    let mut codes: Vec<(B256, Bytes)> = bundle
        .contracts
        .iter()
        .map(|(hash, code)| (*hash, code.original_bytes()))
        .chain(touched.iter().filter_map(|(_, account)| {
            let info = account.info.as_ref()?;
            let code = info.code.as_ref()?;
            Some((info.code_hash, code.original_bytes()))
        }))
        .filter(|(hash, _)| *hash != KECCAK256_EMPTY && !hash.is_zero())
        .collect();
    codes.sort_unstable_by_key(|(hash, _)| *hash);
    codes.dedup_by_key(|(hash, _)| *hash);
    StateChanges { accounts, codes }
}

/// The state of an allocation. As in geth, an allocated account exists even when it is empty.
pub(crate) fn changes_of_alloc(alloc: &[(Address, GenesisAccount)]) -> StateChanges {
    let mut codes = Vec::new();
    let mut accounts: Vec<AccountChange> = alloc
        .iter()
        .map(|(address, account)| {
            let code_hash = match &account.code {
                Some(code) if !code.is_empty() => {
                    let hash = keccak256(code);
                    codes.push((hash, code.clone()));
                    hash
                }
                _ => KECCAK256_EMPTY,
            };
            let mut slots: Vec<(B256, U256)> = account
                .storage
                .iter()
                .flatten()
                .map(|(slot, value)| (keccak256(slot), U256::from_be_bytes(value.0)))
                .filter(|(_, value)| !value.is_zero())
                .collect();
            slots.sort_unstable_by_key(|(slot, _)| *slot);
            AccountChange {
                hashed: keccak256(address),
                account: Some(AccountRecord {
                    nonce: account.nonce.unwrap_or_default(),
                    balance: account.balance,
                    code_hash,
                }),
                wiped: false,
                slots,
            }
        })
        .collect();
    // The last entry of an address wins, as in a map.
    accounts.reverse();
    accounts.sort_by_key(|change| change.hashed);
    accounts.dedup_by_key(|change| change.hashed);
    codes.sort_unstable_by_key(|(hash, _)| *hash);
    codes.dedup_by_key(|(hash, _)| *hash);
    StateChanges { accounts, codes }
}
