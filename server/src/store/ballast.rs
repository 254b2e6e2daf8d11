//! Ballast: room on the disk that is held by nothing, and thrown out when others have filled the rest.
//!
//! A file system may need room to delete, a roster needs some to be published, and both must work on the worst day. The quota keeps *our* cells
//! from filling the disk; this is against everybody else's logs and mails on it.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

/// Bytes held.
const BALLAST: u64 = 4 << 20;

/// With less than this free it is thrown out.
const LOW: u64 = 2 << 20;

/// With more than this free it is taken in again.
const HIGH: u64 = 64 << 20;

/// A file of 4 MiB in the data directory, or nothing.
pub struct Ballast(PathBuf);

impl Ballast {
    /// The ballast of a data directory. Takes in none yet.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self(data_dir.join("ballast"))
    }

    /// Throws it out if its file system is nearly full, takes it in if there is room.
    pub fn trim(&self) {
        self.trim_to(self.0.parent().map_or(0, crate::files::free_bytes));
    }

    fn trim_to(&self, free: u64) {
        let length = fs::symlink_metadata(&self.0).map_or(0, |data| data.len());
        let is_held = length >= BALLAST;
        if length > 0 && free < LOW {
            let _ = fs::remove_file(&self.0);
        } else if !is_held && free > HIGH {
            // Half of it is none, also if a kill left it.
            let _ = fs::remove_file(&self.0);
            if self.take_in().is_none() {
                let _ = fs::remove_file(&self.0);
            }
        }
    }

    fn take_in(&self) -> Option<()> {
        let file = crate::files::private().write(true).create_new(true).open(&self.0).ok()?;
        fallocate(&file, FallocateFlags::empty(), 0, BALLAST).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_thrown_out_when_the_disk_is_full_and_taken_in_when_it_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(dir.path());
        let held = || fs::metadata(dir.path().join("ballast")).map_or(0, |data| data.len());
        for (free, expected) in
            [(LOW, 0), (HIGH, 0), (HIGH + 1, BALLAST), (LOW, BALLAST), (LOW - 1, 0), (0, 0), (u64::MAX, BALLAST)]
        {
            ballast.trim_to(free);
            assert_eq!(held(), expected, "with {free} free");
        }
        // A kill came between its making and its filling.
        fs::write(dir.path().join("ballast"), b"").unwrap();
        ballast.trim_to(u64::MAX);
        assert_eq!(held(), BALLAST);
    }
}
