//! How often something fails: as declared, else as observed, else as assumed.
//!
//! The cost of an interval is linear in the rate of failures, so the rate to plan with is its mean,
//! given what was seen. Nothing is known of a machine that nobody described; the belief that it fails
//! once a day is taken to be worth a thousandth of a failure, so that the first failures outweigh it,
//! and a single early one is not taken for one every second.
//!
//! Invariants: never zero; more failures in the same time never give a longer mean. Deliberately
//! absent: what has failed, and why.
//!
//! # Source
//! The mean of the posterior of a Poisson process' rate under its conjugate gamma prior: A. Gelman
//! and others, "Bayesian Data Analysis", 3rd edition, 2013, section 2.6.

use std::time::Duration;

/// What is assumed of a machine that has not failed yet and of which nothing was declared.
pub const MTBF_ASSUMED: Duration = Duration::from_secs(24 * 3600);
/// So many failures is the assumption worth.
const WEIGHT: f64 = 0.001;

/// From where a mean time between failures is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The user said so.
    Declared,
    /// So many failures were seen in this run.
    Observed(u32),
    /// Nothing was said and nothing was seen.
    Assumed,
}

impl Basis {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Observed(_) => "observed",
            Self::Assumed => "assumed",
        }
    }
}

/// The mean time between failures, with its basis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mtbf {
    /// The mean.
    pub mean: Duration,
    /// How it is known.
    pub basis: Basis,
}

/// The failures of one kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failures {
    declared: Option<Duration>,
    started: Option<Duration>,
    count: u32,
}

impl Failures {
    pub(super) fn new(declared: Option<Duration>) -> Self {
        Self { declared, started: None, count: 0 }
    }

    /// From now on failures would be seen.
    pub(super) fn started(&mut self, now: Duration) {
        self.started.get_or_insert(now);
    }

    /// For so long none would have been seen.
    pub(super) fn suspended(&mut self, paused: Duration) {
        self.started = self.started.map(|at| at.saturating_add(paused));
    }

    pub(super) fn failed(&mut self) {
        self.count = self.count.saturating_add(1);
    }

    /// What to plan with.
    pub(super) fn mtbf(&self, now: Duration) -> Mtbf {
        if let Some(mean) = self.declared {
            return Mtbf { mean: mean.max(Duration::from_nanos(1)), basis: Basis::Declared };
        }
        let seen = now.saturating_sub(self.started.unwrap_or(now));
        if self.count == 0 {
            // The belief is worth so little that a minute without a failure would outweigh it.
            return Mtbf { mean: MTBF_ASSUMED.max(seen), basis: Basis::Assumed };
        }
        let time = seen.as_secs_f64() + WEIGHT * MTBF_ASSUMED.as_secs_f64();
        let mean = Duration::from_secs_f64(time / (f64::from(self.count) + WEIGHT));
        Mtbf { mean: mean.min(MTBF_ASSUMED.max(seen)), basis: Basis::Observed(self.count) }
    }
}
