//! The bundle of each desk beat: what goes into the fast slot, the slow slot and the team cells (SPEC §9).
//!
//! Whether a slot is named depends on the time alone; what is in it nobody else can tell. Every cell takes the next `i` of
//! its key, and the count is a record: saved before the bundle leaves.
use crate::desk::{
    Desk, DeskError, Page,
    record::{OutRecord, ReceiptRecord, Record},
    state::{AnswerEntry, Device, bound, event_body, is_readable, unseal},
};
use porchlight_proto::{
    api::{DeskBeat, DeskOutcome, DeskReply, Floor, SlotOutcome},
    cell::down::{AnswerPart, DownCell, Kind, Place, Receipt, Track, Withdrawal},
    cert::Role,
    event::{AnswerId, AnswerKind, Event},
    letter::Session,
    limits::{ANSWER_PART_LEN, DOWN_CELL_LEN, FAST_TAG_COUNT, SLOW_TAG_COUNT},
    line::CallerId,
    parts::cut,
    time::{Millis, Seconds, Timing, day_of, is_safeguarding},
};
use rand_core::CryptoRng;
use std::collections::HashMap;
use zeroize::Zeroizing;

/// Up beats without a cell after which a page counts as closed.
const PAGE_BEATS: u64 = 12;
/// Beats since her last letter within which an answer goes fast: half an hour.
const LIVE_BEATS: u64 = 60;
/// Beats after its first fast sending at which an answer that was not named joins the carousel: ten minutes.
const CAROUSEL_AFTER_BEATS: u64 = 20;
/// Beats between two fast sendings of the same answer or receipt: to be read, and for her sign to come back.
const AGAIN_BEATS: u64 = 3;
/// Of this many slots at most one goes to a receipt for a caller the desk does not know.
const STRANGERS_ONE_IN: u64 = 5;
/// Times that a receipt, or word of a withdrawal, goes by the carousel; answers carry it as well.
const SLOW_RECEIPTS: u32 = 3;
/// Times that word of a withdrawal goes fast: nothing acknowledges it.
const FAST_TELLINGS: u32 = 5;
/// Seconds after her last letter for which a receipt goes by the carousel.
const RECEIPT_LIFE: u64 = 7 * 86_400;

/// A bundle, ready to be posted, and what to hand back with its reply.
#[derive(Debug)]
pub struct Bundle {
    /// The bundle.
    pub beat: DeskBeat,
    /// For [`Desk::bundle_result`].
    pub ticket: Ticket,
}

/// What a bundle carried. Opaque: hand it back to [`Desk::bundle_result`].
#[derive(Debug)]
pub struct Ticket {
    relay: u8,
    fast: Option<(u64, Option<Load>)>,
    slow: Option<(u64, Option<Load>)>,
    team: super::team::Carried,
}

/// What became of the POST of a bundle.
#[derive(Clone, Copy, Debug)]
pub enum Posted<'a> {
    /// The relay answered.
    Answered(&'a DeskReply),
    /// It did not, or with something else: the same goes again, under new tags.
    Failed,
}

/// What a down cell carries.
#[derive(Clone, Debug)]
struct Load {
    caller: CallerId,
    what: What,
    /// The receipt it carries, and for which visit.
    receipt: Receipt,
    /// The visit under whose live key it goes; none on the carousel.
    page: Option<Session>,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Part(AnswerId, u8),
    Receipt,
}

/// The slots this process has written, or found taken: per relay the newest beat's, and the newest slow one.
#[derive(Default)]
pub(super) struct SlotsWritten {
    fast: HashMap<u8, (u64, Vec<u64>)>,
    slow: HashMap<u8, u64>,
    /// Loads written, per relay and track.
    turns: HashMap<(u8, bool), u64>,
    served: HashMap<(CallerId, bool), u64>,
    stranger: HashMap<(u8, bool), u64>,
}

/// In which order loads go: stops, then by round, first cells before further ones, then by turn.
type Rank = (bool, u32, u8, u64, u64);

impl Desk {
    /// Milliseconds from one bundle to the next.
    #[must_use]
    pub fn beat_every(&self, relay: u8) -> Millis {
        match self.state.relays.get(&relay).map(|relay| relay.desk_beat_ms) {
            Some(told) if told > 0 => Millis(u64::from(told)),
            _ => super::line::default_desk_beat(&self.timing()),
        }
    }

    /// The bundle of this beat: always of one shape, whether there is anything to say or not.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoRoster`] before the line has published; [`DeskError::KeyMissing`].
    pub fn bundle(&mut self, relay: u8, now: Millis, rng: &mut impl CryptoRng) -> Result<Bundle, DeskError> {
        self.presence.listening_since.entry(relay).or_insert(now);
        let team_cells = self.team_cells(relay, now, rng)?;
        self.note_own_cells(&team_cells);
        let team = self.carried();
        let timing = self.timing();
        let ahead = now.plus((self.beat_every(relay).0 / 4).min(1000));
        let fast_slot = self.free_fast_slot(relay, now, timing.beat(ahead) + 1, &timing);
        let slow_slot = self.free_slow_slot(relay, now, timing.slow_slot(ahead) + 1);
        let quiet = self.doubts(relay);
        let (mut fast, mut slow) = (None, None);
        let mut fast_cell = filler(rng);
        let mut slow_cell = filler(rng);
        // What could not be sealed did not go: the slot has filler, and nobody is told that it was sent.
        if let Some(slot) = fast_slot {
            let load = if quiet { None } else { self.fast_load(relay, now) };
            let sealed = load.as_ref().map(|load| self.seal_fast(relay, load, now.seconds(), rng)).transpose()?.flatten();
            fast = Some((slot, load.filter(|_| sealed.is_some())));
            fast_cell = sealed.unwrap_or(fast_cell);
        }
        if let Some(slot) = slow_slot {
            let load = if quiet { None } else { self.slow_load(relay, day_of(slot), now) };
            let sealed = load.as_ref().map(|load| self.seal_slow(relay, day_of(slot), load, now.seconds(), rng)).transpose()?;
            let sealed = sealed.flatten();
            slow = Some((slot, load.filter(|_| sealed.is_some())));
            slow_cell = sealed.unwrap_or(slow_cell);
        }
        let floor = self.floor(relay, now.seconds());
        let beat = DeskBeat { fast_slot, slow_slot, floor, fast_cell, slow_cell, team_cells };
        for load in [&fast, &slow].into_iter().filter_map(|named| named.as_ref()?.1.as_ref()) {
            self.promise_receipt(load);
        }
        Ok(Bundle { beat, ticket: Ticket { relay, fast, slow, team } })
    }

    /// From now on a receipt of hers may be out: her letters do not have to make room for others any more.
    fn promise_receipt(&mut self, load: &Load) {
        let stranger = |entry: &super::state::Caller| !entry.footprint.known && !entry.footprint.promised;
        if (load.receipt.upto > 0 || load.receipt.map > 0) && self.state.callers.get(&load.caller).is_some_and(stranger) {
            self.commit(Record::Promised(load.caller.0));
        }
    }

    /// Notes what became of a bundle. What was not written goes again, under the next tag.
    pub fn bundle_result(&mut self, ticket: Ticket, posted: Posted<'_>, now: Millis) {
        let done = match posted {
            Posted::Answered(reply) if reply.outcome == DeskOutcome::Done => Some(reply),
            Posted::Answered(_) | Posted::Failed => None,
        };
        let Some(reply) = done else { return self.carry_again(&ticket.team) };
        self.note_told(&ticket.team);
        let timing = self.timing();
        if let Some((slot, load)) = ticket.fast {
            let (beat, slots) = self.presence.slots.fast.entry(ticket.relay).or_default();
            if *beat != timing.beat_of(slot) {
                (*beat, *slots) = (timing.beat_of(slot), Vec::new());
            }
            slots.push(slot);
            if let (Some(load), SlotOutcome::Written) = (load, reply.fast) {
                let begins = timing.beat_begins(timing.beat_of(slot));
                self.went_out((ticket.relay, false), &load, begins, now);
            }
        }
        if let Some((slot, load)) = ticket.slow {
            self.presence.slots.slow.insert(ticket.relay, slot);
            if let (Some(load), SlotOutcome::Written) = (load, reply.slow) {
                self.went_out((ticket.relay, true), &load, timing.slow_begins(slot), now);
            }
        }
    }

    /// Notes that a load is in its slot, which everyone can read once it `begins`.
    fn went_out(&mut self, (relay, slow): (u8, bool), load: &Load, begins: Millis, now: Millis) {
        let turn = self.presence.slots.turns.entry((relay, slow)).or_default();
        *turn += 1;
        let turn = *turn;
        self.presence.slots.served.insert((load.caller, slow), turn);
        if let What::Part(id, part) = load.what {
            self.part_went_out((relay, slow), (id, part), begins, now);
        } else if !self.knows(load.caller) {
            self.presence.slots.stranger.insert((relay, slow), turn);
        }
        self.receipt_went_out(slow, load, now);
    }

    fn part_went_out(&mut self, (relay, slow): (u8, bool), (id, part): (AnswerId, u8), begins: Millis, now: Millis) {
        let base = if slow { self.carousel_round(relay) } else { 0 };
        let Some(answer) = self.state.answers.get(&id) else { return };
        let mut out =
            answer.out.get(&(relay, slow)).copied().unwrap_or(OutRecord { round: base, first_ms: now.0, ..OutRecord::default() });
        if !answer.is_whole(&out) {
            out.readable_ms = out.readable_ms.max(Some(begins.0));
        }
        out.written |= 1u32.checked_shl(u32::from(part)).unwrap_or(0);
        out.last_ms = now.0;
        out.next = part + 1;
        if out.next >= answer.parts {
            (out.next, out.round) = (0, out.round + 1);
        }
        self.commit(Record::Out(id, relay, slow, out));
    }

    /// Forgets whose turn it was, of callers who are gone, and the counts of live keys of days that are over.
    pub(super) fn tidy_turns(&mut self, now: Seconds) {
        let callers = &self.state.callers;
        self.presence.slots.served.retain(|(caller, _), _| callers.contains_key(caller));
        let today = u32::try_from(now.0 / 86_400).unwrap_or(u32::MAX);
        self.state.fast_counts.retain(|_, (_, day)| day.saturating_add(2) >= today);
    }

    fn receipt_went_out(&mut self, slow: bool, load: &Load, now: Millis) {
        let Receipt { session, upto, map } = load.receipt;
        let Some(visit) = self.state.callers.get(&load.caller).and_then(|entry| entry.visits.get(&session)) else { return };
        let mut receipt = visit.receipt;
        if (receipt.upto, receipt.map) != (upto, map) {
            receipt = ReceiptRecord { upto, map, ..ReceiptRecord::default() };
        }
        if slow {
            receipt.slow += 1;
        } else {
            receipt.fast += 1;
        }
        receipt.last_ms = now.0;
        self.commit(Record::Receipted(load.caller.0, session, receipt));
    }

    /// A page that sends dummies has no letter without a receipt: what was receipted has arrived.
    pub(super) fn note_receipt_known(&mut self, caller: CallerId, session: &Session, now: Millis) {
        let Some(visit) = self.state.callers.get(&caller).and_then(|entry| entry.visits.get(session)) else { return };
        let held = visit.have.receipt(*session);
        let receipt = visit.receipt;
        let told = (receipt.upto, receipt.map) == (held.upto, held.map) && receipt.fast + receipt.slow > 0;
        if told && !receipt.known && receipt.last_ms <= now.0 {
            self.commit(Record::Receipted(caller.0, *session, ReceiptRecord { known: true, ..receipt }));
        }
    }

    /// She sent a letter again that is held: its receipt has not arrived.
    pub(super) fn receipt_again(&mut self, caller: CallerId, session: Session) {
        let Some(visit) = self.state.callers.get(&caller).and_then(|entry| entry.visits.get(&session)) else { return };
        if visit.receipt.known {
            let receipt = ReceiptRecord { known: false, ..visit.receipt };
            self.commit(Record::Receipted(caller.0, session, receipt));
        }
    }

    /// Up to where every enrolled device has opened the lane, which is not as far as it was read while a desk secret was lacking; zero where that is not the team's to say.
    fn floor(&self, relay: u8, now: Seconds) -> Floor {
        let reads = |device: &Device| device.cert.role == Role::Safeguarding && !device.record.revoked;
        let staffed = self.is_safeguarding() || self.state.devices.values().any(reads);
        let Some(line) = self.state.line.as_ref().filter(|line| !staffed && !line.record.staffed) else {
            return Floor::default();
        };
        let Some(lane) = self.state.relays.get(&relay).filter(|_| line.card.relays.iter().any(|known| known.number == relay))
        else {
            return Floor::default();
        };
        let opened = |id| self.state.devices.get(&id).and_then(|device| device.opened.get(&lane.life)).copied().unwrap_or(0);
        let n = self.colleagues(now).into_iter().map(opened).fold(lane.opened(), u64::min);
        Floor { life: lane.life, n }
    }

    /// Whether this device drives the carousel: it is online, and of those online it has the lowest seat.
    pub(super) fn is_pen(&self, relay: u8, now: Millis) -> bool {
        let Some(line) = &self.state.line else { return false };
        if self.is_safeguarding() {
            // The only one in its slots.
            return true;
        }
        let Some(seat) = line.device_cert.seat.filter(|seat| !seat.is_safeguarding()) else { return false };
        let silence = super::team::SILENT_BEATS * self.beat_every(relay).0;
        let listened = self.presence.listening_since.get(&relay).is_some_and(|since| since.0 + silence <= now.0);
        let lower = self
            .colleagues(now.seconds())
            .into_iter()
            .filter(|id| self.state.devices.get(id).is_some_and(|d| d.cert.seat.is_some_and(|s| s < seat)));
        let mut lower = lower.peekable();
        lower.peek().is_none() || listened && lower.all(|id| !self.is_online(id, relay, now))
    }

    /// The first of this device's slots of a beat that it has not written.
    fn free_fast_slot(&self, relay: u8, now: Millis, beat: u64, timing: &Timing) -> Option<u64> {
        let written = self.presence.slots.fast.get(&relay).filter(|(newest, _)| *newest == beat).map(|(_, slots)| slots);
        let free = |slot: &u64| written.is_none_or(|slots| !slots.contains(slot));
        let mine = (0..timing.fast_slots).filter(|index| self.owns_fast(relay, *index, now));
        mine.map(|index| timing.fast_slot(beat, index)).find(free)
    }

    /// A slot belongs to whom the last event gave it; to the pen, if nobody has it or its owner is silent.
    fn owns_fast(&self, relay: u8, index: u8, now: Millis) -> bool {
        let Some(line) = &self.state.line else { return false };
        if line.device_cert.seat.is_none_or(porchlight_proto::line::Seat::is_safeguarding) {
            return false;
        }
        let colleagues = self.colleagues(now.seconds());
        let living = self.state.devices.iter().filter(|(id, _)| **id == line.device || colleagues.contains(id));
        let claims = living.filter_map(|(id, device)| {
            device.slots.as_ref().filter(|(_, slots)| slots.contains(&index)).map(|(place, _)| (*place, *id))
        });
        match claims.max() {
            Some((_, owner)) if owner == line.device => true,
            Some((_, owner)) if self.is_online(owner, relay, now) => false,
            _ => self.is_pen(relay, now),
        }
    }

    fn free_slow_slot(&self, relay: u8, now: Millis, slot: u64) -> Option<u64> {
        let free = is_safeguarding(slot) == self.is_safeguarding() && self.presence.slots.slow.get(&relay) != Some(&slot);
        (free && self.is_pen(relay, now)).then_some(slot)
    }

    /// Whether a page of hers is open, and her newest letter young enough for the fast track.
    pub(super) fn is_live(&self, caller: CallerId, now: Millis) -> bool {
        self.live_pages(caller, now).next().is_some()
    }

    /// Her pages that can be reached on the fast track, the one heard last first. Her newest letter counts, of whichever visit.
    fn live_pages(&self, caller: CallerId, now: Millis) -> impl Iterator<Item = &Page> {
        let timing = self.timing();
        let newest = self.state.callers.get(&caller).and_then(|entry| entry.visits.values().map(|v| v.last_received).max());
        let young = newest.is_some_and(|newest| newest * 1000 + 1000 + LIVE_BEATS * u64::from(timing.beat_ms) >= now.0);
        // The fast track is the desk's alone.
        let reached = young && !self.is_safeguarding() && !self.barred_from_fast(now);
        let pages = self.presence.pages.get(&caller).filter(|_| reached).into_iter().flatten().rev();
        pages.filter(move |page| page.heard.0 + PAGE_BEATS * u64::from(timing.up_beat_ms) >= now.0)
    }

    /// Whether somebody of the team has dealt with her. That she came twice says nothing: anybody can.
    pub(super) fn knows(&self, caller: CallerId) -> bool {
        self.state.callers.get(&caller).is_some_and(|entry| entry.footprint.known)
    }

    /// What goes into the next fast slot. A slot that nobody else wants is a stranger's.
    fn fast_load(&self, relay: u8, now: Millis) -> Option<Load> {
        let strangers = self.strangers_turn(relay, false);
        self.best_fast(relay, strangers, now).or_else(|| self.best_fast(relay, true, now))
    }

    fn best_fast(&self, relay: u8, strangers: bool, now: Millis) -> Option<Load> {
        let mut best: Option<(Rank, Load)> = None;
        for caller in self.presence.pages.keys() {
            let Some(entry) = self.state.callers.get(caller) else { continue };
            let held = |page: &Page| entry.visits.get(&page.session).map(|visit| visit.have.receipt(page.session));
            for page in self.live_pages(*caller, now).filter(|page| self.has_fast_tags(page, relay)) {
                let (Some(visit), Some(receipt)) = (entry.visits.get(&page.session), held(page)) else { continue };
                if let Some(rank) = self.receipt_rank(*caller, (strangers, false), &visit.receipt, &receipt, page.idle, now) {
                    offer(&mut best, rank, Load { caller: *caller, what: What::Receipt, receipt, page: Some(page.session) });
                }
            }
            // An answer goes to the page heard last; receipts go each to its own.
            let Some(page) = self.live_pages(*caller, now).next().filter(|page| self.has_fast_tags(page, relay)) else {
                continue;
            };
            let receipt = held(page).unwrap_or_default();
            let ranked = entry.answers.values().filter_map(|id| {
                let answer = self.state.answers.get(id)?;
                let (rank, part) = self.fast_rank(relay, answer, now)?;
                Some((rank, What::Part(*id, part)))
            });
            // Her answers one after another: a short one does not overtake a long one.
            if let Some((rank, what)) = ranked.min_by_key(|((stop, round, class, _, n), _)| (*stop, *round, *class > 1, *n)) {
                offer(&mut best, rank, Load { caller: *caller, what, receipt, page: Some(page.session) });
            }
        }
        best.map(|(_, load)| load)
    }

    fn fast_rank(&self, relay: u8, answer: &AnswerEntry, now: Millis) -> Option<(Rank, u8)> {
        if answer.is_over(now.seconds().0) || !self.has_words(answer) {
            return None;
        }
        let out = answer.out.get(&(relay, false)).copied().unwrap_or_default();
        let again = AGAIN_BEATS * u64::from(self.timing().beat_ms);
        if out.next == 0 && out.round > 0 && out.last_ms + again > now.0 {
            return None;
        }
        if answer.tells_withdrawal() && out.round >= FAST_TELLINGS {
            return None;
        }
        let class = if answer.tells_withdrawal() { 3 } else { u8::from(out.next > 0) };
        let served = self.served(answer.caller, false);
        Some(((answer.kind != AnswerKind::Stop, out.round, class, served, answer.n), out.next))
    }

    fn receipt_rank(
        &self,
        caller: CallerId,
        (strangers, slow): (bool, bool),
        told: &ReceiptRecord,
        held: &Receipt,
        idle: bool,
        now: Millis,
    ) -> Option<Rank> {
        if held.upto == 0 && held.map == 0 {
            return None;
        }
        let current = (told.upto, told.map) == (held.upto, held.map);
        let times = if slow { told.slow } else { told.fast };
        let again = AGAIN_BEATS * u64::from(self.timing().beat_ms);
        let done = current && (told.known || slow && times >= SLOW_RECEIPTS);
        let waiting = current && !slow && times > 0 && (idle || told.last_ms + again > now.0);
        if done || waiting {
            return None;
        }
        let footprint = &self.state.callers.get(&caller)?.footprint;
        if !footprint.known && !strangers {
            return None;
        }
        let times = if current { times } else { 0 };
        // Among strangers the one who came first: an id can be ground until it is the lowest, an arrival cannot.
        Some((true, times, if footprint.known { 4 } else { 5 }, self.served(caller, slow), footprint.came))
    }

    fn served(&self, caller: CallerId, slow: bool) -> u64 {
        self.presence.slots.served.get(&(caller, slow)).copied().unwrap_or(0)
    }

    /// Whether the next slot of a track may go to a receipt for a stranger.
    fn strangers_turn(&self, relay: u8, slow: bool) -> bool {
        let turn = self.presence.slots.turns.get(&(relay, slow)).copied().unwrap_or(0);
        let last = self.presence.slots.stranger.get(&(relay, slow)).copied();
        last.is_none_or(|last| turn >= last + STRANGERS_ONE_IN)
    }

    fn carousel_round(&self, relay: u8) -> u32 {
        let rounds =
            self.state.answers.values().filter(|a| !a.seen && !a.stopped).filter_map(|answer| answer.out.get(&(relay, true)));
        rounds.map(|out| out.round).min().unwrap_or(0)
    }

    /// What goes into the next slow slot, chosen in the same way.
    fn slow_load(&self, relay: u8, day: u32, now: Millis) -> Option<Load> {
        let strangers = self.strangers_turn(relay, true);
        self.best_slow(relay, day, strangers, now).or_else(|| self.best_slow(relay, day, true, now))
    }

    fn best_slow(&self, relay: u8, day: u32, strangers: bool, now: Millis) -> Option<Load> {
        let base = self.carousel_round(relay);
        let mut best: Option<(Rank, Load)> = None;
        for (id, answer) in &self.state.answers {
            if !self.on_carousel(answer, now) || !self.has_slow_tags(answer.caller, relay, day, now.seconds()) {
                continue;
            }
            let new = OutRecord { round: base, ..OutRecord::default() };
            let out = answer.out.get(&(relay, true)).copied().unwrap_or(new);
            if answer.tells_withdrawal() && out.round >= base + SLOW_RECEIPTS {
                continue;
            }
            // One that never went goes before those that went in this round already.
            let class = match answer.out.contains_key(&(relay, true)) {
                _ if answer.tells_withdrawal() => 3,
                false => 0,
                true => 1 + u8::from(out.next > 0),
            };
            // A stop goes before everything once; then it takes its turn, or nothing else would ever go round.
            let first = answer.kind == AnswerKind::Stop && out.written == 0;
            let rank = (!first, out.round, class, u64::MAX - answer.written, u64::MAX - answer.n);
            let load = Load {
                caller: answer.caller,
                what: What::Part(*id, out.next),
                receipt: self.newest_receipt(answer.caller),
                page: None,
            };
            offer(&mut best, rank, load);
        }
        for (caller, entry) in &self.state.callers {
            if self.is_live(*caller, now) || !self.has_slow_tags(*caller, relay, day, now.seconds()) {
                continue;
            }
            let Some((session, visit)) = entry.visits.iter().max_by_key(|(_, visit)| visit.last_received) else { continue };
            if visit.last_received + RECEIPT_LIFE < now.seconds().0 {
                continue;
            }
            let receipt = visit.have.receipt(*session);
            if let Some((first, times, class, served, n)) =
                self.receipt_rank(*caller, (strangers, true), &visit.receipt, &receipt, false, now)
            {
                let load = Load { caller: *caller, what: What::Receipt, receipt, page: None };
                offer(&mut best, (first, base + times, class, served, n), load);
            }
        }
        best.map(|(_, load)| load)
    }

    /// Whether an answer goes round on the carousel: not while it may still be read live.
    fn on_carousel(&self, answer: &AnswerEntry, now: Millis) -> bool {
        if answer.is_over(now.seconds().0) || !self.has_words(answer) {
            return false;
        }
        let wait = CAROUSEL_AFTER_BEATS * u64::from(self.timing().beat_ms);
        let joined = answer.out.keys().any(|(_, slow)| *slow);
        let first_fast = answer.out.iter().filter(|((_, slow), _)| !*slow).map(|(_, out)| out.first_ms).min();
        let waited = match first_fast {
            Some(first) => first + wait <= now.0,
            None => !self.is_live(answer.caller, now) || answer.written * 1000 + wait <= now.0,
        };
        joined || waited || answer.kind == AnswerKind::Stop
    }

    fn newest_receipt(&self, caller: CallerId) -> Receipt {
        let newest =
            self.state.callers.get(&caller).and_then(|entry| entry.visits.iter().max_by_key(|(_, visit)| visit.last_received));
        newest
            .map(|(session, visit)| visit.have.receipt(*session))
            .filter(|held| held.upto > 0 || held.map > 0)
            .unwrap_or_default()
    }

    /// Whether a round of the carousel takes longer than the slow days keep it.
    pub(super) fn carousel_is_slow(&self, now: Seconds) -> bool {
        let parts: u64 = self
            .state
            .answers
            .values()
            .filter(|answer| self.on_carousel(answer, now.millis()))
            .map(|answer| u64::from(answer.parts))
            .sum();
        let timing = self.timing();
        // Seven of eight slots are the desk's, the eighth is safeguarding's.
        let eighths = if self.is_safeguarding() { 1 } else { 7 };
        parts > u64::from(timing.slow_days) * porchlight_proto::time::SLOTS_PER_DAY * eighths / 8
    }

    /// Whether what an answer says can still be read here: else there is nothing to send.
    fn has_words(&self, answer: &AnswerEntry) -> bool {
        let (device, seq) = answer.source;
        answer.tells_withdrawal() || self.event_record(device, seq).is_some_and(|record| is_readable(&self.ring, record))
    }

    /// Whether she can be reached by the carousel: her newest reply key is not too old, and is still here.
    pub(super) fn reachable(&self, caller: CallerId, now: Seconds) -> bool {
        let (Some(line), Ok(roster)) = (&self.state.line, self.roster(now)) else { return false };
        let week = self.state.callers.get(&caller).and_then(|entry| entry.reply.as_ref()).map(|(week, _)| *week);
        week.is_some_and(|week| week.saturating_add(u32::from(line.record.reply_weeks)) > roster.week())
            && self.reply_key(caller).is_some()
    }

    fn has_slow_tags(&self, caller: CallerId, relay: u8, day: u32, now: Seconds) -> bool {
        self.next_slow_tag(caller, relay, day).is_some() && self.reachable(caller, now)
    }

    /// The number of her next slow tag, if there is one left.
    fn next_slow_tag(&self, caller: CallerId, relay: u8, day: u32) -> Option<u16> {
        let least = self.least_slow_tag(day);
        let next = match self.state.slow_counts.get(&(caller, relay)) {
            // The relay's clock went ahead and came back: what was used on this day before is not known any more.
            Some((counted, _)) if *counted > day => return None,
            Some((counted, next)) if *counted == day => (*next).max(least),
            _ => least,
        };
        (next < SLOW_TAG_COUNT).then_some(next)
    }

    fn has_fast_tags(&self, page: &Page, relay: u8) -> bool {
        self.next_fast_tag(page, relay).1 < FAST_TAG_COUNT
    }

    /// The mark by which a page's live key is counted, and the number of its next tag.
    fn next_fast_tag(&self, page: &Page, relay: u8) -> ([u8; 8], u16) {
        let hash = porchlight_proto::kdf::digest(page.live_key.as_slice());
        let mark: [u8; 8] = hash.first_chunk().copied().unwrap_or_default();
        (mark, self.state.fast_counts.get(&(mark, relay)).map_or(0, |(next, _)| *next))
    }

    fn seal_fast(
        &mut self,
        relay: u8,
        load: &Load,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<DownCell>, DeskError> {
        let mut pages = self.presence.pages.get(&load.caller).into_iter().flatten();
        let Some(page) = pages.find(|page| Some(page.session) == load.page) else { return Ok(None) };
        let (live_key, (mark, i)) = (page.live_key.clone(), self.next_fast_tag(page, relay));
        self.commit(Record::FastCount(mark, relay, i + 1, u32::try_from(now.0 / 86_400).unwrap_or(u32::MAX)));
        self.seal_load(load, Track::Fast(&live_key), (relay, i), now, rng)
    }

    fn seal_slow(
        &mut self,
        relay: u8,
        day: u32,
        load: &Load,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<DownCell>, DeskError> {
        let Some(key) = self.reply_key(load.caller) else { return Ok(None) };
        let Some(i) = self.next_slow_tag(load.caller, relay, day) else { return Ok(None) };
        self.commit(Record::SlowCount(load.caller.0, relay, day, i + 1));
        self.seal_load(load, Track::Slow(&key, day), (relay, i), now, rng)
    }

    pub(super) fn reply_key(&self, caller: CallerId) -> Option<Zeroizing<[u8; 32]>> {
        let (_, sealed) = self.state.callers.get(&caller)?.reply.as_ref()?;
        let key = unseal(&self.ring, &bound::reply(&caller.0), sealed)?;
        Some(Zeroizing::new(*key.first_chunk()?))
    }

    fn seal_load(
        &self,
        load: &Load,
        track: Track<'_>,
        (relay_no, i): (u8, u16),
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<DownCell>, DeskError> {
        let line = self.line()?;
        let seat = line.device_cert.seat.ok_or(DeskError::NoSeat)?;
        let Some(part) = self.answer_part(load, now) else { return Ok(None) };
        let place = Place { relay_no, seat, i };
        Ok(Some(part.seal((&line.id, &load.caller), (track, place), &self.seat_key()?, rng)))
    }

    fn answer_part(&self, load: &Load, now: Seconds) -> Option<AnswerPart> {
        let receipt = AnswerPart::receipt(load.receipt, now);
        let What::Part(id, number) = load.what else { return Some(receipt) };
        let answer = self.state.answers.get(&id)?;
        let good_until = Seconds(answer.good_until);
        if answer.tells_withdrawal() {
            return Some(AnswerPart {
                withdrawal: Withdrawal::from_flags(answer.flags),
                answers: answer.replies_to,
                good_until,
                ..receipt
            });
        }
        let kind = match answer.kind {
            AnswerKind::Stop => Kind::Stop,
            AnswerKind::Answer => Kind::Answer,
        };
        let part = cut(&self.answer_content(answer)?, ANSWER_PART_LEN)?.into_iter().nth(usize::from(number))?;
        Some(AnswerPart { kind, answer: id, part, good_until, answers: answer.replies_to, ..receipt })
    }

    /// The CBOR of an answer, from the event that brought it; `None` once its day is forgotten.
    pub(super) fn answer_content(&self, answer: &AnswerEntry) -> Option<Zeroizing<Vec<u8>>> {
        let (device, seq) = answer.source;
        let record = &self.state.log.get(&device)?.get(usize::try_from(seq.checked_sub(1)?).ok()?)?.record;
        let body = event_body(&self.ring, record)?;
        match Event::parse(&body) {
            Ok(Event::Answer(event)) => Some(Zeroizing::new(event.content)),
            _ => None,
        }
    }
}

fn offer(best: &mut Option<(Rank, Load)>, rank: Rank, load: Load) {
    let id = |load: &Load| load.caller;
    if best.as_ref().is_none_or(|(first, known)| (rank, id(&load)) < (*first, id(known))) {
        *best = Some((rank, load));
    }
}

fn filler(rng: &mut impl CryptoRng) -> DownCell {
    let mut cell = Box::new([0; DOWN_CELL_LEN]);
    rng.fill_bytes(cell.as_mut_slice());
    cell
}
