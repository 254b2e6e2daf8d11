//! Three callers and a desk on one relay: what is written arrives once, in order, to the byte.

use rand_chacha::ChaCha20Rng;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

use crate::site::{Caller, Plan, Site, text};
use crate::texts;

/// Letters each way, of all callers together.
const LETTERS: usize = 60;
const CALLERS: usize = 3;
/// Letters in one visit, as `caller write` takes them.
const A_VISIT: usize = 5;

fn nfc(text: &str) -> String {
    text.nfc().collect()
}

/// One caller's share: short ones, as people's mostly are, and `long` between them, each followed by short ones.
fn drawn(rng: &mut ChaCha20Rng, long: &[usize]) -> Vec<String> {
    let mut texts: Vec<String> = (0..LETTERS / CALLERS - long.len()).map(|_| texts::draw(rng, 400)).collect();
    for (at, length) in long.iter().enumerate() {
        texts.insert(2 + 5 * at, "쌀".repeat(*length));
    }
    texts
}

/// She writes in one visit, and is shown what the page before it was closed too early for.
fn write(caller: &Caller, letters: &[String]) -> Vec<(u64, String)> {
    let texts = letters.iter().flat_map(|text| ["--text", text]);
    let words: Vec<&str> = ["caller", "write", "--fast-beats", "--wait", "90s"].into_iter().chain(texts).collect();
    let ran = caller.run(&words).ends(0);
    let seqs = |name: &str| ran.events(name).iter().map(|event| event["seq"].as_u64().unwrap()).collect::<Vec<_>>();
    let all: Vec<u64> = (1..).take(letters.len()).collect();
    let mut receipted = seqs("receipt");
    receipted.sort_unstable();
    assert_eq!((seqs("in_box"), receipted), (all.clone(), all), "each once");
    shown(&ran.objects())
}

/// She keeps a page open while the desk answers, and gives back what it showed.
fn read(caller: &Caller, site: &Site, answers: &[String]) -> Vec<(u64, String)> {
    let mut page = caller.start(&["caller", "read", "--fast-beats", "--wait", "90s"]);
    page.hear_event("opened");
    for answer in answers {
        let words = ["desk", "answer", &caller.id, "--text", "-", "--dir", "desk", "--passphrase-file", "pass", "--json"];
        let ran = site.machine.run_with(&words, answer.as_bytes()).ends(0);
        let answered = ran.events("answered").remove(0);
        assert_eq!(answered["state"], "with_the_relay");
        assert!(answered["readable_from"].as_u64().is_some(), "{answered}");
    }
    assert!(page.ended().success());
    shown(&page.rest())
}

/// Letters and answers in turn, as in a conversation: several visits, and a page for each few answers.
fn converse(caller: &Caller, site: &Site, letters: &[String], answers: &[String]) -> Vec<(u64, String)> {
    let mut read_so_far: Vec<(u64, String)> = Vec::new();
    // Across visits she may be shown again what the desk had not heard she had read.
    let mut note = |read: Vec<(u64, String)>| {
        let new: Vec<_> = read.into_iter().filter(|(n, _)| read_so_far.iter().all(|(known, _)| known != n)).collect();
        read_so_far.extend(new);
        read_so_far.len()
    };
    for (letters, answers) in letters.chunks(A_VISIT).zip(answers.chunks(A_VISIT)) {
        note(write(caller, letters));
        note(read(caller, site, answers));
    }
    for _ in 0..60 {
        if note(Vec::new()) >= answers.len() {
            break;
        }
        // What came too late for the page is on the carousel.
        note(shown(&caller.run(&["caller", "read", "--fast-beats", "--wait", "5s"]).objects()));
    }
    read_so_far.sort_unstable();
    read_so_far
}

/// The answers of one visit as they were printed: none twice. An answer waits for those before it only so long, so where a
/// beat was missed a later one may be first; the order has tests of its own in `proto`, where time is given.
fn shown(events: &[Value]) -> Vec<(u64, String)> {
    let answers = events.iter().filter(|event| event["event"] == "answer");
    let shown: Vec<(u64, String)> =
        answers.map(|event| (event["n"].as_u64().unwrap(), text(&event["text"]).to_owned())).collect();
    let mut numbers: Vec<u64> = shown.iter().map(|(n, _)| *n).collect();
    numbers.sort_unstable();
    assert!(numbers.is_sorted_by(|one, next| one < next), "twice in one visit: {numbers:?}");
    shown
}

#[test]
fn three_callers_and_a_desk_exchange_sixty_letters_each_way() {
    let mut rng = texts::rng("sixty");
    let (site, _relay) = Site::published(Plan::default());
    let mut watch = site.watch();
    let stories: Vec<(Caller, Vec<String>, Vec<String>)> = [[4_000, 3_500, 3_000], [3_900, 2_000, 1_000], [3_200, 1_500, 800]]
        .map(|long| (site.caller(), drawn(&mut rng, &long), drawn(&mut rng, &long)))
        .into_iter()
        .collect();
    std::thread::scope(|scope| {
        for (caller, letters, answers) in &stories {
            let site = &site;
            scope.spawn(move || {
                let read = converse(caller, site, letters, answers);
                let shown: Vec<String> = site.letters(caller).iter().map(|letter| text(&letter["text"]).to_owned()).collect();
                assert_eq!(shown, letters.iter().map(|text| nfc(text)).collect::<Vec<_>>(), "at the desk");
                let wanted: Vec<(u64, String)> = (1..).zip(answers.iter().map(|text| nfc(text))).collect();
                assert_eq!(read, wanted, "at the caller's");
            });
        }
    });
    // Also of those that a `desk answer` beside it was the first to fetch.
    (0..LETTERS).for_each(|_| drop(watch.hear_event("letter")));
    watch.signal("TERM");
    assert!(watch.ended().success());
    assert!(watch.rest().iter().all(|event| event["event"] != "letter"), "the watch tells of each letter once");
}
