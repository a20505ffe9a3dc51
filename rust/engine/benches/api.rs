//! Requests answered by the engine, without a server: `cargo bench -p engine --bench api [-- METHOD]`. Run it on a quiet
//! machine.
//!
//! One thread, a chain in memory, each figure the median of the rounds in microseconds a request. What HTTP adds is
//! measured with the node (benchmarks/).

use std::time::{Duration, Instant};

use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, hex};
use engine::{
    BuildAttributes, Engine, EngineConfig,
    api::{Api, ApiLimits},
    testing::{Account, GAS_LIMIT, genesis, raw},
};
use serde_json::{Value, json, value::RawValue};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(400);
/// Transfers that fill a block of 60 M gas.
const TRANSFERS: u64 = 2_857;
const SENDERS: u64 = 100;
/// `balanceOf` as compilers write it: hash the argument with a slot number, read that slot, return it.
const TOKEN: Address = address!("0x00000000000000000000000000000000000e0001");
const TOKEN_CODE: [u8; 22] = hex!("6004355f525f60205260405f20545f5260205ff3fefe");
/// Adds in a loop until its gas is gone.
const BUSY: Address = address!("0x00000000000000000000000000000000000e0002");
const BUSY_CODE: [u8; 7] = hex!("5f5b6001015f55");

/// Ten steps a hundred times, and two more.
const STEPS: Address = address!("0x00000000000000000000000000000000000e0003");
const STEPS_CODE: [u8; 17] = hex!("60645b6001900380801515508060025700");

fn main() {
    let (engine, api) = open();
    let someone = Account::of(1).address;
    let call = json!([{"to": TOKEN, "data": format!("0x70a08231{:0>64}", hex::encode(someone))}, "latest"]);
    println!("api: one thread, median of {ROUNDS} rounds");
    measure(&api, "eth_blockNumber", "", json!([]));
    measure(&api, "eth_getBalance", "", json!([someone, "latest"]));
    measure(&api, "eth_call", "balanceOf", call.clone());
    measure(&api, "eth_estimateGas", "balanceOf", call);
    let busy = json!([{"to": BUSY, "gas": "0x2faf080"}, "latest"]);
    measure(&api, "eth_call", "50 M gas of a tight loop", busy);
    let steps = json!([{"to": STEPS, "gas": "0x186a0"}, "latest", {}]);
    measure(&api, "debug_traceCall", "1,002 steps", steps.clone());
    for (what, tracer) in [
        ("calls of it", "callTracer"),
        ("accounts of it", "prestateTracer"),
    ] {
        let mut params = steps.clone();
        params[2] = json!({ "tracer": tracer });
        measure(&api, "debug_traceCall", what, params);
    }
    let traced = trace_steps(&engine);
    measure(
        &api,
        "debug_traceTransaction",
        "1,002 steps",
        json!([traced, {}]),
    );
    let all = json!({"enableMemory": true, "enableReturnData": true});
    measure(
        &api,
        "debug_traceTransaction",
        "with memory",
        json!([traced, all]),
    );
    measure(
        &api,
        "eth_getBlockByNumber",
        "empty",
        json!(["latest", false]),
    );
    fill(&engine);
    mine(&engine);
    let block = format!("{TRANSFERS} transfers");
    measure(
        &api,
        "eth_getBlockByNumber",
        &block,
        json!(["latest", false]),
    );
    measure(
        &api,
        "eth_getBlockByNumber",
        &format!("{block}, whole"),
        json!(["latest", true]),
    );
    measure(&api, "eth_getBlockReceipts", &block, json!(["latest"]));
    measure(
        &api,
        "eth_feeHistory",
        "5 blocks, rewards",
        json!(["0x5", "latest", [10, 50, 90]]),
    );
    let hash = Account::of(SENDERS - 1).transfer(0, Address::ZERO, 1);
    measure(
        &api,
        "eth_getTransactionReceipt",
        &block,
        json!([hash.hash()]),
    );
    measure(
        &api,
        "eth_getLogs",
        "2 blocks",
        json!([{"fromBlock": "0x0"}]),
    );
}

fn open() -> (std::sync::Arc<Engine>, Api) {
    let mut genesis = genesis((0..=SENDERS).map(|seed| Account::of(seed).address));
    let mut place = |address: Address, code: &[u8]| {
        genesis["alloc"][address.to_string()] =
            json!({"balance": "0x0", "code": hex::encode_prefixed(code)});
    };
    place(TOKEN, &TOKEN_CODE);
    place(STEPS, &STEPS_CODE);
    place(BUSY, &[&BUSY_CODE[..5], &hex!("600156")].concat());
    let engine = Engine::open(genesis.to_string().as_bytes(), EngineConfig::default());
    let engine = engine.expect("a chain in memory");
    let api = Api::new(
        engine.clone(),
        ApiLimits::default(),
        "metanode/bench".to_owned(),
    );
    mine(&engine);
    (engine, api)
}

/// Put a call of a thousand steps into a block.
fn trace_steps(engine: &Engine) -> B256 {
    let sender = Account::of(SENDERS);
    let call = sender.sign_transaction(TxEip1559 {
        to: TxKind::Call(STEPS),
        ..sender.call(0, 100_000)
    });
    let mut answers = engine
        .pool()
        .add(&[raw(&call)], engine::pool::Origin::Local);
    answers.remove(0).expect("a valid call");
    mine(engine);
    *call.hash()
}

/// Put a block's worth of transfers into the pool.
fn fill(engine: &Engine) {
    let transfers: Vec<Bytes> = (0..TRANSFERS)
        .map(|index| {
            let sender = Account::of(index % SENDERS);
            raw(&sender.sign_transaction(TxEip1559 {
                to: TxKind::Call(Address::ZERO),
                value: U256::from(1),
                ..sender.call(index / SENDERS, 21_000)
            }))
        })
        .collect();
    for answer in engine.pool().add(&transfers, engine::pool::Origin::Local) {
        answer.expect("a valid transfer");
    }
}

fn mine(engine: &Engine) {
    let head = engine.head();
    let attributes = BuildAttributes {
        timestamp: head.timestamp + 2,
        fee_recipient: Address::repeat_byte(0xfe),
        prev_randao: B256::ZERO,
        withdrawals: Vec::new(),
        parent_beacon_block_root: B256::ZERO,
        gas_limit: GAS_LIMIT,
        extra_data: Bytes::new(),
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    let built = engine.build(head.hash, &attributes, deadline);
    let hash = built.expect("a block").block.hash;
    engine.finalize(hash).expect("decided");
}

/// Repeat a request for some rounds and print the median time of one.
fn measure(api: &Api, method: &str, what: &str, params: Value) {
    let wanted = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    if wanted.is_some_and(|wanted| wanted != method) {
        return;
    }
    let params = RawValue::from_string(params.to_string()).expect("JSON");
    let mut bytes = 0;
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            let mut requests = 0_u32;
            while started.elapsed() < ROUND {
                match api.call(method, Some(&params)) {
                    Ok(answer) => bytes = answer.get().len(),
                    // Running out of gas is an answer too.
                    Err(error) => bytes = error.message.len(),
                }
                requests += 1;
            }
            started.elapsed().as_secs_f64() * 1e6 / f64::from(requests)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    let median = rounds[ROUNDS / 2];
    println!(
        "{method:<26} {what:<28} {median:>10.2} us {:>10.0}/s {bytes:>9} bytes",
        1e6 / median
    );
}
