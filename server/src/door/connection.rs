//! One connection from accept to end, and its deadlines.
//!
//! hyper has a timer for heads only, and that one also ends idle connections; so the deadlines are kept here, by looking at when bytes moved
//! and when requests began and ended (`pulse`):
//!
//! ```text
//!  handshake │ first head │ head: first byte → request (HTTP/1.1) │ body │ whole request │ reply taken │ idle │ age
//!  ──────────┴────────────┴───────────────────────────────────────┴──────┴───────────────┴─────────────┴──────┴── past any: closed
//! ```
//!
//! A connection also ends when it sends more than its requests can need, gives up too many of them, or is drawn to make room for another.
//! What it makes the relay keep in memory, bodies and replies not yet taken, has a room of its own ([`crate::gate::owing`]).

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::listen::{Greeted, Wire};
use super::pulse::{self, Felt, Owed, Pulse};
use super::tls::Certificate;
use super::{BODY_MAX, reply};
use crate::clock::{Clock, SlotClock};
use crate::config::Deadlines;
use crate::counters::Counters;
use crate::gate::owing::{Held, Owing};
use crate::gate::sources::{Seated, Source, Standing};
use crate::stack;

/// Requests at once on one h2 connection.
const STREAMS_MAX: u32 = 32;

/// Bytes of headers that are read; on h2, where each counts 32 more, half of them: what is decoded and not yet whole is counted nowhere else.
const HEAD_MAX: u32 = 16 * 1024;
const LIST_MAX: u32 = HEAD_MAX / 2;

/// Bytes that are read until a handshake is over: a hello of two kilobytes, and with its end as much of the first request as rustls reads at once
/// (18 KiB). Of a hello that goes on for ever it would keep 64.
const HANDSHAKE_MAX: usize = 24 * 1024;

/// Bytes that TLS may hold for a peer that takes none: what lies there is counted nowhere else.
const UNSENT_MAX: usize = 16 * 1024;

/// Bytes in the steps by which a body counts as it comes, the first before any of it does: what is kept to hear it.
const HEARING: usize = 8 * 1024;

/// Bytes of a body that may be under way on h2: the longest there is.
const WINDOW: u32 = 65_536;

/// Connections that may speak at once: as many as there are pages that send what a relay takes in all, 250 cells a second, a cell in ten seconds
/// each. One that has its handshake and is silent takes 14 KiB, one that has asked 38 and more: were every place a speaker's, a flood would take
/// twice what it may.
pub const SPEAKING_MAX: usize = 2560;

/// Connections that may wait for a place, to speak or at all, that somebody else is asked to leave.
pub const WAITING_MAX: usize = 128;

/// What all connections share.
pub struct Hall {
    /// What is served.
    pub router: Router,
    /// For TLS; without it (on a socket) HTTP is plain.
    pub tls: Option<Arc<Certificate>>,
    /// What people call the time.
    pub clock: Arc<dyn Clock>,
    /// The time by which turns are taken.
    pub slots: Arc<SlotClock>,
    /// How long what may take.
    pub deadlines: Deadlines,
    /// Places of those who speak.
    pub speaking: Arc<Semaphore>,
    /// Places of those who wait for one of those.
    pub waiting: Semaphore,
    /// Room for bodies and replies.
    pub owing: Arc<Owing>,
    /// Room for what the line's devices say and are answered.
    pub owing_desks: Arc<Owing>,
    /// The same for what they send.
    pub owing_bodies: Arc<Owing>,
    /// The part of [`Hall::owing`] that is for this machine's own connections, where there are others: an onion service's, which could be all
    /// of one stranger.
    pub owing_local: Option<Arc<Owing>>,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// Turns true when the relay stops.
    pub stopping: watch::Receiver<bool>,
}

/// Serves a connection until it ends, is ended, or has to make room.
pub async fn serve(hall: Arc<Hall>, wire: Wire, seated: Seated) {
    let leave = Arc::clone(&seated.leave);
    tokio::select! {
        () = stack::wiped_each_turn(greet(&hall, wire, &seated)) => {}
        () = leave.notified() => hall.counters.connections_shed.add(1),
    }
}

async fn greet(hall: &Arc<Hall>, wire: Wire, seated: &Seated) {
    let said = Arc::clone(seated.standing.said());
    let Some(certificate) = &hall.tls else { return speak(hall, wire, (Speech::Http1, pulse::now(), said), seated).await };
    let acceptor = TlsAcceptor::from(certificate.config());
    match timeout(hall.deadlines.handshake, acceptor.accept(Greeted::new(wire, HANDSHAKE_MAX, Arc::clone(&said)))).await {
        Ok(Ok(mut stream)) => {
            let (wire, tls) = stream.get_mut();
            wire.is_greeted();
            tls.set_buffer_limit(Some(UNSENT_MAX));
            let speech = if stream.get_ref().1.alpn_protocol() == Some(b"h2") { Speech::Http2 } else { Speech::Http1 };
            let began = pulse::now();
            if begins(hall, &mut stream).await
                && let Some((_place, since)) = may_speak(hall, seated, began).await
            {
                // In a room of its own: what waits for a first byte takes a third of what speaks.
                Box::pin(speak(hall, stream, (speech, since, said), seated)).await;
            }
        }
        Ok(Err(_)) | Err(_) => hall.counters.handshakes_failed.add(1),
    }
}

/// Whether the peer says anything. Until it does nothing is set up that would read it, for which hyper takes 20 KiB and more.
async fn begins<S: AsyncBufRead + Unpin>(hall: &Hall, stream: &mut S) -> bool {
    let mut stopping = hall.stopping.clone();
    tokio::select! {
        first = timeout(hall.deadlines.head, stream.fill_buf()) => {
            hall.counters.deadlines_passed.add(u64::from(first.is_err()));
            matches!(first, Ok(Ok([_, ..])))
        }
        _ = stopping.wait_for(|stops| *stops) => false,
    }
}

/// A place among those who speak, and since when something is due of whoever has it. Where there is none, one of the source that speaks most makes
/// room, as where all places are taken; that is waited for at the relay's cost.
async fn may_speak(hall: &Hall, seated: &Seated, began: Instant) -> Option<(OwnedSemaphorePermit, Instant)> {
    let place = match Arc::clone(&hall.speaking).try_acquire_owned() {
        Ok(place) => Some((place, began)),
        Err(_) => {
            let bench = hall.waiting.try_acquire().ok();
            let has_room = bench.is_some() && seated.make_room_to_speak(hall.slots.now());
            let place = timeout(hall.deadlines.handshake, Arc::clone(&hall.speaking).acquire_owned());
            let place = if has_room { place.await.ok().and_then(Result::ok) } else { None };
            place.map(|place| (place, pulse::now()))
        }
    };
    match &place {
        Some(_) => seated.standing.speak(),
        None => hall.counters.connections_refused.add(1),
    }
    place
}

/// What is spoken on a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    /// HTTP/1.1.
    Http1,
    /// h2.
    Http2,
}

/// Serves what is spoken since the handshake, and counts its bytes.
async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    hall: &Arc<Hall>,
    stream: S,
    (speech, since, said): (Speech, Instant, Arc<AtomicU64>),
    seated: &Seated,
) {
    let pulse = Arc::new(Pulse::new(hall.deadlines, speech, since, said));
    let stream = TokioIo::new(Felt::new(stream, Arc::clone(&pulse)));
    let service = {
        let (hall, pulse, from) = (Arc::clone(hall), Arc::clone(&pulse), Whence::of(seated));
        // On h2 each answer is a task of its own.
        service_fn(move |request| stack::wiped_each_turn(answer(Arc::clone(&hall), Arc::clone(&pulse), from.clone(), request)))
    };
    let builder = builder(speech);
    let mut talk = pin!(builder.serve_connection(stream, service));
    let mut stopping = hall.stopping.clone();
    let last_word = tokio::select! {
        _ = talk.as_mut() => {
            hall.counters.floods_cut.add(u64::from(pulse.is_overdrawn()));
            return;
        }
        () = pulse.silence() => {
            hall.counters.deadlines_passed.add(1);
            return;
        }
        () = sleep_until(pulse.born() + hall.deadlines.age) => hall.deadlines.request,
        _ = stopping.wait_for(|stops| *stops) => hall.deadlines.stop,
    };
    talk.as_mut().graceful_shutdown();
    tokio::select! {
        _ = timeout(last_word, talk) => {}
        // Whoever takes nothing is not waited for in the end either.
        () = pulse.silence() => {}
    }
}

fn builder(speech: Speech) -> auto::Builder<TokioExecutor> {
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut builder = if speech == Speech::Http2 { builder.http2_only() } else { builder.http1_only() };
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD_MAX as usize).half_close(false);
    let mut http2 = builder.http2();
    // The date is ours to add there: see `reply::dated`.
    http2.auto_date_header(false).timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX).max_header_list_size(LIST_MAX);
    http2.max_pending_accept_reset_streams(16).max_local_error_reset_streams(64).max_send_buf_size(128 * 1024);
    // What a peer may send before anyone asks for it: one body on each stream, two in all.
    http2.initial_stream_window_size(WINDOW).initial_connection_window_size(2 * WINDOW);
    builder
}

/// The request was not worth a reply: the connection (HTTP/1.1) or stream (h2) ends without one.
#[derive(Debug, thiserror::Error)]
#[error("a deadline passed")]
struct TooSlow;

/// Where a request comes from, and against whom it counts what it takes up.
#[derive(Clone)]
struct Whence {
    source: Source,
    owes: Vec<Source>,
    alone: Source,
    standing: Arc<Standing>,
}

impl Whence {
    fn of(seated: &Seated) -> Self {
        let (owes, standing) = (seated.owes.clone(), Arc::clone(&seated.standing));
        Self { source: seated.source, owes, alone: seated.alone, standing }
    }

    /// Whether it comes from this machine, as all do that come through an onion service.
    fn is_local(&self) -> bool {
        self.owes.first() == Some(&self.alone)
    }
}

async fn answer(hall: Arc<Hall>, pulse: Arc<Pulse>, from: Whence, request: Request<Incoming>) -> Result<Response<Body>, TooSlow> {
    let mut asked = pulse.begin();
    // A long poll waits at most 30 s (SPEC §11), well within the whole; so one deadline does for all.
    let whole = timeout(hall.deadlines.request, heard(&hall, &from, request)).await;
    let heard = whole.unwrap_or(Err(TooSlow)).inspect_err(|_| hall.counters.deadlines_passed.add(1))?;
    // What cost a check of signatures for nothing is as good as given up.
    // A web server's connections are everybody's.
    if hall.tls.is_none() || heard.extensions().get::<reply::InVain>().is_none() {
        asked.answered();
    }
    owed(&hall, &pulse, &from, heard).await
}

/// The reply, tied to what it takes up until the peer has taken it.
async fn owed(hall: &Hall, pulse: &Arc<Pulse>, from: &Whence, reply: Response<Body>) -> Result<Response<Body>, TooSlow> {
    let (parts, body) = reply.into_parts();
    // Every reply is whole in memory, so this does not wait.
    let bytes = body.collect().await.map_err(|_| TooSlow)?.to_bytes();
    if bytes.is_empty() {
        return Ok(Response::from_parts(parts, Body::empty()));
    }
    let is_shared = parts.extensions.get::<reply::Shared>().is_some();
    let held = match parts.extensions.get::<reply::ToDesk>() {
        _ if is_shared => None,
        Some(_) => {
            if hall.tls.is_some() {
                from.standing.prove();
            }
            Some(hall.desk_room_for(from, bytes.len())?)
        }
        None => Some(hall.room_for(from, bytes.len())?),
    };
    Ok(Response::from_parts(parts, Body::from(Bytes::from_owner(Owed::new(bytes, held, pulse)))))
}

impl Hall {
    /// Room for `len` bytes on behalf of whoever owes them. A connection that has shown it is a device's has more than others, for what it sends.
    fn room_for(&self, from: &Whence, len: usize) -> Result<Held, TooSlow> {
        if from.standing.is_proven()
            && let Some(held) = self.owing_bodies.take(&[from.alone], len)
        {
            return Ok(held);
        }
        let held = match self.owing_local.as_ref().filter(|_| from.is_local()) {
            None => self.owing.take(&from.owes, len),
            Some(local) => local.take(&from.owes, len).and_then(|part| Some(self.owing.take(&from.owes, len)?.with(part))),
        };
        self.or_shed(held)
    }

    /// The same for a reply to a device. Of those who have shown who they are, several may sit behind one address.
    fn desk_room_for(&self, from: &Whence, len: usize) -> Result<Held, TooSlow> {
        self.or_shed(self.owing_desks.take(&[from.alone], len))
    }

    /// Who finds no room is sent away before memory runs out.
    fn or_shed(&self, held: Option<Held>) -> Result<Held, TooSlow> {
        held.ok_or_else(|| {
            self.counters.requests_shed.add(1);
            TooSlow
        })
    }
}

async fn heard(hall: &Hall, from: &Whence, request: Request<Incoming>) -> Result<Response<Body>, TooSlow> {
    let (mut parts, body) = request.into_parts();
    parts.headers = read_headers(&parts.headers);
    // Every body is read the same way before anyone looks at the path, so that how it is read tells nobody what is there.
    let is_longer = body.size_hint().lower() > BODY_MAX as u64;
    let (body, _held) = if is_longer { (None, Vec::new()) } else { whole_body(hall, from, body).await? };
    let request = match body {
        Some(body) => {
            parts.extensions.insert(from.source);
            Request::from_parts(parts, body)
        }
        // Without a source nothing is a call, and the decoy does not read.
        None => Request::from_parts(parts, Body::empty()),
    };
    let reply: Result<Response<Body>, Infallible> = hall.router.clone().oneshot(request).await;
    Ok(reply::dated(reply.unwrap_or_else(|never| match never {}), hall.clock.wall()))
}

/// The headers that anybody here reads. The others go before the body is waited for: what a table of h2 spells out in a byte each takes a
/// hundred times that.
fn read_headers(all: &HeaderMap) -> HeaderMap {
    let read = [header::AUTHORIZATION, header::ACCEPT_ENCODING];
    read.into_iter().filter_map(|name| all.get(&name).map(|value| (name.clone(), value.clone()))).collect()
}

/// The body, and the room it takes; no body if it is longer than any call's.
async fn whole_body(hall: &Hall, from: &Whence, body: Incoming) -> Result<(Option<Body>, Vec<Held>), TooSlow> {
    if body.is_end_stream() {
        return Ok((Some(Body::empty()), Vec::new()));
    }
    timeout(hall.deadlines.body, collected(hall, from, body)).await.unwrap_or(Err(TooSlow))
}

/// The same, however long it takes. It counts for what has come and not for what is announced: a hundred and fifty heads would else take up all
/// that their source may, and they cost nothing.
async fn collected(hall: &Hall, from: &Whence, mut body: Incoming) -> Result<(Option<Body>, Vec<Held>), TooSlow> {
    let mut held = vec![hall.room_for(from, HEARING)?];
    // Copied: a piece of a byte would keep the buffer that it was read in.
    let mut whole: Vec<u8> = Vec::new();
    while let Some(piece) = body.frame().await {
        let Ok(piece) = piece.map_err(|_| TooSlow)?.into_data() else { continue };
        let len = whole.len() + piece.len();
        if len > BODY_MAX {
            return Ok((None, Vec::new()));
        }
        while held.len() * HEARING < len {
            held.push(hall.room_for(from, HEARING)?);
        }
        // No more than it counts for: a vector by itself doubles.
        whole.reserve_exact(held.len() * HEARING - whole.len());
        whole.extend_from_slice(&piece);
    }
    Ok((Some(Body::from(whole)), held))
}
