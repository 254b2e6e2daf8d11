//! What is written in one place is read as it was in another: contents, codes, words, addresses; and what must be refused.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "a test that fails says so by panicking"
)]
use data_encoding::HEXLOWER;
use porchlight_proto::{
    answer::Answer,
    bulletin::Code,
    card::{Card, CardError, Door, RelayAddress},
    event::{Act, AnswerEvent, AnswerKind, Board, Event, HandOver, How, Proposal, trace},
    have::Have,
    letter::{ContentError, Letter, Status},
    line::{CallerId, DeviceId, Gate},
    phrase::{
        Language, Phrase, PhraseError, read_words,
        words::{picture, shelves},
    },
    replay::Replay,
    sign::PublicKey,
};
use std::fmt::Debug;

/// The bytes under a name in the published contents, in their order.
fn published(name: &str) -> Vec<Vec<u8>> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/08-contents.hex");
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(" = ")).map(bytes).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.replace(' ', "").as_bytes()).unwrap()
}

#[test]
fn every_published_content_is_read_and_is_written_again_as_it_was() {
    let (letters, answers, events) = (published("letter"), published("answer"), published("event"));
    assert_eq!((letters.len(), answers.len(), events.len()), (3, 1, 31));
    for bytes in letters {
        assert_eq!(Letter::parse(&bytes).unwrap().to_cbor().unwrap(), bytes);
    }
    for bytes in answers {
        assert_eq!(Answer::parse(&bytes).unwrap().to_cbor().unwrap(), bytes);
    }
    for (kind, bytes) in (1..).zip(events) {
        let event = Event::parse(&bytes).unwrap_or_else(|error| panic!("type {kind}: {error}"));
        assert!(!matches!(event, Event::Unknown(_)), "type {kind} is known");
        assert_eq!(event.to_cbor(), bytes, "type {kind}");
    }
}

/// Holds an enumeration against its codes in the SPEC: each number has its value, and every other number has none.
fn has_codes<T, C>(what: &str, values: &[(u8, T)], code: impl Fn(T) -> C, value: impl Fn(C) -> Option<T>)
where
    T: Copy + Debug + PartialEq,
    C: Debug + From<u8> + PartialEq,
{
    for (number, known) in values {
        assert_eq!(code(*known), C::from(*number), "{what}: {known:?}");
    }
    for number in 0..=u8::MAX {
        let known = values.iter().find(|(known, _)| *known == number).map(|(_, value)| *value);
        assert_eq!(value(C::from(number)), known, "{what} {number}");
    }
}

#[test]
fn every_coded_value_has_its_number_and_every_other_number_has_none() {
    let statuses = [(1, Status::Safe), (2, Status::Help), (3, Status::Moving), (4, Status::Talk)];
    has_codes("status", &statuses, Status::code, Status::from_code);
    let languages = [(0, Language::Zh), (1, Language::Ko), (2, Language::En)];
    has_codes("language", &languages, Language::code, Language::from_code);
    has_codes("how", &[(0, How::Unknown), (1, How::Introduced), (2, How::Verified)], How::code, How::from_code);
    let acts = [(1, Act::Join), (2, Act::Fulfil), (3, Act::Forget), (4, Act::KeepHandOver), (5, Act::Say)];
    has_codes("act", &acts, Act::code, Act::from_code);
    has_codes("bulletin", &[(1, Code::NoMeetings), (2, Code::Closed), (3, Code::DoorChanges)], Code::code, Code::from_code);
}

/// What must not outlive the forgetting, wherever somebody's words can stand.
const WORDS: &str = "HER WORDS";

fn answer_event(kind: AnswerKind, flags: u8, content: Vec<u8>) -> Event {
    let (caller, answer, session) = (CallerId([1; 16]), [4; 8], [5; 8]);
    Event::Answer(AnswerEvent { caller, answer, content, good_until: 1_795_500_000, session, seq: 6, kind, flags })
}

fn hand_over(text: &str) -> Event {
    let [situation, promised_by_us, promised_by_her, risk, next_step] = [(); 5].map(|()| text.to_owned());
    let (caller, to) = (CallerId([1; 16]), DeviceId([3; 8]));
    Event::HandOver(HandOver { caller, to, situation, promised_by_us, promised_by_her, risk, next_step })
}

#[test]
fn an_event_that_is_forgotten_keeps_whose_it_is_and_its_numbers_and_nobodys_words() {
    let (caller, other) = (CallerId([1; 16]), CallerId([2; 16]));
    let (words, none) = (|| String::from(WORDS), String::new);
    let said = Answer {
        n: 7,
        text: words().into(),
        language: Some(Language::Ko),
        meeting: true,
        introduction: Some(WORDS.into()),
        written: 1_795_478_400,
        stops: vec![[8; 8]],
    };
    let said = said.to_cbor().unwrap();
    // Of seven keys three: n, whether it names a place or a time, and when it was written.
    let left = bytes("a3 0007 03f5 051a6b04d380");
    let claim = |reason: &str| Event::Claim { caller, lease: 900, reason: reason.into() };
    let known = |text| Event::Known { caller, how: How::Verified, text, day: 20_717 };
    let proposal = |text| Event::Propose(Proposal { caller, act: Act::Say, other, text });
    let answer = |content| answer_event(AnswerKind::Answer, 0, content);
    for (name, event, trace_of_it) in [
        ("a note", Event::Note { caller, text: words() }, Some(Event::Note { caller, text: none() })),
        ("a claim with a reason", claim(WORDS), Some(claim("…"))),
        ("a claim without one", claim(""), None),
        ("a hand-over", hand_over(WORDS), Some(hand_over(""))),
        ("how the team knows her", known(words()), Some(known(none()))),
        (
            "a question",
            Event::Question { caller, question: words(), answer: words() },
            Some(Event::Question { caller, question: none(), answer: none() }),
        ),
        ("a wish", Event::Wish { caller, text: words() }, Some(Event::Wish { caller, text: none() })),
        ("a proposal", proposal(words()), Some(proposal(none()))),
        ("an answer", answer(said.clone()), Some(answer(left))),
        ("an answer of bytes that are none", answer(WORDS.into()), None),
        ("an answer with word of a letter", answer_event(AnswerKind::Answer, 1, said.clone()), None),
        ("a stop", answer_event(AnswerKind::Stop, 0, said), None),
    ] {
        let body = event.to_cbor();
        assert!(Event::parse(&body) == Ok(event.clone()), "{name} is read as it was");
        assert!(event.without_words() == trace_of_it, "{name}");
        let kept = trace_of_it.as_ref().map_or(body.clone(), Event::to_cbor);
        assert_eq!(trace(&body), kept, "{name}");
        let stays = kept.windows(WORDS.len()).any(|window| window == WORDS.as_bytes());
        assert!(trace_of_it.is_none() || !stays, "{name} keeps words");
    }
    let with_words = |(kind, body): (u8, Vec<u8>)| Event::parse(&body).unwrap().without_words().map(|_| kind);
    let forgotten: Vec<u8> = (1..).zip(published("event")).filter_map(with_words).collect();
    assert_eq!(forgotten, [3, 5, 14, 21, 22, 23, 26], "of the published ones, whose answer is a stop");
}

/// A map of one text under key 1, with whatever else the content requires.
fn with_text(text: &str, numbered: bool) -> Vec<u8> {
    let mut out = minicbor::Encoder::new(Vec::new());
    if numbered {
        out.map(3).unwrap().u8(0).unwrap().u8(1).unwrap().u8(1).unwrap().str(text).unwrap().u8(5).unwrap().u8(0).unwrap();
    } else {
        out.map(1).unwrap().u8(1).unwrap().str(text).unwrap();
    }
    out.into_writer()
}

#[test]
fn a_text_has_sixteen_thousand_bytes_in_nfc_and_for_its_reader_before_it_too() {
    for (name, text, written, read) in [
        ("16,000 bytes", "a".repeat(16_000), true, true),
        ("16,001 bytes", "a".repeat(16_001), false, false),
        ("16,002 bytes, 5,334 in NFC", "\u{1112}\u{1161}\u{11ab}".repeat(1_778), true, false),
        ("7,998 bytes, 15,996 in NFC", "\u{958}".repeat(2_666), true, true),
        ("8,001 bytes, 16,002 in NFC", "\u{958}".repeat(2_667), false, false),
    ] {
        let letter = Letter { text: text.clone().into(), ..Letter::default() };
        let answer = Answer { n: 1, text: text.clone().into(), ..Answer::default() };
        for made in [letter.to_cbor(), answer.to_cbor()] {
            assert_eq!(made.map(|_| ()), if written { Ok(()) } else { Err(ContentError::TooLong) }, "{name}, written");
        }
        let letter = Letter::parse(&with_text(&text, false)).map(|letter| letter.text);
        let answer = Answer::parse(&with_text(&text, true)).map(|answer| answer.text);
        for parsed in [letter, answer] {
            assert_eq!(parsed.map(|_| ()), if read { Ok(()) } else { Err(ContentError::Malformed) }, "{name}, read");
        }
    }
}

#[test]
fn what_an_event_may_hold_ends_where_the_spec_says() {
    let caller = CallerId([1; 16]);
    let held = |count: u8| (0..count).map(|device| (DeviceId([device; 8]), 1)).collect();
    let acknowledge = |count| Event::Acknowledge { held: held(count), life: [7; 8], position: 9 };
    let ask = |count| Event::Ask { held: held(count), since: 1_790_000_000 };
    let board = |blobs| Event::Board(Board { to: DeviceId([4; 8]), ask: 1, root: [6; 16], relay: 3, blobs, hash: [0; 32] });
    let note = |text: String| Event::Note { caller, text };
    for (name, within, beyond) in [
        ("devices acknowledged", acknowledge(64), acknowledge(65)),
        ("devices asked about", ask(64), ask(65)),
        ("slots", Event::Slots(vec![255; 8]), Event::Slots(vec![255; 9])),
        ("blobs at the least", board(1), board(0)),
        ("blobs at the most", board(512), board(513)),
        ("days at the least", Event::Keep { days: 1 }, Event::Keep { days: 0 }),
        ("days at the most", Event::Keep { days: 180 }, Event::Keep { days: 181 }),
        ("a text", note("a".repeat(16_000)), note("a".repeat(16_001))),
        ("a text that is taken as it is", note("\u{1112}\u{1161}\u{11ab}".repeat(1_777)), note("\u{1112}".repeat(5_334))),
    ] {
        assert!(Event::parse(&within.to_cbor()) == Ok(within), "{name}");
        assert!(Event::parse(&beyond.to_cbor()) == Err(ContentError::Malformed), "one beyond: {name}");
    }
}

#[test]
fn a_letter_says_something_and_what_says_nothing_is_as_if_it_were_absent() {
    let safe = Letter { status: Some(Status::Safe), ..Letter::default() };
    let text = Letter { text: String::from("a").into(), ..Letter::default() };
    for (name, letter, read) in [
        ("next in no time", "a2 0001 0200", Ok(safe.clone())),
        ("next in a second", "a2 0001 0201", Ok(Letter { next: Some(1), ..safe.clone() })),
        ("not quiet, not like a relative", "a3 0001 03f4 04f4", Ok(safe.clone())),
        ("a status of a later version", "a2 0005 016161", Ok(text)),
        ("a language of a later version", "a2 0001 0503", Ok(safe)),
        ("nothing", "a0", Err(ContentError::Empty)),
        ("quiet and nothing else", "a1 03f5", Err(ContentError::Empty)),
        ("a withdrawal of half a letter", "a1 0681 480102030405060708", Err(ContentError::Malformed)),
    ] {
        assert_eq!(Letter::parse(&bytes(letter)), read, "{name}");
    }
}

#[test]
fn an_answer_has_a_number_and_its_time_and_a_stop_names_no_more_than_64() {
    let least = Answer { n: 1, ..Answer::default() };
    let malformed = Err(ContentError::Malformed);
    for (name, answer, read) in [
        ("both", "a2 0001 0500", Ok(least)),
        ("no time", "a1 0001", malformed.clone()),
        ("no number", "a1 0500", malformed.clone()),
        ("neither", "a0", malformed.clone()),
    ] {
        assert_eq!(Answer::parse(&bytes(answer)), read, "{name}");
    }
    let stop = |count: usize| Answer { n: 1, stops: vec![[7; 8]; count], ..Answer::default() };
    let full = stop(64).to_cbor().unwrap();
    assert_eq!(Answer::parse(&full), Ok(stop(64)));
    assert_eq!(stop(65).to_cbor(), Err(ContentError::TooLong));
    // The head of the list says 65, and one more follows.
    let head = bytes("06 9840");
    let at = full.windows(3).position(|window| window == head).unwrap();
    let mut longer = full;
    longer[at + 2] = 65;
    longer.extend(bytes("48 0707070707070707"));
    assert_eq!(Answer::parse(&longer), malformed);
}

#[test]
fn a_stop_covers_lower_numbers_or_those_it_names() {
    let (named, other) = ([7; 8], [8; 8]);
    for (stops, n, answer, covered) in [
        (vec![], 4, named, true),
        (vec![], 5, named, false),
        (vec![], 6, named, false),
        (vec![named], 6, named, true),
        (vec![named], 4, other, false),
    ] {
        let stop = Answer { n: 5, stops, ..Answer::default() };
        assert_eq!(stop.stops(n, &answer), covered, "number {n}, {} named", stop.stops.len());
    }
}

#[test]
fn a_key_of_a_later_version_is_passed_over_if_its_value_is_well_formed_and_of_definite_length() {
    let safe = Letter { status: Some(Status::Safe), ..Letter::default() };
    let with_unknown = |value: &str| Letter::parse(&[bytes("a2 0001 07"), bytes(value)].concat());
    for (name, value) in [
        ("a number", "1903e8"),
        ("a text", "6161"),
        ("an empty list", "80"),
        ("a list", "82 01 6161"),
        ("a map", "a2 01 02 03 04"),
        ("a tag", "c1 1a6b04d380"),
        ("one in the other", "a1 01 82 c1 81 f6 a1 4107 f5"),
        ("half a number", "f93c00"),
    ] {
        assert_eq!(with_unknown(value), Ok(safe.clone()), "{name}");
    }
    let wrong = [
        ("a break", "ff"),
        ("bytes without a length", "5f 4107 ff"),
        ("a text without a length", "7f 6161 ff"),
        ("a list without a length", "9f 01 ff"),
        ("a map without a length", "bf 01 02 ff"),
        ("more pairs than can be counted", "bb ffffffffffffffff"),
        ("nothing", ""),
    ];
    for (name, value) in wrong {
        for (around, head) in [("alone", ""), ("in a list", "81"), ("in a map", "a1 01"), ("in a tag", "c1")] {
            let whole = format!("{head}{value}");
            assert_eq!(with_unknown(&whole), Err(ContentError::Malformed), "{name} {around}");
        }
    }
}

#[test]
fn a_gate_is_four_to_thirty_two_small_letters_and_digits() {
    for good in ["abcd", "0000", "a1b2", &"z".repeat(32)] {
        assert_eq!(Gate::parse(good).unwrap().as_str(), good);
    }
    for bad in ["", "abc", &"z".repeat(33), "ab/cd", "Abcd", "ab cd", "ab-cd", "abcé"] {
        assert!(Gate::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_door_is_host_and_gate_and_short_enough_to_be_said_aloud() {
    let door = |gate: &str| Ok(Door { host: "line.example".into(), gate: Gate::parse(gate).unwrap() });
    for (text, read) in [
        ("https://line.example/tofu7", door("tofu7")),
        ("line.example/tofu7", door("tofu7")),
        ("line.example/abcdefghijk", door("abcdefghijk")),
        ("line.example/abcdefghijkl", Err(CardError::Mistyped)),
        ("https://line.example", Err(CardError::NotACard)),
        ("https://line.example/abc", Err(CardError::NotACard)),
        ("https://she@line/tofu7", Err(CardError::NotACard)),
        ("https:///tofu7", Err(CardError::NotACard)),
    ] {
        assert_eq!(Door::parse(text), read, "{text}");
    }
    assert_eq!(door("tofu7").unwrap().to_text(), "https://line.example/tofu7");
}

#[test]
fn a_card_is_looked_for_in_no_more_text_than_one_can_fill() {
    let relay =
        RelayAddress { url: "https://relay.example".into(), gates: vec![Gate::parse("tofu7").unwrap()], pin: None, number: 0 };
    let card = Card { root: PublicKey::from_bytes([7; 32]), relays: vec![relay] };
    let padded = |len: usize| format!("{:<len$}", card.to_text());
    assert_eq!(Card::parse_text(&padded(16_384)), Ok(card.clone()));
    assert_eq!(Card::parse_text(&padded(16_385)), Err(CardError::NotACard));
}

#[test]
fn a_receipt_can_name_sixty_four_beyond_what_is_held_without_a_gap() {
    let named = |have: &Have| (0..=200).filter(|seq| have.can_name(*seq)).collect::<Vec<u16>>();
    let mut have = Have::default();
    assert_eq!(named(&have), (1..=64).collect::<Vec<u16>>());
    for seq in [1, 2, 4] {
        assert!(have.insert(seq), "{seq}");
        assert!(!have.insert(seq), "{seq} is held already");
    }
    assert_eq!(named(&have), (1..=66).collect::<Vec<u16>>());
    assert_eq!((0..=5).map(|seq| have.holds(seq)).collect::<Vec<_>>(), [false, true, true, false, true, false]);
    assert!(have.insert(3) && (5..=65_535).all(|seq| have.insert(seq)), "up to the last that a visit can number");
    let receipt = have.receipt([9; 8]);
    assert_eq!((have.holds(65_535), have.can_name(65_535), receipt.upto, receipt.map), (true, true, 65_535, 0));
}

#[test]
fn cells_are_remembered_by_period_and_forgotten_with_it() {
    let mut replay = Replay::default();
    assert_eq!(replay.count(), 0);
    for (period, hash, new) in [(1, 7, true), (1, 8, true), (1, 7, false), (2, 7, true)] {
        assert_eq!(replay.is_new(period, [hash; 32]), new, "{hash} of period {period}");
    }
    assert_eq!(replay.count(), 3);
    replay.forget(1);
    assert_eq!(replay.count(), 1);
    assert!(!replay.is_new(2, [7; 32]), "the other period's stay");
    assert!(replay.is_new(1, [7; 32]));
}

#[test]
fn eight_numbers_of_the_list_are_a_phrase_and_a_word_that_is_none_is_told_by_its_place() {
    let phrase = Phrase::from_indexes([1023, 0, 1, 2, 3, 4, 5, 6]).unwrap();
    assert_eq!(phrase.indexes(), &[1023, 0, 1, 2, 3, 4, 5, 6]);
    assert!(Phrase::from_indexes([1024, 0, 1, 2, 3, 4, 5, 6]).is_none());

    let eight = "cabbage 시금치 白菜菠菜 Spinach 1. 배추 cabbage typewriter";
    let read = Ok([0, 1, 0, 1, 1, 0, 0, 1023]);
    let padded = |len: usize| format!("{eight}{}", " ".repeat(len - eight.len()));
    for (name, text, read) in [
        ("in three languages", eight.to_owned(), read),
        ("in 4,096 bytes", padded(4_096), read),
        // So long a text is not read: what lies between its spaces is counted.
        ("in 4,097 bytes", padded(4_097), Err(PhraseError::WordCount(8))),
        ("seven", "cabbage ".repeat(7), Err(PhraseError::WordCount(7))),
        ("nine", "cabbage ".repeat(9), Err(PhraseError::WordCount(9))),
        ("none", String::new(), Err(PhraseError::WordCount(0))),
        ("no word", "xyzzy cabbage".to_owned(), Err(PhraseError::UnknownWord(1))),
        ("no third word", "cabbage spinach xyzzy cabbage".to_owned(), Err(PhraseError::UnknownWord(3))),
        ("no third word in one piece", "白菜菠菜xyzzy白菜".to_owned(), Err(PhraseError::UnknownWord(3))),
    ] {
        assert_eq!(read_words::<8>(&text), read, "{name}");
    }
}

#[test]
fn shelves_and_pictures_have_their_names_in_each_language() {
    for (language, first, last, sun, moon, lighthouse) in [
        (Language::Ko, "푸성귀", "글방", "해", "달", "등대"),
        (Language::Zh, "蔬菜", "文具", "太阳", "月亮", "灯塔"),
        (Language::En, "greens", "paper and pencils", "sun", "moon", "lighthouse"),
    ] {
        let shelves: Vec<_> = shelves(language).collect();
        assert_eq!((shelves.len(), shelves[0], shelves[31]), (32, first, last));
        assert_eq!([0, 1, 63].map(|index| picture(index, language)), [sun, moon, lighthouse]);
    }
}
