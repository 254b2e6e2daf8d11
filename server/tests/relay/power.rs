//! Power cuts: the machine stops between two writes, and the disk has what was synced and some of the rest.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::binary::*;
use crate::disk::Disk;
use crate::support::*;
use porchlight_proto::api::{DeskOutcome, DeskReply, Floor, Notice, SlotOutcome, UpOutcome, UpReply};
use porchlight_proto::limits::BLOB_LEN;
use porchlight_proto::time::{Timing, is_safeguarding};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// Cuts, unless `PORCHLIGHT_CUTS` says otherwise.
const CUTS: u32 = 6;

/// A slot of the slow track is due within a second or two, and its day lives for longer than a run takes.
const TIMING: Timing = Timing { slow_s: 1, slow_days: 31, ..Timing::PRODUCTION };

/// What was promised before a cut.
#[derive(Clone, Default)]
struct Promised {
    cells: BTreeSet<Vec<u8>>,
    slots: Vec<(u64, Vec<u8>)>,
    blobs: Vec<(String, Vec<u8>)>,
    serial: u32,
    bulletins: u32,
}

impl Promised {
    /// What goes with the keys.
    fn forget_sealed(&mut self) {
        self.cells.clear();
        self.slots.clear();
        self.blobs.clear();
    }
}

/// Hands in a bundle with a slow slot, and a blob.
async fn hand_in(process: &Process, line: &TestLine, promised: &Mutex<Promised>) {
    let (mut client, mut outcome) = (process.client().await, SlotOutcome::NotOpen);
    while outcome != SlotOutcome::Written {
        // The next slot may begin before the relay has looked.
        let slot = (now().0 + 1..).find(|slot| !is_safeguarding(*slot)).unwrap();
        let beat = line.beat(None, Some(slot), Floor::default());
        let call = ("POST", "desk/beat");
        let reply = desk(process, &mut client, line, &line.worker, call, beat.to_bytes().as_slice()).await;
        let reply = DeskReply::parse(&reply.ok()).unwrap();
        assert_eq!(reply.outcome, DeskOutcome::Done);
        outcome = reply.slow;
        let mut promised = promised.lock().unwrap();
        promised.cells.extend(beat.team_cells.iter().map(|cell| cell.to_vec()));
        if outcome == SlotOutcome::Written {
            promised.slots.push((slot, beat.slow_cell.to_vec()));
        }
    }
    let (blob, name) = (line.bytes::<BLOB_LEN>(), data_encoding::HEXLOWER.encode(line.bytes::<16>().as_slice()));
    let call = format!("desk/blob/{name}");
    let reply = desk(process, &mut client, line, &line.lead, ("PUT", &call), blob.as_slice()).await;
    assert_eq!(DeskReply::parse(&reply.ok()).unwrap().outcome, DeskOutcome::Done);
    promised.lock().unwrap().blobs.push((call, blob.to_vec()));
}

/// Holds the relay to the slots and blobs that it promised; gives how many.
async fn handed_out(process: &Process, client: &mut Client, line: &TestLine, promised: &Promised, cut: u32) -> [usize; 2] {
    for (slot, cell) in &promised.slots {
        until("a slot begins", || now().0 > *slot).await;
        let day = client.get(&format!("down/slow/{}", slot / 48)).await.ok();
        assert_eq!(&day[in_day(*slot)], cell.as_slice(), "cut {cut}: slot {slot} was promised");
    }
    for (call, blob) in &promised.blobs {
        let held = desk(process, client, line, &line.lead, ("GET", call), &[]).await;
        assert!(held.status.is_success() && held.body == blob.as_slice(), "cut {cut}: {call} was promised: {}", held.status);
    }
    [promised.slots.len(), promised.blobs.len()]
}

/// Publishes so many rosters while cells are posted, and before the last of them hands in a bundle and a blob; then the power goes. Gives what
/// was promised before that.
async fn live(process: &Process, line: &TestLine, disk: &Disk, promised: Promised, rosters: u32) -> Promised {
    let (promised, is_over) = (Mutex::new(promised), AtomicBool::new(false));
    let posting = async {
        let mut client = process.client().await;
        while !is_over.load(Ordering::Relaxed) {
            let post = line.post();
            let reply = client.try_send("POST", &format!("/{GATE}/v1/up"), None, post.to_bytes().as_slice()).await.unwrap();
            if UpReply::parse(&reply.ok()).unwrap().outcome == UpOutcome::Stored {
                promised.lock().unwrap().cells.insert(post.cell.to_vec());
            }
        }
    };
    let publishing = async {
        let mut client = process.client().await;
        for nth in 1..=rosters {
            // Late, so that nothing but themselves has brought them to the disk.
            if nth == rosters {
                hand_in(process, line, &promised).await;
            }
            let serial = promised.lock().unwrap().serial + 1;
            let roster = line.roster_of(1, serial, TIMING, None);
            let reply = desk(process, &mut client, line, &line.lead, ("PUT", "desk/roster"), roster.bytes()).await;
            assert_eq!(DeskReply::parse(&reply.ok()).unwrap().outcome, DeskOutcome::Done);
            promised.lock().unwrap().serial = serial;
            let nth = promised.lock().unwrap().bulletins + 1;
            let put = ("PUT", "desk/bulletin");
            let reply = desk(process, &mut client, line, &line.worker, put, &line.nth_bulletin(nth)).await;
            assert_eq!(DeskReply::parse(&reply.ok()).unwrap().outcome, DeskOutcome::Done);
            promised.lock().unwrap().bulletins = nth;
        }
        // First what was promised, then the cut: whatever is promised between them counts for nothing.
        let before = promised.lock().unwrap().clone();
        disk.pull_the_plug();
        is_over.store(true, Ordering::Relaxed);
        before
    };
    tokio::join!(posting, publishing).1
}

/// Every other cut takes the keys along, as a machine does that stops; the others leave them, as a disk does that alone loses power.
#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_takes_nothing_that_was_promised_but_what_dies_with_the_keys() {
    assert!(rustix::process::geteuid().is_root(), "this test mounts a file system: run it as root");
    let number = |name: &str, usual: u32| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let (cuts, seed) = (number("PORCHLIGHT_CUTS", CUTS), number("PORCHLIGHT_SEED", 120));
    println!("seed {seed}");
    let mut rng = ChaCha20Rng::seed_from_u64(seed.into());
    let (disk, mut promised) = (Disk::new(), Promised::default());
    let mut site = site(seed.into());
    site.more = format!("cap_per_minute = 10000000\nslow_s = {}\nslow_days = {}", TIMING.slow_s, TIMING.slow_days);
    std::fs::write(site.path("relay.toml"), site.text()).unwrap();
    std::fs::create_dir(site.path("data")).unwrap();
    let (mut read_back, mut had) = (0, [0; 2]);
    for cut in 0..=cuts {
        let mounted = disk.mount(&site.path("data"));
        let process = Process::start(&site.path("relay.toml"));
        let mut client = process.client().await;
        let held = held(&process, &mut client, &site.line).await;
        let lost = promised.cells.difference(&held).count();
        assert_eq!(lost, 0, "cut {cut}: of {} promised", promised.cells.len());
        read_back += promised.cells.len();
        let handed_out = handed_out(&process, &mut client, &site.line, &promised, cut).await;
        had = std::array::from_fn(|kind| had[kind] + handed_out[kind]);
        let reply = client.send("POST", &format!("/{GATE}/v1/up"), None, site.line.post().to_bytes().as_slice()).await;
        let reply = UpReply::parse(&reply.ok()).unwrap();
        assert_eq!(reply.outcome, UpOutcome::Stored, "cut {cut}");
        assert!(reply.serial >= promised.serial, "cut {cut}: roster {} was promised, {} is there", promised.serial, reply.serial);
        let notice = Notice::parse(&client.get("notice").await.ok()).unwrap();
        let nth = promised.bulletins;
        // The one after it may have been on the disk when the power went.
        let may_hang = if nth == 0 { vec![] } else { vec![site.line.nth_bulletin(nth), site.line.nth_bulletin(nth + 1)] };
        assert!(nth == 0 || may_hang.contains(&notice.bulletin), "cut {cut}: bulletin {nth} was promised");
        promised = live(&process, &site.line, &disk, promised, 5 + rng.next_u32() % 16).await;
        drop((client, process));
        drop(mounted);
        disk.power_up(&mut rng);
        if cut % 2 == 0 {
            std::fs::remove_dir_all(site.path("keys")).unwrap();
            promised.forget_sealed();
        }
    }
    let [slots, blobs] = had;
    println!(
        "{cuts} cuts, opened after each (pass: all); {} rosters, {} bulletins, {read_back} cells, {slots} slow slots and {blobs} blobs were promised, none lost (pass: 0)",
        promised.serial, promised.bulletins
    );
    assert!(read_back > 20 && slots > 0 && blobs > 0, "too little for this to say anything");
}
