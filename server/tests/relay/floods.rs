//! Floods: of cells that look right, of connections, and of slow clients. A good client gets through all of them.
//!
//! The tests by name, with their whole length, are in docs/TESTING.md.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::binary::*;
use crate::deadlines::Network;
use crate::desk::{self, Beats, Mark, Reader, beats, mark};
use crate::frames;
use crate::support::*;
use porchlight_proto::api::{Notice, UpOutcome, UpPost, UpReply};
use porchlight_proto::limits::UP_CELL_LEN;
use porchlight_proto::stamp::StampFor;
use porchlight_relay::clock::{BootMillis, Clock, SystemClock};
use porchlight_relay::config::Deadlines;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Cells a second: ten times what a relay has to take for half an hour.
const TEN_TIMES: u64 = 2_500;

pub(crate) fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

pub(crate) fn since(began: BootMillis) -> Duration {
    Duration::from_millis(SystemClock.boot().since(began))
}

/// A connection from an address of this machine's own choice.
async fn connect(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((IpAddr::from(from), 0).into())?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn tls_from(from: Ipv4Addr, to: SocketAddr, spki: [u8; 32], alpn: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = connect(from, to).await?;
    TlsConnector::from(client_config(spki, alpn)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

pub(crate) async fn client_from(from: Ipv4Addr, to: SocketAddr, spki: [u8; 32]) -> Option<Client> {
    over(tls_from(from, to, spki, b"h2").await.ok()?).await
}

async fn over(stream: TlsStream<TcpStream>) -> Option<Client> {
    let io = hyper_util::rt::TokioIo::new(stream);
    let (sender, talk) = hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), io).await.ok()?;
    tokio::spawn(talk);
    Some(Client::Two(sender))
}

/// As many files as this process may ever have.
fn may_open_thousands() {
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }).unwrap();
}

fn memory(pid: u32, key: &str) -> u64 {
    kib(pid, key) / 1024
}

/// Cells that a flood has sent, and those of them that were stored.
#[derive(Default)]
pub(crate) struct Flooded {
    pub(crate) sent: AtomicU64,
    pub(crate) stored: AtomicU64,
}

/// Posts cells that look right, as [`floods_on`], until told to stop, and knocks again whenever it is sent away.
pub(crate) async fn flood(from: Ipv4Addr, process: Arc<Target>, stop: Arc<AtomicBool>, flooded: Arc<Flooded>) {
    let mut rng = ChaCha20Rng::seed_from_u64(u64::from(from.to_bits()));
    while !stop.load(Ordering::Relaxed) {
        let Some(mut client) = client_from(from, process.address, process.spki).await else {
            // Turned away: knock again at once, as a flood does, but let others have the processor.
            tokio::task::yield_now().await;
            continue;
        };
        let Some(notice) = notice(&mut client).await else { continue };
        floods_on(client, &notice, &process, &stop, &flooded, &mut rng).await;
    }
}

/// Posts one cell after the other, paying what is asked while it is cheap, until it is told to stop or its connection ends.
async fn floods_on(
    mut client: Client,
    notice: &Notice,
    target: &Target,
    stop: &AtomicBool,
    flooded: &Flooded,
    rng: &mut ChaCha20Rng,
) {
    let mut difficulty = notice.difficulty;
    while !stop.load(Ordering::Relaxed) {
        let mut post = target.line.post();
        // Dear stamps would only slow the flood down.
        if (1..=12).contains(&difficulty) {
            pay(&mut post, notice, &target.line, difficulty, rng);
        }
        flooded.sent.fetch_add(1, Ordering::Relaxed);
        let Some(reply) = target.up(&mut client, &post).await else {
            // Sent away for want of room: the others of the connection go on, and so does this one.
            if is_over(&client) {
                return;
            }
            tokio::task::yield_now().await;
            continue;
        };
        difficulty = reply.difficulty;
        flooded.stored.fetch_add(u64::from(reply.outcome == UpOutcome::Stored), Ordering::Relaxed);
    }
}

pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) spki: [u8; 32],
    pub(crate) line: TestLine,
    /// The cells that it said it had stored, whoever posted them.
    pub(crate) acknowledged: Mutex<Vec<Mark>>,
}

impl Target {
    pub(crate) fn new(address: SocketAddr, spki: [u8; 32], line: TestLine) -> Self {
        Self { address, spki, line, acknowledged: Mutex::default() }
    }

    /// Holds the relay to a cell.
    pub(crate) fn note(&self, cell: &[u8; UP_CELL_LEN]) {
        self.acknowledged.lock().unwrap().push(mark(cell));
    }

    async fn up(&self, client: &mut Client, post: &UpPost) -> Option<UpReply> {
        let bytes = post.to_bytes();
        let reply = client.try_send("POST", &format!("/{GATE}/v1/up"), None, bytes.as_slice()).await.ok()?;
        let reply = UpReply::parse(&reply.body).ok()?;
        if reply.outcome == UpOutcome::Stored {
            self.note(&post.cell);
        }
        Some(reply)
    }
}

fn is_over(client: &Client) -> bool {
    match client {
        Client::One(sender) => sender.is_closed(),
        Client::Two(sender) => sender.is_closed(),
    }
}

async fn notice(client: &mut Client) -> Option<Notice> {
    Notice::parse(&client.try_send("GET", &format!("/{GATE}/v1/notice"), None, &[]).await.ok()?.body).ok()
}

fn pay(post: &mut UpPost, notice: &Notice, line: &TestLine, difficulty: u8, rng: &mut ChaCha20Rng) {
    let stamp = StampFor::cell(post.cell.as_slice(), &notice.stamp_salt, &line.id, notice.up_epoch);
    post.stamp = stamp.mint(difficulty, rng);
}

/// One good caller: three tries of a beat each, on a connection of her own, paying what was asked at the last.
pub(crate) async fn tries(from: Ipv4Addr, target: &Target, rng: &mut ChaCha20Rng) -> Option<u32> {
    let mut difficulty = None;
    for nth in 1..=3 {
        let one = async {
            let mut client = client_from(from, target.address, target.spki).await?;
            let notice = notice(&mut client).await?;
            let mut post = target.line.post();
            pay(&mut post, &notice, &target.line, difficulty.unwrap_or(notice.difficulty), rng);
            target.up(&mut client, &post).await
        };
        // A beat of a page is 10 s; what takes longer than one is a try that failed.
        match timeout(Duration::from_secs(10), one).await.ok().flatten() {
            Some(reply) if reply.outcome == UpOutcome::Stored => return Some(nth),
            Some(reply) => difficulty = Some(reply.difficulty),
            None => {}
        }
    }
    None
}

/// MiB of a relay to which eight pages post so many cells, one after the other, and whose lane a desk has read.
async fn as_full(cells: u64) -> u64 {
    let mut site = site(97);
    site.more = "cap_per_minute = 1000000".into();
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    let process = Process::start_like_the_unit(&site.path("relay.toml"));
    let target = Arc::new(Target::new(process.address, process.spki, TestLine::new(97, now())));
    let mut pages = JoinSet::new();
    for page in 1..=8 {
        let target = Arc::clone(&target);
        pages.spawn(async move {
            let mut client = None;
            let mut left = cells / 8;
            while left > 0 {
                if client.is_none() {
                    client = client_from(Ipv4Addr::new(127, 3, 1, page), target.address, target.spki).await;
                }
                match target.up(client.as_mut().unwrap(), &target.line.post()).await {
                    Some(reply) => left -= u64::from(reply.outcome == UpOutcome::Stored),
                    None => client = None,
                }
            }
        });
    }
    pages.join_all().await;
    Reader::new(&target, DESK).read_on().await;
    let memory = memory(process.child.id(), "VmRSS");
    process.stop().await;
    memory
}

/// A relay as it stands in an evening: of a thousand callers thirty-two at once have left a cell each, and what is set up for the first is there.
async fn in_use(target: &Arc<Target>) {
    let mut pages = JoinSet::new();
    for page in 1..=32 {
        let target = Arc::clone(target);
        pages.spawn(async move {
            let mut rng = ChaCha20Rng::seed_from_u64(u64::from(page));
            for nth in 1..=32 {
                // So many at once are more than comes free at the beginning of a minute.
                while tries(Ipv4Addr::new(10, 3, page, nth), &target, &mut rng).await.is_none() {}
            }
        });
    }
    pages.join_all().await;
}

/// Where the desk is, if the relay is on a loopback.
const DESK: Ipv4Addr = Ipv4Addr::new(127, 9, 9, 9);

/// How the others fare beside a flood.
struct Others {
    /// Good callers, those of them that had a cell stored within three tries, and at the first.
    all: u64,
    good: u64,
    first: u64,
    beats: Beats,
    reader: Reader,
    /// How long the desk read on after the flood was over; nothing if it came to no end.
    behind: Option<Duration>,
    /// Seconds that the flood lasted.
    seconds: u64,
}

impl Others {
    /// Looks on for so many seconds, from the networks of `callers` and from `desk`; then the flood ends.
    async fn beside(
        target: &Arc<Target>,
        (callers, desk): ([u8; 2], Ipv4Addr),
        seconds: u64,
        end_flood: impl Future<Output = ()>,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let beating = tokio::spawn(beats(Arc::clone(target), desk, desk::QUICK, Arc::clone(&stop)));
        let (over, is_over) = oneshot::channel();
        let reading = tokio::spawn(Reader::new(target, desk).watch(is_over));
        let (mut all, mut good, mut first) = (0, 0, 0);
        let mut rng = ChaCha20Rng::seed_from_u64(90);
        let began = SystemClock.boot();
        while since(began) < Duration::from_secs(seconds) {
            let [network, host] = [all / 200 % 200, 1 + all % 200].map(|part| u8::try_from(part).unwrap());
            let tried = tries(Ipv4Addr::new(callers[0], callers[1], network, host), target, &mut rng).await;
            (all, good, first) = (all + 1, good + u64::from(tried.is_some()), first + u64::from(tried == Some(1)));
            sleep(Duration::from_millis(100)).await;
        }
        stop.store(true, Ordering::Relaxed);
        let beats = beating.await.unwrap();
        end_flood.await;
        let ended = SystemClock.boot();
        let _failed = over.send(());
        let mut reader = reading.await.unwrap();
        let behind = timeout(PATIENCE, reader.read_on()).await.ok().map(|()| since(ended));
        Self { all, good, first, beats, reader, behind, seconds }
    }

    fn say(&self) {
        let Self { all, good, first, beats, reader, behind, .. } = self;
        println!(
            "a good client: {good} of {all} within 3 tries, {:.1} % (pass: at least 99), {first} at the first",
            self.share()
        );
        println!(
            "desk beats: {} of {} not taken (pass: 0), {} slots of theirs not written (pass: 0); p99 {} ms (pass, in a minute or more: at most 1000), the slowest {} ms",
            beats.refused,
            beats.took.len(),
            beats.unwritten,
            beats.part(99),
            beats.part(100)
        );
        let (missing, acknowledged) = reader.missing();
        println!(
            "the desk read {} cells; of {acknowledged} that were acknowledged {missing} are not among them (pass: 0); {} calls refused (pass: 0); at the end {behind:?} after the flood (pass: 10 s)",
            reader.cells.len(),
            reader.refused
        );
    }

    fn share(&self) -> f64 {
        100.0 * f64::from(u32::try_from(self.good).unwrap()) / f64::from(u32::try_from(self.all).unwrap())
    }

    fn judge(&self) {
        let Self { all, beats, reader, behind, seconds, .. } = self;
        assert!(*all >= 10 && self.share() >= 99.0, "{} of {all} good callers", self.good);
        assert!(beats.refused == 0 && beats.unwritten == 0 && beats.took.len() > 2, "the desk's bundles");
        // In a run of seconds the slowest of a handful would be judged, on a machine that does other things.
        assert!(*seconds < LONG || beats.part(99) <= 1000, "slow for the desk");
        assert!(reader.missing().0 == 0 && reader.refused == 0, "the desk has not read all");
        assert!(behind.is_some_and(|behind| behind <= Duration::from_secs(10)), "the desk was behind");
    }
}

/// Seconds from which on a flood is judged by its times as well.
const LONG: u64 = 60;

/// A network of its own, in which a relay has others around it than this machine, which are all one to it. Whatever is added to a loopback brings
/// its whole network along. Needs root.
fn surroundings() -> Network {
    Network::with(&["192.0.2.1/32", "198.51.100.1/24", "10.0.0.1/8"])
}

/// Callers' networks there, and where the desk is.
const AROUND: ([u8; 2], Ipv4Addr) = ([10, 2], Ipv4Addr::new(10, 9, 9, 9));

/// A relay in it, with a pace at which each of a desk's bundles has slots to name.
fn flooded_relay(network: &Network, seed: u64) -> (Site, Process, Arc<Target>) {
    let mut site = site(seed);
    site.top = site.top.replace("127.0.0.1:0", "192.0.2.1:0");
    site.more = desk::PACE.into();
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    let process = network.within(async { Process::start_like_the_unit(&site.path("relay.toml")) });
    let target = Arc::new(Target::new(process.address, process.spki, TestLine::new(seed, now())));
    (site, process, target)
}

/// Floods a relay from so many addresses for so long, and says how the others fared.
fn hold_against(sources: u8, seconds: u64) {
    let network = surroundings();
    let (_site, process, target) = flooded_relay(&network, 90);
    let pid = process.child.id();
    let (stop, flooded) = (Arc::new(AtomicBool::new(false)), Arc::new(Flooded::default()));
    let is_long = seconds >= LONG;
    if is_long {
        network.within(in_use(&target));
    }
    let baseline = memory(pid, "VmRSS");
    let flood = async {
        let mut floods = JoinSet::new();
        for nth in 0..sources.max(32) {
            let from = Ipv4Addr::new(198, 51, 100, 1 + nth % sources);
            floods.spawn(flood(from, Arc::clone(&target), Arc::clone(&stop), Arc::clone(&flooded)));
        }
        while !stop.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(20)).await;
        }
        floods.shutdown().await;
    };
    let others = std::thread::scope(|scope| {
        // On a thread of its own: what the others wait for is the relay, not who floods it.
        let flooding = scope.spawn(|| network.within(flood));
        // Whatever fails here, the flood hears that it is over.
        let ending = Ending(&stop);
        network.within(Others::beside(&target, AROUND, seconds, async {
            drop(ending);
            while !flooding.is_finished() {
                sleep(Duration::from_millis(20)).await;
            }
        }))
    });
    let peak = memory(pid, "VmHWM");
    let [sent, stored] = [&flooded.sent, &flooded.stored].map(|count| count.load(Ordering::Relaxed));
    let least = if is_long { TEN_TIMES } else { 100 };
    println!(
        "{sources} addresses, {seconds} s, {sent} cells sent at it, {} a second (pass: at least {least}), {stored} of them stored",
        sent / seconds
    );
    others.say();
    println!("memory: {baseline} MiB before, {peak} MiB at most (pass: at most 256)");
    if is_long {
        // What it stored it has to keep. So it is held against a relay that came to hold as many cells without any flood.
        let calm = network.within(as_full(others.reader.cells.len() as u64));
        let (mut after, ended) = (peak, SystemClock.boot());
        while after * 5 > calm * 6 && since(ended) < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_secs(1));
            after = memory(pid, "VmRSS");
        }
        println!(
            "memory afterwards: {after} MiB after {:?}; of a relay that holds as much and was never flooded: {calm} MiB (pass: 1.2 times)",
            since(ended)
        );
        assert!(after * 5 <= calm * 6);
    }
    assert!(sent >= least * seconds, "VOID: too thin for a flood");
    others.judge();
    assert!(peak <= 256);
    network.within(process.stop());
}

#[test]
fn a_flood_of_cells_from_one_address_leaves_room_for_everyone_else() {
    hold_against(1, 8);
}

#[test]
fn a_flood_of_cells_from_fifty_addresses_leaves_room_for_everyone_else() {
    hold_against(50, 8);
}

/// By name: `PORCHLIGHT_SECONDS` (600) for each; `PORCHLIGHT_SOURCES` for one of them alone.
#[test]
#[ignore = "twenty minutes: by name"]
fn floods_of_ten_minutes() {
    let only = number("PORCHLIGHT_SOURCES", 0);
    for sources in [1, 50].into_iter().filter(|sources| only == 0 || u64::from(*sources) == only) {
        hold_against(sources, number("PORCHLIGHT_SECONDS", 600));
    }
}

/// Places in a relay, and addresses among which a crowd shares them: fewer for each than one address may have.
const PLACES: u64 = 8192;
const ADDRESSES: u64 = 50;

/// Connections of a crowd that knock at once.
const KNOCKING: usize = 32;

/// A crowd in a relay.
struct Crowd {
    target: Arc<Target>,
    stop: AtomicBool,
    flooded: Flooded,
    knocking: Semaphore,
    /// Those that hold a connection, and those of them that were answered on it and post.
    held: AtomicU64,
    posting: AtomicU64,
    most: [AtomicU64; 2],
    /// Whether nearly all places were taken: then they begin to post.
    is_full: watch::Sender<bool>,
}

/// One more of something, until it is dropped.
struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    fn of(count: &'a AtomicU64, most: &AtomicU64) -> Self {
        most.fetch_max(count.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells a crowd that it is over.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Crowd {
    fn of(target: &Arc<Target>) -> Self {
        Self {
            target: Arc::clone(target),
            stop: AtomicBool::new(false),
            flooded: Flooded::default(),
            knocking: Semaphore::new(KNOCKING),
            held: AtomicU64::new(0),
            posting: AtomicU64::new(0),
            most: Default::default(),
            is_full: watch::Sender::new(false),
        }
    }

    /// A connection that is made again as soon as it is lost. On half of them somebody asks at once, and has four posts under way from then on; the
    /// others are silent until they are ended for it.
    async fn sit(self: Arc<Self>, nth: u64) {
        let from = Ipv4Addr::new(198, 51, 100, 1 + u8::try_from(nth % ADDRESSES).unwrap());
        while !self.stop.load(Ordering::Relaxed) {
            let turn = self.knocking.acquire().await.unwrap();
            let knocked = tls_from(from, self.target.address, self.target.spki, b"h2").await;
            drop(turn);
            let Ok(mut stream) = knocked else {
                sleep(Duration::from_secs(1)).await;
                continue;
            };
            let _held = Counted::of(&self.held, &self.most[0]);
            if self.held.load(Ordering::Relaxed) * 100 >= PLACES * 95 {
                self.is_full.send_replace(true);
            }
            if nth.is_multiple_of(2) {
                let _over = stream.read_u8().await;
            } else {
                self.post(stream, nth).await;
            }
        }
    }

    async fn post(&self, stream: TlsStream<TcpStream>, nth: u64) {
        let Some(mut client) = over(stream).await else { return };
        let mut is_full = self.is_full.subscribe();
        // Somebody who waits for the others asks for little, and keeps the place.
        let notice = loop {
            let Some(notice) = notice(&mut client).await else { return };
            if timeout(Duration::from_secs(15), is_full.wait_for(|is_full| *is_full)).await.is_ok() {
                break notice;
            }
        };
        let _posting = Counted::of(&self.posting, &self.most[1]);
        let stream = |part| {
            let (client, notice) = (client.another(), &notice);
            async move {
                let mut rng = ChaCha20Rng::seed_from_u64(4 * nth + part);
                floods_on(client, notice, &self.target, &self.stop, &self.flooded, &mut rng).await;
            }
        };
        tokio::join!(stream(0), stream(1), stream(2), stream(3));
    }

    /// Fills the house and floods it from there, until told to stop.
    async fn flood(self: Arc<Self>) {
        let mut seats = JoinSet::new();
        for nth in 0..PLACES {
            seats.spawn(Arc::clone(&self).sit(nth));
        }
        while !self.stop.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(100)).await;
        }
        seats.shutdown().await;
    }
}

/// By name: as many connections as there are places, from fifty addresses, on every second of which somebody has four posts under way, for
/// `PORCHLIGHT_SECONDS` (120).
#[test]
#[ignore = "minutes, and thousands of connections: by name"]
fn a_flood_by_a_full_house() {
    may_open_thousands();
    let seconds = number("PORCHLIGHT_SECONDS", 120);
    let network = surroundings();
    let (_site, process, target) = flooded_relay(&network, 89);
    let pid = process.child.id();
    let crowd = Arc::new(Crowd::of(&target));
    let before = memory(pid, "VmRSS");
    let others = std::thread::scope(|scope| {
        let flooding = scope.spawn(|| network.within(Arc::clone(&crowd).flood()));
        let ending = Ending(&crowd.stop);
        network.within(Others::beside(&target, AROUND, seconds, async {
            drop(ending);
            while !flooding.is_finished() {
                sleep(Duration::from_millis(20)).await;
            }
        }))
    });
    let peak = memory(pid, "VmHWM");
    let [sent, stored, held, posting] = [&crowd.flooded.sent, &crowd.flooded.stored, &crowd.most[0], &crowd.most[1]];
    let [sent, stored, held, posting] = [sent, stored, held, posting].map(|count| count.load(Ordering::Relaxed));
    println!(
        "{ADDRESSES} addresses, {seconds} s: {held} connections at most (pass: 95 of 100 of {PLACES}), {posting} of them posted, {sent} cells sent, {} a second, {stored} stored",
        sent / seconds
    );
    others.say();
    println!("memory: {before} MiB before, {peak} MiB at most (pass: at most 256)");
    assert!(held * 100 >= PLACES * 95 && posting >= 2000, "VOID: the house was not full");
    others.judge();
    assert!(peak <= 256);
    network.within(process.stop());
}

/// More idle connections than there are places, from fifty addresses, each taken again as soon as it is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_holds_every_place_makes_room_for_a_newcomer() {
    let mut site = Site::new(91);
    site.top += "max_connections = 200\n";
    let running = site.start().await;
    let (address, spki, stop) = (running.address(), running.spki, Arc::new(AtomicBool::new(false)));
    let mut crowd = JoinSet::new();
    for nth in 0..250_u16 {
        let (from, stop) = (Ipv4Addr::new(127, 0, 3, 1 + u8::try_from(nth % 50).unwrap()), Arc::clone(&stop));
        crowd.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let Ok(mut held) = tls_from(from, address, spki, b"http/1.1").await else {
                    sleep(Duration::from_millis(50)).await;
                    continue;
                };
                let _ = held.read_u8().await;
            }
        });
    }
    while running.relay.counters().connections_shed.count() + running.relay.counters().connections_refused.count() == 0 {
        tokio::task::yield_now().await;
    }
    let target = Target::new(address, spki, TestLine::new(91, NOON.seconds()));
    let (mut good, mut rng) = (0, ChaCha20Rng::seed_from_u64(91));
    for nth in 0..100 {
        good += u32::from(tries(Ipv4Addr::new(127, 2, 1, 1 + nth), &target, &mut rng).await.is_some());
    }
    stop.store(true, Ordering::Relaxed);
    crowd.shutdown().await;
    println!("{good} of 100 within 3 tries (pass: at least 99), {} made room", running.relay.counters().connections_shed.count());
    assert!(good >= 99);
}

/// Its name; what is negotiated in the handshake, if there is one; what is said first, and then again and again.
type Shape = (&'static str, Option<&'static [u8]>, Vec<u8>, Vec<u8>);

/// The eight ways to hold a place by being slow.
fn slow_shapes() -> [Shape; 8] {
    let h1: Option<&'static [u8]> = Some(b"http/1.1");
    let h2: Option<&'static [u8]> = Some(b"h2");
    let post = format!("POST /{GATE}/v1/up HTTP/1.1\r\nhost: a\r\ncontent-length: 2080\r\n\r\nhalf").into_bytes();
    let begin = [frames::PREFACE, &frames::frame(frames::SETTINGS, 0, 0, &[])].concat();
    let ask = frames::frame(
        frames::HEADERS,
        frames::END_HEADERS | frames::END_STREAM,
        1,
        &frames::head("GET", format!("/{GATE}/v1/notice").as_bytes(), &[]),
    );
    let shut = [frames::PREFACE, &frames::frame(frames::SETTINGS, 0, 0, &frames::setting(4, 0)), &ask].concat();
    let ping = frames::frame(frames::PING, 0, 0, &[7; 8]);
    [
        ("no handshake", None, vec![], vec![]),
        ("a handshake byte by byte", None, vec![0x16, 3, 1, 2, 0, 1], vec![0]),
        ("silence after the handshake", h1, vec![], vec![]),
        ("a head byte by byte", h1, b"GET / HTTP/1.1\r\nx: ".to_vec(), b"a".to_vec()),
        ("a body that stops", h1, post.clone(), vec![]),
        ("a body byte by byte", h1, post, b"a".to_vec()),
        ("h2 that only pings", h2, begin, ping.clone()),
        ("a window of nothing", h2, shut, ping),
    ]
}

/// How long a connection of that shape lives, if it ends within `patience`.
async fn lives(
    (alpn, first, again): (Option<&'static [u8]>, Vec<u8>, Vec<u8>),
    to: SocketAddr,
    spki: [u8; 32],
    every: Duration,
    patience: Duration,
) -> Option<Duration> {
    async fn hold<S: AsyncReadExt + AsyncWriteExt + Unpin>(mut stream: S, first: &[u8], again: &[u8], every: Duration) {
        let _ = stream.write_all(first).await;
        let _ = stream.flush().await;
        let mut bytes = [0; 4096];
        loop {
            tokio::select! {
                read = stream.read(&mut bytes) => if !matches!(read, Ok(1..)) { return },
                () = sleep(every), if !again.is_empty() => if stream.write_all(again).await.is_err() || stream.flush().await.is_err() { return },
            }
        }
    }
    let from = Ipv4Addr::new(127, 0, 4, 1);
    let began = SystemClock.boot();
    let held = async {
        match alpn {
            None => hold(connect(from, to).await.unwrap(), &first, &again, every).await,
            Some(alpn) => hold(tls_from(from, to, spki, alpn).await.unwrap(), &first, &again, every).await,
        }
    };
    timeout(patience, held).await.is_ok().then(|| since(began))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_slow_client_holds_a_place() {
    let site = Site::new(92);
    let mut settings = site.settings();
    let short = Duration::from_millis(400);
    settings.deadlines =
        Deadlines { handshake: short, head: short, body: short, reply: short, idle: short, ..settings.deadlines };
    let running = site.start_with(&settings).await;
    for (name, alpn, first, again) in slow_shapes() {
        let every = Duration::from_millis(50);
        let lived = lives((alpn, first, again), running.address(), running.spki, every, Duration::from_secs(20)).await;
        println!("{name}: {lived:?}");
        assert!(lived.is_some(), "{name} is never closed");
    }
}

/// By name: `PORCHLIGHT_SLOW` (500) of each shape at once, with the deadlines that people get.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a minute, and thousands of connections: by name"]
async fn eight_slow_shapes_at_full_length() {
    may_open_thousands();
    let site = site(93);
    let process = Process::start(&site.path("relay.toml"));
    let count = number("PORCHLIGHT_SLOW", 500);
    let mut held = JoinSet::new();
    for (name, alpn, first, again) in slow_shapes() {
        for _ in 0..count {
            let shape = (alpn, first.clone(), again.clone());
            let (address, spki) = (process.address, process.spki);
            held.spawn(async move { (name, lives(shape, address, spki, Duration::from_secs(2), Duration::from_secs(90)).await) });
        }
    }
    let target = Target::new(process.address, process.spki, TestLine::new(93, now()));
    let mut lives_of = std::collections::BTreeMap::<&str, Vec<Option<Duration>>>::new();
    let (mut good, mut tried, mut rng) = (0, 0, ChaCha20Rng::seed_from_u64(93));
    while !held.is_empty() {
        let from = Ipv4Addr::new(127, 2, 2, 1 + u8::try_from(tried % 200).unwrap());
        (tried, good) = (tried + 1, good + u32::from(tries(from, &target, &mut rng).await.is_some()));
        while let Some(ended) = held.try_join_next() {
            let (name, lived) = ended.unwrap();
            lives_of.entry(name).or_default().push(lived);
        }
        sleep(Duration::from_millis(200)).await;
    }
    for (name, lives) in &mut lives_of {
        // One that was never closed is the last.
        lives.sort_by_key(|lived| lived.unwrap_or(Duration::MAX));
        let [middle, longest] = [lives[lives.len() / 2], lives[lives.len() - 1]];
        println!(
            "{count} × {name}: half closed within {middle:?} (pass: held at all, 4 s), all within {longest:?} (pass: 30 s, a body 60 s, no window 5 s)"
        );
    }
    println!("a good client meanwhile: {good} of {tried} within 3 tries (pass: all)");
    for (name, lives) in lives_of {
        let most = match name {
            "a window of nothing" => 5,
            _ if name.starts_with("a body") => 60,
            _ => 30,
        };
        assert!(lives.iter().all(|lived| lived.is_some_and(|lived| lived <= Duration::from_secs(most))), "{name}: {lives:?}");
        assert!(lives[lives.len() / 2] >= Some(Duration::from_secs(4)), "VOID: {name} was not held: {lives:?}");
    }
    assert!(good == tried && tried >= 50, "{good} of {tried}");
    process.stop().await;
}

/// Opens a connection and keeps it until it ends, counting it meanwhile.
type Keep<F> = fn(SocketAddr, [u8; 32], Ipv4Addr, Arc<AtomicU64>) -> F;

/// A relay that so many connections are open to, each kept as `keep` does and opened again when it ends: MiB before and with them, and how
/// long a newcomer's whole first post takes at most.
async fn with_idle<F>(seed: u64, count: u64, keep: Keep<F>) -> (u64, u64, Duration)
where
    F: Future<Output = ()> + Send + 'static,
{
    may_open_thousands();
    let site = site(seed);
    let process = Process::start_like_the_unit(&site.path("relay.toml"));
    let (address, spki, pid) = (process.address, process.spki, process.child.id());
    let (before, open) = (memory(pid, "VmRSS"), Arc::new(AtomicU64::new(0)));
    let mut held = JoinSet::new();
    for nth in 0..count {
        let from = Ipv4Addr::new(127, 5, u8::try_from(nth / 200).unwrap(), 1 + u8::try_from(nth % 200).unwrap());
        let open = Arc::clone(&open);
        held.spawn(async move {
            loop {
                keep(address, spki, from, Arc::clone(&open)).await;
            }
        });
    }
    while open.load(Ordering::Relaxed) < count {
        sleep(Duration::from_millis(20)).await;
    }
    let resident = memory(pid, "VmRSS");
    let target = Target::new(address, spki, TestLine::new(seed, now()));
    let mut slowest = Duration::ZERO;
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    for nth in 0..20 {
        let began = SystemClock.boot();
        assert!(tries(Ipv4Addr::new(127, 2, 3, 1 + nth), &target, &mut rng).await.is_some());
        slowest = slowest.max(since(began));
    }
    held.shutdown().await;
    process.stop().await;
    (before, resident, slowest)
}

/// A connection that has done the handshake and says nothing.
async fn say_nothing(address: SocketAddr, spki: [u8; 32], from: Ipv4Addr, open: Arc<AtomicU64>) {
    let Ok(mut stream) = tls_from(from, address, spki, b"h2").await else { return };
    open.fetch_add(1, Ordering::Relaxed);
    let _ = stream.read_u8().await;
    open.fetch_sub(1, Ordering::Relaxed);
}

/// A page that is open, has asked once over h2, and asks for little.
async fn ask_for_little(address: SocketAddr, spki: [u8; 32], from: Ipv4Addr, open: Arc<AtomicU64>) {
    let Some(mut client) = client_from(from, address, spki).await else { return };
    if notice(&mut client).await.is_some() {
        open.fetch_add(1, Ordering::Relaxed);
        while notice(&mut client).await.is_some() {
            sleep(Duration::from_secs(15)).await;
        }
        open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The same in short, without a word of time: what each takes, of a relay whose first hundred are not counted.
#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_idle_connections_take_little_each() {
    for (name, seed, most, kibs) in [("silent", 97, 400, 40), ("pages", 98, 400, 100)] {
        let take = async |count| match name {
            "silent" => with_idle(seed, count, say_nothing).await.1,
            _ => with_idle(seed, count, ask_for_little).await.1,
        };
        let (few, many) = (take(100).await, take(100 + most).await);
        let each = many.saturating_sub(few) * 1024 / most;
        println!("{name}: {each} KiB each (pass: at most {kibs}); 8,000 by name");
        assert!(each <= kibs);
    }
}

/// Pages that send 250 cells a second, a cell in ten seconds each: nearly all that may speak at once.
const SPEAKING: u64 = 2_500;

/// By name: `PORCHLIGHT_IDLE` (8000) connections that have done the handshake and say nothing; and so many pages that are open, have asked once over
/// h2, and ask for little.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "thousands of connections: by name"]
async fn thousands_of_idle_connections() {
    let count = number("PORCHLIGHT_IDLE", 8_000);
    let (before, silent, newcomer) = with_idle(94, count, say_nothing).await;
    println!("{count} idle TLS connections: {silent} MiB, {before} before (pass: at most 160)");
    println!("a new client's whole first post: {newcomer:?} at most (pass: 1 s)");
    let (before, pages, late) = with_idle(96, SPEAKING, ask_for_little).await;
    println!("{SPEAKING} idle pages over h2: {pages} MiB, {before} before (pass: at most 160)");
    println!("a new client's whole first post: {late:?} at most (pass: 1 s)");
    assert!(silent <= 160 && pages <= 160 && newcomer.max(late) <= Duration::from_secs(1));
}

/// What became of cells that are sent steadily: how long each that was stored took, in milliseconds from when it was due; how many were refused; and
/// the relay's memory.
struct Sent {
    took: Vec<u128>,
    refused: u64,
    memory: u64,
}

/// Pages, each of which posts five cells a second.
const PAGES: u8 = 52;

/// 260 cells a second, for so many seconds.
async fn sends(seed: u64, seconds: u64) -> Sent {
    let mut site = site(seed);
    site.more = "cap_per_minute = 1000000".into();
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    let process = Process::start(&site.path("relay.toml"));
    let target = Arc::new(Target::new(process.address, process.spki, TestLine::new(seed, now())));
    let mut posting = JoinSet::new();
    for page in 0..PAGES {
        let target = Arc::clone(&target);
        posting.spawn(async move {
            let from = Ipv4Addr::new(127, 6, 1, 1 + page);
            let mut ticks = tokio::time::interval(Duration::from_millis(200));
            let (mut took, mut refused, mut client) = (Vec::new(), 0, None);
            for _ in 0..seconds * 5 {
                // From when it was due: one that waits for a connection, or for the one before it, is late.
                let due = ticks.tick().await;
                if client.is_none() {
                    client = client_from(from, target.address, target.spki).await;
                }
                let Some(open) = client.as_mut() else { continue };
                match target.up(open, &target.line.post()).await {
                    Some(reply) if reply.outcome == UpOutcome::Stored => took.push(due.elapsed().as_millis()),
                    Some(_) => refused += 1,
                    // Connections have an age; a page opens the next one.
                    None => client = None,
                }
            }
            (took, refused)
        });
    }
    let (took, refused): (Vec<Vec<u128>>, Vec<u64>) = posting.join_all().await.into_iter().unzip();
    let (mut took, refused) = (took.concat(), refused.iter().sum::<u64>());
    took.sort_unstable();
    let memory = memory(process.child.id(), "VmHWM");
    process.stop().await;
    Sent { took, refused, memory }
}

/// The same in short, without a word of time.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_steadily_is_stored() {
    let sent = sends(99, 3).await;
    println!("{} cells stored of 780 offered, {} refused (pass: 0); half an hour by name", sent.took.len(), sent.refused);
    assert!(sent.refused == 0 && sent.took.len() >= 100);
}

/// By name: 260 cells a second, of which 250 have to be stored, for `PORCHLIGHT_SECONDS` (1800).
#[tokio::test(flavor = "multi_thread")]
#[ignore = "half an hour: by name"]
async fn sends_that_go_on() {
    let seconds = number("PORCHLIGHT_SECONDS", 1_800);
    let Sent { took, refused, memory } = sends(95, seconds).await;
    let part = |percent: usize| took[(took.len() - 1) * percent / 100];
    let sent = took.len() as u64;
    println!("{sent} cells in {seconds} s, {} a second of 260 offered (pass: 250); {refused} refused (pass: 0)", sent / seconds);
    println!("p50 {} ms, p99 {} ms (pass: 250), the slowest {} ms", part(50), part(99), part(100));
    println!("memory at most {memory} MiB");
    assert!(sent >= 250 * seconds && part(99) <= 250 && refused == 0);
}
