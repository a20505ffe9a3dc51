//! Transactions on a given state, and the two rules that are not revm's.

use alloy_consensus::TxLegacy;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use serde_json::{Value, json};

use crate::{
    EngineError,
    testing::{Account, raw},
    transition::run_transition,
};

const CONTRACT: Address = Address::repeat_byte(0xc0);
const ETHER: &str = "0xde0b6b3a7640000";

/// A `config` with the forks by block up to the one named.
fn config(last: &str) -> Value {
    let forks = [
        "homestead",
        "eip150",
        "eip155",
        "eip158",
        "byzantium",
        "constantinople",
        "petersburg",
        "istanbul",
        "berlin",
        "london",
    ];
    let reached = forks.iter().position(|fork| *fork == last).unwrap();
    let mut config = json!({ "chainId": 1 });
    for fork in &forks[..=reached] {
        config[format!("{fork}Block")] = 0.into();
    }
    config
}

/// The state of an account whose slot 0 has a value.
fn storage(value: u64) -> Value {
    json!({ B256::ZERO.to_string(): B256::from(U256::from(value)) })
}

fn run(config: Value, alloc: Value, transactions: &[Bytes]) -> crate::Result<Value> {
    let transition = json!({
        "config": config, "alloc": alloc, "transactions": transactions,
        "env": {
            "number": "0x1", "timestamp": "0x1", "gasLimit": "0x989680", "coinbase": Address::repeat_byte(0xcb),
            "baseFeePerGas": "0x0", "difficulty": "0x1"
        }
    });
    let transition = serde_json::from_value(transition).unwrap();
    run_transition(&transition).map(|result| serde_json::to_value(result).unwrap())
}

fn transaction(to: TxKind, input: &[u8]) -> Bytes {
    let transaction = TxLegacy {
        gas_price: 1,
        gas_limit: 5_000_000,
        to,
        input: Bytes::copy_from_slice(input),
        ..TxLegacy::default()
    };
    raw(&Account::of(1).sign_transaction(transaction))
}

#[test]
fn what_ran_and_what_did_not_is_told_by_its_place() {
    let sender = Account::of(1).address;
    let alloc = json!({ sender.to_string(): { "balance": ETHER } });
    let good = transaction(TxKind::Call(CONTRACT), &[]);
    let found = run(
        config("london"),
        alloc,
        &[Bytes::from_static(&[0xc0]), good.clone(), good.clone()],
    )
    .unwrap();
    assert_eq!(found["accepted"][0]["index"], 1);
    assert_eq!(found["accepted"][0]["sender"], json!(sender));
    assert_eq!(found["accepted"][0]["hash"], json!(keccak256(&good)));
    assert_eq!(found["accepted"][0]["intrinsicGas"], "0x5208");
    assert_eq!(found["gasUsed"], "0x5208");
    let codes: Vec<_> = found["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["index"].as_u64().unwrap(),
                one["code"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(codes, [(0, "rlp"), (2, "transaction_nonce_too_low")]);
    let after = &found["accounts"][format!("{sender:?}")];
    assert_eq!(
        (&after["nonce"], &after["balance"]),
        (&json!("0x1"), &json!("0xde0b6b3a763adf8"))
    );
}

#[test]
fn the_environment_must_have_what_the_fork_needs() {
    let mut cancun = config("london");
    cancun["terminalTotalDifficulty"] = 0.into();
    cancun["shanghaiTime"] = 0.into();
    cancun["cancunTime"] = 0.into();
    let error = run(cancun, json!({}), &[]).unwrap_err();
    let expected = "transition: the active fork needs env.excessBlobGas";
    assert_eq!(error, EngineError::InvalidInput(expected.into()));
}

#[test]
fn a_transaction_creates_nothing_where_storage_is() {
    let sender = Account::of(1).address;
    let target = sender.create(0);
    // Init code that does nothing, so the contract is empty.
    let creation = transaction(TxKind::Create, &[]);
    for (slots, gas_used) in [(json!({}), "0xcf08"), (storage(7), "0x4c4b40")] {
        let taken = json!({ "balance": "0xa", "storage": slots });
        let alloc = json!({ sender.to_string(): { "balance": ETHER }, target.to_string(): taken });
        let found = run(config("london"), alloc, std::slice::from_ref(&creation)).unwrap();
        let is_free = slots == json!({});
        assert_eq!(found["gasUsed"], gas_used);
        assert_eq!(
            found["receipts"][0]["status"],
            if is_free { "0x1" } else { "0x0" }
        );
        let after = &found["accounts"][format!("{target:?}")];
        assert_eq!(after.is_null(), !is_free, "{after}");
    }
}

/// Code that creates an empty contract by CREATE or CREATE2 and keeps its address, with a 1 beside it.
fn creator(opcode: u8) -> Bytes {
    let arguments = if opcode == 0xf5 { 4 } else { 3 };
    let mut code = [0x60, 0x00].repeat(arguments);
    code.extend([opcode, 0x60, 0x00, 0x55, 0x60, 0x01, 0x60, 0x01, 0x55]);
    code.into()
}

#[test]
fn code_creates_nothing_where_storage_is() {
    let sender = Account::of(1).address;
    for (opcode, target) in [
        (0xf0, CONTRACT.create(1)),
        (
            0xf5,
            CONTRACT.create2(U256::ZERO.to_be_bytes::<32>(), keccak256([])),
        ),
    ] {
        for held in [json!({}), storage(7)] {
            let alloc = json!({
                sender.to_string(): { "balance": ETHER },
                CONTRACT.to_string(): { "balance": "0x0", "nonce": "0x1", "code": creator(opcode) },
                target.to_string(): { "balance": "0xa", "storage": held },
                // Another one, so that the check is on in both cases.
                Address::repeat_byte(9).to_string(): { "balance": "0x1", "storage": storage(1) },
            });
            let call = transaction(TxKind::Call(CONTRACT), &[]);
            let found = run(config("london"), alloc, &[call]).unwrap();
            let slots = &found["accounts"][format!("{CONTRACT:?}")]["storage"];
            let created = U256::from_be_bytes(target.into_word().0);
            let is_free = held == json!({});
            assert_eq!(slots["0x1"], "0x1", "{opcode:#x} {found}");
            if is_free {
                assert_eq!(slots["0x0"], json!(created), "{opcode:#x}");
            } else {
                // Writing zero where zero is changes nothing.
                assert!(
                    slots.get("0x0").is_none_or(|slot| slot == "0x0"),
                    "{opcode:#x}"
                );
            }
            // The gas of the creation is lost: all but a 64th of what was there.
            let gas_used = found["gasUsed"].as_str().unwrap().trim_start_matches("0x");
            let is_lost = u64::from_str_radix(gas_used, 16).unwrap() > 900_000;
            assert_eq!(is_lost, !is_free, "{opcode:#x} {gas_used}");
            assert_eq!(found["accounts"][format!("{target:?}")].is_null(), !is_free);
        }
    }
}

#[test]
fn constantinople_alone_has_the_net_prices_of_eip_1283() {
    let sender = Account::of(1).address;
    // Code, what was in slot 0, gas and refund: from the table of EIP-1283.
    for (code, original, gas, refund) in [
        ("60006000556000600055", 0, 412, 0),
        ("60006000556001600055", 0, 20_212, 0),
        ("60016000556000600055", 0, 20_212, 19_800),
        ("60016000556002600055", 0, 20_212, 0),
        ("60006000556000600055", 1, 5_212, 15_000),
        ("60006000556001600055", 1, 5_212, 4_800),
        ("60006000556002600055", 1, 5_212, 0),
        ("60026000556000600055", 1, 5_212, 15_000),
        ("60026000556001600055", 1, 5_212, 4_800),
        ("60016000556000600055", 1, 5_212, 15_000),
        ("600160005560006000556001600055", 0, 40_218, 19_800),
        ("600060005560016000556000600055", 1, 10_218, 19_800),
    ] {
        let alloc = json!({
            sender.to_string(): { "balance": ETHER },
            CONTRACT.to_string(): {
                "balance": "0x0", "code": format!("0x{code}"), "storage": storage(original)
            },
        });
        let call = transaction(TxKind::Call(CONTRACT), &[]);
        let found = run(
            config("constantinople"),
            alloc.clone(),
            std::slice::from_ref(&call),
        )
        .unwrap();
        let whole = 21_000 + gas;
        let expected = whole - u64::min(refund, whole / 2);
        assert_eq!(
            found["gasUsed"],
            format!("{expected:#x}"),
            "{code} on {original}"
        );
        // Petersburg took it back: every SSTORE of zero over zero costs 5,000.
        if (code, original) == ("60006000556000600055", 0) {
            let found = run(config("petersburg"), alloc, &[call]).unwrap();
            assert_eq!(found["gasUsed"], format!("{:#x}", 21_000 + 10_012));
        }
    }
}
