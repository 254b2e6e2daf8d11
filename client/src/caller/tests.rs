//! Visits over real TLS to a model relay, with a desk that knows only what the relay was sent.

use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use porchlight_proto::answer::Answer;
use porchlight_proto::api::{Notice, UpOutcome, UpPost, UpReply};
use porchlight_proto::bulletin::{Bulletin, Code};
use porchlight_proto::card::{Card, RelayAddress};
use porchlight_proto::cell::down::{AnswerPart, Kind, Place, Receipt, Track, Withdrawal};
use porchlight_proto::cell::up::{self, LetterPart, Opened, Opener};
use porchlight_proto::cert::DeskCert;
use porchlight_proto::letter::{Letter, Status};
use porchlight_proto::limits::BULLETIN_LEN;
use porchlight_proto::line::{CallerId, DeviceId, Gate, LineId, Seat};
use porchlight_proto::parts::cut;
use porchlight_proto::phrase::Phrase;
use porchlight_proto::roster::{RosterBody, RosterError};
use porchlight_proto::seal::{SealingSecret, Use};
use porchlight_proto::sign::{PublicKey, SecretKey};
use porchlight_proto::stamp::StampFor;
use porchlight_proto::time::{Millis, Seconds, Timing};
use porchlight_proto::visit::{Event, To, VisitError};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use rcgen::KeyPair;

use super::{News, OpenError, Pace, RelayTrouble, Session, Setting};
use crate::outbox::{Clock, SystemClock};
use crate::transport::server::{Server, serve};
use crate::transport::{Dial, Failure};

const TIMING: Timing = Timing { up_beat_ms: 20, beat_ms: 100, fast_slots: 2, slow_s: 1, slow_days: 2 };
const LONG: Duration = Duration::from_secs(20);

/// The line's keys.
struct Line {
    root: SecretKey,
    lead: SecretKey,
    cert: DeskCert,
    desk: SealingSecret,
    seat: SecretKey,
    rng: ChaCha20Rng,
}

impl Line {
    fn new(seed: u64) -> Self {
        println!("seed {seed}");
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let (root, lead) = (SecretKey::generate(&mut rng), SecretKey::generate(&mut rng));
        let cert = DeskCert::sign(&root, &lead.public(), 1, Seconds(0), now().plus(86_400));
        Self { root, lead, cert, desk: SealingSecret::generate(&mut rng), seat: SecretKey::generate(&mut rng), rng }
    }

    fn id(&self) -> LineId {
        LineId::from_root(&self.root.public())
    }

    fn roster(&mut self, serial: u32, from: Seconds) -> Box<[u8; 4096]> {
        let seats: [PublicKey; 9] = core::array::from_fn(|_| self.seat.public());
        let body = RosterBody {
            serial,
            period: 7,
            not_before: from,
            not_after: from.plus(86_400),
            timing: TIMING,
            reply_weeks: 9,
            answer_within: 1,
            desk_key: self.desk.public().clone(),
            safe_key: SealingSecret::generate(&mut self.rng).public().clone(),
            seats_now: seats,
            seats_previous: seats,
            revoked: [DeviceId([0; 8]); 8],
            previous_hash: [0; 32],
            bulletins_void_before: Seconds(0),
            closed_until: Seconds(0),
        };
        Box::new(*body.sign(&self.lead, &self.cert, &self.root.public()).expect("a sound roster").bytes())
    }

    /// Opens a posted cell as a desk does.
    fn open(&self, post: &UpPost) -> Option<(CallerId, LetterPart)> {
        let line = self.id();
        let opener = Opener { line: &line, period: 7, purpose: Use::Desk, secret: &self.desk };
        match up::open(&post.cell, &opener).ok()? {
            Opened::Letter(caller, part) => Some((caller, part)),
            _ => None,
        }
    }
}

fn now() -> Seconds {
    SystemClock.wall().seconds()
}

/// What a model relay holds. It is one line's whole relay, as far as a caller can see.
struct Model {
    roster: Option<Box<[u8; 4096]>>,
    clock_off_ms: i64,
    answers: bool,
    full: bool,
    /// What stamps must be made with, and how strong they must be.
    stamps: ([u8; 16], u8),
    line: LineId,
    posts: Vec<UpPost>,
    fast: Vec<u8>,
    slow: HashMap<u32, Vec<u8>>,
    serial: u32,
    bulletin: [u8; BULLETIN_LEN],
}

impl Model {
    fn new(roster: Option<Box<[u8; 4096]>>) -> Arc<Mutex<Self>> {
        let fast = vec![7; 4 * 1024];
        Arc::new(Mutex::new(Self {
            roster,
            clock_off_ms: 0,
            answers: true,
            full: false,
            stamps: ([3; 16], 0),
            line: LineId::from_bytes([0; 32]),
            posts: Vec::new(),
            fast,
            slow: HashMap::new(),
            serial: 1,
            bulletin: [0; BULLETIN_LEN],
        }))
    }

    fn clock(&self) -> Millis {
        Millis(SystemClock.wall().0.checked_add_signed(self.clock_off_ms).expect("a time"))
    }

    fn notice(&self) -> Notice {
        Notice {
            roster: self.roster.clone(),
            clock_ms: self.clock(),
            difficulty: self.stamps.1,
            up_epoch: 1,
            beat: 0,
            relay_no: 0,
            stamp_salt: self.stamps.0,
            timing: TIMING,
            up_ttl_s: 60,
            desk_beat_ms: 33,
            bulletin: self.bulletin,
        }
    }

    fn reply(&mut self, path: &str, body: &[u8]) -> Option<Vec<u8>> {
        if !self.answers {
            return None;
        }
        match path.strip_prefix("/gate/v1/")? {
            "notice" => Some(self.notice().to_bytes().to_vec()),
            "up" => {
                let post = UpPost::parse(body).expect("a client posts what the SPEC says");
                let (salt, difficulty) = self.stamps;
                let is_paid = StampFor::cell(post.cell.as_slice(), &salt, &self.line, 1).is_paid(&post.stamp, difficulty);
                self.posts.push(post);
                let outcome = match self.full {
                    _ if difficulty > 0 && !is_paid => UpOutcome::Stamp,
                    true => UpOutcome::Full,
                    false => UpOutcome::Stored,
                };
                Some(UpReply { outcome, difficulty, serial: self.serial, clock_ms: self.clock() }.to_bytes().to_vec())
            }
            "down/fast" => Some(self.fast.clone()),
            day => {
                let day: u32 = day.strip_prefix("down/slow/")?.parse().ok()?;
                Some(self.slow.get(&day).cloned().unwrap_or_else(|| vec![0; 48 * 1024]))
            }
        }
    }
}

async fn relay(model: &Arc<Mutex<Model>>) -> Server {
    let key = KeyPair::generate().expect("a key");
    let model = Arc::clone(model);
    let answers = move |request: Request<Incoming>| {
        let model = Arc::clone(&model);
        async move {
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect().await?.to_bytes();
            let reply = model.lock().expect("no panic").reply(&path, &body);
            let status = if reply.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
            Ok(Response::builder().status(status).body(Full::new(Bytes::from(reply.unwrap_or_default()))).expect("an answer"))
        }
    };
    serve(&key, &key, &[b"h2"], answers).await
}

fn setting(root: PublicKey, servers: &[&Server]) -> Setting {
    let relays = servers.iter().zip(0u8..).map(|(server, number)| RelayAddress {
        url: format!("https://{}", server.at),
        gates: vec![Gate::parse("gate").expect("a gate")],
        pin: Some(*server.pin.as_bytes()),
        number,
    });
    Setting { card: Card { root, relays: relays.collect() }, dial: Dial::Direct, pace: Pace::Lines }
}

type Visiting = Session<SystemClock, ChaCha20Rng>;

async fn open(setting: Setting) -> Result<Visiting, OpenError> {
    Session::open(setting, SystemClock, ChaCha20Rng::seed_from_u64(5)).await
}

/// Takes news until `wanted` finds what it looks for; panics after a long time without it.
async fn until<T>(session: &mut Visiting, mut wanted: impl FnMut(&News) -> Option<T>) -> T {
    let end = SystemClock.elapsed() + LONG;
    loop {
        let news = session.next(end).await.expect("it happens in time");
        if let Some(found) = wanted(&news) {
            return found;
        }
    }
}

fn event(news: &News, is: impl Fn(&Event) -> bool) -> Option<()> {
    matches!(news, News::Event(event) if is(event)).then_some(())
}

fn check_in(text: &str) -> Letter {
    Letter { status: Some(Status::Safe), text: text.to_owned().into(), ..Letter::default() }
}

#[tokio::test]
async fn a_letter_is_in_the_box_and_then_receipted() {
    let mut line = Line::new(1);
    let model = Model::new(Some(line.roster(1, now())));
    let server = relay(&model).await;
    let mut session = open(setting(line.root.public(), &[&server])).await.expect("opens");
    let phrase = Phrase::generate(&mut line.rng);
    session.know(phrase.stretch(&line.id()));
    let text = "두부 한 모를 샀어요. ".repeat(100);
    let seq = session.write(&check_in(&text), To::Desk).expect("takes it");
    session.begin();
    until(&mut session, |news| event(news, |event| *event == Event::InBox(To::Desk, seq))).await;
    assert!(session.visit().all_in_box() && !session.visit().all_receipted(), "the box is not the desk");

    let opened: Vec<_> = model.lock().expect("no panic").posts.iter().filter_map(|post| line.open(post)).collect();
    let (caller, first) = opened.iter().find(|(_, part)| !part.dummy).cloned().expect("a part came");
    let parts: std::collections::BTreeSet<u8> =
        opened.iter().filter(|(_, part)| part.seq == seq).map(|(_, part)| part.part.part).collect();
    assert_eq!(parts.len(), usize::from(first.part.parts), "every part came");

    let id = line.id();
    let receipt = AnswerPart::receipt(Receipt { session: first.session, upto: seq, map: 0 }, now());
    let place = Place { relay_no: 0, seat: Seat::new(3).expect("a seat"), i: 0 };
    let cell = receipt.seal((&id, &caller), (Track::Fast(&first.live_key), place), &line.seat, &mut line.rng);
    model.lock().expect("no panic").fast[1024..2048].copy_from_slice(cell.as_slice());
    until(&mut session, |news| event(news, |event| *event == Event::Receipt(To::Desk, seq))).await;
    assert!(session.visit().all_receipted());
}

#[tokio::test]
async fn a_bulletin_that_is_raised_during_a_visit_is_heard_in_it() {
    let mut line = Line::new(14);
    let model = Model::new(Some(line.roster(1, now())));
    let server = relay(&model).await;
    let mut session = open(setting(line.root.public(), &[&server])).await.expect("opens");
    session.begin();
    until(&mut session, |news| matches!(news, News::Posted).then_some(())).await;
    assert_eq!(session.visit().bulletin(), None);
    let raised = Bulletin { code: Code::NoMeetings, seat: Seat::new(3).expect("a seat"), time: now() };
    model.lock().expect("no panic").bulletin = raised.sign(&line.seat, &line.id());
    until(&mut session, |news| event(news, |event| *event == Event::Bulletin(Code::NoMeetings))).await;
}

#[tokio::test]
async fn an_answer_of_the_carousel_is_shown_before_the_slow_days_count_as_read_and_is_named() {
    let mut line = Line::new(2);
    let model = Model::new(Some(line.roster(1, now())));
    let server = relay(&model).await;
    let phrase = Phrase::generate(&mut line.rng);
    let stretched = phrase.stretch(&line.id());
    let (id, caller, today) = (line.id(), stretched.caller(), TIMING.day(SystemClock.wall()));
    let week = porchlight_proto::time::week(now());
    let answer = Answer { n: 1, written: now().0, text: "잘 받았습니다.".to_owned().into(), ..Answer::default() };
    let part = cut(&answer.to_cbor().expect("short"), 854).expect("fits").remove(0);
    let part = AnswerPart {
        kind: Kind::Answer,
        withdrawal: Withdrawal::default(),
        answer: [9; 8],
        part,
        time: now(),
        good_until: now().plus(3600),
        answers: ([0; 8], 0),
        have: Receipt::default(),
    };
    let place = Place { relay_no: 0, seat: Seat::new(3).expect("a seat"), i: 5 };
    let cell = part.seal((&id, &caller), (Track::Slow(&stretched.reply_key(week), today), place), &line.seat, &mut line.rng);
    let mut day = vec![0; 48 * 1024];
    day[3 * 1024..4 * 1024].copy_from_slice(cell.as_slice());
    // Whatever the day is when it is fetched, this is its file.
    for day_no in today..today + 3 {
        model.lock().expect("no panic").slow.insert(day_no, day.clone());
    }

    let mut session = open(setting(line.root.public(), &[&server])).await.expect("opens");
    session.know(stretched);
    session.begin();
    let mut shown = None;
    until(&mut session, |news| {
        if let News::Event(Event::Answer(answer)) = news {
            shown = Some(answer.clone());
        }
        matches!(news, News::SlowRead).then_some(())
    })
    .await;
    let shown = shown.expect("it is shown before");
    assert_eq!(shown.content.text.as_str(), "잘 받았습니다.");
    session.displayed(&shown);
    assert!(!session.visit().all_named());
    let end = SystemClock.elapsed() + LONG;
    while !session.visit().all_named() {
        session.next(SystemClock.elapsed() + Duration::from_millis(20)).await;
        assert!(SystemClock.elapsed() < end, "named in time");
    }
    let named =
        model.lock().expect("no panic").posts.iter().filter_map(|post| line.open(post)).any(|(_, part)| part.saw == [9; 8]);
    assert!(named, "the desk hears which answer was shown");
}

#[tokio::test]
async fn post_k_goes_to_relay_k_mod_r_and_a_dead_relay_loses_nothing() {
    let mut line = Line::new(3);
    let roster = line.roster(1, now());
    let (first, second) = (Model::new(Some(roster.clone())), Model::new(Some(roster)));
    let (one, two) = (relay(&first).await, relay(&second).await);
    let mut session = open(setting(line.root.public(), &[&one, &two])).await.expect("opens");
    session.know(Phrase::generate(&mut line.rng).stretch(&line.id()));
    session.begin();
    let counts = || (first.lock().expect("no panic").posts.len(), second.lock().expect("no panic").posts.len());
    let end = SystemClock.elapsed() + LONG;
    while counts().0 < 10 || counts().1 < 10 {
        session.next(SystemClock.elapsed() + Duration::from_millis(20)).await;
        assert!(SystemClock.elapsed() < end, "{:?}", counts());
    }
    // The second answers its notice a little later than the first; from then on they take turns.
    assert!(counts().0.abs_diff(counts().1) <= 3, "{:?}", counts());

    second.lock().expect("no panic").answers = false;
    let seq = session.write(&check_in(&"x".repeat(3000)), To::Desk).expect("takes it");
    let mut troubled = false;
    until(&mut session, |news| {
        troubled |= matches!(news, News::Trouble(1, RelayTrouble::Failure(Failure::NotThisLine)));
        event(news, |event| *event == Event::InBox(To::Desk, seq))
    })
    .await;
    assert!(troubled, "and the trouble is told");
}

#[tokio::test]
async fn stamps_are_paid_and_one_of_a_salt_that_is_over_costs_a_beat() {
    let mut line = Line::new(12);
    let model = Model::new(Some(line.roster(1, now())));
    let id = line.id();
    let set = |stamps| {
        let mut model = model.lock().expect("no panic");
        (model.stamps, model.line) = (stamps, id);
    };
    set(([3; 16], 8));
    let server = relay(&model).await;
    let mut session = open(setting(line.root.public(), &[&server])).await.expect("opens");
    session.know(Phrase::generate(&mut line.rng).stretch(&line.id()));
    let first = session.write(&check_in("두부"), To::Desk).expect("takes it");
    session.begin();
    until(&mut session, |news| {
        assert!(event(news, |event| *event == Event::StampAsked).is_none(), "her first stamp is good");
        event(news, |event| *event == Event::InBox(To::Desk, first))
    })
    .await;
    // Meanwhile the relay draws another salt, and asks for more.
    set(([4; 16], 12));
    let second = session.write(&check_in("밥"), To::Desk).expect("takes it");
    until(&mut session, |news| event(news, |event| *event == Event::StampAsked)).await;
    until(&mut session, |news| event(news, |event| *event == Event::InBox(To::Desk, second))).await;
}

#[tokio::test]
async fn a_relay_that_comes_later_is_asked_again_and_taken_in() {
    let mut line = Line::new(4);
    let roster = line.roster(1, now());
    let (first, second) = (Model::new(Some(roster.clone())), Model::new(Some(roster)));
    second.lock().expect("no panic").answers = false;
    let (one, two) = (relay(&first).await, relay(&second).await);
    let mut session = open(setting(line.root.public(), &[&one, &two])).await.expect("one relay suffices");
    session.begin();
    until(&mut session, |news| matches!(news, News::Trouble(1, _)).then_some(())).await;
    second.lock().expect("no panic").answers = true;
    let end = SystemClock.elapsed() + LONG;
    while second.lock().expect("no panic").posts.is_empty() {
        session.next(SystemClock.elapsed() + Duration::from_millis(20)).await;
        assert!(SystemClock.elapsed() < end, "taken in");
    }
}

#[tokio::test]
async fn a_full_box_is_said_and_tried_again() {
    let mut line = Line::new(5);
    let model = Model::new(Some(line.roster(1, now())));
    model.lock().expect("no panic").full = true;
    let server = relay(&model).await;
    let mut session = open(setting(line.root.public(), &[&server])).await.expect("opens");
    session.know(Phrase::generate(&mut line.rng).stretch(&line.id()));
    let seq = session.write(&check_in("hi"), To::Desk).expect("takes it");
    session.begin();
    until(&mut session, |news| event(news, |event| *event == Event::Full)).await;
    model.lock().expect("no panic").full = false;
    until(&mut session, |news| event(news, |event| *event == Event::InBox(To::Desk, seq))).await;
}

#[tokio::test]
async fn a_new_roster_is_fetched_when_the_relay_speaks_of_it() {
    let mut line = Line::new(6);
    let model = Model::new(Some(line.roster(1, now())));
    let server = relay(&model).await;
    let mut session = open(setting(line.root.public(), &[&server])).await.expect("opens");
    session.begin();
    let newer = line.roster(2, now());
    {
        let mut model = model.lock().expect("no panic");
        (model.roster, model.serial) = (Some(newer), 2);
    }
    let end = SystemClock.elapsed() + LONG;
    while session.visit().roster().map(porchlight_proto::roster::SignedRoster::serial) != Some(2) {
        session.next(SystemClock.elapsed() + Duration::from_millis(20)).await;
        assert!(SystemClock.elapsed() < end, "fetched");
    }
}

#[tokio::test]
async fn what_must_not_be_trusted_is_told_before_what_did_not_work() {
    let mut line = Line::new(7);
    let stranger = Line::new(8).root.public();
    let day = 86_400;
    let in_force = line.roster(1, now());
    let over = line.roster(1, Seconds(now().0 - 2 * day));
    for (name, root, roster, clock_off_days, distrust) in [
        ("another line's roster", stranger, Some(in_force.clone()), 0, true),
        ("a roster that is over", line.root.public(), Some(over), 0, true),
        ("a clock days away", line.root.public(), Some(in_force), 3, true),
        ("no roster yet", line.root.public(), None, 0, false),
    ] {
        let model = Model::new(roster);
        model.lock().expect("no panic").clock_off_ms = clock_off_days * 86_400_000;
        let dead = Model::new(None);
        dead.lock().expect("no panic").answers = false;
        let (one, two) = (relay(&dead).await, relay(&model).await);
        let Err(OpenError::Relays(trouble)) = open(setting(root, &[&one, &two])).await else { panic!("{name} opens") };
        assert_eq!(trouble.is_distrust(), distrust, "{name}: {trouble}");
        match (name, &trouble) {
            ("another line's roster", RelayTrouble::Visit(VisitError::Roster(RosterError::Forged))) => {}
            ("a roster that is over", RelayTrouble::Visit(VisitError::Roster(RosterError::Expired))) => {}
            ("a clock days away", RelayTrouble::Visit(VisitError::Clock)) => {}
            ("no roster yet", _) => {}
            _ => panic!("{name}: {trouble}"),
        }
        assert!(model.lock().expect("no panic").posts.is_empty(), "{name}: nothing is sent");
    }
}
