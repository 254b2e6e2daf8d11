//! The desk's verbs.

pub(crate) mod board;
mod burn;
mod duty;
mod enrol;
mod page;
pub(crate) mod team;

use core::time::Duration;
use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use porchlight_client::desk::{AnswerPlan, Desk, DeskError, HandOverPlan, Office, Warning};
use porchlight_client::outbox::{Clock, SystemClock};
use porchlight_client::vault::Passphrase;
use porchlight_proto::line::CallerId;
use porchlight_proto::time::Seconds;
use rand_chacha::ChaCha20Rng;
use serde_json::json;

use crate::chance;
use crate::command::{DeskAnswer, DeskBase, DeskClaim, DeskHandOver, DeskNote, DeskPerson, DeskSync, DeskWatch};
use crate::exit::Exit;
use crate::output::remark;
use crate::sentences;
use crate::trouble::Trouble;
use crate::way::Way;

pub(crate) use burn::burn;
pub(crate) use duty::{Round, refuse_distrust};
pub(crate) use enrol::{admit, compare, join, renew};
pub(crate) use page::open_board;

/// The vault of a directory, opened, and of a line.
pub(crate) fn open(base: &DeskBase, way: &Way<'_>) -> Result<Office, Trouble> {
    let mut office = open_any(base, way)?;
    // A lead must not sign what it may have signed before the backup was made.
    office.doubt_if_restored(now(), &mut chance::new_rng()?).map_err(|error| sentences::office(&error))?;
    let desk = office.look().map_err(|error| sentences::office(&error))?;
    desk.card().map_err(|error| sentences::desk(&error))?;
    if way.mailbox {
        require_mailbox(desk)?;
    }
    Ok(office)
}

/// Refuses a desk's vault, and reminds of what only the safeguarding person sees to.
fn require_mailbox(desk: &Desk) -> Result<(), Trouble> {
    if !desk.is_safeguarding() {
        return Err(sentences::desk(&DeskError::NoMailbox));
    }
    let warnings = desk.line_view(now()).map_err(|error| sentences::desk(&error))?.warnings;
    let hers = |warning: &Warning| matches!(warning, Warning::RenewMailbox | Warning::MailboxReplaced | Warning::Revoked);
    warnings.into_iter().filter(hers).for_each(|warning| remark(sentences::warning(warning)));
    Ok(())
}

/// The vault of a directory, also of a device that no lead has admitted yet.
fn open_any(base: &DeskBase, way: &Way<'_>) -> Result<Office, Trouble> {
    if !base.dir.join("vault").is_dir() {
        return Err(sentences::no_vault(&base.dir));
    }
    let passphrase = way.inputs.passphrase(base.passphrase_file.as_deref())?;
    Office::open(&base.dir, &Passphrase::new(passphrase.as_str().to_owned())).map_err(|error| sentences::office(&error))
}

/// The time of day, which desks go by.
pub(crate) fn now() -> Seconds {
    SystemClock.wall().seconds()
}

/// A right that one process of a vault has at a time, for as long as it lives.
pub(crate) struct Right {
    _file: File,
}

impl Right {
    /// The right to post bundles: a device that posted twice in a beat would stand out. Unless another process has it.
    pub(crate) fn to_post(dir: &Path) -> Result<Option<Self>, Trouble> {
        Self::take(&dir.join("posting.lock"))
    }

    /// The right to stay on watch. A round that happens to be under way has the other right, not this one: a watch that
    /// begins beside it waits until it may post, and does not give up.
    pub(crate) fn to_watch(dir: &Path) -> Result<Option<Self>, Trouble> {
        Self::take(&dir.join("watch.lock"))
    }

    fn take(path: &Path) -> Result<Option<Self>, Trouble> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| sentences::cannot_write(path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(sentences::cannot_write(path, &error)),
        }
    }
}

/// `desk sync`
pub(crate) async fn sync(args: DeskSync, way: &Way<'_>) -> Result<Exit, Trouble> {
    let office = open(&args.base, way)?;
    let mut round = Round::begin(office, &args.base.dir, way)?;
    let outcome = round.run_telling(args.wait).await?;
    round.tell_round(way.output, outcome)
}

/// `desk watch`
pub(crate) async fn watch(args: DeskWatch, way: &Way<'_>) -> Result<Exit, Trouble> {
    let office = open(&args.base, way)?;
    duty::watch(office, &args, way).await
}

/// `desk list`
pub(crate) fn list(args: &DeskBase, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(args, way)?;
    let desk = office.look().map_err(|error| sentences::office(&error))?;
    Ok(board::list(desk, now(), way.output))
}

/// `desk show`
pub(crate) fn show(args: &DeskPerson, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.base, way)?;
    let caller = find_in(&mut office, &args.id)?;
    // In one transaction, so that nothing counts as seen that was not shown; from here on it cannot be taken back unseen.
    let thread = act(&mut office, |desk, rng| {
        let thread = board::Shown::of(desk, caller, now())?;
        desk.mark_shown(caller, now(), rng)?;
        Ok(thread)
    })?;
    thread.tell(way.output);
    Ok(Exit::Done)
}

/// `desk claim`
pub(crate) fn claim(args: &DeskClaim, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.person.base, way)?;
    let caller = find_in(&mut office, &args.person.id)?;
    let claimed = act(&mut office, |desk, rng| desk.claim(caller, None, args.reason.as_deref(), now(), rng))?;
    let (code, sentence) = sentences::claimed(claimed);
    tell_done(way, "claimed", caller, json!({"how": code}), sentence);
    Ok(Exit::Done)
}

/// `desk release`
pub(crate) fn release(args: &DeskPerson, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.base, way)?;
    let caller = find_in(&mut office, &args.id)?;
    act(&mut office, |desk, rng| desk.release(caller, now(), rng))?;
    tell_done(way, "released", caller, json!({}), sentences::RELEASED);
    Ok(Exit::Done)
}

/// `desk hand-over`
pub(crate) fn hand_over(args: &DeskHandOver, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.person.base, way)?;
    let caller = find_in(&mut office, &args.person.id)?;
    let line = |text: &str| way.inputs.text(text).map(|text| text.to_string());
    let mut plan = HandOverPlan {
        to: None,
        situation: line(&args.situation)?,
        promised_by_us: line(&args.promised_by_us)?,
        promised_by_her: line(&args.promised_by_her)?,
        risk: line(&args.risk)?,
        next_step: line(&args.next_step)?,
    };
    act(&mut office, |desk, rng| {
        plan.to = args.to.as_deref().map(|to| desk.find_device(to)).transpose()?;
        desk.hand_over(caller, &plan, now(), rng)
    })?;
    let to = plan.to.map(|to| board::hex(&to.0));
    tell_done(way, "handed_over", caller, json!({"to": to}), sentences::HANDED_OVER);
    Ok(Exit::Done)
}

/// `desk accept`
pub(crate) fn accept(args: &DeskPerson, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.base, way)?;
    let caller = find_in(&mut office, &args.id)?;
    act(&mut office, |desk, rng| desk.accept_hand_over(caller, now(), rng))?;
    tell_done(way, "accepted", caller, json!({}), sentences::ACCEPTED);
    Ok(Exit::Done)
}

/// `desk note`
pub(crate) fn note(args: &DeskNote, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.person.base, way)?;
    let text = way.inputs.text(&args.text)?;
    let caller = find_in(&mut office, &args.person.id)?;
    act(&mut office, |desk, rng| desk.note(caller, &text, now(), rng))?;
    tell_done(way, "noted", caller, json!({}), sentences::NOTED);
    Ok(Exit::Done)
}

/// `desk answer`
pub(crate) async fn answer(args: DeskAnswer, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.person.base, way)?;
    let text = args.text.as_deref().map(|text| way.inputs.text(text)).transpose()?;
    let desk = office.look().map_err(|error| sentences::office(&error))?;
    // As on the board: it goes when a second worker has agreed, with `desk say`.
    let meeting = text.as_ref().is_some_and(|text| porchlight_desk::names_a_meeting(text));
    if meeting && !desk.is_safeguarding() {
        return Err(sentences::desk(&DeskError::MeetingAlone));
    }
    let caller = find(desk, &args.person.id)?;
    let written = now();
    let answer = match text {
        None => act(&mut office, |desk, rng| desk.stop_row(caller, written, rng))?,
        Some(text) => {
            let plan = AnswerPlan {
                text,
                good_until: args.good_until.map(|life| written.plus(life.as_secs())),
                meeting: args.meeting,
                language: args.language.map(crate::caller::language),
                override_quiet: args.although_quiet,
                introduction: None,
                replies_to: None,
            };
            let answered = act(&mut office, |desk, rng| {
                let others = desk.composing_others(caller, written)?;
                if let Some(device) = others.first().filter(|_| !args.although_composing) {
                    return Err(DeskError::Composing(*device));
                }
                desk.answer(caller, &plan, written, rng)
            })?;
            if let Some(device) = answered.claimed_by {
                remark(&sentences::claimed_by_other(device));
            }
            (caller, answered.id)
        }
    };
    send_answer(office, &args.person.base, answer, args.wait, way).await
}

/// Goes on sending until an answer is in slots.
async fn send_answer(
    office: Office,
    base: &DeskBase,
    (caller, id): (CallerId, [u8; 8]),
    wait: Duration,
    way: &Way<'_>,
) -> Result<Exit, Trouble> {
    let mut round = Round::begin(office, &base.dir, way).map_err(|trouble| trouble.after(sentences::KEPT))?;
    let outcome = round.run(wait, move |desk| desk.is_on_the_way(&id, now())).await;
    let outcome = outcome.map_err(|trouble| trouble.after(sentences::KEPT))?;
    round.tell_answer(way.output, caller, &id, outcome)
}

fn tell_done(way: &Way<'_>, event: &str, caller: CallerId, more: serde_json::Value, sentence: &str) {
    let mut object = json!({"event": event, "id": board::hex(&caller.0)});
    if let (Some(fields), serde_json::Value::Object(more)) = (object.as_object_mut(), more) {
        fields.extend(more);
    }
    way.output.tell(&object, sentence);
}

fn find_in(office: &mut Office, id: &str) -> Result<CallerId, Trouble> {
    find(office.look().map_err(|error| sentences::office(&error))?, id)
}

fn find(desk: &Desk, id: &str) -> Result<CallerId, Trouble> {
    desk.find(id).map_err(|error| sentences::nobody(&error))
}

/// One transaction on the vault.
pub(crate) fn act<T>(
    office: &mut Office,
    change: impl FnOnce(&mut Desk, &mut ChaCha20Rng) -> Result<T, DeskError>,
) -> Result<T, Trouble> {
    office.act(&mut chance::new_rng()?, change).map_err(|error| sentences::desk(&error))
}
