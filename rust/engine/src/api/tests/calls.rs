use std::time::Duration;

use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use alloy_sol_types::{Revert, SolError};
use serde_json::{Value, json};

use super::node::{
    ENVIRONMENT, INVALID, LOOP, Node, RECURSE, REVERT, SLOT, STORE, call, patient, word,
};
use crate::{EngineConfig, api::ApiLimits, testing::Account};

const NOBODY: Address = Address::repeat_byte(0x99);

/// The words that a call returned.
fn words(answer: &Value) -> Vec<U256> {
    let bytes: Bytes = serde_json::from_value(answer.clone()).expect("bytes");
    bytes.chunks(32).map(U256::from_be_slice).collect()
}

#[test]
fn a_call_sees_its_block_and_pays_nothing_by_default() {
    let node = Node::new();
    node.mine();
    let block = node.ask("eth_getBlockByNumber", json!(["0x1", false]));
    let seen = words(&node.ask("eth_call", json!([{"to": ENVIRONMENT}, "0x1"])));
    let timestamp = block["timestamp"]
        .as_str()
        .expect("a quantity")
        .parse::<U256>()
        .expect("a number");
    let coinbase = Address::repeat_byte(0xfe).into_word().into();
    let randao = B256::repeat_byte(0x44).into();
    let zero = U256::ZERO;
    assert_eq!(
        seen,
        [
            U256::from(1),
            timestamp,
            zero,
            coinbase,
            randao,
            zero,
            zero,
            zero,
            U256::from(1337)
        ]
    );
}

/// Init code that keeps BLOBBASEFEE in slot 0 of what it creates.
const KEEPS_BLOB_FEE: [u8; 4] = hex!("4a5f5500");

#[test]
fn code_sees_the_blocks_blob_base_fee_in_blocks_calls_traces_and_simulations_alike() {
    let node = Node::new();
    let alice = Account::of(0);
    let creation = TxEip1559 {
        to: TxKind::Create,
        input: KEEPS_BLOB_FEE.into(),
        ..alice.call(0, 200_000)
    };
    let hash = node.mine_one(&alice.sign_transaction(creation));
    let created = alice.address.create(0);
    let fee = node.ask("eth_getStorageAt", json!([created, "0x0", "latest"]));
    assert_eq!(
        fee,
        json!(B256::with_last_byte(1)),
        "what the block gave, at least a wei"
    );
    let options = json!({"tracer": "prestateTracer", "tracerConfig": {"diffMode": true}});
    let traced = node.ask("debug_traceTransaction", json!([hash, options]));
    let slots = &traced["post"][format!("{created:#x}")]["storage"];
    assert_eq!(slots[B256::ZERO.to_string()], fee, "{traced}");
    let replayed = node.ask("trace_replayTransaction", json!([hash, ["stateDiff"]]));
    let slots = &replayed["stateDiff"][format!("{created:#x}")]["storage"];
    assert_eq!(slots[B256::ZERO.to_string()]["+"], fee, "{replayed}");
    // The same code as a call, which gives the fee back.
    let gives = json!({"data": "0x4a5f5260205ff3"});
    let with_blob = json!({"to": NOBODY, "blobVersionedHashes": [B256::repeat_byte(1)]});
    let code = json!({NOBODY.to_string(): {"code": "0x4a5f5260205ff3"}});
    let overridden = json!({"blobBaseFee": "0x99"});
    let word = |number: u8| json!(B256::with_last_byte(number));
    for (params, expected) in [
        (json!([gives, "latest"]), fee.clone()),
        (json!([gives, "latest", null, overridden]), word(0x99)),
        // Who offers nothing for blobs runs where they cost nothing.
        (json!([with_blob, "latest", code]), word(0)),
    ] {
        assert_eq!(node.ask("eth_call", params.clone()), expected, "{params}");
    }
    for (overrides, expected) in [(json!({}), fee), (overridden, word(0x99))] {
        let call = json!([gives, "latest", {"tracer": "callTracer", "blockOverrides": overrides}]);
        let traced = node.ask("debug_traceCall", call);
        assert_eq!(traced["output"], expected);
        let blocks = json!([{"blockOverrides": overrides, "stateOverrides": code, "calls": [{"to": NOBODY}]}]);
        let simulated = node.ask(
            "eth_simulateV1",
            json!([{"blockStateCalls": blocks}, "latest"]),
        );
        assert_eq!(simulated[0]["calls"][0]["returnData"], expected);
    }
}

#[test]
fn a_price_value_and_sender_are_seen_and_must_be_covered() {
    let node = Node::new();
    let alice = Account::of(0).address;
    let seen = words(&node.ask(
        "eth_call",
        json!([{"from": alice, "to": ENVIRONMENT, "value": "0x7", "gas": "0x100000",
                "maxFeePerGas": "0x77359400", "maxPriorityFeePerGas": "0x1"}]),
    ));
    let base_fee = U256::from(1_000_000_000);
    assert_eq!(seen[2], base_fee);
    assert_eq!(seen[5], base_fee + U256::from(1));
    assert_eq!(seen[6], U256::from_be_slice(alice.as_slice()));
    assert_eq!(seen[7], U256::from(7));
    let cases = [
        (
            json!({"from": NOBODY, "to": ENVIRONMENT, "value": "0x1", "gas": "0x5300"}),
            format!("err: insufficient funds for gas * price + value: address {NOBODY} have 0 want 1 (supplied gas 21248)"),
        ),
        (
            json!({"from": alice, "to": ENVIRONMENT, "gas": "0x5300", "gasPrice": "0x1"}),
            format!("err: max fee per gas less than block base fee: address {alice}, maxFeePerGas: 1, baseFee: 1000000000 (supplied gas 21248)"),
        ),
        (
            json!({"to": ENVIRONMENT, "gas": "0x1"}),
            "err: intrinsic gas too low: have 1, want 21000 (supplied gas 1)".to_owned(),
        ),
        (
            json!({"to": ENVIRONMENT, "gasPrice": "0x1", "maxFeePerGas": "0x1"}),
            "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified".to_owned(),
        ),
        (
            json!({"to": ENVIRONMENT, "chainId": "0x1"}),
            "chainId does not match node's (have=1, want=1337)".to_owned(),
        ),
        (
            json!({"from": alice, "authorizationList": []}),
            "EIP-7702 transaction cannot be used to create contract".to_owned(),
        ),
        (
            json!({"to": ENVIRONMENT, "gas": "0x5300", "blobVersionedHashes": []}),
            "err: blob transaction missing blob hashes (supplied gas 21248)".to_owned(),
        ),
        (
            json!({"to": NOBODY, "gas": "0xafc8", "data": format!("0x{}", "01".repeat(1000))}),
            "err: insufficient gas for floor data gas cost: have 45000, want 61000 (supplied gas 45000)".to_owned(),
        ),
    ];
    for (request, expected) in cases {
        let (code, message, _) = node.refuse("eth_call", json!([request, "latest"]));
        assert_eq!((code, message), (-32000, expected), "{request}");
    }
}

#[test]
fn input_is_preferred_to_data_and_unknown_fields_are_ignored() {
    let node = Node::new();
    let expected = (3, "execution reverted".to_owned(), Some(json!("0x1234")));
    for request in [
        json!({"to": REVERT, "data": "0x1234"}),
        json!({"to": REVERT, "input": "0x1234"}),
        json!({"to": REVERT, "input": "0x1234", "data": "0x99", "type": "0x2", "v": "0x0", "foo": [1]}),
        json!({"to": REVERT, "input": "0x1234", "accessList": [{"address": REVERT, "storageKeys": []}]}),
    ] {
        assert_eq!(node.refuse("eth_call", json!([request])), expected);
    }
}

#[test]
fn a_revert_has_code_3_its_reason_and_its_data() {
    let node = Node::new();
    let reason = Bytes::from(Revert::from("user error").abi_encode());
    let panic = hex!("4e487b710000000000000000000000000000000000000000000000000000000000000011");
    let cases = [
        (reason, "execution reverted: user error"),
        (
            Bytes::from(panic),
            "execution reverted: arithmetic underflow or overflow",
        ),
        (Bytes::from(hex!("deadbeef01")), "execution reverted"),
        (Bytes::new(), "execution reverted"),
    ];
    for (data, message) in cases {
        for method in ["eth_call", "eth_estimateGas"] {
            let answer = node.refuse(method, json!([{"to": REVERT, "input": data}]));
            assert_eq!(
                answer,
                (3, message.to_owned(), Some(json!(data))),
                "{method}"
            );
        }
    }
}

#[test]
fn code_that_fails_otherwise_names_the_failure() {
    let node = Node::new();
    for (to, gas, expected) in [
        (INVALID, "0x10000", "invalid opcode: INVALID"),
        (LOOP, "0x10000", "out of gas"),
    ] {
        let answer = node.refuse("eth_call", json!([{"to": to, "gas": gas}]));
        assert_eq!(answer, (-32000, expected.to_owned(), None));
    }
}

#[test]
fn code_that_is_too_large_is_named_with_its_size() {
    let node = Node::new();
    let somewhere = Address::repeat_byte(0x77);
    // Returns 24,577 bytes as a contract's code.
    let large = "0x6160015ff3";
    // Creates, by both opcodes, with code of 49,153 bytes.
    let opcodes = ["0x61c0015f5ff0", "0x5f61c0015f5ff5"];
    let (_, message, _) = node.refuse("eth_call", json!([{"input": large}]));
    assert_eq!(
        message,
        "max code size exceeded: code size 24577 limit 24576"
    );
    let (_, message, _) = node.refuse("eth_estimateGas", json!([{"input": large}]));
    assert_eq!(
        message,
        "max code size exceeded: code size 24577 limit 24576"
    );
    let simulated = json!([{"blockStateCalls": [{"calls": [{"input": large}]}]}, "latest"]);
    assert_eq!(
        node.ask("eth_simulateV1", simulated)[0]["calls"][0]["error"]["message"],
        "max code size exceeded: code size 24577 limit 24576"
    );
    for code in opcodes {
        let state = json!({somewhere.to_string(): {"code": code}});
        let params = json!([{"to": somewhere}, "latest", state]);
        let (_, message, _) = node.refuse("eth_call", params.clone());
        assert_eq!(
            message,
            "out of gas: max initcode size exceeded: code size 49153 limit 49152"
        );
        let (_, message, _) = node.refuse("eth_estimateGas", params);
        assert!(
            message.starts_with("gas required exceeds allowance ("),
            "{message}"
        );
    }
    let input = format!("0x{}", "00".repeat(49_153));
    let (_, message, _) = node.refuse("eth_call", json!([{"input": input, "gas": "0x1000000"}]));
    assert_eq!(
        message,
        "err: max initcode size exceeded: code size 49153 limit 49152 (supplied gas 16777216)"
    );
}

#[test]
fn a_call_changes_nothing() {
    let node = Node::new();
    let before = node.ask("eth_getStorageAt", json!([STORE, "0x0"]));
    node.ask("eth_call", json!([{"to": STORE, "input": word(99)}]));
    assert_eq!(node.ask("eth_getStorageAt", json!([STORE, "0x0"])), before);
}

#[test]
fn a_call_at_a_past_block_sees_its_state() {
    let node = Node::new();
    node.mine_one(&call(&Account::of(0), 0, STORE, word(9)));
    let slot = |block: Value| {
        // The code of SLOT in the place of STORE reads what STORE wrote.
        let code = node.ask("eth_getCode", json!([SLOT]));
        let overrides = json!({STORE.to_string(): {"code": code}});
        words(&node.ask("eth_call", json!([{"to": STORE}, block, overrides])))[0]
    };
    assert_eq!(slot(json!("0x0")), U256::from(7));
    assert_eq!(slot(json!("0x1")), U256::from(9));
    assert_eq!(
        slot(json!({"blockHash": node.engine.head().hash})),
        U256::from(9)
    );
    let (code, message, _) = node.refuse("eth_call", json!([{"to": SLOT}, "0x9"]));
    assert_eq!((code, message.as_str()), (-32000, "header not found"));
}

#[test]
fn state_overrides_replace_balance_nonce_code_and_storage() {
    let node = Node::new();
    let (zero, one) = (B256::ZERO, B256::with_last_byte(1));
    let slot = node.ask("eth_getCode", json!([SLOT]));
    let see = |address: Address, account: Value| {
        let overrides = json!({address.to_string(): account});
        words(&node.ask("eth_call", json!([{"to": address}, "latest", overrides])))
    };
    let five = B256::with_last_byte(5);
    assert_eq!(see(SLOT, json!({}))[0], U256::from(7));
    assert_eq!(see(SLOT, json!({"balance": "0x63"}))[1], U256::from(99));
    assert_eq!(
        see(SLOT, json!({"stateDiff": {zero.to_string(): five}}))[0],
        U256::from(5)
    );
    assert_eq!(
        see(SLOT, json!({"stateDiff": {one.to_string(): five}}))[0],
        U256::from(7)
    );
    assert_eq!(
        see(SLOT, json!({"state": {one.to_string(): five}}))[0],
        U256::ZERO
    );
    assert_eq!(see(SLOT, json!({"state": {}}))[0], U256::ZERO);
    // On an account that does not exist.
    let account = json!({"code": slot, "stateDiff": {zero.to_string(): five}});
    assert_eq!(see(NOBODY, account)[0], U256::from(5));
    // A creation's address shows the sender's nonce.
    let create = json!([{"from": NOBODY, "data": "0x305f5260205ff3"}, "latest", {NOBODY.to_string(): {"nonce": "0x5"}}]);
    let created = words(&node.ask("eth_call", create))[0];
    assert_eq!(created, U256::from_be_slice(NOBODY.create(5).as_slice()));
    // With funds from an override a value can be sent.
    let funds = json!({NOBODY.to_string(): {"balance": "0x10"}});
    let request = json!({"from": NOBODY, "to": ENVIRONMENT, "value": "0x10"});
    assert_eq!(
        words(&node.ask("eth_call", json!([request, "latest", funds])))[7],
        U256::from(16)
    );
}

#[test]
fn a_precompile_can_be_replaced_and_moved() {
    let node = Node::new();
    let identity = Address::with_last_byte(4);
    let slot = node.ask("eth_getCode", json!([SLOT]));
    let call = |to: Address, overrides: Value| {
        node.ask(
            "eth_call",
            json!([{"to": to, "input": "0x1234"}, "latest", overrides]),
        )
    };
    assert_eq!(call(identity, json!({})), "0x1234");
    let moved = json!({identity.to_string(): {"movePrecompileToAddress": NOBODY}});
    assert_eq!(call(NOBODY, moved.clone()), "0x1234");
    assert_eq!(call(identity, moved), "0x");
    // Naming an account changes nothing but that it is no precompile any more.
    assert_eq!(call(identity, json!({identity.to_string(): null})), "0x");
    assert_eq!(
        call(SLOT, json!({SLOT.to_string(): null})),
        call(SLOT, json!({}))
    );
    assert_eq!(
        words(&call(
            identity,
            json!({identity.to_string(): {"code": slot}})
        ))
        .len(),
        2
    );
    let wrong = json!([{"to": NOBODY}, "latest", {NOBODY.to_string(): {"movePrecompileToAddress": identity}}]);
    assert_eq!(
        node.refuse("eth_call", wrong).1,
        format!("account {NOBODY} is not a precompile")
    );
}

#[test]
fn block_overrides_replace_the_environment() {
    let node = Node::new();
    let overrides = json!({"number": "0x64", "time": "0xc8", "feeRecipient": NOBODY, "prevRandao": B256::repeat_byte(3),
                           "baseFeePerGas": "0x9", "gasLimit": "0x1234", "difficulty": "0x1"});
    let request = json!({"from": Account::of(0).address, "to": ENVIRONMENT, "gasPrice": "0x9", "gas": "0x100000"});
    let seen = words(&node.ask("eth_call", json!([request, "latest", null, overrides])));
    assert_eq!(seen[0], U256::from(100));
    assert_eq!(seen[1], U256::from(200));
    assert_eq!(seen[2], U256::from(9));
    assert_eq!(seen[3], U256::from_be_slice(NOBODY.as_slice()));
    assert_eq!(
        seen[4],
        U256::from_be_slice(B256::repeat_byte(3).as_slice())
    );
    for (field, value) in [
        ("beaconRoot", json!(B256::ZERO)),
        ("withdrawals", json!([])),
    ] {
        let (_, message, _) = node.refuse(
            "eth_call",
            json!([{"to": ENVIRONMENT}, "latest", {}, {field: value}]),
        );
        assert_eq!(
            message,
            format!("block override \"{field}\" is not supported for this RPC method")
        );
    }
}

#[test]
fn bad_call_objects_and_overrides_are_refused_with_the_argument() {
    let node = Node::new();
    let account = |account: Value| json!([{"to": SLOT}, "latest", {SLOT.to_string(): account}]);
    let both = account(json!({"state": {}, "stateDiff": {}}));
    assert_eq!(
        node.refuse("eth_call", both),
        (
            -32000,
            format!("account {SLOT} has both 'state' and 'stateDiff'"),
            None
        )
    );
    let cases = [
        (json!([]), "missing value for required argument 0"),
        (
            json!(["0x"]),
            "invalid argument 0: expected a call object, found \"0x\"",
        ),
        (
            json!([{"to": "0x1"}]),
            "invalid argument 0: hex string of odd length",
        ),
        (
            json!([{"gas": "0x01"}]),
            "invalid argument 0: hex number with leading zero digits",
        ),
        (
            json!([{"gas": 21000}]),
            "invalid argument 0: invalid type: integer `21000`, expected a hex quantity",
        ),
        (
            json!([{"data": "0x123"}]),
            "invalid argument 0: hex string of odd length",
        ),
        (
            json!([{"data": "1234"}]),
            "invalid argument 0: hex string without 0x prefix",
        ),
        (
            json!([{}, "newest"]),
            "invalid argument 1: hex string without 0x prefix",
        ),
        (
            json!([{}, "latest", []]),
            "invalid argument 2: expected an object of accounts, found []",
        ),
        (
            account(json!({"balance": "-1"})),
            "invalid argument 2: hex string without 0x prefix",
        ),
        (
            account(json!({"stateDiff": {"0x0": "0x0"}})),
            "invalid argument 2: hex string of odd length",
        ),
        (
            account(json!([])),
            "invalid argument 2: invalid type: sequence, expected an object",
        ),
        (
            json!([{"accessList": [[SLOT, []]]}]),
            "invalid argument 0: invalid type: sequence, expected an object",
        ),
        (
            json!([{"authorizationList": [["0x1", SLOT, "0x0", "0x0", "0x1", "0x1"]]}]),
            "invalid argument 0: invalid type: sequence, expected an object",
        ),
        (
            json!([{}, "latest", {}, {"time": "soon"}]),
            "invalid argument 3: hex string without 0x prefix",
        ),
    ];
    for (params, expected) in cases {
        let (code, message, _) = node.refuse("eth_call", params.clone());
        assert_eq!((code, message.as_str()), (-32602, expected), "{params}");
    }
}

#[test]
fn ten_thousand_overrides_are_over_the_limit() {
    let node = Node::new();
    let accounts: serde_json::Map<String, Value> = (0..10_000_u64)
        .map(|seed| {
            (
                Address::left_padding_from(&seed.to_be_bytes()).to_string(),
                json!({"balance": "0x1"}),
            )
        })
        .collect();
    for method in ["eth_call", "eth_estimateGas", "eth_createAccessList"] {
        let (code, message, _) = node.refuse(method, json!([{"to": SLOT}, "latest", accounts]));
        assert_eq!(code, -32005, "{method}");
        assert_eq!(
            message,
            "too many state overrides: 10000 accounts and slots, at most 4096"
        );
    }
}

#[test]
fn gas_is_capped_whatever_is_asked_for() {
    let node = Node::new();
    // GAS, MSTORE, RETURN.
    let code = json!({NOBODY.to_string(): {"code": "0x5a5f5260205ff3"}});
    for gas in [json!(null), json!("0xffffffffffffffff")] {
        let left = words(&node.ask(
            "eth_call",
            json!([{"to": NOBODY, "gas": gas}, "latest", code]),
        ))[0];
        assert!(
            left < U256::from(50_000_000) && left > U256::from(49_900_000),
            "{left}"
        );
    }
}

/// The gas cap alone would let these run for minutes; the clock ends them, and other calls go on.
#[test]
fn code_without_end_is_stopped_by_the_clock() {
    let limits = ApiLimits {
        call_timeout: Duration::from_millis(200),
        ..patient()
    };
    let config = EngineConfig {
        gas_ceiling: u64::MAX,
        ..EngineConfig::default()
    };
    let node = Node::with(limits, config);
    for endless in [LOOP, RECURSE] {
        let (code, message, _) = node.refuse(
            "eth_call",
            json!([{"to": endless, "gas": "0xffffffffffffff"}]),
        );
        assert_eq!(
            (code, message.as_str()),
            (-32000, "execution aborted (timeout = 200ms)")
        );
    }
    let (_, message, _) = node.refuse(
        "eth_createAccessList",
        json!([{"to": LOOP, "gas": "0xffffffffffffff"}]),
    );
    assert_eq!(message, "execution aborted (timeout = 200ms)");
    assert_eq!(
        words(&node.ask("eth_call", json!([{"to": SLOT}])))[0],
        U256::from(7)
    );
}

#[test]
fn an_access_list_names_what_is_touched_and_reports_a_failure_inside() {
    let node = Node::new();
    let alice = Account::of(0).address;
    let answer = node.ask(
        "eth_createAccessList",
        json!([{"from": alice, "to": STORE, "input": word(1)}, "latest"]),
    );
    assert_eq!(
        answer["accessList"],
        json!([{"address": STORE, "storageKeys": [B256::ZERO]}])
    );
    assert_eq!(answer.get("error"), None);
    let used = answer["gasUsed"].as_str().expect("a quantity");
    assert!(u64::from_str_radix(&used[2..], 16).expect("a number") > 21_000);
    // A tip alone is one on twice the base fee, as geth fills it in.
    let tipped =
        json!({"from": alice, "to": STORE, "input": word(1), "maxPriorityFeePerGas": "0x1"});
    assert_eq!(node.ask("eth_createAccessList", json!([tipped])), answer);
    let answer = node.ask(
        "eth_createAccessList",
        json!([{"from": alice, "to": REVERT}]),
    );
    assert_eq!(answer["accessList"], json!([]));
    assert_eq!(answer["error"], "execution reverted");
}
