//! What arbitrary bytes are thrown at: one function a target, the same for the fuzzer and for the test that replays the corpus.
//!
//! Each function must come back, whatever it is given; where it says more than that, it asserts it. Bytes that are believed must read the
//! same after they were written again; and where a signature stands before what is to be attacked, the bytes are signed first by a line
//! made from a fixed seed ([`world`]), so that the fuzzer is not stopped at the door.
#![allow(
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a target that fails says so by panicking; it is a crate for the fuzzer and a module for the test"
)]
mod cells;
mod contents;
mod input;
mod relay;
mod rosters;
mod visits;
mod world;

/// A target: its name, which is also its corpus's directory, its function, and inputs that honest code would make.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub seeds: fn() -> Vec<Vec<u8>>,
}

pub const TARGETS: [Target; 13] = [
    Target { name: "roster", run: rosters::roster, seeds: rosters::roster_seeds },
    Target { name: "rosters", run: rosters::rosters, seeds: rosters::rosters_seeds },
    Target { name: "notice", run: relay::notice, seeds: relay::notice_seeds },
    Target { name: "relay", run: relay::relay, seeds: relay::relay_seeds },
    Target { name: "token", run: relay::token, seeds: relay::token_seeds },
    Target { name: "card", run: contents::card, seeds: contents::card_seeds },
    Target { name: "words", run: contents::words, seeds: contents::words_seeds },
    Target { name: "content", run: contents::content, seeds: contents::content_seeds },
    Target { name: "parts", run: contents::parts, seeds: contents::parts_seeds },
    Target { name: "have", run: contents::have, seeds: contents::have_seeds },
    Target { name: "up_cell", run: cells::up_cell, seeds: cells::up_cell_seeds },
    Target { name: "down_cell", run: cells::down_cell, seeds: cells::down_cell_seeds },
    Target { name: "visit", run: visits::visit, seeds: visits::visit_seeds },
];

/// Runs the target of this name.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    (target.run)(bytes);
}
