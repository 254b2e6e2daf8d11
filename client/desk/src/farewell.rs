//! The worst day: the vault's keys are destroyed, and then, from memory, the team is told that this device leaves.
//!
//! In that order, because whoever presses it may have seconds: nothing that the network does, or does not do, keeps the keys. The
//! last word is the device's own revocation; it is sent for so long at most, and what came of it is told.

use core::time::Duration;

use porchlight_client::outbox::{Clock, SystemClock};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::order::Refused;
use crate::shift::{Handle, Shift, now};

/// How long a goodbye is tried.
const GOODBYE: Duration = Duration::from_secs(15);
/// How long a page has to ask how it ended.
const ASKED_WITHIN: Duration = Duration::from_secs(10);

/// How the board ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was told to.
    Stopped {
        /// Answers for which Send was pressed, and which the vault did not take: they are lost.
        unsent: usize,
    },
    /// The worker burned the vault: its keys are destroyed.
    Burned {
        /// Whether a relay took the goodbye; none if there was nobody to tell.
        told: Option<bool>,
    },
    /// The vault was to be burned, and something of it could not be destroyed.
    NotBurned {
        /// The file, and why.
        what: String,
        /// As of [`Ending::Burned`].
        told: Option<bool>,
    },
}

impl Ending {
    const fn told(&self) -> Option<bool> {
        match self {
            Self::Stopped { .. } => None,
            Self::Burned { told } | Self::NotBurned { told, .. } => *told,
        }
    }
}

/// A vault that was burned, and a last word on its way.
pub(crate) struct Farewell {
    begun: Duration,
    /// What could not be destroyed.
    what: Option<String>,
    /// Whether there is nobody to tell.
    alone: bool,
    asking: Vec<oneshot::Sender<Value>>,
}

impl Handle {
    /// Waits until the last word was taken, or its time is over.
    pub(crate) async fn ending(&self) -> Option<Result<Value, Refused>> {
        let (tell, told) = oneshot::channel();
        let asked = self.with(move |shift| shift.farewell.as_mut().map(|farewell| farewell.asking.push(tell)).is_some());
        if !asked.await? {
            return Some(Err(Refused::code("not_possible")));
        }
        told.await.ok().map(Ok)
    }
}

impl Shift {
    /// Destroys the vault, then begins the goodbye. Says what could not be destroyed.
    pub(crate) fn burn(&mut self) -> Value {
        if self.farewell.is_none() {
            let what = self.engine.burn().err().map(|error| error.to_string());
            // From here on everything is in memory: what was pressed Send for goes before the last word.
            self.write_all();
            let alone = self.engine.act(|desk, rng| {
                desk.leave(now(), rng)?;
                Ok(!desk.untold(now()))
            });
            // A desk that cannot say it has told nobody.
            let alone = alone.unwrap_or(false);
            self.drafts.clear();
            self.scraps.clear();
            self.rows.clear();
            self.farewell = Some(Farewell { begun: SystemClock.elapsed(), what, alone, asking: Vec::new() });
        }
        json!({"what": self.farewell.as_ref().and_then(|farewell| farewell.what.clone())})
    }

    /// How it ended, once it has: somebody was told, or time is over.
    pub(crate) fn ended(&mut self) -> Option<Ending> {
        let untold = self.engine.view(|desk| desk.untold(now())).unwrap_or(true);
        let farewell = self.farewell.take_if(|farewell| farewell.is_over(untold))?;
        Some(farewell.end(!untold))
    }

    /// How it ended, if it ends now.
    pub(crate) fn cut_short(&mut self) -> Ending {
        let untold = self.engine.view(|desk| desk.untold(now())).unwrap_or(true);
        let unsent = self.later.len();
        self.farewell.take().map_or(Ending::Stopped { unsent }, |farewell| farewell.end(!untold))
    }
}

impl Farewell {
    fn is_over(&self, untold: bool) -> bool {
        let gone = SystemClock.elapsed().saturating_sub(self.begun);
        gone >= GOODBYE || !untold && (!self.asking.is_empty() || gone >= ASKED_WITHIN)
    }

    fn end(self, told: bool) -> Ending {
        let told = (!self.alone).then_some(told);
        let ending = match self.what {
            None => Ending::Burned { told },
            Some(what) => Ending::NotBurned { what, told },
        };
        for ask in self.asking {
            let _gone = ask.send(json!({"told": ending.told()}));
        }
        ending
    }
}
