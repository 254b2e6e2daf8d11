//! One connection from accept to end, and its deadlines.
//!
//! hyper has a timer for heads only, and that one also ends idle connections; so the deadlines are kept here, by looking at when bytes moved
//! and when requests began and ended:
//!
//! ```text
//!  handshake │ first head │ head: first byte → request (HTTP/1.1) │ body │ whole request │ idle │ age
//!  ──────────┴────────────┴───────────────────────────────────────┴──────┴───────────────┴──────┴── past any: closed
//! ```

#![expect(clippy::disallowed_methods, reason = "how long a peer takes is real time, whatever the relay's clock says")]

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::BODY_MAX;
use super::listen::Wire;
use crate::config::Deadlines;
use crate::counters::Counters;
use crate::gate::sources::{Seated, Source};

/// Requests at once on one h2 connection.
const STREAMS_MAX: u32 = 32;

/// Bytes of headers that are read.
const HEAD_MAX: u32 = 16 * 1024;

/// What all connections share.
pub struct Hall {
    /// What is served.
    pub router: Router,
    /// For TLS; without it (on a socket) HTTP is plain.
    pub tls: Option<TlsAcceptor>,
    /// How long what may take.
    pub deadlines: Deadlines,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// Turns true when the relay stops.
    pub stopping: watch::Receiver<bool>,
}

/// Serves a connection until it ends or is ended.
pub async fn serve(hall: Arc<Hall>, wire: Wire, seated: Seated) {
    let Some(acceptor) = hall.tls.clone() else { return speak(&hall, wire, Speech::Http1, &seated).await };
    match timeout(hall.deadlines.handshake, acceptor.accept(wire)).await {
        Ok(Ok(stream)) => {
            let speech = if stream.get_ref().1.alpn_protocol() == Some(b"h2") { Speech::Http2 } else { Speech::Http1 };
            speak(&hall, stream, speech, &seated).await;
        }
        Ok(Err(_)) | Err(_) => hall.counters.handshakes_failed.add(1),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Speech {
    Http1,
    Http2,
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(hall: &Arc<Hall>, stream: S, speech: Speech, seated: &Seated) {
    let pulse = Arc::new(Pulse::new());
    let stream = TokioIo::new(Felt { stream, pulse: Arc::clone(&pulse) });
    let service = {
        let (hall, pulse, source) = (Arc::clone(hall), Arc::clone(&pulse), seated.source);
        service_fn(move |request| answer(Arc::clone(&hall), Arc::clone(&pulse), source, request))
    };
    let builder = builder(speech);
    let mut talk = pin!(builder.serve_connection(stream, service));
    let mut stopping = hall.stopping.clone();
    let last_word = tokio::select! {
        _ = talk.as_mut() => return,
        () = pulse.silence(&hall.deadlines, speech) => {
            hall.counters.deadlines_passed.add(1);
            return;
        }
        () = sleep_until(pulse.born + hall.deadlines.age) => hall.deadlines.request,
        _ = stopping.wait_for(|stops| *stops) => hall.deadlines.stop,
    };
    talk.as_mut().graceful_shutdown();
    let _ = timeout(last_word, talk).await;
}

fn builder(speech: Speech) -> auto::Builder<TokioExecutor> {
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut builder = if speech == Speech::Http2 { builder.http2_only() } else { builder.http1_only() };
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD_MAX as usize).half_close(false);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX).max_header_list_size(HEAD_MAX);
    http2.max_pending_accept_reset_streams(16).max_local_error_reset_streams(64).max_send_buf_size(256 * 1024);
    builder
}

/// The request was not worth a reply: the connection (HTTP/1.1) or stream (h2) ends without one.
#[derive(Debug, thiserror::Error)]
#[error("a deadline passed")]
struct TooSlow;

async fn answer(
    hall: Arc<Hall>,
    pulse: Arc<Pulse>,
    source: Source,
    request: Request<Incoming>,
) -> Result<Response<Body>, TooSlow> {
    let _beat = pulse.begin();
    // A long poll waits at most 30 s (SPEC §11), well within the whole; so one deadline does for all.
    let whole = timeout(hall.deadlines.request, heard(&hall, source, request)).await;
    whole.unwrap_or(Err(TooSlow)).inspect_err(|_| hall.counters.deadlines_passed.add(1))
}

async fn heard(hall: &Hall, source: Source, request: Request<Incoming>) -> Result<Response<Body>, TooSlow> {
    let (mut parts, body) = request.into_parts();
    // Every body is read the same way before anyone looks at the path, so that how it is read tells nobody what is there.
    let is_longer = body.size_hint().lower() > BODY_MAX as u64;
    let body = if is_longer { None } else { whole_body(body, hall.deadlines.body).await? };
    let request = match body {
        Some(body) => {
            parts.extensions.insert(source);
            Request::from_parts(parts, body)
        }
        // Without a source nothing is a call, and the decoy does not read.
        None => Request::from_parts(parts, Body::empty()),
    };
    let reply: Result<Response<Body>, Infallible> = hall.router.clone().oneshot(request).await;
    reply.map_err(|never| match never {})
}

/// The body; `None` if it is longer than any call's.
async fn whole_body(body: Incoming, within: Duration) -> Result<Option<Body>, TooSlow> {
    match timeout(within, Limited::new(body, BODY_MAX).collect()).await {
        Ok(Ok(body)) => Ok(Some(Body::from(body.to_bytes()))),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Ok(None),
        Ok(Err(_)) | Err(_) => Err(TooSlow),
    }
}

/// What a connection has been doing, in milliseconds since it was born.
struct Pulse {
    born: Instant,
    /// Requests being answered.
    in_flight: AtomicUsize,
    /// Whether there has been a request.
    has_spoken: AtomicBool,
    /// When the last request ended, or the last byte of a reply went out.
    quiet_since: AtomicU64,
    /// When the first byte after the last request came; 0 if none has.
    head_since: AtomicU64,
}

impl Pulse {
    fn new() -> Self {
        let [quiet_since, head_since] = [0, 0].map(AtomicU64::new);
        Self { born: Instant::now(), in_flight: AtomicUsize::new(0), has_spoken: AtomicBool::new(false), quiet_since, head_since }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.has_spoken.store(true, Ordering::Relaxed);
        self.head_since.store(0, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    fn read(&self) {
        if self.in_flight.load(Ordering::Relaxed) == 0 {
            let _ = self.head_since.compare_exchange(0, self.now(), Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn written(&self) {
        self.quiet_since.store(self.now(), Ordering::Relaxed);
    }

    /// When the connection must have moved on, if it does not before; `None` while a request is being answered.
    fn due(&self, deadlines: &Deadlines, speech: Speech) -> Option<Instant> {
        let after = |since: u64, span: Duration| self.born + Duration::from_millis(since) + span;
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return None;
        }
        if !self.has_spoken.load(Ordering::Relaxed) {
            return Some(after(0, deadlines.head));
        }
        let idle = after(self.quiet_since.load(Ordering::Relaxed), deadlines.idle);
        match self.head_since.load(Ordering::Relaxed) {
            // On h2 bytes that come between requests need not be a head.
            0 => Some(idle),
            _ if speech == Speech::Http2 => Some(idle),
            since => Some(idle.min(after(since, deadlines.head))),
        }
    }

    /// Returns when the connection has been silent for longer than it may.
    async fn silence(&self, deadlines: &Deadlines, speech: Speech) {
        loop {
            let due = self.due(deadlines, speech);
            let now = Instant::now();
            if due.is_some_and(|due| due <= now) {
                return;
            }
            // A head that begins meanwhile is due sooner than what was due before it: look again in time for it.
            let look_again = now + deadlines.head;
            sleep_until(due.map_or(look_again, |due| due.min(look_again))).await;
        }
    }
}

struct InFlight(Arc<Pulse>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.written();
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream that tells a [`Pulse`] when bytes move.
struct Felt<S> {
    stream: S,
    pulse: Arc<Pulse>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Felt<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.pulse.read();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Felt<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        if matches!(polled, Poll::Ready(Ok(1..))) {
            self.pulse.written();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
