//! A desk on duty: a device that hands in a bundle at each beat, with a slot on either track, and one that reads the lane to its end.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::binary::now;
use crate::floods::{Target, client_from, since};
use crate::support::*;
use axum::body::Bytes;
use axum::http::StatusCode;
use porchlight_proto::api::{DeskOutcome, DeskReply, Floor, LanePage, SlotOutcome};
use porchlight_proto::limits::{LANE_PAGE_MAX_CELLS, UP_CELL_LEN};
use porchlight_proto::time::{Timing, is_safeguarding};
use porchlight_relay::clock::{BootMillis, Clock, SystemClock};
use tokio::sync::oneshot;
use tokio::time::sleep;

/// A line's pace, for its configuration, at which there is a new slot on either track for each of [`beats`], however long they go on. What callers
/// and devices may send is as usual.
pub(crate) const PACE: &str = "beat_ms = 2000\nup_beat_ms = 10000\ndesk_beat_ms = 10000\nslow_s = 1\nslow_days = 2";

/// The same.
pub(crate) const QUICK: Timing = Timing { beat_ms: 2000, slow_s: 1, slow_days: 2, ..Timing::PRODUCTION };

/// Six times what a device does, and less than it may.
const EVERY: Duration = Duration::from_millis(1_700);

/// As a desk asks (`client/src/duty/station.rs`): so many seconds for a cell, and again so long after one came.
const POLL_S: u64 = 25;
const POLL_PAUSE: Duration = Duration::from_millis(250);

/// A connection is left before it is so old that the relay ends it.
const LEFT_AFTER: Duration = Duration::from_secs(300);

/// What a cell is known by: the first bytes of it, all of which are random here.
pub(crate) type Mark = [u8; 16];

/// The mark of a cell.
pub(crate) fn mark(cell: &[u8; UP_CELL_LEN]) -> Mark {
    *cell.first_chunk().unwrap()
}

/// The line's worker at an address of this machine's.
struct Post {
    target: Arc<Target>,
    from: Ipv4Addr,
    open: Option<(Client, BootMillis)>,
}

impl Post {
    fn new(target: &Arc<Target>, from: Ipv4Addr) -> Self {
        Self { target: Arc::clone(target), from, open: None }
    }

    /// What is answered; nothing if it is refused in whatever way.
    async fn call(&mut self, method: &str, call: &str, body: &[u8]) -> Option<Bytes> {
        let Target { address, spki, line, .. } = &*self.target;
        let (mut client, opened) = match self.open.take().filter(|(_, opened)| since(*opened) < LEFT_AFTER) {
            Some(open) => open,
            None => (client_from(self.from, *address, *spki).await?, SystemClock.boot()),
        };
        let path = format!("/v1/{call}");
        let token = line.token(&line.worker, spki, (method, &path), body, now());
        let reply = client.try_send(method, &format!("/{GATE}{path}"), Some(&token), body).await.ok()?;
        self.open = Some((client, opened));
        (reply.status == StatusCode::OK).then_some(reply.body)
    }
}

/// How the bundles of a device fared.
#[derive(Default)]
pub(crate) struct Beats {
    /// Milliseconds that each took, the shortest first.
    pub(crate) took: Vec<u64>,
    /// Those that were not taken.
    pub(crate) refused: u64,
    /// Slots that were named and not written.
    pub(crate) unwritten: u64,
}

impl Beats {
    fn count(&mut self, reply: Option<&DeskReply>) {
        self.refused += u64::from(reply.is_none_or(|reply| reply.outcome != DeskOutcome::Done));
        let slots = reply.iter().flat_map(|reply| [reply.fast, reply.slow]).filter(|slot| *slot == SlotOutcome::Written);
        self.unwritten += 2 - slots.count() as u64;
    }

    /// How long so many of a hundred took at most.
    pub(crate) fn part(&self, percent: usize) -> u64 {
        self.took[((self.took.len() - 1) * percent).div_ceil(100)]
    }
}

/// A device that hands in bundles, each with a new slot on either track, until told to stop.
pub(crate) async fn beats(target: Arc<Target>, from: Ipv4Addr, timing: Timing, stop: Arc<AtomicBool>) -> Beats {
    let (mut post, mut beats, mut fast, mut slow) = (Post::new(&target, from), Beats::default(), 0, 0);
    while !stop.load(Ordering::Relaxed) {
        // So far ahead that it has not begun when a slow relay looks.
        let then = SystemClock.wall().plus(10_000);
        fast = timing.fast_slot(timing.beat(then) + 1, 0).max(fast + 1);
        slow = (timing.slow_slot(then) + 1).max(slow + 1);
        slow += u64::from(is_safeguarding(slow));
        let beat = target.line.beat(Some(fast), Some(slow), Floor::default());
        let began = SystemClock.boot();
        let reply = post.call("POST", "desk/beat", beat.to_bytes().as_slice()).await;
        beats.took.push(SystemClock.boot().since(began));
        let reply = reply.and_then(|bytes| DeskReply::parse(&bytes).ok());
        beats.count(reply.as_ref());
        if reply.is_some_and(|reply| reply.outcome == DeskOutcome::Done) {
            beat.team_cells.iter().for_each(|cell| target.note(cell));
        }
        sleep(EVERY).await;
    }
    beats.took.sort_unstable();
    beats
}

/// A device that reads the lane.
pub(crate) struct Reader {
    post: Post,
    life: u64,
    after: u64,
    /// The cells that it has read.
    pub(crate) cells: HashSet<Mark>,
    /// Calls that were not answered.
    pub(crate) refused: u64,
}

impl Reader {
    /// One that has read nothing.
    pub(crate) fn new(target: &Arc<Target>, from: Ipv4Addr) -> Self {
        Self { post: Post::new(target, from), life: 0, after: 0, cells: HashSet::new(), refused: 0 }
    }

    /// How many cells came.
    async fn page(&mut self, wait: u64) -> Option<usize> {
        let call = format!("desk/up?after={:016x}-{}&wait={wait}", self.life, self.after);
        let bytes = self.post.call("GET", &call, &[]).await;
        let Some(page) = bytes.and_then(|bytes| LanePage::parse(&bytes).ok()) else {
            self.refused += 1;
            return None;
        };
        assert_eq!(page.first, self.after + 1, "no position is left out, and none comes twice");
        (self.life, self.after) = (page.life, page.last());
        for cell in &page.cells {
            assert!(self.cells.insert(mark(cell)), "a cell came twice");
        }
        Some(page.cells.len())
    }

    /// Reads as a desk on watch does, until that is over.
    pub(crate) async fn watch(mut self, mut over: oneshot::Receiver<()>) -> Self {
        loop {
            let count = tokio::select! {
                _ = &mut over => return self,
                count = self.page(POLL_S) => count,
            };
            if count != Some(LANE_PAGE_MAX_CELLS) {
                sleep(POLL_PAUSE).await;
            }
        }
    }

    /// Reads all that is there.
    pub(crate) async fn read_on(&mut self) {
        while self.page(0).await != Some(0) {}
    }

    /// How many cells it has not read that were acknowledged, of how many.
    pub(crate) fn missing(&self) -> (usize, usize) {
        let acknowledged = self.post.target.acknowledged.lock().unwrap();
        (acknowledged.iter().filter(|mark| !self.cells.contains(*mark)).count(), acknowledged.len())
    }
}
