//! A line's room in the store: a part for its callers and a part for its devices, so that neither can leave the other without.
//!
//! A cap per minute alone does not keep room: at the usual one a flood fills any disk within days, and what it leaves then falls to whoever asks
//! first. So once half of the callers' part is taken, or of what the medium has where that is less, the cap shrinks with what is left, and that is
//! shared out fairly like the cap itself ([`super::fair`]): under a flood that never ends some room always stays.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::quota::Whose;

/// When room is scarce, what is left of it would last for a cell's life divided by this at the present rate. As the rate falls with it, an eighth of
/// what was left is left when the first of them die.
const LAST: u64 = 2;

/// Cells that live for less than twice as many minutes make room by themselves.
const SHORT_MINUTES: u64 = 5;

/// What the medium has, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Medium {
    /// Left for callers.
    pub free: u64,
    /// Taken by the store.
    pub taken: u64,
}

/// The room of one line.
pub struct Room {
    /// Cells, of callers and of devices.
    most: [u64; 2],
    cell_cost: u64,
    life_minutes: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Cells held, of callers and of devices.
    held: [u64; 2],
    /// What was let in, by up epoch. What an earlier process let in is nobody's: the quota of the medium sees to that.
    let_in: BTreeMap<u32, [u64; 2]>,
}

const fn at(whose: Whose) -> usize {
    match whose {
        Whose::Callers => 0,
        Whose::Desk => 1,
    }
}

impl Room {
    /// Half of `bytes` for callers, three eighths for devices; the rest is for what is no cell. A cell costs `cell_cost` and lives for `life_s`
    /// seconds.
    #[must_use]
    pub fn new(bytes: u64, cell_cost: u64, life_s: u32) -> Self {
        let most = [bytes / 2 / cell_cost, bytes / 8 * 3 / cell_cost];
        Self { most, cell_cost, life_minutes: u64::from(life_s / 60), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes room for `count` cells, if there is.
    #[must_use]
    pub fn take(&self, whose: Whose, up_epoch: u32, count: u64) -> bool {
        let mut state = self.state();
        let (Some(held), Some(most)) = (state.held.get_mut(at(whose)), self.most.get(at(whose))) else { return false };
        if held.saturating_add(count) > *most {
            return false;
        }
        *held += count;
        if let Some(let_in) = state.let_in.entry(up_epoch).or_default().get_mut(at(whose)) {
            *let_in += count;
        }
        true
    }

    /// Gives back what was taken for cells that went nowhere.
    pub fn give_back(&self, whose: Whose, up_epoch: u32, count: u64) {
        let mut state = self.state();
        if let Some(held) = state.held.get_mut(at(whose)) {
            *held = held.saturating_sub(count);
        }
        if let Some(let_in) = state.let_in.get_mut(&up_epoch).and_then(|let_in| let_in.get_mut(at(whose))) {
            *let_in = let_in.saturating_sub(count);
        }
    }

    /// How many cells of callers may come in a minute now, if the cap lets them.
    #[must_use]
    pub fn rate(&self, medium: Medium) -> u64 {
        let (most, free) = self.reckoned(medium);
        let last_minutes = self.life_minutes / LAST;
        if free >= most / 2 && free > 0 || last_minutes < SHORT_MINUTES { u64::MAX } else { free.div_ceil(last_minutes) }
    }

    /// Whether fewer than `cap` cells a minute may come, since room is scarce. What `was` so is so until there is clearly more room.
    #[must_use]
    pub fn is_scarce(&self, medium: Medium, cap: u64, was: bool) -> bool {
        let (most, free) = self.reckoned(medium);
        self.rate(medium) < cap || (was && free < most / 8 * 5)
    }

    /// How many cells of callers there can be at most, and how many more. A medium that could never have held what was promised is a smaller room,
    /// but what lies on it is taken, whoever it is of: what was forgotten leaves its bytes there until the last of its shelf is.
    fn reckoned(&self, medium: Medium) -> (u64, u64) {
        let ([most, _], [held, _]) = (self.most, self.state().held);
        let most = most.min(medium.taken.saturating_add(medium.free) / self.cell_cost);
        (most, most.saturating_sub(held).min(medium.free / self.cell_cost))
    }

    /// Learns what the lane holds, by up epoch.
    pub fn measure(&self, lane: &[(u32, u64)]) {
        let mut lies = BTreeMap::<u32, u64>::new();
        for (epoch, count) in lane {
            *lies.entry(*epoch).or_default() += count;
        }
        let newest = lies.last_key_value().map_or(0, |(epoch, _)| *epoch);
        let mut state = self.state();
        // What is let in for an epoch that the lane has not begun is on its way there.
        state.let_in.retain(|epoch, _| *epoch > newest || lies.contains_key(epoch));
        let held = |whose| {
            let of = |(epoch, let_in): (&u32, &[u64; 2])| {
                let let_in = let_in.get(at(whose)).copied().unwrap_or(0);
                lies.get(epoch).map_or(let_in, |count| let_in.min(*count))
            };
            state.let_in.iter().map(of).sum()
        };
        state.held = [held(Whose::Callers), held(Whose::Desk)];
    }

    /// Whether next to nothing is left, for callers or for devices.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let held = self.state().held;
        self.most.iter().zip(held).any(|(most, held)| most.saturating_sub(held) <= most / 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: u64 = 4096;
    const ENDLESS: Medium = Medium { free: u64::MAX, taken: 0 };

    #[test]
    fn neither_callers_nor_devices_can_leave_the_other_without_room() {
        let room = Room::new(1 << 20, COST, 259_200);
        let all = |whose| (0..).take_while(|_| room.take(whose, 7, 1)).count();
        assert_eq!((all(Whose::Desk), all(Whose::Callers)), (96, 128));
        room.measure(&[(7, 224)]);
        assert!(!room.take(Whose::Desk, 7, 1) && !room.take(Whose::Callers, 7, 1), "a look changes nothing");
        assert!(room.is_full());
        room.measure(&[(8, 0)]);
        assert!(room.take(Whose::Callers, 8, 128) && room.take(Whose::Desk, 9, 96), "an epoch that died is room again");
        room.measure(&[(8, 100), (8, 20)]);
        assert!(!room.take(Whose::Desk, 9, 1), "what is on its way to the next epoch is not forgotten");
        assert!(
            room.take(Whose::Callers, 8, 8) && !room.take(Whose::Callers, 8, 1),
            "what did not reach the store takes no room"
        );
        room.give_back(Whose::Callers, 8, 5);
        assert!(room.take(Whose::Callers, 8, 5) && !room.take(Whose::Callers, 8, 1));
    }

    #[test]
    fn what_an_earlier_process_let_in_keeps_nobody_out() {
        let room = Room::new(1 << 20, COST, 259_200);
        room.measure(&[(7, 1000), (8, 1000)]);
        assert!(room.take(Whose::Desk, 8, 96) && room.take(Whose::Callers, 8, 128) && room.rate(ENDLESS) < 10);
    }

    #[test]
    fn room_is_scarce_where_half_of_what_the_medium_has_is_taken() {
        let room = Room::new(1 << 30, COST, 259_200);
        let cells = |free: u64, taken: u64| Medium { free: free * COST, taken: taken * COST };
        assert_eq!(room.rate(cells(1 << 20, 0)), u64::MAX);
        assert_eq!(room.rate(cells(1_000, 0)), u64::MAX, "a small room that is empty is no scarce one");
        assert_eq!((room.rate(cells(500, 500)), room.rate(cells(499, 501))), (u64::MAX, 1), "half of it");
        assert_eq!(room.rate(cells(60_000, 1 << 20)), 60_000_u64.div_ceil(2160), "what nobody here holds takes room as well");
        assert!(room.is_scarce(cells(499, 501), 3_000, false) && !room.is_scarce(cells(499, 501), 1, false));
        let more = cells(600, 400);
        assert_eq!(
            (room.is_scarce(more, 3_000, true), room.is_scarce(more, 3_000, false)),
            (true, false),
            "not said twice in a minute"
        );
        assert!(!room.is_scarce(cells(700, 300), 3_000, true));
        assert_eq!(room.rate(cells(0, 0)), 0);
        let _ = room.take(Whose::Callers, 7, 70_000);
        assert_eq!(room.rate(ENDLESS), 61_072_u64.div_ceil(2160), "more than half of its own part is taken");
    }

    /// With what it is forgotten in hours of, and a shelf is removed with the day: nobody holds those cells, and they take room.
    #[test]
    fn a_flood_whose_hours_are_forgotten_leaves_room_as_well() {
        let room = Room::new(1 << 30, COST, 259_200);
        // Callers may have three quarters of it, dead or alive.
        let (all, mut on_disk) = ((1_u64 << 30) / 4 * 3 / COST, 0);
        for minute in 0..24 * 60_u64 {
            if minute.is_multiple_of(60) {
                room.measure(&[(u32::try_from(minute / 60).unwrap(), 0)]);
            }
            let medium = Medium { free: (all - on_disk) * COST, taken: on_disk * COST };
            on_disk += room.rate(medium).min(3_000).min(all - on_disk);
        }
        println!("{} of {all} cells free after a day", all - on_disk);
        assert!(all - on_disk > all / 8);
    }

    #[test]
    fn under_a_flood_that_never_ends_room_is_always_left_and_the_rate_never_falls_to_nothing() {
        // Three days of 24 epochs, and ten more; each minute all that may come comes.
        let room = Room::new(1 << 30, COST, 259_200);
        let mut lane: Vec<(u32, u64)> = Vec::new();
        let (mut least_free, mut least_rate) = (u64::MAX, u64::MAX);
        for hour in 0..24 * 13 {
            lane.push((hour, 0));
            lane.retain(|(epoch, _)| hour - epoch <= 73);
            room.measure(&lane);
            for _ in 0..60 {
                let rate = room.rate(ENDLESS).min(3_000);
                assert!(room.take(Whose::Callers, hour, rate), "the rate is no more than there is room");
                lane.last_mut().unwrap().1 += rate;
                least_free = least_free.min(room.most[0] - room.state().held[0]);
                least_rate = least_rate.min(rate);
            }
        }
        let most = room.most[0];
        println!("{least_free} of {most} cells free at worst, {least_rate} a minute");
        assert!(least_free > most / 32 && least_rate >= 2, "{least_free} of {most} cells free, {least_rate} a minute");
    }
}
