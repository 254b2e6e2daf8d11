//! Whether each relay serves the callers' page that is built into this program.
//!
//! A relay that lies can serve this device the right page and somebody else another: what is found here is worth that much, and the
//! documents say so. What it does find is a relay that was broken into, is out of date, or serves everybody something else.

use core::time::Duration;

use axum::http::Method;
use porchlight_client::transport::{Address, Call, Dial, Expect, Failure, Link, Patience, Pin};
use porchlight_proto::card::RelayAddress;
use serde_json::{Value, json};

/// How often each relay's page is looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// How soon again after a relay could not be reached.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Bytes of one part at the most.
const PART_MAX: usize = 1 << 20;

/// How one relay's page compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    /// Every part is the one built in.
    AsPublished,
    /// Some part is another.
    Not,
    /// It could not be fetched.
    Unknown,
    /// This program was built without the page.
    NotBuiltIn,
}

impl Page {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::AsPublished => "as_published",
            Self::Not => "not",
            Self::Unknown => "unknown",
            Self::NotBuiltIn => "not_built_in",
        }
    }
}

/// What was found at a relay, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) relay: u8,
    pub(crate) page: Page,
    pub(crate) at: u64,
}

impl Found {
    pub(crate) fn to_json(self) -> Value {
        json!({"relay": self.relay, "page": self.page.name(), "at": self.at})
    }
}

/// Fetches a relay's page, part by part, and compares. One other page at any gate counts.
pub(crate) async fn look(relay: &RelayAddress, dial: &Dial) -> Page {
    if !porchlight_web::is_built() {
        return Page::NotBuiltIn;
    }
    let link =
        Address::parse(&relay.url).ok().and_then(|address| Link::new(address, relay.pin.map(Pin::from_bytes), dial.clone()).ok());
    let Some(link) = link else { return Page::Unknown };
    let mut found = Page::Unknown;
    for gate in &relay.gates {
        match at_gate(&link, gate.as_str()).await {
            Ok(true) => found = Page::AsPublished,
            Ok(false) => return Page::Not,
            // A gate that was retired answers like a stranger's site; the card may still name it.
            Err(Failure::NotThisLine) => {}
            Err(_) => return Page::Unknown,
        }
    }
    found
}

/// Whether every part there is the one built in. The document comes first: a gate that has it and lacks another part serves another page.
async fn at_gate(link: &Link, gate: &str) -> Result<bool, Failure> {
    let document = porchlight_web::part("document").ok_or(Failure::NotThisLine)?;
    if fetch(link, format!("/{gate}")).await? != document.plain {
        return Ok(false);
    }
    for part in porchlight_web::PARTS.iter().filter(|part| part.name != document.name) {
        match fetch(link, format!("/{gate}/p/{}", part.name)).await {
            Ok(bytes) if bytes == part.plain => {}
            Ok(_) | Err(Failure::NotThisLine) => return Ok(false),
            Err(failure) => return Err(failure),
        }
    }
    Ok(true)
}

async fn fetch(link: &Link, path: String) -> Result<Vec<u8>, Failure> {
    let patience = Patience::of_beat(Duration::ZERO);
    let call = Call { method: Method::GET, path, body: None, expect: Expect::AtMost(PART_MAX), patience, token: None };
    link.call(call).await
}
