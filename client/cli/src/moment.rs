//! Moments as people read them.

use core::time::Duration;

use porchlight_proto::time::Seconds;
use time::{Date, Month, OffsetDateTime, Time};

use crate::duration;

/// A moment as people write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Now,
    At(Seconds),
    In(Duration),
}

impl When {
    /// The moment, if a duration counts from `from`.
    pub(crate) fn after(self, from: Seconds) -> Seconds {
        match self {
            Self::Now => from,
            Self::At(moment) => moment,
            Self::In(duration) => from.plus(duration.as_secs()),
        }
    }
}

/// Why a text is no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a moment is \"2026-11-28 20:00\" (UTC), now, or in so long: 2h")]
pub(crate) struct NoMoment;

/// Reads `now`, a duration, or a day and an hour in UTC.
pub(crate) fn parse(text: &str) -> Result<When, NoMoment> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("now") {
        return Ok(When::Now);
    }
    if let Ok(duration) = duration::parse(text) {
        return Ok(When::In(duration));
    }
    let text = text.strip_suffix("UTC").or_else(|| text.strip_suffix('Z')).unwrap_or(text).trim_end();
    let (day, hour) = text.split_once(['T', ' ']).ok_or(NoMoment)?;
    let mut day = day.splitn(3, '-').map(number);
    let (year, month, date) = (day.next().ok_or(NoMoment)??, day.next().ok_or(NoMoment)??, day.next().ok_or(NoMoment)??);
    let (hour, minute) = hour.trim().split_once(':').ok_or(NoMoment)?;
    let small = |number: i32| u8::try_from(number).map_err(|_| NoMoment);
    let month = Month::try_from(small(month)?).map_err(|_| NoMoment)?;
    let date = Date::from_calendar_date(year, month, small(date)?).map_err(|_| NoMoment)?;
    let time = Time::from_hms(small(number(hour)?)?, small(number(minute)?)?, 0).map_err(|_| NoMoment)?;
    let moment = OffsetDateTime::new_utc(date, time).unix_timestamp();
    u64::try_from(moment).map(|moment| When::At(Seconds(moment))).map_err(|_| NoMoment)
}

fn number(text: &str) -> Result<i32, NoMoment> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or(NoMoment)
}

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
    fn a_moment_is_read_as_it_is_said() {
        for (text, when) in [
            ("now", When::Now),
            ("2h", When::In(Duration::from_secs(7200))),
            ("2026-11-23 20:40", When::At(Seconds(1_795_466_400))),
            ("2026-11-23T20:40Z", When::At(Seconds(1_795_466_400))),
            (" 2026-11-23 20:40 UTC ", When::At(Seconds(1_795_466_400))),
        ] {
            assert_eq!(parse(text), Ok(when), "{text}");
        }
        for wrong in
            ["", "soon", "20:40", "2026-11-23", "2026-13-01 20:40", "2026-11-31 20:40", "2026-11-23 24:00", "1960-01-01 00:00"]
        {
            assert_eq!(parse(wrong), Err(NoMoment), "{wrong}");
        }
    }

    #[test]
    fn a_moment_is_said_in_utc() {
        assert_eq!(spoken(Seconds(0)), "1970-01-01 00:00 UTC");
        assert_eq!(spoken(Seconds(1_795_466_400)), "2026-11-23 20:40 UTC");
        assert_eq!(exact(Seconds(1_795_466_459)), "2026-11-23 20:40:59 UTC");
        assert_eq!(spoken(Seconds(u64::MAX)), "second 18446744073709551615");
    }
}
