//! The dead part of a thread's stack, where functions that have returned leave pieces of what they worked on.
//!
//! What is freed on the heap is wiped by the allocator; nothing does that for stacks. And what lies there gets about: whoever builds a large
//! value on the stack and boxes it takes what was there along in its gaps. Pieces of sealed cells were found like that in sled's own
//! structures, for as long as a shelf was open (`server/tests/relay/forensics.rs`).

use std::future::{Future, poll_fn};
use std::hint::black_box;

/// Bytes that are wiped. What handles cells and keys goes less deep: reading a request, sealing and opening records. With half of it a device's
/// id was found two kilobytes further down, in a build for tests.
const DEPTH: usize = 64 * 1024;

/// Bytes that are wiped after a signature was checked. Tables of points make that deeper than anything else, most of all in a build for tests:
/// device keys and signatures were found below [`DEPTH`] (`server/tests/relay/forensics.rs`).
const DEPTH_OF_SIGNATURES: usize = 4 * DEPTH;

/// Overwrites what functions called from here before have left on the stack, down to so many bytes.
#[inline(never)]
fn wipe<const BYTES: usize>() {
    // Lies where their frames lay; `mut`, or it would be a constant that lies nowhere. That somebody might look at it keeps it from being left
    // out.
    let mut zeros = [0_u8; BYTES];
    black_box(&mut zeros);
}

/// Does some work, and leaves nothing of it on the stack.
pub(crate) fn wiped<T>(work: impl FnOnce() -> T) -> T {
    let result = work();
    wipe::<DEPTH>();
    result
}

/// The same for work that checks signatures, which goes deeper.
pub(crate) fn wiped_of_signatures<T>(work: impl FnOnce() -> T) -> T {
    let result = work();
    wipe::<DEPTH_OF_SIGNATURES>();
    result
}

/// The same for a future, after each of its turns: the next may be taken by another thread.
pub(crate) fn wiped_each_turn<F: Future>(work: F) -> impl Future<Output = F::Output> {
    // Boxed, since a future that holds another by value keeps room for it twice.
    let mut work = Box::pin(work);
    poll_fn(move |context| wiped(|| work.as_mut().poll(context)))
}
