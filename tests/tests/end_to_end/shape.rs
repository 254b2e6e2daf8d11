//! Whoever carries it and the relay itself see the same, whether there is anything to say or not.
//!
//! Programs are recorded one at a time through a tap of their own: TLS records on both sides of it, and frames and requests as
//! the relay reads them. What must be equal is compared for equality; what time and the network decide (how many times
//! something was fetched, when) goes to classifiers, which must do no better than chance. One byte planted in one post has to be
//! seen by all of them, else the run says nothing.

mod auc;
mod callers;
mod desks;
mod frames;
mod odds;
mod streams;
mod tap;

use std::collections::BTreeSet;

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use odds::Sample;
use tap::{Notes, Record};

use crate::site::{Plan, Running, Site, free_address};

/// Samples of each kind: `SHAPE_VISITS`, else 20.
fn samples_wanted() -> usize {
    std::env::var("SHAPE_VISITS").ok().and_then(|count| count.parse().ok()).unwrap_or(20)
}

/// What so many samples of each kind took. Of more it says nothing: those are taken on several lines.
fn say_how_long(taken: Duration, samples: usize) {
    println!("{samples} of each in {:.1} min", taken.as_secs_f64() / 60.0);
}

/// Quick, but so that a beat can be kept by a machine that is busy, and that a device on watch, which asks again at each post, stays below the
/// sixteen calls a second that a relay grants it for long.
const CALLERS_PACE: &[&str] = &["--beat-ms", "900", "--up-beat-ms", "200", "--slow-s", "1"];
/// Lines, each with a relay and a desk of its own: several where many samples are wanted.
fn lines_for(samples: usize) -> usize {
    if samples < 100 { 1 } else { 3 }
}
/// How many of so many samples each of some places takes.
fn shares(samples: usize, places: usize) -> impl Iterator<Item = usize> {
    (0..places).map(move |nth| samples / places + usize::from(nth < samples % places))
}
/// Has every place take its samples, all at the same time.
fn at_each<P: Sync, S: Send>(places: &[P], samples: usize, take: impl Fn(&P, usize) -> Vec<S> + Sync) -> Vec<Vec<S>> {
    let take = &take;
    std::thread::scope(|scope| {
        let shares = shares(samples, places.len());
        let takers: Vec<_> = places.iter().zip(shares).map(|(place, share)| scope.spawn(move || take(place, share))).collect();
        takers.into_iter().map(|taker| taker.join().expect("a place that failed has said why")).collect()
    })
}
/// Whether everything held. Where one thing does not, the others are looked at all the same: they take half an hour to record.
#[derive(Default)]
struct Verdict {
    failed: usize,
}

impl Verdict {
    fn hold(&mut self, assertions: impl FnOnce()) {
        self.failed += usize::from(catch_unwind(AssertUnwindSafe(assertions)).is_err());
    }
    fn pronounce(self) {
        assert_eq!(self.failed, 0, "failed, each as said above");
    }
}

/// From so many samples of each kind on, none are taken a second time.
const MANY: usize = 200;

/// Fails if kinds are told apart, of a few samples only if others that are taken then are told apart, too.
///
/// Chance alone tells something apart in one run of some hundreds, and a machine that had other work in the middle of one kind of samples
/// shows in when pages were fetched. What there is to see is seen every time. Of many samples one such moment is little.
fn none_is_told_apart(wanted: usize, mut judge: impl FnMut() -> Vec<String>) {
    for nth in 1.. {
        let told = judge();
        if told.is_empty() {
            return;
        }
        println!("told apart: {}", told.join("; "));
        assert!(nth < 2 && wanted < MANY, "told apart {nth} times: {told:?}");
    }
}

/// A published line, and where its relay is.
fn site(pace: &[&str]) -> (Site, (SocketAddr, Running)) {
    let free = free_address();
    let (site, relay) = Site::published(Plan { through: Some((free, free)), usual_pace: true, init: pace, ..Plan::default() });
    (site, (free, relay))
}

/// Longer than any upward record in which nothing is posted.
const LONG: usize = 1_500;

/// What can be measured at the wire.
fn at_the_wire(notes: &Notes) -> Sample {
    let mut sample = Sample::new();
    for record in &notes.far {
        let way = if record.upward { "up" } else { "down" };
        for (name, value) in [("records", 1.0), ("bytes", record.length as f64), (&format!("records of {}", record.length), 1.0)]
        {
            *sample.entry(format!("{way}: {name}")).or_default() += value;
        }
    }
    sample
}

/// When things passed at the wire.
fn times_at_the_wire(notes: &Notes) -> Sample {
    let start = notes.far[0].at;
    let times_of = |longer_than: usize| -> Vec<f64> {
        let those = notes.far.iter().filter(|record| record.upward && record.length > longer_than);
        those.map(|record| record.at.duration_since(start).as_secs_f64() * 1e3).collect()
    };
    times(&times_of(LONG), *times_of(0).last().unwrap())
}

/// What can be measured at the relay.
fn at_the_relay(notes: &Notes) -> Sample {
    let mut sample = Sample::new();
    let mut add = |name: String, value: f64| *sample.entry(name).or_default() += value;
    add("connections".to_owned(), notes.connections as f64);
    for (_, frame) in &notes.frames {
        add(format!("frames of kind {} with {} bytes", frame.kind, frame.length), 1.0);
    }
    for asked in &notes.asked {
        add(format!("{} and {} bytes", asked.head, asked.body), 1.0);
    }
    sample
}

/// When requests came to the relay.
fn times_at_the_relay(notes: &Notes) -> Sample {
    let start = notes.asked[0].at;
    let times_of = |posted: bool| -> Vec<f64> {
        let those = notes.asked.iter().filter(|asked| !posted || asked.body > 0);
        those.map(|asked| asked.at.duration_since(start).as_secs_f64() * 1e3).collect()
    };
    times(&times_of(true), *times_of(false).last().unwrap())
}

/// When posts went, in milliseconds, and how regularly.
fn times(posts: &[f64], end: f64) -> Sample {
    let mut sample = Sample::new();
    let mut gaps: Vec<f64> = posts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let (first, last) = (posts.first().copied().unwrap_or(0.0), posts.last().copied().unwrap_or(0.0));
    sample.insert("ms to the first post".to_owned(), first);
    sample.insert("ms after the last post".to_owned(), end - last);
    sample.insert("ms from the first post to the last".to_owned(), last - first);
    sample.insert("ms to the second post".to_owned(), gaps.first().copied().unwrap_or(0.0));
    gaps.sort_by(f64::total_cmp);
    sample.insert("median gap of posts, ms".to_owned(), gaps.get(gaps.len() / 2).copied().unwrap_or(0.0));
    sample.insert("widest gap of posts, ms".to_owned(), gaps.last().copied().unwrap_or(0.0));
    sample.insert("narrowest gap of posts, ms".to_owned(), gaps.first().copied().unwrap_or(0.0));
    sample
}

/// What was posted, in its order, as the relay sees it.
fn posted(notes: &Notes) -> Vec<String> {
    notes.asked.iter().filter(|asked| asked.body > 0).map(|asked| format!("{} and {} bytes", asked.head, asked.body)).collect()
}

/// Every request there was, each once.
fn kinds_of_requests(notes: &Notes) -> BTreeSet<String> {
    notes.asked.iter().map(|asked| format!("{} and {} bytes", asked.head, asked.body)).collect()
}

/// The lengths of the records in which something was posted, in their order: as the program sent them.
fn long_records(notes: &Notes) -> Vec<usize> {
    let long = |records: &[Record]| -> Vec<usize> {
        records.iter().filter(|record| record.upward && record.length > LONG).map(|record| record.length).collect()
    };
    let (near, far) = (long(&notes.near), long(&notes.far));
    let grown: usize = near.iter().zip(&far).map(|(near, far)| far - near).sum();
    assert!(near.len() == far.len() && grown <= 1, "the tap passes on what it gets: {near:?} {far:?}");
    near
}
