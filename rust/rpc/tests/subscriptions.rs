//! Subscriptions: what they tell and in which order, their limits, and subscribers that do not read. Rows are those of
//! docs/evidence/bad-inputs.md.

mod common;

use common::*;
use rpc::{Limits, Server};
use serde_json::{Value, json};

fn subscribe(socket: &mut Socket, params: &Value) -> String {
    let response = ask(socket, "eth_subscribe", params);
    response["result"]
        .as_str()
        .unwrap_or_else(|| panic!("{response}"))
        .to_owned()
}

/// The results of the next `count` notifications; all have to be for `id`.
fn results(socket: &mut Socket, id: &str, count: usize) -> Vec<Value> {
    let one = |_| {
        let message = receive(socket);
        assert_eq!(
            (&message["method"], &message["params"]["subscription"]),
            (&json!("eth_subscription"), &json!(id))
        );
        assert_eq!(message["jsonrpc"], json!("2.0"));
        assert!(message.get("id").is_none());
        message["params"]["result"].clone()
    };
    (0..count).map(one).collect()
}

fn settle(server: &Server, subscriptions: i64) {
    wait_until("subscriptions are counted", || {
        server.statistics().subscriptions == subscriptions
    });
}

#[test]
fn new_heads_arrive_in_order() {
    let (server, address) = start_one(Limits::default());
    let mut socket = open_websocket(address);
    let id = subscribe(&mut socket, &json!(["newHeads"]));
    assert!(
        u128::from_str_radix(id.strip_prefix("0x").unwrap(), 16).is_ok(),
        "{id}"
    );
    settle(&server, 1);
    for number in 1..=200 {
        server.publish(head(number, &[]));
    }
    let numbers: Vec<Value> = results(&mut socket, &id, 200)
        .iter()
        .map(|head| head["number"].clone())
        .collect();
    assert_eq!(
        numbers,
        (1..=200)
            .map(|number| json!(format!("0x{number:x}")))
            .collect::<Vec<_>>()
    );
}

#[test]
fn a_subscriber_is_told_of_every_block_after_the_one_it_can_read_and_not_of_that() {
    for round in 0..20 {
        let (server, address) = start_at(7);
        let mut socket = open_websocket(address);
        let id = subscribe(&mut socket, &json!(["newHeads"]));
        // No pause: who has read the id is told.
        for number in [7, 8] {
            server.publish(head(number, &[]));
        }
        let numbers = results(&mut socket, &id, 1);
        assert_eq!(numbers[0]["number"], json!("0x8"), "{round}");
    }
}

#[test]
fn logs_arrive_one_by_one_and_filtered() {
    let (server, address) = start_one(Limits::default());
    for (criteria, expected) in [
        (json!(["logs"]), vec![0, 1, 2]),
        (json!(["logs", {}]), vec![0, 1, 2]),
        (
            json!(["logs", {"address": "0x0202020202020202020202020202020202020202"}]),
            vec![1],
        ),
        (
            json!(["logs", {"address": ["0x0202020202020202020202020202020202020202", "0x0303030303030303030303030303030303030303"]}]),
            vec![1, 2],
        ),
        (
            json!(["logs", {"topics": ["0x0101010101010101010101010101010101010101010101010101010101010101"]}]),
            vec![0],
        ),
        (
            json!(["logs", {"topics": [["0x0101010101010101010101010101010101010101010101010101010101010101", "0x0303030303030303030303030303030303030303030303030303030303030303"]]}]),
            vec![0, 2],
        ),
        (json!(["logs", {"topics": [null]}]), vec![0, 1, 2]),
        (
            json!(["logs", {"fromBlock": "0x5", "toBlock": "latest"}]),
            vec![0, 1, 2],
        ),
    ] {
        let mut socket = open_websocket(address);
        let id = subscribe(&mut socket, &criteria);
        settle(&server, 1);
        server.publish(head(5, &[1, 2, 3]));
        let indexes: Vec<Value> = results(&mut socket, &id, expected.len())
            .iter()
            .map(|log| log["logIndex"].clone())
            .collect();
        assert_eq!(
            indexes,
            expected
                .iter()
                .map(|index| json!(format!("0x{index:x}")))
                .collect::<Vec<_>>(),
            "{criteria}"
        );
        assert_eq!(
            ask(&mut socket, "eth_echo", &json!([]))["result"],
            json!([]),
            "nothing else came"
        );
        drop(socket);
        settle(&server, 0);
    }
}

#[test]
fn receipts_of_a_block_arrive_together_all_or_those_that_are_wanted() {
    let (server, address) = start_one(Limits::default());
    let hash = |byte: u8| json!(alloy_primitives::B256::repeat_byte(byte));
    let wanted = |hashes: &[u8]| {
        let hashes: Vec<Value> = hashes.iter().map(|byte| hash(*byte)).collect();
        json!(["transactionReceipts", {"transactionHashes": hashes, "other": 7}])
    };
    for (params, expected) in [
        (json!(["transactionReceipts"]), vec![3, 1, 2]),
        (json!(["transactionReceipts", null]), vec![3, 1, 2]),
        (json!(["transactionReceipts", {}]), vec![3, 1, 2]),
        (
            json!(["transactionReceipts", {"transactionHashes": null}]),
            vec![3, 1, 2],
        ),
        (wanted(&[]), vec![3, 1, 2]),
        (wanted(&[2, 9, 3, 3]), vec![3, 2]),
    ] {
        let mut socket = open_websocket(address);
        let id = subscribe(&mut socket, &params);
        settle(&server, 1);
        // Of a block with none of them nothing is told.
        server.publish(head(4, &[]));
        server.publish(head(5, &[3, 1, 2]));
        let told = results(&mut socket, &id, 1);
        let told: Vec<Value> = told[0]
            .as_array()
            .unwrap()
            .iter()
            .map(|receipt| receipt["transactionHash"].clone())
            .collect();
        let expected: Vec<Value> = expected.into_iter().map(hash).collect();
        assert_eq!(told, expected, "{params}");
        assert_eq!(
            ask(&mut socket, "eth_echo", &json!([]))["result"],
            json!([]),
            "nothing else came"
        );
        drop(socket);
        settle(&server, 0);
    }
}

#[test]
fn a_blocks_header_comes_before_its_receipts_and_those_before_its_logs() {
    let (server, address) = start_one(Limits::default());
    let mut socket = open_websocket(address);
    let mut expected: Vec<String> = ["logs", "transactionReceipts", "newHeads"]
        .map(|name| subscribe(&mut socket, &json!([name])))
        .into();
    expected.reverse();
    settle(&server, 3);
    server.publish(head(1, &[1]));
    for id in expected {
        results(&mut socket, &id, 1);
    }
}

#[test]
fn a_blocks_header_comes_before_its_logs() {
    let (server, address) = start_one(Limits::default());
    let mut socket = open_websocket(address);
    let logs: Vec<String> = (0..8)
        .map(|_| subscribe(&mut socket, &json!(["logs"])))
        .collect();
    let heads = subscribe(&mut socket, &json!(["newHeads"]));
    settle(&server, 9);
    server.publish(head(1, &[1]));
    results(&mut socket, &heads, 1);
    let mut told: Vec<Value> = (0..8)
        .map(|_| receive(&mut socket)["params"]["subscription"].clone())
        .collect();
    told.sort_by_key(Value::to_string);
    let mut expected: Vec<Value> = logs.into_iter().map(Value::String).collect();
    expected.sort_by_key(Value::to_string);
    assert_eq!(told, expected);
}

#[test]
fn a_log_has_the_shape_of_geth() {
    let (server, address) = start_one(Limits::default());
    let mut socket = open_websocket(address);
    let id = subscribe(&mut socket, &json!(["logs"]));
    settle(&server, 1);
    server.publish(head(5, &[2]));
    let expected = json!({
        "address": "0x0202020202020202020202020202020202020202",
        "topics": ["0x0202020202020202020202020202020202020202020202020202020202020202"],
        "data": "0x02",
        "blockNumber": "0x5",
        "transactionHash": "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee",
        "transactionIndex": "0x0",
        "blockHash": "0x0505050505050505050505050505050505050505050505050505050505050505",
        "blockTimestamp": "0x6553f100",
        "logIndex": "0x0",
        "removed": false,
    });
    assert_eq!(results(&mut socket, &id, 1), [expected]);
}

#[test]
fn pending_transactions_arrive_as_hashes_or_whole() {
    let (server, address) = start_one(Limits::default());
    let (mut hashes, mut whole) = (open_websocket(address), open_websocket(address));
    let hashes_id = subscribe(&mut hashes, &json!(["newPendingTransactions"]));
    let whole_id = subscribe(&mut whole, &json!(["newPendingTransactions", true]));
    settle(&server, 2);
    server.publish(pending(&[1, 2]));
    let hash = |byte: &str| json!(format!("0x{}", byte.repeat(32)));
    assert_eq!(
        results(&mut hashes, &hashes_id, 2),
        [hash("01"), hash("02")]
    );
    assert_eq!(
        results(&mut whole, &whole_id, 2),
        [json!({"hash": hash("01")}), json!({"hash": hash("02")})]
    );
}

#[test]
fn nothing_comes_after_unsubscribing() {
    let (server, address) = start_one(Limits::default());
    let (mut socket, mut other) = (open_websocket(address), open_websocket(address));
    let id = subscribe(&mut socket, &json!(["newHeads"]));
    assert_eq!(
        error_of(&ask(&mut other, "eth_unsubscribe", &json!([id]))),
        (-32000, "subscription not found")
    );
    assert_eq!(
        ask(&mut socket, "eth_unsubscribe", &json!([id]))["result"],
        json!(true)
    );
    assert_eq!(
        error_of(&ask(&mut socket, "eth_unsubscribe", &json!([id]))),
        (-32000, "subscription not found")
    );
    let told = subscribe(&mut other, &json!(["newHeads"]));
    settle(&server, 1);
    // When somebody has heard of the second, everybody who is told has the first.
    server.publish(head(1, &[]));
    server.publish(head(2, &[]));
    results(&mut other, &told, 2);
    assert_eq!(
        ask(&mut socket, "eth_echo", &json!([7]))["result"],
        json!([7])
    );
    assert_eq!(server.statistics().subscriptions, 1);
}

#[test]
fn subscriptions_work_inside_a_batch_and_never_overtake_its_response() {
    let (server, address, fake) = start_with_fake(Limits::default());
    let (mut socket, mut other) = (open_websocket(address), open_websocket(address));
    let told = subscribe(&mut other, &json!(["newHeads"]));
    settle(&server, 1);
    let batch = json!([
        request("eth_subscribe", &json!(["newHeads"])),
        request("eth_held", &json!([])),
        request("eth_subscribe", &json!(["nothing"])),
    ]);
    send(&mut socket, &batch);
    wait_until("the batch runs", || {
        server.statistics().subscriptions == 2 && fake.gate.held() == 1
    });
    server.publish(head(1, &[]));
    // When somebody has heard of it, everybody has who ever will.
    results(&mut other, &told, 1);
    fake.gate.release(1);
    let response = receive(&mut socket);
    assert!(response[0]["result"].is_string(), "{response}");
    assert_eq!(
        error_of(&response[2]),
        (-32601, "no \"nothing\" subscription in eth namespace")
    );
    settle(&server, 2);
    server.publish(head(2, &[]));
    let id = response[0]["result"].as_str().unwrap();
    assert_eq!(results(&mut socket, id, 1)[0]["number"], json!("0x2"));
}

#[test]
fn wrong_subscriptions_are_refused() {
    let (_server, address) = start_one(Limits {
        filter_criteria_max: 2,
        ..Limits::default()
    });
    let mut socket = open_websocket(address);
    let many = vec![
        "0x0202020202020202020202020202020202020202",
        "0x0303030303030303030303030303030303030303",
        "0x0404040404040404040404040404040404040404",
    ];
    for (params, code) in [
        (json!([]), -32602),
        (json!({}), -32602),
        (json!([7]), -32602),
        (json!(["newHeads", 1, 2]), -32602),
        (json!(["unknown"]), -32601),
        (json!(["logs", {"address": "0x12"}]), -32602),
        (json!(["logs", {"address": many}]), -32602),
        (json!(["logs", {"topics": [[], [], [], [], []]}]), -32602),
        (
            json!(["logs", {"fromBlock": "0x5", "toBlock": "0x4"}]),
            -32602,
        ),
        (
            json!(["logs", {"fromBlock": "pending", "toBlock": "pending"}]),
            -32602,
        ),
        (json!(["newPendingTransactions", "yes"]), -32602),
        (json!(["transactionReceipts", []]), -32602),
        (json!(["transactionReceipts", "0x"]), -32602),
        (
            json!(["transactionReceipts", {"transactionHashes": ["0x1"]}]),
            -32602,
        ),
        (
            json!(["transactionReceipts", {"transactionHashes": ["01".repeat(32)]}]),
            -32602,
        ),
        (
            json!(["transactionReceipts", {"transactionHashes": [format!("0x0x{}", "01".repeat(32))]}]),
            -32602,
        ),
        (
            json!(["transactionReceipts", {"transactionHashes": [null]}]),
            -32602,
        ),
        (
            json!(["transactionReceipts", {"transactionHashes": vec![format!("0x{}", "01".repeat(32)); 201]}]),
            -32000,
        ),
    ] {
        assert_eq!(
            error_of(&ask(&mut socket, "eth_subscribe", &params)).0,
            code,
            "{params}"
        );
    }
}

#[test]
fn open_subscriptions_are_counted_by_type() {
    let (server, address) = start_one(Limits::default());
    let mut socket = open_websocket(address);
    subscribe(&mut socket, &json!(["newHeads"]));
    let logs = subscribe(&mut socket, &json!(["logs", {}]));
    subscribe(&mut socket, &json!(["newPendingTransactions"]));
    subscribe(&mut socket, &json!(["newPendingTransactions", true]));
    subscribe(&mut socket, &json!(["transactionReceipts"]));
    let open = |server: &Server| server.statistics().subscriptions_by_type;
    assert_eq!(
        open(&server),
        [
            ("newHeads", 1),
            ("logs", 1),
            ("newPendingTransactions", 2),
            ("syncing", 0),
            ("transactionReceipts", 1)
        ]
    );
    ask(&mut socket, "eth_unsubscribe", &json!([logs]));
    assert_eq!(open(&server)[1], ("logs", 0));
    drop(socket);
    settle(&server, 0);
    assert!(open(&server).iter().all(|(_, count)| *count == 0));
}

/// Row 12, for one socket.
#[test]
fn a_connection_has_a_limited_number_of_subscriptions() {
    let (server, address) = start_one(Limits::default());
    let mut socket = open_websocket(address);
    for _ in 0..32 {
        subscribe(&mut socket, &json!(["newHeads"]));
    }
    for _ in 0..1_000 {
        let refused = ask(&mut socket, "eth_subscribe", &json!(["newHeads"]));
        assert_eq!(error_of(&refused).0, -32005, "{refused}");
    }
    assert_eq!(server.statistics().subscriptions, 32);
    drop(socket);
    settle(&server, 0);
    assert!(!server.interest().heads);
}

/// Row 13.
#[test]
fn a_subscriber_that_never_reads_is_closed_and_others_hear_everything() {
    let (server, address) = start_one(Limits {
        notifications_queued_max: 100,
        ..Limits::default()
    });
    let (mut deaf, mut good) = (open_websocket(address), open_websocket(address));
    subscribe(&mut deaf, &json!(["logs"]));
    let id = subscribe(&mut good, &json!(["newHeads"]));
    settle(&server, 2);
    // The kernel's buffers take some megabytes before anything waits.
    let topics = [1; 50];
    let mut published = 0;
    wait_until("the deaf one is given up", || {
        for _ in 0..50 {
            published += 1;
            server.publish(head(published, &topics));
        }
        results(&mut good, &id, 50);
        server.statistics().slow_subscribers == 1
    });
    wait_until("it is closed", || {
        server.statistics().websocket_connections == 1
    });
    assert_eq!(server.statistics().subscriptions, 1);
    assert_eq!(server.statistics().events_dropped, 0);
}

#[test]
fn a_subscriber_that_reads_too_slowly_is_told_why() {
    let limits = Limits {
        notifications_queued_max: 1,
        ..Limits::default()
    };
    let (server, address) = start_one(limits);
    let mut socket = open_websocket(address);
    subscribe(&mut socket, &json!(["logs"]));
    settle(&server, 1);
    let mut number = 0;
    wait_until("blocks overtake the connection", || {
        for _ in 0..100 {
            number += 1;
            server.publish(head(number, &[1; 100]));
        }
        server.statistics().slow_subscribers == 1
    });
    assert_eq!(close_code(&mut socket), Some(1013));
}

/// Row 13: nobody's transaction takes a listener's connection away.
#[test]
fn a_block_with_more_logs_than_the_queue_has_places_is_told_whole() {
    let (server, address) = start_one(Limits {
        notifications_queued_max: 2,
        ..Limits::default()
    });
    let mut socket = open_websocket(address);
    let logs = subscribe(&mut socket, &json!(["logs"]));
    settle(&server, 1);
    server.publish(head(1, &[1; 5_000]));
    let told = results(&mut socket, &logs, 5_000);
    assert!(
        told.iter()
            .zip(0..)
            .all(|(log, place)| { log["logIndex"] == json!(format!("0x{place:x}")) })
    );
    assert_eq!(server.statistics().slow_subscribers, 0);
}
