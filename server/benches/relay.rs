//! The relay's figures, from its real binary over TLS on loopback: cells a second acknowledged after the flush, memory idle and with cells held, bytes on
//! disk, and the time from start to ready with all of them held.
//!
//! `cargo bench -p porchlight-relay`; arguments after `--`: how many cells (100,000), how many connections (16).
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench measures real time, prints figures, and fails by panicking"
)]
#![expect(dead_code, reason = "the helpers of the tests do more than a bench needs")]

#[path = "../tests/relay/support.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use porchlight_proto::api::{LanePage, UpOutcome, UpReply};
use porchlight_proto::time::Seconds;
use porchlight_relay::clock::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};
use support::{Client, GATE, Http, Site, TestLine};

/// Requests under way at once on each connection: pages post alone, but there are many of them.
const STREAMS: usize = 8;

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<usize>().ok());
    let (cells, connections) = (numbers.next().unwrap_or(100_000), numbers.next().unwrap_or(16));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(measure(cells, connections));
}

async fn measure(cells: usize, connections: usize) {
    let now = SystemClock.wall().seconds();
    let mut site = Site::new(1);
    site.line = TestLine::new(1, now);
    site.top += "quota_bytes = 107374182400\n";
    site.more = "cap_per_minute = 1000000000".into();
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    let (mut relay, began) = start(&site.path("relay.toml"));
    println!("start to ready, empty: {} ms", began.as_millis());
    println!("resident, idle: {} MiB", resident(&relay.child));
    let spki = pin(&site);
    let posting = Instant::now();
    let mut posters = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let client = Client::connect(relay.address, spki, Http::Two).await;
        for _ in 0..STREAMS {
            let (mut client, post) = (client.another(), site.line.post());
            let count = cells / connections / STREAMS;
            posters.spawn(async move {
                for _ in 0..count {
                    let body = post.to_bytes();
                    let reply = client.send("POST", &format!("/{GATE}/v1/up"), None, body.as_slice()).await;
                    assert_eq!(UpReply::parse(&reply.ok()).unwrap().outcome, UpOutcome::Stored);
                }
            });
        }
    }
    while let Some(done) = posters.join_next().await {
        done.unwrap();
    }
    let took = posting.elapsed();
    let posted = cells / connections / STREAMS * connections * STREAMS;
    println!(
        "{posted} cells over {connections} connections in {:.1} s: {:.0} cells/s, each acknowledged after the flush",
        took.as_secs_f64(),
        posted as f64 / took.as_secs_f64()
    );
    println!("resident, {posted} cells held: {} MiB", resident(&relay.child));
    let disk = bytes_under(&site.path("data/cells"));
    println!("on disk: {} MiB, {:.2} times what was posted", disk >> 20, disk as f64 / (posted * 2048) as f64);
    kill(&mut relay, Signal::KILL);

    let (mut relay, began) = start(&site.path("relay.toml"));
    println!("start to ready, {posted} held: {} ms", began.as_millis());
    let reading = Instant::now();
    let count = read_all(&relay, &site, spki, now).await;
    println!(
        "{count} cells read by the desk in {:.1} s; resident then: {} MiB",
        reading.elapsed().as_secs_f64(),
        resident(&relay.child)
    );
    assert_eq!(count, posted);
    kill(&mut relay, Signal::TERM);
}

struct Started {
    child: Child,
    address: std::net::SocketAddr,
}

fn start(config: &Path) -> (Started, Duration) {
    let began = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_porchlight-relay"));
    let mut child =
        command.args(["run", "--dev", "--config"]).arg(config).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("ready https://").unwrap().parse().unwrap();
    (Started { child, address }, began.elapsed())
}

fn kill(relay: &mut Started, signal: Signal) {
    kill_process(Pid::from_child(&relay.child), signal).unwrap();
    relay.child.wait().unwrap();
}

fn pin(site: &Site) -> [u8; 32] {
    let text = std::fs::read_to_string(site.path("data/tls/pin")).unwrap();
    data_encoding::BASE64.decode(text.trim().strip_prefix("sha256/").unwrap().as_bytes()).unwrap().try_into().unwrap()
}

async fn read_all(relay: &Started, site: &Site, spki: [u8; 32], now: Seconds) -> usize {
    let mut client = Client::connect(relay.address, spki, Http::Two).await;
    let (mut life, mut after, mut count) = (0, 0, 0);
    loop {
        let path = format!("/v1/desk/up?after={life:016x}-{after}&wait=0");
        let token = site.line.token(&site.line.worker, &spki, ("GET", &path), &[], now);
        let reply = client.send("GET", &format!("/{GATE}{path}"), Some(&token), &[]).await;
        let page = LanePage::parse(&reply.ok()).unwrap();
        if page.cells.is_empty() {
            return count;
        }
        (life, after, count) = (page.life, page.last(), count + page.cells.len());
    }
}

/// MiB of memory that the process has in RAM.
fn resident(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn bytes_under(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { bytes_under(&path) } else { path.metadata().unwrap().len() }).sum()
}
