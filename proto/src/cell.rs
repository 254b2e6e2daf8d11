//! The sealed units that move: up cells of 2,048 bytes, down cells of 1,024 (SPEC §6, §7).
pub mod down;
pub mod up;

/// Why a cell is not taken. The sender is told nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CellError {
    /// It was not sealed to this key, or was changed. Not an error to report: it is nothing.
    #[error("the cell does not open")]
    DoesNotOpen,
    /// It opened, but its signature is not by the key it names or must come from.
    #[error("the cell is not signed by its sender")]
    Forged,
    /// It opened and is signed, but a field holds what no honest sender writes.
    #[error("the cell's fields contradict the protocol")]
    Malformed,
    /// It is a down cell out of its time: written for another day, or past its good-until.
    #[error("the cell is out of its time")]
    OutOfTime,
}
