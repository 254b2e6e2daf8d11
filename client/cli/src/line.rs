//! The line's verbs.

pub(crate) mod founding;
pub(crate) mod moving;

use core::time::Duration;
use std::path::Path;

use porchlight_client::desk::{Office, Revocation};
use porchlight_proto::api::DeskOutcome;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::json;

use crate::command::{DeskBase, LineBulletin, LineRenew, LineRevoke, LineShow};
use crate::desk::{Round, act, now, open, refuse_distrust};
use crate::exit::Exit;
use crate::output::remark;
use crate::sentences;
use crate::trouble::Trouble;
use crate::way::Way;

pub(crate) use founding::init;

/// How long a verb of the line tries to reach its relays.
const PATIENCE: Duration = Duration::from_secs(60);

/// `line publish`
pub(crate) async fn publish(args: &DeskBase, way: &Way<'_>) -> Result<Exit, Trouble> {
    let office = open(args, way)?;
    let mut round = Round::begin(office, &args.dir, way)?;
    round.run(PATIENCE, |_| false).await?;
    tell_published(&mut round, way).await
}

/// `line rotate`
pub(crate) async fn rotate(args: &DeskBase, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(args, way)?;
    act(&mut office, |desk, rng| desk.rotate(now(), rng))?;
    let mut round = Round::begin(office, &args.dir, way).map_err(|trouble| trouble.after(sentences::ROTATED_HERE))?;
    round.run(PATIENCE, |_| false).await.map_err(|trouble| trouble.after(sentences::ROTATED_HERE))?;
    tell_published(&mut round, way).await
}

/// `line renew`
pub(crate) async fn renew(args: &LineRenew, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.base, way)?;
    let root = way.inputs.root_words(args.root_words_file.as_deref())?.key();
    let void_others = args.void_others;
    act(
        &mut office,
        |desk, rng| {
            if void_others { desk.raise_generation(&root, now(), rng) } else { desk.renew(&root, now(), rng) }
        },
    )?;
    drop(root);
    certified(office, args, way).await
}

/// `line lead add`
pub(crate) async fn add_lead(args: &LineRenew, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.base, way)?;
    let root = way.inputs.root_words(args.root_words_file.as_deref())?.key();
    let device = act(&mut office, |desk, rng| {
        desk.lead(&root, args.void_others, now(), rng)?;
        desk.line_view(now()).map(|line| line.device)
    })?;
    drop(root);
    way.output.tell(&json!({"event": "lead", "device": device, "void_others": args.void_others}), sentences::LEAD_ADDED);
    certified(office, args, way).await
}

/// Tells colleagues of new certificates, and publishes.
async fn certified(office: Office, args: &LineRenew, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut round = Round::begin(office, &args.base.dir, way).map_err(|trouble| trouble.after(sentences::RENEWED_HERE))?;
    round.run_told(PATIENCE).await.map_err(|trouble| trouble.after(sentences::RENEWED_HERE))?;
    if round.duty().view(|desk| desk.waits_to_raise(now())).map_err(|error| sentences::office(&error))? {
        remark(sentences::WAITS_TO_RAISE);
    }
    tell_published(&mut round, way).await
}

/// Tells which statements were handed in, and goes on until colleagues have been sent their keys.
pub(crate) async fn tell_published(round: &mut Round, way: &Way<'_>) -> Result<Exit, Trouble> {
    for (relay, serial) in round.published() {
        way.output.tell(&json!({"event": "published", "relay": relay, "serial": serial}), &sentences::published(*relay, *serial));
    }
    let line = round
        .duty()
        .view(|desk| desk.line_view(now()))
        .map_err(|error| sentences::office(&error))?
        .map_err(|error| sentences::desk(&error))?;
    way.output.tell(
        &json!({"event": "line", "serial": line.serial, "published_until": line.published_until}),
        &sentences::valid_until(&line),
    );
    let told = round.run_secrets().await?;
    if round.was_refused() {
        return Err(sentences::refused_roster());
    }
    Ok(if told { Exit::Done } else { Exit::Refused })
}

/// `line revoke`
pub(crate) async fn revoke(args: &LineRevoke, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.base, way)?;
    let (device, was_lead, became) = act(&mut office, |desk, rng| {
        let device = desk.find_device(&args.device)?;
        Ok((device, desk.is_lead(device), desk.revoke(device, now(), rng)?))
    })?;
    let (event, votes, sentence, later) = match became {
        Revocation::Signed => ("revoked", None, sentences::REVOKED, sentences::REVOKED_HERE),
        Revocation::Agreed => ("revoked", Some(2), sentences::REVOKED_BY_TWO, sentences::VOTED_HERE),
        Revocation::Voted => ("voted", Some(1), sentences::VOTED, sentences::VOTED_HERE),
    };
    let mut object = json!({"event": event, "device": crate::desk::board::hex(&device.0)});
    if let (Some(votes), Some(fields)) = (votes, object.as_object_mut()) {
        fields.insert("votes".to_owned(), json!(votes));
    }
    way.output.tell(&object, sentence);
    if was_lead {
        remark(sentences::REVOKED_LEAD);
    }
    let mut round = Round::begin(office, &args.base.dir, way).map_err(|trouble| trouble.after(later))?;
    round.run_told(PATIENCE).await.map_err(|trouble| trouble.after(later))?;
    tell_published(&mut round, way).await
}

/// `line show`
pub(crate) fn show(args: &LineShow, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.base, way)?;
    let line =
        office.look().map_err(|error| sentences::office(&error))?.line_view(now()).map_err(|error| sentences::desk(&error))?;
    let mut object = serde_json::to_value(&line).map_err(|_| sentences::not_shown())?;
    let doors = doors(&args.base.dir)?;
    if let Some(fields) = object.as_object_mut() {
        fields.insert("doors".to_owned(), json!(doors));
    }
    way.output.tell(&object, &sentences::line(&line));
    for door in &doors {
        way.output.say(&sentences::door(door));
        if args.qr {
            way.output.say(&qr(door)?);
        }
    }
    line.warnings.iter().for_each(|warning| remark(sentences::warning(*warning)));
    Ok(Exit::Done)
}

/// The line's web doors, one a line in the file beside the vault.
fn doors(dir: &Path) -> Result<Vec<String>, Trouble> {
    let path = dir.join("doors");
    let text = std::fs::read_to_string(&path).map_err(|error| sentences::cannot_read(&path, &error))?;
    Ok(text.lines().filter(|door| !door.is_empty()).map(str::to_owned).collect())
}

/// A text as a QR code of half blocks, light on dark as terminals are.
fn qr(text: &str) -> Result<String, Trouble> {
    let code = QrCode::new(text).map_err(|_| sentences::not_shown())?;
    Ok(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

/// `line bulletin`
pub(crate) async fn bulletin(args: &LineBulletin, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.base, way)?;
    let card = office.look().map_err(|error| sentences::office(&error))?.card().map_err(|error| sentences::desk(&error))?;
    if let Some(none) = args.relay.filter(|only| card.relays.iter().all(|relay| relay.number != *only)) {
        return Err(sentences::no_such_relay(none));
    }
    let closed_until = args.closed_for.map(|length| now().plus(length.as_secs()));
    act(&mut office, |desk, rng| {
        if args.none {
            desk.void_bulletins(now(), rng)?;
            desk.set_closed_until(None, now(), rng)?;
        }
        if closed_until.is_some() {
            desk.set_closed_until(closed_until, now(), rng)?;
        }
        Ok(())
    })?;
    let mut round = Round::begin(office, &args.base.dir, way)?;
    round.run(PATIENCE, |_| false).await?;
    let Some(code) = args.code else { return tell_published(&mut round, way).await };
    let raised = raise(&mut round, code, args.relay, way).await;
    let told = round.run_secrets().await?;
    raised.map(|()| if told { Exit::Done } else { Exit::Refused })
}

async fn raise(round: &mut Round, code: u8, only: Option<u8>, way: &Way<'_>) -> Result<(), Trouble> {
    let code = porchlight_proto::bulletin::Code::from_code(code).ok_or_else(sentences::not_shown)?;
    let raised = round.duty().view(|desk| desk.raise_bulletin(code, now())).map_err(|error| sentences::office(&error))?;
    let bytes = raised.map_err(|error| sentences::desk(&error))?;
    let outcomes = round.duty().raise(bytes, only).await;
    refuse_distrust(&outcomes)?;
    let mut taken = 0usize;
    for (relay, outcome) in &outcomes {
        match outcome {
            Ok(reply) if reply.outcome == DeskOutcome::Done => {
                taken += 1;
                way.output.tell(&json!({"event": "raised", "relay": relay, "code": code.code()}), &sentences::raised(*relay));
            }
            Ok(_) => remark(&sentences::bulletin_refused(*relay)),
            Err(failure) => remark(&sentences::desk_relay(*relay, failure)),
        }
    }
    if taken == 0 {
        return Err(if outcomes.iter().any(|(_, outcome)| outcome.is_ok()) {
            sentences::not_raised_refused()
        } else {
            sentences::no_relay()
        });
    }
    Ok(())
}
