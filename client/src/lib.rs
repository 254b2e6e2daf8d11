//! Porchlight's client library.
pub mod desk;
pub mod vault;
