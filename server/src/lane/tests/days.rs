//! Random histories of the slow track: what was written is shown from its time on for as long as its day lives, and what a day has shown does
//! not change, whoever asks again.

use std::collections::BTreeMap;

use porchlight_proto::limits::DOWN_CELL_LEN;
use porchlight_proto::time::{SLOTS_PER_DAY, day_of, is_safeguarding};

use super::*;
use crate::lane::slow::SLOTS_AHEAD;

/// Histories in every run.
const HISTORIES: u64 = 6;
const TURNS: usize = 120;

struct Days {
    world: World,
    store: Arc<FaultyStore>,
    /// None only while it starts again.
    line: Option<Line>,
    /// What was taken, and whose it is, as far as the relay knows.
    written: BTreeMap<u64, (u8, Option<u8>)>,
    /// What each slot was first shown as.
    shown: BTreeMap<u64, Vec<u8>>,
    /// A device that has been put out.
    out: u8,
    taken_count: usize,
}

impl Days {
    fn new(seed: u64) -> Self {
        let store = FaultyStore::new();
        let mut world = World::new(Arc::clone(&store) as Arc<dyn Store>);
        world.chance = Arc::new(SeededChance::new(seed));
        let line = Some(world.line());
        Self { world, store, line, written: BTreeMap::new(), shown: BTreeMap::new(), out: 0, taken_count: 0 }
    }

    fn line(&self) -> &Line {
        self.line.as_ref().unwrap()
    }

    fn below(&self, end: u64) -> u64 {
        u64::from_be_bytes(crate::chance::draw(self.world.chance.as_ref())) % end
    }

    fn now(&self) -> Millis {
        self.line().ground.clock.now()
    }

    fn turn(&mut self) {
        match self.below(12) {
            0..5 => self.write(),
            5 => self.world.clock.pass(self.below(9 * HOUR)),
            6 => self.tidy(),
            7 => self.restart(),
            8 => self.out = u8::try_from(self.below(5)).unwrap(),
            9 => self.cannot_be_read(),
            _ => self.read(),
        }
    }

    fn write(&mut self) {
        let now = self.now();
        let current = Timing::PRODUCTION.slow_slot(now);
        let slot = current + self.below(SLOTS_AHEAD + 3);
        let by = 1 + u8::try_from(self.below(4)).unwrap();
        let fill = 1 + u8::try_from(self.below(255)).unwrap();
        let fault = self.below(8);
        let store = Arc::clone(&self.store);
        // When it comes to writing, and not while a day is taken up.
        self.store.before_next_write(move || match fault {
            0 => store.is_full(),
            1 => store.next_is(Some(StoreError::Unreadable)),
            _ => {}
        });
        let out = self.out;
        let is_out = |hand: Hand| hand.device == DeviceId([out; 8]);
        let result =
            self.line().slow.write(slot, &Box::new([fill; DOWN_CELL_LEN]), &Writer { is_out: &is_out, ..worker(by) }, now);
        self.store.before_next_write(|| {});
        let is_open = (current + 1..=current + SLOTS_AHEAD).contains(&slot) && !is_safeguarding(slot);
        let is_free = self.written.get(&slot).is_none_or(|(_, writer)| *writer == Some(out) && *writer != Some(by));
        match result {
            SlotWrite::NotOpen => assert!(!is_open, "{slot} is open"),
            SlotWrite::Taken => assert!(is_open && !is_free, "{slot} is free"),
            SlotWrite::Refused => assert!(is_open && fault == 0, "{slot} was refused by nothing"),
            SlotWrite::Written => {
                assert!(is_open && is_free && fault != 0, "{slot} is not open, or not free");
                self.written.insert(slot, (fill, Some(by)));
                self.taken_count += 1;
            }
        }
    }

    fn tidy(&self) {
        self.line().slow.tend(self.now());
        self.line().ground.sealer.expire(self.world.clock.boot()).unwrap();
    }

    fn restart(&mut self) {
        self.line = None;
        self.line = Some(self.world.line());
        self.written.values_mut().for_each(|(_, writer)| *writer = None);
    }

    fn cannot_be_read(&self) {
        self.store.is_full();
        // Of a day that is held in memory nothing has to be read.
        let _ = self.line().slow.page(Timing::PRODUCTION.day(self.now()), self.now());
        self.store.next_is(None);
    }

    fn read(&mut self) {
        let now = self.now();
        let (today, slot) = (Timing::PRODUCTION.day(now), Timing::PRODUCTION.slow_slot(now));
        let number = today - u32::try_from(self.below(9)).unwrap().min(today);
        let Some(page) = self.line().slow.page(number, now) else {
            assert!(today - number >= 7, "day {number} of {today} is not shown");
            return;
        };
        assert!(today - number < 7 && page.len() == 48 * DOWN_CELL_LEN);
        for (slot_of_page, cell) in (u64::from(number) * SLOTS_PER_DAY..).zip(page.chunks(DOWN_CELL_LEN)) {
            if slot_of_page > slot {
                assert!(cell.iter().all(|byte| *byte == 0), "{slot_of_page} is shown before its time");
                continue;
            }
            let first = self.shown.entry(slot_of_page).or_insert_with(|| cell.to_vec());
            assert!(first == cell, "{slot_of_page} is not what it was shown as");
            match self.written.get(&slot_of_page) {
                Some((fill, _)) => {
                    assert!(cell.iter().all(|byte| byte == fill), "{slot_of_page} shows something else than was written")
                }
                None => assert!(cell.iter().any(|byte| *byte != cell[0]), "{slot_of_page} shows what nobody wrote"),
            }
        }
        assert_eq!(self.line().ground.counters.damaged_records.count(), 0);
        assert_eq!(day_of(slot), today);
    }
}

#[test]
fn random_histories_of_days_show_what_was_written_and_never_something_else_later() {
    let number = |name: &str, usual| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let (seed, count) = (number("PORCHLIGHT_SEED", 1), number("PORCHLIGHT_HISTORIES", HISTORIES));
    let (mut taken, mut shown) = (0, 0);
    for seed in seed..seed + count {
        println!("PORCHLIGHT_SEED={seed}");
        let mut days = Days::new(seed);
        for _ in 0..TURNS {
            days.turn();
        }
        taken += days.taken_count;
        shown += days.shown.keys().filter(|slot| days.written.contains_key(slot)).count();
    }
    println!(
        "{count} histories of {TURNS} turns: {taken} cells taken, {shown} slots with one shown (pass: each, from its time on, unchanged)"
    );
    assert!(shown > taken / 4, "VOID: hardly anything was shown");
}
