//! The key of one epoch and what it does: seal, open, fill.

use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use porchlight_proto::kdf;
use zeroize::Zeroizing;

use super::EpochName;
use crate::chance::{Chance, draw};
use crate::store::RecordKey;

const NONCE_LEN: usize = 24;

/// Bytes that sealing adds to a record: nonce and tag.
pub const RECORD_OVERHEAD: usize = NONCE_LEN + 16;

/// The key that seals one epoch at rest. Dropping it is how those cells are destroyed.
///
/// Not `Clone`: a second copy would outlive the shredding. Boxed once, because a moved key leaves its bytes behind.
pub struct EpochKey(Box<Zeroizing<[u8; 32]>>);

impl fmt::Debug for EpochKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("EpochKey")
    }
}

impl EpochKey {
    /// A fresh key.
    #[must_use]
    pub fn draw(chance: &dyn Chance) -> Self {
        let mut key = Self(Box::default());
        chance.fill(key.0.as_mut_slice());
        key
    }

    pub(super) fn from_slot(bytes: &[u8]) -> Option<Self> {
        let mut key = Self(Box::default());
        if bytes.len() != key.0.len() {
            return None;
        }
        key.0.copy_from_slice(bytes);
        Some(key)
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// `nonce ‖ ciphertext`, bound to the lane, line, epoch and place of the record.
    #[must_use]
    pub fn seal(&self, name: &EpochName, record: RecordKey, plain: &[u8], chance: &dyn Chance) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = draw(chance);
        let payload = Payload { msg: plain, aad: &aad(name, record) };
        #[expect(clippy::expect_used, reason = "XChaCha20-Poly1305 refuses only messages of 256 GiB")]
        let sealed = self.cipher().encrypt(&nonce.into(), payload).expect("a record is far below the cipher's limit");
        [nonce.as_slice(), &sealed].concat()
    }

    /// The plaintext, if this key sealed these bytes for this place.
    #[must_use]
    pub fn open(&self, name: &EpochName, record: RecordKey, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let payload = Payload { msg: sealed, aad: &aad(name, record) };
        self.cipher().decrypt(&(*nonce).into(), payload).ok()
    }

    /// 1,024 bytes for a slot that nobody wrote. The same for the same slot for as long as the key lives.
    #[must_use]
    pub fn filler(&self, slot: u64) -> Box<[u8; 1024]> {
        filler(&self.0, slot)
    }

    /// The name under which something is put down in this epoch: says nothing to who has not its key.
    #[must_use]
    pub fn mark(&self, what: &[u8]) -> RecordKey {
        let mut mark = [0; 16];
        kdf::expand(&self.0, "relay/mark", what, &mut mark);
        RecordKey(u128::from_be_bytes(mark))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        let mut key = Zeroizing::new([0; 32]);
        kdf::expand(&self.0, "relay/cells", &[], key.as_mut_slice());
        XChaCha20Poly1305::new((&*key).into())
    }
}

/// Filler of a slot under a seed.
pub(crate) fn filler(seed: &[u8; 32], slot: u64) -> Box<[u8; 1024]> {
    let mut cell = Box::new([0; 1024]);
    kdf::expand(seed, "relay/filler", &slot.to_be_bytes(), cell.as_mut_slice());
    cell
}

fn aad(name: &EpochName, record: RecordKey) -> Vec<u8> {
    let numbers = [name.number.to_be_bytes(), name.unit.to_be_bytes()].concat();
    [&[name.lane.code()], name.line.as_bytes().as_slice(), &numbers, &record.0.to_be_bytes()].concat()
}
