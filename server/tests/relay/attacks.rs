//! h2 attacks: each ends its own connection and nobody else's.

use std::cell::Cell;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::binary::{Process, kib, site, until};
use crate::frames::*;
use crate::support::*;
use porchlight_proto::api::{Notice, UpOutcome};
use porchlight_proto::limits::LANE_PAGE_MAX_CELLS;
use porchlight_relay::config::Deadlines;
use porchlight_relay::gate::owing::{LITTLE, ROOM};
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// Long enough for a busy machine; an attack that is not cut goes on for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an attacker sends: its settings, what comes first, and then the nth round of it, for ever.
struct Attack {
    name: &'static str,
    settings: Vec<u8>,
    first: Vec<u8>,
    round: Box<dyn Fn(u32) -> Vec<u8> + Send + Sync>,
}

fn attack(name: &'static str, first: Vec<u8>, round: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> Attack {
    Attack { name, settings: Vec::new(), first, round: Box::new(round) }
}

/// The client's nth stream.
const fn stream(nth: u32) -> u32 {
    2 * nth + 1
}

fn attacks() -> Vec<Attack> {
    let get = |path: &str| head("GET", path.as_bytes(), &[]);
    let notice = format!("/{GATE}/v1/notice");
    let post = head("POST", format!("/{GATE}/v1/up").as_bytes(), &[(b"content-length", b"2080")]);
    let (asked, posted) = (get(&notice), post.clone());
    let (reset, made, slow) = (asked.clone(), asked.clone(), get("/"));
    let bomb = {
        // A header of 3,900 bytes goes into the table once, and each later byte 0xBE stands for all of it.
        let big = header(0x40, b"x-bomb", &[b'a'; 3_900]);
        let usual = get("/");
        move |nth: u32| {
            let block = if nth == 0 { [usual.as_slice(), &big].concat() } else { [usual.as_slice(), &[0xbe; 16_000]].concat() };
            frame(HEADERS, END_HEADERS | END_STREAM, stream(nth), &block)
        }
    };
    vec![
        attack("rapid reset", vec![], move |nth| {
            [
                frame(HEADERS, END_HEADERS | END_STREAM, stream(nth), &reset),
                frame(RST_STREAM, 0, stream(nth), &8_u32.to_be_bytes()),
            ]
            .concat()
        }),
        attack("rapid reset of half a body", vec![], move |nth| {
            let half = [frame(HEADERS, END_HEADERS, stream(nth), &posted), frame(DATA, 0, stream(nth), b"half")].concat();
            [half, frame(RST_STREAM, 0, stream(nth), &8_u32.to_be_bytes())].concat()
        }),
        attack("made you reset", vec![], move |nth| {
            [
                frame(HEADERS, END_HEADERS | END_STREAM, stream(nth), &made),
                frame(WINDOW_UPDATE, 0, stream(nth), &0_u32.to_be_bytes()),
            ]
            .concat()
        }),
        attack("a head without end", frame(HEADERS, 0, 1, &asked), |_| {
            frame(CONTINUATION, 0, 1, &header(0, b"x-more", &[b'a'; 8_000]))
        }),
        attack("a head that goes on empty", frame(HEADERS, 0, 1, &slow), |_| frame(CONTINUATION, 0, 1, &[])),
        attack("a bomb of headers", vec![], bomb),
        attack("settings", vec![], |nth| frame(SETTINGS, 0, 0, &setting(4, 65_535 - nth % 2))),
        attack("pings", vec![], |nth| frame(PING, 0, 0, &u64::from(nth).to_be_bytes())),
        attack("answers to pings that never were", vec![], |nth| frame(PING, ACK, 0, &u64::from(nth).to_be_bytes())),
        attack("priorities", vec![], |nth| frame(PRIORITY, 0, stream(nth), &[0, 0, 0, 0, 16])),
        attack("frames of no known kind", vec![], |_| frame(0xfe, 0, 0, &[0; 64])),
        attack("windows", vec![], |_| frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())),
        attack("data of nothing", frame(HEADERS, END_HEADERS, 1, &post), |_| frame(DATA, 0, 1, &[])),
        attack("data that is padding", frame(HEADERS, END_HEADERS, 1, &post), |_| {
            frame(DATA, 8, 1, &[[255].as_slice(), &[0; 255]].concat())
        }),
    ]
}

/// Attacks until the connection ends, reading all the while; gives the rounds it took and the code of the goodbye, or nothing if it never ends.
async fn ends(address: SocketAddr, spki: [u8; 32], attack: &Attack) -> Option<(u32, Option<u8>)> {
    let stream = begun(address, spki, &attack.settings).await;
    let (mut reading, mut writing) = split(stream);
    let reader = async {
        let mut code = None;
        while let Some(heard) = hear(&mut reading).await {
            code = code.or(if heard.kind == GOAWAY { heard.body.get(7).copied() } else { None });
        }
        code
    };
    let writer = async {
        let _ = writing.write_all(&attack.first).await;
        for nth in 0.. {
            if writing.write_all(&(attack.round)(nth)).await.is_err() || writing.flush().await.is_err() {
                return nth;
            }
        }
        0
    };
    // A relay that says goodbye and then neither reads nor closes has not ended it.
    let (code, rounds) = timeout(PATIENCE, async { tokio::join!(reader, writer) }).await.ok()?;
    Some((rounds, code))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_attack_on_h2_goes_on_and_others_are_served_meanwhile() {
    let site = Site::new(80);
    let running = site.start().await;
    let mut good = running.client(Http::Two).await;
    for attack in attacks() {
        let is_over = Cell::new(false);
        let (ended, served) = tokio::join!(
            async {
                let ended = ends(running.address(), running.spki, &attack).await;
                is_over.set(true);
                ended
            },
            async {
                let mut served = 0;
                // Until the attack is over, which may begin later than the first of these.
                while served < 3 || !is_over.get() {
                    assert_eq!(running.post(&mut good, &site.line.post()).await.outcome, UpOutcome::Stored, "{}", attack.name);
                    served += 1;
                }
                served
            }
        );
        let Some((rounds, code)) = ended else { panic!("{} goes on", attack.name) };
        println!(
            "{}: ended after {rounds} rounds, with goodbye {code:?}; {served} of {served} others served meanwhile (pass: ended, all)",
            attack.name
        );
        assert!(rounds > 0, "{}: the first round was refused, so this says nothing about the next thousand", attack.name);
    }
}

/// What a caller's page does at each beat, so many times in a row on one connection: the sorted times it took, in microseconds.
#[expect(clippy::disallowed_methods, reason = "how long it takes is real time, and shorter than the clock's milliseconds")]
async fn beats(address: SocketAddr, spki: [u8; 32], count: usize) -> Vec<u128> {
    let mut client = Client::connect(address, spki, Http::Two).await;
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        Notice::parse(&client.get("notice").await.ok()).unwrap();
        took.push(began.elapsed().as_micros());
    }
    took.sort_unstable();
    took
}

/// Again and again until told to stop, on a thread that the machine gives what nobody else wants: what an attacker's own work costs is not
/// the relay's doing, and elsewhere it is done on another machine.
fn again<W: Future<Output = ()>>(stop: &Arc<AtomicBool>, work: impl Fn() -> W + Send + 'static) -> JoinHandle<()> {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        // Idle, not only nice: else the system does not take the processor for free and lets the relay's threads wait for each other.
        let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
        assert!(Command::new("chrt").args(["--idle", "--pid", "0", &thread]).status().unwrap().success());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        while !stop.load(Ordering::Relaxed) {
            runtime.block_on(work());
        }
    })
}

/// By name: each attack again and again from one peer that does nothing else, and how long others wait meanwhile; beside how long they wait
/// while such a peer does nothing wrong: whoever has a processor to spend makes everybody wait a little.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "times: by name, on a machine with nothing else to do"]
#[expect(clippy::disallowed_methods, reason = "how long others wait is real time, and shorter than the clock's milliseconds")]
async fn attacks_on_h2_are_cut_soon() {
    let site = site(82);
    let process = Process::start(&site.path("relay.toml"));
    let (address, spki) = (process.address, process.spki);
    let p99 = |took: &[u128]| took[took.len() * 99 / 100];
    let _warm = beats(address, spki, 500).await;
    let calm = p99(&beats(address, spki, 5_000).await);
    let stop = Arc::default();
    let eager = again(&stop, move || async move {
        let _ = beats(address, spki, 1).await;
    });
    let beside = p99(&beats(address, spki, 5_000).await);
    stop.store(true, Ordering::Relaxed);
    eager.join().unwrap();
    println!("p99 of a beat: {calm} µs alone, {beside} µs beside a peer that connects and asks, again and again");
    let (mut failed, mut worst) = (Vec::new(), 0);
    for attack in attacks().into_iter().map(Arc::new) {
        let (ended, longest) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let stop = Arc::default();
        let attacking = {
            let (attack, ended, longest) = (Arc::clone(&attack), Arc::clone(&ended), Arc::clone(&longest));
            again(&stop, move || {
                let (attack, ended, longest) = (Arc::clone(&attack), Arc::clone(&ended), Arc::clone(&longest));
                async move {
                    let began = Instant::now();
                    // One that is not cut within PATIENCE counts by how long it was let go on.
                    let _cut = ends(address, spki, &attack).await;
                    longest.fetch_max(u64::try_from(began.elapsed().as_millis()).unwrap(), Ordering::Relaxed);
                    ended.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let mut took = Vec::new();
        while took.len() < 5_000 || ended.load(Ordering::Relaxed) == 0 {
            took.extend(beats(address, spki, 500).await);
        }
        stop.store(true, Ordering::Relaxed);
        tokio::task::spawn_blocking(move || attacking.join()).await.unwrap().unwrap();
        took.sort_unstable();
        let (ended, longest, during) = (ended.load(Ordering::Relaxed), longest.load(Ordering::Relaxed), p99(&took));
        println!("{}: {ended} times, each cut within {longest} ms (pass: 5000); p99 of others {during} µs", attack.name);
        worst = worst.max(during);
        if longest > 5_000 {
            failed.push(attack.name);
        }
    }
    println!(
        "p99 of others at worst {worst} µs (pass: {}, twice what it is beside that peer; twice what it is alone is {})",
        2 * beside,
        2 * calm
    );
    assert_eq!(failed, Vec::<&str>::new());
    assert!(worst <= 2 * beside);
    process.stop().await;
}

/// A site whose strangers see an ordinary website, with a file so large and one of 20,000 bytes.
fn bakery(seed: u64, large: usize) -> Site {
    let site = Site::new(seed);
    std::fs::create_dir(site.path("www")).unwrap();
    let pages = [("index.html", b"<h1>Bakery</h1>".to_vec()), ("404.html", b"<h1>Sold out</h1>".to_vec())];
    for (name, bytes) in pages.into_iter().chain([("large.bin", vec![7; large]), ("small.bin", vec![7; 20_000])]) {
        std::fs::write(site.path("www").join(name), bytes).unwrap();
    }
    Site { top: format!("{}decoy_dir = \"www\"\n", site.top), ..site }
}

/// Somebody who asks and takes nothing holds a connection for as long as a slow telephone might, and then no longer.
#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_is_not_taken_is_not_kept() {
    let site = bakery(81, 15 << 20);
    let mut settings = site.settings();
    // A reply whose end lies in TLS is not owed any more: there the peer is idle.
    settings.deadlines = Deadlines { reply: Duration::from_millis(300), idle: Duration::from_secs(1), ..settings.deadlines };
    let running = site.start_with(&settings).await;
    let path = format!("/{GATE}/v1/notice");
    let asks: Vec<u8> = (0..8)
        .flat_map(|nth| frame(HEADERS, END_HEADERS | END_STREAM, stream(nth), &head("GET", path.as_bytes(), &[])))
        .collect();
    for (name, settings, more) in [
        ("no window", setting(4, 0), Vec::new()),
        ("a window of one byte", setting(4, 1), Vec::new()),
        ("a window that opens by a byte", setting(4, 0), frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes())),
    ] {
        let mut held = begun(running.address(), running.spki, &settings).await;
        held.write_all(&[asks.as_slice(), &more].concat()).await.unwrap();
        let all = async { while hear(&mut held).await.is_some_and(|heard| heard.kind != GOAWAY) {} };
        assert!(timeout(PATIENCE, all).await.is_ok(), "{name}");
    }
    // HTTP/1.1 has no windows but the network's: asked for more than any buffer on the way holds, and nothing read.
    let mut silent = tls(running.address(), running.spki, b"http/1.1").await;
    let day = format!("GET /{GATE}/v1/down/slow/{} HTTP/1.1\r\nhost: a\r\n\r\n", NOON.seconds().0 / 86_400);
    let asking = async { while silent.write_all(day.as_bytes()).await.is_ok() {} };
    assert!(timeout(PATIENCE, asking).await.is_ok(), "HTTP/1.1");
    assert!(running.relay.counters().deadlines_passed.count() >= 4);
    // One reply alone, longer than any buffer on the way: it is owed until it is taken, over HTTP/1.1 as well.
    for (http, asking) in [
        (b"http/1.1".as_slice(), b"GET /large.bin HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()),
        (
            b"h2",
            [
                PREFACE,
                &frame(SETTINGS, 0, 0, &setting(4, 0x7fff_ffff)),
                &frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes()),
                &frame(HEADERS, END_HEADERS | END_STREAM, 1, &head("GET", b"/large.bin", &[])),
            ]
            .concat(),
        ),
    ] {
        let before = running.relay.counters().deadlines_passed.count();
        let mut silent = tls(running.address(), running.spki, http).await;
        silent.write_all(&asking).await.unwrap();
        silent.flush().await.unwrap();
        let ended = async {
            while running.relay.counters().deadlines_passed.count() == before {
                tokio::time::sleep(Duration::from_millis(20)).await
            }
        };
        assert!(timeout(PATIENCE, ended).await.is_ok(), "{}: one reply", String::from_utf8_lossy(http));
    }
    let mut good = running.client(Http::Two).await;
    running.notice(&mut good).await;
}

/// Whoever grants no window at all is no slow line: there the first bytes of a reply are on their way at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_window_of_nothing_is_not_waited_for_like_a_slow_line() {
    let site = bakery(95, 1 << 20);
    let mut settings = site.settings();
    let long = Duration::from_secs(600);
    settings.deadlines = Deadlines { window: Duration::from_millis(300), reply: long, idle: long, ..settings.deadlines };
    let running = site.start_with(&settings).await;
    let ask = frame(HEADERS, END_HEADERS | END_STREAM, 1, &head("GET", b"/large.bin", &[]));
    let mut held = begun(running.address(), running.spki, &setting(4, 0)).await;
    held.write_all(&ask).await.unwrap();
    let all = async { while hear(&mut held).await.is_some_and(|heard| heard.kind != GOAWAY) {} };
    assert!(timeout(PATIENCE, all).await.is_ok());
    assert_eq!(running.relay.counters().deadlines_passed.count(), 1);
    // The control: a window of one byte, which went out, and the connection lives on.
    let mut slow = begun(running.address(), running.spki, &setting(4, 1)).await;
    slow.write_all(&ask).await.unwrap();
    while hear(&mut slow).await.expect("the connection stands").kind != 0 {}
    let mut again = begun(running.address(), running.spki, &setting(4, 0)).await;
    again.write_all(&ask).await.unwrap();
    while hear(&mut again).await.is_some_and(|heard| heard.kind != GOAWAY) {}
    slow.write_all(&frame(PING, 0, 0, &[7; 8])).await.unwrap();
    while hear(&mut slow).await.expect("and stands longer than one with no window").kind != PING {}
}

/// A ping is answered, for as long as they come: whoever pings takes nothing of a reply by that.
#[tokio::test(flavor = "multi_thread")]
async fn pings_do_not_stand_for_a_reply_that_is_not_taken() {
    let site = bakery(94, 1 << 20);
    let mut settings = site.settings();
    settings.deadlines = Deadlines { reply: Duration::from_secs(1), ..settings.deadlines };
    let running = site.start_with(&settings).await;
    let held = begun(running.address(), running.spki, &setting(4, 0)).await;
    let (mut reading, mut writing) = split(held);
    let asks: Vec<u8> = (0..STREAMS)
        .flat_map(|nth| frame(HEADERS, END_HEADERS | END_STREAM, stream(nth), &head("GET", b"/large.bin", &[])))
        .collect();
    writing.write_all(&asks).await.unwrap();
    let pinging = async {
        while writing.write_all(&frame(PING, 0, 0, &[7; 8])).await.is_ok() && writing.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let mut answers = 0;
    let reading = async {
        while let Some(heard) = hear(&mut reading).await {
            answers += u32::from((heard.kind, heard.flags) == (PING, ACK));
        }
    };
    timeout(PATIENCE, async { tokio::join!(pinging, reading) }).await.expect("it goes on");
    assert!(answers > 0, "VOID: no ping was answered");
    assert_eq!(running.relay.counters().deadlines_passed.count(), 1);
}

/// The most bytes that the kernel still holds of one of a port's connections because the peer has not taken them, open or over.
fn untaken(port: u16) -> u64 {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let of = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (own, queue) = (words[1].split_once(':').unwrap().1, words[4].split_once(':').unwrap().0);
        (hex(own) == u64::from(port)).then(|| hex(queue))
    };
    table.lines().skip(1).filter_map(of).max().unwrap_or(0)
}

/// By itself the kernel keeps what a peer does not take for minutes after the connection is over, when its place is long somebody else's. Where
/// memory is short it must not.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_goes_with_its_connection() {
    /// What may lie there for a moment: a goodbye, or a packet that is under way.
    const LITTLE: u64 = 2048;
    let site = bakery(95, 1 << 20);
    let mut settings = site.settings();
    let short = Duration::from_secs(1);
    settings.deadlines = Deadlines { reply: short, idle: short, ..settings.deadlines };
    let running = site.start_with(&settings).await;
    site.memory.0.store(300 << 20, Ordering::Relaxed);
    running.relay.tend().await;
    let counters = running.relay.counters();
    let wide = [
        PREFACE,
        &frame(SETTINGS, 0, 0, &setting(4, 0x7fff_ffff)),
        &frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes()),
        &frame(HEADERS, END_HEADERS | END_STREAM, 1, &head("GET", b"/large.bin", &[])),
    ]
    .concat();
    let closing = "GET /small.bin HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    for (name, http, asking) in [
        ("a long reply", b"http/1.1".as_slice(), b"GET /large.bin HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()),
        ("a long reply over h2", b"h2", wide),
        ("a short reply, after which the connection is over", b"http/1.1", closing.as_bytes().to_vec()),
    ] {
        let before = counters.deadlines_passed.count();
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut silent = tls_over(socket.connect(running.address()).await.unwrap(), running.spki, http).await;
        silent.write_all(&asking).await.unwrap();
        silent.flush().await.unwrap();
        until(name, || untaken(running.address().port()) > LITTLE).await;
        until(name, || counters.deadlines_passed.count() > before).await;
        // The connection goes right after it was counted.
        timeout(short, until(name, || untaken(running.address().port()) <= LITTLE)).await.expect(name);
    }
}

/// What TLS and the kernel have of a reply counts as taken. A connection on which nothing more is asked for is idle from then on, and on a slow
/// line the end of the reply is still under way when its time is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_line_gets_the_end_of_a_reply_although_its_connection_was_idle() {
    const LEN: usize = 60_000;
    let site = bakery(96, LEN);
    let mut settings = site.settings();
    let short = Duration::from_millis(500);
    settings.deadlines = Deadlines { idle: short, head: short, ..settings.deadlines };
    let running = site.start_with(&settings).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = tls_over(socket.connect(running.address()).await.unwrap(), running.spki, b"http/1.1").await;
    slow.write_all(b"GET /large.bin HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let (mut got, mut piece) = (0, [0; 1000]);
    while got < LEN {
        let Ok(count @ 1..) = slow.read(&mut piece).await else { panic!("{got} of {LEN} bytes") };
        got += count;
        // The pace of the line: nothing waits for this.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(running.relay.counters().deadlines_passed.count(), 1, "VOID: it was never idle");
}

/// Bodies that are announced and do not come, and replies that are not taken, over many connections from one place, as all come from behind an
/// onion service: they fill the room for them, and whoever of them wants more is sent away. A newcomer is served meanwhile, and a desk reads
/// its lane in whole pages, for which that room has nothing left.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_fills_the_room_for_bodies_and_replies_is_sent_away_and_others_are_served() {
    let mut site = Site::new(83);
    site.more = "cap_per_minute = 1000000".into();
    let mut settings = site.settings();
    // Nothing is let go of because it took long: only the room is looked at.
    let long = Duration::from_secs(600);
    settings.deadlines = Deadlines { body: long, request: long, reply: long, ..settings.deadlines };
    let running = site.start_with(&settings).await;
    let counters = running.relay.counters();
    let mut caller = running.client(Http::Two).await;
    for _ in 0..LANE_PAGE_MAX_CELLS {
        assert_eq!(running.post(&mut caller, &site.line.post()).await.outcome, UpOutcome::Stored, "before");
    }
    let body = head("POST", format!("/{GATE}/v1/desk/blob/{:032x}", 0).as_bytes(), &[(b"content-length", b"65536")]);
    let notice = head("GET", format!("/{GATE}/v1/notice").as_bytes(), &[]);
    let short = head("POST", b"/", &[(b"content-length", b"1")]);
    // On so many streams so much of a body, for as many pieces of so many bytes each. What comes is two bodies at most, before more is asked for.
    for (name, settings, block, flags, (streams, begun_len, pieces, each)) in [
        ("bodies that begin", Vec::new(), &body, END_HEADERS, (7, 17_000, 3, 8192)),
        ("bodies that do not come", Vec::new(), &body, END_HEADERS, (STREAMS, 0, 1, 8192)),
        ("short bodies", Vec::new(), &short, END_HEADERS, (STREAMS, 0, 1, 8192)),
        ("replies", setting(4, 0), &notice, END_HEADERS | END_STREAM, (STREAMS, 0, 1, 4_240)),
    ] {
        let before = counters.requests_shed.count();
        let fits = fit(usize::try_from(streams).unwrap() * pieces, each) / pieces;
        let ask = |nth| {
            let frames = vec![7; begun_len].chunks(16_000).flat_map(|piece| frame(DATA, 0, stream(nth), piece)).collect();
            [frame(HEADERS, flags, stream(nth), block), frames].concat()
        };
        let asks: Vec<u8> = (0..streams).flat_map(ask).collect();
        let mut holding = Vec::new();
        let mut asked = 0;
        let filling = async {
            while counters.requests_shed.count() == before {
                let mut connection = begun(running.address(), running.spki, &settings).await;
                connection.write_all(&asks).await.unwrap();
                connection.flush().await.unwrap();
                holding.push(connection);
                asked += usize::try_from(streams).unwrap();
                assert!(asked < 2 * fits, "{name}: {asked} were let in where {fits} fit");
            }
        };
        assert!(timeout(PATIENCE, filling).await.is_ok(), "{name}: nobody was sent away");
        println!("{name}: {asked} asked for, {fits} fit");
        assert!(asked >= fits, "{name}: {asked} filled what {fits} fit in");
        let mut newcomer = running.client(Http::Two).await;
        for _ in 0..3 {
            assert_eq!(running.post(&mut newcomer, &site.line.post()).await.outcome, UpOutcome::Stored, "{name}: a newcomer");
        }
        let page = running.page(&mut newcomer, 0, 0, 0).await;
        assert_eq!(page.cells.len(), LANE_PAGE_MAX_CELLS, "{name}: a whole page for the desk");
        drop(holding);
        // Another, since a device's bodies have a room of their own.
        let mut last = running.client(Http::Two).await;
        let again = async {
            while last.try_send("POST", &format!("/{GATE}/v1/desk/blob/{:032x}", 0), None, &[0; 65_536]).await.is_err() {
                last = running.client(Http::Two).await;
            }
        };
        assert!(timeout(PATIENCE, again).await.is_ok(), "{name}: the longest body there is, when the room is free");
    }
}

/// How many pieces of so many bytes each are let in, over connections that take so many of them, before one is sent away.
fn fit(pieces: usize, each: usize) -> usize {
    let (mut free, mut count) = (ROOM, 0);
    loop {
        let mut beyond = 0;
        for nth in 1..=pieces {
            if nth * each > LITTLE {
                beyond += each;
                if beyond > free / 4 {
                    return count;
                }
                free -= each;
            }
            count += 1;
        }
    }
}

/// Streams of one connection that are open at once.
const STREAMS: u32 = 32;

/// A head that h2's table spells in a byte for each header takes a hundred times that once it is read, for as long as its body does not come.
#[tokio::test(flavor = "multi_thread")]
async fn heads_whose_bodies_do_not_come_take_little() {
    const CONNECTIONS: usize = 64;
    let site = site(84);
    let process = Process::start(&site.path("relay.toml"));
    let resident = || kib(process.child.id(), "VmRSS");
    let asks: Vec<u8> = (0..STREAMS)
        .flat_map(|nth| {
            let usual = head("POST", b"/", &[(b"content-length", b"1")]);
            // The first time in full, and into the table; from then on the first place there.
            let via = if nth == 0 { header(0x40, b"via", b"") } else { vec![0xbe] };
            frame(HEADERS, END_HEADERS, stream(nth), &[usual, via, vec![0xbe; 420]].concat())
        })
        .collect();
    let mut plain = begun(process.address, process.spki, &[]).await;
    plain.write_all(&frame(HEADERS, END_HEADERS, 1, &head("POST", b"/", &[(b"content-length", b"1")]))).await.unwrap();
    let before = resident();
    let mut holding = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = begun(process.address, process.spki, &[]).await;
        connection.write_all(&asks).await.unwrap();
        // Heard, so that all of it was read: whatever it says to a ping comes after the heads.
        connection.write_all(&frame(PING, 0, 0, &[7; 8])).await.unwrap();
        while hear(&mut connection).await.expect("the connection stands").kind != PING {}
        holding.push(connection);
    }
    let each = (resident() - before) / CONNECTIONS as u64;
    println!("{STREAMS} heads of 420 headers each and no bodies: {each} KiB a connection (pass: at most 512)");
    assert!(each <= 512);
    process.stop().await;
}

/// What h2's table of headers holds of a head it holds as a slice of the buffer that the head was read in; so a path of one byte keeps as much
/// as frames of no meaning in front of it made that buffer large, and 107 of them fit. By name: half a gigabyte, if nobody ended it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "sends half a gigabyte: by name"]
async fn tables_of_headers_do_not_fill_the_memory() {
    const CONNECTIONS: usize = 192;
    const HEADS: u32 = 107;
    let site = site(89);
    let process = Process::start(&site.path("relay.toml"));
    let resident = || kib(process.child.id(), "VmRSS") >> 10;
    let filler: Vec<u8> = [8_200, 8_200, 16_384].iter().flat_map(|len| frame(0xfa, 0, 0, &vec![b'x'; *len])).collect();
    // The method and the scheme from the table that everybody has, the path into the one of this connection.
    let ask = |nth| {
        let block = [&[0x82, 0x87, 0x44, 1, b'/'], header(0, b":authority", b"localhost").as_slice()].concat();
        // Before its first request a connection may not send that much.
        let filler: &[u8] = if nth == 0 { &[] } else { &filler };
        [filler, &frame(HEADERS, END_HEADERS | END_STREAM, stream(nth), &block)].concat()
    };
    let (before, mut most) = (resident(), 0);
    let mut holding = Vec::new();
    let mut good = process.client().await;
    for _ in 0..CONNECTIONS {
        let mut connection = begun(process.address, process.spki, &[]).await;
        for nth in 0..HEADS {
            if connection.write_all(&ask(nth)).await.is_err() {
                break;
            }
            while let Some(heard) = hear(&mut connection).await {
                // The window of the whole connection, so that answers go on.
                let more = u32::try_from(heard.body.len()).unwrap();
                if heard.kind == DATA && more > 0 {
                    let _ = connection.write_all(&frame(WINDOW_UPDATE, 0, 0, &more.to_be_bytes())).await;
                }
                if heard.stream == stream(nth) && heard.flags & END_STREAM != 0 {
                    break;
                }
            }
        }
        holding.push(connection);
        most = most.max(resident());
        // Whoever sends little is served all the while, on the connection it has.
        good.get("notice").await.ok();
    }
    println!("{HEADS} heads on each of {CONNECTIONS} connections: {most} MiB at most, {before} before (pass: 448)");
    assert!(most > 256, "VOID: nothing was kept");
    assert!(most <= 448);
    process.stop().await;
}

/// Whatever it was that made memory short.
#[tokio::test]
async fn when_memory_is_short_those_leave_by_whom_most_came() {
    let site = Site::new(90);
    let running = site.start().await;
    let mut good = running.client(Http::Two).await;
    running.notice(&mut good).await;
    let talker = async || {
        let mut talker = running.client(Http::Two).await;
        // More than twice what a page says in all its ten minutes.
        for _ in 0..5 {
            talker.send("POST", "/", None, &[0; 65_536]).await;
        }
        talker
    };
    let leaves = async |mut talker: Client| {
        let all = async { while talker.try_send("GET", "/", None, &[]).await.is_ok() {} };
        timeout(PATIENCE, all).await.expect("whoever said most leaves");
    };
    let look = async |mib: u64| {
        site.memory.0.store(mib << 20, Ordering::Relaxed);
        running.relay.tend().await;
    };
    let mut talkers = Vec::new();
    for _ in 0..16 {
        talkers.push(talker().await);
    }
    look(0).await;
    running.notice(&mut good).await;
    look(400).await;
    for talker in talkers {
        leaves(talker).await;
    }
    // It sways and has not grown since: nobody has to, whatever they said.
    let last = talker().await;
    for mib in [400, 399, 400, 380, 400] {
        look(mib).await;
    }
    assert_eq!(running.relay.counters().connections_shed.count(), 16);
    running.notice(&mut good).await;
    // What was given back and comes again is growth, or it would be let come from a higher mark each time.
    look(300).await;
    look(400).await;
    leaves(last).await;
    running.notice(&mut good).await;
}

/// A hello that says it goes on, and does: what cannot be read yet would be kept.
#[tokio::test]
async fn a_hello_that_goes_on_is_ended() {
    let site = Site::new(85);
    let mut settings = site.settings();
    settings.deadlines = Deadlines { handshake: Duration::from_secs(600), ..settings.deadlines };
    let running = site.start_with(&settings).await;
    let record = |body: &[u8]| [&[22, 3, 1], &u16::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat();
    // A ClientHello of 65,000 bytes, of which 62,000 come.
    let hello = [vec![1, 0, 0xfd, 0xe8, 3, 3], vec![7; 62_000]].concat();
    let mut stream = TcpStream::connect(running.address()).await.unwrap();
    for piece in hello.chunks(4000) {
        // Ended in the middle.
        let _ = stream.write_all(&record(piece)).await;
    }
    let ended = async { stream.read(&mut [0; 64]).await };
    assert!(!matches!(timeout(PATIENCE, ended).await.expect("it waits for the rest"), Ok(1..)));
    let mut good = running.client(Http::Two).await;
    running.notice(&mut good).await;
}

/// A device that asks for more at once than its programs ever do is answered as if nothing were there, until something of it is done. What a
/// lead signs gets through.
#[tokio::test(flavor = "multi_thread")]
async fn one_device_has_sixteen_calls_at_once() {
    let site = Site::new(86);
    let running = site.start().await;
    let path = |wait: u64| format!("/v1/desk/up?after=0000000000000000-0&wait={wait}");
    let token = |method: &'static str, path: &str, body: &[u8]| {
        site.line.token(&site.line.lead, &running.spki, (method, path), body, NOON.seconds())
    };
    let mut polls = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (mut client, token) = (running.client(Http::Two).await, token("GET", &path(30), &[]));
        let path = format!("/{GATE}{}", path(30));
        polls.spawn(async move { client.send("GET", &path, Some(&token), &[]).await.status.as_u16() });
    }
    let mut client = running.client(Http::Two).await;
    let refused = async {
        loop {
            let token = token("GET", &path(0), &[]);
            let status = client.send("GET", &format!("/{GATE}{}", path(0)), Some(&token), &[]).await.status.as_u16();
            if status == 404 {
                break;
            }
        }
    };
    timeout(PATIENCE, refused).await.expect("a seventeenth is let in");
    let roster = site.line.roster(1, porchlight_proto::time::Timing::PRODUCTION, None);
    let signed = token("PUT", "/v1/desk/roster", roster.bytes());
    let hung = client.send("PUT", &format!("/{GATE}/v1/desk/roster"), Some(&signed), roster.bytes()).await;
    assert_eq!(hung.status.as_u16(), 200, "a roster gets through");
    assert_eq!(running.post(&mut client, &site.line.post()).await.outcome, UpOutcome::Stored);
    while let Some(status) = polls.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    let again = client.send("GET", &format!("/{GATE}{}", path(0)), Some(&token("GET", &path(0), &[])), &[]).await;
    assert_eq!(again.status.as_u16(), 200, "when they are done");
}
