//! What people whom the team does not know may take up of a desk's memory and disk.
//!
//! Anyone with the gate can post as many cells as the relay takes (3,000 a minute), for days, under as many callers' keys as
//! they like. So everything that a cell can leave behind has a bound, and what goes first is what nobody was promised:
//!
//! | what | bound | memory at most |
//! |---|---|---|
//! | marks of cells seen | the newest 131,072 to 262,144 of each period | 9 MB a period, 12 periods at the very most |
//! | parts of half letters | 16,384 in all, 8 letters of one caller | 16 MB |
//! | letters of strangers | 32,768 cells in all; of one stranger 16 letters, 48 cells | 60 MB |
//! | letters of a known caller that no worker has looked at | 128, 1,024 cells | 1 MB a caller |
//! | open pages | 4 of each caller who has left something here | 1 KB a caller |
//! | callers who were turned away | 1,024 | 0.1 MB |
//! | word of a withdrawal to strangers | 256 at a time | 0.2 MB |
//!
//! A *stranger* is a caller whom nobody of the team has claimed, answered, noted anything of, or looked at.
//! A half letter that has to go is not receipted, and its page sends it again. A stranger who has to go is one to whom no
//! receipt has ever left this device, and of those the one heard least recently: a page that is open sends its letter every
//! few beats until it is receipted, and so stays. When only strangers with a receipt are left, new letters of strangers are
//! not taken, and so not receipted, until a worker looks at some of those that are here.
//!
//! A colleague may have had room for what found none here, because it had heard earlier that somebody deals with her, and
//! its receipt tells her page not to send it again. So a device that turned her away asks for the board (SPEC §8.5) when it
//! hears of a colleague's dealing with her.
use crate::desk::state::{Caller, State};
use porchlight_proto::{letter::Session, line::CallerId};
use std::collections::{BTreeMap, HashSet};

/// Marks of cells in one generation; two are kept of each period.
pub(crate) const MARKS_HALF: usize = 1 << 17;
/// Parts of half letters that wait here, of all callers.
pub(crate) const HALF_PARTS_MAX: usize = 1 << 14;
/// Half letters of one caller.
pub(crate) const HALF_LETTERS_MAX: usize = 8;
/// Half letters looked at for a stranger's, before a known caller's has to go.
const HALF_SEARCH: usize = 64;
/// Cells that the letters of all strangers take.
pub(crate) const STRANGERS_CELLS_MAX: usize = 1 << 15;
/// What one stranger may leave here: letters, and their cells. Two letters of full length, or sixteen short ones.
const STRANGER_SHARE: Share = Share { letters: 16, cells: 48 };
/// The same for a caller the team knows, of letters that no worker has looked at.
const KNOWN_SHARE: Share = Share { letters: 128, cells: 1024 };
/// Strangers who are being told of a withdrawal at one time.
pub(crate) const TELLINGS_MAX: usize = 256;
/// Callers remembered because a letter of theirs found no room.
const TURNED_AWAY_MAX: usize = 1024;
/// Marks of this device's own cells, until it meets them in the lane.
pub(crate) const OWN_HALF: usize = 2048;

/// The first 16 bytes of SHA-256 of an encapsulation.
pub(crate) type Mark = [u8; 16];

#[derive(Clone, Copy)]
struct Share {
    letters: usize,
    cells: usize,
}

/// The newest marks, in two generations: when the young one is full it becomes the old one, and that is let go.
#[derive(Default)]
pub(crate) struct Marks {
    young: HashSet<Mark>,
    old: HashSet<Mark>,
}

impl Marks {
    /// Remembers a mark among at least `half` newest ones; `false` if it is there already.
    pub(crate) fn insert(&mut self, mark: Mark, half: usize) -> bool {
        if self.young.contains(&mark) || self.old.contains(&mark) {
            return false;
        }
        if self.young.len() >= half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(mark)
    }
    /// Forgets a mark, and says whether it was there.
    pub(crate) fn remove(&mut self, mark: &Mark) -> bool {
        self.young.remove(mark) || self.old.remove(mark)
    }
    /// All of them, the older generation first: inserted in this order they make the same generations.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Mark> {
        self.old.iter().chain(&self.young)
    }
}

/// Counts and orders of what strangers have here.
pub(crate) struct Crowd {
    /// [`HALF_PARTS_MAX`] and [`STRANGERS_CELLS_MAX`]; a test makes them small.
    pub(super) half_parts_max: usize,
    pub(super) strangers_cells_max: usize,
    /// Counts what came, so that things can be ordered by it.
    clock: u64,
    /// Half letters, the one that grew least recently first.
    half: BTreeMap<u64, (CallerId, Session, u16)>,
    half_parts: usize,
    /// Strangers who may have to go, the one heard least recently first.
    strangers: BTreeMap<u64, CallerId>,
    cells: usize,
}

impl Default for Crowd {
    fn default() -> Self {
        Self {
            half_parts_max: HALF_PARTS_MAX,
            strangers_cells_max: STRANGERS_CELLS_MAX,
            clock: 0,
            half: BTreeMap::new(),
            half_parts: 0,
            strangers: BTreeMap::new(),
            cells: 0,
        }
    }
}

/// What one caller has here that counts.
#[derive(Default)]
pub(crate) struct Footprint {
    /// Whether somebody of the team has dealt with her.
    pub(crate) known: bool,
    /// Whether a receipt of hers may have left this device: then her letters stay.
    pub(crate) promised: bool,
    /// When she came, and when she was heard, in the crowd's own count.
    pub(crate) came: u64,
    heard: u64,
    /// Letters that no worker has looked at, and their cells.
    letters: usize,
    cells: usize,
}

impl Footprint {
    /// Whether a letter of so many cells still fits into her share.
    pub(crate) fn has_room(&self, cells: usize) -> bool {
        let share = if self.known { KNOWN_SHARE } else { STRANGER_SHARE };
        self.letters < share.letters && self.cells + cells <= share.cells
    }
}

impl State {
    fn tick(&mut self) -> u64 {
        self.crowd.clock += 1;
        self.crowd.clock
    }

    /// Whether strangers' letters have filled their room, or nearly.
    pub(crate) fn is_crowded(&self) -> bool {
        self.crowd.cells >= self.crowd.strangers_cells_max / 2
    }

    /// A stranger has been heard: she is the last who has to go.
    pub(crate) fn hear(&mut self, caller: CallerId) {
        let tick = self.tick();
        let Some(entry) = self.callers.get_mut(&caller) else { return };
        self.crowd.strangers.remove(&entry.footprint.heard);
        entry.footprint.heard = tick;
        if !entry.footprint.known && !entry.footprint.promised && !entry.letters.is_empty() {
            self.crowd.strangers.insert(tick, caller);
        }
    }

    /// A letter of so many cells is held now.
    pub(crate) fn count_letter(&mut self, caller: CallerId, cells: usize) {
        let tick = self.tick();
        let Some(entry) = self.callers.get_mut(&caller) else { return };
        let footprint = &mut entry.footprint;
        if footprint.came == 0 {
            footprint.came = tick;
        }
        footprint.letters += 1;
        footprint.cells += cells;
        if !footprint.known {
            self.crowd.cells += cells;
        }
        self.hear(caller);
    }

    /// A worker has looked at a letter of so many cells.
    pub(crate) fn count_shown(&mut self, caller: CallerId, cells: usize) {
        self.deal_with(caller);
        let Some(entry) = self.callers.get_mut(&caller) else { return };
        entry.footprint.letters = entry.footprint.letters.saturating_sub(1);
        entry.footprint.cells = entry.footprint.cells.saturating_sub(cells);
    }

    /// Somebody of the team has dealt with her: she is no stranger any more.
    pub(crate) fn deal_with(&mut self, caller: CallerId) {
        let footprint = &mut self.caller(caller.0).footprint;
        if !std::mem::replace(&mut footprint.known, true) {
            let (heard, cells) = (footprint.heard, footprint.cells);
            self.crowd.strangers.remove(&heard);
            self.crowd.cells = self.crowd.cells.saturating_sub(cells);
        }
    }

    /// A receipt may leave this device: her letters stay.
    pub(crate) fn promise(&mut self, caller: CallerId) {
        let Some(entry) = self.callers.get_mut(&caller) else { return };
        entry.footprint.promised = true;
        self.crowd.strangers.remove(&entry.footprint.heard);
    }

    /// Who has to go before a stranger's letter of so many cells is taken; `Err` if nobody can, and it is not taken.
    pub(crate) fn make_room(&self, caller: CallerId, cells: usize) -> Result<Vec<CallerId>, Full> {
        let mut over = (self.crowd.cells + cells).saturating_sub(self.crowd.strangers_cells_max);
        let mut leaving = Vec::new();
        for stranger in self.crowd.strangers.values().filter(|stranger| **stranger != caller) {
            if over == 0 {
                break;
            }
            over = over.saturating_sub(self.callers.get(stranger).map_or(0, |entry| entry.footprint.cells));
            leaving.push(*stranger);
        }
        if over == 0 { Ok(leaving) } else { Err(Full) }
    }

    /// A letter of hers found no room; `since` 0 takes that back. Of very many the one turned away first is forgotten.
    pub(crate) fn turn_away(&mut self, caller: CallerId, since: u64) {
        if since == 0 {
            self.turned_away.remove(&caller);
            return;
        }
        self.turned_away.entry(caller).or_insert(since);
        if self.turned_away.len() > TURNED_AWAY_MAX
            && let Some(first) =
                self.turned_away.iter().min_by_key(|(caller, since)| (**since, **caller)).map(|(first, _)| *first)
        {
            self.turned_away.remove(&first);
        }
    }

    /// Forgets a stranger and everything of hers.
    pub(crate) fn evict(&mut self, caller: CallerId) {
        let Some(entry) = self.callers.remove(&caller) else { return };
        self.crowd.strangers.remove(&entry.footprint.heard);
        if !entry.footprint.known {
            self.crowd.cells = self.crowd.cells.saturating_sub(entry.footprint.cells);
        }
        for waiting in entry.waiting.values() {
            self.forget_half(waiting.grew, waiting.count());
        }
        if entry.letters.values().any(|letter| letter.gist.withdraw.is_some()) {
            self.asking.remove(&caller);
        }
    }

    /// A half letter has grown by one part.
    pub(crate) fn half_grew(&mut self, caller: CallerId, place: (Session, u16)) {
        let tick = self.tick();
        let Some(waiting) = self.callers.get_mut(&caller).and_then(|entry| entry.waiting.get_mut(&place)) else { return };
        self.crowd.half.remove(&waiting.grew);
        waiting.grew = tick;
        self.crowd.half.insert(tick, (caller, place.0, place.1));
        self.crowd.half_parts += 1;
    }

    /// A half letter is whole now, or given up. Nothing stays of a caller who left nothing else.
    pub(crate) fn drop_half(&mut self, caller: CallerId, place: (Session, u16)) {
        let Some(entry) = self.callers.get_mut(&caller) else { return };
        let dropped = entry.waiting.remove(&place);
        let nothing = entry.is_empty();
        if let Some(waiting) = dropped {
            self.forget_half(waiting.grew, waiting.count());
        }
        if nothing {
            self.callers.remove(&caller);
        }
    }

    fn forget_half(&mut self, grew: u64, parts: usize) {
        self.crowd.half.remove(&grew);
        self.crowd.half_parts = self.crowd.half_parts.saturating_sub(parts);
    }

    /// The half letter that has to go before another part is kept: a stranger's before a known caller's, and of those the
    /// one that grew least recently. One that its page is still sending has grown a moment ago.
    pub(crate) fn half_to_drop(&self) -> Option<(CallerId, Session, u16)> {
        if self.crowd.half_parts < self.crowd.half_parts_max {
            return None;
        }
        let known = |caller| self.callers.get(caller).is_some_and(|entry: &Caller| entry.footprint.known);
        let strangers = self.crowd.half.values().take(HALF_SEARCH).find(|(caller, ..)| !known(caller));
        strangers.or_else(|| self.crowd.half.values().next()).copied()
    }

    /// Callers in the order in which they were heard, so that a rewritten journal keeps it.
    pub(crate) fn callers_in_order(&self) -> Vec<(&CallerId, &Caller)> {
        let mut callers: Vec<(&CallerId, &Caller)> = self.callers.iter().collect();
        callers.sort_by_key(|(caller, entry)| (entry.footprint.heard, **caller));
        callers
    }

    /// The counts that are kept, and the same counted anew: cells of strangers, parts of half letters, strangers who may go.
    #[cfg(test)]
    pub(super) fn census(&self) -> ([usize; 3], [usize; 3]) {
        let kept = [self.crowd.cells, self.crowd.half_parts, self.crowd.strangers.len()];
        let mut counted = [0; 3];
        for entry in self.callers.values() {
            let unshown = entry.letters.iter().filter(|((_, session, seq), _)| !entry.shown.contains_key(&(*session, *seq)));
            let cells: usize = unshown.map(|(_, letter)| letter.cells).sum();
            assert_eq!(entry.footprint.cells, cells);
            counted[0] += if entry.footprint.known { 0 } else { cells };
            counted[1] += entry.waiting.values().map(super::state::Waiting::count).sum::<usize>();
            counted[2] += usize::from(!entry.footprint.known && !entry.footprint.promised && !entry.letters.is_empty());
        }
        (kept, counted)
    }
}

/// The strangers' room is full of letters that have been receipted.
pub(crate) struct Full;
