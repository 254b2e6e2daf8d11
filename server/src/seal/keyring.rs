//! The keyring: the one file that holds epoch keys, on a file system that lives in RAM.
//!
//! Fixed size, slots overwritten in place and never moved, so that no old copy of a key lies about in a freed page. A key is
//! synced to the file before it seals anything and wiped from it before its records are removed. If the file refuses that, the key
//! is gone from this process all the same, and the slot is written over as soon as the file can be written. Births and deaths
//! are times of `CLOCK_BOOTTIME`; a keyring of another boot is void and is overwritten whole.
//!
//! ```text
//! header 64   magic 8 ‖ boot id 16 ‖ life 8 ‖ zero 32
//! slot   160  kind 1 ‖ zero 3 ‖ number 4 ‖ line 32 ‖ shelf 16 ‖ epoch 8 ‖ unit 4 ‖ group 4 ‖ first 8
//!             ‖ count 8 ‖ birth 8 ‖ death 8 ‖ key 32 ‖ check 16 ‖ zero 8
//! ```
//! `check` covers all but `count`, which changes with every group of cells. Kind 9 is a line's reserved positions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use porchlight_proto::kdf;
use porchlight_proto::line::LineId;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::{Epoch, EpochKey, EpochName, Lane, SealError};
use crate::chance::{Chance, draw};
use crate::clock::BootMillis;
use crate::store::{EpochId, Place, ShelfId};

/// The keyring's name in its directory.
pub const KEYRING_FILE: &str = "keyring";

/// Epochs a keyring can hold at once, over all lines.
///
/// A line in production needs about 110: 73 of up, 8 of slow, 26 of blobs.
pub const SLOTS: usize = 8192;

const MAGIC: &[u8; 8] = b"PLKEYS01";
const HEADER_LEN: usize = 64;
const LIFE_AT: u64 = 24;
const SLOT_LEN: usize = 160;
const FILE_LEN: usize = HEADER_LEN + SLOTS * SLOT_LEN;
const COUNT_AT: usize = 80;
const LINE_KIND: u8 = 9;

/// Whether there is a keyring in this file. One that was overwritten is none.
///
/// # Errors
///
/// What the system says.
pub fn holds_keys(path: &Path) -> io::Result<bool> {
    let mut magic = [0; MAGIC.len()];
    match File::open(path).and_then(|file| file.read_exact_at(&mut magic, 0)) {
        Ok(()) => Ok(magic == *MAGIC),
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::UnexpectedEof].contains(&error.kind()) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Why there is no keyring.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// Another relay holds it.
    #[error("another relay is using the keyring in {0}: give each relay its own keyring_dir")]
    InUse(PathBuf),
    /// It would lie on a disk.
    #[error(
        "keyring_dir {0} is not on a file system in RAM (tmpfs), or on the one where data_dir is, so keys would outlive their cells: choose a directory under /run, \
         or set keyring_on_disk = true if that is meant"
    )]
    OnDisk(PathBuf),
    /// The file system refused.
    #[error("cannot use keyring_dir {0}: {1}")]
    Io(PathBuf, #[source] io::Error),
}

/// Whether a keyring may lie on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyringMedium {
    /// Only in RAM, and not on the device of `data_dir`.
    RamOnly,
    /// Anywhere: for tests and for people who say so.
    Anywhere,
}

/// The epoch keys and what belongs to them.
pub struct Keyring {
    file: Option<File>,
    life: u64,
    epochs: Vec<Option<Held>>,
    lines: Vec<(LineId, u64, usize)>,
    /// Slots that may still hold a key in the file, and hold none here.
    unwiped: BTreeSet<usize>,
    damaged_count: usize,
}

struct Held {
    epoch: Epoch,
    birth: BootMillis,
    key: Arc<EpochKey>,
}

impl Keyring {
    /// A keyring in this process's memory alone, for a store that forgets with it.
    #[must_use]
    pub fn in_memory(chance: &dyn Chance) -> Self {
        Self::empty(None, chance)
    }

    fn empty(file: Option<File>, chance: &dyn Chance) -> Self {
        // A life of zero means "none yet" to a desk.
        let life = u64::from_be_bytes(draw(chance)).max(1);
        let epochs = (0..SLOTS).map(|_| None).collect();
        Self { file, life, epochs, lines: Vec::new(), unwiped: BTreeSet::new(), damaged_count: 0 }
    }

    /// Opens the keyring in `dir`, or makes one. One of another boot is overwritten; what has died meanwhile is wiped.
    ///
    /// # Errors
    ///
    /// [`KeyringError::OnDisk`] unless `medium` allows it; [`KeyringError::InUse`]; [`KeyringError::Io`].
    pub fn open(
        dir: &Path,
        data_dir: &Path,
        medium: KeyringMedium,
        boot_id: [u8; 16],
        now: BootMillis,
        chance: &dyn Chance,
    ) -> Result<Self, KeyringError> {
        let io = |error| KeyringError::Io(dir.to_path_buf(), error);
        crate::files::make_private_dir(dir).map_err(io)?;
        if medium == KeyringMedium::RamOnly && !lies_in_ram(dir, data_dir).map_err(io)? {
            return Err(KeyringError::OnDisk(dir.to_path_buf()));
        }
        let file = open_file(&dir.join(KEYRING_FILE)).map_err(io)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            Errno::WOULDBLOCK => KeyringError::InUse(dir.to_path_buf()),
            error => io(error.into()),
        })?;
        match load(&file, boot_id).map_err(io)? {
            Some((life, slots)) => Self::take_up(file, life, &slots, now).map_err(io),
            None => Self::begin(file, boot_id, chance).map_err(io),
        }
    }

    fn begin(file: File, boot_id: [u8; 16], chance: &dyn Chance) -> io::Result<Self> {
        let keyring = Self::empty(None, chance);
        file.set_len(FILE_LEN as u64)?;
        // Keys first, header last: a start that is interrupted here leaves a keyring that is void.
        file.write_all_at(&vec![0; FILE_LEN], 0)?;
        file.sync_all()?;
        let header = [MAGIC.as_slice(), &boot_id, &keyring.life.to_be_bytes(), &[0; 32]].concat();
        file.write_all_at(&header, 0)?;
        file.sync_all()?;
        Ok(Self { file: Some(file), ..keyring })
    }

    fn take_up(file: File, life: u64, slots: &[u8], now: BootMillis) -> io::Result<Self> {
        let (epochs, lines) = (Vec::with_capacity(SLOTS), Vec::new());
        let mut keyring = Self { file: Some(file), life, epochs, lines, unwiped: BTreeSet::new(), damaged_count: 0 };
        for (at, bytes) in slots.chunks_exact(SLOT_LEN).enumerate() {
            let (written, line) = (read_epoch(bytes, at), read_line(bytes));
            let is_damaged = written.is_none() && line.is_none() && bytes.iter().any(|byte| *byte != 0);
            keyring.damaged_count += usize::from(is_damaged);
            let is_written = written.is_some();
            let held = written.filter(|held| held.birth <= now && now < held.epoch.death);
            if is_damaged || (is_written && held.is_none()) {
                keyring.unwiped.insert(at);
            }
            keyring.lines.extend(line.map(|(line, next)| (line, next, at)));
            keyring.epochs.push(held);
        }
        keyring.wipe_file()?;
        Ok(keyring)
    }

    /// Slots that were neither a key nor empty when it was opened: what they opened is lost.
    #[must_use]
    pub fn damaged_count(&self) -> usize {
        self.damaged_count
    }

    /// Whether its file is gone or spoilt (systemd removes what lies in /dev/shm when an account's last session ends; somebody may have written
    /// over it): after the next start nothing that is held now can be opened.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        let Some(file) = &self.file else { return false };
        let is_there = file.metadata().is_ok_and(|told| told.nlink() > 0 && told.len() == FILE_LEN as u64);
        let mut life = [0; 8];
        let is_same = file.read_exact_at(&mut life, LIFE_AT).is_ok() && u64::from_be_bytes(life) == self.life;
        !(is_there && is_same)
    }

    /// The shelves that living keys are for, and how many cells were counted on each.
    #[must_use]
    pub fn shelves(&self) -> BTreeMap<ShelfId, u64> {
        let mut shelves = BTreeMap::new();
        for Held { epoch, .. } in self.epochs.iter().flatten() {
            *shelves.entry(epoch.place.shelf).or_default() += epoch.count;
        }
        shelves
    }

    pub(super) fn life(&self) -> u64 {
        self.life
    }

    pub(super) fn places(&self) -> Vec<Place> {
        self.epochs.iter().flatten().map(|held| held.epoch.place).collect()
    }

    pub(super) fn held(&self, lane: Lane, line: &LineId) -> Vec<Epoch> {
        let mine = |held: &&Held| held.epoch.name.lane == lane && held.epoch.name.line == *line;
        let mut epochs: Vec<Epoch> = self.epochs.iter().flatten().filter(mine).map(|held| held.epoch).collect();
        epochs.sort_by_key(|epoch| (epoch.first, epoch.name.number));
        epochs
    }

    pub(super) fn shelf_of_group(&self, name: &EpochName) -> Option<ShelfId> {
        let same = |held: &&Held| {
            let other = &held.epoch.name;
            (other.lane, other.line, other.unit, other.group) == (name.lane, name.line, name.unit, name.group)
        };
        // The newest: an older one may have been given up as unreadable.
        self.epochs
            .iter()
            .flatten()
            .filter(same)
            .max_by_key(|held| (held.birth, held.epoch.slot))
            .map(|held| held.epoch.place.shelf)
    }

    pub(super) fn add(&mut self, epoch: Epoch, birth: BootMillis, key: EpochKey) -> Result<Epoch, SealError> {
        let slot = self.free_slot().ok_or(SealError::Full)?;
        let held = Held { epoch: Epoch { slot, ..epoch }, birth, key: Arc::new(key) };
        if let Err(error) = self.write(slot, write_epoch(&held).as_slice()).and_then(|()| self.sync()) {
            // It may lie there all the same, and a later start would take it for an epoch.
            self.unwiped.insert(slot);
            return Err(SealError::Keyring(error));
        }
        let epoch = held.epoch;
        if let Some(free) = self.epochs.get_mut(slot) {
            *free = Some(held);
        }
        Ok(epoch)
    }

    fn free_slot(&self) -> Option<usize> {
        let is_free = |at: &usize| !self.unwiped.contains(at) && self.lines.iter().all(|(_, _, taken)| taken != at);
        self.epochs.iter().enumerate().filter(|(_, held)| held.is_none()).map(|(at, _)| at).find(is_free)
    }

    fn find(&self, epoch: &Epoch) -> Option<&Held> {
        self.epochs.get(epoch.slot)?.as_ref().filter(|held| held.epoch.place == epoch.place)
    }

    pub(super) fn knows(&self, epoch: &Epoch) -> bool {
        self.find(epoch).is_some()
    }

    pub(super) fn key(&self, epoch: &Epoch, now: BootMillis) -> Option<Arc<EpochKey>> {
        self.find(epoch).filter(|held| now < held.epoch.death).map(|held| Arc::clone(&held.key))
    }

    pub(super) fn count(&mut self, epoch: &Epoch, more: u64) -> Result<(), SealError> {
        let total = self.find(epoch).map(|held| held.epoch.count.saturating_add(more)).ok_or(SealError::Dead)?;
        if let Some(file) = &self.file {
            file.write_all_at(&total.to_be_bytes(), at_of(epoch.slot) + COUNT_AT as u64).map_err(SealError::Keyring)?;
        }
        if let Some(Some(held)) = self.epochs.get_mut(epoch.slot) {
            held.epoch.count = total;
        }
        Ok(())
    }

    /// Wipes keys here at once, and then from the file. What the file refuses is done by the next [`Keyring::wipe_file`] that it lets.
    pub(super) fn wipe(&mut self, epochs: &[Epoch]) -> io::Result<()> {
        let known: Vec<usize> = epochs.iter().filter(|epoch| self.find(epoch).is_some()).map(|epoch| epoch.slot).collect();
        for slot in known {
            if let Some(held) = self.epochs.get_mut(slot) {
                *held = None;
            }
            self.unwiped.insert(slot);
        }
        self.wipe_file()
    }

    /// How many dead keys the file still holds, because it could not be written.
    pub(super) fn unwiped_count(&self) -> usize {
        self.unwiped.len()
    }

    /// Writes over every slot of the file that should hold no key any more.
    pub(super) fn wipe_file(&mut self) -> io::Result<()> {
        if self.unwiped.is_empty() {
            return Ok(());
        }
        // Each of them, whatever became of the one before.
        let written: Vec<_> = self.unwiped.iter().map(|slot| (*slot, self.write(*slot, &[0; SLOT_LEN]))).collect();
        self.sync()?;
        self.unwiped.retain(|slot| written.iter().any(|(at, result)| at == slot && result.is_err()));
        written.into_iter().try_for_each(|(_, result)| result)
    }

    pub(super) fn dead(&self, now: BootMillis) -> Vec<Epoch> {
        self.epochs.iter().flatten().map(|held| held.epoch).filter(|epoch| epoch.death <= now).collect()
    }

    pub(super) fn reserved(&self, line: &LineId) -> u64 {
        self.lines.iter().find(|(held, ..)| held == line).map_or(1, |(_, next, _)| *next)
    }

    pub(super) fn reserve(&mut self, line: &LineId, next: u64) -> Result<(), SealError> {
        let known = self.lines.iter().find(|(held, ..)| held == line).map(|(.., at)| *at);
        let slot = known.or_else(|| self.free_slot()).ok_or(SealError::Full)?;
        self.write(slot, &write_line(line, next)).map_err(SealError::Keyring)?;
        self.lines.retain(|(held, ..)| held != line);
        self.lines.push((*line, next, slot));
        Ok(())
    }

    fn write(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.write_all_at(bytes, at_of(slot)))
    }

    fn sync(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }
}

/// Which boot this is, from the kernel.
///
/// # Errors
///
/// What the file system says; a malformed id is [`io::ErrorKind::InvalidData`].
pub fn boot_id() -> io::Result<[u8; 16]> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let hex: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn at_of(slot: usize) -> u64 {
    (HEADER_LEN + slot * SLOT_LEN) as u64
}

fn open_file(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let file = crate::files::private().read(true).write(true).create(true).truncate(false).custom_flags(flags).open(path)?;
    let (found, own) = (file.metadata()?, rustix::process::geteuid());
    if found.uid() != own.as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another account, which could read the keys"));
    }
    // Somebody else may have made it, for others to read.
    if found.mode() & 0o077 != 0 {
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    }
    Ok(file)
}

/// Whether `dir` lies on a file system in RAM, and on another one than `data_dir`. Both must exist.
///
/// # Errors
///
/// What the file system says.
pub fn lies_in_ram(dir: &Path, data_dir: &Path) -> io::Result<bool> {
    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;
    let kind = u64::try_from(rustix::fs::statfs(dir)?.f_type).unwrap_or(0);
    let elsewhere = std::fs::metadata(dir)?.dev() != std::fs::metadata(data_dir)?.dev();
    Ok(matches!(kind, TMPFS | RAMFS) && elsewhere)
}

/// Life and slots of a keyring of this boot; nothing if it is of another one or no keyring at all.
fn load(file: &File, boot_id: [u8; 16]) -> io::Result<Option<(u64, Zeroizing<Vec<u8>>)>> {
    Ok(read_whole(file)?.filter(|(boot, ..)| *boot == boot_id).map(|(_, life, slots)| (life, slots)))
}

type Whole = ([u8; 16], u64, Zeroizing<Vec<u8>>);

fn read_whole(file: &File) -> io::Result<Option<Whole>> {
    if file.metadata()?.len() != FILE_LEN as u64 {
        return Ok(None);
    }
    let mut header = [0; HEADER_LEN];
    file.read_exact_at(&mut header, 0)?;
    let Some((MAGIC, rest)) = header.split_first_chunk() else { return Ok(None) };
    let Some((boot, rest)) = rest.split_first_chunk() else { return Ok(None) };
    let Some((life, _)) = rest.split_first_chunk() else { return Ok(None) };
    let mut slots = Zeroizing::new(vec![0; SLOTS * SLOT_LEN]);
    file.read_exact_at(&mut slots, HEADER_LEN as u64)?;
    Ok(Some((*boot, u64::from_be_bytes(*life), slots)))
}

/// Every epoch and key in a keyring file, whatever its boot and however dead: what somebody who copied the file has.
pub(super) fn read_copy(path: &Path) -> io::Result<Vec<(Epoch, EpochKey)>> {
    let Some((_, _, slots)) = read_whole(&File::open(path)?)? else { return Ok(Vec::new()) };
    let held = slots.chunks_exact(SLOT_LEN).enumerate().filter_map(|(at, bytes)| read_epoch(bytes, at));
    Ok(held.filter_map(|held| Some((held.epoch, Arc::into_inner(held.key)?))).collect())
}

fn check_of(slot: &[u8]) -> Option<[u8; 32]> {
    Some(kdf::hash("relay/slot", &[slot.get(..COUNT_AT)?, slot.get(COUNT_AT + 8..136)?]))
}

fn finish(mut slot: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    let check = check_of(&slot).unwrap_or_default();
    slot.extend_from_slice(check.get(..16).unwrap_or_default());
    slot.resize(SLOT_LEN, 0);
    slot
}

fn write_epoch(held: &Held) -> Zeroizing<Vec<u8>> {
    let (epoch, name) = (&held.epoch, &held.epoch.name);
    // Reserved whole beforehand: a vector that grows leaves copies of the key behind.
    let mut slot = Zeroizing::new(Vec::with_capacity(SLOT_LEN));
    slot.extend_from_slice(&[name.lane.code(), 0, 0, 0]);
    slot.extend_from_slice(&name.number.to_be_bytes());
    slot.extend_from_slice(name.line.as_bytes());
    slot.extend_from_slice(&epoch.place.shelf.0);
    slot.extend_from_slice(&epoch.place.epoch.0);
    slot.extend_from_slice(&name.unit.to_be_bytes());
    slot.extend_from_slice(&name.group.to_be_bytes());
    for number in [epoch.first, epoch.count, held.birth.0, epoch.death.0] {
        slot.extend_from_slice(&number.to_be_bytes());
    }
    slot.extend_from_slice(held.key.bytes());
    finish(slot)
}

fn write_line(line: &LineId, next: u64) -> Zeroizing<Vec<u8>> {
    let mut slot = Zeroizing::new(Vec::with_capacity(SLOT_LEN));
    slot.extend_from_slice(&[LINE_KIND, 0, 0, 0, 0, 0, 0, 0]);
    slot.extend_from_slice(line.as_bytes());
    slot.resize(72, 0);
    slot.extend_from_slice(&next.to_be_bytes());
    slot.resize(136, 0);
    finish(slot)
}

fn is_whole(slot: &[u8]) -> bool {
    let check = check_of(slot);
    check.as_ref().and_then(|check| check.get(..16)) == slot.get(136..152)
}

fn array<const N: usize>(slot: &[u8], at: usize) -> Option<[u8; N]> {
    slot.get(at..at + N)?.try_into().ok()
}

fn read_epoch(slot: &[u8], at: usize) -> Option<Held> {
    let lane = Lane::of_code(*slot.first()?)?;
    if !is_whole(slot) {
        return None;
    }
    let number = u32::from_be_bytes(array(slot, 4)?);
    let line = LineId::from_bytes(array(slot, 8)?);
    let place = Place { shelf: ShelfId(array(slot, 40)?), epoch: EpochId(array(slot, 56)?) };
    let name =
        EpochName { lane, line, number, unit: u32::from_be_bytes(array(slot, 64)?), group: u32::from_be_bytes(array(slot, 68)?) };
    let [first, count, birth, death] = [72, 80, 88, 96].map(|field| array(slot, field).map(u64::from_be_bytes));
    let epoch = Epoch { name, place, first: first?, count: count?, death: BootMillis(death?), slot: at };
    let key = EpochKey::from_slot(slot.get(104..136)?)?;
    Some(Held { epoch, birth: BootMillis(birth?), key: Arc::new(key) })
}

fn read_line(slot: &[u8]) -> Option<(LineId, u64)> {
    if slot.first() != Some(&LINE_KIND) || !is_whole(slot) {
        return None;
    }
    Some((LineId::from_bytes(array(slot, 8)?), u64::from_be_bytes(array(slot, 72)?)))
}
