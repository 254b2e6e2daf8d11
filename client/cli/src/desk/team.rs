//! What a team knows of callers, its rota, and what two workers must want.

use porchlight_client::desk::{AnswerPlan, DeskError, Office, ProposalId, ShiftId};
use porchlight_proto::event::{Act, Proposal};
use porchlight_proto::line::CallerId;
use serde_json::json;

use super::{act, board, find_in, now, open, send_answer, tell_done};
use crate::command::{
    DeskBase, DeskCompose, DeskDecide, DeskDuress, DeskKnow, DeskPart, DeskPropose, DeskQuestion, DeskSay, DeskShift, DeskStrike,
    DeskWish, LineKeep,
};
use crate::exit::Exit;
use crate::moment::When;
use crate::sentences;
use crate::trouble::Trouble;
use crate::way::Way;

/// `desk compose`
pub(crate) fn compose(args: &DeskCompose, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.person.base, way)?;
    let caller = find_in(&mut office, &args.person.id)?;
    let others = act(&mut office, |desk, rng| {
        if args.done { desk.stop_composing(caller, now(), rng).map(|()| Vec::new()) } else { desk.compose(caller, now(), rng) }
    })?;
    let others: Vec<String> = others.iter().map(|device| board::hex(&device.0)).collect();
    let sentence = sentences::composing(args.done, &others);
    tell_done(way, "composing", caller, json!({"others": others, "done": args.done}), &sentence);
    Ok(Exit::Done)
}

/// `desk know`
pub(crate) fn know(args: &DeskKnow, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.person.base, way)?;
    let by = way.inputs.text(&args.by)?;
    let caller = find_in(&mut office, &args.person.id)?;
    act(&mut office, |desk, rng| desk.set_known(caller, (args.how.how(), &by), now(), rng))?;
    tell_done(way, "known", caller, json!({}), sentences::NOTED);
    Ok(Exit::Done)
}

/// `desk question`
pub(crate) fn question(args: &DeskQuestion, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.person.base, way)?;
    let question = way.inputs.text(args.question.as_deref().unwrap_or_default())?;
    // What only she answers stays out of the list of processes: both from stdin, a line each.
    let (question, answer) = match args.answer.as_deref() {
        Some(answer) => (question, way.inputs.text(answer)?.to_string()),
        None => {
            let (question, answer) = question.split_once('\n').unwrap_or((&question, ""));
            (question.to_owned().into(), answer.to_owned())
        }
    };
    let caller = find_in(&mut office, &args.person.id)?;
    act(&mut office, |desk, rng| desk.set_question(caller, (&question, &answer), now(), rng))?;
    tell_done(way, "question", caller, json!({"none": args.none}), sentences::NOTED);
    Ok(Exit::Done)
}

/// `desk wish`
pub(crate) fn wish(args: &DeskWish, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.person.base, way)?;
    let text = way.inputs.text(args.text.as_deref().unwrap_or_default())?;
    let caller = find_in(&mut office, &args.person.id)?;
    act(&mut office, |desk, rng| desk.set_wish(caller, &text, now(), rng))?;
    tell_done(way, "wish", caller, json!({"none": args.none}), sentences::NOTED);
    Ok(Exit::Done)
}

/// `desk duress`
pub(crate) fn duress(args: &DeskDuress, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.person.base, way)?;
    let room = find_one(&mut office, &args.person.id)?;
    let of = args.of.as_deref().map(|of| find_in(&mut office, of)).transpose()?;
    act(&mut office, |desk, rng| desk.set_duress(room, of, now(), rng))?;
    tell_done(way, "duress", room, json!({"of": of.map(|of| board::hex(&of.0))}), sentences::NOTED);
    Ok(Exit::Done)
}

/// `desk propose`
pub(crate) fn propose(args: &DeskPropose, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.person.base, way)?;
    let caller = find_in(&mut office, &args.person.id)?;
    let other = args.join.as_deref().map(|other| find_in(&mut office, other)).transpose()?;
    let text = way.inputs.text(args.say.as_deref().unwrap_or(&args.why))?.to_string();
    let plan = Proposal { caller, act: chosen(args), other: other.unwrap_or(CallerId([0; 16])), text };
    let id = act(&mut office, |desk, rng| desk.propose(&plan, now(), rng))?;
    let sentence = sentences::proposed(&name(id), plan.act == Act::Forget);
    tell_done(way, "proposed", caller, json!({"proposal": name(id)}), &sentence);
    Ok(Exit::Done)
}

fn chosen(args: &DeskPropose) -> Act {
    match args {
        DeskPropose { join: Some(_), .. } => Act::Join,
        DeskPropose { fulfil: true, .. } => Act::Fulfil,
        DeskPropose { forget: true, .. } => Act::Forget,
        DeskPropose { keep_hand_over: true, .. } => Act::KeepHandOver,
        _ => Act::Say,
    }
}

/// `desk proposals`
pub(crate) fn proposals(args: &DeskBase, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(args, way)?;
    let desk = office.look().map_err(|error| sentences::office(&error))?;
    let proposals = desk.proposals(now());
    for proposal in &proposals {
        way.output.tell(&board::proposal_json(proposal), &sentences::proposal(proposal));
    }
    if proposals.is_empty() {
        way.output.say(sentences::NO_PROPOSALS);
    }
    Ok(Exit::Done)
}

/// `desk agree`
pub(crate) fn agree(args: &DeskDecide, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.base, way)?;
    let id = find_proposal(&mut office, &args.proposal)?;
    act(&mut office, |desk, rng| desk.agree(id, now(), rng))?;
    way.output.tell(&json!({"event": "agreed", "proposal": name(id)}), sentences::AGREED);
    Ok(Exit::Done)
}

/// `desk object`
pub(crate) fn object(args: &DeskDecide, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.base, way)?;
    let id = find_proposal(&mut office, &args.proposal)?;
    act(&mut office, |desk, rng| desk.object(id, now(), rng))?;
    way.output.tell(&json!({"event": "objected", "proposal": name(id)}), sentences::OBJECTED);
    Ok(Exit::Done)
}

/// `desk say`
pub(crate) async fn say(args: DeskSay, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.decide.base, way)?;
    let id = find_proposal(&mut office, &args.decide.proposal)?;
    let written = now();
    let plan = AnswerPlan {
        good_until: args.good_until.map(|life| written.plus(life.as_secs())),
        override_quiet: args.although_quiet,
        ..AnswerPlan::default()
    };
    let (caller, answered) = act(&mut office, |desk, rng| desk.say(id, plan, written, rng))?;
    send_answer(office, &args.decide.base, (caller, answered.id), args.wait, way).await
}

/// `desk part`
pub(crate) fn part(args: &DeskPart, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.person.base, way)?;
    let (caller, other) = (find_one(&mut office, &args.person.id)?, find_one(&mut office, &args.other)?);
    act(&mut office, |desk, rng| desk.part(caller, other, now(), rng))?;
    tell_done(way, "parted", caller, json!({"other": board::hex(&other.0)}), sentences::PARTED);
    Ok(Exit::Done)
}

/// `desk rota`
pub(crate) fn rota(args: &DeskBase, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(args, way)?;
    let rota = office.look().map_err(|error| sentences::office(&error))?.rota(now());
    way.output.tell(&board::rota_json(&rota), &sentences::rota(&rota));
    Ok(Exit::Done)
}

/// `desk shift`
pub(crate) fn shift(args: &DeskShift, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.base, way)?;
    let from = args.from.after(now());
    let until = match args.until {
        When::In(_) => args.until.after(from),
        _ => args.until.after(now()),
    };
    act(&mut office, |desk, rng| {
        let device = args.device.as_deref().map_or_else(|| desk.device(), |device| desk.find_device(device))?;
        desk.add_shift(device, (from, until), now(), rng)
    })?;
    way.output.tell(&json!({"event": "on_call", "from": from.0, "until": until.0}), &sentences::on_call(from, until));
    Ok(Exit::Done)
}

/// `desk strike`
pub(crate) fn strike(args: &DeskStrike, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.base, way)?;
    let (by, seq) = split(&args.shift).ok_or_else(|| sentences::desk(&DeskError::NoSuchShift))?;
    let id: ShiftId = act(&mut office, |desk, rng| {
        let id = desk.find_shift(by, seq)?;
        desk.strike_shift(id, now(), rng).map(|()| id)
    })?;
    way.output.tell(&json!({"event": "struck", "shift": name(id)}), sentences::STRUCK);
    Ok(Exit::Done)
}

/// `desk off`
pub(crate) fn off(args: &DeskBase, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(args, way)?;
    act(&mut office, |desk, rng| desk.go_off(now(), rng))?;
    way.output.tell(&json!({"event": "off"}), sentences::OFF);
    Ok(Exit::Done)
}

/// `desk audit`
pub(crate) fn audit(args: &DeskBase, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(args, way)?;
    let lines = office.look().map_err(|error| sentences::office(&error))?.audit(now());
    for line in &lines {
        let object = serde_json::to_value(line).map_err(|_| sentences::not_shown())?;
        way.output.tell(&object, &sentences::audited(line));
    }
    if lines.is_empty() {
        way.output.say(sentences::NOTHING_RECORDED);
    }
    Ok(Exit::Done)
}

/// `line keep`
pub(crate) fn keep(args: &LineKeep, way: &Way<'_>) -> Result<Exit, Trouble> {
    let mut office = open(&args.base, way)?;
    act(&mut office, |desk, rng| desk.keep_team_for(args.days, now(), rng))?;
    way.output.tell(&json!({"event": "kept", "days": args.days}), &sentences::kept_for(args.days));
    Ok(Exit::Done)
}

/// How a proposal or a shift is named: the device that made it, and which of its events that was.
fn name((device, seq): (porchlight_proto::line::DeviceId, u64)) -> String {
    board::event_name(&board::hex(&device.0), seq)
}

fn split(name: &str) -> Option<(&str, u64)> {
    let (by, seq) = name.trim().rsplit_once('-')?;
    Some((by, seq.parse().ok()?))
}

fn find_proposal(office: &mut Office, text: &str) -> Result<ProposalId, Trouble> {
    let desk = office.look().map_err(|error| sentences::office(&error))?;
    let found = split(text).ok_or(DeskError::NoSuchProposal).and_then(|(by, seq)| desk.find_proposal(by, seq));
    found.map_err(|error| sentences::desk(&error))
}

/// A caller herself, even if her row is now another's.
fn find_one(office: &mut Office, id: &str) -> Result<CallerId, Trouble> {
    let desk = office.look().map_err(|error| sentences::office(&error))?;
    desk.find_one(id).map_err(|error| sentences::nobody(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_is_named_by_a_device_and_a_number() {
        assert_eq!(split("3fa2c1d0-17"), Some(("3fa2c1d0", 17)));
        for wrong in ["", "17", "3fa2-", "3fa2-x", "-"] {
            assert_eq!(split(wrong).filter(|(by, _)| !by.is_empty()), None, "{wrong}");
        }
    }
}
