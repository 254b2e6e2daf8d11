//! The one table of every fixed layout. A test holds it against `docs/SPEC.md`, line by line.

use alloc::boxed::Box;

/// Where a field lies in its layout: offset and length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset from the layout's first byte.
    pub at: usize,
    /// Length in bytes.
    pub len: usize,
}

/// A layout as the SPEC prints it: its name, its length, and its fields in order.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The name in the SPEC's heading.
    pub name: &'static str,
    /// Total bytes.
    pub len: usize,
    /// Each field's name and length, in order and without gaps.
    pub fields: &'static [(&'static str, usize)],
}

const fn span(fields: &[(&str, usize)], index: usize) -> Span {
    let mut at = 0;
    let mut i = 0;
    // `get` is not const; the loop stays below `index`, which the macro takes from the same list.
    #[expect(clippy::indexing_slicing, reason = "evaluated at compile time only")]
    while i < index {
        at += fields[i].1;
        i += 1;
    }
    #[expect(clippy::indexing_slicing, reason = "evaluated at compile time only")]
    Span { at, len: fields[index].1 }
}

macro_rules! layouts {
    ($($(#[$doc:meta])* $module:ident = $name:literal ($len:literal) { $($field:ident $flen:literal,)* })*) => {
        $(
            $(#[$doc])*
            #[allow(non_camel_case_types, reason = "the discriminants carry the SPEC's own field names")]
            pub mod $module {
                use super::{Layout, Span, span};
                enum Index { $($field,)* }
                const FIELDS: &[(&str, usize)] = &[$((stringify!($field), $flen),)*];
                /// The whole layout.
                pub const LAYOUT: Layout = Layout { name: $name, len: $len, fields: FIELDS };
                $(
                    #[allow(non_upper_case_globals, missing_docs, dead_code, reason = "the SPEC's own field names")]
                    pub const $field: Span = span(FIELDS, Index::$field as usize);
                )*
                const _: () = {
                    let mut sum = 0;
                    $(sum += $flen;)*
                    assert!(sum == $len);
                };
            }
        )*
        /// Every layout of the protocol, in the SPEC's order.
        pub const ALL: &[Layout] = &[$($module::LAYOUT,)*];
    };
}

layouts! {
    /// SPEC §5.1.
    desk_cert = "desk-cert" (116) { desk_pk 32, generation 4, not_before 8, not_after 8, signature 64, }
    /// SPEC §5.2.
    device_cert = "device-cert" (114) { role 1, seat 1, device_pk 32, not_before 8, not_after 8, signature 64, }
    /// SPEC §5.3.
    roster = "roster" (4096) {
        version 1, flags 1, line_id 32, serial 4, period 4, not_before 8, not_after 8,
        up_beat_ms 2, beat_ms 2, fast_slots 1, slow_s 2, slow_days 1, reply_weeks 1, answer_within 1,
        desk_key 1216, safe_key 1216, seats_now 256, seats_previous 256, safe_seat_now 32, safe_seat_previous 32,
        revoked 64, previous_hash 32, root_pk 32, desk_cert 116, bulletins_void_before 8, closed_until 8, zero 696, signature 64,
    }
    /// SPEC §6.
    up_cell = "up-cell" (2048) { period_lo 1, enc 1120, ct 927, }
    /// SPEC §6.1.
    up_letter = "up-letter" (911) {
        kind 1, flags 1, caller_pk 32, sig 64, session 8, seq 2, part 1, parts 1, time 4,
        live_key 32, reply_key 32, saw 8, len 2, content 723,
    }
    /// SPEC §6.2.
    up_team = "up-team" (911) {
        kind 1, flags 1, device_pk 32, sig 64, device_seq 8, previous 32, lamport 8, time 4, part 1, parts 1, len 2, content 757,
    }
    /// SPEC §7.
    down_cell = "down-cell" (1024) { tag 16, nonce 24, ct 984, }
    /// SPEC §7.
    down_inner = "down-inner" (968) {
        kind 1, flags 1, answer_id 8, part 1, parts 1, time 4, good_until 4, answers_session 8, answers_seq 2,
        have_session 8, have_upto 2, have_map 8, sig 64, len 2, content 854,
    }
    /// SPEC §11.
    notice = "notice" (4240) {
        roster 4096, clock_ms 8, difficulty 1, up_epoch 4, beat 8, relay_no 1, stamp_salt 16,
        up_beat_ms 2, beat_ms 2, fast_slots 1, slow_s 2, slow_days 1, up_ttl_s 4, desk_beat_ms 2, zero 12, bulletin 80,
    }
    /// SPEC §11.
    bulletin = "bulletin" (80) { code 1, seat 1, time 8, zero 6, signature 64, }
    /// SPEC §11.
    up_post = "up-post" (2080) { stamp 32, cell 2048, }
    /// SPEC §11.
    up_reply = "up-reply" (16) { outcome 1, difficulty 1, serial 4, clock_ms 8, zero 2, }
    /// SPEC §11.
    desk_beat = "desk-beat" (6176) {
        fast_slot 8, slow_slot 8, floor_life 8, floor_n 8, fast_cell 1024, slow_cell 1024, team_cells 4096,
    }
    /// SPEC §11.
    desk_reply = "desk-reply" (16) { outcome 1, fast_outcome 1, slow_outcome 1, zero 1, serial 4, clock_ms 8, }
    /// SPEC §11.
    lane_page = "lane-page" (24) { life 8, first 8, cells 4, zero 4, }
    /// SPEC §11.1.
    token = "token" (318) { desk_cert 116, device_cert 114, time 8, nonce 16, signature 64, }
}

/// Bytes of one layout, read field by field. Made from an array of the layout's length, so no read can miss.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    /// The field's bytes.
    pub(crate) fn slice(&self, span: Span) -> &'a [u8] {
        self.0.get(span.at..span.at + span.len).expect("a layout's spans lie within its length")
    }
    /// The field as an array; `N` is the field's length.
    pub(crate) fn array<const N: usize>(&self, span: Span) -> [u8; N] {
        self.slice(span).try_into().expect("an array is as long as its field")
    }
    /// The field in a box; `N` is the field's length. Never on the stack, where nothing is wiped.
    pub(crate) fn boxed<const N: usize>(&self, span: Span) -> Box<[u8; N]> {
        Box::<[u8]>::from(self.slice(span)).try_into().expect("an array is as long as its field")
    }
    pub(crate) fn u8(&self, span: Span) -> u8 {
        u8::from_be_bytes(self.array(span))
    }
    pub(crate) fn u16(&self, span: Span) -> u16 {
        u16::from_be_bytes(self.array(span))
    }
    pub(crate) fn u32(&self, span: Span) -> u32 {
        u32::from_be_bytes(self.array(span))
    }
    pub(crate) fn u64(&self, span: Span) -> u64 {
        u64::from_be_bytes(self.array(span))
    }
    /// All bytes before the field.
    pub(crate) fn before(&self, span: Span) -> &'a [u8] {
        self.0.get(..span.at).expect("a layout's spans lie within its length")
    }
    /// All bytes after the field.
    pub(crate) fn after(&self, span: Span) -> &'a [u8] {
        self.0.get(span.at + span.len..).expect("a layout's spans lie within its length")
    }
    /// Whether the field is all zero.
    pub(crate) fn is_zero(&self, span: Span) -> bool {
        self.slice(span).iter().all(|b| *b == 0)
    }
}

/// Bytes of one layout, written field by field.
pub(crate) trait Put {
    /// Writes `bytes`, which are as long as the field.
    fn put(&mut self, span: Span, bytes: &[u8]);
}

impl Put for [u8] {
    fn put(&mut self, span: Span, bytes: &[u8]) {
        self.get_mut(span.at..span.at + span.len).expect("a layout's spans lie within its length").copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::String, vec::Vec};

    /// The SPEC's tables, as `(name, len, [(at, len, field)])`.
    type Row = (usize, usize, String);

    fn spec_tables() -> Vec<(String, usize, Vec<Row>)> {
        let spec = include_str!("../../docs/SPEC.md");
        let mut tables = Vec::new();
        for line in spec.lines() {
            if let Some(rest) = line.strip_prefix("#### Layout `") {
                let (name, rest) = rest.split_once("` (").expect("a heading names its length");
                let len = rest.trim_end_matches(')').parse().expect("a length is a number");
                tables.push((String::from(name), len, Vec::new()));
            } else if let (Some(table), Some(row)) = (tables.last_mut(), line.strip_prefix("| ")) {
                let cells: Vec<&str> = row.trim_end_matches('|').split('|').map(str::trim).collect();
                if let [at, len, field] = cells[..]
                    && let (Ok(at), Ok(len)) = (at.parse(), len.parse())
                {
                    table.2.push((at, len, String::from(field)));
                }
            }
        }
        tables
    }

    #[test]
    fn every_layout_in_the_code_is_in_the_spec_and_the_other_way_round() {
        let spec = spec_tables();
        assert_eq!(spec.len(), ALL.len());
        for (layout, (name, len, rows)) in ALL.iter().zip(&spec) {
            assert_eq!((layout.name, layout.len), (name.as_str(), *len));
            let mut at = 0;
            let code: Vec<_> = layout
                .fields
                .iter()
                .map(|(field, len)| {
                    let row = (at, *len, String::from(*field));
                    at += len;
                    row
                })
                .collect();
            assert_eq!(&code, rows, "layout {name}");
        }
    }
}
