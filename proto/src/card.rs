//! How a caller finds a line: cards for native clients, doors for people and browsers (SPEC §10).
use crate::cbor::{BadCbor, MapWriter, array, infallible, items, read_map, read_map_in};
use crate::kdf::hash;
use crate::limits::{CARD_MAX, RELAYS_MAX};
use crate::line::{Gate, LineId};
use crate::sign::PublicKey;
use alloc::{string::String, vec::Vec};
use data_encoding::BASE32_NOPAD;
use minicbor::Decoder;

const VERSION: u64 = 1;
const PREFIX: &str = "PORCHLIGHT1";
const CHECK_LEN: usize = 4;
const URL_MAX: usize = 255;
/// The most characters of a door after `https://`: what can be said aloud.
pub const DOOR_MAX: usize = 24;

/// Where a relay is, and under which gates it serves the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayAddress {
    /// `https://host[:port]`.
    pub url: String,
    /// At least one.
    pub gates: Vec<Gate>,
    /// SHA-256 of the certificate's public key info; replaces the public authorities.
    pub pin: Option<[u8; 32]>,
    /// The relay's number, which tags are derived with.
    pub number: u8,
}

/// What a native client needs to know of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// The line's root key.
    pub root: PublicKey,
    /// One to eight relays.
    pub relays: Vec<RelayAddress>,
}

/// Why a text is no card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// It does not begin like a card.
    #[error("a card begins with PORCHLIGHT1; is this the whole text?")]
    NotACard,
    /// A letter is wrong or missing somewhere.
    #[error("the card was not copied exactly; compare it once more with the original")]
    Mistyped,
    /// It was copied exactly, but says nothing this program understands.
    #[error("this card is of another version, or not valid")]
    Malformed,
}

impl Card {
    /// The line's id.
    #[must_use]
    pub fn line(&self) -> LineId {
        LineId::from_root(&self.root)
    }
    /// The text form, for paper and QR codes.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut bytes = self.to_cbor();
        let check = check_bytes(&bytes);
        bytes.extend_from_slice(&check);
        alloc::format!("{PREFIX}-{}", BASE32_NOPAD.encode(&bytes))
    }
    /// Reads the text form, in any case, with any spaces, line breaks and hyphens.
    ///
    /// # Errors
    ///
    /// In this order: [`CardError::NotACard`], [`CardError::Mistyped`], [`CardError::Malformed`].
    pub fn parse_text(text: &str) -> Result<Self, CardError> {
        if text.len() > 8 * CARD_MAX {
            return Err(CardError::NotACard);
        }
        let compact: String = text
            .chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '\u{feff}' | '\u{200b}'))
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let body = compact.strip_prefix(PREFIX).ok_or(CardError::NotACard)?;
        let bytes = BASE32_NOPAD.decode(body.as_bytes()).map_err(|_| CardError::Mistyped)?;
        let (cbor, check) = bytes.split_last_chunk::<CHECK_LEN>().ok_or(CardError::Mistyped)?;
        if *check != check_bytes(cbor) {
            return Err(CardError::Mistyped);
        }
        Self::parse_cbor(cbor)
    }
    /// The card as CBOR, as an answer may carry it.
    #[must_use]
    pub fn to_cbor(&self) -> Vec<u8> {
        let relays: Vec<Vec<u8>> = (0u8..).zip(&self.relays).map(|(at, relay)| relay.to_cbor(at)).collect();
        let mut map = MapWriter::new();
        map.uint(0, VERSION).bytes(1, self.root.as_bytes()).field(2, |out| {
            infallible(out.array(relays.len() as u64));
            for relay in &relays {
                out.writer_mut().encoded(relay);
            }
        });
        map.finish()
    }
    /// Reads the CBOR form.
    ///
    /// # Errors
    ///
    /// [`CardError::Malformed`], whatever is wrong with it.
    pub fn parse_cbor(bytes: &[u8]) -> Result<Self, CardError> {
        if bytes.len() > CARD_MAX {
            return Err(CardError::Malformed);
        }
        Self::read(bytes).map_err(|BadCbor| CardError::Malformed)
    }
    fn read(bytes: &[u8]) -> Result<Self, BadCbor> {
        let (mut version, mut root, mut relays) = (0, None, Vec::new());
        read_map(bytes, |key, value| {
            match key {
                0 => version = value.u64()?,
                1 => root = Some(PublicKey::from_bytes(array(value)?)),
                2 => relays = read_relays(value)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let card = Self { root: root.ok_or(BadCbor)?, relays };
        let numbers = card.relays.iter().map(|relay| relay.number);
        let distinct = numbers.clone().enumerate().all(|(at, number)| !numbers.clone().take(at).any(|n| n == number));
        if version == VERSION && !card.relays.is_empty() && distinct { Ok(card) } else { Err(BadCbor) }
    }
}

fn check_bytes(cbor: &[u8]) -> [u8; CHECK_LEN] {
    *hash("card", &[cbor]).first_chunk().expect("a hash is longer than its check bytes")
}

fn read_relays(value: &mut Decoder<'_>) -> Result<Vec<RelayAddress>, BadCbor> {
    (0..items(value, RELAYS_MAX as u64)?).map(|at| RelayAddress::read(value, u8::try_from(at).map_err(|_| BadCbor)?)).collect()
}

impl RelayAddress {
    fn to_cbor(&self, at: u8) -> Vec<u8> {
        let mut map = MapWriter::new();
        map.text(0, &self.url).field(1, |out| {
            infallible(out.array(self.gates.len() as u64));
            for gate in &self.gates {
                infallible(out.str(gate.as_str()));
            }
        });
        if let Some(pin) = &self.pin {
            map.bytes(2, pin);
        }
        if self.number != at {
            map.uint(3, u64::from(self.number));
        }
        map.finish()
    }
    fn read(decoder: &mut Decoder<'_>, at: u8) -> Result<Self, BadCbor> {
        let mut relay = Self { url: String::new(), gates: Vec::new(), pin: None, number: at };
        read_map_in(decoder, |key, value| {
            match key {
                0 => relay.url = read_url(value.str()?)?,
                1 => relay.gates = read_gates(value)?,
                2 => relay.pin = Some(array(value)?),
                3 => relay.number = value.u8()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        if relay.url.is_empty() || relay.gates.is_empty() { Err(BadCbor) } else { Ok(relay) }
    }
}

fn read_gates(value: &mut Decoder<'_>) -> Result<Vec<Gate>, BadCbor> {
    (0..items(value, RELAYS_MAX as u64)?).map(|_| Gate::parse(value.str()?).map_err(|_| BadCbor)).collect()
}

fn read_url(text: &str) -> Result<String, BadCbor> {
    if is_relay_url(text) { Ok(text.into()) } else { Err(BadCbor) }
}

/// Whether a text is `https://host[:port]`, without path, user or query.
#[must_use]
pub fn is_relay_url(text: &str) -> bool {
    let Some(authority) = text.strip_prefix("https://") else {
        return false;
    };
    let (host, port, host_fits) = match authority.strip_prefix('[') {
        Some(rest) => {
            let Some((host, port)) = rest.split_once(']') else { return false };
            (host, port, host.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b'.' | b':')))
        }
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            (host, port, host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')))
        }
    };
    let port_fits = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    text.len() <= URL_MAX && !host.is_empty() && host_fits && port_fits
}

/// Digits only: `u16::from_str` would take a plus sign as well.
fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// A line's web address as it is said aloud: host and gate. It pins nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// The host, without scheme.
    pub host: String,
    /// The gate.
    pub gate: Gate,
}

impl Door {
    /// Reads `https://host/gate`; the scheme may be missing, as in speech.
    ///
    /// # Errors
    ///
    /// [`CardError::NotACard`] if there is no host or gate; [`CardError::Mistyped`] if it is longer than can be said aloud.
    pub fn parse(text: &str) -> Result<Self, CardError> {
        let text = text.trim();
        let rest = text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/');
        let (host, gate) = rest.split_once('/').ok_or(CardError::NotACard)?;
        let gate = Gate::parse(gate).map_err(|_| CardError::NotACard)?;
        if !is_relay_url(&alloc::format!("https://{host}")) {
            return Err(CardError::NotACard);
        }
        if rest.len() > DOOR_MAX {
            return Err(CardError::Mistyped);
        }
        Ok(Self { host: host.into(), gate })
    }
    /// As it is printed, always with its scheme.
    #[must_use]
    pub fn to_text(&self) -> String {
        alloc::format!("https://{}/{}", self.host, self.gate.as_str())
    }
}
