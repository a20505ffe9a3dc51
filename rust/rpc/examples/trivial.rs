//! A server with trivial answers, for measuring what the server itself costs:
//! `cargo run --release -p rpc --example trivial -- 8600 1`, then
//! `wrk -t1 -c64 -d10 -s post.lua http://127.0.0.1:8600` with a script that posts an `eth_getBalance` request.

use std::sync::Arc;
use std::time::Duration;

use rpc::{
    Answer, Cost, Declaration, Limits, ListenerConfig, Methods, NoOutside, RpcError, Server,
    ServerConfig,
};
use serde_json::value::RawValue;

struct Trivial {
    large: Box<RawValue>,
}

impl Methods for Trivial {
    fn declarations(&self) -> Vec<Declaration> {
        [
            "eth_getBalance",
            "eth_getBlockByNumber",
            "eth_call",
            "eth_sendRawTransaction",
        ]
        .map(|name| Declaration::new(name, "(argument?: Any) -> Any", "A trivial answer."))
        .to_vec()
    }

    fn cost(&self, method: &str) -> Cost {
        match method {
            "eth_call" => Cost::Heavy,
            "eth_sendRawTransaction" => Cost::Write,
            _ => Cost::Read,
        }
    }

    fn head(&self) -> u64 {
        0
    }

    fn call(&self, method: &str, _: Option<&RawValue>) -> Answer {
        match method {
            "eth_getBlockByNumber" => Ok(self.large.clone()),
            _ => RawValue::from_string("\"0x1234\"".to_owned()).map_err(|_| RpcError::internal()),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments
        .next()
        .ok_or("usage: trivial PORT WORKER_THREADS")?
        .parse()?;
    let worker_threads = arguments
        .next()
        .ok_or("usage: trivial PORT WORKER_THREADS")?
        .parse()?;
    // As large as a block with the hashes of 2,800 transactions.
    let hashes = vec![format!("\"0x{}\"", "ab".repeat(32)); 2_800].join(",");
    let methods = Trivial {
        large: RawValue::from_string(format!("[{hashes}]"))?,
    };
    let config = ServerConfig {
        listeners: vec![ListenerConfig::new(([127, 0, 0, 1], port).into())],
        limits: Limits::default(),
        client_version: "trivial".to_owned(),
        network_id: 1,
        worker_threads,
        heavy_threads: 2,
        methods: None,
        is_gateway: false,
    };
    let _server = Server::start(config, Arc::new(methods), Arc::new(NoOutside))?;
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}
