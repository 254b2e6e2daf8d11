//! Why no program outlives the runner.
//!
//! Every program the runner starts joins one process group, whose leader is a small shell that waits on a pipe from the
//! runner. However the runner ends (Ctrl-C, a kill, a crash of its own) the pipe closes, and the shell asks the group
//! to stop, clears away the demo's folders and, two seconds later, ends what is left. Neither `unsafe` nor a signal
//! handler is needed for that. Ctrl-C at a terminal reaches the runner alone, so programs are stopped once, and cleanly.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// `$@` are folders to remove. A word on the pipe means that the runner has seen to everything itself.
const HOLD: &str = r#"
trap '' INT HUP TERM
read -r word && exit 0
kill -TERM 0
sleep 2
[ $# -eq 0 ] || rm -rf -- "$@"
kill -KILL 0
"#;

/// Holds every program the runner starts.
pub(crate) struct Leash(Child);

impl Leash {
    /// Takes hold. `folders` are removed if the runner ends before it could do so itself.
    ///
    /// # Errors
    ///
    /// When `sh` cannot be started.
    pub(crate) fn take(folders: &[&Path]) -> io::Result<Self> {
        Command::new("sh")
            .args(["-c", HOLD, "leash"])
            .args(folders)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map(Self)
    }

    /// Starts `command` on the leash.
    ///
    /// # Errors
    ///
    /// When the program is not there or may not be run.
    pub(crate) fn start(&self, command: &mut Command) -> io::Result<Child> {
        // Linux's process ids stay far below 2^31.
        let group = i32::try_from(self.0.id()).map_err(io::Error::other)?;
        command.process_group(group).spawn()
    }

    /// Lets go: everything has ended and been cleared away.
    pub(crate) fn release(mut self) {
        if let Some(mut pipe) = self.0.stdin.take() {
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.0.wait();
    }
}
