//! WebSocket connections: one task each, which reads, answers and tells, and waits for nobody longer than it must.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt, StreamExt};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use crate::address::Client;
use crate::body::Parts;
use crate::budget::Permit;
use crate::connection::{Connection, stopped};
use crate::envelope::{around_notification, is_batch};
use crate::fragments::Counted;
use crate::http::{Reply, text};
use crate::intake::SMALL_BYTES;
use crate::response::Response as Answered;
use crate::router::Caller;
use crate::session::{Session, Subscribed};
use crate::statistics::Held;
use crate::subscriptions::{Notification, Outlet, Overflow};

type Socket = WebSocketStream<Counted<TokioIo<Upgraded>>>;

/// Read and write buffers of a connection: small, since most are quiet.
const BUFFER_BYTES: usize = 8 << 10;
/// The most that one frame of an answer has: what is copied to be written.
const FRAGMENT_BYTES: usize = 128 << 10;
/// What stands before the payload of a control frame from a peer: its head and its mask.
const CONTROL_HEAD_BYTES: usize = 6;
/// Ping and pong frames a peer may send in one ping interval; more is a flood. Each is right by the protocol and has its few bytes, so what
/// they break is a rule of this node: closed with 1008.
const CONTROL_FRAMES_MAX: u32 = 200;
/// Requests without a place in the budget, each of them small, are answered at once up to so many bytes together; then the connection
/// is not read.
const SMALL_TOGETHER_BYTES_MAX: usize = SMALL_BYTES;
/// What a batch counts at least among them: a hundred of its items, and of their errors, are a few bytes each when they arrive.
const BATCH_BYTES_MIN: usize = 8 << 10;
/// Notifications written before the connection is looked at again; fewer where they have more bytes than one fragment.
const NOTIFICATIONS_TOGETHER: usize = 64;
/// A closing frame that does not go out within this time is not sent.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a connection ends; `None` when it just does.
type Ending = Option<(CloseCode, &'static str)>;

pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    let names = |name, wanted: &str| {
        let values = headers
            .get_all(name)
            .iter()
            .filter_map(|value: &HeaderValue| value.to_str().ok());
        values
            .flat_map(|value| value.split(','))
            .any(|token| token.trim().eq_ignore_ascii_case(wanted))
    };
    names(UPGRADE, "websocket") && names(CONNECTION, "upgrade")
}

/// Agrees to a handshake and serves the connection that comes of it.
pub(crate) fn upgrade(
    connection: &Arc<Connection>,
    user: Option<Client>,
    mut request: Request<Incoming>,
) -> Reply {
    if request
        .headers()
        .get(SEC_WEBSOCKET_VERSION)
        .is_none_or(|version| version != "13")
    {
        let mut reply = text(
            StatusCode::UPGRADE_REQUIRED,
            "Only version 13 of the WebSocket protocol is spoken.\n",
        );
        reply
            .headers_mut()
            .insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return reply;
    }
    let key = request
        .headers()
        .get(SEC_WEBSOCKET_KEY)
        .map(|key| derive_accept_key(key.as_bytes()));
    let Some(accept) = key.and_then(|key| HeaderValue::from_str(&key).ok()) else {
        return text(StatusCode::BAD_REQUEST, "The handshake has no key.\n");
    };
    let upgraded = hyper::upgrade::on(&mut request);
    let connection = Arc::clone(connection);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgraded.await {
            serve(TokioIo::new(upgraded), connection, user).await;
        }
    });
    let mut reply = Response::new(Parts::default());
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    reply
        .headers_mut()
        .insert(UPGRADE, HeaderValue::from_static("websocket"));
    reply
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("upgrade"));
    reply.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
    reply
}

async fn serve(stream: TokioIo<Upgraded>, connection: Arc<Connection>, user: Option<Client>) {
    let client = user.as_ref().unwrap_or(&connection.client);
    let shared = &connection.shared;
    let _held = Held::new(&shared.router.counters.websocket_connections);
    let limits = &shared.limits;
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(2 * limits.response_bytes_max + BUFFER_BYTES)
        .max_message_size(Some(limits.body_bytes_max))
        .max_frame_size(Some(limits.body_bytes_max));
    connection.activity.messages_begin(&client.share.requests);
    let stream = Counted::new(stream);
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let (outlet, notifications, overflow) = Outlet::new(limits.notifications_queued_max);
    let subscribed = Arc::new(Subscribed::new(
        Arc::clone(&shared.router),
        Arc::clone(&shared.subscriptions),
        Arc::clone(&shared.identifiers),
        outlet,
        limits.subscriptions_per_connection_max,
    ));
    let ending = talk(
        &mut socket,
        (&connection, client),
        &subscribed,
        notifications,
        &overflow,
    )
    .await;
    drop(subscribed);
    if let Some((code, reason)) = ending {
        if ending == TOO_SLOW {
            shared
                .router
                .counters
                .slow_subscribers
                .fetch_add(1, Relaxed);
        }
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        // Whether the peer hears it or not, the connection is over.
        let _ = timeout(CLOSE_TIMEOUT, async {
            socket.send(Message::Close(Some(frame))).await?;
            while let Some(Ok(_)) = socket.next().await {}
            Ok::<_, Error>(())
        })
        .await;
    }
}

/// Serves a connection until there is a reason to end it.
async fn talk(
    socket: &mut Socket,
    (connection, client): (&Connection, &Client),
    subscribed: &Arc<Subscribed>,
    mut notifications: mpsc::Receiver<Notification>,
    overflow: &Overflow,
) -> Ending {
    let limits = &connection.shared.limits;
    let mut stopping = connection.shared.stopping.clone();
    let mut answers = FuturesUnordered::new();
    let mut answering = InFlight::default();
    let mut ping = tokio::time::interval(limits.ping_interval);
    ping.reset();
    let mut heard = Instant::now();
    let mut control_frames = 0;
    let mut telling: Option<Notification> = None;
    // Who has asked much is read again when some of it is answered.
    let may_ask = |requests: usize, answering: &InFlight| {
        requests < limits.websocket_requests_in_flight_max
            && answering.bytes < limits.body_bytes_max
            && answering.small_bytes < SMALL_TOGETHER_BYTES_MAX
    };
    let writer = Writer {
        write_timeout: limits.write_timeout,
        overflow,
    };
    loop {
        tokio::select! {
            () = stopped(&mut stopping) => return Some((CloseCode::Away, "the node stops")),
            () = overflow.happened() => return TOO_SLOW,
            Some(done) = answers.next(), if !answers.is_empty() => {
                let Done { answer, session, took } = done;
                answering.bytes -= took.bytes;
                answering.small_bytes -= took.small_bytes;
                session.activate();
                if let Some(answer) = answer
                    && let Err(ending) = writer.write(socket, into_frames(answer.into_parts())).await
                {
                    return ending;
                }
            }
            // What is left of a block's logs comes before everything newer, and after whatever else is ready by then.
            more = next_notification(&mut telling, &mut notifications) => {
                telling = Some(more?);
                let messages = some_of(&mut telling, &mut notifications);
                if let Err(ending) = writer.write(socket, messages).await {
                    return ending;
                }
            }
            received = next_message(socket), if may_ask(answers.len(), &answering) => {
                heard = Instant::now();
                let body: Bytes = match received {
                    Some(Ok(Message::Text(body))) => body.into(),
                    Some(Ok(Message::Binary(body))) => body,
                    Some(Ok(Message::Ping(payload) | Message::Pong(payload))) => {
                        connection.activity.control_frame_ends(CONTROL_HEAD_BYTES + payload.len());
                        control_frames += 1;
                        if control_frames > CONTROL_FRAMES_MAX {
                            return Some((CloseCode::Policy, "too many control frames"));
                        }
                        continue;
                    }
                    Some(Ok(Message::Close(_) | Message::Frame(_))) | None => return None,
                    Some(Err(ending)) => return ending,
                };
                // A control frame may stand between the fragments of a message.
                let place = connection.activity.message_ends().map(Arc::new);
                let takes = InFlight::of(&body, place.as_ref());
                answering.bytes += takes.bytes;
                answering.small_bytes += takes.small_bytes;
                answers.push(answer(connection, client, subscribed, (body, place), takes));
            }
            _ = ping.tick() => {
                control_frames = 0;
                // A peer that is not read because it has asked too much is not silent.
                let is_read = may_ask(answers.len(), &answering);
                if is_read && heard.elapsed() > limits.ping_interval * 2 {
                    return Some((CloseCode::Policy, "no pong"));
                }
                if let Err(ending) = writer.write(socket, [Message::Ping(Bytes::new())]).await {
                    return ending;
                }
            }
        }
    }
}

const NO_ROOM: Ending = Some((CloseCode::Again, "too many large requests, try again later"));
// A limit of what one message may be, as that of its bytes is.
const TOO_MANY_EMPTY: Ending = Some((CloseCode::Size, "too many empty fragments"));
const TOO_SLOW: Ending = Some((CloseCode::Again, "notifications are not read fast enough"));

/// The next message of the peer, or why there will be none. Nothing is lost when it is dropped.
async fn next_message(socket: &mut Socket) -> Option<Result<Message, Ending>> {
    std::future::poll_fn(|cx| {
        let polled = socket.poll_next_unpin(cx);
        if socket.get_mut().takes_flood() {
            return Poll::Ready(Some(Err(TOO_MANY_EMPTY)));
        }
        polled.map(|received| received.map(|message| message.map_err(|error| ending(&error))))
    })
    .await
}

async fn answer(
    connection: &Connection,
    client: &Client,
    subscribed: &Arc<Subscribed>,
    (body, place): (Bytes, Option<Arc<Permit>>),
    took: InFlight,
) -> Done {
    let session = Session::new(Arc::clone(subscribed));
    let caller = Caller {
        connection,
        client,
        session: Some(&session),
        share: &client.share,
        place: place.as_ref(),
    };
    let answer = connection.shared.router.answer(&caller, &body).await;
    Done {
        answer,
        session,
        took,
    }
}

/// Bytes of requests that are answered now.
#[derive(Debug, Clone, Copy, Default)]
struct InFlight {
    bytes: usize,
    /// Of those that have no place in the budget.
    small_bytes: usize,
}

impl InFlight {
    fn of(body: &[u8], place: Option<&Arc<Permit>>) -> Self {
        let bytes = body.len();
        let least = if is_batch(body) { BATCH_BYTES_MIN } else { 0 };
        Self {
            bytes,
            small_bytes: place.map_or(bytes.max(least), |_| 0),
        }
    }
}

/// A request that was answered.
struct Done {
    answer: Option<Answered>,
    session: Session,
    took: InFlight,
}

/// An answer as one message. A large one is sent in fragments, as it would be copied whole otherwise; each keeps its place in
/// the budget until it is written.
fn into_frames(parts: VecDeque<Bytes>) -> impl Iterator<Item = Message> {
    let mut pieces = parts.into_iter().flat_map(into_pieces).peekable();
    let mut is_first = true;
    std::iter::from_fn(move || {
        let piece = pieces.next()?;
        let kind = if std::mem::take(&mut is_first) {
            Data::Text
        } else {
            Data::Continue
        };
        let is_last = pieces.peek().is_none();
        Some(Message::Frame(Frame::message(
            piece,
            OpCode::Data(kind),
            is_last,
        )))
    })
}

fn into_pieces(mut part: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || {
        let length = part.len().min(FRAGMENT_BYTES);
        (length > 0).then(|| part.split_to(length))
    })
}

/// The notification that is being told, or the next one. Ready at once while there is one.
async fn next_notification(
    telling: &mut Option<Notification>,
    notifications: &mut mpsc::Receiver<Notification>,
) -> Option<Notification> {
    match telling.take() {
        Some(rest) => Some(rest),
        None => notifications.recv().await,
    }
}

/// The next messages, at most `NOTIFICATIONS_TOGETHER`; what is left of a notification stays.
fn some_of(
    telling: &mut Option<Notification>,
    notifications: &mut mpsc::Receiver<Notification>,
) -> Vec<Message> {
    let (mut messages, mut bytes) = (Vec::new(), 0);
    while messages.len() < NOTIFICATIONS_TOGETHER && bytes < FRAGMENT_BYTES {
        let Some(notification) = telling else {
            *telling = notifications.try_recv().ok();
            if telling.is_none() {
                break;
            }
            continue;
        };
        match notification.next() {
            Some(result) => {
                bytes += result.len();
                messages.extend(into_notification(&notification.subscription, result));
            }
            None => *telling = None,
        }
    }
    messages
}

/// One notification as a message; a large one in fragments, whose text all subscribers share.
fn into_notification(subscription: &str, result: Arc<str>) -> Vec<Message> {
    struct Shared(Arc<str>);
    impl AsRef<[u8]> for Shared {
        fn as_ref(&self) -> &[u8] {
            self.0.as_bytes()
        }
    }
    let (mut text, after) = around_notification(subscription);
    if result.len() < FRAGMENT_BYTES {
        text.reserve_exact(result.len() + after.len());
        text.push_str(&result);
        text.push_str(after);
        return vec![Message::text(text)];
    }
    let result = Bytes::from_owner(Shared(result));
    into_frames([text.into(), result, Bytes::from_static(after.as_bytes())].into()).collect()
}

/// What the peer is told about an error of its own making.
fn ending(error: &Error) -> Ending {
    match error {
        Error::Io(error) if error.kind() == ErrorKind::OutOfMemory => NO_ROOM,
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            Some((CloseCode::Size, "message too large"))
        }
        Error::Protocol(_) => Some((CloseCode::Protocol, "protocol error")),
        Error::Utf8(_) => Some((CloseCode::Invalid, "text is not UTF-8")),
        _ => None,
    }
}

/// Writes each message or fragment within a time limit, and gives up at once when too many notifications pile up meanwhile.
struct Writer<'a> {
    write_timeout: Duration,
    overflow: &'a Overflow,
}

impl Writer<'_> {
    async fn write(
        &self,
        socket: &mut Socket,
        messages: impl IntoIterator<Item = Message>,
    ) -> Result<(), Ending> {
        let writing = async {
            for message in messages {
                self.in_time(socket.feed(message)).await?;
            }
            self.in_time(socket.flush()).await
        };
        tokio::select! {
            written = writing => written,
            () = self.overflow.happened() => Err(TOO_SLOW),
        }
    }

    async fn in_time(
        &self,
        writing: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Ending> {
        match timeout(self.write_timeout, writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::criteria::Topic;
    use crate::event::{Head, LogTexts};
    use crate::subscriptions::Subscriptions;

    #[test]
    fn large_notifications_are_written_one_by_one_and_their_text_is_shared() {
        const TEXT_BYTES: usize = 1 << 20;
        let (outlet, mut notifications, _) = Outlet::new(100);
        let subscriptions = Subscriptions::default();
        for id in ["0x1", "0x2", "0x3"] {
            subscriptions.add(id.into(), Topic::Heads, outlet.clone(), || 0);
        }
        let header = format!("\"{}\"", "x".repeat(TEXT_BYTES));
        let head = Arc::new(Head {
            number: 1,
            hash: alloy_primitives::B256::ZERO,
            header: RawValue::from_string(header.clone()).unwrap(),
            logs: Vec::new(),
            receipts: Vec::new(),
        });
        subscriptions.tell_head(&head, &Arc::new(LogTexts::new(&head)));
        let (mut telling, mut texts) = (None, Vec::new());
        for _ in 0..3 {
            let frames = some_of(&mut telling, &mut notifications);
            let last = frames.last().map(is_last);
            let whole = frames.iter().filter(|frame| is_last(frame)).count();
            assert_eq!(
                (whole, last),
                (1, Some(true)),
                "one message, and no part of another"
            );
            let payloads: Vec<Bytes> = frames.into_iter().map(Message::into_data).collect();
            assert!(
                payloads
                    .iter()
                    .all(|payload| payload.len() <= FRAGMENT_BYTES)
            );
            texts.push(payloads[1].as_ptr());
            let text = String::from_utf8(payloads.concat()).unwrap();
            assert!(text.ends_with(&format!("\"result\":{header}}}}}")));
        }
        assert!(texts.iter().all(|text| *text == texts[0]), "no copies");
        assert!(some_of(&mut telling, &mut notifications).is_empty());
    }

    fn is_last(message: &Message) -> bool {
        matches!(message, Message::Frame(frame) if frame.header().is_final)
    }
}
