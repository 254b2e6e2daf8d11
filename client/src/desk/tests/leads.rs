//! Several leads, and none: who signs, what converges, what two workers can do by themselves.
use super::{converge::board, *};
use porchlight_proto::{line::DeviceId, seal::SealingSecret};
use std::os::unix::fs::DirBuilderExt;

const DAY: u64 = 86_400_000;

impl World {
    fn root_key(&self) -> SecretKey {
        SecretKey::from_seed(&self.root.seed())
    }
    fn device(&mut self, desk: usize) -> DeviceId {
        self.offices[desk].look().unwrap().line().unwrap().device
    }
    fn lead(&mut self, desk: usize, void_others: bool) {
        let (now, root) = (self.now.seconds(), self.root_key());
        self.act(desk, |desk, rng| desk.lead(&root, void_others, now, rng)).unwrap();
    }
    /// A worker in this seat, made a lead, and everybody has heard of it.
    fn second_lead(&mut self, seat: u8) -> usize {
        let second = self.join(Role::Worker, seat);
        self.lead(second, false);
        let all = self.all();
        self.meet(&all);
        second
    }
    /// So many desk beats in which everybody reads and sends.
    fn beats(&mut self, count: usize) {
        let all: Vec<usize> = (0..self.offices.len()).collect();
        self.beats_of(&all, count);
    }
    fn beats_of(&mut self, desks: &[usize], count: usize) {
        for _ in 0..count {
            for desk in desks {
                self.sync(*desk);
                self.bundle(*desk, false);
            }
            self.tick(10_000);
        }
    }
    /// What each of these knows the others come to know: as if they had been together for hours.
    fn meet(&mut self, desks: &[usize]) {
        let now = self.now.seconds();
        for _ in 0..2 {
            for from in desks {
                let board = self.act(*from, |desk, rng| {
                    while let Some(roster) = desk.roster_to_tell(now) {
                        desk.tell(&porchlight_proto::event::Event::Roster(roster), now, rng)?;
                    }
                    desk.board_bytes(now, None)
                });
                let board = board.unwrap();
                for to in desks.iter().filter(|to| *to != from) {
                    self.act(*to, |desk, rng| desk.take_board(&board, now, rng)).unwrap();
                    self.hand_secrets(*from, *to);
                }
            }
        }
        self.tick(60_000);
    }
    /// A lead gives a colleague the desk secrets that it lacks.
    fn hand_secrets(&mut self, from: usize, to: usize) {
        let (now, recipient) = (self.now, self.device(to));
        let periods =
            |desk: &Desk| -> BTreeSet<KeyName> { desk.ring.names().filter(|name| matches!(name, KeyName::Period(..))).collect() };
        let held = periods(self.offices[to].look().unwrap());
        let desk = self.offices[from].look().unwrap();
        if desk.line().unwrap().device_cert.role != Role::Lead || !desk.colleagues(now.seconds()).contains(&recipient) {
            return;
        }
        for name in periods(desk).difference(&held) {
            let cell = self.act(from, |desk, rng| desk.direct(recipient, *name, now.seconds(), rng)).unwrap().unwrap();
            self.act(to, |desk, rng| desk.take_cell(&cell, now, rng)).unwrap();
        }
    }
    fn all(&self) -> Vec<usize> {
        (0..self.offices.len()).collect()
    }
    /// A look at the relay and what follows from it, without news for the others.
    fn hear(&mut self, desk: usize) -> usize {
        let (now, notice) = (self.now.seconds(), self.relay.notice(self.now));
        self.act(desk, |desk, rng| {
            desk.hear_notice(R, &notice, now)?;
            desk.publish(now, rng)
        })
        .unwrap()
    }
    fn in_force(&self) -> SignedRoster {
        self.relay.rosters.in_force(self.now.seconds()).expect("a roster is in force").clone()
    }
    fn seat_key(&mut self, desk: usize) -> porchlight_proto::sign::PublicKey {
        self.offices[desk].look().unwrap().seat_key().unwrap().public()
    }
    /// Every roster that is not over, as a desk would choose: period, serial and hash.
    fn rosters_of(&mut self, desk: usize) -> Vec<(u32, u32, [u8; 32])> {
        let now = self.now.seconds();
        let desk = self.offices[desk].look().unwrap();
        desk.living(now).iter().map(|roster| (roster.period(), roster.serial(), roster.hash())).collect()
    }
    fn view(&mut self, desk: usize) -> LineView {
        let now = self.now.seconds();
        self.offices[desk].look().unwrap().line_view(now).unwrap()
    }
    /// She writes, and all these desks can read it.
    fn everybody_reads(&mut self, desks: &[usize]) {
        let mut her = Her::new(self);
        her.write(self, "can you read this");
        her.post(self, false);
        for desk in desks {
            assert_eq!(self.sync(*desk).letters, 1, "desk {desk}");
        }
    }
}

#[test]
fn a_worker_becomes_a_lead_with_the_root_and_everybody_takes_it_for_one() {
    let mut world = World::new("lead add", 300);
    let (second, third) = (world.join(Role::Worker, 1), world.join(Role::Worker, 2));
    let (now, other) = (world.now.seconds(), SecretKey::generate(&mut world.rng));
    let refused = world.act(second, |desk, rng| desk.lead(&other, false, now, rng));
    assert!(matches!(refused, Err(DeskError::AnotherRoot)));
    world.lead(second, false);
    // Over the lane, by its own word.
    world.beats(16);
    let id = crate::desk::line::hex(&world.device(second).0);
    for desk in [0, second, third] {
        let role = world.view(desk).devices.iter().find(|device| device.device == id).unwrap().role;
        assert_eq!(role, "lead", "desk {desk}");
    }
    // It admits, and whoever it admits is of the team everywhere, with a seat that callers believe.
    let dir = tempfile::tempdir().unwrap();
    let (mut office, request) = Office::join(dir.path(), &words(), &mut world.rng).unwrap();
    let now = world.now.seconds();
    let admission = world.act(second, |desk, rng| desk.admit(&request, (Role::Worker, Seat::new(3)), now, rng)).unwrap();
    office.accept(&admission, now, &mut world.rng).unwrap();
    world.dirs.push(dir);
    world.offices.push(office);
    let fourth = world.offices.len() - 1;
    let all = world.all();
    world.meet(&all);
    world.publish(second);
    let key = world.seat_key(fourth);
    assert!(world.in_force().seat_keys(Seat::new(3).unwrap()).contains(&key));
    // The first signs anew, and the seat stays.
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.rotate(now, rng)).unwrap();
    world.meet(&all);
    world.publish(0);
    assert!(world.in_force().seat_keys(Seat::new(3).unwrap()).contains(&key));
    assert_ne!(world.in_force().desk_cert().desk_pk, world.offices[second].look().unwrap().signing().unwrap().1.desk_pk);
    world.meet(&all);
    world.everybody_reads(&[0, second, third, fourth]);
    let now = world.now.seconds();
    let boards = [0, second, third, fourth].map(|desk| board(&mut world.offices[desk], now));
    assert!(boards.iter().all(|board| *board == boards[0]));
}

#[test]
fn two_leads_do_not_sign_against_each_other_and_one_takes_over_from_the_other() {
    let mut world = World::new("two leads", 301);
    let second = world.second_lead(1);
    world.publish(0);
    // Over the lane, roster by roster, beside what people do.
    world.beats(90);
    assert_eq!(world.rosters_of(0), world.rosters_of(second), "both know all that is published");
    assert_eq!(world.view(0).published_until, world.view(second).published_until);
    // Day by day the first signs, whoever looks first.
    for day in 0..5 {
        world.tick(DAY);
        assert_eq!(world.hear(second), 0, "day {day}");
        world.publish(0);
        world.meet(&[0, second]);
        assert_eq!(world.rosters_of(0), world.rosters_of(second), "day {day}");
    }
    // The first is gone. The second waits a day for it, and then goes on by itself.
    let mut signed = Vec::new();
    for _ in 0..12 {
        world.tick(DAY);
        signed.push(world.hear(second));
        world.publish(second);
        world.in_force();
    }
    println!("signed by the second, day by day: {signed:?}");
    assert!(signed[0] == 0 && signed[1..].windows(2).all(|days| days.iter().sum::<usize>() > 0), "{signed:?}");
    world.everybody_reads(&[second]);
    // And the first comes back, hears, and signs nothing against it.
    world.meet(&[0, second]);
    world.publish(0);
    world.meet(&[0, second]);
    assert_eq!(world.rosters_of(0), world.rosters_of(second));
    world.everybody_reads(&[0, second]);
}

#[test]
fn two_leads_who_revoke_two_devices_at_once_come_to_one_line() {
    for seed in 0..3 {
        let mut world = World::new("two at once", 310 + seed);
        let second = world.second_lead(1);
        let gone = [world.join(Role::Worker, 2), world.join(Role::Worker, 3)];
        let all = world.all();
        world.meet(&all);
        let ids = gone.map(|desk| world.device(desk));
        let keys = gone.map(|desk| world.seat_key(desk));
        let now = world.now.seconds();
        // Neither has heard of the other; both hand in what they signed.
        world.act(0, |desk, rng| desk.revoke(ids[0], now, rng)).unwrap();
        world.act(second, |desk, rng| desk.revoke(ids[1], now, rng)).unwrap();
        world.publish(0);
        world.publish(second);
        for _ in 0..6 {
            world.meet(&[0, second]);
            world.tick(300_000);
            world.publish(second);
            world.publish(0);
        }
        let rosters = world.rosters_of(0);
        assert_eq!(rosters, world.rosters_of(second), "seed {seed}");
        let now = world.now.seconds();
        for desk in [0, second] {
            let living: Vec<SignedRoster> =
                world.offices[desk].look().unwrap().state.rosters.iter().filter(|r| r.not_after() > now).cloned().collect();
            for roster in living.iter().filter(|roster| rosters.iter().any(|known| known.2 == roster.hash())) {
                assert!(ids.iter().all(|id| roster.revoked(*id)), "seed {seed} period {}", roster.period());
                for (seat, key) in [2, 3].into_iter().zip(&keys) {
                    assert!(!roster.seat_keys(Seat::new(seat).unwrap()).contains(key));
                }
                for desk in [0, second] {
                    let key = world.seat_key(desk);
                    let seat = Seat::new(if desk == 0 { 0 } else { 1 }).unwrap();
                    assert!(roster.seat_keys(seat).contains(&key));
                }
            }
        }
        assert!(ids.iter().all(|id| world.in_force().revoked(*id)));
        world.everybody_reads(&[0, second]);
        // Nothing more is signed.
        assert_eq!((world.hear(0), world.hear(second)), (0, 0), "seed {seed}");
    }
}

#[test]
fn the_seat_of_a_device_survives_that_another_lead_signed_at_the_same_moment() {
    for seed in 0..3 {
        let mut world = World::new("seat survives", 320 + seed);
        let second = world.second_lead(1);
        let now = world.now.seconds();
        world.act(second, |desk, rng| desk.rotate(now, rng)).unwrap();
        let worker = world.join(Role::Worker, 4);
        world.publish(second);
        for _ in 0..4 {
            let all = world.all();
            world.meet(&all);
            world.publish(0);
            world.publish(second);
        }
        let key = world.seat_key(worker);
        assert!(world.in_force().seat_keys(Seat::new(4).unwrap()).contains(&key), "seed {seed}");
        assert_eq!(world.rosters_of(0), world.rosters_of(second), "seed {seed}");
        assert_eq!((world.hear(0), world.hear(second)), (0, 0), "seed {seed}");
        world.everybody_reads(&[0, second, worker]);
    }
}

#[test]
fn the_clocks_of_two_leads_may_differ_by_two_hours() {
    for (seed, fast) in [(330, true), (331, false)] {
        let mut world = World::new("skew", seed);
        let second = world.second_lead(1);
        world.publish(0);
        world.meet(&[0, second]);
        let skewed = |world: &World| {
            let now = world.now.seconds().0;
            Seconds(if fast { now + 7200 } else { now - 7200 })
        };
        let mut by_second = 0;
        for _ in 0..24 {
            world.tick(25_200_000);
            let (now, notice) = (skewed(&world), world.relay.notice(world.now));
            by_second += world
                .act(second, |desk, rng| {
                    desk.hear_notice(R, &notice, now)?;
                    desk.publish(now, rng)
                })
                .unwrap();
            world.publish(0);
            let refused = world.offices[0].look().unwrap().rosters_to_put(R).len();
            assert_eq!(refused, 0);
            world.in_force();
            world.meet(&[0, second]);
        }
        assert_eq!(by_second, 0, "the second never signed");
        assert_eq!(world.rosters_of(0), world.rosters_of(second));
        // The one whose clock is off can sign, and every relay takes it.
        let now = skewed(&world);
        world.act(second, |desk, rng| desk.rotate(now, rng)).unwrap();
        for bytes in world.offices[second].look().unwrap().rosters_to_put(R) {
            let roster = UncheckedRoster::parse(bytes.as_slice()).unwrap().check_signed(&world.relay.root).unwrap();
            world.relay.rosters.insert(roster, world.now.seconds()).unwrap();
        }
        world.meet(&[0, second]);
        world.everybody_reads(&[0, second]);
    }
}

#[test]
fn when_all_leads_are_gone_the_door_stays_open_for_two_weeks_and_opens_again_when_one_comes_back() {
    let mut world = World::new("emergency", 340);
    let worker = world.join(Role::Worker, 1);
    world.meet(&[0, worker]);
    let (began, until) = (world.now.seconds(), world.view(worker).published_until);
    assert!((13 * 86_400..15 * 86_400).contains(&(until - began.0)), "{}", until - began.0);
    let mut open = 0;
    let mut warned = 0;
    while world.relay.rosters.in_force(world.now.seconds()).is_some() {
        let roster = world.in_force();
        assert!(roster.not_after().0 - roster.not_before().0 <= 7 * 86_400);
        world.hear(worker);
        world.everybody_reads(&[worker]);
        let now = world.now.seconds();
        world.act(worker, |desk, rng| desk.tidy(now, rng)).unwrap();
        warned += u32::from(world.view(worker).warnings.contains(&Warning::EmergencyPeriod));
        open += 1;
        world.tick(DAY);
        if open == 10 {
            break;
        }
    }
    println!("open on day {open}, {warned} of them in the emergency period");
    assert!(open == 10 && (2..=4).contains(&warned), "{open} {warned}");
    let emergency = world.in_force();
    // The lead comes back: days again, numbered on without a gap, and the emergency period moves behind them.
    world.publish(0);
    let roster = world.in_force();
    assert!(roster.serial() > emergency.serial() && roster.period() == emergency.period());
    assert!(roster.not_after().0 <= world.now.seconds().0 + 86_400);
    assert!(world.relay.rosters.iter().count() <= 17);
    let rosters = world.rosters_of(0);
    assert!(rosters.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1 && pair[1].1 == pair[0].1 + 1), "{rosters:?}");
    world.meet(&[0, worker]);
    assert!(!world.view(worker).warnings.contains(&Warning::EmergencyPeriod));
    world.everybody_reads(&[0, worker]);
    // And with nobody, the door closes in the end, and can be opened.
    world.tick(16 * DAY);
    assert!(world.relay.rosters.in_force(world.now.seconds()).is_none());
    world.publish(0);
    world.in_force();
}

#[test]
fn a_line_may_do_without_the_emergency_period() {
    let mut rng = rng("no emergency", 341);
    let (dir, root) = (tempfile::tempdir().unwrap(), SecretKey::generate(&mut rng));
    let plan = LinePlan { emergency: false, ..plan() };
    let mut office = Office::found(dir.path(), &words(), &root, &plan, START, &mut rng).unwrap().office;
    office.act(&mut rng, |desk, rng| desk.publish(START, rng)).unwrap();
    let view = office.look().unwrap().line_view(START).unwrap();
    assert!(view.published_until <= START.0 + 8 * 86_400 && view.published_until > START.0 + 6 * 86_400);
}

#[test]
fn the_emergency_period_ends_with_the_desk_certificate() {
    let mut world = World::new("certificate", 342);
    for _ in 0..40 {
        let desk = world.offices[0].look().unwrap();
        assert!(desk.state.rosters.iter().all(|roster| roster.not_after() <= roster.desk_cert().not_after));
        world.tick(DAY);
        world.publish(0);
    }
    assert!(world.relay.rosters.in_force(world.now.seconds()).is_none(), "nobody renewed it");
    let (now, root) = (world.now.seconds(), world.root_key());
    world.act(0, |desk, rng| desk.renew(&root, now, rng)).unwrap();
    world.publish(0);
    assert!(world.view(0).published_until > now.0 + 13 * 86_400);
}

#[test]
fn two_workers_put_a_third_out_in_whatever_order_it_is_heard() {
    let mut world = World::new("two votes", 350);
    let desks = [1, 2, 3].map(|seat| world.join(Role::Worker, seat));
    let all = world.all();
    world.meet(&all);
    let (now, gone) = (world.now.seconds(), world.device(desks[2]));
    assert_eq!(world.act(desks[0], |desk, rng| desk.revoke(gone, now, rng)).unwrap(), Revocation::Voted);
    assert_eq!(world.act(desks[0], |desk, rng| desk.revoke(gone, now, rng)).unwrap(), Revocation::Voted, "once counts once");
    world.meet(&desks[..2]);
    for desk in &desks[..2] {
        assert!(world.view(*desk).devices.iter().all(|device| !device.revoked));
    }
    // The one who is meant is no second vote against itself's accuser, and a vote against oneself is another thing.
    let own = world.device(desks[0]);
    assert_eq!(world.act(desks[2], |desk, rng| desk.revoke(own, now, rng)).unwrap(), Revocation::Voted);
    assert_eq!(world.act(desks[1], |desk, rng| desk.revoke(gone, now, rng)).unwrap(), Revocation::Agreed);
    world.meet(&desks[..2]);
    for desk in &desks[..2] {
        assert!(
            world.view(*desk).devices.iter().find(|device| device.device == crate::desk::line::hex(&gone.0)).unwrap().revoked
        );
    }
    // The lead hears of it after days, and its rosters name the device.
    world.meet(&[0, desks[0], desks[1]]);
    world.publish(0);
    let key = world.seat_key(desks[2]);
    assert!(world.in_force().revoked(gone) && !world.in_force().seat_keys(Seat::new(3).unwrap()).contains(&key));
    world.everybody_reads(&[0]);
}

#[test]
fn a_lead_can_be_put_out_by_two_and_what_it_signs_is_refused_after_the_root_has_spoken() {
    let mut world = World::new("lead out", 351);
    let desks = [1, 2].map(|seat| world.join(Role::Worker, seat));
    let all = world.all();
    world.meet(&all);
    let (now, lost) = (world.now.seconds(), world.device(0));
    for desk in desks {
        world.act(desk, |desk, rng| desk.revoke(lost, now, rng)).unwrap();
    }
    world.meet(&desks);
    // The root makes one of them the lead, and voids what the lost one may still sign. Who listens is not shut out.
    world.lead(desks[0], true);
    assert_eq!(world.hear(desks[0]), 0, "a colleague has not heard yet");
    world.beats_of(&desks, 25);
    world.publish(desks[0]);
    let roster = world.in_force();
    assert!(roster.revoked(lost) && roster.generation() == 2);
    let cert = |world: &mut World, desk: usize| world.offices[desk].look().unwrap().line().unwrap().desk_cert.generation;
    assert_eq!(cert(&mut world, desks[1]), 2);
    // The thief signs on, for nobody.
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.rotate(now, rng)).unwrap();
    for bytes in world.offices[0].look().unwrap().rosters_to_put(R) {
        let roster = UncheckedRoster::parse(bytes.as_slice()).unwrap().check_signed(&world.relay.root).unwrap();
        assert!(world.relay.rosters.insert(roster.clone(), now).is_err());
        world.act(desks[1], |desk, _| desk.adopt(&roster, now)).unwrap();
    }
    assert_eq!(world.in_force().generation(), 2);
    world.meet(&desks);
    world.everybody_reads(&desks);
    assert_eq!(world.rosters_of(desks[0]), world.rosters_of(desks[1]));
}

#[test]
fn a_raised_generation_does_not_wait_for_ever() {
    let mut world = World::new("raise", 352);
    let desks = [1, 2].map(|seat| world.join(Role::Worker, seat));
    let all = world.all();
    world.meet(&all);
    world.lead(desks[0], true);
    world.tick(899_000);
    assert_eq!(world.hear(desks[0]), 0);
    world.tick(2_000);
    assert!(world.hear(desks[0]) > 0);
}

#[test]
fn a_lead_restored_from_an_old_backup_signs_nothing_that_it_may_have_signed() {
    let mut world = World::new("old backup", 360);
    // Alone: nobody else has the keys of what it signs. One with colleagues waits for their word besides.
    let backup = tempfile::tempdir().unwrap();
    copy(&world.dirs[0].path().join("vault"), &backup.path().join("vault"));
    for _ in 0..3 {
        world.tick(DAY);
        world.publish(0);
    }
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.rotate(now, rng)).unwrap();
    world.publish(0);
    world.relay.forgotten = world.relay.lane.len() as u64;
    let lost: Vec<u32> = world.relay.rosters.iter().map(SignedRoster::serial).collect();
    world.offices[0] = Office::open(backup.path(), &words()).unwrap();
    world.dirs[0] = backup;
    assert!(world.offices[0].restored());
    world.offices[0].doubt_if_restored(now, &mut world.rng).unwrap();
    let refused = world.act(0, |desk, rng| desk.rotate(now, rng));
    assert!(matches!(refused, Err(DeskError::Restored)));
    assert_eq!(world.hear(0), 0, "nothing before the relay was searched");
    assert!(world.offices[0].look().unwrap().rosters_to_put(R).is_empty());
    world.sync(0);
    world
        .act(0, |desk, _| {
            desk.searched(R, now);
            Ok(())
        })
        .unwrap();
    world.publish(0);
    let serials: Vec<u32> = world.relay.rosters.iter().filter(|r| r.not_after() > now).map(SignedRoster::serial).collect();
    assert!(serials.iter().all(|serial| !lost.contains(serial)), "{serials:?} {lost:?}");
    assert!(world.in_force().serial() > *lost.iter().max().unwrap());
    world.everybody_reads(&[0]);
}

#[test]
fn a_relay_that_lost_its_disk_is_given_every_statement_again() {
    let mut world = World::new("an emptied relay", 97);
    world.publish(0);
    world.hear(0);
    assert!(world.offices[0].look().unwrap().rosters_to_put(R).is_empty(), "it has them all");
    let had = world.rosters_of(0);
    world.relay.rosters = Default::default();
    world.publish(0);
    let now = world.now.seconds();
    let has: Vec<_> = world.relay.rosters.iter().filter(|r| r.not_after() > now).map(SignedRoster::serial).collect();
    assert_eq!(has.len(), had.len(), "{has:?} of {had:?}");
    world.hear(0);
    assert!(world.offices[0].look().unwrap().rosters_to_put(R).is_empty());
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Commands that change the keys ended before anybody else had them, and the laptop was closed.
#[test]
fn keys_are_told_when_every_colleague_that_is_there_has_been_sent_each_whichever_process_did() {
    let mut world = World::new("keys told", 340);
    let (second, third) = (world.join(Role::Worker, 1), world.join(Role::Worker, 2));
    let is_untold = |world: &mut World| {
        let now = world.now.seconds();
        world.offices[0].look().unwrap().has_untold_secrets(now)
    };
    assert!(is_untold(&mut world), "the third one's coming changed the second one's keys");
    world.beats(40);
    assert!(!is_untold(&mut world));
    let rotate = |world: &mut World| {
        let now = world.now.seconds();
        world.act(0, |desk, rng| desk.rotate(now, rng)).unwrap();
        world.publish(0);
        world.rosters_of(0).len()
    };
    let rosters = rotate(&mut world);
    assert!(is_untold(&mut world));
    let mut sent = 0;
    while is_untold(&mut world) {
        if sent == 6 {
            world.bundle(0, true);
            world.tick(10_000);
            world.offices[0] = Office::open(world.dirs[0].path(), &words()).unwrap();
        }
        world.bundle(0, false);
        world.tick(10_000);
        sent += 1;
        assert!(sent <= 2 * rosters, "each once, and none again before all were sent");
    }
    for desk in [second, third] {
        world.sync(desk);
        let (now, all) = (world.now.seconds(), world.rosters_of(0).len());
        world.publish(desk);
        let lead: Vec<KeyName> = world.offices[0].look().unwrap().living(now).into_iter().map(secret_of).collect();
        let ring = &world.offices[desk].look().unwrap().ring;
        assert_eq!(lead.iter().filter(|name| ring.key(**name).is_some()).count(), all, "desk {desk}");
    }
    world.everybody_reads(&[0, second, third]);

    // The third one is not there: nobody waits for it.
    for _ in 0..2 {
        world.tick(4 * DAY);
        world.publish(0);
        world.publish(second);
        world.beats_of(&[0, second], 60);
    }
    rotate(&mut world);
    assert!(is_untold(&mut world));
    world.beats_of(&[0, second], 40);
    assert!(!is_untold(&mut world));
}

fn secret_of(roster: &SignedRoster) -> KeyName {
    crate::desk::line::secret_name(roster.period(), roster.desk_key())
}

impl World {
    /// A mailbox asks for new keys, and this lead gives them to it.
    fn renew_by(&mut self, lead: usize, safe: usize) {
        let now = self.now.seconds();
        let request = self.act(safe, |desk, rng| desk.renewal_request(now, rng)).unwrap();
        let admission = self.act(lead, |desk, rng| desk.admit(&request, (Role::Safeguarding, Seat::new(8)), now, rng)).unwrap();
        self.offices[safe].accept(&admission, now, &mut self.rng).unwrap();
        self.publish(lead);
        self.publish(safe);
    }
    fn warns(&mut self, desk: usize, warning: Warning) -> bool {
        self.view(desk).warnings.contains(&warning)
    }
    /// A stolen lead signs what its thief wants, and the relay takes it: the thief's keys in every seat, in the mailbox and as the
    /// ones before, honest devices put out, and no notice ever again.
    fn steal(&mut self, stolen: usize, honest: &[DeviceId], (seat, sealing): (&SecretKey, &SealingSecret)) {
        let (now, own) = (self.now.seconds(), self.seat_key(stolen));
        let revoked: Vec<u8> = honest.iter().flat_map(|id| id.0).chain([7; 64]).take(64).collect();
        self.act(stolen, |desk, rng| {
            // A thief's program puts nothing right.
            desk.state.seat_keys.clear();
            desk.change_line(now, rng, |record| {
                record.given.clear();
                for each in Seat::all() {
                    let key = if Some(each) == Seat::new(1) { own } else { seat.public() };
                    lead::set_seat(record, each, &key, &seat.public());
                }
                record.safe_key = sealing.public().as_bytes().to_vec();
                (record.revoked, record.void_before) = (revoked, u64::MAX);
                record.serial_least = record.serial_least.max(u32::MAX - 1000);
            })?;
            // A period that was over, laid over all others for a week.
            let (key, cert) = desk.signing()?;
            let span = lead::Span { period: 2, begins: now.0 - 3600, ends: now.0 + 7 * 86_400 - 3600 };
            desk.make_roster(&key, &cert, &span, rng)?;
            // And the newest of all, over before today is.
            let period = desk.state.periods.keys().next_back().unwrap() + 1;
            let ends = now.0 - now.0 % 86_400 + 86_400 - 120;
            desk.make_roster(&key, &cert, &lead::Span { period, begins: now.0 - 3600, ends }, rng)
        })
        .unwrap();
        for bytes in self.offices[stolen].look().unwrap().rosters_to_put(R) {
            let roster = UncheckedRoster::parse(bytes.as_slice()).unwrap().check_signed(&self.relay.root).unwrap();
            self.relay.rosters.insert(roster, now).unwrap_or_default();
        }
    }
}

#[test]
fn nothing_that_a_stolen_lead_wrote_into_statements_outlasts_the_root() {
    for (seed, admits) in [(370, 0), (371, 1)] {
        let mut world = World::new("a stolen lead", seed);
        let stolen = world.second_lead(1);
        for _ in 0..5 {
            world.tick(DAY);
            world.publish(0);
            world.meet(&[0, stolen]);
        }
        let workers = [world.join_by(stolen, Role::Worker, 2), world.join_by(0, Role::Worker, 3)];
        let safe = world.join_by([0, stolen][admits], Role::Safeguarding, 8);
        world.publish(safe);
        let team = [0, stolen, workers[0], workers[1]];
        world.meet(&team);
        world.beats_of(&team, 40);
        let told = |world: &mut World| world.offices[0].look().unwrap().state.seat_keys.len();
        assert_eq!(told(&mut world), 2, "VOID: workers have said their keys");
        let mailbox = world.in_force().safe_key().as_bytes().to_vec();
        let (key, sealing) = (SecretKey::generate(&mut world.rng), SealingSecret::generate(&mut world.rng));
        let honest = [0, workers[0], workers[1]];
        let (ids, lost) = (honest.map(|desk| world.device(desk)), world.device(stolen));
        let is_theirs = |roster: &SignedRoster| Seat::all().any(|seat| roster.seat_keys(seat).contains(&key.public()));

        world.steal(stolen, &ids, (&key, &sealing));
        world.publish(safe);
        assert!(is_theirs(&world.in_force()) && world.warns(safe, Warning::MailboxReplaced));
        // Whoever is no lead learns it from the relay, and is warned; then the device is put out, which does not end it.
        for desk in workers {
            world.hear(desk);
            assert!(world.warns(desk, Warning::SeatUnnamed), "seed {seed}");
        }
        let now = world.now.seconds();
        world.act(0, |desk, rng| desk.revoke(lost, now, rng)).unwrap();
        world.publish(0);
        world.steal(stolen, &ids, (&key, &sealing));
        assert!(is_theirs(&world.in_force()), "a revoked lead signs on, and relays take it");
        assert!(!world.in_force().revoked(lost));

        // The root speaks. Until all have heard, the thief's are still the last.
        world.hear(0);
        world.lead(0, true);
        world.tick(10_000);
        world.steal(stolen, &ids, (&key, &sealing));
        assert_eq!(world.hear(0), 0, "colleagues have not heard yet");
        world.beats_of(&honest, 30);
        // Whatever the thief keeps from whom, it is no longer than a quarter of an hour.
        world.tick(600_000);
        world.publish(0);
        for _ in 0..3 {
            for desk in honest {
                world.hear(desk);
            }
            world.meet(&honest);
            world.publish(0);
        }
        world.publish(safe);
        let now = world.now.seconds();
        let rosters: Vec<SignedRoster> = world.offices[0].look().unwrap().living(now).into_iter().cloned().collect();
        assert!(rosters.len() > 7 && rosters.iter().all(|roster| roster.serial() < 100), "seed {seed}: serials begin anew");
        assert!(world.offices[0].look().unwrap().covered_until(now) > now.0 + 6 * 86_400, "seed {seed}: no day lacks one");
        for roster in rosters.iter().chain([&world.in_force()]) {
            assert_eq!(roster.generation(), 2);
            assert!(!is_theirs(roster) && roster.safe_key().as_bytes() != sealing.public().as_bytes(), "seed {seed}");
            assert!(roster.revoked(lost) && !ids.iter().any(|id| roster.revoked(*id)), "seed {seed}");
            assert!(roster.bulletins_void_before() <= now);
            for (seat, desk) in [(0, 0), (2, workers[0]), (3, workers[1])] {
                assert_eq!(roster.seat_keys(Seat::new(seat).unwrap())[0], world.seat_key(desk), "seed {seed} seat {seat}");
            }
            // Her mailbox stays hers if the lead that is left knows her key; else what is written there is for nobody.
            assert_eq!(roster.safe_key().as_bytes().as_slice() == mailbox.as_slice(), admits == 0, "seed {seed}");
        }
        for desk in honest {
            assert!(!world.warns(desk, Warning::SeatUnnamed), "seed {seed}");
        }
        assert!(world.warns(safe, Warning::RenewMailbox) && !world.warns(safe, Warning::MailboxReplaced));
        world.renew_by(0, safe);
        assert_eq!(world.view(safe).warnings, []);
        // Whatever is made anew that day is in force at once.
        let now = world.now.seconds();
        world.act(0, |desk, rng| desk.rotate(now, rng)).unwrap();
        world.publish(0);
        assert_eq!(world.in_force().generation(), 2);
        world.meet(&honest);
        // Nor is it taken up by whoever the root makes a lead later.
        world.lead(workers[0], false);
        world.meet(&honest);
        let now = world.now.seconds();
        world.act(workers[0], |desk, rng| desk.rotate(now, rng)).unwrap();
        world.publish(workers[0]);
        assert!(world.in_force().bulletins_void_before() <= now && !is_theirs(&world.in_force()));
        world.meet(&honest);
        world.everybody_reads(&honest);
    }
}

#[test]
fn what_was_sealed_on_the_day_of_a_raised_generation_opens_for_as_long_as_ever() {
    let mut world = World::new("the day of it", 373);
    world.tick(19 * 3_600_000);
    let mut her = Her::new(&mut world);
    her.write(&world, "just before");
    her.post(&mut world, false);
    world.lead(0, true);
    world.publish(0);
    assert_eq!(world.in_force().generation(), 2);
    let now = world.now.seconds();
    world.offices[0].compact(now, &mut world.rng).unwrap();
    world.offices[0] = Office::open(world.dirs[0].path(), &words()).unwrap();
    for _ in 0..71 {
        world.tick(3_600_000);
        let now = world.now.seconds();
        world.act(0, |desk, rng| desk.tidy(now, rng)).unwrap();
    }
    world.publish(0);
    assert_eq!(world.sync(0).letters, 1, "a relay keeps it for 72 hours");
}

#[test]
fn a_lead_that_is_made_while_the_generation_is_raised_waits_and_takes_nothing_over() {
    let mut world = World::new("a lead meanwhile", 372);
    let stolen = world.second_lead(1);
    let workers = [world.join_by(stolen, Role::Worker, 2), world.join_by(0, Role::Worker, 3)];
    let team = [0, stolen, workers[0], workers[1]];
    world.meet(&team);
    world.beats_of(&team, 40);
    let (key, sealing) = (SecretKey::generate(&mut world.rng), SealingSecret::generate(&mut world.rng));
    let honest = [0, workers[0], workers[1]];
    let (ids, lost) = (honest.map(|desk| world.device(desk)), world.device(stolen));
    world.steal(stolen, &ids, (&key, &sealing));
    for desk in honest {
        world.hear(desk);
    }
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.revoke(lost, now, rng)).unwrap();
    world.lead(0, true);
    // One worker has heard of its certificate, and the root makes it a lead at once.
    world.beats_of(&[0, workers[0]], 12);
    let generation = world.offices[workers[0]].look().unwrap().line().unwrap().desk_cert.generation;
    assert_eq!(generation, 2, "VOID: it has not heard yet");
    world.lead(workers[0], false);
    assert_eq!(world.hear(workers[0]), 0, "the other worker has not heard yet");
    world.beats_of(&honest, 40);
    for _ in 0..6 {
        for desk in [0, workers[0]] {
            world.publish(desk);
            world.meet(&honest);
        }
        world.tick(200_000);
    }
    let now = world.now.seconds();
    for desk in [0, workers[0]] {
        let rosters: Vec<SignedRoster> = world.offices[desk].look().unwrap().living(now).into_iter().cloned().collect();
        assert!(rosters.len() > 7, "{}", rosters.len());
        for roster in &rosters {
            assert!(roster.generation() == 2 && roster.serial() < 100);
            assert!(!Seat::all().any(|seat| roster.seat_keys(seat).contains(&key.public())));
            assert!(roster.safe_key().as_bytes() != sealing.public().as_bytes() && roster.bulletins_void_before() <= now);
            assert!(roster.revoked(lost) && !ids.iter().any(|id| roster.revoked(*id)));
        }
    }
    assert_eq!(world.rosters_of(0), world.rosters_of(workers[0]));
    assert_eq!((world.hear(0), world.hear(workers[0])), (0, 0));
    world.everybody_reads(&honest);
}

#[test]
fn two_leads_who_give_one_seat_to_two_devices_do_not_sign_against_each_other() {
    let mut world = World::new("one seat, two devices", 380);
    let second = world.second_lead(1);
    let both = [world.join_by(0, Role::Worker, 2), world.join_by(second, Role::Worker, 2)];
    let all = world.all();
    for _ in 0..4 {
        world.beats_of(&all, 20);
        world.meet(&all);
        world.tick(300_000);
        world.publish(second);
        world.publish(0);
    }
    assert_eq!(world.rosters_of(0), world.rosters_of(second));
    assert_eq!((world.hear(0), world.hear(second)), (0, 0));
    let ids = both.map(|desk| world.device(desk));
    for (desk, id) in both.into_iter().zip(ids) {
        world.hear(desk);
        let has_seat = id == ids[0].min(ids[1]);
        assert_eq!(world.warns(desk, Warning::SeatUnnamed), !has_seat, "the other is told that nobody believes it");
        let key = world.seat_key(desk);
        assert_eq!(world.in_force().seat_keys(Seat::new(2).unwrap()).contains(&key), has_seat);
    }
    world.everybody_reads(&all);
}

#[test]
fn a_mailbox_that_another_lead_has_renewed_keeps_the_keys_it_was_given() {
    let mut world = World::new("renewed by another", 381);
    let second = world.second_lead(1);
    let safe = world.join_by(0, Role::Safeguarding, 8);
    let leads = [0, second];
    for round in 0..3 {
        for _ in 0..15 {
            world.tick(DAY);
            world.publish(0);
            world.meet(&leads);
        }
        let (now, root) = (world.now.seconds(), world.root_key());
        for lead in leads {
            world.act(lead, |desk, rng| desk.renew(&root, now, rng)).unwrap();
        }
        world.meet(&leads);
        world.renew_by(second, safe);
        let named = |world: &World| {
            let roster = world.in_force();
            (roster.safe_key().as_bytes().to_vec(), roster.seat_keys(Seat::SAFEGUARDING).to_vec())
        };
        let given = named(&world);
        for _ in 0..3 {
            world.meet(&leads);
            world.tick(300_000);
            world.publish(0);
            world.publish(second);
        }
        let now = world.now.seconds();
        world.act(0, |desk, rng| desk.rotate(now, rng)).unwrap();
        world.publish(0);
        assert_eq!(named(&world), given, "round {round}");
        world.publish(safe);
        assert_eq!(world.view(safe).warnings, [], "round {round}");
    }
}

#[test]
fn a_lead_says_nothing_of_a_colleagues_seat_or_role() {
    let mut world = World::new("seat and role", 382);
    let stolen = world.second_lead(1);
    let (worker, other) = (world.join(Role::Worker, 2), world.join(Role::Worker, 3));
    let all = world.all();
    world.meet(&all);
    let now = world.now.seconds();
    let places = |world: &mut World| -> Vec<_> {
        let devices = &world.offices[0].look().unwrap().state.devices;
        devices.values().map(|device| (device.cert.role, device.cert.seat)).collect()
    };
    let before = places(&mut world);
    for (role, seat) in [(Role::Safeguarding, 8), (Role::Worker, 3), (Role::Lead, 2), (Role::Worker, 2)] {
        let id = world.device(worker);
        world
            .act(stolen, |desk, rng| {
                let ((key, cert), known) = (desk.signing()?, &desk.state.devices[&id]);
                let (public, known) = (known.cert.device_pk, known.record.clone());
                let life = (Seconds(now.0 - 7200), now.plus(50 * 86_400));
                let device =
                    porchlight_proto::cert::DeviceCert::sign(&key, &desk.line()?.id, &public, (role, Seat::new(seat)), life)
                        .unwrap();
                let record =
                    record::DeviceRecord { desk_cert: cert.bytes().to_vec(), device_cert: device.bytes().to_vec(), ..known };
                desk.tell(&crate::desk::line::admitted(&record)?, now, rng)
            })
            .unwrap();
        world.meet(&[0, stolen, worker, other]);
        assert_eq!(places(&mut world), before, "{role:?} {seat}");
    }
    world.everybody_reads(&[0, worker, other]);
}

#[test]
fn a_period_that_time_cannot_have_brought_is_not_believed() {
    let mut world = World::new("far off", 383);
    let stolen = world.second_lead(1);
    let newest = |world: &mut World, desk: usize| *world.offices[desk].look().unwrap().state.periods.keys().next_back().unwrap();
    let now = world.now.seconds();
    let signs = |world: &mut World, period: u32| {
        let made = world.act(stolen, |desk, rng| {
            let (key, cert) = desk.signing()?;
            desk.make_roster(&key, &cert, &lead::Span { period, begins: now.0 - 60, ends: now.0 + 3600 }, rng)?;
            Ok(desk.roster(now)?.clone())
        });
        let roster = made.unwrap();
        assert_eq!(roster.period(), period, "VOID: the thief's own desk believes it");
        world.act(0, |desk, _| desk.adopt(&roster, now)).unwrap();
    };
    let known = newest(&mut world, 0);
    // The newest that is known begins in days, so time has brought none beyond it.
    signs(&mut world, known + 17);
    assert_eq!(newest(&mut world, 0), known);
    signs(&mut world, u32::MAX);
    assert_eq!(newest(&mut world, 0), known);
    signs(&mut world, known + 16);
    assert_eq!(newest(&mut world, 0), known + 16, "the control");
}
