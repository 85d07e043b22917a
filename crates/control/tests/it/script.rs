//! Exact traces of the recovery engine, written as one would draw the protocol.
//!
//! An effect is shown as a word or two: `spawn 1.2` is rank 1, incarnation 2; `tell 0 3` tells
//! rank 0 of epoch 3. Notes and reasons are left out where a test is not about them.

mod ends;
mod recoveries;

use mainstay_control::recovery::{Config, Effect, Input, Policy, Recovery};
use mainstay_control::{Ending, FenceReason, Hints, Verdict, classify};
use mainstay_types::{Epoch, Incarnation, Rank, Step, Version};

use crate::world::by;

/// An engine and what it has said since it was last asked.
pub(super) struct Script {
    pub(super) engine: Recovery,
    /// The last reason or note.
    pub(super) why: String,
}

impl Script {
    pub(super) fn new(n: u32, policy: Policy) -> Self {
        let config = Config { n, policy, max_restarts: 3 };
        Self { engine: Recovery::new(config, Epoch(1)), why: String::new() }
    }

    /// A job of `n` ranks that are in the program.
    pub(super) fn open(n: u32, policy: Policy) -> Self {
        let mut script = Self::new(n, policy);
        script.give(Input::Start);
        for rank in 0..n {
            script.hello(rank, 0);
        }
        script
    }

    /// Gives an input and shows the effects.
    pub(super) fn give(&mut self, input: Input) -> Vec<String> {
        let mut effects = Vec::new();
        self.engine.step(input, &mut effects);
        effects.into_iter().filter_map(|effect| self.show(effect)).collect()
    }

    fn show(&mut self, effect: Effect) -> Option<String> {
        Some(match effect {
            Effect::Spawn { rank, incarnation } => format!("spawn {rank}.{incarnation}"),
            Effect::Kill { rank, incarnation, reason } => {
                format!("kill {rank}.{incarnation} {reason:?}")
            }
            Effect::Terminate { rank, incarnation } => format!("term {rank}.{incarnation}"),
            Effect::RaiseEpoch { epoch, reason } => {
                self.why = reason;
                format!("raise {epoch}")
            }
            Effect::TellRaised { rank, epoch } => format!("tell {rank} {epoch}"),
            Effect::Open { epoch } => format!("open {epoch}"),
            Effect::Recovered { epoch } => format!("recovered {epoch}"),
            Effect::Finish { epoch } => format!("finish {epoch}"),
            Effect::Failure { rank, incarnation, step, cause, .. } => {
                format!("fail {rank}.{incarnation} {cause} @{step}")
            }
            Effect::End { code, why } => {
                self.why = why;
                format!("end {code}")
            }
            Effect::Dropped { what, .. } => format!("drop {what}"),
            Effect::Note(text) => {
                self.why = text;
                return None;
            }
        })
    }

    pub(super) fn hello(&mut self, rank: u32, incarnation: u32) -> Vec<String> {
        let (rank, incarnation) = (Rank(rank), Incarnation(incarnation));
        self.give(Input::Hello { rank, incarnation })
    }

    pub(super) fn ack(&mut self, rank: u32, epoch: u32) -> Vec<String> {
        let (rank, epoch) = (Rank(rank), Epoch(epoch));
        self.give(Input::Ack { rank, epoch })
    }

    pub(super) fn result(&mut self, rank: u32, epoch: u32) -> Vec<String> {
        let (rank, epoch) = (Rank(rank), Epoch(epoch));
        self.give(Input::Result { rank, epoch })
    }

    pub(super) fn restored(&mut self, rank: u32, epoch: u32) -> Vec<String> {
        let (rank, epoch) = (Rank(rank), Epoch(epoch));
        self.give(Input::Restored { rank, epoch })
    }

    pub(super) fn torn(&mut self, rank: u32, epoch: u32) -> Vec<String> {
        let (rank, epoch, version) = (Rank(rank), Epoch(epoch), Version(4));
        let why = "chunk 7 is rotten".to_owned();
        self.give(Input::RestoreFailed { rank, epoch, version, why })
    }

    pub(super) fn suspect(&mut self, rank: u32, reason: FenceReason) -> Vec<String> {
        let rank = Rank(rank);
        self.give(Input::Suspect { rank, reason })
    }

    pub(super) fn verdict(&mut self, rank: u32, incarnation: u32, verdict: Verdict) -> Vec<String> {
        let (rank, incarnation, step) = (Rank(rank), Incarnation(incarnation), Step(50));
        self.give(Input::Died { rank, incarnation, verdict, step })
    }

    pub(super) fn died(&mut self, rank: u32, incarnation: u32, ending: Ending) -> Vec<String> {
        self.verdict(rank, incarnation, classify(ending, &Hints::default()))
    }

    pub(super) fn fenced(
        &mut self,
        rank: u32,
        incarnation: u32,
        reason: FenceReason,
    ) -> Vec<String> {
        let hints = Hints { fenced: Some(reason), ..Hints::default() };
        self.verdict(rank, incarnation, classify(by(9), &hints))
    }
}

/// No effects.
pub(super) const NOTHING: [&str; 0] = [];
