//! The engine behind the JSON-RPC server: its methods, and its news for subscribers and filters.

use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded, select};
use engine::EngineEvent;
use engine::api::{Api, Caller};
use engine::pool::PooledTransaction;
use engine::store::StoredBlock;
use rpc::{
    Answer, Cost, Declaration, Event, Head, Methods, Pending, Receipt, RpcError, Server, Waiting,
};
use serde_json::Value;
use serde_json::value::RawValue;

/// The engine's methods for the server.
pub(crate) struct EngineMethods(pub(crate) Arc<Api>);

impl Methods for EngineMethods {
    fn declarations(&self) -> Vec<Declaration> {
        Api::declarations().cloned().collect()
    }

    fn cost(&self, method: &str) -> Cost {
        match Api::cost(method) {
            Some(engine::api::Cost::Read) => Cost::Read,
            Some(engine::api::Cost::ReadUnlessPending) => Cost::ReadUnlessPending,
            Some(engine::api::Cost::Write) => Cost::Write,
            Some(engine::api::Cost::Heavy) | None => Cost::Heavy,
        }
    }

    fn head(&self) -> u64 {
        self.0.head()
    }

    fn call(&self, method: &str, params: Option<&RawValue>) -> Answer {
        self.0.call(method, params).map_err(to_rpc)
    }

    fn call_unless(
        &self,
        method: &str,
        params: Option<&RawValue>,
        waiting: Arc<dyn Waiting>,
    ) -> Answer {
        let caller = Caller::new(Arc::new(Remote(waiting)));
        self.0.call_unless(method, params, caller).map_err(to_rpc)
    }

    fn call_many(&self, method: &str, params: &[Option<Box<RawValue>>]) -> Vec<Answer> {
        let answers = self.0.call_many(method, params);
        answers
            .into_iter()
            .map(|answer| answer.map_err(to_rpc))
            .collect()
    }
}

/// Who waits for the server's answer, as the engine knows callers.
struct Remote(Arc<dyn Waiting>);

impl engine::api::Waiting for Remote {
    fn is_abandoned(&self) -> bool {
        self.0.is_abandoned()
    }

    fn may_hold(&self, bytes: usize) -> bool {
        self.0.may_hold(bytes)
    }
}

fn to_rpc(error: engine::api::RpcError) -> RpcError {
    let data = error.data.and_then(raw_json);
    RpcError {
        code: error.code,
        message: error.message,
        data,
    }
}

/// A value as JSON. What a contract reverts with can be megabytes of hexadecimal, which gets its quotes where it is, without a copy.
fn raw_json(data: Value) -> Option<Box<RawValue>> {
    let text = match data {
        Value::String(mut text) if text.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            text.reserve_exact(2);
            text.insert(0, '"');
            text.push('"');
            text
        }
        other => serde_json::to_string(&other).ok()?,
    };
    RawValue::from_string(text).ok()
}

/// Passes the engine's news to the server on a thread of its own, which never holds the GIL. Ends when dropped.
pub(crate) struct Feed {
    _open: Sender<()>,
}

impl Feed {
    pub(crate) fn start(
        engine: &engine::Engine,
        api: Arc<Api>,
        server: Arc<Server>,
    ) -> std::io::Result<Self> {
        let (open, closed) = bounded(0);
        let news = engine.subscribe();
        thread::Builder::new()
            .name("rpc-feed".to_owned())
            .spawn(move || pass_on(&news, &closed, &api, &server))?;
        Ok(Self { _open: open })
    }
}

fn pass_on(news: &Receiver<EngineEvent>, closed: &Receiver<()>, api: &Arc<Api>, server: &Server) {
    loop {
        select! {
            recv(news) -> event => match event {
                Ok(EngineEvent::NewHead(block)) => publish_head(api, server, &block),
                Ok(EngineEvent::PendingTransactions(transactions)) => publish_pending(api, server, transactions),
                Err(_) => return,
            },
            recv(closed) -> _ => return,
        }
    }
}

/// The block is visible already, so who subscribes while this runs is told of later ones only.
fn publish_head(api: &Api, server: &Server, block: &StoredBlock) {
    let interest = server.interest();
    if !interest.heads && !interest.logs && !interest.receipts {
        return;
    }
    // Plain fields into JSON: an error would be a fault of the serializer.
    let Ok(header) = api.header_json(block) else {
        return;
    };
    let logs = if interest.logs {
        api.logs(block)
    } else {
        Vec::new()
    };
    let receipts = if interest.receipts {
        api.receipts_json(block).unwrap_or_default()
    } else {
        Vec::new()
    };
    let receipts = receipts
        .into_iter()
        .map(|(transaction, json)| Receipt { transaction, json })
        .collect();
    let (number, hash) = (block.block.header.number, block.block.hash);
    server.publish(Event::Head(Arc::new(Head {
        number,
        hash,
        header,
        logs,
        receipts,
    })));
}

fn publish_pending(api: &Arc<Api>, server: &Server, transactions: Vec<Arc<PooledTransaction>>) {
    if !server.interest().pending {
        return;
    }
    let hashes = transactions
        .iter()
        .map(|transaction| transaction.hash)
        .collect();
    let api = Arc::clone(api);
    let full = move || {
        transactions
            .iter()
            .filter_map(|one| api.pending_transaction_json(one).ok())
            .collect()
    };
    server.publish(Event::Pending(Arc::new(Pending {
        hashes,
        full: Box::new(full),
    })));
}
