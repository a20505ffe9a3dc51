//! Filters over HTTP: what accumulates, what is given once, what is limited.

mod common;

use std::time::Duration;

use common::*;
use rpc::{Limits, Server};
use serde_json::{Value, json};
use std::net::SocketAddr;

fn install(address: SocketAddr, method: &str, params: &Value) -> String {
    let response = call(address, method, params);
    response["result"]
        .as_str()
        .unwrap_or_else(|| panic!("{response}"))
        .to_owned()
}

/// What a filter gives after all published events have been passed on.
fn changes(server: &Server, address: SocketAddr, id: &str, count: usize) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    wait_until("changes arrive", || {
        let response = call(address, "eth_getFilterChanges", &json!([id]));
        all.extend_from_slice(
            response["result"]
                .as_array()
                .unwrap_or_else(|| panic!("{response}")),
        );
        all.len() >= count
    });
    assert_eq!(server.statistics().events_dropped, 0);
    all
}

fn hash(byte: &str) -> Value {
    json!(format!("0x{}", byte.repeat(32)))
}

#[test]
fn each_kind_of_filter_gives_its_news_once() {
    let (server, address) = start_one(Limits::default());
    let blocks = install(address, "eth_newBlockFilter", &json!([]));
    let logs = install(
        address,
        "eth_newFilter",
        &json!([{"address": "0x0202020202020202020202020202020202020202"}]),
    );
    let hashes = install(address, "eth_newPendingTransactionFilter", &json!([]));
    let whole = install(address, "eth_newPendingTransactionFilter", &json!([true]));
    let interest = server.interest();
    assert!(interest.heads && interest.logs && interest.pending);
    server.publish(head(1, &[1, 2, 3, 2]));
    server.publish(pending(&[7, 8]));
    server.publish(head(2, &[]));
    assert_eq!(
        changes(&server, address, &blocks, 2),
        [hash("01"), hash("02")]
    );
    let found: Vec<Value> = changes(&server, address, &logs, 2)
        .iter()
        .map(|log| log["logIndex"].clone())
        .collect();
    assert_eq!(found, [json!("0x1"), json!("0x3")]);
    assert_eq!(
        changes(&server, address, &hashes, 2),
        [hash("07"), hash("08")]
    );
    assert_eq!(
        changes(&server, address, &whole, 2),
        [json!({"hash": hash("07")}), json!({"hash": hash("08")})]
    );
    for id in [&blocks, &logs, &hashes, &whole] {
        assert_eq!(
            call(address, "eth_getFilterChanges", &json!([id]))["result"],
            json!([])
        );
        assert_eq!(
            call(address, "eth_uninstallFilter", &json!([id]))["result"],
            json!(true)
        );
        assert_eq!(
            call(address, "eth_uninstallFilter", &json!([id]))["result"],
            json!(false)
        );
        assert_eq!(
            error_of(&call(address, "eth_getFilterChanges", &json!([id]))),
            (-32000, "filter not found")
        );
    }
    assert_eq!(server.statistics().filters, 0);
}

#[test]
fn a_filter_is_not_told_of_the_block_that_was_visible_when_it_was_made() {
    let (server, address) = start_at(7);
    let blocks = install(address, "eth_newBlockFilter", &json!([]));
    let logs = install(address, "eth_newFilter", &json!([{}]));
    for number in [7, 8] {
        server.publish(head(number, &[1]));
    }
    assert_eq!(changes(&server, address, &blocks, 1), [hash("08")]);
    let found = changes(&server, address, &logs, 1);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["blockNumber"], json!("0x8"));
}

#[test]
fn the_past_of_a_log_filter_is_asked_of_the_engine() {
    let (_server, address) = start_one(Limits::default());
    let criteria =
        json!({"fromBlock": "0x1", "toBlock": "0x5", "topics": [[hash("01"), hash("02")]]});
    let logs = install(address, "eth_newFilter", &json!([criteria]));
    assert_eq!(
        call(address, "eth_getFilterLogs", &json!([logs]))["result"],
        json!([criteria]),
        "the fake echoes"
    );
    let blocks = install(address, "eth_newBlockFilter", &json!([]));
    for id in [blocks.as_str(), "0x1234"] {
        assert_eq!(
            error_of(&call(address, "eth_getFilterLogs", &json!([id]))),
            (-32000, "filter not found")
        );
    }
}

#[test]
fn filter_ids_may_be_written_as_numbers_are() {
    let (_server, address) = start_one(Limits::default());
    let id = install(address, "eth_newBlockFilter", &json!([]));
    let padded = format!("0x{:0>32}", id[2..].to_ascii_uppercase());
    assert_eq!(
        call(address, "eth_getFilterChanges", &json!([padded]))["result"],
        json!([])
    );
}

#[test]
fn wrong_filters_are_refused() {
    let (server, address) = start_one(Limits {
        filter_criteria_max: 1,
        ..Limits::default()
    });
    for (method, params) in [
        ("eth_newFilter", json!([])),
        ("eth_newFilter", json!(["latest"])),
        ("eth_newFilter", json!([{"address": "0x1"}])),
        (
            "eth_newFilter",
            json!([{"fromBlock": "0x2", "toBlock": "0x1"}]),
        ),
        (
            "eth_newFilter",
            json!([{"topics": [[hash("01"), hash("02")]]}]),
        ),
        (
            "eth_newFilter",
            json!([{"blockHash": hash("01"), "fromBlock": "0x1"}]),
        ),
        ("eth_newPendingTransactionFilter", json!([7])),
        ("eth_getFilterChanges", json!([])),
        ("eth_getFilterChanges", json!([7])),
    ] {
        assert_eq!(
            error_of(&call(address, method, &params)).0,
            -32602,
            "{method} {params}"
        );
    }
    assert_eq!(server.statistics().filters, 0);
}

#[test]
fn filters_are_limited_in_all_and_in_what_they_hold() {
    let (server, address) = start_one(Limits {
        filters_max: 3,
        filter_entries_max: 4,
        ..Limits::default()
    });
    let ids: Vec<String> = (0..3)
        .map(|_| install(address, "eth_newFilter", &json!([{}])))
        .collect();
    assert_eq!(
        error_of(&call(address, "eth_newBlockFilter", &json!([]))).0,
        -32005
    );
    server.publish(head(1, &[1, 1, 1, 1]));
    assert_eq!(changes(&server, address, &ids[0], 4).len(), 4);
    server.publish(head(2, &[1]));
    wait_until("the full ones are removed", || {
        server.statistics().filters == 1
    });
    assert_eq!(changes(&server, address, &ids[0], 1).len(), 1);
    assert_eq!(
        error_of(&call(address, "eth_getFilterChanges", &json!([ids[1]]))),
        (-32000, "filter not found")
    );
}

#[test]
fn a_filter_nobody_asks_is_forgotten() {
    let (_server, address) = start_one(Limits {
        filter_timeout: Duration::from_millis(50),
        ..Limits::default()
    });
    let id = install(address, "eth_newBlockFilter", &json!([]));
    std::thread::sleep(Duration::from_millis(80));
    assert_eq!(
        error_of(&call(address, "eth_getFilterChanges", &json!([id]))),
        (-32000, "filter not found")
    );
}
