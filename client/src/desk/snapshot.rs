//! The board as one device hands it to another: letters, notes, answers and claims, with their words, and what has been promised.
//!
//! Events are believed as those of the lane are, by their signatures and links. Of one whose words are forgotten the trace alone is
//! left: it counts if an event after it that is signed names its hash. Letters count on the word of the colleague who hands them over.
use crate::desk::{
    Desk, DeskError,
    away::SINCE_SLACK,
    record::{EventRecord, LetterRecord, PartRecord, ReceiptRecord, Record, ReplyRecord, Sealed},
    state::{Ask, bound, day, unseal},
    team::parts_of,
};
use crate::vault::{self, KeyName, Record as Plain};
use porchlight_proto::{
    cell::up::{EventStamp, TeamPart},
    event::Event,
    kdf,
    letter::Session,
    limits::BLOB_LEN,
    line::{CallerId, DeviceId, LineId},
    seal::Use,
    sign::PublicKey,
    time::Seconds,
};
use rand_core::CryptoRng;
use std::collections::{BTreeMap, BTreeSet};
use zeroize::{Zeroize, Zeroizing};

impl Desk {
    /// The board, sealed for one device under a key that a desk secret gives.
    pub(super) fn seal_board(
        &self,
        secret: KeyName,
        to: DeviceId,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, DeskError> {
        let seed = self.ring.key(secret).ok_or(DeskError::KeyMissing)?;
        Ok(vault::seal(&board_key(seed), &to.0, &self.board_bytes(now, None)?, rng))
    }

    /// What a device that was away asked for, sealed for it so that it fills whole blobs (SPEC §8.5).
    pub(super) fn seal_board_for(
        &self,
        ask: &Ask,
        secret: KeyName,
        to: DeviceId,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, DeskError> {
        let seed = self.ring.key(secret).ok_or(DeskError::KeyMissing)?;
        let mut plain = self.board_bytes(now, Some(ask))?;
        let whole = (plain.len() + vault::SEAL_LEN).next_multiple_of(BLOB_LEN);
        plain.resize(whole - vault::SEAL_LEN, 0);
        Ok(vault::seal(&board_key(seed), &to.0, &plain, rng))
    }

    /// Opens a board with whichever desk secret opens it, and takes in what this device does not have.
    pub(super) fn open_board(
        &mut self,
        sealed: &[u8],
        me: DeviceId,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), DeskError> {
        let plain = self.opened_board(sealed, me).ok_or(DeskError::BadAdmission)?;
        self.take_board(&plain, now, rng)
    }

    /// A board, if one of the desk secrets held opens it.
    pub(super) fn opened_board(&self, sealed: &[u8], me: DeviceId) -> Option<Plain> {
        let secrets = self.ring.names().filter(|name| matches!(name, KeyName::Period(..)));
        let mut keys = secrets.filter_map(|name| self.ring.key(name)).map(board_key);
        keys.find_map(|key| vault::open(&key, &me.0, sealed))
    }

    /// The board as bytes: all of it, or what somebody who was away asked for.
    pub(super) fn board_bytes(&self, now: Seconds, ask: Option<&Ask>) -> Result<Plain, DeskError> {
        let wanted = |record: &Record| ask.is_none_or(|ask| self.is_asked_for(record, ask));
        let records = self.state.records(now.0).into_iter().filter(wanted);
        let mut records: Vec<Record> = records.filter_map(|record| self.bare(record)).collect();
        let bytes = minicbor::to_vec(&records).map(Zeroizing::new).map_err(|_| DeskError::BadAdmission);
        records.iter_mut().for_each(wipe);
        bytes
    }

    fn is_asked_for(&self, record: &Record, ask: &Ask) -> bool {
        let late = |received: u64| received.saturating_add(SINCE_SLACK) >= ask.since;
        let visit = |caller: &[u8; 16], session| self.state.callers.get(&CallerId(*caller))?.visits.get(session);
        match record {
            Record::Letter(letter) => late(letter.received),
            Record::Part(part) => late(part.received),
            Record::Receipted(caller, session, _) => visit(caller, session).is_some_and(|visit| late(visit.last_received)),
            Record::Event(event) => {
                let author = self.state.line.as_ref().map(|line| DeviceId::of(&line.id, &PublicKey::from_bytes(event.device_pk)));
                author.and_then(|author| ask.held.get(&author)).is_none_or(|held| event.seq > *held)
            }
            // For how long a device keeps letters is its own affair once it is of the team.
            Record::Retention(_) => false,
            _ => true,
        }
    }

    /// A record with its content opened; `None` if it is this device's own business, or nothing of it is left.
    fn bare(&self, record: Record) -> Option<Record> {
        let open = |aad: &[u8], sealed: &Sealed| {
            let bytes = unseal(&self.ring, aad, sealed)?.to_vec();
            Some(Sealed { bytes, ..sealed.clone() })
        };
        let forgotten = |words: &Sealed| Sealed { bytes: Vec::new(), ..words.clone() };
        Some(match record {
            Record::Letter(letter) => {
                let aad = bound::letter(&letter.caller, &letter.session, letter.seq);
                let content = letter.content.as_ref().map(|content| open(&aad, content).unwrap_or_else(|| forgotten(content)));
                Record::Letter(LetterRecord { content, ..letter })
            }
            Record::Part(part) => {
                let aad = bound::part(&part.caller, &part.session, part.seq, part.part);
                let content = open(&aad, &part.content)?;
                Record::Part(PartRecord { content, ..part })
            }
            Record::Reply(reply) => {
                let key = open(&bound::reply(&reply.caller), &reply.key)?;
                Record::Reply(ReplyRecord { key, ..reply })
            }
            Record::Event(event) => {
                let aad = bound::event(&event.device_pk, event.seq);
                let words = event.words.as_ref().map(|words| open(&aad, words).unwrap_or_else(|| forgotten(words)));
                Record::Event(EventRecord { words, ..event })
            }
            Record::Receipted(..) | Record::Promised(_) | Record::Retention(_) | Record::Gone(..) => record,
            _ => return None,
        })
    }

    pub(super) fn take_board(&mut self, plain: &[u8], now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        self.take_board_records(Self::board_records(plain)?, now, rng)
    }

    /// What a board says; zeros may follow.
    pub(super) fn board_records(plain: &[u8]) -> Result<Vec<Record>, DeskError> {
        minicbor::decode(plain).map_err(|_| DeskError::BadAdmission)
    }

    pub(super) fn take_board_records(
        &mut self,
        records: Vec<Record>,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), DeskError> {
        let believed = believed(&records, &self.line()?.id);
        for (at, mut record) in records.into_iter().enumerate() {
            if !matches!(record, Record::Event(_)) || believed.contains(&at) {
                self.take_board_record(&record, now, rng)?;
            }
            wipe(&mut record);
        }
        self.erase_forgotten(now);
        self.adopt_certificate();
        // What waited for events that came with it follows now.
        for device in self.state.devices.keys().copied().collect::<Vec<_>>() {
            self.link(device, now, rng)?;
        }
        Ok(())
    }

    fn take_board_record(&mut self, record: &Record, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        match record {
            Record::Event(event) => self.take_event_over(event, now, rng),
            Record::Letter(letter) => {
                if !self.holds_letter(&letter.caller, &letter.session, letter.seq) {
                    let aad = bound::letter(&letter.caller, &letter.session, letter.seq);
                    let content = letter.content.as_ref().map(|content| self.seal_again(content, &aad, now, rng));
                    self.commit(Record::Letter(LetterRecord { content, ..letter.clone() }));
                }
                Ok(())
            }
            Record::Part(part) if self.holds_letter(&part.caller, &part.session, part.seq) => Ok(()),
            Record::Part(part) => {
                let aad = bound::part(&part.caller, &part.session, part.seq, part.part);
                let content = self.seal_again(&part.content, &aad, now, rng);
                self.commit(Record::Part(PartRecord { content, ..part.clone() }));
                Ok(())
            }
            // A week that has not come would keep out every later key of hers.
            Record::Reply(reply) if self.roster(now).is_ok_and(|roster| reply.week > roster.week().saturating_add(1)) => Ok(()),
            Record::Retention(days) if !(1..=porchlight_proto::limits::KEEP_DAYS_MAX).contains(days) => Ok(()),
            Record::Reply(reply) => {
                let known = self.state.callers.get(&CallerId(reply.caller)).and_then(|caller| caller.reply.as_ref());
                if known.is_none_or(|(week, _)| *week < reply.week) || self.reply_key(CallerId(reply.caller)).is_none() {
                    let key = self.seal_again(&reply.key, &bound::reply(&reply.caller), now, rng);
                    self.commit(Record::Reply(ReplyRecord { key, ..reply.clone() }));
                }
                Ok(())
            }
            Record::Receipted(caller, session, _) if self.has_receipted(caller, session) => Ok(()),
            Record::Receipted(..) | Record::Promised(_) | Record::Retention(_) | Record::Gone(..) => {
                self.commit(record.clone());
                Ok(())
            }
            _ => Err(DeskError::BadAdmission),
        }
    }

    fn holds_letter(&self, caller: &[u8; 16], session: &Session, seq: u16) -> bool {
        let held = self.state.callers.get(&CallerId(*caller)).and_then(|caller| caller.visits.get(session));
        held.is_some_and(|visit| visit.have.holds(seq))
    }

    /// Whether this device knows of a receipt to this visit itself.
    fn has_receipted(&self, caller: &[u8; 16], session: &Session) -> bool {
        let visit = self.state.callers.get(&CallerId(*caller)).and_then(|caller| caller.visits.get(session));
        visit.is_some_and(|visit| visit.receipt != ReceiptRecord::default())
    }

    /// Takes over an event that follows those held. One that is held, or leaves a gap, or does not check, is passed over.
    fn take_event_over(&mut self, event: &EventRecord, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let line = self.line()?.id;
        let device = DeviceId::of(&line, &PublicKey::from_bytes(event.device_pk));
        let log = self.state.log.get(&device);
        let held = log.map_or(0, |log| log.len() as u64);
        let last = log.and_then(|log| log.last());
        let (last, lamport) = last.map_or(([0; 32], 0), |last| (last.record.hash, last.record.lamport));
        let follows = event.seq == held + 1 && event.previous == last && event.lamport > lamport;
        if !follows || !self.state.devices.contains_key(&device) {
            return Ok(());
        }
        let aad = bound::event(&event.device_pk, event.seq);
        let words = event.words.as_ref().map(|words| self.seal_again(words, &aad, now, rng));
        self.commit(Record::Event(EventRecord { words, ..event.clone() }));
        match Event::parse(&event.trace) {
            Ok(Event::Roster(roster)) => self.take_roster(&roster, now),
            _ => Ok(()),
        }
    }

    /// Seals an opened content under this device's own key of the day it came, so that it is forgotten when it is elsewhere.
    /// One that is forgotten has no bytes, and stays so.
    fn seal_again(&mut self, bare: &Sealed, aad: &[u8], now: Seconds, rng: &mut impl CryptoRng) -> Sealed {
        if bare.bytes.is_empty() {
            return bare.clone();
        }
        let under = match bare.under() {
            KeyName::Day(of) => KeyName::Day(of.min(day(now))),
            KeyName::AnswerDay(of) => KeyName::AnswerDay(of.min(day(now))),
            other => other,
        };
        self.seal_under(under, &bare.bytes, aad, rng)
    }
}

fn board_key(seed: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(kdf::hash("desk/board", &[seed]))
}

/// Which of these records are events that the devices they name have written: those that are signed, and those whose hash a later
/// one of them names as the one before it. So nobody makes up what is left of an event whose words are forgotten.
fn believed(records: &[Record], line: &LineId) -> BTreeSet<usize> {
    let mut chains: BTreeMap<[u8; 32], Vec<(u64, usize)>> = BTreeMap::new();
    for (at, record) in records.iter().enumerate() {
        if let Record::Event(event) = record {
            chains.entry(event.device_pk).or_default().push((event.seq, at));
        }
    }
    let mut believed = BTreeSet::new();
    for mut chain in chains.into_values() {
        chain.sort_unstable();
        // The newest first: what it names as the one before it.
        let mut vouched: Option<(u64, [u8; 32])> = None;
        for (seq, at) in chain.into_iter().rev() {
            let Some(Record::Event(event)) = records.get(at) else { continue };
            let named = vouched == Some((seq, event.hash)) && has_hash(event, line);
            if named || words_of(event).is_some_and(|body| is_signed(event, body, line)) {
                believed.insert(at);
                vouched = seq.checked_sub(1).map(|before| (before, event.previous));
            } else {
                vouched = None;
            }
        }
    }
    believed
}

/// The whole body of an event that has come in the open; none if its words are forgotten.
fn words_of(event: &EventRecord) -> Option<&[u8]> {
    match event.words.as_ref().map(|words| words.bytes.as_slice()) {
        Some([]) => None,
        Some(words) => Some(words).filter(|words| porchlight_proto::event::trace(words) == event.trace),
        None => Some(&event.trace),
    }
}

/// Whether an event has the hash it states: of what is left of it.
fn has_hash(event: &EventRecord, line: &LineId) -> bool {
    let stamp = stamp_of(event);
    stamp.hash_of_trace(line, &PublicKey::from_bytes(event.device_pk), &event.body_hash, &event.trace) == event.hash
}

fn stamp_of(event: &EventRecord) -> EventStamp {
    let (device_seq, time) = (event.seq, Seconds(event.time));
    EventStamp { device_seq, previous: event.previous, lamport: event.lamport, time }
}

fn is_signed(event: &EventRecord, body: &[u8], line: &LineId) -> bool {
    let hash = stamp_of(event).hash(line, &PublicKey::from_bytes(event.device_pk), body);
    let whole = kdf::digest(body) == event.body_hash;
    let signed = |parts: Vec<TeamPart>| parts.iter().all(|part| part.check_signature(line, Use::Desk).is_ok());
    hash == event.hash && whole && parts_of(event, body).is_some_and(signed)
}

fn wipe(record: &mut Record) {
    match record {
        Record::Letter(LetterRecord { content: Some(content), .. })
        | Record::Part(PartRecord { content, .. })
        | Record::Reply(ReplyRecord { key: content, .. })
        | Record::Event(EventRecord { words: Some(content), .. }) => content.bytes.zeroize(),
        _ => {}
    }
}
