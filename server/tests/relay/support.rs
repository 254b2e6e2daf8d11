//! A line, its devices, a relay for it, and clients that speak to that.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Bytes;
use axum::http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use porchlight_proto::api::{DeskBeat, DeskReply, Floor, LanePage, Notice, UpPost, UpReply};
use porchlight_proto::bulletin::{Bulletin, Code};
use porchlight_proto::cert::{DeskCert, DeviceCert, Role};
use porchlight_proto::kdf;
use porchlight_proto::limits::UP_CELL_LEN;
use porchlight_proto::line::{DeviceId, LineId, Seat};
use porchlight_proto::roster::{RosterBody, SignedRoster};
use porchlight_proto::seal::SealingSecret;
use porchlight_proto::sign::{PublicKey, SecretKey};
use porchlight_proto::time::{Millis, Seconds, Timing};
use porchlight_proto::token::{Credentials, Request as TokenRequest};
use porchlight_relay::chance::SystemChance;
use porchlight_relay::clock::{Clock, SetClock};
use porchlight_relay::config::{Mode, Settings};
use porchlight_relay::door::listen::Bound;
use porchlight_relay::process::memory::Memory;
use porchlight_relay::seal::Lane;
use porchlight_relay::seal::copy::{Found, open_copy};
use porchlight_relay::{Relay, World, start};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) const GATE: &str = "k3v9q2";
/// 2026-11-23, 12:00:05 UTC.
pub(crate) const NOON: Millis = Millis(1_795_435_205_000);

/// One enrolled machine.
pub(crate) struct Device {
    pub(crate) key: SecretKey,
    pub(crate) cert: DeviceCert,
}

/// A line with a lead, a worker and a safeguarding person.
pub(crate) struct TestLine {
    pub(crate) root: SecretKey,
    pub(crate) id: LineId,
    pub(crate) desk: SecretKey,
    pub(crate) desk_cert: DeskCert,
    pub(crate) lead: Device,
    pub(crate) worker: Device,
    pub(crate) safeguarding: Device,
    pub(crate) seat: SecretKey,
    pub(crate) rng: std::sync::Mutex<ChaCha20Rng>,
    now: Seconds,
}

const YEAR: u64 = 31_536_000;

impl TestLine {
    pub(crate) fn new(seed: u64, now: Seconds) -> Self {
        Self::of_life(seed, now, (Seconds(now.0 - YEAR), Seconds(now.0 + YEAR)))
    }

    /// With certificates that hold from one moment to another.
    pub(crate) fn of_life(seed: u64, now: Seconds, life: (Seconds, Seconds)) -> Self {
        println!("line seed {seed}");
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let [root, desk, seat] = [(); 3].map(|()| SecretKey::generate(&mut rng));
        let id = LineId::from_root(&root.public());
        let desk_cert = DeskCert::sign(&root, &desk.public(), 1, life.0, life.1);
        let mut device = |role, seat| {
            let key = SecretKey::generate(&mut rng);
            let cert = DeviceCert::sign(&desk, &id, &key.public(), (role, seat), life).unwrap();
            Device { key, cert }
        };
        let lead = device(Role::Lead, Seat::new(0));
        let worker = device(Role::Worker, Seat::new(1));
        let safeguarding = device(Role::Safeguarding, Some(Seat::SAFEGUARDING));
        Self { root, id, desk, desk_cert, lead, worker, safeguarding, seat, rng: std::sync::Mutex::new(rng), now }
    }

    pub(crate) fn bytes<const N: usize>(&self) -> Box<[u8; N]> {
        let mut bytes = Box::new([0; N]);
        self.rng.lock().unwrap().fill_bytes(bytes.as_mut_slice());
        bytes
    }

    pub(crate) fn roster(&self, serial: u32, timing: Timing, revoked: Option<DeviceId>) -> SignedRoster {
        self.roster_of(serial, serial, timing, revoked)
    }

    /// A roster of a period; of one period only the highest serial stands.
    pub(crate) fn roster_of(&self, period: u32, serial: u32, timing: Timing, revoked: Option<DeviceId>) -> SignedRoster {
        self.roster_with((period, serial), timing, revoked, Seconds(0))
    }

    /// A roster that takes down every bulletin of before a moment.
    pub(crate) fn roster_with(
        &self,
        (period, serial): (u32, u32),
        timing: Timing,
        revoked: Option<DeviceId>,
        bulletins_void_before: Seconds,
    ) -> SignedRoster {
        let mut rng = self.rng.lock().unwrap();
        let other = |rng: &mut ChaCha20Rng| SecretKey::generate(rng).public();
        let mut seats_now: [PublicKey; 9] = std::array::from_fn(|_| other(&mut rng));
        seats_now[1] = self.seat.public();
        let body = RosterBody {
            serial,
            period,
            not_before: Seconds(self.now.0 - 3600),
            not_after: Seconds(self.now.0 + 86_400),
            timing,
            reply_weeks: 9,
            answer_within: 0,
            desk_key: SealingSecret::generate(&mut *rng).public().clone(),
            safe_key: SealingSecret::generate(&mut *rng).public().clone(),
            seats_now,
            seats_previous: std::array::from_fn(|_| other(&mut rng)),
            revoked: [revoked.unwrap_or(DeviceId([0xee; 8])); 8],
            previous_hash: [7; 32],
            bulletins_void_before,
            closed_until: Seconds(0),
        };
        body.sign(&self.desk, &self.desk_cert, &self.root.public()).unwrap()
    }

    pub(crate) fn bulletin(&self, time: Seconds) -> [u8; 80] {
        Bulletin { code: Code::NoMeetings, seat: Seat::new(1).unwrap(), time }.sign(&self.seat, &self.id)
    }

    /// One of many bulletins, each newer than the one before.
    pub(crate) fn nth_bulletin(&self, nth: u32) -> [u8; 80] {
        self.bulletin(Seconds(self.now.0 - 1_000_000 + u64::from(nth)))
    }

    pub(crate) fn token(
        &self,
        device: &Device,
        spki: &[u8; 32],
        (method, path): (&str, &str),
        body: &[u8],
        now: Seconds,
    ) -> String {
        let credentials =
            Credentials { desk_cert: &self.desk_cert, device_cert: &device.cert, device: &device.key, line: &self.id };
        let request = TokenRequest { method, path, body_hash: kdf::digest(body) };
        credentials.token(spki, &request, now, &mut *self.rng.lock().unwrap())
    }

    pub(crate) fn post(&self) -> UpPost {
        UpPost { stamp: *self.bytes(), cell: self.bytes() }
    }

    pub(crate) fn beat(&self, fast_slot: Option<u64>, slow_slot: Option<u64>, floor: Floor) -> DeskBeat {
        DeskBeat {
            fast_slot,
            slow_slot,
            floor,
            fast_cell: self.bytes(),
            slow_cell: self.bytes(),
            team_cells: [self.bytes(), self.bytes()],
        }
    }

    /// The `[[line]]` part of a configuration.
    pub(crate) fn table(&self, more: &str) -> String {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let (id, root) = (hex(self.id.as_bytes()), hex(self.root.public().as_bytes()));
        format!("[[line]]\nid = \"{id}\"\nroot = \"{root}\"\ngates = [\"{GATE}\"]\n{more}\n")
    }
}

/// A directory for a relay, its settings, and what the world is to it.
pub(crate) struct Site {
    pub(crate) dir: TempDir,
    pub(crate) line: TestLine,
    pub(crate) clock: Arc<SetClock>,
    pub(crate) top: String,
    pub(crate) more: String,
    pub(crate) boot_id: [u8; 16],
    pub(crate) memory: Arc<SaidMemory>,
}

/// What a relay is told that it holds in memory: nothing, unless a test says otherwise.
#[derive(Default)]
pub(crate) struct SaidMemory(pub(crate) AtomicU64);

impl Memory for SaidMemory {
    fn resident(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed))
    }
}

impl Site {
    pub(crate) fn new(seed: u64) -> Self {
        let line = TestLine::new(seed, NOON.seconds());
        let top = "listen = \"127.0.0.1:0\"\ndata_dir = \"data\"\nkeyring_dir = \"keys\"\n".to_owned();
        Self {
            dir: TempDir::new().unwrap(),
            line,
            clock: Arc::new(SetClock::new(NOON)),
            top,
            more: String::new(),
            boot_id: [1; 16],
            memory: Arc::default(),
        }
    }

    pub(crate) fn text(&self) -> String {
        format!("{}\n[tls]\nself_signed = true\n{}", self.top, self.line.table(&self.more))
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings::parse(&self.text(), Path::new("relay.toml"), self.dir.path(), Mode::Dev).unwrap()
    }

    pub(crate) fn world(&self) -> World {
        let memory = Arc::clone(&self.memory) as Arc<dyn Memory>;
        World { clock: Arc::clone(&self.clock) as Arc<dyn Clock>, chance: Arc::new(SystemChance), boot_id: self.boot_id, memory }
    }

    pub(crate) async fn start(&self) -> Running<'_> {
        self.start_with(&self.settings()).await
    }

    pub(crate) async fn start_with(&self, settings: &Settings) -> Running<'_> {
        let relay = start(settings, &self.world()).await.unwrap();
        Running { site: self, spki: *relay.spki().unwrap(), relay }
    }

    pub(crate) fn line_now(&self) -> Millis {
        self.clock.wall()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// A relay in this process.
pub(crate) struct Running<'a> {
    pub(crate) site: &'a Site,
    pub(crate) relay: Relay,
    pub(crate) spki: [u8; 32],
}

impl Running<'_> {
    pub(crate) fn address(&self) -> SocketAddr {
        match self.relay.bound() {
            Bound::Tcp(address) => *address,
            Bound::Unix(_) | Bound::Handed => panic!("not on an address of its own"),
        }
    }

    pub(crate) async fn client(&self, http: Http) -> Client {
        Client::connect(self.address(), self.spki, http).await
    }

    pub(crate) async fn post(&self, client: &mut Client, post: &UpPost) -> UpReply {
        let reply = client.send("POST", &format!("/{GATE}/v1/up"), None, post.to_bytes().as_slice()).await;
        UpReply::parse(&reply.ok()).unwrap()
    }

    pub(crate) async fn notice(&self, client: &mut Client) -> Notice {
        Notice::parse(&client.get("notice").await.ok()).unwrap()
    }

    /// A call with a device's token.
    pub(crate) async fn desk(&self, client: &mut Client, device: &Device, method: &str, call: &str, body: &[u8]) -> Reply {
        let path = format!("/v1/{call}");
        let now = self.site.clock.wall().seconds();
        let token = self.site.line.token(device, &self.spki, (method, &path), body, now);
        client.send(method, &format!("/{GATE}{path}"), Some(&token), body).await
    }

    pub(crate) async fn beat(&self, client: &mut Client, device: &Device, beat: &DeskBeat) -> DeskReply {
        DeskReply::parse(&self.desk(client, device, "POST", "desk/beat", beat.to_bytes().as_slice()).await.ok()).unwrap()
    }

    pub(crate) async fn page(&self, client: &mut Client, life: u64, after: u64, wait: u64) -> LanePage {
        let call = format!("desk/up?after={life:016x}-{after}&wait={wait}");
        LanePage::parse(&self.desk(client, &self.site.line.worker, "GET", &call, &[]).await.ok()).unwrap()
    }

    /// All that is held, asked for with a token of another time than the wall clock's.
    pub(crate) async fn page_at(&self, client: &mut Client, now: Seconds) -> LanePage {
        let path = format!("/v1/desk/up?after={:016x}-0&wait=0", 0);
        let token = self.site.line.token(&self.site.line.worker, &self.spki, ("GET", &path), &[], now);
        LanePage::parse(&client.send("GET", &format!("/{GATE}{path}"), Some(&token), &[]).await.ok()).unwrap()
    }

    pub(crate) async fn put_roster(&self, client: &mut Client, roster: &SignedRoster) -> DeskReply {
        DeskReply::parse(&self.desk(client, &self.site.line.lead, "PUT", "desk/roster", roster.bytes()).await.ok()).unwrap()
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Http {
    One,
    Two,
}

impl Http {
    fn alpn(self) -> &'static [u8] {
        match self {
            Self::One => b"http/1.1",
            Self::Two => b"h2",
        }
    }
}

/// Status, headers without the date, and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn ok(self) -> Bytes {
        assert_eq!(self.status, StatusCode::OK);
        self.body
    }
}

pub(crate) enum Client {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr, spki: [u8; 32], http: Http) -> Self {
        Self::over(tls(address, spki, http.alpn()).await, http).await
    }

    /// From another of this machine's addresses.
    pub(crate) async fn connect_from(own: [u8; 4], address: SocketAddr, spki: [u8; 32], http: Http) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((own, 0).into()).unwrap();
        Self::over(tls_over(socket.connect(address).await.unwrap(), spki, http.alpn()).await, http).await
    }

    /// Over a connection that is there.
    pub(crate) async fn over(stream: TlsStream<TcpStream>, http: Http) -> Self {
        let stream = TokioIo::new(stream);
        match http {
            Http::One => {
                let (sender, talk) = http1::handshake(stream).await.unwrap();
                tokio::spawn(talk);
                Self::One(sender)
            }
            Http::Two => {
                let (sender, talk) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
                tokio::spawn(talk);
                Self::Two(sender)
            }
        }
    }

    /// Another handle on the same h2 connection.
    pub(crate) fn another(&self) -> Self {
        match self {
            Self::One(_) => panic!("HTTP/1.1 has one request at a time"),
            Self::Two(sender) => Self::Two(sender.clone()),
        }
    }

    pub(crate) async fn get(&mut self, call: &str) -> Reply {
        self.send("GET", &format!("/{GATE}/v1/{call}"), None, &[]).await
    }

    pub(crate) async fn send(&mut self, method: &str, path: &str, token: Option<&str>, body: &[u8]) -> Reply {
        self.try_send(method, path, token, body).await.unwrap()
    }

    pub(crate) async fn try_send(&mut self, method: &str, path: &str, token: Option<&str>, body: &[u8]) -> hyper::Result<Reply> {
        self.send_as(method, path, token.map(|token| format!("Bearer {token}")).as_deref(), body).await
    }

    /// With an `authorization` header as it stands.
    pub(crate) async fn send_as(
        &mut self,
        method: &str,
        path: &str,
        authorization: Option<&str>,
        body: &[u8],
    ) -> hyper::Result<Reply> {
        let uri = match self {
            Self::One(_) => path.to_owned(),
            Self::Two(_) => format!("https://localhost{path}"),
        };
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(uri);
        if matches!(self, Self::One(_)) {
            request = request.header("host", "localhost");
        }
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let request = request.body(Full::from(body.to_vec())).unwrap();
        let reply: Response<hyper::body::Incoming> = match self {
            Self::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Two(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (parts, body) = reply.into_parts();
        let headers = parts.headers.iter().filter(|(name, _)| *name != "date");
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
        Ok(Reply { status: parts.status, headers, body: body.collect().await?.to_bytes() })
    }
}

pub(crate) async fn tls(address: SocketAddr, spki: [u8; 32], alpn: &[u8]) -> TlsStream<TcpStream> {
    tls_over(TcpStream::connect(address).await.unwrap(), spki, alpn).await
}

pub(crate) async fn tls_over(stream: TcpStream, spki: [u8; 32], alpn: &[u8]) -> TlsStream<TcpStream> {
    stream.set_nodelay(true).unwrap();
    TlsConnector::from(client_config(spki, alpn)).connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
}

pub(crate) fn client_config(spki: [u8; 32], alpn: &[u8]) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.dangerous().with_custom_certificate_verifier(Arc::new(Pin(spki))).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    Arc::new(config)
}

#[derive(Debug)]
struct Pin([u8; 32]);

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        cert: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let spki = ParsedCertificate::try_from(cert)?.subject_public_key_info();
        if kdf::digest(&spki) == self.0 {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General("another key".into()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            signature,
            &rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            signature,
            &rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Copies a directory and all that is in it. What goes meanwhile is not copied: a relay that runs forgets and tidies up.
pub(crate) fn copy(from: &Path, to: &Path) {
    let is_gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    std::fs::create_dir_all(to).unwrap();
    let entries = std::fs::read_dir(from);
    if entries.as_ref().is_err_and(is_gone) {
        return;
    }
    for entry in entries.unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            let copied = std::fs::copy(entry.path(), target);
            assert!(copied.as_ref().is_ok() || copied.as_ref().is_err_and(is_gone), "{copied:?}");
        }
    }
}

/// What somebody can open who copied the store and the keyring.
pub(crate) fn opened(site: &Site, cells: &str, keys: &str) -> Vec<Found> {
    // sled writes when it opens: every look has a copy of its own.
    let look = site.path("look");
    let _ = std::fs::remove_dir_all(&look);
    copy(&site.path(cells), &look);
    open_copy(&look, &site.path(keys)).unwrap()
}

/// The cells for the desk among it.
pub(crate) fn cells_of(found: &[Found]) -> BTreeSet<Vec<u8>> {
    let up = found.iter().filter(|found| found.lane == Lane::Up);
    up.flat_map(|found| found.plain.chunks(UP_CELL_LEN).map(<[u8]>::to_vec)).collect()
}
