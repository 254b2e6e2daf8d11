//! The room that knows HTTP: accepts, holds everyone to deadlines, tells calls from everything else, and answers everything else as an
//! ordinary site would.
//!
//! ```text
//!  accept ─▶ handshake ─▶ connection (deadlines) ─▶ request: body read whole ─▶ a call at a living gate? ─▶ gate, lane ─▶ reply
//!                                                                                     └─ no ─▶ decoy
//! ```

pub mod admin;
pub mod call;
pub mod connection;
pub mod decoy;
pub mod desk;
pub mod listen;
pub mod page;
pub mod public;
mod pulse;
pub mod reply;
pub mod tls;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::any;
use tokio::sync::watch;

use self::call::Call;
use self::decoy::Decoy;
use crate::chance::Chance;
use crate::clock::SlotClock;
use crate::counters::Counters;
use crate::gate::LineGate;
use crate::gate::calls::Under;
use crate::gate::sources::Source;
use crate::lane::Line;
use crate::stack;

/// The longest body that any call sends. More is not read.
pub const BODY_MAX: usize = porchlight_proto::limits::BLOB_LEN;

/// A line and its gatekeeper.
pub struct Served {
    /// What is held.
    pub line: Line,
    /// Who may.
    pub gate: LineGate,
}

/// Everything a request can reach.
pub struct Door {
    gates: HashMap<String, Arc<Served>>,
    decoy: Decoy,
    /// The hash of the key that clients see, which device tokens are bound to. Without it no token fits.
    spki: Option<[u8; 32]>,
    clock: Arc<SlotClock>,
    chance: Arc<dyn Chance>,
    counters: Arc<Counters>,
    stopping: watch::Receiver<bool>,
}

/// What a [`Door`] is made of.
pub struct DoorParts {
    /// The lines.
    pub lines: Vec<Arc<Served>>,
    /// What strangers see.
    pub decoy: Decoy,
    /// The hash of the key that clients see.
    pub spki: Option<[u8; 32]>,
    /// The time.
    pub clock: Arc<SlotClock>,
    /// Padding.
    pub chance: Arc<dyn Chance>,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// Turns true when the relay stops: long polls then end.
    pub stopping: watch::Receiver<bool>,
}

impl Door {
    /// Puts the door together.
    #[must_use]
    pub fn new(parts: DoorParts) -> Arc<Self> {
        let gates_of = |served: Arc<Served>| {
            let gates: Vec<String> = served.line.settings.gates.iter().map(|gate| gate.as_str().to_owned()).collect();
            gates.into_iter().map(move |gate| (gate, Arc::clone(&served)))
        };
        let DoorParts { lines, decoy, spki, clock, chance, counters, stopping } = parts;
        Arc::new(Self { gates: lines.into_iter().flat_map(gates_of).collect(), decoy, spki, clock, chance, counters, stopping })
    }

    /// The router that every connection serves.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new().fallback(any(knock)).with_state(Arc::clone(self))
    }

    fn decoy(&self, parts: &Parts) -> Response {
        self.counters.decoy_answers.add(1);
        self.decoy.answer(&parts.method, parts.uri.path())
    }
}

/// A request with its body read whole.
pub struct Knock {
    /// Method, path and headers.
    pub parts: Parts,
    /// The body.
    pub body: Bytes,
    /// Where it came from.
    pub source: Source,
    /// Turns true if it came with a token that did not fit.
    pub was_in_vain: AtomicBool,
}

async fn knock(State(door): State<Arc<Door>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    // The connection put a whole body here, so this neither waits nor fails.
    let Ok(body) = axum::body::to_bytes(body, BODY_MAX).await else { return door.decoy(&parts) };
    let Some(&source) = parts.extensions.get::<Source>() else { return door.decoy(&parts) };
    let knock = Knock { parts, body, source, was_in_vain: AtomicBool::new(false) };
    match door.open(&knock).await {
        Some(reply) => reply,
        None if knock.was_in_vain.load(Ordering::Relaxed) => reply::in_vain(door.decoy(&knock.parts)),
        None => door.decoy(&knock.parts),
    }
}

impl Door {
    /// The reply to a call; nothing for whatever is not exactly a call at a living gate.
    async fn open(&self, knock: &Knock) -> Option<Response> {
        // The raw path, as it was sent: a gate written with escapes is not that gate.
        let path = knock.parts.uri.path().strip_prefix('/')?;
        let (gate, rest) = path.split_once('/').unwrap_or((path, ""));
        let served = Arc::clone(self.gates.get(gate)?);
        if let Some(reply) = page::open(&served, rest, knock) {
            return Some(reply);
        }
        let call = Call::parse(&knock.parts.method, rest.strip_prefix("v1/")?, knock.parts.uri.query())?;
        if knock.body.len() != call.body_len() {
            return None;
        }
        match call {
            Call::Notice => Some(public::notice(&served)),
            Call::Up => public::up(&served, knock).await,
            Call::Fast => Some(public::fast(&served)),
            Call::Slow(day) => public::slow(served, day).await,
            call => self.desk(served, &call, knock).await,
        }
    }
}

/// Does what may wait for the medium where waiting holds up nobody. `None` if it panicked. The call it belongs to is under way until it is done,
/// whoever hangs up meanwhile.
async fn off_thread<T: Send + 'static>(under: Option<Arc<Under>>, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    // Boxed, or what it takes along would lie where the thread took it over, above what is wiped: a blob's name was found there.
    let work = Box::new(move || {
        let _under = under;
        work()
    });
    tokio::task::spawn_blocking(move || stack::wiped(work)).await.ok()
}
