//! When a version is due, at which step every rank captures it, and whether it goes to disk.
//!
//! The supervisor alone decides. It proposes a target step above all steps it has seen; [`words`]
//! has the protocol that tells whether the proposal came in time. A proposal that came too late is
//! void, and the next one keeps a larger distance.
//!
//! Invariants: at most one target is outstanding; within an epoch targets strictly grow; nothing
//! is proposed between a raised epoch and its opening, nor once a rank of the epoch is in
//! `finish`; who asks for a version gets a durable one, however many attempts are void before it.
//! Deliberately absent: slots and version numbers (`ckpt`), clocks (`now` is an argument, counted
//! from any fixed moment).

mod advice;
mod approach;
mod failures;
pub mod formula;
mod guard;
mod interval;
mod period;
mod reason;
mod wish;
pub mod words;

use std::time::Duration;

use mainstay_types::Step;
use mainstay_types::event::Level;

pub use self::advice::{Advice, Measured, Spread, advise};
use self::approach::Approach;
pub use self::failures::{Basis, MTBF_ASSUMED, Mtbf};
use self::guard::Guard;
use self::interval::Costs;
pub use self::period::Period;
pub use self::reason::{Interval, Reason, Why};
use self::wish::Wishes;

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

/// Which versions go to disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskMode {
    /// As many as it pays.
    #[default]
    Auto,
    /// Each of them.
    Each,
    /// The first of each so many steps.
    Steps(u64),
    /// One after so much time.
    Every(Duration),
}

/// What a user wants and knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// When versions are captured.
    pub mode: Mode,
    /// Which of them go to disk.
    pub disk: DiskMode,
    /// The mean time between failures of ranks, if declared.
    pub mtbf: Option<Duration>,
    /// That of the launcher or its machine, if declared.
    pub machine_mtbf: Option<Duration>,
    /// Whether a target at a multiple of steps is proposed as late as it can be, since that gives the
    /// newest version in memory away.
    pub late: bool,
    /// When the job ends whatever it has reached, on the clock of `now`.
    pub ends: Option<Duration>,
}

impl Terms {
    /// The intervals in force, where these would be chosen.
    fn intervals(&self, [memory, disk]: [Interval; 2]) -> [Interval; 2] {
        let asked = |level, every, reason| Interval { level, every, reason };
        let memory = match self.mode {
            Mode::Auto => memory,
            Mode::Steps(steps) => asked(Level::Memory, None, Reason::Steps(steps)),
            Mode::Every(every) => asked(Level::Memory, Some(every), Reason::Every(every)),
        };
        let disk = match self.disk {
            DiskMode::Auto => disk,
            DiskMode::Each => asked(Level::Disk, None, Reason::Each),
            DiskMode::Steps(steps) => asked(Level::Disk, None, Reason::Steps(steps)),
            DiskMode::Every(every) => asked(Level::Disk, Some(every), Reason::Every(every)),
        };
        [memory, disk]
    }
}

/// A target to be proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The step.
    pub step: Step,
    /// Whether the version goes to disk.
    pub durable: bool,
    /// Why now.
    pub why: Why,
}

/// The engine that says when a version is due.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    terms: Terms,
    costs: Costs,
    /// What follows from the costs and terms, for memory and disk.
    intervals: [Interval; 2],
    wishes: Wishes,
    /// Whether the open epoch takes targets.
    open: bool,
    /// The target proposed and not yet committed or void, and when it was first due.
    outstanding: Option<(Due, Duration)>,
    /// The last target of the epoch.
    last: Step,
    /// When the last target was proposed, or the epoch opened.
    since: Duration,
    /// When the newest version was proposed; once it was restored, when that was.
    captured: Duration,
    /// Which versions go to disk.
    disk: Guard,
    /// Whether the last target was void and its version is still due.
    retry: bool,
    /// How far above the highest step the next target lies.
    margin: u64,
    /// When the ranks are looked at again, if targets are proposed late.
    approach: Approach,
}

impl Pace {
    /// An engine for one job.
    ///
    /// # Panics
    /// When a mode asks for a version every 0 steps.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        assert!(terms.mode != Mode::Steps(0), "a version every 0 steps");
        let costs = Costs::new(terms.mtbf, terms.machine_mtbf);
        Self {
            terms,
            intervals: terms.intervals(costs.intervals()),
            costs,
            wishes: Wishes::new(terms.ends),
            open: false,
            outstanding: None,
            last: Step(0),
            since: Duration::ZERO,
            captured: Duration::ZERO,
            disk: Guard::new(terms.disk),
            retry: false,
            margin: 1,
            approach: Approach::default(),
        }
    }

    /// The epoch is open: the ranks take up their state and step on.
    pub fn opened(&mut self, now: Duration) {
        self.raised();
        self.costs.started(now);
        self.wishes.started(now);
        self.open = true;
        self.since = now;
        self.disk.opened(now, self.captured);
        self.captured = now;
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
        let void = self.outstanding.is_some_and(|(target, _)| target.step > step);
        if void {
            self.outstanding = None;
        }
        void
    }

    /// Somebody asks for a durable version now.
    pub fn ask(&mut self) {
        self.wishes.ask();
    }

    /// Whether somebody asked, and no version has been committed for that.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.wishes.is_asked()
    }

    /// The target to propose now, if one is due. `steps` are the ranks' steps; call it only while
    /// a slot is free. The target is outstanding until it is [void](Pace::void) or
    /// [committed](Pace::committed).
    #[must_use]
    pub fn due(&mut self, now: Duration, steps: &[Step]) -> Option<Due> {
        if self.due_in(now) != Some(Duration::ZERO) {
            return None;
        }
        let why = self.wishes.due(now).unwrap_or_default();
        let step = self.next_step(steps, why)?;
        let every = self.interval(Level::Disk).every;
        let to_disk = self.disk.takes(step, every, now.saturating_add(self.slack()));
        let due = Due { step, durable: why != Why::Interval || to_disk, why };
        self.since = now;
        self.retry = false;
        self.last = due.step;
        self.outstanding = Some((due, now));
        Some(due)
    }

    /// The step of the next target.
    fn next_step(&self, steps: &[Step], why: Why) -> Option<Step> {
        let highest = steps.iter().copied().max().unwrap_or_default().max(self.last);
        let above = highest.0.saturating_add(self.margin);
        let step = match self.terms.mode {
            // Who asks for a version now does not wait for a multiple.
            Mode::Steps(every) if why == Why::Interval => above.checked_next_multiple_of(every)?,
            Mode::Steps(_) | Mode::Auto | Mode::Every(_) => above,
        };
        Some(Step(step))
    }

    /// Looks how far the ranks are from the next target, if it is to be proposed late: until it is near,
    /// none is due. To be called before [`due`](Pace::due) and [`due_in`](Pace::due_in) count.
    pub fn look(&mut self, now: Duration, steps: &[Step]) {
        let is_late = self.terms.late && matches!(self.terms.mode, Mode::Steps(_));
        if !is_late || !self.open || self.outstanding.is_some() {
            return;
        }
        if self.wishes.due(now).is_some() {
            self.approach.look = None;
        } else if self.approach.look.is_none_or(|look| look <= now)
            && let Some(step) = self.next_step(steps, Why::Interval)
        {
            let highest = steps.iter().copied().max().unwrap_or_default().0;
            let above = step.0.saturating_sub(highest);
            let _near = self.approach.is_near(now, highest, (above, self.margin));
        }
    }

    /// How long until a target is due, if nothing else happens; `None` while none can be.
    #[must_use]
    pub fn due_in(&self, now: Duration) -> Option<Duration> {
        if !self.open || self.outstanding.is_some() {
            return None;
        }
        let wait = match self.interval(Level::Memory).every {
            Some(interval) if !self.retry => interval,
            _ => Duration::ZERO,
        };
        let look = self.approach.look.unwrap_or_default();
        let next = self.since.saturating_add(wait).max(look);
        // If one for memory comes about then, it is the one for disk too.
        let apart = |disk: &Duration| disk.saturating_add(self.slack()) < next;
        let disk = self.disk.at(self.interval(Level::Disk).every);
        let at = [Some(next), disk.filter(apart), self.wishes.at()];
        at.into_iter().flatten().min().map(|at| at.saturating_sub(now))
    }

    /// How far a version on disk may come from its time, so as to be one that memory gets anyway.
    fn slack(&self) -> Duration {
        let [memory, disk] = [Level::Memory, Level::Disk].map(|level| self.interval(level).every);
        memory.min(disk).unwrap_or_default() / 2
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
    pub fn committed(&mut self, now: Duration, blocked: Duration) {
        if let Some((due, at)) = self.outstanding.take() {
            self.captured = at;
            if due.durable {
                self.disk.committed(at, due.step);
            }
            self.wishes.committed(due.why, now.saturating_sub(at));
        }
        self.costs.blocked(now, blocked);
        self.measured();
    }

    /// The outstanding target's version was given up for another reason than a late target.
    pub fn dropped(&mut self) {
        self.outstanding = None;
    }

    /// A version became durable this long after its commit, for so much processor time.
    pub fn drained(&mut self, took: Duration, cpu: Duration) {
        self.wishes.drained(took);
        self.costs.drained(took, cpu);
        self.measured();
    }

    /// The job stood still for so long, as for Ctrl-Z or a scheduler that suspends it: what is under
    /// way and what is due is so much later. The end of the job is not.
    pub fn suspended(&mut self, paused: Duration) {
        let outstanding = self.outstanding.as_mut().map(|(_, at)| at);
        let times = [Some(&mut self.since), Some(&mut self.captured), outstanding];
        for at in times.into_iter().flatten() {
            *at = at.saturating_add(paused);
        }
        self.disk.suspended(paused);
        self.costs.suspended(paused);
    }

    /// A rank failed.
    pub fn failed(&mut self, now: Duration) {
        self.costs.failed(now);
        self.measured();
    }

    fn measured(&mut self) {
        self.intervals = self.terms.intervals(self.costs.intervals());
    }

    /// How often a level gets a version, and why.
    #[must_use]
    pub fn interval(&self, level: Level) -> Interval {
        let [memory, disk] = self.intervals;
        if level == Level::Memory { memory } else { disk }
    }

    /// The mean time between the failures that a level is for.
    #[must_use]
    pub fn mtbf(&self, level: Level) -> Mtbf {
        self.costs.mtbf(level)
    }

    /// How long before the end of the job its last version is due, if the job has an end.
    #[must_use]
    pub fn lead(&self) -> Option<Duration> {
        self.wishes.lead()
    }
}
