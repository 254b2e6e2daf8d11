//! The caller's verbs.

mod visiting;
mod words;

use core::time::Duration;

use porchlight_proto::letter::{Letter, Session, Status, Withdraw};
use porchlight_proto::phrase::Language;
use porchlight_proto::visit::To;
use zeroize::Zeroizing;

use crate::command::{CallerCheckin, CallerRead, CallerWithdraw, CallerWrite, LetterArgs, StatusChoice, Tongue};
use crate::exit::Exit;
use crate::sentences;
use crate::trouble::Trouble;
use crate::way::Way;

pub(crate) use words::{new, words};

/// `caller checkin`
pub(crate) async fn checkin(args: CallerCheckin, way: &Way<'_>) -> Result<Exit, Trouble> {
    let text = args.text.as_deref().map(|text| way.inputs.text(text)).transpose()?.unwrap_or_default();
    let letter = Letter { status: Some(status(args.status)), ..letter(&args.letter, text) };
    visiting::send(&args.visiting, To::Desk, &[letter], args.letter.wait, way).await
}

/// `caller write`
pub(crate) async fn write(args: CallerWrite, way: &Way<'_>) -> Result<Exit, Trouble> {
    let texts = args.text.iter().map(|text| way.inputs.text(text));
    let letters = texts.map(|text| text.map(|text| letter(&args.letter, text))).collect::<Result<Vec<_>, _>>()?;
    visiting::send(&args.visiting, mailbox(args.safeguarding), &letters, args.letter.wait, way).await
}

/// `caller withdraw`
pub(crate) async fn withdraw(args: CallerWithdraw, way: &Way<'_>) -> Result<Exit, Trouble> {
    let which = match (&args.session, args.seq) {
        (Some(session), Some(seq)) => Withdraw::One(session_id(session)?, seq),
        _ => Withdraw::AllUnshown,
    };
    let letter = Letter { withdraw: Some(which), ..Letter::default() };
    visiting::send(&args.visiting, mailbox(args.safeguarding), &[letter], args.wait, way).await
}

/// `caller read`
pub(crate) async fn read(args: CallerRead, way: &Way<'_>) -> Result<Exit, Trouble> {
    visiting::read(&args.visiting, args.wait, way).await
}

const fn mailbox(safeguarding: bool) -> To {
    if safeguarding { To::Safeguarding } else { To::Desk }
}

fn letter(args: &LetterArgs, text: Zeroizing<String>) -> Letter {
    Letter {
        text,
        next: args.next.filter(|next| *next > Duration::ZERO).map(|next| next.as_secs().max(1)),
        quiet: args.quiet,
        relative: args.relative,
        language: args.language.map(language),
        ..Letter::default()
    }
}

fn status(choice: StatusChoice) -> Status {
    match choice {
        StatusChoice::Safe => Status::Safe,
        StatusChoice::Help => Status::Help,
        StatusChoice::Moving => Status::Moving,
        StatusChoice::Talk => Status::Talk,
    }
}

/// The language of words and letters.
pub(crate) fn language(tongue: Tongue) -> Language {
    match tongue {
        Tongue::Ko => Language::Ko,
        Tongue::Zh => Language::Zh,
        Tongue::En => Language::En,
    }
}

fn session_id(hex: &str) -> Result<Session, Trouble> {
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.trim().as_bytes()).map_err(|_| sentences::bad_session())?;
    bytes.try_into().map_err(|_| sentences::bad_session())
}

/// The code of a language, as options and JSON write it.
pub(crate) fn language_code(language: Language) -> &'static str {
    match language {
        Language::Ko => "ko",
        Language::Zh => "zh",
        Language::En => "en",
    }
}
