//! Every sentence this program says, in one place. English only so far; `--lang` is there for the others.

use std::io;
use std::path::Path;

use porchlight_client::caller::{OpenError, RelayTrouble};
use porchlight_client::transport::Failure;
use porchlight_proto::bulletin::Code;
use porchlight_proto::card::CardError;
use porchlight_proto::letter::ContentError;
use porchlight_proto::phrase::PhraseError;
use porchlight_proto::roster::RosterError;
use porchlight_proto::time::Seconds;
use porchlight_proto::visit::VisitError;

use crate::duration;
use crate::exit::Exit;
use crate::moment;
use crate::trouble::Trouble;

pub(crate) const ASK_PHRASE: &str = "Eight words: ";
pub(crate) const ASK_ROOT_WORDS: &str = "Sixteen root words: ";
pub(crate) const ASK_PASSPHRASE: &str = "Passphrase: ";
pub(crate) const ASK_NEW_PASSPHRASE: &str = "New passphrase: ";
pub(crate) const ASK_AGAIN: &str = "Once more: ";
pub(crate) const ONLY_ENGLISH: &str = "messages are only written in English so far";

// ── inputs ──────────────────────────────────────────────────────────────────────────────────────

pub(crate) fn cannot_read(path: &Path, error: &io::Error) -> Trouble {
    Trouble::new(Exit::Usage, format!("cannot read {}: {error}", path.display()), "Check the path, and that you may read it.")
}

pub(crate) fn cannot_write(path: &Path, error: &io::Error) -> Trouble {
    let hint = if error.kind() == io::ErrorKind::AlreadyExists { "Nothing was overwritten. Name a file that does not exist yet." } else { "Check the path, and that you may write there." };
    Trouble::new(Exit::Usage, format!("cannot write {}: {error}", path.display()), hint)
}

pub(crate) fn stdin_twice() -> Trouble {
    Trouble::new(Exit::Usage, "stdin can be read only once", "Give `-` to one option only, and files to the others.")
}

pub(crate) fn no_phrase() -> Trouble {
    Trouble::new(Exit::Usage, "no terminal to ask for the eight words", "Give --phrase-file FILE, or --phrase-file - to read stdin.")
}

pub(crate) fn no_root_words() -> Trouble {
    Trouble::new(Exit::Usage, "no terminal to ask for the root words", "Give --root-words-file FILE, or - to read stdin.")
}

pub(crate) fn no_passphrase() -> Trouble {
    Trouble::new(Exit::Usage, "no passphrase", "Give --passphrase-file FILE (its first line counts; - is stdin), or run this on a terminal.")
}

pub(crate) fn passphrases_differ() -> Trouble {
    Trouble::new(Exit::WrongWords, "the two passphrases differ", "Nothing was made. Try again.")
}

pub(crate) fn bad_card(error: CardError) -> Trouble {
    let hint = match error {
        CardError::NotACard => "Give a file with the card's text, or the text itself: it begins with PORCHLIGHT1-. A web address is not a card.",
        CardError::Mistyped => "It may be cut off or misspelt. Copy all of it once more, or ask the line for it again.",
        _ => "Ask the line for a new card, or use a newer version of this program.",
    };
    Trouble::new(Exit::Usage, error.to_string(), hint)
}

pub(crate) fn bad_words(error: &PhraseError, expected: usize) -> Trouble {
    let hint = match error {
        PhraseError::UnknownWord(_) => "Check its spelling; Korean, Chinese and English words may be mixed.".to_owned(),
        _ => format!("Exactly {expected} words are needed, in their order, with spaces between them."),
    };
    Trouble::new(Exit::WrongWords, error.to_string(), hint)
}

pub(crate) fn bad_content(error: &ContentError) -> Trouble {
    let hint = match error {
        ContentError::TooLong => "Nothing was sent. About 5,300 Korean or Chinese characters fit.",
        ContentError::Empty => "Nothing was sent. Give --text, or - and the text on stdin.",
        _ => "Nothing was sent.",
    };
    Trouble::new(Exit::Usage, error.to_string(), hint)
}

pub(crate) fn bad_session() -> Trouble {
    Trouble::new(Exit::Usage, "--session is not 16 hex digits", "It is printed when a letter is sent (with --json: field `session`).")
}

// ── network ─────────────────────────────────────────────────────────────────────────────────────

pub(crate) fn failure(failure: &Failure) -> Trouble {
    let (exit, hint) = match failure {
        Failure::Unreachable(_) => (Exit::Network, "Check the network, or try later or through another way (--socks5)."),
        Failure::Proxy(_) => (Exit::Network, "Check that the proxy of --socks5 runs and may reach the relay."),
        Failure::Untrusted => (
            Exit::Untrusted,
            "Somebody may be in between, or the relay has a new certificate. Nothing was sent. Compare the pin with the line, or use another network.",
        ),
        Failure::Tls(_) => (Exit::Network, "Something else than a relay answers there. Check the address."),
        Failure::NotThisLine => (Exit::Network, "The relay does not know this line at this gate, or something else answers there. Check the card; on a desk: the relay's [[line]] part and the clock."),
        _ => (Exit::Network, "Try again later."),
    };
    Trouble::new(exit, failure.to_string(), hint)
}

pub(crate) fn visit_error(error: &VisitError) -> Trouble {
    let (exit, hint) = match error {
        VisitError::NotARelay => (Exit::Network, "Try another network, or later."),
        VisitError::NoRoster => (Exit::Network, "The line's team runs `porchlight line publish` or `porchlight desk watch` to do so."),
        VisitError::Roster(RosterError::NotYet | RosterError::Expired) => {
            (Exit::Untrusted, "If this device's clock is right, the relay shows an old statement or the line's team has not renewed it. Nothing was sent.")
        }
        VisitError::Roster(_) | VisitError::RolledBack => {
            (Exit::Untrusted, "Nothing was sent. The relay may be lying, or the card is of another line: compare the card with the line.")
        }
        VisitError::Clock => (Exit::Untrusted, "Nothing was sent."),
        VisitError::Content(content) => return bad_content(content),
        _ => (Exit::Bug, "Please report this."),
    };
    Trouble::new(exit, error.to_string(), hint)
}

pub(crate) fn relay_trouble(trouble: &RelayTrouble) -> Trouble {
    match trouble {
        RelayTrouble::Failure(inner) => failure(inner),
        RelayTrouble::Visit(error) => visit_error(error),
        other => Trouble::new(Exit::Network, other.to_string(), "Try again later."),
    }
}

pub(crate) fn not_opened(error: &OpenError) -> Trouble {
    match error {
        OpenError::Relays(trouble) => relay_trouble(trouble),
        OpenError::NoRelay => Trouble::new(Exit::Network, "no relay of the card answers", "Check the network, or try later."),
        other => Trouble::new(Exit::Usage, other.to_string(), "Ask the line for a new card."),
    }
}

pub(crate) fn one_relay(number: u8, trouble: &RelayTrouble) -> String {
    format!("relay {number}: {trouble}; going on")
}

pub(crate) fn misnumbered(number: u8, calls_itself: u8) -> String {
    format!("relay {number} of the card calls itself {calls_itself}: set `relay_no = {number}` in its [[line]] part, or its web page finds no answers")
}

// ── callers ─────────────────────────────────────────────────────────────────────────────────────

pub(crate) const NOT_KEPT: &str = "The letter was not handed in whole, and nothing of it is kept here: write it again.";

pub(crate) fn in_box() -> &'static str {
    "✓  It is in the box. It has not arrived yet: the desk has not said that it has it."
}

pub(crate) fn receipt() -> &'static str {
    "✓✓ It arrived: the desk has it."
}

pub(crate) fn withdrawn() -> &'static str {
    "It was taken back before anybody read it."
}

pub(crate) fn too_late() -> &'static str {
    "It had been read before it could be taken back."
}

pub(crate) fn stop() -> &'static str {
    "Please do not go. The plan has changed."
}

pub(crate) fn full() -> &'static str {
    "the box is full at the moment; trying again at the next beats"
}

pub(crate) fn not_receipted() -> &'static str {
    "It is in the box, but the desk has not said yet that it has it. If nobody fetches it in time it is lost; your next visit can write it again."
}

pub(crate) fn interrupted_in_box() -> &'static str {
    "Stopped. The letter is in the box; the desk has not said yet that it has it."
}

pub(crate) fn interrupted() -> Trouble {
    Trouble::new(Exit::Network, "stopped before the letter was in the box", NOT_KEPT)
}

pub(crate) fn interrupted_reading() -> &'static str {
    "Stopped. What the line has not heard that you read, you can read again."
}

pub(crate) fn box_full() -> Trouble {
    Trouble::new(Exit::Refused, "the box is full", NOT_KEPT)
}

pub(crate) fn not_in_box() -> Trouble {
    Trouble::new(Exit::Network, "the letter did not get into the box in time", NOT_KEPT)
}

pub(crate) fn not_read() -> Trouble {
    Trouble::new(Exit::Network, "the relay's answers could not be read to the end", "There may be answers. Try again later.")
}

pub(crate) fn no_answer() -> &'static str {
    "No answer yet. You did nothing wrong."
}

pub(crate) fn answer_head(time: Seconds, good_until: Seconds) -> String {
    format!("There is an answer for you, written {}, good until {}:", moment::spoken(time), moment::spoken(good_until))
}

pub(crate) fn introduction(card: &str) -> String {
    format!("It introduces you to another line. Its card:\n{card}")
}

pub(crate) fn bulletin(code: Code) -> &'static str {
    match code {
        Code::NoMeetings => "The line says to everyone: do not go to any meeting agreed before today.",
        Code::Closed => "The line says to everyone: we are closed for some time.",
        Code::DoorChanges => "The line says to everyone: this door will change, use the other.",
    }
}

pub(crate) fn closed_until(until: Seconds) -> String {
    format!("Closed until {}.", moment::spoken(until))
}

pub(crate) fn answer_within(code: u8) -> Option<&'static str> {
    match code {
        1 => Some("Somebody usually answers within an hour."),
        2 => Some("Somebody usually answers within a few hours."),
        3 => Some("Somebody usually answers within a day."),
        4 => Some("Somebody usually answers within two days."),
        5 => Some("Somebody usually answers within a week."),
        _ => None,
    }
}

pub(crate) fn new_words(words: &str, pictures: &str) -> String {
    format!(
        "{words}\n\nThese eight words are the key. Only you know them; nobody can find them for you.\n\
         Make a small story of them. On paper they look like a shopping list. No screenshots.\nTheir three pictures: {pictures}"
    )
}

pub(crate) fn words_written(path: &Path, pictures: &str) -> String {
    format!("The eight words are in {}, readable by you alone.\nTheir three pictures: {pictures}", path.display())
}

pub(crate) fn pictures(pictures: &str) -> String {
    format!("Their three pictures: {pictures}. If these are not yours, try the words again.")
}

pub(crate) fn session(session: &str, seq: u16) -> String {
    format!("(visit {session}, letter {seq})")
}

// ── the program itself ──────────────────────────────────────────────────────────────────────────

pub(crate) fn bug(place: &str) -> String {
    format!("a fault of this program at {place}\n  Nothing you wrote was lost by it that was not said to be lost. Please report it, without any words or letters.")
}

pub(crate) fn no_chance() -> Trouble {
    Trouble::new(Exit::Bug, "this system gives no random numbers", "Nothing secret can be made without them.")
}

pub(crate) fn no_runtime(error: &io::Error) -> Trouble {
    Trouble::new(Exit::Bug, format!("cannot start: {error}"), "The system refuses basic resources; check its limits.")
}

pub(crate) fn waited(seconds: u64) -> String {
    format!("waited {}", duration::spoken(seconds))
}
