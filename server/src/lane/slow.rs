//! The slow track: one slot every half hour, kept for days, the carousel that brings answers to pages opened later.
//!
//! A day is an epoch of 48 slots. What was written lies sealed in the store; what nobody wrote is filler from the day's key; so a day
//! reads the same after a restart, and when its key dies both are gone.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use porchlight_proto::cert::Role;
use porchlight_proto::limits::DOWN_CELL_LEN;
use porchlight_proto::line::LineId;
use porchlight_proto::time::{Millis, SLOTS_PER_DAY, Timing, day_of, is_safeguarding};

use super::fast::DownCell;
use super::{Ground, Hand, SlotWrite, Writer, dies_too_late, dies_too_soon};
use crate::clock::BootMillis;
use crate::config::LineSettings;
use crate::seal::{Epoch, EpochName, Lane, SealError};
use crate::store::{RecordKey, StoreError};

/// How many slots ahead one may be written (SPEC §9).
pub const SLOTS_AHEAD: u64 = 48;

/// Bytes that `down/slow/{day}` gives.
pub const DAY_LEN: usize = 48 * DOWN_CELL_LEN;

/// Days that share a shelf.
const DAYS_PER_SHELF: u32 = 8;

/// The slow track of one line.
pub struct SlowTrack {
    line: LineId,
    timing: Timing,
    ground: Ground,
    days: Mutex<BTreeMap<u32, Day>>,
    /// Days as they are given out until the next slot begins: one copy, however many take it, and nobody waits for a slot that is being written.
    pages: Mutex<BTreeMap<u32, Page>>,
}

struct Page {
    /// Slots shown.
    begun: u64,
    death: BootMillis,
    bytes: Bytes,
}

struct Day {
    /// Never empty. The first one's key makes the filler; the last one is written to. More than one only if a shelf went bad.
    epochs: Vec<Epoch>,
    written: BTreeMap<u64, DownCell>,
    /// Who wrote the slots that have not begun, since the relay was started.
    writers: BTreeMap<u64, Hand>,
    /// The slots that have been shown: what has begun does not change.
    shown: Vec<u8>,
}

impl SlowTrack {
    /// Takes up the days that the keyring still opens. Their slots are read at the first use.
    pub(super) fn open(settings: &LineSettings, ground: &Ground) -> Self {
        let track = Self {
            line: settings.id,
            timing: settings.timing,
            ground: ground.clone(),
            days: Mutex::default(),
            pages: Mutex::default(),
        };
        for epoch in ground.sealer.held(Lane::Slow, &settings.id) {
            // Days of another pace are other days (SPEC §9).
            if epoch.name.unit != u32::from(settings.timing.slow_s) {
                let _ = ground.sealer.forget(&epoch);
            }
        }
        track
    }

    fn days(&self) -> MutexGuard<'_, BTreeMap<u32, Day>> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pages(&self) -> MutexGuard<'_, BTreeMap<u32, Page>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a slot of the next day's length, and returns when the medium has it. What a device wrote that has been put out since is written
    /// over. May block on the medium.
    pub fn write(&self, slot: u64, cell: &DownCell, by: &Writer<'_>, now: Millis) -> SlotWrite {
        let ahead = slot.checked_sub(self.timing.slow_slot(now));
        let is_open = ahead.is_some_and(|slots| (1..=SLOTS_AHEAD).contains(&slots));
        if !is_open || is_safeguarding(slot) != (by.role == Role::Safeguarding) {
            return SlotWrite::NotOpen;
        }
        self.write_open(slot, cell, by, now).unwrap_or_else(|_| {
            self.ground.counters.store_failures.add(1);
            SlotWrite::Refused
        })
    }

    fn write_open(&self, slot: u64, cell: &DownCell, by: &Writer<'_>, now: Millis) -> Result<SlotWrite, SealError> {
        let mut days = self.days();
        let day = self.day(&mut days, day_of(slot), now)?;
        let is_written = day.written.contains_key(&slot);
        if is_written && !day.writers.get(&slot).is_some_and(|writer| by.may_replace(*writer)) {
            return Ok(SlotWrite::Taken);
        }
        // It may have begun while this waited: what was shown does not change.
        let shown = u64::try_from(day.shown.len() / DOWN_CELL_LEN).unwrap_or(u64::MAX);
        if slot % SLOTS_PER_DAY < shown {
            return Ok(SlotWrite::NotOpen);
        }
        // In the same place it is one cell, not two.
        let count = u64::from(!is_written);
        match self.append(day, (slot, cell), count) {
            Err(SealError::Store(StoreError::Unreadable)) => {
                day.epochs.push(self.begin(day_of(slot), now)?);
                self.append(day, (slot, cell), 1)?;
            }
            other => other?,
        }
        day.written.insert(slot, cell.clone());
        day.writers.insert(slot, by.hand);
        Ok(SlotWrite::Written)
    }

    fn append(&self, day: &Day, (slot, cell): (u64, &DownCell), count: u64) -> Result<(), SealError> {
        let epoch = day.epochs.last().ok_or(SealError::Dead)?;
        let boot = self.ground.clock.boot();
        let record = [(self.ground.sealer.mark(epoch, &slot.to_be_bytes(), boot)?, cell.as_slice())];
        self.ground.sealer.append(epoch, &record, count, boot)
    }

    /// The 48 slots of a day: those that have begun, then zeros; `None` for a day that does not exist. May block on the medium.
    pub fn page(&self, number: u32, now: Millis) -> Option<Bytes> {
        let age = self.timing.day(now).checked_sub(number)?;
        if age >= u32::from(self.timing.slow_days) {
            return None;
        }
        let first = u64::from(number) * SLOTS_PER_DAY;
        let begun = (self.timing.slow_slot(now) + 1).saturating_sub(first).min(SLOTS_PER_DAY);
        let boot = self.ground.clock.boot();
        let is_current = |page: &&Page| page.begun == begun && boot < page.death;
        if let Some(page) = self.pages().get(&number).filter(is_current) {
            return Some(page.bytes.clone());
        }
        let mut days = self.days();
        let Ok(day) = self.day(&mut days, number, now) else {
            self.ground.counters.store_failures.add(1);
            return None;
        };
        let seed = *day.epochs.first()?;
        let shown = u64::try_from(day.shown.len() / DOWN_CELL_LEN).unwrap_or(0);
        for slot in first.saturating_add(shown)..first.saturating_add(begun) {
            let cell = match day.written.get(&slot) {
                Some(cell) => cell.clone(),
                None => self.ground.sealer.filler(&seed, slot, self.ground.clock.boot()).ok()?,
            };
            day.shown.extend_from_slice(cell.as_slice());
        }
        let mut bytes = day.shown.clone();
        bytes.resize(DAY_LEN, 0);
        let bytes = Bytes::from(bytes);
        let death = day.epochs.iter().map(|epoch| epoch.death).min()?;
        self.pages().insert(number, Page { begun: begun.max(shown), death, bytes: bytes.clone() });
        Some(bytes)
    }

    /// The day, taken up from the store or begun.
    fn day<'a>(&self, days: &'a mut BTreeMap<u32, Day>, number: u32, now: Millis) -> Result<&'a mut Day, SealError> {
        let boot = self.ground.clock.boot();
        days.retain(|_, day| day.epochs.iter().all(|epoch| boot < epoch.death));
        match days.entry(number) {
            Entry::Occupied(day) => Ok(day.into_mut()),
            Entry::Vacant(free) => Ok(free.insert(self.take_up(number, now)?)),
        }
    }

    fn take_up(&self, number: u32, now: Millis) -> Result<Day, SealError> {
        let boot = self.ground.clock.boot();
        let mut epochs = self.ground.sealer.held(Lane::Slow, &self.line);
        let end = self.end(number, now);
        epochs.retain(|epoch| epoch.name.number == number && boot < epoch.death);
        // A day that was shown by one key's filler is not shown by another's later, with the same cells in it: those would tell which slots were
        // written. So what a wrong clock began is left out where there is a key that fits. To a day that is over nothing is written any more: where it
        // has none but such as die too soon, it is shown for as long as the last of them live.
        let is_over = number < self.timing.day(now);
        let outlives = |epoch: &Epoch| !dies_too_soon(epoch, end);
        let fits = |epoch: &Epoch| outlives(epoch) && !dies_too_late(epoch, end);
        let first_fit = epochs.iter().position(fits).unwrap_or(epochs.len());
        if epochs.iter().any(outlives) {
            let mut nth = 0..;
            epochs.retain(|epoch| nth.next().is_some_and(|nth| outlives(epoch) && nth < first_fit) || fits(epoch));
        } else {
            let last = epochs.iter().map(|epoch| epoch.death).max();
            epochs.retain(|epoch| is_over && last.is_some_and(|last| !dies_too_soon(epoch, last)));
        }
        let mut written = BTreeMap::new();
        for epoch in &epochs {
            written.extend(self.written(epoch)?);
        }
        // One that dies too late (a machine that was halted from outside, fewer `slow_days`) keeps what it has, and nothing more is written there.
        if epochs.last().is_none_or(|epoch| dies_too_late(epoch, end)) {
            epochs.push(self.begin(number, now)?);
        }
        Ok(Day { epochs, written, writers: BTreeMap::new(), shown: Vec::new() })
    }

    /// Begins an epoch of a day, after all that are held of it, whether or not they are shown: the later counts.
    fn begin(&self, number: u32, now: Millis) -> Result<Epoch, SealError> {
        let boot = self.ground.clock.boot();
        let held = self.ground.sealer.held(Lane::Slow, &self.line);
        let nth = held.iter().filter(|epoch| epoch.name.number == number).map(|epoch| epoch.first + 1).max().unwrap_or(0);
        let unit = u32::from(self.timing.slow_s);
        let name = EpochName { lane: Lane::Slow, line: self.line, number, unit, group: number / DAYS_PER_SHELF };
        self.ground.sealer.begin(name, nth, boot, self.end(number, now))
    }

    /// When the key of a day dies, by this clock.
    fn end(&self, number: u32, now: Millis) -> BootMillis {
        let day_ms = self.timing.day_s().saturating_mul(1000);
        let end = (u64::from(number) + u64::from(self.timing.slow_days)).saturating_mul(day_ms);
        self.ground.clock.boot().after(end.saturating_sub(now.0))
    }

    fn written(&self, epoch: &Epoch) -> Result<BTreeMap<u64, DownCell>, SealError> {
        if epoch.count == 0 {
            return Ok(BTreeMap::new());
        }
        // A medium that refuses may give them later: the day waits for it. A shelf that cannot be read loses its slots, not the day: they show
        // filler, and the carousel comes round again.
        let opened = match self.ground.sealer.read(epoch, RecordKey(0), usize::MAX, self.ground.clock.boot()) {
            Err(SealError::Store(StoreError::Unreadable)) => return Ok(BTreeMap::new()),
            opened => opened?,
        };
        let held = opened.records.len() + opened.damaged_count;
        let first = u64::from(epoch.name.number) * SLOTS_PER_DAY;
        let mut slots = HashMap::new();
        for slot in first..first + SLOTS_PER_DAY {
            slots.insert(self.ground.sealer.mark(epoch, &slot.to_be_bytes(), self.ground.clock.boot())?, slot);
        }
        let slot = |(key, bytes): (RecordKey, Vec<u8>)| Some((*slots.get(&key)?, bytes.into_boxed_slice().try_into().ok()?));
        let written: BTreeMap<_, _> = opened.records.into_iter().filter_map(slot).collect();
        // One that opens and lies under no slot's name is lost as well: another version wrote it. And what was counted and does not come, even
        // where the store does not say so.
        let lost = epoch.count.max(held as u64).saturating_sub(written.len() as u64);
        self.ground.counters.damaged_records.add(lost);
        Ok(written)
    }

    /// Lets go of days that do not exist any more.
    pub(super) fn tend(&self, now: Millis) {
        let oldest = self.timing.day(now).saturating_sub(u32::from(self.timing.slow_days) - 1);
        let boot = self.ground.clock.boot();
        self.pages().retain(|number, page| *number >= oldest && boot < page.death);
        let mut days = self.days();
        days.retain(|number, _| *number >= oldest);
        // Who wrote what has been shown is nobody's business any more.
        for day in days.values_mut() {
            day.writers = day.writers.split_off(&(self.timing.slow_slot(now) + 1));
        }
    }
}
