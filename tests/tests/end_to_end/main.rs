//! A relay, a line, its desk and its callers as other people have them: the built programs, TLS on loopback, sled on disk,
//! real time, and nothing but what `docs/CLI.md` promises.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test that fails says so by panicking; these programs live in real time; `site` serves `network`, too"
)]
mod at_rest;
mod away;
mod carousel;
#[path = "../../../server/tests/relay/disk.rs"]
mod disk;
mod exchange;
mod leads;
mod mistakes;
mod moving;
mod night;
mod operating;
mod power;
mod safeguarding;
mod shape;
mod shift;
mod signals;
mod site;
mod team;
mod texts;
mod wire;
