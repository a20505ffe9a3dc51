//! What tests and benchmarks share: a development genesis as the product writes it, keys and signed transactions.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::{eip2718::Encodable2718, eip7702::Authorization, eip7702::SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use k256::ecdsa::SigningKey;
use serde_json::{Map, Value, json};

/// Chain id of the development genesis.
pub const CHAIN_ID: u64 = 1337;
/// Timestamp of the development genesis.
pub const GENESIS_TIME: u64 = 1_700_000_000;
/// Gas limit of the development genesis.
pub const GAS_LIMIT: u64 = 60_000_000;

/// A key with its address.
#[derive(Debug, Clone)]
pub struct Account {
    key: SigningKey,
    pub address: Address,
}

impl Account {
    /// The account of a seed number: the same one every time.
    ///
    /// # Panics
    /// Never in practice: a hash is a valid key but for one in 2^128.
    pub fn of(seed: u64) -> Self {
        let key = SigningKey::from_slice(keccak256(seed.to_be_bytes()).as_slice())
            .expect("a hash is a valid key");
        let address = Address::from_public_key(key.verifying_key());
        Self { key, address }
    }

    /// Sign a hash, giving a signature with low s.
    ///
    /// # Panics
    /// Never in practice: signing a 32-byte hash does not fail.
    pub fn sign(&self, hash: B256) -> Signature {
        let (signature, recovery) = self
            .key
            .sign_prehash_recoverable(hash.as_slice())
            .expect("a hash can be signed");
        Signature::from((signature, recovery))
    }

    /// Sign any kind of transaction.
    pub fn sign_transaction<T>(&self, transaction: T) -> TxEnvelope
    where
        T: SignableTransaction<Signature>,
        TxEnvelope: From<alloy_consensus::Signed<T>>,
    {
        let signature = self.sign(transaction.signature_hash());
        transaction.into_signed(signature).into()
    }

    /// A plain transfer of `value` wei (EIP-1559, 21,000 gas, a tip of 1 gwei).
    pub fn transfer(&self, nonce: u64, to: Address, value: u64) -> TxEnvelope {
        self.sign_transaction(TxEip1559 {
            to: TxKind::Call(to),
            value: U256::from(value),
            ..self.call(nonce, 21_000)
        })
    }

    /// An EIP-1559 transaction without content, to be completed.
    pub fn call(&self, nonce: u64, gas_limit: u64) -> TxEip1559 {
        TxEip1559 {
            chain_id: CHAIN_ID,
            nonce,
            gas_limit,
            max_fee_per_gas: 100_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            ..TxEip1559::default()
        }
    }

    /// Sign an EIP-7702 delegation to `code`.
    pub fn delegate(&self, nonce: u64, code: Address) -> SignedAuthorization {
        let authorization = Authorization {
            chain_id: U256::from(CHAIN_ID),
            address: code,
            nonce,
        };
        let signature = self.sign(authorization.signature_hash());
        authorization.into_signed(signature)
    }
}

/// The EIP-2718 encoding of a transaction, as a client sends it.
pub fn raw(transaction: &TxEnvelope) -> Bytes {
    transaction.encoded_2718().into()
}

/// The contracts that every network of the product starts with, as an allocation.
///
/// # Panics
/// If the file of the predeployed contracts is damaged.
pub fn predeploys() -> Map<String, Value> {
    let file = include_str!("../../../src/metanode/chain/predeploys.json");
    let contracts: Vec<Value> = serde_json::from_str(file).expect("predeploys.json is JSON");
    let entry = |contract: &Value| {
        let account = json!({ "balance": "0x0", "nonce": "0x1", "code": contract["code"] });
        (
            contract["address"].as_str().expect("an address").to_owned(),
            account,
        )
    };
    contracts.iter().map(entry).collect()
}

/// A genesis with every fork to Osaka active, as the product writes it, with a million coins for each account.
pub fn genesis(funded: impl IntoIterator<Item = Address>) -> Value {
    let mut alloc = predeploys();
    for address in funded {
        alloc.insert(
            address.to_string(),
            json!({ "balance": "0xd3c21bcecceda1000000" }),
        );
    }
    let blobs = json!({ "target": 6, "max": 9, "baseFeeUpdateFraction": 5_007_716 });
    json!({
        "config": {
            "chainId": CHAIN_ID, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0,
            "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0, "berlinBlock": 0,
            "londonBlock": 0, "mergeNetsplitBlock": 0, "terminalTotalDifficulty": 0,
            "terminalTotalDifficultyPassed": true, "shanghaiTime": 0, "cancunTime": 0, "pragueTime": 0, "osakaTime": 0,
            "depositContractAddress": "0x00000000219ab540356cBB839Cbe05303d7705Fa",
            "blobSchedule": { "cancun": blobs, "prague": blobs, "osaka": blobs }
        },
        "nonce": "0x0", "timestamp": format!("{GENESIS_TIME:#x}"), "extraData": "0x", "gasLimit": format!("{GAS_LIMIT:#x}"),
        "difficulty": "0x0", "mixHash": B256::ZERO, "coinbase": Address::ZERO, "baseFeePerGas": "0x3b9aca00",
        "blobGasUsed": "0x0", "excessBlobGas": "0x0", "alloc": alloc
    })
}

/// [`genesis`] as a file.
pub fn genesis_json(funded: impl IntoIterator<Item = Address>) -> Vec<u8> {
    genesis(funded).to_string().into_bytes()
}
