//! A store that forgets when the process ends: for trying things out, and for relays that should leave nothing behind.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Place, Record, RecordKey, ShelfId, Store, StoreError};

/// Records in RAM.
#[derive(Default)]
pub struct MemoryStore {
    epochs: Mutex<BTreeMap<Place, BTreeMap<RecordKey, Vec<u8>>>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn epochs(&self) -> MutexGuard<'_, BTreeMap<Place, BTreeMap<RecordKey, Vec<u8>>>> {
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn append(&self, place: Place, records: &[Record]) -> Result<(), StoreError> {
        let mut epochs = self.epochs();
        let epoch = epochs.entry(place).or_default();
        epoch.extend(records.iter().map(|record| (record.key, record.sealed.clone())));
        Ok(())
    }

    fn read(&self, place: Place, from: RecordKey, limit: usize) -> Result<Vec<Record>, StoreError> {
        let epochs = self.epochs();
        let Some(epoch) = epochs.get(&place) else { return Ok(Vec::new()) };
        let first = epoch.range(..=from).next_back().map_or(from, |(key, _)| *key);
        let mut room = limit;
        let mut records = Vec::new();
        for (&key, sealed) in epoch.range(first..) {
            if !records.is_empty() && sealed.len() > room {
                break;
            }
            room = room.saturating_sub(sealed.len());
            records.push(Record { key, sealed: sealed.clone() });
        }
        Ok(records)
    }

    fn forget(&self, place: Place, _rest: &[Place]) -> Result<(), StoreError> {
        self.epochs().remove(&place);
        Ok(())
    }

    fn keep_only(&self, places: &[Place]) -> Vec<ShelfId> {
        self.epochs().retain(|held, _| places.iter().any(|place| place.shelf == held.shelf));
        Vec::new()
    }

    fn bytes(&self) -> u64 {
        let held: usize = self.epochs().values().flat_map(BTreeMap::values).map(Vec::len).sum();
        u64::try_from(held).unwrap_or(u64::MAX)
    }

    fn free(&self) -> u64 {
        u64::MAX
    }

    fn rest(&self) {}

    fn unreadable_count(&self) -> usize {
        0
    }
}
