//! What can be found of a caller or a device once what they sent has died: on the disk, in what the relay prints, in temporary files, in the
//! memory of the running relay.
//!
//! Not looked for is what the configuration holds, which the relay keeps as long as it runs: line id, root key, gates. Neither is what a roster
//! says, which hangs in public: the desk's certificate, seats' keys, ids of revoked devices. What is kept for a while, and for how long, stands
//! at [`Traces`].
//!
//! Every search has its control: what is still alive, or was planted, is found by the same search in the same place. Without that the run is void.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::binary::*;
use crate::support::*;
use axum::body::Bytes;
use axum::http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use porchlight_proto::api::{DeskOutcome, DeskReply, Floor, SlotOutcome, UpOutcome, UpPost, UpReply};
use porchlight_proto::cell::up::{LetterPart, Opened, Opener, Recipient, open};
use porchlight_proto::kdf;
use porchlight_proto::letter::{Letter, normal};
use porchlight_proto::limits::{BLOB_LEN, DOWN_CELL_LEN};
use porchlight_proto::line::{CallerId, DeviceId};
use porchlight_proto::parts::Part;
use porchlight_proto::seal::{SealingSecret, Use};
use porchlight_proto::sign::SecretKey;
use porchlight_proto::time::{SLOTS_PER_DAY, Timing, day_of, is_safeguarding};
use porchlight_relay::clock::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

/// What is looked for, by name.
type Markers = Vec<(String, Vec<u8>)>;

/// The bytes in pieces of this size; one that holds nothing is passed over.
const PIECE: usize = 4096;
const ZEROS: usize = 32;

fn found(bytes: &[u8], markers: &Markers) -> Vec<String> {
    let pair = |bytes: &[u8]| usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
    // Which two bytes a marker may begin with: nearly every place is ruled out by one look.
    let mut begins: Vec<Vec<&(String, Vec<u8>)>> = vec![Vec::new(); 65_536];
    markers.iter().for_each(|marker| begins[pair(&marker.1)].push(marker));
    let mut hits = Vec::new();
    for from in (0..bytes.len()).step_by(PIECE) {
        // A marker that begins before the end of a piece goes on in the next; none has more than so many zeros at its beginning.
        let piece = &bytes[from..bytes.len().min(from + PIECE + ZEROS)];
        if piece == &[0; PIECE + ZEROS][..piece.len()] {
            continue;
        }
        for (at, two) in piece.windows(2).take(PIECE).enumerate() {
            for (name, marker) in &begins[pair(two)] {
                if bytes[from + at..].starts_with(marker) {
                    hits.push(name.clone());
                }
            }
        }
    }
    hits.sort();
    hits.dedup();
    hits
}

#[test]
fn the_search_finds_a_marker_wherever_it_lies() {
    let markers: Markers = vec![("one".into(), vec![0, 0, 7, 9]), ("two".into(), b"her".to_vec())];
    for at in [0, 1, PIECE - 3, PIECE - 2, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE - 4] {
        let mut bytes = vec![0; 3 * PIECE];
        bytes[at..at + 3].copy_from_slice(b"her");
        assert_eq!(found(&bytes, &markers), ["two"], "at {at}");
        bytes[at..at + 3].copy_from_slice(&[0, 7, 9]);
        assert_eq!(found(&bytes, &markers).len(), usize::from(at > 0), "at {at}");
    }
    assert_eq!(found(&[0; 3 * PIECE], &markers), [""; 0]);
}

fn found_below(dir: &Path, markers: &Markers) -> Vec<String> {
    let files = files_under(dir);
    let hits = files.iter().flat_map(|path| {
        let name = path.strip_prefix(dir).unwrap().display().to_string();
        // A socket or a file that has just gone holds nothing.
        let bytes = std::fs::read(path).unwrap_or_default();
        found(&bytes, markers).into_iter().map(move |hit| format!("{hit} in {name}"))
    });
    hits.collect()
}

/// A process that stands still, so that what is read of it belongs together. It goes on when this is dropped.
struct Halted(u32);

impl Halted {
    fn new(pid: u32) -> Self {
        let halted = Self(pid);
        halted.signal(Signal::STOP);
        while halted.threads().iter().any(|thread| !halted.task(thread, "stat").rsplit(')').next().unwrap().starts_with(" T")) {
            std::thread::yield_now();
        }
        halted
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.0.try_into().unwrap()).unwrap(), signal).unwrap();
    }

    fn threads(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.0)).unwrap();
        tasks.map(|task| task.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn task(&self, thread: &str, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/task/{thread}/{file}", self.0)).unwrap()
    }

    /// Where the threads' stacks end: what a thread waits in is told with its stack pointer.
    fn stack_pointers(&self) -> Vec<u64> {
        let pointer = |thread: &String| {
            let text = self.task(thread, "syscall");
            let hex = text.split_whitespace().rev().nth(1).unwrap_or_else(|| panic!("a thread that runs: {text}"));
            u64::from_str_radix(hex.trim_start_matches("0x"), 16).unwrap()
        };
        self.threads().iter().map(pointer).collect()
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
    }
}

/// A stretch of a process's memory.
struct Stretch {
    is_stack: bool,
    place: String,
    bytes: Vec<u8>,
}

/// What Rust gives a thread for its stack. The kernel may show what lies above it as one with it.
const STACK_LEN: u64 = 2 << 20;

/// Everything that a process has in memory, as somebody with the machine's highest rights reads it, and which of it are stacks.
fn image(pid: u32) -> Vec<Stretch> {
    assert!(rustix::process::geteuid().is_root(), "reading another process's memory needs root");
    let halted = Halted::new(pid);
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let (pointers, mut image, mut below) = (halted.stack_pointers(), Vec::new(), (0, false));
    let mut stack_count = 0;
    for line in maps.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (from, to) = fields[0].split_once('-').unwrap();
        let [from, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).unwrap());
        let is_guarded = std::mem::replace(&mut below, (to, fields[1].starts_with("---"))) == (from, true);
        if !fields[1].starts_with('r') {
            continue;
        }
        let place = fields.get(5).map_or("no file", |name| *name);
        let of_main = place == "[stack]";
        let stack_end = if of_main { to } else { to.min(from + STACK_LEN) };
        let holders = pointers.iter().filter(|pointer| (from..stack_end).contains(*pointer)).count();
        assert!(holders <= 1 && (holders == 0 || is_guarded || of_main), "VOID: {line} is not one thread's stack");
        stack_count += holders;
        let cut = if holders == 1 { stack_end } else { from };
        for (from, to, is_stack) in [(from, cut, true), (cut, to, false)].into_iter().filter(|(from, to, _)| from < to) {
            let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
            let is_read = memory.read_exact_at(&mut bytes, from).is_ok();
            // The kernel's own pages there cannot be read.
            assert!(is_read || place.starts_with("[v"), "VOID: {line} cannot be read");
            if is_read {
                image.push(Stretch { is_stack, place: place.to_owned(), bytes });
            }
        }
    }
    assert_eq!(stack_count, pointers.len(), "VOID: a thread's stack was not found");
    image
}

/// What was found outside all stacks, and what on them; each with the place.
struct InMemory {
    outside: Hits,
    on_stacks: Hits,
}

/// Names of markers, and the places where they were found.
type Hits = BTreeSet<(String, String)>;

impl InMemory {
    /// Whether all of them were found outside the stacks.
    fn has_all(&self, markers: &Markers) -> bool {
        markers.iter().all(|(name, _)| self.outside.iter().any(|(hit, _)| hit == name))
    }
}

fn found_in_memory(pid: u32, markers: &Markers) -> InMemory {
    let all = image(pid);
    let hits = |is_stack| {
        let some = all.iter().filter(|stretch| stretch.is_stack == is_stack);
        some.flat_map(|stretch| found(&stretch.bytes, markers).into_iter().map(|hit| (hit, stretch.place.clone()))).collect()
    };
    InMemory { outside: hits(false), on_stacks: hits(true) }
}

/// What is found once it is as it should be, or else what is found after five seconds.
fn found_at_last(pid: u32, markers: &Markers, is_well: impl Fn(&InMemory) -> bool) -> InMemory {
    let began = SystemClock.boot();
    loop {
        let left = found_in_memory(pid, markers);
        if is_well(&left) || SystemClock.boot().since(began) > 5000 {
            return left;
        }
        // A relay that was halted does at once what it would have done meanwhile: halted again at once, it is always in the middle of that.
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
}

/// The keys in a keyring file, and what cells are sealed with under each.
fn keys(path: &Path, kinds: &[u8]) -> Markers {
    let bytes = std::fs::read(path).unwrap();
    let slots = bytes[64..].chunks(160).enumerate().filter(|(_, slot)| kinds.contains(&slot[0]));
    let of_slot = |(at, slot): (usize, &[u8])| {
        let key: [u8; 32] = slot[104..136].try_into().unwrap();
        let mut cells = [0; 32];
        kdf::expand(&key, "relay/cells", &[], &mut cells);
        [(format!("the key of slot {at}"), key.to_vec()), (format!("the cells' key of slot {at}"), cells.to_vec())]
    };
    slots.flat_map(of_slot).collect()
}

/// An address as text, and with its port as a socket address and as Rust keep it.
fn address_markers(address: SocketAddr) -> Markers {
    let IpAddr::V4(ip) = address.ip() else { panic!("not IPv4") };
    let (octets, port) = (ip.octets(), address.port());
    vec![
        (format!("the address {ip} as text"), ip.to_string().into_bytes()),
        (format!("the address {ip} of a socket"), [port.to_be_bytes().as_slice(), &octets].concat()),
        (format!("the address {ip} with its port"), [octets.as_slice(), &port.to_le_bytes()].concat()),
    ]
}

/// What there is to find of callers and devices, by how long the relay may keep it.
#[derive(Default)]
struct Traces {
    /// What the relay must not keep in any form, or what dies within seconds at the pace of these tests: cells of the up lane and of the fast
    /// track. A blob lives for a day, but sealed.
    dead: Markers,
    /// What stays in the relay's memory and nowhere else: which device used which nonce, for ten minutes, so that none counts twice; and what
    /// each device has, for a day, so that no letter is forgotten before all have it ([`Traces::dead`] holds everything else of a device).
    remembered: Markers,
    /// Slots of the slow track, written and not: as they are in memory as long as their day lives, and sealed or not at all on the disk.
    shown: Markers,
}

impl Traces {
    /// All of it, none of which may lie in any file.
    fn all(&self) -> Markers {
        [self.dead.clone(), self.remembered.clone(), self.shown.clone()].concat()
    }
}

/// Bytes as they are, and as the text that a program might print of them.
fn in_forms(name: &str, bytes: &[u8]) -> Markers {
    let texts = [data_encoding::HEXLOWER.encode(bytes), data_encoding::BASE64.encode(&bytes[..bytes.len() / 3 * 3])];
    let texts = texts.into_iter().zip(["hex", "base64"]).map(|(text, form)| (format!("{name} in {form}"), text.into_bytes()));
    std::iter::once((name.to_owned(), bytes.to_vec())).chain(texts).collect()
}

/// Pieces of something long: its beginning, middle and end.
fn pieces(name: &str, bytes: &[u8]) -> Markers {
    [0, bytes.len() / 2, bytes.len() - 32].map(|at| (format!("{name} from {at}"), bytes[at..at + 32].to_vec())).into()
}

/// A letter as a caller's page seals it to the desk, and what must not be found of what is in it: that it is sealed is the promise.
fn sealed_letter(line: &TestLine) -> (UpPost, Markers) {
    let text = format!("marker-of-a-letter-{}", data_encoding::HEXLOWER.encode(line.bytes::<8>().as_slice()));
    let (session, live_key, reply_key, stamp) =
        (*line.bytes::<8>(), *line.bytes::<32>(), *line.bytes::<32>(), *line.bytes::<32>());
    let content = Letter { text: normal(&text).unwrap(), ..Letter::default() }.to_cbor().unwrap();
    let mut rng = line.rng.lock().unwrap();
    let (desk, caller) = (SealingSecret::generate(&mut *rng), SecretKey::generate(&mut *rng));
    let letter = LetterPart {
        dummy: false,
        session,
        seq: 1,
        part: Part { part: 0, parts: 1, bytes: content.into() },
        time: now().rounded(),
        live_key: live_key.into(),
        reply_key: reply_key.into(),
        saw: std::array::from_fn(|_| 0),
    };
    let to = Recipient { line: &line.id, period: 5, purpose: Use::Desk, key: desk.public() };
    let cell = letter.seal(&to, &caller, &mut *rng);
    let id = CallerId::of(&line.id, &caller.public());
    // The control: all of it is in there, for whoever has the desk's key.
    let opened = open(&cell, &Opener { line: &line.id, period: 5, purpose: Use::Desk, secret: &desk });
    assert!(matches!(opened, Ok(Opened::Letter(who, part)) if who == id && part == letter), "VOID: the letter does not open");
    let mut markers = vec![("a letter's text".to_owned(), text.into_bytes())];
    for (name, bytes) in [
        ("a caller's public key", caller.public().as_bytes().as_slice()),
        ("a caller's id", &id.0),
        ("a session", &session),
        ("a live key", &live_key),
        ("a reply key", &reply_key),
    ] {
        markers.extend(in_forms(name, bytes));
    }
    (UpPost { stamp, cell }, markers)
}

/// A caller from an address of her own, who says who she is in a header. Posts `count` cells, the last of them a letter, hangs up, and gives what
/// there is to find of her.
async fn visit(process: &Process, line: &TestLine, nth: u8, count: usize) -> Markers {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 77, 33, nth), 0).into()).unwrap();
    let stream = socket.connect(process.address).await.unwrap();
    let mut markers = address_markers(stream.local_addr().unwrap());
    let agent = format!("marker-agent-{nth}-{}", data_encoding::HEXLOWER.encode(line.bytes::<8>().as_slice()));
    markers.push((format!("the header of caller {nth}"), agent.clone().into_bytes()));
    let config = client_config(process.spki, b"h2");
    let stream = TlsConnector::from(config).connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    let (mut sender, talk) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let talk = tokio::spawn(talk);
    let (letter, inside) = sealed_letter(line);
    markers.extend(inside.into_iter().map(|(name, marker)| (format!("{name} of caller {nth}"), marker)));
    let posts: Vec<UpPost> = (1..count).map(|_| line.post()).chain([letter]).collect();
    for (cell, post) in posts.iter().enumerate() {
        let request =
            Request::builder().method(Method::POST).uri(format!("https://localhost/{GATE}/v1/up")).header("user-agent", &agent);
        let body: Full<Bytes> = Full::from(Bytes::copy_from_slice(post.to_bytes().as_slice()));
        let reply = sender.send_request(request.body(body).unwrap()).await.unwrap();
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(UpReply::parse(&body).unwrap().outcome, UpOutcome::Stored);
        for at in [0, 700, 1400, 2016] {
            markers.push((format!("cell {cell} of caller {nth} from {at}"), post.cell[at..at + 32].to_vec()));
        }
    }
    drop(sender);
    let _ = talk.await;
    markers
}

/// A device's call, and what there is to find of the device.
async fn call(
    (process, client): (&Process, &mut Client),
    (line, device): (&TestLine, &Device),
    (method, call): (&str, &str),
    body: &[u8],
    traces: &mut Traces,
) -> Bytes {
    let path = format!("/v1/{call}");
    let token = line.token(device, &process.spki, (method, &path), body, now());
    let raw = data_encoding::BASE64URL_NOPAD.decode(token.as_bytes()).unwrap();
    let name = format!("the token of {method} {call}");
    // What comes before is the desk's certificate, which the roster shows to all, and the device's; then (SPEC §11.1) time, nonce and signature.
    traces.dead.push((format!("{name}, its signature"), raw[254..286].to_vec()));
    traces.dead.extend(pieces(&format!("{name} as text"), &token.as_bytes()[160..]));
    traces.remembered.push((format!("{name}, its nonce"), raw[238..254].to_vec()));
    client.send(method, &format!("/{GATE}{path}"), Some(&token), body).await.ok()
}

/// Two devices: one sends a bundle for both tracks, leaves a blob and takes it, and reads all that is held; the other puts up a roster. Gives
/// what there is to find of that.
async fn watch(process: &Process, line: &TestLine, timing: Timing) -> Traces {
    let mut client = process.client().await;
    let mut traces = Traces::default();
    let wall = SystemClock.wall();
    let fast = timing.fast_slot(timing.beat(wall) + 4, 1);
    let slow = (timing.slow_slot(wall) + 2..).find(|slot| !is_safeguarding(*slot)).unwrap();
    let beat = line.beat(Some(fast), Some(slow), Floor::default());
    let of_worker = ("POST", "desk/beat");
    let reply = call((process, &mut client), (line, &line.worker), of_worker, beat.to_bytes().as_slice(), &mut traces).await;
    let reply = DeskReply::parse(&reply).unwrap();
    assert_eq!((reply.outcome, reply.fast, reply.slow), (DeskOutcome::Done, SlotOutcome::Written, SlotOutcome::Written), "VOID");
    let blob = line.bytes::<BLOB_LEN>();
    let path = format!("desk/blob/{BLOB_NAME}");
    let reply = call((process, &mut client), (line, &line.worker), ("PUT", &path), blob.as_slice(), &mut traces).await;
    assert_eq!(DeskReply::parse(&reply).unwrap().outcome, DeskOutcome::Done, "VOID");
    let read = call((process, &mut client), (line, &line.worker), ("GET", &path), &[], &mut traces).await;
    assert_eq!(read, blob.as_slice(), "VOID: the blob was not kept");
    let roster = line.roster(5, timing, None);
    let reply = call((process, &mut client), (line, &line.lead), ("PUT", "desk/roster"), roster.bytes(), &mut traces).await;
    assert_eq!(DeskReply::parse(&reply).unwrap().outcome, DeskOutcome::Done, "VOID");
    assert!(held(process, &mut client, line).await.len() >= 2, "VOID: nothing was read");
    let [first, second] = &beat.team_cells;
    for (name, cell) in
        [("the fast cell", beat.fast_cell.as_slice()), ("a team cell", first.as_slice()), ("another", second.as_slice())]
    {
        traces.dead.extend(pieces(&format!("{name} of a bundle"), cell));
    }
    traces.dead.extend(pieces("a blob", blob.as_slice()));
    traces.dead.extend(in_forms("a blob's name", &data_encoding::HEXLOWER.decode(BLOB_NAME.as_bytes()).unwrap()));
    for (name, device) in [("the worker's", &line.worker), ("the lead's", &line.lead)] {
        traces.dead.extend(in_forms(&format!("{name} device key"), device.key.public().as_bytes()));
        traces.dead.extend(pieces(&format!("{name} certificate"), device.cert.bytes()));
        let mut id = in_forms(&format!("{name} device id"), &DeviceId::of(&line.id, &device.key.public()).0);
        traces.remembered.push(id.remove(0));
        traces.dead.extend(id);
    }
    traces.shown.extend(pieces("the slow cell of a bundle", beat.slow_cell.as_slice()));
    traces
}

/// The pace of these tests' lines: the fast track shows a slot for two seconds, so that what was written there dies as well. The slow track is
/// usual or, with a day of 48 seconds, one that a test can see the end of.
const fn pace(slow_s: u16, slow_days: u8) -> Timing {
    Timing { up_beat_ms: 333, beat_ms: 1000, fast_slots: 4, slow_s, slow_days }
}

const USUAL: Timing = pace(1800, 7);
const SHORT_DAYS: Timing = pace(1, 1);

fn short_lived(seed: u64, timing: Timing) -> Site {
    let mut site = site(seed);
    site.top += "epoch_s = 2\n";
    let Timing { beat_ms, slow_s, slow_days, .. } = timing;
    site.more =
        format!("up_ttl_s = 5\ncap_per_minute = 100000\nbeat_ms = {beat_ms}\nslow_s = {slow_s}\nslow_days = {slow_days}\n");
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    ["tmp", "output"].iter().for_each(|dir| std::fs::create_dir(site.path(dir)).unwrap());
    site
}

/// The binary, asked as loudly as anybody can ask: what it prints goes into the directory `output`, and temporary files and what it might leave
/// where it was started into `tmp`.
fn loud(site: &Site) -> Process {
    let mut command = Command::new("bash");
    command.arg("-c").arg("exec > >(tee -p \"$2/stdout\") 2> >(tee -p \"$2/stderr\" >&2); exec \"$0\" run --dev --config \"$1\"");
    command.arg(BINARY).arg(site.path("relay.toml")).arg(site.path("output"));
    command.env("TMPDIR", site.path("tmp")).current_dir(site.path("tmp"));
    let process = Process::spawn(ask_for_all(&mut command));
    is_asked_for_all(process.child.id());
    process
}

/// The relay has no logger: nothing is written whatever the environment asks for.
const LOUDNESS: [(&str, &str); 3] = [("RUST_LOG", "trace"), ("RUST_BACKTRACE", "full"), ("SLED_LOG", "trace")];

fn ask_for_all(command: &mut Command) -> Command {
    command.envs(LOUDNESS);
    std::mem::replace(command, Command::new("true"))
}

fn is_asked_for_all(pid: u32) {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    for (name, value) in LOUDNESS {
        let set = format!("{name}={value}");
        assert!(environment.split(|byte| *byte == 0).any(|variable| variable == set.as_bytes()), "VOID: {set} did not arrive");
    }
}

/// The control of what is printed: writes a marker where the relay prints, through its own descriptors.
fn plant_in_output(pid: u32, (_, marker): &(String, Vec<u8>)) {
    for descriptor in [1, 2] {
        let mut pipe = std::fs::File::options().write(true).open(format!("/proc/{pid}/fd/{descriptor}")).unwrap();
        pipe.write_all(&[b"..".as_slice(), marker, b"..\n"].concat()).unwrap();
    }
}

/// What it printed holds what was planted there and none of the markers besides; and what it said is not nothing.
fn output_holds_only(site: &Site, (planted, _): &(String, Vec<u8>), markers: &Markers) {
    let mut hits = found_below(&site.path("output"), markers);
    hits.sort();
    assert_eq!(hits, [format!("{planted} in stderr"), format!("{planted} in stdout")], "only what was planted");
    let said = ["stdout", "stderr"].map(|name| std::fs::read(site.path("output").join(name)).unwrap());
    let said = said.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(said[0].starts_with("ready ") && said[1].contains("pin sha256/"), "VOID: {said:?}");
}

/// The control of the files: each of the markers is found where it is written.
fn each_is_found_in_a_file(dir: &Path, markers: &Markers) {
    let planted = dir.join("planted");
    let bytes: Vec<u8> = markers.iter().flat_map(|(_, marker)| [b"..".as_slice(), marker].concat()).collect();
    std::fs::write(&planted, bytes).unwrap();
    let hits = found_below(dir, markers);
    let missed: Vec<_> =
        markers.iter().map(|(name, _)| name).filter(|name| !hits.contains(&format!("{name} in planted"))).collect();
    assert_eq!(missed, [""; 0], "VOID: the search of files does not find what was planted");
    std::fs::remove_file(planted).unwrap();
}

/// The control of the memory: whoever would send these in the clear is found out while they are on their way, each of them. A body of which the
/// rest does not come; gives the connection, with which it goes.
async fn each_is_found_on_its_way(process: &Process, markers: &Markers) -> impl Sized {
    let mut half: Vec<u8> = markers.iter().flat_map(|(_, marker)| [b"..".as_slice(), marker].concat()).collect();
    // Twice: one that two buffers share is not found in either.
    half.extend(half.clone());
    assert!(half.len() < BLOB_LEN, "as long as a body may be");
    let mut open = tls(process.address, process.spki, b"http/1.1").await;
    let head = format!("POST /{GATE}/v1/up HTTP/1.1\r\nhost: a\r\ncontent-length: {BLOB_LEN}\r\n\r\n");
    open.write_all(head.as_bytes()).await.unwrap();
    open.write_all(&half).await.unwrap();
    open.flush().await.unwrap();
    let began = SystemClock.boot();
    while !found_in_memory(process.child.id(), markers).has_all(markers) {
        assert!(SystemClock.boot().since(began) < 20_000, "VOID: the search of the memory does not find what is being posted");
    }
    open
}

/// Until no key of a kind is left: 1 is the up lane, 2 the slow track, 3 blobs.
async fn forgotten(site: &Site, kind: u8) {
    while !keys(&site.path("keys/keyring"), &[kind]).is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

const KINDS: [u8; 3] = [1, 2, 3];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_caller_is_left_when_her_cells_have_died() {
    let site = short_lived(100, USUAL);
    let process = loud(&site);
    let pid = process.child.id();
    let mut traces = watch(&process, &site.line, USUAL).await;
    traces.dead.extend(visit(&process, &site.line, 1, 20).await);
    traces.dead.extend(visit(&process, &site.line, 2, 20).await);
    let keyring = site.path("keys/keyring");
    let (alive, all_keys) = (keys(&keyring, &[1]), keys(&keyring, &KINDS));
    assert!(!alive.is_empty() && all_keys.len() > alive.len());
    // The control of the memory: living keys are there, on no stack, and so is what is in the middle of being posted.
    assert!(!found_in_memory(pid, &alive).outside.is_empty(), "VOID: the search of the memory does not find a living key");
    let open = each_is_found_on_its_way(&process, &traces.dead).await;
    drop(open);
    // And of the stacks: what the relay was started with lies at the end of its first thread's.
    let started: Markers =
        vec![("the configuration's path".into(), site.path("relay.toml").into_os_string().into_encoded_bytes())];
    assert!(!found_in_memory(pid, &started).on_stacks.is_empty(), "VOID: the search of the stacks does not find what lies there");
    each_is_found_in_a_file(&site.path("data"), &[traces.all(), all_keys.clone()].concat());

    forgotten(&site, 1).await;
    traces.dead.extend(alive);
    let in_files = [traces.all(), all_keys].concat();
    for dir in ["data", "tmp"] {
        assert_eq!(found_below(&site.path(dir), &in_files), [""; 0], "{dir}");
    }
    assert_eq!(found_below(&site.path("keys"), &traces.all()), [""; 0], "keys");
    let left = found_in_memory(pid, &traces.dead);
    let counts = (left.outside.len(), left.on_stacks.len());
    println!("{} markers; left in memory: {} on stacks and {} elsewhere (pass: 0)", traces.dead.len(), counts.1, counts.0);
    assert_eq!(counts, (0, 0), "on stacks: {:?}; elsewhere: {:?}", left.on_stacks, left.outside);
    // What is kept for a while is where it may be and nowhere else; and that it is found shows that the rest would be.
    for (name, kept) in [("devices and nonces", &traces.remembered), ("the slow track", &traces.shown)] {
        // They are looked through each second, and above all when a relay that was halted goes on: a look may fall into the middle of that.
        let left = found_at_last(pid, kept, |left| left.on_stacks.is_empty());
        assert!(left.has_all(kept) && left.on_stacks.is_empty(), "{name}: {:?}; on stacks: {:?}", left.outside, left.on_stacks);
    }
    let agent = traces.dead.iter().find(|(name, _)| name == "the header of caller 1").unwrap();
    plant_in_output(pid, agent);
    process.signal(Signal::TERM);
    process.ended().await;
    output_holds_only(&site, agent, &in_files);
}

/// A day of the slow track from beginning to end. It lasts 48 seconds, and nothing shortens it: a slot has at least one.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_day_is_left_when_its_key_has_died() {
    let site = short_lived(103, SHORT_DAYS);
    let process = loud(&site);
    let pid = process.child.id();
    // Into the day that goes on if there is time for that, else into the next.
    while SLOTS_PER_DAY - SHORT_DAYS.slow_slot(SystemClock.wall()) % SLOTS_PER_DAY < 8 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let day = SHORT_DAYS.day(SystemClock.wall());
    let mut traces = watch(&process, &site.line, SHORT_DAYS).await;
    let mut client = process.client().await;
    let written = traces.shown[0].1.clone();
    let mut page = Bytes::new();
    // Until it is shown, so that the day holds it as written, as shown and as given out.
    while !page.chunks(DOWN_CELL_LEN).any(|cell| cell.starts_with(&written)) {
        assert_eq!(SHORT_DAYS.day(SystemClock.wall()), day, "VOID: this machine took too long");
        page = client.get(&format!("down/slow/{day}")).await.ok();
    }
    // A connection's buffers hold what was last given out on it, until it ends: 25 s after its last request.
    drop(client);
    let fillers = page.chunks(DOWN_CELL_LEN).enumerate().filter(|(_, cell)| cell.iter().any(|byte| *byte != 0));
    traces.shown.extend(fillers.flat_map(|(nth, cell)| pieces(&format!("slot {nth}"), cell)));
    let keyring = site.path("keys/keyring");
    let of_day = keys(&keyring, &[2]);
    assert_eq!(of_day.len(), 2, "VOID: one day, its key and what is made of it");
    assert!(day_of(SHORT_DAYS.slow_slot(SystemClock.wall())) == day, "VOID: this machine took too long");
    let alive = found_in_memory(pid, &of_day);
    assert!(!alive.outside.is_empty(), "VOID: the search of the memory does not find the key of a living day");
    assert!(found_in_memory(pid, &traces.shown).has_all(&traces.shown), "VOID: nor its slots");
    each_is_found_in_a_file(&site.path("data"), &[traces.all(), of_day.clone()].concat());
    for dir in ["data", "tmp"] {
        assert_eq!(
            found_below(&site.path(dir), &[traces.shown.clone(), of_day.clone()].concat()),
            [""; 0],
            "{dir}, while it lives"
        );
    }

    forgotten(&site, 1).await;
    forgotten(&site, 2).await;
    let mut gone = [traces.dead.clone(), traces.shown.clone()].concat();
    gone.extend(of_day);
    let in_files = [gone.clone(), traces.remembered.clone()].concat();
    for dir in ["data", "keys", "tmp"] {
        assert_eq!(found_below(&site.path(dir), &in_files), [""; 0], "{dir}");
    }
    // The key goes first and the slots in the same round of forgetting: so the next look may come between the two.
    let left = found_at_last(pid, &gone, |left| left.outside.is_empty() && left.on_stacks.is_empty());
    println!(
        "{} markers; left in memory: {} on stacks and {} elsewhere (pass: 0)",
        gone.len(),
        left.on_stacks.len(),
        left.outside.len()
    );
    assert!(
        left.outside.is_empty() && left.on_stacks.is_empty(),
        "on stacks: {:?}; elsewhere: {:?}",
        left.on_stacks,
        left.outside
    );
    // A slot's would be found under two names.
    let planted = &traces.dead[0];
    plant_in_output(pid, planted);
    process.signal(Signal::TERM);
    process.ended().await;
    output_holds_only(&site, planted, &in_files);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_killed_leaves_nothing_in_the_clear() {
    let site = short_lived(101, USUAL);
    let process = loud(&site);
    let mut traces = watch(&process, &site.line, USUAL).await;
    traces.dead.extend(visit(&process, &site.line, 1, 20).await);
    let mut client = process.client().await;
    client.get("down/fast").await.ok();
    let agent = traces.dead.iter().find(|(name, _)| name == "the header of caller 1").unwrap();
    plant_in_output(process.child.id(), agent);
    process.signal(Signal::KILL);
    assert_eq!(process.ended().await.0.code(), None);
    let alive = keys(&site.path("keys/keyring"), &KINDS);
    let all = [traces.all(), alive.clone()].concat();
    for dir in ["data", "tmp"] {
        assert_eq!(found_below(&site.path(dir), &all), [""; 0], "{dir}");
    }
    each_is_found_in_a_file(&site.path("data"), &all);
    assert_eq!(found_below(&site.path("keys"), &traces.all()), [""; 0], "keys");
    // Of each pair the key itself lies there, and what is made of it does not.
    assert_eq!(
        found_below(&site.path("keys"), &alive).len(),
        alive.len() / 2,
        "VOID: a keyring that was left behind holds its keys"
    );
    println!("{} markers, {} keys of the dead: none found (pass: none)", all.len() - alive.len(), alive.len() / 2);
    output_holds_only(&site, agent, &all);
}

/// A file or stream that was written to, and what.
struct Written {
    to: String,
    bytes: Vec<u8>,
}

/// What a program can give away bytes with: into files, and through sockets of any kind.
const WRITES: [&str; 8] = ["write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg", "sendmmsg"];

/// All writes of a record that `strace -f -y -xx -s 200000` made, into files, pipes and sockets of any kind, but for those to RAM.
fn writes(record: &str, spare: &Path) -> Vec<Written> {
    let mut all = Vec::new();
    for line in record.lines() {
        let Some((call, rest)) = line.split_once('(') else { continue };
        let call = call.rsplit(' ').next().unwrap_or_default();
        if !WRITES.contains(&call) {
            continue;
        }
        let Some((to, rest)) = rest.split_once('<').and_then(|(_, rest)| rest.split_once('>')) else { continue };
        // strace -xx writes paths in hex, too.
        let to = String::from_utf8_lossy(&unhex(to)).into_owned();
        if !Path::new(&to).starts_with(spare) {
            all.push(Written { to, bytes: unhex(rest) });
        }
    }
    all
}

impl Written {
    fn is_to_socket(&self) -> bool {
        self.to.starts_with("socket:")
    }
}

/// Whom the program of a record spoke to without being spoken to first: paths of sockets, or what else strace says of an address.
fn spoken_to(record: &str) -> Vec<String> {
    let called =
        record.lines().filter(|line| ["connect(", "sendto(", "sendmsg(", "sendmmsg("].iter().any(|call| line.contains(call)));
    let address = |line: &str| {
        let (_, address) = line.split_once("sa_family=")?;
        let path = address.split_once("sun_path=\"").and_then(|(_, path)| path.split_once('"'));
        Some(path.map_or_else(|| address.to_owned(), |(path, _)| String::from_utf8_lossy(&unhex(path)).into_owned()))
    };
    let mut all: Vec<String> = called.filter_map(address).collect();
    all.sort();
    all.dedup();
    all
}

/// All the `\x..` in a text, as bytes; what is not written so stays as it is if there is nothing else.
fn unhex(text: &str) -> Vec<u8> {
    let parts: Vec<&str> = text.split("\\x").skip(1).collect();
    if parts.is_empty() {
        return text.as_bytes().to_vec();
    }
    parts.iter().filter_map(|part| u8::from_str_radix(part.get(..2)?, 16).ok()).collect()
}

fn traced(record: &Path, program: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-y",
        "-xx",
        "-s",
        "200000",
        "-e",
        &format!("trace={},connect,?rename,renameat,renameat2,?unlink,unlinkat,openat,?mkdir,mkdirat", WRITES.join(",")),
        "-o",
    ]);
    command.arg(record).args(program).env("TZ", "UTC");
    command
}

/// Moments of the test: as any eight bytes would have it, as digits, or as a clock shows it.
fn tells_time(bytes: &[u8], from: u64, to: u64) -> bool {
    let is_then = |number: u64| (from..=to).contains(&number) || (from * 1000..=to * 1000 + 999).contains(&number);
    let in_eight = bytes.windows(8).any(|eight| {
        let eight = eight.try_into().unwrap();
        is_then(u64::from_be_bytes(eight)) || is_then(u64::from_le_bytes(eight))
    });
    let is_number = |digits: &[u8]| std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).is_some_and(is_then);
    let in_digits = [10, 13].into_iter().any(|len| bytes.windows(len).any(is_number));
    let clocks = (from / 60..=to / 60).map(|minute| format!("{:02}:{:02}:", minute / 60 % 24, minute % 60).into_bytes());
    in_eight || in_digits || clocks.into_iter().any(|clock| bytes.windows(clock.len()).any(|some| some == clock))
}

/// How often a moment of the test stands there in four bytes of seconds. Of 100,000 random bytes, some minutes long, one in a hundred does by chance.
fn seconds_count(bytes: &[u8], from: u64, to: u64) -> usize {
    let is_then = |number: u32| (from..=to).contains(&u64::from(number));
    let tells = |four: &&[u8]| {
        <[u8; 4]>::try_from(*four).is_ok_and(|four| is_then(u32::from_be_bytes(four)) || is_then(u32::from_le_bytes(four)))
    };
    bytes.windows(4).filter(tells).count()
}

/// The name of a blob that a device put down.
const BLOB_NAME: &str = "5c1f0e83b2a94d6790ae3b517fd2c846";

/// The control: the same search of the same kind of record finds an address and a time in what other programs do write, into a file and into
/// the socket of a system's log.
fn the_search_of_writes_finds(site: &Site, record: &Path) {
    let began = now().0;
    let [a, b, c, d] = u32::try_from(began).unwrap().to_be_bytes();
    let leak = site.path("tmp/leak");
    let echo = format!("printf '127.77.33.1 %b' '\\0000\\0000\\0000\\0000\\0{a:o}\\0{b:o}\\0{c:o}\\0{d:o}' > {}", leak.display());
    let log = site.path("log");
    let _listening = UnixDatagram::bind(&log).unwrap();
    let log_text = log.display().to_string();
    let to_log = ["logger", "--socket", &log_text, "from 127.77.33.1"];
    for (to, program) in [(leak, ["sh", "-c", &echo].as_slice()), (log, &to_log)] {
        assert!(traced(record, program).status().unwrap().success());
        let text = std::fs::read_to_string(record).unwrap();
        let address: Markers = vec![("an address".into(), b"127.77.33.1".to_vec())];
        let is_leak = |written: &Written| {
            let is_there = Path::new(&written.to) == to || written.is_to_socket() && spoken_to(&text).contains(&log_text);
            is_there && !found(&written.bytes, &address).is_empty() && tells_time(&written.bytes, began, now().0)
        };
        assert!(writes(&text, &site.path("keys")).iter().any(is_leak), "VOID: a write to {} was not seen", to.display());
    }
}

#[test]
fn a_time_is_known_in_any_form() {
    let (from, to) = (1_795_435_205, 1_795_435_265);
    for (name, bytes, tells) in [
        ("seconds", 1_795_435_210_u64.to_be_bytes().to_vec(), true),
        ("milliseconds, the other way round", 1_795_435_210_123_u64.to_le_bytes().to_vec(), true),
        ("digits", b"at 1795435210.".to_vec(), true),
        ("digits of milliseconds", b"{\"t\":1795435210123}".to_vec(), true),
        ("a clock", b"<13>Nov 23 12:01:00 relay: ".to_vec(), true),
        ("an hour before", b"Nov 23 11:01:00, 1795431605".to_vec(), false),
        ("nothing", vec![0; 64], false),
    ] {
        assert_eq!(tells_time(&bytes, from, to), tells, "{name}");
    }
    let four = |at: u32| [at.to_be_bytes(), at.to_le_bytes()].concat();
    assert_eq!([1_795_435_210, 1_795_435_204].map(|at| seconds_count(&four(at), from, to)), [2, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_write_says_who_where_or_when() {
    let mut site = short_lived(102, USUAL);
    let counters = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    site.top += &format!("admin_listen = \"{counters}\"\n");
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    let record = site.path("record");
    the_search_of_writes_finds(&site, &record);

    let began = now().0;
    // The one whom it may speak to, and does: so its sockets are in the record.
    let manager = UnixDatagram::bind(site.path("notify")).unwrap();
    // Heard to the end, so that a relay that says more than it should does not wait for an ear.
    std::thread::spawn(move || while manager.recv(&mut [0; 64]).is_ok() {});
    let mut command = traced(&record, &[BINARY, "run", "--dev", "--config"]);
    command.arg(site.path("relay.toml")).env("NOTIFY_SOCKET", site.path("notify")).stdin(Stdio::null());
    let process = Process::spawn(ask_for_all(&mut command));
    let strace = process.child.id();
    let children = std::fs::read_to_string(format!("/proc/{strace}/task/{strace}/children")).unwrap();
    let relay: u32 = children.split_whitespace().next().unwrap().parse().unwrap();
    is_asked_for_all(relay);
    let mut markers = visit(&process, &site.line, 1, 12).await;
    markers.extend(watch(&process, &site.line, USUAL).await.all());
    let mut client = process.client().await;
    for call in ["notice", "down/fast", &format!("down/slow/{}", USUAL.day(SystemClock.wall()))] {
        client.get(call).await.ok();
    }
    client.send("GET", "/wrong1/v1/notice", None, &[]).await;
    // Her page, and what a browser without h2 does; what is hung up in public, and who reads the counters.
    client.send("GET", &format!("/{GATE}"), None, &[]).await;
    let mut plain = Client::connect(process.address, process.spki, Http::One).await;
    let reply = plain.send("POST", &format!("/{GATE}/v1/up"), None, site.line.post().to_bytes().as_slice()).await;
    assert_eq!(UpReply::parse(&reply.ok()).unwrap().outcome, UpOutcome::Stored);
    // A bulletin says itself when it was made, to everybody: this one long ago.
    let (roster, bulletin) = (site.line.roster(1, USUAL, None), site.line.nth_bulletin(1));
    for (call, body) in [("desk/roster", roster.bytes().as_slice()), ("desk/bulletin", &bulletin)] {
        let reply = desk(&process, &mut client, &site.line, &site.line.lead, ("PUT", call), body).await;
        assert_eq!(DeskReply::parse(&reply.ok()).unwrap().outcome, DeskOutcome::Done, "{call}");
    }
    let mut reader = tokio::net::TcpStream::connect(counters).await.unwrap();
    reader.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut told = String::new();
    reader.read_to_string(&mut told).await.unwrap();
    assert!(told.contains("cells_stored"), "VOID: no counters: {told}");
    markers.push(("a gate".into(), format!("/{GATE}").into_bytes()));
    markers.push(("a knock".into(), b"wrong1".to_vec()));
    let slot = (USUAL.slow_slot(SystemClock.wall()) + 2..).find(|slot| !is_safeguarding(*slot)).unwrap();
    markers.push(("the slot of an answer".into(), slot.to_be_bytes()[2..].to_vec()));
    drop(client);
    forgotten(&site, 1).await;
    for signal in [Signal::HUP, Signal::TERM] {
        kill_process(Pid::from_raw(relay.try_into().unwrap()).unwrap(), signal).unwrap();
    }
    process.ended().await;
    let text = std::fs::read_to_string(&record).unwrap();
    let (all, ended) = (writes(&text, &site.path("keys")), now().0);
    let to_disk: Vec<_> = all.iter().filter(|written| Path::new(&written.to).starts_with(site.path("data"))).collect();
    let total: usize = to_disk.iter().map(|written| written.bytes.len()).sum();
    let through_sockets = all.iter().filter(|written| written.is_to_socket()).count();
    println!(
        "{} writes, {} of them to data_dir ({total} bytes), {through_sockets} through sockets: none says who, where or when (pass: none)",
        all.len(),
        to_disk.len()
    );
    assert!(to_disk.len() > 20 && total > 80_000, "VOID: the relay wrote more than that");
    let said: Vec<_> = all.iter().filter(|written| written.is_to_socket() && written.bytes.starts_with(b"READY=1")).collect();
    assert_eq!((said.len(), through_sockets > 20), (1, true), "VOID: what goes through sockets is not in the record");
    assert_eq!(spoken_to(&text), [site.path("notify").display().to_string()], "no log, and nobody else");
    for written in &all {
        assert_eq!(found(&written.bytes, &markers), [""; 0], "{}", written.to);
        assert!(!tells_time(&written.bytes, began, ended), "a time in {}: {:?}", written.to, written.bytes);
    }
    let times: usize = all.iter().map(|written| seconds_count(&written.bytes, began, ended)).sum();
    assert!(times < 2, "{times} times in four bytes: more than chance puts there");
    assert_eq!(found(&unhex(&text), &markers), [""; 0], "names of files");
}
