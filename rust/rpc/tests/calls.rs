//! Calls, batches, errors and the three ways a method is answered. Rows are those of docs/evidence/bad-inputs.md.

mod common;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use common::*;
use crossbeam_channel::Receiver;
use rpc::{Forwarded, Limits, NoOutside, RpcError, Server};
use serde_json::{Value, json};

#[test]
fn the_server_answers_what_it_knows_of_the_node() {
    let (server, address) = start_one(Limits::default());
    server.set_peer_count(11);
    for (method, params, expected) in [
        (
            "web3_clientVersion",
            json!([]),
            json!("Metanode/v0.1.0/linux/rust"),
        ),
        ("net_version", json!([]), json!("1337")),
        ("net_listening", json!([]), json!(true)),
        ("net_peerCount", json!([]), json!("0xb")),
        (
            "web3_sha3",
            json!(["0x"]),
            json!("0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        ),
        (
            "eth_echo",
            json!(["0x1", null, {"a": [1]}]),
            json!(["0x1", null, {"a": [1]}]),
        ),
    ] {
        assert_eq!(
            call(address, method, &params),
            json!({"jsonrpc": "2.0", "id": 1, "result": expected}),
            "{method}"
        );
    }
    server.set_listening(false);
    assert_eq!(
        call(address, "net_listening", &json!([]))["result"],
        json!(false)
    );
}

#[test]
fn parameters_that_a_method_of_the_server_does_not_take_are_refused() {
    let (_server, address) = start_one(Limits::default());
    for method in [
        "web3_clientVersion",
        "net_version",
        "net_listening",
        "net_peerCount",
        "rpc_modules",
        "rpc_discover",
        "eth_newBlockFilter",
    ] {
        for params in [json!([]), json!(null)] {
            assert!(
                call(address, method, &params)["error"].is_null(),
                "{method}"
            );
        }
        for (params, text) in [
            (json!([null]), "too many arguments, want at most 0"),
            (json!(["x", 1]), "too many arguments, want at most 0"),
            (json!({"a": 1}), "parameters are not an array"),
        ] {
            let answer = call(address, method, &params);
            assert_eq!(error_of(&answer), (-32602, text), "{method} {params}");
        }
    }
    for (data, text) in [
        ("68", "hex string without 0x prefix"),
        ("0x6", "hex string of odd length"),
        ("0x0x68", "invalid hex string"),
        ("0xzz", "invalid hex string"),
    ] {
        let answer = call(address, "web3_sha3", &json!([data]));
        let expected = format!("invalid argument 0: {text}");
        assert_eq!(error_of(&answer), (-32602, &*expected), "{data}");
    }
}

#[test]
fn ids_come_back_as_they_were_sent() {
    let (_server, address) = start_one(Limits::default());
    for id in [
        "0",
        "-7",
        "1.5",
        "123456789012345678901234567890",
        "\"text\"",
        "\"\\u00e9\"",
        "null",
    ] {
        let reply = post(
            address,
            &format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_echo","params":[]}}"#),
        );
        assert_eq!(
            reply.body,
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":[]}}"#)
        );
    }
}

#[test]
fn errors_have_the_standard_codes_and_status_200() {
    let (_server, address) = start_one(Limits::default());
    for (body, code, message) in [
        ("{", -32700, "parse error"),
        ("nonsense", -32700, "parse error"),
        ("{}", -32600, "invalid request"),
        ("[]", -32600, "empty batch"),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_sign"}"#,
            -32601,
            "the method eth_sign does not exist/is not available",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":""}"#,
            -32601,
            "the method  does not exist/is not available",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_panic"}"#,
            -32603,
            "internal error",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"web3_sha3"}"#,
            -32602,
            "missing value for required argument 0",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"web3_sha3","params":["0x","0x"]}"#,
            -32602,
            "too many arguments, want at most 1",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"web3_sha3","params":{}}"#,
            -32602,
            "parameters are not an array",
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}"#,
            -32601,
            "notifications not supported",
        ),
    ] {
        let reply = post(address, body);
        assert_eq!(reply.status, 200, "{body}");
        assert_eq!(error_of(&reply.json()), (code, message), "{body}");
    }
    let reverted = call(address, "eth_fail", &json!([]));
    let expected = json!({"code": 3, "message": "execution reverted", "data": "0x08c379a0"});
    assert_eq!(reverted["error"], expected);
    assert_eq!(
        call(address, "eth_echo", &json!([1]))["result"],
        json!([1]),
        "alive after a handler's panic"
    );
}

#[test]
fn a_long_unknown_method_is_not_echoed_whole() {
    let (_server, address) = start_one(Limits::default());
    let reply = post(
        address,
        &request(&"x".repeat(100_000), &json!([])).to_string(),
    );
    assert!(reply.body.len() < 300, "{}", reply.body.len());
}

#[test]
fn a_batch_is_answered_in_order_and_notifications_are_not() {
    let (_server, address) = start_one(Limits::default());
    let batch = json!([
        {"jsonrpc": "2.0", "id": "a", "method": "eth_echo", "params": [1]},
        {"jsonrpc": "2.0", "method": "eth_echo", "params": [2]},
        {"jsonrpc": "2.0", "id": 3, "method": "eth_slow", "params": [1]},
        [{"jsonrpc": "2.0", "id": 4, "method": "eth_echo"}],
        5,
        {"jsonrpc": "2.0", "id": 6, "method": "eth_none"},
        {"jsonrpc": "2.0", "id": 7, "method": "eth_sendRawTransaction", "params": ["0x7"]},
        {"jsonrpc": "2.0", "id": 8, "method": "eth_echo", "params": [8]},
    ]);
    let reply = post(address, &batch.to_string()).json();
    let summary: Vec<(Value, Value)> = reply
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["id"].clone(),
                if one["error"].is_null() {
                    one["result"].clone()
                } else {
                    one["error"]["code"].clone()
                },
            )
        })
        .collect();
    let expected = [
        (json!("a"), json!([1])),
        (json!(3), json!(true)),
        (json!(null), json!(-32600)),
        (json!(null), json!(-32600)),
        (json!(6), json!(-32601)),
        (json!(7), json!(["0x7"])),
        (json!(8), json!([8])),
    ];
    assert_eq!(summary, expected);
}

#[test]
fn notifications_alone_get_an_empty_body() {
    let (_server, address) = start_one(Limits::default());
    for body in [
        r#"{"jsonrpc":"2.0","method":"eth_echo"}"#,
        r#"[{"jsonrpc":"2.0","method":"eth_echo"}]"#,
    ] {
        let reply = post(address, body);
        assert_eq!((reply.status, reply.body.as_str()), (200, ""));
    }
}

/// Row 3.
#[test]
fn a_batch_over_the_limit_is_one_error() {
    let (_server, address) = start_one(Limits::default());
    let item = request("eth_echo", &json!([]));
    let fits = post(address, &Value::Array(vec![item.clone(); 100]).to_string()).json();
    assert_eq!(fits.as_array().map(Vec::len), Some(100));
    for count in [101, 10_000] {
        let reply = post(
            address,
            &Value::Array(vec![item.clone(); count]).to_string(),
        )
        .json();
        assert_eq!(
            error_of(&reply),
            (
                -32600,
                &*format!("batch too large: {count} requests, at most 100")
            )
        );
        assert_eq!(reply["id"], Value::Null);
    }
    let nested = post(address, "[[],[[]]]").json();
    assert_eq!(
        nested
            .as_array()
            .unwrap()
            .iter()
            .map(error_of)
            .collect::<Vec<_>>(),
        [(-32600, "invalid request"); 2]
    );
}

/// Row 1: also as a parameter, and over WebSocket. What it costs is claimed beside the decoder.
#[test]
fn deep_json_is_refused() {
    let (_server, address) = start_one(Limits::default());
    let deep = "[".repeat(100_000);
    let mut socket = open_websocket(address);
    assert_eq!(error_of(&post(address, &deep).json()).0, -32700);
    socket.send(deep.as_str().into()).unwrap();
    assert_eq!(error_of(&receive(&mut socket)).0, -32700);
    let objects = "{\"a\":".repeat(100_000);
    assert_eq!(error_of(&post(address, &objects).json()).0, -32700);
    let inside = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"web3_sha3","params":{deep}{}}}"#,
        "]".repeat(100_000)
    );
    assert_eq!(error_of(&post(address, &inside).json()).0, -32602);
}

/// Row 2.
#[test]
fn hostile_numbers_and_strings_are_refused() {
    let (_server, address) = start_one(Limits::default());
    let digits = "9".repeat(900_000);
    for (body, code) in [
        (
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"web3_sha3","params":[{digits}]}}"#),
            -32602,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_echo","params":[NaN]}"#.to_owned(),
            -32700,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_echo","params":[Infinity]}"#.to_owned(),
            -32700,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"\ud800"}"#.to_owned(),
            -32700,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"web3_sha3","params":["\ud800"]}"#.to_owned(),
            -32602,
        ),
        ("\u{feff}{}".to_owned(), -32700),
    ] {
        let reply = post(address, &body);
        assert_eq!(
            error_of(&reply.json()).0,
            code,
            "{}",
            &body[..body.len().min(90)]
        );
    }
}

#[test]
fn heavy_calls_wait_their_turn_and_are_refused_beyond_the_queue() {
    let (server, address, fake) = start_with_fake(Limits {
        heavy_queued_max: 2,
        ..Limits::default()
    });
    let ask = || thread::spawn(move || call(address, "eth_held", &json!([])));
    let mut callers = vec![ask()];
    wait_until("one runs", || fake.gate.held() == 1);
    callers.extend((0..7).map(|_| ask()));
    wait_until("two wait, and the others are refused", || {
        let statistics = server.statistics();
        (statistics.in_flight, statistics.shed) == (3, 5)
    });
    assert_eq!(call(address, "eth_echo", &json!([]))["result"], json!([]));
    assert_eq!(
        server.statistics().in_flight,
        3,
        "a read was answered before them"
    );
    fake.gate.release(3);
    let answers: Vec<Value> = callers
        .into_iter()
        .map(|caller| caller.join().unwrap())
        .collect();
    let served = answers
        .iter()
        .filter(|answer| answer["result"] == json!(true))
        .count();
    let busy = answers
        .iter()
        .filter(|answer| error_of(answer) == (-32005, "server is busy, try again later"))
        .count();
    assert_eq!((served, busy), (3, 5), "{answers:?}");
}

#[test]
fn a_heavy_call_that_takes_too_long_is_answered_with_a_timeout() {
    let (_server, address, fake) = start_with_fake(Limits {
        heavy_timeout: Duration::from_millis(50),
        ..Limits::default()
    });
    assert_eq!(
        error_of(&call(address, "eth_held", &json!([]))),
        (-32002, "request timed out")
    );
    fake.gate.release(1);
}

#[test]
fn the_work_for_a_heavy_call_stops_when_its_caller_has_gone_or_was_answered() {
    let (_server, address) = start_one(Limits {
        heavy_timeout: Duration::from_millis(50),
        ..Limits::default()
    });
    // More than there are threads: each endless call has to give its own back.
    for _ in 0..8 {
        let answer = call(address, "eth_endless", &json!([]));
        assert_eq!(error_of(&answer), (-32002, "request timed out"));
    }
    let (_server, address) = start_one(Limits::default());
    for _ in 0..8 {
        let body = request("eth_endless", &json!([])).to_string();
        let mut stream = connect(address);
        stream.write_all(&post_bytes("", body.as_bytes())).unwrap();
        // Gone before the answer.
        drop(stream);
    }
    assert_eq!(
        call(address, "eth_slow", &json!([1]))["result"],
        json!(true)
    );
}

#[test]
fn heavy_calls_are_shed_while_consensus_needs_the_processor() {
    let (server, address) = start_one(Limits::default());
    server.set_shedding(true);
    assert_eq!(
        error_of(&call(address, "eth_slow", &json!([1]))),
        (-32005, "server is busy, try again later")
    );
    assert_eq!(
        call(address, "eth_echo", &json!([]))["result"],
        json!([]),
        "reads go on"
    );
    assert_eq!(
        call(address, "eth_sendRawTransaction", &json!(["0x"]))["result"],
        json!(["0x"]),
        "so do writes"
    );
    server.set_shedding(false);
    assert_eq!(
        call(address, "eth_slow", &json!([1]))["result"],
        json!(true)
    );
}

#[test]
fn writes_of_all_connections_are_handed_over_together() {
    let (server, address, fake) = start_with_fake(Limits::default());
    fake.holds_writes.store(true, Relaxed);
    let callers: Vec<_> = (0..16)
        .map(|number| {
            thread::spawn(move || {
                call(address, "eth_sendRawTransaction", &json!([number]))["result"].clone()
            })
        })
        .collect();
    wait_until("all are there", || server.statistics().in_flight == 16);
    // There is one thread that reads: what it has begun before this is handed over.
    call(address, "eth_echo", &json!([]));
    fake.holds_writes.store(false, Relaxed);
    fake.gate.release(1);
    for (number, caller) in callers.into_iter().enumerate() {
        assert_eq!(caller.join().unwrap(), json!([number]));
    }
    // Those that came first, and those that came while these were worked on.
    assert!(fake.gathered.lock().len() <= 2, "{:?}", fake.gathered);
    let batch: Vec<Value> = (0..100)
        .map(|number| request("eth_sendRawTransaction", &json!([number])))
        .collect();
    let answers = post(address, &Value::Array(batch).to_string()).json();
    let results: Vec<Value> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["result"][0].clone())
        .collect();
    assert_eq!(
        results,
        (0..100).map(|number| json!(number)).collect::<Vec<_>>()
    );
    let gathered = fake.gathered.lock().clone();
    assert_eq!(gathered.iter().sum::<usize>(), 116);
}

/// A server whose outside handlers are the test, and what they are asked.
fn start_with_queue(outside_timeout: Duration) -> (Server, SocketAddr, Receiver<Forwarded>) {
    let (queue, requests) = Queue::new();
    let limits = Limits {
        outside_timeout,
        ..Limits::default()
    };
    let server = Server::start(
        config(vec![loopback()], limits),
        Arc::new(Fake::default()),
        Arc::new(queue),
    )
    .unwrap();
    let address = server.addresses()[0];
    (server, address, requests)
}

#[test]
fn outside_handlers_answer_through_a_queue() {
    let (_server, address, requests) = start_with_queue(NEVER);
    let caller = thread::spawn(move || call(address, "ibft_getPendingVotes", &json!([{"a": 1}])));
    let request = requests.recv().unwrap();
    assert_eq!(request.method, "ibft_getPendingVotes");
    assert_eq!(request.params.as_ref().unwrap().get(), r#"[{"a":1}]"#);
    assert_eq!(
        (request.listener.name(), request.peer.to_string()),
        ("loopback", "127.0.0.1".to_owned())
    );
    request.reply.send(Ok(raw("{\"0x01\":true}")));
    assert_eq!(caller.join().unwrap()["result"], json!({"0x01": true}));

    let caller = thread::spawn(move || call(address, "ibft_getPendingVotes", &json!([])));
    requests
        .recv()
        .unwrap()
        .reply
        .send(Err(RpcError::invalid_params("height: too high")));
    assert_eq!(
        error_of(&caller.join().unwrap()),
        (-32602, "height: too high")
    );

    let caller = thread::spawn(move || call(address, "ibft_getPendingVotes", &json!([])));
    drop(requests.recv().unwrap());
    assert_eq!(
        error_of(&caller.join().unwrap()),
        (-32603, "internal error")
    );

    let caller = thread::spawn(move || call(address, "eth_both", &json!([])));
    requests.recv().unwrap().reply.send(Ok(raw("\"outside\"")));
    assert_eq!(
        caller.join().unwrap()["result"],
        json!("outside"),
        "outside wins over the engine"
    );
}

#[test]
fn an_outside_answer_for_which_there_is_no_room_is_refused_and_counted() {
    let (queue, requests) = Queue::new();
    let limits = Limits {
        responses_held_bytes_max: 100_000,
        outside_timeout: NEVER,
        ..Limits::default()
    };
    let server = Server::start(
        config(vec![loopback()], limits),
        Arc::new(Fake::default()),
        Arc::new(queue),
    )
    .unwrap();
    let address = server.addresses()[0];
    // More than there ever is room for is too large, and no reason to try again.
    for (bytes, code) in [(90_000, 0), (110_000, -32003)] {
        let caller = thread::spawn(move || call(address, "ibft_getPendingVotes", &json!([])));
        let large = raw(&format!("\"{}\"", "x".repeat(bytes)));
        requests.recv().unwrap().reply.send(Ok(large));
        assert_eq!(error_of(&caller.join().unwrap()).0, code);
    }
    assert_eq!(server.statistics().shed, 1);
}

#[test]
fn who_waits_for_an_outside_handler_is_bounded_in_number_and_time() {
    let (_server, address, requests) = start_with_queue(Duration::from_millis(100));
    let waiting: Vec<_> = (0..2)
        .map(|_| thread::spawn(move || call(address, "ibft_getPendingVotes", &json!([]))))
        .collect();
    wait_until("two wait", || requests.len() == 2);
    assert_eq!(
        error_of(&call(address, "ibft_getPendingVotes", &json!([]))).0,
        -32005
    );
    for one in waiting {
        assert_eq!(
            error_of(&one.join().unwrap()),
            (-32002, "request timed out")
        );
    }
    assert!(
        requests
            .try_iter()
            .all(|request| request.reply.is_abandoned())
    );
}

#[test]
fn statistics_count_methods_by_name_and_inventions_as_other() {
    let (server, address) = start_one(Limits::default());
    for method in ["eth_echo", "eth_echo", "eth_fail", "evil_1", "evil_2"] {
        call(address, method, &json!([]));
    }
    let statistics = server.statistics();
    let counted: Vec<(&str, u64, u64)> = statistics
        .methods
        .iter()
        .map(|one| (one.method.as_str(), one.requests, one.transports[0].error))
        .collect();
    assert_eq!(
        counted,
        [("eth_echo", 2, 0), ("eth_fail", 1, 1), ("other", 2, 2)]
    );
    assert_eq!(statistics.in_flight, 0);
    assert_eq!(statistics.methods[0].buckets.iter().sum::<u64>(), 2);
}

#[test]
fn statistics_tell_transports_results_and_codes_apart() {
    let (server, address) = start_one(Limits::default());
    post(address, "nonsense");
    call(address, "eth_echo", &json!([]));
    call(address, "personal_sign", &json!([]));
    let mut socket = open_websocket(address);
    ask(&mut socket, "eth_echo", &json!([]));
    ask(&mut socket, "eth_fail", &json!([]));
    let found: Vec<_> = server
        .statistics()
        .methods
        .into_iter()
        .map(|one| {
            let [http, websocket] = one.transports.map(|by| (by.ok, by.error, by.denied));
            (one.method, http, websocket, one.codes)
        })
        .collect();
    let code = |code: &str| vec![(code.to_owned(), 1)];
    assert_eq!(
        found,
        [
            ("eth_echo".to_owned(), (1, 0, 0), (1, 0, 0), vec![]),
            ("eth_fail".to_owned(), (0, 0, 0), (0, 1, 0), code("3")),
            ("other".to_owned(), (0, 1, 0), (0, 0, 0), code("-32700")),
            (
                "personal_sign".to_owned(),
                (0, 0, 1),
                (0, 0, 0),
                code("-32601")
            ),
        ]
    );
}

#[test]
fn calls_that_the_load_forbids_are_counted_as_limited() {
    let (server, address) = start_one(Limits::default());
    server.set_shedding(true);
    let refused = call(address, "eth_slow", &json!([0]));
    assert_eq!(error_of(&refused).0, -32005);
    let methods = server.statistics().methods;
    assert_eq!(methods[0].method, "eth_slow");
    assert_eq!(methods[0].transports[0].limited, 1);
    assert_eq!(methods[0].codes, [("-32005".to_owned(), 1)]);
}

#[test]
fn statistics_know_how_large_batches_are() {
    let (server, address) = start_one(Limits::default());
    for calls in [1, 3, 100] {
        let batch = Value::Array(vec![request("eth_echo", &json!([])); calls]);
        post(address, &batch.to_string());
    }
    call(address, "eth_echo", &json!([]));
    let batches = server.statistics().batches;
    assert_eq!(batches.calls, 104);
    assert_eq!(batches.buckets, [1, 0, 1, 0, 0, 0, 1, 0]);
}

/// EIP-7966.
#[test]
fn a_sender_can_wait_until_a_block_has_the_transaction() {
    let fake = Arc::new(Fake::default());
    let config = config(vec![loopback()], Limits::default());
    let server = Server::start(config, Arc::clone(&fake) as _, Arc::new(NoOutside)).unwrap();
    let address = server.addresses()[0];
    assert!(!server.interest().heads);
    let sender =
        thread::spawn(move || call(address, "eth_sendRawTransactionSync", &json!(["0x01"])));
    wait_until("somebody waits", || server.interest().heads);
    // A block without the transaction wakes the sender, who goes on waiting.
    server.publish(head(1, &[]));
    fake.head.store(2, Relaxed);
    server.publish(head(2, &[]));
    // The fake answers with the parameters: the hash that the pool gave, which was what it was asked.
    assert_eq!(sender.join().unwrap()["result"], json!([["0x01"]]));
    wait_until("nobody waits", || !server.interest().heads);
}

#[test]
fn a_sender_who_waits_in_vain_is_told_the_hash() {
    let (server, address) = start_one(Limits::default());
    let response = call(address, "eth_sendRawTransactionSync", &json!(["0x01", 100]));
    assert_eq!(response["error"]["code"], 4);
    assert_eq!(response["error"]["data"], json!(["0x01"]));
    wait_until("nobody waits", || !server.interest().heads);
    let response = call(address, "eth_sendRawTransactionSync", &json!([]));
    assert_eq!(error_of(&response).0, -32602);
}
