use super::*;
use crate::vault::Passphrase;
use porchlight_proto::{
    api::{DeskBeat, DeskOutcome, DeskReply, LanePage, Notice, SlotOutcome, UpOutcome, UpPost, UpReply},
    card::RelayAddress,
    cell::up::UpCell,
    cert::Role,
    letter::{Letter, Status, Withdraw},
    line::{Gate, Seat},
    phrase::{Phrase, Stretched},
    roster::{Rosters, UncheckedRoster},
    visit::{Clock, Event, To, Visit},
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};

mod away;
mod converge;
mod disk;
mod enrol;
mod exchange;
mod flood;
mod leads;
mod line;
mod merge;
mod pace;
mod safeguarding;
mod together;
mod trouble;

/// A Monday, 00:00 UTC.
const START: Seconds = Seconds(1_795_392_000);

/// The seed of this run: `PORCHLIGHT_SEED` if it is set, else the one given; printed either way.
fn rng(test: &str, seed: u64) -> ChaCha20Rng {
    let seed = std::env::var("PORCHLIGHT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(seed);
    println!("{test}: PORCHLIGHT_SEED={seed}");
    ChaCha20Rng::seed_from_u64(seed)
}

fn one_in(rng: &mut ChaCha20Rng, count: u32) -> bool {
    rng.next_u32().is_multiple_of(count)
}

fn words() -> Passphrase {
    Passphrase::new("lamp kettle pear".to_owned())
}

fn plan() -> LinePlan {
    LinePlan {
        relays: vec![RelayAddress {
            url: "https://relay.example".into(),
            gates: vec![Gate::parse("abcd").unwrap()],
            pin: None,
            number: 3,
        }],
        timing: Timing::PRODUCTION,
        up_ttl: Seconds(259_200),
        period: Seconds(86_400),
        answer_within: 2,
        reply_weeks: 9,
        emergency: true,
        safeguarding: Safeguarding::Unstaffed,
    }
}

/// A relay that keeps everything in memory and does as it is told.
struct Relay {
    root: porchlight_proto::sign::PublicKey,
    life: u64,
    forgotten: u64,
    lane: Vec<UpCell>,
    fast: BTreeMap<u64, Box<[u8; 1024]>>,
    slow: BTreeMap<u64, Box<[u8; 1024]>>,
    rosters: Rosters,
    floors: Vec<porchlight_proto::api::Floor>,
}

impl Relay {
    fn notice(&self, now: Millis) -> Notice {
        Notice {
            roster: self.rosters.in_force(now.seconds()).map(|roster| Box::new(*roster.bytes())),
            clock_ms: now,
            difficulty: 0,
            up_epoch: 1,
            beat: Timing::PRODUCTION.beat(now),
            relay_no: 3,
            stamp_salt: [5; 16],
            timing: Timing::PRODUCTION,
            up_ttl_s: 259_200,
            desk_beat_ms: 10_000,
            bulletin: [0; 80],
        }
    }
    fn page(&self, (life, after): (u64, u64)) -> LanePage {
        let after = if life == self.life { after } else { 0 }.max(self.forgotten);
        let cells: Vec<_> = self.lane.iter().skip(usize::try_from(after).unwrap()).take(512).cloned().collect();
        LanePage { life: self.life, first: after + 1, cells }
    }
    fn beat(&mut self, beat: DeskBeat, now: Millis) -> DeskReply {
        self.lane.extend(beat.team_cells);
        self.floors.push(beat.floor);
        let timing = Timing::PRODUCTION;
        let closed = |begins: Millis, ahead: u64| begins <= now || begins.0 > now.0 + ahead;
        let (fast_ahead, slow_ahead) = (21 * u64::from(timing.beat_ms), 49 * 1000 * u64::from(timing.slow_s));
        let put = |slots: &mut BTreeMap<u64, Box<[u8; 1024]>>, slot: Option<u64>, cell, begins: Option<Millis>, ahead| match slot
        {
            None => SlotOutcome::Written,
            Some(_) if begins.is_some_and(|begins| closed(begins, ahead)) => SlotOutcome::NotOpen,
            Some(slot) if slots.contains_key(&slot) => SlotOutcome::Taken,
            Some(slot) => {
                slots.insert(slot, cell);
                SlotOutcome::Written
            }
        };
        let fast = put(
            &mut self.fast,
            beat.fast_slot,
            beat.fast_cell,
            beat.fast_slot.map(|s| timing.beat_begins(timing.beat_of(s))),
            fast_ahead,
        );
        let slow = put(&mut self.slow, beat.slow_slot, beat.slow_cell, beat.slow_slot.map(|s| timing.slow_begins(s)), slow_ahead);
        DeskReply { outcome: DeskOutcome::Done, fast, slow, serial: 1, clock_ms: now }
    }
    /// The newest two beats, filler where nobody wrote.
    fn down_fast(&self, now: Millis) -> Vec<u8> {
        let timing = Timing::PRODUCTION;
        let first = timing.fast_slot(timing.beat(now) - 1, 0);
        (first..first + 8).flat_map(|slot| self.fast.get(&slot).map_or([0x5a; 1024], |cell| **cell)).collect()
    }
    fn down_slow(&self, day: u32, now: Millis) -> Vec<u8> {
        let timing = Timing::PRODUCTION;
        let first = u64::from(day) * 48;
        let shown = |slot: u64| self.slow.get(&slot).filter(|_| timing.slow_begins(slot) <= now);
        (first..first + 48).flat_map(|slot| shown(slot).map_or([0; 1024], |cell| **cell)).collect()
    }
}

struct World {
    rng: ChaCha20Rng,
    now: Millis,
    root: SecretKey,
    relay: Relay,
    dirs: Vec<tempfile::TempDir>,
    offices: Vec<Office>,
    down_tags: BTreeSet<[u8; 16]>,
    blobs: BTreeMap<[u8; 16], Vec<u8>>,
}

const R: u8 = 3;

impl World {
    fn new(test: &str, seed: u64) -> Self {
        Self::with(rng(test, seed))
    }
    /// A world of exactly this seed, one of many.
    fn of_seed(seed: u64) -> Self {
        Self::with(ChaCha20Rng::seed_from_u64(seed))
    }
    fn with(mut rng: ChaCha20Rng) -> Self {
        let root = SecretKey::generate(&mut rng);
        let dir = tempfile::tempdir().unwrap();
        let now = Seconds(START.0 + 3600).millis();
        let founded = Office::found(dir.path(), &words(), &root, &plan(), now.seconds(), &mut rng).unwrap();
        let relay = Relay {
            root: root.public(),
            life: rng.next_u64(),
            forgotten: 0,
            lane: vec![],
            fast: BTreeMap::new(),
            slow: BTreeMap::new(),
            rosters: Rosters::new(),
            floors: vec![],
        };
        let mut world = Self {
            rng,
            now,
            root,
            relay,
            dirs: vec![dir],
            offices: vec![founded.office],
            down_tags: BTreeSet::new(),
            blobs: BTreeMap::new(),
        };
        world.publish(0);
        world
    }
    fn act<T>(
        &mut self,
        desk: usize,
        deed: impl FnOnce(&mut Desk, &mut ChaCha20Rng) -> Result<T, DeskError>,
    ) -> Result<T, DeskError> {
        self.offices[desk].act(&mut self.rng, deed)
    }
    fn publish(&mut self, desk: usize) {
        let (now, notice) = (self.now.seconds(), self.relay.notice(self.now));
        self.act(desk, |desk, rng| {
            desk.hear_notice(R, &notice, now)?;
            desk.publish(now, rng)
        })
        .unwrap();
        for bytes in self.offices[desk].look().unwrap().rosters_to_put(R) {
            let roster = UncheckedRoster::parse(bytes.as_slice()).unwrap().check_signed(&self.relay.root).unwrap();
            self.relay.rosters.insert(roster, now).unwrap_or_default();
            self.act(desk, |desk, _| {
                desk.roster_put(R, &bytes);
                Ok(())
            })
            .unwrap();
        }
    }
    fn join(&mut self, role: Role, seat: u8) -> usize {
        self.join_by(0, role, seat)
    }
    /// A device that this lead admits.
    fn join_by(&mut self, lead: usize, role: Role, seat: u8) -> usize {
        let dir = tempfile::tempdir().unwrap();
        let (mut office, request) = Office::join(dir.path(), &words(), &mut self.rng).unwrap();
        let request = JoinRequest::parse(&request.to_text()).unwrap();
        let now = self.now.seconds();
        let admission = self.act(lead, |desk, rng| desk.admit(&request, (role, Seat::new(seat)), now, rng)).unwrap();
        let admission = Admission::parse(&admission.to_bytes()).unwrap();
        office.accept(&admission, now, &mut self.rng).unwrap();
        self.dirs.push(dir);
        self.offices.push(office);
        self.publish(lead);
        self.offices.len() - 1
    }
    fn sync(&mut self, desk: usize) -> Taken {
        let now = self.now;
        let mut all = Taken::default();
        loop {
            let page = self.relay.page(self.offices[desk].look().unwrap().after(R));
            let taken = self.act(desk, |desk, rng| desk.take_page(R, &page, now, rng)).unwrap();
            all.letters += taken.letters;
            all.events += taken.events;
            all.repeated += taken.repeated;
            all.refused += taken.refused;
            all.unreadable += taken.unreadable;
            all.opened += taken.opened;
            if !taken.more {
                return all;
            }
        }
    }
    /// One desk beat; a post that is lost on the way if `lost`.
    fn bundle(&mut self, desk: usize, lost: bool) {
        let now = self.now;
        let bundle = self.act(desk, |desk, rng| desk.bundle(R, now, rng)).unwrap();
        assert_eq!(bundle.beat.to_bytes().len(), 6176);
        for cell in [&bundle.beat.fast_cell, &bundle.beat.slow_cell] {
            assert!(self.down_tags.insert(*cell.first_chunk().unwrap()), "a tag was emitted twice");
        }
        let reply = if lost { None } else { Some(self.relay.beat(bundle.beat, now)) };
        self.act(desk, |desk, _| {
            desk.bundle_result(bundle.ticket, reply.as_ref().map_or(Posted::Failed, Posted::Answered), now);
            Ok(())
        })
        .unwrap();
    }
    fn tick(&mut self, ms: u64) {
        self.now = self.now.plus(ms);
    }
    fn only_row(&mut self, desk: usize) -> Row {
        let now = self.now.seconds();
        let rows = self.offices[desk].look().unwrap().list(now);
        assert_eq!(rows.len(), 1);
        rows[0].clone()
    }
    fn thread(&mut self, desk: usize, caller: CallerId) -> Thread {
        let now = self.now.seconds();
        self.offices[desk].look().unwrap().show(caller, now).unwrap()
    }
    fn answer(&mut self, desk: usize, caller: CallerId, text: &str) -> Answered {
        let now = self.now.seconds();
        let plan = AnswerPlan { text: text.to_owned().into(), ..AnswerPlan::default() };
        self.act(desk, |desk, rng| desk.answer(caller, &plan, now, rng)).unwrap()
    }
}

/// A caller with her phrase, and the visit she has open.
struct Her {
    phrase: Phrase,
    caller: CallerId,
    visit: Visit,
}

impl Her {
    fn new(world: &mut World) -> Self {
        let phrase = Phrase::generate(&mut world.rng);
        let line = porchlight_proto::line::LineId::from_root(&world.relay.root);
        let stretched = phrase.stretch(&line);
        let caller = stretched.caller();
        let visit = Self::open(world, stretched);
        Self { phrase, caller, visit }
    }
    fn open(world: &mut World, stretched: Stretched) -> Visit {
        let mut visit = Visit::open(world.relay.root, &mut world.rng);
        visit.notice(world.relay.notice(world.now).to_bytes().as_slice(), Some(R), world.now, Clock::Own).unwrap();
        visit.know(stretched, world.now, &mut world.rng);
        visit
    }
    fn come_again(&mut self, world: &mut World) {
        let line = porchlight_proto::line::LineId::from_root(&world.relay.root);
        self.visit = Self::open(world, self.phrase.stretch(&line));
    }
    fn write(&mut self, world: &World, text: &str) -> u16 {
        let letter = Letter { text: text.to_owned().into(), ..Letter::default() };
        self.visit.write(&letter, To::Desk, world.now).unwrap()
    }
    /// One up beat: the cell goes to the lane unless it is lost.
    fn post(&mut self, world: &mut World, lost: bool) {
        let post = self.visit.beat(R, world.now, &mut world.rng).unwrap();
        let cell = UpPost::parse(post.bytes.as_slice()).unwrap().cell;
        if lost {
            self.visit.posted(post.ticket, R, None).unwrap();
            return;
        }
        world.relay.lane.push(cell);
        let serial = self.visit.roster().unwrap().serial();
        let reply = UpReply { outcome: UpOutcome::Stored, difficulty: 0, serial, clock_ms: world.now }.to_bytes();
        self.visit.posted(post.ticket, R, Some(&reply)).unwrap();
    }
    fn read_fast(&mut self, world: &World) -> Vec<Event> {
        let events = self.visit.fast(R, &world.relay.down_fast(world.now), world.now).unwrap();
        self.look(events)
    }
    fn read_slow(&mut self, world: &World) -> Vec<Event> {
        let days = self.visit.days(world.now);
        let events = days
            .into_iter()
            .flat_map(|day| self.visit.slow_day(R, &world.relay.down_slow(day, world.now), world.now).unwrap())
            .collect();
        self.look(events)
    }
    /// She looks at every answer at once.
    fn look(&mut self, events: Vec<Event>) -> Vec<Event> {
        for event in &events {
            if let Event::Answer(answer) = event {
                self.visit.displayed(answer.mailbox(), answer.answer);
            }
        }
        events
    }
}

fn texts(events: &[Event]) -> Vec<String> {
    let text = |event: &Event| match event {
        Event::Answer(answer) => Some(if answer.kind == porchlight_proto::cell::down::Kind::Stop {
            "STOP".to_owned()
        } else {
            answer.content.text.to_string()
        }),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}
