//! Relays that are elsewhere, or gone.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::site::{PATIENCE, Plan, Site};

/// Somebody at an address who counts who comes, and says nothing.
fn who_counts() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, come) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&come);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            drop(stream);
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, come)
}

fn wait_for_more(come: &AtomicUsize, than: usize) {
    let until = Instant::now() + PATIENCE;
    while come.load(Ordering::SeqCst) <= than {
        assert!(Instant::now() < until, "nobody comes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whoever sits at the address of a relay that was seized must not go on learning where desks are, and when somebody works there.
#[test]
fn a_relay_that_is_gone_from_the_card_is_left_alone() {
    let (site, _relay) = Site::published(Plan::default());
    let (port, come) = who_counts();
    site.desk(&["line", "move", "1", "--to", &format!("https://127.0.0.1:{port}"), "--relay-pin", &"ab".repeat(32)]).ends(0);
    let mut watch = site.watch();
    wait_for_more(&come, 0);
    site.desk(&["line", "move", "1", "--gone"]).ends(0);
    // Each by somebody else: of one whom nobody has answered a desk keeps only so many letters.
    let exchange = |text: &str| {
        let caller = site.caller();
        let said = ["caller", "checkin", "--status", "safe", "--text", text, "--fast-beats", "--wait", "60s"];
        caller.run(&said).ends(0);
    };
    // The desk has it, so it has had its beat since.
    exchange("first");
    let known = come.load(Ordering::SeqCst);
    // What has a desk look at all its relays.
    site.desk(&["line", "rotate"]).ends(0);
    // Longer than a desk waits before it knocks again at a relay that said nothing.
    let until = Instant::now() + Duration::from_secs(25);
    while Instant::now() < until {
        exchange("again");
    }
    assert_eq!(come.load(Ordering::SeqCst), known, "nobody knocks there any more");
    // The control: it is looked for as soon as it is back.
    site.desk(&["line", "move", "1", "--to", &format!("https://127.0.0.1:{port}"), "--relay-pin", &"ab".repeat(32)]).ends(0);
    exchange("at last");
    wait_for_more(&come, known);
    watch.signal("TERM");
    assert!(watch.ended().success());
}

/// "This door will change" at a door of no such number is at none: nothing is signed or said before that is known.
#[test]
fn a_bulletin_for_a_relay_that_is_not_on_the_card_changes_nothing() {
    let (site, _relay) = Site::published(Plan::default());
    let ran = site.desk(&["line", "bulletin", "--code", "2", "--closed-for", "1h", "--relay", "9"]).ends(1);
    assert!(ran.stderr.contains("the line has no relay 9") && ran.objects().is_empty(), "{}", ran.stderr);
    let ran = site.desk(&["line", "bulletin", "--code", "2", "--closed-for", "1h", "--relay", "0"]).ends(0);
    assert_eq!(ran.events("raised").len(), 1, "the control");
}
