//! The relay as a whole: every room opened in order, the loops that keep it going, and its end.

use std::collections::BTreeSet;
use std::fs::File;
use std::future::Future;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use porchlight_proto::limits::UP_CELL_LEN;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::chance::{Chance, SystemChance};
use crate::clock::{Clock, SlotClock, SystemClock};
use crate::config::{Listen, Settings, StoreKind, Tls};
use crate::counters::Counters;
use crate::door::admin::{self, Meters};
use crate::door::connection::{self, Hall, SPEAKING_MAX, WAITING_MAX};
use crate::door::decoy::{Decoy, DecoyError};
use crate::door::listen::{Bound, Listener};
use crate::door::tls::{self, Certificate, Identity, TlsError};
use crate::door::{Door, DoorParts, Served};
use crate::files;
use crate::gate::LineGate;
use crate::gate::owing::{DESK_BODIES, DESK_ROOM, Owing, ROOM};
use crate::gate::quota::Quota;
use crate::gate::room::Room;
use crate::gate::sources::{Seated, Sources};
use crate::lane::{Ground, Line};
use crate::process::memory::{Memory, SystemMemory};
use crate::process::swap;
use crate::seal::{self, Keyring, KeyringError, KeyringMedium, Sealer};
use crate::stack;
use crate::store::{Ballast, MemoryStore, SledStore, Store};

/// How often what has died is let go.
const TEND_EVERY: Duration = Duration::from_secs(1);

/// Every so many rounds shelves that nobody used are closed, and the medium is measured.
const REST_ROUNDS: u32 = 30;
const MEASURE_ROUNDS: u32 = 5;

/// How often between two rounds the memory is looked at: half a gigabyte comes within seconds.
const LOOKS: u32 = 4;

/// Bytes in memory beyond which connections are asked to leave, as long as it grows: more than a full house takes, and so much less than
/// what the unit allows (`MemoryMax`) that what comes meanwhile has room.
const MEMORY_ENOUGH: u64 = 384 << 20;

/// Bytes in memory beyond which a connection that is cut short leaves nothing behind. Else what it has not taken stays in the kernel for a minute,
/// 48 KiB each: 30 MiB of one address whose connections wait until they are cut, and as much as there is up to here of one that ends each with an
/// error of its own as soon as that is full.
const MEMORY_GENTLE: u64 = 256 << 20;

/// Bytes by which memory goes up and down and has not grown: what the devices' room takes and gives back, and some more.
const MEMORY_SWAY: u64 = 32 << 20;

/// Rounds without a failure after which the store counts as sound again.
const CALM_ROUNDS: u32 = 60;

/// Rounds without damage after which new damage is said again: a day of them.
const DAY_ROUNDS: u32 = 86_400;

/// Longer than this no disk takes for a group of cells, or for a round of tending.
const STUCK_MS: u64 = 10_000;

/// Why the relay does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data directory cannot be used.
    #[error("cannot use data_dir {0}: {1}")]
    Data(PathBuf, #[source] io::Error),
    /// Another relay uses it.
    #[error("another relay is using data_dir {0}: give each relay its own")]
    DataInUse(PathBuf),
    /// The keyring.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// Keys of cells that lie in `data_dir`, of which this relay would let none die.
    #[error(
        "{0} still holds keys of what lies in data_dir, and with store = \"memory\" none of them would ever die: destroy them first (docs/RUNBOOKS.md, \
         \"The relay stays off\")"
    )]
    OldKeys(PathBuf),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The decoy.
    #[error(transparent)]
    Decoy(#[from] DecoyError),
    /// The thread on which keys die cannot be had.
    #[error("cannot begin a thread: {0}")]
    Thread(#[source] io::Error),
    /// Nothing can be accepted there.
    #[error("{0}: cannot listen on {1}: {2}")]
    Listen(&'static str, String, #[source] io::Error),
    /// The socket that was handed over does not go with `[tls]`.
    #[error(
        "listen: the socket handed over does not fit [tls]: a Unix socket takes spki alone, an address takes cert and key or self_signed"
    )]
    HandedKind,
}

/// What the relay does not make itself: time and chance.
#[derive(Clone)]
pub struct World {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Keys, nonces, names.
    pub chance: Arc<dyn Chance>,
    /// Which boot of the machine this is.
    pub boot_id: [u8; 16],
    /// What the process holds in memory.
    pub memory: Arc<dyn Memory>,
}

impl World {
    /// The machine's own.
    ///
    /// # Errors
    ///
    /// What the system says if it does not name its boot, or counts no memory.
    pub fn system() -> io::Result<Self> {
        let (clock, chance, memory) = (Arc::new(SystemClock), Arc::new(SystemChance), Arc::new(SystemMemory::open()?));
        Ok(Self { clock, chance, boot_id: seal::boot_id()?, memory })
    }
}

/// A relay that accepts.
pub struct Relay {
    bound: Bound,
    spki: Option<[u8; 32]>,
    certificate: Option<Arc<Certificate>>,
    rooms: Arc<Rooms>,
    stop: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<()>,
    /// Turns true when nobody is served any more: what writes then finishes.
    close: watch::Sender<bool>,
    keeping: JoinSet<()>,
    /// What can be cut off at any moment.
    others: JoinSet<()>,
    keys: KeyWatch,
    /// Held so that nobody else takes the directory.
    forgotten_shelf_count: usize,
    _lock: File,
}

/// What an operator should hear about while the relay goes on: states, not events, and nothing about anybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Shelves of the store that cannot be read and were set aside. What they held is not served, the rest is.
    pub unreadable_shelf_count: usize,
    /// Records, or keys, were found altered or gone within the last day. They were skipped.
    pub has_skipped: bool,
    /// The keyring's file was removed or overwritten by somebody: after the next start nothing that is held now can be opened.
    pub has_lost_keyring: bool,
    /// At the start some line's public file was altered or torn: its newest roster or its bulletin may be missing.
    pub has_damaged_board: bool,
    /// The disk, the quota or a line's part of it is full, or nearly: posts are refused until cells die.
    pub is_full: bool,
    /// Room is scarce: what callers send is let in at a slower rate than the lines' caps, shared fairly, until cells die.
    pub is_scarce: bool,
    /// The data directory is not where it was: it was removed, moved or unmounted.
    pub has_lost_data: bool,
    /// The store or the keyring refused something within the last minute, or has not answered for a while.
    pub is_failing: bool,
    /// Dead keys and shelves that a disk refused to let go of. They are tried again each second.
    pub unforgotten_count: usize,
    /// The machine swaps, and did not when the relay started.
    pub swaps: bool,
}

struct Rooms {
    memory: Arc<dyn Memory>,
    /// Bytes in memory beyond which connections are asked to leave: grows with what is not given back, which others use again, and falls once
    /// more was given back than memory sways by; if it stayed, whoever fills memory again at once would find it higher each time.
    enough: AtomicU64,
    /// Whether it holds more than [`MEMORY_GENTLE`].
    is_short: Arc<AtomicBool>,
    /// Whether the machine swapped when the relay started: then whoever started it was told.
    swapped: bool,
    trouble: watch::Sender<Trouble>,
    failures: Recent,
    skipped: Recent,
    /// Failures counted when the medium was last measured.
    measured_failures: AtomicU64,
    /// When what may wait for a disk was begun, in milliseconds since boot and one; 0 if it is not under way.
    tending_since: AtomicU64,
    has_lost_data: AtomicBool,
    sealer: Arc<Sealer>,
    clock: Arc<SlotClock>,
    lines: Vec<Arc<Served>>,
    sources: Arc<Sources>,
    quota: Arc<Quota>,
    ballast: Ballast,
    home: Home,
    counters: Arc<Counters>,
}

/// How many of something were counted at the last look, and the rounds since there were new ones.
#[derive(Default)]
struct Recent(Mutex<(u64, u32)>);

impl Recent {
    /// Whether there were new ones within so many looks.
    fn is_recent(&self, count: u64, rounds: u32) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let calm_rounds = if count == seen.0 { seen.1.saturating_add(1) } else { 0 };
        *seen = (count, calm_rounds);
        count > 0 && calm_rounds < rounds
    }
}

/// What says that a data directory is in use.
const LOCK_FILE: &str = "lock";

/// The data directory, as it was found at the start.
struct Home {
    lock: PathBuf,
    was: (u64, u64),
}

impl Home {
    fn of(data_dir: &Path, lock: &File) -> io::Result<Self> {
        let found = lock.metadata()?;
        Ok(Self { lock: data_dir.join(LOCK_FILE), was: (found.dev(), found.ino()) })
    }

    /// Whether something else is there now, or nothing.
    fn is_lost(&self) -> bool {
        match std::fs::symlink_metadata(&self.lock) {
            Ok(found) => (found.dev(), found.ino()) != self.was,
            // A disk that fails is another matter.
            Err(error) => [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()),
        }
    }
}

/// Starts a relay; it accepts when this returns. The clock tells slots, epochs and deaths; deadlines of connections are real time.
///
/// # Errors
///
/// [`StartError`].
pub async fn start(settings: &Settings, world: &World) -> Result<Relay, StartError> {
    let lock = lock_data(&settings.data_dir)?;
    let home = Home::of(&settings.data_dir, &lock).map_err(|error| StartError::Data(settings.data_dir.clone(), error))?;
    let kept = open_kept(settings, world)?;
    let forgotten_shelf_count = kept.forgotten_shelf_count;
    let (identity, decoy) = (identity(settings)?, Decoy::load(&settings.decoy)?);
    let spki = match &settings.tls {
        Tls::Front(spki) => *spki,
        Tls::Files { .. } | Tls::SelfSigned => identity.as_ref().map(|identity| identity.spki),
    };
    let rooms = Arc::new(open_rooms(settings, world, kept, home)?);
    let (stop, stopping) = watch::channel(false);
    let listener = Listener::bind(&settings.listen, Arc::clone(&rooms.is_short))
        .await
        .map_err(|error| StartError::Listen("listen", listen_text(&settings.listen), error))?;
    if listener.is_front() != identity.is_none() {
        return Err(StartError::HandedKind);
    }
    let certificate = identity.map(|identity| Arc::new(Certificate::new(identity, certificate_files(&settings.tls))));
    let bound = listener.bound().map_err(|error| StartError::Listen("listen", listen_text(&settings.listen), error))?;
    let door = Door::new(DoorParts {
        lines: rooms.lines.clone(),
        decoy,
        spki,
        clock: Arc::clone(&rooms.clock),
        chance: Arc::clone(&world.chance),
        counters: Arc::clone(&rooms.counters),
        stopping: stopping.clone(),
    });
    let hall = Arc::new(Hall {
        router: door.router(),
        tls: certificate.clone(),
        clock: Arc::clone(&world.clock),
        slots: Arc::clone(&rooms.clock),
        deadlines: settings.deadlines,
        speaking: Arc::new(Semaphore::new(SPEAKING_MAX)),
        waiting: Semaphore::new(WAITING_MAX),
        owing: Owing::new(ROOM),
        owing_desks: Owing::new(DESK_ROOM),
        owing_bodies: Owing::new(DESK_BODIES),
        owing_local: listener.is_public().then(|| Owing::new(ROOM / 2)),
        counters: Arc::clone(&rooms.counters),
        stopping,
    });
    let mut others = JoinSet::new();
    if let Some(address) = settings.admin_listen {
        let listener =
            TcpListener::bind(address).await.map_err(|error| StartError::Listen("admin_listen", address.to_string(), error))?;
        let meters =
            Meters { counters: Arc::clone(&rooms.counters), lines: rooms.lines.clone(), sealer: Arc::clone(&rooms.sealer) };
        others.spawn(admin::serve(listener, Arc::new(meters)));
    }
    let (close, closing) = watch::channel(false);
    let mut keeping = JoinSet::new();
    for writer in rooms.lines.iter().filter_map(|served| served.line.up.writer()) {
        keeping.spawn(writer.run(closing.clone()));
    }
    let keys = KeyWatch::begin(Arc::clone(&rooms)).map_err(StartError::Thread)?;
    keeping.spawn(tend(Arc::clone(&rooms), closing));
    let sources = Arc::clone(&rooms.sources);
    let accepting = accept(listener, hall, sources, settings.max_connections, Arc::clone(&rooms.clock));
    let accepting = tokio::spawn(stack::wiped_each_turn(accepting));
    Ok(Relay {
        bound,
        spki,
        certificate,
        rooms,
        stop,
        accepting,
        close,
        keeping,
        others,
        keys,
        forgotten_shelf_count,
        _lock: lock,
    })
}

/// Starts a relay, says that it accepts, and serves until `shutdown` is there.
///
/// # Errors
///
/// [`StartError`]; once it accepts there are none.
pub async fn run(
    settings: &Settings,
    world: &World,
    ready: impl FnOnce(&Relay),
    shutdown: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let relay = start(settings, world).await?;
    ready(&relay);
    shutdown.await;
    relay.stop().await;
    Ok(())
}

impl Relay {
    /// Where it is found.
    #[must_use]
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// The hash that cards pin, if it is known.
    #[must_use]
    pub fn spki(&self) -> Option<&[u8; 32]> {
        self.spki.as_ref()
    }

    /// The certificate, which can be renewed; none behind a web server.
    #[must_use]
    pub fn certificate(&self) -> Option<Arc<Certificate>> {
        self.certificate.clone()
    }

    /// A watch on what an operator should hear about.
    #[must_use]
    pub fn trouble(&self) -> watch::Receiver<Trouble> {
        self.rooms.trouble.subscribe()
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.rooms.counters
    }

    /// How many of the store's directories lay there at the start and were removed, since no key in the keyring opens anything in them: so after
    /// every restart of the machine, and where their time was over.
    #[must_use]
    pub fn forgotten_shelf_count(&self) -> usize {
        self.forgotten_shelf_count
    }

    /// Lets go of what has died, now and not within a second: for tests that move the clock.
    pub async fn tend(&self) {
        let rooms = Arc::clone(&self.rooms);
        let _ = tokio::task::spawn_blocking(move || {
            stack::wiped(|| {
                rooms.relieve();
                rooms.tend_memory();
                rooms.tend(0);
                rooms.tell();
            });
        })
        .await;
    }

    /// Accepts nothing more, finishes what is in flight within a short deadline, and ends.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let _ = self.accepting.await;
        self.close.send_replace(true);
        while self.keeping.join_next().await.is_some() {}
        self.others.shutdown().await;
        // Within one round of it.
        let keys = self.keys;
        let _ = tokio::task::spawn_blocking(move || drop(keys)).await;
    }
}

/// A thread of its own on which keys die: a disk that hangs takes all those that wait for it, however many there are.
struct KeyWatch {
    end: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl KeyWatch {
    fn begin(rooms: Arc<Rooms>) -> io::Result<Self> {
        let (end, ended) = mpsc::channel();
        let watch = move || {
            let mut looks = 0_u32;
            while ended.recv_timeout(TEND_EVERY / LOOKS) == Err(mpsc::RecvTimeoutError::Timeout) {
                rooms.relieve();
                looks += 1;
                if looks.is_multiple_of(LOOKS) {
                    looks = 0;
                    stack::wiped(|| rooms.tend_memory());
                    rooms.tell();
                }
            }
        };
        Ok(Self { end: Some(end), thread: Some(thread::Builder::new().name("keys".into()).spawn(watch)?) })
    }
}

impl Drop for KeyWatch {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Rooms {
    /// What must be let go of, however long the disk that holds cells keeps somebody waiting: keys, and who came.
    fn tend_memory(&self) {
        self.counters.epochs_forgotten.add(self.sealer.expire_keys(self.clock.boot()) as u64);
        self.sources.tend(self.clock.now());
        for served in &self.lines {
            served.gate.tend(self.clock.now(), self.clock.boot(), &served.line.up.held());
            served.line.tend_memory();
        }
    }

    /// Whatever makes a library keep more than anybody thought of, it ends before the system ends the relay.
    fn relieve(&self) {
        let Some(resident) = self.memory.resident() else { return };
        self.is_short.store(resident > MEMORY_GENTLE, Ordering::Relaxed);
        let enough = self.enough.load(Ordering::Relaxed);
        if resident > enough {
            self.sources.relieve(resident - MEMORY_ENOUGH / 2);
        }
        let enough = enough.min(resident.saturating_add(MEMORY_SWAY)).max(resident).max(MEMORY_ENOUGH);
        self.enough.store(enough, Ordering::Relaxed);
    }

    fn tend(&self, round: u32) {
        self.tending_since.store(self.clock.boot().0 + 1, Ordering::Relaxed);
        self.tend_disk(round);
        self.tending_since.store(0, Ordering::Relaxed);
    }

    fn tend_disk(&self, round: u32) {
        // What stays is tried again and said, apart from failures to write what came.
        if let Ok(count) = self.sealer.expire(self.clock.boot()) {
            self.counters.epochs_forgotten.add(count as u64);
        }
        for served in &self.lines {
            served.line.tend();
            served.line.forget_below_floor();
        }
        // A medium that refuses may be full: what is held can be read again as soon as the ballast makes room for that.
        let is_lost = self.home.is_lost();
        self.has_lost_data.store(is_lost, Ordering::Relaxed);
        let failures = self.counters.store_failures.count();
        let has_new_failures = self.measured_failures.swap(failures, Ordering::Relaxed) != failures;
        if round.is_multiple_of(MEASURE_ROUNDS) || has_new_failures || is_lost {
            self.ballast.trim();
            self.quota.measure(&self.sealer);
        }
        if round % REST_ROUNDS == REST_ROUNDS - 1 {
            self.sealer.store().rest();
        }
    }

    /// Looks for what an operator should hear about. Waits for no disk: whoever has to say that one does not answer must not wait for it.
    fn tell(&self) {
        let trouble = self.look();
        self.trouble.send_if_modified(|held| std::mem::replace(held, trouble) != trouble);
    }

    /// Whether something has been on its way to the disk, or from there, for longer than a disk may take.
    fn is_stuck(&self) -> bool {
        let tending_ms = match self.tending_since.load(Ordering::Relaxed) {
            0 => 0,
            since => self.clock.boot().0.saturating_sub(since),
        };
        tending_ms > STUCK_MS || self.lines.iter().any(|served| served.line.up.writing_ms() > STUCK_MS)
    }

    fn look(&self) -> Trouble {
        let is_failing = self.failures.is_recent(self.counters.store_failures.count(), CALM_ROUNDS);
        let has_skipped = self.skipped.is_recent(self.counters.damaged_records.count(), DAY_ROUNDS);
        let has_lost_data = self.has_lost_data.load(Ordering::Relaxed);
        // Each is asked, so that each knows whether it was so.
        let is_scarce = self.lines.iter().filter(|served| served.gate.is_scarce()).count() > 0;
        Trouble {
            unreadable_shelf_count: self.sealer.store().unreadable_count(),
            has_skipped,
            has_lost_keyring: self.sealer.has_lost_keyring(),
            has_damaged_board: self.lines.iter().any(|served| served.line.board.is_damaged()),
            // Where there is no directory there is no room either, and that is not what to look after.
            is_full: !has_lost_data && (self.quota.is_full() || self.lines.iter().any(|served| served.gate.is_full())),
            is_scarce: !has_lost_data && is_scarce,
            has_lost_data,
            is_failing: is_failing || self.is_stuck(),
            unforgotten_count: self.sealer.unforgotten_count(),
            swaps: !self.swapped && swap::is_on(),
        }
    }
}

async fn tend(rooms: Arc<Rooms>, mut closing: watch::Receiver<bool>) {
    let mut ticks = interval(TEND_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut round: u32 = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = closing.wait_for(|closes| *closes) => return,
        }
        let tended = Arc::clone(&rooms);
        // What looks through ids of devices, to forget them in time, leaves them where it looked.
        let _ = tokio::task::spawn_blocking(move || stack::wiped(|| tended.tend(round))).await;
        round = round.wrapping_add(1);
    }
}

/// Accepts until the relay stops; then waits for the connections, which have a deadline of their own.
async fn accept(listener: Listener, hall: Arc<Hall>, sources: Arc<Sources>, max: usize, clock: Arc<SlotClock>) {
    let seats = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
    let waiting = Arc::new(Semaphore::new(WAITING_MAX));
    let mut stopping = hall.stopping.clone();
    let mut open = JoinSet::new();
    loop {
        let (wire, address) = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stops| *stops) => break,
            Some(_) = open.join_next() => continue,
        };
        hall.counters.connections.add(1);
        let place = Arc::clone(&seats).try_acquire_owned().ok();
        let bench = if place.is_some() { None } else { Arc::clone(&waiting).try_acquire_owned().ok() };
        let seated = (place.is_some() || bench.is_some()).then(|| sources.seat(address, clock.now())).flatten();
        let has_place = |seated: &Seated| place.is_some() || seated.replaces || sources.make_room(seated, clock.now());
        let Some(seated) = seated.filter(has_place) else {
            hall.counters.connections_refused.add(1);
            continue;
        };
        let (hall, seats) = (Arc::clone(&hall), Arc::clone(&seats));
        open.spawn(async move {
            // Whoever was asked to make room is about to leave.
            let place = match place {
                Some(place) => Some(place),
                None => timeout(hall.deadlines.handshake, seats.acquire_owned()).await.ok().and_then(Result::ok),
            };
            drop(bench);
            if place.is_some() {
                connection::serve(hall, wire, seated).await;
            }
        });
    }
    drop(listener);
    let all_gone = async { while open.join_next().await.is_some() {} };
    let _ = timeout(hall.deadlines.stop, all_gone).await;
}

/// The certificate that the settings name; none for a socket.
///
/// # Errors
///
/// [`TlsError`].
pub fn identity(settings: &Settings) -> Result<Option<Identity>, TlsError> {
    match (&settings.tls, &settings.listen) {
        (Tls::Files { cert, key }, _) => tls::of_files(cert, key).map(Some),
        (Tls::SelfSigned, Listen::Tcp(address)) => {
            tls::self_signed(&settings.data_dir.join("tls"), &tls::host_of(address)).map(Some)
        }
        (Tls::SelfSigned, Listen::Handed) => tls::self_signed(&settings.data_dir.join("tls"), "localhost").map(Some),
        (Tls::SelfSigned, Listen::Unix(_)) | (Tls::Front(_), _) => Ok(None),
    }
}

fn certificate_files(tls: &Tls) -> Option<(PathBuf, PathBuf)> {
    match tls {
        Tls::Files { cert, key } => Some((cert.clone(), key.clone())),
        Tls::SelfSigned | Tls::Front(_) => None,
    }
}

fn listen_text(listen: &Listen) -> String {
    match listen {
        Listen::Tcp(address) => address.to_string(),
        Listen::Unix(path) => format!("unix:{}", path.display()),
        Listen::Handed => "systemd".into(),
    }
}

fn lock_data(dir: &Path) -> Result<File, StartError> {
    let data = |error| StartError::Data(dir.to_path_buf(), error);
    files::make_private_dir(dir).map_err(data)?;
    let file = files::private().write(true).create(true).truncate(false).open(dir.join(LOCK_FILE)).map_err(data)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(StartError::DataInUse(dir.to_path_buf())),
        Err(error) => Err(data(error.into())),
    }
}

/// Bytes that a cell takes, at most: sled takes 1.7 times what it is given (docs/BENCH.md), memory little more than that.
const fn cell_cost(store: StoreKind) -> u64 {
    match store {
        StoreKind::Sled => 2 * UP_CELL_LEN as u64,
        StoreKind::Memory => UP_CELL_LEN as u64 / 8 * 9,
    }
}

/// Wipes the keys that have died, where there is a keyring: for a relay that found a reason not to start, and is started again and again.
pub fn forget_dead(settings: &Settings, world: &World) {
    // Wherever it lies: a keyring that should not lie there holds keys all the same.
    let anywhere = Settings { keyring_medium: KeyringMedium::Anywhere, ..settings.clone() };
    if settings.keyring_dir.join(seal::KEYRING_FILE).exists() {
        stack::wiped(|| drop(open_keyring(&anywhere, world)));
    }
}

fn open_keyring(settings: &Settings, world: &World) -> Result<Keyring, KeyringError> {
    let (dir, medium) = (&settings.keyring_dir, settings.keyring_medium);
    Keyring::open(dir, &settings.data_dir, medium, world.boot_id, world.clock.boot(), world.chance.as_ref())
}

/// What was kept from before, if anything was.
struct Kept {
    store: Arc<dyn Store>,
    keyring: Keyring,
    /// Shelves of which the keyring has no living key.
    forgotten_shelf_count: usize,
    /// Shelves that cells were counted on, and that are not there.
    missing_shelf_count: usize,
}

fn open_kept(settings: &Settings, world: &World) -> Result<Kept, StartError> {
    let data = |error| StartError::Data(settings.data_dir.clone(), error);
    match settings.store {
        StoreKind::Memory => {
            let old = settings.keyring_dir.join(seal::KEYRING_FILE);
            if settings.data_dir.join("cells").exists() && seal::holds_keys(&old).map_err(data)? {
                return Err(StartError::OldKeys(old));
            }
            let (store, keyring) = (Arc::new(MemoryStore::new()), Keyring::in_memory(world.chance.as_ref()));
            Ok(Kept { store, keyring, forgotten_shelf_count: 0, missing_shelf_count: 0 })
        }
        StoreKind::Sled => {
            // First of all: what has died is wiped here.
            let keyring = open_keyring(settings, world)?;
            let store = SledStore::open(&settings.data_dir.join("cells")).map_err(data)?;
            let (held, known) = (store.shelf_ids(), keyring.shelves());
            let counted: BTreeSet<_> = known.iter().filter(|(_, count)| **count > 0).map(|(shelf, _)| *shelf).collect();
            let forgotten_shelf_count = held.iter().filter(|shelf| !known.contains_key(shelf)).count();
            let missing_shelf_count = counted.difference(&held).count();
            Ok(Kept { store: Arc::new(store), keyring, forgotten_shelf_count, missing_shelf_count })
        }
    }
}

fn open_rooms(settings: &Settings, world: &World, kept: Kept, home: Home) -> Result<Rooms, StartError> {
    let Kept { store, keyring, missing_shelf_count, .. } = kept;
    let data = |error| StartError::Data(settings.data_dir.clone(), error);
    let chance = &world.chance;
    let (clock, counters) = (Arc::new(SlotClock::start(Arc::clone(&world.clock))), Arc::new(Counters::default()));
    counters.damaged_records.add((keyring.damaged_count() + missing_shelf_count) as u64);
    let sealer = Arc::new(Sealer::new(keyring, store, Arc::clone(chance)));
    let quota = Quota::new(settings.quota_bytes);
    let ballast = Ballast::new(&settings.data_dir);
    ballast.trim();
    quota.measure(&sealer);
    let ground = Ground {
        sealer: Arc::clone(&sealer),
        clock: Arc::clone(&clock),
        chance: Arc::clone(chance),
        counters: Arc::clone(&counters),
        epoch_s: settings.epoch_s,
    };
    let mut lines = Vec::new();
    for line in &settings.lines {
        let room = Room::new(settings.quota_bytes / settings.lines.len().max(1) as u64, cell_cost(settings.store), line.up_ttl_s);
        let gate = LineGate::new(line, room, Arc::clone(chance), Arc::clone(&quota), Arc::clone(&counters));
        let gate = if matches!(settings.tls, Tls::Front(_)) { gate.behind_a_front(line) } else { gate };
        let line = Line::open(line.clone(), &settings.data_dir.join("public"), &ground).map_err(data)?;
        lines.push(Arc::new(Served { line, gate }));
    }
    let sources = Arc::new(Sources::new(settings.max_per_address, Arc::clone(chance)));
    let trouble = watch::Sender::new(Trouble::default());
    let (failures, skipped) = (Recent::default(), Recent::default());
    let [measured_failures, tending_since] = [0, 0].map(AtomicU64::new);
    let has_lost_data = AtomicBool::new(false);
    let swapped = swap::is_on();
    let (memory, enough) = (Arc::clone(&world.memory), AtomicU64::new(MEMORY_ENOUGH));
    let is_short = Arc::default();
    Ok(Rooms {
        memory,
        enough,
        is_short,
        swapped,
        trouble,
        failures,
        skipped,
        measured_failures,
        tending_since,
        has_lost_data,
        sealer,
        clock,
        lines,
        sources,
        quota,
        ballast,
        home,
        counters,
    })
}
