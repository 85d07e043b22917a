//! The windows of one rank: for how long each thing has been true of it.
//!
//! Invariants: a window grows only by time between two samples of one incarnation, and starts
//! again when what it measures is interrupted. Deliberately absent: deadlines of its own.

use std::time::Duration;

use mainstay_types::{Incarnation, duration};

use super::{Health, Options, Sample};
use crate::cause::FenceReason;

/// What is known of one rank.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    /// The last sample's incarnation, processor time and, once it has joined, calls.
    seen: Option<(Incarnation, u64, Option<u64>)>,
    /// For how long it has been stopped.
    stopped: Duration,
    /// Whether it was stopped at the last sample, too.
    was_stopped: bool,
    /// For how long it has entered no call and waited in none, had it a processor.
    silent: Duration,
    /// For how long it has slept outside all calls.
    asleep: Duration,
    /// For how long it has owed an acknowledgement.
    owing: Duration,
    /// Whether a person was told that it sleeps.
    warned: bool,
    /// Whether this incarnation was found dead before.
    found_dead: bool,
}

impl Watch {
    /// Starts all windows again.
    pub(super) fn restart(&mut self) {
        self.stopped = Duration::ZERO;
        self.was_stopped = false;
        self.silent = Duration::ZERO;
        self.asleep = Duration::ZERO;
        self.owing = Duration::ZERO;
    }

    /// Enters a sample taken `since` after the last one.
    pub(super) fn look(&mut self, sample: &Sample, since: Duration, options: &Options) -> Health {
        let mut health = self.judge(sample, since, options);
        if let Health::Dead { again, .. } = &mut health {
            *again = std::mem::replace(&mut self.found_dead, true);
        }
        health
    }

    fn judge(&mut self, sample: &Sample, since: Duration, options: &Options) -> Health {
        // Before it joins, its lane speaks of an earlier incarnation.
        let calls = sample.joined.then_some(sample.calls);
        let now = (sample.incarnation, sample.cpu_ns, calls);
        let before = match self.seen.replace(now) {
            Some(before) if before.0 == sample.incarnation => before,
            _ => {
                let seen = Some(now);
                let was_stopped = sample.state == 'T';
                *self = Self { seen, was_stopped, ..Self::default() };
                return self.standing(sample);
            }
        };
        let ran = sample.cpu_ns > before.1;
        let was_stopped = std::mem::replace(&mut self.was_stopped, sample.state == 'T');
        match sample.state {
            'Z' | 'X' | 'x' => {
                // It has ended; its process descriptor tells.
                self.restart();
                return Health::Healthy;
            }
            't' => {
                self.restart();
                return Health::Suspended;
            }
            'T' => return self.stopped(since, was_stopped && !ran, options),
            _ => self.stopped = Duration::ZERO,
        }
        let waits = sample.joined && sample.wait.is_some();
        let starved = sample.state == 'R' && !ran && !waits;
        let counted = if starved || sample.held { Duration::ZERO } else { since };
        if let Some(dead) = self.owes(sample, counted, options) {
            return dead;
        }
        if waits || calls != before.2 {
            self.silent = Duration::ZERO;
            self.asleep = Duration::ZERO;
            self.warned = false;
            return Health::Healthy;
        }
        self.silent += counted;
        match options.hang_after {
            Some(limit) if self.silent >= limit => return self.hung(sample, limit, options),
            _ if starved => return Health::Starved,
            _ => {}
        }
        self.sleeps(sample, counted, ran, options)
    }

    /// A first sample proves nothing but what its state says.
    fn standing(&self, sample: &Sample) -> Health {
        match sample.state {
            'T' | 't' => Health::Suspended,
            _ => Health::Healthy,
        }
    }

    fn stopped(&mut self, since: Duration, still: bool, options: &Options) -> Health {
        // The first sample of a stop does not tell since when; if it ran in between, this is
        // another stop.
        self.stopped = if still { self.stopped + since } else { Duration::ZERO };
        if self.stopped < options.lost_after {
            return Health::Suspended;
        }
        let reason = FenceReason::Stopped;
        let why = format!("stopped for {}", duration::format(self.stopped));
        Health::Dead { reason, why, again: false }
    }

    fn owes(&mut self, sample: &Sample, counted: Duration, options: &Options) -> Option<Health> {
        if sample.epoch_acked {
            self.owing = Duration::ZERO;
            return None;
        }
        self.owing += counted;
        (self.owing >= options.rejoin_within).then(|| {
            let what = match (sample.joined, sample.in_call) {
                (false, _) => "has not joined",
                (true, true) => "has not come back from a call of Mainstay",
                (true, false) => "has made no call of Mainstay",
            };
            let owing = duration::format(self.owing);
            let reason = FenceReason::NoProgress;
            let why = format!("the epoch was raised {owing} ago and the rank {what} since");
            Health::Dead { reason, why, again: false }
        })
    }

    fn hung(&self, sample: &Sample, limit: Duration, options: &Options) -> Health {
        let how = if self.asleep >= options.lost_after { "asleep" } else { "computing or blocked" };
        let limit = duration::format(limit);
        let why = match sample.joined {
            true => format!("no call of Mainstay for {limit} (--hang-after), {how}"),
            false => format!("has not joined the job within {limit} (--hang-after), {how}"),
        };
        Health::Dead { reason: FenceReason::NoProgress, why, again: false }
    }

    fn sleeps(&mut self, sample: &Sample, since: Duration, ran: bool, options: &Options) -> Health {
        let in_call = sample.joined && sample.in_call;
        let asleep = !in_call && !ran && matches!(sample.state, 'S' | 'D');
        self.asleep = if asleep { self.asleep + since } else { Duration::ZERO };
        if self.warned || self.asleep < options.lost_after {
            return Health::Healthy;
        }
        self.warned = true;
        let then = match options.hang_after {
            Some(limit) => format!("it is killed after {} of it", duration::format(limit)),
            None => "it may do so for ever, as --hang-after is off".to_owned(),
        };
        let what = match sample.joined {
            true => "outside all calls of Mainstay",
            false => "and not joined the job",
        };
        let asleep = duration::format(self.asleep);
        Health::Warn(format!("has slept for {asleep} {what}; {then}"))
    }
}
