//! Beats, slots, days and weeks: how clock time becomes places on the two tracks (SPEC §9).

/// Slow slots in a day. With the production pace of one slot in 1,800 s a day is a calendar day, UTC.
pub const SLOTS_PER_DAY: u64 = 48;
/// Every eighth slow slot belongs to safeguarding.
pub const SAFEGUARDING_EVERY: u64 = 8;
/// Seconds in a week of reply keys.
pub const WEEK: u64 = 604_800;
/// Letters carry their time rounded down to this many seconds.
pub const LETTER_TIME_STEP: u64 = 600;

/// Unix seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(pub u64);

/// Unix milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// The whole seconds in it.
    #[must_use]
    pub const fn seconds(self) -> Seconds {
        Seconds(self.0 / 1000)
    }
    /// This moment and `ms` more.
    #[must_use]
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

impl Seconds {
    /// The same moment in milliseconds.
    #[must_use]
    pub const fn millis(self) -> Millis {
        Millis(self.0.saturating_mul(1000))
    }
    /// This moment and `s` more.
    #[must_use]
    pub const fn plus(self, s: u64) -> Self {
        Self(self.0.saturating_add(s))
    }
    /// The moment as the four bytes that cells carry, at most their largest value.
    #[must_use]
    pub fn to_u32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
    /// Rounded down to the step that letters carry.
    #[must_use]
    pub const fn rounded(self) -> Self {
        Self(self.0 - self.0 % LETTER_TIME_STEP)
    }
}

/// The week whose reply keys belong to a roster that begins at `not_before`.
#[must_use]
pub fn week(not_before: Seconds) -> u32 {
    u32::try_from(not_before.0 / WEEK).unwrap_or(u32::MAX)
}

/// A line's pace. Signed in its roster, and repeated by each of its relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Milliseconds from one POST of an open page to the next.
    pub up_beat_ms: u16,
    /// Milliseconds in a beat of the fast track.
    pub beat_ms: u16,
    /// Slots of the fast track in a beat.
    pub fast_slots: u8,
    /// Seconds in a slot of the slow track.
    pub slow_s: u16,
    /// Days the slow track is kept.
    pub slow_days: u8,
}

/// A pace out of bounds (SPEC §5.3). Say which setting, and choose another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimingError {
    /// `up_beat_ms` is below 10.
    #[error("up_beat_ms must be at least 10")]
    UpBeat,
    /// `beat_ms` is below 100 or does not divide a day.
    #[error("beat_ms must be at least 100 and divide 86,400,000")]
    Beat,
    /// `fast_slots` is not 1–8.
    #[error("fast_slots must be 1 to 8")]
    FastSlots,
    /// `slow_s` is 0 or does not divide a day.
    #[error("slow_s must be at least 1 and divide 86,400")]
    SlowSlot,
    /// `slow_days` is not 1–31.
    #[error("slow_days must be 1 to 31")]
    SlowDays,
}

impl Timing {
    /// The pace of a line in production.
    pub const PRODUCTION: Self = Self { up_beat_ms: 10_000, beat_ms: 30_000, fast_slots: 4, slow_s: 1800, slow_days: 7 };

    /// Holds the pace against its bounds.
    ///
    /// # Errors
    ///
    /// The first setting out of bounds, in the order of the fields.
    pub fn check(&self) -> Result<(), TimingError> {
        let bounds = [
            (self.up_beat_ms >= 10, TimingError::UpBeat),
            (self.beat_ms >= 100 && 86_400_000 % u32::from(self.beat_ms.max(1)) == 0, TimingError::Beat),
            ((1..=8).contains(&self.fast_slots), TimingError::FastSlots),
            (self.slow_s >= 1 && 86_400 % u32::from(self.slow_s.max(1)) == 0, TimingError::SlowSlot),
            ((1..=31).contains(&self.slow_days), TimingError::SlowDays),
        ];
        bounds.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, error)| Err(error))
    }

    /// The beat that `now` lies in.
    #[must_use]
    pub fn beat(&self, now: Millis) -> u64 {
        now.0 / u64::from(self.beat_ms.max(1))
    }
    /// When a beat begins.
    #[must_use]
    pub fn beat_begins(&self, beat: u64) -> Millis {
        Millis(beat.saturating_mul(u64::from(self.beat_ms)))
    }
    /// The number of a fast slot.
    #[must_use]
    pub fn fast_slot(&self, beat: u64, index: u8) -> u64 {
        beat.saturating_mul(u64::from(self.fast_slots)).saturating_add(u64::from(index))
    }
    /// The beat that a fast slot lies in.
    #[must_use]
    pub fn beat_of(&self, fast_slot: u64) -> u64 {
        fast_slot / u64::from(self.fast_slots.max(1))
    }
    /// The slow slot that `now` lies in.
    #[must_use]
    pub fn slow_slot(&self, now: Millis) -> u64 {
        now.seconds().0 / u64::from(self.slow_s.max(1))
    }
    /// When a slow slot begins.
    #[must_use]
    pub fn slow_begins(&self, slot: u64) -> Millis {
        Seconds(slot.saturating_mul(u64::from(self.slow_s))).millis()
    }
    /// The day that `now` lies in, as the slow track counts days.
    #[must_use]
    pub fn day(&self, now: Millis) -> u32 {
        day_of(self.slow_slot(now))
    }
    /// Seconds in a day of the slow track.
    #[must_use]
    pub fn day_s(&self) -> u64 {
        SLOTS_PER_DAY * u64::from(self.slow_s)
    }
}

/// The day that a slow slot lies in.
#[must_use]
pub fn day_of(slow_slot: u64) -> u32 {
    u32::try_from(slow_slot / SLOTS_PER_DAY).unwrap_or(u32::MAX)
}

/// Whether a slow slot belongs to safeguarding.
#[must_use]
pub const fn is_safeguarding(slow_slot: u64) -> bool {
    slow_slot % SAFEGUARDING_EVERY == SAFEGUARDING_EVERY - 1
}
