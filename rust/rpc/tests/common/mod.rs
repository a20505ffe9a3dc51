//! A server on a free port of loopback with small answers, and clients that send exactly what a test says.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use alloy_primitives::{Address, B256, LogData};
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::{Condvar, Mutex};
use rpc::{
    Answer, Cost, Declaration, Event, Forwarded, Head, Limits, ListenerConfig, ListenerKind,
    Methods, NoOutside, Outside, Pending, Receipt, RpcError, Server, ServerConfig, Waiting,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

/// Methods that show what the server does with them.
#[derive(Default)]
pub struct Fake {
    /// How many writing calls were handed over together, each time.
    pub gathered: Mutex<Vec<usize>>,
    /// The newest visible block.
    pub head: AtomicU64,
    /// How many endless calls have stopped.
    pub stopped: AtomicU64,
    /// Where `eth_held` waits, and writing calls too while `holds_writes` is set.
    pub gate: Gate,
    pub holds_writes: AtomicBool,
}

/// Calls that go on when a test says so, and not when time has passed.
#[derive(Default)]
pub struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    held: usize,
    permits: usize,
}

impl Gate {
    /// Calls that are at the gate now.
    pub fn held(&self) -> usize {
        self.state.lock().held
    }

    /// Lets so many calls through: those at the gate, and then those that come.
    pub fn release(&self, calls: usize) {
        self.state.lock().permits += calls;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let mut state = self.state.lock();
        state.held += 1;
        while state.permits == 0 {
            let waited = self.changed.wait_for(&mut state, PATIENCE);
            assert!(!waited.timed_out(), "no test let this call go on");
        }
        state.permits -= 1;
        state.held -= 1;
    }
}

/// Longer than a busy machine needs for anything here; only what never happens takes so long.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// A limit of the server that no test lives to see.
pub const NEVER: Duration = Duration::from_secs(3_600);

impl Methods for Fake {
    fn declarations(&self) -> Vec<Declaration> {
        let names = [
            "eth_echo",
            "eth_at",
            "eth_large",
            "eth_largeAndHeavy",
            "eth_panic",
            "eth_fail",
            "eth_slow",
            "eth_held",
            "eth_endless",
            "eth_holding",
            "eth_sendRawTransaction",
            "eth_getTransactionReceipt",
            "eth_getLogs",
            "debug_thing",
            "txpool_status",
            "trace_block",
            "ots_getApiLevel",
            "personal_sign",
            "eth_both",
        ];
        names.map(declared).to_vec()
    }

    fn cost(&self, method: &str) -> Cost {
        match method {
            "eth_slow" | "eth_held" | "eth_endless" | "eth_holding" | "eth_largeAndHeavy" => {
                Cost::Heavy
            }
            "eth_sendRawTransaction" => Cost::Write,
            "eth_at" => Cost::ReadUnlessPending,
            _ => Cost::Read,
        }
    }

    fn head(&self) -> u64 {
        self.head.load(Relaxed)
    }

    fn call(&self, method: &str, params: Option<&RawValue>) -> Answer {
        let number = || -> u64 {
            let params: Option<(u64,)> =
                params.and_then(|params| serde_json::from_str(params.get()).ok());
            params.map_or(0, |(number,)| number)
        };
        match method {
            "eth_large" | "eth_largeAndHeavy" => {
                Ok(raw(&format!("\"{}\"", "x".repeat(number() as usize))))
            }
            "eth_panic" => panic!("a handler's fault"),
            "eth_fail" => Err(RpcError {
                code: 3,
                message: "execution reverted".to_owned(),
                data: Some(raw("\"0x08c379a0\"")),
            }),
            "eth_getTransactionReceipt" if self.head.load(Relaxed) == 0 => Ok(raw("null")),
            "eth_slow" => {
                thread::sleep(Duration::from_millis(number()));
                Ok(raw("true"))
            }
            "eth_held" => {
                self.gate.pass();
                Ok(raw("true"))
            }
            _ => Ok(params.map_or_else(|| raw("null"), ToOwned::to_owned)),
        }
    }

    /// `eth_endless` works for as long as somebody waits.
    fn call_unless(
        &self,
        method: &str,
        params: Option<&RawValue>,
        waiting: Arc<dyn Waiting>,
    ) -> Answer {
        match method {
            "eth_endless" => {}
            "eth_holding" => {
                let bytes = params.and_then(|one| serde_json::from_str(one.get()).ok());
                let [bytes]: [usize; 1] = bytes.unwrap_or_default();
                if !waiting.may_hold(bytes / 2) || !waiting.may_hold(bytes) {
                    return Err(RpcError::new(-32005, "no room"));
                }
                self.gate.pass();
                return Ok(raw("true"));
            }
            _ => return self.call(method, params),
        }
        while !waiting.is_abandoned() {
            thread::yield_now();
        }
        self.stopped.fetch_add(1, Relaxed);
        Ok(raw("null"))
    }

    fn call_many(&self, _: &str, params: &[Option<Box<RawValue>>]) -> Vec<Answer> {
        self.gathered.lock().push(params.len());
        if self.holds_writes.load(Relaxed) {
            self.gate.pass();
        }
        params
            .iter()
            .map(|one| Ok(one.clone().unwrap_or_else(|| raw("null"))))
            .collect()
    }
}

/// Outside handlers behind a queue of two.
pub struct Queue(Sender<Forwarded>);

impl Queue {
    pub fn new() -> (Self, Receiver<Forwarded>) {
        let (sender, receiver) = bounded(2);
        (Self(sender), receiver)
    }
}

impl Outside for Queue {
    fn declarations(&self) -> Vec<Declaration> {
        let names = [
            "ibft_getPendingVotes",
            "ibft_proposeValidatorVote",
            "admin_peers",
            "eth_both",
        ];
        names.map(declared).to_vec()
    }

    fn forward(&self, request: Forwarded) -> Result<(), Forwarded> {
        self.0
            .try_send(request)
            .map_err(crossbeam_channel::TrySendError::into_inner)
    }
}

/// A method of which no more is said.
fn declared(name: &'static str) -> Declaration {
    Declaration::new(name, "(argument?: Any) -> Any", "A method for tests.")
}

pub fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

/// A loopback listener on a free port.
pub fn loopback() -> ListenerConfig {
    ListenerConfig::new(([127, 0, 0, 1], 0).into())
}

/// A listener that counts as public although only this machine reaches it.
pub fn public() -> ListenerConfig {
    ListenerConfig {
        kind: ListenerKind::Public,
        ..loopback()
    }
}

pub fn config(listeners: Vec<ListenerConfig>, limits: Limits) -> ServerConfig {
    ServerConfig {
        listeners,
        limits,
        client_version: "Metanode/v0.1.0/linux/rust".to_owned(),
        network_id: 1337,
        worker_threads: 1,
        heavy_threads: 1,
        methods: None,
        is_gateway: false,
    }
}

pub fn start(listeners: Vec<ListenerConfig>, limits: Limits) -> Server {
    Server::start(
        config(listeners, limits),
        Arc::new(Fake::default()),
        Arc::new(NoOutside),
    )
    .unwrap()
}

/// A server with one loopback listener, and its address.
pub fn start_one(limits: Limits) -> (Server, SocketAddr) {
    let server = start(vec![loopback()], limits);
    let address = server.addresses()[0];
    (server, address)
}

/// A server with one loopback listener, its address, and the methods behind it.
pub fn start_with_fake(limits: Limits) -> (Server, SocketAddr, Arc<Fake>) {
    let fake = Arc::new(Fake::default());
    let server = Server::start(
        config(vec![loopback()], limits),
        Arc::clone(&fake) as _,
        Arc::new(NoOutside),
    )
    .unwrap();
    let address = server.addresses()[0];
    (server, address, fake)
}

/// A server on whose chain a block is visible that it has not told of yet.
pub fn start_at(head: u64) -> (Server, SocketAddr) {
    let fake = Fake {
        head: AtomicU64::new(head),
        ..Fake::default()
    };
    let config = config(vec![loopback()], Limits::default());
    let server = Server::start(config, Arc::new(fake), Arc::new(NoOutside)).unwrap();
    let address = server.addresses()[0];
    (server, address)
}

/// What came back for an HTTP request.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .next()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes on a fresh connection and reads one response.
pub fn exchange(address: SocketAddr, request: &[u8]) -> Reply {
    let mut stream = connect(address);
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request);
    read_reply(&mut stream)
}

pub fn read_reply(stream: &mut TcpStream) -> Reply {
    let mut received = Vec::new();
    let mut buffer = [0; 65_536];
    loop {
        if let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(received[..end].to_vec()).unwrap();
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            let reply = Reply {
                status,
                head,
                body: String::new(),
            };
            let length: usize = reply
                .header("content-length")
                .map_or(0, |value| value.parse().unwrap());
            while received.len() < end + 4 + length {
                let count = stream.read(&mut buffer).unwrap();
                assert!(count > 0, "the response broke off");
                received.extend_from_slice(&buffer[..count]);
            }
            return Reply {
                body: String::from_utf8(received[end + 4..].to_vec()).unwrap(),
                ..reply
            };
        }
        let count = stream.read(&mut buffer).unwrap();
        assert!(
            count > 0,
            "no response: {:?}",
            String::from_utf8_lossy(&received)
        );
        received.extend_from_slice(&buffer[..count]);
    }
}

/// The bytes of a POST with extra header lines, each ended by `\r\n`.
pub fn post_bytes(extra: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{extra}\r\n"
    );
    [head.as_bytes(), body].concat()
}

pub fn post(address: SocketAddr, body: &str) -> Reply {
    exchange(address, &post_bytes("", body.as_bytes()))
}

pub fn request(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

/// The whole response object of one call over HTTP.
pub fn call(address: SocketAddr, method: &str, params: &Value) -> Value {
    let reply = post(address, &request(method, params).to_string());
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

/// Code and message of an error response.
pub fn error_of(response: &Value) -> (i64, &str) {
    let error = &response["error"];
    (
        error["code"].as_i64().unwrap_or_default(),
        error["message"].as_str().unwrap_or_default(),
    )
}

pub type Socket = WebSocket<TcpStream>;

/// Opens a WebSocket.
pub fn open_websocket(address: SocketAddr) -> Socket {
    try_open_websocket(address, None).unwrap()
}

/// Opens a WebSocket as a browser would for a page of `origin`; the status of a refusal.
pub fn try_open_websocket(address: SocketAddr, origin: Option<&str>) -> Result<Socket, u16> {
    let mut request = format!("ws://{address}/").into_client_request().unwrap();
    if let Some(origin) = origin {
        request
            .headers_mut()
            .insert("origin", origin.parse().unwrap());
    }
    match client::client(request, connect(address)) {
        Ok((socket, _)) => Ok(socket),
        Err(tokio_tungstenite::tungstenite::HandshakeError::Failure(
            tokio_tungstenite::tungstenite::Error::Http(response),
        )) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

pub fn send(socket: &mut Socket, body: &Value) {
    socket.send(Message::text(body.to_string())).unwrap();
}

/// The next text message as JSON.
pub fn receive(socket: &mut Socket) -> Value {
    loop {
        match socket.read().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Sends a call over a WebSocket and takes the next message as its response.
pub fn ask(socket: &mut Socket, method: &str, params: &Value) -> Value {
    send(socket, &request(method, params));
    receive(socket)
}

/// The code with which the server closes a WebSocket, after whatever it still sends.
pub fn close_code(socket: &mut Socket) -> Option<u16> {
    loop {
        match socket.read() {
            Ok(Message::Close(frame)) => return frame.map(|frame| frame.code.into()),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
}

/// The event of a block with one log and one receipt for each of `topics`.
pub fn head(number: u64, topics: &[u8]) -> Event {
    let hash = B256::repeat_byte(number as u8);
    let logs = topics
        .iter()
        .zip(0..)
        .map(|(topic, index)| alloy_rpc_types_eth::Log {
            inner: alloy_primitives::Log {
                address: Address::repeat_byte(*topic),
                data: LogData::new_unchecked(vec![B256::repeat_byte(*topic)], vec![*topic].into()),
            },
            block_hash: Some(hash),
            block_number: Some(number),
            block_timestamp: Some(1_700_000_000),
            transaction_hash: Some(B256::repeat_byte(0xee)),
            transaction_index: Some(0),
            log_index: Some(index),
            removed: false,
        });
    let header = raw(&json!({"number": format!("0x{number:x}"), "hash": hash}).to_string());
    let receipts = topics.iter().map(|topic| {
        let receipt = json!({"transactionHash": B256::repeat_byte(*topic), "blockHash": hash});
        Receipt::read(raw(&receipt.to_string())).unwrap()
    });
    Event::Head(Arc::new(Head {
        number,
        hash,
        header,
        logs: logs.collect(),
        receipts: receipts.collect(),
    }))
}

/// The event of new executable transactions.
pub fn pending(hashes: &[u8]) -> Event {
    let hashes: Vec<B256> = hashes.iter().map(|byte| B256::repeat_byte(*byte)).collect();
    let all = hashes.clone();
    let full = move || {
        all.iter()
            .map(|hash| raw(&json!({"hash": hash}).to_string()))
            .collect()
    };
    Event::Pending(Arc::new(Pending {
        hashes,
        full: Box::new(full),
    }))
}

/// Repeats a look until it is satisfied.
pub fn wait_until(what: &str, mut look: impl FnMut() -> bool) {
    const PAUSE: Duration = Duration::from_millis(10);
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        if look() {
            return;
        }
        thread::sleep(PAUSE);
    }
    panic!("did not happen: {what}");
}
