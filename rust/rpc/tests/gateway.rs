//! A gateway before nodes that lag, die, lie, babble and dawdle.

mod common;
mod nodes;

use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use alloy_primitives::keccak256;
use rpc::gateway::Gateway;
use rpc::{Allowance, Limits};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use common::{
    Reply, ask, call, close_code, connect, error_of, exchange, open_websocket, post, post_bytes,
    read_reply, receive, request, send, wait_until,
};
use nodes::{
    Behaviour, FakeNode, babbler, gateway, hash_of, result, settings, transactions_of, urls,
};

fn before(nodes: &[FakeNode]) -> (Gateway, SocketAddr) {
    gateway(settings(&urls(nodes), Limits::default()), nodes.len())
}

#[test]
fn only_listed_methods_are_answered_and_some_without_a_node() {
    let nodes = FakeNode::several(2, 7);
    let (_gateway, address) = before(&nodes);
    for (method, expected) in [
        ("eth_chainId", json!("0x539")),
        ("eth_blockNumber", json!("0x7")),
        ("eth_accounts", json!([])),
        ("eth_syncing", json!(false)),
        ("net_version", json!("1337")),
    ] {
        assert_eq!(result(address, method, &json!([])), expected, "{method}");
    }
    for method in ["debug_traceTransaction", "admin_peers", "eth_sign", "x"] {
        let response = call(address, method, &json!([]));
        assert_eq!(error_of(&response).0, -32601, "{method}");
    }
    assert_eq!(
        nodes
            .iter()
            .map(|node| node.count("debug_traceTransaction"))
            .sum::<usize>(),
        0
    );
}

#[test]
fn what_a_caller_has_seen_is_never_taken_back() {
    let nodes = FakeNode::several(3, 5);
    let (gateway, address) = before(&nodes);
    nodes[1].take(6);
    wait_until("block 6 is seen", || gateway.statistics().visible == 6);
    // Two nodes are behind: every call about the newest block goes to the third, with its number.
    for _ in 0..20 {
        assert_eq!(result(address, "eth_blockNumber", &json!([])), "0x6");
        let balance = result(address, "eth_getBalance", &json!(["0xaa", "latest"]));
        assert_eq!(balance, "node-1@6");
    }
    // Old blocks are anybody's.
    let mut seen: Vec<Value> = (0..20)
        .map(|_| result(address, "eth_getBalance", &json!(["0xaa", "0x3"])))
        .collect();
    seen.sort_by_key(Value::to_string);
    seen.dedup();
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
fn an_answer_that_shows_a_new_block_is_not_contradicted_by_nodes_without_it() {
    let nodes = FakeNode::several(2, 5);
    let (_gateway, address) = before(&nodes);
    nodes[0].take_quietly(6);
    nodes[1].take_quietly(5);
    let asked = || result(address, "eth_getBlockByNumber", &json!(["0x6", false]));
    wait_until("the node that has it is asked", || asked() != Value::Null);
    assert_eq!(result(address, "eth_blockNumber", &json!([])), "0x6");
    for _ in 0..10 {
        assert_ne!(asked(), Value::Null);
    }
}

#[test]
fn a_call_that_a_node_does_not_answer_goes_to_another() {
    let nodes = FakeNode::several(2, 5);
    let (gateway, address) = before(&nodes);
    nodes[0].behaviour.is_broken.store(true, Relaxed);
    for _ in 0..6 {
        let balance = result(address, "eth_getBalance", &json!(["0xaa", "0x5"]));
        assert_eq!(balance, "node-1@5");
    }
    assert!(gateway.statistics().retries > 0);
    // Broken, all of them: then it is said, and nothing of where they are.
    nodes[1].behaviour.is_broken.store(true, Relaxed);
    let response = call(address, "eth_getBalance", &json!(["0xaa", "0x5"]));
    assert_eq!(error_of(&response), (-32603, "internal error"));
}

#[test]
fn a_node_that_dawdles_is_asked_last() {
    let nodes = FakeNode::several(2, 5);
    let mut config = settings(&urls(&nodes), Limits::default());
    config.timing.first_attempt = Duration::from_secs(3);
    config.timing.suspended = Duration::from_secs(60);
    let (_gateway, address) = gateway(config, 2);
    nodes[0].behaviour.slow_ms.store(60_000, Relaxed);
    let balance = || result(address, "eth_getBalance", &json!(["0xaa", "0x5"]));
    let answers: Vec<Value> = (0..8).map(|_| balance()).collect();
    assert!(
        answers.iter().all(|answer| answer == "node-1@5"),
        "{answers:?}"
    );
    assert_eq!(nodes[0].count("eth_getBalance"), 1);
}

#[test]
fn with_no_node_left_callers_are_told_by_status_and_by_error() {
    let mut nodes = FakeNode::several(1, 5);
    let (gateway, address) = before(&nodes);
    let ready = || exchange(address, b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").status;
    wait_until("it is ready", || ready() == 200);
    let node = nodes.remove(0);
    node.server.stop();
    wait_until("the node's end is noticed", || {
        !gateway.statistics().nodes[0].up
    });
    for method in [
        "eth_blockNumber",
        "eth_getBalance",
        "eth_sendRawTransaction",
    ] {
        let reply = post(address, &request(method, &json!(["0xaa"])).to_string());
        assert_eq!(reply.status, 503, "{method}");
        assert_eq!(reply.header("retry-after"), Some("1"));
        let (code, message) = (error_of(&reply.json()).0, reply.body.clone());
        assert_eq!(code, -32002);
        assert!(!message.contains("127.0.0.1"), "{message}");
    }
    wait_until("it is not ready", || ready() == 503);
    let alive = exchange(address, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(alive.status, 200);
    // One of a batch can be answered: then the batch is.
    let batch = json!([
        request("eth_chainId", &json!([])),
        request("eth_blockNumber", &json!([]))
    ]);
    assert_eq!(post(address, &batch.to_string()).status, 200);
}

#[test]
fn strange_nodes_do_no_harm() {
    let good = FakeNode::several(2, 5);
    let foreign = FakeNode::start(
        "foreign",
        9,
        Behaviour {
            is_foreign: true.into(),
            is_shy: true.into(),
            ..Behaviour::default()
        },
    );
    let mut all = urls(&good);
    all.extend([
        foreign.url(),
        babbler("garbage"),
        babbler("{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}"),
        "http://127.0.0.1:1".to_owned(),
    ]);
    let (gateway, address) = gateway(settings(&all, Limits::default()), 2);
    // The good ones were there first: the genesis is theirs.
    foreign.behaviour.is_shy.store(false, Relaxed);
    wait_until("it is seen to be foreign", || {
        gateway.statistics().nodes[2].disagrees
    });
    for _ in 0..30 {
        let balance = result(address, "eth_getBalance", &json!(["0xaa", "latest"]));
        assert!(balance == "node-0@5" || balance == "node-1@5", "{balance}");
    }
    let up: Vec<bool> = gateway
        .statistics()
        .nodes
        .iter()
        .map(|node| node.up)
        .collect();
    assert_eq!(up, [true, true, false, false, false, false]);
}

#[test]
fn a_node_that_tells_of_impossible_blocks_is_not_followed() {
    let nodes = FakeNode::several(3, 5);
    let (gateway, address) = before(&nodes);
    nodes[2].take(1 << 40);
    wait_until("it is not believed", || {
        gateway.statistics().nodes[2].disagrees
    });
    assert_eq!(result(address, "eth_blockNumber", &json!([])), "0x5");
    nodes[0].take(6);
    wait_until("the others go on", || gateway.statistics().visible == 6);
}

#[test]
fn subscribers_hear_of_every_block_once_whatever_nodes_die() {
    let mut nodes = FakeNode::several(3, 5);
    let (gateway, address) = before(&nodes);
    let mut socket = open_websocket(address);
    let heads = ask(&mut socket, "eth_subscribe", &json!(["newHeads"]))["result"].clone();
    let logs = ask(&mut socket, "eth_subscribe", &json!(["logs", {}]))["result"].clone();
    nodes[0].take(6);
    nodes[1].take(6);
    wait_until("block 6 is seen", || gateway.statistics().visible == 6);
    // The first dies; the second hears of 7 and 8 without a word; the third tells of 9.
    nodes.remove(0).server.stop();
    nodes[0].take_quietly(9);
    for number in 6..=9 {
        nodes[1].take_quietly(number);
    }
    nodes[1].take(9);
    let (mut blocks, mut places) = (Vec::new(), Vec::new());
    while blocks.len() < 4 || places.len() < 4 {
        let told = receive(&mut socket)["params"].clone();
        if told["subscription"] == heads {
            assert!(told["result"].get("transactions").is_none());
            blocks.push(told["result"]["hash"].clone());
        } else {
            assert_eq!(told["subscription"], logs);
            places.push(told["result"]["blockHash"].clone());
        }
    }
    let expected: Vec<Value> = (6..=9).map(|number| json!(hash_of(number))).collect();
    assert_eq!(blocks, expected);
    assert_eq!(places, expected);
    nodes[0].take(10);
    nodes[1].take(10);
    let next = receive(&mut socket);
    assert_eq!(
        next["params"]["result"]["hash"],
        json!(hash_of(10)),
        "{next}"
    );
}

#[test]
fn many_subscribers_cost_a_node_one_subscription() {
    let nodes = FakeNode::several(1, 5);
    let (_gateway, address) = before(&nodes);
    let mut sockets: Vec<_> = (0..20).map(|_| open_websocket(address)).collect();
    for socket in &mut sockets {
        ask(socket, "eth_subscribe", &json!(["newHeads"]));
        ask(socket, "eth_subscribe", &json!(["logs", {}]));
    }
    assert_eq!(nodes[0].server.statistics().subscriptions, 1);
    nodes[0].take(6);
    for socket in &mut sockets {
        assert_eq!(
            receive(socket)["params"]["result"]["hash"],
            json!(hash_of(6))
        );
        assert_eq!(
            receive(socket)["params"]["result"]["blockHash"],
            json!(hash_of(6))
        );
    }
    assert_eq!(nodes[0].count("eth_getLogs"), 1);
}

#[test]
fn a_block_with_more_logs_than_one_answer_has_is_told_with_them() {
    let nodes = FakeNode::several(1, 5);
    let (gateway, address) = before(&nodes);
    let mut socket = open_websocket(address);
    ask(&mut socket, "eth_subscribe", &json!(["logs", {}]));
    nodes[0].behaviour.has_many_logs.store(true, Relaxed);
    nodes[0].take(6);
    let told = receive(&mut socket);
    assert_eq!(told["params"]["result"]["blockHash"], json!(hash_of(6)));
    assert_eq!(gateway.statistics().blocks_without_logs, 0);
}

#[test]
fn receipts_are_fetched_once_for_all_who_wait_for_them() {
    let nodes = FakeNode::several(2, 5);
    let (gateway, address) = before(&nodes);
    let [first, second] = transactions_of(6);
    let mut sockets = [open_websocket(address), open_websocket(address)];
    for (socket, params) in sockets.iter_mut().zip([
        json!(["transactionReceipts"]),
        json!(["transactionReceipts", {"transactionHashes": [second]}]),
    ]) {
        ask(socket, "eth_subscribe", &params);
    }
    nodes[0].take(6);
    let told = sockets.each_mut().map(|socket| {
        let receipts = receive(socket)["params"]["result"].clone();
        let receipts = receipts.as_array().unwrap().clone();
        receipts
            .iter()
            .map(|receipt| receipt["transactionHash"].clone())
            .collect::<Vec<_>>()
    });
    assert_eq!(
        told,
        [vec![json!(first), json!(second)], vec![json!(second)]]
    );
    let asked: usize = nodes
        .iter()
        .map(|node| node.count("eth_getBlockReceipts"))
        .sum();
    assert_eq!(asked, 1);
    assert_eq!(gateway.statistics().blocks_without_logs, 0);
}

#[test]
fn pending_transactions_come_from_one_node_and_from_the_next_when_it_dies() {
    let mut nodes = FakeNode::several(2, 5);
    let (gateway, address) = before(&nodes);
    let mut socket = open_websocket(address);
    ask(
        &mut socket,
        "eth_subscribe",
        &json!(["newPendingTransactions"]),
    );
    let subscribed = |node: &FakeNode| node.server.statistics().subscriptions == 2;
    wait_until("the first node is listened to", || subscribed(&nodes[0]));
    assert!(!subscribed(&nodes[1]));
    nodes[0].tell_pending(&[1, 2]);
    let hash = |told: Value| told["params"]["result"].clone();
    let of = |byte: u8| json!(alloy_primitives::B256::repeat_byte(byte));
    assert_eq!(hash(receive(&mut socket)), of(1));
    assert_eq!(hash(receive(&mut socket)), of(2));
    nodes.remove(0).server.stop();
    wait_until("the second node is listened to", || subscribed(&nodes[0]));
    nodes[0].tell_pending(&[2, 3]);
    assert_eq!(hash(receive(&mut socket)), of(3), "2 was told already");
    drop(socket);
    wait_until("nobody listens any more", || {
        nodes[0].server.statistics().subscriptions == 1
    });
    drop(gateway);
}

#[test]
fn filters_outlive_the_node_that_was_there_when_they_were_made() {
    let mut nodes = FakeNode::several(2, 5);
    let (gateway, address) = before(&nodes);
    let filter = result(address, "eth_newBlockFilter", &json!([]));
    nodes[0].take(6);
    nodes[1].take(6);
    wait_until("block 6 is seen", || gateway.statistics().visible == 6);
    nodes.remove(0).server.stop();
    nodes[0].take(7);
    let mut changes = Vec::new();
    wait_until("both blocks are kept", || {
        let more = result(address, "eth_getFilterChanges", &json!([filter]));
        changes.extend(more.as_array().unwrap().clone());
        changes.len() >= 2
    });
    assert_eq!(changes, [json!(hash_of(6)), json!(hash_of(7))]);
}

#[test]
fn a_transaction_is_handed_to_several_nodes_and_one_that_is_known_is_no_error() {
    let nodes = FakeNode::several(3, 5);
    let (_gateway, address) = before(&nodes);
    let raw = json!(["0x02c0ffee"]);
    let hash = json!(keccak256([0x02, 0xc0, 0xff, 0xee]));
    assert_eq!(result(address, "eth_sendRawTransaction", &raw), hash);
    wait_until("all nodes have it", || {
        nodes
            .iter()
            .all(|node| node.count("eth_sendRawTransaction") == 1)
    });
    for node in &nodes {
        *node.behaviour.refusal.lock() = Some("already known".to_owned());
    }
    assert_eq!(result(address, "eth_sendRawTransaction", &raw), hash);
    for node in &nodes {
        *node.behaviour.refusal.lock() = Some("insufficient funds".to_owned());
    }
    let refused = call(address, "eth_sendRawTransaction", &raw);
    assert_eq!(error_of(&refused), (-32000, "insufficient funds"));
}

#[test]
fn whoever_waits_for_a_block_gets_the_receipt() {
    let nodes = FakeNode::several(2, 1);
    let (gateway, address) = before(&nodes);
    let waiting = thread::spawn(move || {
        result(
            address,
            "eth_sendRawTransactionSync",
            &json!(["0x02", 9_000]),
        )
    });
    wait_until("it is sent", || {
        nodes
            .iter()
            .any(|node| node.count("eth_getTransactionReceipt") > 0)
    });
    for number in 2..=3 {
        nodes.iter().for_each(|node| node.take(number));
        wait_until("the block is seen", || {
            gateway.statistics().visible == number
        });
    }
    assert_eq!(waiting.join().unwrap()["blockNumber"], "0x3");
    let late = call(address, "eth_sendRawTransactionSync", &json!(["0x"]));
    assert!(
        late.get("error").is_some() || late["result"]["blockNumber"] == "0x3",
        "{late}"
    );
}

#[test]
fn what_waits_for_a_block_is_asked_of_one_node_for_one_caller() {
    let nodes = FakeNode::several(3, 5);
    let (_gateway, address) = before(&nodes);
    let count = || {
        result(
            address,
            "eth_getTransactionCount",
            &json!(["0xaa", "pending"]),
        )
    };
    let first = count();
    assert!((0..10).all(|_| count() == first));
}

#[test]
fn ranges_of_logs_have_a_limit_that_is_named() {
    let nodes = FakeNode::several(1, 100);
    let (_gateway, address) = before(&nodes);
    let response = call(address, "eth_getLogs", &json!([{"fromBlock": "0x0"}]));
    let (code, message) = error_of(&response);
    assert_eq!(code, -32602);
    assert!(
        message.starts_with("exceed maximum block range 50:"),
        "{message}"
    );
    assert_eq!(nodes[0].count("eth_getLogs"), 0);
}

fn limited() -> Limits {
    Limits {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        forwarded_for: true,
        batch_items_max: 5,
        allowance: Some(Allowance {
            units_per_second: 1,
            burst_units: 20,
            weights: [("eth_getBalance".to_owned(), 10)].into(),
            calls_per_second: [].into(),
            units_per_second_of_all: 0,
        }),
        ..Limits::default()
    }
}

/// What a user behind a proxy is answered.
fn ask_as(address: SocketAddr, user: &str, body: &str) -> Reply {
    let extra = format!("x-forwarded-for: 198.51.100.1, {user}\r\n");
    exchange(address, &post_bytes(&extra, body.as_bytes()))
}

/// The seconds of a refusal, as its header and its error say them.
fn seconds_of(refused: &Reply) -> [Option<u64>; 2] {
    let data = &refused.json()["error"]["data"];
    [
        refused
            .header("retry-after")
            .and_then(|text| text.parse().ok()),
        data["retryAfterSeconds"].as_u64(),
    ]
}

#[test]
fn each_user_behind_a_proxy_has_an_allowance_that_headers_tell() {
    let nodes = FakeNode::several(1, 5);
    let (gateway, address) = gateway(settings(&urls(&nodes), limited()), 1);
    let body = request("eth_getBalance", &json!(["0xaa", "0x5"])).to_string();
    let ask_as = |user: &str, body: &str| ask_as(address, user, body);
    let first = ask_as("203.0.113.7", &body);
    assert_eq!(first.status, 200);
    assert_eq!(first.header("ratelimit-policy"), Some("\"rpc\";q=20;w=20"));
    assert_eq!(first.header("ratelimit"), Some("\"rpc\";r=10;t=10"));
    assert_eq!(ask_as("203.0.113.7", &body).status, 200);
    let third = ask_as("203.0.113.7", &body);
    assert_eq!(third.status, 429);
    assert_eq!(third.json()["error"]["code"], -32005);
    let [header, data] = seconds_of(&third);
    assert_eq!(header, data, "a call of ten units waits for all of them");
    assert!((2..=10).contains(&data.unwrap()), "{data:?}");
    assert_eq!(gateway.calls().over_rate_of_client, 1);
    assert_eq!(ask_as("203.0.113.8", &body).status, 200, "another user");
    let v6 = [
        "2001:db8::1",
        "2001:db8::2",
        "2001:db8::3",
        "2001:db8:0:1::1",
    ];
    assert_eq!(
        v6.map(|user| ask_as(user, &body).status),
        [200, 200, 429, 200]
    );
    // Whoever comes without a proxy's word is of this machine, and has no limit.
    assert!((0..4).all(|_| post(address, &body).status == 200));
    let many = vec![request("eth_chainId", &json!([])); 6];
    let refused = ask_as("203.0.113.9", &json!(many).to_string());
    assert_eq!(refused.json()["error"]["code"], -32600);
}

#[test]
fn all_callers_together_have_a_rate_and_this_machine_is_not_one_of_them() {
    let nodes = FakeNode::several(1, 5);
    let mut limits = limited();
    // One call costs all of them what they have in two seconds, and whoever makes it a part of what is its own.
    limits.allowance = Some(Allowance {
        burst_units: 10_000,
        weights: [("eth_getBalance".to_owned(), 3_600)].into(),
        units_per_second_of_all: 1,
        ..limits.allowance.unwrap()
    });
    let (gateway, address) = gateway(settings(&urls(&nodes), limits), 1);
    let body = request("eth_getBalance", &json!(["0xaa", "0x5"])).to_string();
    // Each time somebody else, until one comes too early: on a machine that stands still that is not the second.
    let first_refused = |network: &str, body: &str| {
        let ask = |user| ask_as(address, &format!("{network}.{user}"), body);
        let mut replies = (1..100).map(ask).enumerate();
        replies.find(|(_, reply)| reply.status == 429).unwrap()
    };
    let (paid, refused) = first_refused("203.0.113", &body);
    assert!(paid > 0);
    assert_eq!(
        error_of(&refused.json()),
        (
            -32005,
            "request rate limit of all callers together exceeded"
        )
    );
    let [header, data] = seconds_of(&refused);
    assert_eq!(header, data);
    assert!((1..=2).contains(&data.unwrap()), "{data:?}");
    assert_eq!(
        refused.header("ratelimit"),
        Some("\"rpc\";r=10000;t=0"),
        "what is refused costs its caller nothing"
    );
    let cheap = request("eth_chainId", &json!([])).to_string();
    let (cheap_paid, _) = first_refused("203.0.112", &cheap);
    assert!((0..3).all(|_| post(address, &body).status == 200));
    let counted = gateway.calls();
    assert_eq!(
        (counted.over_rate_of_client, counted.over_rate_of_all),
        (0, 2)
    );
    let of_method = |name: &str| {
        let found = counted.methods.iter().find(|one| one.method == name);
        let [http, _] = found.unwrap().transports.clone();
        (http.ok, http.limited)
    };
    assert_eq!(of_method("eth_getBalance"), (paid as u64 + 3, 1));
    assert_eq!(of_method("eth_chainId"), (cheap_paid as u64, 1));
}

#[test]
fn one_user_cannot_fill_the_nodes_with_costly_calls() {
    let nodes = FakeNode::several(1, 5);
    let limits = Limits {
        allowance: None,
        ..limited()
    };
    let (_gateway, address) = gateway(settings(&urls(&nodes), limits), 1);
    nodes[0].behaviour.slow_ms.store(60_000, Relaxed);
    let open_as = |user: &str| {
        let mut request = format!("ws://{address}/").into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("x-forwarded-for", user.parse().unwrap());
        client::client(request, connect(address)).unwrap().0
    };
    let costly = request("eth_call", &json!([{}, "0x5"]));
    let mut first = open_as("203.0.113.7");
    for _ in 0..64 {
        send(&mut first, &costly);
    }
    let mut second = open_as("203.0.113.7");
    let mut refused = || {
        send(&mut second, &costly);
        // Unless the first 64 are not all there yet: then it waits, and the next is refused.
        send(&mut second, &request("eth_chainId", &json!([])));
        receive(&mut second)["error"]["code"] == -32005
    };
    wait_until("the user has as many as it may", &mut refused);
    let mut other = open_as("203.0.113.8");
    send(&mut other, &costly);
    let count = ask(
        &mut other,
        "eth_getTransactionCount",
        &json!(["0xaa", "pending"]),
    );
    assert_eq!(count["result"], "node-0");
}

#[test]
fn a_gateway_that_stops_says_so_to_everybody() {
    let nodes = FakeNode::several(1, 5);
    let (gateway, address) = before(&nodes);
    let mut socket = open_websocket(address);
    ask(&mut socket, "eth_subscribe", &json!(["newHeads"]));
    nodes[0].behaviour.slow_ms.store(700, Relaxed);
    let mut stream = connect(address);
    let body = request("eth_getBalance", &json!(["0xaa", "0x5"])).to_string();
    std::io::Write::write_all(&mut stream, &post_bytes("", body.as_bytes())).unwrap();
    wait_until("the call is on its way", || {
        nodes[0].count("eth_getBalance") == 1
    });
    let stopping = thread::spawn(move || gateway.stop());
    let reply = read_reply(&mut stream);
    assert_eq!(reply.json()["result"], "node-0@5");
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(close_code(&mut socket), Some(1001));
    stopping.join().unwrap();
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn a_balancer_is_told_before_a_gateway_takes_no_more_connections() {
    let nodes = FakeNode::several(1, 5);
    let (gateway, address) = before(&nodes);
    let ready = || exchange(address, b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n").status;
    wait_until("it is ready", || ready() == 200);
    let stopping = thread::spawn(move || gateway.stop());
    // Each is a connection of its own.
    wait_until("it says that it goes", || ready() == 503);
    let balance = result(address, "eth_getBalance", &json!(["0xaa", "0x5"]));
    assert_eq!(balance, "node-0@5", "who has not asked yet is answered");
    stopping.join().unwrap();
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn a_subscriber_that_does_not_read_is_closed_and_others_go_on() {
    let nodes = FakeNode::several(1, 5);
    let limits = Limits {
        notifications_queued_max: 4,
        ..Limits::default()
    };
    let (gateway, address) = gateway(settings(&urls(&nodes), limits), 1);
    let mut slow = open_websocket(address);
    for _ in 0..32 {
        send(&mut slow, &request("eth_subscribe", &json!(["newHeads"])));
    }
    wait_until("it has subscribed", || gateway.calls().subscriptions == 32);
    let mut quick = open_websocket(address);
    ask(&mut quick, "eth_subscribe", &json!(["newHeads"]));
    // At the latest when nothing more goes into its connection.
    let mut number = 5;
    while gateway.calls().slow_subscribers == 0 {
        number += 1;
        nodes[0].take(number);
        let told = receive(&mut quick);
        assert_eq!(told["params"]["result"]["hash"], json!(hash_of(number)));
    }
    assert_eq!(close_code(&mut slow), Some(1013));
}
