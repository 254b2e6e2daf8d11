//! Every sentence this program says, in one place. English only so far; `--lang` is there for the others.

use std::io;
use std::path::Path;

use porchlight_client::caller::{OpenError, RelayTrouble};
use porchlight_client::desk::{
    AnswerState, AuditLine, CheckWords, Claimed, DeskError, FindError, HandOverState, Item, LetterState, LineView, OfficeError,
    Person, PromiseState, ProposalState, ProposalView, ReadableFrom, Rota, Row, Urgency, Warning,
};
use porchlight_client::duty::DutyError;
use porchlight_client::transport::Failure;
use porchlight_client::vault::VaultError;
use porchlight_proto::bulletin::Code;
use porchlight_proto::card::{Card, CardError, RelayAddress};
use porchlight_proto::letter::ContentError;
use porchlight_proto::line::{DeviceId, Seat};
use porchlight_proto::phrase::PhraseError;
use porchlight_proto::roster::RosterError;
use porchlight_proto::time::Seconds;
use porchlight_proto::visit::{To, VisitError};

use crate::desk::board;
use crate::exit::Exit;
use crate::moment;
use crate::trouble::Trouble;

pub(crate) const ASK_PHRASE: &str = "Eight words: ";
pub(crate) const ASK_ROOT_WORDS: &str = "Sixteen root words: ";
pub(crate) const ASK_PASSPHRASE: &str = "Passphrase: ";
pub(crate) const ASK_NEW_PASSPHRASE: &str = "New passphrase: ";
pub(crate) const ASK_AGAIN: &str = "Once more: ";
pub(crate) const ASK_CHECK_WORDS: &str = "The eight check words, as the other person reads them to you: ";
pub(crate) const ONLY_ENGLISH: &str = "messages are only written in English so far";

// ── inputs ──────────────────────────────────────────────────────────────────────────────────────

pub(crate) fn cannot_read(path: &Path, error: &io::Error) -> Trouble {
    Trouble::new(Exit::Usage, format!("cannot read {}: {error}", path.display()), "Check the path, and that you may read it.")
}

pub(crate) fn not_written() -> Trouble {
    let hint = "What was asked is done, but its result is lost: make room, or write it to another place, and look again.";
    Trouble::new(Exit::Usage, "standard output cannot be written", hint)
}

pub(crate) fn root_words_lost() -> Trouble {
    let hint = "The new line was taken back, since nobody could ever have led it. Run it again where its output can be read.";
    Trouble::new(Exit::Usage, "the root's words could not be shown", hint)
}

pub(crate) fn cannot_write(path: &Path, error: &io::Error) -> Trouble {
    let hint = if error.kind() == io::ErrorKind::AlreadyExists {
        "Nothing was overwritten. Name a file that does not exist yet."
    } else {
        "Check the path, and that you may write there."
    };
    Trouble::new(Exit::Usage, format!("cannot write {}: {error}", path.display()), hint)
}

pub(crate) fn stdin_twice() -> Trouble {
    Trouble::new(Exit::Usage, "stdin can be read only once", "Give `-` to one option only, and files to the others.")
}

pub(crate) fn no_phrase() -> Trouble {
    Trouble::new(
        Exit::Usage,
        "no terminal to ask for the eight words",
        "Give --phrase-file FILE, or --phrase-file - to read stdin.",
    )
}

pub(crate) fn no_root_words() -> Trouble {
    Trouble::new(Exit::Usage, "no terminal to ask for the root words", "Give --root-words-file FILE, or - to read stdin.")
}

pub(crate) fn no_passphrase() -> Trouble {
    Trouble::new(
        Exit::Usage,
        "no passphrase",
        "Give --passphrase-file FILE (its first line counts; - is stdin), or run this on a terminal.",
    )
}

pub(crate) fn no_check_words() -> Trouble {
    let hint = "Give --words \"…\" with the eight words that the other person reads to you from their screen.";
    Trouble::new(Exit::Usage, "no terminal to ask for the check words", hint)
}

pub(crate) fn check_words_differ() -> Trouble {
    let hint = "Nothing was changed. Read them to each other once more; if they still differ, something else was carried to you than was sent.";
    Trouble::new(Exit::WrongWords, "the check words are others", hint)
}

pub(crate) const BURNED: &str = "The vault is destroyed. This device is of no team any more.";
pub(crate) const BURNED_UNTOLD: &str =
    "the team was not told: somebody with a lead device should run `porchlight line revoke` for it";
pub(crate) const ONLY_LEAD_BURNED: &str =
    "this was the line's only lead: nobody can publish for it any more, and its doors close when its statements run out";

pub(crate) fn not_burned(error: &str) -> Trouble {
    let hint = "Something is left of it. Run it again with --at-once; if that fails, destroy the disk.";
    Trouble::new(Exit::Usage, format!("the vault could not be destroyed whole: {error}"), hint)
}

pub(crate) const HANDED_OVER: &str = "Handed over. A claim of yours stays until somebody accepts.";
pub(crate) const ACCEPTED: &str = "She is yours to look after, for half an hour as a claim; the hand-over is in her thread.";

pub(crate) const REVOKED: &str = "The device is out of the team. What was sent before, it may have read.";
pub(crate) const REVOKED_LEAD: &str = "This was a lead's device, and it holds a key that the sixteen words vouch for: it can still name devices of its own in the \
line. So look through `porchlight line show` and revoke what nobody knows; start `porchlight desk watch` on every laptop; then, on a lead that is left, `porchlight \
line renew --void-others` (if none is left, `porchlight line lead add --void-others` on a worker's). Let the watches run for a quarter of an hour: a laptop that is off \
then, and every other lead's, must join anew, and the safeguarding mailbox must be renewed the same day.";
pub(crate) const REVOKED_BY_TWO: &str = "Two devices want it out, so the team's devices hold it for out of the team. Callers' programs and the relays learn of it \
when a lead publishes; if no lead is left, make one with the root words: `porchlight line lead add`.";
pub(crate) const VOTED: &str = "This is one vote; a second device of the team must run the same. Only then is the device out of the team, and callers' \
programs and the relays learn of it when a lead publishes.";
pub(crate) const VOTED_HERE: &str =
    "The vote is in the vault, and goes out with the next `porchlight desk sync` or `desk watch`.";
pub(crate) const LEAD_ADDED: &str = "This device is a lead now: it publishes, admits and revokes. Put the root words away again.";
pub(crate) const WAITS_TO_RAISE: &str = "the certificates of before end when colleagues' devices have their new ones, at the latest in a quarter of an hour, \
and when this device then runs: leave `porchlight desk watch` running. A device that was off all that time is shut out: let it join anew.";
pub(crate) const REVOKED_HERE: &str =
    "The device is revoked here, but the relays do not know it yet: run `porchlight line publish`.";
pub(crate) const ADMITTED_HERE: &str =
    "The admission is written and good; but the relays do not know the new seat yet: run `porchlight line publish`.";

pub(crate) fn request_made(words: &[&str; 8], next: &str, safeguarding: bool) -> String {
    let how = if safeguarding { " They admit it with --safeguarding." } else { "" };
    format!(
        "send this request to a lead in any way, and read them these words by another: {}\n  Then run `porchlight {next}` again with --admission FILE.{how}",
        words.join(" ")
    )
}

pub(crate) const RENEWED_MAILBOX: &str = "The mailbox is renewed. What was written to the key before still opens, for as long as a relay can hold it; delete the admission.";

pub(crate) fn admitted(file: &Path, words: &[&str; 8]) -> String {
    format!(
        "The admission is in {}: carry it to the new device, and delete it then. With it, read them these words:\n  {}",
        file.display(),
        words.join(" ")
    )
}

pub(crate) fn joined(line: &str, seat: Option<u8>) -> String {
    let short = line.get(..8).unwrap_or(line);
    if seat == Some(Seat::SAFEGUARDING.number()) {
        return format!(
            "This device has the safeguarding mailbox of line {short}…. `porchlight safeguard watch` fetches what is written to you; delete the admission."
        );
    }
    let seat = seat.map_or_else(|| "without a seat: it reads, and answers nobody".to_owned(), |seat| format!("in seat {seat}"));
    format!("This device belongs to line {short}…, {seat}. `porchlight desk sync` fetches what is new; delete the admission.")
}

pub(crate) fn passphrases_differ() -> Trouble {
    Trouble::new(Exit::WrongWords, "the two passphrases differ", "Nothing was made. Try again.")
}

pub(crate) fn bad_card(error: CardError) -> Trouble {
    let hint = match error {
        CardError::NotACard => {
            "Give a file with the card's text, or the text itself: it begins with PORCHLIGHT1-. A web address is not a card."
        }
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
    Trouble::new(
        Exit::Usage,
        "--session is not 16 hex digits",
        "It is printed when a letter is sent (with --json: field `session`).",
    )
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
        Failure::NotThisLine => (
            Exit::Network,
            "The relay does not know this line at this gate, or something else answers there. Check the card; on a desk: the relay's [[line]] part, the clock, and whether this device was revoked (`porchlight line show`).",
        ),
        _ => (Exit::Network, "Try again later."),
    };
    Trouble::new(exit, failure.to_string(), hint)
}

pub(crate) fn visit_error(error: &VisitError) -> Trouble {
    let (exit, hint) = match error {
        VisitError::NotARelay => (Exit::Network, "Try another network, or later."),
        VisitError::NoRoster => {
            (Exit::Network, "The line's team runs `porchlight line publish` or `porchlight desk watch` to do so.")
        }
        VisitError::Roster(RosterError::NotYet | RosterError::Expired) => (
            Exit::Untrusted,
            "If this device's clock is right, the relay shows an old statement or the line's team has not renewed it. Nothing was sent.",
        ),
        VisitError::Roster(_) | VisitError::RolledBack | VisitError::OtherRelay => (
            Exit::Untrusted,
            "Nothing was sent. The relay may be lying, or the card is of another line: compare the card with the line.",
        ),
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
    format!(
        "relay {number} of the card calls itself {calls_itself}: set `relay_no = {number}` in its [[line]] part, or its web page finds no answers"
    )
}

// ── callers ─────────────────────────────────────────────────────────────────────────────────────

/// Only a relay's word may have been lost on the way: then the letter is in the box, and the desk gets it twice.
pub(crate) const NOT_KEPT: &str = "No relay has said that it has the whole letter. It may have it all the same, but nothing of it is kept here: write it again.";

pub(crate) const fn in_box(to: To) -> &'static str {
    match to {
        To::Desk => "✓  It is in the box. It has not arrived yet: the desk has not said that it has it.",
        To::Safeguarding => {
            "✓  It is in the safeguarding person's box. It has not arrived yet: they have not said that they have it."
        }
    }
}

pub(crate) const fn receipt(to: To) -> &'static str {
    match to {
        To::Desk => "✓✓ It arrived: the desk has it.",
        To::Safeguarding => "✓✓ It arrived: the safeguarding person has it, and nobody else.",
    }
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

pub(crate) const fn not_receipted(to: To) -> &'static str {
    match to {
        To::Desk => {
            "It is in the box, but the desk has not said yet that it has it. If nobody fetches it in time it is lost; your next visit can write it again."
        }
        To::Safeguarding => {
            "It is in the safeguarding person's box. That they have it can be said some hours later at the earliest. If they do not fetch it in time it is lost; your next visit can write it again."
        }
    }
}

/// Which of several letters of a visit is not in the box; of one alone the last sentence says it all.
pub(crate) fn letter_not_in_box(seq: u16, of: usize) -> String {
    if of > 1 { format!("Letter {seq} is not known to be in the box.") } else { String::new() }
}

pub(crate) const fn interrupted_in_box(to: To) -> &'static str {
    match to {
        To::Desk => "Stopped. The letter is in the box; the desk has not said yet that it has it.",
        To::Safeguarding => "Stopped. The letter is in the safeguarding person's box; they have not said yet that they have it.",
    }
}

pub(crate) fn interrupted() -> Trouble {
    Trouble::new(Exit::Network, "stopped before the letter was known to be in the box", NOT_KEPT)
}

pub(crate) fn interrupted_reading() -> &'static str {
    "Stopped. What the line has not heard that you read, you can read again."
}

pub(crate) fn box_full() -> Trouble {
    Trouble::new(Exit::Refused, "the box is full", NOT_KEPT)
}

pub(crate) fn not_in_box() -> Trouble {
    Trouble::new(Exit::Network, "the letter is not known to be in the box", NOT_KEPT)
}

pub(crate) fn not_read() -> Trouble {
    Trouble::new(Exit::Network, "the relay's answers could not be read to the end", "There may be answers. Try again later.")
}

pub(crate) fn no_answer() -> &'static str {
    "No answer yet. You did nothing wrong."
}

pub(crate) fn answer_head(seat: Seat, time: Seconds, good_until: Seconds) -> String {
    let from = if seat.is_safeguarding() { " from the safeguarding person" } else { "" };
    format!("There is an answer for you{from}, written {}, good until {}:", moment::spoken(time), moment::spoken(good_until))
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

// ── desks ───────────────────────────────────────────────────────────────────────────────────────

pub(crate) const KEPT: &str =
    "The answer is kept in the vault and goes out with the next `porchlight desk sync` or `desk watch`.";
pub(crate) const WAITS_FOR_A_SLOT: &str = "The answer is kept in the vault, and goes out in the next of your slots, every eighth of the slow track: leave `porchlight safeguard watch` running";
pub(crate) const STILL_DUE: &str =
    "something is still to be sent; run `porchlight desk sync` again, or leave `desk watch` running";
pub(crate) const ASKED: &str =
    "This device was away for longer than the relay keeps letters; a colleague's device has been asked for them.";
pub(crate) const BOARD_TAKEN: &str = "A colleague's device has left the board: what was missed is here.";
pub(crate) const WATCHING: &str = "On watch. Ctrl-C ends it; nothing is lost by that.";
pub(crate) const BOARD_BEHIND_A_WATCH: &str =
    "Another program of this directory does the sending; the board sends once that has ended.";
pub(crate) const BOARD_CLOSED: &str =
    "Closed. What was pressed Send for is in the vault, and goes out with the next `desk open`, `desk watch` or `desk sync`.";
/// The worker pressed Send, and the vault did not take it. Their number is not for the log: one is as bad as two.
pub(crate) fn board_closed_unsent() -> Trouble {
    Trouble::new(
        Exit::Refused,
        "the board was closed with an answer that was not sent: she has not got it, and its words are gone",
        "The board said why at her thread. Open it again and write to her once more.",
    )
}

pub(crate) const PRACTICE: &str = "Practice: everybody on this board is invented, and nothing of it leaves this machine.";
pub(crate) const ONE_WAITING: &str = "1 waiting";
pub(crate) const NO_CALLERS: &str = "Nobody has written yet.";
pub(crate) const RELEASED: &str = "Released.";
pub(crate) const NOTED: &str = "Noted.";
pub(crate) const PAGER_FAILED: &str = "the command of --exec did not succeed";

pub(crate) fn board_at(link: &str) -> String {
    format!(
        "The board is at\n\n  {link}\n\nOpen it in a browser on this machine. The link works once, for ten minutes. Ctrl-C closes the board."
    )
}

pub(crate) fn not_served(error: &porchlight_desk::ServeError) -> Trouble {
    match error {
        porchlight_desk::ServeError::Duty(error) => duty(error),
        other => Trouble::new(Exit::Usage, other.to_string(), "Another program may hold every port; try again."),
    }
}

pub(crate) fn no_practice(error: &porchlight_desk::PracticeError) -> Trouble {
    Trouble::new(Exit::Usage, error.to_string(), "Practice needs a folder for temporary files that can be written to.")
}

pub(crate) fn no_vault(dir: &Path) -> Trouble {
    Trouble::new(
        Exit::Usage,
        format!("there is no vault in {}", dir.display()),
        "Give the directory that `porchlight line init` made.",
    )
}

pub(crate) fn office(error: &OfficeError) -> Trouble {
    match error {
        OfficeError::Vault(vault_error) => vault(vault_error),
        _ => Trouble::new(Exit::Untrusted, error.to_string(), "Use the newest version of this program."),
    }
}

fn vault(error: &VaultError) -> Trouble {
    let (exit, hint) = match error {
        VaultError::WrongPassphrase => (Exit::WrongWords, "Try again. Without the passphrase nobody can open it."),
        VaultError::Missing => (Exit::Usage, "Give the directory that `porchlight line init` made."),
        VaultError::Exists => (Exit::Usage, "Nothing was changed. Name another directory."),
        VaultError::NotPrivate => {
            (Exit::Untrusted, "Run `chmod 700` on the vault's directory, and ask yourself who may have read it.")
        }
        VaultError::Newer => (Exit::Usage, "Use the newest version of this program."),
        VaultError::Io(_) => {
            (Exit::Usage, "Check the disk: space, and whether you may write there. What was not saved was not sent.")
        }
        _ => (Exit::Untrusted, "Do not go on with it. Restore a backup of the whole directory."),
    };
    Trouble::new(exit, error.to_string(), hint)
}

pub(crate) fn desk(error: &DeskError) -> Trouble {
    let (exit, hint) = match error {
        DeskError::Office(inner) => return office(inner),
        DeskError::Content(content) => return bad_content(content),
        DeskError::NoRoster => (Exit::Untrusted, "Run `porchlight line publish` first. If it was published, check the clock."),
        DeskError::EmptyHandOver => (
            Exit::Usage,
            "Nothing was changed. Give at least one of --situation, --promised-by-us, --promised-by-her, --risk, --next-step.",
        ),
        DeskError::NotHandedOver => (Exit::Refused, "Nothing was changed. `porchlight desk claim` takes a caller on."),
        DeskError::NoLine => (Exit::Refused, "Send its request to a lead (`porchlight desk join`), then join with --admission."),
        DeskError::BadRequest => (Exit::Usage, "Copy all of it: it begins with PORCHLIGHT-JOIN1-."),
        DeskError::BadAdmission => (
            Exit::Untrusted,
            "Nothing was kept. It is for another device, damaged, or older than this line keeps its keys: ask the lead for another.",
        ),
        DeskError::Member => (Exit::Refused, "Nothing was changed. One directory belongs to one line."),
        DeskError::Revoked => {
            (Exit::Refused, "Nothing was changed. Have it ask anew from another directory, with keys of its own.")
        }
        DeskError::OtherPlace => (
            Exit::Refused,
            "Nothing was changed. Nobody is of the team and has the safeguarding mailbox: ask from another directory.",
        ),
        DeskError::NoMailbox => (Exit::Refused, "Give the directory that `porchlight safeguard join` made."),
        DeskError::Own => (Exit::Refused, "Nothing was changed. Do it from another lead's device."),
        DeskError::NoSuchDevice => (
            Exit::Usage,
            "`porchlight line show` shows the devices; give at least four digits of one, and more if several begin so.",
        ),
        DeskError::NotCertified => {
            (Exit::Refused, "Nothing was signed. `porchlight line renew` with the root words makes it good.")
        }
        DeskError::SeatTaken => (
            Exit::Refused,
            "Nothing was changed. Give another --seat, or --without-seat, or revoke a device that is gone; of safeguarding mailboxes there is one.",
        ),
        DeskError::NotALead => (Exit::Refused, "Ask somebody with a lead device."),
        DeskError::AnotherRoot => (Exit::WrongWords, "Nothing was changed. Check the sixteen words."),
        DeskError::AnotherLine => {
            (Exit::Untrusted, "Nothing was changed. Compare the card with the line: somebody may have exchanged it.")
        }
        DeskError::NoRelays => (Exit::Usage, "Nothing was changed. A line has one relay at least, and eight at most."),
        DeskError::NoSuchCaller => (Exit::Usage, "`porchlight desk list` shows who there is."),
        DeskError::HeldBy { .. } => (Exit::Refused, "Give --reason TEXT to take over, or speak to them first."),
        DeskError::Quiet => (Exit::Refused, "Nothing was written. Give --although-quiet if it cannot wait."),
        DeskError::Unreachable => (Exit::Refused, "Nothing was written: her last key is too old. Wait for her."),
        DeskError::GoodUntilPast | DeskError::GoodUntilTooFar => (Exit::Usage, "Nothing was written. Give another --good-until."),
        DeskError::NoSeat => (Exit::Refused, "This device does not answer; ask somebody with a seat."),
        DeskError::Roster(_) => {
            (Exit::Untrusted, "The relay may be lying, or the certificate has run out: `porchlight line renew`.")
        }
        DeskError::PacesDiffer => (Exit::Refused, "Give all relays of the line the same timing in their [[line]] parts."),
        DeskError::KeyMissing => {
            (Exit::Untrusted, "The certificate may have run out: `porchlight line renew` with the root words.")
        }
        _ => return team(error),
    };
    Trouble::new(exit, error.to_string(), hint)
}

/// What cannot be done of what a team knows and decides together.
fn team(error: &DeskError) -> Trouble {
    let hint = match error {
        DeskError::Composing(device) => {
            let short = device_name(*device);
            return Trouble::new(
                Exit::Refused,
                format!("a colleague ({short}) is writing to her now"),
                "Nothing was written. Speak to each other, or give --although-composing.",
            );
        }
        DeskError::Restored => {
            "Nothing was changed. Leave `porchlight desk watch` running: an hour at most if all colleagues' devices run, a day if one is off."
        }
        DeskError::Outdated => "Nothing was changed. Have this device revoked, and join anew from another directory.",
        DeskError::MeetingAlone => {
            "Nothing was written. `porchlight desk propose ID --say TEXT`; when a colleague has agreed, `porchlight desk say` sends it."
        }
        DeskError::SameRow | DeskError::NotOneRow => {
            "Nothing was changed. `porchlight desk list` shows which callers share a row."
        }
        DeskError::NothingAsked => "Nothing was changed. Late is a word for the team: look once, and wait.",
        DeskError::NoSuchProposal => {
            return Trouble::new(
                Exit::Usage,
                error.to_string(),
                "`porchlight desk proposals` shows them, and how they are named.",
            );
        }
        DeskError::NoSuchShift => {
            return Trouble::new(Exit::Usage, error.to_string(), "`porchlight desk rota` shows them, and how they are named.");
        }
        DeskError::Decided => {
            "Nothing was changed. `porchlight desk proposals` shows how it stands; propose it anew if it matters."
        }
        DeskError::NeedsSecond { alone_from } => {
            let hint = alone_from.map_or_else(
                || "Nothing was changed. What is forgotten does not come back: that is never one device's alone.".to_owned(),
                |from| format!("Nothing was changed. From {} on, one device is enough.", moment::spoken(from)),
            );
            return Trouble::new(Exit::Refused, error.to_string(), hint);
        }
        DeskError::BadShift => {
            return Trouble::new(Exit::Usage, error.to_string(), "Nothing was changed. Give another --from or --until.");
        }
        DeskError::StillClaimed(callers) => {
            let ids: Vec<String> = callers.iter().map(|caller| board::hex(&caller.0)).collect();
            let short: Vec<&str> = ids.iter().map(|id| id.get(..8).unwrap_or(id)).collect();
            let hint = format!("Hand over and wait until somebody accepts, or release: {}.", short.join(", "));
            return Trouble::new(Exit::Refused, error.to_string(), hint);
        }
        _ => "Nothing was changed.",
    };
    Trouble::new(Exit::Refused, error.to_string(), hint)
}

pub(crate) fn duty(error: &DutyError) -> Trouble {
    match error {
        DutyError::Desk(inner) => desk(inner),
        other => Trouble::new(Exit::Usage, other.to_string(), "The line's card cannot be used on this machine."),
    }
}

pub(crate) fn nobody(error: &FindError) -> Trouble {
    let hint = match error {
        FindError::Several(ids) => format!("These begin so: {}.", ids.join(", ")),
        _ => "Give an id of `porchlight desk list`, at least four digits of its beginning, or a nickname.".to_owned(),
    };
    Trouble::new(Exit::Usage, error.to_string(), hint)
}

pub(crate) fn no_relay() -> Trouble {
    Trouble::new(Exit::Network, "no relay of the line answers", "Check the network, or try later.")
}

pub(crate) fn no_slot() -> Trouble {
    Trouble::new(Exit::Refused, "the answer has no place in a slot yet", KEPT)
}

/// What can be said of an answer that is in slots: slots are written ahead, and shown when they begin.
pub(crate) fn with_the_relay(readable: Option<&ReadableFrom>) -> String {
    let from = match readable {
        Some(ReadableFrom { words: Some(from), .. }) => {
            format!(" Her words find it from {} on.", moment::exact(from.seconds()))
        }
        Some(ReadableFrom { page: Some(from), .. }) => format!(
            " Her open page gets it at {}; if it does not say so, the answer joins the carousel.",
            moment::exact(from.seconds())
        ),
        _ => String::new(),
    };
    format!("The answer is with the relay.{from} Whether she has read it is never known.")
}

pub(crate) fn watched_already() -> Trouble {
    Trouble::new(
        Exit::Refused,
        "another `desk watch` or board of this directory is running",
        "One of them is enough; end it first if it should be this one.",
    )
}

pub(crate) fn desk_relay(number: u8, failure: &Failure) -> String {
    format!("relay {number}: {failure}")
}

pub(crate) fn rolled_back(number: u8) -> String {
    format!(
        "relay {number} shows an older statement of this line than it had, or one that is not this line's. It may have lost its disk, or lie; it is given the newest again"
    )
}

pub(crate) fn roster_refused(number: u8, serial: u32) -> String {
    format!("relay {number} refuses statement {serial}: it may hold a newer one, or keep another pace")
}

pub(crate) fn paces_differ(number: u8) -> String {
    format!(
        "relay {number} keeps another pace than the line's other relays: nothing is fetched or sent there until all have the same timing in their [[line]] parts; it is asked again by itself"
    )
}

pub(crate) fn connected(number: u8) -> String {
    format!("Relay {number} is read to the end.")
}

pub(crate) fn synced(letters: usize) -> String {
    match letters {
        0 => "Nothing new.".to_owned(),
        1 => "1 new letter.".to_owned(),
        n => format!("{n} new letters."),
    }
}

pub(crate) fn claimed(claimed: Claimed) -> (&'static str, &'static str) {
    match claimed {
        Claimed::Yes => ("yes", "Claimed for half an hour."),
        Claimed::Renewed => ("renewed", "Claimed for another half hour."),
        Claimed::TakenOver => ("taken_over", "Taken over for half an hour. Tell your colleague."),
    }
}

pub(crate) fn claimed_by_other(device: DeviceId) -> String {
    format!("a colleague ({}) has claimed her; speak to each other", device_name(device))
}

fn device_name(device: DeviceId) -> String {
    let [a, b, c, ..] = device.0;
    format!("{a:02x}{b:02x}{c:02x}…")
}

pub(crate) fn row(row: &Row) -> String {
    let short = row.id.get(..8).unwrap_or(&row.id);
    let mut words = vec![format!("{short}  {}  {}", row.nickname, urgency(row.urgency))];
    words.extend(row.status.map(|status| format!("status {status}")));
    words.push(format!("{} letters, {} not shown, {} answers", row.letters, row.unseen, row.answers));
    words.extend(row.waiting_since.map(|since| format!("waiting since {}", moment::spoken(Seconds(since)))));
    words.extend(
        row.promise.as_ref().map(|promise| format!("{} {}", promise_state(promise.state), moment::spoken(Seconds(promise.due)))),
    );
    words.extend(row.flags.quiet.then(|| "DO NOT ANSWER NOW".to_owned()));
    words.extend(row.flags.relative.then(|| "answer like a relative".to_owned()));
    words.extend(row.claim.as_ref().map(|claim| {
        format!("claimed{} until {}", if claim.mine { " by you" } else { "" }, moment::spoken(Seconds(claim.until)))
    }));
    words.extend(row.language.map(|language| format!("writes {language}")));
    words.extend((!row.reachable).then(|| "cannot be reached".to_owned()));
    words.extend(row.composing.iter().any(|writing| !writing.mine).then(|| "A COLLEAGUE IS WRITING".to_owned()));
    words.extend(row.hand_over.as_ref().map(|over| match over.state {
        HandOverState::Waiting => "handed over, not yet accepted".to_owned(),
        HandOverState::OnCall => "HANDED OVER: whoever is on call accepts".to_owned(),
    }));
    words.extend(row.duress_of.as_ref().map(|of| format!("duress room of {}", of.get(..8).unwrap_or(of))));
    words.extend((row.proposals > 0).then(|| format!("{} proposed", row.proposals)));
    words.extend((!row.joined.is_empty()).then(|| {
        let others: Vec<&str> = row.joined.iter().map(|other| other.get(..8).unwrap_or(other)).collect();
        format!("with {}", others.join(", "))
    }));
    words.extend(row.next_step.as_ref().map(|note| format!("note: {note}")));
    words.join(" · ")
}

fn urgency(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::DuressUnclaimed => "DURESS ROOM, UNCLAIMED",
        Urgency::HelpUnclaimed => "HELP, UNCLAIMED",
        Urgency::HelpSilent => "HELP, SILENT",
        Urgency::OverdueAsked => "OVERDUE, AND SHE ASKED FOR SOMETHING",
        Urgency::Waiting => "waiting",
        Urgency::Overdue => "overdue: look once, wait",
        Urgency::Rest => "at rest",
    }
}

fn promise_state(state: PromiseState) -> &'static str {
    match state {
        PromiseState::Waiting => "may write",
        PromiseState::Due => "due",
        PromiseState::Late => "late since",
        PromiseState::Quiet => "long quiet since",
    }
}

pub(crate) fn item(item: &Item) -> String {
    match item {
        Item::Room { id, nickname } => format!("── {}  {nickname}", id.get(..8).unwrap_or(id)),
        Item::Letter { session, seq, time, status, text, state, .. } => {
            let status = status.map_or_else(String::new, |status| format!(" [{status}]"));
            let state = match state {
                LetterState::Here if board::is_withdrawal(item) => " (takes back what nobody has read yet)",
                LetterState::Here => "",
                LetterState::Withdrawn => " (taken back)",
                LetterState::Forgotten => " (forgotten: its time is over)",
                LetterState::Unreadable => " (cannot be read: written by another version)",
            };
            format!("◀ {} letter {seq} of visit {session}{status}{state}\n{text}", moment::spoken(Seconds(*time)))
        }
        Item::Answer { n, text, stop: is_stop, time, good_until, state, .. } => {
            let text = if *is_stop { stop() } else { text };
            let (at, until) = (moment::spoken(Seconds(*time)), moment::spoken(Seconds(*good_until)));
            format!("▶ {at} answer {n}, good until {until} ({})\n{text}", answer_state(*state))
        }
        Item::Note { time, text, .. } => format!("✎ {} {text}", moment::spoken(Seconds(*time))),
        Item::HandOver { time, situation, promised_by_us, promised_by_her, risk, next_step, accepted, .. } => {
            let stands = accepted.map_or_else(
                || "not yet accepted".to_owned(),
                |accepted| format!("accepted {}", moment::spoken(Seconds(accepted))),
            );
            let lines = [
                ("situation", situation),
                ("promised by us", promised_by_us),
                ("promised by her", promised_by_her),
                ("risk", risk),
                ("next step", next_step),
            ];
            let said = lines.iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| format!("\n  {name}: {text}"));
            format!("⇄ {} handed over, {stands}{}", moment::spoken(Seconds(*time)), said.collect::<String>())
        }
    }
}

/// What the team knows of her; no lines if it knows nothing.
pub(crate) fn person(person: &Person) -> String {
    let since = person.known_since.map(|day| moment::spoken(Seconds(u64::from(day) * 86_400)));
    let since = since.as_deref().and_then(|since| since.split(' ').next()).unwrap_or_default();
    let known = match (person.how, person.known_by.as_str()) {
        ("unknown", "") => None,
        (how, "") => Some(format!("known: {how}, {since}")),
        (how, by) => Some(format!("known: {how}, {since}: {by}")),
    };
    let question = person.question.as_ref().zip(person.answer.as_ref());
    let lines = [
        known,
        question.map(|(question, answer)| format!("if she has lost her words, ask: {question}\n  she answers: {answer}")),
        person.wish.as_ref().map(|wish| format!("if her sign is late, she asked: {wish}")),
    ];
    lines.into_iter().flatten().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

pub(crate) const NO_PROPOSALS: &str = "Nothing is proposed.";
pub(crate) const AGREED: &str = "Agreed: it is carried.";
pub(crate) const OBJECTED: &str = "Objected. Whoever hears of it agrees no more; speak to each other.";
pub(crate) const PARTED: &str = "They are two rows again.";
pub(crate) const STRUCK: &str = "The shift is struck.";
pub(crate) const OFF: &str = "You are off shift.";
pub(crate) const NOTHING_RECORDED: &str = "Nothing is recorded.";

pub(crate) fn proposed(name: &str, forget: bool) -> String {
    let alone = if forget { "one alone never does" } else { "after a day one is enough" };
    format!("Proposed, as {name}. A second worker agrees with `porchlight desk agree {name}`; {alone}.")
}

pub(crate) fn proposal(proposal: &ProposalView) -> String {
    let short = |id: &str| id.get(..8).unwrap_or(id).to_owned();
    let what = match (proposal.act, proposal.other.as_deref()) {
        ("join", Some(other)) => format!("join with {}", short(other)),
        ("fulfil", _) => "do what she asked for".to_owned(),
        ("forget", _) => "forget her".to_owned(),
        ("keep_hand_over", _) => "keep her last hand-over".to_owned(),
        ("say", _) => "say".to_owned(),
        (other, _) => other.to_owned(),
    };
    let state = match proposal.state {
        ProposalState::Open => proposal.alone_from.map_or_else(
            || "open; two must want it".to_owned(),
            |from| format!("open; one is enough from {} on", moment::spoken(Seconds(from))),
        ),
        ProposalState::Objected => "objected to".to_owned(),
        ProposalState::Carried => "carried".to_owned(),
        ProposalState::Lapsed => "lapsed".to_owned(),
    };
    let (name, text) = (board::event_name(&proposal.by, proposal.seq), proposal.text.as_str());
    let why = if text.is_empty() { String::new() } else { format!("\n  {text}") };
    format!("? {name}  {}  {what} ({state}){why}", short(&proposal.caller))
}

pub(crate) fn composing(done: bool, others: &[String]) -> String {
    let short: Vec<&str> = others.iter().map(|device| device.get(..6).unwrap_or(device)).collect();
    match (done, short.is_empty()) {
        (true, _) => "Your colleagues see that you are not writing any more.".to_owned(),
        (false, true) => "Your colleagues see that you are writing to her, for two minutes.".to_owned(),
        (false, false) => format!("A COLLEAGUE ({}) IS WRITING TO HER, TOO. Speak to each other.", short.join(", ")),
    }
}

pub(crate) fn rota(rota: &Rota) -> String {
    let short = |devices: &[String]| devices.iter().map(|d| d.get(..8).unwrap_or(d)).collect::<Vec<_>>().join(", ");
    let at = |moment: u64| moment::spoken(Seconds(moment));
    let mut lines = vec![match (rota.on_until, rota.shifts.is_empty()) {
        (Some(until), _) => format!("On call: {}; covered until {}.", short(&rota.on), at(until)),
        (None, true) => "There is no rota. `porchlight desk shift` enters a shift.".to_owned(),
        (None, false) => "NOBODY IS ON CALL.".to_owned(),
    }];
    lines.extend(rota.next_from.map(|from| format!("Next: {} from {}.", short(&rota.next), at(from))));
    lines.extend(rota.gaps.iter().map(|gap| format!("Nobody from {} to {}.", at(gap.from), at(gap.until))));
    lines.extend(rota.shifts.iter().map(|shift| {
        let device = if shift.mine { "this device" } else { shift.device.get(..8).unwrap_or(&shift.device) };
        format!("{}  {device}  {} to {}", board::event_name(&shift.by, shift.seq), at(shift.from), at(shift.until))
    }));
    lines.join("\n")
}

pub(crate) fn on_call(from: Seconds, until: Seconds) -> String {
    format!("On call from {} to {}.", moment::spoken(from), moment::spoken(until))
}

pub(crate) fn audited(line: &AuditLine) -> String {
    let day = moment::spoken(Seconds(line.day * 86_400));
    let day = day.split(' ').next().unwrap_or_default();
    let who = line.device.as_ref().map_or("everybody, thirty days", |device| device.get(..8).unwrap_or(device));
    format!("{day}  {who}  {} {}", line.act.replace('_', " "), line.count)
}

pub(crate) fn kept_for(days: u32) -> String {
    format!("Every device keeps letters and notes for {days} days, once it has heard of it.")
}

fn answer_state(state: AnswerState) -> &'static str {
    match state {
        AnswerState::OnTheWay => "on the way",
        AnswerState::WithTheRelay => "with the relay",
        AnswerState::Seen => "her page has shown it",
        AnswerState::Expired => "expired",
        AnswerState::TakenBack => "taken back",
    }
}

// ── lines ───────────────────────────────────────────────────────────────────────────────────────

pub(crate) const ROTATED_HERE: &str =
    "The new keys are in the vault, but no relay has them yet; run `porchlight line publish` when it answers.";
pub(crate) const SENDING_SECRETS: &str = "colleagues' devices are being sent the new keys, which takes some minutes: until then this device alone opens what \
callers write. Leave this running; if it cannot be, Ctrl-C ends it.";
pub(crate) const SECRETS_UNTOLD: &str = "not every colleague's device has been sent the new keys, and callers write to those already: leave `porchlight desk watch` \
running on this device, or run `porchlight line publish` again, before you close it.";
pub(crate) const RENEWED_HERE: &str =
    "The new certificate is in the vault, but no relay has it yet; run `porchlight line publish` when it answers.";

pub(crate) fn bad_pace(error: &str) -> Trouble {
    Trouble::new(Exit::Usage, format!("this pace is not possible: {error}"), "Nothing was made. Choose another value.")
}

pub(crate) fn bad_gate(error: &str) -> Trouble {
    Trouble::new(
        Exit::Usage,
        format!("this gate is not possible: {error}"),
        "Nothing was made. Leave --gate out to have one drawn.",
    )
}

pub(crate) fn bad_leave_to(page: &str) -> Trouble {
    Trouble::new(
        Exit::Usage,
        format!("{page} is no address that Close can lead to"),
        "Nothing was made. Give the whole address of a dull page, beginning with https://.",
    )
}

pub(crate) fn bad_door(door: &str, error: CardError) -> Trouble {
    let hint = match error {
        CardError::Mistyped => "A door is at most 24 characters after https://, so that it can be said aloud.",
        _ => "A door is https://HOST/GATE.",
    };
    Trouble::new(Exit::Usage, format!("{door} is not a door"), hint)
}

pub(crate) fn long_door(door: &str) -> String {
    format!("{door} is longer than can be said aloud (24 characters after https://); give shorter ones with --door")
}

pub(crate) fn not_empty(dir: &Path) -> Trouble {
    Trouble::new(
        Exit::Usage,
        format!("{} is not empty", dir.display()),
        "Nothing was changed. Name a directory that does not exist yet.",
    )
}

pub(crate) fn founded(dir: &Path, root_words: &str) -> String {
    format!(
        "The line is made, in {}.\n\nThese sixteen words are its root. They are shown this once and kept nowhere:\n\n  {root_words}\n\n\
         Write them on paper, twice, and keep the two apart. Whoever has them is the line; without them its certificate cannot be renewed.\n\n\
         Next: put relay.toml into the relay's configuration, start the relay, then `porchlight line publish`.\n\
         card.txt is for native clients, doors for people and browsers.",
        dir.display()
    )
}

pub(crate) fn no_such_relay(number: u8) -> Trouble {
    Trouble::new(
        Exit::Usage,
        format!("the line has no relay {number}"),
        "Nothing was changed. `porchlight line show` shows the relays.",
    )
}

/// Where a relay is, how it is known, and what its configuration must say.
fn place(relay: &RelayAddress) -> String {
    let gates: Vec<&str> = relay.gates.iter().map(|gate| gate.as_str()).collect();
    let by = if relay.pin.is_some() { "by its pin" } else { "by a certificate that browsers believe" };
    format!(
        "Relay {} is at {}, known {by}. Its [[line]] part: relay_no = {}, gates = {gates:?}",
        relay.number, relay.url, relay.number
    )
}

const FOLLOWS: &str = "This device looks for them there from now on, `desk watch` and `desk open` at their next beat. card.txt and doors are made anew; the first ones are in card.txt.before and doors.before.";

pub(crate) fn moved(card: &Card, words: &CheckWords) -> String {
    let relays: Vec<String> = card.relays.iter().map(place).collect();
    format!(
        "{}\n\n{FOLLOWS} No colleague knows yet: carry them this card (`porchlight line card --take CARD`), and read them these words by another way:\n\n  {}\n\n{}",
        relays.join("\n"),
        words.join(" "),
        card.to_text()
    )
}

/// What another card changed.
pub(crate) fn took(before: &Card, card: &Card) -> String {
    let gone = before.relays.iter().filter(|old| !card.relays.iter().any(|new| new.number == old.number));
    let gone = gone.map(|old| format!("Relay {}, at {}, is gone.", old.number, old.url));
    let there =
        card.relays.iter().map(|new| if before.relays.contains(new) { format!("{}, as before", place(new)) } else { place(new) });
    let lines: Vec<String> = there.chain(gone).collect();
    let is_all_new = !card.relays.iter().any(|new| before.relays.iter().any(|old| old.url == new.url));
    let warning = if is_all_new {
        "\n\nNone of the addresses this device knew is among them. If the words did not come from a colleague whose voice you know, ask one for the card, and take that."
    } else {
        ""
    };
    format!("{}{warning}\n\n{FOLLOWS}", lines.join("\n"))
}

pub(crate) fn card_words(words: &CheckWords) -> String {
    format!("if a colleague is to take this card, read them these words by another way: {}", words.join(" "))
}

pub(crate) fn published(relay: u8, serial: u32) -> String {
    format!("Relay {relay} has statement {serial}.")
}

pub(crate) fn valid_until(line: &LineView) -> String {
    let serial = line.serial.map_or_else(|| "none".to_owned(), |serial| serial.to_string());
    format!("In force: statement {serial}. Published until {}.", moment::spoken(Seconds(line.published_until)))
}

pub(crate) fn refused_roster() -> Trouble {
    Trouble::new(
        Exit::Refused,
        "a relay refused a statement",
        "If it was set up with another pace, run this again: the line adopts the relay's. Otherwise another lead may be ahead; compare.",
    )
}

pub(crate) fn not_shown() -> Trouble {
    Trouble::new(Exit::Bug, "this cannot be shown", "Please report this.")
}

pub(crate) fn line(line: &LineView) -> String {
    let mut lines = vec![format!("line {}", line.line), valid_until(line)];
    lines.extend(line.closed_until.map(|until| closed_until(Seconds(until))));
    lines.extend(line.relays.iter().map(|relay| {
        format!("relay {}: {}, has statement {}, read to {}", relay.number, relay.url, relay.serial_put, relay.position)
    }));
    lines.extend(line.devices.iter().map(|device| {
        let seat = device.seat.map_or_else(|| "no seat".to_owned(), |seat| format!("seat {seat}"));
        let mine = if device.mine { ", this one" } else { "" };
        let revoked = if device.revoked { ", REVOKED" } else { "" };
        format!(
            "device {}: {}, {seat}, certified until {}{mine}{revoked}",
            device.device,
            device.role,
            moment::spoken(Seconds(device.certified_until))
        )
    }));
    lines.push(format!("letters and notes are kept here for {} days", line.keep_days));
    lines.join("\n")
}

pub(crate) fn door(door: &str) -> String {
    format!("page at {door}")
}

pub(crate) fn warning(warning: Warning) -> &'static str {
    match warning {
        Warning::HorizonShort => "the statements of single days end within 72 hours: a lead must run `porchlight line publish`",
        Warning::EmergencyPeriod => {
            "the line lives on its emergency statement: a lead must run `porchlight line publish`, or make another with the root words"
        }
        Warning::RenewDeskCertificate => "the certificate is past half its life: run `porchlight line renew` with the root words",
        Warning::Doubtful => {
            "the vault was restored, and it is not known what was sent: leave `porchlight desk watch` running, an hour at most if all colleagues' devices run, a day if one is off"
        }
        Warning::Outdated => {
            "the vault was restored from too old a backup: have this device revoked, and join anew from another directory"
        }
        Warning::Missed => {
            "letters may have died unread while this device was away: leave `porchlight desk watch` running, and a colleague's running too"
        }
        Warning::Revoked => {
            "this device was revoked: it learns nothing new, and nobody takes what it writes. Speak to your team."
        }
        Warning::Crowded => {
            "letters of people nobody here knows take half of their room: look at them, or have the relay ask for stamps"
        }
        Warning::RenewMailbox => {
            "the mailbox's key or certificate is too old, or soon will be: run `porchlight safeguard renew`, and have a lead admit it"
        }
        Warning::MailboxReplaced => {
            "the line's statement names another key than this mailbox's: what callers write to you, somebody else can read. Ask your leads why."
        }
        Warning::SeatUnnamed => {
            "the line's statement names another key for this device's seat: callers' programs do not take what it answers. If this stands for a quarter of an hour, ask your leads why: a lead's laptop may be in other hands. Else have the device revoked, and join anew from another directory"
        }
        Warning::CarouselSlow => "a round of the carousel takes longer than the slow days: lower slow_s on the relays",
    }
}

pub(crate) fn raised(relay: u8) -> String {
    format!("Relay {relay} shows the notice to everyone.")
}

pub(crate) fn bulletin_refused(relay: u8) -> String {
    format!("relay {relay} refuses the notice")
}

pub(crate) fn not_raised_refused() -> Trouble {
    Trouble::new(
        Exit::Refused,
        "no relay took the notice",
        "Run `porchlight line publish` first; a notice needs a statement in force. Check the clock.",
    )
}

// ── the program itself ──────────────────────────────────────────────────────────────────────────

pub(crate) fn bug(place: &str) -> String {
    format!(
        "a fault of this program at {place}\n  Nothing you wrote was lost by it that was not said to be lost. Please report it, without any words or letters."
    )
}

pub(crate) fn no_chance() -> Trouble {
    Trouble::new(Exit::Bug, "this system gives no random numbers", "Nothing secret can be made without them.")
}

pub(crate) fn no_runtime(error: &io::Error) -> Trouble {
    Trouble::new(Exit::Bug, format!("cannot start: {error}"), "The system refuses basic resources; check its limits.")
}
