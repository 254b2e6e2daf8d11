//! Device tokens: who is a device of the line, for which call, once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use porchlight_proto::line::DeviceId;
use porchlight_proto::token::{Access, Gatekeeper, Request, UncheckedToken};

use crate::clock::BootMillis;
use crate::forget::forget;
use crate::lane::Line;

/// How long a nonce is remembered. Twice what a token's time may be off.
const NONCE_MS: u64 = 600_000;

/// Nonces remembered of one device: sixteen calls a second for ten minutes.
const OF_ONE: usize = 10_000;

/// Nonces remembered at once. Beyond these a device has [`RESERVE`] calls of its own, whatever others did with theirs.
const OF_ALL: usize = 100_000;

/// Calls in ten minutes that no other device can take from one: a device that went astray must not keep a lead from putting up the
/// roster that revokes it.
const RESERVE: usize = 1000;

/// Devices remembered at once. Only who holds the desk key makes more.
const DEVICES_MAX: usize = 1000;

/// The nonces that were used in the last ten minutes.
#[derive(Default)]
pub struct Nonces {
    used: Mutex<HashMap<DeviceId, HashMap<[u8; 16], BootMillis>>>,
}

impl Nonces {
    /// Uses a device's nonce up; false if it was used already, or if there are too many to remember another.
    #[must_use]
    pub fn take(&self, device: DeviceId, nonce: [u8; 16], now: BootMillis) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = used.values().map(HashMap::len).sum::<usize>();
        let own = used.get(&device).map_or(0, HashMap::len);
        if own >= OF_ONE || count >= OF_ALL && own >= RESERVE || own == 0 && used.len() >= DEVICES_MAX {
            forget_old(&mut used, now);
            count = used.values().map(HashMap::len).sum();
        }
        let is_crowded = count >= OF_ALL;
        if used.len() >= DEVICES_MAX && !used.contains_key(&device) {
            return false;
        }
        let own = used.entry(device).or_default();
        let is_spent = own.get(&nonce).is_some_and(|at| now.since(*at) < NONCE_MS);
        if is_spent || own.len() >= if is_crowded { RESERVE } else { OF_ONE } {
            return false;
        }
        own.insert(nonce, now);
        true
    }

    /// Forgets what is old enough.
    pub fn tend(&self, now: BootMillis) {
        forget_old(&mut self.used.lock().unwrap_or_else(PoisonError::into_inner), now);
    }
}

fn forget_old(used: &mut HashMap<DeviceId, HashMap<[u8; 16], BootMillis>>, now: BootMillis) {
    for own in used.values_mut() {
        forget(own, |_, at| now.since(*at) < NONCE_MS);
    }
    forget(used, |_, own| !own.is_empty());
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
    let is_welcome = !line.board.shuts_out(access.device, access.generation, now);
    // The nonce last: a request that fails otherwise must not use it up.
    (is_welcome && nonces.take(access.device, access.nonce, boot)).then_some(access)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce(number: usize) -> [u8; 16] {
        u128::try_from(number).unwrap().to_be_bytes()
    }

    #[test]
    fn a_nonce_works_once_in_ten_minutes() {
        let (nonces, device) = (Nonces::default(), DeviceId([1; 8]));
        assert!(nonces.take(device, [1; 16], BootMillis(0)));
        assert!(!nonces.take(device, [1; 16], BootMillis(NONCE_MS - 1)));
        assert!(nonces.take(device, [2; 16], BootMillis(NONCE_MS - 1)));
        assert!(nonces.take(device, [1; 16], BootMillis(NONCE_MS)));
        nonces.tend(BootMillis(3 * NONCE_MS));
        assert!(nonces.used.lock().unwrap().is_empty());
    }

    #[test]
    fn devices_that_call_without_end_leave_others_theirs() {
        let nonces = Nonces::default();
        let stolen = DeviceId([100; 8]);
        let taken = (0..OF_ONE + 50).filter(|number| nonces.take(stolen, nonce(*number), BootMillis(0))).count();
        assert_eq!(taken, OF_ONE);
        // As many as fill all there is: one whose desk key was stolen makes devices as it likes.
        for other in 1..=9 {
            assert!((0..OF_ONE).all(|number| nonces.take(DeviceId([other; 8]), nonce(number), BootMillis(0))));
        }
        let lead = DeviceId([200; 8]);
        assert!((0..RESERVE).all(|number| nonces.take(lead, nonce(number), BootMillis(0))), "the lead is heard");
        assert!(!nonces.take(lead, nonce(RESERVE), BootMillis(0)), "and memory has an end");
        assert!(nonces.take(lead, nonce(RESERVE), BootMillis(NONCE_MS)), "ten minutes later there is room");
    }
}
