//! The ring: small keys that must be forgettable, in a file that is rewritten whole and whose old bytes are overwritten.
use crate::vault::{VaultError, VaultKey, file, open, seal};
use rand_core::CryptoRng;
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::Path,
};
use zeroize::Zeroizing;

const MAGIC: [u8; 8] = *b"PLRING_1";
const ENTRY_LEN: usize = 1 + 8 + 32;

/// What tells one writing of the ring from every other: the magic and the seal's random nonce, which stand first in its file.
pub(super) type Mark = [u8; 32];

/// What a key of the ring is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyName {
    /// This device's signing seed.
    Device,
    /// The desk signing seed of a lead, by the number of its renewal.
    DeskSigning(u64),
    /// The seed of a desk key: its period, and the first bytes of its public key's hash (a period may have been given a second key).
    Period(u32, u32),
    /// This device's sealing seed, by the number of its renewal.
    Sealing(u64),
    /// The seed of this device's seat key, by the number of its renewal.
    Seat(u64),
    /// The key that contents received or written on this day (UTC days since 1970) are sealed under.
    Day(u32),
    /// The same for answers, which live longer than the letters they answer may be kept.
    AnswerDay(u32),
    /// The key that what is known of a caller is sealed under, by the first bytes of her id: kept as long as she has a row.
    Caller(u64),
}

impl KeyName {
    fn code(self) -> (u8, u64) {
        match self {
            Self::Device => (1, 0),
            Self::DeskSigning(number) => (2, number),
            Self::Period(period, mark) => (3, u64::from(period) << 32 | u64::from(mark)),
            Self::Sealing(number) => (4, number),
            Self::Seat(number) => (5, number),
            Self::Day(day) => (6, u64::from(day)),
            Self::AnswerDay(day) => (7, u64::from(day)),
            Self::Caller(number) => (8, number),
        }
    }

    fn from_code(kind: u8, number: u64) -> Option<Self> {
        let small = u32::try_from(number);
        match kind {
            1 => Some(Self::Device),
            2 => Some(Self::DeskSigning(number)),
            3 => Some(Self::Period(u32::try_from(number >> 32).ok()?, u32::try_from(number & 0xffff_ffff).ok()?)),
            4 => Some(Self::Sealing(number)),
            5 => Some(Self::Seat(number)),
            6 => small.ok().map(Self::Day),
            7 => small.ok().map(Self::AnswerDay),
            8 => Some(Self::Caller(number)),
            _ => None,
        }
    }
}

/// The keys by name. Each is boxed once and wiped when dropped; silent in `Debug`.
#[derive(Clone, Default)]
pub struct Ring(BTreeMap<KeyName, Box<Zeroizing<[u8; 32]>>>);

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ring")
    }
}

impl Ring {
    /// The key of this name, if it has not been forgotten.
    #[must_use]
    pub fn key(&self, name: KeyName) -> Option<&[u8; 32]> {
        self.0.get(&name).map(|key| &***key)
    }

    /// Puts a key in.
    pub fn put(&mut self, name: KeyName, key: &[u8; 32]) {
        self.0.insert(name, Box::new(Zeroizing::new(*key)));
    }

    /// Forgets a key, and says whether it was there. It is gone from the disk once the ring has been saved.
    pub fn forget(&mut self, name: KeyName) -> bool {
        self.0.remove(&name).is_some()
    }

    /// This ring with the keys of `other` put in.
    pub(crate) fn with(&self, other: &Self) -> Self {
        let mut both = self.clone();
        other.0.iter().for_each(|(name, key)| both.put(*name, key));
        both
    }

    /// Whether `other` has a key that is not here, or another one by its name.
    pub(crate) fn lacks(&self, other: &Self) -> bool {
        other.0.iter().any(|(name, key)| self.key(*name) != Some(&**key))
    }

    /// The names of all keys, in order.
    pub fn names(&self) -> impl Iterator<Item = KeyName> + '_ {
        self.0.keys().copied()
    }

    /// Reads the ring, unless its file is the writing `known`: then `None`, and nothing is decrypted.
    pub(super) fn load_if_other(dir: &Path, key: &VaultKey, known: Option<&Mark>) -> Result<Option<(Self, Mark)>, VaultError> {
        let mut file = File::open(dir.join("ring"))?;
        let damaged = || VaultError::Damaged("ring");
        let mut mark = [0; 32];
        file.read_exact(&mut mark).map_err(|_| damaged())?;
        if known == Some(&mark) {
            return Ok(None);
        }
        if !mark.starts_with(&MAGIC) {
            return Err(if mark.starts_with(b"PLRING_") { VaultError::Newer } else { damaged() });
        }
        let mut sealed = mark.get(MAGIC.len()..).unwrap_or_default().to_vec();
        file.read_to_end(&mut sealed)?;
        let plain = open(&key.0, &MAGIC, &sealed).ok_or_else(damaged)?;
        let ring = plain.chunks(ENTRY_LEN).map(entry).collect::<Option<_>>().map(Self).ok_or_else(damaged)?;
        Ok(Some((ring, mark)))
    }

    /// Writes the ring, and gives the mark of this writing.
    pub(super) fn save(&self, dir: &Path, key: &VaultKey, rng: &mut impl CryptoRng) -> Result<Mark, VaultError> {
        let path = dir.join("ring");
        let old = OpenOptions::new().write(true).open(&path).ok();
        let mut plain = Zeroizing::new(Vec::with_capacity(self.0.len() * ENTRY_LEN));
        for (name, value) in &self.0 {
            let (kind, number) = name.code();
            plain.push(kind);
            plain.extend_from_slice(&number.to_be_bytes());
            plain.extend_from_slice(value.as_slice());
        }
        let bytes = [&MAGIC[..], &seal(&key.0, &MAGIC, &plain, rng)].concat();
        let mark = *bytes.first_chunk().ok_or(VaultError::Damaged("ring"))?;
        file::replace(&path, &bytes)?;
        if let Some(mut old) = old {
            // The new one stands: the old one's blocks are overwritten before they are let go.
            let len = usize::try_from(old.metadata()?.len()).unwrap_or(0);
            old.write_all(&vec![0; len])?;
            old.sync_all()?;
        }
        Ok(mark)
    }
}

fn entry(bytes: &[u8]) -> Option<(KeyName, Box<Zeroizing<[u8; 32]>>)> {
    let (kind, rest) = bytes.split_first()?;
    let (number, value) = rest.split_first_chunk::<8>()?;
    let mut key = Box::new(Zeroizing::new([0; 32]));
    key.copy_from_slice(value.first_chunk::<32>()?);
    Some((KeyName::from_code(*kind, u64::from_be_bytes(*number))?, key))
}
