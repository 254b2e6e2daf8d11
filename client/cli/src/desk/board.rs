//! The board on a terminal: callers, threads, and what is still on its way.

use std::collections::{HashMap, HashSet};

use porchlight_client::desk::{AnswerState, Desk, Item, LetterState, PromiseState, ReadableFrom, Row};
use porchlight_proto::line::CallerId;
use porchlight_proto::time::Seconds;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::output::Output;
use crate::sentences;
use crate::trouble::Trouble;

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

/// Tells a caller's thread, oldest first.
pub(super) fn show(desk: &Desk, caller: CallerId, now: Seconds, output: Output) -> Result<(), Trouble> {
    let thread = desk.show(caller, now).map_err(|error| sentences::desk(&error))?;
    output.say(&sentences::row(&thread.row));
    for item in &thread.items {
        let mut object = item_json(item);
        if let Item::Answer { id, .. } = item {
            let id = data_encoding::HEXLOWER.decode(id.as_bytes()).ok().and_then(|id| id.try_into().ok());
            add_readable(&mut object, id.and_then(|id| desk.readable_from(&id)).as_ref());
        }
        output.tell(&object, &sentences::item(item));
    }
    Ok(())
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

/// Whether an answer has not been written to a slot whole yet.
pub(super) fn is_on_the_way(desk: &Desk, caller: CallerId, answer: &[u8; 8], now: Seconds) -> bool {
    let wanted = hex(answer);
    let Ok(thread) = desk.show(caller, now) else { return false };
    thread.items.iter().any(|item| matches!(item, Item::Answer { id, state: AnswerState::OnTheWay, .. } if *id == wanted))
}

/// Whether any answer to anybody has not been written to a slot whole yet.
pub(super) fn anything_on_the_way(desk: &Desk, now: Seconds) -> bool {
    let on_the_way = |item: &Item| matches!(item, Item::Answer { state: AnswerState::OnTheWay, .. });
    let with_answers = desk.list(now).into_iter().filter(|row| row.answers > 0);
    with_answers
        .filter_map(|row| desk.find(&row.id).ok())
        .filter_map(|caller| desk.show(caller, now).ok())
        .any(|thread| thread.items.iter().any(on_the_way))
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
        for item in thread.map(|thread| thread.items).unwrap_or_default() {
            let Item::Letter { session, seq, status, text, state: LetterState::Here, .. } = item else { continue };
            let says_something = status.is_some() || !text.is_empty();
            if self.letters.insert((row.id.clone(), session, seq)) && says_something {
                fresh.push(Fresh { id: row.id.clone(), nickname: row.nickname.clone(), kind: status.unwrap_or("text") });
            }
        }
    }
}
