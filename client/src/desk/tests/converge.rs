//! Several devices: whatever is lost, repeated, reordered or delayed, they come to the same board.
use super::*;
use porchlight_proto::event::{Act, How, Proposal};
use porchlight_proto::line::DeviceId;

/// What a device alone knows: whether it is itself, whether a page is open, and in which slot an answer is.
const OWN: [&str; 5] = ["mine:", "here:", "state: OnTheWay", "state: WithTheRelay", "received:"];

fn without_own(text: &str) -> String {
    text.lines().filter(|line| !OWN.iter().any(|own| line.contains(own))).collect()
}

fn threads(office: &mut Office, now: Seconds) -> Vec<Thread> {
    let desk = office.look().unwrap();
    let mut rows = desk.list(now);
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    rows.iter().map(|row| desk.show(desk.find(&row.id).unwrap(), now).unwrap()).collect()
}

pub(super) fn board(office: &mut Office, now: Seconds) -> String {
    let (threads, rota) = (threads(office, now), office.look().unwrap().rota(now));
    without_own(&format!("{threads:#?}{rota:#?}"))
}

/// The board where a relay hands out cells in another order to each: letters of two visits in the same ten minutes stand as they came.
pub(super) fn board_in_any_order(office: &mut Office, now: Seconds) -> String {
    let mut threads = threads(office, now);
    for thread in &mut threads {
        thread.items.sort_by_cached_key(|item| without_own(&format!("{item:#?}")));
    }
    let rota = office.look().unwrap().rota(now);
    without_own(&format!("{threads:#?}{rota:#?}"))
}

#[test]
fn a_second_device_sees_what_the_first_does_and_answers_from_its_own_seat() {
    let mut world = World::new("second device", 40);
    let second = world.join(Role::Worker, 1);
    let mut her = Her::new(&mut world);
    her.write(&world, "hello to both");
    let mut events = vec![];
    for round in 0..24 {
        her.post(&mut world, false);
        for desk in 0..2 {
            world.sync(desk);
            world.bundle(desk, false);
        }
        if round == 6 {
            world.answer(second, her.caller, "from the second");
            let now = world.now.seconds();
            world.act(0, |desk, rng| desk.claim(her.caller, None, None, now, rng)).unwrap();
        }
        world.tick(10_000);
        events.extend(her.read_fast(&world));
    }
    assert_eq!(texts(&events), ["from the second"]);
    let now = world.now.seconds();
    assert_eq!(board(&mut world.offices[0], now), board(&mut world.offices[1], now));
    let claim = world.only_row(1).claim.unwrap();
    assert!(!claim.mine);
    let refused = world.act(1, |desk, rng| desk.claim(her.caller, None, None, now, rng)).unwrap_err();
    assert!(matches!(refused, DeskError::HeldBy { .. }));
    assert_eq!(
        world.act(1, |desk, rng| desk.claim(her.caller, None, Some("she is asleep"), now, rng)).unwrap(),
        Claimed::TakenOver
    );
    let floor = world.relay.floors.iter().map(|floor| floor.n).max().unwrap();
    assert!(floor > 0 && floor <= world.relay.lane.len() as u64);
}

#[test]
fn a_revoked_device_opens_nothing_sent_afterwards() {
    let mut world = World::new("revoked", 41);
    let second = world.join(Role::Worker, 1);
    let mut her = Her::new(&mut world);
    her.write(&world, "before");
    her.post(&mut world, false);
    assert_eq!(world.sync(second).letters, 1);
    let now = world.now.seconds();
    let device = world.offices[second].look().unwrap().line().unwrap().device;
    world.act(0, |desk, rng| desk.revoke(device, now, rng)).unwrap();
    world.publish(0);
    her.come_again(&mut world);
    her.write(&world, "after");
    her.post(&mut world, false);
    for _ in 0..20 {
        world.bundle(0, false);
        world.tick(10_000);
    }
    assert_eq!(world.sync(second).letters, 0);
    assert_eq!(world.sync(0).letters, 2);
    let roster = world.relay.rosters.in_force(world.now.seconds()).unwrap().clone();
    assert!(roster.revoked(device));
    let seat_key = world.offices[second].look().unwrap().seat_key().unwrap().public();
    assert!(!roster.seat_keys(Seat::new(1).unwrap()).contains(&seat_key));
}

/// A history of the fuzzer's: seed 102 of `whatever_goes_wrong`, shrunk.
#[test]
fn a_device_that_slept_through_a_revocation_opens_what_was_sealed_that_night() {
    let mut world = World::new("slept through", 47);
    let away = world.join(Role::Worker, 1);
    let lost = world.join(Role::Worker, 2);
    talk(&mut world, 20);
    let (device, now) = (world.offices[lost].look().unwrap().line().unwrap().device, world.now.seconds());
    world.act(0, |desk, rng| desk.revoke(device, now, rng)).unwrap();
    world.publish(0);
    let mut her = Her::new(&mut world);
    her.write(&world, "in the night");
    her.post(&mut world, false);
    world.sync(0);
    world.bundle(0, false);
    // The day is over before the other comes back.
    world.tick(86_400_000);
    for desk in [0, away] {
        world.publish(desk);
    }
    for _ in 0..120 {
        for desk in [0, away] {
            world.sync(desk);
            world.bundle(desk, false);
        }
        world.tick(10_000);
    }
    assert_eq!(world.only_row(0).letters, 1);
    assert_eq!(world.only_row(away).letters, 1);
}

/// A relay that colludes with a lost device writes whatever it signs; a page that knows a newer statement shows none of it.
#[test]
fn what_a_revoked_seat_signs_is_shown_to_nobody_who_knows_of_it() {
    let mut world = World::new("revoked seat", 46);
    let second = world.join(Role::Worker, 1);
    let mut her = Her::new(&mut world);
    her.write(&world, "before");
    her.post(&mut world, false);
    talk(&mut world, 20);
    let old = world.relay.notice(world.now);
    let device = world.offices[second].look().unwrap().line().unwrap().device;
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.revoke(device, now, rng)).unwrap();
    world.publish(0);
    world.answer(second, her.caller, "from the lost one");
    // The lead's laptop sleeps: the lost device takes itself for the one that fills the slow slots.
    let written = world.relay.slow.len();
    for _ in 0..60 {
        world.bundle(second, false);
        world.tick(60_000);
    }
    assert!(world.relay.slow.len() > written);
    her.come_again(&mut world);
    assert_eq!(texts(&her.read_slow(&world)), Vec::<String>::new());
    // The control: it was there, for whoever is shown the statement of before.
    let line = porchlight_proto::line::LineId::from_root(&world.relay.root);
    let mut fooled = Visit::open(world.relay.root, &mut world.rng);
    fooled.notice(old.to_bytes().as_slice(), Some(R), world.now, Clock::Own).unwrap();
    fooled.know(her.phrase.stretch(&line), world.now, &mut world.rng);
    her.visit = fooled;
    assert_eq!(texts(&her.read_slow(&world)), ["from the lost one"]);
}

#[test]
fn a_device_three_days_away_comes_to_the_same_board() {
    let mut world = World::new("away", 42);
    let second = world.join(Role::Worker, 1);
    let mut callers = vec![];
    for turn in 0..30 {
        let mut her = Her::new(&mut world);
        her.write(&world, &format!("letter {turn}"));
        her.post(&mut world, false);
        world.sync(0);
        world.answer(0, her.caller, &format!("answer {turn}"));
        world.bundle(0, false);
        callers.push(her.caller);
        world.tick(8_640_000);
        if turn % 10 == 0 {
            world.publish(0);
        }
    }
    let began = world.now;
    for _ in 0..200 {
        world.publish(second);
        for desk in [second, 0] {
            world.sync(desk);
            world.bundle(desk, false);
        }
        world.tick(10_000);
        let now = world.now.seconds();
        if board(&mut world.offices[0], now) == board(&mut world.offices[second], now) {
            println!("a device three days away converged after {} s", (world.now.0 - began.0) / 1000);
            return;
        }
    }
    panic!("no convergence");
}

/// One random history: three devices, two callers, losses, repetitions, crashes; then quiet, and one board.
fn history(seed: u64) {
    let mut world = World::new("history", seed);
    world.join(Role::Worker, 1);
    world.join(Role::Worker, 2);
    let mut hers = [Her::new(&mut world), Her::new(&mut world)];
    for turn in 0..60 {
        let which = world.rng.next_u32() as usize % 2;
        let lost = one_in(&mut world.rng, 3);
        if turn % 5 == 0 {
            hers[which].write(&world, &format!("letter {turn}"));
        }
        hers[which].post(&mut world, lost);
        let desk = world.rng.next_u32() as usize % 3;
        if one_in(&mut world.rng, 2) {
            world.sync(desk);
        }
        // Clocks of devices differ by up to two hours.
        let by_its_clock = Seconds(world.now.seconds().0 + desk as u64 * 3600 - 3600);
        deed(&mut world, desk, hers[which].caller, turn, by_its_clock);
        let lost = one_in(&mut world.rng, 3);
        world.bundle(desk, lost);
        if one_in(&mut world.rng, 4) && world.relay.lane.len() > 4 {
            let at = world.rng.next_u32() as usize % world.relay.lane.len();
            let again = world.relay.lane[at].clone();
            world.relay.lane.push(again);
        }
        if one_in(&mut world.rng, 10) {
            world.publish(desk);
        }
        if one_in(&mut world.rng, 10) {
            world.offices[desk] = Office::open(world.dirs[desk].path(), &words()).unwrap();
        }
        if turn == 40 {
            lose_the_relays_keyring(&mut world);
        }
        let skew = u64::from(world.rng.next_u32() % 20_000);
        world.tick(skew);
    }
    settle(&mut world, &mut hers, seed);
}

/// Another life, and what the relay held is gone. Letters that only one device had fetched would be missing from the
/// others until a snapshot: here all have had the time.
fn lose_the_relays_keyring(world: &mut World) {
    for _ in 0..40 {
        for desk in 0..3 {
            world.publish(desk);
            world.sync(desk);
            world.bundle(desk, false);
        }
        world.tick(10_000);
    }
    (world.relay.life, world.relay.forgotten) = (world.rng.next_u64(), world.relay.lane.len() as u64);
}

/// What a worker does, at random.
pub(super) fn deed(world: &mut World, desk: usize, caller: CallerId, turn: u32, now: Seconds) {
    let choice = world.rng.next_u32() % 16;
    if choice >= 8 {
        return together(world, desk, (caller, turn), now);
    }
    let done = world.act(desk, |desk, rng| match choice {
        0 => desk.claim(caller, Some(Seconds(600)), None, now, rng).map(drop),
        1 => desk.claim(caller, None, Some("takes over"), now, rng).map(drop),
        2 => desk.release(caller, now, rng),
        3 => desk.note(caller, &format!("note {turn}"), now, rng),
        4 => desk
            .answer(caller, &AnswerPlan { text: format!("answer {turn}").into(), ..AnswerPlan::default() }, now, rng)
            .map(drop),
        5 => {
            let plan = HandOverPlan { situation: format!("turn {turn}"), ..HandOverPlan::default() };
            desk.hand_over(caller, &plan, now, rng)
        }
        6 => desk.accept_hand_over(caller, now, rng),
        _ => desk.mark_shown(caller, now, rng),
    });
    assert!(
        matches!(
            done,
            Ok(())
                | Err(DeskError::NoSuchCaller
                    | DeskError::HeldBy { .. }
                    | DeskError::Unreachable
                    | DeskError::NotHandedOver
                    | DeskError::Restored
                    | DeskError::Outdated)
        ),
        "{done:?}"
    );
}

/// What a team knows and decides together, at random.
fn together(world: &mut World, desk: usize, (caller, turn): (CallerId, u32), now: Seconds) {
    let choice = world.rng.next_u32() % 10;
    let other = world.rng.next_u32() as usize;
    let act = [Act::Join, Act::Fulfil, Act::Forget, Act::KeepHandOver, Act::Say][other % 5];
    let done = world.act(desk, |desk, rng| {
        let mut callers: Vec<CallerId> = desk.state.callers.keys().copied().collect();
        // A hash map's order is not the seed's.
        callers.sort_unstable();
        let other = callers.get(other % callers.len().max(1)).copied().unwrap_or(caller);
        let proposals = desk.proposals(now);
        let some = proposals.get(turn as usize % proposals.len().max(1));
        let some = some.and_then(|view| desk.find_proposal(&view.by, view.seq).ok());
        let shifts = desk.rota(now).shifts;
        match choice {
            0 => desk.compose(caller, now, rng).map(drop),
            1 => desk.set_known(caller, (How::Introduced, &format!("turn {turn}")), now, rng),
            2 => desk.set_question(caller, (&format!("question {turn}"), "answer"), now, rng),
            3 => desk.set_wish(caller, if turn % 3 == 0 { "" } else { "a wish" }, now, rng),
            4 => desk.set_duress(caller, Some(other).filter(|_| turn % 2 == 0), now, rng),
            5 => desk.propose(&Proposal { caller, act, other, text: format!("why {turn}") }, now, rng).map(drop),
            6 => some.map_or(Ok(()), |id| desk.agree(id, now, rng)),
            7 => some.map_or(Ok(()), |id| desk.object(id, now, rng)),
            8 if turn % 2 == 0 => desk.part(caller, other, now, rng),
            8 => shifts.first().map_or(Ok(()), |shift| {
                let id = desk.find_shift(&shift.by, shift.seq)?;
                desk.strike_shift(id, now, rng)
            }),
            9 if turn % 2 == 0 => {
                let carried = proposals.iter().find(|view| view.act == "say" && view.state == ProposalState::Carried);
                let id = carried.and_then(|view| desk.find_proposal(&view.by, view.seq).ok());
                id.map_or(Ok(()), |id| desk.say(id, AnswerPlan::default(), now, rng).map(drop))
            }
            _ => {
                let device = desk.device()?;
                desk.add_shift(device, (now, now.plus(u64::from(turn + 1) * 600)), now, rng)
            }
        }
    });
    let refused = matches!(
        done,
        Err(DeskError::NoSuchCaller
            | DeskError::SameRow
            | DeskError::NotOneRow
            | DeskError::NothingAsked
            | DeskError::NotHandedOver
            | DeskError::Decided
            | DeskError::NeedsSecond { .. }
            | DeskError::NoSuchShift
            | DeskError::NoSuchProposal
            | DeskError::Unreachable
            | DeskError::Restored
            | DeskError::Outdated)
    );
    assert!(done.is_ok() || refused, "{done:?}");
}

fn settle(world: &mut World, hers: &mut [Her; 2], seed: u64) {
    (0..3).for_each(|desk| world.publish(desk));
    for _ in 0..240 {
        for her in hers.iter_mut() {
            her.post(world, false);
        }
        for desk in 0..3 {
            world.sync(desk);
            world.bundle(desk, false);
        }
        world.tick(10_000);
        let now = world.now.seconds();
        let receipted = hers.iter().all(|her| her.visit.all_receipted());
        for her in hers.iter_mut() {
            her.read_fast(world);
        }
        let boards: Vec<String> = world.offices.iter_mut().map(|office| board(office, now)).collect();
        if receipted && boards[0] == boards[1] && boards[1] == boards[2] {
            return;
        }
    }
    let now = world.now.seconds();
    let boards: Vec<String> = world.offices.iter_mut().map(|office| board(office, now)).collect();
    for other in &boards[1..] {
        let at = boards[0].bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
        let around = |board: &str| board.get(at.saturating_sub(300)..(at + 200).min(board.len())).unwrap_or_default().to_owned();
        println!("first: {}\nother: {}\n", around(&boards[0]), around(other));
    }
    panic!("the devices of history {seed} did not converge");
}

#[test]
fn random_histories_converge() {
    let first: u64 = std::env::var("PORCHLIGHT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1000);
    let count: u64 = std::env::var("PORCHLIGHT_HISTORIES").ok().and_then(|count| count.parse().ok()).unwrap_or(5);
    for seed in first..first + count {
        history(seed);
    }
    println!("{count} histories from seed {first}: each came to one board (pass: all)");
}

#[test]
fn two_devices_that_wrote_much_while_apart_come_to_one_board() {
    let mut world = World::new("much to say", 44);
    let second = world.join(Role::Worker, 1);
    let mut her = Her::new(&mut world);
    her.write(&world, "hello");
    her.post(&mut world, false);
    for desk in [0, second] {
        world.sync(desk);
    }
    // More than either can hear acknowledged before it goes on.
    let now = world.now.seconds();
    for turn in 0..150 {
        for desk in [0, second] {
            let note = format!("note {turn} of {desk}");
            world.act(desk, |desk, rng| desk.note(her.caller, &note, now, rng)).unwrap();
        }
    }
    for _ in 0..600 {
        for desk in [0, second] {
            world.sync(desk);
            world.bundle(desk, false);
        }
        world.tick(10_000);
        let now = world.now.seconds();
        let ours = board(&mut world.offices[0], now);
        if ours.contains("note 149 of 0") && ours.contains("note 149 of 1") && ours == board(&mut world.offices[second], now) {
            return;
        }
    }
    panic!("no convergence");
}

/// Both hear what the other said, and everything is acknowledged.
pub(super) fn talk(world: &mut World, turns: u32) {
    for _ in 0..turns {
        for desk in 0..world.offices.len() {
            world.bundle(desk, false);
            world.sync(desk);
        }
        world.tick(10_000);
    }
}

/// A laptop in a drawer is of the team until somebody puts it out.
#[test]
fn a_device_that_is_away_holds_up_nobody_else() {
    let mut world = World::new("in a drawer", 92);
    world.join(Role::Worker, 1);
    world.join(Role::Worker, 2);
    let mut her = Her::new(&mut world);
    her.write(&world, "hello");
    her.post(&mut world, false);
    talk(&mut world, 40);
    // Only two of the three are there from now on, and one says more than may be under way to somebody who hears nothing.
    for turn in 0..260 {
        if turn < 100 {
            let now = world.now.seconds();
            world.act(0, |desk, rng| desk.note(her.caller, &format!("note {turn}"), now, rng)).unwrap();
        }
        for desk in [0, 1] {
            world.bundle(desk, false);
            world.sync(desk);
        }
        world.tick(10_000);
    }
    let notes = |world: &mut World, desk: usize| {
        world.thread(desk, her.caller).items.iter().filter(|item| matches!(item, Item::Note { .. })).count()
    };
    assert_eq!([0, 1].map(|desk| notes(&mut world, desk)), [100; 2]);
    // And it hears all of it once it is back.
    talk(&mut world, 200);
    assert_eq!(notes(&mut world, 2), 100);
}

/// In which order two visits of the same ten minutes were, nobody knows; desks hear them by different relays.
#[test]
fn of_two_visits_in_the_same_ten_minutes_every_desk_shows_the_one_that_must_not_wait() {
    let mut world = World::new("ten minutes", 93);
    let second = world.join(Role::Worker, 1);
    talk(&mut world, 10);
    let mut her = Her::new(&mut world);
    let says = |status| Letter { status: Some(status), ..Letter::default() };
    her.visit.write(&says(Status::Help), To::Desk, world.now).unwrap();
    her.post(&mut world, false);
    her.come_again(&mut world);
    her.visit.write(&says(Status::Safe), To::Desk, world.now).unwrap();
    her.post(&mut world, false);
    world.sync(0);
    let last = world.relay.lane.len();
    world.relay.lane.swap(last - 2, last - 1);
    world.sync(second);
    for desk in [0, second] {
        assert_eq!(world.only_row(desk).status, Some("help"), "desk {desk}");
    }
    // What she says in a later visit stands.
    world.tick(700_000);
    her.come_again(&mut world);
    her.visit.write(&says(Status::Safe), To::Desk, world.now).unwrap();
    her.post(&mut world, false);
    world.sync(0);
    assert_eq!(world.only_row(0).status, Some("safe"));
}

#[test]
fn a_hand_over_is_accepted_once_and_until_then_nobody_lets_go() {
    let mut world = World::new("hand over", 45);
    let second = world.join(Role::Worker, 1);
    let third = world.join(Role::Worker, 2);
    let mut her = Her::new(&mut world);
    her.write(&world, "hello");
    her.post(&mut world, false);
    talk(&mut world, 30);
    let now = world.now.seconds();
    let to = world.offices[second].look().unwrap().line().unwrap().device;
    let plan = HandOverPlan {
        to: Some(to),
        situation: "at her aunt's".into(),
        next_step: "look at 8".into(),
        ..HandOverPlan::default()
    };
    let accept = |world: &mut World, desk| {
        let now = world.now.seconds();
        world.act(desk, |desk, rng| desk.accept_hand_over(her.caller, now, rng))
    };
    assert!(matches!(accept(&mut world, 0), Err(DeskError::NotHandedOver)));
    let empty = world.act(0, |desk, rng| desk.hand_over(her.caller, &HandOverPlan::default(), now, rng));
    assert!(matches!(empty, Err(DeskError::EmptyHandOver)));
    let nobody = HandOverPlan { to: Some(DeviceId([9; 8])), ..plan.clone() };
    assert!(matches!(world.act(0, |desk, rng| desk.hand_over(her.caller, &nobody, now, rng)), Err(DeskError::NoSuchDevice)));
    world.act(0, |desk, rng| desk.claim(her.caller, None, None, now, rng)).unwrap();
    world.act(0, |desk, rng| desk.hand_over(her.caller, &plan, now, rng)).unwrap();
    talk(&mut world, 60);
    let row = world.only_row(third);
    assert!(row.claim.is_some() && row.next_step.as_deref() == Some("look at 8"));
    let over = row.hand_over.unwrap();
    assert_eq!((over.state, over.to), (HandOverState::Waiting, Some(super::super::line::hex(&to.0))));
    world.tick(20 * 60_000);
    assert_eq!(world.only_row(third).hand_over.unwrap().state, HandOverState::OnCall);
    // Two accept at once, neither knowing of the other.
    accept(&mut world, third).unwrap();
    accept(&mut world, second).unwrap();
    talk(&mut world, 40);
    let now = world.now.seconds();
    let boards: Vec<String> = (0..3).map(|desk| board(&mut world.offices[desk], now)).collect();
    assert!(boards.iter().all(|shown| *shown == boards[0]));
    assert!(boards[0].contains("at her aunt's"));
    let row = world.only_row(0);
    let holders = [second, third].map(|desk| world.only_row(desk).claim.is_some_and(|claim| claim.mine));
    assert!(row.hand_over.is_none() && holders[0] != holders[1], "{holders:?}");
    assert!(matches!(accept(&mut world, 0), Err(DeskError::NotHandedOver)));
    // Its words are forgotten with their day; that it was accepted is not.
    world.tick(20 * 86_400_000);
    let (now, root) = (world.now.seconds(), SecretKey::from_seed(&world.root.seed()));
    world.act(0, |desk, rng| desk.renew(&root, now, rng)).unwrap();
    world.act(0, |desk, rng| desk.tidy(now, rng)).unwrap();
    let shown = board(&mut world.offices[0], now);
    assert!(!shown.contains("at her aunt's") && shown.contains("HandOver") && world.only_row(0).hand_over.is_none());
}
