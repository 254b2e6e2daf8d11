//! What a desk remembers of cells it has opened, so that a cell posted again is nothing (SPEC §6.1).
use alloc::collections::{BTreeMap, BTreeSet};

/// SHA-256 of the encapsulations seen, by the period whose secret opened them. A period is forgotten with its secret.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    periods: BTreeMap<u32, BTreeSet<[u8; 32]>>,
}

impl Replay {
    /// Remembers a cell. `false` if it was there already.
    pub fn is_new(&mut self, period: u32, enc_hash: [u8; 32]) -> bool {
        self.periods.entry(period).or_default().insert(enc_hash)
    }
    /// Forgets a period, whose secret is erased: its cells cannot be opened any more.
    pub fn forget(&mut self, period: u32) {
        self.periods.remove(&period);
    }
    /// How many are remembered.
    #[must_use]
    pub fn count(&self) -> usize {
        self.periods.values().map(BTreeSet::len).sum()
    }
}
