//! What the SPEC refuses, and both must: one table a subject, each row spoilt from something that both take.
//!
//! Bytes with wrong fields are made in Python, whose verbs take any value and sign it properly: so it is the field
//! that is refused, and not its signature.
use crate::python::Python;
use crate::text::{below, random};
use crate::world::World;
use porchlight_proto::cell::CellError;
use porchlight_proto::layout::Layout;
use rand_chacha::ChaCha20Rng;
use serde_json::Value;
use std::fmt::Debug;

mod calls;
mod contents;
mod down;
mod public;
mod up;

/// Counts the rows.
#[derive(Default)]
struct Table {
    rows: usize,
}

impl Table {
    /// Both take it: otherwise refusing what is spoilt would mean nothing.
    fn taken<H, T>(&self, name: &str, here: Result<H, impl Debug>, there: Result<T, String>) {
        assert!(here.is_ok(), "{name}: refused here, {:?}", here.err());
        assert!(there.is_ok(), "{name}: refused there, {:?}", there.err());
    }
    /// Both refuse it.
    fn refused<H, T>(&mut self, name: &str, here: Result<H, impl Debug>, there: Result<T, String>) {
        assert!(here.is_err(), "{name}: taken here");
        assert!(there.is_err(), "{name}: taken there");
        self.rows += 1;
    }
    /// Both refuse the cell, and for this reason: so that a field is not refused for a signature, nor a signature for a key.
    fn refused_as<H, T>(&mut self, (name, why): (&str, CellError), here: Result<H, CellError>, there: Result<T, String>) {
        let kind = match why {
            CellError::DoesNotOpen => "closed",
            CellError::Forged => "forged",
            CellError::Malformed => "malformed",
            _ => "expired",
        };
        assert_eq!(here.as_ref().err(), Some(&why), "{name}, here");
        assert_eq!(there.as_ref().err().map(String::as_str), Some(kind), "{name}, there");
        self.refused(name, here, there);
    }
}

/// Runs every table; gives how many refusals were checked.
pub(crate) fn all(rng: &mut ChaCha20Rng, python: &mut Python) -> usize {
    let mut table = Table::default();
    let world = World::new(rng);
    up::letters(&mut table, &world, rng, python);
    up::team(&mut table, &world, rng, python);
    down::answers(&mut table, &world, rng, python);
    down::splices(&mut table, &world, rng, python);
    public::signatures(&mut table, rng, python);
    public::rosters(&mut table, &world, rng, python);
    public::certificates(&mut table, &world, rng, python);
    public::bulletins(&mut table, &world, python);
    public::cards(&mut table, rng, python);
    calls::tokens(&mut table, &world, rng, python);
    calls::stamps(&mut table, rng, python);
    calls::bodies(&mut table, rng, python);
    contents::contents(&mut table, python);
    contents::phrases(&mut table, rng, python);
    table.rows
}

/// The object with some fields replaced.
fn with(base: &Value, changes: &Value) -> Value {
    let mut whole = base.clone();
    for (key, value) in changes.as_object().expect("changes are an object") {
        whole[key] = value.clone();
    }
    whole
}

/// A layout's fields, each with a copy of the bytes in which one bit of that field is turned over.
fn flipped(layout: &Layout, data: &[u8], rng: &mut ChaCha20Rng) -> Vec<(&'static str, Vec<u8>)> {
    let mut at = 0;
    let mut flip = |(name, len): &(&'static str, usize)| {
        let mut spoilt = data.to_vec();
        spoilt[at + below(rng, *len as u64) as usize] ^= 1 << (random::<1>(rng)[0] % 8);
        at += len;
        (*name, spoilt)
    };
    layout.fields.iter().map(&mut flip).collect()
}
