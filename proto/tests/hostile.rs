//! Every parser meets hostile bytes: random ones, and honest ones with one thing changed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "a test that fails says so by panicking"
)]
mod support;
use porchlight_proto::{
    answer::Answer,
    api::{DeskBeat, DeskReply, LanePage, Notice, UpPost, UpReply},
    bulletin::Bulletin,
    card::{Card, Door, RelayAddress},
    cert::{DeskCert, DeviceCert},
    event::{Admitted, Event},
    letter::{Letter, Status},
    line::{DeviceId, Gate},
    phrase::Phrase,
    root::RootWords,
    roster::UncheckedRoster,
    token::UncheckedToken,
    visit::{Clock, Visit},
};
use proptest::prelude::*;
use rand_core::SeedableRng;
use support::{Line, NOW, rng};

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_answered_with_an_error_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
        let line = Line::new(&mut rand_chacha::ChaCha20Rng::seed_from_u64(1));
        prop_assert!(UncheckedRoster::parse(&bytes).is_err() || bytes[0] == 1);
        prop_assert!(Notice::parse(&bytes).is_err());
        let _ = UpPost::parse(&bytes);
        let _ = UpReply::parse(&bytes);
        let _ = DeskBeat::parse(&bytes);
        let _ = DeskReply::parse(&bytes);
        let _ = LanePage::parse(&bytes);
        prop_assert!(DeskCert::check(&bytes, &line.root.public()).is_err());
        prop_assert!(DeviceCert::check(&bytes, &line.lead.public(), &line.id).is_err());
        let _ = Letter::parse(&bytes);
        let _ = Answer::parse(&bytes);
        let _ = Event::parse(&bytes);
        let _ = Card::parse_cbor(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        prop_assert!(Card::parse_text(&text).is_err());
        let _ = Phrase::parse(&text);
        let _ = RootWords::parse(&text);
        let _ = Door::parse(&text);
        let _ = Gate::parse(&text);
        prop_assert!(UncheckedToken::parse(&text).is_err());
        prop_assert!(Bulletin::check(&bytes, &line.roster(), NOW).is_err());
    }

    #[test]
    fn texts_of_any_kind_are_read_or_refused(text in "\\PC{0,200}") {
        let _ = Phrase::parse(&text);
        let _ = Card::parse_text(&format!("PORCHLIGHT1-{text}"));
        let _ = Door::parse(&format!("https://{text}"));
        let letter = Letter { text: text.clone().into(), status: Some(Status::Help), ..Letter::default() };
        let again = Letter::parse(&letter.to_cbor().unwrap()).unwrap();
        prop_assert_eq!(&again.text, &porchlight_proto::letter::normal(&text).unwrap());
    }

    #[test]
    fn a_roster_with_any_bit_flipped_is_not_believed(at in 0usize..4096, bit in 0u8..8) {
        let line = Line::new(&mut rand_chacha::ChaCha20Rng::seed_from_u64(2));
        let mut bytes = *line.roster().bytes();
        bytes[at] ^= 1 << bit;
        let checked = UncheckedRoster::parse(&bytes).and_then(|roster| roster.check(&line.root.public(), NOW));
        prop_assert!(checked.is_err());
    }

    #[test]
    fn cbor_that_grows_is_still_read_and_cbor_that_lies_is_not(extra in 7u8..24, value in any::<u32>()) {
        let letter = Letter { text: String::from("두부").into(), ..Letter::default() };
        let mut bytes = letter.to_cbor().unwrap();
        bytes[0] += 1;
        bytes.extend([extra, 0x1a]);
        bytes.extend(value.to_be_bytes());
        prop_assert_eq!(Letter::parse(&bytes).unwrap(), letter);
        bytes.push(0);
        prop_assert!(Letter::parse(&bytes).is_err(), "a trailing byte");
    }

    #[test]
    fn a_device_is_admitted_with_three_fields_of_their_lengths_only(field in 1u8..4, len in 0usize..1300) {
        let mut lens = [116, 114, 1216];
        let right = lens[usize::from(field) - 1] == len;
        lens[usize::from(field) - 1] = len;
        let read = Event::parse(&map(12, &lens));
        prop_assert_eq!(read.is_ok(), right, "field {} of {} bytes", field, len);
    }

    #[test]
    fn a_revoked_device_is_named_by_eight_bytes_only(len in 0usize..64) {
        prop_assert_eq!(Event::parse(&map(13, &[len])).is_ok(), len == 8);
    }

    #[test]
    fn an_answer_introduces_no_more_than_a_card_may_hold(len in 1900usize..2200) {
        let answer = Answer { n: 1, introduction: Some(vec![7; len]), ..Answer::default() };
        let bytes = introduction(len);
        prop_assert_eq!(Answer::parse(&bytes).ok(), (len <= 2048).then_some(answer.clone()));
        prop_assert_eq!(answer.to_cbor().ok(), (len <= 2048).then_some(bytes));
    }

    #[test]
    fn enrolments_come_back_as_they_went(desk in any::<u8>(), device in any::<u8>(), key in any::<u8>(), id in any::<[u8; 8]>()) {
        let admitted =
            Admitted { desk_cert: Box::new([desk; 116]), device_cert: Box::new([device; 114]), sealing_key: Box::new([key; 1216]) };
        for event in [Event::Admitted(admitted), Event::Revoked { device: DeviceId(id) }] {
            let bytes = event.to_cbor();
            prop_assert_eq!(Event::parse(&bytes).unwrap(), event);
            for cut in 0..bytes.len() {
                prop_assert!(Event::parse(&bytes[..cut]).is_err());
            }
        }
    }
}

/// A map of a type, and byte strings of these lengths under the keys from 1.
fn map(kind: u8, lens: &[usize]) -> Vec<u8> {
    let mut out = minicbor::Encoder::new(Vec::new());
    out.map(1 + lens.len() as u64).unwrap().u8(0).unwrap().u8(kind).unwrap();
    for (key, len) in (1..).zip(lens) {
        out.u8(key).unwrap().bytes(&vec![7; *len]).unwrap();
    }
    out.into_writer()
}

/// An answer that says nothing but a card of a length.
fn introduction(len: usize) -> Vec<u8> {
    let mut out = minicbor::Encoder::new(Vec::new());
    out.map(3).unwrap().u8(0).unwrap().u8(1).unwrap().u8(4).unwrap().bytes(&vec![7; len]).unwrap().u8(5).unwrap().u8(0).unwrap();
    out.into_writer()
}

#[test]
fn the_longest_card_is_still_introduced() {
    assert!(Answer::parse(&introduction(2048)).is_ok());
    assert!(Answer::parse(&introduction(2049)).is_err());
}

#[test]
fn an_enrolment_lacks_nothing() {
    for lens in [&[][..], &[116], &[116, 114]] {
        assert!(Event::parse(&map(12, lens)).is_err(), "{lens:?}");
    }
    assert!(Event::parse(&map(13, &[])).is_err());
}

#[test]
fn a_card_survives_case_and_spacing_but_no_single_wrong_letter() {
    let line = Line::new(&mut rng("card"));
    let relay = |url: &str, pin| RelayAddress { url: url.into(), gates: vec![Gate::parse("tofu7").unwrap()], pin, number: 0 };
    let mut second = relay("https://[::1]:8443", None);
    second.number = 9;
    let card = Card { root: line.root.public(), relays: vec![relay("https://relay.example", Some([3; 32])), second] };
    let text = card.to_text();
    assert_eq!(Card::parse_text(&text).unwrap(), card);
    let messy: String = text.to_lowercase().chars().flat_map(|c| [c, ' ']).collect();
    assert_eq!(Card::parse_text(&format!("\n{messy}\t")).unwrap(), card);
    for at in "PORCHLIGHT1-".len()..text.len() {
        let mut wrong = text.clone().into_bytes();
        wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
        assert!(Card::parse_text(&String::from_utf8(wrong).unwrap()).is_err(), "letter {at}");
    }
}

#[test]
fn a_card_lacks_nothing_says_nothing_twice_and_is_no_longer_than_it_may_be() {
    let line = Line::new(&mut rng("cards"));
    let gates = |count: usize| (0..count).map(|nth| Gate::parse(&format!("{nth:0>32}")).unwrap()).collect::<Vec<_>>();
    let relay = |host: usize, gate_count, number| RelayAddress {
        url: format!("https://{}", "a".repeat(host)),
        gates: gates(gate_count),
        pin: Some([3; 32]),
        number,
    };
    let card = |relays| Card { root: line.root.public(), relays };
    let good = card(vec![relay(9, 1, 0), relay(9, 8, 200)]);
    assert_eq!(Card::parse_cbor(&good.to_cbor()).unwrap(), good);
    let mut of_tomorrow = good.to_cbor();
    assert_eq!(of_tomorrow[..3], [0xa3, 0, 1], "the version is where it is looked for");
    of_tomorrow[2] = 2;
    assert!(Card::parse_cbor(&of_tomorrow).is_err(), "another version");
    for (name, relays) in [
        ("no relay", vec![]),
        ("no gate", vec![relay(9, 0, 0)]),
        ("no address", vec![RelayAddress { url: String::new(), ..relay(9, 1, 0) }]),
        ("one number twice", vec![relay(9, 1, 0), relay(9, 1, 1), relay(9, 1, 0)]),
        ("nine relays", (0..9).map(|number| relay(9, 1, number)).collect()),
        ("nine gates", vec![relay(9, 9, 0)]),
    ] {
        assert!(Card::parse_cbor(&card(relays).to_cbor()).is_err(), "{name}");
    }
    // Of just the length that a card may have, and a byte more.
    let long = |host| card((0..8).map(|number| relay(if number == 7 { host } else { 9 }, 5, number)).collect()).to_cbor();
    let host = 9 + 2048 - long(9).len();
    let longest = (host - 4..=host).map(long).find(|cbor| cbor.len() == 2048).expect("some host makes it that long");
    assert!(Card::parse_cbor(&longest).is_ok());
    let longer = (host - 4..=host + 4).map(long).find(|cbor| cbor.len() == 2049).expect("and another makes it longer");
    assert!(Card::parse_cbor(&longer).is_err());
}

#[test]
fn urls_with_paths_users_or_other_schemes_are_no_relays() {
    for bad in [
        "http://a",
        "https://",
        "https://a/b",
        "https://u@a",
        "https://a:0",
        "https://a:99999",
        "https://a:x",
        "https://a b",
        "https://[a]@evil",
        "https://[a]/p",
        "https://a:+443",
    ] {
        assert!(!porchlight_proto::card::is_relay_url(bad), "{bad}");
    }
    for good in ["https://a", "https://127.0.0.1:1", "https://[::1]", "https://[::1]:443", "https://relay.example:8443"] {
        assert!(porchlight_proto::card::is_relay_url(good), "{good}");
    }
}

#[test]
fn a_visit_takes_no_garbage_for_a_relay() {
    let mut rng = rng("visit garbage");
    let line = Line::new(&mut rng);
    let mut visit = Visit::open(line.root.public(), &mut rng);
    let now = NOW.millis();
    assert!(visit.notice(&[0; 4240], None, now, Clock::Relays).is_err());
    assert!(visit.notice(&[], Some(0), now, Clock::Own).is_err());
    assert!(visit.slow_day(0, &[1; 49_151], now).is_err());
    assert!(visit.fast(0, &[1; 8191], now).is_err());
    assert!(visit.beat(0, now, &mut rng).is_err());
}
