//! Porchlight's bytes, keys and rules, pure: no I/O, no clock, no randomness of its own.
//!
//! `docs/SPEC.md` says what the bytes are; this crate is that text in Rust. Read it in this order:
//!
//! - [`limits`], [`layout`], [`time`]: sizes, the one table of every fixed layout, beats, slots, days and weeks.
//! - [`sign`], [`seal`], [`stretch`], [`kdf`]: the primitives, each with one label per use.
//! - [`line`](mod@line), [`phrase`], [`root`]: who there is: lines, devices, callers; words people carry in their heads.
//! - [`cert`], [`roster`], [`bulletin`], [`card`]: what a line says of itself in public.
//! - [`letter`], [`answer`], [`event`], [`parts`]: what people write, cut into cells and joined again.
//! - [`cell`]: the sealed units that move up and down.
//! - [`stamp`], [`token`], [`api`]: what a relay asks for and answers.
//! - [`replay`], [`have`]: what a desk remembers so that nothing is taken twice and everything is receipted once.
//! - [`visit`]: a caller's whole state machine, for a page, a command or a test to drive.
//!
//! Bytes from elsewhere come in as `Unchecked…` types or through `parse`, and every parser answers hostile
//! bytes with an error. Time and chance are arguments.
#![no_std]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod answer;
pub mod api;
pub mod bulletin;
pub mod card;
pub mod cell;
pub mod cert;
pub mod event;
pub mod have;
pub mod kdf;
pub mod layout;
pub mod letter;
pub mod limits;
pub mod line;
pub mod parts;
pub mod phrase;
pub mod replay;
pub mod root;
pub mod roster;
pub mod seal;
pub mod sign;
pub mod stamp;
pub mod stretch;
pub mod time;
pub mod token;
pub mod visit;

mod cbor;
