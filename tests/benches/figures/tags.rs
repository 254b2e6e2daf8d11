//! A caller without a memory: every tag that may be hers, looked for in all the days a line keeps.
use crate::figure::{ms, once, say};
use crate::line::{Line, RELAY, notice};
use porchlight_proto::{
    limits::DOWN_CELL_LEN,
    time::{SLOTS_PER_DAY, Timing},
    visit::{Clock, Visit},
};
use rand_core::Rng;

pub(crate) fn measure() {
    let mut line = Line::new();
    let stretched = line.stretched();
    let mut visit = Visit::open(line.root.public(), &mut line.rng);
    let told = notice(Some(&line.roster), line.now).to_bytes();
    visit.notice(told.as_slice(), Some(RELAY), line.now, Clock::Own).unwrap();
    visit.know(stretched, line.now, &mut line.rng);
    let day_len = usize::try_from(SLOTS_PER_DAY).unwrap() * DOWN_CELL_LEN;
    let mut days = vec![vec![0; day_len]; usize::from(Timing::PRODUCTION.slow_days)];
    days.iter_mut().for_each(|day| line.rng.fill_bytes(day));
    let bytes: usize = days.iter().map(Vec::len).sum();
    let (first, events) = once(|| visit.slow_day(RELAY, &days[0], line.now).unwrap());
    assert!(events.is_empty(), "chance does not answer");
    let (rest, _) = once(|| {
        for day in &days[1..] {
            visit.slow_day(RELAY, day, line.now).unwrap();
        }
    });
    say("tags: table of 51,840 and the first slow day", ms(first), "ms");
    say(&format!("tags: with the rest of {bytes} bytes"), ms(first + rest), "ms");
    let mut beats = vec![0; 2 * usize::from(Timing::PRODUCTION.fast_slots) * DOWN_CELL_LEN];
    line.rng.fill_bytes(&mut beats);
    let (table, _) = once(|| visit.fast(RELAY, &beats, line.now).unwrap());
    let (beat, _) = once(|| visit.fast(RELAY, &beats, line.now).unwrap());
    say("tags: table of the fast track and two beats", ms(table), "ms");
    say("tags: two beats", ms(beat), "ms");
}
