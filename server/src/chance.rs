//! Randomness as an argument: the system's for a relay that serves, a seeded one for tests.

use std::sync::{Mutex, PoisonError};

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// Where keys, nonces, names and padding come from.
pub trait Chance: Send + Sync + 'static {
    /// Fills `bytes` with bytes nobody can foretell.
    fn fill(&self, bytes: &mut [u8]);
}

/// A fresh random array.
pub fn draw<const N: usize>(chance: &dyn Chance) -> [u8; N] {
    let mut bytes = [0; N];
    chance.fill(&mut bytes);
    bytes
}

/// The operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemChance;

impl Chance for SystemChance {
    #[expect(clippy::disallowed_methods, reason = "this is where the system's chance comes in")]
    #[expect(clippy::expect_used, reason = "a machine without randomness must not seal anything")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}

/// Chance that a test can repeat. Never for a relay that serves people.
pub struct SeededChance(Mutex<ChaCha20Rng>);

impl SeededChance {
    /// The same seed gives the same bytes.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(ChaCha20Rng::seed_from_u64(seed)))
    }
}

impl Chance for SeededChance {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
    }
}
