//! A letter about a worker goes past the desk, to a person outside the team, and her answer comes back.

use serde_json::Value;

use crate::site::{Caller, Plan, Ran, Running, Site, check_words, text};

fn safe(site: &Site, words: &[&str]) -> Ran {
    site.at("safe", &[&["safeguard"], words].concat())
}

fn request(site: &Site, dir: &str, verb: &str) -> Value {
    site.at(dir, &["safeguard", verb]).ends(0).events("request").remove(0)
}

fn admit(site: &Site, request: &Value, out: &str) -> Ran {
    let words = check_words(request);
    site.desk(&["desk", "admit", text(&request["request"]), "--words", &words, "--safeguarding", "--out", out])
}

/// Her vault is her own; the lead gives her a mailbox and no more.
fn join(site: &Site) {
    let admitted = admit(site, &request(site, "safe", "join"), "mailbox").ends(0).events("admitted").remove(0);
    let joined = safe(site, &["join", "--admission", "mailbox", "--words", &check_words(&admitted)]).ends(0);
    assert_eq!(joined.events("joined")[0]["seat"], 8);
}

fn watch(site: &Site) -> Running {
    let words = ["safeguard", "watch", "--dir", "safe", "--passphrase-file", "pass", "--json"];
    let mut hers = Running::start(&mut site.machine.command("porchlight", &words));
    hers.hear_event("connected");
    hers
}

fn write(caller: &Caller, letters: &[&str]) -> Ran {
    let letters = letters.iter().flat_map(|letter| ["--text", letter]);
    let words: Vec<&str> = ["caller", "write", "--safeguarding", "--fast-beats"].into_iter().chain(letters).collect();
    caller.run(&words).ends(0)
}

/// Reads until this answer is there: it waits in the slow slots that are hers alone.
fn read(caller: &Caller, answer: &str) -> Value {
    let found = (0..30).find_map(|_| {
        let answers = caller.run(&["caller", "read", "--fast-beats", "--wait", "4s"]).events("answer");
        answers.into_iter().find(|found| found["text"] == answer)
    });
    found.expect("it is on the slow track")
}

fn end(mut watch: Running) {
    watch.signal("TERM");
    assert!(watch.ended().success());
}

/// A lead's laptop is stolen, and the thief goes on with it. The one that is left has the device put out, which is half of it, and speaks with
/// the root's words. The mailbox, which the stolen one had admitted, is renewed the same day.
#[test]
fn a_stolen_lead_is_out_when_the_root_has_spoken_and_the_rest_go_on() {
    let (site, _relay) = Site::published(Plan::default());
    let watch_all = |dirs: &[&str]| dirs.iter().map(|dir| site.watch_in(dir)).collect::<Vec<_>>();
    let line = |dir: &str| site.at(dir, &["line", "show"]).ends(0).objects().remove(0);
    let knows = |dir: &str, what: &dyn Fn(&Value) -> bool| {
        let found = || line(dir)["devices"].as_array().unwrap().iter().any(what);
        assert!((0..300).any(|_| found() || site.at(dir, &["desk", "sync", "--wait", "1s"]).code.is_none()), "{dir} never knew");
    };
    site.join("bo");
    let watches = watch_all(&["desk", "bo"]);
    site.at("bo", &["line", "lead", "add", "--root-words-file", "root"]).ends(0);
    let stolen = text(&line("bo")["device"]).to_owned();
    knows("desk", &|device| device["device"] == stolen.as_str() && device["role"] == "lead");
    // The thief-to-be admits a worker and the mailbox.
    let asked = site.at("chin", &["desk", "join"]).ends(0).events("request").remove(0);
    let words = ["desk", "admit", text(&asked["request"]), "--words", &check_words(&asked), "--out", "chin.admission"];
    let admitted = site.at("bo", &words).ends(0).events("admitted").remove(0);
    site.at("chin", &["desk", "join", "--admission", "chin.admission", "--words", &check_words(&admitted)]).ends(0);
    let asked = request(&site, "safe", "join");
    let words = ["desk", "admit", text(&asked["request"]), "--words", &check_words(&asked), "--safeguarding", "--out", "mailbox"];
    let admitted = site.at("bo", &words).ends(0).events("admitted").remove(0);
    safe(&site, &["join", "--admission", "mailbox", "--words", &check_words(&admitted)]).ends(0);
    let chin = text(&line("chin")["device"]).to_owned();
    let watches: Vec<_> = watches.into_iter().chain(watch_all(&["chin"])).collect();
    knows("desk", &|device| device["device"] == chin.as_str());
    knows("desk", &|device| device["role"] == "safeguarding");

    site.desk(&["line", "revoke", &stolen[..8]]).ends(0);
    let said = site.desk(&["line", "renew", "--void-others", "--root-words-file", "root"]).ends(0);
    assert!(said.stderr.contains("leave `porchlight desk watch` running"), "{}", said.stderr);
    // She is told as soon as the watches have done it.
    let told = || {
        safe(&site, &["sync"]);
        safe(&site, &["list"]).ends(0).stderr.contains("safeguard renew")
    };
    assert!((0..300).any(|_| told()), "the generation was never raised");
    watches.into_iter().for_each(end);
    site.at("bo", &["desk", "sync", "--wait", "20s"]).ends(3);
    let refused = site.at("bo", &["line", "rotate"]);
    assert_ne!(refused.code, Some(0), "{}", refused.stdout);

    // The lead that is left renews her mailbox.
    let admitted = admit(&site, &request(&site, "safe", "renew"), "renewed").ends(0).events("admitted").remove(0);
    safe(&site, &["renew", "--admission", "renewed", "--words", &check_words(&admitted)]).ends(0);
    let caller = site.caller();
    write(&caller, &["about somebody"]);
    safe(&site, &["sync"]).ends(0);
    assert_eq!(safe(&site, &["list"]).ends(0).objects()[0]["letters"], 1);
    // And the worker whom the stolen one had admitted is believed by callers.
    caller.run(&["caller", "write", "--text", "here", "--fast-beats"]).ends(0);
    let watches = watch_all(&["chin"]);
    let id = &caller.id;
    assert!(
        (0..100).any(|_| site.at("chin", &["desk", "show", id]).stdout.contains("here")
            || site.at("chin", &["desk", "sync", "--wait", "1s"]).code.is_none()),
        "she wrote"
    );
    site.at("chin", &["desk", "answer", id, "--text", "we are here", "--wait", "0s"]);
    let answer = read(&caller, "we are here");
    assert_eq!(
        answer["seat"],
        line("chin")["seats"].as_array().unwrap().iter().find(|seat| seat["device"] == chin.as_str()).unwrap()["seat"]
    );
    let warned = line("chin")["warnings"].clone();
    assert!(!warned.as_array().unwrap().contains(&Value::from("seat_unnamed")), "{warned}");
    watches.into_iter().for_each(end);
}

#[test]
fn a_letter_to_safeguarding_is_nothing_to_any_desk_and_is_answered() {
    let (site, _relay) = Site::published(Plan::default());
    site.join("second");
    join(&site);
    let other = request(&site, "other", "join");
    admit(&site, &other, "no").ends(5);
    // Neither vault does for the other.
    site.at("desk", &["safeguard", "list"]).ends(5);
    site.at("desk", &["safeguard", "renew"]).ends(5);
    site.at("safe", &["line", "publish"]).ends(0);
    site.at("safe", &["line", "rotate"]).ends(5);

    let caller = site.caller();
    let mut watches = [site.watch(), site.watch_in("second")];
    let mut hers = watch(&site);
    let secret = "그 사람이 나를 때렸어요";
    write(&caller, &[secret]);
    let id = text(&hers.hear_event("letter")["id"]).to_owned();
    assert_ne!(id, caller.id, "her name there is another");
    assert!(safe(&site, &["show", &id]).ends(0).stdout.contains(secret));

    // One letter to the desk, so that everything before it has been read there.
    caller.run(&["caller", "write", "--text", "hello", "--fast-beats", "--wait", "60s"]).ends(0);
    for (dir, watch) in ["desk", "second"].into_iter().zip(&mut watches) {
        watch.hear_event("letter");
        let list = site.at(dir, &["desk", "list"]).ends(0);
        assert_eq!((list.objects().len(), list.stdout.contains(&id)), (1, false), "{dir}: {}", list.stdout);
        site.at(dir, &["desk", "show", &id]).ends(1);
        assert!(!site.at(dir, &["desk", "show", &caller.id]).ends(0).stdout.contains(secret), "{dir}");
    }
    assert!(!safe(&site, &["list"]).ends(0).stdout.contains(&caller.id));

    safe(&site, &["answer", &id, "--text", "I believe you", "--wait", "0s"]);
    assert_eq!(read(&caller, "I believe you")["seat"], 8);
    for dir in ["desk", "second"] {
        assert_eq!(site.at(dir, &["desk", "list"]).ends(0).objects()[0]["answers"], 0, "{dir}");
    }
    watches.into_iter().chain([hers]).for_each(end);

    // Taken out like any other: her key leaves the statements, and the seat is free.
    let devices = site.desk(&["line", "show"]).ends(0).objects().remove(0);
    let hers = devices["devices"].as_array().unwrap().iter().find(|device| device["role"] == "safeguarding").unwrap().clone();
    site.desk(&["line", "revoke", text(&hers["device"])]).ends(0);
    admit(&site, &other, "yes").ends(0);
    safe(&site, &["sync"]);
    let told = safe(&site, &["list"]).ends(0);
    assert!(told.stderr.contains("this device was revoked"), "{}", told.stderr);
    write(&caller, &["not for you any more"]);
    safe(&site, &["sync"]);
    assert_eq!(safe(&site, &["list"]).ends(0).objects()[0]["letters"], 1);
    let burned = safe(&site, &["burn", "--really"]).ends(0);
    assert_eq!(burned.events("burned")[0]["told"], false);
    assert!(!site.machine.path("safe").exists());
}

#[test]
fn receipts_and_taking_back_go_by_the_slow_track_too() {
    let (site, _relay) = Site::published(Plan::default());
    join(&site);
    let caller = site.caller();
    let hers = watch(&site);
    let long = "이것은 긴 이야기입니다. ".repeat(60);
    let words = ["caller", "write", "--safeguarding", "--text", "one", "--text", &long, "--fast-beats", "--wait", "120s"];
    let told = caller.run(&words).ends(0);
    assert_eq!(told.events("receipt").iter().map(|event| event["seq"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    let letter = &told.events("in_box")[0];
    let row = safe(&site, &["list"]).ends(0).objects().remove(0);
    assert_eq!((row["letters"].as_u64(), row["unseen"].as_u64()), (Some(2), Some(2)));
    // The visit that is named is the one that the mailbox knows.
    let back = ["caller", "withdraw", "--safeguarding", "--session", text(&letter["session"]), "--seq", "1"];
    let told = caller.run(&[&back[..], &["--fast-beats", "--wait", "120s"]].concat());
    assert_eq!(told.events("withdrawn")[0]["seq"], 1, "{}{}", told.stdout, told.stderr);
    let shown = safe(&site, &["show", text(&row["id"])]).ends(0).objects();
    let states: Vec<&str> = shown.iter().filter(|item| item["withdraws"] != true).map(|item| text(&item["state"])).collect();
    assert_eq!(states, ["withdrawn", "here"]);
    end(hers);
    // What people read says who it is.
    let plain = [&Caller::SELF[1..], &["--fast-beats"]].concat();
    let said = caller.machine.run(&[&["caller", "write", "--safeguarding", "--text", "two"], &plain[..]].concat()).ends(0);
    assert!(said.stdout.contains("It is in the safeguarding person's box."), "{}", said.stdout);
    safe(&site, &["sync", "--wait", "1s"]);
    // She has no second who could agree.
    safe(&site, &["answer", text(&row["id"]), "--text", "I read it. Tomorrow at 14:30 at the station", "--wait", "60s"]).ends(0);
    let said = (0..30).find_map(|_| {
        let read = caller.machine.run(&[&["caller", "read", "--wait", "4s"], &plain[..]].concat());
        read.stdout.contains("I read it").then_some(read.stdout)
    });
    assert!(said.expect("it is on the slow track").contains("There is an answer for you from the safeguarding person, written"));
}

#[test]
fn her_keys_are_renewed_while_letters_are_on_their_way() {
    let (site, _relay) = Site::published(Plan::default());
    join(&site);
    let caller = site.caller();
    write(&caller, &["to the first key"]);
    let asked = request(&site, "safe", "renew");
    assert_eq!(request(&site, "safe", "renew"), asked, "the same again");
    let admitted = admit(&site, &asked, "renewed").ends(0).events("admitted").remove(0);
    write(&caller, &["to the second key"]);
    site.desk(&["line", "rotate"]).ends(0);
    write(&caller, &["after a rotation"]);
    safe(&site, &["sync"]).ends(0);
    let row = safe(&site, &["list"]).ends(0).objects().remove(0);
    assert_eq!(row["letters"], 3);
    let words = check_words(&admitted);
    safe(&site, &["renew", "--admission", "renewed", "--words", &check_words(&asked)]).ends(7);
    let renewed = safe(&site, &["renew", "--admission", "renewed", "--words", &words]).ends(0).events("renewed").remove(0);
    assert!(renewed["certified_until"].as_u64().unwrap() > 0);
    assert_ne!(request(&site, "safe", "renew"), asked, "the next is another");
    write(&caller, &["and later"]);
    let hers = watch(&site);
    safe(&site, &["answer", text(&row["id"]), "--text", "still here", "--wait", "0s"]);
    assert_eq!(read(&caller, "still here")["seat"], 8);
    assert_eq!(safe(&site, &["list"]).ends(0).objects()[0]["letters"], 4);
    end(hers);
}
