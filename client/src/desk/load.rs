//! How much came and how long it waited: for people who would rather look than read. Counts and times, never who.
use crate::desk::{Desk, state::Caller};
use porchlight_proto::{line::CallerId, time::Seconds};
use serde::Serialize;

/// Hours of the day's picture, and seconds in each.
const DAY_SPANS: (usize, u64) = (24, 3600);
/// Spans of the week's picture, and seconds in each.
const WEEK_SPANS: (usize, u64) = (28, 6 * 3600);

/// Letters of the last day and week, and how long they waited for an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Load {
    /// Twenty-four hours, the oldest first.
    pub day: Vec<Span>,
    /// Seven days in spans of six hours, the oldest first.
    pub week: Vec<Span>,
}

/// What was written in a span of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Span {
    /// From when, Unix seconds.
    pub from: u64,
    /// Letters written then, of those that may be answered.
    pub letters: usize,
    /// Those that still wait.
    pub waiting: usize,
    /// How long half of them waited at most, in seconds; of one that still waits, until now.
    pub usual_s: u64,
    /// How long the one waited that waited longest.
    pub longest_s: u64,
}

/// One letter: when it was written, and when it was answered.
type Waited = (u64, Option<u64>);

impl Desk {
    /// Letters of the last day and week, and how long they waited.
    #[must_use]
    pub fn load(&self, now: Seconds) -> Load {
        let oldest = now.0.saturating_sub(7 * 86_400);
        let callers = self
            .state
            .callers
            .iter()
            .filter(|(_, entry)| entry.letters.keys().next_back().is_some_and(|(time, ..)| *time >= oldest));
        let letters: Vec<Waited> = callers.flat_map(|(caller, entry)| self.waits_of(*caller, entry, oldest)).collect();
        Load { day: spans(&letters, DAY_SPANS, now.0), week: spans(&letters, WEEK_SPANS, now.0) }
    }

    fn waits_of(&self, caller: CallerId, entry: &Caller, oldest: u64) -> Vec<Waited> {
        let mut answers: Vec<u64> = self
            .answers_to(caller)
            .filter(|(_, answer)| !answer.tells_withdrawal() && !answer.stopped)
            .map(|(_, answer)| answer.written)
            .collect();
        answers.sort_unstable();
        let asks = entry.letters.iter().filter(|((time, ..), letter)| {
            *time >= oldest && letter.gist.says_something && !letter.withdrawn && !letter.gist.quiet
        });
        asks.map(|((time, ..), _)| (*time, answers.get(answers.partition_point(|written| written < time)).copied())).collect()
    }
}

fn spans(letters: &[Waited], (count, length): (usize, u64), now: u64) -> Vec<Span> {
    // The last span is the one that `now` lies in.
    let end = (now / length + 1) * length;
    let froms = (1..=count as u64).rev().map(|back| end.saturating_sub(back * length));
    froms.map(|from| span(letters, (from, from + length), now)).collect()
}

fn span(letters: &[Waited], (from, until): (u64, u64), now: u64) -> Span {
    let within = letters.iter().filter(|(time, _)| (from..until).contains(time));
    let mut waits: Vec<u64> = within.clone().map(|(time, answered)| answered.unwrap_or(now).saturating_sub(*time)).collect();
    waits.sort_unstable();
    Span {
        from,
        letters: waits.len(),
        waiting: within.filter(|(_, answered)| answered.is_none()).count(),
        usual_s: waits.get(waits.len() / 2).copied().unwrap_or_default(),
        longest_s: waits.last().copied().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_counts_where_it_was_written_and_waits_until_it_is_answered_or_now() {
        let now = 100 * 3600 + 60;
        let letters = [(now - 3600, Some(now - 3000)), (now - 3700, None), (now - 30 * 3600, None)];
        let day = spans(&letters, DAY_SPANS, now);
        assert_eq!((day.len(), day[23].from), (24, 100 * 3600));
        assert_eq!(day.iter().map(|span| span.letters).sum::<usize>(), 2);
        let hour = &day[22];
        assert_eq!((hour.letters, hour.waiting, hour.longest_s), (1, 0, 600));
        assert_eq!((day[21].letters, day[21].waiting, day[21].longest_s), (1, 1, 3700));
        let week = spans(&letters, WEEK_SPANS, now);
        assert_eq!(week.iter().map(|span| span.letters).sum::<usize>(), 3);
    }
}
