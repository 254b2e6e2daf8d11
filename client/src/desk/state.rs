//! A desk's memory: everything its journal says, in the shape that questions are asked of it.
//!
//! [`State::apply`] takes one record; applying a journal from its beginning gives the state, and [`State::records`] gives a
//! short journal that yields the same state. Sets only grow and claims are folded in the merged order of events, so that
//! devices which hold the same events hold the same board, in whatever order those came.
use crate::desk::concord::Concord;
use crate::desk::crowd::{self, Crowd, MARKS_HALF, Marks};
use crate::desk::knowledge::Knowledge;
use crate::desk::record::{
    DeviceRecord, EventRecord, LetterRecord, LetterTrace, LineRecord, OutRecord, Pace, PartRecord, ReceiptRecord, Record,
    RelayRecord, ReplyRecord, Sealed,
};
use crate::desk::rota::{Shift, Shifts};
use crate::vault::{self, KeyName, Ring};
use porchlight_proto::{
    answer::Answer,
    cert::{DeskCert, DeviceCert, Role},
    event::{Act, Admitted, AnswerEvent, AnswerId, AnswerKind, Board, Event},
    have::Have,
    letter::{Letter, Session, Status},
    limits::LETTER_PART_LEN,
    line::{CallerId, DeviceId, LineId},
    phrase::Language,
    roster::{Rosters, SignedRoster, UncheckedRoster},
    seal::SealingKey,
    sign::PublicKey,
    time::{Millis, Seconds, Timing},
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use zeroize::Zeroizing;

/// The place of an event in the merged order: Lamport time, then device, then its count.
pub(crate) type Place = (u64, DeviceId, u64);
/// The place of a letter in a thread: time, visit, number.
pub(crate) type LetterPlace = (u64, Session, u16);

#[derive(Default)]
pub(crate) struct State {
    pub(crate) line: Option<Line>,
    pub(crate) rosters: Rosters,
    /// Generation, serial and hash of the newest roster.
    pub(crate) last_roster: Option<(u32, u32, [u8; 32])>,
    pub(crate) periods: BTreeMap<u32, Period>,
    pub(crate) relays: BTreeMap<u8, RelayRecord>,
    pub(crate) replayed: BTreeMap<u32, Marks>,
    pub(crate) callers: HashMap<CallerId, Caller>,
    pub(crate) crowd: Crowd,
    /// Callers of whom a letter found no room here, and since when: a colleague may have taken it.
    pub(crate) turned_away: BTreeMap<CallerId, u64>,
    /// Callers with a letter that asks for another one back.
    pub(crate) asking: BTreeSet<CallerId>,
    pub(crate) answers: BTreeMap<AnswerId, AnswerEntry>,
    pub(crate) devices: BTreeMap<DeviceId, Device>,
    pub(crate) log: BTreeMap<DeviceId, Vec<Logged>>,
    pub(crate) lamport: u64,
    pub(crate) direct_counts: BTreeMap<DeviceId, u64>,
    pub(crate) fast_counts: HashMap<([u8; 8], u8), (u16, u32)>,
    pub(crate) slow_counts: HashMap<(CallerId, u8), (u32, u16)>,
    pub(crate) doubt: Option<Doubt>,
    pub(crate) retention_days: Option<u32>,
    /// Where each answer was written first, also if that is forgotten. Two devices may write one that two workers agreed to.
    pub(crate) written_first: HashMap<(CallerId, AnswerId), Place>,
    /// Answers named as seen, taken back, and devices revoked: kept apart, because such an event may come before what it names.
    pub(crate) seen: BTreeSet<AnswerId>,
    pub(crate) stopped: BTreeSet<AnswerId>,
    pub(crate) revoked: BTreeSet<DeviceId>,
    /// Who has said that a device is no longer of the team.
    pub(crate) verdicts: BTreeMap<DeviceId, Verdict>,
    /// With which key each device says that it signs for its seat: the first in its chain, since a worker's never changes.
    pub(crate) seat_keys: BTreeMap<DeviceId, PublicKey>,
    /// Hashes of the rosters that have been told to the team.
    pub(crate) told_rosters: BTreeSet<[u8; 32]>,
    /// Desk secrets that have been sent: to whom, of which period, and their marks.
    pub(crate) told_secrets: BTreeSet<(DeviceId, u32, u32)>,
    /// Of each relay, the hashes of the rosters that it took from us.
    pub(crate) put: BTreeMap<u8, BTreeSet<[u8; 32]>>,
    /// Since when letters may have died unread, and when that was noticed.
    pub(crate) missed: Option<(u64, u64)>,
    /// Of each device, the last time it asked for the board; the board left for it, by whom; and the last asking of our own
    /// that was served.
    pub(crate) asks: BTreeMap<DeviceId, Ask>,
    pub(crate) boards: BTreeMap<DeviceId, (DeviceId, Board)>,
    pub(crate) served: u64,
    /// What two workers must want, the rota, and for how many days a lead has said that letters are kept.
    pub(crate) concord: Concord,
    pub(crate) shifts: Shifts,
    pub(crate) keep: Option<(Place, u32)>,
    /// Of each caller, the events about her that have words.
    pub(crate) worded: HashMap<CallerId, Vec<(DeviceId, u64)>>,
    /// Callers of whom something was forgotten that the journal still holds, and whose key is to be erased.
    pub(crate) to_erase: BTreeSet<CallerId>,
}

/// Who has said of one device that it is no longer of the team, where in the merged order and when.
pub(crate) type Verdict = BTreeMap<DeviceId, (Place, u64)>;

/// What a device asked for when it asked for the board.
pub(crate) struct Ask {
    pub(crate) seq: u64,
    pub(crate) time: u64,
    pub(crate) held: BTreeMap<DeviceId, u64>,
    pub(crate) since: u64,
}

/// The line, parsed.
pub(crate) struct Line {
    pub(crate) record: LineRecord,
    pub(crate) root: PublicKey,
    pub(crate) id: LineId,
    pub(crate) card: porchlight_proto::card::Card,
    pub(crate) desk_cert: DeskCert,
    pub(crate) device_cert: DeviceCert,
    pub(crate) device: DeviceId,
}

#[derive(Clone, Copy)]
pub(crate) struct Period {
    pub(crate) begins: u64,
    pub(crate) ends: u64,
    pub(crate) week: u32,
}

#[derive(Clone, Copy)]
pub(crate) struct Doubt {
    pub(crate) open: bool,
    pub(crate) since: u64,
}

pub(crate) struct Device {
    pub(crate) record: DeviceRecord,
    pub(crate) cert: DeviceCert,
    /// Of the desk key that vouches for it.
    pub(crate) generation: u32,
    pub(crate) sealing: Option<SealingKey>,
    /// Of each device, the highest event it has acknowledged.
    pub(crate) held: BTreeMap<DeviceId, u64>,
    /// Per life of a lane, the position up to which it has opened everything.
    pub(crate) opened: BTreeMap<u64, u64>,
    pub(crate) slots: Option<(Place, Vec<u8>)>,
}

impl Device {
    /// Which of two certificates of one device counts: the later generation, then a lead's, then the one that lives longer. So all
    /// come to the same, in whatever order they hear of them.
    fn rank(&self) -> (u32, bool, u64, &[u8]) {
        (self.generation, self.cert.role == Role::Lead, self.cert.not_after.0, self.cert.bytes())
    }
    fn acknowledge(&mut self, held: BTreeMap<DeviceId, u64>) {
        for (of, seq) in held {
            let highest = self.held.entry(of).or_default();
            *highest = seq.max(*highest);
        }
    }
}

/// An event of the chain, and how it was signed.
pub(crate) struct Logged {
    pub(crate) record: EventRecord,
    pub(crate) acknowledgement: bool,
}

#[derive(Default)]
pub(crate) struct Caller {
    pub(crate) reply: Option<(u32, Sealed)>,
    pub(crate) visits: BTreeMap<Session, Visit>,
    pub(crate) letters: BTreeMap<LetterPlace, LetterEntry>,
    pub(crate) waiting: BTreeMap<(Session, u16), Waiting>,
    pub(crate) claims: BTreeMap<Place, ClaimEvent>,
    pub(crate) notes: BTreeMap<Place, (u64, DeviceId)>,
    pub(crate) hand_overs: BTreeMap<Place, HandedOver>,
    /// Letters that a worker has displayed, each with the first event that says so.
    pub(crate) shown: BTreeMap<(Session, u16), Place>,
    pub(crate) withdrawals: BTreeMap<(Session, u16), u8>,
    pub(crate) answers: BTreeMap<Place, AnswerId>,
    /// Stops: their contents say which answers they cover, whichever comes first.
    pub(crate) stops: BTreeMap<Place, Answer>,
    pub(crate) knowledge: Knowledge,
    pub(crate) footprint: crowd::Footprint,
}

#[derive(Default)]
pub(crate) struct Visit {
    pub(crate) have: Have,
    pub(crate) receipt: ReceiptRecord,
    pub(crate) last_received: u64,
    /// Letters that were held and are forgotten: they are not taken again.
    pub(crate) gone: BTreeSet<u16>,
}

impl Visit {
    fn hold(&mut self, seq: u16) {
        self.have.insert(seq);
        // One that could not be named before those between were here can be now.
        for gone in &self.gone {
            self.have.insert(*gone);
        }
    }
}

pub(crate) struct LetterEntry {
    pub(crate) received: u64,
    /// Counts her letters as they came. Not in a record: the journal keeps them in this order.
    pub(crate) arrival: usize,
    pub(crate) content: Option<Sealed>,
    pub(crate) withdrawn: bool,
    pub(crate) readable: bool,
    pub(crate) gist: Gist,
    /// How many cells its content took when it came.
    pub(crate) cells: usize,
}

/// What the board needs of a letter without opening it again.
#[derive(Clone, Copy, Default)]
pub(crate) struct Gist {
    pub(crate) status: Option<Status>,
    pub(crate) next: Option<u64>,
    pub(crate) quiet: bool,
    pub(crate) relative: bool,
    pub(crate) language: Option<Language>,
    pub(crate) withdraw: Option<porchlight_proto::letter::Withdraw>,
    pub(crate) says_something: bool,
}

impl Gist {
    /// What stays of it when the letter's words are forgotten.
    pub(crate) fn trace(&self) -> LetterTrace {
        LetterTrace {
            status: self.status.map_or(0, Status::code),
            next: self.next,
            quiet: self.quiet,
            relative: self.relative,
            language: self.language.map(Language::code),
            says_something: self.says_something,
        }
    }
    fn of_trace(trace: &LetterTrace) -> Self {
        Self {
            status: Status::from_code(trace.status),
            next: trace.next,
            quiet: trace.quiet,
            relative: trace.relative,
            language: trace.language.and_then(Language::from_code),
            withdraw: None,
            says_something: trace.says_something,
        }
    }
}

pub(crate) struct Waiting {
    pub(crate) time: u64,
    pub(crate) received: u64,
    pub(crate) parts: Vec<Option<Sealed>>,
    /// When its last part came, in the crowd's own count.
    pub(crate) grew: u64,
}

impl Waiting {
    /// How many parts are here.
    pub(crate) fn count(&self) -> usize {
        self.parts.iter().flatten().count()
    }
}

#[derive(Clone)]
pub(crate) enum ClaimEvent {
    Claim {
        device: DeviceId,
        time: u64,
        lease: u32,
        reason: String,
    },
    Release {
        device: DeviceId,
    },
    /// Accepts the hand-over that is this event of that device.
    Accept {
        device: DeviceId,
        time: u64,
        over: (DeviceId, u64),
    },
}

/// A hand-over, without its words.
#[derive(Clone, Copy)]
pub(crate) struct HandedOver {
    pub(crate) time: u64,
    pub(crate) by: DeviceId,
    /// None for whoever is on call.
    pub(crate) to: Option<DeviceId>,
}

pub(crate) struct AnswerEntry {
    pub(crate) caller: CallerId,
    pub(crate) source: (DeviceId, u64),
    pub(crate) place: Place,
    pub(crate) written: u64,
    pub(crate) n: u64,
    pub(crate) parts: u8,
    pub(crate) good_until: u64,
    pub(crate) replies_to: (Session, u16),
    pub(crate) kind: AnswerKind,
    pub(crate) flags: u8,
    pub(crate) seen: bool,
    pub(crate) stopped: bool,
    pub(crate) out: BTreeMap<(u8, bool), OutRecord>,
}

impl AnswerEntry {
    /// Whether it only tells what became of a letter she took back.
    pub(crate) fn tells_withdrawal(&self) -> bool {
        self.flags != 0
    }
    pub(crate) fn is_over(&self, now: u64) -> bool {
        self.seen || self.stopped || now > self.good_until
    }
    /// Whether every part has been written to a slot on some track of some relay.
    pub(crate) fn with_the_relay(&self) -> bool {
        self.out.values().any(|out| self.is_whole(out))
    }
    /// Whether every part has been written to a slot of this track.
    pub(crate) fn is_whole(&self, out: &OutRecord) -> bool {
        let all = u32::MAX.checked_shr(32 - u32::from(self.parts.clamp(1, 32))).unwrap_or(u32::MAX);
        out.written & all == all
    }
    /// From when it can be read on the slow track, or on the fast one; the earliest of all relays.
    pub(crate) fn readable_from(&self, slow: bool) -> Option<Millis> {
        let whole = self.out.iter().filter(|((_, track), out)| *track == slow && self.is_whole(out));
        whole.filter_map(|(_, out)| out.readable_ms).min().map(Millis)
    }
}

pub(crate) fn timing(pace: &Pace) -> Timing {
    Timing {
        up_beat_ms: pace.up_beat_ms,
        beat_ms: pace.beat_ms,
        fast_slots: pace.fast_slots,
        slow_s: pace.slow_s,
        slow_days: pace.slow_days,
    }
}

pub(crate) fn pace(timing: &Timing) -> Pace {
    Pace {
        up_beat_ms: timing.up_beat_ms,
        beat_ms: timing.beat_ms,
        fast_slots: timing.fast_slots,
        slow_s: timing.slow_s,
        slow_days: timing.slow_days,
    }
}

/// What a sealed content is bound to, so that it cannot be moved to another place.
pub(crate) mod bound {
    pub(crate) fn letter(caller: &[u8; 16], session: &[u8; 8], seq: u16) -> Vec<u8> {
        [&b"letter"[..], caller, session, &seq.to_be_bytes()].concat()
    }
    pub(crate) fn part(caller: &[u8; 16], session: &[u8; 8], seq: u16, part: u8) -> Vec<u8> {
        [&b"part"[..], caller, session, &seq.to_be_bytes(), &[part]].concat()
    }
    pub(crate) fn reply(caller: &[u8; 16]) -> Vec<u8> {
        [&b"reply"[..], caller].concat()
    }
    pub(crate) fn event(device: &[u8; 32], seq: u64) -> Vec<u8> {
        [&b"event"[..], device, &seq.to_be_bytes()].concat()
    }
}

/// Opens what was sealed under a day's key; `None` once that day is forgotten.
pub(crate) fn unseal(ring: &Ring, aad: &[u8], sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
    vault::open(ring.key(sealed.under())?, aad, &sealed.bytes)
}

/// The UTC day since 1970.
pub(crate) fn day(now: Seconds) -> u32 {
    u32::try_from(now.0 / 86_400).unwrap_or(u32::MAX)
}

/// The key under which what is known of a caller is sealed: forgotten with her.
pub(crate) fn caller_key(caller: CallerId) -> KeyName {
    KeyName::Caller(caller.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)))
}

/// The body of an event as it was signed; `None` once its words are forgotten.
pub(crate) fn event_body(ring: &Ring, record: &EventRecord) -> Option<Zeroizing<Vec<u8>>> {
    match &record.words {
        Some(words) => unseal(ring, &bound::event(&record.device_pk, record.seq), words),
        None => Some(Zeroizing::new(record.trace.clone())),
    }
}

/// Whether the body of an event can still be read.
pub(crate) fn is_readable(ring: &Ring, record: &EventRecord) -> bool {
    let has_key = |words: &Sealed| !words.bytes.is_empty() && ring.key(words.under()).is_some();
    record.words.as_ref().is_none_or(has_key)
}

/// About which callers an event is: one, or two, or nobody.
pub(crate) fn about(event: &Event) -> Vec<CallerId> {
    match event {
        Event::Claim { caller, .. }
        | Event::Release { caller }
        | Event::Note { caller, .. }
        | Event::Shown { caller, .. }
        | Event::Seen { caller, .. }
        | Event::StopSending { caller, .. }
        | Event::Accept { caller, .. }
        | Event::Composing { caller, .. }
        | Event::Known { caller, .. }
        | Event::Question { caller, .. }
        | Event::Wish { caller, .. }
        | Event::Duress { caller, .. } => vec![*caller],
        Event::Answer(answer) => vec![answer.caller],
        Event::HandOver(over) => vec![over.caller],
        Event::Propose(proposal) if proposal.act == Act::Join => vec![proposal.caller, proposal.other],
        Event::Propose(proposal) => vec![proposal.caller],
        _ => Vec::new(),
    }
}

impl Line {
    fn parse(record: LineRecord) -> Option<Self> {
        let card = porchlight_proto::card::Card::parse_cbor(&record.card).ok()?;
        let (root, id) = (card.root, card.line());
        let desk_cert = DeskCert::check(&record.desk_cert, &root).ok()?;
        let device_cert = DeviceCert::check(&record.device_cert, &desk_cert.desk_pk, &id).ok()?;
        let device = device_cert.device(&id);
        Some(Self { record, root, id, card, desk_cert, device_cert, device })
    }
}

impl State {
    pub(crate) fn apply(&mut self, record: &Record, ring: &Ring) {
        match record {
            Record::Line(line) => self.line = Line::parse((**line).clone()).or_else(|| self.line.take()),
            Record::Roster(bytes) => self.apply_roster(bytes),
            Record::Relay(number, relay) => {
                self.relays.insert(*number, *relay);
            }
            Record::Replayed(period, hashes) => {
                let seen = self.replayed.entry(*period).or_default();
                for mark in hashes.chunks_exact(16).filter_map(|hash| <[u8; 16]>::try_from(hash).ok()) {
                    seen.insert(mark, MARKS_HALF);
                }
            }
            Record::Part(part) => self.apply_part(part),
            Record::Letter(letter) => self.apply_letter(letter, ring),
            Record::Reply(reply) => {
                self.caller(reply.caller).reply = Some((reply.week, reply.key.clone()));
                self.forget_again(CallerId(reply.caller));
            }
            Record::Event(event) => self.apply_event(event, ring),
            Record::Device(device) => self.apply_device(device),
            Record::RosterPut(relay, hash) => {
                self.put.entry(*relay).or_default().insert(*hash);
            }
            Record::Out(answer, relay, slow, out) => {
                if let Some(entry) = self.answers.get_mut(answer) {
                    entry.out.insert((*relay, *slow), *out);
                }
            }
            Record::FastCount(key, relay, next, day) => {
                self.fast_counts.insert((*key, *relay), (*next, *day));
            }
            Record::SlowCount(caller, relay, day, next) => {
                self.slow_counts.insert((CallerId(*caller), *relay), (*day, *next));
            }
            Record::DirectCount(recipient, next) => {
                self.direct_counts.insert(DeviceId(*recipient), *next);
            }
            Record::Doubt(open, since) => self.doubt = Some(Doubt { open: *open, since: *since }),
            Record::GaveUp(caller, session, seq) => self.drop_half(CallerId(*caller), (*session, *seq)),
            Record::Evicted(caller) => self.evict(CallerId(*caller)),
            Record::Promised(caller) => self.promise(CallerId(*caller)),
            Record::Retention(days) => self.retention_days = Some(*days),
            Record::SecretTold(device, period, mark) => {
                self.told_secrets.insert((DeviceId(*device), *period, *mark));
            }
            Record::PeriodForgotten(period) => {
                self.told_secrets.retain(|(_, of, _)| of != period);
                self.replayed.remove(period);
                self.periods.remove(period);
            }
            Record::TurnedAway(caller, since) => self.turn_away(CallerId(*caller), *since),
            Record::Missed(since, noticed) => {
                self.missed = Some(self.missed.map_or((*since, *noticed), |(s, n)| (s.min(*since), n.max(*noticed))));
            }
            Record::Served(ask, all) => {
                self.served = self.served.max(*ask);
                if *all {
                    self.missed = None;
                }
            }
            Record::Receipted(caller, session, receipt) => {
                self.caller(*caller).visits.entry(*session).or_default().receipt = *receipt;
            }
            Record::Gone(caller, session, gone) => {
                let visit = self.caller(*caller).visits.entry(*session).or_default();
                visit.gone.extend(gone);
                gone.iter().for_each(|seq| visit.hold(*seq));
            }
            Record::Words(device, seq, words) => self.apply_words((DeviceId(*device), *seq), words.clone()),
        }
    }

    pub(crate) fn caller(&mut self, caller: [u8; 16]) -> &mut Caller {
        self.callers.entry(CallerId(caller)).or_default()
    }

    fn apply_roster(&mut self, bytes: &[u8]) {
        let Some(line) = &self.line else { return };
        let Ok(roster) = UncheckedRoster::parse(bytes).and_then(|roster| roster.check_signed(&line.root)) else { return };
        let (period, hash) = (roster.period(), roster.hash());
        let span = Period { begins: roster.not_before().0, ends: roster.not_after().0, week: roster.week() };
        let newer = |(generation, serial, known): (u32, u32, [u8; 32])| {
            (generation, serial, core::cmp::Reverse(known)) < (roster.generation(), roster.serial(), core::cmp::Reverse(hash))
        };
        if self.last_roster.is_none_or(newer) {
            self.last_roster = Some((roster.generation(), roster.serial(), hash));
        }
        // It was held against the clock before it became a record. One that a newer roster has voided is simply not kept.
        let begins = roster.not_before();
        let kept = self.rosters.insert(roster, begins).is_ok();
        if kept && self.chosen(period).is_some_and(|chosen| chosen.hash() == hash) || !self.periods.contains_key(&period) {
            self.periods.insert(period, span);
        }
    }

    /// Of the rosters kept of one period the one that wins.
    pub(crate) fn chosen(&self, period: u32) -> Option<&SignedRoster> {
        let of_period = self.rosters.iter().filter(|roster| roster.period() == period);
        of_period.min_by_key(|roster| (core::cmp::Reverse((roster.generation(), roster.serial())), roster.hash()))
    }

    fn apply_part(&mut self, part: &PartRecord) {
        let waiting = self.caller(part.caller).waiting.entry((part.session, part.seq)).or_insert_with(|| Waiting {
            time: part.time,
            received: part.received,
            parts: vec![None; usize::from(part.parts)],
            grew: 0,
        });
        if let Some(place) = waiting.parts.get_mut(usize::from(part.part)).filter(|place| place.is_none()) {
            *place = Some(part.content.clone());
            self.half_grew(CallerId(part.caller), (part.session, part.seq));
        }
        self.forget_again(CallerId(part.caller));
    }

    fn apply_letter(&mut self, letter: &LetterRecord, ring: &Ring) {
        let aad = bound::letter(&letter.caller, &letter.session, letter.seq);
        let parsed =
            letter.content.as_ref().and_then(|content| unseal(ring, &aad, content)).map(|content| Letter::parse(&content));
        self.drop_half(CallerId(letter.caller), (letter.session, letter.seq));
        let caller = self.caller(letter.caller);
        let visit = caller.visits.entry(letter.session).or_default();
        visit.hold(letter.seq);
        visit.last_received = visit.last_received.max(letter.received);
        let withdrawn =
            letter.withdrawn || caller.withdrawals.get(&(letter.session, letter.seq)).is_some_and(|flags| flags & 1 != 0);
        let place = (letter.time, letter.session, letter.seq);
        // A letter that is noted once more, because it was taken back or forgotten, keeps its place.
        let newest = caller.letters.values().map(|letter| letter.arrival + 1).max().unwrap_or(0);
        let arrival = caller.letters.get(&place).map_or(newest, |known| known.arrival);
        let entry = LetterEntry {
            received: letter.received,
            arrival,
            content: letter.content.clone().filter(|_| !withdrawn),
            withdrawn,
            readable: !matches!(parsed, Some(Err(_))),
            gist: match (parsed, letter.trace) {
                (Some(Ok(letter)), _) => gist(&letter),
                (None, Some(trace)) if !withdrawn => Gist::of_trace(&trace),
                _ => Gist::default(),
            },
            cells: letter.content.as_ref().map_or(1, |content| content.bytes.len().div_ceil(LETTER_PART_LEN)).max(1),
        };
        let (cells, asks) = (entry.cells, entry.gist.withdraw.is_some());
        let shown = caller.shown.contains_key(&(letter.session, letter.seq));
        let new = caller.letters.insert(place, entry).is_none();
        if asks {
            self.asking.insert(CallerId(letter.caller));
        }
        if new && !shown {
            self.count_letter(CallerId(letter.caller), cells);
        }
        self.forget_again(CallerId(letter.caller));
    }

    fn apply_shown(&mut self, caller: CallerId, named: (Session, u16), place: Place) {
        let entry = self.caller(caller.0);
        let first = entry.shown.get(&named).copied();
        entry.shown.insert(named, first.map_or(place, |first| first.min(place)));
        let new = first.is_none();
        let letter = entry.letters.iter().find(|((_, session, seq), _)| (*session, *seq) == named);
        let cells = letter.filter(|_| new).map(|(_, letter)| letter.cells);
        self.deal_with(caller);
        if let Some(cells) = cells {
            self.count_shown(caller, cells);
        }
    }

    fn apply_device(&mut self, record: &DeviceRecord) {
        let Some(line) = &self.line else { return };
        let Ok(desk) = DeskCert::check(&record.desk_cert, &line.root) else { return };
        let Ok(cert) = DeviceCert::check(&record.device_cert, &desk.desk_pk, &line.id) else { return };
        let sealing = record.sealing_key.as_slice().try_into().ok().and_then(|key| SealingKey::from_bytes(key).ok());
        let id = cert.device(&line.id);
        let mut record = record.clone();
        record.revoked |= self.revoked.contains(&id);
        if record.revoked {
            self.revoked.insert(id);
        }
        let generation = desk.generation;
        let mut device =
            Device { record, cert, generation, sealing, held: BTreeMap::new(), opened: BTreeMap::new(), slots: None };
        if let Some(known) = self.devices.remove(&id) {
            let revoked = known.record.revoked || device.record.revoked;
            let newer = device.rank() >= known.rank();
            let (held, opened, slots) = (known.held.clone(), known.opened.clone(), known.slots.clone());
            device = if newer { Device { held, opened, slots, ..device } } else { known };
            device.record.revoked = revoked;
        }
        self.devices.insert(id, device);
        self.judge_all();
    }

    fn apply_event(&mut self, record: &EventRecord, ring: &Ring) {
        let Some(line) = &self.line else { return };
        let device = DeviceId::of(&line.id, &PublicKey::from_bytes(record.device_pk));
        let log = self.log.entry(device).or_default();
        if record.seq != log.len() as u64 + 1 {
            return;
        }
        self.lamport = self.lamport.max(record.lamport);
        let body = event_body(ring, record).unwrap_or_else(|| Zeroizing::new(record.trace.clone()));
        let event = Event::parse(&body).ok();
        log.push(Logged { record: record.clone(), acknowledgement: matches!(event, Some(Event::Acknowledge { .. })) });
        if let Some(event) = event {
            let about = about(&event);
            self.take_event(event, ((record.lamport, device, record.seq), record.time), record.hash);
            if record.words.is_some() {
                about.iter().for_each(|caller| self.worded.entry(*caller).or_default().push((device, record.seq)));
            }
            for caller in about {
                self.forget_again(caller);
            }
        }
    }

    fn take_event(&mut self, event: Event, (place, time): (Place, u64), hash: [u8; 32]) {
        let (_, device, _) = place;
        match event {
            Event::DeviceKey(key) => {
                if let Some(known) = self.devices.get_mut(&device).filter(|known| known.record.sealing_since <= time) {
                    known.sealing = SealingKey::from_bytes(&key).ok();
                    known.record.sealing_key = key.to_vec();
                    known.record.sealing_since = time;
                }
            }
            Event::SeatKey(key) => {
                self.seat_keys.entry(device).or_insert_with(|| PublicKey::from_bytes(key));
            }
            Event::Acknowledge { held, life, position } => {
                if let Some(known) = self.devices.get_mut(&device) {
                    known.acknowledge(held);
                    let opened = known.opened.entry(u64::from_be_bytes(life)).or_default();
                    *opened = position.max(*opened);
                }
            }
            Event::Claim { caller, lease, reason } => {
                self.deal_with(caller);
                self.caller(caller.0).claims.insert(place, ClaimEvent::Claim { device, time, lease, reason });
            }
            Event::Release { caller } => {
                self.caller(caller.0).claims.insert(place, ClaimEvent::Release { device });
            }
            Event::Note { caller, .. } => {
                self.deal_with(caller);
                self.caller(caller.0).notes.insert(place, (time, device));
            }
            Event::HandOver(over) => {
                self.deal_with(over.caller);
                let to = Some(over.to).filter(|to| to.0 != [0; 8]);
                self.caller(over.caller.0).hand_overs.insert(place, HandedOver { time, by: device, to });
            }
            Event::Accept { caller, device: by, seq } => {
                self.deal_with(caller);
                self.caller(caller.0).claims.insert(place, ClaimEvent::Accept { device, time, over: (by, seq) });
            }
            Event::Answer(answer) => self.take_answer(&answer, place, time),
            Event::Shown { caller, session, seq } => self.apply_shown(caller, (session, seq), place),
            Event::Seen { answer, .. } => {
                self.seen.insert(answer);
                if let Some(entry) = self.answers.get_mut(&answer) {
                    entry.seen = true;
                }
            }
            Event::StopSending { answer, .. } => {
                self.stopped.insert(answer);
                if let Some(entry) = self.answers.get_mut(&answer) {
                    entry.stopped = true;
                }
            }
            Event::Slots(slots) => {
                if let Some(known) = self.devices.get_mut(&device)
                    && known.slots.as_ref().is_none_or(|(earlier, _)| *earlier < place)
                {
                    known.slots = Some((place, slots));
                }
            }
            Event::Admitted(admitted) if self.is_lead(device) || self.makes_lead(&admitted, device) => {
                if self.keeps_its_place(&admitted, device) {
                    self.take_admitted(&admitted, time);
                }
            }
            Event::Revoked { device: revoked } => {
                let said = self.verdicts.entry(revoked).or_default().entry(device).or_insert((place, time));
                *said = (place, time).min(*said);
                self.judge(revoked);
            }
            Event::Ask { held, since } => {
                self.asks.insert(device, Ask { seq: place.2, time, held, since: u64::from(since) });
            }
            Event::Board(board) => self.note_board(device, board),
            Event::Composing { caller, .. } => self.caller(caller.0).knowledge.take(&event, place, time),
            Event::Known { caller, .. }
            | Event::Question { caller, .. }
            | Event::Wish { caller, .. }
            | Event::Duress { caller, .. } => {
                self.deal_with(caller);
                self.caller(caller.0).knowledge.take(&event, place, time);
            }
            Event::Shift { device: on, from, until } => {
                let (from, until) = (u64::from(from), u64::from(until));
                self.shifts.enter((device, place.2), Shift { device: on, from, until });
            }
            Event::Strike { device: by, seq } => self.shifts.strike((by, seq)),
            Event::Keep { days } if self.is_lead(device) => {
                if self.keep.is_none_or(|(at, _)| at < place) {
                    self.keep = Some((place, days));
                }
            }
            Event::Propose(proposal) => {
                self.concord.propose(&proposal, (place, time), hash);
                self.forget_again(proposal.caller);
            }
            Event::Agree { device: by, seq, hash } => {
                self.concord.agree((by, seq, hash), place, time);
                if let Some(caller) = self.concord.motion(&(by, seq)).map(|motion| motion.caller) {
                    self.forget_again(caller);
                }
            }
            Event::Object { device: by, seq, hash } => self.concord.object((by, seq, hash), place, time),
            Event::Part { caller, other } => self.concord.part(caller, other, place),
            // What it says is a record of its own.
            Event::Roster(roster) => {
                self.told_rosters.insert(porchlight_proto::kdf::digest(roster.as_slice()));
            }
            Event::Admitted(_) | Event::Keep { .. } | Event::Secret(_) | Event::Unknown(_) => {}
        }
    }

    /// Takes an acknowledgement, or word of a board, before the events between have come: the first only grows, so its place does not matter,
    /// and a board may be what brings the events between. Not in the journal: it comes again with its place.
    pub(crate) fn heard_ahead(&mut self, device: DeviceId, body: &[u8]) {
        match Event::parse(body) {
            Ok(Event::Acknowledge { held, .. }) => {
                if let Some(known) = self.devices.get_mut(&device) {
                    known.acknowledge(held);
                }
            }
            Ok(Event::Board(board)) => self.note_board(device, board),
            _ => {}
        }
    }

    /// Of several the one for what was asked last counts, whatever numbers others give.
    fn note_board(&mut self, from: DeviceId, board: Board) {
        let asked = self.asks.get(&board.to).map(|ask| ask.seq);
        let known = self.boards.get(&board.to).map(|(_, known)| known.ask);
        if known.is_none_or(|known| Some(board.ask) == asked || Some(known) != asked && known <= board.ask) {
            self.boards.insert(board.to, (from, board));
        }
    }

    pub(super) fn is_lead(&self, device: DeviceId) -> bool {
        self.devices.get(&device).is_some_and(|device| device.cert.role == Role::Lead)
    }

    fn take_admitted(&mut self, admitted: &Admitted, time: u64) {
        let known = self.known_by_cert(admitted.device_cert.as_slice());
        // A device that is known has told its newest sealing key itself.
        let (sealing_key, sealing_since) = known.map_or((admitted.sealing_key.to_vec(), time), |known| {
            (known.record.sealing_key.clone(), known.record.sealing_since)
        });
        self.apply_device(&DeviceRecord {
            desk_cert: admitted.desk_cert.to_vec(),
            device_cert: admitted.device_cert.to_vec(),
            sealing_key,
            sealing_since,
            revoked: false,
        });
    }

    /// Whether a certificate leaves a device that is known in its seat and role, or is of a generation that the root has raised since. It
    /// may come to be a lead by its own word alone: a stolen lead could make colleagues lose their seats, or the team, by theirs. One of a
    /// voided generation lets nobody in.
    fn keeps_its_place(&self, admitted: &Admitted, by: DeviceId) -> bool {
        let Some(line) = &self.line else { return false };
        let Ok(desk) = DeskCert::check(admitted.desk_cert.as_slice(), &line.root) else { return false };
        if desk.generation < self.rosters.generation() {
            return false;
        }
        let Some(known) = self.known_by_cert(admitted.device_cert.as_slice()) else { return true };
        let cert = DeviceCert::check(admitted.device_cert.as_slice(), &desk.desk_pk, &line.id);
        desk.generation > known.generation
            || cert.is_ok_and(|cert| {
                let becomes_lead = cert.role == Role::Lead && cert.device(&line.id) == by;
                cert.seat == known.cert.seat && (cert.role == known.cert.role || becomes_lead)
            })
    }

    /// Whether a device says of itself that the root has made it a lead.
    fn makes_lead(&self, admitted: &Admitted, device: DeviceId) -> bool {
        let Some(line) = &self.line else { return false };
        let desk = DeskCert::check(admitted.desk_cert.as_slice(), &line.root);
        let cert = desk.and_then(|desk| DeviceCert::check(admitted.device_cert.as_slice(), &desk.desk_pk, &line.id));
        cert.is_ok_and(|cert| cert.role == Role::Lead && cert.device(&line.id) == device)
    }

    /// A device is out of the team when a lead says so, or it does itself, or two others of the team. Whoever comes to be a lead
    /// later counts as one, so that the order does not matter.
    fn judge(&mut self, device: DeviceId) {
        let Some(said) = self.verdicts.get(&device) else { return };
        let one_is_enough = said.keys().any(|by| *by == device || self.is_lead(*by) && self.is_valid(*by));
        if one_is_enough || said.keys().filter(|by| self.votes(**by)).count() >= 2 {
            self.take_revoked(device);
        }
    }

    fn judge_all(&mut self) {
        let open: Vec<DeviceId> = self.verdicts.keys().filter(|device| !self.revoked.contains(device)).copied().collect();
        open.into_iter().for_each(|device| self.judge(device));
    }

    fn votes(&self, device: DeviceId) -> bool {
        self.devices.get(&device).is_some_and(|device| device.cert.role != Role::Safeguarding) && self.is_valid(device)
    }

    /// Whether a device's certificate is of no generation that the root has voided: what such a one says of others comes too late.
    pub(super) fn is_valid(&self, device: DeviceId) -> bool {
        self.devices.get(&device).is_some_and(|device| device.generation >= self.rosters.generation())
    }

    fn take_revoked(&mut self, device: DeviceId) {
        self.revoked.insert(device);
        if let Some(known) = self.devices.get_mut(&device) {
            known.record.revoked = true;
        }
    }

    /// Stops the answers that a stop to this caller covers, or that were taken back; a stop that is forgotten covers none.
    pub(crate) fn cover(&mut self, caller: CallerId) {
        let Some(entry) = self.callers.get(&caller) else { return };
        for id in entry.answers.values() {
            let Some(answer) = self.answers.get_mut(id).filter(|answer| answer.kind == AnswerKind::Answer) else { continue };
            let covered = !answer.tells_withdrawal() && entry.stops.values().any(|stop| stop.stops(answer.n, id));
            answer.stopped = covered || self.stopped.contains(id);
        }
    }

    fn known_by_cert(&self, device_cert: &[u8]) -> Option<&Device> {
        self.devices.values().find(|known| known.record.device_cert.get(2..34) == device_cert.get(2..34))
    }

    fn take_answer(&mut self, event: &AnswerEvent, place: Place, time: u64) {
        let (_, device, seq) = place;
        let parts = event.content.len().div_ceil(porchlight_proto::limits::ANSWER_PART_LEN).clamp(1, 32);
        if event.flags == 0 {
            // Word of a withdrawal goes by itself: it says nothing of whether anybody has looked.
            self.deal_with(event.caller);
        }
        let caller = self.caller(event.caller.0);
        if event.flags != 0 {
            // Two devices may have decided, one before and one after a worker was shown it: taken back it is, in whatever order they come.
            let decided = caller.withdrawals.entry((event.session, event.seq)).or_insert(event.flags);
            *decided = event.flags.min(*decided);
            if event.flags & 1 != 0 {
                for (_, letter) in
                    caller.letters.iter_mut().filter(|((_, session, seq), _)| (*session, *seq) == (event.session, event.seq))
                {
                    letter.withdrawn = true;
                    letter.content = None;
                }
            }
        }
        caller.knowledge.answered(device);
        let known = self.written_first.get(&(event.caller, event.answer)).copied();
        if known.is_some_and(|first| first <= place) {
            // A colleague has written it before; and if that is forgotten, so is this.
            return;
        }
        self.written_first.insert((event.caller, event.answer), place);
        let caller = self.caller(event.caller.0);
        if let Some(later) = known {
            caller.answers.remove(&later);
        }
        caller.answers.insert(place, event.answer);
        let content = Answer::parse(&event.content).ok();
        let n = content.as_ref().map_or(0, |content| content.n);
        if event.kind == AnswerKind::Stop {
            caller.stops.extend(content.map(|content| (place, content)));
        }
        let entry = AnswerEntry {
            caller: event.caller,
            source: (device, seq),
            place,
            written: time,
            n,
            parts: u8::try_from(parts).unwrap_or(32),
            good_until: u64::from(event.good_until),
            replies_to: (event.session, event.seq),
            kind: event.kind,
            flags: event.flags,
            seen: self.seen.contains(&event.answer),
            stopped: self.stopped.contains(&event.answer),
            out: BTreeMap::new(),
        };
        match self.answers.get(&event.answer) {
            // The same id twice is no accident; every device keeps the same one.
            Some(known) if known.place <= place => {}
            _ => {
                self.answers.insert(event.answer, entry);
            }
        }
        if self.callers.get(&event.caller).is_some_and(|entry| !entry.stops.is_empty()) {
            self.cover(event.caller);
        }
    }

    /// A journal that yields this state, without what no longer matters.
    pub(crate) fn records(&self, now: u64) -> Vec<Record> {
        let mut records = Vec::new();
        if let Some(line) = &self.line {
            records.push(Record::Line(Box::new(line.record.clone())));
        }
        let mut rosters: Vec<&SignedRoster> = self.rosters.iter().collect();
        rosters.sort_by_key(|roster| (roster.generation(), roster.serial()));
        records.extend(rosters.iter().map(|roster| Record::Roster(roster.bytes().to_vec())));
        for (relay, hashes) in &self.put {
            let living = hashes.iter().filter(|hash| self.rosters.iter().any(|roster| roster.hash() == **hash));
            records.extend(living.map(|hash| Record::RosterPut(*relay, *hash)));
        }
        records.extend(self.devices.values().map(|device| Record::Device(device.record.clone())));
        records.extend(self.relays.iter().map(|(number, relay)| Record::Relay(*number, *relay)));
        for (period, hashes) in &self.replayed {
            records.push(Record::Replayed(*period, hashes.iter().flatten().copied().collect()));
        }
        self.event_records(&mut records);
        for (caller, entry) in self.callers_in_order() {
            entry.records(caller, &mut records);
        }
        for (id, answer) in &self.answers {
            records.extend(answer.out.iter().map(|((relay, slow), out)| Record::Out(*id, *relay, *slow, *out)));
        }
        self.count_records(now, &mut records);
        records
    }

    fn event_records(&self, records: &mut Vec<Record>) {
        let mut events: Vec<(Place, &EventRecord)> = self
            .log
            .iter()
            .flat_map(|(device, log)| log.iter().map(|event| ((event.record.lamport, *device, event.record.seq), &event.record)))
            .collect();
        // In the merged order, so that what an event speaks of is there before it.
        events.sort_by_key(|(place, _)| *place);
        records.extend(events.into_iter().map(|(_, record)| Record::Event(record.clone())));
    }

    fn count_records(&self, now: u64, records: &mut Vec<Record>) {
        let today = u32::try_from(now / 86_400).unwrap_or(u32::MAX);
        let recent = |day: &u32| day.saturating_add(2) >= today;
        for ((key, relay), (next, day)) in self.fast_counts.iter().filter(|(_, (_, day))| recent(day)) {
            records.push(Record::FastCount(*key, *relay, *next, *day));
        }
        for ((caller, relay), (day, next)) in &self.slow_counts {
            records.push(Record::SlowCount(caller.0, *relay, *day, *next));
        }
        records.extend(self.direct_counts.iter().map(|(recipient, next)| Record::DirectCount(recipient.0, *next)));
        records.extend(self.told_secrets.iter().map(|(device, period, mark)| Record::SecretTold(device.0, *period, *mark)));
        records.extend(self.doubt.map(|doubt| Record::Doubt(doubt.open, doubt.since)));
        records.extend(self.retention_days.map(Record::Retention));
        records.extend((self.served > 0).then_some(Record::Served(self.served, false)));
        records.extend(self.turned_away.iter().map(|(caller, since)| Record::TurnedAway(caller.0, *since)));
        records.extend(self.missed.map(|(since, noticed)| Record::Missed(since, noticed)));
    }
}

impl Caller {
    fn records(&self, caller: &CallerId, records: &mut Vec<Record>) {
        let caller = caller.0;
        for (session, visit) in self.visits.iter().filter(|(_, visit)| !visit.gone.is_empty()) {
            records.push(Record::Gone(caller, *session, visit.gone.iter().copied().collect()));
        }
        if let Some((week, key)) = &self.reply {
            records.push(Record::Reply(ReplyRecord { caller, week: *week, key: key.clone() }));
        }
        let mut letters: Vec<_> = self.letters.iter().collect();
        letters.sort_by_key(|(_, letter)| letter.arrival);
        for ((time, session, seq), letter) in letters {
            records.push(Record::Letter(LetterRecord {
                caller,
                session: *session,
                seq: *seq,
                time: *time,
                received: letter.received,
                content: letter.content.clone(),
                withdrawn: letter.withdrawn,
                trace: Some(letter.gist.trace()).filter(|_| letter.readable && !letter.withdrawn),
            }));
        }
        for ((session, seq), waiting) in &self.waiting {
            for (part, content) in (0..).zip(&waiting.parts) {
                let Some(content) = content else { continue };
                records.push(Record::Part(PartRecord {
                    caller,
                    session: *session,
                    seq: *seq,
                    part,
                    parts: u8::try_from(waiting.parts.len()).unwrap_or(32),
                    time: waiting.time,
                    received: waiting.received,
                    content: content.clone(),
                }));
            }
        }
        for (session, visit) in &self.visits {
            records.push(Record::Receipted(caller, *session, visit.receipt));
        }
        if self.footprint.promised {
            records.push(Record::Promised(caller));
        }
    }

    /// Whether nothing at all is known of her.
    pub(crate) fn is_empty(&self) -> bool {
        !self.has_row()
            && self.waiting.is_empty()
            && self.visits.is_empty()
            && self.claims.is_empty()
            && self.shown.is_empty()
            && self.withdrawals.is_empty()
            && self.reply.is_none()
            && !self.footprint.known
    }

    /// Whether there is anything of hers but a trace of parts: then she has a row.
    pub(crate) fn has_row(&self) -> bool {
        !self.letters.is_empty() || !self.answers.is_empty() || !self.notes.is_empty() || !self.hand_overs.is_empty()
    }
}

pub(crate) fn gist(letter: &Letter) -> Gist {
    Gist {
        status: letter.status,
        next: letter.next,
        quiet: letter.quiet,
        relative: letter.relative,
        language: letter.language,
        withdraw: letter.withdraw,
        says_something: letter.status.is_some() || !letter.text.is_empty(),
    }
}
