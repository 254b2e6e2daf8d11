//! What people write and say, how it is cut and joined, and which letters a desk says it holds.
use super::{input::Input, world::World};
use porchlight_proto::{
    answer::Answer,
    card::{Card, Door, RelayAddress},
    event::{AnswerEvent, AnswerKind, Event},
    have::Have,
    letter::{Letter, Status, Withdraw},
    line::{CallerId, DeviceId, Gate},
    parts::{Join, Joined, Part, cut},
    phrase::{Language, Phrase},
    root::RootWords,
};
use std::collections::{BTreeMap, BTreeSet};
use zeroize::Zeroizing;

/// The bytes as a card in each form, and as a door.
pub fn card(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for card in [Card::parse_cbor(bytes), Card::parse_text(&text)].into_iter().flatten() {
        assert_eq!(Card::parse_cbor(&card.to_cbor()).unwrap(), card);
        assert_eq!(Card::parse_text(&card.to_text()).unwrap(), card);
    }
    if let Ok(door) = Door::parse(&text) {
        assert_eq!(Door::parse(&door.to_text()).unwrap(), door);
    }
}

pub fn card_seeds() -> Vec<Vec<u8>> {
    let gates = vec![Gate::parse("tofu7").unwrap(), Gate::parse("kettle").unwrap()];
    let relay = |url: &str, number| RelayAddress { url: url.into(), gates: gates.clone(), pin: Some([3; 32]), number };
    let relays = vec![relay("https://relay.example", 0), relay("https://[::1]:8443", 9)];
    let card = Card { root: World::get().root.public(), relays };
    vec![card.to_cbor(), card.to_text().into_bytes(), b"https://a.example/tofu7".to_vec(), b"PORCHLIGHT1-AAAAAAAA".to_vec()]
}

/// The bytes as words: of a phrase, and of a root.
pub fn words(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = RootWords::parse(&text);
    if let Ok(phrase) = Phrase::parse(&text) {
        for language in Language::ALL {
            for between in [" ", "-", "、"] {
                let again = Phrase::parse(&phrase.words(language).join(between)).unwrap();
                assert_eq!(again.indexes(), phrase.indexes());
            }
        }
    }
}

pub fn words_seeds() -> Vec<Vec<u8>> {
    let phrase = Phrase::from_indexes([0, 1, 2, 3, 500, 700, 1022, 1023]).unwrap();
    let said = |language, between| phrase.words(language).join(between).into_bytes();
    let numbered: String = (1..).zip(phrase.words(Language::En)).map(|(at, word)| format!("{at}. {word}\n")).collect();
    vec![
        said(Language::Ko, " "),
        said(Language::Zh, ""),
        said(Language::Zh, "、"),
        said(Language::En, ", "),
        numbered.into_bytes(),
        "사과 苹果 apple 1.".into(),
    ]
}

/// The bytes as a letter, an answer and an event: what is read can be written and reads the same.
pub fn content(bytes: &[u8]) {
    if let Ok(letter) = Letter::parse(bytes) {
        assert!(Letter::parse(&letter.to_cbor().unwrap()).unwrap() == letter);
    }
    if let Ok(answer) = Answer::parse(bytes)
        && let Ok(written) = answer.to_cbor()
    {
        assert!(Answer::parse(&written).unwrap() == answer);
    }
    if let Ok(event) = Event::parse(bytes) {
        assert!(Event::parse(&event.to_cbor()).unwrap() == event);
    }
}

pub fn content_seeds() -> Vec<Vec<u8>> {
    let letter = Letter {
        status: Some(Status::Moving),
        text: String::from("괜찮아요").into(),
        next: Some(3600),
        quiet: true,
        relative: true,
        language: Some(Language::Ko),
        withdraw: Some(Withdraw::One([1; 8], 2)),
    };
    let answer = Answer {
        n: 3,
        written: 1_795_478_400,
        text: String::from("我们在这里").into(),
        language: Some(Language::Zh),
        meeting: true,
        introduction: Some(vec![1, 2, 3]),
        stops: vec![[4; 8]],
    };
    let caller = CallerId([1; 16]);
    let reply = AnswerEvent {
        caller,
        answer: [2; 8],
        content: answer.to_cbor().unwrap(),
        good_until: 1_795_478_400,
        session: [3; 8],
        seq: 4,
        kind: AnswerKind::Stop,
        flags: 1,
    };
    let events = [
        Event::Acknowledge { held: BTreeMap::from([(DeviceId([5; 8]), 6)]), life: [7; 8], position: 8 },
        Event::Claim { caller, lease: 1800, reason: "lunch".into() },
        Event::Note { caller, text: "tall".into() },
        Event::Answer(reply),
        Event::Shown { caller, session: [3; 8], seq: 4 },
        Event::Slots(vec![0, 3]),
    ];
    let mut seeds = vec![letter.to_cbor().unwrap(), answer.to_cbor().unwrap()];
    seeds.extend(events.iter().map(Event::to_cbor));
    seeds
}

/// Parts of a few contents, in any order: whole at most once, and only what came first.
pub fn parts(bytes: &[u8]) {
    let mut input = Input(bytes);
    let count = input.u8();
    let mut join = Join::of(count);
    let mut first: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    let mut whole = 0;
    while !input.is_empty() {
        let (part, parts, len) = (input.u8(), input.u8(), input.u8());
        let part = Part { part, parts, bytes: Zeroizing::new(input.bytes(usize::from(len)).to_vec()) };
        let joined = join.take(&part);
        if joined == Joined::Contradicts {
            continue;
        }
        let kept = first.entry(part.part).or_insert_with(|| part.bytes.to_vec());
        assert!(*kept == *part.bytes, "the first stays");
        if let Joined::Whole(content) = joined {
            whole += 1;
            assert_eq!(*content, first.values().flatten().copied().collect::<Vec<u8>>());
        }
    }
    assert!(whole <= 1 && join.count() <= 32 && join.count() == first.len());
    let size = usize::from(count).max(1);
    if let Some(parts) = cut(bytes, size) {
        let mut join = Join::of(parts[0].parts);
        let last = parts.iter().rev().map(|part| join.take(part)).last();
        assert!(last == Some(Joined::Whole(Zeroizing::new(bytes.to_vec()))), "what is cut joins");
    }
}

pub fn parts_seeds() -> Vec<Vec<u8>> {
    vec![
        vec![2, 1, 2, 1, 9, 0, 2, 2, 7, 8],
        vec![2, 1, 2, 1, 9, 1, 2, 1, 8, 0, 2, 0, 0, 2, 0],
        vec![32, 31, 32, 0, 200, 32, 0, 0, 0, 0],
        vec![],
    ]
}

/// Letters held in any order: a receipt names what is held, and nothing else.
pub fn have(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (mut have, mut held) = (Have::default(), BTreeSet::new());
    let mut seq = 0u16;
    while !input.is_empty() {
        // Mostly steps, so that the map beyond the contiguous ones is met.
        seq = match input.u8() {
            255 => input.u16(),
            step => seq.wrapping_add(u16::from(step)).wrapping_sub(64),
        };
        let can = have.can_name(seq);
        if have.insert(seq) {
            assert!(can && held.insert(seq));
        }
        let receipt = have.receipt([1; 8]);
        for seq in (0..400).chain(seq.saturating_sub(70)..=seq.saturating_add(70)) {
            assert_eq!(receipt.holds(&[1; 8], seq), held.contains(&seq), "letter {seq}");
            assert_eq!(have.holds(seq), held.contains(&seq));
        }
    }
}

pub fn have_seeds() -> Vec<Vec<u8>> {
    vec![vec![65, 65, 65, 67, 62, 65], vec![128, 63, 65, 1], vec![255, 255, 255, 65, 65], [vec![65], vec![66; 20]].concat()]
}
