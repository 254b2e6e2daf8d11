//! Where time comes from.

use core::future::Future;
use core::time::Duration;

use porchlight_proto::time::Millis;
use rustix::time::{ClockId, clock_gettime};

/// Time, as clients need it. An argument everywhere, so that tests own it.
pub trait Clock: Sync {
    /// Time that only moves forward, and moves while the machine sleeps. Its start means nothing.
    fn elapsed(&self) -> Duration;

    /// What the machine takes to be the time of day, in Unix milliseconds. May be wrong and may jump.
    fn wall(&self) -> Millis;

    /// Waits until [`Clock::elapsed`] has reached `at`.
    fn sleep_until(&self, at: Duration) -> impl Future<Output = ()> + Send;
}

/// The machine's own clocks: CLOCK_BOOTTIME and the wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// The longest uninterrupted sleep: the runtime's timers stand still while the machine is suspended, so long waits look again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        duration(clock_gettime(ClockId::Boottime))
    }

    fn wall(&self) -> Millis {
        let now = duration(clock_gettime(ClockId::Realtime));
        Millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    }

    async fn sleep_until(&self, at: Duration) {
        while let Some(left) = at.checked_sub(self.elapsed()).filter(|left| !left.is_zero()) {
            tokio::time::sleep(left.min(LOOK_AGAIN)).await;
        }
    }
}

/// A moment as the time since its clock's start; before it (a wall clock set to 1969) counts as the start.
fn duration(moment: rustix::time::Timespec) -> Duration {
    let seconds = u64::try_from(moment.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(moment.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}
