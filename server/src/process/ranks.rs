//! No core dumps, no tracing by others, no memory written to a disk, no file for others, room for connections, threads and long files.

use std::sync::Mutex;
use std::thread;

use rustix::fs::Mode;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit, umask};

/// The capability to lock any amount of memory, as a bit of `CapEff` in `/proc/self/status`.
const CAP_IPC_LOCK: u32 = 14;

/// Descriptors that no connection gets: for shelves and keys, those who wait for a place, a certificate that is renewed.
const KEPT_BACK: u64 = 512;

/// Threads beside the runtime's own: seven of the store's, which waits for ever where it got none, the keys', those who wait for a disk.
const THREADS: usize = 16;
const STACK_BYTES: usize = 64 * 1024;

/// Bytes that a file must be able to grow to. Whoever writes beyond the limit is ended by a signal without a word, and how long a shelf's file
/// gets depends on what callers send.
const FILE_LEAST: u64 = 1 << 30;

/// Closes the ranks, and gives back what could not be closed, as sentences for an operator.
#[must_use]
pub fn close() -> Vec<&'static str> {
    let mut open = Vec::new();
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if set_dumpable_behavior(DumpableBehavior::NotDumpable).is_err() || setrlimit(Resource::Core, none).is_err() {
        open.push("core dumps could not be switched off");
    }
    if !lock_memory() {
        open.push("memory could not be locked: set LimitMEMLOCK=infinity, or keep swap off, which start-up checks");
    }
    // What libraries make is nobody else's either.
    umask(Mode::RWXG | Mode::RWXO);
    for limited in [Resource::Nofile, Resource::Fsize] {
        let limit = getrlimit(limited);
        let _ = setrlimit(limited, Rlimit { current: limit.maximum, ..limit });
    }
    open
}

/// The limit of open files, and how many connections fit below it beside what the relay needs itself. Without room for another one nobody
/// could be asked to leave for somebody else, and cells would be refused for want of a shelf.
#[must_use]
pub fn room_for_connections() -> (u64, usize) {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    (files, usize::try_from(files.saturating_sub(KEPT_BACK)).unwrap_or(usize::MAX))
}

/// The limit of a file's length, where it is too low.
#[must_use]
pub fn too_short_files() -> Option<u64> {
    getrlimit(Resource::Fsize).current.filter(|bytes| *bytes < FILE_LEAST)
}

/// Whether this account may have as many threads as the relay needs, of whatever limit, beside `workers` of the runtime's, which panics where it
/// gets none: starts them all, and lets them go.
#[must_use]
pub fn has_room_for_threads(workers: usize) -> bool {
    let until_all_are_there = Mutex::new(());
    thread::scope(|scope| {
        let _closed = until_all_are_there.lock();
        let waits = || drop(until_all_are_there.lock());
        (0..THREADS + workers).all(|_| thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, waits).is_ok())
    })
}

/// Locks all memory, now and later, as it is touched.
///
/// Keys are not locked one by one: they pass through buffers and registers that nobody lists. Under a limit nothing is locked at all, because
/// whatever is allocated beyond the limit would then fail.
fn lock_memory() -> bool {
    let is_free = getrlimit(Resource::Memlock).current.is_none() || may_lock();
    is_free && mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT).is_ok()
}

fn may_lock() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    has_capability(&status, CAP_IPC_LOCK)
}

fn has_capability(status: &str, bit: u32) -> bool {
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    held.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).is_some_and(|held| held >> bit & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_a_bit_of_the_effective_set() {
        for (status, has) in [
            ("Name:\tx\nCapPrm:\t0000000000004000\nCapEff:\t0000000000000000\n", false),
            ("CapEff:\t0000000000004000\n", true),
            ("CapEff:\t000001ffffffffff\n", true),
            ("CapEff:\t000001ffffffbfff\n", false),
            ("CapEff:\tnonsense\n", false),
            ("", false),
        ] {
            assert_eq!(has_capability(status, CAP_IPC_LOCK), has, "{status:?}");
        }
    }
}
