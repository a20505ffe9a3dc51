//! The store's speed and size: `cargo bench -p engine --bench store -- [root|read|idle|all] [directory]`.
//!
//! - `root`: blocks of 1,000 and 10,000 changed accounts out of a million, with caches of 1 GB: state root, durable
//!   commit, flush.
//! - `read`: accounts of the latest state, from one thread and from several.
//! - `idle`: bytes on disk per empty block, with the slots that the system contracts write.
//!
//! Run it on a quiet machine. Medians are printed; each number says what it holds.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::{
    Header, Receipt, ReceiptEnvelope, ReceiptWithBloom, Signed, TxEnvelope, TxLegacy,
};
use alloy_eips::{eip2935, eip4788, eip7685::Requests};
use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Bytes, Signature, U256, keccak256};
use engine::{
    Block, ExecutedBlock,
    store::{Store, StoreOptions},
};
use revm::{
    database::{AccountStatus, BundleAccount, BundleState, states::StorageSlot},
    state::AccountInfo,
};

const ACCOUNTS: u64 = 1_000_000;
const TRANSFER_BLOCKS: u64 = 40;
const IDLE_BLOCKS: u64 = 12_000;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with("--"))
        .collect();
    let what = arguments.first().map_or("all", String::as_str);
    let directory = arguments.get(1).map_or_else(std::env::temp_dir, Into::into);
    let directory = directory.join(format!("metanode-bench-store-{}", std::process::id()));
    if matches!(what, "all" | "root" | "read") {
        million(&directory.join("million"), what);
    }
    if matches!(what, "all" | "idle") {
        idle(&directory.join("idle"));
    }
    let _ = std::fs::remove_dir_all(directory);
}

fn million(directory: &Path, what: &str) {
    let account = |index: u64| {
        let balance = U256::from(1_000_000_000_000_000_000u64);
        (
            address(index),
            GenesisAccount {
                balance,
                ..Default::default()
            },
        )
    };
    let alloc: Vec<_> = (0..ACCOUNTS).map(account).collect();
    let store = open(directory, 1 << 30);
    let begun = Instant::now();
    initialise(&store, &alloc);
    println!(
        "genesis of {ACCOUNTS} accounts: {:.1} s, {}",
        begun.elapsed().as_secs_f64(),
        footprint(directory)
    );
    drop(alloc);
    if what != "read" {
        for changed in [1_000, 10_000] {
            transfers(&store, changed);
        }
    }
    if what != "root" {
        read(&store);
    }
    println!("memory at the end: {} MB", resident_bytes() >> 20);
}

/// Blocks that change `changed` random accounts each.
fn transfers(store: &Store, changed: u64) {
    let (mut roots, mut commits, mut prepared) = (Vec::new(), Vec::new(), Vec::new());
    let (mut root_cpu, mut commit_cpu) = (Vec::new(), Vec::new());
    let mut seed = changed;
    for block in 0..TRANSFER_BLOCKS {
        if block % 8 == 0 {
            // As between two blocks of a chain: the flush and the merging after it are done.
            store.flush().expect("the blocks are flushed");
            std::thread::sleep(Duration::from_secs(2));
        }
        let head = store.head();
        let view = store.latest();
        let mut bundle = BundleState::default();
        let begun = Instant::now();
        for _ in 0..changed {
            seed = random(seed);
            let address = address(seed % ACCOUNTS);
            let original = view.account(address).expect("the account reads");
            let mut info = original.clone().unwrap_or_default();
            info.nonce += 1;
            info.balance += U256::from(seed % 1_000);
            let account = BundleAccount::new(
                original,
                Some(info),
                Default::default(),
                AccountStatus::Changed,
            );
            bundle.state.insert(address, account);
        }
        prepared.push(begun.elapsed());
        let cpu = cpu_time();
        let begun = Instant::now();
        let trie = store
            .root_after(&store.trie(), &bundle)
            .expect("the root is computed");
        roots.push(begun.elapsed());
        root_cpu.push(cpu_time() - cpu);
        let transactions = (0..changed / 2)
            .map(|nonce| transaction(head.number, nonce))
            .collect();
        let header = header(head.number + 1, head.hash, trie.root());
        let executed = executed(header, transactions, bundle, trie);
        let cpu = cpu_time();
        let begun = Instant::now();
        store.commit(&executed).expect("the block is committed");
        commits.push(begun.elapsed());
        commit_cpu.push(cpu_time() - cpu);
    }
    let begun = Instant::now();
    store.flush().expect("the blocks are flushed");
    println!(
        "{changed} changed of {ACCOUNTS}: root {} (processor time {}), durable commit {} ({}); reading them before {}; last flush {:.0} ms",
        spread(&mut roots),
        spread(&mut root_cpu),
        spread(&mut commits),
        spread(&mut commit_cpu),
        spread(&mut prepared),
        begun.elapsed().as_secs_f64() * 1e3
    );
}

fn read(store: &Store) {
    const HOT: u64 = 10_000;
    const READS: u64 = 1_000_000;
    let run = |seed: u64| {
        let mut seed = seed;
        for _ in 0..READS {
            seed = random(seed);
            let record = store
                .latest()
                .record(address(seed % HOT))
                .expect("the account reads");
            assert!(record.is_some());
        }
    };
    run(1);
    for threads in [1, 2, 4] {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for seed in 0..threads {
                scope.spawn(move || run(seed));
            }
        });
        let seconds = begun.elapsed().as_secs_f64();
        let reads = (threads * READS) as f64;
        println!(
            "latest account out of {HOT} hot ones, {threads} threads: {:.0} ns each, {:.2} M/s together",
            seconds * 1e9 * threads as f64 / reads,
            reads / seconds / 1e6
        );
    }
}

fn idle(directory: &Path) {
    let store = open(directory, 64 << 20);
    let system = |address: Address, code: &Bytes| {
        let account = GenesisAccount {
            nonce: Some(1),
            code: Some(code.clone()),
            ..Default::default()
        };
        (address, account)
    };
    let mut alloc = vec![
        system(
            eip2935::HISTORY_STORAGE_ADDRESS,
            &eip2935::HISTORY_STORAGE_CODE,
        ),
        system(eip4788::BEACON_ROOTS_ADDRESS, &eip4788::BEACON_ROOTS_CODE),
    ];
    alloc.extend((0..20).map(|index| {
        let balance = U256::from(10).pow(U256::from(24));
        (
            address(index),
            GenesisAccount {
                balance,
                ..Default::default()
            },
        )
    }));
    initialise(&store, &alloc);
    store.flush().expect("the genesis is flushed");
    println!(
        "idle chain, genesis: {}, memory {} MB",
        footprint(directory),
        resident_bytes() >> 20
    );
    let (mut last_bytes, mut last_number) = (disk_bytes(directory), 0);
    for number in 1..=IDLE_BLOCKS {
        let head = store.head();
        let bundle = idle_bundle(&store, number, head.hash);
        let trie = store
            .root_after(&store.trie(), &bundle)
            .expect("the root is computed");
        let header = header(number, head.hash, trie.root());
        store
            .commit(&executed(header, Vec::new(), bundle, trie))
            .expect("the block is committed");
        if number % 64 == 0 {
            // At two seconds a block the merging has all the time it wants.
            std::thread::sleep(Duration::from_millis(15));
        }
        if matches!(number, 900 | 1_800) || number % 4_000 == 0 {
            std::thread::sleep(Duration::from_millis(300));
            let bytes = disk_bytes(directory);
            let growth = bytes as f64 - last_bytes as f64;
            println!(
                "idle block {number}: {}, {:.0} bytes a block since {last_number}, memory {} MB",
                footprint(directory),
                growth / (number - last_number) as f64,
                resident_bytes() >> 20
            );
            (last_bytes, last_number) = (bytes, number);
        }
    }
    let stats = store.stats();
    println!(
        "idle chain of {IDLE_BLOCKS} blocks: log {:.0} bytes a block, all {:.0}",
        stats.log_bytes as f64 / IDLE_BLOCKS as f64,
        stats.disk_bytes as f64 / IDLE_BLOCKS as f64
    );
}

/// What the system calls of a block with nothing in it write, and a reward.
fn idle_bundle(store: &Store, number: u64, parent: B256) -> BundleState {
    const RING: u64 = 8_191;
    let mut bundle = BundleState::default();
    let view = store.latest();
    let mut touch = |address: Address, slots: Vec<(u64, U256)>, reward: u64| {
        let original = view.account(address).expect("the account reads");
        let mut info: AccountInfo = original.clone().unwrap_or_default();
        info.balance += U256::from(reward);
        let slots = slots.into_iter().map(|(slot, value)| {
            let slot = U256::from(slot);
            let before = view.storage(address, slot).expect("the slot reads");
            (slot, StorageSlot::new_changed(before, value))
        });
        let account = BundleAccount::new(
            original,
            Some(info),
            slots.collect(),
            AccountStatus::Changed,
        );
        bundle.state.insert(address, account);
    };
    let timestamp = timestamp(number);
    let at = timestamp % RING;
    let beacon_root = U256::from_be_bytes(keccak256(number.to_be_bytes()).0);
    let beacon = vec![(at, U256::from(timestamp)), (at + RING, beacon_root)];
    touch(eip4788::BEACON_ROOTS_ADDRESS, beacon, 0);
    let history = vec![((number - 1) % RING, U256::from_be_bytes(parent.0))];
    touch(eip2935::HISTORY_STORAGE_ADDRESS, history, 0);
    touch(address(number % 4), Vec::new(), 2_000_000_000);
    bundle
}

fn open(directory: &Path, cache_bytes: u64) -> Store {
    let options = StoreOptions {
        path: Some(directory.to_path_buf()),
        cache_bytes,
        ..Default::default()
    };
    Store::open(options).expect("the store opens")
}

fn initialise(store: &Store, alloc: &[(Address, GenesisAccount)]) {
    let mut header = header(0, B256::ZERO, Store::genesis_root(alloc));
    header.timestamp = timestamp(0);
    let block = block(header, Vec::new());
    store
        .initialise(block, alloc)
        .expect("the genesis is written");
}

fn timestamp(number: u64) -> u64 {
    1_800_000_000 + 2 * number
}

fn header(number: u64, parent_hash: B256, state_root: B256) -> Header {
    Header {
        number,
        parent_hash,
        state_root,
        beneficiary: address(number % 4),
        gas_limit: 60_000_000,
        timestamp: timestamp(number),
        mix_hash: keccak256(number.to_le_bytes()),
        base_fee_per_gas: Some(7),
        withdrawals_root: Some(keccak256(number.to_be_bytes())),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(keccak256(number.to_be_bytes())),
        requests_hash: Some(alloy_eips::eip7685::EMPTY_REQUESTS_HASH),
        ..Default::default()
    }
}

fn executed(
    header: Header,
    transactions: Vec<TxEnvelope>,
    bundle: BundleState,
    trie: engine::trie::StateTrie,
) -> Arc<ExecutedBlock> {
    let receipt = |gas: u64| {
        let receipt = Receipt {
            status: true.into(),
            cumulative_gas_used: gas,
            logs: Vec::new(),
        };
        ReceiptEnvelope::Legacy(ReceiptWithBloom::from(receipt))
    };
    let receipts = (0..transactions.len() as u64)
        .map(|index| receipt(21_000 * index))
        .collect();
    let block = block(header, transactions);
    Arc::new(ExecutedBlock {
        block,
        receipts,
        bundle,
        trie,
    })
}

fn block(header: Header, transactions: Vec<TxEnvelope>) -> Block {
    Block {
        hash: header.hash_slow(),
        senders: transactions.iter().map(|_| address(1)).collect(),
        transactions,
        withdrawals: Vec::new(),
        ommers: Vec::new(),
        requests: Requests::default(),
        size: 0,
        header,
    }
}

fn transaction(number: u64, nonce: u64) -> TxEnvelope {
    let word = |seed: u64| U256::from_be_bytes(keccak256(seed.to_be_bytes()).0);
    let signature = Signature::new(
        word(number << 20 | nonce),
        word(nonce << 40 | number),
        false,
    );
    let transfer = TxLegacy {
        chain_id: Some(1_337),
        nonce,
        gas_price: 1_000_000_007,
        gas_limit: 21_000,
        to: address(random(number ^ nonce)).into(),
        value: U256::from(nonce),
        ..Default::default()
    };
    let hash = keccak256([number.to_be_bytes(), nonce.to_be_bytes()].concat());
    TxEnvelope::Legacy(Signed::new_unchecked(transfer, signature, hash))
}

fn address(index: u64) -> Address {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&random(index).to_be_bytes());
    bytes[12..].copy_from_slice(&index.to_be_bytes());
    Address::from(bytes)
}

/// splitmix64.
fn random(seed: u64) -> u64 {
    let mut word = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

fn spread(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    format!("{:.2} ms (most {:.1})", ms(median), ms(worst))
}

fn footprint(directory: &Path) -> String {
    format!("{:.1} MB on disk", disk_bytes(directory) as f64 / 1e6)
}

/// Blocks in use, as `du` counts them: preallocated files count for what they hold.
fn disk_bytes(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// What all threads but those of the background have run so far. On a busy machine it says more than the clock.
fn cpu_time() -> Duration {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return Duration::ZERO;
    };
    let run = |thread: std::fs::DirEntry| {
        let read = |file| std::fs::read_to_string(thread.path().join(file)).unwrap_or_default();
        let name = read("comm");
        if name.starts_with("store-flush") || name.starts_with("fjall") {
            return 0;
        }
        let nanoseconds = read("schedstat");
        nanoseconds
            .split(' ')
            .next()
            .and_then(|first| first.parse().ok())
            .unwrap_or(0)
    };
    Duration::from_nanos(threads.flatten().map(run).sum())
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kilobytes
        .and_then(|number| number.trim().parse::<u64>().ok())
        .unwrap_or(0)
        << 10
}
