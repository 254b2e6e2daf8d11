//! The eight words that are a caller's whole secret, and the keys that grow from them (SPEC §4).
use crate::kdf::expand;
use crate::line::{CallerId, LineId};
use crate::sign::SecretKey;
use crate::stretch::{PHRASE, stretch};
use alloc::boxed::Box;
use core::fmt;
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

#[cfg(feature = "words")]
mod reading;
pub mod words;

#[cfg(feature = "words")]
pub use reading::{PhraseError, read_words};
pub use words::Language;

/// Words in a phrase: 80 bits.
pub const PHRASE_WORDS: usize = 8;
/// Pictures from which the three of a phrase are drawn.
pub const PICTURE_COUNT: u8 = 64;

/// Eight indexes into the word list. Any eight are a phrase: there is no checksum and no wrong one.
///
/// Not `Clone`, silent in `Debug`, wiped when dropped.
pub struct Phrase(Box<[u16; PHRASE_WORDS]>);

impl Phrase {
    /// Draws a new phrase.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(Box::new(words::draw(rng)))
    }
    /// Reads eight words in any of the three languages, in any case, spacing and normal form.
    ///
    /// # Errors
    ///
    /// [`PhraseError::UnknownWord`] with the position of the first word that is in no list; [`PhraseError::WordCount`] with how many there were.
    #[cfg(feature = "words")]
    pub fn parse(text: &str) -> Result<Self, PhraseError> {
        read_words(text).map(|words| Self(Box::new(words)))
    }
    /// A phrase of eight indexes below 1,024; `None` if one is not.
    #[must_use]
    pub fn from_indexes(indexes: [u16; PHRASE_WORDS]) -> Option<Self> {
        indexes.iter().all(|index| *index < words::WORD_COUNT).then(|| Self(Box::new(indexes)))
    }
    /// The eight indexes.
    #[must_use]
    pub fn indexes(&self) -> &[u16; PHRASE_WORDS] {
        &self.0
    }
    /// The eight words in one language.
    #[must_use]
    pub fn words(&self, language: Language) -> [&'static str; PHRASE_WORDS] {
        self.0.map(|index| words::word(index, language))
    }
    /// Stretches the phrase for a line: 19 MiB of Argon2id, a tenth of a second on a laptop.
    #[must_use]
    pub fn stretch(&self, line: &LineId) -> Stretched {
        let password = words::password(self.0.as_slice());
        Stretched { line: *line, key: stretch(PHRASE, &password, line.as_bytes()) }
    }
}

impl Drop for Phrase {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phrase")
    }
}

/// A phrase stretched for one line. Every key of the caller comes from here.
///
/// Not `Clone`, silent in `Debug`, wiped when dropped.
pub struct Stretched {
    line: LineId,
    key: Box<Zeroizing<[u8; 32]>>,
}

/// The 32-byte key under which the slow track's tags for one week are derived. Wiped when dropped.
pub type ReplyKey = Zeroizing<[u8; 32]>;

impl Stretched {
    /// What was stretched elsewhere, as [`Self::key`] gave it there: a page stretches in a worker, so that its beats go on.
    #[must_use]
    pub fn from_key(line: LineId, key: Box<Zeroizing<[u8; 32]>>) -> Self {
        Self { line, key }
    }
    /// The 32 bytes that Argon2id gave. Everything of the caller's comes from them: to be handed on within one client, and wiped.
    #[must_use]
    pub fn key(&self) -> &Zeroizing<[u8; 32]> {
        &self.key
    }
    fn derive(&self, name: &str, context: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut out = Zeroizing::new([0; 32]);
        expand(&self.key, name, context, out.as_mut_slice());
        out
    }
    /// Signs letters.
    #[must_use]
    pub fn sign_key(&self) -> SecretKey {
        SecretKey::from_seed(&self.derive("caller/sign", &[]))
    }
    /// Signs safeguarding letters: another caller, as far as anyone can tell.
    #[must_use]
    pub fn safe_sign_key(&self) -> SecretKey {
        SecretKey::from_seed(&self.derive("caller/sign/safe", &[]))
    }
    /// Where the desk's answers of a week are found.
    #[must_use]
    pub fn reply_key(&self, week: u32) -> ReplyKey {
        self.derive("reply", &week.to_be_bytes())
    }
    /// Where safeguarding's answers of a week are found.
    #[must_use]
    pub fn safe_reply_key(&self, week: u32) -> ReplyKey {
        self.derive("reply/safe", &week.to_be_bytes())
    }
    /// The three little pictures that tell only the caller that the words are hers: indexes below 64.
    #[must_use]
    pub fn pictures(&self) -> [u8; 3] {
        let mut pictures = [0; 3];
        expand(&self.key, "pictures", &[], &mut pictures);
        pictures.map(|byte| byte % PICTURE_COUNT)
    }
    /// The caller's id on this line.
    #[must_use]
    pub fn caller(&self) -> CallerId {
        CallerId::of(&self.line, &self.sign_key().public())
    }
    /// The line it was stretched for.
    #[must_use]
    pub const fn line(&self) -> &LineId {
        &self.line
    }
}

impl fmt::Debug for Stretched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stretched")
    }
}
