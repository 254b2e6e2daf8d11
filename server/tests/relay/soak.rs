//! Days of short epochs in one process: nothing lost or late, and it takes no more of its machine at the end.

use std::path::Path;
use std::time::Duration;

use crate::binary::*;
use crate::support::*;
use porchlight_proto::api::{Floor, UpOutcome};
use rustix::process::Signal;
use tokio::time::sleep;

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
