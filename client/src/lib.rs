//! Porchlight's client library.
pub mod vault;
