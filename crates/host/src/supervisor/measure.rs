//! The phases of each recovery, and the time that was lost.
//!
//! A failure's phases are: stamp before the injected signal → epoch raised → hello of the new
//! incarnation → the last rank has its state → the last rank has again completed the highest step
//! any had completed. Invariant: phases of one failure never overlap; lost time counts a recovery
//! with several failures once. Deliberately absent: any influence on the recovery.

use std::time::Duration;

use mainstay_types::event::{FailureRecord, Summary};
use mainstay_types::{Incarnation, Rank, Step};

/// Looking more often than this gains nothing.
const LOOK_LEAST: Duration = Duration::from_millis(1);

/// A failure whose recovery is under way.
#[derive(Debug)]
struct Open {
    /// Its place among the summary's failures.
    index: usize,
    rank: Rank,
    incarnation: Incarnation,
    raised: Duration,
    hello: Option<Duration>,
    restored: Option<Duration>,
}

#[derive(Debug, Default)]
pub(crate) struct Measure {
    open: Vec<Open>,
    /// When the recovery that is under way began to cost time.
    since: Option<Duration>,
    raised: Duration,
    /// The step that all must complete again.
    goal: u64,
    restored: Option<Duration>,
    /// Inputs that came too late to matter.
    pub(crate) dropped: u64,
}

impl Measure {
    /// The epoch was raised; `highest` is the highest step any rank had completed.
    pub(crate) fn raised(&mut self, now: Duration, highest: u64) {
        self.raised = now;
        self.goal = self.goal.max(highest);
        self.restored = None;
        self.since.get_or_insert(now);
    }

    /// A rank failed; gives the time to notice it, if `stamp` tells when it was struck.
    pub(crate) fn failed(
        &mut self,
        mut record: FailureRecord,
        stamp: Option<Duration>,
        now: Duration,
        summary: &mut Summary,
    ) -> Option<Duration> {
        let raised = if self.since.is_some() { self.raised } else { now };
        // A job that ends for this failure raises no epoch after it.
        record.detect = stamp.and_then(|stamp| raised.checked_sub(stamp));
        let began = stamp.unwrap_or(raised).min(raised);
        self.since = Some(self.since.map_or(began, |since| since.min(began)));
        let detect = record.detect;
        let (rank, incarnation) = (record.rank, record.incarnation);
        let index = summary.failures.len();
        summary.failures.push(record);
        self.open.push(Open { index, rank, incarnation, raised, hello: None, restored: None });
        detect
    }

    /// An incarnation said hello.
    pub(crate) fn hello(
        &mut self,
        rank: Rank,
        incarnation: Incarnation,
        now: Duration,
        summary: &mut Summary,
    ) {
        for open in &mut self.open {
            if open.rank == rank && open.incarnation < incarnation && open.hello.is_none() {
                open.hello = Some(now);
                summary.failures[open.index].respawn = Some(now.saturating_sub(open.raised));
            }
        }
    }

    /// Every rank has its state: of a version, or of the start of the job.
    pub(crate) fn restored(&mut self, now: Duration, to_version: bool, summary: &mut Summary) {
        if self.since.is_none() {
            return;
        }
        self.restored = Some(now);
        summary.recoveries += u32::from(to_version);
        for open in &mut self.open {
            let Some(hello) = open.hello.filter(|_| open.restored.is_none()) else {
                continue;
            };
            open.restored = Some(now);
            summary.failures[open.index].restore = Some(now.saturating_sub(hello));
        }
    }

    /// When to look at the ranks' steps again: soon at first, then at one percent of the time.
    pub(crate) fn look_again(&self, now: Duration) -> Option<Duration> {
        let restored = self.restored?;
        Some(now + LOOK_LEAST.max(now.saturating_sub(restored) / 100))
    }

    /// Whether the job is where it was before the failure; gives that step once.
    pub(crate) fn caught_up(
        &mut self,
        now: Duration,
        least: u64,
        finished: bool,
        summary: &mut Summary,
    ) -> Option<Step> {
        let restored = self.restored?;
        if least < self.goal && !finished {
            return None;
        }
        for open in std::mem::take(&mut self.open) {
            let from = open.restored.unwrap_or(restored);
            summary.failures[open.index].redo = Some(now.saturating_sub(from));
        }
        summary.lost += now.saturating_sub(self.since.take().unwrap_or(now));
        self.restored = None;
        Some(Step(std::mem::take(&mut self.goal)))
    }

    /// The job stood still for so long, which is no time of a recovery.
    pub(crate) fn suspended(&mut self, paused: Duration) {
        let open = self
            .open
            .iter_mut()
            .flat_map(|open| [Some(&mut open.raised), open.hello.as_mut(), open.restored.as_mut()]);
        let own = [Some(&mut self.raised), self.since.as_mut(), self.restored.as_mut()];
        for at in open.chain(own).flatten() {
            *at += paused;
        }
    }

    /// The job ended: what a recovery under way has cost is lost too.
    pub(crate) fn ended(&mut self, now: Duration, summary: &mut Summary) {
        summary.lost += now.saturating_sub(self.since.take().unwrap_or(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mainstay_types::Cause;

    fn record(rank: u32) -> FailureRecord {
        FailureRecord {
            rank: Rank(rank),
            incarnation: Incarnation(0),
            step: Step(5),
            cause: Cause::Signal(9),
            detect: None,
            respawn: None,
            restore: None,
            redo: None,
        }
    }

    #[test]
    fn a_pause_is_no_time_of_a_recovery() {
        let ms = Duration::from_millis;
        let (mut measure, mut summary) = (Measure::default(), Summary::default());
        measure.raised(ms(10), 5);
        measure.failed(record(0), None, ms(10), &mut summary);
        measure.suspended(ms(1000));
        measure.hello(Rank(0), Incarnation(1), ms(1013), &mut summary);
        measure.suspended(ms(1000));
        measure.restored(ms(2018), true, &mut summary);
        measure.suspended(ms(1000));
        assert_eq!(measure.caught_up(ms(3025), 5, false, &mut summary), Some(Step(5)));
        let failure = &summary.failures[0];
        assert_eq!(
            (failure.respawn, failure.restore, failure.redo),
            (Some(ms(3)), Some(ms(5)), Some(ms(7)))
        );
        assert_eq!(summary.lost, ms(15));
    }

    #[test]
    fn phases_follow_each_other_and_lost_time_is_counted_once() {
        let ms = Duration::from_millis;
        let (mut measure, mut summary) = (Measure::default(), Summary::default());
        measure.raised(ms(110), 7);
        let detect = measure.failed(record(1), Some(ms(100)), ms(111), &mut summary);
        assert_eq!(detect, Some(ms(10)));
        measure.raised(ms(115), 6);
        measure.failed(record(2), Some(ms(112)), ms(116), &mut summary);
        measure.hello(Rank(1), Incarnation(1), ms(120), &mut summary);
        measure.hello(Rank(2), Incarnation(1), ms(125), &mut summary);
        assert_eq!(measure.look_again(ms(125)), None);
        measure.restored(ms(130), true, &mut summary);
        assert_eq!(measure.look_again(ms(130)), Some(ms(131)));
        assert_eq!(measure.caught_up(ms(135), 6, false, &mut summary), None);
        assert_eq!(measure.caught_up(ms(140), 7, false, &mut summary), Some(Step(7)));
        assert_eq!(summary.lost, ms(40));
        let first = &summary.failures[0];
        assert_eq!(
            (first.respawn, first.restore, first.redo),
            (Some(ms(10)), Some(ms(10)), Some(ms(10)))
        );
        let second = &summary.failures[1];
        assert_eq!(
            (second.detect, second.respawn, second.restore),
            (Some(ms(3)), Some(ms(10)), Some(ms(5)))
        );
        assert_eq!(measure.caught_up(ms(150), 9, true, &mut summary), None);
    }
}
