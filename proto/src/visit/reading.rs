//! Joining the parts of answers, each answer once.
use super::To;
use crate::answer::Answer;
use crate::cell::down::{AnswerPart, Kind};
use crate::event::AnswerId;
use crate::kdf::digest;
use crate::letter::Session;
use crate::limits::{ANSWER_LIFE_MAX, MEETING_LIFE_MAX};
use crate::line::Seat;
use crate::parts::{Join, Joined};
use crate::time::{Millis, Seconds};
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

impl ShownAnswer {
    /// The mailbox it is of.
    #[must_use]
    pub const fn mailbox(&self) -> To {
        if self.seat.is_safeguarding() { To::Safeguarding } else { To::Desk }
    }
}

/// What came of a part.
pub(super) enum Read {
    /// Nothing yet, or nothing to be believed.
    Nothing,
    /// A whole answer or stop, and how many had begun to come before it.
    Whole(ShownAnswer, u64),
    /// An answer that was whole before, in a cell that was sealed after all that came of it so far.
    Again,
}

/// When a part came: fast ones keep an order.
#[derive(Clone, Copy)]
pub(super) struct Came {
    /// By the clock that answers are held against.
    pub(super) now: Seconds,
    /// By the slot clock, on the fast track.
    pub(super) fast: Option<Millis>,
}

type JoinKey = (Seat, Kind, AnswerId, u8, Seconds, (Session, u16));

/// An answer on its way.
struct Coming {
    key: JoinKey,
    join: Join,
    /// How many had begun before.
    begun: u64,
    /// When the fast track last brought a part of it.
    heard: Option<Millis>,
}

/// What has been read in a visit.
#[derive(Default)]
pub(super) struct Reading {
    coming: Vec<Coming>,
    begun: u64,
    /// Answers that have been whole.
    whole: Vec<(AnswerId, [u8; 32])>,
    stops: Vec<(Seat, Answer)>,
    /// When the last of what came of an answer was sealed. Days and beats are fetched more than once, and days from the newest to the oldest.
    newest: Vec<(AnswerId, Seconds)>,
    /// Parts read of answers that had not been shown: grows as long as one is on its way.
    pub(super) parts_read: usize,
}

impl Reading {
    /// Takes a believed part; gives the answer when it is whole, in its time, and was not before.
    pub(super) fn take(&mut self, seat: Seat, part: &AnswerPart, came: Came) -> Read {
        if part.kind == Kind::Receipt {
            return Read::Nothing;
        }
        let again = if self.is_newer(part) { Read::Again } else { Read::Nothing };
        let Some((bytes, begun)) = self.join(seat, part, came) else {
            return if self.was_whole(&part.answer) { again } else { Read::Nothing };
        };
        let hash = digest(&bytes);
        if self.whole.contains(&(part.answer, hash)) {
            return again;
        }
        let Some(content) = Answer::parse(&bytes).ok().filter(|content| lives(content, part, came.now)) else {
            return Read::Nothing;
        };
        self.whole.push((part.answer, hash));
        if part.kind == Kind::Stop {
            self.stops.push((seat, content.clone()));
        }
        let AnswerPart { answer, kind, good_until, answers, .. } = *part;
        Read::Whole(ShownAnswer { answer, seat, kind, content, good_until, answers }, begun)
    }
    fn is_newer(&mut self, part: &AnswerPart) -> bool {
        let Some((_, newest)) = self.newest.iter_mut().find(|(answer, _)| *answer == part.answer) else {
            self.newest.push((part.answer, part.time));
            return true;
        };
        core::mem::replace(newest, part.time.max(*newest)) < part.time
    }
    fn was_whole(&self, answer: &AnswerId) -> bool {
        self.whole.iter().any(|(whole, _)| whole == answer)
    }
    /// Whether a stop of the same mailbox covers the answer. Safeguarding and the desk count their answers apart.
    pub(super) fn is_stopped(&self, answer: &ShownAnswer) -> bool {
        let mut stops = self.stops.iter().filter(|(by, _)| by.is_safeguarding() == answer.seat.is_safeguarding());
        answer.kind == Kind::Answer && stops.any(|(_, stop)| stop.stops(answer.content.n, &answer.answer))
    }
    /// When the fast track last brought a part of an answer of this mailbox that began before and is not whole.
    pub(super) fn heard_before(&self, begun: u64, safeguarding: bool) -> Option<Millis> {
        let mailbox = |coming: &&Coming| coming.key.0.is_safeguarding() == safeguarding && coming.key.1 == Kind::Answer;
        let before = self.coming.iter().filter(mailbox).filter(|coming| coming.begun < begun && !self.was_whole(&coming.key.2));
        before.filter_map(|coming| coming.heard).max()
    }
    fn join(&mut self, seat: Seat, part: &AnswerPart, came: Came) -> Option<(Zeroizing<Vec<u8>>, u64)> {
        let key = (seat, part.kind, part.answer, part.part.parts, part.good_until, part.answers);
        let at = self.coming.iter().position(|coming| coming.key == key).unwrap_or_else(|| {
            if self.coming.len() >= JOINS_MAX {
                self.coming.remove(0);
            }
            self.coming.push(Coming { key, join: Join::of(part.part.parts), begun: self.begun, heard: None });
            self.begun += 1;
            self.coming.len() - 1
        });
        let coming = self.coming.get_mut(at)?;
        coming.heard = came.fast.or(coming.heard);
        let before = coming.join.count();
        let taken = coming.join.take(&part.part);
        let (grew, begun) = (coming.join.count() > before, coming.begun);
        if grew && !self.was_whole(&part.answer) {
            self.parts_read += 1;
        }
        match taken {
            Joined::Whole(content) => {
                self.coming.remove(at);
                Some((content, begun))
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
