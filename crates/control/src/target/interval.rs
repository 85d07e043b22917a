//! The interval of each level, and which of its bounds is in force.
//!
//! A version in memory is for the death of ranks and costs the time that it holds them up. One on
//! disk is for the loss of the launcher or of the machine, and costs beside that the processor time
//! of writing it, which ranks that use all processors must do without. Each level has its own rate of
//! failures and its own best interval; to first order they do not depend on each other.
//!
//! Invariants: never rarer than one percent of the time affords, never more often than the drain
//! sustains; if the two disagree, the drain wins. A level on disk never has more versions than memory,
//! which each of them passes. What is planned with is a median of the last measurements, and one within
//! a fifth of that in force changes nothing.
//! Deliberately absent: steps, and intervals that a user chose.
//!
//! # Source
//! The levels: N. H. Vaidya, "A case for two-level distributed recovery schemes", SIGMETRICS 1995;
//! A. Moody and others, "Design, modeling, and evaluation of a scalable multi-level checkpointing
//! system", SC 2010; A. Benoit and others, "Towards optimal multi-level checkpointing", IEEE
//! Transactions on Computers 66(7), 2017, whose first-order pattern has one such root for each level.

use std::collections::VecDeque;
use std::time::Duration;

use mainstay_types::event::Level;

use super::failures::{Failures, Mtbf};
use super::formula::daly;
use super::reason::{Interval, Reason};

/// Versions may cost one part in so many of the time, at each level.
const BUDGET_PARTS: u32 = 100;
/// The shortest interval that is ever chosen for memory.
const SHORTEST: Duration = Duration::from_millis(20);
/// The shortest for disk: what is small is cheap to write, but file systems are shared.
const SHORTEST_ON_DISK: Duration = Duration::from_secs(1);
/// The first version of a job whose cost is not known yet is due this long after its start.
const FIRST_AFTER: Duration = Duration::from_millis(100);

/// Of so many measurements the median counts: one that was held up by something else does not.
const LAST: usize = 5;

/// A measured time that does not follow every measurement.
#[derive(Clone, Debug, Default, PartialEq)]
struct Steady {
    /// The last few, oldest first.
    last: VecDeque<Duration>,
    /// What is planned with.
    held: Option<Duration>,
}

impl Steady {
    fn add(&mut self, new: Duration) {
        self.last.push_back(new);
        if self.last.len() > LAST {
            self.last.pop_front();
        }
        let mut sorted: Vec<_> = self.last.iter().copied().collect();
        sorted.sort_unstable();
        self.held = Some(steady(self.held, sorted[sorted.len() / 2]));
    }
}

/// The old value, unless the new one is a fifth away from it.
fn steady(old: Option<Duration>, new: Duration) -> Duration {
    old.filter(|old| new.abs_diff(*old) <= *old / 5).unwrap_or(new)
}

/// What versions cost and how often there are failures, as measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Costs {
    blocked: Steady,
    written: Steady,
    drain: Steady,
    ranks: Failures,
    machine: Failures,
    /// That of the ranks, as it is planned with.
    mtbf: Option<Mtbf>,
}

impl Costs {
    pub(super) fn new(ranks: Option<Duration>, machine: Option<Duration>) -> Self {
        Self {
            blocked: Steady::default(),
            written: Steady::default(),
            drain: Steady::default(),
            ranks: Failures::new(ranks),
            machine: Failures::new(machine),
            mtbf: None,
        }
    }

    pub(super) fn started(&mut self, now: Duration) {
        self.ranks.started(now);
    }

    pub(super) fn failed(&mut self, now: Duration) {
        self.ranks.failed();
        self.mtbf = Some(self.ranks.mtbf(now));
    }

    /// For so long nothing could fail.
    pub(super) fn suspended(&mut self, paused: Duration) {
        self.ranks.suspended(paused);
    }

    /// A version in memory held a rank up for so long.
    pub(super) fn blocked(&mut self, now: Duration, blocked: Duration) {
        self.blocked.add(blocked);
        let new = self.ranks.mtbf(now);
        let mean = steady(self.mtbf.map(|old| old.mean), new.mean);
        self.mtbf = Some(Mtbf { mean, ..new });
    }

    /// A version took so long to become durable, with so much processor time.
    pub(super) fn drained(&mut self, took: Duration, cpu: Duration) {
        self.drain.add(took);
        self.written.add(cpu);
    }

    /// The mean time between the failures that a level is for.
    pub(super) fn mtbf(&self, level: Level) -> Mtbf {
        match level {
            Level::Memory | Level::Partner | Level::Parity => {
                self.mtbf.unwrap_or_else(|| self.ranks.mtbf(Duration::ZERO))
            }
            Level::Disk => self.machine.mtbf(Duration::ZERO),
        }
    }

    /// The interval of each level.
    pub(super) fn intervals(&self) -> [Interval; 2] {
        let ranks = self.mtbf(Level::Memory);
        let machine = self.mtbf(Level::Disk);
        let Some(blocked) = self.blocked.held else {
            let first = |level| Interval { level, every: Some(FIRST_AFTER), reason: Reason::First };
            return [first(Level::Memory), first(Level::Disk)];
        };
        let mut memory = bounded(blocked, ranks, SHORTEST);
        let mut disk = match self.written.held {
            Some(cpu) => bounded(cpu, machine, SHORTEST_ON_DISK),
            None => (SHORTEST_ON_DISK.max(memory.0), Reason::First),
        };
        if let Some(cpu) = self.written.held.filter(|_| disk.0 < memory.0) {
            // Each version goes to disk, and pays for both levels against both kinds of failure.
            let cost = blocked.saturating_add(cpu);
            let (a, b) = (ranks.mean.as_secs_f64(), machine.mean.as_secs_f64());
            let both = Duration::from_secs_f64(a * b / (a + b)).max(Duration::from_nanos(1));
            let mtbf = Mtbf { mean: both, ..if a < b { ranks } else { machine } };
            let every = daly(cost, both).clamp(disk.0, memory.0);
            memory =
                (every, if every == memory.0 { memory.1 } else { Reason::Daly { cost, mtbf } });
            disk = memory;
        }
        if let Some(took) = self.drain.held.filter(|took| *took > disk.0) {
            disk = (took, Reason::Drain { took });
        }
        let of = |level, (every, reason)| Interval { level, every: Some(every), reason };
        [of(Level::Memory, memory), of(Level::Disk, disk)]
    }
}

/// The best interval, never rarer than the budget affords, never below `shortest`.
fn bounded(cost: Duration, mtbf: Mtbf, shortest: Duration) -> (Duration, Reason) {
    let mut chosen = (daly(cost, mtbf.mean), Reason::Daly { cost, mtbf });
    let afforded = cost.saturating_mul(BUDGET_PARTS);
    if afforded < chosen.0 {
        chosen = (afforded, Reason::Budget { cost });
    }
    if shortest > chosen.0 {
        chosen = (shortest, Reason::Shortest);
    }
    chosen
}
