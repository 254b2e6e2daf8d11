//! Cells for the desk, from callers and from devices, in one sequence of positions from 1.
//!
//! ```text
//!  post ─▶ queue ─▶ writer: all that waits becomes one group ─▶ sealed records ─▶ store, flushed ─▶ answer to every waiter
//!                                                                                      └────────▶ long polls wake
//! ```
//! While one group is being flushed the next one gathers, so the group grows with the load and nobody waits without need.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use porchlight_proto::limits::{LANE_PAGE_MAX_CELLS, UP_CELL_LEN};
use porchlight_proto::line::LineId;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Ground, epoch_number, millis_to_end};
use crate::chance::Chance;
use crate::config::LineSettings;
use crate::counters::Counters;
use crate::seal::{Epoch, EpochName, Lane, SealError};
use crate::stack;
use crate::store::{Place, RecordKey, StoreError};

/// A cell as it was posted. Nobody here can open it.
pub type UpCell = Box<[u8; UP_CELL_LEN]>;

/// The most cells in one group, and so in one flush.
const GROUP_MAX: usize = 512;

/// Cells in one record.
///
/// sled keeps at least 256 leaves of 16 records in RAM for each open shelf, whatever its cache is set to: 8 KiB records hold that to some 30 MiB.
/// With 64 KiB ones it was 200 (and no more cells a second); values above 128 KiB become a file each.
const RECORD_CELLS: usize = 4;

/// Posts that may wait for the writer.
const QUEUE_LEN: usize = 2048;

/// Epochs that share a shelf: a day of them in production.
const EPOCHS_PER_SHELF: u32 = 24;

/// The cells were not taken: try again at a later beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lane did not take the cells")]
pub struct NotTaken;

/// The medium refused to be read: ask again, from the same position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lane could not be read")]
pub struct NotRead;

/// A run of cells with consecutive positions.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The lane's life.
    pub life: u64,
    /// Position of the first cell; with no cells, the position the next one will have.
    pub first: u64,
    /// The cells.
    pub cells: Vec<UpCell>,
}

/// The up lane of one line.
pub struct UpLane {
    held: Arc<Held>,
    queue: mpsc::Sender<Parcel>,
    head: watch::Receiver<u64>,
    writer: Mutex<Option<Writer>>,
}

struct Parcel {
    cells: Vec<UpCell>,
    taken: oneshot::Sender<Result<(), NotTaken>>,
}

/// The half of the lane that writes. Given to a task once.
pub struct Writer {
    held: Arc<Held>,
    queue: mpsc::Receiver<Parcel>,
    head: watch::Sender<u64>,
}

struct Held {
    line: LineId,
    ttl_ms: u64,
    ground: Ground,
    state: Mutex<State>,
    /// When the group that is being written was begun, if one is, in milliseconds since boot and one.
    writing_since: AtomicU64,
}

struct State {
    /// Oldest first.
    epochs: Vec<Epoch>,
    /// The position the next cell will have.
    next: u64,
    /// An epoch that may hold more than was counted, or whose shelf went bad: it is still read, but nothing more goes there.
    closed: Option<Place>,
    /// Positions that were given to what the medium refused, in order: what is missing there was never acknowledged.
    refused: Vec<Range<u64>>,
}

impl UpLane {
    /// Takes up the epochs that the keyring still opens.
    pub(super) fn open(settings: &LineSettings, ground: &Ground) -> Self {
        let (line, sealer) = (settings.id, &ground.sealer);
        let epochs = sealer.held(Lane::Up, &line);
        // What the keyring noted for the line counts as well: the newest epoch may be gone, and the one before it alive, if settings or the clock have
        // changed.
        let after_cells = epochs.iter().map(|epoch| epoch.first.saturating_add(epoch.count)).max();
        let next = after_cells.unwrap_or(1).max(sealer.reserved(&line));
        // A process that was killed may have left records that nobody counted, and they would come before what is written later at their
        // positions: so what was begun before is only read.
        let closed = epochs.last().map(|epoch| epoch.place);
        let state = State { epochs, next, closed, refused: Vec::new() };
        let ttl_ms = u64::from(settings.up_ttl_s) * 1000;
        let held =
            Arc::new(Held { line, ttl_ms, ground: ground.clone(), state: Mutex::new(state), writing_since: AtomicU64::new(0) });
        let (queue, parcels) = mpsc::channel(QUEUE_LEN);
        let (sender, head) = watch::channel(next);
        let writer = Writer { held: Arc::clone(&held), queue: parcels, head: sender };
        Self { held, queue, head, writer: Mutex::new(Some(writer)) }
    }

    /// The writer, the first time it is asked for. Cells wait until it runs.
    pub fn writer(&self) -> Option<Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Hands in cells, and returns when the medium has all of them.
    ///
    /// # Errors
    ///
    /// [`NotTaken`] if too many wait already, or the store or keyring refused.
    pub async fn post(&self, cells: Vec<UpCell>) -> Result<(), NotTaken> {
        let (taken, answer) = oneshot::channel();
        self.queue.try_send(Parcel { cells, taken }).map_err(|_| NotTaken)?;
        answer.await.map_err(|_| NotTaken)?
    }

    /// A watch on the position that the next cell will have.
    pub fn head(&self) -> watch::Receiver<u64> {
        self.head.clone()
    }

    /// The cells after position `after` of lane life `life`, as many as are held in one run, at most [`LANE_PAGE_MAX_CELLS`].
    ///
    /// A position of another life is none: reading starts over at the oldest held. May block on the medium.
    ///
    /// # Errors
    ///
    /// [`NotRead`] if the medium refused. What is lost for good is passed over instead.
    pub fn page_of(&self, life: u64, after: u64) -> Result<Page, NotRead> {
        self.held.page(if life == self.held.ground.sealer.life() { after } else { 0 })
    }

    /// Forgets epochs whose cells all lie at or below `floor`, but never the current one. May block on the medium.
    pub(super) fn forget_through(&self, floor: u64) {
        self.held.forget_through(floor);
    }

    /// Lets go of epochs whose keys have died.
    pub(super) fn tend(&self) {
        let boot = self.held.ground.clock.boot();
        self.held.state().epochs.retain(|epoch| boot < epoch.death);
    }

    /// How long the group that is being written has been on its way to the medium, in milliseconds.
    pub fn writing_ms(&self) -> u64 {
        match self.held.writing_since.load(Ordering::Relaxed) {
            0 => 0,
            since => self.held.ground.clock.boot().0.saturating_sub(since),
        }
    }

    /// Cells held now, by the number of their epoch.
    pub fn held(&self) -> Vec<(u32, u64)> {
        self.held.state().epochs.iter().map(|epoch| (epoch.name.number, epoch.count)).collect()
    }

    /// Cells held now.
    pub fn cell_count(&self) -> u64 {
        self.held.state().epochs.iter().map(|epoch| epoch.count).sum()
    }
}

impl Writer {
    /// Writes until the lane is dropped or `closing` turns true; a group that has begun is finished first.
    pub async fn run(self, mut closing: watch::Receiver<bool>) {
        let Self { held, mut queue, head } = self;
        let mut parcels = Vec::new();
        loop {
            let parcel_count = tokio::select! {
                count = queue.recv_many(&mut parcels, GROUP_MAX / 2) => count,
                _ = closing.wait_for(|closes| *closes) => 0,
            };
            if parcel_count == 0 {
                return;
            }
            let group = std::mem::take(&mut parcels);
            let writing = Arc::clone(&held);
            held.writing_since.store(held.ground.clock.boot().0 + 1, Ordering::Relaxed);
            let written = tokio::task::spawn_blocking(move || {
                let result = stack::wiped(|| writing.write(group.iter().flat_map(|parcel| &parcel.cells)));
                (group, result)
            });
            // A writer that panicked drops its waiters, who then hear that nothing was taken.
            let written = written.await;
            held.writing_since.store(0, Ordering::Relaxed);
            let Ok((group, result)) = written else { continue };
            head.send_replace(held.state().next);
            for parcel in group {
                let _ = parcel.taken.send(result);
            }
        }
    }
}

impl State {
    /// Moves on by `count` positions of the epoch, unless it has been forgotten.
    fn pass(&mut self, epoch: &Epoch, count: u64) -> bool {
        let Some(held) = self.epochs.iter_mut().find(|held| held.place == epoch.place) else { return false };
        held.count = held.count.saturating_add(count);
        self.next = self.next.saturating_add(count);
        true
    }

    /// Notes positions that nobody was promised, and lets go of those before the oldest epoch.
    fn refuse(&mut self, positions: Range<u64>) {
        let oldest = self.epochs.first().map_or(0, |epoch| epoch.first);
        self.refused.retain(|refused| refused.end > oldest);
        match self.refused.last_mut() {
            Some(last) if last.end == positions.start => last.end = positions.end,
            _ => self.refused.push(positions),
        }
    }

    /// The newest epoch, unless it was given up, or ends elsewhere than where the next cell goes.
    fn writable(&self) -> Option<&Epoch> {
        let goes_on = |epoch: &&Epoch| epoch.first.saturating_add(epoch.count) == self.next;
        self.epochs.last().filter(|epoch| self.closed != Some(epoch.place)).filter(goes_on)
    }
}

impl Held {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counters(&self) -> &Counters {
        &self.ground.counters
    }

    /// Writes a group at the lane's end. Only the writer calls this, so positions are given out by one thread.
    fn write<'a>(&self, cells: impl Iterator<Item = &'a UpCell>) -> Result<(), NotTaken> {
        let cells: Vec<&UpCell> = cells.collect();
        let written = match self.try_write(&cells) {
            // The shelf went bad under us. A new epoch lies on another one.
            Err(SealError::Store(StoreError::Unreadable) | SealError::Dead) => {
                self.give_up_newest();
                self.try_write(&cells)
            }
            other => other,
        };
        written.map_err(|_| {
            self.counters().store_failures.add(1);
            NotTaken
        })
    }

    fn try_write(&self, cells: &[&UpCell]) -> Result<(), SealError> {
        let epoch = self.current_epoch()?;
        let first = self.state().next;
        let count = cells.len() as u64;
        let records: Vec<(u64, Vec<u8>)> = (first..).step_by(RECORD_CELLS).zip(cells.chunks(RECORD_CELLS).map(joined)).collect();
        let plain: Vec<_> = records.iter().map(|(first, bytes)| (RecordKey(u128::from(*first)), bytes.as_slice())).collect();
        let appended = self.ground.sealer.append(&epoch, &plain, count, self.ground.clock.boot());
        match &appended {
            // The hour may have ended, and all of that epoch been forgotten, since it was written to: then this went with it.
            Ok(()) if !self.state().pass(&epoch, count) => return Err(SealError::Dead),
            Ok(()) => self.note_next(),
            // The records may lie there all the same. Nobody else gets their positions: they would come before what is written later.
            Err(SealError::Store(StoreError::Medium(_))) if self.ground.sealer.count(&epoch, count).is_ok() => {
                let mut state = self.state();
                if state.pass(&epoch, count) {
                    state.refuse(first..first.saturating_add(count));
                }
                drop(state);
                self.note_next();
            }
            Err(SealError::Store(StoreError::Medium(_)) | SealError::Keyring(_)) => self.give_up_newest(),
            Err(_) => {}
        }
        appended
    }

    /// Has the keyring note where the next cell goes. What it refuses it takes with a later group.
    fn note_next(&self) {
        let next = self.state().next;
        if self.ground.sealer.reserve(&self.line, next).is_err() {
            self.counters().store_failures.add(1);
        }
    }

    fn current_epoch(&self) -> Result<Epoch, SealError> {
        let (now, boot, unit) = (self.ground.clock.now(), self.ground.clock.boot(), self.ground.epoch_s);
        let number = epoch_number(now.seconds(), unit);
        let is_current = |epoch: &&Epoch| (epoch.name.number, epoch.name.unit) == (number, unit) && boot < epoch.death;
        if let Some(epoch) = self.state().writable().filter(is_current) {
            return Ok(*epoch);
        }
        let name = EpochName { lane: Lane::Up, line: self.line, number, unit, group: number / EPOCHS_PER_SHELF };
        let death = boot.after(millis_to_end(now, number, unit).saturating_add(self.ttl_ms));
        let first = self.state().next;
        let epoch = self.ground.sealer.begin(name, first, boot, death)?;
        self.state().epochs.push(epoch);
        Ok(epoch)
    }

    fn give_up_newest(&self) {
        let mut state = self.state();
        state.closed = state.epochs.last().map(|epoch| epoch.place);
    }

    fn page(&self, after: u64) -> Result<Page, NotRead> {
        let life = self.ground.sealer.life();
        let (epochs, next) = {
            let state = self.state();
            (state.epochs.clone(), state.next)
        };
        // Somebody who claims to hold what was never given out holds nothing that we know.
        let from = if after < next { after.saturating_add(1) } else { next };
        for epoch in epochs {
            let (from, end) = (from.max(epoch.first), epoch.first.saturating_add(epoch.count).min(next));
            if end <= from {
                continue;
            }
            if let Some((first, cells)) = self.run(&epoch, from, end)? {
                return Ok(Page { life, first, cells });
            }
        }
        Ok(Page { life, first: next, cells: Vec::new() })
    }

    /// The first unbroken run of cells at or after `from` in one epoch.
    fn run(&self, epoch: &Epoch, from: u64, end: u64) -> Result<Option<(u64, Vec<UpCell>)>, NotRead> {
        let mut run = Run { first: None, next: from, end, is_broken: false, cells: Vec::new() };
        let refused = self.state().refused.clone();
        let mut key = RecordKey(u128::from(from));
        let boot = self.ground.clock.boot();
        while run.wants_more() {
            let opened = match self.ground.sealer.read(epoch, key, LANE_PAGE_MAX_CELLS * UP_CELL_LEN, boot) {
                Ok(opened) => opened,
                // A desk that heard of a later position would never ask for these cells again.
                Err(SealError::Store(StoreError::Medium(_))) => {
                    self.counters().store_failures.add(1);
                    return Err(NotRead);
                }
                Err(_) => return Ok(None),
            };
            self.counters().damaged_records.add(opened.damaged_count as u64);
            for (first, bytes) in &opened.records {
                let first = u64::try_from(first.0).unwrap_or(u64::MAX);
                run.fill(&refused, first, self.ground.chance.as_ref());
                run.take(first, bytes);
            }
            // The first record read is the last one already seen; once nothing later comes, the epoch is at its end.
            match opened.last {
                Some(last) if last > key => key = last,
                _ => break,
            }
            key = RecordKey(key.0.max(u128::from(run.next)));
        }
        run.fill(&refused, end, self.ground.chance.as_ref());
        // What was counted and does not come was lost, even where the store does not say so.
        self.counters().damaged_records.add(u64::from(!run.is_whole(from)));
        Ok(run.first.map(|first| (first, run.cells)))
    }

    fn forget_through(&self, floor: u64) {
        let now = epoch_number(self.ground.clock.now().seconds(), self.ground.epoch_s);
        let over = |epoch: &Epoch| {
            let is_current = epoch.name.unit == self.ground.epoch_s && epoch.name.number == now;
            !is_current && epoch.first.saturating_add(epoch.count) <= floor.saturating_add(1)
        };
        let forgotten: Vec<Epoch> = {
            let mut state = self.state();
            // In order: were a newer one forgotten before an older, its positions would be given again after a restart.
            let count = state.epochs.iter().take_while(|epoch| over(epoch)).count();
            state.epochs.drain(..count).collect()
        };
        for epoch in forgotten {
            // What a disk keeps is tried again, and said, apart from failures to write what came.
            if self.ground.sealer.forget(&epoch).is_ok() {
                self.counters().epochs_forgotten.add(1);
            }
        }
    }
}

/// Cells gathered in order until the run breaks, is full, or reaches the epoch's end.
struct Run {
    first: Option<u64>,
    next: u64,
    end: u64,
    is_broken: bool,
    cells: Vec<UpCell>,
}

impl Run {
    fn wants_more(&self) -> bool {
        !self.is_broken && self.cells.len() < LANE_PAGE_MAX_CELLS && self.next < self.end
    }

    /// Whether it gave every position from `from` until it was full or the epoch over.
    fn is_whole(&self, from: u64) -> bool {
        let is_full = self.cells.len() >= LANE_PAGE_MAX_CELLS;
        self.first == Some(from) && !self.is_broken && (is_full || self.next >= self.end)
    }

    /// Gives noise at positions that nobody was promised, as far as `until`. A desk takes a position that does not come for a letter that died
    /// unread, and asks its colleagues for it; a cell that does not open is nothing to it.
    fn fill(&mut self, refused: &[Range<u64>], until: u64, chance: &dyn Chance) {
        while self.wants_more() && self.next < until && refused.iter().any(|refused| refused.contains(&self.next)) {
            let mut noise: UpCell = Box::new([0; UP_CELL_LEN]);
            chance.fill(noise.as_mut_slice());
            self.first.get_or_insert(self.next);
            self.cells.push(noise);
            self.next = self.next.saturating_add(1);
        }
    }

    fn take(&mut self, first: u64, bytes: &[u8]) {
        for (position, cell) in (first..).zip(bytes.chunks_exact(UP_CELL_LEN)) {
            if position < self.next || position >= self.end || !self.wants_more() {
                continue;
            }
            if self.first.is_some() && position > self.next {
                self.is_broken = true;
                return;
            }
            // In a box from the first: an array would leave a copy on the stack, where nothing is wiped.
            let Ok(cell) = Box::<[u8]>::from(cell).try_into() else { continue };
            self.first.get_or_insert(position);
            self.cells.push(cell);
            self.next = position.saturating_add(1);
        }
    }
}

fn joined(cells: &[&UpCell]) -> Vec<u8> {
    let parts: Vec<&[u8]> = cells.iter().map(|cell| cell.as_slice()).collect();
    parts.concat()
}
