//! The driver.

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use porchlight_proto::api::{DeskOutcome, DeskReply, LanePage};
use porchlight_proto::card::RelayAddress;
use porchlight_proto::event::Board;
use porchlight_proto::limits::{BULLETIN_LEN, ROSTER_LEN};
use porchlight_proto::time::{Millis, Seconds};
use porchlight_proto::token::Request;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tokio::task::JoinSet;

use crate::desk::{BoardTaken, BoardToLeave, Desk, DeskError, Office, OfficeError, Posted, Ticket};
use crate::outbox::{Beat, Clock, Outbox, SEALED_AHEAD};
use crate::transport::{Authorize, Dial, Failure, Heard, Patience, Relay, RelayError};

/// How long a long poll is held open (SPEC §11 allows 30 s).
const POLL_S: u64 = 25;
/// How often the desk looks at its relays' notices although nothing calls for it.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// How many beats after a look at the earliest a refused call makes the desk look again.
const LOOK_AGAIN_BEATS: u32 = 6;
/// A relay whose clock differs from this machine's by more than this, in milliseconds, is not followed.
const CLOCKS_APART_MS: u64 = 86_400_000;
/// How often the vault is tidied.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// After a failed fetch, how long until the next.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// After a relay that has no room for a board, or a board that no key opens yet, how long until the next try.
const BOARD_AGAIN: Duration = Duration::from_secs(60);

/// A lane that has been read to its end is asked again so long after a page came, whatever was to be done with it: a quarter of a
/// second, or of a beat if that is shorter.
const POLL_PAUSE: Duration = Duration::from_millis(250);

/// A long poll that held for less than this and brought nothing was not held.
const HASTY_POLL: Duration = Duration::from_secs(1);

/// For how long a desk is on duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// One round: polls come back at once, and failed ones are not repeated.
    Round,
    /// For ever: polls are held open, and whatever fails is tried again.
    Watch,
}

/// Whether this process posts bundles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posting {
    /// It does.
    Here,
    /// Another process of the same vault does: a device that posted twice in a beat would stand out.
    Elsewhere,
}

/// Why a desk cannot be on duty.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DutyError {
    /// The vault.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// The line's card cannot be used on this machine.
    #[error(transparent)]
    Card(#[from] RelayError),
}

impl From<OfficeError> for DutyError {
    fn from(error: OfficeError) -> Self {
        Self::Desk(DeskError::from(error))
    }
}

/// What happens on duty.
#[derive(Debug)]
#[non_exhaustive]
pub enum DutyNews {
    /// So many letters came that the desk did not have.
    Letters(usize),
    /// A relay's lane has been read to its end.
    CaughtUp(u8),
    /// A relay took rosters up to this serial.
    Published(u8, u32),
    /// Letters may have died unread while this device was away: it asks its colleagues for the board.
    Asked,
    /// The board that a colleague left was taken: what was missed is here.
    BoardTaken,
    /// A bundle was taken by a relay.
    Posted(u8),
    /// A relay shows an older roster than it did: it may have lost its disk, or lie.
    RolledBack(u8),
    /// A relay refuses a roster, for this serial.
    Refused(u8, u32),
    /// A relay calls itself by another number than the card.
    Misnumbered(u8, u8),
    /// A relay keeps another pace than the line's others, and is not heard as long as it does.
    PacesDiffer(u8),
    /// A relay does not answer as it should.
    Trouble(u8, Failure),
    /// The vault cannot be read or written. Nothing that was not written was sent.
    Vault(DeskError),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pulse {
    Bundle(usize),
    Poll(usize),
    Look(usize),
    Tidy,
}

enum Arrival {
    Notice(usize, Result<Heard, Failure>),
    Put(usize, Box<[u8; ROSTER_LEN]>, Result<DeskReply, Failure>),
    /// A page of the lane, and when it came: whatever else was to be done then, the next one is asked for by that.
    Page(usize, Duration, Result<LanePage, Failure>),
    Bundle(usize, Ticket, Result<DeskReply, Failure>),
    Days(usize, Result<Vec<(u32, Vec<u8>)>, Failure>),
    /// The blobs of a board for a colleague are with a relay, unless it has no room for them.
    Left(usize, Board, Result<bool, Failure>),
    Board(usize, Board, Result<Vec<u8>, Failure>),
}

/// One relay and what is under way to it.
struct Post {
    relay: Arc<Relay>,
    /// Where it was when this began.
    address: RelayAddress,
    /// The card says otherwise now: nothing new is begun there, and it is heard no more.
    leaving: bool,
    heard: bool,
    /// By how many milliseconds its clock is ahead of this machine's.
    ahead_ms: i64,
    asking: bool,
    looked: Duration,
    polling: bool,
    polled_at: Duration,
    /// The lane's life and the position after which the last poll asked.
    polled_after: (u64, u64),
    posting: bool,
    caught_up: bool,
    /// After a backup was restored: whether its slow days are being, or have been, searched for our own tags.
    searching: bool,
    searched: bool,
    serial: u32,
    /// Rosters still to be handed in, the next one last.
    to_put: Vec<Box<[u8; ROSTER_LEN]>>,
    putting: bool,
    /// How often in turn its notice, or a roster, came to nothing.
    failures: u32,
    beat: Duration,
    told: Option<String>,
}

/// A desk on duty. Dropping it ends the duty at once; what the vault holds stays.
pub struct Duty<C> {
    office: Arc<Mutex<Office>>,
    dial: Dial,
    posts: Vec<Post>,
    clock: C,
    rng: ChaCha20Rng,
    term: Term,
    posting: Posting,
    outbox: Outbox<Pulse>,
    errands: JoinSet<Arrival>,
    news: VecDeque<DutyNews>,
    giving: Errand,
    fetching: Errand,
    /// The first blob of a board that was not there when it was last asked for.
    missing: Option<[u8; 16]>,
}

/// Something done once at a time, and not again too soon after it failed.
#[derive(Default)]
struct Errand {
    under_way: bool,
    not_before: Duration,
}

impl Errand {
    fn may_begin(&self, now: Duration) -> bool {
        !self.under_way && now >= self.not_before
    }
    fn end(&mut self, not_before: Duration) {
        *self = Self { under_way: false, not_before };
    }
}

impl<C: Clock + Clone + Send + 'static> Duty<C> {
    /// Goes on duty: asks every relay for its notice.
    ///
    /// # Errors
    ///
    /// [`DutyError`]; nothing was sent.
    pub fn begin(
        mut office: Office,
        dial: &Dial,
        term: Term,
        posting: Posting,
        clock: C,
        mut rng: ChaCha20Rng,
    ) -> Result<Self, DutyError> {
        office.doubt_if_restored(clock.wall().seconds(), &mut rng)?;
        let relays = office.look()?.relays().to_vec();
        let posts = relays.iter().map(|relay| Post::of(relay, dial)).collect::<Result<Vec<_>, _>>()?;
        let mut outbox = Outbox::new();
        outbox.set(Pulse::Tidy, Beat::at_random(TIDY_EVERY, clock.elapsed(), &mut rng));
        let office = Arc::new(Mutex::new(office));
        let errands = JoinSet::new();
        let (news, giving, fetching) = (VecDeque::new(), Errand::default(), Errand::default());
        let dial = dial.clone();
        let mut duty =
            Self { office, dial, posts, clock, rng, term, posting, outbox, errands, news, giving, fetching, missing: None };
        duty.tidy();
        for at in 0..duty.posts.len() {
            duty.look(at);
        }
        Ok(duty)
    }

    /// The desk, as the vault has it now.
    ///
    /// # Errors
    ///
    /// [`OfficeError`] if the vault cannot be read.
    pub fn view<T>(&self, see: impl FnOnce(&Desk) -> T) -> Result<T, OfficeError> {
        locked(&self.office).look().map(see)
    }

    /// Changes the desk; what it did is on the disk when this returns. Rosters that it signed are handed in at once, at every relay.
    ///
    /// # Errors
    ///
    /// What `change` returns, or the vault's own error.
    pub fn act<T, E: From<OfficeError>>(
        &mut self,
        change: impl FnOnce(&mut Desk, &mut ChaCha20Rng) -> Result<T, E>,
    ) -> Result<T, E> {
        let (done, signed) = self.change(|desk, rng| {
            let newest = desk.newest_roster();
            let done = change(desk, rng)?;
            Ok::<_, E>((done, desk.newest_roster() != newest))
        })?;
        if signed {
            (0..self.posts.len()).for_each(|at| self.look(at));
        }
        Ok(done)
    }

    fn change<T, E: From<OfficeError>>(
        &mut self,
        change: impl FnOnce(&mut Desk, &mut ChaCha20Rng) -> Result<T, E>,
    ) -> Result<T, E> {
        locked(&self.office).act(&mut self.rng, change)
    }

    /// Destroys the vault, the keys first. What was said before, and what is said from now on, is in memory alone; it is still
    /// sent, from here, until the duty is dropped.
    ///
    /// # Errors
    ///
    /// As [`Office::burn`].
    pub fn burn(&mut self) -> Result<(), OfficeError> {
        let burned = locked(&self.office).burn();
        // Another process of this vault has none any more to post from.
        if self.posting == Posting::Elsewhere {
            self.post_from_now_on();
        }
        burned
    }

    /// Whether a notice of this relay has been heard.
    #[must_use]
    pub fn heard(&self) -> usize {
        self.here().filter(|(_, post)| post.heard).count()
    }

    /// How many relays are read to the end of their lanes, and have all rosters.
    #[must_use]
    pub fn settled(&self) -> usize {
        if self.giving.under_way || self.fetching.under_way {
            return 0;
        }
        self.here().filter(|(_, post)| post.heard && post.caught_up && post.to_put.is_empty() && !post.putting).count()
    }

    /// How many relays have taken the newest roster that this device signed; all of them, if it signs none.
    #[must_use]
    pub fn handed_in(&self) -> usize {
        let has = |number| self.view(|desk| desk.is_handed_in(number)).unwrap_or(false);
        self.here().filter(|(_, post)| has(post.relay.number())).count()
    }

    /// How many relays the line has.
    #[must_use]
    pub fn relay_count(&self) -> usize {
        self.here().count()
    }

    /// Whether anything is still under way or will be tried again; a round in which every relay failed has come to its end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.term == Term::Round && self.errands.is_empty() && self.news.is_empty() && !self.posts.iter().any(|post| post.heard)
    }

    /// The longest of the relays' desk beats.
    #[must_use]
    pub fn beat(&self) -> Duration {
        self.here().map(|(_, post)| post.beat).max().unwrap_or_default()
    }

    /// Posts bundles from now on: the process that did it has ended.
    pub fn post_from_now_on(&mut self) {
        self.posting = Posting::Here;
        let now = self.clock.elapsed();
        for (at, post) in self.posts.iter().enumerate().filter(|(_, post)| post.heard) {
            self.outbox.set(Pulse::Bundle(at), Beat::at_random(post.beat, now, &mut self.rng));
        }
    }

    /// Hands a bulletin to every relay, or to `only` one, to all at once; what came of it, in the order of the relays. Nothing is sent
    /// before this is awaited, and the duty goes on meanwhile.
    pub fn raise(
        &mut self,
        bulletin: [u8; BULLETIN_LEN],
        only: Option<u8>,
    ) -> impl Future<Output = Vec<(u8, Result<DeskReply, Failure>)>> + use<C> {
        let mut errands = JoinSet::new();
        let posts: Vec<(usize, Arc<Relay>)> = self.here().map(|(at, post)| (at, Arc::clone(&post.relay))).collect();
        let meant = posts.into_iter().filter(|(_, relay)| only.is_none_or(|only| only == relay.number()));
        let calls: Vec<_> = meant.map(|(at, relay)| (relay, self.token(at), self.patience(at))).collect();
        async move {
            for (relay, token, patience) in calls {
                errands.spawn(async move { (relay.number(), relay.put_bulletin(&bulletin, token, patience).await) });
            }
            let mut outcomes = errands.join_all().await;
            outcomes.sort_by_key(|(relay, _)| *relay);
            outcomes
        }
    }

    /// The next thing that happens; `None` once the clock's elapsed time has reached `until`. May be dropped while it waits.
    pub async fn next(&mut self, until: Duration) -> Option<DutyNews> {
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

    fn pulse(&mut self, pulse: Pulse) {
        match pulse {
            Pulse::Bundle(at) => self.bundle(at),
            Pulse::Poll(at) => {
                self.outbox.stop(pulse);
                self.poll(at);
            }
            Pulse::Look(at) => self.look(at),
            Pulse::Tidy => self.tidy(),
        }
    }

    /// This machine's own clock: for what is signed and said.
    fn now(&self) -> Millis {
        self.clock.wall()
    }

    /// The clock of a relay, as far as its last notice tells: for slots, tokens and its lane. A laptop whose clock is hours off
    /// goes on working; one that is off by more than a day is left to its own, and refused.
    fn line_now(&self, at: usize) -> Millis {
        let ahead = self.posts.get(at).map_or(0, |post| post.ahead_ms);
        Millis(self.now().0.saturating_add_signed(ahead))
    }

    fn patience(&self, at: usize) -> Patience {
        Patience::of_beat(self.posts.get(at).map_or(Duration::ZERO, |post| post.beat))
    }

    /// Signs a token when the connection is there. Locks the office for no longer than that takes.
    fn token(&mut self, at: usize) -> impl FnOnce(&[u8; 32], &Request<'_>) -> Option<String> + Send + use<C> {
        let (office, clock) = (Arc::clone(&self.office), self.clock.clone());
        let ahead = self.posts.get(at).map_or(0, |post| post.ahead_ms);
        let mut rng = ChaCha20Rng::from_rng(&mut self.rng);
        move |spki, request| {
            let now = Millis(clock.wall().0.saturating_add_signed(ahead));
            locked(&office).look().ok()?.token(spki, request, now.seconds(), &mut rng).ok()
        }
    }

    /// The clock that is furthest behind, this machine's or a relay's: for what is erased, which does not come back, and for which day's
    /// statement is the first that is needed.
    fn earliest(&self) -> Seconds {
        let clocks = self.here().map(|(at, _)| self.line_now(at));
        clocks.fold(self.now(), Millis::min).seconds()
    }

    fn tidy(&mut self) {
        let now = self.earliest();
        let tidied = self.change(|desk, rng| desk.tidy(now, rng));
        let compacted = locked(&self.office).compact_if_grown(now, &mut self.rng).map_err(DeskError::from);
        self.news.extend(tidied.err().into_iter().chain(compacted.err()).map(DutyNews::Vault));
        self.follow();
    }

    /// Looks for relays where the card says, if somebody took another card on this machine meanwhile. At the old place nothing new is
    /// begun; what is under way there comes to its end first, for it may have been written.
    fn follow(&mut self) {
        let Ok(card) = self.view(|desk| desk.relays().to_vec()) else { return };
        for (at, post) in self.posts.iter_mut().enumerate().filter(|(_, post)| !card.contains(&post.address)) {
            (post.leaving, post.heard) = (true, false);
            post.to_put.clear();
            [Pulse::Bundle(at), Pulse::Poll(at), Pulse::Look(at)].into_iter().for_each(|pulse| self.outbox.stop(pulse));
        }
        let is_carrying = self.giving.under_way || self.fetching.under_way;
        for relay in card {
            let at = self.posts.iter().position(|post| post.address.number == relay.number);
            if let Some(post) = at.and_then(|at| self.posts.get_mut(at)).filter(|post| post.address == relay) {
                // Gone, and there again.
                if core::mem::take(&mut post.leaving) {
                    at.into_iter().for_each(|at| self.look(at));
                }
                continue;
            }
            let known = at.and_then(|at| self.posts.get(at));
            if known.is_some_and(|post| is_carrying || post.is_busy()) {
                continue;
            }
            let Ok(mut fresh) = Post::of(&relay, &self.dial) else { continue };
            if let Some(old) = known {
                // The last page from the old place is read like any other.
                (fresh.polling, fresh.polled_at, fresh.polled_after) = (old.polling, old.polled_at, old.polled_after);
            }
            match at.and_then(|at| self.posts.get_mut(at)) {
                Some(post) => *post = fresh,
                None => self.posts.push(fresh),
            }
            self.look(at.unwrap_or(self.posts.len() - 1));
        }
    }

    /// The relays that the card names, where it names them.
    fn here(&self) -> impl Iterator<Item = (usize, &Post)> {
        self.posts.iter().enumerate().filter(|(_, post)| !post.leaving)
    }

    // ── notices and rosters ─────────────────────────────────────────────────────────────────────

    fn look(&mut self, at: usize) {
        let patience = self.patience(at);
        let Some(post) = self.posts.get_mut(at).filter(|post| !post.asking && !post.leaving) else { return };
        post.asking = true;
        post.looked = self.clock.elapsed();
        let relay = Arc::clone(&post.relay);
        self.errands.spawn(async move { Arrival::Notice(at, relay.notice(patience).await) });
    }

    fn hear(&mut self, at: usize, heard: &Heard) -> Result<(), DeskError> {
        let now = self.now().seconds();
        let Some(post) = self.posts.get_mut(at).filter(|post| !post.leaving) else { return Ok(()) };
        post.ahead_ms = ahead(heard.notice.clock_ms, now.millis());
        let number = post.relay.number();
        let first = self.earliest();
        let (told, rosters, beat) = self.change(|desk, rng| {
            let told = desk.hear_notice(number, &heard.notice, now)?;
            desk.publish(first, rng)?;
            Ok::<_, DeskError>((told, desk.rosters_to_put(number), desk.beat_every(number)))
        })?;
        if told.rolled_back {
            self.news.push_back(DutyNews::RolledBack(number));
        }
        if heard.calls_itself != number {
            self.news.push_back(DutyNews::Misnumbered(number, heard.calls_itself));
        }
        self.settle_in(at, told.serial, rosters, Duration::from_millis(beat.0));
        Ok(())
    }

    /// A notice that came and could not be used. Nothing is begun at a relay that was never heard, so it is asked again.
    fn take_unheard(&mut self, at: usize, error: DeskError) {
        self.look_later(at);
        let Some(post) = self.posts.get_mut(at) else { return };
        let DeskError::PacesDiffer = error else { return self.news.push_back(DutyNews::Vault(error)) };
        // One that was heard before is no relay of this line any more, until its notice can be used again.
        post.heard = false;
        let said = error.to_string();
        if post.told.replace(said.clone()) != Some(said) {
            self.news.push_back(DutyNews::PacesDiffer(post.relay.number()));
        }
    }

    /// Starts or goes on with everything a relay that has been heard is part of.
    fn settle_in(&mut self, at: usize, serial: u32, rosters: Vec<Box<[u8; ROSTER_LEN]>>, beat: Duration) {
        let now = self.clock.elapsed();
        let Some(post) = self.posts.get_mut(at) else { return };
        let changed = !core::mem::replace(&mut post.heard, true) || post.beat != beat;
        post.beat = beat;
        post.serial = serial;
        post.told = None;
        post.to_put = rosters.into_iter().rev().collect();
        if post.to_put.is_empty() {
            post.failures = 0;
        }
        if changed && self.posting == Posting::Here {
            self.outbox.set(Pulse::Bundle(at), Beat::at_random(beat, now, &mut self.rng));
        }
        self.outbox.set(Pulse::Look(at), Beat::after_first(LOOK_EVERY, now, &mut self.rng));
        self.put_next(at);
        self.poll(at);
    }

    /// A colleague may have said what rosters must say as well: those that it calls for are handed in at once.
    fn sign_if_called_for(&mut self) {
        let first = self.earliest();
        if let Err(error) = self.act(|desk, rng| desk.publish(first, rng)) {
            self.news.push_back(DutyNews::Vault(error));
        }
    }

    fn put_next(&mut self, at: usize) {
        let (token, patience) = (self.token(at), self.patience(at));
        let Some(post) = self.posts.get_mut(at).filter(|post| !post.putting) else { return };
        let Some(roster) = post.to_put.pop() else { return };
        post.putting = true;
        let relay = Arc::clone(&post.relay);
        self.errands.spawn(async move {
            let reply = relay.put_roster(&roster, token, patience).await;
            Arrival::Put(at, roster, reply)
        });
    }

    fn take_put(&mut self, at: usize, roster: &[u8; ROSTER_LEN], reply: Result<DeskReply, Failure>) {
        let Some(post) = self.posts.get_mut(at) else { return };
        post.putting = false;
        let (number, serial) = (post.relay.number(), serial_of(roster));
        match reply {
            Ok(reply) if reply.outcome == DeskOutcome::Done => {
                post.serial = post.serial.max(reply.serial);
                post.failures = 0;
                let written = self.change(|desk, _| {
                    desk.roster_put(number, roster);
                    Ok::<_, DeskError>(())
                });
                self.news.push_back(written.err().map_or(DutyNews::Published(number, serial), DutyNews::Vault));
                self.put_next(at);
            }
            Ok(_) => {
                self.news.push_back(DutyNews::Refused(number, serial));
                self.put_next(at);
            }
            Err(failure) => {
                post.to_put.clear();
                self.look_later(at);
                self.trouble(at, failure);
            }
        }
    }

    // ── the up lane ─────────────────────────────────────────────────────────────────────────────

    fn poll(&mut self, at: usize) {
        let (token, patience) = (self.token(at), self.patience(at));
        let Some(number) = self.posts.get(at).filter(|post| post.heard && !post.polling).map(|post| post.relay.number()) else {
            return;
        };
        let after = match self.view(|desk| desk.after(number)) {
            Ok(after) => after,
            Err(error) => return self.news.push_back(DutyNews::Vault(DeskError::from(error))),
        };
        let now = self.clock.elapsed();
        let Some(post) = self.posts.get_mut(at) else { return };
        post.polling = true;
        post.polled_at = now;
        post.polled_after = after;
        let wait = if post.caught_up { POLL_S } else { 0 };
        let relay = Arc::clone(&post.relay);
        let clock = self.clock.clone();
        self.errands.spawn(async move {
            let page = relay.desk_up(after, wait, token, patience).await;
            Arrival::Page(at, clock.elapsed(), page)
        });
    }

    /// Asks for the next page a constant time after one came.
    fn poll_after(&mut self, at: usize, came: Duration) {
        let Some(post) = self.posts.get(at) else { return };
        if self.term == Term::Watch && post.caught_up {
            let due = came + POLL_PAUSE.min(post.beat / 4);
            self.outbox.set(Pulse::Poll(at), Beat::due_at(due, AFTER_FAILURE));
        } else {
            self.poll(at);
        }
    }

    fn take_page(&mut self, at: usize, came: Duration, page: Result<LanePage, Failure>) {
        let now = self.line_now(at);
        let Some(post) = self.posts.get_mut(at) else { return };
        post.polling = false;
        let number = post.relay.number();
        let page = match page {
            Ok(page) => page,
            Err(failure) => {
                self.outbox.set(Pulse::Poll(at), Beat::at_random(AFTER_FAILURE, self.clock.elapsed(), &mut self.rng));
                return self.trouble(at, failure);
            }
        };
        let empty = page.cells.is_empty();
        // A long poll that comes back empty at once is not what the SPEC says: do not spin.
        let hasty = empty && post.caught_up && self.clock.elapsed() < post.polled_at + HASTY_POLL;
        let asked = post.polled_after;
        let taken = self.change(|desk, rng| {
            // Another process of this vault has read on, or begun anew, meanwhile: what follows the place it left is not what came.
            if desk.after(number) == asked { desk.take_page(number, &page, now, rng).map(Some) } else { Ok(None) }
        });
        match taken {
            Ok(None) => self.poll_after(at, came),
            Ok(Some(taken)) => {
                if taken.letters > 0 {
                    self.news.push_back(DutyNews::Letters(taken.letters));
                }
                if taken.events > 0 {
                    self.sign_if_called_for();
                }
                let end = empty || !taken.more;
                if let Some(post) = self.posts.get_mut(at)
                    && end
                    && !core::mem::replace(&mut post.caught_up, true)
                {
                    self.news.push_back(DutyNews::CaughtUp(number));
                }
                if end {
                    self.search(at);
                }
                if self.posts.get(at).is_some_and(|post| post.caught_up) {
                    self.attend(at);
                }
                if hasty {
                    self.outbox.set(Pulse::Poll(at), Beat::at_random(AFTER_FAILURE, self.clock.elapsed(), &mut self.rng));
                } else {
                    self.poll_after(at, came);
                }
            }
            Err(error) => {
                self.outbox.set(Pulse::Poll(at), Beat::at_random(AFTER_FAILURE, self.clock.elapsed(), &mut self.rng));
                self.news.push_back(DutyNews::Vault(error));
            }
        }
    }

    // ── after a restored backup ─────────────────────────────────────────────────────────────────

    /// Once a lane has been read to its end: fetches the slow days, if it is in doubt which tags were used.
    fn search(&mut self, at: usize) {
        let now = self.line_now(at);
        let Ok(days) = self.view(|desk| desk.doubtful().then(|| desk.days_to_search(now))) else { return };
        let patience = self.patience(at);
        let Some((days, post)) = days.zip(self.posts.get_mut(at).filter(|post| post.heard && !post.searching && !post.searched))
        else {
            return;
        };
        post.searching = true;
        let relay = Arc::clone(&post.relay);
        self.errands.spawn(async move {
            let mut found = Vec::with_capacity(days.len());
            for day in days {
                match relay.slow(day, patience).await {
                    Ok(bytes) => found.push((day, bytes)),
                    Err(failure) => return Arrival::Days(at, Err(failure)),
                }
            }
            Arrival::Days(at, Ok(found))
        });
    }

    /// Notes our own tags; sending goes on there. A relay that fails is searched at its next page.
    fn take_days(&mut self, at: usize, days: Result<Vec<(u32, Vec<u8>)>, Failure>) {
        let now = self.line_now(at).seconds();
        let Some(post) = self.posts.get_mut(at) else { return };
        post.searching = false;
        let number = post.relay.number();
        let days = match days {
            Ok(days) => days,
            Err(failure) => return self.trouble(at, failure),
        };
        post.searched = true;
        let doubted = self.view(Desk::doubtful).is_ok_and(|doubted| doubted);
        let noted = self.change(|desk, _| {
            for (day, bytes) in &days {
                desk.note_own_tags(number, *day, bytes);
            }
            desk.searched(number, now);
            Ok::<_, DeskError>(())
        });
        match noted {
            // What a lead did not sign in doubt is due now.
            Ok(()) if doubted => self.look(at),
            Ok(()) => {}
            Err(error) => self.news.push_back(DutyNews::Vault(error)),
        }
    }

    // ── boards for whoever was away ─────────────────────────────────────────────────────────────

    /// At every page once a lane has been read to its end: asks for what was missed, takes the board that was left for this device, and
    /// leaves one for a colleague who asked.
    fn attend(&mut self, at: usize) {
        let now = self.line_now(at).seconds();
        let asked = self.view(Desk::may_have_missed).map_err(DeskError::from);
        let asked =
            asked.and_then(|missed| if missed { self.change(|desk, rng| desk.ask_if_missed(now, rng)) } else { Ok(false) });
        match asked {
            Ok(asked) => self.news.extend(asked.then_some(DutyNews::Asked)),
            Err(error) => self.news.push_back(DutyNews::Vault(error)),
        }
        self.fetch();
        self.give(at);
    }

    fn give(&mut self, at: usize) {
        let (now, elapsed, patience) = (self.line_now(at), self.clock.elapsed(), self.patience(at));
        let Some(relay) = self.posts.get(at).filter(|post| post.heard).map(|post| Arc::clone(&post.relay)) else { return };
        let number = relay.number();
        let asked = self.giving.may_begin(elapsed).then(|| self.view(|desk| desk.board_asked_for(number, now)));
        let Some(Ok(Some(asker))) = asked else { return };
        let sealed = self.change(|desk, rng| desk.board_to_leave(asker, number, now.seconds(), rng));
        match sealed {
            Ok(board) => {
                let tokens: Vec<_> = board.blobs().map(|_| self.token(at)).collect();
                self.giving.under_way = true;
                self.errands.spawn(async move {
                    let left = leave(&relay, &board, tokens, patience).await;
                    Arrival::Left(at, board.board().clone(), left)
                });
            }
            Err(error) => {
                self.giving.end(elapsed + LOOK_EVERY);
                self.news.push_back(DutyNews::Vault(error));
            }
        }
    }

    fn take_left(&mut self, at: usize, board: &Board, left: Result<bool, Failure>) {
        let (now, elapsed) = (self.line_now(at).seconds(), self.clock.elapsed());
        match left {
            Ok(true) => {
                self.giving.end(elapsed);
                if let Err(error) = self.change(|desk, rng| desk.board_left(board, now, rng)) {
                    self.news.push_back(DutyNews::Vault(error));
                }
            }
            Ok(false) => self.giving.end(elapsed + BOARD_AGAIN),
            Err(failure) => {
                self.giving.end(elapsed + BOARD_AGAIN);
                self.trouble(at, failure);
            }
        }
    }

    fn fetch(&mut self) {
        let Some(board) = self.fetching.may_begin(self.clock.elapsed()).then(|| self.view(Desk::board_for_me)) else { return };
        let Ok(Some(board)) = board else { return };
        let Some(at) = self.here().find(|(_, post)| post.relay.number() == board.relay).map(|(at, _)| at) else {
            return self.lose_board(&board);
        };
        let patience = self.patience(at);
        let tokens: Vec<_> = board.names().map(|_| self.token(at)).collect();
        let Some(relay) = self.posts.get(at).map(|post| Arc::clone(&post.relay)) else { return };
        self.fetching.under_way = true;
        self.errands.spawn(async move {
            let mut bytes = Vec::new();
            for (name, token) in board.names().zip(tokens) {
                match relay.blob(&name, token, patience).await {
                    Ok(blob) => bytes.extend(blob),
                    Err(failure) => return Arrival::Board(at, board, Err(failure)),
                }
            }
            Arrival::Board(at, board, Ok(bytes))
        });
    }

    fn lose_board(&mut self, board: &Board) {
        let lost = self.change(|desk, _| {
            desk.lose_board(board);
            Ok::<_, DeskError>(())
        });
        self.news.extend(lost.err().map(DutyNews::Vault));
    }

    fn take_board(&mut self, at: usize, board: &Board, bytes: Result<Vec<u8>, Failure>) {
        let (now, elapsed) = (self.line_now(at).seconds(), self.clock.elapsed());
        self.fetching.end(elapsed + BOARD_AGAIN);
        match bytes {
            Ok(bytes) => match self.change(|desk, rng| desk.take_left_board(board, &bytes, now, rng)) {
                Ok(BoardTaken::Yes) => {
                    self.fetching.end(elapsed);
                    self.news.push_back(DutyNews::BoardTaken);
                }
                Ok(BoardTaken::NotYet | BoardTaken::Wrong) => {}
                Err(error) => self.news.push_back(DutyNews::Vault(error)),
            },
            // A web server in front that turns somebody away says the same as a relay that has no such blob: gone is what was missing twice.
            Err(Failure::NotThisLine) => {
                let missing = board.names().next();
                if core::mem::replace(&mut self.missing, missing) == missing {
                    self.lose_board(board);
                }
            }
            Err(failure) => self.trouble(at, failure),
        }
    }

    // ── bundles ─────────────────────────────────────────────────────────────────────────────────

    /// Seals this beat's bundle, and posts it a constant time after the beat was due: what there is to do is not to be seen in when
    /// it goes. One still under way takes this beat too: there are never two.
    fn bundle(&mut self, at: usize) {
        self.follow();
        let (now, patience, token) = (self.line_now(at), self.patience(at), self.token(at));
        let (clock, elapsed) = (self.clock.clone(), self.clock.elapsed());
        let due = self.outbox.last(Pulse::Bundle(at)).unwrap_or(elapsed);
        let Some(post) = self.posts.get_mut(at).filter(|post| post.heard && !post.posting) else { return };
        let (relay, number) = (Arc::clone(&post.relay), post.relay.number());
        let goes = due + SEALED_AHEAD.min(post.beat / 2);
        // Slots are named as of when it goes.
        let now = now.plus(u64::try_from(goes.saturating_sub(elapsed).as_millis()).unwrap_or(0));
        match self.change(|desk, rng| desk.bundle(number, now, rng)) {
            Ok(bundle) => {
                if let Some(post) = self.posts.get_mut(at) {
                    post.posting = true;
                }
                self.errands.spawn(async move {
                    clock.sleep_until(goes).await;
                    Arrival::Bundle(at, bundle.ticket, relay.desk_beat(&bundle.beat, token, patience).await)
                });
            }
            // A new day: the statement of the last one is over, and the relay has the next.
            Err(DeskError::NoRoster) => self.look_again(at),
            Err(error) => self.news.push_back(DutyNews::Vault(error)),
        }
    }

    fn take_bundle(&mut self, at: usize, ticket: Ticket, reply: Result<DeskReply, Failure>) {
        let now = self.line_now(at);
        let Some(post) = self.posts.get_mut(at) else { return };
        post.posting = false;
        let number = post.relay.number();
        let news = reply.as_ref().is_ok_and(|reply| reply.serial != post.serial);
        let posted = self.change(|desk, _| {
            desk.bundle_result(ticket, reply.as_ref().map_or(Posted::Failed, Posted::Answered), now);
            Ok::<_, DeskError>(())
        });
        if let Err(error) = posted {
            self.news.push_back(DutyNews::Vault(error));
        }
        match reply {
            Ok(_) => {
                self.news.push_back(DutyNews::Posted(number));
                if news {
                    self.look(at);
                }
            }
            Err(failure) => self.trouble(at, failure),
        }
    }

    fn take(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Notice(at, Ok(heard)) => {
                if let Some(post) = self.posts.get_mut(at) {
                    post.asking = false;
                }
                if let Err(error) = self.hear(at, &heard) {
                    self.take_unheard(at, error);
                }
            }
            Arrival::Notice(at, Err(failure)) => {
                if let Some(post) = self.posts.get_mut(at) {
                    post.asking = false;
                }
                if self.term == Term::Watch && self.posts.get(at).is_some_and(|post| !post.leaving) {
                    self.outbox.set(Pulse::Look(at), Beat::at_random(AFTER_FAILURE * 2, self.clock.elapsed(), &mut self.rng));
                }
                self.trouble(at, failure);
            }
            Arrival::Put(at, roster, reply) => self.take_put(at, &roster, reply),
            Arrival::Page(at, came, page) => self.take_page(at, came, page),
            Arrival::Bundle(at, ticket, reply) => self.take_bundle(at, ticket, reply),
            Arrival::Days(at, days) => self.take_days(at, days),
            Arrival::Left(at, board, left) => self.take_left(at, &board, left),
            Arrival::Board(at, board, bytes) => self.take_board(at, &board, bytes),
        }
        if self.posts.iter().any(|post| post.leaving) {
            self.follow();
        }
    }

    /// Asks for a relay's notice before its time, if that was not done just now.
    fn look_again(&mut self, at: usize) {
        let now = self.clock.elapsed();
        let looks = |post: &Post| post.heard && now >= post.looked + post.beat * LOOK_AGAIN_BEATS;
        if self.term == Term::Watch && self.posts.get(at).is_some_and(looks) {
            self.look(at);
        }
    }

    /// Asks for a relay's notice once more after what it gave could not be used, or did not take what it was given: later each time.
    fn look_later(&mut self, at: usize) {
        let (now, term) = (self.clock.elapsed(), self.term);
        let Some(post) = self.posts.get_mut(at).filter(|post| term == Term::Watch && !post.leaving) else { return };
        let pause = AFTER_FAILURE.saturating_mul(2 << post.failures.min(16)).min(LOOK_EVERY);
        post.failures += 1;
        self.outbox.set(Pulse::Look(at), Beat::at_random(pause, now, &mut self.rng));
    }

    /// Tells a relay's trouble, unless it was the last thing told of that relay. One that does not know this device any more may
    /// have a notice that says why.
    fn trouble(&mut self, at: usize, failure: Failure) {
        if matches!(failure, Failure::NotThisLine) {
            self.look_again(at);
        }
        let Some(post) = self.posts.get_mut(at) else { return };
        let said = failure.to_string();
        if !post.leaving && post.told.replace(said.clone()) != Some(said) {
            self.news.push_back(DutyNews::Trouble(post.relay.number(), failure));
        }
        // It may have moved.
        self.follow();
    }
}

impl Post {
    fn of(address: &RelayAddress, dial: &Dial) -> Result<Self, RelayError> {
        Ok(Self {
            relay: Arc::new(Relay::new(address, dial.clone())?),
            address: address.clone(),
            leaving: false,
            heard: false,
            ahead_ms: 0,
            asking: false,
            looked: Duration::ZERO,
            polling: false,
            polled_at: Duration::ZERO,
            polled_after: (0, 0),
            posting: false,
            caught_up: false,
            searching: false,
            searched: false,
            serial: 0,
            to_put: Vec::new(),
            putting: false,
            failures: 0,
            beat: Duration::ZERO,
            told: None,
        })
    }

    /// Whether anything is under way there whose end must be noted. A poll is not: letters are letters wherever they come from.
    fn is_busy(&self) -> bool {
        self.asking || self.posting || self.putting || self.searching
    }
}

/// By how much a relay's clock is ahead of this machine's; no difference where it is one that nobody should follow.
fn ahead(relay: Millis, here: Millis) -> i64 {
    let ahead = i64::try_from(i128::from(relay.0) - i128::from(here.0)).unwrap_or(0);
    if ahead.unsigned_abs() > CLOCKS_APART_MS { 0 } else { ahead }
}

/// Leaves a board with a relay, blob by blob; `false` if there is no room for one.
async fn leave(relay: &Relay, board: &BoardToLeave, tokens: Vec<impl Authorize>, patience: Patience) -> Result<bool, Failure> {
    for ((name, blob), token) in board.blobs().zip(tokens) {
        let Ok(blob) = blob.try_into() else { return Ok(false) };
        if relay.put_blob(&name, blob, token, patience).await?.outcome != DeskOutcome::Done {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The office. A lock poisoned by a panic is taken all the same: what counts is on the disk and is read again.
fn locked(office: &Mutex<Office>) -> MutexGuard<'_, Office> {
    office.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The serial of a roster of our own making, without checking it again.
fn serial_of(roster: &[u8; ROSTER_LEN]) -> u32 {
    roster.get(34..38).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}
