//! Who asked, as those see it who work for the answer: whether they still wait, and how much memory their call may hold.

use std::{
    fmt,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use alloy_primitives::hex;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Answer, RpcError};

/// What a call holds without asking: nearly all calls hold less.
const FREE_BYTES: usize = 1 << 20;
/// In such steps it asks for more.
const STEP_BYTES: usize = 256 << 10;

/// Who waits for an answer.
pub trait Waiting: Send + Sync {
    /// Whether nobody waits any more.
    fn is_abandoned(&self) -> bool;

    /// Whether the call may hold so many bytes in all, until it is answered.
    fn may_hold(&self, bytes: usize) -> bool;
}

/// The caller of one call. By default one who always waits, and whose call may hold what it wants.
#[derive(Clone, Default)]
pub struct Caller(Option<Arc<Call>>);

struct Call {
    waiting: Arc<dyn Waiting>,
    /// What it holds, by [`Holding`].
    held: [AtomicUsize; 3],
    /// What it has been allowed.
    allowed: AtomicUsize,
}

/// What of a call takes memory.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Holding {
    /// The code that runs: its memory, its changes, what it returns.
    Run,
    /// What is recorded of the run.
    Trace,
    /// The JSON of the answer.
    Text,
}

impl Caller {
    pub fn new(waiting: Arc<dyn Waiting>) -> Self {
        Self(Some(Arc::new(Call {
            waiting,
            held: Default::default(),
            allowed: AtomicUsize::new(FREE_BYTES),
        })))
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|call| call.waiting.is_abandoned())
    }

    /// Says how much one part holds from now on; false when there is no room for it.
    pub(crate) fn may_hold(&self, part: Holding, bytes: usize) -> bool {
        let Some(call) = &self.0 else {
            return true;
        };
        call.held[part as usize].store(bytes, Relaxed);
        let all: usize = call.held.iter().map(|held| held.load(Relaxed)).sum();
        if all <= call.allowed.load(Relaxed) {
            return true;
        }
        // It works on one thread: nobody else asks meanwhile.
        let wanted = all.next_multiple_of(STEP_BYTES);
        let is_allowed = call.waiting.may_hold(wanted - FREE_BYTES);
        if is_allowed {
            call.allowed.store(wanted, Relaxed);
        }
        is_allowed
    }

    /// Write a value as JSON that can be large.
    pub(super) fn json<T: Serialize + ?Sized>(&self, value: &T) -> Answer {
        self.json_of(value, 0)
    }

    /// The same of a value whose JSON will have so many bytes: it is written without a larger place than that.
    pub(super) fn json_of<T: Serialize + ?Sized>(&self, value: &T, bytes: usize) -> Answer {
        if !self.may_hold(Holding::Text, bytes) {
            return Err(RpcError::no_room());
        }
        let mut out = Text {
            caller: self,
            bytes: Vec::with_capacity(bytes),
            bytes_max: bytes,
        };
        match serde_json::to_writer(&mut out, value) {
            Ok(()) => raw(out.bytes),
            Err(error) if error.is_io() => Err(RpcError::no_room()),
            Err(error) => Err(RpcError::internal(error.to_string())),
        }
    }

    /// Write bytes as DATA, without a copy more than needed: what code returns can be megabytes.
    pub(super) fn data_json(&self, bytes: &[u8]) -> Answer {
        raw(self.quoted_data(bytes, 0)?)
    }

    /// The same without quotes, with room for them, beside a text of so many bytes.
    pub(super) fn data_text(&self, bytes: &[u8], beside: usize) -> Result<String, RpcError> {
        let mut text = self.quoted_data(bytes, beside)?;
        text.pop();
        text.remove(0);
        String::from_utf8(text).map_err(|error| RpcError::internal(error.to_string()))
    }

    fn quoted_data(&self, bytes: &[u8], beside: usize) -> Result<Vec<u8>, RpcError> {
        let length = 2 * bytes.len() + 4;
        if !self.may_hold(Holding::Run, bytes.len())
            || !self.may_hold(Holding::Text, length + beside)
        {
            return Err(RpcError::no_room());
        }
        let mut text = vec![b'"'; length];
        text[1..3].copy_from_slice(b"0x");
        hex::encode_to_slice(bytes, &mut text[3..length - 1])
            .map_err(|error| RpcError::internal(error.to_string()))?;
        Ok(text)
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.0.as_ref().map(|call| &call.held);
        write!(out, "Caller({held:?})")
    }
}

fn raw(text: Vec<u8>) -> Answer {
    let text = String::from_utf8(text).map_err(|error| RpcError::internal(error.to_string()))?;
    RawValue::from_string(text).map_err(|error| RpcError::internal(error.to_string()))
}

/// A text that asks before it becomes larger.
struct Text<'a> {
    caller: &'a Caller,
    bytes: Vec<u8>,
    /// So many it has asked for.
    bytes_max: usize,
}

impl Write for Text<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.bytes.len() + bytes.len();
        if length > self.bytes_max {
            self.bytes_max = length.next_multiple_of(STEP_BYTES);
            if !self.caller.may_hold(Holding::Text, self.bytes_max) {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Allows so many bytes, and remembers the most it was asked for.
    #[derive(Default)]
    pub(in super::super) struct Room {
        bytes: usize,
        pub(in super::super) asked: AtomicUsize,
    }

    impl Waiting for Room {
        fn is_abandoned(&self) -> bool {
            false
        }

        fn may_hold(&self, bytes: usize) -> bool {
            self.asked.fetch_max(bytes, Relaxed);
            bytes <= self.bytes
        }
    }

    pub(in super::super) fn caller(bytes: usize) -> (Caller, Arc<Room>) {
        let room = Arc::new(Room {
            bytes,
            ..Room::default()
        });
        (Caller::new(room.clone()), room)
    }

    #[test]
    fn what_is_small_is_not_asked_for_and_the_rest_is_in_sum() {
        let (caller, room) = caller(2 << 20);
        assert!(caller.may_hold(Holding::Run, FREE_BYTES / 2));
        assert!(caller.may_hold(Holding::Text, FREE_BYTES / 2));
        assert_eq!(room.asked.load(Relaxed), 0);
        assert!(caller.may_hold(Holding::Trace, 2 << 20));
        assert_eq!(room.asked.load(Relaxed), 2 << 20);
        assert!(!caller.may_hold(Holding::Text, FREE_BYTES / 2 + 1));
        assert!(caller.may_hold(Holding::Run, 0), "what is freed makes room");
        assert!(caller.may_hold(Holding::Text, FREE_BYTES));
        assert!(Caller::default().may_hold(Holding::Run, usize::MAX));
    }

    #[test]
    fn a_text_for_which_there_is_no_room_is_given_up() {
        let long = "x".repeat(3 << 20);
        let text = |bytes| caller(bytes).0.json(&[&long, &long]);
        assert_eq!(text(8 << 20).unwrap().get().len(), 2 * long.len() + 7);
        assert_eq!(text(4 << 20).unwrap_err(), RpcError::no_room());
        let data = |bytes| caller(bytes).0.data_json(&[0xab; 2 << 20]);
        let written = data(6 << 20).unwrap();
        assert!(written.get().starts_with("\"0xabab"), "in quotes");
        assert_eq!(written.get().len(), (4 << 20) + 4);
        assert_eq!(data(4 << 20).unwrap_err(), RpcError::no_room());
    }
}
