//! Hostile inputs made of honest ones, for a machine where the fuzzer does not run: what a parser most often trips over, at every
//! place of every input, and in any combination.
//!
//! *Planted*: every number that is an edge of its width, and every head with which CBOR promises more than follows, at every offset;
//! and every length an input can be cut to. *Mixed*: up to four of these changes, drawn, one upon the other. Half of the inputs are of
//! either kind; of what is planted, as many as were asked for are drawn, or all, if there are no more.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::inputs;
use crate::targets::{TARGETS, Target};

/// Inputs for each target, unless `PORCHLIGHT_MUTATIONS` says otherwise.
const MUTATIONS: usize = 500;
/// A twentieth of these, of a target each of whose inputs takes tens of milliseconds: it stretches words.
const SLOW: &str = "visit";
/// Changes made of one input at most.
const CHANGES: usize = 4;
/// No input grows longer: the longest honest one, and some. What judges a target may take milliseconds for each byte.
const LONGEST: usize = 20_000;
/// Longer than any input may take, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is written over an honest place: edges of numbers of each width, and beginnings that promise more than follows.
const PLANTS: [&[u8]; 35] = [
    &[0],
    &[1],
    &[0x7f],
    &[0x80],
    &[0xff],
    &[0, 0],
    &[0, 1],
    &[0x7f, 0xff],
    &[0x80, 0],
    &[0xff, 0xfe],
    &[0xff, 0xff],
    &[0; 4],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0x80, 0, 0, 0],
    &[0xff; 4],
    &[0; 8],
    &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
    &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x80, 0, 0, 0, 0, 0, 0, 0],
    &[0xff; 8],
    &[0xff; 32],
    // CBOR: bytes, text, an array, a map, of nearly as many as there are numbers; and without an end.
    &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x7b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x9a, 0xff, 0xff, 0xff, 0xff],
    &[0x5a, 0, 1, 0, 0],
    &[0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x9f],
    &[0xbf],
    &[0xc1],
    // Text: a mark that joins what is before it, a space that is none, half a letter, and one of a script of its own.
    "\u{301}".as_bytes(),
    "\u{feff}".as_bytes(),
    &[0xed, 0xa0, 0x80],
    "𠮷".as_bytes(),
];

/// One thing that is done to an input.
#[derive(Debug)]
enum Planted {
    /// These bytes from here on, in place of what is there.
    Written(usize, &'static [u8]),
    /// Nothing from here on.
    Cut(usize),
}

impl Planted {
    fn upon(&self, honest: &[u8]) -> Vec<u8> {
        match self {
            Self::Cut(at) => honest[..*at].to_vec(),
            Self::Written(at, plant) => {
                let after = honest.get(at + plant.len()..).unwrap_or_default();
                [&honest[..*at], plant, after].concat()
            }
        }
    }
}

/// The `nth` of all that can be planted in these inputs; there are [`plantable`].
fn planted(honest: &[Vec<u8>], mut nth: usize) -> Vec<u8> {
    let each = PLANTS.len() + 1;
    for input in honest {
        let here = (input.len() + 1) * each;
        if nth < here {
            let (at, which) = (nth / each, nth % each);
            return PLANTS.get(which).map_or(Planted::Cut(at), |plant| Planted::Written(at, plant)).upon(input);
        }
        nth -= here;
    }
    unreachable!("there are fewer")
}

fn plantable(honest: &[Vec<u8>]) -> usize {
    honest.iter().map(|input| (input.len() + 1) * (PLANTS.len() + 1)).sum()
}

/// Draws mutations of a target's honest inputs.
struct Mixer<'a> {
    honest: &'a [Vec<u8>],
    rng: ChaCha20Rng,
}

impl Mixer<'_> {
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.rng.next_u64() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    fn one_of_them(&mut self) -> Vec<u8> {
        let which = self.below(self.honest.len());
        self.honest[which].clone()
    }

    /// A stretch of these bytes, of a width that fields have, or any.
    fn stretch(&mut self, len: usize) -> (usize, usize) {
        let width = [1, 2, 3, 4, 8, 16, 32, 64, 1 + self.below(len)][self.below(9)].min(len);
        (self.below(len - width + 1), width)
    }

    fn mixed(&mut self) -> Vec<u8> {
        let mut bytes = self.one_of_them();
        for _ in 0..=self.below(CHANGES) {
            bytes = self.changed(bytes);
            bytes.truncate(LONGEST);
        }
        bytes
    }

    fn changed(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        if bytes.is_empty() {
            return self.one_of_them();
        }
        let len = bytes.len();
        let (at, width) = self.stretch(len);
        match self.below(10) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes.truncate(at),
            2 => {
                // To the longest only now and then: such an input takes a target that looks at every byte more than a second.
                let far = if self.below(50) == 0 { LONGEST } else { len };
                let more = [1, 7, 64, 1 + self.below(far)][self.below(4)];
                let with = [0, 0xff, bytes[len - 1]][self.below(3)];
                bytes.resize(len + more, with);
            }
            // Spliced: its beginning, and the end of another.
            3 => {
                let other = self.one_of_them();
                let from = self.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            // Swapped: two fields of one width that do not overlap.
            4 => {
                let other = self.below(len - width + 1);
                let (first, second) = (at.min(other), at.max(other));
                if first + width <= second {
                    let (before, after) = bytes.split_at_mut(second);
                    before[first..first + width].swap_with_slice(&mut after[..width]);
                }
            }
            5 => {
                let plant = PLANTS[self.below(PLANTS.len())];
                bytes = Planted::Written(at, plant).upon(&bytes);
            }
            // Put in between, which moves all that follows; taken out; said twice.
            6 => drop(bytes.splice(at..at, PLANTS[self.below(PLANTS.len())].iter().copied())),
            7 => drop(bytes.drain(at..at + width)),
            8 => {
                let again = bytes[at..at + width].repeat(1 + self.below(3));
                drop(bytes.splice(at..at, again));
            }
            _ => self.rng.fill_bytes(&mut bytes[at..at + width]),
        }
        bytes
    }

    /// As many inputs, half of them planted.
    fn draw(mut self, count: usize) -> impl Iterator<Item = Vec<u8>> {
        let all = plantable(self.honest);
        let drawn = count / 2;
        // With as many as there are, each once; else any.
        let take_all = drawn >= all;
        let planting = if take_all { all } else { drawn };
        (0..count).map(move |nth| match (nth < planting, take_all) {
            (true, true) => planted(self.honest, nth),
            (true, false) => {
                let which = self.below(all);
                planted(self.honest, which)
            }
            (false, _) => self.mixed(),
        })
    }
}

/// Where an input is kept that a target did not survive.
fn kept(target: &str, seed: u64) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{target}-broken-{seed}"))
}

/// What to do about an input that its target did not survive.
fn finding((target, seed): (&str, u64), what: &str, bytes: &[u8]) -> String {
    let hex: String = bytes.iter().take(200).map(|byte| format!("{byte:02x}")).collect();
    let path = kept(target, seed);
    std::fs::write(&path, bytes).unwrap();
    format!(
        "{target}: {what}: {} bytes, beginning {hex}; keep them: cp {} tests/fuzz/corpus/{target}/WHAT-IT-BROKE",
        bytes.len(),
        path.display()
    )
}

/// Throws so many inputs at one target. Says which one it does not survive, and how long the slowest took.
fn throw(target: &'static Target, count: usize, seed: u64) -> Result<Duration, String> {
    let honest: Vec<Vec<u8>> = inputs(target).into_iter().map(|(_, bytes)| bytes).collect();
    let rng = ChaCha20Rng::seed_from_u64(seed);
    let now = Arc::new(Mutex::new(Vec::new()));
    let (tell, told) = mpsc::channel();
    let thrown = Arc::clone(&now);
    // A thread of its own, so that one that hangs can be named; it ends with the process.
    let thrower = std::thread::spawn(move || {
        let mut slowest = Duration::ZERO;
        for bytes in (Mixer { honest: &honest, rng }).draw(count) {
            thrown.lock().unwrap().clone_from(&bytes);
            let began = Instant::now();
            let survived = catch_unwind(AssertUnwindSafe(|| (target.run)(&bytes)));
            slowest = slowest.max(began.elapsed());
            if survived.is_err() {
                return Err(finding((target.name, seed), "broken", &bytes));
            }
            tell.send(()).unwrap();
        }
        Ok(slowest)
    });
    loop {
        match told.recv_timeout(PATIENCE) {
            Ok(()) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return thrower.join().unwrap(),
            Err(mpsc::RecvTimeoutError::Timeout) => return Err(finding((target.name, seed), "hangs", &now.lock().unwrap())),
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// All targets, or the one that `PORCHLIGHT_TARGET` names.
fn wanted() -> Vec<&'static Target> {
    let name = std::env::var("PORCHLIGHT_TARGET").ok();
    let wanted: Vec<_> = TARGETS.iter().filter(|target| name.as_ref().is_none_or(|name| name == target.name)).collect();
    assert!(!wanted.is_empty(), "no target is called {name:?}");
    wanted
}

/// A new seed each time, unless `PORCHLIGHT_SEED` gives one: every run of the tests tries others.
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    number("PORCHLIGHT_SEED").unwrap_or_else(|| std::collections::hash_map::RandomState::new().build_hasher().finish())
}

#[test]
fn nothing_made_of_honest_inputs_breaks_a_target() {
    let (seed, asked) = (seed(), number("PORCHLIGHT_MUTATIONS"));
    println!("PORCHLIGHT_SEED={seed}");
    let mut findings = Vec::new();
    for target in wanted() {
        let usual = if target.name == SLOW { MUTATIONS / 20 } else { MUTATIONS };
        let count = asked.map_or(usual, |count| usize::try_from(count).unwrap());
        let began = Instant::now();
        match throw(target, count, seed) {
            Ok(slowest) => {
                println!(
                    "{}: {count} inputs in {:?}, the slowest {slowest:?}; no finding (pass: none)",
                    target.name,
                    began.elapsed()
                );
            }
            Err(finding) => findings.push(finding),
        }
    }
    assert!(findings.is_empty(), "PORCHLIGHT_SEED={seed}\n{}", findings.join("\n"));
}

#[test]
fn a_target_that_breaks_is_found_and_its_input_kept() {
    // The control: it breaks at a length of four bytes that an honest roster does not have, deep within it.
    fn breaks(bytes: &[u8]) {
        assert!(bytes.get(2000..2004) != Some(&[0xff; 4]), "as it was made to");
    }
    static BREAKS: Target = Target { name: "roster", run: breaks, seeds: Vec::new };
    let honest: Vec<Vec<u8>> = inputs(&BREAKS).into_iter().map(|(_, bytes)| bytes).collect();
    let broken = throw(&BREAKS, 2 * plantable(&honest), 1).unwrap_err();
    assert!(broken.contains("roster: broken"), "{broken}");
    let bytes = std::fs::read(kept("roster", 1)).unwrap();
    assert!(catch_unwind(|| breaks(&bytes)).is_err());
}

#[test]
fn what_is_planted_reaches_every_place_and_every_length() {
    let honest = vec![vec![1, 2, 3], vec![9]];
    let all: std::collections::BTreeSet<Vec<u8>> = (0..plantable(&honest)).map(|nth| planted(&honest, nth)).collect();
    for wanted in [&[][..], &[1, 2], &[1, 2, 3, 0xff, 0xff], &[1, 0xff, 3], &[0x7f, 0xff, 3], &[9, 0x9f], &[9]] {
        assert!(all.contains(wanted), "{wanted:?}");
    }
}
