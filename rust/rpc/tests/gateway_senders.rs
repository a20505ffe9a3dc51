//! A gateway and keys that send much, from many addresses.

mod common;
mod nodes;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use alloy_consensus::{SignableTransaction, TxEnvelope, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B256, Bytes, Signature, keccak256};
use k256::ecdsa::SigningKey;
use rpc::Limits;
use rpc::gateway::{Gateway, GatewayConfig, SenderRate};
use serde_json::{Value, json};

use common::{Reply, connect, error_of, exchange, post, post_bytes, request, wait_until};
use nodes::{CHAIN_ID, FakeNode, gateway, settings, urls};

const SEND: &str = "eth_sendRawTransaction";
const REFUSED: (i64, &str) = (-32005, "transaction rate limit of the sender exceeded");

/// A gateway that takes one transaction a minute of each key, of callers whom a proxy of this machine names.
fn before(nodes: &[FakeNode]) -> (Gateway, SocketAddr) {
    gateway(of_senders(nodes), nodes.len())
}

fn of_senders(nodes: &[FakeNode]) -> GatewayConfig {
    let limits = Limits {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        forwarded_for: true,
        ..Limits::default()
    };
    let mut config = settings(&urls(nodes), limits);
    config.sender_rate = Some(SenderRate {
        transactions_per_minute: 1,
        burst_transactions: 1,
    });
    config
}

/// A transaction of a key, as wallets send it.
fn signed(key: u8, nonce: u64) -> Bytes {
    let key = SigningKey::from_slice(&[key; 32]).unwrap();
    let transaction = TxLegacy {
        chain_id: Some(CHAIN_ID),
        nonce,
        ..TxLegacy::default()
    };
    let hash: B256 = transaction.signature_hash();
    let (signature, recovery) = key.sign_prehash_recoverable(hash.as_slice()).unwrap();
    let signature = Signature::from((signature, recovery));
    let transaction = TxEnvelope::from(transaction.into_signed(signature));
    transaction.encoded_2718().into()
}

fn body_of(user: &str, method: &str, params: &Value) -> Vec<u8> {
    let extra = format!("x-forwarded-for: {user}\r\n");
    post_bytes(&extra, request(method, params).to_string().as_bytes())
}

fn send_as(address: SocketAddr, user: &str, raw: &Bytes) -> Reply {
    exchange(address, &body_of(user, SEND, &json!([raw])))
}

fn asked(nodes: &[FakeNode]) -> usize {
    nodes.iter().map(|node| node.count(SEND)).sum()
}

#[test]
fn a_key_has_a_rate_whatever_addresses_it_sends_from() {
    let nodes = FakeNode::several(1, 5);
    let (gateway, address) = before(&nodes);
    let first = signed(1, 0);
    let sent = send_as(address, "203.0.113.7", &first);
    assert_eq!(sent.json()["result"], json!(keccak256(&first)));
    let refused = send_as(address, "203.0.113.8", &signed(1, 1));
    assert_eq!(refused.status, 429);
    assert_eq!(error_of(&refused.json()), REFUSED);
    let wait_s = refused.json()["error"]["data"]["retryAfterSeconds"].as_u64();
    assert!((1..=60).contains(&wait_s.unwrap()), "{wait_s:?}");
    let header = refused.header("retry-after").map(ToOwned::to_owned);
    assert_eq!(header, wait_s.map(|seconds| seconds.to_string()));
    assert_eq!(asked(&nodes), 1, "no node was asked");

    let other = send_as(address, "203.0.113.8", &signed(2, 0));
    assert_eq!(other.status, 200, "another key from the same address");
    let more = request(SEND, &json!([signed(1, 2)])).to_string();
    assert_eq!(
        post(address, &more).status,
        200,
        "this machine has no limit"
    );

    assert_eq!(gateway.statistics().over_rate_of_sender, 1);
    let calls = gateway.calls();
    let [http, _] = calls
        .methods
        .iter()
        .find(|one| one.method == SEND)
        .unwrap()
        .transports
        .clone();
    assert_eq!((http.ok, http.limited), (3, 1));
    assert_eq!(calls.shed, 0, "the gateway was not busy");
}

#[test]
fn who_waits_for_the_receipt_has_the_same_rate() {
    let nodes = FakeNode::several(1, 5);
    let (_gateway, address) = before(&nodes);
    let send = |nonce| {
        let params = json!([signed(1, nonce), 9_000]);
        let body = body_of("203.0.113.7", "eth_sendRawTransactionSync", &params);
        exchange(address, &body)
    };
    assert_eq!(send(0).json()["result"]["blockNumber"], "0x3");
    assert_eq!(error_of(&send(1).json()), REFUSED);
    let plain = send_as(address, "203.0.113.8", &signed(1, 1));
    assert_eq!(error_of(&plain.json()), REFUSED);
}

/// Who sends again what somebody else has signed takes nothing of what that key may send.
#[test]
fn what_nodes_refuse_or_have_already_is_not_counted() {
    let nodes = FakeNode::several(1, 5);
    let (_gateway, address) = before(&nodes);
    let old = signed(1, 0);
    for (refusal, code) in [("nonce too low", -32000), ("already known", 0)] {
        *nodes[0].behaviour.refusal.lock() = Some(refusal.to_owned());
        for _ in 0..3 {
            let answer = send_as(address, "203.0.113.66", &old);
            assert_eq!(answer.status, 200);
            assert_eq!(error_of(&answer.json()).0, code, "{refusal}");
        }
    }
    *nodes[0].behaviour.refusal.lock() = None;
    assert_eq!(send_as(address, "203.0.113.7", &signed(1, 1)).status, 200);
    assert_eq!(send_as(address, "203.0.113.7", &signed(1, 2)).status, 429);
}

#[test]
fn what_a_node_took_and_told_too_late_is_counted() {
    let nodes = FakeNode::several(2, 5);
    let mut config = of_senders(&nodes);
    config.timing.first_attempt = Duration::from_secs(1);
    let (_gateway, address) = gateway(config, nodes.len());
    for node in &nodes {
        node.behaviour.holds_sends.store(true, Relaxed);
    }
    let sent = thread::spawn(move || send_as(address, "203.0.113.7", &signed(1, 0)));
    wait_until("a node has it", || asked(&nodes) == 1);
    let second = nodes.iter().find(|node| node.count(SEND) == 0).unwrap();
    *second.behaviour.refusal.lock() = Some("already known".to_owned());
    second.behaviour.holds_sends.store(false, Relaxed);
    let sent = sent.join().unwrap();
    assert_eq!(sent.json()["result"], json!(keccak256(signed(1, 0))));
    assert_eq!(second.count(SEND), 1, "the other one has answered");
    for node in &nodes {
        node.behaviour.holds_sends.store(false, Relaxed);
        *node.behaviour.refusal.lock() = None;
    }
    assert_eq!(send_as(address, "203.0.113.8", &signed(1, 1)).status, 429);
}

#[test]
fn a_transaction_whose_caller_has_gone_is_copied_and_counted() {
    let nodes = FakeNode::several(2, 5);
    let (gateway, address) = before(&nodes);
    let hold = |holds| {
        let all = nodes.iter().map(|node| &node.behaviour.holds_sends);
        all.for_each(|node| node.store(holds, Relaxed));
    };
    hold(true);
    let mut stream = connect(address);
    let body = body_of("203.0.113.7", SEND, &json!([signed(1, 0)]));
    stream.write_all(&body).unwrap();
    wait_until("a node has it", || asked(&nodes) == 1);
    drop(stream);
    wait_until("its caller has gone", || {
        let calls = gateway.calls();
        calls.http_connections == 0 && calls.in_flight == 0
    });
    hold(false);
    wait_until("the other node has it too", || asked(&nodes) == 2);
    assert_eq!(send_as(address, "203.0.113.8", &signed(1, 1)).status, 429);
}

/// A node that reads more than the gateway would take a transaction that counts for nobody.
#[test]
fn however_a_transaction_is_written_it_is_its_keys_or_no_node_is_asked() {
    let nodes = FakeNode::several(1, 5);
    let (_gateway, address) = before(&nodes);
    let ask = |params: &Value| {
        let plain = body_of("203.0.113.7", SEND, params);
        exchange(address, &plain)
    };
    let digits = alloy_primitives::hex::encode(signed(1, 0));
    for text in [
        format!("0x0x{digits}"),
        format!("0X0x{digits}"),
        format!("0x0X{digits}"),
        format!("0x0{digits}"),
        format!("0x{digits} "),
        format!(" 0x{digits}"),
        digits.clone(),
    ] {
        for params in [json!([text]), json!({"0": text}), json!(["0x", text])] {
            let refused = ask(&params);
            assert_eq!(error_of(&refused.json()).0, -32602, "{params}");
        }
    }
    let bytes = json!([signed(1, 0).to_vec()]);
    assert_eq!(error_of(&ask(&bytes).json()).0, -32602);
    let junk = json!([Bytes::from_static(&[0x02, 0xc0, 0xff, 0xee])]);
    let mut trailing = signed(1, 0).to_vec();
    trailing.push(0);
    for unsigned in [junk.clone(), json!([Bytes::from(trailing)])] {
        assert_eq!(error_of(&ask(&unsigned).json()).0, -32000, "{unsigned}");
    }
    assert_eq!(asked(&nodes), 0);

    // What is written in an unusual way is its key's.
    let unusual = format!("0X{}", digits.to_uppercase());
    assert_eq!(
        ask(&json!([unusual])).json()["result"],
        json!(keccak256(signed(1, 0)))
    );
    assert_eq!(error_of(&ask(&json!([signed(1, 1)])).json()), REFUSED);
    assert_eq!(asked(&nodes), 1);

    let local = post(address, &request(SEND, &junk).to_string());
    assert_eq!(local.status, 200);
    assert_eq!(asked(&nodes), 2, "who has no limit is answered by a node");
}
