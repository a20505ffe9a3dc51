//! What a caller can make grow or last, and where it ends. Rows are those of docs/evidence/bad-inputs.md.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::*;
use rpc::{Limits, ListenerConfig, ListenerKind, NoOutside, Server};
use serde_json::{Value, json};

fn echo_body() -> String {
    request("eth_echo", &json!([])).to_string()
}

/// Waits for the end of a connection.
fn wait_for_close(stream: &mut TcpStream) {
    let mut buffer = [0; 65_536];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                let is_open = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                assert!(!is_open, "the connection was not closed");
                return;
            }
        }
    }
}

/// A server on which nothing ends by time.
fn patient() -> Limits {
    Limits {
        head_timeout: NEVER,
        body_timeout: NEVER,
        write_timeout: NEVER,
        idle_timeout: NEVER,
        ..Limits::default()
    }
}

/// Row 4.
#[test]
fn a_body_over_the_limit_is_refused_and_the_connection_closed() {
    let (_server, address) = start_one(Limits {
        body_bytes_max: 10_000,
        ..Limits::default()
    });
    let padding = " ".repeat(10_000 - echo_body().len());
    assert_eq!(
        post(address, &format!("{}{padding}", echo_body())).status,
        200
    );
    let declared = exchange(address, &post_bytes("", &vec![b' '; 10_001]));
    assert_eq!(
        (declared.status, declared.header("connection")),
        (413, Some("close"))
    );

    let head = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let huge = format!("{head}content-length: 104857600\r\n\r\n");
    assert_eq!(
        exchange(address, huge.as_bytes()).status,
        413,
        "before a byte of it is sent"
    );
    let overflow = format!("{head}content-length: 99999999999999999999999\r\n\r\n");
    assert_eq!(exchange(address, overflow.as_bytes()).status, 400);

    let mut stream = connect(address);
    stream
        .write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes())
        .unwrap();
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    for _ in 0..10_000 {
        if stream.write_all(chunk.as_bytes()).is_err() {
            break;
        }
    }
    let mut stream_head = [0; 12];
    if stream.read_exact(&mut stream_head).is_ok() {
        assert_eq!(&stream_head, b"HTTP/1.1 413");
    }
    wait_for_close(&mut stream);
    assert_eq!(post(address, &echo_body()).status, 200);
}

/// What ends in these tests ends after so long: a busy machine still sends all of what is quick within it.
const SOON: Duration = Duration::from_secs(2);
const HALF_A_BODY: &str = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";

/// Row 5: each kind of slowness ends by its own limit.
#[test]
fn slow_peers_are_closed() {
    let head_ends = || Limits {
        head_timeout: SOON,
        ..patient()
    };
    let body_ends = Limits {
        body_timeout: SOON,
        ..patient()
    };
    let idle_ends = Limits {
        idle_timeout: SOON,
        ..patient()
    };
    let asked = post_bytes("", echo_body().as_bytes());
    let half_a_head = &b"POST / HTTP/1.1\r\nhost: loc"[..];
    let slow = [
        (head_ends(), &b""[..], None, &b""[..]),
        (head_ends(), half_a_head, None, b""),
        (head_ends(), &asked, Some(200), half_a_head),
        (body_ends, HALF_A_BODY.as_bytes(), Some(408), b""),
        (idle_ends, &asked, Some(200), b""),
    ];
    let ask = |(limits, sent, status, sent_then): (Limits, &[u8], Option<u16>, &[u8])| {
        let (server, address) = start_one(limits);
        let mut stream = connect(address);
        stream.write_all(sent).unwrap();
        if let Some(status) = status {
            assert_eq!(read_reply(&mut stream).status, status);
        }
        stream.write_all(sent_then).unwrap();
        (server, stream)
    };
    let asked: Vec<_> = slow.into_iter().map(ask).collect();
    for (_server, mut stream) in asked {
        wait_for_close(&mut stream);
    }
}

/// Row 5: a response that nobody reads.
#[test]
fn who_does_not_take_an_answer_is_closed() {
    let (server, address) = start_one(Limits {
        write_timeout: Duration::from_millis(300),
        ..patient()
    });
    let mut unread = connect(address);
    let body = request("eth_large", &json!([9_000_000])).to_string();
    unread.write_all(&post_bytes("", body.as_bytes())).unwrap();
    // Its beginning is there, so the rest is held.
    unread.read_exact(&mut [0; 12]).unwrap();
    wait_until("the unread response is given up", || {
        server.statistics().http_connections == 0
    });
}

/// Row 5: others are served while the slow ones are there.
#[test]
fn slow_peers_hold_nobody_up() {
    let (server, address) = start_one(Limits {
        connections_max: 600,
        ..patient()
    });
    let crowd: Vec<TcpStream> = (0..500)
        .map(|number| {
            let mut stream = connect(address);
            let sent = match number % 2 {
                0 => "GET / HTTP/1.1\r\n",
                _ => HALF_A_BODY,
            };
            stream.write_all(sent.as_bytes()).unwrap();
            stream
        })
        .collect();
    wait_until("all are there", || {
        server.statistics().http_connections == 500
    });
    assert_eq!(post(address, &echo_body()).status, 200);
    drop(crowd);
}

/// Row 5: who connects and says nothing has the time of a head, not that of a kept connection.
#[test]
fn who_never_asks_anything_is_closed_like_a_slow_head() {
    let (_server, address) = start_one(Limits {
        head_timeout: SOON,
        ..patient()
    });
    let (mut silent, mut asked) = (connect(address), connect(address));
    asked
        .write_all(&post_bytes("", echo_body().as_bytes()))
        .unwrap();
    assert_eq!(read_reply(&mut asked).status, 200);
    wait_for_close(&mut silent);
    asked
        .write_all(&post_bytes("", echo_body().as_bytes()))
        .unwrap();
    assert_eq!(
        read_reply(&mut asked).status,
        200,
        "it may be idle for long"
    );
}

/// Row 12.
#[test]
fn large_log_filters_share_a_bounded_memory_and_small_ones_are_always_there() {
    let (_server, address) = start_one(Limits {
        filter_criteria_bytes_max: 100_000,
        ..Limits::default()
    });
    let large =
        json!([{"fromBlock": "latest", "address": vec![format!("0x{}", "11".repeat(20)); 900]}]);
    let first = call(address, "eth_newFilter", &large)["result"].clone();
    assert!(first.is_string());
    let refused = call(address, "eth_newFilter", &large);
    assert_eq!(
        error_of(&refused),
        (-32005, "too many large log filters on this server")
    );
    let mut socket = open_websocket(address);
    let over_websocket = ask(&mut socket, "eth_subscribe", &json!(["logs", large[0]]));
    assert_eq!(error_of(&over_websocket).0, -32005);
    assert!(call(address, "eth_newFilter", &json!([{}]))["result"].is_string());
    call(address, "eth_uninstallFilter", &json!([first]));
    let subscribed = ask(&mut socket, "eth_subscribe", &json!(["logs", large[0]]));
    assert!(subscribed["result"].is_string(), "{subscribed}");
    drop(socket);
    wait_until("the connection's memory is free again", || {
        call(address, "eth_newFilter", &large)["result"].is_string()
    });
}

#[test]
fn heads_have_a_size() {
    let (_server, address) = start_one(Limits::default());
    let long = format!(
        "GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
        "y".repeat(100_000)
    );
    assert_eq!(exchange(address, long.as_bytes()).status, 431);
    let many = format!(
        "GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n",
        "x: y\r\n".repeat(1_000)
    );
    assert_eq!(exchange(address, many.as_bytes()).status, 431);
}

#[test]
fn connections_beyond_the_total_are_told_so() {
    let private = ListenerConfig {
        kind: ListenerKind::Private,
        ..loopback()
    };
    let limits = Limits {
        connections_max: 25,
        ..Limits::default()
    };
    let server = start(vec![loopback(), private], limits);
    let [open, private] = *server.addresses() else {
        panic!("two listeners")
    };
    let mut held: Vec<TcpStream> = (0..24).map(|_| connect(open)).collect();
    held.push(connect(open));
    wait_until("all are counted", || {
        server.statistics().http_connections == 25
    });
    let mut refused = connect(open);
    assert_eq!(read_reply(&mut refused).status, 503);
    assert_eq!(
        post(private, &echo_body()).status,
        200,
        "the operator is not locked out"
    );
    held.truncate(20);
    wait_until("places are free again", || {
        server.statistics().http_connections == 20
    });
    assert_eq!(post(open, &echo_body()).status, 200);
    assert_eq!(server.statistics().refused_connections, 1);
}

/// An address of this machine that is not loopback, for which no limit holds. A machine without a network has none, and skips the test: in CI that is
/// a failure.
fn own_address() -> Option<IpAddr> {
    let found = || {
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.connect("192.0.2.1:9").ok()?;
        let ip = socket.local_addr().ok()?.ip();
        (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
    };
    let own = found();
    if own.is_none() {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "no address but loopback, so limits of addresses are not tested: sudo ip address add 192.0.2.2/24 dev lo"
        );
        eprintln!(
            "skipped: this machine has no address but loopback; sudo ip address add 192.0.2.2/24 dev lo"
        );
    }
    own
}

#[test]
fn one_address_has_its_share_of_connections_and_requests() {
    let Some(own) = own_address() else {
        return;
    };
    let limits = Limits {
        connections_per_address_max: 3,
        requests_per_address_per_second: Some(10),
        ..Limits::default()
    };
    let server = start(
        vec![ListenerConfig::new(SocketAddr::new(own, 0))],
        limits.clone(),
    );
    let address = server.addresses()[0];
    let held: Vec<TcpStream> = (0..3).map(|_| connect(address)).collect();
    wait_until("three are counted", || {
        server.statistics().http_connections == 3
    });
    assert_eq!(read_reply(&mut connect(address)).status, 503);
    drop(held);
    wait_until("they are gone", || {
        server.statistics().http_connections == 0
    });
    let batch = serde_json::Value::Array(vec![request("eth_echo", &json!([])); 50]);
    let answers = post(address, &batch.to_string()).json();
    let served = answers
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["error"].is_null())
        .count();
    // Two seconds' worth at once, and what comes in while they are answered.
    assert!(
        (20..50).contains(&served),
        "each item of a batch counts: {served}"
    );
    let refused = answers.as_array().unwrap().iter().map(error_of);
    assert_eq!(
        refused.rev().find(|(code, _)| *code != 0),
        Some((-32005, "request rate limit exceeded"))
    );

    let trusted = Limits {
        trusted_proxies: vec![own.to_string().parse().unwrap()],
        ..limits
    };
    let server = start(vec![ListenerConfig::new(SocketAddr::new(own, 0))], trusted);
    let address = server.addresses()[0];
    let _held: Vec<TcpStream> = (0..10).map(|_| connect(address)).collect();
    let answers = post(address, &batch.to_string()).json();
    assert!(
        answers
            .as_array()
            .unwrap()
            .iter()
            .all(|one| one["error"].is_null())
    );
}

/// One caller with many costly calls waits for itself: the next caller's turn comes after one of them, and the share ends.
#[test]
fn an_address_with_many_costly_calls_does_not_hold_up_others() {
    const WAITING_MAX: usize = 6;
    let Some(own) = own_address() else {
        return;
    };
    let limits = Limits {
        heavy_queued_per_address_max: WAITING_MAX,
        ..Limits::default()
    };
    let listeners = vec![ListenerConfig::new(SocketAddr::new(own, 0)), loopback()];
    let fake = Arc::new(Fake::default());
    let server = Server::start(
        config(listeners, limits),
        Arc::clone(&fake) as _,
        Arc::new(NoOutside),
    )
    .unwrap();
    let (greedy, modest) = (server.addresses()[0], server.addresses()[1]);
    let ask = || thread::spawn(move || call(greedy, "eth_held", &json!([])));
    // One runs, and the share waits behind it.
    let first = ask();
    wait_until("it runs", || fake.gate.held() == 1);
    let waiting: Vec<_> = (0..WAITING_MAX).map(|_| ask()).collect();
    wait_until("they wait", || {
        server.statistics().in_flight == 1 + WAITING_MAX as i64
    });
    assert_eq!(
        error_of(&call(greedy, "eth_slow", &json!([0]))),
        (
            -32005,
            "6 costly requests of this address are waiting: send no more before they are answered"
        )
    );
    let modest = thread::spawn(move || call(modest, "eth_slow", &json!([0])));
    wait_until("another asks", || {
        server.statistics().in_flight == 2 + WAITING_MAX as i64
    });
    // There is one thread that reads: what it has begun before this waits by now.
    assert_eq!(
        call(greedy, "eth_echo", &json!([1]))["result"],
        json!([1]),
        "what costs little is answered"
    );
    // The one that runs ends, and at most one more before it: the others are still held when it is answered.
    fake.gate.release(2);
    assert_eq!(modest.join().unwrap()["result"], json!(true));
    assert!(server.statistics().in_flight >= WAITING_MAX as i64 - 1);
    fake.gate.release(WAITING_MAX - 1);
    for caller in waiting.into_iter().chain([first]) {
        assert_eq!(caller.join().unwrap()["result"], json!(true));
    }
}

#[test]
fn a_response_over_the_limit_is_an_error_in_its_place() {
    let (_server, address) = start_one(Limits {
        response_bytes_max: 1_000,
        ..Limits::default()
    });
    assert!(call(address, "eth_large", &json!([900]))["result"].is_string());
    assert_eq!(
        error_of(&call(address, "eth_large", &json!([1_000]))),
        (-32003, "response too large")
    );
    let item = request("eth_large", &json!([400]));
    let batch = post(address, &Value::Array(vec![item; 4]).to_string()).json();
    let codes: Vec<i64> = batch
        .as_array()
        .unwrap()
        .iter()
        .map(|one| error_of(one).0)
        .collect();
    assert_eq!(codes, [0, 0, -32003, -32003]);
}

/// Of a call with a queue of its own, the answer has to find room while it waits to be written.
#[test]
fn an_answer_for_which_there_never_is_room_is_too_large_and_not_busy() {
    let (_server, address) = start_one(Limits {
        response_bytes_max: 200_000,
        responses_held_bytes_max: 300_000,
        ..Limits::default()
    });
    let ask = |bytes: usize| call(address, "eth_largeAndHeavy", &json!([bytes]));
    assert!(ask(150_000)["result"].is_string());
    for bytes in [250_000, 400_000] {
        assert_eq!(
            error_of(&ask(bytes)),
            (-32003, "response too large"),
            "{bytes}"
        );
    }
}

/// Answers that an address does not read take its own share of the room for answers.
#[test]
fn an_address_that_does_not_read_leaves_room_for_the_answers_of_others() {
    // More than the system keeps for a connection.
    const ANSWER_BYTES: usize = 16 << 20;
    let Some(own) = own_address() else {
        return;
    };
    let limits = Limits {
        calls_held_bytes_max: 3 * ANSWER_BYTES,
        strangers_held_bytes_max: 3 * ANSWER_BYTES,
        responses_held_bytes_max: 3 * ANSWER_BYTES,
        responses_held_per_address_bytes_max: 2 * ANSWER_BYTES - 1,
        response_bytes_max: 2 * ANSWER_BYTES,
        write_timeout: Duration::from_secs(60),
        ..Limits::default()
    };
    let listeners = vec![ListenerConfig::new(SocketAddr::new(own, 0)), loopback()];
    let server = start(listeners, limits);
    let (greedy, modest) = (server.addresses()[0], server.addresses()[1]);
    let body = request("eth_large", &json!([ANSWER_BYTES])).to_string();
    let mut silent = connect(greedy);
    silent.write_all(&post_bytes("", body.as_bytes())).unwrap();
    // Its beginning is there, so the rest is held.
    silent.read_exact(&mut [0; 12]).unwrap();
    let refused = post(greedy, &body).json();
    assert_eq!(
        error_of(&refused),
        (-32005, "server is busy, try again later")
    );
    let other = post(modest, &body).json();
    assert_eq!(other["result"].as_str().map(str::len), Some(ANSWER_BYTES));
    drop(silent);
    wait_until("it comes back", || {
        post(greedy, &body).json()["error"].is_null()
    });
}

/// Strangers can take all that is theirs, by reading nothing or by what their calls hold, and leave the rest to the operator.
#[test]
fn what_strangers_hold_leaves_room_for_the_operator() {
    // More than the system keeps for a connection.
    const ANSWER_BYTES: usize = 16 << 20;
    let Some(own) = own_address() else {
        return;
    };
    let limits = Limits {
        calls_held_bytes_max: 3 * ANSWER_BYTES,
        strangers_held_bytes_max: 2 * ANSWER_BYTES - 1,
        responses_held_bytes_max: 3 * ANSWER_BYTES,
        responses_held_per_address_bytes_max: 3 * ANSWER_BYTES,
        response_bytes_max: 2 * ANSWER_BYTES,
        write_timeout: Duration::from_secs(60),
        ..Limits::default()
    };
    let listeners = vec![ListenerConfig::new(SocketAddr::new(own, 0)), loopback()];
    let fake = Arc::new(Fake::default());
    let server = Server::start(
        config(listeners, limits),
        Arc::clone(&fake) as _,
        Arc::new(NoOutside),
    )
    .unwrap();
    let (stranger, operator) = (server.addresses()[0], server.addresses()[1]);
    fake.gate.release(100);
    let hold =
        |address, bytes: usize| call(address, "eth_holding", &json!([bytes]))["error"].is_null();
    assert!(hold(stranger, 2 * ANSWER_BYTES - 1) && !hold(stranger, 2 * ANSWER_BYTES));
    let body = request("eth_large", &json!([ANSWER_BYTES])).to_string();
    let mut silent = connect(stranger);
    silent.write_all(&post_bytes("", body.as_bytes())).unwrap();
    // Its beginning is there, so the rest is held.
    silent.read_exact(&mut [0; 12]).unwrap();
    assert!(!hold(stranger, ANSWER_BYTES));
    assert!(hold(operator, 2 * ANSWER_BYTES - (1 << 16)));
    drop(silent);
    wait_until("it comes back", || hold(stranger, ANSWER_BYTES));
}

/// What runs and what was answered and is not read yet share one bound; what is done gives its part back.
#[test]
fn what_calls_hold_while_they_run_is_bounded_in_sum() {
    const ANSWER_BYTES: usize = 16 << 20;
    let limits = Limits {
        calls_held_bytes_max: 2 * ANSWER_BYTES,
        responses_held_bytes_max: 2 * ANSWER_BYTES,
        response_bytes_max: 2 * ANSWER_BYTES,
        write_timeout: Duration::from_secs(60),
        heavy_timeout: PATIENCE,
        ..Limits::default()
    };
    let (_server, address, fake) = start_with_fake(limits);
    let hold = |bytes: usize| call(address, "eth_holding", &json!([bytes]));
    fake.gate.release(100);
    assert_eq!(error_of(&hold(2 * ANSWER_BYTES + 1)), (-32005, "no room"));
    for _ in 0..3 {
        assert_eq!(hold(2 * ANSWER_BYTES)["result"], json!(true));
    }
    let body = request("eth_large", &json!([ANSWER_BYTES])).to_string();
    let mut silent = connect(address);
    silent.write_all(&post_bytes("", body.as_bytes())).unwrap();
    silent.read_exact(&mut [0; 12]).unwrap();
    assert_eq!(
        error_of(&hold(ANSWER_BYTES + 1)),
        (-32005, "no room"),
        "an answer that is not read takes of the same"
    );
    assert_eq!(hold(ANSWER_BYTES / 2)["result"], json!(true));
    drop(silent);
    wait_until("it comes back", || {
        hold(ANSWER_BYTES + 1)["error"].is_null()
    });
}

/// Row 5: who hangs up leaves the parameters of its calls in the queue, and they keep their place.
#[test]
fn a_read_of_the_pending_block_is_a_heavy_call_however_it_is_written() {
    let (server, address) = start_one(Limits::default());
    let at = |block: &str| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_at","params":[{block}]}}"#);
        post(address, &body).json()
    };
    let pending = [
        r#""pending""#,
        r#"{"blockNumber":"pending"}"#,
        r#""p\u0065nding""#,
        r#"{"blockN\u0075mber":"p\u0065nding"}"#,
    ];
    for block in pending {
        assert!(at(block).get("result").is_some(), "{block}");
    }
    // What is heavy is refused now.
    server.set_shedding(true);
    for block in pending {
        assert_eq!(error_of(&at(block)).0, -32005, "{block}");
    }
    for block in [r#""latest""#, r#""0x1""#, r#"{"blockNumber":"0x1"}"#] {
        assert!(at(block).get("result").is_some(), "{block}");
    }
    assert!(call(address, "eth_at", &json!([])).get("result").is_some());
}

#[test]
fn a_large_request_whose_caller_is_gone_keeps_its_place_until_its_turn_has_come() {
    let limits = Limits {
        requests_held_bytes_max: 512 << 10,
        heavy_timeout: PATIENCE,
        ..Limits::default()
    };
    let (server, address, fake) = start_with_fake(limits);
    let running = thread::spawn(move || call(address, "eth_held", &json!([])));
    wait_until("the only thread is taken", || fake.gate.held() == 1);
    let large = |method: &str| {
        let body = request(method, &json!(["x".repeat(100_000)])).to_string();
        post_bytes("", body.as_bytes())
    };
    let mut gone = connect(address);
    gone.write_all(&large("eth_slow")).unwrap();
    wait_until("it waits", || server.statistics().in_flight == 2);
    drop(gone);
    wait_until("its caller is gone", || server.statistics().in_flight == 1);
    let mut waiting = connect(address);
    waiting.write_all(&large("eth_slow")).unwrap();
    wait_until("another waits", || server.statistics().in_flight == 2);
    assert_eq!(exchange(address, &large("eth_echo")).status, 503);
    fake.gate.release(1);
    assert_eq!(running.join().unwrap()["result"], json!(true));
    assert_eq!(read_reply(&mut waiting).status, 200);
    wait_until("both have given it back", || {
        exchange(address, &large("eth_echo")).status == 200
    });
}

#[test]
fn stopping_finishes_open_requests_and_frees_the_port() {
    let (server, address, fake) = start_with_fake(patient());
    let mut idle = connect(address);
    let caller = thread::spawn(move || call(address, "eth_held", &json!([])));
    wait_until("the call runs", || fake.gate.held() == 1);
    let stopping = thread::spawn(move || server.stop());
    // Who asks nothing is not waited for.
    wait_for_close(&mut idle);
    fake.gate.release(1);
    assert_eq!(caller.join().unwrap()["result"], json!(true));
    stopping.join().unwrap();
    std::net::TcpListener::bind(address).unwrap();
}

#[test]
fn connections_are_kept_alive_between_requests() {
    let (_server, address) = start_one(Limits::default());
    let mut stream = connect(address);
    for _ in 0..3 {
        stream
            .write_all(&post_bytes("", echo_body().as_bytes()))
            .unwrap();
        assert_eq!(read_reply(&mut stream).status, 200);
    }
}
