//! The driver of the abstract world: it carries out effects, and asserts what must never be asked
//! of it.
//!
//! Deliberately absent: everything that a driver may do or not, such as events for people.

use std::collections::VecDeque;

use mainstay_control::recovery::{Effect, Input, Phase, Policy};
use mainstay_types::{Epoch, Incarnation, Rank, Step};

use super::{Down, FIRST, Life, Process, World, by};

impl World {
    /// The driver: one input, then all effects in order.
    pub(crate) fn give(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        let mut effects = Vec::new();
        while let Some(input) = inputs.pop_front() {
            self.engine.step(input, &mut effects);
            for effect in effects.drain(..) {
                assert_eq!(self.end, None, "nothing follows the end");
                inputs.extend(self.carry_out(effect));
            }
        }
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Spawn { rank, incarnation } => self.spawn(rank, incarnation),
            Effect::Kill { rank, incarnation, reason } => {
                let process = &mut self.ranks[rank.index()];
                assert_eq!(process.incarnation, Some(incarnation), "kills only the living");
                assert_eq!(process.fenced, None, "kills once");
                process.fenced = Some(reason);
                if !matches!(process.life, Life::Dead(_)) {
                    process.life = Life::Dead(by(9));
                }
            }
            Effect::Terminate { rank, incarnation } => {
                let process = &mut self.ranks[rank.index()];
                assert_eq!(process.incarnation, Some(incarnation));
                if !matches!(process.life, Life::Dead(_)) {
                    process.life = Life::Dead(by(15));
                }
            }
            Effect::RaiseEpoch { epoch, .. } => {
                assert_eq!(epoch, self.word.next(), "epochs grow by one");
                assert_eq!(self.finished, None, "nothing is raised once finished");
                self.word = epoch;
            }
            Effect::TellRaised { rank, epoch } => self.tell(rank, epoch),
            Effect::Open { epoch } => {
                self.open(epoch);
                let (version, step) = (None, Step(0));
                return Some(Input::Opened { epoch, version, step });
            }
            Effect::Finish { epoch } => self.finish(epoch),
            Effect::End { code, .. } => self.ended(code),
            Effect::Failure { .. } => {
                self.failures += 1;
                assert!(self.failures <= self.struck, "nobody is blamed for our own kills");
            }
            Effect::Dropped { what, .. } => assert!(!what.is_empty()),
            Effect::Recovered { epoch } => self.recover(epoch),
            Effect::Note(text) => assert!(!text.is_empty()),
        }
        None
    }

    fn spawn(&mut self, rank: Rank, incarnation: Incarnation) {
        if self.policy == Policy::Restart {
            let of_old = |process: &Process| process.entered && process.life != Life::None;
            assert!(!self.ranks.iter().any(of_old), "nothing of the old world is left");
        }
        let process = &mut self.ranks[rank.index()];
        assert_eq!(process.life, Life::None, "started only when the last one is reaped");
        assert!(process.incarnation.is_none_or(|last| incarnation == last.next()));
        assert_eq!(self.finished, None, "nobody is started once finished");
        process.incarnation = Some(incarnation);
        process.life = Life::Starting;
        process.said_hello = false;
        process.entered = false;
        process.acked = None;
        process.restored = None;
        process.result = None;
    }

    fn tell(&mut self, rank: Rank, epoch: Epoch) {
        let process = &mut self.ranks[rank.index()];
        assert_eq!(epoch, self.word, "told of the newest epoch");
        assert!(process.down.is_empty(), "one unanswered question at a time");
        assert!(matches!(process.life, Life::Waiting | Life::Dead(_)), "told on its socket");
        process.down.push_back(Down::Raised(epoch));
    }

    /// The heart of it: when an epoch opens, nobody can touch the rings.
    fn open(&mut self, epoch: Epoch) {
        assert_eq!(epoch, self.word, "opens the newest epoch");
        assert!(self.opened < Some(epoch), "opens it once");
        self.opened = Some(epoch);
        for process in &mut self.ranks {
            // A rank that died since it acknowledged touches nothing either.
            assert!(matches!(process.life, Life::Waiting | Life::Dead(_)));
            assert_eq!(process.acked, Some(epoch), "every rank acknowledged this epoch");
            assert!(process.up.is_empty(), "and has said nothing since");
            assert!(process.down.is_empty() || matches!(process.life, Life::Dead(_)));
            process.down.push_back(Down::Open(epoch));
        }
    }

    fn recover(&mut self, epoch: Epoch) {
        assert!(epoch > FIRST && self.opened == Some(epoch));
        assert!(self.recovered < Some(epoch), "said once");
        self.recovered = Some(epoch);
        for process in &self.ranks {
            assert_eq!(process.restored, Some(epoch), "every rank has its state");
        }
    }

    fn finish(&mut self, epoch: Epoch) {
        assert!(epoch == FIRST || self.recovered == Some(epoch));
        assert_eq!(self.finished, None, "finishes once");
        assert!(self.opened == Some(epoch) && self.word == epoch);
        for process in &self.ranks {
            assert_eq!(process.result, Some(epoch), "all results are of this epoch");
        }
        self.finished = Some(epoch);
    }

    fn ended(&mut self, code: u8) {
        assert!(self.ranks.iter().all(|process| process.life == Life::None));
        assert_eq!(*self.engine.phase(), Phase::Ended);
        if self.finished.is_some() {
            assert_eq!(code, 0, "once finished, nothing fails the job");
        }
        self.end = Some(code);
    }
}
