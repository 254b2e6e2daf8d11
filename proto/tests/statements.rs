//! What is signed is believed within its bounds and not beyond: each bound from both sides, each field read back.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "a test that fails says so by panicking"
)]
#[path = "support/signed.rs"]
mod signed;
mod support;
use data_encoding::BASE64URL_NOPAD;
use porchlight_proto::{
    api::{BadBytes, DeskBeat, DeskOutcome, DeskReply, Floor, LanePage, Notice, SlotOutcome, UpOutcome, UpReply},
    bulletin::{Bulletin, BulletinError, Code},
    cell::{
        CellError,
        down::{self, AnswerPart, Kind, Place, Reader, Receipt, Track},
        up::{self, EventStamp, LetterPart, Opened, Opener, Recipient, TeamPart, UpCell},
    },
    cert::{CertError, DeskCert, DeviceCert, Role},
    event::Board,
    kdf,
    line::{CallerId, DeviceId, Seat},
    parts::{Join, Joined, Part},
    roster::{RosterBody, RosterError, Rosters, SignedRoster, UncheckedRoster},
    seal::{SealingSecret, Use},
    sign::{PublicKey, SecretKey},
    time::{Millis, Seconds, Timing, TimingError},
    token::{Access, Credentials, Gatekeeper, Request, TokenError, UncheckedToken},
    visit::{Clock, Event, Visit},
};
use std::collections::BTreeSet;
use support::{Line, NOW, rng};
use zeroize::Zeroizing;

const PACE: Timing = Timing::PRODUCTION;

/// So many seconds after `NOW`, or before.
fn clock(s: i64) -> Seconds {
    Seconds(NOW.0.saturating_add_signed(s))
}

/// A life, in seconds after `NOW`.
type Life = (i64, i64);

fn desk_cert(line: &Line, generation: u32, life: Life) -> DeskCert {
    DeskCert::sign(&line.root, &line.lead.public(), generation, clock(life.0), clock(life.1))
}

fn device_cert(line: &Line, holds: (Role, Option<Seat>), life: Life) -> Result<DeviceCert, CertError> {
    DeviceCert::sign(&line.lead, &line.id, &line.device.public(), holds, (clock(life.0), clock(life.1)))
}

fn notice(roster: Option<&SignedRoster>, timing: Timing, bulletin: [u8; 80]) -> Notice {
    Notice {
        roster: roster.map(|roster| Box::new(*roster.bytes())),
        clock_ms: NOW.millis(),
        difficulty: 3,
        up_epoch: 9,
        beat: PACE.beat(NOW.millis()),
        relay_no: 0,
        stamp_salt: [5; 16],
        timing,
        up_ttl_s: 259_200,
        desk_beat_ms: 10_000,
        bulletin,
    }
}

const RELAY: [u8; 32] = [3; 32];
const REQUEST: Request<'static> = Request { method: "POST", path: "/v1/desk/beat", body_hash: [4; 32] };

#[test]
fn a_token_names_its_device_role_and_seat_and_opens_one_call_of_one_relay_of_its_line() {
    let mut rng = rng("tokens");
    let (line, stranger) = (Line::new(&mut rng), Line::new(&mut rng));
    let desk_cert = desk_cert(&line, 6, (-100, 100));
    let roles = [
        (Role::Worker, Seat::new(7)),
        (Role::Worker, None),
        (Role::Lead, Seat::new(0)),
        (Role::Lead, None),
        (Role::Safeguarding, Seat::new(8)),
    ];
    for (role, seat) in roles {
        let device_cert = device_cert(&line, (role, seat), (-100, 100)).unwrap();
        let credentials = Credentials { desk_cert: &desk_cert, device_cert: &device_cert, device: &line.device, line: &line.id };
        let text = credentials.token(&RELAY, &REQUEST, NOW, &mut rng);
        let nonce = BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()[238..254].try_into().unwrap();
        let token = UncheckedToken::parse(&text).unwrap();

        let keeper = Gatekeeper { root: &line.root.public(), spki: &RELAY, now: NOW, generation: 0 };
        let device = DeviceId::of(&line.id, &line.device.public());
        let access = Access { device, role, seat, nonce, time: NOW, generation: 6 };
        assert_eq!(token.check(&REQUEST, &keeper), Ok(access));
        for (name, request, keeper) in [
            ("another method", Request { method: "PUT", ..REQUEST }, keeper),
            ("another path", Request { path: "/v1/desk/roster", ..REQUEST }, keeper),
            ("another body", Request { body_hash: [5; 32], ..REQUEST }, keeper),
            ("another relay", REQUEST, Gatekeeper { spki: &[4; 32], ..keeper }),
            ("another line", REQUEST, Gatekeeper { root: &stranger.root.public(), ..keeper }),
        ] {
            assert_eq!(token.check(&request, &keeper), Err(TokenError::Forged), "{name}");
        }
    }
}

/// What a device shows with a token signed at `NOW`, and what the relay holds it against.
#[derive(Clone, Copy)]
struct Shown {
    desk_cert: Life,
    device_cert: Life,
    generation_seen: u32,
    clock: i64,
}

#[test]
fn a_token_opens_while_both_certificates_live_their_generation_stands_and_the_clocks_agree() {
    let mut rng = rng("tokens in time");
    let line = Line::new(&mut rng);
    let good = Shown { desk_cert: (-1000, 1000), device_cert: (-1000, 1000), generation_seen: 5, clock: 0 };
    for (name, shown, opens) in [
        ("nothing is wrong", good, true),
        ("signed 300 s ago", Shown { clock: 300, ..good }, true),
        ("signed 301 s ago", Shown { clock: 301, ..good }, false),
        ("signed 300 s ahead", Shown { clock: -300, ..good }, true),
        ("signed 301 s ahead", Shown { clock: -301, ..good }, false),
        ("the generation before was seen", Shown { generation_seen: 4, ..good }, true),
        ("the generation after was seen", Shown { generation_seen: 6, ..good }, false),
        ("the desk certificate begins", Shown { desk_cert: (0, 1000), ..good }, true),
        ("the desk certificate begins in a second", Shown { desk_cert: (1, 1000), ..good }, false),
        ("the desk certificate's last second", Shown { desk_cert: (-1000, 1), ..good }, true),
        ("the desk certificate is over", Shown { desk_cert: (-1000, 0), ..good }, false),
        ("the device's certificate begins", Shown { device_cert: (0, 1000), ..good }, true),
        ("the device's certificate begins in a second", Shown { device_cert: (1, 1000), ..good }, false),
        ("the device's certificate's last second", Shown { device_cert: (-1000, 1), ..good }, true),
        ("the device's certificate is over", Shown { device_cert: (-1000, 0), ..good }, false),
    ] {
        let desk_cert = desk_cert(&line, 5, shown.desk_cert);
        let device_cert = device_cert(&line, (Role::Worker, Seat::new(3)), shown.device_cert).unwrap();
        let credentials = Credentials { desk_cert: &desk_cert, device_cert: &device_cert, device: &line.device, line: &line.id };
        let token = UncheckedToken::parse(&credentials.token(&RELAY, &REQUEST, NOW, &mut rng)).unwrap();
        let (root, now) = (line.root.public(), clock(shown.clock));
        let keeper = Gatekeeper { root: &root, spki: &RELAY, now, generation: shown.generation_seen };
        let opened = token.check(&REQUEST, &keeper).map(|access| access.time);
        assert_eq!(opened, if opens { Ok(NOW) } else { Err(TokenError::OutOfTime) }, "{name}");
    }
}

#[test]
fn a_device_certificate_gives_each_role_its_own_seats_and_no_other() {
    let mut rng = rng("seats of roles");
    let line = Line::new(&mut rng);
    for (role, seat, holds) in [
        (1_u8, 0_u8, Some((Role::Worker, Seat::new(0)))),
        (1, 7, Some((Role::Worker, Seat::new(7)))),
        (1, 255, Some((Role::Worker, None))),
        (2, 7, Some((Role::Lead, Seat::new(7)))),
        (2, 255, Some((Role::Lead, None))),
        (3, 8, Some((Role::Safeguarding, Seat::new(8)))),
        (0, 0, None),
        (4, 0, None),
        (1, 8, None),
        (2, 8, None),
        (1, 9, None),
        (2, 254, None),
        (3, 2, None),
        (3, 255, None),
    ] {
        let [from, until] = [-100, 100].map(|s| clock(s).0.to_be_bytes());
        let body = [&[role, seat], line.device.public().as_bytes().as_slice(), &from, &until].concat();
        let signature = line.lead.sign("device-cert", &[line.id.as_bytes(), &body]);
        let bytes = [body.as_slice(), &signature].concat();
        let checked = DeviceCert::check(&bytes, &line.lead.public(), &line.id);
        assert_eq!(checked.map(|cert| (cert.role, cert.seat)), holds.ok_or(CertError::Malformed), "role {role} on seat {seat}");
        if let Some(holds) = holds {
            assert_eq!(device_cert(&line, holds, (-100, 100)).unwrap().bytes().as_slice(), bytes);
        }
    }
    for refused in
        [(Role::Worker, Seat::new(8)), (Role::Lead, Seat::new(8)), (Role::Safeguarding, Seat::new(2)), (Role::Safeguarding, None)]
    {
        assert_eq!(device_cert(&line, refused, (-100, 100)), Err(CertError::Malformed), "{refused:?}");
    }
}

/// A roster of one day, by generation, serial and period. The salt tells apart those that agree in all of these.
fn roster(line: &Line, (generation, serial, period): (u32, u32, u32), begins: i64, salt: u8) -> SignedRoster {
    let body = RosterBody {
        serial,
        period,
        not_before: clock(begins),
        not_after: clock(begins + 86_400),
        previous_hash: [salt; 32],
        ..line.body()
    };
    body.sign(&line.lead, &desk_cert(line, generation, (-100, 30 * 86_400)), &line.root.public()).unwrap()
}

#[test]
fn a_new_serial_voids_lower_ones_of_its_own_and_later_periods_and_a_generation_all_before_it() {
    let mut rng = rng("voiding");
    let line = Line::new(&mut rng);
    let held = (2, 5, 100);
    for (name, comes, becomes, kept) in [
        ("the same again", held, Ok(()), vec![held]),
        ("a lower serial of an earlier period", (2, 4, 99), Ok(()), vec![(2, 4, 99), held]),
        ("a lower serial of its period", (2, 4, 100), Err(RosterError::Expired), vec![held]),
        ("a lower serial of a later period", (2, 4, 101), Err(RosterError::Expired), vec![held]),
        ("a higher serial of an earlier period", (2, 6, 99), Ok(()), vec![(2, 6, 99)]),
        ("a higher serial of its period", (2, 6, 100), Ok(()), vec![(2, 6, 100)]),
        ("a higher serial of a later period", (2, 6, 101), Ok(()), vec![held, (2, 6, 101)]),
        ("its serial of a later period", (2, 5, 101), Ok(()), vec![held, (2, 5, 101)]),
        ("a higher generation, whose serials begin anew", (3, 1, 101), Ok(()), vec![(3, 1, 101)]),
        ("a lower generation", (1, 9, 99), Err(RosterError::OldGeneration), vec![held]),
    ] {
        let mut rosters = Rosters::new();
        assert!(rosters.in_force(NOW).is_none());
        rosters.insert(roster(&line, held, 0, 0), NOW).unwrap();
        assert_eq!(rosters.insert(roster(&line, comes, 0, 0), NOW), becomes, "{name}");
        let all = rosters.iter().map(|roster| (roster.generation(), roster.serial(), roster.period()));
        let all: BTreeSet<_> = all.collect();
        assert_eq!((rosters.iter().count(), all), (kept.len(), kept.iter().copied().collect()), "{name}");
        let (generation, serial, _) = *kept.last().unwrap();
        assert_eq!((rosters.generation(), rosters.highest_serial()), (generation, serial), "{name}");
        let in_force = rosters.in_force(NOW).map(|roster| (roster.generation(), roster.serial()));
        assert_eq!(in_force, Some((generation, serial)), "{name}");
    }
    let equal = [0, 1].map(|salt| roster(&line, held, 0, salt));
    let lower = equal.iter().map(SignedRoster::hash).min();
    for order in [[0, 1], [1, 0]] {
        let mut rosters = Rosters::new();
        for nth in order {
            assert_eq!(rosters.insert(equal[nth].clone(), NOW), Ok(()));
        }
        assert_eq!(rosters.iter().count(), 2, "neither voids the other");
        assert_eq!(rosters.in_force(NOW).map(SignedRoster::hash), lower);
    }
}

#[test]
fn a_roster_is_taken_from_eight_days_before_it_begins_and_kept_until_it_is_over() {
    let mut rng = rng("taken and kept");
    let line = Line::new(&mut rng);
    let mut rosters = Rosters::new();
    rosters.insert(roster(&line, (2, 5, 100), 0, 0), NOW).unwrap();
    assert_eq!(rosters.insert(roster(&line, (2, 6, 108), 691_201, 0), NOW), Err(RosterError::NotYet));
    assert_eq!((rosters.generation(), rosters.highest_serial()), (2, 5), "nothing of it is remembered");
    assert_eq!(rosters.insert(roster(&line, (2, 6, 108), 691_200, 0), NOW), Ok(()));
    assert_eq!((rosters.generation(), rosters.highest_serial()), (2, 6));
    for (now, in_force) in [(0, Some(5)), (86_399, Some(5)), (86_400, None), (691_200, Some(6)), (777_600, None)] {
        assert_eq!(rosters.in_force(clock(now)).map(SignedRoster::serial), in_force, "{now} s on");
    }
    for (now, kept) in [(86_399, &[5, 6][..]), (86_400, &[6]), (777_599, &[6]), (777_600, &[])] {
        rosters.forget_before(clock(now));
        let serials: BTreeSet<_> = rosters.iter().map(SignedRoster::serial).collect();
        assert_eq!(serials, kept.iter().copied().collect(), "{now} s on");
    }
    assert_eq!((rosters.generation(), rosters.highest_serial()), (2, 6), "the highest are remembered");

    let mut again = Rosters::after(2, 7);
    assert_eq!(again.insert(roster(&line, (1, 8, 100), 0, 0), NOW), Err(RosterError::OldGeneration));
    assert_eq!(again.insert(roster(&line, (2, 3, 100), 0, 0), NOW), Ok(()));
    assert_eq!((again.generation(), again.highest_serial()), (2, 7));
}

#[test]
fn a_pace_out_of_bounds_is_refused_by_name_in_a_roster_and_in_a_notice() {
    let mut rng = rng("paces");
    let line = Line::new(&mut rng);
    for (timing, error) in [
        (Timing { up_beat_ms: 9, ..PACE }, Some(TimingError::UpBeat)),
        (Timing { up_beat_ms: 10, ..PACE }, None),
        (Timing { beat_ms: 0, ..PACE }, Some(TimingError::Beat)),
        // It divides a day.
        (Timing { beat_ms: 96, ..PACE }, Some(TimingError::Beat)),
        (Timing { beat_ms: 100, ..PACE }, None),
        (Timing { beat_ms: 101, ..PACE }, Some(TimingError::Beat)),
        (Timing { fast_slots: 0, ..PACE }, Some(TimingError::FastSlots)),
        (Timing { fast_slots: 1, ..PACE }, None),
        (Timing { fast_slots: 8, ..PACE }, None),
        (Timing { fast_slots: 9, ..PACE }, Some(TimingError::FastSlots)),
        (Timing { slow_s: 0, ..PACE }, Some(TimingError::SlowSlot)),
        (Timing { slow_s: 1, ..PACE }, None),
        (Timing { slow_s: 7, ..PACE }, Some(TimingError::SlowSlot)),
        (Timing { slow_days: 0, ..PACE }, Some(TimingError::SlowDays)),
        (Timing { slow_days: 1, ..PACE }, None),
        (Timing { slow_days: 31, ..PACE }, None),
        (Timing { slow_days: 32, ..PACE }, Some(TimingError::SlowDays)),
    ] {
        assert_eq!(timing.check().err(), error, "{timing:?}");
        let signed = RosterBody { timing, ..line.body() }.sign(&line.lead, &line.cert, &line.root.public());
        assert_eq!(signed.err(), error.map(|_| RosterError::Malformed), "{timing:?}");
        let noticed = Notice::parse(notice(None, timing, [0; 80]).to_bytes().as_slice());
        assert_eq!(noticed.err(), error.map(|_| BadBytes), "{timing:?}");
    }
}

#[test]
fn a_roster_out_of_its_bounds_is_none_though_its_lead_signed_it() {
    let mut rng = rng("roster bounds");
    let (line, stranger) = (Line::new(&mut rng), Line::new(&mut rng));
    let (root, until) = (stranger.root.public(), |s: i64| clock(s).0.to_be_bytes());
    let (malformed, forged) = (Some(RosterError::Malformed), Some(RosterError::Forged));
    let rows: &[(&str, usize, &[u8], Option<RosterError>)] = &[
        ("version 0", 0, &[0], malformed),
        ("version 2", 0, &[2], malformed),
        ("a flag", 1, &[1], malformed),
        ("the first zero byte", 3336, &[1], malformed),
        ("the last zero byte", 4031, &[1], malformed),
        ("another line's id", 2, stranger.id.as_bytes(), forged),
        ("another line's root", 3172, root.as_bytes(), forged),
        ("another line's certificate", 3204, stranger.cert.bytes(), forged),
        ("serial 0", 34, &[0; 4], malformed),
        ("serial 1", 34, &[0, 0, 0, 1], None),
        ("over before it begins", 50, &until(-1), malformed),
        ("over when it begins", 50, &until(0), malformed),
        ("of a second", 50, &until(1), None),
        ("of seven days", 50, &until(604_800), None),
        ("of seven days and a second", 50, &until(604_801), malformed),
        ("up_beat_ms 9", 58, &[0, 9], malformed),
        ("reply keys of no week", 66, &[0], malformed),
        ("reply keys of a week", 66, &[1], None),
        ("reply keys of 26 weeks", 66, &[26], None),
        ("reply keys of 27 weeks", 66, &[27], malformed),
        ("answered within nothing said", 67, &[0], None),
        ("answered within a week", 67, &[5], None),
        ("answered within what has no name", 67, &[6], malformed),
        ("a desk key that is not reduced", 68, &[0xff; 3], malformed),
        ("a desk key whose point is zero", 1252, &[0; 32], malformed),
        ("a safeguarding key that is not reduced", 1284, &[0xff; 3], malformed),
        ("a safeguarding key whose point is zero", 2468, &[0; 32], malformed),
    ];
    let honest = line.roster();
    for (name, at, with, error) in rows {
        let bytes = signed::roster(&line, honest.bytes(), (*at, with));
        let checked = UncheckedRoster::parse(&bytes).and_then(|roster| roster.check_signed(&line.root.public()));
        assert_eq!(checked.err(), *error, "{name}");
    }
    let forged = RosterBody { serial: 0, ..line.body() }.sign(&stranger.lead, &line.cert, &line.root.public());
    assert_eq!(forged.err(), Some(RosterError::Forged), "whatever is in it");
}

#[test]
fn a_roster_is_in_force_from_its_first_second_to_its_last_if_its_certificate_lives() {
    let mut rng = rng("in force");
    let line = Line::new(&mut rng);
    let (long, short) = ((-100, 2_592_000), (10, 20));
    for (cert, now, error) in [
        (long, -1, Some(RosterError::NotYet)),
        (long, 0, None),
        (long, 86_399, None),
        (long, 86_400, Some(RosterError::Expired)),
        (short, -1, Some(RosterError::NotYet)),
        (short, 9, Some(RosterError::Expired)),
        (short, 10, None),
        (short, 19, None),
        (short, 20, Some(RosterError::Expired)),
    ] {
        let signed = line.body().sign(&line.lead, &desk_cert(&line, 1, cert), &line.root.public()).unwrap();
        assert_eq!(signed.in_force_at(clock(now)), error.is_none(), "{cert:?} at {now}");
        assert_eq!(signed.at(clock(now)).err(), error, "{cert:?} at {now}");
    }
}

#[test]
fn a_roster_says_each_thing_that_its_lead_wrote() {
    let mut rng = rng("accessors");
    let line = Line::new(&mut rng);
    let keys: [[PublicKey; 9]; 2] =
        [0x10, 0x20].map(|from| core::array::from_fn(|nth| PublicKey::from_bytes([from + nth as u8; 32])));
    let revoked: [DeviceId; 8] = core::array::from_fn(|nth| DeviceId([0x30 + nth as u8; 8]));
    let timing = Timing { up_beat_ms: 20_000, beat_ms: 25_000, fast_slots: 5, slow_s: 900, slow_days: 6 };
    let body = RosterBody {
        serial: 7,
        period: 20_790,
        not_before: clock(3),
        not_after: clock(90_003),
        timing,
        reply_weeks: 11,
        answer_within: 4,
        seats_now: keys[0],
        seats_previous: keys[1],
        revoked,
        previous_hash: [9; 32],
        bulletins_void_before: clock(-70),
        closed_until: clock(70),
        ..line.body()
    };
    let cert = desk_cert(&line, 6, (-100, 100));
    let signed = body.sign(&line.lead, &cert, &line.root.public()).unwrap();
    let read = UncheckedRoster::parse(signed.bytes()).and_then(|roster| roster.check(&line.root.public(), clock(3))).unwrap();

    assert_eq!((read.serial(), read.period(), read.generation(), read.week()), (7, 20_790, 6, 2968));
    assert_eq!((read.not_before(), read.not_after(), read.timing()), (clock(3), clock(90_003), timing));
    assert_eq!((read.reply_weeks(), read.answer_within()), (11, 4));
    assert_eq!((read.bulletins_void_before(), read.closed_until()), (clock(-70), clock(70)));
    assert_eq!((read.desk_key(), read.safe_key()), (line.desk.public(), line.safe.public()));
    assert_eq!((read.previous_hash(), read.hash()), ([9; 32], kdf::digest(signed.bytes())));
    assert_eq!((read.line(), read.root(), read.desk_cert()), (&line.id, line.root.public(), &cert));
    for seat in Seat::all() {
        let nth = usize::from(seat.number());
        assert_eq!(read.seat_keys(seat), [keys[0][nth], keys[1][nth]], "seat {nth}");
    }
    assert_eq!(read.revoked_ids().collect::<Vec<_>>(), revoked);
    assert!(revoked.iter().all(|id| read.revoked(*id)));
    assert!(!read.revoked(DeviceId([0x38; 8])));
}

#[test]
fn each_bulletin_of_a_seats_current_or_previous_key_is_believed() {
    let mut rng = rng("bulletins");
    let line = Line::new(&mut rng);
    let earlier: Vec<SecretKey> = (0..9).map(|_| SecretKey::generate(&mut rng)).collect();
    let seats_previous = core::array::from_fn(|seat| earlier[seat].public());
    let roster = line.sign(&RosterBody { seats_previous, ..line.body() });
    for (number, code) in [(1, Code::NoMeetings), (2, Code::Closed), (3, Code::DoorChanges)] {
        for seat in Seat::all().take(8) {
            let bulletin = Bulletin { code, seat, time: NOW };
            for keys in [&line.seats, &earlier] {
                let bytes = bulletin.sign(&keys[usize::from(seat.number())], &line.id);
                assert_eq!(bytes[..2], [number, seat.number()]);
                assert_eq!(Bulletin::check(&bytes, &roster, NOW), Ok(Some(bulletin)));
            }
        }
    }
}

#[test]
fn a_bulletin_that_is_wrong_in_one_thing_is_none() {
    let mut rng = rng("wrong bulletins");
    let (line, stranger) = (Line::new(&mut rng), Line::new(&mut rng));
    let roster = line.sign(&RosterBody { bulletins_void_before: clock(-50), ..line.body() });
    let honest = Bulletin { code: Code::Closed, seat: Seat::new(2).unwrap(), time: NOW };
    let bytes = honest.sign(&line.seats[2], &line.id);
    let with = |at, with: &[u8]| signed::bulletin(&line, &line.seats[2], &bytes, (at, with));
    let safeguarding = Bulletin { seat: Seat::SAFEGUARDING, ..honest };
    let timed = |s| Bulletin { time: clock(s), ..honest };
    let raised = |s| timed(s).sign(&line.seats[2], &line.id);
    for (name, bytes, becomes) in [
        ("nothing is said", [0; 80], Ok(None)),
        ("signed by another seat", honest.sign(&line.seats[3], &line.id), Err(BulletinError::Forged)),
        ("signed for another line", honest.sign(&line.seats[2], &stranger.id), Err(BulletinError::Forged)),
        ("of safeguarding", safeguarding.sign(&line.seats[8], &line.id), Err(BulletinError::Malformed)),
        ("of no seat", with(1, &[9]), Err(BulletinError::Malformed)),
        ("code 0", with(0, &[0]), Err(BulletinError::Malformed)),
        ("code 4", with(0, &[4]), Err(BulletinError::Malformed)),
        ("the first zero byte", with(10, &[1]), Err(BulletinError::Malformed)),
        ("the last zero byte", with(15, &[1]), Err(BulletinError::Malformed)),
        ("a second before those that stand", raised(-51), Err(BulletinError::Void)),
        ("the first that stands", raised(-50), Ok(Some(timed(-50)))),
        ("ten minutes ahead", raised(600), Ok(Some(timed(600)))),
        ("ten minutes and a second ahead", raised(601), Err(BulletinError::Void)),
    ] {
        assert_eq!(Bulletin::check(&bytes, &roster, NOW), becomes, "{name}");
    }
    assert_eq!(Bulletin::check(&bytes[..79], &roster, NOW), Err(BulletinError::Malformed));
}

#[test]
fn a_visit_tells_a_bulletin_once_until_a_newer_one_replaces_it_or_a_roster_takes_it_away() {
    let mut rng = rng("bulletins in a visit");
    let line = Line::new(&mut rng);
    let new_key = SecretKey::generate(&mut rng);
    let raised = |key: &SecretKey, code, s| Bulletin { code, seat: Seat::new(2).unwrap(), time: clock(s) }.sign(key, &line.id);
    let old = |code, s| raised(&line.seats[2], code, s);
    let first = line.roster();
    let mut body = RosterBody { serial: 2, ..line.body() };
    (body.seats_now[2], body.seats_previous[2]) = (new_key.public(), new_key.public());
    let rekeyed = line.sign(&body);
    let voiding = line.sign(&RosterBody { serial: 3, bulletins_void_before: clock(31), ..body });

    let (meetings, closed, door) = (Some(Code::NoMeetings), Some(Code::Closed), Some(Code::DoorChanges));
    let mut visit = Visit::open(line.root.public(), &mut rng);
    for (name, roster, bulletin, told, stands) in [
        ("none", &first, [0; 80], None, None),
        ("one", &first, old(Code::NoMeetings, 10), meetings, meetings),
        ("the same again", &first, old(Code::NoMeetings, 10), None, meetings),
        ("none, which takes nothing away", &first, [0; 80], None, meetings),
        ("one that does not check", &first, [1; 80], None, meetings),
        ("an older one", &first, old(Code::Closed, 9), None, meetings),
        ("a newer one", &first, old(Code::DoorChanges, 20), door, door),
        ("a roster without its key", &rekeyed, [0; 80], None, None),
        ("one of the new key", &rekeyed, raised(&new_key, Code::Closed, 30), closed, closed),
        ("a roster that voids it", &voiding, raised(&new_key, Code::Closed, 30), None, None),
    ] {
        let notice = notice(Some(roster), PACE, bulletin).to_bytes();
        let events = visit.notice(notice.as_slice(), Some(0), NOW.millis(), Clock::Relays);
        assert_eq!(events, Ok(told.map(Event::Bulletin).into_iter().collect()), "{name}");
        assert_eq!(visit.bulletin(), stands, "{name}");
    }
}

const PERIOD: u32 = 0x1fe;

fn zeros(part: u8, parts: u8, len: usize) -> Part {
    Part { part, parts, bytes: Zeroizing::new(vec![0; len]) }
}

/// A letter's part of so many zeros, or a dummy.
fn letter(dummy: bool, len: usize) -> LetterPart {
    let [live_key, reply_key] = [2, 3].map(|byte| Zeroizing::new([byte; 32]));
    LetterPart {
        dummy,
        session: [1; 8],
        seq: u16::from(!dummy),
        part: zeros(0, 1, len),
        time: NOW,
        live_key,
        reply_key,
        saw: [0; 8],
    }
}

#[test]
fn a_team_letter_comes_back_as_it_was_signed_and_from_no_other_device() {
    let mut rng = rng("team letters");
    let (line, own) = (Line::new(&mut rng), SealingSecret::generate(&mut rng));
    let colleague = SecretKey::generate(&mut rng).public();
    let stamp = EventStamp { device_seq: 3, previous: [6; 32], lamport: 8, time: clock(1) };
    for (purpose, another, secret) in [(Use::Desk, Use::Device, &line.desk), (Use::Device, Use::Desk, &own)] {
        let to = Recipient { line: &line.id, period: PERIOD, purpose, key: secret.public() };
        let opener = Opener { line: &line.id, period: PERIOD, purpose, secret };
        let event = |len| TeamPart::sign(&stamp, zeros(0, 1, len), (&line.id, purpose), &line.device);
        let dummy = TeamPart::dummy(NOW, (&line.id, purpose), &line.device, &mut rng);
        assert_eq!((event(9).dummy, event(9).device_seq, dummy.dummy, dummy.device_seq), (false, 3, true, 0));
        for (name, team) in [("short", event(9)), ("full", event(757)), ("dummy", dummy)] {
            let cell = team.seal(&to, &mut rng);
            assert_eq!(up::period_lo(&cell), 0xfe);
            assert_eq!(up::open(&cell, &opener), Ok(Opened::Team(team.clone())), "{name}");
            assert_eq!(team.check_signature(&line.id, purpose), Ok(()), "{name}");
            assert_eq!(team.check_signature(&line.id, another), Err(CellError::Forged), "{name}");
            let forged = TeamPart { device_pk: colleague, ..team };
            assert_eq!(up::open(&forged.seal(&to, &mut rng), &opener), Err(CellError::Forged), "{name}");
        }
        let longer = TeamPart { part: zeros(0, 1, 758), ..event(9) };
        assert_eq!(longer.check_signature(&line.id, purpose), Err(CellError::Malformed));
    }
}

#[test]
fn letters_go_to_the_desk_and_to_safeguarding_and_events_to_the_desk_and_to_devices() {
    let mut rng = rng("kinds and uses");
    let (line, own, caller) = (Line::new(&mut rng), SealingSecret::generate(&mut rng), SecretKey::generate(&mut rng));
    let stamp = EventStamp { device_seq: 3, previous: [6; 32], lamport: 8, time: NOW };
    let uses =
        [(Use::Desk, &line.desk, true, true), (Use::Device, &own, false, true), (Use::Safeguarding, &line.safe, true, false)];
    for (purpose, secret, letters, events) in uses {
        let to = Recipient { line: &line.id, period: PERIOD, purpose, key: secret.public() };
        let opener = Opener { line: &line.id, period: PERIOD, purpose, secret };
        let event = TeamPart::sign(&stamp, zeros(0, 1, 9), (&line.id, purpose), &line.device);
        let dummy = TeamPart::dummy(NOW, (&line.id, purpose), &line.device, &mut rng);
        for (name, cell, goes) in [
            ("a letter", letter(false, 9).seal(&to, &caller, &mut rng), letters),
            ("a dummy", letter(true, 723).seal(&to, &caller, &mut rng), letters),
            ("an event", event.seal(&to, &mut rng), events),
            ("a team dummy", dummy.seal(&to, &mut rng), events),
        ] {
            let opened = up::open(&cell, &opener).map(|_| ());
            assert_eq!(opened, if goes { Ok(()) } else { Err(CellError::Malformed) }, "{name} to {purpose:?}");
        }
    }
}

/// What is overwritten in which cell, and whether the cell is taken all the same.
type Row<'a> = (&'a str, &'a UpCell, usize, &'a [u8], bool);

/// Each cell to the desk, signed again under a label, is taken or malformed as its row says.
fn taken(line: &Line, by: (&str, &SecretKey), rows: &[Row<'_>], rng: &mut rand_chacha::ChaCha20Rng) {
    let opener = Opener { line: &line.id, period: PERIOD, purpose: Use::Desk, secret: &line.desk };
    for (name, cell, at, with, taken) in rows {
        let cell = signed::up_cell(cell, &opener, by, (*at, with), rng);
        let opened = up::open(&cell, &opener).map(|_| ());
        assert_eq!(opened, if *taken { Ok(()) } else { Err(CellError::Malformed) }, "{name}");
    }
}

#[test]
fn a_letter_that_no_honest_caller_writes_is_refused_though_she_signed_it() {
    let mut rng = rng("malformed letters");
    let (line, caller) = (Line::new(&mut rng), SecretKey::generate(&mut rng));
    let to = Recipient { line: &line.id, period: PERIOD, purpose: Use::Desk, key: line.desk.public() };
    let [short, full] = [10, 723].map(|len| letter(false, len).seal(&to, &caller, &mut rng));
    let dummy = letter(true, 723).seal(&to, &caller, &mut rng);
    let [on_time, late] = [NOW.0 as u32 + 600, NOW.0 as u32 + 601].map(u32::to_be_bytes);
    let rows: &[Row<'_>] = &[
        ("a short letter", &short, 106, &[0, 1], true),
        ("of another kind", &short, 0, &[4], false),
        ("with a flag", &short, 1, &[1], false),
        ("number 0", &short, 106, &[0, 0], false),
        ("the last of 32", &short, 108, &[31, 32], true),
        ("the last of 33", &short, 108, &[32, 33], false),
        ("the first of 2, and short", &short, 108, &[0, 2], false),
        ("the first of none", &short, 108, &[0, 0], false),
        ("of a whole ten minutes", &short, 110, &on_time, true),
        ("of the second after", &short, 110, &late, false),
        ("empty", &short, 186, &[0, 0], false),
        ("longer than a part", &short, 186, &[2, 212], false),
        ("with something behind it", &short, 198, &[1], false),
        ("a full letter", &full, 108, &[0, 1], true),
        ("the first of 2", &full, 108, &[0, 2], true),
        ("the second of 1", &full, 108, &[1, 1], false),
        ("a dummy", &dummy, 106, &[0, 0], true),
        ("a dummy with a number", &dummy, 106, &[0, 1], false),
        ("the first of 2 of a dummy", &dummy, 108, &[0, 2], false),
        ("a dummy that is shorter by one", &dummy, 186, &[2, 210], false),
    ];
    taken(&line, ("letter", &caller), rows, &mut rng);
}

#[test]
fn an_event_that_no_honest_device_writes_is_refused_though_it_signed_it() {
    let mut rng = rng("malformed events");
    let line = Line::new(&mut rng);
    let to = Recipient { line: &line.id, period: PERIOD, purpose: Use::Desk, key: line.desk.public() };
    let stamp = EventStamp { device_seq: 3, previous: [6; 32], lamport: 8, time: NOW };
    let by = (&line.id, Use::Desk);
    let [short, full] = [10, 757].map(|len| TeamPart::sign(&stamp, zeros(0, 1, len), by, &line.device).seal(&to, &mut rng));
    // Of zeros, so that a shorter one has nothing behind it.
    let dummy = TeamPart { part: zeros(0, 1, 757), ..TeamPart::dummy(NOW, by, &line.device, &mut rng) }.seal(&to, &mut rng);
    let rows: &[Row<'_>] = &[
        ("a short event", &short, 150, &[0, 1], true),
        ("of another kind", &short, 0, &[4], false),
        ("with a flag", &short, 1, &[1], false),
        ("number 1", &short, 98, &[0, 0, 0, 0, 0, 0, 0, 1], true),
        ("number 0", &short, 98, &[0; 8], false),
        ("the last of 32", &short, 150, &[31, 32], true),
        ("the last of 33", &short, 150, &[32, 33], false),
        ("the first of 2, and short", &short, 150, &[0, 2], false),
        ("empty", &short, 152, &[0, 0], false),
        ("longer than a part", &short, 152, &[2, 246], false),
        ("with something behind it", &short, 164, &[1], false),
        ("the first of 2", &full, 150, &[0, 2], true),
        ("the second of 1", &full, 150, &[1, 1], false),
        ("a dummy", &dummy, 150, &[0, 1], true),
        ("a dummy with a number", &dummy, 105, &[1], false),
        ("a dummy with one before it", &dummy, 137, &[1], false),
        ("the first of 2 of a dummy", &dummy, 150, &[0, 2], false),
        ("a dummy that is shorter by one", &dummy, 152, &[2, 244], false),
    ];
    taken(&line, ("team", &line.device), rows, &mut rng);
}

const HER: CallerId = CallerId([7; 16]);
const LIVE_KEY: [u8; 32] = [2; 32];

fn place() -> Place {
    Place { relay_no: 0, seat: Seat::new(2).unwrap(), i: 5 }
}

/// An answer's part of so many zeros.
fn answer(len: usize) -> AnswerPart {
    AnswerPart { kind: Kind::Answer, answer: [5; 8], part: zeros(0, 1, len), ..AnswerPart::receipt(Receipt::default(), NOW) }
}

#[test]
fn an_answer_that_no_honest_desk_writes_is_refused_though_its_seat_signed_it() {
    let mut rng = rng("malformed answers");
    let (line, to) = (Line::new(&mut rng), (Track::Fast(&LIVE_KEY), place()));
    let mut seal = |part: AnswerPart| part.seal((&line.id, &HER), to, &line.seats[2], &mut rng);
    let (short, full) = (seal(answer(10)), seal(answer(854)));
    let receipt = seal(AnswerPart::receipt(Receipt { session: [1; 8], upto: 3, map: 0 }, NOW));
    let rows: &[(&str, &down::DownCell, usize, &[u8], bool)] = &[
        ("a receipt", &receipt, 0, &[0], true),
        ("a receipt with an answer's id", &receipt, 9, &[1], false),
        ("the second of 1 of a receipt", &receipt, 10, &[1], false),
        ("the first of 2 of a receipt", &receipt, 11, &[2], false),
        ("a receipt with content", &receipt, 112, &[0, 1], false),
        ("an answer", &short, 0, &[1], true),
        ("a stop", &short, 0, &[2], true),
        ("of another kind", &short, 0, &[3], false),
        ("a letter was taken back", &short, 1, &[1], true),
        ("a letter had been shown", &short, 1, &[2], true),
        ("both", &short, 1, &[3], false),
        ("another flag", &short, 1, &[4], false),
        ("without an id", &short, 2, &[0; 8], false),
        ("the last of 32", &short, 10, &[31, 32], true),
        ("the last of 33", &short, 10, &[32, 33], false),
        ("the first of 2, and short", &short, 10, &[0, 2], false),
        ("empty", &short, 112, &[0, 0], false),
        ("longer than a part", &short, 112, &[3, 87], false),
        ("with something behind it", &short, 124, &[1], false),
        ("the first of 2", &full, 10, &[0, 2], true),
        ("the second of 1", &full, 10, &[1, 1], false),
    ];
    let roster = line.roster();
    let reader = Reader { caller: &HER, roster: &roster, now: NOW };
    for (name, cell, at, with, taken) in rows {
        let cell = signed::down_cell(cell, to, (&line, &HER), (*at, with));
        let opened = down::open(&cell, to, &reader).map(|_| ());
        assert_eq!(opened, if *taken { Ok(()) } else { Err(CellError::Malformed) }, "{name}");
    }
}

#[test]
fn an_answer_is_fresh_within_a_day_of_now_or_of_its_slow_day_and_until_its_good_until() {
    let mut rng = rng("fresh answers");
    let line = Line::new(&mut rng);
    let (fast, day) = (Track::Fast(&LIVE_KEY), Track::Slow(&LIVE_KEY, 20_781));
    // `NOW` is the first second of day 20,781 with the usual slots, and of day 37,405,800 with slots of a second.
    let (usual, hasty) = (line.roster(), line.sign(&RosterBody { timing: Timing { slow_s: 1, ..PACE }, ..line.body() }));
    let minute = Track::Slow(&LIVE_KEY, 37_405_800);
    for (name, track, roster, sealed, good_until, fits) in [
        ("fast, a day old", fast, &usual, -86_400, 0, true),
        ("fast, a day and a second old", fast, &usual, -86_401, 0, false),
        ("fast, a day ahead", fast, &usual, 86_400, 0, true),
        ("fast, a day and a second ahead", fast, &usual, 86_401, 0, false),
        ("fast, past its good-until", fast, &usual, 0, -1, false),
        ("slow, sealed a day before its day", day, &usual, -86_400, 0, true),
        ("slow, a second earlier", day, &usual, -86_401, 0, false),
        ("slow, sealed a day after its day", day, &usual, 172_799, 0, true),
        ("slow, a second later", day, &usual, 172_800, 0, false),
        ("slow, past its good-until", day, &usual, 0, -1, false),
        ("of a short day, sealed an hour before it", minute, &hasty, -3600, 0, true),
        ("of a short day, a second earlier", minute, &hasty, -3601, 0, false),
        ("of a short day, sealed an hour after it", minute, &hasty, 3647, 0, true),
        ("of a short day, a second later", minute, &hasty, 3648, 0, false),
    ] {
        let part = AnswerPart { time: clock(sealed), good_until: clock(good_until), ..answer(10) };
        let cell = part.seal((&line.id, &HER), (track, place()), &line.seats[2], &mut rng);
        let opened = down::open(&cell, (track, place()), &Reader { caller: &HER, roster, now: NOW });
        assert_eq!(opened, if fits { Ok(part) } else { Err(CellError::OutOfTime) }, "{name}");
    }
}

#[test]
fn a_part_that_comes_twice_waits_and_one_that_contradicts_it_changes_nothing() {
    let part = |part, parts, byte| Part { part, parts, bytes: Zeroizing::new(vec![byte; 3]) };
    let mut join = Join::of(2);
    for (name, part, becomes, here) in [
        ("the second", part(1, 2, 8), Joined::Waiting, 1),
        ("the second again", part(1, 2, 8), Joined::Waiting, 1),
        ("the second with other content", part(1, 2, 9), Joined::Contradicts, 1),
        ("the second of 3", part(1, 3, 8), Joined::Contradicts, 1),
        ("the third of 2", part(2, 2, 8), Joined::Contradicts, 1),
        ("the first", part(0, 2, 7), Joined::Whole(Zeroizing::new(vec![7, 7, 7, 8, 8, 8])), 2),
        ("the first again", part(0, 2, 7), Joined::Waiting, 2),
        ("the first with other content", part(0, 2, 6), Joined::Contradicts, 2),
    ] {
        assert_eq!((join.take(&part), join.count()), (becomes, here), "{name}");
    }
}

#[test]
fn a_board_is_all_its_blobs_and_nothing_else() {
    let zeros = vec![0; 3 * 65_536];
    let board = |blobs, hashed: &[u8]| Board {
        to: DeviceId([1; 8]),
        ask: 2,
        root: [3; 16],
        relay: 4,
        blobs,
        hash: kdf::hash("desk/blobs", &[hashed]),
    };
    let mut changed = zeros[..131_072].to_vec();
    changed[131_071] = 1;
    for (name, board, bytes, is) in [
        ("two blobs", board(2, &zeros[..131_072]), &zeros[..131_072], true),
        ("a byte of them is another", board(2, &zeros[..131_072]), &changed[..], false),
        ("one blob, and its hash", board(2, &zeros[..65_536]), &zeros[..65_536], false),
        ("three blobs, and their hash", board(2, &zeros), &zeros[..], false),
    ] {
        assert_eq!(board.is_of(bytes), is, "{name}");
    }
}

/// Bytes that are read as they are, and refused with any of these set to a value that it must not have.
fn refused<T>(bytes: &[u8], changes: impl IntoIterator<Item = (usize, u8)>, parse: impl Fn(&[u8]) -> Result<T, BadBytes>) {
    assert!(parse(bytes).is_ok());
    assert!(parse(&bytes[1..]).is_err(), "a byte short");
    for (at, value) in changes {
        let mut bytes = bytes.to_vec();
        bytes[at] = value;
        assert!(parse(&bytes).is_err(), "{value} at {at}");
    }
}

#[test]
fn what_a_relay_answers_comes_back_as_it_was_and_with_nothing_where_zeros_are() {
    let mut rng = rng("answers of a relay");
    let line = Line::new(&mut rng);
    for roster in [None, Some(&line.roster())] {
        let notice = notice(roster, Timing { slow_days: 6, ..PACE }, [8; 80]);
        assert_eq!(Notice::parse(notice.to_bytes().as_slice()), Ok(notice.clone()));
        refused(notice.to_bytes().as_slice(), (4148..4160).map(|at| (at, 1)), Notice::parse);
    }
    for (code, outcome) in [(0, UpOutcome::Stored), (1, UpOutcome::Full), (2, UpOutcome::Stamp)] {
        let reply = UpReply { outcome, difficulty: 20, serial: 77, clock_ms: Millis(88) };
        assert_eq!(reply.to_bytes()[..2], [code, 20]);
        assert_eq!(UpReply::parse(&reply.to_bytes()), Ok(reply));
        refused(&reply.to_bytes(), [(0, 3), (14, 1), (15, 1)], UpReply::parse);
    }
    let slots = [(0, SlotOutcome::Written), (1, SlotOutcome::Taken), (2, SlotOutcome::NotOpen)];
    for (code, outcome) in [(0, DeskOutcome::Done), (1, DeskOutcome::Full), (3, DeskOutcome::Refused)] {
        for ((fast_code, fast), (slow_code, slow)) in slots.iter().flat_map(|fast| slots.map(|slow| (*fast, slow))) {
            let reply = DeskReply { outcome, fast, slow, serial: 77, clock_ms: Millis(88) };
            assert_eq!(reply.to_bytes()[..4], [code, fast_code, slow_code, 0]);
            assert_eq!(DeskReply::parse(&reply.to_bytes()), Ok(reply));
            refused(&reply.to_bytes(), [(0, 2), (0, 4), (1, 3), (2, 3), (3, 1)], DeskReply::parse);
        }
    }
}

#[test]
fn a_desk_beat_names_each_slot_or_none() {
    let none = [0xff; 8];
    let (five, six) = (5u64.to_be_bytes(), 6u64.to_be_bytes());
    for (fast_slot, slow_slot, head) in
        [(Some(5), Some(6), [five, six]), (Some(5), None, [five, none]), (None, Some(6), [none, six]), (None, None, [none, none])]
    {
        let beat = DeskBeat {
            fast_slot,
            slow_slot,
            floor: Floor { life: 7, n: 8 },
            fast_cell: Box::new([1; 1024]),
            slow_cell: Box::new([2; 1024]),
            team_cells: [Box::new([3; 2048]), Box::new([4; 2048])],
        };
        assert_eq!(beat.to_bytes()[..16], head.concat());
        assert_eq!(DeskBeat::parse(beat.to_bytes().as_slice()), Ok(beat));
    }
}

#[test]
fn a_page_of_the_lane_is_whole_groups_of_eight_cells_and_512_at_most() {
    let page = |first: u64, count: usize, len: usize| {
        let cells: Vec<UpCell> = (0..count).map(|nth| Box::new([nth as u8; 2048])).collect();
        let mut bytes = LanePage::header(0x0102, first, count as u32).to_vec();
        bytes.extend(cells.iter().flat_map(|cell| cell.iter()));
        bytes.resize(len, 0x5a);
        (LanePage { life: 0x0102, first, cells }, bytes)
    };
    for (count, len, last) in [(0, 24, 999), (1, 16_408, 1000), (8, 16_408, 1007), (9, 32_792, 1008), (512, 1_048_600, 1511)] {
        assert_eq!(LanePage::len_with(count), len);
        let (whole, bytes) = page(1000, count, len);
        assert!(LanePage::parse(&bytes).as_ref() == Ok(&whole), "{count} cells");
        assert_eq!(whole.last(), last, "{count} cells");
        refused(&bytes, (20..24).map(|at| (at, 1)), LanePage::parse);
        for other in [len - 1, len + 1, len + 16_384] {
            assert_eq!(LanePage::parse(&page(1000, count, other).1).err(), Some(BadBytes), "{count} cells in {other} bytes");
        }
    }
    assert_eq!(LanePage::len_with(513), 1_064_984);
    assert_eq!(LanePage::parse(&page(1000, 513, 1_064_984).1).err(), Some(BadBytes), "a cell more than a page holds");
    let far = LanePage::parse(&page(u64::MAX - 8, 8, 16_408).1).unwrap();
    assert_eq!(far.last(), u64::MAX - 1, "the last position that another can come after");
    assert_eq!(LanePage::parse(&page(u64::MAX - 7, 8, 16_408).1).err(), Some(BadBytes), "no position is left after them");
}
