//! Down cells: tags that only one caller recognises, answers that only a seat can have written (SPEC §7).
use super::CellError;
use crate::event::AnswerId;
use crate::kdf::label;
use crate::layout::{Fields, Put, Span, down_cell, down_inner};
use crate::letter::Session;
use crate::limits::{ANSWER_LIFE_MAX, ANSWER_PART_LEN, DOWN_CELL_LEN, DOWN_PLAIN_LEN, NONCE_LEN, TAG_LEN};
use crate::line::{CallerId, LineId, Seat};
use crate::parts::{Part, fits};
use crate::roster::SignedRoster;
use crate::sign::{SecretKey, Signature};
use crate::time::Seconds;
use alloc::{boxed::Box, vec, vec::Vec};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of a down cell.
pub type DownCell = Box<[u8; DOWN_CELL_LEN]>;
/// What a caller recognises her cells by.
pub type Tag = [u8; TAG_LEN];

/// Seconds by which a fast cell's time may differ from its reader's.
const FAST_TIME_FITS: u64 = 86_400;
/// The least by which a slow cell's time may lie outside its day, in seconds.
const SLOW_TIME_FITS_LEAST: u64 = 3600;

const KIND_RECEIPT: u8 = 0;
const KIND_ANSWER: u8 = 1;
const KIND_STOP: u8 = 2;
/// A letter is withdrawn, or it was too late: never both.
const FLAGS_BOTH: u8 = 0b11;

/// On which track, and from which key, a tag is derived.
#[derive(Clone, Copy)]
pub enum Track<'k> {
    /// The page that is open now, by its live key.
    Fast(&'k [u8; 32]),
    /// The carousel, by a week's reply key and the day.
    Slow(&'k [u8; 32], u32),
}

/// Which sending of which seat through which relay: no two cells under one key share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The relay's number.
    pub relay_no: u8,
    /// The seat that sends.
    pub seat: Seat,
    /// Counts the sendings.
    pub i: u16,
}

/// One key's tags on one track, quick to derive one after the other.
pub struct Tags<'a> {
    hkdf: Hkdf<Sha256>,
    line: &'a LineId,
    day: Option<u32>,
}

impl<'a> Tags<'a> {
    /// The tags of a track.
    #[must_use]
    pub fn of(track: Track<'_>, line: &'a LineId) -> Self {
        let (key, day) = match track {
            Track::Fast(key) => (key, None),
            Track::Slow(key, day) => (key, Some(day)),
        };
        Self { hkdf: Hkdf::from_prk(key).expect("32 bytes are a PRK"), line, day }
    }
    /// The same key's tags on another day of the slow track.
    #[must_use]
    pub fn on_day(&self, day: u32) -> Self {
        Self { hkdf: self.hkdf.clone(), line: self.line, day: Some(day) }
    }
    fn info(&self, place: Place) -> Vec<u8> {
        let mut info = label(if self.day.is_some() { "slow" } else { "fast" });
        info.extend_from_slice(self.line.as_bytes());
        info.push(place.relay_no);
        if let Some(day) = self.day {
            info.extend_from_slice(&day.to_be_bytes());
        }
        info.push(place.seat.number());
        info.extend_from_slice(&place.i.to_be_bytes());
        info
    }
    /// The tag alone: one HMAC.
    #[must_use]
    pub fn tag(&self, place: Place) -> Tag {
        let mut tag = [0; TAG_LEN];
        self.hkdf.expand(&self.info(place), &mut tag).expect("a tag is shorter than 255 blocks");
        tag
    }
    /// The tag and the key that seals its cell.
    #[must_use]
    pub fn tag_and_key(&self, place: Place) -> (Tag, Zeroizing<[u8; 32]>) {
        let mut both = Zeroizing::new([0; TAG_LEN + 32]);
        self.hkdf.expand(&self.info(place), both.as_mut_slice()).expect("48 bytes are fewer than 255 blocks");
        let (tag, key) = both.split_first_chunk().expect("48 is more than 16");
        (*tag, Zeroizing::new(key.try_into().expect("48 is 16 and 32")))
    }
}

/// What a cell is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only the receipt.
    Receipt,
    /// A part of an answer.
    Answer,
    /// "Please do not go. The plan has changed."
    Stop,
}

/// What became of the letter that the cell names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Withdrawal {
    /// It was taken back before a person saw it.
    pub done: bool,
    /// It had been shown.
    pub too_late: bool,
}

impl Withdrawal {
    /// As the cells' flags.
    #[must_use]
    pub fn flags(self) -> u8 {
        u8::from(self.done) | u8::from(self.too_late) << 1
    }
    /// From the cells' flags.
    #[must_use]
    pub const fn from_flags(flags: u8) -> Self {
        Self { done: flags & 1 != 0, too_late: flags & 2 != 0 }
    }
}

/// A receipt: which letters of a visit the desk holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The visit; zero for no receipt.
    pub session: Session,
    /// Every letter up to this number.
    pub upto: u16,
    /// Bit k, least significant first: letter `upto + 1 + k`.
    pub map: u64,
}

impl Receipt {
    /// Whether it says that the desk holds letter `seq` of `session`.
    #[must_use]
    pub fn holds(&self, session: &Session, seq: u16) -> bool {
        if *session != self.session || self.session == [0; 8] || seq == 0 {
            return false;
        }
        match seq.checked_sub(self.upto) {
            None | Some(0) => true,
            Some(ahead) => ahead <= 64 && self.map >> (ahead - 1) & 1 == 1,
        }
    }
}

/// One part of an answer as a desk seals it and a caller opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerPart {
    /// Receipt, answer or stop.
    pub kind: Kind,
    /// What became of the letter in `answers`.
    pub withdrawal: Withdrawal,
    /// The answer's id; zero in a receipt.
    pub answer: AnswerId,
    /// Which part, and its bytes.
    pub part: Part,
    /// When this cell was sealed.
    pub time: Seconds,
    /// Until when the answer may be shown.
    pub good_until: Seconds,
    /// The letter it answers: visit and number.
    pub answers: (Session, u16),
    /// The receipt.
    pub have: Receipt,
}

impl AnswerPart {
    /// A cell that is only a receipt.
    #[must_use]
    pub fn receipt(have: Receipt, time: Seconds) -> Self {
        Self {
            kind: Kind::Receipt,
            withdrawal: Withdrawal::default(),
            answer: [0; 8],
            part: Part { part: 0, parts: 1, bytes: Zeroizing::default() },
            time,
            good_until: time.plus(ANSWER_LIFE_MAX),
            answers: ([0; 8], 0),
            have,
        }
    }
    /// Seals it under a tag that has never been used, signed by the seat.
    #[must_use]
    pub fn seal(
        &self,
        (line, caller): (&LineId, &CallerId),
        (track, place): (Track<'_>, Place),
        seat: &SecretKey,
        rng: &mut impl CryptoRng,
    ) -> DownCell {
        let (tag, key) = Tags::of(track, line).tag_and_key(place);
        let mut inner = Zeroizing::new(vec![0; DOWN_PLAIN_LEN]);
        self.write(&mut inner);
        let fields = Fields(&inner);
        let signed: [&[u8]; 5] =
            [line.as_bytes(), &caller.0, &tag, fields.before(down_inner::sig), fields.after(down_inner::sig)];
        let signature = seat.sign("answer", &signed);
        inner.put(down_inner::sig, &signature);
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let ct = cipher(&key)
            .encrypt(&XNonce::from(nonce), Payload { msg: &inner, aad: &tag })
            .expect("an inner cell is shorter than the cipher's limit");
        let mut cell = Box::new([0; DOWN_CELL_LEN]);
        cell.put(down_cell::tag, &tag);
        cell.put(down_cell::nonce, &nonce);
        cell.put(down_cell::ct, &ct);
        cell
    }
    fn write(&self, inner: &mut [u8]) {
        let kind = match self.kind {
            Kind::Receipt => KIND_RECEIPT,
            Kind::Answer => KIND_ANSWER,
            Kind::Stop => KIND_STOP,
        };
        inner.put(down_inner::kind, &[kind]);
        inner.put(down_inner::flags, &[self.withdrawal.flags()]);
        inner.put(down_inner::answer_id, &self.answer);
        inner.put(down_inner::part, &[self.part.part]);
        inner.put(down_inner::parts, &[self.part.parts]);
        inner.put(down_inner::time, &self.time.to_u32().to_be_bytes());
        inner.put(down_inner::good_until, &self.good_until.to_u32().to_be_bytes());
        inner.put(down_inner::answers_session, &self.answers.0);
        inner.put(down_inner::answers_seq, &self.answers.1.to_be_bytes());
        inner.put(down_inner::have_session, &self.have.session);
        inner.put(down_inner::have_upto, &self.have.upto.to_be_bytes());
        inner.put(down_inner::have_map, &self.have.map.to_be_bytes());
        let len = u16::try_from(self.part.bytes.len()).expect("a part is shorter than a cell");
        inner.put(down_inner::len, &len.to_be_bytes());
        inner.put(Span { at: down_inner::content.at, len: self.part.bytes.len() }, &self.part.bytes);
    }
    fn read(fields: &Fields<'_>) -> Result<Self, CellError> {
        let kind = match fields.u8(down_inner::kind) {
            KIND_RECEIPT => Kind::Receipt,
            KIND_ANSWER => Kind::Answer,
            KIND_STOP => Kind::Stop,
            _ => return Err(CellError::Malformed),
        };
        let content = fields.slice(down_inner::content);
        let (bytes, rest) = content.split_at_checked(usize::from(fields.u16(down_inner::len))).ok_or(CellError::Malformed)?;
        let part =
            Part { part: fields.u8(down_inner::part), parts: fields.u8(down_inner::parts), bytes: Zeroizing::new(bytes.into()) };
        let flags = fields.u8(down_inner::flags);
        let answer = fields.array(down_inner::answer_id);
        let empty = part.part == 0 && part.parts == 1 && part.bytes.is_empty();
        let shape = match kind {
            Kind::Receipt => empty && answer == [0; 8],
            Kind::Answer | Kind::Stop => answer != [0; 8] && fits(part.part, part.parts, part.bytes.len(), ANSWER_PART_LEN),
        };
        if !shape || flags >= FLAGS_BOTH || rest.iter().any(|b| *b != 0) {
            return Err(CellError::Malformed);
        }
        Ok(Self {
            kind,
            withdrawal: Withdrawal::from_flags(flags),
            answer,
            part,
            time: Seconds(u64::from(fields.u32(down_inner::time))),
            good_until: Seconds(u64::from(fields.u32(down_inner::good_until))),
            answers: (fields.array(down_inner::answers_session), fields.u16(down_inner::answers_seq)),
            have: Receipt {
                session: fields.array(down_inner::have_session),
                upto: fields.u16(down_inner::have_upto),
                map: fields.u64(down_inner::have_map),
            },
        })
    }
}

fn cipher(key: &[u8; 32]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.into())
}

/// A cell's tag.
#[must_use]
pub fn tag(cell: &[u8; DOWN_CELL_LEN]) -> Tag {
    Fields(cell).array(down_cell::tag)
}

/// Who reads: the line, who she is on it, the roster that names the seats' keys, and the time.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// Her id on the line: of the safeguarding voice for seat 8.
    pub caller: &'a CallerId,
    /// The roster in force.
    pub roster: &'a SignedRoster,
    /// Now, by the clock that the roster was checked with.
    pub now: Seconds,
}

/// Opens a cell whose tag is the one of `track` and `place`, and believes it if the seat signed it for this caller and tag.
///
/// # Errors
///
/// In this order: [`CellError::DoesNotOpen`] (another tag, or not sealed by its key); [`CellError::Forged`];
/// [`CellError::Malformed`]; [`CellError::OutOfTime`] if its time does not fit its track, or its answer is past its good-until.
pub fn open(
    cell: &[u8; DOWN_CELL_LEN],
    (track, place): (Track<'_>, Place),
    reader: &Reader<'_>,
) -> Result<AnswerPart, CellError> {
    let line = reader.roster.line();
    let fields = Fields(cell);
    let (expected, key) = Tags::of(track, line).tag_and_key(place);
    let tag: Tag = fields.array(down_cell::tag);
    if tag != expected {
        return Err(CellError::DoesNotOpen);
    }
    let nonce: [u8; NONCE_LEN] = fields.array(down_cell::nonce);
    let inner = cipher(&key)
        .decrypt(&XNonce::from(nonce), Payload { msg: fields.slice(down_cell::ct), aad: &tag })
        .map(Zeroizing::new)
        .map_err(|_| CellError::DoesNotOpen)?;
    let inner = Fields(&inner);
    let signature: Signature = inner.array(down_inner::sig);
    let signed: [&[u8]; 5] =
        [line.as_bytes(), &reader.caller.0, &tag, inner.before(down_inner::sig), inner.after(down_inner::sig)];
    let keys = reader.roster.seat_keys(place.seat);
    if !keys.iter().any(|key| key.verify("answer", &signed, &signature).is_ok()) {
        return Err(CellError::Forged);
    }
    let part = AnswerPart::read(&inner)?;
    let in_time = time_fits(&part, track, reader) && reader.now <= part.good_until;
    if in_time { Ok(part) } else { Err(CellError::OutOfTime) }
}

fn time_fits(part: &AnswerPart, track: Track<'_>, reader: &Reader<'_>) -> bool {
    match track {
        Track::Fast(_) => part.time.0.abs_diff(reader.now.0) <= FAST_TIME_FITS,
        Track::Slow(_, day) => {
            let day_s = reader.roster.timing().day_s();
            let slack = day_s.max(SLOW_TIME_FITS_LEAST);
            let begins = u64::from(day).saturating_mul(day_s);
            part.time.0.saturating_add(slack) >= begins && part.time.0 < begins.saturating_add(day_s).saturating_add(slack)
        }
    }
}
