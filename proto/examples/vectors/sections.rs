//! What each section's file holds. All keys come from one fixed seed, so that every run gives the same bytes.
use super::file::File;
use data_encoding::BASE64URL_NOPAD;
use porchlight_proto::answer::Answer;
use porchlight_proto::api::{DeskBeat, DeskOutcome, DeskReply, Floor, LanePage, Notice, SlotOutcome, UpOutcome, UpPost, UpReply};
use porchlight_proto::bulletin::{Bulletin, Code};
use porchlight_proto::card::{Card, RelayAddress};
use porchlight_proto::cell::down::{self, AnswerPart, Kind, Place, Receipt, Tags, Track, Withdrawal};
use porchlight_proto::cell::up::{EventStamp, LetterPart, Recipient, TeamPart};
use porchlight_proto::cert::{DeskCert, DeviceCert, Role};
use porchlight_proto::event::{
    Act, Admitted, AnswerEvent, AnswerKind, Board, DeskSecret, Event, HandOver, How, Proposal, said_id,
};
use porchlight_proto::kdf::digest;
use porchlight_proto::layout;
use porchlight_proto::letter::{Letter, Status, Withdraw};
use porchlight_proto::limits::BLOB_LEN;
use porchlight_proto::line::{CallerId, DeviceId, Gate, LineId, Seat};
use porchlight_proto::parts::Part;
use porchlight_proto::phrase::{Language, Phrase};
use porchlight_proto::root::RootWords;
use porchlight_proto::roster::{RosterBody, SignedRoster};
use porchlight_proto::seal::{SealingSecret, Use};
use porchlight_proto::sign::SecretKey;
use porchlight_proto::stamp::StampFor;
use porchlight_proto::time::{Seconds, Timing};
use porchlight_proto::token::{Credentials, Request};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

/// 2026-11-24T00:00:00Z, a multiple of 600 s and of a day.
const NOW: Seconds = Seconds(1_795_478_400);
const PERIOD: u32 = 0x0001_02fe;
const PHRASE: [u16; 8] = [0, 1023, 512, 7, 7, 300, 41, 999];

/// Every file's name and text.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let world = World::new();
    vec![
        ("03-keys.hex", keys(&world)),
        ("04-phrase.hex", phrase(&world)),
        ("05-roster.hex", roster(&world)),
        ("06-up.hex", up(&world)),
        ("07-down.hex", down(&world)),
        ("08-contents.hex", contents()),
        ("10-card.hex", card(&world)),
        ("11-api.hex", api(&world)),
    ]
}

/// A generator for one purpose.
fn chance(purpose: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([purpose; 32])
}

fn random<const N: usize>(rng: &mut impl Rng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// The line of all vectors.
struct World {
    root: SecretKey,
    line: LineId,
    desk: SecretKey,
    desk_cert: DeskCert,
    desk_secret: SealingSecret,
    safe_secret: SealingSecret,
    device: SecretKey,
    device_cert: DeviceCert,
    caller: SecretKey,
    seats: Vec<SecretKey>,
    roster: SignedRoster,
}

impl World {
    fn new() -> Self {
        let mut rng = chance(1);
        let key = |rng: &mut ChaCha20Rng| SecretKey::generate(rng);
        let (root, desk, device, caller) = (key(&mut rng), key(&mut rng), key(&mut rng), key(&mut rng));
        let line = LineId::from_root(&root.public());
        let desk_cert = DeskCert::sign(&root, &desk.public(), 3, NOW, NOW.plus(30 * 86_400));
        let life = (NOW, NOW.plus(60 * 86_400));
        let device_cert = DeviceCert::sign(&desk, &line, &device.public(), (Role::Lead, Seat::new(2)), life).expect("a lead");
        let (desk_secret, safe_secret) = (SealingSecret::generate(&mut rng), SealingSecret::generate(&mut rng));
        let seats: Vec<_> = (0..18).map(|_| key(&mut rng)).collect();
        let mut publics = seats.iter().map(SecretKey::public);
        let mut nine = || std::array::from_fn(|_| publics.next().expect("eighteen keys"));
        let body = RosterBody {
            serial: 17,
            period: PERIOD,
            not_before: NOW,
            not_after: NOW.plus(86_400),
            timing: Timing::PRODUCTION,
            reply_weeks: 9,
            answer_within: 3,
            desk_key: desk_secret.public().clone(),
            safe_key: safe_secret.public().clone(),
            seats_now: nine(),
            seats_previous: nine(),
            revoked: std::array::from_fn(|_| DeviceId(random(&mut rng))),
            previous_hash: random(&mut rng),
            bulletins_void_before: Seconds(NOW.0 - 86_400),
            closed_until: Seconds(0),
        };
        let roster = body.sign(&desk, &desk_cert, &root.public()).expect("a roster within its bounds");
        Self { root, line, desk, desk_cert, desk_secret, safe_secret, device, device_cert, caller, seats, roster }
    }
    /// The current key of a seat.
    fn seat(&self, seat: Seat) -> &SecretKey {
        self.seats.get(usize::from(seat.number())).expect("nine seats have keys")
    }
}

fn keys(world: &World) -> String {
    let mut file = File::of("SPEC §3: the line's, a device's and a caller's id; the root's words.");
    file.case("ids")
        .field("root_pk", world.root.public().as_bytes(), "root public key")
        .field("line_id", world.line.as_bytes(), "line_id")
        .field("device_pk", world.device.public().as_bytes(), "device public key")
        .field("device_id", DeviceId::of(&world.line, &world.device.public()).0, "device_id")
        .field("caller_pk", world.caller.public().as_bytes(), "caller public key")
        .field("caller_id", CallerId::of(&world.line, &world.caller.public()).0, "caller_id");
    let words = RootWords::generate(&mut chance(2));
    let (text, key) = (words.words(Language::Ko).join(" "), words.key());
    file.case("root words, §3.1")
        .field("text", &text, &format!("UTF-8 of {text}"))
        .field("root_seed", key.seed().as_slice(), "Ed25519 secret seed")
        .field("root_pk", key.public().as_bytes(), "root public key");
    file.text()
}

fn phrase(world: &World) -> String {
    let mut file = File::of("SPEC §4: what grows from a phrase.");
    let phrase = Phrase::from_indexes(PHRASE).expect("indexes below 1,024");
    let (stretched, week) = (phrase.stretch(&world.line), 2_968u32);
    file.case("a caller's keys")
        .field("indexes", PHRASE.map(u16::to_be_bytes).concat(), "eight indexes, two bytes each: the password")
        .field("line_id", world.line.as_bytes(), "line_id: the salt")
        .field("sign_seed", stretched.sign_key().seed().as_slice(), "signing seed")
        .field("safe_sign_seed", stretched.safe_sign_key().seed().as_slice(), "safeguarding signing seed")
        .field("week", week.to_be_bytes(), "week of the reply keys")
        .field("reply", stretched.reply_key(week).as_slice(), "reply key")
        .field("safe_reply", stretched.safe_reply_key(week).as_slice(), "safeguarding reply key")
        .field("pictures", stretched.pictures(), "three indexes into pictures.tsv")
        .field("caller_id", stretched.caller().0, "caller_id");
    for (name, language) in [("Korean", Language::Ko), ("Chinese", Language::Zh), ("English", Language::En)] {
        let text = phrase.words(language).join(", ");
        file.case(&format!("the same phrase in {name}")).field("text", &text, &format!("UTF-8 of {text}")).field(
            "indexes",
            PHRASE.map(u16::to_be_bytes).concat(),
            "eight indexes",
        );
    }
    file.text()
}

fn roster(world: &World) -> String {
    let mut file = File::of("SPEC §5: certificates and a roster, field by field.");
    file.case("desk certificate, §5.1")
        .field("root_seed", world.root.seed().as_slice(), "the root's secret seed")
        .field("line_id", world.line.as_bytes(), "line_id")
        .layout(&layout::desk_cert::LAYOUT, world.desk_cert.bytes());
    file.case("device certificate, §5.2: a lead on seat 2")
        .field("desk_seed", world.desk.seed().as_slice(), "the desk signing key's secret seed")
        .field("line_id", world.line.as_bytes(), "line_id")
        .layout(&layout::device_cert::LAYOUT, world.device_cert.bytes());
    file.case("roster, §5.3")
        .field("desk_seed", world.desk.seed().as_slice(), "the desk signing key's secret seed")
        .field("week", world.roster.week().to_be_bytes(), "the week of its reply keys")
        .field("hash", world.roster.hash(), "SHA-256 of the whole")
        .layout(&layout::roster::LAYOUT, world.roster.bytes());
    file.text()
}

fn part(part: u8, parts: u8, bytes: &[u8]) -> Part {
    Part { part, parts, bytes: Zeroizing::new(bytes.into()) }
}

/// An up cell of a case: to whom, with what randomness, and what is inside.
fn up(world: &World) -> String {
    let mut file =
        File::of("SPEC §6: up cells. `randomness` is what the encapsulation draws: 32 bytes for ML-KEM, 32 for X25519.");
    letters(&mut file, world);
    team(&mut file, world);
    file.text()
}

/// Whom a vector's cell is sealed to.
struct To<'w> {
    purpose: Use,
    secret: &'w SealingSecret,
}

impl To<'_> {
    /// Says the recipient and the randomness that the next sealing with this generator will draw.
    fn say(&self, file: &mut File, world: &World, rng: &ChaCha20Rng) {
        file.field("line_id", world.line.as_bytes(), "line_id")
            .field("period", PERIOD.to_be_bytes(), "period")
            .field("use", [self.purpose.code()], "use: 1 desk, 2 device, 3 safeguarding")
            .field("recipient_seed", self.secret.seed(), "the recipient's secret seed")
            .field("randomness", random::<64>(&mut rng.clone()), "encapsulation randomness");
    }
    fn recipient<'a>(&'a self, world: &'a World) -> Recipient<'a> {
        Recipient { line: &world.line, period: PERIOD, purpose: self.purpose, key: self.secret.public() }
    }
}

fn letters(file: &mut File, world: &World) {
    let mut rng = chance(3);
    let (desk, safe) =
        (To { purpose: Use::Desk, secret: &world.desk_secret }, To { purpose: Use::Safeguarding, secret: &world.safe_secret });
    let text = Letter { text: "저는 괜찮아요. 我很好。".to_owned().into(), ..Letter::default() };
    let content = text.to_cbor().expect("a short letter");
    let full: [u8; 723] = random(&mut rng);
    let cases = [
        ("a letter of one part", &desk, false, 1, part(0, 1, &content)),
        ("the first part of two", &desk, false, 2, part(0, 2, &full)),
        ("a dummy", &desk, true, 0, part(0, 1, &random::<723>(&mut rng))),
        ("a safeguarding letter", &safe, false, 65_535, part(0, 1, &content)),
    ];
    for (name, to, dummy, seq, part) in cases {
        let letter = LetterPart {
            dummy,
            session: random(&mut rng),
            seq,
            part,
            time: NOW,
            live_key: Zeroizing::new(random(&mut rng)),
            reply_key: Zeroizing::new(random(&mut rng)),
            saw: random(&mut rng),
        };
        file.case(&format!("{name}, §6.1"));
        to.say(file, world, &rng);
        file.field("sign_seed", world.caller.seed().as_slice(), "the caller's signing seed")
            .field("kind", [u8::from(!dummy)], "kind")
            .field("session", letter.session, "session")
            .field("seq", letter.seq.to_be_bytes(), "seq")
            .field("part", [letter.part.part], "part")
            .field("parts", [letter.part.parts], "parts")
            .field("time", letter.time.to_u32().to_be_bytes(), "time")
            .field("live_key", letter.live_key.as_slice(), "live_key")
            .field("reply_key", letter.reply_key.as_slice(), "reply_key")
            .field("saw", letter.saw, "saw")
            .field("content", letter.part.bytes.as_slice(), "content, without padding; len is its length")
            .field("letter_cell", letter.seal(&to.recipient(world), &world.caller, &mut rng).as_slice(), "the cell");
    }
}

fn team(file: &mut File, world: &World) {
    let mut rng = chance(4);
    let body = Event::Note { caller: CallerId([9; 16]), text: "checked with the night shift".into() }.to_cbor();
    for (name, purpose, previous) in [
        ("a team letter to the desk", Use::Desk, random(&mut rng)),
        ("a direct letter to a device", Use::Device, EventStamp::direct(&world.line, &world.device.public())),
    ] {
        let to = To { purpose, secret: &world.desk_secret };
        let stamp = EventStamp { device_seq: 258, previous, lamport: 65_537, time: Seconds(NOW.0 + 1) };
        let signed = TeamPart::sign(&stamp, part(0, 1, &body), (&world.line, purpose), &world.device);
        file.case(&format!("{name}, §6.2"));
        file.field("event_hash", stamp.hash(&world.line, &world.device.public(), &body), "the event's hash");
        team_case(file, &signed, &to, world, &mut rng);
    }
    let to = To { purpose: Use::Desk, secret: &world.desk_secret };
    let dummy = TeamPart::dummy(NOW, (&world.line, Use::Desk), &world.device, &mut rng);
    file.case("a team dummy, §6.2");
    team_case(file, &dummy, &to, world, &mut rng);
}

fn team_case(file: &mut File, signed: &TeamPart, to: &To<'_>, world: &World, rng: &mut ChaCha20Rng) {
    to.say(file, world, rng);
    file.field("sign_seed", world.device.seed().as_slice(), "the device's secret seed")
        .field("kind", [if signed.dummy { 3 } else { 2 }], "kind")
        .field("device_seq", signed.device_seq.to_be_bytes(), "device_seq")
        .field("previous", signed.previous, "previous")
        .field("lamport", signed.lamport.to_be_bytes(), "lamport")
        .field("time", signed.time.to_u32().to_be_bytes(), "time")
        .field("part", [signed.part.part], "part")
        .field("parts", [signed.part.parts], "parts")
        .field("content", signed.part.bytes.as_slice(), "content, without padding; len is its length")
        .field("team_cell", signed.seal(&to.recipient(world), rng).as_slice(), "the cell");
}

fn down(world: &World) -> String {
    let mut file = File::of("SPEC §7: down cells.");
    let mut rng = chance(5);
    let (live_key, reply_key, day) = (random(&mut rng), random(&mut rng), Timing::PRODUCTION.day(NOW.millis()));
    let (fast, slow) = (Track::Fast(&live_key), Track::Slow(&reply_key, day));
    let stop = Answer { n: 2, written: NOW.0 + 60, ..Answer::default() }.to_cbor().expect("short");
    let content =
        Answer { n: 1, written: NOW.0, text: "내일 뵙겠습니다".to_owned().into(), ..Answer::default() }.to_cbor().expect("short");
    let cases = [
        ("a fast answer", fast, 0, 1_023, Kind::Answer, content.as_slice()),
        ("a slow answer", slow, 7, 63, Kind::Answer, &content),
        ("a slow answer of safeguarding", slow, 8, 0, Kind::Answer, &content),
        ("a stop", slow, 2, 5, Kind::Stop, &stop),
        ("a receipt", fast, 3, 0, Kind::Receipt, &[]),
    ];
    for (name, track, seat, i, kind, content) in cases {
        let place = Place { relay_no: 1, seat: Seat::new(seat).expect("a seat"), i };
        let inner = AnswerPart {
            kind,
            withdrawal: Withdrawal { done: kind == Kind::Receipt, too_late: false },
            answer: if kind == Kind::Receipt { [0; 8] } else { random(&mut rng) },
            part: part(0, 1, content),
            time: NOW,
            good_until: NOW.plus(14 * 86_400),
            answers: (random(&mut rng), 4),
            have: Receipt { session: random(&mut rng), upto: 3, map: 0x8000_0000_0000_0005 },
        };
        file.case(&format!("{name}, §7"));
        down_case(&mut file, world, (track, place), &inner, &mut rng);
    }
    file.text()
}

fn down_case(file: &mut File, world: &World, (track, place): (Track<'_>, Place), inner: &AnswerPart, rng: &mut ChaCha20Rng) {
    let (caller, seat) = (CallerId([8; 16]), world.seat(place.seat));
    let cell = inner.seal((&world.line, &caller), (track, place), seat, rng);
    match track {
        Track::Fast(key) => file.field("live_key", key, "the visit's live key: fast"),
        Track::Slow(key, day) => {
            file.field("reply_key", key, "the week's reply key: slow").field("day", day.to_be_bytes(), "day")
        }
    };
    let kind = match inner.kind {
        Kind::Receipt => 0,
        Kind::Answer => 1,
        Kind::Stop => 2,
    };
    assert_eq!(down::tag(&cell), Tags::of(track, &world.line).tag(place));
    file.field("line_id", world.line.as_bytes(), "line_id")
        .field("relay_no", [place.relay_no], "relay number")
        .field("seat", [place.seat.number()], "seat")
        .field("i", place.i.to_be_bytes(), "i")
        .field("caller_id", caller.0, "caller_id")
        .field("seat_seed", seat.seed().as_slice(), "the seat's secret seed")
        .field("kind", [kind], "kind")
        .field("flags", [inner.withdrawal.flags()], "flags")
        .field("answer_id", inner.answer, "answer_id")
        .field("part", [inner.part.part], "part")
        .field("parts", [inner.part.parts], "parts")
        .field("time", inner.time.to_u32().to_be_bytes(), "time")
        .field("good_until", inner.good_until.to_u32().to_be_bytes(), "good_until")
        .field("answers_session", inner.answers.0, "answers_session")
        .field("answers_seq", inner.answers.1.to_be_bytes(), "answers_seq")
        .field("have_session", inner.have.session, "have_session")
        .field("have_upto", inner.have.upto.to_be_bytes(), "have_upto")
        .field("have_map", inner.have.map.to_be_bytes(), "have_map")
        .field("content", inner.part.bytes.as_slice(), "content, without padding; len is its length")
        .layout(&layout::down_cell::LAYOUT, cell.as_slice());
}

fn contents() -> String {
    let mut file = File::of("SPEC §8: contents, each in the one encoding that a sender writes.");
    let letter = |name: &str, letter: &Letter, file: &mut File| {
        file.case(name).field("letter", letter.to_cbor().expect("within its bounds"), "CBOR, §8.1");
    };
    letter("a status alone", &Letter { status: Some(Status::Safe), ..Letter::default() }, &mut file);
    let full = Letter {
        status: Some(Status::Talk),
        text: "e\u{301} \u{1112}\u{1161}\u{11ab} 好 🌙".to_owned().into(),
        next: Some(86_400),
        quiet: true,
        relative: true,
        language: Some(Language::Ko),
        withdraw: Some(Withdraw::One([1, 2, 3, 4, 5, 6, 7, 8], 300)),
    };
    letter("every key; its text was written decomposed", &full, &mut file);
    letter("all taken back", &Letter { withdraw: Some(Withdraw::AllUnshown), ..Letter::default() }, &mut file);
    let answer = Answer {
        n: 24,
        text: "네".to_owned().into(),
        language: Some(Language::En),
        meeting: true,
        introduction: Some(vec![0xa0]),
        written: NOW.0,
        stops: vec![[8; 8], [9; 8]],
    };
    file.case("an answer with every key").field("answer", answer.to_cbor().expect("within its bounds"), "CBOR, §8.2");
    for (name, event) in events() {
        file.case(name).field("event", event.to_cbor(), "CBOR, §8.4");
    }
    file.case("words that two agreed to").field("proposal", [7u8; 32], "hash of the proposal").field(
        "id",
        said_id(&[7; 32]),
        "id of the answer that says them, §8.4",
    );
    let left = board();
    file.case("a board's blobs")
        .field("root", left.root, "root")
        .field("names", left.names().flatten().collect::<Vec<u8>>(), "the names of its blobs, §8.5")
        .field("hash", left.hash, "of as many blobs of zeros");
    file.text()
}

/// A board of two blobs, all zeros.
fn board() -> Board {
    let zeros = vec![0; 2 * BLOB_LEN];
    Board { to: DeviceId([4; 8]), ask: 70_002, root: [6; 16], relay: 3, blobs: 2, hash: Board::hash_of(&zeros) }
}

fn events() -> Vec<(&'static str, Event)> {
    let (caller, answer, session) = (CallerId([1; 16]), [2; 8], [3; 8]);
    let held = [(DeviceId([4; 8]), 1), (DeviceId([5; 8]), 70_000)].into();
    let sent = AnswerEvent {
        caller,
        answer,
        content: vec![0xa1, 0, 1],
        good_until: NOW.to_u32(),
        session,
        seq: 2,
        kind: AnswerKind::Stop,
        flags: 1,
    };
    let admitted =
        Admitted { desk_cert: Box::new([9; 116]), device_cert: Box::new([10; 114]), sealing_key: Box::new([11; 1216]) };
    vec![
        ("device key", Event::DeviceKey(Box::new([6; 1216]))),
        ("acknowledge", Event::Acknowledge { held, life: [7; 8], position: 4_294_967_296 }),
        ("claim", Event::Claim { caller, lease: 900, reason: "handover".into() }),
        ("release", Event::Release { caller }),
        ("note", Event::Note { caller, text: "메모".into() }),
        ("answer", Event::Answer(sent)),
        ("shown", Event::Shown { caller, session, seq: 24 }),
        ("seen", Event::Seen { caller, answer }),
        ("slots", Event::Slots(vec![0, 2])),
        ("secret", Event::Secret(DeskSecret { period: PERIOD, seed: [8; 32].into() })),
        ("stop sending", Event::StopSending { caller, answer }),
        ("admitted", Event::Admitted(admitted)),
        ("revoked", Event::Revoked { device: DeviceId([5; 8]) }),
        (
            "hand over",
            Event::HandOver(HandOver {
                caller,
                to: DeviceId([4; 8]),
                situation: "언니 집에 있음".into(),
                promised_by_us: "an answer by tonight".into(),
                promised_by_her: String::new(),
                risk: "房东知道".into(),
                next_step: "look once at 08:00".into(),
            }),
        ),
        ("accept", Event::Accept { caller, device: DeviceId([5; 8]), seq: 70_001 }),
        ("ask", Event::Ask { held: [(DeviceId([4; 8]), 17), (DeviceId([5; 8]), 70_001)].into(), since: 1_790_000_000 }),
        ("board", Event::Board(board())),
        ("composing", Event::Composing { caller, lease: 120 }),
        ("shift", Event::Shift { device: DeviceId([4; 8]), from: 1_790_000_000, until: 1_790_028_800 }),
        ("strike", Event::Strike { device: DeviceId([4; 8]), seq: 300 }),
        ("known", Event::Known { caller, how: How::Introduced, text: "by her cousin, 표".into(), day: 20_717 }),
        ("question", Event::Question { caller, question: "무슨 꽃?".into(), answer: "进不去的院子".into() }),
        ("wish", Event::Wish { caller, text: "tell my sister".into() }),
        ("duress", Event::Duress { caller, of: CallerId([12; 16]) }),
        ("keep", Event::Keep { days: 30 }),
        (
            "propose",
            Event::Propose(Proposal {
                caller,
                act: Act::Join,
                other: CallerId([12; 16]),
                text: "she answered the question".into(),
            }),
        ),
        ("agree", Event::Agree { device: DeviceId([5; 8]), seq: 70_002, hash: [14; 32] }),
        ("object", Event::Object { device: DeviceId([5; 8]), seq: 70_002, hash: [14; 32] }),
        ("part", Event::Part { caller, other: CallerId([12; 16]) }),
        ("roster", Event::Roster(Box::new([13; 4096]))),
        ("seat key", Event::SeatKey([15; 32])),
    ]
}

fn card(world: &World) -> String {
    let mut file = File::of("SPEC §10: cards.");
    let gate = |text: &str| Gate::parse(text).expect("a gate");
    let relay = |url: &str, gates: &[&str], pin, number| RelayAddress {
        url: url.into(),
        gates: gates.iter().map(|text| gate(text)).collect(),
        pin,
        number,
    };
    let small = vec![relay("https://relay.example", &["lamp"], None, 0)];
    let large = vec![
        relay("https://relay.example:8443", &["lamp", "0123456789abcdefghijklmnopqrstuv"], Some([7; 32]), 0),
        relay("https://[2001:db8::1]", &["door7"], None, 200),
    ];
    for (name, relays) in [("one relay", small), ("two relays, a pin and a number", large)] {
        let card = Card { root: world.root.public(), relays };
        file.case(name).field("cbor", card.to_cbor(), "CBOR").field(
            "text",
            card.to_text(),
            &format!("UTF-8 of {}", card.to_text()),
        );
    }
    file.text()
}

fn api(world: &World) -> String {
    let mut file = File::of("SPEC §11: the calls of a relay, a bulletin, a token and a stamp.");
    let mut rng = chance(6);
    let cell: Box<[u8; 2048]> = Box::new(random(&mut rng));
    bulletin_and_notice(&mut file, world, &mut rng);
    replies(&mut file);
    file.case("POST up")
        .layout(&layout::up_post::LAYOUT, UpPost { stamp: random(&mut rng), cell: cell.clone() }.to_bytes().as_slice());
    let beat = DeskBeat {
        fast_slot: Some(7_181_913_602),
        slow_slot: None,
        floor: Floor { life: rng.next_u64(), n: 4_096 },
        fast_cell: Box::new(random(&mut rng)),
        slow_cell: Box::new(random(&mut rng)),
        team_cells: [Box::new(random(&mut rng)), Box::new(random(&mut rng))],
    };
    file.case("POST desk/beat, no slow slot named").layout(&layout::desk_beat::LAYOUT, beat.to_bytes().as_slice());
    file.case("the head of desk/up's answer").layout(&layout::lane_page::LAYOUT, &LanePage::header(rng.next_u64(), 513, 12));
    token(&mut file, world, &mut rng);
    let (salt, up_epoch, difficulty) = (random(&mut rng), 498_744, 16);
    let stamp = StampFor::cell(cell.as_slice(), &salt, &world.line, up_epoch).mint(difficulty, &mut rng);
    file.case("a stamp, §11.2")
        .field("stamp_salt", salt, "the notice's salt")
        .field("stamped_cell", cell.as_slice(), "the cell")
        .field("line_id", world.line.as_bytes(), "line_id")
        .field("up_epoch", up_epoch.to_be_bytes(), "up epoch")
        .field("difficulty", [difficulty], "difficulty it was made for")
        .field("good_stamp", stamp, "the stamp");
    file.text()
}

fn bulletin_and_notice(file: &mut File, world: &World, rng: &mut ChaCha20Rng) {
    let raised = Bulletin { code: Code::NoMeetings, seat: Seat::new(3).expect("a seat"), time: NOW };
    let bulletin = raised.sign(world.seat(raised.seat), &world.line);
    file.case("a bulletin of seat 3")
        .field("seat_seed", world.seat(raised.seat).seed().as_slice(), "the seat's secret seed")
        .field("line_id", world.line.as_bytes(), "line_id")
        .layout(&layout::bulletin::LAYOUT, &bulletin);
    let notice = Notice {
        roster: Some(Box::new(*world.roster.bytes())),
        clock_ms: NOW.millis().plus(123),
        difficulty: 4,
        up_epoch: 498_744,
        beat: 59_849_280,
        relay_no: 1,
        stamp_salt: random(rng),
        timing: Timing::PRODUCTION,
        up_ttl_s: 259_200,
        desk_beat_ms: 10_000,
        bulletin,
    };
    file.case("GET notice").layout(&layout::notice::LAYOUT, notice.to_bytes().as_slice());
}

fn replies(file: &mut File) {
    let clock_ms = NOW.millis().plus(456);
    let up = UpReply { outcome: UpOutcome::Stamp, difficulty: 9, serial: 17, clock_ms };
    file.case("the answer to POST up: stamp too weak").layout(&layout::up_reply::LAYOUT, &up.to_bytes());
    let desk =
        DeskReply { outcome: DeskOutcome::Done, fast: SlotOutcome::Taken, slow: SlotOutcome::NotOpen, serial: 17, clock_ms };
    file.case("the answer to POST desk/beat: taken, not open").layout(&layout::desk_reply::LAYOUT, &desk.to_bytes());
}

fn token(file: &mut File, world: &World, rng: &mut ChaCha20Rng) {
    let (spki, body_hash) = (random(rng), digest(b"a body"));
    let request = Request { method: "GET", path: "/v1/desk/up?after=00000000000000ff-17&wait=30", body_hash };
    let credentials =
        Credentials { desk_cert: &world.desk_cert, device_cert: &world.device_cert, device: &world.device, line: &world.line };
    let text = credentials.token(&spki, &request, NOW, rng);
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).expect("our own token");
    file.case("a device token, §11.1")
        .field("root_pk", world.root.public().as_bytes(), "root public key")
        .field("line_id", world.line.as_bytes(), "line_id")
        .field("device_seed", world.device.seed().as_slice(), "the device's secret seed")
        .field("spki", spki, "SHA-256 of the relay's SubjectPublicKeyInfo")
        .field("method", request.method, "UTF-8 of the method")
        .field("path", request.path, &format!("UTF-8 of {}", request.path))
        .field("body_hash", body_hash, "SHA-256 of the body")
        .field("text", &text, "ASCII of the token as text")
        .layout(&layout::token::LAYOUT, &bytes);
}
