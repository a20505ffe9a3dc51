//! Watches an HTTP connection for peers that send or read too slowly.
//!
//! Noting costs one atomic store a read, write and request, and a read a lock that nobody else wants; no timer is touched on the
//! way. A watcher wakes up once a second and looks.

use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::budget::{Budget, Permit};
use crate::config::Limits;
use crate::intake::Intake;

const IDLE: u8 = 0;
const READING_HEAD: u8 = 1;
const ANSWERING: u8 = 2;
/// How often connections are looked at.
const TICK: Duration = Duration::from_secs(1);
const NEVER: u64 = u64::MAX;

/// What a connection does, and since when.
#[derive(Debug)]
pub(crate) struct Activity {
    begun: Instant,
    phase: AtomicU8,
    /// Milliseconds from `begun` to the start of the phase.
    since: AtomicU64,
    /// Milliseconds from `begun` to the first write the peer did not take, or `NEVER`.
    stalled: AtomicU64,
    /// The message of a WebSocket that arrives.
    message: Mutex<Option<Intake>>,
}

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        // Who connects and says nothing is as slow as who says half a head: only who has asked before may be idle.
        let (phase, since, stalled) = (
            AtomicU8::new(READING_HEAD),
            AtomicU64::new(0),
            AtomicU64::new(NEVER),
        );
        Arc::new(Self {
            begun: Instant::now(),
            phase,
            since,
            stalled,
            message: Mutex::default(),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }

    fn enter(&self, phase: u8) {
        self.phase.store(phase, Relaxed);
        self.since.store(self.now(), Relaxed);
    }

    /// A request's head is complete. Its body and its handler have limits of their own.
    pub(crate) fn request_begins(&self) {
        self.phase.store(ANSWERING, Relaxed);
    }

    /// The response is ready to be written.
    pub(crate) fn request_ends(&self) {
        self.enter(IDLE);
    }

    /// From now on the connection is a WebSocket, whose messages find room there.
    pub(crate) fn messages_begin(&self, requests: &Arc<Budget>) {
        *self.message.lock() = Some(Intake::new(requests));
    }

    /// A message is whole; its place in the budget.
    pub(crate) fn message_ends(&self) -> Option<Permit> {
        self.message.lock().as_mut().and_then(Intake::finish)
    }

    /// So many bytes were those of a control frame, which comes between messages, or in the midst of one that arrives in fragments.
    pub(crate) fn control_frame_ends(&self, bytes: usize) {
        if let Some(message) = self.message.lock().as_mut() {
            message.forget(bytes);
        }
    }

    /// Counts bytes that have arrived; false when there is no room for them.
    fn arrive(&self, bytes: usize) -> bool {
        let mut message = self.message.lock();
        message.as_mut().is_none_or(|message| message.add(bytes))
    }

    /// Returns when the peer has used up its patience.
    pub(crate) async fn watch(&self, limits: &Limits) {
        loop {
            tokio::time::sleep(TICK).await;
            if self.is_overdue(limits) {
                return;
            }
        }
    }

    fn is_overdue(&self, limits: &Limits) -> bool {
        let now = self.now();
        let over =
            |since: u64, limit: Duration| u128::from(now.saturating_sub(since)) > limit.as_millis();
        let stalled = self.stalled.load(Relaxed);
        if stalled != NEVER && over(stalled, limits.write_timeout) {
            return true;
        }
        let since = self.since.load(Relaxed);
        match self.phase.load(Relaxed) {
            IDLE => over(since, limits.idle_timeout),
            READING_HEAD => over(since, limits.head_timeout),
            _ => false,
        }
    }
}

/// A TCP connection that notes what it does.
#[derive(Debug)]
pub(crate) struct Watched {
    stream: TcpStream,
    activity: Arc<Activity>,
}

impl Watched {
    pub(crate) fn new(stream: TcpStream, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }

    fn note_write(&self, result: &Poll<std::io::Result<usize>>) {
        let stalled = &self.activity.stalled;
        match result {
            Poll::Pending if stalled.load(Relaxed) == NEVER => {
                stalled.store(self.activity.now(), Relaxed)
            }
            Poll::Pending => {}
            Poll::Ready(_) => stalled.store(NEVER, Relaxed),
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if !self.activity.arrive(buffer.filled().len() - before) {
            return Poll::Ready(Err(ErrorKind::OutOfMemory.into()));
        }
        if buffer.filled().len() > before && self.activity.phase.load(Relaxed) == IDLE {
            self.activity.enter(READING_HEAD);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note_write(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note_write(&result);
        result
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
