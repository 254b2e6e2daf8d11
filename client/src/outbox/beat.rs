//! Beats, and the outbox that holds them.

use core::time::Duration;

use rand_core::Rng;

use super::clock::Clock;

/// The shortest beat: a line may say less, but nobody sends faster.
const SHORTEST: Duration = Duration::from_millis(10);

/// A regular pulse: due at its phase and every length after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    length: Duration,
    next: Duration,
}

impl Beat {
    /// A pulse whose first sending goes at once, now, and outside of it; then one every `length`, at a phase that chance gives it.
    ///
    /// The second sending comes half a length to one and a half after the first, so that the moment of opening does not
    /// stay visible in every later one, and two are never close together.
    #[must_use]
    pub fn after_first(length: Duration, now: Duration, rng: &mut impl Rng) -> Self {
        let length = length.max(SHORTEST);
        Self { length, next: now + length / 2 + fraction(length, rng) }
    }

    /// A pulse whose first time is anywhere within its first length, as chance gives it.
    #[must_use]
    pub fn at_random(length: Duration, now: Duration, rng: &mut impl Rng) -> Self {
        let length = length.max(SHORTEST);
        Self { length, next: now + fraction(length, rng) }
    }

    /// A pulse that is due at a moment, and one `length` after it if nobody stops it.
    #[must_use]
    pub fn due_at(at: Duration, length: Duration) -> Self {
        Self { length: length.max(SHORTEST), next: at }
    }

    /// When it is due next.
    #[must_use]
    pub fn next(&self) -> Duration {
        self.next
    }

    /// When it was due last, however late it was taken.
    #[must_use]
    pub fn last(&self) -> Duration {
        self.next.saturating_sub(self.length)
    }

    /// The time between two pulses.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.length
    }

    /// Takes the pulse that is due at `now`, if one is. Pulses missed before it are gone.
    pub fn take(&mut self, now: Duration) -> bool {
        if now < self.next {
            return false;
        }
        let behind = (now - self.next).as_nanos() / self.length.as_nanos().max(1);
        let missed = u32::try_from(behind).unwrap_or(u32::MAX);
        self.next += self.length.saturating_mul(missed.saturating_add(1));
        if self.next <= now {
            // Only after an absence of 2³² beats.
            self.next = now + self.length;
        }
        true
    }
}

/// A random part of `length`, to the microsecond.
fn fraction(length: Duration, rng: &mut impl Rng) -> Duration {
    let micros = u64::try_from(length.as_micros()).unwrap_or(u64::MAX).max(1);
    // A remainder of 64 random bits: the bias is below one part in 2³⁰ for any beat under five hours.
    Duration::from_micros(rng.next_u64() % micros)
}

/// All beats of one client, each under its name.
#[derive(Debug, Clone)]
pub struct Outbox<K> {
    beats: Vec<(K, Beat)>,
}

impl<K: Copy + PartialEq> Outbox<K> {
    /// One without beats.
    #[must_use]
    pub fn new() -> Self {
        Self { beats: Vec::new() }
    }

    /// Sets the beat called `name`, in place of one of the same name.
    pub fn set(&mut self, name: K, beat: Beat) {
        self.stop(name);
        self.beats.push((name, beat));
    }

    /// Ends the beat called `name`.
    pub fn stop(&mut self, name: K) {
        self.beats.retain(|(known, _)| *known != name);
    }

    /// When the next beat is due; `None` without beats.
    #[must_use]
    pub fn next(&self) -> Option<Duration> {
        self.beats.iter().map(|(_, beat)| beat.next()).min()
    }

    /// When the beat called `name` was due last; `None` without one.
    #[must_use]
    pub fn last(&self, name: K) -> Option<Duration> {
        self.beats.iter().find(|(known, _)| *known == name).map(|(_, beat)| beat.last())
    }

    /// The beat that is due at `now` and has waited longest, if any is.
    pub fn take(&mut self, now: Duration) -> Option<K> {
        let (name, beat) = self.beats.iter_mut().min_by_key(|(_, beat)| beat.next())?;
        beat.take(now).then_some(*name)
    }

    /// Waits for the next beat and takes it. Never ends without beats. May be dropped while it waits: nothing is lost by that.
    pub async fn due(&mut self, clock: &impl Clock) -> K {
        loop {
            if let Some(name) = self.take(clock.elapsed()) {
                return name;
            }
            match self.next() {
                Some(at) => clock.sleep_until(at).await,
                None => core::future::pending().await,
            }
        }
    }
}

impl<K: Copy + PartialEq> Default for Outbox<K> {
    fn default() -> Self {
        Self::new()
    }
}
