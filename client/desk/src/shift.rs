//! The shift: one at a time, everything that is asked and done, and what comes of its own.

use core::future::Future;
use core::mem;
use core::time::Duration;
use std::collections::{BTreeMap, HashMap};

use porchlight_client::desk::{Desk, DeskError, HandOverPlan, Revocation, Row};
use porchlight_client::duty::{DutyError, DutyNews};
use porchlight_client::outbox::{Clock, SystemClock};
use porchlight_proto::event::{Act, How, Proposal};
use porchlight_proto::line::{CallerId, DeviceId};
use porchlight_proto::phrase::Language;
use porchlight_proto::time::Seconds;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use zeroize::Zeroizing;

use crate::door::{Doorkeeper, Key};
use crate::engine::{Engine, Opening};
use crate::farewell::{Ending, Farewell};
use crate::handing::Handing;
use crate::later::{Later, UNDO};
use crate::order::{Answering, Ask, Deed, HandingOver, Refused, Saying};
use crate::published::Found;
use crate::relays::Standing;
use crate::weigh::Weighed;

/// How often at least the rows are made anew: claims lapse and promises fall due without anything happening.
const ROWS_LAST: Duration = Duration::from_secs(20);
/// How often at most, however much comes in.
const ROWS_EVERY: Duration = Duration::from_millis(700);
/// How often the rows are made anew beside another process of the same directory.
const ROWS_BESIDE: Duration = Duration::from_secs(2);
/// How often the shift looks after what has its time.
const LOOK: Duration = Duration::from_millis(250);
/// A claim is renewed by writing when so many seconds of it have gone.
const RENEW_AFTER: u64 = 300;
/// Threads that are held against what pages were told: as many as there are pages.
const LOOKED_AT_MAX: usize = 8;
/// Windows whose half-written text is kept: a page has one open at a time.
const SCRAPS_MAX: usize = 64;
/// Seconds after which a colleague's device that was not heard counts as out of reach.
pub(crate) const SILENT_S: u64 = 300;

/// What every page is told: that something has changed, and how many wait. Never who or what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// Counts changes.
    pub(crate) version: u64,
    /// Callers whose letters wait for an answer.
    pub(crate) waiting: usize,
    /// Counts letters as they come, so that a page can ring.
    pub(crate) letters: usize,
    /// What somebody should know although the board is locked: names of sentences, each of the whole line.
    pub(crate) warnings: Vec<&'static str>,
}

impl News {
    pub(crate) fn to_json(&self) -> Value {
        json!({"version": self.version, "waiting": self.waiting, "letters": self.letters})
    }

    /// All that a locked page is told.
    pub(crate) fn counts(&self) -> Value {
        json!({"waiting": self.waiting, "letters": self.letters, "warnings": self.warnings})
    }
}

type Job = Box<dyn FnOnce(&mut Shift) + Send>;

/// What others hold of the shift.
#[derive(Clone)]
pub(crate) struct Handle {
    jobs: mpsc::Sender<Job>,
}

impl Handle {
    pub(crate) const fn new(jobs: mpsc::Sender<Job>) -> Self {
        Self { jobs }
    }

    /// Runs something at the shift; nothing if it has ended.
    pub(crate) async fn with<T: Send + 'static>(&self, work: impl FnOnce(&mut Shift) -> T + Send + 'static) -> Option<T> {
        let (tell, told) = oneshot::channel();
        let job: Job = Box::new(move |shift| {
            let _gone = tell.send(work(shift));
        });
        self.jobs.send(job).await.ok()?;
        told.await.ok()
    }
}

/// Everything there is of a shift.
pub(crate) struct Shift {
    pub(crate) engine: Engine,
    pub(crate) handle: Handle,
    pub(crate) rows: Vec<Row>,
    rows_made: Option<Duration>,
    /// Counts the times that they were others than before.
    rows_version: u64,
    pub(crate) changed: bool,
    told: Option<Shown>,
    spread_at: Duration,
    /// Whose threads were opened last, on whichever page.
    looked_at: Vec<CallerId>,
    pub(crate) later: Vec<Later>,
    numbers: u64,
    pub(crate) drafts: HashMap<CallerId, Zeroizing<String>>,
    pub(crate) scraps: HashMap<String, Zeroizing<String>>,
    pub(crate) relays: BTreeMap<u8, Standing>,
    pub(crate) pages: BTreeMap<u8, Found>,
    pub(crate) looking: BTreeMap<u8, Duration>,
    pub(crate) vault_trouble: bool,
    news: News,
    tell: watch::Sender<News>,
    pub(crate) handing: Vec<Handing>,
    pub(crate) farewell: Option<Farewell>,
}

/// What pages were told of last.
#[derive(PartialEq)]
struct Shown {
    rows: u64,
    header: Value,
    threads: Vec<Value>,
}

/// The time of day, which desks go by.
pub(crate) fn now() -> Seconds {
    SystemClock.wall().seconds()
}

impl Shift {
    pub(crate) fn begin(opening: Opening, handle: Handle, mut rng: ChaCha20Rng) -> Result<Self, DutyError> {
        let engine = Engine::begin(opening, ChaCha20Rng::from_rng(&mut rng))?;
        let (tell, _) = watch::channel(News::default());
        Ok(Self {
            engine,
            handle,
            rows: Vec::new(),
            rows_made: None,
            rows_version: 0,
            changed: true,
            told: None,
            spread_at: Duration::ZERO,
            looked_at: Vec::new(),
            later: Vec::new(),
            numbers: 0,
            drafts: HashMap::new(),
            scraps: HashMap::new(),
            relays: BTreeMap::new(),
            pages: BTreeMap::new(),
            looking: BTreeMap::new(),
            vault_trouble: false,
            news: News::default(),
            tell,
            handing: Vec::new(),
            farewell: None,
        })
    }

    /// Counts what has come since the rows were made last, whichever process of this directory fetched it.
    fn take_rows(&mut self, rows: Vec<Row>) {
        if self.rows_made.is_some() || !self.rows.is_empty() {
            // By caller: what a colleague has read meanwhile hides nothing that came.
            let known: HashMap<&str, usize> = self.rows.iter().map(|row| (row.id.as_str(), row.letters)).collect();
            let fresh = rows.iter().map(|row| row.letters.saturating_sub(known.get(row.id.as_str()).copied().unwrap_or(0)));
            self.news.letters += fresh.sum::<usize>();
        }
        self.rows_version += u64::from(rows != self.rows);
        self.rows = rows;
    }

    /// Makes the rows before anybody asks for them.
    pub(crate) fn make_ready(&mut self) {
        self.make_rows();
    }

    pub(crate) fn news(&self) -> watch::Receiver<News> {
        self.tell.subscribe()
    }

    pub(crate) fn key(&self) -> Key {
        self.engine.key()
    }

    /// Goes on until `stop` is ready, or the vault is burned.
    pub(crate) async fn run(
        mut self,
        mut jobs: mpsc::Receiver<Job>,
        keeper: &Doorkeeper,
        stop: impl Future<Output = ()>,
    ) -> Ending {
        let mut stop = core::pin::pin!(stop);
        loop {
            let until = SystemClock.elapsed() + LOOK;
            tokio::select! {
                biased;
                () = &mut stop => {
                    self.write_all();
                    return self.cut_short();
                }
                Some(job) = jobs.recv() => job(&mut self),
                news = self.engine.next(until) => self.hear(news),
            }
            if self.farewell.is_some() {
                if let Some(ending) = self.ended() {
                    return ending;
                }
                continue;
            }
            if keeper.sessions().lock_if_idle(SystemClock.elapsed()) {
                self.locked();
            }
            self.tend();
        }
    }

    // ── what comes of its own ───────────────────────────────────────────────────────────────────

    fn hear(&mut self, news: Option<DutyNews>) {
        let Some(news) = news else { return };
        match news {
            DutyNews::Vault(_) => self.vault_trouble = true,
            // It was written that it went.
            DutyNews::Posted(_) => self.vault_trouble = false,
            _ => {}
        }
        self.hear_of_relay(&news);
        self.changed = true;
    }

    /// Looks after everything that has its time.
    fn tend(&mut self) {
        self.write_due();
        self.engine.tend();
        self.tell_handed();
        self.look_at_pages();
        let elapsed = SystemClock.elapsed();
        let made = self.rows_made.unwrap_or_default();
        let listening = self.tell.receiver_count() > 1;
        // What another process fetches and sends is told to nobody here.
        self.changed |= self.engine.sends_elsewhere() && elapsed >= made + ROWS_BESIDE;
        let (late, due) = (elapsed >= self.spread_at + ROWS_LAST, self.changed && listening && elapsed >= made + ROWS_EVERY);
        if !late && !due {
            return;
        }
        self.changed = false;
        self.make_rows();
        // A relay takes a bundle in every beat, mostly with nothing in it: that is no news.
        let shows = self.shows();
        if late || self.told != shows {
            self.spread();
        }
    }

    /// A page draws this thread.
    pub(crate) fn looks_at(&mut self, caller: CallerId) {
        self.looked_at.retain(|known| *known != caller);
        self.looked_at.insert(0, caller);
        self.looked_at.truncate(LOOKED_AT_MAX);
    }

    /// What a page that looks now would draw, as far as it can be told from what it drew before.
    fn shows(&mut self) -> Option<Shown> {
        let mut header = self.header().ok()?;
        header.as_object_mut()?.remove("now");
        let threads = self.looked_at.clone().into_iter().filter_map(|caller| self.thread(caller).ok()).collect();
        Some(Shown { rows: self.rows_version, header, threads })
    }

    /// Tells every page that it should look again.
    fn spread(&mut self) {
        (self.told, self.spread_at) = (self.shows(), SystemClock.elapsed());
        self.news.version += 1;
        self.news.waiting = self.rows.iter().filter(|row| row.waiting_since.is_some()).count();
        self.news.warnings = self.warnings();
        self.tell.send_replace(self.news.clone());
    }

    fn make_rows(&mut self) {
        match self.engine.view(|desk| desk.list(now())) {
            Ok(rows) => self.take_rows(rows),
            Err(_) => self.vault_trouble = true,
        }
        self.rows_made = Some(SystemClock.elapsed());
    }

    /// Every row, most urgent first, as they were made last: what has changed since is told to every page when they are made anew.
    pub(crate) fn rows(&mut self) -> &[Row] {
        if self.rows_made.is_none() {
            self.make_rows();
        }
        &self.rows
    }

    /// The board is locked: what was pressed Send for goes; what was being written stays here, in memory.
    pub(crate) fn locked(&mut self) {
        self.write_all();
        let writing: Vec<CallerId> = self.drafts.keys().copied().collect();
        for caller in writing {
            let _forgotten = self.engine.act(|desk, rng| desk.stop_composing(caller, now(), rng));
        }
        self.looked_at.clear();
        self.spread();
    }

    // ── answers that can be undone ──────────────────────────────────────────────────────────────

    fn write_due(&mut self) {
        let elapsed = SystemClock.elapsed();
        self.write_those(|later| later.due <= elapsed);
    }

    pub(crate) fn write_all(&mut self) {
        self.write_those(|_| true);
    }

    fn write_those(&mut self, which: impl Fn(&Later) -> bool) {
        let (due, kept): (Vec<Later>, Vec<Later>) =
            mem::take(&mut self.later).into_iter().partition(|later| later.failed.is_none() && which(later));
        self.later = kept;
        for later in due {
            self.write(later);
        }
    }

    /// Writes an answer into the vault, from where it is sent. One that cannot be written stays, and says why.
    fn write(&mut self, mut later: Later) {
        if let Err(refused) = self.try_to_write(&later) {
            later.failed = Some(refused.name());
            self.later.push(later);
        }
        self.changed = true;
        self.rows_made = None;
    }

    /// What she asks for may be another than ten seconds ago.
    fn try_to_write(&mut self, later: &Later) -> Result<(), Refused> {
        self.respects(later.caller, (later.fits_relative, later.although_quiet.is_some()))?;
        self.engine.act(|desk, rng| {
            if let Some(reason) = &later.although_quiet {
                desk.note(later.caller, reason, now(), rng)?;
            }
            match later.agreed {
                Some(proposal) => desk.say(proposal, later.plan(), now(), rng).map(drop),
                None => desk.answer(later.caller, &later.plan(), now(), rng).map(drop),
            }
        })?;
        Ok(())
    }

    /// Whether she may be answered as her letters ask, with what the worker has confirmed of them.
    fn respects(&mut self, caller: CallerId, (fits_relative, quiet_reason): (bool, bool)) -> Result<(), Refused> {
        let row = self.engine.view(|desk| desk.show(caller, now()).map(|thread| thread.row))??;
        match row.flags {
            flags if flags.quiet && !quiet_reason => Err(Refused::code("quiet")),
            flags if flags.relative && !fits_relative => Err(Refused::code("relative")),
            _ if !row.reachable => Err(Refused::code("unreachable")),
            _ => Ok(()),
        }
    }

    /// Whether this device can send at all, and no colleague is writing to her, unless the worker has seen that.
    fn may_send(&mut self, caller: CallerId, although_composing: bool) -> Result<(), Refused> {
        let line = self.engine.view(|desk| desk.line_view(now()))??;
        if !line.devices.iter().any(|device| device.mine && device.seat.is_some()) {
            return Err(Refused::code("no_seat"));
        }
        let others = self.engine.view(|desk| desk.composing_others(caller, now()))??;
        if others.is_empty() || although_composing {
            return Ok(());
        }
        let devices: Vec<String> = others.iter().map(|other| hex(&other.0)).collect();
        Err(Refused::with("composing", json!({"devices": devices})))
    }

    fn answer(&mut self, answering: Answering) -> Result<Value, Refused> {
        let caller = self.find(&answering.id)?;
        let although_quiet = answering.although_quiet.filter(|reason| !reason.trim().is_empty());
        if answering.text.trim().is_empty() {
            return Err(Refused::code("empty"));
        }
        self.respects(caller, (answering.fits_relative, although_quiet.is_some()))?;
        if Weighed::of(&answering.text).meeting {
            return Err(Refused::code("meeting"));
        }
        self.may_send(caller, answering.although_composing)?;
        self.engine.view(|desk| desk.forecast(caller, &answering.text, now()))??;
        let waits = Later {
            number: 0,
            caller,
            text: answering.text,
            language: answering.language.as_deref().and_then(language),
            read: answering.read.and_then(|letter| Some((bytes(&letter.session)?, letter.seq))),
            agreed: None,
            fits_relative: answering.fits_relative,
            although_quiet,
            due: Duration::ZERO,
            failed: None,
        };
        self.drafts.remove(&caller);
        Ok(self.wait(waits))
    }

    /// Words that two workers agreed to can be undone for ten seconds as well.
    fn say(&mut self, saying: Saying) -> Result<Value, Refused> {
        let proposal = self.engine.view(|desk| desk.find_proposal(&saying.by, saying.seq))??;
        let although_quiet = saying.although_quiet.filter(|reason| !reason.trim().is_empty());
        let (caller, text) = self.engine.view(|desk| desk.to_say(proposal, now()))??;
        if self.later.iter().any(|later| later.agreed == Some(proposal)) {
            return Err(Refused::code("decided"));
        }
        self.respects(caller, (saying.fits_relative, although_quiet.is_some()))?;
        self.may_send(caller, saying.although_composing)?;
        Ok(self.wait(Later {
            number: 0,
            caller,
            text: text.into(),
            language: None,
            read: None,
            agreed: Some(proposal),
            fits_relative: saying.fits_relative,
            although_quiet,
            due: Duration::ZERO,
            failed: None,
        }))
    }

    /// Puts an answer where it can be undone.
    fn wait(&mut self, later: Later) -> Value {
        self.numbers += 1;
        let number = self.numbers;
        self.later.push(Later { number, due: SystemClock.elapsed() + UNDO, ..later });
        json!({"later": number, "undo_ms": u64::try_from(UNDO.as_millis()).unwrap_or(u64::MAX)})
    }

    /// Takes an answer back before it is written. What was typed meanwhile stays, below it.
    fn undo(&mut self, number: u64) -> Result<Value, Refused> {
        let at = self.later.iter().position(|later| later.number == number).ok_or(Refused::code("too_late"))?;
        let later = self.later.remove(at);
        if later.agreed.is_some() {
            // Its words stand in the proposal.
            return Ok(json!({"text": null}));
        }
        let text = match self.drafts.get(&later.caller) {
            Some(typed) => Zeroizing::new(format!("{}\n\n{}", later.text.as_str(), typed.as_str())),
            None => later.text,
        };
        self.drafts.insert(later.caller, text.clone());
        Ok(json!({"text": text.as_str()}))
    }

    fn compose(&mut self, caller: CallerId, text: Zeroizing<String>) -> Result<Value, Refused> {
        let (at, empty) = (now(), text.trim().is_empty());
        if empty {
            self.drafts.remove(&caller);
        } else {
            self.drafts.insert(caller, text);
        }
        let others = self.engine.act(|desk, rng| {
            let others = if empty {
                desk.stop_composing(caller, at, rng)?;
                desk.composing_others(caller, at)?
            } else {
                desk.compose(caller, at, rng)?
            };
            // Writing renews the claim; it takes nobody's.
            let mine = desk.show(caller, at)?.row.claim.filter(|claim| claim.mine);
            if !empty && mine.is_some_and(|claim| claim.until < at.0 + 1800 - RENEW_AFTER) {
                desk.claim(caller, None, None, at, rng)?;
            }
            Ok(others)
        })?;
        self.changed = true;
        Ok(json!({"others": others.iter().map(|device| hex(&device.0)).collect::<Vec<_>>()}))
    }

    // ── asked and done ──────────────────────────────────────────────────────────────────────────

    pub(crate) fn ask(&mut self, ask: &Ask) -> Result<Value, Refused> {
        if self.farewell.is_some() {
            return Err(Refused::code("burned"));
        }
        match ask {
            Ask::Board { from, count, find } => self.board(*from, *count, find),
            Ask::Person { id } => self.person(id),
            Ask::Weigh { id, text } => self.weigh(id, text),
            Ask::HandOvers => self.hand_overs(),
            Ask::Rota => self.rota(),
            Ask::Devices => self.devices(),
            Ask::Load => Ok(json!(self.engine.view(|desk| desk.load(now()))?)),
            Ask::Guide => self.guide(),
            Ask::Scrap { of } => Ok(json!({"text": self.scrap(of)})),
        }
    }

    pub(crate) fn find(&mut self, id: &str) -> Result<CallerId, Refused> {
        Ok(self.engine.view(|desk| desk.find(id))??)
    }

    fn find_one(&mut self, id: &str) -> Result<CallerId, Refused> {
        Ok(self.engine.view(|desk| desk.find_one(id))??)
    }

    pub(crate) fn act(&mut self, deed: Deed) -> Result<Value, Refused> {
        if self.farewell.is_some() && !matches!(deed, Deed::Burn) {
            return Err(Refused::code("burned"));
        }
        match deed {
            Deed::Touch => return Ok(json!({})),
            Deed::Scrap { of, text } => return self.keep_scrap(of, text),
            // Typing is no reason to make ten thousand rows anew at once.
            Deed::Compose { .. } => return self.act_on(deed),
            _ => {}
        }
        if let Deed::Open { id } = &deed
            && self.is_read(id)?
        {
            // An open thread looks again at every piece of news: if looking were news, it would never rest.
            return self.act_on(deed);
        }
        let done = self.act_on(deed);
        match &done {
            Ok(_) => self.vault_trouble = false,
            Err(refused) => self.vault_trouble |= refused.name() == "vault",
        }
        self.changed = true;
        self.rows_made = None;
        self.make_rows();
        self.spread();
        done
    }

    pub(crate) fn scrap(&self, of: &str) -> Option<&str> {
        self.scraps.get(of).map(|text| text.as_str())
    }

    fn keep_scrap(&mut self, of: String, text: Option<Zeroizing<String>>) -> Result<Value, Refused> {
        match text {
            None => drop(self.scraps.remove(&of)),
            Some(text) if self.scraps.contains_key(&of) || self.scraps.len() < SCRAPS_MAX => {
                self.scraps.insert(of, text);
            }
            Some(_) => return Err(Refused::code("not_possible")),
        }
        Ok(json!({}))
    }

    /// Whether a worker has been shown all that she wrote.
    fn is_read(&mut self, id: &str) -> Result<bool, Refused> {
        let caller = self.find(id)?;
        Ok(self.engine.view(|desk| desk.show(caller, now()))??.row.unseen == 0)
    }

    fn act_on(&mut self, deed: Deed) -> Result<Value, Refused> {
        let at = now();
        match deed {
            Deed::Touch | Deed::Bulletin(_) | Deed::Scrap { .. } => Ok(json!({})),
            Deed::Open { id } => {
                let caller = self.find(&id)?;
                self.change(|desk, rng| desk.mark_shown(caller, at, rng))?;
                self.person(&id)
            }
            Deed::Claim { id, reason } => {
                let caller = self.find(&id)?;
                self.change(|desk, rng| desk.claim(caller, None, reason.as_deref(), at, rng).map(drop))
            }
            Deed::Release { id } => {
                let caller = self.find(&id)?;
                self.change(|desk, rng| desk.release(caller, at, rng))
            }
            Deed::Accept { id } => {
                let caller = self.find(&id)?;
                self.change(|desk, rng| desk.accept_hand_over(caller, at, rng))
            }
            Deed::HandOver(over) => self.hand_over(over),
            Deed::Note { id, text } => {
                let caller = self.find(&id)?;
                self.change(|desk, rng| desk.note(caller, &text, at, rng))
            }
            Deed::Compose { id, text } => {
                let caller = self.find(&id)?;
                self.compose(caller, text)
            }
            Deed::Answer(answering) => self.answer(answering),
            Deed::Undo { later } => self.undo(later),
            Deed::Stop { id } => {
                let caller = self.find(&id)?;
                self.change(|desk, rng| desk.stop_row(caller, at, rng).map(drop))
            }
            Deed::TakeBack { id, answer } => {
                let caller = self.find(&id)?;
                let answer = bytes(&answer).ok_or(Refused::code("no_such_answer"))?;
                self.change(|desk, rng| desk.take_back(caller, answer, at, rng))
            }
            Deed::Burn => Ok(self.burn()),
            Deed::SeenLoss { relay } => Ok(self.loss_seen(relay)),
            other => self.act_as_team(other),
        }
    }

    /// What a team knows and decides.
    fn act_as_team(&mut self, deed: Deed) -> Result<Value, Refused> {
        let at = now();
        match deed {
            Deed::Know { id, how, by } => {
                let how = match how.as_str() {
                    "introduced" => How::Introduced,
                    "verified" => How::Verified,
                    _ => How::Unknown,
                };
                let caller = self.find(&id)?;
                self.change(|desk, rng| desk.set_known(caller, (how, &by), at, rng))
            }
            Deed::Question { id, question, answer } => {
                let caller = self.find(&id)?;
                self.change(|desk, rng| desk.set_question(caller, (&question, &answer), at, rng))
            }
            Deed::Wish { id, text } => {
                let caller = self.find(&id)?;
                self.change(|desk, rng| desk.set_wish(caller, &text, at, rng))
            }
            Deed::Duress { id, of } => {
                let room = self.find_one(&id)?;
                let of = of.map(|of| self.find_one(&of)).transpose()?;
                self.change(|desk, rng| desk.set_duress(room, of, at, rng))
            }
            Deed::Propose { id, act, other, text, fits_relative } => {
                let act = act_named(&act).ok_or(Refused::code("not_possible"))?;
                let caller = self.find(&id)?;
                let other = other.map(|other| self.find(&other)).transpose()?.unwrap_or(CallerId([0; 16]));
                if act == Act::Say {
                    self.respects(caller, (fits_relative, true))?;
                }
                let done = self.change(|desk, rng| desk.propose(&Proposal { caller, act, other, text }, at, rng).map(drop))?;
                if act == Act::Say {
                    self.drafts.remove(&caller);
                }
                Ok(done)
            }
            Deed::Agree { by, seq } => self.change(|desk, rng| desk.agree(desk.find_proposal(&by, seq)?, at, rng)),
            Deed::Object { by, seq } => self.change(|desk, rng| desk.object(desk.find_proposal(&by, seq)?, at, rng)),
            Deed::Say(saying) => self.say(saying),
            Deed::Part { id, other } => {
                let (caller, other) = (self.find_one(&id)?, self.find_one(&other)?);
                self.change(|desk, rng| desk.part(caller, other, at, rng))
            }
            other => self.act_on_line(other),
        }
    }

    /// Rota, devices, retention.
    fn act_on_line(&mut self, deed: Deed) -> Result<Value, Refused> {
        let at = now();
        match deed {
            Deed::Shift { device, from, until } => self.change(|desk, rng| {
                let device = desk.find_device(&device)?;
                desk.add_shift(device, (Seconds(from), Seconds(until)), at, rng)
            }),
            Deed::Strike { by, seq } => self.change(|desk, rng| desk.strike_shift(desk.find_shift(&by, seq)?, at, rng)),
            Deed::GoOff => self.change(|desk, rng| desk.go_off(at, rng)),
            Deed::Revoke { device } => {
                let became = self.engine.act(|desk, rng| desk.revoke(desk.find_device(&device)?, at, rng))?;
                let became = match became {
                    Revocation::Signed => "signed",
                    Revocation::Agreed => "agreed",
                    Revocation::Voted => "voted",
                };
                Ok(json!({"became": became}))
            }
            Deed::Keep { days } => self.change(|desk, rng| desk.keep_team_for(days, at, rng)),
            _ => Err(Refused::code("not_possible")),
        }
    }

    pub(crate) fn change(
        &mut self,
        change: impl FnOnce(&mut Desk, &mut ChaCha20Rng) -> Result<(), DeskError>,
    ) -> Result<Value, Refused> {
        self.engine.act(change)?;
        Ok(json!({}))
    }

    fn hand_over(&mut self, over: HandingOver) -> Result<Value, Refused> {
        let caller = self.find(&over.id)?;
        self.change(|desk, rng| {
            let to = over.to.as_deref().map(|to| desk.find_device(to)).transpose()?;
            let HandingOver { situation, promised_by_us, promised_by_her, risk, next_step, .. } = over;
            let plan = HandOverPlan { to, situation, promised_by_us, promised_by_her, risk, next_step };
            desk.hand_over(caller, &plan, now(), rng)
        })
    }

    fn weigh(&mut self, id: &str, text: &str) -> Result<Value, Refused> {
        let caller = self.find(id)?;
        let forecast = self.engine.view(|desk| desk.forecast(caller, text, now()))?;
        let mut said = Weighed::of(text).to_json();
        if let Some(fields) = said.as_object_mut() {
            match forecast {
                Ok(forecast) => drop(fields.insert("forecast".to_owned(), json!(forecast))),
                Err(error) => drop(fields.insert("refused".to_owned(), json!(Refused::from(error).name()))),
            }
        }
        Ok(said)
    }

    // ── rows ────────────────────────────────────────────────────────────────────────────────────

    /// The rows that `find` names; all of them for nothing.
    pub(crate) fn named(&mut self, find: &str) -> Vec<&Row> {
        let find = find.trim().to_lowercase();
        let named = |row: &&Row| {
            find.is_empty()
                || row.id.starts_with(&find)
                || row.nickname.contains(&find)
                || row.next_step.as_ref().is_some_and(|step| step.to_lowercase().contains(&find))
        };
        self.rows().iter().filter(named).collect()
    }

    /// This device.
    pub(crate) fn me(&mut self) -> Result<DeviceId, Refused> {
        Ok(self.engine.view(Desk::device)??)
    }
}

fn language(name: &str) -> Option<Language> {
    match name {
        "ko" => Some(Language::Ko),
        "zh" => Some(Language::Zh),
        "en" => Some(Language::En),
        _ => None,
    }
}

fn act_named(name: &str) -> Option<Act> {
    match name {
        "join" => Some(Act::Join),
        "fulfil" => Some(Act::Fulfil),
        "forget" => Some(Act::Forget),
        "keep_hand_over" => Some(Act::KeepHandOver),
        "say" => Some(Act::Say),
        _ => None,
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    data_encoding::HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests;
