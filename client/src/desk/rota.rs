//! Who is on call: shifts entered and struck, what they leave open, and going off (SPEC §8.4, types 19 and 20).
use crate::desk::{Desk, DeskError, line::hex};
use porchlight_proto::{
    event::Event,
    line::{CallerId, DeviceId},
    time::Seconds,
};
use rand_core::CryptoRng;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The rota is looked at for this many seconds ahead.
const AHEAD: u64 = 7 * 86_400;
/// A shift is no longer than this, in seconds: a typing error in a date is not a month on call.
const SHIFT_MAX: u64 = 7 * 86_400;
/// Shifts that ended longer ago than this, in seconds, are not shown.
const BEHIND: u64 = 86_400;

/// For so many seconds after it lapsed a claim is still somebody's to release.
const LAPSED: u64 = 86_400;

/// Names a shift: the device that entered it, and which of its events that was.
pub type ShiftId = (DeviceId, u64);

#[derive(Clone, Copy)]
pub(crate) struct Shift {
    pub(crate) device: DeviceId,
    pub(crate) from: u64,
    pub(crate) until: u64,
}

/// Every shift that was entered, and those that were struck: either may come first.
#[derive(Default)]
pub(crate) struct Shifts {
    entered: BTreeMap<ShiftId, Shift>,
    struck: BTreeSet<ShiftId>,
}

impl Shifts {
    pub(crate) fn enter(&mut self, id: ShiftId, shift: Shift) {
        self.entered.insert(id, shift);
    }
    pub(crate) fn strike(&mut self, id: ShiftId) {
        self.struck.insert(id);
    }
    fn standing(&self) -> impl Iterator<Item = (&ShiftId, &Shift)> {
        self.entered.iter().filter(|(id, shift)| !self.struck.contains(id) && shift.from < shift.until)
    }
}

/// The rota as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Rota {
    /// Devices on call now, in hex.
    pub on: Vec<String>,
    /// Until when somebody is on call without a gap; nothing if nobody is.
    pub on_until: Option<u64>,
    /// Devices whose shift begins next, in hex.
    pub next: Vec<String>,
    /// When.
    pub next_from: Option<u64>,
    /// Times of the next seven days in which nobody is on call. Empty where no shift was ever entered: then there is no rota.
    pub gaps: Vec<Gap>,
    /// The shifts, from yesterday on, by their beginnings.
    pub shifts: Vec<ShiftView>,
}

/// A time in which nobody is on call, Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Gap {
    /// From.
    pub from: u64,
    /// Until.
    pub until: u64,
}

/// One shift.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct ShiftView {
    /// The device on call, in hex.
    pub device: String,
    /// Whether it is this one.
    pub mine: bool,
    /// From when, Unix seconds.
    pub from: u64,
    /// Until when.
    pub until: u64,
    /// By which device it was entered, in hex.
    pub by: String,
    /// Which of its events that was.
    pub seq: u64,
}

impl Desk {
    /// Enters a shift of this device or of a colleague.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchDevice`] for one that is not of the team; [`DeskError::BadShift`] for one that ends before it begins,
    /// is over, or is longer than seven days.
    pub fn add_shift(
        &mut self,
        device: DeviceId,
        (from, until): (Seconds, Seconds),
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), DeskError> {
        if self.line()?.device != device && !self.colleagues(now).contains(&device) {
            return Err(DeskError::NoSuchDevice);
        }
        if until <= from || until <= now || until.0 - from.0 > SHIFT_MAX {
            return Err(DeskError::BadShift);
        }
        self.tell(&Event::Shift { device, from: from.to_u32(), until: until.to_u32() }, now, rng)
    }

    /// Strikes a shift from the rota.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchShift`].
    pub fn strike_shift(&mut self, id: ShiftId, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        self.state.shifts.standing().find(|(known, _)| **known == id).ok_or(DeskError::NoSuchShift)?;
        self.tell(&Event::Strike { device: id.0, seq: id.1 }, now, rng)
    }

    /// The shift meant by the device and number that a view gives.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchShift`].
    pub fn find_shift(&self, by: &str, seq: u64) -> Result<ShiftId, DeskError> {
        let device = self.find_device(by).map_err(|_| DeskError::NoSuchShift)?;
        let named = |(id, _): &(&ShiftId, &Shift)| **id == (device, seq);
        self.state.shifts.standing().find(named).map(|(id, _)| *id).ok_or(DeskError::NoSuchShift)
    }

    /// Goes off shift: this device's shifts that have begun end now. Nobody goes who still has somebody to look after.
    ///
    /// # Errors
    ///
    /// [`DeskError::StillClaimed`] names whom this device has claimed: release them, or hand them over and wait until somebody has
    /// accepted.
    pub fn go_off(&mut self, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let me = self.line()?.device;
        let mine = self.claimed(now);
        if !mine.is_empty() {
            return Err(DeskError::StillClaimed(mine));
        }
        let begun = |(_, shift): &(&ShiftId, &Shift)| shift.device == me && shift.from <= now.0 && shift.until > now.0;
        let begun: Vec<(ShiftId, Shift)> = self.state.shifts.standing().filter(begun).map(|(id, shift)| (*id, *shift)).collect();
        for (id, shift) in begun {
            self.tell(&Event::Strike { device: id.0, seq: id.1 }, now, rng)?;
            if shift.from < now.0 {
                self.tell(&Event::Shift { device: me, from: Seconds(shift.from).to_u32(), until: now.to_u32() }, now, rng)?;
            }
        }
        Ok(())
    }

    /// Whom this device has claimed, also those whose claim has lapsed within the last day: nobody else has taken them on.
    fn claimed(&self, now: Seconds) -> Vec<CallerId> {
        let me = self.state.line.as_ref().map(|line| line.device);
        let claims = self.state.callers.iter().filter(|(_, entry)| {
            entry.has_row() && entry.standing().is_some_and(|claim| Some(claim.device) == me && claim.until + LAPSED > now.0)
        });
        let mut claimed: Vec<CallerId> = claims.map(|(caller, _)| *caller).collect();
        claimed.sort_unstable();
        claimed
    }

    /// Who is on call, who is next, and when nobody is. Shifts of devices that are no longer of the team do not count.
    #[must_use]
    pub fn rota(&self, now: Seconds) -> Rota {
        let me = self.state.line.as_ref().map(|line| line.device);
        let team = self.colleagues(now);
        let mut shifts: Vec<(ShiftId, Shift)> = self
            .state
            .shifts
            .standing()
            .filter(|(_, shift)| Some(shift.device) == me || team.contains(&shift.device))
            .map(|(id, shift)| (*id, *shift))
            .collect();
        shifts.sort_by_key(|(id, shift)| (shift.from, shift.until, *id));
        let names = |of: &dyn Fn(&Shift) -> bool| {
            let named: BTreeSet<DeviceId> = shifts.iter().filter(|(_, shift)| of(shift)).map(|(_, shift)| shift.device).collect();
            named.into_iter().map(|device| hex(&device.0)).collect::<Vec<_>>()
        };
        let next_from = shifts.iter().map(|(_, shift)| shift.from).find(|from| *from > now.0);
        let is_on = |shift: &Shift| shift.from <= now.0 && now.0 < shift.until;
        let covered = covered_until(&shifts, now.0);
        Rota {
            on: names(&is_on),
            on_until: Some(covered).filter(|until| *until > now.0),
            next: next_from.map(|from| names(&|shift| shift.from == from)).unwrap_or_default(),
            next_from,
            gaps: if self.state.shifts.entered.is_empty() { Vec::new() } else { gaps(&shifts, now.0) },
            shifts: shifts
                .iter()
                .filter(|(_, shift)| shift.until + BEHIND > now.0)
                .map(|(id, shift)| ShiftView {
                    device: hex(&shift.device.0),
                    mine: Some(shift.device) == me,
                    from: shift.from,
                    until: shift.until,
                    by: hex(&id.0.0),
                    seq: id.1,
                })
                .collect(),
        }
    }
}

/// Up to when shifts follow each other from `at` on without a gap; `at` itself if nobody is on call then.
fn covered_until(shifts: &[(ShiftId, Shift)], at: u64) -> u64 {
    shifts.iter().fold(at, |until, (_, shift)| if shift.from <= until { until.max(shift.until) } else { until })
}

fn gaps(shifts: &[(ShiftId, Shift)], now: u64) -> Vec<Gap> {
    let (mut at, end) = (now, now.saturating_add(AHEAD));
    let mut gaps = Vec::new();
    while at < end {
        at = covered_until(shifts, at);
        let next = shifts.iter().map(|(_, shift)| shift.from).find(|from| *from > at).unwrap_or(end).min(end);
        if at < next {
            gaps.push(Gap { from: at, until: next });
        }
        at = next.max(at);
    }
    gaps
}
