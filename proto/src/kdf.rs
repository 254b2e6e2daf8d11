//! Labels, hashes and derivations: every use begins with a label of its own (SPEC, Labels).
use alloc::vec::Vec;
use hkdf::Hkdf;
use sha2::{Digest, Sha256};

const PREFIX: &str = "porchlight/v1/";

/// `L(name)`: one length byte, then `porchlight/v1/` and the name.
#[must_use]
pub fn label(name: &str) -> Vec<u8> {
    let len = u8::try_from(PREFIX.len() + name.len()).expect("labels are short constants");
    [&[len], PREFIX.as_bytes(), name.as_bytes()].concat()
}

/// SHA-256 over `L(name)` and the parts, one after the other.
#[must_use]
pub fn hash(name: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new_with_prefix(label(name));
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// SHA-256 of the bytes alone, for what is itself an input to a labelled use.
#[must_use]
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// `Expand(key, L(name) ‖ context, out.len())`: HKDF-Expand with SHA-256. `out` is at most 255 × 32 bytes.
pub fn expand(key: &[u8; 32], name: &str, context: &[u8], out: &mut [u8]) {
    let info = [label(name).as_slice(), context].concat();
    Hkdf::<Sha256>::from_prk(key)
        .expect("32 bytes are a PRK")
        .expand(&info, out)
        .expect("no key of the protocol is longer than 255 blocks");
}
