//! The relay's own files, copied while it runs: with the keys of the moment they give back everything, with those of later
//! nothing. `docs/TESTING.md` says how to do the same by hand. And the keys of a desk that was switched off.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use porchlight_client::desk::{LinePlan, Office, Safeguarding};
use porchlight_client::outbox::{Clock, SystemClock};
use porchlight_client::vault::{Holding, KeyName, Passphrase, Vault};
use porchlight_proto::card::RelayAddress;
use porchlight_proto::limits::UP_CELL_LEN;
use porchlight_proto::line::Gate;
use porchlight_proto::sign::SecretKey;
use porchlight_proto::time::{Seconds, Timing};
use porchlight_relay::seal::Lane;
use porchlight_relay::seal::copy::open_copy;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::Value;

use crate::site::{Machine, Plan, Ran, Running, Site};

const EPOCH_S: u64 = 2;
/// Long enough for a busy machine to post and to be killed in.
const UP_TTL_S: u64 = 12;
/// A relay destroys keys that are over once a second, if its machine has the time.
const FEW_SECONDS: Duration = Duration::from_secs(5);

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// How many cells of the up lane a copy of the disk and a copy of the keyring give together.
fn cells(disk: &Path, keys: &Path) -> usize {
    // sled writes when it opens: every look has a copy of its own.
    let look = tempfile::tempdir().unwrap();
    copy(disk, look.path());
    let found = open_copy(look.path(), keys).unwrap();
    let up = found.iter().filter(|found| found.lane == Lane::Up);
    up.flat_map(|found| found.plain.chunks(UP_CELL_LEN).map(<[u8]>::to_vec)).collect::<BTreeSet<_>>().len()
}

#[test]
fn a_copy_of_the_relays_disk_and_keyring_opens_before_expiry_and_never_after() {
    let init = ["--up-ttl-s", &UP_TTL_S.to_string()];
    let (site, mut relay) = Site::published(Plan { top: &format!("epoch_s = {EPOCH_S}"), init: &init, ..Plan::default() });
    let (caller, long) = (site.caller(), "쌀".repeat(4_000));
    // No desk fetches: what leaves the disk leaves it by expiry alone.
    let posts = ["caller", "write", "--fast-beats", "--text", &long];
    assert_eq!(caller.run(&posts).ends(0).events("in_box").len(), 1);
    let posted = Instant::now();
    // As it is, while it runs; then as a kill leaves it.
    let place = tempfile::tempdir().unwrap();
    let (disk, then, later) = (place.path().join("disk"), place.path().join("then"), place.path().join("later"));
    relay.signal("KILL");
    relay.ended();
    copy(&site.machine.path("data/cells"), &disk);
    copy(site.keys.path(), &then);
    let _relay = site.relay();
    // 12,000 bytes take 17 parts of 723.
    assert!(cells(&disk, &then) >= 17, "with the keys of the moment every posted cell is there");
    // An epoch, the time to live, and one epoch more.
    std::thread::sleep(Duration::from_secs(2 * EPOCH_S + UP_TTL_S + 1).saturating_sub(posted.elapsed()));
    let until = Instant::now() + FEW_SECONDS;
    loop {
        copy(site.keys.path(), &later);
        let left = cells(&disk, &later);
        if left == 0 {
            break;
        }
        assert!(Instant::now() < until, "the same disk with the keys of later: {left} cells");
        std::thread::sleep(Duration::from_millis(100));
    }
    let now = place.path().join("now");
    copy(&site.machine.path("data/cells"), &now);
    assert_eq!(cells(&now, &later), 0, "the disk of later");
    assert!(cells(&disk, &then) >= 17, "what was copied with its keys stays open: copies are beyond the relay's reach");
}

/// The runbook *The relay stays off*, with its own command: a relay that is stopped still holds its keys, until somebody destroys them.
#[test]
fn when_a_stopped_relays_keys_were_destroyed_by_the_runbook_nothing_it_held_opens_and_it_serves_on() {
    let runbooks = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/RUNBOOKS.md")).unwrap();
    let command = runbooks.split('`').find(|text| text.starts_with("shred ")).expect("the runbook says how");
    let (site, mut relay) = Site::published(Plan::default());
    let caller = site.caller();
    assert_eq!(caller.run(&["caller", "write", "--fast-beats", "--text", "lost on purpose"]).ends(0).events("in_box").len(), 1);
    relay.signal("TERM");
    assert!(relay.ended().success());
    let (disk, keyring, kept) = (site.machine.path("data/cells"), site.keys.path().join("keyring"), site.machine.path("kept"));
    fs::create_dir(&kept).unwrap();
    // The same bytes under a second name, to see what becomes of them.
    fs::hard_link(&keyring, kept.join("keyring")).or_else(|_| fs::hard_link(&keyring, site.keys.path().join("seen"))).unwrap();
    assert!(cells(&disk, site.keys.path()) > 0, "VOID: a stopped relay's keys open what it holds");
    let typed = command.replace("/run/private/porchlight/keyring", &keyring.display().to_string());
    assert_ne!(typed, command);
    assert!(std::process::Command::new("sh").args(["-c", &typed]).status().unwrap().success());
    assert!(!keyring.exists());
    let seen = [kept.join("keyring"), site.keys.path().join("seen")].into_iter().find(|path| path.exists()).unwrap();
    assert!(fs::read(&seen).unwrap().iter().all(|byte| *byte == 0), "the keys were overwritten where they lay");
    fs::remove_file(&seen).unwrap();

    let _relay = site.relay();
    site.desk(&["desk", "sync", "--wait", "20s"]).ends(0);
    assert!(site.desk(&["desk", "list"]).ends(0).objects().is_empty(), "what it held is gone");
    assert_eq!(caller.run(&["caller", "write", "--fast-beats", "--text", "and on"]).ends(0).events("in_box").len(), 1);
    site.desk(&["desk", "sync", "--wait", "20s"]);
    assert!(site.desk(&["desk", "show", &caller.id]).ends(0).stdout.contains("and on"));
}

/// A relay whose callers have little room, and how many letters of 17 cells it took until it refused one.
struct Full {
    site: Site,
    relay: Running,
    held: usize,
}

const QUOTA: &str = "quota_bytes = 1048576";

/// Letters that have room for certain, of the 128 cells that callers have.
const FIRST: usize = 6;

/// Where cells live for minutes room is not made dear, so that it is gone at once.
const SHORT_TTL_S: &str = "420";

impl Full {
    fn fill() -> Self {
        let init = ["--up-ttl-s", SHORT_TTL_S];
        let (site, relay) = Site::published(Plan { top: QUOTA, init: &init, ..Plan::default() });
        std::thread::scope(|scope| {
            let site = &site;
            let write = |nth| scope.spawn(move || Self::write(site, nth, &[]).ends(0));
            (0..FIRST).map(write).collect::<Vec<_>>().into_iter().for_each(|one| _ = one.join().unwrap());
        });
        // Without a desk each waits to the end: in the box, or refused.
        let is_taken = |nth: &usize| match Self::write(&site, *nth, &["--wait", "12s"]) {
            ran if ran.code == Some(5) => false,
            ran => ran.ends(6).code.is_some(),
        };
        let held = FIRST + (FIRST..).take_while(is_taken).count();
        println!("{held} letters of 17 cells until the box was full");
        assert!(held < 100, "VOID: {held}");
        Self { site, relay, held }
    }

    /// A letter of somebody else each time: a desk keeps little of what one stranger writes.
    fn write(site: &Site, nth: usize, wait: &[&str]) -> Ran {
        let text = format!("the {nth}th {}", "쌀".repeat(3_900));
        site.caller().run(&[&["caller", "write", "--fast-beats", "--text", &text], wait].concat())
    }

    /// The runbook *The disk is full*, step 3: more room counts from the next start on, and what was held is still there.
    fn gets_more_room(mut self) {
        self.relay.signal("TERM");
        assert!(self.relay.ended().success());
        let said = self.relay.said();
        assert!(said.contains("warning: the disk or quota_bytes is full, or nearly"), "{said}");
        let config = fs::read_to_string(self.site.machine.path("relay.toml")).unwrap();
        self.site.machine.write("relay.toml", config.replace(QUOTA, "quota_bytes = 67108864"));
        let _relay = self.site.relay();
        let next = self.held + 1;
        assert_eq!(Self::write(&self.site, next, &[]).ends(0).events("in_box").len(), 1, "there is room");
        self.site.desk(&["desk", "sync", "--wait", "60s"]).ends(0);
        let rows = self.site.desk(&["desk", "list"]).ends(0).objects();
        let show = |row: &Value| self.site.desk(&["desk", "show", row["id"].as_str().unwrap()]).ends(0).stdout;
        let shown: String = rows.iter().map(show).collect();
        for nth in (0..self.held).chain([next]) {
            assert!(shown.contains(&format!("the {nth}th ")), "letter {nth} of {} was lost", self.held);
        }
    }
}

#[test]
fn a_relay_that_was_full_takes_letters_again_when_its_quota_was_raised_and_has_kept_the_others() {
    Full::fill().gets_more_room();
}

/// A laptop that was off for long: the next watch or sync destroys the keys that are over, with no relay in reach.
#[test]
fn a_desk_that_was_switched_off_destroys_keys_that_are_over_once_it_is_on_again() {
    const DAY: u64 = 86_400;
    let seed = 105;
    println!("seed {seed}");
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let (machine, root) = (Machine::new(), SecretKey::generate(&mut rng));
    machine.write("pass", "open sesame\n");
    let relay =
        RelayAddress { url: "https://127.0.0.1:1".to_owned(), gates: vec![Gate::parse("gate77").unwrap()], pin: None, number: 0 };
    let plan = LinePlan {
        relays: vec![relay],
        timing: Timing::PRODUCTION,
        up_ttl: Seconds(3 * DAY),
        period: Seconds(DAY),
        answer_within: 2,
        reply_weeks: 9,
        emergency: true,
        safeguarding: Safeguarding::Unstaffed,
    };
    let dir = machine.path("desk");
    let passphrase = || Passphrase::new("open sesame".to_owned());
    let keys = || {
        let mut vault = Vault::open(&dir, &passphrase()).unwrap();
        let hold = vault.hold(Holding::Shared).unwrap();
        vault.news(&hold).unwrap();
        vault.ring().names().filter(|name| matches!(name, KeyName::Period(..))).collect::<BTreeSet<_>>()
    };
    // It signed statements for the days to come, and was switched off ten days ago.
    let then = Seconds(SystemClock.wall().seconds().0 - 10 * DAY);
    let mut office = Office::found(&dir, &passphrase(), &root, &plan, then, &mut rng).unwrap().office;
    office.act(&mut rng, |desk, rng| desk.publish(then, rng)).unwrap();
    drop(office);
    let all = keys();
    assert!(all.len() >= 7, "VOID: {all:?}");
    drop(Office::open(&dir, &passphrase()).unwrap());
    assert_eq!(keys(), all, "VOID: that the vault was opened destroys nothing");

    machine.run(&["desk", "list", "--dir", "desk", "--passphrase-file", "pass"]).ends(0);
    assert_eq!(keys(), all, "nor that it was read: a clock that is wrong destroys nothing for who only looks");
    let ran = machine.run(&["desk", "sync", "--dir", "desk", "--passphrase-file", "pass"]);
    assert_eq!(ran.code, Some(3), "VOID: there is no relay: {ran:?}");
    let left = keys();
    println!("of {} keys of days {} are left", all.len(), left.len());
    // A day's key outlives its day by 84 hours: seven days and more of ten are over, and the emergency period's is not.
    assert!(left.is_subset(&all) && !left.is_empty() && left.len() + 5 <= all.len(), "{all:?} {left:?}");
}
