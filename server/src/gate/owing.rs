//! Room in memory for what strangers make the relay keep: bodies on their way in, replies on their way out.
//!
//! Somebody who asks for much and takes nothing would otherwise fill the memory. So all of it together has a bound, and nobody gets more than a
//! fair part of what is left. Half of it is kept for those who hold little: whoever shares an address with others shares its part with them, and
//! would be served by their leave alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::sources::Source;

/// Bytes in all of what strangers make the relay keep.
pub const ROOM: usize = 48 << 20;

/// Those of them that are kept for connections that hold no more than [`LITTLE`].
///
/// Of what such connections take a source holds at most as much as it leaves, so that with `n` sources that take all they can a `1/(n+1)` of the
/// room stays free, and whoever comes from elsewhere is served.
pub const KEPT: usize = ROOM / 2;

/// Bytes that a connection may hold whatever others of its source do: the body of any call but a blob's, or whatever a caller is answered that
/// is not the same for everybody. Both at once do not fit: then the next beat brings the one.
pub const LITTLE: usize = 8 * 1024;

/// Bytes in all of replies to the line's devices, who have shown who they are. A page of their lane has a megabyte: where many strangers fill
/// the other room it would not fit any more, and what waits for the desk would die unread.
pub const DESK_ROOM: usize = 24 << 20;

/// Of what is beyond little each who owes may hold this part of what is still free and not kept: a source, and of its part each of its
/// connections; where all come from one (a socket, this machine), a connection.
///
/// With `n` sources that take all they can at the same time, each holds a `1/(n+4)` of it and `4/(n+4)` stay free: with fifty, 1.7 MiB. Of those
/// that come one after the other each leaves four fifths of what it found, so that after thirty hardly more is left than what is kept.
const PART: usize = 4;

/// The room.
pub struct Owing {
    room: usize,
    kept: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: usize,
    of: HashMap<Source, usize>,
}

impl State {
    fn used(&self, one: &Source) -> usize {
        self.of.get(one).copied().unwrap_or(0)
    }
}

/// Bytes that are held. Dropping it gives them back.
pub struct Held {
    owing: Arc<Owing>,
    who: Vec<Source>,
    len: usize,
    /// The same bytes in another room.
    also: Option<Box<Held>>,
}

impl Held {
    /// This, and the same bytes in another room.
    #[must_use]
    pub fn with(mut self, other: Self) -> Self {
        self.also = Some(Box::new(other));
        self
    }
}

impl Owing {
    /// A room of so many bytes, of which so many are kept for those who hold little.
    #[must_use]
    pub fn new(room: usize, kept: usize) -> Arc<Self> {
        Arc::new(Self { room, kept, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `len` bytes for `who`: a connection, after the source that it is one of. It gets them if it holds little with them and they are free
    /// at all, or if each has them left in its part: the source of the room, the connection of the source's.
    #[must_use]
    pub fn take(self: &Arc<Self>, who: &[Source], len: usize) -> Option<Held> {
        let mut state = self.state();
        let free = self.room.saturating_sub(state.held);
        let is_little = who.last().is_some_and(|one| state.used(one).saturating_add(len) <= LITTLE);
        let mut left = free.saturating_sub(self.kept);
        let have_left = |one: &Source| {
            let (part, used) = (left / PART, state.used(one));
            left = part.saturating_sub(used);
            used.saturating_add(len) <= part
        };
        // However little each of them holds, all of a source hold no more together than they leave.
        let of_source = who.first().map_or(0, |one| state.used(one));
        let fits = is_little && of_source.saturating_add(len) <= free || who.iter().all(have_left);
        if !fits {
            return None;
        }
        state.held += len;
        for one in who {
            *state.of.entry(*one).or_default() += len;
        }
        Some(Held { owing: Arc::clone(self), who: who.to_vec(), len, also: None })
    }

    /// Bytes held now.
    pub fn held(&self) -> usize {
        self.state().held
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.also.take());
        let mut state = self.owing.state();
        state.held = state.held.saturating_sub(self.len);
        for one in &self.who {
            let left = state.used(one).saturating_sub(self.len);
            if left == 0 {
                state.of.remove(one);
            } else {
                state.of.insert(*one, left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::SeededChance;
    use crate::gate::sources::{Seated, Sources};
    use porchlight_proto::time::Millis;

    #[test]
    fn fifty_who_take_all_they_can_leave_room_for_one_more() {
        let sources = Arc::new(Sources::new(100, Arc::new(SeededChance::new(9))));
        let source = |n: u8| sources.seat(Some([192, 0, 2, n].into()), Millis(0)).unwrap().source;
        let owing = Owing::new(ROOM, KEPT);
        let mut held = Vec::new();
        let mut is_taking = true;
        while is_taking {
            is_taking = false;
            for n in 0..50 {
                let more = owing.take(&[source(n)], 8192);
                is_taking |= more.is_some();
                held.extend(more);
            }
        }
        let newcomer: Vec<_> = (0..).map_while(|_| owing.take(&[source(99)], 8192)).collect();
        assert!(newcomer.len() >= 40, "{} replies of 8 KiB are left for a newcomer", newcomer.len());
        assert!(owing.held() <= ROOM);
        drop((held, newcomer));
        assert_eq!((owing.held(), owing.state().of.len()), (0, 0));
    }

    /// All that these connections can take, one after the other, in pieces of so many bytes.
    fn all_they_can(owing: &Arc<Owing>, crowd: &[Seated], each: usize) -> Vec<Held> {
        crowd.iter().flat_map(|seated| std::iter::from_fn(move || owing.take(&seated.owes, each))).collect()
    }

    /// As many connections as an address may have, or a whole network, hold all that they can: where pieces are small, to the last byte.
    #[test]
    fn whoever_shares_a_source_with_those_who_take_all_they_can_still_has_a_little() {
        for (name, addresses, newcomer) in [
            ("an address", vec!["192.0.2.1".to_owned()], "192.0.2.1"),
            ("an address of IPv6", vec!["2001:db8::1".to_owned()], "2001:db8::2"),
            ("a network", (1..9).map(|n| format!("2001:db8:0:{n}::1")).collect(), "2001:db8:0:9::1"),
        ] {
            let sources = Arc::new(Sources::new(256, Arc::new(SeededChance::new(10))));
            let seat = |text: &str| sources.seat(text.parse().ok(), Millis(0)).unwrap();
            let crowd: Vec<_> = addresses.iter().flat_map(|address| (0..255).map(move |_| seat(address))).collect();
            let (newcomer, elsewhere) = (seat(newcomer), seat("192.0.2.99"));
            assert_eq!(newcomer.source, crowd[0].source, "VOID: {name}");
            let owing = Owing::new(ROOM, KEPT);
            let mut held = all_they_can(&owing, &crowd, LITTLE);
            let bodies = held.len();
            held.extend(all_they_can(&owing, &crowd, 512));
            assert!(bodies > crowd.len(), "VOID: {name}: {bodies}");
            assert!(owing.take(&crowd[0].owes, LITTLE).is_none(), "VOID: {name}: they would take more");
            let body = owing.take(&newcomer.owes, LITTLE);
            assert!(body.is_some(), "{name}: {} held", owing.held());
            assert!(owing.take(&newcomer.owes, LITTLE).is_none(), "{name}: and a little is all there is");
            assert!(owing.take(&elsewhere.owes, 65_536).is_some(), "{name}: somebody else has their part");
            drop((held, body));
            assert_eq!((owing.held(), owing.state().of.len()), (0, 0));
        }
    }

    #[test]
    fn no_connection_takes_the_part_of_all_that_share_its_source() {
        let sources = Arc::new(Sources::new(256, Arc::new(SeededChance::new(11))));
        let seat = || sources.seat(Some([192, 0, 2, 1].into()), Millis(0)).unwrap();
        let (greedy, other) = (seat(), seat());
        let owing = Owing::new(ROOM, KEPT);
        let held = all_they_can(&owing, std::slice::from_ref(&greedy), 65_536);
        assert!(held.len() >= 16, "{} bodies of 64 KiB", held.len());
        assert!(owing.take(&other.owes, 16 * 65_536).is_some(), "another has as much");
    }
}
