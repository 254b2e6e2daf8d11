//! How each relay stands, as far as this program has heard, and whose page it serves.

use porchlight_client::duty::DutyNews;
use porchlight_client::outbox::{Clock, SystemClock};
use porchlight_client::transport::Failure;
use serde_json::{Value, json};

use crate::published::{self, Found, Page};
use crate::shift::{Shift, now};

/// One relay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) state: &'static str,
    pub(crate) since: u64,
    /// When it showed older statements than before. Stays until a worker has said that she saw it, whatever comes after: a relay
    /// that has the line's statements again does not have the letters again that it lost with them.
    pub(crate) lost: Option<u64>,
    /// When it took the line's statements again after that.
    pub(crate) given_back: Option<u64>,
}

impl Standing {
    pub(crate) fn to_json(self, number: u8) -> Value {
        let Self { state, since, lost, given_back } = self;
        json!({"number": number, "state": state, "since": since, "lost": lost, "given_back": given_back})
    }
}

impl Shift {
    pub(crate) fn hear_of_relay(&mut self, news: &DutyNews) {
        // What was last heard of a relay that is gone from the card says nothing.
        if let Ok(there) = self.engine.view(|desk| desk.relays().iter().map(|relay| relay.number).collect::<Vec<_>>()) {
            self.relays.retain(|number, _| there.contains(number));
        }
        match news {
            DutyNews::CaughtUp(relay) | DutyNews::Posted(relay) => self.relay_stands(*relay, "well"),
            DutyNews::Trouble(relay, Failure::Untrusted) => self.relay_stands(*relay, "untrusted"),
            DutyNews::Trouble(relay, Failure::NotThisLine) => self.relay_stands(*relay, "refuses"),
            DutyNews::PacesDiffer(relay) => self.relay_stands(*relay, "differs"),
            DutyNews::Trouble(relay, _) => self.relay_stands(*relay, "unreachable"),
            DutyNews::RolledBack(relay) => {
                let known = self.standing(*relay, "well");
                (known.lost, known.given_back) = (Some(now().0), None);
            }
            DutyNews::Published(relay, _) => {
                if let Some(known) = self.relays.get_mut(relay).filter(|known| known.lost.is_some()) {
                    known.given_back = Some(now().0);
                }
            }
            _ => {}
        }
    }

    fn standing(&mut self, relay: u8, state: &'static str) -> &mut Standing {
        self.relays.entry(relay).or_insert(Standing { state, since: now().0, lost: None, given_back: None })
    }

    fn relay_stands(&mut self, relay: u8, state: &'static str) {
        let known = self.standing(relay, state);
        if known.state != state {
            (known.state, known.since) = (state, now().0);
        }
    }

    /// A worker has seen that a relay lost what it had.
    pub(crate) fn loss_seen(&mut self, relay: u8) -> Value {
        if let Some(known) = self.relays.get_mut(&relay) {
            (known.lost, known.given_back) = (None, None);
        }
        self.changed = true;
        json!({})
    }

    pub(crate) fn relays_told(&self) -> Vec<Value> {
        self.relays.iter().map(|(number, relay)| relay.to_json(*number)).collect()
    }

    pub(crate) fn reaches_no_relay(&self) -> bool {
        !self.relays.is_empty() && self.relays.values().all(|relay| relay.state != "well")
    }

    /// Has each relay's page looked at, away from the shift, when it is time.
    pub(crate) fn look_at_pages(&mut self) {
        let Some(dial) = self.engine.dial() else { return };
        let elapsed = SystemClock.elapsed();
        if !self.looking.is_empty() && self.looking.values().all(|due| elapsed < *due) {
            return;
        }
        let Ok(relays) = self.engine.view(|desk| desk.relays().to_vec()) else { return };
        for relay in relays {
            if self.looking.get(&relay.number).is_some_and(|due| elapsed < *due) {
                continue;
            }
            self.looking.insert(relay.number, elapsed + published::LOOK_EVERY);
            let (handle, dial) = (self.handle.clone(), dial.clone());
            tokio::spawn(async move {
                let page = published::look(&relay, &dial).await;
                handle.with(move |shift| shift.page_found(relay.number, page)).await
            });
        }
    }

    fn page_found(&mut self, relay: u8, page: Page) {
        if page == Page::Unknown {
            self.looking.insert(relay, SystemClock.elapsed() + published::LOOK_AGAIN);
        }
        self.pages.insert(relay, Found { relay, page, at: now().0 });
        self.changed = true;
    }
}
