#![no_std]
//! Porchlight.
