//! Signed statements that are not believed: signatures, rosters, certificates, bulletins, cards (SPEC §2, §5, §10, §11).
use super::{Table, flipped, with};
use crate::python::{Python, array, bytes, hex};
use crate::statements::roster_fields;
use crate::text::random;
use crate::world::World;
use porchlight_proto::bulletin::Bulletin;
use porchlight_proto::card::{Card, Door};
use porchlight_proto::cert::{DeskCert, DeviceCert, Role};
use porchlight_proto::kdf::label;
use porchlight_proto::layout;
use porchlight_proto::line::Seat;
use porchlight_proto::roster::{Roster, RosterError, UncheckedRoster};
use porchlight_proto::sign::{PublicKey, SecretKey};
use porchlight_proto::time::Seconds;
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};

pub(super) fn signatures(table: &mut Table, rng: &mut ChaCha20Rng, python: &mut Python) {
    let (key, part) = (SecretKey::generate(rng), random::<20>(rng));
    let message = [label("letter").as_slice(), &part].concat();
    let good = key.sign("letter", &[&part]);
    let mut try_ = |key: &PublicKey, signature: &[u8; 64]| {
        let asked = json!({"key": hex(key.as_bytes()), "message": hex(&message), "signature": hex(signature)});
        (key.verify("letter", &[&part], signature), python.ask("verify", asked))
    };
    let (here, there) = try_(&key.public(), &good);
    table.taken("a signature", here, there);
    for at in [0, 31, 32, 63] {
        let mut spoilt = good;
        spoilt[at] ^= 1;
        let (here, there) = try_(&key.public(), &spoilt);
        table.refused(&format!("a flipped bit in byte {at} of a signature"), here, there);
    }
    for point in small_points() {
        let signature = array(&hex([point, [0; 32]].concat()));
        for key in small_points() {
            let (here, there) = try_(&PublicKey::from_bytes(key), &signature);
            table.refused("a key and an R of small order", here, there);
        }
        let mut spoilt = good;
        spoilt[..32].copy_from_slice(&point);
        let (here, there) = try_(&key.public(), &spoilt);
        table.refused("an R of small order", here, there);
    }
}

/// The points of order 1, 2, 4 and 8, and two encodings of the first two that are not canonical.
fn small_points() -> Vec<[u8; 32]> {
    [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ]
    .map(|point| array(&json!(point)))
    .to_vec()
}

/// What both say of a roster: the roster's terms, so that the order of the checks is compared too.
fn roster(
    data: &[u8],
    root: &PublicKey,
    now: Seconds,
    python: &mut Python,
) -> (Result<Roster, &'static str>, Result<Value, String>) {
    let here = UncheckedRoster::parse(data).and_then(|roster| roster.check(root, now)).map_err(|error| match error {
        RosterError::Malformed => "malformed",
        RosterError::Forged => "forged",
        RosterError::NotYet => "not yet",
        RosterError::Expired => "expired",
        _ => "something else",
    });
    let there = python.ask("check_roster", json!({"roster": hex(data), "root_pk": hex(root.as_bytes()), "now": now.0}));
    (here, there)
}

fn roster_refused(
    table: &mut Table,
    (name, kind): (&str, &str),
    data: &[u8],
    (root, now): (&PublicKey, Seconds),
    python: &mut Python,
) {
    let (here, there) = roster(data, root, now, python);
    assert_eq!(here.as_ref().err().copied(), Some(kind), "{name}, here");
    assert_eq!(there.as_ref().err().map(String::as_str), Some(kind), "{name}, there");
    table.refused(name, here, there);
}

pub(super) fn rosters(table: &mut Table, world: &World, rng: &mut ChaCha20Rng, python: &mut Python) {
    let (root, now, data) = (world.root.public(), world.now, world.roster.bytes().to_vec());
    let (here, there) = roster(&data, &root, now, python);
    table.taken("a roster", here, there);
    let ours = (&root, now);
    for (name, spoilt) in flipped(&layout::roster::LAYOUT, &data, rng) {
        let kind = if ["version", "flags", "zero"].contains(&name) { "malformed" } else { "forged" };
        roster_refused(table, (&format!("a flipped bit in the roster's {name}"), kind), &spoilt, ours, python);
    }
    let other = SecretKey::generate(rng).public();
    let (before, after) = (Seconds(world.roster.not_before().0 - 1), world.roster.not_after());
    for (name, kind, data, root, now) in [
        ("another pinned root", "forged", &data[..], &other, now),
        ("one byte short", "malformed", &data[1..], &root, now),
        ("one byte long", "malformed", &[&data[..], &[0]].concat(), &root, now),
        ("not yet in force", "not yet", &data, &root, before),
        ("in the second after its last", "expired", &data, &root, after),
    ] {
        roster_refused(table, (name, kind), data, (root, now), python);
    }
    for (name, kind, fields) in roster_fields_spoilt(world, rng) {
        let spoilt = built(world, &fields, &world.desk, python);
        roster_refused(table, (name, kind), &spoilt, ours, python);
    }
    let forged = built(world, &json!({}), &world.root, python);
    roster_refused(table, ("signed by the root instead of the desk key", "forged"), &forged, ours, python);
}

/// A roster with some fields replaced, properly signed.
fn built(world: &World, changes: &Value, desk: &SecretKey, python: &mut Python) -> Vec<u8> {
    let fields = with(&roster_fields(world), changes);
    bytes(&python.get("build_roster", json!({"fields": fields, "desk_seed": hex(desk.seed().as_slice())})))
}

fn roster_fields_spoilt(world: &World, rng: &mut ChaCha20Rng) -> Vec<(&'static str, &'static str, Value)> {
    let now = world.now.0;
    let mut zero_share = *world.roster.desk_key().as_bytes();
    zero_share[1184..].fill(0);
    let mut unreduced = *world.roster.safe_key().as_bytes();
    unreduced[..3].fill(255);
    let cert = |root: &SecretKey, from: u64, to: u64| {
        hex(DeskCert::sign(root, &world.desk.public(), 7, Seconds(from), Seconds(to)).bytes())
    };
    let stranger = SecretKey::generate(rng);
    vec![
        ("version 2", "malformed", json!({"version": 2})),
        ("a signed flag", "malformed", json!({"flags": 1})),
        ("a signed byte that must be zero", "malformed", json!({"zero": hex([[0; 695].as_slice(), &[1]].concat())})),
        ("another line's id", "forged", json!({"line_id": hex(random::<32>(rng))})),
        ("a certificate by another root", "forged", json!({"desk_cert": cert(&stranger, now - 10, now + 10)})),
        ("a certificate for another key", "forged", json!({"desk_cert": other_cert(world, &stranger)})),
        ("an expired certificate", "expired", json!({"desk_cert": cert(&world.root, now - 10, now)})),
        ("a certificate not yet valid", "expired", json!({"desk_cert": cert(&world.root, now + 1, now + 10)})),
        ("up_beat_ms 9", "malformed", json!({"up_beat_ms": 9})),
        ("beat_ms 99", "malformed", json!({"beat_ms": 99})),
        ("beat_ms that does not divide a day", "malformed", json!({"beat_ms": 7_000 + 1})),
        ("no fast slots", "malformed", json!({"fast_slots": 0})),
        ("nine fast slots", "malformed", json!({"fast_slots": 9})),
        ("slow_s 0", "malformed", json!({"slow_s": 0})),
        ("slow_s that does not divide a day", "malformed", json!({"slow_s": 7})),
        ("no slow days", "malformed", json!({"slow_days": 0})),
        ("32 slow days", "malformed", json!({"slow_days": 32})),
        ("no reply weeks", "malformed", json!({"reply_weeks": 0})),
        ("27 reply weeks", "malformed", json!({"reply_weeks": 27})),
        ("answer_within 6", "malformed", json!({"answer_within": 6})),
        ("serial 0", "malformed", json!({"serial": 0})),
        ("ended before it began", "malformed", json!({"not_before": now + 9, "not_after": now + 8})),
        ("longer than seven days", "malformed", json!({"not_before": now, "not_after": now + 7 * 86_400 + 1})),
        ("a desk key with an X25519 part of zeros", "malformed", json!({"desk_key": hex(zero_share)})),
        ("a safeguarding key that is not reduced", "malformed", json!({"safe_key": hex(unreduced)})),
    ]
}

fn other_cert(world: &World, stranger: &SecretKey) -> Value {
    let life = (Seconds(world.now.0 - 10), world.now.plus(10));
    hex(DeskCert::sign(&world.root, &stranger.public(), 7, life.0, life.1).bytes())
}

pub(super) fn certificates(table: &mut Table, world: &World, rng: &mut ChaCha20Rng, python: &mut Python) {
    let (_, device) = world.device(Role::Worker, Seat::new(4), rng);
    let mut desk_cert = |data: &[u8], root: &PublicKey| {
        let asked = json!({"cert": hex(data), "root_pk": hex(root.as_bytes()), "line": hex(world.line.as_bytes())});
        (DeskCert::check(data, root), python.ask("check_desk_cert", asked))
    };
    for (name, spoilt) in flipped(&layout::desk_cert::LAYOUT, world.desk_cert.bytes(), rng) {
        let (here, there) = desk_cert(&spoilt, &world.root.public());
        table.refused(&format!("a flipped bit in a desk certificate's {name}"), here, there);
    }
    let (here, there) = desk_cert(&world.desk_cert.bytes()[..115], &world.root.public());
    table.refused("a desk certificate one byte short", here, there);
    let mut device_cert = |data: &[u8]| {
        let asked =
            json!({"cert": hex(data), "desk_pk": hex(world.desk.public().as_bytes()), "line": hex(world.line.as_bytes())});
        (DeviceCert::check(data, &world.desk.public(), &world.line), python.ask("check_device_cert", asked))
    };
    for (name, spoilt) in flipped(&layout::device_cert::LAYOUT, device.bytes(), rng) {
        let (here, there) = device_cert(&spoilt);
        table.refused(&format!("a flipped bit in a device certificate's {name}"), here, there);
    }
    roles(table, world, python);
}

/// Roles and seats that do not exist or do not belong together, properly signed.
fn roles(table: &mut Table, world: &World, python: &mut Python) {
    for (role, seat, fits) in [
        (1, 7, true),
        (2, 255, true),
        (3, 8, true),
        (0, 1, false),
        (4, 1, false),
        (1, 8, false),
        (2, 9, false),
        (1, 254, false),
        (3, 2, false),
        (3, 255, false),
    ] {
        let signed = python.get(
            "sign_device_cert",
            json!({
                "role": role, "seat": seat, "device_pk": hex([5; 32]), "not_before": 1, "not_after": 2,
                "desk_seed": hex(world.desk.seed().as_slice()), "line": hex(world.line.as_bytes()),
            }),
        );
        let here = DeviceCert::check(&bytes(&signed), &world.desk.public(), &world.line);
        let asked = json!({"cert": signed, "desk_pk": hex(world.desk.public().as_bytes()), "line": hex(world.line.as_bytes())});
        let there = python.ask("check_device_cert", asked);
        let name = format!("role {role} on seat {seat}");
        if fits {
            table.taken(&name, here, there);
        } else {
            table.refused(&name, here, there);
        }
    }
}

pub(super) fn bulletins(table: &mut Table, world: &World, python: &mut Python) {
    let good = json!({
        "code": 1, "seat": 3, "time": world.now.0, "seat_seed": hex(world.seats[3].seed().as_slice()), "line": hex(world.line.as_bytes()),
    });
    let now = world.now.0;
    let cases = [
        (None, json!({})),
        (None, json!({"time": now + 600})),
        (Some("code 4"), json!({"code": 4})),
        (Some("no code, but a signature"), json!({"code": 0})),
        (Some("safeguarding's seat"), json!({"seat": 8, "seat_seed": hex(world.seats[8].seed().as_slice())})),
        (Some("a seat that does not exist"), json!({"seat": 200})),
        (Some("another seat's bulletin"), json!({"seat": 4})),
        (Some("another line's bulletin"), json!({"line": hex([1; 32])})),
        (Some("a bulletin voided by the roster"), json!({"time": now - 1_001})),
        (Some("a bulletin ten minutes and a second ahead"), json!({"time": now + 601})),
    ];
    for (name, changes) in cases {
        let built = bytes(&python.get("build_bulletin", with(&good, &changes)));
        let (here, there) = bulletin(&built, world, python);
        match name {
            None => table.taken("a bulletin", here, there),
            Some(name) => table.refused(name, here, there),
        }
    }
    let mut built = bytes(&python.get("build_bulletin", good));
    built[12] = 1;
    let (here, there) = bulletin(&built, world, python);
    table.refused("a bulletin's byte that must be zero", here, there);
    let (here, there) = bulletin(&built[..79], world, python);
    table.refused("a bulletin one byte short", here, there);
}

fn bulletin(
    data: &[u8],
    world: &World,
    python: &mut Python,
) -> (Result<Option<Bulletin>, impl std::fmt::Debug + use<>>, Result<Value, String>) {
    let asked = json!({
        "bulletin": hex(data), "roster": hex(world.roster.bytes()), "root_pk": hex(world.root.public().as_bytes()), "now": world.now.0,
    });
    (Bulletin::check(data, &world.roster, world.now), python.ask("check_bulletin", asked))
}

pub(super) fn cards(table: &mut Table, rng: &mut ChaCha20Rng, python: &mut Python) {
    let good = card_cbor(1, &hex(random::<32>(rng)), &relay("https://relay.example", &["abcd"], ""), 1);
    let text = python.get("card_text_of", json!({"cbor": good.clone()})).as_str().unwrap().to_owned();
    let (here, there) = card(&text, python);
    table.taken("a card", here, there);
    for at in (12..text.len()).step_by(7) {
        let other = if text.as_bytes()[at] == b'A' { 'B' } else { 'A' };
        let spoilt = format!("{}{other}{}", &text[..at], &text[at + 1..]);
        let (here, there) = card(&spoilt, python);
        table.refused(&format!("a typing error at {at}"), here, there);
    }
    for spoilt in [
        &text[..text.len() - 2],
        &format!("{text}AA"),
        &text.replace("PORCHLIGHT1", "PORCHLIGHT2"),
        "",
        "PORCHLIGHT1-",
        &text.replacen('A', "1", 1),
        &text.replacen('I', "ı", 1),
        &text.replacen('O', "º", 1),
        &text.replacen('A', "A\u{1c}", 1),
    ] {
        let (here, there) = card(spoilt, python);
        table.refused("not the text of a card", here, there);
    }
    for (name, cbor) in spoilt_cards(rng) {
        let text = python.get("card_text_of", json!({"cbor": cbor}));
        let (here, there) = card(text.as_str().unwrap(), python);
        table.refused(name, here, there);
    }
    for text in [
        "https://host.example",
        "https://host.example/GATE",
        "http://h.example/gate",
        "https://h.example/gate/x",
        "https://h.example/abc",
        "https://very.long.example/gates12",
    ] {
        table.refused(text, Door::parse(text), python.ask("parse_door", json!({"text": text})));
    }
}

fn card(text: &str, python: &mut Python) -> (Result<Card, impl std::fmt::Debug + use<>>, Result<Value, String>) {
    (Card::parse_text(text), python.ask("parse_card", json!({"text": text})))
}

fn spoilt_cards(rng: &mut ChaCha20Rng) -> Vec<(&'static str, String)> {
    let root = hex(random::<32>(rng));
    let good = relay("https://relay.example", &["abcd"], "");
    let one = |relay: String| card_cbor(1, &root, &relay, 1);
    let long = format!("https://{}.example", "a".repeat(250));
    vec![
        ("a card of version 2", card_cbor(2, &root, &good, 1)),
        ("a root of 31 bytes", card_cbor(1, &json!(&root.as_str().unwrap()[2..]), &good, 1)),
        ("no relays", card_cbor(1, &root, &good, 0)),
        ("nine relays", card_cbor(1, &root, &good, 9)),
        ("bytes after the card", format!("{}00", one(good.clone()))),
        ("a relay with a path", one(relay("https://relay.example/path", &["abcd"], ""))),
        ("a relay with a user", one(relay("https://a@relay.example", &["abcd"], ""))),
        ("a relay without TLS", one(relay("http://relay.example", &["abcd"], ""))),
        ("a relay without a host", one(relay("https://", &["abcd"], ""))),
        ("a relay with too long an address", one(relay(&long, &["abcd"], ""))),
        ("a relay with a path after an IPv6 address", one(relay("https://[::1]/path", &["abcd"], ""))),
        ("a relay with a signed port", one(relay("https://relay.example:+443", &["abcd"], ""))),
        ("a relay on port 0", one(relay("https://relay.example:0", &["abcd"], ""))),
        ("a relay on port 65,536", one(relay("https://relay.example:65536", &["abcd"], ""))),
        ("a relay with a blank in its name", one(relay("https://relay .example", &["abcd"], ""))),
        ("no gates", one(relay("https://relay.example", &[], ""))),
        ("nine gates", one(relay("https://relay.example", &["abcd"; 9], ""))),
        ("a gate of three letters", one(relay("https://relay.example", &["abc"], ""))),
        ("a gate with capitals", one(relay("https://relay.example", &["Abcd"], ""))),
        ("a gate with a slash", one(relay("https://relay.example", &["ab/cd"], ""))),
        ("a pin of 31 bytes", one(relay("https://relay.example", &["abcd"], &format!("02581f{}", "00".repeat(31))))),
        ("a relay's number above 255", one(relay("https://relay.example", &["abcd"], "03190100"))),
        ("two relays of one number", card_cbor(1, &root, &relay("https://relay.example", &["abcd"], "0307"), 2)),
        ("a relay's key twice", one(relay("https://relay.example", &["abcd"], "016161"))),
    ]
}

fn cbor_text(text: &str) -> String {
    assert!(text.len() < 256);
    let bytes = hex(text);
    let bytes = bytes.as_str().unwrap();
    if text.len() < 24 { format!("{:02x}{bytes}", 0x60 + text.len()) } else { format!("78{:02x}{bytes}", text.len()) }
}

/// A relay's map, with one more field in hex if it is not empty.
fn relay(url: &str, gates: &[&str], more: &str) -> String {
    let url = if url.len() < 256 { cbor_text(url) } else { format!("79{:04x}{}", url.len(), hex(url).as_str().unwrap()) };
    let gates: String = gates.iter().map(|gate| cbor_text(gate)).collect::<Vec<_>>().concat();
    let count = gates_count(&gates);
    format!("{:02x}00{url}01{:02x}{gates}{more}", 0xa2 + usize::from(!more.is_empty()), 0x80 + count)
}

/// How many texts stand in this CBOR: all of ours are shorter than 24 bytes.
fn gates_count(cbor: &str) -> usize {
    let (mut rest, mut count) = (cbor, 0);
    while !rest.is_empty() {
        let len = usize::from_str_radix(&rest[..2], 16).unwrap() - 0x60;
        rest = &rest[2 + 2 * len..];
        count += 1;
    }
    count
}

fn card_cbor(version: u8, root: &Value, relay: &str, relays: usize) -> String {
    let root = root.as_str().unwrap();
    format!("a300{version:02x}0158{:02x}{root}02{:02x}{}", root.len() / 2, 0x80 + relays, relay.repeat(relays))
}
