//! Cells: bytes that open to nothing, and cells that honest code seals around fields of any value.
use super::{
    input::{Input, changes},
    world::{NOW, World, rng},
};
use porchlight_proto::{
    cell::{
        down::{self, AnswerPart, Kind, Place, Reader, Receipt, Tags, Track, Withdrawal},
        up::{self, EventStamp, LetterPart, Opened, Opener, Recipient, TeamPart},
    },
    limits::{ANSWER_PART_LEN, DOWN_CELL_LEN, LETTER_PART_LEN, TEAM_PART_LEN, UP_CELL_LEN},
    line::{CallerId, Seat},
    parts::Part,
    seal::Use,
    time::Seconds,
};
use zeroize::Zeroizing;

fn part(input: &mut Input<'_>, most: usize) -> Part {
    let (part, parts) = (input.u8(), input.u8());
    let len = usize::from(input.u16()).min(most);
    let mut bytes = Zeroizing::new(vec![0x5a; len]);
    let given = input.bytes(len.min(16));
    bytes[..given.len()].copy_from_slice(given);
    Part { part, parts, bytes }
}

/// First byte 0: the rest is the cell. 1: fields of a letter. 2: fields of a team letter. 3: changes of an honest letter.
pub fn up_cell(bytes: &[u8]) {
    let world = World::get();
    let mut input = Input(bytes);
    let recipient = Recipient { line: &world.line, period: 20_780, purpose: Use::Desk, key: world.desk.public() };
    let opener = Opener { line: &world.line, period: 20_780, purpose: Use::Desk, secret: &world.desk };
    match input.u8() {
        0 => {
            let cell: [u8; UP_CELL_LEN] = input.array();
            assert!(up::open(&cell, &opener).is_err());
        }
        1 => {
            let letter = letter(&mut input);
            if let Ok(opened) = up::open(&letter.seal(&recipient, &world.caller, &mut rng()), &opener) {
                let caller = CallerId::of(&world.line, &world.caller.public());
                let rounded = LetterPart { time: Seconds(letter.time.rounded().0), ..letter };
                assert!(opened == Opened::Letter(caller, rounded));
            }
        }
        2 => {
            let (device_seq, lamport, time) = (input.u64(), input.u64(), Seconds(u64::from(input.u32())));
            let stamp = EventStamp { device_seq, previous: input.array(), lamport, time };
            let team = TeamPart::sign(&stamp, part(&mut input, TEAM_PART_LEN), (&world.line, Use::Desk), &world.device);
            if let Ok(opened) = up::open(&team.seal(&recipient, &mut rng()), &opener) {
                assert!(opened == Opened::Team(team));
            }
        }
        _ => {
            let honest = honest_letter().seal(&recipient, &world.caller, &mut rng());
            let mut cell = honest.clone();
            input.change(cell.as_mut_slice());
            let opens = up::open(&cell, &opener).is_ok();
            assert!(!opens || cell == honest, "one changed byte opens to nothing");
        }
    }
}

fn letter(input: &mut Input<'_>) -> LetterPart {
    LetterPart {
        dummy: input.u8() & 1 == 1,
        session: input.array(),
        seq: input.u16(),
        time: Seconds(u64::from(input.u32())),
        live_key: Zeroizing::new(input.array()),
        reply_key: Zeroizing::new(input.array()),
        saw: input.array(),
        part: part(input, LETTER_PART_LEN),
    }
}

fn honest_letter() -> LetterPart {
    let part = Part { part: 0, parts: 1, bytes: Zeroizing::new(vec![1]) };
    LetterPart { seq: 1, time: NOW, part, ..letter(&mut Input(&[])) }
}

pub fn up_cell_seeds() -> Vec<Vec<u8>> {
    let mut letter = vec![1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0x6b, 0, 0, 0];
    letter.resize(letter.len() + 72, 3);
    letter.extend([0, 2, 2, 0xd3, 9, 9]);
    let mut team = vec![2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x6b, 0, 0, 0];
    team.resize(team.len() + 32, 0);
    team.extend([0, 1, 0, 2, 9, 9]);
    vec![vec![0, 1, 2, 3], letter, team, [&[3], changes(&[(0, 1), (2047, 0)]).as_slice()].concat(), vec![3]]
}

const LIVE: [u8; 32] = [3; 32];

/// First byte 0: the rest is a cell under the right tag. 1: fields of an answer. 2: changes of an honest one.
pub fn down_cell(bytes: &[u8]) {
    let world = World::get();
    let mut input = Input(bytes);
    let how = input.u8();
    let seat = Seat::new(input.u8() % 9).unwrap();
    let place = Place { relay_no: input.u8(), seat, i: input.u16() };
    let track = if input.u8() & 1 == 0 { Track::Fast(&LIVE) } else { Track::Slow(&LIVE, input.u32()) };
    let caller = CallerId([1; 16]);
    let reader = Reader { caller: &caller, roster: &world.roster, now: NOW };
    let who = (&world.line, &caller);
    match how {
        0 => {
            let mut cell: [u8; DOWN_CELL_LEN] = input.array();
            cell[..16].copy_from_slice(&Tags::of(track, &world.line).tag(place));
            assert!(down::open(&cell, (track, place), &reader).is_err());
        }
        1 => {
            let answer = answer(&mut input);
            let cell = answer.seal(who, (track, place), &world.device, &mut rng());
            if let Ok(opened) = down::open(&cell, (track, place), &reader) {
                assert!(opened == answer);
            }
        }
        _ => {
            let honest = AnswerPart::receipt(Receipt { session: [1; 8], upto: 1, map: 0 }, NOW);
            let cell = honest.seal(who, (track, place), &world.device, &mut rng());
            let mut changed = cell.clone();
            input.change(changed.as_mut_slice());
            let opens = down::open(&changed, (track, place), &reader).is_ok();
            assert!(!opens || changed == cell, "one changed byte opens to nothing");
        }
    }
}

fn answer(input: &mut Input<'_>) -> AnswerPart {
    let kind = [Kind::Receipt, Kind::Answer, Kind::Stop][usize::from(input.u8() % 3)];
    let near = |input: &mut Input<'_>| Seconds(NOW.0 - 200_000 + u64::from(input.u32() % 400_000));
    AnswerPart {
        kind,
        withdrawal: Withdrawal::from_flags(input.u8()),
        answer: input.array(),
        time: near(input),
        good_until: near(input),
        answers: (input.array(), input.u16()),
        have: Receipt { session: input.array(), upto: input.u16(), map: input.u64() },
        part: part(input, ANSWER_PART_LEN),
    }
}

pub fn down_cell_seeds() -> Vec<Vec<u8>> {
    let mut fields = vec![1, 2, 0, 0, 5, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 3, 0x0d, 0x40, 0, 3, 0x20, 0];
    fields.resize(fields.len() + 28, 4);
    fields.extend([0, 1, 0, 2, 9, 9]);
    vec![
        vec![0, 2, 0, 0, 5, 0, 9, 9],
        fields,
        vec![2, 0, 0, 0, 0, 0],
        [&[2, 8, 0, 0, 0, 0], changes(&[(500, 1)]).as_slice()].concat(),
    ]
}
