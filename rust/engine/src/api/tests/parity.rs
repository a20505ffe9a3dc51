//! `trace_`: Parity's forms of the same transactions, and the bounds of what may be asked.

use alloy_primitives::B256;
use serde_json::{Value, json, value::RawValue};

use super::{
    node::{LOOP, Node, REVERT, STORE, call, patient, word},
    traces,
};
use crate::{
    EngineConfig,
    api::{Api, ApiLimits},
    testing::{Account, raw},
    trace_cases,
};

fn ask(api: &Api, method: &str, params: Value) -> Value {
    let text = RawValue::from_string(params.to_string()).expect("JSON");
    let answer = api.call(method, Some(&text));
    let answer = answer.unwrap_or_else(|error| panic!("{method} {params}: {error}"));
    serde_json::from_str(answer.get()).expect("JSON")
}

fn hash_of(wanted: &str) -> B256 {
    let mut all = trace_cases::blocks().into_iter().flatten();
    let (_, transaction) = all.find(|(name, _)| name == wanted).expect(wanted);
    *transaction.hash()
}

/// But for calls of precompiles with value, which Parity shows and geth leaves out.
#[test]
fn calls_are_those_that_the_flat_tracer_of_go_ethereum_shows() {
    let api = chain();
    for name in [
        "transfer",
        "store",
        "destroy",
        "create",
        "create reverted",
        "deep",
        "delegate",
    ] {
        let hash = hash_of(name);
        let parity = ask(&api, "trace_transaction", json!([hash]));
        let options = json!({"tracer": "flatCallTracer"});
        let flat = ask(&api, "debug_traceTransaction", json!([hash, options]));
        let (parity, flat) = (
            parity.as_array().expect("traces"),
            flat.as_array().expect("traces"),
        );
        assert_eq!(parity.len(), flat.len(), "{name}");
        for (one, other) in parity.iter().zip(flat) {
            for field in [
                "type",
                "traceAddress",
                "subtraces",
                "blockHash",
                "blockNumber",
                "transactionHash",
                "transactionPosition",
            ] {
                assert_eq!(one[field], other[field], "{name} {field} {other}");
            }
            for field in [
                "from",
                "to",
                "value",
                "input",
                "init",
                "callType",
                "address",
                "refundAddress",
                "balance",
            ] {
                assert_eq!(
                    one["action"][field], other["action"][field],
                    "{name} {field} {other}"
                );
            }
            assert_eq!(
                one.get("error").is_some(),
                other.get("error").is_some(),
                "{name} {other}"
            );
        }
    }
}

fn chain() -> Api {
    traces::chain()
}

#[test]
fn one_call_is_found_by_its_place() {
    let api = chain();
    let hash = hash_of("tree");
    let all = ask(&api, "trace_transaction", json!([hash]));
    for trace in all.as_array().expect("traces") {
        let place: Vec<String> = trace["traceAddress"]
            .as_array()
            .expect("a place")
            .iter()
            .map(|index| format!("{:#x}", index.as_u64().expect("an index")))
            .collect();
        assert_eq!(ask(&api, "trace_get", json!([hash, place])), *trace);
    }
    assert_eq!(ask(&api, "trace_get", json!([hash, ["0x63"]])), Value::Null);
    assert_eq!(ask(&api, "trace_get", json!([B256::ZERO, []])), Value::Null);
}

#[test]
fn a_block_has_the_calls_of_its_transactions_in_order() {
    let api = chain();
    let block = ask(&api, "trace_block", json!(["0x2"]));
    let transactions = ask(&api, "eth_getBlockByNumber", json!(["0x2", false]));
    let expected: Vec<Value> = transactions["transactions"]
        .as_array()
        .expect("hashes")
        .iter()
        .flat_map(|hash| {
            let traces = ask(&api, "trace_transaction", json!([hash]));
            traces.as_array().expect("traces").clone()
        })
        .collect();
    assert_eq!(block, json!(expected));
    assert_eq!(ask(&api, "trace_block", json!(["0x0"])), json!([]));
    assert_eq!(ask(&api, "trace_block", json!(["0x99"])), Value::Null);
    let replayed = ask(
        &api,
        "trace_replayBlockTransactions",
        json!(["0x2", ["trace"]]),
    );
    let hashes: Vec<&Value> = replayed
        .as_array()
        .expect("results")
        .iter()
        .map(|one| &one["transactionHash"])
        .collect();
    assert_eq!(json!(hashes), transactions["transactions"]);
}

#[test]
fn a_filter_selects_by_address_and_page() {
    let node = Node::new();
    let (alice, bob) = (Account::of(0), Account::of(1));
    for nonce in 0..3 {
        node.mine_one(&call(&alice, nonce, STORE, word(nonce)));
    }
    node.mine_one(&call(&bob, 0, STORE, word(9)));
    let count = |filter: Value| {
        let found = node.ask("trace_filter", json!([filter]));
        found.as_array().expect("traces").len()
    };
    let to_store = json!([STORE]);
    assert_eq!(count(json!({})), 4);
    assert_eq!(count(json!({"toAddress": to_store})), 4);
    assert_eq!(
        count(json!({"fromAddress": [alice.address], "toAddress": to_store})),
        3
    );
    assert_eq!(
        count(json!({"fromAddress": [alice.address], "toAddress": [bob.address]})),
        0
    );
    assert_eq!(
        count(json!({"fromAddress": [bob.address], "toAddress": to_store, "mode": "union"})),
        4
    );
    assert_eq!(count(json!({"fromBlock": "0x2", "toBlock": "0x3"})), 2);
    assert_eq!(count(json!({"fromBlock": "latest"})), 1);
    assert_eq!(count(json!({"after": 1, "count": 2})), 2);
    assert_eq!(count(json!({"after": 9})), 0);
}

#[test]
fn a_call_shows_its_opcodes_and_what_it_changes() {
    let node = Node::new();
    let alice = Account::of(0).address;
    let types = ["trace", "vmTrace", "stateDiff"];
    let request = json!({"from": alice, "to": STORE, "data": word(9), "gas": "0x186a0"});
    let results = node.ask("trace_call", json!([request, types]));
    let account = &results["stateDiff"][STORE.to_string().to_lowercase()];
    let change = &account["storage"][B256::ZERO.to_string()]["*"];
    let value = |number| json!(B256::with_last_byte(number));
    assert_eq!((&change["from"], &change["to"]), (&value(7), &value(9)));
    let names: Vec<&str> = results["vmTrace"]["ops"]
        .as_array()
        .expect("opcodes")
        .iter()
        .filter_map(|op| op["op"].as_str())
        .collect();
    assert_eq!(names[..4], ["PUSH0", "CALLDATALOAD", "PUSH0", "SSTORE"]);
    assert_eq!(results["trace"][0]["action"]["to"], json!(STORE));
    // Each call sees what the one before it has left.
    let calls = json!([[request, ["stateDiff"]], [{"from": alice, "to": STORE, "data": word(5)}, ["stateDiff"]]]);
    let many = node.ask("trace_callMany", json!([calls, "latest"]));
    let change = &many[1]["stateDiff"][STORE.to_string().to_lowercase()]["storage"];
    let change = &change[B256::ZERO.to_string()]["*"];
    assert_eq!((&change["from"], &change["to"]), (&value(9), &value(5)));
}

#[test]
fn a_signed_transaction_is_traced_without_being_sent() {
    let node = Node::new();
    let transaction = call(&Account::of(0), 0, REVERT, word(1));
    let results = node.ask(
        "trace_rawTransaction",
        json!([raw(&transaction), ["trace"]]),
    );
    assert_eq!(results["trace"][0]["error"], json!("Reverted"));
    assert_eq!(results["output"], json!(word(1)));
    assert_eq!(node.ask("txpool_status", json!([]))["pending"], "0x0");
    let hash = node.mine_one(&transaction);
    let replayed = node.ask("trace_replayTransaction", json!([hash, ["trace"]]));
    assert_eq!(replayed, results);
}

#[test]
fn what_cannot_be_traced_is_refused_with_a_reason() {
    let limits = ApiLimits {
        trace_filter_blocks_max: 2,
        trace_calls_max: 2,
        trace_bytes_max: 20_000,
        ..patient()
    };
    let node = Node::with(limits, EngineConfig::default());
    for _ in 0..4 {
        node.mine();
    }
    let to_store = json!({"to": STORE});
    let two = json!([[to_store, []], [to_store, []], [to_store, []]]);
    let forever = json!({"to": LOOP, "gas": "0x2faf080"});
    let cases = [
        (
            "trace_call",
            json!([to_store, ["traces"]]),
            -32602,
            "trace type \"traces\" is not known",
        ),
        (
            "trace_call",
            json!([to_store, "trace"]),
            -32602,
            "expected an array",
        ),
        (
            "trace_call",
            json!([to_store]),
            -32602,
            "missing value for required argument 1",
        ),
        (
            "trace_call",
            json!([to_store, [], "pending"]),
            -32000,
            "on top of pending",
        ),
        (
            "trace_call",
            json!([to_store, [], "0x99"]),
            -32000,
            "header not found",
        ),
        (
            "trace_call",
            json!([forever, ["vmTrace"]]),
            -32003,
            "response too large",
        ),
        (
            "trace_callMany",
            json!([two]),
            -32005,
            "too many calls: 3, at most 2",
        ),
        (
            "trace_callMany",
            json!([[[to_store]]]),
            -32602,
            "expected a call and its trace types",
        ),
        (
            "trace_filter",
            json!([{"fromBlock": "0x0"}]),
            -32005,
            "too many to trace, at most 2",
        ),
        (
            "trace_filter",
            json!([{"fromBlock": "0x3", "toBlock": "0x2"}]),
            -32602,
            "invalid block range",
        ),
        (
            "trace_filter",
            json!([{"fromBlock": "soon"}]),
            -32602,
            "hex string without 0x prefix",
        ),
        (
            "trace_filter",
            json!([{"mode": "both"}]),
            -32602,
            "unknown variant",
        ),
        (
            "trace_filter",
            json!([{"count": -1}]),
            -32602,
            "invalid value",
        ),
        (
            "trace_filter",
            json!([{"fromBlock": "pending"}]),
            -32000,
            "on top of pending",
        ),
        (
            "trace_rawTransaction",
            json!(["0x02", []]),
            -32000,
            "could not be read",
        ),
        (
            "trace_replayTransaction",
            json!([B256::ZERO, ["trace"]]),
            -32000,
            "transaction not found",
        ),
        (
            "trace_get",
            json!([B256::ZERO, vec!["0x0"; 2_000]]),
            -32602,
            "at most 1024 indices",
        ),
    ];
    for (method, params, code, text) in cases {
        let (found, message, _) = node.refuse(method, params.clone());
        assert_eq!(found, code, "{method} {params}: {message}");
        assert!(message.contains(text), "{method} {params}: {message}");
    }
    let unknown = node.ask("trace_transaction", json!([B256::ZERO]));
    assert_eq!(unknown, Value::Null);
}
