//! What no worker decides alone: proposals, and the word of a second device (SPEC §8.4, types 26 to 29).
//!
//! ```text
//!  propose ─▶ open ─┬─ agree by another device ──────────▶ carried
//!                   ├─ agree by anybody, a day later ────▶ carried, unless it is to forget her
//!                   ├─ object ─▶ objected: nobody agrees any more
//!                   └─ seven days ─▶ lapsed
//! ```
//!
//! *Carried* is never undone, in whatever order the events came: what was forgotten stays so. Rows that were joined can be parted.
use crate::desk::{
    Desk, DeskError,
    deed::Identity,
    line::hex,
    nickname::nickname,
    state::{Caller, Place, State},
};
use porchlight_proto::{
    answer::Answer,
    event::{Act, Event, Proposal, said_id},
    letter::Session,
    limits::MEETING_LIFE_MAX,
    line::{CallerId, DeviceId},
    time::Seconds,
};
use rand_core::CryptoRng;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Seconds after which one device may agree to its own proposal, so that a team of two does not jam at night.
pub(super) const ALONE_AFTER: u64 = 86_400;
/// Seconds after which a proposal that was not carried lapses.
pub(super) const LAPSES_AFTER: u64 = 7 * 86_400;
/// Seconds for which a hand-over's words are kept when two devices say so.
const HAND_OVER_KEPT: u64 = 180 * 86_400;

/// Names a proposal: the device that proposed, and which of its events that was.
pub type ProposalId = (DeviceId, u64);

/// A proposal, without its words.
pub(crate) struct Motion {
    pub(crate) place: Place,
    pub(crate) time: u64,
    pub(crate) caller: CallerId,
    pub(crate) act: Act,
    pub(crate) other: CallerId,
    /// Of the event, so that words on another history of that device do not count.
    pub(crate) hash: [u8; 32],
}

/// Somebody's word on a proposal.
#[derive(Clone, Copy)]
struct Word {
    device: DeviceId,
    time: u64,
    hash: [u8; 32],
}

/// Every proposal, and what was said of it.
#[derive(Default)]
pub(crate) struct Concord {
    motions: BTreeMap<ProposalId, Motion>,
    agreed: BTreeMap<ProposalId, BTreeMap<Place, Word>>,
    objected: BTreeMap<ProposalId, BTreeMap<Place, Word>>,
    parted: BTreeMap<(CallerId, CallerId), Place>,
    /// Of each caller, the proposals to forget her.
    forgets: HashMap<CallerId, Vec<ProposalId>>,
}

impl Concord {
    pub(crate) fn propose(&mut self, proposal: &Proposal, (place, time): (Place, u64), hash: [u8; 32]) {
        let Proposal { caller, act, other, .. } = *proposal;
        let id = (place.1, place.2);
        if self.motions.insert(id, Motion { place, time, caller, act, other, hash }).is_none() && act == Act::Forget {
            self.forgets.entry(caller).or_default().push(id);
        }
    }
    pub(crate) fn agree(&mut self, (by, seq, hash): (DeviceId, u64, [u8; 32]), place: Place, time: u64) {
        self.agreed.entry((by, seq)).or_default().insert(place, Word { device: place.1, time, hash });
    }
    pub(crate) fn object(&mut self, (by, seq, hash): (DeviceId, u64, [u8; 32]), place: Place, time: u64) {
        self.objected.entry((by, seq)).or_default().insert(place, Word { device: place.1, time, hash });
    }
    pub(crate) fn part(&mut self, one: CallerId, other: CallerId, place: Place) {
        let parted = self.parted.entry(pair(one, other)).or_insert(place);
        *parted = place.max(*parted);
    }
    pub(crate) fn motion(&self, id: &ProposalId) -> Option<&Motion> {
        self.motions.get(id)
    }

    /// The words that carry a proposal, in their merged order.
    fn carrying(&self, id: &ProposalId) -> impl DoubleEndedIterator<Item = (&Place, &Word)> {
        let motion = self.motions.get(id);
        let words = motion.and_then(|_| self.agreed.get(id)).into_iter().flatten();
        words.filter(move |(_, word)| {
            motion.is_some_and(|motion| {
                let second = word.device != id.0;
                // What was forgotten does not come back: that no device does alone, whatever times it states.
                let alone = motion.act != Act::Forget && word.time >= motion.time + ALONE_AFTER;
                word.hash == motion.hash && word.time <= motion.time + LAPSES_AFTER && (second || alone)
            })
        })
    }
    fn carried(&self, id: &ProposalId) -> Option<(DeviceId, u64)> {
        self.carried_at(id).map(|((_, device, _), time)| (device, time))
    }
    /// The place and the time of the word that carried a proposal.
    fn carried_at(&self, id: &ProposalId) -> Option<(Place, u64)> {
        self.carrying(id).next().map(|(place, word)| (*place, word.time))
    }
    fn objection(&self, id: &ProposalId) -> Option<(DeviceId, u64)> {
        let hash = self.motions.get(id)?.hash;
        let words = self.objected.get(id)?;
        words.values().find(|word| word.hash == hash).map(|word| (word.device, word.time))
    }

    /// Up to where in the merged order a caller is to be forgotten.
    pub(crate) fn forgotten_upto(&self, caller: CallerId) -> Option<Place> {
        let forgets = self.forgets.get(&caller).into_iter().flatten();
        forgets.filter_map(|id| self.carrying(id).next_back().map(|(place, _)| *place)).max()
    }

    /// Callers whom somebody has proposed to forget.
    pub(super) fn forgotten(&self) -> Vec<CallerId> {
        self.forgets.keys().copied().collect()
    }

    /// Pairs of rows that are shown as one.
    fn joins(&self) -> impl Iterator<Item = (CallerId, CallerId)> {
        self.motions.iter().filter_map(|(id, motion)| {
            let parted = self.parted.get(&pair(motion.caller, motion.other)).is_some_and(|parted| *parted > motion.place);
            let stands = motion.act == Act::Join && !parted && self.carried(id).is_some();
            stands.then_some((motion.caller, motion.other))
        })
    }

    /// The hand-overs of these callers are kept longer: up to where in the merged order.
    pub(super) fn kept_hand_overs(&self) -> impl Iterator<Item = (CallerId, Place)> {
        let keeps = self.motions.iter().filter(|(_, motion)| motion.act == Act::KeepHandOver);
        keeps.filter(|(id, _)| self.carried(id).is_some()).map(|(_, motion)| (motion.caller, motion.place))
    }
}

fn pair(one: CallerId, other: CallerId) -> (CallerId, CallerId) {
    (one.min(other), one.max(other))
}

/// Rows that are shown as one: of each caller in such a group, the others.
#[derive(Default)]
pub(crate) struct Groups(HashMap<CallerId, Vec<CallerId>>);

impl Groups {
    /// Everybody in this caller's row, in order of their ids; only herself if she was never joined.
    pub(crate) fn of(&self, caller: CallerId) -> Vec<CallerId> {
        self.0.get(&caller).cloned().unwrap_or_else(|| vec![caller])
    }
}

impl State {
    /// Which rows are shown as one.
    pub(crate) fn groups(&self) -> Groups {
        let has_row = |caller: &CallerId| self.callers.get(caller).is_some_and(Caller::has_row);
        let joins = self.concord.joins().filter(|(one, other)| has_row(one) && has_row(other));
        let mut groups: HashMap<CallerId, Vec<CallerId>> = HashMap::new();
        for (one, other) in joins {
            let mut members: BTreeSet<CallerId> = [one, other].into();
            members.extend([one, other].iter().filter_map(|caller| groups.get(caller)).flatten());
            let members: Vec<CallerId> = members.into_iter().collect();
            for member in &members {
                groups.insert(*member, members.clone());
            }
        }
        Groups(groups)
    }

    /// Of a row, the caller who wrote last: there she is now.
    pub(crate) fn head(&self, group: &[CallerId]) -> Option<CallerId> {
        group.iter().copied().max_by_key(|caller| (self.wrote(*caller), std::cmp::Reverse(*caller)))
    }

    /// When a caller wrote last.
    pub(crate) fn wrote(&self, caller: CallerId) -> Option<u64> {
        self.callers.get(&caller).and_then(|entry| entry.letters.keys().next_back()).map(|(time, ..)| *time)
    }
}

/// A proposal as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct ProposalView {
    /// By which device, in hex.
    pub by: String,
    /// Which of its events it is.
    pub seq: u64,
    /// About whom.
    pub caller: String,
    /// Her nickname.
    pub nickname: String,
    /// `join`, `fulfil`, `forget`, `keep_hand_over` or `say`.
    pub act: &'static str,
    /// With `join` the other row.
    pub other: Option<String>,
    /// That one's nickname.
    pub other_nickname: Option<String>,
    /// Why; with `say` the words.
    pub text: String,
    /// When it was proposed.
    pub time: u64,
    /// How it stands.
    pub state: ProposalState,
    /// Who carried it, or who objected.
    pub decided_by: Option<String>,
    /// When.
    pub decided: Option<u64>,
    /// From when the device that proposed may carry it alone; never, to forget a caller.
    pub alone_from: Option<u64>,
}

/// How a proposal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProposalState {
    /// Nobody has said anything.
    Open,
    /// Somebody objected: nobody agrees any more.
    Objected,
    /// It is done.
    Carried,
    /// Seven days passed.
    Lapsed,
}

pub(super) const fn act_name(act: Act) -> &'static str {
    match act {
        Act::Join => "join",
        Act::Fulfil => "fulfil",
        Act::Forget => "forget",
        Act::KeepHandOver => "keep_hand_over",
        Act::Say => "say",
    }
}

impl Desk {
    /// Proposes what two workers must want. Gives the proposal's name; to forget somebody whose row others share, each is proposed.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchCaller`] for somebody without a row; [`DeskError::SameRow`] to join a row with itself;
    /// [`DeskError::NothingAsked`] to fulfil a wish she did not make; [`DeskError::NotHandedOver`] to keep a hand-over there is
    /// none of; [`DeskError::Content`] for a text too long, or words to say that are empty.
    pub fn propose(&mut self, plan: &Proposal, now: Seconds, rng: &mut impl CryptoRng) -> Result<ProposalId, DeskError> {
        let entry = self.row(plan.caller)?;
        let text = porchlight_proto::letter::normal(plan.text.trim())?.to_string();
        match plan.act {
            Act::Join if self.state.groups().of(plan.caller).contains(&plan.other) => return Err(DeskError::SameRow),
            Act::Join => drop(self.row(plan.other)?),
            Act::Fulfil if !entry.knowledge.wishes() => return Err(DeskError::NothingAsked),
            Act::KeepHandOver if entry.hand_overs.is_empty() => return Err(DeskError::NotHandedOver),
            Act::Say if text.is_empty() => return Err(porchlight_proto::letter::ContentError::Empty.into()),
            Act::Fulfil | Act::KeepHandOver | Act::Say | Act::Forget => {}
        }
        let other = if plan.act == Act::Join { plan.other } else { CallerId([0; 16]) };
        // Whoever shares her row is she: all of it is forgotten, or nothing.
        let others = if plan.act == Act::Forget { self.state.groups().of(plan.caller) } else { Vec::new() };
        for caller in others.into_iter().filter(|caller| *caller != plan.caller).chain([plan.caller]) {
            self.tell(&Event::Propose(Proposal { caller, act: plan.act, other, text: text.clone() }), now, rng)?;
        }
        let me = self.line()?.device;
        Ok((me, self.state.log.get(&me).map_or(0, |log| log.len() as u64)))
    }

    /// Agrees to a proposal: with that it is carried, and with one to forget somebody those of whoever shares her row.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchProposal`]; [`DeskError::Decided`] if it was carried, objected to, or has lapsed;
    /// [`DeskError::NeedsSecond`] for this device's own within its first day, and to forget a caller at any time.
    pub fn agree(&mut self, id: ProposalId, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let motion = self.state.concord.motion(&id).ok_or(DeskError::NoSuchProposal)?;
        let (alone_from, caller) = (motion.time + ALONE_AFTER, motion.caller);
        let never_alone = motion.act == Act::Forget;
        if self.proposal_state(&id, now) != ProposalState::Open {
            return Err(DeskError::Decided);
        }
        if self.line()?.device == id.0 && (never_alone || now.0 < alone_from) {
            let alone_from = Some(Seconds(alone_from)).filter(|_| !never_alone);
            return Err(DeskError::NeedsSecond { alone_from });
        }
        let row = if never_alone { self.state.groups().of(caller) } else { vec![caller] };
        let same = |other: &ProposalId, motion: &Motion| {
            *other == id || never_alone && other.0 == id.0 && motion.act == Act::Forget && row.contains(&motion.caller)
        };
        let motions = self.state.concord.motions.iter().filter(|(other, motion)| same(other, motion));
        let open = motions.filter(|(other, _)| self.proposal_state(other, now) == ProposalState::Open);
        let open: Vec<_> = open.map(|(other, motion)| (*other, motion.hash)).collect();
        for ((device, seq), hash) in open {
            self.tell(&Event::Agree { device, seq, hash }, now, rng)?;
        }
        Ok(())
    }

    /// Objects to a proposal: no device that hears of it agrees any more.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchProposal`]; [`DeskError::Decided`].
    pub fn object(&mut self, id: ProposalId, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let hash = self.state.concord.motion(&id).ok_or(DeskError::NoSuchProposal)?.hash;
        if self.proposal_state(&id, now) != ProposalState::Open {
            return Err(DeskError::Decided);
        }
        self.tell(&Event::Object { device: id.0, seq: id.1, hash }, now, rng)
    }

    /// Takes a caller out of a row that several share. Nothing is lost by it, so one worker may.
    ///
    /// # Errors
    ///
    /// [`DeskError::NotOneRow`].
    pub fn part(&mut self, one: CallerId, leaving: CallerId, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        if one == leaving || !self.state.groups().of(one).contains(&leaving) {
            return Err(DeskError::NotOneRow);
        }
        let joins: BTreeSet<_> = self.state.concord.joins().map(|(a, b)| pair(a, b)).collect();
        for (caller, other) in joins.into_iter().filter(|(a, b)| *a == leaving || *b == leaving) {
            self.tell(&Event::Part { caller, other }, now, rng)?;
        }
        Ok(())
    }

    /// To whom the words of a carried `say` go, and the words, if they may be sent now.
    ///
    /// # Errors
    ///
    /// As [`Desk::say`], but for those of [`Desk::answer`].
    pub fn to_say(&self, id: ProposalId, now: Seconds) -> Result<(CallerId, String), DeskError> {
        let motion = self.state.concord.motion(&id).filter(|motion| motion.act == Act::Say).ok_or(DeskError::NoSuchProposal)?;
        let (caller, place, alone_from) = (motion.caller, motion.place, Some(Seconds(motion.time + ALONE_AFTER)));
        let Some((_, carried)) = self.state.concord.carried_at(&id) else {
            return Err(DeskError::NeedsSecond { alone_from });
        };
        let text = self.proposal_text(&id);
        if text.is_empty() {
            return Err(DeskError::NoSuchProposal);
        }
        // "Please do not go" was said since they were proposed: that was of these words too, whether or not who agreed knew of it.
        let stopped = self
            .state
            .callers
            .get(&caller)
            .is_some_and(|entry| entry.stops.iter().any(|(at, stop)| *at > place && stop.stops.is_empty()));
        if carried + MEETING_LIFE_MAX <= now.0 || stopped || self.was_said(caller, place, &text) {
            return Err(DeskError::Decided);
        }
        Ok((caller, text))
    }

    /// Sends the words of a carried `say`: an answer that names a place or a time. Once, and within two days of its being carried,
    /// when its life ends at the latest. Of the plan its reach and its life count; two devices that say the same words at once, neither
    /// knowing of the other, write one answer. Gives to whom.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchProposal`] if it is none, or its words are forgotten; [`DeskError::NeedsSecond`] before it is carried;
    /// [`DeskError::Decided`] if it was sent, if everything said to her was stopped since it was proposed, or if it is too old;
    /// those of [`Desk::answer`].
    pub fn say(
        &mut self,
        id: ProposalId,
        plan: super::AnswerPlan,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(CallerId, super::Answered), DeskError> {
        let (caller, text) = self.to_say(id, now)?;
        let identity = self.said_as(&id).ok_or(DeskError::NoSuchProposal)?;
        // It answers what the team had read when it was proposed, not what came since.
        let read = self.state.concord.motion(&id).and_then(|motion| self.read_before(caller, motion.place));
        let last = identity.written.plus(MEETING_LIFE_MAX);
        let plan = super::AnswerPlan {
            text: text.into(),
            meeting: true,
            good_until: plan.good_until.map(|until| until.min(last)),
            override_quiet: plan.override_quiet,
            replies_to: plan.replies_to.or(read),
            ..super::AnswerPlan::default()
        };
        self.answer_as(Some(identity), caller, &plan, now, rng).map(|answered| (caller, answered))
    }

    /// What the answer that says a carried proposal is to everybody: taken from the proposal and the word that carried it, so that it is
    /// the same at each device.
    fn said_as(&self, id: &ProposalId) -> Option<Identity> {
        let motion = self.state.concord.motion(id)?;
        let (agreed, carried) = self.state.concord.carried_at(id)?;
        let before = self.answers_to(motion.caller).filter(|(_, answer)| answer.place < agreed).map(|(_, answer)| answer.n);
        Some(Identity { id: said_id(&motion.hash), n: before.max().unwrap_or(0) + 1, written: Seconds(carried) })
    }

    fn read_before(&self, caller: CallerId, place: Place) -> Option<(Session, u16)> {
        let entry = self.state.callers.get(&caller)?;
        let mut named = entry.in_order().into_iter().map(|(_, session, seq)| (session, seq));
        named.rfind(|named| entry.shown.get(named).is_some_and(|shown| *shown < place))
    }

    /// Whether an answer with these words, that names a place or a time, was written after this place.
    fn was_said(&self, caller: CallerId, after: Place, text: &str) -> bool {
        let mut later = self.answers_to(caller).filter(|(_, answer)| answer.place > after);
        later.any(|(_, answer)| {
            let content = self.answer_content(answer).and_then(|content| Answer::parse(&content).ok());
            content.is_some_and(|content| content.meeting && content.text.as_str() == text)
        })
    }

    /// Every proposal that is open, or was decided within the last seven days; the newest first.
    #[must_use]
    pub fn proposals(&self, now: Seconds) -> Vec<ProposalView> {
        let mut views: Vec<(Place, ProposalView)> = Vec::new();
        for (id, motion) in &self.state.concord.motions {
            if motion.time + 2 * LAPSES_AFTER > now.0 && self.state.callers.get(&motion.caller).is_some_and(Caller::has_row) {
                views.push((motion.place, self.proposal_view(id, motion, now)));
            }
        }
        views.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
        views.into_iter().map(|(_, view)| view).collect()
    }

    /// The proposal meant by the device and number that a view gives.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchProposal`].
    pub fn find_proposal(&self, by: &str, seq: u64) -> Result<ProposalId, DeskError> {
        let device = self.find_device(by).map_err(|_| DeskError::NoSuchProposal)?;
        self.state.concord.motion(&(device, seq)).map(|_| (device, seq)).ok_or(DeskError::NoSuchProposal)
    }

    /// How many proposals about her are open.
    pub(super) fn open_proposals(&self, callers: &[CallerId], now: Seconds) -> usize {
        let motions = &self.state.concord.motions;
        let about = motions.iter().filter(|(_, motion)| callers.contains(&motion.caller));
        about.filter(|(id, _)| self.proposal_state(id, now) == ProposalState::Open).count()
    }

    fn proposal_state(&self, id: &ProposalId, now: Seconds) -> ProposalState {
        let concord = &self.state.concord;
        let over = concord.motion(id).is_some_and(|motion| motion.time + LAPSES_AFTER < now.0);
        match (concord.carried(id), concord.objection(id)) {
            (Some(_), _) => ProposalState::Carried,
            (None, Some(_)) => ProposalState::Objected,
            (None, None) if over => ProposalState::Lapsed,
            (None, None) => ProposalState::Open,
        }
    }

    fn proposal_view(&self, id: &ProposalId, motion: &Motion, now: Seconds) -> ProposalView {
        let concord = &self.state.concord;
        let decided = concord.carried(id).or_else(|| concord.objection(id));
        ProposalView {
            by: hex(&id.0.0),
            seq: id.1,
            caller: hex(&motion.caller.0),
            nickname: nickname(&motion.caller),
            act: act_name(motion.act),
            other: (motion.act == Act::Join).then(|| hex(&motion.other.0)),
            other_nickname: (motion.act == Act::Join).then(|| nickname(&motion.other)),
            text: self.proposal_text(id),
            time: motion.time,
            state: self.proposal_state(id, now),
            decided_by: decided.map(|(device, _)| hex(&device.0)),
            decided: decided.map(|(_, time)| time),
            alone_from: (motion.act != Act::Forget).then_some(motion.time + ALONE_AFTER),
        }
    }

    fn proposal_text(&self, (device, seq): &ProposalId) -> String {
        match self.event_at(*device, *seq) {
            Some(Event::Propose(proposal)) => proposal.text,
            _ => String::new(),
        }
    }

    /// The proposals about a row, for its thread.
    pub(super) fn proposals_about(&self, callers: &[CallerId], now: Seconds) -> Vec<ProposalView> {
        self.proposals(now).into_iter().filter(|view| callers.iter().any(|caller| hex(&caller.0) == view.caller)).collect()
    }

    /// The hand-overs whose words two devices want kept, and whether their time is over.
    pub(super) fn kept_hand_overs(&self, now: Seconds) -> Vec<(CallerId, ProposalId, bool)> {
        let mut kept = Vec::new();
        for (caller, upto) in self.state.concord.kept_hand_overs() {
            let entry = self.state.callers.get(&caller);
            let last = entry.and_then(|entry| entry.hand_overs.range(..upto).next_back());
            kept.extend(last.map(|(place, over)| (caller, (place.1, place.2), over.time + HAND_OVER_KEPT <= now.0)));
        }
        kept
    }
}
