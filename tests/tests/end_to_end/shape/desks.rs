//! Desk devices: a team that has its hands full, and one to which nobody writes.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;

use super::odds::{Sample, centre, odds};
use super::streams::posts_alone;
use super::tap::{Notes, Tap};
use super::{
    MANY, Verdict, at_each, at_the_relay, at_the_wire, kinds_of_requests, lines_for, none_is_told_apart, posted, samples_wanted,
    times_at_the_relay, times_at_the_wire,
};
use crate::site::{Caller, PATIENCE, Running, Site};
use crate::texts;

/// The line's beat in milliseconds: `SHAPE_BEAT_MS`, else this. A desk beats in a third of it.
///
/// A device on watch asks again a quarter of a beat after somebody posted, and has sixteen calls a second for long.
const BEAT_MS: u32 = 1_200;
/// From this beat on a bundle is sealed a whole second ahead, as in use, and then times are judged as well. At a quicker one there is
/// less time to hide work in than there is work, so they are only printed.
const JUDGED_FROM_MS: u32 = 6_000;
/// Both are recorded.
const DESKS: [&str; 2] = ["desk", "second"];
/// How long a worker does nothing after a command, at the usual beat here: several teams share the machine.
const REST_MS: u32 = 500;
/// How often callers post, at the usual beat here.
const UP_BEAT_MS: u32 = 200;
/// Lines at a beat that is as slow as to judge times by: so many samples take long, and each line leaves the machine room.
const SLOW_LINES: usize = 10;
/// Beats in a sample.
const BEATS: usize = 4;
/// Samples taken one after the other at a quick beat.
const IN_A_ROW: usize = 10;
/// Callers who write, or only read.
const CALLERS: usize = 3;
/// Which bundle of a sample a byte is planted in.
const LEAKS_AT: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Callers come, and all they post is dummies.
    Idle,
    /// Callers write, and workers answer, note and claim.
    Busy,
    /// Idle, and one bundle of each device is a byte longer.
    Leaks,
}

fn beat_ms() -> u32 {
    std::env::var("SHAPE_BEAT_MS").ok().and_then(|ms| ms.parse().ok()).unwrap_or(BEAT_MS)
}

/// Samples taken one after the other, before the other kind has its turn: fewer where each takes long.
fn in_a_row() -> usize {
    if beat_ms() < JUDGED_FROM_MS { IN_A_ROW } else { IN_A_ROW / 3 }
}

/// A time of the usual beat here, at the beat there is.
fn at_this_beat(ms: u32) -> u32 {
    ms * beat_ms() / BEAT_MS
}

/// Some beats of all devices.
struct Seen {
    kind: Kind,
    wire: Sample,
    relay: Sample,
    requests: BTreeSet<String>,
    posted: Vec<String>,
    /// The records of bundles, each as if it had gone alone.
    alone: Vec<usize>,
    gaps: Vec<f64>,
}

impl Seen {
    fn of(kind: Kind, devices: &[Notes]) -> Self {
        let all = |measure: fn(&Notes) -> Sample| -> Sample {
            let mut sample = Sample::new();
            for (notes, name) in devices.iter().zip(DESKS) {
                sample.extend(measure(notes).into_iter().map(|(of, value)| (format!("{name}: {of}"), value)));
            }
            sample
        };
        let gaps = |notes: &Notes| {
            let at: Vec<_> = notes.asked.iter().filter(|asked| asked.body > 0).map(|asked| asked.at).collect();
            at.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e3).collect::<Vec<_>>()
        };
        let judged = |measure: fn(&Notes) -> Sample| if beat_ms() < JUDGED_FROM_MS { Sample::new() } else { all(measure) };
        Self {
            kind,
            wire: all(at_the_wire).into_iter().chain(judged(times_at_the_wire)).collect(),
            relay: all(at_the_relay).into_iter().chain(judged(times_at_the_relay)).collect(),
            requests: devices.iter().flat_map(kinds_of_requests).collect(),
            posted: devices.iter().flat_map(posted).collect(),
            alone: devices.iter().flat_map(|notes| posts_alone(&notes.contents)).collect(),
            gaps: devices.iter().flat_map(gaps).collect(),
        }
    }
}

/// Whether the others may stop, which they also do if whoever takes the samples fails.
#[derive(Default)]
struct Over(AtomicBool);

struct Ends<'a>(&'a Over);

impl Over {
    fn is(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
    fn ends(&self) -> Ends<'_> {
        Ends(self)
    }
}

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Who is there, and what they do while they are watched.
struct Place {
    nth: usize,
    site: Site,
    taps: Vec<Tap>,
    callers: Vec<Caller>,
    /// Callers who have written.
    known: Mutex<Vec<String>>,
}

impl Place {
    /// Samples of each kind in turn.
    fn all_samples(&self, wanted: usize) -> Vec<Seen> {
        let mut seen = Vec::new();
        for from in (0..wanted).step_by(in_a_row()) {
            let count = in_a_row().min(wanted - from);
            // Fewer of the control: what it shows is plain. Each line begins with another: what a lane's positions look like goes by the hour,
            // and is in every request.
            let mut kinds = [(Kind::Idle, count), (Kind::Leaks, count.div_ceil(3)), (Kind::Busy, count)];
            kinds.rotate_left((self.nth + from / in_a_row()) % 3);
            for (kind, count) in kinds {
                seen.extend(self.samples(kind, count));
                println!("{} samples, the last {kind:?}", seen.len());
            }
            self.rest();
        }
        seen
    }

    /// Does one thing after the other until there are enough samples, and as much whatever the kind: the machine is as busy.
    fn samples(&self, kind: Kind, count: usize) -> Vec<Seen> {
        let over = Over::default();
        let busy = kind == Kind::Busy;
        std::thread::scope(|scope| {
            for caller in &self.callers {
                scope.spawn(|| {
                    while !over.is() {
                        let words: &[&str] = if busy {
                            &["caller", "checkin", "--status", "help", "--text", "도와주세요"]
                        } else {
                            &["caller", "read"]
                        };
                        caller.run(words);
                        if busy {
                            self.known.lock().unwrap().push(caller.id.clone());
                        }
                    }
                });
            }
            for (at, dir) in DESKS.iter().enumerate() {
                let over = &over;
                scope.spawn(move || {
                    let mut nth = at;
                    while !over.is() {
                        nth += 1;
                        let latest = self.known.lock().unwrap().iter().nth_back(at).filter(|_| busy).cloned();
                        let _ended = match (latest, nth % 4) {
                            (None, _) => self.site.at(dir, &["desk", "list"]),
                            (Some(id), 0) => self.site.at(dir, &["desk", "note", &id, "--text", "집 앞 가게를 압니다"]),
                            (Some(id), 1) => self.site.at(dir, &["desk", "claim", &id, "--reason", "her turn"]),
                            // What nobody looks at has no room for long, and then boards are asked for.
                            (Some(id), 2) => self.site.at(dir, &["desk", "show", &id]),
                            (Some(id), _) => {
                                self.site.at(dir, &["desk", "answer", &id, "--text", "여기 있습니다", "--wait", "0s"])
                            }
                        };
                        std::thread::sleep(Duration::from_millis(at_this_beat(REST_MS).into()));
                    }
                });
            }
            let _until_here = over.ends();
            (0..count).map(|_| self.sample(kind)).collect()
        })
    }

    fn sample(&self, kind: Kind) -> Seen {
        let leak = if kind == Kind::Leaks { LEAKS_AT } else { 0 };
        self.taps.iter().for_each(|tap| tap.begin(leak));
        // One more than is needed: the first may have been under way.
        let until = Instant::now() + PATIENCE;
        while self.taps.iter().any(|tap| tap.posts() <= BEATS + 1) {
            assert!(Instant::now() < until, "a device beats no more");
            std::thread::sleep(Duration::from_millis(5));
        }
        let notes: Vec<Notes> = self.taps.iter().map(|tap| tap.end().of_posts(BEATS).unwrap()).collect();
        Seen::of(kind, &notes)
    }

    /// There was something to do: both devices know of it.
    fn was_busy(&self) {
        let rows = self.site.at(DESKS[1], &["desk", "list"]).ends(0).objects();
        let [letters, answers] = ["letters", "answers"].map(|of| rows.iter().map(|row| row[of].as_u64().unwrap()).sum::<u64>());
        println!("while they were busy: {letters} letters, {answers} answers");
        assert!(rows.len() == CALLERS && letters > 0 && answers > 0, "{rows:?}");
    }

    /// Those who were answered come and read it, so that nothing is left to do.
    fn rest(&self) {
        std::thread::scope(|scope| {
            for caller in &self.callers {
                scope.spawn(|| drop(caller.run(&["caller", "read", "--wait", "4s"])));
            }
        });
    }
}

async fn place(nth: usize) -> (Place, Vec<Running>) {
    let [beat, up_beat] = [beat_ms(), at_this_beat(UP_BEAT_MS)].map(|ms| ms.to_string());
    let (site, relay) = super::site(&["--beat-ms", &beat, "--up-beat-ms", &up_beat, "--slow-s", "1"]);
    site.join(DESKS[1]);
    let mut taps = Vec::new();
    let mut running = vec![relay.1];
    for dir in DESKS {
        let tap = Tap::lay(&site, relay.0).await;
        let words = ["desk", "watch", "--dir", dir, "--passphrase-file", "pass", "--json", "--socks5", &tap.address];
        let mut watch = Running::start(&mut site.machine.command("porchlight", &words));
        tokio::task::block_in_place(|| watch.hear_event("connected"));
        running.push(watch);
        taps.push(tap);
    }
    let callers = (0..CALLERS).map(|_| site.caller()).collect();
    (Place { nth, site, taps, callers, known: Mutex::default() }, running)
}

/// What has to be the same at every beat is the same at every beat.
fn are_alike(seen: &[Seen]) {
    let model = seen.iter().find(|sample| sample.kind == Kind::Idle).unwrap();
    let kinds = |kind: Kind| -> BTreeSet<&String> {
        let of_kind = seen.iter().filter(|sample| sample.kind == kind).flat_map(|sample| &sample.requests);
        // The notice is looked at once in some minutes, whoever has what to do: whether that falls into a sample is chance.
        of_kind.filter(|request| !request.starts_with("GET v1/notice")).collect()
    };
    assert_eq!(kinds(Kind::Busy), kinds(Kind::Idle), "requests");
    for sample in seen {
        assert_eq!(sample.posted, model.posted, "bundles of a device that is {:?}", sample.kind);
        // Of other records what is equal cannot be said in lengths: every request of a desk has a token in its head, random bytes that pack
        // into more or fewer, and a page of its lane has as many groups of eight cells as came from whomever (SPEC §14). Both are the
        // classifiers'.
        assert_eq!(sample.alone, model.alone, "records with bundles of a device that is {:?}", sample.kind);
    }
    println!("of {BEATS} beats: records of bundles alone {:?}", model.alone);
    println!("of {BEATS} beats: {:#?}", kinds(Kind::Idle));
}

/// Leaves out the stretches in which the lead handed in the next day's statement, at six in UTC: that is done in public and once a day,
/// whoever has what to do, and one stretch may end and another begin while it is.
fn leave_out_statements(seen: &mut Vec<Seen>) {
    let all = seen.len();
    seen.retain(|sample| !sample.requests.iter().any(|request| request.starts_with("PUT v1/desk/roster")));
    println!("statements were handed in during {} stretches", all - seen.len());
    assert!(all - seen.len() <= 2, "statements are handed in once a day");
}

/// When bundles went.
fn say_gaps(seen: &[Vec<Seen>]) {
    for kind in [Kind::Idle, Kind::Busy] {
        let mut gaps: Vec<f64> =
            seen.iter().flatten().filter(|sample| sample.kind == kind).flat_map(|sample| sample.gaps.clone()).collect();
        gaps.sort_by(f64::total_cmp);
        let part = |share: usize| gaps[(gaps.len() - 1) * share / 100];
        println!(
            "{kind:?}: {} gaps of bundles, ms: {:.1} least, {:.1} {:.1} {:.1} {:.1} {:.1} at 5, 25, 50, 75, 95 %, {:.1} most",
            gaps.len(),
            part(0),
            part(5),
            part(25),
            part(50),
            part(75),
            part(95),
            part(100)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_desk_and_an_idle_one_look_the_same() {
    let mut rng = texts::rng("shape of desks");
    let wanted = samples_wanted();
    let (mut places, mut running) = (Vec::new(), Vec::new());
    let lines = if wanted >= MANY && beat_ms() >= JUDGED_FROM_MS { SLOW_LINES } else { lines_for(wanted) };
    for nth in 0..lines {
        let (place, programs) = place(nth).await;
        places.push(place);
        running.extend(programs);
    }
    none_is_told_apart(wanted, || judged(&places, wanted, &mut rng));
}

/// Takes samples, and says where and by what a busy desk is told apart.
fn judged(places: &[Place], wanted: usize, rng: &mut ChaCha20Rng) -> Vec<String> {
    let began = Instant::now();
    let mut seen = tokio::task::block_in_place(|| at_each(places, wanted, Place::all_samples));
    super::say_how_long(began.elapsed(), wanted);
    places.iter().for_each(Place::was_busy);
    let mut verdict = Verdict::default();
    for of_one in &mut seen {
        leave_out_statements(of_one);
        verdict.hold(|| are_alike(of_one));
        centre(of_one, |sample| sample.kind != Kind::Leaks, |sample| &mut sample.wire);
        centre(of_one, |sample| sample.kind != Kind::Leaks, |sample| &mut sample.relay);
    }
    say_gaps(&seen);
    let seen: Vec<Seen> = seen.into_iter().flatten().collect();
    let mut told = Vec::new();
    for (of, measure) in
        [("at the wire", (|sample| &sample.wire) as fn(&Seen) -> &Sample), ("at the relay", |sample| &sample.relay)]
    {
        let mut compared = |other: Kind| {
            let [ones, others] = [Kind::Idle, other].map(|kind| -> Vec<Sample> {
                seen.iter().filter(|sample| sample.kind == kind).map(|sample| measure(sample).clone()).collect()
            });
            let odds = odds(&ones, &others, rng);
            odds.say(&format!("{of}, {} × Idle against {} × {other:?}", ones.len(), others.len()));
            odds
        };
        compared(Kind::Leaks).is_plain(of);
        let found = compared(Kind::Busy);
        if found.tell() {
            told.push(format!("a busy desk {of} by {}", found.gap_of));
        } else {
            verdict.hold(|| found.is_bounded(&format!("a busy desk {of}")));
        }
    }
    verdict.pronounce();
    told
}
