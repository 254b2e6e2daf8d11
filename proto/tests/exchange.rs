//! Letters up, answers down, through the real cells: what must work, and what must be refused.
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
        CellError,
        down::{self, AnswerPart, Kind, Place, Reader, Track, Withdrawal},
        up::{self, Opened, Opener},
    },
    have::Have,
    letter::{Letter, Status},
    limits::{ANSWER_PART_LEN, DOWN_CELL_LEN},
    line::{CallerId, Seat},
    parts::{Join, Joined, Part, cut},
    phrase::Stretched,
    replay::Replay,
    roster::SignedRoster,
    seal::{SealingSecret, Use},
    time::{Millis, Seconds, Timing},
    visit::{Clock, Event, Ticket, To, Visit},
};
use rand_chacha::ChaCha20Rng;
use support::{Line, NOW, caller, rng};
use zeroize::Zeroizing;

fn notice(roster: &SignedRoster, now: Millis) -> Vec<u8> {
    Notice {
        roster: Some(Box::new(*roster.bytes())),
        clock_ms: now,
        difficulty: 3,
        up_epoch: 9,
        beat: Timing::PRODUCTION.beat(now),
        relay_no: 0,
        stamp_salt: [5; 16],
        timing: Timing::PRODUCTION,
        up_ttl_s: 259_200,
        desk_beat_ms: 10_000,
        bulletin: [0; 80],
    }
    .to_bytes()
    .to_vec()
}

fn stored(now: Millis) -> [u8; 16] {
    UpReply { outcome: UpOutcome::Stored, difficulty: 0, serial: 1, clock_ms: now }.to_bytes()
}

struct World {
    rng: ChaCha20Rng,
    line: Line,
    roster: SignedRoster,
    now: Millis,
    visit: Visit,
    caller: CallerId,
    /// What her words came to.
    key: Zeroizing<[u8; 32]>,
}

impl World {
    fn new(name: &str) -> Self {
        let mut rng = rng(name);
        let line = Line::new(&mut rng);
        let roster = line.roster();
        let now = NOW.plus(5000).millis();
        let mut visit = Visit::open(line.root.public(), &mut rng);
        visit.notice(&notice(&roster, now), Some(0), now, Clock::Own).unwrap();
        let stretched = caller(&line, &mut rng);
        let (caller, key) = (stretched.caller(), stretched.key().clone());
        visit.know(stretched, now, &mut rng);
        Self { rng, line, roster, now, visit, caller, key }
    }
    fn words(&self) -> Stretched {
        Stretched::from_key(self.line.id, Box::new(self.key.clone()))
    }
    /// The next POST to the desk; what goes to safeguarding in between is taken by the relay.
    fn sealed(&mut self, purpose: Use) -> (Ticket, up::UpCell) {
        loop {
            let post = self.visit.beat(0, self.now, &mut self.rng).unwrap();
            let cell = UpPost::parse(post.bytes.as_slice()).unwrap().cell;
            let secret = if purpose == Use::Desk { &self.line.desk } else { &self.line.safe };
            if up::open(&cell, &self.opener(secret, purpose)).is_ok() {
                return (post.ticket, cell);
            }
            self.visit.posted(post.ticket, 0, Some(&stored(self.now))).unwrap();
        }
    }
    fn post(&mut self) -> up::UpCell {
        self.sealed(Use::Desk).1
    }
    fn take(&mut self) -> (up::UpCell, Vec<Event>) {
        self.take_for(Use::Desk)
    }
    fn take_for(&mut self, purpose: Use) -> (up::UpCell, Vec<Event>) {
        let (ticket, cell) = self.sealed(purpose);
        let events = self.visit.posted(ticket, 0, Some(&stored(self.now))).unwrap();
        (cell, events)
    }
    fn open(&self, cell: &up::UpCell) -> Result<Opened, CellError> {
        up::open(cell, &self.opener(&self.line.desk, Use::Desk))
    }
    fn opener<'a>(&'a self, secret: &'a SealingSecret, purpose: Use) -> Opener<'a> {
        Opener { line: &self.line.id, period: self.roster.period(), purpose, secret }
    }
    fn letter(&self, cell: &up::UpCell) -> up::LetterPart {
        match self.open(cell).unwrap() {
            Opened::Letter(caller, part) => {
                assert!(caller == self.caller);
                part
            }
            Opened::Team(_) => panic!("a caller sends no team letters"),
        }
    }
    fn answer(&mut self, text: &str, track: Track<'_>, from: u16) -> Vec<down::DownCell> {
        let mut id = [0; 8];
        rand_core::Rng::fill_bytes(&mut self.rng, &mut id);
        self.answer_of_id(id, text, track, from)
    }
    fn answer_of_id(&mut self, id: [u8; 8], text: &str, track: Track<'_>, from: u16) -> Vec<down::DownCell> {
        let content = Answer { n: 1, written: NOW.0, text: text.to_owned().into(), ..Answer::default() }.to_cbor().unwrap();
        let parts = cut(&content, ANSWER_PART_LEN).unwrap();
        let now = self.now.seconds();
        let seal = |(i, part): (u16, Part)| {
            let part = AnswerPart {
                kind: Kind::Answer,
                answer: id,
                part,
                good_until: now.plus(1000),
                ..AnswerPart::receipt(down::Receipt::default(), now)
            };
            let place = Place { relay_no: 0, seat: Seat::new(2).unwrap(), i };
            part.seal((&self.line.id, &self.caller), (track, place), &self.line.seats[2], &mut self.rng)
        };
        (from..).zip(parts).map(seal).collect()
    }
    fn fast(&mut self, cells: &[down::DownCell]) -> Vec<Event> {
        let mut bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.iter().copied()).collect();
        bytes.resize(8 * DOWN_CELL_LEN, 0x5a);
        self.visit.fast(0, &bytes, self.now).unwrap()
    }
    /// She looks at the answers among these.
    fn look(&mut self, events: &[Event]) {
        for event in events {
            if let Event::Answer(answer) = event {
                self.visit.displayed(answer.mailbox(), answer.answer);
            }
        }
    }
    fn slow(&mut self, cells: &[down::DownCell]) -> Vec<Event> {
        let mut bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.iter().copied()).collect();
        bytes.resize(48 * DOWN_CELL_LEN, 0);
        self.visit.slow_day(0, &bytes, self.now).unwrap()
    }
}

fn texts(events: &[Event]) -> Vec<String> {
    let text = |event: &Event| match event {
        Event::Answer(answer) => Some(answer.content.text.to_string()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

#[test]
fn a_letter_of_many_parts_reaches_the_desk_and_is_receipted() {
    let mut world = World::new("letter");
    let letter = Letter {
        status: Some(Status::Help), text: "사과 한 알. 苹果一个。👩‍🌾".repeat(150).into(), ..Letter::default()
    };
    let seq = world.visit.write(&letter, To::Desk, world.now).unwrap();
    let mut join: Option<Join> = None;
    let (whole, session, events) = loop {
        let (cell, events) = world.take();
        let part = world.letter(&cell);
        assert_eq!((part.seq, part.dummy, part.time), (seq, false, world.now.seconds().rounded()));
        if let Joined::Whole(whole) = join.get_or_insert_with(|| Join::of(part.part.parts)).take(&part.part) {
            break (whole, part.session, events);
        }
    };
    assert_eq!(Letter::parse(&whole).unwrap(), letter);
    assert_eq!(events, [Event::InBox(To::Desk, seq)]);
    assert!(world.visit.all_in_box() && !world.visit.all_receipted());
    let (again, _) = world.take();
    assert!(!world.letter(&again).dummy, "it goes on until the receipt comes");
    let mut have = Have::default();
    have.insert(seq);
    let receipt = AnswerPart::receipt(have.receipt(session), world.now.seconds());
    let live = world.letter(&again).live_key.clone();
    let place = Place { relay_no: 0, seat: Seat::new(0).unwrap(), i: 3 };
    let cell = receipt.seal((&world.line.id, &world.caller), (Track::Fast(&live), place), &world.line.seats[0], &mut world.rng);
    assert_eq!(world.fast(&[cell]), [Event::Receipt(To::Desk, seq)]);
    let (after, _) = world.take();
    assert!(world.letter(&after).dummy);
}

#[test]
fn dummies_before_the_phrase_and_after_it_open_like_letters() {
    let mut world = World::new("dummies");
    let mut stranger = Visit::open(world.line.root.public(), &mut world.rng);
    stranger.notice(&notice(&world.roster, world.now), None, world.now, Clock::Relays).unwrap();
    let post = stranger.beat(0, world.now, &mut world.rng).unwrap();
    let cell = UpPost::parse(post.bytes.as_slice()).unwrap().cell;
    assert!(matches!(world.open(&cell), Ok(Opened::Letter(_, part)) if part.dummy));
    let cell = world.post();
    assert!(world.letter(&cell).dummy);
    assert_eq!(world.visit.write(&Letter::default(), To::Desk, world.now).unwrap_err().to_string(), "there is nothing to send");
    assert!(stranger.write(&Letter { status: Some(Status::Safe), ..Letter::default() }, To::Desk, world.now).is_err());
}

#[test]
fn a_failed_post_goes_again_and_every_sealing_is_new() {
    let mut world = World::new("failed post");
    world.visit.write(&Letter { status: Some(Status::Safe), ..Letter::default() }, To::Desk, world.now).unwrap();
    let mut replay = Replay::default();
    for _ in 0..5 {
        let (ticket, cell) = world.sealed(Use::Desk);
        assert!(world.visit.posted(ticket, 0, None).unwrap().is_empty());
        assert_eq!(world.letter(&cell).seq, 1);
        assert!(replay.is_new(1, up::enc_hash(&cell)));
        assert!(!replay.is_new(1, up::enc_hash(&cell)));
    }
    assert!(!world.visit.all_in_box());
}

#[test]
fn what_is_not_sealed_to_the_desk_is_nothing() {
    let mut world = World::new("nothing");
    world
        .visit
        .write(&Letter { text: String::from("그 사람에 대하여").into(), ..Letter::default() }, To::Safeguarding, world.now)
        .unwrap();
    let (cell, _) = world.take_for(Use::Safeguarding);
    assert_eq!(world.open(&cell), Err(CellError::DoesNotOpen), "a shift desk cannot open a safeguarding letter");
    let opened = up::open(&cell, &world.opener(&world.line.safe, Use::Safeguarding)).unwrap();
    assert!(matches!(opened, Opened::Letter(other, part) if other != world.caller && part.seq == 1));
    let wrong_period = Opener { period: world.roster.period() + 256, ..world.opener(&world.line.safe, Use::Safeguarding) };
    assert_eq!(up::open(&cell, &wrong_period), Err(CellError::DoesNotOpen));
    let wrong_use = world.opener(&world.line.safe, Use::Desk);
    assert_eq!(up::open(&cell, &wrong_use), Err(CellError::DoesNotOpen));
    for at in [0, 1, 700, 1100, 1121, 2047] {
        let mut changed = cell.clone();
        changed[at] ^= 1;
        assert!(up::open(&changed, &world.opener(&world.line.safe, Use::Safeguarding)).is_err(), "byte {at}");
    }
}

#[test]
fn an_answer_is_shown_once_and_named_to_the_desk() {
    let mut world = World::new("answer");
    let dummy = world.post();
    let live = world.letter(&dummy).live_key.clone();
    let long = "괜찮아요. ".repeat(300);
    let cells = world.answer(&long, Track::Fast(&live), 0);
    assert!(cells.len() > 4);
    let (first, rest) = cells.split_at(4);
    assert!(texts(&world.fast(rest)).is_empty(), "parts come in any order");
    let events = world.fast(first);
    assert_eq!(texts(&events), [long]);
    world.look(&events);
    assert!(texts(&world.fast(first)).is_empty(), "an answer is shown once");
    assert!(!world.visit.all_named());
    let (cell, _) = world.take();
    assert_ne!(world.letter(&cell).saw, [0; 8]);
    assert!(world.visit.all_named());
}

#[test]
fn an_answer_is_named_once_it_was_displayed_and_not_before() {
    let mut world = World::new("displayed");
    let dummy = world.post();
    let live = *world.letter(&dummy).live_key;
    for (n, kind, text) in [(1u64, Kind::Answer, "at the bridge"), (2, Kind::Stop, "not at the bridge")] {
        let cells = fast_cells(&mut world, &live, (2, kind), n, text, 10 * n as u16);
        let events = world.fast(&cells);
        assert_eq!(texts(&events), [text]);
        for later in 1..4 {
            let (cell, _) = world.take();
            assert_ne!(world.letter(&cell).saw, [n as u8; 8], "it is behind a button that nobody has tapped");
            // The desk sends it again meanwhile.
            world.now = world.now.plus(90_000);
            let again = fast_cells(&mut world, &live, (2, kind), n, text, 10 * n as u16 + later);
            assert_eq!(world.fast(&again), [], "and it is shown once all the same");
        }
        assert!(world.visit.all_named());
        world.look(&events);
        assert!(!world.visit.all_named());
        let (cell, _) = world.take();
        assert_eq!(world.letter(&cell).saw, [n as u8; 8]);
    }
}

#[test]
fn the_phrase_alone_finds_the_carousels_answers_for_weeks() {
    let mut world = World::new("carousel");
    let day = Timing::PRODUCTION.day(world.now);
    let dummy = world.post();
    let reply = world.letter(&dummy).reply_key.clone();
    let cells = world.answer("여기서 기다릴게요", Track::Slow(&reply, day), 63);
    assert_eq!(texts(&world.slow(&cells)), ["여기서 기다릴게요"]);
}

/// A story of somebody who mistypes a word, or gives the words of her harmless room to whoever stands beside her: the phrase of
/// before took what was fetched with it, and its letters and answers stayed.
#[test]
fn words_that_come_again_open_another_room_and_nothing_of_the_first_is_in_it() {
    let mut world = World::new("other words");
    let day = Timing::PRODUCTION.day(world.now);
    let hers = world.caller;
    let before = world.post();
    let (session, live) = (world.letter(&before).session, *world.letter(&before).live_key);
    let reply = world.letter(&before).reply_key.clone();
    let cells = world.answer("여기서 기다릴게요", Track::Slow(&reply, day), 0);

    assert_eq!(texts(&world.slow(&cells)), ["여기서 기다릴게요"]);

    let other = caller(&world.line, &mut world.rng);
    let phrase = world.words();
    world.caller = other.caller();
    assert_eq!(world.visit.know(other, world.now, &mut world.rng), [], "not the other's");
    world.visit.write(&Letter { status: Some(Status::Help), ..Letter::default() }, To::Desk, world.now).unwrap();
    let (flying, _) = world.sealed(Use::Desk);

    world.caller = hers;
    let events = world.visit.know(phrase, world.now, &mut world.rng);
    assert_eq!(texts(&events), ["여기서 기다릴게요"], "what was fetched before is read again");
    world.look(&events);
    assert!(world.visit.all_in_box(), "no letter of the other room waits here");
    assert_eq!(world.visit.posted(flying, 0, Some(&stored(world.now))).unwrap(), [], "nor a reply to one");
    let (cell, _) = world.take();
    let letter = world.letter(&cell);
    assert!(letter.dummy && letter.session != session && *letter.live_key != live, "nobody can tell that both are one visit");
    assert_ne!(letter.saw, [0; 8]);

    let other = caller(&world.line, &mut world.rng);
    world.caller = other.caller();
    assert_eq!(world.visit.know(other, world.now, &mut world.rng), [], "and nothing of hers in a third");
    let (cell, _) = world.take();
    assert_eq!(world.letter(&cell).saw, [0; 8]);
}

#[test]
fn of_the_slow_track_no_more_is_kept_than_it_holds() {
    let mut world = World::new("kept");
    let day = Timing::PRODUCTION.day(world.now);
    let before = world.post();
    let reply = world.letter(&before).reply_key.clone();
    let (early, late) = (world.answer("early", Track::Slow(&reply, day), 0), world.answer("late", Track::Slow(&reply, day), 9));
    let other = caller(&world.line, &mut world.rng);
    world.visit.know(other, world.now, &mut world.rng);
    // The newest day comes again and again, and is kept once.
    for _ in 0..20 {
        world.slow(&early);
    }
    let days = usize::from(Timing::PRODUCTION.slow_days);
    for _ in 0..days * 48 - late.len() {
        let mut noise = late[0].clone();
        rand_core::Rng::fill_bytes(&mut world.rng, noise.as_mut_slice());
        world.slow(&[noise]);
    }
    world.slow(&late);
    let phrase = world.words();
    assert_eq!(texts(&world.visit.know(phrase, world.now, &mut world.rng)), ["late"], "the first made room");
}

#[test]
fn nothing_is_shown_that_a_seat_did_not_sign_for_her_this_tag_and_this_time() {
    let mut world = World::new("refusals");
    let dummy = world.post();
    let live = world.letter(&dummy).live_key.clone();
    let reply = world.letter(&dummy).reply_key.clone();
    let now = world.now.seconds();
    let day = Timing::PRODUCTION.day(world.now);
    let place = |i| Place { relay_no: 0, seat: Seat::new(2).unwrap(), i };
    let content = cut(
        &Answer { n: 1, written: NOW.0, text: String::from("meet us at the station").into(), ..Answer::default() }
            .to_cbor()
            .unwrap(),
        ANSWER_PART_LEN,
    )
    .unwrap();
    let honest = AnswerPart {
        kind: Kind::Answer,
        answer: [9; 8],
        part: content[0].clone(),
        good_until: now.plus(60),
        withdrawal: Withdrawal::default(),
        ..AnswerPart::receipt(down::Receipt::default(), now)
    };
    let line = &world.line;
    let other = CallerId([1; 16]);
    let yesterday = AnswerPart { time: Seconds(now.0 - 3 * 86_400), ..honest.clone() };
    let for_ever = AnswerPart { good_until: now.plus(31 * 86_400), ..honest.clone() };
    let over = AnswerPart { good_until: Seconds(now.0 - 1), ..honest.clone() };
    let cases = [
        (
            "another seat's key",
            honest.seal((&line.id, &world.caller), (Track::Fast(&live), place(1)), &line.seats[3], &mut world.rng),
        ),
        ("another caller", honest.seal((&line.id, &other), (Track::Fast(&live), place(2)), &line.seats[2], &mut world.rng)),
        (
            "three days old on the fast track",
            yesterday.seal((&line.id, &world.caller), (Track::Fast(&live), place(3)), &line.seats[2], &mut world.rng),
        ),
        (
            "past its good-until",
            over.seal((&line.id, &world.caller), (Track::Fast(&live), place(4)), &line.seats[2], &mut world.rng),
        ),
        (
            "good for longer than answers live",
            for_ever.seal((&line.id, &world.caller), (Track::Fast(&live), place(7)), &line.seats[2], &mut world.rng),
        ),
        (
            "beyond the last tag",
            honest.seal((&line.id, &world.caller), (Track::Fast(&live), place(1024)), &line.seats[2], &mut world.rng),
        ),
        (
            "a slow cell on the fast track",
            honest.seal((&line.id, &world.caller), (Track::Slow(&reply, day), place(5)), &line.seats[2], &mut world.rng),
        ),
    ];
    for (name, cell) in cases {
        assert_eq!(world.fast(&[cell]), [], "{name}");
    }
    let controls = [7, 8].map(|id| {
        let shown = AnswerPart { answer: [id; 8], ..honest.clone() };
        let to = (Track::Fast(&live), place(u16::from(id) + 1));
        shown.seal((&world.line.id, &world.caller), to, &world.line.seats[2], &mut world.rng)
    });
    assert_eq!(texts(&world.fast(&controls)), ["meet us at the station"; 2], "the control: what none of this is wrong with");
    let late = AnswerPart { time: Seconds(now.0 - 2 * 86_400), ..honest.clone() };
    let cell =
        late.seal((&world.line.id, &world.caller), (Track::Slow(&reply, day), place(6)), &world.line.seats[2], &mut world.rng);
    assert_eq!(world.slow(&[cell]), [], "last month's answer under today's tag");
    let three_days = day - 3;
    let old = AnswerPart { time: Seconds(now.0 - 3 * 86_400), ..honest.clone() };
    let cell = old.seal(
        (&world.line.id, &world.caller),
        (Track::Slow(&reply, three_days), place(6)),
        &world.line.seats[2],
        &mut world.rng,
    );
    assert_eq!(texts(&world.slow(&[cell])), ["meet us at the station"], "an answer three days old verifies");
}

#[test]
fn what_is_fetched_again_was_not_sent_again() {
    let mut world = World::new("fetched again");
    let dummy = world.post();
    let reply = world.letter(&dummy).reply_key.clone();
    let day = Timing::PRODUCTION.day(world.now);
    let answers = 12;
    let cells: Vec<_> =
        (0..answers).flat_map(|nth| world.answer(&format!("answer {nth}"), Track::Slow(&reply, day), nth)).collect();
    let events = world.slow(&cells);
    assert_eq!((cells.len(), texts(&events).len()), (12, 12));
    world.look(&events);
    let mut named = Vec::new();
    for _ in 0..answers {
        assert!(!world.visit.all_named());
        // The day comes once more before each post, whatever was named meanwhile.
        assert_eq!(world.slow(&cells), []);
        let (cell, _) = world.take();
        named.push(world.letter(&cell).saw);
    }
    assert!(world.visit.all_named(), "one a post, and no post for one that was named");
    assert_eq!(named.iter().collect::<std::collections::BTreeSet<_>>().len(), 12, "each once");
    world.slow(&cells);
    assert!(world.visit.all_named());
    let now = world.now;
    world.now = Millis(now.0 - 3_600_000);
    let older = world.answer_of_id(named[0], "answer 0", Track::Slow(&reply, day), 39);
    world.now = now;
    world.slow(&older);
    assert!(world.visit.all_named(), "of an hour ago, read late");
    world.now = now.plus(1_000);
    let once_more = world.answer_of_id(named[0], "answer 0", Track::Slow(&reply, day), 40);
    assert_eq!(world.slow(&once_more), []);
    assert!(!world.visit.all_named(), "a new cell of it says that the desk has not heard");
}

#[test]
fn parts_of_two_answers_cannot_be_spliced() {
    let mut world = World::new("splice");
    let dummy = world.post();
    let live = world.letter(&dummy).live_key.clone();
    let one = world.answer(&"가".repeat(500), Track::Fast(&live), 0);
    let two = world.answer(&"나".repeat(500), Track::Fast(&live), 10);
    assert_eq!(world.fast(&[one[0].clone(), two[1].clone()]), []);
    // Whoever holds a cell can put another's tag on it, but not another's signature.
    let mut moved = one[1].clone();
    moved[..16].copy_from_slice(&two[1][..16]);
    let reader = Reader { caller: &world.caller, roster: &world.roster, now: world.now.seconds() };
    let place = Place { relay_no: 0, seat: Seat::new(2).unwrap(), i: 11 };
    assert_eq!(down::open(&moved, (Track::Fast(&live), place), &reader).unwrap_err(), CellError::DoesNotOpen);
}

#[test]
fn receipts_name_what_is_held_and_nothing_else() {
    let mut have = Have::default();
    for seq in [1, 2, 4, 66, 3, 5] {
        have.insert(seq);
    }
    assert!(have.holds(66), "66 is within 64 of what was contiguous then");
    assert!(!have.insert(200) && !have.can_name(200) && !have.insert(0));
    let receipt = have.receipt([1; 8]);
    let named: Vec<u16> = (0..300).filter(|seq| receipt.holds(&[1; 8], *seq)).collect();
    assert_eq!(named, [1, 2, 3, 4, 5, 66]);
    assert!(!receipt.holds(&[2; 8], 1));
}

#[test]
fn a_stop_covers_what_was_written_before_it_whatever_comes_first() {
    let mut world = World::new("stop");
    let dummy = world.post();
    let live = world.letter(&dummy).live_key.clone();
    let now = world.now.seconds();
    let seal = |world: &mut World, kind, id: u8, n, text: &str, i| {
        let content = Answer { n, written: now.0, text: text.to_owned().into(), ..Answer::default() }.to_cbor().unwrap();
        let part = cut(&content, ANSWER_PART_LEN).unwrap().remove(0);
        let part = AnswerPart {
            kind,
            answer: [id; 8],
            part,
            good_until: now.plus(1000),
            ..AnswerPart::receipt(down::Receipt::default(), now)
        };
        let place = Place { relay_no: 0, seat: Seat::new(2).unwrap(), i };
        part.seal((&world.line.id, &world.caller), (Track::Fast(&live), place), &world.line.seats[2], &mut world.rng)
    };
    let stop = seal(&mut world, Kind::Stop, 2, 2, "", 1);
    let go = seal(&mut world, Kind::Answer, 1, 1, "meet us tomorrow", 2);
    let after = seal(&mut world, Kind::Answer, 3, 3, "a new plan", 3);
    let events = world.fast(&[stop]);
    assert!(matches!(&events[..], [Event::Answer(stop)] if stop.kind == Kind::Stop));
    world.look(&events);
    let events = world.fast(&[go, after]);
    assert_eq!(texts(&events), ["a new plan"]);
    world.look(&events);
    let named = [(); 4].map(|()| {
        let (cell, _) = world.take();
        world.letter(&cell).saw
    });
    assert!([2, 3].iter().all(|id| named.contains(&[*id; 8])), "{named:?}");
    assert!(!named.contains(&[1; 8]), "the desk is told of nothing that she was not shown: {named:?}");
}

/// The cells of an answer of a seat on the fast track, under the next `i`.
fn fast_answer(world: &mut World, live: &[u8; 32], seat: u8, n: u64, text: &str, i: u16) -> Vec<down::DownCell> {
    fast_cells(world, live, (seat, Kind::Answer), n, text, i)
}

/// The same of an answer or a stop.
fn fast_cells(world: &mut World, live: &[u8; 32], (seat, kind): (u8, Kind), n: u64, text: &str, i: u16) -> Vec<down::DownCell> {
    let now = world.now.seconds();
    let content = Answer { n, written: NOW.0, text: text.to_owned().into(), ..Answer::default() }.to_cbor().unwrap();
    let seat = Seat::new(seat).unwrap();
    let sealed = cut(&content, ANSWER_PART_LEN).unwrap().into_iter().zip(i..).map(|(part, i)| {
        let part = AnswerPart {
            kind,
            answer: [n as u8; 8],
            part,
            good_until: now.plus(1000),
            ..AnswerPart::receipt(down::Receipt::default(), now)
        };
        let place = Place { relay_no: 0, seat, i };
        let key = &world.line.seats[usize::from(seat.number())];
        part.seal((&world.line.id, &world.caller), (Track::Fast(live), place), key, &mut world.rng)
    });
    sealed.collect()
}

#[test]
fn a_short_answer_waits_for_the_long_one_before_it() {
    let mut world = World::new("order");
    let dummy = world.post();
    let live = *world.letter(&dummy).live_key;
    let beat = u64::from(world.visit.timing().beat_ms);
    let long = "가".repeat(500);
    let one = fast_answer(&mut world, &live, 2, 1, &long, 0);
    let two = fast_answer(&mut world, &live, 2, 2, "two", 10);
    let three = fast_answer(&mut world, &live, 1, 3, "three", 20);
    let (last, first) = one.split_last().unwrap();
    assert_eq!(world.fast(first), []);
    assert_eq!(world.fast(&three), [], "whatever the seat");
    world.now = world.now.plus(2 * beat);
    assert_eq!(world.fast(&two), []);
    assert!(world.visit.holds_an_answer());
    assert_eq!(texts(&world.fast(std::slice::from_ref(last))), [long.as_str(), "two", "three"]);
    assert!(!world.visit.holds_an_answer());
}

#[test]
fn whoever_ends_a_visit_is_given_what_waits() {
    let mut world = World::new("no more waiting");
    let dummy = world.post();
    let live = *world.letter(&dummy).live_key;
    let one = fast_answer(&mut world, &live, 2, 1, &"가".repeat(500), 0);
    let three = fast_answer(&mut world, &live, 2, 3, "three", 10);
    let two = fast_answer(&mut world, &live, 2, 2, "two", 20);
    for cells in [&one[1..], &three, &two] {
        assert_eq!(world.fast(cells), []);
    }
    assert_eq!(texts(&world.visit.wait_no_more(world.now)), ["two", "three"]);
    assert!(!world.visit.holds_an_answer());
}

#[test]
fn an_answer_waits_four_beats_for_a_missing_number_and_no_longer() {
    let mut world = World::new("missing");
    let dummy = world.post();
    let live = *world.letter(&dummy).live_key;
    let beat = u64::from(world.visit.timing().beat_ms);
    let cells: Vec<_> = (0..6).map(|n| fast_answer(&mut world, &live, 2, n, &n.to_string(), 10 * n as u16).remove(0)).collect();
    assert_eq!(texts(&world.fast(&cells[2..3])), ["2"], "nothing was shown before");
    assert_eq!(world.fast(&cells[5..]), []);
    assert_eq!(texts(&world.fast(&cells[3..4])), ["3"]);
    world.now = world.now.plus(4 * beat - 1);
    assert_eq!(world.fast(&[]), []);
    world.now = world.now.plus(1);
    assert_eq!(texts(&world.fast(&[])), ["5"], "it matters more than its order");
    assert_eq!(texts(&world.fast(&cells[4..5])), ["4"], "late, but not lost");
    assert!(!world.visit.holds_an_answer());
}

#[test]
fn an_answer_whose_time_is_over_when_its_turn_comes_is_not_shown() {
    let mut world = World::new("over in its turn");
    let dummy = world.post();
    let live = *world.letter(&dummy).live_key;
    let one = fast_answer(&mut world, &live, 2, 1, &"가".repeat(500), 0);
    let two = fast_answer(&mut world, &live, 2, 2, "two", 10);
    world.fast(&one[1..]);
    assert_eq!(world.fast(&two), []);
    world.now = world.now.plus(1_001_000);
    assert_eq!(world.fast(&[]), []);
    assert!(!world.visit.holds_an_answer() && world.visit.all_named());
}

#[test]
fn a_late_reply_is_not_taken_for_the_next_posts() {
    let mut world = World::new("late reply");
    let (dummy, _) = world.sealed(Use::Desk);
    world.visit.write(&Letter { status: Some(Status::Help), ..Letter::default() }, To::Desk, world.now).unwrap();
    let (letter, cell) = world.sealed(Use::Desk);
    assert!(!world.letter(&cell).dummy);
    assert_eq!(world.visit.posted(dummy, 0, Some(&stored(world.now))).unwrap(), []);
    assert!(!world.visit.all_in_box(), "only its own reply puts a letter in the box");
    world.visit.posted(letter, 0, Some(&stored(world.now))).unwrap();
    assert!(world.visit.all_in_box());
}

#[test]
fn safeguarding_hears_from_every_visit_at_the_same_beats() {
    let mut world = World::new("safeguarding beats");
    let shape = |world: &mut World, visit: &mut Visit| -> Vec<bool> {
        (0..21)
            .map(|_| {
                let post = visit.beat(0, world.now, &mut world.rng).unwrap();
                let cell = UpPost::parse(post.bytes.as_slice()).unwrap().cell;
                visit.posted(post.ticket, 0, Some(&stored(world.now))).unwrap();
                up::open(&cell, &world.opener(&world.line.safe, Use::Safeguarding)).is_ok()
            })
            .collect()
    };
    let mut stranger = Visit::open(world.line.root.public(), &mut world.rng);
    stranger.notice(&notice(&world.roster, world.now), None, world.now, Clock::Relays).unwrap();
    let quiet = shape(&mut world, &mut stranger);
    let mut busy = Visit::open(world.line.root.public(), &mut world.rng);
    busy.notice(&notice(&world.roster, world.now), None, world.now, Clock::Relays).unwrap();
    let stretched = caller(&world.line, &mut world.rng);
    busy.know(stretched, world.now, &mut world.rng);
    for to in [To::Desk, To::Safeguarding] {
        busy.write(&Letter { text: "긴 글 ".repeat(500).into(), ..Letter::default() }, to, world.now).unwrap();
    }
    assert_eq!(shape(&mut world, &mut busy), quiet);
    assert_eq!(quiet.iter().filter(|safe| **safe).count(), 3);
}

#[test]
fn a_roster_that_is_over_seals_no_letter_and_believes_no_answer() {
    let mut world = World::new("over");
    world.visit.write(&Letter { status: Some(Status::Safe), ..Letter::default() }, To::Desk, world.now).unwrap();
    world.now = world.now.plus(2 * 86_400_000);
    assert!(world.visit.wants_notice(world.now));
    let cell = world.post();
    assert!(world.letter(&cell).dummy, "dummies go on, letters wait");
}

#[test]
fn a_letter_of_an_earlier_visit_was_taken_back_or_not_and_the_first_word_stays() {
    let mut world = World::new("earlier visit");
    let dummy = world.post();
    let (live, now) = (world.letter(&dummy).live_key.clone(), world.now.seconds());
    let (earlier, withdrawn) = ([7; 8], Withdrawal { done: true, too_late: false });
    let mut tell = |i: u16, seq: u16, withdrawal: Withdrawal| {
        let part = AnswerPart { withdrawal, answers: (earlier, seq), ..AnswerPart::receipt(down::Receipt::default(), now) };
        let place = Place { relay_no: 0, seat: Seat::new(2).unwrap(), i };
        let to = (&world.line.id, &world.caller);
        part.seal(to, (Track::Fast(&live), place), &world.line.seats[2], &mut world.rng)
    };
    let too_late = Withdrawal { done: false, too_late: true };
    let cells = [tell(0, 3, withdrawn), tell(1, 3, withdrawn), tell(2, 3, too_late), tell(3, 4, too_late)];
    let told = world.fast(&cells);
    let word = |seq: u16, done: bool| Event::EarlierWithdrawal { session: earlier, seq, done };
    assert_eq!(told, [word(3, true), word(4, false)]);
    assert_eq!(world.fast(&cells), [], "read again, it is no news");
}
