//! Answers that can still be undone: written by a worker, not yet in the vault.
//!
//! They are kept in memory for ten seconds. A lock and the end of the program write them at once: the worker pressed Send, and she
//! waits. A closed page changes nothing. Only a power cut within those seconds loses one, and a vault that refuses it at the end.

use core::time::Duration;

use porchlight_client::desk::{AnswerPlan, ProposalId};
use porchlight_proto::letter::Session;
use porchlight_proto::line::CallerId;
use porchlight_proto::phrase::Language;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// How long an answer can be undone.
pub(crate) const UNDO: Duration = Duration::from_secs(10);

/// An answer that waits.
pub(crate) struct Later {
    pub(crate) number: u64,
    pub(crate) caller: CallerId,
    pub(crate) text: Zeroizing<String>,
    pub(crate) language: Option<Language>,
    /// The newest letter that the worker had before them.
    pub(crate) read: Option<(Session, u16)>,
    /// Whose words these are, if two workers agreed to them.
    pub(crate) agreed: Option<ProposalId>,
    /// The worker has confirmed that the wording fits somebody who reads it as a relative's.
    pub(crate) fits_relative: bool,
    /// Goes into the notes with the answer: why she is answered although she asked for quiet.
    pub(crate) although_quiet: Option<String>,
    pub(crate) due: Duration,
    /// Why it was not sent after all; the worker decides then.
    pub(crate) failed: Option<&'static str>,
}

impl Later {
    pub(crate) fn plan(&self) -> AnswerPlan {
        AnswerPlan {
            text: self.text.clone(),
            language: self.language,
            replies_to: self.read,
            override_quiet: self.although_quiet.is_some(),
            ..AnswerPlan::default()
        }
    }
    pub(crate) fn to_json(&self, now: Duration) -> Value {
        let left = self.due.saturating_sub(now);
        json!({
            "later": self.number,
            "text": self.text.as_str(),
            "agreed": self.agreed.is_some(),
            "left_ms": u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            "failed": self.failed,
        })
    }
}
