//! Visits: sending a letter, reading answers.

use core::cell::Cell;
use core::time::Duration;
use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use porchlight_client::caller::{News, Pace, Session, Setting};
use porchlight_client::outbox::{Clock, SystemClock};
use porchlight_proto::card::Card;
use porchlight_proto::cell::down::Kind;
use porchlight_proto::letter::{Letter, Withdraw};
use porchlight_proto::line::LineId;
use porchlight_proto::time::Seconds;
use porchlight_proto::visit::{Event, ShownAnswer, To};
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};

use crate::chance;
use crate::command::Visiting;
use crate::exit::Exit;
use crate::output::{self, Output, remark};
use crate::sentences;
use crate::stop::Stop;
use crate::trouble::Trouble;
use crate::way::Way;

/// The least time given to getting a letter into the box, or to reading what the line holds, when no other was said.
const USUAL_WAIT: Duration = Duration::from_secs(120);
/// A part that fails goes again at the next beat: so many beats are given to each.
const BEATS_A_PART: u32 = 4;
/// Of so many posts one goes to safeguarding (SPEC §9.1): a round.
const SAFEGUARDING_POSTS: u32 = 7;
/// Every visit is given time for a round and for another.
const LEAST_BEATS: u32 = 2 * SAFEGUARDING_POSTS;

type Visit = Session<SystemClock, ChaCha20Rng>;

/// Sends letters and stays until they are in the box, or with `wait` until the desk has them.
pub(super) async fn send(
    args: &Visiting,
    to: To,
    letters: &[Letter],
    wait: Option<Duration>,
    way: &Way<'_>,
) -> Result<Exit, Trouble> {
    // One post in seven is safeguarding's.
    let parts = parts_of(letters)? * if to == To::Safeguarding { SAFEGUARDING_POSTS } else { 1 };
    let withdraw = letters.iter().find_map(|letter| letter.withdraw);
    let mut stop = Stop::listen()?;
    let mut session = stop.unless(open(args, to, way)).await.unwrap_or_else(|| Err(sentences::interrupted()))?;
    let mut telling = Telling::new(way.output, &session, to);
    for letter in letters {
        let seq = session.write(letter, to).map_err(|error| sentences::visit_error(&error))?;
        telling.stands.insert(seq, Stand::Unsent);
    }
    let limit = wait.unwrap_or_else(|| time_for(parts, &session));
    session.begin();
    let until = SystemClock.elapsed() + limit;
    let rounds = Rounds::new(wait);
    let done = |session: &Visit, telling: &Telling| {
        let visit = session.visit();
        let sent = if wait.is_some() { visit.all_receipted() } else { visit.all_in_box() };
        rounds.are_over(session, sent && rounds.are_named(session, telling) && telling.has_heard(withdraw, wait, session))
    };
    let ended = run(&mut session, until, &mut stop, &mut telling, done).await;
    session.hang_up().await;
    show_the_rest(&mut session, &mut telling);
    conclude(ended, &session, wait.is_some(), &telling)
}

/// The rounds of posts that a visit is made of. Whether she wrote, to whom, and whether there was an answer is not to be told by how
/// long she stayed: every visit ends with a whole round, in which each mailbox has had its turn.
struct Rounds {
    /// Whether she waits for more, and so for as long as more comes.
    waits: bool,
    was_through: Cell<bool>,
}

impl Rounds {
    fn new(wait: Option<Duration>) -> Self {
        Self { waits: wait.is_some(), was_through: Cell::new(false) }
    }

    /// Whether answers are dealt with as far as a visit stays for that: until each is named to the desk if she waits. Else not at all, or a
    /// visit on a slow line would be a round longer where something was found late. What was not named comes again.
    fn are_named(&self, session: &Visit, telling: &Telling) -> bool {
        let visit = session.visit();
        !self.waits || (telling.held.is_empty() && visit.all_named() && !visit.holds_an_answer())
    }

    /// Whether a visit that is `through` with what it came for may end. What comes for one that was through before and does not wait
    /// (the desk may send again what she has just acknowledged) makes it no longer: it will come again.
    fn are_over(&self, session: &Visit, through: bool) -> bool {
        self.was_through.set(through || self.was_through.get() && !self.waits);
        self.was_through.get() && session.visit().is_between_rounds()
    }
}

/// How a visit came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Done,
    OutOfTime,
    Stopped,
}

/// How many cells letters take.
fn parts_of(letters: &[Letter]) -> Result<u32, Trouble> {
    letters.iter().try_fold(0u32, |sum, letter| {
        let bytes = letter.to_cbor().map_err(|error| sentences::bad_content(&error))?;
        let parts = bytes.len().div_ceil(porchlight_proto::limits::LETTER_PART_LEN);
        Ok(sum.saturating_add(u32::try_from(parts).unwrap_or(u32::MAX)))
    })
}

/// Says how each letter stands, and nothing better than that.
fn conclude(ended: Ended, session: &Visit, waited: bool, telling: &Telling) -> Result<Exit, Trouble> {
    let visit = session.visit();
    // Receipted is in the box, and an answer not named only comes again.
    if visit.all_receipted() || (ended == Ended::Done && !waited) || (!waited && visit.all_in_box()) {
        return Ok(Exit::Done);
    }
    let in_box =
        if ended == Ended::Stopped { sentences::interrupted_in_box(telling.to) } else { sentences::not_receipted(telling.to) };
    for (seq, stand) in &telling.stands {
        match stand {
            Stand::Receipted => {}
            Stand::InBox => telling.letter("not_receipted", *seq, in_box),
            Stand::Unsent => telling.letter("not_in_box", *seq, &sentences::letter_not_in_box(*seq, telling.stands.len())),
        }
    }
    if visit.all_in_box() {
        return Ok(Exit::NothingNew);
    }
    Err(match ended {
        Ended::Stopped => sentences::interrupted(),
        _ if telling.full => sentences::box_full(),
        _ => sentences::not_in_box(),
    })
}

/// Shows what the line holds for her; with `wait`, stays for more.
pub(super) async fn read(args: &Visiting, wait: Option<Duration>, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut stop = Stop::listen()?;
    let Some(session) = stop.unless(open(args, To::Desk, way)).await else { return Ok(Exit::NothingNew) };
    let mut session = session?;
    let mut telling = Telling::new(way.output, &session, To::Desk);
    session.begin();
    let until = SystemClock.elapsed() + wait.unwrap_or_else(|| time_for(1, &session));
    let quiet = quiet_time(&session);
    let rounds = Rounds::new(wait);
    let done = |session: &Visit, telling: &Telling| {
        let nothing_more = match wait {
            None => true,
            // What the carousel held on arrival may be old: it does not end the waiting.
            Some(_) => telling.last_new.is_some_and(|at| SystemClock.elapsed() >= at + quiet),
        };
        let read = telling.slow_read && telling.fast_read && rounds.are_named(session, telling);
        rounds.are_over(session, read && nothing_more)
    };
    let ended = run(&mut session, until, &mut stop, &mut telling, done).await;
    session.hang_up().await;
    show_the_rest(&mut session, &mut telling);
    if telling.shown > 0 {
        return Ok(Exit::Done);
    }
    match ended {
        Ended::Stopped => remark(sentences::interrupted_reading()),
        _ if !telling.slow_read => return Err(sentences::not_read()),
        _ => way.output.tell(&json!({"event": "no_answer"}), sentences::no_answer()),
    }
    Ok(Exit::NothingNew)
}

async fn open(args: &Visiting, to: To, way: &Way<'_>) -> Result<Visit, Trouble> {
    let card = way.inputs.card(&args.base.card)?;
    let phrase = way.inputs.phrase(args.base.phrase_file.as_deref())?;
    // Before the network: how long it takes must not show there.
    let stretched = phrase.stretch(&LineId::from_root(&card.root));
    drop(phrase);
    let pace = if args.fast_beats { Pace::Hasty } else { Pace::Lines };
    let setting = Setting { card, dial: way.dial(), pace };
    let mut session =
        Session::open(setting, SystemClock, chance::new_rng()?).await.map_err(|error| sentences::not_opened(&error))?;
    session.know(stretched);
    tell_opening(&session, to, way.output);
    Ok(session)
}

/// What the line says to everyone who comes.
fn tell_opening(session: &Visit, to: To, output: Output) {
    let Some(roster) = session.visit().roster() else { return };
    let closed = Some(roster.closed_until()).filter(|until| *until > session.line_now().seconds());
    output.tell(
        &json!({
            "event": "opened",
            "session": HEXLOWER.encode(session.visit().session(to)),
            "serial": roster.serial(),
            "answer_within": roster.answer_within(),
            "closed_until": closed.map(|until| until.0),
        }),
        "",
    );
    if let Some(until) = closed {
        output.say(&sentences::closed_until(until));
    } else if let Some(sentence) = sentences::answer_within(roster.answer_within()) {
        output.say(sentence);
    }
}

/// Several beats for each part: mobile networks lose some. Never less than two rounds take.
fn time_for(parts: u32, session: &Visit) -> Duration {
    let beat = Duration::from_millis(u64::from(session.visit().timing().up_beat_ms));
    USUAL_WAIT.max(beat.saturating_mul(parts.saturating_mul(BEATS_A_PART).max(LEAST_BEATS)))
}

/// After a new answer, how long no other must come for a reader to leave: three beats of either kind, and at least two seconds.
fn quiet_time(session: &Visit) -> Duration {
    let timing = session.visit().timing();
    Duration::from_millis(3 * u64::from(timing.beat_ms.max(timing.up_beat_ms))).max(Duration::from_secs(2))
}

/// Takes news as they come, until `done`, the end of the time, or the person.
async fn run(
    session: &mut Visit,
    until: Duration,
    stop: &mut Stop,
    telling: &mut Telling,
    done: impl Fn(&Visit, &Telling) -> bool,
) -> Ended {
    loop {
        // Before asking whether all is done: one answer of the relay can bring several receipts.
        while let Some(news) = session.heard() {
            telling.take(news, session);
        }
        if done(session, telling) {
            return Ended::Done;
        }
        // Looked at again at least so often: being done can be a matter of time alone.
        let look = SystemClock.elapsed() + Duration::from_millis(100);
        telling.hear_parts(session.visit().parts_read());
        match stop.unless(session.next(until.min(look))).await {
            None => return Ended::Stopped,
            Some(Some(news)) => telling.take(news, session),
            Some(None) if SystemClock.elapsed() >= until => return Ended::OutOfTime,
            Some(None) => {}
        }
    }
}

/// Shows the answers that are here and waited for others, or for the rest of the carousel.
fn show_the_rest(session: &mut Visit, telling: &mut Telling) {
    session.wait_no_more();
    while let Some(news) = session.heard() {
        telling.take(news, session);
    }
    telling.show_held(session);
}

/// How a letter of this visit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stand {
    Unsent,
    InBox,
    Receipted,
}

/// What has been told in a visit.
struct Telling {
    output: Output,
    /// To whom its letters go.
    to: To,
    session: String,
    /// Each letter of this visit.
    stands: BTreeMap<u16, Stand>,
    /// Answers that came before all of the carousel was read: they are shown in their order.
    held: Vec<ShownAnswer>,
    slow_read: bool,
    fast_read: bool,
    full: bool,
    /// Whether it was told what became of a letter taken back.
    told: bool,
    /// When a receipt or the fate of a letter taken back was last told.
    last_fate: Option<Duration>,
    shown: usize,
    /// When the last part of an answer came that was not there on arrival.
    last_new: Option<Duration>,
    parts_read: usize,
}

impl Telling {
    fn new(output: Output, session: &Visit, to: To) -> Self {
        let session = HEXLOWER.encode(session.visit().session(to));
        Self {
            output,
            to,
            session,
            stands: BTreeMap::new(),
            held: Vec::new(),
            slow_read: false,
            fast_read: false,
            full: false,
            told: false,
            last_fate: None,
            shown: 0,
            last_new: None,
            parts_read: 0,
        }
    }

    /// Whether nothing more is worth waiting for. What became of letters taken back comes within a few beats of the receipt
    /// or, where there was nothing to take back, never.
    fn has_heard(&self, withdraw: Option<Withdraw>, wait: Option<Duration>, session: &Visit) -> bool {
        match withdraw {
            None => true,
            Some(_) if wait.is_none() => true,
            Some(Withdraw::One(..)) if self.told => true,
            Some(_) => self.last_fate.is_some_and(|at| SystemClock.elapsed() >= at + quiet_time(session)),
        }
    }

    /// Notes how many parts have been read. Nobody leaves in the middle of an answer that keeps coming.
    fn hear_parts(&mut self, parts_read: usize) {
        if core::mem::replace(&mut self.parts_read, parts_read) != parts_read && self.slow_read {
            self.last_new = Some(SystemClock.elapsed());
        }
    }

    fn take(&mut self, news: News, session: &mut Visit) {
        match news {
            News::Event(event) => self.event(event, session),
            News::SlowRead => {
                self.slow_read = true;
                self.show_held(session);
            }
            News::FastRead => self.fast_read = true,
            // Whoever asks whether all is done asks it now.
            News::Posted => {}
            News::Trouble(number, trouble) => remark(&sentences::one_relay(number, &trouble)),
        }
    }

    fn event(&mut self, event: Event, session: &mut Visit) {
        match event {
            Event::InBox(_, seq) => {
                self.full = false;
                // A receipt that came first stands.
                self.stands.entry(seq).and_modify(|stand| *stand = (*stand).max(Stand::InBox));
                self.letter("in_box", seq, sentences::in_box(self.to));
                self.output.say(&sentences::session(&self.session, seq));
            }
            Event::Receipt(_, seq) => {
                self.last_fate = Some(SystemClock.elapsed());
                self.stands.insert(seq, Stand::Receipted);
                self.letter("receipt", seq, sentences::receipt(self.to));
            }
            Event::Withdrawn(_, seq) => self.letter("withdrawn", seq, sentences::withdrawn()),
            Event::TooLate(_, seq) => self.letter("too_late", seq, sentences::too_late()),
            Event::EarlierWithdrawal { session, seq, done } => self.earlier(&session, seq, done),
            Event::Answer(answer) => {
                self.held.push(answer);
                if self.slow_read {
                    self.show_held(session);
                }
            }
            Event::Bulletin(code) => {
                let sentence = sentences::bulletin(code);
                self.output.tell(&json!({"event": "bulletin", "code": code.code(), "text": sentence}), sentence);
            }
            Event::Full if !core::mem::replace(&mut self.full, true) => remark(sentences::full()),
            _ => {}
        }
    }

    /// Tells what became of taking back a letter of an earlier visit.
    fn earlier(&mut self, session: &[u8; 8], seq: u16, done: bool) {
        let (event, sentence) = if done { ("withdrawn", sentences::withdrawn()) } else { ("too_late", sentences::too_late()) };
        self.told = true;
        self.last_fate = Some(SystemClock.elapsed());
        let session = HEXLOWER.encode(session);
        self.output.tell(&json!({"event": event, "session": session, "seq": seq}), sentence);
        self.output.say(&sentences::session(&session, seq));
    }

    /// Tells what became of a letter of this visit.
    fn letter(&self, event: &str, seq: u16, sentence: &str) {
        self.output.tell(&json!({"event": event, "session": self.session, "seq": seq}), sentence);
    }

    /// Shows the answers held back, in the order the desk numbered them; not those that a stop of the same mailbox among them covers: it
    /// counts its answers apart. The desk hears of what was shown.
    fn show_held(&mut self, session: &mut Visit) {
        let mut held = core::mem::take(&mut self.held);
        let stops: Vec<_> =
            held.iter().filter(|one| one.kind == Kind::Stop).map(|stop| (stop.mailbox(), stop.content.clone())).collect();
        let is_covered = |one: &ShownAnswer| {
            stops.iter().any(|(mailbox, stop)| *mailbox == one.mailbox() && stop.stops(one.content.n, &one.answer))
        };
        held.retain(|one| one.kind == Kind::Stop || !is_covered(one));
        held.sort_by_key(|answer| (answer.content.n, answer.content.written));
        self.shown += held.len();
        for answer in &held {
            show(answer, self.output);
            if !output::unheard() {
                session.displayed(answer);
            }
        }
    }
}

fn show(answer: &ShownAnswer, output: Output) {
    let content = &answer.content;
    let card = content.introduction.as_deref().and_then(|cbor| Card::parse_cbor(cbor).ok()).map(|card| card.to_text());
    output.tell(
        &answer_json(answer, card.as_deref()),
        &sentences::answer_head(answer.seat, Seconds(content.written), answer.good_until),
    );
    if answer.kind == Kind::Stop {
        output.say(sentences::stop());
    }
    output.say(&content.text);
    if let Some(card) = card {
        output.say(&sentences::introduction(&card));
    }
}

fn answer_json(answer: &ShownAnswer, introduction: Option<&str>) -> Value {
    let content = &answer.content;
    let (session, seq) = answer.answers;
    json!({
        "event": if answer.kind == Kind::Stop { "stop" } else { "answer" },
        "id": HEXLOWER.encode(&answer.answer),
        "n": content.n,
        "text": content.text.as_str(),
        "language": content.language.map(crate::caller::language_code),
        "meeting": content.meeting,
        "introduction": introduction,
        "time": content.written,
        "good_until": answer.good_until.0,
        "seat": answer.seat.number(),
        "answers": {"session": HEXLOWER.encode(&session), "seq": seq},
    })
}
