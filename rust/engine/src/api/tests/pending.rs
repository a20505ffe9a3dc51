//! What is asked of the block `pending` is answered from a block that was run on the head.

use std::time::Duration;

use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, keccak256};
use serde_json::{Value, json};

use super::{
    node::{CLEAR, ENVIRONMENT, Node, SLOT, STORE, call, patient, word},
    rare_rules,
};
use crate::{
    EngineConfig,
    api::ApiLimits,
    testing::{Account, GAS_LIMIT},
};

const BOB: Address = Address::repeat_byte(0xb0);
/// Returns slot 0.
const SHOW: [u8; 8] = hex!("5f545f5260205ff3");

/// A chain of one block whose pool has a transfer of five, a 9 for the slot of `STORE` and a zero for that of `CLEAR`.
fn node() -> Node {
    node_that_keeps(ApiLimits::default().pending_age_max)
}

fn node_that_keeps(pending_age_max: Duration) -> Node {
    let limits = ApiLimits {
        pending_age_max,
        ..patient()
    };
    let node = Node::with(limits, EngineConfig::default());
    node.mine();
    node.submit(&Account::of(0).transfer(0, BOB, 5));
    node.submit(&call(&Account::of(1), 0, STORE, word(9)));
    node.submit(&call(&Account::of(2), 0, CLEAR, Bytes::new()));
    node
}

fn number(value: &Value) -> u64 {
    let text = value.as_str().expect("a quantity");
    u64::from_str_radix(&text[2..], 16).expect("a number")
}

fn slot(value: u64) -> Value {
    json!(B256::from(U256::from(value)))
}

#[test]
fn the_state_at_pending_is_what_the_pools_transactions_leave_and_that_at_latest_is_untouched() {
    let node = node();
    let alice = Account::of(0).address;
    let show = json!({ STORE.to_string(): { "code": hex::encode_prefixed(SHOW) } });
    for (block, balance, stored) in [("latest", "0x0", 7), ("pending", "0x5", 9)] {
        assert_eq!(node.ask("eth_getBalance", json!([BOB, block])), balance);
        let read = node.ask("eth_getStorageAt", json!([STORE, "0x0", block]));
        assert_eq!(read, slot(stored), "{block}");
        let slots = json!({ STORE.to_string(): [B256::ZERO] });
        let values = node.ask("eth_getStorageValues", json!([slots, block]));
        assert_eq!(values[format!("{STORE:?}")], json!([slot(stored)]));
        let run = node.ask("eth_call", json!([{"to": STORE}, block, show]));
        assert_eq!(run, slot(stored), "{block}");
        // The state below the block shines through.
        let untouched = node.ask("eth_getStorageAt", json!([SLOT, "0x0", block]));
        assert_eq!(untouched, slot(7));
        let code = node.ask("eth_getCode", json!([SLOT, block]));
        assert_eq!(code, "0x5f545f524760205260405ff3");
        assert_eq!(node.ask("eth_getCode", json!([BOB, block])), "0x");
    }
    let balance = |block: &str| {
        let text = node.ask("eth_getBalance", json!([alice, block]));
        text.as_str()
            .expect("a quantity")
            .parse::<U256>()
            .expect("a number")
    };
    assert!(balance("pending") < balance("latest"), "she paid for it");
    assert_eq!(node.ask("eth_blockNumber", json!([])), "0x1");
    assert_eq!(node.engine.undecided(), 0);
}

#[test]
fn a_contract_that_the_pool_creates_has_code_at_pending() {
    let node = node();
    let carol = Account::of(3);
    // Init code that returns one byte, zero: STOP.
    let create = carol.sign_transaction(TxEip1559 {
        to: TxKind::Create,
        input: hex!("60015ff3").into(),
        ..carol.call(0, 200_000)
    });
    node.submit(&create);
    let created = carol.address.create(0);
    let code = |block: &str| node.ask("eth_getCode", json!([created, block]));
    assert_eq!(
        (code("latest"), code("pending")),
        (json!("0x"), json!("0x00"))
    );
    let has = |block: &str| node.ask("ots_hasCode", json!([created, block]));
    assert_eq!((has("latest"), has("pending")), (json!(false), json!(true)));
}

#[test]
fn a_call_at_pending_runs_in_the_block_after_the_head() {
    let node = node();
    let words = |block: &str| -> Vec<U256> {
        let request =
            json!({"from": Account::of(3).address, "to": ENVIRONMENT, "gasPrice": "0x174876e800"});
        let answer = node.ask("eth_call", json!([request, block]));
        let bytes = hex::decode(answer.as_str().expect("bytes")).expect("hex");
        bytes.chunks(32).map(U256::from_be_slice).collect()
    };
    let (latest, pending) = (words("latest"), words("pending"));
    assert_eq!((latest[0], pending[0]), (U256::from(1), U256::from(2)));
    let block = node.ask("eth_getBlockByNumber", json!(["pending", false]));
    assert_eq!(pending[1], U256::from(number(&block["timestamp"])));
    assert!(pending[1] > latest[1]);
    let next_fee = number(&node.ask("eth_baseFee", json!([])));
    assert_eq!(pending[2], U256::from(next_fee));
    assert_eq!(number(&block["baseFeePerGas"]), next_fee);
    assert_ne!(latest[2], pending[2]);
    assert_eq!(pending[3], U256::ZERO, "who proposes it is not known");
}

#[test]
fn the_clock_times_the_pending_block() {
    let node = node();
    let now = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.expect("after 1970").as_secs()
    };
    let before = now();
    let block = node.ask("eth_getBlockByNumber", json!(["pending", false]));
    assert!((before..=now()).contains(&number(&block["timestamp"])));
}

#[test]
fn estimates_access_lists_and_simulations_at_pending_start_where_the_pool_leaves_the_state() {
    let node = node();
    // To store into an empty slot costs 17,100 more than to change a full one.
    let fill = json!({"to": CLEAR, "from": Account::of(3).address});
    let stores = hex!("60055f5500");
    let code = json!({ CLEAR.to_string(): { "code": hex::encode_prefixed(stores) } });
    let gas = |block: &str| number(&node.ask("eth_estimateGas", json!([fill, block, code])));
    assert!(gas("pending") > gas("latest") + 15_000);
    let listed = |block: &str| {
        let list = node.ask("eth_createAccessList", json!([fill, block, code]));
        number(&list["gasUsed"])
    };
    assert!(listed("pending") > listed("latest") + 15_000);
    let simulated = |block: &str| {
        let show = json!({ STORE.to_string(): { "code": hex::encode_prefixed(SHOW) } });
        let calls = json!([{"stateOverrides": show, "calls": [{"to": STORE}]}]);
        node.ask("eth_simulateV1", json!([{"blockStateCalls": calls}, block]))
    };
    let (latest, pending) = (simulated("latest"), simulated("pending"));
    assert_eq!(latest[0]["calls"][0]["returnData"], slot(7));
    assert_eq!(pending[0]["calls"][0]["returnData"], slot(9));
    assert_eq!(
        (&latest[0]["number"], &pending[0]["number"]),
        (&json!("0x2"), &json!("0x3"))
    );
}

#[test]
fn the_history_of_fees_up_to_pending_ends_with_the_block_after_the_head() {
    let node = node();
    let history = node.ask("eth_feeHistory", json!(["0x2", "pending", [50]]));
    let block = node.ask("eth_getBlockByNumber", json!(["pending", false]));
    assert_eq!(history["oldestBlock"], "0x1");
    let fees = history["baseFeePerGas"].as_array().expect("fees");
    assert_eq!(fees.len(), 3);
    assert_eq!(fees[1], block["baseFeePerGas"]);
    assert!(
        number(&fees[2]) < number(&fees[1]),
        "after a block with little gas"
    );
    let used = number(&block["gasUsed"]);
    assert!(used > 63_000);
    let share = used as f64 / GAS_LIMIT as f64;
    assert_eq!(history["gasUsedRatio"], json!([0.0, share]));
    assert_eq!(history["reward"], json!([["0x0"], ["0x3b9aca00"]]));
    assert_eq!(
        history["baseFeePerBlobGas"].as_array().map(Vec::len),
        Some(3)
    );
    let latest = node.ask("eth_feeHistory", json!(["0x2", "latest", [50]]));
    assert_eq!(latest["oldestBlock"], "0x0");
    assert_eq!(latest["reward"], json!([["0x0"], ["0x0"]]));
}

#[test]
fn the_pending_block_has_what_running_it_gave() {
    let node = node();
    let pending = node.ask("eth_getBlockByNumber", json!(["pending", true]));
    let header = node.ask("eth_getHeaderByNumber", json!(["pending"]));
    let receipts = node.ask("eth_getBlockReceipts", json!(["pending"]));
    let head = node.ask("eth_getBlockByNumber", json!(["latest", false]));
    assert_eq!(pending["parentHash"], head["hash"]);
    assert_ne!(pending["stateRoot"], head["stateRoot"]);
    for (field, value) in header.as_object().expect("a header") {
        assert_eq!(&pending[field], value, "{field}");
    }
    let receipts = receipts.as_array().expect("receipts");
    assert_eq!(receipts.len(), 3);
    assert_eq!(receipts[2]["cumulativeGasUsed"], pending["gasUsed"]);
    for (receipt, transaction) in receipts
        .iter()
        .zip(pending["transactions"].as_array().expect("whole"))
    {
        assert_eq!(receipt["transactionHash"], transaction["hash"]);
        assert_eq!(
            (&receipt["status"], &receipt["blockNumber"]),
            (&json!("0x1"), &json!("0x2"))
        );
        assert_eq!(transaction["blockNumber"], Value::Null);
    }
    // The same transactions in a block that is decided.
    node.mine();
    let decided = node.ask("eth_getBlockByNumber", json!(["latest", false]));
    for field in [
        "number",
        "parentHash",
        "transactionsRoot",
        "receiptsRoot",
        "logsBloom",
        "gasUsed",
        "baseFeePerGas",
    ] {
        assert_eq!(pending[field], decided[field], "{field}");
    }
}

#[test]
fn a_proof_at_pending_leads_to_its_state_root() {
    let node = node();
    let block = node.ask("eth_getBlockByNumber", json!(["pending", false]));
    let proof = node.ask("eth_getProof", json!([STORE, ["0x0"], "pending"]));
    let root = hex::decode(proof["accountProof"][0].as_str().expect("a node")).expect("hex");
    assert_eq!(json!(keccak256(root)), block["stateRoot"]);
    assert_eq!(proof["storageProof"][0]["value"], "0x9");
    let latest = node.ask("eth_getProof", json!([STORE, ["0x0"], "latest"]));
    assert_eq!(latest["storageProof"][0]["value"], "0x7");
}

#[test]
fn within_its_time_a_block_is_not_made_again_and_on_another_head_it_is() {
    let count = |node: &Node| {
        let count = node.ask("eth_getBlockTransactionCountByNumber", json!(["pending"]));
        number(&count)
    };
    let carol = Account::of(3);
    let node = node_that_keeps(Duration::from_secs(3_600));
    assert_eq!(count(&node), 3);
    node.submit(&carol.transfer(0, BOB, 1));
    assert_eq!(count(&node), 3, "it is an hour's");
    assert_eq!(node.ask("eth_getBalance", json!([BOB, "pending"])), "0x5");
    node.mine();
    assert_eq!(count(&node), 0);
    assert_eq!(node.ask("eth_getBalance", json!([BOB, "pending"])), "0x6");
    let block = node.ask("eth_getBlockByNumber", json!(["pending", false]));
    assert_eq!(block["number"], "0x3");

    let node = node_that_keeps(Duration::ZERO);
    assert_eq!(count(&node), 3);
    node.submit(&carol.transfer(0, BOB, 1));
    assert_eq!(count(&node), 4);
}

#[test]
fn what_finds_no_time_is_left_out_of_the_pending_block() {
    let limits = ApiLimits {
        pending_timeout: Duration::ZERO,
        ..patient()
    };
    let node = Node::with(limits, EngineConfig::default());
    node.submit(&Account::of(0).transfer(0, BOB, 5));
    assert_eq!(node.ask("eth_getBalance", json!([BOB, "pending"])), "0x0");
    let block = node.ask("eth_getBlockByNumber", json!(["pending", false]));
    assert_eq!(
        (&block["number"], &block["gasUsed"]),
        (&json!("0x1"), &json!("0x0"))
    );
}

#[test]
fn before_the_merge_there_is_no_pending_block_and_its_state_is_the_heads() {
    let node = rare_rules::node(Some(json!({"homesteadBlock": 0})), json!({}));
    let rich = Account::of(0).address;
    let at = |block: &str| node.ask("eth_getBalance", json!([rich, block]));
    assert_eq!(at("pending"), at("latest"));
    assert_ne!(at("pending"), "0x0");
    assert_eq!(node.ask("eth_call", json!([{"to": rich}, "pending"])), "0x");
    for (method, params) in [
        ("eth_getBlockByNumber", json!(["pending", false])),
        ("eth_getHeaderByNumber", json!(["pending"])),
        ("eth_getBlockTransactionCountByNumber", json!(["pending"])),
        (
            "eth_getTransactionByBlockNumberAndIndex",
            json!(["pending", "0x0"]),
        ),
    ] {
        assert_eq!(node.ask(method, params), Value::Null, "{method}");
    }
    let (code, message, _) = node.refuse("eth_getBlockReceipts", json!(["pending"]));
    assert_eq!(
        (code, &*message),
        (-32000, "pending receipts is not available")
    );
    let history = node.ask("eth_feeHistory", json!(["0x2", "pending"]));
    assert_eq!(history["gasUsedRatio"].as_array().map(Vec::len), Some(1));
}
