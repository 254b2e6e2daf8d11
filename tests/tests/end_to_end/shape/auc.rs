//! How well scores order two kinds: the area under the ROC curve, which is the share of pairs, one of each kind, in which the second kind's
//! has the higher score. 0.5 is a coin, 1 is certainty.

use std::fmt;

/// Of a normal distribution: 95 % lie within so many deviations of its mean.
const DEVIATIONS: f64 = 1.96;

/// What a classifier gave to samples it had not learned from; the higher, the more like the second kind.
#[derive(Debug, Default)]
pub struct Scores {
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Scores {
    pub fn add(&mut self, is_second: bool, score: f64) {
        if is_second { self.second.push(score) } else { self.first.push(score) }
    }

    fn pairs(&self) -> f64 {
        (self.first.len() * self.second.len()) as f64
    }

    /// Pairs in the right order; one that ties counts half.
    fn in_order(&self) -> f64 {
        let half = |first: &f64, second: &f64| match second.total_cmp(first) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        };
        self.second.iter().flat_map(|second| self.first.iter().map(move |first| half(first, second))).sum()
    }

    /// The variance of its area, if that is `area` in truth (Hanley and McNeil, Radiology 143, 1982).
    fn variance(&self, area: f64) -> f64 {
        let (first, second) = (self.first.len() as f64, self.second.len() as f64);
        let (two_second, two_first) = (area / (2.0 - area), 2.0 * area * area / (1.0 + area));
        let of_pairs = (second - 1.0) * (two_second - area * area) + (first - 1.0) * (two_first - area * area);
        (area * (1.0 - area) + of_pairs) / (first * second)
    }
}

/// The area, and the interval that holds it with 95 %.
#[derive(Debug, Clone, Copy)]
pub struct Auc {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

impl Auc {
    /// NaN without scores of both kinds.
    pub fn of(scores: &Scores) -> Self {
        let value = scores.in_order() / scores.pairs();
        let wide = DEVIATIONS * scores.variance(value).max(0.0).sqrt();
        Self { value, low: (value - wide).max(0.0), high: (value + wide).min(1.0) }
    }
}

impl fmt::Display for Auc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ({:.3} to {:.3})", self.value, self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(first: &[f64], second: &[f64]) -> Scores {
        Scores { first: first.to_vec(), second: second.to_vec() }
    }

    #[test]
    fn an_area_is_the_share_of_pairs_in_order() {
        for (first, second, area) in [
            (&[1.0, 2.0, 3.0][..], &[2.0, 3.0, 4.0][..], 7.0 / 9.0),
            (&[1.0, 2.0], &[3.0, 4.0], 1.0),
            (&[3.0, 4.0], &[1.0, 2.0], 0.0),
            (&[1.0, 1.0, 1.0], &[1.0], 0.5),
        ] {
            let auc = Auc::of(&scores(first, second));
            assert!((auc.value - area).abs() < 1e-12, "{first:?} {second:?}: {auc}");
        }
    }

    #[test]
    fn an_interval_is_as_wide_as_was_published() {
        // The example of that paper: an area of 0.893 with 58 and 51 has a standard error of 0.032.
        let error = scores(&[0.0; 58], &[0.0; 51]).variance(0.893).sqrt();
        assert!((error - 0.0325).abs() < 0.0005, "{error}");
    }
}
