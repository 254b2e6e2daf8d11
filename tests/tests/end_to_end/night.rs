//! Three desks and five callers, while relay and desks are killed: nothing lost, nothing shown twice, one board.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rand_core::Rng;
use unicode_normalization::UnicodeNormalization;

use crate::site::{Caller, Plan, Ran, Running, Site, text};
use crate::texts;

const CALLERS: usize = 5;
/// Letters of each caller, and answers to each: two hundred together, or as many as `PORCHLIGHT_LETTERS` says.
const EACH: usize = 20;
/// Letters in one visit.
const A_VISIT: usize = 5;
const KILLS: usize = 20;
const DESKS: [&str; 3] = ["desk", "second", "third"];

/// Everything that can be killed, and what is killed next.
struct Night<'a> {
    site: &'a Site,
    relay: Mutex<Running>,
    watches: Vec<Mutex<Running>>,
    log: Mutex<Vec<String>>,
    began: Instant,
}

impl Night<'_> {
    fn note(&self, what: String) {
        self.log.lock().unwrap().push(format!("{} ms {what}", self.began.elapsed().as_millis()));
    }
    fn kill(&self, which: usize) {
        if which == DESKS.len() {
            let mut relay = self.relay.lock().unwrap();
            relay.signal("KILL");
            relay.ended();
            *relay = self.site.relay();
            return self.note("relay killed -9, and back".to_owned());
        }
        let mut watch = self.watches[which].lock().unwrap();
        watch.signal("KILL");
        watch.ended();
        *watch = self.site.watching(DESKS[which]);
        self.note(format!("{} killed -9, and back", DESKS[which]));
    }
}

/// One caller's night: some letters in a visit, some answers to them from whichever desk, and so on; then she reads what is left.
fn story(night: &Night<'_>, caller: &Caller, letters: &[String], answers: &[String], turn: usize) -> BTreeMap<String, String> {
    let mut read = BTreeMap::new();
    let mut take = |ran: &Ran| {
        let mut seen = Vec::new();
        for answer in ran.events("answer") {
            // By its id: desks that write at once may give the same number.
            let id = text(&answer["id"]).to_owned();
            assert!(!seen.contains(&id), "shown twice in one visit: {id}");
            seen.push(id.clone());
            let text = text(&answer["text"]).to_owned();
            assert_eq!(*read.entry(id).or_insert_with(|| text.clone()), text, "one id, one text");
        }
        read.len()
    };
    for (visit, (letters, answers)) in letters.chunks(A_VISIT).zip(answers.chunks(A_VISIT)).enumerate() {
        night.note(format!("{} writes {} letters", &caller.id[..4], letters.len()));
        let texts = letters.iter().flat_map(|text| ["--text", text]);
        let line: Vec<&str> = ["caller", "write", "--fast-beats", "--wait", "180s"].into_iter().chain(texts).collect();
        let mut ran = caller.run(&line);
        while ran.code == Some(3) && ran.events("opened").is_empty() {
            // The relay was down just then, as it says; nothing has left her.
            night.note(format!("{} found no relay, and tries again", &caller.id[..4]));
            ran = caller.run(&line);
        }
        take(&ran.ends(0));
        for (k, answer) in answers.iter().enumerate() {
            // Whose turn it is: desks write beside their own watches. One that has not heard of her yet says so.
            let dir = DESKS[(turn + visit + k) % DESKS.len()];
            night.note(format!("{dir} answers {}", &caller.id[..4]));
            let answered = (0..300).any(|_| {
                let ran = night.site.at(dir, &["desk", "answer", &caller.id, "--text", answer, "--wait", "0s"]);
                let unheard = ran.code == Some(1);
                assert!(unheard || matches!(ran.code, Some(0 | 3 | 5)), "{ran:?}");
                if unheard {
                    std::thread::sleep(Duration::from_millis(200));
                }
                !unheard
            });
            assert!(answered, "{dir} never heard of her");
        }
    }
    for _ in 0..60 {
        if take(&caller.run(&["caller", "read", "--fast-beats", "--wait", "5s"])) >= answers.len() {
            break;
        }
    }
    read
}

#[test]
fn three_desks_and_five_callers_lose_nothing_while_everything_is_killed() {
    let mut rng = texts::rng("night");
    let (site, relay) = Site::published(Plan::default());
    for dir in &DESKS[1..] {
        site.join(dir);
    }
    let night = Night {
        site: &site,
        relay: Mutex::new(relay),
        watches: DESKS.iter().map(|dir| Mutex::new(site.watch_in(dir))).collect(),
        log: Mutex::new(Vec::new()),
        began: Instant::now(),
    };
    let each = std::env::var("PORCHLIGHT_LETTERS").ok().and_then(|each| each.parse().ok()).unwrap_or(EACH);
    let mut draw = || (0..each).map(|_| texts::draw(&mut rng, 200)).collect::<Vec<_>>();
    let stories: Vec<(Caller, Vec<String>, Vec<String>)> = (0..CALLERS).map(|_| (site.caller(), draw(), draw())).collect();
    let plan: Vec<(u64, usize)> =
        (0..KILLS).map(|_| (500 + u64::from(rng.next_u32() % 2500), rng.next_u32() as usize % (DESKS.len() + 1))).collect();
    let nfc = |texts: &[String]| texts.iter().map(|text| text.nfc().collect::<String>()).collect::<Vec<_>>();
    std::thread::scope(|scope| {
        let told: Vec<_> = stories
            .iter()
            .enumerate()
            .map(|(turn, (caller, letters, answers))| {
                let night = &night;
                scope.spawn(move || story(night, caller, letters, answers, turn))
            })
            .collect();
        let killer = scope.spawn(|| {
            for (pause, which) in &plan {
                std::thread::sleep(Duration::from_millis(*pause));
                night.kill(*which);
            }
        });
        let read: Vec<_> = told.into_iter().map(|told| told.join()).collect();
        killer.join().unwrap();
        // Several to a line: where only so many lines of a failure are kept, its cause must be among them.
        night.log.lock().unwrap().chunks(6).for_each(|row| println!("{}", row.join(" · ")));
        for (watch, dir) in night.watches.iter().zip(DESKS) {
            assert!(watch.lock().unwrap().runs(), "the watch of {dir} has ended");
        }
        for ((caller, _, answers), read) in stories.iter().zip(read) {
            let read = read.unwrap_or_else(|cause| std::panic::resume_unwind(cause));
            // Three desks write at once, each with the number it thinks is next: the texts are what she is owed.
            let texts: Vec<String> = read.into_values().collect();
            let missing: Vec<_> = nfc(answers).into_iter().enumerate().filter(|(_, text)| !texts.contains(text)).collect();
            assert_eq!((missing, texts.len()), (Vec::new(), answers.len()), "answers to {}", caller.id);
        }
    });
    let boards = || DESKS.map(|dir| site.at(dir, &["desk", "list"]).ends(0).stdout);
    let until = Instant::now() + Duration::from_secs(120);
    let mut latest = boards();
    while latest.iter().any(|board| *board != latest[0]) && Instant::now() < until {
        std::thread::sleep(Duration::from_secs(1));
        latest = boards();
    }
    assert_eq!(latest[0], latest[1]);
    assert_eq!(latest[0], latest[2]);
    for (caller, letters, answers) in &stories {
        for dir in DESKS {
            let shown = site.at(dir, &["desk", "show", &caller.id]).ends(0).objects();
            let of = |kind: &str| -> Vec<String> {
                shown.iter().filter(|item| item["kind"] == kind).map(|item| text(&item["text"]).to_owned()).collect()
            };
            assert_eq!(of("letter"), nfc(letters), "letters at {dir}");
            let (mut held, mut wanted) = (of("answer"), nfc(answers));
            held.sort();
            wanted.sort();
            assert_eq!(held, wanted, "answers at {dir}");
        }
    }
}
