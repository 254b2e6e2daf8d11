//! Whether two kinds can be told apart: two classifiers, and how often chance would do as well.
//!
//! *The widest gap*: the one measure whose means lie furthest apart, in standard deviations. It finds what is in one place, a
//! byte for instance. *The nearest centre*: each sample is given to the kind to whose mean it is nearer, all measures together and
//! each by how much it varies, by what was learned from the other nine tenths. It finds what is a little everywhere. Then the labels are shuffled, which
//! makes both worthless but for luck: what share of shuffles does as well is the chance.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

/// Shuffles of the labels.
const SHUFFLES: usize = 4_000;
/// What counts as told apart: chance does as well less often than this. Some ten comparisons are made in a run.
pub const CHANCE: f64 = 0.0005;
/// A measure that never varies can still be told from another, but not infinitely well.
const LEAST_SPREAD: f64 = 0.05;
const FOLDS: usize = 10;

/// What was measured of one visit, or of some beats of a desk, each value by its name.
pub type Sample = BTreeMap<String, f64>;

/// How well a classifier does, and how often chance does as well.
#[derive(Debug)]
pub struct Odds {
    pub gap: f64,
    pub gap_of: String,
    pub gap_chance: f64,
    /// Of samples given to the right kind.
    pub right: f64,
    pub right_chance: f64,
}

impl Odds {
    /// Whether either classifier tells the kinds apart.
    pub fn tell(&self) -> bool {
        self.gap_chance < CHANCE || self.right_chance < CHANCE
    }
    /// Whether both do.
    pub fn tell_both(&self) -> bool {
        self.gap_chance < CHANCE && self.right_chance < CHANCE
    }
    pub fn say(&self, what: &str) {
        let Self { gap, gap_of, gap_chance, right, right_chance } = self;
        println!(
            "{what}: widest gap {gap:.2} ({gap_of}), chance {gap_chance:.4}; nearest centre {:.0} % right, chance {right_chance:.4}",
            right * 100.0
        );
    }
}

/// Compares two kinds.
pub fn odds(first: &[Sample], second: &[Sample], rng: &mut ChaCha20Rng) -> Odds {
    let names: BTreeSet<&String> = first.iter().chain(second).flat_map(BTreeMap::keys).collect();
    // In turn, so that each tenth has as many of either.
    let pairs = first.iter().zip(second).flat_map(|(one, other)| [one, other]);
    let rest = first.iter().skip(second.len()).chain(second.iter().skip(first.len()));
    let rows: Vec<Vec<f64>> =
        pairs.chain(rest).map(|sample| names.iter().map(|name| sample.get(*name).copied().unwrap_or(0.0)).collect()).collect();
    let paired = 2 * first.len().min(second.len());
    let mut labels: Vec<bool> =
        (0..rows.len()).map(|at| if at < paired { at % 2 == 0 } else { first.len() > second.len() }).collect();
    let rows = standardised(rows);
    let ((gap, at), right) = (gap(&rows, &labels), right(&rows, &labels));
    let (mut gaps, mut rights) = (1, 1);
    for _ in 0..SHUFFLES {
        shuffle(&mut labels, rng);
        gaps += usize::from(self::gap(&rows, &labels).0 >= gap);
        rights += usize::from(self::right(&rows, &labels) >= right);
    }
    let share = |count: usize| count as f64 / (SHUFFLES + 1) as f64;
    let gap_of = names.iter().nth(at).map_or_else(String::new, |name| (*name).clone());
    Odds { gap, gap_of, gap_chance: share(gaps), right, right_chance: share(rights) }
}

/// Each measure with mean 0 and spread 1 over all samples.
fn standardised(mut rows: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let count = rows.len() as f64;
    for at in 0..rows.first().map_or(0, Vec::len) {
        let mean = rows.iter().map(|row| row[at]).sum::<f64>() / count;
        let spread = (rows.iter().map(|row| (row[at] - mean).powi(2)).sum::<f64>() / count).sqrt();
        // What never varies tells nothing, to nobody.
        let scale = if spread > 1e-9 { 1.0 / spread } else { 0.0 };
        rows.iter_mut().for_each(|row| row[at] = (row[at] - mean) * scale);
    }
    rows
}

/// Sums of a kind's rows and of their squares, and how many there are.
struct Sums {
    count: f64,
    of: Vec<f64>,
    squares: Vec<f64>,
}

impl Sums {
    fn new(width: usize) -> Self {
        Self { count: 0.0, of: vec![0.0; width], squares: vec![0.0; width] }
    }
    fn add(&mut self, row: &[f64], sign: f64) {
        self.count += sign;
        for ((sum, square), value) in self.of.iter_mut().zip(&mut self.squares).zip(row) {
            *sum += sign * value;
            *square += sign * value * value;
        }
    }
    fn mean(&self, at: usize) -> f64 {
        self.of[at] / self.count.max(1.0)
    }
    fn variance(&self, at: usize) -> f64 {
        (self.squares[at] / self.count.max(1.0) - self.mean(at).powi(2)).max(0.0)
    }
}

/// The means of two kinds, and how much a measure varies within them.
fn gap_at(sums: &[Sums; 2], at: usize) -> ([f64; 2], f64) {
    let [one, other] = sums;
    let within = (one.variance(at) + other.variance(at)) / 2.0;
    ([one.mean(at), other.mean(at)], within.sqrt() + LEAST_SPREAD)
}

fn sums_of(rows: &[Vec<f64>], labels: &[bool]) -> [Sums; 2] {
    let width = rows.first().map_or(0, Vec::len);
    let mut sums = [Sums::new(width), Sums::new(width)];
    rows.iter().zip(labels).for_each(|(row, label)| sums[usize::from(*label)].add(row, 1.0));
    sums
}

/// The widest gap between the means of two kinds, and which measure's it is.
fn gap(rows: &[Vec<f64>], labels: &[bool]) -> (f64, usize) {
    let sums = sums_of(rows, labels);
    let gap = |at: usize| {
        let ([one, other], within) = gap_at(&sums, at);
        (one - other).abs() / within
    };
    (0..sums[0].of.len()).map(|at| (gap(at), at)).fold((0.0, 0), |most, next| if next.0 > most.0 { next } else { most })
}

/// What share of samples the nearest centre gives to the right kind.
fn right(rows: &[Vec<f64>], labels: &[bool]) -> f64 {
    let mut sums = sums_of(rows, labels);
    let mut right = 0;
    for fold in 0..FOLDS {
        // Two and two, so that a pair stays together.
        let here = || rows.iter().zip(labels).enumerate().filter(move |(at, _)| at / 2 % FOLDS == fold).map(|(_, pair)| pair);
        here().for_each(|(row, label)| sums[usize::from(*label)].add(row, -1.0));
        let learned: Vec<_> = (0..sums[0].of.len()).map(|at| gap_at(&sums, at)).collect();
        for (row, label) in here() {
            let nearer: f64 = row.iter().zip(&learned).map(|(value, known)| nearer_the_second(*value, known)).sum();
            right += usize::from((nearer > 0.0) == *label);
        }
        here().for_each(|(row, label)| sums[usize::from(*label)].add(row, 1.0));
    }
    right as f64 / rows.len() as f64
}

/// By how much a value is nearer to the second mean than to the first, measured by how much such values vary.
fn nearer_the_second(value: f64, ([one, other], within): &([f64; 2], f64)) -> f64 {
    ((value - one).powi(2) - (value - other).powi(2)) / within.powi(2)
}

fn shuffle(labels: &mut [bool], rng: &mut ChaCha20Rng) {
    for at in (1..labels.len()).rev() {
        let below = u64::try_from(at + 1).unwrap();
        labels.swap(at, usize::try_from(rng.next_u64() % below).unwrap());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::SeedableRng;

    fn drawn(rng: &mut ChaCha20Rng, shift: f64) -> Sample {
        let mut draw = || (0..12).map(|_| (rng.next_u64() % 1000) as f64 / 1000.0).sum::<f64>() - 6.0;
        let mut sample: Sample = (0..20).map(|at| (format!("measure {at}"), draw())).collect();
        *sample.get_mut("measure 7").unwrap() += shift;
        sample.insert("always".to_owned(), 3.0);
        sample
    }

    #[test]
    fn what_differs_is_told_apart_and_what_does_not_is_not() {
        for seed in 0..4 {
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let [first, second, other] = [0.0, 0.0, 9.0].map(|shift| (0..20).map(|_| drawn(&mut rng, shift)).collect::<Vec<_>>());
            let same = odds(&first, &second, &mut rng);
            assert!(!same.tell(), "seed {seed}: {same:?}");
            let differs = odds(&first, &other, &mut rng);
            assert!(differs.tell_both() && differs.gap_of == "measure 7", "seed {seed}: {differs:?}");
        }
    }
}
