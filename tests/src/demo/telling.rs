//! How the demo tells what happens: who did what, and when.

use crate::clock::Start;
use crate::say;

/// Who an event concerns.
#[derive(Clone, Copy)]
pub(crate) enum Who {
    She,
    Desk,
    Relay,
    Line,
    Network,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::She => "she",
            Self::Desk => "the desk",
            Self::Relay => "the relay",
            Self::Line => "the line",
            Self::Network => "her network",
        }
    }
}

/// Tells events with the time since the demo's first line.
pub(crate) struct Teller(pub(crate) Start);

impl Teller {
    /// Begins a part of the story.
    pub(crate) fn scene(&self, title: &str) {
        say::line(&format!("\n── {title}"));
    }

    /// Tells what somebody did just now.
    pub(crate) fn did(&self, who: Who, what: &str) {
        say::line(&format!("{:>8}  {:<12}{what}", self.0.since().to_string(), who.name()));
    }

    /// Adds to what was told last.
    pub(crate) fn more(&self, text: &str) {
        for line in text.lines() {
            say::line(&format!("{:22}{line}", ""));
        }
    }
}

/// A count as people read it: `48,200`.
pub(crate) fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        for (count, text) in [(0, "0"), (999, "999"), (2_048, "2,048"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(count), text);
        }
    }
}
