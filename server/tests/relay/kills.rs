//! Kill -9 at moments from a seed, under everything a relay does.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use crate::binary::*;
use crate::support::*;
use porchlight_proto::api::{DeskOutcome, DeskReply, Floor, Notice, SlotOutcome, UpOutcome, UpReply};
use porchlight_proto::limits::{BLOB_LEN, DOWN_CELL_LEN};
use porchlight_proto::time::Timing;
use porchlight_relay::clock::{Clock, SystemClock};
use porchlight_relay::seal::Lane;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

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
