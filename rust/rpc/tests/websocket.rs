//! WebSocket: connections, messages in flight, and peers that misbehave. Rows are those of docs/evidence/bad-inputs.md.

mod common;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use common::*;
use rpc::Limits;
use serde_json::json;
use tokio_tungstenite::tungstenite::{Bytes, Message};

/// Row 12, for many sockets.
#[test]
fn a_thousand_sockets_are_held_to_the_total() {
    let (server, address) = start_one(Limits {
        connections_max: 50,
        ..Limits::default()
    });
    let held: Vec<Socket> = (0..50).map(|_| open_websocket(address)).collect();
    assert!((0..950).all(|_| try_open_websocket(address, None).err() == Some(503)));
    drop(held);
    wait_until("all are gone", || {
        server.statistics().websocket_connections == 0
    });
    open_websocket(address);
}

/// Row 14.
#[test]
fn broken_and_oversized_frames_close_with_their_code() {
    let (server, address) = start_one(Limits::default());
    let masked = |head: &[u8], payload: &[u8]| [head, &[0; 4], payload].concat();
    let mut too_long = vec![0x81, 0xff];
    too_long.extend_from_slice(&(64_u64 << 20).to_be_bytes());
    for (what, frames, code) in [
        ("a frame that says 64 MiB", masked(&too_long, b""), 1009),
        ("a compressed frame", masked(&[0xc1, 0x81], b"x"), 1002),
        ("an unmasked frame", vec![0x81, 0x01, b'x'], 1002),
        ("an unknown opcode", masked(&[0x83, 0x80], b""), 1002),
        ("a fragmented ping", masked(&[0x09, 0x80], b""), 1002),
        (
            "a continuation of nothing",
            masked(&[0x80, 0x80], b""),
            1002,
        ),
        (
            "text that is not UTF-8",
            masked(&[0x81, 0x81], b"\xff"),
            1007,
        ),
    ] {
        let mut socket = open_websocket(address);
        socket.get_mut().write_all(&frames).unwrap();
        assert_eq!(close_code(&mut socket), Some(code), "{what}");
    }
    let mut socket = open_websocket(address);
    let fragment = masked(&[0x01, 0xfe, 0xff, 0xff], &[b' '; 65_535]);
    let next = masked(&[0x00, 0xfe, 0xff, 0xff], &[b' '; 65_535]);
    socket.get_mut().write_all(&fragment).unwrap();
    for _ in 0..64 {
        if socket.get_mut().write_all(&next).is_err() {
            break;
        }
    }
    assert!(
        matches!(close_code(&mut socket), Some(1009) | None),
        "fragments that sum up to 4 MiB"
    );
    wait_until("all are closed", || {
        server.statistics().websocket_connections == 0
    });
}

/// Row 14.
#[test]
fn floods_of_small_frames_are_closed_with_their_code() {
    let (server, address) = start_one(Limits::default());
    let mut pinging = open_websocket(address);
    let flooded = (0..10_000).any(|_| pinging.send(Message::Ping(Bytes::new())).is_err());
    assert!(flooded || close_code(&mut pinging) == Some(1008));

    let mut fragments = open_websocket(address);
    let (first, empty) = ([0x01, 0x80, 0, 0, 0, 0], [0x00, 0x80, 0, 0, 0, 0]);
    let last = [0x80, 0x80, 0, 0, 0, 0];
    let message = [&first[..], &empty.repeat(99), &last].concat();
    fragments.get_mut().write_all(&message.repeat(3)).unwrap();
    for _ in 0..3 {
        let few = receive(&mut fragments);
        assert_eq!(error_of(&few).0, -32700, "a message without a byte");
    }
    let many = [&first[..], &empty.repeat(100_000), &last].concat();
    fragments.get_mut().write_all(&many).unwrap();
    let said = fragments.read();
    assert!(
        matches!(&said, Ok(Message::Close(Some(frame))) if u16::from(frame.code) == 1009),
        "a hundred thousand fragments are no message: {said:?}"
    );
    assert_eq!(call(address, "eth_echo", &json!([]))["result"], json!([]));
    drop((pinging, fragments));
    wait_until("all are closed", || {
        server.statistics().websocket_connections == 0
    });
}

#[test]
fn a_message_over_the_limit_closes_with_its_code() {
    let (_server, address) = start_one(Limits {
        body_bytes_max: 1_000,
        ..Limits::default()
    });
    let mut socket = open_websocket(address);
    let body = format!("{}{}", request("eth_echo", &json!([])), " ".repeat(500));
    socket.send(Message::text(body)).unwrap();
    assert_eq!(receive(&mut socket)["result"], json!([]));
    socket.send(Message::text(" ".repeat(1_001))).unwrap();
    assert_eq!(close_code(&mut socket), Some(1009));
}

#[test]
fn requests_in_flight_are_bounded_and_all_answered() {
    let (server, address, fake) = start_with_fake(Limits {
        websocket_requests_in_flight_max: 4,
        ..Limits::default()
    });
    let mut socket = open_websocket(address);
    for _ in 0..40 {
        send(&mut socket, &request("eth_held", &json!([])));
    }
    wait_until("as many as may be are asked", || {
        server.statistics().in_flight == 4
    });
    for _ in 0..40 {
        fake.gate.release(1);
        assert_eq!(receive(&mut socket)["result"], json!(true));
        assert!(server.statistics().in_flight <= 4);
    }
}

/// Row 5: what is too small for a place in the budget is bounded for each connection.
#[test]
fn requests_in_flight_are_bounded_in_bytes_and_batches_weigh_more_than_they_have() {
    let (server, address, fake) = start_with_fake(Limits::default());
    let long = request("eth_held", &json!(["x".repeat(30_000)]));
    for (body, at_once) in [(long, 3), (json!([request("eth_held", &json!([]))]), 8)] {
        let mut socket = open_websocket(address);
        for _ in 0..20 {
            send(&mut socket, &body);
        }
        wait_until("as many as may be are asked", || {
            server.statistics().in_flight == at_once
        });
        for _ in 0..20 {
            fake.gate.release(1);
            receive(&mut socket);
            assert!(server.statistics().in_flight <= at_once);
        }
    }
}

#[test]
fn a_peer_that_does_not_answer_pings_is_closed() {
    let (server, address) = start_one(Limits {
        // The one that answers may be slow: a busy machine lets it wait.
        ping_interval: Duration::from_millis(1_500),
        ..Limits::default()
    });
    let mut answering = open_websocket(address);
    let _silent = open_websocket(address);
    answering
        .get_mut()
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    wait_until("the silent one is closed", || {
        // Reading answers pings.
        let _ = answering.read();
        server.statistics().websocket_connections == 1
    });
    answering
        .get_mut()
        .set_read_timeout(Some(PATIENCE))
        .unwrap();
    assert_eq!(
        ask(&mut answering, "eth_echo", &json!([]))["result"],
        json!([])
    );
}

/// Row 14: a connection that only listens and says that it lives, for days, takes no place among requests.
#[test]
fn pings_without_end_are_no_request_that_grows() {
    let (_server, address) = start_one(Limits {
        requests_held_bytes_max: 100_000,
        ping_interval: Duration::from_millis(200),
        ..Limits::default()
    });
    let mut socket = open_websocket(address);
    let ping = [&[0x89, 0xfd, 0, 0, 0, 0][..], &[b'x'; 125]].concat();
    let mut intervals = 0;
    // 98 kB in all; each time as many as may come between two pings of the server.
    while intervals < 5 {
        if matches!(socket.read().unwrap(), Message::Ping(_)) {
            intervals += 1;
            socket.get_mut().write_all(&ping.repeat(150)).unwrap();
        }
    }
    socket
        .send(Message::text(request("eth_echo", &json!([7])).to_string()))
        .unwrap();
    let answer = loop {
        if let Message::Text(text) = socket.read().expect("it is open") {
            break text;
        }
    };
    assert!(answer.contains("[7]"), "{answer}");
}

/// Row 5: only who takes nothing is closed.
#[test]
fn an_answer_may_be_taken_slowly() {
    const ANSWER_BYTES: usize = 24 << 20;
    let (_server, address) = start_one(Limits {
        calls_held_bytes_max: 2 * ANSWER_BYTES,
        responses_held_bytes_max: 2 * ANSWER_BYTES,
        response_bytes_max: 2 * ANSWER_BYTES,
        write_timeout: Duration::from_millis(1_500),
        ..Limits::default()
    });
    let mut socket = open_websocket(address);
    send(&mut socket, &request("eth_large", &json!([ANSWER_BYTES])));
    let (mut taken, mut piece) = (0, vec![0; 512 << 10]);
    let begun = Instant::now();
    while taken < ANSWER_BYTES {
        // Slower than the limit in all, and never as long without a byte.
        std::thread::sleep(Duration::from_millis(80));
        socket
            .get_mut()
            .read_exact(&mut piece)
            .expect("it is not closed");
        taken += piece.len();
    }
    assert!(begun.elapsed() > Duration::from_millis(1_500));
}

#[test]
fn stopping_says_goodbye() {
    let (server, address) = start_one(Limits::default());
    let mut socket = open_websocket(address);
    let stopper = std::thread::spawn(move || server.stop());
    assert_eq!(close_code(&mut socket), Some(1001));
    stopper.join().unwrap();
}

#[test]
fn wrong_handshakes_are_refused() {
    let (_server, address) = start_one(Limits::default());
    for (headers, status) in [
        (
            "sec-websocket-version: 8\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            426,
        ),
        ("sec-websocket-version: 13\r\n", 400),
    ] {
        let text = format!(
            "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n{headers}\r\n"
        );
        assert_eq!(exchange(address, text.as_bytes()).status, status);
    }
}

#[test]
fn compression_is_not_agreed_to() {
    let (_server, address) = start_one(Limits::default());
    let text = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
    let reply = exchange(address, text.as_bytes());
    assert_eq!(reply.status, 101);
    assert_eq!(reply.header("sec-websocket-extensions"), None);
    assert_eq!(
        reply.header("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
}
