//! The engine end to end: genesis, every kind of transaction, system contracts, deciding, reopening, bad blocks.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::{Header, TxEip2930, TxEip7702, TxEnvelope, TxLegacy, transaction::Recovered};
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip4788::BEACON_ROOTS_ADDRESS,
    eip4895::Withdrawal,
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, bytes, hex};
use proptest::prelude::*;
use revm::{DatabaseRef, bytecode::Bytecode, state::AccountInfo};

use crate::{
    Block, BuildAttributes, Engine, EngineConfig, EngineError, EngineEvent, ExecutedBlock,
    build::{self, Candidate, Candidates},
    execute,
    overlay::Overlay,
    pool::Origin,
    testing::{self, Account, GAS_LIMIT},
};

fn accounts() -> Vec<Account> {
    (1..=8).map(Account::of).collect()
}

fn open(path: Option<&Path>) -> Arc<Engine> {
    let genesis = testing::genesis_json(accounts().iter().map(|account| account.address));
    let config = EngineConfig {
        path: path.map(Into::into),
        threads: 2,
        ..EngineConfig::default()
    };
    Engine::open(&genesis, config).unwrap()
}

fn attributes(engine: &Engine) -> BuildAttributes {
    let head = engine.head();
    BuildAttributes {
        timestamp: head.timestamp + 2,
        fee_recipient: Address::repeat_byte(0xfe),
        prev_randao: B256::repeat_byte(7),
        withdrawals: vec![],
        parent_beacon_block_root: B256::repeat_byte(8),
        gas_limit: GAS_LIMIT,
        extra_data: Bytes::new(),
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn submit(engine: &Engine, transactions: &[TxEnvelope]) {
    let raws: Vec<_> = transactions.iter().map(testing::raw).collect();
    for (result, transaction) in engine
        .pool()
        .add(&raws, Origin::Local)
        .into_iter()
        .zip(transactions)
    {
        result.unwrap_or_else(|error| panic!("{error}: {transaction:?}"));
    }
}

/// Build on the head and decide it.
fn produce(engine: &Engine) -> Arc<ExecutedBlock> {
    let built = engine
        .build(engine.head().hash, &attributes(engine), soon())
        .unwrap();
    assert_eq!(
        engine.finalize(built.block.hash).unwrap().hash,
        built.block.hash
    );
    built
}

fn code(result: crate::Result<Arc<ExecutedBlock>>) -> &'static str {
    match result {
        Err(EngineError::InvalidBlock { code, .. }) => code,
        other => panic!("expected an invalid block, got {other:?}"),
    }
}

fn requests(block: &Block) -> Vec<Bytes> {
    block.requests.iter().cloned().collect()
}

#[test]
fn every_kind_of_transaction_runs_and_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(Some(directory.path()));
    let accounts = accounts();
    let [legacy, listed, dynamic, delegating, deploying] = &accounts[..5] else {
        panic!("five accounts")
    };
    let to = Address::repeat_byte(0xaa);

    // Runtime code: increment slot 0. Init code copies it.
    let runtime = hex!("5f546001015f5500");
    let mut init = hex!("6008600c5f3960085ff3").to_vec();
    init.resize(12, 0x5b);
    init.extend(runtime);
    let deploy = deploying.sign_transaction(alloy_consensus::TxEip1559 {
        to: TxKind::Create,
        input: init.into(),
        ..deploying.call(0, 200_000)
    });
    let contract = deploying.address.create(0);
    submit(
        &engine,
        &[
            legacy.sign_transaction(TxLegacy {
                chain_id: Some(testing::CHAIN_ID),
                gas_price: 5_000_000_000,
                gas_limit: 21_000,
                to: TxKind::Call(to),
                value: U256::from(1),
                ..TxLegacy::default()
            }),
            listed.sign_transaction(TxEip2930 {
                chain_id: testing::CHAIN_ID,
                gas_price: 5_000_000_000,
                gas_limit: 50_000,
                to: TxKind::Call(to),
                value: U256::from(2),
                access_list: AccessList(vec![AccessListItem {
                    address: to,
                    storage_keys: vec![B256::ZERO],
                }]),
                ..TxEip2930::default()
            }),
            dynamic.transfer(0, to, 4),
            delegating.sign_transaction(TxEip7702 {
                chain_id: testing::CHAIN_ID,
                gas_limit: 100_000,
                max_fee_per_gas: 5_000_000_000,
                max_priority_fee_per_gas: 1_000_000_000,
                to,
                value: U256::from(8),
                authorization_list: vec![accounts[5].delegate(0, contract)],
                ..TxEip7702::default()
            }),
            deploy,
            deploying.sign_transaction(alloy_consensus::TxEip1559 {
                to: TxKind::Call(contract),
                ..deploying.call(1, 100_000)
            }),
        ],
    );
    let withdrawal = Withdrawal {
        index: 0,
        validator_index: 3,
        address: Address::repeat_byte(0xbb),
        amount: 2_000_000_000,
    };
    let attributes = BuildAttributes {
        withdrawals: vec![withdrawal],
        ..attributes(&engine)
    };
    let built = engine
        .build(engine.head().hash, &attributes, soon())
        .unwrap();
    assert_eq!(built.block.transactions.len(), 6);
    assert!(
        built.receipts.iter().all(|receipt| receipt.is_success()),
        "{:?}",
        built.receipts
    );
    // Before the decision nothing is visible.
    assert_eq!(engine.head().number, 0);
    assert_eq!(engine.store().latest().basic_ref(to).unwrap(), None);

    let head = engine.finalize(built.block.hash).unwrap();
    assert_eq!((head.number, head.hash), (1, built.block.hash));
    let check = |engine: &Engine| {
        let state = engine.store().latest();
        assert_eq!(
            state.basic_ref(to).unwrap().unwrap().balance,
            U256::from(15)
        );
        assert_eq!(
            state
                .basic_ref(withdrawal.address)
                .unwrap()
                .unwrap()
                .balance,
            U256::from(2_000_000_000_000_000_000u64)
        );
        assert_eq!(
            state.storage_ref(contract, U256::ZERO).unwrap(),
            U256::from(1)
        );
        let delegated = state.basic_ref(accounts[5].address).unwrap().unwrap();
        assert_eq!(delegated.nonce, 1);
        assert!(!delegated.is_empty_code_hash());
        assert!(
            state
                .basic_ref(attributes.fee_recipient)
                .unwrap()
                .unwrap()
                .balance
                > U256::ZERO
        );
        // EIP-4788 keeps the parent's beacon root under its timestamp, EIP-2935 the parent's hash.
        let slot = U256::from(attributes.timestamp % 8_191 + 8_191);
        let root = state.storage_ref(BEACON_ROOTS_ADDRESS, slot).unwrap();
        assert_eq!(B256::from(root), attributes.parent_beacon_block_root);
    };
    check(&engine);

    let second = produce(&engine);
    let payload = engine.payload(2).unwrap().unwrap();
    assert_eq!(payload.0, second.block.encode());
    engine.close().unwrap();
    let before = engine.head();
    drop(engine);

    let engine = open(Some(directory.path()));
    assert_eq!(engine.head(), before);
    check(&engine);
    assert_eq!(engine.payload(2).unwrap().unwrap(), payload);
    produce(&engine);
    assert_eq!(engine.head().number, 3);
}

/// What a killed process leaves: the files as they are at this moment.
fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_files(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_killed_engine_opens_at_the_last_decided_block() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(Some(&directory.path().join("live")));
    let mut heads = vec![engine.head()];
    for nonce in 0..6 {
        submit(
            &engine,
            &[Account::of(1).transfer(nonce, Address::repeat_byte(4), 1)],
        );
        produce(&engine);
        heads.push(engine.head());
        copy_files(
            &directory.path().join("live"),
            &directory.path().join(nonce.to_string()),
        );
    }
    for nonce in 0..6 {
        let engine = open(Some(&directory.path().join(nonce.to_string())));
        assert_eq!(engine.head(), heads[nonce as usize + 1]);
        let balance = engine
            .store()
            .latest()
            .basic_ref(Address::repeat_byte(4))
            .unwrap()
            .unwrap()
            .balance;
        assert_eq!(balance, U256::from(nonce + 1));
        // It goes on from there, and the pool knows the nonce.
        submit(
            &engine,
            &[Account::of(1).transfer(nonce + 1, Address::repeat_byte(4), 1)],
        );
        assert_eq!(produce(&engine).block.transactions.len(), 1);
    }
}

#[test]
fn a_withdrawal_request_is_carried_beside_the_block() {
    let engine = open(None);
    // Calldata of EIP-7002: a public key of 48 bytes and an amount of 8; the fee is in wei.
    let sender = Account::of(1);
    submit(
        &engine,
        &[sender.sign_transaction(alloy_consensus::TxEip1559 {
            to: TxKind::Call(WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS),
            value: U256::from(1),
            input: vec![0x11; 56].into(),
            ..sender.call(0, 500_000)
        })],
    );
    let built = engine
        .build(engine.head().hash, &attributes(&engine), soon())
        .unwrap();
    assert!(built.receipts[0].is_success());
    let carried = requests(&built.block);
    assert_eq!(carried.len(), 1);
    assert_eq!(
        carried[0][..21],
        [&[1u8][..], sender.address.as_slice()].concat()
    );

    // Another node: with the requests it is valid, without them it is not, nor with others under the same hash.
    let other = open(None);
    let rlp = built.block.encode();
    assert_eq!(code(other.validate(&rlp, &[])), "requests_hash");
    assert_eq!(
        code(other.validate(&rlp, &[bytes!("01aa")])),
        "requests_hash"
    );
    assert_eq!(other.validate(&rlp, &carried).unwrap().block, built.block);
    other.finalize(built.block.hash).unwrap();
    assert_eq!(other.payload(1).unwrap().unwrap(), (rlp, carried));
}

#[test]
fn two_engines_agree_on_every_block() {
    let (one, other) = (open(None), open(None));
    let accounts = accounts();
    let mut blocks = Vec::new();
    for nonce in 0..4 {
        let transfers: Vec<_> = accounts
            .iter()
            .flat_map(|account| {
                (0..5).map(move |step| {
                    account.transfer(nonce * 5 + step, Address::repeat_byte(step as u8), step + 1)
                })
            })
            .collect();
        submit(&one, &transfers);
        let built = produce(&one);
        assert_eq!(built.block.transactions.len(), 40);
        blocks.push((built.block.encode(), requests(&built.block)));
    }
    assert_eq!(other.import(&blocks).unwrap(), one.head());
    // Importing again changes nothing.
    assert_eq!(other.import(&blocks).unwrap(), one.head());
}

#[test]
fn an_import_decides_what_stands_before_a_bad_block() {
    let (one, other) = (open(None), open(None));
    let mut blocks = Vec::new();
    for nonce in 0..5 {
        submit(
            &one,
            &[Account::of(1).transfer(nonce, Address::repeat_byte(4), 1)],
        );
        blocks.push((produce(&one).block.encode(), vec![]));
    }
    let good = blocks.clone();
    blocks[3].1.push(bytes!("01aa"));
    let error = other.import(&blocks).unwrap_err();
    assert!(
        matches!(
            error,
            EngineError::InvalidBlock {
                code: "requests_hash",
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!((other.head().number, other.undecided()), (3, 0));
    // Twice the same block in one list is no harm, nor is what the chain has already.
    let twice: Vec<_> = good
        .iter()
        .flat_map(|block| [block.clone(), block.clone()])
        .collect();
    assert_eq!(other.import(&twice).unwrap(), one.head());
}

#[test]
fn importing_a_conflicting_block_is_refused_and_changes_nothing() {
    let (one, other) = (open(None), open(None));
    produce(&one);
    submit(&other, &[Account::of(1).transfer(0, Address::ZERO, 1)]);
    let conflicting = produce(&other);
    let head = one.head();
    let error = one
        .import(&[(conflicting.block.encode(), vec![])])
        .unwrap_err();
    assert!(matches!(error, EngineError::InvalidInput(_)), "{error:?}");
    assert_eq!(one.head(), head);
}

#[test]
fn siblings_wait_together_and_only_the_decided_one_stays() {
    let engine = open(None);
    let parent = engine.head().hash;
    let block_at = |seconds: u64, parent: B256| {
        let attributes = BuildAttributes {
            timestamp: engine.head().timestamp + seconds,
            ..attributes(&engine)
        };
        engine.build(parent, &attributes, soon()).unwrap()
    };
    let one = block_at(2, parent);
    let other = block_at(3, parent);
    let child_of_one = block_at(4, one.block.hash);
    let child_of_other = block_at(5, other.block.hash);
    assert_eq!(engine.undecided(), 4);

    // A grandchild cannot be decided before its parent.
    assert!(matches!(
        engine.finalize(child_of_one.block.hash),
        Err(EngineError::InvalidInput(_))
    ));
    engine.finalize(one.block.hash).unwrap();
    assert_eq!(engine.undecided(), 1);
    assert!(matches!(
        engine.finalize(other.block.hash),
        Err(EngineError::NotFound(_))
    ));
    assert!(matches!(
        engine.finalize(child_of_other.block.hash),
        Err(EngineError::NotFound(_))
    ));
    let orphan = engine.validate(&child_of_other.block.encode(), &[]);
    assert!(
        matches!(orphan, Err(EngineError::NotFound(_))),
        "{orphan:?}"
    );
    assert_eq!(engine.finalize(child_of_one.block.hash).unwrap().number, 2);
    // Deciding the head again, and validating it again, is free.
    assert_eq!(engine.finalize(child_of_one.block.hash).unwrap().number, 2);
    assert!(engine.validate(&child_of_one.block.encode(), &[]).is_ok());
}

#[test]
fn a_block_on_an_undecided_parent_sees_its_state_and_its_hash() {
    let (builder, engine) = (open(None), open(None));
    let sender = Account::of(1);
    let fresh = Account::of(1_000);
    // The first block funds an account and deploys code that stores BLOCKHASH(NUMBER - 1).
    let runtime = hex!("60014303405f5500");
    let mut init = hex!("6008600c5f3960085ff3").to_vec();
    init.resize(12, 0x5b);
    init.extend(runtime);
    submit(
        &builder,
        &[
            sender.transfer(0, fresh.address, 1_000_000_000_000_000_000),
            sender.sign_transaction(alloy_consensus::TxEip1559 {
                to: TxKind::Create,
                input: init.into(),
                ..sender.call(1, 200_000)
            }),
        ],
    );
    let first = produce(&builder);
    let contract = sender.address.create(1);
    submit(
        &builder,
        &[
            fresh.transfer(0, Address::repeat_byte(1), 5),
            sender.sign_transaction(alloy_consensus::TxEip1559 {
                to: TxKind::Call(contract),
                ..sender.call(2, 100_000)
            }),
        ],
    );
    let second = produce(&builder);
    assert!(second.receipts.iter().all(|receipt| receipt.is_success()));

    engine.validate(&first.block.encode(), &[]).unwrap();
    engine.validate(&second.block.encode(), &[]).unwrap();
    engine.finalize(first.block.hash).unwrap();
    engine.finalize(second.block.hash).unwrap();
    let stored = engine
        .store()
        .latest()
        .storage_ref(contract, U256::ZERO)
        .unwrap();
    assert_eq!(B256::from(stored), first.block.hash);
    assert_eq!(engine.head(), builder.head());
}

/// Change a built block's header and give it the hash that belongs to it.
fn changed(block: &Block, change: impl FnOnce(&mut Header)) -> Bytes {
    let mut header = block.header.clone();
    change(&mut header);
    let block = block.clone();
    Block::from_parts(
        header,
        block.transactions,
        block.senders,
        block.withdrawals,
        block.requests,
    )
    .encode()
}

#[test]
fn each_commitment_to_the_outcome_is_checked() {
    let (builder, engine) = (open(None), open(None));
    submit(
        &builder,
        &[Account::of(1).transfer(0, Address::repeat_byte(3), 1)],
    );
    let block = produce(&builder).block.clone();
    type Change = fn(&mut Header);
    let table: &[(&str, Change)] = &[
        ("state_root", |header| header.state_root = B256::ZERO),
        ("receipts_root", |header| header.receipts_root = B256::ZERO),
        ("logs_bloom", |header| header.logs_bloom.0[0] = 1),
        ("gas_used", |header| header.gas_used += 1),
        ("transactions_root", |header| {
            header.transactions_root = B256::ZERO
        }),
        ("withdrawals_root", |header| {
            header.withdrawals_root = Some(B256::ZERO)
        }),
        ("requests_hash", |header| {
            header.requests_hash = Some(B256::ZERO)
        }),
        ("base_fee", |header| header.base_fee_per_gas = Some(1)),
    ];
    for (expected, change) in table {
        assert_eq!(
            code(engine.validate(&changed(&block, change), &[])),
            *expected
        );
        assert_eq!(engine.undecided(), 0);
    }
    let unknown = changed(&block, |header| header.parent_hash = B256::ZERO);
    assert!(matches!(
        engine.validate(&unknown, &[]),
        Err(EngineError::NotFound(_))
    ));
    // The same header with another body is not the block that is kept.
    engine.validate(&block.encode(), &[]).unwrap();
    let mut body = block.clone();
    body.transactions
        .push(Account::of(2).transfer(0, Address::ZERO, 1));
    assert_eq!(
        code(engine.validate(&body.encode(), &[])),
        "transactions_root"
    );
    assert!(engine.validate(&block.encode(), &[]).is_ok());
}

#[test]
fn a_bad_transaction_makes_the_block_invalid_with_its_own_code() {
    let engine = open(None);
    let builder = open(None);
    let empty = builder
        .build(builder.head().hash, &attributes(&builder), soon())
        .unwrap()
        .block
        .clone();
    let sender = Account::of(1);
    let poor = Account::of(5_000);
    let with = |transaction: TxEnvelope, signer: &Account| {
        let transactions = vec![transaction];
        let mut header = empty.header.clone();
        header.transactions_root =
            alloy_consensus::proofs::calculate_transaction_root(&transactions);
        let block = Block::from_parts(
            header,
            transactions,
            vec![signer.address],
            vec![],
            empty.requests.clone(),
        );
        code(engine.validate(&block.encode(), &[]))
    };
    let call = |change: fn(&mut alloy_consensus::TxEip1559)| {
        let mut call = sender.call(0, 30_000);
        call.to = TxKind::Call(Address::ZERO);
        change(&mut call);
        with(sender.sign_transaction(call), &sender)
    };
    assert_eq!(call(|call| call.nonce = 1), "transaction_nonce_too_high");
    assert_eq!(call(|call| call.chain_id = 1), "transaction_chain_id");
    assert_eq!(
        call(|call| call.value = U256::MAX >> 100),
        "transaction_funds"
    );
    assert_eq!(
        call(|call| call.gas_limit = 20_999),
        "transaction_intrinsic_gas"
    );
    assert_eq!(
        call(|call| call.gas_limit = (1 << 24) + 1),
        "transaction_gas_limit"
    );
    assert_eq!(
        call(|call| (call.max_fee_per_gas, call.max_priority_fee_per_gas) = (1, 1)),
        "transaction_base_fee"
    );
    assert_eq!(
        with(poor.transfer(0, Address::ZERO, 1), &poor),
        "transaction_funds"
    );
}

/// Candidates in a given order, with a record of the senders left out.
struct Listed {
    transactions: std::vec::IntoIter<TxEnvelope>,
    skipped: Arc<parking_lot::Mutex<Vec<Address>>>,
    last: Address,
}

impl Iterator for Listed {
    type Item = Recovered<TxEnvelope>;

    fn next(&mut self) -> Option<Self::Item> {
        use alloy_consensus::transaction::SignerRecoverable;
        let transaction = self.transactions.find(|transaction| {
            !self
                .skipped
                .lock()
                .contains(&transaction.recover_signer().unwrap())
        })?;
        self.last = transaction.recover_signer().unwrap();
        Some(Recovered::new_unchecked(transaction, self.last))
    }
}

impl Candidate for Recovered<TxEnvelope> {
    fn transaction(&self) -> &Recovered<TxEnvelope> {
        self
    }
}

impl Candidates for Listed {
    fn skip_sender(&mut self) {
        self.skipped.lock().push(self.last);
    }
}

/// Fill a block of `engine`'s next height from a list.
fn fill(
    engine: &Engine,
    gas_limit: u64,
    transactions: Vec<TxEnvelope>,
    deadline: Instant,
) -> (Vec<B256>, Vec<Address>) {
    let head = engine
        .store()
        .header(engine.head().number)
        .unwrap()
        .unwrap();
    let attributes = BuildAttributes {
        gas_limit,
        ..attributes(engine)
    };
    let header = build::child_header(engine.spec(), &head.0, head.1, &attributes);
    let overlay = Overlay::new(Arc::new(engine.store().latest()), vec![]);
    let factory = execute::executor_factory(engine.spec().clone());
    let skipped = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let candidates = Listed {
        transactions: transactions.into_iter(),
        skipped: skipped.clone(),
        last: Address::ZERO,
    };
    let filled = build::fill(&factory, &overlay, &header, &[], candidates, deadline).unwrap();
    let total: u64 = filled.transactions.len() as u64 * 21_000;
    assert!(filled.outcome.gas_used >= total);
    let hashes = filled
        .transactions
        .iter()
        .map(|transaction| *transaction.tx_hash())
        .collect();
    let skipped = skipped.lock().clone();
    (hashes, skipped)
}

#[test]
fn the_executor_goes_on_after_a_refused_transaction() {
    let engine = open(None);
    let (good, other, bad) = (Account::of(1), Account::of(2), Account::of(3));
    let first = good.transfer(0, Address::repeat_byte(1), 1);
    let second = other.transfer(0, Address::repeat_byte(1), 2);
    let third = good.transfer(1, Address::repeat_byte(1), 3);
    let listed = vec![
        first.clone(),
        bad.transfer(7, Address::ZERO, 1),
        second.clone(),
        good.transfer(0, Address::repeat_byte(9), 9),
        bad.transfer(8, Address::ZERO, 1),
        Account::of(999).transfer(0, Address::ZERO, 1),
        third.clone(),
    ];
    let (included, skipped) = fill(&engine, GAS_LIMIT, listed, soon());
    let expected: Vec<_> = [first, second, third]
        .iter()
        .map(|transaction| *transaction.tx_hash())
        .collect();
    assert_eq!(included, expected);
    // A used nonce does not speak against its sender; a gap and an empty account do.
    assert_eq!(skipped, [bad.address, Account::of(999).address]);
}

#[test]
fn a_block_is_filled_within_gas_and_time() {
    let engine = open(None);
    let accounts = accounts();
    let transfers = || -> Vec<_> {
        accounts
            .iter()
            .map(|account| account.transfer(0, Address::ZERO, 1))
            .collect()
    };
    let (included, _) = fill(&engine, 5 * 21_000 + 20_999, transfers(), soon());
    assert_eq!(included.len(), 5);
    let (included, _) = fill(&engine, GAS_LIMIT, transfers(), Instant::now());
    assert_eq!(included.len(), 0);

    // One that does not fit leaves room for smaller ones of others.
    let large = accounts[0].sign_transaction(alloy_consensus::TxEip1559 {
        to: TxKind::Call(Address::ZERO),
        ..accounts[0].call(0, 100_000)
    });
    let small = accounts[1].transfer(0, Address::ZERO, 1);
    let (included, skipped) = fill(&engine, 90_000, vec![large, small.clone()], soon());
    assert_eq!(included, [*small.tx_hash()]);
    assert_eq!(skipped, [accounts[0].address]);
}

#[test]
fn a_built_block_stays_under_the_size_limit() {
    let engine = open(None);
    let accounts = accounts();
    // With 200,000 bytes each, 41 fit into 8 MiB.
    let transactions: Vec<_> = accounts
        .iter()
        .flat_map(|account| {
            (0..10).map(|nonce| {
                account.sign_transaction(alloy_consensus::TxEip1559 {
                    to: TxKind::Call(Address::ZERO),
                    input: vec![0; 200_000].into(),
                    ..account.call(nonce, 2_100_000)
                })
            })
        })
        .collect();
    let (included, skipped) = fill(&engine, 1_000_000_000, transactions, soon());
    assert_eq!(included.len(), 41);
    assert!(!skipped.is_empty());
}

#[test]
fn attributes_that_no_block_may_have_are_refused() {
    let engine = open(None);
    let build = |change: fn(&mut BuildAttributes)| {
        let mut attributes = attributes(&engine);
        change(&mut attributes);
        engine
            .build(engine.head().hash, &attributes, soon())
            .map(|_| ())
    };
    assert!(build(|_| ()).is_ok());
    for (name, result) in [
        (
            "time",
            build(|attributes| attributes.timestamp = testing::GENESIS_TIME),
        ),
        ("gas limit", build(|attributes| attributes.gas_limit *= 2)),
        (
            "extra data",
            build(|attributes| attributes.extra_data = vec![0; 33].into()),
        ),
    ] {
        assert!(
            matches!(result, Err(EngineError::InvalidInput(_))),
            "{name}: {result:?}"
        );
    }
    let unknown = engine.build(B256::ZERO, &attributes(&engine), soon());
    assert!(
        matches!(unknown, Err(EngineError::NotFound(_))),
        "{unknown:?}"
    );
}

#[test]
fn another_genesis_is_refused_with_both_hashes() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(Some(directory.path()));
    let hash = engine.head().hash;
    engine.close().unwrap();
    drop(engine);
    let config = EngineConfig {
        path: Some(directory.path().into()),
        ..EngineConfig::default()
    };
    let other = testing::genesis_json([Address::repeat_byte(1)]);
    let other_hash = crate::genesis::GenesisBlock::parse(&other)
        .unwrap()
        .block
        .hash;
    let error = Engine::open(&other, config).unwrap_err().to_string();
    assert!(
        error.contains(&hash.to_string()) && error.contains(&other_hash.to_string()),
        "{error}"
    );
    assert_eq!(open(Some(directory.path())).head().hash, hash);
}

#[test]
fn subscribers_hear_of_a_block_when_it_can_be_read() {
    let engine = open(None);
    let events = engine.subscribe();
    submit(&engine, &[Account::of(1).transfer(0, Address::ZERO, 1)]);
    let block = produce(&engine);
    let mut heads = 0;
    let mut pending = 0;
    while let Ok(event) = events.recv_timeout(Duration::from_millis(500)) {
        match event {
            EngineEvent::NewHead(stored) => {
                heads += 1;
                assert_eq!(stored.block.hash, block.block.hash);
                assert_eq!(stored.receipts.len(), 1);
            }
            EngineEvent::PendingTransactions(transactions) => pending += transactions.len(),
        }
        if (heads, pending) == (1, 1) {
            return;
        }
    }
    panic!("{heads} heads and {pending} transactions announced");
}

#[test]
fn rewinding_forgets_later_blocks() {
    let engine = open(None);
    let first = produce(&engine);
    produce(&engine);
    submit(
        &engine,
        &[Account::of(1).transfer(0, Address::repeat_byte(5), 1)],
    );
    produce(&engine);
    assert_eq!(engine.rewind(1).unwrap().hash, first.block.hash);
    assert_eq!(engine.head().number, 1);
    assert_eq!(engine.payload(2).unwrap(), None);
    assert_eq!(
        engine
            .store()
            .latest()
            .basic_ref(Address::repeat_byte(5))
            .unwrap(),
        None
    );
    produce(&engine);
    assert_eq!(engine.head().number, 2);
}

/// The state of a store whose disk fails where it is told to.
#[derive(Debug)]
struct Failing {
    state: crate::store::StateView,
    fails: fn(&Read) -> bool,
}

enum Read {
    Account(Address),
    Storage(Address),
    BlockHash,
}

impl Failing {
    fn check(&self, read: Read) -> crate::Result<()> {
        if (self.fails)(&read) {
            return Err(EngineError::Storage("the disk is gone".into()));
        }
        Ok(())
    }
}

impl DatabaseRef for Failing {
    type Error = EngineError;

    fn basic_ref(&self, address: Address) -> crate::Result<Option<AccountInfo>> {
        self.check(Read::Account(address))?;
        self.state.basic_ref(address)
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> crate::Result<Bytecode> {
        self.state.code_by_hash_ref(code_hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> crate::Result<U256> {
        self.check(Read::Storage(address))?;
        self.state.storage_ref(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> crate::Result<B256> {
        self.check(Read::BlockHash)?;
        self.state.block_hash_ref(number)
    }
}

#[test]
fn a_storage_fault_is_never_the_blocks_fault() {
    let engine = open(None);
    let sender = Account::of(1);
    // Init code that reads BLOCKHASH(0): the fault comes from inside the EVM.
    submit(
        &engine,
        &[
            sender.transfer(0, Address::repeat_byte(0xaa), 1),
            sender.sign_transaction(alloy_consensus::TxEip1559 {
                to: TxKind::Create,
                input: hex!("5f4000").into(),
                ..sender.call(1, 100_000)
            }),
        ],
    );
    let withdrawal = Withdrawal {
        index: 0,
        validator_index: 0,
        address: Address::repeat_byte(0xbb),
        amount: 1,
    };
    let attributes = BuildAttributes {
        withdrawals: vec![withdrawal],
        ..attributes(&engine)
    };
    let built = engine
        .build(engine.head().hash, &attributes, soon())
        .unwrap();
    assert_eq!(built.block.transactions.len(), 2);
    type Fault = fn(&Read) -> bool;
    let table: [(&str, Fault); 7] = [
        (
            "the sender",
            |read| matches!(read, Read::Account(address) if *address == Account::of(1).address),
        ),
        (
            "the recipient",
            |read| matches!(read, Read::Account(address) if *address == Address::repeat_byte(0xaa)),
        ),
        (
            "the recipient of a withdrawal",
            |read| matches!(read, Read::Account(address) if *address == Address::repeat_byte(0xbb)),
        ),
        (
            "a system contract before",
            |read| matches!(read, Read::Account(address) if *address == BEACON_ROOTS_ADDRESS),
        ),
        (
            "a system contract after",
            |read| matches!(read, Read::Account(address) if *address == WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS),
        ),
        (
            "a system contract's storage",
            |read| matches!(read, Read::Storage(address) if *address == WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS),
        ),
        ("a block hash", |read| matches!(read, Read::BlockHash)),
    ];
    let factory = execute::executor_factory(engine.spec().clone());
    for (name, fails) in table {
        let base = Failing {
            state: engine.store().latest(),
            fails,
        };
        let overlay = Overlay::new(Arc::new(base), vec![]);
        let error = execute::execute(&factory, &overlay, &built.block).unwrap_err();
        assert_eq!(
            error,
            EngineError::Storage("the disk is gone".into()),
            "{name}"
        );
    }
    let base = Failing {
        state: engine.store().latest(),
        fails: |_| false,
    };
    assert!(
        execute::execute(
            &factory,
            &Overlay::new(Arc::new(base), vec![]),
            &built.block
        )
        .is_ok()
    );
}

#[test]
fn a_genesis_that_cannot_work_is_refused_by_name() {
    type Change = fn(&mut serde_json::Value);
    let table: &[(&str, Change)] = &[
        ("field \"gasLimit\" is missing", |genesis| {
            genesis["gasLimit"] = serde_json::Value::Null
        }),
        ("field \"difficulty\" is missing", |genesis| {
            genesis["difficulty"] = serde_json::Value::Null
        }),
        ("field \"config.chainId\" is missing", |genesis| {
            genesis["config"].as_object_mut().unwrap().remove("chainId");
        }),
        ("config.chainId is 0", |genesis| {
            genesis["config"]["chainId"] = 0.into()
        }),
        ("gasLimit is 4999", |genesis| {
            genesis["gasLimit"] = "0x1387".into()
        }),
        ("extraData has 33 bytes", |genesis| {
            genesis["extraData"] = Bytes::from(vec![1; 33]).to_string().into()
        }),
        ("system contract of EIP-4788", |genesis| {
            genesis["alloc"]
                .as_object_mut()
                .unwrap()
                .remove("0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02");
        }),
        ("system contract of EIP-2935", |genesis| {
            genesis["alloc"]
                .as_object_mut()
                .unwrap()
                .remove("0x0000F90827F1C53a10cb7A02335B175320002935");
        }),
        ("system contract of EIP-7002", |genesis| {
            genesis["alloc"]
                .as_object_mut()
                .unwrap()
                .remove("0x00000961Ef480Eb55e80D19ad83579A64c007002");
        }),
        ("system contract of EIP-7251", |genesis| {
            genesis["alloc"]
                .as_object_mut()
                .unwrap()
                .remove("0x0000BBdDc7CE488642fb579F8B00f3a590007251");
        }),
        ("starts before the merge", |genesis| {
            genesis["config"]
                .as_object_mut()
                .unwrap()
                .remove("terminalTotalDifficulty");
        }),
        ("config.amsterdamTime is set", |genesis| {
            genesis["config"]["amsterdamTime"] = 0.into()
        }),
    ];
    for (expected, change) in table {
        let mut genesis = testing::genesis([]);
        change(&mut genesis);
        let error =
            Engine::open(genesis.to_string().as_bytes(), EngineConfig::default()).unwrap_err();
        assert!(matches!(error, EngineError::InvalidInput(_)));
        assert!(
            error.to_string().contains(expected),
            "{error} should contain {expected}"
        );
    }
    assert!(matches!(
        Engine::open(b"{", EngineConfig::default()),
        Err(EngineError::InvalidInput(_))
    ));
}

#[test]
fn the_predeployed_contracts_are_the_published_ones() {
    // Code hashes as found on public networks.
    let published = [
        (
            "0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02",
            hex!("f57acd40259872606d76197ef052f3d35588dadf919ee1f0e3cb9b62d3f4b02c"),
        ),
        (
            "0x0000F90827F1C53a10cb7A02335B175320002935",
            hex!("6e49e66782037c0555897870e29fa5e552daf4719552131a0abce779daec0a5d"),
        ),
        (
            "0x00000961Ef480Eb55e80D19ad83579A64c007002",
            hex!("0345a365d2f4c5975b9f1599abe0a2ee76b7a3a731bc68781bd04c84e4858f50"),
        ),
        (
            "0x0000BBdDc7CE488642fb579F8B00f3a590007251",
            hex!("78c6cb5202685228bbcbfb992b1c4e116c7ec5ef11e25b8e92716cfc628ddd60"),
        ),
        (
            "0x4e59b44847b379578588920cA78FbF26c0B4956C",
            hex!("2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989"),
        ),
        (
            "0xcA11bde05977b3631167028862bE2a173976CA11",
            hex!("d5c15df687b16f2ff992fc8d767b4216323184a2bbc6ee2f9c398c318e770891"),
        ),
    ];
    let predeploys = testing::predeploys();
    assert_eq!(predeploys.len(), published.len());
    for (address, hash) in published {
        let code: Bytes = serde_json::from_value(predeploys[address]["code"].clone()).unwrap();
        assert_eq!(
            alloy_primitives::keccak256(&code),
            B256::from(hash),
            "{address}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_ether_appears_and_only_the_base_fee_vanishes(
        steps in prop::collection::vec((0usize..8, 0usize..12, 0u64..u64::MAX, 0u64..5), 1..60),
        rewards in prop::collection::vec(0u64..3_000_000_000, 0..3),
    ) {
        let (builder, engine) = (open(None), open(None));
        let accounts = accounts();
        let total = |engine: &Engine| -> U256 {
            let state = engine.store().latest();
            let mut addresses: Vec<_> = (0..12u8).map(recipient).collect();
            addresses.extend(accounts.iter().map(|account| account.address));
            addresses.push(Address::repeat_byte(0xfe));
            addresses.sort_unstable();
            addresses.dedup();
            addresses
                .iter()
                .map(|address| state.basic_ref(*address).unwrap().map_or(U256::ZERO, |account| account.balance))
                .fold(U256::ZERO, |sum, balance| sum + balance)
        };
        let mut expected = total(&builder);
        let mut nonces = [0u64; 8];
        for round in steps.chunks(20) {
            for (sender, to, value, blanks) in round {
                // Calldata makes the gas differ.
                let call = alloy_consensus::TxEip1559 {
                    to: TxKind::Call(recipient(*to as u8)),
                    value: U256::from(*value),
                    input: vec![0; *blanks as usize * 7].into(),
                    ..accounts[*sender].call(nonces[*sender], 30_000)
                };
                submit(&builder, &[accounts[*sender].sign_transaction(call)]);
                nonces[*sender] += 1;
            }
            let index = builder.head().number * 3;
            let withdrawals: Vec<_> = rewards
                .iter()
                .enumerate()
                .map(|(offset, amount)| Withdrawal {
                    index: index + offset as u64,
                    validator_index: offset as u64,
                    address: recipient(offset as u8),
                    amount: *amount,
                })
                .collect();
            let attributes = BuildAttributes { withdrawals, ..attributes(&builder) };
            let built = builder.build(builder.head().hash, &attributes, soon()).unwrap();
            prop_assert_eq!(built.block.transactions.len(), round.len());
            builder.finalize(built.block.hash).unwrap();
            engine.validate(&built.block.encode(), &requests(&built.block)).unwrap();
            engine.finalize(built.block.hash).unwrap();

            let header = &built.block.header;
            let burned = U256::from(header.gas_used) * U256::from(header.base_fee_per_gas.unwrap());
            let issued = rewards.iter().map(|gwei| U256::from(*gwei) * U256::from(1_000_000_000)).fold(U256::ZERO, |a, b| a + b);
            expected = expected + issued - burned;
            prop_assert_eq!(total(&builder), expected);
            prop_assert_eq!(total(&engine), expected);
        }
        prop_assert_eq!(engine.head(), builder.head());
    }
}

/// Recipients of the property: some of them are senders too.
fn recipient(number: u8) -> Address {
    if number < 4 {
        Account::of(u64::from(number) + 1).address
    } else {
        Address::repeat_byte(number + 0x20)
    }
}
