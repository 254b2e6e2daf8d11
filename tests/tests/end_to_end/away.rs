//! A worker's laptop is closed while a letter comes, and the relay loses what it held: a colleague's device leaves the board.

use std::fs;
use std::time::Duration;

use crate::site::{Plan, Site};

#[test]
fn a_desk_that_was_away_asks_a_colleague_and_shows_the_same_board() {
    let (site, mut relay) = Site::published(Plan::default());
    site.join("second");
    let caller = site.caller();
    let mut watches = [site.watch(), site.watch_in("second")];
    let write = |text: &str| {
        caller.run(&["caller", "write", "--text", text, "--fast-beats", "--wait", "60s"]).ends(0);
    };
    write("everybody reads this");
    for watch in &mut watches {
        watch.hear_event("letter");
    }
    watches[1].signal("TERM");
    assert!(watches[1].ended().success());
    write("둘째는 못 읽는다");
    watches[0].hear_event("letter");
    watches[0].signal("TERM");
    assert!(watches[0].ended().success());

    // The relay's machine is lost: another takes its name, with nothing of what it held.
    relay.signal("KILL");
    relay.ended();
    for entry in fs::read_dir(site.keys.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }
    let _relay = site.relay();
    assert!(!site.at("second", &["desk", "show", &caller.id]).ends(0).stdout.contains("둘째는"));
    let mut watches = [site.watch(), site.watch_in("second")];
    watches[1].hear_event("board_taken");
    assert!(site.at("second", &["desk", "show", &caller.id]).ends(0).stdout.contains("둘째는 못 읽는다"));
    let same = (0..300).any(|_| {
        std::thread::sleep(Duration::from_millis(200));
        site.desk(&["desk", "list"]).stdout == site.at("second", &["desk", "list"]).stdout
    });
    assert!(same, "{}\n{}", site.desk(&["desk", "list"]).stdout, site.at("second", &["desk", "list"]).stdout);
    for (dir, watch) in ["desk", "second"].into_iter().zip(&mut watches) {
        let missed = || site.at(dir, &["line", "show"]).ends(0).stderr.contains("died unread");
        assert!(
            (0..300).any(|_| !missed() || {
                std::thread::sleep(Duration::from_millis(200));
                false
            }),
            "{dir}"
        );
        watch.signal("TERM");
        assert!(watch.ended().success());
    }
}
