//! One small line, with keys from a seed, for tests that need somebody to speak to somebody.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test binary uses what it needs of it")]
use porchlight_proto::{
    cert::{DeskCert, DeviceCert, Role},
    line::{DeviceId, LineId, Seat},
    phrase::{Phrase, Stretched},
    roster::{RosterBody, SignedRoster},
    seal::SealingSecret,
    sign::{PublicKey, SecretKey},
    time::{Seconds, Timing},
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

pub const NOW: Seconds = Seconds(1_795_478_400);

#[expect(clippy::disallowed_methods, reason = "a test draws its seed from the machine once, and prints it")]
/// The seed of this run: `PORCHLIGHT_SEED` if it is set, else drawn; always printed.
pub fn rng(test: &str) -> ChaCha20Rng {
    let seed = std::env::var("PORCHLIGHT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
        use std::hash::{BuildHasher, Hasher};
        std::collections::hash_map::RandomState::new().build_hasher().finish()
    });
    println!("{test}: PORCHLIGHT_SEED={seed}");
    ChaCha20Rng::seed_from_u64(seed)
}

pub struct Line {
    pub root: SecretKey,
    pub id: LineId,
    pub lead: SecretKey,
    pub cert: DeskCert,
    pub desk: SealingSecret,
    pub safe: SealingSecret,
    pub seats: Vec<SecretKey>,
    pub device: SecretKey,
    pub device_cert: DeviceCert,
}

impl Line {
    pub fn new(rng: &mut ChaCha20Rng) -> Self {
        let root = SecretKey::generate(rng);
        let id = LineId::from_root(&root.public());
        let lead = SecretKey::generate(rng);
        let cert = DeskCert::sign(&root, &lead.public(), 1, Seconds(NOW.0 - 100), NOW.plus(30 * 86_400));
        let device = SecretKey::generate(rng);
        let device_cert = DeviceCert::sign(
            &lead,
            &id,
            &device.public(),
            (Role::Lead, Seat::new(0)),
            (Seconds(NOW.0 - 100), NOW.plus(60 * 86_400)),
        )
        .unwrap();
        Self {
            id,
            cert,
            desk: SealingSecret::generate(rng),
            safe: SealingSecret::generate(rng),
            seats: (0..9).map(|_| SecretKey::generate(rng)).collect(),
            device_cert,
            root,
            lead,
            device,
        }
    }
    pub fn body(&self) -> RosterBody {
        let seats: [PublicKey; 9] = core::array::from_fn(|seat| self.seats[seat].public());
        RosterBody {
            serial: 1,
            period: 20_780,
            not_before: NOW,
            not_after: NOW.plus(86_400),
            timing: Timing::PRODUCTION,
            reply_weeks: 9,
            answer_within: 2,
            desk_key: self.desk.public().clone(),
            safe_key: self.safe.public().clone(),
            seats_now: seats,
            seats_previous: seats,
            revoked: [DeviceId([7; 8]); 8],
            previous_hash: [0; 32],
            bulletins_void_before: Seconds(0),
            closed_until: Seconds(0),
        }
    }
    pub fn roster(&self) -> SignedRoster {
        self.sign(&self.body())
    }
    pub fn sign(&self, body: &RosterBody) -> SignedRoster {
        body.sign(&self.lead, &self.cert, &self.root.public()).unwrap()
    }
}

pub fn caller(line: &Line, rng: &mut ChaCha20Rng) -> Stretched {
    Phrase::generate(rng).stretch(&line.id)
}
