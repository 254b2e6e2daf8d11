//! One command: what is run, and how a person would type it.

use std::env;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use crate::leash::Leash;

/// What `cargo run` tells the runner about the runner's own package. Handed on, it would misinform the cargo started next.
const OURS_ALONE: [&str; 5] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];

/// A command, not yet run.
pub(crate) struct Program {
    words: Vec<String>,
    settings: Vec<(&'static str, String)>,
}

/// What a program that has ended left behind.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    /// A command as it is typed, its words parted by spaces.
    pub(crate) fn typed(line: &str) -> Self {
        Self { words: line.split_whitespace().map(str::to_owned).collect(), settings: Vec::new() }
    }

    /// A line for `sh`.
    pub(crate) fn shell(line: &str) -> Self {
        Self { words: vec!["sh".into(), "-c".into(), line.into()], settings: Vec::new() }
    }

    /// Adds a word that may hold spaces.
    pub(crate) fn word(mut self, word: impl Into<String>) -> Self {
        self.words.push(word.into());
        self
    }

    /// Adds a setting to its environment. Never a secret.
    pub(crate) fn set(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    /// Runs it to its end, its words going where the runner's go.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(crate) fn run(&self, leash: &Leash) -> io::Result<ExitStatus> {
        leash.start(self.command().stdin(Stdio::null()))?.wait()
    }

    /// Whether it can be started and ends well. Quiet.
    pub(crate) fn succeeds(&self, leash: &Leash) -> bool {
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        leash.start(&mut command).and_then(|mut child| child.wait()).is_ok_and(|status| status.success())
    }

    /// Runs it to its end with `input` as its standard input, and keeps what it says.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or says something that is not UTF-8.
    pub(crate) fn hear(&self, leash: &Leash, input: &str) -> io::Result<Ended> {
        let mut command = self.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = leash.start(&mut command)?;
        if let Some(mut pipe) = child.stdin.take() {
            // A program that does not want its input closes it: what it says about that matters more than the pipe.
            let _ = pipe.write_all(input.as_bytes());
        }
        let complaints = child.stderr.take().map(|mut pipe| {
            thread::spawn(move || {
                let mut text = String::new();
                pipe.read_to_string(&mut text).map(|_| text)
            })
        });
        let mut stdout = String::new();
        if let Some(mut pipe) = child.stdout.take() {
            pipe.read_to_string(&mut stdout)?;
        }
        let stderr = match complaints.map(thread::JoinHandle::join) {
            Some(Ok(text)) => text?,
            _ => String::new(),
        };
        Ok(Ended { status: child.wait()?, stdout, stderr })
    }

    /// The command, to be started in another way, in the workspace's folder.
    pub(crate) fn command(&self) -> Command {
        let mut words = self.words.iter();
        let mut command = Command::new(real_name(words.next().map_or("", String::as_str)));
        command.args(words).current_dir(workspace());
        for (name, _) in env::vars_os() {
            if OURS_ALONE.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                command.env_remove(&name);
            }
        }
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl std::fmt::Display for Program {
    /// As a person would type it, quotes where a shell wants them.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let settings = self.settings.iter().map(|(name, value)| format!("{name}={}", quoted(value)));
        let words: Vec<String> = settings.chain(self.words.iter().map(|word| quoted(word))).collect();
        out.write_str(&words.join(" "))
    }
}

/// The folder of the workspace: the parent of this package's.
pub(crate) fn workspace() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR")
        .and_then(|folder| Path::new(&folder).parent().map(Path::to_owned))
        .unwrap_or_else(|| PathBuf::from("."))
}

/// The cargo that started the runner, rather than another one earlier on the path.
fn real_name(name: &str) -> PathBuf {
    match (name, env::var_os("CARGO")) {
        ("cargo", Some(cargo)) => cargo.into(),
        _ => name.into(),
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_can_be_typed() {
        let program = Program::typed("cargo doc --no-deps").word("it's").set("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(program.to_string(), r"RUSTDOCFLAGS='-D warnings' cargo doc --no-deps 'it'\''s'");
    }

    #[test]
    fn a_program_hears_its_input_and_is_heard() -> io::Result<()> {
        let leash = Leash::take(&[])?;
        let ended = Program::shell("cat; echo aside >&2; exit 7").hear(&leash, "안녕")?;
        leash.release();
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("안녕", "aside\n"));
        assert_eq!(ended.status.code(), Some(7));
        Ok(())
    }

    #[test]
    fn nothing_outlives_a_dropped_leash() -> io::Result<()> {
        let leash = Leash::take(&[])?;
        let mut child = leash.start(Command::new("sleep").arg("600"))?;
        drop(leash);
        assert!(!child.wait()?.success(), "it was ended by a signal");
        Ok(())
    }
}
