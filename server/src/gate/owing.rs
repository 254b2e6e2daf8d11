//! Room in memory for what strangers make the relay keep: bodies on their way in, replies on their way out.
//!
//! Somebody who asks for much and takes nothing would otherwise fill the memory. So all of it together has a bound, and nobody gets more than a
//! fair part of what is left.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::sources::Source;

/// Bytes in all of what strangers make the relay keep.
pub const ROOM: usize = 48 << 20;

/// Bytes in all of replies to the line's devices, who have shown who they are. A page of their lane has a megabyte: where many strangers fill
/// the other room it would not fit any more, and what waits for the desk would die unread.
pub const DESK_ROOM: usize = 24 << 20;

/// Each who owes may hold this part of what is still free: a source or, where all come from one (a socket, this machine), a connection.
///
/// With `n` sources that take all they can, each holds a `1/(n+4)` of the room and `4/(n+4)` stay free: with fifty, 3.5 MiB.
const PART: usize = 4;

/// The room.
pub struct Owing {
    room: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: usize,
    of: HashMap<Source, usize>,
}

/// Bytes that are held. Dropping it gives them back.
pub struct Held {
    owing: Arc<Owing>,
    source: Source,
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
    /// A room of so many bytes.
    #[must_use]
    pub fn new(room: usize) -> Arc<Self> {
        Arc::new(Self { room, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `len` bytes for `source`, if its part has them left.
    #[must_use]
    pub fn take(self: &Arc<Self>, source: Source, len: usize) -> Option<Held> {
        let mut state = self.state();
        let free = self.room.saturating_sub(state.held);
        let used = state.of.get(&source).copied().unwrap_or(0);
        if len > free || used.saturating_add(len) > free / PART {
            return None;
        }
        state.held += len;
        state.of.insert(source, used + len);
        Some(Held { owing: Arc::clone(self), source, len, also: None })
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
        let left = state.of.get(&self.source).copied().unwrap_or(0).saturating_sub(self.len);
        if left == 0 {
            state.of.remove(&self.source);
        } else {
            state.of.insert(self.source, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::SeededChance;
    use crate::gate::sources::Sources;
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
                let more = owing.take(source(n), 8192);
                is_taking |= more.is_some();
                held.extend(more);
            }
        }
        let newcomer: Vec<_> = (0..).map_while(|_| owing.take(source(99), 8192)).collect();
        assert!(newcomer.len() >= 64, "{} replies of 8 KiB are left for a newcomer", newcomer.len());
        assert!(owing.held() <= ROOM);
        drop((held, newcomer));
        assert_eq!((owing.held(), owing.state().of.len()), (0, 0));
    }
}
