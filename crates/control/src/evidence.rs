//! Which rank hangs, and how that is known: the table of evidence.
//!
//! Once a heartbeat the driver samples every rank; the table turns the samples into one finding
//! for each rank and into the job's deadlock, if there is one. `docs/protocols/evidence.md` has
//! the table as a table.
//!
//! Invariants: a rank that computes is never found dead without a deadline that the user declared
//! or a raised epoch; time in which the supervisor itself did not run, the job was suspended or
//! the rank had no processor, or nobody took its output, counts for nothing. Deliberately absent:
//! killing, which recovery orders when it is told of a suspect; clocks and `/proc`, which are the
//! driver's.

mod deadlock;
mod watch;

use std::time::Duration;

use mainstay_types::{Incarnation, Rank};

use self::deadlock::Standstill;
pub use self::deadlock::{Wait, who_waits};
use self::watch::Watch;
use crate::cause::FenceReason;

/// What a tick may be late beside its heartbeat before the supervisor counts as unscheduled.
const SLACK: Duration = Duration::from_millis(100);

/// The deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The time between two ticks.
    pub heartbeat: Duration,
    /// A rank that is stopped for this long is dead.
    pub lost_after: Duration,
    /// A rank that makes no call of Mainstay for this long is dead; `None` is never. One that has
    /// not joined has made none.
    pub hang_after: Option<Duration>,
    /// A rank that does not acknowledge a raised epoch within this time is dead.
    pub rejoin_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(250),
            lost_after: Duration::from_secs(5),
            hang_after: None,
            rejoin_within: Duration::from_secs(300),
        }
    }
}

/// One rank at one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub struct Sample {
    /// Which rank.
    pub rank: Rank,
    /// Which incarnation.
    pub incarnation: Incarnation,
    /// Its state in `/proc/PID/stat`, of the process that said hello.
    pub state: char,
    /// Processor time that it has used, user and system, ns.
    pub cpu_ns: u64,
    /// Whether it has said hello. Before that, the words of its lane are not its own.
    pub joined: bool,
    /// Whether it is in a call of Mainstay.
    pub in_call: bool,
    /// What it is parked for, if it is.
    pub wait: Option<Wait>,
    /// How many calls of Mainstay it has entered.
    pub calls: u64,
    /// Whether it owes no acknowledgement of a raised epoch.
    pub epoch_acked: bool,
    /// Whether it has written what nobody takes for now, so that it may be blocked in writing.
    pub held: bool,
}

/// What a tick says of one rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing speaks against it.
    Healthy,
    /// It is stopped, traced, or suspended with the whole job.
    Suspended,
    /// It wants a processor and gets none.
    Starved,
    /// Something that a person should know; said once until the rank makes a call again.
    Warn(String),
    /// It is as good as dead.
    Dead {
        /// Why.
        reason: FenceReason,
        /// The evidence.
        why: String,
        /// Whether this incarnation was found dead at an earlier tick, and is not reaped yet.
        again: bool,
    },
}

/// What a tick says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Whether the tick came so late that all windows were restarted.
    pub unscheduled: bool,
    /// A finding for each sample, in its order.
    pub ranks: Vec<(Rank, Health)>,
    /// Who waits for what, if all ranks wait for each other. Said once.
    pub deadlock: Option<Vec<(Rank, Wait)>>,
}

/// The table of evidence of one job.
#[derive(Clone, Debug)]
pub struct Evidence {
    options: Options,
    last: Option<Duration>,
    suspended: bool,
    /// Whether any rank has ever joined: before that, the program may not be one of ours.
    protected: bool,
    watches: Vec<Watch>,
    standstill: Standstill,
}

impl Evidence {
    /// A table for `n` ranks.
    #[must_use]
    pub fn new(n: u32, options: Options) -> Self {
        Self {
            options,
            last: None,
            suspended: false,
            protected: false,
            watches: (0..n).map(|_| Watch::default()).collect(),
            standstill: Standstill::default(),
        }
    }

    /// The launcher is about to stop itself and its ranks, as for Ctrl-Z.
    pub fn suspend(&mut self) {
        self.suspended = true;
        self.restart();
    }

    /// The launcher runs again and has continued its ranks.
    pub fn resume(&mut self) {
        self.suspended = false;
        self.restart();
    }

    /// Looks at all living ranks. `now` counts from any fixed moment; `rings_at_rest` was read
    /// after the samples and says that no ring holds a frame that its reader has memory for.
    pub fn tick(&mut self, now: Duration, samples: &[Sample], rings_at_rest: bool) -> Findings {
        let since = self.last.map_or(Duration::ZERO, |last| now.saturating_sub(last));
        self.last = Some(now);
        let unscheduled = since > self.options.heartbeat * 2 + SLACK;
        if unscheduled {
            self.restart();
        }
        let since = if unscheduled { Duration::ZERO } else { since };
        self.protected |= samples.iter().any(|sample| sample.joined);
        let mut ranks = Vec::with_capacity(samples.len());
        for sample in samples {
            let Some(watch) = self.watches.get_mut(sample.rank.index()) else {
                continue;
            };
            let health = if self.suspended {
                Health::Suspended
            } else if !self.protected {
                Health::Healthy
            } else {
                watch.look(sample, since, &self.options)
            };
            ranks.push((sample.rank, health));
        }
        let everyone = samples.len() == self.watches.len() && !self.suspended;
        let deadlock = self.standstill.look(samples, everyone && rings_at_rest);
        Findings { unscheduled, ranks, deadlock }
    }

    /// Forgets how long anything has lasted.
    fn restart(&mut self) {
        for watch in &mut self.watches {
            watch.restart();
        }
        self.standstill = Standstill::default();
    }
}
