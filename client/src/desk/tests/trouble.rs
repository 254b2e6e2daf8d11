//! Histories of everything that goes wrong at once, over real stores: devices away for days, a relay that forgets, withholds,
//! reorders, repeats and rolls back, processes killed in the middle of a transaction, clocks that are wrong, a backup restored,
//! a device revoked. Afterwards all that are left come to one board, and nothing that was receipted is missing.
use super::{
    converge::{board_in_any_order, deed},
    *,
};
use porchlight_proto::line::DeviceId;
use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

/// How long the relay holds a cell.
const UP_TTL_MS: u64 = 259_200_000;
const HOUR: u64 = 3_600_000;
const DEVICES: usize = 3;
/// The device that is revoked, and the one whose backup is restored.
const LEAVER: usize = 2;
const RESTORED: usize = 1;

/// One device as the history treats it.
#[derive(Default)]
struct Fate {
    /// Nothing reaches it until then.
    away_until: u64,
    /// By how much its worker's clock is wrong.
    skew_ms: i64,
    revoked: bool,
    /// What the relay hides from it: everything after a position, until then; and single cells, until its next life.
    horizon: Option<(u64, u64)>,
    hidden: BTreeSet<u64>,
    /// The floor it last reported, and when.
    floor: Option<(u64, u64, u64)>,
    searched: bool,
}

struct Trouble {
    world: World,
    fates: Vec<Fate>,
    hers: Vec<Her>,
    /// Of each caller, the how manieth visit is open; and by caller, visit and number, every letter.
    visits: Vec<u32>,
    written: BTreeMap<(usize, u32, u16), String>,
    /// When each cell of the lane came.
    came: Vec<u64>,
    /// Letters that a caller was told the desk has.
    receipted: BTreeSet<String>,
    /// Letters that only a device held which is gone, of which the relay holds nothing either.
    lost_with: BTreeSet<String>,
    /// By caller: the answers that her open visit has shown.
    shown: BTreeSet<(usize, [u8; 8])>,
    /// What devices hold of each other's events.
    chains: BTreeMap<(DeviceId, u64), [u8; 32]>,
    old_notices: Vec<Notice>,
    backup: Option<Vec<(PathBuf, Vec<u8>)>>,
    /// Whether the relay lets a revoked device in.
    colludes: bool,
    /// Nothing goes wrong any more.
    calm: bool,
    counted: BTreeMap<&'static str, u64>,
}

impl Trouble {
    fn new(seed: u64) -> Self {
        let mut world = World::of_seed(seed);
        world.join(Role::Worker, 1);
        world.join(Role::Worker, 2);
        let hers = (0..3).map(|_| Her::new(&mut world)).collect();
        let colludes = one_in(&mut world.rng, 2);
        Self {
            world,
            fates: (0..DEVICES).map(|_| Fate::default()).collect(),
            hers,
            visits: vec![0; 3],
            written: BTreeMap::new(),
            came: vec![],
            receipted: BTreeSet::new(),
            lost_with: BTreeSet::new(),
            shown: BTreeSet::new(),
            chains: BTreeMap::new(),
            old_notices: vec![],
            backup: None,
            colludes,
            calm: false,
            counted: BTreeMap::new(),
        }
    }
    fn below(&mut self, count: usize) -> usize {
        self.world.rng.next_u32() as usize % count
    }
    fn one_in(&mut self, count: u32) -> bool {
        one_in(&mut self.world.rng, count)
    }
    fn count(&mut self, what: &'static str) {
        *self.counted.entry(what).or_default() += 1;
    }
    fn id(&mut self, desk: usize) -> DeviceId {
        self.world.offices[desk].look().unwrap().line().unwrap().device
    }
    fn living(&self) -> Vec<usize> {
        (0..self.world.offices.len()).filter(|desk| !self.fates[*desk].revoked).collect()
    }
    fn is_here(&self, desk: usize) -> bool {
        self.fates[desk].away_until <= self.world.now.0 && (!self.fates[desk].revoked || self.colludes)
    }
    /// Runs something by a worker's own clock.
    fn by_own_clock<T>(&mut self, desk: usize, deed: impl FnOnce(&mut World) -> T) -> T {
        let now = self.world.now;
        self.world.now = Millis(now.0.checked_add_signed(self.fates[desk].skew_ms).unwrap());
        let done = deed(&mut self.world);
        self.world.now = now;
        done
    }

    // ── the relay ───────────────────────────────────────────────────────────────────────────────

    /// What came since gets its time; what is older than the relay keeps, or below everybody's floor, is forgotten. What it hides from one
    /// device it shows within a day: of a letter that it never shows, nobody tells that device.
    fn relay_keeps_time(&mut self) {
        let now = self.world.now.0;
        self.came.resize(self.world.relay.lane.len(), now);
        let came = |position: u64| self.came.get(usize::try_from(position - 1).unwrap()).copied().unwrap_or(now);
        if self.fates.iter().any(|fate| fate.hidden.iter().any(|position| came(*position) + 12 * HOUR <= now)) {
            self.another_life();
        }
        let dead = self.came.iter().take_while(|came| **came + UP_TTL_MS <= now).count() as u64;
        self.world.relay.forgotten = self.world.relay.forgotten.max(dead);
    }
    /// Whole epochs below the lowest floor of a day are forgotten: here as many cells as it says.
    fn relay_forgets_below_the_floor(&mut self) {
        let (now, life) = (self.world.now.0, self.world.relay.life);
        let reported = self.fates.iter().filter_map(|fate| fate.floor).filter(|(at, ..)| at + 24 * HOUR > now);
        let lowest = reported.map(|(_, of, n)| if of == life { n } else { 0 }).min().unwrap_or(0);
        if lowest > self.world.relay.forgotten {
            self.world.relay.forgotten = lowest;
            self.count("forgotten below the floor");
        }
    }
    fn page(&mut self, desk: usize) -> LanePage {
        let after = self.world.offices[desk].look().unwrap().after(R);
        let mut page = self.world.relay.page(after);
        let now = self.world.now.0;
        let fate = &self.fates[desk];
        if let Some((until, horizon)) = fate.horizon
            && until > now
        {
            page.cells.truncate(usize::try_from((horizon + 1).saturating_sub(page.first)).unwrap());
        }
        let hidden = |at: usize| fate.hidden.contains(&(page.first + at as u64));
        let junk: Vec<usize> = (0..page.cells.len()).filter(|at| hidden(*at)).collect();
        for at in junk {
            self.world.rng.fill_bytes(page.cells[at].as_mut_slice());
        }
        if !self.calm && page.cells.len() > 1 && self.one_in(4) {
            for at in (1..page.cells.len()).rev() {
                let other = self.below(at + 1);
                page.cells.swap(at, other);
            }
        }
        page
    }
    fn relay_lies(&mut self) {
        let (desk, lane) = (self.below(self.world.offices.len()), self.world.relay.lane.len() as u64);
        match self.below(7) {
            0 => {
                let until = self.world.now.0 + self.world.rng.next_u64() % (6 * HOUR);
                self.fates[desk].horizon = Some((until, lane));
                self.count("withheld");
            }
            1 if lane > 0 => {
                for _ in 0..8 {
                    let at = 1 + self.world.rng.next_u64() % (lane + 8);
                    self.fates[desk].hidden.insert(at);
                }
                self.count("shown two things");
            }
            2 => self.another_life(),
            3 if lane > 0 => {
                let at = usize::try_from(self.world.rng.next_u64() % lane).unwrap();
                let again = self.world.relay.lane[at].clone();
                self.world.relay.lane.push(again);
                self.count("repeated");
            }
            4 => self.roll_back(desk),
            5 => self.relay_forgets_below_the_floor(),
            _ => {
                let notice = self.world.relay.notice(self.world.now);
                self.old_notices.push(notice);
            }
        }
    }
    /// What was hidden comes to light only when a lane is read again: with another life.
    fn another_life(&mut self) {
        self.world.relay.life = self.world.rng.next_u64();
        self.fates.iter_mut().for_each(|fate| fate.hidden.clear());
        self.count("another life");
    }
    fn roll_back(&mut self, desk: usize) {
        let Some(old) = self.old_notices.first().cloned() else { return };
        let now = self.world.now.seconds();
        self.world.act(desk, |desk, _| desk.hear_notice(R, &old, now)).unwrap();
        let newest = self.hers[0].visit.roster().map_or(0, |roster| roster.serial());
        let serial = UncheckedRoster::parse(old.roster.as_ref().unwrap().as_slice()).unwrap();
        let serial = serial.check_signed(&self.world.relay.root).unwrap().serial();
        let now = self.world.now;
        let heard = self.hers[0].visit.notice(old.to_bytes().as_slice(), Some(R), now, Clock::Own);
        assert!(heard.is_err() || serial >= newest, "a visit took an older statement than it had seen");
        self.count("rolled back");
    }

    // ── devices ─────────────────────────────────────────────────────────────────────────────────

    /// Runs a transaction whose process may be killed in the middle: its last record is cut anywhere, and nothing it gave is sent.
    fn perhaps_killed<T>(&mut self, desk: usize, act: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.calm || !self.one_in(12) {
            return Some(act(self));
        }
        let path = self.world.dirs[desk].path().join("vault/journal");
        let before = fs::metadata(&path).unwrap();
        act(self);
        let after = fs::metadata(&path).unwrap();
        if after.ino() == before.ino() && after.len() > before.len() {
            let cut = before.len() + self.world.rng.next_u64() % (after.len() - before.len() + 1);
            fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(cut).unwrap();
        }
        self.reopen(desk);
        self.count("killed");
        None
    }
    fn reopen(&mut self, desk: usize) {
        self.world.offices[desk] = Office::open(self.world.dirs[desk].path(), &words()).unwrap();
        self.fates[desk].searched = false;
    }
    /// What the driver does at a page, and at the end of the lane.
    fn sync(&mut self, desk: usize) {
        // A new day: the driver asks for the notice.
        let now = self.world.now.seconds();
        if !self.fates[desk].revoked && self.world.offices[desk].look().unwrap().roster(now).is_err() {
            self.world.publish(desk);
        }
        for _ in 0..40 {
            let page = self.page(desk);
            let now = self.world.now;
            let taken = self
                .perhaps_killed(desk, |trouble| trouble.world.act(desk, |desk, rng| desk.take_page(R, &page, now, rng)).unwrap());
            if taken.is_none_or(|taken| !taken.more) {
                break;
            }
        }
        self.search(desk);
        self.attend(desk);
    }
    fn search(&mut self, desk: usize) {
        if self.fates[desk].searched || !self.world.offices[desk].look().unwrap().doubtful() {
            return;
        }
        let now = self.world.now;
        let days = self.world.offices[desk].look().unwrap().days_to_search(now);
        let days: Vec<(u32, Vec<u8>)> = days.into_iter().map(|day| (day, self.world.relay.down_slow(day, now))).collect();
        let search = |desk: &mut Desk, _: &mut ChaCha20Rng| {
            days.iter().for_each(|(day, bytes)| desk.note_own_tags(R, *day, bytes));
            desk.searched(R, now.seconds());
            Ok(())
        };
        self.world.act(desk, search).unwrap();
        self.fates[desk].searched = true;
    }
    fn attend(&mut self, desk: usize) {
        let now = self.world.now;
        match self.world.act(desk, |desk, rng| desk.ask_if_missed(now.seconds(), rng)) {
            Ok(true) => self.count("asked"),
            Ok(false) => {}
            Err(error) => panic!("{error:?}"),
        }
        if let Some(asker) = self.world.offices[desk].look().unwrap().board_asked_for(R, now) {
            let left = self.world.act(desk, |desk, rng| desk.board_to_leave(asker, R, now.seconds(), rng)).unwrap();
            for (name, blob) in left.blobs() {
                assert!(self.world.blobs.insert(name, blob.to_vec()).is_none(), "a name was used twice");
            }
            self.world.act(desk, |desk, rng| desk.board_left(left.board(), now.seconds(), rng)).unwrap();
            self.count("left a board");
        }
        let Some(left) = self.world.offices[desk].look().unwrap().board_for_me() else { return };
        let blobs: Option<Vec<Vec<u8>>> = left.names().map(|name| self.world.blobs.get(&name).cloned()).collect();
        let Some(blobs) = blobs else { return };
        let taken = self.perhaps_killed(desk, |trouble| {
            let take = |desk: &mut Desk, rng: &mut ChaCha20Rng| desk.take_left_board(&left, &blobs.concat(), now.seconds(), rng);
            trouble.world.act(desk, take).unwrap()
        });
        if taken == Some(BoardTaken::Yes) {
            self.count("took a board");
        }
    }
    /// One desk beat, perhaps lost on the way there, or on the way back, or with its process.
    fn bundle(&mut self, desk: usize) {
        let now = self.world.now;
        let made = self.perhaps_killed(desk, |trouble| trouble.world.act(desk, |desk, rng| desk.bundle(R, now, rng)));
        let bundle = match made {
            None => return,
            // A revoked device has no statement of a later day.
            Some(Err(DeskError::NoRoster)) if self.fates[desk].revoked => return,
            Some(made) => made.unwrap(),
        };
        for cell in [&bundle.beat.fast_cell, &bundle.beat.slow_cell] {
            assert!(self.world.down_tags.insert(*cell.first_chunk().unwrap()), "a tag was emitted twice");
        }
        let floor = bundle.beat.floor;
        let reply = if !self.calm && self.one_in(8) { None } else { Some(self.world.relay.beat(bundle.beat, now)) };
        if reply.is_some() {
            self.fates[desk].floor = Some((now.0, floor.life, floor.n));
        }
        self.relay_keeps_time();
        let reply = reply.filter(|_| self.calm || !self.one_in(12));
        self.perhaps_killed(desk, |trouble| {
            let note = |desk: &mut Desk, _: &mut ChaCha20Rng| {
                desk.bundle_result(bundle.ticket, reply.as_ref().map_or(Posted::Failed, Posted::Answered), now);
                Ok(())
            };
            trouble.world.act(desk, note).unwrap();
        });
    }
    fn publish(&mut self) {
        if self.is_here(0) {
            self.world.publish(0);
        }
        for desk in 1..self.world.offices.len() {
            if self.is_here(desk) && !self.fates[desk].revoked {
                self.world.publish(desk);
            }
        }
    }
    fn beat(&mut self, desk: usize) {
        if self.is_here(desk) {
            self.sync(desk);
            self.bundle(desk);
        }
    }
    fn worker_does_something(&mut self, desk: usize, turn: u32) {
        let which = self.below(self.hers.len());
        let caller = self.hers[which].caller;
        self.perhaps_killed(desk, |trouble| {
            trouble.by_own_clock(desk, |world| deed(world, desk, caller, turn, world.now.seconds()))
        });
        if self.one_in(6) {
            // Another answers the same letter at the same time.
            let other = self.below(self.world.offices.len());
            for desk in [desk, other] {
                let plan = AnswerPlan { text: format!("turn {turn} of {desk}").into(), ..AnswerPlan::default() };
                let answered = self.by_own_clock(desk, |world| {
                    let now = world.now.seconds();
                    world.act(desk, |desk, rng| desk.answer(caller, &plan, now, rng).map(drop))
                });
                self.expect(answered);
            }
        }
        if self.one_in(20) {
            let now = self.world.now.seconds();
            self.perhaps_killed(desk, |trouble| trouble.world.act(desk, |desk, rng| desk.tidy(now, rng)).unwrap());
            self.world.offices[desk].compact(now, &mut self.world.rng).unwrap();
        }
    }
    fn expect(&mut self, done: Result<(), DeskError>) {
        let refused = matches!(
            done,
            Err(DeskError::NoSuchCaller
                | DeskError::HeldBy { .. }
                | DeskError::Unreachable
                | DeskError::Restored
                | DeskError::Outdated)
        );
        assert!(done.is_ok() || refused, "{done:?}");
    }

    // ── callers ─────────────────────────────────────────────────────────────────────────────────

    fn she_writes(&mut self, which: usize, turn: u32) {
        let text = format!("letter {turn} of {which}");
        let seq = self.hers[which].write(&self.world, &text);
        self.written.insert((which, self.visits[which], seq), text);
    }
    fn she_posts(&mut self, which: usize) {
        let lost = self.one_in(4);
        self.hers[which].post(&mut self.world, lost);
        self.relay_keeps_time();
        let events = self.hers[which].read_fast(&self.world);
        self.she_reads(which, &events);
    }
    fn she_reads(&mut self, which: usize, events: &[Event]) {
        for event in events {
            match event {
                Event::Receipt(_, seq) => {
                    let text = self.written[&(which, self.visits[which], *seq)].clone();
                    self.receipted.insert(text);
                }
                Event::Answer(answer) => {
                    assert!(self.shown.insert((which, answer.answer)), "shown twice in one visit");
                }
                _ => {}
            }
        }
    }
    /// A page is opened anew. What of its letters was not receipted is written again.
    fn she_comes_again(&mut self, which: usize) {
        let mine = (which, self.visits[which]);
        let letters = self.written.iter().filter(|((caller, visit, _), _)| (*caller, *visit) == mine);
        let texts: Vec<String> = letters.map(|(_, text)| text.clone()).filter(|text| !self.receipted.contains(text)).collect();
        self.hers[which].come_again(&mut self.world);
        self.visits[which] += 1;
        self.shown.retain(|(whose, _)| *whose != which);
        for text in texts {
            let text = format!("{text} again");
            let seq = self.hers[which].write(&self.world, &text);
            self.written.insert((which, self.visits[which], seq), text);
        }
        let events = self.hers[which].read_slow(&self.world);
        self.she_reads(which, &events);
    }
}

impl Trouble {
    /// Of one turn: who is there does something, something is lost, and now and then everything at once.
    fn turn(&mut self, turn: u32) {
        let (which, desk) = (self.below(self.hers.len()), self.below(self.world.offices.len()));
        if turn.is_multiple_of(4) {
            self.she_writes(which, turn);
        }
        self.she_posts(which);
        if self.is_here(desk) && !self.fates[desk].revoked {
            self.worker_does_something(desk, turn);
        }
        let other = self.below(self.world.offices.len());
        self.beat(desk);
        self.beat(other);
        if self.one_in(5) {
            self.relay_lies();
        }
        match self.below(24) {
            0 => {
                let hours = self.world.rng.next_u64() % 100;
                self.fates[desk].away_until = self.world.now.0 + hours * HOUR;
                self.count("away");
            }
            1 => self.fates[desk].skew_ms = (self.world.rng.next_u64() % (4 * HOUR)).cast_signed() - (2 * HOUR).cast_signed(),
            2 => self.she_comes_again(which),
            3 => {
                let hours = self.world.rng.next_u64() % 9;
                self.world.tick(hours * HOUR);
            }
            4 => self.reopen(desk),
            _ => {}
        }
        if turn.is_multiple_of(5) {
            self.publish();
            self.look_at_chains();
        }
        self.relay_keeps_time();
        let ms = u64::from(self.world.rng.next_u32() % 20_000);
        self.world.tick(ms);
    }

    // ── what must always hold ───────────────────────────────────────────────────────────────────

    /// What devices hold of each other: no number of a device stands for two events.
    fn look_at_chains(&mut self) {
        for desk in self.living() {
            let me = self.id(desk);
            let state = &self.world.offices[desk].look().unwrap().state;
            for (author, log) in state.log.iter().filter(|(author, _)| **author != me) {
                for event in log {
                    let known = self.chains.entry((*author, event.record.seq)).or_insert(event.record.hash);
                    assert_eq!(*known, event.record.hash, "two events under one number");
                }
            }
        }
    }
    /// The letters that a device holds, with their words.
    fn letters_at(&mut self, desk: usize) -> BTreeSet<String> {
        let now = self.world.now.seconds();
        let desk = self.world.offices[desk].look().unwrap();
        let mut texts = BTreeSet::new();
        for caller in desk.state.callers.keys().filter(|caller| desk.state.callers[caller].has_row()) {
            let items = desk.show(*caller, now).unwrap().items;
            texts.extend(items.into_iter().filter_map(|item| match item {
                Item::Letter { text, .. } => Some(text),
                _ => None,
            }));
        }
        texts
    }
    /// Whether a team of these devices has forgotten somebody together: then her letters are gone, as they wished.
    fn forgot_somebody(&mut self, desk: usize) -> bool {
        let state = &self.world.offices[desk].look().unwrap().state;
        state.callers.keys().any(|caller| state.concord.forgotten_upto(*caller).is_some())
    }

    // ── what happens once ───────────────────────────────────────────────────────────────────────

    fn back_up(&mut self) {
        let files = fs::read_dir(self.world.dirs[RESTORED].path().join("vault")).unwrap().map(Result::unwrap);
        self.backup = Some(files.map(|entry| (entry.path(), fs::read(entry.path()).unwrap())).collect());
    }
    /// The disk of a device dies. What only it held, and the relay does not hold any more, is lost with it.
    fn restore(&mut self) {
        let Some(backup) = self.backup.take() else { return };
        self.dies(RESTORED);
        for (path, bytes) in backup {
            fs::rename(&path, path.with_extension("lost")).unwrap();
            fs::write(&path, bytes).unwrap();
        }
        self.reopen(RESTORED);
        let now = self.world.now.seconds();
        assert!(self.world.offices[RESTORED].doubt_if_restored(now, &mut self.world.rng).unwrap());
        self.count("restored");
    }
    fn revoke(&mut self, desk: usize) {
        self.dies(desk);
        let (id, now) = (self.id(desk), self.world.now.seconds());
        self.world.act(0, |lead, rng| lead.revoke(id, now, rng)).unwrap();
        self.fates[desk].revoked = true;
        self.world.publish(0);
        self.count("revoked");
    }
    /// Notes what goes with a device: letters that nobody else who stays holds. Those whose cells the relay still has may come
    /// to light yet; here they are not asked for.
    fn dies(&mut self, desk: usize) {
        let mine = self.letters_at(desk);
        let others: Vec<usize> = self.living().into_iter().filter(|other| *other != desk).collect();
        let theirs: BTreeSet<String> = others.into_iter().flat_map(|other| self.letters_at(other)).collect();
        self.lost_with.extend(mine.difference(&theirs).cloned());
    }

    // ── afterwards ──────────────────────────────────────────────────────────────────────────────

    /// Everybody comes home, clocks are set, the relay is honest again; who cannot speak any more is replaced.
    fn settle(&mut self, seed: u64) {
        for fate in &mut self.fates {
            (fate.away_until, fate.skew_ms, fate.horizon) = (0, 0, None);
        }
        if self.fates.iter().any(|fate| !fate.hidden.is_empty()) {
            self.another_life();
        }
        (self.colludes, self.calm) = (false, true);
        self.publish();
        (0..self.hers.len()).for_each(|which| self.she_comes_again(which));
        for round in 0..300 {
            for which in 0..self.hers.len() {
                self.hers[which].post(&mut self.world, false);
                let events = self.hers[which].read_fast(&self.world);
                self.she_reads(which, &events);
            }
            self.relay_keeps_time();
            for desk in self.living() {
                self.sync(desk);
                self.bundle(desk);
            }
            if round == 20 {
                self.lead_deals_with_everybody();
            }
            if round % 30 == 29 {
                for which in 0..self.hers.len() {
                    let events = self.hers[which].read_slow(&self.world);
                    self.she_reads(which, &events);
                }
                self.look_at_chains();
                self.replace_the_outdated();
                self.publish();
            }
            // What is due goes out at once; what waits for an hour is waited for in longer steps.
            self.world.tick(if round < 60 { 10_000 } else { 120_000 });
            if round % 5 == 4 && self.is_settled() {
                return self.hold_what_was_promised(seed);
            }
        }
        let now = self.world.now.seconds();
        let living = self.living();
        let boards: Vec<String> = living.iter().map(|desk| board_in_any_order(&mut self.world.offices[*desk], now)).collect();
        for other in &boards[1..] {
            let at = boards[0].bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
            let around = |board: &str| board.chars().skip(at.saturating_sub(300)).take(600).collect::<String>();
            println!("first: {}\nother: {}\n", around(&boards[0]), around(other));
        }
        let waiting: Vec<bool> = self.hers.iter().map(|her| her.visit.all_receipted()).collect();
        for desk in living {
            let desk = self.world.offices[desk].look().unwrap();
            println!("doubtful {} outdated {} missed {}", desk.doubtful(), desk.is_outdated(), desk.may_have_missed());
        }
        panic!("the devices of history {seed} did not converge; receipted: {waiting:?}; {:?}", self.counted);
    }
    /// Of strangers a desk holds so many letters and no more: the rest come once somebody has dealt with her.
    fn lead_deals_with_everybody(&mut self) {
        let now = self.world.now.seconds();
        for which in 0..self.hers.len() {
            let caller = self.hers[which].caller;
            let noted = self.world.act(0, |desk, rng| desk.note(caller, "seen", now, rng));
            assert!(matches!(noted, Ok(()) | Err(DeskError::NoSuchCaller)), "{noted:?}");
        }
    }
    fn is_settled(&mut self) -> bool {
        let now = self.world.now.seconds();
        let living = self.living();
        if !self.hers.iter().all(|her| her.visit.all_receipted()) {
            return false;
        }
        let quiet = living.iter().all(|desk| {
            let desk = self.world.offices[*desk].look().unwrap();
            !desk.doubtful() && !desk.may_have_missed()
        });
        let boards: BTreeSet<String> =
            living.iter().map(|desk| board_in_any_order(&mut self.world.offices[*desk], now)).collect();
        quiet && boards.len() == 1
    }
    fn replace_the_outdated(&mut self) {
        for desk in self.living() {
            if desk != 0 && self.world.offices[desk].look().unwrap().is_outdated() {
                let seat = u8::try_from(self.world.offices.len()).unwrap();
                self.revoke(desk);
                self.world.join(Role::Worker, seat);
                self.fates.push(Fate::default());
                self.count("replaced");
            }
        }
    }
    fn hold_what_was_promised(&mut self, seed: u64) {
        let (now, living) = (self.world.now.seconds(), self.living());
        if !self.forgot_somebody(0) {
            let held = self.letters_at(0);
            let missing: Vec<&String> =
                self.receipted.iter().filter(|text| !held.contains(*text) && !self.lost_with.contains(*text)).collect();
            assert!(missing.is_empty(), "history {seed}: receipted and lost: {missing:?}; {:?}", self.counted);
        }
        let mut holders: BTreeMap<String, usize> = BTreeMap::new();
        for desk in living {
            let id = self.id(desk);
            let desk = self.world.offices[desk].look().unwrap();
            for row in desk.list(now).into_iter().filter(|row| row.claim.as_ref().is_some_and(|claim| claim.mine)) {
                *holders.entry(row.id).or_default() += 1;
            }
            // What a device thinks it said is what the others heard.
            for event in desk.state.log.get(&id).into_iter().flatten() {
                if let Some(heard) = self.chains.get(&(id, event.record.seq)) {
                    assert_eq!(*heard, event.record.hash, "a device's own history is another than its colleagues'");
                }
            }
        }
        assert!(holders.values().all(|holders| *holders == 1), "two hold one claim: {holders:?}");
    }
}

/// One history, and what happened in it.
fn history(seed: u64) -> BTreeMap<&'static str, u64> {
    println!("history {seed}");
    let mut trouble = Trouble::new(seed);
    let turns = 80;
    // Half of them lose a disk, half of them a member.
    let mut some_turn = || u32::try_from(trouble.below(2 * turns as usize)).unwrap();
    let (revoked, lost) = (some_turn(), some_turn());
    let backed_up = u32::try_from(trouble.below(lost as usize + 1)).unwrap();
    for turn in 0..turns {
        trouble.turn(turn);
        if turn == backed_up {
            trouble.back_up();
        }
        if turn == lost {
            trouble.restore();
        }
        if turn == revoked {
            trouble.revoke(LEAVER);
        }
    }
    trouble.settle(seed);
    trouble.counted
}

/// What goes wrong, by the names under which it is counted.
const TROUBLES: [&str; 14] = [
    "forgotten below the floor",
    "withheld",
    "shown two things",
    "repeated",
    "another life",
    "rolled back",
    "killed",
    "asked",
    "left a board",
    "took a board",
    "away",
    "restored",
    "revoked",
    "replaced",
];

#[test]
fn whatever_goes_wrong_those_who_are_left_come_to_one_board() {
    let first: u64 = std::env::var("PORCHLIGHT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let count: u64 = std::env::var("PORCHLIGHT_HISTORIES").ok().and_then(|count| count.parse().ok()).unwrap_or(2);
    let mut all: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in first..first + count {
        for (what, times) in history(seed) {
            *all.entry(what).or_default() += times;
        }
    }
    println!("{count} histories from seed {first}, each came to one board (pass: all): {all:?}");
    // In a few of them not everything happens.
    let missing: Vec<&str> = TROUBLES.into_iter().filter(|what| !all.contains_key(what)).collect();
    assert!(count < 100 || missing.is_empty(), "VOID: {missing:?} never happened");
}
