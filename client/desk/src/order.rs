//! What a page can ask and do, as it comes, and why not.

use porchlight_client::desk::{DeskError, FindError, OfficeError};
use porchlight_proto::letter::ContentError;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// A question. Asking changes nothing, and does not count as a sign of the worker.
#[derive(Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum Ask {
    /// The header, and some rows from a place on; of those that `find` names.
    Board { from: usize, count: usize, find: String },
    /// One caller's thread.
    Person { id: String },
    /// What a text would cost, and what there is to say of it.
    Weigh { id: String, text: Zeroizing<String> },
    /// Whom this device has, and who is being handed over.
    HandOvers,
    /// Who is on call, and when nobody is.
    Rota,
    /// The line, its devices and relays.
    Devices,
    /// How much came, and how long it waited.
    Load,
    /// What the first-run guide needs.
    Guide,
    /// What was half written in a window, by the name of the window.
    Scrap { of: String },
}

/// Something a worker does.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Deed {
    /// The worker is there.
    Touch,
    /// The worker looks at a caller's letters: they are read now.
    Open {
        id: String,
    },
    Claim {
        id: String,
        reason: Option<String>,
    },
    Release {
        id: String,
    },
    Accept {
        id: String,
    },
    HandOver(HandingOver),
    Note {
        id: String,
        text: String,
    },
    /// Somebody here is writing to her; the text is kept while this program runs, so that a lock loses nothing.
    Compose {
        id: String,
        text: Zeroizing<String>,
    },
    /// Something is half written in a window: kept as a draft is. Nothing once it is kept for good, or thrown away.
    Scrap {
        of: String,
        text: Option<Zeroizing<String>>,
    },
    Answer(Answering),
    /// Takes back an answer that has not been written into the vault yet.
    Undo {
        later: u64,
    },
    Stop {
        id: String,
    },
    TakeBack {
        id: String,
        answer: String,
    },
    Know {
        id: String,
        how: String,
        by: String,
    },
    Question {
        id: String,
        question: String,
        answer: String,
    },
    Wish {
        id: String,
        text: String,
    },
    Duress {
        id: String,
        of: Option<String>,
    },
    Propose {
        id: String,
        act: String,
        other: Option<String>,
        text: String,
        /// With `say`: the wording fits somebody who reads it as a relative's.
        #[serde(default)]
        fits_relative: bool,
    },
    Agree {
        by: String,
        seq: u64,
    },
    Object {
        by: String,
        seq: u64,
    },
    /// Sends the words that two workers agreed to.
    Say(Saying),
    Part {
        id: String,
        other: String,
    },
    Shift {
        device: String,
        from: u64,
        until: u64,
    },
    Strike {
        by: String,
        seq: u64,
    },
    GoOff,
    Bulletin(Raising),
    Revoke {
        device: String,
    },
    Keep {
        days: u32,
    },
    /// The worker has seen that a relay lost what it had.
    SeenLoss {
        relay: u8,
    },
    Burn,
}

/// The five lines.
#[derive(Deserialize)]
pub(crate) struct HandingOver {
    pub(crate) id: String,
    pub(crate) to: Option<String>,
    pub(crate) situation: String,
    pub(crate) promised_by_us: String,
    pub(crate) promised_by_her: String,
    pub(crate) risk: String,
    pub(crate) next_step: String,
}

/// An answer, and what the worker has confirmed.
#[derive(Deserialize)]
pub(crate) struct Answering {
    pub(crate) id: String,
    pub(crate) text: Zeroizing<String>,
    /// The wording fits somebody who reads it as a relative's.
    pub(crate) fits_relative: bool,
    /// Why she is answered although she asked for quiet; goes into her notes.
    pub(crate) although_quiet: Option<String>,
    /// Although a colleague is writing to her, too.
    pub(crate) although_composing: bool,
    pub(crate) language: Option<String>,
    /// The newest letter that stood on the page: what came since goes on waiting.
    pub(crate) read: Option<Named>,
}

/// A letter.
#[derive(Deserialize)]
pub(crate) struct Named {
    pub(crate) session: String,
    pub(crate) seq: u16,
}

/// Words that two workers agreed to, and what the one who sends them has confirmed.
#[derive(Deserialize)]
pub(crate) struct Saying {
    pub(crate) by: String,
    pub(crate) seq: u64,
    pub(crate) fits_relative: bool,
    pub(crate) although_quiet: Option<String>,
    pub(crate) although_composing: bool,
}

/// A bulletin to raise, or all of them to void.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct Raising {
    /// 1 to 3; nothing to void.
    pub(crate) code: Option<u8>,
    /// With 2: until when.
    pub(crate) closed_until: Option<u64>,
}

/// Why something was not done: a word that the page has a sentence for.
#[derive(Debug)]
pub(crate) struct Refused {
    code: &'static str,
    more: Value,
}

impl Refused {
    pub(crate) const fn code(code: &'static str) -> Self {
        Self { code, more: Value::Null }
    }
    pub(crate) const fn with(code: &'static str, more: Value) -> Self {
        Self { code, more }
    }
    pub(crate) fn to_json(&self) -> Value {
        json!({"refused": self.code, "more": self.more})
    }
}

impl From<DeskError> for Refused {
    fn from(error: DeskError) -> Self {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let code = match error {
            DeskError::HeldBy { device, until } => {
                return Self::with("held_by", json!({"device": hex(&device.0), "until": until.0}));
            }
            DeskError::StillClaimed(callers) => {
                return Self::with(
                    "still_claimed",
                    json!({"callers": callers.iter().map(|caller| hex(&caller.0)).collect::<Vec<_>>()}),
                );
            }
            DeskError::NeedsSecond { alone_from: Some(at) } => return Self::with("needs_second", json!({"alone_from": at.0})),
            DeskError::NeedsSecond { alone_from: None } => "needs_two",
            DeskError::MeetingAlone => "meeting",
            DeskError::NotOneRow => "not_one_row",
            DeskError::Outdated => "outdated",
            DeskError::Composing(device) => return Self::with("composing", json!({"devices": [hex(&device.0)]})),
            DeskError::NotALead => "not_a_lead",
            DeskError::NoSeat => "no_seat",
            DeskError::NoSuchCaller => "no_such_caller",
            DeskError::NoSuchDevice => "no_such_device",
            DeskError::NoSuchAnswer => "no_such_answer",
            DeskError::NoSuchProposal => "no_such_proposal",
            DeskError::NoSuchShift => "no_such_shift",
            DeskError::BadShift => "bad_shift",
            DeskError::BadDays => "bad_days",
            DeskError::SameRow => "same_row",
            DeskError::NothingAsked => "nothing_asked",
            DeskError::Decided => "decided",
            DeskError::EmptyHandOver => "empty_hand_over",
            DeskError::NotHandedOver => "not_handed_over",
            DeskError::Quiet => "quiet",
            DeskError::Unreachable => "unreachable",
            DeskError::Own => "own",
            DeskError::Revoked => "revoked",
            DeskError::NoRoster => "no_roster",
            DeskError::Content(ContentError::Empty) => "empty",
            DeskError::Content(_) => "too_long",
            DeskError::Office(_) => "vault",
            _ => "not_possible",
        };
        Self::code(code)
    }
}

impl From<OfficeError> for Refused {
    fn from(_: OfficeError) -> Self {
        Self::code("vault")
    }
}

impl From<FindError> for Refused {
    fn from(_: FindError) -> Self {
        Self::code("no_such_caller")
    }
}

impl Refused {
    pub(crate) const fn name(&self) -> &'static str {
        self.code
    }
}
