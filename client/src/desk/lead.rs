//! Who signs rosters, when, and what must be in them, so that several leads do not sign against each other (SPEC §5.3).
use crate::desk::{
    Desk, DeskError,
    line::{BEGINS_AT_MOST, CLOCK_SLACK, DESK_CERT_LIFE, DEVICE_CERT_LIFE, admitted, eight, nine, secret_name},
    record::{DeviceRecord, GivenRecord, LineRecord, Record, RelayRecord},
    state::Period,
};
use crate::vault::KeyName;
use porchlight_proto::{
    cert::{DeskCert, DeviceCert, Role},
    event::Event,
    limits::ROSTER_LEN,
    line::{DeviceId, Seat},
    roster::{RosterBody, SignedRoster, UncheckedRoster},
    seal::{SealingKey, SealingSecret},
    sign::{PublicKey, SecretKey},
    time::Seconds,
};
use rand_core::CryptoRng;

/// Rosters of one period each are published this many seconds ahead, or this many short periods, less the slack below: the
/// emergency period behind them must begin within eight days by every relay's clock.
const AHEAD: u64 = 7 * 86_400;
const AHEAD_PERIODS: u64 = 14;
const SLACK: u64 = 6 * 3600;
/// The emergency period is as long as this many others, but no roster is longer than a week.
const EMERGENCY_PERIODS: u64 = 7;
const ROSTER_LIFE: u64 = 7 * 86_400;
/// A lead whose turn it is not waits so many seconds for each before it.
const TURN: u64 = 600;
/// No device is away for longer, in seconds: a year and some weeks.
const AWAY_AT_MOST: u64 = 400 * 86_400;
/// So many periods more than time has brought are believed: one that begins in the middle of a day is shorter.
const PERIODS_SPARED: u64 = 16;
/// After a backup was restored so many serials are left out: it is not known which were used.
const SERIALS_SPARED: u32 = 1000;
/// For so many seconds a raised generation waits for colleagues to hear of their new certificates.
const RAISE_WAIT: u64 = 900;
/// Rosters name this many devices as revoked.
const NAMED: usize = 8;

/// A roster to be made.
pub(super) struct Span {
    pub(super) period: u32,
    pub(super) begins: u64,
    pub(super) ends: u64,
}

/// A seat whose key this device answers for.
struct Known {
    seat: Seat,
    now: PublicKey,
    /// The key before this one, of its own seat.
    before: Option<PublicKey>,
    /// Of the safeguarding mailbox the key to seal to.
    sealing: Option<Vec<u8>>,
}

impl Desk {
    /// What this lead signs with.
    ///
    /// # Errors
    ///
    /// [`DeskError::NotALead`]; [`DeskError::Revoked`]; [`DeskError::Restored`] after a restored backup;
    /// [`DeskError::NotCertified`] if the certificate is of a voided generation, or not of the key in the vault.
    pub(super) fn signing(&self) -> Result<(SecretKey, DeskCert), DeskError> {
        let line = self.line()?;
        if line.device_cert.role != Role::Lead {
            return Err(DeskError::NotALead);
        }
        if self.state.revoked.contains(&line.device) {
            return Err(DeskError::Revoked);
        }
        if self.doubtful() {
            return Err(DeskError::Restored);
        }
        let key = self.signing_key()?;
        let cert = DeskCert::check(&line.record.signing_cert, &line.root).map_err(|_| DeskError::NotCertified)?;
        if cert.desk_pk != key.public() || cert.generation < self.state.rosters.generation() {
            return Err(DeskError::NotCertified);
        }
        Ok((key, cert))
    }

    fn signing_key(&self) -> Result<SecretKey, DeskError> {
        let number = self.line()?.record.signing_number;
        self.ring.key(KeyName::DeskSigning(number)).map(SecretKey::from_seed).ok_or(DeskError::NotCertified)
    }

    /// Until when the certificate lives on which this device depends: a lead's own, else that of whoever vouches for it.
    pub(super) fn certified_until(&self) -> u64 {
        let line = self.state.line.as_ref();
        let own = self.signing().map(|(_, cert)| cert.not_after.0).ok();
        own.or_else(|| line.map(|line| line.desk_cert.not_after.0)).unwrap_or(0)
    }

    /// The leads of the team in the order in which it is their turn: by seat, then by id.
    fn leads(&self, now: Seconds) -> Vec<DeviceId> {
        let generation = self.state.rosters.generation();
        let living = self.state.devices.iter().filter(|(_, device)| {
            let lives = !device.record.revoked && device.cert.not_after > now && device.generation >= generation;
            device.cert.role == Role::Lead && lives
        });
        let mut leads: Vec<(u8, DeviceId)> =
            living.map(|(id, device)| (device.cert.seat.map_or(u8::MAX, Seat::number), *id)).collect();
        leads.sort_unstable();
        leads.into_iter().map(|(_, id)| id).collect()
    }

    /// How many leads come before this one.
    fn turn(&self, now: Seconds) -> u64 {
        let (leads, me) = (self.leads(now), self.state.line.as_ref().map(|line| line.device));
        leads.iter().take_while(|lead| Some(**lead) != me).count() as u64
    }

    fn period_s(&self) -> u64 {
        self.state.line.as_ref().map_or(1, |line| line.record.period_s)
    }

    /// How far ahead, in seconds, the last roster of one period begins.
    fn ahead(&self) -> u64 {
        let period = self.period_s();
        AHEAD.min(period.saturating_mul(AHEAD_PERIODS)) - SLACK.min(period / 4)
    }

    /// Of each period that is not over the roster that wins, in their order. One that a later period's has taken over from is left out:
    /// an emergency period may be long, and whoever was away has not heard what voided it.
    pub(super) fn living(&self, now: Seconds) -> Vec<&SignedRoster> {
        let mut periods: Vec<u32> =
            self.state.rosters.iter().filter(|roster| roster.not_after() > now).map(SignedRoster::period).collect();
        periods.sort_unstable();
        periods.dedup();
        let chosen = periods.into_iter().filter_map(|period| self.state.chosen(period));
        let mut living: Vec<&SignedRoster> = chosen.filter(|roster| roster.not_after() > now).collect();
        let place = |roster: &SignedRoster| (roster.generation(), roster.serial());
        let all = living.clone();
        living.retain(|roster| {
            let begins = roster.not_before().max(now);
            let over = |later: &&&SignedRoster| place(later) > place(roster) && later.period() > roster.period();
            !all.iter().filter(over).any(|later| later.not_before() <= begins)
        });
        living
    }

    /// Until when rosters follow each other without a gap.
    pub(super) fn covered_until(&self, now: Seconds) -> u64 {
        self.living(now).iter().fold(
            now.0,
            |until, roster| {
                if roster.not_before().0 <= until { until.max(roster.not_after().0) } else { until }
            },
        )
    }

    /// The last period as far as is known; where the emergency period begins, if that is it.
    fn last_period(&self, now: Seconds) -> Option<(u32, u64, Option<u64>)> {
        let (period, span) = self.state.periods.iter().next_back().filter(|(_, span)| span.ends > now.0)?;
        let one = self.period_s();
        let is_emergency = span.ends - span.begins > one && span.ends > span.begins.max(now.0) + one;
        Some((*period, span.ends, is_emergency.then_some(span.begins)))
    }

    /// Until when the rosters of single periods reach, and until when any does. Whoever voids some is at work on making them anew.
    pub(super) fn published_until(&self, now: Seconds) -> (u64, u64) {
        let follow = |until: u64, span: &Period| if span.begins <= until { until.max(span.ends) } else { until };
        let all = self.state.periods.values().fold(now.0, follow);
        let regular = self.last_period(now).and_then(|(_, _, emergency)| emergency).map_or(all, |begins| begins.min(all));
        (regular.max(now.0), all)
    }

    /// Whether the roster in force is an emergency period's.
    pub(super) fn is_emergency(&self, now: Seconds) -> bool {
        let last = self.state.periods.keys().next_back().copied();
        self.roster(now)
            .is_ok_and(|roster| Some(roster.period()) == last && roster.not_after().0 - roster.not_before().0 > self.period_s())
    }

    /// Makes the rosters that are missing, if it is this device's turn: those of the coming days, and behind them one for when all
    /// leads are gone; none beyond the life of its desk certificate. Gives how many.
    ///
    /// # Errors
    ///
    /// [`DeskError::Roster`] if the line's settings cannot be signed. A device that may not sign makes none, which is no error.
    pub fn publish(&mut self, now: Seconds, rng: &mut impl CryptoRng) -> Result<usize, DeskError> {
        self.line()?;
        let Ok((key, cert)) = self.signing() else { return Ok(0) };
        if self.waits_to_raise(now) {
            return Ok(0);
        }
        let mut made = 0;
        if self.state.last_roster.is_some_and(|(generation, ..)| generation < cert.generation) {
            let first = self.begin_generation(&cert, now, rng)?;
            self.mend(true, now, rng)?;
            self.make_roster(&key, &cert, &first, rng)?;
            made += 1;
        } else {
            self.mend(false, now, rng)?;
        }
        let turn = self.turn(now);
        let extends = turn == 0 || self.is_short(turn, now);
        // More than a line can have at one time; a bound, so that a foolish period cannot keep us here.
        while made < 200 {
            let Some(span) = self.next_roster(&cert, extends, now)? else { break };
            self.make_roster(&key, &cert, &span, rng)?;
            made += 1;
        }
        Ok(made)
    }

    /// Lets go of what others signed before the generation was raised: it may name anybody's keys, put out anybody, void every bulletin to
    /// come, and lay periods over each other or put them off. Gives the first period, today's, under a number that none had.
    fn begin_generation(&mut self, cert: &DeskCert, now: Seconds, rng: &mut impl CryptoRng) -> Result<Span, DeskError> {
        let mut record = self.line()?.record.clone();
        self.give_keys_anew(&mut record, rng);
        record.void_before = record.void_before.min(now.0 + 1);
        // Serials begin anew.
        (record.replace_upto, record.serial_least) = (0, 0);
        self.commit(Record::Line(Box::new(record)));
        let period = self.state.periods.keys().next_back().map_or(1, |last| last.saturating_add(1));
        self.forget_periods(period, now);
        // Not from midnight on: keys of periods that are not known any more are held to be over when the next one began.
        let (today, one) = (now.0 - now.0 % self.period_s(), self.period_s());
        let begins = today.max(now.0.saturating_sub(CLOCK_SLACK));
        Ok(Span { period, begins, ends: (today + one).min(cert.not_after.0).min(begins + ROSTER_LIFE) })
    }

    /// Forgets what rosters of a voided generation say of periods: of those from this number on, of those to come, and of one that
    /// would last for longer than a usual one. The one that ends today tells how long its key opens what callers sealed to it.
    fn forget_periods(&mut self, from: u32, now: Seconds) {
        let one = self.period_s();
        let is_voided = |period: u32, span: &Period| period >= from || span.begins > now.0 || span.ends > now.0 + one;
        let voided = self.state.periods.iter().filter(|(period, span)| is_voided(**period, span));
        for period in voided.map(|(period, _)| *period).collect::<Vec<_>>() {
            self.commit(Record::PeriodForgotten(period));
        }
    }

    /// Whether those whose turn it is have been missing for so long that this lead takes theirs.
    fn is_short(&self, turn: u64, now: Seconds) -> bool {
        let regular = self.last_period(now).map_or(0, |(_, ends, emergency)| emergency.unwrap_or(ends));
        let late = regular < (now.0 + self.ahead()).saturating_sub(turn.saturating_mul(self.period_s()));
        late || self.covered_until(now) < now.0 + self.urgent()
    }

    /// A gap this near, in seconds, is closed by any lead.
    fn urgent(&self) -> u64 {
        SLACK.min(self.period_s() / 4)
    }

    /// Which period lacks a roster first.
    fn next_roster(&self, cert: &DeskCert, extends: bool, now: Seconds) -> Result<Option<Span>, DeskError> {
        let (certified, record) = (cert.not_after.0, &self.line()?.record);
        let living = self.living(now);
        let outdated = |roster: &&&SignedRoster| {
            let replaced = roster.serial() <= record.replace_upto && roster.generation() == cert.generation;
            replaced || roster.generation() < cert.generation || roster.timing() != self.timing()
        };
        if let Some(roster) = living.iter().find(outdated)
            && let Some(span) = self.span_again(roster.period(), certified)
        {
            return Ok(Some(span));
        }
        // A new serial voids its own and all later periods: whoever made it makes them again, with the times they had.
        let newest = self.state.last_roster.and_then(|(.., hash)| living.iter().find(|roster| roster.hash() == hash));
        let mine = newest.is_none_or(|roster| roster.desk_cert().desk_pk == cert.desk_pk);
        // Rosters of a voided generation are nobody's to make again: the first of this one has a higher number.
        let lowest = self.lowest_period();
        let missing = self.state.periods.range(lowest..).find(|(period, span)| {
            let due = mine || span.begins < now.0 + self.urgent();
            // One that a later one has taken over from is left: else each would void the other, without end.
            let taken_over =
                |roster: &&SignedRoster| roster.period() > **period && roster.not_before().0 <= span.begins.max(now.0);
            let is_there = living.iter().any(|roster| roster.period() == **period || taken_over(roster));
            span.ends > now.0 && due && !is_there
        });
        if let Some((period, _)) = missing
            && let Some(span) = self.span_again(*period, certified)
        {
            return Ok(Some(span));
        }
        Ok(if extends { self.further(certified, now) } else { None })
    }

    /// The lowest period of which this generation has a roster. What is below it was said by those whom the root has voided.
    fn lowest_period(&self) -> u32 {
        self.state.rosters.iter().map(SignedRoster::period).min().unwrap_or(0)
    }

    /// A period with the times it had, from the end of the one before.
    fn span_again(&self, period: u32, certified: u64) -> Option<Span> {
        let span = self.state.periods.get(&period)?;
        let before = period.checked_sub(1).filter(|before| *before >= self.lowest_period());
        let before = before.and_then(|before| self.state.periods.get(&before)).map(|before| before.ends);
        let begins = before.filter(|ends| *ends < span.ends).unwrap_or(span.begins);
        let ends = span.ends.min(certified).min(begins + ROSTER_LIFE);
        (begins < ends).then_some(Span { period, begins, ends })
    }

    /// The next period behind those that are there. One more day takes the place of the emergency period, which moves on.
    fn further(&self, certified: u64, now: Seconds) -> Option<Span> {
        let one = self.period_s();
        let emergency = self.state.line.as_ref().is_some_and(|line| line.record.emergency);
        let today = now.0 - now.0 % one;
        let (period, begins, is_there) = match self.last_period(now) {
            Some((period, _, Some(begins))) => (period, begins, true),
            Some((period, ends, None)) => (period.saturating_add(1), ends, false),
            None => (self.state.periods.keys().next_back().map_or(1, |last| last.saturating_add(1)), today, false),
        };
        let ends = if begins < now.0 + self.ahead() {
            let within = begins.max(now.0);
            within - within % one + one
        } else if emergency && !is_there {
            begins + one.saturating_mul(EMERGENCY_PERIODS)
        } else {
            return None;
        };
        let ends = ends.min(begins + ROSTER_LIFE).min(certified);
        (begins < ends).then_some(Span { period, begins, ends })
    }

    pub(super) fn make_roster(
        &mut self,
        key: &SecretKey,
        cert: &DeskCert,
        span: &Span,
        rng: &mut impl CryptoRng,
    ) -> Result<(), DeskError> {
        let secret = SealingSecret::generate(rng);
        let line = self.line()?;
        let record = &line.record;
        // Serials of a new generation begin anew.
        let last = self.state.last_roster.filter(|(generation, ..)| *generation == cert.generation);
        let (serial, previous_hash) = last.map_or((0, [0; 32]), |(_, serial, hash)| (serial, hash));
        let safe_key: &[u8; 1216] = record.safe_key.as_slice().try_into().map_err(|_| DeskError::KeyMissing)?;
        let body = RosterBody {
            serial: serial.saturating_add(1).max(record.serial_least),
            period: span.period,
            not_before: Seconds(span.begins),
            not_after: Seconds(span.ends),
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
        let roster = body.sign(key, cert, &line.root)?;
        self.put_key(secret_name(span.period, secret.public()), secret.seed());
        self.commit(Record::Roster(roster.bytes().to_vec()));
        Ok(())
    }

    /// Takes a roster that another lead made: with it, what it says of seats and revoked devices.
    pub(super) fn adopt(&mut self, roster: &SignedRoster, now: Seconds) -> Result<(), DeskError> {
        let too_early = roster.not_before().0 > now.0 + BEGINS_AT_MOST;
        let known = self.state.rosters.iter().any(|known| known.hash() == roster.hash());
        // Whoever has a certificate of a generation that the root has raised takes no more from what that voids.
        let least = self.state.rosters.generation().max(self.line()?.desk_cert.generation);
        let is_raised = roster.generation() > self.state.rosters.generation();
        let is_unlikely = !is_raised && self.is_far_off(roster, now);
        if too_early || known || roster.generation() < least || is_unlikely {
            return Ok(());
        }
        if is_raised {
            self.forget_periods(roster.period(), now);
        }
        self.commit(Record::Roster(roster.bytes().to_vec()));
        if self.state.last_roster.is_none_or(|(.., hash)| hash != roster.hash()) {
            return Ok(());
        }
        let keys = |which: usize| {
            Seat::all().filter_map(|seat| roster.seat_keys(seat).get(which).map(|key| *key.as_bytes())).flatten().collect()
        };
        let mut record = self.line()?.record.clone();
        record.seats_now = keys(0);
        record.seats_previous = keys(1);
        record.revoked = roster.revoked_ids().flat_map(|id| id.0).collect();
        record.closed_until = roster.closed_until().0;
        // A raised generation takes back what a stolen lead may have said of it.
        let least = if is_raised { 0 } else { record.void_before };
        record.void_before = roster.bulletins_void_before().0.max(least);
        record.answer_within = roster.answer_within();
        record.safe_key = roster.safe_key().as_bytes().to_vec();
        self.commit(Record::Line(Box::new(record)));
        Ok(())
    }

    /// Whether a roster's period is more than the time since the newest known can have brought. Numbers have an end, and a stolen lead
    /// could reach it.
    fn is_far_off(&self, roster: &SignedRoster, now: Seconds) -> bool {
        let Some((newest, span)) = self.state.periods.iter().next_back() else { return false };
        // A roster that says it began long ago would make room for any number after it.
        let since = span.begins.min(now.0).max(now.0.saturating_sub(AWAY_AT_MOST));
        let passed = roster.not_before().0.saturating_sub(since) / self.period_s().max(1);
        u64::from(roster.period().saturating_sub(*newest)) > passed.saturating_add(PERIODS_SPARED)
    }

    /// Takes a roster that came as an event. One that the root did not allow, or is over, or voided, is nothing.
    pub(super) fn take_roster(&mut self, bytes: &[u8; ROSTER_LEN], now: Seconds) -> Result<(), DeskError> {
        let root = self.line()?.root;
        match UncheckedRoster::parse(bytes).and_then(|roster| roster.check_signed(&root)) {
            Ok(roster) => self.adopt(&roster, now),
            Err(_) => Ok(()),
        }
    }

    /// A roster that this lead has signed and not told its colleagues yet.
    pub(super) fn roster_to_tell(&self, now: Seconds) -> Option<Box<[u8; ROSTER_LEN]>> {
        let (_, cert) = self.signing().ok()?;
        if self.colleagues(now).is_empty() {
            return None;
        }
        let living = self.living(now);
        let untold = |roster: &&&SignedRoster| {
            roster.desk_cert().desk_pk == cert.desk_pk && !self.state.told_rosters.contains(&roster.hash())
        };
        living.iter().filter(untold).min_by_key(|roster| roster.serial()).map(|roster| Box::new(*roster.bytes()))
    }

    // ── what must be in a roster ────────────────────────────────────────────────────────────────

    /// The devices that rosters must name: the last eight that were revoked while their certificates live.
    fn to_be_named(&self, now: Seconds) -> Vec<DeviceId> {
        let place = |id: &DeviceId| self.state.verdicts.get(id).and_then(|said| said.values().min()).copied();
        let living = self.state.devices.iter().filter(|(_, device)| device.record.revoked && device.cert.not_after > now);
        let mut revoked: Vec<_> = living.map(|(id, _)| (place(id), *id)).collect();
        revoked.sort_unstable();
        revoked.into_iter().rev().take(NAMED).map(|(_, id)| id).collect()
    }

    /// Whether it is this lead's turn to name a device: at once if it said so itself; else whoever said so comes first if it is a
    /// lead, and then one lead after the other.
    fn is_mine_to_name(&self, device: DeviceId, now: Seconds) -> bool {
        let Some(said) = self.state.verdicts.get(&device) else { return true };
        let me = self.state.line.as_ref().map(|line| line.device);
        let leads = self.leads(now);
        let by_lead = said.keys().any(|by| leads.contains(by));
        let since = said.values().map(|(_, time)| *time).min().unwrap_or(0);
        said.keys().any(|by| Some(*by) == me) || now.0 >= since + TURN * (self.turn(now) + u64::from(by_lead))
    }

    /// Whose a seat is: of the devices that sit in it a lead's, then the one with the lower id, whichever lead looks.
    fn owner_of(&self, seat: Seat) -> Option<DeviceId> {
        let sits = self
            .state
            .devices
            .iter()
            .filter(|(id, device)| device.cert.seat == Some(seat) && !device.record.revoked && self.state.is_valid(**id));
        sits.min_by_key(|(id, device)| (device.cert.role != Role::Lead, **id)).map(|(id, _)| *id)
    }

    /// The seats whose keys this device answers for: its own, those of workers who have said their key or whom this lead has admitted,
    /// and the mailbox's if no other lead has admitted it since. Other leads look after their own.
    fn seats_known(&self) -> Vec<Known> {
        let Some(line) = &self.state.line else { return Vec::new() };
        let seat_pk = |number: u64| self.ring.key(KeyName::Seat(number)).map(|seed| SecretKey::from_seed(seed).public());
        let known = |seat: Seat| {
            let owner = self.owner_of(seat)?;
            if owner == line.device {
                let number = line.record.seat_number;
                let before = number.checked_sub(1).and_then(seat_pk);
                return Some(Known { seat, now: seat_pk(number)?, before, sealing: None });
            }
            let device = self.state.devices.get(&owner)?;
            let given = line.record.given.iter().find(|given| given.device == owner.0);
            let seat_of = |given: &GivenRecord| PublicKey::from_bytes(given.seat_pk);
            let (now, sealing) = match device.cert.role {
                Role::Lead => return None,
                Role::Worker => (self.state.seat_keys.get(&owner).copied().or_else(|| given.map(seat_of))?, None),
                Role::Safeguarding => {
                    let given = given.filter(|given| given.device_cert == device.record.device_cert)?;
                    (seat_of(given), Some(given.sealing_key.clone()))
                }
            };
            Some(Known { seat, now, before: None, sealing })
        };
        Seat::all().filter_map(known).collect()
    }

    /// The key with which this device signs for its seat, if it has not told the team of it. Leads make rosters themselves.
    pub(super) fn seat_key_to_tell(&self) -> Option<PublicKey> {
        let line = self.state.line.as_ref().filter(|line| line.device_cert.role == Role::Worker)?;
        line.device_cert.seat?;
        let is_told = self.state.seat_keys.contains_key(&line.device);
        self.seat_key().ok().map(|key| key.public()).filter(|_| !is_told)
    }

    /// Whether callers do not believe what this device answers: the roster in force names another key for its seat.
    pub(super) fn seat_is_unnamed(&self, now: Seconds) -> bool {
        let Some(line) = self.state.line.as_ref().filter(|line| line.device_cert.role != Role::Safeguarding) else {
            return false;
        };
        let (Some(seat), Ok(key), Ok(roster)) = (line.device_cert.seat, self.seat_key(), self.roster(now)) else { return false };
        !self.state.revoked.contains(&line.device) && !roster.seat_keys(seat).contains(&key.public())
    }

    /// Gives every seat, and the safeguarding mailbox, keys that no other lead can have put there: those that this one answers for, and
    /// elsewhere some that nobody has.
    fn give_keys_anew(&self, record: &mut LineRecord, rng: &mut impl CryptoRng) {
        let known = self.seats_known();
        record.safe_key = SealingSecret::generate(rng).public().as_bytes().to_vec();
        for seat in Seat::all() {
            let mut fresh = || SecretKey::generate(rng).public();
            let known = known.iter().find(|known| known.seat == seat);
            let now = known.map_or_else(&mut fresh, |known| known.now);
            let before = known.and_then(|known| known.before).unwrap_or_else(fresh);
            set_seat(record, seat, &now, &before);
            if let Some(sealing) = known.and_then(|known| known.sealing.as_ref()) {
                record.safe_key.clone_from(sealing);
            }
        }
        rng.fill_bytes(&mut record.revoked);
    }

    fn is_right(&self, roster: &SignedRoster, due: &[DeviceId], seats: &[Known]) -> bool {
        let certified = self.state.line.as_ref().map_or(0, |line| line.desk_cert.generation);
        let opens = |sealing: &Vec<u8>| roster.safe_key().as_bytes().as_slice() == sealing;
        let has = |known: &Known| roster.seat_keys(known.seat).contains(&known.now) && known.sealing.as_ref().is_none_or(opens);
        let void_before = self.state.line.as_ref().map_or(0, |line| line.record.void_before);
        let says_all = due.iter().all(|id| roster.revoked(*id)) && seats.iter().all(has);
        roster.generation() >= certified && says_all && roster.bulletins_void_before().0 >= void_before
    }

    /// If a roster lacks what must be in it, or those of a new generation are to be made, has all made that way: two leads may have
    /// signed without knowing of each other, and then neither's rosters say everything.
    fn mend(&mut self, is_first: bool, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let named = self.to_be_named(now);
        let (due, seats) =
            (named.iter().filter(|id| self.is_mine_to_name(**id, now)).copied().collect::<Vec<_>>(), self.seats_known());
        if !is_first && self.living(now).iter().all(|roster| self.is_right(roster, &due, &seats)) {
            return Ok(());
        }
        let mut record = self.line()?.record.clone();
        for id in &named {
            self.name(&mut record, *id, &named, rng);
        }
        for Known { seat, now, before, sealing } in seats {
            if !keys_of(&record, seat).contains(&now) {
                let before = before.unwrap_or_else(|| SecretKey::generate(rng).public());
                set_seat(&mut record, seat, &now, &before);
            }
            if let Some(sealing) = sealing {
                record.safe_key = sealing;
            }
        }
        record.replace_upto = self.last_serial();
        self.commit(Record::Line(Box::new(record)));
        Ok(())
    }

    /// Names a device, unless it is named, and gives its seat other keys: both that callers believe.
    fn name(&self, record: &mut LineRecord, id: DeviceId, all: &[DeviceId], rng: &mut impl CryptoRng) {
        let mut ids: Vec<DeviceId> = record.revoked.chunks_exact(8).filter_map(|id| Some(DeviceId(*id.first_chunk()?))).collect();
        let Some(place) = ids.iter().position(|known| !all.contains(known)).filter(|_| !ids.contains(&id)) else { return };
        ids.remove(place);
        ids.push(id);
        record.revoked = ids.iter().flat_map(|id| id.0).collect();
        let Some(seat) = self.state.devices.get(&id).and_then(|device| device.cert.seat) else { return };
        if seat.is_safeguarding() && !self.is_taken(seat) {
            record.safe_key = SealingSecret::generate(rng).public().as_bytes().to_vec();
        }
        let mut fresh = || SecretKey::generate(rng).public();
        // Somebody else may sit there by now. Whose key is known here gets it back; of another's the current one is left.
        let known = self.seats_known().iter().any(|known| known.seat == seat);
        let now = if self.is_taken(seat) && !known { keys_of(record, seat).first().copied() } else { None };
        let (now, before) = (now.unwrap_or_else(&mut fresh), fresh());
        set_seat(record, seat, &now, &before);
    }

    pub(super) fn is_taken(&self, seat: Seat) -> bool {
        self.state.devices.values().any(|device| device.cert.seat == Some(seat) && !device.record.revoked)
    }

    // ── relays ──────────────────────────────────────────────────────────────────────────────────

    /// The rosters that a relay has not taken yet, in the order in which to PUT them. A relay takes them from leads alone. Those of
    /// other leads go to a relay that is behind: whoever made them may be gone.
    #[must_use]
    pub fn rosters_to_put(&self, relay: u8) -> Vec<Box<[u8; ROSTER_LEN]>> {
        let Ok((_, cert)) = self.signing() else { return Vec::new() };
        let put = self.state.put.get(&relay);
        let notice = self.presence.notices.get(&relay).copied();
        let (heard, behind) = notice.unwrap_or((Seconds(0), true));
        // One that is behind although it took them has lost its disk: it is given all of them again.
        let put = put.filter(|_| !notice.is_some_and(|(_, behind)| behind));
        let missing = |roster: &&SignedRoster| {
            let ours = behind || roster.desk_cert().desk_pk == cert.desk_pk;
            ours && roster.not_after() > heard && put.is_none_or(|put| !put.contains(&roster.hash()))
        };
        let mut missing: Vec<&SignedRoster> = self.state.rosters.iter().filter(missing).collect();
        missing.sort_by_key(|roster| (roster.generation(), roster.serial()));
        missing.into_iter().map(|roster| Box::new(*roster.bytes())).collect()
    }

    /// The hash of the newest roster, whoever signed it.
    #[must_use]
    pub fn newest_roster(&self) -> Option<[u8; 32]> {
        self.state.last_roster.map(|(.., hash)| hash)
    }

    /// Whether a relay has taken the newest roster that this lead signed. A device that signs none has nothing to hand in.
    #[must_use]
    pub fn is_handed_in(&self, relay: u8) -> bool {
        let Ok((_, cert)) = self.signing() else { return true };
        let mine = self.state.rosters.iter().filter(|roster| roster.desk_cert().desk_pk == cert.desk_pk);
        mine.max_by_key(|roster| roster.serial()).is_none_or(|newest| self.has_put(relay, newest))
    }

    /// Notes that a relay took this roster.
    pub fn roster_put(&mut self, relay: u8, roster: &[u8; ROSTER_LEN]) {
        let Some(known) = self.state.rosters.iter().find(|known| known.bytes() == roster) else { return };
        let (serial, hash) = (known.serial(), known.hash());
        let of_relay = self.state.relays.get(&relay).copied().unwrap_or_default();
        self.commit(Record::Relay(relay, RelayRecord { put: of_relay.put.max(serial), ..of_relay }));
        self.commit(Record::RosterPut(relay, hash));
    }

    /// Whether a relay shows an older roster than ours in force, or none, which another lead may have published elsewhere.
    pub(super) fn note_notice(&mut self, relay: u8, served: Option<&SignedRoster>, (now, earlier): (Seconds, Seconds)) {
        let place = |roster: &SignedRoster| (roster.generation(), roster.serial());
        let behind = served.is_none_or(|served| self.roster(now).is_ok_and(|ours| place(served) < place(ours)));
        self.presence.notices.insert(relay, (earlier, behind));
    }

    /// After a backup was restored: rosters that were signed since are lost here, with their keys. All are made anew, under
    /// serials that cannot have been used.
    pub(super) fn spare_serials(&mut self) {
        let Some(line) = self.state.line.as_ref().filter(|line| line.device_cert.role == Role::Lead) else { return };
        let last = self.last_serial();
        let (replace_upto, serial_least) = (last, last.saturating_add(SERIALS_SPARED));
        self.commit(Record::Line(Box::new(LineRecord { replace_upto, serial_least, ..line.record.clone() })));
    }

    // ── certificates ────────────────────────────────────────────────────────────────────────────

    /// Renews the desk certificate, keeping its generation, and this device's own with it.
    ///
    /// # Errors
    ///
    /// [`DeskError::AnotherRoot`] if `root` is not the line's; [`DeskError::NotALead`]; [`DeskError::Revoked`].
    pub fn renew(&mut self, root: &SecretKey, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        if self.line()?.device_cert.role != Role::Lead {
            return Err(DeskError::NotALead);
        }
        self.certify(root, false, now, rng)?;
        self.vouch_anew(now, rng)?;
        self.change_line(now, rng, |_| {})
    }

    /// Renews the desk certificate under the next generation: every certificate and roster signed before is void, and so is
    /// whatever a stolen lead may still sign. Other leads are out of the team. Workers are vouched for anew; those that have not
    /// heard of it when the first roster of the new generation is published, at the latest in a quarter of an hour, are shut out.
    ///
    /// # Errors
    ///
    /// As [`Desk::renew`].
    pub fn raise_generation(&mut self, root: &SecretKey, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        if self.line()?.device_cert.role != Role::Lead {
            return Err(DeskError::NotALead);
        }
        self.lead(root, true, now, rng)
    }

    /// Makes this device, of the team already, a lead, with a desk signing key of its own; with `void_others` the only one.
    ///
    /// # Errors
    ///
    /// [`DeskError::AnotherRoot`]; [`DeskError::Revoked`]; [`DeskError::NoLine`].
    pub fn lead(&mut self, root: &SecretKey, void_others: bool, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        self.certify(root, void_others, now, rng)?;
        if void_others {
            let me = self.line()?.device;
            let leads = self.state.devices.iter().filter(|(_, device)| device.cert.role == Role::Lead && !device.record.revoked);
            let others: Vec<DeviceId> = leads.map(|(id, _)| *id).filter(|id| *id != me).collect();
            for device in others {
                self.tell(&Event::Revoked { device }, now, rng)?;
            }
            for (number, relay) in self.state.relays.clone() {
                self.commit(Record::Relay(number, RelayRecord { put: 0, ..relay }));
            }
        }
        self.vouch_anew(now, rng)?;
        // Another lead may be waiting to raise it: then this one waits as well.
        if self.state.rosters.generation() < self.line()?.desk_cert.generation {
            let line = self.line()?;
            let mut record = line.record.clone();
            record.raise_events = self.state.log.get(&line.device).map_or(0, |log| log.len() as u64);
            record.raise_at = now.0 + RAISE_WAIT;
            self.commit(Record::Line(Box::new(record)));
        }
        if !self.doubtful() {
            self.publish(now, rng)?;
        }
        Ok(())
    }

    /// Whether rosters of a raised generation wait, so that colleagues hear of their certificates before relays shut out the old.
    #[must_use]
    pub fn waits_to_raise(&self, now: Seconds) -> bool {
        let Some(line) = &self.state.line else { return false };
        let behind = |colleague: &DeviceId| self.held_by(*colleague, line.device) < line.record.raise_events;
        now.0 < line.record.raise_at && self.colleagues(now).iter().any(behind)
    }

    /// A desk signing key certified by the root, and this device's own certificate as a lead, told to the team.
    fn certify(&mut self, root: &SecretKey, raises: bool, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let line = self.line()?;
        if root.public() != line.root {
            return Err(DeskError::AnotherRoot);
        }
        if self.state.revoked.contains(&line.device) {
            return Err(DeskError::Revoked);
        }
        let generation = line.desk_cert.generation.max(self.state.rosters.generation()).saturating_add(u32::from(raises));
        let (id, device, seat) = (line.id, line.device_cert.device_pk, line.device_cert.seat);
        let (mut record, me) = (line.record.clone(), line.device);
        let key = SecretKey::generate(rng);
        let begins = Seconds(now.0.saturating_sub(CLOCK_SLACK));
        let cert = DeskCert::sign(root, &key.public(), generation, begins, now.plus(DESK_CERT_LIFE));
        let own = DeviceCert::sign(&key, &id, &device, (Role::Lead, seat), (begins, now.plus(DEVICE_CERT_LIFE)))
            .map_err(|_| DeskError::BadAdmission)?;
        // Beside the old one, which goes only when the certificate of the new one is kept.
        self.forget_key(KeyName::DeskSigning(record.signing_number));
        record.signing_number += 1;
        self.put_key(KeyName::DeskSigning(record.signing_number), &key.seed());
        record.signing_cert = cert.bytes().to_vec();
        self.commit(Record::Line(Box::new(record)));
        let known = self.state.devices.get(&me).map(|known| known.record.clone()).ok_or(DeskError::NoSuchDevice)?;
        let (desk_cert, device_cert) = (cert.bytes().to_vec(), own.bytes().to_vec());
        let known = DeviceRecord { desk_cert, device_cert, ..known };
        let event = admitted(&known)?;
        self.commit(Record::Device(known));
        self.adopt_certificate();
        self.tell(&event, now, rng)
    }

    /// Vouches anew for every other device of the team, with this lead's desk key. The safeguarding mailbox is none: it hears nothing
    /// of the team, and is admitted anew.
    pub(super) fn vouch_anew(&mut self, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let line = self.line()?;
        let cert = DeskCert::check(&line.record.signing_cert, &line.root).map_err(|_| DeskError::NotCertified)?;
        let key = self.signing_key()?;
        let life = (Seconds(now.0.saturating_sub(CLOCK_SLACK)), now.plus(DEVICE_CERT_LIFE));
        let (id, me, mut anew) = (line.id, line.device, Vec::new());
        let is_ours = |id: DeviceId| id != me && self.is_colleague(id) && self.state.is_valid(id);
        for (_, known) in self.state.devices.iter().filter(|(id, _)| is_ours(**id)) {
            let device = DeviceCert::sign(&key, &id, &known.cert.device_pk, (known.cert.role, known.cert.seat), life)
                .map_err(|_| DeskError::BadAdmission)?;
            let (desk_cert, device_cert) = (cert.bytes().to_vec(), device.bytes().to_vec());
            anew.push(DeviceRecord { desk_cert, device_cert, ..known.record.clone() });
        }
        for record in anew {
            let event = admitted(&record)?;
            self.commit(Record::Device(record));
            self.tell(&event, now, rng)?;
        }
        Ok(())
    }

    /// Takes up the certificate of this device that counts: a lead may have vouched for it anew.
    pub(super) fn adopt_certificate(&mut self) {
        let Some(line) = &self.state.line else { return };
        let Some(mine) = self.state.devices.get(&line.device).filter(|mine| mine.cert.bytes() != line.device_cert.bytes()) else {
            return;
        };
        let mut record = line.record.clone();
        record.desk_cert = mine.record.desk_cert.clone();
        record.device_cert = mine.record.device_cert.clone();
        self.commit(Record::Line(Box::new(record)));
    }
}

fn keys_of(record: &LineRecord, seat: Seat) -> [PublicKey; 2] {
    let at = 32 * usize::from(seat.number());
    let key = |keys: &[u8]| keys.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
    [&record.seats_now, &record.seats_previous].map(|keys| PublicKey::from_bytes(key(keys)))
}

/// Gives a seat its two keys.
pub(super) fn set_seat(record: &mut LineRecord, seat: Seat, now: &PublicKey, before: &PublicKey) {
    let at = 32 * usize::from(seat.number());
    for (keys, key) in [(&mut record.seats_now, now), (&mut record.seats_previous, before)] {
        if let Some(place) = keys.get_mut(at..at + 32) {
            place.copy_from_slice(key.as_bytes());
        }
    }
}
