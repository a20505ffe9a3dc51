//! Intake of the transaction pool: `cargo bench -p engine --bench pool`. Run it on a quiet machine.
//!
//! Each figure is the median of the rounds, with the slowest and the fastest. The state is a map in memory, so what is
//! measured is hashing, decoding, recovery and the pool itself.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256};
use engine::{
    Block, Result,
    pool::{Account, AccountReader, Origin, PoolConfig, PoolHead, TransactionPool},
    testing::{self, CHAIN_ID, GAS_LIMIT},
};
use rayon::prelude::*;

const ROUNDS: usize = 5;
const BASE_FEE: u64 = 1_000_000_000;
const TRANSFERS: u64 = 20_000;
const GOSSIP_BYTES: usize = 256 << 10;

/// Everybody is rich and new.
struct Rich;

impl AccountReader for Rich {
    fn account(&self, _address: Address) -> Result<Account> {
        Ok(Account {
            balance: U256::MAX,
            ..Account::default()
        })
    }
}

fn main() {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let threads = rayon::ThreadPoolBuilder::new()
        .num_threads(cores)
        .build()
        .expect("threads can be started");
    let threads = Arc::new(threads);
    println!("pool: {TRANSFERS} transfers, {cores} cores, median of {ROUNDS} (slowest to fastest)");

    let few = sign(&threads, 200);
    let many = sign(&threads, TRANSFERS);
    let new_pool = || pool(&threads, PoolConfig::default());

    for (senders, raws) in [(200, &few), (TRANSFERS, &many)] {
        for callers in [1, cores, 64] {
            let name = format!("single, {senders} senders, {callers} callers");
            rate(&name, || {
                let pool = new_pool();
                measured(|| add_singly(&pool, raws, callers))
            });
        }
        rate(&format!("batches of 100, {senders} senders"), || {
            let pool = new_pool();
            measured(|| {
                raws.chunks(100)
                    .for_each(|batch| assert_admitted(pool.add(batch, Origin::Local)))
            })
        });
    }

    let batches = {
        let pool = new_pool();
        pool.add(&many, Origin::Local);
        pool.pending_batches(GOSSIP_BYTES)
    };
    rate("gossip of 256 KiB, new", || {
        let pool = new_pool();
        measured(|| {
            for batch in &batches {
                assert_admitted(
                    pool.add_gossip(&batch.list, Origin::Gossip)
                        .expect("it is a list"),
                );
            }
        })
    });
    let full = new_pool();
    full.add(&many, Origin::Local);
    rate("gossip of 256 KiB, known", || {
        measured(|| {
            for batch in &batches {
                full.add_gossip(&batch.list, Origin::Gossip)
                    .expect("it is a list");
            }
        })
    });
    let small = pool(
        &threads,
        PoolConfig {
            pending_max: 10_000,
            ..PoolConfig::default()
        },
    );
    small.add(&many, Origin::Local);
    rate("refused by a full pool", || {
        measured(|| add_singly(&small, &many, cores))
    });

    time("snapshot of 20,000 accounts (lock held)", || {
        let start = Instant::now();
        let best = full.best(BASE_FEE);
        let elapsed = start.elapsed();
        drop(best);
        elapsed
    });
    time("the best 2,857 of 20,000 accounts", || {
        measured(|| assert_eq!(full.best(BASE_FEE).take(2_857).count(), 2_857))
    });
    time("a new head with 2,857 mined", || {
        let pool = new_pool();
        pool.add(&many, Origin::Local);
        let block = block(&pool, 2_857);
        let changed: Vec<_> = block
            .senders
            .iter()
            .map(|sender| (*sender, Mined.account(*sender).ok()))
            .collect();
        measured(|| {
            pool.on_new_head(
                &block,
                changed,
                PoolHead {
                    number: 1,
                    accounts: Arc::new(Mined),
                    ..head()
                },
            )
        })
    });
}

/// The state in which everybody has sent one transaction.
struct Mined;

impl AccountReader for Mined {
    fn account(&self, _address: Address) -> Result<Account> {
        Ok(Account {
            nonce: 1,
            balance: U256::MAX,
            ..Account::default()
        })
    }
}

fn sign(threads: &rayon::ThreadPool, senders: u64) -> Vec<Bytes> {
    let accounts: Vec<_> = (0..senders).map(testing::Account::of).collect();
    let sign = |number: u64| {
        let account = &accounts[(number % senders) as usize];
        testing::raw(&account.transfer(number / senders, Address::repeat_byte(0x42), 1))
    };
    threads.install(|| (0..TRANSFERS).into_par_iter().map(sign).collect())
}

fn head() -> PoolHead {
    PoolHead {
        number: 0,
        next_base_fee: BASE_FEE,
        next_gas_limit: GAS_LIMIT,
        accounts: Arc::new(Rich),
    }
}

fn pool(threads: &Arc<rayon::ThreadPool>, config: PoolConfig) -> TransactionPool {
    TransactionPool::new(config, CHAIN_ID, Arc::clone(threads), head())
}

fn block(pool: &TransactionPool, count: usize) -> Block {
    let best: Vec<_> = pool.best(BASE_FEE).take(count).collect();
    Block {
        header: Header::default(),
        hash: B256::ZERO,
        transactions: best
            .iter()
            .map(|best| best.transaction.inner().clone())
            .collect(),
        senders: best.iter().map(|best| best.sender()).collect(),
        withdrawals: Vec::new(),
        ommers: Vec::new(),
        requests: Default::default(),
        size: 0,
    }
}

/// Each caller takes every n-th transaction, as connections do.
fn add_singly(pool: &TransactionPool, raws: &[Bytes], callers: usize) {
    std::thread::scope(|scope| {
        for caller in 0..callers {
            scope.spawn(move || {
                for raw in raws.iter().skip(caller).step_by(callers) {
                    let _ = pool.add_one(raw.clone(), Origin::Local);
                }
            });
        }
    });
}

fn assert_admitted(answers: Vec<engine::pool::Admitted>) {
    assert!(answers.iter().all(|answer| answer.is_ok()), "all are good");
}

fn measured(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn rounds(mut round: impl FnMut() -> Duration) -> [Duration; 3] {
    round();
    let mut times: Vec<Duration> = (0..ROUNDS).map(|_| round()).collect();
    times.sort();
    [times[0], times[ROUNDS / 2], times[ROUNDS - 1]]
}

fn rate(name: &str, round: impl FnMut() -> Duration) {
    let [slowest, median, fastest] = {
        let [fast, median, slow] = rounds(round);
        [slow, median, fast].map(|time| TRANSFERS as f64 / time.as_secs_f64())
    };
    println!("{name:<44} {median:>9.0}/s  ({slowest:.0} to {fastest:.0})");
}

fn time(name: &str, round: impl FnMut() -> Duration) {
    let [fast, median, slow] = rounds(round).map(|time| time.as_secs_f64() * 1e3);
    println!("{name:<44} {median:>8.2} ms  ({slow:.2} to {fast:.2})");
}
