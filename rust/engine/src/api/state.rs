//! Reads of accounts and storage.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U64, U256, hex};

use super::{
    Answer, Api, RpcError,
    block_id::{BlockId, BlockNumber},
    json,
    params::{AddressField, Argument, HashField, Params, object},
};

impl Api {
    pub(super) fn get_balance(&self, params: &Params<'_>) -> Answer {
        let address = params.required::<Address>(0)?;
        let state = self.state(params.optional(1)?.unwrap_or_default())?;
        let account = state.account(address)?;
        json(&account.map_or(U256::ZERO, |account| account.balance))
    }

    pub(super) fn get_code(&self, params: &Params<'_>) -> Answer {
        let address = params.required::<Address>(0)?;
        let state = self.state(params.optional(1)?.unwrap_or_default())?;
        json(&state.code(address)?)
    }

    /// `pending` counts the pool's transactions, so that a wallet can send several in a row. Nothing has to run for it.
    pub(super) fn get_transaction_count(&self, params: &Params<'_>) -> Answer {
        let address = params.required::<Address>(0)?;
        let mut id = params.optional::<BlockId>(1)?.unwrap_or_default();
        if id == BlockId::Number(BlockNumber::Pending) {
            if let Some(nonce) = self.engine.pool().pending_nonce(address) {
                return json(&U64::from(nonce));
            }
            id = BlockId::default();
        }
        let account = self.state(id)?.account(address)?;
        json(&U64::from(account.map_or(0, |account| account.nonce)))
    }

    pub(super) fn get_storage_at(&self, params: &Params<'_>) -> Answer {
        let address = params.required::<Address>(0)?;
        let key = StorageKey::parse(&params.required::<String>(1)?)?;
        let state = self.state(params.optional(2)?.unwrap_or_default())?;
        json(&B256::from(state.storage(address, key.slot)?))
    }

    pub(super) fn get_storage_values(&self, params: &Params<'_>) -> Answer {
        let Slots(request) = params.required(0)?;
        let slots: usize = request.values().map(Vec::len).sum();
        let max = self.limits.storage_values_max;
        if slots > max {
            return Err(RpcError::client_limit(format!(
                "too many slots (max {max})"
            )));
        }
        if slots == 0 {
            return Err(RpcError::invalid_params("empty request"));
        }
        let state = self.state(params.optional(1)?.unwrap_or_default())?;
        let mut values = BTreeMap::new();
        for (address, keys) in request {
            let read = keys.iter().map(|key| {
                let value = state.storage(address, (*key).into())?;
                Ok(B256::from(value))
            });
            values.insert(address, read.collect::<Result<Vec<_>, RpcError>>()?);
        }
        json(&values)
    }
}

/// The slots of eth_getStorageValues by account.
struct Slots(BTreeMap<Address, Vec<B256>>);

impl Argument for Slots {
    fn read(json: &str) -> Result<Self, String> {
        let read: BTreeMap<AddressField, Vec<HashField>> =
            object(json, "an object of addresses and slots")?;
        Ok(Self(
            read.into_iter()
                .map(|(address, keys)| (address.0, keys.into_iter().map(|key| key.0).collect()))
                .collect(),
        ))
    }
}

/// A storage key as callers write it: with or without prefix, of any length up to 32 bytes.
pub(super) struct StorageKey {
    pub(super) slot: U256,
    /// Whether all 32 bytes were given; eth_getProof answers the others as a QUANTITY.
    pub(super) whole: bool,
}

impl StorageKey {
    pub(super) fn parse(text: &str) -> Result<Self, RpcError> {
        let digits = text
            .strip_prefix("0x")
            .or_else(|| text.strip_prefix("0X"))
            .unwrap_or(text);
        let refuse = |what: &str| {
            let shown: String = text.chars().take(80).collect();
            RpcError::invalid_params(format!("{what}: {shown:?}"))
        };
        if digits.len() > 64 {
            return Err(refuse("storage key too long (want at most 32 bytes)"));
        }
        let padded = format!("{digits:0>64}");
        let bytes: [u8; 32] =
            hex::decode_to_array(padded).map_err(|_| refuse("invalid hex in storage key"))?;
        Ok(Self {
            slot: U256::from_be_bytes(bytes),
            whole: digits.len() >= 63,
        })
    }
}
