//! Joining the parts of answers, and showing each answer once.
use crate::answer::Answer;
use crate::cell::down::{AnswerPart, Kind};
use crate::event::AnswerId;
use crate::kdf::digest;
use crate::letter::Session;
use crate::limits::{ANSWER_LIFE_MAX, MEETING_LIFE_MAX};
use crate::line::Seat;
use crate::parts::{Join, Joined};
use crate::time::Seconds;
use alloc::vec::Vec;
use zeroize::Zeroizing;

/// Answers that may be half read at one time. A seat that sends more is broken or hostile; the oldest make room.
const JOINS_MAX: usize = 64;
/// Seconds by which a worker's clock may run ahead.
const WRITTEN_AHEAD: u64 = 86_400;

/// An answer, or a stop, to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownAnswer {
    /// Its id.
    pub answer: AnswerId,
    /// The seat that signed it.
    pub seat: Seat,
    /// An answer, or "please do not go; the plan has changed".
    pub kind: Kind,
    /// Its content. When it was written is told here.
    pub content: Answer,
    /// Until when it may be shown: whoever shows it takes it away then.
    pub good_until: Seconds,
    /// The letter it answers: visit and number.
    pub answers: (Session, u16),
}

/// What came of a part.
pub(super) enum Read {
    /// Nothing yet, or nothing to be believed.
    Nothing,
    /// An answer to show.
    Shown(ShownAnswer),
    /// An answer that a stop covers.
    Stopped,
    /// An answer that was shown before.
    Again,
}

type JoinKey = (Seat, Kind, AnswerId, u8, Seconds, (Session, u16));

/// What has been read in a visit.
#[derive(Default)]
pub(super) struct Reading {
    joins: Vec<(JoinKey, Join)>,
    shown: Vec<(AnswerId, [u8; 32])>,
    stops: Vec<(Seat, Answer)>,
    /// Parts read of answers that had not been shown: grows as long as one is on its way.
    pub(super) parts_read: usize,
}

impl Reading {
    /// Takes a believed part; gives the answer when it is whole, in its time, not stopped, and not shown before.
    pub(super) fn take(&mut self, seat: Seat, part: &AnswerPart, now: Seconds) -> Read {
        if part.kind == Kind::Receipt {
            return Read::Nothing;
        }
        let Some(bytes) = self.join(seat, part) else {
            return if self.shown.iter().any(|(shown, _)| *shown == part.answer) { Read::Again } else { Read::Nothing };
        };
        let hash = digest(&bytes);
        if self.shown.contains(&(part.answer, hash)) {
            return Read::Again;
        }
        let Some(content) = Answer::parse(&bytes).ok().filter(|content| lives(content, part, now)) else {
            return Read::Nothing;
        };
        self.shown.push((part.answer, hash));
        if part.kind == Kind::Stop {
            self.stops.push((seat, content.clone()));
        } else if self.is_stopped(seat, &content, &part.answer) {
            return Read::Stopped;
        }
        Read::Shown(ShownAnswer {
            answer: part.answer,
            seat,
            kind: part.kind,
            content,
            good_until: part.good_until,
            answers: part.answers,
        })
    }
    /// Whether a stop of the same mailbox covers the answer. Safeguarding and the desk count their answers apart.
    fn is_stopped(&self, seat: Seat, content: &Answer, answer: &AnswerId) -> bool {
        let mut stops = self.stops.iter().filter(|(by, _)| by.is_safeguarding() == seat.is_safeguarding());
        stops.any(|(_, stop)| stop.stops(content.n, answer))
    }
    fn join(&mut self, seat: Seat, part: &AnswerPart) -> Option<Zeroizing<Vec<u8>>> {
        let key = (seat, part.kind, part.answer, part.part.parts, part.good_until, part.answers);
        let at = self.joins.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            if self.joins.len() >= JOINS_MAX {
                self.joins.remove(0);
            }
            self.joins.push((key, Join::of(part.part.parts)));
            self.joins.len() - 1
        });
        let join = &mut self.joins.get_mut(at)?.1;
        let before = join.count();
        let taken = join.take(&part.part);
        if join.count() > before && !self.shown.iter().any(|(shown, _)| *shown == part.answer) {
            self.parts_read += 1;
        }
        match taken {
            Joined::Whole(content) => {
                self.joins.remove(at);
                Some(content)
            }
            Joined::Waiting | Joined::Contradicts => None,
        }
    }
}

/// Whether an answer lives no longer than answers may, and was not written later than now.
fn lives(content: &Answer, part: &AnswerPart, now: Seconds) -> bool {
    let most = if content.meeting { MEETING_LIFE_MAX } else { ANSWER_LIFE_MAX };
    let written = Seconds(content.written);
    part.good_until <= written.plus(most) && written <= now.plus(WRITTEN_AHEAD)
}
