//! One WebSocket to a node: many calls at once, each answered by its id, and the news of subscriptions.
//!
//! A link that ends answers all its calls with `Lost`. It never has more calls open than a node reads at once, so
//! that neither side waits for the other to read.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::error::RpcError;
use crate::methods::Answer;
use futures_util::{SinkExt, Stream, StreamExt};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::config::{NodeAddress, Timing};

/// Calls that are open on one link: a node reads 64 of one connection at once.
const OPEN_MAX: usize = 60;
/// An answer of a node; ours are at most 10 MB, those of others may be more, and are refused later.
const MESSAGE_BYTES_MAX: usize = 32 << 20;
/// News that waits to be taken.
const NEWS_MAX: usize = 4_096;
/// A call that a node keeps for so long is taken for a fault of the node: its own limit is 30 s.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(40);
/// How long a node may take no byte.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// The link has ended, or never answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lost;

/// What a subscription tells.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) subscription: String,
    pub(crate) result: Box<RawValue>,
}

struct Open {
    answer: oneshot::Sender<Answer>,
    since: Instant,
    _place: OwnedSemaphorePermit,
}

type Opened = Arc<Mutex<HashMap<u64, Open>>>;

/// The calling side of a link.
#[derive(Clone)]
pub(crate) struct Link {
    out: mpsc::Sender<Message>,
    opened: Opened,
    places: Arc<Semaphore>,
    next_id: Arc<AtomicU64>,
    in_flight: Arc<AtomicUsize>,
}

/// The side that has to run for the link to work.
pub(crate) struct Running {
    socket: WebSocketStream<TcpStream>,
    outgoing: mpsc::Receiver<Message>,
    opened: Opened,
    news: mpsc::Sender<News>,
    silence: Duration,
}

/// One message of a node.
#[derive(Deserialize)]
struct Received<'a> {
    #[serde(default)]
    id: Option<u64>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    params: Option<Params<'a>>,
}

#[derive(Deserialize)]
struct Params<'a> {
    subscription: String,
    #[serde(borrow)]
    result: &'a RawValue,
}

#[derive(Deserialize)]
struct ReceivedError {
    code: i32,
    message: String,
    #[serde(default)]
    data: Option<Box<RawValue>>,
}

/// Connects; gives the link, what has to run, and its news.
pub(crate) async fn connect(
    address: &NodeAddress,
    timing: &Timing,
) -> Result<(Link, Running, mpsc::Receiver<News>), Lost> {
    let connecting = async {
        let stream = TcpStream::connect(&*address.authority).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let url = format!("ws://{}{}", address.authority, address.path);
        let (socket, _) = client_async_with_config(url, stream, Some(config))
            .await
            .ok()?;
        Some(socket)
    };
    let Ok(Some(socket)) = timeout(timing.connect, connecting).await else {
        return Err(Lost);
    };
    let (out, outgoing) = mpsc::channel(OPEN_MAX);
    let (news, told) = mpsc::channel(NEWS_MAX);
    let opened = Opened::default();
    let link = Link {
        out,
        opened: Arc::clone(&opened),
        places: Arc::new(Semaphore::new(OPEN_MAX)),
        next_id: Arc::default(),
        in_flight: Arc::default(),
    };
    let running = Running {
        socket,
        outgoing,
        opened,
        news,
        silence: timing.silence,
    };
    Ok((link, running, told))
}

impl Link {
    /// Calls that wait for this link or its node.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Asks, and waits for the answer for as long as the caller does.
    pub(crate) async fn call(
        &self,
        method: &str,
        params: Option<&RawValue>,
    ) -> Result<Answer, Lost> {
        let _counted = Counted::new(&self.in_flight);
        let places = Arc::clone(&self.places);
        let place = places.acquire_owned().await.map_err(|_| Lost)?;
        let id = self.next_id.fetch_add(1, Relaxed);
        let (answer, answered) = oneshot::channel();
        self.opened.lock().insert(
            id,
            Open {
                answer,
                since: Instant::now(),
                _place: place,
            },
        );
        let params = params.map_or("[]", RawValue::get);
        let text = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{params}}}"
        );
        // There is room for as many messages as there are places.
        if self.out.try_send(Message::text(text)).is_err() {
            self.opened.lock().remove(&id);
            return Err(Lost);
        }
        answered.await.map_err(|_| Lost)
    }
}

struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Running {
    /// Serves the link until it breaks, the node is silent, or nobody has the link any more.
    pub(crate) async fn run(self) {
        let Self {
            socket,
            mut outgoing,
            opened,
            news,
            silence,
        } = self;
        let (mut sink, stream) = socket.split();
        let heard = Mutex::new(Instant::now());
        let writing = async {
            let mut ping = tokio::time::interval(silence / 3);
            loop {
                let message = tokio::select! {
                    message = outgoing.recv() => match message {
                        Some(message) => message,
                        None => return,
                    },
                    _ = ping.tick() => {
                        let is_stuck = opened.lock().values().any(|one| one.since.elapsed() > FORGOTTEN_AFTER);
                        if is_stuck || heard.lock().elapsed() > silence {
                            return;
                        }
                        Message::Ping(Bytes::new())
                    }
                };
                if !matches!(timeout(WRITE_TIMEOUT, sink.send(message)).await, Ok(Ok(()))) {
                    return;
                }
            }
        };
        tokio::select! {
            () = writing => {}
            () = read(stream, &opened, &news, &heard) => {}
        }
        // Whoever waits is told that nothing will come; later calls find no receiver.
        outgoing.close();
        while outgoing.try_recv().is_ok() {}
        opened.lock().clear();
    }
}

async fn read(
    mut stream: impl Stream<Item = Result<Message, Error>> + Unpin,
    opened: &Opened,
    news: &mpsc::Sender<News>,
    heard: &Mutex<Instant>,
) {
    while let Some(Ok(message)) = stream.next().await {
        *heard.lock() = Instant::now();
        let text = match message {
            Message::Text(text) => text,
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Binary(_) | Message::Close(_) | Message::Frame(_) => return,
        };
        // What is no JSON-RPC comes from something that is no node.
        let Ok(received) = serde_json::from_str::<Received<'_>>(&text) else {
            return;
        };
        match (received.id, received.params) {
            (Some(id), _) => {
                let open = opened.lock().remove(&id);
                if let Some(open) = open {
                    // Its caller may have given up.
                    let _ = open.answer.send(answer(received.result, received.error));
                }
            }
            (None, Some(params)) => {
                let told = News {
                    subscription: params.subscription,
                    result: params.result.to_owned(),
                };
                if news.try_send(told).is_err() {
                    return;
                }
            }
            (None, None) => return,
        }
    }
}

fn answer(result: Option<&RawValue>, error: Option<&RawValue>) -> Answer {
    match (result, error) {
        (_, Some(error)) if error.get() != "null" => {
            let error: ReceivedError =
                serde_json::from_str(error.get()).map_err(|_| RpcError::internal())?;
            Err(RpcError {
                code: error.code,
                message: error.message,
                data: error.data,
            })
        }
        (Some(result), _) => Ok(result.to_owned()),
        // serde reads a null as nothing.
        (None, _) => Ok(RawValue::NULL.to_owned()),
    }
}
