//! Texts as people write them, and chance.
use porchlight_proto::letter::normal;
use rand_core::Rng;

/// Pieces that no neighbour composes with: Hangul whole and in parts, Chinese, emoji in several code points,
/// combining marks in the wrong order, right-to-left, plain.
const PIECES: &[&str] = &[
    "가",
    "힣",
    "\u{1112}\u{1161}\u{11ab}",
    "가\u{11a8}",
    "\u{1100}\u{1161}",
    "ㅋ",
    "您",
    "好",
    "𠮷",
    "。",
    "，",
    "👩‍👩‍👧‍👦",
    "🇰🇷",
    "❤️",
    "🌙",
    "e\u{301}",
    "a\u{307}\u{323}",
    "Å",
    "\u{212b}",
    "o\u{308}\u{304}",
    "ß",
    "שָׁ",
    "ع",
    "x",
    "Q",
    " ",
    "\n",
    "\u{a0}",
    "'",
    "0",
];

/// A number below `most`.
pub(crate) fn below(rng: &mut impl Rng, most: u64) -> u64 {
    rng.next_u64() % most
}

/// One of these.
pub(crate) fn one_of<'a, T>(rng: &mut impl Rng, of: &'a [T]) -> &'a T {
    &of[below(rng, of.len() as u64) as usize]
}

/// Random bytes.
pub(crate) fn random<const N: usize>(rng: &mut impl Rng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// In any order.
pub(crate) fn shuffle<T>(rng: &mut impl Rng, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(rng, last as u64 + 1) as usize);
    }
}

/// How long the text number `count` is: the bounds first, then anything from 1 to 16,000 bytes, short ones more often.
pub(crate) fn length(rng: &mut impl Rng, count: usize) -> usize {
    const BOUNDS: [usize; 8] = [1, 16_000, 15_999, 700, 718, 723, 854, 1_446];
    let scale = 1 + below(rng, 16_000);
    BOUNDS.get(count).copied().unwrap_or(1 + below(rng, scale) as usize)
}

/// A text that has exactly `length` bytes once it is in NFC; as it stands it mostly is not.
pub(crate) fn text(rng: &mut impl Rng, length: usize) -> String {
    let (mut text, mut left) = (String::new(), length);
    while left > 0 {
        let piece = one_of(rng, PIECES);
        let size = normal(piece).unwrap().len();
        if size > left {
            text.push_str(&"a".repeat(left));
            break;
        }
        text.push_str(piece);
        left -= size;
    }
    assert_eq!(normal(&text).unwrap().len(), length);
    text
}
