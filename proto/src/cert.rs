//! Certificates: the root vouches for desk signing keys, a desk signing key for devices (SPEC §5.1, §5.2).
use crate::layout::{Fields, Put, desk_cert, device_cert};
use crate::limits::{DESK_CERT_LEN, DEVICE_CERT_LEN};
use crate::line::{DeviceId, LineId, Seat};
use crate::sign::{PublicKey, SecretKey, Signature};
use crate::time::Seconds;

/// Why a certificate is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertError {
    /// The bytes are no certificate: wrong length, or a role or seat that does not exist.
    #[error("this is not a certificate")]
    Malformed,
    /// Somebody else signed it, or it was changed on the way.
    #[error("the certificate is not signed by the key above it")]
    Forged,
}

/// A desk signing key that the root vouches for. Its own life is for the reader to hold against a clock: see [`DeskCert::lives_at`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeskCert {
    /// The desk signing key.
    pub desk_pk: PublicKey,
    /// The line's generation: certificates of a lower one than the highest seen are void.
    pub generation: u32,
    /// First second of its life.
    pub not_before: Seconds,
    /// First second after its life.
    pub not_after: Seconds,
    bytes: [u8; DESK_CERT_LEN],
}

impl DeskCert {
    /// Vouches for a desk signing key.
    #[must_use]
    pub fn sign(root: &SecretKey, desk_pk: &PublicKey, generation: u32, not_before: Seconds, not_after: Seconds) -> Self {
        let line = LineId::from_root(&root.public());
        let mut bytes = [0; DESK_CERT_LEN];
        bytes.put(desk_cert::desk_pk, desk_pk.as_bytes());
        bytes.put(desk_cert::generation, &generation.to_be_bytes());
        bytes.put(desk_cert::not_before, &not_before.0.to_be_bytes());
        bytes.put(desk_cert::not_after, &not_after.0.to_be_bytes());
        let signature = root.sign("desk-cert", &[line.as_bytes(), Fields(&bytes).before(desk_cert::signature)]);
        bytes.put(desk_cert::signature, &signature);
        Self { desk_pk: *desk_pk, generation, not_before, not_after, bytes }
    }
    /// Believes the 116 bytes, if `root` signed them.
    ///
    /// # Errors
    ///
    /// [`CertError::Malformed`] for another length, [`CertError::Forged`] if the root did not sign it.
    pub fn check(bytes: &[u8], root: &PublicKey) -> Result<Self, CertError> {
        let bytes: [u8; DESK_CERT_LEN] = bytes.try_into().map_err(|_| CertError::Malformed)?;
        let fields = Fields(&bytes);
        let line = LineId::from_root(root);
        let signature: Signature = fields.array(desk_cert::signature);
        root.verify("desk-cert", &[line.as_bytes(), fields.before(desk_cert::signature)], &signature)
            .map_err(|_| CertError::Forged)?;
        Ok(Self {
            desk_pk: PublicKey::from_bytes(fields.array(desk_cert::desk_pk)),
            generation: fields.u32(desk_cert::generation),
            not_before: Seconds(fields.u64(desk_cert::not_before)),
            not_after: Seconds(fields.u64(desk_cert::not_after)),
            bytes,
        })
    }
    /// Whether `now` lies within its life.
    #[must_use]
    pub fn lives_at(&self, now: Seconds) -> bool {
        self.not_before <= now && now < self.not_after
    }
    /// Its 116 bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; DESK_CERT_LEN] {
        &self.bytes
    }
}

/// What a device may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads and answers.
    Worker,
    /// May also sign rosters.
    Lead,
    /// The safeguarding mailbox: reads its own letters only, answers from seat 8.
    Safeguarding,
}

impl Role {
    /// The byte that stands for it.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Worker => 1,
            Self::Lead => 2,
            Self::Safeguarding => 3,
        }
    }
    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Worker),
            2 => Some(Self::Lead),
            3 => Some(Self::Safeguarding),
            _ => None,
        }
    }
    /// Whether a device of this role may hold this seat; `None` is a device that does not answer.
    fn may_hold(self, seat: Option<Seat>) -> bool {
        match self {
            Self::Worker | Self::Lead => seat.is_none_or(|seat| !seat.is_safeguarding()),
            Self::Safeguarding => seat == Some(Seat::SAFEGUARDING),
        }
    }
}

const NO_SEAT: u8 = 255;

/// A device that a desk signing key vouches for. Never public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCert {
    /// What the device may do.
    pub role: Role,
    /// Where it answers from; `None` if it does not answer.
    pub seat: Option<Seat>,
    /// The device's signing key.
    pub device_pk: PublicKey,
    /// First second of its life.
    pub not_before: Seconds,
    /// First second after its life.
    pub not_after: Seconds,
    bytes: [u8; DEVICE_CERT_LEN],
}

impl DeviceCert {
    /// Vouches for a device.
    ///
    /// # Errors
    ///
    /// [`CertError::Malformed`] if the role may not hold that seat.
    pub fn sign(
        desk: &SecretKey,
        line: &LineId,
        device_pk: &PublicKey,
        (role, seat): (Role, Option<Seat>),
        (not_before, not_after): (Seconds, Seconds),
    ) -> Result<Self, CertError> {
        if !role.may_hold(seat) {
            return Err(CertError::Malformed);
        }
        let mut bytes = [0; DEVICE_CERT_LEN];
        bytes.put(device_cert::role, &[role.code()]);
        bytes.put(device_cert::seat, &[seat.map_or(NO_SEAT, Seat::number)]);
        bytes.put(device_cert::device_pk, device_pk.as_bytes());
        bytes.put(device_cert::not_before, &not_before.0.to_be_bytes());
        bytes.put(device_cert::not_after, &not_after.0.to_be_bytes());
        let signature = desk.sign("device-cert", &[line.as_bytes(), Fields(&bytes).before(device_cert::signature)]);
        bytes.put(device_cert::signature, &signature);
        Ok(Self { role, seat, device_pk: *device_pk, not_before, not_after, bytes })
    }
    /// Believes the 114 bytes, if `desk` signed them.
    ///
    /// # Errors
    ///
    /// [`CertError::Forged`] if the desk key did not sign it; [`CertError::Malformed`] for another length, or a role or seat that does not exist or fit.
    pub fn check(bytes: &[u8], desk: &PublicKey, line: &LineId) -> Result<Self, CertError> {
        let bytes: [u8; DEVICE_CERT_LEN] = bytes.try_into().map_err(|_| CertError::Malformed)?;
        let fields = Fields(&bytes);
        let signature: Signature = fields.array(device_cert::signature);
        desk.verify("device-cert", &[line.as_bytes(), fields.before(device_cert::signature)], &signature)
            .map_err(|_| CertError::Forged)?;
        let role = Role::from_code(fields.u8(device_cert::role)).ok_or(CertError::Malformed)?;
        let seat = match fields.u8(device_cert::seat) {
            NO_SEAT => None,
            number => Some(Seat::new(number).ok_or(CertError::Malformed)?),
        };
        if !role.may_hold(seat) {
            return Err(CertError::Malformed);
        }
        Ok(Self {
            role,
            seat,
            device_pk: PublicKey::from_bytes(fields.array(device_cert::device_pk)),
            not_before: Seconds(fields.u64(device_cert::not_before)),
            not_after: Seconds(fields.u64(device_cert::not_after)),
            bytes,
        })
    }
    /// The device's id.
    #[must_use]
    pub fn device(&self, line: &LineId) -> DeviceId {
        DeviceId::of(line, &self.device_pk)
    }
    /// Whether `now` lies within its life.
    #[must_use]
    pub fn lives_at(&self, now: Seconds) -> bool {
        self.not_before <= now && now < self.not_after
    }
    /// Its 114 bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; DEVICE_CERT_LEN] {
        &self.bytes
    }
}
