use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U256, hex};
use serde_json::{Value, json};

use super::node::{Node, STORE, call, patient};
use crate::{
    EngineConfig,
    api::ApiLimits,
    testing::{Account, raw},
};

const METHOD: &str = "testing_buildBlockV1";

fn attributes(node: &Node) -> (Value, Value) {
    let head = node.engine.head();
    let attributes = json!({
        "timestamp": format!("{:#x}", head.timestamp + 2),
        "prevRandao": B256::repeat_byte(1),
        "suggestedFeeRecipient": Address::repeat_byte(2),
        "withdrawals": [{"index": "0x0", "validatorIndex": "0x0", "address": Address::repeat_byte(3), "amount": "0x9"}],
        "parentBeaconBlockRoot": B256::repeat_byte(4),
    });
    (json!(head.hash), attributes)
}

#[test]
fn a_block_of_chosen_transactions_is_built_and_not_kept() {
    let node = Node::new();
    let (parent, attributes) = attributes(&node);
    let first = call(&Account::of(0), 0, STORE, B256::with_last_byte(5));
    let second = call(&Account::of(1), 0, STORE, B256::with_last_byte(6));
    let raws = json!([raw(&second), raw(&first)]);
    let built = node.ask(METHOD, json!([parent, attributes, raws, "0x1234"]));
    let payload = &built["executionPayload"];
    assert_eq!(payload["transactions"], raws);
    assert_eq!(payload["extraData"], "0x1234");
    assert_eq!(payload["blockNumber"], "0x1");
    assert_eq!(payload["parentHash"], parent);
    assert_eq!(payload["withdrawals"].as_array().map(Vec::len), Some(1));
    let value = built["blockValue"].as_str().expect("a quantity");
    assert!(value.parse::<U256>().expect("a number") > U256::ZERO);
    assert_eq!(built["blobsBundle"]["blobs"], json!([]));
    assert_eq!(node.ask("eth_blockNumber", json!([])), "0x0");
    assert_eq!(node.engine.undecided(), 0);
    // The header that hashes to the payload's hash is the one that was built.
    let again = node.ask(METHOD, json!([parent, attributes, raws, "0x1234"]));
    assert_eq!(again["executionPayload"]["blockHash"], payload["blockHash"]);
}

#[test]
fn without_transactions_the_pool_fills_the_block() {
    let node = Node::new();
    let (parent, attributes) = attributes(&node);
    let transaction = call(&Account::of(0), 0, STORE, B256::with_last_byte(5));
    node.submit(&transaction);
    let transactions = |params: Value| {
        let built = node.ask(METHOD, params);
        built["executionPayload"]["transactions"].clone()
    };
    assert_eq!(
        transactions(json!([parent, attributes])),
        json!([raw(&transaction)])
    );
    assert_eq!(
        transactions(json!([parent, attributes, null])),
        json!([raw(&transaction)])
    );
    assert_eq!(transactions(json!([parent, attributes, []])), json!([]));
}

#[test]
fn what_cannot_be_built_is_refused() {
    let node = Node::new();
    let (parent, attributes) = attributes(&node);
    let gap = call(&Account::of(0), 9, STORE, Bytes::new());
    let (code, message, _) = node.refuse(METHOD, json!([parent, attributes, [raw(&gap)]]));
    assert_eq!(code, -32000);
    assert!(
        message.contains("transaction 0 of the 1 given") && message.contains("nonce"),
        "{message}"
    );
    let with = |field: &str, value: Value| {
        let mut changed = attributes.clone();
        changed[field] = value;
        changed
    };
    for (params, code) in [
        (json!([B256::repeat_byte(9), attributes]), -32000),
        (json!([parent, with("timestamp", json!("0x1"))]), -32602),
        (json!([parent, with("withdrawals", json!(null))]), -32602),
        (json!([parent, attributes, ["0x1234"]]), -32602),
        (
            json!([parent, attributes, [], hex::encode_prefixed([0; 33])]),
            -32602,
        ),
        (json!([parent]), -32602),
    ] {
        assert_eq!(node.refuse(METHOD, params.clone()).0, code, "{params}");
    }
}

#[test]
fn a_block_for_which_no_time_is_left_is_late_and_not_wrong() {
    let limits = ApiLimits {
        call_timeout: Duration::ZERO,
        ..patient()
    };
    let node = Node::with(limits, EngineConfig::default());
    let (parent, attributes) = attributes(&node);
    let fine = call(&Account::of(0), 0, STORE, B256::with_last_byte(5));
    let (code, message, _) = node.refuse(METHOD, json!([parent, attributes, [raw(&fine)]]));
    assert_eq!((code, &*message), (-32002, "request timed out"));
    let empty = node.ask(METHOD, json!([parent, attributes, []]));
    assert_eq!(empty["executionPayload"]["transactions"], json!([]));
}

#[test]
fn an_undecided_block_above_the_head_is_a_parent_too() {
    let node = Node::new();
    let (head, attributes) = attributes(&node);
    let undecided = node.propose();
    let mut later = attributes;
    later["timestamp"] = json!(format!("{:#x}", undecided.block.header.timestamp + 2));
    let built = node.ask(METHOD, json!([undecided.block.hash, later]));
    assert_eq!(built["executionPayload"]["blockNumber"], "0x2");
    assert_ne!(json!(undecided.block.hash), head);
}

#[test]
fn another_parent_than_the_head_is_named_with_the_head_and_what_to_do() {
    let node = Node::new();
    let (genesis, _) = attributes(&node);
    node.mine();
    let (head, attributes) = attributes(&node);
    let unknown = json!(B256::repeat_byte(9));
    for (parent, found) in [(genesis, "block 0"), (unknown, "no block of this chain")] {
        let (code, message, _) = node.refuse(METHOD, json!([parent, attributes]));
        let text = |value: &Value| value.as_str().expect("a hash").to_owned();
        let (parent, head) = (text(&parent), text(&head));
        let expected = format!(
            "invalid argument 0: parent: found {parent}, {found}; expected {head}, the head, block 1: \
             ask eth_getBlockByNumber for \"latest\" and give its hash"
        );
        assert_eq!((code, message), (-32000, expected));
    }
    assert!(node.try_ask(METHOD, json!([head, attributes])).is_ok());
}
