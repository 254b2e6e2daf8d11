//! A desk on duty: [`crate::desk::Office`], which knows what to say, driven by an [`crate::outbox::Outbox`] over
//! [`crate::transport`]. The same driver serves one round (`desk sync`, `desk answer`) and the whole watch (`desk watch`).
//!
//! ```text
//!  for each relay of the line, on its own:
//!    notice ─▶ hear ─▶ publish ─▶ PUT rosters      at the start, on a new serial, after silence, and every ten minutes;
//!                                                  at every relay at once when this device signed something
//!    GET desk/up ─▶ take the page ─▶ at once again  a long poll while on watch
//!    every desk beat: bundle ─▶ POST ─▶ result      one at a time; a failed one waits for the next beat
//!    at the end of the lane: ask for what was missed, fetch the board left for this device, leave one for who asked
//! ```
//!
//! Everything that changes is written to the vault before anything is sent.

mod station;

pub use station::{Duty, DutyError, DutyNews, Posting, Term};
