//! The room that orders: what callers and devices hand in gets a position or a slot, and is handed out in that order.
//!
//! A [`Line`] is everything the relay holds for one contact line:
//!
//! - [`up`]: cells for the desk, one sequence of positions, written in groups, read by long-poll, forgotten by epochs;
//! - [`fast`], [`slow`]: the two tracks down, slots written ahead and shown on time;
//! - [`board`]: what the line says in public: rosters and bulletin, on disk in the clear;
//! - [`blobs`]: snapshot chunks of the desk's devices;
//! - [`floors`]: how far the devices have got, so that epochs can be forgotten before their time.

use std::io;
use std::path::Path;
use std::sync::Arc;

use porchlight_proto::cert::Role;
use porchlight_proto::line::DeviceId;
use porchlight_proto::time::Seconds;

use crate::chance::Chance;
use crate::clock::{BootMillis, SlotClock};
use crate::config::LineSettings;
use crate::counters::Counters;
use crate::seal::{Epoch, Sealer};

pub mod blobs;
pub mod board;
pub mod fast;
pub mod floors;
pub mod slow;
pub mod up;

use self::blobs::Blobs;
use self::board::Board;
use self::fast::FastTrack;
use self::floors::Floors;
use self::slow::SlowTrack;
use self::up::UpLane;

/// What became of a cell for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotWrite {
    /// It will be shown when the slot begins.
    Written,
    /// Somebody wrote the slot before.
    Taken,
    /// The slot has begun, lies too far ahead, or belongs to another role.
    NotOpen,
    /// The store refused; nothing was written.
    Refused,
}

/// A device, as it was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hand {
    /// Which.
    pub device: DeviceId,
    /// The generation of the desk key that certified it.
    pub generation: u32,
}

/// Whose cell it is that goes into a slot.
pub struct Writer<'a> {
    /// The device.
    pub hand: Hand,
    /// What it is.
    pub role: Role,
    /// Whether a device has been put out: a slot that one wrote before is free again.
    pub is_out: &'a dyn Fn(Hand) -> bool,
}

impl Writer<'_> {
    fn may_replace(&self, hand: Hand) -> bool {
        hand.device != self.hand.device && (self.is_out)(hand)
    }
}

/// How far the end of a key may lie from what this clock makes of it, in milliseconds.
const CLOCKS_APART: u64 = 3_600_000;

/// Whether an epoch's key dies long before it should by this clock: one of a clock that was days ahead would take along what is written under it
/// now.
fn dies_too_soon(epoch: &Epoch, death: BootMillis) -> bool {
    epoch.death.after(CLOCKS_APART) < death
}

/// Whether it dies long after that: what is written under it now would outlive its time.
fn dies_too_late(epoch: &Epoch, death: BootMillis) -> bool {
    death.after(CLOCKS_APART) < epoch.death
}

/// What lines share.
#[derive(Clone)]
pub struct Ground {
    /// Keyring and store.
    pub sealer: Arc<Sealer>,
    /// The time.
    pub clock: Arc<SlotClock>,
    /// Padding and seeds.
    pub chance: Arc<dyn Chance>,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// Seconds in an epoch of the up lane.
    pub epoch_s: u32,
}

/// One contact line on this relay.
pub struct Line {
    /// What the configuration says of it.
    pub settings: LineSettings,
    /// Cells for the desk.
    pub up: UpLane,
    /// Slots for pages that are open now.
    pub fast: FastTrack,
    /// The carousel.
    pub slow: SlowTrack,
    /// Rosters and bulletin.
    pub board: Board,
    /// Snapshot chunks.
    pub blobs: Blobs,
    /// How far the devices have got.
    pub floors: Floors,
    ground: Ground,
}

impl Line {
    /// Takes up what the store and the public directory still hold of the line.
    ///
    /// # Errors
    ///
    /// What the file system says of the public directory.
    pub fn open(settings: LineSettings, public_dir: &Path, ground: &Ground) -> io::Result<Self> {
        Ok(Self {
            up: UpLane::open(&settings, ground),
            fast: FastTrack::new(settings.timing, Arc::clone(&ground.chance)),
            slow: SlowTrack::open(&settings, ground),
            board: Board::open(public_dir, &settings, Arc::clone(&ground.counters))?,
            blobs: Blobs::open(settings.id, ground),
            floors: Floors::new(ground.sealer.life(), ground.clock.boot()),
            ground: ground.clone(),
            settings,
        })
    }

    /// The time on the slot clock.
    pub fn now(&self) -> porchlight_proto::time::Millis {
        self.ground.clock.now()
    }

    /// Time since boot.
    pub fn boot(&self) -> BootMillis {
        self.ground.clock.boot()
    }

    /// The number of the up epoch that `now` lies in.
    pub fn up_epoch(&self, now: Seconds) -> u32 {
        epoch_number(now, self.ground.epoch_s)
    }

    /// Forgets whole epochs below the floor that all devices have reported. May block on the medium.
    pub fn forget_below_floor(&self) {
        let boot = self.ground.clock.boot();
        if let Some(floor) = self.floors.lowest(boot) {
            self.up.forget_through(floor);
        }
    }

    /// Lets go of what has died. May block on the medium.
    pub fn tend(&self) {
        self.up.tend();
        self.slow.tend(self.now());
    }

    /// Lets go of what memory alone holds: it waits for no medium.
    pub fn tend_memory(&self) {
        self.fast.tend(self.now());
        self.floors.tend(self.ground.clock.boot());
    }
}

/// Which epoch of `unit` seconds a moment lies in.
fn epoch_number(now: Seconds, unit: u32) -> u32 {
    u32::try_from(now.0 / u64::from(unit.max(1))).unwrap_or(u32::MAX)
}

/// Milliseconds from `now` to the end of epoch `number` of `unit` seconds.
fn millis_to_end(now: porchlight_proto::time::Millis, number: u32, unit: u32) -> u64 {
    let end = (u64::from(number) + 1).saturating_mul(u64::from(unit)).saturating_mul(1000);
    end.saturating_sub(now.0)
}

#[cfg(test)]
mod tests;
