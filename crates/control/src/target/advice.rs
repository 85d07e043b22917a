//! What the intervals of a run have cost, and which would have cost least.
//!
//! Invariant: what was not measured is not guessed at. Deliberately absent: the budget and the drain,
//! which bound what is chosen and not what is best.

use std::time::Duration;

use mainstay_types::event::{Harsher, Level};

use super::Pace;
use super::failures::Mtbf;
use super::formula::{daly, overhead};
use super::reason::Interval;

/// What was measured of a level's versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// What each cost the program: the longest time that it held a rank up, and on disk the processor
    /// time of writing it.
    pub costs: Vec<Duration>,
    /// How long each took from its commit to its publication.
    pub durable: Vec<Duration>,
    /// The times between one and the next, whatever their reason.
    pub periods: Vec<Duration>,
    /// Bytes of each, and how long they were under way: to memory the time that a rank was held up, to
    /// disk the time from its commit to its publication.
    pub moved: Vec<(u64, Duration)>,
    /// How long each recovery took beside the work that was done again.
    pub restarts: Vec<Duration>,
}

/// A measured time: the median and the longest.
pub type Spread = Option<(Duration, Duration)>;

/// What is told of a level after a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Advice {
    /// The interval in force at the end.
    pub interval: Interval,
    /// How many versions came to the level.
    pub versions: usize,
    /// What one cost the program.
    pub cost: Spread,
    /// From the commit to the publication; `None` in memory.
    pub durable: Spread,
    /// The mean time between the failures that the level is for.
    pub mtbf: Mtbf,
    /// The share of the time that versions and failures are expected to take at the interval in
    /// force, or at the median of the times between versions if it follows from steps.
    pub expected: Option<f64>,
    /// The interval that costs least, for the median cost.
    pub best: Option<Duration>,
    /// The share of the time that it is expected to take.
    pub best_expected: Option<f64>,
    /// Bytes of a version, the median.
    pub bytes: Option<u64>,
    /// Bytes a second while one came to the level, the median.
    pub bandwidth: Option<u64>,
    /// What would be if failures came ten times as often.
    pub harsher: Harsher,
}

/// So many times as many failures are looked at, too: nobody knows their rate well.
const HARSHER: u32 = 10;

/// Says what a level's interval was worth.
#[must_use]
pub fn advise(pace: &Pace, level: Level, measured: &Measured) -> Advice {
    let (interval, mtbf) = (pace.interval(level), pace.mtbf(level));
    let cost = spread(&measured.costs);
    let restart = spread(&measured.restarts).map_or(Duration::ZERO, |(median, _)| median);
    let every = interval.every.or(spread(&measured.periods).map(|(median, _)| median));
    let best_for = |mean| cost.map(|(median, _)| daly(median, mean));
    let share = |every: Option<Duration>, mean| overhead(every?, cost?.0, mean, restart);
    let (best, mean) = (best_for(mtbf.mean), (mtbf.mean / HARSHER).max(Duration::from_nanos(1)));
    let harsher = Harsher {
        mtbf: mean,
        expected: share(every, mean),
        best: best_for(mean),
        best_expected: share(best_for(mean), mean),
    };
    let speeds = measured.moved.iter().filter(|(_, took)| !took.is_zero());
    Advice {
        interval,
        versions: measured.costs.len(),
        cost,
        durable: spread(&measured.durable),
        mtbf,
        expected: share(every, mtbf.mean),
        best,
        best_expected: share(best, mtbf.mean),
        bytes: median(measured.moved.iter().map(|(bytes, _)| *bytes)),
        bandwidth: median(speeds.map(|(bytes, took)| (*bytes as f64 / took.as_secs_f64()) as u64)),
        harsher,
    }
}

fn median(numbers: impl Iterator<Item = u64>) -> Option<u64> {
    let mut sorted: Vec<_> = numbers.collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

/// The median (the upper of two) and the longest.
fn spread(times: &[Duration]) -> Spread {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    Some((*sorted.get(sorted.len() / 2)?, *sorted.last()?))
}
