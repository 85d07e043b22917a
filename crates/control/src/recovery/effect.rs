//! What goes into the recovery engine and what comes out of it.
//!
//! Invariant: every input that a rank sends names its epoch or incarnation, so that one that comes
//! too late is known for what it is. Deliberately absent: how a driver brings an effect about.

use mainstay_types::{Cause, Epoch, Incarnation, Rank, Step, Version};

use crate::cause::{FenceReason, Verdict};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The job starts. Given once, first.
    Start,
    /// An incarnation could not be started.
    SpawnFailed {
        /// Which rank.
        rank: Rank,
        /// Which incarnation.
        incarnation: Incarnation,
        /// The exit code that says so: 126, 127 or 70.
        code: u8,
        /// What was wrong.
        why: String,
    },
    /// An incarnation said hello. That is its acknowledgement of the current epoch.
    Hello {
        /// Which rank.
        rank: Rank,
        /// Which incarnation.
        incarnation: Incarnation,
    },
    /// A rank has left its program and waits for this epoch to open.
    Ack {
        /// Which rank.
        rank: Rank,
        /// The epoch it knows of.
        epoch: Epoch,
    },
    /// An incarnation is fenced: reaped, or ended for certain. All that it had sent was given before.
    Died {
        /// Which rank.
        rank: Rank,
        /// Which incarnation.
        incarnation: Incarnation,
        /// Why, and what follows.
        verdict: Verdict,
        /// The last step it completed.
        step: Step,
    },
    /// The evidence says that a rank is as good as dead.
    Suspect {
        /// Which rank.
        rank: Rank,
        /// Why.
        reason: FenceReason,
    },
    /// The driver opened the epoch with this choice.
    Opened {
        /// The epoch.
        epoch: Epoch,
        /// The version restored; `None` is the start of the job.
        version: Option<Version>,
        /// Its step.
        step: Step,
    },
    /// The epoch cannot be opened: the job was to be resumed and no version can be restored.
    NoVersion {
        /// What was found instead.
        why: String,
    },
    /// A rank has its state.
    Restored {
        /// Which rank.
        rank: Rank,
        /// In which epoch.
        epoch: Epoch,
    },
    /// A rank could not restore what it was given. The driver marks that copy bad whatever the
    /// engine makes of the message.
    RestoreFailed {
        /// Which rank.
        rank: Rank,
        /// In which epoch.
        epoch: Epoch,
        /// Which version.
        version: Version,
        /// What was wrong.
        why: String,
    },
    /// A rank's result lies in the supervisor's memory.
    Result {
        /// Which rank.
        rank: Rank,
        /// In which epoch.
        epoch: Epoch,
    },
    /// The job cannot go on, for a reason that lies outside the ranks.
    GiveUp {
        /// The exit code.
        code: u8,
        /// Why, and the mend.
        why: String,
    },
    /// All ranks wait for each other; the text says who waits for whom.
    Deadlock(String),
    /// The launcher was told to stop by this signal. A second time: at once.
    Stop {
        /// The signal.
        signal: i32,
    },
    /// The time that `Stop` gave the ranks is over.
    StopNow,
}

/// What is to be done, in the order given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Start this incarnation. Every earlier one of the rank is reaped.
    Spawn {
        /// Which rank.
        rank: Rank,
        /// Which incarnation.
        incarnation: Incarnation,
    },
    /// Kill it with SIGKILL and remember why until it is reaped.
    Kill {
        /// Which rank.
        rank: Rank,
        /// Which incarnation.
        incarnation: Incarnation,
        /// Why.
        reason: FenceReason,
    },
    /// Ask it to end with SIGTERM; two seconds after the first, give [`Input::StopNow`].
    Terminate {
        /// Which rank.
        rank: Rank,
        /// Which incarnation.
        incarnation: Incarnation,
    },
    /// Store the epoch in the control page, withdraw the target, ring all bells.
    RaiseEpoch {
        /// The new epoch.
        epoch: Epoch,
        /// Why.
        reason: String,
    },
    /// Send `Raised` to a rank that waits on its socket. At most one is unanswered at a time.
    TellRaised {
        /// Which rank.
        rank: Rank,
        /// The epoch.
        epoch: Epoch,
    },
    /// Nobody touches the rings: reset them, choose the version, send `Open` to every rank, then
    /// give [`Input::Opened`] or [`Input::NoVersion`].
    Open {
        /// The epoch.
        epoch: Epoch,
    },
    /// Every rank has its state again after a raised epoch.
    Recovered {
        /// The epoch.
        epoch: Epoch,
    },
    /// All results of one epoch are in: record it, ring all bells. Nothing fails the job any more.
    Finish {
        /// The epoch.
        epoch: Epoch,
    },
    /// A rank failed by itself: it belongs into the summary.
    Failure {
        /// Which rank.
        rank: Rank,
        /// Which incarnation.
        incarnation: Incarnation,
        /// The last step it completed.
        step: Step,
        /// Why.
        cause: Cause,
        /// What a person should know.
        detail: String,
    },
    /// The job is over and no process is left. The last effect.
    End {
        /// The exit code.
        code: u8,
        /// Why, for people; empty after success.
        why: String,
    },
    /// An input was too late or repeated and changed nothing. Counted.
    Dropped {
        /// From which rank.
        rank: Option<Rank>,
        /// Which input.
        what: &'static str,
    },
    /// Something that a person should know.
    Note(String),
}
