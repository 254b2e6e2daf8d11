//! What words cost to become keys.
use crate::figure::{median, ms, say};
use crate::line::Line;
use porchlight_proto::{phrase::Phrase, root::RootWords};

pub(crate) fn measure() {
    let mut line = Line::new();
    let phrase = Phrase::generate(&mut line.rng);
    say("words: Argon2id of a phrase, 19 MiB", ms(median(15, || phrase.stretch(&line.id))), "ms");
    let root = RootWords::generate(&mut line.rng);
    say("words: Argon2id of a root, 256 MiB", ms(median(3, || root.key())), "ms");
}
