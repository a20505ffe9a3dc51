//! State and block overrides of calls.

use std::collections::BTreeMap;

use alloy_eips::eip4895::Withdrawal;
use alloy_evm::precompiles::PrecompilesMap;
use alloy_primitives::{Address, Bytes, U256, keccak256};
use revm::{
    bytecode::Bytecode, context::BlockEnv, database::DatabaseRef as _, primitives::KECCAK_EMPTY,
    state::AccountInfo,
};
use serde::Deserialize;

use super::{
    RpcError,
    call::CallState,
    params::{AddressField, Argument, DataField, HashField, Object, U64Field, U256Field, object},
};

/// Accounts as they shall be for the call, whatever the chain says; `null` stands for an account without changes.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct StateOverrides(BTreeMap<AddressField, Option<Object<AccountOverride>>>);

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AccountOverride {
    nonce: Option<U64Field>,
    code: Option<DataField>,
    balance: Option<U256Field>,
    /// The whole storage.
    state: Option<BTreeMap<HashField, HashField>>,
    /// Single slots.
    state_diff: Option<BTreeMap<HashField, HashField>>,
    move_precompile_to_address: Option<AddressField>,
}

impl Argument for StateOverrides {
    fn read(json: &str) -> Result<Self, String> {
        object(json, "an object of accounts").map(Self)
    }
}

impl StateOverrides {
    /// Accounts and slots together.
    pub(super) fn check_size(&self, max: usize) -> Result<(), RpcError> {
        Self::check_size_of_all([self].into_iter(), max)
    }

    /// Accounts and slots of several overrides together.
    pub(super) fn check_size_of_all<'a>(
        overrides: impl Iterator<Item = &'a Self>,
        max: usize,
    ) -> Result<(), RpcError> {
        let slots = |of: &Option<BTreeMap<_, _>>| of.as_ref().map_or(0, BTreeMap::len);
        let entries: usize = overrides
            .flat_map(|one| one.0.values())
            .map(|account| {
                let changes = account.as_ref().map(|Object(account)| account);
                let slots = changes.map_or(0, |of| slots(&of.state) + slots(&of.state_diff));
                1 + slots
            })
            .sum();
        if entries > max {
            return Err(RpcError::limit_exceeded(format!(
                "too many state overrides: {entries} accounts and slots, at most {max}"
            )));
        }
        Ok(())
    }

    pub(super) fn apply(
        self,
        state: &mut impl Overridable,
        precompiles: &mut PrecompilesMap,
    ) -> Result<(), RpcError> {
        self.move_precompiles(precompiles)?;
        for (AddressField(address), account) in self.0 {
            let Some(Object(account)) = account else {
                continue;
            };
            if account.state.is_some() && account.state_diff.is_some() {
                return Err(RpcError::server(format!(
                    "account {address} has both 'state' and 'stateDiff'"
                )));
            }
            account.apply(address, state)?;
        }
        Ok(())
    }

    /// An overridden precompile is an ordinary account; it may live on at another address.
    fn move_precompiles(&self, precompiles: &mut PrecompilesMap) -> Result<(), RpcError> {
        let is_precompile =
            |precompiles: &PrecompilesMap, address| precompiles.get(address).is_some();
        let mut moves = Vec::new();
        for (source, account) in &self.0 {
            let Some(Object(AccountOverride {
                move_precompile_to_address: Some(target),
                ..
            })) = account
            else {
                continue;
            };
            if !is_precompile(precompiles, &source.0) {
                return Err(RpcError::server(format!(
                    "account {} is not a precompile",
                    source.0
                )));
            }
            if self.0.contains_key(target) {
                return Err(RpcError::server(format!(
                    "account {} is already overridden",
                    target.0
                )));
            }
            moves.push((source.0, target.0));
        }
        precompiles
            .move_precompiles(moves)
            .map_err(|error| RpcError::server(error.to_string()))?;
        for address in self.0.keys() {
            if is_precompile(precompiles, &address.0) {
                precompiles.apply_precompile(&address.0, |_| None);
            }
        }
        Ok(())
    }
}

/// A state whose accounts can be overridden.
pub(super) trait Overridable {
    fn account(&mut self, address: Address) -> Result<AccountInfo, RpcError>;

    /// Replace an account's nonce, balance and code.
    fn set_account(&mut self, address: Address, info: AccountInfo) -> Result<(), RpcError>;

    /// Replace an account's whole storage.
    fn set_storage(&mut self, address: Address, slots: Slots) -> Result<(), RpcError>;

    /// Replace single slots.
    fn set_slots(&mut self, address: Address, slots: Slots) -> Result<(), RpcError>;
}

/// Slots with their values.
pub(super) type Slots = Vec<(U256, U256)>;

impl Overridable for CallState {
    fn account(&mut self, address: Address) -> Result<AccountInfo, RpcError> {
        Ok(self.db.basic_ref(address)?.unwrap_or_default())
    }

    fn set_account(&mut self, address: Address, info: AccountInfo) -> Result<(), RpcError> {
        self.insert_account_info(address, info);
        Ok(())
    }

    fn set_storage(&mut self, address: Address, slots: Slots) -> Result<(), RpcError> {
        Ok(self.replace_account_storage(address, slots.into_iter().collect())?)
    }

    fn set_slots(&mut self, address: Address, slots: Slots) -> Result<(), RpcError> {
        for (slot, value) in slots {
            self.insert_account_storage(address, slot, value)?;
        }
        Ok(())
    }
}

impl AccountOverride {
    fn apply(self, address: Address, state: &mut impl Overridable) -> Result<(), RpcError> {
        if self.nonce.is_some() || self.code.is_some() || self.balance.is_some() {
            let mut info = state.account(address)?;
            if let Some(nonce) = self.nonce {
                info.nonce = nonce.0;
            }
            if let Some(balance) = self.balance {
                info.balance = balance.0;
            }
            if let Some(code) = self.code {
                info.code_hash = if code.0.is_empty() {
                    KECCAK_EMPTY
                } else {
                    keccak256(&code.0)
                };
                info.code = Some(bytecode(code.0));
            }
            state.set_account(address, info)?;
        }
        let words = |slots: BTreeMap<HashField, HashField>| -> Slots {
            let word = |(slot, value): (HashField, HashField)| (slot.0.into(), value.0.into());
            slots.into_iter().map(word).collect()
        };
        if let Some(whole) = self.state {
            state.set_storage(address, words(whole))?;
        }
        match self.state_diff {
            Some(slots) => state.set_slots(address, words(slots)),
            None => Ok(()),
        }
    }
}

/// Any bytes can be code here; what is no valid delegation runs as it is.
fn bytecode(code: Bytes) -> Bytecode {
    Bytecode::new_raw_checked(code.clone()).unwrap_or_else(|_| Bytecode::new_legacy(code))
}

/// The block's values as they shall be for the call. The second names are those of older clients.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct BlockOverrides {
    #[serde(alias = "blockNumber")]
    pub(super) number: Option<U256Field>,
    /// Without effect since the merge.
    pub(super) difficulty: Option<U256Field>,
    #[serde(alias = "timestamp")]
    pub(super) time: Option<U64Field>,
    pub(super) gas_limit: Option<U64Field>,
    #[serde(alias = "coinbase")]
    pub(super) fee_recipient: Option<AddressField>,
    #[serde(alias = "random")]
    pub(super) prev_randao: Option<HashField>,
    #[serde(alias = "baseFee")]
    pub(super) base_fee_per_gas: Option<U256Field>,
    pub(super) blob_base_fee: Option<U256Field>,
    pub(super) beacon_root: Option<HashField>,
    pub(super) withdrawals: Option<Vec<Object<WithdrawalField>>>,
}

/// A withdrawal as callers write it; the amount in gwei.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WithdrawalField {
    index: U64Field,
    validator_index: U64Field,
    address: AddressField,
    amount: U64Field,
}

impl WithdrawalField {
    pub(super) fn to_withdrawal(&self) -> Withdrawal {
        Withdrawal {
            index: self.index.0,
            validator_index: self.validator_index.0,
            address: self.address.0,
            amount: self.amount.0,
        }
    }
}

impl Argument for BlockOverrides {
    fn read(json: &str) -> Result<Self, String> {
        object(json, "an object of block fields")
    }
}

impl BlockOverrides {
    pub(super) fn apply(self, block: &mut BlockEnv) -> Result<(), RpcError> {
        let unsupported = [
            ("beaconRoot", self.beacon_root.is_some()),
            ("withdrawals", self.withdrawals.is_some()),
        ];
        if let Some((name, _)) = unsupported.iter().find(|(_, given)| *given) {
            return Err(RpcError::server(format!(
                "block override \"{name}\" is not supported for this RPC method"
            )));
        }
        if let Some(number) = self.number {
            block.number = number.0;
        }
        if let Some(difficulty) = self.difficulty {
            block.difficulty = difficulty.0;
        }
        if let Some(time) = self.time {
            block.timestamp = U256::from(time.0);
        }
        if let Some(gas_limit) = self.gas_limit {
            block.gas_limit = gas_limit.0;
        }
        if let Some(recipient) = self.fee_recipient {
            block.beneficiary = recipient.0;
        }
        if let Some(randao) = self.prev_randao {
            block.prevrandao = Some(randao.0);
        }
        if let Some(base_fee) = self.base_fee_per_gas {
            block.basefee = base_fee.0.saturating_to();
        }
        if let (Some(fee), Some(blobs)) = (self.blob_base_fee, &mut block.blob_excess_gas_and_price)
        {
            blobs.blob_gasprice = fee.0.saturating_to();
        }
        Ok(())
    }
}
