//! The vault's header: the passphrase stretched, and the vault key wrapped under it.
//!
//! `magic 8 ‖ memory_kib 4 ‖ passes 4 ‖ salt 16 ‖ nonce 24 ‖ wrapped key 32+16`.
use crate::vault::{Passphrase, VaultError, VaultKey, file, open, seal};
use argon2::{Algorithm, Argon2, Params, Version};
use rand_core::CryptoRng;
use std::{io, path::Path};
use zeroize::Zeroizing;

const MAGIC: [u8; 8] = *b"PLVAULT1";
/// 64 MiB and three passes: about a quarter of a second on a small laptop, done once per process.
///
/// This crate's own tests, which open a vault some hundred times, ask for 1 MiB; the program's tests pay the whole.
const MEMORY_KIB: u32 = if cfg!(test) { 1024 } else { 65_536 };
const PASSES: u32 = 3;
/// A header that asks for more memory or passes than these is not one of ours.
const MEMORY_KIB_MAX: u32 = 1 << 20;
const PASSES_MAX: u32 = 64;

pub(super) fn write(dir: &Path, passphrase: &Passphrase, key: &VaultKey, rng: &mut impl CryptoRng) -> Result<(), VaultError> {
    let mut salt = [0; 16];
    rng.fill_bytes(&mut salt);
    let open_part = [&MAGIC[..], &MEMORY_KIB.to_be_bytes(), &PASSES.to_be_bytes(), &salt].concat();
    let wrapping = stretch(passphrase, &salt, MEMORY_KIB, PASSES)?;
    let sealed = seal(&wrapping, &open_part, key.0.as_slice(), rng);
    Ok(file::replace(&dir.join("header"), &[open_part, sealed].concat())?)
}

pub(super) fn read(dir: &Path, passphrase: &Passphrase) -> Result<VaultKey, VaultError> {
    let bytes = std::fs::read(dir.join("header"))?;
    let damaged = VaultError::Damaged("header");
    let Some((open_part, sealed)) = bytes.split_at_checked(32) else { return Err(damaged) };
    let (Some((magic, rest)), 72) = (open_part.split_first_chunk::<8>(), sealed.len()) else { return Err(damaged) };
    if *magic != MAGIC {
        return Err(if magic.starts_with(b"PLVAULT") { VaultError::Newer } else { damaged });
    }
    let (Some((memory, rest)), Some(salt)) = (rest.split_first_chunk::<4>(), rest.last_chunk::<16>()) else {
        return Err(damaged);
    };
    let Some(passes) = rest.first_chunk::<4>() else { return Err(damaged) };
    let (memory, passes) = (u32::from_be_bytes(*memory), u32::from_be_bytes(*passes));
    if memory > MEMORY_KIB_MAX || passes > PASSES_MAX {
        return Err(damaged);
    }
    let wrapping = stretch(passphrase, salt, memory, passes)?;
    let plain = open(&wrapping, open_part, sealed).ok_or(VaultError::WrongPassphrase)?;
    let mut key = VaultKey(Box::new(Zeroizing::new([0; 32])));
    if plain.len() != key.0.len() {
        return Err(VaultError::Damaged("header"));
    }
    key.0.copy_from_slice(&plain);
    Ok(key)
}

fn stretch(passphrase: &Passphrase, salt: &[u8; 16], memory_kib: u32, passes: u32) -> Result<Zeroizing<[u8; 32]>, VaultError> {
    let params = Params::new(memory_kib, passes, 1, Some(32)).map_err(|_| VaultError::Damaged("header"))?;
    let mut out = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.bytes(), salt, out.as_mut_slice())
        .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    Ok(out)
}
