//! Contents and cards changed at random: whatever has become of them, both take them or both refuse them.
use crate::python::{Python, hex, list};
use crate::statements::{card, card_json, event};
use crate::text::{below, one_of};
use crate::{answers, letters};
use porchlight_proto::answer::Answer;
use porchlight_proto::card::Card;
use porchlight_proto::event::Event;
use porchlight_proto::letter::Letter;
use porchlight_proto::phrase::{Language, Phrase};
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};

/// Bytes that begin something in CBOR, or end it.
const TELLING: &[u8] = &[
    0x00, 0x01, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x20, 0x40, 0x48, 0x58, 0x5f, 0x60, 0x61, 0x78, 0x7f, 0x80, 0x81, 0x9f, 0xa0, 0xa1,
    0xa2, 0xbf, 0xc0, 0xc1, 0xd8, 0xe0, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xff,
];

/// Changes one to three places: another bit, a telling byte, one byte more, one less, a stretch twice, an end cut off.
fn mutate(mut data: Vec<u8>, rng: &mut ChaCha20Rng) -> Vec<u8> {
    for _ in 0..1 + below(rng, 3) {
        let at = below(rng, data.len() as u64 + 1) as usize;
        let room = at < data.len();
        match below(rng, 8) {
            0 if room => data[at] ^= 1 << below(rng, 8),
            1 | 2 if room => data[at] = *one_of(rng, TELLING),
            3 if room => data[at] = data[at].wrapping_add(1),
            4 if room => drop(data.remove(at)),
            5 if room => data.truncate(at),
            6 => data.splice(at..at, data[at..].iter().copied().take(3).collect::<Vec<_>>()).for_each(drop),
            _ => data.insert(at, *one_of(rng, TELLING)),
        }
    }
    data
}

/// Short ones: a change to a long text is seldom a change to the form.
fn original(rng: &mut ChaCha20Rng) -> (&'static str, Vec<u8>) {
    let length = 1 + below(rng, 12) as usize;
    match below(rng, 4) {
        0 => ("parse_letter", letters::letter(rng, length).to_cbor().expect("a short letter")),
        1 => ("parse_answer", answers::answer(rng, length).to_cbor().expect("a short answer")),
        2 => ("parse_card_cbor", card(rng).to_cbor()),
        _ => (
            "parse_event",
            std::iter::repeat_with(|| event(rng).to_cbor()).find(|event| event.len() < 200).expect("a short event"),
        ),
    }
}

fn here(verb: &str, data: &[u8]) -> bool {
    match verb {
        "parse_letter" => Letter::parse(data).is_ok(),
        "parse_answer" => Answer::parse(data).is_ok(),
        "parse_card_cbor" => Card::parse_cbor(data).is_ok(),
        _ => Event::parse(data).is_ok(),
    }
}

/// Gives how many of the mutations both took, and how many both refused.
pub(crate) fn agree(count: usize, rng: &mut ChaCha20Rng, python: &mut Python) -> (usize, usize) {
    let (mut taken, mut refused) = (0, 0);
    let mutated: Vec<_> = (0..count)
        .map(|_| {
            let (verb, data) = original(rng);
            (verb, mutate(data, rng))
        })
        .collect();
    let asked: Vec<Value> = mutated.iter().map(|(verb, data)| json!({"do": verb, "bytes": hex(data)})).collect();
    let there = python.get("batch", json!({"of": asked}));
    for ((verb, data), there) in mutated.iter().zip(list(&there)) {
        let here = here(verb, data);
        assert_eq!(here, there.get("ok").is_some(), "{verb} of {}: {here} here, {there} there", hex(data));
        *if here { &mut taken } else { &mut refused } += 1;
    }
    (taken, refused)
}

/// Characters that separate words, almost separate them, or look like letters.
const TELLING_CHARS: &[char] = &[
    ' ', '\n', '\u{3000}', '\u{a0}', ',', '，', '、', '。', '.', '．', '·', '・', '-', '–', ';', '/', '(', '）', '\u{feff}',
    '\u{200b}', '\u{200d}', '1', '２', 'A', 'ａ', 'é', 'İ', '\u{301}', '\u{11a8}', '\u{1c}', '\u{85}', '가', '白', '=', '+', '_',
];

fn mutate_text(text: &str, rng: &mut ChaCha20Rng) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for _ in 0..below(rng, 3) {
        let at = below(rng, text.len() as u64) as usize;
        match below(rng, 4) {
            0 if text.len() > 1 => drop(text.remove(at)),
            1 => text[at] = *one_of(rng, TELLING_CHARS),
            _ => text.insert(at, *one_of(rng, TELLING_CHARS)),
        }
    }
    text.into_iter().collect()
}

/// The same for phrases and the text form of cards, letter by letter; and what is read must be the same.
pub(crate) fn agree_on_text(count: usize, rng: &mut ChaCha20Rng, python: &mut Python) -> (usize, usize) {
    let (mut taken, mut refused) = (0, 0);
    let texts: Vec<_> = (0..count).map(|n| mutated_text(n, rng)).collect();
    let asked: Vec<_> = texts.iter().map(|(verb, text)| json!({"do": verb, "text": text})).collect();
    let there = python.get("batch", json!({"of": asked}));
    for ((verb, text), there) in texts.iter().zip(list(&there)) {
        let here = match *verb {
            "read_phrase" => Phrase::parse(text).ok().map(|phrase| json!(phrase.indexes())),
            _ => Card::parse_text(text).ok().map(|card| card_json(&card)),
        };
        assert_eq!(here.as_ref(), there.get("ok"), "{verb} of {text:?}");
        *if here.is_some() { &mut taken } else { &mut refused } += 1;
    }
    (taken, refused)
}

/// A phrase or a card as somebody may have typed it, and the verb that reads it.
fn mutated_text(n: usize, rng: &mut ChaCha20Rng) -> (&'static str, String) {
    if n % 2 == 1 {
        return ("parse_card", mutate_text(&card(rng).to_text(), rng));
    }
    let (phrase, language) = (Phrase::generate(rng), *one_of(rng, &Language::ALL));
    let separator = one_of::<&str>(rng, &[" ", ", ", "、", ""]);
    ("read_phrase", mutate_text(&phrase.words(language).join(separator), rng))
}
