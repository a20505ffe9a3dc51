//! Merkle proofs: the nodes on the path of a key, from the root on, also where the key is not there.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rpc_types_eth::{EIP1186AccountProofResponse, EIP1186StorageProof};
use alloy_serde::JsonStorageKey;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};

use super::{
    StateTrie, TrieNodes,
    node::{AccountLeaf, Child, LeafValue, StorageValue, extension_rlp, leaf_rlp, nibble, prefix},
};
use crate::Result;

impl StateTrie {
    pub(crate) fn account(&self, hashed: B256, nodes: &TrieNodes) -> Result<Option<AccountLeaf>> {
        Ok(walk(&self.root, B256::ZERO, hashed, nodes)?.0)
    }

    /// Whether the account has any storage.
    pub(crate) fn has_storage(&self, hashed: B256, nodes: &TrieNodes) -> Result<bool> {
        let leaf = self.account(hashed, nodes)?;
        Ok(leaf.is_some_and(|leaf| !leaf.storage.is_empty()))
    }

    pub(crate) fn proof(
        &self,
        address: Address,
        slots: &[B256],
        nodes: &TrieNodes,
    ) -> Result<EIP1186AccountProofResponse> {
        let hashed = keccak256(address);
        let (leaf, account_proof) = walk(&self.root, B256::ZERO, hashed, nodes)?;
        let (record, storage) = match leaf {
            Some(leaf) => (leaf.record, leaf.storage),
            None => Default::default(),
        };
        let storage_proof = slots
            .iter()
            .map(|slot| {
                let (value, proof) =
                    walk::<StorageValue>(&storage, hashed, keccak256(slot), nodes)?;
                Ok(EIP1186StorageProof {
                    key: JsonStorageKey::Hash(*slot),
                    value: value.unwrap_or(U256::ZERO),
                    proof,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let storage_hash = if storage.is_empty() {
            EMPTY_ROOT_HASH
        } else {
            storage.root_hash()
        };
        Ok(EIP1186AccountProofResponse {
            address,
            balance: record.balance,
            code_hash: record.code_hash,
            nonce: record.nonce,
            storage_hash,
            account_proof,
            storage_proof,
        })
    }
}

/// The value of `key` and the encoded nodes on its path. A node that its parent embeds is not listed again.
fn walk<V: LeafValue>(
    root: &Child<V>,
    owner: B256,
    key: B256,
    nodes: &TrieNodes,
) -> Result<(Option<V>, Vec<Bytes>)> {
    let mut proof = Vec::new();
    let mut depth = 0;
    let mut child = root.clone();
    loop {
        let list = |rlp: Vec<u8>, proof: &mut Vec<Bytes>| {
            if rlp.len() >= 32 || proof.is_empty() {
                proof.push(rlp.into());
            }
        };
        child = match child {
            Child::Empty => return Ok((None, proof)),
            Child::Leaf(leaf) => {
                list(leaf_rlp(&leaf.key, depth, &leaf.value), &mut proof);
                let value = (leaf.key == key).then(|| leaf.value.clone());
                return Ok((value, proof));
            }
            Child::Extension(extension) => {
                list(extension_rlp(&extension.path, &extension.child), &mut proof);
                if !Nibbles::unpack(key)
                    .slice(depth..)
                    .starts_with(&extension.path)
                {
                    return Ok((None, proof));
                }
                depth += extension.path.len();
                extension.child.clone()
            }
            Child::Stored(hash) => Child::Branch(nodes.load(owner, prefix(&key, depth), *hash)?),
            Child::Branch(branch) => {
                list(branch.rlp().to_vec(), &mut proof);
                let turn = nibble(&key, depth);
                depth += 1;
                branch.child(turn).clone()
            }
        };
    }
}
