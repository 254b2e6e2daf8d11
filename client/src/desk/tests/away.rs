//! Devices that were away for longer than the relay keeps cells.
use super::{converge::board, *};

/// Two desks that know each other, and a caller of whom both have heard.
fn met(test: &str, seed: u64) -> (World, usize, Her) {
    let mut world = World::new(test, seed);
    let away = world.join(Role::Worker, 1);
    let mut her = Her::new(&mut world);
    her.write(&world, "before");
    her.post(&mut world, false);
    beats(&mut world, &[0, away], 40);
    (world, away, her)
}

/// Desk beats of these desks, each of which reads the lane, and is left the board or leaves it where it is asked to.
fn beats(world: &mut World, desks: &[usize], count: usize) {
    for _ in 0..count {
        for desk in desks {
            world.sync(*desk);
            attend(world, *desk, &mut |_| {});
            world.bundle(*desk, false);
        }
        world.tick(10_000);
    }
}

/// What the driver does at the end of the lane. The relay's blobs are spoiled on the way.
fn attend(world: &mut World, desk: usize, spoil: &mut impl FnMut(&mut Vec<u8>)) -> Option<BoardTaken> {
    let now = world.now;
    world.act(desk, |desk, rng| desk.ask_if_missed(now.seconds(), rng)).unwrap();
    if let Some(asker) = world.offices[desk].look().unwrap().board_asked_for(R, now) {
        let left = world.act(desk, |desk, rng| desk.board_to_leave(asker, R, now.seconds(), rng)).unwrap();
        for (name, blob) in left.blobs() {
            assert!(world.blobs.insert(name, blob.to_vec()).is_none(), "a name was used twice");
        }
        world.act(desk, |desk, rng| desk.board_left(left.board(), now.seconds(), rng)).unwrap();
    }
    let board = world.offices[desk].look().unwrap().board_for_me()?;
    let found: Option<Vec<Vec<u8>>> = board.names().map(|name| world.blobs.get(&name).cloned()).collect();
    let Some(found) = found else {
        let lost = |desk: &mut Desk, _: &mut ChaCha20Rng| {
            desk.lose_board(&board);
            Ok(())
        };
        world.act(desk, lost).unwrap();
        return None;
    };
    let mut bytes = found.concat();
    spoil(&mut bytes);
    Some(world.act(desk, |desk, rng| desk.take_left_board(&board, &bytes, now.seconds(), rng)).unwrap())
}

/// Days pass; only the first desk is there, and the relay forgets everything.
fn days_pass(world: &mut World, her: &mut Her, days: u64) {
    for day in 0..days {
        world.tick(86_400_000);
        world.publish(0);
        her.come_again(world);
        her.write(world, &format!("day {day}"));
        her.post(world, false);
        world.sync(0);
        world.bundle(0, false);
        let now = world.now.seconds();
        world.act(0, |desk, rng| desk.note(her.caller, &format!("note {day}"), now, rng)).unwrap();
        world.act(0, |desk, rng| desk.tidy(now, rng)).unwrap();
    }
    world.sync(0);
    world.relay.forgotten = world.relay.lane.len() as u64;
}

fn same_board(world: &mut World, one: usize, other: usize) {
    let now = world.now.seconds();
    let (one, other) = (board(&mut world.offices[one], now), board(&mut world.offices[other], now));
    assert_eq!(one, other);
}

#[test]
fn a_device_back_after_four_days_shows_the_same_board_within_one_snapshot() {
    let (mut world, away, mut her) = met("four days", 81);
    days_pass(&mut world, &mut her, 4);
    let now = world.now.seconds();
    let id = world.offices[away].look().unwrap().line().unwrap().device;
    world.publish(away);
    world.sync(away);
    assert!(world.offices[away].look().unwrap().may_have_missed());
    assert!(world.offices[away].look().unwrap().line_view(now).unwrap().warnings.contains(&Warning::Missed));
    beats(&mut world, &[0, away], 120);
    same_board(&mut world, 0, away);
    assert!(world.thread(away, her.caller).items.len() >= 9, "five letters, four notes");
    let desk = world.offices[away].look().unwrap();
    assert!(!desk.may_have_missed() && desk.state.served == desk.state.asks[&id].seq, "asked once, served once");
    assert_eq!(world.blobs.len(), 1);
    // What was taken is on the disk, and is not asked for again.
    let (seq, now) = (desk.state.served, world.now.seconds());
    world.offices[away].compact(now, &mut world.rng).unwrap();
    world.offices[away] = Office::open(world.dirs[away].path(), &words()).unwrap();
    beats(&mut world, &[0, away], 20);
    let desk = world.offices[away].look().unwrap();
    assert!(!desk.may_have_missed() && desk.state.served == seq && desk.state.asks[&id].seq == seq);
    same_board(&mut world, 0, away);
}

#[test]
fn a_relay_that_lost_its_lane_is_noticed_and_a_board_that_is_gone_or_changed_is_asked_for_again() {
    let (mut world, away, mut her) = met("lane lost", 82);
    let id = world.offices[away].look().unwrap().line().unwrap().device;
    days_pass(&mut world, &mut her, 1);
    world.relay.life += 1;
    world.relay.lane.clear();
    world.relay.forgotten = 0;
    world.publish(away);
    // The first board's blobs are changed on the relay, those of the second are lost.
    let mut rounds = Vec::new();
    for round in 0..3 {
        let (asked, mut wrong) = (world.offices[away].look().unwrap().state.asks.get(&id).map_or(0, |ask| ask.seq), None);
        for _ in 0..(3700 / 10) {
            for desk in [0, away] {
                world.sync(desk);
                if round == 1 && desk == away {
                    world.blobs.clear();
                }
                wrong = attend(&mut world, desk, &mut |bytes| bytes[70] ^= u8::from(round == 0)).or(wrong);
                world.bundle(desk, false);
            }
            world.tick(10_000);
        }
        let desk = world.offices[away].look().unwrap();
        rounds.push((desk.state.asks[&id].seq > asked, wrong, desk.may_have_missed()));
    }
    assert_eq!(rounds[0], (true, Some(BoardTaken::Wrong), true));
    assert_eq!((rounds[1].0, rounds[1].2), (true, true));
    assert_eq!(rounds[2], (true, Some(BoardTaken::Yes), false));
    same_board(&mut world, 0, away);
}

/// A relay that gives one device junk in the place of a cell and then watches who asks for a board would learn whether that cell was a
/// letter (decision 0063).
#[test]
fn a_letter_of_which_only_colleagues_speak_is_not_asked_for() {
    let (mut world, other, mut her) = met("kept from one", 91);
    her.write(&world, "shown to one of them");
    her.post(&mut world, false);
    world.sync(0);
    let last = world.relay.lane.len() - 1;
    let cell = world.relay.lane[last].clone();
    world.rng.fill_bytes(world.relay.lane[last].as_mut_slice());
    world.sync(other);
    world.relay.lane[last] = cell;
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.mark_shown(her.caller, now, rng)).unwrap();
    beats(&mut world, &[0, other], 40);
    assert_eq!((world.only_row(0).letters, world.only_row(other).letters), (2, 1));
    assert!([0, other].into_iter().all(|desk| world.offices[desk].look().unwrap().state.asks.is_empty()));
    // It comes to light with another life of the lane.
    world.relay.life += 1;
    beats(&mut world, &[0, other], 40);
    same_board(&mut world, 0, other);
}

#[test]
fn of_two_who_were_away_both_are_served_and_nobody_asks_without_a_gap() {
    let (mut world, away, mut her) = met("two away", 83);
    let third = world.join(Role::Worker, 2);
    beats(&mut world, &[0, away, third], 60);
    for desk in [0, away, third] {
        assert!(world.offices[desk].look().unwrap().state.asks.is_empty());
    }
    days_pass(&mut world, &mut her, 5);
    for desk in [away, third] {
        world.publish(desk);
    }
    beats(&mut world, &[0, away, third], 200);
    same_board(&mut world, 0, away);
    same_board(&mut world, 0, third);
    assert_eq!(world.blobs.len(), 2, "one blob for each");
}

#[test]
fn nobody_outside_the_team_opens_a_board_and_a_revoked_device_is_left_none() {
    let (mut world, away, mut her) = met("revoked away", 84);
    let id = world.offices[away].look().unwrap().line().unwrap().device;
    days_pass(&mut world, &mut her, 4);
    world.publish(away);
    world.sync(away);
    let now = world.now.seconds();
    assert!(world.act(away, |desk, rng| desk.ask_if_missed(now, rng)).unwrap());
    for _ in 0..20 {
        world.bundle(away, false);
        world.tick(10_000);
    }
    world.sync(0);
    let now = world.now;
    assert_eq!(world.offices[0].look().unwrap().board_asked_for(R, now), Some(id));
    world.act(0, |desk, rng| desk.revoke(id, now.seconds(), rng)).unwrap();
    assert_eq!(world.offices[0].look().unwrap().board_asked_for(R, now), None);
    // Even a board made all the same is sealed to a key that only the team of that day holds.
    let left = world.act(0, |desk, rng| desk.board_to_leave(id, R, now.seconds(), rng)).unwrap();
    let bytes: Vec<u8> = left.blobs().flat_map(|(_, blob)| blob.to_vec()).collect();
    let taken = world.act(away, |desk, rng| desk.take_left_board(left.board(), &bytes, now.seconds(), rng)).unwrap();
    assert_eq!(taken, BoardTaken::NotYet);
}

#[test]
fn a_team_of_which_everybody_missed_something_puts_together_what_is_left() {
    let (mut world, away, mut her) = met("all away", 85);
    days_pass(&mut world, &mut her, 4);
    // The lead has the letters of four days and is then away itself; the relay forgets what came meanwhile.
    her.come_again(&mut world);
    her.write(&world, "lost to everybody");
    her.post(&mut world, false);
    world.tick(4 * 86_400_000);
    world.relay.forgotten = world.relay.lane.len() as u64;
    world.publish(0);
    world.publish(away);
    beats(&mut world, &[0, away], 120);
    same_board(&mut world, 0, away);
    assert!(world.thread(away, her.caller).items.len() >= 9);
    for desk in [0, away] {
        assert!(!world.offices[desk].look().unwrap().may_have_missed());
    }
}

/// A history of the fuzzer's: seed 7 of `whatever_goes_wrong`, shrunk. A receipt told her page not to send again what only one had.
#[test]
fn a_letter_that_found_no_room_at_one_device_comes_with_a_colleagues_board() {
    let (mut world, away, _) = met("turned away", 86);
    let mut her = Her::new(&mut world);
    for n in 0..18 {
        her.write(&world, &format!("letter {n}"));
    }
    for _ in 0..60 {
        her.post(&mut world, false);
        beats(&mut world, &[0, away], 1);
        her.read_fast(&world);
    }
    let held = |world: &mut World, desk: usize| {
        let now = world.now.seconds();
        let rows = world.offices[desk].look().unwrap().list(now);
        rows.iter().map(|row| row.letters).max().unwrap()
    };
    assert_eq!([held(&mut world, 0), held(&mut world, away)], [16, 16], "as many as a stranger may leave");
    // Somebody deals with her, and the next letter is there before the other device has heard of it.
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.note(her.caller, "she writes much", now, rng)).unwrap();
    for _ in 0..4 {
        her.post(&mut world, false);
    }
    for desk in [0, away] {
        world.sync(desk);
    }
    assert_eq!([held(&mut world, 0), held(&mut world, away)], [17, 16]);
    // Now it hears of it; her page learns that the letter is here, and leaves.
    beats(&mut world, &[0, away], 60);
    assert_eq!([held(&mut world, 0), held(&mut world, away)], [17, 17]);
    same_board(&mut world, 0, away);
    assert_eq!(world.blobs.len(), 1);
}

/// A history of the fuzzer's: seed 2 of `whatever_goes_wrong`, shrunk. Everybody waited for one who could not.
#[test]
fn whoever_comes_next_leaves_the_board_that_the_first_does_not() {
    let (mut world, second, _) = met("next in turn", 87);
    let third = world.join(Role::Worker, 2);
    beats(&mut world, &[0, second, third], 60);
    let now = world.now.seconds().0;
    let miss = |desk: &mut Desk, _: &mut ChaCha20Rng| {
        desk.commit(Record::Missed(now, now));
        Ok(())
    };
    world.act(0, miss).unwrap();
    let mut left_after = None;
    for round in 0..200 {
        for desk in [0, second, third] {
            world.sync(desk);
            if desk != second {
                attend(&mut world, desk, &mut |_| {});
            }
            world.bundle(desk, false);
        }
        world.tick(10_000);
        left_after = left_after.or(Some(round * 10).filter(|_| !world.blobs.is_empty()));
    }
    assert!(left_after.is_some_and(|seconds| (900..1000).contains(&seconds)), "{left_after:?}");
    assert!(!world.offices[0].look().unwrap().may_have_missed());
}

/// A lead changed the keys and was closed; what its colleague read past until the key came, and the relay forgot, nobody asked for.
#[test]
fn what_was_read_past_without_its_key_and_died_before_that_came_is_asked_for() {
    let (mut world, away, mut her) = met("read past", 88);
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.rotate(now, rng)).unwrap();
    world.publish(0);
    world.publish(away);
    her.come_again(&mut world);
    her.write(&world, "sealed to the new key");
    her.post(&mut world, false);
    assert_eq!((world.sync(away).letters, world.sync(0).letters), (0, 1));
    world.relay.forgotten = world.relay.lane.len() as u64;
    beats(&mut world, &[0, away], 120);
    same_board(&mut world, 0, away);
    assert!(!world.offices[away].look().unwrap().may_have_missed());
    assert_eq!(world.blobs.len(), 1, "asked once, served once");
}

#[test]
fn what_was_read_past_without_its_key_is_read_again_and_not_missed_if_the_relay_still_has_it() {
    let (mut world, away, mut her) = met("read again", 89);
    for desk in [0, away] {
        world.sync(desk);
    }
    world.relay.forgotten = world.relay.lane.len() as u64;
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.rotate(now, rng)).unwrap();
    world.publish(0);
    world.publish(away);
    her.come_again(&mut world);
    her.write(&world, "sealed to the new key");
    her.post(&mut world, false);
    assert_eq!((world.sync(away).letters, world.sync(0).letters), (0, 1));
    beats(&mut world, &[0, away], 120);
    same_board(&mut world, 0, away);
    assert!(world.blobs.is_empty(), "nothing was asked for");
}

/// The relay forgets what every device has opened: a device that only read it past must not say that it did.
#[test]
fn a_device_that_lacks_a_key_does_not_have_the_relay_forget_what_it_could_not_open() {
    let (mut world, away, mut her) = met("floor", 90);
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.rotate(now, rng)).unwrap();
    world.publish(0);
    world.publish(away);
    let (_, opened) = world.offices[away].look().unwrap().after(R);
    her.come_again(&mut world);
    her.write(&world, "sealed to the new key");
    her.post(&mut world, false);
    world.sync(away);
    // More than an hour, in which it says how far it is.
    for _ in 0..370 {
        world.bundle(away, false);
        world.tick(10_000);
    }
    world.sync(away);
    world.sync(0);
    world.bundle(0, false);
    let floor = |world: &World| world.relay.floors.last().unwrap().n;
    assert!(floor(&world) <= opened, "{} of {opened}", floor(&world));
    beats(&mut world, &[0, away], 400);
    assert!(floor(&world) > opened + 400, "once it has the key it is as any other: {}", floor(&world));
    same_board(&mut world, 0, away);
}
