//! Methods that run blocks and calls again: their time, callers who have gone, and what is not there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use alloy_consensus::TxEip1559;
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, TxKind};
use serde_json::{Value, json, value::RawValue};

use super::{
    node::{LOOP, Node, STORE, call, patient, word},
    traces::waiting,
};
use crate::{
    EngineConfig,
    api::{ApiLimits, RpcError},
    testing::Account,
};

/// Transactions of the block of short ones, and calls of the list of short ones.
const SHORT: u64 = 20;
/// For the code that is long: about 270,000 jumps, milliseconds on any machine.
const LONG_GAS: u64 = 3_000_000;
const NOBODY: Address = Address::repeat_byte(0x99);

/// What is run again.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Work {
    /// Block 1 has many transactions whose code ends before it looks at the clock.
    ManyShort = 1,
    /// Block 2 has one that jumps until its gas is gone.
    OneLong = 2,
}

/// A chain of a block of each kind.
fn node(limits: ApiLimits) -> Node {
    let node = Node::with(limits, EngineConfig::default());
    let alice = Account::of(0);
    for nonce in 0..SHORT {
        node.submit(&call(&alice, nonce, STORE, word(nonce)));
    }
    node.mine();
    let long = TxEip1559 {
        to: TxKind::Call(LOOP),
        ..alice.call(SHORT, LONG_GAS)
    };
    node.mine_one(&alice.sign_transaction(long));
    let count = |block: &str| {
        let block = node.ask("eth_getBlockByNumber", json!([block, false]));
        block["transactions"].as_array().map(Vec::len)
    };
    assert_eq!(
        (count("0x1"), count("0x2")),
        (Some(SHORT as usize), Some(1))
    );
    node
}

/// The requests that run this work. Each names the last transaction of its block, before which the others run.
fn requests(node: &Node, work: Work) -> Vec<(&'static str, Value)> {
    let number = work as u64;
    let block = format!("{number:#x}");
    let content = node.ask("eth_getBlockByNumber", json!([block, false]));
    let hashes = content["transactions"].as_array().expect("hashes");
    let last = hashes.last().expect("one");
    let (short, long) = (
        json!({"to": STORE}),
        json!({"to": LOOP, "gas": "0x2faf080"}),
    );
    let calls = match work {
        Work::ManyShort => vec![json!([short, ["trace"]]); SHORT as usize],
        Work::OneLong => vec![json!([long, ["trace"]])],
    };
    let mut requests = vec![
        ("debug_traceBlockByNumber", json!([block])),
        ("debug_traceBlockByHash", json!([content["hash"]])),
        (
            "debug_traceTransaction",
            json!([last, {"tracer": "callTracer"}]),
        ),
        ("trace_block", json!([block])),
        ("trace_callMany", json!([calls])),
        (
            "trace_filter",
            json!([{"fromBlock": block, "toBlock": block}]),
        ),
        ("trace_get", json!([last, []])),
        ("trace_replayBlockTransactions", json!([block, ["trace"]])),
        ("trace_replayTransaction", json!([last, ["stateDiff"]])),
        ("trace_transaction", json!([last])),
        ("ots_getInternalOperations", json!([last])),
        ("ots_traceTransaction", json!([last])),
        (
            "ots_searchTransactionsBefore",
            json!([NOBODY, number + 1, 25]),
        ),
        (
            "ots_searchTransactionsAfter",
            json!([NOBODY, number - 1, 25]),
        ),
    ];
    match work {
        Work::ManyShort => requests.push((
            "debug_traceCall",
            json!([short, block, {"txIndex": format!("{:#x}", SHORT - 1)}]),
        )),
        Work::OneLong => {
            let bob = Account::of(1);
            let sent = bob.sign_transaction(TxEip1559 {
                to: TxKind::Call(LOOP),
                ..bob.call(0, LONG_GAS)
            });
            requests.extend([
                ("debug_traceCall", json!([long, block])),
                ("trace_call", json!([long, ["trace"], block])),
                (
                    "trace_rawTransaction",
                    json!([Bytes::from(sent.encoded_2718()), ["trace"], block]),
                ),
                // It ran out of gas.
                ("ots_getTransactionError", json!([last])),
            ]);
        }
    }
    requests
}

/// What the reference says of a request whose time is over: docs/reference/json-rpc-server.md, Traces.
fn assert_ended(method: &str, work: Work, answer: Result<Value, RpcError>) {
    let Err(error) = answer else {
        panic!("{method}, {work:?} ran to its end");
    };
    let is_search = method.starts_with("ots_search");
    let (code, text) = if is_search {
        (-32002, "; the search had come to block ")
    } else {
        (-32000, "execution timeout")
    };
    assert_eq!(error.code, code, "{method}, {work:?}: {error}");
    assert!(error.message.contains(text), "{method}, {work:?}: {error}");
}

#[test]
fn work_ends_with_its_time_inside_long_code_and_between_short_transactions() {
    // Code that is long has to be stopped while it runs; short code is over before anybody looks, so not even its first may begin.
    for (work, time) in [
        (Work::OneLong, Duration::from_millis(1)),
        (Work::ManyShort, Duration::ZERO),
    ] {
        let node = node(ApiLimits {
            trace_timeout_max: time,
            scan_timeout: time,
            ..ApiLimits::default()
        });
        for (method, params) in requests(&node, work) {
            assert_ended(method, work, node.try_ask(method, params));
        }
    }
}

#[test]
fn one_transaction_and_a_search_have_less_time_than_a_whole_request() {
    let node = node(ApiLimits {
        trace_timeout: Duration::from_millis(1),
        scan_timeout: Duration::from_millis(1),
        ..patient()
    });
    for (method, params) in requests(&node, Work::OneLong) {
        assert_ended(method, Work::OneLong, node.try_ask(method, params));
    }
}

/// The answer for a caller who goes after so many looks at him, and how many more there were.
fn ask_and_go(
    node: &Node,
    method: &str,
    params: &Value,
    looks_max: usize,
) -> (Result<Value, RpcError>, usize) {
    let params = RawValue::from_string(params.to_string()).expect("JSON");
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = looks.clone();
    let caller = waiting(move || counted.fetch_add(1, Relaxed) >= looks_max);
    let answer = node.api.call_unless(method, Some(&params), caller);
    let answer = answer.map(|text| serde_json::from_str(text.get()).expect("JSON"));
    (answer, looks.load(Relaxed).saturating_sub(looks_max))
}

#[test]
fn nothing_runs_on_for_a_caller_who_has_gone() {
    // Only who has gone can end it before the gas does, which ends it with an answer.
    let node = node(patient());
    for work in [Work::ManyShort, Work::OneLong] {
        for (method, params) in requests(&node, work) {
            // More looks than there are before the first transaction, fewer than the work takes.
            let (answer, more) = ask_and_go(&node, method, &params, 10);
            assert_ended(method, work, answer);
            assert!(
                (1..=3).contains(&more),
                "{method}, {work:?}: {more} looks after it"
            );
        }
    }
}

#[test]
fn a_search_that_ends_inside_a_block_gives_the_whole_blocks_before_it() {
    let node = node(patient());
    let found = node.mine_one(&call(&Account::of(1), 0, STORE, Bytes::new()));
    // Block 3 is looked through, and block 2 begun. Who goes on from the page asks for what is before block 3.
    let search = json!([STORE, 0, 25]);
    let (page, _) = ask_and_go(&node, "ots_searchTransactionsBefore", &search, 20);
    let page = page.expect("a page");
    let hashes: Vec<&Value> = page["txs"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["hash"])
        .collect();
    assert_eq!(hashes, [&json!(found)]);
    assert_eq!(
        (&page["firstPage"], &page["lastPage"]),
        (&json!(true), &json!(false))
    );
    let rest = node.ask("ots_searchTransactionsBefore", json!([STORE, 3, 25]));
    assert_eq!(rest["txs"].as_array().map(Vec::len), Some(20));
    assert_eq!(rest["lastPage"], true);
}

#[test]
fn a_block_or_transaction_that_is_not_there_is_answered_as_its_method_says() {
    let node = node(patient());
    let (nothing, far) = (B256::ZERO, "0x99");
    let calls = json!([[{"to": STORE}, ["trace"]]]);
    let empty = |first: bool, last: bool| json!({"txs": [], "receipts": [], "firstPage": first, "lastPage": last});
    for (method, params, expected) in [
        ("trace_block", json!([far]), json!(null)),
        ("trace_block", json!([nothing]), json!(null)),
        ("trace_transaction", json!([nothing]), json!(null)),
        ("trace_get", json!([nothing, []]), json!(null)),
        (
            "trace_replayBlockTransactions",
            json!([far, ["trace"]]),
            json!(null),
        ),
        (
            "trace_replayBlockTransactions",
            json!([nothing, ["trace"]]),
            json!(null),
        ),
        (
            "trace_filter",
            json!([{"fromBlock": "0x0", "toBlock": "0x0"}]),
            json!([]),
        ),
        ("ots_getBlockDetails", json!([far]), json!(null)),
        ("ots_getBlockDetailsByHash", json!([nothing]), json!(null)),
        ("ots_getBlockTransactions", json!([far, 0, 5]), json!(null)),
        ("ots_getContractCreator", json!([NOBODY]), json!(null)),
        (
            "ots_getTransactionBySenderAndNonce",
            json!([NOBODY, 0]),
            json!(null),
        ),
        (
            "ots_searchTransactionsBefore",
            json!([NOBODY, 0, 5]),
            empty(true, true),
        ),
        (
            "ots_searchTransactionsBefore",
            json!([NOBODY, far, 5]),
            empty(true, true),
        ),
        (
            "ots_searchTransactionsBefore",
            json!([NOBODY, 1, 5]),
            empty(false, true),
        ),
        (
            "ots_searchTransactionsAfter",
            json!([NOBODY, 0, 5]),
            empty(true, true),
        ),
        (
            "ots_searchTransactionsAfter",
            json!([NOBODY, far, 5]),
            empty(true, false),
        ),
    ] {
        assert_eq!(
            node.ask(method, params.clone()),
            expected,
            "{method} {params}"
        );
    }
    for (method, params, expected) in [
        (
            "trace_call",
            json!([{"to": STORE}, ["trace"], far]),
            "header not found",
        ),
        ("trace_callMany", json!([calls, far]), "header not found"),
        (
            "trace_callMany",
            json!([calls, nothing]),
            "header for hash not found",
        ),
        (
            "trace_replayTransaction",
            json!([nothing, ["trace"]]),
            "transaction not found",
        ),
        (
            "ots_getInternalOperations",
            json!([nothing]),
            "transaction not found",
        ),
        (
            "ots_getTransactionError",
            json!([nothing]),
            "transaction not found",
        ),
        (
            "ots_traceTransaction",
            json!([nothing]),
            "transaction not found",
        ),
    ] {
        let (code, message, _) = node.refuse(method, params.clone());
        assert_eq!(
            (code, message.as_str()),
            (-32000, expected),
            "{method} {params}"
        );
    }
    // A range that reaches behind the head, in part or with all of it: who asks for traces must not take a block to come for one without.
    for filter in [
        json!({"fromBlock": "0x98", "toBlock": far}),
        json!({"fromBlock": far}),
        json!({"fromBlock": "0x1", "toBlock": "0x3"}),
        json!({"fromBlock": "0x0", "toBlock": "0x7fffffffffffffff"}),
    ] {
        let (code, message, _) = node.refuse("trace_filter", json!([filter]));
        assert_eq!(
            (code, message.as_str()),
            (-32602, "block range extends beyond current head block 2"),
            "{filter}"
        );
    }
    let all = node.ask(
        "trace_filter",
        json!([{"fromBlock": "0x1", "toBlock": "latest"}]),
    );
    assert_eq!(all.as_array().map(Vec::len), Some(21));
    // A search from a block that is not there begins with the newest one.
    let search = |block: &str| node.ask("ots_searchTransactionsBefore", json!([LOOP, block, 5]));
    assert_eq!(search(far), search("0x0"));
    assert_eq!(search(far)["txs"].as_array().map(Vec::len), Some(1));
}
