//! The relay through its front door: real TLS, real sled, real files.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test fails by panicking")]

mod api;
mod at_rest;
mod deadlines;
mod probes;
mod process;
mod support;
