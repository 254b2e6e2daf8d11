//! What is said on a connection, request by request: the records' lengths with chance taken out of them.
//!
//! A visit's requests go their ways beside each other: posts by one beat, fetches by another that begins at a random moment, slow days one
//! after the other as they come. Which of them meet in a record, and how many fetches there are, is chance, and is left to the
//! classifiers. What is not is compared as it is: every record is as long as the frames in it, nothing more; each post's record, without what
//! others put into it; and, of requests of one kind, the nth with the nth, frame by frame in both directions.
//!
//! One length follows the clock: the number of a slow day takes more bits or fewer. A reply's head may differ by two bytes, since how its
//! length and its kind are packed depends on what was packed before.

use std::collections::BTreeMap;

use super::LONG;
use super::frames::{DATA, Frame};
use super::tap::{Content, Notes, Record};

/// A record's header, the byte that says what it holds, and its tag.
const RECORD_LEN: usize = 5 + 1 + 16;
/// A frame's header.
const HEADER_LEN: usize = 9;
/// What a client says before its first frame.
const PREFACE_LEN: usize = 24;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const GOAWAY: u8 = 7;
/// Nothing comes after it in its stream.
const END: u8 = 1;
/// What the built-in decoy says of a day that passed out of the track while it was asked for.
const NOT_FOUND_LEN: usize = 110;

/// Kind, flags and length.
type Told = (u8, u8, usize);

/// A request and its reply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exchange {
    pub up: Vec<Told>,
    pub down: Vec<Told>,
}

impl Exchange {
    fn bytes(told: &[Told]) -> usize {
        told.iter().filter(|(kind, ..)| *kind == DATA).map(|(.., length)| length).sum()
    }

    /// What was asked for, by what came; nothing if the visit ended before all of it had come, or in the same moment; or if the oldest day was over when it was asked
    /// for: once in a day of slots the decoy comes instead, and how often that is the classifiers see.
    fn kind(&self) -> Option<&'static str> {
        let is_given_up = self.up.iter().any(|(kind, ..)| *kind == RESET);
        let is_whole = self.down.last().is_some_and(|(_, flags, _)| flags & END == END) && !is_given_up;
        match (Self::bytes(&self.up), Self::bytes(&self.down)) {
            _ if !is_whole => None,
            (0, 4_240) => Some("notice"),
            (0, 49_152) => Some("slow day"),
            (0, 8_192) => Some("newest beats"),
            (0, NOT_FOUND_LEN) => None,
            (0, other) => panic!("a reply of {other} bytes"),
            _ => Some("post"),
        }
    }

    /// Fails unless it is like another of its kind.
    #[track_caller]
    fn is_like(&self, model: &Self, kind: &str, what: &str) {
        let parts = [(&self.up, &model.up, "asked"), (&self.down, &model.down, "replied")];
        for (own, models, side) in parts {
            let shape = |told: &[Told]| told.iter().map(|(kind, flags, _)| (*kind, *flags)).collect::<Vec<_>>();
            assert_eq!(shape(own), shape(models), "{what}, {side}");
            for (own, model) in own.iter().zip(models) {
                let apart = own.2.abs_diff(model.2);
                let is_allowed = match (own.0, side, kind) {
                    (HEADERS, "replied", _) => apart <= 2,
                    (HEADERS, "asked", "slow day") => apart <= 1,
                    _ => apart == 0,
                };
                assert!(is_allowed, "{what}, {side}: {own:?}, not {model:?}");
            }
        }
    }
}

/// A connection's requests, in the order in which they were made, by kind.
#[derive(Debug, Default)]
pub struct Streams {
    pub by_kind: BTreeMap<&'static str, Vec<Exchange>>,
    /// The connection's own frames, sorted: whose settings come first is chance, and so is whether there is time for a farewell.
    own: [Vec<Told>; 2],
}

impl Streams {
    /// Of a connection that was seen from its beginning. Fails unless every record is as long as what was said in it.
    pub fn of(notes: &Notes) -> Self {
        are_filled(notes);
        let mut streams: BTreeMap<u32, Exchange> = BTreeMap::new();
        for content in &notes.contents {
            for frame in &content.frames {
                let stream = streams.entry(frame.stream).or_default();
                let told = (frame.kind, frame.flags, frame.length);
                if content.upward { stream.up.push(told) } else { stream.down.push(told) }
            }
        }
        let Exchange { up, down } = streams.remove(&0).unwrap_or_default();
        let own = [up, down].map(|mut told| {
            told.retain(|(kind, ..)| *kind != GOAWAY);
            told.sort_unstable();
            told
        });
        let mut by_kind: BTreeMap<_, Vec<Exchange>> = BTreeMap::new();
        for exchange in streams.into_values() {
            if let Some(kind) = exchange.kind() {
                by_kind.entry(kind).or_default().push(exchange);
            }
        }
        Self { by_kind, own }
    }

    /// Fails unless the nth request of each kind is like the nth of another visit, as far as both went on, and the connections are alike.
    #[track_caller]
    pub fn are_like(&self, model: &Self, what: &str) {
        assert_eq!(self.own, model.own, "{what}: the connection's own frames");
        assert!(self.by_kind.keys().eq(model.by_kind.keys()), "{what}: {:?}", self.by_kind.keys());
        for (kind, exchanges) in &self.by_kind {
            for (nth, (own, model)) in exchanges.iter().zip(&model.by_kind[kind]).enumerate() {
                own.is_like(model, kind, &format!("{what}: {kind} {nth}"));
            }
        }
    }
}

/// The lengths of the records that posts go in, in their order, without the frames of others that went along.
pub fn posts_alone(contents: &[Content]) -> Vec<usize> {
    let is_post = |frame: &&Frame| frame.kind == DATA && frame.length > LONG;
    let alone = |content: &Content| {
        let post = content.frames.iter().find(is_post)?;
        let others = content.frames.iter().filter(|frame| frame.stream != post.stream);
        Some(RECORD_LEN + content.length - others.map(|frame| HEADER_LEN + frame.length).sum::<usize>())
    };
    contents.iter().filter(|content| content.upward).filter_map(alone).collect()
}

/// Fails unless records are as long as what was said in them, one for one, and that is frames and nothing else.
fn are_filled(notes: &Notes) {
    for (upward, records, preface) in [(true, &notes.near, PREFACE_LEN), (false, &notes.far, 0)] {
        let of = |records: &[Record]| -> Vec<usize> {
            records.iter().filter(|record| record.upward == upward).map(|record| record.length).collect()
        };
        let contents = || notes.contents.iter().filter(|content| content.upward == upward);
        let lengths: Vec<usize> = contents().map(|content| RECORD_LEN + content.length).collect();
        // Around them lie the handshake's records, and a farewell.
        let records = of(records);
        assert!(records.windows(lengths.len()).any(|some| some == lengths), "upward {upward}: {lengths:?} in {records:?}");
        let said: usize = contents().map(|content| content.length).sum();
        let frames: usize = contents().flat_map(|content| &content.frames).map(|frame| HEADER_LEN + frame.length).sum();
        // The last reply may have been cut off with the visit.
        let is_cut = !upward && said < frames;
        assert!(said == preface + frames || is_cut, "upward {upward}: {said} bytes said, {frames} in frames");
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Instant;

    use super::*;

    const POST: Told = (DATA, END, 2080);

    fn frame(stream: u32, (kind, flags, length): Told) -> Frame {
        Frame { stream, kind, flags, length }
    }

    /// A record as a program says it, with these frames.
    fn said(upward: bool, preface: usize, frames: &[Frame]) -> Content {
        let length = preface + frames.iter().map(|frame| HEADER_LEN + frame.length).sum::<usize>();
        Content { at: Instant::now(), upward, length, frames: frames.to_vec() }
    }

    /// A connection with one post, in whose record another request began, of these lengths.
    fn notes(asked: usize, posted: usize, head: usize, reply: usize) -> Notes {
        let other = frame(3, (HEADERS, 5, 22));
        let contents = vec![
            said(true, PREFACE_LEN, &[frame(1, (HEADERS, 4, asked))]),
            said(true, 0, &[other, frame(1, (DATA, END, posted))]),
            said(false, 0, &[frame(1, (HEADERS, 4, head)), frame(1, (DATA, END, reply))]),
        ];
        let records = |upward: bool| {
            let own = contents.iter().filter(move |content| content.upward == upward);
            let lengths = own.map(|content| content.length + RECORD_LEN).collect::<Vec<_>>();
            [&[517, 6][..], &lengths, &[24]]
                .concat()
                .into_iter()
                .map(|length| Record { at: Instant::now(), upward, length })
                .collect()
        };
        Notes { near: records(true), far: records(false), contents, ..Notes::default() }
    }

    #[test]
    fn a_byte_more_in_any_frame_is_seen() {
        let model = Streams::of(&notes(24, POST.2, 9, 16));
        let is_like = |notes: Notes| catch_unwind(AssertUnwindSafe(|| Streams::of(&notes).are_like(&model, "it"))).is_ok();
        assert!(is_like(notes(24, POST.2, 9, 16)));
        for (what, other) in [
            ("the head of what is asked", notes(25, POST.2, 9, 16)),
            ("a post", notes(24, POST.2 + 1, 9, 16)),
            ("the head of a reply", notes(24, POST.2, 12, 16)),
            ("the head of a reply, by a date", notes(24, POST.2, 32, 16)),
            ("a reply", notes(24, POST.2, 9, 17)),
        ] {
            assert!(!is_like(other), "{what}");
        }
    }

    #[test]
    fn a_record_that_holds_more_than_its_frames_is_seen() {
        for upward in [true, false] {
            let mut padded = notes(24, POST.2, 9, 16);
            let records = if upward { &mut padded.near } else { &mut padded.far };
            records[2].length += 1;
            assert!(catch_unwind(|| Streams::of(&padded)).is_err(), "upward {upward}");
        }
    }

    #[test]
    fn a_post_is_as_long_whoever_shares_its_record() {
        assert_eq!(posts_alone(&notes(24, POST.2, 9, 16).contents), [RECORD_LEN + HEADER_LEN + POST.2]);
    }
}
