//! Ctrl-C and SIGTERM at any moment of every verb: nothing said that is not so, and nothing lost that was said to be safe.

use std::time::Duration;

use crate::site::{Plan, Running, Site, text};

/// Moments at which a verb is stopped, in milliseconds: before it has begun, while it opens, while it sends, when it is done.
const MOMENTS: [u64; 8] = [0, 10, 40, 90, 150, 250, 400, 800];

/// Stops a verb at each moment with one signal or the other; gives its code and its lines.
fn stopped_at_every_moment(start: impl Fn() -> Running, mut look: impl FnMut(Option<i32>, Vec<serde_json::Value>)) {
    for (moment, signal) in MOMENTS.into_iter().zip(["INT", "TERM"].into_iter().cycle()) {
        let mut running = start();
        std::thread::sleep(Duration::from_millis(moment));
        running.signal(signal);
        let status = running.ended();
        let lines = running.rest();
        let said = running.said();
        assert!(!said.contains("fault of this program"), "{said}");
        look(status.code(), lines);
    }
}

#[test]
fn a_letter_stopped_at_any_moment_is_called_what_it_is() {
    let (site, _relay) = Site::published(Plan::default());
    let caller = site.caller();
    let write = || caller.start(&["caller", "write", "--text", "안녕하세요", "--fast-beats", "--wait", "60s"]);
    let mut in_box = 0;
    stopped_at_every_moment(write, |code, lines| {
        let has = |name: &str| lines.iter().any(|line| line["event"] == name);
        assert!(!has("receipt"), "no desk was there: {lines:?}");
        match code {
            // The signal came before the program could listen for it.
            None | Some(3) => assert!(!has("in_box"), "{lines:?}"),
            Some(6) => {
                assert!(has("in_box") && has("not_receipted"), "{lines:?}");
                in_box += 1;
            }
            other => panic!("{other:?} {lines:?}"),
        }
    });
    caller.run(&["caller", "write", "--text", "whole", "--fast-beats"]).ends(0);
    site.desk(&["desk", "sync"]).ends(0);
    let letters = site.letters(&caller).len();
    assert!(letters > in_box, "{letters} of at least {in_box} and one");
}

#[test]
fn an_answer_stopped_at_any_moment_is_in_the_vault_once_or_not_at_all() {
    let (site, _relay) = Site::published(Plan::default());
    let caller = site.caller();
    caller.run(&["caller", "write", "--text", "hello", "--fast-beats"]).ends(0);
    site.desk(&["desk", "sync"]).ends(0);
    let desk = ["--dir", "desk", "--passphrase-file", "pass", "--json"];
    let words = [&["desk", "answer", &caller.id, "--text", "one of several"][..], &desk].concat();
    let start = || Running::start(&mut site.machine.command("porchlight", &words));
    let mut promised = 0;
    stopped_at_every_moment(start, |code, lines| {
        let told = lines.iter().any(|line| line["event"] == "answered");
        match code {
            None => assert!(!told),
            Some(0 | 5) => promised += 1,
            other => panic!("{other:?} {lines:?}"),
        }
        assert_eq!(told, code.is_some(), "{lines:?}");
    });
    site.desk(&["desk", "sync"]).ends(0);
    let shown = site.desk(&["desk", "show", &caller.id]).ends(0).objects();
    let answers: Vec<_> = shown.iter().filter(|item| item["kind"] == "answer").collect();
    assert!(answers.len() >= promised && answers.len() <= MOMENTS.len(), "{} of {promised}", answers.len());
    assert!(
        answers.iter().all(|answer| text(&answer["state"]) == "with_the_relay"),
        "what is in the vault goes out: {answers:?}"
    );
}

#[test]
fn every_other_verb_stops_at_any_moment_and_leaves_a_vault_that_opens() {
    let (site, _relay) = Site::published(Plan::default());
    let caller = site.caller();
    caller.run(&["caller", "checkin", "--status", "talk", "--fast-beats"]).ends(0);
    for words in [
        vec!["desk", "sync"],
        vec!["desk", "watch"],
        vec!["desk", "list"],
        vec!["desk", "show", &caller.id],
        vec!["desk", "claim", &caller.id],
        vec!["desk", "note", &caller.id, "--text", "a note"],
        vec!["line", "publish"],
        vec!["line", "show"],
        vec!["line", "bulletin", "--none"],
    ] {
        let all = [&words[..], &["--dir", "desk", "--passphrase-file", "pass", "--json"]].concat();
        let start = || Running::start(&mut site.machine.command("porchlight", &all));
        stopped_at_every_moment(start, |code, lines| {
            assert!(matches!(code, None | Some(0 | 1 | 3 | 5)), "{words:?}: {code:?} {lines:?}");
        });
        site.desk(&["desk", "list"]).ends(0);
    }
    for words in [vec!["caller", "read", "--wait", "60s"], vec!["caller", "withdraw", "--wait", "60s"]] {
        stopped_at_every_moment(
            || caller.start(&words),
            |code, lines| {
                assert!(matches!(code, None | Some(3 | 6)), "{words:?}: {code:?} {lines:?}");
            },
        );
    }
}
