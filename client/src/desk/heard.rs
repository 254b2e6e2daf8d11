//! Which devices of the team this process has heard lately.
use crate::desk::{Desk, line::hex};
use porchlight_proto::time::Millis;

impl Desk {
    /// Devices that this process has heard, in hex, and when each was heard last. One that sleeps, or is away, is not heard.
    #[must_use]
    pub fn heard_devices(&self) -> Vec<(String, Millis)> {
        self.presence.devices.iter().map(|(device, heard)| (hex(&device.0), *heard)).collect()
    }
}
