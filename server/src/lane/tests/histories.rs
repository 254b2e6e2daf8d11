//! Random histories of the up lane, held against what was promised: what was acknowledged and lives is served once and at its position, what
//! is dead is not, and nothing is called damaged that is not.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::*;

/// Histories in every run.
const HISTORIES: u64 = 2;
const TURNS: usize = 60;

/// What became of a position.
struct Given {
    /// What was posted there.
    number: u64,
    /// When its key dies, in milliseconds since boot.
    death: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Acknowledged,
    /// By a medium that may have it all the same.
    Refused,
    /// The same, before a restart: the relay does not know of it any more.
    Forgotten,
}

struct History {
    world: World,
    store: Arc<FaultyStore>,
    /// None only while it starts again.
    line: Option<Arc<Line>>,
    writer: tokio::task::JoinHandle<()>,
    given: BTreeMap<u64, Given>,
    floor: u64,
    epoch_s: u32,
    ttl_s: u32,
    next_number: u64,
    /// Whether gaps are to be expected in this life of the relay.
    may_have_gaps: bool,
    read_count: usize,
}

impl History {
    fn new(seed: u64) -> Self {
        let store = FaultyStore::new();
        let mut world = World::new(Arc::clone(&store) as Arc<dyn Store>);
        world.chance = Arc::new(SeededChance::new(seed));
        let line = Arc::new(world.line());
        let writer = tokio::spawn(line.up.writer().unwrap().run(never()));
        let (given, floor, next_number) = (BTreeMap::new(), 0, 1);
        Self {
            world,
            store,
            line: Some(line),
            writer,
            given,
            floor,
            epoch_s: 3600,
            ttl_s: 10_800,
            next_number,
            may_have_gaps: false,
            read_count: 0,
        }
    }

    fn line(&self) -> &Line {
        self.line.as_ref().unwrap()
    }

    /// A number below `end`.
    fn below(&self, end: u64) -> u64 {
        u64::from_be_bytes(crate::chance::draw(self.world.chance.as_ref())) % end
    }

    async fn turn(&mut self) {
        match self.below(20) {
            0..8 => self.post().await,
            8..10 => self.world.clock.pass(self.below(90 * 60_000)),
            10..12 => self.tidy(),
            12 => self.forget_below_a_floor(),
            13 => self.restart().await,
            14 => self.cannot_be_read(),
            15 => self.dies_while_it_is_read().await,
            _ => self.read(self.below(self.next() + 2), 2),
        }
    }

    fn next(&self) -> u64 {
        *self.line().up.head().borrow()
    }

    async fn post(&mut self) {
        let count = if self.below(10) == 0 { 500 + self.below(300) } else { 1 + self.below(40) };
        self.store.keep_refused(self.below(2) == 0);
        let is_refused = match self.below(6) {
            0 | 1 => {
                self.store.is_full();
                true
            }
            2 => {
                self.store.next_is(Some(StoreError::Unreadable));
                false
            }
            _ => false,
        };
        let (first, now, boot) = (self.next(), self.line().ground.clock.now(), self.world.clock.boot());
        let death =
            boot.0 + millis_to_end(now, epoch_number(now.seconds(), self.epoch_s), self.epoch_s) + u64::from(self.ttl_s) * 1000;
        let numbers = self.next_number..self.next_number + count;
        self.next_number += count;
        let taken = self.line().up.post(numbers.clone().map(cell).collect()).await;
        assert_eq!(taken.is_err(), is_refused);
        assert_eq!(self.next(), first + count);
        let state = if is_refused { State::Refused } else { State::Acknowledged };
        self.given.extend((first..).zip(numbers).map(|(position, number)| (position, Given { number, death, state })));
    }

    fn tidy(&self) {
        self.line().up.tend();
        self.line().ground.sealer.expire(self.world.clock.boot()).unwrap();
    }

    fn forget_below_a_floor(&mut self) {
        self.floor = self.floor.max(self.below(self.next()));
        self.line().up.forget_through(self.floor);
    }

    /// Stopped, or killed before the keyring had counted what the store has; and started by a clock that may be days off, or with other settings.
    async fn restart(&mut self) {
        let boot = self.world.clock.boot();
        let newest = self.line().ground.sealer.held(crate::seal::Lane::Up, &self.line().settings.id).last().copied();
        if let Some(newest) = newest.filter(|epoch| self.below(2) == 0 && boot < epoch.death) {
            let uncounted: Vec<u8> = (0..4).flat_map(|_| *cell(u64::MAX)).collect();
            let key = RecordKey(u128::from(newest.first + newest.count));
            self.line().ground.sealer.append(&newest, &[(key, &uncounted)], 0, boot).unwrap();
        }
        let days = self.below(21);
        if self.below(4) == 0 {
            self.world.clock.set_wall(NOON.plus(days * 24 * HOUR));
        }
        self.writer.abort();
        let _ = (&mut self.writer).await;
        self.line = None;
        if self.below(4) == 0 {
            self.epoch_s = [900, 3600, 86_400][usize::try_from(self.below(3)).unwrap()];
            self.ttl_s = [3_600, 10_800, 259_200][usize::try_from(self.below(3)).unwrap()];
        }
        let line =
            self.line.insert(Arc::new(self.world.line_with(LineSettings { up_ttl_s: self.ttl_s, ..settings() }, self.epoch_s)));
        self.writer = tokio::spawn(line.up.writer().unwrap().run(never()));
        for given in self.given.values_mut().filter(|given| given.state == State::Refused) {
            given.state = State::Forgotten;
        }
        self.may_have_gaps = self.given.values().any(|given| given.state == State::Forgotten && boot.0 < given.death);
        assert!(self.given.last_key_value().is_none_or(|(last, _)| *last < self.next()), "a position is given once");
    }

    fn cannot_be_read(&self) {
        self.store.is_full();
        let page = self.line().up.page_of(self.line().floors_life(), self.below(self.next()));
        // Nothing was read where nothing lies.
        assert!(page.as_ref().is_err() || page.is_ok_and(|page| page.cells.is_empty() && page.first == self.next()));
        self.store.next_is(None);
    }

    /// The key that dies next does so between a reading's beginning and its end.
    async fn dies_while_it_is_read(&mut self) {
        let held = self.line().ground.sealer.held(crate::seal::Lane::Up, &self.line().settings.id);
        let Some(death) = held.iter().map(|epoch| epoch.death).min() else { return };
        let (clock, sealer) = (Arc::clone(&self.world.clock), Arc::clone(&self.line().ground.sealer));
        self.store.before_next_read(move || {
            clock.pass(death.0.saturating_sub(clock.boot().0));
            sealer.expire_keys(death);
        });
        let line = Arc::clone(self.line.as_ref().unwrap());
        let reading = tokio::task::spawn_blocking(move || line.up.page_of(line.floors_life(), 0).is_ok());
        let patience = std::time::Duration::from_secs(60);
        assert!(tokio::time::timeout(patience, reading).await.expect("it waits for what it holds itself").unwrap());
        self.store.before_next_read(|| {});
    }

    /// At most so many pages.
    fn read(&mut self, after: u64, page_count: usize) {
        let boot = self.world.clock.boot().0;
        let (mut at, mut found) = (after, BTreeMap::new());
        for _ in 0..page_count {
            let page = self.line().up.page_of(self.line().floors_life(), at).unwrap();
            if page.cells.is_empty() {
                assert_eq!(page.first, self.next());
                at = u64::MAX;
                break;
            }
            assert!(page.first > at && page.cells.len() <= LANE_PAGE_MAX_CELLS);
            at = page.first + page.cells.len() as u64 - 1;
            found.extend((page.first..).zip(numbers(&page)));
        }
        for (position, number) in &found {
            let given = self.given.get(position).unwrap_or_else(|| panic!("nothing was put at {position}"));
            assert!(boot < given.death, "{position} is dead");
            let is_as_given = *number == given.number;
            let is_noise = given.state == State::Refused && !(1..self.next_number).contains(number);
            assert!(is_as_given || is_noise, "at {position} is {number}, and {} was given", given.number);
        }
        // Somebody who claims to have what was never given out is told the end.
        let from = if after < self.next() { after } else { self.next() };
        let lives = |(position, given): &(&u64, &Given)| **position > self.floor && boot < given.death;
        let read = (Bound::Excluded(from), Bound::Included(at));
        for (position, given) in self.given.range(read).filter(lives) {
            assert!(given.state == State::Forgotten || found.contains_key(position), "{position} is missing: {:?}", given.state);
        }
        let damaged = self.line().ground.counters.damaged_records.count();
        assert!(self.may_have_gaps || damaged == 0, "{damaged} are called damaged");
        self.read_count += found.len();
    }
}

#[tokio::test]
async fn random_histories_of_a_lane_keep_what_was_promised_and_nothing_else() {
    let number = |name: &str, usual| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let (seed, count) = (number("PORCHLIGHT_SEED", 1), number("PORCHLIGHT_HISTORIES", HISTORIES));
    let (mut given, mut read) = (0, 0);
    for seed in seed..seed + count {
        println!("PORCHLIGHT_SEED={seed}");
        let mut history = History::new(seed);
        for _ in 0..TURNS {
            history.turn().await;
        }
        history.read(0, usize::MAX);
        given += history.given.len();
        read += history.read_count;
    }
    println!(
        "{count} histories of {TURNS} turns: {given} positions given, {read} read (pass: all that lives, at its position, once)"
    );
    assert!(read > given, "VOID: hardly anything was read");
}
