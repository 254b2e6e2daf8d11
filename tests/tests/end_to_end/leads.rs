//! A line that loses its first lead: a second one, made with the root words, keeps it going. And what two workers can do alone.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::site::{Plan, Site, text};

fn device(site: &Site, dir: &str) -> String {
    text(&site.at(dir, &["line", "show"]).ends(0).objects()[0]["device"]).to_owned()
}

fn devices(site: &Site, dir: &str) -> Vec<Value> {
    site.at(dir, &["line", "show"]).ends(0).objects()[0]["devices"].as_array().unwrap().clone()
}

/// Looks again until it holds: what a colleague said takes some beats.
fn comes_true(what: &str, mut holds: impl FnMut() -> bool) {
    assert!(
        (0..300).any(|_| {
            let held = holds();
            if !held {
                std::thread::sleep(Duration::from_millis(200));
            }
            held
        }),
        "{what}"
    );
}

#[test]
fn a_second_lead_goes_on_when_the_first_is_gone() {
    let (site, _relay) = Site::published(Plan::default());
    site.join("bo");
    site.join("chin");
    let (first, chin) = (device(&site, "desk"), device(&site, "chin"));
    let mut watches = ["desk", "bo", "chin"].map(|dir| site.watch_in(dir));
    site.machine.write("wrong", "abandon ".repeat(16));
    site.at("bo", &["line", "lead", "add", "--root-words-file", "wrong"]).ends(7);
    let added = site.at("bo", &["line", "lead", "add", "--root-words-file", "root"]).ends(0);
    assert_eq!(added.events("lead")[0]["device"], device(&site, "bo").as_str());
    for dir in ["desk", "chin"] {
        comes_true("everybody takes it for a lead", || {
            devices(&site, dir).iter().filter(|device| device["role"] == "lead").count() == 2
        });
    }
    let until = |dir: &str| site.at(dir, &["line", "show"]).objects()[0]["published_until"].as_u64().unwrap();
    comes_true("all know how long the line is published", || until("desk") == until("bo") && until("bo") == until("chin"));

    for dir in ["desk", "bo", "chin"] {
        comes_true("all know each other", || devices(&site, dir).len() == 3);
    }

    // The first lead's machine is gone.
    for watch in &mut watches {
        watch.signal("TERM");
        assert!(watch.ended().success());
    }
    fs::remove_dir_all(site.machine.path("desk")).unwrap();
    let bo = |words: &[&str]| site.at("bo", words);
    let caller = {
        fs::create_dir(site.machine.path("desk")).unwrap();
        fs::copy(site.machine.path("bo/card.txt"), site.machine.path("desk/card.txt")).unwrap();
        site.caller()
    };
    let rotated = bo(&["line", "rotate"]).ends(0);
    assert!(!rotated.events("published").is_empty());
    let gone = bo(&["line", "revoke", &first[..8]]).ends(0);
    assert_eq!(gone.events("revoked")[0]["device"], first.as_str());

    // It admits, and revokes; a caller writes and reads as ever.
    let request = site.at("dan", &["desk", "join"]).ends(0).events("request").remove(0);
    let words = crate::site::check_words(&request);
    let admitted = bo(&["desk", "admit", text(&request["request"]), "--words", &words, "--out", "dan.admission"]).ends(0);
    let words = crate::site::check_words(&admitted.events("admitted")[0]);
    site.at("dan", &["desk", "join", "--admission", "dan.admission", "--words", &words]).ends(0);
    bo(&["line", "revoke", &chin[..8]]).ends(0);
    caller.run(&["caller", "write", "--text", "여보세요", "--fast-beats"]).ends(0);
    bo(&["desk", "sync", "--wait", "20s"]);
    site.at("dan", &["desk", "sync", "--wait", "20s"]);
    for dir in ["bo", "dan"] {
        assert!(site.at(dir, &["desk", "show", &caller.id]).ends(0).stdout.contains("여보세요"), "{dir}");
    }
    site.at("chin", &["desk", "sync", "--wait", "20s"]).ends(3);
    let answered = site.at("dan", &["desk", "answer", &caller.id, "--text", "우리는 여기 있어요", "--wait", "60s"]).ends(0);
    crate::carousel::sleep_until(answered.events("answered")[0]["readable_from"].as_u64().unwrap() + 100);
    let read = caller.run(&["caller", "read", "--fast-beats"]).ends(0).events("answer");
    assert_eq!(text(&read[0]["text"]), "우리는 여기 있어요");
}

#[test]
fn two_workers_put_a_lost_lead_out_and_the_root_makes_another() {
    let (site, _relay) = Site::published(Plan::default());
    site.join("bo");
    site.join("chin");
    let lost = device(&site, "desk");
    site.desk(&["desk", "sync", "--wait", "20s"]).ends(0);
    comes_true("the first worker knows the second", || {
        site.at("bo", &["desk", "sync", "--wait", "1s"]).ends(0);
        devices(&site, "bo").len() == 3
    });
    let vote = site.at("bo", &["line", "revoke", &lost[..8]]).ends(0);
    assert_eq!((vote.events("voted").len(), vote.events("revoked").len()), (1, 0));
    let mut watches = ["bo", "chin"].map(|dir| site.watch_in(dir));
    let agreed = site.at("chin", &["line", "revoke", &lost[..8]]).ends(0);
    let is_out =
        |dir: &str| devices(&site, dir).iter().any(|device| device["device"] == lost.as_str() && device["revoked"] == true);
    println!("the second vote: {}", agreed.stdout);
    comes_true("both hold it for out", || is_out("bo") && is_out("chin"));
    // Whatever the thief may sign is void once the other has heard of its new certificate.
    site.at("chin", &["line", "lead", "add", "--void-others", "--root-words-file", "root"]).ends(0);
    comes_true("the relay shows the new generation", || site.at("desk", &["desk", "sync", "--wait", "1s"]).code == Some(3));
    comes_true("the other is of the team", || site.at("bo", &["desk", "sync", "--wait", "1s"]).code == Some(0));
    site.at("desk", &["line", "rotate"]);
    for watch in &mut watches {
        watch.signal("TERM");
        assert!(watch.ended().success());
    }
    let caller = site.caller();
    caller.run(&["caller", "write", "--text", "here", "--fast-beats"]).ends(0);
    for dir in ["bo", "chin"] {
        comes_true("both read what she writes", || {
            site.at(dir, &["desk", "sync", "--wait", "5s"]);
            site.at(dir, &["desk", "show", &caller.id]).stdout.contains("here")
        });
    }
}

/// The lead's laptop was closed after it, and nobody opened what callers wrote until it was there again.
#[test]
fn when_a_leads_command_ends_its_colleagues_open_what_is_sealed_to_the_new_keys() {
    let (site, _relay) = Site::published(Plan::default());
    let team = ["bo", "chin", "dan"];
    team.iter().for_each(|dir| site.join(dir));
    let caller = site.caller();
    for (verb, words) in [("rotate", "after new keys"), ("bulletin --none", "after notices were voided")] {
        let verb: Vec<&str> = ["line"].into_iter().chain(verb.split(' ')).collect();
        let ended = site.desk(&verb).ends(0);
        assert!(!ended.stderr.contains("not every colleague"), "{}", ended.stderr);
        caller.run(&["caller", "write", "--text", words, "--fast-beats"]).ends(0);
        for dir in team {
            site.at(dir, &["desk", "sync", "--wait", "10s"]);
            assert!(site.at(dir, &["desk", "show", &caller.id]).ends(0).stdout.contains(words), "{dir} {words}");
        }
    }
}

#[test]
fn a_leads_command_that_is_cut_short_says_what_its_colleagues_lack() {
    let (site, _relay) = Site::published(Plan { usual_pace: true, ..Plan::default() });
    site.join("bo");
    let words = ["line", "rotate", "--dir", "desk", "--passphrase-file", "pass", "--json"];
    let mut rotate = crate::site::Running::start(&mut site.machine.command("porchlight", &words));
    rotate.hear_event("line");
    rotate.signal("INT");
    assert_eq!(rotate.ended().code(), Some(5));
    let said = rotate.said();
    assert!(said.contains("not every colleague") && said.contains("desk watch"), "{said}");
}
