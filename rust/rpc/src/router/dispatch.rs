//! From a call to the start of its answer, here or with those who answer it, and to the answer's end.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{Answerer, Caller, Route, Router};
use crate::address::{Over, TooEarly};
use crate::envelope::Call;
use crate::error::RpcError;
use crate::lanes::call_guarded;
use crate::methods::{Answer, Cost, Forwarded, Reply};
use crate::response::Made;
use crate::statistics::{Failure, MethodCounters};

/// The start of an answer.
pub(super) enum Started {
    Ready(Answer),
    /// In a lane of ours, or outside.
    Waiting(oneshot::Receiver<Made>, Duration),
    /// Not tried.
    Refused(Made, Failure),
}

/// The end of an answer, and how it failed if it did.
pub(super) type Finished = (Made, Option<Failure>);

impl Started {
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self, Self::Waiting(..))
    }

    pub(super) async fn finish(self) -> Finished {
        // Whoever had the call and dropped it gave it up without a word.
        let made = match self {
            Self::Ready(answer) => Made::free(answer),
            Self::Waiting(made, limit) => match timeout(limit, made).await {
                Ok(Ok(made)) => made,
                Ok(Err(_)) => Made::free(Err(RpcError::internal())),
                Err(_) => Made::free(Err(RpcError::timed_out())),
            },
            Self::Refused(made, failure) => return (made, Some(failure)),
        };
        let failure = made.refused.is_some().then_some(Failure::Limited);
        (made, failure)
    }
}

impl Router {
    pub(super) fn start(
        &self,
        caller: &Caller<'_>,
        call: &Call<'_>,
        now: Instant,
    ) -> (&MethodCounters, Started) {
        let (allowance, together) = (self.limits.allowance.as_ref(), self.together.as_ref());
        let address = &caller.client.address;
        if let Err(early) = address.take(allowance, together, &call.method, now) {
            let counters = self.routes.get(&*call.method).map(|route| &route.counters);
            return (counters.unwrap_or(&self.unknown), self.refuse_early(early));
        }
        let not_found = || Made::free(Err(RpcError::method_not_found(&call.method)));
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

    fn refuse_early(&self, early: TooEarly) -> Started {
        let (counter, rate) = match early.over {
            Over::OfClient => (&self.counters.over_rate_of_client, "request rate limit"),
            Over::OfAll => (
                &self.counters.over_rate_of_all,
                "request rate limit of all callers together",
            ),
        };
        counter.fetch_add(1, Relaxed);
        let made = Made::too_early(rate, early.retry_after_s);
        Started::Refused(made, Failure::Limited)
    }

    /// A call for one of the two sides.
    pub(super) fn pass_on(
        &self,
        route: &Route,
        caller: &Caller<'_>,
        params: Option<&RawValue>,
    ) -> Started {
        let queued = match route.answerer {
            Answerer::Methods(cost) => match cost.with(params) {
                Cost::Heavy if self.facts.shedding.load(Relaxed) => Err(RpcError::busy()),
                Cost::Heavy => self
                    .lanes
                    .heavy(&route.name, params, caller.place, caller.share),
                Cost::Write => self.lanes.write(&route.name, params, caller.place),
                Cost::Read | Cost::ReadUnlessPending => {
                    return Started::Ready(call_guarded(&*self.methods, &route.name, params));
                }
            },
            Answerer::Own(_) => {
                return Started::Ready(call_guarded(&*self.methods, &route.name, params));
            }
            Answerer::Outside => {
                let (made, answer) = oneshot::channel();
                let request = Forwarded {
                    method: route.name.to_string(),
                    params: params.map(ToOwned::to_owned),
                    listener: caller.connection.listener.kind,
                    peer: caller.client.ip,
                    is_limited: !caller.client.address.exempt,
                    reply: Reply {
                        made,
                        room: Arc::clone(&caller.share.answers),
                        place: caller.place.cloned(),
                    },
                };
                match self.outside.forward(request) {
                    Ok(()) => return Started::Waiting(answer, self.limits.outside_timeout),
                    Err(_) => Err(RpcError::busy()),
                }
            }
        };
        match queued {
            Ok(answer) => Started::Waiting(answer, self.limits.heavy_timeout),
            Err(error) => {
                self.counters.shed.fetch_add(1, Relaxed);
                Started::Refused(Made::free(Err(error)), Failure::Limited)
            }
        }
    }
}
