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
use crate::cell::up::{LetterPart, Recipient};
use crate::event::AnswerId;
use crate::letter::{ContentError, Letter, Session};
use crate::limits::{CLOCK_SKEW_MAX, DOWN_CELL_LEN, FAST_TAG_WINDOW, UP_POST_LEN};
use crate::line::{LineId, Seat};
use crate::phrase::Stretched;
use crate::roster::{RosterError, SignedRoster, UncheckedRoster};
use crate::sign::{PublicKey, SecretKey};
use crate::stamp::StampFor;
use crate::time::{Millis, SLOTS_PER_DAY, Timing};
use alloc::{boxed::Box, vec::Vec};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

mod reading;
mod tags;
mod voice;

pub use reading::ShownAnswer;
use tags::TagTable;
use voice::{Outgoing, Voice};

/// What a visit has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Every part of the letter was taken by a relay: the first sign. Not delivered yet.
    InBox(u16),
    /// The desk holds the letter: the second sign.
    Receipt(u16),
    /// An answer, complete and signed by a seat.
    Answer(ShownAnswer),
    /// The letter was taken back before a person saw it.
    Withdrawn(u16),
    /// The letter had been shown before it could be taken back.
    TooLate(u16),
    /// The line says one of its few sentences to everyone.
    Bulletin(Code),
    /// The relay has a roster of this serial, newer than the visit's: fetch the notice again.
    NewRoster(u32),
    /// The relay has no room now; the part goes again at a later beat.
    Full,
    /// The relay asks for a stronger stamp; the part goes again.
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
    serial_seen: u32,
    relays: Vec<(u8, RelayState)>,
    bulletin: Option<Bulletin>,
    /// The line's clock minus the driver's, in milliseconds.
    clock_ahead_ms: i128,
    desk: Voice,
    safe: Voice,
    known: bool,
    stranger: SecretKey,
    stranger_reply: Zeroizing<[u8; 32]>,
    in_flight: Option<(To, Outgoing)>,
    stretched: Option<Stretched>,
    tables: Vec<(u8, TagTable)>,
    slow_unread: Vec<(u8, Box<[u8; DOWN_CELL_LEN]>)>,
    fast_seen: Vec<((u8, u8), u16)>,
    reading: reading::Reading,
}

impl Visit {
    /// Opens a visit to the line whose root key the card gave.
    #[must_use]
    pub fn open(root: PublicKey, rng: &mut impl CryptoRng) -> Self {
        let mut stranger_reply = Zeroizing::new([0; 32]);
        rng.fill_bytes(stranger_reply.as_mut_slice());
        Self {
            root,
            line: LineId::from_root(&root),
            roster: None,
            serial_seen: 0,
            relays: Vec::new(),
            bulletin: None,
            clock_ahead_ms: 0,
            desk: Voice::new(rng),
            safe: Voice::new(rng),
            known: false,
            stranger: SecretKey::generate(rng),
            stranger_reply,
            in_flight: None,
            stretched: None,
            tables: Vec::new(),
            slow_unread: Vec::new(),
            fast_seen: Vec::new(),
            reading: reading::Reading::default(),
        }
    }

    /// Takes a relay's notice. `now` is the driver's clock; `trusts_own_clock` is what a native client says, and a page does not.
    ///
    /// # Errors
    ///
    /// [`VisitError::NotARelay`], [`VisitError::Clock`], [`VisitError::NoRoster`], [`VisitError::Roster`], [`VisitError::RolledBack`], in this order.
    pub fn notice(&mut self, bytes: &[u8], now: Millis, clock: Clock) -> Result<Vec<Event>, VisitError> {
        let notice = Notice::parse(bytes).map_err(|_| VisitError::NotARelay)?;
        let line_now = match clock {
            Clock::Relays => notice.clock_ms,
            Clock::Own if notice.clock_ms.0.abs_diff(now.0) > CLOCK_SKEW_MAX * 1000 => {
                return Err(VisitError::Clock);
            }
            Clock::Own => now,
        };
        let roster = notice.roster.as_ref().ok_or(VisitError::NoRoster)?;
        let checked = UncheckedRoster::parse(roster.as_slice())?.check_signed(&self.root)?;
        if checked.serial() < self.serial_seen {
            return Err(VisitError::RolledBack);
        }
        let roster = checked.at(line_now.seconds())?;
        self.serial_seen = roster.serial();
        // Slots are counted by the relay's clock, whichever clock the roster was held against.
        self.clock_ahead_ms = i128::from(notice.clock_ms.0) - i128::from(now.0);
        let state = RelayState { stamp_salt: notice.stamp_salt, up_epoch: notice.up_epoch, difficulty: notice.difficulty };
        *entry(&mut self.relays, notice.relay_no, RelayState::default) = state;
        let bulletin = Bulletin::check(&notice.bulletin, &roster, line_now.seconds()).ok().flatten();
        self.take_roster((*roster).clone());
        let news = bulletin.filter(|bulletin| self.bulletin != Some(*bulletin));
        self.bulletin = bulletin;
        Ok(news.map(|bulletin| Event::Bulletin(bulletin.code)).into_iter().collect())
    }

    fn take_roster(&mut self, roster: SignedRoster) {
        let moved = self.roster.as_ref().is_some_and(|old| old.week() != roster.week() || old.timing() != roster.timing());
        if moved {
            self.tables.clear();
        }
        if let Some(stretched) = &self.stretched {
            self.desk.reply_key = stretched.reply_key(roster.week());
            self.safe.reply_key = stretched.safe_reply_key(roster.week());
        }
        self.roster = Some(roster);
    }

    /// The roster in force, once a notice was taken.
    #[must_use]
    pub const fn roster(&self) -> Option<&SignedRoster> {
        self.roster.as_ref()
    }
    /// The bulletin that stands.
    #[must_use]
    pub fn bulletin(&self) -> Option<Code> {
        self.bulletin.map(|bulletin| bulletin.code)
    }
    /// The line's pace; production's before the first notice.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.roster.as_ref().map_or(Timing::PRODUCTION, SignedRoster::timing)
    }
    /// The line's clock at the driver's `now`.
    #[must_use]
    pub fn line_now(&self, now: Millis) -> Millis {
        Millis(u64::try_from(i128::from(now.0) + self.clock_ahead_ms).unwrap_or(0))
    }
    /// The days of the slow track to fetch, newest first.
    #[must_use]
    pub fn days(&self, now: Millis) -> Vec<u32> {
        let timing = self.timing();
        let today = timing.day(self.line_now(now));
        (0..u32::from(timing.slow_days)).filter_map(|back| today.checked_sub(back)).collect()
    }
    /// The id of this visit as the desk sees it.
    #[must_use]
    pub const fn session(&self) -> &Session {
        &self.desk.session
    }

    /// Learns who she is. From now on dummies carry her keys too, and what was fetched before is read.
    pub fn know(&mut self, stretched: Stretched, now: Millis) -> Vec<Event> {
        let week = self.roster.as_ref().map_or(0, SignedRoster::week);
        self.desk.know(stretched.sign_key(), stretched.reply_key(week), &self.line);
        self.safe.know(stretched.safe_sign_key(), stretched.safe_reply_key(week), &self.line);
        self.stretched = Some(stretched);
        self.known = true;
        let unread = core::mem::take(&mut self.slow_unread);
        unread.into_iter().flat_map(|(relay, cell)| self.read_slow(relay, &cell, now)).collect()
    }

    /// Takes a letter to send, and gives its number in the visit.
    ///
    /// # Errors
    ///
    /// [`VisitError::NoPhrase`] before [`Self::know`]; [`VisitError::Content`] if it is empty or too long.
    pub fn write(&mut self, letter: &Letter, to: To, now: Millis) -> Result<u16, VisitError> {
        if !self.known {
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
    /// Whether every answer shown has been named to the desk in a cell that a relay took.
    #[must_use]
    pub fn all_named(&self) -> bool {
        self.desk.all_named() && self.safe.all_named()
    }

    /// The bytes of this beat's POST to relay `relay_no`: the next unposted part, else the next part of the oldest
    /// letter without a receipt, else a dummy. All three are sealed by one function.
    ///
    /// # Errors
    ///
    /// [`VisitError::NoRoster`] before the first notice of this relay.
    pub fn beat(&mut self, relay_no: u8, now: Millis, rng: &mut impl CryptoRng) -> Result<Box<[u8; UP_POST_LEN]>, VisitError> {
        let line_now = self.line_now(now);
        let roster = self.roster.clone().ok_or(VisitError::NoRoster)?;
        let to = if !self.desk.has_work() && self.safe.has_work() { To::Safeguarding } else { To::Desk };
        let (outgoing, part) = self.voice(to).next(line_now.seconds(), rng);
        let (key, purpose) = match to {
            To::Desk => (roster.desk_key(), crate::seal::Use::Desk),
            To::Safeguarding => (roster.safe_key(), crate::seal::Use::Safeguarding),
        };
        let recipient = Recipient { line: &self.line, period: roster.period(), purpose, key };
        let voice = match to {
            To::Desk => &self.desk,
            To::Safeguarding => &self.safe,
        };
        let cell = match voice.signer() {
            Some(signer) => part.seal(&recipient, signer, rng),
            None => LetterPart { reply_key: self.stranger_reply.clone(), ..part }.seal(&recipient, &self.stranger, rng),
        };
        self.in_flight = Some((to, outgoing));
        let state =
            self.relays.iter().find(|(number, _)| *number == relay_no).map(|(_, state)| state).ok_or(VisitError::NoRoster)?;
        let stamp = StampFor::cell(cell.as_slice(), &state.stamp_salt, &self.line, state.up_epoch).mint(state.difficulty, rng);
        Ok(UpPost { stamp, cell }.to_bytes())
    }

    /// Takes the reply to the last beat's POST, or `None` if there was none: then the part waits for its turn again.
    ///
    /// # Errors
    ///
    /// [`VisitError::NotARelay`] if the bytes are no reply; the part counts as not posted.
    pub fn posted(&mut self, relay_no: u8, reply: Option<&[u8]>) -> Result<Vec<Event>, VisitError> {
        let Some((to, outgoing)) = self.in_flight.take() else {
            return Ok(Vec::new());
        };
        let Some(reply) = reply else {
            return Ok(Vec::new());
        };
        let reply = UpReply::parse(reply).map_err(|_| VisitError::NotARelay)?;
        if let Some((_, state)) = self.relays.iter_mut().find(|(number, _)| *number == relay_no) {
            state.difficulty = reply.difficulty.min(crate::limits::STAMP_BITS_MAX);
        }
        let mut events: Vec<Event> = match reply.outcome {
            UpOutcome::Stored => self.voice(to).posted(&outgoing).map(Event::InBox).into_iter().collect(),
            UpOutcome::Full => [Event::Full].into(),
            UpOutcome::Stamp => [Event::StampAsked].into(),
        };
        if reply.serial > self.serial_seen {
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
            if self.known {
                events.extend(self.read_slow(relay_no, cell, now));
            } else {
                self.slow_unread.push((relay_no, Box::new(*cell)));
            }
        }
        Ok(events)
    }

    /// Reads the newest two beats of relay `relay_no`.
    ///
    /// # Errors
    ///
    /// [`VisitError::NotARelay`] for another length than two beats have.
    pub fn fast(&mut self, relay_no: u8, bytes: &[u8], now: Millis) -> Result<Vec<Event>, VisitError> {
        let slots = 2 * usize::from(self.timing().fast_slots);
        let read: Vec<_> = cells(bytes, slots)?.collect();
        if !self.known {
            return Ok(Vec::new());
        }
        Ok(read.into_iter().flat_map(|cell| self.read_fast(relay_no, cell, now)).collect())
    }

    fn read_fast(&mut self, relay_no: u8, cell: &[u8; DOWN_CELL_LEN], now: Millis) -> Vec<Event> {
        let tag = down::tag(cell);
        let hit = Seat::all().find_map(|seat| {
            let seen = *entry(&mut self.fast_seen, (relay_no, seat.number()), u16::default);
            let tags = self.fast_tags(seat);
            // A cell read before lies below what was seen; its answer is known by its id.
            let from = seen.saturating_sub(FAST_TAG_WINDOW);
            (from..seen.saturating_add(FAST_TAG_WINDOW))
                .map(|i| Place { relay_no, seat, i })
                .find(|place| tags.tag(*place) == tag)
        });
        let Some(place) = hit else { return Vec::new() };
        let live_key = if place.seat.is_safeguarding() { self.safe.live_key.clone() } else { self.desk.live_key.clone() };
        let events = self.take_cell(cell, Track::Fast(&live_key), place, now);
        if events.is_some() {
            let seen = entry(&mut self.fast_seen, (relay_no, place.seat.number()), u16::default);
            *seen = (*seen).max(place.i.saturating_add(1));
        }
        events.unwrap_or_default()
    }

    fn fast_tags(&self, seat: Seat) -> down::Tags<'_> {
        let key = if seat.is_safeguarding() { &self.safe.live_key } else { &self.desk.live_key };
        down::Tags::of(Track::Fast(key), &self.line)
    }

    fn read_slow(&mut self, relay_no: u8, cell: &[u8; DOWN_CELL_LEN], now: Millis) -> Vec<Event> {
        if cell.iter().all(|b| *b == 0) {
            return Vec::new();
        }
        let line_now = self.line_now(now);
        let (Some(stretched), Some(roster)) = (&self.stretched, &self.roster) else {
            return Vec::new();
        };
        let today = roster.timing().day(line_now);
        let table = entry(&mut self.tables, relay_no, TagTable::empty);
        if !table.covers(today) {
            *table = TagTable::build(stretched, relay_no, roster, today);
        }
        let Some(hit) = table.find(&down::tag(cell)) else {
            return Vec::new();
        };
        let reply_key =
            if hit.place.seat.is_safeguarding() { stretched.safe_reply_key(hit.week) } else { stretched.reply_key(hit.week) };
        self.take_cell(cell, Track::Slow(&reply_key, hit.day), hit.place, now).unwrap_or_default()
    }

    /// Opens a cell and takes it in; `None` if it is not to be believed.
    fn take_cell(&mut self, cell: &[u8; DOWN_CELL_LEN], track: Track<'_>, place: Place, now: Millis) -> Option<Vec<Event>> {
        let line_now = self.line_now(now).seconds();
        let roster = self.roster.as_ref()?;
        let to = if place.seat.is_safeguarding() { To::Safeguarding } else { To::Desk };
        let voice = match to {
            To::Desk => &mut self.desk,
            To::Safeguarding => &mut self.safe,
        };
        let reader = Reader { caller: voice.caller.as_ref()?, roster, now: line_now };
        let part = down::open(cell, (track, place), &reader).ok()?;
        let mut events: Vec<Event> = voice.receipted(&part.have).into_iter().map(Event::Receipt).collect();
        let (session, seq) = part.answers;
        if session == voice.session && voice.told(seq, part.withdrawal) {
            events.push(if part.withdrawal.done { Event::Withdrawn(seq) } else { Event::TooLate(seq) });
        }
        if part.kind != Kind::Receipt
            && let Some(answer) = self.reading.take(place.seat, &part)
        {
            voice.show(answer.answer);
            events.push(Event::Answer(answer));
        } else if part.kind != Kind::Receipt && self.reading.was_shown(&part.answer) {
            // Sent again although it was shown: the desk has not heard of it yet.
            voice.name_again(&part.answer);
        }
        Some(events)
    }
}

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
