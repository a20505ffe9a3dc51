//! What the server's own methods answer: facts of the node, filters, subscriptions, and sending with a wait.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use alloy_primitives::keccak256;
use serde_json::value::{RawValue, to_raw_value};

use super::dispatch::Started;
use super::{Caller, Router};
use crate::criteria::{Topic, parse_criteria};
use crate::data;
use crate::envelope::Call;
use crate::error::{METHOD_NOT_FOUND, RpcError, brief};
use crate::methods::Answer;
use crate::own::Own;
use crate::sending;

impl Router {
    pub(super) fn answer_own(
        &self,
        own: Own,
        caller: &Caller<'_>,
        call: &Call<'_>,
        now: Instant,
    ) -> Started {
        let facts = &self.facts;
        if takes_nothing(own)
            && let Err(error) = no_param(call)
        {
            return Started::Ready(Err(error));
        }
        Started::Ready(match own {
            Own::ClientVersion => json(&facts.client_version),
            Own::Sha3 => one_param(call).and_then(|text: String| match data::parse(&text) {
                Ok(bytes) => json(&keccak256(bytes)),
                Err(what) => Err(RpcError::invalid_params(format!(
                    "invalid argument 0: {what}"
                ))),
            }),
            Own::NetworkId => json(&facts.network_id.to_string()),
            Own::Listening => json(&facts.listening.load(Relaxed)),
            Own::PeerCount => json(&format!("0x{:x}", facts.peers.load(Relaxed))),
            Own::Modules => json(&caller.connection.listener.modules),
            Own::SendSync => {
                return self
                    .send_and_wait(caller, call)
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

    fn send_and_wait(&self, caller: &Caller<'_>, call: &Call<'_>) -> Result<Started, RpcError> {
        let (params, wait) = sending::parse(call.params)?;
        let Some(send) = self.routes.get(sending::SEND) else {
            return Err(RpcError::method_not_found(&call.method));
        };
        let sent = self.lanes.write(&send.name, Some(&params), caller.place)?;
        let room = Arc::clone(&caller.share.answers);
        let answer = self
            .senders
            .wait(Arc::clone(&self.methods), sent, wait, room)?;
        Ok(Started::Waiting(answer, sending::ANSWER_TIMEOUT))
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

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Answer {
    to_raw_value(value).map_err(|_| RpcError::internal())
}

fn join(entries: &[Arc<str>]) -> Answer {
    RawValue::from_string(format!("[{}]", entries.join(","))).map_err(|_| RpcError::internal())
}

fn takes_nothing(own: Own) -> bool {
    matches!(
        own,
        Own::ClientVersion
            | Own::NetworkId
            | Own::Listening
            | Own::PeerCount
            | Own::Modules
            | Own::Discover
            | Own::NewBlockFilter
    )
}

/// That there is no parameter.
fn no_param(call: &Call<'_>) -> Result<(), RpcError> {
    let text = call.params.map_or("[]", RawValue::get);
    match serde_json::from_str::<Vec<&RawValue>>(text) {
        Ok(params) if params.is_empty() => Ok(()),
        Ok(_) => Err(RpcError::invalid_params(
            "too many arguments, want at most 0",
        )),
        Err(_) if text == "null" => Ok(()),
        Err(_) => Err(RpcError::invalid_params("parameters are not an array")),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::growth::assert_grows_with_size;

    #[test]
    fn a_hostile_parameter_takes_work_in_proportion_to_its_size() {
        type Shape = (&'static str, fn(usize) -> String);
        let shapes: [Shape; 4] = [
            ("deep arrays", |count| {
                format!("{}{}", "[".repeat(count), "]".repeat(count))
            }),
            ("a long number", |count| format!("[{}]", "9".repeat(count))),
            ("many escapes", |count| {
                format!("[\"{}\\ud800\"]", "\\n".repeat(count))
            }),
            ("many parameters", |count| {
                format!("[{}0]", "0,".repeat(count))
            }),
        ];
        for (name, params) in shapes {
            assert_grows_with_size(name, 25_000, params, |params| {
                let call = Call {
                    id: None,
                    method: "web3_sha3".into(),
                    params: Some(serde_json::from_str(params).unwrap()),
                };
                one_param::<String>(&call).unwrap_err();
            });
        }
    }
}
