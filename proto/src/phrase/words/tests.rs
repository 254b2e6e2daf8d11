//! The rules of the list (`words/README.md`), as far as a program can hold them.
use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::string::{String, ToString};
use unicode_normalization::{UnicodeNormalization, is_nfc};

fn is_hangul(c: char) -> bool {
    ('가'..='힣').contains(&c)
}
fn is_chinese(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c)
}

#[test]
fn there_are_1024_rows_of_seven_columns_numbered_in_order() {
    assert_eq!(rows(WORDS).count(), usize::from(WORD_COUNT));
    for (index, row) in rows(WORDS).enumerate() {
        let columns: Vec<&str> = row.split('\t').collect();
        assert_eq!(columns.len(), 7, "row {index}");
        assert_eq!(columns[0], index.to_string());
        assert_eq!(columns[1], (index / 32).to_string());
        assert!(is_nfc(row), "row {index} is not NFC");
    }
    assert_eq!(rows(SHELVES).count(), 32);
    assert_eq!(rows(PICTURES).count(), usize::from(crate::phrase::PICTURE_COUNT));
}

#[test]
fn no_word_stands_twice_in_any_language_or_in_two() {
    let mut seen = BTreeMap::new();
    for language in Language::ALL {
        for (index, word) in all(language).enumerate() {
            assert_eq!(seen.insert(word, index), None, "{word} stands twice");
        }
    }
}

#[test]
fn korean_words_are_two_to_five_syllables_and_tell_apart_by_their_first_two() {
    let mut heads = BTreeSet::new();
    for word in all(Language::Ko) {
        let syllables: Vec<char> = word.chars().collect();
        assert!((2..=5).contains(&syllables.len()) && syllables.iter().all(|c| is_hangul(*c)), "{word}");
        assert!(heads.insert([syllables[0], syllables[1]]), "{word} begins like another");
    }
}

#[test]
fn no_korean_word_begins_with_rieul() {
    for word in all(Language::Ko) {
        let first = u32::from(word.chars().next().unwrap()) - 0xac00;
        assert_ne!(first / 588, 5, "{word} begins with ㄹ");
    }
}

#[test]
fn chinese_words_are_two_or_three_characters_without_homophones() {
    let mut sounds = BTreeSet::new();
    for (row, word) in rows(WORDS).zip(all(Language::Zh)) {
        assert!((2..=3).contains(&word.chars().count()) && word.chars().all(is_chinese), "{word}");
        let pinyin = cell(row, 5);
        assert!(!pinyin.is_empty() && pinyin.bytes().all(|b| b.is_ascii_lowercase()), "{word}: {pinyin}");
        assert!(sounds.insert(pinyin), "{word} sounds like another: {pinyin}");
    }
}

#[test]
fn english_words_are_plain_and_no_word_begins_another() {
    let words: BTreeSet<&str> = all(Language::En).collect();
    for (word, next) in words.iter().zip(words.iter().skip(1)) {
        assert!((3..=10).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase()), "{word}");
        assert!(!next.starts_with(word), "{word} begins {next}");
    }
}

#[test]
fn a_picture_shows_one_word_only() {
    let mut seen = BTreeSet::new();
    for emoji in rows(WORDS).map(|row| cell(row, 6)).filter(|emoji| !emoji.is_empty()) {
        assert!(seen.insert(emoji), "{emoji} stands twice");
        assert!(emoji.chars().count() <= 2 && !emoji.contains('\u{200d}'), "{emoji} is not one plain emoji");
    }
    assert!(seen.len() >= 100, "only {} pictures", seen.len());
}

#[test]
fn words_survive_decomposition_case_and_spacing() {
    for language in Language::ALL {
        let words: Vec<&str> = all(language).collect();
        for (start, eight) in (0u16..).step_by(8).zip(words.chunks_exact(8)) {
            let again: Vec<String> = eight.iter().map(|word| word.nfd().flat_map(char::to_uppercase).collect()).collect();
            let text = std::format!("\u{3000}{}、 8. \r\n", again.join(" , "));
            let read: [u16; 8] = crate::phrase::read_words(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(read, core::array::from_fn(|i| start + u16::try_from(i).unwrap()));
        }
    }
}

#[test]
fn chinese_written_without_spaces_is_read() {
    let words: Vec<&str> = all(Language::Zh).collect();
    for (start, eight) in (0u16..).step_by(8).zip(words.chunks_exact(8)) {
        let read: [u16; 8] = crate::phrase::read_words(&eight.concat()).unwrap_or_else(|e| panic!("{eight:?}: {e}"));
        assert_eq!(read, core::array::from_fn(|i| start + u16::try_from(i).unwrap()));
    }
}
