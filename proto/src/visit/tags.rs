//! The tags a caller looks for on the slow track: 46,656 in production, one HMAC each (SPEC §9.2).
use crate::cell::down::{Place, Tag, Tags, Track};
use crate::limits::{REPLY_WEEKS_READ, SLOW_TAG_COUNT};
use crate::line::Seat;
use crate::phrase::Stretched;
use crate::roster::SignedRoster;
use alloc::{vec, vec::Vec};

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
    pub(super) fn build(stretched: &Stretched, relay_no: u8, roster: &SignedRoster, today: u32) -> Self {
        let back = DAYS_BACK.max(u32::from(roster.timing().slow_days) - 1);
        let days = today.saturating_sub(back)..=today.saturating_add(1);
        let mut rows = Vec::new();
        for week in (0..REPLY_WEEKS_READ).filter_map(|back| roster.week().checked_sub(back)) {
            let (reply, safe) = (stretched.reply_key(week), stretched.safe_reply_key(week));
            let desk_tags = Tags::of(Track::Slow(&reply, today), stretched.line());
            let safe_tags = Tags::of(Track::Slow(&safe, today), stretched.line());
            for day in days.clone() {
                let (desk_day, safe_day) = (desk_tags.on_day(day), safe_tags.on_day(day));
                for seat in Seat::all() {
                    let tags = if seat.is_safeguarding() { &safe_day } else { &desk_day };
                    rows.extend((0..SLOW_TAG_COUNT).map(|i| {
                        let place = Place { relay_no, seat, i };
                        (tags.tag(place), Hit { week, day, place })
                    }));
                }
            }
        }
        Self::of(today, rows)
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
