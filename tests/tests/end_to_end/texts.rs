//! Texts as people write them, in the scripts that break programs.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// The seed of this run: `PORCHLIGHT_SEED` if it is set, else drawn; always printed.
pub fn rng(test: &str) -> ChaCha20Rng {
    use std::hash::{BuildHasher, Hasher};
    let given = std::env::var("PORCHLIGHT_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| std::collections::hash_map::RandomState::new().build_hasher().finish());
    println!("{test}: PORCHLIGHT_SEED={seed}");
    ChaCha20Rng::seed_from_u64(seed)
}

/// Pieces of one script or another. Decomposed ones come out composed: the protocol sends NFC.
const PIECES: [&[&str]; 5] = [
    &["안녕하세요", "저는 ", "잘 있어요. ", "쌀", "밥"],
    // The same in NFD, as some keyboards and file systems write it.
    &["\u{1112}\u{1161}\u{11ab}", "\u{1100}\u{1173}\u{11af}", " ", "\u{1103}\u{1161}\u{11b8}\u{110c}\u{1161}\u{11bc}"],
    &["你好", "我很好。", "下周再写。", "𠮷", "豆腐"],
    &["👩‍🌾", "🏳️‍🌈", "👨‍👩‍👧‍👦", "🙂", "🇰🇷"],
    &["e\u{301}", "a\u{30a}", "q\u{323}\u{307}", "o\u{308}\u{304}", "\n", "\t", "\\\" {}"],
];

/// A text of 1 to `longest` characters that stays within 16,000 bytes.
pub fn draw(rng: &mut ChaCha20Rng, longest: usize) -> String {
    let mut below = |limit: usize| usize::try_from(rng.next_u64() % u64::try_from(limit).unwrap()).unwrap();
    // As many short ones as long ones: up to 4, 16, 64, ... characters.
    let doublings = below(usize::try_from(longest.ilog2()).unwrap() + 1);
    let wanted = 1 + below(longest.min(2 << doublings));
    let script = PIECES[below(PIECES.len())];
    let mut text = String::new();
    while text.chars().count() < wanted {
        text.push_str(script[below(script.len())]);
    }
    let mut cut: String = text.chars().take(wanted).collect();
    while cut.len() > 15_900 {
        cut.pop();
    }
    // Only spaces and line breaks would say nothing.
    // From stdin a text loses one line break at its end.
    let cut = cut.strip_suffix('\n').map_or(cut.clone(), |rest| format!("{rest}·"));
    if cut.trim().is_empty() { "·".to_owned() } else { cut }
}
