//! When things leave (SPEC §9): one scheduler for everything that sends, for callers and desks alike.
//!
//! Nothing here knows what is sent or how. A [`Beat`] is a regular pulse with a random phase; an [`Outbox`] holds the beats of
//! one client and says which is due; a [`Clock`] is where time comes from, so that tests own it. What misses its beat waits
//! for the next: there is never a second sending in one beat, and a beat that was missed (a closed lid, a slow disk) is not made up for.

mod beat;
mod clock;

pub use beat::{Beat, Outbox};
pub use clock::{Clock, SystemClock};

/// How long before it goes anything is sealed, unless half a beat is shorter (SPEC §9): how long the sealing takes, and what else
/// there is to do, is not to be seen in when it goes.
pub(crate) const SEALED_AHEAD: core::time::Duration = core::time::Duration::from_secs(1);

#[cfg(test)]
mod tests;
