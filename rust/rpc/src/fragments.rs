//! The fragments of a WebSocket's messages, as they arrive: tungstenite tells of whole messages only.
//!
//! A fragment without a byte brings a message no further, and a limit in bytes never ends such a message: they are counted here.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Fragments without a byte in one message. Clients that stream end a message with one of them; nobody needs a hundred.
const EMPTY_MAX: u32 = 100;
/// The longest head of a frame: two bytes, a length of eight, a mask of four.
const HEAD_BYTES_MAX: usize = 14;
const IS_LAST: u8 = 0x80;
const IS_CONTROL: u8 = 0x08;
const IS_MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;

/// A stream of frames whose empty fragments are counted while they are read.
#[derive(Debug)]
pub(crate) struct Counted<S> {
    stream: S,
    heads: Heads,
    flood: Flood,
}

/// Whether a message has had too many empty fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flood {
    None,
    /// Nothing more is read until somebody has taken notice.
    Seen,
    /// What still comes is for the closing of the connection.
    Told,
}

impl<S> Counted<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            heads: Heads::default(),
            flood: Flood::None,
        }
    }

    /// Whether a message has had too many empty fragments; said once.
    pub(crate) fn takes_flood(&mut self) -> bool {
        let is_seen = self.flood == Flood::Seen;
        if is_seen {
            self.flood = Flood::Told;
        }
        is_seen
    }
}

/// Goes from the head of a frame to that of the next.
#[derive(Debug, Default)]
struct Heads {
    head: [u8; HEAD_BYTES_MAX],
    /// Bytes of the head that have arrived.
    known: usize,
    /// Bytes until the next head.
    payload_left: u64,
    /// Empty fragments of the message that arrives.
    empty: u32,
}

impl Heads {
    /// Takes the next bytes; false when a message has had too many empty fragments by one of them.
    fn pass(&mut self, mut bytes: &[u8]) -> bool {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.payload_left > 0 {
                let here = bytes
                    .len()
                    .min(usize::try_from(self.payload_left).unwrap_or(usize::MAX));
                self.payload_left -= here as u64;
                bytes = &bytes[here..];
                continue;
            }
            self.head[self.known] = first;
            self.known += 1;
            bytes = rest;
            if self.known >= 2 && self.known == head_bytes(self.head[1]) {
                self.head_ends();
                if self.empty > EMPTY_MAX {
                    return false;
                }
            }
        }
        true
    }

    fn head_ends(&mut self) {
        let [kind, length, after @ ..] = self.head;
        self.known = 0;
        self.payload_left = match length & LENGTH {
            126 => u64::from(u16::from_be_bytes([after[0], after[1]])),
            127 => u64::from_be_bytes(std::array::from_fn(|at| after[at])),
            short => u64::from(short),
        };
        // A control frame may stand between the fragments of a message.
        if kind & IS_CONTROL != 0 {
            return;
        }
        if kind & IS_LAST != 0 {
            self.empty = 0;
        } else if self.payload_left == 0 {
            self.empty += 1;
        }
    }
}

/// How long a head is, by its second byte.
fn head_bytes(second: u8) -> usize {
    let length = match second & LENGTH {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + length + if second & IS_MASKED != 0 { 4 } else { 0 }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        match self.flood {
            // Who polls looks whether there is a flood after each poll, so nobody has to be woken.
            Flood::Seen => return Poll::Pending,
            Flood::Told => return Pin::new(&mut self.stream).poll_read(cx, buffer),
            Flood::None => ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?,
        }
        if !self.heads.pass(&buffer.filled()[before..]) {
            self.flood = Flood::Seen;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: u8 = 0x01;
    const CONTINUATION: u8 = 0x00;
    const PING: u8 = 0x09;

    /// A masked frame, with the shortest length that fits.
    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let mut frame = vec![kind];
        match payload {
            0..=125 => frame.push(IS_MASKED | payload as u8),
            126..=0xffff => {
                frame.push(IS_MASKED | 126);
                frame.extend_from_slice(&(payload as u16).to_be_bytes());
            }
            _ => {
                frame.push(IS_MASKED | 127);
                frame.extend_from_slice(&(payload as u64).to_be_bytes());
            }
        }
        // Payload and mask look like the head of an empty fragment, which they must not be taken for.
        frame.resize(frame.len() + 4 + payload, 0);
        frame
    }

    fn empty(count: u32) -> Vec<u8> {
        frame(CONTINUATION, 0).repeat(count as usize)
    }

    /// Whether all is well, the bytes coming in pieces of every size.
    fn passes(frames: &[Vec<u8>]) -> bool {
        let bytes = frames.concat();
        let all = [1, 2, 3, 7, 13, 4_096, usize::MAX].map(|size| {
            let mut heads = Heads::default();
            bytes
                .chunks(size.min(bytes.len()))
                .all(|piece| heads.pass(piece))
        });
        assert!(
            all.iter().all(|one| *one == all[0]),
            "the pieces do not matter"
        );
        all[0]
    }

    #[test]
    fn a_hundred_empty_fragments_are_a_message_and_one_more_is_a_flood() {
        assert!(passes(&[
            frame(TEXT, 5),
            empty(EMPTY_MAX),
            frame(IS_LAST, 0)
        ]));
        assert!(!passes(&[frame(TEXT, 5), empty(EMPTY_MAX + 1)]));
        assert!(
            !passes(&[frame(TEXT, 0), empty(EMPTY_MAX)]),
            "the first is one too"
        );
        let spread = [frame(CONTINUATION, 1), empty(1), frame(IS_LAST | PING, 0)].concat();
        assert!(!passes(&[frame(TEXT, 1), spread.repeat(101)]));
    }

    #[test]
    fn each_message_is_counted_for_itself_and_its_bytes_not_at_all() {
        let message = [frame(TEXT, 0), empty(EMPTY_MAX - 1), frame(IS_LAST, 0)].concat();
        assert!(passes(&[
            message.repeat(20),
            frame(IS_LAST | TEXT, 0).repeat(1_000)
        ]));
        for payload in [125, 126, 0xffff, 0x1_0000] {
            let long = [frame(TEXT, payload), frame(CONTINUATION, payload)].concat();
            assert!(passes(&[
                long.clone(),
                empty(EMPTY_MAX),
                frame(IS_LAST, payload)
            ]));
            assert!(!passes(&[long, empty(EMPTY_MAX + 1)]));
        }
    }
}
