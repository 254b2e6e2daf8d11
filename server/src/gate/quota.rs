//! The quota of the medium: hard, with a part that only the desk may use and a part that nobody may, because the store needs room to
//! work even when it is full.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use porchlight_proto::limits::UP_CELL_LEN;

use crate::seal::Sealer;

/// What a byte handed in may cost on the medium until it is measured: sled writes a leaf of a tree anew when it grows.
const GROWTH: u64 = 4;

/// Bytes that must stay free on the file system, whatever the quota says.
const FREE_MIN: u64 = 32 << 20;

/// Who wants to spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Callers: up to three quarters.
    Callers,
    /// The desk's devices: up to seven eighths.
    Desk,
}

/// What the medium may hold and what it does.
pub struct Quota {
    limit: u64,
    measured: AtomicU64,
    free: AtomicU64,
    since: AtomicU64,
    /// Whether somebody was refused since it was last asked.
    has_refused: AtomicBool,
}

impl Quota {
    /// A quota of `limit` bytes, nothing measured yet.
    #[must_use]
    pub fn new(limit: u64) -> Arc<Self> {
        let [measured, since] = [0, 0].map(AtomicU64::new);
        Arc::new(Self { limit, measured, free: AtomicU64::new(u64::MAX), since, has_refused: AtomicBool::new(false) })
    }

    /// Asks the medium what it holds. May block on it.
    pub fn measure(&self, sealer: &Sealer) {
        // First the sum, then the medium: what comes in between is counted twice rather than not at all.
        let before = self.since.load(Ordering::Relaxed);
        self.set(sealer.store().bytes(), sealer.store().free());
        self.since.fetch_sub(before, Ordering::Relaxed);
    }

    fn set(&self, measured: u64, free: u64) {
        self.measured.store(measured, Ordering::Relaxed);
        self.free.store(free, Ordering::Relaxed);
    }

    /// Whether callers are refused for want of room, or somebody was since this was last asked: what is measured in between makes room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.has_refused.swap(false, Ordering::Relaxed) || self.free_for(Whose::Callers) < UP_CELL_LEN as u64 * GROWTH
    }

    /// Bytes that may still be spent.
    #[must_use]
    pub fn free_for(&self, whose: Whose) -> u64 {
        let (limit, free_min) = match whose {
            Whose::Callers => (self.limit / 4 * 3, FREE_MIN),
            Whose::Desk => (self.limit / 8 * 7, FREE_MIN / 2),
        };
        let since = self.since.load(Ordering::Relaxed);
        let within = limit.saturating_sub(self.measured.load(Ordering::Relaxed).saturating_add(since));
        within.min(self.free.load(Ordering::Relaxed).saturating_sub(since).saturating_sub(free_min))
    }

    /// Bytes that the store takes, whoever they are of and whether or not anybody can open them.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.measured.load(Ordering::Relaxed).saturating_add(self.since.load(Ordering::Relaxed))
    }

    /// Whether `bytes` more may be spent; they count as spent if so.
    #[must_use]
    pub fn take(&self, bytes: u64, whose: Whose) -> bool {
        let cost = bytes.saturating_mul(GROWTH);
        let fits = cost <= self.free_for(whose);
        if fits {
            self.since.fetch_add(cost, Ordering::Relaxed);
        } else {
            self.has_refused.store(true, Ordering::Relaxed);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_stop_at_three_quarters_and_the_desk_goes_on_to_seven_eighths() {
        let quota = Quota::new(1 << 20);
        let take_all = |whose| (0..).take_while(|_| quota.take(2048, whose)).count();
        assert_eq!(take_all(Whose::Callers), 3 * (1 << 18) / (2048 * 4));
        assert_eq!(take_all(Whose::Desk), (1 << 17) / (2048 * 4));
        assert!(!quota.take(1, Whose::Callers));
        quota.set(0, u64::MAX);
        quota.since.store(0, Ordering::Relaxed);
        assert!(quota.take(2048, Whose::Callers), "room again after a measurement that says so");
        quota.set(0, FREE_MIN);
        assert!(!quota.take(2048, Whose::Callers), "a full disk is full below the quota too");
        assert!(quota.take(2048, Whose::Desk));
    }
}
