//! Porchlight's relay: stores sealed cells for a short time and knows no callers.
//!
//! Five rooms, each of which uses only those to its right:
//!
//! ```text
//! door (HTTP) ▶ gate (who may spend disk) ▶ lane (order: up, fast, slow) ▶ seal (epoch keys) ▶ store (sled, memory)
//! ```
//!
//! - [`relay`]: all of it together, started and stopped; [`config`]: what an operator writes.
//! - [`door`], [`gate`], [`lane`], [`seal`], [`store`]: the rooms.
//! - [`process`]: what it does to itself and asks of its machine before it serves.
//! - [`clock`], [`chance`]: time and randomness, which tests own; [`counters`]: all that is ever written down about what happened.

pub mod chance;
pub mod clock;
pub mod config;
pub mod counters;
pub mod door;
mod files;
mod forget;
pub mod gate;
pub mod lane;
pub mod process;
pub mod relay;
pub mod seal;
mod stack;
pub mod store;

pub use self::relay::{Relay, StartError, World, run, start};
