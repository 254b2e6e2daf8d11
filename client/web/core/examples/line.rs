//! Makes a line for `bench.mjs`: one JSON object with its root key and a notice, in hex, and the time that they fit.
//!
//! Every key comes from a fixed seed, so that each run measures the same line. It is nobody's.
#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]
use chacha20::ChaCha20Rng;
use porchlight_proto::{
    api::Notice,
    cert::DeskCert,
    line::DeviceId,
    roster::{RosterBody, RosterError},
    seal::SealingSecret,
    sign::SecretKey,
    time::{Seconds, Timing},
};
use rand_core::SeedableRng;

/// 2026-11-23, 00:00 UTC.
const START: Seconds = Seconds(1_795_392_000);
const HOUR: u64 = 3600;

fn main() -> Result<(), RosterError> {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (root, lead) = (SecretKey::generate(&mut rng), SecretKey::generate(&mut rng));
    let cert = DeskCert::sign(&root, &lead.public(), 1, START, START.plus(720 * HOUR));
    let seats = core::array::from_fn(|_| SecretKey::generate(&mut rng).public());
    let body = RosterBody {
        serial: 1,
        period: 1,
        not_before: START,
        not_after: START.plus(24 * HOUR),
        timing: Timing::PRODUCTION,
        reply_weeks: 9,
        answer_within: 3,
        desk_key: SealingSecret::generate(&mut rng).public().clone(),
        safe_key: SealingSecret::generate(&mut rng).public().clone(),
        seats_now: seats,
        seats_previous: seats,
        revoked: [DeviceId([0; 8]); 8],
        previous_hash: [0; 32],
        bulletins_void_before: Seconds(0),
        closed_until: Seconds(0),
    };
    let roster = body.sign(&lead, &cert, &root.public())?;
    let now = START.plus(HOUR).millis();
    let notice = Notice {
        roster: Some(Box::new(*roster.bytes())),
        clock_ms: now,
        difficulty: 0,
        up_epoch: 1,
        beat: Timing::PRODUCTION.beat(now),
        relay_no: 0,
        stamp_salt: [5; 16],
        timing: Timing::PRODUCTION,
        up_ttl_s: 259_200,
        desk_beat_ms: 10_000,
        bulletin: [0; 80],
    };
    let (root, notice) = (hex(root.public().as_bytes()), hex(notice.to_bytes().as_slice()));
    println!(r#"{{"now":{},"root":"{root}","notice":"{notice}"}}"#, now.0);
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
