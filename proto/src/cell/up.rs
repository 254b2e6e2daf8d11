//! Up cells: letters, dummies and team letters, sealed by one function and alike from outside (SPEC §6).
use super::CellError;
use crate::event::AnswerId;
use crate::layout::{Fields, Put, Span, up_cell, up_letter, up_team};
use crate::letter::Session;
use crate::limits::{ENC_LEN, LETTER_PART_LEN, TEAM_PART_LEN, UP_CELL_LEN, UP_PLAIN_LEN};
use crate::line::{CallerId, DeviceId, LineId};
use crate::parts::{Part, fits};
use crate::seal::{Context, SealingKey, SealingSecret, Use};
use crate::sign::{PublicKey, SecretKey, Signature};
use crate::time::{LETTER_TIME_STEP, Seconds};
use alloc::{boxed::Box, vec, vec::Vec};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Bytes of an up cell.
pub type UpCell = Box<[u8; UP_CELL_LEN]>;

const KIND_DUMMY: u8 = 0;
const KIND_LETTER: u8 = 1;
const KIND_TEAM: u8 = 2;
const KIND_TEAM_DUMMY: u8 = 3;

/// To whom a cell is sealed.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// The line.
    pub line: &'a LineId,
    /// The period in whose time it is sealed.
    pub period: u32,
    /// Desk, device or safeguarding.
    pub purpose: Use,
    /// The recipient's public key.
    pub key: &'a SealingKey,
}

/// With what a cell may be opened.
#[derive(Clone, Copy, Debug)]
pub struct Opener<'a> {
    /// The line.
    pub line: &'a LineId,
    /// The secret's period.
    pub period: u32,
    /// Desk, device or safeguarding.
    pub purpose: Use,
    /// The secret.
    pub secret: &'a SealingSecret,
}

/// One part of a letter, or a dummy, as a caller seals it and a desk opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterPart {
    /// Whether it says nothing.
    pub dummy: bool,
    /// The visit.
    pub session: Session,
    /// The letter's number in the visit, from 1; 0 in a dummy.
    pub seq: u16,
    /// Which part, and its bytes.
    pub part: Part,
    /// When it was written, rounded down to 600 s.
    pub time: Seconds,
    /// The visit's key on the fast track.
    pub live_key: Zeroizing<[u8; 32]>,
    /// The week's key on the slow track.
    pub reply_key: Zeroizing<[u8; 32]>,
    /// An answer that was shown in full, or zero.
    pub saw: AnswerId,
}

impl LetterPart {
    /// The part number 0 of 1, full of random bytes, that a dummy carries.
    #[must_use]
    pub fn dummy_part(rng: &mut impl CryptoRng) -> Part {
        let mut bytes = Zeroizing::new(vec![0; LETTER_PART_LEN]);
        rng.fill_bytes(&mut bytes);
        Part { part: 0, parts: 1, bytes }
    }
    /// Seals it in the caller's name. Letters and dummies take the same path.
    #[must_use]
    pub fn seal(&self, to: &Recipient<'_>, caller: &SecretKey, rng: &mut impl CryptoRng) -> UpCell {
        let mut plain = Zeroizing::new(vec![0; UP_PLAIN_LEN]);
        self.write(&mut plain, &caller.public());
        seal(to, rng, |enc_hash| {
            let fields = Fields(&plain);
            let head = [to.purpose.code()];
            let parts: [&[u8]; 5] =
                [to.line.as_bytes(), &head, enc_hash, fields.before(up_letter::sig), fields.after(up_letter::sig)];
            let signature = caller.sign("letter", &parts);
            let mut plain = plain.clone();
            plain.put(up_letter::sig, &signature);
            plain
        })
    }
    fn write(&self, plain: &mut [u8], caller: &PublicKey) {
        plain.put(up_letter::kind, &[if self.dummy { KIND_DUMMY } else { KIND_LETTER }]);
        plain.put(up_letter::caller_pk, caller.as_bytes());
        plain.put(up_letter::session, &self.session);
        plain.put(up_letter::seq, &self.seq.to_be_bytes());
        plain.put(up_letter::part, &[self.part.part]);
        plain.put(up_letter::parts, &[self.part.parts]);
        plain.put(up_letter::time, &self.time.rounded().to_u32().to_be_bytes());
        plain.put(up_letter::live_key, self.live_key.as_slice());
        plain.put(up_letter::reply_key, self.reply_key.as_slice());
        plain.put(up_letter::saw, &self.saw);
        write_content(plain, up_letter::len, up_letter::content, &self.part.bytes);
    }
    fn read(fields: &Fields<'_>) -> Result<Self, CellError> {
        let dummy = fields.u8(up_letter::kind) == KIND_DUMMY;
        let letter = Self {
            dummy,
            session: fields.array(up_letter::session),
            seq: fields.u16(up_letter::seq),
            part: Part {
                part: fields.u8(up_letter::part),
                parts: fields.u8(up_letter::parts),
                bytes: read_content(fields, up_letter::len, up_letter::content)?,
            },
            time: Seconds(u64::from(fields.u32(up_letter::time))),
            live_key: Zeroizing::new(fields.array(up_letter::live_key)),
            reply_key: Zeroizing::new(fields.array(up_letter::reply_key)),
            saw: fields.array(up_letter::saw),
        };
        let part = &letter.part;
        let dummy_shape = letter.seq == 0 && part.parts == 1;
        let sound = letter.time.0.is_multiple_of(LETTER_TIME_STEP)
            && fits(part.part, part.parts, part.bytes.len(), LETTER_PART_LEN)
            && if dummy { dummy_shape && part.bytes.len() == LETTER_PART_LEN } else { letter.seq > 0 };
        if sound { Ok(letter) } else { Err(CellError::Malformed) }
    }
}

/// One part of a team event, or a team dummy, with the signature that lets a colleague pass it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamPart {
    /// Whether it says nothing.
    pub dummy: bool,
    /// The device that signed it.
    pub device_pk: PublicKey,
    /// The device's count of events; 0 in a dummy.
    pub device_seq: u64,
    /// Hash of the device's event before.
    pub previous: [u8; 32],
    /// Lamport time.
    pub lamport: u64,
    /// When it was written.
    pub time: Seconds,
    /// Which part, and its bytes.
    pub part: Part,
    /// The device's signature.
    pub signature: Signature,
}

impl TeamPart {
    /// A part of an event, signed.
    #[must_use]
    pub fn sign(stamp: &EventStamp, part: Part, (line, purpose): (&LineId, Use), device: &SecretKey) -> Self {
        let mut unsigned = Self {
            dummy: false,
            device_pk: device.public(),
            device_seq: stamp.device_seq,
            previous: stamp.previous,
            lamport: stamp.lamport,
            time: stamp.time,
            part,
            signature: [0; 64],
        };
        unsigned.signature = device.sign("team", &unsigned.signed(line, purpose).each());
        unsigned
    }
    /// A signed dummy full of random bytes.
    #[must_use]
    pub fn dummy(time: Seconds, (line, purpose): (&LineId, Use), device: &SecretKey, rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new(vec![0; TEAM_PART_LEN]);
        rng.fill_bytes(&mut bytes);
        let mut unsigned = Self {
            dummy: true,
            device_pk: device.public(),
            device_seq: 0,
            previous: [0; 32],
            lamport: 0,
            time,
            part: Part { part: 0, parts: 1, bytes },
            signature: [0; 64],
        };
        unsigned.signature = device.sign("team", &unsigned.signed(line, purpose).each());
        unsigned
    }
    /// Seals it; the signature goes with it as it is, so that anyone who holds the part can seal it again.
    #[must_use]
    pub fn seal(&self, to: &Recipient<'_>, rng: &mut impl CryptoRng) -> UpCell {
        let plain = self.write();
        seal(to, rng, |_| plain)
    }
    /// The id of the device that signed it.
    #[must_use]
    pub fn device(&self, line: &LineId) -> DeviceId {
        DeviceId::of(line, &self.device_pk)
    }
    fn write(&self) -> Zeroizing<Vec<u8>> {
        let mut plain = Zeroizing::new(vec![0; UP_PLAIN_LEN]);
        plain.put(up_team::kind, &[if self.dummy { KIND_TEAM_DUMMY } else { KIND_TEAM }]);
        plain.put(up_team::device_pk, self.device_pk.as_bytes());
        plain.put(up_team::sig, &self.signature);
        plain.put(up_team::device_seq, &self.device_seq.to_be_bytes());
        plain.put(up_team::previous, &self.previous);
        plain.put(up_team::lamport, &self.lamport.to_be_bytes());
        plain.put(up_team::time, &self.time.to_u32().to_be_bytes());
        plain.put(up_team::part, &[self.part.part]);
        plain.put(up_team::parts, &[self.part.parts]);
        write_content(&mut plain, up_team::len, up_team::content, &self.part.bytes);
        plain
    }
    fn signed(&self, line: &LineId, purpose: Use) -> SignedTeam {
        SignedTeam { line: *line, purpose: [purpose.code()], plain: self.write() }
    }
    fn read(fields: &Fields<'_>, opener: &Opener<'_>) -> Result<Self, CellError> {
        let dummy = fields.u8(up_team::kind) == KIND_TEAM_DUMMY;
        let team = Self {
            dummy,
            device_pk: PublicKey::from_bytes(fields.array(up_team::device_pk)),
            device_seq: fields.u64(up_team::device_seq),
            previous: fields.array(up_team::previous),
            lamport: fields.u64(up_team::lamport),
            time: Seconds(u64::from(fields.u32(up_team::time))),
            part: Part {
                part: fields.u8(up_team::part),
                parts: fields.u8(up_team::parts),
                bytes: read_content(fields, up_team::len, up_team::content)?,
            },
            signature: fields.array(up_team::sig),
        };
        team.check_signature(opener.line, opener.purpose)?;
        let part = &team.part;
        let dummy_shape = team.device_seq == 0 && team.previous == [0; 32] && part.parts == 1;
        let sound = fits(part.part, part.parts, part.bytes.len(), TEAM_PART_LEN)
            && if dummy { dummy_shape && part.bytes.len() == TEAM_PART_LEN } else { team.device_seq > 0 };
        if sound { Ok(team) } else { Err(CellError::Malformed) }
    }
    /// Whether the device it names signed it: for parts that come from a vault or a colleague.
    ///
    /// # Errors
    ///
    /// [`CellError::Malformed`] for a part longer than a cell holds; [`CellError::Forged`].
    pub fn check_signature(&self, line: &LineId, purpose: Use) -> Result<(), CellError> {
        if self.part.bytes.len() > TEAM_PART_LEN {
            return Err(CellError::Malformed);
        }
        self.device_pk.verify("team", &self.signed(line, purpose).each(), &self.signature).map_err(|_| CellError::Forged)
    }
}

struct SignedTeam {
    line: LineId,
    purpose: [u8; 1],
    plain: Zeroizing<Vec<u8>>,
}

impl SignedTeam {
    fn each(&self) -> [&[u8]; 4] {
        let fields = Fields(&self.plain);
        [self.line.as_bytes(), &self.purpose, fields.before(up_team::sig), fields.after(up_team::sig)]
    }
}

/// Where an event stands: its device's count, the hash of the one before, Lamport and wall time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventStamp {
    /// The device's count of events, from 1.
    pub device_seq: u64,
    /// Hash of the device's event before, zero for the first; in a direct letter [`EventStamp::direct`].
    pub previous: [u8; 32],
    /// One more than the highest seen.
    pub lamport: u64,
    /// When it was written, Unix seconds, not rounded.
    pub time: Seconds,
}

impl EventStamp {
    /// What a direct letter names as `previous`: its recipient, so that nobody can pass it on to another.
    #[must_use]
    pub fn direct(line: &LineId, recipient: &PublicKey) -> [u8; 32] {
        crate::kdf::hash("team/direct", &[line.as_bytes(), recipient.as_bytes()])
    }
    /// The hash that the device's next event names as `previous`.
    #[must_use]
    pub fn hash(&self, line: &LineId, device: &PublicKey, body: &[u8]) -> [u8; 32] {
        self.hash_of_trace(line, device, &crate::kdf::digest(body), &crate::event::trace(body))
    }
    /// The same of an event whose words are forgotten: of SHA-256 of its body, and what stays (SPEC §8.4).
    #[must_use]
    pub fn hash_of_trace(&self, line: &LineId, device: &PublicKey, body_hash: &[u8; 32], trace: &[u8]) -> [u8; 32] {
        crate::kdf::hash(
            "team/event",
            &[
                line.as_bytes(),
                device.as_bytes(),
                &self.device_seq.to_be_bytes(),
                &self.previous,
                &self.lamport.to_be_bytes(),
                &self.time.to_u32().to_be_bytes(),
                body_hash,
                trace,
            ],
        )
    }
}

/// What an up cell held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// From a caller: whose, her public key (for the desk to drop), and the part.
    Letter(CallerId, LetterPart),
    /// From a device; whether that device is enrolled is for the desk to know.
    Team(TeamPart),
}

/// The lowest byte of the period a cell was sealed in: which keys to try.
#[must_use]
pub fn period_lo(cell: &[u8; UP_CELL_LEN]) -> u8 {
    Fields(cell).u8(up_cell::period_lo)
}

/// SHA-256 of a cell's encapsulation: what replay memory remembers.
#[must_use]
pub fn enc_hash(cell: &[u8; UP_CELL_LEN]) -> [u8; 32] {
    crate::kdf::digest(Fields(cell).slice(up_cell::enc))
}

/// Opens an up cell and verifies who signed it.
///
/// # Errors
///
/// In this order: [`CellError::DoesNotOpen`]; [`CellError::Malformed`] for an unknown kind or flag, or a kind that does not go to this use; [`CellError::Forged`]; [`CellError::Malformed`] for other fields.
pub fn open(cell: &[u8; UP_CELL_LEN], opener: &Opener<'_>) -> Result<Opened, CellError> {
    let fields = Fields(cell);
    let enc: [u8; ENC_LEN] = fields.array(up_cell::enc);
    let context = Context { line: opener.line, period: opener.period, purpose: opener.purpose };
    let head = aad_head(fields.u8(up_cell::period_lo));
    let plain = opener.secret.open(&context, &head, &enc, fields.slice(up_cell::ct)).map_err(|_| CellError::DoesNotOpen)?;
    if plain.len() != UP_PLAIN_LEN {
        return Err(CellError::Malformed);
    }
    let plain = Fields(&plain);
    match (plain.u8(up_letter::kind), plain.u8(up_letter::flags)) {
        (KIND_DUMMY | KIND_LETTER, 0) if opener.purpose != Use::Device => open_letter(&plain, &crate::kdf::digest(&enc), opener),
        (KIND_TEAM | KIND_TEAM_DUMMY, 0) if opener.purpose != Use::Safeguarding => {
            TeamPart::read(&plain, opener).map(Opened::Team)
        }
        _ => Err(CellError::Malformed),
    }
}

fn open_letter(plain: &Fields<'_>, enc_hash: &[u8; 32], opener: &Opener<'_>) -> Result<Opened, CellError> {
    let caller = PublicKey::from_bytes(plain.array(up_letter::caller_pk));
    let signature: Signature = plain.array(up_letter::sig);
    let head = [opener.purpose.code()];
    let parts: [&[u8]; 5] = [opener.line.as_bytes(), &head, enc_hash, plain.before(up_letter::sig), plain.after(up_letter::sig)];
    caller.verify("letter", &parts, &signature).map_err(|_| CellError::Forged)?;
    Ok(Opened::Letter(CallerId::of(opener.line, &caller), LetterPart::read(plain)?))
}

fn seal(to: &Recipient<'_>, rng: &mut impl CryptoRng, write: impl FnOnce(&[u8; 32]) -> Zeroizing<Vec<u8>>) -> UpCell {
    let [.., period_lo] = to.period.to_be_bytes();
    let context = Context { line: to.line, period: to.period, purpose: to.purpose };
    let (enc, ct) = to.key.seal(&context, &aad_head(period_lo), rng, write);
    let mut cell = Box::new([0; UP_CELL_LEN]);
    cell.put(up_cell::period_lo, &[period_lo]);
    cell.put(up_cell::enc, &enc);
    cell.put(up_cell::ct, &ct);
    cell
}

/// `u8(1) ‖ u16(2048) ‖ period_lo`; the encapsulation follows.
fn aad_head(period_lo: u8) -> [u8; 4] {
    [1, 0x08, 0x00, period_lo]
}

fn write_content(plain: &mut [u8], len: Span, content: Span, bytes: &[u8]) {
    let count = u16::try_from(bytes.len()).expect("a part is shorter than a cell");
    plain.put(len, &count.to_be_bytes());
    plain.put(Span { at: content.at, len: bytes.len() }, bytes);
}

/// The content's bytes, if its length fits and nothing follows them.
fn read_content(fields: &Fields<'_>, len: Span, content: Span) -> Result<Zeroizing<Vec<u8>>, CellError> {
    let whole = fields.slice(content);
    let (bytes, rest) = whole.split_at_checked(usize::from(fields.u16(len))).ok_or(CellError::Malformed)?;
    if rest.iter().any(|b| *b != 0) {
        return Err(CellError::Malformed);
    }
    Ok(Zeroizing::new(bytes.into()))
}
