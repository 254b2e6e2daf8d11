//! Forgetting a caller, when two workers want it: what is known of her goes, at every device the same (SPEC §8.4, act 3).
//!
//! What goes is named by the merged order and by what workers had been shown, never by a clock: a letter that nobody has read stays.
//! It is gone from the disk when the key of what is known of her is erased and the journal has been written anew.
use crate::desk::{
    Desk,
    record::{EventRecord, Record, Sealed},
    state::{Place, State, caller_key, event_body},
};
use porchlight_proto::{
    cert::Role,
    line::{CallerId, DeviceId},
    time::Seconds,
};
use rand_core::CryptoRng;

impl State {
    /// Forgets of a caller what is to be forgotten, if anything is. Called whenever something about her has come.
    pub(crate) fn forget_again(&mut self, caller: CallerId) {
        let Some(upto) = self.concord.forgotten_upto(caller) else { return };
        let Some(entry) = self.callers.get_mut(&caller) else { return };
        let before = entry.letters.len() + entry.notes.len() + entry.hand_overs.len() + entry.answers.len();
        let shown = &entry.shown;
        let visits = &mut entry.visits;
        entry.letters.retain(|(_, session, seq), _| {
            let goes = shown.get(&(*session, *seq)).is_some_and(|at| *at <= upto);
            if goes {
                visits.entry(*session).or_default().gone.insert(*seq);
            }
            !goes
        });
        // Others may have been decided before their letters have come.
        entry.withdrawals.retain(|named, _| shown.get(named).is_none_or(|at| *at > upto));
        let half: Vec<_> =
            entry.waiting.keys().filter(|named| shown.get(*named).is_some_and(|at| *at <= upto)).copied().collect();
        entry.claims.retain(|at, _| *at > upto);
        entry.notes.retain(|at, _| *at > upto);
        entry.hand_overs.retain(|at, _| *at > upto);
        entry.stops.retain(|at, _| *at > upto);
        entry.knowledge.forget_upto(upto);
        let gone: Vec<_> = entry.answers.range(..=upto).map(|(_, id)| *id).collect();
        entry.answers.retain(|at, _| *at > upto);
        if entry.letters.is_empty() {
            entry.reply = None;
        }
        if entry.letters.values().all(|letter| letter.gist.withdraw.is_none()) {
            self.asking.remove(&caller);
        }
        let left = entry.letters.len() + entry.notes.len() + entry.hand_overs.len() + entry.answers.len();
        for id in gone {
            // Its own: another's answer may have been given the same id.
            if self.answers.get(&id).is_some_and(|answer| answer.caller == caller && answer.place <= upto) {
                self.answers.remove(&id);
            }
        }
        half.into_iter().for_each(|place| self.drop_half(caller, place));
        self.cover(caller);
        if self.forget_words(caller, upto) || left < before {
            self.to_erase.insert(caller);
        }
    }

    /// Drops the words of the events about her up to this place that every colleague has; whether there were any. One that somebody
    /// lacks goes on being sent to them with its words, or that device would be cut off at it.
    fn forget_words(&mut self, caller: CallerId, upto: Place) -> bool {
        let mut any = false;
        for (device, seq) in self.worded.get(&caller).cloned().unwrap_or_default() {
            let everywhere = self.held_everywhere(device) >= seq;
            let at = usize::try_from(seq.saturating_sub(1)).unwrap_or(usize::MAX);
            let Some(logged) = self.log.get_mut(&device).and_then(|log| log.get_mut(at)) else { continue };
            let place = (logged.record.lamport, device, seq);
            if let Some(words) =
                logged.record.words.as_mut().filter(|words| place <= upto && !words.bytes.is_empty() && everywhere)
            {
                words.bytes.clear();
                any = true;
            }
        }
        any
    }

    /// Up to which event of a device every living device of the team has acknowledged. One whose certificate is of a voided generation
    /// hears nothing any more, and joins anew as another.
    fn held_everywhere(&self, author: DeviceId) -> u64 {
        let me = self.line.as_ref().map(|line| line.device);
        let others = self.devices.iter().filter(|(id, device)| {
            let is_out = device.record.revoked || !self.is_valid(**id);
            Some(**id) != me && **id != author && !is_out && device.cert.role != Role::Safeguarding
        });
        others.map(|(_, device)| device.held.get(&author).copied().unwrap_or(0)).min().unwrap_or(u64::MAX)
    }

    /// Other words for an event that is held: sealed under another key, or none.
    pub(crate) fn apply_words(&mut self, (device, seq): (DeviceId, u64), words: Sealed) {
        let at = seq.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        let logged = at.and_then(|at| self.log.get_mut(&device)?.get_mut(at));
        if let Some(logged) = logged.filter(|logged| logged.record.words.is_some()) {
            logged.record.words = Some(words);
        }
    }
}

impl Desk {
    /// Erases the keys of callers who were forgotten. The journal still holds what those keys, or a day's, had sealed: it is to be
    /// written anew.
    pub(super) fn erase_forgotten(&mut self, now: Seconds) {
        for caller in std::mem::take(&mut self.state.to_erase) {
            self.rewrite_due = Some(now);
            // Something new may be known of her since: that is sealed under the key as well.
            let needed = self.state.worded.get(&caller).into_iter().flatten().any(|(device, seq)| {
                let record = self.event_record(*device, *seq);
                let sealed = |record: &&EventRecord| {
                    record.words.as_ref().is_some_and(|words| !words.bytes.is_empty() && words.under() == caller_key(caller))
                };
                record.filter(sealed).is_some()
            });
            if !needed {
                self.forget_key(caller_key(caller));
            }
        }
    }

    /// Forgets what could not be forgotten before, because a colleague had not heard of it.
    pub(super) fn sweep_forgotten(&mut self, now: Seconds) {
        for caller in self.state.concord.forgotten() {
            self.state.forget_again(caller);
        }
        self.erase_forgotten(now);
    }

    /// Seals the words of hand-overs that two devices want kept under their callers' keys; forgets those whose time is over.
    pub(super) fn keep_hand_overs(&mut self, now: Seconds, rng: &mut impl CryptoRng) {
        for (caller, (device, seq), over) in self.kept_hand_overs(now) {
            let Some(record) = self.event_record(device, seq).cloned() else { continue };
            let Some(words) = record.words.as_ref().filter(|words| !words.bytes.is_empty()) else { continue };
            let kept = words.under() == caller_key(caller);
            let words = match (kept, over) {
                (true, true) => Some(Sealed { bytes: Vec::new(), ..words.clone() }),
                (false, false) => self.seal_for(caller, &record, rng),
                _ => None,
            };
            if let Some(words) = words {
                self.commit(Record::Words(device.0, seq, words));
            }
        }
    }

    fn seal_for(&mut self, caller: CallerId, record: &EventRecord, rng: &mut impl CryptoRng) -> Option<Sealed> {
        let body = event_body(&self.ring, record)?;
        let aad = super::state::bound::event(&record.device_pk, record.seq);
        Some(self.seal_under(caller_key(caller), &body, &aad, rng))
    }

    /// An event as it is kept.
    pub(super) fn event_record(&self, device: DeviceId, seq: u64) -> Option<&EventRecord> {
        let log = self.state.log.get(&device)?;
        log.get(usize::try_from(seq.checked_sub(1)?).ok()?).map(|logged| &logged.record)
    }
}
