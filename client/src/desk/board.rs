//! What people see: a row per caller, sorted by who must not wait; a thread per caller.
use crate::desk::{
    Desk, DeskError,
    line::hex,
    nickname,
    state::{AnswerEntry, Caller, Gist, HandedOver, LetterPlace, Place, bound, event_body, unseal},
};
use porchlight_proto::{
    answer::Answer,
    event::{AnswerId, AnswerKind, Event, HandOver},
    letter::{Letter, Session, Status},
    line::{CallerId, DeviceId},
    phrase::Language,
    time::{LETTER_TIME_STEP, Millis, Seconds},
};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// Seconds of grace after a promised sign: at least a day, or half the interval she named.
const GRACE_LEAST: u64 = 86_400;
/// A caller who asked for help, is claimed, and has heard nothing for this many seconds comes forward again.
const HELP_SILENT: u64 = 2 * 3600;
/// After the grace, how many graces until late becomes quiet.
const QUIET_AFTER: u64 = 2;

/// Seconds within which a hand-over should be accepted; then it is for whoever is on call.
const ACCEPT_WITHIN: u64 = 20 * 60;

/// How much a row asks for attention, most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// She asked for help, and nobody has claimed her.
    HelpUnclaimed,
    /// She asked for help, somebody has her, and she has heard nothing for two hours.
    HelpSilent,
    /// Something of hers waits for an answer.
    Waiting,
    /// Her promised sign is overdue. Look once, wait.
    Overdue,
    /// Nothing waits.
    Rest,
}

/// One caller on the board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Row {
    /// Her id, in hex. "The same phrase as before", never "the same person".
    pub id: String,
    /// Two neutral words made from the id.
    pub nickname: String,
    /// How much the row asks for attention.
    pub urgency: Urgency,
    /// Her last status: `safe`, `help`, `moving` or `talk`.
    pub status: Option<&'static str>,
    /// When her last letter was written, Unix seconds, rounded down to ten minutes.
    pub last_sign: u64,
    /// Since when a letter of hers waits for an answer.
    pub waiting_since: Option<u64>,
    /// When she said she may write again.
    pub promise: Option<Promise>,
    /// What she asked for.
    pub flags: Flags,
    /// Who has her.
    pub claim: Option<ClaimView>,
    /// Her language: `zh`, `ko` or `en`.
    pub language: Option<&'static str>,
    /// Letters held.
    pub letters: usize,
    /// Letters that no worker has been shown.
    pub unseen: usize,
    /// Answers written to her.
    pub answers: usize,
    /// Whether she can be reached by the carousel.
    pub reachable: bool,
    /// Whether her page is open now, as far as this process has heard.
    pub here: bool,
    /// The last note, or the next step of the last hand-over, whichever is newer.
    pub next_step: Option<String>,
    /// Whether she is being handed over.
    pub hand_over: Option<HandOverView>,
}

/// A hand-over that nobody has accepted yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct HandOverView {
    /// By which device, in hex.
    pub by: String,
    /// To which; nobody for whoever is on call.
    pub to: Option<String>,
    /// Since when.
    pub since: u64,
    /// How that stands.
    pub state: HandOverState,
}

/// How a hand-over stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HandOverState {
    /// It waits for whom it was made.
    Waiting,
    /// Nobody has accepted for twenty minutes: whoever is on call does.
    OnCall,
}

/// What she promised of her next sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Promise {
    /// When, Unix seconds.
    pub due: u64,
    /// How that stands.
    pub state: PromiseState,
}

/// How a promise stands. Nobody is pressed: late is a word for the team, never for her.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PromiseState {
    /// Not yet due.
    Waiting,
    /// Due, within the grace.
    Due,
    /// Past the grace.
    Late,
    /// Long past it.
    Quiet,
}

/// What she asked for in her last letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Flags {
    /// "Please do not answer me now."
    pub quiet: bool,
    /// "Answer like a relative would."
    pub relative: bool,
    /// She took something back.
    pub withdrew: bool,
}

/// A claim that stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct ClaimView {
    /// By which device, in hex.
    pub device: String,
    /// Whether it is this one. Not written out: what is, is the same on every device.
    #[serde(skip)]
    pub mine: bool,
    /// Since when.
    pub since: u64,
    /// Until when, if it is not renewed.
    pub until: u64,
    /// Why it was taken over.
    pub reason: Option<String>,
}

/// The bulletin that stands, for views.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct BulletinView {
    /// Its code (SPEC §11).
    pub code: u8,
}

/// All that is known of one caller, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Thread {
    /// Her row.
    pub row: Row,
    /// Letters, answers and notes, oldest first.
    pub items: Vec<Item>,
}

/// One thing in a thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "item")]
pub enum Item {
    /// A letter of hers.
    Letter {
        /// The visit, in hex.
        session: String,
        /// Its number there.
        seq: u16,
        /// When she wrote it.
        time: u64,
        /// When the desk got it.
        received: u64,
        /// Her status.
        status: Option<&'static str>,
        /// The text.
        text: String,
        /// Seconds until she may write again.
        next: Option<u64>,
        /// "Do not answer me now."
        quiet: bool,
        /// "Like a relative."
        relative: bool,
        /// The language of her page.
        language: Option<&'static str>,
        /// Whether a worker has been shown it before.
        shown: bool,
        /// What became of it.
        state: LetterState,
    },
    /// An answer to her.
    Answer {
        /// Its id, in hex.
        id: String,
        /// Counts the answers to her.
        n: u64,
        /// The text.
        text: String,
        /// Its language.
        language: Option<&'static str>,
        /// Whether it names a place or a time.
        meeting: bool,
        /// Whether it says only "please do not go; the plan has changed".
        stop: bool,
        /// When it was written.
        time: u64,
        /// Until when it is good.
        good_until: u64,
        /// By which device, in hex.
        by: String,
        /// How many cells it takes.
        parts: u8,
        /// What became of it. Whether she has read it is never known; `seen` says that her page named it.
        state: AnswerState,
    },
    /// A note of the team.
    Note {
        /// By which device, in hex.
        by: String,
        /// When.
        time: u64,
        /// The note.
        text: String,
    },
    /// A hand-over.
    HandOver {
        /// By which device, in hex.
        by: String,
        /// To which; nobody for whoever is on call.
        to: Option<String>,
        /// When.
        time: u64,
        /// How things stood.
        situation: String,
        /// What we had promised her.
        promised_by_us: String,
        /// What she had promised.
        promised_by_her: String,
        /// What could go wrong.
        risk: String,
        /// What was to be done next, and by whom.
        next_step: String,
        /// Who accepted it, in hex.
        accepted_by: Option<String>,
        /// When.
        accepted: Option<u64>,
    },
}

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterState {
    /// Here.
    Here,
    /// She took it back.
    Withdrawn,
    /// Its day has been forgotten.
    Forgotten,
    /// Her program wrote what this one cannot read.
    Unreadable,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerState {
    /// Not yet written to a slot whole.
    OnTheWay,
    /// Written to slots, and sent again until she names it.
    WithTheRelay,
    /// Her page named it as shown.
    Seen,
    /// Past its time without being named.
    Expired,
    /// Taken back.
    TakenBack,
}

/// From when an answer can be read, by the line's clock: its slots have been written, and are shown when they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadableFrom {
    /// On the carousel, by whoever has her words. None if it has not joined the carousel: then it went to an open page alone.
    pub words: Option<Millis>,
    /// On the fast track, by the page of hers that was open when it was sent.
    pub page: Option<Millis>,
}

pub(super) const fn status_name(status: Status) -> &'static str {
    match status {
        Status::Safe => "safe",
        Status::Help => "help",
        Status::Moving => "moving",
        Status::Talk => "talk",
    }
}

const fn language_name(language: Language) -> &'static str {
    match language {
        Language::Zh => "zh",
        Language::Ko => "ko",
        Language::En => "en",
    }
}

impl Caller {
    /// Her letters as they are shown: by their rounded times; those of the same ten minutes as they came, for a visit's id is
    /// random and says nothing of time; and those of one visit by their numbers, in whatever order they came.
    pub(super) fn in_order(&self) -> Vec<LetterPlace> {
        let mut numbers: BTreeMap<(u64, Session), VecDeque<u16>> = BTreeMap::new();
        for (time, session, seq) in self.letters.keys() {
            numbers.entry((*time, *session)).or_default().push_back(*seq);
        }
        let mut came: Vec<_> =
            self.letters.iter().map(|((time, session, _), letter)| (*time, letter.arrival, *session)).collect();
        came.sort_unstable();
        let next = |(time, _, session)| Some((time, session, numbers.get_mut(&(time, session))?.pop_front()?));
        came.into_iter().filter_map(next).collect()
    }
    /// The newest letter that says something and was not taken back.
    fn last_said(&self) -> Option<(u64, &Gist)> {
        self.newest(|gist| gist.says_something)
    }
    /// The last status she gave: a text after it says more, and takes nothing back.
    fn last_status(&self) -> Option<Status> {
        self.newest(|gist| gist.status.is_some()).and_then(|(_, gist)| gist.status)
    }
    fn newest(&self, wanted: impl Fn(&Gist) -> bool) -> Option<(u64, &Gist)> {
        let letters = self.in_order().into_iter().rev().filter_map(|place| Some((place.0, self.letters.get(&place)?)));
        let mut standing = letters.filter(|(_, letter)| !letter.withdrawn).map(|(time, letter)| (time, &letter.gist));
        standing.find(|(_, gist)| wanted(gist))
    }
    pub(super) fn is_quiet(&self) -> bool {
        self.last_said().is_some_and(|(_, gist)| gist.quiet)
    }
}

impl Desk {
    /// Every caller, most urgent first.
    #[must_use]
    pub fn list(&self, now: Seconds) -> Vec<Row> {
        let callers = self.state.callers.iter().filter(|(_, entry)| entry.has_row());
        let mut rows: Vec<Row> = callers.map(|(caller, entry)| self.row_of(*caller, entry, now)).collect();
        rows.sort_by(|a, b| {
            let waiting = |row: &Row| row.waiting_since.unwrap_or(u64::MAX);
            let key = |row: &Row| (row.urgency, waiting(row), std::cmp::Reverse(row.last_sign));
            key(a).cmp(&key(b)).then_with(|| a.id.cmp(&b.id))
        });
        rows
    }

    /// One caller's thread. Looking is not showing: see [`Desk::mark_shown`].
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchCaller`].
    pub fn show(&self, caller: CallerId, now: Seconds) -> Result<Thread, DeskError> {
        let entry = self.state.callers.get(&caller).filter(|entry| entry.has_row()).ok_or(DeskError::NoSuchCaller)?;
        let places = entry.in_order();
        let mut items: Vec<((usize, u64, u64), Item)> = Vec::new();
        let asked_back = entry.asked_back();
        for (at, place) in (1..).zip(&places) {
            items.push(((at, 0, 0), self.letter_item(caller, *place, &asked_back)));
        }
        for (id, answer) in self.answers_to(caller).filter(|(_, answer)| !answer.tells_withdrawal()) {
            let after = up_to_answered(&places, answer).unwrap_or(0);
            items.push((
                (after.max(written_after(&places, answer.written)), answer.written, answer.n),
                self.answer_item(id, answer, now),
            ));
        }
        for (place, (time, by)) in &entry.notes {
            let note = Item::Note { by: hex(&by.0), time: *time, text: self.note_text(place.1, place.2) };
            items.push(((written_after(&places, *time), *time, u64::MAX), note));
        }
        for (place, over) in &entry.hand_overs {
            items.push(((written_after(&places, over.time), over.time, u64::MAX), self.hand_over_item(entry, *place, *over)));
        }
        items.sort_by_key(|(place, _)| *place);
        Ok(Thread { row: self.row_of(caller, entry, now), items: items.into_iter().map(|(_, item)| item).collect() })
    }

    /// From when an answer can be read, if all of it is in slots: by her words, and by the page that was open.
    #[must_use]
    pub fn readable_from(&self, answer: &AnswerId) -> Option<ReadableFrom> {
        let answer = self.state.answers.get(answer)?;
        let readable = ReadableFrom { words: answer.readable_from(true), page: answer.readable_from(false) };
        Some(readable).filter(|readable| readable.words.is_some() || readable.page.is_some())
    }

    fn row_of(&self, caller: CallerId, entry: &Caller, now: Seconds) -> Row {
        let last = entry.last_said();
        let claim = entry.standing().filter(|claim| claim.until > now.0);
        let me = self.state.line.as_ref().map(|line| line.device);
        let waiting_since = self.waiting_since(caller, entry);
        let promise = promise(entry, now);
        let gist = last.map(|(_, gist)| *gist).unwrap_or_default();
        let status = entry.last_status();
        let help = status == Some(Status::Help) && waiting_since.is_some();
        let silent = self.answers_to(caller).map(|(_, answer)| answer.written).chain(waiting_since).max().unwrap_or(0)
            + HELP_SILENT
            <= now.0;
        let late = promise.as_ref().is_some_and(|promise| matches!(promise.state, PromiseState::Late | PromiseState::Quiet));
        let urgency = match (help, claim.is_some()) {
            (true, false) => Urgency::HelpUnclaimed,
            (true, true) if silent => Urgency::HelpSilent,
            _ if waiting_since.is_some() => Urgency::Waiting,
            _ if late => Urgency::Overdue,
            _ => Urgency::Rest,
        };
        let unseen = entry.letters.iter().filter(|((_, session, seq), letter)| {
            letter.content.is_some() && letter.gist.says_something && !entry.shown.contains(&(*session, *seq))
        });
        Row {
            id: hex(&caller.0),
            nickname: nickname::nickname(&caller),
            urgency,
            status: status.map(status_name),
            last_sign: entry.letters.keys().next_back().map_or(0, |(time, ..)| *time),
            waiting_since,
            promise,
            flags: Flags { quiet: gist.quiet, relative: gist.relative, withdrew: !entry.withdrawals.is_empty() },
            claim: claim.map(|claim| ClaimView {
                device: hex(&claim.device.0),
                mine: Some(claim.device) == me,
                since: claim.since,
                until: claim.until,
                reason: Some(claim.reason).filter(|reason| !reason.is_empty()),
            }),
            language: gist.language.map(language_name),
            letters: entry.letters.values().filter(|letter| letter.gist.says_something && !letter.withdrawn).count(),
            unseen: unseen.count(),
            answers: self.answers_to(caller).filter(|(_, answer)| !answer.tells_withdrawal()).count(),
            reachable: self.reachable(caller, now),
            here: self.is_live(caller, now.millis()),
            next_step: self.next_step(entry).filter(|text| !text.is_empty()),
            hand_over: entry.handed_over().filter(|(place, _)| entry.accepted(*place).is_none()).map(|(_, over)| HandOverView {
                by: hex(&over.by.0),
                to: over.to.map(|to| hex(&to.0)),
                since: over.time,
                state: if over.to.is_none() || over.time + ACCEPT_WITHIN <= now.0 {
                    HandOverState::OnCall
                } else {
                    HandOverState::Waiting
                },
            }),
        }
    }

    fn next_step(&self, entry: &Caller) -> Option<String> {
        let note = entry.notes.keys().next_back();
        let over = entry.hand_overs.keys().next_back();
        if over > note {
            over.and_then(|place| self.hand_over_lines(*place)).map(|over| over.next_step)
        } else {
            note.map(|place| self.note_text(place.1, place.2))
        }
    }

    fn hand_over_item(&self, entry: &Caller, place: Place, over: HandedOver) -> Item {
        let lines = self.hand_over_lines(place);
        let line = |which: fn(&HandOver) -> &String| lines.as_ref().map(which).cloned().unwrap_or_default();
        let accepted = entry.accepted(place);
        Item::HandOver {
            by: hex(&over.by.0),
            to: over.to.map(|to| hex(&to.0)),
            time: over.time,
            situation: line(|over| &over.situation),
            promised_by_us: line(|over| &over.promised_by_us),
            promised_by_her: line(|over| &over.promised_by_her),
            risk: line(|over| &over.risk),
            next_step: line(|over| &over.next_step),
            accepted_by: accepted.map(|(device, _)| hex(&device.0)),
            accepted: accepted.map(|(_, time)| time),
        }
    }

    /// When the oldest letter was written that no answer followed. The same on every device, whenever the letter came.
    fn waiting_since(&self, caller: CallerId, entry: &Caller) -> Option<u64> {
        let places = entry.in_order();
        let answers =
            self.answers_to(caller).map(|(_, answer)| answer).filter(|answer| !answer.tells_withdrawal() && !answer.stopped);
        let answered =
            answers.map(|answer| up_to_answered(&places, answer).unwrap_or_else(|| written_after(&places, answer.written)));
        let answered = answered.max().unwrap_or(0);
        let unanswered = places.into_iter().skip(answered).filter_map(|place| Some((place.0, entry.letters.get(&place)?)));
        let mut waiting = unanswered.filter(|(_, letter)| letter.gist.says_something && !letter.withdrawn && !letter.gist.quiet);
        waiting.next().map(|(time, _)| time)
    }

    fn letter_item(&self, caller: CallerId, place: LetterPlace, asked_back: &[(Session, u16)]) -> Item {
        let (time, session, seq) = place;
        let entry = self.state.callers.get(&caller);
        let letter = entry.and_then(|entry| entry.letters.get(&place));
        let content = letter.and_then(|letter| letter.content.as_ref());
        let opened = content.and_then(|content| unseal(&self.ring, &bound::letter(&caller.0, &session, seq), content));
        let parsed = opened.as_ref().and_then(|content| Letter::parse(content).ok()).unwrap_or_default();
        let asked_back = asked_back.binary_search(&(session, seq)).is_ok()
            && entry.is_some_and(|entry| !entry.shown.contains(&(session, seq)));
        let state = match letter {
            Some(letter) if letter.withdrawn || asked_back => LetterState::Withdrawn,
            Some(letter) if !letter.readable => LetterState::Unreadable,
            Some(_) if opened.is_some() => LetterState::Here,
            _ => LetterState::Forgotten,
        };
        Item::Letter {
            session: hex(&session),
            seq,
            time,
            received: letter.map_or(time, |letter| letter.received),
            status: parsed.status.map(status_name),
            text: if state == LetterState::Here { parsed.text.to_string() } else { String::new() },
            next: parsed.next,
            quiet: parsed.quiet,
            relative: parsed.relative,
            language: parsed.language.map(language_name),
            shown: entry.is_some_and(|entry| entry.shown.contains(&(session, seq))),
            state,
        }
    }

    fn answer_item(&self, id: &AnswerId, answer: &AnswerEntry, now: Seconds) -> Item {
        let content = self.answer_content(answer).and_then(|content| Answer::parse(&content).ok()).unwrap_or_default();
        Item::Answer {
            id: hex(id),
            n: answer.n,
            text: content.text.to_string(),
            language: content.language.map(language_name),
            meeting: content.meeting,
            stop: answer.kind == AnswerKind::Stop,
            time: answer.written,
            good_until: answer.good_until,
            by: hex(&answer.source.0.0),
            parts: answer.parts,
            state: answer_state(answer, now),
        }
    }

    fn note_text(&self, device: DeviceId, seq: u64) -> String {
        match self.event_at(device, seq) {
            Some(Event::Note { text, .. }) => text,
            _ => String::new(),
        }
    }

    fn hand_over_lines(&self, (_, device, seq): Place) -> Option<HandOver> {
        match self.event_at(device, seq) {
            Some(Event::HandOver(over)) => Some(over),
            _ => None,
        }
    }

    /// An event with its words; none once they are forgotten.
    fn event_at(&self, device: DeviceId, seq: u64) -> Option<Event> {
        let logged = self.state.log.get(&device)?.get(usize::try_from(seq.checked_sub(1)?).ok()?)?;
        Event::parse(&event_body(&self.ring, &logged.record)?).ok()
    }
}

/// How many letters there are up to the one that an answer names, and with it.
fn up_to_answered(places: &[LetterPlace], answer: &AnswerEntry) -> Option<usize> {
    places.iter().position(|(_, session, seq)| (*session, *seq) == answer.replies_to).map(|at| at + 1)
}

/// How many letters were surely written before `time`: their own times are rounded down to ten minutes.
fn written_after(places: &[LetterPlace], time: u64) -> usize {
    places.partition_point(|(written, ..)| written + LETTER_TIME_STEP <= time)
}

fn answer_state(answer: &AnswerEntry, now: Seconds) -> AnswerState {
    if answer.seen {
        AnswerState::Seen
    } else if answer.stopped {
        AnswerState::TakenBack
    } else if now.0 > answer.good_until {
        AnswerState::Expired
    } else if answer.with_the_relay() {
        AnswerState::WithTheRelay
    } else {
        AnswerState::OnTheWay
    }
}

/// What the newest letter that names a next sign promised, as it stands now; a later letter of any kind keeps the promise.
fn promise(entry: &Caller, now: Seconds) -> Option<Promise> {
    let (time, gist) = entry.last_said()?;
    let next = gist.next?;
    let due = time.saturating_add(next);
    let grace = GRACE_LEAST.max(next / 2);
    let state = match now.0.checked_sub(due) {
        None => PromiseState::Waiting,
        Some(past) if past < grace => PromiseState::Due,
        Some(past) if past < grace.saturating_mul(1 + QUIET_AFTER) => PromiseState::Late,
        Some(_) => PromiseState::Quiet,
    };
    Some(Promise { due, state })
}
