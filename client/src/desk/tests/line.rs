//! The line over weeks: rosters ahead, rotation, renewal, secrets.
use super::*;

#[test]
fn rosters_are_published_seven_days_ahead_without_gaps_and_only_once() {
    let mut world = World::new("ahead", 80);
    let now = world.now.seconds();
    let view = world.offices[0].look().unwrap().line_view(now).unwrap();
    assert!(view.published_until >= now.0 + 7 * 86_400 && view.warnings.is_empty(), "{view:?}");
    assert_eq!(world.act(0, |desk, rng| desk.publish(now, rng)).unwrap(), 0);
    world.tick(86_400_000);
    let now = world.now.seconds();
    // One more day, and the emergency period anew behind it.
    assert_eq!(world.act(0, |desk, rng| desk.publish(now, rng)).unwrap(), 2);
    let desk = world.offices[0].look().unwrap();
    let mut rosters: Vec<_> = desk.state.rosters.iter().collect();
    rosters.sort_by_key(|roster| roster.serial());
    for pair in rosters.windows(2) {
        assert_eq!(pair[1].period(), pair[0].period() + 1);
        assert_eq!(pair[1].not_before(), pair[0].not_after());
        // Between them was the emergency period that the later one took the place of.
        assert!(pair[1].serial() == pair[0].serial() + 2 || pair[1].previous_hash() == pair[0].hash());
    }
}

#[test]
fn a_rotation_gives_new_desk_keys_and_keeps_a_young_seat_key() {
    let mut world = World::new("rotate", 81);
    let seat = |world: &World| world.relay.rosters.in_force(world.now.seconds()).unwrap().seat_keys(Seat::new(0).unwrap());
    let desk_key = |world: &World| world.relay.rosters.in_force(world.now.seconds()).unwrap().desk_key().as_bytes().to_vec();
    let (first_seat, first_key) = (seat(&world), desk_key(&world));
    world.tick(1000);
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.rotate(now, rng)).unwrap();
    world.publish(0);
    assert_eq!(seat(&world), first_seat);
    assert_ne!(desk_key(&world), first_key);
    world.tick(14 * 86_400_000);
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.rotate(now, rng)).unwrap();
    world.publish(0);
    assert_eq!(seat(&world)[1], first_seat[0], "the old key is listed as the previous one");
    assert_ne!(seat(&world)[0], first_seat[0]);
    let mut her = Her::new(&mut world);
    her.write(&world, "after all this");
    her.post(&mut world, false);
    assert_eq!(world.sync(0).letters, 1);
}

#[test]
fn a_line_renewed_with_its_root_lives_on_and_with_another_root_does_not() {
    let mut world = World::new("renew", 82);
    let second = world.join(Role::Worker, 1);
    world.tick(20 * 86_400_000);
    let now = world.now.seconds();
    assert!(world.offices[0].look().unwrap().line_view(now).unwrap().warnings.contains(&Warning::RenewDeskCertificate));
    let other = SecretKey::generate(&mut world.rng);
    let refused = world.act(0, |desk, rng| desk.renew(&other, now, rng)).unwrap_err();
    assert!(matches!(refused, DeskError::AnotherRoot));
    let root = SecretKey::from_seed(&world.root.seed());
    world.act(0, |desk, rng| desk.renew(&root, now, rng)).unwrap();
    world.publish(0);
    for _ in 0..30 {
        for desk in [0, second] {
            world.publish(desk);
            world.sync(desk);
            world.bundle(desk, false);
        }
        world.tick(10_000);
    }
    let cert = |world: &mut World, desk: usize| world.offices[desk].look().unwrap().line().unwrap().device_cert.not_after;
    assert_eq!(cert(&mut world, second), cert(&mut world, 0), "the colleague was vouched for anew");
    let now = world.now.seconds();
    assert_eq!(world.offices[0].look().unwrap().line_view(now).unwrap().warnings, []);
}

#[test]
fn a_raised_generation_voids_every_roster_before_it() {
    let mut world = World::new("generation", 87);
    let stolen = world.relay.rosters.in_force(world.now.seconds()).unwrap().clone();
    let last = world.relay.rosters.iter().map(SignedRoster::period).max().unwrap();
    let now = world.now.seconds();
    let root = SecretKey::from_seed(&world.root.seed());
    world.act(0, |desk, rng| desk.raise_generation(&root, now, rng)).unwrap();
    world.publish(0);
    let roster = world.relay.rosters.in_force(now).unwrap();
    assert_eq!((roster.generation(), roster.serial(), roster.period()), (2, 1, last + 1), "a number that none had");
    assert!(world.relay.rosters.insert(stolen, now).is_err());
    let mut her = Her::new(&mut world);
    her.write(&world, "under the new one");
    her.post(&mut world, false);
    assert_eq!(world.sync(0).letters, 1);
    assert_eq!(world.act(0, |desk, rng| desk.publish(now, rng)).unwrap(), 0);
    let view = world.offices[0].look().unwrap().line_view(now).unwrap();
    assert!(view.published_until >= now.0 + 7 * 86_400, "{view:?}");
}

#[test]
fn a_worker_publishes_nothing() {
    let mut world = World::new("worker", 83);
    let second = world.join(Role::Worker, 1);
    let now = world.now.seconds();
    assert!(matches!(world.act(second, |desk, rng| desk.rotate(now, rng)), Err(DeskError::NotALead)));
    let device = world.offices[0].look().unwrap().line().unwrap().device;
    assert!(matches!(world.act(second, |desk, rng| desk.revoke(device, now, rng)), Ok(Revocation::Voted)));
}

#[test]
fn a_relay_that_serves_an_older_roster_is_noticed() {
    let mut world = World::new("rollback", 84);
    let old = world.relay.notice(world.now);
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.rotate(now, rng)).unwrap();
    world.publish(0);
    let heard = world.act(0, |desk, _| desk.hear_notice(R, &old, now)).unwrap();
    assert!(heard.rolled_back);
    let current = world.relay.notice(world.now);
    assert!(!world.act(0, |desk, _| desk.hear_notice(R, &current, now)).unwrap().rolled_back);
    // A relay whose disk is gone serves none at all.
    let empty = Notice { roster: None, ..current };
    assert!(world.act(0, |desk, _| desk.hear_notice(R, &empty, now)).unwrap().rolled_back);
}

#[test]
fn a_bundle_names_slots_by_the_time_alone() {
    let names = |busy: bool| {
        let mut world = World::new("shape", 85);
        let mut her = Her::new(&mut world);
        if busy {
            her.write(&world, "hello");
            her.post(&mut world, false);
            world.sync(0);
            world.answer(0, her.caller, &"long ".repeat(900));
        }
        let mut named = vec![];
        for _ in 0..40 {
            let now = world.now;
            let bundle = world.act(0, |desk, rng| desk.bundle(R, now, rng)).unwrap();
            named.push((bundle.beat.fast_slot, bundle.beat.slow_slot));
            let reply = world.relay.beat(bundle.beat, now);
            world
                .act(0, |desk, _| {
                    desk.bundle_result(bundle.ticket, Posted::Answered(&reply), now);
                    Ok(())
                })
                .unwrap();
            world.tick(10_000);
        }
        named
    };
    let idle = names(false);
    assert_eq!(idle, names(true));
    assert!(idle.iter().filter(|(fast, _)| fast.is_some()).count() > 30);
    assert_eq!(idle.iter().filter(|(_, slow)| slow.is_some()).count(), 1);
}

#[test]
fn a_desk_is_silent_in_debug() {
    let mut world = World::new("silent", 86);
    let office = format!("{:?}", world.offices[0]);
    assert!(!office.contains('['), "{office}");
    let now = world.now;
    let ticket = world.act(0, |desk, rng| desk.bundle(R, now, rng)).unwrap().ticket;
    assert!(!format!("{ticket:?}").contains("[1"), "{ticket:?}");
}

#[test]
fn a_device_forgets_sealing_secrets_that_nothing_can_be_sealed_to_any_more() {
    let mut world = World::new("sealing", 27);
    let worker = world.join(Role::Worker, 1);
    let day = 86_400_000;
    let sealing = |world: &mut World| -> Vec<u64> {
        let desk = world.offices[worker].look().unwrap();
        desk.ring.names().filter_map(|name| if let KeyName::Sealing(number) = name { Some(number) } else { None }).collect()
    };
    for _ in 0..13 {
        world.tick(day);
        world.publish(0);
        let (now, notice) = (world.now.seconds(), world.relay.notice(world.now));
        world.act(worker, |desk, _| desk.hear_notice(R, &notice, now)).unwrap();
        world.bundle(worker, false);
        world.act(worker, |desk, rng| desk.tidy(now, rng)).unwrap();
    }
    // A lead seals to a key for a week after it was made, and three days and a half later no relay holds that any more. Now is the
    // thirteenth day; key 3 was made on the second, key 4 on the third.
    assert_eq!(sealing(&mut world), (4..=14).collect::<Vec<u64>>());
}

#[test]
fn a_desk_secret_that_comes_after_its_time_is_not_kept() {
    let mut world = World::new("late secret", 28);
    let worker = world.join(Role::Worker, 1);
    for _ in 0..8 {
        world.tick(86_400_000);
        world.publish(0);
        let now = world.now.seconds();
        world.act(0, |desk, rng| desk.tidy(now, rng)).unwrap();
        let notice = world.relay.notice(world.now);
        world.act(worker, |desk, _| desk.hear_notice(R, &notice, now)).unwrap();
        world.act(worker, |desk, rng| desk.tidy(now, rng)).unwrap();
    }
    let periods = |world: &mut World| -> Vec<u32> {
        let desk = world.offices[worker].look().unwrap();
        desk.ring.names().filter_map(|name| if let KeyName::Period(period, _) = name { Some(period) } else { None }).collect()
    };
    let late = KeyName::Period(1, 99);
    world
        .act(worker, |desk, _| {
            desk.put_key(late, &[9; 32]);
            Ok(())
        })
        .unwrap();
    assert!(periods(&mut world).contains(&1));
    let now = world.now.seconds();
    world.act(worker, |desk, rng| desk.tidy(now, rng)).unwrap();
    assert!(!periods(&mut world).contains(&1));
}
