//! A line with all its keys, made here and shown to Python.
use crate::python::hex;
use crate::text::{below, random};
use porchlight_proto::cert::{DeskCert, DeviceCert, Role};
use porchlight_proto::line::{DeviceId, LineId, Seat};
use porchlight_proto::roster::{RosterBody, SignedRoster};
use porchlight_proto::seal::SealingSecret;
use porchlight_proto::sign::{PublicKey, SecretKey};
use porchlight_proto::time::{Seconds, Timing};
use rand_chacha::ChaCha20Rng;
use serde_json::{Value, json};

/// A line, its keys, its roster in force, and the time.
pub(crate) struct World {
    pub(crate) now: Seconds,
    pub(crate) root: SecretKey,
    pub(crate) line: LineId,
    pub(crate) desk: SecretKey,
    pub(crate) desk_cert: DeskCert,
    pub(crate) desk_secret: SealingSecret,
    pub(crate) safe_secret: SealingSecret,
    pub(crate) seats: Vec<SecretKey>,
    pub(crate) seats_previous: Vec<SecretKey>,
    pub(crate) body: RosterBody,
    pub(crate) roster: SignedRoster,
}

fn publics(seats: &[SecretKey]) -> [PublicKey; 9] {
    std::array::from_fn(|seat| seats[seat].public())
}

impl World {
    /// A new line.
    pub(crate) fn new(rng: &mut ChaCha20Rng) -> Self {
        let now = Seconds(1_790_000_000 + below(rng, 100_000_000));
        let (root, desk) = (SecretKey::generate(rng), SecretKey::generate(rng));
        let desk_cert = DeskCert::sign(&root, &desk.public(), 7, Seconds(now.0 - 86_400), now.plus(29 * 86_400));
        let mut seats = || (0..9).map(|_| SecretKey::generate(rng)).collect::<Vec<_>>();
        let (seats, seats_previous) = (seats(), seats());
        let (desk_secret, safe_secret) = (SealingSecret::generate(rng), SealingSecret::generate(rng));
        let body = RosterBody {
            serial: 1 + below(rng, 10_000) as u32,
            period: below(rng, 100_000) as u32,
            not_before: Seconds(now.0 - below(rng, 3_600)),
            not_after: now.plus(1 + below(rng, 86_400)),
            timing: Timing::PRODUCTION,
            reply_weeks: 9,
            answer_within: below(rng, 6) as u8,
            desk_key: desk_secret.public().clone(),
            safe_key: safe_secret.public().clone(),
            seats_now: publics(&seats),
            seats_previous: publics(&seats_previous),
            revoked: std::array::from_fn(|_| DeviceId(random(rng))),
            previous_hash: random(rng),
            bulletins_void_before: Seconds(now.0 - 1_000),
            closed_until: Seconds(0),
        };
        let roster = body.sign(&desk, &desk_cert, &root.public()).expect("an honest roster");
        let line = LineId::from_root(&root.public());
        Self { now, root, line, desk, desk_cert, desk_secret, safe_secret, seats, seats_previous, body, roster }
    }
    /// Signs the roster anew, after its body was changed.
    pub(crate) fn publish(&mut self) {
        self.roster = self.body.sign(&self.desk, &self.desk_cert, &self.root.public()).expect("an honest roster");
    }
    /// The key of a seat.
    pub(crate) fn seat(&self, seat: Seat) -> &SecretKey {
        &self.seats[usize::from(seat.number())]
    }
    /// A device of the line, with its certificate.
    pub(crate) fn device(&self, role: Role, seat: Option<Seat>, rng: &mut ChaCha20Rng) -> (SecretKey, DeviceCert) {
        let device = SecretKey::generate(rng);
        let life = (Seconds(self.now.0 - 10), self.now.plus(60 * 86_400));
        let cert = DeviceCert::sign(&self.desk, &self.line, &device.public(), (role, seat), life).expect("an honest certificate");
        (device, cert)
    }
    /// The day of the slow track.
    pub(crate) fn day(&self) -> u32 {
        self.roster.timing().day(self.now.millis())
    }
    /// What Python needs to read answers for this caller.
    pub(crate) fn reader(&self, caller: &[u8; 16]) -> Value {
        json!({
            "line": hex(self.line.as_bytes()), "caller_id": hex(caller), "now": self.now.0, "slow_s": self.roster.timing().slow_s,
            "roster": hex(self.roster.bytes()), "root_pk": hex(self.root.public().as_bytes()),
        })
    }
}
