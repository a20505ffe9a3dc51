//! One node as the gateway sees it: its links, the newest block it has, and whether it can be asked.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::error::RpcError;
use alloy_primitives::B256;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant as Deadline, sleep, timeout};

use super::blocks::parse_quantity;
use super::chain::{Candidate, Header};
use super::config::NodeAddress;
use super::link::{Link, Lost, News, connect};
use super::pending::WANTED_EVERY;
use super::routing::Network;

/// Links for calls that are answered at once, and for those that may take long or have large answers.
const LIGHT_LINKS: usize = 2;
const HEAVY_LINKS: usize = 2;
/// A node that stayed for so long is tried again at once when it goes away.
const STEADY: Duration = Duration::from_secs(10);

/// A node.
pub(crate) struct Node {
    pub(crate) index: usize,
    address: NodeAddress,
    links: Mutex<Option<Arc<Links>>>,
    /// The newest block that it has; 0 while that is not known.
    head: AtomicU64,
    suspended_until: Mutex<Option<Instant>>,
    pub(crate) counters: NodeCounters,
}

#[derive(Default)]
pub(crate) struct NodeCounters {
    pub(crate) calls: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) connections: AtomicU64,
    /// Whether it last told of another chain or block than the others have.
    pub(crate) disagrees: AtomicBool,
}

/// What calls go through.
pub(crate) struct Links {
    light: Vec<Link>,
    heavy: Vec<Link>,
}

impl Links {
    /// The link with the least to do.
    pub(crate) fn choose(&self, is_heavy: bool) -> Option<&Link> {
        let links = if is_heavy { &self.heavy } else { &self.light };
        links.iter().min_by_key(|link| link.in_flight())
    }

    fn in_flight(&self) -> usize {
        let links = self.light.iter().chain(&self.heavy);
        links.map(Link::in_flight).sum()
    }
}

impl Node {
    pub(crate) fn new(index: usize, address: NodeAddress) -> Self {
        Self {
            index,
            address,
            links: Mutex::default(),
            head: AtomicU64::new(0),
            suspended_until: Mutex::default(),
            counters: NodeCounters::default(),
        }
    }

    /// Its links, while it is there.
    pub(crate) fn links(&self) -> Option<Arc<Links>> {
        self.links.lock().clone()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.links.lock().is_some()
    }

    pub(crate) fn head(&self) -> u64 {
        self.head.load(Relaxed)
    }

    /// It was seen to have this block.
    pub(crate) fn has(&self, number: u64) {
        self.head.fetch_max(number, Relaxed);
    }

    /// What it told of blocks is not what others have: it is asked nothing until it tells something better.
    pub(crate) fn disagree(&self) {
        self.head.store(0, Relaxed);
        self.counters.disagrees.store(true, Relaxed);
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.links
            .lock()
            .as_ref()
            .map_or(0, |links| links.in_flight())
    }

    /// It did not answer in time: others are asked first for a while.
    pub(crate) fn suspend(&self, time: Duration) {
        *self.suspended_until.lock() = Some(Instant::now() + time);
    }

    pub(crate) fn is_suspended(&self) -> bool {
        let until = *self.suspended_until.lock();
        until.is_some_and(|until| Instant::now() < until)
    }
}

/// Keeps a node connected for as long as the gateway runs.
pub(crate) async fn keep(network: Arc<Network>, index: usize) {
    let node = &network.nodes[index];
    let (first, most) = network.timing.reconnect;
    let mut pause = first;
    loop {
        let since = Deadline::now();
        // Whatever the reason, it is tried again; the counters say how often.
        let _ = serve(&network, node).await;
        *node.links.lock() = None;
        node.head.store(0, Relaxed);
        network.tell_changed();
        pause = if since.elapsed() > STEADY {
            first
        } else {
            (2 * pause).min(most)
        };
        sleep(pause).await;
    }
}

/// Connects a node and follows it until one of its links ends.
async fn serve(network: &Arc<Network>, node: &Node) -> Result<(), Lost> {
    let mut running = JoinSet::new();
    let (control, run, news) = connect(&node.address, &network.timing).await?;
    running.spawn(run.run());
    let mut links = Vec::new();
    for _ in 0..LIGHT_LINKS + HEAVY_LINKS {
        let (link, run, _) = connect(&node.address, &network.timing).await?;
        running.spawn(run.run());
        links.push(link);
    }
    let heavy = links.split_off(LIGHT_LINKS);
    let links = Links {
        light: links,
        heavy,
    };
    tokio::select! {
        followed = follow(network, node, &control, links, news) => followed,
        _ = running.join_next() => Err(Lost),
    }
}

async fn follow(
    network: &Arc<Network>,
    node: &Node,
    control: &Link,
    links: Links,
    mut news: mpsc::Receiver<News>,
) -> Result<(), Lost> {
    let greeting = timeout(network.timing.connect, greet(network, node, control));
    let (heads, newest) = greeting.await.map_err(|_| Lost)??;
    node.counters.connections.fetch_add(1, Relaxed);
    node.counters.disagrees.store(false, Relaxed);
    node.has(newest.number);
    *node.links.lock() = Some(Arc::new(links));
    network.tell_changed();
    network.chain.propose(Candidate {
        node: node.index,
        header: newest,
    });
    let mut pending_id: Option<String> = None;
    let mut looked = tokio::time::interval(WANTED_EVERY);
    loop {
        tokio::select! {
            told = news.recv() => {
                let told = told.ok_or(Lost)?;
                if told.subscription == heads {
                    let header = Header::read(&told.result).ok_or(Lost)?;
                    node.has(header.number);
                    network.tell_changed();
                    network.chain.propose(Candidate { node: node.index, header });
                } else if pending_id.as_ref() == Some(&told.subscription) {
                    network.pending.tell(network, told.result);
                }
            }
            _ = looked.tick() => {
                let is_wanted = network.is_source_of_pending(node.index);
                match (&pending_id, is_wanted) {
                    (None, true) => {
                        pending_id = ask(control, "eth_subscribe", r#"["newPendingTransactions",true]"#).await?.ok();
                        if pending_id.is_none() {
                            // It does not tell of them; others are not asked either, for it is the first.
                            looked.reset_after(network.timing.silence);
                        }
                    }
                    (Some(id), false) => {
                        let params = format!("[\"{id}\"]");
                        let _ended: Result<bool, _> = ask(control, "eth_unsubscribe", &params).await?;
                        pending_id = None;
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Asks a node who it is; gives the id of its subscription, and its newest block.
async fn greet(network: &Network, node: &Node, control: &Link) -> Result<(String, Header), Lost> {
    let chain_id: String = ask(control, "eth_chainId", "[]").await?.map_err(|_| Lost)?;
    let first = block(control, "\"0x0\"").await?;
    let is_ours = parse_quantity(&format!("\"{chain_id}\"")) == Some(network.chain_id)
        && network.is_genesis(first.hash);
    if !is_ours {
        node.disagree();
        // Asked again when its time for this is over, not at once.
        return pending::<Result<_, Lost>>().await;
    }
    let heads = ask(control, "eth_subscribe", r#"["newHeads"]"#).await?;
    let heads: String = heads.map_err(|_| Lost)?;
    let newest = block(control, "\"latest\"").await?;
    Ok((heads, newest))
}

/// The header of a block of this node.
pub(crate) async fn block(link: &Link, number: &str) -> Result<Header, Lost> {
    let params = format!("[{number},false]");
    let found: Box<RawValue> = ask(link, "eth_getBlockByNumber", &params)
        .await?
        .map_err(|_| Lost)?;
    Header::of_block(&found).ok_or(Lost)
}

/// Asks for something of a known shape; `Lost` too when the answer has another.
pub(crate) async fn ask<T: DeserializeOwned>(
    link: &Link,
    method: &str,
    params: &str,
) -> Result<Result<T, RpcError>, Lost> {
    let params = RawValue::from_string(params.to_owned()).map_err(|_| Lost)?;
    match link.call(method, Some(&params)).await? {
        Ok(result) => serde_json::from_str(result.get()).map(Ok).map_err(|_| Lost),
        Err(error) => Ok(Err(error)),
    }
}

/// The first genesis that was seen is the network's.
#[derive(Debug, Default)]
pub(crate) struct Genesis(Mutex<Option<B256>>);

impl Genesis {
    pub(crate) fn is(&self, hash: B256) -> bool {
        *self.0.lock().get_or_insert(hash) == hash
    }
}
