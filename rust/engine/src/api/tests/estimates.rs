use alloy_primitives::{Address, hex};
use serde_json::{Value, json};

use super::node::{CLEAR, FORWARD, INVALID, LOOP, Node, STORE, word};
use crate::testing::Account;

fn gas(answer: &Value) -> u64 {
    let text = answer.as_str().expect("a quantity");
    u64::from_str_radix(&text[2..], 16).expect("a number")
}

fn estimate(node: &Node, request: &Value) -> u64 {
    gas(&node.ask("eth_estimateGas", json!([request])))
}

/// Whether the request succeeds with exactly this gas.
fn succeeds(node: &Node, request: &Value, gas: u64) -> bool {
    let mut request = request.clone();
    request["gas"] = json!(format!("{gas:#x}"));
    node.try_ask("eth_call", json!([request])).is_ok()
}

#[test]
fn a_transfer_costs_21000_and_not_a_unit_more() {
    let node = Node::new();
    let alice = Account::of(0).address;
    let bob = Address::repeat_byte(0xb0);
    for request in [
        json!({"from": alice, "to": bob}),
        json!({"from": alice, "to": bob, "value": "0x1"}),
        json!({"from": alice, "to": bob, "value": "0x1", "gasPrice": "0x77359400"}),
        json!({"from": alice, "to": bob, "gas": "0x5208"}),
    ] {
        assert_eq!(estimate(&node, &request), 21_000, "{request}");
    }
}

/// Each estimate is enough, and at most 1.5 % over the least that is.
#[test]
fn an_estimate_is_enough_and_tight() {
    let node = Node::new();
    let alice = Account::of(0).address;
    let deploy = hex!("5f5f5560015f5260205ff3");
    let requests = [
        json!({"from": alice, "to": STORE, "input": word(1)}),
        // A refund lowers what is used, not what is needed.
        json!({"from": alice, "to": CLEAR}),
        // An inner call gets 63/64 of the rest.
        json!({"from": alice, "to": FORWARD}),
        // Calldata so large that the floor of EIP-7623 decides.
        json!({"from": alice, "to": Address::repeat_byte(1), "input": format!("0x{}", "01".repeat(4000))}),
        json!({"from": alice, "input": hex::encode_prefixed(deploy)}),
        json!({"from": alice, "to": STORE, "input": word(1), "accessList": [{"address": STORE, "storageKeys": []}]}),
    ];
    for request in requests {
        let estimated = estimate(&node, &request);
        assert!(
            succeeds(&node, &request, estimated),
            "{request} with {estimated}"
        );
        let (mut low, mut high) = (20_999, estimated);
        while low + 1 < high {
            let middle = u64::midpoint(low, high);
            if succeeds(&node, &request, middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        assert!(
            estimated * 985 <= high * 1000 + 1000,
            "{request}: estimated {estimated}, needed {high}"
        );
    }
}

#[test]
fn what_cannot_succeed_says_why() {
    let node = Node::new();
    let alice = Account::of(0).address;
    let poor = Address::repeat_byte(0x99);
    let cases = [
        (
            json!({"from": alice, "to": INVALID}),
            "invalid opcode: INVALID",
        ),
        // The cap of EIP-7825, which is under the block's limit.
        (
            json!({"from": alice, "to": LOOP}),
            "gas required exceeds allowance (16777216)",
        ),
        (
            json!({"from": alice, "to": STORE, "gas": "0x5300"}),
            "gas required exceeds allowance (21248)",
        ),
        (
            json!({"from": poor, "to": alice, "value": "0x1", "gasPrice": "0x77359400"}),
            "insufficient funds for transfer",
        ),
        (
            json!({"from": poor, "to": alice, "value": "0x1"}),
            "failed with 16777216 gas: insufficient funds for gas * price + value: address 0x9999999999999999999999999999999999999999 have 0 want 1",
        ),
    ];
    for (request, expected) in cases {
        let (code, message, _) = node.refuse("eth_estimateGas", json!([request]));
        assert_eq!((code, message.as_str()), (-32000, expected), "{request}");
    }
}

#[test]
fn an_estimate_takes_a_block_and_overrides() {
    let node = Node::new();
    let poor = Address::repeat_byte(0x99);
    let request = json!({"from": poor, "to": STORE, "input": word(1), "value": "0x1"});
    let funds = json!({poor.to_string(): {"balance": "0x1"}});
    let estimated = gas(&node.ask("eth_estimateGas", json!([request, "latest", funds])));
    assert!(estimated > 21_000 && estimated < 60_000, "{estimated}");
    let (_, message, _) = node.refuse("eth_estimateGas", json!([request, "0x9", funds]));
    assert_eq!(message, "header not found");
}

#[test]
fn an_authorization_raises_the_estimate() {
    let node = Node::new();
    let alice = Account::of(0);
    let signed = Account::of(1).delegate(0, STORE);
    let request = json!({"from": alice.address, "to": Address::repeat_byte(1), "authorizationList": [signed]});
    let estimated = estimate(&node, &request);
    assert!((36_000..=47_000).contains(&estimated), "{estimated}");
}
