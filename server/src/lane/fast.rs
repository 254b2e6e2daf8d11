//! The fast track: slots for the pages that are open now, shown for two beats and then gone.
//!
//! It never touches a medium. Its filler seeds live in this process alone: after a restart all slots of the last beats change, real
//! ones and filler alike, so that a change tells nobody which was which.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use porchlight_proto::limits::DOWN_CELL_LEN;
use porchlight_proto::time::{Millis, Timing};
use zeroize::Zeroizing;

use super::{Hand, SlotWrite, Writer};
use crate::chance::Chance;
use crate::seal::filler;

/// How many beats ahead a slot may be written (SPEC §9).
pub const BEATS_AHEAD: u64 = 20;

/// Beats that share a filler seed.
const BEATS_PER_SEED: u64 = 128;

/// A cell on the down lane.
pub type DownCell = Box<[u8; DOWN_CELL_LEN]>;

/// The fast track of one line.
pub struct FastTrack {
    timing: Timing,
    chance: Arc<dyn Chance>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By whom is kept until the slot begins.
    written: BTreeMap<u64, (DownCell, Option<Hand>)>,
    seeds: BTreeMap<u64, Box<Zeroizing<[u8; 32]>>>,
    /// The newest beat that anybody came with: what has begun does not change, for whoever read the clock before and comes after either.
    beat: u64,
    /// The page of that beat, once it was asked for.
    page: Option<Arc<Vec<u8>>>,
}

impl State {
    /// The beat that is: `beat`, or a newer one that somebody came with meanwhile.
    fn reach(&mut self, beat: u64) -> u64 {
        if beat > self.beat {
            (self.beat, self.page) = (beat, None);
        }
        self.beat
    }
}

impl FastTrack {
    /// An empty track.
    #[must_use]
    pub fn new(timing: Timing, chance: Arc<dyn Chance>) -> Self {
        Self { timing, chance, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a slot of one of the next beats. What a device wrote that has been put out since is written over.
    pub fn write(&self, slot: u64, cell: DownCell, by: &Writer<'_>, now: Millis) -> SlotWrite {
        let ahead = self.timing.beat_of(slot).checked_sub(self.timing.beat(now));
        if !ahead.is_some_and(|beats| (1..=BEATS_AHEAD).contains(&beats)) {
            return SlotWrite::NotOpen;
        }
        let mut state = self.state();
        // It may have begun while this waited: what was shown does not change.
        if state.beat >= self.timing.beat_of(slot) {
            return SlotWrite::NotOpen;
        }
        if state.written.get(&slot).is_some_and(|(_, hand)| !hand.is_some_and(|hand| by.may_replace(hand))) {
            return SlotWrite::Taken;
        }
        state.written.insert(slot, (cell, Some(by.hand)));
        SlotWrite::Written
    }

    /// The slots of the beat before and of the current one, oldest first.
    pub fn page(&self, now: Millis) -> Arc<Vec<u8>> {
        let mut state = self.state();
        let beat = state.reach(self.timing.beat(now));
        if let Some(page) = &state.page {
            return Arc::clone(page);
        }
        let first = self.timing.fast_slot(beat.saturating_sub(1), 0);
        let end = self.timing.fast_slot(beat.saturating_add(1), 0);
        let mut bytes = Vec::new();
        for slot in first..end {
            bytes.extend_from_slice(self.shown(&mut state, slot).as_slice());
        }
        let page = Arc::new(bytes);
        state.page = Some(Arc::clone(&page));
        page
    }

    fn shown(&self, state: &mut State, slot: u64) -> DownCell {
        if let Some((cell, _)) = state.written.get(&slot) {
            return cell.clone();
        }
        let epoch = self.timing.beat_of(slot) / BEATS_PER_SEED;
        let seed = state.seeds.entry(epoch).or_insert_with(|| {
            let mut seed = Box::<Zeroizing<[u8; 32]>>::default();
            self.chance.fill(seed.as_mut_slice());
            seed
        });
        filler(seed, slot)
    }

    /// Forgets what is no longer shown.
    pub fn tend(&self, now: Millis) {
        let mut state = self.state();
        let beat = state.reach(self.timing.beat(now));
        let shown = beat.saturating_sub(1);
        state.written = state.written.split_off(&self.timing.fast_slot(shown, 0));
        let begun = self.timing.fast_slot(beat.saturating_add(1), 0);
        state.written.range_mut(..begun).for_each(|(_, (_, hand))| *hand = None);
        state.seeds = state.seeds.split_off(&(shown / BEATS_PER_SEED));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::SeededChance;
    use porchlight_proto::line::DeviceId;

    const TIMING: Timing = Timing::PRODUCTION;
    const NOW: Millis = Millis(30_000 * 1000 + 5);

    fn track() -> FastTrack {
        FastTrack::new(TIMING, Arc::new(SeededChance::new(1)))
    }

    fn cell(byte: u8) -> DownCell {
        Box::new([byte; DOWN_CELL_LEN])
    }

    fn writer(id: u8) -> Writer<'static> {
        Writer {
            hand: Hand { device: DeviceId([id; 8]), generation: 1 },
            role: porchlight_proto::cert::Role::Worker,
            is_out: &|hand| hand.device == DeviceId([1; 8]),
        }
    }

    #[test]
    fn a_slot_that_a_device_took_which_has_been_put_out_since_is_free_again() {
        let (track, slot) = (track(), TIMING.fast_slot(1001, 1));
        let write = |id: u8| track.write(slot, cell(id), &writer(id), NOW);
        assert_eq!(
            [write(1), write(1), write(2), write(3)],
            [SlotWrite::Written, SlotWrite::Taken, SlotWrite::Written, SlotWrite::Taken]
        );
        let page = track.page(Millis(NOW.0 + 30_000));
        assert_eq!(page[5 * DOWN_CELL_LEN], 2, "what the other wrote");
    }

    #[test]
    fn a_slot_is_open_from_the_next_beat_to_twenty_beats_ahead_and_the_first_write_wins() {
        let track = track();
        for (name, beat, outcome) in [
            ("the beat before", 999, SlotWrite::NotOpen),
            ("the current beat", 1000, SlotWrite::NotOpen),
            ("the next beat", 1001, SlotWrite::Written),
            ("again", 1001, SlotWrite::Taken),
            ("twenty ahead", 1020, SlotWrite::Written),
            ("twenty-one ahead", 1021, SlotWrite::NotOpen),
        ] {
            assert_eq!(track.write(TIMING.fast_slot(beat, 2), cell(9), &writer(1), NOW), outcome, "{name}");
        }
        assert_eq!(track.write(u64::MAX, cell(9), &writer(1), NOW), SlotWrite::NotOpen, "the number that names no slot");
    }

    #[test]
    fn a_written_slot_is_shown_when_it_begins_and_for_two_beats() {
        let track = track();
        track.write(TIMING.fast_slot(1001, 1), cell(7), &writer(1), NOW);
        let holds = |now: Millis| track.page(now).chunks(DOWN_CELL_LEN).position(|shown| shown == [7; DOWN_CELL_LEN]);
        assert_eq!(holds(NOW), None, "nobody can tell before it begins");
        assert_eq!(holds(NOW.plus(30_000)), Some(5));
        track.tend(NOW.plus(60_000));
        assert_eq!(holds(NOW.plus(60_000)), Some(1));
        track.tend(NOW.plus(90_000));
        assert_eq!(holds(NOW.plus(90_000)), None);
    }

    /// A thread that read the clock in one beat and went on in the next made the older page anew, and a slot that had been shown could be written.
    #[test]
    fn what_was_shown_does_not_change_for_whoever_comes_late() {
        let (track, begins) = (track(), NOW.plus(30_000));
        let write = |index: u8| track.write(TIMING.fast_slot(1001, index), cell(7), &writer(1), NOW);
        assert_eq!(write(1), SlotWrite::Written);
        let shown = track.page(begins);
        assert_eq!(track.page(NOW), shown, "the beat that has begun");
        assert_eq!(write(2), SlotWrite::NotOpen);
        assert_eq!(track.page(begins), shown);
        let later = begins.plus(60_000);
        track.tend(later);
        assert_eq!(track.page(begins), track.page(later), "not filler where a cell was, which would tell of it");
    }

    #[test]
    fn filler_does_not_change_while_it_is_shown_and_no_two_slots_are_alike() {
        let track = track();
        let page = track.page(NOW);
        assert_eq!(page.len(), 2 * 4 * DOWN_CELL_LEN);
        let later = track.page(NOW.plus(30_000));
        assert_eq!(page.get(4 * DOWN_CELL_LEN..), later.get(..4 * DOWN_CELL_LEN));
        let mut cells: Vec<_> = page.chunks(DOWN_CELL_LEN).collect();
        cells.sort_unstable();
        cells.dedup();
        assert_eq!(cells.len(), 8);
    }
}
