//! `eth_getProof` (EIP-1186).

use alloy_primitives::{Address, B256};
use alloy_serde::JsonStorageKey;

use super::{Answer, Api, RpcError, json, params::Params, state::StorageKey};

impl Api {
    pub(super) fn get_proof(&self, params: &Params<'_>) -> Answer {
        let address = params.required::<Address>(0)?;
        let texts = params.required::<Vec<String>>(1)?;
        let max = self.limits.proof_keys_max;
        if texts.len() > max {
            return Err(RpcError::invalid_params(format!(
                "too many storage keys requested (max {max}, got {})",
                texts.len()
            )));
        }
        let keys = texts
            .iter()
            .map(|text| StorageKey::parse(text))
            .collect::<Result<Vec<_>, _>>()?;
        let slots: Vec<B256> = keys.iter().map(|key| key.slot.into()).collect();
        let state = self.state(params.optional(2)?.unwrap_or_default())?;
        let mut proof = state.proof(self.engine.store(), address, &slots)?;
        // As geth says it: what is not there has not even the hash of no code and the root of no storage.
        if state.account(address)?.is_none() {
            (proof.code_hash, proof.storage_hash) = (B256::ZERO, B256::ZERO);
        }
        // A key comes back in the form in which it was asked for: 32 bytes as they are, shorter ones as a QUANTITY.
        for (proof, key) in proof.storage_proof.iter_mut().zip(&keys) {
            proof.key = if key.whole {
                JsonStorageKey::Hash(key.slot.into())
            } else {
                JsonStorageKey::Number(key.slot)
            };
        }
        json(&proof)
    }
}
