//! Where a connection comes from, as a number that means nothing an hour later and nothing outside this process.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
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
const LOCAL_TURNS: usize = 16;

/// Of the places of a full address, or network, one in so many changes hands in a second: whoever has one keeps it for some 16 s, however many
/// knock, which is time for a handshake and a post on a bad line. Whoever knocks most gets most of them; so beside somebody who knocks without end
/// it takes a newcomer many tries, and beside somebody who only sits there one.
const TURNS_PART: usize = 16;

/// When memory is short, at most one of so many connections leaves at a time, and at least so many of those by whom more came than usual. Of the
/// others none has to leave to make up a number: where memory that is freed is not given back, it would be one's turn at last.
const RELIEVED_PART: usize = 2;
const RELIEVED_LEAST: usize = 16;

/// Bytes that come by no connection of a caller's: twice what a page sends in the ten minutes that one lives (126 KiB).
const SAID_USUAL: u64 = 256 * 1024;

/// Bytes that a connection costs whatever was said on it: 38 KiB once something was asked over h2, and 16 that TLS holds for a peer that takes
/// none (434 MiB for 8,192 of them).
const COST: u64 = 64 * 1024;

/// Of what is to be freed, so much comes from those by whom no more came than usual: they may be anybody.
const USUAL_PART: u64 = 4;

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
    turns: Turns,
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

    /// Whether those who have shown that they are devices of a line's are spared.
    fn spares(&self) -> bool {
        self.all().filter(|open| open.standing.is_proven()).count() <= PROVEN_MAX
    }

    /// Those of `whose`, a network or an address in it, who were not asked to leave.
    fn staying(&self, network: Source, whose: Source) -> impl Iterator<Item = &Open> {
        let all = self.open.get(&network).into_iter().flatten();
        all.filter(move |open| (whose == network || open.address == whose) && !open.standing.is_leaving())
    }

    /// Asks one of `whose` to leave for a newcomer of theirs, by lot among those who `may_leave`. False if nobody may, or the next turn of theirs
    /// has not come yet.
    fn replace(
        &mut self,
        network: Source,
        (whose, cap): (Source, usize),
        to_speak: bool,
        may_leave: impl Fn(&&Open) -> bool,
        (lot, now): (usize, Millis),
    ) -> bool {
        if !self.turns.take((whose, to_speak), (cap / TURNS_PART).max(1), lot, now) {
            return false;
        }
        let count = self.staying(network, whose).filter(&may_leave).count().max(1);
        self.staying(network, whose).filter(&may_leave).nth(lot % count).inspect(|open| open.ask_to_leave()).is_some()
    }
}

/// When the next of whose connections may leave for another of theirs; places to speak have turns of their own.
#[derive(Default)]
struct Turns(HashMap<(Source, bool), Millis>);

impl Turns {
    /// Whether one more of `whose` may, if `most` may in a second, about. They come free one by one, each at a moment that nobody can foretell:
    /// whoever knocks as each second begins would else take all of them.
    fn take(&mut self, whose: (Source, bool), most: usize, lot: usize, now: Millis) -> bool {
        self.tend(now);
        let Entry::Vacant(free) = self.0.entry(whose) else { return false };
        let between = u64::try_from(2000 / most.max(1)).unwrap_or(2000);
        free.insert(now.plus(1 + lot as u64 % between));
        true
    }

    /// Forgets those who may again.
    fn tend(&mut self, now: Millis) {
        self.0.retain(|_, at| now < *at && at.0 - now.0 <= 2000);
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
    is_speaking: AtomicBool,
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

    /// It has one of the places of those who speak.
    pub fn speak(&self) {
        self.is_speaking.store(true, Ordering::Relaxed);
    }

    fn is_speaking(&self) -> bool {
        self.is_speaking.load(Ordering::Relaxed)
    }

    /// Whether it has shown that it is a device of a line's.
    #[must_use]
    pub fn is_proven(&self) -> bool {
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
    /// Of the address itself.
    address: Source,
    /// Against whom it counts what strangers take up: the source, and of its part this connection; or this connection alone where the source is
    /// everybody.
    pub owes: Vec<Source>,
    /// This connection alone.
    pub alone: Source,
    /// Another of its address was asked to leave for it.
    pub replaces: bool,
    /// Told when this connection has to make room for another.
    pub leave: Arc<Notify>,
    /// What it has done so far.
    pub standing: Arc<Standing>,
}

impl Sources {
    /// At most `cap` connections of one address at once.
    #[must_use]
    pub fn new(cap: usize, chance: Arc<dyn Chance>) -> Self {
        let state = State { turns: Turns::default(), salted_at: None, salt: Box::default(), open: HashMap::new() };
        Self { chance, cap, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a connection from `address` (`None`: a Unix socket), if its source has one left; this machine always has. Where it has
    /// none, one of the same address leaves by lot, or of the same network if that is what is full: many callers may have one address, and whoever
    /// came first would else keep out all others, by doing nothing. Devices of a line keep theirs, as long as they are not too many.
    #[must_use]
    pub fn seat(self: &Arc<Self>, address: Option<IpAddr>, now: Millis) -> Option<Seated> {
        let mut state = self.state();
        self.salt(&mut state, now);
        let [source, own] = sources_of(&state.salt, address);
        let is_capped = address.is_some_and(|ip| !ip.to_canonical().is_loopback());
        let caps = [(own, self.cap), (source, self.cap.saturating_mul(NETWORK))];
        let full = caps.into_iter().find(|(whose, cap)| is_capped && state.staying(source, *whose).count() >= *cap);
        let spares = state.spares();
        let may_leave = |open: &&Open| !(spares && open.standing.is_proven());
        if full.is_some_and(|full| !state.replace(source, full, false, may_leave, (self.lot(), now))) {
            return None;
        }
        let (leave, standing) = <(Arc<Notify>, Arc<Standing>)>::default();
        let open = Open { address: own, leave: Arc::clone(&leave), standing: Arc::clone(&standing) };
        state.open.entry(source).or_default().push(open);
        drop(state);
        let alone = self.any();
        let owes = if is_capped { vec![source, alone] } else { vec![alone] };
        Some(Seated { sources: Arc::clone(self), source, address: own, owes, alone, replaces: full.is_some(), leave, standing })
    }

    fn lot(&self) -> usize {
        let mut lot = [0; 8];
        self.chance.fill(&mut lot);
        usize::try_from(u64::from_le_bytes(lot) >> 1).unwrap_or(0)
    }

    /// A source that nobody else is.
    fn any(&self) -> Source {
        let mut number = [0; 8];
        self.chance.fill(&mut number);
        Source(u64::from_le_bytes(number))
    }

    /// Throws the salt away once it is an hour old, and who took turns, whether or not somebody comes.
    pub fn tend(&self, now: Millis) {
        let mut state = self.state();
        state.turns.tend(now);
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
        self.make_room_among(newcomer, false, now)
    }

    /// The same among those who speak, or among all. Where it is the newcomer's own source that speaks most, one of its own address makes room, or
    /// of its network, as where that has all its places: neighbours must not be able to sit there for ever.
    fn make_room_among(&self, newcomer: &Seated, to_speak: bool, now: Millis) -> bool {
        let counts = |open: &Open| !to_speak || open.standing.is_speaking();
        let lot = self.lot();
        let mut state = self.state();
        let spares = state.spares();
        let is_spared = |open: &Open| Arc::ptr_eq(&open.leave, &newcomer.leave) || spares && open.standing.is_proven();
        let may_leave = |open: &&Open| counts(open) && !is_spared(open);
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
        let is_local = newcomer.owes.first() != Some(&newcomer.source);
        if is_local {
            let may_turn = state.turns.take((newcomer.source, to_speak), LOCAL_TURNS, lot, now);
            return may_turn && state.open.get(&newcomer.source).is_some_and(|open| drawn(open, lot));
        }
        // Where nobody of the address speaks, they are of the same network.
        let speaks = |whose: &Source| to_speak && state.staying(newcomer.source, *whose).any(|open| may_leave(&open));
        let own = [newcomer.address, newcomer.source].into_iter().find(speaks);
        own.is_some_and(|whose| state.replace(newcomer.source, (whose, self.cap), true, may_leave, (lot, now)))
    }

    /// Asks those to leave who cost so many `bytes`, since memory is short, within bounds. How many were asked.
    ///
    /// What a connection makes a library keep is at most a few times what came by it, beside what any costs. So first come those by whom more came
    /// than usual, most first. Those who said little may be a crowd that asks and takes nothing, or somebody's page: of them a part leaves, by lot
    /// from the sources that have most, down to as many as the next has. Devices of a line come last, as long as they are not too many.
    pub fn relieve(&self, bytes: u64) -> usize {
        let lot = self.lot();
        let state = self.state();
        let spares = state.spares();
        let mut all = Vec::new();
        for open in state.open.values() {
            all.extend(open.iter().enumerate().map(|(nth, one)| Weighed::new(one, (nth + lot) % open.len(), spares)));
        }
        all.sort_unstable_by_key(|one| one.order);
        let mut freed = 0_u64;
        let enough = all.iter().take_while(|one| {
            let goes_on = freed < if one.is_usual { bytes / USUAL_PART } else { bytes };
            freed = freed.saturating_add(one.cost);
            goes_on
        });
        let least = all.iter().filter(|one| !one.is_usual).count().min(RELIEVED_LEAST);
        let count = enough.count().min(all.len() / RELIEVED_PART).max(least);
        all.iter().take(count).map(|one| one.open.ask_to_leave()).count()
    }
}

/// A connection, and when its turn to leave comes. Weighed once: what is said meanwhile would change the order of those that are being sorted.
struct Weighed<'a> {
    open: &'a Open,
    is_usual: bool,
    cost: u64,
    order: (bool, Reverse<u64>, Reverse<usize>),
}

impl<'a> Weighed<'a> {
    /// The `nth` of its source.
    fn new(open: &'a Open, nth: usize, spares: bool) -> Self {
        let said = open.standing.bytes();
        let is_spared = spares && open.standing.is_proven();
        let is_usual = is_spared || said <= SAID_USUAL;
        let more = if is_usual { 0 } else { said };
        Self { open, is_usual, cost: said.saturating_add(COST), order: (is_spared, Reverse(more), Reverse(nth)) }
    }
}

impl Seated {
    /// Asks one of those who speak to make room for this one, which wants to: see [`Sources::make_room`].
    #[must_use]
    pub fn make_room_to_speak(&self, now: Millis) -> bool {
        self.sources.make_room_among(self, true, now)
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
        [&first, &second].iter().for_each(|seated| seated.standing.prove());
        assert!(sources.seat(ip("192.0.2.1"), at).is_none(), "both places are taken, by those who keep them");
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

    /// Of those who are silent nobody leaves for it, and they do not count.
    #[test]
    fn one_of_the_source_that_speaks_most_makes_room_for_another_to_speak() {
        let sources = Arc::new(Sources::new(100, Arc::new(SeededChance::new(17))));
        let seat = |n: u8| sources.seat(Some([192, 0, 2, n].into()), Millis(0)).unwrap();
        let speaks = |seated: &Seated| seated.standing.speak();
        let silent: Vec<_> = (0..90).map(|_| seat(1)).collect();
        let [crowd, few] = [(2, 10), (3, 4)].map(|(n, count)| (0..count).map(|_| seat(n)).collect::<Vec<_>>());
        crowd.iter().chain(&few).for_each(speaks);
        let newcomer = seat(1);
        assert!(newcomer.make_room_to_speak(Millis(0)));
        assert_eq!((leaving(&silent), leaving(&crowd), leaving(&few)), (0, 1, 0));
        let neighbour = seat(2);
        assert!(neighbour.make_room_to_speak(Millis(0)));
        assert_eq!((leaving(&crowd), leaving(&few)), (2, 0), "whose own speak most takes the place of one of them");
        assert!(!neighbour.make_room_to_speak(Millis(0)), "and not all at once");
        let got = (1..=10_000).filter(|ms| neighbour.make_room_to_speak(Millis(*ms))).count();
        assert!(got == 8 && leaving(&few) == 0, "{got}: until none of them is left");
    }

    #[test]
    fn one_of_the_same_network_makes_room_to_speak_where_nobody_of_the_address_does() {
        let sources = Arc::new(Sources::new(100, Arc::new(SeededChance::new(18))));
        let seat = |text: &str| sources.seat(ip(text), Millis(0)).unwrap();
        let crowd: Vec<_> = (0..10).map(|_| seat("2001:db8:7:1::1")).collect();
        crowd.iter().for_each(|seated| seated.standing.speak());
        let newcomer = seat("2001:db8:7:2::1");
        assert!(newcomer.make_room_to_speak(Millis(0)) && leaving(&crowd) == 1);
        assert!(!newcomer.make_room_to_speak(Millis(0)), "and not all at once");
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
        let made = |times: std::ops::Range<u64>| times.filter(|at| sources.make_room(&newcomer, Millis(*at))).count();
        let made = made(99_000..100_000);
        assert!((LOCAL_TURNS / 2..=LOCAL_TURNS * 2).contains(&made), "and not all at once: {made}");
    }

    /// How many have been asked to leave.
    fn leaving<'a>(all: impl IntoIterator<Item = &'a Seated>) -> usize {
        all.into_iter().filter(|seated| seated.standing.is_leaving()).count()
    }

    #[test]
    fn where_an_address_is_full_a_newcomer_takes_the_place_of_another_and_not_all_at_once() {
        let sources = Arc::new(Sources::new(32, Arc::new(SeededChance::new(12))));
        let seat_at = |text: &str, ms: u64| sources.seat(ip(text), Millis(ms));
        let seat = |text: &str, second: u64| seat_at(text, second * 1000);
        for (name, crowded, newcomer) in
            [("an address", "192.0.2.1", "192.0.2.1"), ("an address of IPv6", "2001:db8:7::1", "2001:db8:7::2")]
        {
            let crowd: Vec<_> = (0..32).filter_map(|_| seat(crowded, 0)).collect();
            assert!(crowd.len() == 32 && !crowd.iter().any(|seated| seated.replaces), "VOID: {name}");
            crowd[0].standing.prove();
            let callers: Vec<_> = (1..=40).filter_map(|second| seat(newcomer, second)).collect();
            assert!(callers.len() == 40 && callers.iter().all(|seated| seated.replaces), "{name}: each gets in");
            let (of_crowd, of_callers) = (leaving(&crowd), leaving(&callers));
            assert_eq!(of_crowd + of_callers, 40, "{name}: one leaves for each");
            assert!(of_crowd > 10 && of_callers > 0, "{name}: by lot, {of_crowd} and {of_callers}");
            assert!(!crowd[0].standing.is_leaving(), "{name}: a device keeps its place");
            let in_ten_seconds: Vec<_> = (90_000..100_000).filter_map(|ms| seat_at(newcomer, ms)).collect();
            assert!((15..30).contains(&in_ten_seconds.len()), "{name}: {} of 20, about", in_ten_seconds.len());
            assert!(!seat("192.0.2.77", 99).unwrap().replaces, "{name}: somebody else's places are free");
        }
        sources.tend(Millis(102_000));
        assert!(sources.state().turns.0.is_empty(), "who took turns is forgotten");
    }

    /// Whoever knocks many times as each second begins takes no more than what is free then.
    #[test]
    fn turns_of_a_full_address_are_not_had_by_who_knocks_first_in_a_second() {
        let sources = Arc::new(Sources::new(256, Arc::new(SeededChance::new(16))));
        let seat = |ms: u64| sources.seat(ip("192.0.2.1"), Millis(ms));
        let crowd: Vec<_> = (0..256).filter_map(|_| seat(0)).collect();
        assert_eq!((crowd.len(), leaving(&crowd)), (256, 0), "VOID");
        let (mut held, mut got) = (Vec::new(), 0);
        for second in 1..=100 {
            held.extend((0..64).filter_map(|_| seat(second * 1000)));
            let caller = seat(second * 1000 + 500);
            got += u32::from(caller.is_some());
            held.extend(caller);
        }
        assert!(got >= 90, "{got} of 100");
    }

    #[test]
    fn where_a_network_is_full_a_newcomer_takes_the_place_of_another_of_it() {
        let sources = Arc::new(Sources::new(2, Arc::new(SeededChance::new(13))));
        let seat = |n: usize, second: u64| sources.seat(ip(&format!("2001:db8:7:{n}::1")), Millis(second));
        let crowd: Vec<_> = (0..2 * NETWORK).filter_map(|n| seat(n / 2, 0)).collect();
        assert_eq!((crowd.len(), leaving(&crowd)), (2 * NETWORK, 0), "VOID");
        let caller = seat(NETWORK, 0).unwrap();
        assert!(caller.replaces && leaving(&crowd) == 1 && !caller.standing.is_leaving());
        assert!(seat(NETWORK + 1, 0).is_none(), "not all at once");
        assert!(seat(NETWORK + 1, 1000).is_some());
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
        talkers.iter().for_each(|seated| _ = seated.standing.said().fetch_add(300_000, Ordering::Relaxed));
        assert_eq!(sources.relieve(1), RELIEVED_LEAST);
        assert!(talkers.iter().all(is_told) && !few.iter().any(is_told));
        let louder: Vec<_> = (0..20).map(|_| seat(98)).collect();
        louder.iter().for_each(|seated| _ = seated.standing.said().fetch_add(600_000, Ordering::Relaxed));
        assert_eq!(sources.relieve(13_000_000), 20);
        assert!(louder.iter().all(is_told) && !few.iter().any(is_told));
        assert_eq!(sources.relieve(u64::MAX), (few.len() + talkers.len() + louder.len()) / RELIEVED_PART);
        drop((talkers, louder));
        assert_eq!(sources.relieve(1), 0, "nobody who said little has to make up a number");
        assert_eq!(Arc::new(Sources::new(1, Arc::new(SeededChance::new(9)))).relieve(1), 0);
    }

    /// Connections that ask for what is long and take nothing fill the memory as well, and have said next to nothing.
    #[test]
    fn a_crowd_that_said_little_leaves_before_pages_and_devices_when_memory_is_short() {
        let sources = Arc::new(Sources::new(1000, Arc::new(SeededChance::new(14))));
        let seat = |n: u8| sources.seat(Some([192, 0, 2, n].into()), Millis(0)).unwrap();
        let say = |seated: &Seated, bytes| _ = seated.standing.said().fetch_add(bytes, Ordering::Relaxed);
        let pages: Vec<_> = (0..40).map(seat).collect();
        pages.iter().for_each(|page| say(page, 126 * 1024));
        let office: Vec<_> = (0..20).map(|_| seat(50)).collect();
        for device in &office {
            device.standing.prove();
            say(device, 400 * 1024);
        }
        let crowds = [60, 61].map(|n| (0..200).map(|_| seat(n)).collect::<Vec<_>>());
        crowds.iter().flatten().for_each(|seated| say(seated, 100));
        // Of 40 MiB ten, at 64 KiB and what each said.
        assert_eq!(sources.relieve(40 << 20), 160);
        assert_eq!(crowds.each_ref().map(leaving), [80, 80], "the sources that have most, alike");
        assert_eq!((leaving(&pages), leaving(&office)), (0, 0));
        drop(crowds);
        assert_eq!(sources.relieve(u64::MAX), (pages.len() + office.len()) / RELIEVED_PART);
        assert_eq!((leaving(&pages), leaving(&office)), (30, 0), "others first");
        drop(pages);
        assert_eq!(sources.relieve(1), 0, "and not for a little");
        assert_eq!(sources.relieve(u64::MAX), office.len() / RELIEVED_PART, "but if nobody else is left");
    }

    #[test]
    fn an_ipv6_network_is_one_source_and_this_machine_has_places_without_end() {
        let sources = Arc::new(Sources::new(1, Arc::new(SeededChance::new(4))));
        let at = Millis(0);
        let seat = |text: &str| sources.seat(ip(text), at).inspect(|seated| seated.standing.prove());
        let one = seat("2001:db8:1:2::1").unwrap();
        assert!(sources.seat(ip("2001:db8:1:2:ffff::9"), at).is_none(), "a /64 is one address");
        assert_eq!(sources.seat(ip("2001:db8:1:3::1"), at).unwrap().source, one.source, "a /48 has one account");
        let held: Vec<_> = (10..100).filter_map(|n| seat(&format!("2001:db8:1:{n}::1"))).collect();
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
