//! Answers: cut, sealed under their tags, found among filler, opened, joined, read.
use crate::python::{Python, array, hex, list};
use crate::text::{below, length, one_of, random, shuffle, text};
use crate::world::World;
use porchlight_proto::answer::Answer;
use porchlight_proto::cell::down::{self, AnswerPart, Kind, Place, Reader, Receipt, Tags, Track, Withdrawal};
use porchlight_proto::letter::normal;
use porchlight_proto::limits::ANSWER_PART_LEN;
use porchlight_proto::line::{CallerId, Seat};
use porchlight_proto::parts::{Join, Joined, Part, cut};
use porchlight_proto::phrase::Language;
use porchlight_proto::time::Seconds;
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const BATCH: usize = 25;
/// Sendings looked through on each track.
const FAST_WINDOW: u16 = 128;
const SLOW_WINDOW: u16 = 64;

/// Where a caller's cells of one seat lie: a track and how many of its places are taken.
struct Sendings {
    relay_no: u8,
    day: Option<u32>,
    seat: Seat,
    next: u16,
}

impl Sendings {
    fn window(&self) -> u16 {
        if self.day.is_some() { SLOW_WINDOW } else { FAST_WINDOW }
    }
    fn json(&self) -> Value {
        let mut place = json!({"relay_no": self.relay_no, "seat": self.seat.number()});
        if let Some(day) = self.day {
            place["day"] = day.into();
        }
        place
    }
    fn at(&self, i: u16) -> Place {
        Place { relay_no: self.relay_no, seat: self.seat, i }
    }
}

/// One answer on its way.
struct Sent {
    answer: Answer,
    kind: Kind,
    id: [u8; 8],
    lane: usize,
    first: u16,
    parts: Vec<Part>,
    time: Seconds,
    good_until: Seconds,
    answers: ([u8; 8], u16),
    have: Receipt,
    withdrawal: Withdrawal,
}

/// One caller's answers from all the seats that may write to her.
struct Lane {
    world: World,
    caller: CallerId,
    live_key: [u8; 32],
    reply_key: [u8; 32],
    places: Vec<Sendings>,
    sent: Vec<Sent>,
}

impl Lane {
    fn new(first: usize, count: usize, rng: &mut ChaCha20Rng) -> Self {
        let world = World::new(rng);
        let relay_no = below(rng, 256) as u8;
        let safeguarding = below(rng, 4) == 0;
        let seats = Seat::all().filter(|seat| safeguarding == seat.is_safeguarding());
        let days = (0..7).map(|back| Some(world.day() - back));
        let tracks: Vec<_> = days.chain([None]).collect();
        let places =
            seats.flat_map(|seat| tracks.iter().map(move |day| Sendings { relay_no, day: *day, seat, next: 0 })).collect();
        let mut lane = Self {
            world,
            caller: CallerId(random(rng)),
            live_key: random(rng),
            reply_key: random(rng),
            places,
            sent: Vec::new(),
        };
        while lane.sent.len() < count {
            lane.add(first + lane.sent.len(), rng);
        }
        lane
    }
    /// Writes one more answer, at a place that has room for it.
    fn add(&mut self, number: usize, rng: &mut ChaCha20Rng) {
        let length = length(rng, number);
        let answer = answer(rng, length);
        let parts = cut(&answer.to_cbor().expect("an answer within its bounds"), ANSWER_PART_LEN).expect("it fits");
        let lane = below(rng, self.places.len() as u64) as usize;
        let place = &mut self.places[lane];
        let first = place.next + below(rng, 2) as u16;
        if usize::from(place.window()) < usize::from(first) + parts.len() {
            return;
        }
        place.next = first + parts.len() as u16;
        let time = place.day.map_or(self.world.now, |day| Seconds(u64::from(day) * 86_400 + below(rng, 86_400)));
        self.sent.push(Sent {
            answer,
            kind: *one_of(rng, &[Kind::Answer, Kind::Answer, Kind::Stop]),
            id: random(rng),
            lane,
            first,
            parts,
            time,
            good_until: self.world.now.plus(below(rng, 1_000_000)),
            answers: (random(rng), below(rng, 65_536) as u16),
            have: Receipt { session: random(rng), upto: below(rng, 65_536) as u16, map: rand_core::Rng::next_u64(rng) },
            withdrawal: Withdrawal::from_flags(below(rng, 3) as u8),
        });
    }
    fn key(&self, place: &Sendings) -> &[u8; 32] {
        if place.day.is_some() { &self.reply_key } else { &self.live_key }
    }
    fn track(&self, place: &Sendings) -> Track<'_> {
        match place.day {
            Some(day) => Track::Slow(&self.reply_key, day),
            None => Track::Fast(&self.live_key),
        }
    }
    fn seal(&self, sent: &Sent, rng: &mut ChaCha20Rng) -> Vec<[u8; 1024]> {
        let place = &self.places[sent.lane];
        (sent.first..)
            .zip(&sent.parts)
            .map(|(i, part)| {
                let cell = AnswerPart {
                    kind: sent.kind,
                    withdrawal: sent.withdrawal,
                    answer: sent.id,
                    part: part.clone(),
                    time: sent.time,
                    good_until: sent.good_until,
                    answers: sent.answers,
                    have: sent.have,
                };
                let seat = self.world.seat(place.seat);
                *cell.seal((&self.world.line, &self.caller), (self.track(place), place.at(i)), seat, rng)
            })
            .collect()
    }
    fn search(&self) -> Vec<Value> {
        self.places
            .iter()
            .map(|place| {
                let mut search = place.json();
                search["key"] = hex(self.key(place));
                search["from"] = 0.into();
                search["to"] = place.window().into();
                search
            })
            .collect()
    }
}

/// An answer's content.
pub(crate) fn answer(rng: &mut ChaCha20Rng, length: usize) -> Answer {
    Answer {
        n: rand_core::Rng::next_u64(rng),
        text: text(rng, length).into(),
        language: *one_of(rng, &[None, Some(Language::Zh), Some(Language::Ko), Some(Language::En)]),
        meeting: below(rng, 2) == 1,
        introduction: None,
        written: below(rng, 4_000_000_000),
        stops: (0..below(rng, 5).saturating_sub(3)).map(|_| random(rng)).collect(),
    }
}

fn map(answer: &Answer) -> Value {
    let mut map = json!({"0": answer.n, "5": answer.written, "1": normal(&answer.text).unwrap().as_str()});
    match answer.language {
        None => {}
        Some(Language::Zh) => map["2"] = 0.into(),
        Some(Language::Ko) => map["2"] = 1.into(),
        Some(Language::En) => map["2"] = 2.into(),
    }
    if answer.meeting {
        map["3"] = true.into();
    }
    if !answer.stops.is_empty() {
        map["6"] = answer.stops.iter().map(hex).collect();
    }
    if let Some(card) = &answer.introduction {
        map["4"] = hex(card);
    }
    map
}

fn with_filler(mut cells: Vec<[u8; 1024]>, rng: &mut ChaCha20Rng) -> Vec<[u8; 1024]> {
    cells.extend(cells.clone().first());
    cells.extend((0..40).map(|_| random::<1024>(rng)));
    shuffle(rng, &mut cells);
    cells
}

/// Sealed here, found there.
pub(crate) fn from_here_to_there(count: usize, rng: &mut ChaCha20Rng, python: &mut Python) {
    for first in (0..count).step_by(BATCH) {
        let lane = Lane::new(first, BATCH.min(count - first), rng);
        let cells = lane.sent.iter().flat_map(|sent| lane.seal(sent, rng)).collect();
        let cells: Vec<_> = with_filler(cells, rng).iter().map(hex).collect();
        let mut request = lane.world.reader(&lane.caller.0);
        request["search"] = lane.search().into();
        request["cells"] = cells.into();
        let found = python.get("open_answers", request);
        assert_eq!(found["refused"], json!([]));
        there_has_all(&lane, list(&found["answers"]), python);
    }
}

fn there_has_all(lane: &Lane, answers: &[Value], python: &mut Python) {
    assert_eq!(answers.len(), lane.sent.len());
    let by_id: BTreeMap<_, _> = answers.iter().map(|answer| (answer["answer_id"].as_str().unwrap(), answer)).collect();
    for sent in &lane.sent {
        let id = hex(sent.id);
        let got = by_id[id.as_str().unwrap()];
        for (name, value) in [
            ("seat", json!(lane.places[sent.lane].seat.number())),
            ("kind", json!(if sent.kind == Kind::Stop { 2 } else { 1 })),
            ("flags", json!(sent.withdrawal.flags())),
            ("time", json!(sent.time.0)),
            ("good_until", json!(sent.good_until.0)),
            ("answers_session", hex(sent.answers.0)),
            ("answers_seq", json!(sent.answers.1)),
            ("have_session", hex(sent.have.session)),
            ("have_upto", json!(sent.have.upto)),
            ("have_map", json!(sent.have.map)),
            ("bytes", hex(sent.answer.to_cbor().unwrap())),
        ] {
            assert_eq!(got[name], value, "{name}");
        }
        assert_eq!(python.get("parse_answer", json!({"bytes": got["bytes"]})), map(&sent.answer));
    }
    receipts_say_the_same(&lane.sent[0].have, python);
}

fn receipts_say_the_same(have: &Receipt, python: &mut Python) {
    for ahead in 0..70 {
        let Some(seq) = have.upto.checked_add(ahead).map(|seq| seq.saturating_sub(3).max(1)) else { return };
        let there = python.get("have", json!({
            "have_session": hex(have.session), "have_upto": have.upto, "have_map": have.map, "session": hex(have.session), "seq": seq,
        }));
        assert_eq!(there, have.holds(&have.session, seq), "letter {seq} after {}", have.upto);
    }
}

/// Sealed there, found here.
pub(crate) fn from_there_to_here(count: usize, rng: &mut ChaCha20Rng, python: &mut Python) {
    for first in (0..count).step_by(BATCH) {
        let lane = Lane::new(first, BATCH.min(count - first), rng);
        let answers: Vec<_> = lane.sent.iter().map(|sent| asked(&lane, sent, rng)).collect();
        let sealed = python.get("seal_answers", json!({"line": hex(lane.world.line.as_bytes()), "answers": answers}));
        let cells = list(&sealed).iter().flat_map(list).map(array).collect();
        here_has_all(&lane, &with_filler(cells, rng));
    }
}

fn asked(lane: &Lane, sent: &Sent, rng: &mut ChaCha20Rng) -> Value {
    let place = &lane.places[sent.lane];
    let mut request = place.json();
    let mut content = map(&sent.answer);
    content["1"] = json!(sent.answer.text.as_str());
    if !sent.answer.stops.is_empty() {
        content["6"] = sent.answer.stops.iter().map(|answer| json!({"hex": hex(answer)})).collect();
    }
    request["i"] = sent.first.into();
    request["key"] = hex(lane.key(place));
    request["caller_id"] = hex(lane.caller.0);
    request["seat_seed"] = hex(lane.world.seat(place.seat).seed().as_slice());
    request["map"] = content;
    request["nonces"] = sent.parts.iter().map(|_| hex(random::<24>(rng))).collect();
    request["fields"] = json!({
        "kind": if sent.kind == Kind::Stop { 2 } else { 1 }, "flags": sent.withdrawal.flags(), "answer_id": hex(sent.id), "time": sent.time.0, "good_until": sent.good_until.0,
        "answers_session": hex(sent.answers.0), "answers_seq": sent.answers.1, "have_session": hex(sent.have.session),
        "have_upto": sent.have.upto, "have_map": sent.have.map,
    });
    request
}

fn here_has_all(lane: &Lane, cells: &[[u8; 1024]]) {
    let mut table = BTreeMap::new();
    for place in &lane.places {
        let tags = Tags::of(lane.track(place), &lane.world.line);
        table.extend((0..place.window()).map(|i| (tags.tag(place.at(i)), (place, i))));
    }
    let reader = Reader { caller: &lane.caller, roster: &lane.world.roster, now: lane.world.now };
    let (mut joins, mut whole) = (BTreeMap::<[u8; 8], Join>::new(), BTreeMap::new());
    for cell in cells {
        let Some((place, i)) = table.get(&down::tag(cell)) else { continue };
        let part = down::open(cell, (lane.track(place), place.at(*i)), &reader).expect("an honest cell");
        let sent = lane.sent.iter().find(|sent| sent.id == part.answer).expect("an answer that was sent");
        assert_eq!(
            (part.kind, part.withdrawal, part.time, part.good_until, part.answers, part.have),
            (sent.kind, sent.withdrawal, sent.time, sent.good_until, sent.answers, sent.have),
        );
        if let Joined::Whole(content) = joins.entry(part.answer).or_insert_with(|| Join::of(part.part.parts)).take(&part.part) {
            whole.insert(part.answer, content);
        }
    }
    assert_eq!(whole.len(), lane.sent.len());
    for sent in &lane.sent {
        let read = Answer::parse(&whole[&sent.id]).expect("an honest answer");
        assert_eq!(map(&read), map(&sent.answer));
        assert_eq!(whole[&sent.id].as_slice(), sent.answer.to_cbor().unwrap(), "one encoding");
    }
}
