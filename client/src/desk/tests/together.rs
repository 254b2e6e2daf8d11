//! What a team knows of a caller, who is on call, and what no worker decides alone.
use super::converge::{board, talk};
use super::*;
use crate::desk::line::hex;
use porchlight_proto::event::{Act, How, Proposal};

const DAY: u64 = 86_400_000;

/// Two devices and one caller, whose letter both hold.
fn two(name: &str, seed: u64) -> (World, Her) {
    let mut world = World::new(name, seed);
    world.join(Role::Worker, 1);
    let mut her = Her::new(&mut world);
    her.write(&world, "first letter");
    her.post(&mut world, false);
    talk(&mut world, 30);
    (world, her)
}

fn propose(world: &mut World, desk: usize, plan: &Proposal) -> ProposalId {
    let now = world.now.seconds();
    world.act(desk, |desk, rng| desk.propose(plan, now, rng)).unwrap()
}

fn about(caller: CallerId, act: Act) -> Proposal {
    Proposal { caller, act, other: CallerId([0; 16]), text: "because".into() }
}

fn same_boards(world: &mut World) -> String {
    let now = world.now.seconds();
    let boards: Vec<String> = world.offices.iter_mut().map(|office| board(office, now)).collect();
    assert!(boards.iter().all(|shown| *shown == boards[0]));
    boards[0].clone()
}

#[test]
fn two_who_write_at_once_see_it_before_either_sends() {
    let (mut world, her) = two("composing", 80);
    // What devices say of themselves when they are new has been said.
    talk(&mut world, 12);
    let now = world.now.seconds();
    for desk in [0, 1] {
        assert!(world.act(desk, |desk, rng| desk.compose(her.caller, now, rng)).unwrap().is_empty());
    }
    let events = world.offices[0].look().unwrap().state.lamport;
    world.act(0, |desk, rng| desk.compose(her.caller, now.plus(30), rng)).unwrap();
    assert_eq!(world.offices[0].look().unwrap().state.lamport, events, "typing on is no event");
    talk(&mut world, 3);
    let now = world.now.seconds();
    for desk in [0, 1] {
        assert_eq!(world.only_row(desk).composing.len(), 2, "{desk}");
        assert_eq!(world.offices[desk].look().unwrap().composing_others(her.caller, now).unwrap().len(), 1);
    }
    world.answer(0, her.caller, "an answer");
    world.act(1, |desk, rng| desk.stop_composing(her.caller, now, rng)).unwrap();
    talk(&mut world, 10);
    for desk in [0, 1] {
        assert!(world.only_row(desk).composing.is_empty(), "{desk}: one has answered, the other stopped");
    }
    let now = world.now.seconds();
    world.act(1, |desk, rng| desk.compose(her.caller, now, rng)).unwrap();
    talk(&mut world, 3);
    world.tick(120_000);
    assert!(world.only_row(0).composing.is_empty(), "it lapses by itself");
}

#[test]
fn what_is_known_of_her_stays_when_letters_are_forgotten() {
    let (mut world, her) = two("known", 81);
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.set_known(her.caller, (How::Introduced, "her cousin"), now, rng)).unwrap();
    world.act(1, |desk, rng| desk.set_question(her.caller, ("무슨 꽃?", "진달래"), now, rng)).unwrap();
    world.act(1, |desk, rng| desk.set_wish(her.caller, "tell my sister", now, rng)).unwrap();
    let half = world.act(0, |desk, rng| desk.set_question(her.caller, ("only a question", ""), now, rng));
    assert!(matches!(half, Err(DeskError::Content(_))));
    talk(&mut world, 20);
    world.tick(20 * DAY);
    let (now, root) = (world.now.seconds(), SecretKey::from_seed(&world.root.seed()));
    world.act(0, |desk, rng| desk.renew(&root, now, rng)).unwrap();
    for desk in [0, 1] {
        world.act(desk, |desk, rng| desk.tidy(now, rng)).unwrap();
        world.offices[desk].compact(now, &mut world.rng).unwrap();
        world.offices[desk] = Office::open(world.dirs[desk].path(), &words()).unwrap();
        let thread = world.thread(desk, her.caller);
        assert!(matches!(&thread.items[0], Item::Letter { state: LetterState::Forgotten, .. }));
        assert_eq!((thread.person.how, thread.person.known_by.as_str()), ("introduced", "her cousin"));
        assert_eq!(thread.person.question.as_deref().zip(thread.person.answer.as_deref()), Some(("무슨 꽃?", "진달래")));
        assert_eq!(thread.person.wish.as_deref(), Some("tell my sister"));
    }
    world.act(1, |desk, rng| desk.set_question(her.caller, ("", ""), now, rng)).unwrap();
    assert_eq!(world.thread(1, her.caller).person.question, None);
}

#[test]
fn a_wish_brings_her_forward_when_her_sign_is_late_and_is_fulfilled_by_two() {
    let mut world = World::new("wish", 82);
    world.join(Role::Worker, 1);
    let her = back_in_an_hour(&mut world);
    let nothing = world.act(0, |desk, rng| desk.propose(&about(her.caller, Act::Fulfil), world_now(), rng));
    assert!(matches!(nothing, Err(DeskError::NothingAsked)));
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.set_wish(her.caller, "call her aunt", now, rng)).unwrap();
    world.answer(0, her.caller, "we wait for you");
    talk(&mut world, 20);
    assert_eq!(world.only_row(1).urgency, Urgency::Rest, "not late yet: nobody does anything");
    world.tick(DAY + 2 * 3_600_000);
    assert_eq!(world.only_row(1).urgency, Urgency::OverdueAsked);
    let id = propose(&mut world, 0, &about(her.caller, Act::Fulfil));
    talk(&mut world, 20);
    assert_eq!(world.only_row(1).proposals, 1);
    let now = world.now.seconds();
    world.act(1, |desk, rng| desk.agree(id, now, rng)).unwrap();
    talk(&mut world, 20);
    let thread = world.thread(0, her.caller);
    assert_eq!((thread.proposals[0].act, thread.proposals[0].state), ("fulfil", ProposalState::Carried));
    same_boards(&mut world);
}

/// README: nothing is done by itself when she is late.
#[test]
fn whoever_is_late_moves_up_on_the_board_and_nothing_is_said_to_anybody() {
    let mut world = World::new("late", 88);
    world.join(Role::Worker, 1);
    let mut her = back_in_an_hour(&mut world);
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.set_wish(her.caller, "call her aunt", now, rng)).unwrap();
    world.answer(0, her.caller, "we wait for you");
    talk(&mut world, 30);
    let said = |world: &mut World| world.offices.iter_mut().map(|office| told_by_people(office.look().unwrap())).sum::<usize>();
    let (before, items) = (said(&mut world), world.thread(1, her.caller).items.len());
    assert!(before >= 2, "the control: a wish and an answer are counted");
    // Two days of two programs whose workers do nothing.
    for _ in 0..48 {
        for desk in 0..2 {
            world.publish(desk);
            world.sync(desk);
            let now = world.now.seconds();
            world.act(desk, |desk, rng| desk.tidy(now, rng)).unwrap();
            world.bundle(desk, false);
        }
        world.tick(3_600_000);
    }
    assert_eq!(world.only_row(1).urgency, Urgency::OverdueAsked);
    assert_eq!((said(&mut world), world.thread(1, her.caller).items.len()), (before, items));
    her.come_again(&mut world);
    assert_eq!(texts(&her.read_slow(&world)), ["we wait for you"], "and she is told nothing but what somebody wrote");
}

/// Events of a device that are not its own upkeep.
fn told_by_people(desk: &Desk) -> usize {
    use porchlight_proto::event::Event;
    let me = desk.line().unwrap().device;
    let log = desk.state.log.get(&me).into_iter().flatten();
    let by_itself = |event: &Event| {
        matches!(
            event,
            Event::Acknowledge { .. }
                | Event::DeviceKey(_)
                | Event::Roster(_)
                | Event::Slots(_)
                | Event::Admitted(_)
                | Event::SeatKey(_)
        )
    };
    log.filter(|event| Event::parse(&event.record.trace).is_ok_and(|event| !by_itself(&event))).count()
}

/// Somebody who says when she will write again.
fn back_in_an_hour(world: &mut World) -> Her {
    let mut her = Her::new(world);
    let promise = Letter { next: Some(3600), text: "back in an hour".to_owned().into(), ..Letter::default() };
    her.visit.write(&promise, To::Desk, world.now).unwrap();
    her.post(world, false);
    talk(world, 30);
    her
}

fn world_now() -> Seconds {
    START.plus(3600)
}

#[test]
fn one_worker_waits_a_day_where_two_would_not() {
    let (mut world, her) = two("alone", 83);
    let plan = HandOverPlan { situation: "here".into(), ..HandOverPlan::default() };
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.hand_over(her.caller, &plan, now, rng)).unwrap();
    let id = propose(&mut world, 0, &about(her.caller, Act::KeepHandOver));
    let now = world.now.seconds();
    let agree = |world: &mut World, desk: usize, now: Seconds| world.act(desk, |desk, rng| desk.agree(id, now, rng));
    assert!(matches!(agree(&mut world, 0, now), Err(DeskError::NeedsSecond { .. })));
    assert!(matches!(agree(&mut world, 0, now.plus(86_399)), Err(DeskError::NeedsSecond { .. })));
    let forget = propose(&mut world, 0, &about(her.caller, Act::Forget));
    let never = world.act(0, |desk, rng| desk.agree(forget, now.plus(90_000), rng));
    assert!(matches!(never, Err(DeskError::NeedsSecond { alone_from: None })), "what is forgotten does not come back");
    talk(&mut world, 20);
    // The other objects: nobody agrees any more.
    let now = world.now.seconds();
    world.act(1, |desk, rng| desk.object(id, now, rng)).unwrap();
    assert!(matches!(agree(&mut world, 1, now), Err(DeskError::Decided)));
    talk(&mut world, 20);
    assert!(matches!(agree(&mut world, 0, now.plus(90_000)), Err(DeskError::Decided)));
    // Nobody objects to the next: a day later one is enough, and after a week nothing is.
    let id = propose(&mut world, 0, &about(her.caller, Act::KeepHandOver));
    let late = propose(&mut world, 0, &about(her.caller, Act::KeepHandOver));
    let now = world.now.seconds();
    assert!(matches!(world.act(0, |desk, rng| desk.agree(late, now.plus(8 * 86_400), rng)), Err(DeskError::Decided)));
    world.act(0, |desk, rng| desk.agree(id, now.plus(86_400), rng)).unwrap();
    let states: Vec<_> = world.thread(0, her.caller).proposals.iter().map(|view| view.state).collect();
    assert!(states.contains(&ProposalState::Carried));
}

#[test]
fn two_rows_become_one_and_two_again() {
    let (mut world, old) = two("join", 84);
    let mut new = Her::new(&mut world);
    world.tick(1_200_000);
    new.write(&world, "I have lost my words");
    new.post(&mut world, false);
    talk(&mut world, 30);
    let plan = Proposal { other: new.caller, ..about(old.caller, Act::Join) };
    let id = propose(&mut world, 0, &plan);
    assert_eq!(world.offices[0].look().unwrap().list(world.now.seconds()).len(), 2, "not before a second agrees");
    talk(&mut world, 20);
    let now = world.now.seconds();
    world.act(1, |desk, rng| desk.agree(id, now, rng)).unwrap();
    talk(&mut world, 20);
    for desk in [0, 1] {
        let row = world.only_row(desk);
        assert_eq!((row.id, row.joined), (hex(&new.caller.0), vec![hex(&old.caller.0)]));
        assert_eq!((row.letters, row.unseen), (2, 2));
        let looking = world.offices[desk].look().unwrap();
        assert_eq!(looking.find(&hex(&old.caller.0)), Ok(new.caller), "whoever is meant, she is there now");
    }
    let thread = world.thread(1, old.caller);
    let rooms = thread.items.iter().filter(|item| matches!(item, Item::Room { .. })).count();
    assert_eq!((rooms, thread.items.len()), (2, 4));
    // An answer in her new room settles what waited in the old one; what she writes there later waits again.
    world.tick(1_200_000);
    let now = world.now.seconds();
    world.answer(0, new.caller, "welcome back");
    assert!(world.only_row(0).waiting_since.is_some(), "nobody has looked at what she wrote in the old one");
    world.act(0, |desk, rng| desk.mark_shown(new.caller, now, rng)).unwrap();
    assert!(world.only_row(0).waiting_since.is_some(), "and nobody has answered since");
    world.answer(0, new.caller, "and to what you wrote before");
    assert_eq!(world.only_row(0).waiting_since, None);
    let again = world.act(0, |desk, rng| desk.propose(&plan, now, rng));
    assert!(matches!(again, Err(DeskError::SameRow)));
    let now = world.now.seconds();
    world.act(1, |desk, rng| desk.part(new.caller, old.caller, now, rng)).unwrap();
    talk(&mut world, 30);
    for desk in [0, 1] {
        assert_eq!(world.offices[desk].look().unwrap().list(world.now.seconds()).len(), 2);
    }
    same_boards(&mut world);
}

#[test]
fn a_stop_goes_to_every_room_of_a_row_and_an_answer_in_any_can_be_taken_back() {
    let (mut world, mut old) = two("stop a row", 93);
    let mut new = Her::new(&mut world);
    let (stays, goes) = (world.answer(0, old.caller, "at ten").id, world.answer(0, old.caller, "or at two").id);
    world.tick(1_200_000);
    new.write(&world, "I have lost my words");
    new.post(&mut world, false);
    talk(&mut world, 30);
    let id = propose(&mut world, 0, &Proposal { other: new.caller, ..about(old.caller, Act::Join) });
    let now = world.now.seconds();
    let elsewhere = world.act(0, |desk, rng| desk.take_back(new.caller, goes, now, rng));
    assert!(matches!(elsewhere, Err(DeskError::NoSuchAnswer)), "they are two as yet");
    talk(&mut world, 20);
    let now = world.now.seconds();
    world.act(1, |desk, rng| desk.agree(id, now, rng)).unwrap();
    talk(&mut world, 20);
    let (now, head) = (world.now.seconds(), world.offices[0].look().unwrap().find(&hex(&old.caller.0)).unwrap());
    assert!(head == new.caller);
    world.act(0, |desk, rng| desk.take_back(head, goes, now, rng)).unwrap();
    let taken_back = world.thread(0, head).items.into_iter().filter_map(|item| match item {
        Item::Answer { id, state: AnswerState::TakenBack, .. } => Some(id),
        _ => None,
    });
    assert_eq!(taken_back.collect::<Vec<_>>(), [hex(&goes)]);
    let (room, _) = world.act(0, |desk, rng| desk.stop_row(head, now, rng)).unwrap();
    assert!(
        room == head
            && world
                .thread(0, head)
                .items
                .iter()
                .any(|item| { matches!(item, Item::Answer { id, state: AnswerState::TakenBack, .. } if *id == hex(&stays)) })
    );
    world.tick(7_200_000);
    for _ in 0..8 {
        world.bundle(0, false);
        world.tick(1_800_000);
    }
    for (name, her) in [("where she wrote last", &mut new), ("where it was said", &mut old)] {
        her.come_again(&mut world);
        assert!(texts(&her.read_slow(&world)).contains(&"STOP".to_owned()), "{name}");
    }
}

#[test]
fn a_duress_room_comes_first_and_is_marked() {
    let (mut world, her) = two("duress", 85);
    let mut room = Her::new(&mut world);
    room.write(&world, "talk");
    room.post(&mut world, false);
    talk(&mut world, 20);
    let now = world.now.seconds();
    world.act(1, |desk, rng| desk.set_duress(room.caller, Some(her.caller), now, rng)).unwrap();
    assert!(matches!(world.act(1, |desk, rng| desk.set_duress(her.caller, Some(her.caller), now, rng)), Err(DeskError::SameRow)));
    talk(&mut world, 20);
    let rows = world.offices[0].look().unwrap().list(world.now.seconds());
    assert_eq!((rows[0].urgency, rows[0].duress_of.clone()), (Urgency::DuressUnclaimed, Some(hex(&her.caller.0))));
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.set_duress(room.caller, None, now, rng)).unwrap();
    assert_eq!(world.thread(0, room.caller).row.duress_of, None);
}

/// Bytes of every file of a device's vault.
fn on_disk(world: &World, desk: usize) -> Vec<u8> {
    let mut bytes = vec![];
    let mut dirs = vec![world.dirs[desk].path().to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                dirs.push(entry.path());
            } else {
                bytes.extend(std::fs::read(entry.path()).unwrap());
            }
        }
    }
    bytes
}

#[test]
fn two_forget_a_caller_and_a_letter_nobody_has_read_stays() {
    let (mut world, mut her) = two("forget", 86);
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.mark_shown(her.caller, now, rng)).unwrap();
    world.act(0, |desk, rng| desk.note(her.caller, "a note", now, rng)).unwrap();
    world.act(0, |desk, rng| desk.set_known(her.caller, (How::Verified, "her mother"), now, rng)).unwrap();
    world.answer(1, her.caller, "an answer");
    talk(&mut world, 30);
    let keys: Vec<[u8; 32]> =
        (0..2).map(|desk| *world.offices[desk].look().unwrap().ring.key(state::caller_key(her.caller)).unwrap()).collect();
    let id = propose(&mut world, 0, &about(her.caller, Act::Forget));
    // What she writes before anybody agrees, and nobody has read, is not forgotten with the rest.
    her.write(&world, "one more thing");
    her.post(&mut world, false);
    talk(&mut world, 20);
    let now = world.now.seconds();
    world.act(1, |desk, rng| desk.agree(id, now, rng)).unwrap();
    talk(&mut world, 20);
    let shown = same_boards(&mut world);
    assert!(shown.contains("one more thing"));
    for gone in ["first letter", "a note", "an answer", "her mother", "because"] {
        assert!(!shown.contains(gone), "{gone}");
    }
    for (desk, key) in keys.iter().enumerate() {
        let office = &mut world.offices[desk];
        assert!(office.look().unwrap().ring.key(state::caller_key(her.caller)).is_none());
        let texts = office.look().unwrap().state.records(now.0);
        assert!(!texts.iter().any(|record| matches!(record, Record::Letter(letter) if letter.seq == 1)));
        let disk = on_disk(&world, desk);
        assert!(!disk.windows(32).any(|at| at == key), "an erased key is in no file");
        // From the disk it is the same board, and the first letter is not taken a second time.
        world.offices[desk] = Office::open(world.dirs[desk].path(), &words()).unwrap();
        let row = world.only_row(desk);
        assert_eq!((row.letters, row.answers, row.how), (1, 0, "unknown"));
    }
    world
        .act(0, |desk, _| {
            let known = desk.state.relays[&R];
            desk.commit(Record::Relay(R, record::RelayRecord { position: 0, ..known }));
            Ok(())
        })
        .unwrap();
    assert_eq!(world.sync(0).letters, 0);
    same_boards(&mut world);
}

/// Whatever comes first, all devices forget the same.
#[test]
fn an_objection_that_comes_late_undoes_nothing() {
    let mut world = World::new("late objection", 87);
    world.join(Role::Worker, 1);
    world.join(Role::Worker, 2);
    let mut her = Her::new(&mut world);
    her.write(&world, "first letter");
    her.post(&mut world, false);
    talk(&mut world, 40);
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.mark_shown(her.caller, now, rng)).unwrap();
    let id = propose(&mut world, 0, &about(her.caller, Act::Forget));
    talk(&mut world, 40);
    // At once, neither knowing of the other.
    let now = world.now.seconds();
    world.act(2, |desk, rng| desk.object(id, now, rng)).unwrap();
    world.act(1, |desk, rng| desk.agree(id, now, rng)).unwrap();
    talk(&mut world, 40);
    same_boards(&mut world);
    assert!(world.offices[2].look().unwrap().list(now).is_empty());
}

#[test]
fn a_hand_over_that_two_keep_outlives_its_days_and_ends_after_180() {
    let (mut world, her) = two("kept", 88);
    let now = world.now.seconds();
    let plan = HandOverPlan { situation: "at her aunt's".into(), ..HandOverPlan::default() };
    world.act(0, |desk, rng| desk.hand_over(her.caller, &plan, now, rng)).unwrap();
    let id = propose(&mut world, 0, &about(her.caller, Act::KeepHandOver));
    talk(&mut world, 20);
    let now = world.now.seconds();
    world.act(1, |desk, rng| desk.agree(id, now, rng)).unwrap();
    talk(&mut world, 20);
    for (days, stays) in [(1, true), (30, true), (100, true), (60, false)] {
        world.tick(days * DAY);
        let now = world.now.seconds();
        for desk in [0, 1] {
            world.act(desk, |desk, rng| desk.tidy(now, rng)).unwrap();
            let thread = world.thread(desk, her.caller);
            assert_eq!(format!("{thread:?}").contains("at her aunt's"), stays, "{desk} after {days} more days");
            assert!(thread.items.iter().any(|item| matches!(item, Item::HandOver { .. })));
        }
    }
}

#[test]
fn a_lead_says_for_how_long_every_device_keeps_letters() {
    let (mut world, her) = two("keep", 89);
    let now = world.now.seconds();
    assert!(matches!(world.act(1, |desk, rng| desk.keep_team_for(3, now, rng)), Err(DeskError::NotALead)));
    for days in [0, 181] {
        assert!(matches!(world.act(0, |desk, rng| desk.keep_team_for(days, now, rng)), Err(DeskError::BadDays)));
    }
    world.act(0, |desk, rng| desk.keep_team_for(3, now, rng)).unwrap();
    talk(&mut world, 20);
    world.tick(5 * DAY);
    let now = world.now.seconds();
    for desk in [0, 1] {
        assert_eq!(world.offices[desk].look().unwrap().keep_days(), 3);
        world.act(desk, |desk, rng| desk.tidy(now, rng)).unwrap();
        assert!(matches!(world.thread(desk, her.caller).items[0], Item::Letter { state: LetterState::Forgotten, .. }));
    }
}

#[test]
fn an_answer_with_a_place_goes_when_a_second_worker_agrees() {
    let (mut world, her) = two("say", 90);
    let plan = Proposal { text: "at the fountain, ten o'clock".into(), ..about(her.caller, Act::Say) };
    let id = propose(&mut world, 0, &plan);
    let now = world.now.seconds();
    let early = world.act(0, |desk, rng| desk.say(id, AnswerPlan::default(), now, rng));
    assert!(matches!(early, Err(DeskError::NeedsSecond { .. })));
    talk(&mut world, 20);
    let agreed = world.now.seconds();
    world.act(1, |desk, rng| desk.agree(id, agreed, rng)).unwrap();
    talk(&mut world, 20);
    let now = world.now.seconds();
    let (caller, _) = world.act(0, |desk, rng| desk.say(id, AnswerPlan::default(), now, rng)).unwrap();
    assert!(caller == her.caller);
    let thread = world.thread(0, her.caller);
    let said = thread.items.iter().find_map(|item| match item {
        Item::Answer { text, meeting, good_until, .. } => Some((text.clone(), *meeting, *good_until)),
        _ => None,
    });
    assert_eq!(said, Some((plan.text, true, agreed.0 + 48 * 3600)));
    let again = world.act(0, |desk, rng| desk.say(id, AnswerPlan::default(), now, rng));
    assert!(matches!(again, Err(DeskError::Decided)), "once");
    let alone = AnswerPlan { text: "at the station".to_owned().into(), meeting: true, ..AnswerPlan::default() };
    let alone = world.act(0, |desk, rng| desk.answer(her.caller, &alone, now, rng));
    assert!(matches!(alone, Err(DeskError::MeetingAlone)));
}

#[test]
fn words_of_two_that_two_devices_send_at_once_are_one_answer() {
    let (mut world, mut her) = two("said at once", 95);
    let plan = Proposal { text: "at the fountain, ten o'clock".into(), ..about(her.caller, Act::Say) };
    let id = propose(&mut world, 1, &plan);
    talk(&mut world, 20);
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.agree(id, now, rng)).unwrap();
    talk(&mut world, 20);
    // She has left, and for two hours neither device hears of the other: each has the pen.
    world.tick(7_200_000);
    let say = |world: &mut World, desk: usize| {
        let now = world.now.seconds();
        world.act(desk, |desk, rng| desk.say(id, AnswerPlan::default(), now, rng)).unwrap().1.id
    };
    world.answer(0, her.caller, "we are here");
    let first = say(&mut world, 0);
    world.tick(20_000);
    let second = say(&mut world, 1);
    assert_eq!(first, second);
    for desk in [0, 1, 0, 1, 0, 1, 0, 1] {
        world.bundle(desk, false);
        world.tick(1_800_000);
    }
    her.come_again(&mut world);
    let mut read = texts(&her.read_slow(&world));
    read.sort();
    assert_eq!(read, ["at the fountain, ten o'clock", "we are here"]);
    talk(&mut world, 30);
    same_boards(&mut world);
    // Taken back once, it is taken back.
    let now = world.now.seconds();
    world.act(1, |desk, rng| desk.take_back(her.caller, first, now, rng)).unwrap();
    talk(&mut world, 30);
    for desk in [0, 1] {
        let items = world.thread(desk, her.caller).items.into_iter();
        let said = items.filter_map(|item| if let Item::Answer { meeting: true, state, .. } = item { Some(state) } else { None });
        assert_eq!(said.collect::<Vec<_>>(), [AnswerState::TakenBack], "{desk}");
    }
}

#[test]
fn please_do_not_go_is_of_words_that_two_agreed_to_and_nobody_has_said() {
    let (mut world, her) = two("stopped before it was said", 96);
    let plan = Proposal { text: "at the fountain, ten o'clock".into(), ..about(her.caller, Act::Say) };
    let id = propose(&mut world, 0, &plan);
    talk(&mut world, 20);
    let now = world.now.seconds();
    world.act(1, |desk, rng| desk.agree(id, now, rng)).unwrap();
    world.act(1, |desk, rng| desk.stop_row(her.caller, now, rng)).unwrap();
    talk(&mut world, 20);
    let now = world.now.seconds();
    for desk in [0, 1] {
        let said = world.act(desk, |desk, rng| desk.say(id, AnswerPlan::default(), now, rng));
        assert!(matches!(said, Err(DeskError::Decided)), "{desk}");
    }
}

#[test]
fn the_rota_says_who_is_on_who_is_next_and_when_nobody_is() {
    let (mut world, her) = two("rota", 91);
    let device = |world: &mut World, desk: usize| world.offices[desk].look().unwrap().device().unwrap();
    let (first, second) = (device(&mut world, 0), device(&mut world, 1));
    assert_eq!(world.offices[0].look().unwrap().rota(world.now.seconds()).gaps, [], "without shifts there is no rota");
    let now = world.now.seconds();
    let hours = |from: u64, until: u64| (now.plus(from * 3600), now.plus(until * 3600));
    world.act(0, |desk, rng| desk.add_shift(first, hours(0, 8), now, rng)).unwrap();
    world.act(1, |desk, rng| desk.add_shift(second, hours(7, 16), now, rng)).unwrap();
    world.act(1, |desk, rng| desk.add_shift(second, hours(20, 24), now, rng)).unwrap();
    for (from, until) in [(8, 8), (8, 7), (0, 24 * 8)] {
        let bad = world.act(0, |desk, rng| desk.add_shift(first, hours(from, until), now, rng));
        assert!(matches!(bad, Err(DeskError::BadShift)), "{from} {until}");
    }
    let nobody = world.act(0, |desk, rng| desk.add_shift(DeviceId([9; 8]), hours(0, 1), now, rng));
    assert!(matches!(nobody, Err(DeskError::NoSuchDevice)));
    talk(&mut world, 20);
    let now2 = world.now.seconds();
    let rota = world.offices[1].look().unwrap().rota(now2);
    assert_eq!((rota.on.clone(), rota.on_until), (vec![hex(&first.0)], Some(hours(0, 16).1.0)));
    assert_eq!((rota.next.clone(), rota.next_from), (vec![hex(&second.0)], Some(hours(7, 16).0.0)));
    let gaps: Vec<(u64, u64)> = rota.gaps.iter().map(|gap| (gap.from, gap.until)).collect();
    assert_eq!(gaps, [(hours(16, 20).0.0, hours(16, 20).1.0), (hours(24, 0).0.0, now2.0 + 7 * 86_400)]);
    let shift = rota.shifts.iter().find(|shift| shift.from == hours(20, 24).0.0).unwrap();
    let id = world.offices[0].look().unwrap().find_shift(&shift.by, shift.seq).unwrap();
    world.act(0, |desk, rng| desk.strike_shift(id, now2, rng)).unwrap();
    assert!(matches!(world.act(0, |desk, rng| desk.strike_shift(id, now2, rng)), Err(DeskError::NoSuchShift)));
    assert_eq!(world.offices[0].look().unwrap().rota(now2).gaps.len(), 1);
    // Nobody goes off with somebody to look after.
    world.act(0, |desk, rng| desk.claim(her.caller, None, None, now2, rng)).unwrap();
    let stays = world.act(0, |desk, rng| desk.go_off(now2, rng));
    assert!(matches!(stays, Err(DeskError::StillClaimed(callers)) if callers == [her.caller]));
    world.act(0, |desk, rng| desk.release(her.caller, now2, rng)).unwrap();
    world.act(0, |desk, rng| desk.go_off(now2, rng)).unwrap();
    let rota = world.offices[0].look().unwrap().rota(now2);
    assert!(rota.on.is_empty() && rota.gaps[0].from == now2.0);
}

#[test]
fn the_audit_counts_acts_and_names_no_caller() {
    let (mut world, her) = two("audit", 92);
    let now = world.now.seconds();
    for _ in 0..5 {
        world.act(0, |desk, rng| desk.note(her.caller, "a note", now, rng)).unwrap();
    }
    world.act(1, |desk, rng| desk.claim(her.caller, None, None, now, rng)).unwrap();
    talk(&mut world, 40);
    let audit = |world: &mut World, desk: usize| {
        let now = world.now.seconds();
        world.offices[desk].look().unwrap().audit(now)
    };
    let first = hex(&world.offices[0].look().unwrap().device().unwrap().0);
    let lines = audit(&mut world, 0);
    let notes = lines.iter().find(|line| line.act == "note").unwrap();
    assert_eq!((notes.device.as_ref(), notes.count), (Some(&first), 5));
    assert!(lines.iter().any(|line| line.act == "claim"), "a lead sees everybody's");
    assert!(!format!("{lines:?}").contains(&hex(&her.caller.0)));
    let own = audit(&mut world, 1);
    assert!(own.iter().all(|line| line.act == "claim"), "a worker sees its own: {own:?}");
    world.tick(120 * DAY);
    let later = audit(&mut world, 0);
    assert!(later.iter().all(|line| line.device.is_none() && line.count >= 5), "{later:?}");
    assert!(later.iter().any(|line| line.act == "note"));
}
