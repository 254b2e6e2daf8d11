//! The line itself: founded, published ahead, rotated, renewed; devices admitted and revoked (SPEC §3, §5).
use crate::desk::{
    Desk, DeskError,
    record::{DeviceRecord, LineRecord, Record, RelayRecord},
    state,
    team::{SEALING_KEY_AGE_MAX, SEALING_KEY_EVERY},
};
use crate::vault::KeyName;
use porchlight_proto::{
    api::Notice,
    bulletin::{Bulletin, Code},
    card::{Card, RelayAddress},
    cert::{DeskCert, DeviceCert, Role},
    event::{Admitted, Event},
    limits::SEAT_COUNT,
    line::{DeviceId, LineId, Seat},
    roster::{RosterBody, SignedRoster, UncheckedRoster},
    seal::{SealingKey, SealingSecret},
    sign::{PublicKey, SecretKey},
    time::{Millis, Seconds, Timing},
    token::{Credentials, Request},
};
use rand_core::CryptoRng;
use serde::Serialize;
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// Seconds that a desk certificate lives, and that a device certificate does.
const DESK_CERT_LIFE: u64 = 30 * 86_400;
pub(super) const DEVICE_CERT_LIFE: u64 = 60 * 86_400;
/// Rosters are published this many seconds ahead.
const AHEAD: u64 = 7 * 86_400;
/// A published horizon below this many seconds is a warning.
const HORIZON_LEAST: u64 = 72 * 3600;
/// A seat's key is kept at least this long, in seconds, unless its device is revoked.
const SEAT_KEY_LEAST: u64 = 14 * 86_400;
/// Certificates reach back this far, in seconds, for clocks that are behind.
pub(super) const CLOCK_SLACK: u64 = 3600;
/// A desk secret is erased this many seconds after its period's end and the up TTL.
const SECRET_GRACE: u64 = 12 * 3600;

/// Whether somebody outside the team reads the safeguarding mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safeguarding {
    /// Somebody will: the keys are handed out once, and the desk leaves the lane's floor alone, which is not its to raise.
    Staffed,
    /// Nobody does: the keys are real, and their secrets discarded.
    Unstaffed,
}

/// What a new line is to be.
#[derive(Clone, Debug)]
pub struct LinePlan {
    /// Its relays, with their gates and pins.
    pub relays: Vec<RelayAddress>,
    /// Its pace; the relays' own notices overrule it.
    pub timing: Timing,
    /// Seconds for which relays hold letters.
    pub up_ttl: Seconds,
    /// Seconds in the life of one desk key: 86,400 in production.
    pub period: Seconds,
    /// How soon somebody usually answers, 0–5 (SPEC §5.3).
    pub answer_within: u8,
    /// How many weeks old a reply key may be that the desk still answers to: 9.
    pub reply_weeks: u8,
    /// Who reads the safeguarding mailbox.
    pub safeguarding: Safeguarding,
}

/// The safeguarding person's two secrets, to be handed over and kept nowhere else. Wiped when dropped, silent in `Debug`.
pub struct SafeguardingKeys {
    /// Seed of the sealing key.
    pub sealing: Zeroizing<[u8; 32]>,
    /// Seed of seat 8.
    pub seat: Zeroizing<[u8; 32]>,
}

impl std::fmt::Debug for SafeguardingKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SafeguardingKeys")
    }
}

/// What a relay's notice told.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The serial of the roster it serves; 0 for none.
    pub serial: u32,
    /// It serves an older roster than one it had taken from us, or one that is not ours: do not trust it.
    pub rolled_back: bool,
    /// It serves none: publish.
    pub roster_missing: bool,
    /// The bulletin that stands there.
    pub bulletin: Option<Code>,
}

/// The line, for `line show` and the header of a board.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct LineView {
    /// The line's id, in hex.
    pub line: String,
    /// The period now.
    pub period: Option<u32>,
    /// The serial of the roster in force.
    pub serial: Option<u32>,
    /// Until when rosters are published, Unix seconds.
    pub published_until: u64,
    /// Closed until, or nothing.
    pub closed_until: Option<u64>,
    /// This device.
    pub device: String,
    /// The team.
    pub devices: Vec<DeviceView>,
    /// The seats.
    pub seats: Vec<SeatView>,
    /// The relays.
    pub relays: Vec<RelayView>,
    /// For how many days this desk keeps letters and notes.
    pub keep_days: u32,
    /// What somebody should look after.
    pub warnings: Vec<Warning>,
}

/// A device of the team.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct DeviceView {
    /// Its id, in hex.
    pub device: String,
    /// `lead`, `worker` or `safeguarding`.
    pub role: &'static str,
    /// Its seat.
    pub seat: Option<u8>,
    /// Until when its certificate lives.
    pub certified_until: u64,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Whether it is this one.
    pub mine: bool,
}

/// A seat and who sits there.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct SeatView {
    /// Its number.
    pub seat: u8,
    /// The device, in hex; nothing if its secret was discarded.
    pub device: Option<String>,
}

/// A relay as the desk knows it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct RelayView {
    /// Its number.
    pub number: u8,
    /// Its address.
    pub url: String,
    /// Up to where its lane was read.
    pub position: u64,
    /// The highest serial it took from this device.
    pub serial_put: u32,
}

/// Something to look after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// Rosters are published for less than 72 hours.
    HorizonShort,
    /// The desk certificate is past half its life: `line renew` with the root words.
    RenewDeskCertificate,
    /// It is not known which tags were used: the vault was restored.
    Doubtful,
    /// A round of the carousel takes longer than the slow days: lower `slow_s`.
    CarouselSlow,
    /// Letters of people the team does not know take half of their room: look at them, or ask the relay for stamps.
    Crowded,
    /// Letters may have died unread while this device was away; a colleague's has been asked for them.
    Missed,
    /// This device was revoked: it learns nothing new, and what it writes nobody takes.
    Revoked,
}

pub(super) fn secret_name(period: u32, key: &SealingKey) -> KeyName {
    let hash = porchlight_proto::kdf::digest(key.as_bytes());
    KeyName::Period(period, hash.first_chunk().map_or(0, |mark| u32::from_be_bytes(*mark)))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

impl Desk {
    /// Founds a line whose root is `root`: this device is its first lead, in seat 0.
    pub(super) fn found(
        &mut self,
        root: &SecretKey,
        plan: &LinePlan,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<SafeguardingKeys>, DeskError> {
        let id = LineId::from_root(&root.public());
        let (device, desk) = (SecretKey::generate(rng), SecretKey::generate(rng));
        let sealing = SealingSecret::generate(rng);
        let (safe, safe_seat) = (SealingSecret::generate(rng), SecretKey::generate(rng));
        let seats: Vec<SecretKey> = (0..SEAT_COUNT - 1).map(|_| SecretKey::generate(rng)).collect();
        let keys: Vec<u8> = seats.iter().chain([&safe_seat]).flat_map(|seat| *seat.public().as_bytes()).collect();
        let begins = Seconds(now.0.saturating_sub(CLOCK_SLACK));
        let desk_cert = DeskCert::sign(root, &desk.public(), 1, begins, now.plus(DESK_CERT_LIFE));
        let device_cert =
            DeviceCert::sign(&desk, &id, &device.public(), (Role::Lead, Seat::new(0)), (begins, now.plus(DEVICE_CERT_LIFE)))
                .map_err(|_| DeskError::BadAdmission)?;
        self.put_key(KeyName::Device, &device.seed());
        self.put_key(KeyName::DeskSigning, &desk.seed());
        self.put_key(KeyName::Sealing(1), sealing.seed());
        if let Some(first) = seats.first() {
            self.put_key(KeyName::Seat(1), &first.seed());
        }
        let mut revoked = vec![0; 64];
        rng.fill_bytes(&mut revoked);
        self.commit(Record::Line(Box::new(LineRecord {
            card: Card { root: root.public(), relays: plan.relays.clone() }.to_cbor(),
            period_s: plan.period.0.clamp(1, 7 * 86_400),
            answer_within: plan.answer_within,
            reply_weeks: plan.reply_weeks,
            closed_until: 0,
            void_before: 0,
            staffed: plan.safeguarding == Safeguarding::Staffed,
            safe_key: safe.public().as_bytes().to_vec(),
            seats_previous: keys.clone(),
            seats_now: keys,
            revoked,
            desk_cert: desk_cert.bytes().to_vec(),
            device_cert: device_cert.bytes().to_vec(),
            seat_number: 1,
            seat_since: now.0,
            sealing_number: 1,
            sealing_since: now.0,
            pace: state::pace(&plan.timing),
            up_ttl_s: plan.up_ttl.0,
            replace_upto: 0,
            revoked_before: Vec::new(),
        })));
        self.line()?;
        self.commit(Record::Device(DeviceRecord {
            desk_cert: desk_cert.bytes().to_vec(),
            device_cert: device_cert.bytes().to_vec(),
            sealing_key: sealing.public().as_bytes().to_vec(),
            sealing_since: now.0,
            revoked: false,
        }));
        self.tell(&Event::Slots((0..plan.timing.fast_slots).collect()), now, rng)?;
        let staffed = plan.safeguarding == Safeguarding::Staffed;
        Ok(staffed.then(|| SafeguardingKeys { sealing: Zeroizing::new(*safe.seed()), seat: safe_seat.seed() }))
    }

    /// Takes a relay's notice: its pace, how long it holds letters, the roster and bulletin it serves.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoLine`]; [`DeskError::PacesDiffer`] if another relay of the line keeps another pace.
    pub fn hear_notice(&mut self, relay: u8, notice: &Notice, now: Seconds) -> Result<Heard, DeskError> {
        let several = self.relays().len() > 1;
        let line = self.line()?;
        let (root, mut record) = (line.root, line.record.clone());
        let known = self.state.relays.get(&relay).copied().unwrap_or_default();
        if several
            && self.state.relays.iter().any(|(number, other)| *number != relay && other.desk_beat_ms > 0)
            && notice.timing != self.timing()
        {
            return Err(DeskError::PacesDiffer);
        }
        if notice.timing != self.timing() || u64::from(notice.up_ttl_s) != record.up_ttl_s {
            if notice.timing != self.timing() {
                record.replace_upto = self.last_serial();
            }
            record.pace = state::pace(&notice.timing);
            record.up_ttl_s = u64::from(notice.up_ttl_s);
            self.commit(Record::Line(Box::new(record)));
        }
        if known.desk_beat_ms != notice.desk_beat_ms {
            self.commit(Record::Relay(relay, RelayRecord { desk_beat_ms: notice.desk_beat_ms, ..known }));
        }
        let served =
            notice.roster.as_ref().map(|bytes| UncheckedRoster::parse(bytes.as_slice()).and_then(|r| r.check_signed(&root)));
        let mut heard = Heard { serial: 0, rolled_back: false, roster_missing: served.is_none(), bulletin: None };
        match served {
            Some(Ok(roster)) => {
                heard.serial = roster.serial();
                heard.rolled_back = self.is_rolled_back(&roster, relay, now);
                heard.bulletin = Bulletin::check(&notice.bulletin, &roster, now).ok().flatten().map(|bulletin| bulletin.code);
                if roster.not_before().0 <= now.0 + AHEAD + 86_400 {
                    self.adopt(&roster)?;
                }
            }
            Some(Err(_)) => heard.rolled_back = true,
            None => {}
        }
        Ok(heard)
    }

    fn is_rolled_back(&self, served: &SignedRoster, relay: u8, now: Seconds) -> bool {
        let put = self.state.relays.get(&relay).map_or(0, |relay| relay.put);
        let older = |ours: &SignedRoster| {
            served.generation() == ours.generation() && served.serial() < ours.serial() && ours.serial() <= put
        };
        self.roster(now).is_ok_and(older) || served.generation() < self.state.rosters.generation()
    }

    /// Takes a roster that another lead made: with it, what it says of seats and revoked devices.
    fn adopt(&mut self, roster: &SignedRoster) -> Result<(), DeskError> {
        let newest = self
            .state
            .last_roster
            .is_none_or(|(generation, serial, _)| (roster.generation(), roster.serial()) > (generation, serial));
        if self.state.rosters.iter().any(|known| known.hash() == roster.hash()) {
            return Ok(());
        }
        self.commit(Record::Roster(roster.bytes().to_vec()));
        if newest {
            let keys = |which: usize| {
                Seat::all().filter_map(|seat| roster.seat_keys(seat).get(which).map(|key| *key.as_bytes())).flatten().collect()
            };
            let mut record = self.line()?.record.clone();
            record.seats_now = keys(0);
            record.seats_previous = keys(1);
            record.closed_until = roster.closed_until().0;
            record.void_before = roster.bulletins_void_before().0;
            record.answer_within = roster.answer_within();
            record.safe_key = roster.safe_key().as_bytes().to_vec();
            self.commit(Record::Line(Box::new(record)));
        }
        Ok(())
    }

    pub(super) fn last_serial(&self) -> u32 {
        self.state.last_roster.map_or(0, |(_, serial, _)| serial)
    }

    pub(super) fn signing_key(&self) -> Result<SecretKey, DeskError> {
        if self.line()?.device_cert.role != Role::Lead {
            return Err(DeskError::NotALead);
        }
        self.ring.key(KeyName::DeskSigning).map(SecretKey::from_seed).ok_or(DeskError::NotALead)
    }

    /// Makes the rosters that are missing from now to seven days ahead, or within the desk certificate's life. Gives how many.
    ///
    /// # Errors
    ///
    /// [`DeskError::Roster`] if the line's settings cannot be signed. A device that is no lead makes none, which is no error.
    pub fn publish(&mut self, now: Seconds, rng: &mut impl CryptoRng) -> Result<usize, DeskError> {
        if self.line()?.device_cert.role != Role::Lead {
            return Ok(0);
        }
        let desk = self.signing_key()?;
        self.name_revoked(rng)?;
        let mut made = 0;
        // A week of the shortest useful periods; a bound, so that a foolish period cannot keep us here.
        while made < 200 {
            let Some((period, begins, ends)) = self.next_roster(now)? else { break };
            self.make_roster(&desk, period, (begins, ends), rng)?;
            made += 1;
        }
        Ok(made)
    }

    /// Which period lacks a roster first: its number, begin and end.
    fn next_roster(&self, now: Seconds) -> Result<Option<(u32, u64, u64)>, DeskError> {
        let line = self.line()?;
        let certified = line.desk_cert.not_after.0;
        let replace = line.record.replace_upto;
        let mut living: Vec<&SignedRoster> = self.state.rosters.iter().filter(|roster| roster.not_after() > now).collect();
        living.sort_by_key(|roster| (roster.period(), std::cmp::Reverse(roster.serial())));
        let outdated = |roster: &&&SignedRoster| {
            roster.serial() <= replace && roster.generation() == line.desk_cert.generation
                || roster.generation() < line.desk_cert.generation
                || roster.desk_cert().not_after < roster.not_after() && roster.desk_cert().bytes() != line.desk_cert.bytes()
        };
        if let Some(roster) = living.iter().find(outdated) {
            return Ok(Some((roster.period(), roster.not_before().0, roster.not_after().0)));
        }
        // A new serial voids its own and all later periods: they are made again, with the times they had.
        let missing = |(period, span): &(&u32, &state::Period)| {
            span.ends > now.0 && !living.iter().any(|roster| roster.period() == **period)
        };
        if let Some((period, span)) = self.state.periods.iter().find(missing) {
            return Ok(Some((*period, span.begins, span.ends)));
        }
        // Short test periods are published a few ahead, not a week of them.
        let ahead = AHEAD.min(line.record.period_s.saturating_mul(64));
        let last = self.state.periods.iter().last();
        let (period, begins) = match last {
            Some((period, span)) if span.ends > now.0 => (period + 1, span.ends),
            Some((period, _)) => (period + 1, now.0 - now.0 % line.record.period_s),
            None => (1, now.0 - now.0 % line.record.period_s),
        };
        let ends = (begins + line.record.period_s).min(certified.max(begins + 1));
        Ok((begins < now.0 + ahead && begins < certified && ends > begins).then_some((period, begins, ends)))
    }

    fn make_roster(
        &mut self,
        desk: &SecretKey,
        period: u32,
        (begins, ends): (u64, u64),
        rng: &mut impl CryptoRng,
    ) -> Result<(), DeskError> {
        let secret = SealingSecret::generate(rng);
        let line = self.line()?;
        let record = &line.record;
        // Serials of a new generation begin anew.
        let last = self.state.last_roster.filter(|(generation, ..)| *generation == line.desk_cert.generation);
        let (serial, previous_hash) = last.map_or((0, [0; 32]), |(_, serial, hash)| (serial, hash));
        let safe_key: &[u8; 1216] = record.safe_key.as_slice().try_into().map_err(|_| DeskError::KeyMissing)?;
        let body = RosterBody {
            serial: serial + 1,
            period,
            not_before: Seconds(begins),
            not_after: Seconds(ends),
            timing: self.timing(),
            reply_weeks: record.reply_weeks,
            answer_within: record.answer_within,
            desk_key: secret.public().clone(),
            safe_key: SealingKey::from_bytes(safe_key).map_err(|_| DeskError::KeyMissing)?,
            seats_now: nine(&record.seats_now)?,
            seats_previous: nine(&record.seats_previous)?,
            revoked: eight(&record.revoked)?,
            previous_hash,
            bulletins_void_before: Seconds(record.void_before),
            closed_until: Seconds(record.closed_until),
        };
        let roster = body.sign(desk, &line.desk_cert, &line.root)?;
        self.put_key(secret_name(period, secret.public()), secret.seed());
        self.commit(Record::Roster(roster.bytes().to_vec()));
        Ok(())
    }

    /// The rosters that a relay has not taken yet, in the order in which to PUT them. A relay takes them from leads alone.
    #[must_use]
    pub fn rosters_to_put(&self, relay: u8) -> Vec<Box<[u8; 4096]>> {
        if self.state.line.as_ref().is_none_or(|line| line.device_cert.role != Role::Lead) {
            return Vec::new();
        }
        let put = self.state.relays.get(&relay).map_or(0, |relay| relay.put);
        let mut missing: Vec<&SignedRoster> = self.state.rosters.iter().filter(|roster| roster.serial() > put).collect();
        missing.sort_by_key(|roster| roster.serial());
        missing.into_iter().map(|roster| Box::new(*roster.bytes())).collect()
    }

    /// Notes that a relay took the roster of this serial.
    pub fn roster_put(&mut self, relay: u8, serial: u32) {
        let known = self.state.relays.get(&relay).copied().unwrap_or_default();
        self.commit(Record::Relay(relay, RelayRecord { put: known.put.max(serial), ..known }));
    }

    /// Has every roster from now on made anew with these changes.
    pub(super) fn change_line(
        &mut self,
        now: Seconds,
        rng: &mut impl CryptoRng,
        change: impl FnOnce(&mut LineRecord),
    ) -> Result<(), DeskError> {
        self.signing_key()?;
        let mut record = self.line()?.record.clone();
        record.replace_upto = self.last_serial();
        change(&mut record);
        self.commit(Record::Line(Box::new(record)));
        self.publish(now, rng)?;
        Ok(())
    }

    /// Gives the current and all published later periods new desk keys, and this device's seat a new key if it is 14 days old.
    ///
    /// # Errors
    ///
    /// As [`Desk::publish`].
    pub fn rotate(&mut self, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let line = self.line()?;
        let seat = line.device_cert.seat.filter(|_| now.0 >= line.record.seat_since + SEAT_KEY_LEAST);
        let number = line.record.seat_number + 1;
        let Some(seat) = seat else { return self.change_line(now, rng, |_| {}) };
        let key = SecretKey::generate(rng);
        self.put_key(KeyName::Seat(number), &key.seed());
        self.change_line(now, rng, |record| {
            put_seat(record, seat, &key.public());
            record.seat_number = number;
            record.seat_since = now.0;
        })
    }

    /// Renews the desk certificate, keeping its generation, and this device's own with it.
    ///
    /// # Errors
    ///
    /// [`DeskError::AnotherRoot`] if `root` is not the line's; [`DeskError::NotALead`].
    pub fn renew(&mut self, root: &SecretKey, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let generation = self.line()?.desk_cert.generation;
        self.certify(root, generation, now, rng)
    }

    /// Renews the desk certificate under the next generation: every certificate and roster signed before is void, and so is
    /// whatever a stolen lead may still sign.
    ///
    /// # Errors
    ///
    /// As [`Desk::renew`].
    pub fn raise_generation(&mut self, root: &SecretKey, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let generation = self.line()?.desk_cert.generation.saturating_add(1);
        for (number, relay) in self.state.relays.clone() {
            self.commit(Record::Relay(number, RelayRecord { put: 0, ..relay }));
        }
        self.certify(root, generation, now, rng)
    }

    fn certify(&mut self, root: &SecretKey, generation: u32, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let line = self.line()?;
        if root.public() != line.root {
            return Err(DeskError::AnotherRoot);
        }
        self.signing_key()?;
        let (id, device_cert, old_generation) = (line.id, line.device_cert.clone(), line.desk_cert.generation);
        let desk = SecretKey::generate(rng);
        let begins = Seconds(now.0.saturating_sub(CLOCK_SLACK));
        let desk_cert = DeskCert::sign(root, &desk.public(), generation, begins, now.plus(DESK_CERT_LIFE));
        let device_cert = DeviceCert::sign(
            &desk,
            &id,
            &device_cert.device_pk,
            (device_cert.role, device_cert.seat),
            (begins, now.plus(DEVICE_CERT_LIFE)),
        )
        .map_err(|_| DeskError::BadAdmission)?;
        self.put_key(KeyName::DeskSigning, &desk.seed());
        self.change_line(now, rng, |record| {
            record.desk_cert = desk_cert.bytes().to_vec();
            record.device_cert = device_cert.bytes().to_vec();
            if generation > old_generation {
                // Everything older is void anyway, and serials begin anew.
                record.replace_upto = 0;
            }
        })?;
        self.vouch_anew(&desk, &device_cert, now, rng)
    }

    /// Vouches anew for every device of the team, with the new desk key; this device's own certificate is given.
    fn vouch_anew(
        &mut self,
        desk: &SecretKey,
        own: &DeviceCert,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<(), DeskError> {
        let line = self.line()?;
        let (id, me, desk_cert) = (line.id, line.device, line.desk_cert.bytes().to_vec());
        let life = (own.not_before, own.not_after);
        let mut anew = Vec::new();
        for (device, known) in self.state.devices.iter().filter(|(_, known)| !known.record.revoked) {
            let cert = if *device == me {
                own.clone()
            } else {
                DeviceCert::sign(desk, &id, &known.cert.device_pk, (known.cert.role, known.cert.seat), life)
                    .map_err(|_| DeskError::BadAdmission)?
            };
            let device_cert = cert.bytes().to_vec();
            anew.push(DeviceRecord { desk_cert: desk_cert.clone(), device_cert, ..known.record.clone() });
        }
        for record in anew {
            let event = admitted(&record)?;
            self.commit(Record::Device(record));
            self.tell(&event, now, rng)?;
        }
        Ok(())
    }

    /// Takes up a certificate that a lead has sent this device.
    pub(super) fn adopt_certificate(&mut self) {
        let Some(line) = &self.state.line else { return };
        let Some(mine) = self.state.devices.get(&line.device).filter(|mine| mine.cert.not_after > line.device_cert.not_after)
        else {
            return;
        };
        let mut record = line.record.clone();
        record.desk_cert = mine.record.desk_cert.clone();
        record.device_cert = mine.record.device_cert.clone();
        self.commit(Record::Line(Box::new(record)));
    }

    /// Says that nobody is here until then, or that the line is open again.
    ///
    /// # Errors
    ///
    /// As [`Desk::publish`].
    pub fn set_closed_until(&mut self, until: Option<Seconds>, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        self.change_line(now, rng, |record| record.closed_until = until.map_or(0, |until| until.0))
    }

    /// Says how soon somebody usually answers, 0–5.
    ///
    /// # Errors
    ///
    /// As [`Desk::publish`].
    pub fn set_answer_within(&mut self, code: u8, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        self.change_line(now, rng, |record| record.answer_within = code.min(5))
    }

    /// Voids every bulletin raised until now.
    ///
    /// # Errors
    ///
    /// As [`Desk::publish`].
    pub fn void_bulletins(&mut self, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        self.change_line(now, rng, |record| record.void_before = now.0 + 1)
    }

    /// A bulletin, signed by this device's seat, to PUT to every relay.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSeat`], [`DeskError::KeyMissing`].
    pub fn raise_bulletin(&self, code: Code, now: Seconds) -> Result<[u8; 80], DeskError> {
        let line = self.line()?;
        let seat = line.device_cert.seat.ok_or(DeskError::NoSeat)?;
        Ok(Bulletin { code, seat, time: now }.sign(&self.seat_key()?, &line.id))
    }

    /// The device token for one request (SPEC §11.1).
    ///
    /// # Errors
    ///
    /// [`DeskError::NoLine`], [`DeskError::KeyMissing`].
    pub fn token(
        &self,
        spki: &[u8; 32],
        request: &Request<'_>,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<String, DeskError> {
        let line = self.line()?;
        let device = self.device_key()?;
        let credentials =
            Credentials { desk_cert: &line.desk_cert, device_cert: &line.device_cert, device: &device, line: &line.id };
        Ok(credentials.token(spki, request, now, rng))
    }

    /// Erases the secrets whose time is over: desk secrets the up TTL and twelve hours after their period's end, and this
    /// device's own sealing secrets as long after the week in which leads seal to them.
    pub(super) fn erase_secrets(&mut self, now: Seconds) {
        let Some(line) = &self.state.line else { return };
        let grace = line.record.up_ttl_s + SECRET_GRACE;
        let held = self.ring.names().filter_map(|name| if let KeyName::Period(period, _) = name { Some(period) } else { None });
        let periods: BTreeSet<u32> = self.state.periods.keys().copied().chain(held).collect();
        let over: BTreeSet<u32> = periods.into_iter().filter(|period| self.period_is_over(*period, grace, now)).collect();
        let names: Vec<KeyName> =
            self.ring.names().filter(|name| matches!(name, KeyName::Period(period, _) if over.contains(period))).collect();
        for name in names.into_iter().chain(self.sealing_keys_over(now, grace)) {
            self.forget_key(name);
        }
        // The newest period stays, so that numbers go on without a gap.
        let newest = self.state.periods.keys().last().copied();
        for period in over.into_iter().filter(|period| Some(*period) != newest) {
            self.commit(Record::PeriodForgotten(period));
        }
    }

    /// Whether nothing sealed in a period is held anywhere any more. One that is not known, because its secret came late, was over
    /// when a later one began: periods follow each other without gaps.
    fn period_is_over(&self, period: u32, grace: u64, now: Seconds) -> bool {
        let span = self.state.periods.get(&period);
        let later = || self.state.periods.range(period.saturating_add(1)..).next().map(|(_, span)| span.begins);
        span.map(|span| span.ends).or_else(later).is_some_and(|ended| ended + grace <= now.0)
    }

    /// Sealing keys of this device that nothing can be sealed to any more: a lead seals to one for a week after it was made,
    /// and the relay keeps that for `grace` with some hours more. Keys are renewed at most once a day, so the number of one
    /// says when it was made at the latest.
    fn sealing_keys_over(&self, now: Seconds, grace: u64) -> Vec<KeyName> {
        let Some(line) = &self.state.line else { return Vec::new() };
        let (newest, since) = (line.record.sealing_number, line.record.sealing_since);
        let over = |number: u64| {
            let made = since.saturating_sub((newest - number).saturating_mul(SEALING_KEY_EVERY));
            made + SEALING_KEY_AGE_MAX + grace <= now.0
        };
        self.ring.names().filter(|name| matches!(name, KeyName::Sealing(number) if *number < newest && over(*number))).collect()
    }

    /// What `line show` tells.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoLine`].
    pub fn line_view(&self, now: Seconds) -> Result<LineView, DeskError> {
        let line = self.line()?;
        let roster = self.state.rosters.in_force(now);
        let published_until = self.published_until(now);
        let device_view = |(id, device): (&DeviceId, &state::Device)| DeviceView {
            device: hex(&id.0),
            role: match device.cert.role {
                Role::Lead => "lead",
                Role::Worker => "worker",
                Role::Safeguarding => "safeguarding",
            },
            seat: device.cert.seat.map(Seat::number),
            certified_until: device.cert.not_after.0,
            revoked: device.record.revoked,
            mine: *id == line.device,
        };
        let devices: Vec<DeviceView> = self.state.devices.iter().map(device_view).collect();
        let sits = |seat: Seat| {
            devices.iter().find(|device| device.seat == Some(seat.number()) && !device.revoked).map(|d| d.device.clone())
        };
        Ok(LineView {
            line: hex(line.id.as_bytes()),
            period: roster.map(SignedRoster::period),
            serial: roster.map(SignedRoster::serial),
            published_until,
            closed_until: Some(line.record.closed_until).filter(|until| *until > now.0),
            device: hex(&line.device.0),
            seats: Seat::all().map(|seat| SeatView { seat: seat.number(), device: sits(seat) }).collect(),
            devices,
            relays: line
                .card
                .relays
                .iter()
                .map(|relay| {
                    let known = self.state.relays.get(&relay.number).copied().unwrap_or_default();
                    RelayView { number: relay.number, url: relay.url.clone(), position: known.position, serial_put: known.put }
                })
                .collect(),
            keep_days: self.keep_days(),
            warnings: self.warnings(published_until, now),
        })
    }

    /// Until when rosters are published, as far as this device can know. A relay shows only the one in force; but a lead sends
    /// every device the secrets of all it has signed.
    fn published_until(&self, now: Seconds) -> u64 {
        let signed = self.state.rosters.iter().map(|roster| roster.not_after().0).max().unwrap_or(0);
        let (Ok(line), Ok(roster)) = (self.line(), self.roster(now)) else { return signed };
        let held = self.ring.names().filter_map(|name| if let KeyName::Period(period, _) = name { Some(period) } else { None });
        let further = held.max().unwrap_or(0).saturating_sub(roster.period());
        signed.max(roster.not_after().0.saturating_add(u64::from(further).saturating_mul(line.record.period_s)))
    }

    fn warnings(&self, published_until: u64, now: Seconds) -> Vec<Warning> {
        let half_over = |line: &state::Line| now.0 + DESK_CERT_LIFE / 2 > line.desk_cert.not_after.0;
        let horizon = HORIZON_LEAST.min(self.state.line.as_ref().map_or(0, |line| line.record.period_s.saturating_mul(3)));
        [
            (published_until < now.0 + horizon, Warning::HorizonShort),
            (self.state.line.as_ref().is_some_and(half_over), Warning::RenewDeskCertificate),
            (self.doubtful(), Warning::Doubtful),
            (self.carousel_is_slow(now), Warning::CarouselSlow),
            (self.state.is_crowded(), Warning::Crowded),
            (self.may_have_missed(), Warning::Missed),
            (self.is_revoked(now), Warning::Revoked),
        ]
        .into_iter()
        .filter_map(|(holds, warning)| holds.then_some(warning))
        .collect()
    }
}

/// What tells the team of a device.
pub(super) fn admitted(device: &DeviceRecord) -> Result<Event, DeskError> {
    let wrong = |_| DeskError::BadAdmission;
    Ok(Event::Admitted(Admitted {
        desk_cert: device.desk_cert.clone().into_boxed_slice().try_into().map_err(wrong)?,
        device_cert: device.device_cert.clone().into_boxed_slice().try_into().map_err(wrong)?,
        sealing_key: device.sealing_key.clone().into_boxed_slice().try_into().map_err(wrong)?,
    }))
}

pub(super) fn put_seat(record: &mut LineRecord, seat: Seat, key: &PublicKey) {
    let at = 32 * usize::from(seat.number());
    let old: Vec<u8> = record.seats_now.get(at..at + 32).map(<[u8]>::to_vec).unwrap_or_default();
    for (slot, bytes) in [(&mut record.seats_previous, old.as_slice()), (&mut record.seats_now, key.as_bytes().as_slice())] {
        if let Some(place) = slot.get_mut(at..at + 32).filter(|place| place.len() == bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

fn nine(keys: &[u8]) -> Result<[PublicKey; 9], DeskError> {
    let keys: Vec<PublicKey> = keys.chunks_exact(32).filter_map(|key| Some(PublicKey::from_bytes(*key.first_chunk()?))).collect();
    keys.try_into().map_err(|_| DeskError::KeyMissing)
}

fn eight(ids: &[u8]) -> Result<[DeviceId; 8], DeskError> {
    let ids: Vec<DeviceId> = ids.chunks_exact(8).filter_map(|id| Some(DeviceId(*id.first_chunk()?))).collect();
    ids.try_into().map_err(|_| DeskError::KeyMissing)
}

/// The beat of a relay that has not told its own.
pub(super) fn default_desk_beat(timing: &Timing) -> Millis {
    Millis(u64::from(timing.beat_ms / 3).max(10))
}
