//! What the process does to itself before there is any thread or secret, and what it asks of the machine it is on.
//!
//! ```text
//!  ranks (no dumps, no tracing, memory locked) ─▶ swap (refused) ─▶ fit (what is where) ─▶ confine (files, syscalls, no way out) ─▶ threads, keys, callers
//! ```
//!
//! [`doctor`] looks at the rest of the host, when an operator asks.

pub mod confine;
pub mod doctor;
pub mod fit;
pub mod memory;
pub mod ranks;
pub mod swap;
