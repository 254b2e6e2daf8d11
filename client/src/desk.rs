//! The desk: what a line's team knows, decides and sends, without network, clock or randomness of its own.
//!
//! ```text
//!  vault ◀─ Office::act ─▶ Desk ──┬─ line      founding, rosters, rotation, renewal
//!           (one transaction)     ├─ enrol     devices asked for, admitted, revoked
//!                                 ├─ snapshot  the board as one device gives it to another
//!                                 ├─ away      cells that died unread: asking for the board, leaving it as blobs
//!                                 ├─ lane      up cells in: letters, dummies, team events, desk secrets
//!                                 ├─ team      events out: signed, chained, resent until everyone has them
//!                                 ├─ deed      what people do: claim, answer, note, stop
//!                                 ├─ sending   the bundle of each desk beat: fast slot, slow carousel, receipts
//!                                 └─ board     what people see
//! ```
//!
//! Every change is a record: applied to the state at once, handed to the vault at the end of the transaction, and on the disk
//! before [`Office::act`] returns. So what a desk sends has always been saved before.
mod away;
mod board;
mod crowd;
mod deed;
mod doubt;
mod enrol;
mod lane;
mod line;
mod nickname;
mod office;
mod record;
mod sending;
mod snapshot;
mod state;
mod team;
#[cfg(test)]
mod tests;

pub use away::{BoardTaken, BoardToLeave};
pub use board::{
    AnswerState, BulletinView, ClaimView, Flags, HandOverState, HandOverView, Item, LetterState, Promise, PromiseState,
    ReadableFrom, Row, Thread, Urgency,
};
pub use deed::{AnswerPlan, Answered, Claimed, FindError, HandOverPlan};
pub use enrol::{Admission, CheckWords, JoinRequest};
pub use lane::{KEEP_DAYS_USUAL, Taken};
pub use line::{DeviceView, Heard, LinePlan, LineView, RelayView, Safeguarding, SafeguardingKeys, SeatView, Warning};
pub use office::{Founded, Office, OfficeError};
pub use sending::{Bundle, Posted, Ticket};

use crate::desk::{
    record::{Record, Sealed},
    state::{Line, State},
};
use crate::vault::{self, KeyName, Ring};
use porchlight_proto::{
    letter::{ContentError, Session},
    line::{CallerId, DeviceId},
    roster::{RosterError, SignedRoster},
    seal::SealingSecret,
    sign::SecretKey,
    time::{Millis, Seconds, Timing},
};
use rand_core::CryptoRng;
use std::collections::{HashMap, HashSet};
use zeroize::Zeroizing;

/// Why the desk does not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeskError {
    /// The vault holds no line yet: found one, or join one.
    #[error("this vault belongs to no line yet")]
    NoLine,
    /// No roster is in force: publish one, or fetch a relay's notice.
    #[error("no roster is in force")]
    NoRoster,
    /// Only a lead device may.
    #[error("only a lead device can do this")]
    NotALead,
    /// The device has no seat to answer from.
    #[error("this device has no seat to answer from")]
    NoSeat,
    /// The line's root key is another.
    #[error("these are not the root words of this line")]
    AnotherRoot,
    /// There is no such caller.
    #[error("there is no such caller")]
    NoSuchCaller,
    /// There is no such answer.
    #[error("there is no such answer")]
    NoSuchAnswer,
    /// There is no such device.
    #[error("there is no such device")]
    NoSuchDevice,
    /// No seat is free.
    #[error("there is no free seat")]
    SeatTaken,
    /// Somebody else holds the claim. Taking over asks a reason.
    #[error("somebody else has claimed this caller; give a reason to take over")]
    HeldBy {
        /// Who.
        device: DeviceId,
        /// Until when the lease runs.
        until: Seconds,
    },
    /// None of its five lines says anything.
    #[error("the hand-over says nothing")]
    EmptyHandOver,
    /// More was missed than a relay holds for a colleague: 32 MiB.
    #[error("the board is too large to be left for a colleague")]
    BoardTooLarge,
    /// Nothing waits to be accepted.
    #[error("nobody has handed this caller over, or somebody has accepted already")]
    NotHandedOver,
    /// She asked not to be answered now. Overriding that is possible, and is said.
    #[error("she asked not to be answered now")]
    Quiet,
    /// The last key she sent is too old: she can no longer be reached until she writes again.
    #[error("she can no longer be reached until she writes again")]
    Unreachable,
    /// The text is too long or empty.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The answer would be over before it is sent.
    #[error("the time until which the answer is good lies in the past")]
    GoodUntilPast,
    /// Answers live 30 days at most, 48 hours if they name a place or a time.
    #[error("an answer lives 30 days at most, and 48 hours if it names a place or a time")]
    GoodUntilTooFar,
    /// The roster cannot be signed or is not believed.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// The line's relays keep different paces: a roster can state only one.
    #[error("the line's relays keep different paces; give them the same timing")]
    PacesDiffer,
    /// This is no request of a device that wants to join.
    #[error("this is no request to join a line")]
    BadRequest,
    /// An admission is not for this device, or was changed on the way.
    #[error("this is not an admission for this device")]
    BadAdmission,
    /// The vault belongs to a line already.
    #[error("this vault belongs to a line already")]
    Member,
    /// The device was revoked, and stays so.
    #[error("this device was revoked")]
    Revoked,
    /// A device does not revoke itself.
    #[error("this is the device you are working at")]
    Own,
    /// A secret that should be in the vault is not: the certificate has run out, or the vault is damaged.
    #[error("a key that this needs is not in the vault")]
    KeyMissing,
    /// The disk.
    #[error(transparent)]
    Office(#[from] OfficeError),
}

/// A desk in memory. All its verbs are called within [`Office::act`].
pub struct Desk {
    state: State,
    ring: Ring,
    ring_changed: bool,
    pending: Vec<Record>,
    /// What is known only while the process runs.
    presence: Presence,
    secrets: HashMap<KeyName, SealingSecret>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Desk")
    }
}

/// Who is there now. Kept in memory only: a live key must not outlive the page it belongs to.
#[derive(Default)]
struct Presence {
    /// Her open pages, the one heard last at the end: at most [`lane::PAGES_MAX`].
    pages: HashMap<CallerId, Vec<Page>>,
    devices: HashMap<DeviceId, Millis>,
    listening_since: HashMap<u8, Millis>,
    parts: team::Joins,
    /// Marks of team cells that this process posted: there is nothing in them to open.
    own_cells: crowd::Marks,
    sent: team::Sent,
    slots: sending::SlotsWritten,
    /// A desk secret came late: the lanes are to be read from their beginning.
    read_again: bool,
    /// The root of a board left for this device that cannot be fetched.
    lost_board: Option<[u8; 16]>,
    /// Relays whose slow days were searched after a backup was restored.
    searched: HashSet<u8>,
}

/// A page that is open.
struct Page {
    session: Session,
    live_key: Zeroizing<[u8; 32]>,
    heard: Millis,
    /// Whether its last cell was a dummy: then nothing of hers waits for a receipt.
    idle: bool,
}

impl Desk {
    fn empty() -> Self {
        Self {
            state: State::default(),
            ring: Ring::default(),
            ring_changed: false,
            pending: Vec::new(),
            presence: Presence::default(),
            secrets: HashMap::new(),
        }
    }

    /// Applies a change and remembers to save it.
    fn commit(&mut self, record: Record) {
        self.state.apply(&record, &self.ring);
        self.pending.push(record);
    }

    fn line(&self) -> Result<&Line, DeskError> {
        self.state.line.as_ref().ok_or(DeskError::NoLine)
    }

    fn timing(&self) -> Timing {
        self.state.line.as_ref().map_or(Timing::PRODUCTION, |line| state::timing(&line.record.pace))
    }

    fn roster(&self, now: Seconds) -> Result<&SignedRoster, DeskError> {
        self.state.rosters.in_force(now).ok_or(DeskError::NoRoster)
    }

    fn device_key(&self) -> Result<SecretKey, DeskError> {
        self.ring.key(KeyName::Device).map(SecretKey::from_seed).ok_or(DeskError::KeyMissing)
    }

    fn seat_key(&self) -> Result<SecretKey, DeskError> {
        let number = self.line()?.record.seat_number;
        self.ring.key(KeyName::Seat(number)).map(SecretKey::from_seed).ok_or(DeskError::KeyMissing)
    }

    fn put_key(&mut self, name: KeyName, key: &[u8; 32]) {
        self.ring.put(name, key);
        self.ring_changed = true;
    }

    fn forget_key(&mut self, name: KeyName) {
        self.secrets.remove(&name);
        self.ring_changed |= self.ring.forget(name);
    }

    /// Seals a content under today's key, which is made if it is the first of the day.
    fn seal(&mut self, plain: &[u8], aad: &[u8], now: Seconds, rng: &mut impl CryptoRng) -> Sealed {
        self.seal_as(plain, aad, false, now, rng)
    }

    fn seal_as(&mut self, plain: &[u8], aad: &[u8], answer: bool, now: Seconds, rng: &mut impl CryptoRng) -> Sealed {
        self.seal_on(u32::try_from(now.0 / 86_400).unwrap_or(u32::MAX), plain, aad, answer, rng)
    }

    fn seal_on(&mut self, day: u32, plain: &[u8], aad: &[u8], answer: bool, rng: &mut impl CryptoRng) -> Sealed {
        let name = state::day_key(day, answer);
        let key = match self.ring.key(name) {
            Some(key) => Zeroizing::new(*key),
            None => {
                let mut key = Zeroizing::new([0; 32]);
                rng.fill_bytes(key.as_mut_slice());
                self.put_key(name, &key);
                key
            }
        };
        Sealed { day, bytes: vault::seal(&key, aad, plain, rng), answer }
    }

    /// The relays of the line's card.
    #[must_use]
    pub fn relays(&self) -> &[porchlight_proto::card::RelayAddress] {
        self.state.line.as_ref().map_or(&[], |line| &line.card.relays)
    }

    /// The line's card.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoLine`].
    pub fn card(&self) -> Result<porchlight_proto::card::Card, DeskError> {
        Ok(self.line()?.card.clone())
    }
}
