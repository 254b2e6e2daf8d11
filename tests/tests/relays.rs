//! A line with two relays, all of it real: two relays in this process with TLS and disks, a caller's visit, and a desk on duty.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::Path;
use std::time::Duration;

use porchlight_client::caller::{News, Pace, Session, Setting};
use porchlight_client::desk::{AnswerPlan, Desk, DeskError, Item, LinePlan, Office, Safeguarding};
use porchlight_client::duty::{Duty, DutyNews, Posting, Term};
use porchlight_client::outbox::{Clock, SystemClock};
use porchlight_client::transport::{Dial, Failure};
use porchlight_client::vault::Passphrase;
use porchlight_proto::card::RelayAddress;
use porchlight_proto::cert::Role;
use porchlight_proto::letter::{Letter, Status};
use porchlight_proto::line::{Gate, LineId, Seat};
use porchlight_proto::phrase::Phrase;
use porchlight_proto::sign::SecretKey;
use porchlight_proto::time::{Millis, Seconds, Timing};
use porchlight_proto::visit::{Event, To};
use porchlight_relay::config::{Mode, Settings};
use porchlight_relay::{Relay, World, start};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tempfile::TempDir;

const TIMING: Timing = Timing { up_beat_ms: 100, beat_ms: 300, ..Timing::PRODUCTION };

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// A relay's settings in a directory of its own; port 0 the first time, later the port it had.
fn settings(dir: &Path, root: &SecretKey, number: u8, address: &str) -> Settings {
    settings_of_pace(dir, root, number, address, 300)
}

fn settings_of_pace(dir: &Path, root: &SecretKey, number: u8, address: &str, beat_ms: u32) -> Settings {
    let (id, public) = (LineId::from_root(&root.public()), root.public());
    let text = format!(
        "listen = \"{address}\"\ndata_dir = \"data\"\nkeyring_dir = \"keys\"\n[tls]\nself_signed = true\n[[line]]\nid = \"{}\"\nroot = \"{}\"\n\
         gates = [\"gate77\"]\nrelay_no = {number}\nbeat_ms = {beat_ms}\n",
        hex(id.as_bytes()),
        hex(public.as_bytes()),
    );
    Settings::parse(&text, Path::new("relay.toml"), dir, Mode::Dev).unwrap()
}

fn plan(relays: Vec<RelayAddress>) -> LinePlan {
    LinePlan {
        relays,
        timing: TIMING,
        up_ttl: Seconds(259_200),
        period: Seconds(86_400),
        answer_within: 2,
        reply_weeks: 9,
        emergency: true,
        safeguarding: Safeguarding::Unstaffed,
    }
}

/// Texts of the letters that the desk holds, of whomever.
fn letters(desk: &Desk) -> Vec<String> {
    let now = SystemClock.wall().seconds();
    let rows = desk.list(now);
    let items = rows.iter().flat_map(|row| desk.show(desk.find(&row.id).unwrap(), now).unwrap().items);
    items
        .filter_map(|item| match item {
            Item::Letter { text, .. } => Some(text),
            _ => None,
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_hold_one_line_and_losing_one_loses_nothing() {
    let seed = 91;
    println!("seed {seed}");
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let root = SecretKey::generate(&mut rng);
    let dirs = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let world = World::system().unwrap();
    let (mut relays, mut addresses) = (Vec::new(), Vec::new());
    for (dir, number) in dirs.iter().zip(0..) {
        let relay = start(&settings(dir.path(), &root, number, "127.0.0.1:0"), &world).await.unwrap();
        let gates = vec![Gate::parse("gate77").unwrap()];
        addresses.push(RelayAddress { url: relay.bound().to_string(), gates, pin: relay.spki().copied(), number });
        relays.push(relay);
    }
    let listens: Vec<String> = addresses.iter().map(|address| address.url.replace("https://", "")).collect();

    let plan = plan(addresses);
    let home = TempDir::new().unwrap();
    let passphrase = Passphrase::new("a long night".into());
    let now = SystemClock.wall().seconds();
    let mut office = Office::found(&home.path().join("desk"), &passphrase, &root, &plan, now, &mut rng).unwrap().office;
    let card = office.look().unwrap().card().unwrap();
    let clock = SystemClock;
    let chance = |seed| ChaCha20Rng::seed_from_u64(seed);
    let mut duty = Duty::begin(office, &Dial::Direct, Term::Watch, Posting::Here, clock, chance(92)).unwrap();
    let until = || clock.elapsed() + PATIENCE;
    let mut published = [0; 2];
    while published.contains(&0) {
        if let DutyNews::Published(relay, serial) = duty.next(until()).await.expect("both relays take the statements") {
            published[usize::from(relay)] = serial;
        }
    }

    let setting = Setting { card: card.clone(), dial: Dial::Direct, pace: Pace::Lines };
    let mut visit = Session::open(setting, clock, chance(93)).await.unwrap();
    visit.know(Phrase::generate(&mut rng).stretch(&LineId::from_root(&root.public())));
    visit.begin();
    let long = "Several parts, which the relays share. ".repeat(60);
    let letter = |text: &str| Letter { status: Some(Status::Safe), text: text.to_owned().into(), ..Letter::default() };
    let first = visit.write(&letter(&long), To::Desk).unwrap();
    let mut began = clock.elapsed();
    loop {
        tokio::select! {
            news = visit.next(until()) => if let News::Event(Event::Receipt(To::Desk, seq)) = news.expect("a receipt") {
                assert_eq!(seq, first);
                break;
            },
            _ = duty.next(until()) => {}
        }
    }
    println!("receipted after {} ms with both relays", (clock.elapsed() - began).as_millis());
    assert_eq!(duty.act(|desk, _| Ok::<_, DeskError>(letters(desk))).unwrap().concat(), long);
    let shares: Vec<u64> = relays.iter().map(|relay| relay.counters().cells_stored.count()).collect();
    assert!(shares.iter().all(|count| *count > 0), "both were posted to: {shares:?}");

    // One is gone, in the middle of the next letter; the visit stays open, so its parts go to the other.
    let second = visit.write(&letter(&long.to_uppercase()), To::Desk).unwrap();
    relays.remove(0).stop().await;
    began = clock.elapsed();
    loop {
        tokio::select! {
            news = visit.next(until()) => match news.expect("a receipt through the other") {
                News::Event(Event::Receipt(To::Desk, seq)) if seq == second => break,
                _ => {}
            },
            _ = duty.next(until()) => {}
        }
    }
    println!("receipted after {} ms with one", (clock.elapsed() - began).as_millis());

    // It comes back with what it held. The desk reads all of that again or for the first time, and keeps one copy of each letter.
    let back = start(&settings(dirs[0].path(), &root, 0, &listens[0]), &world).await.unwrap();
    let third = visit.write(&letter("a third"), To::Desk).unwrap();
    let mut is_receipted = false;
    let at_last = until();
    while !is_receipted || back.counters().lane_pages.count() < 2 {
        assert!(clock.elapsed() < at_last, "receipted: {is_receipted}; of the relay that is back too little was read");
        tokio::select! {
            news = visit.next(until()) => is_receipted |= matches!(news, Some(News::Event(Event::Receipt(To::Desk, seq))) if seq == third),
            _ = duty.next(until()) => {}
        }
    }
    let mut held = duty.act(|desk, _| Ok::<_, DeskError>(letters(desk))).unwrap();
    held.sort();
    assert_eq!(held, [long.to_uppercase(), long, "a third".to_owned()], "each once");
}

/// A device that was put out held a living token, and callers sealed to its key, until the next look at the notices.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_lead_signs_is_handed_in_at_once_and_at_a_relay_that_was_gone_when_it_is_back() {
    let seed = 97;
    println!("seed {seed}");
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let root = SecretKey::generate(&mut rng);
    let (dirs, home) = ([TempDir::new().unwrap(), TempDir::new().unwrap()], TempDir::new().unwrap());
    let world = World::system().unwrap();
    let (mut relays, mut addresses) = (Vec::new(), Vec::new());
    for (dir, number) in dirs.iter().zip(0..) {
        let relay = start(&settings(dir.path(), &root, number, "127.0.0.1:0"), &world).await.unwrap();
        let gates = vec![Gate::parse("gate77").unwrap()];
        addresses.push(RelayAddress { url: relay.bound().to_string(), gates, pin: relay.spki().copied(), number });
        relays.push(relay);
    }
    let first = addresses[0].url.replace("https://", "");
    let passphrase = Passphrase::new("a long night".into());
    let now = || SystemClock.wall().seconds();
    let office = Office::found(&home.path().join("desk"), &passphrase, &root, &plan(addresses), now(), &mut rng).unwrap().office;
    let chance = ChaCha20Rng::seed_from_u64(seed + 1);
    let mut duty = Duty::begin(office, &Dial::Direct, Term::Watch, Posting::Here, SystemClock, chance).unwrap();
    async fn handed_in(duty: &mut Duty<SystemClock>, relays: usize, what: &str) {
        let until = SystemClock.elapsed() + PATIENCE;
        while duty.handed_in() < relays {
            duty.next(until).await.expect(what);
        }
    }
    handed_in(&mut duty, 2, "the line is published").await;

    let (_, request) = Office::join(&home.path().join("worker"), &passphrase, &mut rng).unwrap();
    duty.act(|desk, rng| desk.admit(&request, (Role::Worker, Seat::new(1)), now(), rng)).unwrap();
    assert_eq!(duty.handed_in(), 0);
    handed_in(&mut duty, 2, "both hear of a new seat").await;
    let worker =
        duty.view(|desk| desk.line_view(now()).unwrap().devices.into_iter().find(|device| !device.mine)).unwrap().unwrap();
    duty.act(|desk, rng| desk.revoke(desk.find_device(&worker.device)?, now(), rng)).unwrap();
    assert_eq!(duty.handed_in(), 0);
    handed_in(&mut duty, 2, "both hear that it is out").await;

    relays.remove(0).stop().await;
    duty.act(|desk, rng| desk.void_bulletins(now(), rng)).unwrap();
    handed_in(&mut duty, 1, "the other hears of it").await;
    let _back = start(&settings(dirs[0].path(), &root, 0, &first), &world).await.unwrap();
    handed_in(&mut duty, 2, "and the one that was gone when it is back").await;
}

/// It printed one line, said that it was on watch, and polled that relay never again.
#[tokio::test(flavor = "multi_thread")]
async fn a_watch_whose_vault_was_in_trouble_when_it_began_goes_on_when_that_is_over() {
    let seed = 99;
    println!("seed {seed}");
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let root = SecretKey::generate(&mut rng);
    let (dir, home) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let relay = start(&settings(dir.path(), &root, 0, "127.0.0.1:0"), &World::system().unwrap()).await.unwrap();
    let gates = vec![Gate::parse("gate77").unwrap()];
    let address = RelayAddress { url: relay.bound().to_string(), gates, pin: relay.spki().copied(), number: 0 };
    let passphrase = Passphrase::new("a long night".into());
    let now = SystemClock.wall().seconds();
    let office =
        Office::found(&home.path().join("desk"), &passphrase, &root, &plan(vec![address]), now, &mut rng).unwrap().office;
    let mut duty = Duty::begin(office, &Dial::Direct, Term::Watch, Posting::Here, SystemClock, rng).unwrap();
    let (lock, away) = (home.path().join("desk/vault/lock"), home.path().join("desk/vault/lock.away"));
    std::fs::rename(&lock, &away).unwrap();
    let until = SystemClock.elapsed() + PATIENCE;
    while !matches!(duty.next(until).await.expect("it says so"), DutyNews::Vault(_)) {}
    std::fs::rename(&away, &lock).unwrap();
    let until = SystemClock.elapsed() + PATIENCE;
    let (mut published, mut read) = (false, false);
    while !(published && read) {
        match duty.next(until).await.expect("the line is published, and its lane read") {
            DutyNews::Published(..) => published = true,
            DutyNews::CaughtUp(_) => read = true,
            _ => {}
        }
    }
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_keeps_another_pace_is_named_and_heard_when_it_keeps_the_lines() {
    let seed = 100;
    println!("seed {seed}");
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let root = SecretKey::generate(&mut rng);
    let (dirs, home) = ([TempDir::new().unwrap(), TempDir::new().unwrap()], TempDir::new().unwrap());
    let world = World::system().unwrap();
    let beats = [300, 600];
    let (mut relays, mut addresses) = (Vec::new(), Vec::new());
    for (number, dir) in (0..).zip(&dirs) {
        let settings = settings_of_pace(dir.path(), &root, number, "127.0.0.1:0", beats[usize::from(number)]);
        let relay = start(&settings, &world).await.unwrap();
        let gates = vec![Gate::parse("gate77").unwrap()];
        addresses.push(RelayAddress { url: relay.bound().to_string(), gates, pin: relay.spki().copied(), number });
        relays.push(relay);
    }
    let listens: Vec<String> = addresses.iter().map(|address| address.url.replace("https://", "")).collect();
    let passphrase = Passphrase::new("a long night".into());
    let now = SystemClock.wall().seconds();
    let office = Office::found(&home.path().join("desk"), &passphrase, &root, &plan(addresses), now, &mut rng).unwrap().office;
    let mut duty = Duty::begin(office, &Dial::Direct, Term::Watch, Posting::Here, SystemClock, rng).unwrap();
    let until = SystemClock.elapsed() + PATIENCE;
    // The one that was heard first gave the line its pace.
    let other = loop {
        if let DutyNews::PacesDiffer(relay) = duty.next(until).await.expect("one of them is named") {
            break usize::from(relay);
        }
    };
    relays.remove(other).stop().await;
    let number = u8::try_from(other).unwrap();
    let settings = settings_of_pace(dirs[other].path(), &root, number, &listens[other], beats[1 - other]);
    let _back = start(&settings, &world).await.unwrap();
    let until = SystemClock.elapsed() + PATIENCE;
    while !matches!(duty.next(until).await.expect("it is read"), DutyNews::CaughtUp(relay) if relay == number) {}
}

/// A laptop whose clock is some hours off.
#[derive(Clone, Copy)]
struct Off {
    hours: i64,
}

impl Clock for Off {
    fn elapsed(&self) -> Duration {
        SystemClock.elapsed()
    }
    fn wall(&self) -> Millis {
        Millis(SystemClock.wall().0.checked_add_signed(self.hours * 3_600_000).unwrap())
    }
    async fn sleep_until(&self, at: Duration) {
        SystemClock.sleep_until(at).await;
    }
}

/// A relay of the line's, and where it is found.
async fn one_relay(dir: &TempDir, root: &SecretKey) -> (Relay, RelayAddress) {
    let relay = start(&settings(dir.path(), root, 0, "127.0.0.1:0"), &World::system().unwrap()).await.unwrap();
    let gates = vec![Gate::parse("gate77").unwrap()];
    let address = RelayAddress { url: relay.bound().to_string(), gates, pin: relay.spki().copied(), number: 0 };
    (relay, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_whose_clock_is_two_hours_off_receipts_and_answers() {
    for (hours, seed) in [(2, 95), (-2, 96)] {
        println!("seed {seed}");
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let root = SecretKey::generate(&mut rng);
        let (dir, home) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let (relay, address) = one_relay(&dir, &root).await;
        let passphrase = Passphrase::new("a long night".into());
        // Three hours ago: what was signed is in force by every clock of the team.
        let now = Seconds(SystemClock.wall().seconds().0 - 3 * 3600);
        let mut office =
            Office::found(&home.path().join("desk"), &passphrase, &root, &plan(vec![address]), now, &mut rng).unwrap().office;
        let card = office.look().unwrap().card().unwrap();
        let clock = Off { hours };
        let until = || clock.elapsed() + PATIENCE;
        let mut duty =
            Duty::begin(office, &Dial::Direct, Term::Watch, Posting::Here, clock, ChaCha20Rng::seed_from_u64(seed)).unwrap();
        while !matches!(duty.next(until()).await.expect("the relay takes the statements"), DutyNews::Published(..)) {}
        let setting = Setting { card, dial: Dial::Direct, pace: Pace::Lines };
        let mut visit = Session::open(setting, SystemClock, ChaCha20Rng::seed_from_u64(seed + 1)).await.unwrap();
        let words = Phrase::generate(&mut rng).stretch(&LineId::from_root(&root.public()));
        let caller = words.caller();
        visit.know(words);
        visit.begin();
        visit.write(&Letter { text: "hello".to_owned().into(), ..Letter::default() }, To::Desk).unwrap();
        let mut receipted = false;
        loop {
            tokio::select! {
                news = visit.next(until()) => match news.expect("something for her") {
                    News::Event(Event::Receipt(To::Desk, _)) => {
                        receipted = true;
                        let plan = AnswerPlan { text: "we are here".to_owned().into(), ..AnswerPlan::default() };
                        let now = clock.wall().seconds();
                        duty.act(|desk, rng| desk.answer(caller, &plan, now, rng)).unwrap();
                    }
                    News::Event(Event::Answer(answer)) => {
                        assert_eq!(answer.content.text.as_str(), "we are here");
                        break;
                    }
                    _ => {}
                },
                _ = duty.next(until()) => {}
            }
        }
        assert!(receipted, "{hours} hours off");
        relay.stop().await;
    }
}

/// What the runbook *The clock is wrong* says of desks: the difference is what counts, whichever of the two clocks is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_desk_goes_by_the_clock_of_a_relay_that_is_less_than_a_day_off_and_is_turned_away_by_another() {
    for (hours, seed, is_heard) in [(23, 101, true), (-23, 102, true), (25, 103, false), (-25, 104, false)] {
        println!("seed {seed}");
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let root = SecretKey::generate(&mut rng);
        let (dir, home) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let (relay, address) = one_relay(&dir, &root).await;
        let passphrase = Passphrase::new("a long night".into());
        // Two days ago, so that the device is certified by either clock.
        let founded = Seconds(SystemClock.wall().seconds().0 - 48 * 3600);
        let office =
            Office::found(&home.path().join("desk"), &passphrase, &root, &plan(vec![address]), founded, &mut rng).unwrap().office;
        let clock = Off { hours };
        let until = clock.elapsed() + PATIENCE;
        let mut duty = Duty::begin(office, &Dial::Direct, Term::Watch, Posting::Here, clock, rng).unwrap();
        let (mut posted, mut refused) = (false, false);
        while !posted && !refused {
            match duty.next(until).await.expect("one or the other") {
                DutyNews::Posted(_) => posted = true,
                DutyNews::Trouble(_, Failure::NotThisLine) => refused = true,
                _ => {}
            }
        }
        assert_eq!(posted, is_heard, "{hours} hours apart");
        relay.stop().await;
    }
}
