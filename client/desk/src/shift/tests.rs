use super::*;
use crate::practice::Practice;
use porchlight_client::desk::{AnswerPlan, Item};
use porchlight_client::transport::Failure;

/// A shift of practice, and what it hears jobs by.
fn shift(seed: u64) -> Shift {
    println!("seed {seed}");
    let practice = Practice::begin(ChaCha20Rng::seed_from_u64(seed)).unwrap();
    let (jobs, _nobody) = mpsc::channel(1);
    let opening = Opening::Practice(Box::new(practice));
    Shift::begin(opening, Handle::new(jobs), ChaCha20Rng::seed_from_u64(seed)).unwrap()
}

fn row(shift: &mut Shift, wanted: impl Fn(&Row) -> bool) -> Row {
    shift.rows().iter().find(|row| wanted(row)).cloned().expect("practice has such a caller")
}

fn answering(id: &str, text: &str) -> Answering {
    Answering {
        id: id.to_owned(),
        text: text.to_owned().into(),
        fits_relative: false,
        although_quiet: None,
        although_composing: false,
        language: None,
        read: None,
    }
}

fn answers(shift: &mut Shift, id: &str) -> Vec<String> {
    let caller = shift.find(id).unwrap();
    let me = hex(&shift.me().unwrap().0);
    let items = shift.engine.view(|desk| desk.show(caller, now()).unwrap().items).unwrap();
    let mine = items.into_iter().filter_map(|item| match item {
        Item::Answer { by, text, .. } if by == me => Some(text),
        _ => None,
    });
    mine.collect()
}

#[test]
fn an_answer_is_undone_or_written_at_a_lock_and_a_draft_stays() {
    let mut shift = shift(70);
    let her = row(&mut shift, |row| !row.flags.quiet && !row.flags.relative).id;
    let told = shift.act(Deed::Answer(answering(&her, "Take your time."))).unwrap();
    assert!(answers(&mut shift, &her).is_empty(), "ten seconds are not over");
    let undone = shift.act(Deed::Undo { later: told["later"].as_u64().unwrap() }).unwrap();
    assert_eq!(undone["text"], "Take your time.");
    shift.act(Deed::Answer(answering(&her, "We have it. Take your time."))).unwrap();
    shift.act(Deed::Compose { id: her.clone(), text: "half a".to_owned().into() }).unwrap();
    shift.locked();
    assert_eq!(answers(&mut shift, &her), ["We have it. Take your time."]);
    assert_eq!(shift.person(&her).unwrap()["draft"], "half a");
    assert_eq!(shift.act(Deed::Undo { later: 2 }).unwrap_err().name(), "too_late");
}

#[test]
fn what_she_asked_for_is_held_by_the_program_and_not_only_by_the_page() {
    let mut shift = shift(71);
    let (quiet, relative) = (row(&mut shift, |row| row.flags.quiet).id, row(&mut shift, |row| row.flags.relative).id);
    let plain = row(&mut shift, |row| !row.flags.quiet && !row.flags.relative).id;
    for (name, answer, refused) in [
        ("quiet", answering(&quiet, "hello"), "quiet"),
        ("an empty reason", Answering { although_quiet: Some(" ".to_owned()), ..answering(&quiet, "hello") }, "quiet"),
        ("not looked through", answering(&relative, "hello"), "relative"),
        ("a meeting", answering(&plain, "Tomorrow at 14:30 at the station"), "meeting"),
        ("nothing", answering(&plain, " \n"), "empty"),
        ("too long", answering(&plain, &"x".repeat(17_000)), "too_long"),
        ("nobody", answering("ffff0000", "hello"), "no_such_caller"),
    ] {
        assert_eq!(shift.act(Deed::Answer(answer)).unwrap_err().name(), refused, "{name}");
    }
    assert!(shift.later.is_empty());
    shift
        .act(Deed::Answer(Answering { although_quiet: Some("she asked by telephone".to_owned()), ..answering(&quiet, "hello") }))
        .unwrap();
    shift.locked();
    let thread = shift.person(&quiet).unwrap();
    assert!(
        thread["items"].as_array().unwrap().iter().any(|item| item["item"] == "note" && item["text"] == "she asked by telephone")
    );
    assert_eq!(answers(&mut shift, &quiet), ["hello"]);
}

#[test]
fn what_is_undone_stands_above_what_was_typed_meanwhile() {
    let mut shift = shift(73);
    let her = row(&mut shift, |row| !row.flags.quiet && !row.flags.relative).id;
    let told = shift.act(Deed::Answer(answering(&her, "Take your time."))).unwrap();
    shift.act(Deed::Compose { id: her.clone(), text: "And sleep well.".to_owned().into() }).unwrap();
    let undone = shift.act(Deed::Undo { later: told["later"].as_u64().unwrap() }).unwrap();
    assert_eq!(undone["text"], "Take your time.\n\nAnd sleep well.");
    assert_eq!(shift.person(&her).unwrap()["draft"], undone["text"]);
}

#[test]
fn a_wish_that_came_within_the_ten_seconds_holds_and_the_end_says_what_was_lost() {
    let mut shift = shift(74);
    let relative = row(&mut shift, |row| row.flags.relative).id;
    shift.act(Deed::Answer(Answering { fits_relative: true, ..answering(&relative, "hello") })).unwrap();
    // As if it had been sent before she asked for it.
    shift.later[0].fits_relative = false;
    shift.locked();
    assert!(answers(&mut shift, &relative).is_empty());
    let told = shift.person(&relative).unwrap();
    assert_eq!((&told["later"][0]["failed"], &told["later"][0]["text"]), (&json!("relative"), &json!("hello")));
    assert_eq!(told["header"]["failed"][0]["id"], relative.as_str());
    // Taken back into the field it is a draft again; left, the end counts it.
    shift.write_all();
    assert_eq!(shift.later.len(), 1, "it is not tried again behind the worker's back");
}

#[test]
fn words_of_two_wait_ten_seconds_and_respect_her_as_any_answer_does() {
    let mut shift = shift(75);
    let relative = row(&mut shift, |row| row.flags.relative).id;
    let propose = |shift: &mut Shift, fits_relative| {
        let (id, act, text) = (relative.clone(), "say".to_owned(), "내일 3시에 역 앞에서 만나요.".to_owned());
        shift.act(Deed::Propose { id, act, other: None, text, fits_relative })
    };
    shift.act(Deed::Compose { id: relative.clone(), text: "half a".to_owned().into() }).unwrap();
    assert_eq!(propose(&mut shift, false).unwrap_err().name(), "relative");
    assert_eq!(shift.person(&relative).unwrap()["draft"], "half a", "what was refused is not lost");
    propose(&mut shift, true).unwrap();
    let me = hex(&shift.me().unwrap().0);
    let proposal = shift.engine.view(|desk| desk.proposals(now()).into_iter().find(|one| one.by == me)).unwrap().unwrap();
    assert_eq!(proposal.nickname, row(&mut shift, |row| row.id == relative).nickname);
    let saying = |fits_relative| Saying {
        by: proposal.by.clone(),
        seq: proposal.seq,
        fits_relative,
        although_quiet: None,
        although_composing: false,
    };
    assert_eq!(shift.act(Deed::Say(saying(true))).unwrap_err().name(), "needs_second", "nobody has agreed");
    assert!(shift.later.is_empty());
}

#[test]
fn what_is_stopped_or_taken_back_in_a_row_is_so_in_its_other_rooms() {
    let mut shift = shift(80);
    let plain: Vec<String> =
        shift.rows().iter().filter(|row| row.reachable && !row.flags.quiet).map(|row| row.id.clone()).collect();
    let rooms = [shift.find(&plain[0]).unwrap(), shift.find(&plain[1]).unwrap()];
    // Joined by one worker alone, a day after it was proposed.
    let proposed = Seconds(now().0 - 90_000);
    let join = Proposal { caller: rooms[0], act: Act::Join, other: rooms[1], text: String::new() };
    shift
        .engine
        .act(|desk, rng| {
            let id = desk.propose(&join, proposed, rng)?;
            desk.agree(id, now(), rng)
        })
        .unwrap();
    let head = shift.find(&plain[0]).unwrap();
    let other = rooms.into_iter().find(|room| *room != head).unwrap();
    let plan = AnswerPlan { text: "at ten".to_owned().into(), ..AnswerPlan::default() };
    let said = shift.engine.act(|desk, rng| desk.answer(other, &plan, now(), rng)).unwrap();
    shift.act(Deed::TakeBack { id: hex(&head.0), answer: hex(&said.id) }).unwrap();
    let stops = |shift: &mut Shift| {
        let items = shift.engine.view(|desk| desk.show(head, now()).unwrap().items).unwrap();
        items.iter().filter(|item| matches!(item, Item::Answer { stop: true, .. })).count()
    };
    assert_eq!(stops(&mut shift), 0);
    shift.act(Deed::Stop { id: hex(&head.0) }).unwrap();
    assert_eq!(stops(&mut shift), 2);
}

#[test]
fn a_letter_rings_although_a_colleague_has_read_more_meanwhile() {
    let mut shift = shift(77);
    let mut rows = shift.rows().to_vec();
    let before = shift.news.letters;
    let (read, wrote) = (rows.iter().position(|row| row.unseen > 0).unwrap(), rows.len() - 1);
    rows[read].unseen = 0;
    rows[wrote].letters += 1;
    shift.take_rows(rows.clone());
    assert_eq!(shift.news.letters, before + 1);
    shift.take_rows(rows);
    assert_eq!(shift.news.letters, before + 1, "what was there does not ring again");
}

#[test]
fn a_vault_that_is_in_trouble_is_said_to_be_until_something_was_written() {
    let mut shift = shift(78);
    shift.hear(Some(DutyNews::Vault(DeskError::Restored)));
    shift.make_rows();
    assert!(shift.vault_trouble, "that it can be read mends nothing");
    let her = row(&mut shift, |_| true).id;
    shift.act(Deed::Note { id: her, text: "written".to_owned() }).unwrap();
    assert!(!shift.vault_trouble);
}

#[test]
fn what_was_heard_of_a_relay_that_is_gone_from_the_card_is_forgotten() {
    let mut shift = shift(79);
    let numbers = |shift: &Shift| shift.relays_told().iter().map(|relay| relay["number"].clone()).collect::<Vec<_>>();
    shift.hear(Some(DutyNews::Posted(7)));
    shift.hear(Some(DutyNews::Trouble(0, Failure::NotThisLine)));
    assert_eq!(numbers(&shift), [0], "practice has one relay, and it is none of number 7");
    assert!(shift.reaches_no_relay(), "that 7 was well hides nothing");
}

#[test]
fn what_is_half_written_in_a_window_is_kept_through_a_lock() {
    let mut shift = shift(76);
    let scrap = |shift: &mut Shift, of: &str| shift.ask(&Ask::Scrap { of: of.to_owned() }).unwrap()["text"].clone();
    let keep = |shift: &mut Shift, of: &str, text: Option<&str>| {
        shift.act(Deed::Scrap { of: of.to_owned(), text: text.map(|text| text.to_owned().into()) })
    };
    keep(&mut shift, "note 1", Some("half a")).unwrap();
    shift.locked();
    assert_eq!(scrap(&mut shift, "note 1"), "half a");
    keep(&mut shift, "note 1", None).unwrap();
    assert_eq!(scrap(&mut shift, "note 1"), Value::Null);
    for at in 0..SCRAPS_MAX {
        keep(&mut shift, &format!("note {at}"), Some("x")).unwrap();
    }
    assert_eq!(keep(&mut shift, "one more", Some("x")).unwrap_err().name(), "not_possible");
    keep(&mut shift, "note 0", Some("y")).unwrap();
}

#[test]
fn practice_leaves_nothing_behind() {
    let practice = Practice::begin(ChaCha20Rng::seed_from_u64(72)).unwrap();
    let folder = practice.folder().to_owned();
    assert!(folder.is_dir());
    drop(practice);
    assert!(!folder.exists());
}
