//! The table of intervals in the report: what versions cost, how often they came and why, and how
//! often they had better come.
//!
//! Invariant: what was not measured is a dash, and where nothing was, that is said. Deliberately
//! absent: the arithmetic; `control::target` does it.

use std::fmt::Write as _;
use std::time::Duration;

use mainstay_types::duration::format;
use mainstay_types::event::{Advice, Level};

/// The table; nothing for a job without checkpoints.
pub(crate) fn table(levels: &[Advice]) -> String {
    if levels.is_empty() {
        return String::new();
    }
    if levels.iter().all(|advice| advice.cost.is_none()) {
        return "intervals: no version was captured, so nothing is known of their cost\n"
            .to_owned();
    }
    let mut text = String::from("intervals:\n");
    row(
        &mut text,
        ["level", "versions", "cost (most)", "durable (most)", "every", "best", "expected"],
    );
    for advice in levels {
        row(
            &mut text,
            [
                advice.interval.level.name(),
                &advice.versions.to_string(),
                &spread(advice.cost),
                &spread(advice.durable),
                &advice.interval.every.map_or_else(|| "-".to_owned(), format),
                &advice.best.map_or_else(|| "-".to_owned(), format),
                &format!("{}, {}", share(advice.expected), share(advice.best_expected)),
            ],
        );
    }
    for advice in levels {
        let level = advice.interval.level.name();
        let _infallible = writeln!(text, "  {level}: {}{}", advice.interval.text, best(advice));
    }
    text
}

fn row(text: &mut String, cells: [&str; 7]) {
    let [level, versions, cost, durable, every, best, expected] = cells;
    let _infallible = writeln!(
        text,
        "  {level:<7} {versions:>8}  {cost:<19}  {durable:<19}  {every:>8}  {best:>8}  {expected}"
    );
}

/// A sentence on the best interval and what it rests on.
fn best(advice: &Advice) -> String {
    let (mtbf, basis) = (format(advice.mtbf), advice.mtbf_basis);
    let kind = match advice.interval.level {
        Level::Memory | Level::Partner | Level::Parity => "a rank fails",
        Level::Disk => "the machine is lost",
    };
    match advice.best {
        Some(best) => format!("; best is {} if {kind} every {mtbf} ({basis})", format(best)),
        None => "; nothing measured".to_owned(),
    }
}

fn spread(times: Option<(Duration, Duration)>) -> String {
    times.map_or_else(
        || "-".to_owned(),
        |(median, longest)| format!("{} ({})", format(median), format(longest)),
    )
}

/// A share of the time in percent, three digits.
fn share(share: Option<f64>) -> String {
    match share.map(|share| share * 100.0) {
        None => "-".to_owned(),
        Some(percent) if percent < 1.0 => format!("{percent:.2} %"),
        Some(percent) if percent < 10.0 => format!("{percent:.1} %"),
        Some(percent) => format!("{percent:.0} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_types::event::{Interval, Level};

    fn advice(level: Level, cost: Option<(Duration, Duration)>) -> Advice {
        let ms = Duration::from_millis;
        Advice {
            interval: Interval {
                level,
                every: Some(ms(210)),
                reason: "budget",
                text: "1 % of the time, at 2.1 ms each".to_owned(),
            },
            versions: usize::from(cost.is_some()) * 12,
            cost,
            durable: None,
            mtbf: ms(86_400_000 * 3),
            mtbf_basis: "assumed",
            expected: cost.map(|_| 0.0101),
            best: cost.map(|_| ms(19_000)),
            best_expected: cost.map(|_| 0.000_22),
        }
    }

    #[test]
    fn a_level_that_was_measured_has_its_numbers_and_the_other_says_that_it_was_not() {
        let times = (Duration::from_micros(2100), Duration::from_millis(4));
        let text = table(&[advice(Level::Memory, Some(times)), advice(Level::Disk, None)]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 6, "{text}");
        for part in ["2.1 ms (4.0 ms)", "210 ms", "19.0 s", "1.0 %, 0.02 %"] {
            assert!(lines[2].contains(part), "{part}: {text}");
        }
        assert!(lines[3].ends_with("-, -"), "{text}");
        assert!(
            lines[4].ends_with("best is 19.0 s if a rank fails every 3.0 d (assumed)"),
            "{text}"
        );
        assert!(lines[5].ends_with("nothing measured"), "{text}");
    }

    #[test]
    fn nothing_measured_is_said_and_no_checkpoints_need_no_table() {
        assert_eq!(table(&[]), "");
        assert!(table(&[advice(Level::Memory, None)]).contains("no version was captured"));
    }
}
