//! A desk in a flood: 100,000 letters of 10,000 strangers, in turns, three times what it keeps of strangers. The figures of
//! the last 20,000 should be those of the second 20,000.
use crate::desk::{plan, publish};
use crate::figure::{ms, on_core, once, say};
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
    line::LineId,
    parts::cut,
    sign::SecretKey,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::time::Duration;

const CALLERS: u32 = 10_000;
const CELLS: u32 = 100_000;
const STEP: u32 = 20_000;

pub(crate) fn measure() {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let dir = tempfile::tempdir().unwrap();
    let root = SecretKey::generate(&mut rng);
    let now = START.plus(3600).millis();
    let passphrase = Passphrase::new("lamp kettle pear".to_owned());
    let mut office = Office::found(dir.path(), &passphrase, &root, &plan(), now.seconds(), &mut rng).unwrap().office;
    let roster = publish(&mut office, &root, now, &mut rng);
    let line = LineId::from_root(&root.public());
    let keys: Vec<SecretKey> = (0..CALLERS).map(|_| SecretKey::generate(&mut rng)).collect();
    let content = Letter { text: "x".repeat(600).into(), ..Letter::default() }.to_cbor().unwrap();
    let cell = |n: u32, rng: &mut ChaCha20Rng| -> UpCell {
        let part = cut(&content, LETTER_PART_LEN).unwrap().remove(0);
        let seq = u16::try_from(n / CALLERS + 1).unwrap();
        letter([7; 8], seq, now.seconds(), part).seal(&to_desk(&line, &roster), &keys[(n % CALLERS) as usize], rng)
    };
    let before = resident_mib();
    let (mut spent, mut letters) = (Duration::ZERO, 0);
    for first in (0..CELLS).step_by(LANE_PAGE_MAX_CELLS) {
        let end = CELLS.min(first + u32::try_from(LANE_PAGE_MAX_CELLS).unwrap());
        let page = LanePage { life: 1, first: u64::from(first) + 1, cells: (first..end).map(|n| cell(n, &mut rng)).collect() };
        let started = on_core();
        letters += office.act(&mut rng, |desk, rng| desk.take_page(RELAY, &page, now, rng)).unwrap().letters;
        spent += on_core() - started;
        if first / STEP != end / STEP {
            say(&format!("crowd: cells up to {end}, {letters} letters taken, on the core"), ms(spent), "ms");
            spent = Duration::ZERO;
        }
    }
    let (look, rows) = once(|| office.look().unwrap().list(now.seconds()).len());
    say(&format!("crowd: list {rows} strangers"), ms(look), "ms");
    let (bundle, _) = once(|| office.act(&mut rng, |desk, rng| desk.bundle(RELAY, now, rng)).unwrap());
    say("crowd: a bundle", ms(bundle), "ms");
    let (tidy, ()) = once(|| office.act(&mut rng, |desk, rng| desk.tidy(now.seconds(), rng)).unwrap());
    say("crowd: tidy", ms(tidy), "ms");
    say("crowd: memory more than at the beginning", resident_mib() - before, "MiB");
    let (compact, ()) = once(|| office.compact(now.seconds(), &mut rng).map_err(DeskError::from).unwrap());
    say("crowd: rewrite the journal", ms(compact), "ms");
    let journal = std::fs::metadata(dir.path().join("vault/journal")).unwrap().len();
    say("crowd: the journal then", journal as f64 / 1_048_576.0, "MiB");
}

/// What this process holds, from `/proc`.
fn resident_mib() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0 / 1_048_576.0
}
