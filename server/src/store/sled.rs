//! The store on sled, wrapped so that its habits do not become ours.
//!
//! - One sled *directory* per shelf, removed whole: sled frees slots but never wipes or shrinks.
//! - An append is on the medium when it returns: one batch, one `flush`, and then `fdatasync` of sled's file, because sled's own
//!   flush is `sync_file_range`, which leaves out the file's metadata and the disk's cache.
//! - A shelf that sled cannot open or read, and cannot when it is opened once more, is quarantined: it answers
//!   [`StoreError::Unreadable`] until it is forgotten, and the others go on. sled also *panics* at some damage; such a panic is caught
//!   here and means the same. On a thread of sled's own it is not, and ends the relay.
//! - A shelf is closed when the medium refuses, and opened again at the next use: sled itself never gets over a full disk.
//! - What is not there as it was put there (a directory where a file was) is damage, too, and not a medium that refuses for now.
//! - What sled wrote of a snapshot when the disk filled up is removed before it takes that for the newest one.
//! - Small caches; a shelf is opened at its first use and closed when it has rested.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use super::{Place, Record, RecordKey, ShelfId, Store, StoreError};

/// Bytes of cache per open shelf. sled takes about ten times as much (measured while designing).
const CACHE_BYTES: u64 = 1 << 20;

/// How often each record that was read is touched again.
///
/// sled asks what its cache may keep at every 64th access to one of its 256 groups of pages, and so not at all while somebody reads a shelf
/// once through: the whole of it then stays in RAM. A leaf holds at least eight records when they came in order; eight touches of each make
/// the 64, and what was read is let go again (200,000 cells read: measured in docs/BENCH.md).
const TOUCHES: usize = 8;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside sled, where a panic means a damaged shelf and is caught. For the binary's panic hook.
#[must_use]
pub fn holds_off_panics() -> bool {
    INSIDE.with(Cell::get)
}

/// Sealed records in sled, one directory per shelf under one directory.
pub struct SledStore {
    home: PathBuf,
    shelves: Mutex<HashMap<ShelfId, Arc<Shelf>>>,
}

struct Shelf {
    path: PathBuf,
    state: RwLock<State>,
    used: AtomicBool,
}

enum State {
    Closed,
    Open(Open),
    Unreadable,
}

struct Open {
    db: sled::Db,
    file: File,
}

impl SledStore {
    /// A store in `home`, which is made if it is missing. Opens no shelf yet.
    ///
    /// # Errors
    ///
    /// What the file system says if `home` cannot be made or listed.
    pub fn open(home: &Path) -> io::Result<Self> {
        crate::files::make_private_dir(home)?;
        let store = Self { home: home.to_path_buf(), shelves: Mutex::default() };
        for id in store.listed()? {
            store.shelf(id);
        }
        Ok(store)
    }

    /// The shelves there are, open or not.
    #[must_use]
    pub fn shelf_ids(&self) -> BTreeSet<ShelfId> {
        self.shelves().keys().copied().collect()
    }

    fn listed(&self) -> io::Result<Vec<ShelfId>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.home)? {
            let name = entry?.file_name();
            ids.extend(name.to_str().and_then(shelf_of_name));
        }
        Ok(ids)
    }

    fn shelves(&self) -> MutexGuard<'_, HashMap<ShelfId, Arc<Shelf>>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shelf(&self, id: ShelfId) -> Arc<Shelf> {
        let path = self.home.join(id.to_string());
        let fresh = || Arc::new(Shelf { path, state: RwLock::new(State::Closed), used: AtomicBool::new(false) });
        Arc::clone(self.shelves().entry(id).or_insert_with(fresh))
    }

    fn remove(&self, id: ShelfId) -> Result<(), StoreError> {
        // Also one that nobody has here: who waited for it while it was removed has made it anew.
        let shelf = self.shelf(id);
        shelf.close();
        let removed = match fs::remove_dir_all(&shelf.path) {
            // Not what we put there, and dead all the same.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => fs::remove_file(&shelf.path),
            removed => removed,
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        self.shelves().remove(&id);
        Ok(())
    }
}

impl Store for SledStore {
    fn append(&self, place: Place, records: &[Record]) -> Result<(), StoreError> {
        self.shelf(place.shelf).with(|open| {
            let tree = open.db.open_tree(place.epoch.0)?;
            let mut batch = sled::Batch::default();
            for record in records {
                batch.insert(&record.key.0.to_be_bytes(), record.sealed.as_slice());
            }
            tree.apply_batch(batch)?;
            open.db.flush()?;
            open.file.sync_data().map_err(sled::Error::from)
        })
    }

    fn read(&self, place: Place, from: RecordKey, limit: usize) -> Result<Vec<Record>, StoreError> {
        let shelf = self.shelf(place.shelf);
        if matches!(fs::symlink_metadata(&shelf.path), Err(error) if error.kind() == io::ErrorKind::NotFound) {
            return Ok(Vec::new());
        }
        shelf.with(|open| read_tree(&open.db.open_tree(place.epoch.0)?, from, limit))
    }

    fn forget(&self, place: Place, rest: &[Place]) -> Result<(), StoreError> {
        // Dropping a tree alone would make sled write more, not less: the epoch's key is dead, so its records may lie there.
        if rest.iter().any(|other| other.shelf == place.shelf && *other != place) {
            return Ok(());
        }
        self.remove(place.shelf)
    }

    fn keep_only(&self, places: &[Place]) -> Vec<ShelfId> {
        let known: Vec<ShelfId> = self.shelves().keys().copied().collect();
        let dead = known.into_iter().filter(|id| places.iter().all(|place| place.shelf != *id));
        dead.filter(|id| self.remove(*id).is_err()).collect()
    }

    fn bytes(&self) -> u64 {
        bytes_under(&self.home)
    }

    fn free(&self) -> u64 {
        crate::files::free_bytes(&self.home)
    }

    fn rest(&self) {
        let shelves: Vec<_> = self.shelves().values().cloned().collect();
        for shelf in shelves {
            if !shelf.used.swap(false, Ordering::Relaxed) {
                shelf.close();
            }
        }
    }

    fn unreadable_count(&self) -> usize {
        let shelves: Vec<_> = self.shelves().values().cloned().collect();
        // One that is being opened is none, and to wait for it would hold up whoever asks.
        shelves.iter().filter(|shelf| shelf.state.try_read().is_ok_and(|state| matches!(*state, State::Unreadable))).count()
    }
}

impl Shelf {
    fn read_state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_state(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the work, and once more with the shelf opened anew if sled says that its data is damaged: it also does so of what it had in
    /// memory alone.
    fn with<T>(&self, work: impl Fn(&Open) -> sled::Result<T>) -> Result<T, StoreError> {
        self.used.store(true, Ordering::Relaxed);
        let mut is_opened_anew = false;
        loop {
            self.open_if_closed()?;
            let result = match &*self.read_state() {
                State::Open(open) => fenced(|| work(open)),
                // Somebody closed it in between: it rested, or the medium refused somebody else. That is no damage.
                State::Closed => continue,
                State::Unreadable => return Err(StoreError::Unreadable),
            };
            if matches!(result, Err(Damage::Data)) && !is_opened_anew {
                is_opened_anew = true;
                self.close();
                continue;
            }
            return result.map_err(|damage| self.judge(damage));
        }
    }

    fn open_if_closed(&self) -> Result<(), StoreError> {
        if matches!(*self.read_state(), State::Open(_)) {
            return Ok(());
        }
        let mut state = self.write_state();
        if matches!(*state, State::Closed) {
            let opened = match fenced(|| Open::at(&self.path)) {
                Err(Damage::Data) => fenced(|| Open::at(&self.path)),
                opened => opened,
            };
            match opened {
                Ok(open) => *state = State::Open(open),
                Err(Damage::Medium(error)) => return Err(error.into()),
                Err(Damage::Data) => *state = State::Unreadable,
            }
        }
        match *state {
            State::Open(_) => Ok(()),
            State::Closed | State::Unreadable => Err(StoreError::Unreadable),
        }
    }

    fn judge(&self, damage: Damage) -> StoreError {
        match damage {
            // sled goes on refusing after the first failure of the medium, even when there is room again: opened anew, it takes what is there.
            Damage::Medium(error) => {
                self.close();
                error.into()
            }
            Damage::Data => {
                let mut state = self.write_state();
                let _ = fenced(|| {
                    *state = State::Unreadable;
                    Ok(())
                });
                StoreError::Unreadable
            }
        }
    }

    fn close(&self) {
        let mut state = self.write_state();
        if matches!(*state, State::Open(_)) {
            // sled flushes when it is dropped, and may panic at that, too.
            let _ = fenced(|| {
                *state = State::Closed;
                Ok(())
            });
        }
    }
}

impl Open {
    fn at(path: &Path) -> sled::Result<Self> {
        crate::files::make_private_leaf(path)?;
        let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None).print_profile_on_drop(false);
        drop_half_snapshots(path)?;
        let db = open_when_let_go(&config)?;
        match synced(path) {
            Ok(file) => Ok(Self { db, file }),
            Err(error) => {
                // sled syncs when it is dropped and panics if that fails, too: what the medium refuses is no damage.
                let _ = fenced(|| {
                    drop(db);
                    Ok(())
                });
                Err(error.into())
            }
        }
    }
}

/// sled syncs neither its settings nor the names of its files: half of the one or none of the other is a shelf that cannot be opened
/// (found by cutting the power, server/tests/relay/power.rs).
fn synced(path: &Path) -> io::Result<File> {
    let file = File::open(path.join("db"))?;
    File::open(path.join("conf"))?.sync_all()?;
    crate::files::sync_dir(path)?;
    Ok(file)
}

/// Removes what is left of a snapshot that could not be written whole. sled reads it before those that were, and then finds the shelf damaged:
/// <https://github.com/spacejam/sled/issues/1527>. A snapshot holds nothing that the log does not.
fn drop_half_snapshots(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().ends_with(b".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// How often a shelf that was just closed is tried again, and what lies between: a second in all.
const TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// Opens what may have been closed a moment ago: sled's own threads let go of the file only when they get to it. Nobody else has it open, for
/// the data directory is locked.
fn open_when_let_go(config: &sled::Config) -> sled::Result<sled::Db> {
    for _ in 0..TRIES {
        match config.open() {
            Err(sled::Error::Io(error)) if error.to_string().starts_with("could not acquire lock") => {
                thread::sleep(BETWEEN_TRIES)
            }
            opened => return opened,
        }
    }
    config.open()
}

fn read_tree(tree: &sled::Tree, from: RecordKey, limit: usize) -> sled::Result<Vec<Record>> {
    let from = from.0.to_be_bytes();
    let first = match tree.range(..=from).next_back() {
        Some(found) => found?.0,
        None => sled::IVec::from(&from),
    };
    let mut room = limit;
    let mut records = Vec::new();
    for found in tree.range(first..) {
        let (key, sealed) = found?;
        if !records.is_empty() && sealed.len() > room {
            break;
        }
        room = room.saturating_sub(sealed.len());
        // A key of another length is none of ours: damage that sled did not notice.
        let Ok(number) = key.as_ref().try_into() else { continue };
        records.push(Record { key: RecordKey(u128::from_be_bytes(number)), sealed: sealed.to_vec() });
        for _ in 0..TOUCHES {
            tree.contains_key(&key)?;
        }
    }
    Ok(records)
}

/// What went wrong inside sled: the medium for now, or the data for good.
enum Damage {
    Medium(io::Error),
    Data,
}

fn fenced<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, Damage> {
    let outer = INSIDE.with(|inside| inside.replace(true));
    let result = catch_unwind(AssertUnwindSafe(work));
    INSIDE.with(|inside| inside.set(outer));
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(error))) if !is_damage(&error) => Err(Damage::Medium(error)),
        Ok(Err(_)) | Err(_) => Err(Damage::Data),
    }
}

/// What is not there as it was put there.
fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, InvalidData, InvalidInput, IsADirectory, NotADirectory, NotSeekable, UnexpectedEof};
    let kind = error.kind();
    matches!(kind, AlreadyExists | InvalidData | InvalidInput | IsADirectory | NotADirectory | NotSeekable | UnexpectedEof)
        || Errno::from_io_error(error).is_some_and(|errno| [Errno::LOOP, Errno::NXIO].contains(&errno))
}

fn shelf_of_name(name: &str) -> Option<ShelfId> {
    let bytes = data_encoding::HEXLOWER.decode(name.as_bytes()).ok()?;
    Some(ShelfId(bytes.try_into().ok()?))
}

fn bytes_under(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_under(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::super::EpochId;
    use super::*;

    #[test]
    fn a_panic_inside_sled_is_damage_and_outside_it_is_not_held_off() {
        let seen = Cell::new(false);
        let result: Result<(), Damage> = fenced(|| {
            seen.set(holds_off_panics());
            panic!("as sled does at a page it cannot make sense of")
        });
        assert!(matches!(result, Err(Damage::Data)));
        assert_eq!((seen.get(), holds_off_panics()), (true, false));
    }

    #[test]
    fn a_shelf_that_rests_while_it_is_used_is_not_taken_for_damage() {
        let dir = tempfile::tempdir().unwrap();
        let store = SledStore::open(dir.path()).unwrap();
        let place = Place { shelf: ShelfId([1; 16]), epoch: EpochId([2; 8]) };
        let record = |number| Record { key: RecordKey(number), sealed: vec![7; 100] };
        store.append(place, &[record(0)]).unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    // At every second call it closes what has not been used since.
                    store.rest();
                }
            });
            for _ in 0..30 {
                let read = store.read(place, RecordKey(0), 1000);
                assert_eq!(read.as_ref().ok().map(Vec::len), Some(1), "{read:?}");
            }
            is_over.store(true, Ordering::Relaxed);
        });
        assert_eq!(store.unreadable_count(), 0);
    }

    fn one_record(dir: &Path) -> (SledStore, Place) {
        let store = SledStore::open(dir).unwrap();
        let place = Place { shelf: ShelfId([1; 16]), epoch: EpochId([2; 8]) };
        store.append(place, &[Record { key: RecordKey(0), sealed: vec![7; 100] }]).unwrap();
        (store, place)
    }

    #[test]
    fn half_a_snapshot_is_not_taken_for_the_shelf() {
        let dir = tempfile::tempdir().unwrap();
        let (store, place) = one_record(dir.path());
        drop(store);
        for half in [&[][..], &[0; 5], &[0xff; 300]] {
            let half_of_it = dir.path().join(place.shelf.to_string()).join("snap.FFFFFFFFFFFFFFFF.generating");
            fs::write(&half_of_it, half).unwrap();
            let store = SledStore::open(dir.path()).unwrap();
            assert_eq!(store.read(place, RecordKey(0), 1000).unwrap().len(), 1, "{} bytes", half.len());
            assert!(!half_of_it.exists());
        }
    }

    #[test]
    fn a_shelf_is_set_aside_only_if_it_is_found_damaged_twice() {
        let dir = tempfile::tempdir().unwrap();
        let (store, place) = one_record(dir.path());
        let shelf = store.shelf(place.shelf);
        let tries = &Cell::new(0);
        let fails = |until: i32| {
            move |_: &Open| {
                tries.set(tries.get() + 1);
                assert!(tries.get() > until, "as sled does");
                Ok(tries.get())
            }
        };
        assert_eq!(shelf.with(fails(1)).unwrap(), 2);
        assert_eq!((store.unreadable_count(), store.read(place, RecordKey(0), 1000).unwrap().len()), (0, 1));
        assert!(matches!(shelf.with(fails(4)), Err(StoreError::Unreadable)));
        assert_eq!(store.unreadable_count(), 1);
    }

    #[test]
    fn a_shelf_that_is_something_else_on_the_disk_is_set_aside_and_goes_when_it_is_forgotten() {
        for spoil in [
            (|shelf: &Path| fs::remove_file(shelf.join("db")).and_then(|()| fs::create_dir(shelf.join("db"))).unwrap())
                as fn(&Path),
            |shelf| fs::remove_dir_all(shelf).and_then(|()| fs::write(shelf, b"a file")).unwrap(),
            |shelf| fs::remove_dir_all(shelf).and_then(|()| std::os::unix::fs::symlink(shelf, shelf)).unwrap(),
            |shelf| fs::remove_file(shelf.join("conf")).and_then(|()| fs::create_dir(shelf.join("conf"))).unwrap(),
            |shelf| fs::remove_file(shelf.join("db")).and_then(|()| std::os::unix::fs::symlink("db", shelf.join("db"))).unwrap(),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let (store, place) = one_record(dir.path());
            drop(store);
            spoil(&dir.path().join(place.shelf.to_string()));
            let store = SledStore::open(dir.path()).unwrap();
            assert!(matches!(store.read(place, RecordKey(0), 1000), Err(StoreError::Unreadable)));
            assert_eq!(store.unreadable_count(), 1);
            let other = Place { shelf: ShelfId([3; 16]), ..place };
            store.append(other, &[Record { key: RecordKey(0), sealed: vec![7; 100] }]).unwrap();
            store.forget(place, &[other]).unwrap();
            assert_eq!((store.unreadable_count(), store.listed().unwrap()), (0, vec![other.shelf]));
        }
    }

    #[test]
    fn a_home_that_was_taken_away_is_not_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("cells");
        let (store, place) = one_record(&home);
        let other = Place { shelf: ShelfId([3; 16]), ..place };
        fs::rename(&home, dir.path().join("elsewhere")).unwrap();
        let refused = store.append(other, &[Record { key: RecordKey(0), sealed: vec![7; 100] }]);
        assert!(matches!(refused, Err(StoreError::Medium(_))), "{refused:?}");
        assert!(!home.exists());
    }

    #[test]
    fn what_the_medium_refuses_is_not_taken_for_damage() {
        for (kind, is_damage) in
            [(io::ErrorKind::StorageFull, false), (io::ErrorKind::PermissionDenied, false), (io::ErrorKind::UnexpectedEof, true)]
        {
            let result: Result<(), Damage> = fenced(|| Err(io::Error::from(kind).into()));
            assert_eq!(matches!(result, Err(Damage::Data)), is_damage, "{kind:?}");
        }
    }
}
