//! What devices of a team tell each other (SPEC §8.4).
use crate::cbor::{BadCbor, MapWriter, array, infallible, items, read_map};
use crate::kdf;
use crate::letter::{ContentError, Session};
use crate::limits::{BLOB_LEN, BOARD_BLOBS_MAX, DESK_CERT_LEN, DEVICE_CERT_LEN, SEALING_KEY_LEN, TEXT_MAX};
use crate::line::{CallerId, DeviceId};
use alloc::{boxed::Box, collections::BTreeMap, string::String, vec::Vec};
use core::fmt;
use minicbor::Decoder;
use zeroize::Zeroizing;

/// The id of an answer: random, so that it tells nothing.
pub type AnswerId = [u8; 8];

/// The most devices an acknowledgement names.
const DEVICES_MAX: u64 = 64;

/// What is said of an answer besides its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerKind {
    /// An answer.
    Answer,
    /// "Please do not go. The plan has changed."
    Stop,
}

/// An answer as one device hands it to its colleagues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerEvent {
    /// To whom.
    pub caller: CallerId,
    /// Its id.
    pub answer: AnswerId,
    /// Its content (SPEC §8.2).
    pub content: Vec<u8>,
    /// Until when it is shown and sent, Unix seconds.
    pub good_until: u32,
    /// The letter it answers; all zero if none.
    pub session: Session,
    /// That letter's number.
    pub seq: u16,
    /// Answer or stop.
    pub kind: AnswerKind,
    /// The flags its cells carry.
    pub flags: u8,
}

/// One event of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A new sealing key of this device.
    DeviceKey(Box<[u8; SEALING_KEY_LEN]>),
    /// What this device holds: of each device the highest event without a gap, and the lane up to a position.
    Acknowledge {
        /// Per device.
        held: BTreeMap<DeviceId, u64>,
        /// The lane's life.
        life: [u8; 8],
        /// Everything up to this position was opened.
        position: u64,
    },
    /// A claim, with its lease in seconds and the reason if somebody else had it.
    Claim {
        /// Whose row.
        caller: CallerId,
        /// Seconds.
        lease: u32,
        /// Why it was taken over.
        reason: String,
    },
    /// A release.
    Release {
        /// Whose row.
        caller: CallerId,
    },
    /// A note for the team.
    Note {
        /// On whose row.
        caller: CallerId,
        /// The note.
        text: String,
    },
    /// An answer.
    Answer(AnswerEvent),
    /// A worker displayed a letter.
    Shown {
        /// Whose.
        caller: CallerId,
        /// The visit.
        session: Session,
        /// The letter's number.
        seq: u16,
    },
    /// She named an answer as shown.
    Seen {
        /// Whose.
        caller: CallerId,
        /// Which.
        answer: AnswerId,
    },
    /// The fast slots this device sends in from now on.
    Slots(Vec<u8>),
    /// A desk key, in a direct letter only.
    Secret(DeskSecret),
    /// An answer taken back before it was seen.
    StopSending {
        /// Whose.
        caller: CallerId,
        /// Which.
        answer: AnswerId,
    },
    /// A device admitted to the team, or vouched for anew. Counts only from a lead, and only if the certificates check.
    Admitted(Admitted),
    /// A device that is no longer of the team. Counts only from a lead.
    Revoked {
        /// Which.
        device: DeviceId,
    },
    /// A caller handed over at the end of a shift.
    HandOver(HandOver),
    /// A hand-over accepted: from now on she is this device's to look after.
    Accept {
        /// Whose row.
        caller: CallerId,
        /// The device that handed her over.
        device: DeviceId,
        /// The number of that event in the device's chain.
        seq: u64,
    },
    /// Letters may have died unread: somebody please leave the board (SPEC §8.5).
    Ask {
        /// Of each device the highest event held without a gap.
        held: BTreeMap<DeviceId, u64>,
        /// Unix seconds; letters received before are held.
        since: u32,
    },
    /// A board left for a colleague as blobs (SPEC §8.5).
    Board(Board),
    /// A type this program does not know: kept, passed on, ignored.
    Unknown(Vec<u8>),
}

/// What the next worker needs to know of one caller, in five lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// Whose row.
    pub caller: CallerId,
    /// To which device; all zero for whoever is on call.
    pub to: DeviceId,
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

/// A board that one device left for another on a relay (SPEC §8.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// For which device.
    pub to: DeviceId,
    /// Which event of that device asked.
    pub ask: u64,
    /// What the blobs' names are made of.
    pub root: [u8; 16],
    /// The number of the relay that has them.
    pub relay: u8,
    /// How many they are: 1 to 512.
    pub blobs: u16,
    /// [`Board::hash_of`] their bytes, one after the other.
    pub hash: [u8; 32],
}

impl Board {
    /// The blobs' names, in order.
    pub fn names(&self) -> impl Iterator<Item = [u8; 16]> + use<> {
        let root = self.root;
        (0..self.blobs).map(move |number| {
            let hash = kdf::hash("desk/blob", &[&root, &number.to_be_bytes()]);
            hash.first_chunk().copied().unwrap_or_default()
        })
    }
    /// What a board's blobs are known by: SHA-256, labelled.
    #[must_use]
    pub fn hash_of(bytes: &[u8]) -> [u8; 32] {
        kdf::hash("desk/blobs", &[bytes])
    }
    /// Whether these are the bytes of its blobs.
    #[must_use]
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        bytes.len() == usize::from(self.blobs) * BLOB_LEN && Self::hash_of(bytes) == self.hash
    }
}

/// A desk key on its way to a colleague. Silent in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct DeskSecret {
    /// Its period.
    pub period: u32,
    /// Its seed.
    pub seed: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for DeskSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeskSecret")
    }
}

/// A device as a lead makes it known to the team. The bytes are checked by whoever believes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The certificate of the desk key that signed the next (SPEC §5.1).
    pub desk_cert: Box<[u8; DESK_CERT_LEN]>,
    /// The device's certificate (SPEC §5.2).
    pub device_cert: Box<[u8; DEVICE_CERT_LEN]>,
    /// Its sealing key.
    pub sealing_key: Box<[u8; SEALING_KEY_LEN]>,
}

impl Event {
    /// The event's body as it is signed and cut into cells. Texts longer than 16,000 bytes are refused by readers.
    #[must_use]
    pub fn to_cbor(&self) -> Vec<u8> {
        let mut map = MapWriter::new();
        match self {
            Self::DeviceKey(key) => map.uint(0, 1).bytes(1, key.as_slice()),
            Self::Acknowledge { held, life, position } => write_held(map.uint(0, 2), held).bytes(2, life).uint(3, *position),
            Self::Claim { caller, lease, reason } => {
                map.uint(0, 3).bytes(1, &caller.0).uint(2, u64::from(*lease)).text(3, reason)
            }
            Self::Release { caller } => map.uint(0, 4).bytes(1, &caller.0),
            Self::Note { caller, text } => map.uint(0, 5).bytes(1, &caller.0).text(2, text),
            Self::Answer(answer) => answer.write(&mut map),
            Self::Shown { caller, session, seq } => map.uint(0, 7).bytes(1, &caller.0).bytes(2, session).uint(3, u64::from(*seq)),
            Self::Seen { caller, answer } => map.uint(0, 8).bytes(1, &caller.0).bytes(2, answer),
            Self::Slots(slots) => map.uint(0, 9).field(1, |out| {
                infallible(out.array(slots.len() as u64));
                for slot in slots {
                    infallible(out.u8(*slot));
                }
            }),
            Self::Secret(secret) => map.uint(0, 10).uint(1, u64::from(secret.period)).bytes(2, secret.seed.as_slice()),
            Self::StopSending { caller, answer } => map.uint(0, 11).bytes(1, &caller.0).bytes(2, answer),
            Self::Admitted(device) => map
                .uint(0, 12)
                .bytes(1, device.desk_cert.as_slice())
                .bytes(2, device.device_cert.as_slice())
                .bytes(3, device.sealing_key.as_slice()),
            Self::Revoked { device } => map.uint(0, 13).bytes(1, &device.0),
            Self::HandOver(over) => map
                .uint(0, 14)
                .bytes(1, &over.caller.0)
                .bytes(2, &over.to.0)
                .text(3, &over.situation)
                .text(4, &over.promised_by_us)
                .text(5, &over.promised_by_her)
                .text(6, &over.risk)
                .text(7, &over.next_step),
            Self::Accept { caller, device, seq } => map.uint(0, 15).bytes(1, &caller.0).bytes(2, &device.0).uint(3, *seq),
            Self::Ask { held, since } => write_held(map.uint(0, 16), held).uint(2, u64::from(*since)),
            Self::Board(board) => map
                .uint(0, 17)
                .bytes(1, &board.to.0)
                .uint(2, board.ask)
                .bytes(3, &board.root)
                .uint(4, u64::from(board.relay))
                .uint(5, u64::from(board.blobs))
                .bytes(6, &board.hash),
            Self::Unknown(body) => return body.clone(),
        };
        map.finish()
    }
    /// Reads an event.
    ///
    /// # Errors
    ///
    /// [`ContentError::Malformed`] for bytes that are no map, or a known type with other fields than SPEC §8.4 gives it.
    pub fn parse(bytes: &[u8]) -> Result<Self, ContentError> {
        let mut kind = None;
        read_map(bytes, |key, value| {
            if key == 0 {
                kind = Some(value.u64()?);
            }
            Ok(key == 0)
        })?;
        let raw = Raw::read(bytes, kind.ok_or(ContentError::Malformed)?)?;
        Ok(raw.event(bytes)?)
    }
}

impl AnswerEvent {
    fn write<'m>(&self, map: &'m mut MapWriter) -> &'m mut MapWriter {
        let kind = match self.kind {
            AnswerKind::Answer => 1,
            AnswerKind::Stop => 2,
        };
        map.uint(0, 6)
            .bytes(1, &self.caller.0)
            .bytes(2, &self.answer)
            .bytes(3, &self.content)
            .uint(4, u64::from(self.good_until))
            .bytes(5, &self.session)
            .uint(6, u64::from(self.seq))
            .uint(7, kind)
            .uint(8, u64::from(self.flags))
    }
}

/// The fields of an event of a known type, before it is known that all of them are there.
#[derive(Default)]
struct Raw<'b> {
    kind: u64,
    bytes: [Option<&'b [u8]>; 9],
    uints: [Option<u64>; 9],
    texts: [Option<&'b str>; 8],
    slots: Option<Vec<u8>>,
    held: Option<BTreeMap<DeviceId, u64>>,
}

impl<'b> Raw<'b> {
    fn read(bytes: &'b [u8], kind: u64) -> Result<Self, BadCbor> {
        let mut raw = Self { kind, ..Self::default() };
        read_map(bytes, |key, value| raw.take(key, value))?;
        Ok(raw)
    }
    fn take(&mut self, key: u64, value: &mut Decoder<'b>) -> Result<bool, BadCbor> {
        match (self.kind, key) {
            (_, 0) => return Ok(false),
            (2 | 16, 1) => self.held = Some(read_held(value)?),
            (3, 3) | (5, 2) | (14, 3..=7) => {
                let text = value.str()?;
                *self.texts.get_mut(usize::try_from(key).map_err(|_| BadCbor)?).ok_or(BadCbor)? = Some(text);
            }
            (9, 1) => self.slots = Some((0..items(value, 8)?).map(|_| Ok(value.u8()?)).collect::<Result<_, BadCbor>>()?),
            (1 | 3..=8 | 11..=15 | 17, 1) | (2 | 6 | 7 | 8 | 10..=12 | 14 | 15, 2) | (6, 3 | 5) | (12 | 17, 3) | (17, 6) => {
                let bytes = value.bytes()?;
                *self.bytes.get_mut(usize::try_from(key).map_err(|_| BadCbor)?).ok_or(BadCbor)? = Some(bytes);
            }
            (2 | 7 | 15, 3) | (3 | 16 | 17, 2) | (6, 4 | 6 | 7 | 8) | (10, 1) | (17, 4 | 5) => {
                let uint = value.u64()?;
                *self.uints.get_mut(usize::try_from(key).map_err(|_| BadCbor)?).ok_or(BadCbor)? = Some(uint);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
    fn bytes(&self, key: usize) -> Result<&'b [u8], BadCbor> {
        self.bytes.get(key).copied().flatten().ok_or(BadCbor)
    }
    fn array<const N: usize>(&self, key: usize) -> Result<[u8; N], BadCbor> {
        self.bytes(key)?.try_into().map_err(|_| BadCbor)
    }
    fn uint<T: TryFrom<u64>>(&self, key: usize) -> Result<T, BadCbor> {
        let uint = self.uints.get(key).copied().flatten().ok_or(BadCbor)?;
        T::try_from(uint).map_err(|_| BadCbor)
    }
    fn text(&self, key: usize) -> Result<String, BadCbor> {
        self.texts.get(key).copied().flatten().filter(|text| text.len() <= TEXT_MAX).map(Into::into).ok_or(BadCbor)
    }
    fn caller(&self) -> Result<CallerId, BadCbor> {
        self.array(1).map(CallerId)
    }
    fn event(self, whole: &[u8]) -> Result<Event, BadCbor> {
        Ok(match self.kind {
            1 => Event::DeviceKey(Box::new(self.array(1)?)),
            2 => Event::Acknowledge { life: self.array(2)?, position: self.uint(3)?, held: self.held.ok_or(BadCbor)? },
            3 => Event::Claim { caller: self.caller()?, lease: self.uint(2)?, reason: self.text(3)? },
            4 => Event::Release { caller: self.caller()? },
            5 => Event::Note { caller: self.caller()?, text: self.text(2)? },
            6 => Event::Answer(self.answer()?),
            7 => Event::Shown { caller: self.caller()?, session: self.array(2)?, seq: self.uint(3)? },
            8 => Event::Seen { caller: self.caller()?, answer: self.array(2)? },
            9 => Event::Slots(self.slots.ok_or(BadCbor)?),
            10 => Event::Secret(DeskSecret { period: self.uint(1)?, seed: Zeroizing::new(self.array(2)?) }),
            11 => Event::StopSending { caller: self.caller()?, answer: self.array(2)? },
            12 => Event::Admitted(Admitted {
                desk_cert: Box::new(self.array(1)?),
                device_cert: Box::new(self.array(2)?),
                sealing_key: Box::new(self.array(3)?),
            }),
            13 => Event::Revoked { device: DeviceId(self.array(1)?) },
            14 => Event::HandOver(HandOver {
                caller: self.caller()?,
                to: DeviceId(self.array(2)?),
                situation: self.text(3)?,
                promised_by_us: self.text(4)?,
                promised_by_her: self.text(5)?,
                risk: self.text(6)?,
                next_step: self.text(7)?,
            }),
            15 => Event::Accept { caller: self.caller()?, device: DeviceId(self.array(2)?), seq: self.uint(3)? },
            16 => Event::Ask { since: self.uint(2)?, held: self.held.ok_or(BadCbor)? },
            17 => Event::Board(Board {
                to: DeviceId(self.array(1)?),
                ask: self.uint(2)?,
                root: self.array(3)?,
                relay: self.uint(4)?,
                blobs: Some(self.uint(5)?).filter(|blobs| (1..=BOARD_BLOBS_MAX).contains(blobs)).ok_or(BadCbor)?,
                hash: self.array(6)?,
            }),
            _ => Event::Unknown(whole.into()),
        })
    }
    fn answer(&self) -> Result<AnswerEvent, BadCbor> {
        Ok(AnswerEvent {
            caller: self.caller()?,
            answer: self.array(2)?,
            content: self.bytes(3)?.into(),
            good_until: self.uint(4)?,
            session: self.array(5)?,
            seq: self.uint(6)?,
            kind: match self.uint::<u64>(7)? {
                1 => AnswerKind::Answer,
                2 => AnswerKind::Stop,
                _ => return Err(BadCbor),
            },
            flags: self.uint(8)?,
        })
    }
}

fn write_held<'m>(map: &'m mut MapWriter, held: &BTreeMap<DeviceId, u64>) -> &'m mut MapWriter {
    map.field(1, |out| {
        infallible(out.map(held.len() as u64));
        for (device, seq) in held {
            infallible(out.bytes(&device.0));
            infallible(out.u64(*seq));
        }
    })
}

fn read_held(value: &mut Decoder<'_>) -> Result<BTreeMap<DeviceId, u64>, BadCbor> {
    let count = value.map()?.filter(|count| *count <= DEVICES_MAX).ok_or(BadCbor)?;
    let mut held = BTreeMap::new();
    for _ in 0..count {
        if held.insert(DeviceId(array(value)?), value.u64()?).is_some() {
            return Err(BadCbor);
        }
    }
    Ok(held)
}
