//! Showing the answers of a mailbox in the order of their numbers (SPEC §9.1).
//!
//! A short answer is whole sooner than a long one written before it. It waits until the one before it is shown, but never
//! for long: what was written to her matters more than its order.
use super::reading::{Reading, ShownAnswer};
use crate::time::{Millis, Timing};
use alloc::vec::Vec;

/// Beats for which an answer waits without a word of the one before it. A desk sends again after three.
const PATIENCE: u64 = 4;

/// An answer that is whole and has not been shown.
pub(super) struct Waiting {
    /// The answer.
    pub(super) answer: ShownAnswer,
    /// How many had begun to come before it; `None` if the slow track brought it, which keeps no order.
    pub(super) begun: Option<u64>,
    /// When it became whole.
    pub(super) since: Millis,
}

/// The answers that wait, and how far each mailbox has come.
#[derive(Default)]
pub(super) struct Order {
    waiting: Vec<Waiting>,
    /// The highest number shown since the fast track first brought one: the desk's and safeguarding's.
    highest: [Option<u64>; 2],
}

impl Order {
    /// Nothing waits any more: what is here is due.
    pub(super) fn hurry(&mut self) {
        self.waiting.iter_mut().for_each(|waiting| waiting.begun = None);
    }
    pub(super) fn add(&mut self, waiting: Waiting) {
        self.waiting.push(waiting);
    }
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
    /// The answers whose turn it is, in their order.
    pub(super) fn due(&mut self, reading: &Reading, timing: &Timing, now: Millis) -> Vec<ShownAnswer> {
        let patience = PATIENCE * u64::from(timing.beat_ms);
        let mut due = Vec::new();
        for safeguarding in [false, true] {
            while let Some(at) = self.lowest(safeguarding) {
                let Some(first) = self.waiting.get(at) else { break };
                if self.must_wait(first, reading, patience, now) {
                    break;
                }
                let shown = self.waiting.remove(at);
                self.count(&shown.answer, shown.begun.is_some());
                due.push(shown.answer);
            }
        }
        due
    }
    /// Counts what is shown. A stop never waits, but has its number.
    pub(super) fn count(&mut self, shown: &ShownAnswer, fast: bool) {
        let [desk, safe] = &mut self.highest;
        let highest = if shown.seat.is_safeguarding() { safe } else { desk };
        if highest.is_some() || fast {
            *highest = (*highest).max(Some(shown.content.n));
        }
    }
    fn lowest(&self, safeguarding: bool) -> Option<usize> {
        let here = self.waiting.iter().enumerate().filter(|(_, one)| one.answer.seat.is_safeguarding() == safeguarding);
        here.min_by_key(|(_, one)| one.answer.content.n).map(|(at, _)| at)
    }
    /// Whether one before it is still coming, or a number before it is missing and may yet begin to come.
    fn must_wait(&self, first: &Waiting, reading: &Reading, patience: u64, now: Millis) -> bool {
        let Some(begun) = first.begun else { return false };
        let safeguarding = first.answer.seat.is_safeguarding();
        let heard = reading.heard_before(begun, safeguarding);
        let [desk, safe] = self.highest;
        let missing =
            if safeguarding { safe } else { desk }.is_some_and(|highest| first.answer.content.n > highest.saturating_add(1));
        let waits_since = heard.max(missing.then_some(first.since));
        waits_since.is_some_and(|since| since.plus(patience) > now)
    }
}
