//! What is older than the present: the engine must drop it in every state of the world.

use mainstay_control::recovery::{Effect, Input};
use mainstay_control::{Hints, classify};
use mainstay_types::{Epoch, Incarnation, Step, Version};

use super::{World, by, rank_of};

impl World {
    /// Whatever is older than the present changes nothing, in any state.
    pub(crate) fn refuse_the_past(&self) {
        let mut past = Vec::new();
        for (r, process) in self.ranks.iter().enumerate() {
            let rank = rank_of(r);
            let (version, why) = (Version(1), String::new());
            for epoch in (0..self.word.0).map(Epoch) {
                past.push(Input::Restored { rank, epoch });
                past.push(Input::Result { rank, epoch });
                let why = why.clone();
                past.push(Input::RestoreFailed { rank, epoch, version, why });
            }
            for epoch in (0..=self.opened.map_or(0, |e| e.0)).map(Epoch) {
                past.push(Input::Ack { rank, epoch });
            }
            for old in (0..process.incarnation.map_or(0, |i| i.0)).map(Incarnation) {
                past.push(Input::Hello { rank, incarnation: old });
                let verdict = classify(by(9), &Hints::default());
                past.push(Input::Died { rank, incarnation: old, verdict, step: Step(0) });
            }
        }
        past.push(Input::Start);
        let mut engine = self.engine.clone();
        let mut effects = Vec::new();
        let count = past.len();
        for input in past {
            engine.step(input, &mut effects);
        }
        let dropped = |effect: &Effect| matches!(effect, Effect::Dropped { .. });
        assert!(effects.len() == count && effects.iter().all(dropped), "{effects:?}");
        assert!(engine == self.engine, "{self:#?}");
    }
}
