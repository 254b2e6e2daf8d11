//! A desk at the end of a long season: 10,000 callers whom the team has dealt with, and 100,000 letters, all kept.
use crate::desk::{plan, publish};
use crate::figure::{ms, on_core, once, say, say_below};
use crate::line::{RELAY, START, letter, to_desk};
use porchlight_client::{
    desk::{DeskError, Office},
    vault::Passphrase,
};
use porchlight_proto::{
    api::LanePage,
    cell::up::UpCell,
    letter::Letter,
    limits::{LANE_PAGE_MAX_CELLS, LETTER_PART_LEN},
    line::{CallerId, LineId},
    parts::cut,
    sign::SecretKey,
    time::Seconds,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::{path::Path, process::Command};

const CALLERS: u32 = 10_000;
const EACH: u32 = 10;
const MEMORY_AIM_MIB: f64 = 300.0;
const LIST_AIM_MS: f64 = 100.0;
/// Names the vault that a process of its own opens, so that nothing of its making is in the figures.
const VAULT: &str = "PORCHLIGHT_FULL_VAULT";

pub(crate) fn measure() {
    if let Some(dir) = std::env::var_os(VAULT) {
        return open(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let journal = std::fs::metadata(dir.path().join("vault/journal")).unwrap().len();
    say("full: the journal", journal as f64 / 1_048_576.0, "MiB");
    let done = Command::new(std::env::current_exe().unwrap()).arg("full").env(VAULT, dir.path()).status().unwrap();
    assert!(done.success());
}

fn passphrase() -> Passphrase {
    Passphrase::new("lamp kettle pear".to_owned())
}

const NOW: Seconds = Seconds(START.0 + 3600);

/// One letter of everybody, a note about each, and then the rest: of strangers a desk would not keep as many.
fn fill(dir: &Path) {
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    let root = SecretKey::generate(&mut rng);
    let now = NOW.millis();
    let mut office = Office::found(dir, &passphrase(), &root, &plan(), NOW, &mut rng).unwrap().office;
    let roster = publish(&mut office, &root, now, &mut rng);
    let line = LineId::from_root(&root.public());
    let keys: Vec<SecretKey> = (0..CALLERS).map(|_| SecretKey::generate(&mut rng)).collect();
    let content = Letter { text: "사과 한 알 주세요. ".repeat(20).into(), ..Letter::default() }.to_cbor().unwrap();
    let cell = |n: u32, rng: &mut ChaCha20Rng| -> UpCell {
        let part = cut(&content, LETTER_PART_LEN).unwrap().remove(0);
        let seq = u16::try_from(n / CALLERS + 1).unwrap();
        letter([7; 8], seq, NOW, part).seal(&to_desk(&line, &roster), &keys[(n % CALLERS) as usize], rng)
    };
    let mut letters = 0;
    let before = on_core();
    for step in 0..EACH {
        let (mut first, end) = (step * CALLERS, (step + 1) * CALLERS);
        while first < end {
            let last = end.min(first + u32::try_from(LANE_PAGE_MAX_CELLS).unwrap());
            let cells: Vec<UpCell> = (first..last).map(|n| cell(n, &mut rng)).collect();
            let page = LanePage { life: 1, first: u64::from(first) + 1, cells };
            letters += office.act(&mut rng, |desk, rng| desk.take_page(RELAY, &page, now, rng)).unwrap().letters;
            first = last;
        }
        if step == 0 {
            let ids: Vec<CallerId> = keys.iter().map(|key| CallerId::of(&line, &key.public())).collect();
            let note = |desk: &mut porchlight_client::desk::Desk, rng: &mut ChaCha20Rng| {
                ids.iter().try_for_each(|id| desk.note(*id, "knows the shop", NOW, rng))
            };
            office.act(&mut rng, note).unwrap();
        }
    }
    assert_eq!(letters, (CALLERS * EACH) as usize, "all of them are kept");
    say("full: make and take in 100,000 letters, on the core", ms(on_core() - before), "ms");
    office.compact(NOW, &mut rng).map_err(DeskError::from).unwrap();
}

fn open(dir: &Path) {
    let before = resident_mib("VmRSS");
    let (took, office) = once(|| Office::open(dir, &passphrase()).unwrap());
    let mut office = office;
    say("full: open the vault, Argon2id and all", ms(took), "ms");
    let desk = office.look().unwrap();
    let (list, rows) = once(|| desk.list(NOW).len());
    assert_eq!(rows, CALLERS as usize);
    say_below("full: list 10,000 callers", ms(list), "ms", LIST_AIM_MS);
    let (list, _) = once(|| desk.list(NOW).len());
    say_below("full: list them again", ms(list), "ms", LIST_AIM_MS);
    let (way, _) = once(|| desk.anything_on_the_way(NOW));
    say("full: is any answer on the way", ms(way), "ms");
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let (bundle, _) = once(|| office.act(&mut rng, |desk, rng| desk.bundle(RELAY, NOW.millis(), rng)).unwrap());
    say("full: a bundle", ms(bundle), "ms");
    say_below("full: resident", resident_mib("VmRSS"), "MiB", MEMORY_AIM_MIB);
    say("full: resident at most, with Argon2id's 64", resident_mib("VmHWM"), "MiB");
    say("full: resident before", before, "MiB");
}

/// What this process holds, from `/proc`.
fn resident_mib(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}
