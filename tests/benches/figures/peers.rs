//! The relay's peak beside servers that people know, in one run: each takes messages of the same length over TLS with the same certificate, and the sender
//! waits for each to be acknowledged before it sends the next.
//!
//! Only Redis, as it is set up here, promises what the relay promises: acknowledged is on the disk. Mosquitto and NATS acknowledge sooner. A client of the
//! relay speaks h2 and the others' speak little more than lengths, on the same cores.
use crate::{
    figure::{once, say},
    relay,
};
use porchlight_client::transport::{Pin, authority};
use porchlight_proto::limits::UP_POST_LEN;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Longest time for a peer to begin to listen.
const START: Duration = Duration::from_secs(20);

pub(crate) fn measure() {
    let missing: Vec<&str> = PEERS.iter().filter(|peer| !peer.is_here()).map(|peer| peer.package).collect();
    assert!(missing.is_empty(), "what it is held against is missing: apt-get install {}", missing.join(" "));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let site = relay::Site::new();
    let relay = relay::Running::start(&site);
    let here = Here { tls: site.dir.path().join("data/tls"), pin: relay.pin };
    let peers: Vec<Running> = PEERS.iter().map(|peer| Running::start(peer, &here)).collect();
    for peer in &peers {
        runtime.block_on(async { Line::open(peer, "keeper", true).await.prepare().await });
    }
    for (clients, messages) in relay::CROWDS {
        let (took, posted) = once(|| runtime.block_on(relay::post(&relay, clients, messages)));
        let ours = relay::per_second(posted, took);
        say(&format!("peers: the relay, {clients} at once, on the disk"), ours, "/s");
        for peer in &peers {
            let (took, sent) = once(|| runtime.block_on(crowd(peer, clients, messages)));
            let theirs = relay::per_second(sent, took);
            say(&format!("peers: {}, {clients} at once, {}", peer.of.name, peer.of.promise), theirs, "/s");
            say(&format!("peers: the relay against {}", peer.of.name), ours / theirs, "times");
        }
    }
}

/// A server that takes messages and acknowledges them.
struct Peer {
    name: &'static str,
    /// Debian's package, and the program in it.
    package: &'static str,
    program: &'static str,
    /// Where a message is when it is acknowledged.
    promise: &'static str,
    /// Its settings, from where the certificate lies, the port and the folder for its data; and how they are named to it.
    settings: fn(tls: &Path, port: u16, data: &Path) -> String,
    named: &'static [&'static str],
    speaks: Speech,
}

#[derive(Clone, Copy)]
enum Speech {
    Redis,
    Mqtt,
    Nats,
}

const PEERS: [Peer; 3] = [
    Peer {
        name: "Redis",
        package: "redis-server",
        program: "/usr/bin/redis-server",
        promise: "on the disk",
        settings: |tls, port, data| {
            format!(
                "bind 127.0.0.1\nport 0\ntls-port {port}\ntls-cert-file {tls}/cert.pem\ntls-key-file {tls}/key.pem\ntls-ca-cert-file {tls}/cert.pem\n\
                 tls-auth-clients no\ndir {data}\nsave \"\"\nappendonly yes\nappendfsync always\n",
                tls = tls.display(),
                data = data.display()
            )
        },
        named: &[],
        speaks: Speech::Redis,
    },
    Peer {
        name: "Mosquitto",
        package: "mosquitto",
        program: "/usr/sbin/mosquitto",
        promise: "in memory",
        settings: |tls, port, data| {
            format!(
                "listener {port} 127.0.0.1\ncertfile {tls}/cert.pem\nkeyfile {tls}/key.pem\nallow_anonymous true\nuser root\nmax_queued_messages 0\n\
                 persistence true\npersistence_location {data}/\n",
                tls = tls.display(),
                data = data.display()
            )
        },
        named: &["-c"],
        speaks: Speech::Mqtt,
    },
    Peer {
        name: "NATS JetStream",
        package: "nats-server",
        program: "/usr/sbin/nats-server",
        promise: "not yet synced",
        settings: |tls, port, data| {
            format!(
                "listen: \"127.0.0.1:{port}\"\ntls {{ cert_file: \"{tls}/cert.pem\", key_file: \"{tls}/key.pem\" }}\njetstream {{ store_dir: \"{data}\" }}\n",
                tls = tls.display(),
                data = data.display()
            )
        },
        named: &["-c"],
        speaks: Speech::Nats,
    },
];

impl Peer {
    fn is_here(&self) -> bool {
        Path::new(self.program).exists()
    }
}

/// The certificate that all of them have.
struct Here {
    tls: std::path::PathBuf,
    pin: [u8; 32],
}

/// A peer in its own process; killed when dropped.
struct Running {
    of: &'static Peer,
    child: Child,
    address: SocketAddr,
    tls: TlsConnector,
    _data: tempfile::TempDir,
}

impl Running {
    fn start(of: &'static Peer, here: &Here) -> Self {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let data = tempfile::tempdir().unwrap();
        let settings = data.path().join("settings");
        std::fs::write(&settings, (of.settings)(&here.tls, address.port(), data.path())).unwrap();
        let mut command = Command::new(of.program);
        let child = command.args(of.named).arg(&settings).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut config = authority::client_config(Some(Pin::from_bytes(here.pin))).unwrap();
        config.alpn_protocols.clear();
        let mut running = Self { of, child, address, tls: TlsConnector::from(Arc::new(config)), _data: data };
        let begun = std::time::Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(running.child.try_wait().unwrap().is_none(), "{} ended at its start", of.name);
            assert!(begun.elapsed() < START, "{} does not listen", of.name);
            std::thread::sleep(Duration::from_millis(20));
        }
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Sends so many messages from so many clients, each with a connection of its own and one message at a time.
async fn crowd(peer: &Running, clients: usize, messages: usize) -> usize {
    let mut senders = tokio::task::JoinSet::new();
    for client in 0..clients {
        let mut line = Line::open(peer, &format!("sender-{client}"), false).await;
        senders.spawn(async move {
            let mut rng = ChaCha20Rng::seed_from_u64(u64::try_from(client).unwrap());
            let mut body = [0; UP_POST_LEN];
            for _ in 0..messages / clients {
                rng.fill_bytes(&mut body);
                line.send(&body).await;
            }
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender.unwrap();
    }
    messages / clients * clients
}

/// A connection to a peer, greeted.
struct Line {
    stream: BufReader<TlsStream<TcpStream>>,
    speaks: Speech,
    name: String,
}

impl Line {
    /// With `keeps`, what is sent while it is away is owed to it.
    async fn open(peer: &Running, name: &str, keeps: bool) -> Self {
        let mut tcp = TcpStream::connect(peer.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        if matches!(peer.of.speaks, Speech::Nats) {
            // It says in the clear that it wants TLS.
            while tcp.read_u8().await.unwrap() != b'\n' {}
        }
        let tls = peer.tls.connect("localhost".try_into().unwrap(), tcp).await.unwrap();
        let mut line = Self { stream: BufReader::new(tls), speaks: peer.of.speaks, name: name.to_owned() };
        match line.speaks {
            Speech::Redis => {}
            Speech::Mqtt => {
                line.packet(0x10, &[&string("MQTT")[..], &[4, if keeps { 0 } else { 2 }, 0, 0], &string(name)].concat()).await;
                assert_eq!(line.answer::<4>().await, [0x20, 2, 0, 0], "it lets us in");
            }
            Speech::Nats => {
                let hello = format!("CONNECT {{\"verbose\":false,\"tls_required\":true}}\r\nSUB told.{name} 1\r\nPING\r\n");
                line.write(hello.as_bytes()).await;
                while line.text().await != "PONG" {}
            }
        }
        line
    }

    /// Sees to it that what is sent is kept.
    async fn prepare(mut self) {
        match self.speaks {
            Speech::Redis => {}
            Speech::Mqtt => {
                self.packet(0x82, &[&[0, 1][..], &string("lane"), &[1]].concat()).await;
                assert_eq!(self.answer::<5>().await, [0x90, 3, 0, 1, 1], "it keeps what is sent");
            }
            Speech::Nats => {
                let wanted = br#"{"name":"lane","subjects":["lane"],"storage":"file"}"#;
                self.publish("$JS.API.STREAM.CREATE.lane", wanted).await;
            }
        }
    }

    /// Sends a message, and waits until it is acknowledged.
    async fn send(&mut self, body: &[u8]) {
        match self.speaks {
            Speech::Redis => {
                let head = format!("*3\r\n$5\r\nRPUSH\r\n$4\r\nlane\r\n${}\r\n", body.len());
                self.write(&[head.as_bytes(), body, b"\r\n"].concat()).await;
                assert!(self.text().await.starts_with(':'));
            }
            Speech::Mqtt => {
                self.packet(0x32, &[&string("lane")[..], &[0, 1], body].concat()).await;
                assert_eq!(self.answer::<4>().await, [0x40, 2, 0, 1]);
            }
            Speech::Nats => self.publish("lane", body).await,
        }
    }

    /// Publishes to NATS, and takes its answer.
    async fn publish(&mut self, subject: &str, body: &[u8]) {
        let head = format!("PUB {subject} told.{} {}\r\n", self.name, body.len());
        self.write(&[head.as_bytes(), body, b"\r\n"].concat()).await;
        loop {
            let line = self.text().await;
            if line == "PING" {
                self.write(b"PONG\r\n").await;
                continue;
            }
            assert!(line.starts_with("MSG "), "{line}");
            let length: usize = line.rsplit(' ').next().unwrap().parse().unwrap();
            let mut told = vec![0; length + 2];
            self.stream.read_exact(&mut told).await.unwrap();
            let told = String::from_utf8(told).unwrap();
            assert!(!told.contains("\"error\""), "{told}");
            return;
        }
    }

    /// A packet of MQTT.
    async fn packet(&mut self, kind: u8, body: &[u8]) {
        let mut bytes = vec![kind];
        let mut length = body.len();
        while length >= 128 {
            bytes.push(u8::try_from(length % 128).unwrap() | 128);
            length /= 128;
        }
        bytes.push(u8::try_from(length).unwrap());
        bytes.extend_from_slice(body);
        self.write(&bytes).await;
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn answer<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    async fn text(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.unwrap();
        assert!(line.ends_with('\n'), "it hung up");
        line.trim_end().to_owned()
    }
}

/// A string as MQTT writes it.
fn string(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}
