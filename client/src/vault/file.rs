//! Files that only this account may read, written so that a crash leaves the old one or the new one.
use crate::vault::{Holding, VaultError};
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// The vault's lock. Dropping it lets the next one in.
#[derive(Debug)]
pub struct Hold {
    _file: File,
}

impl Hold {
    pub(super) fn take(path: &Path, holding: Holding) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let operation = match holding {
            Holding::Shared => FlockOperation::LockShared,
            Holding::Alone => FlockOperation::LockExclusive,
        };
        loop {
            match flock(&file, operation) {
                Err(rustix::io::Errno::INTR) => {}
                taken => return taken.map(|()| Self { _file: file }).map_err(io::Error::from),
            }
        }
    }
}

/// Makes the directory with mode 0700, or takes that mode away from others if it is there and empty.
pub(super) fn private_dir(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => DirBuilder::new().recursive(true).mode(0o700).create(dir)?,
        made => return made,
    }
    std::fs::set_permissions(dir, Permissions::from_mode(0o700))
}

/// Refuses a directory that other accounts can look into.
pub(super) fn require_private(dir: &Path) -> Result<(), VaultError> {
    if std::fs::metadata(dir)?.permissions().mode() & 0o077 != 0 {
        return Err(VaultError::NotPrivate);
    }
    Ok(())
}

/// Makes an empty private file, if it is not there.
pub(super) fn touch(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map(drop)
}

/// A new private file beside `path`, to be filled and then put in its place with [`put`].
pub(super) fn beside(path: &Path) -> io::Result<File> {
    let new = path.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(new)
}

/// Puts the file made by [`beside`] in the place of `path`, for good once this returns.
pub(super) fn put(file: &File, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    std::fs::rename(path.with_extension("new"), path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

/// Writes a whole file, atomically.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = beside(path)?;
    file.write_all(bytes)?;
    put(&file, path)
}

/// Overwrites a file with zeroes, flushes that, and removes it.
pub(super) fn destroy(path: &Path) -> io::Result<()> {
    let overwritten = File::options().write(true).open(path).and_then(|mut file| {
        let len = file.metadata()?.len();
        io::copy(&mut io::Read::take(io::repeat(0), len), &mut file)?;
        file.sync_all()
    });
    // A full or failing disk that cannot overwrite may still remove.
    std::fs::remove_file(path).and(overwritten)
}
