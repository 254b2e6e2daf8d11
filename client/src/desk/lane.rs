//! The up lane as the desk reads it: every cell opened once, letters joined, team events taken in (SPEC §6).
use crate::desk::{
    Desk, DeskError, Page,
    crowd::{HALF_LETTERS_MAX, MARKS_HALF, Mark, OWN_HALF, TELLINGS_MAX},
    line::secret_name,
    record::{LetterRecord, PartRecord, Record, RelayRecord, ReplyRecord, Sealed},
    state::{AnswerEntry, bound, gist, unseal},
};
use crate::vault::KeyName;
use porchlight_proto::{
    api::LanePage,
    cell::up::{self, LetterPart, Opened, Opener, TeamPart, UpCell},
    cert::Role,
    event::{AnswerEvent, AnswerId, AnswerKind, Event},
    letter::{Letter, Session, Withdraw},
    line::CallerId,
    parts::Part,
    roster::SignedRoster,
    seal::{SealingSecret, Use},
    time::{Millis, Seconds},
};
use rand_core::CryptoRng;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Open pages of one phrase that are kept apart: tabs and phones. With one more, the page not heard for longest is forgotten.
pub(super) const PAGES_MAX: usize = 4;
/// Seconds by which a cell's own time may lie before its arrival for its page still to count as open.
const FRESH: u64 = 1800;
/// Days for which answers are kept at least: the longest an answer lives, and one.
const ANSWER_DAYS: u32 = 31;
/// Days for which a desk keeps letters and notes unless the line says otherwise.
pub const KEEP_DAYS_USUAL: u32 = 14;
/// Withdrawal flags (SPEC §7).
const WITHDRAWN: u8 = 1;
const TOO_LATE: u8 = 2;
/// Seconds for which an answer that only tells of a withdrawal goes on being sent.
const TELLING_LIFE: u64 = 7 * 86_400;

/// What a page of the lane held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Letters that are now whole.
    pub letters: usize,
    /// Events of colleagues that are new.
    pub events: usize,
    /// Cells that opened.
    pub opened: usize,
    /// Cells that did not: dummies of others, safeguarding letters, junk. Nothing to report.
    pub unreadable: usize,
    /// Cells that had been seen before.
    pub repeated: usize,
    /// Cells of letters that found no room: not held, not receipted, and sent again by their page.
    pub refused: usize,
    /// Whether there may be more to fetch at once.
    pub more: bool,
}

/// The period, the use and the content of a cell that opened.
type OpenedCell = (u32, (Use, Opened));

/// What one cell was.
pub(super) enum Cell {
    Letter,
    Event,
    Other,
    Repeated,
    Refused,
}

impl Desk {
    /// The lane's life and the position after which to read on.
    #[must_use]
    pub fn after(&self, relay: u8) -> (u64, u64) {
        self.state.relays.get(&relay).map_or((0, 0), |relay| (relay.life, relay.position))
    }

    /// Opens every cell of a page and takes in what they say. A page read before changes nothing.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoLine`]; [`DeskError::KeyMissing`]. No cell is an error: one that does not open is nothing.
    pub fn take_page(&mut self, relay: u8, page: &LanePage, now: Millis, rng: &mut impl CryptoRng) -> Result<Taken, DeskError> {
        self.presence.listening_since.entry(relay).or_insert(now);
        let mut taken = Taken { more: !page.cells.is_empty(), ..Taken::default() };
        let mut seen: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
        for cell in &page.cells {
            match self.take_lane_cell(cell, now, &mut seen, rng)? {
                None => taken.unreadable += 1,
                Some(cell) => {
                    taken.opened += 1;
                    match cell {
                        Cell::Letter => taken.letters += 1,
                        Cell::Event => taken.events += 1,
                        Cell::Repeated => taken.repeated += 1,
                        Cell::Refused => taken.refused += 1,
                        Cell::Other => {}
                    }
                }
            }
        }
        for (period, hashes) in seen {
            self.pending.push(Record::Replayed(period, hashes));
        }
        let known = self.state.relays.get(&relay).copied();
        self.note_gap(known, page, now.seconds());
        self.move_on(relay, known.unwrap_or_default(), page, now.seconds());
        // Cells may have come before the secret that opens them: what was opened already is only passed over.
        // Each lane by its own relay's clock: two may stand on either side of a day's beginning.
        let made_up = |lane: &RelayRecord| lane.blind.is_some() && lane.position > 0;
        let is_made_up = !self.lacks_secret(now.seconds()) && self.state.relays.get(&relay).is_some_and(made_up);
        let all = std::mem::take(&mut self.presence.read_again);
        if all || is_made_up {
            taken.more = true;
            for (number, relay) in self.state.relays.clone().into_iter().filter(|(number, _)| all || *number == relay) {
                let blind = relay.blind.or(Some((relay.position, relay.moved)));
                self.commit(Record::Relay(number, RelayRecord { position: 0, blind, ..relay }));
            }
        }
        if !taken.more {
            self.note_lane_read(relay);
        }
        self.settle_if_known(now.seconds());
        if taken.letters > 0 {
            self.decide_withdrawals(now.seconds(), rng)?;
        }
        Ok(taken)
    }

    /// Notes up to where a lane has been read with a page, and from where on a desk secret was lacking.
    fn move_on(&mut self, relay: u8, known: RelayRecord, page: &LanePage, now: Seconds) {
        let position = if page.cells.is_empty() { page.first.saturating_sub(1) } else { page.last() };
        let (moves, begins) = ((known.life, known.position) != (page.life, position), known.life != page.life);
        let lacking = self.lacks_secret(now);
        let blind = match known.blind.filter(|_| !begins) {
            // From the beginning, and nothing is lacking any more.
            Some(_) if known.position == 0 && !lacking => None,
            None if lacking => Some((page.first.saturating_sub(1), if begins { now.0 } else { known.moved })),
            blind => blind,
        };
        if moves || blind != known.blind {
            let moved = if moves { now.0 } else { known.moved };
            self.commit(Record::Relay(relay, RelayRecord { life: page.life, position, moved, blind, ..known }));
        }
    }

    /// Whether callers and colleagues seal, or sealed, to a desk key whose secret has not come to this device.
    fn lacks_secret(&self, now: Seconds) -> bool {
        let lacks = |roster: &SignedRoster| {
            let name = secret_name(roster.period(), roster.desk_key());
            self.ring.key(name).is_none() && !self.period_is_over(roster.period(), now)
        };
        !self.is_safeguarding() && self.state.rosters.iter().any(|roster| roster.not_before() <= now && lacks(roster))
    }

    /// Opens a cell with the desk's secrets of its period, else with this device's own.
    pub(super) fn take_cell(
        &mut self,
        cell: &[u8; 2048],
        now: Millis,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Cell>, DeskError> {
        self.take_lane_cell(cell, now, &mut BTreeMap::new(), rng)
    }

    fn take_lane_cell(
        &mut self,
        cell: &[u8; 2048],
        now: Millis,
        seen: &mut BTreeMap<u32, Vec<u8>>,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Cell>, DeskError> {
        let mark: Mark = up::enc_hash(cell).first_chunk().copied().unwrap_or_default();
        if self.presence.own_cells.remove(&mark) {
            return Ok(Some(Cell::Other));
        }
        let Some((period, opened)) = self.open_cell(cell, now.seconds())? else { return Ok(None) };
        if self.is_strangers_dummy(&opened) {
            // It changes nothing, so that nothing needs to be remembered of it.
            return Ok(Some(Cell::Other));
        }
        if !self.state.replayed.entry(period).or_default().insert(mark, MARKS_HALF) {
            return Ok(Some(Cell::Repeated));
        }
        seen.entry(period).or_default().extend(mark);
        match opened {
            (Use::Desk | Use::Safeguarding, Opened::Letter(caller, part)) => {
                self.take_letter_part(caller, &part, period, now, rng).map(Some)
            }
            (purpose, Opened::Team(part)) => self.take_team(part, purpose, now, rng).map(Some),
            _ => Ok(None),
        }
    }

    fn is_strangers_dummy(&self, opened: &(Use, Opened)) -> bool {
        matches!(opened, (Use::Desk | Use::Safeguarding, Opened::Letter(caller, part)) if part.dummy && !self.state.callers.contains_key(caller))
    }

    /// Remembers team cells that are about to be posted: met again in the lane they need not be opened.
    pub(super) fn note_own_cells(&mut self, cells: &[UpCell]) {
        for cell in cells {
            let mark = up::enc_hash(cell).first_chunk().copied().unwrap_or_default();
            self.presence.own_cells.insert(mark, OWN_HALF);
        }
    }

    /// Tries the secrets whose period has the cell's low byte. A cell that was opened, but breaks a rule, is nothing as well.
    fn open_cell(&mut self, cell: &[u8; 2048], now: Seconds) -> Result<Option<OpenedCell>, DeskError> {
        let line = self.line()?.id;
        let low = up::period_lo(cell);
        let fits = |period: u32| period.to_be_bytes().last() == Some(&low);
        let names: Vec<KeyName> = self.ring.names().collect();
        for name in &names {
            let KeyName::Period(period, _) = name else { continue };
            if !fits(*period) {
                continue;
            }
            let Some(secret) = self.secret(*name) else { continue };
            if let Ok(opened) = up::open(cell, &Opener { line: &line, period: *period, purpose: Use::Desk, secret }) {
                return Ok(Some((*period, (Use::Desk, opened))));
            }
        }
        if self.is_safeguarding() {
            return Ok(self.open_safeguarding(cell, &line, &names, now));
        }
        if !self.has_another_lead() {
            // Direct letters come from leads.
            return Ok(None);
        }
        // Of all that are known, also where a stolen lead's is in force: no two of them have one lowest byte.
        let Some(period) = self.state.periods.keys().rev().copied().find(|period| fits(*period)) else { return Ok(None) };
        for name in names.into_iter().rev().filter(|name| matches!(name, KeyName::Sealing(_))) {
            let Some(secret) = self.secret(name) else { continue };
            if let Ok(opened) = up::open(cell, &Opener { line: &line, period, purpose: Use::Device, secret }) {
                return Ok(Some((period, (Use::Device, opened))));
            }
        }
        Ok(None)
    }

    /// Opens a cell with the keys of the safeguarding person, which no desk has: also one that a lead has not named yet.
    fn open_safeguarding(
        &mut self,
        cell: &[u8; 2048],
        line: &porchlight_proto::line::LineId,
        names: &[KeyName],
        now: Seconds,
    ) -> Option<OpenedCell> {
        let period = self.period_meant(up::period_lo(cell), now)?;
        for name in names.iter().rev().filter(|name| matches!(name, KeyName::Sealing(_))) {
            let Some(secret) = self.secret(*name) else { continue };
            if let Ok(opened) = up::open(cell, &Opener { line, period, purpose: Use::Safeguarding, secret }) {
                return Some((period, (Use::Safeguarding, opened)));
            }
        }
        None
    }

    /// The newest period with this lowest byte that may have begun; none if it is over. Numbers have no gaps, so it need not be
    /// one whose statement this device has seen; and 256 periods are more than a relay keeps anything.
    fn period_meant(&self, low: u8, now: Seconds) -> Option<u32> {
        let begun = self.state.periods.iter().rev().find(|(_, span)| span.begins <= now.0).map(|(period, _)| *period)?;
        let latest = begun.saturating_add(1);
        let [.., latest_low] = latest.to_be_bytes();
        let period = latest.checked_sub(u32::from(latest_low.wrapping_sub(low)))?;
        (!self.period_is_over(period, now)).then_some(period)
    }

    fn has_another_lead(&self) -> bool {
        let me = self.state.line.as_ref().map(|line| line.device);
        self.state.devices.iter().any(|(id, device)| Some(*id) != me && device.cert.role == Role::Lead && !device.record.revoked)
    }

    fn secret(&mut self, name: KeyName) -> Option<&SealingSecret> {
        let seed = self.ring.key(name)?;
        Some(self.secrets.entry(name).or_insert_with(|| SealingSecret::from_seed(seed)))
    }

    fn take_team(&mut self, part: TeamPart, purpose: Use, now: Millis, rng: &mut impl CryptoRng) -> Result<Cell, DeskError> {
        let device = part.device(&self.line()?.id);
        let mine = device == self.line()?.device;
        if !self.is_colleague(device) {
            // What it said before it was revoked some may have heard and others not: all shall.
            let relayed = purpose == Use::Desk && !part.dummy && self.was_held(device, part.device_seq);
            let news = relayed && self.take_team_part(part, now.seconds(), rng)?;
            return Ok(if news { Cell::Event } else { Cell::Other });
        }
        if !mine {
            let heard = self.presence.devices.entry(device).or_default();
            *heard = now.max(*heard);
        }
        if part.dummy {
            return Ok(Cell::Other);
        }
        let news = match purpose {
            Use::Device => self.take_direct(&part, now.seconds()),
            _ => self.take_team_part(part, now.seconds(), rng)?,
        };
        Ok(if news { Cell::Event } else { Cell::Other })
    }

    fn take_letter_part(
        &mut self,
        caller: CallerId,
        part: &LetterPart,
        period: u32,
        now: Millis,
        rng: &mut impl CryptoRng,
    ) -> Result<Cell, DeskError> {
        let cell = self.take_letter_cell(caller, part, period, now, rng)?;
        if self.state.callers.contains_key(&caller) {
            // Of somebody who left nothing here no page is remembered: there is nothing to send to it.
            self.note_page(caller, part, now);
            self.state.hear(caller);
        }
        Ok(cell)
    }

    fn take_letter_cell(
        &mut self,
        caller: CallerId,
        part: &LetterPart,
        period: u32,
        now: Millis,
        rng: &mut impl CryptoRng,
    ) -> Result<Cell, DeskError> {
        let known = self.state.callers.get(&caller).is_some_and(super::state::Caller::has_row);
        if known {
            self.note_seen(caller, part, now.seconds(), rng)?;
        }
        if part.dummy {
            self.note_receipt_known(caller, &part.session, now);
            if known {
                self.note_reply_key(caller, part, period, now.seconds(), rng);
            }
            return Ok(Cell::Other);
        }
        let visit = self.state.callers.get(&caller).and_then(|entry| entry.visits.get(&part.session));
        let (held, nameable) =
            visit.map_or((false, part.seq <= 64), |visit| (visit.have.holds(part.seq), visit.have.can_name(part.seq)));
        if held {
            self.receipt_again(caller, part.session);
            return Ok(Cell::Other);
        }
        if !nameable {
            return Ok(Cell::Other);
        }
        if !self.has_room(caller, usize::from(part.part.parts)) {
            self.note_turned_away(caller, now.seconds());
            return Ok(Cell::Refused);
        }
        let Some(content) = self.join(caller, part, now.seconds(), rng) else { return Ok(Cell::Other) };
        if !self.make_room(caller, usize::from(part.part.parts), now.seconds()) {
            self.give_up_half(caller, (part.session, part.seq));
            self.note_turned_away(caller, now.seconds());
            return Ok(Cell::Refused);
        }
        let sealed = self.seal(&content, &bound::letter(&caller.0, &part.session, part.seq), now.seconds(), rng);
        let trace = Letter::parse(&content).ok().map(|letter| gist(&letter).trace());
        self.commit(Record::Letter(LetterRecord {
            caller: caller.0,
            session: part.session,
            seq: part.seq,
            time: part.time.0,
            received: now.seconds().0,
            content: Some(sealed),
            withdrawn: false,
            trace,
        }));
        self.note_reply_key(caller, part, period, now.seconds(), rng);
        Ok(Cell::Letter)
    }

    /// Whether a letter of so many parts fits into its caller's own share.
    fn has_room(&self, caller: CallerId, parts: usize) -> bool {
        self.state.callers.get(&caller).is_none_or(|entry| entry.footprint.has_room(parts))
    }

    /// A letter found no room. Who is alone has nobody that could have taken it.
    fn note_turned_away(&mut self, caller: CallerId, now: Seconds) {
        if !self.state.turned_away.contains_key(&caller) && !self.colleagues(now).is_empty() {
            self.commit(Record::TurnedAway(caller.0, now.0));
        }
    }

    /// A colleague has to do with her: it may hold letters of hers that found no room here, and were receipted there.
    pub(super) fn note_dealt_with(&mut self, caller: CallerId, now: Seconds) {
        if let Some(since) = self.state.turned_away.get(&caller).copied() {
            self.commit(Record::TurnedAway(caller.0, 0));
            self.commit(Record::Missed(since, now.0));
        }
    }

    /// Makes room for a stranger's letter among those of all strangers; `false` if all of those have been promised to stay.
    fn make_room(&mut self, caller: CallerId, parts: usize, now: Seconds) -> bool {
        if self.knows(caller) {
            return true;
        }
        let Ok(leaving) = self.state.make_room(caller, parts) else { return false };
        for stranger in leaving {
            self.commit(Record::Evicted(stranger.0));
            self.note_turned_away(stranger, now);
            self.presence.pages.remove(&stranger);
        }
        true
    }

    fn give_up_half(&mut self, caller: CallerId, (session, seq): (Session, u16)) {
        if self.state.callers.get(&caller).is_some_and(|entry| entry.waiting.contains_key(&(session, seq))) {
            self.give_up((caller, session, seq));
        }
    }

    /// Gives up a half letter; of a caller who left nothing else, no page is remembered either.
    fn give_up(&mut self, (caller, session, seq): (CallerId, Session, u16)) {
        self.commit(Record::GaveUp(caller.0, session, seq));
        if !self.state.callers.contains_key(&caller) {
            self.presence.pages.remove(&caller);
        }
    }

    /// Keeps a part until the others are there; gives the letter when they are.
    fn join(
        &mut self,
        caller: CallerId,
        part: &LetterPart,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let Part { part: number, parts, bytes } = &part.part;
        if *parts == 1 {
            return Some(bytes.clone());
        }
        let place = (part.session, part.seq);
        let aad = |part: u8| bound::part(&caller.0, &place.0, place.1, part);
        let entry = self.state.callers.get(&caller);
        if let Some(waiting) = entry.and_then(|entry| entry.waiting.get(&place)) {
            let contradicts = waiting.time != part.time.0 || waiting.parts.len() != usize::from(*parts);
            if contradicts || waiting.parts.get(usize::from(*number)).is_some_and(Option::is_some) {
                return None;
            }
            let whole = waiting.parts.iter().enumerate().all(|(at, there)| at == usize::from(*number) || there.is_some());
            if whole {
                let mut letter = Zeroizing::new(Vec::new());
                for (at, there) in (0..).zip(&waiting.parts) {
                    match there {
                        Some(sealed) => letter.extend_from_slice(&unseal(&self.ring, &aad(at), sealed)?),
                        None => letter.extend_from_slice(bytes),
                    }
                }
                return Some(letter);
            }
        } else if let Some(oldest) = entry.filter(|entry| entry.waiting.len() >= HALF_LETTERS_MAX).and_then(oldest_waiting) {
            self.give_up((caller, oldest.0, oldest.1));
        }
        if let Some(half) = self.state.half_to_drop() {
            self.give_up(half);
        }
        let content: Sealed = self.seal(bytes, &aad(*number), now, rng);
        self.commit(Record::Part(PartRecord {
            caller: caller.0,
            session: part.session,
            seq: part.seq,
            part: *number,
            parts: *parts,
            time: part.time.0,
            received: now.0,
            content,
        }));
        None
    }

    /// A page is open: its live key is kept in memory for as long.
    fn note_page(&mut self, caller: CallerId, part: &LetterPart, now: Millis) {
        // A cell that lay on the relay for hours says nothing of now.
        if part.time.0 + FRESH < now.seconds().0 {
            return;
        }
        let page = Page { session: part.session, live_key: part.live_key.clone(), heard: now, idle: part.dummy };
        let pages = self.presence.pages.entry(caller).or_default();
        pages.retain(|known| known.session != page.session);
        if pages.len() >= PAGES_MAX {
            pages.remove(0);
        }
        pages.push(page);
    }

    fn note_reply_key(&mut self, caller: CallerId, part: &LetterPart, period: u32, now: Seconds, rng: &mut impl CryptoRng) {
        let Some(week) = self.week_of(period) else { return };
        let newest = self.state.callers.get(&caller).and_then(|entry| entry.reply.as_ref()).map(|(week, _)| *week);
        // One that no key opens any more is as good as none.
        if newest.is_some_and(|newest| newest >= week) && self.reply_key(caller).is_some() {
            return;
        }
        let key = self.seal(part.reply_key.as_slice(), &bound::reply(&caller.0), now, rng);
        self.commit(Record::Reply(ReplyRecord { caller: caller.0, week, key }));
    }

    /// The week of a period. Of one whose statement this device never saw, because it was away, it is reckoned from the next
    /// that it did see: a week decides nothing but for how long she can be answered.
    fn week_of(&self, period: u32) -> Option<u32> {
        if let Some(span) = self.state.periods.get(&period) {
            return Some(span.week);
        }
        let length = self.state.line.as_ref()?.record.period_s;
        let Some((later, span)) = self.state.periods.range(period.saturating_add(1)..).next() else {
            return self.state.periods.values().last().map(|span| span.week);
        };
        let begins = span.begins.saturating_sub(u64::from(later - period).saturating_mul(length));
        u32::try_from(begins / porchlight_proto::time::WEEK).ok()
    }

    /// She named an answer as shown: it is never sent again.
    fn note_seen(
        &mut self,
        caller: CallerId,
        part: &LetterPart,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), DeskError> {
        self.tell_seen((caller, part.saw), now, rng)
    }

    fn tell_seen(
        &mut self,
        (caller, saw): (CallerId, AnswerId),
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), DeskError> {
        let fresh = self.state.answers.get(&saw).is_some_and(|answer| answer.caller == caller && !answer.seen);
        if !fresh || saw == [0; 8] {
            return Ok(());
        }
        if self.may_speak(now).is_err() {
            self.presence.saw.insert((caller, saw));
            return Ok(());
        }
        self.tell(&Event::Seen { caller, answer: saw }, now, rng)
    }

    /// Whether this device decides what only one should: the pen, or the only one there is.
    pub(super) fn decides(&self, now: Seconds) -> bool {
        self.colleagues(now).is_empty() || self.relays().iter().any(|relay| self.is_pen(relay.number, now.millis()))
    }

    /// Withdraws the letters that callers asked to take back and no worker has been shown; tells them which it was.
    pub(super) fn decide_withdrawals(&mut self, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        if !self.decides(now) || self.may_speak(now).is_err() {
            return Ok(());
        }
        let mut decisions = Vec::new();
        let mut telling = self.strangers_being_told(now);
        for (caller, entry) in self.state.asking.iter().filter_map(|caller| Some((caller, self.state.callers.get(caller)?))) {
            for (session, seq) in entry.asked_back() {
                if entry.withdrawals.contains_key(&(session, seq)) {
                    continue;
                }
                if !entry.footprint.known {
                    // What she asked back is hidden from the board at once; the word of it can wait.
                    if telling >= TELLINGS_MAX {
                        break;
                    }
                    telling += 1;
                }
                let flags = if entry.shown.contains_key(&(session, seq)) { TOO_LATE } else { WITHDRAWN };
                decisions.push((*caller, session, seq, flags));
            }
        }
        for (caller, session, seq, flags) in decisions {
            let mut answer = [0; 8];
            rng.fill_bytes(&mut answer);
            let event = AnswerEvent {
                caller,
                answer,
                content: Vec::new(),
                good_until: now.plus(TELLING_LIFE).to_u32(),
                session,
                seq,
                kind: AnswerKind::Answer,
                flags,
            };
            self.tell(&Event::Answer(event), now, rng)?;
        }
        Ok(())
    }

    /// Strangers to whom word of a withdrawal is on its way: each is an event of the team, and kept.
    fn strangers_being_told(&self, now: Seconds) -> usize {
        let told = |answer: &&AnswerEntry| answer.tells_withdrawal() && !answer.is_over(now.0) && !self.knows(answer.caller);
        self.state.answers.values().filter(told).count()
    }

    /// What the clock asks for: secrets whose time is over are erased, letters whose parts never came are given up,
    /// contents older than the line keeps them are forgotten, withdrawals are decided. Once a minute is often enough.
    ///
    /// # Errors
    ///
    /// [`DeskError::KeyMissing`].
    pub fn tidy(&mut self, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let Some(line) = &self.state.line else { return Ok(()) };
        let patience = line.record.up_ttl_s + 12 * 3600;
        self.erase_secrets(now);
        let mut given_up = Vec::new();
        for (caller, entry) in &self.state.callers {
            let old = entry.waiting.iter().filter(|(_, waiting)| waiting.received + patience < now.0);
            given_up.extend(old.map(|((session, seq), _)| (*caller, *session, *seq)));
        }
        given_up.into_iter().for_each(|half| self.give_up(half));
        self.keep_hand_overs(now, rng);
        let today = u32::try_from(now.0 / 86_400).unwrap_or(u32::MAX);
        self.forget_days_before(today.saturating_sub(self.keep_days()), now, rng);
        self.sweep_forgotten(now);
        self.forget_pages(now.millis());
        self.tidy_turns(now);
        for saw in std::mem::take(&mut self.presence.saw) {
            self.tell_seen(saw, now, rng)?;
        }
        self.decide_withdrawals(now, rng)
    }

    /// Sets for how many days this desk keeps letters and notes.
    pub fn keep_for(&mut self, days: u32) {
        self.commit(Record::Retention(days));
    }
    /// Sets for how many days every device of the team keeps letters and notes.
    ///
    /// # Errors
    ///
    /// [`DeskError::NotALead`]; [`DeskError::BadDays`] for none, or for more than 180.
    pub fn keep_team_for(&mut self, days: u32, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        self.signing()?;
        if !(1..=porchlight_proto::limits::KEEP_DAYS_MAX).contains(&days) {
            return Err(DeskError::BadDays);
        }
        self.tell(&Event::Keep { days }, now, rng)
    }
    /// For how many days this desk keeps letters and notes: what a lead last told the team, else what the line was founded with.
    #[must_use]
    pub fn keep_days(&self) -> u32 {
        let told = self.state.keep.map(|(_, days)| days);
        told.or(self.state.retention_days).unwrap_or(KEEP_DAYS_USUAL)
    }

    /// Forgets every letter and note that was received or written before this day (UTC days since 1970), by forgetting its key.
    /// Answers are kept as long as one may live; where a caller can be answered is kept.
    pub fn forget_days_before(&mut self, day: u32, now: Seconds, rng: &mut impl CryptoRng) {
        self.keep_reply_keys(day, now, rng);
        self.keep_unshown(day, now, rng);
        let answers_before = day.min(u32::try_from(now.0 / 86_400).unwrap_or(u32::MAX).saturating_sub(ANSWER_DAYS));
        let over = |name: &KeyName| match name {
            KeyName::Day(of) => *of < day,
            KeyName::AnswerDay(of) => *of < answers_before,
            _ => false,
        };
        let names: Vec<KeyName> = self.ring.names().filter(over).collect();
        for name in names {
            self.forget_key(name);
        }
    }

    /// Seals anew, under today's key, the reply keys whose day is about to be forgotten.
    fn keep_reply_keys(&mut self, day: u32, now: Seconds, rng: &mut impl CryptoRng) {
        let old = self.state.callers.iter().filter_map(|(caller, entry)| {
            let (week, sealed) = entry.reply.as_ref().filter(|(_, sealed)| sealed.day < day)?;
            Some((*caller, *week, unseal(&self.ring, &bound::reply(&caller.0), sealed)?))
        });
        for (caller, week, key) in old.collect::<Vec<_>>() {
            let key = self.seal(&key, &bound::reply(&caller.0), now, rng);
            self.commit(Record::Reply(ReplyRecord { caller: caller.0, week, key }));
        }
    }

    /// Seals anew, under today's key, letters that nobody has looked at and that are younger than the usual days: a line that keeps
    /// letters for a short time forgets what was read, not what was overlooked.
    fn keep_unshown(&mut self, day: u32, now: Seconds, rng: &mut impl CryptoRng) {
        let young = now.0.saturating_sub(u64::from(KEEP_DAYS_USUAL) * 86_400);
        let mut kept = Vec::new();
        for (caller, entry) in self.state.callers.iter().filter(|(_, entry)| entry.footprint.known) {
            for ((time, session, seq), letter) in &entry.letters {
                let Some(content) = letter.content.as_ref().filter(|content| content.day < day && letter.received >= young)
                else {
                    continue;
                };
                if !entry.shown.contains_key(&(*session, *seq)) {
                    let aad = bound::letter(&caller.0, session, *seq);
                    let Some(plain) = unseal(&self.ring, &aad, content) else { continue };
                    kept.push((*caller, (*time, *session, *seq), letter.received, letter.gist.trace(), plain));
                }
            }
        }
        for (caller, (time, session, seq), received, trace, plain) in kept {
            let content = self.seal(&plain, &bound::letter(&caller.0, &session, seq), now, rng);
            let (caller, content, trace) = (caller.0, Some(content), Some(trace));
            let withdrawn = false;
            self.commit(Record::Letter(LetterRecord { caller, session, seq, time, received, content, withdrawn, trace }));
        }
    }

    /// Live keys of pages that have long been closed are wiped.
    fn forget_pages(&mut self, now: Millis) {
        let patience = FRESH * 1000;
        self.presence.pages.retain(|_, pages| {
            pages.retain(|page| page.heard.0 + patience > now.0);
            !pages.is_empty()
        });
    }
}

fn oldest_waiting(entry: &super::state::Caller) -> Option<(Session, u16)> {
    entry.waiting.iter().min_by_key(|(_, waiting)| waiting.received).map(|(place, _)| *place)
}

/// Whether a letter came before another: by its number within a visit, else by its rounded time and, within that, as they came. The visit's
/// id says nothing of time: it is random.
fn came_before((one, one_came): (&(u64, Session, u16), usize), (other, other_came): (&(u64, Session, u16), usize)) -> bool {
    if one.1 == other.1 { one.2 < other.2 } else { (one.0, one_came) < (other.0, other_came) }
}

impl super::state::Caller {
    /// The letters that she asked to take back: those named, or all before the letter that asked.
    pub(super) fn asked_back(&self) -> Vec<(Session, u16)> {
        let mut asked = Vec::new();
        for (place, letter) in &self.letters {
            match letter.gist.withdraw {
                None => {}
                Some(Withdraw::One(session, seq)) => {
                    asked.extend(self.letters.keys().filter(|(_, s, n)| (*s, *n) == (session, seq)).map(|(_, s, n)| (*s, *n)));
                }
                Some(Withdraw::AllUnshown) => {
                    let before = self.letters.iter().filter(|(other, said)| {
                        (said.gist.says_something || said.withdrawn)
                            && came_before((*other, said.arrival), (place, letter.arrival))
                    });
                    let unshown = before.map(|((_, s, n), _)| (*s, *n)).filter(|named| !self.shown.contains_key(named));
                    asked.extend(unshown);
                }
            }
        }
        asked.sort_unstable();
        asked.dedup();
        asked
    }
}
