//! The server as the node sees it: start, publish, facts, statistics, stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Semaphore, watch};

use crate::access::validate_listener;
use crate::address::Addresses;
use crate::budget::Budget;
use crate::config::{Allowance, ListenerKind, ServerConfig};
use crate::connection::{Listener, Shared, accept};
use crate::criteria::{CriteriaLimits, Topic};
use crate::error::StartError;
use crate::event::{Event, Head, Interest, LogTexts, Pending};
use crate::filters::Filters;
use crate::ids::Identifiers;
use crate::lanes::Lanes;
use crate::methods::{Methods, Outside};
use crate::priority::give_way;
use crate::router::{Facts, Router, RouterLimits};
use crate::statistics::{SUBSCRIPTION_TYPES, Statistics};
use crate::subscriptions::quote_hashes;
use crate::syncing::{self, SyncReports};

/// Connections the system keeps ready to be taken.
const BACKLOG: u32 = 1_024;
/// How long open requests may go on when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// How often filters are checked for age while nothing happens.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(30);
/// Answers of `Methods` take a few stack frames of deep JSON handling at most.
const WORKER_STACK_BYTES: usize = 2 << 20;

/// A running JSON-RPC server. Stops when dropped.
pub struct Server {
    runtime: Mutex<Option<Runtime>>,
    stop: watch::Sender<bool>,
    shared: Arc<Shared>,
    events: Sender<Event>,
    addresses: Vec<SocketAddr>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Server")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Binds every listener and serves them on threads of its own. Either all listeners work or none stays open.
    pub fn start(
        config: ServerConfig,
        methods: Arc<dyn Methods>,
        outside: Arc<dyn Outside>,
    ) -> Result<Self, StartError> {
        if config.listeners.is_empty() {
            return Err(StartError::Configuration(
                "the RPC server has no address to listen on".to_owned(),
            ));
        }
        config.listeners.iter().try_for_each(validate_listener)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(config.worker_threads.max(1))
            .max_blocking_threads(1)
            .thread_name("rpc-worker")
            .on_thread_start(give_way)
            .thread_stack_size(WORKER_STACK_BYTES)
            .enable_io()
            .enable_time()
            .build()
            .map_err(StartError::Threads)?;
        let (stop, stopping) = watch::channel(false);
        let shared = share(&config, methods, outside, stopping)?;

        let public_places = Arc::new(Semaphore::new(config.limits.connections_max));
        let private_places = Arc::new(Semaphore::new(config.limits.private_connections_max));
        let mut bound = Vec::new();
        let mut addresses = Vec::new();
        for listener in &config.listeners {
            let places = if listener.kind == ListenerKind::Private {
                &private_places
            } else {
                &public_places
            };
            let sockets = listen(&runtime, listener.address)?;
            addresses.push(sockets.local_addr().map_err(|source| StartError::Listen {
                address: listener.address,
                source,
            })?);
            let methods = config.methods.as_ref();
            let listener = Listener::new(listener, methods, &shared.router, Arc::clone(places))?;
            bound.push((sockets, Arc::new(listener)));
        }
        let (events, incoming) = bounded(config.limits.events_queued_max);
        let teller = Arc::clone(&shared);
        thread::Builder::new()
            .name("rpc-events".to_owned())
            .spawn(move || {
                give_way();
                tell_all(&teller, &incoming);
            })
            .map_err(StartError::Threads)?;
        for (sockets, listener) in bound {
            runtime.spawn(accept(sockets, listener, Arc::clone(&shared)));
        }
        Ok(Self {
            runtime: Mutex::new(Some(runtime)),
            stop,
            shared,
            events,
            addresses,
        })
    }

    /// Where it listens, in the order of the configuration, with the real ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Tells subscribers and filters. Never waits: an event that finds no place is lost and counted.
    pub fn publish(&self, event: Event) {
        if self.events.try_send(event).is_err() {
            self.shared
                .router
                .counters
                .events_dropped
                .fetch_add(1, Relaxed);
        }
    }

    /// What somebody waits for, so that nobody prepares events in vain.
    pub fn interest(&self) -> Interest {
        let wanted = |topic: fn(&Topic) -> bool| {
            self.shared.subscriptions.any(topic) || self.shared.router.filters.any(topic)
        };
        Interest {
            heads: wanted(|topic| matches!(topic, Topic::Heads))
                || self.shared.router.senders.any(),
            logs: wanted(|topic| matches!(topic, Topic::Logs(_))),
            receipts: wanted(|topic| matches!(topic, Topic::Receipts(_))),
            pending: wanted(|topic| matches!(topic, Topic::PendingHashes | Topic::PendingFull)),
        }
    }

    /// Sets the answer of `net_peerCount`.
    pub fn set_peer_count(&self, peers: u64) {
        self.shared.router.facts.peers.store(peers, Relaxed);
    }

    /// Sets the answer of `net_listening`.
    pub fn set_listening(&self, listening: bool) {
        self.shared.router.facts.listening.store(listening, Relaxed);
    }

    /// While set, heavy calls are answered with "server is busy": consensus needs the processor.
    pub fn set_shedding(&self, shedding: bool) {
        self.shared.router.facts.shedding.store(shedding, Relaxed);
    }

    /// Sets the answer of /readyz.
    pub fn set_ready(&self, ready: bool) {
        self.shared.router.facts.ready.store(ready, Relaxed);
    }

    /// From now on /readyz is 503, and everything else goes on. Whether somebody asks there, and is told so for the first time.
    pub(crate) fn leave(&self) -> bool {
        let facts = &self.shared.router.facts;
        !facts.leaving.swap(true, Relaxed) && facts.readiness_asked.load(Relaxed)
    }

    /// The threads of this server, for work that belongs to its answers; `None` once it has stopped.
    pub fn handle(&self) -> Option<Handle> {
        let runtime = self.runtime.lock();
        runtime.as_ref().map(|runtime| runtime.handle().clone())
    }

    /// The counters at this moment.
    pub fn statistics(&self) -> Statistics {
        let router = &self.shared.router;
        let counters = &router.counters;
        let websocket_connections = counters.websocket_connections.load(Relaxed);
        let open = counters
            .subscriptions
            .iter()
            .map(|count| count.load(Relaxed));
        let subscriptions_by_type: Vec<_> = SUBSCRIPTION_TYPES.into_iter().zip(open).collect();
        Statistics {
            methods: router.method_statistics(),
            http_connections: counters.http_connections.load(Relaxed),
            websocket_connections,
            subscriptions: subscriptions_by_type.iter().map(|(_, open)| open).sum(),
            subscriptions_by_type,
            filters: router.filters.len(),
            in_flight: counters.in_flight.load(Relaxed),
            refused_connections: counters.refused_connections.load(Relaxed),
            refused_requests: counters.refused_requests.load(Relaxed),
            shed: counters.shed.load(Relaxed),
            over_rate_of_client: counters.over_rate_of_client.load(Relaxed),
            over_rate_of_all: counters.over_rate_of_all.load(Relaxed),
            events_dropped: counters.events_dropped.load(Relaxed),
            slow_subscribers: counters.slow_subscribers.load(Relaxed),
            batches: counters.batches.snapshot(),
        }
    }

    /// Takes no more connections, lets open requests end within three seconds, and closes everything. Waits for that.
    pub fn stop(&self) {
        let Some(runtime) = self.runtime.lock().take() else {
            return;
        };
        self.set_ready(false);
        self.stop.send_replace(true);
        let deadline = Instant::now() + STOP_TIMEOUT;
        let counters = &self.shared.router.counters;
        let is_open = || {
            counters.http_connections.load(Relaxed) + counters.websocket_connections.load(Relaxed)
                > 0
        };
        while is_open() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        runtime.shutdown_timeout(Duration::from_millis(200));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn share(
    config: &ServerConfig,
    methods: Arc<dyn Methods>,
    outside: Arc<dyn Outside>,
    stopping: watch::Receiver<bool>,
) -> Result<Arc<Shared>, StartError> {
    let limits = config.limits.clone();
    let lanes = Lanes::start(
        &methods,
        config.heavy_threads,
        limits.heavy_queued_max,
        limits.writes_queued_max,
    )
    .map_err(StartError::Threads)?;
    let facts = Facts {
        client_version: config.client_version.clone(),
        network_id: config.network_id,
        listening: AtomicBool::new(true),
        peers: AtomicU64::new(0),
        shedding: AtomicBool::new(false),
        is_gateway: config.is_gateway,
        ready: AtomicBool::new(true),
        leaving: AtomicBool::new(false),
        readiness_asked: AtomicBool::new(false),
    };
    let filters = Filters::new(
        limits.filters_max,
        limits.filters_per_address_max,
        limits.filter_entries_max,
        limits.filter_entries_in_all_max,
        limits.filter_timeout,
    );
    let router_limits = RouterLimits {
        response_bytes_max: limits.response_bytes_max,
        batch_items_max: limits.batch_items_max,
        allowance: limits.allowance.clone().or_else(|| {
            limits
                .requests_per_address_per_second
                .map(Allowance::of_calls)
        }),
        criteria: CriteriaLimits {
            alternatives_max: limits.filter_criteria_max,
            memory: Budget::new(limits.filter_criteria_bytes_max),
        },
        heavy_timeout: limits.heavy_timeout,
        outside_timeout: limits.outside_timeout,
    };
    Ok(Arc::new(Shared {
        router: Arc::new(Router::new(
            methods,
            outside,
            lanes,
            router_limits,
            facts,
            filters,
        )),
        subscriptions: Arc::default(),
        identifiers: Arc::new(Identifiers::new()),
        addresses: Addresses::new(&limits),
        limits,
        stopping,
    }))
}

fn listen(runtime: &Runtime, address: SocketAddr) -> Result<TcpListener, StartError> {
    let _context = runtime.enter();
    let open = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().map_err(|source| StartError::Listen { address, source })
}

/// The thread that passes events on, until the server is gone.
fn tell_all(shared: &Shared, events: &Receiver<Event>) {
    let filters = &shared.router.filters;
    let mut expired = Instant::now();
    let mut reports = SyncReports::new();
    loop {
        match events.recv_timeout(syncing::LOOK_INTERVAL) {
            Ok(Event::Head(head)) => tell_head(shared, &head),
            Ok(Event::Pending(pending)) => tell_pending(shared, &pending),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let methods = shared.router.methods();
        reports.look(Instant::now(), methods, &shared.subscriptions);
        if expired.elapsed() >= EXPIRY_INTERVAL {
            expired = Instant::now();
            filters.expire(expired);
        }
    }
}

fn tell_head(shared: &Shared, head: &Arc<Head>) {
    let logs = Arc::new(LogTexts::new(head));
    shared.subscriptions.tell_head(head, &logs);
    shared.router.filters.keep_head(head, &logs);
    shared.router.senders.tell_head(head.number);
}

fn tell_pending(shared: &Shared, pending: &Pending) {
    let filters = &shared.router.filters;
    let for_full = |topic: &Topic| matches!(topic, Topic::PendingFull);
    let hashes = quote_hashes(pending);
    let full: Vec<Arc<str>> = if shared.subscriptions.any(for_full) || filters.any(for_full) {
        (pending.full)()
            .iter()
            .map(|transaction| transaction.get().into())
            .collect()
    } else {
        Vec::new()
    };
    shared.subscriptions.tell_pending(&hashes, &full);
    filters.keep_pending(&hashes, &full);
}
