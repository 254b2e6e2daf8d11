//! `caller new` and `caller words`: phrases and their pictures. No network.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use data_encoding::HEXLOWER;
use porchlight_proto::line::LineId;
use porchlight_proto::phrase::words::picture;
use porchlight_proto::phrase::{Language, Phrase};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::language;
use crate::chance;
use crate::command::{CallerBase, CallerNew};
use crate::exit::Exit;
use crate::sentences;
use crate::trouble::Trouble;
use crate::way::Way;

const LANGUAGES: [(&str, Language); 3] = [("ko", Language::Ko), ("zh", Language::Zh), ("en", Language::En)];

/// `caller new`
pub(crate) fn new(args: &CallerNew, way: &Way<'_>) -> Result<Exit, Trouble> {
    let line = LineId::from_root(&way.inputs.card(&args.card)?.root);
    let phrase = Phrase::generate(&mut chance::new_rng()?);
    let known = About::of(&phrase, &line);
    let chosen = language(args.language);
    let words = Zeroizing::new(phrase.words(chosen).join(" "));
    match &args.phrase_file {
        Some(path) => {
            write_private(path, &words)?;
            let object =
                json!({"caller": known.caller, "pictures": known.pictures_json(), "phrase_file": path.display().to_string()});
            way.output.tell(&object, &sentences::words_written(path, &known.pictures(chosen)));
        }
        None => {
            let object = json!({"caller": known.caller, "pictures": known.pictures_json(), "phrase": words.as_str(), "words": words_json(&phrase)});
            way.output.tell(&object, &sentences::new_words(&words, &known.pictures(chosen)));
        }
    }
    Ok(Exit::Done)
}

/// `caller words`
pub(crate) fn words(args: &CallerBase, way: &Way<'_>) -> Result<Exit, Trouble> {
    let line = LineId::from_root(&way.inputs.card(&args.card)?.root);
    let phrase = way.inputs.phrase(args.phrase_file.as_deref())?;
    let known = About::of(&phrase, &line);
    let lines = LANGUAGES
        .map(|(_, language)| format!("{}\n{}", phrase.words(language).join(" "), sentences::pictures(&known.pictures(language))));
    let object = json!({"caller": known.caller, "pictures": known.pictures_json(), "words": words_json(&phrase)});
    way.output.tell(&object, &lines.join("\n\n"));
    Ok(Exit::Done)
}

/// What a phrase shows of itself on one line.
struct About {
    caller: String,
    pictures: [u8; 3],
}

impl About {
    fn of(phrase: &Phrase, line: &LineId) -> Self {
        let stretched = phrase.stretch(line);
        Self { caller: HEXLOWER.encode(&stretched.caller().0), pictures: stretched.pictures() }
    }

    fn pictures(&self, language: Language) -> String {
        self.pictures.map(|index| picture(index, language)).join(" · ")
    }

    fn pictures_json(&self) -> Value {
        let pictures = self.pictures.map(|index| {
            let names: serde_json::Map<_, _> =
                LANGUAGES.iter().map(|(code, language)| ((*code).to_owned(), Value::from(picture(index, *language)))).collect();
            json!({"index": index, "names": names})
        });
        Value::from(pictures.to_vec())
    }
}

fn words_json(phrase: &Phrase) -> Value {
    LANGUAGES
        .iter()
        .map(|(code, language)| ((*code).to_owned(), Value::from(phrase.words(*language).to_vec())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Writes the words to a file that is made now, and made for its owner alone.
fn write_private(path: &Path, words: &str) -> Result<(), Trouble> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| sentences::cannot_write(path, &error))?;
    writeln!(file, "{words}").and_then(|()| file.sync_all()).map_err(|error| {
        // An empty file would only be in the way of the next try.
        let _nothing_more_to_do = std::fs::remove_file(path);
        sentences::cannot_write(path, &error)
    })
}
