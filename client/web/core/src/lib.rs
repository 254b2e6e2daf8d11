//! A caller's visit for the page: [`page::Page`] is all of it, safe; `boundary`, which only WASM has, lets JavaScript call it.
#![cfg_attr(target_arch = "wasm32", no_std)]
extern crate alloc;

#[cfg(target_arch = "wasm32")]
pub mod boundary;
pub mod json;
pub mod page;
