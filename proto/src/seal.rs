//! HPKE with X-Wing: what is sealed to a public key and opened with its secret (SPEC §2, §6).
use crate::limits::{ENC_LEN, SEALING_KEY_LEN};
use crate::{kdf::digest, line::LineId};
use alloc::{boxed::Box, vec::Vec};
use core::fmt;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256, kem::XWing};
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

/// What a sealed cell is for. Bound into every sealing, so that a cell for one use never opens as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To the desk key of a period.
    Desk,
    /// To one device's sealing key.
    Device,
    /// To the safeguarding key.
    Safeguarding,
}

impl Use {
    /// The byte that stands for it.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Desk => 1,
            Self::Device => 2,
            Self::Safeguarding => 3,
        }
    }
}

/// For whom, in which line and period a cell is sealed.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The line.
    pub line: &'a LineId,
    /// The desk key's period.
    pub period: u32,
    /// The use.
    pub purpose: Use,
}

/// Why bytes are no key, or a cell does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The public key is malformed, or its X25519 part has no private counterpart.
    #[error("this is not a usable sealing key")]
    BadKey,
    /// The cell was not sealed to this key, in this context, or was changed on the way.
    #[error("the cell does not open with this key")]
    DoesNotOpen,
}

/// An X-Wing public key of 1,216 bytes, checked when made.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingKey(Box<[u8; SEALING_KEY_LEN]>);

impl SealingKey {
    /// Checks and takes a public key.
    ///
    /// # Errors
    ///
    /// [`SealError::BadKey`] if the ML-KEM part is not reduced, or the X25519 part is zero or of small order.
    pub fn from_bytes(bytes: &[u8; SEALING_KEY_LEN]) -> Result<Self, SealError> {
        <XWing as Kem>::PublicKey::from_bytes(bytes).map_err(|_| SealError::BadKey)?;
        contributes(bytes).then(|| Self(Box::new(*bytes))).ok_or(SealError::BadKey)
    }
    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; SEALING_KEY_LEN] {
        &self.0
    }
    /// Seals one message; `aad_head` comes before the encapsulation in the associated data.
    /// Gives the encapsulation, and the ciphertext with its tag.
    ///
    /// The plaintext is made by `write`, which is told SHA-256 of the encapsulation so that a signature can bind it.
    pub(crate) fn seal(
        &self,
        context: &Context<'_>,
        aad_head: &[u8],
        rng: &mut impl CryptoRng,
        write: impl FnOnce(&[u8; 32]) -> Zeroizing<Vec<u8>>,
    ) -> ([u8; ENC_LEN], Vec<u8>) {
        let key = <XWing as Kem>::PublicKey::from_bytes(self.0.as_slice()).expect("checked when made");
        let (enc, mut sender) = hpke::setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, XWing>(
            &OpModeS::Base,
            &key,
            &info(context, self.0.as_slice()),
            rng,
        )
        .expect("a checked key encapsulates");
        let mut enc_bytes = [0; ENC_LEN];
        enc.write_exact(&mut enc_bytes);
        let plain = write(&digest(&enc_bytes));
        let sealed = sender.seal(&plain, &[aad_head, &enc_bytes].concat()).expect("the first message of a context");
        (enc_bytes, sealed)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey")
    }
}

/// An X-Wing secret key, as its 32-byte seed, with its public key beside it.
///
/// Boxed once, wiped when dropped, not `Clone`, silent in `Debug`: erasing it is how a period's letters are forgotten.
pub struct SealingSecret {
    seed: Box<Zeroizing<[u8; 32]>>,
    /// The seed again with the public key it expands to, made once: a desk opens thousands of cells with one key.
    /// It wipes its seed when dropped and holds nothing else that is secret.
    expanded: Box<Expanded>,
    public: SealingKey,
}

type Expanded = <XWing as Kem>::PrivateKey;

impl SealingSecret {
    /// The key of a 32-byte seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let expanded = Box::new(Expanded::from_bytes(seed).expect("any 32 bytes are a seed"));
        let mut public = Box::new([0; SEALING_KEY_LEN]);
        XWing::sk_to_pk(&expanded).write_exact(public.as_mut_slice());
        Self { seed: Box::new(Zeroizing::new(*seed)), expanded, public: SealingKey(public) }
    }
    /// A new random key.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        Self::from_seed(&seed)
    }
    /// The public key.
    #[must_use]
    pub const fn public(&self) -> &SealingKey {
        &self.public
    }
    /// The seed, for a vault to seal or a lead to hand on.
    #[must_use]
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }
    /// Opens what [`SealingKey::seal`] sealed.
    ///
    /// # Errors
    ///
    /// [`SealError::DoesNotOpen`], whatever the reason.
    pub(crate) fn open(
        &self,
        context: &Context<'_>,
        aad_head: &[u8],
        enc: &[u8; ENC_LEN],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        if !contributes(enc) {
            return Err(SealError::DoesNotOpen);
        }
        let share = <XWing as Kem>::EncappedKey::from_bytes(enc).map_err(|_| SealError::DoesNotOpen)?;
        let mut receiver = hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, XWing>(
            &OpModeR::Base,
            &self.expanded,
            &share,
            &info(context, self.public.as_bytes()),
        )
        .map_err(|_| SealError::DoesNotOpen)?;
        let plain = receiver.open(sealed, &[aad_head, enc].concat()).map_err(|_| SealError::DoesNotOpen)?;
        Ok(Zeroizing::new(plain))
    }
}

impl fmt::Debug for SealingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingSecret")
    }
}

impl Drop for SealingSecret {
    fn drop(&mut self) {
        self.seed.zeroize();
    }
}

fn info(context: &Context<'_>, recipient: &[u8]) -> Vec<u8> {
    [
        crate::kdf::label("up").as_slice(),
        context.line.as_bytes(),
        &context.period.to_be_bytes(),
        &[context.purpose.code()],
        &digest(recipient),
    ]
    .concat()
}

/// The u-coordinates of every point of small order, on the curve and on its twist, in each encoding below 2^255 (SPEC §2).
const SMALL_ORDER: [[u8; 32]; 7] = [
    near_p(0x00, 0x00, 0x00),
    near_p(0x01, 0x00, 0x00),
    // Order 8: 325606250916557431795983626356110631294008115727848805560023387167927233504.
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb,
        0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    // Order 8: 39382357235489614581723060781553021112529911719440698176882885853963445705823.
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4,
        0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    // p − 1, and p and p + 1, which are 0 and 1 again.
    near_p(0xec, 0xff, 0x7f),
    near_p(0xed, 0xff, 0x7f),
    near_p(0xee, 0xff, 0x7f),
];

/// A little-endian number whose first and last bytes are given, and all between are alike.
const fn near_p(first: u8, between: u8, last: u8) -> [u8; 32] {
    let mut u = [between; 32];
    u[0] = first;
    u[31] = last;
    u
}

/// Whether the X25519 part, the last 32 bytes, gives a Diffie-Hellman result that is not zero.
///
/// X25519 ignores the top bit of what it is given and reduces the rest, so a point of small order has these encodings and no others.
/// What is compared is on the wire; it need not take the same time for every input.
fn contributes(key_or_share: &[u8]) -> bool {
    let Some(mut point) = key_or_share.last_chunk::<32>().copied() else {
        return false;
    };
    let [.., last] = &mut point;
    *last &= 0x7f;
    !SMALL_ORDER.contains(&point)
}

#[cfg(test)]
mod tests;
