//! What devices of a team tell each other (SPEC §8.4).
use crate::answer::Answer;
use crate::cbor::{MapWriter, infallible, read_map};
use crate::kdf;
use crate::letter::{ContentError, Session};
use crate::limits::{BLOB_LEN, DESK_CERT_LEN, DEVICE_CERT_LEN, ROSTER_LEN, SEALING_KEY_LEN};
use crate::line::{CallerId, DeviceId};
use alloc::{boxed::Box, collections::BTreeMap, string::String, vec::Vec};
use core::fmt;
use zeroize::Zeroizing;

mod fields;

/// The id of an answer: random, so that it tells nothing.
pub type AnswerId = [u8; 8];

/// What is said of an answer besides its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerKind {
    /// An answer.
    Answer,
    /// "Please do not go. The plan has changed."
    Stop,
}

/// An answer as one device hands it to its colleagues. Silent in `Debug`.
#[derive(Clone, PartialEq, Eq)]
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

/// One event of a device. Silent in `Debug`: it holds what people wrote.
#[derive(Clone, PartialEq, Eq)]
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
    /// A device that is no longer of the team. Counts from a lead, from the device itself, or from two others.
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
    /// Somebody of this device is writing to her.
    Composing {
        /// To whom.
        caller: CallerId,
        /// Seconds for which that holds; 0 for no longer.
        lease: u32,
    },
    /// A device is on call for a while.
    Shift {
        /// Which.
        device: DeviceId,
        /// Unix seconds.
        from: u32,
        /// Unix seconds.
        until: u32,
    },
    /// A shift struck from the rota.
    Strike {
        /// The device that entered it.
        device: DeviceId,
        /// The number of that event in the device's chain.
        seq: u64,
    },
    /// How the team knows a caller.
    Known {
        /// Whom.
        caller: CallerId,
        /// How.
        how: How,
        /// By whom, or by what.
        text: String,
        /// The day, counted from 1970.
        day: u32,
    },
    /// A question that only she can answer, for when she has lost her words; both empty for none.
    Question {
        /// Whose.
        caller: CallerId,
        /// What is asked.
        question: String,
        /// What she answers.
        answer: String,
    },
    /// What she asked the team to do if her sign is late; empty for nothing.
    Wish {
        /// Whose.
        caller: CallerId,
        /// Her wish.
        text: String,
    },
    /// This row is the room that another caller opens under duress.
    Duress {
        /// The room.
        caller: CallerId,
        /// Whose it is; all zero for nobody's.
        of: CallerId,
    },
    /// For how many days every device of the team keeps letters and notes. Counts only from a lead.
    Keep {
        /// Days, 1 to 180.
        days: u32,
    },
    /// Something that two workers must want.
    Propose(Proposal),
    /// A proposal agreed to.
    Agree {
        /// The device that proposed.
        device: DeviceId,
        /// The number of that event in the device's chain.
        seq: u64,
        /// Its hash: a device that tells two histories has nothing agreed to twice.
        hash: [u8; 32],
    },
    /// A proposal objected to.
    Object {
        /// The device that proposed.
        device: DeviceId,
        /// The number of that event in the device's chain.
        seq: u64,
        /// Its hash: a device that tells two histories has nothing agreed to twice.
        hash: [u8; 32],
    },
    /// Two rows that were joined are two again.
    Part {
        /// One.
        caller: CallerId,
        /// The other.
        other: CallerId,
    },
    /// A roster that a lead has signed, so that every device knows what is published.
    Roster(Box<[u8; ROSTER_LEN]>),
    /// The public key with which this device signs for its seat.
    SeatKey([u8; 32]),
    /// A type this program does not know: kept, passed on, ignored.
    Unknown(Vec<u8>),
}

/// How the team knows a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It does not.
    Unknown,
    /// Somebody the team knows has introduced her.
    Introduced,
    /// The team has made sure that it is she.
    Verified,
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Event")
    }
}

impl How {
    /// The number in the event (SPEC §8.4).
    #[must_use]
    pub const fn code(self) -> u64 {
        match self {
            Self::Unknown => 0,
            Self::Introduced => 1,
            Self::Verified => 2,
        }
    }
    /// The value of a number; none for one that this version does not know.
    #[must_use]
    pub const fn from_code(code: u64) -> Option<Self> {
        match code {
            0 => Some(Self::Unknown),
            1 => Some(Self::Introduced),
            2 => Some(Self::Verified),
            _ => None,
        }
    }
}

/// What no worker does alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// Show two rows as one: she has lost her words and come again.
    Join,
    /// Do what she asked for, because her sign is late.
    Fulfil,
    /// Forget all that is known of her.
    Forget,
    /// Keep the words of her last hand-over for up to 180 days.
    KeepHandOver,
    /// Send her this answer, which names a place or a time.
    Say,
}

impl Act {
    /// The number in the event (SPEC §8.4).
    #[must_use]
    pub const fn code(self) -> u64 {
        match self {
            Self::Join => 1,
            Self::Fulfil => 2,
            Self::Forget => 3,
            Self::KeepHandOver => 4,
            Self::Say => 5,
        }
    }
    /// The value of a number; none for one that this version does not know.
    #[must_use]
    pub const fn from_code(code: u64) -> Option<Self> {
        match code {
            1 => Some(Self::Join),
            2 => Some(Self::Fulfil),
            3 => Some(Self::Forget),
            4 => Some(Self::KeepHandOver),
            5 => Some(Self::Say),
            _ => None,
        }
    }
}

/// Something that two workers must want, or one for a day. Silent in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Proposal {
    /// About whom.
    pub caller: CallerId,
    /// What is to be done.
    pub act: Act,
    /// With [`Act::Join`] the other row; else all zero.
    pub other: CallerId,
    /// Why; with [`Act::Say`] the answer's words.
    pub text: String,
}

/// What the next worker needs to know of one caller, in five lines. Silent in `Debug`.
#[derive(Clone, PartialEq, Eq)]
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

/// The id of the answer that says what two workers agreed to, by the hash of the event that proposed it: whichever device says it, it
/// is this one.
#[must_use]
pub fn said_id(proposal: &[u8; 32]) -> AnswerId {
    kdf::hash("team/say", &[proposal]).first_chunk().copied().unwrap_or_default()
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

impl fmt::Debug for HandOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandOver")
    }
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proposal")
    }
}

impl fmt::Debug for AnswerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnswerEvent")
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
            Self::Composing { caller, lease } => map.uint(0, 18).bytes(1, &caller.0).uint(2, u64::from(*lease)),
            Self::Shift { device, from, until } => {
                map.uint(0, 19).bytes(1, &device.0).uint(2, u64::from(*from)).uint(3, u64::from(*until))
            }
            Self::Strike { device, seq } => map.uint(0, 20).bytes(1, &device.0).uint(2, *seq),
            Self::Known { caller, how, text, day } => {
                map.uint(0, 21).bytes(1, &caller.0).uint(2, how.code()).text(3, text).uint(4, u64::from(*day))
            }
            Self::Question { caller, question, answer } => map.uint(0, 22).bytes(1, &caller.0).text(2, question).text(3, answer),
            Self::Wish { caller, text } => map.uint(0, 23).bytes(1, &caller.0).text(2, text),
            Self::Duress { caller, of } => map.uint(0, 24).bytes(1, &caller.0).bytes(2, &of.0),
            Self::Keep { days } => map.uint(0, 25).uint(1, u64::from(*days)),
            Self::Propose(Proposal { caller, act, other, text }) => {
                map.uint(0, 26).bytes(1, &caller.0).uint(2, act.code()).bytes(3, &other.0).text(4, text)
            }
            Self::Agree { device, seq, hash } => map.uint(0, 27).bytes(1, &device.0).uint(2, *seq).bytes(3, hash),
            Self::Object { device, seq, hash } => map.uint(0, 28).bytes(1, &device.0).uint(2, *seq).bytes(3, hash),
            Self::Part { caller, other } => map.uint(0, 29).bytes(1, &caller.0).bytes(2, &other.0),
            Self::Roster(roster) => map.uint(0, 30).bytes(1, roster.as_slice()),
            Self::SeatKey(key) => map.uint(0, 31).bytes(1, key),
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
        let fields = fields::Fields::read(bytes, kind.ok_or(ContentError::Malformed)?)?;
        Ok(fields.event(bytes)?)
    }
}

/// What stays of an event when its words are forgotten: the event without them; one without words, or that is none, as it is.
#[must_use]
pub fn trace(body: &[u8]) -> Vec<u8> {
    let wordless = Event::parse(body).ok().and_then(|event| event.without_words());
    wordless.map_or_else(|| body.into(), |event| event.to_cbor())
}

impl Event {
    /// The event without anybody's words (SPEC §8.4); `None` if there are none in it.
    #[must_use]
    pub fn without_words(&self) -> Option<Self> {
        let none = String::new;
        Some(match self {
            Self::Note { caller, .. } => Self::Note { caller: *caller, text: none() },
            // That there was a reason decides who holds the claim.
            Self::Claim { caller, lease, reason } if !reason.is_empty() => {
                Self::Claim { caller: *caller, lease: *lease, reason: "…".into() }
            }
            Self::HandOver(over) => {
                let (caller, to) = (over.caller, over.to);
                let (situation, promised_by_us, promised_by_her, risk, next_step) = (none(), none(), none(), none(), none());
                Self::HandOver(HandOver { caller, to, situation, promised_by_us, promised_by_her, risk, next_step })
            }
            Self::Answer(answer) if answer.kind == AnswerKind::Answer && answer.flags == 0 => {
                let content = Answer::parse(&answer.content).ok()?;
                let trace = Answer { n: content.n, written: content.written, meeting: content.meeting, ..Answer::default() };
                Self::Answer(AnswerEvent { content: trace.to_cbor().ok()?, ..answer.clone() })
            }
            Self::Known { caller, how, day, .. } => Self::Known { caller: *caller, how: *how, text: none(), day: *day },
            Self::Question { caller, .. } => Self::Question { caller: *caller, question: none(), answer: none() },
            Self::Wish { caller, .. } => Self::Wish { caller: *caller, text: none() },
            Self::Propose(proposal) => Self::Propose(Proposal { text: none(), ..proposal.clone() }),
            _ => return None,
        })
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

fn write_held<'m>(map: &'m mut MapWriter, held: &BTreeMap<DeviceId, u64>) -> &'m mut MapWriter {
    map.field(1, |out| {
        infallible(out.map(held.len() as u64));
        for (device, seq) in held {
            infallible(out.bytes(&device.0));
            infallible(out.u64(*seq));
        }
    })
}
