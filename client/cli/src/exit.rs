//! How the program ends: one number for each thing a script would do differently.

/// The exit code. Documented in `docs/CLI.md`; never renumbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// The command line, a file or an input is not usable. Correct it.
    Usage = 1,
    /// A fault of this program. Report it.
    Bug = 2,
    /// The network or the relay. Try again later.
    Network = 3,
    /// A key, a certificate, a roster, a card or a clock that must not be trusted. Do not go on.
    Untrusted = 4,
    /// The relay or the desk refused, or the box is full.
    Refused = 5,
    /// It worked, and there is nothing new.
    NothingNew = 6,
    /// The words or the passphrase do not match.
    WrongWords = 7,
}
