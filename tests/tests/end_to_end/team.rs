//! A second worker: admitted after letters came, answers from a seat of its own, and is taken out again.

use serde_json::Value;

use crate::site::{Plan, Ran, Site, check_words, text};

fn second(site: &Site, words: &[&str]) -> Ran {
    site.at("second", words)
}

/// What `desk list` prints, the same to the byte at every desk of one line.
fn same_board(site: &Site) -> Vec<Value> {
    let [ours, theirs] = [site.desk(&["desk", "list"]), second(site, &["desk", "list"])];
    assert_eq!(ours.stdout, theirs.stdout);
    ours.ends(0).objects()
}

fn join(site: &Site) {
    let request = second(site, &["desk", "join"]).ends(0).events("request").remove(0);
    assert_eq!(second(site, &["desk", "join"]).ends(0).events("request"), std::slice::from_ref(&request), "the same again");
    assert!(second(site, &["desk", "list"]).ends(5).stderr.contains("--admission"), "not yet");
    site.machine.write("request", text(&request["request"]));
    let asked = check_words(&request);
    let admit = |words: &str, out: &str| site.desk(&["desk", "admit", "request", "--words", words, "--out", out]);
    admit("lamp lamp lamp lamp lamp lamp lamp lamp", "wrong").ends(7);
    assert!(!site.machine.path("wrong").exists());
    admit(&asked.to_uppercase(), "admission").ends(0);
    admit(&asked, "admission").ends(1);
    // Lost on the way: another, for the same seat.
    let again = admit(&asked, "again").ends(0).events("admitted").remove(0);
    second(site, &["desk", "join", "--admission", "again", "--words", &asked]).ends(7);
    let joined = second(site, &["desk", "join", "--admission", "again", "--words", &check_words(&again)]).ends(0);
    assert_eq!(joined.events("joined")[0]["seat"], 1);
    second(site, &["desk", "join", "--admission", "again", "--words", &check_words(&again)]).ends(5);
    second(site, &["desk", "join"]).ends(5);
    let shown = second(site, &["line", "show"]).ends(0).objects().remove(0);
    assert_eq!(shown["devices"].as_array().unwrap().len(), 2);
    for verb in ["rotate", "publish"] {
        // Only a lead changes the line; handing in what is there is anybody's.
        let code = if verb == "rotate" { 5 } else { 0 };
        second(site, &["line", verb]).ends(code);
    }
}

#[test]
fn a_second_worker_joins_answers_and_is_revoked() {
    let (site, _relay) = Site::published(Plan::default());
    let caller = site.caller();
    let mut watch = site.watch();
    caller.run(&["caller", "checkin", "--status", "help", "--text", "나는 여기 있어요", "--fast-beats", "--wait", "60s"]).ends(0);
    watch.hear_event("letter");
    watch.signal("TERM");
    assert!(watch.ended().success());
    site.desk(&["desk", "claim", &caller.id]).ends(0);
    site.desk(&["desk", "note", &caller.id, "--text", "she is near the river"]).ends(0);
    join(&site);
    let board = same_board(&site);
    assert_eq!((board.len(), text(&board[0]["next_step"])), (1, "she is near the river"));
    assert!(second(&site, &["desk", "show", &caller.id]).ends(0).stdout.contains("나는 여기 있어요"));
    second(&site, &["desk", "claim", &caller.id]).ends(5);
    second(&site, &["desk", "claim", &caller.id, "--reason", "end of shift"]).ends(0);

    // The second answers from a seat of its own; she believes it.
    let answered = second(&site, &["desk", "answer", &caller.id, "--text", "우리도 여기 있어요", "--wait", "60s"]).ends(0);
    let readable = answered.events("answered")[0]["readable_from"].as_u64().unwrap();
    crate::carousel::sleep_until(readable + 100);
    let read = caller.run(&["caller", "read", "--fast-beats"]).ends(0).events("answer");
    assert_eq!((text(&read[0]["text"]), read[0]["seat"].as_u64()), ("우리도 여기 있어요", Some(1)));

    // Both see what the other did, in a few rounds.
    let mut watches = [site.watch(), site.watch_in("second")];
    let agreed = (0..300).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(200));
        let [ours, theirs] = [site.desk(&["desk", "list"]), second(&site, &["desk", "list"])];
        ours.stdout == theirs.stdout && ours.objects()[0]["claim"]["reason"] == "end of shift"
    });
    assert!(agreed, "{}\n{}", site.desk(&["desk", "list"]).stdout, second(&site, &["desk", "list"]).stdout);
    // The end of a shift: she is somebody's at every moment.
    second(&site, &["desk", "hand-over", &caller.id]).ends(1);
    let mine = text(&site.desk(&["line", "show"]).objects()[0]["device"]).to_owned();
    second(&site, &["desk", "hand-over", &caller.id, "--to", &mine, "--risk", "房东知道", "--next-step", "look at 8"]).ends(0);
    let handed_over = (0..300).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(200));
        site.desk(&["desk", "list"]).objects()[0]["hand_over"]["to"] == mine.as_str()
    });
    assert!(handed_over);
    assert_ne!(site.desk(&["desk", "list"]).objects()[0]["claimed_by"], mine.as_str());
    site.desk(&["desk", "accept", &caller.id]).ends(0);
    site.desk(&["desk", "accept", &caller.id]).ends(5);
    let row = site.desk(&["desk", "list"]).objects().remove(0);
    assert_eq!(
        (&row["claimed_by"], &row["hand_over"], text(&row["next_step"])),
        (&mine.as_str().into(), &Value::Null, "look at 8")
    );
    assert!(site.desk(&["desk", "show", &caller.id]).stdout.contains("房东知道"));
    for watch in &mut watches {
        watch.signal("TERM");
        assert!(watch.ended().success());
    }

    // Out of the team: nothing new reaches it, nothing it writes reaches her, and it is told why.
    let devices = site.desk(&["line", "show"]).ends(0).objects().remove(0);
    let (mine, other) = (text(&devices["device"]).to_owned(), devices["devices"].as_array().unwrap().clone());
    let other = other.iter().map(|device| text(&device["device"])).find(|device| *device != mine).unwrap();
    site.desk(&["line", "revoke", &mine]).ends(5);
    site.desk(&["line", "revoke", "zzzz"]).ends(1);
    site.desk(&["line", "revoke", &other[..8]]).ends(0);
    caller.run(&["caller", "write", "--text", "after the loss", "--fast-beats"]).ends(0);
    site.desk(&["desk", "sync", "--wait", "20s"]);
    assert!(site.desk(&["desk", "show", &caller.id]).ends(0).stdout.contains("after the loss"));
    second(&site, &["desk", "sync", "--wait", "20s"]).ends(3);
    assert!(!second(&site, &["desk", "show", &caller.id]).ends(0).stdout.contains("after the loss"));
    let warned = second(&site, &["line", "show"]).ends(0);
    assert!(warned.stderr.contains("revoked"), "{}", warned.stderr);
    second(&site, &["desk", "answer", &caller.id, "--text", "from the lost one", "--wait", "2s"]);
    let read = caller.run(&["caller", "read", "--fast-beats", "--wait", "3s"]).events("answer");
    assert!(read.iter().all(|answer| answer["text"] != "from the lost one"), "{read:?}");
    // On the worst day nothing is left of a device, not even with its passphrase at hand.
    second(&site, &["desk", "burn"]).ends(1);
    assert!(site.machine.path("second/vault/header").exists());
    let burned = second(&site, &["desk", "burn", "--really"]).ends(0);
    assert_eq!(burned.events("burned")[0]["told"], false, "the relay does not listen to it any more");
    assert!(!site.machine.path("second").exists());
    let left = site.desk(&["line", "show"]).ends(0).objects().remove(0);
    assert!(left["devices"].as_array().unwrap().iter().any(|device| device["device"] == other && device["revoked"] == true));

    // One of the team says goodbye first, and the lead's next round puts it off the lists.
    site.join("third");
    let third = text(&site.at("third", &["line", "show"]).objects()[0]["device"]).to_owned();
    let burned = site.at("third", &["desk", "burn", "--really"]).ends(0);
    assert_eq!(burned.events("burned")[0]["told"], true);
    site.desk(&["desk", "sync", "--wait", "20s"]).ends(0);
    let left = site.desk(&["line", "show"]).ends(0).objects().remove(0);
    assert!(
        left["devices"].as_array().unwrap().iter().any(|device| device["device"] == third.as_str() && device["revoked"] == true)
    );
}

#[test]
fn a_watch_begun_beside_a_command_that_sends_stays_and_sends_after_it() {
    let (site, _relay) = Site::published(Plan::default());
    let caller = site.caller();
    caller.run(&["caller", "write", "--text", "hello", "--fast-beats"]).ends(0);
    // A `desk sync` holds this for as long as it lives.
    let sends = std::fs::File::create(site.machine.path("desk/posting.lock")).unwrap();
    sends.lock().unwrap();
    let mut watch = site.watch();
    let ran = site.desk(&["desk", "answer", &caller.id, "--text", "I am here", "--wait", "0s"]).ends(5);
    assert!(ran.stderr.contains("no place in a slot yet"), "{ran:?}");
    let second = site.desk(&["desk", "watch"]).ends(5);
    assert!(second.stderr.contains("another `desk watch`"), "{second:?}");
    drop(sends);
    let read = caller.run(&["caller", "read", "--fast-beats", "--wait", "60s"]).ends(0);
    assert_eq!(read.events("answer").len(), 1, "{read:?}");
    assert!(watch.runs());
}
