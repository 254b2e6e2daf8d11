//! One visit with its random source and its two buffers: what comes in, what goes out.
use crate::json::Json;
use alloc::vec::Vec;
use chacha20::ChaCha20Rng;
use porchlight_proto::{
    cell::down::Kind,
    letter::{Letter, Status, Withdraw},
    phrase::{Language, PHRASE_WORDS, Phrase},
    sign::PublicKey,
    time::Millis,
    visit::{Clock, Event, ShownAnswer, Ticket, To, Visit},
};
use rand_core::SeedableRng;
use zeroize::{Zeroize, Zeroizing};

/// Why a call did nothing. The page shows "it did not go through" for all of them, and goes on with its beats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Refusal {
    /// What the relay sent is not to be believed, or not what this call takes.
    Untrusted = -1,
    /// The line has published no roster yet.
    Closed = -2,
    /// The letter is empty or too long, or the phrase is not known yet.
    Letter = -3,
    /// The arguments are none this call takes.
    Usage = -4,
}

/// A page's visit. Dropping it wipes it.
pub struct Page {
    visit: Visit,
    rng: ChaCha20Rng,
    phrase: Option<Phrase>,
    pictures: [u8; 3],
    /// How many POSTs were made, and the last one's ticket.
    posts: u32,
    in_flight: Option<Ticket>,
    /// What JavaScript wrote for the next call.
    pub input: Zeroizing<Vec<u8>>,
    /// What the last call has to say: UTF-8 JSON, or raw bytes for a POST.
    pub output: Zeroizing<Vec<u8>>,
}

impl Page {
    /// Opens a visit to the line with this root key. The seed comes from the browser's own generator, and is used once.
    #[must_use]
    pub fn open(root: [u8; 32], seed: [u8; 32]) -> Self {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let visit = Visit::open(PublicKey::from_bytes(root), &mut rng);
        Self {
            visit,
            rng,
            phrase: None,
            pictures: [0; 3],
            posts: 0,
            in_flight: None,
            input: Zeroizing::default(),
            output: Zeroizing::default(),
        }
    }
    fn say(&mut self, write: impl FnOnce(&mut Json)) {
        let mut json = Json::new();
        write(&mut json);
        self.output = json.finish();
    }
    fn say_list(&mut self, numbers: impl Iterator<Item = u64>) {
        self.say(|json| write_list(json, numbers));
    }
    fn tell(&mut self, events: &[Event]) {
        self.say(|json| {
            json.list();
            events.iter().for_each(|event| write_event(json, event));
            json.end_list();
        });
    }
    /// Takes the notice in the input. Says the events.
    ///
    /// # Errors
    ///
    /// [`Refusal::Closed`] if the line has no roster; [`Refusal::Untrusted`] for anything else.
    pub fn notice(&mut self, now: Millis) -> Result<(), Refusal> {
        use porchlight_proto::visit::VisitError;
        let events = self.visit.notice(&self.input, None, now, Clock::Relays).map_err(|error| match error {
            VisitError::NoRoster => Refusal::Closed,
            _ => Refusal::Untrusted,
        })?;
        self.tell(&events);
        Ok(())
    }
    /// Says the pace, the days to fetch, and the words a line chooses.
    pub fn plan(&mut self, now: Millis) {
        let timing = self.visit.timing();
        let days = self.visit.days(now);
        let (within, closed) = self.visit.roster().map_or((0, 0), |roster| (roster.answer_within(), roster.closed_until().0));
        self.say(|json| {
            json.object().name("up_beat_ms").number(timing.up_beat_ms.into()).name("beat_ms").number(timing.beat_ms.into());
            write_list(json.name("days"), days.into_iter().map(u64::from));
            json.name("answer_within").number(within.into()).name("closed_until").number(closed).end_object();
        });
    }
    /// Draws a new phrase and says its eight indexes.
    pub fn draw(&mut self) {
        let phrase = Phrase::generate(&mut self.rng);
        self.say_list(phrase.indexes().iter().copied().map(u64::from));
        self.phrase = Some(phrase);
    }
    /// Takes the eight indexes in the input, two bytes each.
    ///
    /// # Errors
    ///
    /// [`Refusal::Usage`] if they are not eight indexes of the list.
    pub fn choose(&mut self) -> Result<(), Refusal> {
        let mut indexes = [0u16; PHRASE_WORDS];
        if self.input.len() != 2 * PHRASE_WORDS {
            return Err(Refusal::Usage);
        }
        for (index, bytes) in indexes.iter_mut().zip(self.input.chunks_exact(2)) {
            *index = bytes.iter().fold(0, |index, byte| index << 8 | u16::from(*byte));
        }
        self.phrase = Some(Phrase::from_indexes(indexes).ok_or(Refusal::Usage)?);
        Ok(())
    }
    /// Stretches the phrase (a second on an old phone) and reads with it. Says the events.
    ///
    /// # Errors
    ///
    /// [`Refusal::Usage`] without a phrase, [`Refusal::Closed`] before the first notice.
    pub fn know(&mut self, now: Millis) -> Result<(), Refusal> {
        let line = *self.visit.roster().ok_or(Refusal::Closed)?.line();
        let stretched = self.phrase.as_ref().ok_or(Refusal::Usage)?.stretch(&line);
        self.pictures = stretched.pictures();
        let events = self.visit.know(stretched, now);
        self.tell(&events);
        Ok(())
    }
    /// Says the three recognition pictures.
    pub fn pictures(&mut self) {
        self.say_list(self.pictures.into_iter().map(u64::from));
    }
    /// Takes a letter with the text in the input. Gives its number in the visit.
    ///
    /// # Errors
    ///
    /// [`Refusal::Usage`] for a status, language or text that is none; [`Refusal::Letter`] if it cannot be sent.
    pub fn write(&mut self, choice: Choice, to: To, now: Millis) -> Result<u16, Refusal> {
        let text = core::str::from_utf8(&self.input).map_err(|_| Refusal::Usage)?;
        let letter = Letter {
            status: choice.status()?,
            text: Zeroizing::new(text.into()),
            next: (choice.next_s > 0).then(|| u64::from(choice.next_s)),
            quiet: choice.quiet,
            relative: choice.relative,
            language: choice.language()?,
            withdraw: None,
        };
        self.input.zeroize();
        self.visit.write(&letter, to, now).map_err(|_| Refusal::Letter)
    }
    /// Takes back letter `seq` of this visit, or everything not yet shown for 0. Gives the number of the letter that says so.
    ///
    /// # Errors
    ///
    /// [`Refusal::Letter`] before the phrase is known.
    pub fn withdraw(&mut self, seq: u16, now: Millis) -> Result<u16, Refusal> {
        let what = if seq == 0 { Withdraw::AllUnshown } else { Withdraw::One(*self.visit.session(), seq) };
        let letter = Letter { withdraw: Some(what), ..Letter::default() };
        self.visit.write(&letter, To::Desk, now).map_err(|_| Refusal::Letter)
    }
    /// Says the bytes of this beat's POST.
    ///
    /// # Errors
    ///
    /// [`Refusal::Closed`] before the relay's first notice.
    pub fn beat(&mut self, relay_no: u8, now: Millis) -> Result<(), Refusal> {
        let post = self.visit.beat(relay_no, now, &mut self.rng).map_err(|_| Refusal::Closed)?;
        self.posts = self.posts.wrapping_add(1);
        self.in_flight = Some(post.ticket);
        self.output = Zeroizing::new(post.bytes.to_vec());
        Ok(())
    }
    /// Takes the reply to POST number `post` (the first is 1) in the input, or that there was none. Says the events:
    /// none if a later POST was made meanwhile.
    ///
    /// # Errors
    ///
    /// [`Refusal::Untrusted`] if it is no reply.
    pub fn posted(&mut self, post: u32, relay_no: u8, answered: bool) -> Result<(), Refusal> {
        let reply = answered.then_some(self.input.as_slice());
        let ticket = self.in_flight.take_if(|_| post == self.posts);
        let events = match ticket {
            Some(ticket) => self.visit.posted(ticket, relay_no, reply).map_err(|_| Refusal::Untrusted)?,
            None => Vec::new(),
        };
        self.tell(&events);
        Ok(())
    }
    /// Reads the slow day in the input. Says the events.
    ///
    /// # Errors
    ///
    /// [`Refusal::Untrusted`] for another length.
    pub fn slow_day(&mut self, relay_no: u8, now: Millis) -> Result<(), Refusal> {
        let events = self.visit.slow_day(relay_no, &self.input, now).map_err(|_| Refusal::Untrusted)?;
        self.tell(&events);
        Ok(())
    }
    /// Reads the newest beats in the input. Says the events.
    ///
    /// # Errors
    ///
    /// [`Refusal::Untrusted`] for another length.
    pub fn fast(&mut self, relay_no: u8, now: Millis) -> Result<(), Refusal> {
        let events = self.visit.fast(relay_no, &self.input, now).map_err(|_| Refusal::Untrusted)?;
        self.tell(&events);
        Ok(())
    }
}

/// What she tapped, as numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice {
    /// 0 none, 1 safe, 2 help, 3 moving, 4 talk.
    pub status: u32,
    /// Seconds until she may write again; 0 for not said.
    pub next_s: u32,
    /// "Please do not answer me now."
    pub quiet: bool,
    /// "Answer like a relative would."
    pub relative: bool,
    /// 0 zh, 1 ko, 2 en.
    pub language: u32,
}

impl Choice {
    const fn status(self) -> Result<Option<Status>, Refusal> {
        match self.status {
            0 => Ok(None),
            1 => Ok(Some(Status::Safe)),
            2 => Ok(Some(Status::Help)),
            3 => Ok(Some(Status::Moving)),
            4 => Ok(Some(Status::Talk)),
            _ => Err(Refusal::Usage),
        }
    }
    const fn language(self) -> Result<Option<Language>, Refusal> {
        match self.language {
            0 => Ok(Some(Language::Zh)),
            1 => Ok(Some(Language::Ko)),
            2 => Ok(Some(Language::En)),
            _ => Err(Refusal::Usage),
        }
    }
}

fn write_list(json: &mut Json, numbers: impl Iterator<Item = u64>) {
    json.list();
    numbers.for_each(|number| {
        json.number(number);
    });
    json.end_list();
}

fn write_event(json: &mut Json, event: &Event) {
    json.object().name("event");
    match event {
        Event::InBox(to, seq) => write_letter(json.text("in_box"), *to, *seq),
        Event::Receipt(to, seq) => write_letter(json.text("receipt"), *to, *seq),
        Event::Withdrawn(to, seq) => write_letter(json.text("withdrawn"), *to, *seq),
        Event::TooLate(to, seq) => write_letter(json.text("too_late"), *to, *seq),
        Event::Bulletin(code) => json.text("bulletin").name("code").number(code.code().into()),
        Event::NewRoster(serial) => json.text("new_roster").name("serial").number(u64::from(*serial)),
        Event::Full => json.text("full"),
        Event::StampAsked => json.text("stamp"),
        Event::Answer(answer) => write_answer(json.text("answer"), answer),
        _ => json.text("other"),
    };
    json.end_object();
}

fn write_letter(json: &mut Json, to: To, seq: u16) -> &mut Json {
    json.name("safeguarding").truth(to == To::Safeguarding).name("seq").number(seq.into())
}

fn write_answer<'a>(json: &'a mut Json, answer: &ShownAnswer) -> &'a mut Json {
    json.name("n").number(answer.content.n).name("stop").truth(answer.kind == Kind::Stop);
    json.name("safeguarding").truth(answer.seat.is_safeguarding()).name("written").number(answer.content.written);
    json.name("good_until").number(answer.good_until.0).name("text").text(&answer.content.text)
}
