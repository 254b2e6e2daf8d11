//! Devices that come late, come twice, or are not who they should be.
use super::{converge::board, *};

/// A request of a new device, in a directory of its own.
fn asked(world: &mut World) -> (tempfile::TempDir, Office, JoinRequest) {
    let dir = tempfile::tempdir().unwrap();
    let (office, request) = Office::join(dir.path(), &words(), &mut world.rng).unwrap();
    (dir, office, request)
}

fn admitted(world: &mut World, request: &JoinRequest, seat: u8) -> Result<Admission, DeskError> {
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.admit(request, (Role::Worker, Seat::new(seat)), now, rng))
}

fn keep_three_days(world: &mut World) {
    let kept = world.act(0, |desk, _| {
        desk.keep_for(3);
        Ok(())
    });
    kept.unwrap();
}

#[test]
fn a_device_that_joins_after_the_relay_forgot_everything_shows_the_same_board() {
    let mut world = World::new("joins late", 50);
    keep_three_days(&mut world);
    let mut callers = vec![];
    for turn in 0..12 {
        let mut her = Her::new(&mut world);
        her.write(&world, &format!("letter {turn}"));
        her.post(&mut world, false);
        world.sync(0);
        let now = world.now.seconds();
        world.act(0, |desk, rng| desk.note(her.caller, &format!("note {turn}"), now, rng)).unwrap();
        world.act(0, |desk, rng| desk.claim(her.caller, None, None, now, rng)).unwrap();
        world.act(0, |desk, rng| desk.mark_shown(her.caller, now, rng)).unwrap();
        if turn % 2 == 0 {
            world.answer(0, her.caller, &format!("answer {turn}"));
        }
        world.bundle(0, false);
        callers.push(her.caller);
        world.tick(43_200_000);
        world.publish(0);
        let now = world.now.seconds();
        world.act(0, |desk, rng| desk.tidy(now, rng)).unwrap();
    }
    world.relay.forgotten = world.relay.lane.len() as u64;
    let late = world.join(Role::Worker, 1);
    let now = world.now.seconds();
    let expected = board(&mut world.offices[0], now);
    assert!(expected.contains("letter 11") && expected.contains("answer 10") && !expected.contains("letter 0\""));
    assert_eq!(board(&mut world.offices[late], now), expected);
    // And goes on as one of the team, also when its journal has been written anew.
    let mut her = Her::new(&mut world);
    her.write(&world, "to both");
    her.post(&mut world, false);
    world.offices[late].compact(now, &mut world.rng).unwrap();
    world.act(0, |desk, rng| desk.note(callers[11], "later", now, rng)).unwrap();
    for _ in 0..30 {
        for desk in [0, late] {
            world.sync(desk);
            world.bundle(desk, false);
        }
        world.tick(10_000);
    }
    let now = world.now.seconds();
    let expected = board(&mut world.offices[0], now);
    assert!(expected.contains("to both") && expected.contains("later"));
    assert_eq!(board(&mut world.offices[late], now), expected);
}

#[test]
fn what_is_forgotten_at_one_desk_is_forgotten_at_the_one_that_came_late() {
    let mut world = World::new("forgets too", 51);
    keep_three_days(&mut world);
    let mut her = Her::new(&mut world);
    her.write(&world, "not for ever");
    her.post(&mut world, false);
    world.sync(0);
    world.tick(2 * 86_400_000);
    world.publish(0);
    let late = world.join(Role::Worker, 1);
    let now = world.now.seconds();
    assert!(board(&mut world.offices[late], now).contains("not for ever"));
    world.tick(2 * 86_400_000);
    let now = world.now.seconds();
    for desk in [0, late] {
        world.act(desk, |desk, rng| desk.tidy(now, rng)).unwrap();
        assert!(!board(&mut world.offices[desk], now).contains("not for ever"), "desk {desk}");
    }
}

#[test]
fn an_admission_is_of_no_use_to_another_device_and_cannot_be_changed() {
    let mut world = World::new("admission", 52);
    let mut her = Her::new(&mut world);
    her.write(&world, "a secret of hers");
    her.post(&mut world, false);
    world.sync(0);
    let (_dir, mut office, request) = asked(&mut world);
    let (_other_dir, mut other, _) = asked(&mut world);
    let admission = admitted(&mut world, &request, 1).unwrap();
    let bytes = admission.to_bytes();
    assert!(!bytes.windows(16).any(|window| window == b"a secret of hers"));
    let now = world.now.seconds();
    assert!(matches!(other.accept(&admission, now, &mut world.rng), Err(DeskError::BadAdmission)));
    assert_eq!(other.join_request().unwrap().check_words().len(), 8, "nothing of it was kept");
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    let changed = Admission::parse(&changed).unwrap();
    assert_ne!(changed.check_words(), admission.check_words());
    assert!(matches!(office.accept(&changed, now, &mut world.rng), Err(DeskError::BadAdmission)));
    assert!(matches!(Admission::parse(&bytes[1..]), Err(DeskError::BadAdmission)));
    office.accept(&Admission::parse(&bytes).unwrap(), now, &mut world.rng).unwrap();
    assert!(board(&mut office, now).contains("a secret of hers"));
    assert!(matches!(office.accept(&admission, now, &mut world.rng), Err(DeskError::Member)));
    assert!(matches!(office.join_request(), Err(DeskError::Member)));
}

#[test]
fn what_a_device_said_before_it_was_revoked_reaches_everyone() {
    let mut world = World::new("said before", 54);
    world.join(Role::Worker, 1);
    let mut her = Her::new(&mut world);
    her.write(&world, "hello");
    her.post(&mut world, false);
    for desk in [0, 1] {
        world.sync(desk);
    }
    let now = world.now.seconds();
    world.act(1, |desk, rng| desk.note(her.caller, "she likes plums", now, rng)).unwrap();
    for _ in 0..20 {
        for desk in [1, 0] {
            world.bundle(desk, false);
            world.sync(desk);
        }
        world.tick(10_000);
    }
    let third = world.join(Role::Worker, 2);
    let gone = world.offices[1].look().unwrap().line().unwrap().device;
    let now = world.now.seconds();
    // Two say more, one of them only to a relay that nobody has read yet; then one of them is out.
    world.act(1, |desk, rng| desk.note(her.caller, "and pears", now, rng)).unwrap();
    world.bundle(1, false);
    world.bundle(1, false);
    world.sync(0);
    world.act(0, |desk, rng| desk.revoke(gone, now, rng)).unwrap();
    world.publish(0);
    world.relay.forgotten = world.relay.lane.len() as u64;
    for (turns, outside) in [(120, false), (20, true)] {
        // The relay would not take it; but it may collude.
        if outside {
            world.act(1, |desk, rng| desk.note(her.caller, "from outside", now, rng)).unwrap();
        }
        for _ in 0..turns {
            for desk in [0, third].into_iter().chain(outside.then_some(1)) {
                world.bundle(desk, false);
                world.sync(desk);
            }
            world.tick(10_000);
        }
    }
    let now = world.now.seconds();
    let [ours, theirs] = [0, third].map(|desk| board(&mut world.offices[desk], now));
    assert!(ours.contains("she likes plums") && ours.contains("and pears") && !ours.contains("from outside"));
    assert_eq!(ours, theirs);
}

#[test]
fn a_device_that_leaves_is_named_by_the_leads_next_rosters() {
    let mut world = World::new("leaves", 55);
    let second = world.join(Role::Worker, 1);
    let now = world.now.seconds();
    let gone = world.offices[second].look().unwrap().line().unwrap().device;
    world.act(second, |desk, rng| desk.leave(now, rng)).unwrap();
    assert!(world.offices[second].look().unwrap().untold(now));
    for _ in 0..4 {
        world.bundle(second, false);
        world.sync(0);
        world.tick(10_000);
    }
    assert!(!world.offices[second].look().unwrap().untold(now));
    world.publish(0);
    let now = world.now.seconds();
    let roster = world.relay.rosters.in_force(now).unwrap().clone();
    let seat_key = world.offices[second].look().unwrap().seat_key().unwrap().public();
    assert!(roster.revoked(gone) && !roster.seat_keys(Seat::new(1).unwrap()).contains(&seat_key));
    let serial = roster.serial();
    world.publish(0);
    assert_eq!(world.relay.rosters.in_force(now).unwrap().serial(), serial, "once");
    // No worker can throw out another.
    let third = world.join(Role::Worker, 2);
    let lead = world.offices[0].look().unwrap().line().unwrap().device;
    let forged = world.act(third, |desk, rng| desk.tell(&porchlight_proto::event::Event::Revoked { device: lead }, now, rng));
    forged.unwrap();
    for _ in 0..4 {
        world.bundle(third, false);
        world.sync(0);
        world.tick(10_000);
    }
    let now = world.now.seconds();
    assert!(!world.offices[0].look().unwrap().is_revoked(now));
    world.publish(0);
    assert!(!world.relay.rosters.in_force(now).unwrap().revoked(lead));
}

#[test]
fn the_ninth_device_is_revoked_like_the_first() {
    let mut world = World::new("nine", 57);
    let mut seats = BTreeSet::new();
    for turn in 1..=9 {
        let gone = world.join(Role::Worker, 1);
        let device = world.offices[gone].look().unwrap().line().unwrap().device;
        let (now, period) = (world.now.seconds(), world.relay.rosters.in_force(world.now.seconds()).unwrap().clone());
        world.act(0, |desk, rng| desk.revoke(device, now, rng)).unwrap();
        world.publish(0);
        let roster = world.relay.rosters.in_force(now).unwrap().clone();
        assert!(roster.revoked(device), "device {turn}");
        assert_ne!(roster.desk_key().as_bytes(), period.desk_key().as_bytes(), "device {turn}");
        let theirs = world.offices[gone].look().unwrap().seat_key().unwrap().public();
        assert!(!roster.seat_keys(Seat::new(1).unwrap()).contains(&theirs), "device {turn}");
        assert!(seats.insert(*theirs.as_bytes()));
        world.publish(0);
        assert_eq!(world.relay.rosters.in_force(now).unwrap().serial(), roster.serial(), "once");
    }
}

#[test]
fn a_board_that_lies_about_what_others_wrote_is_not_believed() {
    let mut world = World::new("lies", 58);
    let late = world.join(Role::Worker, 1);
    let mut her = Her::new(&mut world);
    her.write(&world, "hello");
    her.post(&mut world, false);
    world.sync(0);
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.note(her.caller, "she likes plums", now, rng)).unwrap();
    let honest = world.offices[0].look().unwrap().board_bytes(now, None).unwrap();
    let records: Vec<Record> = minicbor::decode(&honest).unwrap();
    let lies: [fn(&mut record::EventRecord); 5] = [
        |event| event.words.as_mut().unwrap().bytes.push(0),
        |event| event.time += 1,
        |event| *event.signatures.last_mut().unwrap() ^= 1,
        |event| event.hash[0] ^= 1,
        |event| event.words = None,
    ];
    for lie in lies {
        let mut told = records.clone();
        let noted = told.iter_mut().rev().find_map(|record| match record {
            Record::Event(event) if event.words.is_some() => Some(event),
            _ => None,
        });
        lie(noted.unwrap());
        let told = minicbor::to_vec(&told).unwrap();
        world.act(late, |desk, rng| desk.take_board(&told, now, rng)).unwrap();
        assert!(!board(&mut world.offices[late], now).contains("Note {"));
    }
    world.act(late, |desk, rng| desk.take_board(&honest, now, rng)).unwrap();
    assert!(board(&mut world.offices[late], now).contains("she likes plums"));
}

#[test]
fn asked_twice_a_lead_admits_once_and_a_revoked_device_never() {
    let mut world = World::new("twice", 53);
    let (dir, office, request) = asked(&mut world);
    drop(office);
    let mut office = Office::open(dir.path(), &words()).unwrap();
    let again = office.join_request().unwrap();
    assert_eq!((&again, again.check_words()), (&request, request.check_words()));
    let text = request.to_text().to_lowercase();
    let broken: String =
        text.chars().enumerate().flat_map(|(at, c)| [c].into_iter().chain((at % 60 == 59).then_some('\n'))).collect();
    assert_eq!(JoinRequest::parse(&broken).unwrap(), request);
    assert!(matches!(JoinRequest::parse("PORCHLIGHT-JOIN1-AAAA"), Err(DeskError::BadRequest)));

    admitted(&mut world, &request, 1).unwrap();
    let (_dir, _office, third) = asked(&mut world);
    assert!(matches!(admitted(&mut world, &third, 1), Err(DeskError::SeatTaken)));
    let serial = world.offices[0].look().unwrap().line_view(world.now.seconds()).unwrap().serial;
    let second = admitted(&mut world, &request, 1).unwrap();
    let now = world.now.seconds();
    assert_eq!(world.offices[0].look().unwrap().line_view(now).unwrap().serial, serial, "nothing is signed anew");
    office.accept(&second, now, &mut world.rng).unwrap();
    world.offices.push(office);
    world.publish(0);
    assert_eq!(world.offices[0].look().unwrap().free_seat(), Seat::new(2));

    let device = world.offices[1].look().unwrap().line().unwrap().device;
    let name = world.offices[0].look().unwrap().line_view(now).unwrap().devices.iter().find(|d| !d.mine).unwrap().device.clone();
    assert_eq!(world.offices[0].look().unwrap().find_device(&name[..6]).unwrap(), device);
    assert!(matches!(world.offices[0].look().unwrap().find_device(&name[..3]), Err(DeskError::NoSuchDevice)));
    world.act(0, |desk, rng| desk.revoke(device, now, rng)).unwrap();
    let serial = world.offices[0].look().unwrap().line_view(now).unwrap().serial;
    world.act(0, |desk, rng| desk.revoke(device, now, rng)).unwrap();
    assert_eq!(world.offices[0].look().unwrap().line_view(now).unwrap().serial, serial, "once is enough");
    assert!(matches!(admitted(&mut world, &request, 1), Err(DeskError::Revoked)));
    let own = world.offices[0].look().unwrap().line().unwrap().device;
    assert!(matches!(world.act(0, |desk, rng| desk.revoke(own, now, rng)), Err(DeskError::Own)));
    // The seat is free for another, and the one who has gone cannot do any of this.
    assert_eq!(world.offices[0].look().unwrap().free_seat(), Seat::new(1));
    admitted(&mut world, &third, 1).unwrap();
    assert!(matches!(world.act(1, |desk, rng| desk.revoke(own, now, rng)), Ok(Revocation::Voted)));
}

#[test]
fn a_worker_knows_how_long_the_line_is_published_and_is_warned_when_the_lead_stays_away() {
    let mut world = World::new("lead away", 56);
    let second = world.join(Role::Worker, 1);
    world.join(Role::Worker, 2);
    let short = |world: &mut World| {
        let now = world.now.seconds();
        world.offices[second].look().unwrap().line_view(now).unwrap().warnings.contains(&Warning::HorizonShort)
    };
    // The third's joining made every statement anew; the second learns of the one in force, and gets the secrets of all.
    for _ in 0..60 {
        world.publish(second);
        for desk in [0, second] {
            world.sync(desk);
            world.bundle(desk, false);
        }
        world.tick(10_000);
    }
    assert!(!short(&mut world));
    for day in 1..=6 {
        world.tick(86_400_000);
        world.publish(second);
        assert_eq!(short(&mut world), day >= 4, "day {day}");
    }
}
