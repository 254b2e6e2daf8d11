//! The board on a terminal: callers, threads, and what is still on its way.

use std::collections::{HashMap, HashSet};

use porchlight_client::desk::{Desk, DeskError, Item, LetterState, PromiseState, ProposalView, ReadableFrom, Rota, Row, Thread};
use porchlight_proto::line::CallerId;
use porchlight_proto::time::Seconds;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::output::Output;
use crate::sentences;

/// Bytes as JSON and people write them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// Tells every caller's row.
pub(super) fn list(desk: &Desk, now: Seconds, output: Output) -> Exit {
    let rows = desk.list(now);
    for row in &rows {
        output.tell(&row_json(row), &sentences::row(row));
    }
    if rows.is_empty() {
        output.say(sentences::NO_CALLERS);
    }
    Exit::Done
}

/// A row with the few facts that scripts ask for most at its top level.
fn row_json(row: &Row) -> Value {
    let mut object = serde_json::to_value(row).unwrap_or_default();
    let overdue = row.promise.as_ref().is_some_and(|promise| matches!(promise.state, PromiseState::Late | PromiseState::Quiet));
    if let Some(fields) = object.as_object_mut() {
        fields.insert("claimed_by".to_owned(), json!(row.claim.as_ref().map(|claim| &claim.device)));
        fields.insert("unanswered".to_owned(), json!(row.waiting_since.is_some()));
        fields.insert("overdue".to_owned(), json!(overdue));
    }
    object
}

/// A caller's thread, and from when each answer can be read.
pub(super) struct Shown {
    thread: Thread,
    readable: HashMap<String, ReadableFrom>,
}

impl Shown {
    pub(super) fn of(desk: &Desk, caller: CallerId, now: Seconds) -> Result<Self, DeskError> {
        let thread = desk.show(caller, now)?;
        let answers = thread.items.iter().filter_map(|item| if let Item::Answer { id, .. } = item { Some(id) } else { None });
        let readable = answers.filter_map(|id| {
            let bytes = data_encoding::HEXLOWER.decode(id.as_bytes()).ok()?.try_into().ok()?;
            Some((id.clone(), desk.readable_from(&bytes)?))
        });
        let readable = readable.collect();
        Ok(Self { thread, readable })
    }

    /// Tells it, oldest first.
    pub(super) fn tell(&self, output: Output) {
        tell_thread(&self.thread, &self.readable, output);
    }
}

fn tell_thread(thread: &Thread, readable: &HashMap<String, ReadableFrom>, output: Output) {
    output.say(&sentences::row(&thread.row));
    let mut person = serde_json::to_value(&thread.person).unwrap_or_default();
    if let Some(fields) = person.as_object_mut() {
        fields.insert("kind".to_owned(), json!("person"));
    }
    let known = sentences::person(&thread.person);
    if !known.is_empty() {
        output.tell(&person, &known);
    }
    for item in &thread.items {
        let mut object = item_json(item);
        if let Item::Answer { id, .. } = item {
            add_readable(&mut object, readable.get(id));
        }
        output.tell(&object, &sentences::item(item));
    }
    for proposal in &thread.proposals {
        let object = named(proposal_json(proposal), "kind", "proposal".to_owned());
        output.tell(&object, &sentences::proposal(proposal));
    }
}

/// How a proposal or a shift is named.
pub(crate) fn event_name(by: &str, seq: u64) -> String {
    format!("{}-{seq}", by.get(..8).unwrap_or(by))
}

/// A proposal with its name.
pub(super) fn proposal_json(proposal: &ProposalView) -> Value {
    named(serde_json::to_value(proposal).unwrap_or_default(), "proposal", event_name(&proposal.by, proposal.seq))
}

/// The rota, its shifts with their names.
pub(super) fn rota_json(rota: &Rota) -> Value {
    let mut object = serde_json::to_value(rota).unwrap_or_default();
    if let Some(shifts) = object.get_mut("shifts").and_then(Value::as_array_mut) {
        for (shift, known) in shifts.iter_mut().zip(&rota.shifts) {
            *shift = named(shift.take(), "shift", event_name(&known.by, known.seq));
        }
    }
    object
}

fn named(mut object: Value, key: &str, name: String) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(key.to_owned(), json!(name));
    }
    object
}

/// Adds from when an answer can be read (milliseconds), and on which track; null while it is not in slots whole.
pub(super) fn add_readable(object: &mut Value, readable: Option<&ReadableFrom>) {
    let from = readable.and_then(|readable| readable.words.or(readable.page));
    let track = readable.map(|readable| if readable.words.is_some() { "carousel" } else { "live" });
    if let Some(fields) = object.as_object_mut() {
        fields.insert("readable_from".to_owned(), json!(from.map(|from| from.0)));
        fields.insert("track".to_owned(), json!(track));
    }
}

/// An item with the kind under the name that the other events use, too.
fn item_json(item: &Item) -> Value {
    let mut object = serde_json::to_value(item).unwrap_or_default();
    if let Some(fields) = object.as_object_mut()
        && let Some(kind) = fields.remove("item")
    {
        fields.insert("kind".to_owned(), kind);
    }
    if let (Some(fields), Item::Letter { .. }) = (object.as_object_mut(), item) {
        fields.insert("withdraws".to_owned(), json!(is_withdrawal(item)));
    }
    object
}

/// Whether a letter only asks to take others back.
pub(crate) fn is_withdrawal(item: &Item) -> bool {
    matches!(item, Item::Letter { status: None, text, state: LetterState::Here, .. } if text.is_empty())
}

/// A letter that has just come.
pub(super) struct Fresh {
    id: String,
    nickname: String,
    kind: &'static str,
}

impl Fresh {
    pub(super) fn tell(&self, output: Output) {
        output.tell(
            &json!({"event": "letter", "id": self.id, "nickname": self.nickname, "kind": self.kind}),
            sentences::ONE_WAITING,
        );
    }
}

/// What of each caller's row tells that a letter came.
type Mark = (usize, usize, u64);

/// Which letters are known, so that new ones can be told.
#[derive(Default)]
pub(super) struct Known {
    marks: HashMap<String, Mark>,
    letters: HashSet<(String, String, u16)>,
}

impl Known {
    pub(super) fn of(desk: &Desk, now: Seconds) -> Self {
        let mut known = Self::default();
        known.update(desk, now);
        known
    }

    /// Looks again, and gives one entry for each letter that was not there before, oldest first by caller.
    pub(super) fn update(&mut self, desk: &Desk, now: Seconds) -> Vec<Fresh> {
        let mut fresh = Vec::new();
        for row in desk.list(now) {
            let mark = (row.letters, row.unseen, row.last_sign);
            if self.marks.insert(row.id.clone(), mark) != Some(mark) {
                self.look_through(desk, &row, now, &mut fresh);
            }
        }
        fresh
    }

    fn look_through(&mut self, desk: &Desk, row: &Row, now: Seconds, fresh: &mut Vec<Fresh>) {
        let thread = desk.find(&row.id).ok().and_then(|caller| desk.show(caller, now).ok());
        // Of a row that several share each letter is of the caller whose room it stands in, whoever comes first in the row.
        let mut whose = row.id.clone();
        for item in thread.map(|thread| thread.items).unwrap_or_default() {
            if let Item::Room { id, .. } = &item {
                whose.clone_from(id);
            }
            let Item::Letter { session, seq, status, text, state: LetterState::Here, .. } = item else { continue };
            let says_something = status.is_some() || !text.is_empty();
            if self.letters.insert((whose.clone(), session, seq)) && says_something {
                fresh.push(Fresh { id: row.id.clone(), nickname: row.nickname.clone(), kind: status.unwrap_or("text") });
            }
        }
    }
}
