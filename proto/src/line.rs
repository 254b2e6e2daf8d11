//! Who there is: lines, devices and callers, each named by a hash of its public key; gates; seats (SPEC §3).
use crate::{kdf::hash, sign::PublicKey};
use alloc::string::String;
use core::fmt;

/// A line's id: SHA-256 over its root public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LineId([u8; 32]);

impl LineId {
    /// The id of the line whose root this is.
    #[must_use]
    pub fn from_root(root: &PublicKey) -> Self {
        Self(hash("line", &[root.as_bytes()]))
    }
    /// An id as it came off the wire or out of a configuration.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for LineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LineId")
    }
}

/// A device's id: the first 8 bytes of SHA-256 over line and device key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(pub [u8; 8]);

impl DeviceId {
    /// The id of the device with this key.
    #[must_use]
    pub fn of(line: &LineId, device: &PublicKey) -> Self {
        Self(first(hash("device", &[line.as_bytes(), device.as_bytes()])))
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceId")
    }
}

/// A caller's id within one line: the first 16 bytes of SHA-256 over line and caller key.
///
/// "The same phrase as before", never "the same person". Silent in `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallerId(pub [u8; 16]);

impl CallerId {
    /// The id of the caller with this key.
    #[must_use]
    pub fn of(line: &LineId, caller: &PublicKey) -> Self {
        Self(first(hash("caller", &[line.as_bytes(), caller.as_bytes()])))
    }
}

impl fmt::Debug for CallerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerId")
    }
}

fn first<const N: usize>(hash: [u8; 32]) -> [u8; N] {
    *hash.first_chunk().expect("ids are shorter than a hash")
}

/// One of the nine signing places of a line: 0–7 answer, 8 is safeguarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seat(u8);

impl Seat {
    /// The seat of the person outside the team.
    pub const SAFEGUARDING: Self = Self(8);

    /// Seat `number`, if there is one.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number <= 8 { Some(Self(number)) } else { None }
    }
    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
    /// Whether it is the safeguarding seat.
    #[must_use]
    pub const fn is_safeguarding(self) -> bool {
        self.0 == 8
    }
    /// All nine.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=8).map(Self)
    }
}

/// The secret path under which a relay serves a line: 4–32 of `a–z 0–9`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gate(String);

/// A gate is 4 to 32 lower-case letters and digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a gate is 4 to 32 of the letters a-z and digits 0-9")]
pub struct BadGate;

impl Gate {
    /// Reads a gate.
    ///
    /// # Errors
    ///
    /// [`BadGate`] if it has other characters or another length.
    pub fn parse(text: &str) -> Result<Self, BadGate> {
        let fits = (4..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if fits { Ok(Self(text.into())) } else { Err(BadGate) }
    }
    /// The path segment.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Silent: a gate in a log would tell a scanner where to knock.
impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}
