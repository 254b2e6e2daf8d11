//! A model of the relay: SPEC §9 and §11 in memory, in virtual time. It holds what a real one would, and can be made to lie.
use porchlight_proto::{
    api::{DeskBeat, DeskOutcome, DeskReply, LanePage, Notice, SlotOutcome, UpOutcome, UpPost, UpReply},
    bulletin::Bulletin,
    cell::up::UpCell,
    cert::Role,
    limits::{DOWN_CELL_LEN, FAST_AHEAD_BEATS, LANE_PAGE_MAX_CELLS, SLOW_AHEAD_SLOTS},
    roster::{Rosters, UncheckedRoster},
    sign::PublicKey,
    time::{Millis, SLOTS_PER_DAY, Timing, day_of, is_safeguarding},
    token::{Access, Gatekeeper, Request, UncheckedToken},
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};

pub const SPKI: [u8; 32] = [0x5a; 32];
const UP_TTL_S: u64 = 259_200;

pub struct ModelRelay {
    root: PublicKey,
    pub number: u8,
    pub timing: Timing,
    rosters: Rosters,
    bulletin: [u8; 80],
    life: u64,
    next: u64,
    lane: BTreeMap<u64, (Millis, UpCell)>,
    fast: BTreeMap<u64, Box<[u8; DOWN_CELL_LEN]>>,
    slow: BTreeMap<u64, Box<[u8; DOWN_CELL_LEN]>>,
    nonces: BTreeSet<[u8; 16]>,
    filler: u64,
    pub down: bool,
}

impl ModelRelay {
    pub fn new(root: PublicKey, number: u8, timing: Timing) -> Self {
        Self {
            root,
            number,
            timing,
            rosters: Rosters::new(),
            bulletin: [0; 80],
            life: 77,
            next: 1,
            lane: BTreeMap::new(),
            fast: BTreeMap::new(),
            slow: BTreeMap::new(),
            nonces: BTreeSet::new(),
            filler: 1,
            down: false,
        }
    }

    /// A reboot: what was held is gone, and the lane has another life.
    pub fn reboot(&mut self) {
        self.life += 1;
        self.next = 1;
        self.lane.clear();
        self.fast.clear();
        self.slow.clear();
    }

    pub fn notice(&self, now: Millis) -> Vec<u8> {
        Notice {
            roster: self.rosters.in_force(now.seconds()).map(|roster| Box::new(*roster.bytes())),
            clock_ms: now,
            difficulty: 0,
            up_epoch: 1,
            beat: self.timing.beat(now),
            relay_no: self.number,
            stamp_salt: [3; 16],
            timing: self.timing,
            up_ttl_s: UP_TTL_S as u32,
            desk_beat_ms: 10_000,
            bulletin: self.bulletin,
        }
        .to_bytes()
        .to_vec()
    }

    fn serial(&self, now: Millis) -> u32 {
        self.rosters.in_force(now.seconds()).map_or(0, |roster| roster.serial())
    }

    fn hold(&mut self, cell: UpCell, now: Millis) {
        self.lane.insert(self.next, (now, cell));
        self.next += 1;
        let dead = now.0.saturating_sub(UP_TTL_S * 1000);
        // Positions go up with time: the dead ones come first.
        while self.lane.first_entry().is_some_and(|first| first.get().0.0 < dead) {
            self.lane.pop_first();
        }
    }

    pub fn up(&mut self, body: &[u8], now: Millis) -> Vec<u8> {
        let post = UpPost::parse(body).expect("a page posts 2,080 bytes");
        self.hold(post.cell, now);
        UpReply { outcome: UpOutcome::Stored, difficulty: 0, serial: self.serial(now), clock_ms: now }.to_bytes().to_vec()
    }

    fn filler(&self, slot: u64) -> Vec<u8> {
        let mut bytes = vec![0; DOWN_CELL_LEN];
        ChaCha20Rng::seed_from_u64(self.filler ^ slot.rotate_left(17)).fill_bytes(&mut bytes);
        bytes
    }

    pub fn fast(&self, now: Millis) -> Vec<u8> {
        let beat = self.timing.beat(now);
        let first = self.timing.fast_slot(beat.saturating_sub(1), 0);
        let end = self.timing.fast_slot(beat + 1, 0);
        (first..end).flat_map(|slot| self.fast.get(&slot).map_or_else(|| self.filler(slot), |cell| cell.to_vec())).collect()
    }

    pub fn slow_day(&self, day: u32, now: Millis) -> Vec<u8> {
        let (first, present) = (u64::from(day) * SLOTS_PER_DAY, self.timing.slow_slot(now));
        assert!(day_of(present) - day < u32::from(self.timing.slow_days), "a page asks only for days that are kept");
        let cell = |slot: u64| match self.slow.get(&slot) {
            _ if slot > present => vec![0; DOWN_CELL_LEN],
            Some(cell) => cell.to_vec(),
            None => self.filler(!slot),
        };
        (first..first + SLOTS_PER_DAY).flat_map(cell).collect()
    }

    /// What a token opens; `None` looks like a path that does not exist.
    pub fn access(&mut self, token: &str, request: &Request<'_>, now: Millis) -> Option<Access> {
        let keeper = Gatekeeper { root: &self.root, spki: &SPKI, now: now.seconds(), generation: self.rosters.generation() };
        let access = UncheckedToken::parse(token).ok()?.check(request, &keeper).ok()?;
        let revoked = self.rosters.iter().any(|roster| roster.revoked(access.device));
        (!revoked && self.nonces.insert(access.nonce)).then_some(access)
    }

    pub fn beat(&mut self, access: &Access, beat: &DeskBeat, now: Millis) -> DeskReply {
        let fast = beat.fast_slot.map_or(SlotOutcome::Written, |slot| {
            let (of, present) = (self.timing.beat_of(slot), self.timing.beat(now));
            let open = of > present && of <= present + FAST_AHEAD_BEATS;
            write(&mut self.fast, open && access.role != Role::Safeguarding, slot, &beat.fast_cell)
        });
        let slow = beat.slow_slot.map_or(SlotOutcome::Written, |slot| {
            let present = self.timing.slow_slot(now);
            let mine = is_safeguarding(slot) == (access.role == Role::Safeguarding);
            write(&mut self.slow, mine && slot > present && slot <= present + SLOW_AHEAD_SLOTS, slot, &beat.slow_cell)
        });
        for cell in &beat.team_cells {
            self.hold(cell.clone(), now);
        }
        let kept = (u64::from(self.timing.day(now)) + 1).saturating_sub(u64::from(self.timing.slow_days)) * SLOTS_PER_DAY;
        self.slow.retain(|slot, _| *slot >= kept);
        DeskReply { outcome: DeskOutcome::Done, fast, slow, serial: self.serial(now), clock_ms: now }
    }

    pub fn page(&self, (life, after): (u64, u64)) -> LanePage {
        let after = if life == self.life { after } else { 0 };
        let held: Vec<_> = self.lane.range(after + 1..).take(LANE_PAGE_MAX_CELLS).collect();
        let first = held.first().map_or(self.next, |(n, _)| **n);
        let together = held.iter().zip(first..).take_while(|((n, _), place)| **n == *place);
        LanePage { life: self.life, first, cells: together.map(|((_, (_, cell)), _)| cell.clone()).collect() }
    }

    pub fn put_roster(&mut self, bytes: &[u8], now: Millis) -> DeskOutcome {
        let taken = UncheckedRoster::parse(bytes)
            .and_then(|roster| roster.check_signed(&self.root))
            .ok()
            .filter(|roster| roster.timing() == self.timing)
            .is_some_and(|roster| self.rosters.insert(roster, now.seconds()).is_ok());
        if taken { DeskOutcome::Done } else { DeskOutcome::Refused }
    }

    pub fn put_bulletin(&mut self, bytes: &[u8; 80], now: Millis) -> DeskOutcome {
        let checks = self
            .rosters
            .in_force(now.seconds())
            .is_some_and(|roster| matches!(Bulletin::check(bytes, roster, now.seconds()), Ok(Some(_))));
        if checks {
            self.bulletin = *bytes;
        }
        if checks { DeskOutcome::Done } else { DeskOutcome::Refused }
    }

    /// Every byte of the lanes, for whoever looks for what must not be there.
    pub fn everything(&self) -> Vec<u8> {
        let cells = self.lane.values().flat_map(|(_, cell)| cell.iter());
        cells.chain(self.fast.values().flat_map(|c| c.iter())).chain(self.slow.values().flat_map(|c| c.iter())).copied().collect()
    }
}

fn write(track: &mut BTreeMap<u64, Box<[u8; DOWN_CELL_LEN]>>, open: bool, slot: u64, cell: &[u8; DOWN_CELL_LEN]) -> SlotOutcome {
    if !open {
        return SlotOutcome::NotOpen;
    }
    match track.entry(slot) {
        std::collections::btree_map::Entry::Occupied(_) => SlotOutcome::Taken,
        std::collections::btree_map::Entry::Vacant(place) => {
            place.insert(Box::new(*cell));
            SlotOutcome::Written
        }
    }
}
