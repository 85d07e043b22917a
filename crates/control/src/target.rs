//! When a version is due, and at which step every rank captures it.
//!
//! The supervisor alone decides. It proposes a target step above all steps it has seen; [`words`]
//! has the protocol that tells whether the proposal came in time. A proposal that came too late is
//! void, and the next one keeps a larger distance.
//!
//! Invariants: at most one target is outstanding; within an epoch targets strictly grow; nothing
//! is proposed between a raised epoch and its opening, nor once a rank of the epoch is in
//! `finish`. Deliberately absent: slots and version numbers (`ckpt`), clocks (`now` is an
//! argument, counted from any fixed moment).

mod interval;
pub mod words;

use std::time::Duration;

use mainstay_types::Step;

use self::interval::Costs;
pub use self::interval::Reason;

/// The first version of a job whose cost is not known yet is due this long after its start.
const FIRST_AFTER: Duration = Duration::from_millis(100);
/// A distance that even a rank with empty steps does not cover while the supervisor looks.
const MARGIN_MAX: u64 = 1 << 20;

/// When the user wants versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Whenever it pays.
    #[default]
    Auto,
    /// At multiples of so many steps, as far as the supervisor keeps up.
    Steps(u64),
    /// After so much time.
    Every(Duration),
}

/// The engine that says when a version is due.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    mode: Mode,
    costs: Costs,
    /// Whether the open epoch takes targets.
    open: bool,
    /// The target proposed and not yet committed or void.
    outstanding: Option<Step>,
    /// The last target of the epoch.
    last: Step,
    /// When the last target was proposed, or the epoch opened.
    since: Duration,
    /// Whether the last target was void and its version is still due.
    retry: bool,
    /// How far above the highest step the next target lies.
    margin: u64,
}

impl Pace {
    /// An engine for one job; `mtbf` is what the user declared.
    ///
    /// # Panics
    /// When the mode asks for a version every 0 steps.
    #[must_use]
    pub fn new(mode: Mode, mtbf: Option<Duration>) -> Self {
        assert!(mode != Mode::Steps(0), "a version every 0 steps");
        Self {
            mode,
            costs: Costs::new(mtbf),
            open: false,
            outstanding: None,
            last: Step(0),
            since: Duration::ZERO,
            retry: false,
            margin: 1,
        }
    }

    /// The epoch is open: the ranks take up their state and step on.
    pub fn opened(&mut self, now: Duration) {
        self.raised();
        self.costs.started(now);
        self.open = true;
        self.since = now;
    }

    /// The epoch was raised: whatever was outstanding will not be.
    pub fn raised(&mut self) {
        self.open = false;
        self.outstanding = None;
        self.last = Step(0);
        self.retry = false;
    }

    /// A rank is in `finish` after this step. Says whether that voids the outstanding target,
    /// which the caller then withdraws. No further target can be reached by all in this epoch.
    #[must_use]
    pub fn finishing(&mut self, step: Step) -> bool {
        self.open = false;
        let void = self.outstanding.is_some_and(|target| target > step);
        if void {
            self.outstanding = None;
        }
        void
    }

    /// The target to propose now, if one is due. `steps` are the ranks' steps; call it only while
    /// a slot is free. The target is outstanding until it is [void](Pace::void) or
    /// [committed](Pace::committed).
    #[must_use]
    pub fn due(&mut self, now: Duration, steps: &[Step]) -> Option<Step> {
        if self.due_in(now) != Some(Duration::ZERO) {
            return None;
        }
        let highest = steps.iter().copied().max().unwrap_or_default().max(self.last);
        let above = highest.0.saturating_add(self.margin);
        let target = match self.mode {
            Mode::Steps(every) => above.checked_next_multiple_of(every)?,
            Mode::Auto | Mode::Every(_) => above,
        };
        self.since = now;
        self.retry = false;
        self.last = Step(target);
        self.outstanding = Some(self.last);
        self.outstanding
    }

    /// How long until a target is due, if nothing else happens; `None` while none can be.
    #[must_use]
    pub fn due_in(&self, now: Duration) -> Option<Duration> {
        if !self.open || self.outstanding.is_some() {
            return None;
        }
        let wait = match self.interval() {
            Some(interval) if !self.retry => interval,
            _ => Duration::ZERO,
        };
        Some((self.since + wait).saturating_sub(now))
    }

    /// The outstanding target holds: every rank will capture at it.
    pub fn held(&mut self) {
        self.margin = (self.margin - self.margin / 8).max(1);
    }

    /// The outstanding target came too late.
    pub fn void(&mut self) {
        if self.outstanding.take().is_some() {
            self.retry = true;
            self.margin = (self.margin * 2).min(MARGIN_MAX);
        }
    }

    /// The outstanding target's version is committed in memory; `blocked` is the longest time that
    /// it held a rank up.
    pub fn committed(&mut self, blocked: Duration) {
        self.outstanding = None;
        self.costs.blocked(blocked);
    }

    /// The outstanding target's version was given up for another reason than a late target.
    pub fn dropped(&mut self) {
        self.outstanding = None;
    }

    /// A version became durable this long after its commit.
    pub fn drained(&mut self, took: Duration) {
        self.costs.drained(took);
    }

    /// A rank failed.
    pub fn failed(&mut self, now: Duration) {
        self.costs.failed(now);
    }

    /// The time between two versions; `None` if steps alone decide.
    #[must_use]
    pub fn interval(&self) -> Option<Duration> {
        match self.mode {
            Mode::Steps(_) => None,
            Mode::Every(interval) => Some(interval),
            Mode::Auto => Some(self.costs.interval().map_or(FIRST_AFTER, |(interval, _)| interval)),
        }
    }

    /// Why the interval is what it is.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self.mode {
            Mode::Steps(every) => Reason::Steps(every),
            Mode::Every(interval) => Reason::Every(interval),
            Mode::Auto => self.costs.interval().map_or(Reason::First, |(_, reason)| reason),
        }
    }
}
