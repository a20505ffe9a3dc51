//! Import of blocks and the state root: `cargo bench -p engine --bench import`. Run it on a quiet machine.
//!
//! One chain with a million accounts builds blocks of transfers, each of another sender to another account; a second
//! one with the same genesis, on disk and with every block synced, takes them. A round is 15,000 transfers in six
//! blocks. Each figure is the median of the rounds, with the slowest and the fastest. `ENGINE_BENCH_ACCOUNTS` makes the
//! state smaller for a quick look.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use engine::{
    BuildAttributes, Engine, EngineConfig,
    pool::Origin,
    store::Head,
    testing::{self, Account, GAS_LIMIT},
};
use rayon::prelude::*;
use revm::{database::BundleState, state::AccountInfo};

const ROUNDS: usize = 5;
const BLOCKS: usize = 6;
const TRANSFERS_PER_BLOCK: usize = 2_500;
const TRANSFERS: usize = BLOCKS * TRANSFERS_PER_BLOCK;

/// RLP and requests, as import takes them.
type Payload = (Bytes, Vec<Bytes>);

fn main() {
    let accounts: usize = std::env::var("ENGINE_BENCH_ACCOUNTS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(1_000_000);
    println!(
        "import: {accounts} accounts, {TRANSFERS} transfers in {BLOCKS} blocks, median of {ROUNDS} (slowest to fastest)"
    );
    let senders: Vec<Account> = (0..TRANSFERS as u64)
        .into_par_iter()
        .map(Account::of)
        .collect();
    let strangers: Vec<Address> = (senders.len()..accounts).map(stranger).collect();
    let funded = senders
        .iter()
        .map(|sender| sender.address)
        .chain(strangers.iter().copied());
    let genesis = testing::genesis_json(funded);

    let builder = open(&genesis, None);
    let directory = tempfile::tempdir().expect("a directory can be made");
    let start = Instant::now();
    let engine = open(&genesis, Some(directory.path()));
    println!(
        "{:<44} {:>9.1} s",
        "genesis, on disk",
        start.elapsed().as_secs_f64()
    );
    drop(genesis);

    let mut nonce = 0;
    let mut next_round = || {
        let raws = transfers(&senders, &strangers, nonce);
        nonce += 1;
        (build(&builder, &raws), raws)
    };
    let mut rates: [(&str, Vec<Duration>); 2] = [
        ("import with recovery", vec![]),
        ("import with known senders", vec![]),
    ];
    for round in 0..=ROUNDS {
        for (mode, (_, times)) in rates.iter_mut().enumerate() {
            let (payloads, raws) = next_round();
            if mode == 1 {
                engine.pool().add(&raws, Origin::Gossip);
            }
            let start = Instant::now();
            engine.import(&payloads).expect("the blocks are valid");
            let elapsed = start.elapsed();
            assert_eq!(engine.head(), builder.head());
            // The first round warms the caches.
            if round > 0 {
                times.push(elapsed);
            }
        }
    }
    for (name, times) in rates {
        rate(name, times);
    }

    let mut stages: [(&str, Vec<Duration>); 3] = [
        ("validate: execute and roots, known senders", vec![]),
        ("finalize: durable commit", vec![]),
        ("recover and admit to the pool", vec![]),
    ];
    for _ in 0..ROUNDS {
        let (payloads, raws) = next_round();
        let mut spent = [Duration::ZERO; 3];
        spent[2] = measured(|| drop(engine.pool().add(&raws, Origin::Gossip)));
        for (rlp, requests) in &payloads {
            let mut hash = B256::ZERO;
            spent[0] += measured(|| {
                hash = engine
                    .validate(rlp, requests)
                    .expect("the block is valid")
                    .block
                    .hash
            });
            spent[1] += measured(|| {
                engine.finalize(hash).expect("it was validated");
            });
        }
        for (stage, time) in stages.iter_mut().zip(spent) {
            stage.1.push(time);
        }
    }
    for (name, times) in stages {
        rate(name, times);
    }

    for changed in [1_000, 10_000] {
        let times = (0..ROUNDS as u64 * 4)
            .map(|round| state_root(&engine, &strangers, changed, round))
            .collect();
        time(&format!("state root, {changed} changed accounts"), times);
    }
}

/// An account of the genesis that has no key.
fn stranger(number: usize) -> Address {
    Address::from_word(keccak256((number as u64 ^ 0x5eed << 40).to_be_bytes()))
}

fn open(genesis: &[u8], path: Option<&std::path::Path>) -> Arc<Engine> {
    let config = EngineConfig {
        path: path.map(Into::into),
        cache_bytes: 256 << 20,
        ..EngineConfig::default()
    };
    Engine::open(genesis, config).expect("the genesis is good")
}

fn transfers(senders: &[Account], recipients: &[Address], nonce: u64) -> Vec<Bytes> {
    let sign = |(index, sender): (usize, &Account)| {
        let recipient = recipients[(index * 61 + nonce as usize * 7_919) % recipients.len()];
        testing::raw(&sender.transfer(nonce, recipient, 1))
    };
    senders.par_iter().enumerate().map(sign).collect()
}

/// Make blocks of the transactions with the builder's chain, and decide them there.
fn build(builder: &Engine, raws: &[Bytes]) -> Vec<Payload> {
    raws.chunks(TRANSFERS_PER_BLOCK)
        .map(|raws| {
            let answers = builder.pool().add(raws, Origin::Local);
            assert!(
                answers.iter().all(|answer| answer.is_ok()),
                "all are admitted"
            );
            let Head {
                number,
                hash,
                timestamp,
                ..
            } = builder.head();
            let attributes = BuildAttributes {
                timestamp: timestamp + 2,
                fee_recipient: Address::repeat_byte(0xfe),
                prev_randao: keccak256(hash),
                withdrawals: Vec::new(),
                parent_beacon_block_root: hash,
                gas_limit: GAS_LIMIT,
                extra_data: Bytes::new(),
            };
            let deadline = Instant::now() + Duration::from_secs(60);
            let built = builder
                .build(hash, &attributes, deadline)
                .expect("a block can be built");
            assert_eq!(built.block.transactions.len(), raws.len());
            builder.finalize(built.block.hash).expect("it was built");
            builder
                .payload(number + 1)
                .expect("it can be read")
                .expect("it is there")
        })
        .collect()
}

/// The root after `changed` accounts, spread over the whole state, got another balance.
fn state_root(engine: &Engine, accounts: &[Address], changed: usize, round: u64) -> Duration {
    let mut bundle = BundleState::builder(0..=0);
    let step = (accounts.len() / changed).max(1);
    for address in accounts
        .iter()
        .skip(round as usize)
        .step_by(step)
        .take(changed)
    {
        let original = AccountInfo {
            balance: U256::from(1),
            ..AccountInfo::default()
        };
        let present = AccountInfo {
            balance: U256::from(round + 2),
            ..AccountInfo::default()
        };
        bundle = bundle
            .state_original_account_info(*address, original)
            .state_present_account_info(*address, present);
    }
    let bundle = bundle.build();
    let store = engine.store();
    let parent = store.trie();
    measured(|| {
        store
            .root_after(&parent, &bundle)
            .expect("the trie can be read");
    })
}

fn measured(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn quantiles(mut times: Vec<Duration>) -> [f64; 3] {
    times.sort();
    [times[0], times[times.len() / 2], times[times.len() - 1]].map(|time| time.as_secs_f64())
}

fn rate(name: &str, times: Vec<Duration>) {
    let [fast, median, slow] = quantiles(times).map(|time| TRANSFERS as f64 / time);
    println!("{name:<44} {median:>9.0}/s  ({slow:.0} to {fast:.0})");
}

fn time(name: &str, times: Vec<Duration>) {
    let [fast, median, slow] = quantiles(times).map(|time| time * 1e3);
    println!("{name:<44} {median:>8.2} ms  ({slow:.2} to {fast:.2})");
}
