//! Replays the fuzzer's corpus: what once broke a parser, or nearly did, is tried again in every run of the tests; and [`mutations`] of it.
//!
//! `docs/TESTING.md` says how to fuzz. A finding's input is kept in `tests/fuzz/corpus/TARGET/`, and replayed here from then on.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test that fails says so by panicking; whether a target hangs is a matter of real time"
)]
mod mutations;
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use targets::{TARGETS, Target};

fn corpus(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name)
}

fn inputs(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(corpus(target)).expect("every target has a corpus");
    let mut inputs: Vec<_> =
        entries.map(|entry| entry.unwrap().path()).map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    inputs.sort();
    inputs
}

#[test]
fn nothing_in_the_corpus_breaks_its_target() {
    for target in &TARGETS {
        for (path, bytes) in inputs(target) {
            let survived = std::panic::catch_unwind(|| targets::run(target.name, &bytes));
            assert!(survived.is_ok(), "{}", path.display());
        }
    }
}

#[test]
fn every_target_has_a_corpus_and_a_binary_and_every_corpus_a_target() {
    let names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let files = |dir: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(fuzz.join(dir)).unwrap();
        entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(files("bin"), names);
    assert_eq!(files("corpus"), names);
    for target in &TARGETS {
        assert!(
            inputs(target).len() >= (target.seeds)().len(),
            "{}: `cargo test --test corpus -- --ignored` writes its seeds",
            target.name
        );
    }
}

#[test]
#[ignore = "writes what honest code makes into the corpus; run it when the bytes have changed"]
fn honest_inputs_are_kept() {
    for target in &TARGETS {
        fs::create_dir_all(corpus(target)).unwrap();
        for (at, seed) in (target.seeds)().into_iter().enumerate() {
            fs::write(corpus(target).join(format!("honest-{at}")), seed).unwrap();
        }
    }
}
