//! The binary as an operator has it: its one line, its exit codes, its signals, and that it can be killed at any moment.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::support::*;
use porchlight_proto::api::{LanePage, UpOutcome, UpReply};
use porchlight_proto::time::Seconds;
use porchlight_relay::clock::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};

const BINARY: &str = env!("CARGO_BIN_EXE_porchlight-relay");

/// Real time: the binary has no other.
fn now() -> Seconds {
    SystemClock.wall().seconds()
}

struct Process {
    child: Child,
    address: SocketAddr,
    spki: [u8; 32],
}

impl Process {
    fn start(config: &Path) -> Self {
        let mut child = Command::new(BINARY)
            .args(["run", "--dev", "--config"])
            .arg(config)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("ready https://").unwrap_or_else(|| panic!("{line:?}")).trim().parse().unwrap();
        let (sender, pins) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        // Read to the end, so that the relay never waits for somebody to read its warnings.
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if let Some((_, pin)) = line.split_once("pin sha256/") {
                    let _ = sender.send(data_encoding::BASE64.decode(pin.as_bytes()).unwrap().try_into().unwrap());
                }
            }
        });
        Self { spki: pins.recv_timeout(Duration::from_secs(20)).unwrap(), child, address }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

fn site(seed: u64) -> Site {
    let mut site = Site::new(seed);
    site.line = TestLine::new(seed, now());
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    site
}

fn output(verb: &str, config: &Path, more: &[&str]) -> Output {
    Command::new(BINARY).arg(verb).arg("--config").arg(config).args(more).output().unwrap()
}

#[tokio::test]
async fn it_says_ready_serves_and_stops_cleanly_at_either_signal() {
    let site = site(50);
    for signal in [Signal::TERM, Signal::INT] {
        let mut process = Process::start(&site.path("relay.toml"));
        let mut client = Client::connect(process.address, process.spki, Http::Two).await;
        client.get("notice").await.ok();
        process.signal(signal);
        // On a thread of its own: the client, too, must hear that the relay stops.
        let status = tokio::task::spawn_blocking(move || process.child.wait().unwrap()).await.unwrap();
        assert_eq!(status.code(), Some(0), "{signal:?}");
    }
    let pin = std::fs::read_to_string(site.path("data/tls/pin")).unwrap();
    let checked = output("check-config", &site.path("relay.toml"), &["--dev"]);
    assert_eq!(checked.status.code(), Some(0));
    assert!(String::from_utf8(checked.stdout).unwrap().ends_with(&format!("lines 1\nstore Sled\npin {pin}")));
}

/// How often the relay is killed, unless `PORCHLIGHT_KILLS` says otherwise.
const KILLS: u64 = 12;

/// The relay is killed while cells are being posted, and started again. Whatever it acknowledged must be there.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_loses_no_acknowledged_cell() {
    let site = site(51);
    let mut acknowledged = std::collections::BTreeSet::new();
    let kills = std::env::var("PORCHLIGHT_KILLS").map_or(KILLS, |count| count.parse().unwrap());
    for round in 0..kills {
        let mut process = Process::start(&site.path("relay.toml"));
        let mut posters = Vec::new();
        for _ in 0..4 {
            let posts: Vec<_> = (0..400).map(|_| site.line.post()).collect();
            let (address, spki) = (process.address, process.spki);
            posters.push(tokio::spawn(async move {
                let mut client = Client::connect(address, spki, Http::Two).await;
                let mut taken = Vec::new();
                for post in posts {
                    let reply = client.try_send("POST", &format!("/{GATE}/v1/up"), None, post.to_bytes().as_slice()).await;
                    let Ok(reply) = reply else { break };
                    if UpReply::parse(&reply.ok()).unwrap().outcome == UpOutcome::Stored {
                        taken.push(post.cell.to_vec());
                    }
                }
                taken
            }));
        }
        // A different moment of the flow each time; none of them is waited for.
        tokio::time::sleep(Duration::from_millis(20 + 13 * (round % 16))).await;
        process.signal(Signal::KILL);
        process.child.wait().unwrap();
        for poster in posters {
            acknowledged.extend(poster.await.unwrap());
        }
    }
    let mut process = Process::start(&site.path("relay.toml"));
    let mut client = Client::connect(process.address, process.spki, Http::Two).await;
    let (mut held, mut count, mut after, mut life) = (std::collections::BTreeSet::new(), 0, 0, 0);
    loop {
        let path = format!("/v1/desk/up?after={life:016x}-{after}&wait=0");
        let token = site.line.token(&site.line.worker, &process.spki, ("GET", &path), &[], now());
        let page = LanePage::parse(&client.send("GET", &format!("/{GATE}{path}"), Some(&token), &[]).await.ok()).unwrap();
        if page.cells.is_empty() {
            break;
        }
        assert!(page.first > after, "positions go forward");
        (life, after, count) = (page.life, page.last(), count + page.cells.len());
        held.extend(page.cells.iter().map(|cell| cell.to_vec()));
    }
    let lost = acknowledged.difference(&held).count();
    println!("{} acknowledged in {kills} lives, {count} held, {lost} lost", acknowledged.len());
    assert!(acknowledged.len() > 100, "too few were posted for this to say anything");
    assert_eq!((lost, count), (0, held.len()), "none lost, none twice");
    process.signal(Signal::TERM);
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
}

#[test]
fn it_refuses_with_the_key_and_what_to_do_about_it() {
    let site = site(52);
    let write = |name: &str, text: &str| {
        std::fs::write(site.path(name), text).unwrap();
        site.path(name)
    };
    let text = site.text();
    for (name, config, code, says) in [
        ("no file", site.path("nowhere.toml"), 1, "cannot read"),
        ("an unknown key", write("a.toml", &format!("colour = 1\n{text}")), 1, "unknown field `colour`"),
        ("no decoy on a public address", write("b.toml", &text.replace("127.0.0.1:0", "0.0.0.0:0")), 1, "decoy_dir: is missing"),
        ("a keyring on a disk", write("c.toml", &text.replace("\"keys\"", "\"data/keys\"")), 1, "keyring_dir"),
        ("a port in use", write("d.toml", &text.replace("127.0.0.1:0", &taken())), 3, "cannot listen on"),
    ] {
        let more: &[&str] = if code == 3 { &["--dev"] } else { &[] };
        let output = output("run", &config, more);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{name}: {stderr}");
        assert!(stderr.contains(says), "{name}: {stderr}");
        assert_eq!(output.stdout, b"", "{name}");
    }
    assert_eq!(Command::new(BINARY).arg("dance").output().unwrap().status.code(), Some(1));
}

/// An address that somebody listens on for as long as the tests run.
fn taken() -> String {
    let listener = Box::leak(Box::new(std::net::TcpListener::bind("127.0.0.1:0").unwrap()));
    listener.local_addr().unwrap().to_string()
}

#[test]
fn a_second_relay_on_the_same_data_is_refused() {
    let site = site(53);
    let mut process = Process::start(&site.path("relay.toml"));
    let output = output("run", &site.path("relay.toml"), &["--dev"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("another relay is using data_dir"));
    process.signal(Signal::TERM);
    process.child.wait().unwrap();
}

#[tokio::test]
async fn a_socket_serves_plain_http_and_is_gone_afterwards() {
    let mut site = site(54);
    site.top = site.top.replace("127.0.0.1:0", "unix:relay.sock");
    let spki = [9; 32];
    let text = site.text().replace("self_signed = true", &format!("spki = \"{}\"", data_encoding::HEXLOWER.encode(&spki)));
    std::fs::write(site.path("relay.toml"), text).unwrap();
    for life in 0..2 {
        let mut child = Command::new(BINARY)
            .args(["run", "--dev", "--config"])
            .arg(site.path("relay.toml"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), format!("ready unix:{}", site.path("relay.sock").display()));
        let stream = tokio::net::UnixStream::connect(site.path("relay.sock")).await.unwrap();
        let (sender, talk) = hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
        tokio::spawn(talk);
        let mut client = Client::One(sender);
        client.get("notice").await.ok();
        let path = "/v1/desk/up?after=0000000000000000-0&wait=0";
        let token = site.line.token(&site.line.worker, &spki, ("GET", path), &[], now());
        client.send("GET", &format!("/{GATE}{path}"), Some(&token), &[]).await.ok();
        // Killed the first time, so that the second finds the socket it left behind.
        kill_process(Pid::from_child(&child), if life == 0 { Signal::KILL } else { Signal::TERM }).unwrap();
        child.wait().unwrap();
        assert_eq!(site.path("relay.sock").exists(), life == 0);
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "one line and no more");
    }
}
