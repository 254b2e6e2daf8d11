//! What the disk holds, with the keys of the moment and with those of later (SPEC §12).

use std::collections::BTreeSet;
use std::path::Path;

use crate::binary::until;
use crate::disk::Disk;
use crate::support::*;
use porchlight_proto::api::{DeskBeat, DeskOutcome, Floor, SlotOutcome, UpOutcome};
use porchlight_proto::limits::{BLOB_LEN, DOWN_CELL_LEN};
use porchlight_proto::time::{Millis, Seconds, Timing};
use porchlight_relay::StartError;
use porchlight_relay::clock::SetClock;
use porchlight_relay::config::{DecoySource, Mode, Settings, StoreKind};
use porchlight_relay::relay::Trouble;
use porchlight_relay::seal::copy::Found;
use porchlight_relay::seal::{KeyringMedium, Lane, boot_id};
use tempfile::TempDir;

/// Days of the carousel end before the cells of this line do.
const UP_TTL_S: u64 = 600;

fn site(seed: u64) -> Site {
    let mut site = Site::new(seed);
    site.top += "epoch_s = 60\n";
    site.more = format!("up_ttl_s = {UP_TTL_S}");
    site
}

#[tokio::test]
async fn a_copy_of_disk_and_keyring_opens_before_expiry_and_not_after() {
    let site = site(20);
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    let mut posted = BTreeSet::new();
    for round in 0..6 {
        for _ in 0..10 {
            let post = site.line.post();
            assert_eq!(running.post(&mut client, &post).await.outcome, UpOutcome::Stored);
            posted.insert(post.cell.to_vec());
        }
        if round % 2 == 0 {
            site.clock.pass(60_000);
        }
    }
    let slot = Timing::PRODUCTION.slow_slot(site.line_now()) + 1;
    let beat = site.line.beat(None, Some(slot), Floor::default());
    running.beat(&mut client, &site.line.worker, &beat).await;
    posted.extend(beat.team_cells.iter().map(|cell| cell.to_vec()));
    let blob = site.line.bytes::<BLOB_LEN>();
    running.desk(&mut client, &site.line.lead, "PUT", &BLOB[4..], blob.as_slice()).await.ok();

    // The control: with the keys of the moment everything is there, so what is missing later is missing because of the keys.
    copy(&site.path("data/cells"), &site.path("disk"));
    copy(&site.path("keys"), &site.path("keys-then"));
    let found = opened(&site, "disk", "keys-then");
    assert_eq!(cells_of(&found), posted);
    assert!(found.iter().any(|found| found.lane == Lane::Slow && found.plain == beat.slow_cell.as_slice()));
    assert!(found.iter().any(|found| found.lane == Lane::Blob && found.plain == blob.as_slice()));

    site.clock.pass((60 + UP_TTL_S) * 1000);
    running.relay.tend().await;
    copy(&site.path("keys"), &site.path("keys-later"));
    assert_eq!(cells_of(&opened(&site, "disk", "keys-later")), BTreeSet::new(), "the same disk, the keyring of later");

    site.clock.pass(6 * 86_400_000);
    running.relay.tend().await;
    copy(&site.path("keys"), &site.path("keys-of-its-last-day"));
    let found_late = opened(&site, "disk", "keys-of-its-last-day");
    assert!(found_late.iter().any(|found| found.lane == Lane::Slow), "what was broadcast lies there for a week");

    site.clock.pass(2 * 86_400_000);
    running.relay.tend().await;
    copy(&site.path("keys"), &site.path("keys-at-last"));
    assert_eq!(opened(&site, "disk", "keys-at-last"), [], "days and blobs are gone as well");
    println!(
        "{} cells of {} with the keys of then (pass: all), 0 with those of later (pass: 0)",
        cells_of(&found).len(),
        posted.len()
    );
}

#[tokio::test]
async fn nothing_posted_and_no_key_lies_on_the_disk_in_the_clear() {
    let site = site(21);
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    let post = site.line.post();
    running.post(&mut client, &post).await;
    let beat = site.line.beat(None, Some(Timing::PRODUCTION.slow_slot(NOON) + 1), Floor::default());
    running.beat(&mut client, &site.line.worker, &beat).await;
    running.relay.stop().await;
    let keyring = std::fs::read(site.path("keys/keyring")).unwrap();
    let keys: Vec<&[u8]> =
        keyring[64..].chunks(160).filter(|slot| matches!(slot[0], 1..=3)).map(|slot| &slot[104..136]).collect();
    assert_eq!(keys.len(), 2, "an epoch of up and a day");
    let mut secrets = vec![&post.cell[100..132], &beat.team_cells[0][100..132], &beat.slow_cell[100..132]];
    secrets.extend(keys);
    let mut files = 0;
    each_file(&site.path("data"), &mut |path, bytes| {
        files += 1;
        for secret in &secrets {
            assert!(!bytes.windows(secret.len()).any(|window| window == *secret), "{}", path.display());
        }
    });
    assert!(files > 4);
}

fn each_file(dir: &Path, look: &mut impl FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            each_file(&path, look);
        } else {
            look(&path, &std::fs::read(&path).unwrap());
        }
    }
}

#[tokio::test]
async fn what_has_died_while_nobody_ran_is_neither_served_nor_kept() {
    let site = site(22);
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    running.post(&mut client, &site.line.post()).await;
    running.relay.stop().await;
    site.clock.pass((60 + UP_TTL_S) * 1000);
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    let page = running.page(&mut client, 0, 0, 0).await;
    assert!(page.cells.is_empty());
    assert!(page.first > 1, "positions are not given out twice in one life");
    assert_eq!(std::fs::read_dir(site.path("data/cells")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_reboot_forgets_everything_and_begins_another_life() {
    let mut site = site(23);
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    running.post(&mut client, &site.line.post()).await;
    let before = running.page(&mut client, 0, 0, 0).await;
    running.relay.stop().await;
    copy(&site.path("data/cells"), &site.path("disk"));
    site.boot_id = [2; 16];
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    let after = running.page(&mut client, before.life, before.last(), 0).await;
    assert_ne!(after.life, before.life);
    assert_eq!((after.first, after.cells.len()), (1, 0));
    assert_eq!(opened(&site, "disk", "keys"), [], "the keyring of the other boot was overwritten");
}

/// What is there of a post, and of a bundle with a slot on either track and a blob that were handed in with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct There {
    cells: usize,
    is_fast_shown: bool,
    /// Nothing if there is no such day.
    is_slow_shown: Option<bool>,
    has_blob: bool,
}

const BLOB: &str = "/v1/desk/blob/00112233445566778899aabbccddeeff";

/// Asks for all of it, with tokens of another time than the wall clock's.
async fn look(running: &Running<'_>, client: &mut Client, (slot, bundle, blob): (u64, &DeskBeat, &[u8]), now: Millis) -> There {
    let cells = running.page_at(client, now.seconds()).await.cells.len();
    let fast = client.get("down/fast").await.ok();
    let is_slow_shown = slow_cell(client, slot).await.map(|shown| {
        let is_shown = shown == bundle.slow_cell.as_slice();
        assert!(is_shown || shown == [0; DOWN_CELL_LEN], "another cell");
        is_shown
    });
    let line = &running.site.line;
    let token = line.token(&line.lead, &running.spki, ("GET", BLOB), &[], now.seconds());
    let reply = client.send("GET", &format!("/{GATE}{BLOB}"), Some(&token), &[]).await;
    let has_blob = reply.status.is_success() && reply.body == blob;
    let is_fast_shown = fast.chunks(DOWN_CELL_LEN).any(|shown| shown == bundle.fast_cell.as_slice());
    There { cells, is_fast_shown, is_slow_shown, has_blob }
}

/// When something happens, and what is there from then on.
type Moment = (&'static str, u64, fn(&mut There));

#[tokio::test]
async fn the_wall_clock_neither_prolongs_nor_shortens_a_life() {
    let (site, timing) = (site(24), Timing::PRODUCTION);
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    running.post(&mut client, &site.line.post()).await;
    let (beat, slot) = (timing.beat(NOON) + 2, timing.slow_slot(NOON) + 1);
    let bundle = site.line.beat(Some(timing.fast_slot(beat, 0)), Some(slot), Floor::default());
    let reply = running.beat(&mut client, &site.line.worker, &bundle).await;
    assert_eq!((reply.outcome, reply.fast, reply.slow), (DeskOutcome::Done, SlotOutcome::Written, SlotOutcome::Written));
    let blob = site.line.bytes::<BLOB_LEN>();
    running.desk(&mut client, &site.line.lead, "PUT", &BLOB[4..], blob.as_slice()).await.ok();
    let mut there = There { cells: 3, is_fast_shown: false, is_slow_shown: Some(false), has_blob: true };

    let end = |unit: u64| (NOON.0 / unit + 1) * unit;
    let moments: [Moment; 6] = [
        ("its beat begins", timing.beat_begins(beat).0, |there| there.is_fast_shown = true),
        ("two beats are over", timing.beat_begins(beat + 2).0, |there| there.is_fast_shown = false),
        ("cells die", end(60_000) + UP_TTL_S * 1000, |there| there.cells = 0),
        ("its slow slot begins", timing.slow_begins(slot).0, |there| there.is_slow_shown = Some(true)),
        ("the blob dies", end(HOUR) + 24 * HOUR, |there| there.has_blob = false),
        ("the day's week is over", end(24 * HOUR) + 6 * 24 * HOUR, |there| there.is_slow_shown = None),
    ];
    let mut now = NOON;
    for (name, at, change) in moments {
        for moment in [at - 1, at] {
            if moment == at {
                change(&mut there);
            }
            site.clock.pass(moment - now.0);
            now = Millis(moment);
            // As it is, 1970, ten days either way, and back. No time passes meanwhile, or the slots would follow a little.
            for wall in [moment, 0, moment - 240 * HOUR, moment + 240 * HOUR, moment] {
                site.clock.set_wall(Millis(wall));
                for has_tidied in [false, true] {
                    let seen = look(&running, &mut client, (slot, &bundle, blob.as_slice()), now).await;
                    let to = i64::try_from(moment).unwrap() - i64::try_from(at).unwrap();
                    assert_eq!(seen, there, "{name}: {to} ms from then, the wall clock at {wall}, has tidied up: {has_tidied}");
                    running.relay.tend().await;
                }
            }
        }
    }
    // What goes by the clock since boot alone does so also while the other one is wrong.
    assert_eq!(running.post(&mut client, &site.line.post()).await.outcome, UpOutcome::Stored);
    site.clock.set_wall(Millis(0));
    for (pass, count) in [(UP_TTL_S * 1000 - 1, 1), (60_001, 0)] {
        site.clock.pass(pass);
        now = now.plus(pass);
        let cells = running.page_at(&mut client, now.seconds()).await.cells;
        assert_eq!(cells.len(), count, "in 1970, even before the relay has tidied up");
    }
    println!(
        "at 1970, ten days early, ten days late and back: cells, slots of both tracks, a day and a blob, each to the millisecond: nothing gone early, nothing served late (pass: none)"
    );
}

const HOUR: u64 = 3_600_000;

/// Keys that a keyring file holds, of whatever lane.
fn key_count(site: &Site) -> usize {
    std::fs::read(site.path("keys/keyring")).unwrap()[64..].chunks(160).filter(|slot| matches!(slot[0], 1..=3)).count()
}

/// Waits until the relay has tidied up by itself, which it does each second: nobody tells it to.
async fn until_keys_are(site: &Site, count: usize, name: &str) {
    until(&format!("{name}: {count} keys"), || key_count(site) == count).await;
}

/// What lies in a day at a slot; nothing if there is no such day.
async fn slow_cell(client: &mut Client, slot: u64) -> Option<Vec<u8>> {
    let reply = client.get(&format!("down/slow/{}", slot / 48)).await;
    let at = usize::try_from(slot % 48).unwrap() * DOWN_CELL_LEN;
    reply.status.is_success().then(|| reply.body[at..at + DOWN_CELL_LEN].to_vec())
}

fn slow_of(found: &[Found]) -> BTreeSet<Vec<u8>> {
    found.iter().filter(|found| found.lane == Lane::Slow).map(|found| found.plain.clone()).collect()
}

/// The machine sleeps: `CLOCK_BOOTTIME` counts on, no timer of the process does, and the wall clock comes along or stays where it was.
#[tokio::test]
async fn what_died_while_the_machine_slept_is_not_there_when_it_wakes_and_what_lives_is() {
    for (seed, is_wall_left_behind) in [(25, false), (26, true)] {
        let name = format!("the wall clock was left behind: {is_wall_left_behind}");
        let mut site = Site::new(seed);
        site.top += "epoch_s = 3600\n";
        site.more = format!("up_ttl_s = {}\nslow_days = 1", 12 * 3600);
        let running = site.start().await;
        let mut client = running.client(Http::Two).await;
        let [dies, lives, later] = [(); 3].map(|()| site.line.post());
        assert_eq!(running.post(&mut client, &dies).await.outcome, UpOutcome::Stored);
        // 15:00. Today ends in the night, and tomorrow begins in it.
        site.clock.pass(3 * HOUR);
        assert_eq!(running.post(&mut client, &lives).await.outcome, UpOutcome::Stored);
        let tomorrow = u64::from(Timing::PRODUCTION.day(NOON) + 1) * 48;
        let fast = Timing::PRODUCTION.fast_slot(Timing::PRODUCTION.beat(site.line_now()) + 1, 0);
        let [today, at_night, in_the_morning] = [tomorrow - 16, tomorrow + 1, tomorrow + 4];
        let beats = [today, at_night, in_the_morning].map(|slot| site.line.beat(Some(fast), Some(slot), Floor::default()));
        for beat in &beats {
            let reply = running.beat(&mut client, &site.line.worker, beat).await;
            assert_eq!((reply.outcome, reply.slow), (DeskOutcome::Done, SlotOutcome::Written), "{name}");
        }
        assert_eq!(key_count(&site), 4, "{name}: two epochs and two days");

        let wall = site.line_now();
        site.clock.pass(10 * HOUR + HOUR / 2);
        if is_wall_left_behind {
            site.clock.set_wall(wall);
        }
        // The first moment: every call of it before the relay has been told to do anything.
        let notice = running.notice(&mut client).await;
        let cells = running.page_at(&mut client, notice.clock_ms.seconds()).await.cells;
        let alive: BTreeSet<Vec<u8>> =
            beats.iter().flat_map(|beat| &beat.team_cells).chain([&lives.cell]).map(|cell| cell.to_vec()).collect();
        assert_eq!(cells.iter().map(|cell| cell.to_vec()).collect::<BTreeSet<_>>(), alive, "{name}");
        assert_eq!(slow_cell(&mut client, today).await, None, "{name}: that day is over");
        assert_eq!(
            slow_cell(&mut client, at_night).await.unwrap(),
            beats[1].slow_cell.as_slice(),
            "{name}: it came in the night"
        );
        assert_eq!(slow_cell(&mut client, in_the_morning).await.unwrap(), [0; DOWN_CELL_LEN], "{name}: it has not come yet");
        let fast = client.get("down/fast").await.ok();
        assert!(fast.chunks(DOWN_CELL_LEN).all(|shown| shown != beats[0].fast_cell.as_slice()), "{name}: its beat is over");

        until_keys_are(&site, 2, &name).await;
        let found = opened(&site, "data/cells", "keys");
        assert_eq!(cells_of(&found), alive, "{name}: kept");
        assert_eq!(slow_of(&found), beats[1..].iter().map(|beat| beat.slow_cell.to_vec()).collect(), "{name}: kept");

        // It goes on as if it had been awake: new cells are taken, and what lived on dies on time.
        assert_eq!(running.post(&mut client, &later).await.outcome, UpOutcome::Stored, "{name}");
        site.clock.pass(2 * HOUR + HOUR / 2);
        let now = running.notice(&mut client).await.clock_ms.seconds();
        let cells = running.page_at(&mut client, now).await.cells;
        assert_eq!(cells, [later.cell], "{name}: the others died at four");
        assert_eq!(
            slow_cell(&mut client, in_the_morning).await.unwrap(),
            beats[2].slow_cell.as_slice(),
            "{name}: it has come by now"
        );
    }
}

/// A machine without a battery shows 1970 when it starts. The relay serves and forgets by the time since then, whether somebody sets the
/// clock afterwards or not, and so does the one that is started next.
#[tokio::test]
async fn a_relay_that_starts_in_1970_serves_and_forgets_on_time() {
    for (seed, is_set_right) in [(27, true), (28, false)] {
        let name = format!("the clock is set right: {is_set_right}");
        let mut site = site(seed);
        let ever = (Seconds(0), Seconds(2 * NOON.seconds().0));
        (site.line, site.clock) = (TestLine::of_life(seed, NOON.seconds(), ever), SetClock::new(Millis(5000)).into());
        site.more += "\nslow_days = 1";
        let running = site.start().await;
        let mut client = running.client(Http::Two).await;
        let [first, second] = [(); 2].map(|()| site.line.post());
        assert_eq!(running.post(&mut client, &first).await.outcome, UpOutcome::Stored, "{name}");
        let beat = site.line.beat(None, Some(1), Floor::default());
        assert_eq!(running.beat(&mut client, &site.line.worker, &beat).await.slow, SlotOutcome::Written, "{name}");
        let page = running.page(&mut client, 0, 0, 0).await;
        assert_eq!((page.first, page.cells.len()), (1, 3), "{name}: the post and the team cells");
        assert_eq!(slow_cell(&mut client, 1).await.unwrap(), [0; DOWN_CELL_LEN], "{name}: not before its slot");

        site.clock.pass(HOUR / 2);
        let page = running.page(&mut client, 0, 0, 0).await;
        assert_eq!((page.first, page.cells.len()), (4, 0), "{name}: dead");
        assert_eq!(slow_cell(&mut client, 1).await.unwrap(), beat.slow_cell.as_slice(), "{name}: shown on time");
        until_keys_are(&site, 1, &name).await;
        assert_eq!(cells_of(&opened(&site, "data/cells", "keys")), BTreeSet::new(), "{name}: nothing is kept");

        assert_eq!(running.post(&mut client, &second).await.outcome, UpOutcome::Stored, "{name}");
        let then = running.notice(&mut client).await.clock_ms.seconds();
        site.clock.set_wall(if is_set_right { NOON } else { Millis(0) });
        running.relay.tend().await;
        assert_eq!(running.page_at(&mut client, then).await.cells, std::slice::from_ref(&second.cell), "{name}: nothing early");
        drop(client);
        running.relay.stop().await;
        let running = site.start().await;
        let mut client = running.client(Http::Two).await;
        let page = running.page(&mut client, 0, 0, 0).await;
        assert_eq!((page.first, page.cells), (4, vec![second.cell.clone()]), "{name}: the next relay holds it");
        let now = site.line_now();
        let next = Timing::PRODUCTION.slow_slot(now) + 2;
        let other = site.line.beat(None, Some(next), Floor::default());
        assert_eq!(running.beat(&mut client, &site.line.worker, &other).await.slow, SlotOutcome::Written, "{name}");
        if is_set_right {
            assert_eq!(slow_cell(&mut client, 1).await, None, "{name}: 1970 is over");
        }

        site.clock.pass((60 + UP_TTL_S) * 1000);
        assert_eq!(running.page(&mut client, 0, 0, 0).await.cells, [], "{name}: dead on time");
        site.clock.pass(HOUR);
        assert_eq!(slow_cell(&mut client, next).await.unwrap(), other.slow_cell.as_slice(), "{name}");
        until_keys_are(&site, if is_set_right { 2 } else { 1 }, &name).await;
        // A day after the machine started, and a day after this relay did.
        site.clock.pass(24 * HOUR);
        assert_eq!(slow_cell(&mut client, 1).await, None, "{name}: the first day is over");
        assert_eq!(slow_cell(&mut client, next).await, None, "{name}: and this one");
        running.relay.tend().await;
        assert_eq!(slow_of(&opened(&site, "data/cells", "keys")), BTreeSet::new(), "{name}: nothing is kept");
    }
}

/// A relay on two disks that can refuse: one for the store, one for the keyring.
struct Disks {
    site: Site,
    refusing: Vec<Disk>,
    _mounted: [fuser::BackgroundSession; 2],
}

impl Disks {
    fn new(seed: u64, refusing: &[&str]) -> Self {
        let site = site(seed);
        let disks = ["data/cells", "keys"].map(|name| (name, Disk::new()));
        let mounted = disks.each_ref().map(|(name, disk)| {
            std::fs::create_dir_all(site.path(name)).unwrap();
            disk.mount(&site.path(name))
        });
        let refusing = disks.into_iter().filter(|(name, _)| refusing.contains(name)).map(|(_, disk)| disk).collect();
        Self { site, refusing, _mounted: mounted }
    }

    fn refuse(&self, refuses: bool) {
        self.refusing.iter().for_each(|disk| disk.refuse(refuses));
    }

    /// Keys in the file, and shelves.
    fn left(&self) -> (usize, usize) {
        let keyring = std::fs::read(self.site.path("keys/keyring")).unwrap();
        let keys = keyring[64..].chunks(160).filter(|slot| matches!(slot[0], 1..=3) || slot[104..136] != [0; 32]);
        // The reserved positions have a slot, too, and no key.
        (keys.count(), std::fs::read_dir(self.site.path("data/cells")).unwrap().count())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_disk_would_not_forget_is_forgotten_as_soon_as_it_does() {
    assert!(rustix::process::geteuid().is_root(), "this test mounts file systems: run it as root");
    for (nth, refusing) in [&["keys"][..], &["data/cells"], &["data/cells", "keys"]].into_iter().enumerate() {
        for is_restarted in [false, true] {
            let name = format!("{refusing:?} refusing, restarted in the middle: {is_restarted}");
            let disks = Disks::new(30 + nth as u64, refusing);
            let mut running = disks.site.start().await;
            let mut client = running.client(Http::Two).await;
            assert_eq!(running.post(&mut client, &disks.site.line.post()).await.outcome, UpOutcome::Stored);
            let before = running.page(&mut client, 0, 0, 0).await;
            assert_eq!((before.cells.len(), disks.left()), (1, (1, 1)), "{name}");

            disks.site.clock.pass((60 + UP_TTL_S) * 1000);
            disks.refuse(true);
            for _ in 0..3 {
                running.relay.tend().await;
                assert!(running.relay.trouble().borrow().unforgotten_count > 0, "{name}: it is said");
            }
            // The control: it could not be forgotten there, and was here.
            let left = (usize::from(refusing.contains(&"keys")), usize::from(refusing.contains(&"data/cells")));
            assert_eq!(disks.left(), left, "VOID: {name}");
            let now = disks.site.line_now().seconds();
            assert!(running.page_at(&mut client, now).await.cells.is_empty(), "{name}: nothing is served meanwhile");

            if is_restarted {
                drop(client);
                running.relay.stop().await;
                let started = porchlight_relay::start(&disks.site.settings(), &disks.site.world()).await;
                if refusing.contains(&"keys") {
                    assert!(
                        matches!(started, Err(StartError::Keyring(_))),
                        "{name}: it does not start over a key that should be gone"
                    );
                } else {
                    let relay = started.unwrap();
                    relay.tend().await;
                    assert!(
                        relay.trouble().borrow().unforgotten_count > 0,
                        "{name}: records alone, which nobody can open, keep nobody out"
                    );
                    relay.stop().await;
                }
                disks.refuse(false);
                running = disks.site.start().await;
            }
            disks.refuse(false);
            running.relay.tend().await;
            assert_eq!(disks.left(), (0, 0), "{name}");
            assert_eq!(running.relay.trouble().borrow().unforgotten_count, 0, "{name}: there is nothing more to try");
            let mut client = running.client(Http::Two).await;
            assert_eq!(running.post(&mut client, &disks.site.line.post()).await.outcome, UpOutcome::Stored, "{name}: it goes on");
            drop(client);
            running.relay.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_refused_for_a_while_is_written_to_again() {
    assert!(rustix::process::geteuid().is_root(), "this test mounts file systems: run it as root");
    let disks = Disks::new(40, &["data/cells"]);
    let running = disks.site.start().await;
    let mut client = running.client(Http::Two).await;
    let [before, refused, after] = [(); 3].map(|()| disks.site.line.post());
    assert_eq!(running.post(&mut client, &before).await.outcome, UpOutcome::Stored);
    disks.refuse(true);
    assert_eq!(running.post(&mut client, &refused).await.outcome, UpOutcome::Full);
    disks.refuse(false);
    assert_eq!(running.post(&mut client, &after).await.outcome, UpOutcome::Stored);
    let cells = cells_in_order(&running, &mut client).await;
    // It was not promised, and may be there; else noise is, which a desk passes over.
    assert_eq!(cells.len(), 3, "no gap, which a desk would take for a letter that died");
    assert_eq!([&cells[0], &cells[2]], [&before.cell.to_vec(), &after.cell.to_vec()]);
    drop(client);
    running.relay.stop().await;
}

/// All that the desk reads.
async fn cells_in_order(running: &Running<'_>, client: &mut Client) -> Vec<Vec<u8>> {
    let (mut cells, mut after) = (Vec::new(), 0);
    let life = running.page(client, 0, 0, 0).await.life;
    loop {
        let page = running.page(client, life, after, 0).await;
        if page.cells.is_empty() {
            return cells;
        }
        after = page.last();
        cells.extend(page.cells.iter().map(|cell| cell.to_vec()));
    }
}

/// Changed from the disk to memory, a relay would leave keys behind that nothing ever wipes.
#[tokio::test]
async fn a_relay_in_memory_does_not_start_over_keys_of_what_lies_on_the_disk() {
    let site = site(46);
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    assert_eq!(running.post(&mut client, &site.line.post()).await.outcome, UpOutcome::Stored);
    drop(client);
    running.relay.stop().await;
    let memory = Settings { store: StoreKind::Memory, ..site.settings() };
    let starts = async || porchlight_relay::start(&memory, &site.world()).await;
    let refused = starts().await.err().map(|error| error.to_string());
    assert!(refused.is_some_and(|said| said.contains("still holds keys") && said.contains("The relay stays off")));
    // Overwritten as the runbook says, it holds none.
    let keyring = site.path("keys/keyring");
    let length = std::fs::metadata(&keyring).unwrap().len();
    std::fs::write(&keyring, vec![0; usize::try_from(length).unwrap()]).unwrap();
    starts().await.unwrap().stop().await;
    // Nor do three bytes, or no file at all.
    std::fs::write(&keyring, [0; 3]).unwrap();
    starts().await.unwrap().stop().await;
    std::fs::remove_file(&keyring).unwrap();
    starts().await.unwrap().stop().await;
    // What cannot be read may hold some.
    std::fs::create_dir(&keyring).unwrap();
    let refused = starts().await.err();
    assert!(matches!(refused, Some(StartError::Data(..))), "{refused:?}");
}

/// A service manager starts what did not start again and again: each time what has died is wiped first.
#[tokio::test]
async fn a_relay_that_finds_a_reason_not_to_start_has_wiped_the_keys_that_died() {
    let site = site(48);
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    assert_eq!(running.post(&mut client, &site.line.post()).await.outcome, UpOutcome::Stored);
    drop(client);
    running.relay.stop().await;
    let keyring = || std::fs::read(site.path("keys/keyring")).unwrap().iter().filter(|byte| **byte != 0).count();
    let before = keyring();
    site.clock.pass(5 * 86_400_000);
    let bare = DecoySource::Dir(site.path("no-such-site"));
    let broken = Settings { decoy: bare, ..site.settings() };
    let refused = porchlight_relay::start(&broken, &site.world()).await.err();
    assert!(matches!(refused, Some(StartError::Decoy(_))), "{refused:?}");
    assert!(keyring() + 64 < before, "VOID or late: {} bytes of {before} are left", keyring());
    // What is found before there is anything to start says so by itself (a machine that swaps, too few files).
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    assert_eq!(running.post(&mut client, &site.line.post()).await.outcome, UpOutcome::Stored);
    drop(client);
    running.relay.stop().await;
    let before = keyring();
    site.clock.pass(5 * 86_400_000);
    porchlight_relay::relay::forget_dead(&site.settings(), &site.world());
    assert!(keyring() + 64 < before, "VOID or late: {} bytes of {before} are left", keyring());
}

/// Whoever tidies up may take the keyring's file from under a relay that runs, or write over it; at the next start all would be gone without a word.
#[tokio::test]
async fn a_keyring_whose_file_was_removed_or_spoilt_is_said_while_something_can_be_done() {
    for spoil in [
        (|keyring: &Path| std::fs::remove_file(keyring).unwrap()) as fn(&Path),
        |keyring| std::fs::File::options().write(true).open(keyring).unwrap().set_len(1000).unwrap(),
        |keyring| std::fs::write(keyring, vec![7; usize::try_from(keyring.metadata().unwrap().len()).unwrap()]).unwrap(),
    ] {
        let site = site(49);
        let running = site.start().await;
        running.relay.tend().await;
        assert_eq!(*running.relay.trouble().borrow(), Trouble::default());
        spoil(&site.path("keys/keyring"));
        running.relay.tend().await;
        assert!(running.relay.trouble().borrow().has_lost_keyring);
        let mut client = running.client(Http::Two).await;
        assert_eq!(running.post(&mut client, &site.line.post()).await.outcome, UpOutcome::Stored, "it goes on");
    }
}

#[tokio::test]
async fn a_relay_in_memory_has_room_and_nothing_to_complain_of() {
    let mut site = site(47);
    site.top += "store = \"memory\"\n";
    let running = site.start().await;
    let mut client = running.client(Http::Two).await;
    let post = site.line.post();
    assert_eq!(running.post(&mut client, &post).await.outcome, UpOutcome::Stored);
    running.relay.tend().await;
    assert_eq!(*running.relay.trouble().borrow(), Trouble::default());
    assert_eq!(running.page(&mut client, 0, 0, 0).await.cells, [post.cell]);
}

#[test]
fn the_boot_is_the_one_that_the_kernel_names() {
    let named = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(data_encoding::HEXLOWER.encode(&boot_id().unwrap()), named.trim().replace('-', ""));
}

/// Without `--dev`: a certificate of its own, somebody's website, the keys in RAM, and the usual pace.
#[tokio::test]
async fn a_relay_as_people_run_it_gives_after_a_restart_what_it_took_before() {
    let mut site = Site::new(48);
    // Not the usual place for what is temporary: that may be RAM, too.
    site.dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let keys = TempDir::new_in("/dev/shm").unwrap();
    site.boot_id = boot_id().unwrap();
    site.top = site.top.replace("\"keys\"", &format!("{:?}", keys.path())) + "decoy_dir = \"www\"\n";
    site.more = "leave_to = \"https://example.org/\"".into();
    let write = |name: &str, text: &str| std::fs::write(site.path(name), text).unwrap();
    std::fs::create_dir(site.path("www")).unwrap();
    write("www/index.html", "<h1>Bakery</h1>");
    write("www/404.html", "<h1>Sold out</h1>");
    let pair = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&pair).unwrap();
    write("cert.pem", &certificate.pem());
    write("key.pem", &pair.serialize_pem());
    write("relay.toml", &site.text().replace("self_signed = true", "cert = \"cert.pem\"\nkey = \"key.pem\""));

    let settings = Settings::load(&site.path("relay.toml"), Mode::Serve).unwrap();
    assert_eq!(settings.keyring_medium, KeyringMedium::RamOnly);
    let no_page = "this relay was built without the callers' page: gates answer native clients only. `cargo demo` builds both";
    let short_gate = "line[0].gates: one of fewer than 8 characters can be found by trying";
    let expected: Vec<&str> = (!porchlight_web::is_built()).then_some(no_page).into_iter().chain([short_gate]).collect();
    assert_eq!(settings.warnings, expected);

    let running = site.start_with(&settings).await;
    let mut client = running.client(Http::Two).await;
    assert_eq!(client.send("GET", "/", None, &[]).await.ok(), "<h1>Bakery</h1>");
    let post = site.line.post();
    assert_eq!(running.post(&mut client, &post).await.outcome, UpOutcome::Stored);
    let life = running.page(&mut client, 0, 0, 0).await.life;
    drop(client);
    running.relay.stop().await;
    let running = site.start_with(&settings).await;
    let mut client = running.client(Http::Two).await;
    let page = running.page(&mut client, life, 0, 0).await;
    assert_eq!((page.life, page.first, page.cells), (life, 1, vec![post.cell]));
    running.relay.tend().await;
    assert_eq!(*running.relay.trouble().borrow(), Trouble::default());
    drop(client);
    running.relay.stop().await;
    each_file(&site.path("data"), &mut |path, bytes| assert!(!bytes.starts_with(b"PLKEYS"), "{}", path.display()));
    assert!(std::fs::read(keys.path().join("keyring")).unwrap().starts_with(b"PLKEYS"));
    site.dir.close().unwrap();
    keys.close().unwrap();
}
