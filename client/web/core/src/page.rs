//! One visit with its random source and its two buffers: what comes in, what goes out.
use alloc::{boxed::Box, format, string::String, vec::Vec};
use chacha20::ChaCha20Rng;
use porchlight_proto::{
    cell::down::Kind,
    letter::{Letter, Status, Withdraw},
    phrase::{Language, PHRASE_WORDS, Phrase, Stretched},
    line::LineId,
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
    fn say(&mut self, text: &str) {
        self.say_bytes(text.as_bytes());
    }
    fn say_bytes(&mut self, bytes: &[u8]) {
        self.output.zeroize();
        self.output.extend_from_slice(bytes);
    }
    fn tell(&mut self, events: &[Event]) {
        let events: Vec<String> = events.iter().map(event_json).collect();
        let text = Zeroizing::new(format!("[{}]", events.join(",")));
        self.say(&text);
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
        let days: Vec<String> = self.visit.days(now).iter().map(|day| format!("{day}")).collect();
        let (within, closed) = self.visit.roster().map_or((0, 0), |roster| (roster.answer_within(), roster.closed_until().0));
        let text = format!(
            r#"{{"relay_no":{},"now":{},"up_beat_ms":{},"beat_ms":{},"slow_s":{},"days":[{}],"answer_within":{within},"closed_until":{closed}}}"#,
            self.visit.relay_no().unwrap_or(0),
            self.visit.line_now(now).0,
            timing.up_beat_ms,
            timing.beat_ms,
            timing.slow_s,
            days.join(",")
        );
        self.say(&text);
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
        let line = self.line;
        self.say_bytes(line.as_bytes());
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
        let events = self.visit.know(stretched, now);
        self.tell(&events);
        Ok(())
    }
    /// Says the three recognition pictures.
    pub fn pictures(&mut self) {
        let [first, second, third] = self.pictures;
        let text = format!("[{first},{second},{third}]");
        self.say(&text);
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
        self.say_bytes(post.bytes.as_slice());
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

fn event_json(event: &Event) -> String {
    match event {
        Event::InBox(to, seq) => letter_json("in_box", *to, *seq),
        Event::Receipt(to, seq) => letter_json("receipt", *to, *seq),
        Event::Withdrawn(to, seq) => letter_json("withdrawn", *to, *seq),
        Event::TooLate(to, seq) => letter_json("too_late", *to, *seq),
        Event::EarlierReceipt(to) => letter_json("earlier_receipt", *to, 0),
        Event::Bulletin(code) => format!(r#"{{"event":"bulletin","code":{}}}"#, code.code()),
        Event::NewRoster(serial) => format!(r#"{{"event":"new_roster","serial":{serial}}}"#),
        Event::Full => r#"{"event":"full"}"#.into(),
        Event::StampAsked => r#"{"event":"stamp"}"#.into(),
        Event::Answer(answer) => answer_json(answer),
        _ => r#"{"event":"other"}"#.into(),
    }
}

/// `offer`: whether "no, thank you" belongs beside it. `stops`: the ids a stop covers; none of them means every lower `n`.
fn answer_json(answer: &ShownAnswer) -> String {
    let (stop, content) = (answer.kind == Kind::Stop, &answer.content);
    let stops: Vec<String> = content.stops.iter().map(|id| format!("\"{}\"", hex(id))).collect();
    format!(
        r#"{{"event":"answer","id":"{}","n":{},"stop":{stop},"stops":[{}],"offer":{},"safeguarding":{},"written":{},"good_until":{},"text":{}}}"#,
        hex(&answer.answer),
        content.n,
        stops.join(","),
        content.meeting || content.introduction.is_some(),
        answer.seat.is_safeguarding(),
        content.written,
        answer.good_until.0,
        json_string(&content.text),
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|half| char::from_digit(u32::from(half), 16)).collect()
}

fn letter_json(event: &str, to: To, seq: u16) -> String {
    let safe = to == To::Safeguarding;
    format!(r#"{{"event":"{event}","safeguarding":{safe},"seq":{seq}}}"#)
}

/// A JSON string: quotes, backslashes and control characters escaped.
fn json_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
