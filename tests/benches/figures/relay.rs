//! The relay as people run it: its own process, TLS, sled on the disk, every cell acknowledged after the flush.
use crate::figure::{ms, once, say, say_below};
use porchlight_client::transport::{Dial, Patience, Relay};
use porchlight_proto::{
    api::{UpOutcome, UpReply},
    card::RelayAddress,
    cert::{DeskCert, DeviceCert, Role},
    limits::UP_POST_LEN,
    line::{Gate, LineId, Seat},
    sign::SecretKey,
    time::Seconds,
    token::{Credentials, Request},
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::{
    fmt::Write,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, SystemTime},
};

const GATE: &str = "k3v9q2";
/// Pages at once, and the cells each of these crowds posts.
pub(crate) const CROWDS: [(usize, usize); 3] = [(1, 2_000), (8, 10_000), (64, 20_000)];
const HELD: usize = 100_000;
const RESTARTED: usize = 200_000;
const RESTART_AIM_MS: f64 = 1000.0;

pub(crate) fn measure() {
    let site = Site::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (began, relay) = once(|| Running::start(&site));
    say("relay: start to ready, empty", ms(began), "ms");
    say("relay: resident, idle", relay.resident_mib(), "MiB");
    let mut held = 0;
    for (clients, cells) in CROWDS {
        let (took, posted) = once(|| runtime.block_on(post(&relay, clients, cells)));
        held += posted;
        say(&format!("relay: cells stored over TLS, {clients} at once"), per_second(posted, took), "cells/s");
    }
    held += runtime.block_on(post(&relay, 64, HELD - held));
    say(&format!("relay: resident, {held} cells held"), relay.resident_mib(), "MiB");
    held += runtime.block_on(post(&relay, 64, RESTARTED - held));
    say(&format!("relay: resident, {held} cells held"), relay.resident_mib(), "MiB");
    drop(relay);
    let disk = bytes_under(&site.dir.path().join("data"));
    say("relay: bytes on the disk for one posted", ratio(disk, held * UP_POST_LEN), "times");
    let (began, relay) = once(|| Running::start(&site));
    say_below(&format!("relay: start to ready after a kill, {held} held"), ms(began), "ms", RESTART_AIM_MS);
    let (took, read) = once(|| runtime.block_on(read(&relay, &site)));
    assert_eq!(read, held, "the desk reads every cell that was acknowledged");
    say(&format!("relay: {read} cells read by a desk"), per_second(read, took), "cells/s");
    say("relay: resident then", relay.resident_mib(), "MiB");
}

pub(crate) fn per_second(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / time.as_secs_f64()
}

fn ratio(bytes: u64, posted: usize) -> f64 {
    let kib = |bytes: u64| f64::from(u32::try_from(bytes / 1024).unwrap());
    kib(bytes) / kib(u64::try_from(posted).unwrap())
}

/// A directory with a relay's configuration, for one line and a device of its desk.
pub(crate) struct Site {
    pub(crate) dir: tempfile::TempDir,
    line: LineId,
    desk_cert: DeskCert,
    device_cert: DeviceCert,
    device: SecretKey,
}

impl Site {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let [root, desk, device] = [(); 3].map(|()| SecretKey::generate(&mut rng));
        let line = LineId::from_root(&root.public());
        let started = Seconds(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
        let life = (Seconds(started.0 - 3600), started.plus(86_400));
        let desk_cert = DeskCert::sign(&root, &desk.public(), 1, life.0, life.1);
        let device_cert = DeviceCert::sign(&desk, &line, &device.public(), (Role::Worker, Seat::new(1)), life).unwrap();
        let (id, root) = (hex(line.as_bytes()), hex(root.public().as_bytes()));
        let text = format!(
            r#"listen = "127.0.0.1:0"
data_dir = "data"
keyring_dir = "keys"
store = "sled"
quota_bytes = 107374182400

[tls]
self_signed = true

[[line]]
id = "{id}"
root = "{root}"
gates = ["{GATE}"]
cap_per_minute = 1000000000
"#
        );
        std::fs::write(dir.path().join("relay.toml"), text).unwrap();
        Self { dir, line, desk_cert, device_cert, device }
    }
    /// A token for one request, now.
    fn token(&self, spki: &[u8; 32], request: &Request<'_>, rng: &mut ChaCha20Rng) -> String {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let credentials =
            Credentials { desk_cert: &self.desk_cert, device_cert: &self.device_cert, device: &self.device, line: &self.line };
        credentials.token(spki, request, Seconds(now), rng)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// A relay in its own process; killed when dropped, as a power cut would.
pub(crate) struct Running {
    child: Child,
    url: String,
    pub(crate) pin: [u8; 32],
}

impl Running {
    pub(crate) fn start(site: &Site) -> Self {
        let mut command = Command::new(binary());
        command.args(["run", "--dev", "--config"]).arg(site.dir.path().join("relay.toml"));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("ready ").expect("the relay starts").to_owned();
        let pin = std::fs::read_to_string(site.dir.path().join("data/tls/pin")).unwrap();
        let pin = data_encoding::BASE64.decode(pin.trim().strip_prefix("sha256/").unwrap().as_bytes()).unwrap();
        Self { child, url, pin: pin.try_into().unwrap() }
    }
    fn client(&self) -> Relay {
        let gates = vec![Gate::parse(GATE).unwrap()];
        Relay::new(&RelayAddress { url: self.url.clone(), gates, pin: Some(self.pin), number: 0 }, Dial::Direct).unwrap()
    }
    fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kib: u32 = line.trim().strip_suffix("kB").unwrap().trim().parse().unwrap();
        f64::from(kib) / 1024.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn binary() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let built = workspace.join("target/release/porchlight-relay");
    let path = std::env::var_os("PORCHLIGHT_RELAY").map_or(built, PathBuf::from);
    assert!(path.exists(), "build the relay first: cargo build --release -p porchlight-relay");
    path
}

/// Posts `cells` cells from `clients` pages, each with a connection of its own and one post at a time.
pub(crate) async fn post(relay: &Running, clients: usize, cells: usize) -> usize {
    let mut pages = tokio::task::JoinSet::new();
    for page in 0..clients {
        let client = Arc::new(relay.client());
        pages.spawn(async move {
            let mut rng = ChaCha20Rng::seed_from_u64(u64::try_from(page).unwrap());
            let mut body = [0; UP_POST_LEN];
            for _ in 0..cells / clients {
                rng.fill_bytes(&mut body);
                let reply = client.up(&body, Patience::of_beat(Duration::from_secs(30))).await.unwrap();
                assert_eq!(UpReply::parse(&reply).unwrap().outcome, UpOutcome::Stored);
            }
        });
    }
    while let Some(page) = pages.join_next().await {
        page.unwrap();
    }
    cells / clients * clients
}

/// Reads the whole lane as a desk does, and counts its cells.
async fn read(relay: &Running, site: &Site) -> usize {
    let client = relay.client();
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    let (mut after, mut count) = ((0, 0), 0);
    loop {
        let token = |spki: &[u8; 32], request: &Request<'_>| Some(site.token(spki, request, &mut rng));
        let page = client.desk_up(after, 0, token, Patience::of_beat(Duration::from_secs(30))).await.unwrap();
        if page.cells.is_empty() {
            return count;
        }
        (after, count) = ((page.life, page.last()), count + page.cells.len());
    }
}

fn bytes_under(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { bytes_under(&path) } else { path.metadata().unwrap().len() }).sum()
}
