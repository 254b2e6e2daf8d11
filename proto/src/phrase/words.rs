//! The word list and the recognition pictures, as data (SPEC §4). The files are drafts until native readers approve them.
use alloc::vec::Vec;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Words in the list: ten bits each.
pub const WORD_COUNT: u16 = 1024;
/// Words on one market shelf.
pub const SHELF_WORDS: u16 = 32;

const WORDS: &str = include_str!("../../words/words.tsv");
const SHELVES: &str = include_str!("../../words/shelves.tsv");
const PICTURES: &str = include_str!("../../words/pictures.tsv");

/// A language of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// Simplified Chinese.
    Zh,
    /// Korean.
    Ko,
    /// English.
    En,
}

impl Language {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Ko, Self::Zh, Self::En];
    /// The column of `words.tsv`.
    const fn column(self) -> usize {
        match self {
            Self::Ko => 2,
            Self::Zh => 3,
            Self::En => 4,
        }
    }
}

fn rows(file: &'static str) -> impl Iterator<Item = &'static str> {
    file.lines().skip(1)
}

fn cell(row: &'static str, column: usize) -> &'static str {
    row.split('\t').nth(column).expect("a test holds every row to its columns")
}

/// The word of an index, in one language.
#[must_use]
pub fn word(index: u16, language: Language) -> &'static str {
    cell(rows(WORDS).nth(usize::from(index)).expect("indexes are below 1,024"), language.column())
}

/// Every word of a language, in the order of its index.
pub fn all(language: Language) -> impl Iterator<Item = &'static str> {
    rows(WORDS).map(move |row| cell(row, language.column()))
}

/// The names of the 32 market shelves.
pub fn shelves(language: Language) -> impl Iterator<Item = &'static str> {
    rows(SHELVES).map(move |row| cell(row, language.column() - 1))
}

/// The name of a recognition picture, whose index is below 64.
#[must_use]
pub fn picture(index: u8, language: Language) -> &'static str {
    cell(rows(PICTURES).nth(usize::from(index % 64)).expect("there are 64 pictures"), language.column() - 1)
}

/// Draws `N` indexes, each evenly.
pub(crate) fn draw<const N: usize>(rng: &mut impl CryptoRng) -> [u16; N] {
    core::array::from_fn(|_| {
        let mut bytes = [0; 2];
        rng.fill_bytes(&mut bytes);
        u16::from_be_bytes(bytes) % WORD_COUNT
    })
}

/// What is stretched: the indexes, two bytes each.
pub(crate) fn password(indexes: &[u16]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(indexes.iter().flat_map(|index| index.to_be_bytes()).collect())
}

#[cfg(test)]
mod tests;
