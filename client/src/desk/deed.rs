//! What people do: find, claim, release, note, answer, stop. Each becomes an event of this device's chain.
use crate::desk::{
    Desk, DeskError, nickname,
    state::{Caller, ClaimEvent},
};
use porchlight_proto::{
    answer::Answer,
    event::{AnswerEvent, AnswerId, AnswerKind, Event, HandOver},
    letter::Session,
    limits::{ANSWER_LIFE_DEFAULT, ANSWER_LIFE_MAX, ANSWER_PART_LEN, MEETING_LIFE_MAX},
    line::{CallerId, DeviceId},
    parts::cut,
    phrase::Language,
    time::Seconds,
};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Seconds that a claim lasts unless it is renewed.
pub(super) const LEASE: u64 = 1800;
/// A shorter prefix of an id than this names nobody.
const ID_PREFIX_LEAST: usize = 4;

/// How many numbers a stop of everything leaves for what colleagues send in that moment, who have not heard of it: it covers those too.
const STOP_LEAVES: u64 = 16;

/// Why a text names no caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// No caller's id begins so, and nobody has that nickname.
    #[error("there is no such caller")]
    Nobody,
    /// More than one: their ids.
    #[error("more than one caller is meant; give more of the id")]
    Several(Vec<String>),
}

/// How a claim was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It was free.
    Yes,
    /// It was this device's already, and now lasts longer.
    Renewed,
    /// It was somebody else's.
    TakenOver,
}

/// An answer to be written.
#[derive(Default)]
pub struct AnswerPlan {
    /// The text, in any normal form; sent in NFC.
    pub text: Zeroizing<String>,
    /// Until when it is good; 14 days if not said.
    pub good_until: Option<Seconds>,
    /// Whether it names a place or a time: then it lives 48 hours at most.
    pub meeting: bool,
    /// Its language.
    pub language: Option<Language>,
    /// Answer although she asked not to be answered now.
    pub override_quiet: bool,
    /// Another line's card, as CBOR.
    pub introduction: Option<Vec<u8>>,
    /// The letter it answers: up to it her letters wait no longer. If it is not said, or none of hers, the newest that a worker has
    /// been shown; if none has been, her newest.
    pub replies_to: Option<(Session, u16)>,
}

/// Silent: what people write stays out of logs.
impl std::fmt::Debug for AnswerPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AnswerPlan")
    }
}

/// What makes an answer this one and no other: two that share it, and their words, are one to the team and to her.
pub(super) struct Identity {
    pub(super) id: AnswerId,
    pub(super) n: u64,
    pub(super) written: Seconds,
}

/// An answer on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Its id.
    pub id: AnswerId,
    /// How many cells it takes.
    pub parts: u8,
    /// Whether it goes to the page that is open now; else it waits for her on the carousel.
    pub live: bool,
    /// Who else has claimed her, if somebody has: both are told before more is written.
    pub claimed_by: Option<DeviceId>,
}

/// A claim as it stands.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) device: DeviceId,
    pub(super) since: u64,
    pub(super) until: u64,
    pub(super) reason: String,
}

/// A hand-over in five lines. Those that say nothing are empty.
#[derive(Clone, Default)]
pub struct HandOverPlan {
    /// To which device; nobody for whoever is on call.
    pub to: Option<DeviceId>,
    /// How things stand.
    pub situation: String,
    /// What we have promised her.
    pub promised_by_us: String,
    /// What she has promised.
    pub promised_by_her: String,
    /// What could go wrong.
    pub risk: String,
    /// What is to be done next, and by whom.
    pub next_step: String,
}

/// Silent: what people write stays out of logs.
impl std::fmt::Debug for HandOverPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HandOverPlan")
    }
}

impl Caller {
    /// The hand-over that counts: the last in the merged order.
    pub(super) fn handed_over(&self) -> Option<(super::state::Place, super::state::HandedOver)> {
        self.hand_overs.iter().next_back().map(|(place, over)| (*place, *over))
    }

    /// Whether the acceptance at this place takes her: it names the hand-over that counted then, and is the first that does.
    fn accepts(&self, at: super::state::Place, over: (DeviceId, u64)) -> bool {
        let newest = self.hand_overs.range(..at).next_back();
        let names = newest.is_some_and(|(place, _)| (place.1, place.2) == over);
        let earlier = |event: &ClaimEvent| matches!(event, ClaimEvent::Accept { over: other, .. } if *other == over);
        names && !self.claims.range(..at).any(|(_, event)| earlier(event))
    }

    /// Who accepted the hand-over at this place, and when.
    pub(super) fn accepted(&self, place: super::state::Place) -> Option<(DeviceId, u64)> {
        self.claims.iter().find_map(|(at, event)| match event {
            ClaimEvent::Accept { device, time, over } if *over == (place.1, place.2) && self.accepts(*at, *over) => {
                Some((*device, *time))
            }
            _ => None,
        })
    }

    /// The claim that stands, from the events in their merged order: the first wins, unless it has lapsed or a reason is given.
    pub(super) fn standing(&self) -> Option<Standing> {
        let mut standing: Option<Standing> = None;
        for (place, event) in &self.claims {
            match event {
                ClaimEvent::Accept { device, time, over } if self.accepts(*place, *over) => {
                    let until = time.saturating_add(LEASE);
                    standing = Some(Standing { device: *device, since: *time, until, reason: String::new() });
                }
                ClaimEvent::Accept { .. } => {}
                ClaimEvent::Release { device } => standing = standing.filter(|claim| claim.device != *device),
                ClaimEvent::Claim { device, time, lease, reason } => {
                    let until = time.saturating_add(u64::from(*lease));
                    let renews = standing.as_ref().is_some_and(|claim| claim.device == *device && claim.until > *time);
                    let free = standing.as_ref().is_none_or(|claim| claim.until <= *time) || !reason.is_empty();
                    if let Some(claim) = standing.as_mut().filter(|_| renews) {
                        claim.until = until.max(claim.until);
                    } else if free {
                        standing = Some(Standing { device: *device, since: *time, until, reason: reason.clone() });
                    }
                }
            }
        }
        standing
    }
}

impl Desk {
    /// The caller meant by the beginning of an id (at least four hex digits) or a nickname; of several who share a row, the one
    /// who wrote last.
    ///
    /// # Errors
    ///
    /// [`FindError::Nobody`]; [`FindError::Several`].
    pub fn find(&self, text: &str) -> Result<CallerId, FindError> {
        let caller = self.find_one(text)?;
        Ok(self.state.head(&self.state.groups().of(caller)).unwrap_or(caller))
    }

    /// The caller meant, even if her row is now another's.
    ///
    /// # Errors
    ///
    /// [`FindError::Nobody`]; [`FindError::Several`].
    pub fn find_one(&self, text: &str) -> Result<CallerId, FindError> {
        let text = text.trim().to_lowercase();
        let whole = data_encoding::HEXLOWER.decode(text.as_bytes()).ok().and_then(|id| id.try_into().ok()).map(CallerId);
        if let Some(caller) = whole.filter(|caller| self.row(*caller).is_ok()) {
            return Ok(caller);
        }
        let rows = self.state.callers.iter().filter(|(_, entry)| entry.has_row());
        let by_id = text.len() >= ID_PREFIX_LEAST;
        let meant =
            |caller: &CallerId| by_id && super::line::hex(&caller.0).starts_with(&text) || nickname::nickname(caller) == text;
        let mut found: Vec<CallerId> = rows.map(|(caller, _)| *caller).filter(meant).collect();
        found.sort_unstable();
        match found.as_slice() {
            [] => Err(FindError::Nobody),
            [caller] => Ok(*caller),
            several => Err(FindError::Several(several.iter().map(|caller| super::line::hex(&caller.0)).collect())),
        }
    }

    pub(super) fn row(&self, caller: CallerId) -> Result<&Caller, DeskError> {
        self.state.callers.get(&caller).filter(|entry| entry.has_row()).ok_or(DeskError::NoSuchCaller)
    }

    /// Claims a caller for this device: 30 minutes, or the lease given. A claim of one's own is renewed.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchCaller`]; [`DeskError::HeldBy`] if somebody else's claim stands and no reason is given.
    pub fn claim(
        &mut self,
        caller: CallerId,
        lease: Option<Seconds>,
        reason: Option<&str>,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Claimed, DeskError> {
        let me = self.line()?.device;
        let standing = self.row(caller)?.standing().filter(|claim| claim.until > now.0);
        let claimed = match &standing {
            None => Claimed::Yes,
            Some(claim) if claim.device == me => Claimed::Renewed,
            Some(_) if reason.is_some_and(|reason| !reason.trim().is_empty()) => Claimed::TakenOver,
            Some(claim) => return Err(DeskError::HeldBy { device: claim.device, until: Seconds(claim.until) }),
        };
        let lease = u32::try_from(lease.map_or(LEASE, |lease| lease.0)).unwrap_or(u32::MAX);
        let reason = reason.filter(|_| claimed == Claimed::TakenOver).unwrap_or_default().to_owned();
        self.tell(&Event::Claim { caller, lease, reason }, now, rng)?;
        Ok(claimed)
    }

    /// Everybody who shares this caller's row, herself with them.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchCaller`].
    pub fn members(&self, caller: CallerId) -> Result<Vec<CallerId>, DeskError> {
        self.row(caller)?;
        Ok(self.state.groups().of(caller))
    }

    /// Lets a claim of this device go, also one that has lapsed. Without one nothing happens.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchCaller`].
    pub fn release(&mut self, caller: CallerId, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let me = self.line()?.device;
        self.row(caller)?;
        for member in self.state.groups().of(caller) {
            if self.row(member)?.standing().is_some_and(|claim| claim.device == me) {
                self.tell(&Event::Release { caller: member }, now, rng)?;
            }
        }
        Ok(())
    }

    /// Writes a note for the team.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchCaller`]; [`DeskError::Content`].
    pub fn note(&mut self, caller: CallerId, text: &str, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        self.row(caller)?;
        let text = porchlight_proto::letter::normal(text)?;
        if text.trim().is_empty() {
            return Err(porchlight_proto::letter::ContentError::Empty.into());
        }
        self.tell(&Event::Note { caller, text: text.to_string() }, now, rng)
    }

    /// Hands a caller over at the end of a shift. Whoever has claimed her keeps her until somebody accepts.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchCaller`]; [`DeskError::NoSuchDevice`] for one that is not of the team, or this one;
    /// [`DeskError::EmptyHandOver`]; [`DeskError::Content`] if the lines are too long together.
    pub fn hand_over(
        &mut self,
        caller: CallerId,
        plan: &HandOverPlan,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), DeskError> {
        self.row(caller)?;
        if plan.to.is_some_and(|to| !self.colleagues(now).contains(&to)) {
            return Err(DeskError::NoSuchDevice);
        }
        let line = |text: &str| porchlight_proto::letter::normal(text.trim()).map(|text| text.to_string());
        let over = HandOver {
            caller,
            to: plan.to.unwrap_or(DeviceId([0; 8])),
            situation: line(&plan.situation)?,
            promised_by_us: line(&plan.promised_by_us)?,
            promised_by_her: line(&plan.promised_by_her)?,
            risk: line(&plan.risk)?,
            next_step: line(&plan.next_step)?,
        };
        let lines = [&over.situation, &over.promised_by_us, &over.promised_by_her, &over.risk, &over.next_step];
        if lines.iter().all(|line| line.is_empty()) {
            return Err(DeskError::EmptyHandOver);
        }
        self.tell(&Event::HandOver(over), now, rng)
    }

    /// Accepts the last hand-over of a caller: from now on this device has her.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchCaller`]; [`DeskError::NotHandedOver`] if she was not handed over, or somebody has accepted.
    pub fn accept_hand_over(&mut self, caller: CallerId, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        self.row(caller)?;
        let waits = |member: &CallerId| {
            let entry = self.row(*member).ok()?;
            let (place, _) = entry.handed_over()?;
            entry.accepted(place).is_none().then_some((*member, place))
        };
        let waiting: Vec<_> = self.state.groups().of(caller).iter().filter_map(waits).collect();
        if waiting.is_empty() {
            return Err(DeskError::NotHandedOver);
        }
        for (caller, place) in waiting {
            self.tell(&Event::Accept { caller, device: place.1, seq: place.2 }, now, rng)?;
        }
        Ok(())
    }

    /// Writes an answer. It goes fast if her page is open, else round the carousel until she has seen it.
    ///
    /// # Errors
    ///
    /// In this order: [`DeskError::MeetingAlone`], [`DeskError::NoSuchCaller`], [`DeskError::NoSeat`], [`DeskError::Quiet`], [`DeskError::GoodUntilPast`],
    /// [`DeskError::GoodUntilTooFar`], [`DeskError::Unreachable`], [`DeskError::Content`].
    pub fn answer(
        &mut self,
        caller: CallerId,
        plan: &AnswerPlan,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Answered, DeskError> {
        if plan.meeting && !self.is_safeguarding() {
            return Err(DeskError::MeetingAlone);
        }
        self.answer_as(None, caller, plan, now, rng)
    }

    /// As [`Desk::answer`], as this answer, or as a new one; of words that a second worker has agreed to if they name a place or a time.
    pub(super) fn answer_as(
        &mut self,
        said: Option<Identity>,
        caller: CallerId,
        plan: &AnswerPlan,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Answered, DeskError> {
        let entry = self.row(caller)?;
        self.line()?.device_cert.seat.ok_or(DeskError::NoSeat)?;
        if entry.is_quiet() && !plan.override_quiet {
            return Err(DeskError::Quiet);
        }
        let good_until = good_until(plan, said.as_ref().map_or(now, |said| said.written), now)?;
        if !self.reachable(caller, now) {
            return Err(DeskError::Unreachable);
        }
        let said = said.unwrap_or_else(|| Identity { id: fresh_id(rng), n: self.next_n(caller), written: now });
        let content = Answer {
            n: said.n,
            text: plan.text.clone(),
            language: plan.language,
            meeting: plan.meeting,
            introduction: plan.introduction.clone(),
            written: said.written.0,
            stops: Vec::new(),
        }
        .to_cbor()?;
        if plan.text.is_empty() && plan.introduction.is_none() {
            return Err(porchlight_proto::letter::ContentError::Empty.into());
        }
        let parts = cut(&content, ANSWER_PART_LEN).ok_or(porchlight_proto::letter::ContentError::TooLong)?.len();
        let id = said.id;
        self.send(caller, (id, AnswerKind::Answer, content), (good_until, plan.replies_to), now, rng)?;
        let me = self.line()?.device;
        let claim = self.row(caller)?.standing().filter(|claim| claim.until > now.0 && claim.device != me);
        Ok(Answered {
            id,
            parts: u8::try_from(parts).unwrap_or(32),
            live: self.is_live(caller, now.millis()),
            claimed_by: claim.map(|claim| claim.device),
        })
    }

    fn next_n(&self, caller: CallerId) -> u64 {
        self.answers_to(caller).map(|(_, answer)| answer.n).max().unwrap_or(0) + 1
    }

    /// "Please do not go. The plan has changed": stops every answer written to her before. It goes before everything else,
    /// on both tracks at once, and what it stops is not sent any more.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchCaller`], [`DeskError::NoSeat`], [`DeskError::Unreachable`].
    pub fn stop(
        &mut self,
        caller: CallerId,
        replies_to: Option<(Session, u16)>,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<AnswerId, DeskError> {
        self.stop_answers(caller, &[], replies_to, now, rng)
    }

    /// As [`Desk::stop`], in every room of her row where she can be reached: nobody can tell in which of them she reads what is stopped.
    /// Gives the stop that goes to where she is now, or else the last of the others.
    ///
    /// # Errors
    ///
    /// As [`Desk::stop`]; [`DeskError::Unreachable`] if she can be reached in none.
    pub fn stop_row(
        &mut self,
        caller: CallerId,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(CallerId, AnswerId), DeskError> {
        let others = self.members(caller)?.into_iter().filter(|member| *member != caller);
        let mut stopped = Err(DeskError::Unreachable);
        for room in others.chain([caller]) {
            match self.stop(room, None, now, rng) {
                Ok(id) => stopped = Ok((room, id)),
                Err(DeskError::Unreachable) => {}
                Err(error) => return Err(error),
            }
        }
        stopped
    }

    /// As [`Desk::stop`], for some answers only, at most 64; for all of them if none is named.
    ///
    /// # Errors
    ///
    /// As [`Desk::stop`], and [`DeskError::Content`] for more than 64.
    pub fn stop_answers(
        &mut self,
        caller: CallerId,
        stops: &[AnswerId],
        replies_to: Option<(Session, u16)>,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<AnswerId, DeskError> {
        self.row(caller)?;
        self.line()?.device_cert.seat.ok_or(DeskError::NoSeat)?;
        if !self.reachable(caller, now) {
            return Err(DeskError::Unreachable);
        }
        let n = self.next_n(caller) + if stops.is_empty() { STOP_LEAVES } else { 0 };
        let content = Answer { n, written: now.0, stops: stops.to_vec(), ..Answer::default() }.to_cbor()?;
        let id = fresh_id(rng);
        self.send(caller, (id, AnswerKind::Stop, content), (now.plus(ANSWER_LIFE_DEFAULT), replies_to), now, rng)?;
        Ok(id)
    }

    fn send(
        &mut self,
        caller: CallerId,
        (answer, kind, content): (AnswerId, AnswerKind, Vec<u8>),
        (good_until, replies_to): (Seconds, Option<(Session, u16)>),
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), DeskError> {
        let (session, seq) = self.answered_by(caller, replies_to)?.unwrap_or_default();
        let event = AnswerEvent { caller, answer, content, good_until: good_until.to_u32(), session, seq, kind, flags: 0 };
        self.tell(&Event::Answer(event), now, rng)
    }

    /// Which letter an answer written now answers. One that came while it was being written, and that nobody has read, goes on waiting.
    fn answered_by(&self, caller: CallerId, said: Option<(Session, u16)>) -> Result<Option<(Session, u16)>, DeskError> {
        let entry = self.row(caller)?;
        let named: Vec<(Session, u16)> = entry.in_order().into_iter().map(|(_, session, seq)| (session, seq)).collect();
        let shown = named.iter().rev().find(|named| entry.shown.contains_key(*named));
        Ok(said.filter(|said| named.contains(said)).or(shown.copied()).or(named.last().copied()))
    }

    /// Takes back an answer to anybody of this caller's row: it is not sent any more. What has been read cannot be taken back.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchAnswer`].
    pub fn take_back(
        &mut self,
        caller: CallerId,
        answer: AnswerId,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), DeskError> {
        let row = self.state.groups().of(caller);
        let known = self.state.answers.get(&answer).filter(|known| row.contains(&known.caller)).ok_or(DeskError::NoSuchAnswer)?;
        self.tell(&Event::StopSending { caller: known.caller, answer }, now, rng)
    }

    /// Notes that a worker has seen her letters: from now on they cannot be taken back.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchCaller`].
    pub fn mark_shown(&mut self, caller: CallerId, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        self.row(caller)?;
        if self.may_speak(now).is_err() {
            // Nothing can be told yet; she may still take back what was displayed.
            return Ok(());
        }
        for member in self.state.groups().of(caller) {
            self.mark_shown_of(member, now, rng)?;
        }
        Ok(())
    }

    fn mark_shown_of(&mut self, caller: CallerId, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let entry = self.row(caller)?;
        let asked = entry.asked_back();
        let unshown = entry.letters.iter().filter(|((_, session, seq), letter)| {
            let named = (*session, *seq);
            letter.content.is_some() && !entry.shown.contains_key(&named) && !asked.contains(&named)
        });
        let unshown: Vec<(Session, u16)> = unshown.map(|((_, session, seq), _)| (*session, *seq)).collect();
        for (session, seq) in unshown {
            self.tell(&Event::Shown { caller, session, seq }, now, rng)?;
        }
        Ok(())
    }

    pub(super) fn answers_to(&self, caller: CallerId) -> impl Iterator<Item = (&AnswerId, &super::state::AnswerEntry)> {
        let answers = self.state.callers.get(&caller).into_iter().flat_map(|entry| entry.answers.values());
        answers.filter_map(|id| Some((id, self.state.answers.get(id)?)))
    }
}

fn fresh_id(rng: &mut impl CryptoRng) -> AnswerId {
    let mut answer = [0; 8];
    while answer == [0; 8] {
        rng.fill_bytes(&mut answer);
    }
    answer
}

fn good_until(plan: &AnswerPlan, written: Seconds, now: Seconds) -> Result<Seconds, DeskError> {
    let longest = if plan.meeting { MEETING_LIFE_MAX } else { ANSWER_LIFE_MAX };
    let good_until = plan.good_until.unwrap_or_else(|| written.plus(ANSWER_LIFE_DEFAULT.min(longest)));
    if good_until <= now {
        return Err(DeskError::GoodUntilPast);
    }
    if good_until > written.plus(longest) {
        return Err(DeskError::GoodUntilTooFar);
    }
    Ok(good_until)
}
