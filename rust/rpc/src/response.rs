//! The bytes of one response, from the first answer in it to the last byte that its caller has taken.
//!
//! A caller that asks and does not read makes the node keep what it asked for. Small answers find room in a little that each
//! connection has of its own; what is large, or more than that, is taken from one budget, and an answer that finds no room there is refused.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::budget::{Budget, Permit};
use crate::envelope::{NULL, encode_answer, encode_closing, encode_opening, text_of};
use crate::error::{RpcError, UNAVAILABLE};
use crate::methods::Answer;
use crate::statistics::Failure;

/// Answers below this, together on one connection, cost no place in the budget: the usual ones.
const SMALL_BYTES: usize = 64 << 10;
/// A longer id is not repeated where there is no room for it.
const REFUSED_ID_BYTES_MAX: usize = 256;

/// Where the answers of a connection find room.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    /// For small ones, this connection's alone.
    own: Arc<Budget>,
    /// For large ones, and where the own is used up.
    shared: Arc<Budget>,
}

impl Room {
    pub(crate) fn new(shared: &Arc<Budget>) -> Self {
        Self {
            own: Budget::new(SMALL_BYTES),
            shared: Arc::clone(shared),
        }
    }

    /// That of one connection more, of the same callers.
    pub(crate) fn of_connection(&self) -> Self {
        Self::new(&self.shared)
    }

    /// For the answers of one request: no more waits for it than its response may have.
    pub(crate) fn of_response(&self, bytes_max: usize) -> Self {
        Self {
            own: Arc::clone(&self.own),
            shared: Budget::share(&self.shared, bytes_max, RpcError::response_too_large),
        }
    }

    pub(crate) fn take(&self, bytes: usize) -> Result<Permit, RpcError> {
        match self.take_own(bytes) {
            Some(permit) => Ok(permit),
            None => self.take_shared(bytes),
        }
    }

    fn take_own(&self, bytes: usize) -> Option<Permit> {
        (bytes < SMALL_BYTES)
            .then(|| self.own.take(bytes))
            .flatten()
    }

    fn take_shared(&self, bytes: usize) -> Result<Permit, RpcError> {
        self.shared
            .take(bytes)
            .ok_or_else(|| self.shared.refuse(bytes))
    }
}

/// An answer, and its place where it waits to be written.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) answer: Answer,
    /// Set when it is a refusal in the place of an answer.
    pub(crate) refused: Option<Refused>,
    permit: Option<Permit>,
}

/// Why a call has no answer that could have had one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There was no room for it.
    NoRoom,
    /// It was over a rate.
    TooEarly { retry_after_s: u64 },
}

impl Made {
    /// Finds room for an answer that may have to wait, or puts a refusal in its place.
    pub(crate) fn new(answer: Answer, room: &Room) -> Self {
        match room.take(length(&answer)) {
            Ok(permit) => Self {
                answer,
                refused: None,
                permit: Some(permit),
            },
            Err(refused) => Self {
                refused: Some(Refused::NoRoom),
                ..Self::free(Err(refused))
            },
        }
    }

    /// The refusal of a call that is over a rate, named as callers read it.
    pub(crate) fn too_early(rate: &str, retry_after_s: u64) -> Self {
        Self {
            refused: Some(Refused::TooEarly { retry_after_s }),
            ..Self::free(Err(RpcError::too_early(rate, retry_after_s)))
        }
    }

    /// An answer that holds no place: it is written at once, or finds its place in a response.
    pub(crate) fn free(answer: Answer) -> Self {
        Self {
            answer,
            refused: None,
            permit: None,
        }
    }
}

/// Bytes of the parts that a caller can make large, as they are written.
pub(crate) fn length(answer: &Answer) -> usize {
    let message = answer
        .as_ref()
        .err()
        .map_or(0, |error| written_length(&error.message));
    message + text_of(answer).map_or(0, |text| text.get().len())
}

/// Bytes of a text as JSON without its quotes: what a contract gives as its reason may take six times as many.
fn written_length(text: &str) -> usize {
    let one = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(one).sum()
}

/// What goes back to a caller, in parts: a large answer stays where it was made, and what is between the large ones is gathered.
#[derive(Debug, Default)]
pub(crate) struct Response {
    /// What is whole, in order. Each part keeps its place in the budget until it is dropped.
    parts: VecDeque<Bytes>,
    parts_bytes: usize,
    /// What follows them and is still written to.
    tail: Vec<u8>,
    /// Its place, where it has to wait for more.
    tail_permit: Option<Permit>,
    answered: usize,
    limited: usize,
    /// Until the first of those may be tried again.
    retry_after_s: Option<u64>,
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
    /// Every call was refused: a rate or the server is used up.
    Limited {
        /// Until the first of them may be tried again.
        retry_after_s: u64,
    },
    /// For every call there was nobody who could answer.
    Unavailable,
}

impl Response {
    /// Counts a call, and how it failed.
    pub(crate) fn record(&mut self, failed: Option<(Failure, i32)>, refused: Option<Refused>) {
        self.answered += 1;
        match failed {
            Some((Failure::Limited, _)) => {
                self.limited += 1;
                let retry_after_s = match refused {
                    Some(Refused::TooEarly { retry_after_s }) => retry_after_s,
                    // What is full may have room again at once.
                    _ => 1,
                };
                let first = self.retry_after_s.unwrap_or(retry_after_s);
                self.retry_after_s = Some(first.min(retry_after_s));
            }
            Some((_, UNAVAILABLE)) => self.unavailable += 1,
            _ => {}
        }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        match self.answered {
            0 => Outcome::Tried,
            all if all == self.limited => Outcome::Limited {
                retry_after_s: self.retry_after_s.unwrap_or(1),
            },
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

    /// Appends a small error where there is no room for anything else.
    pub(crate) fn append_refusal(&mut self, id: &str, error: RpcError) {
        let id = if id.len() <= REFUSED_ID_BYTES_MAX {
            id
        } else {
            NULL
        };
        encode_answer(&mut self.tail, id, &Err(error));
    }

    /// Appends an answer. The error is that there is no room for it: nothing was appended.
    pub(crate) fn append(&mut self, id: &str, made: Made, room: &Room) -> Result<(), RpcError> {
        let Made { answer, permit, .. } = made;
        let bytes = id.len() + length(&answer);
        if bytes >= SMALL_BYTES {
            let permit = match permit {
                Some(mut permit) if permit.bytes() >= SMALL_BYTES => {
                    let more = bytes.saturating_sub(permit.bytes());
                    if !permit.grow(more) {
                        return Err(room.shared.refuse(more));
                    }
                    permit
                }
                _ => room.take_shared(bytes)?,
            };
            self.append_large(id, answer, permit);
            return Ok(());
        }
        // From here on it has its place in the tail.
        drop(permit);
        let before = self.tail.len();
        encode_answer(&mut self.tail, id, &answer);
        if before == 0 && self.tail.len() < SMALL_BYTES {
            // Alone it is written at once.
            return Ok(());
        }
        let held = self.hold_tail(room);
        if held.is_err() {
            self.tail.truncate(before);
        }
        held
    }

    /// Finds room for the tail, in the connection's own while it is small; one for which there is none becomes a part with a place
    /// in the budget.
    fn hold_tail(&mut self, room: &Room) -> Result<(), RpcError> {
        let bytes = self.tail.len();
        let is_held = bytes < SMALL_BYTES
            && match &mut self.tail_permit {
                Some(permit) => permit.grow(bytes.saturating_sub(permit.bytes())),
                None => {
                    self.tail_permit = room.take_own(bytes);
                    self.tail_permit.is_some()
                }
            };
        if is_held {
            return Ok(());
        }
        self.tail_permit = Some(room.take_shared(bytes)?);
        self.end_tail();
        Ok(())
    }

    /// Makes the tail a part, with its place.
    fn end_tail(&mut self) {
        let text = std::mem::take(&mut self.tail);
        let part = match self.tail_permit.take() {
            Some(permit) => Bytes::from_owner(Part {
                text,
                _permit: permit,
            }),
            None => Bytes::from(text),
        };
        self.push_part(part);
    }

    fn append_large(&mut self, id: &str, answer: Answer, permit: Permit) {
        encode_opening(&mut self.tail, id, &answer);
        let mut closing = Vec::new();
        encode_closing(&mut closing, &answer);
        let text = match answer {
            Ok(result) => Some(result),
            Err(error) => error.data,
        };
        match text {
            Some(text) => {
                self.end_tail();
                self.push_part(Bytes::from_owner(Part {
                    text,
                    _permit: permit,
                }));
            }
            // Its message or its id alone is large.
            None => {
                self.tail_permit = Some(permit);
                self.end_tail();
            }
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
        let room = Room::new(&budget);
        let small = Made::new(answer(1_000), &room);
        assert!(small.answer.is_ok() && budget.take(300_000).is_some());
        let first = Made::new(answer(200_000), &room);
        assert!(budget.take(200_000).is_none());
        let refused = Made::new(answer(200_000), &room).answer.unwrap_err();
        assert_eq!(refused.code, RpcError::busy().code);
        drop(first);
        assert!(Made::new(answer(200_000), &room).answer.is_ok());
    }

    #[test]
    fn small_answers_that_wait_on_one_connection_are_counted_in_the_end() {
        let budget = Budget::new(300_000);
        let (room, other) = (Room::new(&budget), Room::new(&budget));
        let waiting: Vec<Made> = (0..64)
            .map(|_| Made::new(answer(60_000), &room))
            .filter(|made| made.answer.is_ok())
            .collect();
        assert_eq!(waiting.len(), 5, "one for nothing, four of the budget");
        assert!(
            Made::new(answer(60_000), &other).answer.is_ok(),
            "others have their own"
        );
        drop(waiting);
        assert!(budget.take(300_000).is_some());
        assert!(room.own.take(SMALL_BYTES).is_some());
    }

    #[test]
    fn beginnings_of_batches_that_wait_are_counted_in_the_end() {
        let budget = Budget::new(300_000);
        let room = Room::new(&budget);
        let begin = |_| {
            let mut response = Response::default();
            response.push(b'[');
            let made = Made::free(answer(60_000));
            response
                .append("1", made, &room)
                .is_ok()
                .then_some(response)
        };
        let waiting: Vec<Response> = (0..64).filter_map(begin).collect();
        assert_eq!(waiting.len(), 5);
        drop(waiting);
        assert!(budget.take(300_000).is_some());
        assert!(room.own.take(SMALL_BYTES).is_some());
    }

    #[test]
    fn a_long_id_is_counted_and_not_repeated_without_room_for_it() {
        let budget = Budget::new(300_000);
        let room = Room::new(&budget);
        let id = format!("\"{}\"", "x".repeat(200_000));
        let mut response = Response::default();
        response.append(&id, Made::free(answer(1)), &room).unwrap();
        assert!(budget.take(150_000).is_none());
        let mut other = Response::default();
        let refused = other.append(&id, Made::free(answer(1)), &room);
        other.append_refusal(&id, refused.unwrap_err());
        assert!(text_of_all(other).starts_with(r#"{"jsonrpc":"2.0","id":null,"error":"#));
        assert!(text_of_all(response).contains(&id));
        assert!(budget.take(300_000).is_some());
    }

    #[test]
    fn a_large_message_of_an_error_is_counted_as_it_is_written_until_it_is_dropped() {
        for (message, bytes) in [("x", 200_000), ("\n", 400_000), ("\u{1}", 1_200_000)] {
            let budget = Budget::new(bytes + 100);
            let room = Room::new(&budget);
            let refused: Answer = Err(RpcError::new(-32000, message.repeat(200_000)));
            assert_eq!(length(&refused), bytes, "{message:?}");
            let mut response = Response::default();
            response.append("1", Made::free(refused), &room).unwrap();
            let text = response.into_parts();
            assert!(budget.take(1_000).is_none(), "{message:?}");
            assert!(text.iter().map(Bytes::len).sum::<usize>() > bytes);
            drop(text);
            assert!(budget.take(bytes).is_some());
        }
    }

    fn text_of_all(response: Response) -> String {
        let parts: Vec<u8> = response.into_parts().into_iter().flatten().collect();
        String::from_utf8(parts).unwrap()
    }

    #[test]
    fn a_response_holds_what_it_has_until_it_is_dropped() {
        let budget = Budget::new(300_000);
        let room = Room::new(&budget);
        let mut response = Response::default();
        let made = Made::new(answer(200_000), &room);
        response.append("1", made, &room).unwrap();
        assert!(budget.take(150_000).is_none());
        let mut many = 0;
        while response
            .append("1", Made::free(answer(1_000)), &room)
            .is_ok()
        {
            many += 1;
        }
        assert!((64..300).contains(&many), "small ones add up: {many}");
        let whole = response.len();
        assert!(
            response
                .append("1", Made::free(answer(1_000)), &room)
                .is_err()
        );
        assert_eq!(response.len(), whole);
        drop(response);
        assert!(budget.take(300_000).is_some());
    }

    #[test]
    fn an_answer_that_was_taken_gives_its_place_back_before_the_others() {
        let budget = Budget::new(300_000);
        let room = Room::new(&budget);
        let mut response = Response::default();
        for _ in 0..2 {
            let made = Made::new(answer(100_000), &room);
            response.append("1", made, &room).unwrap();
        }
        let mut parts = response.into_parts();
        assert!(budget.take(110_000).is_none());
        drop(parts.drain(..2));
        assert!(budget.take(110_000).is_some());
    }

    #[test]
    fn large_and_small_answers_stand_in_their_order() {
        let budget = Budget::new(10_000_000);
        let room = Room::new(&budget);
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
            response.append(&id, Made::free(answer), &room).unwrap();
            assert_eq!(response.len(), expected.len());
        }
        assert_eq!(text_of_all(response), String::from_utf8(expected).unwrap());
        assert!(budget.take(10_000_000).is_some(), "all is given back");
    }
}
