//! The interval between versions that costs least, and which of its bounds is in force.
//!
//! Invariants: never rarer than one percent of the time affords, never more often than the drain
//! sustains; if the two disagree, the drain wins. Deliberately absent: steps.
//!
//! # Source
//! J. W. Young, "A first order approximation to the optimum checkpoint interval", CACM 17(9),
//! 1974: the interval is the root of twice the cost times the mean time between failures.

use std::fmt;
use std::time::Duration;

use mainstay_types::duration;

/// Versions may hold the ranks up for one part in so many of the time.
const BUDGET_PARTS: u32 = 100;
/// What is assumed of a machine that has not failed yet and of which nothing was declared.
const MTBF_ASSUMED: Duration = Duration::from_secs(24 * 3600);
/// The shortest interval that is ever chosen.
const SHORTEST: Duration = Duration::from_millis(20);

/// Why versions come as often as they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The user asked for every so many steps.
    Steps(u64),
    /// The user asked for this interval.
    Every(Duration),
    /// The first version measures what one costs.
    First,
    /// Young's formula, for this cost and time between failures.
    Young {
        /// The longest time that a version held a rank up.
        cost: Duration,
        /// The mean time between failures: declared, observed or assumed.
        mtbf: Duration,
    },
    /// Young's formula asks for fewer, and one percent of the time affords this many.
    Budget {
        /// The longest time that a version held a rank up.
        cost: Duration,
    },
    /// The directory takes no more.
    Drain {
        /// How long a version takes to become durable.
        took: Duration,
    },
    /// Shorter intervals gain nothing.
    Shortest,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = duration::format;
        match *self {
            Self::Steps(every) => write!(f, "every {every} steps, as asked"),
            Self::Every(interval) => write!(f, "every {}, as asked", text(interval)),
            Self::First => f.write_str("a first one, to measure what it costs"),
            Self::Young { cost, mtbf } => write!(
                f,
                "Young's interval for a cost of {} and a failure every {}",
                text(cost),
                text(mtbf)
            ),
            Self::Budget { cost } => {
                write!(f, "1 % of the time, at {} each", text(cost))
            }
            Self::Drain { took } => {
                write!(f, "the directory takes {} for each", text(took))
            }
            Self::Shortest => f.write_str("as often as is of use"),
        }
    }
}

/// What versions cost and how often ranks fail, as measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Costs {
    declared: Option<Duration>,
    started: Option<Duration>,
    /// Failures so far, and when the last one was.
    failures: u32,
    last_failure: Duration,
    blocked: Option<Duration>,
    drain: Option<Duration>,
}

impl Costs {
    pub(super) fn new(declared: Option<Duration>) -> Self {
        Self {
            declared,
            started: None,
            failures: 0,
            last_failure: Duration::ZERO,
            blocked: None,
            drain: None,
        }
    }

    pub(super) fn started(&mut self, now: Duration) {
        self.started.get_or_insert(now);
    }

    pub(super) fn failed(&mut self, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.last_failure = now;
    }

    pub(super) fn blocked(&mut self, blocked: Duration) {
        self.blocked = Some(smooth(self.blocked, blocked));
    }

    pub(super) fn drained(&mut self, took: Duration) {
        self.drain = Some(smooth(self.drain, took));
    }

    /// The mean time between failures: declared, else observed, else assumed.
    fn mtbf(&self) -> Duration {
        if let Some(declared) = self.declared {
            return declared;
        }
        match (self.started, self.failures) {
            (Some(started), 1..) => self.last_failure.saturating_sub(started) / self.failures,
            _ => MTBF_ASSUMED,
        }
    }

    /// The interval and its reason, once a version's cost is known.
    pub(super) fn interval(&self) -> Option<(Duration, Reason)> {
        let cost = self.blocked?;
        let mtbf = self.mtbf();
        let young = (2.0 * cost.as_secs_f64() * mtbf.as_secs_f64()).sqrt();
        let young = Duration::try_from_secs_f64(young).unwrap_or(Duration::MAX);
        let mut chosen = (young, Reason::Young { cost, mtbf });
        let afforded = cost.saturating_mul(BUDGET_PARTS);
        if afforded < chosen.0 {
            chosen = (afforded, Reason::Budget { cost });
        }
        if SHORTEST > chosen.0 {
            chosen = (SHORTEST, Reason::Shortest);
        }
        match self.drain {
            Some(took) if took > chosen.0 => Some((took, Reason::Drain { took })),
            _ => Some(chosen),
        }
    }
}

/// A quarter of the new value: one odd measurement does not set the pace.
fn smooth(old: Option<Duration>, new: Duration) -> Duration {
    old.map_or(new, |old| old / 4 * 3 + new / 4)
}
