//! What stops a verb: how to end, what happened, and what to do about it.

use std::fmt;

use crate::exit::Exit;

/// A failed verb. Its sentences are all in [`crate::sentences`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    exit: Exit,
    message: String,
    hint: String,
}

impl Trouble {
    pub(crate) fn new(exit: Exit, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: hint.into() }
    }

    /// How the program ends.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// The same trouble, with what became of the person's words said in front of the hint.
    pub(crate) fn after(mut self, fate: &str) -> Self {
        self.hint = format!("{fate} {}", self.hint);
        self
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.hint.is_empty() { write!(f, "{}", self.message) } else { write!(f, "{}\n  {}", self.message, self.hint) }
    }
}
