//! When a period has passed of which one version is to be kept for good.
//!
//! Invariants: nothing is due twice for one version; time in which the job stood still does not count.
//! Deliberately absent: which version it is, which the ledger decides, and periods of steps, which need
//! no clock.

use std::time::Duration;

/// A period of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    every: Duration,
    /// When the last archive was made; before the first, one is due at once.
    last: Option<Duration>,
}

impl Period {
    /// A period that has run for so long by `now`; `None` if there is no archive yet.
    ///
    /// The age comes from another launch, whose clock nobody knows: more than a period is as good as one.
    #[must_use]
    pub fn new(every: Duration, now: Duration, age: Option<Duration>) -> Self {
        Self { every, last: age.map(|age| now.saturating_sub(age.min(every))) }
    }

    /// Whether it has passed.
    #[must_use]
    pub fn is_over(&self, now: Duration) -> bool {
        self.last.is_none_or(|last| last.saturating_add(self.every) <= now)
    }

    /// An archive was made: the next period begins.
    pub fn begins(&mut self, now: Duration) {
        self.last = Some(now);
    }

    /// The job stood still for so long.
    pub fn suspended(&mut self, paused: Duration) {
        self.last = self.last.map(|last| last.saturating_add(paused));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_due_at_once_then_one_a_period_in_which_the_job_ran() {
        let h = |hours: u64| Duration::from_secs(3600 * hours);
        let mut period = Period::new(h(6), h(100), None);
        assert!(period.is_over(h(100)));
        period.begins(h(101));
        assert!(!period.is_over(h(106)) && period.is_over(h(107)));
        period.suspended(h(2));
        assert!(!period.is_over(h(108)) && period.is_over(h(109)));
    }

    #[test]
    fn an_archive_of_another_launch_counts_for_its_age_and_never_for_more_than_a_period() {
        let h = |hours: u64| Duration::from_secs(3600 * hours);
        assert!(!Period::new(h(6), h(100), Some(h(2))).is_over(h(103)));
        assert!(Period::new(h(6), h(100), Some(h(2))).is_over(h(104)));
        assert!(Period::new(h(6), h(100), Some(h(10_000))).is_over(h(100)));
        // The clock of this machine began after that launch.
        assert!(Period::new(h(6), h(1), Some(h(2))).is_over(h(6)));
    }
}
