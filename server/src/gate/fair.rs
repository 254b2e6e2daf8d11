//! Fair shares of a cap: whoever sends much gets less of what is left, and something is always left for who comes new.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use porchlight_proto::time::Millis;

/// A source may have this many times what is still free.
///
/// With `n` sources that take all they can, each gets `4·cap/(4n+1)` and `cap/(4n+1)` stays free: one alone gets four fifths, and with
/// fifty there is still room for fifteen cells of a newcomer in a cap of 3,000.
const GREED: u64 = 4;

/// Who has had less than the cap divided by this, in a minute and the one before, sends little: twelve cells of the usual one, an open page.
const LIGHT: u64 = 250;

/// Accounts kept in one minute. Those that come later share one.
const ACCOUNTS_MAX: usize = 16_384;

const MINUTE_MS: u64 = 60_000;

/// The cap comes free over the minute, and this much of it at once. Otherwise who is first in a minute would take it all, and with more
/// sources than places nobody else would get in before the next; so it is a matter of chance who asks when a place comes free.
const BURST_MS: u64 = 12_000;

/// A cap per minute, shared fairly among `Who`.
pub struct Share<Who> {
    cap: u64,
    /// How many times what is still free one may have.
    greed: u64,
    minute: Mutex<Minute<Who>>,
}

struct Minute<Who> {
    number: u64,
    total: u64,
    /// Those of the total that came from somebody who does not send little.
    again: u64,
    of: HashMap<Who, u64>,
    of_others: u64,
    /// What each had in the minute before.
    before: HashMap<Who, u64>,
}

impl<Who: Eq + Hash> Minute<Who> {
    fn begin(number: u64, before: HashMap<Who, u64>) -> Self {
        Self { number, total: 0, again: 0, of: HashMap::new(), of_others: 0, before }
    }

    fn account(&mut self, who: Who) -> &mut u64 {
        let is_known = self.of.contains_key(&who) || self.of.len() < ACCOUNTS_MAX;
        if is_known { self.of.entry(who).or_default() } else { &mut self.of_others }
    }
}

impl<Who: Eq + Hash> Share<Who> {
    /// Shares of `cap` cells in a minute.
    #[must_use]
    pub fn new(cap: u32) -> Self {
        Self { cap: u64::from(cap), greed: GREED, minute: Mutex::new(Minute::begin(0, HashMap::new())) }
    }

    /// The same where everybody looks like one: the whole cap is theirs, and nothing is kept for who comes new.
    #[must_use]
    pub fn of_one(cap: u32) -> Self {
        Self { greed: u64::MAX, ..Self::new(cap) }
    }

    fn minute(&self, now: Millis) -> MutexGuard<'_, Minute<Who>> {
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        let number = now.0 / MINUTE_MS;
        if minute.number != number {
            let before = if minute.number + 1 == number { std::mem::take(&mut minute.of) } else { HashMap::new() };
            *minute = Minute::begin(number, before);
        }
        minute
    }

    /// Forgets who sent what before the last minute.
    pub fn tend(&self, now: Millis) {
        drop(self.minute(now));
    }

    /// Takes a cell's place for `who`, if one is free now and they have not had their share. Never more than `most` in this minute.
    #[must_use]
    pub fn take(&self, who: Who, most: u64, now: Millis) -> bool {
        let mut minute = self.minute(now);
        let come_free = (self.cap.min(most) * (now.0 % MINUTE_MS + BURST_MS)).div_ceil(MINUTE_MS + BURST_MS);
        let free = come_free.saturating_sub(minute.total);
        if free == 0 {
            return false;
        }
        let (again, greed) = (minute.again, self.greed);
        let before = minute.before.get(&who).copied().unwrap_or(0);
        let used = minute.account(who);
        let is_light = before + *used < self.cap.min(most).div_ceil(LIGHT);
        // A fifth of what comes free is kept for who sends little: where it comes free one by one, a few would have all of it.
        let is_kept = greed != u64::MAX && again.saturating_mul(greed + 1) >= come_free.saturating_mul(greed);
        if *used >= free.saturating_mul(greed) || (!is_light && is_kept) {
            return false;
        }
        *used += 1;
        minute.total += 1;
        minute.again += u64::from(!is_light);
        true
    }

    /// Takes `count` places for `who`, who may have `each` of them in a minute, whenever in it they ask.
    #[must_use]
    pub fn take_many(&self, who: Who, count: u32, each: u32, now: Millis) -> bool {
        let mut minute = self.minute(now);
        let count = u64::from(count);
        let total = minute.total.saturating_add(count);
        if total > self.cap {
            return false;
        }
        let used = minute.account(who);
        if used.saturating_add(count) > u64::from(each) {
            return false;
        }
        *used += count;
        minute.total = total;
        true
    }
}
