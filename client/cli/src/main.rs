//! Porchlight.
fn main() {}
