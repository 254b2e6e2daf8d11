//! What one connection has been doing: when bytes moved, which requests are being answered, which replies are still owed.

#![expect(clippy::disallowed_methods, reason = "how long a peer takes is real time, whatever the relay's clock says")]

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use super::BODY_MAX;
use super::connection::Speech;
use crate::config::Deadlines;
use crate::gate::owing::Held;

/// Bytes in a second below which a reply counts as not being taken, however steadily it goes: what TCP is left with where a third of all packets
/// is lost and an answer takes more than half a second.
const SLOWEST: u64 = 512;

/// Bytes of replies by which a peer is seen to take them. On h2 pings and settings are answered as well, for as long as they come: those answers
/// are none.
const TAKEN_LEAST: usize = 1024;

/// Bytes that a connection may send besides its requests: settings, windows, pings, the head of the first.
const SPARE: u64 = 32 * 1024;

/// Pieces that each request may come in, a piece being a record of TLS or a turn's part of one. A browser needs two.
const PIECES: u64 = 256;

/// Bytes of replies for which a piece more may come: a peer grants windows while it takes what is long.
const REPLY_PER_PIECE: u64 = 2048;

/// Pieces besides: settings, windows, pings, the head of the first request.
const SPARE_PIECES: u64 = 32;

/// Bytes that are read from one connection before the others have their turn. A record of TLS holds a thousand pings, which would keep
/// everybody else on that thread waiting for milliseconds.
const TURN: usize = 1024;

/// Bytes that each request may need: the longest body, its head, and what h2 says about the reply.
const EACH: u64 = BODY_MAX as u64 + 32 * 1024;

/// Requests that a connection may give up before they are answered. A browser that is closed gives up a few, a rapid reset thousands.
const GIVEN_UP_MAX: u64 = 40;

/// What a connection has been doing, in milliseconds since it was born.
pub(super) struct Pulse {
    born: Instant,
    deadlines: Deadlines,
    speech: Speech,
    /// Requests being answered.
    in_flight: AtomicUsize,
    /// Whether there has been a request.
    has_spoken: AtomicBool,
    /// When the last request ended, or the last reply was taken; on HTTP/1.1 also when the last byte went out.
    quiet_since: AtomicU64,
    /// When the first byte after the last request came; 0 if none has.
    head_since: AtomicU64,
    /// Bytes that were said.
    read: Arc<AtomicU64>,
    pieces: AtomicU64,
    asked: AtomicU64,
    given_up: AtomicU64,
    /// Bytes of all replies.
    replied: AtomicU64,
    /// When the last kilobyte of replies was full that went out.
    taken_at: AtomicU64,
    /// Whether any byte of a reply went out.
    has_replied: AtomicBool,
    /// The replies that are under way.
    owed: Mutex<Vec<Due>>,
}

/// A reply that is under way: its number, when it was made, and when it must have been taken at last.
#[derive(Clone, Copy)]
struct Due {
    number: u64,
    made: u64,
    last: u64,
}

/// When something began that a pulse counts from.
pub(super) fn now() -> Instant {
    Instant::now()
}

impl Pulse {
    /// Of a connection on which something has been owed since `born`, the end of its handshake.
    pub(super) fn new(deadlines: Deadlines, speech: Speech, born: Instant, read: Arc<AtomicU64>) -> Self {
        let [quiet_since, head_since, pieces, asked, given_up, replied, taken_at] = [0; 7].map(AtomicU64::new);
        let (in_flight, has_spoken, has_replied) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicBool::new(false));
        Self {
            born,
            deadlines,
            speech,
            in_flight,
            has_spoken,
            quiet_since,
            head_since,
            read,
            pieces,
            asked,
            given_up,
            replied,
            taken_at,
            has_replied,
            owed: Mutex::default(),
        }
    }

    pub(super) const fn born(&self) -> Instant {
        self.born
    }

    fn now(&self) -> u64 {
        millis(self.born.elapsed()).max(1)
    }

    fn owed(&self) -> MutexGuard<'_, Vec<Due>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request begins to be answered.
    pub(super) fn begin(self: &Arc<Self>) -> Asked {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.has_spoken.store(true, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        Asked { pulse: Arc::clone(self), is_answered: false }
    }

    fn read(&self, count: usize) {
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        self.pieces.fetch_add(1, Ordering::Relaxed);
        if self.in_flight.load(Ordering::Relaxed) == 0 {
            let _ = self.head_since.compare_exchange(0, self.now(), Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn written(&self) {
        // On h2 a ping is answered as well, and a peer that does nothing but ping is idle.
        if self.speech == Speech::Http1 {
            self.quiet();
        }
    }

    /// A kilobyte of replies more went out.
    fn taken(&self) {
        self.taken_at.store(self.now(), Ordering::Relaxed);
    }

    fn quiet(&self) {
        self.quiet_since.store(self.now(), Ordering::Relaxed);
    }

    /// Whether the peer has sent more than its requests can need, or given up too many of them.
    pub(super) fn is_overdrawn(&self) -> bool {
        let asked = self.asked.load(Ordering::Relaxed);
        self.read.load(Ordering::Relaxed) > SPARE.saturating_add(asked.saturating_mul(EACH))
            || self.pieces.load(Ordering::Relaxed)
                > SPARE_PIECES
                    .saturating_add(asked.saturating_mul(PIECES))
                    .saturating_add(self.replied.load(Ordering::Relaxed) / REPLY_PER_PIECE)
            || self.given_up.load(Ordering::Relaxed) > GIVEN_UP_MAX
    }

    /// When the connection must have moved on, if it does not before; `None` while a request is being answered.
    fn due(&self) -> Option<Instant> {
        let after = |since: u64, span: Duration| self.born + Duration::from_millis(since) + span;
        let taken = self.taken_at.load(Ordering::Relaxed);
        let has_no_window = self.speech == Speech::Http2 && !self.has_replied.load(Ordering::Relaxed);
        let untaken = if has_no_window { self.deadlines.reply.min(self.deadlines.window) } else { self.deadlines.reply };
        let stalled = |due: &Due| after(due.made.max(taken), untaken).min(after(due.last, Duration::ZERO));
        if let Some(due) = self.owed().iter().map(stalled).min() {
            return Some(due);
        }
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return None;
        }
        if !self.has_spoken.load(Ordering::Relaxed) {
            return Some(after(0, self.deadlines.head));
        }
        let idle = after(self.quiet_since.load(Ordering::Relaxed), self.deadlines.idle);
        match self.head_since.load(Ordering::Relaxed) {
            // On h2 bytes that come between requests need not be a head.
            0 => Some(idle),
            _ if self.speech == Speech::Http2 => Some(idle),
            since => Some(idle.min(after(since, self.deadlines.head))),
        }
    }

    /// Returns when the connection has been silent for longer than it may.
    pub(super) async fn silence(&self) {
        loop {
            let due = self.due();
            let now = Instant::now();
            if due.is_some_and(|due| due <= now) {
                return;
            }
            // A head that begins meanwhile is due sooner than what was due before it: look again in time for it.
            let look_again = now + self.deadlines.head.min(self.deadlines.reply).min(self.deadlines.window);
            sleep_until(due.map_or(look_again, |due| due.min(look_again))).await;
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A request that is being answered. Dropped before [`Asked::answered`], it was given up.
pub(super) struct Asked {
    pulse: Arc<Pulse>,
    is_answered: bool,
}

impl Asked {
    pub(super) fn answered(&mut self) {
        self.is_answered = true;
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.pulse.given_up.fetch_add(u64::from(!self.is_answered), Ordering::Relaxed);
        self.pulse.quiet();
        self.pulse.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A reply's bytes until the peer has taken them.
pub(super) struct Owed {
    bytes: Bytes,
    number: u64,
    pulse: Arc<Pulse>,
    _held: Option<Held>,
}

impl Owed {
    pub(super) fn new(bytes: Bytes, held: Option<Held>, pulse: &Arc<Pulse>) -> Self {
        let (made, slowly) = (pulse.now(), bytes.len() as u64 * 1000 / SLOWEST);
        pulse.replied.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let mut owed = pulse.owed();
        // On h2 it goes out behind what others were answered before, in part at least.
        let before = owed.iter().map(|due| due.last).max();
        let from = before.unwrap_or_else(|| made.saturating_add(millis(pulse.deadlines.reply)));
        let last = from.saturating_add(slowly);
        let number = owed.last().map_or(0, |due| due.number + 1);
        owed.push(Due { number, made, last });
        drop(owed);
        Self { bytes, number, pulse: Arc::clone(pulse), _held: held }
    }
}

impl AsRef<[u8]> for Owed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.pulse.owed().retain(|due| due.number != self.number);
        self.pulse.quiet();
    }
}

/// A stream that tells a [`Pulse`] when bytes move, and ends when it is overdrawn.
pub(super) struct Felt<S> {
    stream: S,
    pulse: Arc<Pulse>,
    /// Bytes read in this turn.
    read: usize,
    frames: Frames,
    /// Bytes of replies that went out and make no kilobyte yet.
    taken: usize,
}

impl<S> Felt<S> {
    pub(super) const fn new(stream: S, pulse: Arc<Pulse>) -> Self {
        Self { stream, pulse, read: 0, frames: Frames::new(), taken: 0 }
    }

    /// So many of these bytes went out.
    fn written<'a>(&mut self, bufs: impl IntoIterator<Item = &'a [u8]>, mut count: usize) {
        for buf in bufs {
            let out = buf.get(..count).unwrap_or(buf);
            count -= out.len();
            self.taken += if self.pulse.speech == Speech::Http2 { self.frames.replies(out) } else { out.len() };
        }
        if self.taken > 0 {
            self.pulse.has_replied.store(true, Ordering::Relaxed);
        }
        self.pulse.written();
        if self.taken >= TAKEN_LEAST {
            self.taken = 0;
            self.pulse.taken();
        }
    }
}

/// Bytes of a frame's head: its length, its kind, and three things more (RFC 9113 §4.1).
const FRAME_HEAD: usize = 9;

/// The kind of a frame that carries a reply's body.
const DATA: u8 = 0;

/// Where in a frame of h2 the bytes that go out have come to.
struct Frames {
    /// Bytes of its head that have gone out, and of what follows those that have not.
    head: usize,
    left: usize,
    is_reply: bool,
}

impl Frames {
    const fn new() -> Self {
        Self { head: 0, left: 0, is_reply: false }
    }

    /// How many of the bytes that follow are a reply's body.
    fn replies(&mut self, mut bytes: &[u8]) -> usize {
        let mut count = 0;
        while let Some((first, rest)) = bytes.split_first() {
            if self.head < FRAME_HEAD {
                match self.head {
                    0 => self.left = usize::from(*first),
                    1 | 2 => self.left = (self.left << 8) | usize::from(*first),
                    3 => self.is_reply = *first == DATA,
                    _ => {}
                }
                (self.head, bytes) = (self.head + 1, rest);
            } else {
                let (out, rest) = bytes.split_at(self.left.min(bytes.len()));
                self.left -= out.len();
                count += if self.is_reply { out.len() } else { 0 };
                bytes = rest;
            }
            if self.head == FRAME_HEAD && self.left == 0 {
                self.head = 0;
            }
        }
        count
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Felt<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.pulse.is_overdrawn() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if self.read >= TURN {
            self.read = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let room = buf.remaining().min(TURN - self.read);
        let mut some = ReadBuf::new(buf.initialize_unfilled_to(room));
        let polled = Pin::new(&mut self.stream).poll_read(cx, &mut some);
        let count = some.filled().len();
        buf.advance(count);
        self.read = if polled.is_ready() { self.read + count } else { 0 };
        if count > 0 {
            self.pulse.read(count);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Felt<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(count @ 1..)) = polled {
            self.written([buf], count);
        }
        polled
    }

    /// Without it hyper would copy each reply of HTTP/1.1 whole, and count it as taken.
    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(count @ 1..)) = polled {
            self.written(bufs.iter().map(|buf| &**buf), count);
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_head_is_due_from_the_handshake_however_late_it_begins() {
        let deadlines = Deadlines::default();
        let born = now();
        let pulse = Pulse::new(deadlines, Speech::Http1, born, Arc::default());
        pulse.read(1);
        assert_eq!(pulse.due(), Some(born + deadlines.head));
    }

    #[tokio::test]
    async fn a_window_of_nothing_is_known_from_a_line_that_is_slow() {
        let deadlines = Deadlines::default();
        let born = now();
        let after = |pulse: &Pulse| pulse.due().unwrap().duration_since(born);
        for (speech, frames, out, waits) in [
            (Speech::Http2, "no reply's bytes", vec![0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88], deadlines.window),
            (Speech::Http2, "a byte of a reply", vec![0, 0, 9, DATA, 0, 0, 0, 0, 1, 7], deadlines.reply),
            (Speech::Http1, "a head's bytes", b"HTTP/1.1 200".to_vec(), deadlines.reply),
        ] {
            let pulse = Arc::new(Pulse::new(deadlines, speech, born, Arc::default()));
            let owed = Owed::new(Bytes::from_static(&[7; 9000]), None, &pulse);
            let mut felt = Felt::new(tokio::io::sink(), Arc::clone(&pulse));
            tokio::io::AsyncWriteExt::write_all(&mut felt, &out).await.unwrap();
            assert!(after(&pulse) >= waits && after(&pulse) < waits + Duration::from_secs(1), "{frames}: {:?}", after(&pulse));
            drop(owed);
        }
    }

    #[test]
    fn of_what_goes_out_over_h2_the_bodies_of_replies_alone_are_replies() {
        let frame = |kind: u8, len: u8| [[0, 0, len, kind, 0, 0, 0, 0, 1].as_slice(), &vec![7; usize::from(len)]].concat();
        let (settings, headers, ping, goodbye) = (frame(4, 0), frame(1, 30), frame(6, 8), frame(7, 8));
        let long = [[1, 2, 3, DATA, 1, 0, 0, 0, 1].as_slice(), &vec![7; 0x0001_0203]].concat();
        let out = [settings, headers, frame(DATA, 200), ping, frame(DATA, 0), long, goodbye].concat();
        for at_once in [1, 2, 9, 10, 64, out.len()] {
            let mut frames = Frames::new();
            let replies: usize = out.chunks(at_once).map(|bytes| frames.replies(bytes)).sum();
            assert_eq!(replies, 200 + 0x0001_0203, "{at_once} at once");
        }
    }
}
