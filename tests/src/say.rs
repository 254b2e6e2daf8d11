//! Everything the runner says, to a person at a terminal or to a log.
//!
//! A reader who has gone away (a closed pipe) is no reason to fail, so errors of writing are dropped here and only here.

use std::io::{self, Write};

/// Says a line on the standard output.
pub(crate) fn line(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Says a line on the standard error: what went wrong, or what is being waited for.
pub(crate) fn aside(text: &str) {
    let mut out = io::stderr().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}
