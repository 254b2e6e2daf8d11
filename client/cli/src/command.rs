//! The command line: nouns, verbs and their options.

mod relays;
mod team;

use core::time::Duration;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use porchlight_client::transport::{Address, Pin};

pub(crate) use relays::Relays;
pub(crate) use team::{
    DeskCompose, DeskDecide, DeskDuress, DeskKnow, DeskPart, DeskPropose, DeskQuestion, DeskSay, DeskShift, DeskStrike, DeskWish,
    LineKeep,
};

use crate::duration;

/// Leave short messages for a contact line, and answer them.
#[derive(Debug, Parser)]
#[command(name = "porchlight", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Command {
    /// Print one JSON object a line on stdout (docs/CLI.md lists every field)
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Reach relays through this SOCKS5 proxy, which also resolves their names
    #[arg(long, global = true, value_name = "HOST:PORT", value_parser = proxy)]
    pub(crate) socks5: Option<String>,
    /// Language of messages; only English is written so far
    #[arg(long, global = true, value_enum, default_value_t = Tongue::En, hide_default_value = true)]
    pub(crate) lang: Tongue,
    #[command(subcommand)]
    pub(crate) noun: Noun,
}

const EXIT_CODES: &str = "Exit codes: 0 done · 1 usage · 2 fault of this program · 3 network or relay · \
4 key, roster, card or clock not to be trusted · 5 refused or full · 6 nothing new · 7 words do not match";

#[derive(Debug, Subcommand)]
pub(crate) enum Noun {
    /// Set up and look after a line (for those who run it)
    #[command(subcommand)]
    Line(LineVerb),
    /// Read and answer what callers write (for workers)
    #[command(subcommand)]
    Desk(DeskVerb),
    /// Read and answer what callers write past the desk (for the safeguarding person)
    #[command(subcommand)]
    Safeguard(SafeguardVerb),
    /// Write to a line and read its answers (for callers and their helpers)
    #[command(subcommand)]
    Caller(CallerVerb),
}

#[derive(Debug, Subcommand)]
pub(crate) enum SafeguardVerb {
    /// Make this device's vault and ask a lead for the mailbox; with --admission, take it
    Join(DeskJoin),
    /// Ask a lead for new keys and a new certificate; with --admission, take them
    Renew(DeskJoin),
    /// Fetch what callers wrote, and send what is due
    Sync(DeskSync),
    /// List callers
    List(DeskBase),
    /// Show one caller's letters and answers
    Show(DeskPerson),
    /// Answer a caller; she finds it within hours, with her words
    Answer(DeskAnswer),
    /// Destroy this device's vault
    Burn(DeskBurn),
    /// Fetch, receipt and send for ever
    Watch(DeskWatch),
}

#[derive(Debug, Subcommand)]
pub(crate) enum LineVerb {
    /// Make a line: keys, vault, card and the relay's configuration. Needs no network
    Init(LineInit),
    /// Sign the statements of the coming days and hand them to every relay
    Publish(DeskBase),
    /// Change the desk's keys now, for instance after a loss
    Rotate(DeskBase),
    /// Renew the certificate of this desk with the line's root words
    Renew(LineRenew),
    /// Leads: the devices that sign for the line
    #[command(subcommand)]
    Lead(LeadVerb),
    /// Take a device out of the team: it opens nothing sent from now on, and answers no more. A worker's device votes for it
    Revoke(LineRevoke),
    /// Show the line: id, relays, devices, seats, how long its statements last
    Show(LineShow),
    /// Raise or void the public notice for the worst day
    Bulletin(LineBulletin),
    /// Say for how many days every device keeps letters and notes
    Keep(LineKeep),
    /// Tell the line's card as this device has it, or take another card of the same line
    Card(LineCard),
    /// Say where a relay is now: at another address, by another key, at other gates, or nowhere. For this device alone
    Move(LineMove),
}

#[derive(Debug, Args)]
pub(crate) struct LineCard {
    #[command(flatten)]
    pub(crate) base: DeskBase,
    /// The card to take: its text, a file with the text in it, or - for stdin
    #[arg(long, value_name = "CARD")]
    pub(crate) take: Option<String>,
    /// Its eight words, as a colleague whose voice you know read them to you; asked for on the terminal if not given
    #[arg(long, value_name = "WORDS", requires = "take")]
    pub(crate) words: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("where").required(true).args(["to", "gone"]))]
pub(crate) struct LineMove {
    #[command(flatten)]
    pub(crate) base: DeskBase,
    /// The relay's number, as `line show` gives it; a number that is not there yet adds a relay
    #[arg(value_name = "NUMBER")]
    pub(crate) number: u8,
    /// Where it is now, as https://HOST or https://HOST:PORT
    #[arg(long, value_name = "URL", value_parser = |text: &str| Address::parse(text))]
    pub(crate) to: Option<Address>,
    /// SHA-256 of its public key, in hex or base64; without it, its certificate must be one that browsers believe
    #[arg(long, value_name = "SPKI", requires = "to", value_parser = |text: &str| Pin::parse(text))]
    pub(crate) relay_pin: Option<Pin>,
    /// A secret path of the line there, 4-32 of a-z 0-9; may be repeated. If not given: as before at the same address, else a new one
    #[arg(long, value_name = "GATE", requires = "to")]
    pub(crate) gate: Vec<String>,
    /// It is gone: the line is served by its other relays
    #[arg(long)]
    pub(crate) gone: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LineInit {
    #[command(flatten)]
    pub(crate) base: DeskBase,
    #[command(flatten)]
    pub(crate) relays: Relays,
    /// The secret path of the line on its relays, 4-32 of a-z 0-9; drawn if not given. May be repeated
    #[arg(long, value_name = "GATE")]
    pub(crate) gate: Vec<String>,
    /// A web door to print in `doors`, as https://HOST/GATE; may be repeated. If not given: each relay with its first gate
    #[arg(long, value_name = "DOOR")]
    pub(crate) door: Vec<String>,
    /// The dull page, reachable where callers are, to which the page's Close leads (https://…).
    #[arg(long, value_name = "URL")]
    pub(crate) leave_to: Option<String>,
    /// How soon somebody usually answers
    #[arg(long, value_enum, default_value_t = AnswerWithin::Unsaid)]
    pub(crate) answer_within: AnswerWithin,
    /// Days the desk keeps letters and notes, 1-180
    #[arg(long, value_name = "N", default_value_t = porchlight_client::desk::KEEP_DAYS_USUAL, value_parser = clap::value_parser!(u32).range(1..=180))]
    pub(crate) keep_days: u32,
    /// Publish for about a week ahead only, without the emergency period of another week for when all leads are gone
    #[arg(long)]
    pub(crate) no_emergency: bool,
    #[command(flatten)]
    pub(crate) pace: Pace,
}

/// The line's pace, where it differs from the usual one.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pace (only where it differs from the usual)")]
pub(crate) struct Pace {
    /// Milliseconds in a beat of the fast track; divides 86,400,000
    #[arg(long, value_name = "MS")]
    pub(crate) beat_ms: Option<u16>,
    /// Milliseconds between two posts of an open page
    #[arg(long, value_name = "MS")]
    pub(crate) up_beat_ms: Option<u16>,
    /// Slots of the fast track in a beat, 1-8
    #[arg(long, value_name = "N")]
    pub(crate) fast_slots: Option<u8>,
    /// Seconds in a slot of the slow track; divides 86,400
    #[arg(long, value_name = "S")]
    pub(crate) slow_s: Option<u16>,
    /// Days the slow track is kept, 1-31
    #[arg(long, value_name = "N")]
    pub(crate) slow_days: Option<u8>,
    /// Seconds the relay keeps a letter nobody fetched
    #[arg(long, value_name = "S")]
    pub(crate) up_ttl_s: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct LineShow {
    #[command(flatten)]
    pub(crate) base: DeskBase,
    /// Show each web door as a QR code, too: for a telephone held before this screen, and for nothing that is sent
    #[arg(long)]
    pub(crate) qr: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LineRenew {
    #[command(flatten)]
    pub(crate) base: DeskBase,
    /// The sixteen words of the line's root (- is stdin); asked for on the terminal if not given
    #[arg(long, value_name = "FILE")]
    pub(crate) root_words_file: Option<PathBuf>,
    /// Void whatever any other lead has signed or may sign, and take those leads out of the team: for a lead's laptop that was lost
    #[arg(long)]
    pub(crate) void_others: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LeadVerb {
    /// Make this device, a worker's until now, a lead too: with a key of its own to sign with
    Add(LineRenew),
}

#[derive(Debug, Args)]
pub(crate) struct LineRevoke {
    #[command(flatten)]
    pub(crate) base: DeskBase,
    /// The device: at least four digits of the beginning of its id, as `line show` gives it
    #[arg(value_name = "DEVICE")]
    pub(crate) device: String,
}

#[derive(Debug, Args)]
pub(crate) struct LineBulletin {
    #[command(flatten)]
    pub(crate) base: DeskBase,
    /// 1 "do not go to any meeting agreed before today", 2 "closed until ...", 3 "this door will change, use the other"
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=3), required_unless_present = "none", conflicts_with = "none")]
    pub(crate) code: Option<u8>,
    /// Void every bulletin raised until now
    #[arg(long)]
    pub(crate) none: bool,
    /// At this relay alone, by its number on the card: for --code 3, at the door that will change and not at the other
    #[arg(long, value_name = "NUMBER", requires = "code")]
    pub(crate) relay: Option<u8>,
    /// With --code 2: closed for so long from now
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, requires = "code")]
    pub(crate) closed_for: Option<Duration>,
}

/// Where the vault is, and how it is opened.
#[derive(Debug, Clone, Args)]
pub(crate) struct DeskBase {
    /// The desk's directory
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// The vault's passphrase (- is stdin); asked for on the terminal if not given
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeskVerb {
    /// Make this device's vault and ask to join a line; with --admission, join it
    Join(DeskJoin),
    /// Admit a device that asks to join (for a lead)
    Admit(DeskAdmit),
    /// Fetch what callers wrote, and send what is due
    Sync(DeskSync),
    /// List callers, the most urgent first
    List(DeskBase),
    /// Show one caller's letters, answers and notes
    Show(DeskPerson),
    /// Take a caller on for half an hour
    Claim(DeskClaim),
    /// Let a caller go
    Release(DeskPerson),
    /// Hand a caller over at the end of a shift
    HandOver(DeskHandOver),
    /// Accept a caller who was handed over: from now on she is yours to look after
    Accept(DeskPerson),
    /// Leave a note for colleagues
    Note(DeskNote),
    /// Answer a caller
    Answer(DeskAnswer),
    /// Tell colleagues that you are writing to a caller, and hear who else is
    Compose(DeskCompose),
    /// Note how the team knows a caller
    Know(DeskKnow),
    /// Note the question that only she can answer, for when she has lost her words
    Question(DeskQuestion),
    /// Note what she asked the team to do if her sign is late
    Wish(DeskWish),
    /// Mark a row as the room that another caller opens when she is forced to
    Duress(DeskDuress),
    /// Propose what two workers must want
    Propose(DeskPropose),
    /// List proposals
    Proposals(DeskBase),
    /// Agree to a colleague's proposal; after a day, to your own
    Agree(DeskDecide),
    /// Object to a proposal
    Object(DeskDecide),
    /// Send the words of a proposal that a second worker has agreed to
    Say(DeskSay),
    /// Take a caller out of a row that several share
    Part(DeskPart),
    /// Show who is on call, who is next, and when nobody is
    Rota(DeskBase),
    /// Enter a shift
    Shift(DeskShift),
    /// Strike a shift
    Strike(DeskStrike),
    /// Go off shift
    Off(DeskBase),
    /// Show what is recorded of workers' acts
    Audit(DeskBase),
    /// Destroy this device's vault, and take the device out of the team
    Burn(DeskBurn),
    /// Fetch, receipt and send for ever
    Watch(DeskWatch),
    /// Open the board in a browser on this machine
    Open(DeskOpen),
}

#[derive(Debug, Args)]
pub(crate) struct DeskJoin {
    #[command(flatten)]
    pub(crate) base: DeskBase,
    /// The file a lead made of this device's request (- is stdin)
    #[arg(long, value_name = "FILE")]
    pub(crate) admission: Option<PathBuf>,
    /// The admission's eight check words, as the lead reads them to you; asked for on the terminal if not given
    #[arg(long, value_name = "WORDS", requires = "admission")]
    pub(crate) words: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DeskAdmit {
    #[command(flatten)]
    pub(crate) base: DeskBase,
    /// The request: a file, - for stdin, or its text
    #[arg(value_name = "REQUEST")]
    pub(crate) request: String,
    /// The request's eight check words, as the new worker reads them to you; asked for on the terminal if not given
    #[arg(long, value_name = "WORDS")]
    pub(crate) words: Option<String>,
    /// The seat to answer from, 0-7; the lowest free one if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=7), conflicts_with = "without_seat")]
    pub(crate) seat: Option<u8>,
    /// The device reads and takes notes, but answers nobody
    #[arg(long)]
    pub(crate) without_seat: bool,
    /// The device is the safeguarding person's: it reads what callers write to her, and nothing of the desk's
    #[arg(long, conflicts_with_all = ["seat", "without_seat"])]
    pub(crate) safeguarding: bool,
    /// Write the admission to this new file
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DeskSync {
    #[command(flatten)]
    pub(crate) base: DeskBase,
    /// How long to go on sending what is due
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "2m")]
    pub(crate) wait: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct DeskPerson {
    #[command(flatten)]
    pub(crate) base: DeskBase,
    /// The caller: her id, at least four digits of its beginning, or her nickname
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct DeskClaim {
    #[command(flatten)]
    pub(crate) person: DeskPerson,
    /// Why, when a colleague holds the claim
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DeskHandOver {
    #[command(flatten)]
    pub(crate) person: DeskPerson,
    /// To which device of `line show`: at least four digits of its id; if not given, to whoever is on call
    #[arg(long, value_name = "DEVICE")]
    pub(crate) to: Option<String>,
    /// How things stand
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, default_value = "", hide_default_value = true)]
    pub(crate) situation: String,
    /// What we have promised her
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, default_value = "", hide_default_value = true)]
    pub(crate) promised_by_us: String,
    /// What she has promised
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, default_value = "", hide_default_value = true)]
    pub(crate) promised_by_her: String,
    /// What could go wrong
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, default_value = "", hide_default_value = true)]
    pub(crate) risk: String,
    /// What is to be done next, and by whom
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, default_value = "", hide_default_value = true)]
    pub(crate) next_step: String,
}

#[derive(Debug, Args)]
pub(crate) struct DeskNote {
    #[command(flatten)]
    pub(crate) person: DeskPerson,
    /// The note (- is stdin)
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) text: String,
}

#[derive(Debug, Args)]
pub(crate) struct DeskAnswer {
    #[command(flatten)]
    pub(crate) person: DeskPerson,
    /// The answer (- is stdin)
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, required_unless_present = "stop", conflicts_with = "stop")]
    pub(crate) text: Option<String>,
    /// Say "please do not go; the plan has changed" instead of a text
    #[arg(long)]
    pub(crate) stop: bool,
    /// How long it may be shown; 14d if not given, 30d at most
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) good_until: Option<Duration>,
    /// It names a place or a time: shown for 48h at most
    #[arg(long)]
    pub(crate) meeting: bool,
    /// Answer although she asked not to be answered now
    #[arg(long)]
    pub(crate) although_quiet: bool,
    /// Answer although a colleague is writing to her, too
    #[arg(long)]
    pub(crate) although_composing: bool,
    /// The answer's language
    #[arg(long, value_enum)]
    pub(crate) language: Option<Tongue>,
    /// How long to go on sending until it is with the relay
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "2m")]
    pub(crate) wait: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct DeskBurn {
    #[command(flatten)]
    pub(crate) base: DeskBase,
    /// Yes: nothing brings it back
    #[arg(long, required = true)]
    pub(crate) really: bool,
    /// Tell nobody first: needs neither passphrase nor network
    #[arg(long)]
    pub(crate) at_once: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DeskWatch {
    #[command(flatten)]
    pub(crate) base: DeskBase,
    /// Run this with `sh -c` when a new letter waits; it is told nothing
    #[arg(long, value_name = "COMMAND")]
    pub(crate) exec: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DeskOpen {
    /// The desk's directory
    #[arg(long, value_name = "DIR", required_unless_present = "practice")]
    pub(crate) dir: Option<PathBuf>,
    /// The vault's passphrase (- is stdin); asked for on the terminal if not given
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Invented callers and an invented colleague: no vault, no network
    #[arg(long, conflicts_with_all = ["dir", "passphrase_file"])]
    pub(crate) practice: bool,
    /// Lock the board after so long without a sign of you; 15m if not given, and at most
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) lock_after: Option<Duration>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CallerVerb {
    /// Draw eight new words. Needs no network
    New(CallerNew),
    /// Say how you are
    Checkin(CallerCheckin),
    /// Write a text
    Write(CallerWrite),
    /// Read answers
    Read(CallerRead),
    /// Take back what nobody has read yet
    Withdraw(CallerWithdraw),
    /// Show the words in all languages, with their pictures. Needs no network
    Words(CallerBase),
}

#[derive(Debug, Args)]
pub(crate) struct CallerNew {
    /// The line's card: a file, - for stdin, or its text
    #[arg(long, value_name = "CARD")]
    pub(crate) card: String,
    /// Language of the words
    #[arg(long, value_enum, default_value_t = Tongue::Ko)]
    pub(crate) language: Tongue,
    /// Write the words to this new file, readable by you alone, instead of printing them
    #[arg(long, value_name = "FILE")]
    pub(crate) phrase_file: Option<PathBuf>,
}

/// Which line, and who writes.
#[derive(Debug, Clone, Args)]
pub(crate) struct CallerBase {
    /// The line's card: a file, - for stdin, or its text
    #[arg(long, value_name = "CARD")]
    pub(crate) card: String,
    /// The eight words (- is stdin); asked for on the terminal if not given
    #[arg(long, value_name = "FILE")]
    pub(crate) phrase_file: Option<PathBuf>,
}

/// How to visit the line.
#[derive(Debug, Clone, Args)]
pub(crate) struct Visiting {
    #[command(flatten)]
    pub(crate) base: CallerBase,
    /// Only for tests: beats of 50 ms, whatever the line says
    #[arg(long, hide_short_help = true)]
    pub(crate) fast_beats: bool,
}

/// What goes with a letter.
#[derive(Debug, Clone, Args)]
pub(crate) struct LetterArgs {
    /// When you may write again
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) next: Option<Duration>,
    /// Please do not answer me now
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Answer like a relative would
    #[arg(long)]
    pub(crate) relative: bool,
    /// The language you would like the answer in
    #[arg(long, value_enum)]
    pub(crate) language: Option<Tongue>,
    /// Stay so long for the desk's receipt; without it, leave when the letter is in the box
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) wait: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct CallerCheckin {
    #[command(flatten)]
    pub(crate) visiting: Visiting,
    /// How you are
    #[arg(long, value_enum)]
    pub(crate) status: StatusChoice,
    /// A few words with it (- is stdin)
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) text: Option<String>,
    #[command(flatten)]
    pub(crate) letter: LetterArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CallerWrite {
    #[command(flatten)]
    pub(crate) visiting: Visiting,
    /// What to write (- is stdin); may be repeated: each is a letter of its own, in this order, in one visit
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, required = true)]
    pub(crate) text: Vec<String>,
    /// Write to the safeguarding person instead, past the desk: about a worker, for instance
    #[arg(long)]
    pub(crate) safeguarding: bool,
    #[command(flatten)]
    pub(crate) letter: LetterArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CallerRead {
    #[command(flatten)]
    pub(crate) visiting: Visiting,
    /// Stay so long for new answers
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) wait: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct CallerWithdraw {
    #[command(flatten)]
    pub(crate) visiting: Visiting,
    /// Everything nobody has read yet (also the default)
    #[arg(long, conflicts_with_all = ["session", "seq"])]
    pub(crate) all: bool,
    /// The visit of the one letter to take back, 16 hex digits
    #[arg(long, value_name = "HEX", requires = "seq")]
    pub(crate) session: Option<String>,
    /// Its number in that visit
    #[arg(long, value_name = "N", requires = "session")]
    pub(crate) seq: Option<u16>,
    /// Take back what was written to the safeguarding person, instead of what was written to the desk
    #[arg(long)]
    pub(crate) safeguarding: bool,
    /// Stay so long for the desk's receipt
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) wait: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tongue {
    Ko,
    Zh,
    En,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusChoice {
    /// I am all right
    Safe,
    /// I need help
    Help,
    /// I am going to another place
    Moving,
    /// I would like to talk
    Talk,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnswerWithin {
    Unsaid,
    Hour,
    Hours,
    Day,
    TwoDays,
    Week,
}

impl AnswerWithin {
    /// The roster's byte (SPEC §5.3).
    pub(crate) fn code(self) -> u8 {
        self as u8
    }
}

/// `host:port`, as the dialler takes it.
fn proxy(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse::<u16>().ok());
    port.filter(|port| *port > 0)
        .map(|_| text.to_owned())
        .ok_or_else(|| "a proxy is HOST:PORT, such as 127.0.0.1:9050".to_owned())
}

#[cfg(test)]
mod tests;
