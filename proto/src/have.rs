//! Which letters of a visit the desk holds, and the receipt that says so (SPEC §7).
use crate::cell::down::Receipt;
use crate::letter::Session;
use alloc::collections::BTreeSet;

/// Letters a receipt can name beyond the contiguous ones.
const MAP_LEN: u16 = 64;

/// The letters of one visit that the desk holds whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Have {
    upto: u16,
    beyond: BTreeSet<u16>,
}

impl Have {
    /// Whether letter `seq` can be named in a receipt. One that cannot is not taken yet: its sender will send it again.
    #[must_use]
    pub const fn can_name(&self, seq: u16) -> bool {
        seq > 0 && seq <= self.upto.saturating_add(MAP_LEN)
    }
    /// Notes that letter `seq` is held. `false` if it was already, or cannot be named.
    pub fn insert(&mut self, seq: u16) -> bool {
        if seq <= self.upto || !self.can_name(seq) || !self.beyond.insert(seq) {
            return false;
        }
        while self.upto < u16::MAX && self.beyond.remove(&(self.upto + 1)) {
            self.upto += 1;
        }
        true
    }
    /// Whether letter `seq` is held.
    #[must_use]
    pub fn holds(&self, seq: u16) -> bool {
        (1..=self.upto).contains(&seq) || self.beyond.contains(&seq)
    }
    /// The receipt for the visit.
    #[must_use]
    pub fn receipt(&self, session: Session) -> Receipt {
        let bit = |seq: &u16| 1u64.checked_shl(u32::from(seq - self.upto - 1)).unwrap_or(0);
        Receipt { session, upto: self.upto, map: self.beyond.iter().map(bit).fold(0, |map, bit| map | bit) }
    }
}
