//! What the process may still reach, whatever a bug in it should let others do: its own directories and nothing else, no way out over TCP,
//! no other program, nobody else's memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

use crate::config::{Listen, Settings, StoreKind, Tls};
use crate::files;

/// The newest Landlock that is asked for; an older kernel gives what it has.
const LANDLOCK: ABI = ABI::V6;

/// Calls that no relay makes: other programs, other processes' memory, namespaces by the calls that do nothing else, the kernel, the clock,
/// and the two doors that kernel bugs come in by most.
const NEVER: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_pidfd_getfd,
    libc::SYS_open_by_handle_at,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_personality,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
];

/// Where the process may go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    writes: Vec<PathBuf>,
    reads: Vec<PathBuf>,
}

/// How much of it the kernel holds us to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// All.
    Whole,
    /// What this kernel's Landlock knows.
    Partly,
    /// The kernel has no Landlock; calls are filtered all the same.
    CallsAlone,
}

/// Why the process could not be confined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfineError {
    /// A directory of the relay's own cannot be made.
    #[error("cannot make {0}: {1}")]
    Directory(PathBuf, #[source] std::io::Error),
    /// Landlock refused.
    #[error("the kernel refuses to confine this process: {0}")]
    Landlock(#[from] landlock::RulesetError),
    /// The filter of system calls was refused.
    #[error("the kernel refuses to filter this process's system calls: {0}")]
    Filter(#[from] seccompiler::Error),
}

impl Reach {
    /// What a relay with these settings needs once it has read its configuration and its site.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let mut reach = Self { writes: vec![settings.data_dir.clone()], reads: Vec::new() };
        match settings.store {
            StoreKind::Sled => reach.writes.push(settings.keyring_dir.clone()),
            // Only to see that no keys of another store are left there.
            StoreKind::Memory => reach.reads.extend(Some(settings.keyring_dir.clone()).filter(|dir| dir.exists())),
        }
        // The socket is made there, and removed at the end.
        if let Listen::Unix(path) = &settings.listen {
            reach.writes.extend(path.parent().map(Path::to_path_buf));
        }
        // Read again at SIGHUP; renewed files are often links into a directory next to them.
        if let Tls::Files { cert, key } = &settings.tls {
            let real = [cert, key].map(|path| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone()));
            let files = [cert, key].into_iter().chain(&real);
            reach.reads.extend(files.filter_map(|path| path.parent()).map(Path::to_path_buf));
        }
        reach.reads.extend(settings.decoy_dir().map(Path::to_path_buf));
        reach
    }
}

/// Confines this thread and every later one, for good. Makes the relay's own directories first: what does not exist cannot be allowed.
///
/// # Errors
///
/// [`ConfineError`]. A kernel without Landlock is none: see [`Held`].
pub fn confine(reach: &Reach) -> Result<Held, ConfineError> {
    for dir in &reach.writes {
        files::make_private_dir(dir).map_err(|error| ConfineError::Directory(dir.clone(), error))?;
    }
    let (read, all) = (AccessFs::from_read(LANDLOCK) & !AccessFs::Execute, AccessFs::from_all(LANDLOCK) & !AccessFs::Execute);
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))?
        // No rule follows: nothing may be connected to.
        .handle_access(AccessNet::ConnectTcp)?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?
        .add_rules(path_beneath_rules(&reach.writes, all))?
        .add_rules(path_beneath_rules(&reach.reads, read))?
        .restrict_self()?;
    apply_filter(&filter()?)?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Held::Whole,
        RulesetStatus::PartiallyEnforced => Held::Partly,
        RulesetStatus::NotEnforced => Held::CallsAlone,
    })
}

fn filter() -> Result<BpfProgram, seccompiler::Error> {
    let refused: BTreeMap<i64, Vec<_>> = NEVER.iter().map(|call| (*call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(refused, SeccompAction::Allow, refuse, std::env::consts::ARCH.try_into()?)?;
    Ok(filter.try_into()?)
}
