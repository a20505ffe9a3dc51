//! From a request's bytes to its response's bytes: one call, or a batch in its order.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::dispatch::{Finished, Started};
use super::{Answerer, Caller, Router};
use crate::envelope::{Call, Message, Refusal};
use crate::error::RpcError;
use crate::methods::Cost;
use crate::response::{Made, Refused, Response, length};
use crate::statistics::{Failure, Held, MethodCounters};

/// Calls of one batch that wait for other threads at once: all when they are gathered anyway, few when each takes a
/// place in a queue that others need too.
const BATCH_WRITES_WAITING_MAX: usize = 100;
const BATCH_OTHERS_WAITING_MAX: usize = 8;
/// Calls of a batch that are answered in one go before other connections get their turn.
const BATCH_READS_TOGETHER: usize = 8;

impl Router {
    /// Answers a body. `None` when it holds notifications only.
    pub(crate) async fn answer(&self, caller: &Caller<'_>, body: &[u8]) -> Option<Response> {
        let _held = Held::new(&self.counters.in_flight);
        match Message::decode(body, self.limits.batch_items_max) {
            Message::Single(item) => {
                let mut out = Response::default();
                self.answer_one(caller, item, &mut out).await;
                (!out.is_empty()).then_some(out)
            }
            Message::Batch(items) => {
                self.counters.batches.record(items.len());
                let mut out = Response::default();
                out.push(b'[');
                // What waits for the others of a batch would be too much for its response anyway.
                let share = caller.share.of_response(self.limits.response_bytes_max);
                let caller = Caller {
                    share: &share,
                    ..*caller
                };
                self.answer_batch(&caller, items, &mut out).await;
                let answered = out.len() > 1;
                out.push(b']');
                answered.then_some(out)
            }
        }
    }

    async fn answer_one(
        &self,
        caller: &Caller<'_>,
        item: Result<Call<'_>, Refusal<'_>>,
        out: &mut Response,
    ) {
        let call = match item {
            Ok(call) => call,
            Err(refusal) => return self.refuse(caller, &refusal, out),
        };
        let begun = Instant::now();
        let (counters, started) = self.start(caller, &call, begun);
        let finished = started.finish().await;
        self.conclude(caller, counters, begun, call.id, finished, out);
    }

    /// Answers in the order of the requests, as if one after the other: what has to wait waits together with its
    /// neighbours of the same kind, and everything before a request of another kind is answered first.
    async fn answer_batch(
        &self,
        caller: &Caller<'_>,
        items: Vec<Result<Call<'_>, Refusal<'_>>>,
        out: &mut Response,
    ) {
        let mut waiting: Vec<(&MethodCounters, Instant, Option<&str>, Started)> = Vec::new();
        let mut waiting_for = None;
        for (index, item) in items.iter().enumerate() {
            let kind = item
                .as_ref()
                .ok()
                .and_then(|call| self.routes.get(&*call.method))
                .map(|route| route.answerer);
            let waiting_max = match kind {
                Some(Answerer::Methods(Cost::Write)) => BATCH_WRITES_WAITING_MAX,
                _ => BATCH_OTHERS_WAITING_MAX,
            };
            if kind != waiting_for || waiting.len() >= waiting_max {
                self.settle(caller, &mut waiting, out).await;
                waiting_for = kind;
            }
            match item {
                Err(refusal) => {
                    separate(out);
                    self.refuse(caller, refusal, out);
                }
                Ok(call) => {
                    let begun = Instant::now();
                    let (counters, started) = self.start(caller, call, begun);
                    waiting.push((counters, begun, call.id, started));
                    if waiting.iter().any(|(.., started)| !started.is_waiting()) {
                        self.settle(caller, &mut waiting, out).await;
                    }
                }
            }
            if index % BATCH_READS_TOGETHER == BATCH_READS_TOGETHER - 1 {
                tokio::task::yield_now().await;
            }
        }
        self.settle(caller, &mut waiting, out).await;
    }

    async fn settle(
        &self,
        caller: &Caller<'_>,
        waiting: &mut Vec<(&MethodCounters, Instant, Option<&str>, Started)>,
        out: &mut Response,
    ) {
        for (counters, begun, id, started) in waiting.drain(..) {
            let finished = started.finish().await;
            if id.is_some() {
                separate(out);
            }
            self.conclude(caller, counters, begun, id, finished, out);
        }
    }

    fn refuse(&self, caller: &Caller<'_>, refusal: &Refusal<'_>, out: &mut Response) {
        let failed = Some((Failure::Error, refusal.error.code));
        self.unknown
            .record(caller.transport(), Duration::ZERO, failed);
        let answer = Made::free(Err(refusal.error.clone()));
        if out
            .append(refusal.id, answer, &caller.share.answers)
            .is_err()
        {
            out.append_refusal(refusal.id, refusal.error.clone());
        }
        out.record(failed, None);
    }

    /// Counts an answer and writes it, or an error in its place when the response would become too large.
    fn conclude(
        &self,
        caller: &Caller<'_>,
        counters: &MethodCounters,
        begun: Instant,
        id: Option<&str>,
        (mut made, failure): Finished,
        out: &mut Response,
    ) {
        // An error counts too: what a contract reverts with is its caller's choice.
        if out.len() + length(&made.answer) > self.limits.response_bytes_max {
            made = Made::free(Err(RpcError::response_too_large()));
        }
        let refused = made.refused;
        if refused == Some(Refused::NoRoom) {
            self.counters.shed.fetch_add(1, Relaxed);
        }
        let mut failed = made
            .answer
            .as_ref()
            .err()
            .map(|error| (failure.unwrap_or(Failure::Error), error.code));
        if let Some(id) = id
            && let Err(refused) = out.append(id, made, &caller.share.answers)
        {
            self.counters.shed.fetch_add(1, Relaxed);
            failed = Some((Failure::Limited, refused.code));
            out.append_refusal(id, refused);
        }
        out.record(failed, refused);
        counters.record(caller.transport(), begun.elapsed(), failed);
    }
}

/// A comma between the objects of a batch.
fn separate(out: &mut Response) {
    if out.len() > 1 {
        out.push(b',');
    }
}
