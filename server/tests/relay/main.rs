//! The relay through its front door: real TLS, real sled, real files.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "the helpers of tests fail as tests do, and print the seeds"
)]

mod api;
mod at_rest;
mod attacks;
mod binary;
mod damage;
mod deadlines;
mod desk;
mod disk;
mod floods;
mod forensics;
mod frames;
mod front;
mod full;
mod kills;
mod power;
mod probes;
mod process;
mod ranks;
mod soak;
mod support;
