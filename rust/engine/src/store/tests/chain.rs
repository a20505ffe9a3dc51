//! A chain of made-up blocks with a model of every state it had.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use alloy_consensus::{
    Header, Receipt, ReceiptEnvelope, ReceiptWithBloom, Signed, TxEnvelope, TxLegacy,
};
use alloy_eips::{eip4895::Withdrawal, eip7685::Requests};
use alloy_genesis::GenesisAccount;
use alloy_primitives::{
    Address, B256, Bytes, KECCAK256_EMPTY, Log, LogData, Signature, U256, keccak256,
};
use alloy_trie::{Nibbles, TrieAccount, proof::verify_proof};
use revm::{
    bytecode::Bytecode,
    database::{AccountStatus, BundleAccount, BundleState, states::StorageSlot},
    state::AccountInfo,
};

use crate::{
    Block, ExecutedBlock, Result,
    store::{Store, StoreOptions},
};

/// How a block leaves an account.
#[derive(Debug, Clone)]
pub(super) enum Touch {
    /// New nonce and balance, and slots.
    Set(u64, u64, Vec<(u8, u64)>),
    /// Selfdestructed; storage is gone.
    Destroy,
    /// Destroyed and made again in one block, with these slots only.
    Recreate(u64, Vec<(u8, u64)>),
    /// Left empty in the sense of EIP-161.
    Empty,
    /// Gets code.
    Deploy(u8),
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Account {
    pub(super) nonce: u64,
    pub(super) balance: u64,
    pub(super) code: Bytes,
    pub(super) slots: BTreeMap<u8, u64>,
}

pub(super) type State = BTreeMap<u8, Account>;

pub(super) fn address(seed: u8) -> Address {
    Address::repeat_byte(seed)
}

pub(super) fn slot(seed: u8) -> U256 {
    U256::from(seed)
}

/// The store under test, the blocks committed, and the state after each.
pub(super) struct Chain {
    pub(super) options: StoreOptions,
    pub(super) store: Option<Store>,
    pub(super) blocks: Vec<Arc<ExecutedBlock>>,
    pub(super) states: Vec<State>,
}

pub(super) fn options(path: Option<&Path>) -> StoreOptions {
    StoreOptions {
        path: path.map(Path::to_path_buf),
        cache_bytes: 1 << 20,
        flush_every_blocks: 3,
        ..Default::default()
    }
}

impl Chain {
    pub(super) fn new(options: StoreOptions) -> Self {
        let store = Store::open(options.clone()).unwrap();
        let mut chain = Self {
            options,
            store: Some(store),
            blocks: Vec::new(),
            states: vec![genesis_state()],
        };
        chain.initialise();
        chain
    }

    /// The first `count` blocks of the steady chain, for a store that wrote them in another process.
    pub(super) fn expecting(options: StoreOptions, count: u64) -> Self {
        let mut chain = Self::new(StoreOptions {
            path: None,
            ..options.clone()
        });
        for number in 1..=count {
            chain.commit(&steady_touches(number));
        }
        chain.options = options;
        chain
    }

    pub(super) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    pub(super) fn initialise(&mut self) {
        let alloc = genesis_alloc();
        let header = Header {
            state_root: Store::genesis_root(&alloc),
            ..Default::default()
        };
        self.store()
            .initialise(block(header, vec![]), &alloc)
            .unwrap();
    }

    /// The next block, executed on top of the head but not committed.
    pub(super) fn execute(&self, touches: &BTreeMap<u8, Touch>) -> (Arc<ExecutedBlock>, State) {
        let mut state = self.states.last().unwrap().clone();
        let bundle = apply(&mut state, touches);
        let head = self.store().head();
        let trie = self
            .store()
            .root_after(&self.store().trie(), &bundle)
            .unwrap();
        let number = head.number + 1;
        let header = Header {
            number,
            parent_hash: head.hash,
            state_root: trie.root(),
            base_fee_per_gas: Some(7),
            withdrawals_root: Some(B256::repeat_byte(7)),
            timestamp: 2 * number,
            ..Default::default()
        };
        let transactions = (0..number % 3)
            .map(|at| transaction(number, at))
            .collect::<Vec<_>>();
        let receipts = transactions.iter().map(|_| receipt(number)).collect();
        let block = block(header, transactions);
        (
            Arc::new(ExecutedBlock {
                block,
                receipts,
                bundle,
                trie,
            }),
            state,
        )
    }

    pub(super) fn commit(&mut self, touches: &BTreeMap<u8, Touch>) {
        let (executed, state) = self.execute(touches);
        self.store().commit(&executed).unwrap();
        self.blocks.push(executed);
        self.states.push(state);
    }

    pub(super) fn close(&mut self) {
        self.store = None;
    }

    /// Open again and commit what the log has above the head, as the engine does.
    pub(super) fn reopen(&mut self) -> Result<usize> {
        self.close();
        self.store = Some(Store::open(self.options.clone())?);
        if self.store().is_empty() {
            self.initialise();
        }
        let unapplied = self.store().unapplied()?;
        for (rlp, requests) in &unapplied {
            let number = self.store().head().number as usize;
            let executed = &self.blocks[number];
            assert_eq!(*rlp, rlp_of(&executed.block));
            assert_eq!(*requests, executed.block.requests);
            let trie = self
                .store()
                .root_after(&self.store().trie(), &executed.bundle)?;
            let again = ExecutedBlock {
                block: executed.block.clone(),
                receipts: executed.receipts.clone(),
                bundle: executed.bundle.clone(),
                trie,
            };
            self.store().commit(&Arc::new(again))?;
        }
        let head = self.store().head().number as usize;
        self.blocks.truncate(head);
        self.states.truncate(head + 1);
        Ok(unapplied.len())
    }

    /// Everything the store says must be what the model says.
    pub(super) fn check(&self) {
        let store = self.store();
        let head = store.head();
        assert_eq!(head.number as usize, self.blocks.len());
        for (number, state) in (0u64..).zip(&self.states) {
            match store.state_at(number) {
                Ok(view) => check_state(&view, state),
                Err(error) => {
                    let oldest = store.stats().oldest_state;
                    assert!(number < oldest, "{error}");
                    assert_eq!(error, crate::EngineError::Pruned { number, oldest });
                }
            }
        }
        for executed in &self.blocks {
            self.check_block(executed);
        }
        self.check_log_rows();
        assert!(store.header(head.number + 1).unwrap().is_none());
        assert!(store.block(head.number + 1).unwrap().is_none());
        assert_eq!(store.number_of(B256::repeat_byte(0xee)).unwrap(), None);
        assert_eq!(
            store.transaction_location(B256::repeat_byte(0xee)).unwrap(),
            None
        );
    }

    fn check_block(&self, executed: &ExecutedBlock) {
        let store = self.store();
        let block = &executed.block;
        let number = block.header.number;
        let header = store.header(number).unwrap().unwrap();
        assert_eq!(*header, (block.header.clone(), block.hash));
        let stored = store.block(number).unwrap().unwrap();
        assert!(parts(&stored.block) == parts(block), "block {number}");
        assert!(stored.receipts == executed.receipts, "receipts of {number}");
        assert_eq!(store.number_of(block.hash).unwrap(), Some(number));
        let rlp = store.block_rlp(number).unwrap().unwrap();
        assert_eq!(rlp, (rlp_of(block), block.requests.clone()));
        for (index, transaction) in (0u32..).zip(&block.transactions) {
            let place = store.transaction_location(*transaction.tx_hash()).unwrap();
            assert_eq!(place, Some((number, index)));
        }
    }

    /// The rows of an address are those of the blocks that it logged in, and all that is flushed has rows.
    fn check_log_rows(&self) {
        let store = self.store();
        let kept = store.blocks_with_log_rows();
        assert_eq!(kept.start, 0);
        assert!(kept.end <= store.head().number + 1);
        for seed in 0..3 {
            let mut expected = Vec::new();
            for executed in &self.blocks {
                let (block, mut log_index) = (&executed.block, 0);
                for (index, receipt) in (0u32..).zip(&executed.receipts) {
                    for log in receipt.logs() {
                        if log.address == address(seed) && kept.contains(&block.header.number) {
                            expected.push((
                                block.header.number,
                                block.hash,
                                block.header.timestamp,
                                *block.transactions[index as usize].tx_hash(),
                                (index, log_index),
                                log.data.clone(),
                            ));
                        }
                        log_index += 1;
                    }
                }
            }
            let mut found = Vec::new();
            let rows = store.log_rows(&address(seed), kept.clone(), usize::MAX);
            for row in rows.unwrap() {
                row.visit(|log| {
                    found.push((
                        row.number,
                        log.block_hash,
                        log.timestamp,
                        log.transaction_hash,
                        (log.transaction_index, log.log_index),
                        LogData::new_unchecked(
                            log.topics.to_vec(),
                            Bytes::copy_from_slice(log.data),
                        ),
                    ));
                })
                .unwrap();
            }
            assert_eq!(found, expected, "address {seed}");
        }
    }

    /// A proof at `number` verifies against that block's state root and says what the model says.
    pub(super) fn check_proof(&self, number: u64, seed: u8, slots: &[u8]) {
        let state = &self.states[number as usize];
        let keys: Vec<B256> = slots.iter().map(|seed| slot(*seed).into()).collect();
        let proof = self.store().proof(number, address(seed), &keys).unwrap();
        let header = self.store().header(number).unwrap().unwrap();
        let account = state.get(&seed);
        let expected = account.map(|account| {
            alloy_rlp::encode(TrieAccount::new(
                account.nonce,
                U256::from(account.balance),
                proof.storage_hash,
                code_hash(&account.code),
            ))
        });
        let path = Nibbles::unpack(keccak256(address(seed)));
        verify_proof(header.0.state_root, path, expected, &proof.account_proof).unwrap();
        for ((seed, key), entry) in slots.iter().zip(&keys).zip(&proof.storage_proof) {
            let value = account.and_then(|account| account.slots.get(seed)).copied();
            assert_eq!(entry.value, U256::from(value.unwrap_or(0)));
            let value = value.map(|value| alloy_rlp::encode(U256::from(value)));
            let path = Nibbles::unpack(keccak256(key));
            verify_proof(proof.storage_hash, path, value, &entry.proof).unwrap();
        }
    }
}

/// What block `number` of a chain does that is the same in every process.
pub(super) fn steady_touches(number: u64) -> BTreeMap<u8, Touch> {
    let seed = (number * 5 % 8) as u8;
    let slots = vec![
        ((number % 6) as u8, number % 4),
        ((number * 3 % 6) as u8, 1),
    ];
    let other = match number % 7 {
        0 => Touch::Destroy,
        1 => Touch::Recreate(number, slots.clone()),
        2 => Touch::Deploy(number as u8),
        3 => Touch::Empty,
        _ => Touch::Set(number, 2 * number, Vec::new()),
    };
    BTreeMap::from([(1, Touch::Set(number, number, slots)), (seed, other)])
}

pub(super) fn check_state(view: &crate::store::StateView, state: &State) {
    for seed in 0..8u8 {
        let record = view.record(address(seed)).unwrap();
        let expected = state.get(&seed);
        let found = record.map(|record| (record.nonce, record.balance, record.code_hash));
        let expected_record = expected.map(|account| {
            (
                account.nonce,
                U256::from(account.balance),
                code_hash(&account.code),
            )
        });
        assert_eq!(
            found,
            expected_record,
            "account {seed} at {}",
            view.number()
        );
        let code = expected.map(|account| account.code.clone());
        assert_eq!(view.code(address(seed)).unwrap(), code.unwrap_or_default());
        for at in 0..6u8 {
            let value = expected.and_then(|account| account.slots.get(&at)).copied();
            let found = view.storage(address(seed), slot(at)).unwrap();
            assert_eq!(
                found,
                U256::from(value.unwrap_or(0)),
                "slot {at} of {seed} at {}",
                view.number()
            );
        }
    }
}

fn code_hash(code: &Bytes) -> B256 {
    if code.is_empty() {
        KECCAK256_EMPTY
    } else {
        keccak256(code)
    }
}

fn genesis_state() -> State {
    let rich = Account {
        balance: 1_000,
        ..Default::default()
    };
    let contract = Account {
        nonce: 1,
        code: Bytes::from_static(&[0x60, 0x00]),
        slots: BTreeMap::from([(0, 5), (1, 6)]),
        ..Default::default()
    };
    BTreeMap::from([(0, rich), (1, contract)])
}

fn genesis_alloc() -> Vec<(Address, GenesisAccount)> {
    let account = |(seed, account): (u8, Account)| {
        let storage = account
            .slots
            .iter()
            .map(|(at, value)| (slot(*at).into(), U256::from(*value).into()));
        let allocated = GenesisAccount {
            nonce: Some(account.nonce),
            balance: U256::from(account.balance),
            code: Some(account.code.clone()),
            storage: Some(storage.collect()),
            ..Default::default()
        };
        (address(seed), allocated)
    };
    genesis_state().into_iter().map(account).collect()
}

fn info(account: &Account) -> AccountInfo {
    AccountInfo {
        nonce: account.nonce,
        balance: U256::from(account.balance),
        code_hash: code_hash(&account.code),
        code: None,
        account_id: None,
    }
}

/// Change the model, and say the same in revm's words.
fn apply(state: &mut State, touches: &BTreeMap<u8, Touch>) -> BundleState {
    let mut bundle = BundleState::default();
    for (seed, touch) in touches {
        let before = state.get(seed).cloned();
        let original = before.as_ref().map(info);
        let mut after = before.clone().unwrap_or_default();
        let mut status = match before {
            Some(_) => AccountStatus::Changed,
            None => AccountStatus::InMemoryChange,
        };
        let mut written = &Vec::new();
        match touch {
            Touch::Set(nonce, balance, slots) => {
                (after.nonce, after.balance) = (*nonce + 1, *balance);
                written = slots;
            }
            Touch::Destroy => (after, status) = (Account::default(), AccountStatus::Destroyed),
            Touch::Empty => {
                // Only an account without code and storage ends empty.
                if after.code.is_empty() && after.slots.is_empty() {
                    after = Account::default();
                }
            }
            Touch::Recreate(balance, slots) => {
                after = Account {
                    nonce: 1,
                    balance: *balance,
                    ..Default::default()
                };
                status = AccountStatus::DestroyedChanged;
                written = slots;
            }
            Touch::Deploy(byte) => {
                after.nonce = after.nonce.max(1);
                after.code = Bytes::from(vec![0x60, *byte, 0x00]);
                let code = Bytecode::new_raw(after.code.clone());
                bundle.contracts.insert(code_hash(&after.code), code);
            }
        }
        let mut storage = HashMap::new();
        for (at, value) in written {
            let original = before
                .as_ref()
                .and_then(|account| account.slots.get(at))
                .copied();
            let slot_change =
                StorageSlot::new_changed(U256::from(original.unwrap_or(0)), U256::from(*value));
            storage.insert(slot(*at), slot_change);
            if *value == 0 {
                after.slots.remove(at);
            } else {
                after.slots.insert(*at, *value);
            }
        }
        let gone = after == Account::default();
        let present = (!gone).then(|| info(&after));
        let account = BundleAccount::new(original, present, storage.into_iter().collect(), status);
        bundle.state.insert(address(*seed), account);
        if gone {
            state.remove(seed);
        } else {
            state.insert(*seed, after);
        }
    }
    bundle
}

fn transaction(number: u64, index: u64) -> TxEnvelope {
    let transaction = TxLegacy {
        nonce: number,
        gas_price: u128::from(index),
        ..Default::default()
    };
    TxEnvelope::Legacy(Signed::new_unhashed(
        transaction,
        Signature::test_signature(),
    ))
}

fn receipt(number: u64) -> ReceiptEnvelope {
    let log = |seed: u64| {
        Log::new_unchecked(
            address(seed as u8),
            vec![B256::repeat_byte(3); seed as usize],
            Bytes::from(number.to_be_bytes()),
        )
    };
    let receipt = Receipt {
        status: true.into(),
        cumulative_gas_used: 21_000,
        logs: vec![log(1), log(number % 3)],
    };
    ReceiptEnvelope::Legacy(ReceiptWithBloom::from(receipt))
}

fn block(header: Header, transactions: Vec<TxEnvelope>) -> Block {
    let withdrawals = match header.withdrawals_root {
        Some(_) => vec![Withdrawal {
            index: header.number,
            ..Default::default()
        }],
        None => Vec::new(),
    };
    let mut block = Block {
        hash: header.hash_slow(),
        senders: transactions.iter().map(|_| address(9)).collect(),
        transactions,
        withdrawals,
        ommers: Vec::new(),
        requests: Requests::new(vec![Bytes::from(vec![1, header.number as u8])]),
        size: 0,
        header,
    };
    block.size = rlp_of(&block).len();
    block
}

type Parts<'a> = (
    (&'a Header, B256, usize),
    (&'a [TxEnvelope], &'a [Address]),
    (&'a [Withdrawal], &'a [Header], &'a Requests),
);

fn parts(block: &Block) -> Parts<'_> {
    (
        (&block.header, block.hash, block.size),
        (&block.transactions, &block.senders),
        (&block.withdrawals, &block.ommers, &block.requests),
    )
}

/// The block's RLP by alloy's own encoder.
fn rlp_of(block: &Block) -> Bytes {
    let body = alloy_consensus::BlockBody {
        transactions: block.transactions.clone(),
        ommers: block.ommers.clone(),
        withdrawals: block
            .header
            .withdrawals_root
            .map(|_| block.withdrawals.clone().into()),
    };
    alloy_rlp::encode(alloy_consensus::Block::new(block.header.clone(), body)).into()
}
