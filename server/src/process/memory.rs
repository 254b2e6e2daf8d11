//! What this process holds in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes that this process holds in memory, as far as that can be told.
pub trait Memory: Send + Sync {
    /// Resident bytes, or nothing if the system does not say.
    fn resident(&self) -> Option<u64>;
}

/// As the kernel counts it. Opened before the process is confined, when it may still open such files.
pub struct SystemMemory(File);

impl SystemMemory {
    /// This process's own.
    ///
    /// # Errors
    ///
    /// What the system says where there is no `/proc`.
    pub fn open() -> io::Result<Self> {
        File::open("/proc/self/statm").map(Self)
    }
}

impl Memory for SystemMemory {
    fn resident(&self) -> Option<u64> {
        let mut text = [0; 128];
        let length = self.0.read_at(&mut text, 0).ok()?;
        let pages: u64 = std::str::from_utf8(text.get(..length)?).ok()?.split_whitespace().nth(1)?.parse().ok()?;
        Some(pages * rustix::param::page_size() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_counted() {
        let memory = SystemMemory::open().unwrap();
        let before = memory.resident().unwrap();
        let held = vec![1_u8; 32 << 20];
        let after = memory.resident().unwrap();
        assert!(held.iter().all(|byte| *byte == 1));
        assert!(before > 0 && after >= before + (24 << 20), "{before}, then {after}");
    }
}
