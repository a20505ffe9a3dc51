//! Nodes for a gateway: servers with a chain that a test moves, and strange ones.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use alloy_primitives::{Address, B256, LogData, U256, keccak256};
use parking_lot::Mutex;
use rpc::gateway::{Gateway, GatewayConfig, NodeAddress, Timing};
use rpc::{
    Answer, Cost, Declaration, Event, Head, Limits, Methods, NoOutside, Pending, RpcError, Server,
    own_declarations,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, accept};

use crate::common::{call, config, loopback, wait_until};

pub const CHAIN_ID: u64 = 1337;

/// What a node does with what it is asked.
#[derive(Default)]
pub struct Behaviour {
    pub head: AtomicU64,
    /// What `eth_sendRawTransaction` is refused with.
    pub refusal: Mutex<Option<String>>,
    /// Transactions that arrive wait while this is set.
    pub holds_sends: AtomicBool,
    /// Calls about balances wait for so many milliseconds.
    pub slow_ms: AtomicU64,
    /// Calls about balances fail as if the node were broken.
    pub is_broken: AtomicBool,
    /// Every call that came, with its parameters.
    pub asked: Mutex<Vec<(String, String)>>,
    /// `eth_getLogs` has more than it may answer.
    pub has_many_logs: AtomicBool,
    /// Another genesis.
    pub is_foreign: AtomicBool,
    /// It does not say which chain it has.
    pub is_shy: AtomicBool,
}

struct Chain {
    name: String,
    behaviour: Arc<Behaviour>,
}

/// A node with blocks whose number is their first log's address.
pub struct FakeNode {
    pub server: Server,
    pub address: SocketAddr,
    pub behaviour: Arc<Behaviour>,
}

pub fn hash_of(number: u64) -> B256 {
    keccak256(number.to_be_bytes())
}

pub fn header(number: u64) -> Value {
    json!({
        "number": format!("0x{number:x}"),
        "hash": hash_of(number),
        "parentHash": if number == 0 { B256::ZERO } else { hash_of(number - 1) },
        "logsBloom": format!("0x{}", "01".repeat(256)),
    })
}

/// The transactions of a block, which its receipts name.
pub fn transactions_of(number: u64) -> [B256; 2] {
    [1_000_000, 2_000_000].map(|offset| hash_of(offset + number))
}

fn logs(number: u64) -> Vec<alloy_rpc_types_eth::Log> {
    vec![alloy_rpc_types_eth::Log {
        inner: alloy_primitives::Log {
            address: Address::repeat_byte(number as u8),
            data: LogData::new_unchecked(vec![B256::from(U256::from(number))], vec![].into()),
        },
        block_hash: Some(hash_of(number)),
        block_number: Some(number),
        block_timestamp: Some(1_700_000_000),
        transaction_hash: Some(B256::repeat_byte(0xee)),
        transaction_index: Some(0),
        log_index: Some(0),
        removed: false,
    }]
}

pub const METHODS: [&str; 11] = [
    "eth_chainId",
    "eth_getBlockByNumber",
    "eth_getBalance",
    "eth_call",
    "eth_getTransactionCount",
    "eth_getLogs",
    "eth_getBlockReceipts",
    "eth_sendRawTransaction",
    "eth_getTransactionByHash",
    "eth_getTransactionReceipt",
    "debug_traceTransaction",
];

impl Methods for Chain {
    fn declarations(&self) -> Vec<Declaration> {
        METHODS
            .map(|name| Declaration::new(name, "() -> Any", "A fake."))
            .to_vec()
    }

    fn cost(&self, method: &str) -> Cost {
        match method {
            "eth_getBalance" | "eth_call" => Cost::Heavy,
            _ => Cost::Read,
        }
    }

    fn head(&self) -> u64 {
        self.behaviour.head.load(Relaxed)
    }

    fn call(&self, method: &str, params: Option<&RawValue>) -> Answer {
        let text = params.map_or("[]", RawValue::get);
        self.behaviour
            .asked
            .lock()
            .push((method.to_owned(), text.to_owned()));
        let params: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
        let head = self.head();
        let number = |at: usize| match params.get(at).and_then(Value::as_str) {
            Some("latest") | None => head,
            Some(text) => u64::from_str_radix(&text[2..], 16).unwrap_or(u64::MAX),
        };
        let result = match method {
            "eth_chainId" if self.behaviour.is_shy.load(Relaxed) => {
                return Err(RpcError::internal());
            }
            "eth_chainId" => json!(format!("0x{CHAIN_ID:x}")),
            "eth_getBlockByNumber" if number(0) > head => Value::Null,
            "eth_getBlockByNumber" => {
                let mut block = header(number(0));
                block["transactions"] = json!([]);
                block["size"] = json!("0x1");
                if self.behaviour.is_foreign.load(Relaxed) {
                    block["hash"] = json!(B256::repeat_byte(0xff));
                }
                block
            }
            "eth_getBalance" if self.behaviour.is_broken.load(Relaxed) => {
                return Err(RpcError::internal());
            }
            "eth_getBalance" | "eth_call" => {
                thread::sleep(Duration::from_millis(self.behaviour.slow_ms.load(Relaxed)));
                json!(format!("{}@{}", self.name, number(1)))
            }
            "eth_getTransactionCount" => json!(self.name),
            "eth_getLogs" if self.behaviour.has_many_logs.load(Relaxed) => {
                return Err(RpcError::new(
                    -32005,
                    "query returned more than 10000 results",
                ));
            }
            "eth_getBlockReceipts" => {
                let hash = params[0].as_str().map(ToOwned::to_owned);
                let found = (0..=head).find(|number| Some(hash_of(*number).to_string()) == hash);
                let [first, second] = transactions_of(found.unwrap_or_default());
                json!([
                    {"transactionHash": first, "logs": []},
                    {"transactionHash": second, "logs": found.map(logs).unwrap_or_default()},
                ])
            }
            "eth_getLogs" => {
                let hash = params[0]["blockHash"].as_str().map(ToOwned::to_owned);
                let found = (0..=head).find(|number| Some(hash_of(*number).to_string()) == hash);
                json!(found.map(logs).unwrap_or_default())
            }
            "eth_sendRawTransaction" => {
                while self.behaviour.holds_sends.load(Relaxed) {
                    thread::sleep(Duration::from_millis(5));
                }
                if let Some(refusal) = &*self.behaviour.refusal.lock() {
                    return Err(RpcError::new(-32000, refusal.clone()));
                }
                let raw: alloy_primitives::Bytes =
                    serde_json::from_value(params[0].clone()).unwrap();
                json!(keccak256(raw))
            }
            "eth_getTransactionByHash" => json!({"blockNumber": "0x1"}),
            "eth_getTransactionReceipt" if head >= 3 => json!({"blockNumber": "0x3"}),
            _ => Value::Null,
        };
        Ok(RawValue::from_string(result.to_string()).unwrap())
    }
}

impl FakeNode {
    pub fn start(name: &str, head: u64, behaviour: Behaviour) -> Self {
        behaviour.head.store(head, Relaxed);
        let behaviour = Arc::new(behaviour);
        let chain = Chain {
            name: name.to_owned(),
            behaviour: Arc::clone(&behaviour),
        };
        let config = config(vec![loopback()], Limits::default());
        let server = Server::start(config, Arc::new(chain), Arc::new(NoOutside)).unwrap();
        let address = server.addresses()[0];
        Self {
            server,
            address,
            behaviour,
        }
    }

    /// Some with the same chain.
    pub fn several(count: usize, head: u64) -> Vec<Self> {
        (0..count)
            .map(|index| Self::start(&format!("node-{index}"), head, Behaviour::default()))
            .collect()
    }

    /// The node has a block, and tells of it.
    pub fn take(&self, number: u64) {
        self.take_quietly(number);
        self.server.publish(Event::Head(Arc::new(Head {
            number,
            hash: hash_of(number),
            header: RawValue::from_string(header(number).to_string()).unwrap(),
            logs: Vec::new(),
            receipts: Vec::new(),
        })));
    }

    /// The node has a block, and has not told of it.
    pub fn take_quietly(&self, number: u64) {
        self.behaviour.head.store(number, Relaxed);
    }

    pub fn tell_pending(&self, bytes: &[u8]) {
        for byte in bytes {
            let hash = B256::repeat_byte(*byte);
            let full =
                move || vec![RawValue::from_string(json!({"hash": hash}).to_string()).unwrap()];
            self.server.publish(Event::Pending(Arc::new(Pending {
                hashes: vec![hash],
                full: Box::new(full),
            })));
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often a method was asked.
    pub fn count(&self, method: &str) -> usize {
        let asked = self.behaviour.asked.lock();
        asked.iter().filter(|(name, _)| name == method).count()
    }
}

/// A gateway's configuration with short times.
pub fn settings(urls: &[String], limits: Limits) -> GatewayConfig {
    let mut server = config(vec![loopback()], limits);
    let own = own_declarations().map(|one| one.name.into_owned());
    server.methods = Some(
        METHODS
            .iter()
            .map(|name| (*name).to_owned())
            .chain(own)
            .chain(["eth_blockNumber", "eth_accounts", "eth_syncing"].map(str::to_owned))
            .filter(|name| !name.starts_with("debug"))
            .collect(),
    );
    server.limits.outside_timeout = Duration::from_secs(70);
    GatewayConfig {
        server,
        nodes: urls
            .iter()
            .map(|url| url.parse::<NodeAddress>().unwrap())
            .collect(),
        chain_id: CHAIN_ID,
        declarations: own_declarations().collect(),
        lag_blocks_max: 2,
        log_blocks_max: 50,
        copies_of_writes: 3,
        sender_rate: None,
        calls_max: 256,
        timing: Timing {
            call: Duration::from_secs(20),
            first_attempt: Duration::from_secs(5),
            reconnect: (Duration::from_millis(20), Duration::from_millis(100)),
            ..Timing::default()
        },
    }
}

/// A gateway before these nodes, once it has reached so many of them.
pub fn gateway(config: GatewayConfig, reached: usize) -> (Gateway, SocketAddr) {
    let gateway = Gateway::start(config).unwrap();
    let address = gateway.addresses()[0];
    wait_until("the gateway has reached its nodes", || {
        let nodes = gateway.statistics().nodes;
        nodes.iter().filter(|node| node.up).count() >= reached
    });
    wait_until("the gateway knows a block", || {
        reached == 0 || gateway.statistics().blocks > 0
    });
    (gateway, address)
}

pub fn urls(nodes: &[FakeNode]) -> Vec<String> {
    nodes.iter().map(FakeNode::url).collect()
}

/// The result of a call that has one.
pub fn result(address: SocketAddr, method: &str, params: &Value) -> Value {
    let response = call(address, method, params);
    assert!(response.get("result").is_some(), "{response}");
    response["result"].clone()
}

/// Something that takes WebSockets and says `words` to whatever it hears.
pub fn babbler(words: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let Ok(mut socket) = accept(stream) else {
                    return;
                };
                while let Ok(Message::Text(_)) = socket.read() {
                    if socket.send(Message::text(words)).is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}
