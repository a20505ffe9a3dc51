//! A state transition without a chain: transactions on a given state, in a given block's environment, by the code that runs
//! blocks. For tests that have no parent block, and for comparing this engine with another.
//!
//! What a block cannot contain is not refused as a whole: a transaction that is not valid is left out and named, as
//! `evm t8n` has it.

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::{
    Header, ReceiptEnvelope, Transaction, TxEnvelope, constants::EMPTY_OMMER_ROOT_HASH,
};
use alloy_eips::{eip4895::Withdrawal, eip7685::Requests};
use alloy_evm::block::BlockExecutor;
use alloy_genesis::{ChainConfig, Genesis, GenesisAccount};
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{Address, B256, Bloom, Bytes, Log, U64, U256, keccak256};
use revm::{
    DatabaseRef,
    bytecode::Bytecode,
    context_interface::cfg::gas_params::GasParams,
    database::BundleState,
    primitives::{StorageKey, StorageValue},
    state::AccountInfo,
};
use serde::{Deserialize, Serialize};

use crate::{
    Block, ChainSpec, EngineError, Result,
    execute::{self, Outcome, PostStates},
    overlay::{BaseState, Overlay},
    proof_of_work::apply_dao_fork,
    store::{StateView, Store, StoreOptions},
    transaction::{self, SenderRules},
};

/// Accounts, transactions, ommers and hashes of one transition: more is a mistake, and would only take memory.
const ENTRIES_MAX: usize = 1 << 20;
/// Caches of the store that holds the given state for the time of one transition.
const CACHE_BYTES: u64 = 1 << 20;

/// What to run on what. Numbers are hex strings, as in a genesis.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Transition {
    /// The `config` of a genesis: which forks are active at the block's number and time.
    config: ChainConfig,
    /// The state before.
    alloc: BTreeMap<Address, GenesisAccount>,
    env: Environment,
    /// EIP-2718 encodings.
    transactions: Vec<Bytes>,
    /// Whether what belongs to a block happens too: system calls before and after, withdrawals, requests, rewards.
    #[serde(default)]
    is_block: bool,
}

/// The block in which the transactions run; the names are those of a genesis.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Environment {
    number: U64,
    timestamp: U64,
    gas_limit: U64,
    coinbase: Address,
    #[serde(default)]
    difficulty: U256,
    /// The randomness, from the merge on.
    #[serde(default)]
    mix_hash: B256,
    base_fee_per_gas: Option<U64>,
    excess_blob_gas: Option<U64>,
    parent_beacon_block_root: Option<B256>,
    #[serde(default)]
    parent_hash: B256,
    #[serde(default)]
    withdrawals: Vec<Withdrawal>,
    /// What BLOCKHASH gives, by number in decimal; zero for numbers that are not here.
    #[serde(default)]
    block_hashes: BTreeMap<String, B256>,
}

/// What a transition gave.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Transitioned {
    pub state_root: B256,
    pub receipts_root: B256,
    pub logs_bloom: Bloom,
    /// keccak256 of the RLP list of all logs, in order.
    pub logs_hash: B256,
    pub gas_used: U64,
    pub blob_gas_used: U64,
    /// EIP-7685, with the type in front of each; only of a block.
    pub requests: Vec<Bytes>,
    /// Of the transactions that were not left out.
    pub receipts: Vec<ReceiptEnvelope>,
    pub rejected: Vec<Rejected>,
    /// The others, in order.
    pub accepted: Vec<Accepted>,
    /// The accounts that differ from before; `None` is gone.
    pub accounts: BTreeMap<Address, Option<AccountAfter>>,
}

/// A transaction that ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// Its place in the input.
    pub index: usize,
    pub hash: B256,
    pub sender: Address,
    /// What it costs before it does anything.
    pub intrinsic_gas: U64,
}

/// A transaction that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Its place in the input.
    pub index: usize,
    /// The same stable names as for the transactions of a block.
    pub code: &'static str,
    pub message: String,
}

/// An account after a transition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountAfter {
    pub nonce: U64,
    pub balance: U256,
    pub code_hash: B256,
    /// The slots that were touched.
    pub storage: BTreeMap<U256, U256>,
}

/// Run a transition. `InvalidInput` is a mistake in it; `InvalidBlock` is a block that cannot be, whatever its transactions.
pub fn run_transition(transition: &Transition) -> Result<Transitioned> {
    let genesis = Genesis {
        config: transition.config.clone(),
        alloc: transition.alloc.clone(),
        ..Genesis::default()
    };
    let spec = Arc::new(ChainSpec::from_genesis(&genesis)?);
    let header = transition.env.header(&spec)?;
    let hashes = transition.env.hashes()?;
    if transition.alloc.len() > ENTRIES_MAX || transition.transactions.len() > ENTRIES_MAX {
        return Err(EngineError::LimitExceeded(format!(
            "transition: over {ENTRIES_MAX} accounts or transactions"
        )));
    }
    let store = store_of(&transition.alloc)?;
    let given = GivenState {
        view: store.latest(),
        hashes,
    };
    let overlay = Overlay::new(Arc::new(given), Vec::new());
    let parent = store.trie();
    let post_states = PostStates::new(&store, &parent);
    let (outcome, accepted, rejected) = run(&spec, &overlay, &header, transition, &post_states)?;
    let trie = store.root_after(&parent, &outcome.bundle)?;
    let logs: Vec<&Log> = outcome.receipts.iter().flat_map(|one| one.logs()).collect();
    let mut logs_rlp = Vec::new();
    alloy_rlp::encode_list::<_, Log>(&logs, &mut logs_rlp);
    Ok(Transitioned {
        state_root: trie.root(),
        receipts_root: alloy_consensus::proofs::calculate_receipt_root(&outcome.receipts),
        logs_bloom: execute::logs_bloom(&outcome.receipts),
        logs_hash: keccak256(logs_rlp),
        gas_used: U64::from(outcome.gas_used),
        blob_gas_used: U64::from(outcome.blob_gas_used),
        requests: outcome.requests.take(),
        receipts: outcome.receipts,
        rejected,
        accepted,
        accounts: accounts_after(&outcome.bundle),
    })
}

fn run(
    spec: &Arc<ChainSpec>,
    overlay: &Overlay,
    header: &Header,
    transition: &Transition,
    post_states: &PostStates<'_>,
) -> Result<(Outcome, Vec<Accepted>, Vec<Rejected>)> {
    let factory = execute::executor_factory(spec.clone());
    let rules = SenderRules::at(spec, header.number);
    let (mut accepted, mut rejected) = (Vec::new(), Vec::new());
    let env = spec.evm_env(header);
    let prices = env.cfg_env.gas_params.clone();
    let mut state = execute::overlay_state(overlay);
    if transition.is_block {
        apply_dao_fork(spec, overlay, &mut state, header.number)?;
    }
    let withdrawals = &transition.env.withdrawals;
    let context = execute::execution_context(header, withdrawals, transition.transactions.len());
    let mut executor = execute::create_executor(&factory, &mut state, env, context);
    if transition.is_block {
        executor
            .apply_pre_execution_changes()
            .map_err(|error| execute::fault_or(overlay, error, None))?;
    }
    for (index, raw) in transition.transactions.iter().enumerate() {
        let ran = transaction::decode(raw)
            .and_then(|decoded| rules.recover(&decoded).map(|sender| (decoded, sender)))
            .map_err(|refusal| refusal.of_transaction(index))
            .and_then(|(decoded, sender)| {
                execute::run_transaction(
                    &mut executor,
                    overlay,
                    post_states,
                    index,
                    &decoded,
                    sender,
                )?;
                Ok(Accepted {
                    index,
                    hash: *decoded.tx_hash(),
                    sender,
                    intrinsic_gas: U64::from(intrinsic_gas(&prices, &decoded)),
                })
            });
        match ran {
            Ok(one) => accepted.push(one),
            Err(EngineError::InvalidBlock { code, detail }) => rejected.push(Rejected {
                index,
                code,
                message: detail,
            }),
            Err(fault) => return Err(fault),
        }
    }
    let outcome = if transition.is_block {
        let result = executor
            .finish()
            .map(|(_, result)| result)
            .map_err(|error| execute::fault_or(overlay, error, None))?;
        execute::finish(spec, overlay, state, header, result)?
    } else {
        let receipts = std::mem::take(&mut executor.receipts);
        let (gas_used, blob_gas_used) = (executor.cumulative_tx_gas_used, executor.blob_gas_used);
        drop(executor);
        Outcome {
            receipts,
            requests: Requests::default(),
            gas_used,
            blob_gas_used,
            bundle: execute::take_changes(overlay, state)?,
        }
    };
    Ok((outcome, accepted, rejected))
}

fn intrinsic_gas(prices: &GasParams, transaction: &TxEnvelope) -> u64 {
    let list = transaction.access_list();
    let slots: usize = list.map_or(0, |list| {
        list.iter().map(|entry| entry.storage_keys.len()).sum()
    });
    prices
        .initial_tx_gas(
            transaction.input(),
            transaction.is_create(),
            list.map_or(0, |list| list.len()) as u64,
            slots as u64,
            transaction.authorization_count().unwrap_or_default(),
            None,
        )
        .initial_regular_gas()
}

impl Environment {
    fn header(&self, spec: &ChainSpec) -> Result<Header> {
        let number = self.number.to();
        let timestamp = self.timestamp.to();
        let missing = |field: &str| {
            EngineError::InvalidInput(format!("transition: the active fork needs env.{field}"))
        };
        let is_cancun = spec.is_cancun_active_at_timestamp(timestamp);
        if spec.is_london_active_at_block(number) && self.base_fee_per_gas.is_none() {
            return Err(missing("baseFeePerGas"));
        }
        if is_cancun && self.excess_blob_gas.is_none() {
            return Err(missing("excessBlobGas"));
        }
        Ok(Header {
            number,
            timestamp,
            parent_hash: self.parent_hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: self.coinbase,
            difficulty: self.difficulty,
            gas_limit: self.gas_limit.to(),
            mix_hash: self.mix_hash,
            base_fee_per_gas: self.base_fee_per_gas.map(|fee| fee.to()),
            excess_blob_gas: self.excess_blob_gas.map(|excess| excess.to()),
            parent_beacon_block_root: is_cancun
                .then(|| self.parent_beacon_block_root.unwrap_or_default()),
            withdrawals_root: spec
                .is_shanghai_active_at_timestamp(timestamp)
                .then_some(B256::ZERO),
            ..Header::default()
        })
    }

    fn hashes(&self) -> Result<BTreeMap<u64, B256>> {
        let entry = |(number, hash): (&String, &B256)| match number.parse() {
            Ok(number) => Ok((number, *hash)),
            Err(_) => Err(EngineError::InvalidInput(format!(
                "transition: env.blockHashes has the number {number:?}; expected decimal digits"
            ))),
        };
        self.block_hashes.iter().map(entry).collect()
    }
}

/// A store with nothing but the state of a transition.
fn store_of(alloc: &BTreeMap<Address, GenesisAccount>) -> Result<Store> {
    let alloc: Vec<_> = alloc
        .iter()
        .map(|(address, account)| (*address, account.clone()))
        .collect();
    let header = Header {
        state_root: Store::genesis_root(&alloc),
        ..Header::default()
    };
    let genesis = Block::from_parts(
        header,
        Vec::new(),
        Vec::new(),
        Vec::new(),
        Requests::default(),
    );
    let store = Store::open(StoreOptions {
        cache_bytes: CACHE_BYTES,
        ..StoreOptions::default()
    })?;
    store.initialise(genesis, &alloc)?;
    Ok(store)
}

/// The given state with the given hashes of earlier blocks.
#[derive(Debug)]
struct GivenState {
    view: StateView,
    hashes: BTreeMap<u64, B256>,
}

impl DatabaseRef for GivenState {
    type Error = EngineError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>> {
        self.view.basic_ref(address)
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode> {
        self.view.code_by_hash_ref(code_hash)
    }

    fn storage_ref(&self, address: Address, slot: StorageKey) -> Result<StorageValue> {
        self.view.storage_ref(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256> {
        Ok(self.hashes.get(&number).copied().unwrap_or_default())
    }
}

impl BaseState for GivenState {
    fn has_storage(&self, address: Address) -> Result<bool> {
        self.view.has_storage(address)
    }
}

fn accounts_after(bundle: &BundleState) -> BTreeMap<Address, Option<AccountAfter>> {
    let account = |(address, account): (&Address, &revm::database::BundleAccount)| {
        let after = account.info.as_ref().map(|info| AccountAfter {
            nonce: U64::from(info.nonce),
            balance: info.balance,
            code_hash: info.code_hash,
            storage: account
                .storage
                .iter()
                .map(|(slot, value)| (*slot, value.present_value))
                .collect(),
        });
        (*address, after)
    };
    bundle.state.iter().map(account).collect()
}
