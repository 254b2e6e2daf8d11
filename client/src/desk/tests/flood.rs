//! Anyone with the gate may post what they like, under as many keys as they like: the desk stays small, and honest letters
//! get through.
use super::*;
use crate::desk::crowd::Marks;
use porchlight_proto::{
    cell::up::{LetterPart, Recipient},
    limits::LETTER_PART_LEN,
    parts::Part,
    seal::Use,
};

/// Bounds small enough to be reached in a test; their proportions to the flood are the product's.
const CELLS_MAX: usize = 160;
const HALF_MAX: usize = 48;

fn narrow(world: &mut World) {
    let crowd = &mut world.offices[0].desk.state.crowd;
    (crowd.strangers_cells_max, crowd.half_parts_max) = (CELLS_MAX, HALF_MAX);
}

/// One hostile cell, rightly sealed and signed: a letter, a part of a letter that never comes, or a dummy.
fn hostile(world: &mut World, caller: &SecretKey, seq: u16, kind: u32) {
    let roster = world.relay.rosters.in_force(world.now.seconds()).unwrap().clone();
    let to = Recipient { line: roster.line(), period: roster.period(), purpose: Use::Desk, key: roster.desk_key() };
    let letter = Letter { status: Some(Status::Help), text: "x".to_owned().into(), ..Letter::default() };
    let back = Letter { withdraw: Some(Withdraw::AllUnshown), ..Letter::default() };
    let whole = |letter: &Letter| Part { part: 0, parts: 1, bytes: letter.to_cbor().unwrap().into() };
    let part = match kind {
        0 => whole(&letter),
        1 => Part { part: 0, parts: 32, bytes: vec![7; LETTER_PART_LEN].into() },
        2 => whole(&back),
        _ => LetterPart::dummy_part(&mut world.rng),
    };
    let cell = LetterPart {
        dummy: kind > 2,
        session: [seq.to_be_bytes()[1]; 8],
        seq: if kind > 2 { 0 } else { 1 },
        part,
        time: world.now.seconds().rounded(),
        live_key: Zeroizing::new([1; 32]),
        reply_key: Zeroizing::new([2; 32]),
        saw: [0; 8],
    };
    world.relay.lane.push(cell.seal(&to, caller, &mut world.rng));
}

fn check(world: &World, promised: &mut BTreeSet<CallerId>) {
    let state = &world.offices[0].desk.state;
    let (kept, counted) = state.census();
    assert_eq!(kept, counted, "what is counted is what is there");
    assert!(kept[0] <= CELLS_MAX && kept[1] <= HALF_MAX, "{kept:?}");
    assert!(state.callers.len() <= CELLS_MAX + HALF_MAX + 2, "{} callers", state.callers.len());
    assert!(world.offices[0].desk.presence.pages.len() <= CELLS_MAX + HALF_MAX + 2);
    assert!(promised.iter().all(|caller| state.callers.contains_key(caller)), "who has a receipt stays");
    let told = state.callers.iter().filter(|(_, entry)| entry.visits.values().any(|visit| visit.receipt.fast > 0));
    promised.extend(told.map(|(caller, _)| *caller));
}

#[test]
fn in_a_flood_of_strangers_the_desk_stays_small_and_honest_letters_arrive() {
    let mut world = World::new("flood", 90);
    let mut known = Her::new(&mut world);
    known.write(&world, "the team knows me");
    known.post(&mut world, false);
    world.sync(0);
    world.answer(0, known.caller, "yes");
    narrow(&mut world);
    let mut newcomer = Her::new(&mut world);
    let mut promised = BTreeSet::new();
    for beat in 0..60u16 {
        for _ in 0..24 {
            let caller = SecretKey::generate(&mut world.rng);
            let kind = world.rng.next_u32() % 4;
            hostile(&mut world, &caller, beat, kind);
        }
        if beat == 6 {
            known.write(&world, &"known, at length. ".repeat(200));
            newcomer.write(&world, &"new, and honest. ".repeat(200));
        }
        for her in [&mut known, &mut newcomer] {
            her.post(&mut world, beat % 5 == 3);
        }
        world.sync(0);
        world.bundle(0, false);
        check(&world, &mut promised);
        world.tick(10_000);
        for her in [&mut known, &mut newcomer] {
            her.read_fast(&world);
        }
    }
    assert!(known.visit.all_receipted(), "the known caller's");
    assert!(newcomer.visit.all_receipted(), "the newcomer's");
    for her in [&known, &newcomer] {
        let thread = world.thread(0, her.caller);
        assert!(thread.items.iter().any(|item| matches!(item, Item::Letter { text, .. } if text.len() > 3000)));
    }
    let now = world.now.seconds();
    assert!(world.offices[0].look().unwrap().line_view(now).unwrap().warnings.contains(&Warning::Crowded));
    world.offices[0].compact(now, &mut world.rng).unwrap();
    let again = Office::open(world.dirs[0].path(), &words()).unwrap();
    assert_eq!(again.desk.state.census().0, world.offices[0].desk.state.census().0, "the disk says the same");
}

#[test]
fn strangers_are_receipted_while_an_answer_waits_for_somebody_who_is_away() {
    let mut world = World::new("unread", 93);
    let mut away = Her::new(&mut world);
    away.write(&world, "I will come back");
    away.post(&mut world, false);
    world.sync(0);
    world.answer(0, away.caller, "we are here");
    let ten_seconds = |world: &mut World, her: &mut Her| {
        her.post(world, false);
        world.sync(0);
        world.bundle(0, false);
        world.tick(10_000);
        her.read_fast(world);
    };
    // Her page has been closed for long: nothing of hers goes fast any more.
    world.tick(3_600_000);
    for stranger in 0..4 {
        let mut her = Her::new(&mut world);
        her.write(&world, "hello");
        (0..12).for_each(|_| ten_seconds(&mut world, &mut her));
        assert!(her.visit.all_receipted(), "stranger {stranger}");
    }
}

#[test]
fn a_stranger_has_a_share_until_a_worker_looks() {
    let mut world = World::new("share", 91);
    let caller = SecretKey::generate(&mut world.rng);
    for visit in 0..40 {
        hostile(&mut world, &caller, visit, 0);
    }
    let taken = world.sync(0);
    assert_eq!((taken.letters, taken.refused), (16, 24));
    let row = world.only_row(0);
    let now = world.now.seconds();
    world
        .act(0, |desk, rng| {
            let caller = desk.find(&row.id).unwrap();
            desk.mark_shown(caller, now, rng)
        })
        .unwrap();
    for visit in 40..44 {
        hostile(&mut world, &caller, visit, 0);
    }
    assert_eq!(world.sync(0).letters, 4, "what was looked at makes room");
}

#[test]
fn marks_remember_the_newest_and_forget_the_oldest() {
    let mut marks = Marks::default();
    let mark = |n: u32| -> [u8; 16] { core::array::from_fn(|at| n.to_be_bytes()[at % 4]) };
    for n in 0..1000 {
        assert!(marks.insert(mark(n), 64));
        for recent in n.saturating_sub(63)..=n {
            assert!(!marks.insert(mark(recent), 64), "{recent} of {n}");
        }
        assert!(marks.iter().count() <= 128);
    }
    assert!(marks.insert(mark(0), 64), "long gone");
}

#[test]
fn sealing_keys_are_erased_when_nothing_can_be_sealed_to_them_any_more() {
    let mut world = World::new("sealing keys", 92);
    let second = world.join(Role::Worker, 1);
    let held = |world: &World| {
        let names = world.offices[second].desk.ring.names();
        names.filter(|name| matches!(name, KeyName::Sealing(_))).collect::<Vec<_>>()
    };
    for day in 1..=25 {
        world.tick(86_400_000);
        for desk in [0, second] {
            world.publish(desk);
            world.sync(desk);
            world.bundle(desk, false);
        }
        let now = world.now.seconds();
        world.act(second, |desk, rng| desk.tidy(now, rng)).unwrap();
        // The nth is of the day before the nth; it lives for seven days, letters under it for 72 hours, and 12 are grace.
        let oldest =
            held(&world).iter().map(|name| if let KeyName::Sealing(nth) = name { *nth } else { u64::MAX }).min().unwrap();
        assert!((day + 1 - oldest) * 24 <= 252, "day {day}: {:?}", held(&world));
    }
    assert!(held(&world).contains(&KeyName::Sealing(26)) && !held(&world).contains(&KeyName::Sealing(1)));
}
