//! The calls of the line's devices. Without a token that fits, none of them exists.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::header;
use axum::response::Response;
use porchlight_proto::api::{DeskBeat, DeskOutcome, DeskReply, LanePage, SlotOutcome};
use porchlight_proto::cert::Role;
use porchlight_proto::kdf;
use porchlight_proto::limits::{BLOB_LEN, LANE_GROUP, UP_CELL_LEN};
use porchlight_proto::time::Millis;
use porchlight_proto::token::{Access, Request};
use tokio::time::sleep;

use super::call::Call;
use super::{Door, Knock, Served, off_thread, reply};
use crate::gate::calls::Under;
use crate::gate::quota::Whose;
use crate::gate::tokens;
use crate::lane::blobs::BlobName;
use crate::lane::board::BoardError;
use crate::lane::up::Page;
use crate::lane::{Hand, Line, SlotWrite, Writer};
use crate::stack;

impl Door {
    pub(super) async fn desk(&self, served: Arc<Served>, call: &Call, knock: &Knock) -> Option<Response> {
        let access = self.access(&served, knock)?;
        // What a lead signs gets through, whatever else a device has under way.
        let under = match call {
            Call::Roster | Call::Bulletin if access.role == Role::Lead => None,
            _ => match served.gate.calls.begin(access.device) {
                None => {
                    self.counters.requests_shed.add(1);
                    return None;
                }
                under => under,
            },
        };
        self.answered(served, call, knock, (access, under)).await.map(reply::to_desk)
    }

    async fn answered(
        &self,
        served: Arc<Served>,
        call: &Call,
        knock: &Knock,
        (access, under): (Access, Option<Arc<Under>>),
    ) -> Option<Response> {
        match *call {
            Call::Beat => beat(served, &access, knock, under).await,
            Call::LaneUp { life, after, wait } => self.lane_up((served, under), (life, after), Duration::from_secs(wait)).await,
            Call::Roster if access.role == Role::Lead => roster(served, knock).await,
            Call::Bulletin => bulletin(served, knock, under).await,
            Call::PutBlob(name) => put_blob(served, name, knock, under).await,
            Call::GetBlob(name) => {
                // One that could not be read now is answered as a page of the lane is then: whoever asks tries again.
                let bytes = off_thread(under, move || served.line.blobs.blob(name)).await??.ok()?;
                Some(reply::octets(bytes))
            }
            Call::Roster | Call::Notice | Call::Up | Call::Fast | Call::Slow(_) => None,
        }
    }

    fn access(&self, served: &Served, knock: &Knock) -> Option<Access> {
        let header = knock.parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let whole = knock.parts.uri.path_and_query()?.as_str();
        // From `/v1/` on: the gate is the one thing on the way that the token does not say.
        let path = whole.get(whole.get(1..)?.find('/')? + 1..)?;
        let request = Request { method: knock.parts.method.as_str(), path, body_hash: kdf::digest(&knock.body) };
        let (spki, gate, boot) = (self.spki.as_ref()?, &served.gate, self.clock.boot());
        // Who called is to be found where nonces are kept, for as long as they are, and nowhere else.
        let access = stack::wiped_of_signatures(|| tokens::check(header, &request, spki, &served.line, &gate.nonces, boot));
        knock.was_in_vain.store(access.is_none(), Ordering::Relaxed);
        access
    }

    /// GET `desk/up`: answers as soon as there is a cell, or with none after `wait`.
    async fn lane_up(
        &self,
        (served, under): (Arc<Served>, Option<Arc<Under>>),
        (life, after): (u64, u64),
        wait: Duration,
    ) -> Option<Response> {
        let (mut head, mut stopping) = (served.line.up.head(), self.stopping.clone());
        let mut time_up = pin!(sleep(wait));
        let mut is_over = wait.is_zero();
        loop {
            head.mark_unchanged();
            let reading = Arc::clone(&served);
            let page = off_thread(under.clone(), move || reading.line.up.page_of(life, after)).await?.ok()?;
            if !page.cells.is_empty() || is_over {
                self.counters.lane_pages.add(1);
                return Some(reply::octets(self.page_bytes(&page)));
            }
            is_over = tokio::select! {
                _ = head.changed() => false,
                _ = stopping.wait_for(|stops| *stops) => true,
                () = time_up.as_mut() => true,
            };
        }
    }

    fn page_bytes(&self, page: &Page) -> Vec<u8> {
        let count = page.cells.len();
        let mut bytes = Vec::with_capacity(LanePage::len_with(count));
        bytes.extend_from_slice(&LanePage::header(page.life, page.first, u32::try_from(count).unwrap_or(0)));
        for cell in &page.cells {
            bytes.extend_from_slice(cell.as_slice());
        }
        let mut padding = vec![0; (count.next_multiple_of(LANE_GROUP) - count) * UP_CELL_LEN];
        self.chance.fill(&mut padding);
        bytes.append(&mut padding);
        bytes
    }
}

/// POST `desk/beat`: team cells up, one cell down on each track.
async fn beat(served: Arc<Served>, access: &Access, knock: &Knock, under: Option<Arc<Under>>) -> Option<Response> {
    let beat = DeskBeat::parse(&knock.body).ok()?;
    let (line, now) = (&served.line, served.line.now());
    line.floors.report(access.device, beat.floor.life, beat.floor.n, line.boot());
    let DeskBeat { fast_slot, slow_slot, fast_cell, slow_cell, team_cells, .. } = beat;
    let fast = match fast_slot {
        None => SlotWrite::Written,
        // The fast track is the desk's alone.
        Some(_) if access.role == Role::Safeguarding => SlotWrite::NotOpen,
        Some(slot) => {
            let is_out = |hand| is_out(line, hand, now);
            line.fast.write(slot, fast_cell, &Writer { hand: hand_of(access), role: access.role, is_out: &is_out }, now)
        }
    };
    let slow = match slow_slot {
        None => SlotWrite::Written,
        Some(slot) => {
            let (writing, hand, role) = (Arc::clone(&served), hand_of(access), access.role);
            let write = move || {
                let is_out = |hand| is_out(&writing.line, hand, now);
                writing.line.slow.write(slot, &slow_cell, &Writer { hand, role, is_out: &is_out }, now)
            };
            off_thread(under, write).await?
        }
    };
    let team_cell_count = u32::try_from(team_cells.len()).unwrap_or(u32::MAX);
    let up_epoch = line.up_epoch(now.seconds());
    let are_admitted = served.gate.admit_team(access.device, team_cell_count, up_epoch, now);
    let are_taken = are_admitted && line.up.post(team_cells.into()).await.is_ok();
    if are_admitted && !are_taken {
        served.gate.not_stored(Whose::Desk, up_epoch, team_cell_count);
    }
    let outcome = if are_taken && slow != SlotWrite::Refused { DeskOutcome::Done } else { DeskOutcome::Full };
    if outcome == DeskOutcome::Done {
        served.gate.beat_taken();
    }
    Some(desk_reply(&served, outcome, slot_outcome(fast), slot_outcome(slow)))
}

const fn hand_of(access: &Access) -> Hand {
    Hand { device: access.device, generation: access.generation }
}

/// Whether a device would not be let in any more: it is revoked, or certified by a key that is void.
fn is_out(line: &Line, hand: Hand, now: Millis) -> bool {
    line.board.shuts_out(hand.device, hand.generation, now.seconds())
}

const fn slot_outcome(write: SlotWrite) -> SlotOutcome {
    match write {
        SlotWrite::Written => SlotOutcome::Written,
        SlotWrite::Taken => SlotOutcome::Taken,
        SlotWrite::NotOpen | SlotWrite::Refused => SlotOutcome::NotOpen,
    }
}

fn desk_reply(served: &Served, outcome: DeskOutcome, fast: SlotOutcome, slow: SlotOutcome) -> Response {
    let now = served.line.now();
    let reply = DeskReply { outcome, fast, slow, serial: served.line.board.serial(now.seconds()), clock_ms: now };
    reply::octets(reply.to_bytes().to_vec())
}

fn put_reply(served: &Served, outcome: DeskOutcome) -> Response {
    desk_reply(served, outcome, SlotOutcome::Written, SlotOutcome::Written)
}

fn board_outcome(result: Result<(), BoardError>) -> DeskOutcome {
    match result {
        Ok(()) => DeskOutcome::Done,
        Err(BoardError::Refused) => DeskOutcome::Refused,
        Err(BoardError::Medium(_)) => DeskOutcome::Full,
    }
}

/// PUT `desk/roster`.
async fn roster(served: Arc<Served>, knock: &Knock) -> Option<Response> {
    let (putting, bytes) = (Arc::clone(&served), knock.body.clone());
    let result = off_thread(None, move || putting.line.board.put_roster(&bytes, putting.line.now().seconds())).await?;
    Some(put_reply(&served, board_outcome(result)))
}

/// PUT `desk/bulletin`.
async fn bulletin(served: Arc<Served>, knock: &Knock, under: Option<Arc<Under>>) -> Option<Response> {
    let bytes = knock.body.as_ref().try_into().ok()?;
    let putting = Arc::clone(&served);
    let result = off_thread(under, move || putting.line.board.put_bulletin(&bytes, putting.line.now().seconds())).await?;
    Some(put_reply(&served, board_outcome(result)))
}

/// PUT `desk/blob/{name}`.
async fn put_blob(served: Arc<Served>, name: BlobName, knock: &Knock, under: Option<Arc<Under>>) -> Option<Response> {
    let bytes: Box<[u8; BLOB_LEN]> = knock.body.to_vec().into_boxed_slice().try_into().ok()?;
    let putting = Arc::clone(&served);
    // What would be refused takes no part of the quota from others.
    let put = move || {
        let is_admitted = !putting.line.blobs.is_full() && putting.gate.admit_desk_bytes(BLOB_LEN as u64);
        is_admitted && putting.line.blobs.put(name, &bytes).is_ok()
    };
    let is_put = off_thread(under, put).await?;
    Some(put_reply(&served, if is_put { DeskOutcome::Done } else { DeskOutcome::Full }))
}
