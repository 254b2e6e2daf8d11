//! What the relay counts: acts, never people, and what is wrong with the machine. Each is shown as finely as its [`Grain`] allows.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `more`.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The exact count, for tests and for rounding.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How finely a number is shown: what people do coarsely, what tells of the machine so that one is never none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// Acts: rounded down, to tens and from a thousand on to two digits. Exact counts, read often enough, would say when each single post came.
    Acts,
    /// What is wrong with the machine, and some act came upon: as coarse, but rounded up. An alert hears of the first one.
    Mishaps,
    /// What acts leave behind on the medium: rounded down to ten million bytes, and from a thousand million on to two digits.
    Bytes,
    /// A state of the machine, of which nobody's act can be told: exact.
    States,
}

/// What is held now.
#[derive(Clone, Copy, Debug)]
pub struct Gauge {
    /// Its name.
    pub name: &'static str,
    /// What it is, in words.
    pub help: &'static str,
    /// How finely it is shown.
    pub grain: Grain,
    /// How much it is.
    pub count: u64,
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident: $grain:ident),+ $(,)?) => {
        /// All counters of a relay, over all its lines.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: Counter,)+
        }

        impl Counters {
            fn each(&self) -> Vec<Gauge> {
                vec![$(Gauge {
                    name: stringify!($name),
                    help: concat!($($doc),+).trim_start(),
                    grain: Grain::$grain,
                    count: self.$name.count(),
                },)+]
            }
        }
    };
}

counters! {
    /// Connections accepted.
    connections: Acts,
    /// Connections turned away at once, because too many were open.
    connections_refused: Acts,
    /// Connections ended to make room for others.
    connections_shed: Acts,
    /// Requests sent away because bodies and replies filled their room in memory.
    requests_shed: Acts,
    /// Connections ended because they sent far more than their requests needed, or gave up too many.
    floods_cut: Acts,
    /// Handshakes that failed or took too long.
    handshakes_failed: Acts,
    /// Connections closed because a deadline passed.
    deadlines_passed: Acts,
    /// Cells of callers stored.
    cells_stored: Acts,
    /// Cells of callers refused because the line was full.
    cells_refused: Acts,
    /// Posts whose stamp was too weak or spent.
    stamps_refused: Acts,
    /// Bundles of desk devices taken.
    desk_beats: Acts,
    /// Pages of cells handed to devices.
    lane_pages: Acts,
    /// Answers that the decoy gave.
    decoy_answers: Acts,
    /// Epochs forgotten, by age or because everyone had them.
    epochs_forgotten: Acts,
    /// Records that were altered or lost on the medium and skipped.
    damaged_records: Mishaps,
    /// Times that the store or the keyring refused.
    store_failures: Mishaps,
}

impl Counters {
    /// Prometheus text: the counters, and what is held now.
    #[must_use]
    pub fn text(&self, held: &[Gauge]) -> String {
        let mut text = String::new();
        let all = self.each().into_iter().map(|counted| ("counter", "_total", counted));
        let now = held.iter().map(|&gauge| ("gauge", "", gauge));
        for (kind, suffix, Gauge { name, help, grain, count }) in all.chain(now) {
            let name = format!("porchlight_{name}{suffix}");
            let count = grain.rounded(count);
            // Writing to a String does not fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {count}\n");
        }
        text
    }
}

impl Grain {
    /// The number as it is shown.
    fn rounded(self, count: u64) -> u64 {
        match self {
            Self::Acts => count / unit(count, 10) * unit(count, 10),
            Self::Mishaps => count.div_ceil(unit(count, 10)).saturating_mul(unit(count, 10)),
            Self::Bytes => count / unit(count, 10_000_000) * unit(count, 10_000_000),
            Self::States => count,
        }
    }
}

/// The unit of which the number has two digits at most, and no smaller one than `least`.
fn unit(count: u64, least: u64) -> u64 {
    let mut unit = least;
    while count / unit >= 100 {
        unit *= 10;
    }
    unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_are_shown_in_tens_and_then_with_two_digits() {
        for (count, shown) in [
            (0, 0),
            (9, 0),
            (10, 10),
            (99, 90),
            (999, 990),
            (1_001, 1_000),
            (123_456, 120_000),
            (u64::MAX, 18_000_000_000_000_000_000),
        ] {
            assert_eq!(Grain::Acts.rounded(count), shown, "{count}");
        }
    }

    #[test]
    fn of_what_is_wrong_one_is_never_none() {
        for (count, shown) in
            [(0, 0), (1, 10), (10, 10), (11, 20), (991, 1_000), (1_000, 1_000), (1_001, 1_100), (u64::MAX, u64::MAX)]
        {
            assert_eq!(Grain::Mishaps.rounded(count), shown, "{count}");
        }
        assert_eq!([0, 1, 57].map(|count| Grain::States.rounded(count)), [0, 1, 57]);
    }

    /// A post takes some kilobytes, and the medium grows by them.
    #[test]
    fn bytes_say_of_no_single_post_when_it_came() {
        for (count, shown) in [
            (0, 0),
            (9_999_999, 0),
            (10_002_048, 10_000_000),
            (990_000_001, 990_000_000),
            (1_234_000_000, 1_200_000_000),
            (8_589_934_592, 8_500_000_000),
        ] {
            assert_eq!(Grain::Bytes.rounded(count), shown, "{count}");
        }
    }

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let counters = Counters::default();
        counters.cells_stored.add(123);
        counters.damaged_records.add(1);
        let gauge = |name, grain, count| Gauge { name, help: "So many.", grain, count };
        let text = counters.text(&[gauge("cells_held", Grain::Acts, 57), gauge("shelves_unreadable", Grain::States, 1)]);
        for lines in [
            "# HELP porchlight_cells_stored_total Cells of callers stored.\n# TYPE porchlight_cells_stored_total counter\nporchlight_cells_stored_total 120\n",
            "# TYPE porchlight_damaged_records_total counter\nporchlight_damaged_records_total 10\n",
            "# HELP porchlight_cells_held So many.\n# TYPE porchlight_cells_held gauge\nporchlight_cells_held 50\n",
            "# TYPE porchlight_shelves_unreadable gauge\nporchlight_shelves_unreadable 1\n",
        ] {
            assert!(text.contains(lines), "{lines} in {text}");
        }
    }
}
