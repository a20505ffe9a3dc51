//! The bytes of one response, from the first answer in it to the last byte that its caller has taken.
//!
//! A caller that asks and does not read makes the node keep what it asked for. Small answers are bounded by the number of
//! connections; what is large is taken from one budget, and an answer that finds no room there is refused.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::budget::{Budget, Permit};
use crate::envelope::{encode_answer, encode_closing, encode_opening, text_of};
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
    let message = answer.as_ref().err().map_or(0, |error| error.message.len());
    message + text_of(answer).map_or(0, |text| text.get().len())
}

/// What goes back to a caller, in parts: a large answer stays where it was made, and what is between the large ones is gathered.
#[derive(Debug, Default)]
pub(crate) struct Response {
    /// What is whole, in order. Each part keeps its place in the budget until it is dropped.
    parts: VecDeque<Bytes>,
    parts_bytes: usize,
    /// What follows them and is still written to.
    tail: Vec<u8>,
    answered: usize,
    limited: usize,
    unavailable: usize,
}

/// A part, and its place in the budget.
#[derive(Debug)]
struct Part<T> {
    text: T,
    _permit: Permit,
}

impl AsRef<[u8]> for Part<Vec<u8>> {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

impl AsRef<[u8]> for Part<Box<RawValue>> {
    fn as_ref(&self) -> &[u8] {
        self.text.get().as_bytes()
    }
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

    /// Bytes in all.
    pub(crate) fn len(&self) -> usize {
        self.parts_bytes + self.tail.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends a few bytes of ours.
    pub(crate) fn push(&mut self, byte: u8) {
        self.tail.push(byte);
    }

    /// Appends an answer that is known to be small.
    pub(crate) fn append_small(&mut self, id: &str, answer: &Answer) {
        encode_answer(&mut self.tail, id, answer);
    }

    /// Appends an answer. The error is that there is no room for it: nothing was appended.
    pub(crate) fn append(
        &mut self,
        id: &str,
        made: Made,
        budget: &Arc<Budget>,
    ) -> Result<(), RpcError> {
        let Made { answer, permit } = made;
        let bytes = length(&answer);
        let take = |bytes| budget.take(bytes).ok_or_else(|| budget.refuse(bytes));
        let permit = match permit {
            None if bytes >= SMALL_BYTES => Some(take(bytes)?),
            permit => permit,
        };
        if let Some(permit) = permit {
            self.append_large(id, answer, permit);
            return Ok(());
        }
        let before = self.tail.len();
        self.append_small(id, &answer);
        if self.tail.len() < SMALL_BYTES {
            return Ok(());
        }
        match take(self.tail.len()) {
            Ok(permit) => {
                let text = std::mem::take(&mut self.tail);
                self.push_part(Bytes::from_owner(Part {
                    text,
                    _permit: permit,
                }));
                Ok(())
            }
            Err(refused) => {
                self.tail.truncate(before);
                Err(refused)
            }
        }
    }

    fn append_large(&mut self, id: &str, answer: Answer, permit: Permit) {
        encode_opening(&mut self.tail, id, &answer);
        let mut closing = Vec::new();
        encode_closing(&mut closing, &answer);
        let text = match answer {
            Ok(result) => Some(result),
            Err(error) => error.data,
        };
        if let Some(text) = text {
            let opening = std::mem::take(&mut self.tail);
            self.push_part(Bytes::from(opening));
            self.push_part(Bytes::from_owner(Part {
                text,
                _permit: permit,
            }));
        }
        self.tail.append(&mut closing);
    }

    fn push_part(&mut self, part: Bytes) {
        self.parts_bytes += part.len();
        self.parts.push_back(part);
    }

    /// All of it in order.
    pub(crate) fn into_parts(mut self) -> VecDeque<Bytes> {
        if !self.tail.is_empty() {
            self.parts.push_back(Bytes::from(self.tail));
        }
        self.parts
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

    fn text_of_all(response: Response) -> String {
        let parts: Vec<u8> = response.into_parts().into_iter().flatten().collect();
        String::from_utf8(parts).unwrap()
    }

    #[test]
    fn a_response_holds_what_it_has_until_it_is_dropped() {
        let budget = Budget::new(300_000);
        let mut response = Response::default();
        let made = Made::new(answer(200_000), &budget);
        response.append("1", made, &budget).unwrap();
        assert!(budget.take(150_000).is_none());
        let mut many = 0;
        while response
            .append("1", Made::free(answer(1_000)), &budget)
            .is_ok()
        {
            many += 1;
        }
        assert!((64..300).contains(&many), "small ones add up: {many}");
        let whole = response.len();
        assert!(
            response
                .append("1", Made::free(answer(1_000)), &budget)
                .is_err()
        );
        assert_eq!(response.len(), whole);
        drop(response);
        assert!(budget.take(300_000).is_some());
    }

    #[test]
    fn an_answer_that_was_taken_gives_its_place_back_before_the_others() {
        let budget = Budget::new(300_000);
        let mut response = Response::default();
        for _ in 0..2 {
            let made = Made::new(answer(100_000), &budget);
            response.append("1", made, &budget).unwrap();
        }
        let mut parts = response.into_parts();
        assert!(budget.take(110_000).is_none());
        drop(parts.drain(..2));
        assert!(budget.take(110_000).is_some());
    }

    #[test]
    fn large_and_small_answers_stand_in_their_order() {
        let budget = Budget::new(10_000_000);
        let reverted = |bytes| {
            Err(RpcError {
                data: Some(answer(bytes).unwrap()),
                ..RpcError::new(3, "execution \"reverted\"")
            })
        };
        let all = [
            answer(10),
            answer(70_000),
            reverted(5),
            reverted(70_000),
            Err(RpcError::new(-32000, "x".repeat(70_000))),
            answer(70_000),
            answer(65_000),
            answer(65_000),
        ];
        let (mut response, mut expected) = (Response::default(), Vec::new());
        for (number, answer) in all.into_iter().enumerate() {
            let id = number.to_string();
            encode_answer(&mut expected, &id, &answer);
            response.append(&id, Made::free(answer), &budget).unwrap();
            assert_eq!(response.len(), expected.len());
        }
        assert_eq!(text_of_all(response), String::from_utf8(expected).unwrap());
        assert!(budget.take(10_000_000).is_some(), "all is given back");
    }
}
