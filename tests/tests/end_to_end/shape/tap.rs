//! What stands between a program and its relay, and writes down what there is to see.
//!
//! ```text
//!  program ══TLS══▶ tap ══TLS══▶ relay
//!     near: records    │    far: records
//!                      └─ frames and requests, as the relay sees them
//! ```
//!
//! The tap is the program's SOCKS5 proxy, so that cards and addresses are the same for everybody, and has the relay's key.
//! What either side says is passed on as it was said: the program's records are seen near, the relay's own far. Requests are
//! read from a copy.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use porchlight_client::transport::{Pin as Key, authority};
use porchlight_relay::door::tls;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::LONG;
use super::frames::{Frame, Frames};
use crate::site::{PATIENCE, Site};

/// More than a TLS record holds.
const PIECE: usize = 65_536;
/// Of a TLS record.
const HEADER_LEN: usize = 5;

/// One TLS record that passed.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    pub at: Instant,
    pub upward: bool,
    /// On the wire, its header of five bytes included.
    pub length: usize,
}

/// What was in one TLS record of a program or its relay, read by whoever has the key.
#[derive(Debug, Clone)]
pub struct Content {
    pub at: Instant,
    pub upward: bool,
    /// Bytes, as they were said.
    pub length: usize,
    /// The frames that begin in it; the one that leaks is a byte longer than was said.
    pub frames: Vec<Frame>,
}

/// A request as the relay reads it.
#[derive(Debug, Clone)]
pub struct Asked {
    pub at: Instant,
    /// Method, path without what numbers a thing, and each header with the length of its value.
    pub head: String,
    pub body: usize,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Notes {
    pub connections: usize,
    /// Of these, how many have not ended.
    pub open: usize,
    pub near: Vec<Record>,
    pub far: Vec<Record>,
    /// What is in those that carry anything, near upwards and far downwards: as it was said.
    pub contents: Vec<Content>,
    pub frames: Vec<(Instant, Frame)>,
    pub asked: Vec<Asked>,
    /// Which post from now on gets a byte more; 0 for none.
    pub leak: usize,
}

impl Notes {
    /// What was seen from the first post until before the one that comes `count` later; nothing if there are not so many.
    pub fn of_posts(&self, count: usize) -> Option<Self> {
        let between = |posts: Vec<Instant>| Some((*posts.first()?, *posts.get(count)?));
        let long = |record: &&Record| record.upward && record.length > LONG;
        let (from, until) = between(self.far.iter().filter(long).map(|record| record.at).collect())?;
        let (asked_from, asked_until) =
            between(self.asked.iter().filter(|asked| asked.body > 0).map(|asked| asked.at).collect())?;
        let within = |at: Instant| from <= at && at < until;
        Some(Self {
            far: self.far.iter().filter(|record| within(record.at)).copied().collect(),
            frames: self.frames.iter().filter(|(at, _)| within(*at)).copied().collect(),
            asked: self.asked.iter().filter(|asked| asked_from <= asked.at && asked.at < asked_until).cloned().collect(),
            near: Vec::new(),
            contents: self.contents.iter().filter(|content| within(content.at)).cloned().collect(),
            ..*self
        })
    }

    /// How many posts there were.
    pub fn posts(&self) -> usize {
        self.asked.iter().filter(|asked| asked.body > 0).count()
    }
}

type Shared = Arc<Mutex<Notes>>;

/// Where programs are sent through, one at a time.
pub struct Tap {
    /// As `--socks5` takes it.
    pub address: String,
    /// Of the connections that are made from now on.
    notes: Arc<Mutex<Shared>>,
}

impl Tap {
    /// Lays one before a site's relay, which has run once.
    pub async fn lay(site: &Site, relay: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, notes) = (listener.local_addr().unwrap().to_string(), Arc::new(Mutex::new(Shared::default())));
        let file = |name: &str| -> PathBuf { site.machine.path("data/tls").join(name) };
        let identity = tls::of_files(&file("cert.pem"), &file("key.pem")).unwrap();
        let connector = TlsConnector::from(Arc::new(authority::client_config(Some(Key::from_bytes(identity.spki))).unwrap()));
        let acceptor = TlsAcceptor::from(identity.config);
        let current = Arc::clone(&notes);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let notes = Arc::clone(&*current.lock().unwrap());
                let between = Between { relay, acceptor: acceptor.clone(), connector: connector.clone(), notes };
                tokio::spawn(async move {
                    let notes = Arc::clone(&between.notes);
                    notes.lock().unwrap().open += 1;
                    // A connection that breaks has ended: programs are killed, too.
                    drop(between.carry(near).await);
                    notes.lock().unwrap().open -= 1;
                });
            }
        });
        Self { address, notes }
    }

    /// Begins with connections that are made from now on: the farewell of an earlier one is not seen.
    pub fn begin_with_new(&self, leak: usize) {
        *self.notes.lock().unwrap() = Arc::new(Mutex::new(Notes { leak, ..Notes::default() }));
    }

    /// Begins anew with the connections there are: what was seen so far is forgotten.
    pub fn begin(&self, leak: usize) {
        let notes = self.current();
        let mut notes = notes.lock().unwrap();
        *notes = Notes { leak, open: notes.open, ..Notes::default() };
    }

    fn current(&self) -> Shared {
        Arc::clone(&*self.notes.lock().unwrap())
    }

    /// How many posts were seen so far.
    pub fn posts(&self) -> usize {
        self.current().lock().unwrap().posts()
    }

    /// What was seen since.
    pub fn end(&self) -> Notes {
        let notes = self.current();
        let mut notes = notes.lock().unwrap();
        let open = notes.open;
        std::mem::replace(&mut *notes, Notes { open, ..Notes::default() })
    }

    /// The same once every connection has ended, its farewell included.
    pub fn end_with_all(&self) -> Notes {
        let (notes, until) = (self.current(), Instant::now() + PATIENCE);
        while notes.lock().unwrap().open > 0 {
            assert!(Instant::now() < until, "a connection does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::mem::take(&mut *notes.lock().unwrap())
    }
}

struct Between {
    relay: SocketAddr,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    notes: Shared,
}

impl Between {
    async fn carry(self, mut near: TcpStream) -> io::Result<()> {
        near.set_nodelay(true)?;
        greet(&mut near).await?;
        let far = TcpStream::connect(self.relay).await?;
        far.set_nodelay(true)?;
        self.notes.lock().unwrap().connections += 1;
        let mut near = self.acceptor.accept(Seen::of(near, &self.notes, Side::Near)).await?;
        let mut far = self.connector.connect(ServerName::from(self.relay.ip()), Seen::of(far, &self.notes, Side::Far)).await?;
        let (mut frames, mut replies, mut reader) = (Frames::new(), Frames::of_replies(), reader(Arc::clone(&self.notes)));
        loop {
            tokio::select! {
                said = record(&mut near) => {
                    let said = said?;
                    if said.is_empty() {
                        reader.shutdown().await?;
                        return far.shutdown().await;
                    }
                    far.write_all(&self.noted(&mut frames, &said)).await?;
                    far.flush().await?;
                    reader.write_all(&said).await?;
                }
                said = record(&mut far) => {
                    let said = said?;
                    if said.is_empty() {
                        return near.shutdown().await;
                    }
                    self.replied(&mut replies, &said);
                    near.write_all(&said).await?;
                    near.flush().await?;
                }
            }
        }
    }

    /// What the program said, its frames noted, and leaking if it is to.
    fn noted(&self, frames: &mut Frames, said: &[u8]) -> Vec<u8> {
        let mut notes = self.notes.lock().unwrap();
        let Notes { frames: told, leak, contents, .. } = &mut *notes;
        let mut content = Content { at: Instant::now(), upward: true, length: said.len(), frames: Vec::new() };
        let passed = frames.pass(said, leak, |frame| {
            told.push((Instant::now(), frame));
            content.frames.push(frame);
        });
        contents.push(content);
        passed
    }

    /// Notes the frames of what the relay said.
    fn replied(&self, frames: &mut Frames, said: &[u8]) {
        let mut content = Content { at: Instant::now(), upward: false, length: said.len(), frames: Vec::new() };
        frames.pass(said, &mut 0, |frame| content.frames.push(frame));
        self.notes.lock().unwrap().contents.push(content);
    }
}

/// What was in one TLS record, so that it can go on in one; nothing at the end.
async fn record(from: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Vec<u8>> {
    let said = from.fill_buf().await?.to_vec();
    from.consume(said.len());
    Ok(said)
}

/// SOCKS5, as far as it has to be spoken: wherever somebody wants to go, there is only one relay.
async fn greet(near: &mut TcpStream) -> io::Result<()> {
    let mut head = [0; 2];
    near.read_exact(&mut head).await?;
    let mut ways = vec![0; usize::from(head[1])];
    near.read_exact(&mut ways).await?;
    near.write_all(&[5, 0]).await?;
    let mut wanted = [0; 4];
    near.read_exact(&mut wanted).await?;
    let left = match wanted[3] {
        1 => 4,
        3 => usize::from(near.read_u8().await?),
        _ => 16,
    };
    near.read_exact(&mut vec![0; left + 2]).await?;
    near.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await
}

/// An HTTP server that answers nobody: what is written to it is read as requests into the notes.
fn reader(notes: Shared) -> tokio::io::WriteHalf<tokio::io::DuplexStream> {
    let (ours, theirs) = tokio::io::duplex(PIECE);
    let (mut replies, requests) = tokio::io::split(ours);
    tokio::spawn(async move { tokio::io::copy(&mut replies, &mut tokio::io::sink()).await });
    let hear = service_fn(move |request| hear(request, Arc::clone(&notes)));
    let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(theirs), hear);
    // What could not be read is missing in the notes, and noticed there.
    tokio::spawn(async move { drop(served.await) });
    requests
}

/// Notes a request when its head is there, so that they are in order. How long its body is was said in it, and is so.
fn hear(request: Request<Incoming>, notes: Shared) -> impl Future<Output = hyper::Result<Response<Empty<Bytes>>>> {
    let (parts, body) = request.into_parts();
    let mut headers: Vec<String> =
        parts.headers.iter().map(|(name, value)| format!(" {name}:{}", value.as_bytes().len())).collect();
    headers.sort();
    let head = format!("{} {}{}", parts.method, shape_of(parts.uri.path_and_query().unwrap().as_str()), headers.concat());
    let length = parts.headers.get("content-length").and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0);
    notes.lock().unwrap().asked.push(Asked { at: Instant::now(), head, body: length });
    async move {
        let whole = body.collect().await?.to_bytes().len();
        if whole != length {
            let head = format!("a body of {whole} bytes, not {length} as was said");
            notes.lock().unwrap().asked.push(Asked { at: Instant::now(), head, body: whole });
        }
        Ok(Response::new(Empty::new()))
    }
}

/// A path without its gate, and with `n` for numbers and `life` for a lane's: what has one length in any case, but for the
/// position in a lane, which counts all cells.
fn shape_of(path: &str) -> String {
    let call = path.trim_start_matches('/').split_once('/').map_or("", |(_, call)| call);
    match call.split_once("after=").and_then(|(before, after)| Some((before, after.split_once('&')?.1))) {
        Some((before, rest)) => format!("{before}after=life-n&{rest}"),
        None => call.trim_end_matches(|letter: char| letter.is_ascii_digit()).to_owned(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Near,
    Far,
}

/// A connection whose records are noted, in both directions.
struct Seen<S> {
    inner: S,
    read: Records,
    written: Records,
    notes: Shared,
    side: Side,
}

impl<S> Seen<S> {
    fn of(inner: S, notes: &Shared, side: Side) -> Self {
        Self { inner, read: Records::default(), written: Records::default(), notes: Arc::clone(notes), side }
    }

    fn note(side: Side, notes: &Shared, upward: bool, lengths: Vec<usize>) {
        let at = Instant::now();
        let mut notes = notes.lock().unwrap();
        let records = if side == Side::Near { &mut notes.near } else { &mut notes.far };
        records.extend(lengths.into_iter().map(|length| Record { at, upward, length }));
    }
}

/// Tells the TLS records in a stream that comes in pieces.
#[derive(Default)]
struct Records {
    header: Vec<u8>,
    left: usize,
}

impl Records {
    fn pass(&mut self, mut bytes: &[u8]) -> Vec<usize> {
        let mut lengths = Vec::new();
        loop {
            let inside = self.left.min(bytes.len());
            self.left -= inside;
            let Some((byte, rest)) = bytes[inside..].split_first() else { return lengths };
            bytes = rest;
            self.header.push(*byte);
            if let [_, _, _, high, low] = self.header[..] {
                self.left = usize::from(u16::from_be_bytes([high, low]));
                self.header.clear();
                lengths.push(self.left + HEADER_LEN);
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Seen<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let Self { inner, read, notes, side, .. } = &mut *self;
        let polled = Pin::new(inner).poll_read(context, buffer);
        Self::note(*side, notes, *side == Side::Near, read.pass(&buffer.filled()[before..]));
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Seen<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { inner, written, notes, side, .. } = &mut *self;
        let polled = Pin::new(inner).poll_write(context, bytes);
        if let Poll::Ready(Ok(len)) = polled {
            Self::note(*side, notes, *side == Side::Far, written.pass(&bytes[..len]));
        }
        polled
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
