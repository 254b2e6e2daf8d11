//! What the team knows of a caller beyond her letters: how it knows her, what to ask if she has lost her words, what she asked for
//! in case she is late, which room is her duress room; and who is writing to her now (SPEC §8.4, types 18 and 21 to 24).
use crate::desk::{
    Desk, DeskError,
    line::hex,
    state::{Caller, Place},
};
use porchlight_proto::{
    event::{Event, How},
    letter::normal,
    line::{CallerId, DeviceId},
    time::Seconds,
};
use rand_core::CryptoRng;
use serde::Serialize;
use std::collections::BTreeMap;

/// Seconds for which a worker counts as writing, unless that is said again.
const COMPOSING: u32 = 120;

/// Of each, the last event in the merged order.
#[derive(Default)]
pub(crate) struct Knowledge {
    known: Option<(Place, How, u32)>,
    question: Option<(Place, bool)>,
    wish: Option<(Place, bool)>,
    duress: Option<(Place, CallerId)>,
    composing: BTreeMap<DeviceId, (Place, u64)>,
}

impl Knowledge {
    /// Takes an event about her, if it is one of these.
    pub(crate) fn take(&mut self, event: &Event, place: Place, time: u64) {
        match event {
            Event::Known { how, day, .. } => later(&mut self.known, (place, *how, *day), |(at, ..)| *at),
            Event::Question { question, .. } => later(&mut self.question, (place, !question.is_empty()), |(at, _)| *at),
            Event::Wish { text, .. } => later(&mut self.wish, (place, !text.is_empty()), |(at, _)| *at),
            Event::Duress { of, .. } => later(&mut self.duress, (place, *of), |(at, _)| *at),
            Event::Composing { lease, .. } => {
                self.composing.insert(place.1, (place, time.saturating_add(u64::from(*lease))));
            }
            _ => {}
        }
    }
    /// A device that has answered is not writing any more.
    pub(crate) fn answered(&mut self, device: DeviceId) {
        self.composing.remove(&device);
    }
    /// Forgets what came before this place.
    pub(crate) fn forget_upto(&mut self, upto: Place) {
        self.known.take_if(|(at, ..)| *at <= upto);
        self.question.take_if(|(at, _)| *at <= upto);
        self.wish.take_if(|(at, _)| *at <= upto);
        self.duress.take_if(|(at, _)| *at <= upto);
        self.composing.retain(|_, (at, _)| *at > upto);
    }
    /// Whether she asked for something in case her sign is late.
    pub(crate) fn wishes(&self) -> bool {
        self.wish.is_some_and(|(_, said)| said)
    }
    /// Whose duress room this is.
    pub(crate) fn duress_of(&self) -> Option<CallerId> {
        self.duress.map(|(_, of)| of).filter(|of| of.0 != [0; 16])
    }
    pub(crate) fn how(&self) -> How {
        self.known.map_or(How::Unknown, |(_, how, _)| how)
    }
    /// Who is writing to her now.
    pub(crate) fn composing(&self, now: Seconds) -> impl Iterator<Item = (DeviceId, u64)> {
        self.composing.iter().filter(move |(_, (_, until))| *until > now.0).map(|(device, (_, until))| (*device, *until))
    }
}

fn later<T>(known: &mut Option<T>, new: T, place: impl Fn(&T) -> Place) {
    if known.as_ref().is_none_or(|known| place(known) < place(&new)) {
        *known = Some(new);
    }
}

/// What the team knows of a caller, with its words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Person {
    /// How the team knows her: `unknown`, `introduced` or `verified`.
    pub how: &'static str,
    /// By whom, or by what.
    pub known_by: String,
    /// Since which day, counted from 1970.
    pub known_since: Option<u32>,
    /// What to ask somebody who says that she has lost her words.
    pub question: Option<String>,
    /// What she answers.
    pub answer: Option<String>,
    /// What she asked the team to do if her sign is late.
    pub wish: Option<String>,
}

/// A worker who is writing to her now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct ComposingView {
    /// Which device, in hex.
    pub device: String,
    /// Until when that holds unless it is said again.
    pub until: u64,
    /// Whether it is this device. Not in its JSON: boards are equal everywhere.
    #[serde(skip)]
    pub mine: bool,
}

pub(super) const fn how_name(how: How) -> &'static str {
    match how {
        How::Unknown => "unknown",
        How::Introduced => "introduced",
        How::Verified => "verified",
    }
}

impl Desk {
    /// Tells the team that somebody at this device is writing to her, for two minutes; call it again while that goes on. Gives the
    /// colleagues who are writing to her as well: both see it before either sends.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchCaller`].
    pub fn compose(&mut self, caller: CallerId, now: Seconds, rng: &mut impl CryptoRng) -> Result<Vec<DeviceId>, DeskError> {
        self.row(caller)?;
        let me = self.line()?.device;
        let mine = self.row(caller)?.knowledge.composing(now).find(|(device, _)| *device == me);
        // Said again only when half of it is over: typing is not an event a letter.
        if mine.is_none_or(|(_, until)| until < now.0 + u64::from(COMPOSING / 2)) {
            self.tell(&Event::Composing { caller, lease: COMPOSING }, now, rng)?;
        }
        self.composing_others(caller, now)
    }

    /// Tells the team that nobody at this device is writing to her any more.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchCaller`].
    pub fn stop_composing(&mut self, caller: CallerId, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let me = self.line()?.device;
        if self.row(caller)?.knowledge.composing(now).any(|(device, _)| device == me) {
            self.tell(&Event::Composing { caller, lease: 0 }, now, rng)?;
        }
        Ok(())
    }

    /// The colleagues who are writing to her now.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchCaller`].
    pub fn composing_others(&self, caller: CallerId, now: Seconds) -> Result<Vec<DeviceId>, DeskError> {
        let (me, team) = (self.line()?.device, self.colleagues(now));
        let writing = self.row(caller)?.knowledge.composing(now).map(|(device, _)| device);
        Ok(writing.filter(|device| *device != me && team.contains(device)).collect())
    }

    pub(super) fn composing_views(&self, entry: &Caller, now: Seconds) -> Vec<ComposingView> {
        let me = self.state.line.as_ref().map(|line| line.device);
        let writing = entry.knowledge.composing(now).filter(|(device, _)| self.is_colleague(*device));
        writing.map(|(device, until)| ComposingView { device: hex(&device.0), until, mine: Some(device) == me }).collect()
    }

    /// Notes how the team knows her, since today.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchCaller`]; [`DeskError::Content`].
    pub fn set_known(
        &mut self,
        caller: CallerId,
        (how, by): (How, &str),
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), DeskError> {
        self.row(caller)?;
        let day = u32::try_from(now.0 / 86_400).unwrap_or(u32::MAX);
        self.tell(&Event::Known { caller, how, text: normal(by.trim())?.to_string(), day }, now, rng)
    }

    /// Notes the question that only she can answer. Both empty take it away.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchCaller`]; [`DeskError::Content`], also for one of the two without the other.
    pub fn set_question(
        &mut self,
        caller: CallerId,
        (question, answer): (&str, &str),
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), DeskError> {
        self.row(caller)?;
        let (question, answer) = (normal(question.trim())?.to_string(), normal(answer.trim())?.to_string());
        if question.is_empty() != answer.is_empty() {
            return Err(porchlight_proto::letter::ContentError::Empty.into());
        }
        self.tell(&Event::Question { caller, question, answer }, now, rng)
    }

    /// Notes what she asked the team to do if her sign is late; empty for nothing.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchCaller`]; [`DeskError::Content`].
    pub fn set_wish(&mut self, caller: CallerId, text: &str, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        self.row(caller)?;
        self.tell(&Event::Wish { caller, text: normal(text.trim())?.to_string() }, now, rng)
    }

    /// Marks a row as the room that another caller opens when somebody forces her to; or, with nobody, as no such room.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchCaller`]; [`DeskError::SameRow`] for a row that is its own.
    pub fn set_duress(
        &mut self,
        room: CallerId,
        of: Option<CallerId>,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), DeskError> {
        self.row(room)?;
        if let Some(of) = of {
            self.row(of)?;
            if of == room {
                return Err(DeskError::SameRow);
            }
        }
        self.tell(&Event::Duress { caller: room, of: of.unwrap_or(CallerId([0; 16])) }, now, rng)
    }

    /// What the team knows of everybody in a row: the newest of each.
    pub(super) fn person(&self, callers: &[CallerId]) -> Person {
        let knowledge: Vec<&Knowledge> =
            callers.iter().filter_map(|caller| self.state.callers.get(caller)).map(|entry| &entry.knowledge).collect();
        let known = knowledge.iter().filter_map(|knowledge| knowledge.known).max_by_key(|(place, ..)| *place);
        let event = |place: Option<Place>| place.and_then(|place| self.event_at(place.1, place.2));
        let newest = |of: fn(&Knowledge) -> Option<(Place, bool)>| {
            let all = knowledge.iter().filter_map(|knowledge| of(knowledge)).max();
            all.filter(|(_, said)| *said).map(|(place, _)| place)
        };
        let mut person = Person { how: how_name(known.map_or(How::Unknown, |(_, how, _)| how)), ..Person::default() };
        person.known_since = known.map(|(_, _, day)| day);
        if let Some(Event::Known { text, .. }) = event(known.map(|(place, ..)| place)) {
            person.known_by = text;
        }
        if let Some(Event::Question { question, answer, .. }) = event(newest(|knowledge| knowledge.question)) {
            (person.question, person.answer) = (Some(question), Some(answer));
        }
        if let Some(Event::Wish { text, .. }) = event(newest(|knowledge| knowledge.wish)) {
            person.wish = Some(text);
        }
        person
    }
}
