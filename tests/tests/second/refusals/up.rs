//! Up cells that are not taken (SPEC §6).
use super::{Table, flipped, with};
use crate::python::{Python, array, hex};
use crate::text::random;
use crate::world::World;
use porchlight_proto::cell::CellError::{self, DoesNotOpen, Forged, Malformed};
use porchlight_proto::cell::up::{Opened, Opener, open};
use porchlight_proto::layout::up_cell;
use porchlight_proto::line::LineId;
use porchlight_proto::seal::{SealingKey, SealingSecret, Use};
use porchlight_proto::sign::SecretKey;
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};

/// Who opens: a line, a period, a use and a secret.
#[derive(Clone, Copy)]
struct Desk<'w> {
    line: LineId,
    period: u32,
    purpose: Use,
    secret: &'w SealingSecret,
}

impl<'w> Desk<'w> {
    fn of(world: &'w World) -> Self {
        Self { line: world.line, period: 4_242, purpose: Use::Desk, secret: &world.desk_secret }
    }
    /// A cell to this desk, sealed by Python with exactly these fields.
    fn cell(&self, asked: &Value, python: &mut Python) -> [u8; 2048] {
        let to = json!({
            "line": hex(self.line.as_bytes()), "period": self.period, "use": self.purpose.code(),
            "recipient": hex(self.secret.public().as_bytes()),
        });
        array(&python.get("seal_cell", with(asked, &to)))
    }
    fn here(&self, cell: &[u8; 2048]) -> Result<Opened, CellError> {
        open(cell, &Opener { line: &self.line, period: self.period, purpose: self.purpose, secret: self.secret })
    }
    fn there(&self, verb: &str, cell: &[u8; 2048], python: &mut Python) -> Result<Value, String> {
        let keys = json!([{"seed": hex(self.secret.seed()), "period": self.period, "use": self.purpose.code()}]);
        python.ask(verb, json!({"line": hex(self.line.as_bytes()), "keys": keys, "cell": hex(cell)}))
    }
    fn refuses(&self, table: &mut Table, (verb, name, why): (&str, &str, CellError), cell: &[u8; 2048], python: &mut Python) {
        table.refused_as((name, why), self.here(cell), self.there(verb, cell, python));
    }
    fn takes(&self, table: &Table, (verb, name): (&str, &str), cell: &[u8; 2048], python: &mut Python) {
        table.taken(name, self.here(cell), self.there(verb, cell, python));
    }
}

fn padded(bytes: &[u8], size: usize) -> Value {
    let mut content = bytes.to_vec();
    content.resize(size, 0);
    hex(content)
}

/// A letter of one short part, as `seal_cell` takes it.
fn letter(rng: &mut ChaCha20Rng) -> Value {
    json!({
        "layout": "up-letter", "sign_seed": hex(random::<32>(rng)),
        "fields": {
            "kind": 1, "session": hex(random::<8>(rng)), "seq": 1, "part": 0, "parts": 1, "time": 1_790_000_400, "live_key": hex(random::<32>(rng)),
            "reply_key": hex(random::<32>(rng)), "saw": hex(random::<8>(rng)), "len": 5, "content": padded(b"hello", 723),
        },
    })
}

const LETTER: &str = "open_letter";

pub(super) fn letters(table: &mut Table, world: &World, rng: &mut ChaCha20Rng, python: &mut Python) {
    let desk = Desk::of(world);
    let good = letter(rng);
    desk.takes(table, (LETTER, "a letter"), &desk.cell(&good, python), python);
    for (name, why, fields) in letter_fields(rng) {
        let spoilt = with(&good, &json!({"fields": with(&good["fields"], &fields)}));
        desk.refuses(table, (LETTER, name, why), &desk.cell(&spoilt, python), python);
    }
    let lax = desk.cell(&with(&good, &json!({"spoil": "not canonical"})), python);
    desk.refuses(table, (LETTER, "a signature with S above the group order", Forged), &lax, python);
    dummies(table, &good, desk, python, rng);
    sealed_for_others(table, &good, world, rng, python);
    spoilt_on_the_way(table, &desk.cell(&good, python), desk, rng, python);
    zero_keys(table, &good, desk, python);
}

fn letter_fields(rng: &mut ChaCha20Rng) -> Vec<(&'static str, CellError, Value)> {
    let full = hex(random::<723>(rng));
    let other = SecretKey::generate(rng).public();
    let identity = {
        let mut point = [0; 32];
        point[0] = 1;
        point
    };
    let zero_signature = hex([identity, [0; 32]].concat());
    vec![
        ("kind 4", Malformed, json!({"kind": 4})),
        ("kind 255", Malformed, json!({"kind": 255})),
        ("a flag", Malformed, json!({"flags": 1})),
        ("seq 0 in a letter", Malformed, json!({"seq": 0})),
        ("part beyond parts", Malformed, json!({"part": 1})),
        ("no parts", Malformed, json!({"parts": 0})),
        ("33 parts", Malformed, json!({"parts": 33, "len": 723, "content": full})),
        ("part 40 of 40", Malformed, json!({"part": 39, "parts": 40})),
        ("a short part that is not the last", Malformed, json!({"parts": 2})),
        ("len 0", Malformed, json!({"len": 0, "content": padded(b"", 723)})),
        ("len beyond the content", Malformed, json!({"len": 724, "content": full})),
        ("len 65,535", Malformed, json!({"len": 65_535})),
        ("padding that is not zero", Malformed, json!({"content": padded(b"hello!", 723)})),
        (
            "padding whose last byte is not zero",
            Malformed,
            json!({"len": 722, "content": full.as_str().unwrap()[..1444].to_owned() + "01"}),
        ),
        ("a time that is not rounded", Malformed, json!({"time": 1_790_000_401})),
        ("another caller's key", Forged, json!({"caller_pk": hex(other.as_bytes())})),
        (
            "a caller's key of order one, for which anything is signed",
            Forged,
            json!({"caller_pk": hex(identity), "sig": zero_signature}),
        ),
        ("a caller's key of order four", Forged, json!({"caller_pk": hex([0; 32]), "sig": zero_signature})),
        ("a caller's key that is no point", Forged, json!({"caller_pk": hex([2; 32])})),
        ("a signature of zeros", Forged, json!({"sig": hex([0; 64])})),
    ]
}

fn dummies(table: &mut Table, good: &Value, desk: Desk<'_>, python: &mut Python, rng: &mut ChaCha20Rng) {
    let fields = json!({"kind": 0, "seq": 0, "len": 723, "content": hex(random::<723>(rng))});
    let dummy = with(&good["fields"], &fields);
    let sealed = |fields: &Value| with(good, &json!({"fields": fields}));
    desk.takes(table, (LETTER, "a dummy"), &desk.cell(&sealed(&dummy), python), python);
    for (name, why, changes) in [
        ("a dummy with a number", Malformed, json!({"seq": 1})),
        ("a dummy of two parts", Malformed, json!({"parts": 2})),
        ("a short dummy", Malformed, json!({"len": 5, "content": padded(b"hello", 723)})),
        ("a dummy not signed by its caller", Forged, json!({"sig": hex([7; 64])})),
    ] {
        desk.refuses(table, (LETTER, name, why), &desk.cell(&sealed(&with(&dummy, &changes)), python), python);
    }
}

fn sealed_for_others(table: &mut Table, good: &Value, world: &World, rng: &mut ChaCha20Rng, python: &mut Python) {
    let desk = Desk::of(world);
    let cell = desk.cell(good, python);
    for (name, other) in [
        ("another period with the same lowest byte", Desk { period: 4_242 + 256, ..desk }),
        ("another period", Desk { period: 4_243, ..desk }),
        ("another line", Desk { line: LineId::from_bytes(random(rng)), ..desk }),
        ("another use", Desk { purpose: Use::Safeguarding, ..desk }),
        ("another secret", Desk { secret: &world.safe_secret, ..desk }),
    ] {
        other.refuses(table, (LETTER, name, DoesNotOpen), &cell, python);
    }
    let safe = Desk { purpose: Use::Safeguarding, secret: &world.safe_secret, ..desk };
    let cell = safe.cell(good, python);
    safe.takes(table, (LETTER, "a safeguarding letter"), &cell, python);
    desk.refuses(table, (LETTER, "a safeguarding letter, opened by the desk", DoesNotOpen), &cell, python);
    Desk { purpose: Use::Desk, ..safe }.refuses(
        table,
        (LETTER, "a safeguarding letter, opened as a desk's", DoesNotOpen),
        &cell,
        python,
    );
}

fn spoilt_on_the_way(table: &mut Table, cell: &[u8; 2048], desk: Desk<'_>, rng: &mut ChaCha20Rng, python: &mut Python) {
    for _ in 0..5 {
        for (name, spoilt) in flipped(&up_cell::LAYOUT, cell, rng) {
            desk.refuses(table, (LETTER, &format!("a flipped bit in {name}"), DoesNotOpen), &spoilt.try_into().unwrap(), python);
        }
    }
    let share = up_cell::enc.at + 1088;
    let mut one = [0; 32];
    one[0] = 1;
    let spoilt =
        [("an X25519 share of zeros", [0; 32]), ("an X25519 share of small order", one), ("another X25519 share", random(rng))];
    for (name, point) in spoilt {
        let mut spoilt = *cell;
        spoilt[share..share + 32].copy_from_slice(&point);
        table.refused(name, desk.here(&spoilt), desk.there(LETTER, &spoilt, python));
    }
}

/// Keys that nobody may seal to.
fn zero_keys(table: &mut Table, good: &Value, desk: Desk<'_>, python: &mut Python) {
    let key = *desk.secret.public().as_bytes();
    let mut ask = |name: &str, key: &[u8; 1216]| {
        let to = json!({"line": hex(desk.line.as_bytes()), "period": 1, "use": 1, "recipient": hex(key)});
        let there = python.ask("seal_cell", with(good, &to));
        (name.to_owned(), SealingKey::from_bytes(key), there)
    };
    let spoilt = |at: usize, value: [u8; 32]| {
        let mut key = key;
        key[at..at + 32].copy_from_slice(&value);
        key
    };
    let mut one = [0; 32];
    one[0] = 1;
    let (name, here, there) = ask("a sealing key", &key);
    table.taken(&name, here, there);
    for (name, key) in [
        ("a sealing key with an X25519 part of zeros", spoilt(1184, [0; 32])),
        ("a sealing key with an X25519 part of small order", spoilt(1184, one)),
        ("a sealing key whose ML-KEM part is not reduced", spoilt(0, [255; 32])),
    ] {
        let (name, here, there) = ask(name, &key);
        table.refused(&name, here, there);
    }
}

const TEAM: &str = "open_team";

pub(super) fn team(table: &mut Table, world: &World, rng: &mut ChaCha20Rng, python: &mut Python) {
    let desk = Desk::of(world);
    let good = json!({
        "layout": "up-team", "sign_seed": hex(random::<32>(rng)),
        "fields": {
            "kind": 2, "device_seq": 9, "previous": hex(random::<32>(rng)), "lamport": 12, "time": 1_790_000_401, "part": 0, "parts": 1, "len": 5,
            "content": padded(b"event", 757),
        },
    });
    desk.takes(table, (TEAM, "a team cell"), &desk.cell(&good, python), python);
    let other = SecretKey::generate(rng).public();
    let full = hex(random::<757>(rng));
    for (name, why, fields) in [
        ("a team cell's flag", Malformed, json!({"flags": 128})),
        ("an event without a number", Malformed, json!({"device_seq": 0})),
        ("a team part beyond parts", Malformed, json!({"part": 3, "parts": 3})),
        ("33 team parts", Malformed, json!({"parts": 33, "len": 757, "content": full})),
        ("a team cell's len 0", Malformed, json!({"len": 0, "content": padded(b"", 757)})),
        ("a team cell's padding", Malformed, json!({"content": padded(b"event?", 757)})),
        ("another device's key", Forged, json!({"device_pk": hex(other.as_bytes())})),
        ("a team dummy with a number", Malformed, json!({"kind": 3, "previous": hex([0; 32]), "len": 757, "content": full})),
        ("a team dummy in the chain", Malformed, json!({"kind": 3, "device_seq": 0, "len": 757, "content": full})),
        ("a short team dummy", Malformed, json!({"kind": 3, "device_seq": 0, "previous": hex([0; 32])})),
    ] {
        let spoilt = with(&good, &json!({"fields": with(&good["fields"], &fields)}));
        desk.refuses(table, (TEAM, name, why), &desk.cell(&spoilt, python), python);
    }
    let lax = desk.cell(&with(&good, &json!({"spoil": "not canonical"})), python);
    desk.refuses(table, (TEAM, "a team signature with S above the group order", Forged), &lax, python);
    let safe = Desk { purpose: Use::Safeguarding, ..desk };
    safe.refuses(table, (TEAM, "a team cell to safeguarding", Malformed), &safe.cell(&good, python), python);
    let device = Desk { purpose: Use::Device, ..desk };
    device.takes(table, (TEAM, "a direct letter"), &device.cell(&good, python), python);
    let letter = device.cell(&letter(rng), python);
    device.refuses(table, (LETTER, "a letter to a device", Malformed), &letter, python);
    device.refuses(table, (TEAM, "a cell to the desk, opened as a device's", DoesNotOpen), &desk.cell(&good, python), python);
}
