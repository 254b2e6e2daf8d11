//! Fair shares of a cap: whoever sends much gets less of what is left, and something is always left for who comes new.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use porchlight_proto::time::Millis;

use super::sources::Source;

/// A source may have this many times what is still free.
///
/// With `n` sources that take all they can, each gets `4·cap/(4n+1)` and `cap/(4n+1)` stays free: one alone gets four fifths, and with
/// fifty there is still room for fifteen cells of a newcomer in a cap of 3,000.
const GREED: u64 = 4;

/// Sources remembered in one minute. Those that come later share one account.
const SOURCES_MAX: usize = 16_384;

const MINUTE_MS: u64 = 60_000;

/// The cap comes free over the minute, and this much of it at once. Otherwise who is first in a minute would take it all, and with more
/// sources than places nobody else would get in before the next; so it is a matter of chance who asks when a place comes free.
const BURST_MS: u64 = 12_000;

/// A cap per minute, shared fairly.
pub struct Share {
    cap: u64,
    minute: Mutex<Minute>,
}

#[derive(Default)]
struct Minute {
    number: u64,
    total: u64,
    of: HashMap<Source, u64>,
    of_others: u64,
}

impl Share {
    /// Shares of `cap` cells in a minute.
    #[must_use]
    pub fn new(cap: u32) -> Self {
        Self { cap: u64::from(cap), minute: Mutex::default() }
    }

    fn minute(&self, now: Millis) -> MutexGuard<'_, Minute> {
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        let number = now.0 / MINUTE_MS;
        if minute.number != number {
            *minute = Minute { number, ..Minute::default() };
        }
        minute
    }

    /// Takes a cell's place for `source`, if one is free now and the source has not had its share.
    #[must_use]
    pub fn take(&self, source: Source, now: Millis) -> bool {
        let mut minute = self.minute(now);
        let come_free = (self.cap * (now.0 % MINUTE_MS + BURST_MS)).div_ceil(MINUTE_MS + BURST_MS);
        let free = come_free.saturating_sub(minute.total);
        if free == 0 {
            return false;
        }
        let is_known = minute.of.contains_key(&source) || minute.of.len() < SOURCES_MAX;
        let used = if is_known { minute.of.entry(source).or_default() } else { &mut minute.of_others };
        if *used >= free * GREED {
            return false;
        }
        *used += 1;
        minute.total += 1;
        true
    }

    /// Takes `count` places whoever asks.
    #[must_use]
    pub fn take_many(&self, count: u32, now: Millis) -> bool {
        let mut minute = self.minute(now);
        let total = minute.total.saturating_add(u64::from(count));
        if total > self.cap {
            return false;
        }
        minute.total = total;
        true
    }
}
