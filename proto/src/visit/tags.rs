//! The tags a caller looks for: 51,840 on the slow track in production, 9,216 on the fast; one HMAC each (SPEC §9.2).
use crate::cell::down::{Place, Tag, Tags, Track};
use crate::limits::{FAST_TAG_COUNT, SLOW_TAG_COUNT};
use crate::line::{LineId, Seat};
use crate::phrase::Stretched;
use crate::roster::SignedRoster;
use crate::time::WEEK;
use alloc::{vec, vec::Vec};
use zeroize::Zeroize;

/// Days looked back at the least, whatever the line keeps.
const DAYS_BACK: u32 = 7;

/// Where a tag came from.
#[derive(Clone, Copy)]
pub(super) struct Hit {
    pub(super) week: u32,
    pub(super) day: u32,
    pub(super) place: Place,
}

/// Every tag that may be hers today, in buckets by their first two bytes (tags are uniform, so a bucket holds about one).
pub(super) struct TagTable {
    today: Option<u32>,
    rows: Vec<(Tag, Hit)>,
    /// The first row of each bucket, one more than the last used, linked through `next`; 0 for none.
    heads: Vec<u32>,
    next: Vec<u32>,
}

impl Drop for TagTable {
    /// With a recording of the public lane the tags would tell which cells were hers.
    fn drop(&mut self) {
        self.rows.iter_mut().for_each(|(tag, _)| tag.zeroize());
    }
}

fn push_seats(
    rows: &mut Vec<(Tag, Hit)>,
    (desk, safe): &(Tags<'_>, Tags<'_>),
    relay_no: u8,
    count: u16,
    hit: impl Fn(Place) -> Hit,
) {
    for seat in Seat::all() {
        let tags = if seat.is_safeguarding() { safe } else { desk };
        let places = (0..count).map(|i| Place { relay_no, seat, i });
        rows.extend(places.map(|place| (tags.tag(place), hit(place))));
    }
}

/// As many buckets as two bytes can number.
const BUCKET_COUNT: usize = 1 << 16;

fn bucket(tag: &Tag) -> usize {
    let [first, second, ..] = *tag;
    usize::from(u16::from_be_bytes([first, second]))
}

impl TagTable {
    pub(super) const fn empty() -> Self {
        Self { today: None, rows: Vec::new(), heads: Vec::new(), next: Vec::new() }
    }
    /// Whether it was made for this day.
    pub(super) fn covers(&self, today: u32) -> bool {
        self.today == Some(today)
    }
    /// The slow tags of every week, day and seat in which an answer to her may be found (SPEC §9.2).
    pub(super) fn slow(stretched: &Stretched, relay_no: u8, roster: &SignedRoster, today: u32) -> Self {
        let timing = roster.timing();
        let back = DAYS_BACK.max(u32::from(timing.slow_days) - 1);
        let days = today.saturating_sub(back)..=today.saturating_add(1);
        // What was sealed under the oldest key that the desk may use is kept for some days more.
        let kept_weeks = (u64::from(timing.slow_days) * timing.day_s()).div_ceil(WEEK);
        let weeks = u32::from(roster.reply_weeks()).saturating_add(u32::try_from(kept_weeks).unwrap_or(u32::MAX));
        let mut rows = Vec::new();
        for week in (0..weeks).map_while(|back| roster.week().checked_sub(back)) {
            let (reply, safe) = (stretched.reply_key(week), stretched.safe_reply_key(week));
            let desk_tags = Tags::of(Track::Slow(&reply, today), stretched.line());
            let safe_tags = Tags::of(Track::Slow(&safe, today), stretched.line());
            for day in days.clone() {
                let both = (desk_tags.on_day(day), safe_tags.on_day(day));
                push_seats(&mut rows, &both, relay_no, SLOW_TAG_COUNT, |place| Hit { week, day, place });
            }
        }
        Self::of(today, rows)
    }
    /// Every fast tag of a visit: 9 × 1,024.
    pub(super) fn fast(line: &LineId, relay_no: u8, desk: &[u8; 32], safe: &[u8; 32]) -> Self {
        let both = (Tags::of(Track::Fast(desk), line), Tags::of(Track::Fast(safe), line));
        let mut rows = Vec::new();
        push_seats(&mut rows, &both, relay_no, FAST_TAG_COUNT, |place| Hit { week: 0, day: 0, place });
        Self::of(0, rows)
    }
    fn of(today: u32, rows: Vec<(Tag, Hit)>) -> Self {
        let mut heads = vec![0; BUCKET_COUNT];
        let mut next = Vec::with_capacity(rows.len());
        for (row, (tag, _)) in (1u32..).zip(&rows) {
            let head = heads.get_mut(bucket(tag)).expect("two bytes number the buckets");
            next.push(core::mem::replace(head, row));
        }
        Self { today: Some(today), rows, heads, next }
    }
    pub(super) fn find(&self, tag: &Tag) -> Option<Hit> {
        let mut row = *self.heads.get(bucket(tag))?;
        while let Some(index) = row.checked_sub(1).and_then(|index| usize::try_from(index).ok()) {
            let (known, hit) = self.rows.get(index)?;
            if known == tag {
                return Some(*hit);
            }
            row = *self.next.get(index)?;
        }
        None
    }
}
