//! Files that only the relay's own account may read, made that way and not changed afterwards.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes `dir` and what is missing above it, for the owner alone, and returns when their names would survive a power cut.
///
/// # Errors
///
/// What the file system says.
pub(crate) fn make_private_dir(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    missing
        .into_iter()
        .filter_map(Path::parent)
        .try_for_each(|above| sync_dir(if above.as_os_str().is_empty() { Path::new(".") } else { above }))
}

/// Makes `dir` alone, for the owner alone, unless it is there: what is missing above it was taken away, and is not made anew somewhere else.
///
/// # Errors
///
/// What the file system says.
pub(crate) fn make_private_leaf(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => dir.parent().map_or(Ok(()), sync_dir),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Options that create a file for the owner alone.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Replaces `path` by `bytes` so that after a crash there is the old file or the new one, never half of one.
///
/// # Errors
///
/// What the file system says; the old file is then still there, or the new one, whose name a power cut can take.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private().write(true).create_new(true).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Returns when the names in `dir` would survive a power cut; what the files hold is another matter.
///
/// # Errors
///
/// What the file system says.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Bytes that the file system under `path` still offers; none if it does not say.
pub(crate) fn free_bytes(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize))
}

/// Whether something lies there that is no file. Opening a pipe, or reading from one, waits for somebody else, who may never come.
pub(crate) fn is_no_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file())
}

/// The path, or what is there of it.
pub(crate) fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|path| path.exists()).unwrap_or(path)
}

/// Whether `path` is a link to nothing, or to something that lies below none of `homes`. Whatever is no link stays where it is.
///
/// # Errors
///
/// What the file system says; that there is nothing at `path` as well.
pub(crate) fn leads_out(path: &Path, homes: &[&Path]) -> io::Result<bool> {
    if !fs::symlink_metadata(path)?.is_symlink() {
        return Ok(false);
    }
    let end = match fs::canonicalize(path) {
        Ok(end) => end,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    Ok(!homes.iter().filter_map(|home| fs::canonicalize(home).ok()).any(|home| end.starts_with(home)))
}
