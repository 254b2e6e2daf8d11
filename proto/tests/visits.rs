//! What a visit tells and when: signs, receipts, stops, whose clock, which roster; and what it finds on the slow track.
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
    api::{Notice, UpOutcome, UpPost, UpReply},
    cell::{
        down::{AnswerPart, DownCell, Kind, Place, Receipt, Track, Withdrawal},
        up::{self, LetterPart, Opened, Opener},
    },
    cert::DeskCert,
    letter::{Letter, Session, Status},
    limits::{ANSWER_LIFE_DEFAULT, ANSWER_PART_LEN, DOWN_CELL_LEN},
    line::{CallerId, Seat},
    parts::cut,
    phrase::Stretched,
    roster::{RosterBody, SignedRoster},
    seal::Use,
    stamp::StampFor,
    time::{Millis, Seconds, Timing, is_safeguarding},
    visit::{Clock, Event, Post, To, Visit, VisitError},
};
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use support::{Line, NOW, caller, rng};
use zeroize::Zeroizing;

/// A day of the slow track, in seconds.
const DAY: u64 = 86_400;
/// The day that every test begins in, and the week of its roster.
const TODAY: u32 = 20_781;
const WEEK: u32 = 2_968;
/// Five seconds into it.
const BEGIN: Millis = Millis(1_795_478_405_000);

fn notice(roster: &SignedRoster, clock_ms: Millis) -> Notice {
    Notice {
        roster: Some(Box::new(*roster.bytes())),
        clock_ms,
        difficulty: 0,
        up_epoch: 9,
        beat: roster.timing().beat(clock_ms),
        relay_no: 0,
        stamp_salt: [5; 16],
        timing: roster.timing(),
        up_ttl_s: 259_200,
        desk_beat_ms: 10_000,
        bulletin: [0; 80],
    }
}

fn stored(serial: u32, difficulty: u8) -> [u8; 16] {
    UpReply { outcome: UpOutcome::Stored, difficulty, serial, clock_ms: BEGIN }.to_bytes()
}

/// A caller in a visit, after one round of dummies: so each mailbox knows what it needs to answer her.
struct World {
    rng: ChaCha20Rng,
    line: Line,
    now: Millis,
    visit: Visit,
    /// What her words came to.
    words: Zeroizing<[u8; 32]>,
    desk_live: Zeroizing<[u8; 32]>,
    safe_live: Zeroizing<[u8; 32]>,
    /// Counts the cells of all seats.
    sent: u16,
}

impl World {
    fn new(name: &str) -> Self {
        Self::at(name, (BEGIN, BEGIN), Clock::Own)
    }
    /// At two times: by the clock of whoever drives the visit, and by the relay's.
    fn at(name: &str, (now, relays): (Millis, Millis), clock: Clock) -> Self {
        let mut rng = rng(name);
        let line = Line::new(&mut rng);
        let words = caller(&line, &mut rng).key().clone();
        let visit = Visit::open(line.root.public(), &mut rng);
        let (desk_live, safe_live) = Default::default();
        let mut world = Self { rng, line, now, visit, words, desk_live, safe_live, sent: 0 };
        world.visit.notice(notice(&world.line.roster(), relays).to_bytes().as_slice(), Some(0), now, clock).unwrap();
        let hers = world.hers();
        world.visit.know(hers, now, &mut world.rng);
        for _ in 0..7 {
            match world.post() {
                (To::Desk, part, _) => world.desk_live = part.live_key,
                (To::Safeguarding, part, _) => world.safe_live = part.live_key,
            }
        }
        world
    }
    fn hers(&self) -> Stretched {
        Stretched::from_key(self.line.id, Box::new(self.words.clone()))
    }
    fn take_notice(&mut self, roster: &SignedRoster) -> Result<Vec<Event>, VisitError> {
        self.visit.notice(notice(roster, self.now).to_bytes().as_slice(), Some(0), self.now, Clock::Own)
    }
    /// For which mailbox a POST is, and what is in it.
    fn opened(&self, post: &Post) -> (To, LetterPart) {
        let cell = UpPost::parse(post.bytes.as_slice()).unwrap().cell;
        let mailboxes = [(To::Desk, &self.line.desk, Use::Desk), (To::Safeguarding, &self.line.safe, Use::Safeguarding)];
        for (to, secret, purpose) in mailboxes {
            if let Ok(Opened::Letter(_, part)) = up::open(&cell, &Opener { line: &self.line.id, period: 20_780, purpose, secret })
            {
                return (to, part);
            }
        }
        panic!("a POST is for one of the two mailboxes")
    }
    /// The next POST, which the relay takes, and what is told of it.
    fn post(&mut self) -> (To, LetterPart, Vec<Event>) {
        let post = self.visit.beat(0, self.now, &mut self.rng).unwrap();
        let (to, part) = self.opened(&post);
        let events = self.visit.posted(post.ticket, 0, Some(&stored(1, 0))).unwrap();
        (to, part, events)
    }
    /// The next POST to one mailbox; those to the other in between are taken as well.
    fn post_to(&mut self, mailbox: To) -> (LetterPart, Vec<Event>) {
        loop {
            if let (to, part, events) = self.post()
                && to == mailbox
            {
                return (part, events);
            }
        }
    }
    fn write(&mut self, letter: &Letter, to: To) -> u16 {
        self.visit.write(letter, to, self.now).unwrap()
    }
    /// A cell that says nothing at all.
    fn nothing(&self) -> AnswerPart {
        AnswerPart::receipt(Receipt::default(), self.now.seconds())
    }
    /// The parts of an answer or a stop.
    fn parts(&self, kind: Kind, id: u8, content: &Answer, good_until: u64) -> Vec<AnswerPart> {
        let content = content.to_cbor().unwrap();
        let part = |part| AnswerPart { kind, answer: [id; 8], part, good_until: Seconds(good_until), ..self.nothing() };
        cut(&content, ANSWER_PART_LEN).unwrap().into_iter().map(part).collect()
    }
    /// The parts of one with nothing but a number, which is its id too, and a text.
    fn says(&self, kind: Kind, n: u8, text: &str) -> Vec<AnswerPart> {
        let written = self.now.seconds().0;
        let content = Answer { n: n.into(), written, text: text.to_owned().into(), ..Answer::default() };
        self.parts(kind, n, &content, written + 1000)
    }
    fn seal(&mut self, seat: u8, track: Track<'_>, part: &AnswerPart) -> DownCell {
        let place = Place { relay_no: 0, seat: Seat::new(seat).unwrap(), i: self.sent };
        self.sent += 1;
        let key = if seat == 8 { self.hers().safe_sign_key() } else { self.hers().sign_key() };
        let caller = CallerId::of(&self.line.id, &key.public());
        part.seal((&self.line.id, &caller), (track, place), &self.line.seats[usize::from(seat)], &mut self.rng)
    }
    /// A seat sends cells to the open page, which fetches them at once.
    fn fast(&mut self, seat: u8, parts: &[AnswerPart]) -> Vec<Event> {
        let live = if seat == 8 { self.safe_live.clone() } else { self.desk_live.clone() };
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| *self.seal(seat, Track::Fast(&live), part)).collect();
        bytes.resize(8 * DOWN_CELL_LEN, 0x5a);
        self.visit.fast(0, &bytes, self.now).unwrap()
    }
    /// A cell of seat 2 for a day of the slow track, under the reply key of a week.
    fn slow_cell(&mut self, week: u32, day: u32, part: &AnswerPart) -> DownCell {
        let reply = self.hers().reply_key(week);
        self.seal(2, Track::Slow(&reply, day), part)
    }
    fn slow(&mut self, cells: &[DownCell]) -> Vec<Event> {
        let mut bytes: Vec<u8> = cells.iter().flat_map(|cell| **cell).collect();
        bytes.resize(48 * DOWN_CELL_LEN, 0);
        self.visit.slow_day(0, &bytes, self.now).unwrap()
    }
}

/// What is shown: of which mailbox, an answer or a stop, and its text. Nothing else may have been told.
fn shown(events: &[Event]) -> Vec<(To, Kind, &str)> {
    let each = events.iter().map(|event| match event {
        Event::Answer(answer) => (answer.mailbox(), answer.kind, answer.content.text.as_str()),
        other => panic!("{other:?} is told too"),
    });
    each.collect()
}

fn answers(texts: &[&'static str]) -> Vec<(To, Kind, &'static str)> {
    texts.iter().map(|text| (To::Desk, Kind::Answer, *text)).collect()
}

#[test]
fn a_letter_is_in_the_box_with_its_last_part_and_each_part_goes_again_in_turn_until_its_receipt() {
    let mut world = World::new("signs");
    world.write(&Letter { text: "a".repeat(4_000).into(), ..Letter::default() }, To::Desk);
    let posts: Vec<_> = (0..18).map(|_| world.post_to(To::Desk)).collect();
    for (at, (part, events)) in posts.iter().enumerate() {
        assert_eq!((part.dummy, part.seq, part.part.parts, part.time), (false, 1, 6, Seconds(1_795_478_400)), "post {at}");
        let sign = [Event::InBox(To::Desk, 1)];
        assert_eq!(events, if at == 5 { &sign[..] } else { &[] }, "post {at}");
    }
    let parts: Vec<_> = posts.iter().map(|(part, _)| part.part.part).collect();
    assert_eq!(parts, [0, 1, 2, 3, 4, 5].repeat(3));

    let session = *world.visit.session(To::Desk);
    let answer = world.says(Kind::Answer, 1, "soon");
    assert_eq!(shown(&world.fast(2, &answer)), answers(&["soon"]), "an answer is no receipt");
    for (name, upto, map, receipted) in
        [("of no letter", 0, 0, false), ("of the next", 0, 0b10, false), ("of this", 1, 0, true), ("once more", 1, 0, false)]
    {
        let sign = [Event::Receipt(To::Desk, 1)];
        let cell = AnswerPart { have: Receipt { session, upto, map }, ..world.nothing() };
        assert_eq!(world.fast(2, &[cell]), if receipted { &sign[..] } else { &[] }, "a receipt {name}");
    }
    assert!(world.visit.all_receipted());
    assert!(world.post_to(To::Desk).0.dummy);
}

#[test]
fn letters_go_one_after_the_other_and_then_the_oldest_that_nobody_has_receipted() {
    let mut world = World::new("two letters");
    let letter = |status| Letter { status: Some(status), ..Letter::default() };
    let (desk, safe) = (To::Desk, To::Safeguarding);
    for (status, to) in [(Status::Help, desk), (Status::Talk, desk), (Status::Safe, safe)] {
        world.write(&letter(status), to);
    }
    for (to, seq, told, all_in_box) in [
        (desk, 1, Some(Event::InBox(desk, 1)), false),
        (desk, 2, Some(Event::InBox(desk, 2)), false),
        (desk, 1, None, false),
        (desk, 1, None, false),
        (desk, 1, None, false),
        (desk, 1, None, false),
        (safe, 1, Some(Event::InBox(safe, 1)), true),
    ] {
        let (went_to, part, events) = world.post();
        assert_eq!((went_to, part.seq, events), (to, seq, Vec::from_iter(told)));
        assert_eq!(world.visit.all_in_box(), all_in_box);
    }
    for (seat, to, upto, next_to_desk, all_receipted) in [(2, desk, 1, 2, false), (3, desk, 2, 0, false), (8, safe, 1, 0, true)] {
        let have = Receipt { session: *world.visit.session(to), upto, map: 0 };
        let cell = AnswerPart { have, ..world.nothing() };
        assert_eq!(world.fast(seat, &[cell]), [Event::Receipt(to, upto)]);
        assert_eq!(world.visit.all_receipted(), all_receipted, "after that of letter {upto} by seat {seat}");
        assert_eq!(world.post_to(desk).0.seq, next_to_desk);
    }
}

#[test]
fn a_round_is_seven_posts_the_last_to_safeguarding_and_no_visit_is_between_rounds_with_one_under_way() {
    let mut world = World::new("rounds");
    world.visit = Visit::open(world.line.root.public(), &mut world.rng);
    let roster = world.line.roster();
    world.take_notice(&roster).unwrap();
    let (mut between, mut safe) = (Vec::new(), Vec::new());
    for beat in 0..22 {
        if world.visit.is_between_rounds() {
            between.push(beat);
        }
        let post = world.visit.beat(0, world.now, &mut world.rng).unwrap();
        assert!(!world.visit.is_between_rounds(), "POST {beat} is under way");
        if world.opened(&post).0 == To::Safeguarding {
            safe.push(beat);
        }
        world.visit.posted(post.ticket, 0, Some(&stored(1, 0))).unwrap();
    }
    assert_eq!((between, safe), (vec![0, 7, 14, 21], vec![6, 13, 20]));
}

#[test]
fn seat_eight_speaks_for_safeguarding_and_stops_nothing_of_the_desks() {
    let mut world = World::new("seat eight");
    for (seat, kind, n, text, is_shown) in [
        (8, Kind::Stop, 5, "wait", true),
        (2, Kind::Answer, 1, "from the desk", true),
        (8, Kind::Answer, 4, "before the stop", false),
        (8, Kind::Answer, 6, "after the stop", true),
    ] {
        let parts = world.says(kind, n, text);
        let mailbox = if seat == 8 { To::Safeguarding } else { To::Desk };
        let events = world.fast(seat, &parts);
        assert_eq!(shown(&events), if is_shown { vec![(mailbox, kind, text)] } else { vec![] }, "{text}");
    }
    world.visit.displayed(To::Safeguarding, [6; 8]);
    assert!(!world.visit.all_named());
    let named: Vec<_> = (0..7).map(|_| world.post()).map(|(to, part, _)| (to, part.saw)).collect();
    let only_there = [vec![(To::Desk, [0; 8]); 6], vec![(To::Safeguarding, [6; 8])]].concat();
    assert_eq!(named, only_there, "and the desk hears nothing of it");
    assert!(world.visit.all_named());
}

#[test]
fn a_stop_waits_for_no_number_before_it() {
    let mut world = World::new("stop at once");
    for (kind, n, text, is_shown) in [
        (Kind::Answer, 1, "at the bridge", true),
        (Kind::Answer, 3, "at nine", false),
        (Kind::Stop, 9, "do not go", true),
        (Kind::Answer, 11, "a new plan", false),
    ] {
        let parts = world.says(kind, n, text);
        assert_eq!(shown(&world.fast(2, &parts)), if is_shown { vec![(To::Desk, kind, text)] } else { vec![] }, "{text}");
    }
}

#[test]
fn an_answer_waits_for_answers_of_its_mailbox_that_began_before_it_and_for_nothing_else() {
    let mut world = World::new("waits for");
    let long: &'static str = "가".repeat(500).leak();
    let halves = |world: &World, kind, n| world.says(kind, n, long);
    let safe = halves(&world, Kind::Answer, 90);
    assert_eq!(world.fast(8, &safe[..1]), []);
    let one = world.says(Kind::Answer, 1, "one");
    assert_eq!(shown(&world.fast(2, &one)), answers(&["one"]), "half an answer of the other mailbox");
    let stop = halves(&world, Kind::Stop, 80);
    assert_eq!(world.fast(2, &stop[..1]), []);
    let two = world.says(Kind::Answer, 2, "two");
    assert_eq!(shown(&world.fast(2, &two)), answers(&["two"]), "half a stop");

    let (three, four) = (halves(&world, Kind::Answer, 3), halves(&world, Kind::Answer, 4));
    assert_eq!(three.len(), 2);
    assert_eq!(world.fast(2, &[three[0].clone(), four[0].clone()]), []);
    assert_eq!(shown(&world.fast(2, &three[1..])), answers(&[long]), "half an answer that began later");
    assert_eq!(shown(&world.fast(2, &four[1..])), answers(&[long]));

    world.visit.displayed(To::Desk, [3; 8]);
    world.post_to(To::Desk);
    assert!(world.visit.all_named());
    world.now = world.now.plus(90_000);
    let again = AnswerPart { time: world.now.seconds(), ..three[0].clone() };
    assert_eq!(world.fast(2, &[again]), []);
    assert!(!world.visit.all_named(), "the desk has not heard that it was shown");
    let five = world.says(Kind::Answer, 5, "five");
    assert_eq!(shown(&world.fast(2, &five)), answers(&["five"]), "half of what was shown before");
}

#[test]
fn parts_that_come_for_the_first_time_are_counted_until_their_answer_is_shown() {
    let mut world = World::new("parts read");
    let long = world.says(Kind::Answer, 1, &"a".repeat(2_000));
    assert_eq!((long.len(), world.visit.parts_read()), (3, 0));
    let receipt = world.nothing();
    for (name, part, read) in [
        ("the first", &long[0], 1),
        ("the first again", &long[0], 1),
        ("the last", &long[2], 2),
        ("a receipt", &receipt, 2),
        ("the second", &long[1], 3),
        ("the first, of what was shown", &long[0], 3),
    ] {
        let is_shown = !world.fast(2, std::slice::from_ref(part)).is_empty();
        assert_eq!((world.visit.parts_read(), is_shown), (read, name == "the second"), "{name}");
    }
}

#[test]
fn an_answer_lives_thirty_days_at_most_and_one_that_names_a_place_or_a_time_two() {
    let mut world = World::new("lives");
    let now = world.now.seconds().0;
    for (id, (name, meeting, written, good_until, is_shown)) in (1..).zip([
        ("thirty days", false, now, now + 2_592_000, true),
        ("a second more", false, now, now + 2_592_001, false),
        ("a meeting of two days", true, now, now + 172_800, true),
        ("a meeting of a second more", true, now, now + 172_801, false),
        ("written tomorrow", false, now + 86_400, now + 1000, true),
        ("written a second later", false, now + 86_401, now + 1000, false),
    ]) {
        let content = Answer { n: 1, written, meeting, ..Answer::default() };
        let parts = world.parts(Kind::Answer, id, &content, good_until);
        assert_eq!(shown(&world.fast(2, &parts)).len(), usize::from(is_shown), "{name}");
    }
    assert_eq!(ANSWER_LIFE_DEFAULT, 1_209_600, "fourteen days");
}

const NO_WORD: Withdrawal = Withdrawal { done: false, too_late: false };
const DONE: Withdrawal = Withdrawal { done: true, too_late: false };
const TOO_LATE: Withdrawal = Withdrawal { done: false, too_late: true };

#[test]
fn the_first_word_of_a_letter_taken_back_is_told_once_and_stays() {
    let mut world = World::new("taken back");
    for status in [Status::Help, Status::Talk] {
        world.write(&Letter { status: Some(status), ..Letter::default() }, To::Desk);
    }
    let (own, earlier): (Session, Session) = (*world.visit.session(To::Desk), [7; 8]);
    let of_earlier = |done| Event::EarlierWithdrawal { session: earlier, seq: 1, done };
    for (name, session, seq, withdrawal, told) in [
        ("an earlier one, without a word", earlier, 1, NO_WORD, None),
        ("an earlier one, taken back", earlier, 1, DONE, Some(of_earlier(true))),
        ("an earlier one, again", earlier, 1, DONE, None),
        ("an earlier one, otherwise", earlier, 1, TOO_LATE, None),
        ("the first, without a word", own, 1, NO_WORD, None),
        ("the first, taken back", own, 1, DONE, Some(Event::Withdrawn(To::Desk, 1))),
        ("the first, again", own, 1, DONE, None),
        ("the first, otherwise", own, 1, TOO_LATE, None),
        ("the second, too late", own, 2, TOO_LATE, Some(Event::TooLate(To::Desk, 2))),
        ("the second, again", own, 2, TOO_LATE, None),
        ("the second, otherwise", own, 2, DONE, None),
        ("one that was not written", own, 3, DONE, None),
    ] {
        let cell = AnswerPart { answers: (session, seq), withdrawal, ..world.nothing() };
        assert_eq!(world.fast(2, &[cell]), Vec::from_iter(told), "{name}");
    }
}

#[test]
fn a_receipt_of_an_earlier_visit_is_told_once_by_each_mailbox() {
    let mut world = World::new("earlier receipts");
    let own = *world.visit.session(To::Desk);
    world.write(&Letter { status: Some(Status::Help), ..Letter::default() }, To::Desk);
    let earlier = |to| Some(Event::EarlierReceipt(to));
    for (name, seat, session, upto, map, told) in [
        ("the first letters", 2, [1; 8], 1, 0, earlier(To::Desk)),
        ("once more", 2, [1; 8], 1, 0, None),
        ("more of them", 3, [1; 8], 2, 1, None),
        ("by safeguarding", 8, [1; 8], 1, 0, earlier(To::Safeguarding)),
        ("one with a gap before it", 2, [2; 8], 0, 1, earlier(To::Desk)),
        ("both", 2, [3; 8], 1, 2, earlier(To::Desk)),
        ("nothing", 2, [4; 8], 0, 0, None),
        ("nothing first, then something", 2, [4; 8], 1, 0, earlier(To::Desk)),
        ("of no visit", 2, [0; 8], 3, 7, None),
        ("of this visit, nothing", 2, own, 0, 0, None),
        ("of this visit", 2, own, 1, 0, Some(Event::Receipt(To::Desk, 1))),
        ("of this visit, once more", 2, own, 1, 0, None),
    ] {
        let cell = AnswerPart { have: Receipt { session, upto, map }, ..world.nothing() };
        assert_eq!(world.fast(seat, &[cell]), Vec::from_iter(told), "{name}");
    }
}

#[test]
fn of_earlier_visits_256_are_remembered() {
    let mut world = World::new("many earlier visits");
    // Of each visit a receipt, and word of a letter taken back.
    let mut tell = |visit: u16| {
        let [high, low] = visit.to_be_bytes();
        let session = [1, high, low, 0, 0, 0, 0, 0];
        let have = Receipt { session, upto: 1, map: 0 };
        let cell = AnswerPart { have, answers: (session, 1), withdrawal: DONE, ..world.nothing() };
        let both = [Event::EarlierReceipt(To::Desk), Event::EarlierWithdrawal { session, seq: 1, done: true }];
        let events = world.fast(2, &[cell]);
        assert!(events.is_empty() || events == both, "visit {visit}: {events:?}");
        !events.is_empty()
    };
    for visit in 0..257 {
        assert!(tell(visit), "visit {visit} is news");
    }
    assert_eq!([0, 255, 256].map(tell), [false, false, true], "for the last there was no room");
}

#[test]
fn a_visit_takes_its_roster_again_and_a_newer_one_and_none_that_is_older() {
    let mut world = World::new("older rosters");
    let (root, lead) = (world.line.root.public(), &world.line.lead);
    let next = DeskCert::sign(&world.line.root, &lead.public(), 2, Seconds(NOW.0 - 100), NOW.plus(30 * DAY));
    let roster = |world: &World, generation, serial| {
        let cert = if generation == 1 { &world.line.cert } else { &next };
        RosterBody { serial, ..world.line.body() }.sign(&world.line.lead, cert, &root).unwrap()
    };
    for (generation, serial, is_taken) in
        [(1, 2, true), (1, 2, true), (1, 1, false), (1, 3, true), (1, 2, false), (2, 1, true), (1, 4, false), (2, 1, true)]
    {
        let before = world.visit.roster().unwrap().hash();
        let roster = roster(&world, generation, serial);
        let taken = if is_taken { Ok(Vec::new()) } else { Err(VisitError::RolledBack) };
        assert_eq!(world.take_notice(&roster), taken, "generation {generation}, serial {serial}");
        assert_eq!(world.visit.roster().unwrap().hash(), if is_taken { roster.hash() } else { before });
    }
}

#[test]
fn a_programs_clock_may_differ_by_a_day_and_no_millisecond_more() {
    let mut world = World::new("clocks");
    for (difference, taken) in [
        (86_400_000, Ok(Vec::new())),
        (-86_400_000, Ok(Vec::new())),
        (86_400_001, Err(VisitError::Clock)),
        (-86_400_001, Err(VisitError::Clock)),
    ] {
        let mut visit = Visit::open(world.line.root.public(), &mut world.rng);
        let relays = Millis(BEGIN.0.checked_add_signed(difference).unwrap());
        let notice = notice(&world.line.roster(), relays).to_bytes();
        assert_eq!(visit.notice(notice.as_slice(), Some(0), BEGIN, Clock::Own), taken, "{difference} ms");
    }
}

#[test]
fn slots_and_letters_keep_the_relays_clock_and_rosters_a_programs_own() {
    for (name, clock, own, relays, written, over) in [
        // Half an hour before the roster begins, on a phone whose clock an hour was taken from.
        ("a page", Clock::Relays, 1_795_476_600_000, 1_795_480_200_000, 1_795_480_200, 1_795_561_200_000),
        ("a program", Clock::Own, 1_795_478_405_000, 1_795_482_005_000, 1_795_482_000, 1_795_564_800_000),
    ] {
        let mut world = World::at(name, (Millis(own), Millis(relays)), clock);
        assert_eq!(world.visit.line_now(Millis(own + 1)), Millis(relays + 1), "{name}");
        assert_eq!(world.visit.days(Millis(own)), [20_781, 20_780, 20_779, 20_778, 20_777, 20_776, 20_775], "{name}");
        assert_eq!([over - 1, over].map(|now| world.visit.wants_notice(Millis(now))), [false, true], "{name}");
        world.write(&Letter { status: Some(Status::Safe), ..Letter::default() }, To::Desk);
        assert_eq!(world.post_to(To::Desk).0.time, Seconds(written), "{name}");
        // The last day of which she looks for tags: tomorrow, by the relay's clock.
        let (time, good_until) = (Seconds(written), Seconds(written + 1000));
        let part = AnswerPart { time, good_until, ..world.says(Kind::Answer, 1, "here").remove(0) };
        let cell = world.slow_cell(WEEK, TODAY + 1, &part);
        assert_eq!(shown(&world.slow(&[cell])), answers(&["here"]), "{name}");
    }
}

#[test]
fn a_roster_of_another_week_or_pace_is_read_by_from_when_it_is_taken() {
    let mut world = World::new("next week");
    // Two days later the next week begins.
    world.now = BEGIN.plus(2 * DAY * 1000);
    let now = world.now.seconds().0;
    let roster = |world: &World, serial, begins: u64, slow_days| {
        let timing = Timing { slow_days, ..Timing::PRODUCTION };
        let (not_before, not_after) = (NOW.plus(begins * DAY), NOW.plus(3 * DAY));
        world.line.sign(&RosterBody { serial, not_before, not_after, timing, reply_weeks: 1, ..world.line.body() })
    };
    let mut cell = |id: u8, day: u32| {
        let text = if id == 1 { "of today" } else { "of a month ago" };
        let content = Answer { n: 1, written: now, text: text.to_owned().into(), ..Answer::default() };
        let part = world.parts(Kind::Answer, id, &content, now + 60).remove(0);
        world.slow_cell(WEEK + 1, day, &AnswerPart { time: Seconds(u64::from(day) * DAY), ..part })
    };
    let cells = [cell(1, TODAY + 2), cell(2, TODAY + 2 - 30)];
    for (serial, begins, slow_days, week, found) in
        [(2, 1, 7, WEEK, None), (3, 2, 7, WEEK + 1, Some("of today")), (4, 2, 31, WEEK + 1, Some("of a month ago"))]
    {
        let roster = roster(&world, serial, begins, slow_days);
        world.take_notice(&roster).unwrap();
        assert_eq!(shown(&world.slow(&cells)), answers(&Vec::from_iter(found)), "serial {serial}");
        let hers = world.hers();
        assert!(world.post_to(To::Desk).0.reply_key == hers.reply_key(week), "serial {serial}");
        assert!(world.post_to(To::Safeguarding).0.reply_key == hers.safe_reply_key(week), "serial {serial}");
    }
}

#[test]
fn a_reply_speaks_for_its_own_relay_and_of_a_roster_only_if_it_names_another() {
    let mut world = World::new("replies");
    let roster = world.line.roster();
    let mut visit = Visit::open(world.line.root.public(), &mut world.rng);
    assert_eq!(visit.relay_no(), None);
    for (relay_no, difficulty) in [(5, 0), (0, 10)] {
        let notice = Notice { relay_no, difficulty, ..notice(&roster, BEGIN) }.to_bytes();
        visit.notice(notice.as_slice(), Some(relay_no), BEGIN, Clock::Own).unwrap();
        assert_eq!(visit.relay_no(), Some(5), "the first");
    }
    for (relay_no, bits, serial, asked_next, told) in [
        (5, 0, 2, 10, Some(Event::NewRoster(2))),
        (5, 10, 1, 0, None),
        (0, 10, 0, 10, None),
        (0, 10, 4, 0, Some(Event::NewRoster(4))),
    ] {
        let post = visit.beat(relay_no, BEGIN, &mut world.rng).unwrap();
        let UpPost { stamp, cell } = UpPost::parse(post.bytes.as_slice()).unwrap();
        let paid = StampFor::cell(cell.as_slice(), &[5; 16], &world.line.id, 9).is_paid(&stamp, bits);
        assert!(paid, "relay {relay_no} asks for {bits} bits");
        let events = visit.posted(post.ticket, relay_no, Some(&stored(serial, asked_next))).unwrap();
        assert_eq!(events, Vec::from_iter(told), "serial {serial}");
    }
}

#[test]
fn what_was_fetched_before_the_words_is_kept_for_them_whatever_was_fetched_since() {
    let mut world = World::new("before the words");
    world.visit = Visit::open(world.line.root.public(), &mut world.rng);
    let roster = world.line.roster();
    world.take_notice(&roster).unwrap();
    let mut days = vec![vec![0; 48 * DOWN_CELL_LEN]; 7];
    days.iter_mut().for_each(|day| world.rng.fill_bytes(day));
    let part = AnswerPart { time: Seconds(u64::from(TODAY - 2) * DAY), ..world.says(Kind::Answer, 1, "here").remove(0) };
    let hers = world.slow_cell(WEEK, TODAY - 2, &part);
    days[2][17 * DOWN_CELL_LEN..18 * DOWN_CELL_LEN].copy_from_slice(hers.as_slice());
    // Newest first, then the newest again and again, as long as the page is open.
    for day in days.iter().chain([&days[0]; 10]) {
        assert_eq!(world.visit.slow_day(0, day, world.now).unwrap(), []);
    }
    let words = world.hers();
    assert_eq!(shown(&world.visit.know(words, world.now, &mut world.rng)), answers(&["here"]));
}

#[test]
fn an_answer_is_looked_for_as_many_weeks_and_days_back_as_it_may_lie() {
    for (slow_days, reply_weeks, rows) in [
        (7, 9, [("a day ahead", 0, 1), ("7 days back", 0, -7), ("9 weeks back", 9, 0), ("", 0, 2), ("", 0, -8), ("", 10, 0)]),
        (31, 1, [("a day ahead", 0, 1), ("30 days back", 0, -30), ("5 weeks back", 5, 0), ("", 0, 2), ("", 0, -31), ("", 6, 0)]),
    ] {
        let mut world = World::new("weeks and days");
        let timing = Timing { slow_days, ..Timing::PRODUCTION };
        let roster = world.line.sign(&RosterBody { serial: 2, timing, reply_weeks, ..world.line.body() });
        world.take_notice(&roster).unwrap();
        let now = world.now.seconds().0;
        let cells: Vec<_> = (1..)
            .zip(rows)
            .map(|(id, (text, weeks, days))| {
                let day = TODAY.checked_add_signed(days).unwrap();
                let content = Answer { n: 1, written: now, text: text.to_owned().into(), ..Answer::default() };
                let part = world.parts(Kind::Answer, id, &content, now + 60).remove(0);
                world.slow_cell(WEEK - weeks, day, &AnswerPart { time: Seconds(u64::from(day) * DAY), ..part })
            })
            .collect();
        let [first, second, third, ..] = rows.map(|(text, ..)| text);
        assert_eq!(shown(&world.slow(&cells)), answers(&[first, second, third]), "{slow_days} slow days");
    }
}

#[test]
fn beats_and_slots_of_production_lie_where_the_clock_says() {
    let (timing, day) = (Timing::PRODUCTION, Millis(1_795_478_400_000));
    assert_eq!([29_999, 30_000].map(|ms| timing.beat(day.plus(ms))), [59_849_280, 59_849_281]);
    assert_eq!(timing.beat_begins(59_849_281), day.plus(30_000));
    assert_eq!([0, 3].map(|index| timing.fast_slot(59_849_280, index)), [239_397_120, 239_397_123]);
    assert_eq!([239_397_123, 239_397_124].map(|slot| timing.beat_of(slot)), [59_849_280, 59_849_281]);
    assert_eq!([1_799_999, 1_800_000].map(|ms| timing.slow_slot(day.plus(ms))), [997_488, 997_489]);
    assert_eq!(timing.slow_begins(997_489), day.plus(1_800_000));
    assert_eq!((0..32).filter(|slot| is_safeguarding(*slot)).collect::<Vec<_>>(), [7, 15, 23, 31]);
}
