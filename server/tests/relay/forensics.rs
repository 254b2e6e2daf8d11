//! What can be found of a caller once her cells have died: on the disk, in the logs, in temporary files, in the memory of the running relay.
//!
//! Every search has its control: what is still alive, or was planted, is found by the same search in the same place. Without that the run is void.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::binary::*;
use crate::support::*;
use axum::body::Bytes;
use axum::http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use porchlight_proto::api::{Floor, UpOutcome, UpReply};
use porchlight_proto::kdf;
use porchlight_proto::limits::BLOB_LEN;
use porchlight_proto::time::{Timing, is_safeguarding};
use porchlight_relay::clock::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
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
            // The kernel's own pages there cannot be read.
            if memory.read_exact_at(&mut bytes, from).is_ok() {
                image.push(Stretch { is_stack, place: place.to_owned(), bytes });
            }
        }
    }
    assert_eq!(stack_count, pointers.len(), "VOID: a thread's stack was not found");
    image
}

/// What was found outside all stacks, and what on them.
struct InMemory {
    outside: Vec<String>,
    on_stacks: Vec<String>,
}

fn found_in_memory(pid: u32, markers: &Markers) -> InMemory {
    let all = image(pid);
    let hits = |is_stack| {
        let some = all.iter().filter(|stretch| stretch.is_stack == is_stack);
        let hits =
            some.flat_map(|stretch| found(&stretch.bytes, markers).into_iter().map(|hit| format!("{hit}, in {}", stretch.place)));
        hits.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    };
    InMemory { outside: hits(false), on_stacks: hits(true) }
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

/// A caller from an address of her own, who says who she is in a header. Posts `count` cells, hangs up, and gives what there is to find of her.
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
    for cell in 0..count {
        let post = line.post();
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

/// A device that sends a bundle, without a slot, and reads all that is held. Gives what there is to find of that.
async fn watch(process: &Process, line: &TestLine) -> Markers {
    let mut client = process.client().await;
    let beat = line.beat(None, None, Floor::default());
    desk(process, &mut client, line, &line.worker, ("POST", "desk/beat"), beat.to_bytes().as_slice()).await.ok();
    assert!(held(process, &mut client, line).await.len() >= 2, "VOID: nothing was read");
    let [first, second] = &beat.team_cells;
    let cells = [beat.fast_cell.as_slice(), beat.slow_cell.as_slice(), first.as_slice(), second.as_slice()];
    let pieces = cells.iter().enumerate().flat_map(|(nth, cell)| {
        [0, cell.len() / 2, cell.len() - 32].map(|at| (format!("cell {nth} of a bundle from {at}"), cell[at..at + 32].to_vec()))
    });
    pieces.collect()
}

fn short_lived(seed: u64) -> Site {
    let mut site = site(seed);
    site.top += "epoch_s = 2\n";
    site.more = "up_ttl_s = 5\ncap_per_minute = 100000".into();
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    std::fs::create_dir(site.path("tmp")).unwrap();
    site
}

/// The binary with logs as loud as anybody can ask for, and a directory of its own for temporary files.
fn loud(site: &Site) -> Process {
    let mut command = Command::new(BINARY);
    command.args(["run", "--dev", "--config"]).arg(site.path("relay.toml"));
    command.env("RUST_LOG", "trace").env("TMPDIR", site.path("tmp"));
    Process::spawn(command)
}

/// Until no key of the up lane is left.
async fn forgotten(site: &Site) {
    while !keys(&site.path("keys/keyring"), &[1]).is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_caller_is_left_when_her_cells_have_died() {
    let site = short_lived(100);
    let process = loud(&site);
    let pid = process.child.id();
    let mut markers = visit(&process, &site.line, 1, 20).await;
    markers.extend(visit(&process, &site.line, 2, 20).await);
    markers.extend(watch(&process, &site.line).await);
    let alive = keys(&site.path("keys/keyring"), &[1]);
    assert!(!alive.is_empty());
    // The control of the memory: a living key is there, on no stack, and so is what is in the middle of being posted.
    assert!(!found_in_memory(pid, &alive).outside.is_empty(), "VOID: the search of the memory does not find a living key");
    let half = site.line.bytes::<512>();
    let mut open = tls(process.address, process.spki, b"http/1.1").await;
    open.write_all(format!("POST /{GATE}/v1/up HTTP/1.1\r\nhost: a\r\ncontent-length: 2080\r\n\r\n").as_bytes()).await.unwrap();
    open.write_all(half.as_slice()).await.unwrap();
    let planted: Markers = vec![("half a body".into(), half[256..320].to_vec())];
    let began = SystemClock.boot();
    while found_in_memory(pid, &planted).outside.is_empty() {
        assert!(SystemClock.boot().since(began) < 20_000, "VOID: the search of the memory does not find what is being posted");
    }
    drop(open);
    // And of the stacks: what the relay was started with lies at the end of its first thread's.
    let started: Markers =
        vec![("the configuration's path".into(), site.path("relay.toml").into_os_string().into_encoded_bytes())];
    assert!(!found_in_memory(pid, &started).on_stacks.is_empty(), "VOID: the search of the stacks does not find what lies there");
    // The control of the files.
    std::fs::write(site.path("data/planted"), [b"..".as_slice(), &markers[9].1, b".."].concat()).unwrap();
    assert_eq!(found_below(&site.path("data"), &markers).len(), 1, "VOID: the search of files does not find what was planted");
    std::fs::remove_file(site.path("data/planted")).unwrap();

    forgotten(&site).await;
    markers.extend(alive);
    markers.extend(planted);
    for dir in ["data", "keys", "tmp"] {
        assert_eq!(found_below(&site.path(dir), &markers), [""; 0], "{dir}");
    }
    let left = found_in_memory(pid, &markers);
    let counts = (left.outside.len(), left.on_stacks.len());
    println!("{} markers; left in memory: {} on stacks and {} elsewhere (pass: 0)", markers.len(), counts.1, counts.0);
    assert_eq!(counts, (0, 0), "on stacks: {:?}; elsewhere: {:?}", left.on_stacks, left.outside);
    process.signal(Signal::TERM);
    let log = process.ended().await.1.concat();
    assert_eq!(found(log.as_bytes(), &markers), [""; 0], "logs at trace: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_killed_leaves_nothing_in_the_clear() {
    let site = short_lived(101);
    let mut process = loud(&site);
    let markers = visit(&process, &site.line, 1, 20).await;
    let alive = keys(&site.path("keys/keyring"), &[1]);
    process.signal(Signal::KILL);
    process.child.wait().unwrap();
    let mut all = markers.clone();
    all.extend(alive.clone());
    for dir in ["data", "tmp"] {
        assert_eq!(found_below(&site.path(dir), &all), [""; 0], "{dir}");
    }
    assert!(!found_below(&site.path("keys"), &alive).is_empty(), "VOID: a keyring that was left behind holds its keys");
    let log: String = process.said.iter().collect();
    assert_eq!(found(log.as_bytes(), &all), [""; 0], "logs at trace: {log}");
}

/// A file or stream that was written to, and what.
struct Written {
    to: String,
    bytes: Vec<u8>,
}

/// The writes of a record that `strace -f -y -xx -s 200000` made, but for those to sockets, pipes between its own threads, and RAM.
fn writes(record: &str, spare: &Path) -> Vec<Written> {
    let mut all = Vec::new();
    for line in record.lines() {
        let Some((call, rest)) = line.split_once('(') else { continue };
        let call = call.rsplit(' ').next().unwrap_or_default();
        if !["write", "pwrite64", "writev", "pwritev", "pwritev2"].contains(&call) {
            continue;
        }
        let Some((to, rest)) = rest.split_once('<').and_then(|(_, rest)| rest.split_once('>')) else { continue };
        // strace -xx writes paths in hex, too.
        let to = String::from_utf8_lossy(&unhex(to)).into_owned();
        if to.starts_with("socket:")
            || to.starts_with("anon_inode:")
            || to.starts_with("TCP:")
            || to.starts_with("UNIX")
            || Path::new(&to).starts_with(spare)
        {
            continue;
        }
        all.push(Written { to, bytes: unhex(rest) });
    }
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
        "trace=write,pwrite64,writev,pwritev,pwritev2,renameat,renameat2,openat,mkdir",
        "-o",
    ]);
    command.arg(record).args(program);
    command
}

/// Moments of the test, as any of eight bytes would have it.
fn tells_time(bytes: &[u8], from: u64, to: u64) -> bool {
    let is_then = |number: u64| (from..=to).contains(&number) || (from * 1000..=to * 1000).contains(&number);
    bytes.windows(8).any(|eight| {
        let eight = eight.try_into().unwrap();
        is_then(u64::from_be_bytes(eight)) || is_then(u64::from_le_bytes(eight))
    })
}

/// The name of a blob that a device put down.
const BLOB_NAME: &str = "00112233445566778899aabbccddeeff";

#[tokio::test(flavor = "multi_thread")]
async fn no_write_says_who_where_or_when() {
    let site = short_lived(102);
    let record = site.path("record");
    // The control: the same search finds an address, and a time, that a program does write.
    let began = now().0;
    let echo = format!(
        "printf '127.77.33.1 %b' '\\0000\\0000\\0000\\0000\\0{:o}\\0{:o}\\0{:o}\\0{:o}' > {}",
        began >> 24 & 255,
        began >> 16 & 255,
        began >> 8 & 255,
        began & 255,
        site.path("tmp/leak").display()
    );
    assert!(traced(&record, &["sh", "-c", &echo]).status().unwrap().success());
    let control = writes(&std::fs::read_to_string(&record).unwrap(), &site.path("keys"));
    let leak =
        control.iter().find(|written| written.to.ends_with("tmp/leak")).expect("VOID: the write of the control was not recorded");
    let address: Markers = vec![("an address".into(), b"127.77.33.1".to_vec())];
    assert!(!found(&leak.bytes, &address).is_empty() && tells_time(&leak.bytes, began, began + 60), "VOID: {:?}", leak.bytes);

    let mut command = traced(&record, &[BINARY, "run", "--dev", "--config"]);
    command.arg(site.path("relay.toml")).env("RUST_LOG", "trace").stdin(Stdio::null());
    let process = Process::spawn(command);
    let mut markers = visit(&process, &site.line, 1, 12).await;
    let line = &site.line;
    let mut client = process.client().await;
    let (timing, wall) = (Timing::PRODUCTION, SystemClock.wall());
    let slow = (timing.slow_slot(wall) + 1..).find(|slot| !is_safeguarding(*slot)).unwrap();
    let fast = timing.fast_slot(timing.beat(wall) + 1, 1);
    let beat = line.beat(Some(fast), Some(slow), Floor::default()).to_bytes();
    desk(&process, &mut client, line, &line.worker, ("POST", "desk/beat"), beat.as_slice()).await.ok();
    let roster = line.roster(5, Timing::PRODUCTION, None);
    desk(&process, &mut client, line, &line.lead, ("PUT", "desk/roster"), roster.bytes()).await.ok();
    let blob = line.bytes::<BLOB_LEN>();
    desk(&process, &mut client, line, &line.lead, ("PUT", &format!("desk/blob/{BLOB_NAME}")), blob.as_slice()).await.ok();
    held(&process, &mut client, line).await;
    for call in ["notice", "down/fast", &format!("down/slow/{}", now().0 / 86_400)] {
        client.get(call).await.ok();
    }
    client.send("GET", "/wrong1/v1/notice", None, &[]).await;
    for (name, device) in [("the lead's", &line.lead), ("the worker's", &line.worker)] {
        markers.push((format!("{name} key"), device.key.public().as_bytes().to_vec()));
    }
    markers.push(("a gate".into(), format!("/{GATE}").into_bytes()));
    markers.push(("a knock".into(), b"wrong1".to_vec()));
    markers.push(("a blob".into(), blob[100..132].to_vec()));
    markers.push(("a blob's name".into(), data_encoding::HEXLOWER.decode(BLOB_NAME.as_bytes()).unwrap()));
    let (_, number) = slow.to_be_bytes().split_last_chunk::<6>().map(|(zeros, number)| (zeros.len(), *number)).unwrap();
    markers.push(("the slot of an answer".into(), number.to_vec()));
    drop(client);
    forgotten(&site).await;
    let strace = process.child.id();
    let children = std::fs::read_to_string(format!("/proc/{strace}/task/{strace}/children")).unwrap();
    let relay: i32 = children.split_whitespace().next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(relay).unwrap(), Signal::TERM).unwrap();
    process.ended().await;
    let all = writes(&std::fs::read_to_string(&record).unwrap(), &site.path("keys"));
    let ended = now().0;
    let to_disk = all.iter().filter(|written| Path::new(&written.to).starts_with(site.path("data"))).count();
    let total: usize = all.iter().map(|written| written.bytes.len()).sum();
    println!("{} writes, {to_disk} of them to data_dir, {total} bytes", all.len());
    assert!(to_disk > 20 && total > 80_000, "VOID: the relay wrote more than that");
    for written in &all {
        assert_eq!(found(&written.bytes, &markers), [""; 0], "{}", written.to);
        assert!(!tells_time(&written.bytes, began, ended), "a time in {}: {:?}", written.to, written.bytes);
    }
    let names = std::fs::read_to_string(&record).unwrap();
    assert_eq!(found(&unhex(&names), &markers), [""; 0], "names of files");
}
