//! What the relay counts: acts, never people. Rounded before anyone sees them.

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

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {
        /// All counters of a relay, over all its lines.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $name: Counter,)+
        }

        impl Counters {
            fn each(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), concat!($($doc),+), self.$name.count()),)+]
            }
        }
    };
}

counters! {
    /// Connections accepted.
    connections,
    /// Connections turned away at once, because too many were open.
    connections_refused,
    /// Connections ended to make room for others.
    connections_shed,
    /// Requests sent away because bodies and replies filled their room in memory.
    requests_shed,
    /// Connections ended because they sent far more than their requests needed, or gave up too many.
    floods_cut,
    /// Handshakes that failed or took too long.
    handshakes_failed,
    /// Connections closed because a deadline passed.
    deadlines_passed,
    /// Cells of callers stored.
    cells_stored,
    /// Cells of callers refused because the line was full.
    cells_refused,
    /// Posts whose stamp was too weak or spent.
    stamps_refused,
    /// Bundles of desk devices taken.
    desk_beats,
    /// Pages of cells handed to devices.
    lane_pages,
    /// Answers that the decoy gave.
    decoy_answers,
    /// Epochs forgotten, by age or because everyone had them.
    epochs_forgotten,
    /// Records that were altered or lost on the medium and skipped.
    damaged_records,
    /// Times that the store or the keyring refused.
    store_failures,
}

impl Counters {
    /// Prometheus text: the counters, and what is held now.
    #[must_use]
    pub fn text(&self, held: &[(&'static str, &'static str, u64)]) -> String {
        let mut text = String::new();
        let all = self.each().into_iter().map(|(name, help, count)| ("counter", "_total", name, help, count));
        let now = held.iter().map(|&(name, help, count)| ("gauge", "", name, help, count));
        for (kind, suffix, name, help, count) in all.chain(now) {
            let name = format!("porchlight_{name}{suffix}");
            let count = rounded(count);
            // Writing to a String does not fail.
            let _ = write!(text, "# HELP {name}{help}\n# TYPE {name} {kind}\n{name} {count}\n");
        }
        text
    }
}

/// The number with two digits that mean something.
///
/// Exact counts, read often enough, would say when each single post came.
fn rounded(count: u64) -> u64 {
    let mut unit = 10;
    while count / unit >= 100 {
        unit *= 10;
    }
    count / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_shown_in_tens_and_then_with_two_digits() {
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
            assert_eq!(rounded(count), shown, "{count}");
        }
    }

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let counters = Counters::default();
        counters.cells_stored.add(123);
        let text = counters.text(&[("cells_held", " Cells held.", 57)]);
        assert!(text.contains("# TYPE porchlight_cells_stored_total counter\nporchlight_cells_stored_total 120\n"), "{text}");
        assert!(
            text.contains(
                "# HELP porchlight_cells_held Cells held.\n# TYPE porchlight_cells_held gauge\nporchlight_cells_held 50\n"
            ),
            "{text}"
        );
    }
}
