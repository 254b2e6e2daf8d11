//! How far the devices have got: the relay forgets whole epochs that everyone has, so that letters live here for hours, not days.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use porchlight_proto::line::DeviceId;

use crate::clock::BootMillis;
use crate::forget::forget;

/// A device that has not been seen for this long no longer holds others up.
///
/// The floor a device reports is already the least of all *enrolled* devices; taking the least of the reports of a day guards
/// against one device that is wrong. That guard is there only once a day has been listened to: reports are kept in memory alone, and after a
/// start the first one is the least, whoever sent it. So nothing is forgotten below a floor before. It costs letters a day more on the
/// relay, within the life they have anyway, after each start; a shorter wait would let a stolen device erase what is held in a night in
/// which the others are off.
const SEEN_MS: u64 = 86_400_000;

/// The floors that devices have reported.
pub struct Floors {
    life: u64,
    since: BootMillis,
    reports: Mutex<HashMap<DeviceId, (BootMillis, u64)>>,
}

impl Floors {
    /// No reports yet, for a lane of this life, of a relay that starts now.
    #[must_use]
    pub fn new(life: u64, now: BootMillis) -> Self {
        Self { life, since: now, reports: Mutex::default() }
    }

    /// Notes a report. A position of another life says nothing about this one, so it counts as "nothing yet".
    pub fn report(&self, device: DeviceId, life: u64, position: u64, now: BootMillis) {
        let position = if life == self.life { position } else { 0 };
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).insert(device, (now, position));
    }

    /// Forgets devices that were not seen for a day.
    pub fn tend(&self, now: BootMillis) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        forget(&mut reports, |_, (seen, _)| now.since(*seen) < SEEN_MS);
    }

    /// The position up to which every device seen in the last day says that all have everything; `None` if none was seen, and for the first
    /// day.
    pub fn lowest(&self, now: BootMillis) -> Option<u64> {
        self.tend(now);
        let reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.values().map(|(_, position)| *position).min().filter(|_| now.since(self.since) >= SEEN_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_the_lowest_of_the_devices_seen_in_the_last_day() {
        let at = |hours: u64| BootMillis((hours + 100) * 3_600_000);
        let floors = Floors::new(7, BootMillis(at(0).0 - SEEN_MS));
        assert_eq!(floors.lowest(at(0)), None);
        floors.report(DeviceId([1; 8]), 7, 40, at(0));
        floors.report(DeviceId([2; 8]), 7, 90, at(12));
        assert_eq!(floors.lowest(at(12)), Some(40));
        assert_eq!(floors.lowest(at(25)), Some(90), "a device unseen for a day holds nobody up");
        floors.report(DeviceId([3; 8]), 8, 90, at(25));
        assert_eq!(floors.lowest(at(25)), Some(0), "a floor of another life is none");
    }

    #[test]
    fn the_first_day_has_no_floor_and_the_last_report_of_it_counts_then() {
        let (start, end) = (BootMillis(5), BootMillis(5 + SEEN_MS));
        let floors = Floors::new(7, start);
        floors.report(DeviceId([1; 8]), 7, u64::MAX, start);
        assert_eq!(floors.lowest(start), None, "whoever comes first");
        floors.report(DeviceId([2; 8]), 7, 40, BootMillis(6));
        floors.report(DeviceId([1; 8]), 7, u64::MAX, BootMillis(SEEN_MS));
        assert_eq!(floors.lowest(BootMillis(end.0 - 1)), None);
        assert_eq!(floors.lowest(end), Some(40), "everybody who came in the day is heard");
        assert_eq!(floors.lowest(BootMillis(end.0 + 1)), Some(u64::MAX));
    }
}
