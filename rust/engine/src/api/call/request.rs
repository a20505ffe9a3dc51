//! The call object of `eth_call`, `eth_estimateGas` and `eth_createAccessList`.

use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip7702::SignedAuthorization,
};
use alloy_primitives::{Address, Bytes, TxKind, U256};
use revm::context::{TxEnv, either::Either};
use serde::Deserialize;

use super::super::{
    RpcError,
    params::{AddressField, Argument, DataField, HashField, Object, U64Field, U256Field, object},
};

/// A call as callers write it. Fields that libraries send along without need, such as `type` or signatures, are ignored.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in super::super) struct CallRequest {
    from: Option<AddressField>,
    to: Option<AddressField>,
    gas: Option<U64Field>,
    pub(in super::super) gas_price: Option<U256Field>,
    pub(in super::super) max_fee_per_gas: Option<U256Field>,
    pub(in super::super) max_priority_fee_per_gas: Option<U256Field>,
    value: Option<U256Field>,
    /// Counts in a simulation only.
    nonce: Option<U64Field>,
    /// The older name of `input`, which is preferred where both are given.
    data: Option<DataField>,
    input: Option<DataField>,
    pub(in super::super) access_list: Option<Vec<Object<AccessListField>>>,
    chain_id: Option<U256Field>,
    pub(in super::super) max_fee_per_blob_gas: Option<U256Field>,
    pub(in super::super) blob_versioned_hashes: Option<Vec<HashField>>,
    pub(in super::super) authorization_list: Option<Vec<Object<SignedAuthorization>>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct AccessListField {
    address: AddressField,
    storage_keys: Vec<HashField>,
}

impl Argument for CallRequest {
    fn read(json: &str) -> Result<Self, String> {
        object(json, "a call object")
    }
}

impl CallRequest {
    pub(in super::super) fn from(&self) -> Address {
        self.from.as_ref().map_or(Address::ZERO, |from| from.0)
    }

    pub(in super::super) fn to(&self) -> Option<Address> {
        self.to.as_ref().map(|to| to.0)
    }

    pub(in super::super) fn value(&self) -> U256 {
        self.value.as_ref().map_or(U256::ZERO, |value| value.0)
    }

    pub(in super::super) fn gas(&self) -> Option<u64> {
        self.gas.as_ref().map(|gas| gas.0)
    }

    pub(in super::super) fn nonce(&self) -> Option<u64> {
        self.nonce.as_ref().map(|nonce| nonce.0)
    }

    pub(in super::super) fn data(&self) -> Bytes {
        let data = self.input.as_ref().or(self.data.as_ref());
        data.map(|data| data.0.clone()).unwrap_or_default()
    }

    /// In eth_createAccessList, as in geth, a fee for blobs that are not there is a mistake of the caller.
    pub(in super::super) fn check_blob_fee(&self) -> Result<(), RpcError> {
        let has_blobs = self
            .blob_versioned_hashes
            .as_ref()
            .is_some_and(|hashes| !hashes.is_empty());
        if self.max_fee_per_blob_gas.is_some() && !has_blobs {
            return Err(RpcError::server(
                "maxFeePerBlobGas specified without blobVersionedHashes",
            ));
        }
        Ok(())
    }

    /// The transaction that runs: defaults filled in, gas capped, of the oldest type that has all its fields.
    pub(in super::super) fn to_transaction(
        &self,
        gas_max: u64,
        chain_id: u64,
    ) -> Result<TxEnv, RpcError> {
        self.check_fields(chain_id)?;
        let (gas_price, gas_priority_fee) = self.fees()?;
        let mut transaction = TxEnv {
            tx_type: 0,
            caller: self.from(),
            gas_limit: self.gas().map_or(gas_max, |gas| gas.min(gas_max)),
            gas_price,
            kind: self.to().map_or(TxKind::Create, TxKind::Call),
            value: self.value(),
            data: self.data(),
            nonce: 0,
            chain_id: Some(chain_id),
            access_list: self.access_list(),
            gas_priority_fee,
            blob_hashes: self
                .blob_versioned_hashes
                .iter()
                .flatten()
                .map(|hash| hash.0)
                .collect(),
            max_fee_per_blob_gas: amount(self.max_fee_per_blob_gas.as_ref()),
            authorization_list: self
                .authorization_list
                .iter()
                .flatten()
                .map(|Object(one)| Either::Left(one.clone()))
                .collect(),
        };
        transaction.tx_type = if self.authorization_list.is_some() {
            4
        } else if self.blob_versioned_hashes.is_some() {
            3
        } else if gas_priority_fee.is_some() {
            2
        } else {
            u8::from(self.access_list.is_some())
        };
        // Types 3 and 4 have a tip; a gas price stands for both.
        if transaction.tx_type >= 3 && transaction.gas_priority_fee.is_none() {
            transaction.gas_priority_fee = Some(gas_price);
        }
        Ok(transaction)
    }

    pub(in super::super) fn check_fields(&self, chain_id: u64) -> Result<(), RpcError> {
        if self.to.is_none() {
            if self.blob_versioned_hashes.is_some() {
                return Err(RpcError::server("blob transaction of type create"));
            }
            if self.authorization_list.is_some() {
                return Err(RpcError::server(
                    "EIP-7702 transaction cannot be used to create contract",
                ));
            }
        }
        match &self.chain_id {
            Some(have) if have.0 != U256::from(chain_id) => Err(RpcError::server(format!(
                "chainId does not match node's (have={}, want={chain_id})",
                have.0
            ))),
            _ => Ok(()),
        }
    }

    /// Gas price and, for the newer kind of fees, tip.
    pub(in super::super) fn fees(&self) -> Result<(u128, Option<u128>), RpcError> {
        let (cap, tip) = (&self.max_fee_per_gas, &self.max_priority_fee_per_gas);
        let is_newer = cap.is_some() || tip.is_some();
        match &self.gas_price {
            Some(_) if is_newer => Err(RpcError::server(
                "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified",
            )),
            Some(price) => Ok((amount(Some(price)), None)),
            None if is_newer => Ok((amount(cap.as_ref()), Some(amount(tip.as_ref())))),
            None => Ok((0, None)),
        }
    }

    pub(in super::super) fn access_list(&self) -> AccessList {
        let items = self
            .access_list
            .iter()
            .flatten()
            .map(|Object(item)| AccessListItem {
                address: item.address.0,
                storage_keys: item.storage_keys.iter().map(|key| key.0).collect(),
            });
        AccessList(items.collect())
    }
}

/// A price as the EVM keeps it. Nobody has the funds for one of more than 128 bits, so cutting it changes nothing.
fn amount(price: Option<&U256Field>) -> u128 {
    price.map_or(0, |price| price.0.saturating_to())
}
