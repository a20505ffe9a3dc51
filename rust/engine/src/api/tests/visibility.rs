//! What is visible is visible whole, also while blocks are decided; and no request brings a reader down.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use alloy_primitives::{Address, B256};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use super::node::{FORWARD, LOOP, Node, STORE, call, patient, word};
use crate::{
    EngineConfig,
    api::{Api, ApiLimits},
    testing::Account,
};

const BLOCKS: u64 = 25;

#[test]
fn a_block_that_can_be_seen_has_its_receipts_logs_and_state() {
    let node = Node::new();
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = 0;
                    while !is_done.load(Ordering::Relaxed) || seen < BLOCKS {
                        seen = check_latest(&node, seen);
                    }
                })
            })
            .collect();
        let alice = Account::of(0);
        for nonce in 0..BLOCKS {
            node.mine_one(&call(&alice, nonce, STORE, word(nonce + 1)));
        }
        is_done.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().expect("every answer was whole");
        }
    });
}

/// Look at the latest block from all sides; gives its number, which never falls.
fn check_latest(node: &Node, seen: u64) -> u64 {
    let block = node.ask("eth_getBlockByNumber", json!(["latest", false]));
    let number = &block["number"];
    let height = u64::from_str_radix(&number.as_str().expect("a quantity")[2..], 16);
    let height = height.expect("a number");
    assert!(height >= seen, "{height} after {seen}");
    if height == 0 {
        return 0;
    }
    let hash = &block["hash"];
    let receipts = node.ask("eth_getBlockReceipts", json!([hash]));
    assert_eq!(receipts[0]["blockNumber"], *number);
    let transaction = &block["transactions"][0];
    let receipt = node.ask("eth_getTransactionReceipt", json!([transaction]));
    assert_eq!(receipt, receipts[0]);
    let logs = node.ask("eth_getLogs", json!([{"blockHash": hash}]));
    assert_eq!(logs, receipt["logs"]);
    let slot = node.ask("eth_getStorageAt", json!([STORE, "0x0", hash]));
    assert_eq!(
        slot,
        json!(B256::from(word_of(height))),
        "the state after the block"
    );
    let nonce = node.ask("eth_getTransactionCount", json!([receipt["from"], number]));
    assert_eq!(nonce, *number);
    assert_eq!(node.ask("eth_getBlockByHash", json!([hash, false])), block);
    height
}

fn word_of(number: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&number.to_be_bytes());
    word
}

/// Values that are right for some argument of some method, and values that are right for none.
fn argument() -> impl Strategy<Value = Value> {
    let hash = B256::repeat_byte(0x11);
    let text = select(vec![
        "latest",
        "pending",
        "earliest",
        "0x0",
        "0x1",
        "0x",
        "0x01",
        "",
        "0xzz",
        "finalized",
        "0xffffffffffffffff",
        "0x7fffffffffffffff",
        "5",
        "\u{1f980}",
        "0X1F",
    ]);
    let object = (
        select(vec![
            "to",
            "from",
            "gas",
            "data",
            "input",
            "value",
            "fromBlock",
            "toBlock",
            "address",
            "topics",
            "blockHash",
            "blockNumber",
            "gasPrice",
            "maxFeePerGas",
            "accessList",
            "authorizationList",
            "blobVersionedHashes",
            "number",
            "time",
            "balance",
            "code",
            "state",
            "stateDiff",
            "nonce",
            "movePrecompileToAddress",
        ]),
        prop_oneof![
            Just(json!(STORE)),
            Just(json!("0x5")),
            Just(json!([])),
            Just(json!({})),
            Just(json!(hash)),
            Just(json!([STORE, null])),
            Just(json!(FORWARD)),
            Just(json!(LOOP)),
            Just(json!(-1)),
            Just(Value::Null),
        ],
    );
    let object = prop::collection::vec(object, 0..4).prop_map(|fields| {
        Value::Object(
            fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    });
    prop_oneof![
        text.prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!(STORE)),
        Just(json!(Address::ZERO)),
        Just(json!(hash)),
        Just(json!([1, 50.5, 99])),
        Just(json!(["0x0", hash])),
        Just(json!({STORE.to_string(): {"balance": "0x1", "stateDiff": {hash.to_string(): hash}}})),
        object,
        ".*".prop_map(Value::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is asked: an answer or an error with a known code and a text, and the next request is answered.
    #[test]
    fn no_parameters_bring_a_method_down(params in prop::collection::vec(argument(), 0..5)) {
        thread_local! {
            static NODE: Node = node_of_short_patience();
        }
        NODE.with(|node| {
            for method in Api::declarations().map(|one| &*one.name) {
                if let Err(error) = node.try_ask(method, json!(params)) {
                    let codes = [3, -32000, -32002, -32005, -32602];
                    prop_assert!(codes.contains(&error.code), "{method} {params:?}: {error}");
                    prop_assert!(!error.message.is_empty() && error.message.len() < 400);
                }
            }
            prop_assert_eq!(node.ask("eth_blockNumber", json!([])), json!("0x1"));
            Ok(())
        })?;
    }
}

fn node_of_short_patience() -> Node {
    let limits = ApiLimits {
        call_timeout: std::time::Duration::from_millis(20),
        ..patient()
    };
    let node = Node::with(limits, EngineConfig::default());
    node.mine_one(&call(&Account::of(0), 0, STORE, word(1)));
    node
}
