//! Power cuts between people: a page that stays open and a desk on duty, while the relay's machine stops again and again.
//!
//! The relay is killed at a moment that nobody chose, its disk keeps what was synced and of the rest what chance leaves, and at every other cut
//! the keyring is gone, as whatever lay in memory: then all the cells it held are lost, by design. Nothing is lost between people.

use std::fs::{self, File};
use std::future::Future;
use std::path::Path;

use fuser::BackgroundSession;
use porchlight_client::caller::{News, Pace, Session, Setting};
use porchlight_client::desk::{AnswerPlan, Desk, DeskError, Item, Office};
use porchlight_client::duty::{Duty, Posting, Term};
use porchlight_client::outbox::{Clock, SystemClock};
use porchlight_client::transport::Dial;
use porchlight_client::vault::Passphrase;
use porchlight_proto::letter::Letter;
use porchlight_proto::line::{CallerId, LineId};
use porchlight_proto::phrase::Phrase;
use porchlight_proto::visit::{Event, To};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::disk::Disk;
use crate::site::{PATIENCE, Plan, Running, Site};
use crate::texts;

/// Cuts, unless `PORCHLIGHT_CUTS` says otherwise.
const CUTS: usize = 3;
/// Letters begun between two cuts: one of a few words, and one of several parts.
const LETTERS: usize = 2;
/// At most so many posts from the letters' writing to the cut: some go with them under way, some after they were read.
const POSTS: u32 = 16;

/// A machine with a relay that can lose its power.
struct Machine {
    site: Site,
    disk: Disk,
    mounted: Option<BackgroundSession>,
    relay: Option<Running>,
}

impl Machine {
    fn new() -> Self {
        let site = Site::new(Plan::default());
        let (disk, data) = (Disk::new(), site.machine.path("data"));
        // The relay's TLS key was made before there was this disk.
        let before = site.machine.path("before");
        fs::rename(&data, &before).unwrap();
        fs::create_dir(&data).unwrap();
        let mounted = disk.mount(&data);
        fs::create_dir(data.join("tls")).unwrap();
        for entry in fs::read_dir(before.join("tls")).unwrap() {
            let file = entry.unwrap().path();
            let copy = data.join("tls").join(file.file_name().unwrap());
            fs::copy(&file, &copy).unwrap();
            File::open(&copy).unwrap().sync_all().unwrap();
        }
        for dir in [data.join("tls"), data] {
            File::open(dir).unwrap().sync_all().unwrap();
        }
        let relay = Some(site.relay());
        site.desk(&["line", "publish"]).ends(0);
        Self { site, disk, mounted: Some(mounted), relay }
    }

    /// The power goes and comes back.
    fn cut(mut self, keys_are_lost: bool, rng: &mut ChaCha20Rng) -> Self {
        self.disk.pull_the_plug();
        let mut relay = self.relay.take().unwrap();
        relay.signal("KILL");
        relay.ended();
        drop(self.mounted.take());
        self.disk.power_up(rng);
        if keys_are_lost {
            empty(self.site.keys.path());
        }
        self.mounted = Some(self.disk.mount(&self.site.machine.path("data")));
        self.relay = Some(self.site.relay());
        self
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Before the directory under it goes.
        drop(self.relay.take());
        drop(self.mounted.take());
    }
}

fn empty(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
}

/// What she was told.
#[derive(Default)]
struct Told {
    posts: usize,
    in_box: Vec<u16>,
    receipted: Vec<u16>,
    answers: Vec<String>,
}

/// Her open page, and the desk.
struct Between {
    visit: Session<SystemClock, ChaCha20Rng>,
    duty: Duty<SystemClock>,
    caller: CallerId,
    told: Told,
}

impl Between {
    /// Both go on until something is done, or there is enough. Fails if she is told nothing new of letters and answers for too long.
    async fn go_on<T>(&mut self, until: impl Future<Output = T>, is_enough: impl Fn(&Told) -> bool, what: &str) -> Option<T> {
        let mut until = std::pin::pin!(until);
        let mut patience = SystemClock.elapsed() + PATIENCE;
        while !is_enough(&self.told) {
            tokio::select! {
                done = &mut until => return Some(done),
                news = self.visit.next(patience) => {
                    let news = news.unwrap_or_else(|| panic!("{what}: nothing more came of it; receipted {:?}", self.told.receipted));
                    if let News::Event(Event::Answer(answer)) = &news {
                        self.visit.displayed(answer);
                    }
                    if self.told.take(news) {
                        patience = SystemClock.elapsed() + PATIENCE;
                    }
                }
                _ = self.duty.next(patience) => {}
            }
            assert!(SystemClock.elapsed() < patience, "{what}: it took too long; receipted {:?}", self.told.receipted);
        }
        None
    }

    fn write(&mut self, text: &str) -> u16 {
        self.visit.write(&Letter { text: text.to_owned().into(), ..Letter::default() }, To::Desk).unwrap()
    }

    /// A worker looks at her letters: of what none has been shown a desk holds 128, and receipts no more.
    fn look(&mut self) {
        let (caller, now) = (self.caller, SystemClock.wall().seconds());
        self.duty.act(|desk, rng| desk.mark_shown(caller, now, rng)).unwrap();
    }

    fn answer(&mut self, text: &str) {
        let plan = AnswerPlan { text: text.to_owned().into(), ..AnswerPlan::default() };
        let (caller, now) = (self.caller, SystemClock.wall().seconds());
        self.duty.act(|desk, rng| desk.answer(caller, &plan, now, rng)).unwrap();
    }
}

impl Told {
    /// Whether she learns of a letter or an answer.
    fn take(&mut self, news: News) -> bool {
        let is_post = matches!(news, News::Posted);
        match news {
            News::Posted => self.posts += 1,
            News::Event(Event::InBox(To::Desk, seq)) => self.in_box.push(seq),
            News::Event(Event::Receipt(To::Desk, seq)) => self.receipted.push(seq),
            News::Event(Event::Answer(answer)) => self.answers.push(answer.content.text.to_string()),
            _ => return false,
        }
        !is_post
    }
}

/// Her letters on the board.
fn letters(desk: &Desk, caller: CallerId) -> Vec<String> {
    let shown = desk.show(caller, SystemClock.wall().seconds()).unwrap();
    let letter = |item| match item {
        Item::Letter { text, .. } => Some(text),
        _ => None,
    };
    shown.items.into_iter().filter_map(letter).collect()
}

async fn between(site: &Site, rng: &mut ChaCha20Rng) -> Between {
    let mut chance = || ChaCha20Rng::seed_from_u64(rng.next_u64());
    let mut office = Office::open(&site.machine.path("desk"), &Passphrase::new("open sesame".into())).unwrap();
    let card = office.look().unwrap().card().unwrap();
    let duty = Duty::begin(office, &Dial::Direct, Term::Watch, Posting::Here, SystemClock, chance()).unwrap();
    let words = Phrase::generate(&mut chance()).stretch(&LineId::from_root(&card.root));
    let caller = words.caller();
    let setting = Setting { card, dial: Dial::Direct, pace: Pace::Lines };
    let mut visit = Session::open(setting, SystemClock, chance()).await.unwrap();
    visit.know(words);
    visit.begin();
    Between { visit, duty, caller, told: Told::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stays_loses_nothing_by_a_power_cut() {
    assert!(rustix::process::geteuid().is_root(), "this test mounts a file system: run it as root");
    let mut rng = texts::rng("power");
    let cuts = std::env::var("PORCHLIGHT_CUTS").map_or(CUTS, |cuts| cuts.parse().unwrap());
    let mut machine = tokio::task::block_in_place(Machine::new);
    let mut people = between(&machine.site, &mut rng).await;
    let (mut written, mut answered) = (vec!["first".to_owned()], Vec::new());
    people.write("first");
    let never = std::future::pending::<()>;
    people.go_on(never(), |told| told.receipted.contains(&1), "the desk gets to know her").await;
    let (mut under_way, mut unread, mut lost) = (0, 0, 0);
    for cut in 1..=cuts {
        for nth in 0..LETTERS {
            let text = format!("{cut}.{nth} {}", "여기 있어요. ".repeat([2, 60][nth % 2]));
            people.write(&text);
            written.push(text);
        }
        let answer = format!("answer {cut} {}", "들었습니다. ".repeat(40));
        people.answer(&answer);
        answered.push(answer);
        people.look();
        let posts = people.told.posts + usize::try_from(1 + rng.next_u32() % POSTS).unwrap();
        people.go_on(never(), |told| told.posts >= posts, "the time until the cut").await;
        let keys_are_lost = cut % 2 == 1;
        let told = &people.told;
        under_way += written.len() - told.receipted.len();
        unread += answered.len() - told.answers.len();
        // Stored, as she was told, and not with the desk yet: with the keys they are gone, and she has to send them again.
        lost += if keys_are_lost { told.in_box.iter().filter(|seq| !told.receipted.contains(seq)).count() } else { 0 };
        let mut chance = ChaCha20Rng::seed_from_u64(rng.next_u64());
        let back = tokio::task::spawn_blocking(move || machine.cut(keys_are_lost, &mut chance));
        machine = people.go_on(back, |_| false, "the relay comes back").await.unwrap().unwrap();
    }
    let began = SystemClock.elapsed();
    let (all, every) = (written.len(), answered.len());
    let is_all = |told: &Told| told.receipted.len() >= all && told.answers.len() >= every;
    while !is_all(&people.told) {
        let some = people.told.receipted.len() + 32;
        people.go_on(never(), |told| told.receipted.len() >= some || is_all(told), "after the last cut").await;
        people.look();
    }
    println!(
        "{cuts} cuts, {} with the keys: {under_way} letters were without receipt and {unread} answers unread when the power went, {lost} \
         letters were stored at the relay alone; {all} letters and {every} answers, all there {} ms after the last (pass: each once)",
        cuts.div_ceil(2),
        (SystemClock.elapsed() - began).as_millis()
    );
    // In a few cuts chance may have it that all answers had been read.
    assert!(under_way > 0 && (unread > 0 || cuts < 20), "VOID: nothing was under way");
    // A few beats more: nothing may come twice.
    let posts = people.told.posts + 15;
    people.go_on(never(), |told| told.posts >= posts, "a while").await;
    let Told { mut receipted, mut answers, .. } = std::mem::take(&mut people.told);
    receipted.sort_unstable();
    assert!(receipted.iter().copied().eq(1..=u16::try_from(all).unwrap()), "each receipted once: {receipted:?}");
    let caller = people.caller;
    let mut held = people.duty.act(|desk, _| Ok::<_, DeskError>(letters(desk, caller))).unwrap();
    for list in [&mut held, &mut written, &mut answers, &mut answered] {
        list.sort();
    }
    assert_eq!(held, written, "each letter on the board once");
    assert_eq!(answers, answered, "each answer read once");
    drop(people);
    tokio::task::block_in_place(|| drop(machine));
}
