//! Flipped bits, torn and missing files: a relay serves what is whole, says what is lost, and goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::binary::*;
use crate::support::*;
use porchlight_proto::api::{DeskOutcome, DeskReply, Floor, Notice, SlotOutcome, UpOutcome};
use porchlight_proto::limits::{BLOB_LEN, ROSTER_LEN};
use porchlight_proto::line::DeviceId;
use porchlight_proto::time::Timing;
use porchlight_relay::seal::Lane;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

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
