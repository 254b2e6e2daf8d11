//! A device that was away for longer than the relay keeps cells: it notices, asks, and is left the board (SPEC §8.5).
use crate::desk::{
    Desk, DeskError,
    record::{Record, RelayRecord},
    state::Ask,
};
use porchlight_proto::{
    api::LanePage,
    event::{Board, Event},
    limits::{BLOB_LEN, BOARD_BLOBS_MAX},
    line::DeviceId,
    time::Seconds,
};
use rand_core::CryptoRng;

/// Seconds from one asking to the next at the earliest: a relay that leaves gaps on purpose makes nobody busy.
const ASK_EVERY: u64 = 3600;
/// Seconds after which the next in order leaves a board that the one before has not left: it may be in doubt after a restored
/// backup, or have no room at its relay.
const NEXT_AFTER: u64 = 900;
/// Seconds after which a board that was not taken is asked for anew.
const BOARD_LIFE: u64 = 86_400;
/// Seconds before `since` from which on letters are in a board: clocks may differ by hours.
pub(super) const SINCE_SLACK: u64 = 86_400;

/// A board sealed for a colleague, and the event that tells of it once its blobs are with the relay.
#[derive(Debug)]
pub struct BoardToLeave {
    board: Board,
    bytes: Vec<u8>,
}

impl BoardToLeave {
    /// The names of the blobs and their bytes, of 65,536 each.
    pub fn blobs(&self) -> impl Iterator<Item = ([u8; 16], &[u8])> {
        self.board.names().zip(self.bytes.chunks_exact(BLOB_LEN))
    }
    /// What to hand to [`Desk::board_left`] when the relay has all of them.
    #[must_use]
    pub fn board(&self) -> &Board {
        &self.board
    }
}

/// What became of a board that was fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoardTaken {
    /// This device holds now what its colleague held.
    Yes,
    /// No desk key that opens it is here yet: a lead sends it.
    NotYet,
    /// It is not what the colleague left: another will be asked for.
    Wrong,
}

impl Desk {
    /// Whether cells died before this device read them, as far as a page shows.
    pub(super) fn note_gap(&mut self, known: Option<RelayRecord>, page: &LanePage, now: Seconds) {
        let Some(line) = &self.state.line else { return };
        let (admitted, read) = (line.device_cert.not_before.0, known.map_or(0, |known| known.moved));
        let since = match known.filter(|known| known.life != 0) {
            Some(known) if known.life != page.life => Some(known.blind.map_or(known.moved, |(_, since)| since)),
            Some(known) => {
                // From the beginning again, with a secret that came late: what had been read without it may have died since.
                let read = known.blind.filter(|_| known.position == 0);
                let read = read.or((known.position > 0).then_some((known.position, known.moved)));
                read.filter(|(upto, _)| page.first > upto + 1).map(|(_, since)| since)
            }
            // From the beginning after a restored backup, or for the first time.
            None => (page.first > 1 && admitted.saturating_add(line.record.up_ttl_s) < now.0).then_some(admitted.max(read)),
        };
        if let Some(since) = since.filter(|_| !self.colleagues(now).is_empty()) {
            self.commit(Record::Missed(since, now.0));
        }
    }

    /// Whether letters may have died unread, and no colleague's board has made up for it yet.
    #[must_use]
    pub fn may_have_missed(&self) -> bool {
        self.state.missed.is_some()
    }

    /// Asks the team for the board if letters may have been missed. Called once a lane has been read to its end. Says whether
    /// it asked.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoLine`]; [`DeskError::KeyMissing`].
    pub fn ask_if_missed(&mut self, now: Seconds, rng: &mut impl CryptoRng) -> Result<bool, DeskError> {
        let Some((since, noticed)) = self.state.missed else { return Ok(false) };
        if self.doubtful() || self.colleagues(now).is_empty() {
            return Ok(false);
        }
        let me = self.line()?.device;
        if let Some(ask) = self.state.asks.get(&me) {
            let left = self.state.boards.get(&me).filter(|(_, board)| board.ask >= ask.seq);
            let gone = left.is_some_and(|(from, board)| !self.is_colleague(*from) || self.is_lost(board));
            // Blobs live for a day: what nobody left until then is asked for anew, and what nobody could open that was left at the last.
            let patience = if left.is_some() { 2 * BOARD_LIFE } else { BOARD_LIFE };
            let open = ask.seq > self.state.served && ask.time >= noticed && !gone && now.0 < ask.time.saturating_add(patience);
            if open || ask.time <= now.0 && now.0 < ask.time + ASK_EVERY {
                return Ok(false);
            }
        }
        let held = self.state.log.iter().map(|(author, log)| (*author, log.len() as u64)).collect();
        self.tell(&Event::Ask { held, since: Seconds(since).to_u32() }, now, rng)?;
        Ok(true)
    }

    /// The colleague for whom this device is the one to leave a board now.
    #[must_use]
    pub fn board_asked_for(&self, relay: u8, now: porchlight_proto::time::Millis) -> Option<DeviceId> {
        // Without the key that it is sealed under there is no board to leave yet: the next in order does.
        let roster = self.roster(now.seconds()).ok()?;
        self.ring.key(super::line::secret_name(roster.period(), roster.desk_key()))?;
        if self.doubtful() {
            return None;
        }
        let colleagues = self.colleagues(now.seconds());
        let unanswered = |asker: &DeviceId, ask: &Ask| {
            let is_left = |(from, board): &(DeviceId, Board)| board.ask == ask.seq && self.is_colleague(*from);
            colleagues.contains(asker) && !self.state.boards.get(asker).is_some_and(is_left)
        };
        let mut asking = self.state.asks.iter().filter(|(asker, ask)| unanswered(asker, ask)).map(|(asker, _)| *asker);
        asking.find(|asker| self.is_giver(*asker, &colleagues, (relay, now)))
    }

    /// Whether it is this device's turn to leave that colleague a board: the first's of those online, a while later the next one's.
    fn is_giver(&self, asker: DeviceId, colleagues: &[DeviceId], (relay, now): (u8, porchlight_proto::time::Millis)) -> bool {
        let Some(me) = self.state.line.as_ref().map(|line| line.device) else { return false };
        // Whoever has asked lately may not have been served yet: it leaves a board only if nobody else can.
        let recent = |ask: &Ask| now.seconds().0 < ask.time + ASK_EVERY;
        let lacks = |id: &DeviceId| {
            if *id == me { self.may_have_missed() } else { self.state.asks.get(id).is_some_and(recent) }
        };
        let seat = |id: &DeviceId| self.state.devices.get(id).and_then(|device| device.cert.seat).map_or(u8::MAX, |s| s.number());
        let rank = |id: &DeviceId| (lacks(id), seat(id), *id);
        let silence = super::team::SILENT_BEATS * self.beat_every(relay).0;
        // A laptop that slept has heard nobody yet, however long its process has been running.
        let woke = self.state.missed.map_or(0, |(_, noticed)| Seconds(noticed).millis().0);
        let listened = self.presence.listening_since.get(&relay).is_some_and(|since| since.0.max(woke) + silence <= now.0);
        let before: Vec<_> = colleagues.iter().filter(|id| **id != asker && rank(id) < rank(&me)).collect();
        if before.is_empty() {
            return true;
        }
        let online = before.into_iter().filter(|id| self.is_online(**id, relay, now)).count() as u64;
        let asked = self.state.asks.get(&asker).map_or(now.seconds().0, |ask| ask.time);
        listened && asked.saturating_add(online * NEXT_AFTER) <= now.seconds().0
    }

    /// Seals what a colleague asked for, to be left with a relay.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchDevice`] if it did not ask; [`DeskError::NoRoster`]; [`DeskError::KeyMissing`];
    /// [`DeskError::BoardTooLarge`].
    pub fn board_to_leave(
        &self,
        asker: DeviceId,
        relay: u8,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<BoardToLeave, DeskError> {
        let ask = self.state.asks.get(&asker).ok_or(DeskError::NoSuchDevice)?;
        let roster = self.roster(now)?;
        let secret = super::line::secret_name(roster.period(), roster.desk_key());
        let bytes = self.seal_board_for(ask, secret, asker, now, rng)?;
        let blobs = u16::try_from(bytes.len() / BLOB_LEN).unwrap_or(u16::MAX);
        if blobs > BOARD_BLOBS_MAX {
            return Err(DeskError::BoardTooLarge);
        }
        let mut root = [0; 16];
        rng.fill_bytes(&mut root);
        let board = Board { to: asker, ask: ask.seq, root, relay, blobs, hash: Board::hash_of(&bytes) };
        Ok(BoardToLeave { board, bytes })
    }

    /// Tells the team of a board whose blobs are with the relay.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoLine`]; [`DeskError::KeyMissing`].
    pub fn board_left(&mut self, board: &Board, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        self.tell(&Event::Board(board.clone()), now, rng)
    }

    /// The board that a colleague left for this device and that it has not taken yet.
    #[must_use]
    pub fn board_for_me(&self) -> Option<Board> {
        let me = self.state.line.as_ref()?.device;
        let (from, board) = self.state.boards.get(&me)?;
        let asked = self.state.asks.get(&me).is_some_and(|ask| ask.seq == board.ask);
        (asked && board.ask > self.state.served && self.is_colleague(*from) && !self.is_lost(board)).then(|| board.clone())
    }

    /// A blob of the board left for this device is gone, or its relay is: another will be asked for.
    pub fn lose_board(&mut self, board: &Board) {
        self.presence.lost_board = Some(board.root);
    }

    fn is_lost(&self, board: &Board) -> bool {
        self.presence.lost_board == Some(board.root)
    }

    /// Takes a board whose blobs have been fetched.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoLine`]; [`DeskError::KeyMissing`].
    pub fn take_left_board(
        &mut self,
        board: &Board,
        bytes: &[u8],
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<BoardTaken, DeskError> {
        let me = self.line()?.device;
        if !board.is_of(bytes) {
            self.lose_board(board);
            return Ok(BoardTaken::Wrong);
        }
        let Some(plain) = self.opened_board(bytes, me) else { return Ok(BoardTaken::NotYet) };
        let Ok(records) = Self::board_records(&plain) else {
            self.lose_board(board);
            return Ok(BoardTaken::Wrong);
        };
        self.take_board_records(records, now, rng)?;
        let noticed_before =
            |(_, noticed): (u64, u64)| self.state.asks.get(&me).is_some_and(|ask| ask.seq == board.ask && noticed <= ask.time);
        let all = self.state.missed.is_some_and(noticed_before);
        self.commit(Record::Served(board.ask, all));
        self.decide_withdrawals(now, rng)?;
        Ok(BoardTaken::Yes)
    }
}
