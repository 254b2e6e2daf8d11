//! The relay's own files, copied while it runs: with the keys of the moment they give back everything, with those of later
//! nothing. `docs/TESTING.md` says how to do the same by hand.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use porchlight_proto::limits::UP_CELL_LEN;
use porchlight_relay::seal::Lane;
use porchlight_relay::seal::copy::open_copy;

use crate::site::{Plan, Site};

const EPOCH_S: u64 = 2;
const UP_TTL_S: u64 = 5;

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
    copy(site.keys.path(), &later);
    assert_eq!(cells(&disk, &later), 0, "the same disk with the keys of later");
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

/// The runbook *The disk is full*, where only more room helps: it counts from the next start on, and what was held is still there.
#[test]
#[ignore = "two minutes, since room becomes dear before it is gone: by name"]
fn a_relay_that_was_full_takes_letters_again_when_its_quota_was_raised_and_has_kept_the_others() {
    let (site, mut relay) = Site::published(Plan { top: "quota_bytes = 1048576", ..Plan::default() });
    // Each of somebody else: a desk keeps little of what one stranger writes.
    let write = |nth: usize| {
        let text = format!("the {nth}th {}", "쌀".repeat(3_900));
        site.caller().run(&["caller", "write", "--fast-beats", "--text", &text])
    };
    let held = (0..).map(write).take_while(|ran| ran.code == Some(0)).count();
    println!("{held} letters of 17 cells until the box was full");
    assert!((2..100).contains(&held), "VOID: {held}");
    relay.signal("TERM");
    assert!(relay.ended().success());
    let config = fs::read_to_string(site.machine.path("relay.toml")).unwrap();
    site.machine.write("relay.toml", config.replace("quota_bytes = 1048576", "quota_bytes = 67108864"));

    let _relay = site.relay();
    assert_eq!(write(held + 1).ends(0).events("in_box").len(), 1, "there is room");
    site.desk(&["desk", "sync", "--wait", "60s"]).ends(0);
    let rows = site.desk(&["desk", "list"]).ends(0).objects();
    let shown: String = rows.iter().map(|row| site.desk(&["desk", "show", row["id"].as_str().unwrap()]).ends(0).stdout).collect();
    for nth in (0..held).chain([held + 1]) {
        assert!(shown.contains(&format!("the {nth}th ")), "letter {nth} of {held} was lost");
    }
}
