//! What the shift stands on: a vault on duty, or practice.

use core::future::Future;
use core::time::Duration;
use std::path::PathBuf;

use porchlight_client::desk::{Desk, DeskError, Office, OfficeError};
use porchlight_client::duty::{Duty, DutyError, DutyNews, Posting, Term};
use porchlight_client::outbox::SystemClock;
use porchlight_client::transport::{Dial, Failure};
use porchlight_proto::api::DeskReply;
use porchlight_proto::limits::BULLETIN_LEN;
use rand_chacha::ChaCha20Rng;

use crate::door::Key;
use crate::practice::Practice;

/// What the board is opened on.
pub enum Opening {
    /// A worker's vault.
    Vault(Box<AtVault>),
    /// Invented callers.
    Practice(Box<Practice>),
}

/// A vault, opened, and how it reaches its relays.
pub struct AtVault {
    /// The desk's directory.
    pub dir: PathBuf,
    /// The office in it.
    pub office: Office,
    /// How relays are dialled.
    pub dial: Dial,
    /// The line's web doors, each with `https://`.
    pub doors: Vec<String>,
    /// Whether another process of this directory posts bundles.
    pub posting: Posting,
    /// Tries to take the right to post, once the other process has ended.
    pub take_right: Box<dyn FnMut() -> bool + Send>,
}

/// A vault on duty, or practice.
pub(crate) enum Engine {
    Duty(Box<OnDuty>),
    Practice(Box<Practice>),
}

/// A vault on duty.
pub(crate) struct OnDuty {
    duty: Duty<SystemClock>,
    dir: PathBuf,
    dial: Dial,
    doors: Vec<String>,
    posting: Posting,
    take_right: Box<dyn FnMut() -> bool + Send>,
}

impl Engine {
    pub(crate) fn begin(opening: Opening, rng: ChaCha20Rng) -> Result<Self, DutyError> {
        match opening {
            Opening::Practice(practice) => Ok(Self::Practice(practice)),
            Opening::Vault(vault) => {
                let AtVault { dir, office, dial, doors, posting, take_right } = *vault;
                let duty = Duty::begin(office, &dial, Term::Watch, posting, SystemClock, rng)?;
                Ok(Self::Duty(Box::new(OnDuty { duty, dir, dial, doors, posting, take_right })))
            }
        }
    }

    pub(crate) fn key(&self) -> Key {
        match self {
            Self::Duty(on) => Key::Vault(on.dir.clone()),
            Self::Practice(_) => Key::None,
        }
    }

    pub(crate) fn doors(&self) -> &[String] {
        match self {
            Self::Duty(on) => &on.doors,
            Self::Practice(_) => &[],
        }
    }

    pub(crate) const fn is_practice(&self) -> bool {
        matches!(self, Self::Practice(_))
    }

    /// Whether another process of this directory does the sending.
    pub(crate) fn sends_elsewhere(&self) -> bool {
        matches!(self, Self::Duty(on) if on.posting == Posting::Elsewhere)
    }

    /// How relays are dialled; none in practice.
    pub(crate) fn dial(&self) -> Option<Dial> {
        match self {
            Self::Duty(on) => Some(on.dial.clone()),
            Self::Practice(_) => None,
        }
    }

    pub(crate) fn view<T>(&mut self, see: impl FnOnce(&Desk) -> T) -> Result<T, OfficeError> {
        match self {
            Self::Duty(on) => on.duty.view(see),
            Self::Practice(practice) => practice.view(see),
        }
    }

    pub(crate) fn act<T>(
        &mut self,
        change: impl FnOnce(&mut Desk, &mut ChaCha20Rng) -> Result<T, DeskError>,
    ) -> Result<T, DeskError> {
        match self {
            Self::Duty(on) => on.duty.act(change),
            Self::Practice(practice) => practice.act(change),
        }
    }

    /// The next thing that happens; nothing at `until`. May be dropped while it waits.
    pub(crate) async fn next(&mut self, until: Duration) -> Option<DutyNews> {
        match self {
            Self::Duty(on) => on.duty.next(until).await,
            Self::Practice(practice) => practice.next(until).await,
        }
    }

    /// Takes up sending, if the process that did it has ended.
    pub(crate) fn tend(&mut self) {
        let Self::Duty(on) = self else { return };
        if on.posting == Posting::Elsewhere && (on.take_right)() {
            on.posting = Posting::Here;
            on.duty.post_from_now_on();
        }
    }

    /// How many relays have what this device signed, and how many there are; practice has none.
    pub(crate) fn handed_in(&self) -> (usize, usize) {
        match self {
            Self::Duty(on) => (on.duty.handed_in(), on.duty.relay_count()),
            Self::Practice(_) => (0, 0),
        }
    }

    /// Hands a bulletin to every relay.
    pub(crate) fn raise(
        &mut self,
        bulletin: [u8; BULLETIN_LEN],
    ) -> impl Future<Output = Vec<(u8, Result<DeskReply, Failure>)>> + Send + use<> {
        let errand = match self {
            Self::Duty(on) => Some(on.duty.raise(bulletin, None)),
            Self::Practice(_) => None,
        };
        async move {
            match errand {
                Some(errand) => errand.await,
                None => Vec::new(),
            }
        }
    }

    /// Destroys the vault, its keys first, and goes on from memory. Practice has none.
    pub(crate) fn burn(&mut self) -> Result<(), OfficeError> {
        match self {
            Self::Duty(on) => on.duty.burn(),
            Self::Practice(_) => Ok(()),
        }
    }
}
