use std::time::Duration;

use alloy_primitives::{Address, B256, U256, address, keccak256};
use serde_json::{Value, json};

use super::node::{ENVIRONMENT, INVALID, LOOP, Node, REVERT, SLOT, STORE, call, patient};
use crate::{EngineConfig, api::ApiLimits, testing::Account};

const NOBODY: Address = Address::repeat_byte(0x99);
/// Sends its ether to its caller and is gone.
const FAREWELL: &str = "0x33ff";

fn simulate(node: &Node, blocks: Value) -> Value {
    node.ask(
        "eth_simulateV1",
        json!([{"blockStateCalls": blocks}, "latest"]),
    )
}

fn number_in(value: &Value) -> U256 {
    let text = value.as_str().expect("a quantity");
    text.parse().expect("a number")
}

fn refused(node: &Node, simulation: Value) -> (i32, String) {
    let (code, message, _) = node.refuse("eth_simulateV1", json!([simulation, "latest"]));
    (code, message)
}

#[test]
fn an_empty_simulation_gives_the_next_block() {
    let node = Node::new();
    node.mine();
    let head = node.ask("eth_getBlockByNumber", json!(["latest", false]));
    let blocks = simulate(&node, json!([{}]));
    let block = &blocks[0];
    assert_eq!(block["number"], "0x2");
    assert_eq!(block["parentHash"], head["hash"]);
    assert_eq!(block["gasLimit"], head["gasLimit"]);
    assert_eq!(block["miner"], head["miner"]);
    assert_eq!(block["baseFeePerGas"], "0x0");
    assert_eq!(block["calls"], json!([]));
    let time = |block: &Value| number_in(&block["timestamp"]);
    assert_eq!(time(block), time(&head) + U256::from(12));
    assert_ne!(block["stateRoot"], head["stateRoot"], "system calls write");
}

#[test]
fn blocks_build_on_each_other_and_gaps_are_filled() {
    let node = Node::new();
    let stored = U256::from(42);
    let blocks = simulate(
        &node,
        json!([
            {"calls": [{"to": STORE, "input": B256::from(stored)}]},
            {"blockOverrides": {"number": "0x5", "time": "0x7fffffff"},
             "stateOverrides": {STORE.to_string(): {"code": "0x5f545f5260205ff3"}}, "calls": [{"to": STORE}]},
        ]),
    );
    let blocks = blocks.as_array().expect("blocks");
    let numbers: Vec<_> = blocks.iter().map(|block| block["number"].clone()).collect();
    assert_eq!(numbers, ["0x1", "0x2", "0x3", "0x4", "0x5"]);
    for pair in blocks.windows(2) {
        assert_eq!(pair[1]["parentHash"], pair[0]["hash"]);
    }
    let log = &blocks[0]["calls"][0]["logs"][0];
    assert_eq!(log["blockHash"], blocks[0]["hash"]);
    assert_eq!(log["transactionHash"], blocks[0]["transactions"][0]);
    assert_eq!(log["topics"][0], json!(B256::from(stored)));
    let returned = blocks[4]["calls"][0]["returnData"].as_str().expect("data");
    assert!(returned.starts_with(&B256::from(stored).to_string()));
    assert_eq!(blocks[4]["timestamp"], "0x7fffffff");
    assert_eq!(node.ask("eth_blockNumber", json!([])), "0x0");
}

/// The same transaction, mined: receipts root, transactions' gas and state root must agree.
#[test]
fn a_simulated_block_has_the_roots_of_the_block_that_is_built() {
    let node = Node::new();
    let alice = Account::of(0).address;
    let hash = node.mine_one(&call(&Account::of(0), 0, STORE, B256::with_last_byte(7)));
    let block = node.ask("eth_getBlockByNumber", json!(["0x1", true]));
    let transaction = &block["transactions"][0];
    assert_eq!(transaction["hash"], json!(hash));
    let simulation = json!({
        "validation": true,
        "blockStateCalls": [{
            "blockOverrides": {
                "time": block["timestamp"], "gasLimit": block["gasLimit"], "feeRecipient": block["miner"],
                "prevRandao": block["mixHash"], "beaconRoot": block["parentBeaconBlockRoot"],
                "withdrawals": block["withdrawals"],
            },
            "calls": [{
                "from": alice, "to": STORE, "input": transaction["input"], "gas": transaction["gas"],
                "value": transaction["value"], "nonce": transaction["nonce"],
                "maxFeePerGas": transaction["maxFeePerGas"],
                "maxPriorityFeePerGas": transaction["maxPriorityFeePerGas"],
            }],
        }],
    });
    let simulated = node.ask("eth_simulateV1", json!([simulation, "0x0"]));
    for field in [
        "stateRoot",
        "receiptsRoot",
        "logsBloom",
        "gasUsed",
        "baseFeePerGas",
        "withdrawalsRoot",
        "requestsHash",
        "parentHash",
        "excessBlobGas",
        "blobGasUsed",
        "number",
    ] {
        assert_eq!(simulated[0][field], block[field], "{field}");
    }
    assert_eq!(simulated[0]["calls"][0]["status"], "0x1");
}

/// Each block's root is computed on the one before, or from the base where an account was replaced: in debug builds both are compared.
#[test]
fn roots_follow_each_other_over_changes_and_replacements() {
    let node = Node::new();
    let slot = |byte| B256::with_last_byte(byte).to_string();
    let replaced = json!({SLOT.to_string(): {"state": {slot(1): slot(9)}}});
    let changed = json!({SLOT.to_string(): {"stateDiff": {slot(0): slot(8)}}});
    let gone = json!({NOBODY.to_string(): {"code": FAREWELL, "balance": "0x5"}});
    let store = |byte| json!([{"to": STORE, "input": B256::with_last_byte(byte)}]);
    let blocks = simulate(
        &node,
        json!([
            {"calls": store(1)},
            {"calls": store(2)},
            {},
            {"stateOverrides": replaced, "calls": store(3)},
            {"stateOverrides": changed, "calls": store(0)},
            {"stateOverrides": gone, "calls": [{"to": NOBODY}]},
            {"calls": store(4)},
        ]),
    );
    let roots: Vec<&str> = blocks
        .as_array()
        .expect("blocks")
        .iter()
        .map(|block| block["stateRoot"].as_str().expect("a root"))
        .collect();
    let distinct: std::collections::BTreeSet<&&str> = roots.iter().collect();
    assert_eq!(distinct.len(), 7, "{roots:?}");
}

#[test]
fn overrides_hold_for_the_blocks_that_follow() {
    let node = Node::new();
    let slot = |byte| B256::with_last_byte(byte).to_string();
    let whole = json!({SLOT.to_string(): {"state": {slot(1): slot(9)}, "balance": "0x5"}});
    let single = json!({SLOT.to_string(): {"stateDiff": {slot(0): slot(8)}}});
    let blocks = simulate(
        &node,
        json!([
            {"calls": [{"to": SLOT}]},
            {"stateOverrides": whole, "calls": [{"to": SLOT}]},
            {"stateOverrides": single, "calls": [{"to": SLOT}]},
            {"calls": [{"to": SLOT}]},
        ]),
    );
    let returned = |block: usize| -> (U256, U256) {
        let data = blocks[block]["calls"][0]["returnData"]
            .as_str()
            .expect("data");
        let bytes = alloy_primitives::hex::decode(data).expect("hex");
        (
            U256::from_be_slice(&bytes[..32]),
            U256::from_be_slice(&bytes[32..]),
        )
    };
    let pair = |slot: u64, balance: u64| (U256::from(slot), U256::from(balance));
    assert_eq!(returned(0), pair(7, 0));
    assert_eq!(returned(1), pair(0, 5));
    assert_eq!(returned(2), pair(8, 5));
    assert_eq!(returned(3), pair(8, 5));
}

#[test]
fn ether_is_reported_as_logs_where_it_moved() {
    let node = Node::new();
    let alice = Account::of(0).address;
    let contract = address!("0x00000000000000000000000000000000000f0001");
    let simulation = json!({
        "traceTransfers": true,
        "blockStateCalls": [{
            "stateOverrides": {contract.to_string(): {"code": FAREWELL}},
            "calls": [
                {"from": alice, "to": NOBODY, "value": "0x3"},
                {"from": alice, "to": REVERT, "value": "0x4"},
                {"from": alice, "to": contract, "value": "0x5"},
                {"from": alice, "input": "0x", "value": "0x6"},
            ],
        }],
    });
    let blocks = node.ask("eth_simulateV1", json!([simulation, "latest"]));
    let calls = blocks[0]["calls"].as_array().expect("calls");
    let transfers: Vec<Vec<(String, u64)>> = calls
        .iter()
        .map(|call| {
            let logs = call["logs"].as_array().expect("logs");
            let transfer = |log: &Value| {
                assert_eq!(log["address"], json!(Address::repeat_byte(0xee)));
                assert_eq!(
                    log["topics"][0],
                    json!(keccak256("Transfer(address,address,uint256)"))
                );
                let to = log["topics"][2].as_str().expect("a topic")[26..].to_owned();
                (to, number_in(&log["data"]).to::<u64>())
            };
            logs.iter().map(transfer).collect()
        })
        .collect();
    let to = |address: Address, wei: u64| (alloy_primitives::hex::encode(address), wei);
    assert_eq!(
        transfers,
        [
            vec![to(NOBODY, 3)],
            vec![],
            vec![to(contract, 5), to(alice, 5)],
            vec![to(alice.create(3), 6)],
        ]
    );
    let indices: Vec<_> = calls
        .iter()
        .flat_map(|call| call["logs"].as_array().into_iter().flatten())
        .map(|log| log["logIndex"].clone())
        .collect();
    assert_eq!(indices, ["0x0", "0x1", "0x2", "0x3"]);
    assert_eq!(calls[1]["error"]["code"], 3);
    assert!(
        blocks[0]["logsBloom"]
            .as_str()
            .is_some_and(|bloom| bloom.ends_with("00"))
    );
}

#[test]
fn a_failed_call_is_a_result_and_the_block_goes_on() {
    let node = Node::new();
    let blocks = simulate(
        &node,
        json!([{"calls": [
            {"to": INVALID, "gas": "0x10000"}, {"to": REVERT, "input": "0x1234"}, {"to": ENVIRONMENT},
        ]}]),
    );
    let calls = &blocks[0]["calls"];
    assert_eq!(calls[0]["status"], "0x0");
    assert_eq!(calls[0]["error"]["code"], -32015);
    assert_eq!(calls[0]["gasUsed"], "0x10000");
    assert_eq!(
        calls[1]["error"],
        json!({"code": 3, "message": "execution reverted", "data": "0x1234"})
    );
    assert_eq!(calls[1]["returnData"], "0x");
    assert_eq!(calls[2]["status"], "0x1");
}

#[test]
fn precompiles_move_for_one_block() {
    let node = Node::new();
    let there = address!("0x00000000000000000000000000000000000f0002");
    let identity = "0x0000000000000000000000000000000000000004";
    let call = json!([{"to": there, "input": "0x1234"}]);
    let blocks = simulate(
        &node,
        json!([
            {"stateOverrides": {identity: {"movePrecompileToAddress": there}}, "calls": call},
            {"calls": call},
        ]),
    );
    assert_eq!(blocks[0]["calls"][0]["returnData"], "0x1234");
    assert_eq!(blocks[1]["calls"][0]["returnData"], "0x");
}

#[test]
fn what_cannot_be_simulated_is_refused_with_its_code() {
    let node = Node::new();
    let alice = Account::of(0).address;
    let one = |block: Value| json!({"blockStateCalls": [block]});
    let validated = |block: Value| json!({"blockStateCalls": [block], "validation": true});
    let price = "0x77359400";
    for (simulation, code) in [
        (json!({}), -32602),
        (json!({"blockStateCalls": []}), -32602),
        (json!({"blockStateCalls": {}}), -32602),
        (json!({"blockStateCalls": [[]]}), -32602),
        (one(json!({"calls": [[]]})), -32602),
        (one(json!({"blockOverrides": []})), -32602),
        (json!({"blockStateCalls": vec![json!({}); 257]}), -38026),
        (one(json!({"blockOverrides": {"number": "0x102"}})), -38026),
        (one(json!({"blockOverrides": {"number": "0x0"}})), -38020),
        (one(json!({"blockOverrides": {"time": "0x1"}})), -38021),
        (
            one(json!({"calls": [{"from": NOBODY, "value": "0x1", "to": alice}]})),
            -38014,
        ),
        (one(json!({"calls": [{"to": alice, "gas": "0x5"}]})), -38013),
        (
            one(json!({"blockOverrides": {"gasLimit": "0x1000"}, "calls": [{"gas": "0x1001"}]})),
            -38015,
        ),
        (
            validated(json!({"calls": [{"from": alice, "to": NOBODY}]})),
            -38012,
        ),
        (
            validated(
                json!({"calls": [{"from": alice, "to": NOBODY, "nonce": "0x9", "maxFeePerGas": price}]}),
            ),
            -38011,
        ),
        (
            validated(
                json!({"stateOverrides": {alice.to_string(): {"nonce": "0x5"}},
                             "calls": [{"from": alice, "to": NOBODY, "nonce": "0x1", "maxFeePerGas": price}]}),
            ),
            -38010,
        ),
        (
            one(json!({"calls": [{"from": alice, "input": format!("0x{}", "00".repeat(49_153))}]})),
            -38025,
        ),
        (
            one(
                json!({"stateOverrides": {NOBODY.to_string(): {"movePrecompileToAddress": alice}}}),
            ),
            -32000,
        ),
    ] {
        let (found, message) = refused(&node, simulation.clone());
        assert_eq!(found, code, "{simulation}: {message}");
    }
}

#[test]
fn a_call_that_could_not_start_is_told_in_the_words_of_geth() {
    let node = Node::new();
    let alice = Account::of(0).address;
    let price = "0x77359400";
    for (simulation, expected) in [
        (
            json!({"blockStateCalls": [{"calls": [{"to": alice, "gas": "0x5"}]}]}),
            "err: intrinsic gas too low: have 5, want 21000 (supplied gas 5)".to_owned(),
        ),
        (
            json!({"blockStateCalls": [{"calls": [{"from": NOBODY, "value": "0x1", "to": alice, "gas": "0x5208"}]}]}),
            format!(
                "err: insufficient funds for gas * price + value: address {NOBODY} have 0 want 1 (supplied gas 21000)"
            ),
        ),
        (
            json!({"blockStateCalls": [{"calls": [{"to": alice, "gas": "0x5208", "blobVersionedHashes": []}]}]}),
            "err: blob transaction missing blob hashes (supplied gas 21000)".to_owned(),
        ),
        (
            json!({"blockStateCalls": [{"blockOverrides": {"gasLimit": "0x1000"}, "calls": [{"gas": "0x1001"}]}]}),
            "block gas limit reached: remaining: 4096, required: 4097".to_owned(),
        ),
        (
            json!({"validation": true, "blockStateCalls": [{"calls":
                [{"from": alice, "to": NOBODY, "nonce": "0x9", "maxFeePerGas": price, "gas": "0x5208"}]}]}),
            format!("err: nonce too high: address {alice}, tx: 9 state: 0 (supplied gas 21000)"),
        ),
    ] {
        assert_eq!(
            refused(&node, simulation.clone()).1,
            expected,
            "{simulation}"
        );
    }
}

#[test]
fn time_gas_and_overrides_of_a_simulation_are_bounded() {
    let limits = ApiLimits {
        call_timeout: Duration::from_millis(200),
        override_entries_max: 10,
        ..patient()
    };
    let config = EngineConfig {
        gas_ceiling: u64::MAX,
        ..EngineConfig::default()
    };
    let node = Node::with(limits, config);
    let endless =
        json!({"blockOverrides": {"gasLimit": "0xfffffffffffffff"}, "calls": [{"to": LOOP}]});
    let (code, message) = refused(&node, json!({"blockStateCalls": [endless]}));
    assert_eq!(code, -32000);
    assert!(
        message.starts_with("execution aborted (timeout"),
        "{message}"
    );

    let many: serde_json::Map<String, Value> = (0..6)
        .map(|index| {
            (
                Address::with_last_byte(index).to_string(),
                json!({"nonce": "0x1"}),
            )
        })
        .collect();
    let block = json!({"stateOverrides": many});
    let (code, _) = refused(&node, json!({"blockStateCalls": [block, block]}));
    assert_eq!(code, -32005);

    let config = EngineConfig {
        gas_ceiling: 1_000_000,
        ..EngineConfig::default()
    };
    let node = Node::with(patient(), config);
    let costly = json!({"blockOverrides": {"gasLimit": "0xfffffffffffffff"}, "calls": [{"to": LOOP}, {"to": NOBODY}]});
    let (code, _) = refused(&node, json!({"blockStateCalls": [costly]}));
    assert_eq!(
        code, -38013,
        "the first call used all the gas there is for one request"
    );
}

#[test]
fn whole_transactions_name_their_senders() {
    let node = Node::new();
    let alice = Account::of(0).address;
    let simulation = json!({
        "returnFullTransactions": true,
        "blockStateCalls": [{"calls": [
            {"from": alice, "to": NOBODY},
            {"from": alice, "to": NOBODY, "gasPrice": "0x1", "gas": "0x5208"},
            {"from": NOBODY, "to": alice, "accessList": []},
        ]}],
    });
    let blocks = node.ask("eth_simulateV1", json!([simulation, "latest"]));
    let transactions = &blocks[0]["transactions"];
    let field = |name: &str| -> Vec<Value> {
        (0..3)
            .map(|index| transactions[index][name].clone())
            .collect()
    };
    assert_eq!(field("from"), [json!(alice), json!(alice), json!(NOBODY)]);
    assert_eq!(field("type"), ["0x2", "0x0", "0x2"]);
    assert_eq!(field("nonce"), ["0x0", "0x1", "0x0"]);
    for part in ["v", "r", "s"] {
        assert_eq!(field(part), ["0x0"; 3], "nobody signed: {part}");
    }
    assert_eq!(field("yParity"), [json!("0x0"), Value::Null, json!("0x0")]);
    assert_eq!(transactions[0]["blockHash"], blocks[0]["hash"]);
}
