//! Team events: signed, chained, sent again until every enrolled device has acknowledged them (SPEC §6.2, §8.4).
use crate::desk::{
    Desk, DeskError,
    record::{EventRecord, Record},
    state::{Device, about, bound, caller_key, day, event_body, is_readable},
};
use crate::vault::KeyName;
use porchlight_proto::{
    cell::up::{EventStamp, Recipient, TeamPart, UpCell},
    cert::Role,
    event::{DeskSecret, Event},
    limits::TEAM_PART_LEN,
    line::DeviceId,
    parts::{Join, Joined, Part, cut},
    seal::{SealingKey, SealingSecret, Use},
    sign::PublicKey,
    time::{Millis, Seconds},
};
use rand_core::CryptoRng;
use std::collections::{BTreeMap, HashMap, HashSet};
use zeroize::Zeroizing;

/// Desk beats after which an event that not everyone has acknowledged goes out again.
const RESEND_BEATS: u64 = 12;
/// Desk beats without a cell after which a device counts as silent: five minutes at the usual ten seconds.
pub(super) const SILENT_BEATS: u64 = 30;
/// Desk beats between two acknowledgements of events.
const ACKNOWLEDGE_BEATS: u64 = 6;
/// Seconds between two acknowledgements that only tell how far the lane was opened.
const POSITION_EVERY_S: u64 = 3600;
/// Desk beats after which a desk secret is sent to a device again; nothing acknowledges it, so twice as many each time,
/// up to these seconds.
const SECRET_AGAIN_BEATS: u64 = 12;
const SECRET_EVERY_S: u64 = 3600;
/// No desk secret is sent to a sealing key older than this, in seconds.
pub(super) const SEALING_KEY_AGE_MAX: u64 = 7 * 86_400;
/// Whose sealing key is older than this, in seconds, has not been here for days: nobody waits until it has been sent its secrets.
const THERE_S: u64 = 3 * 86_400;
/// Seconds after which a device of a team renews its sealing key.
pub(super) const SEALING_KEY_EVERY: u64 = 86_400;
/// Events of one device that are under way at one time, from the first that somebody has not acknowledged, and its newest
/// acknowledgement besides.
const SENT_AHEAD: usize = 64;
/// Events of a device that may wait for the ones before them.
const AHEAD_MAX: u64 = 4096;

/// How far a Lamport time may lie above the highest seen.
const LAMPORT_AHEAD_MAX: u64 = 1 << 32;

/// Events whose parts, or predecessors, are missing.
#[derive(Default)]
pub(super) struct Joins {
    parts: BTreeMap<(DeviceId, u64), (Join, Vec<TeamPart>)>,
    whole: BTreeMap<(DeviceId, u64), EventRecordDraft>,
}

impl Joins {
    /// Whether whole events of a device wait for the ones before them.
    pub(super) fn waits_for_others(&self, device: DeviceId) -> bool {
        self.whole.range((device, 0)..=(device, u64::MAX)).next().is_some()
    }
}

/// An event that is whole and signed, before it takes its place in the chain.
pub(super) struct EventRecordDraft {
    stamp: EventStamp,
    device_pk: PublicKey,
    signatures: Vec<u8>,
    body: Zeroizing<Vec<u8>>,
}

/// When each part of an event, and each secret, last went out from this process.
#[derive(Default)]
pub(super) struct Sent {
    parts: HashMap<(DeviceId, u64, u8), Millis>,
    secrets: HashMap<(DeviceId, KeyName, u64), (Millis, u32)>,
    /// Parts whose bundle a relay took.
    told: HashSet<(DeviceId, u64, u8)>,
    /// What the bundle being made carries: sent after all only if its POST succeeds.
    bundle: Carried,
    acknowledged: Option<Millis>,
    acknowledged_count: u64,
    position: Option<Millis>,
}

/// The team letters of one bundle.
#[derive(Debug, Default)]
pub(super) struct Carried {
    parts: Vec<(DeviceId, u64, u8)>,
    secrets: Vec<(DeviceId, KeyName, u64)>,
}

impl Desk {
    /// Writes an event into this device's chain.
    pub(super) fn tell(&mut self, event: &Event, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        self.may_speak(now)?;
        let key = self.device_key()?;
        let line = self.line()?;
        let (id, device) = (line.id, line.device);
        let log = self.state.log.get(&device);
        let previous = log.and_then(|log| log.last()).map_or([0; 32], |last| last.record.hash);
        let stamp = EventStamp {
            device_seq: log.map_or(0, |log| log.len() as u64) + 1,
            previous,
            lamport: self.state.lamport.saturating_add(1),
            time: now,
        };
        let body = Zeroizing::new(event.to_cbor());
        let parts = cut(&body, TEAM_PART_LEN).ok_or(porchlight_proto::letter::ContentError::TooLong)?;
        let signatures =
            parts.into_iter().flat_map(|part| TeamPart::sign(&stamp, part, (&id, Use::Desk), &key).signature).collect();
        let draft = EventRecordDraft { stamp, device_pk: key.public(), signatures, body };
        self.chain(&draft, now, rng)
    }

    fn chain(&mut self, draft: &EventRecordDraft, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let hash = draft.stamp.hash(&self.line()?.id, &draft.device_pk, &draft.body);
        let event = Event::parse(&draft.body).ok();
        let trace = event.as_ref().and_then(Event::without_words);
        let aad = bound::event(draft.device_pk.as_bytes(), draft.stamp.device_seq);
        let under = event.as_ref().map_or(KeyName::Day(day(now)), |event| kept_under(event, now));
        let words = trace.is_some().then(|| self.seal_under(under, &draft.body, &aad, rng));
        let trace = trace.map_or_else(|| draft.body.to_vec(), |trace| trace.to_cbor());
        self.commit(Record::Event(EventRecord {
            device_pk: *draft.device_pk.as_bytes(),
            seq: draft.stamp.device_seq,
            previous: draft.stamp.previous,
            lamport: draft.stamp.lamport,
            time: draft.stamp.time.0,
            signatures: draft.signatures.clone(),
            trace,
            words,
            hash,
            body_hash: porchlight_proto::kdf::digest(&draft.body),
        }));
        let mine = self.line()?.device_cert.device_pk == draft.device_pk;
        for caller in event.as_ref().filter(|_| !mine).map(about).into_iter().flatten() {
            self.note_dealt_with(caller, now);
        }
        self.erase_forgotten(now);
        self.adopt_certificate();
        match event {
            Some(Event::Roster(roster)) => self.take_roster(&roster, now),
            _ => Ok(()),
        }
    }

    /// Takes a part of a colleague's event, or of this device's own from before a backup was restored. Whether it is news.
    pub(super) fn take_team_part(&mut self, part: TeamPart, now: Seconds, rng: &mut impl CryptoRng) -> Result<bool, DeskError> {
        let device = part.device(&self.line()?.id);
        let held = self.state.log.get(&device).map_or(0, |log| log.len() as u64);
        let place = (device, part.device_seq);
        if part.device_seq > held + 1 && part.part.parts == 1 {
            self.state.heard_ahead(device, &part.part.bytes);
        }
        if self.doubtful()
            && device != self.line()?.device
            && let Ok(Event::Acknowledge { life, position, .. }) = Event::parse(&part.part.bytes)
        {
            self.note_acknowledgement(device, life, position);
        }
        if part.device_seq <= held || part.device_seq > held + AHEAD_MAX {
            return Ok(false);
        }
        if self.presence.parts.whole.contains_key(&place) {
            // It may follow by now: what was lacking came with a board.
            return self.link(device, now, rng);
        }
        let entry = self.presence.parts.parts.entry(place).or_insert_with(|| (Join::of(part.part.parts), Vec::new()));
        if entry.1.first().is_some_and(|first| !same_event(first, &part)) {
            return Ok(false);
        }
        let joined = entry.0.take(&part.part);
        if entry.1.iter().all(|known| known.part.part != part.part.part) {
            entry.1.push(part);
        }
        let Joined::Whole(body) = joined else { return Ok(false) };
        let Some((_, mut parts)) = self.presence.parts.parts.remove(&place) else { return Ok(false) };
        parts.sort_by_key(|part| part.part.part);
        parts.dedup_by_key(|part| part.part.part);
        let Some(first) = parts.first() else { return Ok(false) };
        let stamp =
            EventStamp { device_seq: first.device_seq, previous: first.previous, lamport: first.lamport, time: first.time };
        let signatures = parts.iter().flat_map(|part| part.signature).collect();
        let draft = EventRecordDraft { stamp, device_pk: first.device_pk, signatures, body };
        self.presence.parts.whole.insert(place, draft);
        self.link(device, now, rng)
    }

    /// Puts the events that now follow without a gap, and name the one before them, into the chain.
    pub(super) fn link(&mut self, device: DeviceId, now: Seconds, rng: &mut impl CryptoRng) -> Result<bool, DeskError> {
        let mut news = false;
        loop {
            let log = self.state.log.get(&device);
            let held = log.map_or(0, |log| log.len() as u64);
            let (last, lamport) =
                log.and_then(|log| log.last()).map_or(([0; 32], 0), |last| (last.record.hash, last.record.lamport));
            let place = (device, held + 1);
            let Some(draft) = self.presence.parts.whole.get(&place) else { return Ok(news) };
            if draft.stamp.lamport > self.state.lamport.saturating_add(LAMPORT_AHEAD_MAX) {
                // It would leave no numbers to those who speak after it.
                return Ok(news);
            }
            let follows = draft.stamp.previous == last && draft.stamp.lamport > lamport;
            let Some(draft) = self.presence.parts.whole.remove(&place).filter(|_| follows) else {
                // Another history of this device than the one held: the first stays.
                return Ok(news);
            };
            self.chain(&draft, now, rng)?;
            news = true;
        }
    }

    /// The other devices of the team: enrolled, not revoked, their certificate neither run out nor of a voided generation.
    pub(super) fn colleagues(&self, now: Seconds) -> Vec<DeviceId> {
        let me = self.state.line.as_ref().map(|line| line.device);
        if self.is_safeguarding() {
            return Vec::new();
        }
        let living = self
            .state
            .devices
            .iter()
            .filter(|(id, device)| Some(**id) != me && device.cert.not_after > now && self.is_colleague(**id))
            .filter(|(id, _)| self.state.is_valid(**id));
        living.map(|(id, _)| *id).collect()
    }

    /// Whether a device of the team signed it. Whoever looks after safeguarding has no say in the team.
    pub(super) fn is_colleague(&self, device: DeviceId) -> bool {
        let of_team = |device: &Device| !device.record.revoked && device.cert.role != Role::Safeguarding;
        self.state.devices.get(&device).is_some_and(of_team)
    }

    /// Whether a colleague has been heard of lately.
    pub(super) fn is_online(&self, device: DeviceId, relay: u8, now: Millis) -> bool {
        let silence = SILENT_BEATS * self.beat_every(relay).0;
        self.presence.devices.get(&device).is_some_and(|heard| heard.0 + silence > now.0)
    }

    /// The two team cells of a bundle: what is due, else dummies.
    pub(super) fn team_cells(&mut self, relay: u8, now: Millis, rng: &mut impl CryptoRng) -> Result<[UpCell; 2], DeskError> {
        self.presence.sent.bundle = Carried::default();
        self.speak_if_due(relay, now, rng)?;
        if self.is_safeguarding() {
            return Ok([self.outside_cell(now.seconds(), rng)?, self.outside_cell(now.seconds(), rng)?]);
        }
        // Neither waits behind the other.
        let secret = self.secret_cell(relay, now, rng)?;
        let first = self.team_cell(secret, relay, now, rng)?;
        let part = self.due_part(relay, now);
        let secret = if part.is_none() { self.secret_cell(relay, now, rng)? } else { None };
        Ok([first, self.cell_of(secret, part, now, rng)?])
    }

    /// What the team cells just made carry.
    pub(super) fn carried(&mut self) -> Carried {
        std::mem::take(&mut self.presence.sent.bundle)
    }

    /// A relay took a bundle: what it carried has been told once.
    pub(super) fn note_told(&mut self, carried: &Carried) {
        self.presence.sent.told.extend(&carried.parts);
        for (colleague, name, _) in &carried.secrets {
            self.note_secret_told(*colleague, *name);
        }
    }

    pub(super) fn note_secret_told(&mut self, colleague: DeviceId, name: KeyName) {
        if let KeyName::Period(period, mark) = name
            && !self.is_secret_told(colleague, name)
        {
            self.commit(Record::SecretTold(colleague.0, period, mark));
        }
    }

    fn is_secret_told(&self, colleague: DeviceId, name: KeyName) -> bool {
        matches!(name, KeyName::Period(period, mark) if self.state.told_secrets.contains(&(colleague, period, mark)))
    }

    /// Whether something this device did has colleagues to hear of it, who have not acknowledged it, and no relay has taken it
    /// from this process yet. Mere acknowledgements do not count, nor do desk secrets ([`Self::has_untold_secrets`]).
    #[must_use]
    pub fn untold(&self, now: Seconds) -> bool {
        self.has_untold_events(now) || self.roster_to_tell(now).is_some()
    }

    /// Whether this lead has signed rosters whose desk secrets no relay has taken for some colleague yet. Callers seal to them at once,
    /// so as long as this is so, this device alone may be able to open what they write. Who has not been here for three days does
    /// not count: nobody knows when it comes back, and it is sent them all the same.
    #[must_use]
    pub fn has_untold_secrets(&self, now: Seconds) -> bool {
        let Ok((_, cert)) = self.signing() else { return false };
        let is_there = |id: &DeviceId| {
            self.state
                .devices
                .get(id)
                .is_some_and(|device| now.0 < device.record.sealing_since + THERE_S && device.sealing.is_some())
        };
        let there: Vec<DeviceId> = self.colleagues(now).into_iter().filter(is_there).collect();
        let living = self.living(now);
        let signed = living.iter().filter(|roster| roster.desk_cert().desk_pk == cert.desk_pk);
        let mut secrets = signed.map(|roster| super::line::secret_name(roster.period(), roster.desk_key()));
        secrets.any(|name| there.iter().any(|id| !self.is_secret_told(*id, name)))
    }

    fn has_untold_events(&self, now: Seconds) -> bool {
        let Some(me) = self.state.line.as_ref().map(|line| line.device) else { return false };
        let colleagues = self.colleagues(now);
        // What one of them holds, some relay has taken: one that is away and lacks it all leaves nothing untold.
        if colleagues.is_empty() {
            return false;
        }
        // More than there is nobody holds, whatever it says.
        let all = self.state.log.get(&me).map_or(0, |log| log.len() as u64);
        let held = colleagues.iter().map(|colleague| self.held_by(*colleague, me)).filter(|held| *held <= all);
        let held = held.max().unwrap_or(0);
        let mine = self.state.log.get(&me).into_iter().flatten().skip(usize::try_from(held).unwrap_or(usize::MAX));
        let told = |seq: u64, parts: usize| (0u8..).take(parts).all(|part| self.presence.sent.told.contains(&(me, seq, part)));
        let mut speaking = mine.filter(|event| !event.acknowledgement && is_readable(&self.ring, &event.record));
        speaking.any(|event| !told(event.record.seq, event.record.signatures.len() / 64))
    }

    /// Whether a device that was revoked said this before: then a colleague who is still here has held it, and has said so.
    pub(super) fn was_held(&self, author: DeviceId, seq: u64) -> bool {
        let me = self.state.line.as_ref().map(|line| line.device);
        let living =
            self.state.devices.iter().filter(|(id, device)| Some(**id) != me && **id != author && !device.record.revoked);
        self.state.devices.contains_key(&author)
            && living.filter_map(|(_, device)| device.held.get(&author)).any(|held| seq <= *held)
    }

    /// A bundle was lost: what it carried goes again at once.
    pub(super) fn carry_again(&mut self, carried: &Carried) {
        for part in &carried.parts {
            self.presence.sent.parts.remove(part);
        }
        for secret in &carried.secrets {
            self.presence.sent.secrets.remove(secret);
        }
    }

    fn team_cell(
        &mut self,
        secret: Option<UpCell>,
        relay: u8,
        now: Millis,
        rng: &mut impl CryptoRng,
    ) -> Result<UpCell, DeskError> {
        let part = if secret.is_none() { self.due_part(relay, now) } else { None };
        self.cell_of(secret, part, now, rng)
    }

    fn cell_of(
        &self,
        secret: Option<UpCell>,
        part: Option<TeamPart>,
        now: Millis,
        rng: &mut impl CryptoRng,
    ) -> Result<UpCell, DeskError> {
        if let Some(cell) = secret {
            return Ok(cell);
        }
        let part = match part {
            Some(part) => part,
            None => TeamPart::dummy(now.seconds(), (&self.line()?.id, Use::Desk), &self.device_key()?, rng),
        };
        let (period, key) = self.team_key(now.seconds())?;
        Ok(part.seal(&Recipient { line: &self.line()?.id, period, purpose: Use::Desk, key: &key }, rng))
    }

    /// The desk key to which this device seals what is for its colleagues: that of the roster in force. Where the root has voided that
    /// roster and this device lacks its secret, the newest one that it has: a stolen lead can sign one that nobody else can open.
    fn team_key(&self, now: Seconds) -> Result<(u32, SealingKey), DeskError> {
        let roster = self.roster(now)?;
        let in_force = (roster.period(), roster.desk_key().clone());
        let is_voided = roster.generation() < self.line()?.desk_cert.generation;
        if !is_voided || self.ring.key(super::line::secret_name(in_force.0, &in_force.1)).is_some() {
            return Ok(in_force);
        }
        let held = self.ring.names().filter_map(|name| match name {
            KeyName::Period(period, _) if period <= in_force.0 && !self.period_is_over(period, now) => Some((period, name)),
            _ => None,
        });
        let newest = held.max_by_key(|(period, _)| *period).and_then(|(period, name)| Some((period, self.ring.key(name)?)));
        Ok(newest.map_or(in_force, |(period, seed)| (period, SealingSecret::from_seed(seed).public().clone())))
    }

    /// A team cell of a mailbox outside the team: a dummy to its own key, so that no desk sees when somebody is there.
    fn outside_cell(&self, now: Seconds, rng: &mut impl CryptoRng) -> Result<UpCell, DeskError> {
        let roster = self.roster(now)?;
        let to = Recipient { line: roster.line(), period: roster.period(), purpose: Use::Device, key: roster.safe_key() };
        Ok(TeamPart::dummy(now, (roster.line(), Use::Device), &self.device_key()?, rng).seal(&to, rng))
    }

    /// The next part to send: never sent first, of those what somebody lacks who is there, then what nobody holds, then the one sent longest
    /// ago. Of silent colleagues' events as of our own. Each colleague has a window of its own: one that is away holds up nobody else.
    fn due_part(&mut self, relay: u8, now: Millis) -> Option<TeamPart> {
        let colleagues = self.colleagues(now.seconds());
        if colleagues.is_empty() {
            return None;
        }
        let again = RESEND_BEATS * self.beat_every(relay).0;
        let me = self.state.line.as_ref()?.device;
        let mut due: Option<(bool, bool, bool, Millis, DeviceId, u64, u8)> = None;
        for (author, log) in &self.state.log {
            if *author != me && self.is_online(*author, relay, now) {
                continue;
            }
            // Up to where each of them holds it, and whether one of those is there.
            let mut windows: BTreeMap<u64, bool> = BTreeMap::new();
            for colleague in colleagues.iter().filter(|colleague| *colleague != author) {
                *windows.entry(self.held_by(*colleague, *author)).or_default() |= self.is_online(*colleague, relay, now);
            }
            let most = windows.keys().last().copied().unwrap_or(0);
            let readable = |logged: &&super::state::Logged| is_readable(&self.ring, &logged.record);
            for (held, is_there) in windows {
                let first = usize::try_from(held).unwrap_or(usize::MAX);
                // The newest acknowledgement goes as well: it is an event like others, and those of two devices must not wait for
                // each other behind what both have and cannot say so.
                let newest = log.iter().skip(first.saturating_add(SENT_AHEAD)).rev().find(|event| event.acknowledgement);
                for logged in log.iter().skip(first).take(SENT_AHEAD).chain(newest).filter(readable) {
                    for part in 0..u8::try_from(logged.record.signatures.len() / 64).unwrap_or(32) {
                        let sent = self.presence.sent.parts.get(&(*author, logged.record.seq, part)).copied();
                        let ripe = sent.is_none_or(|sent| sent.0 + again <= now.0);
                        // Whoever is there hears them in their order; if nobody is, what nobody holds is what must not wait.
                        let is_held = !is_there && logged.record.seq <= most;
                        let candidate =
                            (sent.is_some(), !is_there, is_held, sent.unwrap_or_default(), *author, logged.record.seq, part);
                        if ripe && due.is_none_or(|best| candidate < best) {
                            due = Some(candidate);
                        }
                    }
                }
            }
        }
        let (.., author, seq, part) = due?;
        self.presence.sent.parts.insert((author, seq, part), now);
        self.presence.sent.bundle.parts.push((author, seq, part));
        self.part_of(author, seq, part)
    }

    pub(super) fn held_by(&self, colleague: DeviceId, author: DeviceId) -> u64 {
        self.state.devices.get(&colleague).and_then(|device| device.held.get(&author)).copied().unwrap_or(0)
    }

    pub(super) fn part_of(&self, author: DeviceId, seq: u64, part: u8) -> Option<TeamPart> {
        let log = self.state.log.get(&author)?;
        let record = &log.get(usize::try_from(seq.checked_sub(1)?).ok()?)?.record;
        let body = event_body(&self.ring, record)?;
        parts_of(record, &body)?.into_iter().nth(usize::from(part))
    }

    /// Events that the time asks for: a new sealing key each day, acknowledgements.
    fn speak_if_due(&mut self, relay: u8, now: Millis, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        if self.colleagues(now.seconds()).is_empty() || self.doubtful() {
            return Ok(());
        }
        if now.seconds().0 >= self.line()?.record.sealing_since + SEALING_KEY_EVERY {
            self.renew_sealing_key(now.seconds(), rng)?;
        }
        if !self.has_untold_events(now.seconds())
            && let Some(key) = self.seat_key_to_tell()
        {
            self.tell(&Event::SeatKey(*key.as_bytes()), now.seconds(), rng)?;
        }
        // One after the other, so that what people do does not wait behind all of them.
        if !self.has_untold_events(now.seconds())
            && let Some(roster) = self.roster_to_tell(now.seconds())
        {
            self.tell(&Event::Roster(roster), now.seconds(), rng)?;
        }
        let held: u64 = self.spoken_by_others();
        let sent = &self.presence.sent;
        let since = |last: Option<Millis>, ms: u64| last.is_none_or(|last| last.0 + ms <= now.0);
        let news = held != sent.acknowledged_count && since(sent.acknowledged, ACKNOWLEDGE_BEATS * self.beat_every(relay).0);
        if news || since(sent.position, POSITION_EVERY_S * 1000) {
            self.acknowledge(relay, now, rng)?;
            self.presence.sent.acknowledged = Some(now);
            self.presence.sent.position = Some(now);
            self.presence.sent.acknowledged_count = held;
        }
        Ok(())
    }

    /// How many events of colleagues are held that ask for an acknowledgement: not acknowledgements themselves.
    fn spoken_by_others(&self) -> u64 {
        let me = self.state.line.as_ref().map(|line| line.device);
        let others = self.state.log.iter().filter(|(author, _)| Some(**author) != me);
        others.map(|(_, log)| log.iter().filter(|event| !event.acknowledgement).count() as u64).sum()
    }

    fn acknowledge(&mut self, relay: u8, now: Millis, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let held = self.state.log.iter().map(|(author, log)| (*author, log.len() as u64)).collect();
        let lane = self.state.relays.get(&relay).copied().unwrap_or_default();
        let event = Event::Acknowledge { held, life: lane.life.to_be_bytes(), position: lane.opened() };
        self.tell(&event, now.seconds(), rng)
    }

    fn renew_sealing_key(&mut self, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let secret = SealingSecret::generate(rng);
        let mut record = self.line()?.record.clone();
        record.sealing_number += 1;
        record.sealing_since = now.0;
        self.put_key(KeyName::Sealing(record.sealing_number), secret.seed());
        self.tell(&Event::DeviceKey(Box::new(*secret.public().as_bytes())), now, rng)?;
        self.commit(Record::Line(Box::new(record)));
        Ok(())
    }

    /// A desk secret that a colleague has not been sent, or not for an hour, sealed to its own key.
    fn secret_cell(&mut self, relay: u8, now: Millis, rng: &mut impl CryptoRng) -> Result<Option<UpCell>, DeskError> {
        if self.line()?.device_cert.role != Role::Lead {
            return Ok(None);
        }
        let Some((recipient, name, since)) = self.due_secret(relay, now) else { return Ok(None) };
        let sent = self.presence.sent.secrets.entry((recipient, name, since)).or_default();
        *sent = (now, sent.1.saturating_add(1));
        self.presence.sent.bundle.secrets.push((recipient, name, since));
        self.direct(recipient, name, now.seconds(), rng)
    }

    /// The secret to send next: one that was never sent to that device before all, then that of the roster in force, then those of
    /// rosters that no other has voided, then those sent least often, the nearest period first. With a week of rosters made anew, many
    /// wait, and callers seal to today's.
    fn due_secret(&self, relay: u8, now: Millis) -> Option<(DeviceId, KeyName, u64)> {
        let fresh = |seconds: u64| now.seconds().0 < seconds + SEALING_KEY_AGE_MAX;
        let in_force = self.roster(now.seconds()).ok().map(|roster| super::line::secret_name(roster.period(), roster.desk_key()));
        let pause = |times: u32| {
            (SECRET_AGAIN_BEATS * self.beat_every(relay).0).saturating_mul(1 << times.min(16)).min(SECRET_EVERY_S * 1000)
        };
        let secrets = self.living_secrets(now.seconds());
        let living: Vec<KeyName> = self
            .living(now.seconds())
            .iter()
            .map(|roster| super::line::secret_name(roster.period(), roster.desk_key()))
            .collect();
        let mut due = Vec::new();
        for colleague in self.colleagues(now.seconds()) {
            let Some(device) = self.state.devices.get(&colleague).filter(|device| fresh(device.record.sealing_since)) else {
                continue;
            };
            for name in &secrets {
                let key = (colleague, *name, device.record.sealing_since);
                let (sent, times) = self.presence.sent.secrets.get(&key).copied().unwrap_or_default();
                if times == 0 || sent.0 + pause(times) <= now.0 {
                    let (is_told, is_void) = (self.is_secret_told(colleague, *name), !living.contains(name));
                    due.push(((is_told, Some(*name) != in_force, is_void, times, *name, colleague), key));
                }
            }
        }
        due.into_iter().min_by_key(|(rank, _)| *rank).map(|(_, key)| key)
    }

    /// The desk secrets of periods of which a relay may still hold cells, also those whose roster has been voided: an open page may
    /// still seal to them. A device that was away when keys were replaced needs those of days that are past as well.
    fn living_secrets(&self, now: Seconds) -> Vec<KeyName> {
        let lives = |name: &KeyName| matches!(name, KeyName::Period(period, _) if !self.period_is_over(*period, now));
        self.ring.names().filter(lives).collect()
    }

    /// Seals one desk secret to a colleague's sealing key, under the next number of direct letters to it.
    pub(super) fn direct(
        &mut self,
        recipient: DeviceId,
        name: KeyName,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<UpCell>, DeskError> {
        let (KeyName::Period(period, _), Some(seed)) = (name, self.ring.key(name)) else { return Ok(None) };
        let body = Zeroizing::new(Event::Secret(DeskSecret { period, seed: Zeroizing::new(*seed) }).to_cbor());
        let number = self.state.direct_counts.get(&recipient).copied().unwrap_or(1);
        self.commit(Record::DirectCount(recipient.0, number + 1));
        let Some(to) = self.state.devices.get(&recipient).map(|device| device.cert.device_pk) else { return Ok(None) };
        let line = self.line()?;
        let previous = EventStamp::direct(&line.id, &to);
        let stamp = EventStamp { device_seq: number, previous, lamport: self.state.lamport, time: now };
        let part = Part { part: 0, parts: 1, bytes: body };
        let part = TeamPart::sign(&stamp, part, (&line.id, Use::Device), &self.device_key()?);
        let period = self.roster(now).map_or(period, porchlight_proto::roster::SignedRoster::period);
        let Some(key) = self.state.devices.get(&recipient).and_then(|device| device.sealing.as_ref()) else { return Ok(None) };
        Ok(Some(part.seal(&Recipient { line: &line.id, period, purpose: Use::Device, key }, rng)))
    }

    /// Takes a direct letter to this device: a desk secret from a lead, who signs the rosters as well. One that names the key may
    /// come later, or never: a roster that was voided still has open pages that seal to it.
    pub(super) fn take_direct(&mut self, part: &TeamPart, now: Seconds) -> bool {
        let Some(line) = &self.state.line else { return false };
        let from = self.state.devices.get(&part.device(&line.id));
        let by_lead = from.is_some_and(|device| device.cert.role == Role::Lead);
        if !by_lead || part.part.parts != 1 || part.previous != EventStamp::direct(&line.id, &line.device_cert.device_pk) {
            return false;
        }
        let Ok(Event::Secret(secret)) = Event::parse(&part.part.bytes) else { return false };
        let key = SealingSecret::from_seed(&secret.seed);
        let name = super::line::secret_name(secret.period, key.public());
        if self.ring.key(name).is_some() {
            return false;
        }
        self.put_key(name, &secret.seed);
        self.presence.read_again |= self.state.periods.get(&secret.period).is_none_or(|span| span.begins <= now.0);
        true
    }
}

/// The parts of an event whose body is known, with the signatures it came with; `None` if there are not as many.
pub(super) fn parts_of(record: &EventRecord, body: &[u8]) -> Option<Vec<TeamPart>> {
    let parts = cut(body, TEAM_PART_LEN)?;
    let signatures = record.signatures.chunks_exact(64);
    if signatures.len() != parts.len() {
        return None;
    }
    let signed = |(part, signature): (_, &[u8])| {
        Some(TeamPart {
            dummy: false,
            device_pk: PublicKey::from_bytes(record.device_pk),
            device_seq: record.seq,
            previous: record.previous,
            lamport: record.lamport,
            time: Seconds(record.time),
            part,
            signature: signature.try_into().ok()?,
        })
    };
    parts.into_iter().zip(signatures).map(signed).collect()
}

/// The key under which an event's words are kept: its own day's, or what is known of a caller.
fn kept_under(event: &Event, now: Seconds) -> KeyName {
    match event {
        Event::Answer(_) => KeyName::AnswerDay(day(now)),
        Event::Known { caller, .. } | Event::Question { caller, .. } | Event::Wish { caller, .. } => caller_key(*caller),
        _ => KeyName::Day(day(now)),
    }
}

/// Whether two parts belong to one event.
fn same_event(a: &TeamPart, b: &TeamPart) -> bool {
    (a.device_pk, a.device_seq, a.previous, a.lamport, a.time, a.part.parts)
        == (b.device_pk, b.device_seq, b.previous, b.lamport, b.time, b.part.parts)
}
