//! Argon2id with the protocol's two settings: words that people remember become keys that machines cannot guess (SPEC §3.1, §4).
use alloc::boxed::Box;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroizing;

/// What a stretch costs: kibibytes of memory and passes over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes.
    pub passes: u32,
}

/// For a caller's phrase: 80 bits of words, on an old phone. One setting for everyone, for ever within version 1.
pub const PHRASE: Cost = Cost { memory_kib: 19_456, passes: 2 };
/// For a line's root: done a few times in its life, on a laptop.
pub const ROOT: Cost = Cost { memory_kib: 262_144, passes: 3 };

/// 32 bytes of Argon2id v1.3 with one lane. Wiped when dropped, and so is the memory it took.
#[must_use]
pub fn stretch(cost: Cost, password: &[u8], salt: &[u8]) -> Box<Zeroizing<[u8; 32]>> {
    let params = Params::new(cost.memory_kib, cost.passes, 1, Some(32)).expect("the two settings are within Argon2's bounds");
    let mut blocks = alloc::vec![Block::default(); params.block_count()];
    let mut out = Box::new(Zeroizing::new([0; 32]));
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password, salt, out.as_mut_slice(), &mut blocks)
        .expect("salts of the protocol are at least 22 bytes, outputs 32");
    zeroize::Zeroize::zeroize(&mut blocks);
    out
}
