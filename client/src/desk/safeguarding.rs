//! The safeguarding mailbox: somebody outside the team, with keys that no lead knows (SPEC §3, §6.1).
//!
//! It has no desk key, no board and no colleagues; it learns of statements from the relays alone. Its own keys are renewed by
//! hand, as they were first made known: a request, a lead's admission, check words for both.
//!
//! ```text
//!  mailbox                             lead
//!  renewal ── text, check words ──▶ admit: certificate; key and seat 8 in new rosters
//!    │ the key opens letters from the moment it is made
//!  accept  ◀── file, check words ── admission: the certificate
//!    ▼ a roster names the key: the one before is erased a period, the up TTL and twelve hours later
//! ```
use crate::desk::{
    Admission, Desk, DeskError, JoinRequest,
    line::SEAT_KEY_LEAST,
    record::{LineRecord, Record},
};
use crate::vault::KeyName;
use porchlight_proto::{cert::Role, line::Seat, roster::SignedRoster, seal::SealingSecret, sign::SecretKey, time::Seconds};
use rand_core::CryptoRng;

/// Seconds for which a sealing key of the mailbox is in use.
const KEY_LIFE: u64 = 30 * 86_400;
/// Seconds before its end, or that of its certificate, from which on renewing is asked for.
const RENEW_BEFORE: u64 = 7 * 86_400;

impl Desk {
    /// Whether this device is that of the safeguarding person: outside the team, with a mailbox of her own.
    #[must_use]
    pub fn is_safeguarding(&self) -> bool {
        self.state.line.as_ref().is_some_and(|line| line.device_cert.role == Role::Safeguarding)
    }

    /// What a lead is asked for so that this mailbox goes on: a certificate, a new sealing key and, if the seat's is 14 days old,
    /// a new seat key. The same again until a statement names them.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoMailbox`]; [`DeskError::KeyMissing`].
    pub fn renewal_request(&mut self, now: Seconds, rng: &mut impl CryptoRng) -> Result<JoinRequest, DeskError> {
        if !self.is_safeguarding() {
            return Err(DeskError::NoMailbox);
        }
        let record = &self.line()?.record;
        let (sealing, next_seat) = (KeyName::Sealing(record.sealing_number + 1), KeyName::Seat(record.seat_number + 1));
        let seat_is_old = now.0 >= record.seat_since + SEAT_KEY_LEAST;
        let seat_now = KeyName::Seat(record.seat_number);
        if self.ring.key(sealing).is_none() {
            self.put_key(sealing, SealingSecret::generate(rng).seed());
        }
        if seat_is_old && self.ring.key(next_seat).is_none() {
            self.put_key(next_seat, &SecretKey::generate(rng).seed());
        }
        let seat = if self.ring.key(next_seat).is_some() { next_seat } else { seat_now };
        self.request_of(seat, sealing)
    }

    /// Whether a request of a known mailbox names other keys than the line's statements.
    pub(super) fn asks_anew(&self, request: &JoinRequest) -> bool {
        let Some(line) = &self.state.line else { return false };
        let at = 32 * usize::from(Seat::SAFEGUARDING.number());
        line.record.safe_key != request.sealing_key() || line.record.seats_now.get(at..) != Some(request.seat_pk().as_slice())
    }

    /// Takes the certificate that a lead made of a renewal request. The keys are taken into use when a statement names them.
    pub(super) fn take_renewal(&mut self, admission: &Admission) -> Result<(), DeskError> {
        let record: LineRecord = admission.line_record()?;
        for device in admission.devices() {
            self.commit(Record::Device(device.clone()));
        }
        self.adopt_certificate();
        if self.line()?.record.device_cert == record.device_cert { Ok(()) } else { Err(DeskError::BadAdmission) }
    }

    /// Takes those of this mailbox's next keys into use that the statement in force names.
    pub(super) fn take_up_named_keys(&mut self, roster: &SignedRoster, now: Seconds) -> Result<(), DeskError> {
        if !self.is_safeguarding() || roster.not_before() > now {
            return Ok(());
        }
        let mut record = self.line()?.record.clone();
        let (sealing, seat) = (record.sealing_number + 1, record.seat_number + 1);
        let next = self.ring.key(KeyName::Sealing(sealing)).map(SealingSecret::from_seed);
        let named = next.is_some_and(|next| next.public().as_bytes() == roster.safe_key().as_bytes());
        let next = self.ring.key(KeyName::Seat(seat)).map(SecretKey::from_seed);
        let seated = next.is_some_and(|next| roster.seat_keys(Seat::SAFEGUARDING).first() == Some(&next.public()));
        if named {
            (record.sealing_number, record.sealing_since) = (sealing, now.0);
        }
        if seated {
            (record.seat_number, record.seat_since) = (seat, now.0);
        }
        if named || seated {
            self.commit(Record::Line(Box::new(record)));
        }
        Ok(())
    }

    /// Whether a lead should soon be asked to renew this mailbox; at once where the generation was raised, since relays then take its
    /// certificates for a stranger's.
    pub(super) fn mailbox_ages(&self, now: Seconds) -> bool {
        let Some(line) = self.state.line.as_ref().filter(|_| self.is_safeguarding()) else { return false };
        let ends = line.desk_cert.not_after.min(line.device_cert.not_after).0.min(line.record.sealing_since + KEY_LIFE);
        ends < now.0 + RENEW_BEFORE || line.desk_cert.generation < self.state.rosters.generation()
    }

    /// Whether the statement in force names none of this mailbox's keys, although it was not revoked. One of a raised generation may
    /// name one that nobody has, until the mailbox is renewed.
    pub(super) fn mailbox_replaced(&self, now: Seconds) -> bool {
        let Ok(roster) = self.roster(now) else { return false };
        if self.state.line.as_ref().is_none_or(|line| line.desk_cert.generation < roster.generation()) {
            return false;
        }
        let is_named = |name: KeyName| {
            let seed = self.ring.key(name).filter(|_| matches!(name, KeyName::Sealing(_)));
            seed.is_some_and(|seed| SealingSecret::from_seed(seed).public().as_bytes() == roster.safe_key().as_bytes())
        };
        self.is_safeguarding() && !self.is_revoked(now) && !self.ring.names().any(is_named)
    }
}
