//! Connections are reset after each record there can be: every letter and every answer arrives once all the same.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rand_core::Rng;
use serde_json::Value;

use crate::proxy::{Proxy, Reset};
use crate::site::{Caller, Plan, Ran, Site, text};
use crate::texts;

/// Visits at once.
const AT_ONCE: usize = 4;

/// Letters of one caller, at most: a desk holds sixteen of somebody nobody has dealt with.
const OF_ONE: usize = 12;

/// In a run of all tests only every so manieth record is tried, from a place that chance gives.
const STRIDE: usize = 9;

/// Every record, for `PORCHLIGHT_EVERY_RECORD`.
fn stride() -> usize {
    if std::env::var_os("PORCHLIGHT_EVERY_RECORD").is_some() { 1 } else { STRIDE }
}

fn through(caller: &Caller, words: &[&str], proxy: &Proxy) -> Ran {
    caller.run(&[words, &["--socks5", &proxy.address()]].concat())
}

/// One letter in a visit whose connection is reset once, and again from the start where nothing had been opened.
fn write(caller: &Caller, letter: &str, proxy: &Proxy) {
    let words = ["caller", "write", "--text", letter, "--wait", "120s"];
    let mut ran = through(caller, &words, proxy);
    if ran.code == Some(3) && ran.events("opened").is_empty() {
        assert_eq!(proxy.resets(), 1, "only a reset keeps her out: {ran:?}");
        ran = through(caller, &words, proxy);
    }
    let ran = ran.ends(0);
    let (in_box, receipts) = (ran.events("in_box").len(), ran.events("receipt").len());
    assert!(in_box <= 1 && receipts == 1, "{ran:?}");
}

/// Reads until these answers were shown, none of them twice in one visit.
pub fn read(caller: &Caller, wanted: &BTreeSet<String>) -> BTreeSet<String> {
    let mut read = BTreeSet::new();
    for _ in 0..60 {
        let ran = caller.run(&["caller", "read", "--wait", "5s"]);
        let answers = ran.events("answer");
        // 3: the time was over before all of the slow track was read.
        assert!(matches!(ran.code, Some(0 | 6)) || ran.code == Some(3) && answers.is_empty(), "{ran:?}");
        let ids: BTreeSet<&str> = answers.iter().map(|answer| text(&answer["id"])).collect();
        assert_eq!(ids.len(), answers.len(), "shown twice: {ran:?}");
        read.extend(answers.iter().map(|answer| text(&answer["text"]).to_owned()));
        if read.is_superset(wanted) {
            break;
        }
    }
    read
}

pub fn shown(site: &Site, caller: &Caller) -> Vec<String> {
    let mut texts: Vec<String> = site.letters(caller).iter().map(|letter| text(&letter["text"]).to_owned()).collect();
    texts.sort();
    texts
}

fn sorted(texts: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut texts: Vec<String> = texts.into_iter().collect();
    texts.sort();
    texts
}

#[test]
#[ignore = "every scene at once runs it"]
pub fn a_visit_that_is_reset_after_any_record_delivers_its_letter_once() {
    let mut rng = texts::rng("resets of a visit");
    let (site, _relay) = Site::published(Plan::default());
    let mut watch = site.watch();
    let first_caller = site.caller();
    let clean = Proxy::new(Reset::Never);
    write(&first_caller, "clean", &clean);
    let records = clean.records();
    let first = 1 + rng.next_u32() as usize % stride();
    let began = Instant::now();
    // A visit that goes well has so many; one that was reset has a second handshake.
    let all: Vec<usize> = (first..=records + records / 4).step_by(stride()).collect();
    let of_one = all.len().div_ceil(AT_ONCE).min(OF_ONE);
    let callers: Vec<(Caller, &[usize])> =
        std::iter::once(first_caller).chain(std::iter::repeat_with(|| site.caller())).zip(all.chunks(of_one)).collect();
    let (next, reset) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let writes = || {
            while let Some((caller, records)) = callers.get(next.fetch_add(1, Ordering::SeqCst)) {
                for record in *records {
                    let proxy = Proxy::new(Reset::Once(*record));
                    write(caller, &format!("letter {record}"), &proxy);
                    reset.fetch_add(proxy.resets(), Ordering::SeqCst);
                }
            }
        };
        (0..AT_ONCE).for_each(|_| drop(scope.spawn(writes)));
    });
    for (number, (caller, records)) in callers.iter().enumerate() {
        let clean = (number == 0).then(|| "clean".to_owned());
        let sent = records.iter().map(|record| format!("letter {record}")).chain(clean);
        assert_eq!(shown(&site, caller), sorted(sent), "at the desk");
    }
    let reset = reset.into_inner();
    println!(
        "a visit has {records} records; {} visits, {reset} of them reset, in {:?}; every letter and answer, none twice (pass: all)",
        all.len(),
        began.elapsed()
    );
    // The visit that was counted may have had to wait longer than others, and then the last records are none of theirs.
    assert!(3 * reset > all.len(), "VOID: hardly any visit was reset");
    for (caller, _) in &callers {
        site.desk(&["desk", "answer", &caller.id, "--text", "one answer", "--wait", "60s"]).ends(0);
        let answer = BTreeSet::from(["one answer".to_owned()]);
        assert_eq!(read(caller, &answer), answer);
    }
    (0..=all.len()).for_each(|_| drop(watch.hear_event("letter")));
    watch.signal("TERM");
    assert!(watch.ended().success());
    assert!(watch.rest().iter().all(|event: &Value| event["event"] != "letter"), "the watch tells of each letter once");
}

/// Connections of a desk are reset after their first record, and each after a few more than the one before it, up to so many.
const LAST_RECORD: usize = 40;

#[test]
#[ignore = "every scene at once runs it"]
pub fn a_desk_whose_connections_are_reset_after_any_record_receives_and_answers_once() {
    let mut rng = texts::rng("resets of a desk");
    let (site, _relay) = Site::published(Plan::default());
    let more = stride();
    let first = 1 + rng.next_u32() as usize % more;
    let proxy = Proxy::new(Reset::Each { first, more, last: LAST_RECORD });
    let mut watch = site.watching_by("desk", &["--socks5", &proxy.address()]);
    let caller = site.caller();
    let began = Instant::now();
    let (mut letters, mut answers) = (Vec::new(), Vec::new());
    while !proxy.is_done() || letters.len() < 2 {
        letters.push(format!("letter {}", letters.len()));
        let letter = &letters[letters.len() - 1];
        let ran = caller.run(&["caller", "write", "--text", letter, "--wait", "120s"]).ends(0);
        assert_eq!(ran.events("receipt").len(), 1);
        watch.hear_event("letter");
        answers.push(format!("answer {}", answers.len()));
        let answer = &answers[answers.len() - 1];
        let ran = site.desk(&["desk", "answer", &caller.id, "--text", answer, "--wait", "60s"]);
        assert!(matches!(ran.code, Some(0 | 5)), "{ran:?}");
        assert!(watch.runs(), "the watch has ended: {}", watch.said());
    }
    println!(
        "{} connections reset, {} letters and answers, in {:?}; each once (pass: all)",
        proxy.resets(),
        letters.len(),
        began.elapsed()
    );
    assert!(proxy.resets() > 2);
    let answers = BTreeSet::from_iter(answers);
    assert_eq!(read(&caller, &answers), answers);
    assert_eq!(shown(&site, &caller), sorted(letters));
    watch.signal("TERM");
    assert!(watch.ended().success());
    assert!(watch.rest().iter().all(|event| event["event"] != "letter"), "the watch tells of each letter once");
}
