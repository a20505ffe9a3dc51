//! Who may call what from where: namespaces, Host, origins, content types. Rows are those of docs/evidence/bad-inputs.md.

mod common;

use std::sync::Arc;

use common::*;
use rpc::{Limits, ListenerConfig, ListenerKind, Server};
use serde_json::json;

fn private() -> ListenerConfig {
    ListenerConfig {
        kind: ListenerKind::Private,
        ..loopback()
    }
}

/// Row 8: a forbidden method reads exactly like an unknown one.
#[test]
fn each_listener_offers_its_namespaces_and_hides_the_rest() {
    let (queue, requests) = Queue::new();
    std::thread::spawn(move || {
        requests
            .iter()
            .for_each(|request| request.reply.send(Ok(raw("true"))))
    });
    let chosen = ListenerConfig {
        namespaces: Some(vec!["eth".to_owned(), "debug".to_owned()]),
        ..public()
    };
    let listeners = vec![public(), loopback(), private(), chosen];
    let server = Server::start(
        config(listeners, Limits::default()),
        Arc::new(Fake::default()),
        Arc::new(queue),
    )
    .unwrap();
    for (method, offered) in [
        ("eth_echo", [true, true, true, true]),
        ("net_version", [true, true, true, false]),
        ("web3_clientVersion", [true, true, true, false]),
        ("txpool_status", [false, true, true, false]),
        ("debug_thing", [false, true, true, true]),
        ("trace_block", [false, true, true, false]),
        ("ots_getApiLevel", [false, true, true, false]),
        ("ibft_getPendingVotes", [true, true, true, false]),
        ("ibft_proposeValidatorVote", [false, false, true, false]),
        ("admin_peers", [false, false, true, false]),
        ("personal_sign", [false, false, false, false]),
        ("nothing_here", [false, false, false, false]),
    ] {
        for (address, expected) in server.addresses().iter().zip(offered) {
            let response = call(*address, method, &json!([]));
            let over_websocket = ask(&mut open_websocket(*address), method, &json!([]));
            assert_eq!(response, over_websocket, "{method}");
            if expected {
                assert!(
                    response["error"].is_null(),
                    "{method} {address}: {response}"
                );
            } else {
                let message = format!("the method {method} does not exist/is not available");
                assert_eq!(error_of(&response), (-32601, &*message), "{address}");
            }
        }
    }
    let modules =
        |index: usize| call(server.addresses()[index], "rpc_modules", &json!([]))["result"].clone();
    assert_eq!(
        modules(0),
        json!({"eth": "1.0", "ibft": "1.0", "net": "1.0", "rpc": "1.0", "web3": "1.0"})
    );
    assert_eq!(modules(2)["admin"], json!("1.0"));
    assert!(modules(1)["admin"].is_null());

    let documented = |index: usize| -> Vec<String> {
        let document = call(server.addresses()[index], "rpc_discover", &json!([]));
        let methods = document["result"]["methods"].as_array().cloned();
        let name = |method: &serde_json::Value| method["name"].as_str().unwrap().to_owned();
        methods.unwrap().iter().map(name).collect()
    };
    for (index, (debug, admin)) in [(false, false), (true, false), (true, true)]
        .into_iter()
        .enumerate()
    {
        let names = documented(index);
        let has = |name: &str| names.iter().any(|one| one == name);
        assert!(has("eth_echo") && has("rpc_discover") && has("ibft_getPendingVotes"));
        assert_eq!(has("debug_thing"), debug, "{names:?}");
        assert_eq!(has("admin_peers"), admin, "{names:?}");
        assert!(!has("personal_sign"));
    }
}

/// Row 6, first half.
#[test]
fn a_host_that_is_not_ours_is_forbidden() {
    let listener = ListenerConfig {
        hosts: vec!["localhost".to_owned(), "rpc.example.org".to_owned()],
        ..loopback()
    };
    let server = start(vec![listener], Limits::default());
    let body = request("eth_echo", &json!([])).to_string();
    for (host, status) in [
        ("localhost", 200),
        ("LocalHost:8545", 200),
        ("rpc.example.org", 200),
        ("127.0.0.1:8545", 200),
        ("[::1]:8545", 200),
        ("evil.example", 403),
        ("evil.example:8545", 403),
        ("localhost.evil.example", 403),
        ("", 403),
    ] {
        let length = body.len();
        let head = format!(
            "POST / HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        let reply = exchange(server.addresses()[0], format!("{head}{body}").as_bytes());
        assert_eq!(reply.status, status, "{host}");
        let upgrade = format!(
            "GET / HTTP/1.1\r\nhost: {host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let expected = if status == 200 { 101 } else { 403 };
        assert_eq!(
            exchange(server.addresses()[0], upgrade.as_bytes()).status,
            expected,
            "{host}"
        );
    }
}

/// Row 6, second half.
#[test]
fn origins_are_told_apart() {
    let listed = ListenerConfig {
        cors_origins: vec!["https://app.example".to_owned()],
        ..loopback()
    };
    let any = ListenerConfig {
        cors_origins: vec!["*".to_owned()],
        ..public()
    };
    let server = start(vec![loopback(), listed, any, private()], Limits::default());
    let [none, listed, any, private] = *server.addresses() else {
        panic!("four listeners")
    };
    let body = request("eth_echo", &json!([])).to_string();
    for (address, origin, status, allowed) in [
        (none, "https://evil", 403, None),
        (none, "null", 403, None),
        (
            none,
            "chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn",
            200,
            None,
        ),
        (
            listed,
            "https://app.example",
            200,
            Some("https://app.example"),
        ),
        (listed, "https://evil", 403, None),
        (listed, "https://app.example.evil", 403, None),
        (any, "https://evil", 200, Some("*")),
        (any, "null", 200, Some("*")),
        (private, "http://localhost", 403, None),
        (private, "https://evil", 403, None),
        (
            private,
            "chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn",
            403,
            None,
        ),
    ] {
        let reply = exchange(
            address,
            &post_bytes(&format!("origin: {origin}\r\n"), body.as_bytes()),
        );
        assert_eq!(reply.status, status, "{origin}");
        assert_eq!(
            reply.header("access-control-allow-origin"),
            allowed,
            "{origin}"
        );
        assert_eq!(
            reply.header("access-control-allow-credentials"),
            None,
            "{origin}"
        );
        assert_eq!(
            try_open_websocket(address, Some(origin)).err(),
            (status != 200).then_some(403),
            "{origin}"
        );
    }
    let own = exchange(
        none,
        &post_bytes("origin: http://localhost\r\n", body.as_bytes()),
    );
    assert_eq!(own.status, 200, "a page of this very server");
    for address in [none, listed, any, private] {
        assert_eq!(
            exchange(address, &post_bytes("", body.as_bytes())).status,
            200
        );
        assert!(try_open_websocket(address, None).is_ok());
    }
}

#[test]
fn websocket_origins_can_differ_from_cors() {
    let listener = ListenerConfig {
        cors_origins: vec!["*".to_owned()],
        websocket_origins: Some(vec!["https://app.example".to_owned()]),
        ..loopback()
    };
    let server = start(vec![listener], Limits::default());
    assert!(try_open_websocket(server.addresses()[0], Some("https://app.example")).is_ok());
    assert_eq!(
        try_open_websocket(server.addresses()[0], Some("https://evil")).err(),
        Some(403)
    );
}

#[test]
fn a_preflight_is_answered_for_allowed_origins() {
    let any = ListenerConfig {
        cors_origins: vec!["*".to_owned()],
        ..loopback()
    };
    let server = start(vec![loopback(), any], Limits::default());
    let preflight = "OPTIONS / HTTP/1.1\r\nhost: localhost\r\norigin: https://app.example\r\n\
        access-control-request-method: POST\r\naccess-control-request-headers: content-type,x-trace\r\n\r\n";
    assert_eq!(
        exchange(server.addresses()[0], preflight.as_bytes()).status,
        403
    );
    let reply = exchange(server.addresses()[1], preflight.as_bytes());
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(
        reply.header("access-control-allow-headers"),
        Some("content-type,x-trace")
    );
    assert!(
        reply
            .header("access-control-allow-methods")
            .unwrap()
            .contains("POST")
    );
    assert_eq!(reply.header("access-control-allow-credentials"), None);
}

/// Row 7: what a form can send without a preflight is not read.
#[test]
fn only_json_content_types_are_read() {
    let (_server, address) = start_one(Limits::default());
    let body = request("eth_echo", &json!([])).to_string();
    for (header, status) in [
        ("content-type: application/json\r\n", 200),
        ("Content-Type: Application/JSON; charset=utf-8\r\n", 200),
        ("content-type: text/plain\r\n", 415),
        ("content-type: text/plain; a=application/json\r\n", 415),
        ("content-type: application/x-www-form-urlencoded\r\n", 415),
        ("content-type: multipart/form-data; boundary=x\r\n", 415),
        ("", 415),
        (
            "content-type: application/json\r\ncontent-encoding: gzip\r\n",
            415,
        ),
    ] {
        let length = body.len();
        let text = format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\n{header}content-length: {length}\r\n\r\n{body}"
        );
        assert_eq!(
            exchange(address, text.as_bytes()).status,
            status,
            "{header}"
        );
    }
}

#[test]
fn other_http_methods_are_told_what_to_do() {
    let (_server, address) = start_one(Limits::default());
    let get = exchange(address, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert_eq!(get.status, 200);
    assert!(get.body.contains("JSON-RPC"), "{}", get.body);
    let put = exchange(
        address,
        b"PUT / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n",
    );
    assert_eq!((put.status, put.header("allow").is_some()), (405, true));
}

#[test]
fn a_port_serves_only_the_transports_it_was_given() {
    let http_only = ListenerConfig {
        websocket: false,
        ..loopback()
    };
    let websocket_only = ListenerConfig {
        http: false,
        ..loopback()
    };
    let server = start(vec![http_only, websocket_only], Limits::default());
    let [http, websocket] = *server.addresses() else {
        panic!("two listeners")
    };
    let body = request("eth_echo", &json!([])).to_string();
    assert_eq!(post(http, &body).status, 200);
    assert_eq!(try_open_websocket(http, None).err(), Some(400));
    assert_eq!(post(websocket, &body).status, 426);
    assert_eq!(
        ask(&mut open_websocket(websocket), "eth_echo", &json!([1]))["result"],
        json!([1])
    );
}

#[test]
fn an_address_in_use_is_named_and_nothing_stays_open() {
    let (_server, taken) = start_one(Limits::default());
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let listeners = vec![ListenerConfig::new(free), ListenerConfig::new(taken)];
    let failed = Server::start(
        config(listeners, Limits::default()),
        Arc::new(Fake::default()),
        Arc::new(rpc::NoOutside),
    );
    let message = failed.unwrap_err().to_string();
    assert!(message.contains(&taken.to_string()), "{message}");
    assert!(std::net::TcpStream::connect(free).is_err());
}
