//! Versions out of turn: somebody asks for one, or the time of the job is about to end.
//!
//! The last version of a job whose time ends must be durable before the end. It is due twice the
//! longest time that a version has taken from its proposal to its publication before it, and a second
//! more: twice, because another version may be on its way to disk and has to be done first.
//!
//! Invariants: a wish stands until a version that was proposed for it is committed; the last version
//! is never due before half of the job's time has passed. Deliberately absent: the end itself.

use std::time::Duration;

use super::reason::Why;

/// Kept free beside what was measured.
const SPARE: Duration = Duration::from_secs(1);
/// What is kept free while nothing is measured.
const UNMEASURED: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wishes {
    asked: bool,
    ends: Option<Duration>,
    started: Option<Duration>,
    /// Whether the last version before the end was captured.
    last_call: bool,
    /// The longest times from proposal to commit, and from commit to publication.
    capture_max: Duration,
    drain_max: Option<Duration>,
}

impl Wishes {
    pub(super) fn new(ends: Option<Duration>) -> Self {
        Self {
            asked: false,
            ends,
            started: None,
            last_call: false,
            capture_max: Duration::ZERO,
            drain_max: None,
        }
    }

    pub(super) fn started(&mut self, now: Duration) {
        self.started.get_or_insert(now);
    }

    pub(super) fn ask(&mut self) {
        self.asked = true;
    }

    /// Whether somebody asked, and has no version yet.
    pub(super) fn is_asked(&self) -> bool {
        self.asked
    }

    pub(super) fn committed(&mut self, why: Why, took: Duration) {
        self.capture_max = self.capture_max.max(took);
        match why {
            Why::Interval => {}
            Why::Asked => self.asked = false,
            // Whoever asked has a version too.
            Why::Limit => (self.last_call, self.asked) = (true, false),
        }
    }

    pub(super) fn drained(&mut self, took: Duration) {
        self.drain_max = Some(self.drain_max.map_or(took, |max| max.max(took)));
    }

    /// How long before the end the last version is due.
    pub(super) fn lead(&self) -> Option<Duration> {
        let all = self.ends?.saturating_sub(self.started.unwrap_or_default());
        let measured =
            |drain| self.capture_max.saturating_add(drain).saturating_mul(2).saturating_add(SPARE);
        Some(self.drain_max.map_or(UNMEASURED, measured).min(all / 2))
    }

    /// When the next wish is due.
    pub(super) fn at(&self) -> Option<Duration> {
        if self.asked {
            return Some(Duration::ZERO);
        }
        let last = self.ends.filter(|_| !self.last_call)?;
        Some(last.saturating_sub(self.lead()?))
    }

    /// The wish that is due now. Before the end, the end is the stronger one.
    pub(super) fn due(&self, now: Duration) -> Option<Why> {
        let late = Self { asked: false, ..self.clone() }.at().is_some_and(|at| at <= now);
        match (late, self.asked) {
            (true, _) => Some(Why::Limit),
            (false, true) => Some(Why::Asked),
            (false, false) => None,
        }
    }
}
