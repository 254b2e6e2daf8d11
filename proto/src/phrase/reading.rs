//! Reading words as people write them: any of three languages, any case, spacing and normal form (SPEC §4).
use super::words::{Language, all};
use alloc::{string::String, vec::Vec};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// The text is not the words expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PhraseError {
    /// The word at this position, counted from 1, is in none of the lists. Its text is not repeated here: it may be a secret misspelt.
    #[error("word {0} is not in the list; check its spelling")]
    UnknownWord(usize),
    /// All words are in the list, but there are too few or too many: this many.
    #[error("there are {0} words, which is not the number expected")]
    WordCount(usize),
}

/// The longest text that is looked at, in bytes; more cannot be words of the list.
const TEXT_MAX: usize = 4096;

/// Reads exactly `N` words and gives their indexes.
///
/// # Errors
///
/// [`PhraseError::UnknownWord`] first, then [`PhraseError::WordCount`].
pub fn read_words<const N: usize>(text: &str) -> Result<[u16; N], PhraseError> {
    if text.len() > TEXT_MAX {
        return Err(PhraseError::WordCount(text.split_whitespace().count()));
    }
    let plain: Zeroizing<String> = Zeroizing::new(text.nfkc().flat_map(char::to_lowercase).collect());
    let mut indexes = Zeroizing::new(Vec::with_capacity(N));
    for chunk in plain.split(is_separator).filter(|chunk| !chunk.is_empty() && !is_number(chunk)) {
        read_chunk(chunk, &mut indexes)?;
    }
    indexes.as_slice().try_into().map_err(|_| PhraseError::WordCount(indexes.len()))
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, ',' | '，' | '、' | '。' | '.' | '·' | '-' | ';' | '/' | '(' | ')' | '\u{feff}' | '\u{200b}')
}

/// A numbered shopping list is still the same list.
fn is_number(chunk: &str) -> bool {
    chunk.bytes().all(|b| b.is_ascii_digit())
}

/// One word, or several written without spaces as Chinese is: the longest word first, without going back.
fn read_chunk(chunk: &str, indexes: &mut Vec<u16>) -> Result<(), PhraseError> {
    let mut rest = chunk;
    while !rest.is_empty() {
        let (index, word) = longest_word_at(rest).ok_or(PhraseError::UnknownWord(indexes.len() + 1))?;
        indexes.push(index);
        rest = rest.get(word.len()..).unwrap_or_default();
    }
    Ok(())
}

fn longest_word_at(text: &str) -> Option<(u16, &'static str)> {
    Language::ALL
        .into_iter()
        .flat_map(|language| (0u16..).zip(all(language)))
        .filter(|(_, word)| text.starts_with(word))
        .max_by_key(|(_, word)| word.len())
}
