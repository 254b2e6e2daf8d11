//! Results on stdout: sentences for people, or one JSON object a line.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

/// Where results go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Writes one result: the object to a program, the sentence to a person (nothing if it is empty).
    pub(crate) fn tell(self, object: &Value, sentence: &str) {
        if self.json {
            write_line(&object.to_string());
        } else if !sentence.is_empty() {
            write_line(&printable(sentence));
        }
    }

    /// Writes to a person only.
    pub(crate) fn say(self, sentence: &str) {
        if !self.json && !sentence.is_empty() {
            write_line(&printable(sentence));
        }
    }
}

/// Writes a remark to stderr, where it is never mistaken for a result.
pub(crate) fn remark(sentence: &str) {
    let _nobody_listens = writeln!(io::stderr().lock(), "porchlight: {}", printable(sentence));
}

/// Whether something was written that nobody got.
static UNHEARD: AtomicBool = AtomicBool::new(false);
/// Whether that was because stdout could not be written, and not because its reader went away.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Whether some result reached nobody, for whatever reason.
pub(crate) fn unheard() -> bool {
    UNHEARD.load(Ordering::Relaxed)
}

/// Whether stdout could not be written. A reader that has gone away (`| head`) is none of our errors.
pub(crate) fn failed() -> bool {
    FAILED.load(Ordering::Relaxed)
}

fn write_line(line: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
        UNHEARD.store(true, Ordering::Relaxed);
        FAILED.fetch_or(error.kind() != io::ErrorKind::BrokenPipe, Ordering::Relaxed);
    }
}

/// The text without what could steer a terminal: letters come from strangers. Line breaks and tabs stay.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// Control characters, and the marks that reorder what is shown.
fn steers(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_cannot_steer_the_terminal() {
        assert_eq!(printable("\u{1b}[2J\u{1b}]0;x\u{7}ok\r\u{9b}31m"), "\u{fffd}[2J\u{fffd}]0;x\u{fffd}ok\u{fffd}\u{fffd}31m");
        assert_eq!(printable("a\u{202e}b\u{2066}c"), "a\u{fffd}b\u{fffd}c");
        assert_eq!(printable("두부\n豆腐\t👩‍🌾 e\u{301}"), "두부\n豆腐\t👩‍🌾 e\u{301}");
    }
}
