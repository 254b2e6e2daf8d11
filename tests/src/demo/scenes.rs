//! The exchange, scene by scene.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::thread;
use std::time::Duration;

use super::house::House;
use super::live::Live;
use super::record::Record;
use super::relay::{Held, Plan, held_in};
use super::telling::{Teller, Who, grouped};
use super::trouble::{Trouble, While};
use super::wire::{Seen, Watcher};
use crate::clock::Start;
use crate::leash::Leash;
use crate::program::Program;
use crate::say;

/// Quick enough to be watched, slow enough to be told apart. In production: 30 s, 10 s and 1,800 s.
const PACE: &str = "--beat-ms 1000 --up-beat-ms 500 --slow-s 2";
/// How long her page is open before the desk writes: eight posts, on the demo's line.
const ARRIVED: Duration = Duration::from_secs(4);
/// Longer than twelve up beats of [`PACE`]: then the desk no longer takes her for present (SPEC §9).
const GONE: Duration = Duration::from_secs(8);
/// Far longer than anything here should take.
const PATIENCE: Duration = Duration::from_secs(60);

const CHECK_IN: &str = "저는 잘 있어요. 아이도 밥을 잘 먹어요. 다음 주에 또 쓸게요.";
const CHECK_IN_MEANS: &str = "I am all right. The child eats well, too. I will write again next week.";
const ANSWER: &str = "글 잘 받았습니다. 두 분 다 잘 지내신다니 마음이 놓입니다. 서두르지 않으셔도 됩니다.";
const ANSWER_MEANS: &str = "Your words have arrived. We are glad that you are both well. There is no hurry.";
const SECOND: &str = "한 가지 더 말씀드립니다. 날이 추우니 따뜻하게 입고 지내세요. 저희는 늘 여기 있습니다.";
const SECOND_MEANS: &str = "One more thing. It is getting cold, keep warm. We are always here.";

/// Everything that is up while the story is told.
pub(crate) struct Stage<'a> {
    house: &'a House,
    leash: &'a Leash,
    tell: Teller,
    plan: Plan,
    relay: Live,
    desk: Live,
    network: Watcher,
}

impl<'a> Stage<'a> {
    /// A relay, a line on it, its desk, and a caller's words.
    pub(crate) fn set(house: &'a House, leash: &'a Leash) -> Result<Self, Trouble> {
        let tell = Teller(Start::now());
        tell.scene("A relay and a line");
        let plan = Plan::make(house, leash)?;
        tell.did(Who::Relay, "made its TLS key. Its hash, the pin, goes onto the card:");
        tell.more(&plan.pin);
        found_line(house, leash, &plan)?;
        let card = fs::read_to_string(house.path("line/card.txt")).during("reading the card")?;
        tell.did(Who::Line, "drew its root key (16 words, on paper, kept offline), the desk's vault, and its card:");
        tell.more(&format!("{}… ({} characters)", card.chars().take(48).collect::<String>(), card.trim().chars().count()));
        let relay = plan.start(house, leash)?;
        tell.did(
            Who::Relay,
            &format!("accepts connections on {}; cells lie in sled, sealed; their keys {}", plan.url, keys_lie(house)),
        );
        house.ask(&house.desk("line publish"), leash)?;
        tell.did(Who::Line, "signed its public statements (4,096 bytes each) and handed them to the relay");
        let desk = Live::start("the desk", &house.desk("desk watch"), house.path("desk.log"), leash)?;
        desk.hear("the desk to reach the relay", PATIENCE, |line| event(line, "connected"))?;
        tell.did(Who::Desk, "is on: from now on it posts one bundle of 6,176 bytes a desk beat, answer or not");
        let network = Watcher::take_place(tell.0).during("watching her network")?;
        Ok(Self { house, leash, tell, plan, relay, desk, network })
    }

    /// She writes, the desk answers twice, she reads both.
    pub(crate) fn exchange(&mut self) -> Result<(), Trouble> {
        self.she_draws_her_words()?;
        self.she_checks_in()?;
        let caller = self.the_desk_sees_her()?;
        self.she_reads_live(&caller)?;
        self.she_reads_from_the_carousel(&caller)?;
        self.what_each_knows()
    }

    fn she_draws_her_words(&self) -> Result<(), Trouble> {
        self.tell.scene("She draws eight words");
        let card = self.house.text("line/card.txt");
        let new = self.house.porchlight("caller new --language ko --json --card").word(card);
        self.house.ask(&new.word("--phrase-file").word(self.house.text("phrase")), self.leash)?;
        self.tell.did(Who::She, &format!("learns them by heart; shown here because this is a demo:  {}", self.words()?));
        self.tell.more("They are all she has. Her phone stores nothing, and there is no account.");
        Ok(())
    }

    fn words(&self) -> Result<String, Trouble> {
        fs::read_to_string(self.house.path("phrase")).map(|words| words.trim().to_owned()).during("reading her words")
    }

    fn she_checks_in(&self) -> Result<(), Trouble> {
        self.tell.scene("She checks in");
        self.tell.did(Who::She, &format!("“{CHECK_IN}”"));
        self.tell.more(&format!(
            "({CHECK_IN_MEANS})\n{} bytes, sealed to the desk's key of the day in one cell of 2,048",
            CHECK_IN.len()
        ));
        let program = self.on_her_network("caller checkin --status safe --wait 60s").word("--text").word(CHECK_IN);
        let mut visit = Live::start("her check-in", &program, self.house.path("checkin.log"), self.leash)?;
        visit.hear("the box to take it", PATIENCE, |line| event(line, "in_box"))?;
        self.tell.did(Who::She, "sees ✓: it lies in the relay's box. That is not yet “arrived”, and she is not told so");
        visit.hear("the desk's receipt", PATIENCE, |line| event(line, "receipt"))?;
        self.tell.did(Who::She, "sees ✓✓: the desk has it, and has said so under the same cover");
        visit.end()?;
        self.tell_the_wire(&self.network.notes());
        Ok(())
    }

    fn on_her_network(&self, line: &str) -> Program {
        self.house.caller(line).word("--socks5").word(self.network.address())
    }

    fn tell_the_wire(&self, seen: &[Seen]) {
        self.tell.did(Who::Network, &format!("saw a TLS connection to {} and these records:", self.plan.url));
        for (upward, name) in [(true, "up"), (false, "down")] {
            let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
            for record in seen.iter().filter(|record| record.upward == upward) {
                *sizes.entry(record.len).or_default() += 1;
            }
            let shown: Vec<String> =
                sizes.iter().rev().take(6).map(|(len, count)| format!("{count} × {}", grouped(*len))).collect();
            let rest = if sizes.len() > 6 { ", and shorter ones" } else { "" };
            self.tell.more(&format!("{name:>5}: {} bytes{rest}", shown.join(", ")));
        }
        if let (Some(first), Some(last)) = (seen.first(), seen.last()) {
            self.tell.more(&format!(
                "between {} and {}. The longest upward is a cell with its stamp and wrapping;",
                first.at, last.at
            ));
            self.tell.more("whether any of them was a letter, nobody on the way can tell, and the relay cannot either.");
        }
    }

    fn the_desk_sees_her(&self) -> Result<String, Trouble> {
        self.tell.scene("The desk sees it");
        let rows = self.house.ask(&self.house.desk("desk list"), self.leash)?;
        let caller = rows.iter().find_map(|row| row.get("id").map(str::to_owned));
        let caller = caller.ok_or_else(|| Trouble::Wrong("the desk lists nobody".into()))?;
        let nickname = rows.iter().find_map(|row| row.get("nickname")).unwrap_or("without a nickname").to_owned();
        let thread = self.house.ask(&self.house.desk("desk show").word(&caller), self.leash)?;
        expect("the desk reads what she wrote", thread.iter().any(|item| item.all("text").any(|text| text == CHECK_IN)))?;
        self.tell.did(Who::Desk, &format!("reads it. It knows her as {nickname} (“the same words as before”, never who she is)"));
        self.house.ask(&self.house.desk("desk claim").word(&caller), self.leash)?;
        self.tell.did(Who::Desk, "a worker takes her on for half an hour, so that two do not answer at once");
        Ok(caller)
    }

    fn she_reads_live(&self, caller: &str) -> Result<(), Trouble> {
        self.tell.scene("She is there while the desk answers");
        let program = self.on_her_network("caller read --wait 120s");
        let mut visit = Live::start("her visit", &program, self.house.path("read.log"), self.leash)?;
        visit.hear("her page to open", PATIENCE, |line| event(line, "opened"))?;
        self.tell.did(Who::She, "has the page open. It downloads what everyone downloads, and posts a dummy every half second");
        // An answer written before the desk has heard of her page would go onto the carousel as well.
        thread::sleep(ARRIVED);
        self.answer(caller, ANSWER, ANSWER_MEANS)?;
        visit.hear("the answer, live", PATIENCE, |line| says(line, ANSWER))?;
        self.tell.did(Who::She, "reads it. A seat of the line has signed it: nobody else could have, not even with her words");
        self.desk_knows_it_was_shown(caller)?;
        self.tell.did(Who::Desk, "her client named it in a cell like all others; so it will not be broadcast again");
        visit.end()?;
        self.tell.did(Who::She, "closes the page. Its keys are gone");
        self.network.notes();
        Ok(())
    }

    fn answer(&self, caller: &str, text: &str, means: &str) -> Result<(), Trouble> {
        self.tell.did(Who::Desk, &format!("“{text}”"));
        self.tell.more(&format!("({means})"));
        let program = self.house.desk("desk answer").word(caller).word("--text").word(text);
        self.house.ask(&program, self.leash)?;
        self.tell.did(Who::Relay, "has it in one of the line's slots, 1,024 bytes like every slot");
        Ok(())
    }

    fn desk_knows_it_was_shown(&self, caller: &str) -> Result<(), Trouble> {
        let start = Start::now();
        let show = self.house.desk("desk show").word(caller);
        while start.since().left_of(PATIENCE) > Duration::ZERO {
            let thread = self.house.ask(&show, self.leash)?;
            if thread.iter().any(|item| item.all("state").any(|state| state == "seen")) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(500));
        }
        Err(Trouble::Late { what: "her client to name the answer".into(), limit: PATIENCE, said: self.desk.complaints() })
    }

    fn she_reads_from_the_carousel(&self, caller: &str) -> Result<(), Trouble> {
        self.tell.scene("A second answer, after she has left");
        thread::sleep(GONE);
        self.tell
            .did(Who::Desk, &format!("has heard nothing of her for {} s, so this one goes onto the carousel:", GONE.as_secs()));
        self.answer(caller, SECOND, SECOND_MEANS)?;
        self.tell.did(Who::She, "comes back on another machine, with the card and her words, nothing else");
        let program = self.on_her_network("caller read --wait 60s");
        let mut visit = Live::start("her second visit", &program, self.house.path("again.log"), self.leash)?;
        let mut first_came_back = false;
        visit.hear("the answer from the carousel", PATIENCE, |line| {
            first_came_back |= says(line, ANSWER).is_some();
            says(line, SECOND)
        })?;
        visit.end()?;
        expect("an answer confirmed live is never broadcast for her words", !first_came_back)?;
        self.tell.did(Who::She, "found it among the broadcast cells of the last days, by her words alone");
        self.tell_the_wire(&self.network.notes());
        Ok(())
    }

    fn what_each_knows(&self) -> Result<(), Trouble> {
        self.tell.scene("What each of them knows now");
        self.tell.did(Who::She, "her eight words. Her device: nothing");
        self.tell.did(Who::Desk, "what she wrote and what it answered, in a vault on its disk, opened by a passphrase");
        self.tell.did(Who::Network, "that her address met the relay's address, when, and how many bytes passed");
        self.the_relay_knows()?;
        self.tell.did(
            Who::She,
            "or whoever has her words: can still read the second answer, for 14 days; not the first, and not her letter",
        );
        Ok(())
    }

    fn the_relay_knows(&self) -> Result<(), Trouble> {
        self.tell
            .did(Who::Relay, "how many cells came, and when; which connection brought them, until it closed. It has counted:");
        self.tell.more(&self.plan.counters()?);
        self.tell.did(Who::Relay, "and on its disk it has:");
        let held = held_in(&self.house.path("relay"))?;
        for file in &held {
            self.tell.more(&format!("{:>10}  {}", grouped(file.bytes.len()), file.name));
        }
        self.tell.more(&format!("and {}", keys_of(&held_in(self.house.keyring())?, self.house)));
        self.nothing_leaked(held)
    }

    /// Searches what the relay holds and logs for what must not be there; first, that the search finds what is there.
    fn nothing_leaked(&self, mut held: Vec<Held>) -> Result<(), Trouble> {
        held.push(Held {
            name: "its log".into(),
            bytes: fs::read(self.house.path("relay.log")).during("reading the relay's log")?,
        });
        let words = self.words()?;
        let secrets = [CHECK_IN, ANSWER, SECOND, words.as_str()];
        let control = fs::read(self.house.path("phrase")).during("reading her words")?;
        expect("the search finds her words where they are", holds(&control, &words))?;
        for file in &held {
            let clean = !secrets.iter().any(|secret| holds(&file.bytes, secret));
            expect(&format!("{} holds none of the texts and words", file.name), clean)?;
        }
        let bytes: usize = held.iter().map(|file| file.bytes.len()).sum();
        self.tell
            .more(&format!("Searched these {} bytes and its log for the three texts and her words: not there.", grouped(bytes)));
        Ok(())
    }

    /// Stays up until Ctrl-C.
    ///
    /// # Errors
    ///
    /// When the relay ends before that.
    pub(crate) fn stay(&mut self) -> Result<(), Trouble> {
        self.tell.scene("To be tried by hand, while this stays up (Ctrl-C ends it and removes everything)");
        say::line(&by_hand(self.house));
        self.page()?;
        let mut boards = self.boards()?;
        let ended = self.relay.end();
        boards.iter_mut().try_for_each(|board| board.stop(self.leash))?;
        ended
    }

    /// Two boards beside the page: the first device's, which leaves the sending to the watch, and a second worker's.
    fn boards(&self) -> Result<[Live; 2], Trouble> {
        self.tell.scene("Two workers' boards");
        self.second_worker()?;
        let first = self.board("the first board", self.house.desk("desk open"), "board.log")?;
        let second = self.board("the second board", self.house.desk_of("desk open", "second"), "board-2.log")?;
        say::line(AT_THE_BOARDS);
        Ok([first, second])
    }

    fn board(&self, name: &'static str, program: Program, log: &str) -> Result<Live, Trouble> {
        let board = Live::start(name, &program, self.house.path(log), self.leash)?;
        let link = board.hear("the board's link", PATIENCE, |line| Record::read(line).get("link").map(str::to_owned))?;
        say::line(&format!("    {name}: {link}"));
        Ok(board)
    }

    /// A second device joins, with the words that two people would compare by voice.
    fn second_worker(&self) -> Result<(), Trouble> {
        let asked = self.house.ask(&self.house.desk_of("desk join", "second"), self.leash)?;
        let request = asked.iter().find_map(|told| told.get("request")).unwrap_or_default().to_owned();
        let admit = self.house.desk("desk admit").word(request).word("--words").word(words_of(&asked));
        let admission = self.house.text("second.admission");
        let admitted = self.house.ask(&admit.word("--out").word(admission.clone()), self.leash)?;
        let join = self.house.desk_of("desk join", "second").word("--admission").word(admission);
        self.house.ask(&join.word("--words").word(words_of(&admitted)), self.leash).map(drop)
    }

    /// Where the caller's page is, and how to try it.
    fn page(&self) -> Result<(), Trouble> {
        let doors = fs::read_to_string(self.house.path("line/doors")).during("reading the line's doors")?;
        self.tell.scene("The caller's page");
        say::line(&at_the_page(doors.lines().next().unwrap_or_default()));
        let passphrase = self.house.text("passphrase");
        let show = self
            .house
            .porchlight("line show --qr --dir")
            .word(self.house.text("line"))
            .word("--passphrase-file")
            .word(passphrase);
        let shown = self.house.said_by(&show, self.leash)?;
        shown.lines().skip_while(|line| !line.starts_with("page at")).skip(1).for_each(say::line);
        Ok(())
    }

    /// Ends everything that is still up.
    pub(crate) fn strike(&mut self) -> Result<(), Trouble> {
        self.desk.stop(self.leash)?;
        self.relay.stop(self.leash)
    }
}

fn words_of(told: &[Record]) -> String {
    let words: Vec<&str> = told.iter().flat_map(|record| record.all("check_words")).collect();
    words.join(" ")
}

const AT_THE_BOARDS: &str = "
    Each link works once, for ten minutes, in a browser on this machine. Open them in two windows beside the caller's page:
    both show the same callers; what one worker claims, writes or hands over the other sees. docs/DESK.md teaches it.";

fn keys_lie(house: &House) -> &'static str {
    if house.keys_in_memory() { "lie in memory" } else { "lie on disk, for want of a file system in memory" }
}

fn found_line(house: &House, leash: &Leash, plan: &Plan) -> Result<(), Trouble> {
    let mut chance = [0; 16];
    fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut chance)).during("drawing a passphrase")?;
    let passphrase: String = chance.iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(house.path("passphrase"), passphrase).during("writing the passphrase")?;
    let init = house.desk("line init").word("--relay").word(&plan.url).word("--relay-pin").word(&plan.pin);
    house.ask(&PACE.split_whitespace().fold(init, Program::word), leash).map(drop)
}

fn event(line: &str, name: &str) -> Option<()> {
    (Record::read(line).get("event") == Some(name)).then_some(())
}

fn says(line: &str, text: &str) -> Option<()> {
    Record::read(line).all("text").any(|said| said == text).then_some(())
}

fn expect(what: &str, holds: bool) -> Result<(), Trouble> {
    if holds { Ok(()) } else { Err(Trouble::Wrong(format!("not so: {what}"))) }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

fn keys_of(keyring: &[Held], house: &House) -> String {
    let bytes: usize = keyring.iter().map(|file| file.bytes.len()).sum();
    format!("{} bytes of keys, which {}", grouped(bytes), keys_lie(house))
}

/// Commands that work as they stand, in another terminal.
fn at_the_page(link: &str) -> String {
    format!(
        "
    {link}

    Open it in a browser on this machine, in a window as narrow as a telephone. The browser warns of a certificate that
    this relay made for itself: here it may be believed, and never in life. Choose a language, say how you are, wait for
    two ticks, learn the eight words, close the page; answer with the commands above (the desk is running: `desk list`
    shows who wrote); open the page again, tap *I have been here* and the words, and read.
    A telephone cannot follow this link, which names this machine only to itself; on a real relay it can. The same link
    as a picture, as `line show --qr` draws it:
"
    )
}

fn by_hand(house: &House) -> String {
    format!(
        "
    P={program} D={folder}
    DESK=\"--dir $D/line --passphrase-file $D/passphrase\"
    SHE=\"--card $D/line/card.txt --phrase-file $D/phrase\"

    $P caller checkin $SHE --status talk --text 'Hello?' --wait 1m
    $P desk list $DESK
    $P desk show ID $DESK                             (ID: as listed, or the nickname)
    $P desk answer ID --text 'We are here.' $DESK
    $P caller read $SHE --wait 1m
    $P caller words $SHE
    $P caller new --card $D/line/card.txt             (somebody else's eight words)
    $P line show $DESK
    ls -lR $D/relay                                   (all that the relay has on its disk)
",
        program = house.program("porchlight"),
        folder = house.text(".").trim_end_matches("/."),
    )
}
