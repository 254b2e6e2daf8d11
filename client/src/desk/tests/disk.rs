//! What the disk must survive: crashes, two processes, a restored backup.
use super::*;
use porchlight_proto::event::{Act, How, Proposal};
use std::{fs, path::Path};

fn board(office: &mut Office, now: Seconds) -> String {
    let desk = office.look().unwrap();
    let rows = desk.list(now);
    let threads: Vec<Thread> = rows.iter().map(|row| desk.show(desk.find(&row.id).unwrap(), now).unwrap()).collect();
    format!("{threads:?}").replace("here: true", "here: false").replace("mine: true", "mine: false")
}

fn busy_world(test: &str, seed: u64) -> (World, Her) {
    let mut world = World::new(test, seed);
    let mut her = Her::new(&mut world);
    her.write(&world, &"one letter in parts ".repeat(60));
    for _ in 0..4 {
        her.post(&mut world, false);
        world.sync(0);
        world.bundle(0, false);
        world.tick(10_000);
    }
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.claim(her.caller, None, None, now, rng)).unwrap();
    world.act(0, |desk, rng| desk.note(her.caller, "call back", now, rng)).unwrap();
    world.answer(0, her.caller, "we are here");
    world.bundle(0, false);
    (world, her)
}

#[test]
fn a_desk_opened_again_is_the_same_desk_before_and_after_compaction() {
    let (mut world, _) = busy_world("reopen", 20);
    let now = world.now.seconds();
    let before = board(&mut world.offices[0], now);
    let mut again = Office::open(world.dirs[0].path(), &words()).unwrap();
    assert_eq!(board(&mut again, now), before);
    again.compact(now, &mut world.rng).unwrap();
    let mut compacted = Office::open(world.dirs[0].path(), &words()).unwrap();
    assert_eq!(board(&mut compacted, now), before);
    assert_eq!(board(&mut world.offices[0], now), before, "the first process follows");
    let records = |office: &Office| {
        let mut records: Vec<Vec<u8>> =
            office.desk.state.records(now.0).iter().map(|record| minicbor::to_vec(record).unwrap()).collect();
        records.sort();
        records
    };
    assert_eq!(records(&compacted).len(), records(&world.offices[0]).len());
}

#[test]
fn a_journal_cut_at_any_byte_opens_and_shows_an_earlier_board() {
    let (mut world, her) = busy_world("cut", 21);
    let path = world.dirs[0].path().join("vault/journal");
    let now = world.now.seconds();
    let before = board(&mut world.offices[0], now);
    let start = fs::read(&path).unwrap().len();
    world.act(0, |desk, rng| desk.note(her.caller, "last", now, rng)).unwrap();
    let after = board(&mut world.offices[0], now);
    let whole = fs::read(&path).unwrap();
    // Every byte of the last record, and a spread over all before it.
    let cuts = (start..=whole.len()).chain((100..start).step_by(997));
    let mut office = Office::open(world.dirs[0].path(), &words()).unwrap();
    for cut in cuts {
        overwrite(&path, &whole[..cut]);
        office.stale = true;
        match office.look() {
            Ok(_) if cut == whole.len() => assert_eq!(board(&mut office, now), after),
            Ok(_) if cut >= start => assert_eq!(board(&mut office, now), before, "cut at {cut}"),
            Ok(_) => {}
            Err(error) => assert!(cut < 200, "cut at {cut}: {error}"),
        }
    }
}

/// Writes into the same file, so that it stays the one that was made.
fn overwrite(path: &Path, bytes: &[u8]) {
    let file = fs::OpenOptions::new().write(true).truncate(true).open(path).unwrap();
    std::io::Write::write_all(&mut &file, bytes).unwrap();
}

#[test]
fn a_restored_backup_sends_nothing_until_its_own_tags_were_looked_for() {
    let mut world = World::new("backup", 22);
    let mut her = Her::new(&mut world);
    her.write(&world, "hello");
    her.post(&mut world, false);
    world.sync(0);
    world.tick(7_200_000);
    world.answer(0, her.caller, "an answer");
    let copy = backup(&world, 0);
    for _ in 0..9 {
        world.bundle(0, false);
        world.tick(1_800_000);
    }
    restore(&mut world, 0, copy);
    let now = world.now.seconds();
    assert!(!world.offices[0].doubt_if_restored(now, &mut world.rng).unwrap(), "once");
    let written = world.relay.slow.len();
    world.bundle(0, false);
    world.tick(1_800_000);
    assert!(world.offices[0].look().unwrap().doubtful());
    world.sync(0);
    for day in [Timing::PRODUCTION.day(world.now) - 1, Timing::PRODUCTION.day(world.now)] {
        let bytes = world.relay.down_slow(day, world.now.plus(86_400_000));
        world
            .act(0, |desk, _| {
                desk.note_own_tags(R, day, &bytes);
                Ok(())
            })
            .unwrap();
    }
    let now = world.now.seconds();
    world
        .act(0, |desk, _| {
            desk.searched(R, now);
            Ok(())
        })
        .unwrap();
    // `bundle` holds every tag against all that were ever emitted.
    for _ in 0..60 {
        world.bundle(0, false);
        world.tick(1_800_000);
    }
    assert!(world.relay.slow.len() > written);
    her.come_again(&mut world);
    assert_eq!(texts(&her.read_slow(&world)), ["an answer"]);
}

/// What she named as shown is read again in the lane while nothing can be told yet; it is told afterwards, and not sent to her again.
#[test]
fn what_she_saw_is_told_once_a_restored_backup_may_speak() {
    let mut world = World::new("saw", 95);
    let mut her = Her::new(&mut world);
    her.write(&world, "hello");
    her.post(&mut world, false);
    world.sync(0);
    world.answer(0, her.caller, "an answer");
    let copy = backup(&world, 0);
    let caller = her.caller;
    let state = |world: &mut World| {
        let items = world.thread(0, caller).items;
        items.into_iter().find_map(|item| if let Item::Answer { state, .. } = item { Some(state) } else { None }).unwrap()
    };
    for _ in 0..12 {
        world.sync(0);
        world.bundle(0, false);
        world.tick(1_800_000);
        her.read_slow(&world);
        her.post(&mut world, false);
    }
    world.sync(0);
    assert_eq!(state(&mut world), AnswerState::Seen, "the control");
    restore(&mut world, 0, copy);
    world.sync(0);
    let now = world.now.seconds();
    let tidy = |desk: &mut Desk, rng: &mut ChaCha20Rng| desk.tidy(now, rng);
    world.act(0, tidy).unwrap();
    assert_ne!(state(&mut world), AnswerState::Seen, "nothing is told in doubt");
    let searched = |desk: &mut Desk, _: &mut ChaCha20Rng| {
        desk.searched(R, now);
        Ok(())
    };
    world.act(0, searched).unwrap();
    world.act(0, tidy).unwrap();
    assert_eq!(state(&mut world), AnswerState::Seen);
}

/// The files of a device's vault, as a backup has them.
fn backup(world: &World, desk: usize) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let files = fs::read_dir(world.dirs[desk].path().join("vault")).unwrap().map(Result::unwrap);
    files.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect()
}

/// The disk dies; the backup comes back as new files.
fn restore(world: &mut World, desk: usize, backup: Vec<(std::ffi::OsString, Vec<u8>)>) {
    let vault = world.dirs[desk].path().join("vault");
    for (name, bytes) in backup {
        let path = vault.join(&name);
        fs::rename(&path, path.with_extension("lost")).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    let now = world.now.seconds();
    let mut office = Office::open(world.dirs[desk].path(), &words()).unwrap();
    assert!(office.doubt_if_restored(now, &mut world.rng).unwrap());
    world.offices[desk] = office;
}

/// Does something on a disk that fails at its first write, at its second and so on, until it is done; each time `holds` is asked of
/// what a power cut leaves.
fn at_every_write(
    world: &mut World,
    desk: usize,
    deed: impl Fn(&mut Desk, &mut ChaCha20Rng) -> Result<(), DeskError>,
    holds: impl Fn(&mut World, u32),
) {
    let before = backup(world, desk);
    for left in 0.. {
        for (name, bytes) in &before {
            overwrite(&world.dirs[desk].path().join("vault").join(name), bytes);
        }
        world.offices[desk] = Office::open(world.dirs[desk].path(), &words()).unwrap();
        world.offices[desk].vault.as_mut().unwrap().writes_left = Some(left);
        let done = world.act(desk, &deed).is_ok();
        world.offices[desk] = Office::open(world.dirs[desk].path(), &words()).unwrap();
        holds(world, left);
        if done {
            return;
        }
    }
}

#[test]
fn a_day_is_forgotten_only_once_what_is_kept_of_it_is_on_the_disk() {
    let (mut world, her) = busy_world("a disk that fails at midnight", 29);
    world
        .act(0, |desk, _| {
            desk.keep_for(2);
            Ok(())
        })
        .unwrap();
    world.tick(3 * 86_400_000);
    let now = world.now.seconds();
    let tidy = |desk: &mut Desk, rng: &mut ChaCha20Rng| desk.tidy(now, rng);
    at_every_write(&mut world, 0, tidy, |world, left| {
        for tidied in [false, true] {
            if tidied {
                world.act(0, tidy).unwrap();
            }
            assert!(board(&mut world.offices[0], now).contains("one letter in parts"), "cut at write {left}");
            let desk = world.offices[0].look().unwrap();
            assert!(desk.reply_key(her.caller).is_some(), "cut at write {left}");
            assert!(!tidied || desk.ring.key(KeyName::Day(state::day(START))).is_none(), "cut at write {left}");
        }
    });
}

#[test]
fn a_lead_that_is_renewed_on_a_failing_disk_can_sign_with_the_old_key_or_the_new() {
    let mut world = World::new("a disk that fails when a lead is renewed", 30);
    let root = SecretKey::from_seed(&world.root.seed());
    let now = world.now.seconds();
    let renew = |desk: &mut Desk, rng: &mut ChaCha20Rng| desk.renew(&root, now, rng);
    at_every_write(&mut world, 0, renew, |world, left| {
        world.act(0, |desk, rng| desk.tidy(now, rng)).unwrap();
        let keys = world.offices[0].look().unwrap().ring.names().filter(|name| matches!(name, KeyName::DeskSigning(_))).count();
        assert_eq!(keys, 1, "cut at write {left}");
        let rotated = world.act(0, |desk, rng| desk.rotate(now, rng));
        assert!(rotated.is_ok(), "cut at write {left}: {rotated:?}");
    });
}

#[test]
fn a_caller_is_forgotten_whole_or_not_at_all() {
    let mut world = World::new("a disk that fails when two forget", 31);
    let second = world.join(Role::Worker, 1);
    let mut her = Her::new(&mut world);
    her.write(&world, "first letter");
    her.post(&mut world, false);
    converge::talk(&mut world, 30);
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.mark_shown(her.caller, now, rng)).unwrap();
    world.act(0, |desk, rng| desk.set_known(her.caller, (How::Verified, "her mother"), now, rng)).unwrap();
    let plan = Proposal { caller: her.caller, act: Act::Forget, other: CallerId([0; 16]), text: "because".into() };
    let id = world.act(second, |desk, rng| desk.propose(&plan, now, rng)).unwrap();
    converge::talk(&mut world, 40);
    let now = world.now.seconds();
    at_every_write(
        &mut world,
        0,
        |desk, rng| desk.agree(id, now, rng),
        |world, left| {
            if world.offices[0].look().unwrap().list(now).is_empty() {
                world.act(0, |desk, rng| desk.tidy(now, rng)).unwrap();
                let desk = world.offices[0].look().unwrap();
                assert!(desk.ring.key(state::caller_key(her.caller)).is_none(), "cut at write {left}");
            } else {
                assert_eq!(world.thread(0, her.caller).person.known_by, "her mother", "cut at write {left}");
            }
        },
    );
    assert!(world.offices[0].look().unwrap().list(now).is_empty());
}

/// An event's number is never used twice: a second history of a device no colleague would take.
#[test]
fn a_restored_device_says_nothing_to_its_team_before_it_knows_what_it_has_said() {
    for (name, seed, relay_forgets) in [("the lane still has it", 26, false), ("it is gone", 27, true)] {
        let mut world = World::new(name, seed);
        let second = world.join(Role::Worker, 1);
        let mut her = Her::new(&mut world);
        her.write(&world, "hello");
        her.post(&mut world, false);
        converge::talk(&mut world, 20);
        let old = backup(&world, second);
        let now = world.now.seconds();
        world.act(second, |desk, rng| desk.note(her.caller, "before the disk died", now, rng)).unwrap();
        converge::talk(&mut world, 20);
        restore(&mut world, second, old);
        if relay_forgets {
            world.relay.forgotten = world.relay.lane.len() as u64;
        }
        let note = |world: &mut World| {
            let now = world.now.seconds();
            world.act(second, |desk, rng| desk.note(her.caller, "after", now, rng))
        };
        assert!(matches!(note(&mut world), Err(DeskError::Restored)));
        world.sync(second);
        let now = world.now.seconds();
        world
            .act(second, |desk, _| {
                desk.searched(R, now);
                Ok(())
            })
            .unwrap();
        assert!(note(&mut world).is_err(), "no colleague has said yet what it holds");
        // Within an hour a colleague says so.
        for _ in 0..370 {
            world.bundle(0, false);
            world.sync(second);
            world.bundle(second, false);
            world.sync(0);
            world.tick(10_000);
        }
        if relay_forgets {
            let refused = note(&mut world);
            assert!(matches!(refused, Err(DeskError::Outdated)), "{refused:?}");
            let now = world.now.seconds();
            let view = world.offices[second].look().unwrap().line_view(now).unwrap();
            assert!(view.warnings.contains(&Warning::Outdated));
        } else {
            note(&mut world).unwrap();
            converge::talk(&mut world, 30);
            let now = world.now.seconds();
            let boards: Vec<String> = world.offices.iter_mut().map(|office| board(office, now)).collect();
            assert!(boards[0] == boards[1] && boards[0].contains("before the disk died") && boards[0].contains("after"));
        }
    }
}

/// A history of the fuzzer's: seed 2 of `whatever_goes_wrong`, shrunk. Positions of another life say nothing of this one.
#[test]
fn a_restored_device_is_told_what_it_said_also_when_the_relay_starts_over() {
    let mut world = World::new("restored, and another life", 28);
    let second = world.join(Role::Worker, 1);
    let mut her = Her::new(&mut world);
    her.write(&world, "hello");
    her.post(&mut world, false);
    converge::talk(&mut world, 20);
    let copy = backup(&world, second);
    restore(&mut world, second, copy);
    world.sync(second);
    let now = world.now.seconds();
    let searched = |desk: &mut Desk, _: &mut ChaCha20Rng| {
        desk.searched(R, now);
        Ok(())
    };
    world.act(second, searched).unwrap();
    world.relay.life += 1;
    converge::talk(&mut world, 370);
    let now = world.now.seconds();
    world.act(second, |desk, rng| desk.note(her.caller, "after", now, rng)).unwrap();
}

#[test]
fn two_processes_share_a_vault_and_never_a_tag_or_number() {
    let (mut world, her) = busy_world("two processes", 23);
    world.offices.push(Office::open(world.dirs[0].path(), &words()).unwrap());
    let now = world.now.seconds();
    for turn in 0..20 {
        world.act(turn % 2, |desk, rng| desk.note(her.caller, &format!("note {turn}"), now, rng)).unwrap();
        world.bundle(turn % 2, turn % 3 == 0);
        world.tick(10_000);
        if turn == 10 {
            world.offices[1].compact(now, &mut world.rng).unwrap();
        }
    }
    let now = world.now.seconds();
    let first = board(&mut world.offices[0], now);
    assert_eq!(first, board(&mut world.offices[1], now));
    assert!(first.contains("note 19") && first.contains("note 0"));
}

#[test]
fn a_forgotten_day_leaves_no_words_but_she_can_still_be_answered() {
    let (mut world, mut her) = busy_world("retention", 24);
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.mark_shown(her.caller, now, rng)).unwrap();
    for (days, answer_stays) in [(3, true), (32, false)] {
        world.tick(days * 86_400_000);
        let (now, root) = (world.now.seconds(), SecretKey::from_seed(&world.root.seed()));
        world.act(0, |desk, rng| desk.renew(&root, now, rng)).unwrap();
        world.publish(0);
        let now = world.now.seconds();
        world
            .act(0, |desk, rng| {
                desk.keep_for(2);
                desk.tidy(now, rng)
            })
            .unwrap();
        world.offices[0].compact(now, &mut world.rng).unwrap();
        let mut again = Office::open(world.dirs[0].path(), &words()).unwrap();
        for office in [&mut again, &mut world.offices[0]] {
            let shown = board(office, now);
            assert!(!shown.contains("one letter in parts") && !shown.contains("call back"), "{shown}");
            assert!(shown.contains("Forgotten") && shown.contains("n: 1"));
            assert_eq!(shown.contains("we are here"), answer_stays, "after {days} more days");
            assert!(office.look().unwrap().reachable(her.caller, now));
        }
    }
    world.answer(0, her.caller, "still here");
    for _ in 0..8 {
        world.bundle(0, false);
        world.tick(1_800_000);
    }
    her.come_again(&mut world);
    assert_eq!(texts(&her.read_slow(&world)), ["still here"]);
}

#[test]
fn desk_secrets_are_erased_after_period_ttl_and_twelve_hours() {
    let mut world = World::new("erasure", 25);
    let mut her = Her::new(&mut world);
    her.write(&world, "late");
    her.post(&mut world, false);
    let cells = std::mem::take(&mut world.relay.lane);
    // The period ends at midnight; its secret lives 72 h and 12 h longer.
    let ends = START.0 + 86_400 + 259_200 + 43_200;
    for (at, opens) in [(ends - 1, true), (ends, false)] {
        world.now = Seconds(at).millis();
        let (now, page) = (world.now, LanePage { life: 9, first: 1, cells: cells.clone() });
        world.act(0, |desk, rng| desk.tidy(now.seconds(), rng)).unwrap();
        let taken = world.act(0, |desk, rng| desk.take_page(R, &page, now, rng)).unwrap();
        assert_eq!(taken.opened == 1, opens, "at {at}");
    }
}
