//! The calls that anyone with the gate may make.

use std::sync::Arc;

use axum::body::Bytes;
use axum::response::Response;
use porchlight_proto::api::{Notice, UpOutcome, UpPost, UpReply};

use super::{Knock, Served, off_thread, reply};
use crate::gate::Admission;
use crate::gate::quota::Whose;

/// GET `notice`.
pub(super) fn notice(served: &Served) -> Response {
    let (line, now) = (&served.line, served.line.now());
    let notice = Notice {
        roster: line.board.roster(now.seconds()),
        clock_ms: now,
        difficulty: served.gate.difficulty(now),
        up_epoch: line.up_epoch(now.seconds()),
        beat: line.settings.timing.beat(now),
        relay_no: line.settings.relay_no,
        stamp_salt: served.gate.stamp_salt(now),
        timing: line.settings.timing,
        up_ttl_s: line.settings.up_ttl_s,
        desk_beat_ms: line.settings.desk_beat_ms,
        bulletin: line.board.bulletin(now.seconds()),
    };
    reply::octets(notice.to_bytes().to_vec())
}

/// POST `up`: the reply goes out when the medium has the cell.
pub(super) async fn up(served: &Served, knock: &Knock) -> Option<Response> {
    let post = UpPost::parse(&knock.body).ok()?;
    let line = &served.line;
    let now = line.now();
    let up_epoch = line.up_epoch(now.seconds());
    let outcome = match served.gate.admit(&post, knock.source, up_epoch, now) {
        Admission::Stamp => UpOutcome::Stamp,
        Admission::Full => UpOutcome::Full,
        Admission::Admitted => match line.up.post(vec![post.cell]).await {
            Ok(()) => UpOutcome::Stored,
            Err(_) => {
                served.gate.not_stored(Whose::Callers, up_epoch, 1);
                UpOutcome::Full
            }
        },
    };
    if outcome == UpOutcome::Stored {
        served.gate.stored();
    }
    let now = line.now();
    let up_reply =
        UpReply { outcome, difficulty: served.gate.difficulty(now), serial: line.board.serial(now.seconds()), clock_ms: now };
    Some(reply::octets(up_reply.to_bytes().to_vec()))
}

/// GET `down/fast`.
pub(super) fn fast(served: &Served) -> Response {
    reply::shared(reply::octets(Bytes::from_owner(Shown(served.line.fast.page(served.line.now())))))
}

/// A page of the fast track, which lies in memory once, whoever asks for it.
struct Shown(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shown {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// GET `down/slow/{day}`.
pub(super) async fn slow(served: Arc<Served>, day: u32) -> Option<Response> {
    let page = off_thread(None, move || served.line.slow.page(day, served.line.now())).await??;
    Some(reply::shared(reply::octets(page)))
}
