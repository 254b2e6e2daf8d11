//! The signed public statement of a line (SPEC §5.3).
//!
//! ```text
//! 4,096 bytes ─ parse ▶ UncheckedRoster ─ check_signed(root) ▶ SignedRoster ─ at(now) ▶ Roster
//!                                                                  │
//!                                               Rosters: what a relay or desk keeps, and which one is in force
//! ```
use crate::cert::DeskCert;
use crate::kdf::digest;
use crate::layout::{Fields, Put, Span, roster as layout};
use crate::limits::{REVOKED_COUNT, ROSTER_LEN};
use crate::line::{DeviceId, LineId, Seat};
use crate::seal::SealingKey;
use crate::sign::{PublicKey, SecretKey, Signature};
use crate::time::{Seconds, Timing, week};
use alloc::{boxed::Box, vec::Vec};
use core::ops::Deref;

const VERSION: u8 = 1;
const LIFE_MAX: u64 = 7 * 86_400;
/// How far ahead a roster may begin that is taken in: a week, and a day for clocks.
const AHEAD_MAX: u64 = 8 * 86_400;

/// Why a roster is not believed. Keep the one you have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RosterError {
    /// Another length, version or flag, bytes that must be zero, a value out of bounds, or a key that is none.
    #[error("this is not a roster of a version this program knows")]
    Malformed,
    /// Another line's, or not signed by a desk key that the root vouches for. Warn whoever is reading.
    #[error("the roster is not signed by this line")]
    Forged,
    /// It begins later. If that is surprising, the clock is wrong.
    #[error("the roster is not in force yet; is the clock right?")]
    NotYet,
    /// It is over, or its desk certificate is. Ask the relay for a newer one.
    #[error("the roster is no longer in force; is the clock right?")]
    Expired,
    /// Its desk certificate belongs to a generation that has been voided.
    #[error("the roster's desk certificate has been voided")]
    OldGeneration,
}

/// A roster as it came off the wire. Nothing in it may be believed yet, so nothing in it can be read.
pub struct UncheckedRoster(Box<[u8; ROSTER_LEN]>);

impl UncheckedRoster {
    /// Takes 4,096 bytes.
    ///
    /// # Errors
    ///
    /// [`RosterError::Malformed`] for another length or version, a flag, or bytes that must be zero and are not.
    pub fn parse(bytes: &[u8]) -> Result<Self, RosterError> {
        let bytes: [u8; ROSTER_LEN] = bytes.try_into().map_err(|_| RosterError::Malformed)?;
        let fields = Fields(&bytes);
        let known = fields.u8(layout::version) == VERSION && fields.is_zero(layout::flags) && fields.is_zero(layout::zero);
        if known { Ok(Self(Box::new(bytes))) } else { Err(RosterError::Malformed) }
    }
    /// Believes who signed it, but not yet that it is in force.
    ///
    /// # Errors
    ///
    /// [`RosterError::Forged`] first, so that a malformed forgery is a forgery; then [`RosterError::Malformed`] for values out of bounds.
    pub fn check_signed(self, root: &PublicKey) -> Result<SignedRoster, RosterError> {
        let fields = Fields(self.0.as_slice());
        let line = LineId::from_root(root);
        if fields.slice(layout::root_pk) != root.as_bytes() || fields.slice(layout::line_id) != line.as_bytes() {
            return Err(RosterError::Forged);
        }
        let cert = DeskCert::check(fields.slice(layout::desk_cert), root).map_err(|_| RosterError::Forged)?;
        let signature: Signature = fields.array(layout::signature);
        cert.desk_pk.verify("roster", &[fields.before(layout::signature)], &signature).map_err(|_| RosterError::Forged)?;
        SignedRoster::within_bounds(self.0, line, cert)
    }
    /// Believes the roster, if a desk key of `root` signed it and it is in force at `now`.
    ///
    /// # Errors
    ///
    /// As [`Self::check_signed`], then as [`SignedRoster::at`].
    pub fn check(self, root: &PublicKey, now: Seconds) -> Result<Roster, RosterError> {
        self.check_signed(root)?.at(now)
    }
}

/// A roster that the line signed, in force now, earlier or later.
#[derive(Clone, Debug)]
pub struct SignedRoster {
    bytes: Box<[u8; ROSTER_LEN]>,
    line: LineId,
    cert: DeskCert,
    desk_key: SealingKey,
    safe_key: SealingKey,
}

impl SignedRoster {
    fn within_bounds(bytes: Box<[u8; ROSTER_LEN]>, line: LineId, cert: DeskCert) -> Result<Self, RosterError> {
        let fields = Fields(bytes.as_slice());
        let malformed = |_| RosterError::Malformed;
        let desk_key = SealingKey::from_bytes(&fields.array(layout::desk_key)).map_err(malformed)?;
        let safe_key = SealingKey::from_bytes(&fields.array(layout::safe_key)).map_err(malformed)?;
        let roster = Self { bytes, line, cert, desk_key, safe_key };
        roster.timing().check().map_err(|_| RosterError::Malformed)?;
        let life = roster.not_after().0.checked_sub(roster.not_before().0);
        let bounds = (1..=26).contains(&roster.reply_weeks())
            && roster.answer_within() <= 5
            && roster.serial() >= 1
            && life.is_some_and(|life| (1..=LIFE_MAX).contains(&life));
        if bounds { Ok(roster) } else { Err(RosterError::Malformed) }
    }
    fn fields(&self) -> Fields<'_> {
        Fields(self.bytes.as_slice())
    }
    fn key_at(&self, seats: Span, index: usize) -> PublicKey {
        PublicKey::from_bytes(self.fields().array(Span { at: seats.at + 32 * index, len: 32 }))
    }
    /// Believes that it is in force at `now`.
    ///
    /// # Errors
    ///
    /// [`RosterError::NotYet`] before its first second; [`RosterError::Expired`] after its last, or outside its desk certificate's life.
    pub fn at(self, now: Seconds) -> Result<Roster, RosterError> {
        if now < self.not_before() {
            Err(RosterError::NotYet)
        } else if self.in_force_at(now) {
            Ok(Roster(self))
        } else {
            Err(RosterError::Expired)
        }
    }
    /// Whether it is in force at `now`.
    #[must_use]
    pub fn in_force_at(&self, now: Seconds) -> bool {
        self.not_before() <= now && now < self.not_after() && self.cert.lives_at(now)
    }
    /// Its number: higher voids lower.
    #[must_use]
    pub fn serial(&self) -> u32 {
        self.fields().u32(layout::serial)
    }
    /// The period its desk key belongs to.
    #[must_use]
    pub fn period(&self) -> u32 {
        self.fields().u32(layout::period)
    }
    /// First second in force.
    #[must_use]
    pub fn not_before(&self) -> Seconds {
        Seconds(self.fields().u64(layout::not_before))
    }
    /// First second no longer in force.
    #[must_use]
    pub fn not_after(&self) -> Seconds {
        Seconds(self.fields().u64(layout::not_after))
    }
    /// The line's pace.
    #[must_use]
    pub fn timing(&self) -> Timing {
        let fields = self.fields();
        Timing {
            up_beat_ms: fields.u16(layout::up_beat_ms),
            beat_ms: fields.u16(layout::beat_ms),
            fast_slots: fields.u8(layout::fast_slots),
            slow_s: fields.u16(layout::slow_s),
            slow_days: fields.u8(layout::slow_days),
        }
    }
    /// How many weeks old a reply key may be that the desk still answers to.
    #[must_use]
    pub fn reply_weeks(&self) -> u8 {
        self.fields().u8(layout::reply_weeks)
    }
    /// How soon somebody usually answers: 0 not said, 1 an hour, 2 a few hours, 3 a day, 4 two days, 5 a week.
    #[must_use]
    pub fn answer_within(&self) -> u8 {
        self.fields().u8(layout::answer_within)
    }
    /// The week whose reply keys callers send with this roster.
    #[must_use]
    pub fn week(&self) -> u32 {
        week(self.not_before())
    }
    /// What letters are sealed to.
    #[must_use]
    pub const fn desk_key(&self) -> &SealingKey {
        &self.desk_key
    }
    /// What safeguarding letters are sealed to.
    #[must_use]
    pub const fn safe_key(&self) -> &SealingKey {
        &self.safe_key
    }
    /// The current and the previous key of a seat.
    #[must_use]
    pub fn seat_keys(&self, seat: Seat) -> [PublicKey; 2] {
        if seat.is_safeguarding() {
            [self.key_at(layout::safe_seat_now, 0), self.key_at(layout::safe_seat_previous, 0)]
        } else {
            let index = usize::from(seat.number());
            [self.key_at(layout::seats_now, index), self.key_at(layout::seats_previous, index)]
        }
    }
    /// Whether it names the device as revoked.
    #[must_use]
    pub fn revoked(&self, device: DeviceId) -> bool {
        self.fields().slice(layout::revoked).chunks_exact(8).any(|id| id == device.0)
    }
    /// The eight devices that it names as revoked; random where there are fewer.
    pub fn revoked_ids(&self) -> impl Iterator<Item = DeviceId> {
        self.fields().slice(layout::revoked).chunks_exact(8).filter_map(|id| Some(DeviceId(*id.first_chunk()?)))
    }
    /// SHA-256 of the roster of the serial before; zero for the first.
    #[must_use]
    pub fn previous_hash(&self) -> [u8; 32] {
        self.fields().array(layout::previous_hash)
    }
    /// Bulletins raised before this are void.
    #[must_use]
    pub fn bulletins_void_before(&self) -> Seconds {
        Seconds(self.fields().u64(layout::bulletins_void_before))
    }
    /// The line is closed until then; 0 if it is open.
    #[must_use]
    pub fn closed_until(&self) -> Seconds {
        Seconds(self.fields().u64(layout::closed_until))
    }
    /// The certificate of the desk key that signed it.
    #[must_use]
    pub const fn desk_cert(&self) -> &DeskCert {
        &self.cert
    }
    /// The generation of that certificate.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.cert.generation
    }
    /// The line it speaks for.
    #[must_use]
    pub const fn line(&self) -> &LineId {
        &self.line
    }
    /// The line's root key, which the reader had pinned.
    #[must_use]
    pub fn root(&self) -> PublicKey {
        PublicKey::from_bytes(self.fields().array(layout::root_pk))
    }
    /// Its SHA-256.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        digest(self.bytes.as_slice())
    }
    /// Its 4,096 bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; ROSTER_LEN] {
        &self.bytes
    }
}

/// A roster that was in force at the moment it was checked.
#[derive(Clone, Debug)]
pub struct Roster(SignedRoster);

impl Deref for Roster {
    type Target = SignedRoster;
    fn deref(&self) -> &SignedRoster {
        &self.0
    }
}

/// What a lead signs. Every field of the layout but what follows from the signer.
#[derive(Clone, Debug)]
pub struct RosterBody {
    /// Its number, one more than the one before.
    pub serial: u32,
    /// The desk key's period.
    pub period: u32,
    /// First second in force.
    pub not_before: Seconds,
    /// First second no longer in force; at most seven days later.
    pub not_after: Seconds,
    /// The line's pace.
    pub timing: Timing,
    /// How many weeks old a reply key may be, 1–26.
    pub reply_weeks: u8,
    /// How soon somebody usually answers, 0–5.
    pub answer_within: u8,
    /// What letters are sealed to.
    pub desk_key: SealingKey,
    /// What safeguarding letters are sealed to.
    pub safe_key: SealingKey,
    /// Current keys of seats 0–8.
    pub seats_now: [PublicKey; 9],
    /// Previous keys of seats 0–8.
    pub seats_previous: [PublicKey; 9],
    /// Revoked devices, filled up with random bytes.
    pub revoked: [DeviceId; REVOKED_COUNT],
    /// SHA-256 of the roster before; zero for serial 1.
    pub previous_hash: [u8; 32],
    /// Bulletins raised before this are void.
    pub bulletins_void_before: Seconds,
    /// Closed until then, or 0.
    pub closed_until: Seconds,
}

impl RosterBody {
    /// Signs it with the desk key that `cert` vouches for, and checks it as every reader will.
    ///
    /// # Errors
    ///
    /// [`RosterError::Malformed`] for values out of bounds; [`RosterError::Forged`] if `desk` is not the certificate's key or `cert` not the root's.
    pub fn sign(&self, desk: &SecretKey, cert: &DeskCert, root: &PublicKey) -> Result<SignedRoster, RosterError> {
        let mut bytes = Box::new([0; ROSTER_LEN]);
        self.write(bytes.as_mut_slice());
        bytes.put(layout::line_id, LineId::from_root(root).as_bytes());
        bytes.put(layout::root_pk, root.as_bytes());
        bytes.put(layout::desk_cert, cert.bytes());
        let signature = desk.sign("roster", &[Fields(bytes.as_slice()).before(layout::signature)]);
        bytes.put(layout::signature, &signature);
        UncheckedRoster::parse(bytes.as_slice())?.check_signed(root)
    }
    fn write(&self, bytes: &mut [u8]) {
        bytes.put(layout::version, &[VERSION]);
        bytes.put(layout::serial, &self.serial.to_be_bytes());
        bytes.put(layout::period, &self.period.to_be_bytes());
        bytes.put(layout::not_before, &self.not_before.0.to_be_bytes());
        bytes.put(layout::not_after, &self.not_after.0.to_be_bytes());
        bytes.put(layout::up_beat_ms, &self.timing.up_beat_ms.to_be_bytes());
        bytes.put(layout::beat_ms, &self.timing.beat_ms.to_be_bytes());
        bytes.put(layout::fast_slots, &[self.timing.fast_slots]);
        bytes.put(layout::slow_s, &self.timing.slow_s.to_be_bytes());
        bytes.put(layout::slow_days, &[self.timing.slow_days]);
        bytes.put(layout::reply_weeks, &[self.reply_weeks]);
        bytes.put(layout::answer_within, &[self.answer_within]);
        bytes.put(layout::desk_key, self.desk_key.as_bytes());
        bytes.put(layout::safe_key, self.safe_key.as_bytes());
        let ([now @ .., safe_now], [previous @ .., safe_previous]) = (&self.seats_now, &self.seats_previous);
        bytes.put(layout::seats_now, &keys(now));
        bytes.put(layout::seats_previous, &keys(previous));
        bytes.put(layout::safe_seat_now, safe_now.as_bytes());
        bytes.put(layout::safe_seat_previous, safe_previous.as_bytes());
        bytes.put(layout::revoked, &self.revoked.map(|id| id.0).concat());
        bytes.put(layout::previous_hash, &self.previous_hash);
        bytes.put(layout::bulletins_void_before, &self.bulletins_void_before.0.to_be_bytes());
        bytes.put(layout::closed_until, &self.closed_until.0.to_be_bytes());
    }
}

fn keys(keys: &[PublicKey]) -> Vec<u8> {
    keys.iter().flat_map(PublicKey::as_bytes).copied().collect()
}

/// The rosters that a relay or a desk knows, and the rule that chooses among them.
#[derive(Clone, Debug, Default)]
pub struct Rosters {
    known: Vec<SignedRoster>,
    generation: u32,
    serial: u32,
}

impl Rosters {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { known: Vec::new(), generation: 0, serial: 0 }
    }
    /// Remembers what was seen in an earlier life: lower generations are refused from the start.
    #[must_use]
    pub const fn after(generation: u32, serial: u32) -> Self {
        Self { known: Vec::new(), generation, serial }
    }
    /// Takes a roster in. One that is known already changes nothing.
    ///
    /// What a new serial voids (lower serials of its own and later periods) and what a new generation voids is forgotten here.
    ///
    /// # Errors
    ///
    /// [`RosterError::NotYet`] if it begins more than eight days ahead of `now`: nobody publishes so early, and a stolen
    /// lead must not void what follows for ever. [`RosterError::OldGeneration`] if its certificate belongs to a voided generation;
    /// [`RosterError::Expired`] if a roster of a higher serial has voided it.
    pub fn insert(&mut self, roster: SignedRoster, now: Seconds) -> Result<(), RosterError> {
        if roster.not_before() > now.plus(AHEAD_MAX) {
            return Err(RosterError::NotYet);
        }
        if roster.generation() < self.generation {
            return Err(RosterError::OldGeneration);
        }
        if self.known.iter().any(|known| voids(known, &roster)) {
            return Err(RosterError::Expired);
        }
        if roster.generation() > self.generation {
            (self.generation, self.serial) = (roster.generation(), 0);
        }
        self.serial = self.serial.max(roster.serial());
        let generation = self.generation;
        self.known.retain(|known| known.generation() >= generation && !voids(&roster, known) && known.hash() != roster.hash());
        self.known.push(roster);
        Ok(())
    }
    /// The roster in force: the highest serial valid now; of two with one serial the lower hash.
    #[must_use]
    pub fn in_force(&self, now: Seconds) -> Option<&SignedRoster> {
        self.known
            .iter()
            .filter(|roster| roster.in_force_at(now))
            .min_by_key(|roster| (core::cmp::Reverse((roster.generation(), roster.serial())), roster.hash()))
    }
    /// Forgets what was over before `now`.
    pub fn forget_before(&mut self, now: Seconds) {
        self.known.retain(|roster| roster.not_after() > now);
    }
    /// The highest serial seen in the highest generation.
    #[must_use]
    pub const fn highest_serial(&self) -> u32 {
        self.serial
    }
    /// The highest generation seen.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation
    }
    /// All that are kept, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &SignedRoster> {
        self.known.iter()
    }
}

/// Whether `newer` voids `older`: a higher generation, or a higher serial for its own period or an earlier one than `older`'s.
fn voids(newer: &SignedRoster, older: &SignedRoster) -> bool {
    let later = newer.serial() > older.serial() && newer.period() <= older.period();
    newer.generation() > older.generation() || (newer.generation() == older.generation() && later)
}
