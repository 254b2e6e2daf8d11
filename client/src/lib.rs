//! Porchlight's client library: everything that speaks for a person to a relay.
//!
//! ```text
//!   caller ─┐                      desk ── vault (the worker's disk)
//!           ├─▶ outbox (when) ─▶ transport (how) ═══▶ relay
//!   desk  ──┘
//! ```
//!
//! - [`transport`]: one relay over TLS, by its certificate's pin or the public authorities; never retries.
//! - [`outbox`]: the beats. The one place that decides *when* anything leaves.
//! - [`caller`]: a caller's visit: `porchlight_proto::visit` driven over transport and outbox.

pub mod caller;
pub mod outbox;
pub mod transport;
