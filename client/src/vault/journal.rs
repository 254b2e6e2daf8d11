//! The journal: sealed records, one after the other, each fsynced before anything that depends on it is sent.
//!
//! File: `magic 8 ‖ file id 16`, then records. A record: `length 4 ‖ check 8 ‖ nonce 24 ‖ ciphertext ‖ tag 16`, where `length`
//! counts what follows the check, `check` is a keyed hash of (file id, length), and the seal's `aad` is (file id, number).
//! So a record cannot be moved, repeated, left out or shortened; only the end can be cut off, which is what a crash does.
//! Record 0 says which file (inode and birth) this program made: another file with the same content is a copy.
use crate::vault::{Record, VaultError, VaultKey, file, open, seal};
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::Path,
    time::UNIX_EPOCH,
};

const MAGIC: [u8; 8] = *b"PLJOURN1";
const FILE_HEAD_LEN: usize = 24;
const RECORD_HEAD_LEN: usize = 12;
/// Nanoseconds since 1970 before which no file was born (2001). Below are the zero of file systems that tell no birth, and the
/// numbers of devices that earlier versions wrote in this place.
const BIRTHS_FROM: u64 = 1_000_000_000_000_000_000;

pub(super) struct Journal {
    file: File,
    id: [u8; 16],
    /// The number of the next record.
    next: u64,
    /// Where it will begin: everything after is a torn tail.
    end: u64,
    /// The file as it was made; known once record 0 has been read.
    born: Option<Birthmark>,
}

impl Journal {
    pub(super) fn open(dir: &Path) -> Result<Self, VaultError> {
        let mut file = OpenOptions::new().read(true).write(true).open(dir.join("journal"))?;
        let id = read_id(&mut file)?;
        Ok(Self { file, id, next: 0, end: FILE_HEAD_LEN as u64, born: None })
    }

    /// Writes a new journal in place of the old one, atomically.
    pub(super) fn rewrite(dir: &Path, key: &VaultKey, records: &[Record], rng: &mut impl CryptoRng) -> Result<(), VaultError> {
        let path = dir.join("journal");
        let mut new = file::beside(&path)?;
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        let mut bytes = [&MAGIC[..], &id].concat();
        bytes.extend(seal_record(key, &id, 0, &Birthmark::of(&new)?.to_bytes(), rng)?);
        for (number, record) in (1..).zip(records) {
            bytes.extend(seal_record(key, &id, number, record, rng)?);
        }
        new.write_all(&bytes)?;
        Ok(file::put(&new, &path)?)
    }

    /// Opens the file anew if another process has rewritten it, and says whether it has.
    pub(super) fn reopen_if_replaced(&mut self, dir: &Path) -> Result<bool, VaultError> {
        let there = Self::open(dir)?;
        let replaced = there.id != self.id;
        if replaced {
            *self = there;
        }
        Ok(replaced)
    }

    pub(super) fn is_unread(&self) -> bool {
        self.next == 0
    }

    pub(super) fn len(&self) -> u64 {
        self.end
    }

    /// Whether this is another file than the one that was made.
    pub(super) fn was_moved(&self) -> Result<bool, VaultError> {
        let there = Birthmark::of(&self.file)?;
        Ok(self.born.is_none_or(|born| !born.is_of_the_same_file(there)))
    }

    /// Reads the records that have been added since the last reading.
    pub(super) fn read_on(&mut self, key: &VaultKey) -> Result<Vec<Record>, VaultError> {
        let mut bytes = Vec::new();
        if self.file.metadata()?.len() < self.end {
            return Err(VaultError::Damaged("journal"));
        }
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.read_to_end(&mut bytes)?;
        let mut rest = bytes.as_slice();
        let mut records = Vec::new();
        while let Some((record, after)) = self.next_record(key, rest)? {
            self.end += (rest.len() - after.len()) as u64;
            self.next += 1;
            rest = after;
            if self.next == 1 {
                self.born = record.as_slice().try_into().ok().map(Birthmark::from_bytes);
            } else {
                records.push(record);
            }
        }
        if self.next == 0 {
            // Record 0 came by an atomic rename: no crash cuts it short.
            return Err(VaultError::Damaged("journal"));
        }
        Ok(records)
    }

    /// Passes over everything that is there.
    pub(super) fn skip(&mut self, key: &VaultKey) -> Result<(), VaultError> {
        self.read_on(key).map(drop)
    }

    /// Adds records in place of a torn tail, if there is one, and waits for the disk.
    pub(super) fn append(&mut self, key: &VaultKey, records: &[Record], rng: &mut impl CryptoRng) -> Result<(), VaultError> {
        let mut bytes = Vec::new();
        let mut next = self.next;
        for record in records {
            bytes.extend(seal_record(key, &self.id, next, record, rng)?);
            next += 1;
        }
        self.file.set_len(self.end)?;
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(&bytes)?;
        self.file.sync_data()?;
        self.end += bytes.len() as u64;
        self.next = next;
        Ok(())
    }

    /// The record at the front of `rest` and what follows it; `None` at the end, or at a tail that a crash has torn.
    fn next_record<'a>(&self, key: &VaultKey, rest: &'a [u8]) -> Result<Option<(Record, &'a [u8])>, VaultError> {
        let Some(len) = head(key, &self.id, rest) else { return self.torn(key, rest) };
        let Some((sealed, after)) = rest.get(RECORD_HEAD_LEN..).and_then(|body| body.split_at_checked(len)) else {
            return Ok(None);
        };
        match open(&key.0, &aad(&self.id, self.next), sealed) {
            Some(record) => Ok(Some((record, after))),
            None if after.is_empty() => Ok(None),
            None => Err(VaultError::Damaged("journal")),
        }
    }

    /// Bytes that no record's head begins are a torn tail, unless a record stands after them.
    fn torn<'a>(&self, key: &VaultKey, rest: &[u8]) -> Result<Option<(Record, &'a [u8])>, VaultError> {
        let stands = |from: &usize| rest.get(*from..).and_then(|later| head(key, &self.id, later)).is_some();
        if (1..rest.len()).find(stands).is_some() {
            return Err(VaultError::Damaged("journal"));
        }
        Ok(None)
    }
}

fn read_id(file: &mut File) -> Result<[u8; 16], VaultError> {
    let mut head = [0; FILE_HEAD_LEN];
    file.read_exact(&mut head).map_err(|_| VaultError::Damaged("journal"))?;
    let (magic, id) = head.split_first_chunk::<8>().ok_or(VaultError::Damaged("journal"))?;
    match magic {
        magic if *magic == MAGIC => id.try_into().map_err(|_| VaultError::Damaged("journal")),
        magic if magic.starts_with(b"PLJOURN") => Err(VaultError::Newer),
        _ => Err(VaultError::Damaged("journal")),
    }
}

/// The length that a record's head states, if it is the head of a record of this file.
fn head(key: &VaultKey, id: &[u8; 16], rest: &[u8]) -> Option<usize> {
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let stated = rest.first_chunk::<8>()?;
    let matches = check(key, id, *len) == *stated;
    matches.then(|| u32::from_be_bytes(*len) as usize)
}

fn check(key: &VaultKey, id: &[u8; 16], len: [u8; 4]) -> [u8; 8] {
    // Fixed lengths throughout, and cut short: the plain keyed hash cannot be extended.
    let hash = Sha256::new()
        .chain_update(b"porchlight vault record")
        .chain_update(key.0.as_slice())
        .chain_update(id)
        .chain_update(len)
        .finalize();
    hash.first_chunk().copied().unwrap_or_default()
}

fn aad(id: &[u8; 16], number: u64) -> Vec<u8> {
    [&b"porchlight vault journal"[..], id, &number.to_be_bytes()].concat()
}

fn seal_record(
    key: &VaultKey,
    id: &[u8; 16],
    number: u64,
    plain: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Vec<u8>, VaultError> {
    let sealed = seal(&key.0, &aad(id, number), plain, rng);
    let len = u32::try_from(sealed.len()).map_err(|_| VaultError::Damaged("record"))?.to_be_bytes();
    Ok([&len[..], &check(key, id, len), &sealed].concat())
}

/// What tells a file from its copies. Not the number of its device: btrfs, NFS, overlays and disks that are found in another order
/// have another after the machine was started.
#[derive(Clone, Copy)]
struct Birthmark {
    /// In nanoseconds since 1970; zero where the file system does not tell.
    birth: u64,
    inode: u64,
}

impl Birthmark {
    fn of(file: &File) -> Result<Self, VaultError> {
        let there = file.metadata()?;
        let since = there.created().ok().and_then(|birth| birth.duration_since(UNIX_EPOCH).ok());
        let birth = since.and_then(|since| u64::try_from(since.as_nanos()).ok()).unwrap_or(0);
        Ok(Self { birth, inode: there.ino() })
    }

    fn from_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_be_bytes(bytes);
        let [birth, inode] = [both >> 64, both & u128::from(u64::MAX)].map(|half| u64::try_from(half).unwrap_or(0));
        Self { birth, inode }
    }

    fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.birth) << 64 | u128::from(self.inode)).to_be_bytes()
    }

    /// A birth that one of the two does not tell is not held against it.
    fn is_of_the_same_file(self, other: Self) -> bool {
        let tell = self.birth.min(other.birth) >= BIRTHS_FROM;
        self.inode == other.inode && (!tell || self.birth == other.birth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A laptop that found its disk under another number after a restart took its vault for a restored backup, and said nothing to its
    /// team for up to a day.
    #[test]
    fn a_file_is_the_same_on_a_disk_of_another_number_and_not_if_it_was_born_at_another_time() {
        let (birth, inode) = (1_795_392_000_123_456_789, 4711);
        let there = Birthmark { birth, inode };
        let mark = |birth: u64, inode: u64| [birth.to_be_bytes(), inode.to_be_bytes()].concat().try_into().unwrap();
        for (name, written, same) in [
            ("as it was made", there.to_bytes(), true),
            ("by a version that wrote the number of the device", mark(0xfd00, inode), true),
            ("where no birth was told", mark(0, inode), true),
            ("a copy that was given the inode of the one that was removed", mark(birth + 1, inode), false),
            ("a copy", mark(birth, inode + 1), false),
        ] {
            assert_eq!(Birthmark::from_bytes(written).is_of_the_same_file(there), same, "{name}");
        }
    }

    #[test]
    fn the_mark_of_a_file_is_its_inode_and_the_time_of_its_birth() {
        let file = tempfile::tempfile().unwrap();
        let mark = Birthmark::of(&file).unwrap().to_bytes();
        assert_eq!(mark[8..], file.metadata().unwrap().ino().to_be_bytes());
        let birth = u64::from_be_bytes(mark[..8].try_into().unwrap());
        assert!(birth == 0 || birth >= BIRTHS_FROM, "{birth}");
    }
}
