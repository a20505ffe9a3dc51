//! Transactions on their way to nodes: to one that answers, and copies to others, so that no single node can lose them.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::error::RpcError;
use crate::methods::{Answer, Forwarded};
use crate::sending::{not_included_in_time, parse as parse_send_sync};
use alloy_primitives::Address;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::routing::{Asked, Attempt, Network};
use super::submitted::Submitted;

pub(crate) const SEND: &str = "eth_sendRawTransaction";
pub(crate) const SEND_AND_WAIT: &str = "eth_sendRawTransactionSync";
const RECEIPT: &str = "eth_getTransactionReceipt";
const TRANSACTION: &str = "eth_getTransactionByHash";
/// Callers that wait for their transaction's block at once.
pub(crate) const WAITING_MAX: usize = 1_024;
/// As callers read it that something was over it.
const SENDER_RATE: &str = "transaction rate limit of the sender";
/// What nodes say of a transaction that they have: Metanode, geth, reth and Besu.
const KNOWN: [&str; 3] = ["already known", "already imported", "known transaction"];

/// Answers a caller that sends a transaction. It goes its way also when its caller has gone meanwhile.
pub(crate) async fn send(network: &Arc<Network>, request: Forwarded, copies: usize) {
    let sent = hand_over(network, &request, request.params.as_deref(), copies).await;
    reply(request, sent);
}

/// Sends, and waits until a block has it (EIP-7966), for as long as the caller does.
pub(crate) async fn send_and_wait(network: &Arc<Network>, mut request: Forwarded, copies: usize) {
    let (transaction, wait) = match parse_send_sync(request.params.as_deref()) {
        Ok(parsed) => parsed,
        Err(error) => return request.reply.send(Err(error)),
    };
    let deadline = Instant::now() + wait;
    let changes = network.changes();
    let mut sent = hand_over(network, &request, Some(&transaction), copies).await;
    if let Ok(Ok(hash)) = sent {
        tokio::select! {
            found = receipt(network, &hash, changes, deadline) => {
                sent = Ok(found.ok_or_else(|| not_included_in_time(hash, wait)));
            }
            () = request.reply.abandoned() => return,
        }
    }
    reply(request, sent);
}

/// What became of a transaction; the error is in how many seconds its sender may send one.
type Sent = Result<Answer, u64>;

fn reply(request: Forwarded, sent: Sent) {
    match sent {
        Ok(answer) => request.reply.send(answer),
        Err(retry_after_s) => request.reply.send_too_early(SENDER_RATE, retry_after_s),
    }
}

/// Hands a transaction to nodes, if its sender may send one now.
async fn hand_over(
    network: &Arc<Network>,
    request: &Forwarded,
    params: Option<&RawValue>,
    copies: usize,
) -> Sent {
    let submitted = match Submitted::read(params) {
        Ok(submitted) => submitted,
        Err(error) => return Ok(Err(error)),
    };
    let rates = &network.sender_rates;
    let sender = if request.is_limited && rates.are_limited() {
        match submitted.signer() {
            Ok(sender) => Some(sender),
            // No node is asked: one that found a signer would take what is counted for nobody.
            Err(error) => return Ok(Err(error)),
        }
    } else {
        None
    };
    if let Some(sender) = sender {
        rates.allow(sender, Instant::now().into_std())?;
    }
    Ok(pass_on(network, &submitted, request.peer, sender, copies).await)
}

/// Hands a transaction to a node, to another one if that does not answer, and copies of what was taken to more.
///
/// That a node has it already is what its sender wanted.
async fn pass_on(
    network: &Arc<Network>,
    submitted: &Submitted,
    client: IpAddr,
    sender: Option<Address>,
    copies: usize,
) -> Answer {
    let asked = Asked {
        method: SEND,
        params: Some(&submitted.params),
        at_least: 0,
        is_heavy: false,
        of: None,
    };
    let begun = Instant::now();
    let deadline = begun + network.timing.call;
    let nodes = network.for_writes(client);
    if nodes.is_empty() {
        return Err(network.unavailable());
    }
    let mut is_again = false;
    for (tried, (node, links)) in nodes.iter().take(2).enumerate() {
        let until = if tried == 0 {
            deadline.min(begun + network.timing.first_attempt)
        } else {
            network.counters.retries.fetch_add(1, Relaxed);
            deadline
        };
        match network.ask_node(node, links, asked, until).await {
            Attempt::Answered(taken_by, answer) => {
                let is_taken = answer.is_ok();
                let answer = settle(network, submitted, answer, is_again).await;
                // What a node has already counts for nobody, but when the first one may have taken it just now.
                if (is_taken || is_again && answer.is_ok())
                    && let Some(sender) = sender
                {
                    let now = Instant::now().into_std();
                    network.sender_rates.count(sender, now);
                }
                if answer.is_ok() {
                    let others = nodes.iter().map(|(node, _)| node.index);
                    let others: Vec<usize> = others
                        .filter(|index| *index != taken_by)
                        .take(copies.saturating_sub(1))
                        .collect();
                    copy(network, submitted, others);
                }
                return answer;
            }
            Attempt::Failed(_) => is_again = true,
            Attempt::NoNode => {}
        }
    }
    network.counters.timed_out.fetch_add(1, Relaxed);
    Err(RpcError::timed_out())
}

/// What a node's refusal means for who sends.
async fn settle(
    network: &Network,
    submitted: &Submitted,
    answer: Answer,
    is_again: bool,
) -> Answer {
    let Err(error) = &answer else { return answer };
    let Some(hash) = submitted.hash() else {
        return answer;
    };
    let text = error.message.to_ascii_lowercase();
    if KNOWN.iter().any(|known| text.contains(known)) {
        return Ok(hash);
    }
    // The node that went away may have taken it, and a block may have it by now.
    if is_again && text.contains("nonce too low") {
        let params = RawValue::from_string(format!("[{}]", hash.get())).ok();
        let found = network
            .ask(Asked {
                method: TRANSACTION,
                params: params.as_deref(),
                at_least: network.chain.visible(),
                is_heavy: false,
                of: None,
            })
            .await;
        if found.is_ok_and(|found| found.get() != "null") {
            return Ok(hash);
        }
    }
    answer
}

/// Nobody waits for these: they are for the case that the first node is lost with what it took.
fn copy(network: &Arc<Network>, submitted: &Submitted, nodes: Vec<usize>) {
    for index in nodes {
        let network = Arc::clone(network);
        let params = submitted.params.clone();
        tokio::spawn(async move {
            let node = &network.nodes[index];
            let Some(links) = node.links() else { return };
            let asked = Asked {
                method: SEND,
                params: Some(&params),
                at_least: 0,
                is_heavy: false,
                of: None,
            };
            let deadline = Instant::now() + network.timing.first_attempt;
            network.ask_node(node, &links, asked, deadline).await;
        });
    }
}

/// The receipt of a transaction, when a block has it before the deadline.
async fn receipt(
    network: &Network,
    hash: &RawValue,
    mut changes: watch::Receiver<u64>,
    deadline: Instant,
) -> Option<Box<RawValue>> {
    let asked = RawValue::from_string(format!("[{}]", hash.get())).ok();
    let mut looked_at = None;
    loop {
        changes.mark_unchanged();
        let visible = network.chain.visible();
        if looked_at != Some(visible) {
            looked_at = Some(visible);
            let found = network
                .ask(Asked {
                    method: RECEIPT,
                    params: asked.as_deref(),
                    at_least: visible,
                    is_heavy: false,
                    of: None,
                })
                .await;
            // A node that fails now is no answer to whether the transaction got in.
            if let Ok(found) = found
                && found.get() != "null"
            {
                return Some(found);
            }
        }
        if !matches!(timeout_at(deadline, changes.changed()).await, Ok(Ok(()))) {
            return None;
        }
    }
}
