//! The bytes of one response, from the first answer in it to the last byte that its caller has taken.
//!
//! A caller that asks and does not read makes the node keep what it asked for. Small answers are bounded by the number of
//! connections; what is large is taken from one budget, and an answer that finds no room there is refused.

use std::sync::Arc;

use crate::budget::{Budget, Permit};
use crate::envelope::encode_answer;
use crate::error::{RpcError, UNAVAILABLE};
use crate::methods::Answer;
use crate::statistics::Failure;

/// Answers below this cost no place in the budget: the usual ones.
const SMALL_BYTES: usize = 64 << 10;

/// An answer, and its place in the budget when it is large.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) answer: Answer,
    permit: Option<Permit>,
}

impl Made {
    /// Finds room for an answer, or puts a refusal in its place.
    pub(crate) fn new(answer: Answer, budget: &Arc<Budget>) -> Self {
        let bytes = length(&answer);
        if bytes < SMALL_BYTES {
            return Self::free(answer);
        }
        match budget.take(bytes) {
            Some(permit) => Self {
                answer,
                permit: Some(permit),
            },
            None => Self::free(Err(budget.refuse(bytes))),
        }
    }

    /// An answer that holds no place.
    pub(crate) fn free(answer: Answer) -> Self {
        Self {
            answer,
            permit: None,
        }
    }
}

/// Bytes of the parts that a caller can make large.
pub(crate) fn length(answer: &Answer) -> usize {
    match answer {
        Ok(result) => result.get().len(),
        Err(error) => error.message.len() + error.data.as_ref().map_or(0, |data| data.get().len()),
    }
}

/// What goes back to a caller.
#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) bytes: Vec<u8>,
    permits: Vec<Permit>,
    answered: usize,
    limited: usize,
    unavailable: usize,
}

/// How a body was answered as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// At least one call was tried.
    Tried,
    /// Every call was refused: its caller has used up its allowance, or the server is full.
    Limited,
    /// For every call there was nobody who could answer.
    Unavailable,
}

impl Response {
    /// Counts a call, and how it failed.
    pub(crate) fn record(&mut self, failed: Option<(Failure, i32)>) {
        self.answered += 1;
        match failed {
            Some((Failure::Limited, _)) => self.limited += 1,
            Some((_, UNAVAILABLE)) => self.unavailable += 1,
            _ => {}
        }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        match self.answered {
            0 => Outcome::Tried,
            all if all == self.limited => Outcome::Limited,
            all if all == self.unavailable => Outcome::Unavailable,
            _ => Outcome::Tried,
        }
    }

    /// Appends an answer. The error is that there is no room for it: nothing was appended.
    pub(crate) fn append(
        &mut self,
        id: &str,
        made: &mut Made,
        budget: &Arc<Budget>,
    ) -> Result<(), RpcError> {
        let before = self.bytes.len();
        encode_answer(&mut self.bytes, id, &made.answer);
        self.permits.extend(made.permit.take());
        let held: usize = self.permits.iter().map(Permit::bytes).sum();
        let more = self.bytes.len().saturating_sub(held);
        if more < SMALL_BYTES {
            return Ok(());
        }
        match budget.take(more) {
            Some(permit) => {
                self.permits.push(permit);
                Ok(())
            }
            None => {
                self.bytes.truncate(before);
                Err(budget.refuse(more))
            }
        }
    }

    /// Whether it takes a place in the budget until it is dropped.
    pub(crate) fn is_large(&self) -> bool {
        !self.permits.is_empty()
    }
}

impl AsRef<[u8]> for Response {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn answer(bytes: usize) -> Answer {
        Ok(RawValue::from_string(format!("\"{}\"", "x".repeat(bytes))).unwrap())
    }

    #[test]
    fn small_answers_are_free_and_large_ones_have_to_find_room() {
        let budget = Budget::new(300_000);
        assert!(Made::new(answer(1_000), &budget).permit.is_none());
        let first = Made::new(answer(200_000), &budget);
        assert!(first.permit.is_some());
        let refused = Made::new(answer(200_000), &budget).answer.unwrap_err();
        assert_eq!(refused.code, RpcError::busy().code);
        drop(first);
        assert!(Made::new(answer(200_000), &budget).answer.is_ok());
    }

    #[test]
    fn a_response_holds_what_it_has_until_it_is_dropped() {
        let budget = Budget::new(300_000);
        let mut response = Response::default();
        let mut made = Made::new(answer(200_000), &budget);
        response.append("1", &mut made, &budget).unwrap();
        drop(made);
        assert!(budget.take(150_000).is_none());
        let mut many = 0;
        while response
            .append("1", &mut Made::free(answer(1_000)), &budget)
            .is_ok()
        {
            many += 1;
        }
        assert!((64..300).contains(&many), "small ones add up: {many}");
        let whole = response.bytes.len();
        assert!(
            response
                .append("1", &mut Made::free(answer(1_000)), &budget)
                .is_err()
        );
        assert_eq!(response.bytes.len(), whole);
        drop(response);
        assert!(budget.take(300_000).is_some());
    }
}
