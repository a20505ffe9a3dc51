//! Listeners, and the life of one connection: accepted or refused, served, watched, counted.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use alloy_primitives::map::HashSet;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::value::RawValue;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::access::{AllowList, namespace, namespaces};
use crate::activity::{Activity, Watched};
use crate::address::{Addresses, Client};
use crate::config::{Limits, ListenerConfig, ListenerKind};
use crate::error::StartError;
use crate::ids::Identifiers;
use crate::router::Router;
use crate::statistics::Held;
use crate::subscriptions::Subscriptions;

/// Bytes of a request's head that are kept: hyper's least, and far over what clients send.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Header lines of a request.
const HEADERS_MAX: usize = 64;
/// After the system refused to give a connection, it gets this long to recover.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What a connection over the limit is told before it is closed.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain\r\ncontent-length: 22\r\n\
    connection: close\r\nretry-after: 1\r\n\r\nToo many connections.\n";

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) router: Arc<Router>,
    pub(crate) limits: Limits,
    pub(crate) subscriptions: Arc<Subscriptions>,
    pub(crate) identifiers: Arc<Identifiers>,
    pub(crate) addresses: Addresses,
    /// Turns true when the server stops.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// One address the server listens on.
pub(crate) struct Listener {
    pub(crate) kind: ListenerKind,
    pub(crate) http: bool,
    pub(crate) websocket: bool,
    pub(crate) hosts: AllowList,
    pub(crate) cors_origins: AllowList,
    pub(crate) websocket_origins: AllowList,
    /// The answer of `rpc_modules`.
    pub(crate) modules: BTreeMap<String, &'static str>,
    /// The answer of `rpc_discover`.
    pub(crate) document: Box<RawValue>,
    methods: HashSet<Arc<str>>,
    places: Arc<Semaphore>,
}

impl Listener {
    pub(crate) fn new(
        config: &ListenerConfig,
        only: Option<&BTreeSet<String>>,
        router: &Router,
        places: Arc<Semaphore>,
    ) -> Result<Self, StartError> {
        let methods = router.offered(config.kind, &namespaces(config), only);
        let modules = methods
            .iter()
            .map(|name| (namespace(name).to_owned(), "1.0"))
            .collect();
        let document = router
            .document(&methods)
            .map_err(|error| StartError::Configuration(error.to_string()))?;
        Ok(Self {
            kind: config.kind,
            http: config.http,
            websocket: config.websocket,
            hosts: AllowList::new(&config.hosts),
            cors_origins: AllowList::new(&config.cors_origins),
            websocket_origins: AllowList::new(
                config
                    .websocket_origins
                    .as_ref()
                    .unwrap_or(&config.cors_origins),
            ),
            modules,
            document,
            methods,
            places,
        })
    }

    /// Whether `method`, a name the router knows, may be called here.
    pub(crate) fn offers(&self, method: &str) -> bool {
        self.methods.contains(method)
    }
}

/// One connection. Its places are free again when it is dropped.
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    pub(crate) listener: Arc<Listener>,
    /// Its other end.
    pub(crate) client: Client,
    pub(crate) activity: Arc<Activity>,
    _place: OwnedSemaphorePermit,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.client.address.connections.fetch_sub(1, Relaxed);
    }
}

/// Takes connections until the server stops.
pub(crate) async fn accept(sockets: TcpListener, listener: Arc<Listener>, shared: Arc<Shared>) {
    let mut stopping = shared.stopping.clone();
    loop {
        let accepted = tokio::select! {
            accepted = sockets.accept() => accepted,
            () = stopped(&mut stopping) => return,
        };
        match accepted {
            Ok((stream, remote)) => match admit(&shared, &listener, remote) {
                Some(connection) => drop(tokio::spawn(serve(stream, connection))),
                None => refuse(&shared, &stream),
            },
            // Mostly: no file descriptors left. Trying again at once would spin.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

fn admit(
    shared: &Arc<Shared>,
    listener: &Arc<Listener>,
    remote: SocketAddr,
) -> Option<Arc<Connection>> {
    let place = Arc::clone(&listener.places).try_acquire_owned().ok()?;
    let peer = remote.ip().to_canonical();
    let address = shared.addresses.connect(peer, &shared.limits)?;
    Some(Arc::new(Connection {
        shared: Arc::clone(shared),
        listener: Arc::clone(listener),
        client: Client {
            ip: peer,
            share: shared.addresses.share_of(&address),
            address,
        },
        activity: Activity::new(),
        _place: place,
    }))
}

fn refuse(shared: &Shared, stream: &TcpStream) {
    shared
        .router
        .counters
        .refused_connections
        .fetch_add(1, Relaxed);
    // As much as goes out without waiting.
    let _ = stream.try_write(TOO_MANY);
}

async fn serve(stream: TcpStream, connection: Arc<Connection>) {
    let _held = Held::new(&connection.shared.router.counters.http_connections);
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut stopping = connection.shared.stopping.clone();
    let activity = Arc::clone(&connection.activity);
    let watched = TokioIo::new(Watched::new(stream, Arc::clone(&activity)));
    let service = {
        let connection = Arc::clone(&connection);
        service_fn(move |request| crate::http::answer(Arc::clone(&connection), request))
    };
    let serving = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(watched, service)
        .with_upgrades();
    tokio::pin!(serving);
    tokio::select! {
        // Whatever went wrong on the wire is the peer's affair.
        _ = serving.as_mut() => {}
        () = activity.watch(&connection.shared.limits) => {}
        () = stopped(&mut stopping) => {
            serving.as_mut().graceful_shutdown();
            let _ = serving.await;
        }
    }
}

/// Returns when the server stops.
pub(crate) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the server is gone, which is as good a reason.
    let _ = stopping.wait_for(|stop| *stop).await;
}
