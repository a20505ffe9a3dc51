//! One sequence of blocks made of what all nodes tell: each block once, in order, each the child of the one before.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::error::RpcError;
use crate::event::{Event, Head, Receipt};
use alloy_primitives::B256;
use alloy_rpc_types_eth::Log;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::link::{Link, Lost};
use super::node::{ask, block};
use super::routing::Network;

/// News of nodes that waits to be looked at. What finds no place is found missing later, and fetched.
const CANDIDATES_MAX: usize = 1_024;
/// Blocks that are fetched when they were missed; after a longer silence subscribers begin anew: half an hour of blocks.
const MISSED_MAX: u64 = 1_024;
/// Rounds over all nodes for something that one of them must have, and the pause between them.
const ROUNDS: u32 = 20;
const ROUND_PAUSE: Duration = Duration::from_millis(100);
/// An answer may show a block that its node has not told of yet; further ahead nothing is believed.
const AHEAD_MAX: u64 = 2;
/// Of a block, what a header has not.
const NOT_OF_HEADERS: [&str; 5] = [
    "transactions",
    "uncles",
    "withdrawals",
    "size",
    "totalDifficulty",
];

/// A block's header as a node told it.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) number: u64,
    pub(crate) hash: B256,
    parent: B256,
    has_logs: bool,
    json: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow)]
    number: Cow<'a, str>,
    hash: B256,
    parent_hash: B256,
    #[serde(borrow, default)]
    logs_bloom: Option<Cow<'a, str>>,
}

impl Header {
    /// Reads what `newHeads` tells.
    pub(crate) fn read(json: &RawValue) -> Option<Self> {
        let fields: Fields<'_> = serde_json::from_str(json.get()).ok()?;
        let number = u64::from_str_radix(fields.number.strip_prefix("0x")?, 16).ok()?;
        let is_empty = |bloom: Cow<'_, str>| {
            bloom
                .trim_start_matches("0x")
                .bytes()
                .all(|digit| digit == b'0')
        };
        Some(Self {
            number,
            hash: fields.hash,
            parent: fields.parent_hash,
            has_logs: !fields.logs_bloom.is_some_and(is_empty),
            json: json.to_owned(),
        })
    }

    /// Reads a block as `eth_getBlockByNumber` gives it.
    pub(crate) fn of_block(json: &RawValue) -> Option<Self> {
        let mut fields: BTreeMap<Cow<'_, str>, &RawValue> =
            serde_json::from_str(json.get()).ok()?;
        for name in NOT_OF_HEADERS {
            fields.remove(name);
        }
        Self::read(&to_raw_value(&fields).ok()?)
    }
}

/// A node's word that there is a block.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) node: usize,
    pub(crate) header: Header,
}

/// What callers see of the chain.
pub(crate) struct Chain {
    /// The newest block that anybody was shown, or may be shown.
    visible: AtomicU64,
    candidates: mpsc::Sender<Candidate>,
    pub(crate) counters: ChainCounters,
}

#[derive(Default)]
pub(crate) struct ChainCounters {
    pub(crate) blocks: AtomicU64,
    /// Fetched, because no node told of them.
    pub(crate) fetched: AtomicU64,
    /// Not told, after a long silence.
    pub(crate) skipped: AtomicU64,
    /// Blocks whose logs or receipts no node gave, though somebody wanted them.
    pub(crate) without_logs: AtomicU64,
}

impl Chain {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Candidate>) {
        let (candidates, proposed) = mpsc::channel(CANDIDATES_MAX);
        let chain = Self {
            visible: AtomicU64::new(0),
            candidates,
            counters: ChainCounters::default(),
        };
        (chain, proposed)
    }

    /// The newest block that callers see; never less than it was.
    pub(crate) fn visible(&self) -> u64 {
        self.visible.load(Relaxed)
    }

    /// An answer showed this block. False for one that cannot be believed.
    pub(crate) fn show(&self, number: u64) -> bool {
        let is_near = number <= self.visible().saturating_add(AHEAD_MAX);
        if is_near {
            self.visible.fetch_max(number, Relaxed);
        }
        is_near
    }

    /// Never waits.
    pub(crate) fn propose(&self, candidate: Candidate) {
        let _ = self.candidates.try_send(candidate);
    }
}

/// Makes one sequence of what nodes propose, for as long as the gateway runs.
pub(crate) async fn follow(network: Arc<Network>, mut proposed: mpsc::Receiver<Candidate>) {
    let mut head = None;
    while let Some(Candidate { node, header }) = proposed.recv().await {
        advance(&network, &mut head, node, header).await;
    }
}

/// The last block of the sequence.
type Last = Option<(u64, B256)>;

async fn advance(network: &Network, last: &mut Last, node: usize, header: Header) {
    let Some((number, hash)) = *last else {
        return take(network, last, header).await;
    };
    if header.number <= number {
        if header.number == number && header.hash != hash {
            network.nodes[node].disagree();
        }
        return;
    }
    let missed = header.number - number - 1;
    if missed > MISSED_MAX {
        if !network.is_believable(header.number, MISSED_MAX) {
            return network.nodes[node].disagree();
        }
        network.chain.counters.skipped.fetch_add(missed, Relaxed);
        return take(network, last, header).await;
    }
    for number in number + 1..header.number {
        let Some(between) = fetch(network, node, number).await else {
            return;
        };
        network.chain.counters.fetched.fetch_add(1, Relaxed);
        if !is_next(*last, &between) {
            return network.nodes[node].disagree();
        }
        take(network, last, between).await;
    }
    if is_next(*last, &header) {
        take(network, last, header).await;
    } else {
        network.nodes[node].disagree();
    }
}

fn is_next(last: Last, header: &Header) -> bool {
    last.is_some_and(|(number, hash)| header.number == number + 1 && header.parent == hash)
}

/// Shows a block to readers, and then tells subscribers: who subscribes in between is told of later ones.
async fn take(network: &Network, last: &mut Last, header: Header) {
    *last = Some((header.number, header.hash));
    network.chain.counters.blocks.fetch_add(1, Relaxed);
    network.chain.visible.fetch_max(header.number, Relaxed);
    network.tell_changed();
    let Some(server) = network.server() else {
        return;
    };
    let interest = server.interest();
    if !interest.heads && !interest.logs && !interest.receipts {
        return;
    }
    let logs = if interest.logs && header.has_logs {
        of_any(network, &header, logs_of).await
    } else {
        Vec::new()
    };
    let receipts = if interest.receipts {
        of_any(network, &header, receipts_of).await
    } else {
        Vec::new()
    };
    server.publish(Event::Head(Arc::new(Head {
        number: header.number,
        hash: header.hash,
        header: header.json,
        logs,
        receipts,
    })));
}

/// A block that nobody told of, from the node that told of a later one, or else from another.
async fn fetch(network: &Network, first: usize, number: u64) -> Option<Header> {
    for round in 0..ROUNDS {
        let others = network.nodes.iter().filter(|node| node.index != first);
        for node in std::iter::once(&network.nodes[first]).chain(others) {
            let Some(links) = node.links().filter(|_| node.head() >= number) else {
                continue;
            };
            let Some(link) = links.choose(false) else {
                continue;
            };
            let quoted = format!("\"0x{number:x}\"");
            let asked = block(link, &quoted);
            if let Ok(Ok(header)) = timeout(network.timing.connect, asked).await {
                return Some(header);
            }
        }
        if round + 1 < ROUNDS {
            sleep(ROUND_PAUSE).await;
        }
    }
    None
}

/// The logs of a block; from its receipts when they are more than one answer of `eth_getLogs` may have.
async fn logs_of(link: &Link, hash: B256) -> Result<Result<Vec<Log>, RpcError>, Lost> {
    #[derive(Deserialize)]
    struct Receipt {
        logs: Vec<Log>,
    }
    let by_hash = format!("[{{\"blockHash\":\"{hash}\"}}]");
    let found = ask(link, "eth_getLogs", &by_hash).await?;
    if found.is_ok() {
        return Ok(found);
    }
    let params = format!("[\"{hash}\"]");
    let receipts: Result<Vec<Receipt>, RpcError> =
        ask(link, "eth_getBlockReceipts", &params).await?;
    Ok(receipts.map(|receipts| receipts.into_iter().flat_map(|one| one.logs).collect()))
}

/// The receipts of a block's transactions.
async fn receipts_of(link: &Link, hash: B256) -> Result<Result<Vec<Receipt>, RpcError>, Lost> {
    let params = format!("[\"{hash}\"]");
    let found: Result<Vec<Box<RawValue>>, RpcError> =
        ask(link, "eth_getBlockReceipts", &params).await?;
    let found = match found {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    let receipts: Option<Vec<Receipt>> = found.into_iter().map(Receipt::read).collect();
    receipts.map(Ok).ok_or(Lost)
}

/// What belongs to a block, from any node that has the block.
async fn of_any<T>(
    network: &Network,
    header: &Header,
    of: impl AsyncFn(&Link, B256) -> Result<Result<Vec<T>, RpcError>, Lost>,
) -> Vec<T> {
    for _ in 0..ROUNDS {
        let mut is_refused = false;
        for node in &network.nodes {
            let Some(links) = node.links().filter(|_| node.head() >= header.number) else {
                continue;
            };
            let Some(link) = links.choose(true) else {
                continue;
            };
            match timeout(network.timing.connect, of(link, header.hash)).await {
                Ok(Ok(Ok(found))) => return found,
                Ok(Ok(Err(_))) => is_refused = true,
                Ok(Err(Lost)) | Err(_) => {}
            }
        }
        // Others would refuse it as well, and later blocks wait.
        if is_refused {
            break;
        }
        sleep(ROUND_PAUSE).await;
    }
    network.chain.counters.without_logs.fetch_add(1, Relaxed);
    Vec::new()
}
