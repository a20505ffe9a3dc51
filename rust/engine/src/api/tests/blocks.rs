use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{Address, B256, Bytes};
use serde_json::{Value, json};

use super::node::{Node, STORE, call, word};
use crate::testing::{Account, raw};

/// A chain with two transactions in block 1, and their hashes.
fn node() -> (Node, [B256; 2]) {
    let node = Node::new();
    let alice = Account::of(0);
    let transfer = node.submit(&alice.transfer(0, Address::repeat_byte(0xb0), 5));
    let store = node.submit(&call(&alice, 1, STORE, word(9)));
    node.mine();
    (node, [transfer, store])
}

#[test]
fn a_block_is_the_same_by_number_tag_and_hash_and_null_when_unknown() {
    let (node, hashes) = node();
    let block = node.ask("eth_getBlockByNumber", json!(["0x1", false]));
    assert_eq!(block["transactions"], json!(hashes));
    assert_eq!(block["uncles"], json!([]));
    assert_eq!(block["withdrawals"], json!([]));
    assert_eq!(block["hash"], json!(node.engine.head().hash));
    for tag in ["latest", "safe", "finalized"] {
        assert_eq!(node.ask("eth_getBlockByNumber", json!([tag, false])), block);
    }
    assert_eq!(
        node.ask("eth_getBlockByHash", json!([block["hash"], false])),
        block
    );
    assert_eq!(
        node.ask("eth_getBlockByNumber", json!(["earliest", false]))["number"],
        "0x0"
    );
    for (method, unknown) in [
        ("eth_getBlockByNumber", json!("0x2")),
        ("eth_getBlockByNumber", json!("0x7fffffffffffffff")),
        ("eth_getBlockByHash", json!(B256::repeat_byte(1))),
    ] {
        assert_eq!(node.ask(method, json!([unknown, true])), Value::Null);
    }
}

#[test]
fn a_new_head_is_not_hidden_by_the_cache() {
    let (node, _) = node();
    for number in 2..6 {
        node.mine();
        for full in [false, true] {
            let block = node.ask("eth_getBlockByNumber", json!(["latest", full]));
            assert_eq!(block["number"], format!("{number:#x}"));
        }
    }
}

#[test]
fn a_full_block_holds_the_transactions_as_they_are_found_by_hash_and_index() {
    let (node, hashes) = node();
    let block = node.ask("eth_getBlockByNumber", json!(["0x1", true]));
    for (index, hash) in hashes.iter().enumerate() {
        let index_hex = format!("{index:#x}");
        let transaction = node.ask("eth_getTransactionByHash", json!([hash]));
        assert_eq!(block["transactions"][index], transaction);
        let by_number = json!(["0x1", index_hex]);
        let by_hash = json!([block["hash"], index_hex]);
        assert_eq!(
            node.ask("eth_getTransactionByBlockNumberAndIndex", by_number.clone()),
            transaction
        );
        assert_eq!(
            node.ask("eth_getTransactionByBlockHashAndIndex", by_hash.clone()),
            transaction
        );
        let raw = node.ask("eth_getRawTransactionByHash", json!([hash]));
        assert_eq!(node.ask("debug_getRawTransaction", json!([hash])), raw);
        assert_eq!(
            node.ask("eth_getRawTransactionByBlockNumberAndIndex", by_number),
            raw
        );
        assert_eq!(
            node.ask("eth_getRawTransactionByBlockHashAndIndex", by_hash),
            raw
        );
    }
    assert_eq!(
        node.ask(
            "eth_getTransactionByBlockNumberAndIndex",
            json!(["0x1", "0x2"])
        ),
        Value::Null
    );
    assert_eq!(
        node.ask("eth_getTransactionByHash", json!([B256::ZERO])),
        Value::Null
    );
    assert_eq!(
        node.ask("eth_getRawTransactionByHash", json!([B256::ZERO])),
        "0x"
    );
}

#[test]
fn a_mined_transaction_has_its_place_and_its_effective_price() {
    let (node, [transfer, _]) = node();
    let alice = Account::of(0);
    let block = node.ask("eth_getBlockByNumber", json!(["0x1", false]));
    let transaction = node.ask("eth_getTransactionByHash", json!([transfer]));
    let signed = alice.transfer(0, Address::repeat_byte(0xb0), 5);
    let signature = signed.signature();
    let base_fee: u128 = 875_000_000;
    assert_eq!(block["baseFeePerGas"], format!("{base_fee:#x}"));
    assert_eq!(
        transaction,
        json!({
            "type": "0x2", "chainId": "0x539", "nonce": "0x0", "gas": "0x5208",
            "maxFeePerGas": "0x174876e800", "maxPriorityFeePerGas": "0x3b9aca00",
            "gasPrice": format!("{:#x}", base_fee + 1_000_000_000),
            "to": Address::repeat_byte(0xb0), "value": "0x5", "input": "0x", "accessList": [],
            "r": format!("{:#x}", signature.r()), "s": format!("{:#x}", signature.s()),
            "v": format!("{:#x}", u8::from(signature.v())), "yParity": format!("{:#x}", u8::from(signature.v())),
            "hash": transfer, "from": alice.address, "blockHash": block["hash"], "blockNumber": "0x1",
            "blockTimestamp": block["timestamp"], "transactionIndex": "0x0",
        })
    );
}

#[test]
fn a_receipt_is_complete_and_logs_are_numbered_through_the_block() {
    let node = Node::new();
    let alice = Account::of(0);
    for nonce in 0..3 {
        node.submit(&call(&alice, nonce, STORE, word(nonce)));
    }
    let created = node.submit(&{
        let mut create = alice.call(3, 100_000);
        create.to = alloy_primitives::TxKind::Create;
        create.input = Bytes::from_static(&[0x5f, 0x5f, 0xf3]);
        alice.sign_transaction(create)
    });
    node.mine();
    let block = node.ask("eth_getBlockByNumber", json!(["0x1", false]));
    let receipts = node.ask("eth_getBlockReceipts", json!(["0x1"]));
    assert_eq!(receipts.as_array().map(Vec::len), Some(4));
    let mut gas = 0_u64;
    for (index, receipt) in receipts.as_array().into_iter().flatten().enumerate() {
        let hash = &receipt["transactionHash"];
        assert_eq!(
            node.ask("eth_getTransactionReceipt", json!([hash])),
            *receipt
        );
        assert_eq!(receipt["transactionIndex"], format!("{index:#x}"));
        let number = |field: &str| {
            let text = receipt[field].as_str().expect("a quantity");
            u64::from_str_radix(&text[2..], 16).expect("a number")
        };
        gas += number("gasUsed");
        assert_eq!(number("cumulativeGasUsed"), gas);
        assert_eq!(number("effectiveGasPrice"), 1_875_000_000);
        assert_eq!(receipt["status"], "0x1");
        if index < 3 {
            assert_eq!(receipt["logs"][0]["logIndex"], format!("{index:#x}"));
            assert_eq!(receipt["logs"][0]["blockTimestamp"], block["timestamp"]);
            assert_eq!(receipt["logs"][0]["removed"], false);
            assert_eq!(receipt["contractAddress"], Value::Null);
        }
    }
    let receipt = node.ask("eth_getTransactionReceipt", json!([created]));
    assert_eq!(receipt["to"], Value::Null);
    assert_eq!(receipt["contractAddress"], json!(alice.address.create(3)));
    let fields: Vec<&String> = receipt
        .as_object()
        .into_iter()
        .flat_map(|object| object.keys())
        .collect();
    let expected = [
        "blockHash",
        "blockNumber",
        "contractAddress",
        "cumulativeGasUsed",
        "effectiveGasPrice",
        "from",
        "gasUsed",
        "logs",
        "logsBloom",
        "status",
        "to",
        "transactionHash",
        "transactionIndex",
        "type",
    ];
    assert_eq!(fields, expected, "the schema is closed");
}

#[test]
fn receipts_are_found_by_number_tag_hash_and_object() {
    let (node, _) = node();
    let hash = node.engine.head().hash;
    let receipts = node.ask("eth_getBlockReceipts", json!(["0x1"]));
    for block in [json!("latest"), json!(hash), json!({"blockHash": hash})] {
        assert_eq!(node.ask("eth_getBlockReceipts", json!([block])), receipts);
    }
    assert_eq!(node.ask("eth_getBlockReceipts", json!(["0x0"])), json!([]));
    for unknown in [json!("0x9"), json!(B256::ZERO)] {
        assert_eq!(
            node.ask("eth_getBlockReceipts", json!([unknown])),
            Value::Null
        );
    }
    assert_eq!(
        node.ask("eth_getTransactionReceipt", json!([B256::ZERO])),
        Value::Null
    );
}

#[test]
fn counts_and_uncles_are_null_for_unknown_blocks_only() {
    let (node, _) = node();
    let (hash, unknown) = (node.engine.head().hash, B256::ZERO);
    let cases = [
        (
            "eth_getBlockTransactionCountByNumber",
            json!(["0x1"]),
            json!("0x2"),
        ),
        (
            "eth_getBlockTransactionCountByNumber",
            json!(["0x9"]),
            Value::Null,
        ),
        (
            "eth_getBlockTransactionCountByHash",
            json!([hash]),
            json!("0x2"),
        ),
        (
            "eth_getBlockTransactionCountByHash",
            json!([unknown]),
            Value::Null,
        ),
        (
            "eth_getUncleCountByBlockNumber",
            json!(["latest"]),
            json!("0x0"),
        ),
        (
            "eth_getUncleCountByBlockNumber",
            json!(["0x9"]),
            Value::Null,
        ),
        ("eth_getUncleCountByBlockHash", json!([hash]), json!("0x0")),
        (
            "eth_getUncleCountByBlockHash",
            json!([unknown]),
            Value::Null,
        ),
        (
            "eth_getUncleByBlockNumberAndIndex",
            json!(["0x1", "0x0"]),
            Value::Null,
        ),
        (
            "eth_getUncleByBlockHashAndIndex",
            json!([hash, "0x0"]),
            Value::Null,
        ),
    ];
    for (method, params, expected) in cases {
        assert_eq!(
            node.ask(method, params.clone()),
            expected,
            "{method} {params}"
        );
    }
}

#[test]
fn a_header_is_a_block_without_body_and_size_and_as_subscribers_get_it() {
    let (node, _) = node();
    let mut block = node.ask("eth_getBlockByNumber", json!(["0x1", false]));
    for of_the_body in ["size", "transactions", "uncles", "withdrawals"] {
        block
            .as_object_mut()
            .expect("an object")
            .remove(of_the_body);
    }
    assert_eq!(node.ask("eth_getHeaderByNumber", json!(["latest"])), block);
    assert_eq!(
        node.ask("eth_getHeaderByHash", json!([block["hash"]])),
        block
    );
    assert_eq!(
        node.ask("eth_getHeaderByNumber", json!(["0x9"])),
        Value::Null
    );
    let stored = node
        .engine
        .store()
        .block(1)
        .expect("read")
        .expect("block 1");
    let header = node.api.header_json(&stored).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Value>(header.get()).expect("JSON"),
        block
    );
    let logs = serde_json::to_value(node.api.logs(&stored)).expect("JSON");
    assert_eq!(logs, node.ask("eth_getLogs", json!([{"fromBlock": "0x1"}])));
}

#[test]
fn the_pending_block_follows_the_head_and_holds_what_the_pool_would_give() {
    let (node, _) = node();
    let alice = Account::of(0);
    let hash = node.submit(&alice.transfer(2, Address::ZERO, 1));
    let head = node.engine.head();
    let block = node.ask("eth_getBlockByNumber", json!(["pending", false]));
    assert_eq!(block["number"], "0x2");
    assert_eq!(block["parentHash"], json!(head.hash));
    assert_eq!(block["transactions"], json!([hash]));
    for field in ["hash", "nonce", "miner"] {
        assert_eq!(block[field], Value::Null);
    }
    let full = node.ask("eth_getBlockByNumber", json!(["pending", true]));
    assert_eq!(full["transactions"][0]["hash"], json!(hash));
    assert_eq!(full["transactions"][0]["blockHash"], Value::Null);
    // What a decided block has from consensus is not known, what it requests is nothing yet.
    assert_eq!(block.get("parentBeaconBlockRoot"), None);
    assert_eq!(block["requestsHash"], json!(EMPTY_REQUESTS_HASH));
}

#[test]
fn whoever_asks_for_a_part_of_the_pending_block_is_told_of_that_block_and_not_of_the_head() {
    // The head has two transactions.
    let (node, _) = node();
    let sent = Account::of(0).transfer(2, Address::ZERO, 1);
    let hash = node.submit(&sent);
    let ask = |method: &str, index: Option<&str>| {
        let params = match index {
            Some(index) => json!(["pending", index]),
            None => json!(["pending"]),
        };
        node.ask(method, params)
    };
    assert_eq!(ask("eth_getBlockTransactionCountByNumber", None), "0x1");
    let full = node.ask("eth_getBlockByNumber", json!(["pending", true]));
    let by_index = "eth_getTransactionByBlockNumberAndIndex";
    assert_eq!(ask(by_index, Some("0x0")), full["transactions"][0]);
    assert_eq!(full["transactions"][0]["hash"], json!(hash));
    assert_eq!(ask(by_index, Some("0x1")), Value::Null);
    let raw_by_index = "eth_getRawTransactionByBlockNumberAndIndex";
    assert_eq!(ask(raw_by_index, Some("0x0")), json!(raw(&sent)));
    assert_eq!(ask(raw_by_index, Some("0x1")), "0x");
    assert_eq!(ask("eth_getUncleCountByBlockNumber", None), "0x0");
    assert_eq!(
        ask("eth_getUncleByBlockNumberAndIndex", Some("0x0")),
        Value::Null
    );
    assert_eq!(ask("debug_getRawReceipts", None), json!([]));
    for method in ["debug_getRawBlock", "debug_getRawHeader"] {
        let (code, message, _) = node.refuse(method, json!(["pending"]));
        assert_eq!(
            (code, message.as_str()),
            (-32000, "block pending not found")
        );
    }
}

#[test]
fn raw_encodings_hash_to_what_the_block_says() {
    let (node, hashes) = node();
    let bytes = |value: &Value| -> Bytes { serde_json::from_value(value.clone()).expect("bytes") };
    let block = node.ask("eth_getBlockByNumber", json!(["0x1", false]));
    let header = bytes(&node.ask("debug_getRawHeader", json!(["0x1"])));
    assert_eq!(json!(alloy_primitives::keccak256(&header)), block["hash"]);
    let raw_block = bytes(&node.ask("debug_getRawBlock", json!([block["hash"]])));
    assert_eq!(block["size"], format!("{:#x}", raw_block.len()));
    let first = raw(&Account::of(0).transfer(0, Address::repeat_byte(0xb0), 5));
    assert_eq!(
        node.ask("debug_getRawTransaction", json!([hashes[0]])),
        json!(first)
    );
    let receipts = node.ask("debug_getRawReceipts", json!(["0x1"]));
    let second: alloy_consensus::ReceiptEnvelope =
        alloy_eips::Decodable2718::decode_2718_exact(&bytes(&receipts[1])).expect("a receipt");
    assert_eq!(second.logs().len(), 1);
    let (code, message, _) = node.refuse("debug_getRawHeader", json!(["2"]));
    assert_eq!(
        (code, message.as_str()),
        (-32602, "invalid argument 0: hex string without 0x prefix")
    );
    // As geth answers: a block to come has no bytes yet, and nobody knows a hash that is none's.
    for (method, nothing) in [
        ("debug_getRawBlock", json!("0x")),
        ("debug_getRawHeader", json!("0x")),
        ("debug_getRawReceipts", json!(null)),
    ] {
        assert_eq!(node.ask(method, json!(["0x9"])), nothing, "{method}");
        let (code, message, _) = node.refuse(method, json!([B256::ZERO]));
        assert_eq!(code, -32000, "{method}");
        assert!(message.ends_with(" not found"), "{method}: {message}");
    }
}
