//! After a backup was restored: which tags were used since? Until that is settled, nothing but filler goes out (SPEC §7).
use crate::desk::{Desk, record::Record};
use porchlight_proto::{
    cell::down::{self, Place, Tag, Tags, Track},
    limits::{DOWN_CELL_LEN, SLOW_TAG_COUNT},
    line::CallerId,
    time::{Millis, Seconds},
};
use std::collections::HashMap;

/// Where counting begins on the day of a restoring: callers of that day may have been answered from the lost part of the vault.
const SLOW_TAGS_SPARED: u16 = 32;
/// Seconds after the settling for which no page is answered fast: its live key may have been used, and nothing remains to tell.
const FAST_PAUSE: u64 = 1800;

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
        let Some((line, seat)) = self.state.line.as_ref().and_then(|line| Some((line, line.device_cert.seat?))) else { return tags };
        for caller in self.state.callers.keys() {
            let Some(key) = self.reply_key(*caller) else { continue };
            let derived = Tags::of(Track::Slow(&key, day), &line.id);
            tags.extend((0..SLOW_TAG_COUNT).map(|i| (derived.tag(Place { relay_no, seat, i }), (*caller, i))));
        }
        tags
    }

    /// Every lane and slow day that can be read has been read: sending goes on.
    pub fn settle_doubt(&mut self, now: Seconds) {
        if self.doubtful() {
            self.commit(Record::Doubt(false, now.0));
        }
    }

    /// The least number of a slow tag on a day: more than zero on the day of a restoring.
    pub(super) fn least_slow_tag(&self, day: u32) -> u16 {
        let restored = self.state.doubt.map(|doubt| self.timing().day(Seconds(doubt.since).millis()));
        if restored == Some(day) { SLOW_TAGS_SPARED } else { 0 }
    }

    /// Whether the fast track rests after a restoring.
    pub(super) fn barred_from_fast(&self, now: Millis) -> bool {
        self.state.doubt.is_some_and(|doubt| now.seconds().0 < doubt.since + FAST_PAUSE)
    }
}
