//! A line, its relay, its devices and its callers, in virtual time. Everything that sends, sends by its beat; the network
//! between them can lose, repeat and reorder, from one seed.
use crate::relay::{ModelRelay, SPKI};
use porchlight_client::desk::{AnswerPlan, Desk, DeskError, LinePlan, Office, Posted, Row, Safeguarding};
use porchlight_client::vault::Passphrase;
use porchlight_proto::{
    api::Notice,
    card::RelayAddress,
    cell::down::Kind,
    cert::Role,
    kdf::digest,
    letter::{Letter, Status},
    line::{CallerId, Gate, LineId, Seat},
    phrase::Phrase,
    sign::{PublicKey, SecretKey},
    time::{Millis, Seconds, Timing},
    token::Request,
    visit::{Clock, Event, To, Visit, VisitError},
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use tempfile::TempDir;

/// A Monday noon.
pub const START: Seconds = Seconds(1_795_435_200);
/// Milliseconds between two looks at the world.
const STEP: u64 = 500;

/// What the network does to each request, in percent.
#[derive(Clone, Copy, Default)]
pub struct Weather {
    /// The request is lost on its way.
    pub lost: u64,
    /// The relay took it, but its reply is lost.
    pub unanswered: u64,
}

pub struct Page {
    pub visit: Visit,
    next_up: Millis,
    next_down: Millis,
    days: Vec<u32>,
}

pub struct Caller {
    pub id: CallerId,
    indexes: [u16; 8],
    pub page: Option<Page>,
    pub events: Vec<Event>,
    pub trouble: Option<VisitError>,
}

impl Caller {
    /// The texts she was shown since the beginning, in order.
    pub fn read(&self) -> Vec<String> {
        let text = |event: &Event| match event {
            Event::Answer(answer) if answer.kind == Kind::Stop => Some("STOP".into()),
            Event::Answer(answer) => Some(answer.content.text.to_string()),
            _ => None,
        };
        self.events.iter().filter_map(text).collect()
    }
    pub fn receipts(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Receipt(..))).count()
    }
}

pub struct Device {
    pub office: Office,
    pub online: bool,
    next_beat: Millis,
    next_notice: Millis,
    _dir: TempDir,
}

pub struct World {
    pub now: Millis,
    pub rng: ChaCha20Rng,
    pub root: SecretKey,
    pub line: LineId,
    pub relay: ModelRelay,
    pub devices: Vec<Device>,
    pub callers: Vec<Caller>,
    pub weather: Weather,
}

/// The seed of this run: `PORCHLIGHT_SEED` if it is set, else drawn; always printed.
#[expect(clippy::disallowed_methods, reason = "a test draws its seed from the machine once, and prints it")]
fn seed(story: &str) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let drawn = || std::collections::hash_map::RandomState::new().build_hasher().finish();
    let seed = std::env::var("PORCHLIGHT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(drawn);
    println!("{story}: PORCHLIGHT_SEED={seed}");
    seed
}

fn passphrase() -> Passphrase {
    Passphrase::new("a long night".into())
}

impl World {
    /// A line with `devices` devices, the first a lead, its roster published.
    pub fn new(story: &str, devices: u8) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed(story));
        let root = SecretKey::generate(&mut rng);
        let address = RelayAddress {
            url: "https://relay.example".into(),
            gates: vec![Gate::parse("tofu7").unwrap()],
            pin: Some(SPKI),
            number: 0,
        };
        let plan = LinePlan {
            relays: vec![address],
            timing: Timing::PRODUCTION,
            up_ttl: Seconds(259_200),
            period: Seconds(86_400),
            answer_within: 2,
            reply_weeks: 9,
            emergency: true,
            safeguarding: Safeguarding::Unstaffed,
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("desk");
        let office = Office::found(&path, &passphrase(), &root, &plan, START, &mut rng).unwrap().office;
        let mut world = Self {
            now: START.millis(),
            line: LineId::from_root(&root.public()),
            relay: ModelRelay::new(root.public(), 0, Timing::PRODUCTION),
            devices: vec![Device { office, online: true, next_beat: Millis(0), next_notice: Millis(0), _dir: dir }],
            callers: Vec::new(),
            weather: Weather::default(),
            root,
            rng,
        };
        world.hear_and_publish(0);
        for seat in 1..devices {
            world.enrol(seat);
        }
        world
    }

    pub fn root_pk(&self) -> PublicKey {
        self.root.public()
    }

    /// Runs one act on a device, with chance of its own.
    pub fn act<T>(
        &mut self,
        device: usize,
        act: impl FnOnce(&mut Desk, Seconds, &mut ChaCha20Rng) -> Result<T, DeskError>,
    ) -> Result<T, DeskError> {
        let now = self.now.seconds();
        self.devices[device].office.act(&mut self.rng, |desk, rng| act(desk, now, rng))
    }

    fn enrol(&mut self, seat: u8) {
        let dir = tempfile::tempdir().unwrap();
        let (mut office, request) = Office::join(&dir.path().join("desk"), &passphrase(), &mut self.rng).unwrap();
        let admission = self.act(0, |desk, now, rng| desk.admit(&request, (Role::Worker, Seat::new(seat)), now, rng)).unwrap();
        office.accept(&admission, self.now.seconds(), &mut self.rng).unwrap();
        self.devices.push(Device { office, online: true, next_beat: self.now, next_notice: self.now, _dir: dir });
        self.hear_and_publish(0);
    }

    pub fn add_caller(&mut self) -> usize {
        let phrase = Phrase::generate(&mut self.rng);
        let indexes = *phrase.indexes();
        let id = phrase.stretch(&self.line).caller();
        self.callers.push(Caller { id, indexes, page: None, events: Vec::new(), trouble: None });
        self.callers.len() - 1
    }

    /// Another tab, or another phone, with the words of `caller`.
    pub fn twin(&mut self, caller: usize) -> usize {
        let Caller { id, indexes, .. } = &self.callers[caller];
        self.callers.push(Caller { id: *id, indexes: *indexes, page: None, events: Vec::new(), trouble: None });
        self.callers.len() - 1
    }

    pub fn device_id(&mut self, device: usize) -> porchlight_proto::line::DeviceId {
        let now = self.now.seconds();
        let hex = self.devices[device].office.look().unwrap().line_view(now).unwrap().device;
        let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
        porchlight_proto::line::DeviceId(core::array::from_fn(byte))
    }

    /// She opens the page and enters her words: nothing else is left of earlier visits.
    pub fn open(&mut self, caller: usize) {
        let mut visit = Visit::open(self.root.public(), &mut self.rng);
        let events = visit.notice(&self.relay.notice(self.now), None, self.now, Clock::Relays).unwrap();
        self.callers[caller].events.extend(events);
        let days = visit.days(self.now);
        let phase = self.rng.next_u64() % 10_000;
        let stretched = Phrase::from_indexes(self.callers[caller].indexes).unwrap().stretch(&self.line);
        let known = visit.know(stretched, self.now, &mut self.rng);
        self.callers[caller].events.extend(known);
        self.callers[caller].page =
            Some(Page { visit, next_up: self.now.plus(phase), next_down: self.now.plus(phase / 3), days });
    }

    /// She leaves; nothing stays.
    pub fn leave(&mut self, caller: usize) {
        self.callers[caller].page = None;
    }

    pub fn write(&mut self, caller: usize, text: &str) -> u16 {
        let letter = Letter { status: Some(Status::Safe), text: String::from(text).into(), ..Letter::default() };
        self.send(caller, &letter, To::Desk)
    }

    pub fn send(&mut self, caller: usize, letter: &Letter, to: To) -> u16 {
        let now = self.now;
        self.callers[caller].page.as_mut().unwrap().visit.write(letter, to, now).unwrap()
    }

    pub fn answer(&mut self, device: usize, caller: usize, text: &str) -> [u8; 8] {
        self.try_answer(device, caller, AnswerPlan { text: text.to_owned().into(), ..AnswerPlan::default() }).unwrap()
    }

    pub fn try_answer(&mut self, device: usize, caller: usize, plan: AnswerPlan) -> Result<[u8; 8], DeskError> {
        let id = self.callers[caller].id;
        self.act(device, |desk, now, rng| desk.answer(id, &plan, now, rng)).map(|answered| answered.id)
    }

    /// The board as a device sees it.
    pub fn board(&mut self, device: usize) -> Vec<Row> {
        let now = self.now.seconds();
        self.devices[device].office.look().unwrap().list(now)
    }

    /// The texts of a caller's letters, as a device sees them.
    pub fn letters(&mut self, device: usize, caller: usize) -> Vec<String> {
        use porchlight_client::desk::{Item, LetterState};
        let (now, id) = (self.now.seconds(), self.callers[caller].id);
        let Ok(thread) = self.devices[device].office.look().unwrap().show(id, now) else { return Vec::new() };
        let text = |item: Item| match item {
            Item::Letter { text, state: LetterState::Here, .. } => Some(text),
            _ => None,
        };
        thread.items.into_iter().filter_map(text).collect()
    }

    pub fn seconds(&mut self, seconds: u64) {
        let until = self.now.plus(seconds * 1000);
        while self.now < until {
            self.step();
            self.now = self.now.plus(STEP);
        }
    }

    pub fn minutes(&mut self, minutes: u64) {
        self.seconds(60 * minutes);
    }

    /// Time passes while nobody is there.
    pub fn sleep(&mut self, seconds: u64) {
        assert!(self.callers.iter().all(|caller| caller.page.is_none()), "a page would have gone on beating");
        self.now = self.now.plus(seconds * 1000);
    }

    fn step(&mut self) {
        for device in 0..self.devices.len() {
            if self.devices[device].online && self.now >= self.devices[device].next_beat {
                self.desk_beat(device);
            }
        }
        for caller in 0..self.callers.len() {
            self.page_beat(caller);
        }
    }

    fn chance(&mut self, percent: u64) -> bool {
        percent > 0 && self.rng.next_u64() % 100 < percent
    }

    /// A request through the network: `None` if there is no answer, whatever became of it.
    fn pass<T>(&mut self, request: impl FnOnce(&mut ModelRelay, Millis) -> T) -> Option<T> {
        let weather = self.weather;
        if self.relay.down || self.chance(weather.lost) {
            return None;
        }
        let now = self.now;
        let answer = request(&mut self.relay, now);
        (!self.chance(weather.unanswered)).then_some(answer)
    }

    pub fn hear_and_publish(&mut self, device: usize) {
        let Some(notice) = self.pass(|relay, now| relay.notice(now)) else { return };
        let notice = Notice::parse(&notice).unwrap();
        self.act(device, |desk, now, _| desk.hear_notice(0, &notice, now)).unwrap();
        match self.act(device, |desk, now, rng| desk.publish(now, rng)) {
            Ok(_) | Err(DeskError::NotALead) => {}
            Err(error) => panic!("{error}"),
        }
        let rosters = self.act(device, |desk, _, _| Ok(desk.rosters_to_put(0))).unwrap();
        for roster in rosters {
            let put = |relay: &mut ModelRelay, access: &_, now| {
                let _: &porchlight_proto::token::Access = access;
                relay.put_roster(roster.as_slice(), now)
            };
            if self.desk_call(device, "PUT", "/v1/desk/roster", roster.as_slice(), put).is_some() {
                self.act(device, |desk, _, _| {
                    desk.roster_put(0, &roster);
                    Ok(())
                })
                .unwrap();
            }
        }
    }

    /// A request with a device token; `None` also if the relay does not know the device.
    fn desk_call<T>(
        &mut self,
        device: usize,
        method: &str,
        path: &str,
        body: &[u8],
        call: impl FnOnce(&mut ModelRelay, &porchlight_proto::token::Access, Millis) -> T,
    ) -> Option<T> {
        let request = Request { method, path, body_hash: digest(body) };
        let token = self.act(device, |desk, now, rng| desk.token(&SPKI, &request, now, rng)).unwrap();
        self.pass(|relay, now| relay.access(&token, &request, now).map(|access| call(relay, &access, now))).flatten()
    }

    fn desk_beat(&mut self, device: usize) {
        if self.now >= self.devices[device].next_notice {
            self.devices[device].next_notice = self.now.plus(600_000);
            self.hear_and_publish(device);
            self.act(device, |desk, now, rng| desk.tidy(now, rng)).unwrap();
        }
        let now = self.now;
        let bundle = self.act(device, |desk, _, rng| desk.bundle(0, now, rng)).unwrap();
        let every = self.devices[device].office.look().unwrap().beat_every(0);
        self.devices[device].next_beat = now.plus(every.0);
        let body = bundle.beat.to_bytes();
        let reply = self.desk_call(device, "POST", "/v1/desk/beat", body.as_slice(), |relay, access, now| {
            relay.beat(access, &bundle.beat, now)
        });
        self.act(device, |desk, _, _| {
            desk.bundle_result(bundle.ticket, reply.as_ref().map_or(Posted::Failed, Posted::Answered), now);
            Ok(())
        })
        .unwrap();
        self.fetch(device);
    }

    /// The device fetches everything the lane holds for it.
    pub fn fetch(&mut self, device: usize) {
        loop {
            let after = self.devices[device].office.look().unwrap().after(0);
            let path = format!("/v1/desk/up?after={:016x}-{}&wait=0", after.0, after.1);
            let Some(page) = self.desk_call(device, "GET", &path, &[], |relay, _, _| relay.page(after)) else { return };
            let now = self.now;
            let taken = self.act(device, |desk, _, rng| desk.take_page(0, &page, now, rng)).unwrap();
            if !taken.more {
                return;
            }
        }
    }

    fn page_beat(&mut self, caller: usize) {
        let Some(mut page) = self.callers[caller].page.take() else { return };
        let now = self.now;
        let mut events = Vec::new();
        if now >= page.next_up {
            page.next_up = now.plus(u64::from(page.visit.timing().up_beat_ms));
            let post = page.visit.beat(0, now, &mut self.rng).unwrap();
            let reply = self.pass(|relay, now| relay.up(post.bytes.as_slice(), now));
            events.extend(page.visit.posted(post.ticket, 0, reply.as_deref()).unwrap());
        }
        if let Some(day) = page.days.first().copied()
            && let Some(bytes) = self.pass(|relay, now| relay.slow_day(day, now))
        {
            page.days.remove(0);
            events.extend(page.visit.slow_day(0, &bytes, now).unwrap());
        }
        if now >= page.next_down {
            page.next_down = now.plus(u64::from(page.visit.timing().beat_ms));
            if let Some(bytes) = self.pass(|relay, now| relay.fast(now)) {
                events.extend(page.visit.fast(0, &bytes, now).unwrap());
            }
        }
        if events.iter().any(|event| matches!(event, Event::NewRoster(_))) {
            let notice = self.relay.notice(now);
            match page.visit.notice(&notice, None, now, Clock::Relays) {
                Ok(more) => events.extend(more),
                Err(error) => self.callers[caller].trouble = Some(error),
            }
        }
        for event in &events {
            if let Event::Answer(answer) = event {
                page.visit.displayed(answer.mailbox(), answer.answer);
            }
        }
        self.callers[caller].events.extend(events);
        self.callers[caller].page = Some(page);
    }
}
