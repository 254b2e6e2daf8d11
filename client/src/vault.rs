//! The worker's disk: what a desk must remember, sealed under a passphrase.
//!
//! ```text
//! DIR/vault/header    Argon2id(passphrase, salt) wraps the vault key
//! DIR/vault/journal   sealed records, appended and fsynced; rewritten whole when it has grown
//! DIR/vault/ring      the keys that must be forgettable: day keys, period secrets; rewritten whole at every change
//! DIR/vault/lock      an flock, held for one transaction, so that several processes share the vault
//! ```
//!
//! What a record says survives in the journal until the next rewriting; what must be forgotten for good is therefore sealed
//! under a key of the ring, and the ring's file is overwritten before it is let go. (A file system or a disk may still keep
//! old blocks; the vault key guards those.)
mod file;
mod header;
mod journal;
mod passphrase;
mod ring;
#[cfg(test)]
mod tests;

pub use file::Hold;
pub use passphrase::Passphrase;
pub use ring::{KeyName, Ring};

use crate::vault::journal::Journal;
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, XNonce};
use rand_core::CryptoRng;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of one record's content, wiped when dropped.
pub type Record = Zeroizing<Vec<u8>>;

/// Why a vault could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The passphrase is not the vault's, or the header was changed. Ask again.
    #[error("the passphrase does not open this vault")]
    WrongPassphrase,
    /// There is no vault there. Make one, or name another directory.
    #[error("there is no vault here")]
    Missing,
    /// There is a vault there already. Nothing was changed.
    #[error("there is a vault here already")]
    Exists,
    /// Others on this machine may read the directory. `chmod 700` it.
    #[error("other accounts of this machine can read the vault's directory")]
    NotPrivate,
    /// A file was changed by something other than this program, and not by a crash. Restore a backup.
    #[error("the vault's {0} is damaged")]
    Damaged(&'static str),
    /// A file is of a later version of this program.
    #[error("the vault was written by a later version")]
    Newer,
    /// The disk refused.
    #[error("the disk refused: {0}")]
    Io(#[from] std::io::Error),
}

/// What the journal holds that this process has not seen yet.
#[derive(Debug)]
pub enum News {
    /// Records after those already read, in order.
    Tail(Vec<Record>),
    /// The journal was rewritten, or is read for the first time: everything, in order. Forget what was read before.
    Anew(Vec<Record>),
}

/// Whether others may read the vault meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// For reading: others may read, nobody may write.
    Shared,
    /// For writing: nobody else may read or write.
    Alone,
}

/// An open vault: the key in memory, the files on disk. Argon2id has been paid for, once.
pub struct Vault {
    dir: PathBuf,
    key: VaultKey,
    journal: Journal,
    ring: Ring,
    /// Which writing of the ring's file `ring` is; none before the first reading.
    ring_mark: Option<ring::Mark>,
    /// Counts the writings of the ring that this process has read or made.
    ring_version: u64,
    restored: bool,
    /// How many writes are left before the disk of a test fails.
    #[cfg(test)]
    pub(crate) writes_left: Option<u32>,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vault")
    }
}

impl Vault {
    /// Makes a vault in `dir`, which is made too (mode 0700) if it is not there. Its journal and ring are empty.
    ///
    /// # Errors
    ///
    /// [`VaultError::Exists`] if there is one; [`VaultError::Io`].
    pub fn create(dir: &Path, passphrase: &Passphrase, rng: &mut impl CryptoRng) -> Result<Self, VaultError> {
        file::private_dir(dir)?;
        let dir = dir.join("vault");
        if dir.join("header").exists() {
            return Err(VaultError::Exists);
        }
        file::private_dir(&dir)?;
        file::touch(&dir.join("lock"))?;
        let key = VaultKey::generate(rng);
        Journal::rewrite(&dir, &key, &[], rng)?;
        let ring = Ring::default();
        let ring_mark = Some(ring.save(&dir, &key, rng)?);
        // The header last: a vault that has one is whole.
        header::write(&dir, passphrase, &key, rng)?;
        let journal = Journal::open(&dir)?;
        Ok(Self {
            dir,
            key,
            journal,
            ring,
            ring_mark,
            ring_version: 1,
            restored: false,
            #[cfg(test)]
            writes_left: None,
        })
    }

    /// Destroys the vault in `dir`, without its passphrase: the header first, without which no passphrase opens the rest, then
    /// the ring, then everything. Each file is overwritten and flushed before it is removed. What a disk keeps of overwritten
    /// blocks, and copies made elsewhere, are out of reach; without the passphrase they do not open.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`]; [`VaultError::Io`] if something could not be destroyed, after all the rest was.
    pub fn burn(dir: &Path) -> Result<(), VaultError> {
        Self::burn_files(&dir.join("vault"))
    }

    /// Destroys this vault as [`Vault::burn`] does, and lets go of its key.
    ///
    /// # Errors
    ///
    /// As [`Vault::burn`].
    pub fn destroy(self) -> Result<(), VaultError> {
        let Self { dir, key, .. } = self;
        drop(key);
        Self::burn_files(&dir)
    }

    fn burn_files(vault: &Path) -> Result<(), VaultError> {
        let mut names: Vec<PathBuf> = match std::fs::read_dir(vault) {
            Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(VaultError::Missing),
            Err(error) => return Err(error.into()),
        };
        names.sort_by_key(|path| (!path.ends_with("header"), !path.ends_with("ring")));
        let failures: Vec<std::io::Error> =
            names.iter().filter_map(|path| Some(named(path, &file::destroy(path).err()?))).collect();
        let removed = std::fs::remove_dir(vault);
        failures.into_iter().next().map_or(removed, Err).map_err(VaultError::from)
    }

    /// Opens the vault in `dir`. Takes as long as Argon2id does. Nothing of the journal has been read afterwards.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`], [`VaultError::NotPrivate`], [`VaultError::WrongPassphrase`], [`VaultError::Damaged`], [`VaultError::Newer`], [`VaultError::Io`].
    pub fn open(dir: &Path, passphrase: &Passphrase) -> Result<Self, VaultError> {
        let dir = dir.join("vault");
        if !dir.join("header").exists() {
            return Err(VaultError::Missing);
        }
        file::require_private(&dir)?;
        let key = header::read(&dir, passphrase)?;
        let journal = Journal::open(&dir)?;
        Ok(Self {
            dir,
            key,
            journal,
            ring: Ring::default(),
            ring_mark: None,
            ring_version: 0,
            restored: false,
            #[cfg(test)]
            writes_left: None,
        })
    }

    /// Takes the vault's lock, waiting for other processes to let it go; a transaction of theirs is short.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`].
    pub fn hold(&self, holding: Holding) -> Result<Hold, VaultError> {
        Ok(Hold::take(&self.dir.join("lock"), holding)?)
    }

    /// Reads what other processes, or this one in an earlier life, have written. The caller holds the lock.
    ///
    /// # Errors
    ///
    /// [`VaultError::Damaged`] if a record was changed, is missing or is out of place, except that a last record that a crash
    /// cut short is dropped: nothing that depended on it was sent. [`VaultError::Io`].
    pub fn news(&mut self, _hold: &Hold) -> Result<News, VaultError> {
        if let Some((ring, mark)) = Ring::load_if_other(&self.dir, &self.key, self.ring_mark.as_ref())? {
            self.hold_ring(ring, mark);
        }
        let anew = self.journal.reopen_if_replaced(&self.dir)? || self.journal.is_unread();
        let records = self.journal.read_on(&self.key)?;
        if anew {
            self.restored = self.journal.was_moved()?;
            return Ok(News::Anew(records));
        }
        Ok(News::Tail(records))
    }

    /// Makes the next [`Vault::news`] give everything anew.
    ///
    /// # Errors
    ///
    /// [`VaultError::Damaged`], [`VaultError::Io`].
    pub fn read_anew(&mut self) -> Result<(), VaultError> {
        self.journal = Journal::open(&self.dir)?;
        Ok(())
    }

    /// Appends records and waits until they are on the disk. The caller holds the lock and has read all news.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`]. The records may or may not be there then; read the news again before going on.
    pub fn append(&mut self, _hold: &Hold, records: &[Record], rng: &mut impl CryptoRng) -> Result<(), VaultError> {
        #[cfg(test)]
        self.write()?;
        self.journal.append(&self.key, records, rng)
    }

    /// Replaces the whole journal by these records, atomically. The caller holds the lock and has read all news.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`]; the old journal stands then.
    pub fn rewrite(&mut self, _hold: &Hold, records: &[Record], rng: &mut impl CryptoRng) -> Result<(), VaultError> {
        #[cfg(test)]
        self.write()?;
        Journal::rewrite(&self.dir, &self.key, records, rng)?;
        self.journal = Journal::open(&self.dir)?;
        self.journal.skip(&self.key)?;
        self.restored = false;
        Ok(())
    }

    /// The forgettable keys, as of the last news.
    #[must_use]
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Replaces the ring, for good once this returns. The caller holds the lock.
    ///
    /// # Errors
    ///
    /// [`VaultError::Io`]; read the news again before going on.
    pub fn save_ring(&mut self, _hold: &Hold, ring: Ring, rng: &mut impl CryptoRng) -> Result<(), VaultError> {
        #[cfg(test)]
        self.write()?;
        let mark = ring.save(&self.dir, &self.key, rng)?;
        self.hold_ring(ring, mark);
        Ok(())
    }

    fn hold_ring(&mut self, ring: Ring, mark: ring::Mark) {
        (self.ring, self.ring_mark) = (ring, Some(mark));
        self.ring_version += 1;
    }

    /// A write, on the disk of a test that may fail there.
    #[cfg(test)]
    fn write(&mut self) -> Result<(), VaultError> {
        let left = self.writes_left.map(|left| left.checked_sub(1).ok_or(std::io::ErrorKind::StorageFull)).transpose();
        self.writes_left = left.map_err(std::io::Error::from)?;
        Ok(())
    }

    /// Changes whenever [`Vault::ring`] is another than before.
    #[must_use]
    pub const fn ring_version(&self) -> u64 {
        self.ring_version
    }

    /// Whether the journal's file is not the one this program made: copied, or restored from a backup, and perhaps old.
    /// True until the next [`Vault::rewrite`].
    #[must_use]
    pub fn restored(&self) -> bool {
        self.restored
    }

    /// Bytes in the journal.
    #[must_use]
    pub fn journal_len(&self) -> u64 {
        self.journal.len()
    }
}

/// An error that says which file it is about.
fn named(path: &Path, error: &std::io::Error) -> std::io::Error {
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    std::io::Error::new(error.kind(), format!("{name}: {error}"))
}

/// The key that everything in the vault is sealed under. Random; the passphrase only wraps it.
///
/// Boxed once and wiped when dropped; not `Clone`, and silent in `Debug`.
struct VaultKey(Box<Zeroizing<[u8; 32]>>);

impl VaultKey {
    fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut key = Self(Box::new(Zeroizing::new([0; 32])));
        rng.fill_bytes(key.0.as_mut_slice());
        key
    }
}

/// Bytes by which [`seal`] makes a content longer.
pub(crate) const SEAL_LEN: usize = 40;

/// Seals `plain` under `key`: nonce 24, ciphertext, tag 16.
pub(crate) fn seal(key: &[u8; 32], aad: &[u8], plain: &[u8], rng: &mut impl CryptoRng) -> Vec<u8> {
    let mut nonce = [0; 24];
    rng.fill_bytes(&mut nonce);
    let mut body = plain.to_vec();
    #[expect(clippy::expect_used, reason = "XChaCha20-Poly1305 refuses only messages longer than 256 GiB")]
    let tag = XChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached(&XNonce::from(nonce), aad, body.as_mut_slice().into())
        .expect("no record is longer than the cipher allows");
    [&nonce[..], &body, &tag].concat()
}

/// Opens what [`seal`] made; `None` if the key, the place or a byte is another.
pub(crate) fn open(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Option<Record> {
    let (nonce, rest) = sealed.split_first_chunk::<24>()?;
    let (body, tag) = rest.split_last_chunk::<16>()?;
    let mut plain = Zeroizing::new(body.to_vec());
    XChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached(&XNonce::from(*nonce), aad, plain.as_mut_slice().into(), &(*tag).into())
        .ok()?;
    Some(plain)
}
