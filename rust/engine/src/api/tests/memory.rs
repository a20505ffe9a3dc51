//! What a call may hold of the node's memory, and what is said when it needs more.

use std::sync::atomic::Ordering;

use serde_json::{Value, json, value::RawValue};

use super::node::{Node, RECURSE};
use crate::api::{Answer, caller::tests::caller};

const SOMEWHERE: &str = "0x7777777777777777777777777777777777777777";
const MIB: usize = 1 << 20;
/// Writes one transient slot after the other.
const TRANSIENT: &str = "0x5f5b60010180805d600156";
/// Writes one slot again and again.
const CHANGES: &str = "0x5f5b600101805f55600156";
/// Takes 300,000 bytes and calls itself.
const DEEP: &str = "0x5f620493e0535f5f5f5f5f305af100";
const RETURNS: &str = "0x623000005ff3";
const REVERTS: &str = "0x623000005ffd";
/// A log after the other.
const LOGS: &str = "0x5b5f5fa05f56";

/// The answer of a call that may hold so much, and the most that it asked for.
fn ask(node: &Node, method: &str, params: &Value, bytes: usize) -> (Answer, usize) {
    let (caller, room) = caller(bytes);
    let params = RawValue::from_string(params.to_string()).expect("JSON");
    let answer = node.api.call_unless(method, Some(&params), caller);
    (answer, room.asked.load(Ordering::Relaxed))
}

fn running(code: &str) -> (Value, Value) {
    let call = json!({"to": SOMEWHERE, "gas": "0x2faf080"});
    (call, json!({SOMEWHERE: {"code": code}}))
}

#[test]
fn code_that_takes_much_memory_asks_for_it_and_ends_when_there_is_none() {
    let node = Node::new();
    for code in [TRANSIENT, CHANGES, DEEP, RETURNS, REVERTS] {
        let (call, state) = running(code);
        let traced = json!({"stateOverrides": state, "tracer": "prestateTracer"});
        let simulated =
            json!({"blockStateCalls": [{"stateOverrides": state, "calls": [{"to": SOMEWHERE}]}]});
        let asked = [
            ("eth_call", json!([call, "latest", state])),
            ("debug_traceCall", json!([call, "latest", traced])),
            ("eth_simulateV1", json!([simulated, "latest"])),
        ];
        for (method, params) in asked {
            // The simulation's block has less gas than these need.
            if method == "eth_simulateV1" && [RETURNS, REVERTS].contains(&code) {
                continue;
            }
            let (answer, most) = ask(&node, method, &params, 2 * MIB);
            let error = answer.expect_err("no room");
            assert_eq!(error.code, -32005, "{method} of {code}: {error}");
            assert!(error.message.contains("more memory"), "{error}");
            assert!(most > 2 * MIB, "{method} of {code} asked for {most}");
        }
    }
}

#[test]
fn code_without_a_jump_asks_too() {
    let node = Node::new();
    // A transient slot, a change of slot 0 and a log, each by three opcodes of a byte.
    for opcodes in ["58585d", "585f55", "5f5fa0"] {
        let (call, state) = running(&format!("0x{}", opcodes.repeat(60_000)));
        let (answer, most) = ask(&node, "eth_call", &json!([call, "latest", state]), 2 * MIB);
        let error = answer.expect_err("no room");
        assert_eq!(error.code, -32005, "{opcodes}: {error}");
        assert!(most > 2 * MIB, "{opcodes} asked for {most}");
    }
}

#[test]
fn the_stacks_of_deep_calls_are_asked_for_and_the_deepest_finds_room_alone() {
    let node = Node::new();
    // A thousand words, and a call of itself with all the gas there is.
    let code = format!("0x{}5f5f5f5f5f305af100", "5f".repeat(1_000));
    let (call, state) = running(&code);
    let params = json!([call, "latest", state]);
    let (answer, most) = ask(&node, "eth_call", &params, 2 * MIB);
    assert_eq!(answer.expect_err("no room").code, -32005);
    assert!(most > 2 * MIB, "{most}");
    let (answer, most) = ask(&node, "eth_call", &params, 22 * MIB);
    assert!(answer.is_ok() && most > 4 * MIB, "{most}");
}

#[test]
fn what_a_call_returns_is_given_when_there_is_room_for_it_and_its_text() {
    let node = Node::new();
    for (code, expected) in [(RETURNS, None), (REVERTS, Some(3))] {
        let (call, state) = running(code);
        let params = json!([call, "latest", state]);
        // Three times 3 MiB, less what is free; and 2.25 MiB of memory before.
        let (answer, most) = ask(&node, "eth_call", &params, 9 * MIB);
        assert_eq!(answer.err().map(|error| error.code), expected);
        assert!((8 * MIB..9 * MIB).contains(&most), "{most}");
    }
}

#[test]
fn a_simulation_finds_room_for_all_of_its_reverts_or_is_refused_as_a_whole() {
    let node = Node::new();
    let call = json!({"to": SOMEWHERE, "gas": "0x30d40"});
    let block =
        json!({"stateOverrides": {SOMEWHERE: {"code": "0x620300005ffd"}}, "calls": vec![call; 8]});
    let params = json!([{"blockStateCalls": [block]}, "latest"]);
    let mut given = 0;
    for room in (0..10 * MIB).step_by(MIB / 8) {
        match ask(&node, "eth_simulateV1", &params, room).0 {
            Err(error) => assert_eq!(error.code, -32005, "{room}"),
            Ok(answer) => {
                assert!(!answer.get().contains("-32005"), "{room}");
                given += 1;
            }
        }
    }
    assert!((1..80).contains(&given), "{given}");
}

#[test]
fn a_long_reason_of_a_revert_is_held_beside_its_data() {
    let node = Node::new();
    // Error(string): its selector, 0x20, a length of 3 MiB, and zeros.
    let code =
        "0x6308c379a060e01b5f52".to_owned() + "6020600452" + "62300000602452" + "623000445ffd";
    let (call, state) = running(&code);
    let (answer, most) = ask(&node, "eth_call", &json!([call, "latest", state]), 30 * MIB);
    let error = answer.expect_err("reverted");
    assert_eq!((error.code, error.message.len() / MIB), (3, 3));
    assert!(most > 11 * MIB, "{most}");
}

#[test]
fn traces_and_their_text_are_held_too() {
    let node = Node::new();
    let (call, logs) = running(LOGS);
    let options = [
        (
            "debug_traceCall",
            json!([{"to": RECURSE}, "latest", {"tracer": "callTracer"}]),
        ),
        (
            "debug_traceCall",
            json!([call, "latest", {"stateOverrides": logs}]),
        ),
        (
            "trace_call",
            json!([{"to": RECURSE}, ["trace", "vmTrace"], "latest"]),
        ),
        (
            "eth_simulateV1",
            json!([{"blockStateCalls": [{"stateOverrides": logs, "calls": [{"to": SOMEWHERE}]}]}, "latest"]),
        ),
    ];
    for (method, params) in options {
        let (answer, most) = ask(&node, method, &params, MIB / 2);
        assert_eq!(answer.expect_err("no room").code, -32005, "{method}");
        assert!(most > MIB / 2, "{method} asked for {most}");
    }
}

#[test]
fn an_ordinary_call_asks_for_nothing() {
    let node = Node::new();
    let (call, state) = running("0x60ff5f5260206000f3");
    for (method, params) in [
        ("eth_call", json!([call, "latest", state])),
        (
            "eth_estimateGas",
            json!([{"to": SOMEWHERE, "value": "0x0"}]),
        ),
        (
            "debug_traceCall",
            json!([call, "latest", {"stateOverrides": state}]),
        ),
        ("eth_getLogs", json!([{"fromBlock": "0x0"}])),
    ] {
        let (answer, most) = ask(&node, method, &params, 0);
        assert!(answer.is_ok(), "{method}: {answer:?}");
        assert_eq!(most, 0, "{method}");
    }
}
