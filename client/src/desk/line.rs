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
    roster::{SignedRoster, UncheckedRoster},
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
pub(super) const DESK_CERT_LIFE: u64 = 30 * 86_400;
pub(super) const DEVICE_CERT_LIFE: u64 = 60 * 86_400;
/// A roster that begins more than so many seconds ahead is not taken.
pub(super) const BEGINS_AT_MOST: u64 = 8 * 86_400;
/// A published horizon below this many seconds is a warning.
const HORIZON_LEAST: u64 = 72 * 3600;
/// A seat's key is kept at least this long, in seconds, unless its device is revoked.
pub(super) const SEAT_KEY_LEAST: u64 = 14 * 86_400;
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
    /// Whether a roster of seven periods is published behind those of the coming days, for when all leads are gone.
    pub emergency: bool,
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
    /// The rosters of the coming days end within 72 hours: no lead has been here for days.
    HorizonShort,
    /// The roster in force is the one for when all leads are gone.
    EmergencyPeriod,
    /// The desk certificate is past half its life: `line renew` with the root words.
    RenewDeskCertificate,
    /// It is not known which tags were used: the vault was restored.
    Doubtful,
    /// The vault was restored and lacks what this device has told its team: revoke it and join anew.
    Outdated,
    /// A round of the carousel takes longer than the slow days: lower `slow_s`.
    CarouselSlow,
    /// Letters of people the team does not know take half of their room: look at them, or ask the relay for stamps.
    Crowded,
    /// Letters may have died unread while this device was away; a colleague's has been asked for them.
    Missed,
    /// This device was revoked: it learns nothing new, and what it writes nobody takes.
    Revoked,
    /// The keys of the safeguarding mailbox, or its certificate, are soon too old: `safeguard renew`.
    RenewMailbox,
    /// The line's statement names another safeguarding key than this mailbox's: somebody else reads what callers write there.
    MailboxReplaced,
    /// The line's statement names another key for this device's seat: callers' programs do not take what it answers.
    SeatUnnamed,
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
        self.put_key(KeyName::DeskSigning(1), &desk.seed());
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
            signing_cert: desk_cert.bytes().to_vec(),
            signing_number: 1,
            emergency: plan.emergency,
            given: Vec::new(),
            serial_least: 0,
            raise_events: 0,
            raise_at: 0,
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
        match &served {
            Some(Ok(roster)) => {
                heard.serial = roster.serial();
                heard.rolled_back = self.is_rolled_back(roster, relay, now);
                heard.bulletin = Bulletin::check(&notice.bulletin, roster, now).ok().flatten().map(|bulletin| bulletin.code);
                self.adopt(roster, now)?;
                self.take_up_named_keys(roster, now)?;
            }
            Some(Err(_)) => heard.rolled_back = true,
            // It had the one in force, and has none.
            None => heard.rolled_back = self.roster(now).is_ok_and(|ours| self.has_put(relay, ours)),
        }
        // What is over by this machine's clock may be in force by the relay's: it is given that, too.
        let theirs = notice.clock_ms.seconds();
        let earlier = if theirs.0 + 86_400 >= now.0 { now.min(theirs) } else { now };
        self.note_notice(relay, served.as_ref().and_then(|served| served.as_ref().ok()), (now, earlier));
        Ok(heard)
    }

    fn is_rolled_back(&self, served: &SignedRoster, relay: u8, now: Seconds) -> bool {
        let before = |ours: &SignedRoster| served.generation() == ours.generation() && served.serial() < ours.serial();
        let older = |ours: &SignedRoster| before(ours) && self.has_put(relay, ours);
        self.roster(now).is_ok_and(older) || served.generation() < self.state.rosters.generation()
    }

    pub(super) fn has_put(&self, relay: u8, roster: &SignedRoster) -> bool {
        self.state.put.get(&relay).is_some_and(|put| put.contains(&roster.hash()))
    }

    /// The last serial of the generation that this device is certified in, or 0: serials of a new one begin anew.
    pub(super) fn last_serial(&self) -> u32 {
        let generation = self.state.line.as_ref().map(|line| line.desk_cert.generation);
        self.state.last_roster.filter(|(of, ..)| Some(*of) == generation).map_or(0, |(_, serial, _)| serial)
    }

    /// Has every roster from now on made anew with these changes.
    pub(super) fn change_line(
        &mut self,
        now: Seconds,
        rng: &mut impl CryptoRng,
        change: impl FnOnce(&mut LineRecord),
    ) -> Result<(), DeskError> {
        self.signing()?;
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

    /// Erases the secrets whose time is over: desk secrets the up TTL and twelve hours after their period's end, this device's own
    /// sealing secrets as long after the week in which leads seal to them, and a desk signing key when there is another.
    pub(super) fn erase_secrets(&mut self, now: Seconds) {
        let Some(line) = &self.state.line else { return };
        let (grace, signs) = (line.record.up_ttl_s + SECRET_GRACE, line.record.signing_number);
        let held = self.ring.names().filter_map(|name| if let KeyName::Period(period, _) = name { Some(period) } else { None });
        let seen = self.state.replayed.keys();
        let periods: BTreeSet<u32> = self.state.periods.keys().chain(seen).copied().chain(held).collect();
        let over: BTreeSet<u32> = periods.into_iter().filter(|period| self.period_is_over(*period, now)).collect();
        let is_over = |name: &KeyName| match name {
            KeyName::Period(period, _) => over.contains(period),
            KeyName::DeskSigning(number) => *number != signs,
            _ => false,
        };
        let names: Vec<KeyName> = self.ring.names().filter(is_over).collect();
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
    pub(super) fn period_is_over(&self, period: u32, now: Seconds) -> bool {
        let grace = self.state.line.as_ref().map_or(0, |line| line.record.up_ttl_s) + SECRET_GRACE;
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
        let outside = self.is_safeguarding();
        let over = |number: u64| {
            if outside {
                // Callers sealed to the one before until the end of the period in which a statement named another.
                return since + line.record.period_s + grace <= now.0;
            }
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
        let (regular_until, published_until) = self.published_until(now);
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
            warnings: self.warnings(regular_until, now),
        })
    }

    fn warnings(&self, regular_until: u64, now: Seconds) -> Vec<Warning> {
        let half_over = now.0 + DESK_CERT_LIFE / 2 > self.certified_until();
        let horizon = HORIZON_LEAST.min(self.state.line.as_ref().map_or(0, |line| line.record.period_s.saturating_mul(3)));
        // What is the team's to do is nothing to somebody outside it.
        let of_team = !self.is_safeguarding();
        [
            (of_team && regular_until < now.0 + horizon, Warning::HorizonShort),
            (of_team && self.is_emergency(now), Warning::EmergencyPeriod),
            (of_team && half_over, Warning::RenewDeskCertificate),
            (self.mailbox_ages(now), Warning::RenewMailbox),
            (self.mailbox_replaced(now), Warning::MailboxReplaced),
            (self.seat_is_unnamed(now), Warning::SeatUnnamed),
            (self.doubtful() && !self.is_outdated(), Warning::Doubtful),
            (self.is_outdated(), Warning::Outdated),
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
    if old == key.as_bytes() {
        return;
    }
    for (slot, bytes) in [(&mut record.seats_previous, old.as_slice()), (&mut record.seats_now, key.as_bytes().as_slice())] {
        if let Some(place) = slot.get_mut(at..at + 32).filter(|place| place.len() == bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
}

pub(super) fn nine(keys: &[u8]) -> Result<[PublicKey; 9], DeskError> {
    let keys: Vec<PublicKey> = keys.chunks_exact(32).filter_map(|key| Some(PublicKey::from_bytes(*key.first_chunk()?))).collect();
    keys.try_into().map_err(|_| DeskError::KeyMissing)
}

pub(super) fn eight(ids: &[u8]) -> Result<[DeviceId; 8], DeskError> {
    let ids: Vec<DeviceId> = ids.chunks_exact(8).filter_map(|id| Some(DeviceId(*id.first_chunk()?))).collect();
    ids.try_into().map_err(|_| DeskError::KeyMissing)
}

/// The beat of a relay that has not told its own.
pub(super) fn default_desk_beat(timing: &Timing) -> Millis {
    Millis(u64::from(timing.beat_ms / 3).max(10))
}
