//! Randomness from the system: the one place that asks for it.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use zeroize::Zeroizing;

use crate::sentences;
use crate::trouble::Trouble;

/// A generator seeded by the system. Each use gets its own.
pub(crate) fn new_rng() -> Result<ChaCha20Rng, Trouble> {
    let mut seed = Zeroizing::new([0; 32]);
    #[expect(clippy::disallowed_methods, reason = "a binary seeds its generators from the system, here and nowhere else")]
    getrandom::fill(seed.as_mut_slice()).map_err(|_| sentences::no_chance())?;
    Ok(ChaCha20Rng::from_seed(*seed))
}
