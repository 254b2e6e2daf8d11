//! Whatever is wrong, it is said with what to do, in the promised exit code, and nothing is called what it is not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use porchlight_proto::time::Millis;
use porchlight_relay::World;
use porchlight_relay::clock::{BootMillis, Clock, SystemClock};
use porchlight_relay::config::{Mode, Settings};

use unicode_normalization::UnicodeNormalization;

use crate::site::{Caller, Machine, Plan, Ran, Site, program, text};

/// The message, and a hint on the next line.
#[track_caller]
fn says(ran: &Ran, what: &str) {
    assert!(ran.stderr.contains(what), "{}: {}", ran.words, ran.stderr);
    assert!(ran.stderr.starts_with("porchlight: "), "{}: {}", ran.words, ran.stderr);
}

fn words_of(caller: &Caller) -> serde_json::Value {
    caller.run(&["caller", "words"]).ends(0).objects().remove(0)
}

#[test]
fn words_are_read_however_they_are_written_and_no_others() {
    let site = Site::new(Plan::default());
    let caller = site.caller();
    let known = words_of(&caller);
    let list = |language: &str| -> Vec<String> {
        known["words"][language].as_array().unwrap().iter().map(|word| text(word).to_owned()).collect()
    };
    let (ko, en, zh) = (list("ko"), list("en"), list("zh"));
    let mixed: Vec<String> = (0..8).map(|at| [&ko, &en, &zh][at % 3][at].clone()).collect();
    for (name, phrase) in [
        ("NFD", ko.join(" ").nfd().collect::<String>()),
        ("upper case", en.join(" ").to_uppercase()),
        ("mixed languages", mixed.join(" ")),
        ("CRLF and a line each", format!("{}\r\n", en.join("\r\n"))),
        ("much space", format!("\n\n  {}  \n\n", zh.join("\u{3000}"))),
        ("a byte-order mark", format!("\u{feff}{}", ko.join(" "))),
    ] {
        let read =
            caller.machine.run_with(&["caller", "words", "--json", "--card", "card", "--phrase-file", "-"], phrase.as_bytes());
        assert_eq!(read.ends(0).objects()[0]["caller"], known["caller"], "{name}");
    }
    for (name, phrase, code) in [
        ("seven words", en[..7].join(" "), 7),
        ("nine words", format!("{} {}", en.join(" "), en[0]), 7),
        ("unknown words", "xyzzy ".repeat(8), 7),
        ("nothing", String::new(), 7),
        ("no text", "\0\0\0".into(), 7),
    ] {
        caller.machine.write("bad", phrase);
        let ran = caller.machine.run(&["caller", "read", "--card", "card", "--phrase-file", "bad"]).ends(code);
        assert!(ran.stderr.lines().count() >= 2, "{name}: a hint: {}", ran.stderr);
        assert!(!ran.stderr.contains("xyzzy"), "{name}: her words are not repeated: {}", ran.stderr);
    }
}

#[test]
fn cards_of_any_bytes_are_refused_and_whole_ones_survive_mails_and_mouths() {
    let site = Site::new(Plan::default());
    let machine = Machine::new();
    let card = fs::read_to_string(site.machine.path("desk/card.txt")).unwrap();
    let card = card.trim();
    let wrapped: String =
        card.chars().enumerate().flat_map(|(at, c)| (at % 60 == 59).then_some('\n').into_iter().chain([c])).collect();
    for (name, good) in [("lower case", card.to_lowercase()), ("wrapped", wrapped), ("CRLF", format!("{card}\r\n"))] {
        machine.write("card", good);
        let ran = machine.run(&["caller", "new", "--card", "card"]);
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.stderr);
    }
    let half = &card[..card.len() / 2];
    for (name, bad) in [
        ("empty", Vec::new()),
        ("cut", half.as_bytes().to_vec()),
        ("twice", format!("{card}{card}").into_bytes()),
        ("a door", b"https://relay.example/gate".to_vec()),
        ("binary", vec![0xff; 4096]),
        ("nothing behind the name", b"PORCHLIGHT1-".to_vec()),
        ("huge", "PORCHLIGHT1-".bytes().chain(std::iter::repeat_n(b'A', 300_000)).collect()),
    ] {
        machine.write("card", bad);
        let ran = machine.run(&["caller", "new", "--card", "card"]).ends(1);
        assert!(ran.stderr.lines().count() >= 2 && ran.stdout.is_empty(), "{name}: {}", ran.stderr);
    }
}

#[test]
fn a_line_does_not_follow_another_lines_card_nor_lose_its_last_relay() {
    let (site, other) = (Site::new(Plan::default()), Site::new(Plan::default()));
    let words_of = |ran: Ran| {
        let words = ran.ends(0).events("card").remove(0)["check_words"].clone();
        words.as_array().unwrap().iter().map(|word| text(word).to_owned()).collect::<Vec<_>>().join(" ")
    };
    let card_of = |ran: Ran| text(&ran.ends(0).events("card").remove(0)["card"]).to_owned();
    let (before, theirs) = (card_of(site.desk(&["line", "card"])), card_of(other.desk(&["line", "card"])));
    let take = |card: &str, words: &str| site.desk(&["line", "card", "--take", card, "--words", words]);
    let words = words_of(site.desk(&["line", "card"]));
    says(&take(&theirs, &words_of(other.desk(&["line", "card"]))).ends(4), "this card is of another line");
    says(&take("PORCHLIGHT1-AAAA", &words).ends(1), "the card was not copied exactly");
    let to = |words: &[&str]| site.desk(&[&["line", "move"], words].concat());
    says(&to(&["0", "--gone"]).ends(1), "one to eight relays");
    says(&to(&["5", "--gone"]).ends(1), "the line has no relay 5");
    to(&["0"]).ends(1);
    to(&["0", "--to", "http://plain.example"]).ends(1);
    let nine: Vec<String> = (1..=9).flat_map(|nth| ["--gate".to_owned(), format!("gate{nth}")]).collect();
    let nine: Vec<&str> = ["0", "--to", "https://b.example"].into_iter().chain(nine.iter().map(String::as_str)).collect();
    says(&to(&nine).ends(1), "eight gates at most");
    assert_eq!(card_of(site.desk(&["line", "card"])), before);
    let after = card_of(to(&["3", "--to", "https://b.example", "--gate", "abcd1234"]));
    let path = site.machine.path("desk/card.txt");
    let kept = |name: &str| fs::read_to_string(site.machine.path(name)).unwrap().trim().to_owned();
    assert_eq!(kept("desk/card.txt.before"), before);
    assert_eq!(fs::read_to_string(&path).unwrap().trim(), after);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // The root on a card is public: one with relays of somebody else's is of this line, too, and its words are others.
    let forged = {
        let mut card = porchlight_proto::card::Card::parse_text(&before).unwrap();
        card.relays[0].url = "https://elsewhere.example".into();
        card.to_text()
    };
    says(&take(&forged, &words).ends(7), "the check words are others");
    let words = words_of(site.desk(&["line", "card"]));
    assert_eq!(card_of(take(&after, &words)), after);
    let gates = |ran: &Ran, at: usize| ran.events("card").remove(0)["relays"][at]["gates"].clone();
    let old = gates(&to(&["3", "--to", "https://b.example"]).ends(0), 1);
    let new = gates(&to(&["3", "--to", "https://c.example"]).ends(0), 1);
    assert_eq!(old[0], "abcd1234", "at the same address the gates stay");
    assert_ne!(new, old, "at another they do not");
    assert_eq!(card_of(to(&["3", "--gone"])), before);
    assert_eq!(kept("desk/card.txt.before"), before, "the first one stays");
    site.desk(&["desk", "burn", "--really"]).ends(0);
    assert!(!path.exists() && !site.machine.path("desk/card.txt.before").exists(), "and goes with the vault");
}

#[test]
fn vaults_and_passphrases_that_cannot_be_read() {
    let site = Site::new(Plan::default());
    let run = |file: &str| site.machine.run(&["desk", "list", "--dir", "desk", "--passphrase-file", file]);
    site.machine.write("crlf", "open sesame\r\nsecond line\r\n");
    run("crlf").ends(0);
    let stdin = site.machine.run_with(&["desk", "list", "--dir", "desk", "--passphrase-file", "-"], b"open sesame");
    stdin.ends(0);
    for (name, bytes, code) in [("wrong", "open barley", 7), ("empty", "", 1), ("blank line first", "\nopen sesame", 1)] {
        site.machine.write("bad", bytes);
        says(&run("bad").ends(code), "assphrase");
        assert!(!name.is_empty());
    }
    says(&run("nowhere").ends(1), "cannot read nowhere");
    says(&run("desk").ends(1), "cannot read desk");
    fs::set_permissions(site.machine.path("desk/vault"), fs::Permissions::from_mode(0o755)).unwrap();
    says(&run("pass").ends(4), "chmod 700");
}

#[test]
fn relays_that_are_not_there_or_not_ours() {
    let (site, mut relay) = Site::published(Plan::default());
    let caller = site.caller();
    let card = fs::read_to_string(site.machine.path("desk/card.txt")).unwrap();
    // Another relay at the same address: its key is not the pinned one.
    relay.signal("TERM");
    assert!(relay.ended().success());
    let write = ["caller", "write", "--text", "hello", "--wait", "5s"];
    let gone = caller.run(&write).ends(3);
    says(&gone, "network");
    assert!(gone.stdout.is_empty(), "{}", gone.stdout);
    says(&site.desk(&["desk", "sync"]).ends(3), "network");
    fs::remove_dir_all(site.machine.path("data/tls")).unwrap();
    let _other = site.relay();
    let other = caller.run(&write).ends(4);
    says(&other, "Nothing was sent");
    assert!(other.stdout.is_empty(), "{}", other.stdout);
    says(&caller.run(&["caller", "read"]).ends(4), "pin");
    site.desk(&["desk", "sync"]).ends(4);
    assert!(card.starts_with("PORCHLIGHT1-"));
}

/// The machine's clock, some days off.
struct Off {
    days: i64,
}

impl Clock for Off {
    fn wall(&self) -> Millis {
        Millis(SystemClock.wall().0.checked_add_signed(self.days * 86_400_000).unwrap())
    }
    fn boot(&self) -> BootMillis {
        SystemClock.boot()
    }
}

#[test]
fn a_clock_that_is_days_off_stops_a_client_before_it_sends() {
    let (site, relay) = Site::published(Plan::default());
    let caller = site.caller();
    drop(relay);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let text = fs::read_to_string(site.machine.path("relay.toml")).unwrap();
    let settings = Settings::parse(&text, Path::new("relay.toml"), &site.machine.path(""), Mode::Dev).unwrap();
    // Her clock is three days behind the relay's, then three days ahead.
    for days in [3, -3] {
        let world = World { clock: Arc::new(Off { days }), ..World::system().unwrap() };
        let relay = runtime.block_on(porchlight_relay::start(&settings, &world)).unwrap();
        for verb in [&["caller", "write", "--text", "hello", "--wait", "20s"][..], &["caller", "read"]] {
            let ran = caller.run(verb).ends(4);
            says(&ran, "clock");
            assert!(ran.stdout.is_empty(), "{days}: {}", ran.stdout);
        }
        runtime.block_on(relay.stop());
    }
}

/// The same with its standard output on a disk that is full.
fn to_a_full_disk(machine: &Machine, words: &[&str]) -> Ran {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    Ran::of(words, machine.command("porchlight", words).stdout(full).stdin(Stdio::null()).output().unwrap())
}

#[test]
fn a_result_that_cannot_be_written_is_no_success() {
    let site = Site::new(Plan::default());
    let caller = site.caller();
    let desk = ["--dir", "desk", "--passphrase-file", "pass"];
    for words in [&[&["line", "show"], &desk[..]].concat()[..], &["--help"]] {
        says(&to_a_full_disk(&site.machine, words).ends(1), "standard output cannot be written");
    }
    for words in [&["caller", "new", "--card", "card"][..], &["caller", "words", "--card", "card", "--phrase-file", "words"]] {
        says(&to_a_full_disk(&caller.machine, words).ends(1), "standard output cannot be written");
    }
    let init = ["line", "init", "--dir", "new", "--passphrase-file", "pass", "--relay", "https://relay.example"];
    says(&to_a_full_disk(&site.machine, &init).ends(1), "taken back");
    assert!(!site.machine.path("new").exists(), "a line whose root's words nobody saw");
    site.machine.run(&init).ends(0);
}

#[test]
fn a_reader_that_goes_away_ends_nothing_badly() {
    let site = Site::new(Plan::default());
    let caller = site.caller();
    let porchlight = program("porchlight");
    let script = format!("'{}' caller words --card card --phrase-file words | head -1", porchlight.display());
    let head = caller.machine.command("porchlight", &[]).get_current_dir().map(|dir| {
        std::process::Command::new("sh").args(["-c", &script]).current_dir(dir).stdin(Stdio::null()).output().unwrap()
    });
    let head = Ran::of(&["head"], head.unwrap()).ends(0);
    assert_eq!((head.stdout.lines().count(), head.stderr.as_str()), (1, ""));
}
