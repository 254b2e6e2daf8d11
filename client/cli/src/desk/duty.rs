//! Rounds and the watch: the desk's verbs that use the network.

use core::time::Duration;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use porchlight_client::desk::{Desk, DeskError, Office};
use porchlight_client::duty::{Duty, DutyNews, Posting, Term};
use porchlight_client::outbox::{Clock, SystemClock};
use porchlight_client::transport::Failure;
use porchlight_proto::line::CallerId;
use serde_json::json;

use super::{Right, board, now};
use crate::chance;
use crate::command::DeskWatch;
use crate::exit::Exit;
use crate::output::{Output, remark};
use crate::sentences;
use crate::stop::Stop;
use crate::trouble::Trouble;
use crate::way::Way;

/// How often a round looks whether it is done, and the watch whether its page has ended.
const LOOK: Duration = Duration::from_millis(100);
/// How often at most a watch looks for letters that another process of its vault has fetched.
const LOOK_BESIDE: Duration = Duration::from_secs(1);
/// How long a round goes on until colleagues have been sent the keys of what was signed: seven colleagues take nine minutes.
const SECRETS_PATIENCE: Duration = Duration::from_secs(600);
/// Beats a round goes on sending after letters came: receipts ride on them.
const BEATS_FOR_RECEIPTS: u32 = 6;

/// How a round came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every relay that answers has been read, and all that is due has a place in a slot.
    Done,
    /// The time given is over, and something is still due.
    OutOfTime,
    /// The person wanted an end.
    Stopped,
}

/// One round of a desk: fetch all, hand in rosters, send what is due.
pub(crate) struct Round {
    duty: Duty<SystemClock>,
    stop: Stop,
    elsewhere: bool,
    failed: BTreeSet<u8>,
    worst: Option<Failure>,
    /// Whether a relay's notice could not be used, since it keeps another pace than the line.
    differs: bool,
    refused: bool,
    letters: usize,
    published: Vec<(u8, u32)>,
    _right: Option<Right>,
}

impl Round {
    pub(crate) fn begin(office: Office, dir: &Path, way: &Way<'_>) -> Result<Self, Trouble> {
        Self::with_right(office, Right::to_post(dir)?, way)
    }

    /// The last round of a vault that was burned: another process of its directory has nothing any more to send from.
    pub(super) fn begin_last(office: Office, way: &Way<'_>) -> Result<Self, Trouble> {
        Ok(Self { elsewhere: false, ..Self::with_posting(office, Posting::Here, way)? })
    }

    fn with_right(office: Office, right: Option<Right>, way: &Way<'_>) -> Result<Self, Trouble> {
        let posting = if right.is_some() { Posting::Here } else { Posting::Elsewhere };
        Ok(Self { elsewhere: right.is_none(), _right: right, ..Self::with_posting(office, posting, way)? })
    }

    fn with_posting(office: Office, posting: Posting, way: &Way<'_>) -> Result<Self, Trouble> {
        let duty = Duty::begin(office, &way.dial(), Term::Round, posting, SystemClock, chance::new_rng()?)
            .map_err(|error| sentences::duty(&error))?;
        Ok(Self {
            duty,
            stop: Stop::listen()?,
            elsewhere: false,
            failed: BTreeSet::new(),
            worst: None,
            differs: false,
            refused: false,
            letters: 0,
            published: Vec::new(),
            _right: None,
        })
    }

    /// The desk on duty.
    pub(crate) fn duty(&mut self) -> &mut Duty<SystemClock> {
        &mut self.duty
    }

    /// Goes on until all relays are read and nothing is due that `counts`, or for `wait`.
    pub(crate) async fn run(&mut self, wait: Duration, is_due: impl Fn(&Desk) -> bool) -> Result<Outcome, Trouble> {
        let until = SystemClock.elapsed() + wait;
        let mut receipts_until = Duration::ZERO;
        loop {
            let elapsed = SystemClock.elapsed();
            if self.is_read() && elapsed >= receipts_until && !self.is_due(&is_due)? {
                return Ok(Outcome::Done);
            }
            if self.failed.len() >= self.duty.relay_count() {
                return Err(self.unreachable());
            }
            if elapsed >= until {
                return Ok(Outcome::OutOfTime);
            }
            match self.stop.unless(self.duty.next(until.min(elapsed + LOOK))).await {
                None => return Ok(Outcome::Stopped),
                Some(None) => {}
                Some(Some(news)) => {
                    if self.take(news)? && !self.elsewhere {
                        receipts_until = SystemClock.elapsed() + self.duty.beat() * BEATS_FOR_RECEIPTS;
                    }
                }
            }
        }
    }

    /// As [`Round::run`], until every answer is placed and every deed of this device has been told to its colleagues.
    pub(super) async fn run_telling(&mut self, wait: Duration) -> Result<Outcome, Trouble> {
        let elsewhere = self.elsewhere;
        self.run(wait, move |desk| {
            desk.anything_on_the_way(now()) || !elsewhere && (desk.untold(now()) || desk.has_untold_secrets(now()))
        })
        .await
    }

    /// As [`Round::run`], until every deed of this device has been told to its colleagues, if it is this process that tells.
    pub(crate) async fn run_told(&mut self, wait: Duration) -> Result<Outcome, Trouble> {
        let elsewhere = self.elsewhere;
        self.run(wait, move |desk| !elsewhere && desk.untold(now())).await
    }

    /// Goes on until every colleague's device that is there has been sent the keys of what was signed, if it is this process that
    /// sends, and says whether they have. A bundle that fails goes again.
    pub(crate) async fn run_secrets(&mut self) -> Result<bool, Trouble> {
        let is_untold = |desk: &Desk| desk.has_untold_secrets(now());
        if self.elsewhere || !self.is_due(&is_untold)? {
            return Ok(true);
        }
        remark(sentences::SENDING_SECRETS);
        let until = SystemClock.elapsed() + SECRETS_PATIENCE;
        while self.is_due(&is_untold)? {
            let stopped = match self.stop.unless(self.duty.next(until)).await {
                None => true,
                Some(None) => SystemClock.elapsed() >= until,
                Some(Some(news)) => {
                    self.take(news)?;
                    false
                }
            };
            if stopped {
                remark(sentences::SECRETS_UNTOLD);
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_read(&self) -> bool {
        let settled = self.duty.settled();
        settled > 0 && settled + self.failed.len() >= self.duty.relay_count()
    }

    fn is_due(&self, is_due: &impl Fn(&Desk) -> bool) -> Result<bool, Trouble> {
        self.duty.view(is_due).map_err(|error| sentences::office(&error))
    }

    /// Takes news in; says whether letters came.
    fn take(&mut self, news: DutyNews) -> Result<bool, Trouble> {
        match news {
            DutyNews::Letters(count) => {
                self.letters += count;
                return Ok(true);
            }
            DutyNews::Published(relay, serial) => self.published.push((relay, serial)),
            DutyNews::Refused(relay, serial) => {
                self.refused = true;
                remark(&sentences::roster_refused(relay, serial));
            }
            DutyNews::RolledBack(relay) => remark(&sentences::rolled_back(relay)),
            DutyNews::Asked => remark(sentences::ASKED),
            DutyNews::BoardTaken => remark(sentences::BOARD_TAKEN),
            DutyNews::Misnumbered(relay, itself) => remark(&sentences::misnumbered(relay, itself)),
            DutyNews::Trouble(relay, failure) => {
                remark(&sentences::desk_relay(relay, &failure));
                self.failed.insert(relay);
                self.worst = Some(match self.worst.take() {
                    Some(worst @ Failure::Untrusted) => worst,
                    _ => failure,
                });
            }
            // The others go on: one that was taken must not keep a command from those that were not.
            DutyNews::PacesDiffer(relay) => {
                remark(&sentences::paces_differ(relay));
                self.differs = true;
                self.failed.insert(relay);
            }
            DutyNews::Vault(error) => return Err(sentences::desk(&error)),
            _ => {}
        }
        Ok(false)
    }

    fn unreachable(&mut self) -> Trouble {
        match self.worst.take() {
            Some(failure) => sentences::failure(&failure),
            None if self.differs => sentences::desk(&DeskError::PacesDiffer),
            None => sentences::no_relay(),
        }
    }

    /// Which rosters were handed in.
    pub(crate) fn published(&self) -> &[(u8, u32)] {
        &self.published
    }

    /// Whether a relay refused a roster.
    pub(crate) fn was_refused(&self) -> bool {
        self.refused
    }

    /// Tells how `desk sync` ended.
    pub(super) fn tell_round(&self, output: Output, outcome: Outcome) -> Result<Exit, Trouble> {
        let due = outcome != Outcome::Done && self.is_due(&|desk: &Desk| desk.anything_on_the_way(now()))?;
        let object = json!({"event": "synced", "letters": self.letters, "published": self.published.len(), "due": due, "watch_running": self.elsewhere});
        output.tell(&object, &sentences::synced(self.letters));
        if due && self.is_mailbox()? {
            remark(sentences::WAITS_FOR_A_SLOT);
            return Ok(Exit::NothingNew);
        }
        if due {
            remark(sentences::STILL_DUE);
            return Ok(Exit::Refused);
        }
        Ok(Exit::Done)
    }

    /// Tells how `desk answer` ended.
    pub(super) fn tell_answer(&self, output: Output, caller: CallerId, id: &[u8; 8], outcome: Outcome) -> Result<Exit, Trouble> {
        let due = self.is_due(&|desk: &Desk| desk.is_on_the_way(id, now()))?;
        let state = if due { "on_the_way" } else { "with_the_relay" };
        let readable = self.duty.view(|desk| desk.readable_from(id)).map_err(|error| sentences::office(&error))?;
        let readable = readable.filter(|_| !due);
        let sentence = if due { String::new() } else { sentences::with_the_relay(readable.as_ref()) };
        let mut object = json!({"event": "answered", "id": board::hex(&caller.0), "answer": board::hex(id), "state": state});
        board::add_readable(&mut object, readable.as_ref());
        output.tell(&object, &sentence);
        match (due, outcome) {
            (false, _) => Ok(Exit::Done),
            (true, Outcome::Stopped) => {
                remark(sentences::KEPT);
                Ok(Exit::Refused)
            }
            (true, _) if self.is_mailbox()? => {
                remark(sentences::WAITS_FOR_A_SLOT);
                Ok(Exit::NothingNew)
            }
            (true, _) => Err(sentences::no_slot()),
        }
    }

    fn is_mailbox(&self) -> Result<bool, Trouble> {
        self.duty.view(Desk::is_safeguarding).map_err(|error| sentences::office(&error))
    }
}

/// `desk watch`
pub(super) async fn watch(office: Office, args: &DeskWatch, way: &Way<'_>) -> Result<Exit, Trouble> {
    let Some(_watch) = Right::to_watch(&args.base.dir)? else { return Err(sentences::watched_already()) };
    let mut right = Right::to_post(&args.base.dir)?;
    let posting = if right.is_some() { Posting::Here } else { Posting::Elsewhere };
    let mut stop = Stop::listen()?;
    let mut duty = Duty::begin(office, &way.dial(), Term::Watch, posting, SystemClock, chance::new_rng()?)
        .map_err(|error| sentences::duty(&error))?;
    let mut known = duty.view(|desk| board::Known::of(desk, now())).map_err(|error| sentences::office(&error))?;
    let mut pager = Pager::new(args.exec.clone());
    let mut looked = Duration::ZERO;
    way.output.tell(&json!({"event": "watching"}), sentences::WATCHING);
    loop {
        match stop.unless(duty.next(SystemClock.elapsed() + LOOK)).await {
            None => return Ok(Exit::Done),
            Some(None) => {}
            Some(Some(DutyNews::Letters(_))) => {
                tell_letters(&duty, &mut known, way.output)?;
                pager.ring();
            }
            // A `desk sync` or `desk answer` beside this watch may have fetched what it would have.
            Some(Some(DutyNews::Posted(_))) if SystemClock.elapsed() >= looked + LOOK_BESIDE => {
                looked = SystemClock.elapsed();
                if tell_letters(&duty, &mut known, way.output)? {
                    pager.ring();
                }
            }
            Some(Some(news)) => note(&news, way.output),
        }
        if right.is_none() {
            right = Right::to_post(&args.base.dir)?;
            if right.is_some() {
                duty.post_from_now_on();
            }
        }
        pager.tend();
    }
}

/// Tells the letters that have not been told; says whether there were any.
fn tell_letters(duty: &Duty<SystemClock>, known: &mut board::Known, output: Output) -> Result<bool, Trouble> {
    let fresh = duty.view(|desk| known.update(desk, now())).map_err(|error| sentences::office(&error))?;
    fresh.iter().for_each(|letter| letter.tell(output));
    Ok(!fresh.is_empty())
}

/// What a watch says besides letters.
fn note(news: &DutyNews, output: Output) {
    match news {
        DutyNews::CaughtUp(relay) => output.tell(&json!({"event": "connected", "relay": relay}), &sentences::connected(*relay)),
        DutyNews::Published(relay, serial) => output.tell(&json!({"event": "published", "relay": relay, "serial": serial}), ""),
        DutyNews::Asked => output.tell(&json!({"event": "asked"}), sentences::ASKED),
        DutyNews::BoardTaken => output.tell(&json!({"event": "board_taken"}), sentences::BOARD_TAKEN),
        DutyNews::RolledBack(relay) => remark(&sentences::rolled_back(*relay)),
        DutyNews::Refused(relay, serial) => remark(&sentences::roster_refused(*relay, *serial)),
        DutyNews::Misnumbered(relay, itself) => remark(&sentences::misnumbered(*relay, *itself)),
        DutyNews::PacesDiffer(relay) => remark(&sentences::paces_differ(*relay)),
        DutyNews::Trouble(relay, failure) => remark(&sentences::desk_relay(*relay, failure)),
        DutyNews::Vault(error) => remark(&sentences::desk(error).to_string()),
        _ => {}
    }
}

/// Refuses to go on where a relay's certificate is not the pinned one.
pub(crate) fn refuse_distrust(outcomes: &[(u8, Result<porchlight_proto::api::DeskReply, Failure>)]) -> Result<(), Trouble> {
    let distrust =
        outcomes.iter().find_map(|(_, outcome)| outcome.as_ref().err().filter(|failure| matches!(failure, Failure::Untrusted)));
    distrust.map_or(Ok(()), |failure| Err(sentences::failure(failure)))
}

/// Runs the command that wakes somebody: one at a time, and once more if letters came meanwhile. It is told nothing.
struct Pager {
    command: Option<String>,
    running: Option<Child>,
    again: bool,
}

impl Pager {
    fn new(command: Option<String>) -> Self {
        Self { command, running: None, again: false }
    }

    fn ring(&mut self) {
        self.again = true;
    }

    /// Looks after the command that runs, and starts the next if one is due.
    fn tend(&mut self) {
        if let Some(child) = &mut self.running {
            match child.try_wait() {
                Ok(None) => return,
                Ok(Some(status)) if !status.success() => remark(sentences::PAGER_FAILED),
                _ => {}
            }
            self.running = None;
        }
        let Some(command) = self.command.as_ref().filter(|_| core::mem::take(&mut self.again)) else { return };
        // Its output would mix with ours, where programs read JSON.
        let spawned =
            Command::new("sh").arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        match spawned {
            Ok(child) => self.running = Some(child),
            Err(_) => remark(sentences::PAGER_FAILED),
        }
    }
}
