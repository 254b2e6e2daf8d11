//! The room that touches a medium: sealed records in, sealed records out, whole epochs forgotten.
//!
//! A *shelf* is what the medium removes at once (for sled a directory). It holds a few *epochs*, each a sorted run of
//! records. What arrives here is sealed already; nothing in this room holds a key, knows a line, or reads a clock.

use std::{fmt, io};

mod ballast;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod faulty;
mod memory;
mod sled;

pub use self::ballast::Ballast;
#[cfg(test)]
pub(crate) use self::faulty::FaultyStore;
pub use self::memory::MemoryStore;
pub use self::sled::{SledStore, holds_off_panics};

/// Names a shelf. Random, so that a directory listing says nothing about lines or times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShelfId(pub [u8; 16]);

impl fmt::Display for ShelfId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

/// Names an epoch on its shelf. Random: an epoch number may come again after a clock was set, its id does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EpochId(pub [u8; 8]);

/// Where an epoch's records lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The shelf.
    pub shelf: ShelfId,
    /// The epoch on it.
    pub epoch: EpochId,
}

/// Orders records within an epoch: a lane position, a slot number, or the name of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey(pub u128);

/// A sealed record: a group of cells, one slot, or one blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the order.
    pub key: RecordKey,
    /// Sealed bytes.
    pub sealed: Vec<u8>,
}

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The shelf cannot be opened or read any more. Leave it alone until it is forgotten, and write to another.
    #[error("a shelf of the store is unreadable")]
    Unreadable,
    /// The medium refused. Nothing was acknowledged; try again later.
    #[error("the medium refused: {0}")]
    Medium(#[from] io::Error),
}

/// Keeps sealed records until their epoch is forgotten.
///
/// Every call may block on the medium: call from a thread that may wait.
pub trait Store: Send + Sync + 'static {
    /// Writes the records and returns when they would survive the end of the process. A key written before is written over.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unreadable`] if the shelf is quarantined, [`StoreError::Medium`] if the medium refused. The records may
    /// or may not be there then, and count as not written.
    fn append(&self, place: Place, records: &[Record]) -> Result<(), StoreError>;

    /// Records in order, beginning with the last one whose key is at most `from` (or the first of all, if there is none), until
    /// `limit` bytes are full; at least one if there is one.
    ///
    /// # Errors
    ///
    /// As [`Store::append`].
    fn read(&self, place: Place, from: RecordKey, limit: usize) -> Result<Vec<Record>, StoreError>;

    /// Forgets one epoch. Its shelf goes with it if `rest` names no other epoch on it.
    ///
    /// Not an erasure: media keep what they were told to drop. Erasure is the death of the key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Medium`] if something could not be removed. It can be told again, until it succeeds.
    fn forget(&self, place: Place, rest: &[Place]) -> Result<(), StoreError>;

    /// Removes every shelf that holds none of `places`: what died while nobody was running. Gives those that could not be removed.
    fn keep_only(&self, places: &[Place]) -> Vec<ShelfId>;

    /// Bytes the medium holds now, as it counts them.
    fn bytes(&self) -> u64;

    /// Bytes still free on the medium.
    fn free(&self) -> u64;

    /// Lets go of what is open but has not been used since the last call.
    fn rest(&self);

    /// How many shelves are in quarantine.
    fn unreadable_count(&self) -> usize;
}
