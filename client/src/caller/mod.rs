//! A caller's visit over real relays: [`porchlight_proto::visit::Visit`], which knows what to say, driven by an
//! [`crate::outbox::Outbox`], which knows when, over [`crate::transport`], which knows how.
//!
//! ```text
//!  open ── notices of all relays, the first good one suffices
//!    │
//!    ├─ every up beat:   seal ahead, one POST to relay k mod R      ─▶ Visit::posted
//!    ├─ every beat:      GET down/fast of each relay                ─▶ Visit::fast
//!    ├─ once, then every slow slot: GET the slow days of each relay ─▶ Visit::slow_day
//!    └─ a new roster, a stamp asked for, a silent relay: its notice again
//! ```
//!
//! What a visit does depends on time and the network alone, never on whether there is anything to say.

mod session;

pub use session::{News, OpenError, Pace, RelayTrouble, Session, Setting};

#[cfg(test)]
mod tests;
