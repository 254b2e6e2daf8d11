//! What people see: a row per caller, sorted by who must not wait; a thread per caller.
use crate::desk::{
    ComposingView, Desk, DeskError, Person, ProposalView,
    concord::Groups,
    knowledge::how_name,
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
    /// Somebody has opened the room that a caller opens when she is forced to, and nobody has claimed it.
    DuressUnclaimed,
    /// She asked for help, and nobody has claimed her.
    HelpUnclaimed,
    /// She asked for help, somebody has her, and she has heard nothing for two hours.
    HelpSilent,
    /// Her promised sign is overdue, and she asked for something in case it is.
    OverdueAsked,
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
    /// Who is writing to her now.
    pub composing: Vec<ComposingView>,
    /// How the team knows her: `unknown`, `introduced` or `verified`.
    pub how: &'static str,
    /// Whether she asked for something in case her sign is late.
    pub wishes: bool,
    /// Whose duress room this is: her id.
    pub duress_of: Option<String>,
    /// Proposals about her that wait for a second worker.
    pub proposals: usize,
    /// Other callers in this row: the same person, as two workers hold.
    pub joined: Vec<String>,
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
    /// What the team knows of her.
    pub person: Person,
    /// Proposals about her that are open or were decided lately.
    pub proposals: Vec<ProposalView>,
    /// Letters, answers and notes, oldest first; of several callers in one row, one after the other.
    pub items: Vec<Item>,
}

/// One thing in a thread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "item")]
pub enum Item {
    /// What follows is of this caller: in a row that several share.
    Room {
        /// Her id.
        id: String,
        /// Her nickname.
        nickname: String,
    },
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
    /// The newest letter that says something and was not taken back, of all in their order.
    fn last_said(&self, places: &[LetterPlace]) -> Option<(u64, &Gist)> {
        self.newest(places, |gist| gist.says_something)
    }
    /// The last status she gave: a text after it says more, and takes nothing back. In which order two visits of the same ten minutes were
    /// is not known, and desks may have heard them in different ones; so the one that must not wait counts.
    fn last_status(&self) -> Option<Status> {
        let standing = self.letters.iter().filter(|(_, letter)| !letter.withdrawn);
        let said = standing.filter_map(|((time, session, _), letter)| Some((*time, *session, letter.gist.status?)));
        let newest = said.clone().map(|(time, ..)| time).max()?;
        // In the order of numbers: of each visit the last stays.
        let of: BTreeMap<Session, Status> =
            said.filter(|(time, ..)| *time == newest).map(|(_, session, status)| (session, status)).collect();
        of.into_values().max_by_key(|status| match status {
            Status::Help => 3,
            Status::Talk => 2,
            Status::Moving => 1,
            Status::Safe => 0,
        })
    }
    fn newest(&self, places: &[LetterPlace], wanted: impl Fn(&Gist) -> bool) -> Option<(u64, &Gist)> {
        let letters = places.iter().rev().filter_map(|place| Some((place.0, self.letters.get(place)?)));
        let mut standing = letters.filter(|(_, letter)| !letter.withdrawn).map(|(time, letter)| (time, &letter.gist));
        standing.find(|(_, gist)| wanted(gist))
    }
    /// Letters that no worker has been shown.
    fn unseen(&self) -> impl Iterator<Item = &LetterPlace> {
        let unseen = self.letters.iter().filter(|((_, session, seq), letter)| {
            letter.content.is_some() && letter.gist.says_something && !self.shown.contains_key(&(*session, *seq))
        });
        unseen.map(|(place, _)| place)
    }
    fn has_unseen(&self) -> bool {
        self.unseen().next().is_some()
    }
    pub(super) fn is_quiet(&self) -> bool {
        self.last_said(&self.in_order()).is_some_and(|(_, gist)| gist.quiet)
    }
}

impl Desk {
    /// Every caller, most urgent first.
    #[must_use]
    pub fn list(&self, now: Seconds) -> Vec<Row> {
        let groups = self.state.groups();
        let callers = self.state.callers.iter().filter(|(_, entry)| entry.has_row()).map(|(caller, _)| *caller);
        let heads = callers.filter(|caller| self.state.head(&groups.of(*caller)) == Some(*caller));
        let mut rows: Vec<Row> = heads.map(|caller| self.row_of(caller, &groups, now)).collect();
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
        self.row(caller)?;
        let groups = self.state.groups();
        let mut members = groups.of(caller);
        let head = self.state.head(&members).unwrap_or(caller);
        // Her earlier rooms first: there she was before she lost her words.
        members.sort_by_key(|member| (*member == head, self.state.wrote(*member)));
        let mut items = Vec::new();
        for member in &members {
            if members.len() > 1 {
                items.push(Item::Room { id: hex(&member.0), nickname: nickname::nickname(member) });
            }
            items.extend(self.items_of(*member, now));
        }
        let (person, proposals) = (self.person(&members), self.proposals_about(&members, now));
        Ok(Thread { row: self.row_of(head, &groups, now), person, proposals, items })
    }

    fn items_of(&self, caller: CallerId, now: Seconds) -> Vec<Item> {
        let Some(entry) = self.state.callers.get(&caller) else { return Vec::new() };
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
        items.into_iter().map(|(_, item)| item).collect()
    }

    /// From when an answer can be read, if all of it is in slots: by her words, and by the page that was open.
    #[must_use]
    pub fn readable_from(&self, answer: &AnswerId) -> Option<ReadableFrom> {
        let answer = self.state.answers.get(answer)?;
        let readable = ReadableFrom { words: answer.readable_from(true), page: answer.readable_from(false) };
        Some(readable).filter(|readable| readable.words.is_some() || readable.page.is_some())
    }

    /// Whether this answer has not been written to slots whole yet, and still can be.
    #[must_use]
    pub fn is_on_the_way(&self, answer: &AnswerId, now: Seconds) -> bool {
        self.state.answers.get(answer).is_some_and(|answer| on_the_way(answer, now))
    }

    /// Whether any answer to anybody has not been written to slots whole yet.
    #[must_use]
    pub fn anything_on_the_way(&self, now: Seconds) -> bool {
        self.state.answers.values().any(|answer| on_the_way(answer, now))
    }

    /// The row of a caller who wrote last of those who share it.
    fn row_of(&self, head: CallerId, groups: &Groups, now: Seconds) -> Row {
        let members = groups.of(head);
        let mut row = self.row_of_one(head, now);
        if members.len() > 1 {
            for other in members.iter().filter(|other| **other != head) {
                self.add_to_row(&mut row, (head, *other), now);
            }
            row.proposals = self.open_proposals(&members, now);
            row.urgency = self.shared_urgency(&row, head, &members, now);
        }
        row
    }

    /// Adds to a row what another caller's says who shares it.
    fn add_to_row(&self, row: &mut Row, (head, other): (CallerId, CallerId), now: Seconds) {
        let older = self.row_of_one(other, now);
        row.waiting_since = row.waiting_since.into_iter().chain(self.waits_in_old_room(head, other)).min();
        if older.last_sign == row.last_sign {
            // Nobody can tell which she wrote last: what she asked for in either holds.
            row.flags.quiet |= older.flags.quiet;
            row.flags.relative |= older.flags.relative;
        }
        row.letters += older.letters;
        row.unseen += older.unseen;
        row.answers += older.answers;
        row.claim = row.claim.take().or(older.claim);
        row.hand_over = row.hand_over.take().or(older.hand_over);
        row.next_step = row.next_step.take().or(older.next_step);
        row.composing.extend(older.composing);
        row.wishes |= older.wishes;
        row.how = if row.how == how_name(porchlight_proto::event::How::Unknown) { older.how } else { row.how };
        row.duress_of = row.duress_of.take().or(older.duress_of);
        row.joined.push(hex(&other.0));
    }

    /// Since when a letter of an older room waits: until it is answered there, or a worker has seen it and answers in the new one.
    fn waits_in_old_room(&self, head: CallerId, other: CallerId) -> Option<u64> {
        let entry = self.state.callers.get(&other)?;
        let counts = |answer: &&AnswerEntry| !answer.tells_withdrawal() && !answer.stopped;
        let newest = self.answers_to(head).map(|(_, answer)| answer).filter(counts).map(|answer| answer.place).max();
        let seen =
            |named: &(Session, u16)| entry.shown.get(named).is_some_and(|shown| newest.is_some_and(|answer| answer > *shown));
        let places = entry.in_order();
        let mut waiting = self.unanswered(other, entry, &places).filter(|(_, session, seq)| !seen(&(*session, *seq)));
        waiting.next().map(|(time, ..)| *time)
    }

    /// The urgency of a row that several share: help or force in any of its rooms that waits, and the wish she made in any.
    fn shared_urgency(&self, row: &Row, head: CallerId, members: &[CallerId], now: Seconds) -> Urgency {
        let facts = |member: &CallerId| {
            let entry = self.state.callers.get(member)?;
            let places = entry.in_order();
            let own = || self.waiting_since(*member, entry, &places);
            let waiting = if *member == head { own() } else { self.waits_in_old_room(head, *member) };
            let (status, late) = (entry.last_status(), row.promise.as_ref().filter(|_| *member == head));
            Some(self.urgency((*member, entry), (status, waiting, late), (row.claim.is_some(), row.wishes), now))
        };
        members.iter().filter_map(facts).min().unwrap_or(row.urgency)
    }

    fn row_of_one(&self, caller: CallerId, now: Seconds) -> Row {
        let nothing = Caller::default();
        let entry = self.state.callers.get(&caller).unwrap_or(&nothing);
        let places = entry.in_order();
        let last = entry.last_said(&places);
        let claim = entry.standing().filter(|claim| claim.until > now.0);
        let me = self.state.line.as_ref().map(|line| line.device);
        let waiting_since = self.waiting_since(caller, entry, &places);
        let promise = promise(last, now);
        let gist = last.map(|(_, gist)| *gist).unwrap_or_default();
        let status = entry.last_status();
        Row {
            id: hex(&caller.0),
            nickname: nickname::nickname(&caller),
            urgency: self.urgency(
                (caller, entry),
                (status, waiting_since, promise.as_ref()),
                (claim.is_some(), entry.knowledge.wishes()),
                now,
            ),
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
            unseen: entry.unseen().count(),
            answers: self.answers_to(caller).filter(|(_, answer)| !answer.tells_withdrawal()).count(),
            reachable: self.reachable(caller, now),
            here: self.is_live(caller, now.millis()),
            next_step: self.next_step(entry).filter(|text| !text.is_empty()),
            hand_over: hand_over_view(entry, now),
            composing: self.composing_views(entry, now),
            how: how_name(entry.knowledge.how()),
            wishes: entry.knowledge.wishes(),
            duress_of: entry.knowledge.duress_of().map(|of| hex(&of.0)),
            proposals: self.open_proposals(&[caller], now),
            joined: Vec::new(),
        }
    }

    fn urgency(
        &self,
        (caller, entry): (CallerId, &Caller),
        (status, waiting_since, promise): (Option<Status>, Option<u64>, Option<&Promise>),
        (claimed, wishes): (bool, bool),
        now: Seconds,
    ) -> Urgency {
        let help = status == Some(Status::Help) && waiting_since.is_some();
        let heard = self.answers_to(caller).map(|(_, answer)| answer.written).chain(waiting_since).max().unwrap_or(0);
        let silent = heard + HELP_SILENT <= now.0;
        // Whoever forces her may have her ask for quiet: what nobody has looked at counts all the same.
        let duress = entry.knowledge.duress_of().is_some() && (waiting_since.is_some() || entry.has_unseen());
        let late = promise.is_some_and(|promise| matches!(promise.state, PromiseState::Late | PromiseState::Quiet));
        match (help || duress, claimed) {
            (true, false) if duress => Urgency::DuressUnclaimed,
            (true, false) => Urgency::HelpUnclaimed,
            (true, true) if silent => Urgency::HelpSilent,
            _ if late && wishes => Urgency::OverdueAsked,
            _ if waiting_since.is_some() => Urgency::Waiting,
            _ if late => Urgency::Overdue,
            _ => Urgency::Rest,
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
    fn waiting_since(&self, caller: CallerId, entry: &Caller, places: &[LetterPlace]) -> Option<u64> {
        self.unanswered(caller, entry, places).next().map(|(time, ..)| *time)
    }

    /// Her letters that wait for an answer, in their order. "Please do not go" answers none of them.
    fn unanswered<'a>(
        &self,
        caller: CallerId,
        entry: &'a Caller,
        places: &'a [LetterPlace],
    ) -> impl Iterator<Item = &'a LetterPlace> + use<'a> {
        let answers = self
            .answers_to(caller)
            .map(|(_, answer)| answer)
            .filter(|answer| answer.kind == AnswerKind::Answer && !answer.tells_withdrawal() && !answer.stopped);
        let answers: Vec<Answering> = answers.map(|answer| Answering::of(named_time(places, answer), answer)).collect();
        let waits = move |place: &&LetterPlace| {
            let letter = entry.letters.get(place);
            letter.is_some_and(|letter| letter.gist.says_something && !letter.withdrawn && !letter.gist.quiet)
                && !answers.iter().any(|answer| answer.answers(entry, **place))
        };
        places.iter().filter(waits)
    }

    fn letter_item(&self, caller: CallerId, place: LetterPlace, asked_back: &[(Session, u16)]) -> Item {
        let (time, session, seq) = place;
        let entry = self.state.callers.get(&caller);
        let letter = entry.and_then(|entry| entry.letters.get(&place));
        let content = letter.and_then(|letter| letter.content.as_ref());
        let opened = content.and_then(|content| unseal(&self.ring, &bound::letter(&caller.0, &session, seq), content));
        let parsed = opened.as_ref().and_then(|content| Letter::parse(content).ok()).unwrap_or_default();
        let asked_back = asked_back.binary_search(&(session, seq)).is_ok()
            && entry.is_some_and(|entry| !entry.shown.contains_key(&(session, seq)));
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
            shown: entry.is_some_and(|entry| entry.shown.contains_key(&(session, seq))),
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
    pub(super) fn event_at(&self, device: DeviceId, seq: u64) -> Option<Event> {
        Event::parse(&event_body(&self.ring, self.event_record(device, seq)?)?).ok()
    }
}

fn hand_over_view(entry: &Caller, now: Seconds) -> Option<HandOverView> {
    let (_, over) = entry.handed_over().filter(|(place, _)| entry.accepted(*place).is_none())?;
    let waits = over.to.is_some() && over.time + ACCEPT_WITHIN > now.0;
    Some(HandOverView {
        by: hex(&over.by.0),
        to: over.to.map(|to| hex(&to.0)),
        since: over.time,
        state: if waits { HandOverState::Waiting } else { HandOverState::OnCall },
    })
}

/// How many letters there are up to the one that an answer names, and with it.
fn up_to_answered(places: &[LetterPlace], answer: &AnswerEntry) -> Option<usize> {
    places.iter().position(|(_, session, seq)| (*session, *seq) == answer.replies_to).map(|at| at + 1)
}

/// When the letter was written that an answer names.
fn named_time(places: &[LetterPlace], answer: &AnswerEntry) -> Option<u64> {
    places.iter().find(|(_, session, seq)| (*session, *seq) == answer.replies_to).map(|(time, ..)| *time)
}

/// What of an answer decides which letters it answers.
struct Answering {
    /// When the letter was written that it names, and which that is.
    named: Option<(u64, (Session, u16))>,
    written: u64,
    device: DeviceId,
    place: Place,
}

impl Answering {
    fn of(named: Option<u64>, answer: &AnswerEntry) -> Self {
        Self {
            named: named.map(|time| (time, answer.replies_to)),
            written: answer.written,
            device: answer.source.0,
            place: answer.place,
        }
    }

    /// Whether it answers a letter: the one it names, those before that in its visit, and those of earlier times. In which order another visit
    /// of the same ten minutes was, desks may not agree; of that those count that whoever answered was the first to read.
    fn answers(&self, entry: &Caller, (time, session, seq): LetterPlace) -> bool {
        match self.named {
            Some((_, named)) if named.0 == session => seq <= named.1,
            Some((named, _)) if named == time => {
                entry.shown.get(&(session, seq)).is_some_and(|shown| shown.1 == self.device && *shown < self.place)
            }
            Some((named, _)) => time < named,
            None => time + LETTER_TIME_STEP <= self.written,
        }
    }
}

/// How many letters were surely written before `time`: their own times are rounded down to ten minutes.
fn written_after(places: &[LetterPlace], time: u64) -> usize {
    places.partition_point(|(written, ..)| written + LETTER_TIME_STEP <= time)
}

/// What tells only what became of a letter is no answer: it goes by itself.
fn on_the_way(answer: &AnswerEntry, now: Seconds) -> bool {
    !answer.tells_withdrawal() && answer_state(answer, now) == AnswerState::OnTheWay
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
fn promise(last: Option<(u64, &Gist)>, now: Seconds) -> Option<Promise> {
    let (time, gist) = last?;
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
