//! The one-byte public notice for the worst day (SPEC §11).
use crate::layout::{Fields, Put, bulletin as layout};
use crate::limits::BULLETIN_LEN;
use crate::line::{LineId, Seat};
use crate::roster::SignedRoster;
use crate::sign::{SecretKey, Signature};
use crate::time::Seconds;

/// How far ahead of its reader's clock a bulletin's time may lie, in seconds: a seat must not block later ones for long.
const AHEAD_MAX: u64 = 600;

/// One of the few reviewed sentences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// "Do not go to any meeting agreed before today."
    NoMeetings,
    /// "Closed until …"; the roster says until when.
    Closed,
    /// "This door will change, use the other."
    DoorChanges,
}

impl Code {
    /// The byte that stands for it.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::NoMeetings => 1,
            Self::Closed => 2,
            Self::DoorChanges => 3,
        }
    }
    /// The sentence of a byte.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::NoMeetings),
            2 => Some(Self::Closed),
            3 => Some(Self::DoorChanges),
            _ => None,
        }
    }
}

/// A bulletin that a seat of the line has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bulletin {
    /// What it says.
    pub code: Code,
    /// Which seat raised it.
    pub seat: Seat,
    /// When.
    pub time: Seconds,
}

/// Why a bulletin is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BulletinError {
    /// Unknown code, a seat that may not raise one, bytes that must be zero, or another length.
    #[error("this is not a bulletin")]
    Malformed,
    /// No key of its seat signed it.
    #[error("the bulletin is not signed by a seat of the line")]
    Forged,
    /// The roster in force has voided it, or it lies more than ten minutes ahead.
    #[error("the bulletin does not stand")]
    Void,
}

impl Bulletin {
    /// Signs the bulletin with its seat's key.
    #[must_use]
    pub fn sign(&self, seat: &SecretKey, line: &LineId) -> [u8; BULLETIN_LEN] {
        let mut bytes = [0; BULLETIN_LEN];
        bytes.put(layout::code, &[self.code.code()]);
        bytes.put(layout::seat, &[self.seat.number()]);
        bytes.put(layout::time, &self.time.0.to_be_bytes());
        let signature = seat.sign("bulletin", &[line.as_bytes(), Fields(&bytes).before(layout::signature)]);
        bytes.put(layout::signature, &signature);
        bytes
    }
    /// Believes the 80 bytes if a seat of the roster signed them; `None` for 80 zero bytes, which say nothing.
    ///
    /// # Errors
    ///
    /// In this order: [`BulletinError::Malformed`], [`BulletinError::Forged`], [`BulletinError::Void`].
    pub fn check(bytes: &[u8], roster: &SignedRoster, now: Seconds) -> Result<Option<Self>, BulletinError> {
        let bytes: &[u8; BULLETIN_LEN] = bytes.try_into().map_err(|_| BulletinError::Malformed)?;
        if bytes.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let fields = Fields(bytes);
        let code = Code::from_code(fields.u8(layout::code)).ok_or(BulletinError::Malformed)?;
        let seat = Seat::new(fields.u8(layout::seat))
            .filter(|seat| !seat.is_safeguarding() && fields.is_zero(layout::zero))
            .ok_or(BulletinError::Malformed)?;
        let signature: Signature = fields.array(layout::signature);
        let line = roster.line();
        let signed = [line.as_bytes().as_slice(), fields.before(layout::signature)];
        if !roster.seat_keys(seat).iter().any(|key| key.verify("bulletin", &signed, &signature).is_ok()) {
            return Err(BulletinError::Forged);
        }
        let time = Seconds(fields.u64(layout::time));
        if time < roster.bulletins_void_before() || time > now.plus(AHEAD_MAX) {
            return Err(BulletinError::Void);
        }
        Ok(Some(Self { code, seat, time }))
    }
}
