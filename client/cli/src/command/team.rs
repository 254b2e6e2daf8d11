//! What a team knows of callers, its rota, and what two workers must want: options of those verbs.

use core::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};
use porchlight_proto::event::How;

use super::{DeskBase, DeskPerson};
use crate::duration;
use crate::moment::{self, When};

#[derive(Debug, Args)]
pub(crate) struct DeskCompose {
    #[command(flatten)]
    pub(crate) person: DeskPerson,
    /// Nobody here is writing to her any more
    #[arg(long)]
    pub(crate) done: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HowChoice {
    /// The team does not know her
    Unknown,
    /// Somebody the team knows has introduced her
    Introduced,
    /// The team has made sure that it is she
    Verified,
}

impl HowChoice {
    pub(crate) fn how(self) -> How {
        match self {
            Self::Unknown => How::Unknown,
            Self::Introduced => How::Introduced,
            Self::Verified => How::Verified,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct DeskKnow {
    #[command(flatten)]
    pub(crate) person: DeskPerson,
    /// How the team knows her, since today
    #[arg(long, value_enum)]
    pub(crate) how: HowChoice,
    /// By whom, or by what
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, default_value = "", hide_default_value = true)]
    pub(crate) by: String,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true).args(["question", "none"]))]
pub(crate) struct DeskQuestion {
    #[command(flatten)]
    pub(crate) person: DeskPerson,
    /// What to ask somebody who says that she has lost her words; - is stdin, and without --answer two lines of it: question, answer
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, conflicts_with = "none")]
    pub(crate) question: Option<String>,
    /// What she and nobody else answers; others on this machine can see it here
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, requires = "question")]
    pub(crate) answer: Option<String>,
    /// There is no such question any more
    #[arg(long)]
    pub(crate) none: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["text", "none"]))]
pub(crate) struct DeskWish {
    #[command(flatten)]
    pub(crate) person: DeskPerson,
    /// What she asked the team to do if her sign is late (- is stdin)
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) text: Option<String>,
    /// She asks for nothing
    #[arg(long)]
    pub(crate) none: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["of", "none"]))]
pub(crate) struct DeskDuress {
    #[command(flatten)]
    pub(crate) person: DeskPerson,
    /// Whose duress room this row is
    #[arg(long, value_name = "ID")]
    pub(crate) of: Option<String>,
    /// It is nobody's
    #[arg(long)]
    pub(crate) none: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("act").required(true).args(["join", "fulfil", "forget", "keep_hand_over", "say"]))]
pub(crate) struct DeskPropose {
    #[command(flatten)]
    pub(crate) person: DeskPerson,
    /// Show her and this other caller as one: she has lost her words and come again
    #[arg(long, value_name = "ID")]
    pub(crate) join: Option<String>,
    /// Do what she asked for, because her sign is late
    #[arg(long)]
    pub(crate) fulfil: bool,
    /// Forget all that is known of her
    #[arg(long)]
    pub(crate) forget: bool,
    /// Keep the words of her last hand-over for 180 days
    #[arg(long)]
    pub(crate) keep_hand_over: bool,
    /// Send her this answer, which names a place or a time (- is stdin)
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) say: Option<String>,
    /// Why
    #[arg(
        long,
        value_name = "TEXT",
        allow_hyphen_values = true,
        default_value = "",
        hide_default_value = true,
        conflicts_with = "say"
    )]
    pub(crate) why: String,
}

#[derive(Debug, Args)]
pub(crate) struct DeskDecide {
    #[command(flatten)]
    pub(crate) base: DeskBase,
    /// The proposal, as `desk proposals` names it
    #[arg(value_name = "PROPOSAL")]
    pub(crate) proposal: String,
}

#[derive(Debug, Args)]
pub(crate) struct DeskSay {
    #[command(flatten)]
    pub(crate) decide: DeskDecide,
    /// How long it may be shown; 48h if not given, and at most
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) good_until: Option<Duration>,
    /// Send it although she asked not to be answered now
    #[arg(long)]
    pub(crate) although_quiet: bool,
    /// How long to go on sending until it is with the relay
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "2m")]
    pub(crate) wait: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct DeskPart {
    #[command(flatten)]
    pub(crate) person: DeskPerson,
    /// The caller who leaves that row
    #[arg(value_name = "OTHER")]
    pub(crate) other: String,
}

#[derive(Debug, Args)]
pub(crate) struct DeskShift {
    #[command(flatten)]
    pub(crate) base: DeskBase,
    /// Who is on call: at least four digits of a device's id, as `line show` gives it; this device if not given
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Option<String>,
    /// From when: "2026-11-28 20:00" (UTC), now, or in so long (2h)
    #[arg(long, value_name = "WHEN", value_parser = moment::parse)]
    pub(crate) from: When,
    /// Until when, likewise; a duration counts from the beginning
    #[arg(long, value_name = "WHEN", value_parser = moment::parse)]
    pub(crate) until: When,
}

#[derive(Debug, Args)]
pub(crate) struct DeskStrike {
    #[command(flatten)]
    pub(crate) base: DeskBase,
    /// The shift, as `desk rota` names it
    #[arg(value_name = "SHIFT")]
    pub(crate) shift: String,
}

#[derive(Debug, Args)]
pub(crate) struct LineKeep {
    #[command(flatten)]
    pub(crate) base: DeskBase,
    /// For how many days every device keeps letters and notes
    #[arg(value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=180))]
    pub(crate) days: u32,
}
