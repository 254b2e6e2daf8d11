//! What somebody gets who copied the disk and the keyring: a reader without a relay, for tests and for showing it to people.

use std::io;
use std::path::Path;

use porchlight_proto::line::LineId;

use super::{KEYRING_FILE, Lane, keyring};
use crate::store::{RecordKey, SledStore, Store, StoreError};

/// A record opened from a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which lane it lay in.
    pub lane: Lane,
    /// Whose line.
    pub line: LineId,
    /// Its key: the position of its first cell, its slot, or its blob's name.
    pub key: RecordKey,
    /// What was sealed.
    pub plain: Vec<u8>,
}

/// Opens everything that a copy of a store's directory and a copy of a keyring's directory give together.
///
/// Asks neither for the boot nor for the time: a thief does not, either. Opens shelves for writing, as sled does; give it a copy.
///
/// # Errors
///
/// What the file system says of the keyring or the store's directory. Unreadable shelves give nothing.
pub fn open_copy(store_dir: &Path, keyring_dir: &Path) -> io::Result<Vec<Found>> {
    let store = SledStore::open(store_dir)?;
    let mut found = Vec::new();
    for (epoch, key) in keyring::read_copy(&keyring_dir.join(KEYRING_FILE))? {
        let records = match store.read(epoch.place, RecordKey(0), usize::MAX) {
            Ok(records) => records,
            Err(StoreError::Medium(error)) => return Err(error),
            Err(StoreError::Unreadable) => continue,
        };
        for record in records {
            let plain = key.open(&epoch.name, record.key, &record.sealed);
            found.extend(plain.map(|plain| Found { lane: epoch.name.lane, line: epoch.name.line, key: record.key, plain }));
        }
    }
    Ok(found)
}
