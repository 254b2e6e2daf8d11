//! Where a connection comes from, as a number that means nothing an hour later and nothing outside this process.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use porchlight_proto::kdf;
use porchlight_proto::time::Millis;
use zeroize::Zeroizing;

use crate::chance::Chance;

/// Milliseconds after which the salt is thrown away.
const SALT_MS: u64 = 3_600_000;

/// A source: the salted hash of an address. All that comes through a Unix socket is one source, and so is all that comes from this machine
/// (an onion service does).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(u64);

/// Turns addresses into sources and counts the connections of each.
pub struct Sources {
    chance: Arc<dyn Chance>,
    cap: usize,
    state: Mutex<State>,
}

struct State {
    salted_at: Option<u64>,
    salt: Box<Zeroizing<[u8; 32]>>,
    open: HashMap<Source, usize>,
}

/// A place taken by a connection. Dropping it gives it back.
pub struct Seated {
    sources: Arc<Sources>,
    /// Who took it.
    pub source: Source,
    is_counted: bool,
}

impl Sources {
    /// At most `cap` connections of one address at once.
    #[must_use]
    pub fn new(cap: usize, chance: Arc<dyn Chance>) -> Self {
        let state = State { salted_at: None, salt: Box::default(), open: HashMap::new() };
        Self { chance, cap, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a connection from `address` (`None`: a Unix socket), if its source has one left. This machine always has.
    #[must_use]
    pub fn seat(self: &Arc<Self>, address: Option<IpAddr>, now: Millis) -> Option<Seated> {
        let mut state = self.state();
        if state.salted_at.is_none_or(|at| now.0.saturating_sub(at) >= SALT_MS) {
            self.chance.fill(state.salt.as_mut_slice());
            state.salted_at = Some(now.0);
            // Connections of the old salt are not found again: forgetting them errs on the side of letting people in.
            state.open.clear();
        }
        let source = source_of(&state.salt, address);
        let is_counted = address.is_some_and(|ip| !ip.to_canonical().is_loopback());
        if is_counted {
            let open = state.open.entry(source).or_default();
            if *open >= self.cap {
                return None;
            }
            *open += 1;
        }
        Some(Seated { sources: Arc::clone(self), source, is_counted })
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        if !self.is_counted {
            return;
        }
        let mut state = self.sources.state();
        let left = state.open.get(&self.source).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            state.open.remove(&self.source);
        } else {
            state.open.insert(self.source, left);
        }
    }
}

fn source_of(salt: &[u8; 32], address: Option<IpAddr>) -> Source {
    let bytes = match address.map(|ip| ip.to_canonical()) {
        None => Vec::new(),
        Some(IpAddr::V4(ip)) => ip.octets().to_vec(),
        // One network is one source: whoever has one IPv6 address has 2⁶⁴ of them.
        Some(IpAddr::V6(ip)) => Ipv6Addr::from(u128::from(ip) >> 64 << 64).octets().to_vec(),
    };
    let mut number = [0; 8];
    kdf::expand(salt, "relay/source", &bytes, &mut number);
    Source(u64::from_be_bytes(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::SeededChance;

    fn ip(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    #[test]
    fn an_address_is_one_source_for_an_hour_and_has_so_many_places() {
        let sources = Arc::new(Sources::new(2, Arc::new(SeededChance::new(3))));
        let at = Millis(1_000_000);
        let first = sources.seat(ip("192.0.2.1"), at).unwrap();
        let second = sources.seat(ip("::ffff:192.0.2.1"), at).unwrap();
        assert_eq!(first.source, second.source);
        assert!(sources.seat(ip("192.0.2.1"), at).is_none(), "both places are taken");
        assert!(sources.seat(ip("192.0.2.2"), at).is_some(), "somebody else's are not");
        drop(second);
        let again = sources.seat(ip("192.0.2.1"), at).unwrap();
        let later = sources.seat(ip("192.0.2.1"), at.plus(SALT_MS)).unwrap();
        assert_ne!(again.source, later.source, "an hour later nobody is recognised");
    }

    #[test]
    fn an_ipv6_network_is_one_source_and_this_machine_has_places_without_end() {
        let sources = Arc::new(Sources::new(1, Arc::new(SeededChance::new(4))));
        let at = Millis(0);
        let one = sources.seat(ip("2001:db8:1:2::1"), at).unwrap();
        assert!(sources.seat(ip("2001:db8:1:2:ffff::9"), at).is_none());
        assert_ne!(sources.seat(ip("2001:db8:1:3::1"), at).unwrap().source, one.source);
        let local: Vec<_> = (0..5).map(|_| sources.seat(ip("127.0.0.1"), at).unwrap()).collect();
        let socket: Vec<_> = (0..5).map(|_| sources.seat(None, at).unwrap()).collect();
        assert_eq!((local.len(), socket.len()), (5, 5));
    }
}
