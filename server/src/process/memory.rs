//! What this process holds in memory.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes that this process holds in memory, as far as that can be told.
pub trait Memory: Send + Sync {
    /// Resident bytes, with those of its sockets where they count as well; or nothing if the system does not say.
    fn resident(&self) -> Option<u64>;
}

/// As the kernel counts it. Opened before the process is confined, when it may still open such files.
pub struct SystemMemory {
    own: File,
    /// What is counted of the control group, if that has a bound.
    group: Option<File>,
}

impl SystemMemory {
    /// This process's own.
    ///
    /// # Errors
    ///
    /// What the system says where there is no `/proc`.
    pub fn open() -> io::Result<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Ok(Self { own: File::open("/proc/self/status")?, group: bounded_group(Path::new("/sys/fs/cgroup"), &groups) })
    }

    /// What lies in the kernel for this group's connections, which is nobody's resident memory and counts against the bound all the same.
    fn sockets(&self) -> Option<u64> {
        let mut text = [0; 4096];
        let length = self.group.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(text.get(..length)?).ok()?;
        text.lines().find_map(|line| line.strip_prefix("sock "))?.parse().ok()
    }
}

/// The file in which a control group's memory is counted, of the one that a process is in (cgroups(7), version 2). None where it has no bound:
/// there others' sockets may be counted too.
fn bounded_group(root: &Path, groups: &str) -> Option<File> {
    let group = root.join(groups.lines().find_map(|line| line.strip_prefix("0::/"))?);
    let _bound: u64 = fs::read_to_string(group.join("memory.max")).ok()?.trim().parse().ok()?;
    File::open(group.join("memory.stat")).ok()
}

impl Memory for SystemMemory {
    fn resident(&self) -> Option<u64> {
        let mut text = [0; 4096];
        let length = self.own.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(text.get(..length)?).ok()?;
        // Not in pages: before Linux 6.4 how large one is stands in a file that a confined process may not open, and rustix panics for that.
        let kib = text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())?;
        Some(kib * 1024 + self.sockets().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn what_is_held_is_counted() {
        let memory = SystemMemory::open().unwrap();
        let before = memory.resident().unwrap();
        let held = vec![1_u8; 32 << 20];
        let after = memory.resident().unwrap();
        assert!(held.iter().all(|byte| *byte == 1));
        assert!(before > 0 && after >= before + (24 << 20), "{before}, then {after}");
    }

    #[test]
    fn sockets_count_where_their_group_has_a_bound() {
        let root = TempDir::new().unwrap();
        let group = root.path().join("system.slice/relay.service");
        fs::create_dir_all(&group).unwrap();
        let counted = |sockets: u64| fs::write(group.join("memory.stat"), format!("anon 1\nfile 2\nsock {sockets}\nshmem 3\n"));
        counted(0).unwrap();
        let groups = "1:name=systemd:/x\n0::/system.slice/relay.service\n";
        for (bound, counts) in [(None, false), (Some("max\n"), false), (Some("805306368\n"), true)] {
            bound.iter().for_each(|bound| fs::write(group.join("memory.max"), bound).unwrap());
            assert_eq!(bounded_group(root.path(), groups).is_some(), counts, "{bound:?}");
        }
        assert!(bounded_group(root.path(), "4:memory:/system.slice/relay.service\n").is_none(), "version 1");
        let memory = SystemMemory { group: bounded_group(root.path(), groups), ..SystemMemory::open().unwrap() };
        let before = memory.resident().unwrap();
        counted(1 << 40).unwrap();
        assert!(memory.resident().unwrap() >= (1 << 40), "{before} before");
    }
}
