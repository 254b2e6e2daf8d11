//! Fair shares of a cap: whoever sends much gets less of what is left, something is always left for who comes new, and where more come than
//! there are places, lots are drawn among them, however often each asks.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use porchlight_proto::time::Millis;

use crate::chance::{Chance, draw};

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

/// The cap comes free over the minute, and this much of it at once. Otherwise who is first in a minute would take it all.
const BURST_MS: u64 = 12_000;

/// A turn: in each, everybody's first cell comes before anybody's second, and where there are more who ask than places, lots are drawn. An open
/// page posts once in it.
const TURN_MS: u64 = 10_000;

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
    turn: Turn<Who>,
}

/// Where lots are drawn, one of so many places of a turn is left to those who come late in it, when chance has been kind to others.
const LATE_PART: u64 = 8;

/// Who asks for a first cell in it, and who has had one.
struct Turn<Who> {
    number: u64,
    /// Whether each who asked had a place drawn: their first cell is taken.
    asked: HashMap<Who, bool>,
    /// Places that were drawn.
    drawn: u64,
    /// How many asked in the turn before.
    before: u64,
}

impl<Who: Copy + Eq + Hash> Turn<Who> {
    fn begin(number: u64, before: u64) -> Self {
        Self { number, asked: HashMap::new(), drawn: 0, before }
    }

    /// Places kept for first cells that have not come yet, with so many milliseconds of the turn to go: in its second half fewer and fewer, since
    /// those who came before may not come again.
    fn kept(&self, places: u64, to_go: u64) -> u64 {
        self.before.min(places).saturating_sub(self.drawn) * (to_go * 2).min(TURN_MS) / TURN_MS
    }

    /// Whether this is a first cell, and one of the `places` of this turn falls to it.
    fn draws(&mut self, who: Who, places: u64, chance: &dyn Chance) -> bool {
        if self.asked.len() >= ACCOUNTS_MAX || self.asked.contains_key(&who) {
            return false;
        }
        let rivals = self.before.max(self.asked.len() as u64 + 1);
        let is_sure = rivals * LATE_PART <= places * (LATE_PART - 1);
        let lot = || u64::from_le_bytes(draw(chance)) % (rivals * LATE_PART);
        let is_drawn = self.drawn < places && (is_sure || lot() < places * (LATE_PART - 1));
        self.asked.insert(who, is_drawn);
        self.drawn += u64::from(is_drawn);
        is_drawn
    }
}

impl<Who: Copy + Eq + Hash> Minute<Who> {
    fn begin(number: u64, before: HashMap<Who, u64>, turn: Turn<Who>) -> Self {
        Self { number, total: 0, again: 0, of: HashMap::new(), of_others: 0, before, turn }
    }

    fn account(&mut self, who: Who) -> &mut u64 {
        let is_known = self.of.contains_key(&who) || self.of.len() < ACCOUNTS_MAX;
        if is_known { self.of.entry(who).or_default() } else { &mut self.of_others }
    }
}

impl<Who: Copy + Eq + Hash> Share<Who> {
    /// Shares of `cap` cells in a minute.
    #[must_use]
    pub fn new(cap: u32) -> Self {
        Self { cap: u64::from(cap), greed: GREED, minute: Mutex::new(Minute::begin(0, HashMap::new(), Turn::begin(0, 0))) }
    }

    /// The same where everybody looks like one: the whole cap is theirs, and nothing is kept for who comes new.
    #[must_use]
    pub fn of_one(cap: u32) -> Self {
        Self { greed: u64::MAX, ..Self::new(cap) }
    }

    fn minute(&self, now: Millis) -> MutexGuard<'_, Minute<Who>> {
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        let (number, turn) = (now.0 / MINUTE_MS, now.0 / TURN_MS);
        // Whoever read the clock a little sooner and waited for others is of this turn.
        if minute.turn.number < turn {
            let before = if minute.turn.number + 1 == turn { minute.turn.asked.len() as u64 } else { 0 };
            minute.turn = Turn::begin(turn, before);
        }
        if minute.number < number {
            let before = if minute.number + 1 == number { std::mem::take(&mut minute.of) } else { HashMap::new() };
            let turn = std::mem::replace(&mut minute.turn, Turn::begin(0, 0));
            *minute = Minute::begin(number, before, turn);
        }
        minute
    }

    /// Forgets who sent what before the last minute.
    pub fn tend(&self, now: Millis) {
        drop(self.minute(now));
    }

    /// Takes a cell's place for `who`, if one is free now and they have not had their share. Never more than `most` in this minute.
    ///
    /// A first cell of theirs in a turn is taken by lot, ahead of what has come free by then, as far as the whole turn's places go.
    #[must_use]
    pub fn take(&self, who: Who, most: u64, now: Millis, chance: &dyn Chance) -> bool {
        let mut minute = self.minute(now);
        let (cap, greed) = (self.cap.min(most), self.greed);
        let come_free = |at: u64| (cap * (at + BURST_MS)).div_ceil(MINUTE_MS + BURST_MS);
        let (at, has_others) = (now.0 % MINUTE_MS, greed != u64::MAX);
        let places = (cap * TURN_MS).div_ceil(MINUTE_MS + BURST_MS);
        let end = (at / TURN_MS + 1) * TURN_MS;
        let before = minute.before.get(&who).copied().unwrap_or(0);
        let drawable = if minute.total < come_free(end) { places } else { 0 };
        let is_drawn = has_others && minute.turn.draws(who, drawable, chance);
        let kept = if has_others { minute.turn.kept(places, end - at) } else { 0 };
        let (total, again) = (minute.total, minute.again);
        let used = minute.account(who);
        let is_light = before + *used < cap.div_ceil(LIGHT);
        if !is_drawn {
            let free = come_free(at).saturating_sub(total + kept);
            // A fifth of what comes free is kept for who sends little: where it comes free one by one, a few would have all of it.
            let is_for_light = has_others && again.saturating_mul(greed + 1) >= come_free(at).saturating_mul(greed);
            if free == 0 || *used >= free.saturating_mul(greed) || (!is_light && is_for_light) {
                return false;
            }
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

    /// How many are known by what they sent, or asked for.
    #[cfg(test)]
    pub(super) fn known(&self) -> usize {
        let minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        minute.of.len() + minute.before.len() + minute.turn.asked.len()
    }
}
