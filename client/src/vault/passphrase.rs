//! What a worker types to open the vault.
use zeroize::Zeroizing;

/// A worker's passphrase: any text. Wiped when dropped; not `Clone`, and silent in `Debug`.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Takes the text as typed. The last line break of a file or terminal is not part of it.
    #[must_use]
    pub fn new(text: String) -> Self {
        let text = Zeroizing::new(text);
        Self(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase")
    }
}
