//! One rank as the recovery engine sees it.
//!
//! Invariants: a member has at most one living process; its incarnation only grows; it waits with
//! at most one unanswered `Raised`. Deliberately absent: anything about other ranks.

use mainstay_types::{Epoch, Incarnation, Step};

use crate::cause::{FenceReason, Verdict};

/// Where a rank stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    /// Never started.
    Absent,
    /// Reaped; to be started again when the epoch allows it.
    Dead,
    /// Started, has not said hello.
    Starting,
    /// Out of the program, waiting on its socket for an epoch to open.
    Waiting {
        /// The last epoch it acknowledged.
        acked: Epoch,
        /// Whether it was told of a newer one and has not answered.
        asked: bool,
    },
    /// In the program, or on its way out of it.
    Inside,
    /// Killed by Mainstay and not yet reaped. Whatever it says is void.
    Fencing(FenceReason),
    /// Ended before any rank of the job had joined: perhaps the program is not one of ours.
    Left {
        /// How it ended.
        verdict: Verdict,
        /// The step it had completed.
        step: Step,
    },
}

/// One rank.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Member {
    /// The incarnation that lives, or lived last.
    pub(super) incarnation: Incarnation,
    /// Where it stands.
    pub(super) state: State,
    /// Whether this incarnation has yet to enter the program.
    pub(super) fresh: bool,
    /// Whether it has its state of the open epoch.
    pub(super) restored: bool,
    /// Whether its result of the open epoch is in.
    pub(super) result: bool,
}

impl Member {
    /// A rank that was never started.
    pub(super) fn new() -> Self {
        Self {
            incarnation: Incarnation(0),
            state: State::Absent,
            fresh: true,
            restored: false,
            result: false,
        }
    }

    /// Whether a process of it may be alive.
    pub(super) fn alive(&self) -> bool {
        !matches!(self.state, State::Absent | State::Dead | State::Left { .. })
    }

    /// Whether it was killed, or no process of it is alive.
    pub(super) fn is_killed_or_gone(&self) -> bool {
        matches!(self.state, State::Fencing(_)) || !self.alive()
    }

    /// Whether it waits for exactly this epoch.
    pub(super) fn ready(&self, epoch: Epoch) -> bool {
        matches!(self.state, State::Waiting { acked, .. } if acked == epoch)
    }

    /// Whether it has joined and nothing speaks against it.
    pub(super) fn speaks(&self) -> bool {
        matches!(self.state, State::Inside | State::Waiting { .. })
    }

    /// Takes the next incarnation into use.
    pub(super) fn start(&mut self) -> Incarnation {
        if self.state != State::Absent {
            self.incarnation = self.incarnation.next();
        }
        self.fresh = true;
        self.state = State::Starting;
        self.incarnation
    }

    /// Enters an acknowledgement and says whether the rank must now be told of `current`; `None`
    /// if the acknowledgement is a repetition or comes from a rank that cannot give one.
    pub(super) fn ack(&mut self, epoch: Epoch, current: Epoch) -> Option<bool> {
        match self.state {
            State::Inside => {}
            State::Waiting { asked: true, acked } if epoch > acked => {}
            _ => return None,
        }
        let asked = epoch < current;
        self.state = State::Waiting { acked: epoch, asked };
        Some(asked)
    }

    /// Whether it must be told that the epoch was raised, because it waits and was not yet told.
    pub(super) fn ask(&mut self) -> bool {
        match &mut self.state {
            State::Waiting { asked, .. } if !*asked => {
                *asked = true;
                true
            }
            _ => false,
        }
    }
}
