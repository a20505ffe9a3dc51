//! How the pool follows the chain.

use std::time::Duration;

use super::*;

fn removed(bench: &Bench, name: &str) -> u64 {
    bench
        .pool
        .statistics()
        .removed
        .iter()
        .find(|(reason, _)| *reason == name)
        .expect("it is listed")
        .1
}

#[test]
fn mined_transactions_leave_and_the_rest_stays() {
    let bench = Bench::new(PoolConfig::default());
    let (a, b) = (bench.wallet(1), bench.wallet(2));
    let raws = [a.transfer(0), a.transfer(1), a.transfer(2), b.transfer(0)];
    for raw in &raws {
        bench.add(raw.clone()).expect("it is good");
    }
    bench.mine(&[hash(&raws[0]), hash(&raws[1])]);
    assert_eq!(bench.status(), (2, 0));
    assert_eq!(removed(&bench, "mined"), 2);
    assert_eq!(bench.pool.pending_nonce(a.address), Some(3));
    assert_eq!(
        bench.refuse(raws[0].clone()),
        "nonce too low: next nonce 2, tx nonce 0"
    );
    bench.mine(&[hash(&raws[2]), hash(&raws[3])]);
    assert_eq!(bench.pool.statistics().senders, 0);
}

#[test]
fn statistics_tell_own_transactions_from_those_of_peers_and_how_long_they_wait() {
    let bench = Bench::new(PoolConfig::default());
    let (a, b) = (bench.wallet(1), bench.wallet(2));
    let first = a.transfer(0);
    bench.pool.add_one(first.clone(), Origin::Local).unwrap();
    std::thread::sleep(Duration::from_millis(5));
    bench.pool.add_one(a.transfer(2), Origin::Local).unwrap();
    bench.pool.add_one(b.transfer(0), Origin::Gossip).unwrap();
    bench.pool.add_one(b.transfer(1), Origin::Relayed).unwrap();

    let statistics = bench.pool.statistics();
    assert_eq!((statistics.added_local, statistics.added_remote), (2, 2));
    assert_eq!((statistics.pending, statistics.pending_local), (3, 1));
    assert_eq!((statistics.queued, statistics.queued_local), (1, 1));
    assert!(statistics.oldest_pending >= Some(Duration::from_millis(5)));

    bench.mine(&[hash(&first)]);
    let statistics = bench.pool.statistics();
    assert_eq!((statistics.pending_local, statistics.queued_local), (0, 1));
    assert_eq!(statistics.inclusion.buckets.iter().sum::<u64>(), 1);
    assert!(statistics.inclusion.total_us >= 5_000);
}

#[test]
fn a_nonce_taken_by_another_transaction_makes_ours_stale() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    for nonce in [0, 1, 3] {
        bench.add(wallet.transfer(nonce)).expect("it is good");
    }
    bench
        .accounts
        .change(wallet.address, |account| account.nonce = 3);
    bench.touch(&[wallet.address]);
    assert_eq!(removed(&bench, "stale"), 2);
    assert_eq!(bench.status(), (1, 0), "the one behind the gap is next now");
}

#[test]
fn a_balance_that_fell_drops_the_last_ones() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    for nonce in [0, 1, 2, 5] {
        bench.add(wallet.transfer(nonce)).expect("it is good");
    }
    let cost = U256::from(210_000_000_000_001_u128);
    bench.accounts.change(wallet.address, |account| {
        account.balance = cost * U256::from(2)
    });
    bench.touch(&[wallet.address]);
    assert_eq!(bench.status(), (2, 0));
    assert_eq!(removed(&bench, "funds"), 2);
}

#[test]
fn an_account_that_the_block_did_not_change_is_not_read() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    bench.add(wallet.transfer(0)).expect("it is good");
    bench
        .accounts
        .change(wallet.address, |account| account.balance = U256::ZERO);
    bench.touch(&[Address::ZERO]);
    assert_eq!(bench.status(), (1, 0));
}

#[test]
fn a_lower_gas_limit_drops_what_no_longer_fits() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    let large = wallet.sign(TxEip1559 {
        gas_limit: 9_000_000,
        ..transfer(1)
    });
    for raw in [wallet.transfer(0), large, wallet.transfer(2)] {
        bench.add(raw).expect("it is good");
    }
    bench.follow(Vec::new(), Vec::new(), BASE_FEE, 8_000_000);
    assert_eq!(bench.status(), (1, 1));
    assert_eq!(removed(&bench, "gas"), 1);
}

#[test]
fn a_chain_that_was_set_back_makes_pending_ones_wait() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet_with(
        1,
        Account {
            nonce: 5,
            balance: U256::from(ETHER),
            ..Account::default()
        },
    );
    bench.add(wallet.transfer(5)).expect("it is good");
    bench
        .accounts
        .change(wallet.address, |account| account.nonce = 4);
    bench.touch(&[wallet.address]);
    assert_eq!(bench.status(), (0, 1));
    bench.add(wallet.transfer(4)).expect("it is next");
    assert_eq!(bench.status(), (2, 0));
}

#[test]
fn gapped_transactions_of_a_silent_account_expire() {
    let bench = Bench::new(PoolConfig {
        queued_lifetime: Duration::ZERO,
        ..PoolConfig::default()
    });
    let wallet = bench.wallet(1);
    bench.add(wallet.transfer(0)).expect("it is good");
    bench.add(wallet.transfer(2)).expect("it waits");
    bench.pool.ledger.lock().expire_now();
    bench.check();
    assert_eq!(bench.status(), (1, 0));
    assert_eq!(removed(&bench, "expired"), 1);
}

/// The account is read before the head changes and the transaction is inserted after it.
#[test]
fn an_account_read_at_an_older_head_is_read_again() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    let old_head = Arc::clone(&bench.pool.head.read());
    let candidate = bench
        .pool
        .prepare(&old_head, wallet.transfer(0), Origin::Local)
        .expect("it is good at that head");
    bench
        .accounts
        .change(wallet.address, |account| account.nonce = 1);
    bench.touch(&[wallet.address]);
    let mut answers = Vec::new();
    let _afterwards = bench
        .pool
        .ledger
        .lock()
        .insert_all([candidate], |answer| answers.push(answer));
    assert_eq!(answers, [Err(PoolError::NonceTooLow { next: 1, nonce: 0 })]);
}

#[test]
fn an_account_that_cannot_be_read_loses_its_transactions() {
    struct Broken;
    impl AccountReader for Broken {
        fn account(&self, _address: Address) -> Result<Account> {
            Err(EngineError::Storage("the disk is gone".to_owned()))
        }
    }
    let bench = Bench::new(PoolConfig::default());
    let [a, b] = [1, 2].map(|number| bench.wallet(number));
    bench.add(a.transfer(0)).expect("it is good");
    bench.add(b.transfer(0)).expect("it is good");
    bench.follow_with(vec![a.address], Arc::new(Broken));
    assert_eq!(bench.status(), (1, 0));
    assert!(bench.pool.get(&hash(&b.transfer(0))).is_some());
}

#[test]
fn a_cleared_pool_is_empty_and_goes_on() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    for nonce in [0, 1, 3] {
        bench.add(wallet.transfer(nonce)).expect("it is good");
    }
    bench.pool.clear();
    bench.check();
    assert_eq!(bench.status(), (0, 0));
    bench.add(wallet.transfer(0)).expect("it is good again");
}

#[test]
fn the_changes_of_a_block_tell_all_accounts_but_those_with_code() {
    use revm::{bytecode::Bytecode, database::BundleState, state::AccountInfo};

    let [plain, gone, delegated] = [1, 2, 3].map(Address::repeat_byte);
    let info = |code: Bytecode| AccountInfo {
        nonce: 7,
        balance: U256::from(8),
        code_hash: code.hash_slow(),
        ..AccountInfo::default()
    };
    let delegation = Bytecode::new_eip7702(Address::repeat_byte(9));
    let bundle = BundleState::builder(0..=0)
        .state_present_account_info(plain, info(Bytecode::default()))
        .state_original_account_info(gone, info(Bytecode::default()))
        .state_present_account_info(delegated, info(delegation))
        .build();
    let mut told: Vec<_> = super::super::changed_accounts(&bundle).collect();
    told.sort_by_key(|(address, _)| *address);
    let account = Account {
        nonce: 7,
        balance: U256::from(8),
        ..Account::default()
    };
    assert_eq!(
        told,
        [
            (plain, Some(account)),
            (gone, Some(Account::default())),
            (delegated, None),
        ]
    );
}

#[test]
fn an_account_that_is_told_is_not_read() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    for nonce in 0..3 {
        bench.add(wallet.transfer(nonce)).expect("it is good");
    }
    let told = Account {
        nonce: 2,
        balance: U256::from(ETHER),
        ..Account::default()
    };
    let head = PoolHead {
        number: 1,
        next_base_fee: BASE_FEE,
        next_gas_limit: GAS_LIMIT,
        accounts: Arc::clone(&bench.accounts) as Arc<dyn AccountReader>,
    };
    let changed = [(wallet.address, Some(told))];
    bench
        .pool
        .on_new_head(&block(Vec::new(), Vec::new()), changed, head);
    bench.check();
    assert_eq!(bench.status(), (1, 0));
}
