//! Contents and words that are not read (SPEC §4, §8).
use super::Table;
use crate::python::{Python, bytes};
use porchlight_proto::answer::Answer;
use porchlight_proto::event::Event;
use porchlight_proto::letter::{ContentError, Letter};
use porchlight_proto::phrase::{Language, Phrase};
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};

fn both(verb: &str, cbor: &str, python: &mut Python) -> (Result<(), ContentError>, Result<Value, String>) {
    let data = bytes(&json!(cbor));
    let here = match verb {
        "parse_letter" => Letter::parse(&data).map(drop),
        "parse_answer" => Answer::parse(&data).map(drop),
        _ => Event::parse(&data).map(drop),
    };
    (here, python.ask(verb, json!({"bytes": cbor})))
}

pub(super) fn contents(table: &mut Table, python: &mut Python) {
    let long = format!("a10179{:04x}{}", 16_001, "61".repeat(16_001));
    let fits = format!("a10179{:04x}{}", 16_000, "61".repeat(16_000));
    let card = |len: usize| format!("a3000104 59{len:04x}{} 0500", "00".repeat(len)).replace(' ', "");
    let (card_fits, card_long) = (card(2048), card(2049));
    for (verb, name, cbor) in [
        ("parse_answer", "an answer that introduces a card of 2,048 bytes", card_fits.as_str()),
        ("parse_letter", "a letter", "a10001"),
        ("parse_letter", "a letter with an unknown key", "a2000118c8a10102"),
        ("parse_letter", "a letter that takes back everything", "a10680"),
        ("parse_letter", "a letter of 16,000 bytes", &fits),
        ("parse_letter", "a letter that is not in NFC", "a1016365cc81"),
        ("parse_letter", "a letter not in NFC since Unicode 18", "a1016b20c3a9d789d6b8d7816161"),
        ("parse_letter", "a letter with a status of a later version", "a20005016161"),
        ("parse_letter", "a letter in a later version's language", "a20001051a00010000"),
        ("parse_answer", "an answer", "a3000101616105186b"),
        ("parse_answer", "a stop", "a3000105000681480102030405060708"),
        ("parse_event", "an event", "a200040150000102030405060708090a0b0c0d0e0f"),
        (
            "parse_event",
            "an answer on its way",
            "a90006015000000000000000000000000000000000024800000000000000000340040005480000000000000000060107010800",
        ),
        ("parse_event", "an event of an unknown type", "a200186301f5"),
    ] {
        let (here, there) = both(verb, cbor, python);
        table.taken(name, here, there);
    }
    let too_long = [("parse_letter", "16,001 bytes", long.as_str()), ("parse_answer", "a card of 2,049 bytes", &card_long)];
    for (verb, name, cbor) in LETTERS.iter().chain(ANSWERS).chain(EVENTS).chain(&too_long).copied() {
        let (here, there) = both(verb, cbor, python);
        table.refused(&format!("{verb}: {name}"), here, there);
    }
}

type Case<'c> = (&'c str, &'c str, &'c str);

const LETTERS: &[Case<'_>] = &[
    ("parse_letter", "nothing", ""),
    ("parse_letter", "bytes after the map", "a1000100"),
    ("parse_letter", "a key twice", "a200010002"),
    ("parse_letter", "keys in descending order", "a20161610001"),
    ("parse_letter", "a key that is a text", "a1616101"),
    ("parse_letter", "a negative key", "a22001016161"),
    ("parse_letter", "a map without its end", "bf0001"),
    ("parse_letter", "a map of indefinite length", "bf0001ff"),
    ("parse_letter", "a text of indefinite length", "a1017f6161ff"),
    ("parse_letter", "an array", "820001"),
    ("parse_letter", "cut off", "a2000101"),
    ("parse_letter", "nothing but a status of a later version", "a10005"),
    ("parse_letter", "a status that is a text", "a1006131"),
    ("parse_letter", "a status that is a truth", "a100f5"),
    ("parse_letter", "a text that is bytes", "a1014161"),
    ("parse_letter", "a text that is not UTF-8", "a10161ff"),
    ("parse_letter", "a text with half a surrogate", "a10163eda080"),
    ("parse_letter", "a quiet that is a number", "a200010301"),
    ("parse_letter", "a withdrawal of one thing", "a1068100"),
    ("parse_letter", "a withdrawal with a short session", "a10682470001020304050601"),
    ("parse_letter", "a withdrawal of letter 65,536", "a106824800010203040506071a00010000"),
    ("parse_letter", "nothing said", "a10301"),
    ("parse_letter", "nothing at all", "a0"),
    ("parse_letter", "an empty text alone", "a10160"),
    ("parse_letter", "status 0 alone", "a10000"),
    ("parse_letter", "nothing but a language", "a10501"),
];

const ANSWERS: &[Case<'_>] = &[
    ("parse_answer", "without its number", "a20161610501"),
    ("parse_answer", "without its writing time", "a20001016161"),
    ("parse_answer", "bytes after the map", "a30001016161050100"),
    ("parse_answer", "a number that is a text", "a30061310161610501"),
    ("parse_answer", "a meeting that is a number", "a4000101616103010501"),
    ("parse_answer", "a card that is a text", "a300010461610501"),
    ("parse_answer", "a stop of a short id", "a30001050106814701020304050607"),
    ("parse_answer", "a stop that is no array", "a3000105010601"),
    ("parse_answer", "the number twice", "a3000100010501"),
];

const EVENTS: &[Case<'_>] = &[
    ("parse_event", "without a type", "a10101"),
    ("parse_event", "a type that is a text", "a1006131"),
    ("parse_event", "a release of a caller of 15 bytes", "a20004014f000102030405060708090a0b0c0d0e"),
    ("parse_event", "a release of nobody", "a10004"),
    ("parse_event", "slots that are not said", "a10009"),
    ("parse_event", "an acknowledgement of nothing", "a30002024800000000000000000301"),
    ("parse_event", "a key of 3 bytes", "a200010143010203"),
    ("parse_event", "bytes after the map", "a200040150000102030405060708090a0b0c0d0e0f00"),
    (
        "parse_event",
        "an answer of kind 3",
        "a90006015000000000000000000000000000000000024800000000000000000340040005480000000000000000060107030800",
    ),
];

pub(super) fn phrases(table: &mut Table, rng: &mut ChaCha20Rng, python: &mut Python) {
    let phrase = Phrase::generate(rng);
    let words = phrase.words(Language::Ko).join(" ");
    let mut both = |text: &str| (Phrase::parse(text).map(drop), python.ask("read_phrase", json!({"text": text})));
    let (here, there) = both(&words);
    table.taken("a phrase", here, there);
    let seven = words.rsplit_once(' ').unwrap().0.to_owned();
    for (name, text) in [
        ("nothing", String::new()),
        ("seven words", seven.clone()),
        ("nine words", format!("{words} {}", phrase.words(Language::En)[0])),
        ("a word that is not in the list", format!("{seven} 존재하지않는단어")),
        ("an English word that is not in the list", format!("{seven} xyzzy")),
        ("a word cut short", format!("{seven} \u{1112}")),
        ("separators only", ", 、 。 - 1. 2.".into()),
    ] {
        let (here, there) = both(&text);
        table.refused(&format!("a phrase: {name}"), here, there);
    }
}
