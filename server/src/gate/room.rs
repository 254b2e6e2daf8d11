//! A line's room in the store: a part for its callers and a part for its devices, so that neither can leave the other without.
//!
//! A cap per minute alone does not keep room: at the usual one a flood fills any disk within days, and what it leaves then falls to whoever asks
//! first. So once half of the callers' part is taken the cap shrinks with what is left, and that is shared out fairly like the cap itself
//! ([`super::fair`]): under a flood that never ends some room always stays.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use porchlight_proto::limits::UP_CELL_LEN;

use super::quota::Whose;

/// What a cell takes on the disk, at most (1.7 times its bytes were measured, docs/BENCH.md).
const CELL_COST: u64 = 2 * UP_CELL_LEN as u64;

/// When room is scarce, what is left of it would last for a cell's life divided by this at the present rate. As the rate falls with it, an eighth of
/// what was left is left when the first of them die.
const LAST: u64 = 2;

const SHORT_MINUTES: u64 = 5;

/// The room of one line.
pub struct Room {
    /// Cells, of callers and of devices.
    most: [u64; 2],
    life_minutes: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Cells held, of callers and of devices.
    held: [u64; 2],
    /// Callers' cells that were let in, by up epoch. What an earlier process let in counts as the devices', which send most.
    of_callers: HashMap<u32, u64>,
}

const fn at(whose: Whose) -> usize {
    match whose {
        Whose::Callers => 0,
        Whose::Desk => 1,
    }
}

impl Room {
    /// Half of `bytes` for callers, three eighths for devices; the rest is for what is no cell. Cells live for `life_s` seconds.
    #[must_use]
    pub fn new(bytes: u64, life_s: u32) -> Self {
        let most = [bytes / 2 / CELL_COST, bytes / 8 * 3 / CELL_COST];
        Self { most, life_minutes: u64::from(life_s / 60), state: Mutex::default() }
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
        if whose == Whose::Callers {
            *state.of_callers.entry(up_epoch).or_default() += count;
        }
        true
    }

    /// How many cells of callers may come in a minute now, if the cap lets them.
    #[must_use]
    pub fn rate(&self) -> u64 {
        let ([most, _], [held, _]) = (self.most, self.state().held);
        let free = most.saturating_sub(held);
        let last_minutes = self.life_minutes / LAST;
        // Cells that live for minutes make room by themselves.
        if free >= most / 2 || last_minutes < SHORT_MINUTES { u64::MAX } else { free.div_ceil(last_minutes) }
    }

    /// Whether next to nothing of the callers' room is left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let ([most, _], [held, _]) = (self.most, self.state().held);
        most.saturating_sub(held) <= most / 16
    }

    /// Learns what the lane holds, by up epoch.
    pub fn measure(&self, lane: &[(u32, u64)]) {
        let mut state = self.state();
        state.of_callers.retain(|epoch, _| lane.iter().any(|(held, _)| held == epoch));
        let callers = lane.iter().map(|(epoch, count)| state.of_callers.get(epoch).map_or(0, |let_in| *count.min(let_in))).sum();
        let all: u64 = lane.iter().map(|(_, count)| count).sum();
        state.held = [callers, all.saturating_sub(callers)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_callers_nor_devices_can_leave_the_other_without_room() {
        let room = Room::new(1 << 20, 259_200);
        let all = |whose| (0..).take_while(|_| room.take(whose, 7, 1)).count();
        assert_eq!((all(Whose::Desk), all(Whose::Callers)), (96, 128));
        room.measure(&[(7, 224)]);
        assert!(!room.take(Whose::Desk, 7, 1) && !room.take(Whose::Callers, 7, 1), "a look changes nothing");
        room.measure(&[(8, 10)]);
        assert!(
            room.take(Whose::Desk, 8, 86) && !room.take(Whose::Desk, 8, 1),
            "what is not known to be callers' is the devices'"
        );
        assert!(room.take(Whose::Callers, 8, 128), "an epoch that died is room again");
        room.measure(&[(8, 60)]);
        assert!(room.take(Whose::Callers, 8, 68), "what was let in and did not reach the store takes no room");
    }

    #[test]
    fn under_a_flood_that_never_ends_room_is_always_left_and_the_rate_never_falls_to_nothing() {
        // Three days of 24 epochs, and ten more; each minute all that may come comes.
        let room = Room::new(1 << 30, 259_200);
        let mut lane: Vec<(u32, u64)> = Vec::new();
        let (mut least_free, mut least_rate) = (u64::MAX, u64::MAX);
        for hour in 0..24 * 13 {
            lane.push((hour, 0));
            lane.retain(|(epoch, _)| hour - epoch <= 73);
            room.measure(&lane);
            for _ in 0..60 {
                let rate = room.rate().min(3_000);
                assert!(room.take(Whose::Callers, hour, rate), "the rate is no more than there is room");
                lane.last_mut().unwrap().1 += rate;
                least_free = least_free.min(room.most[0] - room.state().held[0]);
                least_rate = least_rate.min(rate);
            }
        }
        assert!(
            least_free > room.most[0] / 32 && least_rate >= 2,
            "{least_free} of {} cells free, {least_rate} a minute",
            room.most[0]
        );
    }
}
