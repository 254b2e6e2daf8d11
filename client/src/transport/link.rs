//! One relay: connections kept, calls made, nothing tried twice.

use core::time::Duration;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::http::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::address::Address;
use super::authority::client_config;
use super::dial::Dial;
use super::failure::Failure;
use super::pin::Pin;
use super::pulse::{Felt, Pulse};

/// Idle HTTP/1.1 connections kept per relay: one for the beats, one for the desk's long poll.
const IDLE_KEPT: usize = 2;

/// What each KiB of a call may take besides: 512 bytes a second, what TCP is left with where a third of all packets is lost and a
/// round trip takes more than half a second. The relay waits as long for its replies to be taken.
const KIB: Duration = Duration::from_secs(2);

/// Of an answer whose length is not known before, so many bytes are waited for at that speed; longer ones must come quicker.
const UNKNOWN_LEN: usize = 65_536;

/// How long nothing may be heard from a relay that was asked.
///
/// A call whose bytes keep coming goes on for as long as they may take on a bad line ([`Patience::whole`]); one that
/// hears nothing ends, and its connection with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience(Duration);

impl Patience {
    /// The least a call is given, however short the line's beats: mobile networks stall for seconds.
    pub const LEAST: Duration = Duration::from_secs(10);

    /// A beat's length, but never less than [`Patience::LEAST`].
    #[must_use]
    pub fn of_beat(beat: Duration) -> Self {
        Self(beat.max(Self::LEAST))
    }

    /// Shorter than any: so that tests need not wait.
    #[cfg(test)]
    pub(crate) fn short(silence: Duration) -> Self {
        Self(silence)
    }

    /// The same with a wait the relay was asked for on top (the desk's long poll).
    #[must_use]
    pub fn and(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }

    /// How long the relay may be silent after `sent` bytes: it hears the last of them no sooner than a bad line lets it.
    #[must_use]
    pub fn silence(self, sent: usize) -> Duration {
        self.0.saturating_add(slowly(sent))
    }

    /// How long a call may take from dialling to the last byte of its answer, if `sent` bytes go and `expect` comes.
    #[must_use]
    pub fn whole(self, sent: usize, expect: Expect) -> Duration {
        let comes = match expect {
            Expect::Exactly(len) => len,
            Expect::AtMost(len) => len.min(UNKNOWN_LEN),
        };
        self.silence(sent).saturating_add(slowly(comes))
    }
}

/// What so many bytes take at worst.
fn slowly(len: usize) -> Duration {
    KIB.saturating_mul(u32::try_from(len.div_ceil(1024)).unwrap_or(u32::MAX))
}

/// How long an answer's body must be. Any other length is no relay's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Exactly so many bytes.
    Exactly(usize),
    /// At most so many bytes; whoever parses them checks the rest.
    AtMost(usize),
}

impl Expect {
    fn most(self) -> usize {
        match self {
            Self::Exactly(len) | Self::AtMost(len) => len,
        }
    }

    fn accepts(self, len: usize) -> bool {
        match self {
            Self::Exactly(exact) => len == exact,
            Self::AtMost(most) => len <= most,
        }
    }
}

/// One call of the relay's API (SPEC §11).
#[derive(Debug)]
pub struct Call {
    /// GET, POST or PUT.
    pub method: Method,
    /// The path, beginning with the gate's slash.
    pub path: String,
    /// What is sent; `None` sends no body.
    pub body: Option<Vec<u8>>,
    /// What must come back.
    pub expect: Expect,
    /// How long the relay may be silent, and with the lengths of what goes and comes, how long it may take.
    pub patience: Patience,
    /// A device's token for the desk's calls.
    pub token: Option<String>,
}

/// One relay, with the connections that are open to it.
pub struct Link {
    address: Address,
    dial: Dial,
    tls: TlsConnector,
    idle: Mutex<Idle>,
    /// Held while a connection is made: who needs one meanwhile waits for that one instead of making another.
    dialling: Mutex<()>,
    /// Connections that have not ended.
    open: watch::Sender<usize>,
}

/// Connections nobody uses at the moment. One of h2 serves all calls at once, one of HTTP/1.1 a single one.
#[derive(Default)]
struct Idle {
    shared: Option<Connection>,
    single: Vec<Connection>,
}

/// A connection to the relay, and the public key it was made with.
pub struct Connection {
    sender: Sender,
    pin: Pin,
    pulse: Pulse,
}

enum Sender {
    Single(http1::SendRequest<Full<Bytes>>),
    Shared(http2::SendRequest<Full<Bytes>>),
}

impl Link {
    /// A relay at an address, believed by `pin` or by the public authorities. Opens nothing yet.
    ///
    /// # Errors
    ///
    /// [`rustls::Error`] only if TLS was built without what this asks for.
    pub fn new(address: Address, pin: Option<Pin>, dial: Dial) -> Result<Self, rustls::Error> {
        let tls = TlsConnector::from(Arc::new(client_config(pin)?));
        Ok(Self { address, dial, tls, idle: Mutex::default(), dialling: Mutex::default(), open: watch::Sender::default() })
    }

    /// Where the relay is.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Returns when every connection has ended, which they do by themselves once nobody has the link and no call is under way. Whoever lets
    /// the runtime end sooner leaves it to chance whether the relay hears of it.
    pub fn ended(&self) -> impl Future<Output = ()> + use<> {
        let mut open = self.open.subscribe();
        async move {
            // Without the sender nothing is open any more.
            let _gone = open.wait_for(|count| *count == 0).await;
        }
    }

    /// Makes one call; the connection is kept for the next one only if all went well.
    ///
    /// # Errors
    ///
    /// Any [`Failure`]. Nothing was tried twice, and the relay may still have taken what was sent.
    pub async fn call(&self, call: Call) -> Result<Vec<u8>, Failure> {
        self.call_signed(call, |_| None).await
    }

    /// Makes one call with a token that is signed over the relay's public key as seen on this very connection (SPEC §11.1).
    ///
    /// # Errors
    ///
    /// As for [`Link::call`].
    pub async fn call_signed(&self, mut call: Call, token: impl FnOnce(&Pin) -> Option<String>) -> Result<Vec<u8>, Failure> {
        let sent = call.body.as_ref().map_or(0, Vec::len);
        let (silence, whole) = (call.patience.silence(sent), call.patience.whole(sent, call.expect));
        let work = async {
            let mut connection = self.take().await?;
            call.token = token(&connection.pin).or(call.token);
            let pulse = connection.pulse.clone();
            let outcome = tokio::select! {
                outcome = connection.send(&call, &self.address) => outcome,
                () = pulse.silence(silence) => Err(Failure::Slow),
            };
            match &outcome {
                Ok(_) => self.idle.lock().await.keep(connection),
                // It may be dead without knowing it; calls still under way on it keep their own handle.
                Err(Failure::Slow | Failure::Broken(_)) => self.idle.lock().await.forget(&pulse),
                Err(_) => {}
            }
            outcome
        };
        timeout(whole, work).await.unwrap_or(Err(Failure::Slow))
    }

    /// A living connection from those kept, or a new one.
    async fn take(&self) -> Result<Connection, Failure> {
        if let Some(kept) = self.idle.lock().await.take() {
            return Ok(kept);
        }
        let _dialling = self.dialling.lock().await;
        if let Some(made) = self.idle.lock().await.take() {
            return Ok(made);
        }
        let connection = self.connect().await?;
        if let Some(twin) = connection.twin() {
            self.idle.lock().await.shared = Some(twin);
        }
        Ok(connection)
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let tcp = self.dial.open(&self.address).await?;
        // Under TLS, which shows nothing of a record before all its 16 KiB are there.
        let pulse = Pulse::new();
        let tcp = Felt::new(tcp, pulse.clone(), Open::one_more(&self.open));
        let tls = self.tls.connect(self.address.name(), tcp).await.map_err(Failure::of_handshake)?;
        let pin = pin_of(&tls).ok_or(Failure::Untrusted)?;
        let sender = handshake(tls).await.map_err(Failure::Broken)?;
        Ok(Connection { sender, pin, pulse })
    }
}

impl Idle {
    fn take(&mut self) -> Option<Connection> {
        self.shared = self.shared.take().filter(Connection::lives);
        self.single.retain(Connection::lives);
        self.shared.as_ref().and_then(Connection::twin).or_else(|| self.single.pop())
    }

    fn keep(&mut self, connection: Connection) {
        let single = matches!(connection.sender, Sender::Single(_));
        if single && connection.lives() && self.single.len() < IDLE_KEPT {
            self.single.push(connection);
        }
    }

    /// Gives no more calls to the connection of this pulse.
    fn forget(&mut self, pulse: &Pulse) {
        self.shared = self.shared.take().filter(|connection| !connection.pulse.is(pulse));
    }
}

impl Connection {
    fn lives(&self) -> bool {
        match &self.sender {
            Sender::Single(sender) => !sender.is_closed(),
            Sender::Shared(sender) => !sender.is_closed(),
        }
    }

    /// A second handle on the same connection, where HTTP allows for it.
    fn twin(&self) -> Option<Self> {
        match &self.sender {
            Sender::Single(_) => None,
            Sender::Shared(sender) => {
                Some(Self { sender: Sender::Shared(sender.clone()), pin: self.pin, pulse: self.pulse.clone() })
            }
        }
    }

    async fn send(&mut self, call: &Call, address: &Address) -> Result<Vec<u8>, Failure> {
        let request = self.request(call, address)?;
        let response = match &mut self.sender {
            Sender::Single(sender) => sender.send_request(request).await,
            Sender::Shared(sender) => sender.send_request(request).await,
        };
        body_of(response.map_err(Failure::Broken)?, call.expect).await
    }

    /// The request as every client writes it: no agent, no accepted kinds, nothing that differs between clients or calls.
    fn request(&self, call: &Call, address: &Address) -> Result<Request<Full<Bytes>>, Failure> {
        let target = match &self.sender {
            Sender::Single(_) => call.path.clone(),
            Sender::Shared(_) => format!("{address}{}", call.path),
        };
        let mut request = Request::builder().method(call.method.clone()).uri(target);
        if matches!(self.sender, Sender::Single(_)) {
            request = request.header(HOST, address.authority());
        }
        if call.body.is_some() {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        }
        if let Some(token) = &call.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = Full::new(Bytes::from(call.body.clone().unwrap_or_default()));
        // Only a path that is no path can fail here, and such a path is at no relay.
        request.body(body).map_err(|_| Failure::NotThisLine)
    }
}

/// The whole body, if the answer is the relay's: status 200 and a length that is allowed. Reads no byte more than that.
async fn body_of(response: Response<Incoming>, expect: Expect) -> Result<Vec<u8>, Failure> {
    let (head, mut body) = response.into_parts();
    let announced = body.size_hint().exact().is_none_or(|len| usize::try_from(len).is_ok_and(|len| expect.accepts(len)));
    if head.status != StatusCode::OK || !announced {
        return Err(Failure::NotThisLine);
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Failure::Broken)?.into_data() else { continue };
        if bytes.len() + data.len() > expect.most() {
            return Err(Failure::NotThisLine);
        }
        bytes.extend_from_slice(&data);
    }
    if expect.accepts(bytes.len()) { Ok(bytes) } else { Err(Failure::NotThisLine) }
}

fn pin_of<S>(tls: &TlsStream<S>) -> Option<Pin> {
    let (_, session) = tls.get_ref();
    session.peer_certificates().and_then(<[_]>::first).and_then(|certificate| Pin::of_certificate(certificate))
}

/// Starts HTTP in the version TLS agreed on; the connection itself is driven by a task that ends with it.
async fn handshake(tls: TlsStream<Felt<TcpStream>>) -> hyper::Result<Sender> {
    let (_, session) = tls.get_ref();
    if session.alpn_protocol() == Some(b"h2") {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await?;
        tokio::spawn(connection);
        Ok(Sender::Shared(sender))
    } else {
        let (sender, connection) = http1::handshake(TokioIo::new(tls)).await?;
        tokio::spawn(connection);
        Ok(Sender::Single(sender))
    }
}

/// Goes with a connection, wherever hyper takes it.
pub(super) struct Open(watch::Sender<usize>);

impl Open {
    fn one_more(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
