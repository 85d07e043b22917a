//! The table of intervals in the report: what versions cost, how often they came and why, and how
//! often they had better come.
//!
//! Invariant: what was not measured is a dash, and where nothing was, that is said. Deliberately
//! absent: the arithmetic; `control::target` does it.

use std::fmt::Write as _;
use std::time::Duration;

use mainstay_types::duration::format;
use mainstay_types::event::{Advice, Level, Stored};

use crate::ckpt::table::bytes;

/// A gain of less than a thousandth of the time is not worth a word.
const WORTH: f64 = 0.001;

/// The table; nothing for a job without checkpoints.
pub(crate) fn table(levels: &[Advice], stored: Option<&Stored>) -> String {
    if levels.is_empty() {
        return String::new();
    }
    if levels.iter().all(|advice| advice.cost.is_none()) {
        return "intervals: no version was captured, so nothing is known of their cost\n"
            .to_owned();
    }
    let mut text = String::from("intervals:\n");
    let heads = ["level", "versions", "bytes", "cost (most)", "durable (most)", "speed"];
    row(&mut text, heads, ["every", "best", "expected"]);
    for advice in levels {
        let speed = advice.bandwidth.map(|speed| format!("{}/s", bytes(speed)));
        let measured = [
            advice.interval.level.name(),
            &advice.versions.to_string(),
            &or_dash(advice.bytes.map(bytes)),
            &spread(advice.cost),
            &spread(advice.durable),
            &or_dash(speed),
        ];
        let intervals = [
            or_dash(advice.interval.every.map(format)),
            or_dash(advice.best.map(format)),
            format!("{}, {}", share(advice.expected), share(advice.best_expected)),
        ];
        row(&mut text, measured, intervals.each_ref().map(String::as_str));
    }
    for advice in levels {
        let level = advice.interval.level.name();
        let _infallible = writeln!(text, "  {level}: {}{}", advice.interval.text, best(advice));
    }
    for change in levels.iter().filter_map(change) {
        let _infallible = writeln!(text, "  {change}");
    }
    if let Some(stored) = stored {
        text.push_str(&storage(stored));
    }
    text
}

fn row(text: &mut String, measured: [&str; 6], intervals: [&str; 3]) {
    let [level, versions, size, cost, durable, speed] = measured;
    let [every, best, expected] = intervals;
    let _infallible = write!(
        text,
        "  {level:<7} {versions:>8}  {size:>9}  {cost:<19}  {durable:<19}  {speed:>11}  "
    );
    let _infallible = writeln!(text, "{every:>8}  {best:>8}  {expected}");
}

/// What would change the numbers of a level, and how much.
fn change(advice: &Advice) -> Option<String> {
    let (interval, mtbf) = match advice.interval.level {
        Level::Memory | Level::Partner | Level::Parity => ("--ckpt-every", "--mtbf"),
        Level::Disk => ("--disk-every", "--machine-mtbf"),
    };
    let gain = match (advice.expected, advice.best_expected) {
        (Some(now), Some(best)) => now - best,
        // Hardly anything gets on now.
        (None, Some(_)) => 1.0,
        _ => return None,
    };
    let level = advice.interval.level.name();
    let harsher = &advice.harsher;
    let then = format!(
        "{mtbf} {} (ten times the failures) would make it {}, and {} as it is",
        format(harsher.mtbf),
        or_dash(harsher.best.map(format)),
        share(harsher.expected)
    );
    Some(match gain > WORTH {
        true => format!(
            "{level}: {interval} {} would save {} of the time; {then}",
            or_dash(advice.best.map(format)).replace(' ', ""),
            share(Some(gain))
        ),
        false => format!("{level}: {then}"),
    })
}

/// What versions take, and which option would change that.
fn storage(stored: &Stored) -> String {
    let mut text = String::new();
    let (times, arenas) = (stored.arenas, bytes(stored.arenas_bytes));
    let _infallible = write!(text, "  arenas: {arenas}, {times} a rank (--ckpt-memory)");
    if stored.waits > 0 {
        let mend = match times {
            1 => "--ckpt-memory 2x, or a longer --disk-every",
            _ => "a longer --disk-every, or a faster --ckpt-dir",
        };
        let (waits, waited) = (stored.waits, format(stored.waited));
        let _infallible = write!(text, "; {waits} captures waited {waited} for one: {mend}");
    }
    text.push('\n');
    let (kept, size) = (stored.kept, bytes(stored.kept_bytes));
    let _infallible = write!(text, "  directory: {kept} versions of {size} (--keep)");
    if stored.archived > 0 {
        let (count, size) = (stored.archived, bytes(stored.archived_bytes));
        let _infallible = write!(text, ", {count} of {size} for good (--keep-every)");
    }
    text.push('\n');
    let scrubbed = &stored.scrubbed;
    if scrubbed.copies > 0 {
        let _infallible = writeln!(
            text,
            "  scrubbed: {} copies of {} in {} of a processor, {} damaged, {} of them mended",
            scrubbed.copies,
            bytes(scrubbed.bytes),
            format(scrubbed.cpu),
            scrubbed.damaged,
            scrubbed.mended
        );
    }
    text
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
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
    use mainstay_types::event::{Harsher, Interval, Level, Scrubbed};

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
            bytes: cost.map(|_| 6 << 20),
            bandwidth: cost.map(|_| 3 << 30),
            harsher: Harsher {
                mtbf: ms(86_400_000 * 3 / 10),
                expected: cost.map(|_| 0.0102),
                best: cost.map(|_| ms(6_000)),
                best_expected: cost.map(|_| 0.000_7),
            },
        }
    }

    #[test]
    fn what_would_change_the_numbers_is_named_with_its_option() {
        let times = (Duration::from_micros(2100), Duration::from_millis(4));
        let stored = Stored {
            arenas: 1,
            arenas_bytes: 6 << 20,
            waits: 3,
            waited: Duration::from_millis(250),
            kept: 2,
            kept_bytes: 12 << 20,
            archived: 1,
            archived_bytes: 6 << 20,
            scrubbed: Scrubbed {
                copies: 4,
                bytes: 9 << 20,
                damaged: 1,
                mended: 1,
                ..Scrubbed::default()
            },
        };
        let text = table(&[advice(Level::Memory, Some(times))], Some(&stored));
        for part in [
            "memory: --ckpt-every 19.0s would save 0.99 % of the time; --mtbf 7.2 h (ten times the \
             failures) would make it 6.00 s, and 1.0 % as it is",
            "arenas: 6.00 MiB, 1 a rank (--ckpt-memory); 3 captures waited 250 ms for one: \
             --ckpt-memory 2x, or a longer --disk-every",
            "directory: 2 versions of 12.0 MiB (--keep), 1 of 6.00 MiB for good (--keep-every)",
            "scrubbed: 4 copies of 9.00 MiB in 0 µs of a processor, 1 damaged, 1 of them mended",
        ] {
            assert!(text.lines().any(|line| line.trim_start() == part), "{part}: {text}");
        }
        // At the best interval already, only the rate of failures would change anything.
        let mut best = advice(Level::Memory, Some(times));
        best.expected = best.best_expected;
        assert!(!table(&[best], None).contains("would save"));
    }

    #[test]
    fn a_level_that_was_measured_has_its_numbers_and_the_other_says_that_it_was_not() {
        let times = (Duration::from_micros(2100), Duration::from_millis(4));
        let text = table(&[advice(Level::Memory, Some(times)), advice(Level::Disk, None)], None);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 7, "{text}");
        for part in
            ["6.00 MiB", "3.00 GiB/s", "2.1 ms (4.0 ms)", "210 ms", "19.0 s", "1.0 %, 0.02 %"]
        {
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
        assert_eq!(table(&[], None), "");
        assert!(table(&[advice(Level::Memory, None)], None).contains("no version was captured"));
    }
}
