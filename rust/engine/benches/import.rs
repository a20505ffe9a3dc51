//! Import of blocks and the state root: `cargo bench -p engine --bench import`. Run it on a quiet machine.
//!
//! One chain with a million accounts builds blocks of transfers, each of another sender to another account; a second
//! one with the same genesis, on disk and with every block synced, takes them afterwards. A round is 15,000 transfers in six
//! blocks. Then come as many calls of a contract that emits a log of three topics, as a token's transfer does. Each figure is the
//! median of the rounds, with the slowest and the fastest. `ENGINE_BENCH_ACCOUNTS` makes the
//! state smaller for a quick look.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::{TxEip1559, transaction::SignerRecoverable};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, keccak256};
use engine::{
    BuildAttributes, Engine, EngineConfig,
    pool::Origin,
    store::Head,
    testing::{self, Account, GAS_LIMIT},
};
use rayon::prelude::*;
use revm::{database::BundleState, state::AccountInfo};
use serde_json::json;

const ROUNDS: usize = 5;
const BLOCKS: usize = 6;
const TRANSFERS_PER_BLOCK: usize = 2_500;
const TRANSFERS: usize = BLOCKS * TRANSFERS_PER_BLOCK;
/// Emits 32 bytes under three topics.
const TOKEN: Address = address!("0x00000000000000000000000000000000000e0001");
const TOKEN_CODE: &str = "0x333360aa60205fa300";

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
    let mut genesis = testing::genesis(funded);
    genesis["alloc"][TOKEN.to_string()] = json!({"balance": "0x0", "code": TOKEN_CODE});
    let genesis = genesis.to_string().into_bytes();

    // Built ahead, so that nothing else runs while we measure.
    let rounds: Vec<Round> = {
        let builder = open(&genesis, None);
        let tokens_from = 2 + 3 * ROUNDS as u64;
        let rounds = 0..tokens_from + ROUNDS as u64;
        rounds
            .map(|nonce| {
                let raws = if nonce < tokens_from {
                    transfers(&senders, &strangers, nonce)
                } else {
                    emissions(&senders, nonce)
                };
                Round::build(&builder, raws)
            })
            .collect()
    };
    let mut rounds = rounds.into_iter();
    let directory = tempfile::tempdir().expect("a directory can be made");
    let start = Instant::now();
    let engine = open(&genesis, Some(directory.path()));
    let elapsed = start.elapsed().as_secs_f64();
    println!("{:<44} {elapsed:>9.1} s", "genesis, on disk");
    drop(genesis);

    let import = |round: Round| {
        let spent = measured(|| {
            engine
                .import(&round.payloads)
                .expect("the blocks are valid");
        });
        assert_eq!(engine.head().hash, round.head);
        spent
    };
    let admit = |round: &Round| measured(|| drop(engine.pool().add(&round.raws, Origin::Gossip)));

    // Warms the caches.
    rounds.by_ref().take(2).for_each(|round| {
        import(round);
    });
    let recovering = rounds.by_ref().take(ROUNDS).map(import).collect();
    report("import with recovery", recovering);
    let known = rounds.by_ref().take(ROUNDS).map(|round| {
        admit(&round);
        import(round)
    });
    report("import with known senders", known.collect());

    let mut stages: [Vec<Spent>; 3] = Default::default();
    for round in rounds.by_ref().take(ROUNDS) {
        let mut spent = [admit(&round), Spent::default(), Spent::default()];
        for (rlp, requests) in &round.payloads {
            let mut hash = B256::ZERO;
            spent[1] += measured(|| {
                let valid = engine.validate(rlp, requests).expect("the block is valid");
                hash = valid.block.hash;
            });
            spent[2] += measured(|| {
                engine.finalize(hash).expect("it was validated");
            });
        }
        for (stage, spent) in stages.iter_mut().zip(spent) {
            stage.push(spent);
        }
    }
    let names = [
        "recover, and admit to the pool",
        "validate: run and roots, known senders",
        "finalize: durable commit",
    ];
    for (name, spent) in names.into_iter().zip(stages) {
        report(name, spent);
    }

    let emitting = rounds.map(|round| {
        admit(&round);
        import(round)
    });
    report("import with known senders, a log each", emitting.collect());

    for changed in [1_000, 10_000] {
        let others = (0..4 * ROUNDS).map(|round| state_root(&engine, &strangers, changed, round));
        time(
            &format!("state root, {changed} changed, others each time"),
            others.collect(),
        );
        let again = (0..4 * ROUNDS).map(|_| state_root(&engine, &strangers, changed, 0));
        time(
            &format!("state root, {changed} changed, the same again"),
            again.collect(),
        );
    }
    // A shared or throttled machine shows here: the same work on one thread, 30 to 40 us where this was written.
    let recoveries = senders.iter().take(1_000).map(|sender| {
        let transfer = sender.transfer(0, Address::ZERO, 1);
        let spent = measured(|| assert_eq!(transfer.recover_signer().ok(), Some(sender.address)));
        spent.wall
    });
    let [_, median, _] = quantiles(recoveries).map(|time| time * 1e6);
    println!(
        "{:<44} {median:>8.1} us",
        "for scale: one signature recovery"
    );
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
        let transfer = TxEip1559 {
            to: TxKind::Call(recipient),
            value: U256::from(1),
            // Blocks this full raise the base fee by a tenth each, ten thousand times in the whole run.
            max_fee_per_gas: 1_000_000_000_000_000,
            ..sender.call(nonce, 21_000)
        };
        testing::raw(&sender.sign_transaction(transfer))
    };
    senders.par_iter().enumerate().map(sign).collect()
}

fn emissions(senders: &[Account], nonce: u64) -> Vec<Bytes> {
    let sign = |sender: &Account| {
        let call = TxEip1559 {
            to: TxKind::Call(TOKEN),
            max_fee_per_gas: 1_000_000_000_000_000,
            ..sender.call(nonce, 24_000)
        };
        testing::raw(&sender.sign_transaction(call))
    };
    senders.par_iter().map(sign).collect()
}

/// Blocks that are to be imported.
struct Round {
    raws: Vec<Bytes>,
    payloads: Vec<Payload>,
    head: B256,
}

impl Round {
    /// Make blocks of the transactions with the builder's chain, and decide them there.
    fn build(builder: &Engine, raws: Vec<Bytes>) -> Self {
        let payloads = raws
            .chunks(TRANSFERS_PER_BLOCK)
            .map(|raws| build(builder, raws))
            .collect();
        let head = builder.head().hash;
        Self {
            raws,
            payloads,
            head,
        }
    }
}

fn build(builder: &Engine, raws: &[Bytes]) -> Payload {
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
}

/// The root after `changed` accounts, spread over the whole state, got another balance.
fn state_root(engine: &Engine, accounts: &[Address], changed: usize, round: usize) -> Spent {
    let mut bundle = BundleState::builder(0..=0);
    let step = (accounts.len() / changed).max(1);
    for address in accounts.iter().skip(round).step_by(step).take(changed) {
        let original = AccountInfo {
            balance: U256::from(1),
            ..AccountInfo::default()
        };
        let present = AccountInfo {
            balance: U256::from(round as u64 + 2),
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

/// Time on the clock, and of all processors.
#[derive(Debug, Default, Clone, Copy)]
struct Spent {
    wall: Duration,
    cpu: Duration,
}

impl std::ops::AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.wall += other.wall;
        self.cpu += other.cpu;
    }
}

fn measured(work: impl FnOnce()) -> Spent {
    let (start, cpu) = (Instant::now(), cpu_time());
    work();
    Spent {
        wall: start.elapsed(),
        cpu: cpu_time() - cpu,
    }
}

/// User and system time of this process, in steps of 10 ms; zero where the system does not tell.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = after_name
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(10 * ticks.sum::<u64>())
}

/// The fastest, the median and the slowest.
fn quantiles(times: impl Iterator<Item = Duration>) -> [f64; 3] {
    let mut times: Vec<Duration> = times.collect();
    times.sort();
    [times[0], times[times.len() / 2], times[times.len() - 1]].map(|time| time.as_secs_f64())
}

fn report(name: &str, spent: Vec<Spent>) {
    let [fast, median, slow] =
        quantiles(spent.iter().map(|spent| spent.wall)).map(|time| TRANSFERS as f64 / time);
    let [_, cpu, _] =
        quantiles(spent.iter().map(|spent| spent.cpu)).map(|time| time * 1e6 / TRANSFERS as f64);
    println!("{name:<44} {median:>9.0}/s  ({slow:.0} to {fast:.0}), {cpu:.1} us of CPU each");
}

fn time(name: &str, spent: Vec<Spent>) {
    let [fast, median, slow] =
        quantiles(spent.iter().map(|spent| spent.wall)).map(|time| time * 1e3);
    println!("{name:<44} {median:>8.2} ms  ({slow:.2} to {fast:.2})");
}
