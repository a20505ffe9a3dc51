use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, TxKind};
use serde_json::{Value, json};

use super::node::Node;
use crate::testing::Account;

/// A chain whose block 1 is empty and whose block 2 pays tips of 1, 2 and 3 gwei for 21,000 gas each.
fn node() -> Node {
    let node = Node::new();
    node.mine();
    for seed in 0..3 {
        let sender = Account::of(seed);
        node.submit(&sender.sign_transaction(TxEip1559 {
            to: TxKind::Call(Address::repeat_byte(0xb0)),
            max_priority_fee_per_gas: u128::from(seed + 1) * 1_000_000_000,
            ..sender.call(0, 21_000)
        }));
    }
    node.mine();
    node
}

fn wei(value: &Value) -> u128 {
    let text = value.as_str().expect("a quantity");
    u128::from_str_radix(&text[2..], 16).expect("a number")
}

#[test]
fn the_history_has_one_more_base_fee_than_blocks_and_ratios_that_are_never_null() {
    let node = node();
    let history = node.ask("eth_feeHistory", json!(["0x3", "latest", [0, 50, 100]]));
    assert_eq!(history["oldestBlock"], "0x0");
    let base_fees: Vec<u128> = (0..4)
        .map(|index| wei(&history["baseFeePerGas"][index]))
        .collect();
    assert_eq!(base_fees[..3], [1_000_000_000, 875_000_000, 765_625_000]);
    assert_eq!(base_fees[3], wei(&node.ask("eth_baseFee", json!([]))));
    assert_eq!(history["baseFeePerGas"].as_array().map(Vec::len), Some(4));
    assert_eq!(
        history["baseFeePerBlobGas"],
        json!(["0x1", "0x1", "0x1", "0x1"])
    );
    assert_eq!(history["blobGasUsedRatio"], json!([0.0, 0.0, 0.0]));
    assert_eq!(
        history["gasUsedRatio"],
        json!([0.0, 0.0, 63_000.0 / 60_000_000.0])
    );
    let gwei = |count: u64| format!("{:#x}", count * 1_000_000_000);
    assert_eq!(
        history["reward"],
        json!([
            ["0x0", "0x0", "0x0"],
            ["0x0", "0x0", "0x0"],
            [gwei(1), gwei(2), gwei(3)]
        ])
    );
}

#[test]
fn the_count_may_be_written_in_three_ways_and_rewards_come_only_when_asked_for() {
    let node = node();
    let expected = node.ask("eth_feeHistory", json!(["0x2", "latest"]));
    assert_eq!(expected.get("reward"), None);
    for count in [json!(2), json!("2")] {
        assert_eq!(
            node.ask("eth_feeHistory", json!([count, "latest", []])),
            expected
        );
    }
    let whole = node.ask("eth_feeHistory", json!(["0xffff", "0x1"]));
    assert_eq!(whole["oldestBlock"], "0x0");
    assert_eq!(whole["gasUsedRatio"].as_array().map(Vec::len), Some(2));
    let none = node.ask("eth_feeHistory", json!(["0x0", "latest"]));
    assert_eq!(none, json!({"oldestBlock": "0x0", "gasUsedRatio": []}));
}

#[test]
fn bad_percentiles_and_blocks_beyond_the_head_are_refused() {
    let node = node();
    let cases = [
        (
            json!(["0x1", "0x9"]),
            -32000,
            "request beyond head block: requested 9, head 2",
        ),
        (
            json!(["0x1", "latest", [101]]),
            -32000,
            "invalid reward percentile: 101.000000",
        ),
        (
            json!(["0x1", "latest", [-1]]),
            -32000,
            "invalid reward percentile: -1.000000",
        ),
        (
            json!(["0x1", "latest", [5, 5]]),
            -32000,
            "invalid reward percentile: #0:5.000000 >= #1:5.000000",
        ),
        (
            json!(["0x1", "latest", vec![1; 101]]),
            -32000,
            "invalid reward percentile: over the query limit 100",
        ),
        (
            json!(["0x1", "latest", "50"]),
            -32602,
            "invalid argument 2: expected an array, found \"50\"",
        ),
        (
            json!(["0x1"]),
            -32602,
            "missing value for required argument 1",
        ),
        (
            json!(["many", "latest"]),
            -32602,
            "invalid argument 0: invalid hex or decimal integer \"many\"",
        ),
    ];
    for (params, code, message) in cases {
        let answer = node.refuse("eth_feeHistory", params.clone());
        assert_eq!((answer.0, answer.1.as_str()), (code, message), "{params}");
    }
}

#[test]
fn the_suggested_tip_follows_what_is_paid_and_is_never_zero() {
    let idle = Node::new();
    assert_eq!(
        wei(&idle.ask("eth_maxPriorityFeePerGas", json!([]))),
        1_000_000
    );
    assert_eq!(wei(&idle.ask("eth_gasPrice", json!([]))), 1_001_000_000);
    let node = node();
    let tip = wei(&node.ask("eth_maxPriorityFeePerGas", json!([])));
    assert_eq!(tip, 2_000_000_000);
    assert_eq!(wei(&node.ask("eth_gasPrice", json!([]))), tip + 765_625_000);
    assert_eq!(node.ask("eth_blobBaseFee", json!([])), "0x1");
}
