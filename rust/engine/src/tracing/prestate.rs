//! `prestateTracer`: the accounts and slots that a transaction looks at, as they were before it; or what it changed.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use revm::{DatabaseRef, bytecode::opcode, primitives::KECCAK_EMPTY, state::AccountInfo};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Ended, Peek, Step, Traced, json};
use crate::EngineError;

/// What an account or a slot weighs.
const ACCOUNT_BYTES: usize = 300;
const SLOT_BYTES: usize = 140;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PrestateOptions {
    pub(crate) diff_mode: bool,
    pub(crate) no_code: bool,
    pub(crate) no_storage: bool,
    pub(crate) include_empty: bool,
}

/// Collects what was looked at; the values are read when the transaction has ended, from the state before it.
#[derive(Debug)]
pub(crate) struct PrestateTracer {
    options: PrestateOptions,
    has_delegations: bool,
    keeps_destroyed: bool,
    seen: BTreeMap<Address, BTreeSet<U256>>,
    created: BTreeSet<Address>,
    deleted: BTreeSet<Address>,
    bytes: usize,
}

/// An account, with the fields that are known or changed.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<U256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_hash: Option<B256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    storage: BTreeMap<B256, B256>,
}

#[derive(Debug, Serialize)]
struct Difference {
    post: BTreeMap<Address, Account>,
    pre: BTreeMap<Address, Account>,
}

impl PrestateTracer {
    pub(super) fn new(options: PrestateOptions, traced: &Traced) -> Self {
        let mut tracer = Self {
            options,
            has_delegations: traced.has_delegations,
            keeps_destroyed: traced.keeps_destroyed,
            seen: BTreeMap::new(),
            created: BTreeSet::new(),
            deleted: BTreeSet::new(),
            bytes: 0,
        };
        if traced.is_create {
            tracer.created.insert(traced.to);
        }
        for address in [traced.sender, traced.to, traced.coinbase] {
            tracer.look_at(address);
        }
        for address in &traced.authorities {
            tracer.look_at(*address);
        }
        if let Some(delegate) = &traced.delegate {
            tracer.look_at(*delegate);
        }
        tracer
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn step(&mut self, step: &Step<'_>, state: &mut dyn Peek) {
        if step.error.is_some() {
            return;
        }
        match step.opcode {
            opcode::SLOAD | opcode::SSTORE => {
                if let Some(slot) = step.back(0) {
                    self.look_at(step.contract);
                    if let Some(slots) = self.seen.get_mut(&step.contract)
                        && slots.insert(slot)
                    {
                        self.bytes += SLOT_BYTES;
                    }
                }
            }
            opcode::EXTCODECOPY
            | opcode::EXTCODEHASH
            | opcode::EXTCODESIZE
            | opcode::BALANCE
            | opcode::SELFDESTRUCT => {
                if let Some(address) = step.back_address(0) {
                    self.look_at(address);
                    if step.opcode == opcode::SELFDESTRUCT
                        && (!self.keeps_destroyed || self.created.contains(&step.contract))
                    {
                        self.deleted.insert(step.contract);
                    }
                }
            }
            opcode::CALL | opcode::CALLCODE | opcode::DELEGATECALL | opcode::STATICCALL => {
                if let Some(address) = step.back_address(1) {
                    self.look_at(address);
                    if self.has_delegations
                        && let Some(delegate) = state.delegate(address)
                    {
                        self.look_at(delegate);
                    }
                }
            }
            opcode::CREATE => {
                let address = step.contract.create(state.nonce(step.contract));
                self.look_at(address);
                self.created.insert(address);
            }
            opcode::CREATE2 => {
                if let (Some(offset), Some(size), Some(salt)) =
                    (step.back(1), step.back(2), step.back(3))
                {
                    let code = memory_range(step.memory, offset, size);
                    let address = step.contract.create2(B256::from(salt), keccak256(&code));
                    self.look_at(address);
                    self.created.insert(address);
                }
            }
            _ => {}
        }
    }

    fn look_at(&mut self, address: Address) {
        if let Entry::Vacant(place) = self.seen.entry(address) {
            place.insert(BTreeSet::new());
            self.bytes += ACCOUNT_BYTES;
        }
    }

    pub(super) fn finish(
        self,
        ended: &Ended<'_>,
        before: &impl DatabaseRef<Error = EngineError>,
    ) -> Result<Box<RawValue>, EngineError> {
        let mut pre = BTreeMap::new();
        let mut empty = BTreeSet::new();
        for (address, slots) in &self.seen {
            let account = self.account_before(*address, slots, before)?;
            if account.nonce.is_none()
                && account.code_hash.is_none()
                && account.balance.is_none_or(|balance| balance.is_zero())
            {
                empty.insert(*address);
            }
            pre.insert(*address, account);
        }
        let post = if self.options.diff_mode {
            self.changes(&mut pre, ended, before)?
        } else {
            BTreeMap::new()
        };
        if !self.options.include_empty {
            pre.retain(|address, _| !empty.contains(address));
        }
        if self.options.diff_mode {
            json::write(&Difference { post, pre })
        } else {
            json::write(&pre)
        }
    }

    fn account_before(
        &self,
        address: Address,
        slots: &BTreeSet<U256>,
        before: &impl DatabaseRef<Error = EngineError>,
    ) -> Result<Account, EngineError> {
        let info = before.basic_ref(address)?.unwrap_or_default();
        let mut storage = BTreeMap::new();
        if !self.options.no_storage {
            for slot in slots {
                let value = before.storage_ref(address, *slot)?;
                storage.insert(B256::from(*slot), B256::from(value));
            }
        }
        let has_code = info.code_hash != KECCAK_EMPTY;
        let code = if has_code && !self.options.no_code {
            Some(code_of(&info, before)?)
        } else {
            None
        };
        Ok(Account {
            balance: Some(info.balance),
            code,
            code_hash: has_code.then_some(info.code_hash),
            nonce: (info.nonce != 0).then_some(info.nonce),
            storage,
        })
    }

    /// What is different after the transaction; `pre` keeps only what changed.
    fn changes(
        &self,
        pre: &mut BTreeMap<Address, Account>,
        ended: &Ended<'_>,
        before: &impl DatabaseRef<Error = EngineError>,
    ) -> Result<BTreeMap<Address, Account>, EngineError> {
        let mut post = BTreeMap::new();
        let mut unchanged = Vec::new();
        for (address, account) in pre.iter_mut() {
            if self.deleted.contains(address) {
                continue;
            }
            let touched = ended.state.get(address);
            let info = match touched {
                Some(touched) => touched.info.clone(),
                None => before.basic_ref(*address)?.unwrap_or_default(),
            };
            // go-ethereum has no hash for an account that is not there, and takes that for a change.
            let hash = if info.is_empty() {
                B256::ZERO
            } else {
                info.code_hash
            };
            let mut after = Account::default();
            if account.balance != Some(info.balance) {
                after.balance = Some(info.balance);
            }
            if info.nonce != account.nonce.unwrap_or_default() {
                after.nonce = Some(info.nonce);
            }
            let hash_before = account.code_hash.unwrap_or(KECCAK_EMPTY);
            if !self.options.no_code && info.code_hash != hash_before {
                after.code = Some(code_of(&info, before)?);
            }
            if hash != hash_before {
                after.code_hash = Some(hash);
            }
            let mut storage_changed = false;
            account.storage.retain(|slot, value| {
                let now = touched
                    .and_then(|touched| touched.storage.get(&U256::from_be_bytes(slot.0)))
                    .map_or(*value, |slot| B256::from(slot.present_value));
                if now == *value {
                    return false;
                }
                storage_changed = true;
                if !now.is_zero() {
                    after.storage.insert(*slot, now);
                }
                !value.is_zero()
            });
            if storage_changed || after != Account::default() {
                post.insert(*address, after);
            } else {
                unchanged.push(*address);
            }
        }
        for address in unchanged {
            pre.remove(&address);
        }
        Ok(post)
    }
}

fn code_of(
    info: &AccountInfo,
    before: &impl DatabaseRef<Error = EngineError>,
) -> Result<Bytes, EngineError> {
    match &info.code {
        Some(code) => Ok(code.original_bytes()),
        None => Ok(before.code_by_hash_ref(info.code_hash)?.original_bytes()),
    }
}

/// A range of the memory as the opcode will see it: what lies beyond the end is zero.
fn memory_range(memory: &[u8], offset: U256, size: U256) -> Vec<u8> {
    // The opcode was charged for this much memory, so it is not large.
    let (Ok(offset), Ok(size)) = (usize::try_from(offset), usize::try_from(size)) else {
        return Vec::new();
    };
    let mut range: Vec<u8> = memory.iter().skip(offset).take(size).copied().collect();
    range.resize(size, 0);
    range
}
