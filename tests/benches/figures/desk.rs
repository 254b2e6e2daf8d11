//! A desk that comes back to 10,000 cells: through the bytes alone, and through the whole desk with its vault on the disk.
use crate::figure::{ms, on_core, once, say, say_below};
use crate::line::{Line, RELAY, START, full_part, letter, notice, to_desk};
use porchlight_client::{
    desk::{DeskError, LinePlan, Office, Safeguarding},
    vault::Passphrase,
};
use porchlight_proto::{
    api::LanePage,
    card::RelayAddress,
    cell::up::{self, Opened, UpCell},
    letter::Letter,
    limits::{LANE_PAGE_MAX_CELLS, LETTER_PART_LEN},
    line::{Gate, LineId},
    parts::cut,
    replay::Replay,
    roster::{SignedRoster, UncheckedRoster},
    sign::SecretKey,
    time::{Millis, Seconds, Timing},
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

const CELLS: u16 = 10_000;
/// Letters of one caller.
const LETTERS: u16 = 16;
const AIM_MS: f64 = 4000.0;

pub(crate) fn measure() {
    bytes_alone();
    whole_desk();
}

fn bytes_alone() {
    let mut line = Line::new();
    let caller = SecretKey::generate(&mut line.rng);
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let seal = |seq| {
        full_part([1; 8], seq, line.now.seconds(), &mut rng).seal(
            &line.recipient(),
            &caller,
            &mut ChaCha20Rng::seed_from_u64(u64::from(seq)),
        )
    };
    let cells: Vec<UpCell> = (1..=CELLS).map(seal).collect();
    let mut replay = Replay::default();
    let before = on_core();
    let (took, opened) = once(|| {
        let open = |cell: &&UpCell| {
            matches!(up::open(cell, &line.opener()), Ok(Opened::Letter(..)))
                && replay.is_new(line.roster.period(), up::enc_hash(cell))
        };
        cells.iter().filter(open).count()
    });
    assert_eq!(opened, cells.len());
    say_below("desk: open, verify, remember 10,000 cells", ms(took), "ms", AIM_MS);
    say_below("desk: the same, on the core", ms(on_core() - before), "ms", AIM_MS);
}

fn whole_desk() {
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let dir = tempfile::tempdir().unwrap();
    let root = SecretKey::generate(&mut rng);
    let now = START.plus(3600).millis();
    let passphrase = Passphrase::new("lamp kettle pear".to_owned());
    let mut office = Office::found(dir.path(), &passphrase, &root, &plan(), now.seconds(), &mut rng).unwrap().office;
    let roster = publish(&mut office, &root, now, &mut rng);
    let line = LineId::from_root(&root.public());
    let cells = letters(&line, &roster, now.seconds(), &mut rng);
    let mut whole = 0;
    let before = on_core();
    let (took, ()) = once(|| {
        for (cells, first) in cells.chunks(LANE_PAGE_MAX_CELLS).zip((1..).step_by(LANE_PAGE_MAX_CELLS)) {
            let page = LanePage { life: 1, first, cells: cells.to_vec() };
            let taken = office.act(&mut rng, |desk, rng| desk.take_page(RELAY, &page, now, rng)).unwrap();
            whole += taken.letters;
        }
    });
    assert_eq!(whole, cells.len());
    say_below("desk: take in 10,000 letters, saved", ms(took), "ms", AIM_MS);
    say_below("desk: the same, on the core", ms(on_core() - before), "ms", AIM_MS);
    let (open, office) = once(|| Office::open(dir.path(), &passphrase).unwrap());
    say("desk: open that vault again, Argon2id and all", ms(open), "ms");
    let mut office = office;
    let (look, rows) = once(|| office.look().unwrap().list(now.seconds()).len());
    say(&format!("desk: list its {rows} callers"), ms(look), "ms");
}

pub(crate) fn plan() -> LinePlan {
    let gates = vec![Gate::parse("abcd").unwrap()];
    LinePlan {
        relays: vec![RelayAddress { url: "https://relay.example".into(), gates, pin: None, number: RELAY }],
        timing: Timing::PRODUCTION,
        up_ttl: Seconds(259_200),
        period: Seconds(86_400),
        answer_within: 2,
        reply_weeks: 9,
        emergency: true,
        safeguarding: Safeguarding::Unstaffed,
    }
}

/// Publishes the line's rosters, and gives the one in force.
pub(crate) fn publish(office: &mut Office, root: &SecretKey, now: Millis, rng: &mut ChaCha20Rng) -> SignedRoster {
    let told = notice(None, now);
    office
        .act(rng, |desk, rng| {
            desk.hear_notice(RELAY, &told, now.seconds())?;
            desk.publish(now.seconds(), rng)?;
            Ok::<_, DeskError>(())
        })
        .unwrap();
    let rosters = office.look().unwrap().rosters_to_put(RELAY);
    let signed =
        rosters.iter().map(|bytes| UncheckedRoster::parse(bytes.as_slice()).unwrap().check_signed(&root.public()).unwrap());
    signed.into_iter().find(|roster| roster.in_force_at(now.seconds())).unwrap()
}

/// One-cell letters, [`LETTERS`] of each caller.
fn letters(line: &LineId, roster: &SignedRoster, now: Seconds, rng: &mut ChaCha20Rng) -> Vec<UpCell> {
    let mut cells = Vec::new();
    for caller in 0..CELLS / LETTERS {
        let key = SecretKey::generate(rng);
        let [high, low] = caller.to_be_bytes();
        for seq in 1..=LETTERS {
            let content = Letter { text: "사과 한 알 주세요. ".repeat(20).into(), ..Letter::default() }.to_cbor().unwrap();
            let part = cut(&content, LETTER_PART_LEN).unwrap().remove(0);
            let letter = letter([7, 0, 0, 0, 0, 0, high, low], seq, now, part);
            cells.push(letter.seal(&to_desk(line, roster), &key, rng));
        }
    }
    cells
}
