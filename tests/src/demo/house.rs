//! The demo's folders, and the commands it runs in them.
//!
//! Everything lies in one temporary folder that only its owner can enter, but for the relay's keys: those lie in memory,
//! as on a real relay. Both are removed when the demo ends, however it ends.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::record::Record;
use super::trouble::{Trouble, While};
use crate::leash::Leash;
use crate::program::{Ended, Program};

/// Where Linux keeps a file system in memory that everyone may write to.
const IN_MEMORY: &str = "/dev/shm";

/// The folders, and where the programs are.
pub(crate) struct House {
    folder: PathBuf,
    keyring: PathBuf,
    programs: PathBuf,
}

impl House {
    /// Makes the folders.
    ///
    /// # Errors
    ///
    /// When they cannot be made, or the runner does not know where it lies itself.
    pub(crate) fn build() -> Result<Self, Trouble> {
        let itself = std::env::current_exe().during("finding the programs")?;
        let programs = itself.parent().unwrap_or(Path::new(".")).to_owned();
        let folder = fresh(&std::env::temp_dir()).during("making a temporary folder")?;
        let in_memory = Path::new(IN_MEMORY);
        let keyring = if in_memory.is_dir() { fresh(in_memory) } else { fresh(&folder) }.during("making a folder for keys")?;
        Ok(Self { folder, keyring, programs })
    }

    /// Both folders.
    pub(crate) fn folders(&self) -> [&Path; 2] {
        [&self.folder, &self.keyring]
    }

    /// A path in the temporary folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The same as text for a command line.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Where the relay's keys lie.
    pub(crate) fn keyring(&self) -> &Path {
        &self.keyring
    }

    /// Whether that is in memory.
    pub(crate) fn keys_in_memory(&self) -> bool {
        self.keyring.starts_with(IN_MEMORY)
    }

    /// One of the project's programs.
    pub(crate) fn program(&self, name: &str) -> Program {
        Program::typed("").word(self.programs.join(name).display().to_string())
    }

    /// `porchlight`, with words that hold no spaces.
    pub(crate) fn porchlight(&self, line: &str) -> Program {
        line.split_whitespace().fold(self.program("porchlight"), Program::word)
    }

    /// A command of the desk.
    pub(crate) fn desk(&self, line: &str) -> Program {
        self.desk_of(line, "line")
    }

    /// A command of the desk whose vault is in this folder.
    pub(crate) fn desk_of(&self, line: &str, folder: &str) -> Program {
        let passphrase = self.text("passphrase");
        self.porchlight(line).word("--dir").word(self.text(folder)).word("--passphrase-file").word(passphrase).word("--json")
    }

    /// A command of the caller's, who has nothing but the card and her words.
    pub(crate) fn caller(&self, line: &str) -> Program {
        let program = self.porchlight(line).word("--card").word(self.text("line/card.txt"));
        program.word("--phrase-file").word(self.text("phrase")).word("--json")
    }

    /// Runs a program to its end and reads its lines.
    ///
    /// # Errors
    ///
    /// [`Trouble::Failed`] when it does not end well.
    pub(crate) fn ask(&self, program: &Program, leash: &Leash) -> Result<Vec<Record>, Trouble> {
        let ended = self.said_by(program, leash)?;
        Ok(ended.lines().map(Record::read).collect())
    }

    /// Runs a program to its end and returns what it says.
    ///
    /// # Errors
    ///
    /// [`Trouble::Failed`] when it does not end well.
    pub(crate) fn said_by(&self, program: &Program, leash: &Leash) -> Result<String, Trouble> {
        let Ended { status, stdout, stderr } = program.hear(leash, "").during(&program.to_string())?;
        if status.success() { Ok(stdout) } else { Err(Trouble::Failed { command: program.to_string(), status, said: stderr }) }
    }

    /// Removes both folders.
    ///
    /// # Errors
    ///
    /// When something in them cannot be removed.
    pub(crate) fn tear_down(&self) -> Result<(), Trouble> {
        self.folders()
            .into_iter()
            .filter(|folder| folder.exists())
            .try_for_each(fs::remove_dir_all)
            .during("removing the demo's folders")
    }
}

/// A new folder that only its owner can enter.
fn fresh(below: &Path) -> io::Result<PathBuf> {
    let mut attempt = 0;
    loop {
        let folder = below.join(format!("porchlight-demo-{}-{attempt}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 100 => attempt += 1,
            made => return made.map(|()| folder),
        }
    }
}
