//! Device tokens: who is a device of the line, for which call, once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use porchlight_proto::token::{Access, Gatekeeper, Request, UncheckedToken};

use crate::clock::BootMillis;
use crate::lane::Line;

/// How long a nonce is remembered. Twice what a token's time may be off.
const NONCE_MS: u64 = 600_000;

/// Nonces remembered at once: a hundred devices, each a thousand calls.
const NONCES_MAX: usize = 100_000;

/// The nonces that were used in the last ten minutes.
#[derive(Default)]
pub struct Nonces {
    used: Mutex<HashMap<[u8; 16], BootMillis>>,
}

impl Nonces {
    /// Uses a nonce up; false if it was used already, or if there are too many to remember another.
    #[must_use]
    pub fn take(&self, nonce: [u8; 16], now: BootMillis) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= NONCES_MAX {
            used.retain(|_, at| now.since(*at) < NONCE_MS);
        }
        if used.len() >= NONCES_MAX || used.get(&nonce).is_some_and(|at| now.since(*at) < NONCE_MS) {
            return false;
        }
        used.insert(nonce, now);
        true
    }

    /// Forgets what is old enough.
    pub fn tend(&self, now: BootMillis) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, at| now.since(*at) < NONCE_MS);
    }
}

/// Believes the token of a request, if a device of the line signed it for this call and no other (SPEC §11.1).
///
/// Any failure is the same failure: what the far side sees is the decoy.
#[must_use]
pub fn check(
    header: &str,
    request: &Request<'_>,
    spki: &[u8; 32],
    line: &Line,
    nonces: &Nonces,
    boot: BootMillis,
) -> Option<Access> {
    let token = UncheckedToken::parse(header.strip_prefix("Bearer ")?).ok()?;
    let (settings, now) = (&line.settings, line.now().seconds());
    let keeper = Gatekeeper { root: &settings.root, spki, now, generation: line.board.generation() };
    let access = token.check(request, &keeper).ok()?;
    let is_welcome = !line.board.revoked(access.device, now);
    // The nonce last: a request that fails otherwise must not use it up.
    (is_welcome && nonces.take(access.nonce, boot)).then_some(access)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_works_once_in_ten_minutes() {
        let nonces = Nonces::default();
        assert!(nonces.take([1; 16], BootMillis(0)));
        assert!(!nonces.take([1; 16], BootMillis(NONCE_MS - 1)));
        assert!(nonces.take([2; 16], BootMillis(NONCE_MS - 1)));
        assert!(nonces.take([1; 16], BootMillis(NONCE_MS)));
        nonces.tend(BootMillis(3 * NONCE_MS));
        assert!(nonces.used.lock().unwrap().is_empty());
    }
}
