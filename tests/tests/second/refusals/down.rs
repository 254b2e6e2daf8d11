//! Down cells that are not shown (SPEC §7).
use super::{Table, flipped, with};
use crate::python::{Python, array, bytes, hex};
use crate::text::random;
use crate::world::World;
use porchlight_proto::cell::CellError::{self, DoesNotOpen, Forged, Malformed, OutOfTime};
use porchlight_proto::cell::down::{AnswerPart, Place, Reader, Track, open};
use porchlight_proto::layout::down_cell;
use porchlight_proto::line::{CallerId, Seat};
use porchlight_proto::parts::{Join, Joined};
use porchlight_proto::time::Seconds;
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};

/// One caller who reads one place of the slow or the fast track.
#[derive(Clone)]
struct Caller<'w> {
    world: &'w World,
    id: CallerId,
    key: [u8; 32],
    place: Place,
    day: Option<u32>,
    now: Seconds,
}

impl<'w> Caller<'w> {
    fn new(world: &'w World, rng: &mut ChaCha20Rng) -> Self {
        let place = Place { relay_no: 3, seat: Seat::new(2).unwrap(), i: 17 };
        Self { world, id: CallerId(random(rng)), key: random(rng), place, day: Some(world.day()), now: world.now }
    }
    fn at(&self) -> Value {
        let mut at = json!({
            "line": hex(self.world.line.as_bytes()), "relay_no": self.place.relay_no, "seat": self.place.seat.number(), "i": self.place.i,
            "key": hex(self.key),
        });
        if let Some(day) = self.day {
            at["day"] = day.into();
        }
        at
    }
    /// An answer of one part to this caller at this place, as `seal_answer_cell` takes it.
    fn answer(&self, rng: &mut ChaCha20Rng) -> Value {
        let asked = json!({
            "caller_id": hex(self.id.0), "seat_seed": hex(self.world.seat(self.place.seat).seed().as_slice()), "nonce": hex(random::<24>(rng)),
            "fields": {
                "kind": 1, "answer_id": hex(random::<8>(rng)), "part": 0, "parts": 1, "time": self.now.0, "good_until": self.now.0 + 1_000,
                "answers_session": hex(random::<8>(rng)), "answers_seq": 1, "have_session": hex(random::<8>(rng)), "have_upto": 1, "have_map": 0,
                "len": 5, "content": padded(b"hello"),
            },
        });
        with(&self.at(), &asked)
    }
    fn track(&self) -> Track<'_> {
        match self.day {
            Some(day) => Track::Slow(&self.key, day),
            None => Track::Fast(&self.key),
        }
    }
    fn here(&self, cell: &[u8; 1024]) -> Result<AnswerPart, CellError> {
        let reader = Reader { caller: &self.id, roster: &self.world.roster, now: self.now };
        open(cell, (self.track(), self.place), &reader)
    }
    fn there(&self, cell: &[u8; 1024], python: &mut Python) -> Result<Value, String> {
        let mut asked = with(&self.world.reader(&self.id.0), &self.at());
        asked["now"] = self.now.0.into();
        asked["cell"] = hex(cell);
        python.ask("open_answer", asked)
    }
    fn refuses(&self, table: &mut Table, (name, why): (&str, CellError), cell: &[u8; 1024], python: &mut Python) {
        table.refused_as((name, why), self.here(cell), self.there(cell, python));
    }
    fn takes(&self, table: &Table, name: &str, cell: &[u8; 1024], python: &mut Python) {
        table.taken(name, self.here(cell), self.there(cell, python));
    }
}

fn padded(bytes: &[u8]) -> Value {
    let mut content = bytes.to_vec();
    content.resize(854, 0);
    hex(content)
}

fn sealed(asked: &Value, python: &mut Python) -> [u8; 1024] {
    array(&python.get("seal_answer_cell", asked.clone()))
}

pub(super) fn answers(table: &mut Table, world: &World, rng: &mut ChaCha20Rng, python: &mut Python) {
    for day in [Some(world.day()), None] {
        let caller = Caller { day, ..Caller::new(world, rng) };
        let good = caller.answer(rng);
        let cell = sealed(&good, python);
        caller.takes(table, "an answer", &cell, python);
        for (name, why, fields) in answer_fields(world, rng) {
            let spoilt = with(&good, &json!({"fields": with(&good["fields"], &fields)}));
            caller.refuses(table, (name, why), &sealed(&spoilt, python), python);
        }
        for (name, changes) in answer_signers(world, &caller, rng, python) {
            caller.refuses(table, (name, Forged), &sealed(&with(&good, &changes), python), python);
        }
        for (name, other) in read_elsewhere(&caller, rng) {
            let why = if other.id == caller.id { DoesNotOpen } else { Forged };
            other.refuses(table, (name, why), &cell, python);
        }
        for (name, spoilt) in (0..5).flat_map(|_| flipped(&down_cell::LAYOUT, &cell, rng)).collect::<Vec<_>>() {
            caller.refuses(table, (&format!("a flipped bit in {name}"), DoesNotOpen), &spoilt.try_into().unwrap(), python);
        }
        caller.refuses(table, ("filler", DoesNotOpen), &random(rng), python);
    }
    times(table, world, rng, python);
}

fn answer_fields(world: &World, rng: &mut ChaCha20Rng) -> Vec<(&'static str, CellError, Value)> {
    let full = hex(random::<854>(rng));
    let empty = padded(b"");
    vec![
        ("kind 3", Malformed, json!({"kind": 3})),
        ("flag 4", Malformed, json!({"flags": 4})),
        ("flag 128", Malformed, json!({"flags": 128})),
        ("part beyond parts", Malformed, json!({"part": 1})),
        ("no parts", Malformed, json!({"parts": 0})),
        ("33 parts", Malformed, json!({"parts": 33, "len": 854, "content": full})),
        ("a short part that is not the last", Malformed, json!({"parts": 2})),
        ("len 0 in an answer", Malformed, json!({"len": 0, "content": empty})),
        ("len beyond the content", Malformed, json!({"len": 855, "content": full})),
        ("padding that is not zero", Malformed, json!({"content": padded(b"hello!")})),
        ("both flags", Malformed, json!({"flags": 3})),
        ("a stop without content", Malformed, json!({"kind": 2, "len": 0, "content": empty})),
        ("an answer without an id", Malformed, json!({"answer_id": hex([0; 8])})),
        ("a stop without an id", Malformed, json!({"kind": 2, "answer_id": hex([0; 8])})),
        ("a receipt with words", Malformed, json!({"kind": 0, "answer_id": hex([0; 8])})),
        ("a receipt with an answer's id", Malformed, json!({"kind": 0, "len": 0, "content": empty})),
        ("past good_until", OutOfTime, json!({"good_until": world.now.0 - 1})),
        (
            "a receipt past good_until",
            OutOfTime,
            json!({"kind": 0, "answer_id": hex([0; 8]), "len": 0, "content": empty, "good_until": world.now.0 - 1}),
        ),
        ("a stop past good_until", OutOfTime, json!({"kind": 2, "good_until": world.now.0 - 1})),
        ("written three days ago for today", OutOfTime, json!({"time": world.now.0 - 3 * 86_400})),
        ("written in three days", OutOfTime, json!({"time": world.now.0 + 3 * 86_400})),
        ("a signature of zeros", Forged, json!({"sig": hex([0; 64])})),
    ]
}

fn answer_signers(world: &World, caller: &Caller<'_>, rng: &mut ChaCha20Rng, python: &mut Python) -> Vec<(&'static str, Value)> {
    let next = Caller { place: Place { i: caller.place.i + 1, ..caller.place }, ..caller.clone() };
    let next_tag = python.get("tag", next.at());
    let seed = |seat: usize| hex(world.seats[seat].seed().as_slice());
    vec![
        ("another seat's signature", json!({"seat_seed": seed(3)})),
        ("safeguarding's signature", json!({"seat_seed": seed(8)})),
        ("a stranger's signature", json!({"seat_seed": hex(random::<32>(rng))})),
        ("the desk key's signature", json!({"seat_seed": hex(world.desk.seed().as_slice())})),
        ("signed for another caller", json!({"caller_id": hex(random::<16>(rng))})),
        ("signed for another tag: an old answer sealed again", json!({"signed_tag": next_tag})),
        ("S above the group order", json!({"spoil": "not canonical"})),
    ]
}

fn read_elsewhere<'w>(caller: &Caller<'w>, rng: &mut ChaCha20Rng) -> Vec<(&'static str, Caller<'w>)> {
    let at = |place: Place| Caller { place, ..caller.clone() };
    let place = caller.place;
    vec![
        ("read with another tag", at(Place { i: place.i + 1, ..place })),
        ("read from another relay", at(Place { relay_no: place.relay_no + 1, ..place })),
        ("read as another seat's", at(Place { seat: Seat::new(3).unwrap(), ..place })),
        ("read with another key", Caller { key: random(rng), ..caller.clone() }),
        (
            "read on the other track or day",
            Caller { day: caller.day.map_or(Some(caller.world.day()), |day| Some(day + 1)), ..caller.clone() },
        ),
        ("read by another caller", Caller { id: CallerId(random(rng)), ..caller.clone() }),
    ]
}

/// The edges of a slow cell's day and of a fast cell's hour, and of `good_until`: taken on one side, refused on the other.
fn times(table: &mut Table, world: &World, rng: &mut ChaCha20Rng, python: &mut Python) {
    let day = u64::from(world.day()) * 86_400;
    let (slow, fast) = (Some(world.day()), None);
    for (track, time, fits) in [
        (slow, day - 86_401, false),
        (slow, day - 86_400, true),
        (slow, day + 2 * 86_400 - 1, true),
        (slow, day + 2 * 86_400, false),
        (fast, world.now.0 - 86_401, false),
        (fast, world.now.0 - 86_400, true),
        (fast, world.now.0 + 86_400, true),
        (fast, world.now.0 + 86_401, false),
    ] {
        let caller = Caller { day: track, ..Caller::new(world, rng) };
        let mut asked = caller.answer(rng);
        asked["fields"]["time"] = time.into();
        let cell = sealed(&asked, python);
        if fits {
            caller.takes(table, "at the edge of its time", &cell, python);
        } else {
            caller.refuses(table, ("one second beyond its time", OutOfTime), &cell, python);
        }
    }
    let caller = Caller::new(world, rng);
    let cell = sealed(&caller.answer(rng), python);
    Caller { now: caller.now.plus(1_000), ..caller.clone() }.takes(table, "in the second of its good_until", &cell, python);
    Caller { now: caller.now.plus(1_001), ..caller }.refuses(table, ("one second past its good_until", OutOfTime), &cell, python);
}

/// Parts that do not belong together never become an answer.
pub(super) fn splices(table: &mut Table, world: &World, rng: &mut ChaCha20Rng, python: &mut Python) {
    let caller = Caller::new(world, rng);
    let [first, second] = [0, 20].map(|offset| two_parts(&caller, offset, rng, python));
    let joined = |cells: [&(Caller<'_>, [u8; 1024]); 2]| {
        let mut join = Join::of(2);
        let parts = cells.map(|(at, cell)| at.here(cell).expect("each part by itself is good"));
        let same = parts.iter().all(|part| part.answer == parts[0].answer);
        match parts.map(|part| join.take(&part.part)) {
            [_, Joined::Whole(whole)] if same => Ok(whole.to_vec()),
            _ => Err("never whole"),
        }
    };
    let mut asked = |cells: [&(Caller<'_>, [u8; 1024]); 2]| {
        let cells = cells.map(|(at, cell)| with(&at.at(), &json!({"cell": hex(cell)})));
        python.ask("join_answer", with(&world.reader(&caller.id.0), &json!({"cells": cells})))
    };
    let whole = [&first[0], &first[1]];
    let there = asked(whole);
    assert_eq!(there.as_ref().map(bytes), Ok(joined(whole).unwrap()));
    table.taken("two parts of one answer", joined(whole), there);
    for (name, cells) in [
        ("a part of one answer spliced to one of another", [&first[0], &second[1]]),
        ("the same part twice", [&first[0], &first[0]]),
        ("two first parts", [&first[0], &second[0]]),
    ] {
        table.refused(name, joined(cells), asked(cells));
    }
}

fn two_parts<'w>(caller: &Caller<'w>, offset: u16, rng: &mut ChaCha20Rng, python: &mut Python) -> [(Caller<'w>, [u8; 1024]); 2] {
    let answer_id = hex(random::<8>(rng));
    let session = hex(random::<8>(rng));
    [0, 1].map(|part| {
        let at = Caller { place: Place { i: offset + part, ..caller.place }, ..caller.clone() };
        let mut asked = at.answer(rng);
        asked["fields"]["answer_id"] = answer_id.clone();
        asked["fields"]["answers_session"] = session.clone();
        asked["fields"]["part"] = part.into();
        asked["fields"]["parts"] = 2.into();
        if part == 0 {
            asked["fields"]["len"] = 854.into();
            asked["fields"]["content"] = hex(random::<854>(rng));
        }
        let cell = sealed(&asked, python);
        (at, cell)
    })
}
