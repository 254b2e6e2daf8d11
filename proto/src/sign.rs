//! Ed25519, strict, one label per use (SPEC §2).
use crate::kdf::label;
use alloc::{boxed::Box, vec::Vec};
use core::fmt;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// Bytes in a signature.
pub const SIGNATURE_LEN: usize = 64;

/// A signature's bytes. They say nothing until a [`PublicKey`] has verified them.
pub type Signature = [u8; SIGNATURE_LEN];

/// The signature is not by this key, over these bytes, under this label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// An Ed25519 public key. Any 32 bytes are accepted here; one that is no key verifies nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The key as it came off the wire.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// Verifies `signature` over `L(name)` and the parts, strictly: canonical, and no key or `R` of small order.
    ///
    /// # Errors
    ///
    /// [`BadSignature`], whatever the reason.
    pub fn verify(&self, name: &str, parts: &[&[u8]], signature: &Signature) -> Result<(), BadSignature> {
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| BadSignature)?;
        key.verify_strict(&message(name, parts), &ed25519_dalek::Signature::from_bytes(signature)).map_err(|_| BadSignature)
    }
}

/// An Ed25519 secret key.
///
/// Boxed once, so that moving it leaves no copy behind; wiped when dropped; not `Clone`, and silent in `Debug`.
pub struct SecretKey(Box<SigningKey>);

impl SecretKey {
    /// The key of a 32-byte seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Box::new(SigningKey::from_bytes(seed)))
    }
    /// A new random key.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        Self::from_seed(&seed)
    }
    /// The seed, for a vault to seal. Wiped when dropped.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*self.0.as_bytes())
    }
    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }
    /// Signs `L(name)` and the parts, one after the other.
    #[must_use]
    pub fn sign(&self, name: &str, parts: &[&[u8]]) -> Signature {
        self.0.sign(&message(name, parts)).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey")
    }
}

/// What is signed. Wiped, because it repeats the plaintext of cells; reserved at once, so that growing leaves no copy.
fn message(name: &str, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let label = label(name);
    let len = label.len() + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut message = Zeroizing::new(Vec::with_capacity(len));
    message.extend_from_slice(&label);
    for part in parts {
        message.extend_from_slice(part);
    }
    message
}
