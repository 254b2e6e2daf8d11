//! Snapshot chunks that a line's devices leave for each other, sealed like everything else, for a day.

use std::sync::{Mutex, PoisonError};

use porchlight_proto::limits::BLOB_LEN;
use porchlight_proto::line::LineId;

use super::up::{NotRead, NotTaken};
use super::{Ground, dies_too_late, dies_too_soon, epoch_number, millis_to_end};
use crate::seal::{Epoch, EpochName, Lane, SealError};
use crate::store::{RecordKey, StoreError};

/// Seconds that a blob lives on after its epoch.
const TTL_S: u64 = 86_400;

/// Seconds in an epoch of blobs.
const EPOCH_S: u32 = 3600;

/// Epochs that share a shelf.
const EPOCHS_PER_SHELF: u32 = 24;

/// Blobs that a line may hold at once, those written over included: 64 MiB.
const COUNT_MAX: u64 = 1024;

/// The name of a blob: 16 bytes that the devices choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobName(pub [u8; 16]);

impl BlobName {
    /// Reads the 32 lower-case hex digits of a path.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

/// The blobs of one line.
pub struct Blobs {
    line: LineId,
    ground: Ground,
    /// The epoch that must not be written to again, because its shelf went bad; held while writing, so that one blob is written at a time.
    closed: Mutex<Option<Epoch>>,
}

impl Blobs {
    pub(super) fn open(line: LineId, ground: &Ground) -> Self {
        Self { line, ground: ground.clone(), closed: Mutex::default() }
    }

    /// Keeps a blob, and returns when the medium has it. Of two with one name the later counts. May block on the medium.
    ///
    /// # Errors
    ///
    /// [`NotTaken`] if the line holds its share already, or the store or keyring refused.
    pub fn put(&self, name: BlobName, bytes: &[u8; BLOB_LEN]) -> Result<(), NotTaken> {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_full() {
            return Err(NotTaken);
        }
        let written = match self.append(name, bytes, *closed) {
            Err((Some(epoch), SealError::Store(StoreError::Unreadable))) => {
                *closed = Some(epoch);
                self.append(name, bytes, *closed)
            }
            other => other,
        };
        written.map_err(|_| {
            self.ground.counters.store_failures.add(1);
            NotTaken
        })
    }

    fn append(&self, name: BlobName, bytes: &[u8; BLOB_LEN], closed: Option<Epoch>) -> Result<(), (Option<Epoch>, SealError)> {
        let epoch = self.current(closed).map_err(|error| (None, error))?;
        let boot = self.ground.clock.boot();
        let key = self.ground.sealer.mark(&epoch, &name.0, boot).map_err(|error| (Some(epoch), error))?;
        let record = [(key, bytes.as_slice())];
        self.ground.sealer.append(&epoch, &record, 1, boot).map_err(|error| (Some(epoch), error))
    }

    /// The newest blob of that name, if it is still held; [`NotRead`] if the medium refused where it may lie. May block on the medium.
    #[must_use]
    pub fn blob(&self, name: BlobName) -> Option<Result<Vec<u8>, NotRead>> {
        let epochs = self.ground.sealer.held(Lane::Blob, &self.line);
        epochs.iter().rev().find_map(|epoch| self.blob_in(epoch, name).transpose())
    }

    fn blob_in(&self, epoch: &Epoch, name: BlobName) -> Result<Option<Vec<u8>>, NotRead> {
        let boot = self.ground.clock.boot();
        let Ok(wanted) = self.ground.sealer.mark(epoch, &name.0, boot) else { return Ok(None) };
        let opened = match self.ground.sealer.read(epoch, wanted, 1, boot) {
            Ok(opened) => opened,
            // It may lie here: an older one of that name would be given in its place.
            Err(SealError::Store(StoreError::Medium(_))) => {
                self.ground.counters.store_failures.add(1);
                return Err(NotRead);
            }
            Err(_) => return Ok(None),
        };
        // Blobs were counted, and the store has none: lost, even where it does not say so.
        let is_empty = opened.last.is_none() && epoch.count > 0;
        self.ground.counters.damaged_records.add(opened.damaged_count as u64 + u64::from(is_empty));
        let exact = |(key, bytes): (RecordKey, Vec<u8>)| (key == wanted).then_some(bytes);
        Ok(opened.records.into_iter().find_map(exact))
    }

    /// Whether the line holds as many as it may.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.ground.sealer.held(Lane::Blob, &self.line).iter().map(|epoch| epoch.count).sum::<u64>() >= COUNT_MAX
    }

    fn current(&self, closed: Option<Epoch>) -> Result<Epoch, SealError> {
        let (now, boot) = (self.ground.clock.now(), self.ground.clock.boot());
        let number = epoch_number(now.seconds(), EPOCH_S);
        let death = boot.after(millis_to_end(now, number, EPOCH_S).saturating_add(TTL_S * 1000));
        let is_current = |epoch: &Epoch| {
            epoch.name.number == number
                && boot < epoch.death
                && !dies_too_soon(epoch, death)
                && !dies_too_late(epoch, death)
                && closed.is_none_or(|bad| bad.place != epoch.place)
        };
        if let Some(epoch) = self.ground.sealer.held(Lane::Blob, &self.line).into_iter().rfind(is_current) {
            return Ok(epoch);
        }
        let name = EpochName { lane: Lane::Blob, line: self.line, number, unit: EPOCH_S, group: number / EPOCHS_PER_SHELF };
        self.ground.sealer.begin(name, 1, boot, death)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use porchlight_proto::time::Millis;

    use super::*;
    use crate::chance::{Chance, SeededChance};
    use crate::clock::{Clock, SetClock, SlotClock};
    use crate::seal::{Keyring, KeyringMedium, Sealer};
    use crate::store::{FaultyStore, Store};

    #[test]
    fn an_older_blob_is_not_given_where_a_newer_one_cannot_be_read_now() {
        let (dir, store) = (tempfile::TempDir::new().unwrap(), FaultyStore::new());
        let (clock, chance) = (Arc::new(SetClock::new(Millis(1_795_435_205_000))), Arc::new(SeededChance::new(8)));
        let keys = dir.path().join("keys");
        let keyring = Keyring::open(&keys, dir.path(), KeyringMedium::Anywhere, [1; 16], clock.boot(), chance.as_ref()).unwrap();
        let sealer = Sealer::new(keyring, Arc::clone(&store) as Arc<dyn Store>, Arc::clone(&chance) as Arc<dyn Chance>);
        let slot_clock = Arc::new(SlotClock::start(Arc::clone(&clock) as Arc<dyn Clock>));
        let ground = Ground { sealer: Arc::new(sealer), clock: slot_clock, chance, counters: Arc::default(), epoch_s: 3600 };
        let blobs = Blobs::open(LineId::from_bytes([1; 32]), &ground);

        let (name, nobodys) = (BlobName([7; 16]), BlobName([8; 16]));
        blobs.put(name, &[1; BLOB_LEN]).unwrap();
        clock.pass(3_600_000);
        blobs.put(name, &[2; BLOB_LEN]).unwrap();
        let first_byte = |name| blobs.blob(name).map(|read| read.map(|bytes| bytes[0]));
        for (asked, then) in [(name, Some(Ok(2))), (nobodys, None)] {
            store.is_full();
            assert_eq!(first_byte(asked), Some(Err(NotRead)), "whether it is there is not known");
            assert_eq!(first_byte(asked), then);
        }
        let counted = || (ground.counters.store_failures.count(), ground.counters.damaged_records.count());
        assert_eq!(counted(), (2, 0));
        store.next_is(Some(StoreError::Unreadable));
        assert_eq!(first_byte(name), Some(Ok(1)), "what is lost for good is passed over");
        assert_eq!(counted(), (2, 0));
    }
}
