//! With nothing but the card and eight words: what the carousel broadcasts, and what it never gets.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::site::{Caller, Plan, Running, Site, text};

const LATER: &str = "나중에 읽으셔도 됩니다. 저희는 늘 여기 있습니다.";
const LIVE: &str = "지금 읽으실 수 있습니다.";

pub fn sleep_until(ms: u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    std::thread::sleep(Duration::from_millis(ms).saturating_sub(now));
}

fn answers(events: &[Value]) -> Vec<String> {
    events.iter().filter(|event| event["event"] == "answer").map(|event| text(&event["text"]).to_owned()).collect()
}

/// After so long a page is gone: twelve up beats of silence, 1.2 s, close it. More, since a watch that is slow hears her last posts late.
const GONE: Duration = Duration::from_secs(5);

/// A caller who wrote, and has left.
fn writes(site: &Site) -> Caller {
    let caller = site.caller();
    caller.run(&["caller", "checkin", "--status", "safe", "--text", "잘 있어요", "--wait", "60s"]).ends(0);
    caller
}

/// A caller who wrote, came back, and was answered while her page is open.
///
/// A watch that is slow has not heard her page, or not lately, and then her answer goes round: that caller is left alone, and another tries.
fn answered_live(site: &Site) -> (Caller, Running) {
    let answered = (0..3).find_map(|_| {
        let caller = writes(site);
        let mut page = caller.start(&["caller", "read", "--fast-beats", "--wait", "60s"]);
        page.hear_event("opened");
        // Twelve posts: the desk has heard the page.
        std::thread::sleep(Duration::from_millis(600));
        let answered = site.desk(&["desk", "answer", &caller.id, "--text", LIVE]).ends(0).events("answered").remove(0);
        println!("{answered}");
        (answered["track"] == "live").then_some((caller, page))
    });
    answered.expect("whose page is open is answered live")
}

#[test]
fn a_second_machine_with_card_and_words_reads_what_the_carousel_broadcasts() {
    let (site, _relay) = Site::published(Plan::default());
    let (_watch, caller) = (site.watch(), writes(&site));
    std::thread::sleep(GONE);
    let answered = site.desk(&["desk", "answer", &caller.id, "--text", LATER]).ends(0).events("answered").remove(0);
    assert_eq!(answered["track"], "carousel", "{answered}");
    // No polling: the desk says from when it can be read.
    sleep_until(answered["readable_from"].as_u64().unwrap() + 100);
    let elsewhere = caller.elsewhere();
    let read = elsewhere.run(&["caller", "read", "--fast-beats"]).ends(0);
    assert_eq!(answers(&read.objects()), [LATER]);
    assert!(read.events("answer")[0]["time"].as_u64().is_some());
    let stranger = site.caller();
    let nothing = stranger.run(&["caller", "read", "--fast-beats"]).ends(6);
    assert_eq!((nothing.events("no_answer").len(), answers(&nothing.objects()).len()), (1, 0), "other words find nothing");
    let files: Vec<_> =
        std::fs::read_dir(elsewhere.machine.home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files.len(), 2, "only the card and the words: {files:?}");
}

#[test]
fn a_reader_who_waits_is_there_when_the_slot_begins() {
    let (site, _relay) = Site::published(Plan { init: &["--slow-s", "3"], ..Plan::default() });
    let (_watch, caller) = (site.watch(), writes(&site));
    std::thread::sleep(GONE);
    site.desk(&["desk", "answer", &caller.id, "--text", LATER]).ends(0);
    let read = caller.elsewhere().run(&["caller", "read", "--fast-beats", "--wait", "60s"]).ends(0);
    assert_eq!(answers(&read.objects()), [LATER]);
}

#[test]
fn what_she_acknowledged_live_cannot_be_read_with_the_words() {
    let (site, _relay) = Site::published(Plan::default());
    let _watch = site.watch();
    let (caller, mut page) = answered_live(&site);
    assert_eq!(page.hear_event("answer")["text"], LIVE);
    assert!(page.ended().success());
    // A second one goes round, as the control: the reader reads, and what it does not show was not there.
    std::thread::sleep(GONE);
    let control = site.desk(&["desk", "answer", &caller.id, "--text", LATER]).ends(0).events("answered").remove(0);
    assert_eq!(control["track"], "carousel", "{control}");
    sleep_until(control["readable_from"].as_u64().unwrap() + 2_500);
    let read = caller.elsewhere().run(&["caller", "read", "--fast-beats"]).ends(0);
    assert_eq!(answers(&read.objects()), [LATER]);
}
