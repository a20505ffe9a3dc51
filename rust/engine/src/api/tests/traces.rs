//! `debug_trace*`: our answers are go-ethereum's, and nobody can make them take for ever.

use std::{
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use serde_json::{Value, json, value::RawValue};

use super::node::{LOOP, Node, STORE, call, patient, word};
use crate::{
    Engine, EngineConfig,
    api::{Api, ApiLimits, Caller, Waiting},
    pool::Origin,
    testing::{Account, GAS_LIMIT, raw},
    trace_cases,
};

/// The answers that go-ethereum gave for the chain of `trace_cases`; `tools/compare_traces.py` makes them.
const ANSWERS: &str = "testdata/traces-geth-1.17.8.txt.xz";
/// The names of Go's types are not ours to give.
const OTHER_WORDS: [&str; 1] = [r#"debug_traceTransaction ["0x1"]"#];

pub(super) fn chain() -> Api {
    let genesis = trace_cases::genesis_value().to_string();
    let engine = Engine::open(genesis.as_bytes(), EngineConfig::default()).expect("a chain");
    for transactions in trace_cases::blocks() {
        for (name, transaction) in &transactions {
            let mut answers = engine.pool().add(&[raw(transaction)], Origin::Local);
            let answer = answers.remove(0);
            answer.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let head = engine.head();
        let attributes = trace_cases::attributes(head.timestamp + 2, GAS_LIMIT);
        let deadline = Instant::now() + Duration::from_secs(60);
        let built = engine
            .build(head.hash, &attributes, deadline)
            .expect("a block");
        assert_eq!(built.block.transactions.len(), transactions.len());
        engine.finalize(built.block.hash).expect("decided");
    }
    Api::new(engine, patient(), "metanode/test".to_owned())
}

fn answer(api: &Api, method: &str, params: &Value) -> String {
    let params = RawValue::from_string(params.to_string()).expect("JSON");
    match api.call(method, Some(&params)) {
        Ok(result) => format!(r#""result":{result}"#),
        Err(error) => format!(
            r#""error":{{"code":{},"message":{}}}"#,
            error.code,
            json!(error.message)
        ),
    }
}

/// The two texts from where they part.
fn parting<'a>(one: &'a str, other: &'a str) -> (&'a str, &'a str) {
    let equal = one
        .bytes()
        .zip(other.bytes())
        .take_while(|(one, other)| one == other)
        .count();
    let around = |text: &'a str| {
        let from = equal.saturating_sub(200);
        text.get(from..text.len().min(equal + 200)).unwrap_or(text)
    };
    (around(one), around(other))
}

#[test]
fn traces_are_go_ethereums_to_the_letter() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(ANSWERS);
    let output = Command::new("xz").arg("-dc").arg(path).output();
    let text = String::from_utf8(output.expect("xz runs").stdout).expect("text");
    // Go's way to write the same texts.
    let text = text.replace("\\u003c", "<").replace("\\u003e", ">");
    let expected: std::collections::HashMap<&str, &str> = text
        .lines()
        .map(|line| line.split_once('\t').expect("a name and an answer"))
        .collect();
    let api = chain();
    let requests = trace_cases::requests();
    assert_eq!(requests.len(), expected.len());
    for (name, method, params) in requests {
        let ours = answer(&api, method, &params);
        let theirs = expected
            .get(name.as_str())
            .unwrap_or_else(|| panic!("no answer for {name}"));
        if OTHER_WORDS.contains(&name.as_str()) {
            assert!(
                ours.contains("-32602") && theirs.contains("-32602"),
                "{name}"
            );
        } else if ours != **theirs {
            let (ours, theirs) = parting(&ours, theirs);
            panic!("{name}\nours:   {ours}\ntheirs: {theirs}");
        }
    }
}

#[test]
fn the_state_before_a_transaction_is_that_of_its_block_up_to_it() {
    let node = Node::new();
    let alice = Account::of(0);
    for (nonce, value) in [(0, 8), (1, 9), (2, 10)] {
        node.submit(&call(&alice, nonce, STORE, word(value)));
    }
    node.mine();
    let last = node.mine_one(&call(&alice, 3, STORE, word(11)));
    let block = node.ask("eth_getBlockByNumber", json!(["0x1", false]));
    let slot = |hash: Value| {
        let options = json!({"tracer": "prestateTracer"});
        let trace = node.ask("debug_traceTransaction", json!([hash, options]));
        let storage = &trace[STORE.to_string().to_lowercase()]["storage"];
        storage[B256::ZERO.to_string()].clone()
    };
    let seen: Vec<Value> = (0..3)
        .map(|index| slot(block["transactions"][index].clone()))
        .chain([slot(json!(last))])
        .collect();
    let expected = [7, 8, 9, 10].map(|value| json!(B256::with_last_byte(value)));
    assert_eq!(seen, expected);
}

#[test]
fn what_cannot_be_traced_is_refused_with_a_reason() {
    let node = Node::new();
    let hash = node.mine_one(&call(&Account::of(0), 0, STORE, word(8)));
    let to_store = json!({"to": STORE});
    let cases = [
        (
            "debug_traceTransaction",
            json!([hash, {"tracer": "parityTracer"}]),
            -32000,
            "tracer \"parityTracer\" is not known",
        ),
        (
            "debug_traceTransaction",
            json!([hash, {"tracer": "{step: function() {}}"}]),
            -32000,
            "JavaScript are not run here",
        ),
        (
            "debug_traceTransaction",
            json!([hash, {"tracer": 5}]),
            -32602,
            "invalid argument 1: invalid type",
        ),
        (
            "debug_traceTransaction",
            json!([hash, "callTracer"]),
            -32602,
            "expected an object of trace options",
        ),
        (
            "debug_traceTransaction",
            json!([hash, {"tracer": "callTracer", "tracerConfig": {"withLog": 1}}]),
            -32000,
            "callTracer: tracerConfig: invalid type",
        ),
        (
            "debug_traceTransaction",
            json!([hash, {"timeout": "5 s"}]),
            -32000,
            "unknown unit",
        ),
        (
            "debug_traceTransaction",
            json!([hash, {}, {}]),
            -32602,
            "too many arguments",
        ),
        (
            "debug_traceTransaction",
            json!([B256::ZERO]),
            -32000,
            "transaction not found",
        ),
        (
            "debug_traceBlockByNumber",
            json!(["0x0"]),
            -32000,
            "genesis is not traceable",
        ),
        (
            "debug_traceBlockByNumber",
            json!(["pending"]),
            -32000,
            "tracing on top of pending is not supported",
        ),
        (
            "debug_traceBlockByNumber",
            json!(["0x9"]),
            -32000,
            "block #9 not found",
        ),
        (
            "debug_traceBlockByHash",
            json!([B256::ZERO]),
            -32000,
            "not found",
        ),
        (
            "debug_traceBlockByHash",
            json!(["0x1"]),
            -32602,
            "hex string of odd length",
        ),
        (
            "debug_traceCall",
            json!([to_store, "pending"]),
            -32000,
            "tracing on top of pending is not supported",
        ),
        (
            "debug_traceCall",
            json!([to_store, "0x1", {"txIndex": "0x1"}]),
            -32000,
            "transaction index 0x1 out of range",
        ),
        (
            "debug_traceCall",
            json!([to_store, "0x1", {"txIndex": "1"}]),
            -32602,
            "txIndex: hex string without 0x prefix",
        ),
        (
            "debug_traceCall",
            json!([to_store, "0x1", {"stateOverrides": []}]),
            -32602,
            "stateOverrides: expected an object",
        ),
        (
            "debug_traceCall",
            json!([to_store, "0x1", {"blockOverrides": {"withdrawals": []}}]),
            -32000,
            "is not supported",
        ),
        (
            "debug_traceCall",
            json!([{"to": STORE, "gas": "0x1"}, "0x1"]),
            -32000,
            "tracing failed: intrinsic gas too low",
        ),
    ];
    for (method, params, code, text) in cases {
        let (found, message, _) = node.refuse(method, params.clone());
        assert_eq!(found, code, "{method} {params}: {message}");
        assert!(message.contains(text), "{method} {params}: {message}");
        assert!(message.len() < 400, "{message}");
    }
}

#[test]
fn history_that_is_not_kept_is_said_to_be_pruned() {
    let config = EngineConfig {
        history_blocks: Some(2),
        ..EngineConfig::default()
    };
    let node = Node::with(patient(), config);
    let hash = node.mine_one(&call(&Account::of(0), 0, STORE, word(8)));
    for _ in 0..6 {
        node.mine();
    }
    node.engine.store().flush().expect("old state is dropped");
    for (method, params) in [
        ("debug_traceTransaction", json!([hash])),
        ("debug_traceBlockByNumber", json!(["0x1"])),
        ("debug_traceCall", json!([{"to": STORE}, "0x1"])),
    ] {
        let (code, message, _) = node.refuse(method, params);
        assert_eq!(code, -32000, "{method}: {message}");
        assert!(
            message.contains("is pruned; the oldest kept is "),
            "{method}: {message}"
        );
    }
}

#[test]
fn a_trace_ends_with_its_time_however_often_the_block_repeats() {
    let node = Node::new();
    for (timeout, least) in [("20ms", Duration::from_millis(20)), ("-1s", Duration::ZERO)] {
        let begun = Instant::now();
        let call = json!([{"to": LOOP}, "latest", {"tracer": "callTracer", "timeout": timeout}]);
        let (code, message, _) = node.refuse("debug_traceCall", call);
        assert_eq!((code, message.as_str()), (-32000, "execution timeout"));
        assert!(begun.elapsed() >= least, "{timeout}");
    }
    let limits = ApiLimits {
        trace_timeout_max: Duration::from_millis(30),
        ..patient()
    };
    let node = Node::with(limits, EngineConfig::default());
    let call = json!([{"to": LOOP}, "latest", {"tracer": "noopTracer", "timeout": "1000000h"}]);
    let (_, message, _) = node.refuse("debug_traceCall", call);
    assert_eq!(
        message, "execution timeout",
        "the most that one may ask for"
    );
}

/// A caller who is gone when `is_abandoned` says so.
struct Watching<F>(F);

impl<F: Fn() -> bool + Send + Sync> Waiting for Watching<F> {
    fn is_abandoned(&self) -> bool {
        self.0()
    }

    fn may_hold(&self, _: usize) -> bool {
        true
    }
}

pub(super) fn waiting(is_abandoned: impl Fn() -> bool + Send + Sync + 'static) -> Caller {
    Caller::new(Arc::new(Watching(is_abandoned)))
}

#[test]
fn a_trace_of_more_bytes_than_an_answer_holds_ends_early() {
    const LOOKS_MAX: usize = 500;
    let limits = ApiLimits {
        trace_bytes_max: 100_000,
        ..patient()
    };
    let node = Node::with(limits, EngineConfig::default());
    for options in [
        json!({}),
        json!({"tracer": "muxTracer", "tracerConfig": {"noopTracer": {}, "callTracer": {}}}),
    ] {
        let to = if options == json!({}) {
            LOOP
        } else {
            super::node::RECURSE
        };
        let params = json!([{"to": to, "gas": "0x2faf080"}, "latest", options]);
        let params = RawValue::from_string(params.to_string()).expect("JSON");
        let looks = Arc::new(AtomicUsize::new(0));
        let counted = looks.clone();
        let counting = waiting(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            false
        });
        let answer = node
            .api
            .call_unless("debug_traceCall", Some(&params), counting);
        let error = answer.expect_err("too large");
        assert_eq!(
            (error.code, error.message.as_str()),
            (-32003, "response too large")
        );
        // There is one for some hundred steps; until the gas is gone there would be thousands.
        let looks = looks.load(Ordering::Relaxed);
        assert!(looks < LOOKS_MAX, "{looks} looks at {options}");
    }
}

#[test]
fn nothing_runs_on_for_a_caller_who_has_gone() {
    // Only who has gone, or the gas, can end it; and gas ends it with an answer.
    let limits = ApiLimits {
        trace_timeout_max: Duration::from_secs(3_600),
        ..patient()
    };
    let node = Arc::new(Node::with(limits, EngineConfig::default()));
    let gone = Arc::new(AtomicBool::new(false));
    let watched = gone.clone();
    let asked = Arc::new(AtomicBool::new(false));
    let asking = asked.clone();
    let who = waiting(move || {
        asking.store(true, Ordering::Relaxed);
        watched.load(Ordering::Relaxed)
    });
    let caller = thread::spawn({
        let node = node.clone();
        move || {
            let params = json!([{"to": LOOP, "gas": "0x2faf080"}, "latest", {"tracer": "noopTracer", "timeout": "1h"}]);
            let params = RawValue::from_string(params.to_string()).expect("JSON");
            node.api.call_unless("debug_traceCall", Some(&params), who)
        }
    });
    while !asked.load(Ordering::Relaxed) && !caller.is_finished() {
        thread::yield_now();
    }
    gone.store(true, Ordering::Relaxed);
    let answer = caller.join().expect("no panic");
    assert_eq!(answer.expect_err("stopped").message, "execution timeout");
}

#[test]
fn one_block_of_many_traces_shares_the_bytes_of_an_answer() {
    let limits = ApiLimits {
        trace_bytes_max: 3_000,
        ..patient()
    };
    let node = Node::with(limits, EngineConfig::default());
    let alice = Account::of(0);
    for nonce in 0..4 {
        node.submit(&call(&alice, nonce, STORE, word(nonce)));
    }
    node.mine();
    let first = node.ask("eth_getBlockByNumber", json!(["0x1", false]))["transactions"][0].clone();
    node.ask("debug_traceTransaction", json!([first]));
    let (code, _, _) = node.refuse("debug_traceBlockByNumber", json!(["0x1"]));
    assert_eq!(code, -32003);
}
