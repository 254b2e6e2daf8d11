//! Porchlight's client library: everything that speaks for a person to a relay.
//!
//! ```text
//!   caller ───────────────────┐
//!                             ├─▶ outbox (when) ─▶ transport (how) ═══▶ relay
//!   desk ─▶ duty ─────────────┘
//!     └─ vault (the worker's disk)
//! ```
//!
//! - [`transport`]: one relay over TLS, by its certificate's pin or the public authorities; never retries.
//! - [`outbox`]: the beats. The one place that decides *when* anything leaves.
//! - [`caller`]: a caller's visit: `porchlight_proto::visit` driven over transport and outbox.
//! - [`desk`]: what a line's team knows, decides and sends, without network or clock.
//! - [`duty`]: a desk driven over transport and outbox.
//! - [`vault`]: the worker's disk.

pub mod caller;
pub mod desk;
pub mod duty;
pub mod outbox;
pub mod transport;
pub mod vault;
