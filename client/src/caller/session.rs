//! One visit, running.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use porchlight_proto::card::Card;
use porchlight_proto::letter::Letter;
use porchlight_proto::phrase::Stretched;
use porchlight_proto::time::Millis;
use porchlight_proto::visit::{self, Event, Post, ShownAnswer, Ticket, To, Visit, VisitError};
use rand_core::CryptoRng;
use tokio::task::JoinSet;

use crate::outbox::{Beat, Clock, Outbox, SEALED_AHEAD};
use crate::transport::{Dial, Failure, Heard, Patience, Relay, RelayError};

/// The beat of [`Pace::Hasty`].
const HASTY: Duration = Duration::from_millis(50);

/// How long a relay that hears nothing more is waited for at the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Fast beats after which the notices are fetched again: what the line tells everybody reaches a visit that stays, too (SPEC §9.1).
const NOTICE_BEATS: u32 = 10;

/// How fast a visit beats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As the line's roster says.
    Lines,
    /// Every 50 ms, for tests only: it stands out.
    Hasty,
}

/// Why a visit did not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The card cannot be used on this machine.
    #[error(transparent)]
    Card(#[from] RelayError),
    /// No relay of the card gave a notice that could be believed. The most telling trouble is given: what must not be trusted before what did not work.
    #[error(transparent)]
    Relays(RelayTrouble),
    /// The card names no relay.
    #[error("the card names no relay")]
    NoRelay,
}

/// What went wrong with one relay. The visit goes on with the others, and asks this one again at its next beat.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RelayTrouble {
    /// No answer, or none that a relay of this line gives.
    #[error(transparent)]
    Failure(Failure),
    /// An answer that must not be believed, or with which no visit is possible.
    #[error(transparent)]
    Visit(VisitError),
}

impl RelayTrouble {
    /// Whether somebody may be in between: a certificate, a roster or a clock that is not what it must be.
    #[must_use]
    pub fn is_distrust(&self) -> bool {
        match self {
            Self::Failure(failure) => matches!(failure, Failure::Untrusted),
            Self::Visit(error) => {
                matches!(error, VisitError::Roster(_) | VisitError::OtherRelay | VisitError::RolledBack | VisitError::Clock)
            }
        }
    }
}

/// What happens in a visit.
#[derive(Debug)]
pub enum News {
    /// The visit has something to tell.
    Event(Event),
    /// All slow days of every relay that answers were read once: what the carousel holds has been shown.
    SlowRead,
    /// The newest beats of a relay were read.
    FastRead,
    /// A POST is over, whether or not its relay took it.
    Posted,
    /// A relay does not do what it should.
    Trouble(u8, RelayTrouble),
}

/// Where a visit goes, and how.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The line's card.
    pub card: Card,
    /// How relays are reached.
    pub dial: Dial,
    /// How fast it beats.
    pub pace: Pace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pulse {
    Up,
    Fast,
    Slow,
}

/// What an errand to a relay brought back. The number is the relay's place on the card.
enum Arrival {
    Notice(usize, Result<Heard, Failure>),
    Posted(usize, Ticket, Result<Vec<u8>, Failure>),
    Fast(usize, Result<Vec<u8>, Failure>),
    Slow(usize, u32, Result<Vec<u8>, Failure>),
}

/// A relay and what is under way to it.
struct Door {
    relay: Arc<Relay>,
    /// Whether its notice has been believed in this visit.
    open: bool,
    /// Whether its notice is being fetched.
    asking: bool,
    /// Whether its newest beats are being fetched.
    listening: bool,
    /// Slow days still to be fetched, the newest last.
    days: Vec<u32>,
    /// Whether a slow day is being fetched.
    reading: bool,
    /// The last trouble told, so that one trouble is told once.
    told: Option<String>,
}

/// A visit over real relays. Dropping it ends it at once, and wipes what it knows; whether its relays hear a goodbye is then a matter of what
/// else happens in that moment, so a visit ends with [`Session::hang_up`].
pub struct Session<C, R> {
    visit: Visit,
    doors: Vec<Door>,
    clock: C,
    rng: R,
    pace: Pace,
    outbox: Outbox<Pulse>,
    errands: JoinSet<Arrival>,
    news: VecDeque<News>,
    /// POSTs begun, which says whose turn it is.
    posts: usize,
    posting: bool,
    slow_read: bool,
    /// Fast beats since the visit began.
    fast_beats: u32,
    opened: (Millis, Duration),
}

impl<C: Clock + Clone + Send + 'static, R: CryptoRng> Session<C, R> {
    /// Asks every relay of the card for its notice and begins the visit with the first that can be believed. Nothing is posted yet: see [`Session::begin`].
    ///
    /// # Errors
    ///
    /// [`OpenError`]. Try again later; nothing was sent.
    pub async fn open(setting: Setting, clock: C, mut rng: R) -> Result<Self, OpenError> {
        let relays = setting.card.relays.iter().map(|relay| Relay::new(relay, setting.dial.clone()).map(Door::of));
        let doors = relays.collect::<Result<Vec<_>, _>>()?;
        let visit = Visit::open(setting.card.root, &mut rng);
        let opened = (clock.wall(), clock.elapsed());
        let mut session = Self {
            visit,
            doors,
            clock,
            rng,
            pace: setting.pace,
            outbox: Outbox::new(),
            errands: JoinSet::new(),
            news: VecDeque::new(),
            posts: 0,
            posting: false,
            slow_read: false,
            fast_beats: 0,
            opened,
        };
        session.first_notice().await?;
        Ok(session)
    }

    async fn first_notice(&mut self) -> Result<(), OpenError> {
        for at in 0..self.doors.len() {
            self.ask(at);
        }
        while !self.doors.iter().any(|door| door.open) {
            match self.errands.join_next().await {
                Some(Ok(arrival)) => self.take(arrival),
                Some(Err(_)) => {}
                None => return Err(self.worst_trouble()),
            }
        }
        Ok(())
    }

    /// Of all relays' troubles the one to tell: distrust first.
    fn worst_trouble(&mut self) -> OpenError {
        let troubles = self.news.drain(..).filter_map(|news| match news {
            News::Trouble(_, trouble) => Some(trouble),
            _ => None,
        });
        let worst = troubles.reduce(|worst, next| if next.is_distrust() && !worst.is_distrust() { next } else { worst });
        worst.map_or(OpenError::NoRelay, OpenError::Relays)
    }

    /// The visit's state.
    #[must_use]
    pub fn visit(&self) -> &Visit {
        &self.visit
    }

    /// The line's clock.
    #[must_use]
    pub fn line_now(&self) -> Millis {
        self.visit.line_now(self.now())
    }

    /// The driver's clock: the wall's at the opening, and what has passed since. A wall clock that is set meanwhile changes nothing.
    fn now(&self) -> Millis {
        let (wall, elapsed) = self.opened;
        let passed = self.clock.elapsed().saturating_sub(elapsed);
        wall.plus(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX))
    }

    /// Learns who she is.
    pub fn know(&mut self, stretched: Stretched) {
        let now = self.now();
        let events = self.visit.know(stretched, now, &mut self.rng);
        self.tell(events);
    }

    /// Takes a letter to send from the next beat on, and gives its number in the visit.
    ///
    /// # Errors
    ///
    /// [`VisitError::NoPhrase`], [`VisitError::Content`].
    pub fn write(&mut self, letter: &Letter, to: To) -> Result<u16, VisitError> {
        let now = self.now();
        self.visit.write(letter, to, now)
    }

    /// An answer was displayed, the whole of it: posts name it from now on.
    pub fn displayed(&mut self, answer: &ShownAnswer) {
        self.visit.displayed(answer.mailbox(), answer.answer);
    }

    /// Starts the beats: the first POST at once.
    pub fn begin(&mut self) {
        let now = self.clock.elapsed();
        let (up, fast, slow) = self.lengths();
        self.post_at(now);
        self.outbox.set(Pulse::Up, Beat::after_first(up, now, &mut self.rng));
        self.outbox.set(Pulse::Fast, Beat::after_first(fast, now, &mut self.rng));
        self.outbox.set(Pulse::Slow, Beat::at_random(slow, now, &mut self.rng));
        self.listen();
        self.fetch_days();
    }

    fn lengths(&self) -> (Duration, Duration, Duration) {
        let timing = self.visit.timing();
        let slow = Duration::from_secs(u64::from(timing.slow_s));
        match self.pace {
            Pace::Lines => (self.up_beat(), Duration::from_millis(u64::from(timing.beat_ms)), slow),
            Pace::Hasty => (HASTY, HASTY, slow.min(HASTY * 20)),
        }
    }

    fn up_beat(&self) -> Duration {
        match self.pace {
            Pace::Lines => Duration::from_millis(u64::from(self.visit.timing().up_beat_ms)),
            Pace::Hasty => HASTY,
        }
    }

    fn patience(&self) -> Patience {
        Patience::of_beat(self.up_beat())
    }

    /// The next thing that happens; `None` once the clock's elapsed time has reached `until`. May be dropped while it waits: nothing is lost by that.
    pub async fn next(&mut self, until: Duration) -> Option<News> {
        loop {
            if let Some(news) = self.news.pop_front() {
                return Some(news);
            }
            let Self { outbox, errands, clock, .. } = self;
            tokio::select! {
                biased;
                Some(arrival) = errands.join_next() => if let Ok(arrival) = arrival { self.take(arrival) },
                pulse = outbox.due(clock) => self.pulse(pulse),
                () = clock.sleep_until(until) => return None,
            }
        }
    }

    /// What has happened and was not given out yet. A visit that is about to end asks for it until there is no more.
    pub fn heard(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Ends what is under way and every connection, each by its goodbye, and returns when they have ended, or a relay would have had time to
    /// hear of it. After that there is no [`Self::next`].
    pub async fn hang_up(&mut self) {
        self.errands.shutdown().await;
        let ended: Vec<_> = self.doors.drain(..).map(|door| door.relay.ended()).collect();
        let all = async {
            for one in ended {
                one.await;
            }
        };
        let until = self.clock.elapsed() + FAREWELL;
        tokio::select! {
            () = all => {}
            () = self.clock.sleep_until(until) => {}
        }
    }

    /// What waited for its turn, for a session that is about to end: [`Self::heard`] gives it.
    pub fn wait_no_more(&mut self) {
        let now = self.now();
        self.news.extend(self.visit.wait_no_more(now).into_iter().map(News::Event));
    }

    fn pulse(&mut self, pulse: Pulse) {
        match pulse {
            // The pulse is the sealing; the POST itself goes on its beat, a constant time after the pulse was due.
            Pulse::Up => {
                let due = self.outbox.last(pulse).unwrap_or_else(|| self.clock.elapsed());
                self.post_at(due + SEALED_AHEAD.min(self.up_beat() / 2));
                self.read_on();
            }
            Pulse::Fast => {
                self.listen();
                self.fast_beats = self.fast_beats.wrapping_add(1);
                if self.fast_beats.is_multiple_of(NOTICE_BEATS) {
                    (0..self.doors.len()).for_each(|at| self.ask(at));
                }
            }
            Pulse::Slow => self.fetch_today(),
        }
        self.knock_again();
    }

    /// Seals this beat's cell now and posts it at `at`. A POST still under way takes this beat too: there are never two.
    fn post_at(&mut self, at: Duration) {
        if self.posting {
            return;
        }
        let turn = self.posts.checked_rem(self.doors.len()).unwrap_or(0);
        self.posts += 1;
        let now = self.now();
        let Some(door) = self.doors.get(turn) else { return };
        let Ok(post) = self.visit.beat(door.relay.number(), now, &mut self.rng) else { return };
        self.posting = true;
        self.errands.spawn(post_errand(turn, Arc::clone(&door.relay), post, self.clock.clone(), at, self.patience()));
    }

    /// Fetches the newest beats of every relay whose last such fetch is over.
    fn listen(&mut self) {
        let (slots, patience) = (self.visit.timing().fast_slots, self.patience());
        for (at, door) in self.doors.iter_mut().enumerate().filter(|(_, door)| door.open && !door.listening) {
            door.listening = true;
            let relay = Arc::clone(&door.relay);
            self.errands.spawn(async move { Arrival::Fast(at, relay.fast(slots, patience).await) });
        }
    }

    /// Lines up all slow days at every open relay, newest first.
    fn fetch_days(&mut self) {
        let mut days = self.visit.days(self.now());
        days.reverse();
        for door in self.doors.iter_mut().filter(|door| door.open) {
            door.days.clone_from(&days);
        }
        self.read_on();
    }

    /// Lines up the slow days that can have changed since the last slot: today's, and for a day that has just ended, its last slot.
    fn fetch_today(&mut self) {
        let newest: Vec<u32> = self.visit.days(self.now()).into_iter().take(2).collect();
        for door in self.doors.iter_mut().filter(|door| door.open) {
            for day in newest.iter().rev() {
                if !door.days.contains(day) {
                    door.days.push(*day);
                }
            }
        }
        self.read_on();
    }

    /// Fetches the next slow day of each relay, one at a time.
    fn read_on(&mut self) {
        let patience = self.patience();
        for (at, door) in self.doors.iter_mut().enumerate().filter(|(_, door)| !door.reading) {
            let Some(day) = door.days.pop() else { continue };
            door.reading = true;
            let relay = Arc::clone(&door.relay);
            self.errands.spawn(async move { Arrival::Slow(at, day, relay.slow(day, patience).await) });
        }
        let all_read = self.doors.iter().all(|door| !door.open || (door.days.is_empty() && !door.reading));
        if all_read && !core::mem::replace(&mut self.slow_read, true) {
            self.news.push_back(News::SlowRead);
        }
    }

    /// Asks relays that have not been believed yet once more, a beat later; all of them when the roster is over.
    fn knock_again(&mut self) {
        let over = self.visit.wants_notice(self.now());
        let shut: Vec<usize> = self.doors.iter().enumerate().filter(|(_, door)| over || !door.open).map(|(at, _)| at).collect();
        shut.into_iter().for_each(|at| self.ask(at));
    }

    fn ask(&mut self, at: usize) {
        let patience = self.patience();
        let Some(door) = self.doors.get_mut(at).filter(|door| !door.asking) else { return };
        door.asking = true;
        let relay = Arc::clone(&door.relay);
        self.errands.spawn(async move { Arrival::Notice(at, relay.notice(patience).await) });
    }

    fn take(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Notice(at, outcome) => self.take_notice(at, outcome),
            Arrival::Posted(at, ticket, outcome) => self.take_reply(at, ticket, outcome),
            Arrival::Fast(at, outcome) => self.take_fast(at, outcome),
            Arrival::Slow(at, day, outcome) => self.take_slow(at, day, outcome),
        }
    }

    fn take_notice(&mut self, at: usize, outcome: Result<Heard, Failure>) {
        let now = self.now();
        let Some(door) = self.doors.get_mut(at) else { return };
        door.asking = false;
        let heard = match outcome {
            Ok(heard) => heard,
            Err(failure) => return self.trouble(at, RelayTrouble::Failure(failure)),
        };
        let paced = self.visit.timing();
        match self.visit.notice(heard.notice.to_bytes().as_slice(), Some(door.relay.number()), now, visit::Clock::Own) {
            Ok(events) => {
                let (begun, moved) = (self.outbox.next().is_some(), self.visit.timing() != paced);
                let first = !core::mem::replace(&mut door.open, true);
                // Of one that was open before a notice says nothing new: posts that fail all the while are one trouble.
                if first {
                    door.told = None;
                }
                self.tell(events);
                if first && begun {
                    self.greet(at);
                }
                if moved && begun {
                    self.change_pace();
                }
            }
            Err(error) => self.trouble(at, RelayTrouble::Visit(error)),
        }
    }

    /// The line's new roster keeps another pace: the beats go on at that.
    fn change_pace(&mut self) {
        let now = self.clock.elapsed();
        let (up, fast, slow) = self.lengths();
        for (pulse, length) in [(Pulse::Up, up), (Pulse::Fast, fast), (Pulse::Slow, slow)] {
            self.outbox.set(pulse, Beat::after_first(length, now, &mut self.rng));
        }
    }

    /// A relay that answers only after the visit began is read from the start, like the others.
    fn greet(&mut self, at: usize) {
        let mut days = self.visit.days(self.now());
        days.reverse();
        if let Some(door) = self.doors.get_mut(at) {
            door.days = days;
        }
        self.read_on();
    }

    fn take_reply(&mut self, at: usize, ticket: Ticket, outcome: Result<Vec<u8>, Failure>) {
        self.posting = false;
        let Some(number) = self.doors.get(at).map(|door| door.relay.number()) else { return };
        let taken = self.visit.posted(ticket, number, outcome.as_deref().ok());
        self.news.push_back(News::Posted);
        match (taken, outcome) {
            (_, Err(failure)) => self.trouble(at, RelayTrouble::Failure(failure)),
            (Err(error), Ok(_)) => self.trouble(at, RelayTrouble::Visit(error)),
            (Ok(events), Ok(_)) => {
                if events.iter().any(|event| matches!(event, Event::NewRoster(_) | Event::StampAsked)) {
                    self.ask(at);
                }
                self.tell(events);
            }
        }
    }

    fn take_fast(&mut self, at: usize, outcome: Result<Vec<u8>, Failure>) {
        let now = self.now();
        let Some(door) = self.doors.get_mut(at) else { return };
        door.listening = false;
        let number = door.relay.number();
        match outcome
            .map_err(RelayTrouble::Failure)
            .and_then(|bytes| self.visit.fast(number, &bytes, now).map_err(RelayTrouble::Visit))
        {
            Ok(events) => {
                self.tell(events);
                self.news.push_back(News::FastRead);
            }
            Err(trouble) => self.trouble(at, trouble),
        }
    }

    fn take_slow(&mut self, at: usize, day: u32, outcome: Result<Vec<u8>, Failure>) {
        let now = self.now();
        let Some(door) = self.doors.get_mut(at) else { return };
        door.reading = false;
        let number = door.relay.number();
        match outcome {
            Ok(bytes) => match self.visit.slow_day(number, &bytes, now) {
                Ok(events) => self.tell(events),
                Err(error) => self.trouble(at, RelayTrouble::Visit(error)),
            },
            // A day may have passed out of the track between asking and answering; only today's is never missing.
            Err(Failure::NotThisLine) if self.visit.days(now).first() != Some(&day) => {}
            Err(failure) => {
                door.days.push(day);
                // Not at once: the next beat reads on.
                return self.trouble(at, RelayTrouble::Failure(failure));
            }
        }
        self.read_on();
    }

    fn tell(&mut self, events: Vec<Event>) {
        self.news.extend(events.into_iter().map(News::Event));
    }

    /// Tells a relay's trouble, unless it was the last thing told of that relay.
    fn trouble(&mut self, at: usize, trouble: RelayTrouble) {
        let Some(door) = self.doors.get_mut(at) else { return };
        let said = trouble.to_string();
        if door.told.replace(said.clone()) != Some(said) {
            self.news.push_back(News::Trouble(door.relay.number(), trouble));
        }
    }
}

impl Door {
    fn of(relay: Relay) -> Self {
        Self {
            relay: Arc::new(relay),
            open: false,
            asking: false,
            listening: false,
            days: Vec::new(),
            reading: false,
            told: None,
        }
    }
}

async fn post_errand(at: usize, relay: Arc<Relay>, post: Post, clock: impl Clock, beat: Duration, patience: Patience) -> Arrival {
    clock.sleep_until(beat).await;
    Arrival::Posted(at, post.ticket, relay.up(&post.bytes, patience).await)
}
