//! When bytes last came on a connection: what tells a slow relay from one that is gone.

#![expect(clippy::disallowed_methods, reason = "how long a connection is silent is real time, whatever a line's clock says")]

use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep, sleep_until};

use super::link::Open;

/// What is waited before a connection is given up as silent.
const LAST_LOOK: Duration = Duration::from_millis(50);

/// When something was last heard on one connection. Clones are of the same connection.
#[derive(Clone)]
pub(super) struct Pulse(Arc<Mutex<Instant>>);

impl Pulse {
    /// Of a connection that was just made.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Whether both are of one connection.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Ends when nothing has come for so long, counted from now at the earliest.
    pub(super) async fn silence(&self, patience: Duration) {
        let asked = Instant::now();
        loop {
            let heard = self.heard_at();
            let until = heard.max(asked) + patience;
            if until > Instant::now() {
                sleep_until(until).await;
                continue;
            }
            // Where the machine itself stood still, what came meanwhile has not been read yet.
            sleep(LAST_LOOK).await;
            if self.heard_at() == heard {
                return;
            }
        }
    }

    fn heard_at(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// A stream that tells a [`Pulse`] when bytes come.
pub(super) struct Felt<S> {
    stream: S,
    pulse: Pulse,
    /// Dropped after the stream, which is closed by then.
    _open: Open,
}

impl<S> Felt<S> {
    pub(super) fn new(stream: S, pulse: Pulse, open: Open) -> Self {
        Self { stream, pulse, _open: open }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Felt<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = bytes.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, bytes);
        if bytes.filled().len() > before {
            self.pulse.heard();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Felt<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
