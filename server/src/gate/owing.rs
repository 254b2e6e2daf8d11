//! Room in memory for what strangers make the relay keep: bodies on their way in, replies on their way out.
//!
//! Somebody who asks for much and takes nothing would otherwise fill the memory. A little is every connection's own, whatever others do: whoever
//! shares an address with others, or a bound with all, would be served by their leave alone. What is beyond that has a bound, all of it together,
//! and nobody gets more than a fair part of what is left.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::sources::Source;

/// Bytes that a connection may hold whatever others do: the body of any call but a blob's, or whatever a caller is answered that is not the same for
/// everybody. Both at once do not fit: then the next beat brings the one. A full house of them is 64 MiB.
pub const LITTLE: usize = 8 * 1024;

/// Bytes beyond little, in all, of what strangers make the relay keep.
pub const ROOM: usize = 24 << 20;

/// Bytes beyond little, in all, of replies to the line's devices, who have shown who they are. A page of their lane has a megabyte: where many
/// strangers fill the other room it would not fit any more, and what waits for the desk would die unread.
pub const DESK_ROOM: usize = 24 << 20;

/// Bytes beyond little, in all, of what such connections send: apart from what they are answered, since they need not have said yet who they are
/// this time. Where it is full they have the strangers' room.
pub const DESK_BODIES: usize = 8 << 20;

/// Of what is beyond little each who owes may hold this part of what is still free: a source, and of its part each of its connections; where all
/// come from one (a socket, this machine), a connection.
///
/// With `n` sources that take all they can at the same time, each holds a `1/(n+4)` of it and `4/(n+4)` stay free: with fifty, 1.7 MiB. Of those
/// that come one after the other each leaves three quarters of what it found or more, so that after thirty hardly any is left.
const PART: usize = 4;

/// The room.
pub struct Owing {
    room: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Bytes that each connection holds.
    of: HashMap<Source, usize>,
    /// Those beyond little, in all and of each who owes them.
    beyond: usize,
    beyond_of: HashMap<Source, usize>,
}

fn add(of: &mut HashMap<Source, usize>, one: Source, len: usize) {
    *of.entry(one).or_default() += len;
}

fn take_away(of: &mut HashMap<Source, usize>, one: Source, len: usize) {
    let left = used(of, one).saturating_sub(len);
    if left == 0 {
        of.remove(&one);
    } else {
        of.insert(one, left);
    }
}

fn used(of: &HashMap<Source, usize>, one: Source) -> usize {
    of.get(&one).copied().unwrap_or(0)
}

/// Bytes that are held. Dropping it gives them back.
pub struct Held {
    owing: Arc<Owing>,
    who: Vec<Source>,
    len: usize,
    is_little: bool,
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
    /// A room of so many bytes beyond what is little.
    #[must_use]
    pub fn new(room: usize) -> Arc<Self> {
        Arc::new(Self { room, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `len` bytes for `who`: a connection, after the source that it is one of. It gets them if it holds little with them, or if each has
    /// them left in its part of what is beyond: the source of the room, the connection of the source's.
    #[must_use]
    pub fn take(self: &Arc<Self>, who: &[Source], len: usize) -> Option<Held> {
        let mut state = self.state();
        let one = *who.last()?;
        let is_little = used(&state.of, one).saturating_add(len) <= LITTLE;
        if !is_little {
            let mut left = self.room.saturating_sub(state.beyond);
            let have_left = |one: &Source| {
                let (part, used) = (left / PART, used(&state.beyond_of, *one));
                left = part.saturating_sub(used);
                used.saturating_add(len) <= part
            };
            if !who.iter().all(have_left) {
                return None;
            }
            state.beyond += len;
            who.iter().for_each(|one| add(&mut state.beyond_of, *one, len));
        }
        add(&mut state.of, one, len);
        Some(Held { owing: Arc::clone(self), who: who.to_vec(), len, is_little, also: None })
    }

    /// Bytes held now beyond little.
    pub fn beyond(&self) -> usize {
        self.state().beyond
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.also.take());
        let mut state = self.owing.state();
        if !self.is_little {
            state.beyond = state.beyond.saturating_sub(self.len);
            self.who.iter().for_each(|one| take_away(&mut state.beyond_of, *one, self.len));
        }
        self.who.last().into_iter().for_each(|one| take_away(&mut state.of, *one, self.len));
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
        let owing = Owing::new(ROOM);
        let mut held = Vec::new();
        let mut is_taking = true;
        while is_taking {
            is_taking = false;
            for n in 0..50 {
                let more = owing.take(&[source(n)], 8193);
                is_taking |= more.is_some();
                held.extend(more);
            }
        }
        let newcomer: Vec<_> = (0..).map_while(|_| owing.take(&[source(99)], 8193)).collect();
        assert!(newcomer.len() >= 40, "{} replies of more than 8 KiB are left for a newcomer", newcomer.len());
        assert!(owing.beyond() <= ROOM);
        drop((held, newcomer));
        assert!(is_empty(&owing));
    }

    /// All that these connections can take, one after the other, in pieces of so many bytes.
    fn all_they_can(owing: &Arc<Owing>, crowd: &[Seated], each: usize) -> Vec<Held> {
        crowd.iter().flat_map(|seated| std::iter::from_fn(move || owing.take(&seated.owes, each))).collect()
    }

    fn is_empty(owing: &Owing) -> bool {
        let state = owing.state();
        (state.beyond, state.of.len(), state.beyond_of.len()) == (0, 0, 0)
    }

    /// As many connections as an address may have, or a whole network, or all that there are, one source after the other, hold all that they can.
    #[test]
    fn whoever_comes_has_a_little_whatever_others_hold() {
        let addresses = |count: u8| (1..=count).map(|n| format!("192.0.2.{n}")).collect::<Vec<_>>();
        for (name, addresses, newcomer) in [
            ("an address", addresses(1), "192.0.2.1"),
            ("an address of IPv6", vec!["2001:db8::1".to_owned()], "2001:db8::2"),
            ("a network", (1..9).map(|n| format!("2001:db8:0:{n}::1")).collect(), "2001:db8:0:9::1"),
            ("a full house, of one's own address", addresses(32), "192.0.2.7"),
            ("a full house, of other addresses", addresses(32), "192.0.2.99"),
        ] {
            let sources = Arc::new(Sources::new(256, Arc::new(SeededChance::new(10))));
            let seat = |text: &str| sources.seat(text.parse().ok(), Millis(0)).unwrap();
            let crowd: Vec<_> = addresses.iter().flat_map(|address| (0..255).map(move |_| seat(address))).collect();
            let newcomer = seat(newcomer);
            let owing = Owing::new(ROOM);
            let mut held = all_they_can(&owing, &crowd, LITTLE);
            held.extend(all_they_can(&owing, &crowd, 512));
            assert!(held.len() > crowd.len(), "VOID: {name}: nobody holds more than a little");
            assert!(owing.take(&crowd[0].owes, LITTLE).is_none(), "VOID: {name}: they would take more");
            let body = owing.take(&newcomer.owes, LITTLE);
            assert!(body.is_some(), "{name}: {} held", owing.beyond());
            assert!(owing.beyond() <= ROOM);
            drop((held, body));
            assert!(is_empty(&owing));
        }
    }

    #[test]
    fn somebody_from_elsewhere_has_a_part_beside_a_source_that_holds_all_it_can() {
        let sources = Arc::new(Sources::new(256, Arc::new(SeededChance::new(12))));
        let seat = |text: &str| sources.seat(text.parse().ok(), Millis(0)).unwrap();
        let crowd: Vec<_> = (0..256).map(|_| seat("192.0.2.1")).collect();
        let elsewhere = seat("192.0.2.99");
        let owing = Owing::new(ROOM);
        let held = all_they_can(&owing, &crowd, LITTLE);
        assert!(owing.take(&elsewhere.owes, 65_536).is_some());
        drop(held);
    }

    #[test]
    fn no_connection_takes_the_part_of_all_that_share_its_source() {
        let sources = Arc::new(Sources::new(256, Arc::new(SeededChance::new(11))));
        let seat = || sources.seat(Some([192, 0, 2, 1].into()), Millis(0)).unwrap();
        let (greedy, other) = (seat(), seat());
        let owing = Owing::new(ROOM);
        let held = all_they_can(&owing, std::slice::from_ref(&greedy), 65_536);
        assert!(held.len() >= 16, "{} bodies of 64 KiB", held.len());
        assert!(owing.take(&other.owes, held.len() / 2 * 65_536).is_some(), "another has a part");
    }
}
