//! The two implementations against each other: `porchlight-proto` here, `tests/second/` in Python there.
//!
//! Each seals, signs and writes what the other opens, checks and reads, with a fresh seed that is printed;
//! `PORCHLIGHT_SEED=…` repeats a run (but for the encapsulations that Python draws itself). Then both are handed
//! what the SPEC refuses, and both must refuse it, after taking the same thing unspoilt.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stderr,
    reason = "a test stops at the first surprise and says where it stood"
)]

mod answers;
mod letters;
mod mutations;
mod python;
mod refusals;
mod statements;
mod text;
mod visits;
mod world;

use python::Python;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

/// Letters, and answers, each way.
const COUNT: usize = 1_000;
/// Stories of two visits in step.
const VISITS: usize = 3;

#[expect(clippy::disallowed_methods, reason = "a test draws its seed from the machine once, and prints it")]
/// A fresh seed, or the one in `PORCHLIGHT_SEED`; printed, because a failure is worth nothing without it.
fn chance(story: &str) -> ChaCha20Rng {
    let given = std::env::var("PORCHLIGHT_SEED").ok();
    let seed =
        given.map_or_else(|| RandomState::new().hash_one(story), |seed| seed.parse().expect("PORCHLIGHT_SEED is a number"));
    eprintln!("{story}: PORCHLIGHT_SEED={seed}");
    ChaCha20Rng::seed_from_u64(seed)
}

#[test]
fn a_thousand_letters_arrive_each_way() {
    std::thread::scope(|scope| {
        scope.spawn(|| letters::from_here_to_there(COUNT, &mut chance("letters to Python"), &mut Python::start()));
        scope.spawn(|| letters::from_there_to_here(COUNT, &mut chance("letters from Python"), &mut Python::start()));
    });
}

#[test]
fn a_thousand_answers_arrive_each_way() {
    std::thread::scope(|scope| {
        scope.spawn(|| answers::from_here_to_there(COUNT, &mut chance("answers to Python"), &mut Python::start()));
        scope.spawn(|| answers::from_there_to_here(COUNT, &mut chance("answers from Python"), &mut Python::start()));
    });
}

#[test]
fn phrases_and_roots_grow_into_the_same_keys() {
    statements::phrases(&mut chance("phrases"), &mut Python::start());
}

#[test]
fn rosters_and_bulletins_are_believed_each_way() {
    statements::rosters(20, &mut chance("rosters"), &mut Python::start());
}

#[test]
fn team_cells_are_opened_each_way() {
    let mut python = Python::start();
    statements::team(60, &mut chance("team"), &mut python);
    statements::events(30, &mut chance("events"), &mut python);
    statements::direct_letters(&mut chance("direct letters"), &mut python);
}

#[test]
fn cards_tokens_and_stamps_are_taken_each_way() {
    statements::cards(100, &mut chance("cards"), &mut Python::start());
    statements::tokens(50, &mut chance("tokens"), &mut Python::start());
    statements::stamps(30, &mut chance("stamps"), &mut Python::start());
}

#[test]
fn the_calls_of_a_relay_have_the_same_bytes() {
    statements::calls(50, &mut chance("calls"), &mut Python::start());
    statements::clocks(500, &mut chance("clocks"), &mut Python::start());
}

#[test]
fn contents_have_the_same_bytes() {
    statements::contents(200, &mut chance("contents"), &mut Python::start());
}

#[test]
fn two_visits_in_step_tell_and_post_the_same() {
    let (mut python, mut told) = (Python::start(), BTreeMap::<String, usize>::new());
    for _ in 0..VISITS {
        for (what, count) in visits::in_step(chance("a visit"), &mut python) {
            *told.entry(what).or_default() += count;
        }
    }
    eprintln!("{told:?}");
    assert!(
        !told.contains_key("the fast track refused") && !told.contains_key("a slow day refused"),
        "lanes of the right length"
    );
    for what in
        ["answer", "receipt", "in the box", "withdrawn", "too late", "earlier", "bulletin", "new roster", "a notice refused"]
    {
        assert!(told.contains_key(what), "no story told of: {what}");
    }
}

#[test]
fn receipts_and_windows_are_counted_alike() {
    statements::receipts(200, &mut chance("receipts"), &mut Python::start());
    statements::windows(&mut chance("windows"), &mut Python::start());
}

#[test]
fn what_the_text_refuses_both_refuse() {
    let mut python = Python::start();
    let count = refusals::all(&mut chance("refusals"), &mut python);
    eprintln!("{count} cases refused by both");
    assert!(count >= 20, "the table of refusals has shrunk to {count}");
}

#[test]
fn what_chance_makes_of_contents_both_take_or_both_refuse() {
    let (taken, refused) = mutations::agree(20_000, &mut chance("mutations"), &mut Python::start());
    eprintln!("{taken} taken by both, {refused} refused by both");
    assert!(taken >= 1_000 && refused >= 5_000, "the mutations have become too tame or too wild");
}

#[test]
fn what_chance_makes_of_texts_both_read_alike() {
    let (taken, refused) = mutations::agree_on_text(3_000, &mut chance("texts"), &mut Python::start());
    eprintln!("{taken} read by both, {refused} refused by both");
    assert!(taken >= 500 && refused >= 500, "the mutations have become too tame or too wild");
}

#[test]
fn python_holds_its_own_primitives_against_published_vectors() {
    python::run_its_checks();
}
