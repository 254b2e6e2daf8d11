//! The calls of the SPEC (§11) with their types.

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

use hyper::http::Method;
use porchlight_proto::api::{DeskBeat, DeskReply, LanePage, Notice};
use porchlight_proto::card::RelayAddress;
use porchlight_proto::limits::{
    BLOB_LEN, BULLETIN_LEN, DESK_REPLY_LEN, DOWN_CELL_LEN, LANE_PAGE_LEN, LANE_PAGE_MAX_CELLS, NOTICE_LEN, ROSTER_LEN,
    UP_CELL_LEN, UP_POST_LEN, UP_REPLY_LEN,
};
use porchlight_proto::line::Gate;
use porchlight_proto::time::SLOTS_PER_DAY;
use porchlight_proto::token::Request;
use sha2::{Digest, Sha256};

use super::address::{Address, AddressError};
use super::dial::Dial;
use super::failure::Failure;
use super::link::{Call, Expect, Link, Patience};
use super::pin::Pin;

/// Bytes in one day of the slow track.
#[expect(clippy::cast_possible_truncation, reason = "48 slots of 1,024 bytes")]
pub const SLOW_DAY_LEN: usize = SLOTS_PER_DAY as usize * DOWN_CELL_LEN;

/// Signs a device token over the relay's public key and the request; `None` if this device cannot.
pub trait Authorize: FnOnce(&[u8; 32], &Request<'_>) -> Option<String> {}
impl<F: FnOnce(&[u8; 32], &Request<'_>) -> Option<String>> Authorize for F {}

/// One relay of a line, under the gates its card names.
pub struct Relay {
    number: u8,
    link: Link,
    gates: Vec<Gate>,
    /// Which gate the relay last answered at.
    gate: AtomicUsize,
}

/// A relay's notice, under the number the card gives that relay.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The notice. Its `relay_no` is the card's, whatever the relay says: desk and callers derive tags from one number only if they take it from one place.
    pub notice: Notice,
    /// The number the relay calls itself. Another than the card's is a mistake in its configuration, which misleads the web page.
    pub calls_itself: u8,
}

/// Why a card's relay cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// Its address is none.
    #[error("the card names a relay whose address is none: {0}")]
    Address(#[from] AddressError),
    /// TLS cannot be set up on this machine.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl Relay {
    /// The relay a card names. Opens no connection yet.
    ///
    /// # Errors
    ///
    /// [`RelayError::Address`], [`RelayError::Tls`].
    pub fn new(card: &RelayAddress, dial: Dial) -> Result<Self, RelayError> {
        let address = Address::parse(&card.url)?;
        let link = Link::new(address, card.pin.map(Pin::from_bytes), dial)?;
        Ok(Self { number: card.number, link, gates: card.gates.clone(), gate: AtomicUsize::new(0) })
    }

    /// Its number on the card.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.number
    }

    /// As [`Link::ended`].
    pub fn ended(&self) -> impl Future<Output = ()> + use<> {
        self.link.ended()
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &Address {
        self.link.address()
    }

    /// The notice. A gate that answers like a stranger's site has been retired: then the next gate of the card is asked, each once.
    ///
    /// # Errors
    ///
    /// The [`Failure`] of the last gate asked.
    pub async fn notice(&self, patience: Patience) -> Result<Heard, Failure> {
        let mut outcome = self.notice_at_gate(patience).await;
        for _ in 1..self.gates.len() {
            if !matches!(outcome, Err(Failure::NotThisLine)) {
                break;
            }
            self.gate.fetch_add(1, Ordering::Relaxed);
            outcome = self.notice_at_gate(patience).await;
        }
        outcome
    }

    async fn notice_at_gate(&self, patience: Patience) -> Result<Heard, Failure> {
        let bytes = self.link.call(self.get("/v1/notice", Expect::Exactly(NOTICE_LEN), patience)).await?;
        let mut notice = Notice::parse(&bytes).map_err(|_| Failure::NotThisLine)?;
        let calls_itself = core::mem::replace(&mut notice.relay_no, self.number);
        Ok(Heard { notice, calls_itself })
    }

    /// Posts one cell with its stamp, and gives the reply's 16 bytes.
    ///
    /// # Errors
    ///
    /// Any [`Failure`]. The relay may have stored the cell all the same.
    pub async fn up(&self, post: &[u8; UP_POST_LEN], patience: Patience) -> Result<Vec<u8>, Failure> {
        let call = Call {
            method: Method::POST,
            body: Some(post.to_vec()),
            ..self.get("/v1/up", Expect::Exactly(UP_REPLY_LEN), patience)
        };
        self.link.call(call).await
    }

    /// The fast slots of this beat and the one before, oldest first: `2 × fast_slots` cells.
    ///
    /// # Errors
    ///
    /// Any [`Failure`].
    pub async fn fast(&self, fast_slots: u8, patience: Patience) -> Result<Vec<u8>, Failure> {
        let len = 2 * usize::from(fast_slots) * DOWN_CELL_LEN;
        self.link.call(self.get("/v1/down/fast", Expect::Exactly(len), patience)).await
    }

    /// One day of the slow track: [`SLOW_DAY_LEN`] bytes, zero where a slot has not begun.
    ///
    /// # Errors
    ///
    /// Any [`Failure`]; [`Failure::NotThisLine`] for a day that the relay no longer has, too.
    pub async fn slow(&self, day: u32, patience: Patience) -> Result<Vec<u8>, Failure> {
        let path = format!("/v1/down/slow/{day}");
        self.link.call(self.get(&path, Expect::Exactly(SLOW_DAY_LEN), patience)).await
    }

    /// Posts one desk bundle.
    ///
    /// # Errors
    ///
    /// Any [`Failure`]; [`Failure::NotThisLine`] for a refused token, too. The relay may have taken the bundle all the same.
    pub async fn desk_beat(&self, beat: &DeskBeat, token: impl Authorize, patience: Patience) -> Result<DeskReply, Failure> {
        self.put(Method::POST, "/v1/desk/beat", beat.to_bytes().to_vec(), token, patience).await
    }

    /// Hands a roster in.
    ///
    /// # Errors
    ///
    /// As for [`Relay::desk_beat`].
    pub async fn put_roster(
        &self,
        roster: &[u8; ROSTER_LEN],
        token: impl Authorize,
        patience: Patience,
    ) -> Result<DeskReply, Failure> {
        self.put(Method::PUT, "/v1/desk/roster", roster.to_vec(), token, patience).await
    }

    /// Hands a bulletin in.
    ///
    /// # Errors
    ///
    /// As for [`Relay::desk_beat`].
    pub async fn put_bulletin(
        &self,
        bulletin: &[u8; BULLETIN_LEN],
        token: impl Authorize,
        patience: Patience,
    ) -> Result<DeskReply, Failure> {
        self.put(Method::PUT, "/v1/desk/bulletin", bulletin.to_vec(), token, patience).await
    }

    /// Leaves one blob for the line's other devices.
    ///
    /// # Errors
    ///
    /// As for [`Relay::desk_beat`].
    pub async fn put_blob(
        &self,
        name: &[u8; 16],
        blob: &[u8; BLOB_LEN],
        token: impl Authorize,
        patience: Patience,
    ) -> Result<DeskReply, Failure> {
        self.put(Method::PUT, &blob_path(name), blob.to_vec(), token, patience).await
    }

    /// Fetches a blob that another device left: [`BLOB_LEN`] bytes.
    ///
    /// # Errors
    ///
    /// Any [`Failure`]; [`Failure::NotThisLine`] for one that the relay does not have, and for a refused token, too.
    pub async fn blob(&self, name: &[u8; 16], token: impl Authorize, patience: Patience) -> Result<Vec<u8>, Failure> {
        let path = blob_path(name);
        let call = self.get(&path, Expect::Exactly(BLOB_LEN), patience);
        self.authorized(call, &path, token).await
    }

    async fn put(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        token: impl Authorize,
        patience: Patience,
    ) -> Result<DeskReply, Failure> {
        let call = Call { method, body: Some(body), ..self.get(path, Expect::Exactly(DESK_REPLY_LEN), patience) };
        let bytes = self.authorized(call, path, token).await?;
        DeskReply::parse(&bytes).map_err(|_| Failure::NotThisLine)
    }

    /// The up lane after a position; the relay holds the answer back until there is a cell, or `wait` seconds (at most 30) have passed.
    ///
    /// # Errors
    ///
    /// Any [`Failure`]; [`Failure::NotThisLine`] for a refused token, too.
    pub async fn desk_up(
        &self,
        after: (u64, u64),
        wait: u64,
        token: impl Authorize,
        patience: Patience,
    ) -> Result<LanePage, Failure> {
        let (life, n) = after;
        let path = format!("/v1/desk/up?after={life:016x}-{n}&wait={wait}");
        let most = LANE_PAGE_LEN + LANE_PAGE_MAX_CELLS * UP_CELL_LEN;
        let call = self.get(&path, Expect::AtMost(most), patience.and(Duration::from_secs(wait)));
        let bytes = self.authorized(call, &path, token).await?;
        LanePage::parse(&bytes).map_err(|_| Failure::NotThisLine)
    }

    async fn authorized(&self, call: Call, path: &str, token: impl Authorize) -> Result<Vec<u8>, Failure> {
        let body_hash = Sha256::digest(call.body.as_deref().unwrap_or_default()).into();
        let method = call.method.clone();
        let sign = |seen: &Pin| token(seen.as_bytes(), &Request { method: method.as_str(), path, body_hash });
        self.link.call_signed(call, sign).await
    }

    fn get(&self, path: &str, expect: Expect, patience: Patience) -> Call {
        let at = self.gate.load(Ordering::Relaxed).checked_rem(self.gates.len()).unwrap_or(0);
        let gate = self.gates.get(at).map_or("", Gate::as_str);
        Call { method: Method::GET, path: format!("/{gate}{path}"), body: None, expect, patience, token: None }
    }
}

fn blob_path(name: &[u8; 16]) -> String {
    format!("/v1/desk/blob/{}", data_encoding::HEXLOWER.encode(name))
}
