//! Durations as users write them: `500ms`, `2s`, `5m`, `24h`, `7d`, `5y`.
//!
//! Invariants: what [`format()`] prints, [`parse`] reads back to within its printed precision; what
//! is written exactly to the nanosecond is read so, however long it is.

use std::time::Duration;

/// Longer ones are mistakes, and would overflow where they are added up.
const LONGEST: Duration = Duration::from_secs(1_000_000 * 365 * 86_400);
/// Digits behind the point that are looked at: more than a nanosecond of a year needs.
const DECIMALS_MAX: usize = 18;

/// Reads a duration with its unit.
///
/// # Errors
/// A sentence that names the text and shows what would be accepted.
pub fn parse(text: &str) -> Result<Duration, String> {
    let bad = || {
        format!("`{text}` is not a duration: write a number and a unit, as 500ms, 2s, 5m or 24h")
    };
    let unit_at = text.find(|c: char| c != '.' && !c.is_ascii_digit()).ok_or_else(bad)?;
    let (number, unit) = text.split_at(unit_at);
    let unit_ns: u128 = match unit.strip_prefix(' ').unwrap_or(unit) {
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" | "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        // 365.25 days.
        "y" => 31_557_600_000_000_000,
        _ => return Err(bad()),
    };
    let ns = times(number, unit_ns).ok_or_else(bad)?;
    let seconds = u64::try_from(ns / 1_000_000_000).map_err(|_| bad())?;
    let duration = Duration::from_secs(seconds) + Duration::from_nanos((ns % 1_000_000_000) as u64);
    if duration <= LONGEST { Ok(duration) } else { Err(bad()) }
}

/// A decimal number times `unit`, to the nearest whole. In integers: doubles have too few digits
/// for the nanoseconds of a month.
fn times(number: &str, unit: u128) -> Option<u128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !(digits(whole) && digits(part)) || whole.len() + part.len() == 0 {
        return None;
    }
    let value = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u128>().ok() };
    let part = &part[..part.len().min(DECIMALS_MAX)];
    let scale = 10_u128.pow(part.len() as u32);
    let part = value(part)?.checked_mul(unit)?.checked_add(scale / 2)? / scale;
    value(whole)?.checked_mul(unit)?.checked_add(part)
}

/// A duration for people, three digits and a unit.
#[must_use]
pub fn format(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 0.01 => format!("{:.1} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 10.0 => format!("{s:.2} s"),
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.1} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} d", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_required_and_understood() {
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse("24h"), Ok(Duration::from_secs(86_400)));
        for bad in [
            "",
            "5",
            "s",
            ".s",
            "-1s",
            "1e400y",
            "5 parsecs",
            "5  s",
            "1..2s",
            "1.2.3s",
            "∞s",
            "9999999y",
            "999999999999999999999999999999999999999999y",
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains("24h"), "{bad}: {error}");
        }
        assert_eq!(format(Duration::from_micros(1500)), "1.5 ms");
    }

    #[test]
    fn every_nanosecond_is_read_as_written() {
        assert_eq!(parse("0.001us"), Ok(Duration::from_nanos(1)));
        assert_eq!(parse(".0005us"), Ok(Duration::from_nanos(1)));
        assert_eq!(parse("1.us"), Ok(Duration::from_micros(1)));
        // Doubles lose the last digit of both.
        assert_eq!(parse("9007199254740.993us"), Ok(Duration::from_nanos(9_007_199_254_740_993)));
        assert_eq!(parse("4503599627.370497001s"), {
            Ok(Duration::new(4_503_599_627, 370_497_001))
        });
        assert_eq!(parse("1000000.5y").ok(), None);
        assert_eq!(parse(&format!("0.{}1y", "0".repeat(400))), Ok(Duration::ZERO));
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for ns in [0, 400, 700_000, 999_700, 1_500_000, 250_000_000, 9_999_000_000] {
            let time = Duration::from_nanos(ns);
            for time in [time, time * 100, time * 100_000] {
                let printed = format(time);
                let read = parse(&printed).unwrap();
                assert!(read.abs_diff(time) <= time / 20 + Duration::from_nanos(500), "{printed}");
            }
        }
    }
}
