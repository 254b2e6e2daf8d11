//! The configuration file: read strictly, checked whole, turned into [`Settings`] that need no second look.
//!
//! `deploy/relay.toml` documents every key. Each message names the key and says what to do. None repeats a value, or a key that is not one of
//! ours: a gate or a private key may stand in the wrong place, and what is said here ends in a journal.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use porchlight_proto::line::{Gate, LineId};
use porchlight_proto::sign::PublicKey;
use porchlight_proto::time::{Timing, TimingError};
use serde::Deserialize;

use crate::seal::{KeyringMedium, SLOTS};

/// Open pages whose posts all fit into a line's usual cap: 3,000 cells a minute at the usual beat.
const PAGES: u32 = 500;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {0}: {1}")]
    Unreadable(PathBuf, #[source] io::Error),
    /// It is not TOML, lacks a key, or has one that nobody knows.
    ///
    /// Names the place and does not quote it: a log that holds a gate tells a scanner where to knock.
    #[error("{path}, line {line}: {what}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line in it, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// A value is wrong.
    #[error("{key}: {hint}")]
    Wrong {
        /// The key as the file writes it.
        key: String,
        /// What is wrong and what to do.
        hint: String,
    },
}

/// How careful to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A relay that people rely on.
    Serve,
    /// `--dev`: a built-in decoy anywhere, and a keyring next to the data if none is named.
    Dev,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTable {
    listen: String,
    tls: Option<TlsTable>,
    data_dir: PathBuf,
    keyring_dir: Option<PathBuf>,
    #[serde(default)]
    keyring_on_disk: bool,
    store: Option<StoreKind>,
    quota_bytes: Option<u64>,
    epoch_s: Option<u64>,
    decoy_dir: Option<PathBuf>,
    admin_listen: Option<String>,
    max_connections: Option<usize>,
    max_per_address: Option<usize>,
    #[serde(default)]
    line: Vec<LineTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsTable {
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    #[serde(default)]
    self_signed: bool,
    spki: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineTable {
    id: String,
    gates: Vec<String>,
    root: String,
    relay_no: Option<u64>,
    up_ttl_s: Option<u64>,
    slow_days: Option<u64>,
    beat_ms: Option<u64>,
    slow_s: Option<u64>,
    up_beat_ms: Option<u64>,
    desk_beat_ms: Option<u64>,
    fast_slots: Option<u64>,
    cap_per_minute: Option<u64>,
    leave_to: Option<String>,
    other_door: Option<String>,
}

/// Which store holds the cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// On disk, in sled. Survives the end of the process, not of the boot.
    Sled,
    /// In RAM. Survives nothing.
    Memory,
}

/// Where the relay accepts connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// TLS on an address.
    Tcp(SocketAddr),
    /// Plain HTTP on a socket, behind a web server that does the TLS.
    Unix(PathBuf),
    /// On the socket that the service manager opened and hands over: TLS on an address, or plain HTTP if `[tls]` is somebody else's.
    Handed,
}

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// PEM files.
    Files {
        /// The chain.
        cert: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// A key made once and kept in `data_dir`; clients pin it.
    SelfSigned,
    /// Somebody else's: the front's key hash, which device tokens are bound to.
    Front(Option<[u8; 32]>),
}

/// What a stranger sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecoySource {
    /// The files of a directory.
    Dir(PathBuf),
    /// A page of the relay's own: only where no stranger comes.
    BuiltIn,
}

/// One line on this relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineSettings {
    /// Its id.
    pub id: LineId,
    /// Its root key.
    pub root: PublicKey,
    /// The secret paths it is served under.
    pub gates: Vec<Gate>,
    /// This relay's number on the line's card.
    pub relay_no: u8,
    /// Its pace, which its rosters must repeat.
    pub timing: Timing,
    /// Seconds that an epoch's cells live on after the epoch.
    pub up_ttl_s: u32,
    /// Milliseconds between two bundles of a desk device.
    pub desk_beat_ms: u16,
    /// Cells of callers in a minute.
    pub cap_per_minute: u32,
    /// Where the page's Close leads.
    pub leave_to: String,
    /// The line's other address, which the page teaches; empty for none.
    pub other_door: String,
}

/// How long a connection may take for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For the TLS handshake: four packets there and back, of which a third may be lost and each takes 600 ms.
    pub handshake: Duration,
    /// From the handshake, or from the first byte of a request, to the end of its head.
    pub head: Duration,
    /// For a request's body.
    pub body: Duration,
    /// For a whole request, not counting what a long poll may wait.
    pub request: Duration,
    /// Without a kilobyte of replies being taken; and for the whole of one, besides two seconds for each KiB.
    pub reply: Duration,
    /// For the first byte of the first reply over h2 to go out. It does at once, however bad the line, if the peer has a window for any: who means to
    /// read begins with one.
    pub window: Duration,
    /// Without a request.
    pub idle: Duration,
    /// Of a connection.
    pub age: Duration,
    /// For what is in flight when the relay stops.
    pub stop: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let s = Duration::from_secs;
        let (window, idle) = (Duration::from_millis(4_500), s(25));
        Self { handshake: s(15), head: s(10), body: s(30), request: s(60), reply: s(15), window, idle, age: s(600), stop: s(4) }
    }
}

/// A configuration that holds together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where to accept.
    pub listen: Listen,
    /// With which certificate.
    pub tls: Tls,
    /// Where everything but keys lies.
    pub data_dir: PathBuf,
    /// Where the keys lie.
    pub keyring_dir: PathBuf,
    /// On what that may be.
    pub keyring_medium: KeyringMedium,
    /// What holds the cells.
    pub store: StoreKind,
    /// The most bytes the store may take on its medium.
    pub quota_bytes: u64,
    /// Seconds in an epoch of the up lane.
    pub epoch_s: u32,
    /// What a stranger sees.
    pub decoy: DecoySource,
    /// Where counters are read, if anywhere.
    pub admin_listen: Option<SocketAddr>,
    /// Connections at once.
    pub max_connections: usize,
    /// Connections at once from one address; loopback is not counted.
    pub max_per_address: usize,
    /// The lines.
    pub lines: Vec<LineSettings>,
    /// How long what may take.
    pub deadlines: Deadlines,
    /// What is allowed but not for production, in plain words.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Reads and checks a file. Relative paths in it count from its own directory.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], the first that is found.
    pub fn load(path: &Path, mode: Mode) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable(path.to_path_buf(), error))?;
        // The parent of a bare name is empty, and nothing can be opened at, or confined to, an empty path.
        let base = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        Self::parse(&text, path, base, mode)
    }

    /// Checks the text of a configuration; `name` is for messages, `base` for relative paths.
    ///
    /// # Errors
    ///
    /// As [`Settings::load`].
    pub fn parse(text: &str, name: &Path, base: &Path, mode: Mode) -> Result<Self, ConfigError> {
        let table: FileTable = toml::from_str(text).map_err(|error| syntax(name, text, &error))?;
        table.check(base, mode)
    }
}

fn syntax(name: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
    ConfigError::Syntax { path: name.to_path_buf(), line: before.matches('\n').count() + 1, what: unquoted(error.message()) }
}

/// What the parser says without what it says it of: `invalid type: string "…", expected a sequence`, ``unknown field `…`, expected one of …``.
fn unquoted(message: &str) -> String {
    // These name a key of ours and nothing else.
    if ["missing field", "duplicate field"].iter().any(|kind| message.starts_with(kind)) {
        return message.to_owned();
    }
    // The last one is the parser's own: what was typed stands before it, whatever it holds.
    let (said, expected) = message.rsplit_once(", expected ").map_or((message, None), |(said, expected)| (said, Some(expected)));
    let kind = said.split([':', '`', '"', '\n']).next().unwrap_or_default().trim_end();
    expected.map_or_else(|| kind.to_owned(), |expected| format!("{kind}, expected {expected}"))
}

fn wrong<T>(key: impl Into<String>, hint: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Wrong { key: key.into(), hint: hint.into() })
}

impl FileTable {
    fn check(self, base: &Path, mode: Mode) -> Result<Settings, ConfigError> {
        let mut warnings = Vec::new();
        self.check_paths()?;
        let listen = check_listen(&self.listen, base)?;
        let tls = check_tls(self.tls.as_ref(), &listen, base, mode)?;
        let decoy = check_decoy(self.decoy_dir.as_deref(), &listen, matches!(tls, Tls::Front(_)), base, mode, &mut warnings)?;
        if tls == Tls::Front(None) {
            warnings.push(
                "tls.spki is not set: no desk device can log in through the socket until it holds the front's key hash".into(),
            );
        }
        let data_dir = base.join(&self.data_dir);
        let (keyring_dir, keyring_medium) = self.keyring(&data_dir, base, mode);
        let epoch_s = check_epoch(self.epoch_s)?;
        let lines = check_lines(&self.line)?;
        let store = self.store.unwrap_or(StoreKind::Sled);
        let admin_listen = self.admin_listen.as_deref().map(|text| check_admin(text, &listen)).transpose()?;
        let settings = Settings {
            listen,
            tls,
            keyring_dir,
            keyring_medium,
            store,
            quota_bytes: check_quota(self.quota_bytes, store, lines.len())?,
            epoch_s,
            decoy,
            admin_listen,
            max_connections: at_least_one("max_connections", self.max_connections, 8192)?,
            max_per_address: at_least_one("max_per_address", self.max_per_address, 256)?,
            lines,
            deadlines: Deadlines::default(),
            data_dir,
            warnings,
        };
        Ok(settings.with_production_warnings())
    }

    /// Whatever is typed as a path may later be said, or asked of the file system.
    fn check_paths(&self) -> Result<(), ConfigError> {
        let tls = self.tls.as_ref();
        check_path("tls.cert", tls.and_then(|tls| tls.cert.as_deref()), "give a path, not the certificate itself")?;
        check_path("tls.key", tls.and_then(|tls| tls.key.as_deref()), "give a path, not the key itself")?;
        let dirs = [
            ("data_dir", Some(self.data_dir.as_path())),
            ("keyring_dir", self.keyring_dir.as_deref()),
            ("decoy_dir", self.decoy_dir.as_deref()),
        ];
        if let Some((key, _)) = dirs.iter().find(|(_, dir)| dir.is_some_and(|dir| dir.as_os_str().is_empty())) {
            return wrong(*key, "is empty: name a directory");
        }
        for (key, path) in [("listen", Some(Path::new(&self.listen)))].into_iter().chain(dirs) {
            check_path(key, path, "is no path: it is too long, or not of one line")?;
        }
        Ok(())
    }

    fn keyring(&self, data_dir: &Path, base: &Path, mode: Mode) -> (PathBuf, KeyringMedium) {
        let anywhere = self.keyring_on_disk || mode == Mode::Dev;
        let dir = match (&self.keyring_dir, mode) {
            (Some(dir), _) => base.join(dir),
            (None, Mode::Dev) => data_dir.join("keyring"),
            (None, Mode::Serve) => PathBuf::from("/run/porchlight"),
        };
        (dir, if anywhere { KeyringMedium::Anywhere } else { KeyringMedium::RamOnly })
    }
}

impl Settings {
    /// The directory of the site that strangers see, unless it is built in.
    #[must_use]
    pub fn decoy_dir(&self) -> Option<&Path> {
        match &self.decoy {
            DecoySource::Dir(dir) => Some(dir),
            DecoySource::BuiltIn => None,
        }
    }

    fn with_production_warnings(mut self) -> Self {
        if !porchlight_web::is_built() {
            self.warnings.push(
                "this relay was built without the callers' page: gates answer native clients only. `cargo demo` builds both"
                    .into(),
            );
        }
        let mut found = Vec::new();
        let mut unless = |fine: bool, text: String| {
            if !fine {
                found.push(text);
            }
        };
        let no_line =
            "there is no [[line]] part yet: `porchlight line init` writes one, and wants the pin that check-config says";
        unless(!self.lines.is_empty(), no_line.into());
        unless(
            self.keyring_medium == KeyringMedium::RamOnly,
            "the keyring may lie on a disk: keys can then outlive their cells".into(),
        );
        unless((600..=86_400).contains(&self.epoch_s), "epoch_s is outside 600 to 86400".into());
        unless(self.quota_bytes >= 64 << 20, "quota_bytes is below 64 MiB".into());
        unless(
            self.store == StoreKind::Sled,
            "store = \"memory\" holds the bundles of two devices for half a day: for more, shorten up_ttl_s or raise quota_bytes"
                .into(),
        );
        for (at, line) in self.lines.iter().enumerate() {
            let timing = &line.timing;
            unless((86_400..=604_800).contains(&line.up_ttl_s), format!("line[{at}].up_ttl_s is outside 86400 to 604800"));
            unless(
                line.gates.iter().all(|gate| gate.as_str().len() >= GATE_LEAST),
                format!("line[{at}].gates: one of fewer than {GATE_LEAST} characters can be found by trying"),
            );
            unless(
                line.leave_to != BLANK_PAGE,
                format!(
                    "line[{at}].leave_to is not set: the page's Close leads to an empty page; name a dull one that opens where callers are"
                ),
            );
            unless(timing.beat_ms >= 10_000, format!("line[{at}].beat_ms is below 10000"));
            unless(timing.up_beat_ms >= 3_000, format!("line[{at}].up_beat_ms is below 3000"));
            unless(line.desk_beat_ms >= 3_000, format!("line[{at}].desk_beat_ms is below 3000"));
            unless(timing.slow_s >= 300, format!("line[{at}].slow_s is below 300"));
            unless(
                timing.slow_days <= 7,
                format!("line[{at}].slow_days is above 7: answers lie here longer after their last broadcast"),
            );
        }
        let needed: u64 = self.lines.iter().map(|line| u64::from(line.up_ttl_s) / u64::from(self.epoch_s) + 64).sum();
        unless(
            needed <= SLOTS as u64,
            format!("epoch_s makes more epochs within up_ttl_s than the {SLOTS} that the keyring holds: posts may be refused"),
        );
        self.warnings.extend(found);
        self
    }
}

/// Characters of a gate that nobody finds by trying.
const GATE_LEAST: usize = 8;

/// The longest path that Linux takes (PATH_MAX).
const PATH_BYTES_MAX: usize = 4096;

fn check_path(key: &str, path: Option<&Path>, hint: &str) -> Result<(), ConfigError> {
    let Some(text) = path.map(Path::to_string_lossy) else { return Ok(()) };
    if text.len() >= PATH_BYTES_MAX || text.contains("-----") || text.chars().any(char::is_control) {
        return wrong(key, hint);
    }
    Ok(())
}

fn check_listen(text: &str, base: &Path) -> Result<Listen, ConfigError> {
    if let Some(path) = text.strip_prefix("unix:") {
        return check_socket(path, base);
    }
    if text == "systemd" {
        return Ok(Listen::Handed);
    }
    match text.parse() {
        Ok(address) => Ok(Listen::Tcp(address)),
        Err(_) => wrong(
            "listen",
            "is neither an address with a port, like \"0.0.0.0:443\"; nor unix:PATH; nor systemd, for a socket that is handed over",
        ),
    }
}

/// The longest path that a socket may have on Linux (`sun_path`, less the zero at its end).
const SOCKET_BYTES_MAX: usize = 107;

fn check_socket(path: &str, base: &Path) -> Result<Listen, ConfigError> {
    let whole = base.join(path);
    match whole.as_os_str().len() {
        _ if path.is_empty() => wrong("listen", "give a path after unix:"),
        ..=SOCKET_BYTES_MAX => Ok(Listen::Unix(whole)),
        _ => wrong(
            "listen",
            format!(
                "unix: with a path of more than {SOCKET_BYTES_MAX} bytes, this file's own directory counted, is no socket's: shorten it"
            ),
        ),
    }
}

fn is_of_this_machine(listen: &Listen) -> bool {
    matches!(listen, Listen::Tcp(address) if address.ip().is_loopback())
}

fn check_tls(table: Option<&TlsTable>, listen: &Listen, base: &Path, mode: Mode) -> Result<Tls, ConfigError> {
    let none = TlsTable { cert: None, key: None, self_signed: false, spki: None };
    let table = table.unwrap_or(&none);
    let is_handed_plain = *listen == Listen::Handed && table.cert.is_none() && table.key.is_none() && !table.self_signed;
    if matches!(listen, Listen::Unix(_)) || is_handed_plain {
        if table.self_signed || table.cert.is_some() || table.key.is_some() {
            return wrong(
                "tls",
                "a Unix socket serves plain HTTP behind a web server, which has the certificate: leave only spki here",
            );
        }
        return Ok(Tls::Front(table.spki.as_deref().map(|text| hex32("tls.spki", text)).transpose()?));
    }
    if table.spki.is_some() {
        return wrong("tls.spki", "is only for a Unix socket: here the relay knows its own key, so leave it out");
    }
    match (&table.cert, &table.key, table.self_signed) {
        (Some(cert), Some(key), false) => Ok(Tls::Files { cert: base.join(cert), key: base.join(key) }),
        (None, None, true) if mode == Mode::Dev || is_of_this_machine(listen) => Ok(Tls::SelfSigned),
        (None, None, true) => wrong(
            "tls.self_signed",
            "is for this machine alone: where strangers come, a certificate like no website's tells what this is. Name one that browsers \
             believe as cert and key; or, where nothing but the native programs comes, one of your own, made with openssl req -x509",
        ),
        (None, None, false) => wrong("tls", "say either cert = … and key = …, or self_signed = true"),
        (Some(_), None, false) => wrong("tls.key", "is missing: cert and key go together"),
        (None, Some(_), false) => wrong("tls.cert", "is missing: cert and key go together"),
        (_, _, true) => wrong("tls.self_signed", "and cert or key exclude each other: keep one"),
    }
}

fn check_decoy(
    dir: Option<&Path>,
    listen: &Listen,
    is_front: bool,
    base: &Path,
    mode: Mode,
    warnings: &mut Vec<String>,
) -> Result<DecoySource, ConfigError> {
    match (dir, listen) {
        (Some(dir), _) => Ok(DecoySource::Dir(base.join(dir))),
        (None, Listen::Tcp(address)) if !address.ip().is_loopback() && mode == Mode::Serve => wrong(
            "decoy_dir",
            "is missing, and on a public address the relay must look like some other site: give a directory with an ordinary web page \
             (index.html and what it needs), or listen on unix:PATH behind a web server",
        ),
        (None, Listen::Handed) if mode == Mode::Serve && !is_front => wrong(
            "decoy_dir",
            "is missing, and the socket that is handed over may be public: give a directory with an ordinary web page",
        ),
        // Strangers see the website.
        (None, Listen::Unix(_)) => Ok(DecoySource::BuiltIn),
        (None, Listen::Handed) if is_front => Ok(DecoySource::BuiltIn),
        (None, _) => {
            warnings
                .push("decoy_dir is not set: strangers see a built-in page, which tells those who know it what this is".into());
            Ok(DecoySource::BuiltIn)
        }
    }
}

fn check_admin(text: &str, listen: &Listen) -> Result<SocketAddr, ConfigError> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() && has_taken(listen, &address) => {
            wrong("admin_listen", "is where listen accepts already: give it another port")
        }
        Ok(address) if address.ip().is_loopback() => Ok(address),
        Ok(_) => wrong("admin_listen", "must be a loopback address, like \"127.0.0.1:9100\": counters are not for strangers"),
        Err(_) => wrong("admin_listen", "is not an address with a port, like \"127.0.0.1:9100\""),
    }
}

/// Whether an address cannot be had by the side of what is listened on: every address of a machine is its own loopback as well.
fn has_taken(listen: &Listen, address: &SocketAddr) -> bool {
    let Listen::Tcp(taken) = listen else { return false };
    let all = taken.ip().is_unspecified() && (taken.is_ipv6() || address.is_ipv4());
    taken.port() != 0 && taken.port() == address.port() && (all || taken.ip() == address.ip())
}

fn check_epoch(value: Option<u64>) -> Result<u32, ConfigError> {
    match u32::try_from(value.unwrap_or(3600)) {
        Ok(epoch_s) if (2..=604_800).contains(&epoch_s) => Ok(epoch_s),
        _ => wrong("epoch_s", "must be 2 to 604800 seconds; 3600 is usual"),
    }
}

/// Bytes that a store in memory takes unless it is told otherwise, and at most: beside the relay's own they must fit into what the unit allows.
const MEMORY_USUAL: u64 = 128 << 20;
const MEMORY_MAX: u64 = 256 << 20;

/// Bytes that no machine has for a relay: whoever says more has slipped.
const QUOTA_MAX: u64 = 1 << 50;

fn check_quota(value: Option<u64>, store: StoreKind, line_count: usize) -> Result<u64, ConfigError> {
    let (usual, most) = match store {
        StoreKind::Sled => (8 << 30, QUOTA_MAX),
        StoreKind::Memory => (MEMORY_USUAL, MEMORY_MAX),
    };
    match value.unwrap_or(usual) {
        quota if quota > most && store == StoreKind::Sled => {
            wrong("quota_bytes", format!("is above {QUOTA_MAX} (1 PiB), which no disk here has: {usual} is usual"))
        }
        quota if quota > most => wrong(
            "quota_bytes",
            "store = \"memory\" takes 268435456 (256 MiB) at most: with the relay's own it must fit into what the unit allows",
        ),
        quota if quota / line_count.max(1) as u64 >= 1 << 20 => Ok(quota),
        _ => wrong("quota_bytes", format!("must be at least 1048576 (1 MiB) for each line; {usual} is usual")),
    }
}

fn at_least_one(key: &str, value: Option<usize>, usual: usize) -> Result<usize, ConfigError> {
    match value.unwrap_or(usual) {
        0 => wrong(key, format!("must be at least 1; {usual} is usual")),
        count => Ok(count),
    }
}

fn check_lines(tables: &[LineTable]) -> Result<Vec<LineSettings>, ConfigError> {
    let mut lines: Vec<LineSettings> = Vec::new();
    for (at, table) in tables.iter().enumerate() {
        let line = table.check(&format!("line[{at}]"))?;
        if lines.iter().any(|other| other.id == line.id) {
            return wrong(format!("line[{at}].id"), "stands here twice: a line has one [[line]] part, with all its gates");
        }
        if let Some(nth) = line.gates.iter().position(|gate| lines.iter().any(|other| other.gates.contains(gate))) {
            return wrong(format!("line[{at}].gates[{nth}]"), "belongs to another line: each gate leads to one line");
        }
        lines.push(line);
    }
    Ok(lines)
}

impl LineTable {
    fn check(&self, at: &str) -> Result<LineSettings, ConfigError> {
        let root = PublicKey::from_bytes(hex32(&format!("{at}.root"), &self.root)?);
        let id = LineId::from_bytes(hex32(&format!("{at}.id"), &self.id)?);
        if id != LineId::from_root(&root) {
            return wrong(format!("{at}.id"), "does not belong to this root: copy both from what `porchlight line init` wrote");
        }
        let beat_ms = number(at, "beat_ms", self.beat_ms, 30_000)?;
        let timing = Timing {
            up_beat_ms: number(at, "up_beat_ms", self.up_beat_ms, (beat_ms / 3).max(10))?,
            beat_ms,
            fast_slots: number(at, "fast_slots", self.fast_slots, 4)?,
            slow_s: number(at, "slow_s", self.slow_s, 1800)?,
            slow_days: number(at, "slow_days", self.slow_days, 7)?,
        };
        timing.check().or_else(|error| wrong(format!("{at}.{}", key_of(error)), error.to_string()))?;
        let line = LineSettings {
            id,
            root,
            gates: check_gates(at, &self.gates)?,
            relay_no: number(at, "relay_no", self.relay_no, 0)?,
            timing,
            up_ttl_s: number(at, "up_ttl_s", self.up_ttl_s, 259_200)?,
            desk_beat_ms: number(at, "desk_beat_ms", self.desk_beat_ms, (beat_ms / 3).max(10))?,
            cap_per_minute: number(at, "cap_per_minute", self.cap_per_minute, PAGES * 60_000 / u32::from(timing.up_beat_ms))?,
            leave_to: check_address(at, "leave_to", self.leave_to.as_deref())?.unwrap_or_else(|| BLANK_PAGE.into()),
            other_door: check_address(at, "other_door", self.other_door.as_deref())?.unwrap_or_default(),
        };
        line.check_bounds(at)
    }
}

/// Where Close leads when the line names no page: one that every browser has.
const BLANK_PAGE: &str = "about:blank";

/// The longest address that the page is told.
const ADDRESS_MAX: usize = 200;

fn check_address(at: &str, key: &str, text: Option<&str>) -> Result<Option<String>, ConfigError> {
    let Some(text) = text else { return Ok(None) };
    let is_plain = text.len() <= ADDRESS_MAX && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\".contains(&byte));
    if is_plain && text.strip_prefix("https://").is_some_and(|rest| !rest.is_empty()) {
        Ok(Some(text.to_owned()))
    } else {
        wrong(format!("{at}.{key}"), "must be an address that begins with https://, at most 200 plain characters")
    }
}

impl LineSettings {
    fn check_bounds(self, at: &str) -> Result<Self, ConfigError> {
        if !(5..=2_592_000).contains(&self.up_ttl_s) {
            return wrong(format!("{at}.up_ttl_s"), "must be 5 to 2592000 seconds; 259200 (three days) is usual");
        }
        if self.desk_beat_ms < 10 {
            return wrong(format!("{at}.desk_beat_ms"), "must be at least 10; a third of beat_ms is usual");
        }
        if self.cap_per_minute == 0 {
            return wrong(format!("{at}.cap_per_minute"), "must be at least 1; 3000 is usual");
        }
        Ok(self)
    }
}

const fn key_of(error: TimingError) -> &'static str {
    match error {
        TimingError::UpBeat => "up_beat_ms",
        TimingError::Beat => "beat_ms",
        TimingError::FastSlots => "fast_slots",
        TimingError::SlowSlot => "slow_s",
        TimingError::SlowDays => "slow_days",
        _ => "timing",
    }
}

fn number<T: TryFrom<u64> + Copy + Into<u64>>(at: &str, key: &str, value: Option<u64>, usual: T) -> Result<T, ConfigError> {
    let Some(value) = value else { return Ok(usual) };
    T::try_from(value).or_else(|_| wrong(format!("{at}.{key}"), format!("is too large; {} is usual", usual.into())))
}

fn check_gates(at: &str, texts: &[String]) -> Result<Vec<Gate>, ConfigError> {
    let key = format!("{at}.gates");
    if texts.is_empty() || texts.len() > 8 {
        return wrong(key, "give one to eight gates, each 4 to 32 characters of a–z and 0–9");
    }
    let mut gates = Vec::new();
    for (nth, text) in texts.iter().enumerate() {
        match Gate::parse(text) {
            Ok(gate) if !gates.contains(&gate) => gates.push(gate),
            Ok(_) => return wrong(format!("{key}[{nth}]"), "stands there twice"),
            Err(_) => return wrong(format!("{key}[{nth}]"), "is not 4 to 32 characters of a–z and 0–9"),
        }
    }
    Ok(gates)
}

fn hex32(key: &str, text: &str) -> Result<[u8; 32], ConfigError> {
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
    match bytes.and_then(|bytes| bytes.try_into().ok()) {
        Some(bytes) => Ok(bytes),
        None => wrong(key, "must be 64 hexadecimal digits"),
    }
}

#[cfg(test)]
mod tests;
