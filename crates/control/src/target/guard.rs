//! A level that versions come to behind their commit in memory, at an interval of its own.
//!
//! Disk is one. A level of copies elsewhere in memory, or of parity, would be another guard beside it:
//! with a mode of its own, its interval from what it costs and what it is for, and told what was
//! committed for it. Invariants: a version that was captured for a level and void does not count for it;
//! work that is done again is not at risk twice. Deliberately absent: the capture, which one guard never
//! has for itself alone unless its time comes.

use std::time::Duration;

use mainstay_types::Step;

use super::DiskMode;

/// When a level gets the next version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It is the next one, whatever that is captured for.
    Next,
    /// At this time.
    At(Duration),
    /// It is the first of the next so many steps.
    OfSteps(u64),
}

/// A level behind memory.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Guard {
    mode: DiskMode,
    /// When the last version for it was proposed, if it was captured, put off by the time that failures
    /// have undone, and its step.
    last: Option<(Duration, Step)>,
}

impl Guard {
    pub(super) fn new(mode: DiskMode) -> Self {
        assert!(mode != DiskMode::Steps(0), "a version every 0 steps");
        Self { mode, last: None }
    }

    fn turn(&self, every: Option<Duration>) -> Turn {
        match (self.mode, self.last, every) {
            (DiskMode::Steps(steps), Some(_), _) => Turn::OfSteps(steps),
            (DiskMode::Auto | DiskMode::Every(_), Some((at, _)), Some(every)) => {
                Turn::At(at.saturating_add(every))
            }
            _ => Turn::Next,
        }
    }

    /// When it wants a version whether another level does or not, at this interval.
    pub(super) fn at(&self, every: Option<Duration>) -> Option<Duration> {
        match self.turn(every) {
            Turn::At(at) => Some(at),
            Turn::Next | Turn::OfSteps(_) => None,
        }
    }

    /// Whether a version of this step is for it, too, at this interval; `until` is how far its time may
    /// lie ahead.
    pub(super) fn takes(&self, step: Step, every: Option<Duration>, until: Duration) -> bool {
        match self.turn(every) {
            Turn::Next => true,
            Turn::At(at) => at <= until,
            Turn::OfSteps(steps) => {
                self.last.is_none_or(|(_, last)| last.0 / steps != step.0 / steps)
            }
        }
    }

    /// A version of this step that was proposed then is committed for it.
    pub(super) fn committed(&mut self, at: Duration, step: Step) {
        self.last = Some((at, step));
    }

    /// The job goes on now from what was captured then.
    pub(super) fn opened(&mut self, now: Duration, captured: Duration) {
        let at_risk = |since| captured.saturating_sub(since);
        self.last = self.last.map(|(at, step)| (now.saturating_sub(at_risk(at)), step));
    }

    /// The job stood still for so long.
    pub(super) fn suspended(&mut self, paused: Duration) {
        self.last = self.last.map(|(at, step)| (at.saturating_add(paused), step));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn of_each_so_many_steps_the_first_version_is_taken() {
        let mut guard = Guard::new(DiskMode::Steps(100));
        let takes = |guard: &Guard, step| guard.takes(Step(step), None, s(0));
        assert!(takes(&guard, 20), "the first of all");
        guard.committed(s(1), Step(20));
        assert!(!takes(&guard, 99) && takes(&guard, 100) && takes(&guard, 130));
        guard.committed(s(2), Step(130));
        assert!(!takes(&guard, 199) && takes(&guard, 200));
        assert!(takes(&guard, 80), "a failure has undone it");
        assert_eq!(guard.at(Some(s(9))), None, "steps have no time");
    }

    #[test]
    fn by_time_it_is_due_on_its_own_and_put_off_by_what_is_done_again() {
        let mut guard = Guard::new(DiskMode::Every(s(10)));
        assert!(guard.takes(Step(1), Some(s(10)), s(0)) && guard.at(Some(s(10))).is_none());
        guard.committed(s(1), Step(5));
        assert_eq!(guard.at(Some(s(10))), Some(s(11)));
        assert!(!guard.takes(Step(9), Some(s(10)), s(10)));
        assert!(guard.takes(Step(9), Some(s(10)), s(11)));
        // What was captured at 4 is gone on from at 20: three seconds of it are at risk.
        guard.opened(s(20), s(4));
        guard.suspended(s(2));
        assert_eq!(guard.at(Some(s(10))), Some(s(29)));
        assert!(Guard { mode: DiskMode::Each, ..guard }.takes(Step(9), None, s(0)));
    }
}
