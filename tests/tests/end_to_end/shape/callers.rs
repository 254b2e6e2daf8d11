//! Callers' visits: she writes, she reads and there is an answer, or there is nothing at all to say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;

use super::frames::{DATA, GOAWAY};
use super::odds::{Sample, centre, odds};
use super::streams::{Streams, posts_alone};
use super::tap::{Notes, Tap};
use super::{
    Verdict, at_each, at_the_relay, at_the_wire, kinds_of_requests, lines_for, long_records, none_is_told_apart, posted,
    samples_wanted, times_at_the_relay, times_at_the_wire,
};
use crate::carousel::sleep_until;
use crate::site::{Caller, Site};
use crate::texts;

/// Visits at the same time, on all lines together.
const ABREAST: usize = 6;
/// POSTs of a round, which a visit ends with.
const POSTS: usize = 7;
/// Which post a byte is planted in: not the first, which often shares its record with other requests.
const LEAKS_AT: usize = 4;
/// How long at most until an answer that went live, because she had only just left, goes round as well.
const UNTIL_ROUND_MS: u64 = 27_000;
/// Answers broadcast at a time: what the carousel holds for a few minutes, and goes round in one.
const AT_A_TIME: usize = 20;

/// What a visit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing: she reads, and there is nothing. All its posts are dummies.
    Dummy,
    Writes,
    /// She reads, and there is an answer.
    Hears,
    /// A dummy at the time when others hear.
    LaterDummy,
    /// A dummy one of whose posts is a byte longer.
    Leaks,
}

const READ: &[&str] = &["caller", "read"];

/// What she writes, one after the other, and whether a desk will answer that.
const WRITES: [(&[&str], bool); 6] = [
    (&["caller", "checkin", "--status", "help", "--text", "도와주세요", "--next", "7d"], true),
    (&["caller", "write", "--text", "我很好。", "--language", "zh"], true),
    (&["caller", "write", "--safeguarding", "--text", "그 사람이 나를 때렸어요"], false),
    (&["caller", "checkin", "--status", "safe", "--quiet"], true),
    (&["caller", "withdraw", "--all"], false),
    (&["caller", "write", "--relative", "--text", "one two three four five six seven eight nine ten"], true),
];

/// A visit as it was seen.
struct Seen {
    kind: Kind,
    wire: Sample,
    relay: Sample,
    requests: BTreeSet<String>,
    posted: Vec<String>,
    long: Vec<usize>,
    /// The records of posts, each as if it had gone alone.
    alone: Vec<usize>,
    data: Vec<usize>,
    /// How many connections there were, and how many said goodbye.
    farewells: (usize, usize),
    streams: Streams,
    lasted: Duration,
    first: String,
}

impl Seen {
    fn of(kind: Kind, notes: &Notes) -> Self {
        Self {
            kind,
            wire: at_the_wire(notes).into_iter().chain(times_at_the_wire(notes)).collect(),
            relay: at_the_relay(notes).into_iter().chain(times_at_the_relay(notes)).collect(),
            requests: kinds_of_requests(notes),
            posted: posted(notes),
            long: long_records(notes),
            alone: posts_alone(&notes.contents),
            // A planted byte is more than was said.
            streams: if kind == Kind::Leaks { Streams::default() } else { Streams::of(notes) },
            lasted: notes.far.last().unwrap().at.duration_since(notes.far[0].at),
            data: notes.frames.iter().filter(|(_, frame)| frame.kind == DATA).map(|(_, frame)| frame.length).collect(),
            farewells: (notes.connections, notes.frames.iter().filter(|(_, frame)| frame.kind == GOAWAY).count()),
            first: notes.asked[0].head.clone(),
        }
    }
}

fn visit(caller: &Caller, tap: &Tap, kind: Kind, verb: &[&str]) -> Seen {
    tap.begin_with_new(if kind == Kind::Leaks { LEAKS_AT } else { 0 });
    let ran = caller.run(&[verb, &["--socks5", &tap.address]].concat());
    let ran = ran.ends(if matches!(kind, Kind::Writes | Kind::Hears) { 0 } else { 6 });
    assert_eq!(ran.events("answer").len(), usize::from(kind == Kind::Hears), "{ran:?}");
    Seen::of(kind, &tap.end_with_all())
}

/// Visits of three kinds in turn. Then those are answered whom a desk answers, and visits of two kinds.
fn some_visits(site: &Site, taps: &[Tap], from: usize, count: usize) -> Vec<Seen> {
    let seen = Mutex::new(Vec::new());
    let note = |visit| seen.lock().unwrap().push(visit);
    let (waiting, answered) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    each(taps, 0..3 * count, &|tap, at| {
        let (kind, nth) = ([Kind::Dummy, Kind::Writes, Kind::Leaks][at % 3], from + at / 3);
        let caller = site.caller();
        let (written, answer) = WRITES[nth % WRITES.len()];
        note(visit(&caller, tap, kind, if kind == Kind::Writes { written } else { READ }));
        if kind == Kind::Writes && answer {
            waiting.lock().unwrap().push(caller);
        }
    });
    each(taps, waiting.into_inner().unwrap().into_iter(), &|_, caller| {
        let ran = site.desk(&["desk", "answer", &caller.id, "--text", "여기 있습니다", "--although-quiet"]).ends(0);
        let event = ran.events("answered").remove(0);
        let round = if event["track"] == "carousel" { 100 } else { UNTIL_ROUND_MS };
        answered.lock().unwrap().push((event["readable_from"].as_u64().unwrap() + round, caller));
    });
    let mut answered = answered.into_inner().unwrap();
    answered.sort_by_key(|(from, _)| *from);
    let strangers = answered.iter().map(|(from, _)| (*from, site.caller())).collect::<Vec<_>>();
    // Each begins anywhere in a beat, and either may be the first: else the two would begin together, one always through the same tap.
    let pairs = (from..).zip(answered.iter().zip(&strangers)).flat_map(|(nth, (her, stranger))| {
        let mut both = [(Kind::Hears, her, part_of_a_beat(2 * nth)), (Kind::LaterDummy, stranger, part_of_a_beat(2 * nth + 1))];
        both.rotate_left(nth % 2);
        both
    });
    each(taps, pairs, &|tap, (kind, (from, caller), wait)| {
        sleep_until(*from + wait);
        note(visit(caller, tap, kind, READ));
    });
    seen.into_inner().unwrap()
}

/// Milliseconds within a beat of this pace, spread evenly over whatever is counted.
fn part_of_a_beat(nth: usize) -> u64 {
    u64::try_from(nth).unwrap() * 557 % 900
}

/// Has the taps do all of these, each one after the other.
fn each<T: Send>(taps: &[Tap], what: impl Iterator<Item = T> + Send, act: &(impl Fn(&Tap, T) + Sync)) {
    let what = Mutex::new(what);
    let next = || what.lock().unwrap().next();
    std::thread::scope(|scope| {
        for tap in taps {
            scope.spawn(|| {
                while let Some(one) = next() {
                    act(tap, one);
                }
            });
        }
    });
}

/// What has to be the same in every visit is the same in every visit.
fn are_alike(seen: &[Seen]) {
    let honest = || seen.iter().filter(|visit| visit.kind != Kind::Leaks);
    let model = honest().find(|visit| visit.kind == Kind::Dummy).unwrap();
    assert_eq!((model.posted.len(), &model.first[..]), (POSTS, "GET v1/notice"));
    for visit in honest() {
        let kind = visit.kind;
        assert_eq!(visit.posted, model.posted, "posts of one that {kind:?}");
        // A record holds a post and, if other requests are begun in that moment, their heads: that is chance, and taken out.
        // Left to the classifiers, at the wire: which records are shared, how many fetches there were, and all that the clock decides.
        assert_eq!(visit.alone, model.alone, "records with posts of one that {kind:?}");
        assert_eq!(visit.long.len(), model.long.len(), "records with posts of one that {kind:?}");
        visit.streams.are_like(&model.streams, &format!("one that {kind:?}"));
        assert_eq!(visit.data, model.data, "frames with posts of one that {kind:?}");
        assert_eq!(visit.requests, model.requests, "requests of one that {kind:?}");
        assert_eq!(visit.first, model.first, "the first request of one that {kind:?}");
    }
    // On a machine that has no time for it the goodbye can be lost (it is waited for a second). What is lost is left to the classifiers.
    let lost: Vec<Kind> = honest().filter(|visit| visit.farewells != (1, 1)).map(|visit| visit.kind).collect();
    println!("visits that did not say goodbye once: {lost:?} of {} (pass: one, or one in 500)", honest().count());
    assert!(lost.len() <= (honest().count() / 500).max(1), "goodbyes are lost");
    println!("in each visit: {} first; frames with what is sent {:?}; requests {:#?}", model.first, model.data, model.requests);
    println!("in each visit: records of posts alone {:?}", model.alone);
    for (kind, exchanges) in &model.streams.by_kind {
        println!("{kind}: {} times, the first {:?}, the last {:?}", exchanges.len(), exchanges[0], exchanges.last().unwrap());
    }
    for kind in [Kind::Dummy, Kind::Writes, Kind::LaterDummy, Kind::Hears] {
        let mut lengths = BTreeMap::new();
        let long = seen.iter().filter(|visit| visit.kind == kind).flat_map(|visit| &visit.long);
        long.for_each(|length| *lengths.entry(*length).or_insert(0) += 1);
        println!("{kind:?}: records with posts, by length {lengths:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_who_write_callers_who_hear_and_callers_who_do_neither_look_the_same() {
    let mut rng = texts::rng("shape of callers");
    let wanted = samples_wanted();
    let (mut lines, mut running) = (Vec::new(), Vec::new());
    for _ in 0..lines_for(wanted) {
        let (site, relay) = super::site(super::CALLERS_PACE);
        running.push(site.watch());
        let mut taps = Vec::new();
        for _ in 0..ABREAST / lines_for(wanted) {
            taps.push(Tap::lay(&site, relay.0).await);
        }
        running.push(relay.1);
        lines.push((site, taps));
    }
    none_is_told_apart(wanted, || judged(&lines, wanted, &mut rng));
}

/// Has visits made, and says which are told apart, where and by what.
fn judged(lines: &[(Site, Vec<Tap>)], wanted: usize, rng: &mut ChaCha20Rng) -> Vec<String> {
    let began = Instant::now();
    let mut seen: Vec<Vec<Seen>> = tokio::task::block_in_place(|| {
        at_each(lines, wanted, |(site, taps), share| {
            let starts = (0..share).step_by(AT_A_TIME);
            starts.flat_map(|from| some_visits(site, taps, from, AT_A_TIME.min(share - from))).collect()
        })
    });
    let (visits, count) =
        seen.iter().flatten().fold((0.0, 0.0), |(sum, count), visit| (sum + visit.lasted.as_secs_f64(), count + 1.0));
    println!("a visit takes {:.2} s at this pace, {ABREAST} at a time", visits / count);
    super::say_how_long(began.elapsed(), wanted);
    let mut verdict = Verdict::default();
    for line in &mut seen {
        verdict.hold(|| are_alike(line));
        centre(line, |visit| visit.kind != Kind::Leaks, |visit| &mut visit.wire);
        centre(line, |visit| visit.kind != Kind::Leaks, |visit| &mut visit.relay);
    }
    let seen: Vec<Seen> = seen.into_iter().flatten().collect();
    let mut told = Vec::new();
    for (place, measure) in
        [("at the wire", (|visit| &visit.wire) as fn(&Seen) -> &Sample), ("at the relay", |visit| &visit.relay)]
    {
        let mut compared = |one: Kind, other: Kind| {
            let [ones, others] = [one, other].map(|kind| -> Vec<Sample> {
                seen.iter().filter(|visit| visit.kind == kind).map(|visit| measure(visit).clone()).collect()
            });
            let odds = odds(&ones, &others, rng);
            odds.say(&format!("{place}, {} × {one:?} against {} × {other:?}", ones.len(), others.len()));
            odds
        };
        compared(Kind::Dummy, Kind::Leaks).is_plain(place);
        for (dummy, real) in [(Kind::Dummy, Kind::Writes), (Kind::LaterDummy, Kind::Hears)] {
            let found = compared(dummy, real);
            if found.tell() {
                told.push(format!("{real:?} {place} by {}", found.gap_of));
            } else {
                verdict.hold(|| found.is_bounded(&format!("{real:?} {place}")));
            }
        }
    }
    verdict.pronounce();
    told
}
