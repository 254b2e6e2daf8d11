//! The relay's binary in a process of its own, and what is asked of it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::support::*;
use porchlight_proto::api::{LanePage, UpOutcome, UpPost, UpReply};
use porchlight_proto::limits::DOWN_CELL_LEN;
use porchlight_proto::time::Seconds;
use porchlight_relay::clock::{Clock, SystemClock};
use porchlight_relay::seal::Lane;
use rustix::process::{Pid, Signal, kill_process};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_porchlight-relay");

/// Real time: the binary has no other.
pub(crate) fn now() -> Seconds {
    SystemClock.wall().seconds()
}

/// Long enough for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) spki: [u8; 32],
    pub(crate) said: mpsc::Receiver<String>,
}

/// What the kernel says of a process in KiB, as `VmRSS`.
pub(crate) fn kib(pid: u32, key: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}:"))).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

impl Process {
    pub(crate) fn start(config: &Path) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["run", "--dev", "--config"]).arg(config);
        Self::spawn(command)
    }

    /// With the environment that the unit gives it, on which it depends how memory is kept.
    pub(crate) fn start_like_the_unit(config: &Path) -> Self {
        let unit = include_str!("../../../deploy/porchlight-relay.service");
        let mut command = Command::new(BINARY);
        command.args(["run", "--dev", "--config"]).arg(config);
        command.envs(unit.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('=')));
        Self::spawn(command)
    }

    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, said) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        // Read to the end, so that the relay never waits for somebody to read its warnings.
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.strip_prefix("ready https://") else {
            panic!("{line:?}, {:?}", said.iter().collect::<Vec<String>>())
        };
        let mut process = Self { child, address: address.trim().parse().unwrap(), spki: [0; 32], said };
        let pin = process.hear("pin sha256/");
        let (_, pin) = pin.split_once("pin sha256/").unwrap();
        process.spki = data_encoding::BASE64.decode(pin.as_bytes()).unwrap().try_into().unwrap();
        process
    }

    /// Waits until the relay says something on stderr.
    pub(crate) fn hear(&self, text: &str) -> String {
        let mut others = Vec::new();
        loop {
            let line = self.said.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it never said {text:?}, but {others:?}"));
            if line.contains(text) {
                return line;
            }
            others.push(line);
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address, self.spki, Http::Two).await
    }

    /// Ends it as an operator does.
    pub(crate) async fn stop(self) {
        self.signal(Signal::TERM);
        assert_eq!(self.ended().await.0.code(), Some(0));
    }

    /// How it ended, when it has, and what it said that nobody has heard yet. Waited for on a thread of its own, so that clients hear of it too.
    pub(crate) async fn ended(mut self) -> (ExitStatus, Vec<String>) {
        tokio::task::spawn_blocking(move || (self.child.wait().unwrap(), self.said.iter().collect())).await.unwrap()
    }
}

/// A test that fails leaves no relay behind.
impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits until the relay has said all of these, in whatever order.
pub(crate) fn hear_all(process: &Process, texts: &[&str]) -> Vec<String> {
    let (mut missing, mut heard) = (texts.to_vec(), Vec::new());
    while !missing.is_empty() {
        let line = process.said.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("it never said {missing:?}"));
        missing.retain(|text| !line.contains(text));
        heard.push(line);
    }
    heard
}

/// Waits for what somebody else does.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = SystemClock.boot();
    while !is_so() {
        assert!(u128::from(SystemClock.boot().since(began)) < PATIENCE.as_millis(), "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) async fn desk(
    process: &Process,
    client: &mut Client,
    line: &TestLine,
    device: &Device,
    call: (&str, &str),
    body: &[u8],
) -> Reply {
    try_desk(process, client, line, device, call, body).await.unwrap()
}

/// A device's call to a relay that may be killed meanwhile.
pub(crate) async fn try_desk(
    process: &Process,
    client: &mut Client,
    line: &TestLine,
    device: &Device,
    call: (&str, &str),
    body: &[u8],
) -> hyper::Result<Reply> {
    let path = format!("/v1/{}", call.1);
    let token = line.token(device, &process.spki, (call.0, &path), body, now());
    client.try_send(call.0, &format!("/{GATE}{path}"), Some(&token), body).await
}

/// The outcome of one post.
pub(crate) async fn post(client: &mut Client, post: &UpPost) -> UpOutcome {
    let reply = client.send("POST", &format!("/{GATE}/v1/up"), None, post.to_bytes().as_slice()).await;
    UpReply::parse(&reply.ok()).unwrap().outcome
}

/// Every cell that a desk reads.
pub(crate) async fn held(process: &Process, client: &mut Client, line: &TestLine) -> BTreeSet<Vec<u8>> {
    held_in_order(process, client, line).await.into_iter().collect()
}

/// Every cell that a desk reads, as often as it does.
pub(crate) async fn held_in_order(process: &Process, client: &mut Client, line: &TestLine) -> Vec<Vec<u8>> {
    let (mut cells, mut after, mut life) = (Vec::new(), 0, 0);
    loop {
        let call = format!("desk/up?after={life:016x}-{after}&wait=0");
        let page = LanePage::parse(&desk(process, client, line, &line.worker, ("GET", &call), &[]).await.ok()).unwrap();
        if page.cells.is_empty() {
            return cells;
        }
        assert!(page.first > after, "positions go forward");
        (life, after) = (page.life, page.last());
        cells.extend(page.cells.iter().map(|cell| cell.to_vec()));
    }
}

/// A number from the environment, or the usual one.
pub(crate) fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

/// Where in a day a slow slot lies.
pub(crate) fn in_day(slot: u64) -> std::ops::Range<usize> {
    let at = usize::try_from(slot % 48).unwrap() * DOWN_CELL_LEN;
    at..at + DOWN_CELL_LEN
}

pub(crate) fn site(seed: u64) -> Site {
    let mut site = Site::new(seed);
    site.line = TestLine::new(seed, now());
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    site
}

pub(crate) fn output(verb: &str, config: &Path, more: &[&str]) -> Output {
    Command::new(BINARY).arg(verb).arg("--config").arg(config).args(more).output().unwrap()
}

pub(crate) fn files_under(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] }).collect()
}

/// The names of the shelves that a keyring has keys to.
pub(crate) fn shelves_in(keys: &Path, lane: Lane) -> BTreeSet<String> {
    let code = match lane {
        Lane::Up => 1,
        Lane::Slow => 2,
        Lane::Blob => 3,
    };
    let keyring = std::fs::read(keys.join("keyring")).unwrap();
    let slots = keyring[64..].chunks(160).filter(|slot| slot[0] == code);
    slots.map(|slot| data_encoding::HEXLOWER.encode(&slot[40..56])).collect()
}
