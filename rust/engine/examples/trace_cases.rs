//! Writes the chain of the tracing tests with our answers: `cargo run --example trace_cases -- DIRECTORY`.
//!
//! The directory gets `genesis.json` and `chain.rlp`, as `geth init` and `geth import` take them, and `cases.json`.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use engine::{
    Engine, EngineConfig,
    api::{Api, ApiLimits},
    pool::Origin,
    testing::{GAS_LIMIT, raw},
    trace_cases,
};
use serde_json::{json, value::RawValue};

fn main() {
    let directory = PathBuf::from(std::env::args().nth(1).expect("a directory"));
    let genesis = trace_cases::genesis_value();
    let engine = Engine::open(genesis.to_string().as_bytes(), EngineConfig::default());
    let engine = engine.expect("a chain in memory");
    let mut chain = Vec::new();
    for transactions in trace_cases::blocks() {
        let count = transactions.len();
        for (name, transaction) in transactions {
            let mut answers = engine.pool().add(&[raw(&transaction)], Origin::Local);
            answers
                .remove(0)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let head = engine.head();
        let attributes = trace_cases::attributes(head.timestamp + 2, GAS_LIMIT);
        let deadline = Instant::now() + Duration::from_secs(10);
        let built = engine
            .build(head.hash, &attributes, deadline)
            .expect("a block");
        assert_eq!(
            built.block.transactions.len(),
            count,
            "a transaction was left out"
        );
        engine.finalize(built.block.hash).expect("decided");
        chain.extend_from_slice(&built.block.encode());
    }
    let api = Api::new(engine, ApiLimits::default(), "metanode/example".to_owned());
    // Texts, not values: the order of fields counts, and a value may not nest as deep as calls do.
    let cases: Vec<String> = trace_cases::requests()
        .into_iter()
        .map(|(name, method, params)| {
            let text = RawValue::from_string(params.to_string()).expect("JSON");
            let answer = match api.call(method, Some(&text)) {
                Ok(answer) => format!(r#"{{"result":{answer}}}"#),
                Err(error) => {
                    json!({ "error": { "code": error.code, "message": error.message } }).to_string()
                }
            };
            let name = json!(name);
            format!(r#"{{"name":{name},"method":"{method}","params":{params},"answer":{answer}}}"#)
        })
        .collect();
    fs::write(directory.join("genesis.json"), genesis.to_string()).expect("written");
    fs::write(directory.join("chain.rlp"), chain).expect("written");
    fs::write(
        directory.join("cases.json"),
        format!("[{}]", cases.join(",\n")),
    )
    .expect("written");
}
