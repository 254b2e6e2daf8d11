//! Sealing and opening one cell of each kind.
use crate::figure::{median, say, us};
use crate::line::{Line, RELAY, full_part};
use porchlight_proto::{
    cell::{
        down::{self, AnswerPart, Kind, Place, Reader, Receipt, Track},
        up::{self, EventStamp, TeamPart},
    },
    limits::{ANSWER_PART_LEN, TEAM_PART_LEN},
    line::{CallerId, Seat},
    parts::Part,
    seal::{SealingKey, SealingSecret, Use},
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

const ROUNDS: usize = 500;

pub(crate) fn measure() {
    letters();
    team();
    answers();
}

fn letters() {
    let mut line = Line::new();
    let caller = line.stretched().sign_key();
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let part = full_part([9; 8], 1, line.now.seconds(), &mut rng);
    let seal = median(ROUNDS, || part.seal(&line.recipient(), &caller, &mut rng));
    let cell = part.seal(&line.recipient(), &caller, &mut rng);
    let open = median(ROUNDS, || up::open(&cell, &line.opener()).unwrap());
    let mut junk = cell.clone();
    junk[2000] ^= 1;
    let refuse = median(ROUNDS, || up::open(&junk, &line.opener()).unwrap_err());
    let seed = *line.desk.seed();
    say("cells: expand a desk key's seed", us(median(ROUNDS, || SealingSecret::from_seed(&seed))), "us");
    let key = line.desk.public().as_bytes();
    say("cells: check a sealing key", us(median(ROUNDS, || SealingKey::from_bytes(key).unwrap())), "us");
    say("cells: seal a letter's part", us(seal), "us");
    say("cells: open and verify it", us(open), "us");
    say("cells: find that a cell does not open", us(refuse), "us");
}

fn team() {
    let mut line = Line::new();
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let stamp = EventStamp { device_seq: 1, previous: [0; 32], lamport: 1, time: line.now.seconds() };
    let bytes = random(TEAM_PART_LEN, &mut line.rng);
    let part = Part { part: 0, parts: 2, bytes };
    let seal = median(ROUNDS, || {
        TeamPart::sign(&stamp, part.clone(), (&line.id, Use::Desk), &line.seat).seal(&line.recipient(), &mut rng)
    });
    let cell = TeamPart::sign(&stamp, part.clone(), (&line.id, Use::Desk), &line.seat).seal(&line.recipient(), &mut rng);
    let open = median(ROUNDS, || up::open(&cell, &line.opener()).unwrap());
    say("cells: sign and seal a team part", us(seal), "us");
    say("cells: open and verify it", us(open), "us");
}

fn answers() {
    let mut line = Line::new();
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let now = line.now.seconds();
    let bytes = random(ANSWER_PART_LEN, &mut line.rng);
    let part = AnswerPart {
        kind: Kind::Answer,
        answer: [1; 8],
        part: Part { part: 0, parts: 2, bytes },
        ..AnswerPart::receipt(Receipt::default(), now)
    };
    let (caller, live) = (CallerId([2; 16]), [3; 32]);
    let place = Place { relay_no: RELAY, seat: Seat::new(0).unwrap(), i: 0 };
    let track = Track::Fast(&live);
    let seal = median(ROUNDS, || part.seal((&line.id, &caller), (track, place), &line.seat, &mut rng));
    let cell = part.seal((&line.id, &caller), (track, place), &line.seat, &mut rng);
    let reader = Reader { caller: &caller, roster: &line.roster, now };
    let open = median(ROUNDS, || down::open(&cell, (track, place), &reader).unwrap());
    say("cells: sign and seal an answer's part", us(seal), "us");
    say("cells: open and verify it", us(open), "us");
}

fn random(len: usize, rng: &mut ChaCha20Rng) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(vec![0; len]);
    rng.fill_bytes(&mut bytes);
    bytes
}
