//! The line's root key, kept as 16 words on paper (SPEC §3.1).
use crate::phrase::{Language, words};
#[cfg(feature = "words")]
use crate::phrase::{PhraseError, read_words};
use crate::sign::SecretKey;
use crate::stretch::{ROOT, stretch};
use alloc::boxed::Box;
use core::fmt;
use rand_core::CryptoRng;
use zeroize::Zeroize;

/// Words of a root: 160 bits.
pub const ROOT_WORDS: usize = 16;

/// Fixed, because the line's id is computed from the result.
const SALT: &[u8] = b"porchlight/v1/root-words";

/// The sixteen words of a line's root. Not `Clone`, silent in `Debug`, wiped when dropped.
pub struct RootWords(Box<[u16; ROOT_WORDS]>);

impl RootWords {
    /// Draws a new root.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(Box::new(words::draw(rng)))
    }
    /// Reads sixteen words as [`crate::phrase::Phrase::parse`] reads eight.
    ///
    /// # Errors
    ///
    /// As there.
    #[cfg(feature = "words")]
    pub fn parse(text: &str) -> Result<Self, PhraseError> {
        read_words(text).map(|words| Self(Box::new(words)))
    }
    /// The words in one language.
    #[must_use]
    pub fn words(&self, language: Language) -> [&'static str; ROOT_WORDS] {
        self.0.map(|index| words::word(index, language))
    }
    /// The root key: 256 MiB of Argon2id, a second or two.
    #[must_use]
    pub fn key(&self) -> SecretKey {
        SecretKey::from_seed(&stretch(ROOT, &words::password(self.0.as_slice()), SALT))
    }
}

impl Drop for RootWords {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for RootWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootWords")
    }
}
