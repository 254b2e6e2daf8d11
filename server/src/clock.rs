//! Time as the relay needs it: a wall clock that people set, a boot clock that nobody can, and the slot clock made of both.
//!
//! Keys die by the boot clock, so that setting the wall clock neither prolongs nor shortens a life (SPEC §12).

use std::sync::{Arc, Mutex, PoisonError};

use porchlight_proto::time::Millis;
use rustix::time::{ClockId, clock_gettime};

/// Milliseconds since this machine booted, counted through suspends (`CLOCK_BOOTTIME`).
///
/// Comparable only within one boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct BootMillis(pub u64);

impl BootMillis {
    /// The moment `span` milliseconds later; stops at the end of time instead of wrapping.
    #[must_use]
    pub fn after(self, span: u64) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// Milliseconds that have passed since `earlier`; zero if it has not come yet.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where the relay gets its time from. Tests hand in their own.
pub trait Clock: Send + Sync + 'static {
    /// What people call the time. May be wrong and may jump.
    fn wall(&self) -> Millis;
    /// Time since boot: never set, never backwards.
    fn boot(&self) -> BootMillis;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> Millis {
        Millis(millis_of(ClockId::Realtime))
    }

    fn boot(&self) -> BootMillis {
        BootMillis(millis_of(ClockId::Boottime))
    }
}

fn millis_of(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000)
}

/// A clock that stands still until it is told to move: for tests, which own their time.
#[derive(Debug)]
pub struct SetClock {
    wall: Mutex<u64>,
    boot: Mutex<u64>,
}

impl SetClock {
    /// A clock whose wall shows `wall` and whose machine booted an hour ago.
    #[must_use]
    pub fn new(wall: Millis) -> Self {
        Self { wall: Mutex::new(wall.0), boot: Mutex::new(3_600_000) }
    }

    /// Lets `span` milliseconds pass on both clocks.
    pub fn pass(&self, span: u64) {
        for clock in [&self.wall, &self.boot] {
            let mut held = clock.lock().unwrap_or_else(PoisonError::into_inner);
            *held = held.saturating_add(span);
        }
    }

    /// Sets the wall clock, as an operator or a broken time server would. The boot clock does not move.
    pub fn set_wall(&self, wall: Millis) {
        *self.wall.lock().unwrap_or_else(PoisonError::into_inner) = wall.0;
    }
}

impl Clock for SetClock {
    fn wall(&self) -> Millis {
        Millis(*self.wall.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn boot(&self) -> BootMillis {
        BootMillis(*self.boot.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One part in this many of the time that passed is all the slot clock moves towards the wall clock.
///
/// Half a percent: a correction of 30 s takes a hundred minutes, and no beat is visibly longer.
const SLEW_PART: u64 = 200;

/// The clock that slots, epochs and validity go by: the wall clock at start plus what the boot clock has moved since,
/// slewed towards the wall clock, never backwards (SPEC §9).
pub struct SlotClock {
    clock: Arc<dyn Clock>,
    hand: Mutex<Hand>,
}

struct Hand {
    shown: u64,
    at: BootMillis,
}

impl SlotClock {
    /// Starts from what the wall clock shows.
    #[must_use]
    pub fn start(clock: Arc<dyn Clock>) -> Self {
        let hand = Hand { shown: clock.wall().0, at: clock.boot() };
        Self { clock, hand: Mutex::new(hand) }
    }

    /// The time now.
    pub fn now(&self) -> Millis {
        let (wall, boot) = (self.clock.wall().0, self.clock.boot());
        let mut hand = self.hand.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = boot.since(hand.at);
        let straight = hand.shown.saturating_add(passed);
        let step = passed / SLEW_PART;
        // The hand moves forward by at least 199/200 of what passed, so it never goes back.
        let shown = wall.clamp(straight.saturating_sub(step), straight.saturating_add(step));
        // Reading too often to earn a whole millisecond of slew must not lose it: keep the old reference point then.
        if step > 0 {
            *hand = Hand { shown, at: boot };
        }
        Millis(shown)
    }

    /// Time since boot.
    pub fn boot(&self) -> BootMillis {
        self.clock.boot()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clocks() -> (Arc<SetClock>, SlotClock) {
        let set = Arc::new(SetClock::new(Millis(1_000_000_000)));
        let slots = SlotClock::start(Arc::clone(&set) as Arc<dyn Clock>);
        (set, slots)
    }

    #[test]
    fn the_slot_clock_follows_the_boot_clock() {
        let (set, slots) = clocks();
        for _ in 0..1000 {
            set.pass(7);
            slots.now();
        }
        assert_eq!(slots.now(), Millis(1_000_007_000));
    }

    #[test]
    fn a_jump_of_the_wall_clock_is_slewed_and_never_turns_the_slot_clock_back() {
        for jump in [0, 999_000_000, 5_000_000_000] {
            let (set, slots) = clocks();
            set.set_wall(Millis(jump));
            let mut before = slots.now();
            for _ in 0..10_000 {
                set.pass(37);
                let now = slots.now();
                assert!(now.0 >= before.0, "backwards after a jump to {jump}");
                before = now;
            }
            let drift = before.0.abs_diff(1_000_000_000 + 370_000);
            assert!(drift <= 370_000 / SLEW_PART + 1, "slewed by {drift} ms after a jump to {jump}");
        }
    }

    #[test]
    fn a_small_error_is_made_good() {
        let (set, slots) = clocks();
        set.set_wall(Millis(1_000_001_000));
        for _ in 0..100_000 {
            set.pass(10);
            slots.now();
        }
        assert_eq!(slots.now(), set.wall());
    }
}
