//! The fields of blocks, transactions, receipts and logs are those of the official answers, no more and no fewer.

use alloy_consensus::ReceiptEnvelope;
use alloy_primitives::B256;
use alloy_rpc_types_eth::TransactionReceipt;
use serde_json::{Value, json};

use super::{
    super::objects,
    node::Node,
    vectors::{Case, cases, chain},
};
use crate::{Block, api::Api, store::StoredBlock};

fn hash(value: &Value) -> B256 {
    serde_json::from_value(value.clone()).expect("a hash")
}

fn answered(method: &str) -> impl Iterator<Item = &'static Case> {
    cases(method).filter(|case| !case.answer["result"].is_null())
}

/// The block of the test chain, and in it the index of the transaction.
fn find<'a>(chain: &'a [Block], transaction: &Value) -> (&'a Block, usize) {
    let wanted = hash(&transaction["blockHash"]);
    let block = chain.iter().find(|block| block.hash == wanted);
    let block = block.expect("a block of the chain");
    let hashes = block.transactions.iter().map(|tx| *tx.hash());
    let key = transaction
        .get("hash")
        .unwrap_or(&transaction["transactionHash"]);
    let index = hashes.into_iter().position(|found| found == hash(key));
    (block, index.expect("a transaction of the block"))
}

#[test]
fn a_block_has_the_fields_of_the_official_answers() {
    let chain = chain().unwrap_or_default();
    for case in answered("eth_getBlockByNumber") {
        let expected = &case.answer["result"];
        let wanted = hash(&expected["hash"]);
        let block = chain.iter().find(|block| block.hash == wanted);
        let full = case.request["params"][1] == json!(true);
        let given = serde_json::to_value(objects::block(block.expect("a block"), full));
        assert_eq!(given.expect("JSON"), *expected, "{}", case.request);
    }
}

#[test]
fn a_header_has_the_fields_of_a_block_but_its_body_and_size() {
    let chain = chain().unwrap_or_default();
    for case in answered("eth_getBlockByNumber") {
        let mut expected = case.answer["result"].clone();
        let fields = expected.as_object_mut().expect("an object");
        for of_the_body in ["size", "transactions", "uncles", "withdrawals"] {
            fields.remove(of_the_body);
        }
        let wanted = hash(&expected["hash"]);
        let block = chain.iter().find(|block| block.hash == wanted);
        let given = serde_json::to_value(objects::header(block.expect("a block")));
        assert_eq!(given.expect("JSON"), expected, "{}", case.request);
    }
}

#[test]
fn a_transaction_has_the_fields_of_the_official_answers() {
    let chain = chain().unwrap_or_default();
    let methods = [
        "eth_getTransactionByHash",
        "eth_getTransactionByBlockHashAndIndex",
        "eth_getTransactionByBlockNumberAndIndex",
    ];
    for case in methods.into_iter().flat_map(answered) {
        let expected = &case.answer["result"];
        let (block, index) = find(&chain, expected);
        let given = serde_json::to_value(objects::transaction(block, index));
        assert_eq!(given.expect("JSON"), *expected, "{}", case.request);
    }
}

/// The official receipts of whole blocks are read back, stored as the engine stores them, and written again.
#[test]
fn receipts_and_their_logs_have_the_fields_of_the_official_answers() {
    let chain = chain().unwrap_or_default();
    for case in answered("eth_getBlockReceipts") {
        let expected = &case.answer["result"];
        let Some(first) = expected.get(0) else {
            continue;
        };
        let (block, _) = find(&chain, first);
        let read: Vec<TransactionReceipt> =
            serde_json::from_value(expected.clone()).expect("receipts");
        let blob_gas_price = read.iter().find_map(|receipt| receipt.blob_gas_price);
        let stored = StoredBlock {
            block: block.clone(),
            receipts: read.into_iter().map(consensus).collect(),
        };
        for (index, expected) in expected.as_array().into_iter().flatten().enumerate() {
            let before = objects::logs_before(&stored, index);
            let given = objects::receipt(&stored, index, before, blob_gas_price);
            let given = serde_json::to_value(given).expect("JSON");
            assert_eq!(given, *expected, "{} {index}", case.request);
        }
        let logs = serde_json::to_value(objects::logs(&stored).collect::<Vec<_>>());
        let expected: Vec<&Value> = expected
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|receipt| receipt["logs"].as_array().into_iter().flatten())
            .collect();
        assert_eq!(logs.expect("JSON"), json!(expected), "{}", case.request);
    }
}

/// What does not depend on the chain: requests that are refused for their parameters, and things that do not exist.
#[test]
fn refusals_and_absences_are_those_of_the_official_answers() {
    let node = Node::new();
    for case in Api::declarations().flat_map(|one| cases(&one.name)) {
        let method = case.request["method"].as_str().expect("a method");
        let params = case.request.get("params").cloned().unwrap_or(json!([]));
        if case.answer["error"]["code"] == -32602 {
            let (code, message, _) = node.refuse(method, params);
            let given = json!({"code": code, "message": message});
            assert_eq!(given, case.answer["error"], "{}", case.request);
        } else if case.answer.get("result") == Some(&Value::Null) {
            assert_eq!(node.ask(method, params), Value::Null, "{}", case.request);
        }
    }
}

fn consensus(receipt: TransactionReceipt) -> ReceiptEnvelope {
    receipt.inner.map_logs(|log| log.inner)
}
