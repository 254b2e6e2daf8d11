//! The desk: what a line's team knows, decides and sends, without network, clock or randomness of its own.
//!
//! ```text
//!  vault ◀─ Office::act ─▶ Desk ──┬─ line      founding, rosters, rotation, renewal
//!           (one transaction)     ├─ lead      who signs rosters, when, and what must be in them
//!                                 ├─ enrol     devices asked for, admitted, revoked
//!                                 ├─ safeguarding  the mailbox outside the team: its keys renewed
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
mod audit;
mod away;
mod board;
mod concord;
mod crowd;
mod deed;
mod doubt;
mod enrol;
mod forecast;
mod forget;
mod heard;
mod knowledge;
mod lane;
mod lead;
mod line;
mod load;
mod nickname;
mod office;
mod record;
mod rota;
mod safeguarding;
mod sending;
mod snapshot;
mod state;
mod team;
#[cfg(test)]
mod tests;

pub use audit::AuditLine;
pub use away::{BoardTaken, BoardToLeave};
pub use board::{
    AnswerState, BulletinView, ClaimView, Flags, HandOverState, HandOverView, Item, LetterState, Promise, PromiseState,
    ReadableFrom, Row, Thread, Urgency,
};
pub use concord::{ProposalId, ProposalState, ProposalView};
pub use deed::{AnswerPlan, Answered, Claimed, FindError, HandOverPlan};
pub use enrol::{Admission, CheckWords, JoinRequest, Revocation, card_words};
pub use forecast::Forecast;
pub use knowledge::{ComposingView, Person};
pub use lane::{KEEP_DAYS_USUAL, Taken};
pub use line::{DeviceView, Heard, LinePlan, LineView, RelayView, Safeguarding, SafeguardingKeys, SeatView, Warning};
pub use load::{Load, Span};
pub use office::{Founded, Office, OfficeError};
pub use rota::{Gap, Rota, ShiftId, ShiftView};
pub use sending::{Bundle, Posted, Ticket};

use crate::desk::{
    record::{LineRecord, Record, Sealed},
    state::{Line, State},
};
use crate::vault::{self, KeyName, Ring};
use porchlight_proto::{
    event::AnswerId,
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
    /// What this lead may sign is void, or over: the root words renew it.
    #[error("the certificate of this lead is void or has run out; renew it with the root words")]
    NotCertified,
    /// The device has no seat to answer from.
    #[error("this device has no seat to answer from")]
    NoSeat,
    /// The line's root key is another.
    #[error("these are not the root words of this line")]
    AnotherRoot,
    /// The card is another line's.
    #[error("this card is of another line")]
    AnotherLine,
    /// A card names one to eight relays, each by a number of its own.
    #[error("a card names one to eight relays, each by a number of its own")]
    NoRelays,
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
    /// The vault was restored from a backup: until a colleague has said what it holds of this device, it says nothing to the team.
    #[error("this vault was restored from a backup, and it is not known yet what it has told its team since")]
    Restored,
    /// The vault was restored from a backup and lacks what this device has told its team since.
    #[error("this vault lacks what its device has told its team: it was restored from too old a backup")]
    Outdated,
    /// A colleague is writing to her now: speak to each other, or send all the same.
    #[error("a colleague is writing to her now")]
    Composing(DeviceId),
    /// The two are in one row already, or are one caller.
    #[error("these two are in one row already")]
    SameRow,
    /// The two do not share a row.
    #[error("these two do not share a row")]
    NotOneRow,
    /// She did not ask for anything in case her sign is late.
    #[error("she asked for nothing in case her sign is late")]
    NothingAsked,
    /// There is no such proposal.
    #[error("there is no such proposal")]
    NoSuchProposal,
    /// It was carried, objected to, or has lapsed.
    #[error("this proposal is decided")]
    Decided,
    /// A second worker must agree; or the one who proposed, a day later.
    #[error("a second worker must agree")]
    NeedsSecond {
        /// From when one device is enough; never, to forget a caller.
        alone_from: Option<Seconds>,
    },
    /// An answer that names a place or a time wants a second worker: propose it, and say it when it is carried.
    #[error("an answer that names a place or a time wants a second worker")]
    MeetingAlone,
    /// There is no such shift.
    #[error("there is no such shift")]
    NoSuchShift,
    /// A shift ends after it begins and now, and lasts seven days at most.
    #[error("a shift ends after it begins, is not over, and lasts seven days at most")]
    BadShift,
    /// Nobody goes off shift with somebody to look after.
    #[error("there are callers whom this device has claimed")]
    StillClaimed(Vec<CallerId>),
    /// A line's devices keep letters and notes for 1 to 180 days.
    #[error("letters are kept for 1 to 180 days")]
    BadDays,
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
    /// The device has another place: in the team, or outside it at the safeguarding mailbox. Nobody has both.
    #[error("this device has another place already")]
    OtherPlace,
    /// The vault is no safeguarding mailbox.
    #[error("this vault is no safeguarding mailbox")]
    NoMailbox,
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
    /// The journal holds what was forgotten: it is to be written anew at the end of the transaction.
    rewrite_due: Option<Seconds>,
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
    /// Of each relay, when its notice was heard, and whether it shows an older roster than ours, or none.
    notices: HashMap<u8, (Seconds, bool)>,
    /// Relays whose slow days were searched after a backup was restored, and up to where their lanes had been read then.
    searched: HashMap<u8, (u64, u64)>,
    /// A colleague that had read one of those lanes as far has said what it holds of every device.
    acknowledged: HashSet<DeviceId>,
    /// Answers that callers named as shown while nothing could be told.
    saw: HashSet<(CallerId, AnswerId)>,
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
            rewrite_due: None,
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
        self.seal_under(KeyName::Day(state::day(now)), plain, aad, rng)
    }

    /// Seals a content under this key, which is made if it is not there yet.
    fn seal_under(&mut self, name: KeyName, plain: &[u8], aad: &[u8], rng: &mut impl CryptoRng) -> Sealed {
        let key = match self.ring.key(name) {
            Some(key) => Zeroizing::new(*key),
            None => {
                let mut key = Zeroizing::new([0; 32]);
                rng.fill_bytes(key.as_mut_slice());
                self.put_key(name, &key);
                key
            }
        };
        Sealed::of(name, vault::seal(&key, aad, plain, rng)).expect("contents are sealed under a day's or a caller's key")
    }

    /// The relays of the line's card.
    #[must_use]
    pub fn relays(&self) -> &[porchlight_proto::card::RelayAddress] {
        self.state.line.as_ref().map_or(&[], |line| &line.card.relays)
    }

    /// This device.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoLine`].
    pub fn device(&self) -> Result<DeviceId, DeskError> {
        Ok(self.line()?.device)
    }

    /// The line's card.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoLine`].
    pub fn card(&self) -> Result<porchlight_proto::card::Card, DeskError> {
        Ok(self.line()?.card.clone())
    }

    /// Looks for the line's relays where this card says. Only for a card whose [`card_words`] were compared: a false one makes this device deaf,
    /// and tells whoever made it where it is.
    ///
    /// Colleagues are not told: a relay that was seized is no way to tell them where the next one is. Each takes the card.
    ///
    /// # Errors
    ///
    /// [`DeskError::AnotherLine`] for another line's card; [`DeskError::NoRelays`] for one that names no relay, more than eight, or
    /// two by one number; [`DeskError::NoLine`].
    pub fn take_card(&mut self, card: &porchlight_proto::card::Card) -> Result<(), DeskError> {
        let line = self.line()?;
        if card.root != line.root {
            return Err(DeskError::AnotherLine);
        }
        let bytes = card.to_cbor();
        porchlight_proto::card::Card::parse_cbor(&bytes).map_err(|_| DeskError::NoRelays)?;
        let record = LineRecord { card: bytes, ..line.record.clone() };
        self.commit(Record::Line(Box::new(record)));
        Ok(())
    }
}
