//! `ots_`: what Otterscan asks, on the chain of the tracing cases.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, hex};
use serde_json::{Value, json, value::RawValue};

use super::{
    node::{Node, REVERT, STORE, call, patient, word},
    traces,
};
use crate::{
    EngineConfig,
    api::{
        Api, Caller,
        call::Allowance,
        otterscan::{Found, Search},
    },
    testing::Account,
    trace_cases::{self, STORE as STORED, TREE},
};

fn try_ask(api: &Api, method: &str, params: &Value) -> Result<Value, (i32, String)> {
    let text = RawValue::from_string(params.to_string()).expect("JSON");
    match api.call(method, Some(&text)) {
        Ok(answer) => Ok(serde_json::from_str(answer.get()).expect("JSON")),
        Err(error) => Err((error.code, error.message)),
    }
}

fn ask(api: &Api, method: &str, params: Value) -> Value {
    try_ask(api, method, &params).unwrap_or_else(|error| panic!("{method} {params}: {error:?}"))
}

fn hash_of(wanted: &str) -> B256 {
    let mut all = trace_cases::blocks().into_iter().flatten();
    let (_, transaction) = all.find(|(name, _)| name == wanted).expect(wanted);
    *transaction.hash()
}

#[test]
fn accounts_and_blocks_are_described() {
    let api = traces::chain();
    assert_eq!(ask(&api, "ots_getApiLevel", json!([])), json!(8));
    for block in [json!(1), json!("0x1"), json!("latest")] {
        let header = ask(&api, "erigon_getHeaderByNumber", json!([block]));
        let number = header["number"].clone();
        assert_eq!(
            header,
            ask(&api, "eth_getHeaderByNumber", json!([number])),
            "{block}"
        );
    }
    assert_eq!(
        ask(&api, "erigon_getHeaderByNumber", json!([999_999])),
        Value::Null
    );
    assert_eq!(ask(&api, "ots_hasCode", json!([STORED, "latest"])), true);
    assert_eq!(ask(&api, "ots_hasCode", json!([Address::ZERO])), false);
    let details = ask(&api, "ots_getBlockDetails", json!([2]));
    let block = ask(&api, "eth_getBlockByNumber", json!(["0x2", false]));
    assert_eq!(details["block"]["hash"], block["hash"]);
    assert_eq!(details["block"]["logsBloom"], Value::Null);
    assert_eq!(details["block"].get("transactions"), None);
    assert_eq!(details["block"]["transactionCount"], json!(6));
    assert_eq!(details["issuance"]["issuance"], "0x0");
    let receipts = ask(&api, "eth_getBlockReceipts", json!(["0x2"]));
    let number = |value: &Value| {
        let digits = value.as_str().expect("a quantity").trim_start_matches("0x");
        u128::from_str_radix(digits, 16).expect("a number")
    };
    let paid: u128 = receipts
        .as_array()
        .expect("receipts")
        .iter()
        .map(|receipt| number(&receipt["gasUsed"]) * number(&receipt["effectiveGasPrice"]))
        .sum();
    assert_eq!(number(&details["totalFees"]), paid);
    let by_hash = ask(&api, "ots_getBlockDetailsByHash", json!([block["hash"]]));
    assert_eq!(by_hash, details);
    assert_eq!(
        ask(&api, "ots_getBlockDetails", json!(["0x99"])),
        Value::Null
    );
}

#[test]
fn a_blocks_transactions_come_in_pages_from_the_end() {
    let api = traces::chain();
    let block = ask(&api, "eth_getBlockByNumber", json!(["0x1", true]));
    let all = block["transactions"].as_array().expect("transactions");
    let hashes = |page: u64| -> Vec<Value> {
        let answer = ask(&api, "ots_getBlockTransactions", json!(["0x1", page, 4]));
        let transactions = answer["fullblock"]["transactions"].as_array();
        let receipts = answer["receipts"].as_array().expect("receipts");
        for (transaction, receipt) in transactions.expect("a page").iter().zip(receipts) {
            assert_eq!(transaction["hash"], receipt["transactionHash"]);
            assert_eq!(receipt["logs"], Value::Null);
            assert!(transaction["input"].as_str().expect("data").len() <= 10);
        }
        receipts
            .iter()
            .map(|receipt| receipt["transactionHash"].clone())
            .collect()
    };
    let pages = (all.len() as u64).div_ceil(4);
    let found: Vec<Value> = (0..pages).rev().flat_map(hashes).collect();
    let expected: Vec<Value> = all.iter().map(|one| one["hash"].clone()).collect();
    assert_eq!(found, expected);
    assert!(hashes(99).is_empty());
}

#[test]
fn what_a_transaction_did_inside_is_listed() {
    let api = traces::chain();
    let hash = hash_of("tree");
    let operations = ask(&api, "ots_getInternalOperations", json!([hash]));
    let kinds: Vec<u64> = operations
        .as_array()
        .expect("operations")
        .iter()
        .map(|operation| operation["type"].as_u64().expect("a kind"))
        .collect();
    assert!(
        kinds.contains(&0) && kinds.contains(&2) && kinds.contains(&3),
        "{kinds:?}"
    );
    assert_eq!(operations[0]["to"], json!(STORED));
    let destroyed = ask(
        &api,
        "ots_getInternalOperations",
        json!([hash_of("destroy")]),
    );
    assert!(
        destroyed
            .as_array()
            .expect("operations")
            .iter()
            .any(|one| one["type"] == 1)
    );
    let entries = ask(&api, "ots_traceTransaction", json!([hash]));
    let entries = entries.as_array().expect("entries");
    assert_eq!(entries[0]["type"], "CALL");
    assert_eq!(
        (&entries[0]["to"], &entries[0]["depth"]),
        (&json!(TREE), &json!(0))
    );
    assert_eq!(entries[2]["type"], "DELEGATECALL");
    assert_eq!(entries[2]["value"], Value::Null);
    assert!(entries.iter().any(|entry| entry["type"] == "CREATE2"));
    let precompile = json!(Address::with_last_byte(4));
    assert!(entries.iter().all(|entry| entry["to"] != precompile));
    assert_eq!(ask(&api, "ots_getTransactionError", json!([hash])), "0x");
    let reverted = ask(&api, "ots_getTransactionError", json!([hash_of("revert")]));
    assert!(reverted.as_str().expect("data").starts_with("0x08c379a0"));
}

#[test]
fn the_creator_of_a_contract_is_found() {
    let api = traces::chain();
    let bob = Account::of(1).address;
    let creator = ask(&api, "ots_getContractCreator", json!([bob.create(0)]));
    assert_eq!(creator, json!({"hash": hash_of("create"), "creator": bob}));
    // A creation inside a transaction that failed as a whole has created nothing.
    let entries = ask(&api, "ots_traceTransaction", json!([hash_of("tree")]));
    let mut entries = entries.as_array().expect("entries").iter();
    let inner = entries.find(|entry| entry["type"] == "CREATE");
    let inner = &inner.expect("a creation")["to"];
    assert_eq!(
        ask(&api, "ots_getContractCreator", json!([inner])),
        Value::Null
    );
    for nobody in [
        STORED,
        Address::ZERO,
        Account::of(0).address,
        Account::of(3).address,
    ] {
        let creator = ask(&api, "ots_getContractCreator", json!([nobody]));
        assert_eq!(creator, Value::Null, "{nobody}");
    }
}

#[test]
fn a_transaction_is_found_by_sender_and_nonce() {
    let api = traces::chain();
    let alice = Account::of(0).address;
    let mut nonce = 0_u64;
    for (name, transaction) in trace_cases::blocks().into_iter().flatten() {
        use alloy_consensus::Transaction as _;
        if transaction.nonce() == nonce
            && name != "create"
            && !name.starts_with("create ")
            && name != "access list"
            && !name.contains("delegate")
        {
            let found = ask(
                &api,
                "ots_getTransactionBySenderAndNonce",
                json!([alice, nonce]),
            );
            assert_eq!(found, json!(transaction.hash()), "{name}");
            nonce += 1;
        }
    }
    assert!(nonce > 10);
    let unknown = ask(
        &api,
        "ots_getTransactionBySenderAndNonce",
        json!([alice, "0x63"]),
    );
    assert_eq!(unknown, Value::Null);
    // A nonce that an authorization used.
    let nobody = Account::of(99).address;
    let used = ask(
        &api,
        "ots_getTransactionBySenderAndNonce",
        json!([nobody, 0]),
    );
    assert_eq!(used, Value::Null);
}

#[test]
fn a_search_finds_every_transaction_that_calls_an_address() {
    let node = Node::new();
    let (alice, bob) = (Account::of(0), Account::of(1));
    let hashes: Vec<B256> = (0..6)
        .map(|nonce| {
            let to = if nonce % 2 == 0 { STORE } else { REVERT };
            let hash = node.mine_one(&call(&alice, nonce, to, word(nonce)));
            node.mine();
            hash
        })
        .collect();
    node.mine_one(&call(&bob, 0, REVERT, hex!("").to_vec()));
    let found = |method: &str, block: u64, size: u64| {
        let page = node.ask(method, json!([STORE, block, size]));
        let of = |list: &Value, field: &str| -> Vec<Value> {
            let list = list.as_array().expect("a list").iter();
            list.map(|one| one[field].clone()).collect()
        };
        assert_eq!(
            of(&page["txs"], "hash"),
            of(&page["receipts"], "transactionHash")
        );
        (
            of(&page["txs"], "hash"),
            page["firstPage"].clone(),
            page["lastPage"].clone(),
        )
    };
    let stored = [4, 2, 0].map(|index| json!(hashes[index]));
    let (yes, no) = (json!(true), json!(false));
    let (before, after) = (
        "ots_searchTransactionsBefore",
        "ots_searchTransactionsAfter",
    );
    assert_eq!(
        found(before, 0, 25),
        (stored.to_vec(), yes.clone(), yes.clone())
    );
    assert_eq!(
        found(before, 0, 2),
        (stored[..2].to_vec(), yes.clone(), no.clone())
    );
    assert_eq!(
        found(before, 5, 2),
        (stored[2..].to_vec(), no.clone(), yes.clone())
    );
    assert_eq!(
        found(after, 0, 25),
        (stored.to_vec(), yes.clone(), yes.clone())
    );
    assert_eq!(
        found(after, 0, 2),
        (stored[1..].to_vec(), no.clone(), yes.clone())
    );
    assert_eq!(found(after, 5, 2), (stored[..1].to_vec(), yes, no));
    for (params, text) in [
        (json!([STORE, 0, 26]), "page size 26, want 1 to 25"),
        (json!([STORE, 0, 0]), "page size 0, want 1 to 25"),
        (json!([STORE, 0]), "missing value for required argument 2"),
        (json!([STORE, "x", 5]), "invalid hex or decimal integer"),
    ] {
        let (code, message, _) = node.refuse(before, params);
        assert_eq!(code, -32602);
        assert!(message.contains(text), "{message}");
    }
}

#[test]
fn a_search_whose_time_ends_in_a_block_leaves_that_out_and_says_what_else_went_wrong() {
    let config = EngineConfig {
        history_blocks: Some(2),
        ..EngineConfig::default()
    };
    let node = Node::with(patient(), config);
    let (alice, bob) = (Account::of(0), Account::of(1));
    for nonce in 0..6 {
        node.mine_one(&alice.transfer(nonce, bob.address, 1));
    }
    node.engine.store().flush().expect("old state is dropped");
    let add = |number: u64, time_left: Duration| {
        let search = Search {
            address: bob.address,
            size: 25,
            allowance: Allowance {
                timeout: time_left,
                end: Instant::now() + time_left,
                caller: Caller::default(),
            },
        };
        let stored = node.engine.store().block(number).expect("readable");
        let mut found = Found::default();
        let goes_on = search.add(&node.api, &stored.expect("a block"), &mut found);
        goes_on.map(|goes_on| (goes_on, found.txs.len()))
    };
    let hour = Duration::from_secs(3_600);
    assert_eq!(add(6, hour), Ok((true, 1)));
    assert_eq!(add(6, Duration::ZERO), Ok((false, 0)));
    for time_left in [hour, Duration::ZERO] {
        let error = add(1, time_left).expect_err("its state is dropped");
        assert!(error.message.contains("is pruned"), "{error}");
    }
}
