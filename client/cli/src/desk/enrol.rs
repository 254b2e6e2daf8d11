//! `desk join` and `desk admit`: a second worker's device.

use core::time::Duration;
use std::path::Path;

use porchlight_client::desk::{Admission, CheckWords, DeskError, JoinRequest, Office};
use porchlight_client::vault::Passphrase;
use porchlight_proto::cert::Role;
use porchlight_proto::line::Seat;
use serde_json::json;

use super::{Round, act, now, open, open_any};
use crate::chance;
use crate::command::{DeskAdmit, DeskJoin};
use crate::exit::Exit;
use crate::line::founding;
use crate::output::remark;
use crate::sentences;
use crate::trouble::Trouble;
use crate::way::Way;

/// How long a lead tries to tell the relays of a new seat.
const PATIENCE: Duration = Duration::from_secs(60);

/// `desk join`
pub(crate) fn join(args: &DeskJoin, way: &Way<'_>) -> Result<Exit, Trouble> {
    match &args.admission {
        None => ask(args, way),
        Some(admission) => enter(args, admission, way),
    }
}

/// A new vault and its request; or the same request again, as long as nobody has admitted it.
fn ask(args: &DeskJoin, way: &Way<'_>) -> Result<Exit, Trouble> {
    let dir = &args.base.dir;
    let mut office = if dir.join("vault").is_dir() {
        open_any(&args.base, way)?
    } else {
        founding::make_dir(dir)?;
        let passphrase = way.inputs.new_passphrase(args.base.passphrase_file.as_deref())?;
        let passphrase = Passphrase::new(passphrase.as_str().to_owned());
        Office::join(dir, &passphrase, &mut chance::new_rng()?).map_err(|error| sentences::desk(&error))?.0
    };
    let request = office.join_request().map_err(|error| sentences::desk(&error))?;
    let next = if way.mailbox { "safeguard join" } else { "desk join" };
    tell_request(&request, dir, next, way);
    Ok(Exit::Done)
}

fn tell_request(request: &JoinRequest, dir: &Path, next: &str, way: &Way<'_>) {
    let (text, words) = (request.to_text(), request.check_words());
    let object = json!({"event": "request", "request": text, "check_words": words, "dir": dir.display().to_string()});
    way.output.tell(&object, &text);
    remark(&sentences::request_made(&words, next, way.mailbox));
}

/// `safeguard renew`
pub(crate) fn renew(args: &DeskJoin, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.base, way)?;
    if let Some(file) = &args.admission {
        let admission = admission_of(args, file, way)?;
        office.accept(&admission, now(), &mut chance::new_rng()?).map_err(|error| sentences::desk(&error))?;
        let desk = office.look().map_err(|error| sentences::office(&error))?;
        let line = desk.line_view(now()).map_err(|error| sentences::desk(&error))?;
        let until = line.devices.iter().find(|device| device.mine).map_or(0, |device| device.certified_until);
        way.output.tell(&json!({"event": "renewed", "certified_until": until}), sentences::RENEWED_MAILBOX);
        return Ok(Exit::Done);
    }
    let request = act(&mut office, |desk, rng| desk.renewal_request(now(), rng))?;
    tell_request(&request, &args.base.dir, "safeguard renew", way);
    Ok(Exit::Done)
}

fn admission_of(args: &DeskJoin, file: &Path, way: &Way<'_>) -> Result<Admission, Trouble> {
    let admission = Admission::parse(&way.inputs.bytes(file)?).map_err(|error| sentences::desk(&error))?;
    compare(&admission.check_words(), args.words.as_deref(), way)?;
    Ok(admission)
}

fn enter(args: &DeskJoin, admission: &Path, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open_any(&args.base, way)?;
    let admission = admission_of(args, admission, way)?;
    let accepted = office.accept(&admission, now(), &mut chance::new_rng()?);
    let desk = match &accepted {
        Ok(()) | Err(DeskError::Member) => office.look().map_err(|error| sentences::office(&error))?,
        Err(error) => return Err(sentences::desk(error)),
    };
    // Also what a crash kept from being written the last time.
    let card = desk.card().map_err(|error| sentences::desk(&error))?;
    founding::write_card(&args.base.dir, &card)?;
    let line = desk.line_view(now()).map_err(|error| sentences::desk(&error))?;
    accepted.map_err(|error| sentences::desk(&error))?;
    let seat = line.devices.iter().find(|device| device.mine).and_then(|device| device.seat);
    let object = json!({"event": "joined", "line": line.line, "device": line.device, "seat": seat});
    way.output.tell(&object, &sentences::joined(&line.line, seat));
    Ok(Exit::Done)
}

/// `desk admit`
pub(crate) async fn admit(args: &DeskAdmit, way: &Way<'_>) -> Result<Exit, Trouble> {
    let request = JoinRequest::parse(&way.inputs.request(&args.request)?).map_err(|error| sentences::desk(&error))?;
    compare(&request.check_words(), args.words.as_deref(), way)?;
    let mut office = open(&args.base, way)?;
    let admission = act(&mut office, |desk, rng| {
        let seat = match args.seat {
            _ if args.safeguarding => Some(Seat::SAFEGUARDING),
            _ if args.without_seat => None,
            Some(number) => Seat::new(number),
            None => Some(desk.free_seat().ok_or(DeskError::SeatTaken)?),
        };
        let role = if args.safeguarding { Role::Safeguarding } else { Role::Worker };
        desk.admit(&request, (role, seat), now(), rng)
    })?;
    founding::write_new_bytes(&args.out, &admission.to_bytes())?;
    let words = admission.check_words();
    let object = json!({"event": "admitted", "admission": args.out.display().to_string(), "check_words": words});
    way.output.tell(&object, &sentences::admitted(&args.out, &words));
    let mut round = Round::begin(office, &args.base.dir, way).map_err(|trouble| trouble.after(sentences::ADMITTED_HERE))?;
    round.run(PATIENCE, |_| false).await.map_err(|trouble| trouble.after(sentences::ADMITTED_HERE))?;
    crate::line::tell_published(&mut round, way).await
}

/// Compares the words that another person reads from their screen.
pub(crate) fn compare(words: &CheckWords, given: Option<&str>, way: &Way<'_>) -> Result<(), Trouble> {
    let given = way.inputs.check_words(given)?;
    let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).flat_map(char::to_lowercase).collect::<String>();
    if letters(&given) == letters(&words.concat()) { Ok(()) } else { Err(sentences::check_words_differ()) }
}
