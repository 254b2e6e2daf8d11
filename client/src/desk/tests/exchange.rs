//! The whole exchange, through a real caller's visit and a relay in memory.
use super::*;

/// Ten seconds of everything: her beat, the desk's sync and bundle; each third time a beat of the fast track.
fn ten_seconds(world: &mut World, her: &mut Her, events: &mut Vec<Event>) {
    her.post(world, false);
    for desk in 0..world.offices.len() {
        world.sync(desk);
        world.bundle(desk, false);
    }
    world.tick(10_000);
    events.extend(her.read_fast(world));
}

#[test]
fn a_letter_is_received_receipted_and_answered_live() {
    let mut world = World::new("live", 1);
    let mut her = Her::new(&mut world);
    her.write(&world, &"안녕하세요. ".repeat(200));
    let mut events = vec![];
    for _ in 0..12 {
        ten_seconds(&mut world, &mut her, &mut events);
    }
    assert!(events.contains(&Event::Receipt(To::Desk, 1)), "{events:?}");
    let row = world.only_row(0);
    assert_eq!((row.letters, row.here, row.urgency), (1, true, Urgency::Waiting));
    assert!(world.answer(0, her.caller, &"잘 받았습니다. ".repeat(100)).live);
    events.clear();
    for _ in 0..12 {
        ten_seconds(&mut world, &mut her, &mut events);
    }
    assert_eq!(texts(&events), ["잘 받았습니다. ".repeat(100)]);
    let thread = world.thread(0, her.caller);
    assert!(matches!(&thread.items[1], Item::Answer { state: AnswerState::Seen, n: 1, .. }), "{thread:?}");
    assert!(world.relay.slow.values().len() > 0);
    her.come_again(&mut world);
    assert_eq!(texts(&her.read_slow(&world)), Vec::<String>::new(), "what was named live never goes round");
}

/// A relay, or whoever recorded the cells at it, gives each of them a thousand times and in any order.
#[test]
fn what_is_repeated_a_thousand_times_in_any_order_is_seen_once() {
    let mut world = World::new("repeated", 13);
    let (mut her, mut rng) = (Her::new(&mut world), rng("repeated", 13));
    let texts = ["저는 잘 있어요. ".repeat(200), "내일 다시 쓸게요.".to_owned()];
    for text in &texts {
        her.write(&world, text);
        for _ in 0..7 {
            her.post(&mut world, false);
            world.tick(10_000);
        }
    }
    let cells = world.relay.lane.clone();
    world.relay.lane.clear();
    for _ in 0..1_000 {
        let mut again = cells.clone();
        for at in (1..again.len()).rev() {
            again.swap(at, usize::try_from(rng.next_u32()).unwrap() % (at + 1));
        }
        world.relay.lane.extend(again);
    }
    let taken = world.sync(0);
    println!(
        "{} cells, each 1,000 times: {} letters, {} times known again (pass: two letters, each once)",
        cells.len(),
        taken.letters,
        taken.repeated
    );
    assert_eq!((taken.letters, world.only_row(0).letters), (2, 2));
    assert!(taken.repeated >= 2 * 999, "VOID: nothing was repeated");
    let shown = world.thread(0, her.caller).items.into_iter().filter_map(|item| match item {
        Item::Letter { text, .. } => Some(text),
        _ => None,
    });
    assert_eq!(shown.collect::<Vec<_>>(), texts);
}

/// How the only answer to a caller stands.
fn state_of_answer(world: &mut World, caller: CallerId) -> AnswerState {
    let items = world.thread(0, caller).items.into_iter();
    let mut states = items.filter_map(|item| if let Item::Answer { state, .. } = item { Some(state) } else { None });
    states.next().unwrap()
}

/// The line's clocks, or a disk, have done away with the key that one caller's reply key was sealed under.
#[test]
fn what_cannot_be_sealed_is_not_said_to_be_sent_and_goes_when_she_comes_again() {
    let mut world = World::new("a reply key that is lost", 16);
    let (mut her, mut other) = (Her::new(&mut world), Her::new(&mut world));
    for one in [&mut her, &mut other] {
        one.write(&world, "hello");
        one.post(&mut world, false);
    }
    world.sync(0);
    world.tick(7_200_000);
    world.answer(0, her.caller, "an answer");
    world.answer(0, other.caller, "another");
    let caller = her.caller;
    world
        .act(0, |desk, _| {
            let (week, key) = desk.state.callers[&caller].reply.clone().unwrap();
            let key = Sealed { day: key.day - 1, ..key };
            desk.commit(Record::Reply(record::ReplyRecord { caller: caller.0, week, key }));
            Ok(())
        })
        .unwrap();
    let go_round = |world: &mut World| {
        for _ in 0..8 {
            world.bundle(0, false);
            world.tick(1_800_000);
        }
    };
    go_round(&mut world);
    assert_eq!(state_of_answer(&mut world, her.caller), AnswerState::OnTheWay);
    assert_eq!(state_of_answer(&mut world, other.caller), AnswerState::WithTheRelay, "and holds up nobody");
    assert!(!world.thread(0, her.caller).row.reachable && world.thread(0, other.caller).row.reachable);
    her.come_again(&mut world);
    her.post(&mut world, false);
    world.sync(0);
    world.tick(7_200_000);
    go_round(&mut world);
    assert_eq!(state_of_answer(&mut world, her.caller), AnswerState::WithTheRelay);
    her.come_again(&mut world);
    assert_eq!(texts(&her.read_slow(&world)), ["an answer"]);
}

/// A relay says what the time is: it must not get a day counted twice by that. `bundle` holds every tag against all that were emitted.
#[test]
fn a_relay_that_moves_its_clock_to_tomorrow_and_back_gets_no_tag_twice() {
    let mut world = World::new("a clock that goes to and fro", 18);
    let mut her = Her::new(&mut world);
    her.write(&world, "hello");
    her.post(&mut world, false);
    world.sync(0);
    world.tick(7_200_000);
    world.answer(0, her.caller, "an answer");
    let (day, today) = (86_400_000, Timing::PRODUCTION.day(world.now));
    let slots_go_by = |world: &mut World, count: u64| {
        for _ in 0..count {
            world.bundle(0, false);
            world.tick(1_800_000);
        }
        world.offices[0].look().unwrap().state.slow_counts[&(her.caller, R)]
    };
    // The first of these slots is safeguarding's.
    assert_eq!(slots_go_by(&mut world, 3), (today, 2));
    world.tick(day);
    assert_eq!(slots_go_by(&mut world, 1), (today + 1, 1));
    world.now = Millis(world.now.0 - day);
    assert_eq!(slots_go_by(&mut world, 4), (today + 1, 1), "filler");
    // Tomorrow comes, and she is sent to again.
    world.tick(day - 4 * 1_800_000);
    assert_eq!(slots_go_by(&mut world, 4), (today + 1, 5));
    her.come_again(&mut world);
    assert_eq!(texts(&her.read_slow(&world)), ["an answer"]);
}

#[test]
fn a_page_whose_tags_are_used_up_is_not_said_to_be_answered_and_holds_up_nobody() {
    let mut world = World::new("fast tags used up", 17);
    let (mut her, mut other) = (Her::new(&mut world), Her::new(&mut world));
    for one in [&mut her, &mut other] {
        one.write(&world, "hello");
        one.post(&mut world, false);
    }
    world.sync(0);
    let (caller, today) = (her.caller, state::day(world.now.seconds()));
    world
        .act(0, |desk, _| {
            let hash = porchlight_proto::kdf::digest(desk.presence.pages[&caller][0].live_key.as_slice());
            let used_up = porchlight_proto::limits::FAST_TAG_COUNT;
            desk.commit(Record::FastCount(*hash.first_chunk().unwrap(), R, used_up, today));
            Ok(())
        })
        .unwrap();
    assert!(world.answer(0, her.caller, "an answer").live && world.answer(0, other.caller, "another").live);
    for _ in 0..4 {
        world.bundle(0, false);
        world.tick(10_000);
    }
    assert_eq!(state_of_answer(&mut world, other.caller), AnswerState::WithTheRelay);
    assert_eq!(state_of_answer(&mut world, her.caller), AnswerState::OnTheWay);
}

#[test]
fn a_caller_who_wrote_left_and_came_back_to_read_is_answered_live() {
    let mut world = World::new("back", 12);
    let mut her = Her::new(&mut world);
    her.write(&world, "저는 잘 있어요.");
    let mut events = vec![];
    for _ in 0..12 {
        ten_seconds(&mut world, &mut her, &mut events);
    }
    assert!(events.iter().any(|event| matches!(event, Event::Receipt(..))), "{events:?}");
    her.come_again(&mut world);
    events.clear();
    for _ in 0..3 {
        ten_seconds(&mut world, &mut her, &mut events);
    }
    assert!(world.answer(0, her.caller, "잘 받았습니다.").live, "her new page has sent nothing but dummies");
    for _ in 0..12 {
        ten_seconds(&mut world, &mut her, &mut events);
    }
    assert_eq!(texts(&events), ["잘 받았습니다."]);
    her.come_again(&mut world);
    assert_eq!(texts(&her.read_slow(&world)), Vec::<String>::new(), "what was named live never goes round");
}

#[test]
fn a_caller_who_has_left_reads_the_carousel() {
    let mut world = World::new("carousel", 2);
    let mut her = Her::new(&mut world);
    her.write(&world, "hello");
    let mut events = vec![];
    ten_seconds(&mut world, &mut her, &mut events);
    world.tick(3_600_000);
    let (long, short) = ("good news ".repeat(150), "take care");
    world.answer(0, her.caller, &long);
    world.answer(0, her.caller, short);
    for _ in 0..16 {
        world.sync(0);
        world.bundle(0, false);
        world.tick(1_800_000);
    }
    her.come_again(&mut world);
    let read = her.read_slow(&world);
    let mut found = texts(&read);
    found.sort();
    assert_eq!(found, [long, short.to_owned()]);
    for _ in 0..8 {
        ten_seconds(&mut world, &mut her, &mut events);
    }
    let states = world.thread(0, her.caller).items.into_iter().filter_map(|item| match item {
        Item::Answer { state, .. } => Some(state),
        _ => None,
    });
    assert!(states.eq([AnswerState::Seen, AnswerState::Seen]));
}

#[test]
fn a_closed_page_learns_of_its_receipt_from_the_carousel() {
    let mut world = World::new("slow receipt", 3);
    let mut her = Her::new(&mut world);
    her.write(&world, "hello");
    her.post(&mut world, false);
    world.tick(7_200_000);
    for _ in 0..4 {
        world.sync(0);
        world.bundle(0, false);
        world.tick(1_800_000);
    }
    assert!(her.read_slow(&world).contains(&Event::Receipt(To::Desk, 1)));
}

#[test]
fn sixty_letters_each_way_arrive_once_and_in_order_over_a_bad_line() {
    let mut world = World::new("sixty", 4);
    let mut her = Her::new(&mut world);
    let (mut events, mut written, mut answered) = (vec![], vec![], vec![]);
    for round in 0..2000 {
        if written.len() < 60 && round % 6 == 0 {
            let text = format!("{} {}", written.len(), "글자 ".repeat(world.rng.next_u32() as usize % 250));
            her.write(&world, &text);
            written.push(text);
        }
        let lost = one_in(&mut world.rng, 4);
        her.post(&mut world, lost);
        if one_in(&mut world.rng, 8) && !world.relay.lane.is_empty() {
            let again = world.relay.lane[world.rng.next_u32() as usize % world.relay.lane.len()].clone();
            world.relay.lane.push(again);
        }
        world.sync(0);
        let lost = one_in(&mut world.rng, 4);
        world.bundle(0, lost);
        let known = world.offices[0].look().unwrap().list(world.now.seconds()).first().map_or(0, |row| row.letters);
        if answered.len() < 60.min(known) {
            let text = format!("{} {}", answered.len(), "答 ".repeat(world.rng.next_u32() as usize % 300));
            world.answer(0, her.caller, &text);
            answered.push(text);
        }
        world.tick(10_000);
        if !one_in(&mut world.rng, 4) {
            events.extend(her.read_fast(&world));
        }
        if written.len() == 60 && texts(&events).len() == 60 && her.visit.all_receipted() && her.visit.all_named() {
            break;
        }
    }
    let thread = world.thread(0, her.caller);
    let letters: Vec<&String> = thread
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Letter { text, .. } => Some(text),
            _ => None,
        })
        .collect();
    let mut in_visit: Vec<(u16, &String)> = thread
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Letter { seq, text, .. } => Some((*seq, text)),
            _ => None,
        })
        .collect();
    in_visit.sort();
    assert_eq!(letters.len(), 60);
    assert!(in_visit.iter().map(|(_, text)| (*text).clone()).eq(written.iter().cloned()));
    let mut shown = texts(&events);
    shown.sort();
    answered.sort();
    assert_eq!(shown, answered);
}

#[test]
fn a_letter_taken_back_in_time_is_gone_and_one_too_late_is_told() {
    let mut world = World::new("withdraw", 5);
    let mut her = Her::new(&mut world);
    let mut events = vec![];
    her.write(&world, "first");
    for _ in 0..2 {
        ten_seconds(&mut world, &mut her, &mut events);
    }
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.mark_shown(her.caller, now, rng)).unwrap();
    her.write(&world, "second");
    for _ in 0..2 {
        ten_seconds(&mut world, &mut her, &mut events);
    }
    let session = *her.visit.session(To::Desk);
    for seq in [1, 2] {
        let letter = Letter { withdraw: Some(Withdraw::One(session, seq)), ..Letter::default() };
        her.visit.write(&letter, To::Desk, world.now).unwrap();
    }
    for _ in 0..16 {
        ten_seconds(&mut world, &mut her, &mut events);
    }
    assert!(events.contains(&Event::TooLate(To::Desk, 1)) && events.contains(&Event::Withdrawn(To::Desk, 2)), "{events:?}");
    let states: Vec<(u16, LetterState, String)> = world
        .thread(0, her.caller)
        .items
        .into_iter()
        .filter_map(|item| match item {
            Item::Letter { seq, state, text, .. } if seq < 3 => Some((seq, state, text)),
            _ => None,
        })
        .collect();
    assert_eq!(states, [(1, LetterState::Here, "first".into()), (2, LetterState::Withdrawn, String::new())]);
}

#[test]
fn a_dummy_of_an_unknown_caller_makes_no_row() {
    let mut world = World::new("dummy", 6);
    let mut her = Her::new(&mut world);
    her.post(&mut world, false);
    her.visit.write(&Letter { text: "for another".to_owned().into(), ..Letter::default() }, To::Safeguarding, world.now).unwrap();
    // Every seventh cell of every visit is safeguarding's.
    for _ in 0..6 {
        her.post(&mut world, false);
    }
    let taken = world.sync(0);
    assert_eq!((taken.letters, taken.unreadable), (0, 1), "a safeguarding letter is nothing");
    assert!(world.offices[0].look().unwrap().list(world.now.seconds()).is_empty());
}

/// The desk slept, and reads in one second what she took back and what she wrote after that in another visit.
#[test]
fn what_she_writes_after_taking_all_back_is_not_taken_back() {
    let mut world = World::new("after taking back", 94);
    let mut her = Her::new(&mut world);
    her.write(&world, "taken back");
    her.visit.write(&Letter { withdraw: Some(Withdraw::AllUnshown), ..Letter::default() }, To::Desk, world.now).unwrap();
    for _ in 0..2 {
        her.post(&mut world, false);
    }
    her.come_again(&mut world);
    her.write(&world, "written afterwards");
    her.post(&mut world, false);
    world.sync(0);
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.tidy(now, rng)).unwrap();
    let texts: Vec<String> = world
        .thread(0, her.caller)
        .items
        .into_iter()
        .filter_map(|item| match item {
            Item::Letter { text, .. } => Some(text),
            _ => None,
        })
        .collect();
    assert!(texts.contains(&"written afterwards".to_owned()), "{texts:?}");
    assert!(!texts.contains(&"taken back".to_owned()), "{texts:?}");
}

#[test]
fn the_board_sorts_by_who_must_not_wait() {
    let mut world = World::new("board", 7);
    let mut callers = vec![];
    for status in [Status::Safe, Status::Talk, Status::Help] {
        let mut her = Her::new(&mut world);
        let letter = Letter { status: Some(status), next: Some(3600), relative: true, ..Letter::default() };
        her.visit.write(&letter, To::Desk, world.now).unwrap();
        her.post(&mut world, false);
        callers.push(her.caller);
        world.sync(0);
        world.tick(60_000);
    }
    world.answer(0, callers[0], "good");
    let now = world.now.seconds();
    let rows = world.offices[0].look().unwrap().list(now);
    let seen: Vec<(Option<&str>, Urgency)> = rows.iter().map(|row| (row.status, row.urgency)).collect();
    assert_eq!(seen, [(Some("help"), Urgency::HelpUnclaimed), (Some("talk"), Urgency::Waiting), (Some("safe"), Urgency::Rest)]);
    assert_eq!(rows[2].promise.as_ref().unwrap().state, PromiseState::Waiting);
    let later = now.plus(3600 + 86_400 + 600);
    let late = world.offices[0].look().unwrap().list(later);
    assert_eq!(late.iter().find(|row| row.status == Some("safe")).unwrap().promise.as_ref().unwrap().state, PromiseState::Late);
    let desk = world.offices[0].look().unwrap();
    assert_eq!(desk.find(&rows[0].id[..6]).unwrap(), callers[2]);
    assert_eq!(desk.find(&rows[1].nickname.to_uppercase()), Ok(callers[1]));
    assert_eq!(desk.find("zzzz"), Err(FindError::Nobody));
}

#[test]
fn an_answer_is_refused_that_would_break_its_bounds() {
    let mut world = World::new("bounds", 8);
    let mut her = Her::new(&mut world);
    her.visit.write(&Letter { text: "x".to_owned().into(), quiet: true, ..Letter::default() }, To::Desk, world.now).unwrap();
    her.post(&mut world, false);
    world.sync(0);
    let now = world.now.seconds();
    let plan = |text: &str, good_until: Option<u64>, meeting: bool, override_quiet: bool| AnswerPlan {
        text: text.to_owned().into(),
        good_until: good_until.map(Seconds),
        meeting,
        override_quiet,
        ..AnswerPlan::default()
    };
    let day = 86_400;
    for (name, plan, expected) in [
        ("quiet", plan("x", None, false, false), "she asked not"),
        ("past", plan("x", Some(now.0), false, true), "in the past"),
        ("too far", plan("x", Some(now.0 + 31 * day), false, true), "30 days"),
        ("a meeting by one alone", plan("x", None, true, true), "a second worker"),
        ("too long", plan(&"x".repeat(16_001), None, false, true), "16,000"),
        ("empty", plan("", None, false, true), "nothing to send"),
    ] {
        let refused = world.act(0, |desk, rng| desk.answer(her.caller, &plan, now, rng)).unwrap_err();
        assert!(refused.to_string().contains(expected), "{name}: {refused}");
    }
    let agreed = plan("x", Some(now.0 + 3 * day), true, true);
    let said = deed::Identity { id: [1; 8], n: 1, written: now };
    let refused = world.act(0, |desk, rng| desk.answer_as(Some(said), her.caller, &agreed, now, rng)).unwrap_err();
    assert!(refused.to_string().contains("48 hours"), "a meeting too far: {refused}");
    let fits = plan(&"x".repeat(16_000), Some(now.0 + 30 * day), false, true);
    assert_eq!(world.act(0, |desk, rng| desk.answer(her.caller, &fits, now, rng)).unwrap().parts, 19);
    let composed = plan("e\u{301}", None, false, true);
    world.act(0, |desk, rng| desk.answer(her.caller, &composed, now, rng)).unwrap();
    let thread = world.thread(0, her.caller);
    assert!(thread.items.iter().any(|item| matches!(item, Item::Answer { text, .. } if text == "\u{e9}")));
}

#[test]
fn an_answer_is_sent_until_its_time_is_over_and_usually_for_fourteen_days() {
    let mut world = World::new("over", 31);
    let mut her = Her::new(&mut world);
    her.write(&world, "where shall I go");
    ten_seconds(&mut world, &mut her, &mut vec![]);
    world.tick(7_200_000);
    let (now, day) = (world.now.seconds(), 86_400);
    world.answer(0, her.caller, "for as long as usual");
    let short = AnswerPlan { text: "for a day".to_owned().into(), good_until: Some(now.plus(day)), ..AnswerPlan::default() };
    world.act(0, |desk, rng| desk.answer(her.caller, &short, now, rng)).unwrap();
    let until = world.thread(0, her.caller).items.into_iter().filter_map(|item| match item {
        Item::Answer { good_until, .. } => Some(good_until),
        _ => None,
    });
    assert_eq!(until.collect::<Vec<_>>(), [14 * day, day].map(|life| now.plus(life).0));
    // A slot every half hour: until a second before the day is over, and a day more.
    let slots = |world: &mut World, count: usize| {
        for _ in 0..count {
            world.sync(0);
            world.bundle(0, false);
            world.tick(1_800_000);
        }
    };
    slots(&mut world, 47);
    world.now = Millis(now.plus(day).millis().0 - 1_000);
    // For two who read with a clock that stands still nothing is over: one has the slots before, one those after.
    let then = world.now;
    let mut readers = [(); 2].map(|()| {
        her.come_again(&mut world);
        core::mem::replace(&mut her.visit, Visit::open(world.relay.root, &mut world.rng))
    });
    slots(&mut world, 48);
    let today = Timing::PRODUCTION.day(then);
    let all = world.relay.slow.clone();
    let mut read = |is_after: bool| {
        world.relay.slow = all.clone();
        // What was put into a slot ahead was put there in time.
        world.relay.slow.retain(|slot, _| (Timing::PRODUCTION.slow_begins(*slot) > then.plus(2 * 1_800_000)) == is_after);
        let bytes: Vec<_> = (today - 1..=today + 1).map(|day| world.relay.down_slow(day, world.now)).collect();
        let reader = &mut readers[usize::from(is_after)];
        bytes.iter().flat_map(|bytes| texts(&reader.slow_day(R, bytes, then).unwrap())).collect::<BTreeSet<_>>()
    };
    assert_eq!(read(false), ["for a day", "for as long as usual"].map(String::from).into());
    assert_eq!(read(true), ["for as long as usual".to_owned()].into());
}

#[test]
fn a_stop_goes_first_and_what_it_stops_goes_no_more() {
    let mut world = World::new("stop", 9);
    let mut her = Her::new(&mut world);
    her.write(&world, "where shall I go");
    let mut events = vec![];
    ten_seconds(&mut world, &mut her, &mut events);
    world.tick(7_200_000);
    world.answer(0, her.caller, "to the station");
    let now = world.now.seconds();
    world.act(0, |desk, rng| desk.stop(her.caller, None, now, rng)).unwrap();
    world.answer(0, her.caller, "we will write again");
    for _ in 0..20 {
        world.sync(0);
        world.bundle(0, false);
        world.tick(1_800_000);
    }
    her.come_again(&mut world);
    let mut read = texts(&her.read_slow(&world));
    read.sort();
    assert_eq!(read, ["STOP", "we will write again"]);
    let states: Vec<(bool, AnswerState)> = world
        .thread(0, her.caller)
        .items
        .into_iter()
        .filter_map(|item| match item {
            Item::Answer { stop, state, .. } => Some((stop, state)),
            _ => None,
        })
        .collect();
    assert_eq!(states, [(false, AnswerState::TakenBack), (true, AnswerState::WithTheRelay), (false, AnswerState::WithTheRelay)]);
}

/// What the letters of a thread say, and whether she waits.
fn shown(world: &mut World, caller: CallerId) -> (Vec<String>, bool) {
    let thread = world.thread(0, caller);
    let says = |item: Item| match item {
        Item::Letter { text, .. } => Some(text),
        Item::Answer { text, .. } => Some(format!("> {text}")),
        Item::Note { .. } | Item::HandOver { .. } | Item::Room { .. } => None,
    };
    (thread.items.into_iter().filter_map(says).collect(), thread.row.waiting_since.is_some())
}

/// Found when three runs of `caller write` within a second were shown in the order of their random visits, and an answer
/// was taken to answer a letter that came after it.
#[test]
fn letters_of_several_visits_within_ten_minutes_are_shown_as_they_came() {
    for seed in 30..38 {
        let mut world = World::new("several visits", seed);
        let mut her = Her::new(&mut world);
        let mut written = vec![];
        for round in 0..5 {
            for letter in ["a", "b"] {
                let text = format!("{round} {letter}");
                her.write(&world, &text);
                her.post(&mut world, false);
                written.push(text);
            }
            world.sync(0);
            her.come_again(&mut world);
        }
        assert_eq!(shown(&mut world, her.caller), (written.clone(), true), "seed {seed}");
        world.answer(0, her.caller, "thank you");
        her.write(&world, "and this");
        her.post(&mut world, false);
        world.sync(0);
        written.extend(["> thank you".to_owned(), "and this".to_owned()]);
        assert_eq!(shown(&mut world, her.caller), (written.clone(), true), "seed {seed}: what came after an answer waits");
        let now = world.now.seconds();
        world.offices[0].compact(now, &mut world.rng).unwrap();
        world.offices[0] = Office::open(world.dirs[0].path(), &words()).unwrap();
        assert_eq!(shown(&mut world, her.caller), (written, true), "seed {seed}: the vault keeps the order");
    }
}

#[test]
fn of_many_open_pages_the_one_heard_last_is_answered() {
    let mut world = World::new("pages", 40);
    let mut her = Her::new(&mut world);
    her.write(&world, "hello");
    let mut pages = vec![];
    for _ in 0..6 {
        her.post(&mut world, false);
        let line = porchlight_proto::line::LineId::from_root(&world.relay.root);
        let visit = Her::open(&mut world, her.phrase.stretch(&line));
        pages.push(core::mem::replace(&mut her.visit, visit));
    }
    world.sync(0);
    let heard_last = 1;
    core::mem::swap(&mut her.visit, &mut pages[heard_last]);
    her.post(&mut world, false);
    core::mem::swap(&mut her.visit, &mut pages[heard_last]);
    world.sync(0);
    assert!(world.answer(0, her.caller, "here").live);
    world.bundle(0, false);
    world.tick(30_000);
    let bytes = world.relay.down_fast(world.now);
    let now = world.now;
    let read: Vec<Vec<String>> = pages.iter_mut().map(|page| texts(&page.fast(R, &bytes, now).unwrap())).collect();
    for (at, texts) in read.iter().enumerate() {
        assert_eq!(*texts, if at == heard_last { vec!["here"] } else { vec![] }, "page {at}");
    }
}

#[test]
fn what_she_wrote_while_she_was_being_answered_goes_on_waiting() {
    let mut world = World::new("crossing letters", 41);
    let mut her = Her::new(&mut world);
    let now = world.now.seconds();
    her.write(&world, "good evening");
    her.post(&mut world, false);
    world.sync(0);
    world.act(0, |desk, rng| desk.mark_shown(her.caller, now, rng)).unwrap();
    her.write(&world, "somebody is at the door");
    her.post(&mut world, false);
    world.sync(0);
    world.answer(0, her.caller, "good evening to you");
    assert!(shown(&mut world, her.caller).1, "nobody has read her second letter");
    let named = world.thread(0, her.caller).items.into_iter().rev().find_map(|item| match item {
        Item::Letter { session, seq, .. } => Some((hex(&session), seq)),
        _ => None,
    });
    let answer = |world: &mut World, replies_to| {
        let plan = AnswerPlan { text: "we are here".to_owned().into(), replies_to, ..AnswerPlan::default() };
        world.act(0, |desk, rng| desk.answer(her.caller, &plan, now, rng)).unwrap();
        shown(world, her.caller).1
    };
    assert!(answer(&mut world, Some(([9; 8], 1))), "a letter that is none of hers is nobody's");
    assert!(!answer(&mut world, named), "a worker who says so has read it");
}

fn hex(session: &str) -> [u8; 8] {
    data_encoding::HEXLOWER.decode(session.as_bytes()).unwrap().try_into().unwrap()
}
