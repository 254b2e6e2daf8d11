//! Moments as people read them.

use porchlight_proto::time::Seconds;
use time::OffsetDateTime;

/// `2026-11-23 21:04 UTC`. A moment no calendar holds is given as it is.
pub(crate) fn spoken(moment: Seconds) -> String {
    match calendar(moment) {
        Some(at) => format!("{} {:02}:{:02} UTC", day(at), at.hour(), at.minute()),
        None => format!("second {}", moment.0),
    }
}

/// The same to the second: `2026-11-23 21:04:59 UTC`.
pub(crate) fn exact(moment: Seconds) -> String {
    match calendar(moment) {
        Some(at) => format!("{} {:02}:{:02}:{:02} UTC", day(at), at.hour(), at.minute(), at.second()),
        None => format!("second {}", moment.0),
    }
}

fn calendar(moment: Seconds) -> Option<OffsetDateTime> {
    i64::try_from(moment.0).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok())
}

fn day(at: OffsetDateTime) -> String {
    format!("{}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_said_in_utc() {
        assert_eq!(spoken(Seconds(0)), "1970-01-01 00:00 UTC");
        assert_eq!(spoken(Seconds(1_795_466_400)), "2026-11-23 20:40 UTC");
        assert_eq!(exact(Seconds(1_795_466_459)), "2026-11-23 20:40:59 UTC");
        assert_eq!(spoken(Seconds(u64::MAX)), "second 18446744073709551615");
    }
}
