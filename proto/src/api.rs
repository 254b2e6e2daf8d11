//! What travels between clients and a relay, besides cells (SPEC §11).
use crate::cell::{down::DownCell, up::UpCell};
use crate::layout::{Fields, Put, Span, desk_beat, desk_reply, lane_page, notice, up_post, up_reply};
use crate::limits::{
    BULLETIN_LEN, DESK_BEAT_LEN, DESK_REPLY_LEN, LANE_GROUP, LANE_PAGE_LEN, LANE_PAGE_MAX_CELLS, NOTICE_LEN, ROSTER_LEN,
    UP_CELL_LEN, UP_POST_LEN, UP_REPLY_LEN,
};
use crate::time::{Millis, Timing};
use alloc::{boxed::Box, vec::Vec};

/// The bytes are not what this call sends or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these are not the bytes of this call")]
pub struct BadBytes;

fn sized<const N: usize>(bytes: &[u8]) -> Result<Box<[u8; N]>, BadBytes> {
    Box::<[u8]>::from(bytes).try_into().map_err(|_| BadBytes)
}

/// The answer to `notice`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The roster in force, unchecked; `None` before the first is published.
    pub roster: Option<Box<[u8; ROSTER_LEN]>>,
    /// The relay's slot clock.
    pub clock_ms: Millis,
    /// Zero bits that a stamp must show.
    pub difficulty: u8,
    /// The epoch that stamps are made for.
    pub up_epoch: u32,
    /// The beat now.
    pub beat: u64,
    /// The relay's number, which tags are derived with.
    pub relay_no: u8,
    /// The salt that stamps are made with.
    pub stamp_salt: [u8; 16],
    /// The pace this relay keeps.
    pub timing: Timing,
    /// Seconds for which it holds letters after their epoch.
    pub up_ttl_s: u32,
    /// Milliseconds between two bundles of a desk device.
    pub desk_beat_ms: u16,
    /// The bulletin, unchecked.
    pub bulletin: [u8; BULLETIN_LEN],
}

impl Notice {
    /// The 4,240 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Box<[u8; NOTICE_LEN]> {
        let mut bytes = Box::new([0; NOTICE_LEN]);
        if let Some(roster) = &self.roster {
            bytes.put(notice::roster, roster.as_slice());
        }
        bytes.put(notice::clock_ms, &self.clock_ms.0.to_be_bytes());
        bytes.put(notice::difficulty, &[self.difficulty]);
        bytes.put(notice::up_epoch, &self.up_epoch.to_be_bytes());
        bytes.put(notice::beat, &self.beat.to_be_bytes());
        bytes.put(notice::relay_no, &[self.relay_no]);
        bytes.put(notice::stamp_salt, &self.stamp_salt);
        bytes.put(notice::up_beat_ms, &self.timing.up_beat_ms.to_be_bytes());
        bytes.put(notice::beat_ms, &self.timing.beat_ms.to_be_bytes());
        bytes.put(notice::fast_slots, &[self.timing.fast_slots]);
        bytes.put(notice::slow_s, &self.timing.slow_s.to_be_bytes());
        bytes.put(notice::slow_days, &[self.timing.slow_days]);
        bytes.put(notice::up_ttl_s, &self.up_ttl_s.to_be_bytes());
        bytes.put(notice::desk_beat_ms, &self.desk_beat_ms.to_be_bytes());
        bytes.put(notice::bulletin, &self.bulletin);
        bytes
    }
    /// Reads the 4,240 bytes.
    ///
    /// # Errors
    ///
    /// [`BadBytes`] for another length, bytes that must be zero, or a pace out of bounds.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadBytes> {
        let bytes = sized::<NOTICE_LEN>(bytes)?;
        let fields = Fields(bytes.as_slice());
        let timing = Timing {
            up_beat_ms: fields.u16(notice::up_beat_ms),
            beat_ms: fields.u16(notice::beat_ms),
            fast_slots: fields.u8(notice::fast_slots),
            slow_s: fields.u16(notice::slow_s),
            slow_days: fields.u8(notice::slow_days),
        };
        if timing.check().is_err() || !fields.is_zero(notice::zero) {
            return Err(BadBytes);
        }
        Ok(Self {
            roster: (!fields.is_zero(notice::roster)).then(|| fields.boxed(notice::roster)),
            clock_ms: Millis(fields.u64(notice::clock_ms)),
            difficulty: fields.u8(notice::difficulty),
            up_epoch: fields.u32(notice::up_epoch),
            beat: fields.u64(notice::beat),
            relay_no: fields.u8(notice::relay_no),
            stamp_salt: fields.array(notice::stamp_salt),
            timing,
            up_ttl_s: fields.u32(notice::up_ttl_s),
            desk_beat_ms: fields.u16(notice::desk_beat_ms),
            bulletin: fields.array(notice::bulletin),
        })
    }
}

/// The body of a POST to `up`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpPost {
    /// The stamp, random in peace.
    pub stamp: [u8; 32],
    /// The cell.
    pub cell: UpCell,
}

impl UpPost {
    /// The 2,080 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Box<[u8; UP_POST_LEN]> {
        let mut bytes = Box::new([0; UP_POST_LEN]);
        bytes.put(up_post::stamp, &self.stamp);
        bytes.put(up_post::cell, self.cell.as_slice());
        bytes
    }
    /// Reads the 2,080 bytes.
    ///
    /// # Errors
    ///
    /// [`BadBytes`] for another length.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadBytes> {
        let bytes = sized::<UP_POST_LEN>(bytes)?;
        let fields = Fields(bytes.as_slice());
        Ok(Self { stamp: fields.array(up_post::stamp), cell: fields.boxed(up_post::cell) })
    }
}

/// What a relay did with a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpOutcome {
    /// It is stored.
    Stored,
    /// There is no room now. Try again at a later beat.
    Full,
    /// The stamp is too weak or spent. Make one of the difficulty said.
    Stamp,
}

/// The answer to a POST to `up`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpReply {
    /// What was done with the cell.
    pub outcome: UpOutcome,
    /// Zero bits that a stamp must show from now on.
    pub difficulty: u8,
    /// The serial of the roster in force; 0 for none.
    pub serial: u32,
    /// The relay's slot clock.
    pub clock_ms: Millis,
}

impl UpReply {
    /// The 16 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; UP_REPLY_LEN] {
        let mut bytes = [0; UP_REPLY_LEN];
        let outcome = match self.outcome {
            UpOutcome::Stored => 0,
            UpOutcome::Full => 1,
            UpOutcome::Stamp => 2,
        };
        bytes.put(up_reply::outcome, &[outcome]);
        bytes.put(up_reply::difficulty, &[self.difficulty]);
        bytes.put(up_reply::serial, &self.serial.to_be_bytes());
        bytes.put(up_reply::clock_ms, &self.clock_ms.0.to_be_bytes());
        bytes
    }
    /// Reads the 16 bytes.
    ///
    /// # Errors
    ///
    /// [`BadBytes`] for another length, an unknown outcome, or bytes that must be zero.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadBytes> {
        let bytes = sized::<UP_REPLY_LEN>(bytes)?;
        let fields = Fields(bytes.as_slice());
        let outcome = match fields.u8(up_reply::outcome) {
            0 => UpOutcome::Stored,
            1 => UpOutcome::Full,
            2 => UpOutcome::Stamp,
            _ => return Err(BadBytes),
        };
        if !fields.is_zero(up_reply::zero) {
            return Err(BadBytes);
        }
        Ok(Self {
            outcome,
            difficulty: fields.u8(up_reply::difficulty),
            serial: fields.u32(up_reply::serial),
            clock_ms: Millis(fields.u64(up_reply::clock_ms)),
        })
    }
}

/// Up to where every enrolled device has fetched and opened, in one life of the lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// The lane's life.
    pub life: u64,
    /// The position.
    pub n: u64,
}

/// One bundle of a desk device: the same shape whether there is anything to say or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeskBeat {
    /// The fast slot to write; `None` names no slot.
    pub fast_slot: Option<u64>,
    /// The slow slot to write; `None` names no slot.
    pub slow_slot: Option<u64>,
    /// What may be forgotten.
    pub floor: Floor,
    /// For the fast slot: a cell, or random bytes.
    pub fast_cell: DownCell,
    /// For the slow slot: a cell, or random bytes.
    pub slow_cell: DownCell,
    /// Two team cells, real or dummies.
    pub team_cells: [UpCell; 2],
}

const NO_SLOT: u64 = u64::MAX;

impl DeskBeat {
    /// The 6,176 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Box<[u8; DESK_BEAT_LEN]> {
        let mut bytes = Box::new([0; DESK_BEAT_LEN]);
        bytes.put(desk_beat::fast_slot, &self.fast_slot.unwrap_or(NO_SLOT).to_be_bytes());
        bytes.put(desk_beat::slow_slot, &self.slow_slot.unwrap_or(NO_SLOT).to_be_bytes());
        bytes.put(desk_beat::floor_life, &self.floor.life.to_be_bytes());
        bytes.put(desk_beat::floor_n, &self.floor.n.to_be_bytes());
        bytes.put(desk_beat::fast_cell, self.fast_cell.as_slice());
        bytes.put(desk_beat::slow_cell, self.slow_cell.as_slice());
        let [first, second] = &self.team_cells;
        bytes.put(FIRST_TEAM_CELL, first.as_slice());
        bytes.put(SECOND_TEAM_CELL, second.as_slice());
        bytes
    }
    /// Reads the 6,176 bytes.
    ///
    /// # Errors
    ///
    /// [`BadBytes`] for another length.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadBytes> {
        let bytes = sized::<DESK_BEAT_LEN>(bytes)?;
        let fields = Fields(bytes.as_slice());
        let slot = |span| Some(fields.u64(span)).filter(|slot| *slot != NO_SLOT);
        Ok(Self {
            fast_slot: slot(desk_beat::fast_slot),
            slow_slot: slot(desk_beat::slow_slot),
            floor: Floor { life: fields.u64(desk_beat::floor_life), n: fields.u64(desk_beat::floor_n) },
            fast_cell: fields.boxed(desk_beat::fast_cell),
            slow_cell: fields.boxed(desk_beat::slow_cell),
            team_cells: [fields.boxed(FIRST_TEAM_CELL), fields.boxed(SECOND_TEAM_CELL)],
        })
    }
}

const FIRST_TEAM_CELL: Span = Span { at: desk_beat::team_cells.at, len: UP_CELL_LEN };
const SECOND_TEAM_CELL: Span = Span { at: desk_beat::team_cells.at + UP_CELL_LEN, len: UP_CELL_LEN };

/// What a relay did with a desk's request as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeskOutcome {
    /// Done.
    Done,
    /// There is no room now.
    Full,
    /// A roster or bulletin that does not check, is older than the one held, or keeps another pace.
    Refused,
}

/// What a relay did with one down cell of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotOutcome {
    /// Written; or no slot was named.
    Written,
    /// Somebody wrote it first.
    Taken,
    /// It has begun, is too far ahead, or belongs to another role.
    NotOpen,
}

impl SlotOutcome {
    const fn code(self) -> u8 {
        match self {
            Self::Written => 0,
            Self::Taken => 1,
            Self::NotOpen => 2,
        }
    }
    const fn from_code(code: u8) -> Result<Self, BadBytes> {
        match code {
            0 => Ok(Self::Written),
            1 => Ok(Self::Taken),
            2 => Ok(Self::NotOpen),
            _ => Err(BadBytes),
        }
    }
}

/// The answer to a desk's bundle, and to its PUTs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeskReply {
    /// What was done with the whole.
    pub outcome: DeskOutcome,
    /// What was done with the fast cell.
    pub fast: SlotOutcome,
    /// What was done with the slow cell.
    pub slow: SlotOutcome,
    /// The serial of the roster in force; 0 for none.
    pub serial: u32,
    /// The relay's slot clock.
    pub clock_ms: Millis,
}

impl DeskReply {
    /// The 16 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; DESK_REPLY_LEN] {
        let mut bytes = [0; DESK_REPLY_LEN];
        let outcome = match self.outcome {
            DeskOutcome::Done => 0,
            DeskOutcome::Full => 1,
            DeskOutcome::Refused => 3,
        };
        bytes.put(desk_reply::outcome, &[outcome]);
        bytes.put(desk_reply::fast_outcome, &[self.fast.code()]);
        bytes.put(desk_reply::slow_outcome, &[self.slow.code()]);
        bytes.put(desk_reply::serial, &self.serial.to_be_bytes());
        bytes.put(desk_reply::clock_ms, &self.clock_ms.0.to_be_bytes());
        bytes
    }
    /// Reads the 16 bytes.
    ///
    /// # Errors
    ///
    /// [`BadBytes`] for another length, an unknown outcome, or bytes that must be zero.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadBytes> {
        let bytes = sized::<DESK_REPLY_LEN>(bytes)?;
        let fields = Fields(bytes.as_slice());
        let outcome = match fields.u8(desk_reply::outcome) {
            0 => DeskOutcome::Done,
            1 => DeskOutcome::Full,
            3 => DeskOutcome::Refused,
            _ => return Err(BadBytes),
        };
        if !fields.is_zero(desk_reply::zero) {
            return Err(BadBytes);
        }
        Ok(Self {
            outcome,
            fast: SlotOutcome::from_code(fields.u8(desk_reply::fast_outcome))?,
            slow: SlotOutcome::from_code(fields.u8(desk_reply::slow_outcome))?,
            serial: fields.u32(desk_reply::serial),
            clock_ms: Millis(fields.u64(desk_reply::clock_ms)),
        })
    }
}

/// Cells of the up lane as a desk fetches them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanePage {
    /// The lane's life. Another one than before means: start over.
    pub life: u64,
    /// Position of the first cell, or of the next one to come if there is none.
    pub first: u64,
    /// The cells, in order of position.
    pub cells: Vec<UpCell>,
}

impl LanePage {
    /// The 24 bytes before the cells.
    #[must_use]
    pub fn header(life: u64, first: u64, cells: u32) -> [u8; LANE_PAGE_LEN] {
        let mut bytes = [0; LANE_PAGE_LEN];
        bytes.put(lane_page::life, &life.to_be_bytes());
        bytes.put(lane_page::first, &first.to_be_bytes());
        bytes.put(lane_page::cells, &cells.to_be_bytes());
        bytes
    }
    /// Bytes of the whole answer with this many cells, padded to whole groups.
    #[must_use]
    pub const fn len_with(cells: usize) -> usize {
        LANE_PAGE_LEN + cells.next_multiple_of(LANE_GROUP) * UP_CELL_LEN
    }
    /// Reads an answer to `desk/up`.
    ///
    /// # Errors
    ///
    /// [`BadBytes`] if the length does not fit the count of cells, there are more than 512, no position would be left after them, or
    /// bytes that must be zero are not.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadBytes> {
        let (header, body) = bytes.split_first_chunk::<LANE_PAGE_LEN>().ok_or(BadBytes)?;
        let fields = Fields(header);
        let count = usize::try_from(fields.u32(lane_page::cells)).map_err(|_| BadBytes)?;
        if count > LANE_PAGE_MAX_CELLS || bytes.len() != Self::len_with(count) || !fields.is_zero(lane_page::zero) {
            return Err(BadBytes);
        }
        let first = fields.u64(lane_page::first);
        // Else its last cell would lie before its first, and nothing could come after them.
        first.checked_add(count as u64).ok_or(BadBytes)?;
        let cells = body.chunks_exact(UP_CELL_LEN).take(count).map(sized::<UP_CELL_LEN>).collect::<Result<_, _>>()?;
        Ok(Self { life: fields.u64(lane_page::life), first, cells })
    }
    /// The position after which to read on.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.first.saturating_add(self.cells.len() as u64).saturating_sub(1)
    }
}
