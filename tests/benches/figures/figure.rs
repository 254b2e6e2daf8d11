//! One figure a line.
use std::time::{Duration, Instant};

/// Prints a figure.
pub(crate) fn say(name: &str, figure: f64, unit: &str) {
    println!("{name:<46}{figure:>12.2}  {unit}");
}

/// Prints a figure beside the aim it should stay below, and their ratio.
pub(crate) fn say_below(name: &str, figure: f64, unit: &str, aim: f64) {
    println!("{name:<46}{figure:>12.2}  {unit:<10}(aim <= {aim}; {:.2} times)", figure / aim);
}

/// The median time of one call, over `rounds` calls after one that warms up.
pub(crate) fn median<T>(rounds: usize, mut call: impl FnMut() -> T) -> Duration {
    std::hint::black_box(call());
    let mut times: Vec<Duration> = (0..rounds).map(|_| once(&mut call).0).collect();
    times.sort_unstable();
    times[rounds / 2]
}

/// The time of one call, and what it gave.
pub(crate) fn once<T>(call: impl FnOnce() -> T) -> (Duration, T) {
    let from = Instant::now();
    let given = std::hint::black_box(call());
    (from.elapsed(), given)
}

/// Milliseconds.
pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Microseconds.
pub(crate) fn us(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000_000.0
}

/// The time that this thread has spent on a core, without what others took: the figure to trust on a machine that is shared.
pub(crate) fn on_core() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split_whitespace().next().unwrap().parse().unwrap())
}
