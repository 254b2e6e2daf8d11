//! What an answer that is being written will cost, and when it could be read.
use crate::desk::{Desk, DeskError, line::default_desk_beat};
use porchlight_proto::{
    answer::Answer,
    letter::ContentError,
    limits::{ANSWER_PART_LEN, PARTS_MAX},
    line::CallerId,
    parts::cut,
    time::{SAFEGUARDING_EVERY, Seconds},
};
use serde::Serialize;
use zeroize::Zeroizing;

/// What an answer of this text would cost. A forecast and no promise: a relay may be out of reach, and whether she looks is hers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Forecast {
    /// How many cells it takes; 0 for nothing written yet.
    pub cells: u8,
    /// Beats that these cells take, of the track below.
    pub beats: u64,
    /// Whether her page is open, so that it goes on the fast track; else round the carousel, for her words.
    pub live: bool,
    /// Seconds after which all of it can be read, if nothing goes wrong.
    pub within_s: u64,
}

impl Desk {
    /// What an answer of this text to her would cost.
    ///
    /// # Errors
    ///
    /// [`DeskError::NoSuchCaller`]; [`DeskError::Content`] if it is too long.
    pub fn forecast(&self, caller: CallerId, text: &str, now: Seconds) -> Result<Forecast, DeskError> {
        self.row(caller)?;
        let live = self.is_live(caller, now.millis());
        if text.trim().is_empty() {
            return Ok(Forecast { cells: 0, beats: 0, live, within_s: 0 });
        }
        let answer = Answer { n: 1, text: Zeroizing::new(text.to_owned()), written: now.0, ..Answer::default() };
        let parts = cut(&answer.to_cbor()?, ANSWER_PART_LEN).ok_or(ContentError::TooLong)?.len();
        let cells = u8::try_from(parts).unwrap_or(PARTS_MAX);
        let beats = u64::from(cells) + self.cells_before(live);
        Ok(Forecast { cells, beats, live, within_s: self.beats_last(beats, live) })
    }

    /// Cells of answers that wait for a slot before a new one: on the carousel the newest goes first.
    fn cells_before(&self, live: bool) -> u64 {
        let waiting =
            self.state.answers.values().filter(|answer| live && !answer.with_the_relay() && !answer.seen && !answer.stopped);
        waiting.map(|answer| u64::from(answer.parts)).sum()
    }

    /// How long so many slots last: slots are written ahead, so up to two begin before the first.
    fn beats_last(&self, beats: u64, live: bool) -> u64 {
        let timing = self.timing();
        if live {
            let beat = u64::from(timing.beat_ms);
            let desk_beat = default_desk_beat(&timing).0;
            return (beats * desk_beat + 2 * beat).div_ceil(1000);
        }
        // Every eighth slow slot is not the desk's.
        (beats + 2) * u64::from(timing.slow_s) * SAFEGUARDING_EVERY / (SAFEGUARDING_EVERY - 1)
    }
}
