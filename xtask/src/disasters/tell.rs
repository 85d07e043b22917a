//! What a matrix prints: every cell that is wrong at once, then numbers by axes.
//!
//! Invariant: a cell that is wrong is told with the command that runs it alone.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::Report;
use super::live::Ran;

/// Tells a cell that is wrong or was not run, and how to run it alone.
pub(crate) fn wrong(report: &Report) {
    let (what, why) = match &report.ran {
        Ran::Well(_) => return,
        Ran::Missed(why) => ("NOT RUN", why),
        Ran::Wrong(why) => ("WRONG", why),
    };
    eprintln!("{what} {}: {why}", report.name);
    eprintln!("    cargo xtask disasters --all --only '{}'", report.name);
}

/// The axes of a cell by which numbers are told: all but its last two, or its first three.
fn axes(name: &str) -> String {
    let words: Vec<_> = name.split('/').collect();
    let count = match words[0] {
        "live" => 4,
        "disk" => 3,
        _ => 2,
    };
    words[..count.min(words.len())].join("/")
}

/// Numbers of cells that share their axes.
#[derive(Debug, Default)]
struct Sum {
    cells: usize,
    well: usize,
    missed: usize,
    wrong: usize,
    outcomes: BTreeMap<&'static str, usize>,
}

impl Sum {
    fn add(&mut self, ran: &Ran) {
        self.cells += 1;
        match ran {
            Ran::Well(outcome) => {
                self.well += 1;
                *self.outcomes.entry(outcome.name()).or_default() += 1;
            }
            Ran::Missed(_) => self.missed += 1,
            Ran::Wrong(_) => self.wrong += 1,
        }
    }

    fn line(&self) -> String {
        let outcomes = self.outcomes.iter().map(|(name, count)| format!("{name} {count}"));
        let outcomes = outcomes.collect::<Vec<_>>().join(", ");
        format!("{} cells, {} ran: {outcomes}", self.cells, self.cells - self.missed)
    }
}

/// Prints the numbers. Returns how many cells are wrong or were not run.
pub(crate) fn all(reports: &[Report], as_json: bool, took: Duration) -> usize {
    let (mut sums, mut total) = (BTreeMap::<String, Sum>::new(), Sum::default());
    for report in reports {
        sums.entry(axes(&report.name)).or_default().add(&report.ran);
        total.add(&report.ran);
    }
    let again = reports.iter().filter(|report| report.again).count();
    let slowest = reports.iter().max_by_key(|report| report.took);
    if as_json {
        for report in reports {
            let (outcome, why) = match &report.ran {
                Ran::Well(outcome) => (outcome.name(), None),
                Ran::Missed(why) => ("not run", Some(why)),
                Ran::Wrong(why) => ("wrong", Some(why)),
            };
            let took_ms = report.took.as_secs_f64() * 1e3;
            println!(
                "{}",
                json!({"cell": report.name, "outcome": outcome, "why": why, "took_ms": took_ms})
            );
        }
        println!(
            "{}",
            json!({"cells": total.cells, "not_run": total.missed, "wrong": total.wrong,
            "again": again, "outcomes": total.outcomes, "seconds": took.as_secs_f64()})
        );
        return total.wrong + total.missed;
    }
    for (axes, sum) in &sums {
        println!("  {axes}: {}", sum.line());
    }
    println!("disasters: {}", total.line());
    if let Some(slowest) = slowest {
        println!(
            "slowest {:.1} s: {}; {again} ran a second time, with slower steps, as their fault had not struck",
            slowest.took.as_secs_f64(),
            slowest.name
        );
    }
    println!(
        "disasters: {} wrong, {} not run, {:.1} s",
        total.wrong,
        total.missed,
        took.as_secs_f64()
    );
    total.wrong + total.missed
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Outcome;
    use super::*;

    fn report(name: &str, ran: Ran) -> Report {
        Report { name: name.to_owned(), ran, took: Duration::ZERO, again: false }
    }

    #[test]
    fn what_is_wrong_or_did_not_strike_counts() {
        let reports = [
            report("live/memory/plain/2x/ranks1/at published#1", Ran::Well(Outcome::Memory)),
            report("disk/plain/newest/header/flip", Ran::Missed("late".into())),
            report("random/plain/7", Ran::Wrong("other bits".into())),
        ];
        assert_eq!(all(&reports, false, Duration::ZERO), 2);
        assert_eq!(axes(&reports[0].name), "live/memory/plain/2x");
        assert_eq!(axes(&reports[1].name), "disk/plain/newest");
        assert_eq!(axes(&reports[2].name), "random/plain");
    }
}
