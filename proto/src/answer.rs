//! What a desk writes back (SPEC §8.2).
use crate::cbor::{MapWriter, read_map};
use crate::letter::{ContentError, language_code, normal, read_language, read_text};
use crate::phrase::Language;
use alloc::{string::String, vec::Vec};
use core::fmt;
use zeroize::Zeroizing;

/// An answer's content.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Counts the answers to this caller from 1, so that they are shown in order.
    pub n: u64,
    /// The text, in NFC.
    pub text: Zeroizing<String>,
    /// Its language.
    pub language: Option<Language>,
    /// Whether it names a place or a time; then it lives two days at most.
    pub meeting: bool,
    /// Another line's card (CBOR), introduced by this answer.
    pub introduction: Option<Vec<u8>>,
}

/// Silent: what people write stays out of logs.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

impl Answer {
    /// The answer as it is cut into cells.
    ///
    /// # Errors
    ///
    /// [`ContentError::TooLong`] for its text or card; [`ContentError::Empty`] if it has neither.
    pub fn to_cbor(&self) -> Result<Vec<u8>, ContentError> {
        let text = normal(&self.text)?;
        if text.is_empty() && self.introduction.is_none() {
            return Err(ContentError::Empty);
        }
        if self.introduction.as_ref().is_some_and(|card| card.len() > crate::limits::CARD_MAX) {
            return Err(ContentError::TooLong);
        }
        let mut map = MapWriter::new();
        map.uint(0, self.n);
        if !text.is_empty() {
            map.text(1, &text);
        }
        if let Some(language) = self.language {
            map.uint(2, language_code(language));
        }
        map.truth(3, self.meeting);
        if let Some(card) = &self.introduction {
            map.bytes(4, card);
        }
        Ok(map.finish())
    }
    /// Reads an answer.
    ///
    /// # Errors
    ///
    /// [`ContentError::Malformed`] for anything but the map of SPEC §8.2.
    pub fn parse(bytes: &[u8]) -> Result<Self, ContentError> {
        let (mut answer, mut numbered) = (Self::default(), false);
        read_map(bytes, |key, value| {
            match key {
                0 => (answer.n, numbered) = (value.u64()?, true),
                1 => answer.text = read_text(value)?,
                2 => answer.language = read_language(value)?,
                3 => answer.meeting = value.bool()?,
                4 => answer.introduction = Some(value.bytes()?.into()),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if numbered { Ok(answer) } else { Err(ContentError::Malformed) }
    }
}
