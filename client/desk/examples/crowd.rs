//! Makes a desk's directory with many invented callers, for measuring the board: `crowd DIR PASSPHRASE_FILE COUNT`. Prints what the
//! library takes for a list. The line's relay is nowhere.
#![expect(clippy::print_stdout, clippy::expect_used, clippy::disallowed_methods, reason = "a program for measuring")]

use std::path::PathBuf;
use std::time::Instant;

use porchlight_client::desk::{DeskError, LinePlan, Office, Safeguarding};
use porchlight_client::outbox::{Clock, SystemClock};
use porchlight_client::vault::Passphrase;
use porchlight_proto::api::{LanePage, Notice};
use porchlight_proto::card::RelayAddress;
use porchlight_proto::cell::up::{LetterPart, Recipient, UpCell};
use porchlight_proto::letter::{Letter, Status};
use porchlight_proto::line::Gate;
use porchlight_proto::parts::Part;
use porchlight_proto::phrase::Language;
use porchlight_proto::roster::{SignedRoster, UncheckedRoster};
use porchlight_proto::seal::Use;
use porchlight_proto::sign::SecretKey;
use porchlight_proto::time::{Millis, Seconds, Timing};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

/// Letters go in pages of so many.
const PAGE: usize = 512;
const SEED: u64 = 10_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let usage = "crowd DIR PASSPHRASE_FILE COUNT";
    let dir = PathBuf::from(args.next().expect(usage));
    let passphrase = std::fs::read_to_string(args.next().expect(usage)).expect("the passphrase can be read");
    let count: usize = args.next().and_then(|count| count.parse().ok()).expect(usage);
    let mut rng = ChaCha20Rng::seed_from_u64(SEED);
    let now = SystemClock.wall();
    let root = SecretKey::generate(&mut rng);
    let began = now.seconds().0.saturating_sub(3600);
    let passphrase = Passphrase::new(passphrase);
    let founded = Office::found(&dir, &passphrase, &root, &plan(), Seconds(began), &mut rng).expect("a new directory");
    let mut office = founded.office;
    let roster = publish(&mut office, &root, now, &mut rng);
    let mut position = 0u64;
    while usize::try_from(position).is_ok_and(|done| done < count) {
        let many = PAGE.min(count - usize::try_from(position).expect("few"));
        let cells: Vec<UpCell> = (0..many).map(|_| letter(&roster, now, &mut rng)).collect();
        let page = LanePage { life: 1, first: position + 1, cells };
        office.act(&mut rng, |desk, rng| desk.take_page(0, &page, now, rng)).expect("letters are taken");
        position += many as u64;
    }
    office.compact(now.seconds(), &mut rng).expect("the journal is written anew");
    let from = Instant::now();
    let rows = office.look().expect("the vault is read").list(now.seconds());
    println!("seed {SEED}: {} callers; list {:.1} ms", rows.len(), from.elapsed().as_secs_f64() * 1000.0);
    drop(office);
    let from = Instant::now();
    let mut office = Office::open(&dir, &passphrase).expect("the vault opens");
    println!("vault opened and read in {:.1} ms, Argon2id included", from.elapsed().as_secs_f64() * 1000.0);
    let from = Instant::now();
    let load = office.look().expect("the vault is read").load(now.seconds());
    println!("picture of {} spans {:.1} ms", load.day.len() + load.week.len(), from.elapsed().as_secs_f64() * 1000.0);
}

fn plan() -> LinePlan {
    let gate = Gate::parse("abcd2345").expect("a gate");
    LinePlan {
        relays: vec![RelayAddress { url: "https://127.0.0.1:1".to_owned(), gates: vec![gate], pin: Some([0; 32]), number: 0 }],
        timing: Timing::PRODUCTION,
        up_ttl: Seconds(259_200),
        period: Seconds(86_400),
        answer_within: 2,
        reply_weeks: 9,
        emergency: false,
        safeguarding: Safeguarding::Unstaffed,
    }
}

fn publish(office: &mut Office, root: &SecretKey, now: Millis, rng: &mut ChaCha20Rng) -> SignedRoster {
    let notice = Notice {
        roster: None,
        clock_ms: now,
        difficulty: 0,
        up_epoch: 1,
        beat: Timing::PRODUCTION.beat(now),
        relay_no: 0,
        stamp_salt: [0; 16],
        timing: Timing::PRODUCTION,
        up_ttl_s: 259_200,
        desk_beat_ms: 10_000,
        bulletin: [0; 80],
    };
    let rosters = office.act(rng, |desk, rng| {
        desk.hear_notice(0, &notice, now.seconds())?;
        desk.publish(now.seconds(), rng)?;
        Ok::<_, DeskError>(desk.rosters_to_put(0))
    });
    let first = rosters.expect("rosters are signed").into_iter().next().expect("there is one");
    UncheckedRoster::parse(first.as_slice()).and_then(|roster| roster.check_signed(&root.public())).expect("it is ours")
}

fn letter(roster: &SignedRoster, now: Millis, rng: &mut ChaCha20Rng) -> UpCell {
    let to = Recipient { line: roster.line(), period: roster.period(), purpose: Use::Desk, key: roster.desk_key() };
    let dice = rng.next_u32();
    let status = [None, Some(Status::Safe), Some(Status::Talk), Some(Status::Moving), Some(Status::Help)];
    let letter = Letter {
        status: status.get(usize::try_from(dice % 41).unwrap_or(0).min(4)).copied().flatten(),
        text: "잘 있어요. 다음 주에 또 쓸게요.".to_owned().into(),
        next: (dice & 64 > 0).then_some(86_400),
        quiet: dice & 0x300 == 0x300,
        relative: dice & 0xc00 == 0xc00,
        language: Some(if dice & 128 > 0 { Language::Ko } else { Language::Zh }),
        ..Letter::default()
    };
    let bytes = letter.to_cbor().expect("a letter");
    let mut session = [0; 8];
    rng.fill_bytes(&mut session);
    let part = LetterPart {
        dummy: false,
        session,
        seq: 1,
        part: Part { part: 0, parts: 1, bytes: bytes.into() },
        time: Seconds(now.seconds().0.saturating_sub(u64::from(dice % 3000))).rounded(),
        live_key: Zeroizing::new([1; 32]),
        reply_key: Zeroizing::new([2; 32]),
        saw: [0; 8],
    };
    part.seal(&to, &SecretKey::generate(rng), rng)
}
