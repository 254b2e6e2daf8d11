//! Ctrl-C and SIGTERM: the person, or the system, wants an end.

use core::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::sentences;
use crate::trouble::Trouble;

/// Listens for the wish to end. From its making on, neither signal kills the program: whoever holds it must ask.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    pub(crate) fn listen() -> Result<Self, Trouble> {
        let listen = |kind| signal(kind).map_err(|error| sentences::no_runtime(&error));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Ready when an end is wished for.
    pub(crate) async fn wished(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// The work's outcome, or `None` if an end was wished for first; the work is dropped then.
    pub(crate) async fn unless<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.wished() => None,
            outcome = work => Some(outcome),
        }
    }
}
