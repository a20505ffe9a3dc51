//! `eth_sendRawTransactionSync` (EIP-7966): a transaction is handed over, and its caller waits until a block has it.
//!
//! Nobody polls: whoever waits is woken when a block is told, and looks for the receipt then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::error::{INVALID_PARAMS, LIMIT_EXCEEDED, RpcError};
use crate::lanes::call_guarded;
use crate::methods::{Answer, Methods};
use crate::response::{Made, Room};

/// The methods this one is made of.
pub(crate) const SEND: &str = "eth_sendRawTransaction";
const RECEIPT: &str = "eth_getTransactionReceipt";
/// EIP-7966: the transaction is in the pool, and in no block yet.
const NOT_INCLUDED_IN_TIME: i32 = 4;
/// How long a caller waits who does not say how long, and at most (geth: 20 s, 1 min): longer than a slot of any chain that
/// callers know, and no longer than one of `WAITING_MAX` places may be held.
const WAIT_DEFAULT: Duration = Duration::from_secs(20);
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Callers that wait at once. Each costs a task and a look for its receipt at every block.
const WAITING_MAX: usize = 1_024;

/// Those who wait for a block.
#[derive(Debug)]
pub(crate) struct Senders {
    blocks: watch::Sender<u64>,
    waiting: Arc<AtomicUsize>,
}

/// A place among those who wait.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Default for Senders {
    fn default() -> Self {
        Self {
            blocks: watch::Sender::new(0),
            waiting: Arc::default(),
        }
    }
}

impl Senders {
    /// Whether somebody wants to hear of blocks.
    pub(crate) fn any(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }

    /// Wakes those who wait: a block can be seen.
    pub(crate) fn tell_head(&self, number: u64) {
        self.blocks.send_replace(number);
    }

    /// Waits for the answer to a transaction that was handed over, and then for its receipt.
    pub(crate) fn wait(
        &self,
        methods: Arc<dyn Methods>,
        sent: oneshot::Receiver<Made>,
        wait: Duration,
        room: Arc<Room>,
    ) -> Result<oneshot::Receiver<Made>, RpcError> {
        let place = Place(Arc::clone(&self.waiting));
        // Also the place that is refused below gives itself back.
        if self.waiting.fetch_add(1, Relaxed) >= WAITING_MAX {
            drop(place);
            return Err(RpcError::new(
                LIMIT_EXCEEDED,
                "too many callers wait for their transactions, try again later",
            ));
        }
        let (mut reply, answer) = oneshot::channel();
        let blocks = self.blocks.subscribe();
        tokio::spawn(async move {
            let _place = place;
            tokio::select! {
                answer = receipt(&*methods, sent, blocks, wait) => drop(reply.send(Made::new(answer, &room))),
                () = reply.closed() => {}
            }
        });
        Ok(answer)
    }
}

async fn receipt(
    methods: &dyn Methods,
    sent: oneshot::Receiver<Made>,
    mut blocks: watch::Receiver<u64>,
    wait: Duration,
) -> Answer {
    // The caller's time is for the block. Until the pool has answered nobody could say what became of the transaction.
    let hash = sent.await.map_err(|_| RpcError::internal())?.answer?;
    let deadline = Instant::now() + wait;
    let params = RawValue::from_string(format!("[{}]", hash.get()));
    let params = params.map_err(|_| RpcError::internal())?;
    loop {
        let found = call_guarded(methods, RECEIPT, Some(&params))?;
        if found.get() != "null" {
            return Ok(found);
        }
        // The server keeps the sender for as long as anybody can wait.
        if !matches!(timeout_at(deadline, blocks.changed()).await, Ok(Ok(()))) {
            return Err(not_included_in_time(hash, wait));
        }
    }
}

/// What its sender is told of a transaction that is in the pool, and in no block yet.
pub(crate) fn not_included_in_time(hash: Box<RawValue>, wait: Duration) -> RpcError {
    RpcError {
        code: NOT_INCLUDED_IN_TIME,
        message: format!(
            "the transaction was added to the pool, and no block had it within {} s",
            wait.as_secs_f64()
        ),
        data: Some(hash),
    }
}

/// The parameters: the transaction, and for how many milliseconds to wait.
pub(crate) fn parse(params: Option<&RawValue>) -> Result<(Box<RawValue>, Duration), RpcError> {
    let wrong = |what: &str| RpcError::new(INVALID_PARAMS, what);
    let text = params.map_or("[]", RawValue::get);
    let params: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|_| wrong("parameters are not an array"))?;
    let (transaction, limit) = match *params {
        [] => return Err(wrong("missing value for required argument 0")),
        [transaction] => (transaction, None),
        [transaction, limit] => (transaction, Some(limit)),
        _ => return Err(wrong("too many arguments, want at most 2")),
    };
    let wait = match limit.map(RawValue::get) {
        None | Some("null") => WAIT_DEFAULT,
        Some(limit) => {
            let digits = limit.trim_matches('"');
            let milliseconds = match digits.strip_prefix("0x") {
                // The standard library takes a sign too.
                Some(digits) if digits.starts_with('+') => None,
                Some(digits) => u64::from_str_radix(digits, 16).ok(),
                None => limit.parse().ok(),
            };
            let milliseconds = milliseconds
                .ok_or_else(|| wrong("invalid argument 1: expected a number of milliseconds"))?;
            match milliseconds {
                // As geth reads it: no wish.
                0 => WAIT_DEFAULT,
                wished => Duration::from_millis(wished).min(WAIT_MAX),
            }
        }
    };
    let transaction = to_raw_value(&[transaction]).map_err(|_| RpcError::internal())?;
    Ok((transaction, wait))
}

/// Longer than any caller waits: the task answers before.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(70);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_a_number_of_milliseconds_in_either_base() {
        let read = |text: &str| {
            let raw = RawValue::from_string(text.to_owned()).unwrap();
            parse(Some(&raw)).map(|(params, wait)| (params.get().to_owned(), wait.as_millis()))
        };
        let transaction = r#"["0x01"]"#.to_owned();
        for (text, expected) in [
            (r#"["0x01"]"#, Some(20_000)),
            (r#"["0x01", null]"#, Some(20_000)),
            (r#"["0x01", 250]"#, Some(250)),
            (r#"["0x01", "0xfa"]"#, Some(250)),
            (r#"["0x01", 0]"#, Some(20_000)),
            (r#"["0x01", "0x+5"]"#, None),
            (r#"["0x01", 999999999]"#, Some(60_000)),
            (r#"["0x01", -1]"#, None),
            (r#"["0x01", "0xg"]"#, None),
            (r#"["0x01", {}]"#, None),
            (r#"["0x01", 1, 2]"#, None),
            ("[]", None),
            ("{}", None),
        ] {
            let read = read(text);
            match expected {
                Some(wait) => assert_eq!(read.unwrap(), (transaction.clone(), wait), "{text}"),
                None => assert_eq!(read.unwrap_err().code, INVALID_PARAMS, "{text}"),
            }
        }
    }
}
