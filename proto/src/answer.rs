//! What a desk writes back (SPEC §8.2).
use crate::cbor::{BadCbor, MapWriter, array, infallible, items, read_map};
use crate::event::AnswerId;
use crate::letter::{ContentError, normal, read_text};
use crate::limits::CARD_MAX;
use crate::phrase::Language;
use alloc::{string::String, vec::Vec};
use core::fmt;
use zeroize::Zeroizing;

/// The most answers that one stop names.
const STOPS_MAX: usize = 64;

/// An answer's content, or a stop's.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Counts the answers to this caller from 1, so that they are shown in order.
    pub n: u64,
    /// When it was written, Unix seconds. This is what is shown: a cell's own time says only that the cell is fresh.
    pub written: u64,
    /// The text, in NFC.
    pub text: Zeroizing<String>,
    /// Its language.
    pub language: Option<Language>,
    /// Whether it names a place or a time; then it lives two days at most.
    pub meeting: bool,
    /// Another line's card (CBOR), introduced by this answer.
    pub introduction: Option<Vec<u8>>,
    /// In a stop: the answers it stops; empty for every answer with a lower `n`.
    pub stops: Vec<AnswerId>,
}

/// Silent: what people write stays out of logs.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

impl Answer {
    /// Whether this stop covers an answer.
    #[must_use]
    pub fn stops(&self, n: u64, answer: &AnswerId) -> bool {
        if self.stops.is_empty() { n < self.n } else { self.stops.contains(answer) }
    }
    /// The answer as it is cut into cells.
    ///
    /// # Errors
    ///
    /// [`ContentError::TooLong`] for its text or card, or for more than 64 stopped answers.
    pub fn to_cbor(&self) -> Result<Vec<u8>, ContentError> {
        let text = normal(&self.text)?;
        let long_card = self.introduction.as_ref().is_some_and(|card| card.len() > CARD_MAX);
        if long_card || self.stops.len() > STOPS_MAX {
            return Err(ContentError::TooLong);
        }
        let mut map = MapWriter::new();
        map.uint(0, self.n);
        if !text.is_empty() {
            map.text(1, &text);
        }
        if let Some(language) = self.language {
            map.uint(2, language.code());
        }
        map.truth(3, self.meeting);
        if let Some(card) = &self.introduction {
            map.bytes(4, card);
        }
        map.uint(5, self.written);
        if !self.stops.is_empty() {
            map.field(6, |out| {
                infallible(out.array(self.stops.len() as u64));
                for answer in &self.stops {
                    infallible(out.bytes(answer));
                }
            });
        }
        Ok(map.finish())
    }
    /// Reads an answer.
    ///
    /// # Errors
    ///
    /// [`ContentError::Malformed`] for anything but the map of SPEC §8.2.
    pub fn parse(bytes: &[u8]) -> Result<Self, ContentError> {
        let (mut answer, mut numbered, mut dated) = (Self::default(), false, false);
        read_map(bytes, |key, value| {
            match key {
                0 => (answer.n, numbered) = (value.u64()?, true),
                1 => answer.text = read_text(value)?,
                2 => answer.language = Language::from_code(value.u64()?),
                3 => answer.meeting = value.bool()?,
                4 => answer.introduction = Some(read_card(value)?),
                5 => (answer.written, dated) = (value.u64()?, true),
                6 => answer.stops = read_stops(value)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if numbered && dated { Ok(answer) } else { Err(ContentError::Malformed) }
    }
}

/// A card's bytes, as long as a card may be; what they say is for whoever shows it to read.
fn read_card(value: &mut minicbor::Decoder<'_>) -> Result<Vec<u8>, BadCbor> {
    Some(value.bytes()?).filter(|card| card.len() <= CARD_MAX).map(Into::into).ok_or(BadCbor)
}

fn read_stops(value: &mut minicbor::Decoder<'_>) -> Result<Vec<AnswerId>, BadCbor> {
    (0..items(value, STOPS_MAX as u64)?).map(|_| array(value)).collect()
}
