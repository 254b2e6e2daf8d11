//! Durations as people write them: `90s`, `10m`, `2h`, `3d`.

use core::time::Duration;

/// The longest duration accepted: two years, longer than anything a line keeps.
const LONGEST_S: u64 = 2 * 366 * 86_400;

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DurationError {
    #[error("a duration is a number and a unit: 90s, 10m, 2h, 3d or 500ms")]
    Spelling,
    #[error("a duration is two years at most")]
    TooLong,
}

/// Reads a whole number and its unit; a number without unit is in seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_| DurationError::Spelling)?;
    let per_unit = match unit.trim() {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(DurationError::Spelling),
    };
    number.checked_mul(per_unit).filter(|ms| *ms <= LONGEST_S * 1_000).map(Duration::from_millis).ok_or(DurationError::TooLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, ms) in [("90s", 90_000), ("10m", 600_000), ("2h", 7_200_000), ("3d", 259_200_000), ("500ms", 500), ("7", 7_000), (" 5 s ", 5_000), ("0s", 0)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for (text, why) in [
            ("", DurationError::Spelling),
            ("s", DurationError::Spelling),
            ("-1s", DurationError::Spelling),
            ("1.5h", DurationError::Spelling),
            ("1w", DurationError::Spelling),
            ("1d12h", DurationError::Spelling),
            ("99999999999999999999s", DurationError::Spelling),
            ("18446744073709551615d", DurationError::TooLong),
            ("733d", DurationError::TooLong),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
    }
}
