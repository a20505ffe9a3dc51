use alloy_consensus::{TxEip1559, TxLegacy};
use alloy_primitives::{Address, TxKind, U256};
use serde_json::{Value, json, value::RawValue};

use super::node::{Node, STORE, call, word};
use crate::testing::{Account, raw};

const BOB: Address = Address::repeat_byte(0xb0);

#[test]
fn a_submitted_transaction_is_pending_with_its_place_open() {
    let node = Node::new();
    let alice = Account::of(0);
    let hash = node.submit(&alice.transfer(0, BOB, 5));
    let pending = node.ask("eth_getTransactionByHash", json!([hash]));
    for field in ["blockHash", "blockNumber", "transactionIndex"] {
        assert_eq!(pending[field], Value::Null, "{field}");
    }
    assert_eq!(pending["from"], json!(alice.address));
    assert_eq!(pending["gasPrice"], pending["maxFeePerGas"]);
    assert_eq!(
        node.ask("eth_getTransactionReceipt", json!([hash])),
        Value::Null
    );
    assert_eq!(
        node.ask("eth_getRawTransactionByHash", json!([hash])),
        json!(raw(&alice.transfer(0, BOB, 5)))
    );
}

#[test]
fn the_pool_is_shown_by_account_and_nonce() {
    let node = Node::new();
    let alice = Account::of(0);
    let first = node.submit(&alice.transfer(0, BOB, 5));
    let gapped = node.submit(&alice.transfer(2, BOB, 7));
    let shown = alice.address.to_checksum(None);
    assert_eq!(
        node.ask("txpool_status", json!([])),
        json!({"pending": "0x1", "queued": "0x1"})
    );
    let content = node.ask("txpool_content", json!([]));
    assert_eq!(content["pending"][&shown]["0"]["hash"], json!(first));
    assert_eq!(content["queued"][&shown]["2"]["hash"], json!(gapped));
    let of_alice = node.ask("txpool_contentFrom", json!([alice.address]));
    assert_eq!(of_alice["pending"], content["pending"][&shown]);
    assert_eq!(of_alice["queued"], content["queued"][&shown]);
    assert_eq!(
        node.ask("txpool_contentFrom", json!([BOB])),
        json!({"pending": {}, "queued": {}})
    );
    let line = format!(
        "{}: 5 wei + 21000 gas × 100000000000 wei",
        BOB.to_checksum(None)
    );
    assert_eq!(
        node.ask("txpool_inspect", json!([]))["pending"][&shown]["0"],
        json!(line)
    );
}

/// Library code recognises these by their words.
#[test]
fn a_refused_transaction_leaves_the_pool_as_it_was() {
    let node = Node::new();
    let (alice, poor) = (Account::of(0), Account::of(77));
    node.mine_one(&alice.transfer(0, BOB, 1));
    node.submit(&alice.transfer(1, BOB, 1));
    let encoded = raw(&alice.transfer(2, BOB, 1));
    let mut trailing = encoded.to_vec();
    trailing.push(0);
    let wrong_chain = alice.sign_transaction(TxEip1559 {
        chain_id: 1,
        ..alice.call(2, 21_000)
    });
    let dear = alice.sign_transaction(TxEip1559 {
        max_fee_per_gas: 100_000_000_000_000,
        gas_limit: 100_000,
        ..alice.call(2, 21_000)
    });
    let unprotected = alice.sign_transaction(TxLegacy {
        nonce: 2,
        gas_price: 2_000_000_000,
        gas_limit: 21_000,
        to: TxKind::Call(BOB),
        value: U256::ZERO,
        ..TxLegacy::default()
    });
    let cases = [
        (json!(raw(&alice.transfer(0, BOB, 1))), "nonce too low"),
        (json!(raw(&alice.transfer(1, BOB, 1))), "already known"),
        (
            json!(raw(&alice.transfer(1, BOB, 2))),
            "replacement transaction underpriced",
        ),
        (
            json!(raw(&poor.transfer(0, BOB, 1))),
            "insufficient funds for gas * price + value",
        ),
        (
            json!(raw(&wrong_chain)),
            "invalid sender: invalid chain id for signer",
        ),
        (
            json!(raw(&dear)),
            "tx fee (10.00 ether) exceeds the configured cap (1.00 ether)",
        ),
        (
            json!(raw(&unprotected)),
            "only replay-protected (EIP-155) transactions allowed over RPC",
        ),
        (json!(alloy_primitives::Bytes::from(trailing)), ""),
        (json!("0x7f01"), "transaction type not supported"),
        (json!("0x02"), ""),
        (json!("0x"), ""),
        (json!(format!("0x02{}", "00".repeat(129 << 10))), ""),
    ];
    // One that the pool would take, behind a second prefix.
    let twice = format!("0x{encoded}");
    let before = node.ask("txpool_content", json!([]));
    for (transaction, expected) in cases {
        let (code, message, _) = node.refuse("eth_sendRawTransaction", json!([transaction]));
        assert_eq!(code, -32000, "{expected}");
        assert!(
            message.starts_with(expected) && !message.is_empty(),
            "{message} for {expected}"
        );
    }
    for (params, expected) in [
        (
            json!(["0x123"]),
            "invalid argument 0: hex string of odd length",
        ),
        (
            json!(["1234"]),
            "invalid argument 0: hex string without 0x prefix",
        ),
        (json!([twice]), "invalid argument 0: invalid hex string"),
        (json!([]), "missing value for required argument 0"),
    ] {
        let (code, message, _) = node.refuse("eth_sendRawTransaction", params);
        assert_eq!((code, message.as_str()), (-32602, expected));
    }
    assert_eq!(node.ask("txpool_content", json!([])), before);
}

#[test]
fn many_requests_at_once_are_answered_each_for_itself() {
    let node = Node::new();
    let alice = Account::of(0);
    let params = |value: Value| Some(RawValue::from_string(value.to_string()).expect("JSON"));
    let (first, second) = (alice.transfer(0, BOB, 1), call(&alice, 1, STORE, word(1)));
    let answers = node.api.call_many(
        "eth_sendRawTransaction",
        &[
            params(json!([raw(&first)])),
            params(json!(["0x123"])),
            None,
            params(json!([raw(&second)])),
            params(json!([raw(&first)])),
        ],
    );
    let shown: Vec<Result<String, String>> = answers
        .into_iter()
        .map(|answer| {
            answer
                .map(|json| json.get().to_owned())
                .map_err(|error| error.message)
        })
        .collect();
    assert_eq!(
        shown,
        [
            Ok(format!("\"{}\"", first.hash())),
            Err("invalid argument 0: hex string of odd length".to_owned()),
            Err("missing value for required argument 0".to_owned()),
            Ok(format!("\"{}\"", second.hash())),
            Err("already known".to_owned()),
        ]
    );
    let answers = node.api.call_many("eth_blockNumber", &[None, None]);
    assert_eq!(answers.len(), 2);
}
