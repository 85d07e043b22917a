//! Durations as users write them: `500ms`, `2s`, `5m`, `24h`, `7d`, `5y`.
//!
//! Invariant: what [`format()`] prints, [`parse`] reads back to within its printed precision.

use std::time::Duration;

/// Longer ones are mistakes, and would overflow where they are added up.
const LONGEST: Duration = Duration::from_secs(1_000_000 * 365 * 86_400);

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
    let number: f64 = number.parse().map_err(|_| bad())?;
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "y" => 365.25 * 86_400.0,
        _ => return Err(bad()),
    };
    match Duration::try_from_secs_f64(number * seconds) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        Ok(_) | Err(_) => Err(bad()),
    }
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
        for bad in ["", "5", "s", "-1s", "1e400y", "5 parsecs", "1..2s", "∞s", "9999999y"] {
            let error = parse(bad).unwrap_err();
            assert!(error.contains("24h"), "{bad}: {error}");
        }
        assert_eq!(format(Duration::from_micros(1500)), "1.5 ms");
    }
}
