//! A line is cut in the middle of a visit, or of a desk's beat, and comes back: nothing lost, nothing twice, nothing said that is not so.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

use crate::namespace::Namespace;
use crate::resets::{read, shown};
use crate::site::{Caller, Plan, Running, Site, object, text};
use crate::texts;
use crate::wire::{RELAY, Weather, Wire, relay_network};

pub const PORT: u16 = 8443;

/// Cuts in each test, unless `PORCHLIGHT_CUTS` says how many.
const CUTS: usize = 3;

/// Letters in one visit.
const LETTERS: usize = 2;

/// A visit is well under way when so many packets have passed.
const PACKETS: u32 = 150;

/// A relay, a desk and a caller, each in a network of its own.
pub struct Country {
    pub hub: Namespace,
    pub desk_home: Namespace,
    pub home: Namespace,
    pub desk_wire: Wire,
    pub wire: Wire,
    pub site: Site,
    pub caller: Caller,
}

impl Country {
    /// The relay runs, the desk's statements are published.
    pub fn new(rng: &mut ChaCha20Rng) -> (Self, Running) {
        let (hub, desk_home, home) = (relay_network(), Namespace::new(), Namespace::new());
        let desk_wire = Wire::lay(&hub, &desk_home, 1, rng.next_u64(), Weather::FAIR);
        let wire = Wire::lay(&hub, &home, 2, rng.next_u64(), Weather::FAIR);
        let at = SocketAddr::new(RELAY.into(), PORT);
        let within = hub.words();
        let (mut site, relay) = Site::published(Plan { through: Some((at, at)), within: &within, ..Plan::default() });
        let caller = site.caller_within(&home.words());
        site.machine.within = desk_home.words();
        (Self { hub, desk_home, home, desk_wire, wire, site, caller }, relay)
    }
}

/// Writes letters in one visit, holds every word of the program against what is so, and gives the answers that came meanwhile.
fn write(country: &Country, letters: &[String]) -> BTreeSet<String> {
    let texts = letters.iter().flat_map(|letter| ["--text", letter]);
    let words: Vec<&str> = ["caller", "write", "--wait", "180s"].into_iter().chain(texts).collect();
    loop {
        let mut visit = country.caller.start(&words);
        let (mut opened, mut in_box, mut receipted, mut answers) = (false, BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        visit.hear_all(|line| {
            let event = object(line);
            let number = event["seq"].as_u64();
            match text(&event["event"]) {
                "opened" => opened = true,
                "in_box" => assert!(in_box.insert(number), "told twice: {line}"),
                "receipt" => {
                    assert!(receipted.insert(number), "told twice: {line}");
                    let letter = &letters[usize::try_from(number.unwrap()).unwrap() - 1];
                    assert!(shown(&country.site, &country.caller).contains(letter), "the desk does not have it: {line}");
                }
                "answer" => assert!(answers.insert(text(&event["text"]).to_owned()), "shown twice: {line}"),
                _ => panic!("{line}"),
            }
        });
        let code = visit.ended().code();
        if code == Some(3) && !opened {
            continue;
        }
        assert_eq!((code, receipted.len()), (Some(0), letters.len()), "{}", visit.said());
        return answers;
    }
}

/// Whose line is cut.
#[derive(Clone, Copy)]
enum Whose {
    Hers,
    Desks,
}

fn live_through_cuts(name: &str, whose: Whose) {
    let mut rng = texts::rng(name);
    let (country, _relay) = Country::new(&mut rng);
    let mut watch = country.site.watch();
    let cuts = std::env::var("PORCHLIGHT_CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(CUTS);
    let (mut letters, mut answers, mut heard, mut made) = (Vec::new(), BTreeSet::new(), BTreeSet::new(), 0);
    for cut in 0..cuts {
        let packets = u64::from(1 + rng.next_u32() % PACKETS);
        // Of every three one is short enough for TCP to bridge, the others outlast a call's patience.
        let lasts = Duration::from_millis([2_000, 12_000, 16_000][cut % 3] + u64::from(rng.next_u32() % 2_000));
        let new: Vec<String> = (0..LETTERS).map(|letter| format!("cut {cut} letter {letter}")).collect();
        let answer = format!("cut {cut} answer");
        let wire = match whose {
            Whose::Hers => &country.wire,
            Whose::Desks => &country.desk_wire,
        };
        let began = Instant::now();
        std::thread::scope(|scope| {
            let visit = scope.spawn(|| write(&country, &new));
            let is_cut = wire.cut_after(packets, Duration::from_secs(20));
            made += usize::from(is_cut);
            if is_cut {
                // How long it lasts is what is tried, not something that is waited for.
                std::thread::sleep(lasts);
            }
            wire.set(Weather::FAIR);
            heard.extend(visit.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause)));
            let how = if is_cut { format!("cut for {lasts:?}") } else { "not cut".to_owned() };
            println!(
                "{name} {cut}: after {packets} packets {how}, receipted {:?} after the beginning, of what the desk has (pass: nothing else, each once)",
                began.elapsed()
            );
        });
        // The answer meets a cut line at once.
        wire.set(Weather::CUT);
        std::thread::scope(|scope| {
            let answered =
                scope.spawn(|| country.site.desk(&["desk", "answer", &country.caller.id, "--text", &answer, "--wait", "5s"]));
            std::thread::sleep(Duration::from_secs(3));
            wire.set(Weather::FAIR);
            let ran = answered.join().unwrap();
            assert!(matches!(ran.code, Some(0 | 3 | 5)), "{ran:?}");
            let state = ran.events("answered").remove(0)["state"].clone();
            assert!(ran.code != Some(0) || state == "with_the_relay", "{ran:?}");
        });
        letters.extend(new);
        answers.insert(answer);
        assert!(watch.runs(), "the watch has ended: {}", watch.said());
    }
    assert!(2 * made > cuts, "VOID: {made} of {cuts} visits were cut");
    // What came while she wrote is with her, and is not broadcast for ever.
    let missing = answers.difference(&heard).cloned().collect();
    heard.extend(read(&country.caller, &missing));
    assert_eq!(heard, answers);
    letters.sort();
    assert_eq!(shown(&country.site, &country.caller), letters);
    letters.iter().for_each(|_| drop(watch.hear_event("letter")));
    watch.signal("TERM");
    assert!(watch.ended().success());
    assert!(watch.rest().iter().all(|event| event["event"] != "letter"), "the watch tells of each letter once");
}

#[test]
#[ignore = "every scene at once runs it"]
pub fn a_line_that_is_cut_in_the_middle_of_a_visit_loses_nothing() {
    live_through_cuts("her line", Whose::Hers);
}

#[test]
#[ignore = "every scene at once runs it"]
pub fn a_line_that_is_cut_in_the_middle_of_a_beat_loses_nothing() {
    live_through_cuts("the desk's line", Whose::Desks);
}
