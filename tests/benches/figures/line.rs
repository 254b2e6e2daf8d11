//! A line to measure with. Its keys come from a fixed seed, so that every run measures the same; it is nobody's.
use porchlight_proto::{
    api::Notice,
    cert::DeskCert,
    letter::Session,
    line::{DeviceId, LineId},
    parts::Part,
    phrase::{Phrase, Stretched},
    roster::{RosterBody, SignedRoster},
    seal::SealingSecret,
    sign::SecretKey,
    time::{Millis, Seconds, Timing},
};
use porchlight_proto::{
    cell::up::{LetterPart, Opener, Recipient},
    limits::LETTER_PART_LEN,
    seal::Use,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

/// A Monday, 00:00 UTC.
pub(crate) const START: Seconds = Seconds(1_795_392_000);
/// Relay numbers are on cards and in tags.
pub(crate) const RELAY: u8 = 0;

pub(crate) struct Line {
    pub(crate) rng: ChaCha20Rng,
    pub(crate) root: SecretKey,
    pub(crate) id: LineId,
    pub(crate) desk: SealingSecret,
    pub(crate) seat: SecretKey,
    pub(crate) roster: SignedRoster,
    pub(crate) now: Millis,
}

impl Line {
    pub(crate) fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let (root, lead, seat) = (SecretKey::generate(&mut rng), SecretKey::generate(&mut rng), SecretKey::generate(&mut rng));
        let (desk, safe) = (SealingSecret::generate(&mut rng), SealingSecret::generate(&mut rng));
        let cert = DeskCert::sign(&root, &lead.public(), 1, START, START.plus(30 * 86_400));
        let body = RosterBody {
            serial: 1,
            period: 1,
            not_before: START,
            not_after: START.plus(86_400),
            timing: Timing::PRODUCTION,
            reply_weeks: 9,
            answer_within: 2,
            desk_key: desk.public().clone(),
            safe_key: safe.public().clone(),
            seats_now: [seat.public(); 9],
            seats_previous: [seat.public(); 9],
            revoked: [DeviceId([0; 8]); 8],
            previous_hash: [0; 32],
            bulletins_void_before: Seconds(0),
            closed_until: Seconds(0),
        };
        let roster = body.sign(&lead, &cert, &root.public()).unwrap();
        let id = LineId::from_root(&root.public());
        Self { rng, root, id, desk, seat, roster, now: START.plus(3600).millis() }
    }
    pub(crate) fn stretched(&mut self) -> Stretched {
        Phrase::generate(&mut self.rng).stretch(&self.id)
    }
    pub(crate) fn recipient(&self) -> Recipient<'_> {
        to_desk(&self.id, &self.roster)
    }
    pub(crate) fn opener(&self) -> Opener<'_> {
        Opener { line: &self.id, period: self.roster.period(), purpose: Use::Desk, secret: &self.desk }
    }
}

/// What a relay says of a roster at `now`.
pub(crate) fn notice(roster: Option<&SignedRoster>, now: Millis) -> Notice {
    Notice {
        roster: roster.map(|roster| Box::new(*roster.bytes())),
        clock_ms: now,
        difficulty: 0,
        up_epoch: 1,
        beat: Timing::PRODUCTION.beat(now),
        relay_no: RELAY,
        stamp_salt: [5; 16],
        timing: Timing::PRODUCTION,
        up_ttl_s: 259_200,
        desk_beat_ms: 10_000,
        bulletin: [0; 80],
    }
}

pub(crate) fn to_desk<'a>(line: &'a LineId, roster: &'a SignedRoster) -> Recipient<'a> {
    Recipient { line, period: roster.period(), purpose: Use::Desk, key: roster.desk_key() }
}

/// The first of two parts of letter `seq`: as full as a cell can be.
pub(crate) fn full_part(session: Session, seq: u16, time: Seconds, rng: &mut ChaCha20Rng) -> LetterPart {
    let mut bytes = Zeroizing::new(vec![0; LETTER_PART_LEN]);
    rng.fill_bytes(&mut bytes);
    letter(session, seq, time, Part { part: 0, parts: 2, bytes })
}

/// A part in its cell's fields.
pub(crate) fn letter(session: Session, seq: u16, time: Seconds, part: Part) -> LetterPart {
    LetterPart {
        dummy: false,
        session,
        seq,
        part,
        time: time.rounded(),
        live_key: Zeroizing::new([3; 32]),
        reply_key: Zeroizing::new([4; 32]),
        saw: [0; 8],
    }
}
