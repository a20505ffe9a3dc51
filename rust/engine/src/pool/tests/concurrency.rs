//! Many threads at once.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// Single and batched intake, snapshots, readers and heads at the same time; then every transaction is accounted for.
#[test]
fn nothing_is_lost_or_doubled_under_concurrency() {
    const SENDERS: u64 = 24;
    const NONCES: u64 = 20;
    let bench = Bench::new(PoolConfig::default());
    let wallets: Vec<Wallet> = (0..SENDERS).map(|number| bench.wallet(number)).collect();
    let raws: Vec<Vec<Bytes>> = wallets
        .iter()
        .map(|wallet| (0..NONCES).map(|nonce| wallet.transfer(nonce)).collect())
        .collect();
    let (pool, accounts) = (&bench.pool, &bench.accounts);
    let done = &AtomicBool::new(false);

    let mined = std::thread::scope(|scope| {
        let intake: Vec<_> = raws
            .chunks(6)
            .enumerate()
            .map(|(thread, senders)| {
                scope.spawn(move || {
                    for nonce in 0..NONCES as usize {
                        let raws: Vec<Bytes> =
                            senders.iter().map(|raws| raws[nonce].clone()).collect();
                        if thread % 2 == 0 {
                            for raw in raws {
                                pool.add_one(raw, Origin::Local).expect("each comes once");
                            }
                        } else {
                            assert!(pool.add(&raws, Origin::Gossip).iter().all(Admitted::is_ok));
                        }
                    }
                })
            })
            .collect();
        let reader = scope.spawn(move || {
            while !done.load(Ordering::SeqCst) {
                let mut next: HashMap<Address, u64> = HashMap::new();
                for best in pool.best(BASE_FEE) {
                    let nonce = next.entry(best.sender()).or_insert(best.nonce());
                    assert_eq!(*nonce, best.nonce(), "a snapshot has no gap");
                    *nonce += 1;
                }
                pool.ledger.lock().check();
            }
        });
        let chain = scope.spawn(move || {
            let mut mined = 0_u64;
            let mut number = 0;
            loop {
                let last = done.load(Ordering::SeqCst);
                let best: Vec<_> = pool.best(BASE_FEE).take(37).collect();
                if best.is_empty() && last {
                    return mined;
                }
                number += 1;
                mined += best.len() as u64;
                for transaction in &best {
                    accounts.change(transaction.sender(), |account| {
                        account.nonce = transaction.nonce() + 1
                    });
                }
                let block = block(
                    best.iter()
                        .map(|best| best.transaction.inner().clone())
                        .collect(),
                    best.iter().map(|best| best.sender()).collect(),
                );
                let head = PoolHead {
                    number,
                    next_base_fee: BASE_FEE,
                    next_gas_limit: GAS_LIMIT,
                    accounts: Arc::clone(accounts) as Arc<dyn AccountReader>,
                };
                let changed = block.senders.iter().map(|sender| (*sender, None));
                pool.on_new_head(&block, changed, head);
            }
        });
        for thread in intake {
            thread.join().expect("intake goes well");
        }
        done.store(true, Ordering::SeqCst);
        reader.join().expect("reading goes well");
        chain.join().expect("the chain goes on")
    });
    assert_eq!(mined, SENDERS * NONCES);
    assert_eq!(bench.status(), (0, 0));
    assert_eq!(bench.pool.statistics().senders, 0);
    bench.check();
}

#[test]
fn one_transaction_sent_by_many_is_admitted_once() {
    let bench = Bench::new(PoolConfig::default());
    let raw = bench.wallet(1).transfer(0);
    let admitted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| usize::from(bench.pool.add_one(raw.clone(), Origin::Local).is_ok()))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no thread fails"))
            .sum()
    });
    assert_eq!(admitted, 1);
    assert_eq!(bench.status(), (1, 0));
}
