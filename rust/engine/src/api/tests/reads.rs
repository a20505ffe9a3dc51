use alloy_primitives::{Address, B256, U256};
use serde_json::{Value, json};

use super::node::{CLEAR, Node, SLOT, STORE, call, patient, word};
use crate::{EngineConfig, testing::Account};

const ABSENT: Address = Address::repeat_byte(0x99);

fn padded(number: u64) -> Value {
    json!(B256::from(U256::from(number)))
}

#[test]
fn accounts_are_read_at_any_block_by_number_tag_hash_and_object() {
    let node = Node::new();
    let (alice, bob) = (Account::of(0), Address::repeat_byte(0xb0));
    node.mine_one(&alice.transfer(0, bob, 5));
    let first = node.engine.head().hash;
    node.mine_one(&alice.transfer(1, bob, 6));
    let cases = [
        (json!("0x0"), "0x0"),
        (json!("earliest"), "0x0"),
        (json!("0x1"), "0x5"),
        (json!(first), "0x5"),
        (json!({"blockHash": first}), "0x5"),
        (json!({"blockHash": first, "requireCanonical": true}), "0x5"),
        (json!({"blockNumber": "0x1"}), "0x5"),
        (json!("0x2"), "0xb"),
        (json!("latest"), "0xb"),
        (json!("safe"), "0xb"),
        (json!("finalized"), "0xb"),
        (json!("pending"), "0xb"),
        (json!(null), "0xb"),
    ];
    for (block, expected) in cases {
        let balance = node.ask("eth_getBalance", json!([bob, block]));
        assert_eq!(balance, expected, "{block}");
    }
    assert_eq!(node.ask("eth_getBalance", json!([bob])), "0xb");
    assert_eq!(node.ask("eth_getBalance", json!([ABSENT])), "0x0");
    for (block, nonce) in [("0x0", "0x0"), ("0x1", "0x1"), ("latest", "0x2")] {
        let given = node.ask("eth_getTransactionCount", json!([alice.address, block]));
        assert_eq!(given, nonce);
    }
}

#[test]
fn an_unknown_block_has_no_state() {
    let node = Node::new();
    let cases = [
        (json!("0x1"), "header not found"),
        (
            json!({"blockNumber": "0x7fffffffffffffff"}),
            "header not found",
        ),
        (json!(B256::repeat_byte(1)), "header for hash not found"),
    ];
    for (block, expected) in cases {
        for method in ["eth_getBalance", "eth_getCode", "eth_getTransactionCount"] {
            let (code, message, _) = node.refuse(method, json!([ABSENT, block]));
            assert_eq!(
                (code, message.as_str()),
                (-32000, expected),
                "{method} {block}"
            );
        }
    }
}

#[test]
fn pruned_state_is_an_error_that_names_the_oldest_block_kept() {
    let config = EngineConfig {
        history_blocks: Some(2),
        ..EngineConfig::default()
    };
    let node = Node::with(patient(), config);
    let alice = Account::of(0);
    for nonce in 0..6 {
        node.mine_one(&alice.transfer(nonce, ABSENT, 1));
    }
    node.engine.store().flush().expect("old state is dropped");
    let (code, message, _) = node.refuse("eth_getBalance", json!([ABSENT, "0x1"]));
    assert_eq!(code, -32000);
    assert!(
        message.starts_with("state of block 1 is pruned; the oldest kept is "),
        "{message}"
    );
    assert_eq!(node.ask("eth_getBalance", json!([ABSENT, "0x6"])), "0x6");
}

#[test]
fn the_pending_nonce_counts_the_pool() {
    let node = Node::new();
    let alice = Account::of(0);
    node.submit(&alice.transfer(0, ABSENT, 1));
    node.submit(&alice.transfer(1, ABSENT, 1));
    let nonce = |tag: &str| node.ask("eth_getTransactionCount", json!([alice.address, tag]));
    assert_eq!(
        (nonce("latest"), nonce("pending")),
        (json!("0x0"), json!("0x2"))
    );
    node.mine();
    assert_eq!(
        (nonce("latest"), nonce("pending")),
        (json!("0x2"), json!("0x2"))
    );
}

#[test]
fn code_is_given_whole_and_empty_where_there_is_none() {
    let node = Node::new();
    assert_eq!(node.ask("eth_getCode", json!([CLEAR])), "0x5f5f5500");
    assert_eq!(node.ask("eth_getCode", json!([ABSENT, "latest"])), "0x");
}

#[test]
fn a_storage_slot_is_always_32_bytes_and_its_key_may_be_short() {
    let node = Node::new();
    node.mine_one(&call(&Account::of(0), 0, STORE, word(0x1234)));
    let zero = B256::ZERO;
    for key in ["0x0", "0x00", "0", "", "0x", &zero.to_string()] {
        let value = node.ask("eth_getStorageAt", json!([STORE, key, "latest"]));
        assert_eq!(value, padded(0x1234), "{key}");
    }
    assert_eq!(
        node.ask("eth_getStorageAt", json!([STORE, "0x0", "0x0"])),
        padded(7)
    );
    assert_eq!(
        node.ask("eth_getStorageAt", json!([STORE, "0x1"])),
        padded(0)
    );
    assert_eq!(
        node.ask("eth_getStorageAt", json!([ABSENT, "0x0"])),
        padded(0)
    );
    let cases = [
        (
            "0xasdf",
            "invalid hex in storage key: \"0xasdf\"".to_owned(),
        ),
        (
            &"1".repeat(65),
            format!(
                "storage key too long (want at most 32 bytes): {:?}",
                "1".repeat(65)
            ),
        ),
    ];
    for (key, expected) in cases {
        let (code, message, _) = node.refuse("eth_getStorageAt", json!([STORE, key]));
        assert_eq!((code, message), (-32602, expected));
    }
}

#[test]
fn many_slots_are_read_at_once_within_the_limit() {
    let node = Node::new();
    let (zero, one) = (B256::ZERO, B256::with_last_byte(1));
    let values = node.ask(
        "eth_getStorageValues",
        json!([{STORE.to_string(): [zero, one], SLOT.to_string(): [zero]}]),
    );
    assert_eq!(
        values,
        json!({
            format!("{STORE:#x}"): [padded(7), padded(0)],
            format!("{SLOT:#x}"): [padded(7)],
        })
    );
    let refuse = |request: Value| {
        let (code, message, _) = node.refuse("eth_getStorageValues", json!([request]));
        (code, message)
    };
    assert_eq!(refuse(json!({})), (-32602, "empty request".to_owned()));
    let many: Vec<B256> = (0..1025_u64).map(|slot| U256::from(slot).into()).collect();
    assert_eq!(
        refuse(json!({STORE.to_string(): many})),
        (-38026, "too many slots (max 1024)".to_owned())
    );
}

#[test]
fn a_proof_answers_each_key_in_the_form_in_which_it_was_asked() {
    let node = Node::new();
    let whole = B256::ZERO.to_string();
    let proof = node.ask(
        "eth_getProof",
        json!([STORE, ["0x0", whole, "0x01"], "latest"]),
    );
    let keys: Vec<&Value> = (0..3)
        .map(|index| &proof["storageProof"][index]["key"])
        .collect();
    assert_eq!(keys, [&json!("0x0"), &json!(whole), &json!("0x1")]);
    assert_eq!(proof["storageProof"][0]["value"], "0x7");
    assert_eq!(proof["storageProof"][2]["value"], "0x0");
    assert_eq!(proof["address"], json!(STORE));
    assert_eq!(proof["nonce"], "0x1");
    let block = node.ask("eth_getBlockByNumber", json!(["latest", false]));
    let first: alloy_primitives::Bytes =
        serde_json::from_value(proof["accountProof"][0].clone()).expect("a node");
    assert_eq!(
        json!(alloy_primitives::keccak256(first)),
        block["stateRoot"],
        "the first node of the proof is the root"
    );
    let absent = node.ask("eth_getProof", json!([ABSENT, ["0x0"], "latest"]));
    assert_eq!(absent["balance"], "0x0");
    assert_eq!(absent["storageProof"][0]["proof"], json!([]));
    assert_eq!(
        (&absent["codeHash"], &absent["storageHash"]),
        (&json!(B256::ZERO), &json!(B256::ZERO)),
        "as geth says of an account that is not there"
    );
    let many = vec!["0x0"; 1025];
    let (code, message, _) = node.refuse("eth_getProof", json!([STORE, many, "latest"]));
    assert_eq!(code, -32602);
    assert_eq!(
        message,
        "too many storage keys requested (max 1024, got 1025)"
    );
}
