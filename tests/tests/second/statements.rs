//! Everything else that one side says and the other reads: words, rosters, bulletins, team cells, cards, tokens, stamps, calls, contents.
use crate::letters;
use crate::python::{Python, array, bytes, hex, list};
use crate::text::{below, length, one_of, random, shuffle, text};
use crate::world::World;
use porchlight_proto::api::{DeskBeat, DeskOutcome, DeskReply, Floor, LanePage, Notice, SlotOutcome, UpOutcome, UpPost, UpReply};
use porchlight_proto::bulletin::{Bulletin, Code};
use porchlight_proto::card::{Card, Door, RelayAddress};
use porchlight_proto::cell::up::{self, EventStamp, Opened, Opener, Recipient, TeamPart};
use porchlight_proto::cert::{DeskCert, DeviceCert, Role};
use porchlight_proto::event::{Act, Admitted, AnswerEvent, AnswerKind, Board, DeskSecret, Event, HandOver, How, Proposal};
use porchlight_proto::have::Have;
use porchlight_proto::letter::{Letter, normal};
use porchlight_proto::limits::TEAM_PART_LEN;
use porchlight_proto::line::{CallerId, DeviceId, Gate, LineId, Seat};
use porchlight_proto::parts::{Part, cut};
use porchlight_proto::phrase::{Language, Phrase};
use porchlight_proto::root::RootWords;
use porchlight_proto::roster::{RosterError, Rosters, UncheckedRoster};
use porchlight_proto::seal::Use;
use porchlight_proto::sign::{PublicKey, SecretKey};
use porchlight_proto::stamp::StampFor;
use porchlight_proto::time::{Millis, Seconds, Timing, is_safeguarding, week};
use porchlight_proto::token::{Credentials, Gatekeeper, Request, UncheckedToken};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const LANGUAGES: [(Language, &str); 3] = [(Language::Ko, "ko"), (Language::Zh, "zh"), (Language::En, "en")];

// Words.

pub(crate) fn phrases(rng: &mut ChaCha20Rng, python: &mut Python) {
    for _ in 0..4 {
        keys_of_a_phrase(rng, python);
    }
    for _ in 0..200 {
        spellings_of_a_phrase(rng, python);
    }
    let root = RootWords::generate(rng);
    let text = root.words(Language::Ko).join(" ");
    let indexes = python.get("read_root", json!({"text": text}));
    let there = python.get("root_key", json!({"indexes": indexes}));
    let key = RootWords::parse(&text).expect("its own words").key();
    assert_eq!(there["public"], hex(key.public().as_bytes()));
    assert_eq!(there["seed"], hex(key.seed().as_slice()));
}

fn keys_of_a_phrase(rng: &mut ChaCha20Rng, python: &mut Python) {
    let (phrase, line, week) = (Phrase::generate(rng), LineId::from_bytes(random(rng)), rng.next_u32());
    let stretched = phrase.stretch(&line);
    let there = python.get("caller_keys", json!({"indexes": phrase.indexes(), "line": hex(line.as_bytes()), "week": week}));
    let safe = stretched.safe_sign_key().public();
    for (name, value) in [
        ("sign_seed", hex(stretched.sign_key().seed().as_slice())),
        ("safe_sign_seed", hex(stretched.safe_sign_key().seed().as_slice())),
        ("sign_pk", hex(stretched.sign_key().public().as_bytes())),
        ("reply", hex(stretched.reply_key(week).as_slice())),
        ("safe_reply", hex(stretched.safe_reply_key(week).as_slice())),
        ("pictures", json!(stretched.pictures())),
        ("caller_id", hex(stretched.caller().0)),
        ("safe_caller_id", hex(CallerId::of(&line, &safe).0)),
    ] {
        assert_eq!(there[name], value, "{name}");
    }
}

fn spellings_of_a_phrase(rng: &mut ChaCha20Rng, python: &mut Python) {
    let phrase = Phrase::generate(rng);
    let (language, name) = *one_of(rng, &LANGUAGES);
    let words = phrase.words(language);
    let there = python.get("words", json!({"indexes": phrase.indexes(), "language": name}));
    assert_eq!(there, json!(words));
    let mixed: Vec<_> = (0..8).map(|at| phrase.words(one_of(rng, &LANGUAGES).0)[at]).collect();
    let numbered: Vec<_> = (1..).zip(&mixed).map(|(n, word)| format!("{n}. {word}")).collect();
    let separator = *one_of(rng, &[" ", ", ", "\n", "，", "、", "。", "·", "-", "\u{3000}", " \t "]);
    let mut spellings = vec![words.join(separator), mixed.join(separator), numbered.join("\n"), words.join(" ").to_uppercase()];
    spellings.push(decomposed(&words.join(" ")));
    if language == Language::Zh {
        spellings.push(words.concat());
    }
    let asked: Vec<_> = spellings.iter().map(|text| json!({"do": "read_phrase", "text": text})).collect();
    let read = python.get("batch", json!({"of": asked}));
    for (text, there) in spellings.iter().zip(list(&read)) {
        let here = Phrase::parse(text).map(|phrase| json!(phrase.indexes())).map_err(|_| ());
        let there = there.get("ok").cloned().ok_or(());
        // Chinese without spaces may be cut elsewhere than it was written; both sides must then cut alike.
        assert_eq!(here, there, "a spelling");
        assert!(here == Ok(json!(phrase.indexes())) || *text == words.concat(), "a spelling");
    }
}

/// Hangul as macOS file names and some keyboards have it.
fn decomposed(text: &str) -> String {
    text.chars().flat_map(syllable).collect()
}

/// A Hangul syllable in its two or three parts (Unicode §3.12); anything else as it is.
fn syllable(c: char) -> Vec<char> {
    let index = u32::from(c).wrapping_sub(0xac00);
    if index >= 11_172 {
        return vec![c];
    }
    let tail = Some(index % 28).filter(|tail| *tail > 0).map(|tail| 0x11a7 + tail);
    let parts = [Some(0x1100 + index / 588), Some(0x1161 + index % 588 / 28), tail];
    parts.into_iter().flatten().filter_map(char::from_u32).collect()
}

// Rosters and bulletins.

/// A roster's fields for Python to build the same one, but for its signature.
pub(crate) fn roster_fields(world: &World) -> Value {
    let roster = &world.roster;
    let timing = roster.timing();
    let keys =
        |which: usize| hex(Seat::all().take(8).flat_map(|seat| *roster.seat_keys(seat)[which].as_bytes()).collect::<Vec<_>>());
    let safe = roster.seat_keys(Seat::SAFEGUARDING);
    json!({
        "line_id": hex(world.line.as_bytes()), "serial": roster.serial(), "period": roster.period(),
        "not_before": roster.not_before().0, "not_after": roster.not_after().0,
        "up_beat_ms": timing.up_beat_ms, "beat_ms": timing.beat_ms, "fast_slots": timing.fast_slots, "slow_s": timing.slow_s,
        "slow_days": timing.slow_days, "reply_weeks": roster.reply_weeks(), "answer_within": roster.answer_within(),
        "desk_key": hex(roster.desk_key().as_bytes()), "safe_key": hex(roster.safe_key().as_bytes()),
        "seats_now": keys(0), "seats_previous": keys(1), "safe_seat_now": hex(safe[0].as_bytes()), "safe_seat_previous": hex(safe[1].as_bytes()),
        "revoked": hex(&roster.bytes()[3076..3140]), "previous_hash": hex(roster.previous_hash()),
        "root_pk": hex(world.root.public().as_bytes()), "desk_cert": hex(world.desk_cert.bytes()),
        "bulletins_void_before": roster.bulletins_void_before().0, "closed_until": roster.closed_until().0,
    })
}

pub(crate) fn rosters(count: usize, rng: &mut ChaCha20Rng, python: &mut Python) {
    for _ in 0..count {
        let world = World::new(rng);
        ids(&world, python);
        roster(&world, python);
        certificates(&world, rng, python);
        bulletins(&world, rng, python);
    }
    for _ in 0..count {
        choice(rng, python);
    }
}

fn ids(world: &World, python: &mut Python) {
    let key = world.desk.public();
    let there = python.get(
        "ids",
        json!({
            "root_pk": hex(world.root.public().as_bytes()), "device_pk": hex(key.as_bytes()), "caller_pk": hex(key.as_bytes()),
        }),
    );
    let here = json!({
        "line": hex(world.line.as_bytes()), "device_id": hex(DeviceId::of(&world.line, &key).0),
        "caller_id": hex(CallerId::of(&world.line, &key).0),
    });
    assert_eq!(there, here);
}

fn roster(world: &World, python: &mut Python) {
    let root = hex(world.root.public().as_bytes());
    let fields = roster_fields(world);
    let built = python.get("build_roster", json!({"fields": fields, "desk_seed": hex(world.desk.seed().as_slice())}));
    assert_eq!(built, hex(world.roster.bytes()), "signatures of Ed25519 are deterministic, so the bytes are the same");
    let there = python.get("check_roster", json!({"roster": built, "root_pk": root, "now": world.now.0}));
    let here = UncheckedRoster::parse(&bytes(&built)).unwrap().check(&world.root.public(), world.now).expect("an honest roster");
    for name in ["serial", "period", "not_before", "not_after", "reply_weeks", "desk_key", "safe_key", "closed_until"] {
        assert_eq!(there[name], fields[name], "{name}");
    }
    assert_eq!(there["week"], here.week());
    assert_eq!(there["hash"], hex(here.hash()));
    for seat in Seat::all() {
        let keys = here.seat_keys(seat).map(|key| hex(key.as_bytes()));
        assert_eq!(there["seats"][usize::from(seat.number())], json!(keys));
    }
    for id in list(&there["revoked"]) {
        assert!(here.revoked(DeviceId(array(id))));
    }
}

fn certificates(world: &World, rng: &mut ChaCha20Rng, python: &mut Python) {
    let (role, seat) =
        *one_of(rng, &[(Role::Worker, Seat::new(3)), (Role::Lead, None), (Role::Safeguarding, Some(Seat::SAFEGUARDING))]);
    let (_, device) = world.device(role, seat, rng);
    let (line, root, desk) =
        (hex(world.line.as_bytes()), hex(world.root.public().as_bytes()), hex(world.desk.public().as_bytes()));
    let mut fields = python.get("check_desk_cert", json!({"cert": hex(world.desk_cert.bytes()), "root_pk": root, "line": line}));
    fields["root_seed"] = hex(world.root.seed().as_slice());
    fields["line"] = line.clone();
    let again = python.get("sign_desk_cert", fields);
    assert_eq!(again, hex(world.desk_cert.bytes()));
    DeskCert::check(&bytes(&again), &world.root.public()).expect("Python's certificate");
    let mut fields = python.get("check_device_cert", json!({"cert": hex(device.bytes()), "desk_pk": desk, "line": line}));
    assert_eq!(fields["role"], role.code());
    fields["desk_seed"] = hex(world.desk.seed().as_slice());
    fields["line"] = line;
    let again = python.get("sign_device_cert", fields);
    assert_eq!(DeviceCert::check(&bytes(&again), &world.desk.public(), &world.line).expect("Python's certificate"), device);
}

fn bulletins(world: &World, rng: &mut ChaCha20Rng, python: &mut Python) {
    let code = *one_of(rng, &[Code::NoMeetings, Code::Closed, Code::DoorChanges]);
    let seat = Seat::new(below(rng, 8) as u8).unwrap();
    let bulletin = Bulletin { code, seat, time: Seconds(world.now.0 - below(rng, 1_000)) };
    let signer = *one_of(rng, &[world.seat(seat), &world.seats_previous[usize::from(seat.number())]]);
    let said = json!({"code": code.code(), "seat": seat.number(), "time": bulletin.time.0});
    let mut request = said.clone();
    request["seat_seed"] = hex(signer.seed().as_slice());
    request["line"] = hex(world.line.as_bytes());
    let built = python.get("build_bulletin", request);
    assert_eq!(built, hex(bulletin.sign(signer, &world.line)));
    assert_eq!(Bulletin::check(&bytes(&built), &world.roster, world.now), Ok(Some(bulletin)));
    let mut check = |bulletin: Value| {
        python.get("check_bulletin", json!({
            "bulletin": bulletin, "roster": hex(world.roster.bytes()), "root_pk": hex(world.root.public().as_bytes()), "now": world.now.0,
        }))
    };
    assert_eq!(check(built), said);
    assert_eq!(check(hex([0; 80])), Value::Null);
    assert_eq!(Bulletin::check(&[0; 80], &world.roster, world.now), Ok(None));
}

/// Several rosters of one line, some of one serial, some far ahead: both take the same ones and choose the same.
fn choice(rng: &mut ChaCha20Rng, python: &mut Python) {
    const DAY: u64 = 86_400;
    let world = World::new(rng);
    let life = (Seconds(world.now.0 - 9), world.now.plus(29 * DAY));
    let raised = DeskCert::sign(&world.root, &world.desk.public(), 8, life.0, life.1);
    let all: Vec<_> = (0..8)
        .map(|_| {
            let from = world.now.0 + *one_of(rng, &[0, 0, 0, 1, DAY, 8 * DAY, 8 * DAY + 1]);
            let mut fields = roster_fields(&world);
            fields["serial"] = (1 + below(rng, 4)).into();
            fields["period"] = (7 + below(rng, 3)).into();
            if below(rng, 9) == 0 {
                fields["desk_cert"] = hex(raised.bytes());
            }
            fields["not_before"] = from.into();
            fields["not_after"] = (from + *one_of(rng, &[2, 1_000, 3 * DAY])).into();
            fields["closed_until"] = below(rng, 1_000).into();
            python.get("build_roster", json!({"fields": fields, "desk_seed": hex(world.desk.seed().as_slice())}))
        })
        .collect();
    let root = world.root.public();
    let (after, then) = (below(rng, 9) as u32, world.now.plus(*one_of(rng, &[0, 1, DAY, 8 * DAY])));
    let there = python.get(
        "choose_roster",
        json!({"rosters": all, "root_pk": hex(root.as_bytes()), "now": world.now.0, "then": then.0, "after": [after, 0]}),
    );
    let mut rosters = Rosters::after(after, 0);
    for (roster, there) in all.iter().zip(list(&there["refused"])) {
        let signed = UncheckedRoster::parse(&bytes(roster)).unwrap().check_signed(&root).expect("an honest roster");
        let here = match rosters.insert(signed, world.now) {
            Ok(()) => Value::Null,
            Err(RosterError::NotYet) => json!("not yet"),
            Err(RosterError::OldGeneration | RosterError::Expired) => json!("void"),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(here, *there, "whether a roster is taken");
    }
    let here = rosters.in_force(then).map(|roster| json!({"serial": roster.serial(), "hash": hex(roster.hash())}));
    assert_eq!(there["chosen"], here.unwrap_or_default(), "which roster is in force");
}

// Team cells.

pub(crate) fn team(count: usize, rng: &mut ChaCha20Rng, python: &mut Python) {
    for _ in 0..count {
        let world = World::new(rng);
        let device = SecretKey::generate(rng);
        let purpose = *one_of(rng, &[Use::Desk, Use::Device]);
        let stamp = EventStamp {
            device_seq: 1 + rng.next_u64() / 2,
            previous: if purpose == Use::Device { EventStamp::direct(&world.line, &device.public()) } else { random(rng) },
            lamport: rng.next_u64(),
            time: world.now,
        };
        let body = event(rng).to_cbor();
        let hash = python.get(
            "event_hash",
            json!({
                "line": hex(world.line.as_bytes()), "device_pk": hex(device.public().as_bytes()), "device_seq": stamp.device_seq,
                "previous": hex(stamp.previous), "lamport": stamp.lamport, "time": stamp.time.0, "body": hex(&body),
            }),
        );
        assert_eq!(hash, hex(stamp.hash(&world.line, &device.public(), &body)));
        let period = rng.next_u32();
        for part in cut(&body, TEAM_PART_LEN).expect("an event fits") {
            let signed = TeamPart::sign(&stamp, part, (&world.line, purpose), &device);
            team_part(&signed, &device, (&world, purpose, period), rng, python);
        }
        let dummy = TeamPart::dummy(world.now, (&world.line, purpose), &device, rng);
        team_part(&dummy, &device, (&world, purpose, period), rng, python);
    }
}

/// Events of several parts, in any order and some twice: each comes once.
pub(crate) fn events(count: usize, rng: &mut ChaCha20Rng, python: &mut Python) {
    let world = World::new(rng);
    let device = SecretKey::generate(rng);
    let key = world.desk_secret.public();
    let to = Recipient { line: &world.line, period: 5, purpose: Use::Desk, key };
    let (mut cells, mut bodies) = (Vec::new(), Vec::new());
    for device_seq in 1..=count as u64 {
        let stamp = EventStamp { device_seq, previous: random(rng), lamport: device_seq, time: world.now };
        let body = event(rng).to_cbor();
        for part in cut(&body, TEAM_PART_LEN).expect("an event fits") {
            let signed = TeamPart::sign(&stamp, part, (&world.line, Use::Desk), &device);
            cells.extend((0..1 + below(rng, 2)).map(|_| hex(signed.seal(&to, rng).as_slice())));
        }
        cells.push(hex(TeamPart::dummy(world.now, (&world.line, Use::Desk), &device, rng).seal(&to, rng).as_slice()));
        bodies.push(hex(body).as_str().unwrap().to_owned());
    }
    shuffle(rng, &mut cells);
    let keys = json!([{"seed": hex(world.desk_secret.seed()), "period": 5, "use": 1}]);
    let there = python.get("open_events", json!({"line": hex(world.line.as_bytes()), "keys": keys, "cells": cells}));
    assert_eq!(there["refused"], json!([]));
    let mut joined: Vec<_> = list(&there["events"]).iter().map(|body| body.as_str().unwrap().to_owned()).collect();
    joined.sort();
    bodies.sort();
    assert_eq!(joined, bodies);
}

/// A direct letter is its recipient's alone, and a desk secret comes only in one of a lead, and only if it is the one.
pub(crate) fn direct_letters(rng: &mut ChaCha20Rng, python: &mut Python) {
    let world = World::new(rng);
    let [sender, own, other] = [0; 3].map(|_| SecretKey::generate(rng));
    let line = hex(world.line.as_bytes());
    let sealed = |to: &SecretKey, rng: &mut ChaCha20Rng| {
        let previous = EventStamp::direct(&world.line, &to.public());
        let stamp = EventStamp { device_seq: 1, previous, lamport: 1, time: world.now };
        let [part] = <[Part; 1]>::try_from(cut(b"event", TEAM_PART_LEN).unwrap()).unwrap();
        let to = Recipient { line: &world.line, period: 5, purpose: Use::Device, key: world.desk_secret.public() };
        TeamPart::sign(&stamp, part, (&world.line, Use::Device), &sender).seal(&to, rng)
    };
    let keys = json!([{"seed": hex(world.desk_secret.seed()), "period": 5, "use": 2}]);
    for (to, taken) in [(&own, Ok(())), (&other, Err("forged".to_owned()))] {
        let cell = hex(sealed(to, rng).as_slice());
        let asked = json!({"line": line, "keys": keys, "cell": cell, "own_pk": hex(own.public().as_bytes())});
        assert_eq!(python.ask("open_direct", asked).map(drop), taken);
    }
    let secret = |period: u32, seed: [u8; 32]| hex(Event::Secret(DeskSecret { period, seed: seed.into() }).to_cbor());
    let (period, seed) = (world.roster.period(), array(&hex(world.desk_secret.seed())));
    for (name, event, purpose, role, taken) in [
        ("a lead's", secret(period, seed), 2, 2, true),
        ("to everyone", secret(period, seed), 1, 2, false),
        ("a worker's", secret(period, seed), 2, 1, false),
        ("of another period", secret(period + 1, seed), 2, 2, false),
        ("another", secret(period, random(rng)), 2, 2, false),
    ] {
        let (roster, root) = (hex(world.roster.bytes()), hex(world.root.public().as_bytes()));
        let asked = json!({"event": event, "use": purpose, "role": role, "roster": roster, "root_pk": root});
        assert_eq!(python.ask("check_secret", asked).is_ok(), taken, "a desk secret, {name}");
    }
}

/// What a desk that holds some letters of a visit says it holds.
pub(crate) fn receipts(count: usize, rng: &mut ChaCha20Rng, python: &mut Python) {
    for _ in 0..count {
        let mut have = Have::default();
        let letters: Vec<_> = (0..below(rng, 150)).map(|at| (below(rng, at + 9) + u64::from(at > 9)) as u16).collect();
        let taken: Vec<_> = letters.iter().map(|seq| *seq > 0 && (have.insert(*seq) || have.holds(*seq))).collect();
        let receipt = have.receipt(random(rng));
        let there = python.get("receipt", json!({"letters": letters}));
        assert_eq!(there, json!({"taken": taken, "have_upto": receipt.upto, "have_map": receipt.map}), "{letters:?}");
        for seq in 1..200 {
            assert_eq!(receipt.holds(&receipt.session, seq), letters.contains(&seq) && have.holds(seq), "letter {seq}");
        }
    }
}

/// The windows in which a caller looks for her tags are those that the SPEC counts.
pub(crate) fn windows(rng: &mut ChaCha20Rng, python: &mut Python) {
    let mut world = World::new(rng);
    for (slow_days, weeks, days, tags) in [(7, 10, 9, 51_840), (8, 11, 9, 57_024), (9, 11, 10, 63_360), (1, 10, 9, 51_840)] {
        world.body.timing = Timing { slow_days, ..Timing::PRODUCTION };
        world.publish();
        let (week, day) = (world.roster.week(), world.day());
        let asked = json!({"roster": hex(world.roster.bytes()), "root_pk": hex(world.root.public().as_bytes()), "day": day});
        let there = python.get("visit_places", asked.clone());
        let here = json!({"weeks": [week + 1 - weeks, week], "days": [day + 2 - days, day + 1], "tags": tags});
        assert_eq!(there, here, "{slow_days} slow days");
        for (age, reached) in [(0, true), (8, true), (9, false), (20, false)] {
            let mut asked = asked.clone();
            asked["week"] = (week - age).into();
            assert_eq!(python.get("reachable", asked), reached, "a reply key {age} weeks old");
        }
    }
}

fn team_part(
    part: &TeamPart,
    device: &SecretKey,
    (world, purpose, period): (&World, Use, u32),
    rng: &mut ChaCha20Rng,
    python: &mut Python,
) {
    let key = world.desk_secret.public();
    let cell = part.seal(&Recipient { line: &world.line, period, purpose, key }, rng);
    let line = hex(world.line.as_bytes());
    let keys = json!([{"seed": hex(world.desk_secret.seed()), "period": period, "use": purpose.code()}]);
    let said = json!({
        "kind": if part.dummy { 3 } else { 2 }, "device_pk": hex(part.device_pk.as_bytes()), "device_seq": part.device_seq,
        "previous": hex(part.previous), "lamport": part.lamport, "time": part.time.0, "part": part.part.part, "parts": part.part.parts,
        "content": hex(&*part.part.bytes),
    });
    let there = python.get("open_team", json!({"line": line, "keys": keys, "cell": hex(cell.as_slice())}));
    assert_eq!(there, said);
    let mut fields = said;
    fields["len"] = part.part.bytes.len().into();
    let mut content = part.part.bytes.to_vec();
    content.resize(TEAM_PART_LEN, 0);
    fields["content"] = hex(content);
    let sealed = python.get(
        "seal_cell",
        json!({
            "layout": "up-team", "line": line, "period": period, "use": purpose.code(), "recipient": hex(key.as_bytes()),
            "sign_seed": hex(device.seed().as_slice()), "fields": fields,
        }),
    );
    let opener = Opener { line: &world.line, period, purpose, secret: &world.desk_secret };
    assert_eq!(up::open(&array(&sealed), &opener), Ok(Opened::Team(part.clone())));
}

fn held(rng: &mut ChaCha20Rng) -> BTreeMap<DeviceId, u64> {
    (0..below(rng, 5)).map(|_| (DeviceId(random(rng)), rng.next_u64())).collect()
}

fn board(rng: &mut ChaCha20Rng) -> Board {
    Board {
        to: DeviceId(random(rng)),
        ask: rng.next_u64(),
        root: random(rng),
        relay: below(rng, 256) as u8,
        blobs: 1 + below(rng, 512) as u16,
        hash: random(rng),
    }
}

/// Some event of a team.
pub(crate) fn event(rng: &mut ChaCha20Rng) -> Event {
    let (caller, session, answer) = (CallerId(random(rng)), random(rng), random(rng));
    let length = length(rng, usize::MAX);
    match below(rng, 31) {
        0 => Event::DeviceKey(Box::new(random(rng))),
        1 => {
            let held = held(rng);
            Event::Acknowledge { held, life: random(rng), position: rng.next_u64() }
        }
        2 => Event::Claim { caller, lease: rng.next_u32(), reason: text(rng, 30) },
        3 => Event::Release { caller },
        4 => Event::Note { caller, text: normal(&text(rng, length)).unwrap().to_string() },
        5 => Event::Answer(AnswerEvent {
            caller,
            answer,
            content: random::<300>(rng).into(),
            good_until: rng.next_u32(),
            session,
            seq: below(rng, 65_536) as u16,
            kind: *one_of(rng, &[AnswerKind::Answer, AnswerKind::Stop]),
            flags: below(rng, 4) as u8,
        }),
        6 => Event::Shown { caller, session, seq: below(rng, 65_536) as u16 },
        7 => Event::Seen { caller, answer },
        8 => Event::Slots((0..below(rng, 5) as u8).collect()),
        9 => Event::Secret(DeskSecret { period: rng.next_u32(), seed: random::<32>(rng).into() }),
        10 => Event::Admitted(Admitted {
            desk_cert: Box::new(random(rng)),
            device_cert: Box::new(random(rng)),
            sealing_key: Box::new(random(rng)),
        }),
        11 => Event::Revoked { device: DeviceId(random(rng)) },
        12 => Event::HandOver(HandOver {
            caller,
            to: DeviceId(random(rng)),
            situation: text(rng, 40),
            promised_by_us: text(rng, 40),
            promised_by_her: text(rng, 40),
            risk: text(rng, 40),
            next_step: text(rng, 40),
        }),
        13 => Event::Accept { caller, device: DeviceId(random(rng)), seq: rng.next_u64() },
        14 => Event::Ask { held: held(rng), since: rng.next_u32() },
        15 => Event::Board(board(rng)),
        16 => Event::StopSending { caller, answer },
        later => later_event(later, caller, rng),
    }
}

/// An event of the types from 18 on.
fn later_event(which: u64, caller: CallerId, rng: &mut ChaCha20Rng) -> Event {
    let (device, seq, other) = (DeviceId(random(rng)), rng.next_u64(), CallerId(random(rng)));
    match which {
        17 => Event::Composing { caller, lease: rng.next_u32() },
        18 => Event::Shift { device, from: rng.next_u32(), until: rng.next_u32() },
        19 => Event::Strike { device, seq },
        20 => Event::Known {
            caller,
            how: *one_of(rng, &[How::Unknown, How::Introduced, How::Verified]),
            text: text(rng, 30),
            day: rng.next_u32(),
        },
        21 => Event::Question { caller, question: text(rng, 30), answer: text(rng, 30) },
        22 => Event::Wish { caller, text: text(rng, 30) },
        23 => Event::Duress { caller, of: other },
        24 => Event::Keep { days: 1 + below(rng, 180) as u32 },
        25 => Event::Propose(Proposal {
            caller,
            act: *one_of(rng, &[Act::Join, Act::Fulfil, Act::Forget, Act::KeepHandOver, Act::Say]),
            other,
            text: text(rng, 30),
        }),
        26 => Event::Agree { device, seq, hash: random(rng) },
        27 => Event::Object { device, seq, hash: random(rng) },
        28 => Event::Part { caller, other },
        29 => Event::SeatKey(random(rng)),
        _ => Event::Roster(Box::new(random(rng))),
    }
}

// Contents.

pub(crate) fn contents(count: usize, rng: &mut ChaCha20Rng, python: &mut Python) {
    for n in 0..count {
        let length = length(rng, n);
        let letter = letters::letter(rng, length);
        let built = python.get("build_letter", json!({"map": letters::map_to_build(&letter)}));
        assert_eq!(built, hex(letter.to_cbor().unwrap()));
        assert_eq!(letters::map(&Letter::parse(&bytes(&built)).unwrap()), letters::map(&letter));
        let event = event(rng);
        let mut map = python.get("parse_event", json!({"bytes": hex(event.to_cbor())}));
        mark_bytes(&mut map, &event);
        let again = python.get("build_event", json!({"map": map}));
        assert_eq!(again, hex(event.to_cbor()));
        if let Event::Board(board) = &event {
            let names = python.get("blob_names", json!({"root": hex(board.root), "blobs": board.blobs}));
            let ours: Vec<Value> = board.names().map(hex).collect();
            assert_eq!(names, json!(ours));
        }
        assert_eq!(Event::parse(&bytes(&again)), Ok(event));
    }
}

/// Says which of an event's strings are bytes: JSON cannot.
fn mark_bytes(map: &mut Value, event: &Event) {
    let texts: &[&str] = match event {
        Event::Claim { .. } => &["3"],
        Event::Note { .. } => &["2"],
        Event::HandOver(_) => &["3", "4", "5", "6", "7"],
        Event::Known { .. } => &["3"],
        Event::Question { .. } => &["2", "3"],
        Event::Wish { .. } => &["2"],
        Event::Propose(_) => &["4"],
        _ => &[],
    };
    for (key, value) in map.as_object_mut().unwrap() {
        if value.is_string() && !texts.contains(&key.as_str()) {
            *value = json!({"hex": value});
        }
    }
}

// Cards, tokens, stamps.

pub(crate) fn cards(count: usize, rng: &mut ChaCha20Rng, python: &mut Python) {
    for _ in 0..count {
        let card = card(rng);
        let text = python.get("card_text", json!({"card": card_json(&card)}));
        assert_eq!(text, json!(card.to_text()));
        assert_eq!(python.get("card_cbor", json!({"card": card_json(&card)})), hex(card.to_cbor()));
        let sloppy = spaced(&text.as_str().unwrap().to_lowercase(), rng);
        assert_eq!(Card::parse_text(&sloppy).expect("Python's card"), card);
        assert_eq!(python.get("parse_card", json!({"text": sloppy})), card_json(&card));
    }
    for (door, fits) in [
        ("https://ab.example/gate1", true),
        ("https://ab.example:8443/abcd", true),
        ("https://a-very-long-host.example/gate", false),
    ] {
        assert_eq!(Door::parse(door).is_ok(), fits, "{door}");
        assert_eq!(python.ask("parse_door", json!({"text": door})).is_ok(), fits, "{door}");
    }
}

/// Some card.
pub(crate) fn card(rng: &mut ChaCha20Rng) -> Card {
    let relays = (0..=below(rng, 8) as u8).map(|at| relay(at, rng)).collect();
    Card { root: PublicKey::from_bytes(random(rng)), relays }
}

fn relay(at: u8, rng: &mut ChaCha20Rng) -> RelayAddress {
    let gate = |rng: &mut ChaCha20Rng| {
        let name: String = (0..4 + below(rng, 29)).map(|_| char::from(*one_of(rng, b"abcxyz0189"))).collect();
        Gate::parse(&name).unwrap()
    };
    RelayAddress {
        url: format!(
            "https://{}",
            one_of(rng, &["relay.example", "10.0.0.1:8443", "[2001:db8::1]:443", "xn--9n2bp8q.example:1"])
        ),
        gates: (0..=below(rng, 3)).map(|_| gate(rng)).collect(),
        pin: Some(random(rng)).filter(|pin: &[u8; 32]| pin[0] < 128),
        number: *one_of(rng, &[at, at, 255 - at, 100 + at]),
    }
}

/// A card as Python takes and gives it.
pub(crate) fn card_json(card: &Card) -> Value {
    let relays: Vec<_> = card.relays.iter().map(|relay| json!({
        "url": relay.url, "gates": relay.gates.iter().map(Gate::as_str).collect::<Vec<_>>(), "pin": relay.pin.map(hex), "number": relay.number,
    })).collect();
    json!({"root": hex(card.root.as_bytes()), "relays": relays})
}

/// As somebody types it from paper.
fn spaced(text: &str, rng: &mut ChaCha20Rng) -> String {
    text.chars().flat_map(|c| [Some(c), *one_of(rng, &[None, None, None, Some(' '), Some('-'), Some('\n')])]).flatten().collect()
}

pub(crate) fn tokens(count: usize, rng: &mut ChaCha20Rng, python: &mut Python) {
    for _ in 0..count {
        let world = World::new(rng);
        let (device, cert) = world.device(Role::Lead, Seat::new(below(rng, 8) as u8), rng);
        let (spki, body_hash, nonce) = (random(rng), random(rng), random::<16>(rng));
        let path = *one_of(rng, &["/v1/desk/beat", "/v1/desk/up?after=00000000000000ff-17&wait=30", "/v1/desk/roster"]);
        let request = Request { method: one_of::<&str>(rng, &["GET", "PUT", "POST"]), path, body_hash };
        let mut asked = json!({
            "line": hex(world.line.as_bytes()), "spki": hex(spki), "method": request.method, "path": path, "body_hash": hex(body_hash),
            "desk_cert": hex(world.desk_cert.bytes()), "device_cert": hex(cert.bytes()), "device_seed": hex(device.seed().as_slice()),
            "time": world.now.0, "nonce": hex(nonce), "root_pk": hex(world.root.public().as_bytes()), "now": world.now.0 + below(rng, 300),
            "generation": 7,
        });
        let there = python.get("build_token", asked.clone());
        let keeper = Gatekeeper { root: &world.root.public(), spki: &spki, now: world.now, generation: 7 };
        let access = UncheckedToken::parse(there.as_str().unwrap()).unwrap().check(&request, &keeper).expect("Python's token");
        assert_eq!(
            (access.device, access.role, access.nonce, access.time),
            (cert.device(&world.line), Role::Lead, nonce, world.now)
        );
        let credentials = Credentials { desk_cert: &world.desk_cert, device_cert: &cert, device: &device, line: &world.line };
        asked["token"] = credentials.token(&spki, &request, world.now, rng).into();
        let spoken = python.get("check_token", asked);
        assert_eq!((&spoken["device_id"], &spoken["role"], &spoken["generation"]), (&hex(access.device.0), &json!(2), &json!(7)));
    }
}

pub(crate) fn stamps(count: usize, rng: &mut ChaCha20Rng, python: &mut Python) {
    for _ in 0..count {
        let (salt, cell, line, epoch) = (random(rng), random::<2048>(rng), LineId::from_bytes(random(rng)), rng.next_u32());
        let difficulty = below(rng, 12) as u8;
        let job = StampFor::cell(&cell, &salt, &line, epoch);
        let mut asked = json!({
            "salt": hex(salt), "cell": hex(cell), "line": hex(line.as_bytes()), "up_epoch": epoch, "difficulty": difficulty,
        });
        let there: [u8; 32] = array(&python.get("mint_stamp", asked.clone()));
        assert!(job.is_paid(&there, difficulty), "Python's stamp");
        // As strong as it happens to be, and no stronger, in the eyes of both.
        let stamp = job.mint(difficulty, rng);
        asked["stamp"] = hex(stamp);
        for difficulty in 0..=20 {
            asked["difficulty"] = difficulty.into();
            assert_eq!(
                python.ask("check_stamp", asked.clone()).is_ok(),
                job.is_paid(&stamp, difficulty),
                "difficulty {difficulty}"
            );
        }
    }
}

// The relay's calls.

pub(crate) fn calls(count: usize, rng: &mut ChaCha20Rng, python: &mut Python) {
    for _ in 0..count {
        let (notice, fields) = notice(rng);
        same("notice", notice.to_bytes().as_slice(), &fields, python);
        assert_eq!(Notice::parse(notice.to_bytes().as_slice()), Ok(notice));
        let post = UpPost { stamp: random(rng), cell: Box::new(random(rng)) };
        same(
            "up-post",
            post.to_bytes().as_slice(),
            &json!({"stamp": hex(post.stamp), "cell": hex(post.cell.as_slice())}),
            python,
        );
        replies(rng, python);
        beat(rng, python);
        page(rng, python);
    }
}

/// Python builds the same bytes from the fields, and reads the fields from the bytes.
fn same(layout: &str, here: &[u8], fields: &Value, python: &mut Python) {
    assert_eq!(python.get("build_body", json!({"layout": layout, "fields": fields})), hex(here), "{layout}");
    assert_eq!(python.get("parse_body", json!({"layout": layout, "bytes": hex(here)})), *fields, "{layout}");
}

fn notice(rng: &mut ChaCha20Rng) -> (Notice, Value) {
    let notice = Notice {
        roster: Some(Box::new(random(rng))),
        clock_ms: Millis(rng.next_u64()),
        difficulty: below(rng, 21) as u8,
        up_epoch: rng.next_u32(),
        beat: rng.next_u64(),
        relay_no: below(rng, 256) as u8,
        stamp_salt: random(rng),
        timing: Timing::PRODUCTION,
        up_ttl_s: rng.next_u32(),
        desk_beat_ms: below(rng, 65_536) as u16,
        bulletin: random(rng),
    };
    let fields = json!({
        "roster": hex(notice.roster.as_ref().unwrap().as_slice()), "clock_ms": notice.clock_ms.0, "difficulty": notice.difficulty,
        "up_epoch": notice.up_epoch, "beat": notice.beat, "relay_no": notice.relay_no, "stamp_salt": hex(notice.stamp_salt),
        "up_beat_ms": notice.timing.up_beat_ms, "beat_ms": notice.timing.beat_ms, "fast_slots": notice.timing.fast_slots,
        "slow_s": notice.timing.slow_s, "slow_days": notice.timing.slow_days, "up_ttl_s": notice.up_ttl_s,
        "desk_beat_ms": notice.desk_beat_ms, "bulletin": hex(notice.bulletin),
    });
    (notice, fields)
}

fn replies(rng: &mut ChaCha20Rng, python: &mut Python) {
    let (difficulty, serial, clock_ms) = (below(rng, 21) as u8, rng.next_u32(), Millis(rng.next_u64()));
    for (code, outcome) in [(0, UpOutcome::Stored), (1, UpOutcome::Full), (2, UpOutcome::Stamp)] {
        let reply = UpReply { outcome, difficulty, serial, clock_ms };
        let fields = json!({"outcome": code, "difficulty": difficulty, "serial": serial, "clock_ms": clock_ms.0});
        same("up-reply", &reply.to_bytes(), &fields, python);
        assert_eq!(UpReply::parse(&reply.to_bytes()), Ok(reply));
    }
    let slots = [SlotOutcome::Written, SlotOutcome::Taken, SlotOutcome::NotOpen];
    for (code, outcome) in [(0, DeskOutcome::Done), (1, DeskOutcome::Full), (3, DeskOutcome::Refused)] {
        let (fast, slow) = (below(rng, 3) as usize, below(rng, 3) as usize);
        let reply = DeskReply { outcome, fast: slots[fast], slow: slots[slow], serial, clock_ms };
        let fields =
            json!({"outcome": code, "fast_outcome": fast, "slow_outcome": slow, "serial": serial, "clock_ms": clock_ms.0});
        same("desk-reply", &reply.to_bytes(), &fields, python);
        assert_eq!(DeskReply::parse(&reply.to_bytes()), Ok(reply));
    }
}

fn beat(rng: &mut ChaCha20Rng, python: &mut Python) {
    let slot = |rng: &mut ChaCha20Rng| Some(rng.next_u64()).filter(|slot| slot % 2 == 0);
    let beat = DeskBeat {
        fast_slot: slot(rng),
        slow_slot: slot(rng),
        floor: Floor { life: rng.next_u64(), n: rng.next_u64() },
        fast_cell: Box::new(random(rng)),
        slow_cell: Box::new(random(rng)),
        team_cells: [Box::new(random(rng)), Box::new(random(rng))],
    };
    let fields = json!({
        "fast_slot": beat.fast_slot.unwrap_or(u64::MAX), "slow_slot": beat.slow_slot.unwrap_or(u64::MAX), "floor_life": beat.floor.life,
        "floor_n": beat.floor.n, "fast_cell": hex(beat.fast_cell.as_slice()), "slow_cell": hex(beat.slow_cell.as_slice()),
        "team_cells": hex(beat.team_cells.each_ref().map(|cell| *cell.as_ref()).concat()),
    });
    same("desk-beat", beat.to_bytes().as_slice(), &fields, python);
    assert_eq!(DeskBeat::parse(beat.to_bytes().as_slice()), Ok(beat));
}

fn page(rng: &mut ChaCha20Rng, python: &mut Python) {
    let cells: Vec<[u8; 2048]> = (0..below(rng, 20)).map(|_| random(rng)).collect();
    let page =
        LanePage { life: rng.next_u64(), first: rng.next_u64() / 2, cells: cells.iter().map(|cell| Box::new(*cell)).collect() };
    let filler: Vec<_> = (0..8).flat_map(|_| random::<2048>(rng)).collect();
    let said = json!({"life": page.life, "first": page.first, "cells": cells.iter().map(hex).collect::<Vec<_>>()});
    let mut asked = said.clone();
    asked["filler"] = hex(filler);
    let built = bytes(&python.get("lane_page", asked));
    assert_eq!(built.len(), LanePage::len_with(cells.len()));
    assert_eq!(&built[..24], LanePage::header(page.life, page.first, cells.len() as u32));
    assert_eq!(LanePage::parse(&built), Ok(page));
    assert_eq!(python.get("parse_lane_page", json!({"bytes": hex(built)})), said);
}

pub(crate) fn clocks(count: usize, rng: &mut ChaCha20Rng, python: &mut Python) {
    for _ in 0..count {
        let timing =
            Timing { beat_ms: *one_of(rng, &[100, 1_000, 30_000]), slow_s: *one_of(rng, &[1, 60, 1_800]), ..Timing::PRODUCTION };
        let now = Millis(below(rng, 4_000_000_000_000));
        let there = python.get("times", json!({"clock_ms": now.0, "beat_ms": timing.beat_ms, "slow_s": timing.slow_s}));
        let here = json!({
            "beat": timing.beat(now), "slow_slot": timing.slow_slot(now), "day": timing.day(now), "week": week(now.seconds()),
            "safeguarding": is_safeguarding(timing.slow_slot(now)),
        });
        assert_eq!(there, here);
    }
}
