//! A caller's visit, from opening the page to leaving it: the whole state machine, without I/O (SPEC §9.1, §9.2).
//!
//! ```text
//!            notice            know(phrase)          write(letter)
//!  open ───────────▶ dummies ──────────────▶ reads ───────────────▶ posts parts ──▶ in the box ✓ ──▶ receipt ✓✓
//!                       │ beat: one POST, always │ slow days, fast beats: the same for everyone
//! ```
//!
//! Whoever drives it (a page, a command, a test) keeps the time: [`Visit::beat`] once every up beat gives the bytes of
//! one POST, and its reply comes back through [`Visit::posted`]; the slow days and fast beats it fetches go to
//! [`Visit::slow_day`] and [`Visit::fast`]. Two *voices* speak in a visit, to the desk and to safeguarding, with keys
//! that nobody can link. Dropping the visit wipes it.
use crate::api::{Notice, UpOutcome, UpPost, UpReply};
use crate::bulletin::{Bulletin, Code};
use crate::cell::down::{self, Kind, Place, Reader, Track};
use crate::cell::up::Recipient;
use crate::event::AnswerId;
use crate::letter::{ContentError, Letter, Session};
use crate::limits::{BULLETIN_LEN, CLOCK_SKEW_MAX, DOWN_CELL_LEN, UP_POST_LEN};
use crate::line::LineId;
use crate::phrase::Stretched;
use crate::roster::{RosterError, SignedRoster, UncheckedRoster};
use crate::seal::Use;
use crate::sign::PublicKey;
use crate::stamp::StampFor;
use crate::time::{Millis, SLOTS_PER_DAY, Timing};
use alloc::{boxed::Box, vec::Vec};
use rand_core::CryptoRng;

mod order;
mod reading;
mod tags;
mod voice;

use order::{Order, Waiting};
pub use reading::ShownAnswer;
use reading::{Came, Read};
use tags::TagTable;
use voice::{Outgoing, Voice};

/// What a visit has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Every part of the letter was taken by a relay: the first sign. Not delivered yet.
    InBox(To, u16),
    /// The desk, or safeguarding, holds the letter: the second sign.
    Receipt(To, u16),
    /// An answer, complete and signed by a seat; or a stop. Whoever shows it says so: [`Visit::displayed`].
    Answer(ShownAnswer),
    /// The letter was taken back before a person saw it.
    Withdrawn(To, u16),
    /// The letter had been shown before it could be taken back.
    TooLate(To, u16),
    /// What became of taking back a letter of an earlier visit.
    EarlierWithdrawal {
        /// The visit it was written in.
        session: Session,
        /// Its number there.
        seq: u16,
        /// Whether it was taken back before a person saw it; else it had been shown.
        done: bool,
    },
    /// The desk, or safeguarding, holds letters of an earlier visit, told once for each such visit. Not which, nor that it was the last:
    /// one written later can have been lost.
    EarlierReceipt(To),
    /// The line says one of its few sentences to everyone.
    Bulletin(Code),
    /// The relay has a roster of this serial, newer than the visit's: fetch the notice again.
    NewRoster(u32),
    /// The relay has no room now; the part goes again at a later beat.
    Full,
    /// The relay asks for a stronger or newer stamp: fetch its notice before the next beat; the part goes again.
    StampAsked,
}

/// Why a visit cannot go on. Each says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VisitError {
    /// What came back is not a relay's answer. Try another relay, or later.
    #[error("this is not an answer of a relay of this line")]
    NotARelay,
    /// The relay has no roster yet: the line's team has not published one.
    #[error("the line has not published its roster yet; try later")]
    NoRoster,
    /// The roster is not to be believed.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// It says that it is another relay than the card names, or than it was.
    #[error("the relay is not the one that the card names")]
    OtherRelay,
    /// The roster is older than one this visit has seen.
    #[error("the relay shows an older roster than before; do not trust it")]
    RolledBack,
    /// The device's clock and the relay's differ by more than a day.
    #[error("this device's clock and the relay's differ by more than a day; set the clock, then try again")]
    Clock,
    /// The phrase is not known to the visit yet.
    #[error("the eight words come first")]
    NoPhrase,
    /// The letter cannot be sent as it is.
    #[error(transparent)]
    Content(#[from] ContentError),
}

/// What a relay said in its notice, as far as the visit needs it.
#[derive(Default)]
struct RelayState {
    stamp_salt: [u8; 16],
    up_epoch: u32,
    difficulty: u8,
}

/// To whom a letter goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The desk.
    Desk,
    /// The person outside the team.
    Safeguarding,
}

/// One visit. Not `Clone`; dropping it wipes every key and text.
pub struct Visit {
    root: PublicKey,
    line: LineId,
    roster: Option<SignedRoster>,
    /// Generation and serial of the newest roster seen.
    newest: (u32, u32),
    relays: Vec<(u8, RelayState)>,
    /// The newest bulletin, as it was signed, to be held against each new roster.
    bulletin: Option<(Bulletin, [u8; BULLETIN_LEN])>,
    /// The slot clock minus the driver's, in milliseconds: for slots and days.
    slots_ahead_ms: i128,
    /// The clock that rosters and answers are held against minus the driver's.
    checked_ahead_ms: i128,
    desk: Voice,
    safe: Voice,
    beats: u64,
    in_flight: Option<(Ticket, To, Outgoing)>,
    stretched: Option<Stretched>,
    slow_tables: Vec<(u8, TagTable)>,
    fast_tables: Vec<(u8, TagTable)>,
    /// What was fetched of the slow track, for words that come later, or come again: see [`Self::keep`].
    slow_cells: Vec<(u8, Box<[u8; DOWN_CELL_LEN]>)>,
    reading: reading::Reading,
    order: Order,
}

impl Visit {
    /// Opens a visit to the line whose root key the card gave.
    #[must_use]
    pub fn open(root: PublicKey, rng: &mut impl CryptoRng) -> Self {
        Self {
            root,
            line: LineId::from_root(&root),
            roster: None,
            newest: (0, 0),
            relays: Vec::new(),
            bulletin: None,
            slots_ahead_ms: 0,
            checked_ahead_ms: 0,
            desk: Voice::new(rng),
            safe: Voice::new(rng),
            beats: 0,
            in_flight: None,
            stretched: None,
            slow_tables: Vec::new(),
            fast_tables: Vec::new(),
            slow_cells: Vec::new(),
            reading: reading::Reading::default(),
            order: Order::default(),
        }
    }

    /// Takes a relay's notice. `now` is the driver's clock, which must not step: a monotonic one, set to wall time once.
    /// `relay_no` is the number that the card gives the relay; a page, which has no card, gives `None`.
    ///
    /// # Errors
    ///
    /// [`VisitError::NotARelay`], [`VisitError::OtherRelay`], [`VisitError::Clock`], [`VisitError::NoRoster`],
    /// [`VisitError::Roster`], [`VisitError::RolledBack`], in this order.
    pub fn notice(&mut self, bytes: &[u8], relay_no: Option<u8>, now: Millis, clock: Clock) -> Result<Vec<Event>, VisitError> {
        let notice = Notice::parse(bytes).map_err(|_| VisitError::NotARelay)?;
        let pages_own = (relay_no.is_none()).then(|| self.relays.first().map(|(number, _)| *number)).flatten();
        if relay_no.or(pages_own).is_some_and(|number| number != notice.relay_no) {
            return Err(VisitError::OtherRelay);
        }
        let checked_now = match clock {
            Clock::Relays => notice.clock_ms,
            Clock::Own if notice.clock_ms.0.abs_diff(now.0) > CLOCK_SKEW_MAX * 1000 => return Err(VisitError::Clock),
            Clock::Own => now,
        };
        let roster = notice.roster.as_ref().ok_or(VisitError::NoRoster)?;
        let signed = UncheckedRoster::parse(roster.as_slice())?.check_signed(&self.root)?;
        let age = (signed.generation(), signed.serial());
        if age < self.newest {
            return Err(VisitError::RolledBack);
        }
        let roster = signed.at(checked_now.seconds())?;
        self.newest = age;
        self.slots_ahead_ms = i128::from(notice.clock_ms.0) - i128::from(now.0);
        self.checked_ahead_ms = i128::from(checked_now.0) - i128::from(now.0);
        let state = RelayState { stamp_salt: notice.stamp_salt, up_epoch: notice.up_epoch, difficulty: notice.difficulty };
        *entry(&mut self.relays, notice.relay_no, RelayState::default) = state;
        self.take_roster((*roster).clone());
        Ok(self.take_bulletin(notice.bulletin, checked_now).into_iter().collect())
    }

    fn take_roster(&mut self, roster: SignedRoster) {
        let moved = self.roster.as_ref().is_some_and(|old| old.week() != roster.week() || old.timing() != roster.timing());
        if moved {
            self.slow_tables.clear();
        }
        if let Some(stretched) = &self.stretched {
            self.desk.reply_key = stretched.reply_key(roster.week());
            self.safe.reply_key = stretched.safe_reply_key(roster.week());
        }
        self.roster = Some(roster);
    }

    /// The later of the bulletin held and the one told stands, if the roster in force lets it.
    fn take_bulletin(&mut self, told: [u8; BULLETIN_LEN], now: Millis) -> Option<Event> {
        let roster = self.roster.as_ref()?;
        let check = |bytes: [u8; BULLETIN_LEN]| Some((Bulletin::check(&bytes, roster, now.seconds()).ok()??, bytes));
        let (held, told) = (self.bulletin.and_then(|(_, bytes)| check(bytes)), check(told));
        let before = self.bulletin.map(|(bulletin, _)| bulletin);
        // Of two of one time the last is taken: the one that stood.
        self.bulletin = [told, held].into_iter().flatten().max_by_key(|(bulletin, _)| bulletin.time);
        let (now_stands, _) = self.bulletin?;
        (before != Some(now_stands)).then_some(Event::Bulletin(now_stands.code))
    }

    /// Whether the roster is over, or there is none: fetch a notice. Until then dummies go on and letters wait.
    #[must_use]
    pub fn wants_notice(&self, now: Millis) -> bool {
        let now = self.checked_now(now).seconds();
        !self.roster.as_ref().is_some_and(|roster| roster.in_force_at(now))
    }

    /// The roster in force, once a notice was taken.
    #[must_use]
    pub const fn roster(&self) -> Option<&SignedRoster> {
        self.roster.as_ref()
    }
    /// The number of the first relay whose notice was taken: a page's own.
    #[must_use]
    pub fn relay_no(&self) -> Option<u8> {
        self.relays.first().map(|(number, _)| *number)
    }
    /// The bulletin that stands.
    #[must_use]
    pub fn bulletin(&self) -> Option<Code> {
        self.bulletin.map(|(bulletin, _)| bulletin.code)
    }
    /// The line's pace; production's before the first notice.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.roster.as_ref().map_or(Timing::PRODUCTION, SignedRoster::timing)
    }
    /// The relay's slot clock at the driver's `now`.
    #[must_use]
    pub fn line_now(&self, now: Millis) -> Millis {
        Millis(u64::try_from(i128::from(now.0) + self.slots_ahead_ms).unwrap_or(0))
    }
    /// The clock that rosters and answers are held against, at the driver's `now`.
    fn checked_now(&self, now: Millis) -> Millis {
        Millis(u64::try_from(i128::from(now.0) + self.checked_ahead_ms).unwrap_or(0))
    }
    /// The days of the slow track to fetch, newest first.
    #[must_use]
    pub fn days(&self, now: Millis) -> Vec<u32> {
        let timing = self.timing();
        let today = timing.day(self.line_now(now));
        (0..u32::from(timing.slow_days)).filter_map(|back| today.checked_sub(back)).collect()
    }
    /// The id of this visit as one of the two mailboxes sees it.
    #[must_use]
    pub const fn session(&self, to: To) -> &Session {
        match to {
            To::Desk => &self.desk.session,
            To::Safeguarding => &self.safe.session,
        }
    }

    /// Learns who she is. From now on dummies carry her keys too, and what was fetched before is read.
    ///
    /// Words that come again open another room: all that came of the ones before is forgotten, also letters that no relay has taken,
    /// and the visit goes on under a new session with new keys, so that nothing of one room is known in the other.
    pub fn know(&mut self, stretched: Stretched, now: Millis, rng: &mut impl CryptoRng) -> Vec<Event> {
        if self.stretched.is_some() {
            self.forget_room(rng);
        }
        let week = self.roster.as_ref().map_or(0, SignedRoster::week);
        self.desk.know(stretched.sign_key(), stretched.reply_key(week), &self.line);
        self.safe.know(stretched.safe_sign_key(), stretched.safe_reply_key(week), &self.line);
        self.stretched = Some(stretched);
        let cells = core::mem::take(&mut self.slow_cells);
        let mut events = Vec::new();
        for (relay, cell) in &cells {
            events.extend(self.read_slow(*relay, cell, now));
        }
        self.slow_cells = cells;
        events.extend(self.in_turn(now));
        events
    }

    /// All is new but what the line says, and what was fetched.
    fn forget_room(&mut self, rng: &mut impl CryptoRng) {
        (self.desk, self.safe) = (Voice::new(rng), Voice::new(rng));
        self.in_flight = None;
        self.slow_tables.clear();
        self.fast_tables.clear();
        self.reading = reading::Reading::default();
        self.order = Order::default();
    }

    /// Takes a letter to send, and gives its number in the visit.
    ///
    /// # Errors
    ///
    /// [`VisitError::NoPhrase`] before [`Self::know`]; [`VisitError::Content`] if it is empty or too long.
    pub fn write(&mut self, letter: &Letter, to: To, now: Millis) -> Result<u16, VisitError> {
        if self.stretched.is_none() {
            return Err(VisitError::NoPhrase);
        }
        let time = self.line_now(now).seconds().rounded();
        Ok(self.voice(to).write(letter, time)?)
    }

    fn voice(&mut self, to: To) -> &mut Voice {
        match to {
            To::Desk => &mut self.desk,
            To::Safeguarding => &mut self.safe,
        }
    }

    /// Whether every letter was receipted.
    #[must_use]
    pub fn all_receipted(&self) -> bool {
        self.desk.all_receipted() && self.safe.all_receipted()
    }
    /// Whether every part of every letter was taken by a relay.
    #[must_use]
    pub fn all_in_box(&self) -> bool {
        self.desk.all_in_box() && self.safe.all_in_box()
    }
    /// Whether every answer displayed has been named to the desk in a cell that a relay took.
    #[must_use]
    pub fn all_named(&self) -> bool {
        self.desk.all_named() && self.safe.all_named()
    }
    /// Whether an answer is whole and waits for one before it: for a few beats, while [`Self::fast`] is given what comes.
    #[must_use]
    pub fn holds_an_answer(&self) -> bool {
        !self.order.is_empty()
    }
    /// How many parts of answers have been read that were not shown yet. While it grows an answer is on its way.
    #[must_use]
    pub fn parts_read(&self) -> usize {
        self.reading.parts_read
    }

    /// She has an answer or a stop of this mailbox before her eyes, the whole of it: from now on posts name it. To be said of nothing
    /// that was not shown: what was named is not sent again, and what was named before it joined the carousel is found with no words.
    pub fn displayed(&mut self, of: To, answer: AnswerId) {
        self.voice(of).show(answer);
    }

    /// Whether whole rounds of POSTs are over, in each of which each mailbox had its turn. A visit that ends there tells nobody by
    /// its length to which of them it wrote, or whether it wrote at all.
    #[must_use]
    pub const fn is_between_rounds(&self) -> bool {
        self.beats.is_multiple_of(SAFEGUARDING_POSTS) && self.in_flight.is_none()
    }

    /// This beat's POST to relay `relay_no`: the next unposted part, else the next part of the oldest letter without a
    /// receipt, else a dummy. All three are sealed by one function. Every seventh POST of a visit goes to safeguarding,
    /// whether she has anything to tell there or not, and all others to the desk: so neither sees a gap that the other made.
    ///
    /// # Errors
    ///
    /// [`VisitError::NoRoster`] before the first notice of this relay.
    pub fn beat(&mut self, relay_no: u8, now: Millis, rng: &mut impl CryptoRng) -> Result<Post, VisitError> {
        let (line_now, waits) = (self.line_now(now), self.wants_notice(now));
        let roster = self.roster.as_ref().ok_or(VisitError::NoRoster)?;
        let (_, state) = self.relays.iter().find(|(number, _)| *number == relay_no).ok_or(VisitError::NoRoster)?;
        let ticket = Ticket(self.beats);
        let (to, voice, key, purpose) = if self.beats % SAFEGUARDING_POSTS == SAFEGUARDING_POSTS - 1 {
            (To::Safeguarding, &mut self.safe, roster.safe_key(), Use::Safeguarding)
        } else {
            (To::Desk, &mut self.desk, roster.desk_key(), Use::Desk)
        };
        let (outgoing, part) = if waits { voice.dummy(line_now.seconds(), rng) } else { voice.next(line_now.seconds(), rng) };
        let recipient = Recipient { line: &self.line, period: roster.period(), purpose, key };
        let cell = part.seal(&recipient, voice.signer(), rng);
        let stamp = StampFor::cell(cell.as_slice(), &state.stamp_salt, &self.line, state.up_epoch).mint(state.difficulty, rng);
        self.beats += 1;
        self.in_flight = Some((ticket, to, outgoing));
        Ok(Post { ticket, bytes: UpPost { stamp, cell }.to_bytes() })
    }

    /// Takes the reply to a POST, or `None` if there was none: then the part waits for its turn again. A reply that comes
    /// after the next beat was sealed says nothing any more: its part counts as not posted.
    ///
    /// # Errors
    ///
    /// [`VisitError::NotARelay`] if the bytes are no reply; the part counts as not posted.
    pub fn posted(&mut self, ticket: Ticket, relay_no: u8, reply: Option<&[u8]>) -> Result<Vec<Event>, VisitError> {
        let Some((_, to, outgoing)) = self.in_flight.take_if(|(flying, ..)| *flying == ticket) else { return Ok(Vec::new()) };
        let Some(reply) = reply else { return Ok(Vec::new()) };
        let reply = UpReply::parse(reply).map_err(|_| VisitError::NotARelay)?;
        if let Some((_, state)) = self.relays.iter_mut().find(|(number, _)| *number == relay_no) {
            state.difficulty = reply.difficulty.min(crate::limits::STAMP_BITS_MAX);
        }
        let mut events: Vec<Event> = match reply.outcome {
            UpOutcome::Stored => self.voice(to).posted(&outgoing).map(|seq| Event::InBox(to, seq)).into_iter().collect(),
            UpOutcome::Full => [Event::Full].into(),
            UpOutcome::Stamp => [Event::StampAsked].into(),
        };
        if reply.serial != self.newest.1 && reply.serial != 0 {
            events.push(Event::NewRoster(reply.serial));
        }
        Ok(events)
    }

    /// Reads a slow day of relay `relay_no`, fetched whole.
    ///
    /// # Errors
    ///
    /// [`VisitError::NotARelay`] for another length than 49,152.
    pub fn slow_day(&mut self, relay_no: u8, bytes: &[u8], now: Millis) -> Result<Vec<Event>, VisitError> {
        let slots = usize::try_from(SLOTS_PER_DAY).map_err(|_| VisitError::NotARelay)?;
        let mut events = Vec::new();
        for cell in cells(bytes, slots)? {
            self.keep(relay_no, cell, slots);
            if self.stretched.is_some() {
                events.extend(self.read_slow(relay_no, cell, now));
            }
        }
        events.extend(self.in_turn(now));
        Ok(events)
    }

    /// Keeps a slow cell, each once, and no more than the relays' tracks hold: 336 KiB each in production. The first make room.
    fn keep(&mut self, relay_no: u8, cell: &[u8; DOWN_CELL_LEN], slots: usize) {
        if self.slow_cells.iter().any(|(relay, kept)| *relay == relay_no && **kept == *cell) {
            return;
        }
        let most = self.relays.len() * usize::from(self.timing().slow_days) * slots;
        if self.slow_cells.len() >= most.max(slots) {
            self.slow_cells.remove(0);
        }
        self.slow_cells.push((relay_no, Box::new(*cell)));
    }

    /// Reads the newest two beats of relay `relay_no`.
    ///
    /// # Errors
    ///
    /// [`VisitError::NotARelay`] for another length than two beats have.
    pub fn fast(&mut self, relay_no: u8, bytes: &[u8], now: Millis) -> Result<Vec<Event>, VisitError> {
        let slots = 2 * usize::from(self.timing().fast_slots);
        let mut events = Vec::new();
        for cell in cells(bytes, slots)? {
            if self.stretched.is_some() {
                events.extend(self.read_fast(relay_no, cell, now));
            }
        }
        events.extend(self.in_turn(now));
        Ok(events)
    }

    fn read_fast(&mut self, relay_no: u8, cell: &[u8; DOWN_CELL_LEN], now: Millis) -> Vec<Event> {
        let (line, desk, safe) = (&self.line, &self.desk.live_key, &self.safe.live_key);
        let table = entry(&mut self.fast_tables, relay_no, || TagTable::fast(line, relay_no, desk, safe));
        let Some(hit) = table.find(&down::tag(cell)) else { return Vec::new() };
        let live_key = if hit.place.seat.is_safeguarding() { safe.clone() } else { desk.clone() };
        self.take_cell(cell, Track::Fast(&live_key), hit.place, now).unwrap_or_default()
    }

    fn read_slow(&mut self, relay_no: u8, cell: &[u8; DOWN_CELL_LEN], now: Millis) -> Vec<Event> {
        let line_now = self.line_now(now);
        let (Some(stretched), Some(roster)) = (&self.stretched, &self.roster) else { return Vec::new() };
        let today = roster.timing().day(line_now);
        let table = entry(&mut self.slow_tables, relay_no, TagTable::empty);
        if !table.covers(today) {
            *table = TagTable::slow(stretched, relay_no, roster, today);
        }
        let Some(hit) = table.find(&down::tag(cell)) else { return Vec::new() };
        let reply_key =
            if hit.place.seat.is_safeguarding() { stretched.safe_reply_key(hit.week) } else { stretched.reply_key(hit.week) };
        self.take_cell(cell, Track::Slow(&reply_key, hit.day), hit.place, now).unwrap_or_default()
    }

    /// Opens a cell and takes it in; `None` if it is not to be believed.
    fn take_cell(&mut self, cell: &[u8; DOWN_CELL_LEN], track: Track<'_>, place: Place, now: Millis) -> Option<Vec<Event>> {
        let (line_now, checked_now) = (self.line_now(now), self.checked_now(now).seconds());
        let roster = self.roster.as_ref().filter(|roster| roster.in_force_at(checked_now))?;
        let (to, voice) =
            if place.seat.is_safeguarding() { (To::Safeguarding, &mut self.safe) } else { (To::Desk, &mut self.desk) };
        let reader = Reader { caller: voice.caller.as_ref()?, roster, now: checked_now };
        let part = down::open(cell, (track, place), &reader).ok()?;
        let mut events: Vec<Event> = voice.receipted(&part.have).into_iter().map(|seq| Event::Receipt(to, seq)).collect();
        if voice.receipted_earlier(&part.have) {
            events.push(Event::EarlierReceipt(to));
        }
        let (session, seq) = part.answers;
        if session == voice.session && voice.told(seq, part.withdrawal) {
            events.push(if part.withdrawal.done { Event::Withdrawn(to, seq) } else { Event::TooLate(to, seq) });
        } else if session != voice.session && voice.told_of_earlier((session, seq), part.withdrawal) {
            events.push(Event::EarlierWithdrawal { session, seq, done: part.withdrawal.done });
        }
        let came = Came { now: checked_now, fast: matches!(track, Track::Fast(_)).then_some(line_now) };
        match self.reading.take(place.seat, &part, came) {
            Read::Nothing => {}
            Read::Whole(answer, _) if answer.kind == Kind::Stop => {
                self.order.count(&answer, came.fast.is_some());
                events.push(Event::Answer(answer));
            }
            Read::Whole(answer, begun) => {
                self.order.add(Waiting { answer, begun: came.fast.map(|_| begun), since: line_now });
            }
            // Sent again although it was shown: the desk has not heard of it yet.
            Read::Again => voice.name_again(&part.answer),
        }
        Some(events)
    }

    /// The answers that waited for one before them, for whoever shows them and is about to end the visit. What is shown so
    /// is not named to the desk unless there are more beats, and may be shown again in the next visit.
    pub fn wait_no_more(&mut self, now: Millis) -> Vec<Event> {
        self.order.hurry();
        self.in_turn(now)
    }

    /// The answers whose turn it is, but for those that are over or that a stop covers.
    fn in_turn(&mut self, now: Millis) -> Vec<Event> {
        let (line_now, checked_now) = (self.line_now(now), self.checked_now(now).seconds());
        let mut events = Vec::new();
        for answer in self.order.due(&self.reading, &self.timing(), line_now) {
            if answer.good_until >= checked_now && !self.reading.is_stopped(&answer) {
                events.push(Event::Answer(answer));
            }
        }
        events
    }
}

/// Which POST a reply belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// One POST.
pub struct Post {
    /// To be handed back with the reply.
    pub ticket: Ticket,
    /// The body.
    pub bytes: Box<[u8; UP_POST_LEN]>,
}

/// Every POST of a visit whose number leaves the last remainder by this goes to safeguarding.
/// Seven shares no factor with the usual counts of relays, so that every relay carries some.
const SAFEGUARDING_POSTS: u64 = 7;

/// Whose clock a roster is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The relay's: a page has no other.
    Relays,
    /// The device's own, if it is within a day of the relay's.
    Own,
}

fn cells(bytes: &[u8], count: usize) -> Result<impl Iterator<Item = &[u8; DOWN_CELL_LEN]>, VisitError> {
    if bytes.len() != count * DOWN_CELL_LEN {
        return Err(VisitError::NotARelay);
    }
    Ok(bytes.chunks_exact(DOWN_CELL_LEN).filter_map(|cell| cell.try_into().ok()))
}

/// The value of a key in a list of few, made if it is not there. A map would cost the page ten times the code.
fn entry<K: PartialEq, V>(list: &mut Vec<(K, V)>, key: K, make: impl FnOnce() -> V) -> &mut V {
    let at = list.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
        list.push((key, make()));
        list.len() - 1
    });
    &mut list.get_mut(at).expect("found or pushed above").1
}

/// The id of an answer that was never shown: what `saw` holds when there is nothing to name.
const NOTHING_SEEN: AnswerId = [0; 8];
