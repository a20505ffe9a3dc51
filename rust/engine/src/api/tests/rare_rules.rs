//! EIP-7610 and EIP-1283, which revm leaves out, hold for calls as they do for blocks.

use alloy_primitives::Address;
use serde_json::{Value, json};

use super::node::{Node, patient};
use crate::{
    Engine, EngineConfig,
    api::Api,
    testing::{Account, genesis},
};

const CONTRACT: Address = Address::repeat_byte(0xc1);

/// A chain with these accounts beside a rich one; with only these forks, where some are named.
pub(super) fn node(forks: Option<Value>, accounts: Value) -> Node {
    let mut content = genesis([Account::of(0).address]);
    for (address, account) in accounts.as_object().expect("accounts") {
        content["alloc"][address] = account.clone();
    }
    if let Some(forks) = forks {
        let chain_id = content["config"]["chainId"].clone();
        content["config"] = forks;
        content["config"]["chainId"] = chain_id;
        for field in ["baseFeePerGas", "excessBlobGas", "blobGasUsed"] {
            content.as_object_mut().expect("a genesis").remove(field);
        }
    }
    let config = EngineConfig {
        chain_import: true,
        ..EngineConfig::default()
    };
    let engine = Engine::open(content.to_string().as_bytes(), config).expect("a chain");
    let api = Api::new(engine.clone(), patient(), "metanode/test".to_owned());
    Node { engine, api }
}

fn storage(value: u64) -> Value {
    json!({ format!("{:#066x}", 0): format!("{value:#066x}") })
}

#[test]
fn a_call_creates_nothing_where_storage_is() {
    let sender = Account::of(0).address;
    let target = sender.create(0);
    // Init code that returns nothing.
    let creation = json!({"from": sender, "data": "0x00", "gas": "0x30d40"});
    for held in [json!({}), storage(7)] {
        let is_free = held == json!({});
        let node = node(
            None,
            json!({
                target.to_string(): { "balance": "0xa", "storage": held },
                // Another one, so that the check is on in both cases.
                Address::repeat_byte(9).to_string(): { "balance": "0x1", "storage": storage(1) },
            }),
        );
        for method in ["eth_call", "eth_estimateGas"] {
            let answer = node.try_ask(method, json!([creation, "latest"]));
            assert_eq!(answer.is_ok(), is_free, "{method}: {answer:?}");
        }
        let traced = node.ask("debug_traceCall", json!([creation, "latest", {}]));
        assert_eq!(traced["failed"], json!(!is_free));
        // All gas is lost.
        assert_eq!(traced["gas"] == json!(200_000), !is_free, "{traced}");
        let simulated = node.ask(
            "eth_simulateV1",
            json!([{"blockStateCalls": [{"calls": [creation, creation]}]}, "latest"]),
        );
        let status = |index: usize| simulated[0]["calls"][index]["status"].clone();
        // The second one has another nonce, so another address.
        assert_eq!(
            [status(0), status(1)],
            [json!(if is_free { "0x1" } else { "0x0" }), json!("0x1")]
        );
        let nonce = node.ask("eth_getTransactionCount", json!([target, "latest"]));
        assert_eq!(nonce, json!("0x0"));
    }
}

#[test]
fn the_code_of_a_call_creates_nothing_where_storage_is() {
    // Creates from empty init code, and returns the address.
    for (opcode, salt) in [("f0", ""), ("f5", "5f")] {
        let target = if salt.is_empty() {
            CONTRACT.create(1)
        } else {
            CONTRACT.create2_from_code([0; 32], [0; 0])
        };
        for held in [json!({}), storage(7)] {
            let is_free = held == json!({});
            let node = node(
                None,
                json!({
                    target.to_string(): { "balance": "0xa", "storage": held },
                    Address::repeat_byte(9).to_string(): { "balance": "0x1", "storage": storage(1) },
                    CONTRACT.to_string(): {
                        "balance": "0x0", "nonce": "0x1", "code": format!("0x{salt}5f5f5f{opcode}5f5260205ff3")
                    },
                }),
            );
            let created = if is_free { target } else { Address::ZERO }.into_word();
            let call = json!({"to": CONTRACT, "gas": "0xf4240"});
            assert_eq!(
                node.ask("eth_call", json!([call, "latest"])),
                json!(created),
                "{opcode}"
            );
            let simulated = node.ask(
                "eth_simulateV1",
                json!([{"blockStateCalls": [{"calls": [call]}]}, "latest"]),
            );
            assert_eq!(
                simulated[0]["calls"][0]["returnData"],
                json!(created),
                "{opcode}"
            );
        }
    }
}

#[test]
fn a_call_under_constantinople_alone_has_the_prices_of_eip_1283() {
    let before = json!({
        "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0, "byzantiumBlock": 0
    });
    let forks = |petersburg: bool| {
        let mut forks = before.clone();
        forks["constantinopleBlock"] = json!(0);
        if petersburg {
            forks["petersburgBlock"] = json!(0);
        }
        forks
    };
    // Code, what was in slot 0, gas and refund: from the table of EIP-1283.
    for (code, original, gas, refund) in [
        ("60006000556000600055", 0_u64, 412_u64, 0_u64),
        ("60016000556000600055", 0, 20_212, 19_800),
        ("60006000556001600055", 1, 5_212, 4_800),
    ] {
        let accounts = json!({
            CONTRACT.to_string(): { "balance": "0x0", "code": format!("0x{code}"), "storage": storage(original) }
        });
        let whole = 21_000 + gas;
        let expected = whole - refund.min(whole / 2);
        let used = |node: &Node| {
            let call = json!({"from": Account::of(0).address, "to": CONTRACT, "gas": "0x186a0"});
            let traced = node.ask("debug_traceCall", json!([call, "latest", {}]));
            traced["gas"].as_u64().expect("gas")
        };
        assert_eq!(
            used(&node(Some(forks(false)), accounts.clone())),
            expected,
            "{code}"
        );
        // Petersburg took it back: every SSTORE of zero over zero costs 5,000.
        if (gas, refund) == (412, 0) {
            let node = node(Some(forks(true)), accounts);
            assert_eq!(used(&node), 21_000 + 10_012);
        }
    }
}
