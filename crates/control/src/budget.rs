//! How often the job may fail without getting further, and when a bug is believed to be one.
//!
//! Progress is a committed step beyond the highest committed step at any earlier failure. The
//! budget counts *restarts of the job*, not corpses: ranks that die while the job already waits
//! for its ranks cost nothing more, unless the same rank dies there again.
//!
//! Invariants: between two openings without progress a rank can fail at most `max_restarts + 1`
//! times, so no fault that repeats for ever is retried for ever. Deliberately absent: time.

use mainstay_types::{Cause, Rank, Step};

use crate::cause::{Class, Verdict};

/// What the budget says to a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Try again.
    Retry,
    /// The same rank, step and cause as the last time: an application bug.
    SameBug,
    /// No restart is left.
    Exhausted {
        /// Restarts since the last progress.
        restarts: u32,
        /// The step beyond which nothing was committed; 0 is the start of the job.
        beyond: Step,
    },
}

/// The account of failures of one job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    restarts_max: u32,
    /// Restarts since the last progress.
    restarts: u32,
    /// The highest committed step.
    committed: Step,
    /// The highest committed step at any failure.
    at_failure: Step,
    /// Failures of each rank since the last opening.
    deaths: Vec<u32>,
    /// The most failures of any one rank since the last opening.
    rounds: u32,
    /// The last bug of each rank.
    bugs: Vec<Option<(Step, Cause)>>,
}

impl Budget {
    /// An untouched budget for `n` ranks.
    #[must_use]
    pub fn new(n: u32, restarts_max: u32) -> Self {
        Self {
            restarts_max,
            restarts: 0,
            committed: Step(0),
            at_failure: Step(0),
            deaths: vec![0; n as usize],
            rounds: 0,
            bugs: vec![None; n as usize],
        }
    }

    /// A version was committed at this step.
    pub fn progress(&mut self, committed: Step) {
        self.committed = self.committed.max(committed);
    }

    /// An epoch was opened: the next failure begins a new restart.
    pub fn opened(&mut self) {
        self.deaths.fill(0);
        self.rounds = 0;
    }

    /// Restarts since the last progress.
    #[must_use]
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// Enters a failure and rules on it.
    ///
    /// # Panics
    /// When the rank is not one of the job's.
    pub fn failed(&mut self, rank: Rank, step: Step, verdict: &Verdict) -> Ruling {
        if self.committed > self.at_failure {
            self.at_failure = self.committed;
            self.restarts = 0;
        }
        let deaths = &mut self.deaths[rank.index()];
        *deaths += 1;
        if *deaths > self.rounds {
            self.rounds = *deaths;
            self.restarts += 1;
        }
        if verdict.class == Class::Bug {
            let bug = Some((step, verdict.cause));
            let last = std::mem::replace(&mut self.bugs[rank.index()], bug);
            if last == bug {
                return Ruling::SameBug;
            }
        }
        if self.restarts > self.restarts_max {
            let (restarts, beyond) = (self.restarts_max, self.at_failure);
            return Ruling::Exhausted { restarts, beyond };
        }
        Ruling::Retry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::{Ending, Hints, classify};

    fn by(signal: i32) -> Verdict {
        let core = false;
        classify(Ending::Signal { signal, core }, &Hints::default())
    }

    fn exhausted(restarts: u32, beyond: u64) -> Ruling {
        let beyond = Step(beyond);
        Ruling::Exhausted { restarts, beyond }
    }

    #[test]
    fn failures_without_progress_are_counted() {
        let mut budget = Budget::new(2, 3);
        for _ in 0..3 {
            assert_eq!(budget.failed(Rank(1), Step(5), &by(9)), Ruling::Retry);
            budget.opened();
        }
        assert_eq!(budget.failed(Rank(0), Step(5), &by(9)), exhausted(3, 0));
    }

    #[test]
    fn a_committed_step_beyond_all_failures_is_progress_and_an_equal_one_is_not() {
        let mut budget = Budget::new(1, 1);
        budget.progress(Step(10));
        assert_eq!(budget.failed(Rank(0), Step(12), &by(9)), Ruling::Retry);
        budget.opened();
        budget.progress(Step(11));
        assert_eq!(budget.failed(Rank(0), Step(12), &by(9)), Ruling::Retry);
        budget.opened();
        budget.progress(Step(11));
        budget.progress(Step(4));
        assert_eq!(budget.failed(Rank(0), Step(12), &by(9)), exhausted(1, 11));
    }

    #[test]
    fn ranks_that_die_together_are_one_restart() {
        let mut budget = Budget::new(8, 1);
        for rank in Rank::all(8) {
            assert_eq!(budget.failed(rank, Step(1), &by(9)), Ruling::Retry);
        }
        assert_eq!(budget.restarts(), 1);
        // One of them dies again before the job is open: that is another.
        assert_eq!(budget.failed(Rank(3), Step(1), &by(9)), exhausted(1, 0));
    }

    #[test]
    fn a_budget_of_none_gives_up_at_once() {
        let mut budget = Budget::new(1, 0);
        assert_eq!(budget.failed(Rank(0), Step(0), &by(9)), exhausted(0, 0));
    }

    #[test]
    fn a_bug_is_retried_once_where_and_as_it_was() {
        let mut budget = Budget::new(2, 9);
        assert_eq!(budget.failed(Rank(0), Step(7), &by(11)), Ruling::Retry);
        assert_eq!(budget.failed(Rank(1), Step(7), &by(11)), Ruling::Retry);
        assert_eq!(budget.failed(Rank(0), Step(8), &by(11)), Ruling::Retry);
        assert_eq!(budget.failed(Rank(0), Step(8), &by(6)), Ruling::Retry);
        // A fault in between does not excuse it.
        assert_eq!(budget.failed(Rank(0), Step(8), &by(9)), Ruling::Retry);
        assert_eq!(budget.failed(Rank(0), Step(8), &by(6)), Ruling::SameBug);
    }
}
