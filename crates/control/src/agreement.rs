//! Agreements: the flags of all members of a group, combined, decided once and told to all of them.
//!
//! Invariants: a decision is made when every member has arrived, and is told to every one of them in
//! the same step, so before any epoch can be raised after it; what an epoch leaves undecided is
//! forgotten with it, and never decided; a rank is in one agreement at a time. Deliberately absent:
//! deaths. One that matters raises the epoch, and one that does not matter any more changes no
//! decision; `docs/protocols/agreement.md` has the proof.
//!
//! # Source
//! What it is for is `MPIX_Comm_agree` of User-Level Failure Mitigation (W. Bland et al., *Post-failure
//! recovery of MPI communication capability*, IJHPCA 27(3), 2013); with one supervisor that outlives
//! every rank, no voting is needed.

use std::collections::BTreeMap;

use mainstay_types::wire::Group;
use mainstay_types::{Epoch, Rank, Step};

/// One agreement of one epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    /// Who agrees.
    pub group: Group,
    /// The number of the agreement in the group, from 0 in each entry of the program.
    pub round: u64,
}

/// What happens to the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A member has arrived.
    Arrived {
        /// Which rank.
        rank: Rank,
        /// The epoch that it is in.
        epoch: Epoch,
        /// The agreement that it has come to.
        question: Question,
        /// The step that it is in.
        step: Step,
        /// Whether it agrees.
        ok: bool,
    },
    /// The epoch was raised.
    Raised {
        /// The new epoch.
        epoch: Epoch,
    },
}

/// What the engine wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tell a member what was decided, before anything else.
    Tell {
        /// Which rank.
        rank: Rank,
        /// The epoch of the agreement.
        epoch: Epoch,
        /// Which agreement.
        question: Question,
        /// Whether all agree; `None` if they are not all in one step.
        ok: Option<bool>,
    },
    /// An arrival was void.
    Dropped {
        /// Whose.
        rank: Rank,
        /// Why.
        what: &'static str,
    },
}

/// The agreements under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Agreements {
    epoch: Epoch,
    /// Flags and steps of those that have arrived, by rank.
    open: BTreeMap<Question, BTreeMap<Rank, (bool, Step)>>,
}

impl Agreements {
    /// None, in the job's first epoch.
    #[must_use]
    pub fn new(first: Epoch) -> Self {
        Self { epoch: first, open: BTreeMap::new() }
    }

    /// Takes one input in and appends what is to be done.
    pub fn step(&mut self, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Arrived { rank, epoch, question, step, ok } => {
                match self.refusal(rank, epoch, question) {
                    Some(what) => effects.push(Effect::Dropped { rank, what }),
                    None => self.arrived(rank, question, (ok, step), effects),
                }
            }
            Input::Raised { epoch } => {
                self.epoch = epoch;
                self.open.clear();
            }
        }
    }

    /// Whether a rank has arrived and waits for a decision.
    #[must_use]
    pub fn is_waiting(&self, rank: Rank) -> bool {
        self.open.values().any(|arrived| arrived.contains_key(&rank))
    }

    fn refusal(&self, rank: Rank, epoch: Epoch, question: Question) -> Option<&'static str> {
        if epoch != self.epoch {
            return Some("an agreement of another epoch");
        }
        if question.group.members == 0 {
            return Some("an agreement of nobody");
        }
        self.is_waiting(rank).then_some("an agreement beside another")
    }

    fn arrived(
        &mut self,
        rank: Rank,
        question: Question,
        (ok, step): (bool, Step),
        effects: &mut Vec<Effect>,
    ) {
        let arrived = self.open.entry(question).or_default();
        arrived.insert(rank, (ok, step));
        if arrived.len() < question.group.members as usize {
            return;
        }
        let arrived = self.open.remove(&question).unwrap_or_default();
        // A version captured between the parts of two ranks would bring one of them back alone.
        let together = arrived.values().all(|(_, other)| *other == step);
        let ok = together.then(|| arrived.values().all(|(ok, _)| *ok));
        let epoch = self.epoch;
        effects.extend(arrived.into_keys().map(|rank| Effect::Tell { rank, epoch, question, ok }));
    }
}
