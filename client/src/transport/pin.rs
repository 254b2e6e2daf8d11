//! A relay's certificate known by the hash of its public key.

use core::fmt;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use x509_parser::prelude::{FromDer, X509Certificate};

/// SHA-256 of a certificate's SubjectPublicKeyInfo, in DER (SPEC §10, key 2 of a relay; SPEC §11.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin([u8; 32]);

/// Why a text is no pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// It is neither 64 hex digits nor base64.
    #[error("a pin is 64 hex digits or base64, with or without sha256/ before it")]
    Spelling,
    /// It decodes, but not to 32 bytes.
    #[error("a pin is a SHA-256 hash of 32 bytes, this is {0}")]
    Length(usize),
}

impl Pin {
    /// Takes the 32 bytes of a hash.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The pin of a certificate in DER; `None` if it is not an X.509 certificate.
    #[must_use]
    pub fn of_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(Self(Sha256::digest(certificate.tbs_certificate.subject_pki.raw).into()))
    }

    /// Reads a pin: 64 hex digits (colons allowed) or base64 (either alphabet, padded or not), after `sha256/` or `sha256//` if present.
    ///
    /// # Errors
    ///
    /// [`PinError::Spelling`] if it is neither, [`PinError::Length`] if it is not 32 bytes.
    pub fn parse(text: &str) -> Result<Self, PinError> {
        let text = text.trim();
        let body = text.strip_prefix("sha256/").unwrap_or(text);
        // A second slash is the other way to write the prefix, or, for one pin in 64, the first character of the hash.
        let whole = Self::spelt(body);
        match body.strip_prefix('/') {
            Some(shorter) if whole.is_err() => Self::spelt(shorter),
            _ => whole,
        }
    }

    fn spelt(body: &str) -> Result<Self, PinError> {
        let bytes = hex(body).or_else(|| base64(body)).ok_or(PinError::Spelling)?;
        <[u8; 32]>::try_from(bytes.as_slice()).map(Self).map_err(|_| PinError::Length(bytes.len()))
    }

    /// Whether two pins are the same, in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pin({self})")
    }
}

/// Hex, if that is what it is: a base64 hash of 43 or 44 characters never has 64 or 95.
fn hex(body: &str) -> Option<Vec<u8>> {
    let digits: String = body.chars().filter(|c| *c != ':').collect();
    (digits.len() == 64).then(|| HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()).flatten()
}

fn base64(body: &str) -> Option<Vec<u8>> {
    [BASE64, BASE64_NOPAD, BASE64URL_NOPAD]
        .iter()
        .find_map(|spelling| spelling.decode(body.as_bytes()).ok())
        .filter(|bytes| !bytes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_read_in_every_usual_spelling() {
        let pin = Pin([0xfb; 32]);
        let hex = "fb".repeat(32);
        let base64 = BASE64.encode(&[0xfb; 32]);
        let url = BASE64URL_NOPAD.encode(&[0xfb; 32]);
        let colons = vec!["FB"; 32].join(":");
        for text in [
            hex.clone(),
            hex.to_uppercase(),
            colons,
            base64.clone(),
            url,
            base64.trim_end_matches('=').to_owned(),
            format!("sha256/{base64}"),
            format!("sha256//{base64}"),
            format!("sha256/{hex}"),
            format!(" sha256//{hex}\n"),
        ] {
            assert_eq!(Pin::parse(&text), Ok(pin), "{text}");
        }
    }

    #[test]
    fn a_hash_that_begins_with_a_slash_keeps_it() {
        let pin = Pin([0xff; 32]);
        let base64 = BASE64.encode(&[0xff; 32]);
        assert!(base64.starts_with('/'));
        for text in [base64.clone(), format!("sha256/{base64}"), format!("sha256//{base64}")] {
            assert_eq!(Pin::parse(&text), Ok(pin), "{text}");
        }
    }

    #[test]
    fn what_is_no_pin_is_refused() {
        for (text, why) in [
            ("", PinError::Spelling),
            ("sha256/", PinError::Spelling),
            ("not a pin", PinError::Spelling),
            ("AAAA", PinError::Length(3)),
            (&"AB".repeat(31), PinError::Spelling),
            (&"AAAA".repeat(20), PinError::Length(60)),
        ] {
            assert_eq!(Pin::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_have_no_pin() {
        for der in [&[][..], &[0x30], &[0x30, 0x03, 1, 2, 3], &[0xff; 700]] {
            assert_eq!(Pin::of_certificate(der), None);
        }
    }
}
