//! A whole visit, driven by bytes: by an honest page, between a relay and a desk that say what they like.
use super::{
    input::Input,
    world::{NOW, World, rng},
};
use porchlight_proto::{
    answer::Answer,
    api::{UpOutcome, UpPost, UpReply},
    cell::{
        down::{AnswerPart, DownCell, Kind, Place, Receipt, Track, Withdrawal},
        up::{self, LetterPart, Opened, Opener},
    },
    letter::{Letter, Status, Withdraw},
    limits::{ANSWER_PART_LEN, DOWN_CELL_LEN, UP_POST_LEN},
    line::{CallerId, Seat},
    parts::{Part, cut},
    phrase::{Phrase, Stretched},
    seal::Use,
    time::{Millis, Timing},
    visit::{Clock, Event, Ticket, To, Visit},
};
use rand_chacha::ChaCha20Rng;
use std::collections::BTreeSet;
use zeroize::Zeroizing;

const STEPS: usize = 64;

struct Scene {
    visit: Visit,
    rng: ChaCha20Rng,
    now: Millis,
    known: bool,
    /// What the words came to: stretching is slow.
    key: Option<Box<Zeroizing<[u8; 32]>>>,
    ticket: Option<Ticket>,
    /// What the last post that the desk could open said.
    heard: Option<(CallerId, LetterPart)>,
    written: u16,
    boxed: BTreeSet<u16>,
}

/// Each step is one byte that says what happens, and what that takes.
pub fn visit(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut rng = rng();
    let visit = Visit::open(World::get().root.public(), &mut rng);
    let mut scene = Scene {
        visit,
        rng,
        now: NOW.plus(5000).millis(),
        known: false,
        key: None,
        ticket: None,
        heard: None,
        written: 0,
        boxed: BTreeSet::new(),
    };
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        let events = scene.step(&mut input);
        scene.judge(&events);
    }
}

impl Scene {
    fn step(&mut self, input: &mut Input<'_>) -> Vec<Event> {
        match input.u8() % 10 {
            0 => self.notice(input),
            1 => self.know(),
            2 => self.write(input),
            3 => self.beat(),
            4 => self.reply(input),
            5 => {
                self.now = self.now.plus(1000 * u64::from(input.u16()));
                Vec::new()
            }
            6 => self.answer(input),
            7 => self.garbage(input),
            8 => self.fail(),
            _ => self.receipt(input),
        }
    }
    fn judge(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::InBox(To::Desk, seq) => {
                    assert!(*seq >= 1 && *seq <= self.written && self.boxed.insert(*seq), "a letter is in the box once");
                }
                Event::Receipt(To::Desk, seq) => assert!(*seq >= 1 && *seq <= self.written),
                Event::Answer(answer) => {
                    assert!(self.known && answer.good_until >= self.now_checked());
                    self.visit.displayed(answer.mailbox(), answer.answer);
                }
                _ => {}
            }
        }
        let _ = (self.visit.all_receipted(), self.visit.all_in_box(), self.visit.all_named(), self.visit.days(self.now));
    }
    fn now_checked(&self) -> porchlight_proto::time::Seconds {
        self.now.seconds()
    }
    fn notice(&mut self, input: &mut Input<'_>) -> Vec<Event> {
        let mut bytes = *World::get().notice(self.now).to_bytes();
        // Anywhere in it, but not its clock, which the relay may set as it likes: then nothing here would know the time.
        for _ in 0..input.u8() % 4 {
            let at = usize::from(input.u16()) % bytes.len();
            if !(4096..4104).contains(&at) {
                bytes[at] = input.u8();
            }
        }
        self.visit.notice(&bytes, None, self.now, Clock::Relays).unwrap_or_default()
    }
    /// The second time the room is entered anew, and letters are counted from one again.
    fn know(&mut self) -> Vec<Event> {
        let line = World::get().line;
        let stretch = || Phrase::from_indexes([1, 2, 3, 4, 5, 6, 7, 8]).unwrap().stretch(&line).key().clone();
        let key = self.key.get_or_insert_with(|| Box::new(stretch())).clone();
        (self.known, self.written) = (true, 0);
        self.boxed.clear();
        self.visit.know(Stretched::from_key(line, key), self.now, &mut self.rng)
    }
    fn write(&mut self, input: &mut Input<'_>) -> Vec<Event> {
        let (kind, len) = (input.u8(), usize::from(input.u16()) % 17_000);
        let letter = Letter {
            status: (kind & 1 == 1).then_some(Status::Safe),
            text: Zeroizing::new("가".repeat(len / 3)),
            quiet: kind & 2 == 2,
            withdraw: (kind & 4 == 4).then_some(Withdraw::AllUnshown),
            ..Letter::default()
        };
        let to = if kind & 8 == 8 { To::Safeguarding } else { To::Desk };
        if self.visit.write(&letter, to, self.now).is_ok() {
            assert!(self.known, "the eight words come first");
            self.written += u16::from(to == To::Desk);
        }
        Vec::new()
    }
    fn beat(&mut self) -> Vec<Event> {
        if let Some(ticket) = self.post() {
            self.ticket = Some(ticket);
        }
        Vec::new()
    }
    fn post(&mut self) -> Option<Ticket> {
        let post = self.visit.beat(0, self.now, &mut self.rng).ok()?;
        assert_eq!(post.bytes.len(), UP_POST_LEN);
        let world = World::get();
        let cell = UpPost::parse(post.bytes.as_slice()).unwrap().cell;
        let opener = |secret, purpose| Opener { line: &world.line, period: world.roster.period(), purpose, secret };
        let at_desk = up::open(&cell, &opener(&world.desk, Use::Desk));
        let opened = at_desk.or_else(|_| up::open(&cell, &opener(&world.safe, Use::Safeguarding)));
        let Ok(Opened::Letter(caller, part)) = opened else { panic!("an honest cell opens at one of the two") };
        self.heard = Some((caller, part));
        Some(post.ticket)
    }
    fn fail(&mut self) -> Vec<Event> {
        let Some(ticket) = self.ticket.take() else { return Vec::new() };
        let events = self.visit.posted(ticket, 0, None).unwrap();
        assert!(events.is_empty(), "a post without a reply says nothing");
        events
    }
    fn reply(&mut self, input: &mut Input<'_>) -> Vec<Event> {
        let Some(ticket) = self.ticket.take() else { return Vec::new() };
        let how = input.u8();
        let outcome = [UpOutcome::Stored, UpOutcome::Full, UpOutcome::Stamp][usize::from(how % 3)];
        let reply = UpReply { outcome, difficulty: how >> 6, serial: u32::from(input.u8()), clock_ms: self.now };
        if how & 32 == 32 {
            return self.visit.posted(ticket, 0, Some(input.bytes(16))).unwrap_or_default();
        }
        self.visit.posted(ticket, 0, Some(&reply.to_bytes())).unwrap()
    }
    /// The desk answers what it heard last: honestly signed, with fields of any value.
    fn answer(&mut self, input: &mut Input<'_>) -> Vec<Event> {
        let how = input.u8();
        let content = Answer {
            n: u64::from(input.u8()),
            written: self.now.seconds().0,
            text: "네 ".repeat(usize::from(input.u16() % 700)).into(),
            ..Answer::default()
        };
        let Ok(content) = content.to_cbor() else { return Vec::new() };
        let id = [input.u8() % 4; 8];
        let kind = if how & 1 == 1 { Kind::Stop } else { Kind::Answer };
        let (part, i) = (usize::from(input.u8()), input.u16() % 1100);
        let Some(parts) = cut(&content, ANSWER_PART_LEN) else { return Vec::new() };
        let part = parts[part % parts.len()].clone();
        let withdrawal = Withdrawal::from_flags(how >> 6);
        self.send(how, i, |answer| AnswerPart {
            kind,
            answer: id,
            part,
            withdrawal,
            good_until: answer.time.plus(u64::from(input.u16())),
            ..answer
        })
    }
    fn receipt(&mut self, input: &mut Input<'_>) -> Vec<Event> {
        let (how, i) = (input.u8(), input.u16() % 1100);
        let (upto, map) = (input.u16() % 100, input.u64());
        let empty = Part { part: 0, parts: 1, bytes: Zeroizing::default() };
        self.send(how, i, |answer| AnswerPart { have: Receipt { upto, map, ..answer.have }, part: empty, ..answer })
    }
    fn send(&mut self, how: u8, i: u16, make: impl FnOnce(AnswerPart) -> AnswerPart) -> Vec<Event> {
        let world = World::get();
        let Some((caller, heard)) = &self.heard else { return Vec::new() };
        let seat = Seat::new(how >> 2 & 7).unwrap();
        let have = Receipt { session: heard.session, ..Receipt::default() };
        let answer = make(AnswerPart { answers: (heard.session, heard.seq), ..AnswerPart::receipt(have, self.now.seconds()) });
        let place = Place { relay_no: 0, seat, i };
        let day = Timing::PRODUCTION.day(self.now);
        let slow = how & 2 == 2;
        let track = if slow { Track::Slow(&heard.reply_key, day) } else { Track::Fast(&heard.live_key) };
        let cell = answer.seal((&world.line, caller), (track, place), &world.device, &mut self.rng);
        self.show(&cell, slow)
    }
    fn show(&mut self, cell: &DownCell, slow: bool) -> Vec<Event> {
        let slots = if slow { 48 } else { 2 * usize::from(self.visit.timing().fast_slots) };
        let mut bytes = vec![0x5a; slots * DOWN_CELL_LEN];
        bytes[..DOWN_CELL_LEN].copy_from_slice(cell.as_slice());
        let read = if slow { self.visit.slow_day(0, &bytes, self.now) } else { self.visit.fast(0, &bytes, self.now) };
        read.unwrap()
    }
    fn garbage(&mut self, input: &mut Input<'_>) -> Vec<Event> {
        let (how, len) = (input.u8(), usize::from(input.u16()));
        let bytes = vec![how; len];
        match how % 3 {
            0 => self.visit.notice(&bytes, None, self.now, Clock::Relays),
            1 => self.visit.slow_day(0, &bytes, self.now),
            _ => self.visit.fast(0, &bytes, self.now),
        }
        .unwrap_or_default()
    }
}

pub fn visit_seeds() -> Vec<Vec<u8>> {
    vec![
        // notice, know, write 300 bytes, beat, stored, answer fast, receipt.
        vec![0, 0, 1, 2, 1, 1, 44, 3, 4, 0, 5, 6, 0, 1, 0, 9, 1, 0, 0, 5, 1, 0, 9, 0, 0, 6, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        // beats before the words; a letter of many parts; a failed post; the carousel.
        vec![0, 0, 3, 4, 0, 5, 1, 2, 0, 20, 0, 3, 8, 3, 4, 0, 5, 3, 6, 2, 1, 0, 200, 1, 0, 0, 7, 3, 0],
        // a stop; a day passes; the roster is over.
        vec![0, 0, 1, 3, 4, 0, 5, 6, 1, 2, 0, 0, 1, 0, 0, 2, 1, 0, 5, 255, 255, 5, 255, 255, 3, 0, 0],
    ]
}
