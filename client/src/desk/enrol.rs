//! Devices come and go: a request, the lead's admission, a revocation.
//!
//! ```text
//!  new device                          lead
//!  request ── text, check words ──▶ admit: certificate, seat in new rosters
//!  accept  ◀── file, check words ── admission: line, rosters, desk secrets, board
//! ```
//!
//! Request and admission go by hand, over any way at all; their check words go by another way, from person to person.
use crate::desk::{
    Desk, DeskError, Office,
    lead::set_seat,
    line::{CLOCK_SLACK, DEVICE_CERT_LIFE, admitted, put_seat},
    nickname,
    record::{DeviceRecord, GivenRecord, LineRecord, Record},
};
use crate::vault::KeyName;
use data_encoding::BASE32_NOPAD;
use minicbor::{Decode, Encode};
use porchlight_proto::{
    card::Card,
    cert::{DeviceCert, Role},
    event::Event,
    kdf,
    line::{DeviceId, Seat},
    roster::SignedRoster,
    seal::{SealingKey, SealingSecret},
    sign::{PublicKey, SecretKey},
    time::Seconds,
};
use rand_core::CryptoRng;

/// How a request begins as text.
const REQUEST_PREFIX: &str = "PORCHLIGHT-JOIN1-";
/// How an admission begins.
const ADMISSION_MAGIC: &[u8] = b"PORCHLIGHT-ADMISSION1\n";

/// What became of the wish to take a device out of the team.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// It is out; rosters that say so are signed.
    Signed,
    /// Two devices of the team want it, so it is out; callers and relays learn of it when a lead signs.
    Agreed,
    /// A vote: a second device of the team must want it too.
    Voted,
}

/// Eight words, 80 bits: whoever wants to exchange what is carried for something else with the same words has to try 2⁸⁰ times.
pub type CheckWords = [&'static str; 8];

/// What a new device asks a lead for. Public keys only.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct JoinRequest {
    #[cbor(n(0), with = "minicbor::bytes")]
    device_pk: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    seat_pk: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    sealing_key: Vec<u8>,
}

impl JoinRequest {
    fn device_pk(&self) -> PublicKey {
        PublicKey::from_bytes(self.device_pk)
    }
    fn to_bytes(&self) -> Vec<u8> {
        minicbor::to_vec(self).unwrap_or_default()
    }
    pub(super) fn sealing_key(&self) -> &[u8] {
        &self.sealing_key
    }
    pub(super) const fn seat_pk(&self) -> &[u8; 32] {
        &self.seat_pk
    }
    /// The request as text, for any way on which text can go.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{REQUEST_PREFIX}{}", BASE32_NOPAD.encode(&self.to_bytes()))
    }
    /// Reads a request; case, white space and line breaks do not matter.
    ///
    /// # Errors
    ///
    /// [`DeskError::BadRequest`].
    pub fn parse(text: &str) -> Result<Self, DeskError> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_uppercase()).collect();
        let body = text.strip_prefix(REQUEST_PREFIX).ok_or(DeskError::BadRequest)?;
        let bytes = BASE32_NOPAD.decode(body.as_bytes()).map_err(|_| DeskError::BadRequest)?;
        let request: Self = minicbor::decode(&bytes).map_err(|_| DeskError::BadRequest)?;
        request.sealing()?;
        Ok(request)
    }
    fn sealing(&self) -> Result<SealingKey, DeskError> {
        let key: &[u8; 1216] = self.sealing_key.as_slice().try_into().map_err(|_| DeskError::BadRequest)?;
        SealingKey::from_bytes(key).map_err(|_| DeskError::BadRequest)
    }
    /// Words to compare on both screens, so that no other request takes this one's place on the way.
    #[must_use]
    pub fn check_words(&self) -> CheckWords {
        nickname::words(&kdf::hash("desk/join", &[&self.to_bytes()]))
    }
}

/// Words by which two people make sure, by another way, that they have the same card: the root on it is public, so whoever has seen a card
/// can make another with relays of their own.
#[must_use]
pub fn card_words(card: &Card) -> CheckWords {
    nickname::words(&kdf::hash("desk/card", &[&card.to_cbor()]))
}

/// What a lead gives a new device: certificates, rosters, and what only this device can open: desk secrets and the board.
#[derive(Clone, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Admission {
    #[cbor(n(0), with = "minicbor::bytes")]
    line: Vec<u8>,
    #[n(1)]
    rosters: Vec<minicbor::bytes::ByteVec>,
    #[n(2)]
    devices: Vec<DeviceRecord>,
    /// Up cells sealed to the new device, one for each desk secret.
    #[n(3)]
    secrets: Vec<minicbor::bytes::ByteVec>,
    /// The board, sealed under a key that one of those secrets gives.
    #[cbor(n(4), with = "minicbor::bytes")]
    board: Vec<u8>,
}

impl Admission {
    /// The admission as the bytes of a file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [ADMISSION_MAGIC, &minicbor::to_vec(self).unwrap_or_default()].concat()
    }
    /// Reads an admission.
    ///
    /// # Errors
    ///
    /// [`DeskError::BadAdmission`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DeskError> {
        let body = bytes.strip_prefix(ADMISSION_MAGIC).ok_or(DeskError::BadAdmission)?;
        minicbor::decode(body).map_err(|_| DeskError::BadAdmission)
    }
    pub(super) fn line_record(&self) -> Result<LineRecord, DeskError> {
        minicbor::decode(&self.line).map_err(|_| DeskError::BadAdmission)
    }
    pub(super) fn devices(&self) -> &[DeviceRecord] {
        &self.devices
    }
    /// Words to compare on both screens, so that nobody draws the device into a line of their own.
    #[must_use]
    pub fn check_words(&self) -> CheckWords {
        nickname::words(&kdf::hash("desk/admission", &[&self.to_bytes()]))
    }
}

impl Office {
    /// The request of a vault that has not been admitted yet, as it was first made.
    ///
    /// # Errors
    ///
    /// [`DeskError::Member`] if it belongs to a line already; [`DeskError::KeyMissing`]; [`DeskError::Office`].
    pub fn join_request(&mut self) -> Result<JoinRequest, DeskError> {
        self.look()?.request_made()
    }
}

impl Desk {
    /// Makes the keys of a device that wants to join a line, and what it asks the lead for.
    pub(super) fn request(&mut self, rng: &mut impl CryptoRng) -> Result<JoinRequest, DeskError> {
        let (device, seat, sealing) = (SecretKey::generate(rng), SecretKey::generate(rng), SealingSecret::generate(rng));
        self.put_key(KeyName::Device, &device.seed());
        self.put_key(KeyName::Seat(1), &seat.seed());
        self.put_key(KeyName::Sealing(1), sealing.seed());
        self.request_made()
    }

    fn request_made(&self) -> Result<JoinRequest, DeskError> {
        if self.state.line.is_some() {
            return Err(DeskError::Member);
        }
        self.request_of(KeyName::Seat(1), KeyName::Sealing(1))
    }

    pub(super) fn request_of(&self, seat: KeyName, sealing: KeyName) -> Result<JoinRequest, DeskError> {
        let public = |name| self.ring.key(name).map(|seed| *SecretKey::from_seed(seed).public().as_bytes());
        let sealing = self.ring.key(sealing).map(SealingSecret::from_seed);
        Ok(JoinRequest {
            device_pk: public(KeyName::Device).ok_or(DeskError::KeyMissing)?,
            seat_pk: public(seat).ok_or(DeskError::KeyMissing)?,
            sealing_key: sealing.ok_or(DeskError::KeyMissing)?.public().as_bytes().to_vec(),
        })
    }

    /// The lowest seat of the team that nobody sits in, if there is one.
    #[must_use]
    pub fn free_seat(&self) -> Option<Seat> {
        let taken =
            |seat: Seat| self.state.devices.values().any(|device| device.cert.seat == Some(seat) && !device.record.revoked);
        Seat::all().find(|seat| !seat.is_safeguarding() && !taken(*seat))
    }

    /// Admits a device: its certificate, its seat in new rosters, the desk secrets and the board. Asked again for a device that is
    /// of the team already, it makes another admission and changes nothing else; but a safeguarding mailbox that asks with new
    /// keys is renewed, its keys in new rosters.
    ///
    /// # Errors
    ///
    /// [`DeskError::NotALead`]; [`DeskError::SeatTaken`]; [`DeskError::Revoked`] for a device that was revoked: it needs keys of
    /// its own anew; [`DeskError::OtherPlace`] for a worker's device that asks for the safeguarding mailbox, or the other way
    /// round; [`DeskError::BadAdmission`] for a role that cannot hold the seat.
    pub fn admit(
        &mut self,
        request: &JoinRequest,
        (role, seat): (Role, Option<Seat>),
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Admission, DeskError> {
        let (desk, desk_cert) = self.signing()?;
        let line = self.line()?;
        let (id, not_before) = (line.id, Seconds(now.0.saturating_sub(CLOCK_SLACK)));
        request.sealing()?;
        let device = DeviceId::of(&id, &request.device_pk());
        let outside = role == Role::Safeguarding;
        let known = self.state.devices.contains_key(&device);
        match self.state.devices.get(&device) {
            Some(known) if known.record.revoked => return Err(DeskError::Revoked),
            Some(known) if (known.cert.role == Role::Safeguarding) != outside => return Err(DeskError::OtherPlace),
            // A mailbox's certificate of a voided generation would let it in nowhere.
            Some(known) if !outside || !self.asks_anew(request) && known.generation == desk_cert.generation => {
                let record = DeviceRecord { sealing_key: request.sealing_key.clone(), ..known.record.clone() };
                return self.admission(&record, device, now, rng);
            }
            None if seat.is_some_and(|seat| self.is_taken(seat)) => return Err(DeskError::SeatTaken),
            Some(_) | None => {}
        }
        let cert = DeviceCert::sign(&desk, &id, &request.device_pk(), (role, seat), (not_before, now.plus(DEVICE_CERT_LIFE)))
            .map_err(|_| DeskError::BadAdmission)?;
        let record = DeviceRecord {
            desk_cert: desk_cert.bytes().to_vec(),
            device_cert: cert.bytes().to_vec(),
            sealing_key: request.sealing_key.clone(),
            sealing_since: now.0,
            revoked: false,
        };
        self.commit(Record::Device(record.clone()));
        self.tell(&admitted(&record)?, now, rng)?;
        if let Some(seat) = seat {
            let (seat_pk, fresh) = (PublicKey::from_bytes(request.seat_pk), SecretKey::generate(rng).public());
            self.change_line(now, rng, |line| {
                if known {
                    put_seat(line, seat, &seat_pk);
                } else {
                    // Whoever sat there before is believed no more: neither key is theirs.
                    set_seat(line, seat, &seat_pk, &fresh);
                }
                line.given.retain(|given| given.device != device.0);
                let mailbox = |bytes: &Vec<u8>| if outside { bytes.clone() } else { Vec::new() };
                line.given.push(GivenRecord {
                    device: device.0,
                    seat_pk: request.seat_pk,
                    device_cert: mailbox(&record.device_cert),
                    sealing_key: mailbox(&request.sealing_key),
                });
                if outside {
                    // Her own key: no lead can open what is written to her.
                    line.safe_key.clone_from(&request.sealing_key);
                }
            })?;
        }
        self.admission(&record, device, now, rng)
    }

    fn admission(
        &mut self,
        device: &DeviceRecord,
        id: DeviceId,
        now: Seconds,
        rng: &mut impl CryptoRng,
    ) -> Result<Admission, DeskError> {
        let roster = self.roster(now)?;
        let newest = super::line::secret_name(roster.period(), roster.desk_key());
        let mut secrets = Vec::new();
        // Whoever looks after safeguarding is outside the team: no desk secret, no board, no colleague's name.
        let outside = self.state.devices.get(&id).is_some_and(|device| device.cert.role == Role::Safeguarding);
        let held: Vec<KeyName> = self.ring.names().filter(|name| !outside && matches!(name, KeyName::Period(..))).collect();
        for name in held {
            secrets.extend(self.direct(id, name, now, rng)?.map(|cell| cell.to_vec().into()));
            self.note_secret_told(id, name);
        }
        let line = self.line()?;
        let mut record = line.record.clone();
        record.device_cert = device.device_cert.clone();
        record.desk_cert = device.desk_cert.clone();
        (record.signing_cert, record.signing_number, record.given) = (Vec::new(), 0, Vec::new());
        (record.seat_number, record.seat_since, record.sealing_number, record.sealing_since) = (1, now.0, 1, now.0);
        let mut rosters: Vec<&SignedRoster> = self.state.rosters.iter().collect();
        rosters.sort_by_key(|roster| roster.serial());
        Ok(Admission {
            line: minicbor::to_vec(&record).map_err(|_| DeskError::BadAdmission)?,
            rosters: rosters.into_iter().map(|roster| roster.bytes().to_vec().into()).collect(),
            devices: self
                .state
                .devices
                .iter()
                .filter(|(member, _)| !outside || **member == id)
                .map(|(_, member)| member.record.clone())
                .collect(),
            secrets,
            board: if outside { Vec::new() } else { self.seal_board(newest, id, now, rng)? },
        })
    }

    /// Takes an admission: this device belongs to the line from now on. A safeguarding mailbox takes one again when it is renewed.
    pub(super) fn accept(&mut self, admission: &Admission, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        if self.is_safeguarding() {
            return self.take_renewal(admission);
        }
        if self.state.line.is_some() {
            return Err(DeskError::Member);
        }
        let record = admission.line_record()?;
        self.commit(Record::Line(Box::new(record)));
        let line = self.state.line.as_ref().ok_or(DeskError::BadAdmission)?;
        let me = line.device;
        if self.device_key()?.public() != line.device_cert.device_pk {
            return Err(DeskError::BadAdmission);
        }
        for roster in &admission.rosters {
            self.commit(Record::Roster(roster.to_vec()));
        }
        for device in &admission.devices {
            self.commit(Record::Device(device.clone()));
        }
        for cell in &admission.secrets {
            let cell = cell.as_slice().try_into().map_err(|_| DeskError::BadAdmission)?;
            self.take_cell(cell, now.millis(), rng)?.ok_or(DeskError::BadAdmission)?;
        }
        if self.is_safeguarding() {
            return Ok(());
        }
        self.open_board(&admission.board, me, now, rng)
    }

    /// The device of the team meant by the beginning of its id: at least four hex digits.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchDevice`] for none, or for more than one.
    pub fn find_device(&self, text: &str) -> Result<DeviceId, DeskError> {
        let text = text.trim().to_lowercase();
        let mut meant = self.state.devices.keys().filter(|id| text.len() >= 4 && super::line::hex(&id.0).starts_with(&text));
        match (meant.next(), meant.next()) {
            (Some(device), None) => Ok(*device),
            _ => Err(DeskError::NoSuchDevice),
        }
    }

    /// Whether the device's certificate makes it a lead. Then [`Desk::revoke`] alone does not shut it out: the root's new generation does.
    #[must_use]
    pub fn is_lead(&self, device: DeviceId) -> bool {
        self.state.is_lead(device)
    }

    /// Takes a device out of the team. From a lead: rosters from now on name it, have new desk keys, and new keys for its seat. From
    /// another device it is a vote; with the vote of a second the team holds it for revoked, and a lead that hears of it signs.
    /// A device revoked before stays so.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchDevice`]; [`DeskError::Own`] for this device: another lead does that; [`DeskError::Revoked`] if this
    /// device is out of the team itself; a lead's as of [`DeskError::Restored`] and [`DeskError::NotCertified`].
    pub fn revoke(&mut self, device: DeviceId, now: Seconds, rng: &mut impl CryptoRng) -> Result<Revocation, DeskError> {
        let (me, is_lead) = (self.line()?.device, self.line()?.device_cert.role == Role::Lead);
        if me == device {
            return Err(DeskError::Own);
        }
        if self.state.revoked.contains(&me) {
            return Err(DeskError::Revoked);
        }
        if is_lead {
            self.signing()?;
        }
        let known = self.state.devices.get(&device).ok_or(DeskError::NoSuchDevice)?;
        let said = self.state.verdicts.get(&device).is_some_and(|said| said.contains_key(&me));
        if !known.record.revoked && !said {
            self.tell(&Event::Revoked { device }, now, rng)?;
        }
        if is_lead {
            self.publish(now, rng)?;
            return Ok(Revocation::Signed);
        }
        Ok(if self.state.revoked.contains(&device) { Revocation::Agreed } else { Revocation::Voted })
    }

    /// This device leaves the team: its last word, after which nobody believes it. A lead's next rosters name it.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoLine`].
    pub fn leave(&mut self, now: Seconds, rng: &mut impl CryptoRng) -> Result<(), DeskError> {
        let device = self.line()?.device;
        if self.state.revoked.contains(&device) {
            return Ok(());
        }
        self.tell(&Event::Revoked { device }, now, rng)
    }

    /// Whether the team has said that this device is of it no more. The relay tells a revoked device nothing but the roster.
    #[must_use]
    pub fn is_revoked(&self, now: Seconds) -> bool {
        let Some(line) = &self.state.line else { return false };
        let by_team = self.state.revoked.contains(&line.device);
        by_team || self.state.rosters.in_force(now).is_some_and(|roster| roster.revoked(line.device))
    }

    /// Whether this device is a lead, and no other is.
    #[must_use]
    pub fn is_only_lead(&self, now: Seconds) -> bool {
        let lead = |id: &DeviceId| self.state.devices.get(id).is_some_and(|device| device.cert.role == Role::Lead);
        self.state.line.as_ref().is_some_and(|line| lead(&line.device)) && !self.colleagues(now).iter().any(lead)
    }
}
