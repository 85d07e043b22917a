//! Why versions come as often as they do, and why one comes out of turn.
//!
//! Invariant: every reason has a name that programs may rely on and a sentence with the numbers that
//! it rests on. Deliberately absent: the choice.

use std::fmt;
use std::time::Duration;

use mainstay_types::duration;
use mainstay_types::event::Level;

use super::failures::{Basis, Mtbf};

/// Why versions come as often as they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The user asked for every so many steps.
    Steps(u64),
    /// The user asked for this interval.
    Every(Duration),
    /// Each version goes to disk, as the user chose when versions come.
    Each,
    /// The first version measures what one costs.
    First,
    /// Daly's formula, for this cost and time between failures.
    Daly {
        /// What a version costs the program.
        cost: Duration,
        /// The mean time between the failures that the level is for.
        mtbf: Mtbf,
    },
    /// Daly's formula asks for fewer, and one percent of the time affords this many.
    Budget {
        /// What a version costs the program.
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

impl Reason {
    /// The name for programs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Steps(_) | Self::Every(_) => "declared",
            Self::Each => "each",
            Self::First => "first",
            Self::Daly { .. } => "daly",
            Self::Budget { .. } => "budget",
            Self::Drain { .. } => "drain",
            Self::Shortest => "shortest",
        }
    }

    /// Whether the user chose, so that nothing need be explained.
    #[must_use]
    pub fn is_declared(&self) -> bool {
        matches!(self, Self::Steps(_) | Self::Every(_) | Self::Each)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = duration::format;
        match *self {
            Self::Steps(every) => write!(f, "every {every} steps, as asked"),
            Self::Every(interval) => write!(f, "every {}, as asked", text(interval)),
            Self::Each => f.write_str("each version"),
            Self::First => f.write_str("a first one, to measure what it costs"),
            Self::Daly { cost, mtbf } => {
                write!(f, "Daly for a cost of {} and a failure every {mtbf}", text(cost))
            }
            Self::Budget { cost } => write!(f, "1 % of the time, at {} each", text(cost)),
            Self::Drain { took } => write!(f, "the directory takes {} for each", text(took)),
            Self::Shortest => f.write_str("as often as is of use"),
        }
    }
}

impl fmt::Display for Mtbf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = duration::format(self.mean);
        match self.basis {
            Basis::Observed(count) => write!(f, "{mean} (observed: {count})"),
            basis => write!(f, "{mean} ({})", basis.name()),
        }
    }
}

/// How often a level gets a version, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Which level.
    pub level: Level,
    /// The time between two versions; `None` if it follows from steps or from another level.
    pub every: Option<Duration>,
    /// Why.
    pub reason: Reason,
}

/// Why a version is captured when it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Why {
    /// Its interval has passed, or its step is near.
    #[default]
    Interval,
    /// Somebody asked for one.
    Asked,
    /// The time of the job ends soon.
    Limit,
}

impl Why {
    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Interval => "interval",
            Self::Asked => "signal",
            Self::Limit => "limit",
        }
    }
}
