//! Blocks that are decided, killed, imported, refused and kept undecided.

use super::*;

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
