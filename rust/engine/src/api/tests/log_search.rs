use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use alloy_consensus::TxLegacy;
use alloy_primitives::{Address, B256, TxKind, U256};
use serde_json::{Value, json, value::RawValue};

use super::{
    node::{Node, STORE, call, patient, word},
    traces::waiting,
};
use crate::{
    EngineConfig,
    api::ApiLimits,
    testing::{Account, CHAIN_ID},
};

/// Blocks 1 to 4 with one log each, numbered by its first topic; block 2 has a second one.
fn node(limits: ApiLimits) -> Node {
    let node = Node::with(limits, EngineConfig::default());
    let alice = Account::of(0);
    for (nonce, number) in [1, 2, 2, 3, 4].into_iter().enumerate() {
        node.submit(&call(&alice, nonce as u64, STORE, word(number)));
        if nonce != 1 {
            node.mine();
        }
    }
    node
}

fn topic(number: u64) -> B256 {
    U256::from(number).into()
}

/// Block and index of each log found.
fn places(answer: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("a quantity").to_owned();
    let logs = answer.as_array().into_iter().flatten();
    logs.map(|log| (text(&log["blockNumber"]), text(&log["logIndex"])))
        .collect()
}

#[test]
fn logs_are_found_by_range_hash_address_and_topic_in_order() {
    let node = node(patient());
    let block = node.ask("eth_getBlockByNumber", json!(["0x2", false]));
    let second = || vec![("0x2", "0x0"), ("0x2", "0x1")];
    let cases = [
        (json!({"fromBlock": "0x2", "toBlock": "0x2"}), second()),
        (json!({"blockHash": block["hash"]}), second()),
        (json!({"fromBlock": "0x0", "topics": [topic(2)]}), second()),
        (
            json!({"fromBlock": "earliest", "topics": [[topic(2), topic(4)], [topic(0xaa)]]}),
            [second(), vec![("0x4", "0x0")]].concat(),
        ),
        (
            json!({"fromBlock": "0x0", "topics": [null, topic(0xaa)], "toBlock": "0x1"}),
            vec![("0x1", "0x0")],
        ),
        (
            json!({"fromBlock": "0x0", "topics": [null, topic(0xab)]}),
            vec![],
        ),
        (
            json!({"fromBlock": "0x0", "address": Address::ZERO}),
            vec![],
        ),
        (
            json!({"fromBlock": "0x3", "address": [STORE, Address::ZERO]}),
            vec![("0x3", "0x0"), ("0x4", "0x0")],
        ),
        (json!({}), vec![("0x4", "0x0")]),
        (
            json!({"fromBlock": "latest", "toBlock": "finalized"}),
            vec![("0x4", "0x0")],
        ),
    ];
    for (filter, expected) in cases {
        let found = node.ask("eth_getLogs", json!([filter]));
        let expected: Vec<(String, String)> = expected
            .into_iter()
            .map(|(block, index)| (block.to_owned(), index.to_owned()))
            .collect();
        assert_eq!(places(&found), expected, "{filter}");
    }
    let log = &node.ask("eth_getLogs", json!([{"blockHash": block["hash"]}]))[1];
    assert_eq!(
        *log,
        json!({
            "address": STORE, "topics": [topic(2), topic(0xaa)], "data": B256::ZERO, "blockNumber": "0x2",
            "blockHash": block["hash"], "blockTimestamp": block["timestamp"], "transactionHash": block["transactions"][1],
            "transactionIndex": "0x1", "logIndex": "0x1", "removed": false,
        })
    );
}

#[test]
fn ranges_that_make_no_sense_or_are_too_long_are_refused() {
    let node = node(ApiLimits {
        log_blocks_max: 2,
        ..patient()
    });
    let cases = [
        (
            json!({"fromBlock": "0x3", "toBlock": "0x2"}),
            -32602,
            "invalid block range params: fromBlock 3 is after toBlock 2",
        ),
        (
            json!({"fromBlock": "0x5"}),
            -32602,
            "invalid block range params: fromBlock 5 is after toBlock 4",
        ),
        (
            json!({"fromBlock": "0x3", "toBlock": "0x5"}),
            -32602,
            "block range extends beyond current head block 4",
        ),
        (
            json!({"fromBlock": "0x0"}),
            -32602,
            "exceed maximum block range 2: fromBlock 0 and toBlock 4 are 4 apart",
        ),
        (
            json!({"fromBlock": "0x0", "toBlock": "pending"}),
            -32602,
            "pending logs are not supported",
        ),
        (
            json!({"fromBlock": "0x0", "toBlock": format!("0x1{}", "0".repeat(64))}),
            -32602,
            "invalid argument 0: hex number > 64 bits",
        ),
        (json!({"blockHash": B256::ZERO}), -32000, "unknown block"),
    ];
    for (filter, code, message) in cases {
        let answer = node.refuse("eth_getLogs", json!([filter]));
        assert_eq!((answer.0, answer.1.as_str()), (code, message), "{filter}");
    }
}

#[test]
fn too_many_criteria_or_results_are_refused() {
    let node = node(ApiLimits {
        logs_max: 2,
        log_criteria_max: 3,
        ..patient()
    });
    let text = |filter: Value| {
        let (code, message, _) = node.refuse("eth_getLogs", json!([filter]));
        (code, message)
    };
    let criteria = (
        -32602,
        "exceed max addresses or topics per search position (3)".to_owned(),
    );
    assert_eq!(text(json!({"address": vec![STORE; 4]})), criteria);
    assert_eq!(text(json!({"topics": [null, vec![topic(1); 4]]})), criteria);
    assert_eq!(
        text(json!({"fromBlock": "0x0"})),
        (
            -32005,
            "query returned more than 2 results: ask for fewer blocks than 0 to 4".to_owned()
        )
    );
    assert_eq!(
        places(&node.ask("eth_getLogs", json!([{"fromBlock": "0x3"}]))).len(),
        2
    );
}

#[test]
fn a_search_that_takes_too_long_stops_and_says_where() {
    let node = node(ApiLimits {
        scan_timeout: std::time::Duration::ZERO,
        ..patient()
    });
    let cases = [
        (
            "eth_getLogs",
            json!([{"fromBlock": "0x1"}]),
            "log search stopped at block 1 after 0 s: ask for fewer blocks",
        ),
        (
            "eth_feeHistory",
            json!(["0x2", "latest"]),
            "fee history took too long: ask for fewer blocks",
        ),
    ];
    for (method, params, expected) in cases {
        let (code, message, _) = node.refuse(method, params);
        assert_eq!((code, message.as_str()), (-32002, expected));
    }
}

#[test]
fn nobody_searches_on_for_a_caller_who_has_gone() {
    let node = node(patient());
    for (method, params) in [
        ("eth_getLogs", json!([{"fromBlock": "0x1"}])),
        ("eth_feeHistory", json!(["0x4", "latest"])),
    ] {
        // He goes while the second of four blocks is searched.
        let looks = Arc::new(AtomicU64::new(0));
        let counted = looks.clone();
        let caller = waiting(move || counted.fetch_add(1, Relaxed) >= 2);
        let params = RawValue::from_string(params.to_string()).expect("JSON");
        let answer = node.api.call_unless(method, Some(&params), caller);
        assert_eq!(answer.map_err(|error| error.code).err(), Some(-32002));
        assert_eq!(looks.load(Relaxed), 3, "{method}: looks at the caller");
    }
}

/// A search through blocks that are on disk only gives what their receipts hold, of every type of transaction.
#[test]
fn logs_of_blocks_on_disk_are_those_of_their_receipts() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = || EngineConfig {
        path: Some(directory.path().join("engine")),
        ..EngineConfig::default()
    };
    let node = Node::with(patient(), config());
    let alice = Account::of(0);
    let mut nonce = 0;
    for block in 1..4 {
        for number in 0..block {
            node.submit(&call(&alice, nonce, STORE, word(number)));
            nonce += 1;
        }
        let legacy = TxLegacy {
            chain_id: Some(CHAIN_ID),
            nonce,
            gas_price: 2_000_000_000,
            gas_limit: 200_000,
            to: TxKind::Call(STORE),
            value: U256::ZERO,
            input: word(0xbb),
        };
        node.submit(&alice.sign_transaction(legacy));
        nonce += 1;
        node.mine();
    }
    let everything = json!([{"fromBlock": "0x0"}]);
    let by_address = json!([{"fromBlock": "0x0", "address": STORE}]);
    let in_memory = node.ask("eth_getLogs", everything.clone());
    node.engine.close().expect("closed");
    drop(node);

    let node = Node::with(patient(), config());
    let found = node.ask("eth_getLogs", everything);
    let legacy = node.ask(
        "eth_getLogs",
        json!([{"fromBlock": "0x0", "topics": [topic(0xbb)]}]),
    );
    let receipts: Vec<Value> = (1..4)
        .flat_map(|number| {
            let receipts = node.ask("eth_getBlockReceipts", json!([format!("{number:#x}")]));
            receipts.as_array().cloned().expect("receipts")
        })
        .flat_map(|receipt| receipt["logs"].as_array().cloned().expect("logs"))
        .collect();
    assert_eq!(receipts.len(), 1 + 2 + 3 + 3);
    assert_eq!(found, json!(receipts));
    assert_eq!(found, in_memory);
    assert_eq!(node.ask("eth_getLogs", by_address), found);
    let last = [1, 4, 8].map(|index: usize| receipts[index].clone());
    assert_eq!(legacy, json!(last));
}

/// Addresses have rows in flushed blocks only, and long rows are left out: the answer is the same wherever the line is.
#[test]
fn a_search_by_address_finds_what_a_search_of_blocks_finds() {
    const BLOCKS: u64 = 40;
    let node = Node::with(patient(), EngineConfig::default());
    let alice = Account::of(0);
    let mut nonce = 0;
    let mut mine = |count: u64| {
        for _ in 0..count {
            // The logs of block 21 are too long for a row.
            let logs = match node.engine.head().number {
                20 => 130,
                parent => parent % 4,
            };
            for number in 0..logs {
                node.submit(&call(&alice, nonce, STORE, word(number)));
                nonce += 1;
            }
            node.mine();
        }
    };
    let ask = |filter: Value| node.ask("eth_getLogs", json!([filter]));
    let check = || {
        let head = node.engine.head().number;
        for (from, to) in [
            (0, head),
            (1, head),
            (3, head - 2),
            (head - 9, head),
            (head, head),
        ] {
            let (from, to) = (format!("{from:#x}"), format!("{to:#x}"));
            for topics in [json!([]), json!([topic(2)]), json!([null, topic(0xaa)])] {
                let all = ask(json!({"fromBlock": from, "toBlock": to, "topics": topics}));
                let of = |addresses: Value| {
                    ask(
                        json!({"fromBlock": from, "toBlock": to, "topics": topics, "address": addresses}),
                    )
                };
                assert_eq!(of(json!(STORE)), all);
                assert_eq!(of(json!([Address::ZERO, STORE])), all);
                assert_eq!(of(json!(Address::ZERO)), json!([]));
            }
        }
    };
    mine(BLOCKS);
    check();
    node.engine.store().flush().expect("flushed");
    let store = node.engine.store();
    assert_eq!(store.blocks_with_log_rows(), 0..BLOCKS + 1);
    let rows = store
        .log_rows(&STORE, 0..BLOCKS + 1, usize::MAX)
        .expect("rows");
    let left_out: Vec<u64> = rows
        .iter()
        .filter(|row| row.is_left_out())
        .map(|row| row.number)
        .collect();
    assert_eq!((rows.len(), left_out), (31, vec![21]));
    check();
    mine(BLOCKS);
    check();
}
