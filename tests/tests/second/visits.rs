//! Two visits of one caller in step, one here and one in Python: the same notices, the same answers, the same losses.
//! What they tell must be the same, and what they post must say the same once the desk has opened it.
use crate::letters;
use crate::python::{Python, array, bytes, hex};
use crate::text::{below, one_of, random, shuffle, text};
use crate::world::World;
use porchlight_proto::answer::Answer;
use porchlight_proto::api::{Notice, UpOutcome, UpPost, UpReply};
use porchlight_proto::bulletin::{Bulletin, Code};
use porchlight_proto::cell::down::{AnswerPart, Kind, Place, Receipt, Track, Withdrawal};
use porchlight_proto::cell::up::{self, LetterPart, Opened, Opener};
use porchlight_proto::have::Have;
use porchlight_proto::layout;
use porchlight_proto::limits::{ANSWER_PART_LEN, DOWN_CELL_LEN};
use porchlight_proto::line::{CallerId, Seat};
use porchlight_proto::parts::{Join, Joined, Part, cut};
use porchlight_proto::phrase::{Phrase, Stretched};
use porchlight_proto::seal::Use;
use porchlight_proto::stamp::StampFor;
use porchlight_proto::time::{Millis, Seconds, Timing};
use porchlight_proto::visit::{Clock, Event, Post, To, Visit};
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Numbers of the relays of the card.
const RELAYS: [u8; 2] = [0, 7];
const DAY: u64 = 86_400;
/// Beats of one story.
const BEATS: usize = 90;

/// The secrets of one voice of one visit.
#[derive(Clone, Default)]
struct Side {
    session: [u8; 8],
    live_key: [u8; 32],
}

/// A part on its way to both visits: its place on a relay's track, and what the seat says.
#[derive(Clone)]
struct OnItsWay {
    relay_no: u8,
    day: Option<u32>,
    seat: Seat,
    i: u16,
    part: AnswerPart,
    /// Whether the receipt and the letter named are of this visit, and so have another session here than there.
    own: bool,
}

/// The two visits, the line, and its desk.
struct Pair<'p> {
    world: World,
    python: &'p mut Python,
    rng: ChaCha20Rng,
    here: Visit,
    there: u64,
    clock: Clock,
    /// By how much the relays' clock is ahead of the caller's, in milliseconds.
    ahead: i64,
    now: Millis,
    stretched: Stretched,
    /// The desk's and safeguarding's voice, here and there.
    sides: [[Side; 2]; 2],
    joins: BTreeMap<(usize, u16), Join>,
    held: [Have; 2],
    next_i: BTreeMap<(u8, Option<u32>, u8), u16>,
    sent: Vec<(Kind, [u8; 8], u64)>,
    on_their_way: Vec<OnItsWay>,
    bulletin: [u8; 80],
    /// What each relay last said of stamps: salt, epoch and difficulty.
    stamps: BTreeMap<u8, ([u8; 16], u32, u8)>,
    /// Whether each voice had named everything before this beat.
    named: [bool; 2],
    /// No POST fails any more.
    calm: bool,
    /// Answers told of that she has not looked at: mailbox and id.
    unread: Vec<(To, [u8; 8])>,
    shown: Vec<[u8; 8]>,
    told: BTreeMap<String, usize>,
}

fn timing() -> Timing {
    Timing { slow_days: 1, ..Timing::PRODUCTION }
}

impl<'p> Pair<'p> {
    fn new(mut rng: ChaCha20Rng, python: &'p mut Python) -> Self {
        let mut world = World::new(&mut rng);
        world.body.timing = timing();
        world.body.reply_weeks = 1;
        world.body.not_after = world.now.plus(5 * DAY);
        world.body.not_before = Seconds(world.now.0 - 3_600);
        world.publish();
        let clock = *one_of(&mut rng, &[Clock::Own, Clock::Relays]);
        let here = Visit::open(world.root.public(), &mut rng);
        let asked = json!({"root_pk": hex(world.root.public().as_bytes()), "native": clock == Clock::Own});
        let there = python.get("visit_open", asked).as_u64().unwrap();
        let stretched = Phrase::generate(&mut rng).stretch(&world.line);
        Self {
            now: world.now.millis(),
            ahead: below(&mut rng, 3_000_000) as i64 - 1_500_000,
            bulletin: [0; 80],
            sides: <[[Side; 2]; 2]>::default(),
            joins: BTreeMap::new(),
            held: [Have::default(), Have::default()],
            next_i: BTreeMap::new(),
            sent: Vec::new(),
            on_their_way: Vec::new(),
            stamps: BTreeMap::new(),
            named: [true; 2],
            calm: false,
            unread: Vec::new(),
            shown: Vec::new(),
            told: BTreeMap::new(),
            world,
            python,
            rng,
            here,
            there,
            clock,
            stretched,
        }
    }
    fn ask(&mut self, verb: &str, mut asked: Value) -> Result<Value, String> {
        asked["visit"] = self.there.into();
        asked["now_ms"] = self.now.0.into();
        self.python.ask(verb, asked)
    }
    fn relays_now(&self) -> Millis {
        Millis(self.now.0.checked_add_signed(self.ahead).unwrap())
    }
    /// The clock that answers are held against.
    fn checked_now(&self) -> Seconds {
        if self.clock == Clock::Own { self.now.seconds() } else { self.relays_now().seconds() }
    }
    fn caller(&self, side: usize) -> CallerId {
        let key = if side == 1 { self.stretched.safe_sign_key() } else { self.stretched.sign_key() };
        CallerId::of(&self.world.line, &key.public())
    }
    /// Both take the same event lists, or both refuse.
    fn same<E: std::fmt::Debug>(&mut self, what: &str, here: Result<Vec<Event>, E>, there: Result<Value, String>) {
        match (here, there) {
            (Ok(here), Ok(there)) => {
                self.unread.extend(here.iter().filter_map(|event| match event {
                    Event::Answer(shown) => Some((shown.mailbox(), shown.answer)),
                    _ => None,
                }));
                // Of earlier visits' receipts the other one tells nothing. To the words that come again this visit's first part is one.
                let here = here.iter().filter(|event| !matches!(event, Event::EarlierReceipt(_)));
                let here: Vec<_> = here.map(|event| self.event(event, 0)).collect();
                let there: Vec<_> = there.as_array().unwrap().iter().map(|event| self.event_there(event)).collect();
                assert_eq!(json!(here), json!(there), "{what}");
                for event in here {
                    *self.told.entry(event[0].as_str().unwrap().to_owned()).or_default() += 1;
                }
            }
            (Err(_), Err(_)) => *self.told.entry(format!("{what} refused")).or_default() += 1,
            (here, there) => panic!("{what}: {here:?} here, {there:?} there"),
        }
    }

    // What they tell, in one form.

    fn event(&self, event: &Event, whose: usize) -> Value {
        match event {
            Event::InBox(to, seq) => json!(["in the box", name(to), seq]),
            Event::Receipt(to, seq) => json!(["receipt", name(to), seq]),
            Event::Withdrawn(to, seq) => json!(["withdrawn", name(to), seq]),
            Event::TooLate(to, seq) => json!(["too late", name(to), seq]),
            Event::EarlierWithdrawal { session, seq, done } => {
                json!(["earlier", self.session(whose, session), seq, if *done { "withdrawn" } else { "too late" }])
            }
            Event::Bulletin(code) => json!(["bulletin", code.code()]),
            Event::NewRoster(serial) => json!(["new roster", serial]),
            Event::Full => json!(["full"]),
            Event::StampAsked => json!(["stamp asked"]),
            Event::Answer(shown) => json!([
                "answer",
                hex(shown.answer),
                shown.seat.number(),
                shown.kind == Kind::Stop,
                shown.content.n,
                shown.content.text.as_str(),
                shown.good_until.0,
                self.session(whose, &shown.answers.0),
                shown.answers.1
            ]),
            _ => panic!("an event that this story does not know"),
        }
    }
    fn event_there(&self, event: &Value) -> Value {
        match event[0].as_str().unwrap() {
            "answer" => {
                let one = &event[1];
                json!([
                    "answer",
                    one["answer_id"],
                    one["seat"],
                    one["kind"] == 2,
                    one["map"]["0"],
                    one["map"].get("1").unwrap_or(&json!("")),
                    one["good_until"],
                    self.session(1, &array(&one["answers_session"])),
                    one["answers_seq"]
                ])
            }
            "earlier" => json!(["earlier", self.session(1, &array(&event[1])), event[2], event[3]]),
            _ => event.clone(),
        }
    }
    /// A session as both visits would name it.
    fn session(&self, whose: usize, session: &[u8; 8]) -> Value {
        match self.sides[whose].iter().position(|side| side.session == *session) {
            Some(side) => json!(format!("own {side}")),
            None => hex(session),
        }
    }

    // The relays.

    fn notices(&mut self, relay_no: u8, claimed: Option<u8>, spoil: impl FnOnce(&mut Vec<u8>)) {
        let relays = self.relays_now();
        let notice = Notice {
            roster: Some(Box::new(*self.world.roster.bytes())),
            clock_ms: relays,
            difficulty: below(&mut self.rng, 4) as u8,
            up_epoch: (relays.0 / 3_600_000) as u32,
            beat: timing().beat(relays),
            relay_no,
            stamp_salt: random(&mut self.rng),
            timing: timing(),
            up_ttl_s: 259_200,
            desk_beat_ms: 10_000,
            bulletin: self.bulletin,
        };
        let mut notice = notice.to_bytes().to_vec();
        spoil(&mut notice);
        let here = self.here.notice(&notice, claimed, self.now, self.clock);
        if here.is_ok() {
            let read = Notice::parse(&notice).expect("it was taken");
            self.stamps.insert(relay_no, (read.stamp_salt, read.up_epoch, read.difficulty));
        }
        let there = self.ask("visit_notice", json!({"notice": hex(&notice), "relay_no": claimed}));
        self.same("a notice", here, there);
    }
    /// One beat of both; gives to whom it went, and which answer it named, here and there.
    fn beat(&mut self) -> [(usize, [u8; 8]); 2] {
        let relay_no = *one_of(&mut self.rng, &RELAYS);
        self.named = self.all_named();
        let here = self.here.beat(relay_no, self.now, &mut self.rng).expect("the relay gave a notice");
        let there = self.ask("visit_beat", json!({"relay_no": relay_no})).expect("the relay gave a notice");
        let (side, ours) = self.opened(relay_no, here.bytes.as_slice());
        let (other, theirs) = self.opened(relay_no, &bytes(&there["body"]));
        self.sides[0][side] = Side { session: ours.session, live_key: *ours.live_key };
        self.sides[1][side] = Side { session: theirs.session, live_key: *theirs.live_key };
        assert_eq!(side, other, "the same mailbox");
        assert_eq!(said(&ours), said(&theirs));
        if self.named[side] {
            // All were named, and now come in turn: where the turn begins is each client's own.
            assert_eq!(ours.saw == [0; 8], theirs.saw == [0; 8], "something is named, or nothing");
        } else {
            assert_eq!(ours.saw, theirs.saw, "the answer named");
        }
        self.replied(relay_no, &here, &there["post"]);
        if !ours.dummy {
            self.desk_takes(side, &ours);
        }
        [(side, ours.saw), (other, theirs.saw)]
    }
    fn opened(&self, relay_no: u8, post: &[u8]) -> (usize, LetterPart) {
        let post = UpPost::parse(post).expect("a POST");
        let (salt, epoch, difficulty) = &self.stamps[&relay_no];
        assert!(StampFor::cell(post.cell.as_slice(), salt, &self.world.line, *epoch).is_paid(&post.stamp, *difficulty));
        let uses = [(Use::Desk, &self.world.desk_secret), (Use::Safeguarding, &self.world.safe_secret)];
        for (side, (purpose, secret)) in uses.into_iter().enumerate() {
            let opener = Opener { line: &self.world.line, period: self.world.roster.period(), purpose, secret };
            if let Ok(Opened::Letter(_, part)) = up::open(&post.cell, &opener) {
                return (side, part);
            }
        }
        panic!("nobody can open the cell");
    }
    /// The reply: mostly that it was stored; sometimes none, too late, full, or a stamp asked for.
    fn replied(&mut self, relay_no: u8, here: &Post, there: &Value) {
        let stored = self.calm || below(&mut self.rng, 5) < 3;
        let outcome = if stored { UpOutcome::Stored } else { *one_of(&mut self.rng, &[UpOutcome::Full, UpOutcome::Stamp]) };
        let serial = self.world.roster.serial() + u32::from(below(&mut self.rng, 12) == 0);
        let difficulty = below(&mut self.rng, 4) as u8;
        let reply = UpReply { outcome, difficulty, serial, clock_ms: self.relays_now() }.to_bytes();
        let reply = Some(&reply).filter(|_| self.calm || below(&mut self.rng, 8) > 0);
        if reply.is_some() {
            self.stamps.entry(relay_no).and_modify(|stamps| stamps.2 = difficulty);
        }
        let events = self.here.posted(here.ticket, relay_no, reply.map(<[u8; 16]>::as_slice));
        let asked = json!({"relay_no": relay_no, "post": there, "reply": reply.map(hex)});
        let there = self.ask("visit_posted", asked);
        self.same("a reply", events, there);
    }
    fn desk_takes(&mut self, side: usize, part: &LetterPart) {
        let join = self.joins.entry((side, part.seq)).or_insert_with(|| Join::of(part.part.parts));
        if matches!(join.take(&part.part), Joined::Whole(_)) && below(&mut self.rng, 3) > 0 {
            self.held[side].insert(part.seq);
        }
    }

    // The desk.

    fn write(&mut self) {
        let length = 1 + below(&mut self.rng, 2_500) as usize;
        let letter = letters::letter(&mut self.rng, length);
        let (to, name) = *one_of(&mut self.rng, &[(To::Desk, "desk"), (To::Desk, "desk"), (To::Safeguarding, "safeguarding")]);
        let here = self.here.write(&letter, to, self.now).map_err(|_| ());
        let there = self.ask("visit_write", json!({"map": letters::map_to_build(&letter), "to": name})).map_err(|_| ());
        assert_eq!(here.map(|seq| json!(seq)), there, "a letter's number");
    }
    fn receipt(&mut self) {
        let (seat, day) = self.somewhere();
        let part = AnswerPart {
            withdrawal: Withdrawal::from_flags(below(&mut self.rng, 3) as u8),
            answers: (random(&mut self.rng), 1 + below(&mut self.rng, 4) as u16),
            ..AnswerPart::receipt(Receipt::default(), self.time_for(day))
        };
        self.post_parts(seat, day, vec![part]);
    }
    fn answer(&mut self) {
        let now = self.checked_now();
        let kind = *one_of(&mut self.rng, &[Kind::Answer, Kind::Answer, Kind::Answer, Kind::Stop]);
        let meeting = below(&mut self.rng, 4) == 0;
        let written = now.0 - 40_000 + *one_of(&mut self.rng, &[0, 20_000, 120_000, 40_000 + DAY, 40_001 + DAY]);
        let life = *one_of(&mut self.rng, &[2 * DAY, 2 * DAY, 2 * DAY, 14 * DAY, 30 * DAY, 30 * DAY + 1, 2 * DAY + 1]);
        let stops = if kind == Kind::Stop { self.some_sent() } else { Vec::new() };
        let length = 1 + below(&mut self.rng, 1_500) as usize;
        let next = self.sent.len() as u64 + 1;
        let n = if below(&mut self.rng, 2) == 0 { next } else { 1 + below(&mut self.rng, next + 3) };
        let said = Answer {
            n,
            written,
            text: porchlight_proto::letter::normal(&text(&mut self.rng, length)).unwrap(),
            meeting,
            stops,
            ..Answer::default()
        };
        let id = self.some_id(kind);
        self.sent.push((kind, id, n));
        let content = said.to_cbor().expect("an answer within its bounds");
        // Two seats may send the same; what comes twice is shown once.
        for _ in 0..1 + below(&mut self.rng, 2) {
            self.send_answer(kind, id, &content, Seconds(written + life));
        }
    }
    /// An answer of the slow track that nothing is wrong with; gives its id.
    fn good_answer(&mut self) -> [u8; 8] {
        let (id, now) = (random(&mut self.rng), self.checked_now());
        let said = Answer { n: 1_000, written: now.0, text: "here".to_owned().into(), ..Answer::default() };
        let day = Some(timing().day(self.relays_now()));
        let part = AnswerPart {
            kind: Kind::Answer,
            answer: id,
            part: cut(&said.to_cbor().unwrap(), ANSWER_PART_LEN).unwrap().remove(0),
            good_until: now.plus(DAY),
            ..AnswerPart::receipt(Receipt::default(), self.time_for(day))
        };
        self.post_parts(Seat::new(0).unwrap(), day, vec![part]);
        id
    }
    fn some_id(&mut self, kind: Kind) -> [u8; 8] {
        match self.sent.last() {
            Some((last, id, _)) if *last == kind && below(&mut self.rng, 12) == 0 => *id,
            _ => random(&mut self.rng),
        }
    }
    fn some_sent(&mut self) -> Vec<[u8; 8]> {
        let count = below(&mut self.rng, 3) as usize;
        (0..count.min(self.sent.len())).map(|_| one_of(&mut self.rng, &self.sent).1).collect()
    }
    fn send_answer(&mut self, kind: Kind, id: [u8; 8], content: &[u8], good_until: Seconds) {
        let (seat, day) = self.somewhere();
        let answers = (random(&mut self.rng), 1 + below(&mut self.rng, 3) as u16);
        let withdrawal = Withdrawal::from_flags(below(&mut self.rng, 9).saturating_sub(6) as u8);
        let parts = cut(content, ANSWER_PART_LEN).expect("it fits").into_iter().map(|part: Part| AnswerPart {
            kind,
            withdrawal,
            answer: id,
            part,
            good_until,
            answers,
            ..AnswerPart::receipt(Receipt::default(), self.time_for(day))
        });
        let parts = parts.collect();
        self.post_parts(seat, day, parts);
    }
    /// A seat and a track: on the slow one, today or yesterday.
    fn somewhere(&mut self) -> (Seat, Option<u32>) {
        let today = timing().day(self.relays_now());
        let seat = Seat::new(*one_of(&mut self.rng, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 8])).unwrap();
        (seat, *one_of(&mut self.rng, &[None, None, Some(today), Some(today - 1), Some(today - 7), Some(today + 1)]))
    }
    /// A cell's own time: that of its slot.
    fn time_for(&self, day: Option<u32>) -> Seconds {
        day.map_or(self.checked_now(), |day| Seconds(u64::from(day) * DAY))
    }
    fn post_parts(&mut self, seat: Seat, day: Option<u32>, parts: Vec<AnswerPart>) {
        let relay_no = *one_of(&mut self.rng, &RELAYS);
        let own = below(&mut self.rng, 3) > 0;
        for part in parts {
            let next = self.next_i.entry((relay_no, day, seat.number())).or_default();
            if *next < if day.is_some() { 64 } else { 1024 } {
                self.on_their_way.push(OnItsWay { relay_no, day, seat, i: *next, part, own });
                *next += 1;
            }
        }
    }
    /// The cell that one of the two visits gets: the same but for its own keys and session.
    fn sealed(&mut self, one: &OnItsWay, whose: usize) -> [u8; DOWN_CELL_LEN] {
        let side = usize::from(one.seat.is_safeguarding());
        let mut part = one.part.clone();
        if one.own {
            let session = self.sides[whose][side].session;
            part.have = self.held[side].receipt(session);
            if part.withdrawal.flags() != 0 {
                part.answers.0 = session;
            }
        }
        let week = self.world.roster.week();
        let reply = if side == 1 { self.stretched.safe_reply_key(week) } else { self.stretched.reply_key(week) };
        let live = self.sides[whose][side].live_key;
        let track = one.day.map_or(Track::Fast(&live), |day| Track::Slow(&reply, day));
        let place = Place { relay_no: one.relay_no, seat: one.seat, i: one.i };
        let caller = self.caller(side);
        *part.seal((&self.world.line, &caller), (track, place), self.world.seat(one.seat), &mut self.rng)
    }
    /// Some of what is on its way to one track of one relay comes, in any order; some of it will come again.
    fn deliver(&mut self) {
        let Some(first) = self.on_their_way.first().cloned() else { return };
        shuffle(&mut self.rng, &mut self.on_their_way);
        let room = if first.day.is_some() { 48 } else { 2 * usize::from(timing().fast_slots) };
        let comes = |one: &OnItsWay| (one.relay_no, one.day) == (first.relay_no, first.day);
        let some: Vec<_> = self.on_their_way.iter().filter(|one| comes(one)).take(room - 3).cloned().collect();
        let again = |rng: &mut ChaCha20Rng| below(rng, 6) == 0;
        let mut left = some.len();
        let rng = &mut self.rng;
        self.on_their_way.retain(|one| {
            let gone = comes(one) && left > 0;
            left -= usize::from(gone);
            !gone || again(rng)
        });
        let lanes = [0, 1].map(|whose| self.lane(&some, whose, room));
        let asked = json!({"relay_no": first.relay_no, "bytes": hex(&lanes[1])});
        if first.day.is_some() {
            let here = self.here.slow_day(first.relay_no, &lanes[0], self.now);
            let there = self.ask("visit_slow_day", asked);
            self.same("a slow day", here, there);
        } else {
            let here = self.here.fast(first.relay_no, &lanes[0], self.now);
            let there = self.ask("visit_fast", asked);
            self.same("the fast track", here, there);
        }
    }
    fn lane(&mut self, some: &[OnItsWay], whose: usize, room: usize) -> Vec<u8> {
        let mut cells: Vec<_> = some.iter().map(|one| self.sealed(one, whose)).collect();
        while cells.len() < room {
            cells.push(random(&mut self.rng));
        }
        cells.concat()
    }

    /// She looks at one of the answers that wait, here and there.
    fn look(&mut self) {
        let Some((of, answer)) = self.unread.pop() else { return };
        self.here.displayed(of, answer);
        self.ask("visit_displayed", json!({"of": name(&of), "answer": hex(answer)})).expect("it was told of");
        self.shown.push(answer);
    }

    // Time, rosters, bulletins.

    fn time_passes(&mut self) {
        self.now = self.now.plus(*one_of(&mut self.rng, &[5_000, 30_000, 60_000, 90_000, 3_600_000, 20_000_000]));
        self.says_the_same();
    }
    fn news(&mut self) {
        let now = self.relays_now().seconds();
        match below(&mut self.rng, 3) {
            0 => {
                self.world.body.serial += 1;
                self.world.body.not_before = Seconds(now.0 - 2 * 3_600);
                self.world.body.not_after = Seconds(now.0 + 5 * DAY);
                self.world.body.bulletins_void_before = Seconds(now.0 - below(&mut self.rng, 4_000));
                self.world.publish();
            }
            1 => self.raise(),
            _ => self.bulletin = [0; 80],
        }
        for relay_no in RELAYS {
            self.notices(relay_no, Some(relay_no), |_| ());
        }
    }
    /// A seat raises a bulletin; some are too far ahead, or void.
    fn raise(&mut self) {
        let time = Seconds(self.relays_now().seconds().0 + 700 - 1_000 * below(&mut self.rng, 5));
        let code = *one_of(&mut self.rng, &[Code::NoMeetings, Code::Closed, Code::DoorChanges]);
        let seat = Seat::new(below(&mut self.rng, 8) as u8).unwrap();
        self.bulletin = Bulletin { code, seat, time }.sign(self.world.seat(seat), &self.world.line);
    }
    /// Notices that are refused, and leave everything as it was.
    fn bad_news(&mut self) {
        let relay_no = RELAYS[0];
        self.notices(relay_no, Some(relay_no + 1), |_| ());
        let spoilt: [(usize, &[u8]); 5] = [
            (layout::notice::zero.at, &[1]),
            (layout::notice::beat_ms.at, &[0, 99]),
            (layout::notice::fast_slots.at, &[9]),
            (layout::notice::up_beat_ms.at, &[0, 9]),
            (layout::roster::zero.at, &[1]),
        ];
        let (at, value) = *one_of(&mut self.rng, &spoilt);
        self.notices(relay_no, Some(relay_no), |notice| notice[at..at + value.len()].copy_from_slice(value));
        self.notices(relay_no, Some(relay_no), |notice| notice[..4096].fill(0));
        let (serial, roster) = (self.world.body.serial, self.world.roster.clone());
        self.world.body.serial = serial - 1;
        self.world.publish();
        self.notices(relay_no, Some(relay_no), |_| ());
        (self.world.body.serial, self.world.roster) = (serial, roster);
        if self.clock == Clock::Own {
            let ahead = self.ahead;
            self.ahead = 86_400_001;
            self.notices(relay_no, Some(relay_no), |_| ());
            self.ahead = ahead;
        }
        // More than may be asked counts as the most; the next notice asks for less.
        self.notices(relay_no, Some(relay_no), |notice| notice[layout::notice::difficulty.at] = 255);
        self.notices(relay_no, Some(relay_no), |_| ());
    }
    /// Whether each voice has named all that was shown; of the one here both together are known.
    fn all_named(&mut self) -> [bool; 2] {
        let there = self.ask("visit_says", json!({})).expect("it always says something");
        let named = [0, 1].map(|side| there["sides"][side]["all_named"] == true);
        assert_eq!(named[0] && named[1], self.here.all_named(), "whether all was named");
        named
    }
    /// Once all is named and every POST succeeds, each answer that was shown is named again in its turn, by both.
    fn all_in_turn(&mut self) {
        self.calm = true;
        while !self.unread.is_empty() {
            self.look();
        }
        let mut saw = [0, 1].map(|_| [0, 1].map(|_| BTreeSet::new()));
        for beat in 0..7 * (2 * self.shown.len() + 2) {
            let [ours, theirs] = self.beat();
            if beat > 7 * self.shown.len() {
                saw[ours.0][0].insert(ours.1);
                saw[theirs.0][1].insert(theirs.1);
            }
        }
        let (all, named): (BTreeSet<_>, _) = (self.shown.iter().copied().collect(), saw.clone());
        let both = |whose: usize| named.iter().flat_map(|side| side[whose].iter().copied()).filter(|id| *id != [0; 8]).collect();
        assert_eq!(saw[0][0], saw[0][1], "the desk hears of the same answers");
        assert_eq!(saw[1][0], saw[1][1], "safeguarding hears of the same answers");
        let heard: BTreeSet<_> = both(0);
        assert!(heard.is_superset(&all), "each answer shown is named in its turn");
    }
    fn says_the_same(&mut self) {
        let there = self.ask("visit_says", json!({})).expect("it always says something");
        assert_eq!(there["bulletin"], json!(self.here.bulletin().map(Code::code)), "the bulletin that stands");
        assert_eq!(there["wants_notice"], self.here.wants_notice(self.now));
        assert_eq!(there["days"], json!(self.here.days(self.now)));
        assert_eq!(there["all_named"], self.here.all_named());
        assert_eq!(there["all_receipted"], self.here.all_receipted());
    }
    fn step(&mut self) {
        match below(&mut self.rng, 20) {
            0 => self.write(),
            1..=4 => self.answer(),
            5..=6 => self.receipt(),
            7..=10 => self.deliver(),
            11 => self.look(),
            12 => self.time_passes(),
            13 if below(&mut self.rng, 3) == 0 => self.news(),
            13 if below(&mut self.rng, 3) == 0 => self.bad_news(),
            _ => _ = self.beat(),
        }
    }
}

fn name(to: &To) -> &'static str {
    if *to == To::Safeguarding { "safeguarding" } else { "desk" }
}

fn said(part: &LetterPart) -> Value {
    let content = Some(hex(&*part.part.bytes)).filter(|_| !part.dummy);
    json!([part.dummy, part.seq, part.part.part, part.part.parts, content, part.time.0])
}

impl Pair<'_> {
    /// She gives words, the same here and there. Of a room that she was in before nothing counts any more.
    fn know(&mut self, what: &str, phrase: &Phrase) {
        self.joins.clear();
        self.held = <[Have; 2]>::default();
        (self.unread, self.shown) = (Vec::new(), Vec::new());
        let here = self.here.know(phrase.stretch(&self.world.line), self.now, &mut self.rng);
        let there = self.ask("visit_know", json!({"indexes": phrase.indexes()}));
        self.same(what, Ok::<_, ()>(here), there);
    }
}

/// One story; gives how often each thing was told.
pub(crate) fn in_step(rng: ChaCha20Rng, python: &mut Python) -> BTreeMap<String, usize> {
    let mut pair = Pair::new(rng, python);
    for relay_no in RELAYS {
        pair.notices(relay_no, Some(relay_no), |_| ());
    }
    pair.write();
    (0..7).for_each(|_| _ = pair.beat());
    let phrase = Phrase::generate(&mut pair.rng);
    pair.stretched = phrase.stretch(&pair.world.line);
    (0..3).for_each(|_| pair.answer());
    pair.deliver();
    // Other words first, as when one was mistyped: what was fetched until then is read all the same once she gives hers.
    let other = Phrase::generate(&mut pair.rng);
    pair.know("other words", &other);
    pair.write();
    (0..7).for_each(|_| _ = pair.beat());
    (0..4).for_each(|_| pair.answer());
    while !pair.on_their_way.is_empty() {
        pair.deliver();
    }
    let good = pair.good_answer();
    pair.deliver();
    assert!(pair.unread.is_empty(), "nothing of hers is in the other room");
    pair.know("the phrase", &phrase);
    assert!(pair.unread.contains(&(To::Desk, good)), "what was fetched before is read again");
    (0..7).for_each(|_| _ = pair.beat());
    (0..BEATS * 3).for_each(|_| pair.step());
    for _ in 0..3 {
        pair.raise();
        pair.notices(RELAYS[0], Some(RELAYS[0]), |_| ());
    }
    pair.all_in_turn();
    pair.told
}
