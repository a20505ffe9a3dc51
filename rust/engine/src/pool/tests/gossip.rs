//! What peers and subscribers are told.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use super::{super::gossip::decode_batch, *};

fn taken(bench: &Bench, bytes_max: usize) -> Vec<Vec<B256>> {
    std::iter::from_fn(|| bench.pool.take_gossip(bytes_max))
        .map(|batch| {
            let raws = decode_batch(&batch.list).expect("a batch decodes");
            assert_eq!(raws.len(), batch.count);
            raws.into_iter().map(keccak256).collect()
        })
        .collect()
}

#[test]
fn only_what_came_from_outside_the_gossip_is_forwarded() {
    let bench = Bench::new(PoolConfig::default());
    let [a, b, c] = [1, 2, 3].map(|number| bench.wallet(number));
    let (local, relayed, gossiped) = (a.transfer(0), b.transfer(0), c.transfer(0));
    bench
        .pool
        .add_one(local.clone(), Origin::Local)
        .expect("it is good");
    bench
        .pool
        .add_one(relayed.clone(), Origin::Relayed)
        .expect("it is good");
    bench
        .pool
        .add_one(gossiped, Origin::Gossip)
        .expect("it is good");
    assert_eq!(taken(&bench, 1 << 16), [vec![hash(&local), hash(&relayed)]]);
    assert!(taken(&bench, 1 << 16).is_empty(), "each is taken once");
}

#[test]
fn a_gapped_transaction_is_forwarded_when_its_gap_is_filled() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    bench.add(wallet.transfer(1)).expect("it waits");
    assert!(taken(&bench, 1 << 16).is_empty());
    bench.add(wallet.transfer(0)).expect("it is next");
    assert_eq!(
        taken(&bench, 1 << 16),
        [vec![hash(&wallet.transfer(0)), hash(&wallet.transfer(1))]]
    );
}

#[test]
fn a_batch_keeps_to_its_bytes() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    for nonce in 0..100 {
        bench.add(wallet.transfer(nonce)).expect("it is good");
    }
    let mut count = 0;
    while let Some(batch) = bench.pool.take_gossip(1_000) {
        assert!(batch.list.len() <= 1_000);
        count += batch.count;
    }
    assert_eq!(count, 100);
    let large = wallet.sign(TxEip1559 {
        input: vec![0; 5_000].into(),
        gas_limit: 500_000,
        ..transfer(100)
    });
    bench.add(large).expect("it is good");
    assert_eq!(
        bench.pool.take_gossip(1_000).map(|batch| batch.count),
        Some(1),
        "the first always fits"
    );
}

#[test]
fn what_left_the_pool_is_not_forwarded() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    bench.add(wallet.transfer(0)).expect("it is good");
    bench.add(wallet.transfer(1)).expect("it is good");
    bench.mine(&[hash(&wallet.transfer(0))]);
    assert_eq!(taken(&bench, 1 << 16), [vec![hash(&wallet.transfer(1))]]);
}

#[test]
fn one_pool_takes_what_another_sends() {
    let (from, to) = (
        Bench::new(PoolConfig::default()),
        Bench::new(PoolConfig::default()),
    );
    for number in 0..20 {
        from.add(from.wallet(number).transfer(0))
            .expect("it is good");
        to.wallet(number);
    }
    let batch = from.pool.take_gossip(1 << 18).expect("there is something");
    let answers = to
        .pool
        .add_gossip(&batch.list, Origin::Gossip)
        .expect("it is a list");
    assert!(answers.iter().all(Admitted::is_ok));
    assert_eq!(to.status(), (20, 0));
    assert!(to.pool.take_gossip(1 << 18).is_none());
    let again = to
        .pool
        .add_gossip(&batch.list, Origin::Gossip)
        .expect("it is a list");
    assert!(
        again
            .iter()
            .all(|answer| is_refused(answer, &PoolError::AlreadyKnown))
    );
}

#[test]
fn a_list_that_is_not_canonical_is_refused_whole() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    bench.add(wallet.transfer(0)).expect("it is good");
    let list = bench
        .pool
        .take_gossip(1 << 16)
        .expect("there is something")
        .list;
    for length in 0..list.len() {
        assert!(
            bench
                .pool
                .add_gossip(&list[..length], Origin::Gossip)
                .is_err(),
            "cut at {length}"
        );
    }
    let mut longer = list.to_vec();
    longer.push(0x80);
    for bad in [
        longer,
        vec![0x80],
        vec![0xc1, 0xc0],
        vec![0xc2, 0x81, 0x05],
        vec![0xff; 9],
    ] {
        assert!(bench.pool.add_gossip(&bad, Origin::Gossip).is_err());
    }
    assert_eq!(
        bench.pool.add_gossip(&[0xc0], Origin::Gossip),
        Ok(Vec::new())
    );
}

#[test]
fn old_executable_transactions_are_forwarded_again() {
    let config = PoolConfig {
        forward_again_after: Duration::ZERO,
        ..PoolConfig::default()
    };
    let bench = Bench::new(config);
    let wallets: Vec<Wallet> = (0..11).map(|number| bench.wallet(number)).collect();
    for wallet in &wallets[..10] {
        bench.add(wallet.transfer(0)).expect("it is good");
    }
    let cheap = wallets[10].sign(TxEip1559 {
        max_fee_per_gas: GWEI / 2,
        max_priority_fee_per_gas: 1,
        ..transfer(0)
    });
    bench.add(cheap).expect("it is good");
    let gossiped = bench.wallet(11).transfer(0);
    bench
        .pool
        .add_one(gossiped, Origin::Gossip)
        .expect("it is good");
    assert_eq!(taken(&bench, 1 << 16).concat().len(), 11);
    for _turn in 0..2 {
        bench.touch(&[]);
        let again = taken(&bench, 1 << 16).concat();
        assert_eq!(
            again.len(),
            10,
            "all but the one below the base fee and the one of others"
        );
    }
    bench.mine(&[hash(&wallets[0].transfer(0))]);
    assert_eq!(taken(&bench, 1 << 16).concat().len(), 9);
}

#[test]
fn forwarding_again_takes_turns() {
    let config = PoolConfig {
        forward_again_after: Duration::ZERO,
        ..PoolConfig::default()
    };
    let bench = Bench::new(config);
    let wallet = bench.wallet(1);
    let raws: Vec<Bytes> = (0..1_500).map(|nonce| wallet.transfer(nonce)).collect();
    bench.pool.add(&raws, Origin::Local);
    assert_eq!(taken(&bench, 1 << 18).concat().len(), 1_500);
    for expected in [1_024, 476, 1_024] {
        bench.touch(&[]);
        assert_eq!(taken(&bench, 1 << 18).concat().len(), expected);
    }
}

#[test]
fn young_transactions_are_not_forwarded_again() {
    let bench = Bench::new(PoolConfig::default());
    bench.add(bench.wallet(1).transfer(0)).expect("it is good");
    assert_eq!(taken(&bench, 1 << 16).len(), 1);
    bench.touch(&[]);
    assert!(taken(&bench, 1 << 16).is_empty());
}

#[test]
fn a_new_connection_is_told_the_best_first() {
    let bench = Bench::new(PoolConfig::default());
    for number in 0..10 {
        bench
            .add(bench.wallet(number).tipping(0, 1 + u128::from(number)))
            .expect("it is good");
    }
    let batches = bench.pool.pending_batches(500);
    assert!(batches.len() > 1);
    let sent: Vec<B256> = batches
        .iter()
        .flat_map(|batch| decode_batch(&batch.list).expect("it decodes"))
        .map(keccak256)
        .collect();
    let best: Vec<B256> = bench.pool.best(BASE_FEE).map(|best| best.hash).collect();
    assert_eq!(sent, best);
}

#[test]
fn a_listener_is_woken_once_until_it_takes() {
    let bench = Bench::new(PoolConfig::default());
    let wallet = bench.wallet(1);
    bench.add(wallet.transfer(0)).expect("it is good");
    assert!(bench.pool.take_fresh().is_empty(), "nobody asked");
    let woken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&woken);
    bench.pool.set_listener(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    bench.add(wallet.transfer(3)).expect("it waits");
    assert_eq!(woken.load(Ordering::SeqCst), 0);
    bench.add(wallet.transfer(1)).expect("it is good");
    bench.add(wallet.transfer(2)).expect("it is good");
    assert_eq!(woken.load(Ordering::SeqCst), 1);
    let nonces: Vec<u64> = bench
        .pool
        .take_fresh()
        .iter()
        .map(|fresh| fresh.nonce())
        .collect();
    assert_eq!(nonces, [1, 2, 3]);
    bench.add(wallet.transfer(4)).expect("it is good");
    assert_eq!(woken.load(Ordering::SeqCst), 2);
}
