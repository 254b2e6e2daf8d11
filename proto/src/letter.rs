//! What a caller writes (SPEC §8.1).
use crate::cbor::{BadCbor, MapWriter, array, infallible, items, read_map};
use crate::limits::TEXT_MAX;
use crate::phrase::Language;
use alloc::{string::String, vec::Vec};
use core::fmt;
use minicbor::Decoder;
use zeroize::Zeroizing;

/// The id of one visit: random per opened page.
pub type Session = [u8; 8];

/// How she is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// "I am all right."
    Safe,
    /// "I need help."
    Help,
    /// "I am going to another place."
    Moving,
    /// "I would like to talk."
    Talk,
}

impl Status {
    /// Its code (SPEC §8.1).
    #[must_use]
    pub const fn code(self) -> u64 {
        match self {
            Self::Safe => 1,
            Self::Help => 2,
            Self::Moving => 3,
            Self::Talk => 4,
        }
    }
    /// The status of a code. One of a later version is as if it were absent: the rest of the letter is still read.
    #[must_use]
    pub const fn from_code(code: u64) -> Option<Self> {
        match code {
            1 => Some(Self::Safe),
            2 => Some(Self::Help),
            3 => Some(Self::Moving),
            4 => Some(Self::Talk),
            _ => None,
        }
    }
}

/// Which letters she takes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdraw {
    /// Everything that no worker has been shown yet.
    AllUnshown,
    /// One letter.
    One(Session, u16),
}

/// A letter: a check-in, a text, or the wish to take one back.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Letter {
    /// How she is.
    pub status: Option<Status>,
    /// What she wrote, in NFC.
    pub text: Zeroizing<String>,
    /// Seconds until she may write again.
    pub next: Option<u64>,
    /// "Please do not answer me now."
    pub quiet: bool,
    /// "Answer like a relative would."
    pub relative: bool,
    /// The language of the page.
    pub language: Option<Language>,
    /// What she takes back.
    pub withdraw: Option<Withdraw>,
}

/// Silent: what people write stays out of logs.
impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Letter")
    }
}

/// Why a text or a content is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// More than 16,000 bytes. Shorten it, or write two.
    #[error("the text is longer than 16,000 bytes; shorten it or send it in two")]
    TooLong,
    /// There is nothing in it.
    #[error("there is nothing to send")]
    Empty,
    /// The bytes are no content of this kind.
    #[error("this content cannot be read")]
    Malformed,
}

impl From<BadCbor> for ContentError {
    fn from(_: BadCbor) -> Self {
        Self::Malformed
    }
}

/// The text in NFC, as it is sent. Without the feature `words` the caller has normalised it.
///
/// # Errors
///
/// [`ContentError::TooLong`] if it is then longer than 16,000 bytes.
pub fn normal(text: &str) -> Result<Zeroizing<String>, ContentError> {
    let mut normal = Zeroizing::new(String::with_capacity(text.len().min(TEXT_MAX) + 4));
    for c in nfc(text) {
        normal.push(c);
        if normal.len() > TEXT_MAX {
            return Err(ContentError::TooLong);
        }
    }
    Ok(normal)
}

#[cfg(feature = "words")]
fn nfc(text: &str) -> impl Iterator<Item = char> {
    unicode_normalization::UnicodeNormalization::nfc(text)
}

#[cfg(not(feature = "words"))]
fn nfc(text: &str) -> impl Iterator<Item = char> {
    text.chars()
}

/// A text as it was received, brought to NFC: an older phone knows an older Unicode, and is not refused for it.
pub(crate) fn read_text(value: &mut Decoder<'_>) -> Result<Zeroizing<String>, BadCbor> {
    let text = value.str()?;
    if text.len() > TEXT_MAX { Err(BadCbor) } else { normal(text).map_err(|_| BadCbor) }
}

impl Language {
    /// Its code in letters and answers (SPEC §8.1).
    #[must_use]
    pub const fn code(self) -> u64 {
        match self {
            Self::Zh => 0,
            Self::Ko => 1,
            Self::En => 2,
        }
    }
    /// The language of a code. One of a later version is as if it were not said.
    #[must_use]
    pub const fn from_code(code: u64) -> Option<Self> {
        match code {
            0 => Some(Self::Zh),
            1 => Some(Self::Ko),
            2 => Some(Self::En),
            _ => None,
        }
    }
}

impl Letter {
    /// The letter as it is cut into cells.
    ///
    /// # Errors
    ///
    /// [`ContentError::TooLong`] for its text; [`ContentError::Empty`] if it has no status, no text and withdraws nothing.
    pub fn to_cbor(&self) -> Result<Vec<u8>, ContentError> {
        let text = normal(&self.text)?;
        if self.status.is_none() && text.is_empty() && self.withdraw.is_none() {
            return Err(ContentError::Empty);
        }
        let mut map = MapWriter::new();
        map.uint_unless_zero(0, self.status.map_or(0, Status::code));
        if !text.is_empty() {
            map.text(1, &text);
        }
        map.uint_unless_zero(2, self.next.unwrap_or(0)).truth(3, self.quiet).truth(4, self.relative);
        if let Some(language) = self.language {
            map.uint(5, language.code());
        }
        if let Some(withdraw) = &self.withdraw {
            map.field(6, |out| match withdraw {
                Withdraw::AllUnshown => infallible(out.array(0)),
                Withdraw::One(session, seq) => {
                    infallible(out.array(2));
                    infallible(out.bytes(session));
                    infallible(out.u16(*seq));
                }
            });
        }
        Ok(map.finish())
    }
    /// Reads a letter.
    ///
    /// # Errors
    ///
    /// [`ContentError::Malformed`] for anything but the map of SPEC §8.1; [`ContentError::Empty`] if it says nothing.
    pub fn parse(bytes: &[u8]) -> Result<Self, ContentError> {
        let mut letter = Self::default();
        read_map(bytes, |key, value| {
            match key {
                0 => letter.status = Status::from_code(value.u64()?),
                1 => letter.text = read_text(value)?,
                2 => letter.next = Some(value.u64()?).filter(|next| *next > 0),
                3 => letter.quiet = value.bool()?,
                4 => letter.relative = value.bool()?,
                5 => letter.language = Language::from_code(value.u64()?),
                6 => letter.withdraw = Some(read_withdraw(value)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if letter.status.is_none() && letter.text.is_empty() && letter.withdraw.is_none() {
            return Err(ContentError::Empty);
        }
        Ok(letter)
    }
}

fn read_withdraw(value: &mut Decoder<'_>) -> Result<Withdraw, BadCbor> {
    match items(value, 2)? {
        0 => Ok(Withdraw::AllUnshown),
        2 => Ok(Withdraw::One(array(value)?, value.u16()?)),
        _ => Err(BadCbor),
    }
}
