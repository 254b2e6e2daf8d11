//! A line made from a fixed seed, made once. Its keys are nobody's.
use porchlight_proto::{
    api::Notice,
    cert::{DeskCert, DeviceCert, Role},
    line::{DeviceId, LineId, Seat},
    roster::{RosterBody, SignedRoster},
    seal::SealingSecret,
    sign::SecretKey,
    time::{Millis, Seconds, Timing},
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::sync::OnceLock;

pub const NOW: Seconds = Seconds(1_795_478_400);

pub struct World {
    pub root: SecretKey,
    pub line: LineId,
    pub lead: SecretKey,
    pub cert: DeskCert,
    pub device: SecretKey,
    pub device_cert: DeviceCert,
    pub desk: SealingSecret,
    pub safe: SealingSecret,
    pub caller: SecretKey,
    pub body: RosterBody,
    pub roster: SignedRoster,
}

pub fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

impl World {
    pub fn get() -> &'static Self {
        static WORLD: OnceLock<World> = OnceLock::new();
        WORLD.get_or_init(Self::new)
    }
    fn new() -> Self {
        let mut rng = rng();
        let [root, lead, device, caller] = [(); 4].map(|()| SecretKey::generate(&mut rng));
        let line = LineId::from_root(&root.public());
        let cert = DeskCert::sign(&root, &lead.public(), 1, Seconds(0), NOW.plus(30 * 86_400));
        let role = (Role::Lead, Seat::new(0));
        let device_cert = DeviceCert::sign(&lead, &line, &device.public(), role, (Seconds(0), NOW.plus(86_400))).unwrap();
        let (desk, safe) = (SealingSecret::generate(&mut rng), SealingSecret::generate(&mut rng));
        let body = RosterBody {
            serial: 5,
            period: 20_780,
            not_before: NOW,
            not_after: NOW.plus(86_400),
            timing: Timing::PRODUCTION,
            reply_weeks: 9,
            answer_within: 2,
            desk_key: desk.public().clone(),
            safe_key: safe.public().clone(),
            seats_now: [device.public(); 9],
            seats_previous: [lead.public(); 9],
            revoked: [DeviceId([7; 8]); 8],
            previous_hash: [0; 32],
            bulletins_void_before: Seconds(0),
            closed_until: Seconds(0),
        };
        let roster = body.sign(&lead, &cert, &root.public()).unwrap();
        Self { root, line, lead, cert, device, device_cert, desk, safe, caller, body, roster }
    }
    pub fn notice(&self, now: Millis) -> Notice {
        Notice {
            roster: Some(Box::new(*self.roster.bytes())),
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
        }
    }
}
