//! How busy a line is, and what a stamp must cost because of it.

use std::sync::{Mutex, PoisonError};

use porchlight_proto::limits::STAMP_BITS_MAX;
use porchlight_proto::time::Millis;

const MINUTE_MS: u64 = 60_000;

/// The cheapest stamp that is asked for at all.
const BITS_FIRST: u32 = 8;

/// What each doubling of the load adds.
const BITS_STEP: u32 = 4;

/// The posts of the last minute, and the difficulty that follows.
///
/// 0 up to half of what the line takes in a minute, more or less (the gate's noise); from there 8 bits, and 4 more for each doubling, up to 20.
#[derive(Default)]
pub struct Load {
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    minute: u64,
    count: u64,
    before: u64,
}

impl Load {
    /// Counts a post that was let in. One that was not costs others nothing, and must not make them pay.
    pub fn count(&self, now: Millis) {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.roll(now);
        window.count += 1;
    }

    /// The difficulty now, where so many posts a minute are calm.
    pub fn difficulty(&self, now: Millis, calm: u64) -> u8 {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        window.roll(now);
        let left = MINUTE_MS - now.0.saturating_sub(window.minute * MINUTE_MS);
        let rate = window.count + window.before * left / MINUTE_MS;
        let calm = calm.max(1);
        if rate <= calm {
            return 0;
        }
        let doublings = (rate / calm).max(1).ilog2();
        u8::try_from(BITS_FIRST + BITS_STEP * doublings).map_or(STAMP_BITS_MAX, |bits| bits.min(STAMP_BITS_MAX))
    }
}

impl Window {
    /// Whoever read the clock a moment before the minute ended, and comes when another has begun, counts for that one.
    fn roll(&mut self, now: Millis) {
        let minute = now.0 / MINUTE_MS;
        if minute > self.minute {
            self.before = if minute == self.minute + 1 { self.count } else { 0 };
            (self.minute, self.count) = (minute, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_that_comes_late_empties_no_window() {
        let (load, begins) = (Load::default(), Millis(10 * MINUTE_MS));
        let late = Millis(begins.0 - 1);
        (0..3000).for_each(|_| load.count(Millis(begins.0 - 30_000)));
        assert_eq!(load.difficulty(begins, 1000), 12);
        assert_eq!(load.difficulty(late, 1000), 12, "and asks for as much of whoever is late");
        (0..1000).for_each(|_| load.count(late));
        assert_eq!(load.difficulty(begins, 1000), 16, "they count for the minute that is");
        assert_eq!(load.difficulty(Millis(begins.0 + MINUTE_MS - 1), 1000), 0, "of which they are all");
    }
}
