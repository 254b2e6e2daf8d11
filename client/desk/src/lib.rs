//! The board: what a line's workers see of it and do with it, served to this machine alone.
//!
//! ```text
//!  browser ══ 127.0.0.1 ══▶ door ─▶ session ─┬─▶ shift (one at a time) ─▶ engine ─┬─ Duty ─▶ vault, relays
//!     ▲                                      │     ├─ later     answers that can still be undone
//!     │                                      │     ├─ relays    how each relay stands; bulletin: the public notice
//!     │                                      │     ├─ handing   which relays have what was signed
//!     │                                      │     ├─ farewell  burning: the keys first, then the last word
//!     │                                      │     ├─ weigh     what a text costs, and what to ask about it
//!     └───────────── events ◀────────────────┘     ├─ view      the screens as JSON
//!                                                  └─ published is the relays' page the one built in?
//! ```
//!
//! - [`serve`] is the whole of it: it listens on a random port of 127.0.0.1, announces a link that works once, and ends when it is
//!   told to, or when the vault is burned.
//! - A board that is locked goes on telling how many wait, and nothing else; and a page sends the passphrase to nobody but the program
//!   that let it in.
//! - Everything a browser gets is in this program. Nothing comes from anywhere else, nothing is stored by the browser but one random
//!   word that opens nothing without the passphrase, and nothing is written to this machine's disk but what the vault seals.
//! - [`Practice`] stands in for a vault: invented callers, a colleague who is a program, no network.

mod asset;
mod bulletin;
mod door;
mod engine;
mod farewell;
mod handing;
mod later;
mod order;
mod practice;
mod proof;
mod published;
mod relays;
mod session;
mod shift;
mod view;
mod weigh;

pub use engine::{AtVault, Opening};
pub use farewell::Ending;
pub use practice::{Practice, PracticeError};
pub use weigh::names_a_meeting;

use core::future::Future;
use core::time::Duration;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use porchlight_client::duty::DutyError;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::door::Doorkeeper;
use crate::session::Sessions;
use crate::shift::{Handle, Shift};

/// Without a sign of the worker for so long, the board locks itself.
pub const LOCK_AFTER: Duration = Duration::from_secs(15 * 60);

/// How long answers that are on their way to a page may take when the board ends.
const LAST_ANSWERS: Duration = Duration::from_secs(1);
/// Jobs that may wait for the shift.
const JOBS_MAX: usize = 64;

/// Why the board cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// This machine gives no port of its own address.
    #[error("no port of 127.0.0.1 can be listened on: {0}")]
    Listen(#[from] io::Error),
    /// The vault, or the line's card.
    #[error(transparent)]
    Duty(#[from] DutyError),
}

/// Serves the board until `stop` is ready, or the worker burns the vault. `announce` is told the link, which works once.
///
/// # Errors
///
/// [`ServeError`], before anything was announced.
pub async fn serve(
    opening: Opening,
    lock_after: Duration,
    mut rng: ChaCha20Rng,
    announce: impl FnOnce(&str),
    stop: impl Future<Output = ()>,
) -> Result<Ending, ServeError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    let sessions = Sessions::new(lock_after, ChaCha20Rng::from_rng(&mut rng));
    let link = format!("http://127.0.0.1:{port}/#{}", sessions.launch_word());
    let (jobs, waiting) = mpsc::channel(JOBS_MAX);
    let handle = Handle::new(jobs);
    let mut shift = Shift::begin(opening, handle.clone(), rng)?;
    shift.make_ready();
    let keeper = Arc::new(Doorkeeper::new(port, sessions, handle, shift.news(), shift.key()));
    let (end, ended) = oneshot::channel::<()>();
    let router = door::router(Arc::clone(&keeper));
    let mut served = tokio::spawn(
        axum::serve(listener, router)
            .with_graceful_shutdown(async {
                let _ending = ended.await;
            })
            .into_future(),
    );
    announce(&link);
    let ending = shift.run(waiting, &keeper, stop).await;
    // Whoever asked how it ended is told.
    drop(end);
    if tokio::time::timeout(LAST_ANSWERS, &mut served).await.is_err() {
        served.abort();
    }
    Ok(ending)
}
