//! Cutting contents into the parts that cells carry, and joining them again (SPEC §6.1, §7).
use crate::limits::PARTS_MAX;
use alloc::{vec, vec::Vec};
use zeroize::Zeroizing;

/// One part of a content: which, of how many, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its place, from 0.
    pub part: u8,
    /// How many there are.
    pub parts: u8,
    /// Its bytes: full length for every part but the last.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// Cuts a content into parts of `size` bytes; the last may be shorter. An empty content is one empty part.
/// `None` if it would take more than 32.
#[must_use]
pub fn cut(content: &[u8], size: usize) -> Option<Vec<Part>> {
    let parts = u8::try_from(content.len().div_ceil(size).max(1)).ok().filter(|parts| *parts <= PARTS_MAX)?;
    if content.is_empty() {
        return Some(vec![Part { part: 0, parts, bytes: Zeroizing::default() }]);
    }
    let cut = (0..parts).zip(content.chunks(size));
    Some(cut.map(|(part, bytes)| Part { part, parts, bytes: Zeroizing::new(bytes.into()) }).collect())
}

/// Whether part numbers and a length agree with each other, for parts of `size` bytes.
pub(crate) fn fits(part: u8, parts: u8, len: usize, size: usize) -> bool {
    let last = u16::from(part) + 1 == u16::from(parts);
    part < parts && parts <= PARTS_MAX && if last { (1..=size).contains(&len) } else { len == size }
}

/// What became of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joined {
    /// It was the last one missing: the whole content.
    Whole(Zeroizing<Vec<u8>>),
    /// More are missing, or this one was here already.
    Waiting,
    /// It contradicts a part that is here already. The first stays.
    Contradicts,
}

/// Parts of one content on their way to being whole; in any order, twice, or never. At most 32 parts, so memory is bounded.
#[derive(Clone, Debug)]
pub struct Join {
    parts: Vec<Option<Zeroizing<Vec<u8>>>>,
    whole: bool,
}

impl Join {
    /// Waits for this many parts.
    #[must_use]
    pub fn of(parts: u8) -> Self {
        Self { parts: vec![None; usize::from(parts.clamp(1, PARTS_MAX))], whole: false }
    }
    /// Takes a part. Gives the content once, with the part that completes it.
    pub fn take(&mut self, part: &Part) -> Joined {
        if usize::from(part.parts) != self.parts.len() {
            return Joined::Contradicts;
        }
        match self.parts.get_mut(usize::from(part.part)) {
            None => return Joined::Contradicts,
            Some(Some(here)) if *here != part.bytes => return Joined::Contradicts,
            Some(Some(_)) => return Joined::Waiting,
            Some(place) => *place = Some(part.bytes.clone()),
        }
        if self.whole || self.parts.iter().any(Option::is_none) {
            return Joined::Waiting;
        }
        self.whole = true;
        Joined::Whole(Zeroizing::new(self.parts.iter().flatten().flat_map(|part| part.iter().copied()).collect()))
    }
    /// How many parts are here.
    #[must_use]
    pub fn count(&self) -> usize {
        self.parts.iter().flatten().count()
    }
}
