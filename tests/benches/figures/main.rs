//! The figures that people who run a line may want to know, printed one a line: name, figure, unit, aim.
//!
//! ```text
//! cargo build --release -p porchlight-relay
//! cargo bench -p porchlight-tests --bench figures [-- NAME …]
//! ```
//!
//! `NAME` is one of `cells`, `words`, `desk`, `crowd`, `full`, `tags`, `stamps`, `relay`; none means all of these. `peers`, by its name alone, holds the relay against servers that are
//! installed for it. Nothing here passes or fails: `docs/BENCH.md` keeps what was measured,
//! and where. `relay` starts the binary that the first command builds, or the one that `PORCHLIGHT_RELAY` names.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench measures real time, prints figures, and fails by panicking"
)]

mod cells;
mod crowd;
mod desk;
mod figure;
mod full;
mod line;
mod peers;
mod relay;
mod stamps;
mod tags;
mod words;

/// A room's name and what it measures.
type Room = (&'static str, fn());

const ROOMS: [Room; 8] = [
    ("cells", cells::measure),
    ("words", words::measure),
    ("desk", desk::measure),
    ("crowd", crowd::measure),
    ("full", full::measure),
    ("tags", tags::measure),
    ("stamps", stamps::measure),
    ("relay", relay::measure),
];

/// What is measured only if it is named: it wants other programs on the machine.
const BY_NAME: [Room; 1] = [("peers", peers::measure)];

fn main() {
    // Cargo adds `--bench`.
    let asked: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    for name in &asked {
        assert!(ROOMS.iter().chain(&BY_NAME).any(|(room, _)| room == name), "no figures of {name:?}");
    }
    let is_asked = |(room, _): &&Room| asked.iter().any(|name| name == room);
    let rooms = ROOMS.iter().filter(|room| asked.is_empty() || is_asked(room));
    for (_, measure) in rooms.chain(BY_NAME.iter().filter(is_asked)) {
        measure();
    }
}
