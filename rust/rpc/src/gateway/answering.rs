//! The side that answers the server's callers: a little by itself, the rest by nodes.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use crate::address::group;
use crate::methods::{Answer, Cost, Forwarded, Methods, Outside};
use crate::own::own_declarations;
use openrpc::Declaration;
use parking_lot::Mutex;
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::Semaphore;

use super::blocks::{is_heavy, place, quantity, resolve};
use super::routing::{Asked, Network};
use super::sending;

/// Answered here, at once: what they say is known, and the same for all callers.
const KNOWN: [&str; 4] = [
    "eth_chainId",
    "eth_blockNumber",
    "eth_accounts",
    "eth_syncing",
];
/// Of what the server could answer by itself, what nodes know better.
const OF_NODES: [&str; 2] = ["eth_sendRawTransactionSync", "net_peerCount"];

/// Costly calls of one client that wait for nodes, as a node has it for an address.
const HEAVY_OF_CLIENT_MAX: usize = 64;

/// Costly calls that wait, by client.
#[derive(Default)]
struct Waiting(Mutex<HashMap<IpAddr, usize>>);

/// One of them.
struct Entered {
    waiting: Arc<Waiting>,
    client: IpAddr,
}

impl Waiting {
    /// `None` when the client has as many as it may.
    fn enter(self: &Arc<Self>, client: IpAddr) -> Option<Entered> {
        let client = group(client);
        let mut waiting = self.0.lock();
        let own = waiting.entry(client).or_insert(0);
        if *own >= HEAVY_OF_CLIENT_MAX {
            return None;
        }
        *own += 1;
        Some(Entered {
            waiting: Arc::clone(self),
            client,
        })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut waiting = self.waiting.0.lock();
        if let Some(own) = waiting.get_mut(&self.client) {
            *own -= 1;
            if *own == 0 {
                waiting.remove(&self.client);
            }
        }
    }
}

/// Answers what nodes are not asked.
pub(crate) struct Known {
    network: Arc<Network>,
    declarations: Vec<Declaration>,
}

/// Passes calls on to nodes.
pub(crate) struct Nodes {
    network: Arc<Network>,
    declarations: Vec<Declaration>,
    places: Arc<Semaphore>,
    log_blocks_max: u64,
    copies_of_writes: usize,
    senders: Arc<Semaphore>,
    heavy: Arc<Waiting>,
}

impl Known {
    pub(crate) fn new(network: Arc<Network>, declared: &[Declaration]) -> Self {
        let declarations = KNOWN.iter().map(|name| declaration(name, declared));
        Self {
            network,
            declarations: declarations.collect(),
        }
    }
}

impl Methods for Known {
    fn declarations(&self) -> Vec<Declaration> {
        self.declarations.clone()
    }

    fn cost(&self, _: &str) -> Cost {
        Cost::Read
    }

    fn head(&self) -> u64 {
        self.network.chain.visible()
    }

    fn call(&self, method: &str, _: Option<&RawValue>) -> Answer {
        match method {
            "eth_chainId" => Ok(quantity(self.network.chain_id)),
            // No accounts of nodes are anybody's here.
            "eth_accounts" => Ok(to_raw_value::<[u8; 0]>(&[]).unwrap_or_default()),
            _ if !self.network.is_available() => Err(self.network.unavailable()),
            "eth_blockNumber" => Ok(quantity(self.network.chain.visible())),
            _ => Ok(RawValue::FALSE.to_owned()),
        }
    }
}

impl Nodes {
    pub(crate) fn new(
        network: Arc<Network>,
        declared: &[Declaration],
        served: &BTreeSet<String>,
        (calls_max, copies_of_writes, log_blocks_max): (usize, usize, u64),
    ) -> Self {
        let own: BTreeSet<String> = own_declarations()
            .map(|one| one.name.into_owned())
            .filter(|name| !OF_NODES.contains(&&**name))
            .chain(KNOWN.map(str::to_owned))
            .collect();
        let declarations = served
            .iter()
            .filter(|name| !own.contains(*name))
            .map(|name| declaration(name, declared));
        Self {
            network,
            declarations: declarations.collect(),
            places: Arc::new(Semaphore::new(calls_max)),
            log_blocks_max,
            copies_of_writes,
            senders: Arc::new(Semaphore::new(sending::WAITING_MAX)),
            heavy: Arc::default(),
        }
    }
}

impl Outside for Nodes {
    fn declarations(&self) -> Vec<Declaration> {
        self.declarations.clone()
    }

    /// Runs on a thread of the server, whose runtime the call belongs to.
    fn forward(&self, request: Forwarded) -> Result<(), Forwarded> {
        let waits_for_block = request.method == sending::SEND_AND_WAIT;
        let places = if waits_for_block {
            &self.senders
        } else {
            &self.places
        };
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            return Err(request);
        };
        let entered = if request.is_limited && is_heavy(&request.method) {
            match self.heavy.enter(request.peer) {
                Some(entered) => Some(entered),
                None => return Err(request),
            }
        } else {
            None
        };
        let network = Arc::clone(&self.network);
        let (log_blocks_max, copies) = (self.log_blocks_max, self.copies_of_writes);
        tokio::spawn(async move {
            let (_place, _entered) = (place, entered);
            match &*request.method {
                sending::SEND => sending::send(&network, request, copies).await,
                sending::SEND_AND_WAIT => sending::send_and_wait(&network, request, copies).await,
                _ => read(&network, request, log_blocks_max).await,
            }
        });
        Ok(())
    }
}

/// Answers for as long as somebody waits.
async fn read(network: &Network, request: Forwarded, log_blocks_max: u64) {
    let Forwarded {
        method,
        params,
        peer,
        mut reply,
        ..
    } = request;
    let answer = tokio::select! {
        answer = answer(network, &method, params.as_deref(), peer, log_blocks_max) => answer,
        () = reply.abandoned() => return,
    };
    reply.send(answer);
}

async fn answer(
    network: &Network,
    method: &str,
    params: Option<&RawValue>,
    client: IpAddr,
    log_blocks_max: u64,
) -> Answer {
    let visible = network.chain.visible();
    let resolved = resolve(
        place(method),
        params,
        visible,
        network.oldest(),
        log_blocks_max,
    )?;
    network
        .ask(Asked {
            method,
            params: resolved.params.as_deref(),
            at_least: resolved.at_least,
            is_heavy: is_heavy(method),
            of: resolved.is_pending.then_some(client),
        })
        .await
}

fn declaration(name: &str, declared: &[Declaration]) -> Declaration {
    let known = declared.iter().find(|one| one.name == name);
    known.cloned().unwrap_or_else(|| Declaration {
        name: name.to_owned().into(),
        signature: "() -> Any".into(),
        summary: "As the nodes answer it.".into(),
    })
}
