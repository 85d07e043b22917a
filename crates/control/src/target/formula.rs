//! What an interval between versions costs, and which one costs least.
//!
//! An interval is counted from the begin of one version to the begin of the next, so the time that
//! a version costs is part of it. Failures are taken to be memoryless.
//!
//! Invariants: no interval is zero, none is infinite, and it grows with the cost and with the time
//! between failures. Deliberately absent: what a job affords and what a disk sustains.
//!
//! # Source
//! J. W. Young, "A first order approximation to the optimum checkpoint interval", CACM 17(9), 1974:
//! the root of twice the cost times the mean time between failures, right where the cost is small.
//! J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps", Future
//! Generation Computer Systems 22(3), 2006: the cost model, and two more terms of the series.

use std::time::Duration;

/// The longest interval that is ever given: a year. Sums of a few of them are durations.
const LONGEST_S: f64 = 365.0 * 86_400.0;
/// Durations are whole nanoseconds.
const SHORTEST_S: f64 = 1e-9;

/// The interval that costs least, by Daly's series.
///
/// The series holds for a cost below twice the mean time between failures. Beyond, Daly gives the
/// mean time itself as the time between two versions. The series ends at eight ninths of it, and so
/// it stays here: a jump upwards would give rarer versions to whom fails more often.
#[must_use]
pub fn daly(cost: Duration, mtbf: Duration) -> Duration {
    let (cost, mtbf) = (cost.as_secs_f64(), mtbf.as_secs_f64());
    let work = if cost < 2.0 * mtbf {
        let ratio = cost / (2.0 * mtbf);
        (2.0 * cost * mtbf).sqrt() * (1.0 + ratio.sqrt() / 3.0 + ratio / 9.0) - cost
    } else {
        mtbf * 8.0 / 9.0
    };
    seconds(work + cost)
}

/// Young's interval, the first term of the series.
#[must_use]
pub fn young(cost: Duration, mtbf: Duration) -> Duration {
    seconds((2.0 * cost.as_secs_f64() * mtbf.as_secs_f64()).sqrt())
}

/// The time that versions and failures are expected to take, as a share of the time of the work
/// itself; `None` if the job would hardly get on. `restart` is how long a failure takes beside the
/// work that is done again.
///
/// # Source
/// Daly 2006, the model without approximation: failures may also come in a version or a restart.
#[must_use]
pub fn overhead(
    interval: Duration,
    cost: Duration,
    mtbf: Duration,
    restart: Duration,
) -> Option<f64> {
    let (cost, mtbf) = (cost.as_secs_f64(), mtbf.as_secs_f64().max(SHORTEST_S));
    let interval = interval.as_secs_f64();
    let work = interval - cost;
    if work <= 0.0 {
        return None;
    }
    let total = mtbf * (restart.as_secs_f64() / mtbf).exp() * (interval / mtbf).exp_m1() / work;
    // Beyond a hundredfold there is nothing to be told apart.
    Some((total - 1.0).max(0.0)).filter(|share| *share < 100.0)
}

fn seconds(seconds: f64) -> Duration {
    // Also what is no number becomes a bound: the least.
    Duration::from_secs_f64(seconds.clamp(SHORTEST_S, LONGEST_S).max(SHORTEST_S))
}
