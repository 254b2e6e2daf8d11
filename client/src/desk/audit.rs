//! What is recorded of workers' acts: by day, in numbers, without callers, times or words.
//!
//! Nothing is written for it. Every device holds the team's events already, signed and linked; this is a way to read them that
//! shows as little as serves. A lead sees everybody's, a worker what is recorded of itself. After 90 days only numbers of five and
//! more are left, of nobody in particular.
use crate::desk::{Desk, concord::act_name, line::hex};
use porchlight_proto::{
    cert::Role,
    event::{AnswerKind, Event},
    time::Seconds,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// Days after which nobody is named any more.
const NAMED_DAYS: u64 = 90;
/// After that, days are counted together by so many, and smaller numbers than the next are not shown.
const LATER_DAYS: u64 = 30;
const LATER_LEAST: u64 = 5;

/// How often something was done on a day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct AuditLine {
    /// The day, counted from 1970 (UTC); of older ones the first of thirty.
    pub day: u64,
    /// By which device, in hex; nobody in particular for older ones.
    pub device: Option<String>,
    /// What: `claim`, `take_over`, `answer`, `stop`, `note`, `hand_over`, `accept`, `admit`, `revoke`, `propose_join` and the other
    /// acts of proposals, `agree`, `object`, `part`, `keep`.
    pub act: String,
    /// How often.
    pub count: u64,
}

impl Desk {
    /// Workers' acts by day, the oldest first: everybody's for a lead, this device's own otherwise.
    #[must_use]
    pub fn audit(&self, now: Seconds) -> Vec<AuditLine> {
        let Some(line) = &self.state.line else { return Vec::new() };
        let all = line.device_cert.role == Role::Lead;
        let named_from = (now.0 / 86_400).saturating_sub(NAMED_DAYS);
        let mut counts: BTreeMap<(u64, Option<String>, String), u64> = BTreeMap::new();
        for (device, log) in self.state.log.iter().filter(|(device, _)| all || **device == line.device) {
            for logged in log {
                let Some(act) = Event::parse(&logged.record.trace).ok().as_ref().and_then(act_of) else { continue };
                let day = logged.record.time / 86_400;
                let named = day >= named_from;
                let place = if named { (day, Some(hex(&device.0)), act) } else { (day - day % LATER_DAYS, None, act) };
                *counts.entry(place).or_default() += 1;
            }
        }
        let shown = |((_, device, _), count): &((u64, Option<String>, String), u64)| device.is_some() || *count >= LATER_LEAST;
        let lines = counts.into_iter().filter(shown);
        lines.map(|((day, device, act), count)| AuditLine { day, device, act, count }).collect()
    }
}

/// What somebody did by this event; nothing for what a program does by itself.
fn act_of(event: &Event) -> Option<String> {
    Some(match event {
        Event::Claim { reason, .. } if reason.is_empty() => "claim".to_owned(),
        Event::Claim { .. } => "take_over".to_owned(),
        Event::Answer(answer) if answer.flags != 0 => return None,
        Event::Answer(answer) if answer.kind == AnswerKind::Stop => "stop".to_owned(),
        Event::Answer(_) => "answer".to_owned(),
        Event::Note { .. } => "note".to_owned(),
        Event::HandOver(_) => "hand_over".to_owned(),
        Event::Accept { .. } => "accept".to_owned(),
        Event::Admitted(_) => "admit".to_owned(),
        Event::Revoked { .. } => "revoke".to_owned(),
        Event::Propose(proposal) => format!("propose_{}", act_name(proposal.act)),
        Event::Agree { .. } => "agree".to_owned(),
        Event::Object { .. } => "object".to_owned(),
        Event::Part { .. } => "part".to_owned(),
        Event::Keep { .. } => "keep".to_owned(),
        _ => return None,
    })
}
