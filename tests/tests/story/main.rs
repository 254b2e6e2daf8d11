//! The story of a line, in virtual time, through the real protocol code and the real desk: whether it holds together.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    clippy::missing_errors_doc,
    reason = "a test that fails says so by panicking"
)]
mod relay;
mod world;

use porchlight_client::desk::AnswerPlan;
use porchlight_proto::{
    bulletin::Code,
    letter::{Letter, Withdraw},
    time::{Millis, Seconds},
    visit::{Event, To, Visit, VisitError},
};
use world::{Weather, World};

const DAY: u64 = 86_400;

#[test]
fn a_first_visit_is_receipted_and_answered_live() {
    let mut world = World::new("first visit", 2);
    let soon = world.add_caller();
    world.open(soon);
    world.seconds(20);
    world.write(soon, "아직 집에 있어요. 밖에 나가기가 무서워요.");
    world.minutes(3);
    assert_eq!(world.callers[soon].receipts(), 1, "the desk has it");
    for device in 0..2 {
        assert_eq!(world.letters(device, soon), ["아직 집에 있어요. 밖에 나가기가 무서워요."], "device {device}");
    }
    world.answer(1, soon, "글 잘 받았어요. 여기 있을게요.");
    world.minutes(4);
    assert_eq!(world.callers[soon].read(), ["글 잘 받았어요. 여기 있을게요."]);
    let everything = world.relay.everything();
    for text in ["아직 집에", "글 잘 받았어요"] {
        assert!(!everything.windows(text.len()).any(|window| window == text.as_bytes()), "the relay holds no text");
    }
}

#[test]
fn what_she_acknowledged_live_cannot_be_read_with_the_phrase() {
    let mut world = World::new("acknowledged live", 2);
    let soon = world.add_caller();
    world.open(soon);
    world.write(soon, "one");
    world.minutes(3);
    world.answer(0, soon, "only while you are here");
    world.minutes(6);
    assert_eq!(world.callers[soon].read().len(), 1);
    world.leave(soon);
    world.minutes(40);
    world.callers[soon].events.clear();
    world.open(soon);
    world.minutes(2);
    assert!(world.callers[soon].read().is_empty(), "her words bring it back to nobody");
}

#[test]
fn a_closed_page_is_answered_by_the_carousel_and_found_with_eight_words() {
    let mut world = World::new("carousel", 2);
    let soon = world.add_caller();
    world.open(soon);
    world.write(soon, "I must close this");
    world.minutes(2);
    world.leave(soon);
    world.minutes(5);
    world.answer(0, soon, &"We are here. ".repeat(150));
    world.minutes(200);
    world.open(soon);
    world.minutes(2);
    assert_eq!(world.callers[soon].read(), ["We are here. ".repeat(150)]);
    world.minutes(2);
    world.leave(soon);
    world.minutes(10);
    world.open(soon);
    world.minutes(2);
    assert_eq!(world.callers[soon].read().len(), 2, "until it expires her words find it again");
}

/// Both devices come online for some minutes a day, as a small team does.
fn days_pass(world: &mut World, days: u64) {
    for _ in 0..days {
        world.sleep(DAY - 1200);
        world.minutes(20);
    }
}

#[test]
fn a_week_changes_and_a_month_passes() {
    let mut world = World::new("month", 2);
    let soon = world.add_caller();
    world.open(soon);
    world.write(soon, "before the month");
    world.minutes(3);
    world.leave(soon);
    days_pass(&mut world, 29);
    let plan = AnswerPlan { text: String::from("still here").into(), ..AnswerPlan::default() };
    world.try_answer(1, soon, plan).unwrap();
    world.minutes(70);
    world.open(soon);
    world.minutes(2);
    assert_eq!(world.callers[soon].read(), ["still here"], "answered under a reply key four weeks old");
    world.write(soon, "after the month");
    world.minutes(3);
    assert_eq!(world.letters(0, soon), ["after the month"], "a desk forgets letters after 14 days; that she came it knows");
}

#[test]
fn an_expired_answer_is_not_shown() {
    let mut world = World::new("expired", 1);
    let soon = world.add_caller();
    world.open(soon);
    world.write(soon, "hello");
    world.minutes(2);
    world.leave(soon);
    world.minutes(5);
    let good_until = Some(Seconds(world.now.seconds().0 + 7200));
    world
        .try_answer(0, soon, AnswerPlan { text: String::from("only for two hours").into(), good_until, ..AnswerPlan::default() })
        .unwrap();
    world.minutes(110);
    world.sleep(3600);
    world.open(soon);
    world.minutes(2);
    assert!(world.callers[soon].read().is_empty());
}

#[test]
fn two_workers_answer_at_once_and_she_reads_both_once() {
    let mut world = World::new("two workers", 2);
    let soon = world.add_caller();
    world.open(soon);
    world.write(soon, "anyone?");
    world.minutes(3);
    world.answer(0, soon, "from the first");
    world.answer(1, soon, "from the second");
    world.minutes(6);
    let mut read = world.callers[soon].read();
    read.sort();
    assert_eq!(read, ["from the first", "from the second"]);
}

#[test]
fn two_tabs_of_one_phrase_never_collide() {
    let mut world = World::new("two tabs", 1);
    let (one, _) = (world.add_caller(), world.add_caller());
    // The second tab is the same person: the same words.
    let twin = world.twin(one);
    world.open(one);
    world.open(twin);
    world.write(one, "from the first tab");
    world.write(twin, "from the second tab");
    world.minutes(4);
    let mut letters = world.letters(0, one);
    letters.sort();
    assert_eq!(letters, ["from the first tab", "from the second tab"]);
    assert_eq!((world.callers[one].receipts(), world.callers[twin].receipts()), (1, 1));
}

#[test]
fn a_lossy_network_loses_repeats_and_reorders_but_no_letter_or_answer() {
    let mut world = World::new("weather", 2);
    world.weather = Weather { lost: 20, unanswered: 15 };
    let callers: Vec<usize> = (0..3).map(|_| world.add_caller()).collect();
    for caller in &callers {
        world.open(*caller);
    }
    let text = |caller: usize, n: usize| format!("{caller}/{n} ").repeat(40 * n);
    for n in 1..=4 {
        for caller in &callers {
            world.write(*caller, &text(*caller, n));
        }
        world.minutes(5);
        for caller in &callers {
            if !world.letters(0, *caller).is_empty() {
                world.answer(n % 2, *caller, &format!("answer {n}"));
            }
        }
    }
    world.minutes(25);
    for caller in &callers {
        let sent: Vec<String> = (1..=4).map(|n| text(*caller, n)).collect();
        assert_eq!(world.letters(0, *caller), sent, "in order, once each");
        assert_eq!(world.letters(1, *caller), sent, "on both devices");
        assert_eq!(world.callers[*caller].receipts(), 4);
        let mut read = world.callers[*caller].read();
        read.sort();
        read.dedup();
        assert_eq!(read.len(), world.callers[*caller].read().len(), "nothing is shown twice");
        assert!(read.len() >= 3, "{read:?}");
    }
}

#[test]
fn a_device_away_for_five_days_comes_back_to_the_same_board() {
    let mut world = World::new("away", 2);
    let soon = world.add_caller();
    world.minutes(5);
    world.devices[1].online = false;
    for day in 0..5 {
        world.open(soon);
        world.write(soon, &format!("day {day}"));
        world.minutes(3);
        world.leave(soon);
        world.sleep(DAY - 180);
    }
    world.minutes(10);
    world.devices[1].online = true;
    world.minutes(10);
    let letters: Vec<String> = (0..5).map(|day| format!("day {day}")).collect();
    assert_eq!(world.letters(0, soon), letters);
    let back = world.letters(1, soon);
    assert!(back.iter().all(|text| letters.contains(text)) && back.len() >= 2, "what the relay still held: {back:?}");
    world.open(soon);
    world.write(soon, "welcome back");
    world.minutes(3);
    assert!(world.letters(1, soon).contains(&String::from("welcome back")));
}

#[test]
fn a_revoked_device_opens_nothing_new_and_is_not_believed() {
    let mut world = World::new("revoked", 2);
    let soon = world.add_caller();
    world.open(soon);
    world.write(soon, "before");
    world.minutes(3);
    assert_eq!(world.letters(1, soon), ["before"]);
    let revoked = world.device_id(1);
    world.act(0, |desk, now, rng| desk.revoke(revoked, now, rng)).unwrap();
    world.hear_and_publish(0);
    world.minutes(2);
    world.write(soon, "after");
    world.answer(1, soon, "meet us at the station");
    world.minutes(5);
    assert_eq!(world.letters(0, soon), ["before", "after"]);
    assert_eq!(world.letters(1, soon), ["before"], "new letters are sealed to a key it never had");
    assert!(world.callers[soon].read().is_empty(), "its answers reach nobody");
}

#[test]
fn seats_rotate_and_answers_of_both_keys_verify() {
    let mut world = World::new("rotation", 1);
    let soon = world.add_caller();
    world.open(soon);
    world.write(soon, "hello");
    world.minutes(3);
    world.leave(soon);
    world.answer(0, soon, "under the old seat key");
    world.minutes(70);
    days_pass(&mut world, 15);
    world.act(0, |desk, now, rng| desk.rotate(now, rng)).unwrap();
    world.hear_and_publish(0);
    world.open(soon);
    world.write(soon, "again");
    world.minutes(3);
    world.answer(0, soon, "under the new seat key");
    world.minutes(5);
    assert_eq!(world.callers[soon].read().last().map(String::as_str), Some("under the new seat key"));
}

#[test]
fn a_stale_roster_is_refused_once_a_newer_one_was_seen() {
    let mut world = World::new("stale roster", 1);
    let old = world.relay.notice(world.now);
    world.act(0, |desk, now, rng| desk.rotate(now, rng)).unwrap();
    world.hear_and_publish(0);
    let mut visit = Visit::open(world.root_pk(), &mut world.rng);
    let new = world.relay.notice(world.now);
    visit.notice(&new, None, world.now, porchlight_proto::visit::Clock::Relays).unwrap();
    let again = visit.notice(&old, None, world.now, porchlight_proto::visit::Clock::Relays);
    assert_eq!(again, Err(VisitError::RolledBack));
    let later = world.now.plus(8 * DAY * 1000);
    let mut late = Visit::open(world.root_pk(), &mut world.rng);
    assert!(late.notice(&old, Some(0), later, porchlight_proto::visit::Clock::Own).is_err(), "nor one that is over");
}

#[test]
fn a_letter_is_taken_back_before_anyone_saw_it_or_told_it_was_too_late() {
    let mut world = World::new("withdraw", 1);
    let soon = world.add_caller();
    world.open(soon);
    let first = world.write(soon, "I should not have said this");
    world.minutes(2);
    let session = *world.callers[soon].page.as_ref().unwrap().visit.session(To::Desk);
    let back = Letter { withdraw: Some(Withdraw::One(session, first)), ..Letter::default() };
    world.send(soon, &back, To::Desk);
    world.minutes(4);
    assert!(!world.letters(0, soon).contains(&"I should not have said this".to_owned()));
    assert!(world.callers[soon].events.contains(&Event::Withdrawn(To::Desk, first)), "{:?}", world.callers[soon].events);
    let second = world.write(soon, "this one was read");
    world.minutes(2);
    let id = world.callers[soon].id;
    world.act(0, |desk, now, rng| desk.mark_shown(id, now, rng)).unwrap();
    let back = Letter { withdraw: Some(Withdraw::One(session, second)), ..Letter::default() };
    world.send(soon, &back, To::Desk);
    world.minutes(4);
    assert!(world.callers[soon].events.contains(&Event::TooLate(To::Desk, second)), "{:?}", world.callers[soon].events);
}

#[test]
fn a_safeguarding_letter_is_nothing_to_the_shift() {
    let mut world = World::new("safeguarding", 2);
    let soon = world.add_caller();
    world.open(soon);
    world.write(soon, "to the desk");
    world.minutes(3);
    let rows =
        |world: &mut World| -> Vec<(String, usize)> { world.board(0).into_iter().map(|row| (row.id, row.letters)).collect() };
    let before = rows(&mut world);
    world.send(soon, &Letter { text: String::from("about one of you").into(), ..Letter::default() }, To::Safeguarding);
    world.minutes(5);
    assert_eq!(rows(&mut world), before, "no row, no count");
    assert_eq!(world.letters(1, soon), ["to the desk"]);
}

#[test]
fn the_bulletin_reaches_everyone_who_opens_the_page() {
    let mut world = World::new("bulletin", 1);
    let soon = world.add_caller();
    let bytes = world.act(0, |desk, now, _| desk.raise_bulletin(Code::NoMeetings, now)).unwrap();
    let now: Millis = world.now;
    assert_eq!(world.relay.put_bulletin(&bytes, now), porchlight_proto::api::DeskOutcome::Done);
    let mut forged = bytes;
    forged[0] = 2;
    assert_eq!(world.relay.put_bulletin(&forged, now), porchlight_proto::api::DeskOutcome::Refused);
    world.open(soon);
    assert_eq!(world.callers[soon].events, [Event::Bulletin(Code::NoMeetings)]);
}

#[test]
fn a_reboot_of_the_relay_loses_cells_but_an_open_page_loses_nothing() {
    let mut world = World::new("reboot", 1);
    let soon = world.add_caller();
    world.devices[0].online = false;
    world.open(soon);
    world.write(soon, "are you there?");
    world.minutes(1);
    world.relay.reboot();
    world.devices[0].online = true;
    world.minutes(4);
    assert_eq!(world.letters(0, soon), ["are you there?"]);
    assert_eq!(world.callers[soon].receipts(), 1);
}
