//! What people hand in: files, stdin, the terminal. Secrets never come from arguments or the environment.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use porchlight_proto::card::Card;
use porchlight_proto::phrase::Phrase;
use porchlight_proto::root::RootWords;
use zeroize::Zeroizing;

use crate::sentences;
use crate::trouble::Trouble;

/// The most that is read of any input: several times the longest text, so that nobody feeds us a disk.
const MOST: u64 = 256 * 1024;

/// The most that is read of an admission, which holds a whole board.
const MOST_BYTES: u64 = 1 << 30;

/// Reads inputs, and gives stdin away only once.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    stdin_taken: Cell<bool>,
}

impl Inputs {
    /// A file's text, or stdin's for `-`.
    pub(crate) fn read(&self, path: &Path) -> Result<Zeroizing<String>, Trouble> {
        if path == Path::new("-") {
            return self.stdin();
        }
        let file = File::open(path).map_err(|error| sentences::cannot_read(path, &error))?;
        text_of(file).map_err(|error| sentences::cannot_read(path, &error))
    }

    fn stdin(&self) -> Result<Zeroizing<String>, Trouble> {
        if self.stdin_taken.replace(true) {
            return Err(sentences::stdin_twice());
        }
        text_of(io::stdin().lock()).map_err(|error| sentences::cannot_read(Path::new("stdin"), &error))
    }

    /// The card: its text, a file with the text in it, or `-`.
    pub(crate) fn card(&self, given: &str) -> Result<Card, Trouble> {
        if looks_like_a_card(given) {
            return Card::parse_text(given).map_err(sentences::bad_card);
        }
        let text = self.read(Path::new(given))?;
        Card::parse_text(&text).map_err(sentences::bad_card)
    }

    /// The caller's words, from a file or the terminal.
    pub(crate) fn phrase(&self, file: Option<&Path>) -> Result<Phrase, Trouble> {
        let words = self.secret(file, sentences::ASK_PHRASE, sentences::no_phrase)?;
        Phrase::parse(&words).map_err(|error| sentences::bad_words(&error, 8))
    }

    /// The line's root words, from a file or the terminal.
    pub(crate) fn root_words(&self, file: Option<&Path>) -> Result<RootWords, Trouble> {
        let words = self.secret(file, sentences::ASK_ROOT_WORDS, sentences::no_root_words)?;
        RootWords::parse(&words).map_err(|error| sentences::bad_words(&error, 16))
    }

    /// A request to join: its text, a file with the text in it, or `-`.
    pub(crate) fn request(&self, given: &str) -> Result<Zeroizing<String>, Trouble> {
        if given.trim_start().get(..15).is_some_and(|head| head.eq_ignore_ascii_case("PORCHLIGHT-JOIN")) {
            return Ok(Zeroizing::new(given.to_owned()));
        }
        self.read(Path::new(given))
    }

    /// Check words that somebody reads from another screen: no secret.
    pub(crate) fn check_words(&self, given: Option<&str>) -> Result<Zeroizing<String>, Trouble> {
        given.map_or_else(
            || ask(sentences::ASK_CHECK_WORDS, sentences::no_check_words),
            |given| Ok(Zeroizing::new(given.to_owned())),
        )
    }

    /// A file's bytes, or stdin's for `-`, bounded.
    pub(crate) fn bytes(&self, path: &Path) -> Result<Vec<u8>, Trouble> {
        let read = |from: &mut dyn Read| {
            let mut bytes = Vec::new();
            from.take(MOST_BYTES).read_to_end(&mut bytes).map(|_| bytes)
        };
        let bytes = if path == Path::new("-") {
            if self.stdin_taken.replace(true) {
                return Err(sentences::stdin_twice());
            }
            read(&mut io::stdin().lock())
        } else {
            File::open(path).and_then(|mut file| read(&mut file))
        };
        bytes.map_err(|error| sentences::cannot_read(path, &error))
    }

    /// The vault's passphrase, from a file (its first line) or the terminal.
    pub(crate) fn passphrase(&self, file: Option<&Path>) -> Result<Zeroizing<String>, Trouble> {
        first_line(&self.secret(file, sentences::ASK_PASSPHRASE, sentences::no_passphrase)?)
    }

    /// A new passphrase: from a file, or twice from the terminal.
    pub(crate) fn new_passphrase(&self, file: Option<&Path>) -> Result<Zeroizing<String>, Trouble> {
        let text = self.secret(file, sentences::ASK_NEW_PASSPHRASE, sentences::no_passphrase)?;
        if file.is_none() && *text != *ask(sentences::ASK_AGAIN, sentences::no_passphrase)? {
            return Err(sentences::passphrases_differ());
        }
        first_line(&text)
    }

    fn secret(&self, file: Option<&Path>, question: &str, missing: fn() -> Trouble) -> Result<Zeroizing<String>, Trouble> {
        match file {
            Some(path) => self.read(path),
            None => ask(question, missing),
        }
    }

    /// A text from the command line, or stdin for `-`; without the line break that `echo` puts at its end.
    pub(crate) fn text(&self, given: &str) -> Result<Zeroizing<String>, Trouble> {
        if given != "-" {
            return Ok(Zeroizing::new(given.to_owned()));
        }
        let mut text = self.stdin()?;
        if text.ends_with('\n') {
            text.pop();
        }
        Ok(text)
    }
}

fn looks_like_a_card(given: &str) -> bool {
    given.trim_start().get(..11).is_some_and(|head| head.eq_ignore_ascii_case("PORCHLIGHT1"))
}

fn ask(question: &str, missing: fn() -> Trouble) -> Result<Zeroizing<String>, Trouble> {
    rpassword::prompt_password(question).map(Zeroizing::new).map_err(|_| missing())
}

fn first_line(text: &str) -> Result<Zeroizing<String>, Trouble> {
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() { Err(sentences::no_passphrase()) } else { Ok(Zeroizing::new(line.to_owned())) }
}

/// All of it as text, bounded; a byte-order mark at the start is dropped.
fn text_of(from: impl Read) -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::new());
    from.take(MOST + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > MOST) {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than any input of this program"));
    }
    let text = core::str::from_utf8(&bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not text in UTF-8"))?;
    Ok(Zeroizing::new(text.strip_prefix('\u{feff}').unwrap_or(text).to_owned()))
}
