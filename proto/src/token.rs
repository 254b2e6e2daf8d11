//! Device tokens: a device shows the relay, for one request, that its line's root vouches for it (SPEC §11.1).
use crate::cert::{DeskCert, DeviceCert, Role};
use crate::layout::{Fields, Put, token as layout};
use crate::limits::TOKEN_LEN;
use crate::line::{DeviceId, LineId, Seat};
use crate::sign::{PublicKey, SecretKey, Signature};
use crate::time::Seconds;
use alloc::{boxed::Box, string::String, vec::Vec};
use data_encoding::BASE64URL_NOPAD;
use rand_core::CryptoRng;

/// Seconds by which a token's time may differ from the relay's clock.
pub const TIME_FITS: u64 = 300;
/// Seconds for which a relay remembers a nonce.
pub const NONCE_LIFE: u64 = 600;

/// The request that a token is for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `POST` or `PUT`.
    pub method: &'a str,
    /// From `/v1/` on, with the query.
    pub path: &'a str,
    /// SHA-256 of the body, of nothing if there is none.
    pub body_hash: [u8; 32],
}

/// Why a token opens nothing. To the client every one of them looks like a path that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is no token.
    #[error("this is not a device token")]
    Malformed,
    /// A certificate or the signature is not what it must be for this request on this relay.
    #[error("the token is not signed by a device of this line for this request")]
    Forged,
    /// A certificate's life, or the token's time, does not fit now; or its generation is void.
    #[error("the token is out of its time")]
    OutOfTime,
}

/// What a device needs to sign tokens.
#[derive(Clone, Copy, Debug)]
pub struct Credentials<'a> {
    /// The certificate of the desk key that vouches for the device.
    pub desk_cert: &'a DeskCert,
    /// The device's certificate.
    pub device_cert: &'a DeviceCert,
    /// The device's key.
    pub device: &'a SecretKey,
    /// The line.
    pub line: &'a LineId,
}

impl Credentials<'_> {
    /// The token for one request to the relay whose certificate's public key info has this SHA-256, as base64url.
    #[must_use]
    pub fn token(&self, spki: &[u8; 32], request: &Request<'_>, now: Seconds, rng: &mut impl CryptoRng) -> String {
        let mut bytes = [0; TOKEN_LEN];
        let mut nonce = [0; 16];
        rng.fill_bytes(&mut nonce);
        bytes.put(layout::desk_cert, self.desk_cert.bytes());
        bytes.put(layout::device_cert, self.device_cert.bytes());
        bytes.put(layout::time, &now.0.to_be_bytes());
        bytes.put(layout::nonce, &nonce);
        let signature = self.device.sign("token", &[&signed(self.line, spki, request, now, &nonce)]);
        bytes.put(layout::signature, &signature);
        BASE64URL_NOPAD.encode(&bytes)
    }
}

fn signed(line: &LineId, spki: &[u8; 32], request: &Request<'_>, time: Seconds, nonce: &[u8; 16]) -> Vec<u8> {
    let method = u8::try_from(request.method.len()).unwrap_or(u8::MAX);
    let path = u16::try_from(request.path.len()).unwrap_or(u16::MAX);
    [
        line.as_bytes().as_slice(),
        spki,
        &[method],
        request.method.as_bytes(),
        &path.to_be_bytes(),
        request.path.as_bytes(),
        &request.body_hash,
        &time.0.to_be_bytes(),
        nonce,
    ]
    .concat()
}

/// A device that may act, as far as its token goes: whether it is revoked and its nonce new is for the relay to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Which device.
    pub device: DeviceId,
    /// What it may do.
    pub role: Role,
    /// Where it answers from.
    pub seat: Option<Seat>,
    /// To be remembered for ten minutes.
    pub nonce: [u8; 16],
    /// When the token was signed.
    pub time: Seconds,
    /// The generation of its desk certificate, for the relay to remember if it is higher.
    pub generation: u32,
}

/// What a relay holds a token against.
#[derive(Clone, Copy, Debug)]
pub struct Gatekeeper<'a> {
    /// The line's root.
    pub root: &'a PublicKey,
    /// SHA-256 of the relay's own public key info.
    pub spki: &'a [u8; 32],
    /// The relay's clock.
    pub now: Seconds,
    /// The highest generation seen.
    pub generation: u32,
}

/// A token as it came off the wire.
pub struct UncheckedToken(Box<[u8; TOKEN_LEN]>);

impl UncheckedToken {
    /// Reads base64url without padding.
    ///
    /// # Errors
    ///
    /// [`TokenError::Malformed`] for other text or another length.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| TokenError::Malformed)?;
        bytes.try_into().map(Self).map_err(|_| TokenError::Malformed)
    }
    /// Believes the token for this request.
    ///
    /// # Errors
    ///
    /// [`TokenError::Forged`] first, then [`TokenError::OutOfTime`].
    pub fn check(&self, request: &Request<'_>, keeper: &Gatekeeper<'_>) -> Result<Access, TokenError> {
        let forged = |_| TokenError::Forged;
        let fields = Fields(self.0.as_slice());
        let line = LineId::from_root(keeper.root);
        let desk = DeskCert::check(fields.slice(layout::desk_cert), keeper.root).map_err(forged)?;
        let device = DeviceCert::check(fields.slice(layout::device_cert), &desk.desk_pk, &line).map_err(forged)?;
        let time = Seconds(fields.u64(layout::time));
        let nonce = fields.array(layout::nonce);
        let signature: Signature = fields.array(layout::signature);
        let message = signed(&line, keeper.spki, request, time, &nonce);
        device.device_pk.verify("token", &[&message], &signature).map_err(|_| TokenError::Forged)?;
        let lives = desk.lives_at(keeper.now)
            && device.lives_at(keeper.now)
            && desk.generation >= keeper.generation
            && time.0.abs_diff(keeper.now.0) <= TIME_FITS;
        if !lives {
            return Err(TokenError::OutOfTime);
        }
        let id = device.device(&line);
        Ok(Access { device: id, role: device.role, seat: device.seat, nonce, time, generation: desk.generation })
    }
}
