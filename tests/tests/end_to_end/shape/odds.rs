//! Whether two kinds can be told apart: two classifiers, and how often chance would do as well.
//!
//! *The widest gap*: the one measure whose means lie furthest apart, in standard deviations. It finds what is in one place, a
//! byte for instance. *The nearest centre*: each sample is given to the kind to whose mean it is nearer, all measures together and
//! each by how much it varies, by what was learned from the other nine tenths. It finds what is a little everywhere. Then the labels are shuffled, which
//! makes both worthless but for luck: what share of shuffles does as well is the chance.
//!
//! That says whether there is anything to see. How much of it there is says the [`Auc`] of each, over samples it did not learn from.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

use super::auc::{Auc, Scores};

/// Shuffles of the labels.
const SHUFFLES: usize = 4_000;
/// What counts as told apart: chance does as well less often than this. Some ten comparisons are made in a run.
pub const CHANCE: f64 = 0.0005;
/// A measure that never varies can still be told from another, but not infinitely well.
const LEAST_SPREAD: f64 = 0.05;
const FOLDS: usize = 10;
/// The area is of four fifths of the samples, by what was learned from this part. Judged and learned in turns, ten folds vary by more than
/// any formula says: of twenty such intervals for two kinds that were the same eight did not hold 0.5.
const LEARNED: usize = 5;

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
    /// How well the widest gap, and the nearest centre, order samples they did not learn from.
    pub aucs: [Auc; 2],
    /// Of the kind of which there are fewer.
    count: usize,
}

/// The classifiers, as they are said.
const CLASSIFIERS: [&str; 2] = ["widest gap", "nearest centre"];

impl Odds {
    /// Whether either classifier tells the kinds apart.
    pub fn tell(&self) -> bool {
        self.gap_chance < CHANCE || self.right_chance < CHANCE
    }
    /// Whether both do.
    pub fn tell_both(&self) -> bool {
        self.gap_chance < CHANCE && self.right_chance < CHANCE
    }
    /// With so many samples the interval is narrow enough for this bound: below it the permutations judge alone.
    ///
    /// By how many samples there are, not by how many were asked for: of two thirds as many as write an answer is heard.
    /// Chance alone ends above it in some 13 of 100 comparisons of 200, 7 of 1,000 and 1 of 1,500.
    fn bound(&self) -> Option<f64> {
        [(1_000, 0.55), (200, 0.60)].into_iter().find(|(least, _)| self.count >= *least).map(|(_, bound)| bound)
    }
    /// Fails if either classifier may do better than is allowed with so many samples.
    pub fn is_bounded(&self, what: &str) {
        let Some(bound) = self.bound() else { return };
        for (auc, classifier) in self.aucs.iter().zip(CLASSIFIERS) {
            assert!(auc.high <= bound, "{what}: {classifier}: {auc}, more than {bound} is not excluded ({})", self.gap_of);
        }
    }
    /// Fails unless both classifiers see what was planted.
    pub fn is_plain(&self, what: &str) {
        assert!(self.tell_both(), "void: a byte that was planted was not seen {what}");
        for (auc, classifier) in self.aucs.iter().zip(CLASSIFIERS).filter(|_| self.bound().is_some()) {
            assert!(auc.value > 0.9, "void: {what}: {classifier} sees a planted byte only by {auc}");
        }
    }
    pub fn say(&self, what: &str) {
        let Self { gap, gap_of, gap_chance, right, right_chance, aucs: [of_gap, of_centre], .. } = self;
        let pass = self.bound().map_or_else(
            || "printed only: from 200 of each on it is judged; here chance is".to_owned(),
            |bound| format!("pass: intervals end at {bound} or below; of a planted byte, above 0.9"),
        );
        println!("{what}: AUC of the widest gap {of_gap}, of the nearest centre {of_centre} ({pass})");
        println!(
            "{what}: widest gap {gap:.2} ({gap_of}), chance {gap_chance:.4}; nearest centre {:.0} % right, chance {right_chance:.4} (pass: each chance at least {CHANCE}; of a planted byte, less)",
            right * 100.0
        );
    }
}

/// Takes from every measure what it is at this place on average, over those that are honest: whoever watches a relay knows which.
///
/// A port and a gate pack into more bytes or fewer, which has nothing to do with what is said there and would hide what has.
pub fn centre<S>(seen: &mut [S], is_honest: impl Fn(&S) -> bool, of: impl Fn(&mut S) -> &mut Sample) {
    let (mut sums, mut count) = (Sample::new(), 0.0);
    for one in seen.iter_mut().filter(|one| is_honest(one)) {
        count += 1.0;
        for (name, value) in of(one) {
            *sums.entry(name.clone()).or_default() += *value;
        }
    }
    for one in seen {
        let sample = of(one);
        for (name, sum) in &sums {
            *sample.entry(name.clone()).or_default() -= sum / count;
        }
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
    let aucs = [auc(&rows, &labels, by_the_widest_gap), auc(&rows, &labels, by_the_nearest_centre)];
    let (mut gaps, mut rights) = (1, 1);
    for _ in 0..SHUFFLES {
        shuffle(&mut labels, rng);
        gaps += usize::from(self::gap(&rows, &labels).0 >= gap);
        rights += usize::from(self::right(&rows, &labels) >= right);
    }
    let share = |count: usize| count as f64 / (SHUFFLES + 1) as f64;
    let gap_of = names.iter().nth(at).map_or_else(String::new, |name| (*name).clone());
    Odds { gap, gap_of, gap_chance: share(gaps), right, right_chance: share(rights), aucs, count: paired / 2 }
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

/// What was learned of each measure: the means of two kinds, and how much it varies within them.
type Learned = [([f64; 2], f64)];

/// What share of samples the nearest centre gives to the right kind.
fn right(rows: &[Vec<f64>], labels: &[bool]) -> f64 {
    let mut sums = sums_of(rows, labels);
    let mut right = 0;
    for fold in 0..FOLDS {
        // Two and two, so that a pair stays together.
        let here = || rows.iter().zip(labels).enumerate().filter(move |(at, _)| at / 2 % FOLDS == fold).map(|(_, pair)| pair);
        here().for_each(|(row, label)| sums[usize::from(*label)].add(row, -1.0));
        let learned = learned(&sums);
        right += here().filter(|(row, label)| (by_the_nearest_centre(row, &learned) > 0.0) == **label).count();
        here().for_each(|(row, label)| sums[usize::from(*label)].add(row, 1.0));
    }
    right as f64 / rows.len() as f64
}

fn learned(sums: &[Sums; 2]) -> Vec<([f64; 2], f64)> {
    (0..sums[0].of.len()).map(|at| gap_at(sums, at)).collect()
}

/// How well a classifier that learned from one part orders the others.
fn auc(rows: &[Vec<f64>], labels: &[bool], score: fn(&[f64], &Learned) -> f64) -> Auc {
    let part = |is_learned: bool| {
        rows.iter().zip(labels).enumerate().filter(move |(at, _)| (at / 2 % LEARNED == 0) == is_learned).map(|(_, pair)| pair)
    };
    let width = rows.first().map_or(0, Vec::len);
    let mut sums = [Sums::new(width), Sums::new(width)];
    part(true).for_each(|(row, label)| sums[usize::from(*label)].add(row, 1.0));
    let learned = learned(&sums);
    let mut scores = Scores::default();
    part(false).for_each(|(row, label)| scores.add(*label, score(row, &learned)));
    Auc::of(&scores)
}

fn by_the_nearest_centre(row: &[f64], learned: &Learned) -> f64 {
    row.iter().zip(learned).map(|(value, known)| nearer_the_second(*value, known)).sum()
}

/// By the one measure that lay furthest apart in what was learned.
fn by_the_widest_gap(row: &[f64], learned: &Learned) -> f64 {
    let gap = |known: &([f64; 2], f64)| (known.0[0] - known.0[1]).abs() / known.1;
    let widest = row.iter().zip(learned).max_by(|(_, one), (_, other)| gap(one).total_cmp(&gap(other)));
    widest.map_or(0.0, |(value, known)| nearer_the_second(*value, known))
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
            assert!(differs.aucs.iter().all(|auc| auc.value > 0.95), "seed {seed}: {differs:?}");
            assert!(differs.tell_both() && differs.gap_of == "measure 7", "seed {seed}: {differs:?}");
        }
    }

    /// The AUCs of twenty comparisons of so many samples, of which one measure of the second kind is shifted.
    fn aucs_of(count: usize, shift: f64) -> Vec<[Auc; 2]> {
        let compared = |seed| {
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let rows: Vec<Vec<f64>> =
                (0..2 * count).map(|at| drawn(&mut rng, if at % 2 == 1 { shift } else { 0.0 }).into_values().collect()).collect();
            let labels: Vec<bool> = (0..2 * count).map(|at| at % 2 == 1).collect();
            let rows = standardised(rows);
            [auc(&rows, &labels, by_the_widest_gap), auc(&rows, &labels, by_the_nearest_centre)]
        };
        (100..120).map(compared).collect()
    }

    #[test]
    fn two_that_are_the_same_are_ordered_as_by_a_coin() {
        for (count, within) in [(20, 0.06), (200, 0.02)] {
            let aucs = aucs_of(count, 0.0);
            for classifier in 0..2 {
                let mean = aucs.iter().map(|auc| auc[classifier].value).sum::<f64>() / aucs.len() as f64;
                let covered = aucs.iter().filter(|auc| auc[classifier].low <= 0.5 && 0.5 <= auc[classifier].high).count();
                println!("{count} of each, classifier {classifier}: mean AUC {mean:.3}; {covered} of 20 intervals hold 0.5");
                // Nineteen of twenty are to be expected.
                assert!((mean - 0.5).abs() < within && covered >= 16, "{count} of each: {mean}, {covered} of 20");
            }
        }
    }

    #[test]
    fn a_gap_of_one_deviation_is_ordered_as_well_as_is_known_of_it() {
        // Two normal distributions, one deviation apart: the normal distribution at 1/√2.
        const KNOWN: f64 = 0.7602;
        let aucs = aucs_of(200, 1.0);
        let mean = aucs.iter().map(|[of_gap, _]| of_gap.value).sum::<f64>() / aucs.len() as f64;
        let covered = aucs.iter().filter(|[of_gap, _]| of_gap.low <= KNOWN && KNOWN <= of_gap.high).count();
        println!("mean AUC {mean:.3}, known {KNOWN}; {covered} of 20 intervals hold it");
        assert!((mean - KNOWN).abs() < 0.02 && covered >= 16, "{mean}, {covered} of 20");
    }
}
