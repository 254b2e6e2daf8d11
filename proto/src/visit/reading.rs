//! Joining the parts of answers, and showing each answer once.
use crate::answer::Answer;
use crate::cell::down::{AnswerPart, Kind};
use crate::event::AnswerId;
use crate::kdf::digest;
use crate::letter::Session;
use crate::line::Seat;
use crate::parts::{Join, Joined};
use crate::time::Seconds;
use alloc::vec::Vec;
use zeroize::Zeroizing;

/// Answers that may be half read at one time. A seat that sends more is broken or hostile; the oldest make room.
const JOINS_MAX: usize = 64;

/// An answer to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownAnswer {
    /// Its id.
    pub answer: AnswerId,
    /// The seat that signed it.
    pub seat: Seat,
    /// Its content; `None` for "please do not go; the plan has changed".
    pub content: Option<Answer>,
    /// When its last part was sealed.
    pub time: Seconds,
    /// Until when it may be shown.
    pub good_until: Seconds,
    /// The letter it answers: visit and number.
    pub answers: (Session, u16),
}

type JoinKey = (Seat, AnswerId, u8, Seconds, (Session, u16));

/// What has been read in a visit.
#[derive(Default)]
pub(super) struct Reading {
    joins: Vec<(JoinKey, Join)>,
    shown: Vec<(AnswerId, [u8; 32])>,
}

impl Reading {
    /// Takes a believed part; gives the answer when it is whole and was not shown before.
    pub(super) fn take(&mut self, seat: Seat, part: &AnswerPart) -> Option<ShownAnswer> {
        let content = match part.kind {
            Kind::Receipt => return None,
            Kind::Stop => None,
            Kind::Answer => Some(self.join(seat, part)?),
        };
        let hash = content.as_deref().map_or([0; 32], |content| digest(content));
        let content = match content {
            Some(content) => Some(Answer::parse(&content).ok()?),
            None => None,
        };
        if self.shown.contains(&(part.answer, hash)) {
            return None;
        }
        self.shown.push((part.answer, hash));
        Some(ShownAnswer {
            answer: part.answer,
            seat,
            content,
            time: part.time,
            good_until: part.good_until,
            answers: part.answers,
        })
    }
    /// Whether an answer of this id was shown.
    pub(super) fn was_shown(&self, answer: &AnswerId) -> bool {
        self.shown.iter().any(|(shown, _)| shown == answer)
    }
    fn join(&mut self, seat: Seat, part: &AnswerPart) -> Option<Zeroizing<Vec<u8>>> {
        let key = (seat, part.answer, part.part.parts, part.good_until, part.answers);
        let at = self.joins.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
            if self.joins.len() >= JOINS_MAX {
                self.joins.remove(0);
            }
            self.joins.push((key, Join::of(part.part.parts)));
            self.joins.len() - 1
        });
        match self.joins.get_mut(at)?.1.take(&part.part) {
            Joined::Whole(content) => {
                self.joins.remove(at);
                Some(content)
            }
            Joined::Waiting | Joined::Contradicts => None,
        }
    }
}
