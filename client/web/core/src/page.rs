//! One visit with its random source and its two buffers: what comes in, what goes out.
use crate::json::Json;
use alloc::{boxed::Box, vec::Vec};
use chacha20::ChaCha20Rng;
use porchlight_proto::{
    cell::down::Kind,
    letter::{Letter, Status, Withdraw},
    line::LineId,
    phrase::{Language, PHRASE_WORDS, Phrase, Stretched},
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
    line: LineId,
    rng: ChaCha20Rng,
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
        let root = PublicKey::from_bytes(root);
        let visit = Visit::open(root, &mut rng);
        Self {
            visit,
            line: LineId::from_root(&root),
            rng,
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
    /// Whether the roster is over, so that a notice is to be fetched before the next beat.
    #[must_use]
    pub fn wants_notice(&self, now: Millis) -> bool {
        self.visit.wants_notice(now)
    }
    /// Says the pace, the days to fetch, and the words a line chooses.
    pub fn plan(&mut self, now: Millis) {
        let timing = self.visit.timing();
        let days = self.visit.days(now);
        let (within, closed) = self.visit.roster().map_or((0, 0), |roster| (roster.answer_within(), roster.closed_until().0));
        let bulletin = self.visit.bulletin().map_or(0, |code| code.code().into());
        let (relay_no, line_now) = (self.visit.relay_no().unwrap_or(0), self.visit.line_now(now).0);
        self.say(|json| {
            json.object().name("relay_no").number(relay_no.into());
            json.name("now").number(line_now).name("slow_s").number(timing.slow_s.into());
            json.name("up_beat_ms").number(timing.up_beat_ms.into()).name("beat_ms").number(timing.beat_ms.into());
            write_list(json.name("days"), days.into_iter().map(u64::from));
            json.name("answer_within").number(within.into()).name("closed_until").number(closed);
            json.name("bulletin").number(bulletin).end_object();
        });
    }
    /// Draws a new phrase and says its eight indexes, two bytes each, and the line's id, as [`stretch`] takes them.
    pub fn draw(&mut self) {
        let phrase = Phrase::generate(&mut self.rng);
        self.output.zeroize();
        for index in phrase.indexes() {
            self.output.extend_from_slice(&index.to_be_bytes());
        }
        self.output.extend_from_slice(self.line.as_bytes());
    }
    /// Says the line's id.
    pub fn line(&mut self) {
        self.output.zeroize();
        self.output.extend_from_slice(self.line.as_bytes());
    }
    /// Learns who she is from the 32 bytes in the input, which [`stretch`] gave. Says the events.
    ///
    /// # Errors
    ///
    /// [`Refusal::Usage`] if they are not 32.
    pub fn know(&mut self, now: Millis) -> Result<(), Refusal> {
        let mut key = Box::new(Zeroizing::new([0; 32]));
        if self.input.len() != key.len() {
            return Err(Refusal::Usage);
        }
        key.copy_from_slice(&self.input);
        self.input.zeroize();
        let stretched = Stretched::from_key(self.line, key);
        self.pictures = stretched.pictures();
        let events = self.visit.know(stretched, now, &mut self.rng);
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
        let what = if seq == 0 { Withdraw::AllUnshown } else { Withdraw::One(*self.visit.session(To::Desk), seq) };
        let letter = Letter { withdraw: Some(what), ..Letter::default() };
        self.visit.write(&letter, To::Desk, now).map_err(|_| Refusal::Letter)
    }
    /// The answer whose id is the input is on her screen, the whole of it.
    ///
    /// # Errors
    ///
    /// [`Refusal::Usage`] if it is no id.
    pub fn displayed(&mut self, of: To) -> Result<(), Refusal> {
        let answer = self.input.as_slice().try_into().map_err(|_| Refusal::Usage)?;
        self.visit.displayed(of, answer);
        Ok(())
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

/// Stretches a phrase: of 48 bytes, eight indexes of two bytes each and the line's id, come 32. A second on an old phone, so a page
/// does it in a worker. `None` if an index is none of the list's.
#[must_use]
pub fn stretch(words: &[u8; 2 * PHRASE_WORDS], line: [u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    let mut indexes = Zeroizing::new([0u16; PHRASE_WORDS]);
    for (index, bytes) in indexes.iter_mut().zip(words.chunks_exact(2)) {
        *index = bytes.iter().fold(0, |index, byte| index << 8 | u16::from(*byte));
    }
    let phrase = Phrase::from_indexes(*indexes)?;
    Some(phrase.stretch(&LineId::from_bytes(line)).key().clone())
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
        Event::EarlierReceipt(to) => write_letter(json.text("earlier_receipt"), *to, 0),
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

/// `offer`: whether "no, thank you" belongs beside it. `stops`: the ids a stop covers; none of them means every lower `n`.
fn write_answer<'a>(json: &'a mut Json, answer: &ShownAnswer) -> &'a mut Json {
    let content = &answer.content;
    json.name("id").hex(&answer.answer).name("n").number(content.n).name("stop").truth(answer.kind == Kind::Stop);
    json.name("stops").list();
    for id in &content.stops {
        json.hex(id);
    }
    json.end_list().name("offer").truth(content.meeting || content.introduction.is_some());
    json.name("safeguarding").truth(answer.seat.is_safeguarding()).name("written").number(content.written);
    json.name("good_until").number(answer.good_until.0).name("text").text(&content.text)
}
