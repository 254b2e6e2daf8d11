//! A store in memory that refuses when a test wants it to.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{MemoryStore, Place, Record, RecordKey, ShelfId, Store, StoreError};

type Act = Box<dyn FnOnce() + Send>;

/// Does what [`MemoryStore`] does, unless it was told to refuse.
pub(crate) struct FaultyStore {
    inner: MemoryStore,
    fault: Mutex<Option<StoreError>>,
    keeps: AtomicBool,
    holds_on: AtomicBool,
    before_write: Mutex<Option<Act>>,
    before_read: Mutex<Option<Act>>,
    /// Held by a test: then removing hangs.
    pub(crate) hangs: Mutex<()>,
}

impl FaultyStore {
    /// One that refuses nothing.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryStore::new(),
            fault: Mutex::default(),
            keeps: false.into(),
            holds_on: false.into(),
            before_write: Mutex::default(),
            before_read: Mutex::default(),
            hangs: Mutex::default(),
        })
    }

    /// What the next write or reading is refused with; the one after that works again.
    pub(crate) fn next_is(&self, fault: Option<StoreError>) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// The next write or reading finds the disk full.
    pub(crate) fn is_full(&self) {
        self.next_is(Some(StoreError::Medium(io::ErrorKind::StorageFull.into())));
    }

    /// Whether what it refuses to acknowledge is there all the same.
    pub(crate) fn keep_refused(&self, keeps: bool) {
        self.keeps.store(keeps, Ordering::Relaxed);
    }

    /// Whether it refuses to remove anything.
    pub(crate) fn hold_on(&self, holds_on: bool) {
        self.holds_on.store(holds_on, Ordering::Relaxed);
    }

    /// What happens once the next write has come, and before anything of it is there.
    pub(crate) fn before_next_write(&self, act: impl FnOnce() + Send + 'static) {
        *self.before_write.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(act));
    }

    /// What happens once the next reading has come, and before anything is read.
    pub(crate) fn before_next_read(&self, act: impl FnOnce() + Send + 'static) {
        *self.before_read.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(act));
    }

    fn next(&self) -> Result<(), StoreError> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}

impl Store for FaultyStore {
    fn append(&self, place: Place, records: &[Record]) -> Result<(), StoreError> {
        let act = self.before_write.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(act) = act {
            act();
        }
        if self.keeps.load(Ordering::Relaxed) {
            self.inner.append(place, records)?;
        }
        self.next()?;
        self.inner.append(place, records)
    }

    fn read(&self, place: Place, from: RecordKey, limit: usize) -> Result<Vec<Record>, StoreError> {
        let act = self.before_read.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(act) = act {
            act();
        }
        self.next()?;
        self.inner.read(place, from, limit)
    }

    fn forget(&self, place: Place, rest: &[Place]) -> Result<(), StoreError> {
        drop(self.hangs.lock());
        if self.holds_on.load(Ordering::Relaxed) {
            return Err(StoreError::Medium(io::ErrorKind::Other.into()));
        }
        self.inner.forget(place, rest)
    }

    fn keep_only(&self, places: &[Place]) -> Vec<ShelfId> {
        self.inner.keep_only(places)
    }

    fn bytes(&self) -> u64 {
        self.inner.bytes()
    }

    fn free(&self) -> u64 {
        self.inner.free()
    }

    fn rest(&self) {}

    fn unreadable_count(&self) -> usize {
        0
    }
}
