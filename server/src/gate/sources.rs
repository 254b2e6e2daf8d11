//! Where a connection comes from, as a number that means nothing an hour later and nothing outside this process.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use porchlight_proto::kdf;
use porchlight_proto::time::Millis;
use tokio::sync::Notify;
use zeroize::Zeroizing;

use crate::chance::Chance;

/// Milliseconds after which the salt is thrown away.
const SALT_MS: u64 = 3_600_000;

/// How many times what one address may have open its whole network may: whoever is given a /48 has 65,536 times /64.
const NETWORK: usize = 8;

/// Connections of devices that are not asked to make room: fifteen devices have a few each. If there are more, all are asked.
const PROVEN_MAX: usize = 128;

/// Newcomers of this machine's in a second for whom others of this machine's leave: whoever connects without end would else end all of them.
const LOCAL_TURNS: u32 = 16;

/// When memory is short, at most one of so many connections leaves at a time, and at least so many.
const RELIEVED_PART: usize = 2;
const RELIEVED_LEAST: usize = 16;

/// A source: the salted hash of a network, which is an address of IPv4 or a /48 of IPv6. All that comes through a Unix socket is one source,
/// and so is all that comes from this machine (an onion service does).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(u64);

/// Turns addresses into sources and counts the connections of each.
pub struct Sources {
    chance: Arc<dyn Chance>,
    cap: usize,
    state: Mutex<State>,
}

struct State {
    /// The second of the last turns of [`LOCAL_TURNS`], and how many there were in it.
    local_turns: (u64, u32),
    salted_at: Option<u64>,
    salt: Box<Zeroizing<[u8; 32]>>,
    open: HashMap<Source, Vec<Open>>,
}

impl Open {
    fn ask_to_leave(&self) {
        self.standing.is_leaving.store(true, Ordering::Relaxed);
        self.leave.notify_one();
    }
}

impl State {
    fn all(&self) -> impl Iterator<Item = &Open> {
        self.open.values().flatten()
    }

    /// Whether somebody of this machine's may take another's place now.
    fn local_turn(&mut self, now: Millis) -> bool {
        let second = now.0 / 1000;
        let before = if self.local_turns.0 == second { self.local_turns.1 } else { 0 };
        self.local_turns = (second, before.saturating_add(1));
        before < LOCAL_TURNS
    }
}

/// An open connection.
struct Open {
    /// Of the address itself: a /64 of IPv6, since whoever has one address has 2⁶⁴ of them.
    address: Source,
    leave: Arc<Notify>,
    standing: Arc<Standing>,
}

/// What one connection has done so far that matters when somebody has to leave.
#[derive(Default)]
pub struct Standing {
    is_proven: AtomicBool,
    /// It was asked to leave: asked twice, it makes room for one all the same.
    is_leaving: AtomicBool,
    said: Arc<AtomicU64>,
}

impl Standing {
    /// It has shown that it is a device of a line's.
    pub fn prove(&self) {
        self.is_proven.store(true, Ordering::Relaxed);
    }

    fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Relaxed)
    }

    fn is_proven(&self) -> bool {
        self.is_proven.load(Ordering::Relaxed)
    }

    /// Bytes that came by it.
    #[must_use]
    pub const fn said(&self) -> &Arc<AtomicU64> {
        &self.said
    }

    fn bytes(&self) -> u64 {
        self.said.load(Ordering::Relaxed)
    }
}

/// A place taken by a connection. Dropping it gives it back.
pub struct Seated {
    sources: Arc<Sources>,
    /// Who took it.
    pub source: Source,
    /// Against whom it counts what strangers take up: the source, or this connection alone where that is everybody.
    pub owes: Source,
    /// This connection alone.
    pub alone: Source,
    /// Told when this connection has to make room for another.
    pub leave: Arc<Notify>,
    /// What it has done so far.
    pub standing: Arc<Standing>,
}

impl Sources {
    /// At most `cap` connections of one address at once.
    #[must_use]
    pub fn new(cap: usize, chance: Arc<dyn Chance>) -> Self {
        let state = State { local_turns: (0, 0), salted_at: None, salt: Box::default(), open: HashMap::new() };
        Self { chance, cap, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a connection from `address` (`None`: a Unix socket), if its source has one left. This machine always has.
    #[must_use]
    pub fn seat(self: &Arc<Self>, address: Option<IpAddr>, now: Millis) -> Option<Seated> {
        let mut state = self.state();
        self.salt(&mut state, now);
        let [source, own] = sources_of(&state.salt, address);
        let is_capped = address.is_some_and(|ip| !ip.to_canonical().is_loopback());
        let open = state.open.entry(source).or_default();
        let of_own = || open.iter().filter(|other| other.address == own).count();
        if is_capped && (open.len() >= self.cap.saturating_mul(NETWORK) || of_own() >= self.cap) {
            return None;
        }
        let (leave, standing) = <(Arc<Notify>, Arc<Standing>)>::default();
        open.push(Open { address: own, leave: Arc::clone(&leave), standing: Arc::clone(&standing) });
        drop(state);
        let alone = self.any();
        let owes = if is_capped { source } else { alone };
        Some(Seated { sources: Arc::clone(self), source, owes, alone, leave, standing })
    }

    /// A source that nobody else is.
    fn any(&self) -> Source {
        let mut number = [0; 8];
        self.chance.fill(&mut number);
        Source(u64::from_le_bytes(number))
    }

    /// Throws the salt away once it is an hour old, whether or not somebody comes.
    pub fn tend(&self, now: Millis) {
        let mut state = self.state();
        if state.salted_at.is_some() {
            self.salt(&mut state, now);
        }
    }

    /// Connections of the old salt keep their places and their numbers, which nobody can make again: at the turn of the hour an address
    /// may have twice its places until the old ones end.
    fn salt(&self, state: &mut State, now: Millis) {
        if state.salted_at.is_none_or(|at| now.0.saturating_sub(at) >= SALT_MS) {
            self.chance.fill(state.salt.as_mut_slice());
            state.salted_at = Some(now.0);
        }
    }

    /// Asks one connection to make room for `newcomer`: by lot, of the source that has most. False if that is the newcomer's own source, or
    /// nobody is known.
    ///
    /// So whoever holds many places loses them to those who hold few, and where all hold one each it is a matter of chance. All that comes from
    /// this machine is one source here, in which newcomers take the places of others, sixteen a second: an onion service's callers are
    /// many. Devices of a line keep theirs, as long as they are not too many.
    #[must_use]
    pub fn make_room(&self, newcomer: &Seated, now: Millis) -> bool {
        let mut lot = [0; 8];
        self.chance.fill(&mut lot);
        let lot = usize::try_from(u64::from_le_bytes(lot) >> 1).unwrap_or(0);
        let mut state = self.state();
        let spares = state.all().filter(|open| open.standing.is_proven()).count() <= PROVEN_MAX;
        let may_leave = |open: &&Open| !(Arc::ptr_eq(&open.leave, &newcomer.leave) || spares && open.standing.is_proven());
        // Who was asked to leave still holds a place.
        let movable = |open: &[Open]| open.iter().filter(may_leave).count();
        let staying = |open: &[Open]| open.iter().filter(may_leave).filter(|open| !open.standing.is_leaving()).count();
        let drawn = |open: &[Open], lot: usize| {
            let drawn = open.iter().filter(may_leave).filter(|open| !open.standing.is_leaving()).nth(lot % staying(open).max(1));
            drawn.inspect(|open| open.ask_to_leave()).is_some()
        };
        let others = || state.open.iter().filter(|(source, _)| **source != newcomer.source);
        let most = others().map(|(_, open)| movable(open)).max().unwrap_or(0);
        // With the newcomer itself.
        let own = state.open.get(&newcomer.source).map_or(0, |open| movable(open) + 1);
        if most > 0 && own <= most {
            // Those with as many as the first are drawn from, too.
            let rivals = || others().filter(|(_, open)| movable(open) == most && staying(open) > 0);
            let count = rivals().count().max(1);
            return rivals().nth(lot % count).is_some_and(|(_, open)| drawn(open, lot / count));
        }
        let is_local = newcomer.owes != newcomer.source;
        let may_turn = is_local && state.local_turn(now);
        may_turn && state.open.get(&newcomer.source).is_some_and(|open| drawn(open, lot))
    }

    /// Asks those to leave by whom most came, since memory is short: what a connection makes a library keep is at most a few times what came by
    /// it. As many as `bytes` came by, within bounds. How many were asked.
    pub fn relieve(&self, bytes: u64) -> usize {
        let state = self.state();
        let mut all: Vec<&Open> = state.all().collect();
        all.sort_unstable_by_key(|open| Reverse(open.standing.bytes()));
        let mut said = 0_u64;
        let enough = all.iter().take_while(|open| {
            let goes_on = said < bytes;
            said = said.saturating_add(open.standing.bytes());
            goes_on
        });
        let count = enough.count().min(all.len() / RELIEVED_PART).max(RELIEVED_LEAST);
        all.iter().take(count).map(|open| open.ask_to_leave()).count()
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        let mut state = self.sources.state();
        let Some(open) = state.open.get_mut(&self.source) else { return };
        if let Some(at) = open.iter().position(|other| Arc::ptr_eq(&other.leave, &self.leave)) {
            open.swap_remove(at);
        }
        if open.is_empty() {
            state.open.remove(&self.source);
        }
    }
}

/// Of the network, and of the address itself.
fn sources_of(salt: &[u8; 32], address: Option<IpAddr>) -> [Source; 2] {
    let source = |bytes: &[u8]| {
        let mut number = [0; 8];
        kdf::expand(salt, "relay/source", bytes, &mut number);
        Source(u64::from_be_bytes(number))
    };
    match address.map(|ip| ip.to_canonical()) {
        None => [source(&[]); 2],
        Some(IpAddr::V4(ip)) => [source(&ip.octets()); 2],
        Some(IpAddr::V6(ip)) => {
            let [a, b, c, d, e, f, g, h, ..] = ip.octets();
            [source(&[a, b, c, d, e, f]), source(&[a, b, c, d, e, f, g, h])]
        }
    }
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

    /// Whether a connection has been told to leave.
    fn is_told(seated: &Seated) -> bool {
        use std::future::Future;
        let mut told = std::pin::pin!(seated.leave.notified());
        told.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
    }

    #[test]
    fn room_is_made_by_whoever_holds_most_and_not_for_them() {
        let sources = Arc::new(Sources::new(100, Arc::new(SeededChance::new(5))));
        let seat = |text| sources.seat(ip(text), Millis(0)).unwrap();
        let crowd: Vec<_> = (0..20).map(|_| seat("192.0.2.1")).collect();
        let few: Vec<_> = (0..3).map(|_| seat("192.0.2.2")).collect();
        let newcomer = seat("192.0.2.3");
        assert!(sources.make_room(&newcomer, Millis(0)));
        assert_eq!(crowd.iter().filter(|seated| is_told(seated)).count(), 1, "one of the many leaves");
        assert!(!few.iter().any(is_told) && !is_told(&newcomer));
        assert!(!sources.make_room(&crowd[0], Millis(0)), "who holds most gets no more");
        drop(crowd);
        let single: Vec<_> = (10..60).map(|n| sources.seat(Some([192, 0, 2, n].into()), Millis(0)).unwrap()).collect();
        drop(few);
        let left: Vec<usize> = (0..40)
            .map(|_| {
                assert!(sources.make_room(&newcomer, Millis(0)));
                single.iter().position(is_told).unwrap()
            })
            .collect();
        let drawn: std::collections::BTreeSet<_> = left.iter().collect();
        assert!(drawn.len() > 15, "among equals it is a matter of chance: {left:?}");
    }

    #[test]
    fn callers_of_an_onion_service_make_room_for_each_other() {
        let sources = Arc::new(Sources::new(2, Arc::new(SeededChance::new(7))));
        let crowd: Vec<_> = (0..200).map(|_| sources.seat(ip("127.0.0.1"), Millis(0)).unwrap()).collect();
        let newcomer = sources.seat(ip("127.0.0.1"), Millis(0)).unwrap();
        let told: Vec<usize> = (0..40)
            .map(|second| {
                assert!(sources.make_room(&newcomer, Millis(second * 1000)));
                assert!(!is_told(&newcomer));
                crowd.iter().position(is_told).unwrap()
            })
            .collect();
        assert_eq!(told.iter().collect::<std::collections::BTreeSet<_>>().len(), 40, "each once");
        assert!(told.iter().any(|nth| *nth > 100), "by lot: {told:?}");
        let made = (0..1000).filter(|_| sources.make_room(&newcomer, Millis(99_000))).count();
        assert_eq!(made, LOCAL_TURNS as usize, "and not all at once");
    }

    #[test]
    fn a_device_that_has_shown_who_it_is_keeps_its_place() {
        let sources = Arc::new(Sources::new(1000, Arc::new(SeededChance::new(8))));
        let seat = |text| sources.seat(ip(text), Millis(0)).unwrap();
        let office: Vec<_> = (0..20).map(|_| seat("192.0.2.1")).collect();
        office.iter().for_each(|seated| seated.standing.prove());
        let strangers: Vec<_> = (0..4).map(|_| seat("192.0.2.9")).collect();
        let (newcomer, colleague) = (seat("192.0.2.3"), seat("192.0.2.1"));
        for newcomer in [&newcomer, &colleague] {
            assert!(sources.make_room(newcomer, Millis(0)), "also for one more of the same office");
            assert_eq!(strangers.iter().filter(|seated| is_told(seated)).count(), 1);
        }
        assert!(!office.iter().any(is_told));
        let many: Vec<_> = (0..PROVEN_MAX).map(|_| seat("192.0.2.5")).collect();
        many.iter().for_each(|seated| seated.standing.prove());
        assert!(sources.make_room(&newcomer, Millis(0)));
        assert_eq!(many.iter().filter(|seated| is_told(seated)).count(), 1, "too many to be spared");
    }

    #[test]
    fn those_leave_by_whom_most_came_when_memory_is_short() {
        let sources = Arc::new(Sources::new(1000, Arc::new(SeededChance::new(9))));
        let seat = |n: u8| sources.seat(Some([192, 0, 2, n].into()), Millis(0)).unwrap();
        let few: Vec<_> = (0..40).map(seat).collect();
        let talkers: Vec<_> = (0..16).map(|_| seat(99)).collect();
        talkers.iter().for_each(|seated| _ = seated.standing.said().fetch_add(100_000, Ordering::Relaxed));
        assert_eq!(sources.relieve(1), RELIEVED_LEAST);
        assert!(talkers.iter().all(is_told) && !few.iter().any(is_told));
        let louder: Vec<_> = (0..20).map(|_| seat(98)).collect();
        louder.iter().for_each(|seated| _ = seated.standing.said().fetch_add(200_000, Ordering::Relaxed));
        assert_eq!(sources.relieve(4_000_000), 20);
        assert!(louder.iter().all(is_told) && !few.iter().any(is_told));
        assert_eq!(sources.relieve(u64::MAX), (few.len() + talkers.len() + louder.len()) / RELIEVED_PART);
        assert_eq!(Arc::new(Sources::new(1, Arc::new(SeededChance::new(9)))).relieve(1), 0);
    }

    #[test]
    fn an_ipv6_network_is_one_source_and_this_machine_has_places_without_end() {
        let sources = Arc::new(Sources::new(1, Arc::new(SeededChance::new(4))));
        let at = Millis(0);
        let one = sources.seat(ip("2001:db8:1:2::1"), at).unwrap();
        assert!(sources.seat(ip("2001:db8:1:2:ffff::9"), at).is_none(), "a /64 is one address");
        assert_eq!(sources.seat(ip("2001:db8:1:3::1"), at).unwrap().source, one.source, "a /48 has one account");
        let held: Vec<_> = (10..100).filter_map(|n| sources.seat(ip(&format!("2001:db8:1:{n}::1")), at)).collect();
        assert_eq!(held.len() + 1, NETWORK, "and so many places");
        assert_ne!(sources.seat(ip("2001:db8:2:3::1"), at).unwrap().source, one.source);
        let local: Vec<_> = (0..5).map(|_| sources.seat(ip("127.0.0.1"), at).unwrap()).collect();
        let socket: Vec<_> = (0..5).map(|_| sources.seat(None, at).unwrap()).collect();
        assert_eq!((local.len(), socket.len()), (5, 5));
    }

    #[test]
    fn an_hour_throws_the_salt_away_though_nobody_comes_and_nobody_loses_a_place() {
        let sources = Arc::new(Sources::new(2, Arc::new(SeededChance::new(6))));
        let salt = || *sources.state().salt.as_slice().first_chunk::<32>().unwrap();
        sources.tend(Millis(SALT_MS));
        let held = sources.seat(ip("192.0.2.1"), Millis(0)).unwrap();
        let first = salt();
        sources.tend(Millis(SALT_MS - 1));
        assert_eq!(salt(), first);
        sources.tend(Millis(SALT_MS));
        assert_ne!(salt(), first);
        let newcomer = sources.seat(ip("192.0.2.9"), Millis(SALT_MS)).unwrap();
        assert!(sources.make_room(&newcomer, Millis(0)) && is_told(&held), "it can still be asked to leave");
        drop((held, newcomer));
        assert!(sources.state().open.is_empty(), "and nothing of it stays");
    }
}
