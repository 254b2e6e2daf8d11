//! How a verb takes in, gives out and reaches relays.

use porchlight_client::transport::Dial;

use crate::input::Inputs;
use crate::output::Output;

/// What the options before the verb say.
pub(crate) struct Way<'a> {
    pub(crate) output: Output,
    pub(crate) inputs: &'a Inputs,
    pub(crate) socks5: Option<String>,
    /// Whether the verb is one of the safeguarding person's.
    pub(crate) mailbox: bool,
}

impl Way<'_> {
    /// How relays are dialled.
    pub(crate) fn dial(&self) -> Dial {
        self.socks5.clone().map_or(Dial::Direct, Dial::Socks5)
    }
}
