//! A disk that others have filled, and a quota that is used up: refused is said, nothing is lost, and it is got over.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::binary::*;
use crate::support::*;
use porchlight_proto::api::{DeskOutcome, DeskReply, Floor, Notice, UpOutcome, UpPost, UpReply};
use porchlight_proto::limits::BLOB_LEN;
use porchlight_proto::time::Timing;
use porchlight_relay::clock::{Clock, SystemClock};
use porchlight_relay::seal::Lane;
use tokio::time::sleep;

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

/// A disk that is smaller than the quota promises is a small room, and no room that somebody has filled.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_disk_on_which_nothing_lies_turns_nobody_away() {
    assert!(rustix::process::geteuid().is_root(), "this test mounts a small tmpfs in a namespace of its own: run it as root");
    let mut site = site(61);
    site.more = "cap_per_minute = 1000000".into();
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    let disk = Cramped::start(&site, "160m");
    let mut client = disk.process.client().await;
    for nth in 0..300 {
        assert_eq!(post(&mut client, &site.line.post()).await, UpOutcome::Stored, "cell {nth}");
    }
    disk.process.signal(rustix::process::Signal::TERM);
    let (_, heard) = disk.process.ended().await;
    assert!(!heard.iter().any(|said| said.contains("half of the room")), "{heard:?}");
}

/// Where callers are let in at a slower rate, somebody has to hear of it long before the room is full.
#[tokio::test(flavor = "multi_thread")]
async fn room_that_grows_scarce_is_said_before_it_is_full() {
    let mut site = site(62);
    site.top += "quota_bytes = 8388608\n";
    site.more = "cap_per_minute = 1000000".into();
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    let process = Process::start(&site.path("relay.toml"));
    let mut client = process.client().await;
    let mut stored_count = 0;
    // Then stamps are asked for, and less and less is let in.
    while post(&mut client, &site.line.post()).await == UpOutcome::Stored {
        stored_count += 1;
    }
    process.hear("half of the room");
    println!("{stored_count} cells were taken before the rate fell");
    assert!(stored_count > 100);
    process.stop().await;
}

/// Whoever moves the directory, or unmounts what it lies on, hears that and not that a disk is full.
#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_that_is_gone_is_called_gone() {
    let site = site(63);
    let process = Process::start(&site.path("relay.toml"));
    let mut client = process.client().await;
    assert_eq!(post(&mut client, &site.line.post()).await, UpOutcome::Stored);
    std::fs::rename(site.path("data"), site.path("elsewhere")).unwrap();
    process.hear("removed, moved or unmounted");
    assert_eq!(post(&mut client, &site.line.post()).await, UpOutcome::Full);
    let heard: Vec<String> = process.said.try_iter().collect();
    assert!(!heard.iter().any(|said| said.contains("is full")), "{heard:?}");
    process.signal(rustix::process::Signal::KILL);
}

/// What somebody took away while the relay was stopped is said when it starts, and not when a desk asks for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_at_the_start_is_said_then() {
    for (gone, says) in [("data/cells", "altered or lost"), ("keys/keyring", "has no key any more")] {
        let site = site(64);
        let process = Process::start(&site.path("relay.toml"));
        let mut client = process.client().await;
        assert_eq!(post(&mut client, &site.line.post()).await, UpOutcome::Stored);
        process.stop().await;
        let gone = site.path(gone);
        if gone.is_dir() { std::fs::remove_dir_all(gone) } else { std::fs::remove_file(gone) }.unwrap();
        let process = Process::start(&site.path("relay.toml"));
        process.hear(says);
        process.stop().await;
    }
}
