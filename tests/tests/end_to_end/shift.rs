//! A scripted night: forty callers, three desks on watch, two hand-overs, and a laptop that is lost in the middle. Nothing is
//! lost, nothing is shown twice in a visit, and in the morning those who are left hold one board.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use unicode_normalization::UnicodeNormalization;

use crate::site::{Caller, PATIENCE, Plan, Ran, Running, Site, check_words, text};
use crate::texts;

const CALLERS: usize = 40;
/// Callers whose programs run at a time.
const AT_ONCE: usize = 8;
const DESKS: [&str; 3] = ["desk", "second", "third"];
/// Who is who: somebody two workers write to at once; one who wants no answer, and one who is answered all the same; one who
/// writes about a worker; a room opened under duress, and whose it is; one who lost her words, and herself again; and one who
/// takes back what she wrote.
const BOTH: usize = 0;
const QUIET: usize = 5;
const QUIET_ANSWERED: usize = 19;
const PAST_THE_DESK: usize = 7;
const THREATENED: usize = 8;
const ROOM: usize = 9;
const LOST: usize = 10;
const AGAIN: usize = 11;
const TOOK_BACK: usize = 12;
const FROM_THE_LOST_ONE: &str = "from the lost one";

/// A caller, what is owed to her and what she has read.
struct Person {
    at: usize,
    caller: Caller,
    drawn: Vec<String>,
    wrote: Vec<String>,
    answers: Vec<String>,
    read: BTreeMap<String, String>,
}

impl Person {
    fn id(&self) -> &str {
        &self.caller.id
    }
    /// What one visit showed: nothing twice, and one text for one id whenever it is shown.
    fn take(&mut self, ran: &[serde_json::Value]) {
        let mut seen = Vec::new();
        for answer in ran.iter().filter(|event| event["event"] == "answer") {
            let (id, text) = (text(&answer["id"]).to_owned(), text(&answer["text"]).to_owned());
            assert!(!seen.contains(&id), "shown twice in one visit: {answer}");
            assert_ne!(text, FROM_THE_LOST_ONE);
            seen.push(id.clone());
            assert_eq!(*self.read.entry(id).or_insert_with(|| text.clone()), text, "one id, one text");
        }
    }
    /// One letter, until its receipt.
    fn writes(&mut self, more: &[&str]) -> Ran {
        let letter = self.drawn.pop().unwrap();
        let status = ["safe", "help", "moving", "talk"][self.at % 4];
        let next: &[&str] = if self.at.is_multiple_of(5) { &["--next", "8h"] } else { &[] };
        let relative: &[&str] = if self.at % 6 == 4 { &["--relative"] } else { &[] };
        let words = ["caller", "checkin", "--status", status, "--text", &letter, "--wait", "300s"];
        let ran = self.caller.run(&[&words, more, next, relative].concat()).ends(0);
        self.take(&ran.objects());
        self.wrote.push(letter.nfc().collect());
        ran
    }
    /// Opens a page, is answered from a desk, and reads until the page ends.
    fn is_answered(&mut self, site: &Site, dir: &str, more: &[&str]) {
        let answer = format!("{} {}", self.drawn.pop().unwrap().trim(), self.answers.len());
        let mut page = self.caller.start(&["caller", "read", "--wait", "180s"]);
        page.hear_event("opened");
        let words = ["desk", "answer", &self.caller.id, "--text", &answer, "--wait", "0s"];
        let answered = heard(|| site.at(dir, &[&words, more].concat()));
        assert!(matches!(answered.code, Some(0 | 5)), "{answered:?}");
        assert_eq!(answered.events("answered").len(), 1, "{answered:?}");
        let answer: String = answer.nfc().collect();
        let mut shown = Vec::new();
        while shown.last().is_none_or(|event: &serde_json::Value| event["text"] != answer.as_str()) {
            shown.push(page.hear_event("answer"));
        }
        assert!(page.ended().success());
        shown.extend(page.rest());
        self.take(&shown);
        self.answers.push(answer);
    }
    /// What was answered while she was away.
    fn reads_the_rest(&mut self) {
        let until = Instant::now() + PATIENCE;
        while self.read.len() < self.answers.len() {
            assert!(Instant::now() < until, "{} read {:?} of {:?}", self.id(), self.read, self.answers);
            let ran = self.caller.run(&["caller", "read", "--wait", "3s"]);
            self.take(&ran.objects());
        }
        let (mut read, mut owed) = (self.read.values().cloned().collect::<Vec<_>>(), self.answers.clone());
        read.sort();
        owed.sort();
        assert_eq!(read, owed, "answers to {}", self.id());
    }
}

/// A verb about a caller of whom that desk may not have heard yet: it says so until it has.
fn heard(verb: impl Fn() -> Ran) -> Ran {
    let until = Instant::now() + PATIENCE;
    loop {
        let ran = verb();
        if ran.code != Some(1) || Instant::now() > until {
            return ran;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A colleague's deed takes some beats.
fn until_so(what: &str, so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < until, "never so: {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The same for all of these people, some of them at a time.
fn each(people: &mut [Person], who: impl Fn(usize) -> bool, deed: impl Fn(&mut Person) + Sync) {
    let mut chosen: Vec<&mut Person> = people.iter_mut().filter(|person| who(person.at)).collect();
    let share = chosen.len().div_ceil(AT_ONCE).max(1);
    std::thread::scope(|scope| {
        let lanes: Vec<_> =
            chosen.chunks_mut(share).map(|lane| scope.spawn(|| lane.iter_mut().for_each(|person| deed(person)))).collect();
        lanes.into_iter().for_each(|lane| lane.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause)));
    });
}

/// The line, its desks on watch, and how long the night has been.
struct Night {
    site: Site,
    devices: HashMap<&'static str, String>,
    began: Instant,
}

impl Night {
    fn say(&self, what: &str) {
        println!("{:>6} ms  {what}", self.began.elapsed().as_millis());
    }
    fn rows(&self, dir: &str) -> Vec<serde_json::Value> {
        self.site.at(dir, &["desk", "list"]).ends(0).objects()
    }
    fn row(&self, dir: &str, id: &str) -> serde_json::Value {
        self.rows(dir).into_iter().find(|row| row["id"] == id).unwrap_or_default()
    }
    /// The end of a shift: everybody whom `from` has is handed over, accepted, and only then may it go.
    fn hands_over(&self, from: &str, to: &str) -> usize {
        let (giver, taker) = (&self.devices[from], &self.devices[to]);
        let held: Vec<String> =
            self.rows(from).iter().filter(|row| row["claimed_by"] == **giver).map(|row| text(&row["id"]).to_owned()).collect();
        assert!(!held.is_empty());
        self.site.at(from, &["desk", "off"]).ends(5);
        for id in &held {
            let words = ["desk", "hand-over", id, "--to", taker, "--situation", "잘 있음", "--next-step", "아침에 보기"];
            self.site.at(from, &words).ends(0);
        }
        until_so("handed over", || self.rows(to).iter().filter(|row| row["hand_over"]["to"] == **taker).count() == held.len());
        for id in &held {
            self.site.at(to, &["desk", "accept", id]).ends(0);
        }
        until_so("let go", || self.rows(from).iter().all(|row| row["claimed_by"] != **giver));
        self.site.at(from, &["desk", "off"]).ends(0);
        held.len()
    }
}

/// A person outside the team, as the safeguarding story has it in full.
fn safeguarding(site: &Site) -> Running {
    let request = site.at("safe", &["safeguard", "join"]).ends(0).events("request").remove(0);
    let words = check_words(&request);
    let admit = ["desk", "admit", text(&request["request"]), "--words", &words, "--safeguarding", "--out", "mailbox"];
    let admitted = site.desk(&admit).ends(0).events("admitted").remove(0);
    let words = check_words(&admitted);
    site.at("safe", &["safeguard", "join", "--admission", "mailbox", "--words", &words]).ends(0);
    let watch = ["safeguard", "watch", "--dir", "safe", "--passphrase-file", "pass", "--json"];
    let mut watch = Running::start(&mut site.machine.command("porchlight", &watch));
    watch.hear_event("connected");
    watch
}

fn evening(night: &Night, people: &mut [Person]) {
    each(
        people,
        |at| at != AGAIN,
        |person| {
            if person.at == PAST_THE_DESK {
                person.caller.run(&["caller", "write", "--safeguarding", "--text", "그 사람이 나를 때렸어요"]).ends(0);
            }
            let quiet = person.at == QUIET || person.at == QUIET_ANSWERED;
            person.writes(if quiet { &["--quiet"] } else { &[] });
            if person.at == TOOK_BACK {
                let ran = person.caller.run(&["caller", "withdraw", "--all", "--wait", "180s"]).ends(0);
                person.take(&ran.objects());
                person.wrote.clear();
            }
            let dir = DESKS[person.at % 3];
            let id = person.caller.id.clone();
            let at = |words: &[&str]| heard(|| night.site.at(dir, words)).ends(0);
            // Each verb of a desk stretches its passphrase: not everybody has to be claimed for a night to be one.
            if person.at % 3 == 2 || person.at.is_multiple_of(8) || person.at == ROOM {
                at(&["desk", "claim", &id]);
            }
            if person.at.is_multiple_of(8) {
                at(&["desk", "note", &id, "--text", "집 앞 가게를 압니다"]);
            }
            match person.at {
                QUIET => drop(night.site.at(dir, &["desk", "answer", &id, "--text", "no", "--wait", "0s"]).ends(5)),
                QUIET_ANSWERED => person.is_answered(&night.site, dir, &["--although-quiet"]),
                // Both are in the middle of it: see `both_write`.
                BOTH => {}
                _ => person.is_answered(&night.site, dir, &[]),
            }
        },
    );
}

/// Two workers at one letter: the second is told before anything is sent.
fn both_write(night: &Night, her: &mut Person) {
    let id = her.caller.id.clone();
    heard(|| night.site.at("second", &["desk", "compose", &id])).ends(0);
    until_so("composing", || night.row("desk", &id)["composing"][0]["device"] == *night.devices["second"]);
    night.site.desk(&["desk", "answer", &id, "--text", "at the same time", "--wait", "0s"]).ends(5);
    night.site.at("second", &["desk", "compose", &id, "--done"]).ends(0);
    until_so("done composing", || night.row("desk", &id)["composing"].as_array().is_some_and(Vec::is_empty));
    her.is_answered(&night.site, "desk", &[]);
}

/// What two workers must want: one proposes, another agrees.
fn agreed(night: &Night, words: &[&str]) {
    let proposed = heard(|| night.site.desk(&[&["desk", "propose"], words].concat())).ends(0);
    let name = text(&proposed.events("proposed")[0]["proposal"]).to_owned();
    night.site.desk(&["desk", "agree", &name]).ends(5);
    heard(|| night.site.at("second", &["desk", "agree", &name])).ends(0);
    until_so("agreed", || {
        let carried = night.site.desk(&["desk", "proposals"]).ends(0).objects();
        carried.iter().all(|proposal| proposal["proposal"] != name.as_str() || proposal["state"] == "carried")
    });
}

/// The third laptop is lost: it learns nothing more, and nobody believes what it says.
fn lost_laptop(night: &Night, her: &Person) -> String {
    night.site.desk(&["line", "revoke", &night.devices["third"]]).ends(0);
    let before = night.site.at("third", &["desk", "list"]).ends(0).stdout;
    let tried = night.site.at("third", &["desk", "answer", her.id(), "--text", FROM_THE_LOST_ONE, "--wait", "2s"]);
    assert!(matches!(tried.code, Some(3 | 5)), "{tried:?}");
    before
}

/// In the morning two desks hold one board, with every letter and every answer once, and the third knows nothing of the night.
fn morning(night: &Night, people: &[Person]) {
    let board = |dir| night.site.at(dir, &["desk", "list"]).ends(0).stdout;
    until_so("one board", || board("desk") == board("second"));
    assert_eq!(night.rows("desk").len(), CALLERS - 1, "two rows are one");
    for dir in ["desk", "second"] {
        // The list is the same and counts what there is: the second desk's threads need not all be read.
        for person in people.iter().filter(|person| dir == "desk" || person.at % 4 < 1 || [LOST, TOOK_BACK].contains(&person.at))
        {
            let one_row = |other: &&Person| [LOST, AGAIN].contains(&person.at) && [LOST, AGAIN].contains(&other.at);
            let whole: Vec<&Person> = people.iter().filter(|other| other.at == person.at || one_row(other)).collect();
            let shown = night.site.at(dir, &["desk", "show", person.id()]).ends(0).objects();
            let of = |kind: &str| -> Vec<String> {
                let items = shown.iter().filter(|item| item["kind"] == kind && item["state"] != "withdrawn");
                let mut texts: Vec<String> =
                    items.filter(|item| item["withdraws"] != true).map(|item| text(&item["text"]).to_owned()).collect();
                texts.sort();
                texts
            };
            let sorted = |mut texts: Vec<String>| {
                texts.sort();
                texts
            };
            let letters = whole.iter().flat_map(|person| person.wrote.clone()).collect();
            assert_eq!(of("letter"), sorted(letters), "letters of {} at {dir}", person.at);
            let answers = whole.iter().flat_map(|person| person.answers.clone()).collect();
            assert_eq!(of("answer"), sorted(answers), "answers to {} at {dir}", person.at);
        }
    }
}

#[test]
fn a_night_of_forty_callers_two_hand_overs_and_a_lost_laptop() {
    let mut rng = texts::rng("shift");
    let (site, _relay) = Site::published(Plan::default());
    site.join("second");
    site.join("third");
    let mut mailbox = safeguarding(&site);
    let device = |dir: &&'static str| (*dir, text(&site.at(dir, &["line", "show"]).objects()[0]["device"]).to_owned());
    let devices = DESKS.iter().map(device).collect();
    let night = Night { site, devices, began: Instant::now() };
    let mut watches: Vec<Running> = DESKS.iter().map(|dir| night.site.watch_in(dir)).collect();
    let mut people: Vec<Person> = (0..CALLERS)
        .map(|at| Person {
            at,
            caller: night.site.caller(),
            drawn: (0..6).map(|_| texts::draw(&mut rng, 120)).collect(),
            wrote: Vec::new(),
            answers: Vec::new(),
            read: BTreeMap::new(),
        })
        .collect();
    for (dir, from, until) in [("desk", "now", "8h"), ("third", "now", "4h"), ("second", "4h", "16h")] {
        night.site.desk(&["desk", "shift", "--device", &night.devices[dir], "--from", from, "--until", until]).ends(0);
    }
    let rota = |dir| night.site.at(dir, &["desk", "rota"]).ends(0).objects().remove(0);
    until_so("one rota", || rota("second")["on"].as_array().is_some_and(|on| on.len() == 2));
    night.say("three desks are on watch, a rota, and forty callers with cards");

    evening(&night, &mut people);
    both_write(&night, &mut people[BOTH]);
    let [lost, threatened, room] = [LOST, THREATENED, ROOM].map(|at| people[at].caller.id.clone());
    let ask = ["desk", "question", &lost, "--question", "what grew by the door", "--answer", "a pear"];
    heard(|| night.site.desk(&ask)).ends(0);
    heard(|| night.site.desk(&["desk", "wish", &threatened, "--text", "ask her sister"])).ends(0);
    agreed(&night, &[&threatened, "--fulfil"]);
    // She has opened that room once, to be taught: from now on it stands for danger, and is nobody's to sit on.
    heard(|| night.site.desk(&["desk", "duress", &room, "--of", &threatened])).ends(0);
    heard(|| night.site.desk(&["desk", "release", &room])).ends(0);
    night.say("thirty-nine have written, were claimed and are answered; one wants none, one took it back");

    let handed = night.hands_over("third", "second");
    night.say(&format!("the third hands {handed} over to the second, who accepts each"));

    let before = lost_laptop(&night, &people[1]);
    night.say("the third laptop is lost, and revoked");

    // Some come again, one with new words, and one room is opened that should not be.
    each(
        &mut people,
        |at| at % 4 == 1 || at == AGAIN,
        |person| {
            person.writes(&[]);
            if person.at == ROOM {
                return;
            }
            let dir = ["desk", "second"][person.at % 2];
            person.is_answered(&night.site, dir, &["--although-quiet"]);
        },
    );
    let again = people[AGAIN].caller.id.clone();
    until_so("duress", || night.rows("second").first().is_some_and(|row| row["urgency"] == "duress_unclaimed"));
    agreed(&night, &[&again, "--join", &lost, "--why", "she knew the pear"]);
    night.say("eleven came again; a duress room comes first; she who lost her words is one row again");

    let handed = night.hands_over("second", "desk");
    night.say(&format!("the second hands {handed} over to the first"));

    // Answers while nobody is there wait on the carousel.
    for at in [2, 3, 14, 15] {
        let (answer, id) = (format!("see you {at}"), people[at].caller.id.clone());
        let dir = ["desk", "second"][at % 2];
        let ran = heard(|| night.site.at(dir, &["desk", "answer", &id, "--text", &answer, "--wait", "0s"]));
        assert_eq!(ran.events("answered").len(), 1, "{ran:?}");
        people[at].answers.push(answer);
    }
    each(&mut people, |_| true, Person::reads_the_rest);
    night.say("everybody has read what was answered");

    morning(&night, &people);
    // Their word counted for nothing, and nothing came to them.
    let third = night.site.at("third", &["desk", "list"]).ends(0);
    let shown = night.site.at("third", &["line", "show"]).ends(0);
    assert!(shown.stderr.contains("revoked"), "{}", shown.stderr);
    let letters = |board: &str| -> Vec<(String, u64)> {
        let rows: Vec<serde_json::Value> = board.lines().map(crate::site::object).collect();
        let mut rows: Vec<_> = rows.iter().map(|row| (text(&row["id"]).to_owned(), row["letters"].as_u64().unwrap())).collect();
        rows.sort();
        rows
    };
    assert_eq!(letters(&third.stdout), letters(&before), "letters of the night at the lost laptop");
    night.site.at("third", &["desk", "sync", "--wait", "20s"]).ends(3);
    // One letter went past the desk, and is nobody's business there.
    let told = text(&mailbox.hear_event("letter")["id"]).to_owned();
    let shown = night.site.at("safe", &["safeguard", "show", &told]).ends(0);
    assert!(shown.stdout.contains("때렸어요") && !people.iter().any(|person| person.caller.id == told));
    for watch in watches.iter_mut().take(2) {
        watch.signal("TERM");
        assert!(watch.ended().success());
    }
    night.say("one board, every letter and every answer once");
}
