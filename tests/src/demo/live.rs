//! A program that is listened to while it runs.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use super::trouble::{Trouble, While};
use crate::clock::Start;
use crate::leash::Leash;
use crate::program::Program;

/// A running program. What it complains of goes to a file beside it.
pub(crate) struct Live {
    name: &'static str,
    child: Child,
    lines: Receiver<String>,
    complaints: PathBuf,
}

impl Live {
    /// Starts it; its standard error goes to the new file `complaints`.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(crate) fn start(name: &'static str, program: &Program, complaints: PathBuf, leash: &Leash) -> Result<Self, Trouble> {
        let file = File::create(&complaints).during("making a log")?;
        let mut command = program.command();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        let mut child = leash.start(&mut command).during(&program.to_string())?;
        let (tell, lines) = mpsc::channel();
        if let Some(pipe) = child.stdout.take() {
            thread::spawn(move || BufReader::new(pipe).lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        }
        Ok(Self { name, child, lines, complaints })
    }

    /// Waits for a line in which `find` finds something; other lines are passed over.
    ///
    /// # Errors
    ///
    /// [`Trouble::Late`] when none came within `limit`, or the program ended before.
    pub(crate) fn hear<T>(&self, what: &str, limit: Duration, mut find: impl FnMut(&str) -> Option<T>) -> Result<T, Trouble> {
        let start = Start::now();
        while let Ok(line) = self.lines.recv_timeout(start.since().left_of(limit)) {
            if let Some(found) = find(&line) {
                return Ok(found);
            }
        }
        Err(Trouble::Late { what: format!("{what} (from {})", self.name), limit, said: self.complaints() })
    }

    /// Asks it to stop and waits until it has.
    ///
    /// # Errors
    ///
    /// When it cannot be waited for.
    pub(crate) fn stop(&mut self, leash: &Leash) -> Result<(), Trouble> {
        let asked = Program::shell(&format!("kill -TERM {}", self.child.id())).run(leash);
        asked.and_then(|_| self.child.wait()).map(drop).during(self.name)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    ///
    /// [`Trouble::Failed`] when it ends badly.
    pub(crate) fn end(&mut self) -> Result<(), Trouble> {
        let status = self.child.wait().during(self.name)?;
        if status.success() {
            Ok(())
        } else {
            Err(Trouble::Failed { command: self.name.to_owned(), status, said: self.complaints() })
        }
    }

    /// What it has complained of so far.
    pub(crate) fn complaints(&self) -> String {
        fs::read_to_string(&self.complaints).unwrap_or_default()
    }
}
