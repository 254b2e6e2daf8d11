//! HTTP/2 frames as a client wrote them, and a leak of one byte in them.

/// What every connection of HTTP/2 begins with.
const PREFACE_LEN: usize = 24;
const HEADER_LEN: usize = 9;
/// The kind of frame in which bodies go.
pub const DATA: u8 = 0;
/// The kind of frame that says goodbye.
pub const GOAWAY: u8 = 7;
/// A flag of DATA: the first byte of its content says how much padding follows it.
const PADDED: u8 = 8;
/// No other DATA of a caller or a desk is as long as the shortest post.
const POST_LEN: usize = 2080;

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Which request it belongs to, and 0 for the connection's own.
    pub stream: u32,
    pub kind: u8,
    pub flags: u8,
    pub length: usize,
}

/// Tells the frames in a stream that comes in pieces, and passes the pieces on.
pub struct Frames {
    preface: usize,
    header: Vec<u8>,
    left: usize,
}

impl Frames {
    /// Of a client.
    pub fn new() -> Self {
        Self { preface: PREFACE_LEN, header: Vec::new(), left: 0 }
    }

    /// Of a relay, which begins with a frame.
    pub fn of_replies() -> Self {
        Self { preface: 0, ..Self::new() }
    }

    /// What is to be passed on of a piece: the same bytes, but for the post at which `leak`, which counts down with each, comes to
    /// 0. That one gets a byte of padding (the one that says that there is no more), which nobody misses who takes the post.
    pub fn pass(&mut self, mut bytes: &[u8], leak: &mut usize, mut tell: impl FnMut(Frame)) -> Vec<u8> {
        let mut out = take(&mut bytes, &mut self.preface).to_vec();
        while !bytes.is_empty() {
            out.extend_from_slice(take(&mut bytes, &mut self.left));
            let mut wanted = if bytes.is_empty() { 0 } else { HEADER_LEN - self.header.len() };
            self.header.extend_from_slice(take(&mut bytes, &mut wanted));
            if self.header.len() == HEADER_LEN {
                let header = std::mem::take(&mut self.header);
                let mut frame = parsed(&header);
                self.left = frame.length;
                let posts = frame.kind == DATA && frame.length >= POST_LEN;
                let leaks = posts && *leak == 1;
                *leak = leak.saturating_sub(usize::from(posts));
                if leaks {
                    (frame.length, frame.flags) = (frame.length + 1, frame.flags | PADDED);
                }
                let length = u32::try_from(frame.length).unwrap().to_be_bytes();
                out.extend_from_slice(&length[1..]);
                out.extend_from_slice(&[frame.kind, frame.flags]);
                out.extend_from_slice(&header[5..]);
                out.extend_from_slice(if leaks { &[0] } else { &[] });
                tell(frame);
            }
        }
        out
    }
}

fn parsed(header: &[u8]) -> Frame {
    let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
    let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
    Frame { stream, kind: header[3], flags: header[4], length: usize::try_from(length).unwrap() }
}

/// The first of `bytes`, at most `wanted` of them; both are that much shorter afterwards.
fn take<'a>(bytes: &mut &'a [u8], wanted: &mut usize) -> &'a [u8] {
    let (first, rest) = bytes.split_at(bytes.len().min(*wanted));
    *bytes = rest;
    *wanted -= first.len();
    first
}

#[test]
fn frames_are_told_and_passed_on_in_whatever_pieces_they_come() {
    let post = [&[0, 0x08, 0x20, DATA, 1, 0, 0, 0, 1][..], &[7; POST_LEN]].concat();
    let asked = [0, 0, 3, 1, 5, 0, 0, 0, 1, 9, 9, 9];
    let stream = [&[b'P'; PREFACE_LEN][..], &asked, &post, &asked].concat();
    let leaky =
        [&[b'P'; PREFACE_LEN][..], &asked, &[0, 0x08, 0x21, DATA, 1 | PADDED, 0, 0, 0, 1, 0], &[7; POST_LEN], &asked].concat();
    for piece in [1, 5, 9, 40, 5000] {
        for (mut leak, wanted) in [(0, &stream), (1, &leaky), (2, &stream)] {
            let leaks = leak == 1;
            let (mut frames, mut told, mut out) = (Frames::new(), Vec::new(), Vec::new());
            for bytes in stream.chunks(piece) {
                out.extend(frames.pass(bytes, &mut leak, |frame| told.push(frame)));
            }
            assert!(out == *wanted && leak < 2, "in pieces of {piece}");
            let kinds: Vec<_> = told.iter().map(|frame| (frame.kind, frame.length)).collect();
            assert_eq!(kinds, [(1, 3), (DATA, POST_LEN + usize::from(leaks)), (1, 3)]);
        }
    }
}
