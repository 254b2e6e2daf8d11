//! What the vault's journal holds of a desk: one record per change, applied in order to become the [`State`](super::state::State).
use crate::vault::KeyName;
use minicbor::{Decode, Encode};

/// Bytes sealed under a day's key, which can be forgotten.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct Sealed {
    #[n(0)]
    pub(crate) day: u32,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) bytes: Vec<u8>,
    /// Whether it is an answer's: those are kept as long as an answer may live, whatever the line's retention.
    #[n(2)]
    pub(crate) answer: bool,
    /// Of what is kept as long as a caller has a row: the number of her key. Then the day says nothing.
    #[n(3)]
    #[cbor(default)]
    pub(crate) caller: Option<u64>,
}

impl Sealed {
    /// The key it is sealed under.
    pub(crate) fn under(&self) -> KeyName {
        match self.caller {
            Some(number) => KeyName::Caller(number),
            None if self.answer => KeyName::AnswerDay(self.day),
            None => KeyName::Day(self.day),
        }
    }
    /// Bytes that were sealed under this key; nothing for one under which no content is sealed.
    pub(crate) fn of(under: KeyName, bytes: Vec<u8>) -> Option<Self> {
        let sealed = Self { day: 0, bytes, answer: false, caller: None };
        match under {
            KeyName::Day(day) => Some(Self { day, ..sealed }),
            KeyName::AnswerDay(day) => Some(Self { day, answer: true, ..sealed }),
            KeyName::Caller(number) => Some(Self { caller: Some(number), ..sealed }),
            _ => None,
        }
    }
}

/// The line as this device knows it; replaced whole when anything in it changes.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct LineRecord {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) card: Vec<u8>,
    #[n(1)]
    pub(crate) period_s: u64,
    #[n(2)]
    pub(crate) answer_within: u8,
    #[n(3)]
    pub(crate) reply_weeks: u8,
    #[n(4)]
    pub(crate) closed_until: u64,
    #[n(5)]
    pub(crate) void_before: u64,
    /// Whether somebody reads the safeguarding mailbox: then the floor is not ours to raise.
    #[n(6)]
    pub(crate) staffed: bool,
    #[cbor(n(7), with = "minicbor::bytes")]
    pub(crate) safe_key: Vec<u8>,
    /// Nine current seat keys, one after the other.
    #[cbor(n(8), with = "minicbor::bytes")]
    pub(crate) seats_now: Vec<u8>,
    #[cbor(n(9), with = "minicbor::bytes")]
    pub(crate) seats_previous: Vec<u8>,
    /// Eight truncated device ids.
    #[cbor(n(10), with = "minicbor::bytes")]
    pub(crate) revoked: Vec<u8>,
    #[cbor(n(11), with = "minicbor::bytes")]
    pub(crate) desk_cert: Vec<u8>,
    #[cbor(n(12), with = "minicbor::bytes")]
    pub(crate) device_cert: Vec<u8>,
    /// Which of the ring's seat keys is this device's now, and since when.
    #[n(13)]
    pub(crate) seat_number: u64,
    #[n(14)]
    pub(crate) seat_since: u64,
    /// Which of the ring's sealing keys is this device's now, and since when.
    #[n(15)]
    pub(crate) sealing_number: u64,
    #[n(16)]
    pub(crate) sealing_since: u64,
    #[n(17)]
    pub(crate) pace: Pace,
    #[n(18)]
    pub(crate) up_ttl_s: u64,
    /// Rosters were asked to be made anew: everything up to this serial is to be replaced.
    #[n(19)]
    pub(crate) replace_upto: u32,
    /// The certificate of this device's own desk signing key, if it is a lead.
    #[cbor(n(21), with = "minicbor::bytes")]
    pub(crate) signing_cert: Vec<u8>,
    /// Whether a roster of seven periods is published behind those of the coming days.
    #[n(22)]
    pub(crate) emergency: bool,
    /// The seat keys of the devices that this one has admitted.
    #[n(23)]
    pub(crate) given: Vec<GivenRecord>,
    /// No roster is signed under a lower serial: after a backup was restored it is not known which were.
    #[n(24)]
    pub(crate) serial_least: u32,
    /// After the generation was raised: no roster of it is signed before everybody has this many of our events, or this time.
    #[n(25)]
    pub(crate) raise_events: u64,
    #[n(26)]
    pub(crate) raise_at: u64,
    /// Which of the ring's desk signing keys is this lead's now.
    #[n(27)]
    #[cbor(default)]
    pub(crate) signing_number: u64,
}

/// The keys of a device, as it asked for them.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct GivenRecord {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) device: [u8; 8],
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) seat_pk: [u8; 32],
    /// Of the safeguarding mailbox alone: the certificate made then, and its sealing key.
    #[cbor(n(2), with = "minicbor::bytes", default)]
    pub(crate) device_cert: Vec<u8>,
    #[cbor(n(3), with = "minicbor::bytes", default)]
    pub(crate) sealing_key: Vec<u8>,
}

/// A line's timing, as the journal keeps it.
#[derive(Clone, Copy, Debug, Encode, Decode)]
pub(crate) struct Pace {
    #[n(0)]
    pub(crate) up_beat_ms: u16,
    #[n(1)]
    pub(crate) beat_ms: u16,
    #[n(2)]
    pub(crate) fast_slots: u8,
    #[n(3)]
    pub(crate) slow_s: u16,
    #[n(4)]
    pub(crate) slow_days: u8,
}

/// How far one relay has been read, and what it said of itself.
#[derive(Clone, Copy, Debug, Default, Encode, Decode)]
pub(crate) struct RelayRecord {
    #[n(0)]
    pub(crate) life: u64,
    #[n(1)]
    pub(crate) position: u64,
    #[n(2)]
    pub(crate) desk_beat_ms: u16,
    /// The highest serial that this relay took from us.
    #[n(3)]
    pub(crate) put: u32,
    /// When it was last read further, Unix seconds.
    #[n(4)]
    #[cbor(default)]
    pub(crate) moved: u64,
    /// Up to where it had been read, and when, before a desk secret was lacking: what follows was read past, and may not have been
    /// opened, until it has been read again. Nothing as long as none was lacking.
    #[n(5)]
    pub(crate) blind: Option<(u64, u64)>,
}

impl RelayRecord {
    /// Up to where everything was opened that this device can open.
    pub(crate) fn opened(&self) -> u64 {
        self.blind.map_or(self.position, |(upto, _)| upto.min(self.position))
    }
}

/// A part of a letter whose other parts are missing.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct PartRecord {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) caller: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) session: [u8; 8],
    #[n(2)]
    pub(crate) seq: u16,
    #[n(3)]
    pub(crate) part: u8,
    #[n(4)]
    pub(crate) parts: u8,
    #[n(5)]
    pub(crate) time: u64,
    #[n(6)]
    pub(crate) received: u64,
    #[n(7)]
    pub(crate) content: Sealed,
}

/// A letter, whole.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct LetterRecord {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) caller: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) session: [u8; 8],
    #[n(2)]
    pub(crate) seq: u16,
    #[n(3)]
    pub(crate) time: u64,
    #[n(4)]
    pub(crate) received: u64,
    /// `None` once it was withdrawn or forgotten: the number stays, so that it is not taken twice.
    #[n(5)]
    pub(crate) content: Option<Sealed>,
    #[n(6)]
    pub(crate) withdrawn: bool,
    /// What stays when its words are forgotten.
    #[n(7)]
    pub(crate) trace: Option<LetterTrace>,
}

/// What the board goes on knowing of a letter whose words are forgotten, so that nobody drops out of sight, and nobody who asked
/// for quiet or for a relative's voice is answered in another: her choices, and that she wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct LetterTrace {
    /// As in SPEC §8.1; 0 for none.
    #[n(0)]
    pub(crate) status: u64,
    #[n(1)]
    pub(crate) next: Option<u64>,
    #[n(2)]
    pub(crate) quiet: bool,
    #[n(3)]
    pub(crate) relative: bool,
    /// As in SPEC §8.1.
    #[n(4)]
    pub(crate) language: Option<u64>,
    #[n(5)]
    pub(crate) says_something: bool,
}

/// Where a caller can be answered.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct ReplyRecord {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) caller: [u8; 16],
    #[n(1)]
    pub(crate) week: u32,
    #[n(2)]
    pub(crate) key: Sealed,
}

/// An event of a device's chain.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct EventRecord {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) device_pk: [u8; 32],
    #[n(1)]
    pub(crate) seq: u64,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) previous: [u8; 32],
    #[n(3)]
    pub(crate) lamport: u64,
    #[n(4)]
    pub(crate) time: u64,
    /// The signature of each part, one after the other, so that any device can send the event again.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub(crate) signatures: Vec<u8>,
    /// The event without anybody's words, as CBOR: what stays when its day is forgotten.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub(crate) trace: Vec<u8>,
    /// The whole event, if there are words in it; else the trace is the whole.
    #[n(8)]
    pub(crate) words: Option<Sealed>,
    /// The event's hash, for the next link even after the body is forgotten.
    #[cbor(n(7), with = "minicbor::bytes")]
    pub(crate) hash: [u8; 32],
    /// SHA-256 of the whole body: with the trace it gives the hash again.
    #[cbor(n(9), with = "minicbor::bytes")]
    pub(crate) body_hash: [u8; 32],
}

/// A device of the team.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct DeviceRecord {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) desk_cert: Vec<u8>,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) device_cert: Vec<u8>,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) sealing_key: Vec<u8>,
    #[n(3)]
    pub(crate) sealing_since: u64,
    #[n(4)]
    pub(crate) revoked: bool,
}

/// How often an answer has gone out on one track of one relay.
#[derive(Clone, Copy, Debug, Default, Encode, Decode)]
pub(crate) struct OutRecord {
    /// Bit k: part k is with the relay.
    #[n(0)]
    pub(crate) written: u32,
    /// Whole rounds begun.
    #[n(1)]
    pub(crate) round: u32,
    /// The part that goes next.
    #[n(2)]
    pub(crate) next: u8,
    /// Unix milliseconds.
    #[n(3)]
    pub(crate) first_ms: u64,
    #[n(4)]
    pub(crate) last_ms: u64,
    /// When the last part of the first whole round can be read, Unix milliseconds of the line's clock.
    #[n(5)]
    pub(crate) readable_ms: Option<u64>,
}

/// A change of the state.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) enum Record {
    #[n(0)]
    Line(#[n(0)] Box<LineRecord>),
    #[n(1)]
    Roster(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    #[n(2)]
    Relay(#[n(0)] u8, #[n(1)] RelayRecord),
    /// Period, and the first 16 bytes of each encapsulation's hash.
    #[n(3)]
    Replayed(#[n(0)] u32, #[cbor(n(1), with = "minicbor::bytes")] Vec<u8>),
    #[n(4)]
    Part(#[n(0)] PartRecord),
    #[n(5)]
    Letter(#[n(0)] LetterRecord),
    #[n(6)]
    Reply(#[n(0)] ReplyRecord),
    #[n(7)]
    Event(#[n(0)] EventRecord),
    #[n(8)]
    Device(#[n(0)] DeviceRecord),
    /// Answer, relay, slow, how often.
    #[n(9)]
    Out(#[cbor(n(0), with = "minicbor::bytes")] [u8; 8], #[n(1)] u8, #[n(2)] bool, #[n(3)] OutRecord),
    /// Hash of a live key, relay, the next `i`, day.
    #[n(10)]
    FastCount(#[cbor(n(0), with = "minicbor::bytes")] [u8; 8], #[n(1)] u8, #[n(2)] u16, #[n(3)] u32),
    /// Caller, relay, day, the next `i`.
    #[n(11)]
    SlowCount(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16], #[n(1)] u8, #[n(2)] u32, #[n(3)] u16),
    /// Recipient, the next number of a direct letter.
    #[n(12)]
    DirectCount(#[cbor(n(0), with = "minicbor::bytes")] [u8; 8], #[n(1)] u64),
    /// Whether it is doubtful which tags were used, and since when; settled or not.
    #[n(13)]
    Doubt(#[n(0)] bool, #[n(1)] u64),
    /// A parts-in-waiting letter is given up.
    #[n(14)]
    GaveUp(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16], #[cbor(n(1), with = "minicbor::bytes")] [u8; 8], #[n(2)] u16),
    /// Days for which contents are kept.
    #[n(15)]
    Retention(#[n(0)] u32),
    /// The secret of a period was erased, and with it what was remembered of its cells.
    #[n(16)]
    PeriodForgotten(#[n(0)] u32),
    /// A receipt went out: caller, session, `have_upto`, map, slow, milliseconds.
    #[n(17)]
    Receipted(
        #[cbor(n(0), with = "minicbor::bytes")] [u8; 16],
        #[cbor(n(1), with = "minicbor::bytes")] [u8; 8],
        #[n(2)] ReceiptRecord,
    ),
    /// A stranger to whom nothing was promised had to make room.
    #[n(18)]
    Evicted(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16]),
    /// A receipt for a stranger is about to leave: her letters stay.
    #[n(19)]
    Promised(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16]),
    /// Letters may have died unread: since when, and when that was noticed.
    #[n(20)]
    Missed(#[n(0)] u64, #[n(1)] u64),
    /// A board was taken that this event of ours had asked for; whether it made up for everything missed.
    #[n(21)]
    Served(#[n(0)] u64, #[n(1)] bool),
    /// A letter of this caller found no room here, first at this time; 0 once it has been seen to.
    #[n(31)]
    TurnedAway(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16], #[n(1)] u64),
    /// A relay took the roster of this hash from us.
    #[n(30)]
    RosterPut(#[n(0)] u8, #[cbor(n(1), with = "minicbor::bytes")] [u8; 32]),
    /// A relay took a desk secret for this device from us, or its admission held it: device, period, mark.
    #[n(24)]
    SecretTold(#[cbor(n(0), with = "minicbor::bytes")] [u8; 8], #[n(1)] u32, #[n(2)] u32),
    /// Letters of a visit that were held and are forgotten.
    #[n(22)]
    Gone(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16], #[cbor(n(1), with = "minicbor::bytes")] [u8; 8], #[n(2)] Vec<u16>),
    /// The words of an event, sealed under another key: device, number, words.
    #[n(23)]
    Words(#[cbor(n(0), with = "minicbor::bytes")] [u8; 8], #[n(1)] u64, #[n(2)] Sealed),
}

/// What a visit has been told, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ReceiptRecord {
    #[n(0)]
    pub(crate) upto: u16,
    #[n(1)]
    pub(crate) map: u64,
    /// Times this receipt went fast.
    #[n(2)]
    pub(crate) fast: u32,
    /// Times it went slow.
    #[n(3)]
    pub(crate) slow: u32,
    #[n(4)]
    pub(crate) last_ms: u64,
    /// Whether she showed that she has it.
    #[n(5)]
    pub(crate) known: bool,
}
