//! What the program says and how it ends, as a person or a script meets it. No network but closed ports of loopback.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A directory with a line in it, whose relay nobody runs.
struct Line {
    dir: tempfile::TempDir,
    founded: Value,
}

impl Line {
    fn new(more: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("pass"), "open sesame\n").unwrap();
        let gone = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = format!("https://{}", gone.local_addr().unwrap());
        drop(gone);
        let pin = "ab".repeat(32);
        let words = [
            &["line", "init", "--dir", "desk", "--relay", &relay, "--relay-pin", &pin, "--passphrase-file", "pass", "--json"],
            more,
        ]
        .concat();
        let output = run(dir.path(), &words, "");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let founded = serde_json::from_slice(&output.stdout).unwrap();
        Self { dir, founded }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn run(&self, words: &[&str]) -> Output {
        run(self.dir.path(), words, "")
    }

    fn desk(&self, words: &[&str]) -> Output {
        self.run(&[words, &["--dir", "desk", "--passphrase-file", "pass"]].concat())
    }
}

fn run(dir: &Path, words: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_porchlight"))
        .args(words)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its stdin may have closed it.
    let _closed = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_line_is_private_and_says_its_root_words_once() {
    let line = Line::new(&["--beat-ms", "200", "--slow-s", "1", "--up-ttl-s", "5", "--gate", "gate77"]);
    assert_eq!(mode(&line.path("desk")), 0o700);
    for name in ["card.txt", "doors", "relay.toml"] {
        assert_eq!(mode(&line.path("desk").join(name)), 0o600, "{name}");
    }
    assert_eq!(line.founded["root_words"].as_str().unwrap().split(' ').count(), 16);
    let card = fs::read_to_string(line.path("desk/card.txt")).unwrap();
    assert_eq!(line.founded["card"].as_str().unwrap(), card.trim());
    let toml = fs::read_to_string(line.path("desk/relay.toml")).unwrap();
    for part in ["[[line]]\n", "gates = [\"gate77\"]", "beat_ms = 200", "slow_s = 1", "up_ttl_s = 5"] {
        assert!(toml.contains(part), "{part} in {toml}");
    }
    assert!(!toml.contains("fast_slots") && !toml.contains("up_beat_ms"), "only what was given: {toml}");
    assert!(fs::read_to_string(line.path("desk/doors")).unwrap().ends_with("/gate77\n"));
    let again = line.desk(&["line", "init", "--relay", "https://relay.example"]);
    assert_eq!(again.status.code(), Some(1), "what is there is not overwritten");
}

#[test]
fn a_phrase_is_written_for_its_owner_alone_and_read_back_in_any_language() {
    let line = Line::new(&[]);
    let made = line.run(&["caller", "new", "--card", "desk/card.txt", "--phrase-file", "words", "--json"]);
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    assert_eq!(mode(&line.path("words")), 0o600);
    let made = json(&made);
    assert!(made.get("phrase").is_none() && made.get("words").is_none(), "not printed as well");
    let shown = json(&line.run(&["caller", "words", "--card", "desk/card.txt", "--phrase-file", "words", "--json"]));
    assert_eq!((&shown["caller"], &shown["pictures"]), (&made["caller"], &made["pictures"]));
    for language in ["ko", "zh", "en"] {
        let words: Vec<&str> = shown["words"][language].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        let card = line.founded["card"].as_str().unwrap().to_lowercase();
        let spoken = format!("\u{feff} {} \n", words.join(", ").to_uppercase());
        let read = json(&run(line.dir.path(), &["caller", "words", "--card", &card, "--phrase-file", "-", "--json"], &spoken));
        assert_eq!(read["caller"], made["caller"], "{language}");
    }
    let again = line.run(&["caller", "new", "--card", "desk/card.txt", "--phrase-file", "words"]);
    assert_eq!(again.status.code(), Some(1), "an old phrase is not overwritten");
}

#[test]
fn every_mistake_has_its_code_and_says_what_to_do() {
    let line = Line::new(&[]);
    let card = line.founded["card"].as_str().unwrap().to_owned();
    assert_eq!(line.run(&["caller", "new", "--card", "desk/card.txt", "--phrase-file", "words"]).status.code(), Some(0));
    fs::write(line.path("two"), "tofu tofu\n").unwrap();
    fs::write(line.path("nonsense"), "qqqq xxxx\n").unwrap();
    fs::write(line.path("wrong"), "open barley\n").unwrap();
    fs::write(line.path("binary"), [0xff, 0xfe, 0x00]).unwrap();
    let (cut, swapped) = (&card[..card.len() - 9], card.replace("PORCHLIGHT1-U", "PORCHLIGHT1-V"));
    let long = "가".repeat(5_400);
    let read: &[&str] = &["caller", "read", "--phrase-file", "words", "--card"];
    let with = |card: &'static str| [read, &[card]].concat();
    for (name, words, code, said) in [
        ("nothing", vec![], 1, "Usage"),
        ("no such verb", vec!["caller", "sing"], 1, "unrecognized"),
        ("help", vec!["--help"], 0, ""),
        ("version", vec!["--version"], 0, ""),
        ("no card", with("nowhere"), 1, "cannot read nowhere"),
        ("a door for a card", with("https://relay.example/gate"), 1, "cannot read"),
        ("a binary card", with("binary"), 1, "UTF-8"),
        ("a card cut off", [read, &[cut]].concat(), 1, "copied exactly"),
        ("a card misspelt", [read, &[swapped.as_str()]].concat(), 1, "copied exactly"),
        ("two words", vec!["caller", "read", "--card", "desk/card.txt", "--phrase-file", "two"], 7, "Exactly 8 words"),
        ("no words", vec!["caller", "read", "--card", "desk/card.txt", "--phrase-file", "nonsense"], 7, "spelling"),
        ("stdin twice", vec!["caller", "read", "--card", "-", "--phrase-file", "-"], 1, ""),
        (
            "an empty letter",
            vec!["caller", "write", "--text", "", "--card", "desk/card.txt", "--phrase-file", "words"],
            1,
            "Nothing was sent",
        ),
        (
            "a long letter",
            vec!["caller", "write", "--text", &long, "--card", "desk/card.txt", "--phrase-file", "words"],
            1,
            "16,000 bytes",
        ),
        ("no relay", with("desk/card.txt"), 3, "Check the network"),
        ("no proxy", [read, &["desk/card.txt", "--socks5", "127.0.0.1:1"]].concat(), 3, "proxy"),
        (
            "a bad session",
            vec!["caller", "withdraw", "--session", "zz", "--seq", "1", "--card", "desk/card.txt", "--phrase-file", "words"],
            1,
            "16 hex digits",
        ),
        ("no vault", vec!["desk", "list", "--dir", "nowhere", "--passphrase-file", "pass"], 1, "line init"),
        ("a wrong passphrase", vec!["desk", "list", "--dir", "desk", "--passphrase-file", "wrong"], 7, "Try again"),
        (
            "a meeting without a second worker",
            vec![
                "desk",
                "answer",
                "abcd",
                "--text",
                "Tomorrow at 14:30 at the station",
                "--dir",
                "desk",
                "--passphrase-file",
                "pass",
            ],
            5,
            "desk propose ID --say",
        ),
        ("nobody of that name", vec!["desk", "show", "abcd", "--dir", "desk", "--passphrase-file", "pass"], 1, "desk list"),
        (
            "publish without a relay",
            vec!["line", "publish", "--dir", "desk", "--passphrase-file", "pass"],
            3,
            "Check the network",
        ),
        (
            "other root words",
            vec!["line", "renew", "--root-words-file", "two", "--dir", "desk", "--passphrase-file", "pass"],
            7,
            "Exactly 16 words",
        ),
        (
            "an impossible pace",
            vec![
                "line",
                "init",
                "--dir",
                "new",
                "--relay",
                "https://relay.example",
                "--beat-ms",
                "130",
                "--passphrase-file",
                "pass",
            ],
            1,
            "beat_ms",
        ),
        (
            "an impossible gate",
            vec!["line", "init", "--dir", "new", "--relay", "https://relay.example", "--gate", "No", "--passphrase-file", "pass"],
            1,
            "--gate",
        ),
        (
            "no pin",
            vec![
                "line",
                "init",
                "--dir",
                "new",
                "--relay",
                "https://relay.example",
                "--relay-pin",
                "abc",
                "--passphrase-file",
                "pass",
            ],
            1,
            "pin",
        ),
    ] {
        let output = line.run(&words);
        assert_eq!(output.status.code(), Some(code), "{name}: {}", stderr(&output));
        assert!(stderr(&output).contains(said), "{name}: {}", stderr(&output));
        let names_itself = code == 0
            || stderr(&output).starts_with("porchlight: ")
            || stderr(&output).contains("Usage")
            || stderr(&output).starts_with("error: ");
        assert!(names_itself, "{name}: {}", stderr(&output));
        assert!(code == 0 || output.stdout.is_empty(), "{name}: results only on stdout: {output:?}");
    }
    assert!(!line.path("new").exists(), "what was refused left nothing behind");
}

#[test]
fn a_desk_without_callers_is_empty_and_shows_its_line() {
    let line = Line::new(&[]);
    let list = line.desk(&["desk", "list", "--json"]);
    assert_eq!((list.status.code(), list.stdout.as_slice()), (Some(0), &b""[..]), "{}", stderr(&list));
    let shown = line.desk(&["line", "show", "--json"]);
    assert_eq!(shown.status.code(), Some(0), "{}", stderr(&shown));
    let shown = json(&shown);
    assert_eq!(shown["line"], line.founded["line"]);
    assert_eq!(shown["devices"].as_array().unwrap().len(), 1);
}

#[test]
fn a_passphrase_is_never_asked_for_where_nobody_can_answer() {
    let line = Line::new(&[]);
    // A session of its own has no terminal to ask on.
    let output = Command::new("setsid")
        .args([env!("CARGO_BIN_EXE_porchlight"), "desk", "list", "--dir", "desk"])
        .current_dir(line.dir.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("--passphrase-file"), "{}", stderr(&output));
}

#[test]
fn burning_wants_to_be_meant_and_leaves_nothing() {
    let line = Line::new(&[]);
    assert_eq!(line.desk(&["desk", "burn"]).status.code(), Some(1), "not without --really");
    fs::write(line.path("wrong"), "another\n").unwrap();
    let wrong = line.run(&["desk", "burn", "--really", "--dir", "desk", "--passphrase-file", "wrong"]);
    assert_eq!(wrong.status.code(), Some(7), "{}", stderr(&wrong));
    assert!(line.path("desk/vault/header").exists());
    let burned = line.desk(&["desk", "burn", "--really", "--json"]);
    assert_eq!(burned.status.code(), Some(0), "{}", stderr(&burned));
    let said: Value = serde_json::from_slice(&burned.stdout).unwrap();
    assert_eq!((&said["event"], &said["told"]), (&"burned".into(), &Value::Null), "there was nobody to tell");
    assert!(stderr(&burned).contains("only lead"));
    assert!(!line.path("desk").exists());
    assert_eq!(line.desk(&["desk", "list"]).status.code(), Some(1));

    // In a hurry: no passphrase, no network; what is somebody else's stays.
    let line = Line::new(&[]);
    fs::write(line.path("desk/mine.txt"), "mine").unwrap();
    let burned = line.run(&["desk", "burn", "--really", "--at-once", "--dir", "desk"]);
    assert_eq!(burned.status.code(), Some(0), "{}", stderr(&burned));
    assert!(stderr(&burned).contains("was not told"));
    let left: Vec<_> = fs::read_dir(line.path("desk")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["mine.txt"]);
}
