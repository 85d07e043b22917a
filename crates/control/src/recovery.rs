//! The state machine of epochs: who must acknowledge, who is fenced, when the job opens again.
//!
//! One epoch is one membership of the job. A failure raises it; every living rank leaves its
//! program and acknowledges; the dead are reaped, then started again, and their hello is an
//! acknowledgement; then the epoch opens, once. `docs/protocols/recovery.md` has the tables.
//!
//! Invariants: epochs grow by one; an epoch opens at most once, and only when every rank waits for
//! exactly that epoch, so that nobody touches the rings; a rank is started only when its earlier
//! incarnation is reaped; results count only within their epoch; once finished, no failure changes
//! the outcome. Deliberately absent: which version is restored, deadlines, signals, sockets.

mod effect;
mod failure;
mod gather;
mod member;
mod policy;

use mainstay_types::cause::signal_name;
use mainstay_types::{Epoch, Incarnation, Rank, Step, exit};

pub use self::effect::{Effect, Input};
use self::member::Member;
pub use self::policy::Policy;
use crate::budget::Budget;

/// An input that was too late or repeated: from whom, and what it was.
type Void = Option<(Option<Rank>, &'static str)>;

/// The job, as far as recovery goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// Number of ranks.
    pub n: u32,
    /// What happens when one fails.
    pub policy: Policy,
    /// Restarts without progress before the job is given up.
    pub max_restarts: u32,
}

/// How far the current epoch has come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Not all ranks wait for it yet.
    Gathering,
    /// The ranks are in the program.
    Open,
    /// All results are in; the ranks leave.
    Finished,
    /// The job is given up; processes are being ended.
    Ending {
        /// The exit code.
        code: u8,
        /// Why.
        why: String,
    },
    /// [`Effect::End`] was given.
    Ended,
}

/// The recovery engine of one job.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recovery {
    config: Config,
    first: Epoch,
    epoch: Epoch,
    /// The last epoch that was opened.
    opened: Option<Epoch>,
    phase: Phase,
    members: Vec<Member>,
    budget: Budget,
    /// Whether the job was started.
    started: bool,
    /// Whether any rank has ever said hello.
    joined: bool,
    /// Whether the launcher was told to stop.
    stopping: bool,
    respawns: u32,
    restarts: u32,
}

impl Recovery {
    /// An engine for a job whose control page already shows `first` as its epoch.
    ///
    /// # Panics
    /// When the job has no rank.
    #[must_use]
    pub fn new(config: Config, first: Epoch) -> Self {
        assert!(config.n > 0, "a job has at least one rank");
        Self {
            config,
            first,
            epoch: first,
            opened: None,
            phase: Phase::Gathering,
            members: (0..config.n).map(|_| Member::new()).collect(),
            budget: Budget::new(config.n, config.max_restarts),
            started: false,
            joined: false,
            stopping: false,
            respawns: 0,
            restarts: 0,
        }
    }

    /// Takes one input in and appends what is to be done.
    ///
    /// Effects are carried out in order, across calls: what an effect brings about is the input of
    /// a later call, whose effects come after those still to be done.
    pub fn step(&mut self, input: Input, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Ended {
            let (rank, what) = (None, "input after the end");
            effects.push(Effect::Dropped { rank, what });
            return;
        }
        if let Some((rank, what)) = self.take(input, effects) {
            effects.push(Effect::Dropped { rank, what });
        }
        self.settle(effects);
    }

    /// Enters one input; gives it back as its name if it is void.
    fn take(&mut self, input: Input, effects: &mut Vec<Effect>) -> Void {
        match input {
            Input::Start => self.start(),
            Input::SpawnFailed { rank, incarnation, code, why } => {
                self.spawn_failed((rank, incarnation), code, &why, effects)
            }
            Input::Hello { rank, incarnation } => self.hello(rank, incarnation, effects),
            Input::Ack { rank, epoch } => self.ack(rank, epoch, effects),
            Input::Died { rank, incarnation, verdict, step } => {
                self.died((rank, incarnation), verdict, step, effects)
            }
            Input::Suspect { rank, reason } => self.suspect(rank, reason, effects),
            Input::Opened { epoch, version, step } => self.opened(epoch, version, step, effects),
            Input::NoVersion { why } => {
                self.give_up((exit::DATA, why), false, "no version", effects)
            }
            Input::GiveUp { code, why } => self.give_up((code, why), true, "giving up", effects),
            Input::Deadlock(who) => {
                let why = format!("deadlock: {who}");
                self.give_up((exit::INTERNAL, why), false, "deadlock", effects)
            }
            Input::Restored { rank, epoch } => self.restored(rank, epoch, effects),
            Input::RestoreFailed { rank, epoch, version, why } => {
                self.restore_failed((rank, epoch), version, &why, effects)
            }
            Input::Result { rank, epoch } => self.result(rank, epoch),
            Input::Stop { signal } => {
                let why = format!("stopped by {}", signal_name(signal));
                self.stop(exit::of_signal(signal), why, effects)
            }
            Input::StopNow => self.stop_now(effects),
        }
    }

    /// A version was committed in memory at this step.
    pub fn progress(&mut self, committed: Step) {
        self.budget.progress(committed);
    }

    /// The current epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// How far it has come.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Every rank's incarnation, by rank.
    #[must_use]
    pub fn incarnations(&self) -> Vec<Incarnation> {
        self.members.iter().map(|m| m.incarnation).collect()
    }

    /// Whether this rank has joined with its current incarnation and was not killed since.
    #[must_use]
    pub fn is_member(&self, rank: Rank) -> bool {
        self.members.get(rank.index()).is_some_and(Member::speaks)
    }

    /// Whether an epoch was raised and this rank, alive, has yet to acknowledge it.
    #[must_use]
    pub fn is_awaited(&self, rank: Rank) -> bool {
        let behind = |m: &Member| m.alive() && !m.ready(self.epoch);
        let raised = self.phase == Phase::Gathering && self.epoch > self.first;
        raised && self.members.get(rank.index()).is_some_and(behind)
    }

    /// Whether a wrapper may go on for as long as it likes when its program has ended: the job waits
    /// for nothing else from it, or has asked it to end and waits for that.
    #[must_use]
    pub fn lets_wrappers_go_on(&self) -> bool {
        matches!(self.phase, Phase::Finished | Phase::Ending { .. })
    }

    /// Whether the job waits for nothing but the end of processes that it has killed, and starts
    /// nothing any more.
    #[must_use]
    pub fn only_waits_for_the_dead(&self) -> bool {
        let over = match self.phase {
            Phase::Finished => self.stopping,
            Phase::Ending { .. } | Phase::Ended => true,
            Phase::Gathering | Phase::Open => false,
        };
        over && self.members.iter().all(Member::is_killed_or_gone)
    }

    /// Whether every rank has its state of the open epoch.
    #[must_use]
    pub fn is_restored(&self) -> bool {
        self.phase == Phase::Open && self.members.iter().all(|m| m.restored)
    }

    /// Ranks started again so far.
    #[must_use]
    pub fn respawns(&self) -> u32 {
        self.respawns
    }

    /// Restarts of the whole job so far, which the policy `restart` alone makes.
    #[must_use]
    pub fn restarts(&self) -> u32 {
        self.restarts
    }
}
