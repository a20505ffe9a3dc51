//! HTTP: what is checked before a body is read, and how answers go back.
//!
//! Browsers are the danger here: a page must not reach the node by DNS rebinding (Host), by a form (content type) or
//! by reading what its origin may not read (CORS). JSON-RPC errors are sent with status 200, as geth does.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ALLOW,
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, RETRY_AFTER, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::address::{Client, Standing};
use crate::body::Parts;
use crate::budget::{Budget, Permit};
use crate::connection::Connection;
use crate::forwarding::user_behind;
use crate::intake::Intake;
use crate::response::{Outcome, Response as Answered};
use crate::router::{Caller, Facts};
use crate::websocket;

const WELCOME: &str = "This is the JSON-RPC interface of a Metanode node.\n\
    Send requests with POST and content-type application/json, or open a WebSocket.\n";
const GATEWAY_WELCOME: &str = "This is the JSON-RPC interface of a Metanode network.\n\
    Send requests with POST and content-type application/json, or open a WebSocket.\n";
/// Browsers ask again after this many seconds whether an origin is allowed.
const PREFLIGHT_SECONDS: &str = "600";
const REQUEST_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-allow-private-network");

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

pub(crate) type Reply = Response<Parts>;

/// How an origin stands with a listener.
enum Origin {
    /// No browser, a page of this very server, or an extension, which browsers hold to other rules.
    Unmarked,
    /// A page that may read answers; the header's value is sent back.
    Allowed(HeaderValue),
    Foreign,
}

/// Answers one request.
pub(crate) async fn answer(
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Reply, Infallible> {
    connection.activity.request_begins();
    let reply = route(&connection, request).await;
    connection.activity.request_ends();
    if !reply.status().is_success() && reply.status() != StatusCode::SWITCHING_PROTOCOLS {
        connection
            .shared
            .router
            .counters
            .refused_requests
            .fetch_add(1, Relaxed);
    }
    Ok(reply)
}

async fn route(connection: &Arc<Connection>, request: Request<Incoming>) -> Reply {
    let listener = &connection.listener;
    if !is_host_allowed(connection, &request) {
        return text(
            StatusCode::FORBIDDEN,
            "The Host header names another server; see the setting for RPC hosts.\n",
        );
    }
    if websocket::is_upgrade(request.headers()) {
        return match origin(connection, request.headers(), true) {
            Origin::Foreign => text(
                StatusCode::FORBIDDEN,
                "This origin may not open a WebSocket here.\n",
            ),
            Origin::Unmarked | Origin::Allowed(_) if listener.websocket => {
                let user = user_of(connection, request.headers());
                websocket::upgrade(connection, user, request)
            }
            Origin::Unmarked | Origin::Allowed(_) => {
                text(StatusCode::BAD_REQUEST, "No WebSocket on this port.\n")
            }
        };
    }
    if !listener.http {
        return text(
            StatusCode::UPGRADE_REQUIRED,
            "This port serves WebSocket only.\n",
        );
    }
    let allowed = match origin(connection, request.headers(), false) {
        Origin::Unmarked => None,
        Origin::Allowed(value) => Some(value),
        Origin::Foreign => {
            return text(StatusCode::FORBIDDEN, "This origin may not use the node.\n");
        }
    };
    let mut reply = match *request.method() {
        Method::POST => post(connection, request).await,
        Method::OPTIONS => preflight(request.headers(), allowed.is_some()),
        Method::GET | Method::HEAD => read(&connection.shared.router.facts, request.uri().path()),
        _ => {
            let mut reply = text(
                StatusCode::METHOD_NOT_ALLOWED,
                "Send JSON-RPC requests with POST.\n",
            );
            reply
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("POST, GET, HEAD, OPTIONS"));
            reply
        }
    };
    if let Some(value) = allowed {
        if connection.shared.router.facts.is_gateway {
            reply.headers_mut().insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static("ratelimit, ratelimit-policy, retry-after"),
            );
        }
        reply
            .headers_mut()
            .insert(ACCESS_CONTROL_ALLOW_ORIGIN, value);
        reply
            .headers_mut()
            .insert(VARY, HeaderValue::from_static("origin"));
    }
    reply
}

/// Old clients send no Host at all; browsers always do.
fn is_host_allowed(connection: &Connection, request: &Request<Incoming>) -> bool {
    let named = request.uri().authority().map(http::uri::Authority::as_str);
    let header = match request.headers().get(HOST) {
        Some(value) => Some(value.to_str().unwrap_or("")),
        None => named,
    };
    header.is_none_or(|host| connection.listener.hosts.allows_host(host))
}

fn origin(connection: &Connection, headers: &HeaderMap, websocket: bool) -> Origin {
    let Some(value) = headers.get(ORIGIN) else {
        return Origin::Unmarked;
    };
    let listener = &connection.listener;
    if listener.kind == crate::ListenerKind::Private {
        return Origin::Foreign;
    }
    let allowed = if websocket {
        &listener.websocket_origins
    } else {
        &listener.cors_origins
    };
    if allowed.is_any() {
        return Origin::Allowed(HeaderValue::from_static("*"));
    }
    let Ok(name) = value.to_str() else {
        return Origin::Foreign;
    };
    if allowed.allows(name) {
        return Origin::Allowed(value.clone());
    }
    match name.split_once("://") {
        Some(("http" | "https", host))
            if headers
                .get(HOST)
                .is_some_and(|own| own.as_bytes() == host.as_bytes()) =>
        {
            Origin::Unmarked
        }
        Some(("http" | "https", _)) | None => Origin::Foreign,
        Some(_) => Origin::Unmarked,
    }
}

fn preflight(headers: &HeaderMap, is_allowed: bool) -> Reply {
    let mut reply = Response::new(Parts::default());
    *reply.status_mut() = StatusCode::NO_CONTENT;
    if is_allowed {
        let answer = reply.headers_mut();
        answer.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("POST, GET, OPTIONS"),
        );
        answer.insert(
            ACCESS_CONTROL_MAX_AGE,
            HeaderValue::from_static(PREFLIGHT_SECONDS),
        );
        let asked = headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        answer.insert(
            ACCESS_CONTROL_ALLOW_HEADERS,
            asked.unwrap_or(HeaderValue::from_static("content-type")),
        );
        if headers.contains_key(REQUEST_PRIVATE_NETWORK) {
            answer.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
        }
    }
    reply
}

/// What a person, or a balancer, reads.
fn read(facts: &Facts, path: &str) -> Reply {
    match path {
        _ if !facts.is_gateway => text(StatusCode::OK, WELCOME),
        "/healthz" => text(StatusCode::OK, "ok\n"),
        "/readyz" => {
            facts.readiness_asked.store(true, Relaxed);
            if facts.ready.load(Relaxed) && !facts.leaving.load(Relaxed) {
                text(StatusCode::OK, "ok\n")
            } else {
                text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "No node can answer, or this gateway stops.\n",
                )
            }
        }
        _ => text(StatusCode::OK, GATEWAY_WELCOME),
    }
}

/// The user behind a trusted proxy; `None` when the connection is the user's.
fn user_of(connection: &Connection, headers: &HeaderMap) -> Option<Client> {
    let (shared, peer) = (&connection.shared, connection.client.ip);
    let ip = user_behind(peer, headers, &shared.limits)?;
    Some(shared.addresses.user(ip, &shared.limits))
}

async fn post(connection: &Arc<Connection>, request: Request<Incoming>) -> Reply {
    if !is_json(request.headers()) {
        return closing(text(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Send JSON with content-type application/json.\n",
        ));
    }
    let limits = &connection.shared.limits;
    let user = user_of(connection, request.headers());
    let client = user.as_ref().unwrap_or(&connection.client);
    let (body, place) = match timeout(
        limits.body_timeout,
        read_body(request, limits.body_bytes_max, &client.share.requests),
    )
    .await
    {
        Ok(Ok(body)) => body,
        Ok(Err(StatusCode::SERVICE_UNAVAILABLE)) => return busy(),
        Ok(Err(status)) => return closing(text(status, "The body is too large or broke off.\n")),
        Err(_) => {
            return closing(text(
                StatusCode::REQUEST_TIMEOUT,
                "The body took too long.\n",
            ));
        }
    };
    let caller = Caller {
        connection,
        client,
        session: None,
        share: &client.share,
        place: place.as_ref(),
    };
    let router = &connection.shared.router;
    let answer = router.answer(&caller, &body).await;
    let outcome = answer.as_ref().map_or(Outcome::Tried, Answered::outcome);
    let body = match answer {
        None => Parts::default(),
        Some(answer) => Parts::new(answer.into_parts()),
    };
    let mut reply = Response::new(body);
    reply
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if router.facts.is_gateway {
        let standing = client.address.standing(router.allowance(), Instant::now());
        say_standing(&mut reply, standing, outcome);
    }
    reply
}

/// What is left of the caller's allowance, and when to come back if nothing of the body was answered.
fn say_standing(reply: &mut Reply, standing: Option<Standing>, outcome: Outcome) {
    let number = |name, text: String, reply: &mut Reply| {
        // Digits and a name of ours.
        if let Ok(value) = HeaderValue::from_str(&text) {
            reply.headers_mut().insert(name, value);
        }
    };
    if let Some(standing) = standing {
        let policy = format!("\"rpc\";q={};w={}", standing.burst_units, standing.window_s);
        number(RATELIMIT_POLICY, policy, reply);
        let left = format!(
            "\"rpc\";r={};t={}",
            standing.left_units, standing.full_after_s
        );
        number(RATELIMIT, left, reply);
    }
    let retry_after_s = match outcome {
        Outcome::Tried => return,
        Outcome::Limited { retry_after_s } => {
            *reply.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            retry_after_s
        }
        Outcome::Unavailable => {
            *reply.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            1
        }
    };
    number(RETRY_AFTER, retry_after_s.to_string(), reply);
}

/// Forms can send other types without asking first; JSON they cannot.
fn is_json(headers: &HeaderMap) -> bool {
    let encoded = headers
        .get(CONTENT_ENCODING)
        .is_some_and(|value| value != "identity");
    let Some(Ok(value)) = headers.get(CONTENT_TYPE).map(HeaderValue::to_str) else {
        return false;
    };
    let kind = value.split_once(';').map_or(value, |(kind, _)| kind).trim();
    let known = [
        "application/json",
        "application/json-rpc",
        "application/jsonrequest",
    ];
    !encoded && known.iter().any(|name| kind.eq_ignore_ascii_case(name))
}

/// A declared length over the limit is refused before anything is read. A large body comes with its place in the budget.
async fn read_body(
    request: Request<Incoming>,
    bytes_max: usize,
    requests: &Arc<Budget>,
) -> Result<(Bytes, Option<Arc<Permit>>), StatusCode> {
    let declared = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared
        .is_some_and(|length| usize::try_from(length).is_err() || length as usize > bytes_max)
    {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let mut incoming = request.into_body();
    let mut intake = Intake::new(requests);
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(|_| StatusCode::BAD_REQUEST)?.into_data() else {
            continue;
        };
        if first.len() + rest.len() + data.len() > bytes_max {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        if !intake.add(data.len()) {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
                first = Bytes::new();
            }
            rest.extend_from_slice(&data);
        }
    }
    let body = if rest.is_empty() {
        first
    } else {
        rest.freeze()
    };
    Ok((body, intake.finish().map(Arc::new)))
}

/// There is no room for a large request now.
fn busy() -> Reply {
    let mut reply = closing(text(
        StatusCode::SERVICE_UNAVAILABLE,
        "Too many large requests are being read and answered: try again later.\n",
    ));
    reply
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    reply
}

pub(crate) fn text(status: StatusCode, message: &'static str) -> Reply {
    let mut reply = Response::new(Parts::from(Bytes::from_static(message.as_bytes())));
    *reply.status_mut() = status;
    reply.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    reply
}

/// What the peer still sends of this request is not read.
fn closing(mut reply: Reply) -> Reply {
    reply
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}
