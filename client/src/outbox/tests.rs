use core::time::Duration;
use std::sync::Mutex;

use porchlight_proto::time::Millis;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::{Beat, Clock, Outbox};

/// A clock that stands still until somebody sleeps, and then is there at once.
struct Leaping(Mutex<Duration>);

impl Leaping {
    fn at(start: Duration) -> Self {
        Self(Mutex::new(start))
    }

    fn leap(&self, by: Duration) {
        *self.0.lock().expect("one thread") += by;
    }
}

impl Clock for Leaping {
    fn elapsed(&self) -> Duration {
        *self.0.lock().expect("one thread")
    }

    fn wall(&self) -> Millis {
        Millis(u64::try_from(self.elapsed().as_millis()).expect("small"))
    }

    async fn sleep_until(&self, at: Duration) {
        let mut now = self.0.lock().expect("one thread");
        *now = at.max(*now);
    }
}

const TEN: Duration = Duration::from_secs(10);
const START: Duration = Duration::from_secs(1_000);

#[tokio::test]
async fn there_is_exactly_one_sending_in_each_beat() {
    for seed in 0..50 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let clock = Leaping::at(START);
        let mut outbox = Outbox::new();
        outbox.set("up", Beat::at_random(TEN, clock.elapsed(), &mut rng));
        let mut times = Vec::new();
        for _ in 0..20 {
            outbox.due(&clock).await;
            times.push(clock.elapsed());
        }
        assert!(times[0] - START < TEN, "seed {seed}");
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] == TEN), "seed {seed}");
    }
}

#[test]
fn the_first_sending_is_at_once_and_the_second_neither_close_nor_far() {
    let mut phases = Vec::new();
    for seed in 0..200 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let beat = Beat::after_first(TEN, START, &mut rng);
        let phase = beat.next() - START;
        assert!(phase >= TEN / 2 && phase < TEN * 3 / 2, "seed {seed}: {phase:?}");
        phases.push(phase);
    }
    phases.sort_unstable();
    phases.dedup();
    assert!(phases.len() > 190, "phases are random: {} different ones of 200", phases.len());
}

#[tokio::test]
async fn a_beat_missed_while_the_lid_was_closed_is_not_made_up_for() {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let clock = Leaping::at(START);
    let mut outbox = Outbox::new();
    outbox.set((), Beat::at_random(TEN, clock.elapsed(), &mut rng));
    outbox.due(&clock).await;
    let before = clock.elapsed();
    clock.leap(Duration::from_secs(3_601));
    outbox.due(&clock).await;
    assert_eq!(clock.elapsed(), before + Duration::from_secs(3_601), "the late one goes at once");
    outbox.due(&clock).await;
    assert_eq!((clock.elapsed() - before).as_secs() % 10, 0, "then the old phase goes on");
    assert_eq!(clock.elapsed(), before + Duration::from_secs(3_610));
}

#[test]
fn a_beat_taken_late_says_when_it_was_due() {
    let mut rng = ChaCha20Rng::seed_from_u64(10);
    let mut outbox = Outbox::new();
    outbox.set((), Beat::at_random(TEN, START, &mut rng));
    let due = outbox.next().expect("a beat");
    for (late, was_due) in [(Duration::from_millis(700), due), (TEN * 3 + Duration::from_secs(2), due + TEN * 3)] {
        assert_eq!(outbox.take(due + late), Some(()));
        assert_eq!(outbox.last(()), Some(was_due), "{late:?} late");
    }
    outbox.stop(());
    assert_eq!(outbox.last(()), None);
}

#[tokio::test]
async fn beats_of_different_lengths_keep_their_own_pace() {
    let mut rng = ChaCha20Rng::seed_from_u64(8);
    let clock = Leaping::at(START);
    let mut outbox = Outbox::new();
    outbox.set("up", Beat::at_random(TEN, START, &mut rng));
    outbox.set("fast", Beat::at_random(TEN * 3, START, &mut rng));
    let mut counts = (0, 0);
    while clock.elapsed() < START + TEN * 60 {
        match outbox.due(&clock).await {
            "up" => counts.0 += 1,
            _ => counts.1 += 1,
        }
    }
    assert!((59..=61).contains(&counts.0) && (19..=21).contains(&counts.1), "{counts:?}");
}

#[test]
fn a_line_that_asks_for_no_pause_gets_a_short_one() {
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let mut beat = Beat::at_random(Duration::ZERO, START, &mut rng);
    assert!(beat.length() >= Duration::from_millis(10));
    assert!(beat.take(START + TEN));
    assert!(beat.next() > START + TEN);
}

#[test]
fn an_outbox_without_beats_is_never_due() {
    let mut outbox: Outbox<u8> = Outbox::new();
    assert_eq!((outbox.next(), outbox.take(START)), (None, None));
}
