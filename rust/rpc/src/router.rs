//! From a request's bytes to its response's bytes: who may call what, and who answers it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use alloy_primitives::map::{HashMap, HashSet};
use alloy_primitives::{Bytes, keccak256};
use openrpc::{Declaration, Malformed};
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::access::is_offered;
use crate::address::{Client, Share};
use crate::config::{Allowance, ListenerKind};
use crate::connection::Connection;
use crate::criteria::{CriteriaLimits, Topic, parse_criteria};
use crate::envelope::{Call, Message, Refusal, encode_answer};
use crate::error::{LIMIT_EXCEEDED, METHOD_NOT_FOUND, RpcError, brief};
use crate::filters::Filters;
use crate::lanes::{Lanes, call_guarded};
use crate::methods::{Answer, Cost, Forwarded, Methods, Outside, Reply};
use crate::own::{OWN_METHODS, Own};
use crate::response::{Made, Response, length};
use crate::sending::{self, Senders};
use crate::session::Session;
use crate::statistics::{Counters, Failure, Held, MethodCounters, MethodStatistics, Transport};

/// Calls of one batch that wait for other threads at once: all when they are gathered anyway, few when each takes a
/// place in a queue that others need too.
const BATCH_WRITES_WAITING_MAX: usize = 100;
const BATCH_OTHERS_WAITING_MAX: usize = 8;
/// Calls of a batch that are answered in one go before other connections get their turn.
const BATCH_READS_TOGETHER: usize = 8;

/// Who answers a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answerer {
    Own(Own),
    Methods(Cost),
    Outside,
}

/// One method and its counters.
struct Route {
    name: Arc<str>,
    declaration: Declaration,
    answerer: Answerer,
    counters: MethodCounters,
}

/// Facts about the node that change while it runs.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) client_version: String,
    pub(crate) network_id: u64,
    pub(crate) listening: AtomicBool,
    pub(crate) peers: AtomicU64,
    /// Heavy calls are refused while this is set.
    pub(crate) shedding: AtomicBool,
    pub(crate) is_gateway: bool,
    /// The answer of /readyz.
    pub(crate) ready: AtomicBool,
}

/// The limits the router applies.
#[derive(Debug, Clone)]
pub(crate) struct RouterLimits {
    pub(crate) response_bytes_max: usize,
    pub(crate) batch_items_max: usize,
    pub(crate) allowance: Option<Allowance>,
    pub(crate) criteria: CriteriaLimits,
    pub(crate) heavy_timeout: Duration,
    pub(crate) outside_timeout: Duration,
}

/// Answers requests.
pub(crate) struct Router {
    routes: HashMap<Arc<str>, Route>,
    unknown: MethodCounters,
    methods: Arc<dyn Methods>,
    outside: Arc<dyn Outside>,
    lanes: Lanes,
    limits: RouterLimits,
    pub(crate) facts: Facts,
    pub(crate) filters: Filters,
    pub(crate) senders: Senders,
    pub(crate) counters: Counters,
}

/// Who is calling.
pub(crate) struct Caller<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) client: &'a Client,
    /// Only a WebSocket connection can be told anything later.
    pub(crate) session: Option<&'a Session>,
    /// What it may take up.
    pub(crate) share: &'a Share,
}

/// The start of an answer.
enum Started {
    Ready(Answer),
    /// In a lane of ours.
    Waiting(oneshot::Receiver<Made>, Duration),
    /// Outside.
    Forwarded(oneshot::Receiver<Answer>, Duration),
    /// Not tried.
    Refused(RpcError, Failure),
}

/// The end of an answer, and how it failed if it did.
type Finished = (Made, Option<Failure>);

impl Started {
    fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting(..) | Self::Forwarded(..))
    }
}

/// The data of an error that time heals.
#[derive(serde::Serialize)]
struct RetryAfter {
    #[serde(rename = "retryAfterSeconds")]
    seconds: u64,
}

impl Caller<'_> {
    fn transport(&self) -> Transport {
        match self.session {
            Some(_) => Transport::WebSocket,
            None => Transport::Http,
        }
    }
}

impl Router {
    pub(crate) fn new(
        methods: Arc<dyn Methods>,
        outside: Arc<dyn Outside>,
        lanes: Lanes,
        limits: RouterLimits,
        facts: Facts,
        filters: Filters,
    ) -> Self {
        let mut routes = HashMap::default();
        let mut add = |declaration: Declaration, answerer| {
            let name: Arc<str> = (*declaration.name).into();
            routes.insert(
                Arc::clone(&name),
                Route {
                    name,
                    declaration,
                    answerer,
                    counters: MethodCounters::default(),
                },
            );
        };
        for declaration in methods.declarations() {
            let cost = methods.cost(&declaration.name);
            add(declaration, Answerer::Methods(cost));
        }
        for (own, declaration) in OWN_METHODS {
            add(declaration, Answerer::Own(own));
        }
        for declaration in outside.declarations() {
            add(declaration, Answerer::Outside);
        }
        let (unknown, counters) = (MethodCounters::default(), Counters::default());
        Self {
            routes,
            unknown,
            methods,
            outside,
            lanes,
            limits,
            facts,
            filters,
            senders: Senders::default(),
            counters,
        }
    }

    /// What answers the calls that are not the server's own.
    pub(crate) fn methods(&self) -> &dyn Methods {
        &*self.methods
    }

    /// Number of the newest block that readers see.
    pub(crate) fn head(&self) -> u64 {
        self.methods.head()
    }

    pub(crate) fn allowance(&self) -> Option<&Allowance> {
        self.limits.allowance.as_ref()
    }

    /// The methods that a listener of this kind with these namespaces offers.
    pub(crate) fn offered(
        &self,
        kind: ListenerKind,
        namespaces: &[String],
        methods: Option<&BTreeSet<String>>,
    ) -> HashSet<Arc<str>> {
        let is_listed = |name: &str| methods.is_none_or(|listed| listed.contains(name));
        self.routes
            .keys()
            .filter(|name| is_offered(name, kind, namespaces) && is_listed(name))
            .cloned()
            .collect()
    }

    /// The OpenRPC document of these methods.
    pub(crate) fn document(&self, names: &HashSet<Arc<str>>) -> Result<Box<RawValue>, Malformed> {
        let declarations: Vec<Declaration> = names
            .iter()
            .filter_map(|name| self.routes.get(name))
            .map(|route| route.declaration.clone())
            .collect();
        let document = openrpc::document(&declarations)?;
        Ok(to_raw_value(&document).unwrap_or_default())
    }

    pub(crate) fn method_statistics(&self) -> Vec<MethodStatistics> {
        let named = self
            .routes
            .values()
            .map(|route| route.counters.snapshot(&route.name));
        let mut all: Vec<_> = named
            .chain([self.unknown.snapshot("other")])
            .filter(|one| one.requests > 0)
            .collect();
        all.sort_unstable_by(|one, other| one.method.cmp(&other.method));
        all
    }

    /// Answers a body. `None` when it holds notifications only.
    pub(crate) async fn answer(&self, caller: &Caller<'_>, body: &[u8]) -> Option<Response> {
        let _held = Held::new(&self.counters.in_flight);
        match Message::decode(body, self.limits.batch_items_max) {
            Message::Single(item) => {
                let mut out = Response::default();
                self.answer_one(caller, item, &mut out).await;
                (!out.bytes.is_empty()).then_some(out)
            }
            Message::Batch(items) => {
                self.counters.batches.record(items.len());
                let mut out = Response::default();
                out.bytes.push(b'[');
                // What waits for the others of a batch would be too much for its response anyway.
                let share = caller.share.of_response(self.limits.response_bytes_max);
                let caller = Caller {
                    share: &share,
                    ..*caller
                };
                self.answer_batch(&caller, items, &mut out).await;
                let answered = out.bytes.len() > 1;
                out.bytes.push(b']');
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
        let finished = finish(started).await;
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
                    separate(&mut out.bytes);
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
            let finished = finish(started).await;
            if id.is_some() {
                separate(&mut out.bytes);
            }
            self.conclude(caller, counters, begun, id, finished, out);
        }
    }

    fn refuse(&self, caller: &Caller<'_>, refusal: &Refusal<'_>, out: &mut Response) {
        let failed = Some((Failure::Error, refusal.error.code));
        self.unknown
            .record(caller.transport(), Duration::ZERO, failed);
        encode_answer(&mut out.bytes, refusal.id, &Err(refusal.error.clone()));
        out.record(failed);
    }

    /// Counts an answer and writes it, or an error in its place when the response would become too large.
    fn conclude(
        &self,
        caller: &Caller<'_>,
        counters: &MethodCounters,
        begun: Instant,
        id: Option<&str>,
        (mut made, mut failure): Finished,
        out: &mut Response,
    ) {
        // An error counts too: what a contract reverts with is its caller's choice.
        if out.bytes.len() + length(&made.answer) > self.limits.response_bytes_max {
            made = Made::free(Err(RpcError::response_too_large()));
        }
        if let Some(id) = id
            && let Err(refused) = out.append(id, &mut made, &caller.share.answers)
        {
            self.counters.shed.fetch_add(1, Relaxed);
            failure = Some(Failure::Limited);
            made = Made::free(Err(refused));
            encode_answer(&mut out.bytes, id, &made.answer);
        }
        let failed = made
            .answer
            .as_ref()
            .err()
            .map(|error| (failure.unwrap_or(Failure::Error), error.code));
        out.record(failed);
        counters.record(caller.transport(), begun.elapsed(), failed);
    }

    fn start(
        &self,
        caller: &Caller<'_>,
        call: &Call<'_>,
        now: Instant,
    ) -> (&MethodCounters, Started) {
        let allowance = self.limits.allowance.as_ref();
        if let Err(wait_s) = caller.client.address.take(allowance, &call.method, now) {
            let error = RpcError {
                data: to_raw_value(&RetryAfter { seconds: wait_s }).ok(),
                ..RpcError::new(LIMIT_EXCEEDED, "request rate limit exceeded")
            };
            let counters = self.routes.get(&*call.method).map(|route| &route.counters);
            let refused = Started::Refused(error, Failure::Limited);
            return (counters.unwrap_or(&self.unknown), refused);
        }
        let not_found = || RpcError::method_not_found(&call.method);
        let route = match self.routes.get(&*call.method) {
            Some(route) if caller.connection.listener.offers(&route.name) => route,
            // The caller cannot tell this from the next, the operator can.
            Some(route) => {
                let started = Started::Refused(not_found(), Failure::Denied);
                return (&route.counters, started);
            }
            None => {
                let started = Started::Refused(not_found(), Failure::Error);
                return (&self.unknown, started);
            }
        };
        let started = match route.answerer {
            Answerer::Own(own) => self.answer_own(own, caller, call, now),
            _ => self.pass_on(route, caller, call.params),
        };
        (&route.counters, started)
    }

    /// A call for one of the two sides.
    fn pass_on(&self, route: &Route, caller: &Caller<'_>, params: Option<&RawValue>) -> Started {
        let queued = match route.answerer {
            Answerer::Methods(Cost::Read) | Answerer::Own(_) => {
                return Started::Ready(call_guarded(&*self.methods, &route.name, params));
            }
            Answerer::Methods(Cost::Heavy) if self.facts.shedding.load(Relaxed) => {
                Err(RpcError::busy())
            }
            Answerer::Methods(Cost::Heavy) => self.lanes.heavy(&route.name, params, caller.share),
            Answerer::Methods(Cost::Write) => self.lanes.write(&route.name, params),
            Answerer::Outside => {
                let (reply, answer) = oneshot::channel();
                let request = Forwarded {
                    method: route.name.to_string(),
                    params: params.map(ToOwned::to_owned),
                    listener: caller.connection.listener.kind,
                    peer: caller.client.ip,
                    is_limited: !caller.client.address.exempt,
                    reply: Reply(reply),
                };
                match self.outside.forward(request) {
                    Ok(()) => return Started::Forwarded(answer, self.limits.outside_timeout),
                    Err(_) => Err(RpcError::busy()),
                }
            }
        };
        match queued {
            Ok(answer) => Started::Waiting(answer, self.limits.heavy_timeout),
            Err(error) => {
                self.counters.shed.fetch_add(1, Relaxed);
                Started::Refused(error, Failure::Limited)
            }
        }
    }

    fn answer_own(&self, own: Own, caller: &Caller<'_>, call: &Call<'_>, now: Instant) -> Started {
        let facts = &self.facts;
        Started::Ready(match own {
            Own::ClientVersion => json(&facts.client_version),
            Own::Sha3 => one_param(call).and_then(|data: Bytes| json(&keccak256(data))),
            Own::NetworkId => json(&facts.network_id.to_string()),
            Own::Listening => json(&facts.listening.load(Relaxed)),
            Own::PeerCount => json(&format!("0x{:x}", facts.peers.load(Relaxed))),
            Own::Modules => json(&caller.connection.listener.modules),
            Own::SendSync => {
                return self
                    .send_and_wait(call)
                    .unwrap_or_else(|error| Started::Ready(Err(error)));
            }
            Own::Discover => Ok(caller.connection.listener.document.clone()),
            Own::NewFilter => self.new_filter(caller, call, now),
            Own::NewBlockFilter => self.add_filter(Topic::Heads, None, caller, now),
            Own::NewPendingFilter => Topic::of_pending_filter(call.params)
                .and_then(|topic| self.add_filter(topic, None, caller, now)),
            Own::FilterChanges => one_param(call)
                .and_then(|id: String| self.filters.take_changes(&normal_id(&id), now))
                .and_then(|entries| join(&entries)),
            Own::FilterLogs => {
                let past =
                    one_param(call).and_then(|id: String| self.filters.past(&normal_id(&id), now));
                match (past, self.routes.get("eth_getLogs")) {
                    (Ok(params), Some(logs)) => return self.pass_on(logs, caller, Some(&params)),
                    (Ok(_), None) => Err(RpcError::method_not_found(&call.method)),
                    (Err(error), _) => Err(error),
                }
            }
            Own::UninstallFilter => {
                one_param(call).and_then(|id: String| json(&self.filters.remove(&normal_id(&id))))
            }
            Own::Subscribe => match caller.session {
                Some(session) => Topic::of_subscription(call.params, &self.limits.criteria)
                    .and_then(|topic| session.subscribe(topic))
                    .and_then(|id| json(&*id)),
                None => Err(notifications_not_supported()),
            },
            Own::Unsubscribe => match caller.session {
                Some(session) => one_param(call)
                    .and_then(|id: String| session.unsubscribe(&normal_id(&id)))
                    .and_then(|()| json(&true)),
                None => Err(notifications_not_supported()),
            },
        })
    }

    fn send_and_wait(&self, call: &Call<'_>) -> Result<Started, RpcError> {
        let (params, wait) = sending::parse(call.params)?;
        let Some(send) = self.routes.get(sending::SEND) else {
            return Err(RpcError::method_not_found(&call.method));
        };
        let sent = self.lanes.write(&send.name, Some(&params))?;
        let answer = self.senders.wait(Arc::clone(&self.methods), sent, wait)?;
        Ok(Started::Forwarded(answer, sending::ANSWER_TIMEOUT))
    }

    fn new_filter(&self, caller: &Caller<'_>, call: &Call<'_>, now: Instant) -> Answer {
        let criteria: Box<RawValue> = one_param(call)?;
        let filter = parse_criteria(&criteria, &self.limits.criteria)?;
        let past = RawValue::from_string(format!("[{}]", criteria.get()))
            .map_err(|_| RpcError::internal())?;
        self.add_filter(Topic::Logs(Arc::new(filter)), Some(past), caller, now)
    }

    fn add_filter(
        &self,
        topic: Topic,
        past: Option<Box<RawValue>>,
        caller: &Caller<'_>,
        now: Instant,
    ) -> Answer {
        let address = &caller.client.address;
        self.filters
            .add(
                topic,
                past,
                &address.filters,
                address.exempt,
                || self.head(),
                now,
            )
            .and_then(|id| json(&id))
    }
}

async fn finish(started: Started) -> Finished {
    // Whoever had the call and dropped it gave it up without a word.
    let made = match started {
        Started::Ready(answer) => Made::free(answer),
        Started::Waiting(made, limit) => match timeout(limit, made).await {
            Ok(Ok(made)) => made,
            Ok(Err(_)) => Made::free(Err(RpcError::internal())),
            Err(_) => Made::free(Err(RpcError::timed_out())),
        },
        Started::Forwarded(answer, limit) => Made::free(match timeout(limit, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(RpcError::internal()),
            Err(_) => Err(RpcError::timed_out()),
        }),
        Started::Refused(error, failure) => return (Made::free(Err(error)), Some(failure)),
    };
    (made, None)
}

/// A comma between the objects of a batch.
fn separate(out: &mut Vec<u8>) {
    if out.len() > 1 {
        out.push(b',');
    }
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Answer {
    to_raw_value(value).map_err(|_| RpcError::internal())
}

fn join(entries: &[Arc<str>]) -> Answer {
    RawValue::from_string(format!("[{}]", entries.join(","))).map_err(|_| RpcError::internal())
}

/// The only parameter of a method.
fn one_param<T: serde::de::DeserializeOwned>(call: &Call<'_>) -> Result<T, RpcError> {
    let text = call.params.map_or("[]", RawValue::get);
    let params: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|_| RpcError::invalid_params("parameters are not an array"))?;
    match *params {
        [] => Err(RpcError::invalid_params(
            "missing value for required argument 0",
        )),
        [param] => serde_json::from_str(param.get()).map_err(|error| {
            RpcError::invalid_params(format!("invalid argument 0: {}", brief(&error)))
        }),
        _ => Err(RpcError::invalid_params(
            "too many arguments, want at most 1",
        )),
    }
}

/// The form in which ids are kept; callers that handle them as numbers may change case or zeros.
fn normal_id(id: &str) -> String {
    let digits = id.strip_prefix("0x").unwrap_or(id).trim_start_matches('0');
    format!("0x{}", digits.to_ascii_lowercase())
}

fn notifications_not_supported() -> RpcError {
    RpcError::new(METHOD_NOT_FOUND, "notifications not supported")
}
