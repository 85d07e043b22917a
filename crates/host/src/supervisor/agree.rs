//! Agreements as the supervisor carries them out.
//!
//! Invariant: a decision is in the socket of every member before anything else is done, so before an
//! epoch is raised. Deliberately absent: the decision; `control::agreement` takes it.

use mainstay_control::agreement::{Effect, Input};
use mainstay_types::wire::ToRank;

use super::Supervisor;

impl Supervisor<'_> {
    /// Something happened that agreements depend on.
    pub(super) fn agreement(&mut self, input: Input) {
        let mut effects = Vec::new();
        self.agreements.step(input, &mut effects);
        for effect in &effects {
            match *effect {
                Effect::Tell { rank, epoch, question, ok } => {
                    let (group, round) = (question.group, question.round);
                    self.answer(rank, &ToRank::Agreed { epoch, group, round, ok });
                }
                Effect::Dropped { .. } => self.measure.dropped += 1,
            }
        }
        // Behind all answers: who wakes finds its own.
        for effect in effects {
            if let Effect::Tell { rank, .. } = effect {
                self.segment.ring_bell(rank);
            }
        }
    }
}
