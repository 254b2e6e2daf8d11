//! The safeguarding mailbox: nothing to any desk, and whole for whoever looks after it.
use super::{converge::board, *};
use porchlight_proto::{
    cell::up::{LetterPart, Recipient},
    parts::Part,
    seal::Use,
    time::is_safeguarding,
};
use std::path::Path;

const DAY_MS: u64 = 86_400_000;

fn joined(world: &mut World) -> usize {
    world.join(Role::Safeguarding, 8)
}

fn her_name_there(her: &Her, world: &World) -> CallerId {
    let line = porchlight_proto::line::LineId::from_root(&world.relay.root);
    CallerId::of(&line, &her.phrase.stretch(&line).safe_sign_key().public())
}

fn write(her: &mut Her, world: &World, text: &str) -> u16 {
    let letter = Letter { text: text.to_owned().into(), ..Letter::default() };
    her.visit.write(&letter, To::Safeguarding, world.now).unwrap()
}

/// Posts until safeguarding's turn has come so often; gives the places of those cells in the lane.
fn post(her: &mut Her, world: &mut World, turns: usize) -> Vec<usize> {
    let mut places = vec![];
    for _ in 0..turns {
        (0..6).for_each(|_| her.post(world, false));
        places.push(world.relay.lane.len());
        her.post(world, false);
    }
    places
}

/// The texts of what stands in her mailbox.
fn letters(world: &mut World, safe: usize) -> Vec<String> {
    let now = world.now.seconds();
    let desk = world.offices[safe].look().unwrap();
    let ids = desk.list(now).into_iter().map(|row| row.id);
    let items = ids.flat_map(|id| desk.show(desk.find(&id).unwrap(), now).unwrap().items);
    items.filter_map(|item| if let Item::Letter { text, .. } = item { Some(text) } else { None }).collect()
}

/// A renewal: asked for, admitted by the lead, taken.
fn renew(world: &mut World, safe: usize) {
    let now = world.now.seconds();
    let request = world.act(safe, |desk, rng| desk.renewal_request(now, rng)).unwrap();
    let admission = admit(world, &request).unwrap();
    world.offices[safe].accept(&Admission::parse(&admission.to_bytes()).unwrap(), now, &mut world.rng).unwrap();
}

fn admit(world: &mut World, request: &JoinRequest) -> Result<Admission, DeskError> {
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.admit(request, (Role::Safeguarding, Seat::new(8)), now, rng))
}

/// The line's days go by: leads publish, everybody hears.
fn live(world: &mut World, desks: &[usize], days: u64) {
    for _ in 0..days {
        world.tick(DAY_MS);
        for desk in desks {
            world.publish(*desk);
            let now = world.now.seconds();
            world.act(*desk, |desk, rng| desk.tidy(now, rng)).unwrap();
        }
    }
}

fn copied(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    let vault = to.path().join("vault");
    std::fs::create_dir(&vault).unwrap();
    std::fs::set_permissions(&vault, std::fs::metadata(from.join("vault")).unwrap().permissions()).unwrap();
    for file in std::fs::read_dir(from.join("vault")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), vault.join(file.file_name())).unwrap();
    }
    to
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(dir.join("vault")).unwrap().map(Result::unwrap);
    files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())).collect()
}

#[test]
fn no_device_of_the_team_can_tell_a_safeguarding_letter_from_junk() {
    let mut world = World::new("junk", 110);
    let worker = world.join(Role::Worker, 1);
    let safe = joined(&mut world);
    for _ in 0..30 {
        world.bundle(0, false);
        world.sync(worker);
        world.tick(10_000);
    }
    let mut her = Her::new(&mut world);
    her.write(&world, "to the desk");
    write(&mut her, &world, &"one of you hurt me. ".repeat(100));
    let begins = world.relay.lane.len();
    let places = post(&mut her, &mut world, 6);
    let honest = world.relay.page((world.relay.life, begins as u64));
    let mut junk = honest.clone();
    // Another line's letters, and random bytes with and without the right first one.
    let mut elsewhere = World::new("elsewhere", 111);
    let mut somebody = Her::new(&mut elsewhere);
    somebody.write(&elsewhere, "to another line");
    for (turn, place) in places.iter().map(|place| place - begins).enumerate() {
        somebody.post(&mut elsewhere, false);
        let cell = &mut junk.cells[place];
        let period_lo = cell[0];
        match turn % 3 {
            0 => *cell = elsewhere.relay.lane.last().unwrap().clone(),
            turn => {
                world.rng.fill_bytes(cell.as_mut_slice());
                if turn == 1 {
                    cell[0] = period_lo;
                }
            }
        }
    }
    let (now, seed) = (world.now, world.rng.next_u64());
    for desk in [0, worker] {
        let seen = [&honest, &junk].map(|page| {
            let dir = copied(world.dirs[desk].path());
            let mut office = Office::open(dir.path(), &words()).unwrap();
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let taken = office.act(&mut rng, |desk, rng| desk.take_page(R, page, now, rng)).unwrap();
            let sent = office.act(&mut rng, |desk, rng| desk.bundle(R, now, rng)).unwrap().beat.to_bytes();
            let view = format!("{:?}", office.look().unwrap().line_view(now.seconds()).unwrap());
            let board = board(&mut office, now.seconds());
            (taken, sent.to_vec(), view, board, files(dir.path()))
        });
        assert_eq!((seen[0].0.letters, seen[0].0.unreadable), (1, 6), "desk {desk}");
        assert!(seen[0] == seen[1], "desk {desk} tells them apart");
    }
    // It is not that there was nothing: she reads it.
    let taken = world.act(safe, |desk, rng| desk.take_page(R, &honest, now, rng)).unwrap();
    assert_eq!((taken.letters, taken.unreadable), (1, honest.cells.len() - 6));
    assert!(letters(&mut world, safe)[0].starts_with("one of you hurt me."));
}

#[test]
fn what_she_is_to_the_team_is_nothing() {
    let mut world = World::new("outside", 112);
    let worker = world.join(Role::Worker, 1);
    let beat = |world: &mut World, desks: &[usize]| {
        for _ in 0..60 {
            for desk in desks {
                world.sync(*desk);
                world.bundle(*desk, false);
            }
            world.tick(10_000);
        }
    };
    beat(&mut world, &[0, worker]);
    assert!(world.relay.floors.iter().any(|floor| floor.n > 0));
    let safe = joined(&mut world);
    let device = world.offices[safe].look().unwrap().line().unwrap().device;
    let now = world.now.seconds();
    // Whatever she writes into the team's book, nobody reads.
    let caller = CallerId([7; 16]);
    world.act(safe, |desk, rng| desk.tell(&porchlight_proto::event::Event::Note { caller, text: "x".into() }, now, rng)).unwrap();
    beat(&mut world, &[0, worker]);
    world.relay.floors.clear();
    beat(&mut world, &[0, worker, safe]);
    assert!(world.relay.floors.iter().all(|floor| floor.n == 0), "nobody can say how far she has read");
    for desk in [0, worker] {
        let now = world.now.seconds();
        let desk = world.offices[desk].look().unwrap();
        assert!(!desk.colleagues(now).contains(&device) && !desk.is_colleague(device));
        assert!(!desk.presence.devices.contains_key(&device), "nobody sees whether she is there");
        assert!(!desk.state.log.contains_key(&device) && desk.state.callers.is_empty());
        assert!(!desk.untold(now), "nothing waits for her");
    }
    let hers = world.offices[safe].look().unwrap();
    assert!(hers.colleagues(now).is_empty() && hers.state.devices.len() == 1 && !hers.may_have_missed());
    assert!(hers.ring.names().all(|name| !matches!(name, KeyName::Period(..))), "she has no desk key");
    // Nothing of hers opens at a desk: not even a dummy.
    let life = world.relay.life;
    let at = world.relay.lane.len();
    world.bundle(safe, false);
    for desk in [0, worker] {
        let (now, page) = (world.now, world.relay.page((life, at as u64)));
        let taken = world.act(desk, |desk, rng| desk.take_page(R, &page, now, rng)).unwrap();
        assert_eq!((taken.opened, taken.unreadable), (0, 2));
    }
    // A mailbox that wants into the team, and a worker who wants the mailbox.
    let request = world.act(safe, |desk, rng| desk.renewal_request(now, rng)).unwrap();
    let refused = world.act(0, |desk, rng| desk.admit(&request, (Role::Worker, Seat::new(2)), now, rng));
    assert!(matches!(refused, Err(DeskError::OtherPlace)));
    assert!(matches!(world.act(worker, |desk, rng| desk.renewal_request(now, rng)), Err(DeskError::NoMailbox)));
    // A lead who puts a key of their own in hers' place is found out by her device.
    let replaced = |world: &mut World| {
        let now = world.now.seconds();
        world.offices[safe].look().unwrap().line_view(now).unwrap().warnings.contains(&Warning::MailboxReplaced)
    };
    world.publish(safe);
    assert!(!replaced(&mut world));
    let honest = world.offices[0].look().unwrap().line().unwrap().record.safe_key.clone();
    let another = SealingSecret::generate(&mut world.rng).public().as_bytes().to_vec();
    for (key, found_out) in [(another, true), (honest, false)] {
        let replace = |record: &mut LineRecord| {
            record.given.clear();
            record.safe_key = key;
        };
        world.act(0, |desk, rng| desk.change_line(now, rng, replace)).unwrap();
        world.publish(0);
        world.publish(safe);
        assert_eq!(replaced(&mut world), found_out);
    }
    // A second one, only once the first has gone.
    let dir = tempfile::tempdir().unwrap();
    let (_office, other) = Office::join(dir.path(), &words(), &mut world.rng).unwrap();
    assert!(matches!(admit(&mut world, &other), Err(DeskError::SeatTaken)));
    let before = world.relay.rosters.in_force(now).unwrap().clone();
    world.act(0, |desk, rng| desk.revoke(device, now, rng)).unwrap();
    world.publish(0);
    let roster = world.relay.rosters.in_force(now).unwrap().clone();
    assert!(roster.revoked(device) && roster.safe_key().as_bytes() != before.safe_key().as_bytes());
    assert!(before.seat_keys(Seat::SAFEGUARDING).iter().all(|key| !roster.seat_keys(Seat::SAFEGUARDING).contains(key)));
    assert!(!world.offices[safe].look().unwrap().is_revoked(now));
    world.publish(safe);
    assert!(world.offices[safe].look().unwrap().is_revoked(now), "she hears it from the statement");
    assert!(matches!(admit(&mut world, &request), Err(DeskError::Revoked)));
    admit(&mut world, &other).unwrap();
}

#[test]
fn letters_receipts_answers_and_withdrawals_go_by_her_slots_alone() {
    let mut world = World::new("her slots", 113);
    let safe = joined(&mut world);
    let mut her = Her::new(&mut world);
    let there = her_name_there(&her, &world);
    assert_ne!(there, her.caller);
    write(&mut her, &world, &"a long letter in parts. ".repeat(80));
    // Some of it is lost on the way.
    for turn in 0..70 {
        her.post(&mut world, turn == 13 || turn == 34);
    }
    assert_eq!(world.sync(safe).letters, 1);
    let mut events = vec![];
    let mut slots = BTreeSet::new();
    let hours = |world: &mut World, her: &mut Her, slots: &mut BTreeSet<u64>, hours: u32| {
        let mut events = vec![];
        for _ in 0..hours * 6 {
            (0..7).for_each(|_| her.post(world, false));
            world.sync(safe);
            let now = world.now;
            let bundle = world.act(safe, |desk, rng| desk.bundle(R, now, rng)).unwrap();
            assert_eq!(bundle.beat.fast_slot, None, "the fast track is the desk's");
            slots.extend(bundle.beat.slow_slot);
            let reply = world.relay.beat(bundle.beat, now);
            world
                .act(safe, |desk, _| {
                    desk.bundle_result(bundle.ticket, Posted::Answered(&reply), now);
                    Ok(())
                })
                .unwrap();
            world.tick(600_000);
            events.extend(her.read_slow(world));
        }
        events
    };
    events.extend(hours(&mut world, &mut her, &mut slots, 9));
    assert!(events.contains(&Event::Receipt(To::Safeguarding, 1)), "{events:?}");
    // Her page is open, and still the answer joins the carousel at once.
    world.answer(safe, there, "I believe you");
    events.extend(hours(&mut world, &mut her, &mut slots, 9));
    let answer = events.iter().find_map(|event| if let Event::Answer(answer) = event { Some(answer) } else { None }).unwrap();
    assert_eq!((answer.content.text.as_str(), answer.seat), ("I believe you", Seat::SAFEGUARDING));
    let now = world.now.seconds();
    world.act(safe, |desk, rng| desk.mark_shown(there, now, rng)).unwrap();
    write(&mut her, &world, "unshown");
    let back = Letter { withdraw: Some(Withdraw::AllUnshown), ..Letter::default() };
    her.visit.write(&back, To::Safeguarding, world.now).unwrap();
    let events = hours(&mut world, &mut her, &mut slots, 18);
    assert!(events.contains(&Event::Withdrawn(To::Safeguarding, 2)), "{events:?}");
    assert!(!slots.is_empty() && slots.iter().all(|slot| is_safeguarding(*slot)), "{slots:?}");
    // What her page named is not sent again.
    assert!(her.visit.all_named());
    let named = world.thread(safe, there).items;
    assert!(named.iter().any(|item| matches!(item, Item::Answer { state: AnswerState::Seen, .. })));
}

#[test]
fn a_flood_finds_the_same_bounds() {
    let mut world = World::new("safe flood", 114);
    let safe = joined(&mut world);
    let roster = world.relay.rosters.in_force(world.now.seconds()).unwrap().clone();
    let to = Recipient { line: roster.line(), period: roster.period(), purpose: Use::Safeguarding, key: roster.safe_key() };
    let caller = SecretKey::generate(&mut world.rng);
    let content = Letter { text: "x".to_owned().into(), ..Letter::default() }.to_cbor().unwrap();
    for visit in 0..40u8 {
        let mut part = LetterPart {
            dummy: false,
            session: [visit; 8],
            seq: 1,
            part: Part { part: 0, parts: 1, bytes: content.clone().into() },
            time: world.now.seconds().rounded(),
            live_key: Zeroizing::new([1; 32]),
            reply_key: Zeroizing::new([2; 32]),
            saw: [0; 8],
        };
        world.relay.lane.push(part.seal(&to, &caller, &mut world.rng));
        (part.dummy, part.seq, part.part) = (true, 0, LetterPart::dummy_part(&mut world.rng));
        let stranger = SecretKey::generate(&mut world.rng);
        world.relay.lane.push(part.seal(&to, &stranger, &mut world.rng));
    }
    let taken = world.sync(safe);
    assert_eq!((taken.letters, taken.refused), (16, 24));
    let state = &world.offices[safe].desk.state;
    assert_eq!(state.callers.len(), 1, "a stranger's dummy leaves nothing");
    world.relay.lane.extend_from_within(..);
    let again = world.sync(safe);
    assert_eq!((again.letters, again.repeated), (0, 40), "replays are known again");
}

#[test]
fn statements_come_and_go_while_she_is_away_and_her_letters_open() {
    let mut world = World::new("away from statements", 115);
    let safe = joined(&mut world);
    let mut her = Her::new(&mut world);
    // Beyond what her admission told of: periods that she never sees a statement of.
    live(&mut world, &[0], 9);
    world.act(0, |desk, rng| desk.rotate(Seconds(START.0 + 9 * 86_400 + 7200), rng)).unwrap();
    world.publish(0);
    let mut expected = vec![];
    for day in 0..3 {
        her.come_again(&mut world);
        let text = format!("day {day}");
        write(&mut her, &world, &text);
        post(&mut her, &mut world, 1);
        expected.push(text);
        live(&mut world, &[0], 1);
    }
    world.publish(safe);
    assert_eq!(world.sync(safe).letters, 3);
    let mut found = letters(&mut world, safe);
    found.sort();
    assert_eq!(found, expected);
    // Her key for answers came with one of those letters, and its week was reckoned right.
    let there = her_name_there(&her, &world);
    let now = world.now.seconds();
    world.act(safe, |desk, rng| desk.mark_shown(there, now, rng)).unwrap();
    let week = world.relay.rosters.in_force(world.now.seconds()).unwrap().week();
    let (reckoned, _) = world.offices[safe].desk.state.callers[&there].reply.clone().unwrap();
    assert!(week - reckoned <= 1, "{week} {reckoned}");
    world.answer(safe, there, "yes");
    // A cell of a period that is over opens no more, although her key lives.
    let cell = world.relay.lane.last().unwrap().clone();
    live(&mut world, &[0, safe], 6);
    let late = LanePage { life: world.relay.life, first: 1_000_000, cells: vec![cell] };
    let now = world.now;
    let taken = world.act(safe, |desk, rng| desk.take_page(R, &late, now, rng)).unwrap();
    assert_eq!((taken.opened, taken.unreadable), (0, 1));
}

#[test]
fn her_key_is_renewed_without_a_gap_and_the_one_before_is_erased() {
    let mut world = World::new("renewed", 116);
    let safe = joined(&mut world);
    let mut her = Her::new(&mut world);
    let there = her_name_there(&her, &world);
    let warned = |world: &mut World| {
        let now = world.now.seconds();
        world.offices[safe].look().unwrap().line_view(now).unwrap().warnings
    };
    live(&mut world, &[0, safe], 20);
    assert_eq!(warned(&mut world), []);
    let root = SecretKey::from_seed(&world.root.seed());
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.renew(&root, now, rng)).unwrap();
    live(&mut world, &[0, safe], 4);
    assert_eq!(warned(&mut world), [Warning::RenewMailbox]);

    let old = world.relay.rosters.in_force(world.now.seconds()).unwrap().clone();
    her.come_again(&mut world);
    write(&mut her, &world, "to the old key, read late");
    post(&mut her, &mut world, 1);
    let now = world.now.seconds();
    let request = world.act(safe, |desk, rng| desk.renewal_request(now, rng)).unwrap();
    assert_eq!(world.act(safe, |desk, rng| desk.renewal_request(now, rng)).unwrap(), request, "the same again");
    let first = admit(&mut world, &request).unwrap();
    world.publish(0);
    let new = world.relay.rosters.in_force(now).unwrap().clone();
    assert_ne!(new.safe_key().as_bytes(), old.safe_key().as_bytes());
    assert_eq!(new.seat_keys(Seat::SAFEGUARDING)[1], old.seat_keys(Seat::SAFEGUARDING)[0], "answers on their way stay good");
    let serial = new.serial();
    admit(&mut world, &request).unwrap();
    world.publish(0);
    assert_eq!(world.relay.rosters.in_force(now).unwrap().serial(), serial, "asked twice it is renewed once");
    // Callers use the new key before she has taken the admission, even before she has heard of it.
    her.come_again(&mut world);
    write(&mut her, &world, "to the new key");
    post(&mut her, &mut world, 1);
    assert_eq!(world.sync(safe).letters, 2);
    world.offices[safe].accept(&first, now, &mut world.rng).unwrap();
    let renewed = world.offices[safe].look().unwrap().line().unwrap().device_cert.not_after;
    assert!(renewed.0 >= now.0 + 59 * 86_400);
    world.publish(safe);
    assert_eq!(warned(&mut world), []);
    // Her answers are signed with a key that callers believe, whichever statement they have.
    world.answer(safe, there, "I am still here");
    let mut events = vec![];
    for _ in 0..72 {
        world.sync(safe);
        world.bundle(safe, false);
        world.tick(600_000);
        events.extend(her.read_slow(&world));
    }
    assert_eq!(texts(&events), ["I am still here"]);

    // The old key opens what lay for long on a relay, and then nothing any more.
    let sealing = |world: &mut World| {
        let names = world.offices[safe].look().unwrap().ring.names().filter(|name| matches!(name, KeyName::Sealing(_)));
        names.collect::<Vec<_>>()
    };
    let names = sealing(&mut world);
    assert_eq!(names.len(), 2);
    live(&mut world, &[0, safe], 3);
    assert_eq!(sealing(&mut world).len(), 2, "a period and three days have not gone by");
    live(&mut world, &[0, safe], 2);
    assert_eq!(sealing(&mut world), names[1..]);

    // Another's admission, and one for another device, change nothing.
    assert!(matches!(world.offices[safe].accept(&first, now, &mut world.rng), Ok(())), "the one it has is no harm");
    let stranger = World::new("another line", 117).join_admission();
    let before = world.offices[safe].look().unwrap().line().unwrap().record.device_cert.clone();
    assert!(world.offices[safe].accept(&stranger, now, &mut world.rng).is_err());
    assert_eq!(world.offices[safe].look().unwrap().line().unwrap().record.device_cert, before);
    // And again, a month later, after the line's generation was raised.
    live(&mut world, &[0, safe], 5);
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.raise_generation(&root, now, rng)).unwrap();
    world.publish(0);
    world.publish(safe);
    assert_eq!(warned(&mut world), [Warning::RenewMailbox], "relays take her for a stranger");
    renew(&mut world, safe);
    world.publish(0);
    world.publish(safe);
    assert_eq!(warned(&mut world), []);
    let line = world.offices[safe].look().unwrap().line().unwrap();
    assert_eq!((line.desk_cert.generation, line.record.sealing_number), (2, 3));
    her.come_again(&mut world);
    write(&mut her, &world, "after the worst day");
    post(&mut her, &mut world, 1);
    assert_eq!(world.sync(safe).letters, 1);
}

impl World {
    /// An admission of this world for a safeguarding mailbox of its own.
    fn join_admission(&mut self) -> Admission {
        let dir = tempfile::tempdir().unwrap();
        let (_office, request) = Office::join(dir.path(), &words(), &mut self.rng).unwrap();
        admit(self, &request).unwrap()
    }
}
