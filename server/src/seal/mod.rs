//! The room that encrypts at rest: one random key per epoch, cells sealed under it before a store sees them, and
//! forgetting by letting the key die (SPEC §12).
//!
//! ```text
//!  begin ──▶ live ──(append, read)──▶ dead: key wiped in RAM and keyring, then the store told to forget
//!                    birth + life on CLOCK_BOOTTIME, or the floor, or another boot
//! ```
//!
//! In RAM a key dies at once, whatever the media say. What the keyring file or the store refused is tried again by [`Sealer::expire`].

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use porchlight_proto::line::LineId;

use crate::chance::{Chance, draw};
use crate::clock::BootMillis;
use crate::stack;
use crate::store::{EpochId, Place, Record, RecordKey, ShelfId, Store, StoreError};

pub mod copy;
mod epoch;
mod keyring;

pub(crate) use self::epoch::filler;
pub use self::epoch::{EpochKey, RECORD_OVERHEAD};
pub use self::keyring::{KEYRING_FILE, Keyring, KeyringError, KeyringMedium, SLOTS, boot_id, holds_keys, lies_in_ram};

/// What an epoch holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Cells for the desk.
    Up,
    /// A day of the slow track.
    Slow,
    /// Snapshot chunks of the desk's devices.
    Blob,
}

impl Lane {
    const fn code(self) -> u8 {
        match self {
            Self::Up => 1,
            Self::Slow => 2,
            Self::Blob => 3,
        }
    }

    const fn of_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Up),
            2 => Some(Self::Slow),
            3 => Some(Self::Blob),
            _ => None,
        }
    }
}

/// Which epoch of which lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EpochName {
    /// What it holds.
    pub lane: Lane,
    /// Whose it is.
    pub line: LineId,
    /// Its number: the clock divided by `unit`, or a day of the slow track.
    pub number: u32,
    /// Seconds that the numbers count. Numbers of different units do not compare.
    pub unit: u32,
    /// Epochs with one group share a shelf.
    pub group: u32,
}

/// A live epoch. Holds no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// Which one.
    pub name: EpochName,
    /// Where its records lie.
    pub place: Place,
    /// The lane position its first cell has or will have (1 for lanes without positions).
    pub first: u64,
    /// Cells acknowledged in it.
    pub count: u64,
    /// When its key dies.
    pub death: BootMillis,
    slot: usize,
}

/// Why nothing could be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The epoch's key has died. What it sealed is gone.
    #[error("the epoch is over and its key is gone")]
    Dead,
    /// The keyring has no slot left. Wait until an epoch dies.
    #[error("the keyring is full")]
    Full,
    /// The keyring file could not be written. Nothing was sealed.
    #[error("the keyring could not be written: {0}")]
    Keyring(#[source] io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Records opened again, and how many could not be.
#[derive(Debug, Default)]
pub struct Opened {
    /// Key and plaintext, in order.
    pub records: Vec<(RecordKey, Vec<u8>)>,
    /// The key of the last record the store gave, opened or not.
    pub last: Option<RecordKey>,
    /// Records that were altered or torn. They are skipped: nothing altered is ever served.
    pub damaged_count: usize,
}

/// Keyring and store together: everything the relay holds passes through here.
pub struct Sealer {
    keyring: Mutex<Keyring>,
    store: Arc<dyn Store>,
    chance: Arc<dyn Chance>,
    bad_shelves: Mutex<HashSet<ShelfId>>,
    /// Whose keys are dead, and whose records nobody has tried to remove yet.
    dead: Mutex<BTreeSet<Place>>,
    /// Whose keys are dead, and whose records the store could not remove yet.
    unremoved: Mutex<BTreeSet<Place>>,
}

impl Sealer {
    /// Puts a keyring and a store together and removes from the store what the keyring no longer opens.
    ///
    /// A shelf that cannot be removed does not keep anybody from starting: nobody can open it, and it is tried again.
    #[must_use]
    pub fn new(keyring: Keyring, store: Arc<dyn Store>, chance: Arc<dyn Chance>) -> Self {
        let left = store.keep_only(&keyring.places());
        // No epoch of such a shelf is known any more. Any name stands for all of them.
        let unremoved = left.into_iter().map(|shelf| Place { shelf, epoch: EpochId([0; 8]) }).collect();
        Self {
            keyring: Mutex::new(keyring),
            store,
            chance,
            bad_shelves: Mutex::default(),
            dead: Mutex::default(),
            unremoved: Mutex::new(unremoved),
        }
    }

    fn keyring(&self) -> MutexGuard<'_, Keyring> {
        self.keyring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dead(&self) -> MutexGuard<'_, BTreeSet<Place>> {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unremoved(&self) -> MutexGuard<'_, BTreeSet<Place>> {
        self.unremoved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bad_shelves(&self) -> MutexGuard<'_, HashSet<ShelfId>> {
        self.bad_shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number that lane positions are valid with: random per keyring.
    pub fn life(&self) -> u64 {
        self.keyring().life()
    }

    /// The store, for what concerns the medium as a whole.
    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// The live epochs of a lane, oldest first.
    pub fn held(&self, lane: Lane, line: &LineId) -> Vec<Epoch> {
        self.keyring().held(lane, line)
    }

    /// Begins an epoch: draws its key, and writes that to the keyring before anything is sealed with it.
    ///
    /// # Errors
    ///
    /// [`SealError::Full`] or [`SealError::Keyring`].
    pub fn begin(&self, name: EpochName, first: u64, birth: BootMillis, death: BootMillis) -> Result<Epoch, SealError> {
        let mut keyring = self.keyring();
        let shelf = keyring.shelf_of_group(&name).filter(|shelf| !self.bad_shelves().contains(shelf));
        let shelf = shelf.unwrap_or_else(|| ShelfId(draw(self.chance.as_ref())));
        let place = Place { shelf, epoch: EpochId(draw(self.chance.as_ref())) };
        let epoch = Epoch { name, place, first, count: 0, death, slot: 0 };
        keyring.add(epoch, birth, EpochKey::draw(self.chance.as_ref()))
    }

    /// Seals records and returns when the store has them. `cell_count` cells become part of the epoch then, not before.
    ///
    /// # Errors
    ///
    /// [`SealError::Dead`]; [`SealError::Store`], after which the same shelf is not chosen for a new epoch if it was
    /// unreadable; [`SealError::Keyring`].
    pub fn append(&self, epoch: &Epoch, plain: &[(RecordKey, &[u8])], cell_count: u64, now: BootMillis) -> Result<(), SealError> {
        let key = self.keyring().key(epoch, now).ok_or(SealError::Dead)?;
        let seal = move |&(record, bytes): &(RecordKey, &[u8])| Record {
            key: record,
            sealed: key.seal(&epoch.name, record, bytes, self.chance.as_ref()),
        };
        // The store may open a shelf now, and would take along what lies on the stack.
        let records: Vec<Record> = stack::wiped(|| plain.iter().map(seal).collect());
        // Nothing holds the key any more: a disk may take its time, and the key's may be over meanwhile.
        let appended = self.store.append(epoch.place, &records).map_err(|error| self.note(epoch, error));
        let counted = appended.and_then(|()| self.count(epoch, cell_count));
        counted.inspect_err(|_| self.bury(epoch))
    }

    /// An epoch that died while its shelf was in use: the shelf may be there again, and nobody else would remove it.
    fn bury(&self, epoch: &Epoch) {
        if !self.keyring().knows(epoch) {
            self.dead().insert(epoch.place);
        }
    }

    /// Counts `cell_count` more positions of the epoch as given out, whether or not the store has them.
    ///
    /// # Errors
    ///
    /// [`SealError::Keyring`]; [`SealError::Dead`], since nobody can read what a dead key sealed.
    pub fn count(&self, epoch: &Epoch, cell_count: u64) -> Result<(), SealError> {
        self.keyring().count(epoch, cell_count)
    }

    /// Opens records, beginning with the last one at or before `from`.
    ///
    /// # Errors
    ///
    /// [`SealError::Dead`], [`SealError::Store`].
    pub fn read(&self, epoch: &Epoch, from: RecordKey, limit: usize, now: BootMillis) -> Result<Opened, SealError> {
        if self.keyring().key(epoch, now).is_none() {
            return Err(SealError::Dead);
        }
        let read = self.store.read(epoch.place, from, limit).map_err(|error| self.note(epoch, error));
        // Only now: a disk may take its time, and the key's may be over meanwhile. A statement of its own, which lets go of the keyring.
        let key = self.keyring().key(epoch, now);
        let key = key.ok_or(SealError::Dead).inspect_err(|_| self.bury(epoch))?;
        let records = read?;
        let mut opened = Opened { last: records.last().map(|record| record.key), ..Opened::default() };
        for record in records {
            match key.open(&epoch.name, record.key, &record.sealed) {
                Some(plain) => opened.records.push((record.key, plain)),
                None => opened.damaged_count += 1,
            }
        }
        Ok(opened)
    }

    /// The filler of a slot: lives and dies with the epoch's key.
    ///
    /// # Errors
    ///
    /// [`SealError::Dead`].
    pub fn filler(&self, epoch: &Epoch, slot: u64, now: BootMillis) -> Result<Box<[u8; 1024]>, SealError> {
        let key = self.keyring().key(epoch, now).ok_or(SealError::Dead)?;
        Ok(key.filler(slot))
    }

    /// The name under which something lies in an epoch: a slot's number or a blob's name would tell a thief of the disk what happened when.
    ///
    /// # Errors
    ///
    /// [`SealError::Dead`].
    pub fn mark(&self, epoch: &Epoch, what: &[u8], now: BootMillis) -> Result<RecordKey, SealError> {
        let key = self.keyring().key(epoch, now).ok_or(SealError::Dead)?;
        Ok(key.mark(what))
    }

    /// Forgets an epoch now: its key first, then its records. In RAM the key is gone whatever comes back.
    ///
    /// # Errors
    ///
    /// [`SealError::Keyring`] if the key could not be wiped from the file; [`SealError::Store`] if the records could not be
    /// removed, which are unreadable by then. Either is tried again by [`Sealer::expire`].
    pub fn forget(&self, epoch: &Epoch) -> Result<(), SealError> {
        let wiped = self.keyring().wipe(std::slice::from_ref(epoch)).map_err(SealError::Keyring);
        // A key that stays in the file is one reason more for its records to go.
        let removed = self.remove(epoch.place);
        wiped.and(removed)
    }

    /// Forgets the key of every epoch whose time is up, all of them in RAM before any file is touched; their records are left to
    /// [`Sealer::expire`]. Says how many there were. Never waits for the disk that holds cells.
    pub fn expire_keys(&self, now: BootMillis) -> usize {
        let mut keyring = self.keyring();
        let dead = keyring.dead(now);
        self.dead().extend(dead.iter().map(|epoch| epoch.place));
        // What the file refuses stays counted there, and is tried again.
        let _ = keyring.wipe(&dead);
        dead.len()
    }

    /// Forgets every epoch whose time is up, and what could not be forgotten before. Says how many epochs there were.
    ///
    /// # Errors
    ///
    /// As [`Sealer::forget`], after having tried all of them; so for as long as anything that should be gone is not.
    pub fn expire(&self, now: BootMillis) -> Result<usize, SealError> {
        let count = self.expire_keys(now);
        let wiped = self.keyring().wipe_file().map_err(SealError::Keyring);
        let mut left = std::mem::take(&mut *self.dead());
        left.extend(self.unremoved().iter());
        let mut results = vec![wiped];
        results.extend(left.into_iter().map(|place| self.remove(place)));
        results.into_iter().collect::<Result<Vec<()>, _>>().map(|_| count)
    }

    /// How many keys and shelves should be gone and are not: a disk refused.
    pub fn unforgotten_count(&self) -> usize {
        self.keyring().unwiped_count() + self.unremoved().len()
    }

    /// Whether somebody removed or overwrote the keyring's file: what is held now cannot be opened after the next start.
    pub fn has_lost_keyring(&self) -> bool {
        self.keyring().is_lost()
    }

    /// Removes the records of an epoch whose key is dead.
    fn remove(&self, place: Place) -> Result<(), SealError> {
        // Nobody chooses this shelf for a new epoch unless one of these lies on it: so none can come to lie there meanwhile.
        let rest = self.keyring().places();
        let result = self.store.forget(place, &rest);
        match &result {
            Ok(()) => _ = self.unremoved().remove(&place),
            Err(_) => _ = self.unremoved().insert(place),
        }
        Ok(result?)
    }

    /// The lowest lane position not yet promised to anyone, as far as the keyring knows.
    pub fn reserved(&self, line: &LineId) -> u64 {
        self.keyring().reserved(line)
    }

    /// Remembers that positions below `next` may have been given out, so that a later start does not give them again.
    ///
    /// # Errors
    ///
    /// [`SealError::Full`] or [`SealError::Keyring`].
    pub fn reserve(&self, line: &LineId, next: u64) -> Result<(), SealError> {
        self.keyring().reserve(line, next)
    }

    fn note(&self, epoch: &Epoch, error: StoreError) -> SealError {
        if matches!(error, StoreError::Unreadable) {
            self.bad_shelves().insert(epoch.place.shelf);
        }
        error.into()
    }
}

#[cfg(test)]
mod tests;
