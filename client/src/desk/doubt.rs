//! After a backup was restored: which tags were used since, and which numbers of events? Until that is settled, nothing but filler
//! goes out, and no event is written (SPEC §7, §6.2).
//!
//! A number used twice would be a second history of this device, which no colleague takes. So a device of a team waits, once its
//! relays' lanes and slow days have been read, until its colleagues say what they hold; each does so at least once an hour. If that is
//! more than the vault has, what is missing cannot be made up for: the device is revoked and joins anew.
use crate::desk::{Desk, DeskError, record::Record};
use porchlight_proto::{
    cell::down::{self, Place, Tag, Tags, Track},
    limits::{DOWN_CELL_LEN, SLOW_TAG_COUNT},
    line::{CallerId, DeviceId},
    time::{Millis, Seconds},
};
use std::collections::HashMap;

/// Seconds for which a colleague that is off is waited for.
const PATIENCE: u64 = 86_400;

/// Where counting begins on the day of a restoring: callers of that day may have been answered from the lost part of the vault.
const SLOW_TAGS_SPARED: u16 = 32;
/// Beats after the settling for which no page is answered fast (half an hour): its live key may have been used, and nothing remains to tell.
const FAST_PAUSE_BEATS: u64 = 60;

impl Desk {
    /// Whether it is not known which tags were used. Bundles carry only filler and dummies meanwhile.
    #[must_use]
    pub fn doubtful(&self) -> bool {
        self.state.doubt.is_some_and(|doubt| doubt.open)
    }

    /// Notes that the vault may be older than what was sent. Called by the office when it finds the vault's files moved.
    pub fn doubt(&mut self, now: Seconds) {
        self.commit(Record::Doubt(true, now.0));
    }

    /// Finds this device's own tags in a slow day as a relay serves it, and counts on from them.
    pub fn note_own_tags(&mut self, relay: u8, day: u32, bytes: &[u8]) {
        let known = self.own_slow_tags(relay, day);
        for cell in bytes.chunks_exact(DOWN_CELL_LEN).filter_map(|cell| cell.try_into().ok()) {
            let Some((caller, i)) = known.get(&down::tag(cell)) else { continue };
            let counted = self.state.slow_counts.get(&(*caller, relay)).copied();
            let next = match counted {
                Some((later, _)) if later > day => continue,
                Some((same, next)) if same == day => next.max(i + 1),
                _ => i + 1,
            };
            self.commit(Record::SlowCount(caller.0, relay, day, next));
        }
    }

    fn own_slow_tags(&self, relay_no: u8, day: u32) -> HashMap<Tag, (CallerId, u16)> {
        let mut tags = HashMap::new();
        let Some((line, seat)) = self.state.line.as_ref().and_then(|line| Some((line, line.device_cert.seat?))) else {
            return tags;
        };
        for caller in self.state.callers.keys() {
            let Some(key) = self.reply_key(*caller) else { continue };
            let derived = Tags::of(Track::Slow(&key, day), &line.id);
            tags.extend((0..SLOW_TAG_COUNT).map(|i| (derived.tag(Place { relay_no, seat, i }), (*caller, i))));
        }
        tags
    }

    /// The slow days of a relay to be searched for this device's own tags.
    #[must_use]
    pub fn days_to_search(&self, now: Millis) -> Vec<u32> {
        let timing = self.timing();
        (0..u32::from(timing.slow_days)).filter_map(|back| timing.day(now).checked_sub(back)).collect()
    }

    /// A relay's lane and slow days have been read: sending goes on there, since tags are one relay's own; and the doubt is
    /// settled when that is so of every relay.
    pub fn searched(&mut self, relay: u8, now: Seconds) {
        let lane = self.after(relay);
        self.presence.searched.insert(relay, lane);
        self.settle_if_known(now);
    }

    /// A colleague said what it holds, having opened a lane up to a position: if that is as far as this device has read, it holds all
    /// that this device ever said there. One that is sent again from earlier says nothing.
    pub(super) fn note_acknowledgement(&mut self, device: DeviceId, life: [u8; 8], position: u64) {
        let life = u64::from_be_bytes(life);
        let as_far = self.presence.searched.values().any(|lane| lane.0 == life && position >= lane.1);
        if as_far {
            self.presence.acknowledged.insert(device);
        }
    }

    /// A lane was read to its end. If its life is another than the one in which this device looked for its own, positions count
    /// anew: a colleague has to have read as far in this one.
    pub(super) fn note_lane_read(&mut self, relay: u8) {
        let lane = self.after(relay);
        if let Some(searched) = self.presence.searched.get_mut(&relay).filter(|searched| searched.0 != lane.0) {
            *searched = lane;
        }
    }

    fn all_searched(&self) -> bool {
        self.relays().iter().all(|relay| self.presence.searched.contains_key(&relay.number))
    }

    pub(super) fn settle_if_known(&mut self, now: Seconds) {
        // A colleague that was away itself may not have heard all: so every one is waited for, a day at most for those that are off.
        let since = self.state.doubt.map_or(0, |doubt| doubt.since);
        let (known, said) = (self.colleagues(now), &self.presence.acknowledged);
        // Word that one was revoked may be among what is lacking; the statement in force says so too. Who is left has to say something.
        let roster = self.roster(now).ok();
        let is_out = |id: &DeviceId| roster.is_some_and(|roster| roster.revoked(*id));
        let colleagues: Vec<&DeviceId> = known.iter().filter(|id| !is_out(id)).collect();
        let told = colleagues.iter().any(|id| said.contains(*id));
        let all = colleagues.iter().all(|id| said.contains(*id));
        let heard = known.is_empty() || told && (all || now.0 >= since + PATIENCE);
        if self.doubtful() && self.all_searched() && heard && !self.has_said_more() && !self.is_outdated() {
            self.settle_doubt(now);
        }
    }

    /// Whether events of this device lie in a lane that do not follow what the vault has: their numbers were used.
    fn has_said_more(&self) -> bool {
        self.state.line.as_ref().is_some_and(|line| self.presence.parts.waits_for_others(line.device))
    }

    /// Whether a colleague holds more of this device than the vault does.
    pub(super) fn is_outdated(&self) -> bool {
        let Some(me) = self.state.line.as_ref().map(|line| line.device) else { return false };
        let told = self.state.log.get(&me).map_or(0, |log| log.len() as u64);
        self.doubtful() && self.state.devices.values().any(|device| device.held.get(&me).is_some_and(|held| *held > told))
    }

    /// Whether this device may write an event: not while it may have used the next number before.
    ///
    /// # Errors
    ///
    /// [`DeskError::Restored`]; [`DeskError::Outdated`].
    pub(super) fn may_speak(&self, now: Seconds) -> Result<(), DeskError> {
        let alone = self.colleagues(now).is_empty() && self.all_searched();
        match (self.doubtful() && !alone, self.is_outdated()) {
            (false, _) => Ok(()),
            (true, false) => Err(DeskError::Restored),
            (true, true) => Err(DeskError::Outdated),
        }
    }

    /// Whether nothing but filler may go out through a relay.
    pub(super) fn doubts(&self, relay: u8) -> bool {
        self.doubtful() && !self.presence.searched.contains_key(&relay)
    }

    /// Every lane and slow day that can be read has been read: sending goes on.
    pub fn settle_doubt(&mut self, now: Seconds) {
        if self.doubtful() {
            self.commit(Record::Doubt(false, now.0));
            self.spare_serials();
        }
    }

    /// The least number of a slow tag on a day: more than zero on the day of a restoring.
    pub(super) fn least_slow_tag(&self, day: u32) -> u16 {
        let restored = self.state.doubt.map(|doubt| self.timing().day(Seconds(doubt.since).millis()));
        if restored == Some(day) { SLOW_TAGS_SPARED } else { 0 }
    }

    /// Whether the fast track rests after a restoring.
    pub(super) fn barred_from_fast(&self, now: Millis) -> bool {
        let pause = FAST_PAUSE_BEATS * u64::from(self.timing().beat_ms);
        self.state.doubt.is_some_and(|doubt| now.0 < Seconds(doubt.since).millis().0 + pause)
    }
}
