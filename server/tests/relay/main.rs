//! The relay through its front door: real TLS, real sled, real files.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of tests fail as tests do, and print the seeds"
)]

mod api;
mod at_rest;
mod deadlines;
mod probes;
mod process;
mod support;
