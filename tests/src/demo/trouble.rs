//! Why the demo stopped, in words that say what to do.

use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// What went wrong.
pub(crate) enum Trouble {
    /// Something this machine lacks, with the line that brings it.
    Lacking(String),
    /// The machine refused something.
    Refused { what: String, error: io::Error },
    /// A command ended badly.
    Failed { command: String, status: ExitStatus, said: String },
    /// Something was waited for in vain.
    Late { what: String, limit: Duration, said: String },
    /// Something came, but not what was promised. This is a fault of Porchlight's.
    Wrong(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lacking(line) => write!(out, "{line}"),
            Self::Refused { what, error } => write!(out, "{what}: {error}"),
            Self::Failed { command, status, said } => write!(out, "this command failed ({status}):\n    {command}\n{said}"),
            Self::Late { what, limit, said } => write!(out, "waited {} s in vain for {what}\n{said}", limit.as_secs()),
            Self::Wrong(what) => write!(out, "this should not be: {what}"),
        }
    }
}

/// Says what was being done when the machine refused.
pub(crate) trait While<T> {
    /// # Errors
    ///
    /// [`Trouble::Refused`], with what was being done.
    fn during(self, what: &str) -> Result<T, Trouble>;
}

impl<T> While<T> for io::Result<T> {
    fn during(self, what: &str) -> Result<T, Trouble> {
        self.map_err(|error| Trouble::Refused { what: what.to_owned(), error })
    }
}
