//! One machine with a relay and a line on it, and the programs that are run there.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::net::TcpSocket;

/// Far longer than anything here should take, so that a busy machine fails nothing.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A quick line: beats of 400 ms, a slow slot each second. What counts beats counts these: who wrote within the last 60
/// beats is answered live, so here within 24 s; later by the carousel, a cell each second.
pub const PACE: &[&str] = &["--beat-ms", "400", "--up-beat-ms", "100"];

/// One of the programs, built: cargo builds what this package tests only where it is told to.
pub fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let folder = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--locked", "-p", "porchlight-relay", "-p", "porchlight", "--bins"]);
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        // What cargo told this test about its own package would misinform the cargo started here. How things are built stays, or all
        // that `cargo verify` has built just before would be built anew.
        let kept = ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_INCREMENTAL"];
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_")) {
            if !name.to_string_lossy().starts_with("CARGO_NET") && kept.iter().all(|kept| name != *kept) {
                cargo.env_remove(name);
            }
        }
        let status = cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).status().unwrap();
        assert!(status.success(), "the programs do not build");
        folder
    });
    folder.join(name)
}

/// A machine: a home of its own, and commands that know no other place.
pub struct Machine {
    pub home: tempfile::TempDir,
    /// Words put before every command, to run it in another network; none for this one.
    pub within: Vec<String>,
}

impl Machine {
    pub fn new() -> Self {
        Self::within(&[])
    }
    /// One whose every command is run by these words.
    pub fn within(words: &[String]) -> Self {
        Self { home: tempfile::tempdir().unwrap(), within: words.to_vec() }
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }
    pub fn command(&self, name: &str, words: &[&str]) -> Command {
        let program = program(name);
        let mut command = match self.within.split_first() {
            None => Command::new(program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command.args(words).current_dir(self.home.path()).env_clear().env("HOME", self.home.path()).env("PATH", "/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
    pub fn run(&self, words: &[&str]) -> Ran {
        Ran::of(words, self.command("porchlight", words).output().unwrap())
    }
    pub fn run_with(&self, words: &[&str], stdin: &[u8]) -> Ran {
        let mut child = self.command("porchlight", words).stdin(Stdio::piped()).spawn().unwrap();
        // A program that does not want its input closes it.
        let _closed = child.stdin.take().unwrap().write_all(stdin);
        Ran::of(words, child.wait_with_output().unwrap())
    }
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub words: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(words: &[&str], output: Output) -> Self {
        let words = words.iter().map(|word| word.chars().take(60).collect::<String>()).collect::<Vec<_>>().join(" ");
        let text = |bytes| String::from_utf8(bytes).expect("programs write UTF-8");
        Self { words, code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
    /// Fails unless it ended with this code.
    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}\n{}", self.words, self.stdout, self.stderr);
        assert!(!self.stderr.contains("fault of this program"), "{}", self.stderr);
        self
    }
    /// Its lines: one object each, as `--json` promises.
    pub fn objects(&self) -> Vec<Value> {
        self.stdout.lines().map(object).collect()
    }
    pub fn events(&self, name: &str) -> Vec<Value> {
        self.objects().into_iter().filter(|object| object["event"] == name).collect()
    }
}

pub fn object(line: &str) -> Value {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    assert!(value.is_object(), "{line}");
    value
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// The eight words that people read to each other.
pub fn check_words(event: &Value) -> String {
    let words = event["check_words"].as_array().unwrap();
    assert_eq!(words.len(), 8);
    words.iter().map(text).collect::<Vec<_>>().join(" ")
}

/// A program that is heard while it runs; ended with its owner.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    stderr: Option<std::thread::JoinHandle<String>>,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (tell, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let mut pipe = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut said = String::new();
            let _ended = pipe.read_to_string(&mut said);
            said
        });
        Self { child, lines, stderr: Some(stderr) }
    }
    /// Waits for a line in which `find` finds something.
    pub fn hear<T>(&mut self, find: impl FnMut(&str) -> Option<T>) -> T {
        self.hear_within(PATIENCE, find)
    }
    /// The same for something that takes longer.
    pub fn hear_within<T>(&mut self, patience: Duration, mut find: impl FnMut(&str) -> Option<T>) -> T {
        let until = Instant::now() + patience;
        while let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if let Some(found) = find(&line) {
                return found;
            }
        }
        let _gone = self.child.kill();
        panic!("nothing of the kind was heard: {}", self.stderr.take().unwrap().join().unwrap());
    }
    pub fn hear_event(&mut self, name: &str) -> Value {
        self.hear(|line| Some(object(line)).filter(|object| object["event"] == name))
    }
    /// The next line; none if it ends without one.
    pub fn first_line(&mut self, patience: Duration) -> Option<String> {
        self.lines.recv_timeout(patience).ok()
    }
    /// What it did, once it has ended, with a line that was heard of it.
    pub fn over(mut self, line: Option<String>) -> Ran {
        let code = self.ended().code();
        Ran { words: String::new(), code, stdout: line.unwrap_or_default(), stderr: self.said() }
    }
    /// Hands over every line until it ends.
    pub fn hear_all(&mut self, mut take: impl FnMut(&str)) {
        self.lines.iter().for_each(|line| take(&line));
    }
    /// Every line that has not been heard, once it has ended.
    pub fn rest(&mut self) -> Vec<Value> {
        self.lines.iter().map(|line| object(&line)).collect()
    }
    pub fn signal(&self, name: &str) {
        let kill = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
    }
    pub fn ended(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    /// Its number, for looking at it from outside.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
    pub fn said(&mut self) -> String {
        self.stderr.take().unwrap().join().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// An address that nobody else here is given for as long as this process lives: bound, and never listened on. A relay can listen there, and again
/// after a kill, since it says that it would share.
pub fn free_address() -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    Box::leak(Box::new(socket)).local_addr().unwrap()
}

/// A relay's place and a line on it. The desk's machine is the relay's; callers bring their own.
pub struct Site {
    pub machine: Machine,
    pub keys: tempfile::TempDir,
}

/// More of the relay's configuration.
#[derive(Clone, Copy, Default)]
pub struct Plan<'a> {
    pub top: &'a str,
    pub init: &'a [&'a str],
    /// Where the card says that the relay is, if something stands between, and where the relay then listens.
    pub through: Option<(SocketAddr, SocketAddr)>,
    /// The usual pace instead of the quick one.
    pub usual_pace: bool,
    /// Words that run every command of this machine, as of [`Machine::within`].
    pub within: &'a [String],
}

impl Site {
    /// A configuration and a line; nothing runs yet.
    pub fn new(plan: Plan<'_>) -> Self {
        let machine = Machine::within(plan.within);
        let memory = Path::new("/dev/shm");
        let keys = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        // Free now: a relay that is killed must come back at the address that the card names.
        let free = free_address();
        let (seen, address) = plan.through.unwrap_or((free, free));
        let keyring = keys.path().display();
        let top = format!("listen = \"{address}\"\ndata_dir = \"data\"\nkeyring_dir = \"{keyring}\"\n{}\n", plan.top);
        machine.write("relay.toml", format!("{top}[tls]\nself_signed = true\n"));
        machine.write("pass", "open sesame\n");
        let words = ["check-config", "--dev", "--make-key", "--config", "relay.toml"];
        let checked = Ran::of(&words, machine.command("porchlight-relay", &words).output().unwrap()).ends(0);
        let pin = checked.stdout.lines().find_map(|line| line.strip_prefix("pin ")).unwrap().to_owned();
        let url = format!("https://{seen}");
        let init = ["line", "init", "--json", "--dir", "desk", "--passphrase-file", "pass", "--relay", &url, "--relay-pin", &pin];
        let slow: &[&str] = if plan.init.contains(&"--slow-s") { &[] } else { &["--slow-s", "1"] };
        let pace = if plan.usual_pace { Vec::new() } else { [PACE, slow].concat() };
        let founded = machine.run(&[&init, &pace[..], plan.init].concat()).ends(0).events("founded").remove(0);
        machine.write("root", text(&founded["root_words"]));
        let part = fs::read_to_string(machine.path("desk/relay.toml")).unwrap();
        let so_far = fs::read_to_string(machine.path("relay.toml")).unwrap();
        machine.write("relay.toml", format!("{so_far}\n{part}"));
        Self { machine, keys }
    }

    /// The same with a relay that runs, and statements published.
    pub fn published(plan: Plan<'_>) -> (Self, Running) {
        let site = Self::new(plan);
        let relay = site.relay();
        site.desk(&["line", "publish"]).ends(0);
        (site, relay)
    }

    pub fn relay(&self) -> Running {
        let mut relay =
            Running::start(&mut self.machine.command("porchlight-relay", &["run", "--dev", "--config", "relay.toml"]));
        relay.hear(|line| line.strip_prefix("ready https://").map(drop));
        relay
    }
    pub fn desk(&self, words: &[&str]) -> Ran {
        self.at("desk", words)
    }
    /// A verb at the desk of another directory.
    pub fn at(&self, dir: &str, words: &[&str]) -> Ran {
        self.machine.run(&[words, &["--dir", dir, "--passphrase-file", "pass", "--json"]].concat())
    }
    /// A new device in a directory of its own, admitted by the first desk.
    pub fn join(&self, dir: &str) {
        let request = self.at(dir, &["desk", "join"]).ends(0).events("request").remove(0);
        let file = format!("{dir}.admission");
        let admit = ["desk", "admit", text(&request["request"]), "--words", &check_words(&request), "--out", &file];
        let admitted = self.desk(&admit).ends(0).events("admitted").remove(0);
        self.at(dir, &["desk", "join", "--admission", &file, "--words", &check_words(&admitted)]).ends(0);
    }
    /// A `desk watch` that has read its lane.
    pub fn watch(&self) -> Running {
        self.watch_in("desk")
    }
    /// The same in another directory.
    pub fn watch_in(&self, dir: &str) -> Running {
        let mut watch = self.watching(dir);
        watch.hear_event("connected");
        watch
    }
    /// The same, perhaps before it has reached anybody.
    pub fn watching(&self, dir: &str) -> Running {
        self.watching_by(dir, &[])
    }
    /// The same with more options.
    pub fn watching_by(&self, dir: &str, options: &[&str]) -> Running {
        let words = ["desk", "watch", "--dir", dir, "--passphrase-file", "pass", "--json"];
        Running::start(&mut self.machine.command("porchlight", &[&words, options].concat()))
    }
    /// Somebody on a machine of her own, with the card and eight new words.
    pub fn caller(&self) -> Caller {
        self.caller_within(&[])
    }
    /// The same in another network.
    pub fn caller_within(&self, within: &[String]) -> Caller {
        let machine = Machine::within(within);
        fs::copy(self.machine.path("desk/card.txt"), machine.path("card")).unwrap();
        let new = machine.run(&["caller", "new", "--json", "--card", "card", "--phrase-file", "words"]).ends(0);
        let id = text(&new.objects()[0]["caller"]).to_owned();
        Caller { machine, id }
    }
    /// The letters of a thread, as the desk shows them.
    pub fn letters(&self, caller: &Caller) -> Vec<Value> {
        let shown = self.desk(&["desk", "show", &caller.id]).ends(0).objects();
        shown.into_iter().filter(|item| item["kind"] == "letter").collect()
    }
}

/// A caller, and the machine she uses.
pub struct Caller {
    pub machine: Machine,
    pub id: String,
}

impl Caller {
    pub const SELF: [&'static str; 5] = ["--json", "--card", "card", "--phrase-file", "words"];

    pub fn run(&self, words: &[&str]) -> Ran {
        self.machine.run(&[words, &Self::SELF].concat())
    }
    pub fn start(&self, words: &[&str]) -> Running {
        Running::start(&mut self.machine.command("porchlight", &[words, &Self::SELF].concat()))
    }
    /// The same person at another machine, where nothing of hers is but the card and the words.
    pub fn elsewhere(&self) -> Self {
        let machine = Machine::new();
        for name in ["card", "words"] {
            fs::copy(self.machine.path(name), machine.path(name)).unwrap();
        }
        Self { machine, id: self.id.clone() }
    }
}
