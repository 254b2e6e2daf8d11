//! Letters: cut, sealed, shuffled among dummies and repetitions, opened, joined, read.
use crate::python::{Python, array, bytes, hex, list};
use crate::text::{below, length, one_of, random, shuffle, text};
use crate::world::World;
use porchlight_proto::cell::up::{self, LetterPart, Opened, Opener, Recipient, UpCell};
use porchlight_proto::letter::{Letter, Session, Status, Withdraw, normal};
use porchlight_proto::limits::LETTER_PART_LEN;
use porchlight_proto::line::CallerId;
use porchlight_proto::parts::{Join, Joined, cut};
use porchlight_proto::phrase::Language;
use porchlight_proto::replay::Replay;
use porchlight_proto::seal::Use;
use porchlight_proto::sign::SecretKey;
use porchlight_proto::time::Seconds;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

const BATCH: usize = 50;

/// Some letter.
pub(crate) fn letter(rng: &mut ChaCha20Rng, length: usize) -> Letter {
    let status = [None, Some(Status::Safe), Some(Status::Help), Some(Status::Moving), Some(Status::Talk)];
    let withdraw = [None, None, None, Some(Withdraw::AllUnshown), Some(Withdraw::One(random(rng), below(rng, 65_536) as u16))];
    Letter {
        status: *one_of(rng, &status),
        text: text(rng, length).into(),
        next: Some(below(rng, 1_000_000)).filter(|next| *next > 500_000),
        quiet: below(rng, 2) == 1,
        relative: below(rng, 2) == 1,
        language: *one_of(rng, &[None, Some(Language::Zh), Some(Language::Ko), Some(Language::En)]),
        withdraw: *one_of(rng, &withdraw),
    }
}

/// A letter as the map of SPEC §8.1, without what is absent.
pub(crate) fn map(letter: &Letter) -> Value {
    let status = letter.status.map_or(0, |status| match status {
        Status::Safe => 1,
        Status::Help => 2,
        Status::Moving => 3,
        Status::Talk => 4,
    });
    let language = letter.language.map(|language| match language {
        Language::Zh => 0,
        Language::Ko => 1,
        Language::En => 2,
    });
    let withdraw = letter.withdraw.map(|withdraw| match withdraw {
        Withdraw::AllUnshown => json!([]),
        Withdraw::One(session, seq) => json!([hex(session), seq]),
    });
    let fields = [
        (0, Some(json!(status)).filter(|_| status > 0)),
        (1, Some(json!(normal(&letter.text).unwrap().as_str())).filter(|text| text != "")),
        (2, letter.next.map(Value::from)),
        (3, Some(json!(true)).filter(|_| letter.quiet)),
        (4, Some(json!(true)).filter(|_| letter.relative)),
        (5, language.map(Value::from)),
        (6, withdraw),
    ];
    fields.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?))).collect::<Map<_, _>>().into()
}

/// The same map as Python takes it: text as it was typed, bytes marked as bytes.
pub(crate) fn map_to_build(letter: &Letter) -> Value {
    let mut map = map(letter);
    if !letter.text.is_empty() {
        map["1"] = json!(letter.text.as_str());
    }
    if let Some(Withdraw::One(session, seq)) = letter.withdraw {
        map["6"] = json!([{"hex": hex(session)}, seq]);
    }
    map
}

/// One letter on its way, with everything its cells say.
struct Sent {
    letter: Letter,
    session: Session,
    seq: u16,
    time: Seconds,
    live_key: [u8; 32],
    reply_key: [u8; 32],
    saw: [u8; 8],
}

/// Everyone who takes part in one batch.
struct Post {
    world: World,
    purpose: Use,
    period: u32,
    caller: SecretKey,
    sent: Vec<Sent>,
}

impl Post {
    fn new(first: usize, count: usize, rng: &mut ChaCha20Rng) -> Self {
        let (world, session) = (World::new(rng), random(rng));
        let sent = (0..count).map(|n| Self::sent(&world, session, first + n, n, rng)).collect();
        let purpose = if below(rng, 4) == 0 { Use::Safeguarding } else { Use::Desk };
        Self { world, purpose, period: below(rng, 1 << 32) as u32, caller: SecretKey::generate(rng), sent }
    }
    fn sent(world: &World, session: Session, number: usize, n: usize, rng: &mut ChaCha20Rng) -> Sent {
        let length = length(rng, number);
        Sent {
            letter: letter(rng, length),
            session,
            seq: n as u16 + 1,
            time: Seconds(world.now.0 - below(rng, 100_000)).rounded(),
            live_key: random(rng),
            reply_key: random(rng),
            saw: random(rng),
        }
    }
    fn opener(&self) -> Opener<'_> {
        let secret = match self.purpose {
            Use::Safeguarding => &self.world.safe_secret,
            Use::Desk | Use::Device => &self.world.desk_secret,
        };
        Opener { line: &self.world.line, period: self.period, purpose: self.purpose, secret }
    }
    fn keys(&self) -> Value {
        json!([{"seed": hex(self.opener().secret.seed()), "period": self.period, "use": self.purpose.code()}])
    }
    fn caller_id(&self) -> CallerId {
        CallerId::of(&self.world.line, &self.caller.public())
    }
    fn seal(&self, sent: &Sent, rng: &mut ChaCha20Rng) -> Vec<UpCell> {
        let content = sent.letter.to_cbor().expect("a letter within its bounds");
        let opener = self.opener();
        let to = Recipient { line: &self.world.line, period: self.period, purpose: self.purpose, key: opener.secret.public() };
        let parts = cut(&content, LETTER_PART_LEN).expect("it fits into 32 parts");
        let mut cell = |dummy: bool, seq, part| {
            LetterPart {
                dummy,
                session: sent.session,
                seq,
                part,
                time: sent.time,
                live_key: Zeroizing::new(sent.live_key),
                reply_key: Zeroizing::new(sent.reply_key),
                saw: sent.saw,
            }
            .seal(&to, &self.caller, rng)
        };
        let mut cells: Vec<_> = parts.into_iter().map(|part| cell(false, sent.seq, part)).collect();
        let dummy = LetterPart::dummy_part(&mut ChaCha20Rng::from_seed(sent.live_key));
        cells.push(cell(true, 0, dummy));
        cells
    }
}

/// Sealed here, opened there.
pub(crate) fn from_here_to_there(count: usize, rng: &mut ChaCha20Rng, python: &mut Python) {
    for first in (0..count).step_by(BATCH) {
        let post = Post::new(first, BATCH.min(count - first), rng);
        let mut cells: Vec<_> = post.sent.iter().flat_map(|sent| post.seal(sent, rng)).collect();
        let repeated = cells[below(rng, cells.len() as u64) as usize].clone();
        cells.push(repeated);
        shuffle(rng, &mut cells);
        let cells: Vec<_> = cells.iter().map(|cell| hex(cell.as_slice())).collect();
        let opened =
            python.get("open_letters", json!({"line": hex(post.world.line.as_bytes()), "keys": post.keys(), "cells": cells}));
        assert_eq!(opened["refused"], json!(["seen"]), "only the repeated cell is refused");
        there_has_all(&post, list(&opened["letters"]), python);
    }
}

fn there_has_all(post: &Post, letters: &[Value], python: &mut Python) {
    assert_eq!(letters.len(), post.sent.len());
    let by_seq: BTreeMap<_, _> = letters.iter().map(|letter| (letter["seq"].as_u64().unwrap(), letter)).collect();
    for sent in &post.sent {
        let got = by_seq[&u64::from(sent.seq)];
        let said = json!({
            "caller_id": hex(post.caller_id().0), "caller_pk": hex(post.caller.public().as_bytes()), "session": hex(sent.session),
            "seq": sent.seq, "time": sent.time.0, "live_key": hex(sent.live_key), "reply_key": hex(sent.reply_key), "saw": hex(sent.saw),
            "bytes": hex(sent.letter.to_cbor().unwrap()),
        });
        assert_eq!(*got, said);
        assert_eq!(python.get("parse_letter", json!({"bytes": got["bytes"]})), map(&sent.letter));
    }
}

/// Sealed there, opened here.
pub(crate) fn from_there_to_here(count: usize, rng: &mut ChaCha20Rng, python: &mut Python) {
    for first in (0..count).step_by(BATCH) {
        let post = Post::new(first, BATCH.min(count - first), rng);
        let letters: Vec<_> = post
            .sent
            .iter()
            .map(|sent| {
                json!({
                    "session": hex(sent.session), "seq": sent.seq, "time": sent.time.0, "live_key": hex(sent.live_key),
                    "reply_key": hex(sent.reply_key), "saw": hex(sent.saw), "map": map_to_build(&sent.letter),
                })
            })
            .collect();
        let sealed = python.get("seal_letters", json!({
            "line": hex(post.world.line.as_bytes()), "period": post.period, "use": post.purpose.code(),
            "recipient": hex(post.opener().secret.public().as_bytes()), "sign_seed": hex(post.caller.seed().as_slice()), "letters": letters,
        }));
        let mut cells: Vec<[u8; 2048]> = list(&sealed).iter().flat_map(list).map(array).collect();
        cells.push(cells[0]);
        shuffle(rng, &mut cells);
        here_has_all(&post, &cells);
    }
}

fn here_has_all(post: &Post, cells: &[[u8; 2048]]) {
    let (mut replay, mut joins, mut repeated) = (Replay::default(), BTreeMap::<u16, Join>::new(), 0);
    let mut whole = BTreeMap::new();
    for cell in cells {
        if !replay.is_new(post.period, up::enc_hash(cell)) {
            repeated += 1;
            continue;
        }
        let Opened::Letter(caller, part) = up::open(cell, &post.opener()).expect("an honest cell") else { panic!("a letter") };
        assert_eq!(caller, post.caller_id());
        let sent = &post.sent[usize::from(part.seq) - 1];
        assert_eq!((part.dummy, part.session, part.time, part.saw), (false, sent.session, sent.time, sent.saw));
        assert_eq!((*part.live_key, *part.reply_key), (sent.live_key, sent.reply_key));
        if let Joined::Whole(content) = joins.entry(part.seq).or_insert_with(|| Join::of(part.part.parts)).take(&part.part) {
            whole.insert(part.seq, content);
        }
    }
    assert_eq!((repeated, whole.len()), (1, post.sent.len()));
    for sent in &post.sent {
        let read = Letter::parse(&whole[&sent.seq]).expect("an honest letter");
        assert_eq!(map(&read), map(&sent.letter));
        assert_eq!(bytes(&hex(&*whole[&sent.seq])), sent.letter.to_cbor().unwrap(), "one encoding");
    }
}
