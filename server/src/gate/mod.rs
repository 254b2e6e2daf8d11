//! The room that may refuse: who may spend disk, and who is a device of the line.
//!
//! A caller's cell passes, in this order: a *stamp* if there is load, its source's *fair share* of the line's cap, the *quota* of the
//! medium. A device shows a *token*; its team cells have a cap and a part of the quota that callers cannot use.
//! Everything here is in memory and forgotten within the hour.

use std::sync::Arc;

use porchlight_proto::api::UpPost;
use porchlight_proto::limits::UP_CELL_LEN;
use porchlight_proto::line::{DeviceId, LineId};
use porchlight_proto::time::Millis;

use crate::chance::Chance;
use crate::clock::BootMillis;
use crate::config::LineSettings;
use crate::counters::Counters;

pub mod fair;
pub mod load;
pub mod owing;
pub mod quota;
pub mod sources;
pub mod stamps;
pub mod tokens;

use self::fair::Share;
use self::load::Load;
use self::quota::{Quota, Whose};
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
    load: Load,
    share: Share<Source>,
    team: Share<DeviceId>,
    /// Team cells that a device posts in a minute at its beat.
    beat_cells: u32,
    stamps: Stamps,
    /// Nonces of device tokens that were used.
    pub nonces: Nonces,
    quota: Arc<Quota>,
    counters: Arc<Counters>,
}

impl LineGate {
    /// The gate of a line.
    #[must_use]
    pub fn new(settings: &LineSettings, chance: Arc<dyn Chance>, quota: Arc<Quota>, counters: Arc<Counters>) -> Self {
        let beat_cells = 2 * 60_000 / u32::from(settings.desk_beat_ms.max(1));
        Self {
            id: settings.id,
            load: Load::new(settings.cap_per_minute),
            share: Share::new(settings.cap_per_minute),
            team: Share::new(DEVICES * beat_cells),
            beat_cells,
            stamps: Stamps::new(chance, SPENT_MAX),
            nonces: Nonces::default(),
            quota,
            counters,
        }
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
        self.load.difficulty(now)
    }

    /// Whether a caller's cell may go on to the lane.
    #[must_use]
    pub fn admit(&self, post: &UpPost, source: Source, up_epoch: u32, now: Millis) -> Admission {
        let difficulty = self.difficulty(now);
        if !self.stamps.take(post, &self.id, up_epoch, difficulty, now) {
            self.counters.stamps_refused.add(1);
            return Admission::Stamp;
        }
        self.load.count(now);
        if self.share.take(source, now) && self.quota.take(UP_CELL_LEN as u64, Whose::Callers) {
            return Admission::Admitted;
        }
        self.counters.cells_refused.add(1);
        Admission::Full
    }

    /// Whether `cell_count` team cells of `device` may go on to the lane.
    #[must_use]
    pub fn admit_team(&self, device: DeviceId, cell_count: u32, now: Millis) -> bool {
        let bytes = u64::from(cell_count) * UP_CELL_LEN as u64;
        let each = BESIDE.saturating_mul(self.beat_cells);
        self.team.take_many(device, cell_count, each, now) && self.quota.take(bytes, Whose::Desk)
    }

    /// Forgets who posted what, once it serves nothing any more, whether or not somebody comes.
    pub fn tend(&self, now: Millis, boot: BootMillis) {
        self.share.tend(now);
        self.team.tend(now);
        self.nonces.tend(boot);
        self.stamps.tend(now);
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
