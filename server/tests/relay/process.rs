//! The binary as an operator has it: its one line, its exit codes, its signals, and that it can be killed at any moment.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use crate::binary::*;
use crate::disk::Disk;
use crate::support::*;
use porchlight_proto::api::{DeskOutcome, DeskReply, Floor, LanePage, Notice, SlotOutcome, UpOutcome, UpPost, UpReply};
use porchlight_proto::limits::{BLOB_LEN, DOWN_CELL_LEN, ROSTER_LEN};
use porchlight_proto::line::DeviceId;
use porchlight_proto::time::Timing;
use porchlight_relay::clock::{Clock, SystemClock};
use porchlight_relay::seal::Lane;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use rustix::process::{Pid, Signal, kill_process};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, apply_filter,
};
use tokio::time::{sleep, timeout};

#[tokio::test]
async fn it_says_ready_serves_and_stops_cleanly_at_either_signal() {
    let site = site(50);
    for signal in [Signal::TERM, Signal::INT] {
        let process = Process::start(&site.path("relay.toml"));
        let mut client = Client::connect(process.address, process.spki, Http::Two).await;
        client.get("notice").await.ok();
        process.signal(signal);
        assert_eq!(process.ended().await.0.code(), Some(0), "{signal:?}");
    }
    let pin = std::fs::read_to_string(site.path("data/tls/pin")).unwrap();
    let checked = output("check-config", &site.path("relay.toml"), &["--dev"]);
    assert_eq!(checked.status.code(), Some(0));
    assert!(String::from_utf8(checked.stdout).unwrap().ends_with(&format!("lines 1\nstore Sled\npin {pin}")));
}

/// The kernel answers `prctl(PR_GET_AUXV)` since Linux 6.4, and Debian 12 has 6.1. Before that how large a page is stands in a file that a process
/// which is not dumpable may not open: whoever asks for it once the relay is confined panics.
#[tokio::test]
async fn it_goes_on_where_the_kernel_is_older_than_6_4() {
    const PR_GET_AUXV: u64 = 0x4155_5856;
    let site = site(57);
    let config = site.path("relay.toml");
    // What is refused to a thread is refused to what it starts.
    let process = std::thread::spawn(move || {
        let asks = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, PR_GET_AUXV).unwrap();
        let rules = BTreeMap::from([(libc::SYS_prctl, vec![SeccompRule::new(vec![asks]).unwrap()])]);
        let (rest, unknown) = (SeccompAction::Allow, SeccompAction::Errno(libc::EINVAL.unsigned_abs()));
        let filter: BpfProgram =
            SeccompFilter::new(rules, rest, unknown, std::env::consts::ARCH.try_into().unwrap()).unwrap().try_into().unwrap();
        apply_filter(&filter).unwrap();
        Process::start(&config)
    });
    let mut process = process.join().unwrap();
    let mut client = Client::connect(process.address, process.spki, Http::Two).await;
    // It looks at its memory four times a second.
    let ended = timeout(Duration::from_secs(2), async {
        while process.child.try_wait().unwrap().is_none() {
            client.get("notice").await.ok();
            sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(ended.await.is_err(), "it ended: {:?}", process.child.wait());
    process.signal(Signal::TERM);
    assert_eq!(process.ended().await.0.code(), Some(0));
}

/// How often the relay is killed, unless `PORCHLIGHT_KILLS` says otherwise.
const KILLS: u64 = 10;

/// Seconds that cells live after their epoch in [`a_kill_loses_no_acknowledged_cell`].
const KILLED_TTL_S: u64 = 6;

/// What a relay has acknowledged in all its lives, and when: milliseconds before it was asked and after it answered.
#[derive(Default)]
struct Promised {
    cells: Vec<(u64, u64, Vec<u8>)>,
    slots: Vec<(u64, Vec<u8>)>,
    blobs: Vec<(String, Vec<u8>)>,
    /// The last roster's serial, and which bulletin.
    serial: u32,
    bulletins: u32,
}

/// The serial of the roster in a notice, or 0.
fn serial_of(notice: &[u8]) -> u32 {
    let roster = Notice::parse(notice).unwrap().roster;
    roster.map_or(0, |bytes| u32::from_be_bytes(*bytes[34..].first_chunk().unwrap()))
}

fn millis() -> u64 {
    SystemClock.wall().0
}

/// A load of all kinds, until the relay does not answer any more.
async fn live_until_killed(
    process: &Process,
    line: &TestLine,
    clients: [Client; 4],
    promised: &Mutex<Promised>,
    rng: &mut ChaCha20Rng,
) {
    let [mut first, mut second, mut beating, mut blobs] = clients;
    let desk_beats = async {
        for nth in 0.. {
            let fast = Timing::PRODUCTION.fast_slot(Timing::PRODUCTION.beat(SystemClock.wall()) + 1 + nth % 20, 0);
            let (asked, slot) = (millis(), (now().0 + 1 + nth % 5..).find(|slot| slot % 8 != 7).unwrap());
            let beat = line.beat(Some(fast), Some(slot), Floor::default());
            let call = ("POST", "desk/beat");
            let Ok(reply) = try_desk(process, &mut beating, line, &line.worker, call, beat.to_bytes().as_slice()).await else {
                break;
            };
            let reply = DeskReply::parse(&reply.ok()).unwrap();
            assert_eq!(reply.outcome, DeskOutcome::Done, "there is room");
            let mut promised = promised.lock().unwrap();
            promised.cells.extend(beat.team_cells.iter().map(|cell| (asked, millis(), cell.to_vec())));
            if reply.slow == SlotOutcome::Written {
                promised.slots.push((slot, beat.slow_cell.to_vec()));
            }
        }
    };
    // Two in a life: a line may hold a thousand, and they live for a day.
    let names = [(); 2].map(|()| format!("desk/blob/{:016x}{:016x}", rng.next_u64(), rng.next_u64()));
    let putting = async {
        let Ok(notice) = blobs.try_send("GET", &format!("/{GATE}/v1/notice"), None, &[]).await else { return };
        let (serial, nth) = (serial_of(&notice.ok()) + 1, promised.lock().unwrap().bulletins + 1);
        let roster = line.roster_of(1, serial, Timing { slow_s: 1, slow_days: 2, ..Timing::PRODUCTION }, None);
        let put = ("PUT", "desk/roster");
        let Ok(reply) = try_desk(process, &mut blobs, line, &line.lead, put, roster.bytes()).await else { return };
        assert_eq!(DeskReply::parse(&reply.ok()).unwrap().outcome, DeskOutcome::Done, "roster {serial}");
        promised.lock().unwrap().serial = serial;
        let put = ("PUT", "desk/bulletin");
        let Ok(reply) = try_desk(process, &mut blobs, line, &line.worker, put, &line.nth_bulletin(nth)).await else { return };
        assert_eq!(DeskReply::parse(&reply.ok()).unwrap().outcome, DeskOutcome::Done, "bulletin {nth}");
        promised.lock().unwrap().bulletins = nth;
        for name in names {
            let blob = line.bytes::<BLOB_LEN>();
            let Ok(reply) = try_desk(process, &mut blobs, line, &line.lead, ("PUT", &name), blob.as_slice()).await else { break };
            assert_eq!(DeskReply::parse(&reply.ok()).unwrap().outcome, DeskOutcome::Done, "there is room");
            promised.lock().unwrap().blobs.push((name, blob.to_vec()));
        }
    };
    tokio::join!(
        post_until_killed(&mut first, line, promised),
        post_until_killed(&mut second, line, promised),
        desk_beats,
        putting
    );
}

async fn post_until_killed(client: &mut Client, line: &TestLine, promised: &Mutex<Promised>) {
    loop {
        let (up, asked) = (line.post(), millis());
        let reply = client.try_send("POST", &format!("/{GATE}/v1/up"), None, up.to_bytes().as_slice()).await;
        let Ok(reply) = reply else { break };
        assert_eq!(UpReply::parse(&reply.ok()).unwrap().outcome, UpOutcome::Stored, "there is room");
        promised.lock().unwrap().cells.push((asked, millis(), up.cell.to_vec()));
    }
}

/// Reads everything back, and holds it against what was promised: whatever still lives is there, once; what has died is not. Gives how many
/// cells, slots and blobs had to be there.
async fn read_back(
    process: &Process,
    line: &TestLine,
    promised: &Promised,
    longest_ms: u64,
    rng: &mut ChaCha20Rng,
) -> [usize; 3] {
    let mut client = process.client().await;
    let before = millis();
    let cells = held_in_order(process, &mut client, line).await;
    let after = millis();
    let held: BTreeSet<&Vec<u8>> = cells.iter().collect();
    let ttl_ms = KILLED_TTL_S * 1000;
    let (alive, others): (Vec<_>, Vec<_>) = promised.cells.iter().partition(|(asked, ..)| asked + ttl_ms > after);
    let lost = alive.iter().filter(|(.., cell)| !held.contains(cell)).count();
    let late = others.iter().filter(|(_, at, cell)| at + longest_ms + ttl_ms + 1000 < before && held.contains(cell)).count();
    assert_eq!((lost, late, cells.len() - held.len()), (0, 0, 0), "lost, late, twice; of {} that live", alive.len());

    let notice = client.get("notice").await.ok();
    let (serial, notice) = (serial_of(&notice), Notice::parse(&notice).unwrap());
    // What was being put up when it was killed may hang there or not.
    let nth = promised.bulletins;
    assert!((promised.serial..=promised.serial + 1).contains(&serial), "roster {} was promised, {serial} hangs", promised.serial);
    let may_hang = [line.nth_bulletin(nth), line.nth_bulletin(nth + 1)];
    assert!(may_hang.contains(&notice.bulletin) || nth == 0 && notice.bulletin == [0; 80], "bulletin {nth} was promised");

    let (begun, mut shown) = (now().0, 0);
    for day in [begun / 48 - 1, begun / 48] {
        let slots: Vec<_> = promised.slots.iter().filter(|(slot, _)| slot / 48 == day && *slot < begun).collect();
        let reply = client.get(&format!("down/slow/{day}")).await;
        // A day of two ends while it is asked for.
        if now().0 / 48 > day + 1 {
            continue;
        }
        let page = reply.ok();
        for (slot, cell) in &slots {
            assert_eq!(&page[in_day(*slot)], cell.as_slice(), "slot {slot} was promised");
            assert_eq!(page.chunks(DOWN_CELL_LEN).filter(|shown| shown == cell).count(), 1, "slot {slot} is shown once");
        }
        shown += slots.len();
    }
    // The newest ones, and one of any age.
    let any = rng.next_u32() as usize % promised.blobs.len().max(1);
    let blobs: Vec<_> = promised.blobs.iter().rev().take(3).chain(promised.blobs.get(any)).collect();
    for (name, blob) in &blobs {
        assert_eq!(desk(process, &mut client, line, &line.lead, ("GET", name), &[]).await.ok(), blob.as_slice(), "{name}");
    }
    [alive.len(), shown, blobs.len()]
}

/// When a life of a relay ends, so many milliseconds from now: at any moment, or around one at which it begins an epoch or lets go of one.
fn moment(began: u64, unit_s: u64, rng: &mut ChaCha20Rng) -> u64 {
    let (now, around) = (millis(), rng.next_u64() % 40);
    match rng.next_u64() % 3 {
        // It tidies up a second after it began: keys are wiped then, and shelves removed.
        0 => (began + 990 + around).saturating_sub(now),
        1 => Some(unit_s * 1000 - now % (unit_s * 1000) + around).filter(|wait| *wait < 1500).unwrap_or(around * 10),
        _ => 5 + rng.next_u64() % 600,
    }
}

/// The relay is killed at moments that a seed draws, while cells, slots and blobs are handed in, while epochs begin, and while keys are wiped
/// and shelves removed; or before it has started. After each kill it must have, once, all that it acknowledged and that still lives.
///
/// Each life has epochs of another length, so that each has a shelf of its own, which dies some lives later.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_loses_no_acknowledged_cell() {
    let (kills, seed) = (number("PORCHLIGHT_KILLS", KILLS), number("PORCHLIGHT_SEED", 51));
    println!("seed {seed}");
    let (mut rng, mut site) = (ChaCha20Rng::seed_from_u64(seed), site(seed));
    site.more = format!("up_ttl_s = {KILLED_TTL_S}\nslow_s = 1\nslow_days = 2\ndesk_beat_ms = 10\ncap_per_minute = 10000000");
    let (text, config, promised) = (site.text(), site.path("relay.toml"), Mutex::new(Promised::default()));
    let (mut checked, mut stillborn, mut unwiped, mut unremoved) = ([0; 3], 0, 0, 0);
    for kill in 0..=kills {
        let unit_s = 2 + rng.next_u64() % 6;
        std::fs::write(&config, format!("epoch_s = {unit_s}\n{text}")).unwrap();
        if kill > 0 && rng.next_u64().is_multiple_of(2) {
            let mut command = Command::new(BINARY);
            command.args(["run", "--dev", "--config"]).arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            std::thread::sleep(Duration::from_millis(rng.next_u64() % 40));
            child.kill().unwrap();
            child.wait().unwrap();
            stillborn += 1;
        }
        let mut process = Process::start(&config);
        let began = millis();
        // Not held while anybody waits: the load of this life begins afterwards.
        let before = std::mem::take(&mut *promised.lock().unwrap());
        let had = read_back(&process, &site.line, &before, 7000, &mut rng).await;
        checked = std::array::from_fn(|kind| checked[kind] + had[kind]);
        *promised.lock().unwrap() = before;
        if kill == kills {
            process.stop().await;
            break;
        }
        // Connected before the clock runs: a relay that is killed meanwhile says nothing about its store.
        let clients = [process.client().await, process.client().await, process.client().await, process.client().await];
        let (wait, pid) = (moment(began, unit_s, &mut rng), Pid::from_child(&process.child));
        let killer = tokio::spawn(async move {
            sleep(Duration::from_millis(wait)).await;
            kill_process(pid, Signal::KILL).unwrap();
        });
        live_until_killed(&process, &site.line, clients, &promised, &mut rng).await;
        killer.await.unwrap();
        process.child.wait().unwrap();
        unwiped += dead_keys(&site.path("keys"));
        unremoved += shelves_without_keys(&site);
    }
    let promised = promised.into_inner().unwrap();
    let [cells, slots, blobs] = [promised.cells.len(), promised.slots.len(), promised.blobs.len()];
    println!(
        "{kills} kills (a whole run: 500) and {stillborn} before it had started; {cells} cells, {slots} slots, {blobs} blobs, {} rosters, {} bulletins acknowledged",
        promised.serial, promised.bulletins
    );
    println!("after the kills {checked:?} times a cell, a slot, a blob had to be there, and was, once (pass: all)");
    println!("the kills left {unwiped} dead keys not yet wiped, and {unremoved} shelves whose keys were");
    assert!(checked.iter().all(|count| *count > 10), "too little was promised for this to say anything");
}

/// Keys that should be gone and that a kill has left.
fn dead_keys(keys: &Path) -> usize {
    let (keyring, boot) = (std::fs::read(keys.join("keyring")).unwrap(), SystemClock.boot().0);
    let slots = keyring[64..].chunks(160).filter(|slot| matches!(slot[0], 1..=3));
    slots.filter(|slot| u64::from_be_bytes(slot[96..104].try_into().unwrap()) <= boot).count()
}

fn shelves_without_keys(site: &Site) -> usize {
    let lanes = [Lane::Up, Lane::Slow, Lane::Blob];
    let known: BTreeSet<String> = lanes.iter().flat_map(|lane| shelves_in(&site.path("keys"), *lane)).collect();
    let entries = std::fs::read_dir(site.path("data/cells")).unwrap();
    entries.filter(|entry| !known.contains(entry.as_ref().unwrap().file_name().to_str().unwrap())).count()
}

#[test]
fn it_refuses_with_the_key_and_what_to_do_about_it() {
    let site = site(52);
    let write = |name: &str, text: &str| {
        std::fs::write(site.path(name), text).unwrap();
        site.path(name)
    };
    let text = site.text();
    let (public, certificate) = (text.replace("127.0.0.1:0", "0.0.0.0:0"), "cert = \"cert.pem\"\nkey = \"key.pem\"");
    for (name, config, code, says) in [
        ("no file", site.path("nowhere.toml"), 1, "cannot read"),
        ("an unknown key", write("a.toml", &format!("colour = 1\n{text}")), 1, "unknown field, expected one of `listen`"),
        ("its own certificate in public", write("e.toml", &public), 1, "tls.self_signed: is for this machine alone"),
        (
            "no decoy on a public address",
            write("b.toml", &public.replace("self_signed = true", certificate)),
            1,
            "decoy_dir: is missing",
        ),
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

#[test]
fn what_run_refuses_check_config_refuses_with_the_same_words_and_makes_nothing() {
    use std::os::unix::fs::symlink;
    /// Its name, lines of the configuration, how the site's directory is changed, and what is said.
    type Mistake = (&'static str, &'static str, fn(&Site), &'static str);
    fn decoy(site: &Site) {
        std::fs::create_dir(site.path("site")).unwrap();
        ["site/index.html", "site/404.html", "outside"].iter().for_each(|name| std::fs::write(site.path(name), "x").unwrap());
    }
    let mistakes: [Mistake; 5] = [
        ("a keyring on a disk", "", |_| {}, "is not on a file system in RAM"),
        (
            "a file of the decoy elsewhere",
            "keyring_on_disk = true\ndecoy_dir = \"site\"\n",
            |site| {
                decoy(site);
                symlink("../outside", site.path("site/linked.html")).unwrap();
            },
            "decoy_dir: /linked.html is a link that leads out of decoy_dir",
        ),
        (
            "the cells elsewhere",
            "keyring_on_disk = true\n",
            |site| {
                ["data", "elsewhere"].iter().for_each(|name| std::fs::create_dir(site.path(name)).unwrap());
                symlink("../elsewhere", site.path("data/cells")).unwrap();
            },
            "data_dir: cells is a link that leads out of data_dir",
        ),
        (
            "no page for what is not there",
            "keyring_on_disk = true\ndecoy_dir = \"site\"\n",
            |site| std::fs::create_dir(site.path("site")).unwrap(),
            "decoy_dir: there is no index.html",
        ),
        (
            "a site among the relay's own files",
            "keyring_on_disk = true\ndecoy_dir = \".\"\n",
            |_| {},
            "decoy_dir: the configuration lies in it",
        ),
    ];
    for (name, more, change, says) in mistakes {
        let mut site = site(56);
        site.top += more;
        std::fs::write(site.path("relay.toml"), site.text()).unwrap();
        change(&site);
        let before = files_under(site.dir.path());
        for verb in ["check-config", "run"] {
            let output = output(verb, &site.path("relay.toml"), &[]);
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), output.stdout), (Some(1), vec![]), "{verb}, {name}: {stderr}");
            assert!(stderr.contains(says), "{verb}, {name}: {stderr}");
            if verb == "check-config" {
                assert_eq!(files_under(site.dir.path()), before, "{name}");
            }
        }
    }
}

#[test]
fn check_config_makes_no_key_unless_it_is_told_to() {
    let site = site(57);
    let pin = |more: &[&str]| {
        let checked = output("check-config", &site.path("relay.toml"), &[&["--dev"], more].concat());
        assert_eq!(checked.status.code(), Some(0));
        String::from_utf8(checked.stdout).unwrap().rsplit_once("pin ").unwrap().1.to_owned()
    };
    assert_eq!(pin(&[]), "none yet: the first start makes the key, or --make-key now\n");
    assert_eq!(files_under(site.dir.path()), [site.path("relay.toml")]);
    let made = pin(&["--make-key"]);
    assert_eq!(std::fs::read_to_string(site.path("data/tls/pin")).unwrap(), made);
    assert_eq!(pin(&[]), made, "from now on it is there");
}

/// A private key that was given for its path.
#[test]
fn no_verb_repeats_a_key_that_stands_where_its_path_should() {
    let site = site(58);
    let pem = "-----BEGIN PRIVATE KEY-----\nk3v9q2k3v9q2\n-----END PRIVATE KEY-----\n";
    // One that nothing tells from a path.
    let bare = "MC4CAQAwBQYDK2VwBCIEIk3v9q2k3v9q2";
    for (key, value) in [("key", pem), ("cert", pem), ("key", bare), ("cert", bare)] {
        let other = if key == "key" { "cert = \"cert.pem\"" } else { "key = \"key.pem\"" };
        let files = format!("{key} = {value:?}\n{other}");
        std::fs::write(site.path("relay.toml"), site.text().replace("self_signed = true", &files)).unwrap();
        if value == bare {
            let pair = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            std::fs::write(site.path("cert.pem"), params.self_signed(&pair).unwrap().pem()).unwrap();
            std::fs::write(site.path("key.pem"), pair.serialize_pem()).unwrap();
        }
        for verb in ["check-config", "run", "doctor"] {
            let output = output(verb, &site.path("relay.toml"), &["--dev"]);
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8(said).unwrap();
            // The doctor looks at the key alone.
            let named = if verb == "doctor" { "tls." } else { &format!("tls.{key}: ") };
            assert!(said.contains(named), "{verb}: {said}");
            assert!(!said.contains("k3v9q2k3v9q2"), "{verb}: {said}");
        }
    }
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

/// Its directory is then the one that it was started in, and the process is confined to that.
#[test]
fn a_configuration_of_a_bare_name_has_its_paths_from_where_it_is_started() {
    let mut site = site(59);
    site.top = site.top.replace("127.0.0.1:0", "unix:relay.sock");
    std::fs::write(site.path("relay.toml"), site.text().replace("self_signed = true", "")).unwrap();
    let mut command = Command::new(BINARY);
    command.args(["run", "--dev", "--config", "relay.toml"]).current_dir(site.dir.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!((child.wait().unwrap().code(), line.as_str()), (Some(0), "ready unix:./relay.sock\n"));
    assert!(!site.path("relay.sock").exists(), "it can be removed there as well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_long_polls_and_silent_connections_and_a_hangup_stops_nothing() {
    let site = site(55);
    let process = Process::start(&site.path("relay.toml"));
    process.signal(Signal::HUP);
    process.hear("SIGHUP changes nothing here");
    let mut client = process.client().await;
    let mut other = client.another();
    let silent = [tls(process.address, process.spki, b"http/1.1").await, tls(process.address, process.spki, b"h2").await];
    let poll =
        desk(&process, &mut client, &site.line, &site.line.worker, ("GET", "desk/up?after=0000000000000000-0&wait=30"), &[]);
    let stopped = async {
        // On the same connection and after the poll: so the poll has begun when this is answered.
        other.get("notice").await.ok();
        process.signal(Signal::TERM);
    };
    let (page, ()) = tokio::join!(poll, stopped);
    assert!(LanePage::parse(&page.ok()).unwrap().cells.is_empty(), "the poll ends with an ordinary answer");
    let began = SystemClock.boot();
    let (status, said) = process.ended().await;
    println!("ended {} ms after the poll", SystemClock.boot().since(began));
    assert_eq!(status.code(), Some(0));
    assert_eq!(said, [""; 0], "nothing more to say");
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let site = site(56);
    let mut process = Process::start(&site.path("relay.toml"));
    let mut slow = tls(process.address, process.spki, b"http/1.1").await;
    let half = format!("POST /{GATE}/v1/up HTTP/1.1\r\nhost: a\r\ncontent-length: 2080\r\n\r\nhalf");
    tokio::io::AsyncWriteExt::write_all(&mut slow, half.as_bytes()).await.unwrap();
    process.signal(Signal::TERM);
    // It has heard the first when it accepts nobody any more.
    while std::net::TcpStream::connect(process.address).is_ok() {
        tokio::task::yield_now().await;
    }
    process.signal(Signal::TERM);
    process.hear("stopped at once");
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_does_not_answer_is_not_waited_for_at_the_end() {
    assert!(rustix::process::geteuid().is_root(), "this test mounts a file system: run it as root");
    let (site, disk) = (site(60), Disk::new());
    std::fs::create_dir_all(site.path("data/cells")).unwrap();
    let _mounted = disk.mount(&site.path("data/cells"));
    let mut process = Process::start(&site.path("relay.toml"));
    let mut client = process.client().await;
    assert_eq!(post(&mut client, &site.line.post()).await, UpOutcome::Stored);
    let hangs = disk.hang();
    let mut waits = client.another();
    let up = site.line.post();
    let waiting = tokio::spawn(async move { post(&mut waits, &up).await });
    // On the same connection and after the post: so that has begun when this is answered.
    client.get("notice").await.ok();
    process.signal(Signal::TERM);
    process.hear("does the disk answer?");
    waiting.abort();
    // A kernel lets nobody go that waits for a disk of this kind.
    drop(hangs);
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_relay_on_the_same_keyring_is_refused() {
    let site = site(57);
    let mut process = Process::start(&site.path("relay.toml"));
    std::fs::write(site.path("other.toml"), site.text().replace("\"data\"", "\"other\"")).unwrap();
    let output = output("run", &site.path("other.toml"), &["--dev"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("another relay is using the keyring"));
    process.signal(Signal::TERM);
    process.child.wait().unwrap();
}

/// What a relay held before its files were hurt.
struct Fixture {
    /// Every file below the site, and what was in it.
    files: Vec<(PathBuf, Vec<u8>)>,
    /// The cells of each shelf of the up lane.
    cells: BTreeMap<String, BTreeSet<Vec<u8>>>,
    /// The shelf of the days, or two where one begins between them; and what was written to them.
    days: BTreeSet<String>,
    slots: BTreeMap<u64, Vec<u8>>,
    /// The shelf of the blob, its call, and the blob.
    blobs: String,
    blob_call: String,
    blob: Vec<u8>,
    /// What the line says in public: the roster in force, which puts a device out that the one before did not, and a bulletin.
    roster: Box<[u8; ROSTER_LEN]>,
    bulletin: [u8; 80],
}

/// The pace of the lines in [`damage_to_any_file_costs_what_it_held_and_nothing_else`].
const SECONDS: Timing = Timing { slow_s: 1, slow_days: 31, ..Timing::PRODUCTION };

fn write_config(site: &Site, epoch_s: u64) {
    std::fs::write(site.path("relay.toml"), format!("epoch_s = {epoch_s}\n{}", site.text())).unwrap();
}

/// Three shelves of cells, one of them with two epochs; one or two of two days, one of a blob; a roster.
async fn fixture(site: &Site) -> Fixture {
    let (line, mut slots) = (&site.line, BTreeMap::new());
    let (before, roster) = (line.roster(4, SECONDS, None), line.roster(5, SECONDS, Some(DeviceId([3; 8]))));
    let bulletin = line.bulletin(now());
    let blob_call = "desk/blob/00112233445566778899aabbccddeeff".to_owned();
    let blob = line.bytes::<BLOB_LEN>().to_vec();
    // Epochs of another length lie on another shelf.
    for epoch_s in [3600, 1800, 2] {
        write_config(site, epoch_s);
        let process = Process::start(&site.path("relay.toml"));
        let mut client = process.client().await;
        for _ in 0..if epoch_s == 2 { 2 } else { 1 } {
            for _ in 0..12 {
                assert_eq!(post(&mut client, &line.post()).await, UpOutcome::Stored);
            }
            let epoch = now().0 / 2;
            until("another epoch begins", || epoch_s != 2 || now().0 / 2 > epoch).await;
        }
        if epoch_s == 2 {
            let call = ("PUT", blob_call.as_str());
            desk(&process, &mut client, line, &line.lead, call, &blob).await.ok();
            for (call, bytes) in
                [("roster", before.bytes().as_slice()), ("roster", roster.bytes().as_slice()), ("bulletin", bulletin.as_slice())]
            {
                let (path, by) = (format!("desk/{call}"), if call == "roster" { &line.lead } else { &line.worker });
                let put = desk(&process, &mut client, line, by, ("PUT", &path), bytes).await.ok();
                assert_eq!(DeskReply::parse(&put).unwrap().outcome, DeskOutcome::Done, "VOID: {call}");
            }
            // The last of them lies in another day.
            let next = now().0 + 1;
            for slot in (next..next + 5).chain([next + 46]).filter(|slot| slot % 8 != 7) {
                let beat = line.beat(Some(0), Some(slot), Floor::default());
                let call = ("POST", "desk/beat");
                let reply = desk(&process, &mut client, line, &line.worker, call, beat.to_bytes().as_slice()).await.ok();
                if DeskReply::parse(&reply).unwrap().slow == SlotOutcome::Written {
                    slots.insert(slot, beat.slow_cell.to_vec());
                }
            }
        }
        process.stop().await;
    }
    let fifth = *slots.keys().nth(2).unwrap();
    until("slots begin", || now().0 > fifth).await;
    let [up, days, blobs] = [Lane::Up, Lane::Slow, Lane::Blob].map(|lane| shelves_in(&site.path("keys"), lane));
    let cells = up.into_iter().map(|shelf| {
        let alone = format!("alone/{shelf}");
        copy(&site.path("data/cells").join(&shelf), &site.path(&alone).join(&shelf));
        let cells = cells_of(&opened(site, &alone, "keys"));
        (shelf, cells)
    });
    let cells: BTreeMap<_, _> = cells.collect();
    assert!(cells.len() >= 3 && cells.values().all(|cells| !cells.is_empty()), "VOID: {} shelves of cells", cells.len());
    let files = ["data", "keys"].iter().flat_map(|name| files_under(&site.path(name)));
    let below = |path: &Path| path.strip_prefix(site.dir.path()).unwrap().to_owned();
    let mut files: Vec<_> = files.map(|path| (below(&path), std::fs::read(path).unwrap())).collect();
    // The names of shelves are random, and a seed should hurt the same files again.
    files.sort_by_key(|(path, bytes)| (path.file_name().map(ToOwned::to_owned), bytes.len()));
    let blobs = blobs.first().unwrap().clone();
    Fixture { files, cells, days, slots, blobs, blob_call, blob, roster: Box::new(*roster.bytes()), bulletin }
}

/// What became of a file: bytes, or none.
type Hurt = (String, Option<Vec<u8>>);

/// The ways to hurt a file: bits flipped and tails torn where chance has it, and those that are worth it for certain.
fn ways(bytes: &[u8], flips: Option<usize>, rng: &mut ChaCha20Rng) -> Vec<Hurt> {
    let len = bytes.len();
    let mut draw = |below: usize| usize::try_from(rng.next_u64() % below.max(1) as u64).unwrap();
    // A keyring is zeros for the most part: nobody would notice.
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(len, |last| last + 1);
    let flips_at: Vec<usize> = (0..flips.unwrap_or(2)).map(|_| draw(used)).collect();
    let tears_at: Vec<usize> = (0..=flips.unwrap_or(0) / 4).map(|_| draw(len)).collect();
    let flipped = |at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 0x10;
        (format!("a bit of {at} of {len} flipped"), Some(bytes))
    };
    let torn = |at: usize| (format!("torn at {at} of {len}"), Some(bytes[..at].to_vec()));
    let mut ways: Vec<Hurt> = flips_at.into_iter().map(flipped).collect();
    ways.extend(tears_at.into_iter().chain([0, 1, len - 1]).map(torn));
    ways.push(("gone".into(), None));
    if flips.is_none() {
        // A sample of them in `verify`.
        let from = draw(ways.len());
        ways.rotate_left(from);
        ways.truncate(3);
    }
    ways
}

/// Whether something is what it was with a little changed: neither the same nor unlike it.
fn is_altered(shown: &[u8], was: &[u8]) -> bool {
    shown != was && shown.iter().zip(was).filter(|(one, other)| one == other).count() > was.len() / 8
}

/// What a relay over hurt files still has: cells, and whether its slots and its blob are whole.
struct Left {
    cells: BTreeSet<Vec<u8>>,
    has_slots: bool,
    has_blob: bool,
}

async fn left(process: &Process, client: &mut Client, line: &TestLine, fixture: &Fixture, name: &str) -> Left {
    let cells = held(process, client, line).await;
    let posted: BTreeSet<&Vec<u8>> = fixture.cells.values().flatten().collect();
    assert!(cells.iter().all(|cell| posted.contains(cell)), "{name}: altered cells were served");
    let (begun, mut has_slots) = (now().0, true);
    for (slot, cell) in fixture.slots.iter().filter(|(slot, _)| **slot < begun) {
        let page = client.get(&format!("down/slow/{}", slot / 48)).await.ok();
        assert!(!is_altered(&page[in_day(*slot)], cell), "{name}: an altered slot was served");
        has_slots &= &page[in_day(*slot)] == cell.as_slice();
    }
    let reply = desk(process, client, line, &line.lead, ("GET", &fixture.blob_call), &[]).await;
    let has_blob = reply.status.is_success();
    assert!(!has_blob || reply.body == fixture.blob, "{name}: an altered blob was served");
    Left { cells, has_slots, has_blob }
}

/// What stands in a file's place, so that nobody can open it.
const A_DIRECTORY: &str = "a directory";

/// A file below the site that is hurt, and how.
struct Case<'a> {
    path: &'a Path,
    was: &'a [u8],
    way: String,
    now: Option<Vec<u8>>,
}

impl Fixture {
    /// Everything that is to be done to them.
    fn cases(&self, flips: Option<usize>, rng: &mut ChaCha20Rng) -> Vec<Case<'_>> {
        let mut cases = Vec::new();
        for (path, was) in &self.files {
            if path.starts_with("data/tls") || path.ends_with("lock") {
                continue;
            }
            let mut ways = ways(was, flips, rng);
            if path.starts_with("data/public") {
                // Its head holds its numbers: bytes 24 and 28.
                ways.extend([24, 28].map(|at| {
                    let mut bytes = was.clone();
                    bytes[at] ^= 0x10;
                    (format!("a number at {at} changed"), Some(bytes))
                }));
            }
            if path.starts_with("data/cells") && path.ends_with("db") {
                ways.push((A_DIRECTORY.into(), None));
            }
            cases.extend(ways.into_iter().map(|(way, now)| Case { path, was, way, now }));
        }
        cases
    }

    /// Puts everything down below `dir` as it was, but for what is hurt.
    fn put_down(&self, dir: &Path, case: &Case<'_>) {
        for name in ["data", "keys"] {
            let _ = std::fs::remove_dir_all(dir.join(name));
        }
        for (path, bytes) in &self.files {
            std::fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
            std::fs::write(dir.join(path), bytes).unwrap();
        }
        match &case.now {
            Some(bytes) => std::fs::write(dir.join(case.path), bytes).unwrap(),
            None => std::fs::remove_file(dir.join(case.path)).unwrap(),
        }
        if case.way == A_DIRECTORY {
            std::fs::create_dir(dir.join(case.path)).unwrap();
        }
    }
}

/// Lives through one case in a directory of its own. Gives whether cells, slots and the blob were lost.
async fn live_through(dir: &Path, line: &TestLine, fixture: &Fixture, case: &Case<'_>) -> [bool; 3] {
    fixture.put_down(dir, case);
    let name = format!("{}: {}", case.path.display(), case.way);
    println!("{name}");
    let process = Process::start(&dir.join("relay.toml"));
    let mut client = process.client().await;
    let notice = Notice::parse(&client.get("notice").await.ok()).unwrap();
    let is_said = notice.roster.as_ref() == Some(&fixture.roster) && notice.bulletin == fixture.bulletin;
    let left = left(&process, &mut client, line, fixture, &name).await;
    let hurt: Vec<&String> =
        fixture.cells.iter().filter(|(_, cells)| !cells.is_subset(&left.cells)).map(|(shelf, _)| shelf).collect();
    let losses = [!hurt.is_empty(), !left.has_slots, !left.has_blob];
    match case.path.strip_prefix("data/cells") {
        Ok(inner) => {
            let is_here = |shelf: &str| inner.starts_with(shelf);
            assert!(hurt.iter().all(|shelf| is_here(shelf)), "{name}: cells of other shelves were lost");
            assert!(
                left.has_slots || fixture.days.iter().any(|shelf| is_here(shelf)),
                "{name}: slots were lost, which lay elsewhere"
            );
            assert!(left.has_blob || is_here(&fixture.blobs), "{name}: the blob was lost, which lay elsewhere");
            if losses.contains(&true) {
                process.hear("Check the disk");
            }
        }
        Err(_) if case.path.starts_with("data/public") => {
            assert_eq!(losses, [false; 3], "{name}: it holds no cell");
            // A file that is gone is like one that never was: leads' watches hand all in again.
            if !is_said && case.now.is_some() {
                process.hear("what a line says in public was altered");
            }
        }
        // The keyring: a slot of it is an epoch; its head, or its length, is all of it.
        Err(_) => {
            let is_one_slot = case.now.as_ref().is_some_and(|now| now.len() == case.was.len() && now[..64] == case.was[..64]);
            let hurt_count = hurt.len() + usize::from(!left.has_slots) + usize::from(!left.has_blob);
            assert!(!is_one_slot || hurt_count <= 1, "{name}: one slot opens one epoch");
            if is_one_slot && hurt_count == 1 {
                println!("{name}: {hurt:?}, slots {}, blob {}", left.has_slots, left.has_blob);
                process.hear("Check the disk");
            }
        }
    }
    assert!(is_said || case.path.starts_with("data/public"), "{name}: what the line says lay elsewhere");
    go_on(&process, &mut client, line, fixture, &name).await;
    process.stop().await;
    losses
}

/// Every file of the store, the keyring, and what lies public (rosters and bulletins), flipped, torn and gone. The binary must start, hand out nothing that was not posted and all that lay on
/// other shelves, say what was lost, take and hand out what is posted then, and stop cleanly.
#[tokio::test(flavor = "multi_thread")]
async fn damage_to_any_file_costs_what_it_held_and_nothing_else() {
    /// Cases that are lived through at once: most of each is waiting for the relay to say what it lost.
    const AT_ONCE: usize = 6;
    let seed = number("PORCHLIGHT_SEED", 58);
    let flips = std::env::var("PORCHLIGHT_FLIPS").ok().map(|count| count.parse().unwrap());
    println!("seed {seed}");
    let (mut rng, mut site) = (ChaCha20Rng::seed_from_u64(seed), site(seed));
    site.more = "up_ttl_s = 86400\nslow_s = 1\nslow_days = 31\ndesk_beat_ms = 10".into();
    let fixture = fixture(&site).await;
    let cases = fixture.cases(flips, &mut rng);
    let (line, case_count, queue, losses) = (&site.line, cases.len(), Mutex::new(cases.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for worker in 0..AT_ONCE {
            let dir = site.path(&format!("worker-{worker}"));
            std::fs::create_dir(&dir).unwrap();
            std::fs::copy(site.path("relay.toml"), dir.join("relay.toml")).unwrap();
            let (queue, losses, fixture) = (&queue, &losses, &fixture);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                loop {
                    let Some(case) = queue.lock().unwrap().next() else { break };
                    let lost = runtime.block_on(live_through(&dir, line, fixture, case));
                    losses.lock().unwrap().push(lost);
                }
            });
        }
    });
    let losses = losses.into_inner().unwrap();
    let lost: [usize; 3] = std::array::from_fn(|kind| losses.iter().filter(|lost| lost[kind]).count());
    let whole = losses.iter().filter(|lost| **lost == [false; 3]).count();
    println!(
        "{case_count} cases (a whole run: 200): {whole} lost nothing; cells, slots, the blob were lost in {lost:?}, never of another shelf (pass: 0)"
    );
    assert!(case_count >= 35 && lost.iter().all(|count| *count > 0), "VOID: something was never hurt");
}

/// It goes on: what comes later is taken, and handed out.
async fn go_on(process: &Process, client: &mut Client, line: &TestLine, fixture: &Fixture, name: &str) {
    let next = line.roster(6, SECONDS, None);
    let put = desk(process, client, line, &line.lead, ("PUT", "desk/roster"), next.bytes()).await.ok();
    assert_eq!(DeskReply::parse(&put).unwrap().outcome, DeskOutcome::Done, "{name}: the next roster");
    let up = line.post();
    assert_eq!(post(client, &up).await, UpOutcome::Stored, "{name}");
    let slot = (now().0 + 2..).find(|slot| slot % 8 != 7 && !fixture.slots.contains_key(slot)).unwrap();
    let beat = line.beat(None, Some(slot), Floor::default());
    let reply = desk(process, client, line, &line.worker, ("POST", "desk/beat"), beat.to_bytes().as_slice()).await.ok();
    let reply = DeskReply::parse(&reply).unwrap();
    assert_eq!((reply.outcome, reply.slow), (DeskOutcome::Done, SlotOutcome::Written), "{name}: the next slot");
    let put = desk(process, client, line, &line.lead, ("PUT", &fixture.blob_call), &fixture.blob).await.ok();
    assert_eq!(DeskReply::parse(&put).unwrap().outcome, DeskOutcome::Done, "{name}: the blob again");
    let blob = desk(process, client, line, &line.lead, ("GET", &fixture.blob_call), &[]).await.ok();
    assert_eq!(blob, fixture.blob, "{name}: the blob again");
    let held = held(process, client, line).await;
    assert!([&up.cell].into_iter().chain(&beat.team_cells).all(|cell| held.contains(cell.as_slice())), "{name}: it is kept");
}

/// Another line on the same relay, under another gate.
const OTHER_GATE: &str = "k3v9q3";

/// A relay whose data lie on a small disk of their own, in a mount namespace of its own.
struct Cramped {
    process: Process,
    /// The data directory as it is seen from here.
    data: PathBuf,
}

impl Cramped {
    fn start(site: &Site, size: &str) -> Self {
        let data = site.path("data");
        std::fs::create_dir(&data).unwrap();
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c"]);
        command.arg("mount -t tmpfs -o size=\"$4\",mode=700 tmpfs \"$1\" && exec \"$2\" run --dev --config \"$3\"");
        command.arg("sh").arg(&data).arg(BINARY).arg(site.path("relay.toml")).arg(size);
        let process = Process::spawn(command);
        let data = PathBuf::from(format!("/proc/{}/root{}", process.child.id(), data.display()));
        Self { process, data }
    }

    fn has_ballast(&self) -> bool {
        self.data.join("ballast").exists()
    }

    /// At one blow, to the last byte.
    fn fill(&self) {
        let mut file = std::fs::File::options().create(true).append(true).open(self.data.join("filler")).unwrap();
        while file.write_all(&[7; 4096]).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(self.data.join("filler")).unwrap();
    }

    fn shelves(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.data.join("cells")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// All of a reply to a post but what says how late and how busy it is.
fn whole(mut reply: Reply) -> Reply {
    let mut body = reply.body.to_vec();
    body[1] = 0; // difficulty
    body[6..14].fill(0); // clock_ms
    reply.body = body.into();
    reply
}

/// Posts what must be refused, and says with which bytes.
async fn refusal(client: &mut Client, gate: &str, up: &UpPost) -> Option<Reply> {
    let reply = client.send("POST", &format!("/{gate}/v1/up"), None, up.to_bytes().as_slice()).await;
    let outcome = UpReply::parse(&reply.clone().ok()).unwrap().outcome;
    assert_ne!(outcome, UpOutcome::Stamp, "nobody is asked for stamps here");
    (outcome == UpOutcome::Full).then(|| whole(reply))
}

/// Needs root: the relay gets a mount namespace of its own with a small disk in it. Somebody else fills that disk, and it stays full while
/// everything goes on that needs no room of ours: what is held is read, what is dead goes, what the line says in public can be changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_loses_nothing_and_is_got_over() {
    const TTL_S: u64 = 8;
    assert!(rustix::process::geteuid().is_root(), "this test mounts a small tmpfs in a namespace of its own: run it as root");
    let mut site = site(59);
    let other = TestLine::new(1059, now());
    site.top += "epoch_s = 2\n";
    site.more = format!("up_ttl_s = {TTL_S}\nslow_s = 1\ncap_per_minute = 1000000");
    let capped = other.table(&format!("up_ttl_s = {TTL_S}\ncap_per_minute = 1")).replace(GATE, OTHER_GATE);
    std::fs::write(site.path("relay.toml"), format!("{}{capped}", site.text())).unwrap();
    let disk = Cramped::start(&site, "160m");
    let (process, line) = (&disk.process, &site.line);
    let mut client = process.client().await;
    // How it sounds when there is room and a line has had its share.
    let full = loop {
        if let Some(reply) = refusal(&mut client, OTHER_GATE, &other.post()).await {
            break reply;
        }
    };

    // A ballast that went is taken in when the disk is next measured: the time after that is the longest that nothing is known of a blow.
    std::fs::remove_file(disk.data.join("ballast")).unwrap();
    until("the ballast is taken in", || disk.has_ballast()).await;
    let (mut held_until, slot) = (Vec::new(), (now().0 + 2..).find(|slot| slot % 8 != 7).unwrap());
    let beat = line.beat(None, Some(slot), Floor::default());
    let (at, sent) = (now().0, beat.to_bytes());
    let reply = desk(process, &mut client, line, &line.worker, ("POST", "desk/beat"), sent.as_slice()).await.ok();
    assert_eq!(DeskReply::parse(&reply).unwrap().outcome, DeskOutcome::Done);
    held_until.extend(beat.team_cells.iter().map(|cell| (at + TTL_S, cell.to_vec())));
    let (blob, named) = (line.bytes::<BLOB_LEN>(), "desk/blob/00112233445566778899aabbccddeeff");
    desk(process, &mut client, line, &line.lead, ("PUT", named), blob.as_slice()).await.ok();
    for _ in 0..60 {
        let (up, at) = (line.post(), now().0);
        assert_eq!(post(&mut client, &up).await, UpOutcome::Stored);
        held_until.push((at + TTL_S, up.cell.to_vec()));
    }

    disk.fill();
    let mut refused_count = 0;
    while disk.has_ballast() {
        let (up, at) = (line.post(), now().0);
        match refusal(&mut client, GATE, &up).await {
            None => held_until.push((at + TTL_S, up.cell.to_vec())),
            Some(reply) => {
                assert_eq!(reply, full, "the medium, or what is left of it, refuses as a line's share does");
                refused_count += 1;
            }
        }
    }
    let mut heard = hear_all(process, &["is full", "refuses to be written or read"]);
    assert!(refused_count > 0, "VOID: it was measured too soon for the medium itself to refuse anything");
    assert_eq!(refusal(&mut client, GATE, &line.post()).await, Some(full), "the quota refuses with the same bytes");

    let at_first = all_alive(process, &mut client, line, &held_until).await;
    assert!(at_first > 60, "VOID: too slow, they were dead before they were read");
    copy(&disk.data.join("cells"), &site.path("disk"));
    copy(&site.path("keys"), &site.path("keys-then"));
    let roster = line.roster(5, Timing { slow_s: 1, ..Timing::PRODUCTION }, None);
    let bulletin = line.bulletin(now());
    let next_slot = (now().0 + 2..).find(|slot| slot % 8 != 7);
    let refused = line.beat(None, next_slot, Floor::default());
    for (device, call, body, outcome) in [
        (&line.worker, ("POST", "desk/beat"), refused.to_bytes().as_slice(), DeskOutcome::Full),
        (&line.lead, ("PUT", named), blob.as_slice(), DeskOutcome::Full),
        (&line.lead, ("PUT", "desk/roster"), roster.bytes().as_slice(), DeskOutcome::Done),
        (&line.worker, ("PUT", "desk/bulletin"), bulletin.as_slice(), DeskOutcome::Done),
    ] {
        let reply = desk(process, &mut client, line, device, call, body).await.ok();
        assert_eq!(DeskReply::parse(&reply).unwrap().outcome, outcome, "{call:?}");
    }
    let notice = Notice::parse(&client.get("notice").await.ok()).unwrap();
    assert_eq!((notice.roster.unwrap().as_slice(), notice.bulletin), (roster.bytes().as_slice(), bulletin), "it goes on");
    assert_eq!(desk(process, &mut client, line, &line.lead, ("GET", named), &[]).await.ok(), blob.as_slice());
    until("the slot begins", || now().0 > slot).await;
    let day = client.get(&format!("down/slow/{}", slot / 48)).await.ok();
    assert_eq!(&day[in_day(slot)], beat.slow_cell.as_slice(), "a page opened now is answered");

    // Still full: time passes all the same.
    let (shelves_when_full, up_when_full) = (disk.shelves(), shelves_in(&site.path("keys"), Lane::Up));
    while all_alive(process, &mut client, line, &held_until).await > 0 {
        sleep(Duration::from_millis(50)).await;
    }
    let kept = || [Lane::Slow, Lane::Blob].iter().flat_map(|lane| shelves_in(&site.path("keys"), *lane)).collect();
    until("the shelves of the dead are gone, and no others", || disk.shelves() == kept()).await;
    assert!(shelves_when_full.is_superset(&up_when_full) && !up_when_full.is_empty(), "VOID: cells had shelves");
    assert_eq!(shelves_in(&site.path("keys"), Lane::Up), BTreeSet::new(), "and so are their keys");
    let posted: BTreeSet<Vec<u8>> = held_until.iter().map(|(_, cell)| cell.clone()).collect();
    let then = cells_of(&opened(&site, "disk", "keys-then"));
    assert!(posted.is_subset(&then), "VOID: the copy held them");
    assert_eq!(cells_of(&opened(&site, "disk", "keys")), BTreeSet::new(), "the same disk and the keys of later");
    assert_eq!(post(&mut client, &line.post()).await, UpOutcome::Full, "full to the end");
    assert!(!disk.has_ballast());

    disk.empty();
    heard.extend(hear_all(process, &["there is room again"]));
    let mut held_until = Vec::new();
    for _ in 0..2 {
        let up = line.post();
        until_stored(&mut client, &up).await;
        held_until.push((now().0 + TTL_S - 1, up.cell.to_vec()));
        all_alive(process, &mut client, line, &held_until).await;
        // And again, for as long as it takes to be noticed.
        disk.fill();
        while post(&mut client, &line.post()).await != UpOutcome::Full {}
        disk.empty();
    }
    until("the ballast is taken in again", || disk.has_ballast()).await;
    println!(
        "{} taken, {refused_count} refused before it was noticed, all like a cap; {at_first} of {} read from the full disk; back three times \
         (pass: all)",
        posted.len(),
        posted.len()
    );
    heard.extend(disk.process.said.try_iter());
    assert!(!heard.iter().any(|said| said.contains("lost")), "what was refused is not what was lost: {heard:?}");
    disk.process.stop().await;
}

/// Asks again until it is taken.
async fn until_stored(client: &mut Client, up: &UpPost) {
    let patience = SystemClock.boot();
    while post(client, up).await != UpOutcome::Stored {
        assert!(SystemClock.boot().since(patience) < 60_000, "there is room, and nothing is taken");
    }
}

/// Reads all that is held, and holds it against what was promised until when: nothing is lost before, nothing is served an epoch later. Gives
/// how many there were.
async fn all_alive(process: &Process, client: &mut Client, line: &TestLine, held_until: &[(u64, Vec<u8>)]) -> usize {
    let before = now().0;
    let held = held(process, client, line).await;
    let after = now().0;
    let lost = held_until.iter().filter(|(until, cell)| *until > after && !held.contains(cell)).count();
    let late = held_until.iter().filter(|(until, cell)| until + 4 < before && held.contains(cell)).count();
    assert_eq!((lost, late), (0, 0), "lost before their time, served after it");
    held.len()
}

/// The quota, and how it ends: nobody makes room but time.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_quota_refuses_until_cells_die() {
    let mut site = site(60);
    site.top += "quota_bytes = 8388608\nepoch_s = 2\n";
    site.more = "up_ttl_s = 5\ncap_per_minute = 1000000".into();
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    let process = Process::start(&site.path("relay.toml"));
    let mut client = process.client().await;
    let mut stored_count = 0;
    while post(&mut client, &site.line.post()).await == UpOutcome::Stored {
        stored_count += 1;
    }
    process.hear("is full");
    process.hear("there is room again");
    assert_eq!(post(&mut client, &site.line.post()).await, UpOutcome::Stored);
    println!("{stored_count} cells filled it; it served, forgot and had room again by itself (pass: all three)");
    assert!(stored_count > 100);
    process.stop().await;
}

/// Bytes and files below a directory.
fn size_of(dir: &Path) -> (u64, usize) {
    let files = files_under(dir);
    // A file may go between being listed and being looked at.
    (files.iter().filter_map(|path| path.metadata().ok()).map(|data| data.len()).sum(), files.len())
}

/// What a relay takes of its machine at one moment.
#[derive(Clone, Copy)]
struct Taken {
    memory_kib: u64,
    descriptors: u64,
    threads: u64,
    disk: u64,
}

impl Taken {
    fn by(pid: u32, data: &Path) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64;
        Self { memory_kib: number("VmRSS:"), descriptors, threads: number("Threads:"), disk: size_of(data).0 }
    }
}

/// Something measured, as the mean of the first third and of the last.
fn thirds(all: &[Taken], what: impl Fn(&Taken) -> u64) -> [u64; 2] {
    let third = all.len() / 3;
    [&all[..third], &all[all.len() - third..]].map(|some| some.iter().map(&what).sum::<u64>() / third as u64)
}

/// Epochs whose cells share a shelf: the disk rises until all of them have died, and falls then.
const EPOCHS_PER_DAY: usize = 24;

/// `PORCHLIGHT_DAYS` (4) days of 24 epochs, each `PORCHLIGHT_EPOCH` (3) seconds long, in one process; by name. Cells are posted and read,
/// slots written and connections opened and closed all the while. The first day fills what fills; of the others the first third is held
/// against the last. Then the relay is killed and goes on in another process.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "five minutes: by name"]
async fn days_in_minutes() {
    let (epoch, days) = (number("PORCHLIGHT_EPOCH", 3), usize::try_from(number("PORCHLIGHT_DAYS", 4)).unwrap());
    assert!(days > 1, "the first day fills what fills: it takes two to compare");
    let taken = soak(61, epoch, days * EPOCHS_PER_DAY).await;
    let in_one = &taken[EPOCHS_PER_DAY..days * EPOCHS_PER_DAY];
    let has_grown = [
        ("memory, KiB", thirds(in_one, |taken| taken.memory_kib)),
        ("descriptors", thirds(in_one, |taken| taken.descriptors)),
        ("threads", thirds(in_one, |taken| taken.threads)),
        ("disk, bytes", thirds(in_one, |taken| taken.disk)),
    ]
    .map(|(name, [first, last])| {
        let percent = last * 100 / first;
        println!("{name}: {first} in the first third, {last} in the last: {percent} for 100 (pass: at most 125)");
        percent > 125
    });
    assert_eq!(has_grown, [false; 4]);
}

/// The same in short: nothing is lost, nothing is late.
#[tokio::test(flavor = "multi_thread")]
async fn epochs_come_and_go_and_nothing_is_lost_or_late() {
    assert_eq!(soak(62, 3, 4).await.len(), 7);
}

/// So many epochs in one process, and three in another after a kill. Gives what the relay takes at the end of each.
async fn soak(seed: u64, epoch: u64, in_one: usize) -> Vec<Taken> {
    let mut site = site(seed);
    site.top += &format!("epoch_s = {epoch}\n");
    let ttl = 2 * epoch;
    site.more = format!("up_ttl_s = {ttl}\ncap_per_minute = 1000000\nslow_s = 1\nslow_days = 1");
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    let mut process = Process::start_like_the_unit(&site.path("relay.toml"));
    let (mut posted, mut taken) = (Vec::new(), Vec::new());
    for hour in 0..in_one + 3 {
        if hour == in_one {
            process.signal(Signal::KILL);
            process.child.wait().unwrap();
            process = Process::start_like_the_unit(&site.path("relay.toml"));
        }
        live_an_epoch(&process, &site.line, epoch, &mut posted).await;
        let mut client = process.client().await;
        let held = held(&process, &mut client, &site.line).await;
        let then = now().0;
        let lost = posted.iter().filter(|(at, cell)| at + ttl > then && !held.contains(cell)).count();
        let late = posted.iter().filter(|(at, cell)| at + ttl + epoch + 2 < then && held.contains(cell)).count();
        assert_eq!((lost, late), (0, 0), "epoch {hour}: lost before their time, served after it");
        taken.push(Taken::by(process.child.id(), &site.path("data")));
    }
    process.stop().await;
    assert!(posted.len() > 20 * taken.len(), "VOID: of what was posted hardly anything was stored");
    println!("{} cells in {} epochs of {epoch} s: none lost, none late (pass: 0)", posted.len(), taken.len());
    taken
}

/// Posts, slots, and connections that come and go, for the length of an epoch.
async fn live_an_epoch(process: &Process, line: &TestLine, epoch: u64, posted: &mut Vec<(u64, Vec<u8>)>) {
    let mut client = process.client().await;
    let ends = now().0 + epoch;
    while now().0 < ends {
        for _ in 0..20 {
            let (up, at) = (line.post(), now().0);
            if post(&mut client, &up).await == UpOutcome::Stored {
                posted.push((at, up.cell.to_vec()));
            }
            // The pace of the load: nothing waits for this.
            sleep(Duration::from_millis(20)).await;
        }
        let slot = (now().0 + 3..).find(|slot| slot % 8 != 7);
        let beat = line.beat(None, slot, Floor::default());
        desk(process, &mut client, line, &line.worker, ("POST", "desk/beat"), beat.to_bytes().as_slice()).await.ok();
        let mut visitor = process.client().await;
        for call in ["notice", "down/fast", &format!("down/slow/{}", now().0 / 48)] {
            visitor.get(call).await.ok();
        }
    }
}
