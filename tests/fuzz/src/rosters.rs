//! Rosters: what anyone may send, what a lead may sign, and what follows upon what.
use super::{
    input::{Input, changes},
    world::{NOW, World},
};
use porchlight_proto::{
    layout,
    limits::ROSTER_LEN,
    roster::{RosterBody, Rosters, UncheckedRoster},
    time::Seconds,
};

/// First byte 0: the rest is the roster. 1: the rest changes an honest one. 2: and a lead signs that.
pub fn roster(bytes: &[u8]) {
    let world = World::get();
    let mut input = Input(bytes);
    let how = input.u8();
    let mut roster = *world.roster.bytes();
    match how {
        0 => return look(input.0),
        _ => input.change(&mut roster),
    }
    if how == 2 {
        let (signed, signature) = roster.split_at_mut(layout::roster::signature.at);
        signature.copy_from_slice(&world.lead.sign("roster", &[signed]));
    }
    look(&roster);
}

fn look(bytes: &[u8]) {
    let root = World::get().root.public();
    let Ok(roster) = UncheckedRoster::parse(bytes).and_then(|roster| roster.check_signed(&root)) else { return };
    assert_eq!(roster.bytes().as_slice(), bytes);
    assert!(roster.timing().check().is_ok() && roster.not_before() < roster.not_after());
    let _ = (roster.week(), roster.closed_until(), roster.hash());
    let _ = UncheckedRoster::parse(bytes).unwrap().check(&root, NOW);
}

pub fn roster_seeds() -> Vec<Vec<u8>> {
    let honest = World::get().roster.bytes();
    let at = |how: u8, rest: &[u8]| [&[how], rest].concat();
    vec![
        at(0, honest),
        at(0, &honest[..ROSTER_LEN - 1]),
        at(1, &changes(&[(layout::roster::serial.at + 3, 9)])),
        at(2, &changes(&[(layout::roster::fast_slots.at, 8), (layout::roster::slow_days.at, 31)])),
        at(2, &changes(&[(layout::roster::beat_ms.at, 0), (layout::roster::beat_ms.at + 1, 0)])),
        at(2, &changes(&[(layout::roster::not_after.at, 255)])),
    ]
}

/// Rosters of any serial, period, generation and life, in any order.
pub fn rosters(bytes: &[u8]) {
    let world = World::get();
    let mut input = Input(bytes);
    let mut known = Rosters::new();
    for _ in 0..32 {
        if input.is_empty() {
            break;
        }
        let [serial, period, generation, begins, lasts, now] = input.array();
        let hour = |count: u8| NOW.plus(3600 * u64::from(count));
        let body = RosterBody {
            serial: u32::from(serial),
            period: u32::from(period),
            not_before: hour(begins),
            not_after: Seconds(hour(begins).0 + 3600 * u64::from(lasts)),
            ..world.body.clone()
        };
        let life = (world.cert.not_before, world.cert.not_after);
        let cert =
            porchlight_proto::cert::DeskCert::sign(&world.root, &world.lead.public(), u32::from(generation % 4), life.0, life.1);
        let Ok(roster) = body.sign(&world.lead, &cert, &world.root.public()) else { continue };
        let before = known.generation();
        let taken = known.insert(roster, hour(now)).is_ok();
        assert!(known.generation() >= before && (taken || known.generation() == before));
        let in_force = known.in_force(hour(now));
        assert!(in_force.is_none_or(|roster| roster.in_force_at(hour(now)) && roster.serial() <= known.highest_serial()));
        assert!(known.iter().all(|roster| roster.generation() == known.generation()), "a void generation is forgotten");
    }
}

pub fn rosters_seeds() -> Vec<Vec<u8>> {
    vec![
        vec![1, 1, 1, 0, 24, 0, 2, 2, 1, 24, 24, 0, 3, 1, 1, 0, 24, 1],
        vec![9, 1, 2, 0, 24, 0, 1, 1, 3, 0, 24, 0, 10, 1, 2, 0, 24, 0],
        vec![2, 1, 1, 0, 24, 1, 2, 1, 1, 0, 25, 1],
    ]
}
