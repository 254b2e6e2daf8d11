//! The room that may refuse: who may spend disk, and who is a device of the line.
//!
//! A caller's cell passes, in this order: a *stamp* if there is load, its source's *fair share* of the line's cap, the line's *room* for
//! callers, the *quota* of the medium. A device shows a *token*; its team cells have a cap and a room of their own.
//! Everything here is in memory and forgotten within the hour.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use porchlight_proto::api::UpPost;
use porchlight_proto::limits::UP_CELL_LEN;
use porchlight_proto::line::{DeviceId, LineId};
use porchlight_proto::time::Millis;

use crate::chance::{Chance, draw};
use crate::clock::BootMillis;
use crate::config::LineSettings;
use crate::counters::Counters;

pub mod calls;
pub mod fair;
pub mod load;
pub mod owing;
pub mod quota;
pub mod room;
pub mod sources;
pub mod stamps;
pub mod tokens;

use self::calls::Calls;
use self::fair::Share;
use self::load::Load;
use self::quota::{Quota, Whose};
use self::room::{Medium, Room};
use self::sources::Source;
use self::stamps::{SPENT_MAX, Stamps};
use self::tokens::Nonces;

/// Devices of a line whose bundles all fit: each posts two team cells every desk beat.
const DEVICES: u32 = 100;

/// One device may send this many times what its beat is: its watch and the commands beside it, each with beats of its own. So one that went
/// astray leaves the others their places.
const BESIDE: u32 = 8;

/// What the gate says to a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Go on.
    Admitted,
    /// The line or the medium is full.
    Full,
    /// The stamp is too weak or spent.
    Stamp,
}

/// The gate of one line.
pub struct LineGate {
    id: LineId,
    cap: u32,
    load: Load,
    share: Share<Source>,
    team: Share<DeviceId>,
    /// Team cells that a device posts in a minute at its beat.
    beat_cells: u32,
    stamps: Stamps,
    /// Nonces of device tokens that were used.
    pub nonces: Nonces,
    /// What devices have under way.
    pub calls: Arc<Calls>,
    room: Room,
    /// Whether it was scarce when somebody last looked.
    was_scarce: AtomicBool,
    quota: Arc<Quota>,
    noise: Mutex<Noise>,
    chance: Arc<dyn Chance>,
    counters: Arc<Counters>,
}

/// How the bounds of a minute differ from what is configured. Whoever knows the gate could otherwise post until a bound is met and so count what
/// others post, each minute, to the cell.
#[derive(Clone, Copy)]
struct Noise {
    minute: u64,
    /// Where calm ends, in thousandths of where it should.
    calm: u64,
    /// What of the cap can be used, in thousandths.
    cap: u64,
}

impl LineGate {
    /// The gate of a line that has this room in the store.
    #[must_use]
    pub fn new(settings: &LineSettings, room: Room, chance: Arc<dyn Chance>, quota: Arc<Quota>, counters: Arc<Counters>) -> Self {
        let beat_cells = 2 * 60_000 / u32::from(settings.desk_beat_ms.max(1));
        Self {
            id: settings.id,
            cap: settings.cap_per_minute,
            load: Load::default(),
            share: Share::new(settings.cap_per_minute),
            team: Share::new(DEVICES * beat_cells),
            beat_cells,
            stamps: Stamps::new(Arc::clone(&chance), SPENT_MAX),
            nonces: Nonces::default(),
            calls: Arc::default(),
            room,
            was_scarce: AtomicBool::new(false),
            quota,
            noise: Mutex::new(Noise { minute: u64::MAX, calm: 0, cap: 0 }),
            chance,
            counters,
        }
    }

    fn noise(&self, now: Millis) -> Noise {
        let mut noise = self.noise.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now.0 / 60_000;
        if noise.minute != minute {
            let [calm, cap] = draw::<2>(self.chance.as_ref()).map(u64::from);
            *noise = Noise { minute, calm: 750 + calm * 500 / 255, cap: 800 + cap * 200 / 255 };
        }
        *noise
    }

    /// The same behind a website, where all callers come from one place: the website shares out what each may send.
    #[must_use]
    pub fn behind_a_front(self, settings: &LineSettings) -> Self {
        Self { share: Share::of_one(settings.cap_per_minute), ..self }
    }

    /// The salt that stamps are made with now.
    #[must_use]
    pub fn stamp_salt(&self, now: Millis) -> [u8; 16] {
        self.stamps.salt(now)
    }

    /// How many zero bits a stamp must have now.
    #[must_use]
    pub fn difficulty(&self, now: Millis) -> u8 {
        self.load.difficulty(now, self.rate() * self.noise(now).calm / 2000)
    }

    /// Cells of callers that the line takes in a minute.
    fn rate(&self) -> u64 {
        self.room.rate(self.medium()).min(self.cap.into())
    }

    /// Whether a caller's cell may go on to the lane.
    #[must_use]
    pub fn admit(&self, post: &UpPost, source: Source, up_epoch: u32, now: Millis) -> Admission {
        let difficulty = self.difficulty(now);
        if !self.stamps.take(post, &self.id, up_epoch, difficulty, now) {
            self.counters.stamps_refused.add(1);
            return Admission::Stamp;
        }
        let most = self.rate() * self.noise(now).cap / 1000;
        if !self.share.take(source, most.max(1), now, self.chance.as_ref()) {
            self.counters.cells_refused.add(1);
            return Admission::Full;
        }
        // What had no share cannot make others pay for it.
        self.load.count(now);
        if self.take_room(Whose::Callers, up_epoch, 1) {
            return Admission::Admitted;
        }
        self.counters.cells_refused.add(1);
        Admission::Full
    }

    /// Whether `cell_count` team cells of `device` may go on to the lane.
    #[must_use]
    pub fn admit_team(&self, device: DeviceId, cell_count: u32, up_epoch: u32, now: Millis) -> bool {
        let each = BESIDE.saturating_mul(self.beat_cells);
        self.team.take_many(device, cell_count, each, now) && self.take_room(Whose::Desk, up_epoch, u64::from(cell_count))
    }

    fn take_room(&self, whose: Whose, up_epoch: u32, count: u64) -> bool {
        if !self.room.take(whose, up_epoch, count) {
            return false;
        }
        let is_there = self.quota.take(count * UP_CELL_LEN as u64, whose);
        if !is_there {
            self.room.give_back(whose, up_epoch, count);
        }
        is_there
    }

    /// Gives back what was let in and did not reach the store.
    pub fn not_stored(&self, whose: Whose, up_epoch: u32, count: u32) {
        self.room.give_back(whose, up_epoch, count.into());
    }

    /// Forgets who posted what, once it serves nothing any more, whether or not somebody comes.
    ///
    /// `lane` is what the up lane holds, by epoch.
    pub fn tend(&self, now: Millis, boot: BootMillis, lane: &[(u32, u64)]) {
        self.room.measure(lane);
        self.share.tend(now);
        self.team.tend(now);
        self.nonces.tend(boot);
        self.stamps.tend(now);
    }

    /// Whether callers or devices have next to no room left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.room.is_full()
    }

    /// Whether room is so scarce that callers' cells come at a slower rate than the line's cap, or was so at the last look, and is not clearly more
    /// now.
    #[must_use]
    pub fn is_scarce(&self) -> bool {
        let is_scarce = self.room.is_scarce(self.medium(), self.cap.into(), self.was_scarce.load(Ordering::Relaxed));
        self.was_scarce.store(is_scarce, Ordering::Relaxed);
        is_scarce
    }

    fn medium(&self) -> Medium {
        Medium { free: self.quota.free_for(Whose::Callers), taken: self.quota.taken() }
    }

    /// Counts a cell that the medium has.
    pub fn stored(&self) {
        self.counters.cells_stored.add(1);
    }

    /// Counts a bundle.
    pub fn beat_taken(&self) {
        self.counters.desk_beats.add(1);
    }

    /// Whether the desk may spend `bytes` on what is no cell.
    #[must_use]
    pub fn admit_desk_bytes(&self, bytes: u64) -> bool {
        self.quota.take(bytes, Whose::Desk)
    }
}

#[cfg(test)]
mod tests;
