//! The runner's watch. It times real programs, so here, and nowhere else in it, the machine is asked.

use std::fmt;
use std::time::{Duration, Instant};

/// A moment from which time is counted.
#[derive(Clone, Copy)]
pub(crate) struct Start(Instant);

impl Start {
    /// Starts counting.
    #[expect(clippy::disallowed_methods, reason = "the runner times real programs")]
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }

    /// The time since.
    pub(crate) fn since(self) -> Passed {
        Passed(Self::now().0.duration_since(self.0))
    }
}

/// A span as people say it: `0.4 s`, `41 s`, `3 min 05 s`.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub(crate) struct Passed(Duration);

impl Passed {
    /// What is left of `limit`; nothing when it has passed.
    pub(crate) fn left_of(self, limit: Duration) -> Duration {
        limit.saturating_sub(self.0)
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        match self.0.as_secs() {
            0..10 => write!(out, "{seconds:.1} s"),
            10..100 => write!(out, "{seconds:.0} s"),
            whole => write!(out, "{} min {:02} s", whole / 60, whole % 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_reads_as_people_say_it() {
        for (millis, said) in [(0, "0.0 s"), (440, "0.4 s"), (41_200, "41 s"), (185_900, "3 min 05 s")] {
            assert_eq!(Passed(Duration::from_millis(millis)).to_string(), said);
        }
    }
}
