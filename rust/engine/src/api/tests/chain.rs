use alloy_primitives::U256;
use alloy_rpc_types_eth::SyncInfo;
use serde_json::json;

use super::node::Node;
use crate::api::{Api, Cost};

#[test]
fn what_needs_no_state_is_answered_in_full() {
    let node = Node::new();
    node.mine();
    let head = node.engine.head();
    let cases = [
        ("eth_chainId", json!([]), json!("0x539")),
        ("eth_blockNumber", json!([]), json!("0x1")),
        ("eth_accounts", json!([]), json!([])),
        ("eth_syncing", json!([]), json!(false)),
        ("web3_clientVersion", json!([]), json!("metanode/test")),
        (
            "web3_sha3",
            json!(["0x68656c6c6f20776f726c64"]),
            json!("0x47173285a8d7341e5e972fc677286384f802f8ef42a5ec5f03bbfa254cb01fad"),
        ),
        (
            "txpool_status",
            json!([]),
            json!({"pending": "0x0", "queued": "0x0"}),
        ),
        (
            "eth_capabilities",
            json!([]),
            json!({
                "head": {"number": "0x1", "hash": head.hash},
                "state": {"disabled": false, "oldestBlock": "0x0"},
                "stateproofs": {"disabled": false, "oldestBlock": "0x0"},
                "tx": {"disabled": false, "oldestBlock": "0x0"},
                "logs": {"disabled": false, "oldestBlock": "0x0"},
                "receipts": {"disabled": false, "oldestBlock": "0x0"},
                "blocks": {"disabled": false, "oldestBlock": "0x0"},
            }),
        ),
    ];
    for (method, params, expected) in cases {
        assert_eq!(node.ask(method, params), expected, "{method}");
    }
}

#[test]
fn the_syncing_answer_is_what_the_node_set() {
    let node = Node::new();
    node.api.set_syncing(Some(SyncInfo {
        starting_block: U256::from(1),
        current_block: U256::from(5),
        highest_block: U256::from(16),
        ..SyncInfo::default()
    }));
    let answer = node.ask("eth_syncing", json!([]));
    assert_eq!(answer["startingBlock"], "0x1");
    assert_eq!(answer["currentBlock"], "0x5");
    assert_eq!(answer["highestBlock"], "0x10");
    node.api.set_syncing(None);
    assert_eq!(node.ask("eth_syncing", json!([])), false);
}

#[test]
fn an_unknown_method_is_named_and_a_very_long_name_is_cut() {
    let node = Node::new();
    for method in [
        "eth_foo",
        "debug_traceChain",
        "anvil_mine",
        "eth_getbalance",
        "",
    ] {
        let (code, message, _) = node.refuse(method, json!([]));
        assert_eq!(code, -32601);
        assert_eq!(
            message,
            format!("the method {method} does not exist/is not available")
        );
    }
    let (_, message, _) = node.refuse(&"x".repeat(1 << 20), json!([]));
    assert!(message.len() < 300);
}

#[test]
fn every_method_has_a_cost_and_takes_no_more_arguments_than_it_knows() {
    let node = Node::new();
    for method in Api::declarations().map(|one| &*one.name) {
        assert!(Api::cost(method).is_some());
        let (code, message, _) = node.refuse(method, json!([1, 2, 3, 4, 5]));
        assert_eq!(code, -32602, "{method}");
        assert!(
            message.starts_with("too many arguments, want at most "),
            "{method}: {message}"
        );
    }
    assert_eq!(Api::cost("eth_getTransactionCount"), Some(Cost::Read));
    assert_eq!(Api::cost("eth_getBalance"), Some(Cost::ReadUnlessPending));
    assert_eq!(Api::cost("eth_call"), Some(Cost::Heavy));
    assert_eq!(Api::cost("eth_sendRawTransaction"), Some(Cost::Write));
    assert_eq!(Api::cost("net_version"), None);
}

#[test]
fn the_configuration_names_the_rules_of_the_active_fork() {
    let node = Node::new();
    let config = node.ask("eth_config", json!([]));
    assert_eq!(config["next"], json!(null));
    assert_eq!(config["last"], json!(null));
    let current = &config["current"];
    assert_eq!(current["activationTime"], 0);
    assert_eq!(current["chainId"], "0x539");
    assert_eq!(current["blobSchedule"]["max"], 9);
    assert_eq!(current["forkId"].as_str().map(str::len), Some(10));
    assert_eq!(
        current["precompiles"]["P256VERIFY"],
        "0x0000000000000000000000000000000000000100"
    );
    assert_eq!(
        current["systemContracts"]["HISTORY_STORAGE_ADDRESS"],
        "0x0000f90827f1c53a10cb7a02335b175320002935"
    );
    let names: Vec<&str> = current["precompiles"]
        .as_object()
        .into_iter()
        .flat_map(|precompiles| precompiles.keys().map(String::as_str))
        .collect();
    let expected = [
        "BLAKE2F",
        "BLS12_G1ADD",
        "BLS12_G1MSM",
        "BLS12_G2ADD",
        "BLS12_G2MSM",
        "BLS12_MAP_FP2_TO_G2",
        "BLS12_MAP_FP_TO_G1",
        "BLS12_PAIRING_CHECK",
        "BN254_ADD",
        "BN254_MUL",
        "BN254_PAIRING",
        "ECREC",
        "ID",
        "KZG_POINT_EVALUATION",
        "MODEXP",
        "P256VERIFY",
        "RIPEMD160",
        "SHA256",
    ];
    assert_eq!(names, expected);
}
