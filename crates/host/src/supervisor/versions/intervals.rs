//! What is told of intervals: why versions come as often as they do, wishes, and advice at the end.
//!
//! Invariant: a reason is told when it first comes into force at a level, and again when the interval
//! has doubled or halved since, so that a measurement that varies does not fill the display.
//! Deliberately absent: the choice; `control::target` has it.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay_ckpt::Disk;
use mainstay_control::target::{Advice, Measured, advise};
use mainstay_types::event::{
    self, Checkpoint, Event, FailureRecord, Interval, Level, Stored, VersionState,
};
use mainstay_types::{Version, duration};

use super::Versions;

/// What was told, by level and the reason's name.
pub(super) type Told = BTreeMap<(Level, &'static str), Option<Duration>>;

const LEVELS: [Level; 2] = [Level::Memory, Level::Disk];

impl Versions {
    /// How often each level gets a version; nothing in a job without checkpoints.
    pub(crate) fn intervals(&self) -> Vec<Interval> {
        let levels = LEVELS.iter().filter(|_| self.directory.is_some());
        levels.map(|level| plain(self.pace.interval(*level))).collect()
    }

    /// Intervals and reasons that are to be told.
    pub(super) fn new_intervals(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for interval in self.intervals() {
            let key = (interval.level, interval.reason);
            if self.told_intervals.get(&key).is_some_and(|told| is_near(*told, interval.every)) {
                continue;
            }
            self.told_intervals.insert(key, interval.every);
            events.push(Event::Interval(interval));
        }
        events
    }

    /// A durable version is asked for; gives what to answer.
    pub(crate) fn ask(&mut self) -> String {
        if self.directory.is_none() {
            return "a version is asked for, and this run takes none".to_owned();
        }
        self.pace.ask();
        let mut text = "a version is asked for: the ranks capture it at a step soon".to_owned();
        if self.ready.len() < self.n as usize {
            text.push_str(", once all of them have protected state");
        }
        text
    }

    /// Whether a version is asked for and not committed.
    pub(crate) fn is_asked(&self) -> bool {
        self.pace.is_asked()
    }

    /// Tells how the end of the job is prepared for.
    pub(crate) fn prepares_end(&self, now: Duration, ends: Duration) -> String {
        let left = duration::format(ends.saturating_sub(now));
        format!("the job ends in {left} at the latest; a last version is captured in time before")
    }

    /// What each level's interval was worth.
    pub(crate) fn advice(&self, failures: &[FailureRecord]) -> Vec<event::Advice> {
        let levels = LEVELS.iter().filter(|_| self.directory.is_some());
        levels
            .map(|level| told(advise(&self.pace, *level, &self.measured(*level, failures))))
            .collect()
    }

    /// What versions took of memory and disk; nothing in a job without checkpoints.
    pub(crate) fn stored(&self, arenas: u8, arenas_bytes: u64) -> Option<Stored> {
        self.directory.as_ref()?;
        let (waits, waited) = self.room.waited();
        let scrubbed = self.scrubbing.totals;
        let mut stored =
            Stored { arenas, arenas_bytes, waits, waited, scrubbed, ..Stored::default() };
        for record in self.files.keys().filter_map(|version| self.ledger.record(*version)) {
            if record.disk() != Disk::Published {
                continue;
            }
            let (count, bytes) = match record.is_archived() {
                true => (&mut stored.archived, &mut stored.archived_bytes),
                false => (&mut stored.kept, &mut stored.kept_bytes),
            };
            *count += 1;
            *bytes = bytes.saturating_add(record.bytes());
        }
        Some(stored)
    }

    fn measured(&self, level: Level, failures: &[FailureRecord]) -> Measured {
        let there = |c: &&Checkpoint| match level {
            Level::Memory | Level::Partner | Level::Parity => c.state != VersionState::Void,
            Level::Disk => c.state == VersionState::Published,
        };
        let versions: Vec<_> = self.told.values().filter(there).collect();
        let at: Vec<_> = self
            .commits
            .iter()
            .filter(|(_, durable)| level == Level::Memory || *durable)
            .map(|(at, _)| *at)
            .collect();
        let periods = at.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        match level {
            Level::Memory | Level::Partner | Level::Parity => Measured {
                costs: versions.iter().map(|c| c.blocked_max).collect(),
                durable: Vec::new(),
                periods,
                moved: versions.iter().map(|c| (c.bytes, c.blocked_max)).collect(),
                restarts: failures.iter().map(restart).collect(),
            },
            // Nobody has measured how long it takes until somebody resumes the job.
            Level::Disk => Measured {
                costs: versions.iter().filter_map(|c| c.drain_cpu).collect(),
                durable: versions.iter().filter_map(|c| c.durable).collect(),
                periods,
                moved: versions.iter().filter_map(|c| Some((c.bytes, c.durable?))).collect(),
                restarts: Vec::new(),
            },
        }
    }

    /// Whether this version, now published, was asked for; gives what to answer.
    pub(super) fn answer(&self, version: Version) -> Option<Event> {
        let checkpoint = self.told.get(&version)?;
        let text = match checkpoint.why {
            "signal" => format!("version {version} is on disk, as asked"),
            "limit" => format!("version {version} is on disk, in time before the end"),
            _ => return None,
        };
        Some(Event::Note { text })
    }
}

/// A recovery without the work that was done again.
fn restart(failure: &FailureRecord) -> Duration {
    let phases = [failure.detect, failure.respawn, failure.restore];
    phases.into_iter().flatten().fold(Duration::ZERO, Duration::saturating_add)
}

/// Whether two intervals are less than a factor of two apart.
fn is_near(a: Option<Duration>, b: Option<Duration>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a < b.saturating_mul(2) && b < a.saturating_mul(2),
        (a, b) => a == b,
    }
}

fn plain(interval: mainstay_control::target::Interval) -> Interval {
    let mainstay_control::target::Interval { level, every, reason } = interval;
    Interval { level, every, reason: reason.name(), text: reason.to_string() }
}

fn told(advice: Advice) -> event::Advice {
    event::Advice {
        interval: plain(advice.interval),
        versions: advice.versions,
        cost: advice.cost,
        durable: advice.durable,
        mtbf: advice.mtbf.mean,
        mtbf_basis: advice.mtbf.basis.name(),
        expected: advice.expected,
        best: advice.best,
        best_expected: advice.best_expected,
        bytes: advice.bytes,
        bandwidth: advice.bandwidth,
        harsher: advice.harsher,
    }
}
