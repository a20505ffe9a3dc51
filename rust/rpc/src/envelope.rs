//! JSON-RPC 2.0 framing: bytes to calls, answers to bytes. Knows no method.
//!
//! Parameters and results stay raw JSON: they are copied, never parsed or checked again here. The id is echoed
//! byte for byte, so negative, fractional and huge numbers come back as they were sent.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::error::{INVALID_REQUEST, PARSE_ERROR, RpcError};
use crate::methods::Answer;

/// One request or notification.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// The id as it was written; `None` for a notification, which gets no response.
    pub(crate) id: Option<&'a str>,
    pub(crate) method: Cow<'a, str>,
    pub(crate) params: Option<&'a RawValue>,
}

/// What a body asks for.
#[derive(Debug)]
pub(crate) enum Message<'a> {
    Single(Result<Call<'a>, Refusal<'a>>),
    Batch(Vec<Result<Call<'a>, Refusal<'a>>>),
}

/// A request that is none, and the id its response carries.
#[derive(Debug)]
pub(crate) struct Refusal<'a> {
    pub(crate) id: &'a str,
    pub(crate) error: RpcError,
}

/// The id of a response whose request's id is not known.
pub(crate) const NULL: &str = "null";

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

/// Of a malformed request, the part that lets its sender find it again.
#[derive(Deserialize)]
struct OnlyId<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

/// Tells `"id": null` from no id at all.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Message<'a> {
    /// Reads a body. A batch of no items, or of more than `batch_items_max`, is one refusal.
    pub(crate) fn decode(body: &'a [u8], batch_items_max: usize) -> Self {
        if !is_batch(body) {
            return Self::Single(decode_call(body));
        }
        let items: Vec<&RawValue> = match serde_json::from_slice(body) {
            Ok(items) => items,
            Err(_) => {
                return Self::Single(Err(Refusal {
                    id: NULL,
                    error: not_json(),
                }));
            }
        };
        if items.is_empty() {
            return Self::refused("empty batch".to_owned());
        }
        if items.len() > batch_items_max {
            return Self::refused(format!(
                "batch too large: {} requests, at most {batch_items_max}",
                items.len()
            ));
        }
        Self::Batch(
            items
                .into_iter()
                .map(|item| decode_call(item.get().as_bytes()))
                .collect(),
        )
    }

    fn refused(message: String) -> Self {
        Self::Single(Err(Refusal {
            id: NULL,
            error: RpcError::new(INVALID_REQUEST, message),
        }))
    }
}

/// Whether a body holds several requests, if it is JSON at all.
pub(crate) fn is_batch(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

fn decode_call(text: &[u8]) -> Result<Call<'_>, Refusal<'_>> {
    let request: Request<'_> = match serde_json::from_slice(text) {
        Ok(request) => request,
        Err(error) if error.classify() == Category::Data => {
            // Valid JSON of another shape, an object with a key twice included; unless it breaks off further on.
            return match serde_json::from_slice::<&RawValue>(text) {
                Ok(_) => Err(Refusal {
                    id: find_id(text),
                    error: not_a_request(),
                }),
                Err(_) => Err(Refusal {
                    id: NULL,
                    error: not_json(),
                }),
            };
        }
        Err(_) => {
            return Err(Refusal {
                id: NULL,
                error: not_json(),
            });
        }
    };
    let id = match request.id.map(RawValue::get) {
        Some(id) if id.starts_with(['{', '[', 't', 'f']) => {
            return Err(Refusal {
                id: NULL,
                error: not_a_request(),
            });
        }
        id => id,
    };
    if request.jsonrpc != "2.0" {
        return Err(Refusal {
            id: id.unwrap_or(NULL),
            error: not_a_request(),
        });
    }
    Ok(Call {
        id,
        method: request.method,
        params: request.params,
    })
}

fn find_id(text: &[u8]) -> &str {
    match serde_json::from_slice::<OnlyId<'_>>(text) {
        Ok(OnlyId { id: Some(id) }) if !id.get().starts_with(['{', '[', 't', 'f']) => id.get(),
        _ => NULL,
    }
}

fn not_json() -> RpcError {
    RpcError::new(PARSE_ERROR, "parse error")
}

fn not_a_request() -> RpcError {
    RpcError::new(INVALID_REQUEST, "invalid request")
}

/// Appends the response object of one call.
pub(crate) fn encode_answer(out: &mut Vec<u8>, id: &str, answer: &Answer) {
    let text = text_of(answer).map_or("", RawValue::get);
    out.reserve(128 + id.len() + text.len());
    encode_opening(out, id, answer);
    out.extend_from_slice(text.as_bytes());
    encode_closing(out, answer);
}

/// What of an answer is JSON already, and can be large.
pub(crate) fn text_of(answer: &Answer) -> Option<&RawValue> {
    match answer {
        Ok(result) => Some(result),
        Err(error) => error.data.as_deref(),
    }
}

/// Writes what stands before the text of an answer.
pub(crate) fn encode_opening(out: &mut Vec<u8>, id: &str, answer: &Answer) {
    out.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    out.extend_from_slice(id.as_bytes());
    match answer {
        Ok(_) => out.extend_from_slice(b",\"result\":"),
        Err(error) => {
            out.extend_from_slice(b",\"error\":{\"code\":");
            out.extend_from_slice(error.code.to_string().as_bytes());
            out.extend_from_slice(b",\"message\":");
            // A string into memory: nothing of this can fail.
            let _ = serde_json::to_writer(&mut *out, &error.message);
            if error.data.is_some() {
                out.extend_from_slice(b",\"data\":");
            }
        }
    }
}

/// Writes what stands behind the text of an answer.
pub(crate) fn encode_closing(out: &mut Vec<u8>, answer: &Answer) {
    out.extend_from_slice(if answer.is_ok() { b"}" } else { b"}}" });
}

/// What stands before and behind the result in a notification to a subscriber.
pub(crate) fn around_notification(subscription: &str) -> (String, &'static str) {
    let before = format!(
        r#"{{"jsonrpc":"2.0","method":"eth_subscription","params":{{"subscription":"{subscription}","result":"#
    );
    (before, "}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::growth::assert_grows_with_size;

    fn describe(body: &str) -> String {
        let one = |item: Result<Call<'_>, Refusal<'_>>| match item {
            Ok(call) => format!(
                "{} {:?} {:?}",
                call.method,
                call.id,
                call.params.map(RawValue::get)
            ),
            Err(refusal) => format!("{} {}", refusal.error.code, refusal.id),
        };
        match Message::decode(body.as_bytes(), 3) {
            Message::Single(item) => one(item),
            Message::Batch(items) => {
                let items: Vec<_> = items.into_iter().map(one).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }

    #[test]
    fn bodies_become_calls_or_refusals() {
        for (body, expected) in [
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","params":[1]}"#,
                r#"m Some("1") Some("[1]")"#,
            ),
            (
                r#"  {"id":"a\"b","method":"m","jsonrpc":"2.0"} "#,
                r#"m Some("\"a\\\"b\"") None"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#,
                r#"m Some("null") None"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":-1.5e3,"method":"m"}"#,
                r#"m Some("-1.5e3") None"#,
            ),
            (r#"{"jsonrpc":"2.0","method":"m"}"#, "m None None"),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","other":{}}"#,
                r#"m Some("1") None"#,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"\u006d"}"#,
                r#"m Some("1") None"#,
            ),
            (r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#, "-32600 1"),
            (r#"{"id":7,"method":"m"}"#, "-32600 7"),
            (r#"{"jsonrpc":"2.0","id":7}"#, "-32600 7"),
            (r#"{"jsonrpc":"2.0","id":7,"method":5}"#, "-32600 7"),
            (r#"{"jsonrpc":"2.0","id":{},"method":"m"}"#, "-32600 null"),
            (r#"{"jsonrpc":"2.0","id":[1],"method":"m"}"#, "-32600 null"),
            (r#"{"jsonrpc":"2.0","id":true,"method":"m"}"#, "-32600 null"),
            (
                r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}"#,
                "-32600 null",
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"m","method":"n"}"#,
                "-32600 1",
            ),
            (r#"{"jsonrpc":"2.0","id":NaN,"method":"m"}"#, "-32700 null"),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"\ud800"}"#,
                "-32700 null",
            ),
            (r#"{"jsonrpc":"2.0","id":1,"method":"m"} x"#, "-32700 null"),
            (r#"{"jsonrpc":"2.0","id":1,"method":5"#, "-32700 null"),
            ("", "-32700 null"),
            ("   ", "-32700 null"),
            ("\u{feff}{}", "-32700 null"),
            ("5", "-32600 null"),
            ("\"text\"", "-32600 null"),
            ("{}", "-32600 null"),
            ("[]", "-32600 null"),
            ("[1,2,3,4]", "-32600 null"),
            ("[1", "-32700 null"),
            (
                r#"[{"jsonrpc":"2.0","id":1,"method":"m"},[],7]"#,
                r#"[m Some("1") None, -32600 null, -32600 null]"#,
            ),
        ] {
            assert_eq!(describe(body), expected, "{body}");
        }
    }

    #[test]
    fn every_truncation_of_a_request_is_a_parse_error() {
        let body =
            r#"{"jsonrpc":"2.0","id":12,"method":"eth_call","params":[{"to":"0x00"},"latest"]}"#;
        for length in 0..body.len() {
            assert_eq!(
                describe(&body[..length]),
                "-32700 null",
                "{}",
                &body[..length]
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn random_bodies_never_harm(body: Vec<u8>) {
            let _ = Message::decode(&body, 3);
        }

        #[test]
        fn every_id_comes_back_byte_for_byte(id in "(-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,9})?)|\"[a-z\u{e9} ]{0,9}\"|null") {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m","params":[]}}"#);
            let Message::Single(Ok(call)) = Message::decode(body.as_bytes(), 3) else { panic!("{body}") };
            assert_eq!(call.id, Some(&*id));
        }
    }

    #[test]
    fn invalid_utf8_is_a_parse_error() {
        let body = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":[\"\xff\"]}";
        let Message::Single(Err(refusal)) = Message::decode(body, 3) else {
            panic!("accepted")
        };
        assert_eq!(refusal.error.code, PARSE_ERROR);
    }

    #[test]
    fn deep_nesting_costs_no_stack() {
        let deep = "[".repeat(100_000);
        let balanced = format!("{deep}{}", "]".repeat(100_000));
        let inside = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{balanced}}}"#);
        assert_eq!(describe(&deep), "-32700 null");
        assert_eq!(describe(&balanced), "[-32600 null]");
        assert!(describe(&inside).starts_with("m Some"));
        assert_eq!(describe(&"{\"a\":".repeat(100_000)), "-32700 null");
    }

    #[test]
    fn a_hostile_body_takes_work_in_proportion_to_its_size() {
        type Shape = (&'static str, fn(usize) -> String);
        const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"m","params":"#;
        let shapes: [Shape; 6] = [
            ("open arrays", |count| "[".repeat(count)),
            ("open objects", |count| "{\"a\":".repeat(count)),
            ("deep parameters", |count| {
                format!("{CALL}{}{}}}", "[".repeat(count), "]".repeat(count))
            }),
            ("a long number", |count| {
                format!("{CALL}[{}]}}", "9".repeat(count))
            }),
            ("many escapes", |count| {
                format!("{CALL}[\"{}\"]}}", "\\ud800".repeat(count))
            }),
            ("a batch over the limit", |count| {
                format!("[{}0]", "0,".repeat(count))
            }),
        ];
        for (name, body) in shapes {
            assert_grows_with_size(name, 25_000, body, |body| {
                std::hint::black_box(Message::decode(body.as_bytes(), 3));
            });
        }
    }

    #[test]
    fn answers_become_response_objects() {
        let mut out = Vec::new();
        encode_answer(
            &mut out,
            "\"x\"",
            &Ok(RawValue::from_string("[1]".to_owned()).unwrap()),
        );
        assert_eq!(out, br#"{"jsonrpc":"2.0","id":"x","result":[1]}"#);
        out.clear();
        let data = RawValue::from_string("\"0x08\"".to_owned()).unwrap();
        let error = RpcError {
            code: 3,
            message: "say \"no\"".to_owned(),
            data: Some(data),
        };
        encode_answer(&mut out, "1", &Err(error));
        let expected =
            br#"{"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"say \"no\"","data":"0x08"}}"#;
        assert_eq!(out, expected);
    }
}
