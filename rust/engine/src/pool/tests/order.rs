//! Pending and queued, bounds and eviction, and the order in which a block takes transactions.

use super::*;

fn hashes(raws: &[Bytes]) -> Vec<B256> {
    raws.iter().map(hash).collect()
}

#[test]
fn a_gap_is_waited_for_and_then_filled() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    bench.add(wallet.transfer(2)).expect("it waits");
    bench.add(wallet.transfer(1)).expect("it waits");
    assert_eq!(bench.status(), (0, 2));
    assert_eq!(bench.pool.pending_nonce(wallet.address), None);
    assert_eq!(bench.pool.best(BASE_FEE).count(), 0);
    bench.add(wallet.transfer(0)).expect("it is next");
    assert_eq!(bench.status(), (3, 0));
    assert_eq!(bench.pool.pending_nonce(wallet.address), Some(3));
    let nonces: Vec<u64> = bench.pool.best(BASE_FEE).map(|best| best.nonce()).collect();
    assert_eq!(nonces, [0, 1, 2]);
}

#[test]
fn a_shuffled_batch_is_admitted_whole() {
    let bench = Bench::new(PoolConfig {
        account_queued_max: 4,
        ..PoolConfig::default()
    });
    let wallet = bench.wallet(1);
    let mut raws: Vec<Bytes> = (0..50).map(|nonce| wallet.transfer(nonce)).collect();
    raws.reverse();
    raws.swap(3, 40);
    let answers = bench.pool.add(&raws, Origin::Local);
    for (raw, answer) in raws.iter().zip(&answers) {
        hash_of(raw, answer);
    }
    assert_eq!(bench.status(), (50, 0));
}

#[test]
fn the_best_tip_comes_first_and_each_account_stays_in_order() {
    let bench = Bench::new(PoolConfig::default());
    let (a, b, c) = (bench.wallet(1), bench.wallet(2), bench.wallet(3));
    let raws = [
        a.tipping(0, 1),
        a.tipping(1, 9),
        b.tipping(0, 5),
        c.tipping(0, 5),
        b.tipping(1, 7),
    ];
    for raw in &raws {
        bench.add(raw.clone()).expect("it is good");
    }
    let [a0, a1, b0, c0, b1] = hashes(&raws)[..] else {
        unreachable!()
    };
    let order: Vec<B256> = bench.pool.best(BASE_FEE).map(|best| best.hash).collect();
    assert_eq!(order, [b0, b1, c0, a0, a1]);
}

#[test]
fn a_failed_sender_is_left_out() {
    let bench = Bench::new(PoolConfig::default());
    let (a, b) = (bench.wallet(1), bench.wallet(2));
    for raw in [
        a.tipping(0, 9),
        a.tipping(1, 9),
        b.tipping(0, 1),
        b.tipping(1, 1),
    ] {
        bench.add(raw).expect("it is good");
    }
    let mut best = bench.pool.best(BASE_FEE);
    assert_eq!(best.next().map(|first| first.sender()), Some(a.address));
    best.skip_sender();
    let rest: Vec<Address> = best.map(|best| best.sender()).collect();
    assert_eq!(rest, [b.address, b.address]);
}

#[test]
fn what_does_not_pay_the_base_fee_and_the_least_tip_is_held_back() {
    let bench = Bench::new(PoolConfig {
        tip_min: GWEI,
        ..PoolConfig::default()
    });
    let wallet = bench.wallet(1);
    let offer = |nonce, fee: u128| {
        wallet.sign(TxEip1559 {
            max_fee_per_gas: fee * GWEI,
            ..transfer(nonce)
        })
    };
    for (nonce, fee) in [(0, 20), (1, 5), (2, 20)] {
        bench.add(offer(nonce, fee)).expect("it is good");
    }
    let count = |base_fee: u64| bench.pool.best(base_fee * BASE_FEE).count();
    assert_eq!(count(4), 3);
    assert_eq!(
        count(5),
        1,
        "the second leaves no tip, and holds back the third"
    );
    assert_eq!(count(20), 0);
}

#[test]
fn a_snapshot_does_not_see_what_comes_later() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    bench.add(wallet.transfer(0)).expect("it is good");
    let best = bench.pool.best(BASE_FEE);
    bench.add(wallet.transfer(1)).expect("it is good");
    bench.mine(&[hash(&wallet.transfer(0))]);
    assert_eq!(best.map(|best| best.nonce()).collect::<Vec<_>>(), [0]);
    assert_eq!(
        bench
            .pool
            .best(BASE_FEE)
            .map(|best| best.nonce())
            .collect::<Vec<_>>(),
        [1]
    );
}

#[test]
fn an_account_is_bounded() {
    let config = PoolConfig {
        account_pending_max: 3,
        account_queued_max: 2,
        ..PoolConfig::default()
    };
    let bench = Bench::new(config);
    let wallet = bench.wallet(1);
    for nonce in 0..3 {
        bench.add(wallet.transfer(nonce)).expect("there is room");
    }
    assert_eq!(
        bench.refuse(wallet.transfer(3)),
        "account limit exceeded: pooled 3 txs"
    );
    bench.add(wallet.transfer(8)).expect("there is room");
    bench.add(wallet.transfer(7)).expect("there is room");
    assert_eq!(
        bench.refuse(wallet.transfer(9)),
        "account limit exceeded: pooled 5 txs"
    );
    bench
        .add(wallet.transfer(5))
        .expect("it is nearer than the last");
    assert!(bench.pool.get(&hash(&wallet.transfer(8))).is_none());
    assert_eq!(bench.status(), (3, 2));
}

#[test]
fn a_full_pool_keeps_the_better_offers() {
    let bench = Bench::new(PoolConfig {
        pending_max: 3,
        ..PoolConfig::default()
    });
    let [a, b, c, d] = [1, 2, 3, 4].map(|number| bench.wallet(number));
    bench.add(a.tipping(0, 5)).expect("there is room");
    bench.add(a.tipping(1, 2)).expect("there is room");
    bench.add(b.tipping(0, 3)).expect("there is room");
    assert_eq!(bench.refuse(c.tipping(0, 2)), "transaction underpriced");
    bench
        .add(c.tipping(0, 3))
        .expect("it is better than the second of a");
    assert!(bench.pool.get(&hash(&a.tipping(1, 2))).is_none());
    assert_eq!(
        bench.refuse(a.tipping(1, 3)),
        "transaction underpriced",
        "not better than the cheapest"
    );
    bench
        .add(d.tipping(0, 4))
        .expect("it is better than b or c");
    assert!(
        bench.pool.get(&hash(&c.tipping(0, 3))).is_none(),
        "of equals the latest goes"
    );
    assert_eq!(bench.status(), (3, 0));
}

#[test]
fn the_end_of_a_chain_is_worth_its_cheapest_link() {
    let bench = Bench::new(PoolConfig {
        pending_max: 3,
        ..PoolConfig::default()
    });
    let (a, b) = (bench.wallet(1), bench.wallet(2));
    bench.add(a.tipping(0, 1)).expect("there is room");
    bench.add(a.tipping(1, 50)).expect("there is room");
    bench.add(b.tipping(0, 3)).expect("there is room");
    bench
        .add(b.tipping(1, 3))
        .expect("the dear end of the cheap chain goes");
    assert!(bench.pool.get(&hash(&a.tipping(1, 50))).is_none());
    assert!(bench.pool.get(&hash(&a.tipping(0, 1))).is_some());
}

#[test]
fn bytes_are_bounded() {
    let bench = Bench::new(PoolConfig {
        bytes_max: 10_000,
        ..PoolConfig::default()
    });
    let [a, b, c] = [1, 2, 3].map(|number| bench.wallet(number));
    let large = |wallet: &Wallet, nonce, bytes, tip| {
        wallet.sign(TxEip1559 {
            input: vec![0; bytes].into(),
            gas_limit: 500_000,
            max_fee_per_gas: (100 + tip) * GWEI,
            max_priority_fee_per_gas: tip * GWEI,
            ..transfer(nonce)
        })
    };
    bench.add(large(&a, 0, 3_000, 2)).expect("there is room");
    bench.add(large(&a, 1, 3_000, 2)).expect("there is room");
    bench
        .add(large(&b, 9, 3_000, 50))
        .expect("there is room, and it waits");
    assert_eq!(
        bench.refuse(large(&c, 9, 3_000, 50)),
        "transaction underpriced"
    );
    assert_eq!(bench.status(), (2, 1));
    bench
        .add(large(&c, 0, 3_000, 1))
        .expect("what waits gives way");
    assert_eq!(bench.status(), (3, 0));
    assert_eq!(bench.refuse(large(&b, 9, 3_000, 60)), "txpool is full");
    assert_eq!(
        bench.refuse(large(&b, 0, 6_500, 2)),
        "transaction underpriced"
    );
    assert_eq!(bench.status(), (3, 0));
    bench
        .add(large(&b, 0, 6_500, 3))
        .expect("it is better than all");
    assert_eq!(bench.status(), (2, 0));
}

/// CVE-2022-23327: a flood of future transactions must not push out executable ones, nor exceed its own room.
#[test]
fn a_flood_of_future_transactions_displaces_nothing_pending() {
    let config = PoolConfig {
        pending_max: 500,
        queued_max: 100,
        ..PoolConfig::default()
    };
    let bench = Bench::new(config);
    let honest: Vec<Bytes> = (0..500)
        .map(|number| bench.wallet(10_000 + number).tipping(0, 1))
        .collect();
    assert!(
        bench
            .pool
            .add(&honest, Origin::Local)
            .iter()
            .all(Admitted::is_ok)
    );
    for round in 0..5 {
        let flood: Vec<Bytes> = (0..1_000)
            .map(|number| {
                bench
                    .wallet(number)
                    .tipping(2 + round, 10 + u128::from(number % 50))
            })
            .collect();
        bench.pool.add(&flood, Origin::Gossip);
        bench.check();
    }
    assert_eq!(bench.status(), (500, 100));
    assert!(
        honest
            .iter()
            .all(|raw| bench.pool.get(&hash(raw)).is_some())
    );
    let cheapest = bench
        .pool
        .content()
        .queued
        .into_values()
        .flatten()
        .map(|queued| queued.price.tip)
        .min();
    assert_eq!(
        cheapest,
        Some(59 * GWEI),
        "the best of the flood is what is kept"
    );
}

/// CVE-2022-23328: many transactions of an account that can pay for one.
#[test]
fn a_flood_that_cannot_be_paid_is_refused() {
    let bench = Bench::new(PoolConfig::default());
    let cost = U256::from(210_000_000_000_001_u128);
    let wallet = bench.wallet_with(
        1,
        Account {
            balance: cost * U256::from(3),
            ..Account::default()
        },
    );
    let raws: Vec<Bytes> = (0..100).map(|nonce| wallet.transfer(nonce)).collect();
    let admitted = bench
        .pool
        .add(&raws, Origin::Gossip)
        .iter()
        .filter(|answer| answer.is_ok())
        .count();
    assert_eq!(admitted, 3);
    bench.check();
}

#[test]
fn promotion_into_a_full_pool_takes_only_what_is_better() {
    let bench = Bench::new(PoolConfig {
        pending_max: 3,
        ..PoolConfig::default()
    });
    let (a, b) = (bench.wallet(1), bench.wallet(2));
    for nonce in 0..3 {
        bench.add(a.tipping(nonce, 5)).expect("there is room");
    }
    bench.add(b.tipping(1, 9)).expect("it waits");
    bench.add(b.tipping(2, 2)).expect("it waits");
    bench
        .add(b.tipping(0, 9))
        .expect("it is better than the end of a");
    assert_eq!(bench.status(), (3, 0));
    assert_eq!(bench.pool.pending_nonce(a.address), Some(1));
    assert_eq!(bench.pool.pending_nonce(b.address), Some(2));
    assert!(
        bench.pool.get(&hash(&b.tipping(2, 2))).is_none(),
        "no better than what would have to go"
    );
}

#[test]
fn the_content_is_listed_by_account_and_nonce() {
    let bench = Bench::new(PoolConfig::default());
    let (a, b) = (bench.wallet(1), bench.wallet(2));
    for raw in [a.transfer(0), a.transfer(1), b.transfer(4)] {
        bench.add(raw).expect("it is good");
    }
    let content = bench.pool.content();
    let nonces = |listed: &super::super::ByAccount, wallet: &Wallet| -> Vec<u64> {
        listed
            .get(&wallet.address)
            .into_iter()
            .flatten()
            .map(|transaction| transaction.nonce())
            .collect()
    };
    assert_eq!(nonces(&content.pending, &a), [0, 1]);
    assert_eq!(nonces(&content.queued, &b), [4]);
    assert_eq!((content.pending.len(), content.queued.len()), (1, 1));
    let of_b = bench.pool.content_from(b.address);
    assert!(of_b.pending.is_empty());
    assert_eq!(nonces(&of_b.queued, &b), [4]);
    assert!(bench.pool.content_from(Address::ZERO).queued.is_empty());
    assert_eq!(bench.pool.pending_hashes().len(), 2);
}
