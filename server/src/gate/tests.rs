use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use porchlight_proto::stamp::StampFor;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::sources::{Source, Sources};
use super::stamps::SALT_MS;
use super::*;
use crate::chance::SeededChance;

const MINUTE: u64 = 60_000;

fn sources(count: u32) -> Vec<Source> {
    let sources = Arc::new(Sources::new(1, Arc::new(SeededChance::new(1))));
    (1..=count).map(|n| sources.seat(Some(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n))), Millis(0)).unwrap().source).collect()
}

/// Minutes in which some sources send all they can and one good client sends six cells each, evenly. Says how many of its cells were refused
/// three times, a second apart, out of `minutes × 6`.
fn failures(flooders: u32, minutes: u64, rng: &mut ChaCha20Rng) -> u32 {
    let all = sources(flooders + 1);
    let (good, bad) = all.split_last().unwrap();
    let chance = SeededChance::new(2);
    let share: Share<Source> = Share::new(3000);
    let (mut failed, mut tries) = (0, 0);
    for minute in 0..minutes {
        for tick in 0..600 {
            let now = Millis(minute * MINUTE + tick * 100);
            for _ in 0..100 {
                let source = bad[usize::try_from(rng.next_u32()).unwrap() % bad.len()];
                let _ = share.take(source, u64::MAX, now, &chance);
            }
            if tick % 100 == 50 {
                tries = 3;
            }
            if tries > 0 && tick % 10 == 0 {
                let is_in = share.take(*good, u64::MAX, now, &chance);
                tries = if is_in { 0 } else { tries - 1 };
                failed += u32::from(!is_in && tries == 0);
            }
        }
    }
    failed
}

#[test]
fn a_newcomer_gets_in_whoever_floods() {
    let seed = 77;
    println!("seed {seed}");
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    for flooders in [1, 5, 50] {
        assert_eq!(failures(flooders, 20, &mut rng), 0, "{flooders} flooding addresses");
    }
}

/// However often each of more than there are places asks: an open page, which asks once in ten seconds, gets its part.
#[test]
fn where_more_come_than_there_are_places_lots_are_drawn() {
    let mut rng = ChaCha20Rng::seed_from_u64(79);
    for (flooders, least) in [(200, 60), (750, 22), (3000, 3)] {
        let all = sources(flooders + 1);
        let (good, bad) = all.split_last().unwrap();
        let chance = SeededChance::new(2);
        let share: Share<Source> = Share::new(3000);
        let (mut got, mut total, minutes) = (0, 0, 10);
        for minute in 0..minutes {
            for tick in 0..600 {
                let now = Millis(minute * MINUTE + tick * 100);
                // All at once where a turn begins, as who knows it would, and as fast as they can from then on.
                let each = if tick % 100 == 0 { bad.len() } else { bad.len().min(100) };
                let from = usize::try_from(rng.next_u32()).unwrap() % bad.len();
                total += bad.iter().cycle().skip(from).take(each).filter(|one| share.take(**one, u64::MAX, now, &chance)).count();
                if tick % 100 == 57 {
                    got += u32::from(share.take(*good, u64::MAX, now, &chance));
                }
            }
        }
        println!("{flooders} who flood: {got} of {} cells of a page, {total} of theirs", minutes * 6);
        assert!(got >= least, "{flooders}: {got}");
        assert!(total <= 3000 * usize::try_from(minutes).unwrap(), "a cap is a cap");
        assert!(total >= 2400 * usize::try_from(minutes).unwrap(), "and is used: {total}");
    }
}

#[test]
fn where_room_is_scarce_a_newcomer_still_gets_in() {
    let mut rng = ChaCha20Rng::seed_from_u64(78);
    let all = sources(21);
    let (good, bad) = all.split_last().unwrap();
    let chance = SeededChance::new(2);
    let share: Share<Source> = Share::new(3000);
    let (mut got, minutes) = (0, 50);
    for minute in 0..minutes {
        for tick in 0..600 {
            let now = Millis(minute * MINUTE + tick * 100);
            for _ in 0..100 {
                let _ = share.take(bad[usize::try_from(rng.next_u32()).unwrap() % bad.len()], 33, now, &chance);
            }
            if tick % 100 == 50 {
                got += u32::from(share.take(*good, 33, now, &chance));
            }
        }
    }
    println!("{got} of {} cells", minutes * 6);
    assert!(got >= 10, "{got}");
}

#[test]
fn a_cap_is_a_cap_and_ends_with_its_minute() {
    let all = sources(500);
    let chance = SeededChance::new(2);
    let share: Share<Source> = Share::new(300);
    let mut taken: HashMap<Source, u32> = HashMap::new();
    for round in 0..50_000_usize {
        let source = all[round % all.len()];
        if share.take(source, u64::MAX, Millis(u64::try_from(round).unwrap()), &chance) {
            *taken.entry(source).or_default() += 1;
        }
    }
    assert!(taken.values().sum::<u32>() <= 300);
    assert!(taken.values().sum::<u32>() >= 240, "the cap is used");
    assert!(share.take(all[0], u64::MAX, Millis(MINUTE), &chance), "another minute");
    let alone = Share::of_one(300);
    let late = Millis(MINUTE - 1);
    let scarce: Share<Source> = Share::of_one(300);
    assert_eq!(
        (0..400).filter(|_| scarce.take(all[0], 20, late, &chance)).count(),
        20,
        "where room is scarce that much and no more"
    );
    assert_eq!(
        (0..400).filter(|_| alone.take(all[0], u64::MAX, late, &chance)).count(),
        300,
        "behind a front the whole cap is used"
    );
    let team = Share::new(7);
    let take = |device, count, at| team.take_many(DeviceId([device; 8]), count, 4, Millis(at));
    assert!(take(1, 2, 0) && take(1, 2, 0) && !take(1, 1, 0), "one device has its own end");
    assert!(take(2, 2, 0) && !take(2, 2, 0) && take(3, 1, 0) && !take(4, 1, 0), "and all together have one");
    assert!(take(1, 2, MINUTE));
}

#[test]
fn stamps_get_dearer_with_each_doubling_and_cheap_again_when_it_is_calm() {
    let load = Load::default();
    let at = Millis(10 * MINUTE);
    let mut count = 0;
    let mut count_to = |total| {
        while count < total {
            load.count(at);
            count += 1;
        }
        load.difficulty(at, 500)
    };
    for (posts, difficulty) in [(0, 0), (500, 0), (501, 8), (999, 8), (1000, 12), (2000, 16), (4000, 20), (100_000, 20)] {
        assert_eq!(count_to(posts), difficulty, "{posts} posts in this minute");
    }
    let load = Load::default();
    (0..1000).for_each(|_| load.count(at));
    for (later, difficulty) in [(MINUTE, 12), (MINUTE + 29_000, 8), (MINUTE + 31_000, 0), (2 * MINUTE, 0)] {
        assert_eq!(load.difficulty(at.plus(later), 500), difficulty, "{later} ms later");
    }
}

fn gate(cap: u32) -> LineGate {
    let root = porchlight_proto::sign::PublicKey::from_bytes([4; 32]);
    let settings = LineSettings {
        id: LineId::from_root(&root),
        root,
        gates: Vec::new(),
        relay_no: 0,
        timing: porchlight_proto::time::Timing::PRODUCTION,
        up_ttl_s: 10,
        desk_beat_ms: 10,
        cap_per_minute: cap,
        leave_to: "about:blank".into(),
        other_door: String::new(),
    };
    LineGate::new(
        &settings,
        Room::new(1 << 30, 4096, 259_200),
        Arc::new(SeededChance::new(u64::from(cap))),
        Quota::new(1 << 30),
        Arc::default(),
    )
}

/// A post that shows a stamp of so many bits for that salt and epoch, or one that says nothing.
fn post(gate: &LineGate, made_for: Option<([u8; 16], u32, u8)>, rng: &mut ChaCha20Rng) -> UpPost {
    let mut cell = Box::new([0; UP_CELL_LEN]);
    rng.fill_bytes(cell.as_mut_slice());
    let stamp =
        made_for.map_or([0; 32], |(salt, epoch, bits)| StampFor::cell(cell.as_slice(), &salt, &gate.id, epoch).mint(bits, rng));
    UpPost { stamp, cell }
}

/// Posts that say nothing, until they would have to.
fn keep_busy(gate: &LineGate, source: Source, now: Millis, rng: &mut ChaCha20Rng) {
    for _ in 0..60 {
        if gate.difficulty(now) > 0 {
            return;
        }
        assert_eq!(gate.admit(&post(gate, None, rng), source, 7, now), Admission::Admitted, "in peace any stamp will do");
    }
    panic!("sixty posts of a cap of sixty are no load");
}

#[test]
fn under_load_a_stamp_buys_one_look_and_only_one_of_this_epoch_or_the_last() {
    let gate = gate(60);
    let mut rng = ChaCha20Rng::seed_from_u64(12);
    let (all, now) = (sources(2), Millis(MINUTE - 1));
    let [source, flooder] = all[..] else { panic!() };
    let salt = gate.stamp_salt(now);
    keep_busy(&gate, source, now, &mut rng);
    let mut post = |stamp_of: Option<(u32, u8)>| post(&gate, stamp_of.map(|(epoch, bits)| (salt, epoch, bits)), &mut rng);
    let difficulty = gate.difficulty(now);
    assert!([8, 12].contains(&difficulty), "{difficulty}");
    let (weak, early, stale, good, last) =
        (post(None), post(Some((8, 20))), post(Some((5, 20))), post(Some((7, 12))), post(Some((6, 12))));
    for (name, post) in [("weak", &weak), ("of a later epoch", &early), ("of an epoch before the last", &stale)] {
        assert_eq!(gate.admit(post, source, 7, now), Admission::Stamp, "{name}");
    }
    assert_eq!(gate.difficulty(now), difficulty, "posts that did not pay make nobody else pay more");
    assert_ne!(gate.admit(&good, source, 7, now), Admission::Stamp);
    assert_eq!(gate.admit(&good, source, 7, now), Admission::Stamp, "spent");
    assert_ne!(gate.admit(&last, source, 7, now), Admission::Stamp);
    // Whoever pays and has had their share makes nobody pay more either.
    for _ in 0..500 {
        let _ = gate.admit(&post(Some((7, 12))), flooder, 7, now);
    }
    assert!(gate.difficulty(now) <= 12, "{}", gate.difficulty(now));
}

#[test]
fn stamps_cannot_be_saved_up() {
    let gate = gate(60);
    let mut rng = ChaCha20Rng::seed_from_u64(14);
    let source = sources(1)[0];
    let begin = Millis(7 * SALT_MS);
    let first = gate.stamp_salt(begin);
    let saved: Vec<UpPost> = (0..4).map(|_| post(&gate, Some((first, 7, 12)), &mut rng)).collect();
    let now = begin.plus(2 * SALT_MS - 1);
    // Whether somebody came in between makes no difference.
    gate.tend(begin.plus(SALT_MS), BootMillis(0), &[]);
    keep_busy(&gate, source, now, &mut rng);
    assert_ne!(gate.admit(&saved[0], source, 7, now), Admission::Stamp, "who was slow is not turned away");
    assert_eq!(gate.admit(&saved[0], source, 7, now), Admission::Stamp, "spent, though another salt is told meanwhile");
    let now = begin.plus(2 * SALT_MS + MINUTE - 1);
    keep_busy(&gate, source, now, &mut rng);
    assert_eq!(gate.admit(&saved[1], source, 7, now), Admission::Stamp, "its salt is over");
    let fresh = post(&gate, Some((gate.stamp_salt(now), 7, 12)), &mut rng);
    assert_ne!(gate.admit(&fresh, source, 7, now), Admission::Stamp, "a notice later she is served");
    // After a long silence nothing that was made before it counts.
    let later = now.plus(100 * SALT_MS + MINUTE - 1);
    keep_busy(&gate, source, later, &mut rng);
    for old in &saved[2..] {
        assert_eq!(gate.admit(old, source, 7, later), Admission::Stamp);
    }
}

#[test]
fn nobody_can_count_others_by_posting_until_a_bound_is_met() {
    // Somebody who knows the gate posts alone, minute after minute, and looks when they must pay and when they are refused.
    let gate = gate(300);
    let mut rng = ChaCha20Rng::seed_from_u64(13);
    let source = sources(1)[0];
    let (mut pays, mut refused) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
    for minute in 1..=16 {
        // Every other minute, so that the one before counts for nothing.
        let now = Millis(2 * minute * MINUTE - 1);
        let mut count = 0;
        while gate.difficulty(now) == 0 {
            assert_eq!(gate.admit(&post(&gate, None, &mut rng), source, 7, now), Admission::Admitted);
            count += 1;
        }
        pays.insert(count);
        let salt = gate.stamp_salt(now);
        while gate.admit(&post(&gate, Some((salt, 7, gate.difficulty(now))), &mut rng), source, 7, now) == Admission::Admitted {
            count += 1;
        }
        refused.insert(count);
    }
    for (what, counts) in [("must pay", pays), ("is refused", refused)] {
        let (first, last) = (counts.first().unwrap(), counts.last().unwrap());
        assert!(counts.len() > 10 && last - first > 30, "when somebody {what} tells how many others there are: {counts:?}");
    }
}

#[test]
fn a_salt_is_a_lines_own_and_over_when_as_many_stamps_were_spent_of_it_as_are_remembered() {
    assert_ne!(gate(1).stamp_salt(Millis(0)), gate(2).stamp_salt(Millis(0)), "by chance, not by name");
    let stamps = Stamps::new(Arc::new(SeededChance::new(11)), 20);
    let (line, now) = (LineId::from_bytes([1; 32]), Millis(7 * SALT_MS));
    let mut rng = ChaCha20Rng::seed_from_u64(11);
    let first = stamps.salt(now);
    let mut cell = Box::new([0; UP_CELL_LEN]);
    let mut pay = |salt: [u8; 16]| {
        rng.fill_bytes(cell.as_mut_slice());
        UpPost { stamp: StampFor::cell(cell.as_slice(), &salt, &line, 7).mint(10, &mut rng), cell: cell.clone() }
    };
    let earliest = pay(first);
    assert!(stamps.take(&earliest, &line, 7, 10, now));
    for _ in 1..20 {
        assert_eq!(stamps.salt(now), first);
        assert!(stamps.take(&pay(first), &line, 7, 10, now));
    }
    assert_ne!(stamps.salt(now), first);
    assert!(!stamps.take(&earliest, &line, 7, 10, now), "nothing spent is forgotten while its salt counts");
    assert!(stamps.take(&pay(first), &line, 7, 10, now), "the one before still counts");
}

#[test]
fn who_posted_is_forgotten_within_two_minutes_though_nobody_comes() {
    let gate = gate(3000);
    let mut rng = ChaCha20Rng::seed_from_u64(15);
    let all = sources(40);
    let now = Millis(7 * MINUTE - 1);
    for source in &all {
        assert_eq!(gate.admit(&post(&gate, None, &mut rng), *source, 7, now), Admission::Admitted);
    }
    assert_eq!(gate.share.known(), 80, "VOID: by what they sent and that they asked");
    gate.tend(now.plus(MINUTE), BootMillis(0), &[]);
    assert_eq!(gate.share.known(), 40, "for one more minute by what they sent");
    gate.tend(now.plus(2 * MINUTE), BootMillis(0), &[]);
    assert_eq!(gate.share.known(), 0);
}

/// Whoever read the clock and then waited for others to be looked at.
#[test]
fn a_moment_that_has_just_passed_begins_no_turn_or_minute_anew() {
    let (all, chance) = (sources(102), SeededChance::new(3));
    let share: Share<Source> = Share::new(3000);
    let (late, rest) = all.split_first().unwrap();
    let (first, rest) = rest.split_first().unwrap();
    assert!(rest.iter().all(|one| share.take(*one, u64::MAX, Millis(MINUTE - 1000), &chance)));
    assert!(share.take(*first, u64::MAX, Millis(MINUTE), &chance));
    assert_eq!(share.known(), 102, "VOID: of this minute, of the one before, and who asked in this turn");
    assert!(share.take(*late, u64::MAX, Millis(MINUTE - 1), &chance));
    assert_eq!(share.known(), 104);
}
