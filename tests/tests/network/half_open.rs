//! One end is gone and the other is not told: both let go of the connection in bounded time, and begin anew when there is a way.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::namespace::Namespace;
use crate::partitions::{Country, PORT};
use crate::resets::{read, shown};
use crate::site::text;
use crate::texts;
use crate::wire::Weather;

/// What the client waits at most: the patience of a long poll, and a beat until something is asked.
const CLIENT_LETS_GO: Duration = Duration::from_secs(50);

/// What the relay waits at most: a long poll that nobody hears the answer of, then its deadline for the idle.
const RELAY_LETS_GO: Duration = Duration::from_secs(65);

/// How long until nobody in this network holds a connection to the relay any more.
fn lets_go(network: &Namespace, since: Instant, within: Duration) -> Duration {
    while network.established(PORT) > 0 {
        assert!(since.elapsed() < within, "a connection is still held after {within:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    since.elapsed()
}

#[test]
#[ignore = "every scene at once runs it"]
pub fn a_relay_that_is_gone_without_a_word_is_let_go_of_and_so_are_its_clients() {
    let mut rng = texts::rng("half open");
    let (mut country, mut relay) = Country::new(&mut rng);
    let mut watch = country.site.watch();
    country.caller.run(&["caller", "write", "--text", "before", "--wait", "60s"]).ends(0);
    let mut page = country.caller.start(&["caller", "read", "--wait", "300s"]);
    page.hear_event("opened");
    assert!(country.home.established(PORT) > 0 && country.desk_home.established(PORT) > 0);
    [&country.wire, &country.desk_wire].into_iter().for_each(|wire| wire.set(Weather::CUT));
    let since = Instant::now();
    let (page_took, desk_took, relay_took) = std::thread::scope(|scope| {
        let page = scope.spawn(|| lets_go(&country.home, since, CLIENT_LETS_GO));
        let desk = scope.spawn(|| lets_go(&country.desk_home, since, CLIENT_LETS_GO));
        let relay = scope.spawn(|| lets_go(&country.hub, since, RELAY_LETS_GO));
        (page.join().unwrap(), desk.join().unwrap(), relay.join().unwrap())
    });
    println!(
        "let go of after {page_took:?} by a caller, {desk_took:?} by a desk (pass: {CLIENT_LETS_GO:?}), {relay_took:?} by the relay (pass: {RELAY_LETS_GO:?})"
    );
    assert!(page.runs() && watch.runs());
    // Now the relay really goes, unheard, and comes back at its place.
    relay.signal("KILL");
    relay.ended();
    country.site.machine.within = country.hub.words();
    let _relay = country.site.relay();
    country.site.machine.within = country.desk_home.words();
    [&country.wire, &country.desk_wire].into_iter().for_each(|wire| wire.set(Weather::FAIR));
    country.site.desk(&["desk", "answer", &country.caller.id, "--text", "still here", "--wait", "60s"]).ends(0);
    page.hear(|line| line.contains("still here").then_some(()));
    // It would stay for more: what was there when a page could read at last does not end its waiting.
    page.signal("INT");
    assert!(page.ended().success());
    let wrote = country.caller.run(&["caller", "write", "--text", "after", "--wait", "120s"]).ends(0);
    assert_eq!(shown(&country.site, &country.caller), ["after", "before"]);
    // What came while she wrote is with her, and may not be broadcast any more.
    let mut heard: BTreeSet<String> = wrote.events("answer").iter().map(|answer| text(&answer["text"]).to_owned()).collect();
    if heard.is_empty() {
        heard = read(&country.caller, &BTreeSet::from(["still here".to_owned()]));
    }
    assert_eq!(heard, BTreeSet::from(["still here".to_owned()]));
    (0..2).for_each(|_| drop(watch.hear_event("letter")));
    watch.signal("TERM");
    assert!(watch.ended().success());
    assert!(watch.rest().iter().all(|event| event["event"] != "letter"), "the watch tells of each letter once");
}
