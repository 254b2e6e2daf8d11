//! The board as one device hands it to another: letters, notes, answers and claims, with their words, and what has been promised.
//!
//! Events are believed as those of the lane are, by their signatures and links. Only of one whose words are forgotten the
//! trace alone is left: that one counts on the word of the colleague who hands it over, as all letters do.
use crate::desk::{
    Desk, DeskError,
    record::{EventRecord, LetterRecord, PartRecord, Record, ReplyRecord, Sealed},
    state::{bound, unseal, without_words},
    team::parts_of,
};
use crate::vault::{self, KeyName, Record as Plain};
use porchlight_proto::{
    cell::up::{EventStamp, TeamPart},
    event::Event,
    kdf,
    line::{CallerId, DeviceId, LineId},
    seal::Use,
    sign::PublicKey,
    time::Seconds,
};
use rand_core::CryptoRng;
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
        Ok(vault::seal(&board_key(seed), &to.0, &self.board_bytes(now)?, rng))
    }

    /// Opens a board with whichever desk secret opens it, and takes in what this device does not have.
    pub(super) fn open_board(
        &mut self,
        sealed: &[u8],
        me: DeviceId,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), DeskError> {
        let secrets = self.ring.names().filter(|name| matches!(name, KeyName::Period(..)));
        let keys = secrets.filter_map(|name| self.ring.key(name)).map(board_key);
        let mut opened = keys.filter_map(|key| vault::open(&key, &me.0, sealed));
        let plain = opened.next().ok_or(DeskError::BadAdmission)?;
        drop(opened);
        self.take_board(&plain, now, rng)
    }

    pub(super) fn board_bytes(&self, now: Seconds) -> Result<Plain, DeskError> {
        let mut records: Vec<Record> = self.state.records(now.0).into_iter().filter_map(|record| self.bare(record)).collect();
        let bytes = minicbor::to_vec(&records).map(Zeroizing::new).map_err(|_| DeskError::BadAdmission);
        records.iter_mut().for_each(wipe);
        bytes
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
            Record::Receipted(..) | Record::Promised(_) | Record::Retention(_) => record,
            _ => return None,
        })
    }

    pub(super) fn take_board(&mut self, plain: &[u8], now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let records: Vec<Record> = minicbor::decode(plain).map_err(|_| DeskError::BadAdmission)?;
        for mut record in records {
            self.take_board_record(&record, now, rng)?;
            wipe(&mut record);
        }
        self.adopt_certificate();
        Ok(())
    }

    fn take_board_record(&mut self, record: &Record, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        match record {
            Record::Event(event) => self.take_event_over(event, now, rng),
            Record::Letter(letter) => {
                let held = self.state.callers.get(&CallerId(letter.caller));
                let held = held.and_then(|caller| caller.visits.get(&letter.session));
                if held.is_none_or(|visit| !visit.have.holds(letter.seq)) {
                    let aad = bound::letter(&letter.caller, &letter.session, letter.seq);
                    let content = letter.content.as_ref().map(|content| self.seal_again(content, &aad, now, rng));
                    self.commit(Record::Letter(LetterRecord { content, ..letter.clone() }));
                }
                Ok(())
            }
            Record::Part(part) => {
                let aad = bound::part(&part.caller, &part.session, part.seq, part.part);
                let content = self.seal_again(&part.content, &aad, now, rng);
                self.commit(Record::Part(PartRecord { content, ..part.clone() }));
                Ok(())
            }
            Record::Reply(reply) => {
                let known = self.state.callers.get(&CallerId(reply.caller)).and_then(|caller| caller.reply.as_ref());
                if known.is_none_or(|(week, _)| *week < reply.week) {
                    let key = self.seal_again(&reply.key, &bound::reply(&reply.caller), now, rng);
                    self.commit(Record::Reply(ReplyRecord { key, ..reply.clone() }));
                }
                Ok(())
            }
            Record::Receipted(..) | Record::Promised(_) | Record::Retention(_) => {
                self.commit(record.clone());
                Ok(())
            }
            _ => Err(DeskError::BadAdmission),
        }
    }

    /// Takes over an event that follows those held. One that is held, or leaves a gap, or does not check, is passed over.
    fn take_event_over(&mut self, event: &EventRecord, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let line = self.line()?.id;
        let device = DeviceId::of(&line, &PublicKey::from_bytes(event.device_pk));
        let log = self.state.log.get(&device);
        let held = log.map_or(0, |log| log.len() as u64);
        let last = log.and_then(|log| log.last()).map_or([0; 32], |last| last.record.hash);
        let follows = event.seq == held + 1 && event.previous == last;
        if !follows || !self.state.devices.contains_key(&device) || !is_believed(event, &line) {
            return Ok(());
        }
        let aad = bound::event(&event.device_pk, event.seq);
        let words = event.words.as_ref().map(|words| self.seal_again(words, &aad, now, rng));
        self.commit(Record::Event(EventRecord { words, ..event.clone() }));
        Ok(())
    }

    /// Seals an opened content under this device's own key of the day it came, so that it is forgotten when it is elsewhere.
    /// One that is forgotten has no bytes, and stays so.
    fn seal_again(&mut self, bare: &Sealed, aad: &[u8], now: Seconds, rng: &mut impl CryptoRng) -> Sealed {
        if bare.bytes.is_empty() {
            return bare.clone();
        }
        let today = u32::try_from(now.0 / 86_400).unwrap_or(u32::MAX);
        self.seal_on(bare.day.min(today), &bare.bytes, aad, bare.answer, rng)
    }
}

fn board_key(seed: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(kdf::hash("desk/board", &[seed]))
}

/// Whether the device that it names wrote this event. Its body is what is signed; of one whose words are forgotten the trace
/// alone is left, and only what can have had words has one.
fn is_believed(event: &EventRecord, line: &LineId) -> bool {
    let words = event.words.as_ref().map(|words| words.bytes.as_slice());
    let trace_of = |body: &[u8]| Event::parse(body).ok().and_then(|event| without_words(&event)).map(|trace| trace.to_cbor());
    match words {
        Some([]) => trace_of(&event.trace).is_some(),
        Some(words) => is_signed(event, words, line) && trace_of(words).as_ref() == Some(&event.trace),
        None => is_signed(event, &event.trace, line),
    }
}

fn is_signed(event: &EventRecord, body: &[u8], line: &LineId) -> bool {
    let (device_seq, time) = (event.seq, Seconds(event.time));
    let stamp = EventStamp { device_seq, previous: event.previous, lamport: event.lamport, time };
    let hash = stamp.hash(line, &PublicKey::from_bytes(event.device_pk), body);
    let signed = |parts: Vec<TeamPart>| parts.iter().all(|part| part.check_signature(line, Use::Desk).is_ok());
    hash == event.hash && parts_of(event, body).is_some_and(signed)
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
